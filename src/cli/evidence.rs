//! What a failure is told with, and the file for a support ticket.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;

use super::context::now;
use super::exit::{CommandFailure, Streams};
use crate::apply::{Evidence, Explain, Outcome, StepError};
use crate::catalog;
use crate::client::net::redact;
use crate::health::healthcheck;
use crate::model::{Json, Key, Pointer};
use crate::render::safe::Commands;
use crate::resource::graph::Desired;
use crate::resource::pods;
use crate::source::Place;

/// What was seen of each failure of a run.
pub(super) type Failures = Arc<Mutex<Vec<(Key, Evidence)>>>;

/// How many pods and events stand on the screen; the file has all.
const SHOWN: usize = 3;

/// Makes of a failure what a person should read: cause and evidence (health report, statuses, pods,
/// events), the line of the manifest, the remedy for its code.
pub(super) fn explainer(desired: &Desired, failures: &Failures) -> Explain {
    let (desired, failures) = (desired.clone(), Arc::clone(failures));
    Arc::new(move |failure| {
        let evidence = &failure.evidence;
        let (status, code) = (failure.status.unwrap_or(0), failure.code.as_deref().unwrap_or(""));
        let remedy = catalog::remedy(failure.api, status, code, &failure.message);
        let mut help = failure.help.clone().or_else(|| remedy.map(|page| page.help.clone()));
        let mut details = Vec::new();
        let mut field =
            failure.target.as_deref().filter(|target| target.contains('.')).map(Pointer::dotted);
        let at = field.clone().unwrap_or_default();
        let declared = desired.place(&failure.key, &at);
        let mut place = declared.map(|it| line_of("declared at", &it));
        let found = evidence.health.as_ref().map(healthcheck::decode).unwrap_or_default();
        // What stops an installation comes last, so that its remedy is the one that stays.
        for blocking in [false, true] {
            for checker_finding in found.iter().filter(|it| it.blocking == blocking) {
                // Hooks of one operation repeat each other.
                let line = format!(
                    "{} {}: {} ({})",
                    checker_finding.code,
                    checker_finding.name,
                    checker_finding.message,
                    checker_finding.cause
                );
                if !details.contains(&line) {
                    details.push(line);
                }
                help = Some(checker_finding.remedy.clone());
                if let Some(setting) = checker_finding.setting {
                    let path = Pointer::parse("/properties/configurationSettings").join(setting);
                    let line = desired.place(&failure.key, &path);
                    place =
                        line.map(|it| line_of(&format!("setting `{setting}` at"), &it)).or(place);
                    field = Some(path);
                }
            }
        }
        details.extend(seen(evidence, &failure.message));
        details.extend(place);
        details.extend(failure.details.clone());
        if let Ok(mut failures) = failures.lock() {
            failures.push((failure.key.clone(), failure.evidence.clone()));
        }
        StepError {
            message: failure.message,
            code: failure.code.filter(|code| !code.is_empty()),
            help,
            details,
            field,
        }
    })
}

/// Statuses, pods and events in a few lines, without what is said already.
fn seen(evidence: &Evidence, said: &str) -> Vec<String> {
    let statuses =
        evidence.document.as_ref().and_then(|it| it.pointer("/properties/statuses")?.as_array());
    let status = |value: &Json| {
        let of = |name: &str| value.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
        (of("message") != said).then(|| format!("status {}: {}", of("code"), of("message")))
    };
    let mut lines: Vec<String> =
        statuses.into_iter().flatten().filter_map(status).take(SHOWN).collect();
    let bad: Vec<String> = evidence.pods.iter().filter_map(pods::trouble).collect();
    lines.extend(bad.iter().take(SHOWN).map(|text| format!("pod {text}")));
    if bad.len() > SHOWN {
        lines.push(format!("and {} more pods that are not ready", bad.len() - SHOWN));
    }
    lines.extend(pods::warnings(&evidence.events, SHOWN).iter().map(|it| format!("event {it}")));
    lines
}

fn line_of(what: &str, place: &Place) -> String {
    format!("{what} {}:{}", place.source.path.display(), place.line_column().0)
}

/// Writes everything that is known about the failures of a run.
pub(super) fn write(
    path: &Path,
    failures: &Failures,
    outcome: &Outcome,
    out: &Streams,
) -> Result<(), CommandFailure> {
    let seen = failures.lock().unwrap_or_else(PoisonError::into_inner);
    let failed: Vec<Json> = outcome
        .failed
        .iter()
        .map(|(key, error)| {
            let StepError { message, code, help, details, field } = error;
            let evidence = seen.iter().find(|it| it.0 == *key).map(|it| &it.1);
            let part = |of: fn(&Evidence) -> Json| evidence.map_or(Json::Null, |it| plain(of(it)));
            json!({"address": key, "message": message, "code": code, "help": help, "details": details,
                "field": field,
                "health_report": part(|evidence| evidence.health.as_ref().and_then(|value| value.get("data")).cloned().into()),
                "resource": part(|evidence| evidence.document.clone().into()),
                "pods": part(|evidence| evidence.pods.iter().map(pod).collect()),
                "events": part(|evidence| evidence.events.iter().map(event).collect())})
        })
        .collect();
    let running: Vec<Json> = outcome
        .running
        .iter()
        .map(|(key, state)| json!({"address": key, "state": state}))
        .collect();
    let document = json!({"format_version": "1.0", "amlplan": env!("CARGO_PKG_VERSION"), "time": now().to_string(),
        "failed": failed, "running": running, "skipped": outcome.skipped, "not_started": outcome.not_started});
    let text = serde_json::to_string_pretty(&document).unwrap_or_default() + "\n";
    out.deliver(&text, Commands::None, Some(path))
}

/// A document in which every text lost what looks like a token or a key, and no protected setting
/// stands.
fn plain(document: Json) -> Json {
    match document {
        Json::String(text) => Json::String(redact(&text).into()),
        Json::Array(items) => items.into_iter().map(plain).collect(),
        Json::Object(map) => map
            .into_iter()
            .filter(|(key, _)| key != "configurationProtectedSettings")
            .map(|(key, value)| (key, plain(value)))
            .collect(),
        other => other,
    }
}

/// A pod without its environment, which may hold secrets.
fn pod(value: &Json) -> Json {
    let images = value.pointer("/spec/containers").and_then(Json::as_array);
    let container = |it: &Json| json!({"name": it.get("name"), "image": it.get("image"), "resources": it.get("resources")});
    json!({"name": value.pointer("/metadata/name"), "node": value.pointer("/spec/nodeName"),
        "service_account": value.pointer("/spec/serviceAccountName"),
        "containers": images.into_iter().flatten().map(container).collect::<Vec<_>>(), "status": value.get("status")})
}

fn event(value: &Json) -> Json {
    let of = |name: &str| value.get(name).cloned();
    json!({"type": of("type"), "reason": of("reason"), "message": of("message"), "count": of("count"),
        "about": value.pointer("/involvedObject/name"), "last": of("lastTimestamp")})
}
