//! What could not be read is not planned, and neither is what would change on its ground.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::{PlanInput, Step, Unread};
use crate::model::{Api, Key, Pointer};
use crate::source::Diagnostic;

/// The unread part of a plan while it is made.
pub(super) struct Unreadable<'a> {
    input: &'a PlanInput<'a>,
    keys: BTreeSet<Key>,
    found: Vec<Unread>,
    /// Where each reason stands in `found`.
    by_reason: BTreeMap<(String, String), usize>,
}

impl<'a> Unreadable<'a> {
    pub(super) const fn new(input: &'a PlanInput<'a>) -> Self {
        Self { input, keys: BTreeSet::new(), found: Vec::new(), by_reason: BTreeMap::new() }
    }

    /// Whether it could not be read.
    pub(super) fn blocks(&mut self, key: &Key) -> bool {
        let Some(error) = self.input.live.unread.get(key) else { return false };
        // All that Azure does not tell is told of at once, and what is this machine's fault; clusters
        // are told apart.
        let all = (error.api == Api::Azure && error.is_of_all()) || error.is_of_here();
        let scope = if all { String::new() } else { key.scope.clone() };
        self.add(key, (scope, error.to_string()), "read-failed", error.remedy());
        true
    }

    /// Whether a change would rest on something that could not be read.
    pub(super) fn defers(&mut self, step: &Step) -> bool {
        let ground = step.depends_on.iter().find(|address| self.keys.contains(address));
        let Some(ground) = ground.filter(|_| step.action.changes()) else { return false };
        let reason = format!("it needs {ground}, which was not read");
        self.add(&step.key, (step.key.scope.clone(), reason), "not-planned", None);
        true
    }

    /// Whether something that stands on it, directly or not, could not be read.
    pub(super) fn above(&mut self, key: &Key) -> bool {
        let on = |address: &&Key| self.input.desired.nodes[*address].needs.contains(key);
        let Some(above) = self.keys.iter().find(on) else { return false };
        let reason = format!("{above} stands on it and was not read");
        self.add(key, (key.scope.clone(), reason), "not-planned", None);
        true
    }

    /// What was not planned; each finding says for how many resources it speaks.
    pub(super) fn finish(mut self) -> Vec<Unread> {
        for unread in &mut self.found {
            let more = unread.keys.len() - 1;
            if more > 0 {
                let s = if more == 1 { "" } else { "s" };
                let _ = write!(unread.finding.message, " ({more} more resource{s} likewise)");
            }
        }
        self.found
    }

    /// One finding for everything that has the same reason in the same scope.
    fn add(&mut self, key: &Key, same: (String, String), code: &'static str, help: Option<String>) {
        self.keys.insert(key.clone());
        if let Some(at) = self.by_reason.get(&same) {
            self.found[*at].keys.push(key.clone());
            return;
        }
        let reason = same.1.clone();
        let place = self.input.desired.place(key, &Pointer::root());
        let mut finding =
            Diagnostic::error(code, format!("{key}: {reason}")).at(place, "needed for this");
        finding.help = help;
        self.by_reason.insert(same, self.found.len());
        self.found.push(Unread { keys: vec![key.clone()], reason, finding });
    }
}
