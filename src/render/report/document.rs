//! A report as a document.

use serde_json::json;

use super::{FindingSite, severity, verdict};
use crate::health::{Finding, Report};
use crate::model::Json;
use crate::render::json::diagnostic;

/// `{command, message, complete, errored, summary, findings[], checks[], skipped[], diagnostics[]}`.
/// `findings` is what somebody has to read, `checks` everything that was looked at. [`super::read()`]
/// reads it back.
#[must_use]
pub fn json(report: &Report) -> Json {
    let summary: Json = super::people::ORDER
        .iter()
        .map(|status| (status.as_str().to_owned(), json!(report.number(*status))))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let mut whole = json!({
        "command": report.command,
        "message": verdict(report),
        "complete": report.complete(),
        "errored": report.errored(),
        "summary": summary,
        "findings": report.bad().into_iter().map(finding).collect::<Vec<_>>(),
        "checks": report.findings.iter().map(finding).collect::<Vec<_>>(),
        "skipped": report.skipped,
        "diagnostics": report.diagnostics.iter().map(diagnostic).collect::<Vec<_>>(),
    });
    for (name, value) in &report.members {
        whole[*name] = value.clone();
    }
    whole
}

fn finding(finding: &Finding) -> Json {
    let place = FindingSite::of_finding(finding).map(|finding_site| {
        json!({
            "file": finding_site.file, "line": finding_site.start.0, "column": finding_site.start.1,
            "end_line": finding_site.end.0, "end_column": finding_site.end.1,
        })
    });
    let mut whole = json!({
        "code": finding.code,
        "address": finding.address,
        "class": finding.class,
        "severity": severity(finding.status),
        "status": finding.status,
        "path": finding.path,
        "title": finding.title,
        "message": if finding.counts() { finding.problem() } else { finding.message.clone() },
        "evidence": finding.evidence,
        "help": finding.help,
        "place": place,
        "fingerprint": finding.fingerprint(),
    });
    if let Some((declared, live)) = &finding.sides {
        whole["sides"] = json!({"declared": declared, "live": live});
    }
    if !finding.detail.is_empty() {
        whole["detail"] = json!(finding.detail);
    }
    for (name, value) in &finding.members {
        whole[*name] = value.clone();
    }
    whole
}
