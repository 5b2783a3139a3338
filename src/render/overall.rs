//! How far an apply is and how long it may still take: from what steps of a kind usually take and
//! from what waits for what. No clock: times come with the events.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::style::duration;
use crate::apply::Event;
use crate::model::Key;
use crate::plan::Plan;
use crate::resource::about;

/// How often the time that is left is worked out anew.
const ANEW: Duration = Duration::from_secs(10);

/// It is also worked out anew when one step of so many has ended: of a fleet not at every one.
const OFTEN: usize = 64;

/// The shortest and the longest usual time.
pub(super) type Range = (Duration, Duration);

/// How far an apply is.
#[derive(Debug, Default)]
pub struct Overall {
    /// Every step that changes something, with what it waits for.
    steps: BTreeMap<Key, BTreeSet<Key>>,
    /// When each running step began.
    started: BTreeMap<Key, Duration>,
    ended: BTreeSet<Key>,
    all: Tally,
    /// The same for each cluster.
    clusters: BTreeMap<String, Tally>,
    now: Duration,
    /// What was left, and when that was worked out and for how many ended steps.
    left: Option<(Range, Duration, usize)>,
}

/// How many steps are where.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    steps: usize,
    running: usize,
    done: usize,
    failed: usize,
    /// Not begun, because something they need failed, or left to Azure.
    other: usize,
}

impl Tally {
    const fn waiting(self) -> usize {
        self.steps.saturating_sub(self.running + self.done + self.failed + self.other)
    }

    /// `3 of 10 done, 1 failed`
    fn said(self) -> String {
        let Self { steps, done, failed, other, .. } = self;
        let more = [(failed, "failed"), (other, "not finished")].into_iter();
        let more = more.filter(|(number, _)| *number > 0);
        let more: String = more.map(|(number, word)| format!(", {number} {word}")).collect();
        format!("{done} of {steps} done{more}")
    }
}

impl Overall {
    /// The beginning of a plan.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        let own = plan.steps.iter().filter(|step| step.action.changes() || step.settling.is_some());
        let steps: BTreeMap<Key, BTreeSet<Key>> =
            own.map(|step| (step.key.clone(), step.depends_on.clone())).collect();
        let mut overall = Self { steps, ..Self::default() };
        overall.all.steps = overall.steps.len();
        for key in overall.steps.keys() {
            overall.clusters.entry(key.scope.clone()).or_default().steps += 1;
        }
        overall
    }

    /// Takes notice of an event.
    pub(super) fn on(&mut self, event: &Event) {
        match event {
            Event::Started { key, .. } => self.begin(key, self.now),
            Event::Progress { key, elapsed, .. } => self.at(key, *elapsed),
            Event::Completed { key, elapsed, .. } => {
                self.at(key, *elapsed);
                self.end(key, |tally| &mut tally.done);
            }
            Event::Errored { key, elapsed, .. } => {
                self.at(key, *elapsed);
                self.end(key, |tally| &mut tally.failed);
            }
            Event::Skipped { key, .. } | Event::Left { key, .. } => {
                self.end(key, |tally| &mut tally.other);
            }
        }
    }

    fn begin(&mut self, key: &Key, at: Duration) {
        if self.started.insert(key.clone(), at).is_none() {
            self.tally(key, |tally| tally.running += 1);
        }
    }

    fn at(&mut self, key: &Key, elapsed: Duration) {
        if !self.started.contains_key(key) {
            self.begin(key, self.now.saturating_sub(elapsed));
        }
        self.now = self.now.max(self.started[key] + elapsed);
    }

    fn end(&mut self, key: &Key, how: impl Fn(&mut Tally) -> &mut usize) {
        if self.started.remove(key).is_some() {
            self.tally(key, |tally| tally.running -= 1);
        }
        if self.ended.insert(key.clone()) {
            self.tally(key, |tally| *how(tally) += 1);
        }
    }

    fn tally(&mut self, key: &Key, change: impl Fn(&mut Tally)) {
        if self.steps.contains_key(key) {
            change(&mut self.all);
            change(self.clusters.entry(key.scope.clone()).or_default());
        }
    }

    /// Since the beginning.
    pub(super) const fn elapsed(&self) -> Duration {
        self.now
    }

    /// The longest chain of what is left, in usual times.
    fn left(&mut self) -> Range {
        if let Some((left, then, ended)) = self.left
            && self.ended.len() - ended <= self.steps.len() / OFTEN
            && self.now < then + ANEW
        {
            let past = self.now.saturating_sub(then);
            return (left.0.saturating_sub(past), left.1.saturating_sub(past));
        }
        let mut known: BTreeMap<&Key, Range> = BTreeMap::new();
        let mut most = Range::default();
        for key in self.steps.keys() {
            let (least, longest) = self.until(key, &mut known, 0);
            most = (most.0.max(least), most.1.max(longest));
        }
        self.left = Some((most, self.now, self.ended.len()));
        most
    }

    /// How long it takes until a step is done, with everything that it waits for.
    fn until<'a>(
        &'a self,
        key: &'a Key,
        known: &mut BTreeMap<&'a Key, Range>,
        deep: usize,
    ) -> Range {
        // Plans have no rings; an edited one is no reason to run out of stack.
        const DEEPEST: usize = 64;
        let Some(needs) = self.steps.get(key).filter(|_| !self.ended.contains(key)) else {
            return Range::default();
        };
        if let Some(found) = known.get(key) {
            return *found;
        }
        let mut own = about(key.kind).usual();
        if let Some(began) = self.started.get(key) {
            let past = self.now.saturating_sub(*began);
            own = (own.0.saturating_sub(past), own.1.saturating_sub(past));
        }
        if deep < DEEPEST {
            let mut before = Range::default();
            for address in needs {
                let (least, longest) = self.until(address, known, deep + 1);
                before = (before.0.max(least), before.1.max(longest));
            }
            own = (own.0 + before.0, own.1 + before.1);
        }
        known.insert(key, own);
        own
    }

    /// One line: done, failed, running, waiting; time passed and left.
    pub(super) fn line(&mut self) -> String {
        let left = self.left();
        let so_far = duration(self.now);
        let (said, running, waiting) = (self.all.said(), self.all.running, self.all.waiting());
        let counts = format!("{said}, {running} running, {waiting} waiting");
        match remaining(left) {
            Some(left) => format!("{counts}; {so_far} so far, {left} left"),
            None => format!("{counts}; {so_far} so far"),
        }
    }
}

/// A range of times as people say it: `2-6m`; `None` where nothing sensible can be said.
pub(super) fn remaining((least, longest): Range) -> Option<String> {
    let minutes = |duration: Duration| duration.as_secs().div_ceil(60);
    match (minutes(least), minutes(longest)) {
        (_, 0) => None,
        (_, 1) => Some("under a minute".to_owned()),
        (a, b) if a.max(1) == b => Some(format!("{b}m")),
        (a, b) => Some(format!("{}-{b}m", a.max(1))),
    }
}

/// What a running step may still take, or that it takes longer than usual.
pub(super) fn pace(key: &Key, elapsed: Duration) -> String {
    let (least, longest) = about(key.kind).usual();
    // A short step that takes a moment longer is no news.
    if elapsed > longest + Duration::from_secs(30) {
        return format!(
            ", slower than the usual {}",
            remaining((least, longest)).unwrap_or_default()
        );
    }
    let left = (least.saturating_sub(elapsed), longest.saturating_sub(elapsed));
    remaining(left).map(|text| format!(", {text} left")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Action;
    use crate::render::samples::{key, step};

    #[test]
    fn what_is_left_is_the_longest_chain_of_usual_times() {
        let mut compute = step("edge/compute/c", Action::Create);
        compute.depends_on.insert(key("edge/extension/x"));
        let steps = vec![step("edge/extension/x", Action::Create), compute];
        let mut overall = Overall::new(&Plan { steps, ..Plan::default() });
        let (extension, attach) = (
            about(key("edge/extension/x").kind).usual(),
            about(key("edge/compute/c").kind).usual(),
        );
        assert_eq!(overall.left(), (extension.0 + attach.0, extension.1 + attach.1));
        overall.on(&Event::Started { key: key("edge/extension/x"), action: Action::Create });
        let at = Duration::from_secs(60);
        let progress = |seconds| Event::Progress {
            key: key("edge/extension/x"),
            state: "Creating".to_owned(),
            waits_for: None,
            elapsed: Duration::from_secs(seconds),
        };
        overall.on(&progress(60));
        assert_eq!(overall.left().1, extension.1 + attach.1 - at);
        assert!(overall.line().starts_with("0 of 2 done, 1 running, 1 waiting; 1m0s so far, "));
        overall.on(&Event::Completed {
            key: key("edge/extension/x"),
            action: Action::Create,
            elapsed: Duration::from_secs(120),
        });
        assert_eq!(overall.left(), attach);
        let (compute, extension) = (key("edge/compute/c"), key("edge/extension/x"));
        overall.on(&Event::Skipped { key: compute, because: extension });
        assert!(overall.line().starts_with("1 of 2 done, 1 not finished, 0 running, 0 waiting; "));
        assert!(
            pace(&key("edge/extension/x"), Duration::from_secs(3600))
                .contains("slower than the usual")
        );
    }
}
