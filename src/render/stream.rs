//! The stream of an apply for machines: one object a line, as in Terraform's machine-readable UI
//! (Terraform docs: Machine-Readable UI).

use std::time::Duration;

use serde_json::json;

use super::json::diagnostic;
use super::outcome;
use super::style::duration;
use crate::apply::{Ending, Event, Outcome, StepError};
use crate::model::{Json, Key};
use crate::plan::Action;
use crate::source::{Diagnostic, Severity};

/// One line of a stream: Terraform's envelope around what happened.
fn line(kind: &str, level: &str, message: &str, timestamp: &str) -> Json {
    json!({
        "@level": level,
        "@message": message,
        "@module": "amlplan.ui",
        "@timestamp": timestamp,
        "type": kind,
    })
}

/// A stage of a rollout that begins or ends, as a line of the stream.
#[must_use]
pub fn stage(kind: &str, name: &str, message: &str, timestamp: &str) -> Json {
    let mut whole = line(kind, "info", message, timestamp);
    whole["stage"] = json!(name);
    whole
}

/// A finding as a line of the stream.
#[must_use]
pub fn diagnostic_line(finding: &Diagnostic, timestamp: &str) -> Json {
    let (level, word) = match finding.severity {
        Severity::Error => ("error", "Error"),
        Severity::Warning => ("warn", "Warning"),
        Severity::Advice => ("info", "Advice"),
    };
    let message = format!("{word}: {}", finding.message);
    let mut whole = line("diagnostic", level, &message, timestamp);
    whole["diagnostic"] = diagnostic(finding);
    whole
}

/// A step that goes on, in words.
pub(super) fn still(key: &Key, action: Action, state: &str, elapsed: Duration) -> String {
    format!("{key}: {}... [{} elapsed] state {state}", ing(action), duration(elapsed))
}

const fn ing(action: Action) -> &'static str {
    match action {
        Action::NoOp => "waiting",
        Action::Read => "reading",
        Action::Create => "creating",
        Action::Update => "updating",
        Action::Replace => "replacing",
        Action::Delete => "destroying",
    }
}

/// One event in words, without colour: the `@message` of the stream and the line of a log.
pub(super) fn message(event: &Event) -> String {
    match event {
        Event::Started { key, action } => format!("{key}: {}...", ing(*action)),
        Event::Progress { key, state, waits_for, elapsed } => {
            let waits = waits_for.as_ref().map(|text| format!("; waits for {text}"));
            still(key, Action::NoOp, state, *elapsed) + &waits.unwrap_or_default()
        }
        Event::Completed { key, action, elapsed } => {
            format!("{key}: {} after {}", outcome::past(*action), duration(*elapsed))
        }
        Event::Errored { key, action, error, elapsed } => {
            format!("{key}: {} failed after {}: {error}", ing(*action), duration(*elapsed))
        }
        Event::Skipped { key, because } => format!("{key}: not started, because {because} failed"),
        Event::Left { key, state } => {
            format!("{key}: left in state {state}; Azure goes on with it")
        }
    }
}

/// An event as a line of the stream; `timestamp` is RFC 3339.
#[must_use]
pub fn event(event: &Event, timestamp: &str) -> Json {
    let (kind, level) = match event {
        Event::Started { .. } => ("apply_start", "info"),
        Event::Progress { .. } => ("apply_progress", "info"),
        Event::Completed { .. } => ("apply_complete", "info"),
        Event::Errored { .. } => ("apply_errored", "error"),
        Event::Skipped { .. } => ("apply_skipped", "warn"),
        Event::Left { .. } => ("apply_left", "warn"),
    };
    let mut whole = line(kind, level, &message(event), timestamp);
    let (key, action, elapsed) = match event {
        Event::Started { key, action } => (key, Some(*action), None),
        Event::Progress { key, state, waits_for, elapsed } => {
            whole["state"] = json!(state);
            if let Some(text) = waits_for {
                whole["waits_for"] = json!(text);
            }
            (key, None, Some(*elapsed))
        }
        Event::Completed { key, action, elapsed } => (key, Some(*action), Some(*elapsed)),
        Event::Errored { key, action, error, elapsed } => {
            whole["error"] = failure(error);
            (key, Some(*action), Some(*elapsed))
        }
        Event::Skipped { key, because } => {
            whole["because"] = json!(because);
            (key, None, None)
        }
        Event::Left { key, state } => {
            whole["state"] = json!(state);
            (key, None, None)
        }
    };
    let resource =
        json!({"addr": key, "resource": key, "resource_type": key.kind, "resource_name": key.name});
    whole["address"] = json!(key);
    whole["hook"] = json!({ "resource": resource });
    if let Some(action) = action {
        whole["action"] = json!(action);
        whole["hook"]["action"] = json!(action);
    }
    if let Some(elapsed) = elapsed {
        whole["elapsed_seconds"] = json!(elapsed.as_secs());
        whole["hook"]["elapsed_seconds"] = json!(elapsed.as_secs());
    }
    whole
}

fn failure(error: &StepError) -> Json {
    let StepError { message, code, help, details, field } = error;
    json!({"message": message, "code": code, "help": help, "details": details, "field": field})
}

/// The end of the stream: one line `change_summary` and one line `outputs`.
#[must_use]
pub fn summary(outcome: &Outcome, timestamp: &str) -> [Json; 2] {
    let (add, change, remove) = outcome::counts(outcome);
    let level = if outcome.ending() == Ending::Complete { "info" } else { "error" };
    let mut sum = line("change_summary", level, &outcome::verdict(outcome), timestamp);
    sum["changes"] = json!({
        "add": add, "change": change, "import": 0, "remove": remove, "operation": outcome.mode,
    });
    let Outcome { failed, skipped, running, not_started, unread, interrupted, elapsed, .. } =
        outcome;
    let failed: Vec<Json> = failed
        .iter()
        .map(|(key, error)| json!({"address": key, "error": failure(error)}))
        .collect();
    let running: Vec<Json> =
        running.iter().map(|(key, state)| json!({"address": key, "state": state})).collect();
    let unread: Vec<_> = unread.iter().flat_map(|it| &it.keys).collect();
    sum["amlplan"] = json!({
        "failed": failed,
        "skipped": skipped,
        "running": running,
        "not_started": not_started,
        "unread": unread,
        "interrupted": interrupted,
        "elapsed_seconds": elapsed.as_secs(),
    });
    if !outcome.stages.is_empty() {
        let stages = outcome.stages.iter().map(|stage_end| {
            let failed = stage_end.failed.iter().map(|(name, why)| json!({"cluster": name, "why": why}));
            json!({
                "name": stage_end.name, "done": stage_end.done, "failed": failed.collect::<Vec<_>>(),
                "running": stage_end.running, "not_done": stage_end.waiting,
            })
        });
        sum["amlplan"]["stages"] = stages.collect();
    }
    let message = format!("Outputs: {}", outcome.outputs.len());
    let mut outputs = line("outputs", "info", &message, timestamp);
    let named = outcome.outputs.iter().map(|output| {
        let value = json!({"sensitive": false, "type": "string", "value": output.value});
        (format!("{}:{}", output.key, output.label.replace(' ', "_")), value)
    });
    outputs["outputs"] = named.collect();
    [sum, outputs]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;

    const NOW: &str = "2026-01-02T03:04:05Z";

    #[test]
    fn events_are_lines_of_terraforms_stream() {
        let mut lines: Vec<Json> = samples::events().iter().map(|it| event(it, NOW)).collect();
        lines.extend(summary(&samples::outcome(), NOW));
        lines.extend(samples::plan().findings.iter().map(|finding| diagnostic_line(finding, NOW)));
        insta::assert_json_snapshot!(lines);
    }
}
