//! A report as a document.

use serde_json::json;

use super::{Site, severity, verdict};
use crate::health::{Finding, Report};
use crate::model::Json;
use crate::render::json::diagnostic;

/// `{command, message, complete, errored, summary, findings[], checks[], skipped[], diagnostics[]}`.
/// `findings` is what somebody has to read, `checks` everything that was looked at. [`super::read`]
/// reads it back.
#[must_use]
pub fn json(report: &Report) -> Json {
    let summary: Json = super::people::ORDER
        .iter()
        .map(|it| (it.as_str().to_owned(), json!(report.number(*it))))
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

fn finding(it: &Finding) -> Json {
    let place = Site::of_finding(it).map(|it| {
        json!({
            "file": it.file, "line": it.start.0, "column": it.start.1,
            "end_line": it.end.0, "end_column": it.end.1,
        })
    });
    let mut whole = json!({
        "code": it.code,
        "address": it.address,
        "class": it.class,
        "severity": severity(it.status),
        "status": it.status,
        "path": it.path,
        "title": it.title,
        "message": if it.counts() { it.problem() } else { it.message.clone() },
        "evidence": it.evidence,
        "help": it.help,
        "place": place,
        "fingerprint": it.fingerprint(),
    });
    if let Some((declared, live)) = &it.sides {
        whole["sides"] = json!({"declared": declared, "live": live});
    }
    if !it.detail.is_empty() {
        whole["detail"] = json!(it.detail);
    }
    for (name, value) in &it.members {
        whole[*name] = value.clone();
    }
    whole
}
