//! Reports for build systems: SARIF 2.1.0 (OASIS; GitHub docs: SARIF support for code scanning),
//! GitHub's workflow commands, Azure Pipelines' logging commands, GitLab's code quality report, and
//! Prometheus' text format.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::json;

use super::{FindingSite, severity, verdict};
use crate::catalog;
use crate::health::{Finding, Report, Status, fingerprint};
use crate::model::Json;
use crate::source::{Diagnostic, Severity};

/// GitHub shows ten annotations of a kind and drops the rest without a word.
const SHOWN: usize = 10;

const URI: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'<').add(b'>').add(b'?').add(b'`');

const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Advice => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

const fn grade(status: Status) -> Severity {
    match status {
        Status::Fail => Severity::Error,
        Status::Warning | Status::Unknown => Severity::Warning,
        Status::Info | Status::Pass | Status::Skipped => Severity::Advice,
    }
}

/// The report as SARIF. Rules, paths and fingerprints are the same on every run, so that an alert
/// stays open until its cause is mended.
pub(super) fn sarif(report: &Report) -> Json {
    let bad = report.bad();
    let codes: BTreeSet<&str> = bad.iter().map(|finding| finding.code).collect();
    let codes: Vec<&str> = codes.into_iter().collect();
    let rule = |code: &&str| {
        let page = catalog::explain(code);
        let short = page.map_or(*code, |it| &it.summary);
        let full = page.map_or(short, |it| if it.cause.is_empty() { short } else { &it.cause });
        json!({
            "id": code,
            "name": code,
            "shortDescription": {"text": short},
            "fullDescription": {"text": full},
            "help": {"text": format!("Run `amlplan explain {code}`.")},
            "properties": {"tags": [report.command]},
        })
    };
    let notification = |finding: &Diagnostic| json!({"descriptor": {"id": finding.code}, "message": {"text": finding.message}, "level": level(finding.severity)});
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": env!("CARGO_PKG_NAME"),
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": codes.iter().map(rule).collect::<Vec<_>>(),
            }},
            "automationDetails": {"id": format!("amlplan/{}/", report.command)},
            "columnKind": "unicodeCodePoints",
            "invocations": [{
                "executionSuccessful": !report.errored(),
                "toolExecutionNotifications": report.diagnostics.iter().map(notification).collect::<Vec<_>>(),
            }],
            "results": bad.iter().map(|finding| result(finding, &codes)).collect::<Vec<_>>(),
        }],
    })
}

fn result(finding: &Finding, codes: &[&str]) -> Json {
    let address = &finding.address;
    let logical =
        json!([{"fullyQualifiedName": format!("{address}{}", finding.path), "kind": "resource"}]);
    let mut location = json!({ "logicalLocations": logical });
    if let Some(FindingSite { file, start, end }) = FindingSite::of_finding(finding) {
        location["physicalLocation"] = json!({
            "artifactLocation": {"uri": utf8_percent_encode(&file, URI).to_string()},
            "region": {
                "startLine": start.0, "startColumn": start.1,
                "endLine": end.0, "endColumn": end.1,
            },
        });
    }
    let help = finding.help.as_ref().map(|text| format!("\nhelp: {text}")).unwrap_or_default();
    json!({
        "ruleId": finding.code,
        "ruleIndex": codes.iter().position(|code| *code == finding.code),
        "level": level(grade(finding.status)),
        "message": {"text": format!("{address}: {}{help}", finding.problem())},
        "locations": [location],
        "partialFingerprints": {"primaryLocationLineHash": format!("{}:1", finding.fingerprint())},
        "properties": {"address": address, "path": finding.path, "class": finding.class},
    })
}

/// What a build system is told in a line of its own.
struct Issue {
    severity: Severity,
    code: &'static str,
    site: Option<FindingSite>,
    message: String,
}

/// What kept a part from being looked at, then the findings.
fn issues(report: &Report) -> Vec<Issue> {
    let told = report.diagnostics.iter().map(|finding| Issue {
        severity: finding.severity,
        code: finding.code,
        site: finding.labels.first().map(|label| FindingSite::of(&label.place)),
        message: finding.message.clone(),
    });
    let found = report.bad().into_iter().map(|finding| Issue {
        severity: grade(finding.status),
        code: finding.code,
        site: FindingSite::of_finding(finding),
        message: format!("{}: {}{}", finding.address, finding.problem(), finding.closing()),
    });
    told.chain(found).collect()
}

/// The text without what acts on a terminal.
fn printable(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control() || "\n\r\t".contains(*letter)).collect()
}

/// The report as GitHub workflow commands, the worst first (GitHub docs: Workflow commands). GitHub
/// shows ten of a kind, so a last notice counts the rest.
pub(super) fn github(report: &Report) -> String {
    let mut commands: Vec<(Severity, String)> = issues(report)
        .into_iter()
        .map(|it| (it.severity, command(it.severity, it.code, it.site, &it.message)))
        .collect();
    commands.sort_by_key(|(severity, _)| std::cmp::Reverse(*severity));
    // What does not fit stands in the log as a line that is no command, and in the step's summary.
    let mut shown = std::collections::BTreeMap::new();
    let (mut out, mut rest) = (String::new(), Vec::new());
    for (severity, line) in commands {
        let number: &mut usize = shown.entry(severity).or_default();
        *number += 1;
        // The last notice is kept for the sum.
        let most = if severity == Severity::Advice { SHOWN - 1 } else { SHOWN };
        if *number <= most {
            out.push_str(&line);
        } else {
            rest.push(line);
        }
    }
    if !rest.is_empty() {
        let message =
            format!("{} more findings are in the summary and the log of this step", rest.len());
        out.push_str(&command(Severity::Advice, "amlplan", None, &message));
        rest.iter().for_each(|text| out.push_str(text.trim_start_matches(':')));
    }
    out.push_str(&verdict(report));
    out.push('\n');
    out
}

fn command(severity: Severity, title: &str, site: Option<FindingSite>, message: &str) -> String {
    let word = match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Advice => "notice",
    };
    let mut properties = Vec::new();
    if let Some(FindingSite { file, start, end }) = site {
        properties.push(format!("file={}", property(&file)));
        properties.push(format!("line={},endLine={}", start.0, end.0));
        // Columns of a region over several lines are refused.
        if start.0 == end.0 {
            properties.push(format!("col={},endColumn={}", start.1, end.1));
        }
    }
    properties.push(format!("title={}", property(title)));
    format!("::{word} {}::{}\n", properties.join(","), escaped(message))
}

fn escaped(text: &str) -> String {
    printable(text).replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    escaped(text).replace(':', "%3A").replace(',', "%2C")
}

/// The report as logging commands (Azure Pipelines docs: Logging commands). Errors and warnings are
/// issues; what is only to know stands in the log.
pub(super) fn azure_pipelines(report: &Report) -> String {
    let mut out = String::new();
    for Issue { severity, code, site, message } in issues(report) {
        let kind = match severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Advice => {
                let _ = writeln!(out, "{}", vso(&format!("{code}: {message}")));
                continue;
            }
        };
        let place = site.map_or_else(String::new, |FindingSite { file, start, .. }| {
            format!("sourcepath={};linenumber={};columnnumber={};", vso(&file), start.0, start.1)
        });
        let (code, message) = (vso(code), vso(&message));
        let _ = writeln!(out, "##vso[task.logissue type={kind};{place}code={code}]{message}");
    }
    if report.bad().iter().any(|finding| grade(finding.status) == Severity::Warning) {
        out.push_str("##vso[task.complete result=SucceededWithIssues]\n");
    }
    let _ = writeln!(out, "{}", vso(&verdict(report)));
    out
}

/// Data of a logging command; a line of the log that begins with `##` would be one too.
fn vso(text: &str) -> String {
    let text = printable(text).replace('%', "%AZP25").replace('\r', "%0D").replace('\n', "%0A");
    let text = text.replace(';', "%3B").replace(']', "%5D");
    text.replace("##", "# #")
}

/// GitLab takes nothing without a place.
fn location(site: Option<&FindingSite>) -> Json {
    json!({
        "path": site.map_or("cluster.yaml", |finding_site| &finding_site.file),
        "lines": {"begin": site.map_or(1, |finding_site| finding_site.start.0)},
    })
}

/// The report as GitLab's code quality (GitLab docs: Code Quality, report format).
pub(super) fn gitlab(report: &Report) -> Json {
    let issue = |finding: &&Finding| {
        let site = FindingSite::of_finding(finding);
        json!({
            "description": format!("{}: {}", finding.address, finding.problem()),
            "check_name": finding.code,
            "fingerprint": finding.fingerprint(),
            "severity": match finding.status {
                Status::Fail => "critical",
                Status::Warning | Status::Unknown => "minor",
                Status::Info | Status::Pass | Status::Skipped => "info",
            },
            "location": location(site.as_ref()),
        })
    };
    // What kept a part from being looked at must not read as if all were well.
    let broken =
        report.diagnostics.iter().filter(|it| it.severity == Severity::Error).map(|finding| {
            let site = finding.labels.first().map(|label| FindingSite::of(&label.place));
            json!({
                "description": finding.message,
                "check_name": finding.code,
                "fingerprint": fingerprint(&[finding.code, &finding.message]),
                "severity": "critical",
                "location": location(site.as_ref()),
            })
        });
    report.bad().iter().map(issue).chain(broken).collect::<Vec<_>>().into()
}

/// The report as metrics: findings by code, class, severity and cluster, and whether everything
/// could be looked at.
pub(super) fn prometheus(report: &Report) -> String {
    let command = report.command;
    let mut out = String::new();
    let _ = writeln!(out, "# HELP amlplan_findings Findings of amlplan {command}.");
    let _ = writeln!(out, "# TYPE amlplan_findings gauge");
    let mut counts: BTreeMap<(&str, &str, &str, &str), usize> = BTreeMap::new();
    for finding in report.bad() {
        let class = finding.class.unwrap_or_default();
        let key = (finding.address.scope.as_str(), finding.code, class, severity(finding.status));
        *counts.entry(key).or_default() += 1;
    }
    for ((scope, code, class, severity), number) in counts {
        let (scope, code, class) = (label(scope), label(code), label(class));
        let _ = writeln!(
            out,
            "amlplan_findings{{command=\"{command}\",scope=\"{scope}\",code=\"{code}\",class=\"{class}\",severity=\"{severity}\"}} {number}"
        );
    }
    let sums = [
        ("checks", "How many things were looked at.", report.findings.len().to_string()),
        (
            "complete",
            "1 when everything could be looked at.",
            u8::from(report.complete()).to_string(),
        ),
    ];
    out + &gauges(command, sums)
}

/// When a run ended, in seconds since 1970, and how long it took, to stand below the metrics of its
/// report.
#[must_use]
pub fn run_metrics(command: &str, ended: i64, took: Duration) -> String {
    let all = [
        ("last_run_timestamp_seconds", "When amlplan last looked.", ended.to_string()),
        ("run_duration_seconds", "How long it took.", format!("{:.3}", took.as_secs_f64())),
    ];
    gauges(command, all)
}

/// Metrics of one value each: name, help, value.
fn gauges(command: &str, all: [(&str, &str, String); 2]) -> String {
    let line = |(name, help, value): (&str, &str, String)| {
        format!(
            "# HELP amlplan_{name} {help}\n# TYPE amlplan_{name} gauge\namlplan_{name}{{command=\"{command}\"}} {value}\n"
        )
    };
    all.map(line).concat()
}

/// A label value of Prometheus' text format.
fn label(text: &str) -> String {
    let text: String = text.chars().filter(|it| !it.is_control() || *it == '\n').collect();
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_cannot_be_broken_out_of() {
        let site = FindingSite { file: "a,b:c%.yaml".to_owned(), start: (2, 3), end: (2, 9) };
        let line = command(Severity::Error, "x", Some(site), "50%\r\n::warning::x");
        let wanted = "::error file=a%2Cb%3Ac%25.yaml,line=2,endLine=2,col=3,endColumn=9,title=x::50%25%0D%0A::warning::x\n";
        assert_eq!(line, wanted);
        assert_eq!(vso("##vso[a]\n##[x]"), "# #vso[a%5D%0A# #[x%5D");
    }
}
