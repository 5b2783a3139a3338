//! How an apply ended, as text for people.

use super::style::{Ink, Style, and_more, count, duration, text};
use crate::apply::{Ending, Outcome, StageEnd, StepError};
use crate::model::{Key, KindName};
use crate::plan::{Action, Mode, Unread};

/// What was done and how long it took, what failed and how to mend it, what still runs, what is
/// worth knowing, and what to do next. The verdict stands on a line of its own.
#[must_use]
pub fn outcome(outcome: &Outcome, style: &Style) -> String {
    // The plan stands right above.
    let mut lines = vec![String::new()];
    // What went well was said while it did; what failed has the screen.
    if outcome.failed.is_empty() && outcome.unread.is_empty() {
        done(outcome, &mut lines);
    }
    for (key, error) in &outcome.failed {
        let title = format!("{} {key} failed", style.ink(Ink::Bad, "✗"));
        lines.push(title);
        lines.extend(failure(error, style));
        lines.push(String::new());
    }
    for missed in outcome.unread.iter().filter(|it| it.finding.code == "read-failed") {
        lines.extend(unread(missed, style));
    }
    let running: Vec<String> =
        outcome.running.iter().map(|(key, state)| format!("{key} (state {state})")).collect();
    list(&mut lines, "Still being worked on:", &running);
    if outcome.stages.is_empty() {
        untouched(outcome, style, &mut lines);
    }
    stages(outcome, style, &mut lines);
    lines.push(style.ink(Ink::Strong, &verdict(outcome)));
    if !outcome.outputs.is_empty() {
        lines.push(String::new());
        lines.push("Outputs:".to_owned());
        let outputs = outcome.outputs.iter();
        lines.extend(outputs.map(|it| format!("  {} {}: {}", it.key, it.label, it.value)));
    }
    if let Some(next) = next(outcome) {
        lines.push(String::new());
        lines.extend(style.wrap("", next));
    }
    text(&lines)
}

fn list(lines: &mut Vec<String>, title: &str, items: &[String]) {
    if !items.is_empty() {
        lines.push(title.to_owned());
        lines.extend(items.iter().map(|text| format!("  {text}")));
        lines.push(String::new());
    }
}

/// What was not started; of a rollout the stages say it, by cluster.
fn untouched(outcome: &Outcome, style: &Style, lines: &mut Vec<String>) {
    let why = if outcome.interrupted { "you interrupted" } else { "the time was up" };
    for (keys, why) in
        [(&outcome.skipped, "something they need failed"), (&outcome.not_started, why)]
    {
        if !keys.is_empty() {
            let names = by_kind(keys);
            lines.extend(style.wrap("", &format!("Not started, because {why}: {names}.")));
            lines.push(String::new());
        }
    }
}

/// Few addresses as they are, many as counts of their kinds.
fn by_kind(keys: &[Key]) -> String {
    const MOST: usize = 3;
    if keys.len() <= MOST {
        return keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    }
    let mut kinds: Vec<(KindName, usize)> = Vec::new();
    for key in keys {
        match kinds.iter_mut().find(|it| it.0 == key.kind) {
            Some((_, number)) => *number += 1,
            None => kinds.push((key.kind, 1)),
        }
    }
    kinds.iter().map(|(kind, number)| format!("{number} {kind}")).collect::<Vec<_>>().join(", ")
}

/// Where the clusters of each stage stand.
fn stages(outcome: &Outcome, style: &Style, lines: &mut Vec<String>) {
    let width = outcome.stages.iter().map(|stage| stage.name.chars().count()).max().unwrap_or(0);
    for StageEnd { name, done, failed, running, waiting } in &outcome.stages {
        let all = done.len() + failed.len() + running.len() + waiting.len();
        let mut said = vec![format!("{} of {} done", done.len(), count(all, "cluster"))];
        let mut also = |names: &[String], word: &str| {
            if !names.is_empty() {
                let few = if names.len() == all { String::new() } else { few(names) };
                said.push(format!("{} {word}{few}", names.len()));
            }
        };
        let bad: Vec<String> = failed.iter().map(|it| it.0.clone()).collect();
        also(&bad, "failed");
        also(running, "still running");
        also(waiting, "not done");
        let line = format!("stage {name:width$}  {}", said.join(", "));
        lines.extend(style.hang("  ", &line));
    }
    if !outcome.stages.is_empty() {
        lines.push(String::new());
    }
}

/// Some names of many.
pub(super) fn few(names: &[String]) -> String {
    const MOST: usize = 10;
    let more = and_more(names.len().saturating_sub(MOST));
    format!(" ({}{more})", names[..names.len().min(MOST)].join(", "))
}

fn done(outcome: &Outcome, lines: &mut Vec<String>) {
    let width = outcome.done.iter().map(|it| it.0.to_string().chars().count()).max().unwrap_or(0);
    for (key, action, took) in &outcome.done {
        let (key, took) = (key.to_string(), duration(*took));
        lines.push(format!("  {key:width$}  {} in {took}", past(*action)));
    }
    if !outcome.done.is_empty() {
        lines.push(String::new());
    }
}

/// A failed step in full: message, code, details, the field, and how to mend it.
pub(super) fn failure(error: &StepError, style: &Style) -> Vec<String> {
    let StepError { message, code, help, details, field } = error;
    let code = code.as_ref().map(|text| format!(" ({text})")).unwrap_or_default();
    let mut lines = style.wrap("    ", &format!("{message}{code}"));
    lines.extend(field.iter().map(|path| format!("    field: {path}")));
    lines.extend(details.iter().flat_map(|detail| style.wrap("      ", detail)));
    lines.extend(help.iter().flat_map(|text| style.wrap("    ", &format!("help: {text}"))));
    lines
}

/// Something that could not be read, and what was left undone for it: cause, line and fix, since the
/// plan that said so may be screens away.
fn unread(unread: &Unread, style: &Style) -> Vec<String> {
    let first = unread.keys.first().map(ToString::to_string).unwrap_or_default();
    let more = and_more(unread.keys.len().saturating_sub(1));
    let mut lines = vec![format!("{} {first}{more} not read", style.ink(Ink::Bad, "✗"))];
    lines.extend(style.wrap("    ", &unread.reason));
    lines.extend(unread.finding.labels.first().map(|label| {
        let (line, _) = label.place.line_column();
        format!("    at {}:{line}", label.place.source.path.display())
    }));
    let help = unread.finding.help.iter();
    lines.extend(help.flat_map(|text| style.wrap("    ", &format!("help: {text}"))));
    lines.push(String::new());
    lines
}

/// What was done, in one word.
pub(super) const fn past(action: Action) -> &'static str {
    match action {
        Action::NoOp => "settled",
        Action::Read => "read",
        Action::Create => "created",
        Action::Update => "updated",
        Action::Replace => "replaced",
        Action::Delete => "destroyed",
    }
}

/// How many were added, changed and destroyed; a replacement counts as both, as in the plan.
pub(super) fn counts(outcome: &Outcome) -> (usize, usize, usize) {
    let count = |wanted: &[Action]| outcome.done.iter().filter(|it| wanted.contains(&it.1)).count();
    (
        count(&[Action::Create, Action::Replace]),
        count(&[Action::Update]),
        count(&[Action::Delete, Action::Replace]),
    )
}

/// One line that says how it ended.
pub(super) fn verdict(outcome: &Outcome) -> String {
    let (add, change, destroy) = counts(outcome);
    let sum = format!("{add} added, {change} changed, {destroy} destroyed");
    let took = duration(outcome.elapsed);
    if outcome.ending() == Ending::Complete {
        return format!("{} complete! Resources: {sum}. It took {took}.", title(outcome));
    }
    let mut parts = vec![sum];
    let mut part = |number: usize, words: &str| {
        if number > 0 {
            parts.push(format!("{number} {words}"));
        }
    };
    part(outcome.failed.len(), "failed");
    part(outcome.running.len(), "still running");
    part(outcome.skipped.len() + outcome.not_started.len(), "not started");
    part(outcome.unread.iter().map(|unread| unread.keys.len()).sum(), "not read");
    let word = match outcome.ending() {
        Ending::Interrupted => "interrupted",
        Ending::Complete | Ending::Partial | Ending::StillWorking => "incomplete",
    };
    format!("{} {word} after {took}. Resources: {}.", title(outcome), parts.join(", "))
}

const fn title(outcome: &Outcome) -> &'static str {
    match outcome.mode {
        Mode::Apply => "Apply",
        Mode::Destroy => "Destroy",
    }
}

fn next(outcome: &Outcome) -> Option<&'static str> {
    if outcome.ending() == Ending::Complete {
        None
    } else if !outcome.failed.is_empty() {
        Some(
            "Mend what failed, then run the same command again: it plans anew and does only what \
             is left.",
        )
    } else if outcome.running.is_empty() {
        Some("Run the same command again to do what is left.")
    } else {
        Some(
            "Azure goes on by itself. Run the same command again to wait for it and to do what \
             is left.",
        )
    }
}
