//! Drift for build systems: SARIF 2.1.0 (OASIS; GitHub docs: SARIF support for code scanning),
//! JUnit, and GitHub's workflow commands.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::json;

use super::{Finding, Places, Report, Rule};
use crate::model::Json;
use crate::plan::Plan;
use crate::render::report::Site;
use crate::render::report::junit::{self, Case, Verdict};
use crate::source::{Diagnostic, Severity};

/// GitHub shows ten annotations of a kind and drops the rest without a word.
const SHOWN: usize = 10;

const URI: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'<').add(b'>').add(b'?').add(b'`');

/// The report as SARIF. Rules, paths and fingerprints are the same on every run, so that an alert
/// stays open until its field is mended.
#[must_use]
pub fn sarif(plan: &Plan, places: Places<'_>) -> Json {
    let report = Report::new(plan, places);
    let rules: Vec<Json> = Rule::ALL
        .iter()
        .map(|it| {
            json!({
                "id": it.id(),
                "name": it.id(),
                "shortDescription": {"text": it.describe()},
                "fullDescription": {"text": it.describe()},
                "help": {"text": "Run `amlplan plan` to see the whole change and `amlplan apply` to make it, or change the manifest."},
                "defaultConfiguration": {"level": if it.is_error() { "error" } else { "warning" }},
                "properties": {"tags": ["drift"]},
            })
        })
        .collect();
    let notification = |it: &Diagnostic| json!({"descriptor": {"id": it.code}, "message": {"text": it.message}, "level": level(it.severity)});
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": env!("CARGO_PKG_NAME"),
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "automationDetails": {"id": "amlplan/drift/"},
            "columnKind": "unicodeCodePoints",
            "invocations": [{
                "executionSuccessful": !plan.errored() && plan.unread.is_empty(),
                "toolExecutionNotifications": plan.told().map(notification).collect::<Vec<_>>(),
            }],
            "results": report.findings.iter().map(result).collect::<Vec<_>>(),
        }],
    })
}

fn result(finding: &Finding<'_>) -> Json {
    let key = &finding.step.key;
    let logical =
        json!([{"fullyQualifiedName": format!("{key}{}", finding.path), "kind": "resource"}]);
    let mut location = json!({ "logicalLocations": logical });
    if let Some(Site { file, start, end }) = finding.site() {
        location["physicalLocation"] = json!({
            "artifactLocation": {"uri": utf8_percent_encode(&file, URI).to_string()},
            "region": {
                "startLine": start.0, "startColumn": start.1,
                "endLine": end.0, "endColumn": end.1,
            },
        });
    }
    json!({
        "ruleId": finding.rule.id(),
        "ruleIndex": Rule::ALL.iter().position(|it| *it == finding.rule),
        "level": if finding.is_error() { "error" } else { "warning" },
        "message": {"text": format!("{key}: {}", finding.problem())},
        "locations": [location],
        "partialFingerprints": {"primaryLocationLineHash": format!("{}:1", finding.fingerprint())},
        "properties": {"address": key, "path": finding.path},
    })
}

const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Advice => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

/// The report as JUnit: a suite a cluster, a case a resource; what could not be compared is an error.
#[must_use]
pub fn junit(plan: &Plan, places: Places<'_>) -> String {
    let report = Report::new(plan, places);
    let mut cases: Vec<Case> = plan
        .findings
        .iter()
        .filter(|it| it.severity == Severity::Error)
        .map(|it| Case {
            suite: "amlplan".to_owned(),
            class: it.code.to_owned(),
            name: it.message.clone(),
            site: it.labels.first().map(|it| Site::of(&it.place)).map(|it| (it.file, it.start.0)),
            verdict: Verdict::Error { kind: it.code.to_owned(), text: it.message.clone() },
        })
        .collect();
    for unread in &plan.unread {
        let text = &unread.reason;
        cases.extend(unread.keys.iter().map(|key| Case {
            suite: key.scope.clone(),
            class: key.kind.to_string(),
            name: key.to_string(),
            site: unread.finding.labels.first().map(|it| {
                let site = Site::of(&it.place);
                (site.file, site.start.0)
            }),
            verdict: Verdict::Error { kind: unread.finding.code.to_owned(), text: text.clone() },
        }));
    }
    for step in plan.steps.iter().filter(|it| !it.key.kind.read_only()) {
        let own: Vec<&Finding<'_>> =
            report.findings.iter().filter(|it| it.step.key == step.key).collect();
        let problems: Vec<String> = own.iter().map(|it| it.problem()).collect();
        let verdict = match own.first() {
            None => Verdict::Pass,
            Some(first) => {
                Verdict::Failure { kind: first.rule.id().to_owned(), text: problems.join("\n") }
            }
        };
        cases.push(Case {
            suite: step.key.scope.clone(),
            class: step.key.kind.to_string(),
            name: step.key.to_string(),
            site: own.first().and_then(|it| it.site()).map(|it| (it.file, it.start.0)),
            verdict,
        });
    }
    junit::document("amlplan drift", &cases)
}

/// The report as GitHub workflow commands, the worst first (GitHub docs: Workflow commands). GitHub
/// shows ten of a kind, so a last notice counts the rest.
#[must_use]
pub fn github(plan: &Plan, places: Places<'_>) -> String {
    let report = Report::new(plan, places);
    let mut commands: Vec<(Severity, String)> = Vec::new();
    for it in plan.told() {
        let site = it.labels.first().map(|it| Site::of(&it.place));
        commands.push((it.severity, command(it.severity, it.code, site, &it.message)));
    }
    for it in &report.findings {
        let severity = if it.is_error() { Severity::Error } else { Severity::Warning };
        let message = format!("{}: {}", it.step.key, it.problem());
        commands.push((severity, command(severity, it.rule.id(), it.site(), &message)));
    }
    commands.sort_by_key(|(severity, _)| std::cmp::Reverse(*severity));
    let of = |severity| commands.iter().filter(|(it, _)| *it == severity).count();
    let hidden: usize = [Severity::Error, Severity::Warning, Severity::Advice]
        .map(|it| of(it).saturating_sub(SHOWN))
        .iter()
        .sum();
    if hidden > 0 {
        let message = format!("{hidden} more findings are in the log of this step");
        commands.push((Severity::Advice, command(Severity::Advice, "amlplan", None, &message)));
    }
    // A line that is no command stands in the log only.
    let log = [report.verdict(), "\n".to_owned()];
    commands.into_iter().map(|(_, it)| it).chain(log).collect()
}

fn command(severity: Severity, title: &str, site: Option<Site>, message: &str) -> String {
    let word = match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Advice => "notice",
    };
    let mut properties = Vec::new();
    if let Some(Site { file, start, end }) = site {
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
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    escaped(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_cannot_be_broken_out_of() {
        let site = Site { file: "a,b:c%.yaml".to_owned(), start: (2, 3), end: (2, 9) };
        let line = command(Severity::Error, "x", Some(site), "50%\r\n::warning::x");
        let wanted = "::error file=a%2Cb%3Ac%25.yaml,line=2,endLine=2,col=3,endColumn=9,title=x::50%25%0D%0A::warning::x\n";
        assert_eq!(line, wanted);
    }
}
