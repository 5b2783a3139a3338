//! Which task may start: a pure state machine over the steps of a plan.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::Key;
use crate::plan::{Action, Mode, Plan};

/// Half a step: a replacement removes, then makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Remove what is there.
    Remove,
    /// Make or change it.
    Make,
}

/// One unit of work.
pub type Task = (Key, Phase);

/// Tasks that wait for others.
#[derive(Debug)]
pub struct Frontier {
    waiting: BTreeMap<Task, BTreeSet<Task>>,
    /// Waiting tasks without blockers.
    free: BTreeSet<Task>,
    /// What waits for a task.
    dependents: BTreeMap<Task, Vec<Task>>,
    running: BTreeSet<Task>,
}

impl Frontier {
    /// Every step of a plan as a task, or as two; steps that do nothing pass their order on.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        let mut waiting: BTreeMap<Task, BTreeSet<Task>> = BTreeMap::new();
        let makes = |action: Action| plan.mode == Mode::Apply && action != Action::Delete;
        let removes = |action: Action| {
            plan.mode == Mode::Destroy || matches!(action, Action::Replace | Action::Delete)
        };
        for step in &plan.steps {
            if makes(step.action) {
                waiting.entry((step.key.clone(), Phase::Make)).or_default();
            }
            if removes(step.action) {
                waiting.entry((step.key.clone(), Phase::Remove)).or_default();
            }
        }
        for step in &plan.steps {
            let make = (step.key.clone(), Phase::Make);
            let remove = (step.key.clone(), Phase::Remove);
            let own = waiting.contains_key(&remove);
            if let Some(blockers) = waiting.get_mut(&make) {
                blockers.extend(own.then(|| remove.clone()));
            }
            for need in &step.depends_on {
                let (need_made, need_removed) =
                    ((need.clone(), Phase::Make), (need.clone(), Phase::Remove));
                if waiting.contains_key(&need_made)
                    && let Some(blockers) = waiting.get_mut(&make)
                {
                    blockers.insert(need_made.clone());
                }
                // What has to be gone first: another extension of the cluster.
                if !waiting.contains_key(&need_made)
                    && waiting.contains_key(&need_removed)
                    && let Some(blockers) = waiting.get_mut(&make)
                {
                    blockers.insert(need_removed.clone());
                }
                // What stands on something goes before it.
                if own && let Some(blockers) = waiting.get_mut(&need_removed) {
                    blockers.insert(remove.clone());
                }
            }
        }
        let free = waiting.iter().filter(|(_, it)| it.is_empty()).map(|(task, _)| task.clone());
        let free = free.collect();
        let mut dependents: BTreeMap<Task, Vec<Task>> = BTreeMap::new();
        for (task, blockers) in &waiting {
            for blocker in blockers {
                dependents.entry(blocker.clone()).or_default().push(task.clone());
            }
        }
        Self { waiting, free, dependents, running: BTreeSet::new() }
    }

    /// Moves up to `limit` tasks whose blockers are done from waiting to running, in key order.
    pub fn start(&mut self, limit: usize) -> Vec<Task> {
        let ready: Vec<Task> = self.free.iter().take(limit).cloned().collect();
        for task in &ready {
            self.free.remove(task);
            self.waiting.remove(task);
            self.running.insert(task.clone());
        }
        ready
    }

    /// A task is done; what waited for it alone is free.
    pub fn done(&mut self, task: &Task) {
        self.running.remove(task);
        for dependent in self.dependents.remove(task).unwrap_or_default() {
            if let Some(blockers) = self.waiting.get_mut(&dependent) {
                blockers.remove(task);
                if blockers.is_empty() {
                    self.free.insert(dependent);
                }
            }
        }
    }

    /// A task failed: everything that waits for it, directly or not, will never start. Returns
    /// those tasks.
    pub fn failed(&mut self, task: &Task) -> Vec<Task> {
        self.running.remove(task);
        let mut lost = BTreeSet::new();
        let mut open = vec![task.clone()];
        while let Some(cause) = open.pop() {
            for dependent in self.dependents.remove(&cause).unwrap_or_default() {
                if self.waiting.remove(&dependent).is_some() {
                    open.push(dependent.clone());
                    lost.insert(dependent);
                }
            }
        }
        lost.into_iter().collect()
    }

    /// The tasks that run.
    #[must_use]
    pub const fn running(&self) -> &BTreeSet<Task> {
        &self.running
    }

    /// The tasks that have not started.
    pub fn waiting(&self) -> impl Iterator<Item = &Task> {
        self.waiting.keys()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::KindName;
    use crate::plan::Step;
    use crate::resource::Impact;

    fn key(index: usize) -> Key {
        Key::new("c", KindName::Namespace, format!("n{index}"))
    }

    fn plan(mode: Mode, actions: &[Action], edges: &[(usize, usize)]) -> Plan {
        let steps = actions.iter().enumerate().map(|(index, action)| Step {
            key: key(index),
            action: *action,
            reasons: Vec::new(),
            changes: Vec::new(),
            before: None,
            after: None,
            derived: Vec::new(),
            impact: Impact::Safe,
            removal: Vec::new(),
            requests: Vec::new(),
            depends_on: edges.iter().filter(|it| it.1 == index).map(|it| key(it.0)).collect(),
            precondition: String::new(),
            settling: None,
            note: None,
        });
        Plan { mode, steps: steps.collect(), ..Plan::default() }
    }

    fn run(frontier: &mut Frontier) -> Vec<String> {
        let mut order = Vec::new();
        loop {
            let started = frontier.start(1);
            let Some(task) = started.first() else { return order };
            order.push(format!("{:?} {}", task.1, task.0.name));
            frontier.done(task);
        }
    }

    #[test]
    fn a_replacement_removes_what_stands_on_it_first_and_makes_it_again_after() {
        let plan = plan(Mode::Apply, &[Action::Replace, Action::Replace], &[(0, 1)]);
        let order = run(&mut Frontier::new(&plan));
        assert_eq!(order, ["Remove n1", "Remove n0", "Make n0", "Make n1"]);
    }

    #[test]
    fn destroying_goes_backwards_also_through_what_stays() {
        let actions = [Action::Delete, Action::NoOp, Action::Delete];
        let plan = plan(Mode::Destroy, &actions, &[(0, 1), (1, 2)]);
        assert_eq!(run(&mut Frontier::new(&plan)), ["Remove n2", "Remove n1", "Remove n0"]);
    }

    #[test]
    fn a_failure_stops_only_what_depends_on_it() {
        let plan = plan(Mode::Apply, &[Action::Create; 4], &[(0, 1), (1, 2)]);
        let mut frontier = Frontier::new(&plan);
        assert_eq!(frontier.start(9).len(), 2);
        let lost = frontier.failed(&(key(0), Phase::Make));
        assert_eq!(lost.len(), 2);
        frontier.done(&(key(3), Phase::Make));
        assert_eq!(frontier.waiting().count(), 0);
    }

    proptest! {
        #[test]
        fn nothing_starts_before_what_it_needs(
            pairs in proptest::collection::vec((0usize..8, 0usize..8), 0..20),
            kinds in proptest::collection::vec(0usize..4, 8),
        ) {
            let edges: Vec<_> = pairs.into_iter().filter(|(a, b)| a < b).collect();
            let choices = [Action::NoOp, Action::Create, Action::Update, Action::Replace];
            let actions: Vec<Action> = kinds.into_iter().map(|it| choices[it]).collect();
            let order = run(&mut Frontier::new(&plan(Mode::Apply, &actions, &edges)));
            let at = |text: String| order.iter().position(|it| *it == text);
            for (from, to) in edges {
                let made = (at(format!("Make n{from}")), at(format!("Make n{to}")));
                prop_assert!(made.0 < made.1);
                if actions[from] == Action::Replace && actions[to] == Action::Replace {
                    let removed =
                        (at(format!("Remove n{to}")), at(format!("Remove n{from}")));
                    prop_assert!(removed.0 < removed.1);
                }
            }
        }
    }
}
