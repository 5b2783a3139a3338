//! A plan as text for people, in Terraform's words and symbols.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::diff::{common, ink, settling, step};
use super::fleet::Fleet;
use super::style::{Ink, Style, and_more, count, duration, text};
use crate::language::{Rollout, Stage};
use crate::model::Key;
use crate::plan::{Action, Mode, Note, Plan};

pub use super::outcome::outcome;

/// The whole plan: what changes and why, what it costs, findings, gates, and the sum as last line.
/// `all`: advice about the manifest in full.
#[must_use]
pub fn plan(plan: &Plan, all: bool, style: &Style) -> String {
    let mut lines = Vec::new();
    let fleet = &Fleet::of_plan(plan, style);
    if !plan.is_empty() {
        if let Some(fleet) = fleet {
            overview(plan, fleet, style, &mut lines);
        }
        legend(plan, style, &mut lines);
        changes(plan, fleet.as_ref(), style, &mut lines);
    }
    standing(plan, fleet.as_ref(), style, &mut lines);
    let mut out = text(&lines);
    let told: Vec<_> = plan.told().cloned().collect();
    let told = fleet.as_ref().map_or(told.clone(), |it| it.diagnostics(&told));
    out.push_str(&super::diagnostics::beside(&told, all, style));
    let mut lines = Vec::new();
    gates(plan, fleet.as_ref(), style, &mut lines);
    if plan.errored() && !plan.is_empty() {
        lines.push("The errors above keep this plan from being applied.".to_owned());
    }
    lines.push(style.ink(Ink::Strong, &verdict(plan)));
    out.push_str(&text(&lines));
    out
}

/// How much could not be read.
pub(super) fn missing(unread: &BTreeSet<Key>) -> Option<String> {
    let scopes: BTreeSet<&str> = unread.iter().map(|address| address.scope.as_str()).collect();
    let what = count(unread.len(), "resource");
    (!scopes.is_empty()).then(|| {
        let named: Vec<&str> = scopes.iter().take(3).copied().collect();
        let more = and_more(scopes.len() - named.len());
        format!("{what} of {}{more} could not be read", named.join(", "))
    })
}

/// How much changes in how many clusters, and in which.
fn overview(plan: &Plan, fleet: &Fleet<'_>, style: &Style, lines: &mut Vec<String>) {
    let mut sums: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    for step in plan.changing() {
        let sum = sums.entry(&step.key.scope).or_default();
        let (add, change, destroy) = step.action.counts();
        *sum = [sum[0] + add, sum[1] + change, sum[2] + destroy];
    }
    let unread: BTreeSet<&str> =
        plan.unread.iter().flat_map(|unread| &unread.keys).map(|it| it.scope.as_str()).collect();
    let said = |scope: &str| {
        let sum = sums.get(scope).copied().unwrap_or_default();
        let words = ["to add", "to change", "to destroy"].into_iter().zip(sum);
        let mut said: Vec<String> =
            words.filter(|it| it.1 > 0).map(|(word, sum)| format!("{sum} {word}")).collect();
        if unread.contains(scope) {
            said.push("not all could be read".to_owned());
        }
        if said.is_empty() { "no changes".to_owned() } else { said.join(", ") }
    };
    lines.extend(super::fleet::columns(&fleet.table(said), style));
    lines.push(String::new());
}

/// Every change; what is the same in several clusters once.
fn changes(plan: &Plan, fleet: Option<&Fleet<'_>>, style: &Style, lines: &mut Vec<String>) {
    let mut one = |text: Vec<String>| {
        lines.extend(text);
        lines.push(String::new());
    };
    let Some(fleet) = fleet else {
        return plan.changing().for_each(|it| one(step(it, style)));
    };
    let items = plan.changing().map(|step| (step.key.scope.as_str(), step));
    for group in fleet.fold(items, |step, own| common(step, own, style).join("\n")) {
        if !group.several() {
            one(step(group.first, style));
            continue;
        }
        let mut lines = common(group.first, &group.own, style);
        let which = style.wrap("  # ", &format!("in {}", fleet.which(&group.clusters)));
        lines.splice(1..1, which);
        one(lines);
    }
}

fn legend(plan: &Plan, style: &Style, lines: &mut Vec<String>) {
    lines.push("Actions are marked with these symbols:".to_owned());
    let words = [
        (Action::Create, "create"),
        (Action::Update, "update in place"),
        (Action::Replace, "destroy, then create again"),
        (Action::Delete, "destroy"),
    ];
    for (action, words) in words {
        if plan.steps.iter().any(|step| step.action == action) {
            let symbol = style.ink(ink(action), &format!("{:>3}", action.symbol()));
            lines.push(format!("{symbol} {words}"));
        }
    }
    lines.push(String::new());
}

/// What is in the plan without being changed: what still settles, what is kept, what is skipped.
fn standing(plan: &Plan, fleet: Option<&Fleet<'_>>, style: &Style, lines: &mut Vec<String>) {
    let still = plan.steps.iter().filter(|step| !step.action.changes());
    let before = lines.len();
    let (mut settles, mut stays) = (Vec::new(), Vec::new());
    for step in still {
        if let Some(state) = &step.settling {
            settles.push(format!("{}: {}", step.key, settling(state)));
        } else if let Some(note @ (Note::Kept(_) | Note::Used(_))) = &step.note {
            stays.push(format!("{} is {note}", step.key));
        }
    }
    let once = |notes: &[String]| fleet.map_or_else(|| notes.to_vec(), |it| it.notes(notes));
    lines.extend(once(&settles).iter().flat_map(|text| style.hang("  . ", text)));
    lines.extend(once(&stays).iter().flat_map(|text| style.hang("    ", text)));
    for Rollout { stages, max_failures } in plan.rollouts.iter().filter(|_| !plan.is_empty()) {
        let said = |stage: &Stage| {
            let wait = if stage.wait > 0 {
                format!(", wait {}", duration(Duration::from_secs(stage.wait)))
            } else {
                String::new()
            };
            format!("{} ({}{wait})", stage.name, count(stage.clusters.len(), "cluster"))
        };
        let stages: Vec<String> = stages.iter().map(said).collect();
        let most = count(*max_failures, "failed cluster");
        let line = format!("rollout: {}; it stops after more than {most}", stages.join(", then "));
        lines.extend(style.hang("    ", &line));
    }
    for note in once(&plan.skipped) {
        lines.extend(style.wrap("    ", &format!("skipped: {note}")));
    }
    if lines.len() > before {
        lines.push(String::new());
    }
}

fn gates(plan: &Plan, fleet: Option<&Fleet<'_>>, style: &Style, lines: &mut Vec<String>) {
    let gates = plan.gates(false);
    if gates.is_empty() {
        return;
    }
    lines.push(style.ink(Ink::Careful, "Before this can be applied:"));
    let said: Vec<String> = gates.iter().map(|it| format!("{}: {}", it.key, it.message)).collect();
    let said = fleet.map_or(said.clone(), |it| it.notes(&said));
    lines.extend(said.iter().flat_map(|text| style.hang("  ! ", text)));
    lines.push(String::new());
}

/// The last line.
#[must_use]
pub fn verdict(plan: &Plan) -> String {
    if plan.is_empty() && plan.errored() {
        return "The plan has errors; whether there are changes is not known.".to_owned();
    }
    let unread = plan.unread.iter().flat_map(|it| it.keys.iter().cloned()).collect();
    if let Some(missing) = missing(&unread) {
        let (add, change, destroy) = plan.counts();
        let rest = if plan.is_empty() {
            "nothing else changes".to_owned()
        } else {
            format!("{add} to add, {change} to change, {destroy} to destroy elsewhere")
        };
        return format!("Plan, not complete: {missing}; {rest}.");
    }
    match (plan.is_empty(), plan.mode) {
        (true, Mode::Apply) => {
            "No changes. Your infrastructure matches the configuration.".to_owned()
        }
        (true, Mode::Destroy) => "No changes. There is nothing to destroy.".to_owned(),
        (false, _) => {
            let (add, change, destroy) = plan.counts();
            format!("Plan: {add} to add, {change} to change, {destroy} to destroy.")
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::Value;
    use crate::plan::Step;
    use crate::render::samples::{change, plan as sample, step};

    #[test]
    fn a_plan_reads_as_terraform_writes_it() {
        insta::assert_snapshot!(plan(&sample(), true, &Style::default()));
    }

    #[test]
    fn colour_adds_nothing_but_colour() {
        let colored = plan(&sample(), true, &Style { color: true, ..Style::default() });
        let colored = super::super::safe::written(&colored, super::super::safe::Commands::None);
        let mut plain = String::new();
        for (index, piece) in colored.split('\u{1b}').enumerate() {
            plain.push_str(if index == 0 { piece } else { piece.split_once('m').unwrap().1 });
        }
        let plainly = plan(&sample(), true, &Style::default());
        // The report of findings draws its frame otherwise; everything before it is the same.
        let upto = |text: &str| text.split("insecure-http").next().unwrap().to_owned();
        assert_eq!(upto(&plain), upto(&plainly));
    }

    #[test]
    fn nothing_to_do_says_no_changes() {
        let empty = plan(&Plan::default(), true, &Style::default());
        assert_eq!(empty, "No changes. Your infrastructure matches the configuration.\n");
    }

    #[test]
    fn a_plan_with_errors_says_that_it_cannot_be_applied() {
        let wrong = crate::source::Diagnostic::error("x", "wrong");
        let plan = |steps| Plan { steps, findings: vec![wrong.clone()], ..Plan::default() };
        let nothing = super::plan(&plan(Vec::new()), true, &Style::default());
        assert!(!nothing.contains("No changes"), "{nothing}");
        let steps = vec![step("edge-01/namespace/azureml", Action::Create)];
        let something = super::plan(&plan(steps), true, &Style::default());
        assert!(something.contains("keep this plan from being applied"), "{something}");
    }

    #[test]
    fn texts_and_lists_show_only_what_differs() {
        let lines = |text: &str| (0..9).map(|n| format!("line {n} {text}\n")).collect::<String>();
        let before = lines("");
        let changes = vec![
            change("/data/script", json!(before), before.replace("line 4", "LINE 4")),
            change("/order", json!(["a", "b"]), Value::from(json!(["b", "a"]))),
            change(
                "/subjects",
                json!([{"name": "a"}, {"name": "b"}]),
                Value::from(json!([{"name": "b"}, {"name": "c d"}])),
            ),
        ];
        let step = Step {
            changes,
            before: Some(json!({})),
            after: Some(json!({"data": {"script": "", "other": 1}}).into()),
            ..step("edge-01/instance_type/gpu", Action::Update)
        };
        let plan =
            super::plan(&Plan { steps: vec![step], ..Plan::default() }, true, &Style::default());
        insta::assert_snapshot!(plan);
    }

    #[test]
    fn a_destroyed_resource_shows_without_what_the_server_wrote() {
        let gone = Step {
            before: Some(
                json!({"name": "x", "systemData": {"a": 1}, "properties": {"provisioningState": "Succeeded", "namespace": "default"}}),
            ),
            ..step("edge-01/compute/x", Action::Delete)
        };
        let kept = Step {
            note: Some(Note::Kept("it was there before".to_owned())),
            ..step("edge-01/namespace/azureml", Action::NoOp)
        };
        let plan = Plan { mode: Mode::Destroy, steps: vec![gone, kept], ..Plan::default() };
        insta::assert_snapshot!(super::plan(&plan, true, &Style::default()));
    }

    #[test]
    fn an_outcome_says_what_failed_and_what_to_do() {
        insta::assert_snapshot!(outcome(&crate::render::samples::outcome(), &Style::default()));
    }
}
