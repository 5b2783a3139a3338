//! JUnit XML, as the common readers take it (Jenkins and GitLab docs: JUnit reports): a suite for
//! each cluster, a case for each thing that was looked at.

use std::collections::BTreeMap;

use super::Site;
use crate::health::{Report, Status};
use crate::source::Severity;

/// What became of a case.
pub(in crate::render) enum Verdict {
    Pass,
    /// It passes, and there is something to know.
    Told(String),
    /// A check said no.
    Failure {
        kind: String,
        text: String,
    },
    /// It could not be checked.
    Error {
        kind: String,
        text: String,
    },
    Skipped(String),
}

/// One check.
pub(in crate::render) struct Case {
    pub(in crate::render) suite: String,
    pub(in crate::render) class: String,
    pub(in crate::render) name: String,
    /// File and line.
    pub(in crate::render) site: Option<(String, usize)>,
    pub(in crate::render) verdict: Verdict,
}

/// The report; warnings pass, since JUnit has no word for them, and say what they are.
pub(super) fn junit(report: &Report) -> String {
    let flat = |it: Site| (it.file, it.start.0);
    let broken = report.diagnostics.iter().filter(|it| it.severity == Severity::Error);
    let mut cases: Vec<Case> = broken
        .map(|it| Case {
            suite: "amlplan".to_owned(),
            class: it.code.to_owned(),
            name: it.message.clone(),
            site: it.labels.first().map(|it| Site::of(&it.place)).map(flat),
            verdict: Verdict::Error { kind: it.code.to_owned(), text: it.message.clone() },
        })
        .collect();
    for it in &report.findings {
        let word = super::severity(it.status);
        let text = format!("{word}: {}{}", it.problem(), it.closing());
        let kind = it.code.to_owned();
        // Drift is a failure however mild it is: that is what the command asks.
        let fails =
            it.status == Status::Fail || (it.class.is_some() && it.status == Status::Warning);
        let verdict = match it.status {
            Status::Pass => Verdict::Pass,
            Status::Info => Verdict::Told(text),
            Status::Warning if !fails => Verdict::Told(text),
            Status::Warning | Status::Fail => Verdict::Failure { kind, text },
            Status::Skipped => Verdict::Skipped(it.message.clone()),
            Status::Unknown => Verdict::Error { kind, text },
        };
        let about =
            if it.title.is_empty() { it.path.to_string() } else { format!(": {}", it.title) };
        cases.push(Case {
            suite: it.address.scope.clone(),
            class: it.code.to_owned(),
            name: format!("{}{about}", it.address),
            site: Site::of_finding(it).map(flat),
            verdict,
        });
    }
    document(&format!("amlplan {}", report.command), &cases)
}

/// The whole document; suites in name order, cases in theirs.
pub(in crate::render) fn document(name: &str, cases: &[Case]) -> String {
    let mut suites: BTreeMap<&str, Vec<&Case>> = BTreeMap::new();
    for case in cases {
        suites.entry(&case.suite).or_default().push(case);
    }
    let all: Vec<&Case> = cases.iter().collect();
    let mut out = vec!["<?xml version=\"1.0\" encoding=\"UTF-8\"?>".to_owned()];
    out.push(format!("<testsuites{}>", totals(name, &all)));
    for (suite, cases) in suites {
        out.push(format!("  <testsuite{}>", totals(suite, &cases)));
        out.extend(cases.into_iter().map(case));
        out.push("  </testsuite>".to_owned());
    }
    out.push("</testsuites>".to_owned());
    crate::render::style::text(&out)
}

fn totals(name: &str, cases: &[&Case]) -> String {
    let count = |has: fn(&Verdict) -> bool| cases.iter().filter(|it| has(&it.verdict)).count();
    let failures = count(|it| matches!(it, Verdict::Failure { .. }));
    let errors = count(|it| matches!(it, Verdict::Error { .. }));
    let skipped = count(|it| matches!(it, Verdict::Skipped(_)));
    let (name, tests) = (escaped(name), cases.len());
    format!(
        " name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\" time=\"0\""
    )
}

fn case(case: &Case) -> String {
    let Case { class, name, site, verdict, .. } = case;
    let site = site.as_ref().map(|(file, line)| {
        let file = escaped(file);
        format!(" file=\"{file}\" line=\"{line}\"")
    });
    let head = format!(
        "    <testcase classname=\"{}\" name=\"{}\" time=\"0\"{}",
        escaped(class),
        escaped(name),
        site.unwrap_or_default()
    );
    let problem = |tag: &str, kind: &str, text: &str| {
        let first = escaped(text.lines().next().unwrap_or_default());
        let (kind, text) = (escaped(kind), escaped(text));
        format!("<{tag} type=\"{kind}\" message=\"{first}\">{text}</{tag}>")
    };
    let inner = match verdict {
        Verdict::Pass => return format!("{head}/>"),
        Verdict::Told(text) => format!("<system-out>{}</system-out>", escaped(text)),
        Verdict::Failure { kind, text } => problem("failure", kind, text),
        Verdict::Error { kind, text } => problem("error", kind, text),
        Verdict::Skipped(why) => format!("<skipped message=\"{}\"/>", escaped(why)),
    };
    format!("{head}>{inner}</testcase>")
}

/// Text for XML; characters that XML 1.0 cannot hold are left out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for it in text.chars() {
        match it {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\n' => out.push_str("&#10;"),
            '\u{fffe}' | '\u{ffff}' => {}
            it if it.is_control() && it != '\t' => {}
            it => out.push(it),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xml_cannot_be_broken_out_of() {
        assert_eq!(escaped("a<b>&\"'\u{1b}[31m\n\u{0}"), "a&lt;b&gt;&amp;&quot;&apos;[31m&#10;");
    }
}
