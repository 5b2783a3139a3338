//! The report of `amlplan drift`: where live differs from what is declared, in every format that a
//! nightly run may want. All formats show one list of findings, and every count is its length.

mod ci;
mod markdown;

use std::collections::BTreeSet;

use serde_json::json;
use sha2::{Digest as _, Sha256};

pub use ci::{github, junit, sarif};
pub use markdown::markdown;

use super::report::Site;
use super::style::{Ink, Style, count, text};
use super::values;
use crate::model::{Json, Key, Pointer, Value};
use crate::plan::{Action, Plan, Reason, Step};
use crate::resource::{FieldChange, Impact};
use crate::source::Place;

/// Finds the place in a manifest where a field of a resource was written.
pub type Places<'a> = &'a dyn Fn(&Key, &Pointer) -> Option<Place>;

/// What sort of drift it is; the order is that of the rules in SARIF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    Missing,
    Changed,
    ChangedForGood,
    Unhealthy,
    Unwanted,
    Orphan,
}

impl Rule {
    const ALL: [Self; 6] = [
        Self::Missing,
        Self::Changed,
        Self::ChangedForGood,
        Self::Unhealthy,
        Self::Unwanted,
        Self::Orphan,
    ];

    const fn id(self) -> &'static str {
        match self {
            Self::Missing => "drift-missing",
            Self::Changed => "drift-changed",
            Self::ChangedForGood => "drift-needs-replacement",
            Self::Unhealthy => "drift-unhealthy",
            Self::Unwanted => "drift-unwanted",
            Self::Orphan => "drift-orphan",
        }
    }

    const fn is_error(self) -> bool {
        match self {
            Self::Changed | Self::Orphan => false,
            Self::Missing | Self::ChangedForGood | Self::Unhealthy | Self::Unwanted => true,
        }
    }

    const fn describe(self) -> &'static str {
        match self {
            Self::Missing => "A declared resource does not exist",
            Self::Changed => "A field differs from what is declared",
            Self::ChangedForGood => "A field differs and cannot be changed back in place",
            Self::Unhealthy => "A resource is not in the state that apply leaves it in",
            Self::Unwanted => "A resource exists that should not",
            Self::Orphan => "A resource that the manifest made is no longer declared",
        }
    }
}

/// One field, or one whole resource, that is not as declared.
struct Finding<'a> {
    step: &'a Step,
    rule: Rule,
    path: Pointer,
    expected: Json,
    live: Json,
    place: Option<Place>,
}

impl Finding<'_> {
    /// The same on every run as long as the same field differs, whatever its values are.
    fn fingerprint(&self) -> String {
        let text = format!("{}\n{}\n{}", self.rule.id(), self.step.key, self.path);
        Sha256::digest(text).iter().take(8).map(|it| format!("{it:02x}")).collect()
    }

    /// Whether mending it costs something or it keeps things from working.
    fn is_error(&self) -> bool {
        self.rule.is_error() || self.step.impact != Impact::Safe
    }

    /// What is wrong, without the address, and who else writes the resource.
    fn problem(&self) -> String {
        let others = self.step.note.as_deref().filter(|it| it.starts_with("also written by "));
        let others = others.and_then(|it| it.split_once(':')).map(|it| format!(" ({})", it.0));
        format!("{}{}", self.difference(), others.unwrap_or_default())
    }

    fn difference(&self) -> String {
        let Self { step, rule, path, expected, live, .. } = self;
        match rule {
            Rule::Missing => "does not exist".to_owned(),
            Rule::Unwanted => "exists and should not".to_owned(),
            Rule::Orphan | Rule::Unhealthy => {
                step.reasons.iter().map(values::reason).collect::<Vec<_>>().join("; ")
            }
            Rule::Changed | Rule::ChangedForGood => match self.items() {
                Some((extra, missing)) => {
                    let mut parts = Vec::new();
                    if !missing.is_empty() {
                        parts.push(format!("lacks {}", missing.join(", ")));
                    }
                    if !extra.is_empty() {
                        parts.push(format!("has {}, not declared", extra.join(", ")));
                    }
                    format!("{path} {}", parts.join("; "))
                }
                None => format!("{path} is {}, declared is {}", side(live), side(expected)),
            },
        }
    }

    /// For a list with other items than declared: those it has too many, and those it lacks.
    fn items(&self) -> Option<(Vec<String>, Vec<String>)> {
        let list = |it: &Json| Some(it.as_array()?.iter().cloned().map(Value::from).collect());
        let (live, expected): (Vec<Value>, Vec<Value>) = (list(&self.live)?, list(&self.expected)?);
        let (extra, missing) = values::list_difference(&live, &expected);
        let words = |it: &[Value]| it.iter().map(values::inline).collect();
        (!extra.is_empty() || !missing.is_empty()).then(|| (words(&extra), words(&missing)))
    }

    fn site(&self) -> Option<Site> {
        self.place.as_ref().map(Site::of)
    }
}

/// A side of a difference in words.
fn side(value: &Json) -> String {
    match value {
        Json::Null => "not set".to_owned(),
        // Words for what cannot be shown stand without quotes.
        Json::String(text) if text.starts_with("(sensitive") || text.starts_with("(known") => {
            text.clone()
        }
        Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) | Json::Object(_) => {
            values::inline(&Value::from(value.clone()))
        }
    }
}

/// Everything that every format shows.
struct Report<'a> {
    plan: &'a Plan,
    findings: Vec<Finding<'a>>,
    /// How many resources are looked at, without those that are only read.
    looked_at: usize,
    drifted: usize,
}

impl<'a> Report<'a> {
    fn new(plan: &'a Plan, places: Places<'_>) -> Self {
        let made = plan.changing().filter(|it| it.action.makes()).map(|it| &it.key).collect();
        let mut findings: Vec<Finding<'a>> =
            plan.steps.iter().flat_map(|it| findings_of(it, &made)).collect();
        for finding in &mut findings {
            finding.place = place(plan, places, &finding.step.key, &finding.path);
        }
        // A finding without a place is shown nowhere in GitHub, so it borrows one.
        let fallback = findings.iter().find_map(|it| it.place.clone());
        for finding in &mut findings {
            finding.place = finding.place.take().or_else(|| fallback.clone());
        }
        let drifted: BTreeSet<&Key> = findings.iter().map(|it| &it.step.key).collect();
        let looked_at = plan.steps.iter().filter(|it| !it.key.kind.read_only()).count();
        Self { plan, drifted: drifted.len(), looked_at, findings }
    }

    /// The scopes of the plan, in order.
    fn scopes(&self) -> BTreeSet<&'a str> {
        self.plan.steps.iter().map(|it| it.key.scope.as_str()).collect()
    }

    fn verdict(&self) -> String {
        let Self { plan, findings, looked_at, drifted } = self;
        let missing = super::human::missing(plan).map(|it| format!(" {it}."));
        let missing = missing.unwrap_or_default();
        if findings.is_empty() {
            return if !missing.is_empty() {
                let read = count(*looked_at, "resource");
                format!("Drift is not known:{missing} {read} as declared.")
            } else if plan.errored() {
                "Drift is not known: the comparison had errors.".to_owned()
            } else {
                format!("No drift. {} as declared.", count(*looked_at, "resource"))
            };
        }
        let of = count(*looked_at, "resource");
        format!("Drift: {drifted} of {of}, {}.{missing}", count(findings.len(), "finding"))
    }
}

/// The place of a field, or of what is around it, or of its cluster.
fn place(plan: &Plan, places: Places<'_>, key: &Key, path: &Pointer) -> Option<Place> {
    let mut at = path.clone();
    loop {
        if let Some(place) = places(key, &at) {
            return Some(place);
        }
        if at == Pointer::root() {
            break;
        }
        at = at.parent();
    }
    let neighbours = plan.steps.iter().filter(|it| it.key.scope == key.scope);
    neighbours.filter_map(|it| places(&it.key, &Pointer::root())).next()
}

fn findings_of<'a>(step: &'a Step, made: &BTreeSet<&Key>) -> Vec<Finding<'a>> {
    let whole = |rule, expected, live| {
        vec![Finding { step, rule, path: Pointer::root(), expected, live, place: None }]
    };
    let document = |it: Option<Value>| it.as_ref().map_or(Json::Null, values::shown);
    if step.orphan_of().is_some() {
        return whole(Rule::Orphan, Json::Null, document(values::before(step)));
    }
    match step.action {
        Action::NoOp | Action::Read => Vec::new(),
        Action::Create => whole(Rule::Missing, document(values::after(step)), Json::Null),
        Action::Delete => whole(Rule::Unwanted, Json::Null, document(values::before(step))),
        Action::Update | Action::Replace => {
            // What only follows from another resource's being made anew is no drift of its own.
            let follows = |it: &FieldChange| match &it.after {
                Some(Value::Later(later)) => made.contains(&later.from),
                _ => false,
            };
            let changes: Vec<&FieldChange> =
                step.changes.iter().filter(|it| !follows(it)).collect();
            let unhealthy = step.reasons.iter().any(|it| matches!(it, Reason::Unhealthy { .. }));
            if changes.is_empty() && unhealthy {
                let (before, after) =
                    (document(values::before(step)), document(values::after(step)));
                return whole(Rule::Unhealthy, after, before);
            }
            let forced = values::forced_paths(step);
            let finding = |it: &&FieldChange| {
                let (expected, live) = sides(it);
                let for_good = forced.contains(&&it.path);
                let rule = if for_good { Rule::ChangedForGood } else { Rule::Changed };
                Finding { step, rule, path: it.path.clone(), expected, live, place: None }
            };
            changes.iter().map(finding).collect()
        }
    }
}

/// The sides of a changed field; what is secret or known later is said in words.
fn sides(change: &FieldChange) -> (Json, Json) {
    let words = |it: &Value| match it {
        Value::Secret(_) | Value::Later(_) => Json::from(values::inline(it)),
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => values::shown(it),
    };
    let live = match &change.before {
        Some(_) if values::is_secret_change(change) => Json::from(values::SENSITIVE),
        other => other.clone().unwrap_or_default(),
    };
    // A setting that is not declared is sent blank, which is not what somebody declared.
    let declared = change.after.as_ref().filter(|it| **it != Value::from(""));
    (declared.map_or(Json::Null, words), live)
}

/// The report as text; the verdict is the last line.
#[must_use]
pub fn human(plan: &Plan, places: Places<'_>, style: &Style) -> String {
    let report = Report::new(plan, places);
    let mut lines = Vec::new();
    let mut shown: Option<&Key> = None;
    for finding in &report.findings {
        let key = &finding.step.key;
        if shown != Some(key) {
            if shown.is_some() {
                lines.push(String::new());
            }
            lines.push(style.ink(Ink::Strong, &key.to_string()));
            shown = Some(key);
        }
        let site = finding.site().map(|it| format!("  ({}:{})", it.file, it.start.0));
        let site = style.ink(Ink::Faint, &site.unwrap_or_default());
        let symbol = style.ink(Ink::Careful, finding.step.action.symbol());
        match finding.rule {
            Rule::Changed | Rule::ChangedForGood => {
                lines.push(format!("  {symbol} {}{site}", finding.path));
                if let Some((extra, missing)) = finding.items() {
                    lines.extend(missing.iter().map(|it| format!("      missing:      {it}")));
                    lines.extend(extra.iter().map(|it| format!("      not declared: {it}")));
                } else {
                    lines.push(format!("      declared: {}", side(&finding.expected)));
                    lines.push(format!("      live:     {}", side(&finding.live)));
                }
            }
            Rule::Missing | Rule::Unhealthy | Rule::Unwanted | Rule::Orphan => {
                lines.push(format!("  {symbol} {}{site}", finding.problem()));
            }
        }
    }
    if !lines.is_empty() {
        lines.push(String::new());
    }
    for note in &plan.skipped {
        lines.extend(style.hang("  ", &format!("skipped: {note}")));
    }
    if !plan.skipped.is_empty() {
        lines.push(String::new());
    }
    let mut out = text(&lines);
    out.push_str(&super::human::told(plan, style));
    out.push_str(&text(&[style.ink(Ink::Strong, &report.verdict())]));
    out
}

/// The report as a document: `drift`, `findings[] {address, path, expected, live, fingerprint, …}`.
/// A finding about a whole resource has the empty path, as JSON pointers name whole documents.
#[must_use]
pub fn json(plan: &Plan, places: Places<'_>) -> Json {
    let report = Report::new(plan, places);
    let finding = |it: &Finding<'_>| {
        let place = it.site().map(|it| {
            json!({
                "file": it.file, "line": it.start.0, "column": it.start.1,
                "end_line": it.end.0, "end_column": it.end.1,
            })
        });
        json!({
            "address": it.step.key,
            "rule": it.rule.id(),
            "level": if it.is_error() { "error" } else { "warning" },
            "action": it.step.action,
            "path": it.path,
            "expected": it.expected,
            "live": it.live,
            "impact": it.step.impact,
            "message": it.problem(),
            "fingerprint": it.fingerprint(),
            "place": place,
        })
    };
    json!({
        "drift": !report.findings.is_empty(),
        "message": report.verdict(),
        "errored": plan.errored(),
        "complete": plan.complete(),
        "resources": report.looked_at,
        "drifted": report.drifted,
        "findings": report.findings.iter().map(finding).collect::<Vec<_>>(),
        "skipped": plan.skipped,
        "unread": super::json::unread(plan),
        "diagnostics": plan.told().map(super::json::diagnostic).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;

    fn places(key: &Key, _: &Pointer) -> Option<Place> {
        (key.scope == "edge-02").then(samples::place)
    }

    #[test]
    fn the_report_names_every_field_with_both_sides() {
        insta::assert_snapshot!(human(&samples::plan(), &places, &Style::default()));
    }

    #[test]
    fn machine_formats_hold_the_same_findings() {
        let plan = samples::plan();
        let document = json(&plan, &places);
        let number = document["findings"].as_array().unwrap().len();
        let sarif = sarif(&plan, &places);
        assert_eq!(sarif["runs"][0]["results"].as_array().unwrap().len(), number);
        let github = github(&plan, &places);
        assert_eq!(github.matches("title=drift").count(), number);
        insta::assert_json_snapshot!(document);
        insta::assert_json_snapshot!(sarif);
        insta::assert_snapshot!(github);
        insta::assert_snapshot!(junit(&plan, &places));
        insta::assert_snapshot!(markdown(&plan, &places));
    }

    #[test]
    fn a_fingerprint_outlives_other_values_of_the_same_field() {
        let plan = samples::plan();
        let mut later = plan.clone();
        for change in later.steps.iter_mut().flat_map(|it| &mut it.changes) {
            change.before = Some(json!("something else"));
        }
        let prints = |it: &Plan| -> Vec<String> {
            Report::new(it, &places).findings.iter().map(Finding::fingerprint).collect()
        };
        assert_eq!(prints(&plan), prints(&later));
        let distinct: BTreeSet<String> = prints(&plan).into_iter().collect();
        assert_eq!(distinct.len(), prints(&plan).len());
    }

    #[test]
    fn without_drift_every_format_says_so_and_errors_are_not_hidden() {
        let mut plan = Plan::default();
        assert_eq!(
            human(&plan, &places, &Style::default()),
            "No drift. 0 resources as declared.\n"
        );
        assert!(markdown(&plan, &places).contains("No drift."));
        assert_eq!(github(&plan, &places), "No drift. 0 resources as declared.\n");
        assert_eq!(json(&plan, &places)["drift"], false);
        plan.findings.push(crate::source::Diagnostic::error("denied", "cannot read the cluster"));
        assert!(human(&plan, &places, &Style::default()).contains("not known"));
        assert_eq!(
            sarif(&plan, &places)["runs"][0]["invocations"][0]["executionSuccessful"],
            false
        );
        assert!(junit(&plan, &places).contains("<error "));
        assert!(github(&plan, &places).contains("::error title=denied::cannot read"));
    }

    #[test]
    fn markdown_of_a_large_fleet_fits_a_comment() {
        let mut plan = samples::plan();
        let step = plan.steps[3].clone();
        let copy = |n: usize| {
            let mut step = step.clone();
            step.key.scope = format!("edge-{n:04}");
            step.changes[0].before = Some(json!("|`x`\n".repeat(99)));
            step
        };
        plan.steps = (0..2000).map(copy).collect();
        let text = markdown(&plan, &places);
        assert!(text.len() <= 64 << 10, "{}", text.len());
        assert!(text.contains("more findings"));
    }
}
