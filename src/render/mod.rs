//! The only place that formats for people or machines. Everything here turns values into text or
//! JSON; only the command line prints it.

pub mod diagnostics;
mod diff;
pub mod drift;
pub mod explain;
mod fleet;
pub mod graph;
pub mod human;
pub mod json;
pub mod network;
mod outcome;
pub mod overall;
pub mod permissions;
pub mod progress;
pub mod report;
pub mod safe;
#[cfg(test)]
mod samples;
mod stream;
mod style;
mod values;
pub mod world;

pub use style::Style;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_in_no_format() {
        let plan = samples::plan();
        let secret = plan.steps.iter().filter_map(|step| step.after.as_ref());
        let mut held = 0;
        for document in secret {
            document.walk(&crate::model::Pointer::root(), &mut |_, value| {
                held += usize::from(matches!(value, crate::model::Value::Secret(_)));
            });
        }
        assert_eq!(held, 2, "the sample holds secrets that could show");
        let style = Style::default();
        let nowhere = |_: &_, _: &_| None;
        let report = drift::report(&plan, &crate::resource::Snapshot::default(), &nowhere, vec![]);
        let mut shown =
            vec![human::plan(&plan, true, &style), json::plan(&plan, "now").to_string()];
        let formats = report::Format::ALL.into_iter().map(|it| it.0);
        let formats = formats.filter(|format| *format != report::Format::Prometheus);
        shown.extend(formats.map(|format| report::render(&report, format, &style, true)));
        for (index, text) in shown.iter().enumerate() {
            assert!(!text.contains(samples::CANARY), "format {index} shows the secret:\n{text}");
        }
        // The change of the secret itself still shows.
        assert!(shown.iter().all(|text| text.contains("configurationProtectedSettings")));
    }
}
