//! One resource: what to do about it and why.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::{Action, Mode, Note, PlanInput, Reason, Step};
use crate::model::{Json, Key, Later, Pointer, Value};
use crate::resource::graph::Orphan;
use crate::resource::{
    Change, Document, FieldChange, Impact, Kind, Live, Readiness, Request, Resource, Verb, about,
};
use crate::source::{Diagnostic, Diagnostics};

/// Decides one resource, knowing what was decided about everything it needs.
pub(super) fn step(
    input: &PlanInput<'_>,
    key: &Key,
    decided: &BTreeMap<Key, Step>,
    findings: &mut Diagnostics,
) -> Step {
    let node = &input.desired.nodes[key];
    let kind = node.resource.kind();
    let live = input.live.of(key);
    let mut step = Step {
        key: key.clone(),
        action: Action::NoOp,
        reasons: Vec::new(),
        changes: Vec::new(),
        before: kind.shown(&live),
        after: None,
        derived: Vec::new(),
        impact: Impact::Safe,
        removal: Vec::new(),
        requests: Vec::new(),
        depends_on: node.needs.clone(),
        precondition: String::new(),
        settling: None,
        note: node.reason.clone().map(Note::Why),
    };
    let decision = Decision { input, kind, resource: &node.resource, live: &live, decided };
    if let Some(orphan) = &node.orphan {
        decision.orphan(&mut step, orphan);
    } else if key.kind.read_only() {
        decision.read_only(&mut step, findings);
    } else if input.mode == Mode::Destroy {
        decision.destroy(&mut step);
    } else {
        decision.apply(&mut step, findings);
    }
    step.precondition = digest(&step);
    step
}

struct Decision<'a> {
    input: &'a PlanInput<'a>,
    kind: &'a dyn Kind,
    resource: &'a Resource,
    live: &'a Live,
    decided: &'a BTreeMap<Key, Step>,
}

impl Decision<'_> {
    fn read_only(&self, step: &mut Step, findings: &mut Diagnostics) {
        step.action = Action::Read;
        if self.live.document().is_some() {
            return;
        }
        let Resource::ReadOnly(read_only) = self.resource else { return };
        let (code, what, help) = about(step.key.kind).missing;
        let place = self.input.desired.place(&step.key, &Pointer::root());
        let message = format!("{what} `{}` does not exist, or you may not read it", read_only.id);
        // To destroy what is left of a cluster that is gone is a fair wish.
        let finding = match self.input.mode {
            Mode::Apply => Diagnostic::error(code, message).with_help(help),
            Mode::Destroy => Diagnostic::warning(code, message),
        };
        findings.push(finding.at(place, "declared here"));
    }

    fn destroy(&self, step: &mut Step) {
        let want = self.want();
        if self.kind.gone(self.live) {
            return;
        }
        match self.kind.removable(self.live) {
            Err(why) => step.note = Some(Note::Kept(why.to_string())),
            Ok(()) => {
                step.action = Action::Delete;
                step.reasons.push(Reason::Destroy);
                step.impact = self.felt(self.kind.removal_impact());
                step.removal = self.requests(Verb::Delete, &want, &[]);
            }
        }
    }

    /// What the manifest made and no longer names.
    fn orphan(&self, step: &mut Step, orphan: &Orphan) {
        if self.kind.gone(self.live) {
            return;
        }
        step.reasons.push(Reason::NotDeclared(orphan.mark.clone()));
        if orphan.kept {
            step.note = Some(Note::Left);
            return;
        }
        if let Err(why) = self.kind.removable(self.live) {
            step.note = Some(Note::Kept(why.to_string()));
            return;
        }
        step.action = Action::Delete;
        step.impact = self.felt(self.kind.removal_impact());
        step.note = (!orphan.goes.is_empty()).then(|| Note::TakesAlong(orphan.goes.clone()));
        step.removal = self.requests(Verb::Delete, &self.want(), &[]);
    }

    /// Who made it is written when it is made, and otherwise only with a change that is made
    /// anyway, when it moved here from another manifest, or on request.
    fn mark(&self, step: &mut Step, want: &mut Document) {
        let (Some(at), Some((own, _))) =
            (self.kind.mark_at(), self.input.desired.mark(&step.key.scope))
        else {
            return;
        };
        let document = if step.action.makes() { None } else { self.live.document() };
        let known = at.read(document);
        let moved = known.as_ref().filter(|mark| **mark != own && mark.is_for_the_cluster_of(&own));
        let free = document.is_some() && known.is_none() && self.input.desired.adopt;
        let writes = match step.action {
            Action::Create | Action::Replace => true,
            Action::Update => known.is_none() || moved.is_some(),
            Action::NoOp => moved.is_some() || free,
            Action::Read | Action::Delete => false,
        };
        if !writes || self.kind.used_as_it_is(self.live).is_some() {
            return;
        }
        if let Some(other) = moved {
            step.reasons.push(Reason::Moved(other.name.clone()));
        } else if step.action == Action::NoOp {
            step.reasons.push(Reason::Adopted);
        }
        if step.action == Action::NoOp {
            step.action = Action::Update;
        }
        let text = at.write(document, &own);
        if step.action == Action::Update {
            let before = at.text(document).map(Json::from);
            let after = Some(Value::from(text.as_str()));
            step.changes.push(FieldChange { path: at.pointer(), before, after });
        }
        put(&mut want.body, &at.pointer(), text);
    }

    fn apply(&self, step: &mut Step, findings: &mut Diagnostics) {
        let want = self.want();
        match self.kind.readiness(&want, self.live) {
            Readiness::Absent => {
                step.action = Action::Create;
                step.reasons.push(Reason::Absent);
            }
            Readiness::NeedsHuman(why) => {
                let place = self.input.desired.place(&step.key, &Pointer::root());
                let message = format!("{}: {why}", step.key);
                findings.push(Diagnostic::error("needs-a-person", message).at(place, ""));
            }
            Readiness::Ready => self.compare(step, &want),
            Readiness::Waiting(state) => {
                let ending = ["terminating", "deleting", "removing", "unregistering"];
                if ending.contains(&state.to_ascii_lowercase().as_str()) {
                    // It is on its way out: once it is gone it is made again.
                    step.action = Action::Create;
                    step.reasons.push(Reason::Absent);
                } else {
                    self.compare(step, &want);
                }
                step.settling = Some(state);
            }
            Readiness::Failed { state, message } => {
                self.compare(step, &want);
                if self.kind.replaced_when_failed() {
                    step.action = Action::Replace;
                } else if step.action == Action::NoOp {
                    step.action = Action::Update;
                }
                step.reasons.push(Reason::Unhealthy { state, message });
            }
        }
        if let Some(why) = self.kind.used_as_it_is(self.live) {
            step.note = Some(Note::Used(why.to_string()));
        }
        findings.extend(
            self.kind
                .remark(self.live)
                .map(|remark| Diagnostic::warning("live-state", format!("{}: {remark}", step.key))),
        );
        self.follow(step, &want);
        self.write(step, want);
    }

    /// What it should look like, with everything that is known already filled in.
    fn want(&self) -> Document {
        self.with_known(self.kind.want(self.input.live))
    }

    fn with_known(&self, mut want: Document) -> Document {
        want.body = want.body.filled(&|later| self.known(later));
        // A mark that is there stays, whoever's it is, until it is decided otherwise.
        if let Some(at) = self.kind.mark_at()
            && let Some(text) = at.text(self.live.document())
        {
            put(&mut want.body, &at.pointer(), text.to_owned());
        }
        // What is made for the first time is made as declared.
        if let Some(live) = self.kind.shown(self.live) {
            self.ignored().iter().for_each(|path| overlay(&mut want.body, &live, path));
        }
        want
    }

    fn ignored(&self) -> Vec<Pointer> {
        let own = self.input.desired.ignored.iter().filter(|(key, _)| key == self.kind.key());
        own.map(|(_, pointer)| pointer.clone()).collect()
    }

    /// A value of another resource is known now unless that resource is about to be made.
    fn known(&self, later: &Later) -> Option<Json> {
        let made = self.decided.get(&later.from).is_some_and(|step| step.action.makes());
        if made { None } else { self.input.live.known(later) }
    }

    fn compare(&self, step: &mut Step, want: &Document) {
        let ignored = self.ignored();
        let mut changes = self.kind.differences(want, self.live);
        changes.retain(|change| !ignored.iter().any(|ignore| ignore.covers(&change.path)));
        if changes.is_empty() {
            return;
        }
        let rules = self.kind.rules();
        let fixed: Vec<Pointer> = changes
            .iter()
            .filter(|it| rules.is_immutable(&it.path) || self.kind.impact(it) == Impact::NotInPlace)
            .map(|change| change.path.clone())
            .collect();
        step.action = if fixed.is_empty() { Action::Update } else { Action::Replace };
        step.reasons.push(match fixed.is_empty() {
            true => Reason::FieldsDiffer,
            false => Reason::CannotUpdate(fixed),
        });
        step.changes = changes;
    }

    /// What decisions about other resources mean for this one.
    fn follow(&self, step: &mut Step, want: &Document) {
        let there = matches!(step.action, Action::NoOp | Action::Update);
        if !there {
            return;
        }
        for need in &step.depends_on {
            let replaced = self.decided.get(need).is_some_and(|it| it.action == Action::Replace);
            if replaced && about(step.key.kind).stands_on.contains(&need.kind) {
                step.action = Action::Replace;
                step.reasons.push(Reason::DependencyReplaced(need.clone()));
                return;
            }
        }
        if let Resource::Provider(provider) = self.resource {
            let fresh = provider.features.iter().filter(|address| {
                self.decided.get(*address).is_some_and(|step| step.action == Action::Create)
            });
            let fresh: Vec<Key> = fresh.cloned().collect();
            if !fresh.is_empty() {
                step.action = Action::Update;
                step.reasons.push(Reason::FeatureRegistered(fresh));
            }
        }
        // A secret of a companion that is new has to be sent, although it cannot be compared.
        for (path, later) in want.body.later_leaves() {
            let fresh = self.decided.get(&later.from).is_some_and(|decided| decided.action.makes());
            if fresh && later.call.is_some() && !step.changes.iter().any(|it| it.path == path) {
                step.action = Action::Update;
                step.reasons.push(Reason::CompanionChanged(later.from.clone()));
                let after = Some(Value::Later(later.clone()));
                let before = Some(Json::from("(sensitive)"));
                step.changes.push(FieldChange { path, before, after });
            }
        }
        step.reasons.dedup();
    }

    fn write(&self, step: &mut Step, mut want: Document) {
        let worst = step.changes.iter().map(|change| self.kind.impact(change)).max();
        step.impact = match step.action {
            Action::NoOp | Action::Read | Action::Create => Impact::Safe,
            Action::Update => worst.unwrap_or(Impact::Safe),
            Action::Replace | Action::Delete => self.kind.removal_impact(),
        };
        step.impact = self.felt(step.impact);
        self.mark(step, &mut want);
        let takes_over = |it: &Request| matches!(it, Request::Apply { take_over: true, .. });
        match step.action {
            Action::NoOp | Action::Read => {}
            Action::Create => step.requests = self.requests(Verb::Create, &want, &[]),
            Action::Update => step.requests = self.requests(Verb::Update, &want, &step.changes),
            Action::Replace => {
                want = self.with_known(self.kind.want_anew(self.input.live));
                self.mark(step, &mut want);
                step.removal = self.requests(Verb::Delete, &want, &step.changes);
                step.requests = self.requests(Verb::Create, &want, &[]);
            }
            Action::Delete => step.removal = self.requests(Verb::Delete, &want, &[]),
        }
        let others = self.kind.other_writers(self.live);
        if !others.is_empty() && step.requests.iter().any(takes_over) {
            step.note = Some(Note::TakesOver(others));
        }
        // What is sent although nobody wants it stays there: a blank setting.
        for change in &step.changes {
            let parent = want.body.get_mut(&change.path.parent());
            if let (Some(after), Some(Value::Object(map)), Some(last)) =
                (&change.after, parent, change.path.tokens().last())
                && step.action == Action::Update
            {
                map.entry(last.clone()).or_insert_with(|| after.clone());
            }
        }
        step.derived = want.derived;
        step.after = Some(want.body);
    }

    /// What a change costs the one that is there: what never worked cannot be disrupted.
    fn felt(&self, impact: Impact) -> Impact {
        if self.kind.never_worked(self.live) { Impact::Safe } else { impact }
    }

    fn requests(&self, verb: Verb, want: &Document, changes: &[FieldChange]) -> Vec<Request> {
        self.kind.requests(&Change { verb, want, live: self.live, changes })
    }
}

impl Action {
    /// Whether values of the resource are only known after the step.
    pub(crate) const fn makes(self) -> bool {
        matches!(self, Self::Create | Self::Replace)
    }
}

/// Puts a text into a document, with the objects around it.
fn put(body: &mut Value, at: &Pointer, text: String) {
    let Some((last, parents)) = at.tokens().split_last() else { return };
    let mut inside = body;
    for token in parents {
        let Value::Object(map) = inside else { return };
        inside = map.entry(token.clone()).or_insert_with(Value::object);
    }
    inside.insert(last.as_str(), text);
}

/// Puts the live value where a change is ignored, so that a whole document keeps it.
fn overlay(want: &mut Value, live: &Json, at: &Pointer) {
    let Some((last, parents)) = at.tokens().split_last() else { return };
    let mut value = want;
    let mut live = Some(live);
    for token in parents {
        let Value::Object(map) = value else { return };
        let Some(below) = map.get_mut(token) else { return };
        value = below;
        live = live.and_then(|value| value.get(token));
    }
    let Value::Object(map) = value else { return };
    let below = |key: &str| key == last || key.starts_with(&format!("{last}."));
    map.retain(|key, _| !below(key));
    let kept = live.and_then(Json::as_object).into_iter().flatten();
    map.extend(
        kept.filter(|(key, _)| below(key)).map(|(key, value)| (key.clone(), value.clone().into())),
    );
}

/// A digest of what was decided and of what it was decided from.
fn digest(step: &Step) -> String {
    let stored = |requests: &[Request]| requests.iter().map(Request::to_stored).collect::<Vec<_>>();
    let changes: Vec<Json> = step
        .changes
        .iter()
        .map(|it| serde_json::json!([it.path, it.before, it.after.as_ref().map(Value::to_stored)]))
        .collect();
    let decided = serde_json::json!({
        "action": step.action, "changes": changes, "settling": step.settling.is_some(),
        "removal": stored(&step.removal), "requests": stored(&step.requests),
    });
    let digest = Sha256::digest(decided.to_string().as_bytes());
    digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect()
}
