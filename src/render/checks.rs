//! Results of checks, for `verify` and `doctor`.

use std::collections::BTreeMap;

use serde_json::json;

use super::drift::Site;
use super::junit::{self, Case, Verdict};
use super::style::{Ink, Style, count, text};
use crate::health::{Check, Status};
use crate::model::Json;
use crate::source::Place;

const ORDER: [Status; 5] =
    [Status::Fail, Status::Unknown, Status::Warning, Status::Skipped, Status::Pass];

/// Symbol, word and colour of a result.
const fn said(status: Status) -> (&'static str, &'static str, Ink) {
    match status {
        Status::Pass => ("✓", "ok", Ink::Good),
        Status::Skipped => ("-", "skipped", Ink::Faint),
        Status::Warning => ("!", "warning", Ink::Careful),
        Status::Unknown => ("?", "unknown", Ink::Careful),
        Status::Fail => ("✗", "failed", Ink::Bad),
    }
}

fn counts(checks: &[Check]) -> BTreeMap<Status, usize> {
    let mut counts = BTreeMap::new();
    for check in checks {
        *counts.entry(check.status).or_default() += 1;
    }
    counts
}

fn verdict(checks: &[Check]) -> String {
    let counts = counts(checks);
    let parts: Vec<String> = ORDER
        .iter()
        .filter_map(|it| Some(format!("{} {}", counts.get(it)?, said(*it).1)))
        .collect();
    format!("{}: {}.", count(checks.len(), "check"), parts.join(", "))
}

fn by_scope(checks: &[Check]) -> BTreeMap<&str, Vec<&Check>> {
    let mut scopes: BTreeMap<&str, Vec<&Check>> = BTreeMap::new();
    for check in checks {
        scopes.entry(&check.key.scope).or_default().push(check);
    }
    scopes
}

/// File and line of a place.
fn site(place: &Place) -> (String, usize) {
    let site = Site::of(place);
    (site.file, site.start.0)
}

/// The checks of each cluster with what was found and how to mend it; the sum is the last line.
#[must_use]
pub fn human(checks: &[Check], style: &Style) -> String {
    if checks.is_empty() {
        return "No checks apply.\n".to_owned();
    }
    let mut lines = Vec::new();
    for (scope, checks) in by_scope(checks) {
        lines.push(style.ink(Ink::Strong, scope));
        for check in checks {
            let Check { code, key, title, status, message, help, place } = check;
            let (symbol, word, ink) = said(*status);
            let mark = style.ink(ink, &format!("{symbol} {word:<7}"));
            let about = match status {
                Status::Pass => String::new(),
                Status::Skipped | Status::Warning | Status::Unknown | Status::Fail => {
                    style.ink(Ink::Faint, &format!(" [{code}] {key}"))
                }
            };
            lines.push(format!("  {mark} {title}{about}"));
            let below = " ".repeat(12);
            if !message.is_empty() {
                lines.extend(style.wrap(&below, message));
            }
            if let Some((file, line)) = place.as_ref().map(site) {
                lines.push(format!("{below}at {file}:{line}"));
            }
            if let Some(help) = help {
                lines.extend(style.wrap(&below, &format!("help: {help}")));
            }
        }
        lines.push(String::new());
    }
    lines.push(style.ink(Ink::Strong, &verdict(checks)));
    text(&lines)
}

/// `{"summary": {STATUS: number}, "checks": [{code, address, title, status, message, help, place}]}`.
#[must_use]
pub fn json(checks: &[Check]) -> Json {
    let check = |it: &Check| {
        let Check { code, key, title, status, message, help, place } = it;
        let place =
            place.as_ref().map(site).map(|(file, line)| json!({"file": file, "line": line}));
        json!({
            "code": code, "address": key, "title": title, "status": status,
            "message": message, "help": help, "place": place,
        })
    };
    let counts = counts(checks);
    let summary: BTreeMap<String, usize> = ORDER
        .iter()
        .filter_map(|it| {
            let word = serde_json::to_value(it).ok()?.as_str()?.to_owned();
            Some((word, counts.get(it).copied().unwrap_or_default()))
        })
        .collect();
    json!({"summary": summary, "checks": checks.iter().map(check).collect::<Vec<_>>()})
}

/// The checks as JUnit: a suite a cluster, a case a check.
#[must_use]
pub fn junit(name: &str, checks: &[Check]) -> String {
    let case = |it: &Check| {
        let Check { code, key, title, status, message, help, place } = it;
        let help = help.as_ref().map(|it| format!("\nhelp: {it}")).unwrap_or_default();
        let (kind, text) = (String::from(*code), format!("{message}{help}"));
        let verdict = match status {
            // JUnit has no warnings.
            Status::Pass | Status::Warning => Verdict::Pass,
            Status::Skipped => Verdict::Skipped(message.clone()),
            Status::Unknown => Verdict::Error { kind, text },
            Status::Fail => Verdict::Failure { kind, text },
        };
        Case {
            suite: key.scope.clone(),
            class: (*code).to_owned(),
            name: format!("{key}: {title}"),
            site: place.as_ref().map(site),
            verdict,
        }
    };
    junit::document(name, &checks.iter().map(case).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;

    fn checks() -> Vec<Check> {
        let check = |scope: &str, status, message: &str, help: Option<&str>| Check {
            code: "extension-state",
            key: samples::key(&format!("{scope}/extension/x")),
            title: "the extension is installed".to_owned(),
            status,
            message: message.to_owned(),
            help: help.map(str::to_owned),
            place: (status == Status::Fail).then(samples::place),
        };
        vec![
            check("edge-02", Status::Fail, "state is Failed", Some("look at its pods")),
            check("edge-01", Status::Pass, "", None),
            check("edge-01", Status::Warning, "an update is waiting", None),
            check("edge-01", Status::Unknown, "the cluster does not answer", None),
            check("edge-01", Status::Skipped, "access is azureOnly", None),
        ]
    }

    #[test]
    fn checks_are_grouped_by_cluster_with_symbol_and_word() {
        insta::assert_snapshot!(human(&checks(), &Style::default()));
        insta::assert_snapshot!(junit("amlplan verify", &checks()));
    }

    #[test]
    fn the_summary_counts_every_status_even_when_there_is_none() {
        let document = json(&checks());
        let wanted = json!({"pass": 1, "skipped": 1, "warning": 1, "unknown": 1, "fail": 1});
        assert_eq!(document["summary"], wanted);
        assert_eq!(json(&[])["summary"]["fail"], 0);
        assert_eq!(document["checks"][0]["place"]["line"], 3);
    }
}
