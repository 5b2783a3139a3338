//! JUnit XML, as the common readers take it (Jenkins and GitLab docs: JUnit reports): a suite for
//! each cluster, a case for each thing that was looked at.

use std::collections::BTreeMap;

use super::FindingSite;
use crate::health::{Report, Status};
use crate::render::safe::markup;
use crate::source::Severity;

/// What became of a case.
pub(in crate::render) enum CaseVerdict {
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
    pub(in crate::render) verdict: CaseVerdict,
}

/// The report; warnings pass, since JUnit has no word for them, and say what they are.
pub(super) fn junit(report: &Report) -> String {
    let flat = |finding_site: FindingSite| (finding_site.file, finding_site.start.0);
    let broken = report.diagnostics.iter().filter(|finding| finding.severity == Severity::Error);
    let mut cases: Vec<Case> = broken
        .map(|finding| Case {
            suite: "amlplan".to_owned(),
            class: finding.code.to_owned(),
            name: finding.message.clone(),
            site: finding.labels.first().map(|label| FindingSite::of(&label.place)).map(flat),
            verdict: CaseVerdict::Error {
                kind: finding.code.to_owned(),
                text: finding.message.clone(),
            },
        })
        .collect();
    for finding in &report.findings {
        let word = super::severity(finding.status);
        let text = format!("{word}: {}{}", finding.problem(), finding.closing());
        let kind = finding.code.to_owned();
        // Drift is a failure however mild it is: that is what the command asks.
        let fails = finding.status == Status::Fail
            || (finding.class.is_some() && finding.status == Status::Warning);
        let verdict = match finding.status {
            Status::Pass => CaseVerdict::Pass,
            Status::Info => CaseVerdict::Told(text),
            Status::Warning if !fails => CaseVerdict::Told(text),
            Status::Warning | Status::Fail => CaseVerdict::Failure { kind, text },
            Status::Skipped => CaseVerdict::Skipped(finding.message.clone()),
            Status::Unknown => CaseVerdict::Error { kind, text },
        };
        let about = if finding.title.is_empty() {
            finding.path.to_string()
        } else {
            format!(": {}", finding.title)
        };
        cases.push(Case {
            suite: finding.address.scope.clone(),
            class: finding.code.to_owned(),
            name: format!("{}{about}", finding.address),
            site: FindingSite::of_finding(finding).map(flat),
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
    let count = |has: fn(&CaseVerdict) -> bool| cases.iter().filter(|it| has(&it.verdict)).count();
    let failures = count(|case_verdict| matches!(case_verdict, CaseVerdict::Failure { .. }));
    let errors = count(|case_verdict| matches!(case_verdict, CaseVerdict::Error { .. }));
    let skipped = count(|case_verdict| matches!(case_verdict, CaseVerdict::Skipped(_)));
    let (name, tests) = (markup(name), cases.len());
    format!(
        " name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\" time=\"0\""
    )
}

fn case(case: &Case) -> String {
    let Case { class, name, site, verdict, .. } = case;
    let site = site.as_ref().map(|(file, line)| {
        let file = markup(file);
        format!(" file=\"{file}\" line=\"{line}\"")
    });
    let head = format!(
        "    <testcase classname=\"{}\" name=\"{}\" time=\"0\"{}",
        markup(class),
        markup(name),
        site.unwrap_or_default()
    );
    let problem = |tag: &str, kind: &str, text: &str| {
        let first = markup(text.lines().next().unwrap_or_default());
        let (kind, text) = (markup(kind), markup(text));
        format!("<{tag} type=\"{kind}\" message=\"{first}\">{text}</{tag}>")
    };
    let inner = match verdict {
        CaseVerdict::Pass => return format!("{head}/>"),
        CaseVerdict::Told(text) => format!("<system-out>{}</system-out>", markup(text)),
        CaseVerdict::Failure { kind, text } => problem("failure", kind, text),
        CaseVerdict::Error { kind, text } => problem("error", kind, text),
        CaseVerdict::Skipped(why) => format!("<skipped message=\"{}\"/>", markup(why)),
    };
    format!("{head}>{inner}</testcase>")
}
