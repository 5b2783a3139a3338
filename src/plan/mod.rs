//! (Desired, live) → plan; pure: no clock, no environment, no network.
//!
//! The passes, in order: decide each resource by itself, in dependency order so that a decision
//! can look at what it stands on; then turn every decision into requests; then look for what must
//! not happen.

mod decide;
pub mod file;
mod step;
#[cfg(test)]
pub mod tests;
mod unread;

use std::collections::{BTreeMap, BTreeSet};

pub use step::{Action, Gate, Mode, Note, Plan, Reason, Step, Unread};
use unread::Unreadable;

use crate::model::{Key, KindName};
use crate::resource::Snapshot;
use crate::resource::graph::{self, Desired};
use crate::source::{Diagnostic, Diagnostics, Severity};

/// Everything the planner may know, as values.
#[derive(Debug, Clone, Copy)]
pub struct PlanInput<'a> {
    /// What is declared.
    pub desired: &'a Desired,
    /// What is live.
    pub live: &'a Snapshot,
    /// What the plan is for.
    pub mode: Mode,
}

/// Decides what to do. The same input gives the same plan.
#[must_use]
pub fn plan(input: &PlanInput<'_>) -> Plan {
    let input = &PlanInput { desired: &input.desired.with_orphans(), ..*input };
    let mut plan =
        Plan { mode: input.mode, skipped: input.desired.skipped.clone(), ..Plan::default() };
    let order = match graph::order(input.desired) {
        Ok(order) => order,
        Err(cycle) => {
            plan.findings.push(Diagnostic::error("dependency-cycle", cycle.to_string()));
            return plan;
        }
    };
    let mut decided: BTreeMap<Key, Step> = BTreeMap::new();
    let mut unread = Unreadable::new(input);
    for key in &order {
        let resource = &input.desired.nodes[key].resource;
        if unread.blocks(key) {
            continue;
        }
        // Destroying does not ask whether a grant still applies: what we added has to go.
        if input.mode == Mode::Apply && !resource.kind().applies(input.live) {
            continue;
        }
        let mut findings = Diagnostics::new();
        let step = decide::step(input, key, &decided, &mut findings);
        if input.mode == Mode::Apply && unread.defers(&step) {
            continue;
        }
        plan.findings.extend(findings);
        if step.action != Action::NoOp && input.desired.protected.contains(key) {
            plan.protected.extend(protection(&step));
        }
        decided.insert(key.clone(), step);
    }
    let mut order: Vec<Key> = order.into_iter().filter(|it| decided.contains_key(it)).collect();
    if input.mode == Mode::Destroy {
        order.reverse();
        // What stands on a thing has to go before it, and nobody knows whether it is there.
        for key in &order {
            let deleted = decided.get(key).is_some_and(|step| step.action == Action::Delete);
            if deleted && unread.above(key) {
                decided.remove(key);
            }
        }
        order.retain(|address| decided.contains_key(address));
    }
    plan.unread = unread.finish();
    plan.findings.extend(warnings(&decided));
    plan.findings.extend(taken_over(&decided));
    if input.mode == Mode::Apply {
        plan.rollouts.clone_from(&input.desired.rollouts);
        plan.findings.extend(windows(input.desired, &decided));
    }
    plan.steps = order.into_iter().filter_map(|key| decided.remove(&key)).collect();
    let there: BTreeSet<Key> = plan.steps.iter().map(|it| it.key.clone()).collect();
    for step in &mut plan.steps {
        step.depends_on.retain(|address| there.contains(address));
    }
    plan
}

fn protection(step: &Step) -> Option<Gate> {
    let removes = matches!(step.action, Action::Delete | Action::Replace);
    removes.then(|| Gate {
        key: step.key.clone(),
        message: "lifecycle.preventDestroy protects it; take it out of that list to go on".into(),
    })
}

/// Manifests of the same cluster whose things are taken over: they may still name them.
fn taken_over(decided: &BTreeMap<Key, Step>) -> impl Iterator<Item = Diagnostic> {
    let mut from: BTreeMap<(&str, &str), Vec<&Key>> = BTreeMap::new();
    for (key, step) in decided {
        for reason in &step.reasons {
            if let Reason::Moved(other) = reason {
                from.entry((&key.scope, other)).or_default().push(key);
            }
        }
    }
    from.into_iter().map(|((own, other), keys)| {
        let more = match keys.len() {
            1 => String::new(),
            many => format!(" and {} more", many - 1),
        };
        let message = format!(
            "{}{more}: taken over from the manifest `{other}` of the same cluster",
            keys[0]
        );
        let help = format!(
            "if `{other}` still names what `{own}` names, they compete: each apply takes it back, \
             and either may remove it; name a thing in one manifest"
        );
        Diagnostic::warning("taken-over", message).with_help(help)
    })
}

/// What a rollout does about the maintenance windows of AKS clusters that it changes.
fn windows(desired: &Desired, decided: &BTreeMap<Key, Step>) -> Option<Diagnostic> {
    let aks = |scope: &str| {
        let cluster = desired.scopes.get(scope).and_then(|it| it.cluster.as_ref());
        cluster.is_some_and(|it| it.id.resource_type().ends_with("managedClusters"))
    };
    let changed = decided.values().any(|step| step.action.changes() && aks(&step.key.scope));
    (changed && !desired.rollouts.is_empty()).then(|| {
        Diagnostic::new(
            "maintenance-windows",
            Severity::Advice,
            "planned maintenance windows of AKS are for AKS's own upgrades; the rollout does not \
             wait for them",
        )
        .with_help("apply within the window, or one --stage at a time")
    })
}

/// What a reader should know about the companions that a plan makes.
fn warnings(decided: &BTreeMap<Key, Step>) -> Option<Diagnostic> {
    let companion =
        |key: &Key| matches!(key.kind, KindName::RelayNamespace | KindName::ServiceBusNamespace);
    let made = decided.values().any(|step| companion(&step.key) && step.action == Action::Create);
    made.then(|| {
        Diagnostic::warning(
            "companions",
            "Relay and Service Bus in the cluster's resource group carry the traffic between \
             Azure ML and the cluster",
        )
        .with_help("do not modify or delete them by hand: that breaks attached computes")
    })
}
