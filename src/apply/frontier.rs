//! Which task may start: a pure state machine over the steps of a plan.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

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
    /// Waiting tasks without blockers in what is begun, those on the longest way first.
    free: BTreeSet<(Reverse<Duration>, Task)>,
    /// The same in clusters that are not begun, and by cluster.
    closed: BTreeSet<(Reverse<Duration>, Task)>,
    of_cluster: BTreeMap<String, BTreeSet<(Reverse<Duration>, Task)>>,
    /// What waits for a task.
    dependents: BTreeMap<Task, Vec<Task>>,
    running: BTreeSet<Task>,
    /// How long everything takes from the start of a task on, where that counts.
    rest: BTreeMap<Task, Duration>,
    /// Tasks left of each cluster.
    left: BTreeMap<String, usize>,
    /// Clusters that are begun and not done.
    begun: BTreeSet<String>,
    /// How many clusters may be begun at once.
    clusters: usize,
}

/// What a frontier has to know of the clusters.
#[derive(Clone, Copy)]
pub struct Clusters<'a> {
    /// Whether a scope is a cluster.
    pub is_cluster: &'a dyn Fn(&str) -> bool,
    /// How many may be begun at once.
    pub at_once: usize,
    /// About how long a step takes.
    pub takes: &'a dyn Fn(&Key) -> Duration,
}

impl Frontier {
    /// Every step of a plan as a task, or as two; steps that do nothing pass their order on.
    #[must_use]
    pub fn new(plan: &Plan, clusters: Clusters<'_>) -> Self {
        let waiting = blockers(plan);
        let mut dependents: BTreeMap<Task, Vec<Task>> = BTreeMap::new();
        for (task, blockers) in &waiting {
            for blocker in blockers {
                dependents.entry(blocker.clone()).or_default().push(task.clone());
            }
        }
        let takes: BTreeMap<&Key, Duration> = plan
            .steps
            .iter()
            .map(|step| {
                let works = step.action.changes() || step.settling.is_some();
                (&step.key, if works { (clusters.takes)(&step.key) } else { Duration::ZERO })
            })
            .collect();
        let mut rest = BTreeMap::new();
        for task in waiting.keys() {
            longest(task, &dependents, &takes, &mut rest);
        }
        let mut left: BTreeMap<String, usize> = BTreeMap::new();
        for ((key, _), _) in waiting.iter().filter(|it| (clusters.is_cluster)(&it.0.0.scope)) {
            *left.entry(key.scope.clone()).or_default() += 1;
        }
        let unblocked = waiting.iter().filter(|(_, pair)| pair.is_empty());
        let unblocked: Vec<Task> = unblocked.map(|(task, _)| task.clone()).collect();
        let mut frontier = Self {
            waiting,
            free: BTreeSet::new(),
            closed: BTreeSet::new(),
            of_cluster: BTreeMap::new(),
            dependents,
            running: BTreeSet::new(),
            rest,
            left,
            begun: BTreeSet::new(),
            clusters: clusters.at_once,
        };
        unblocked.into_iter().for_each(|task| frontier.unblock(task));
        frontier
    }

    /// A task that waits for nothing but its cluster.
    fn unblock(&mut self, task: Task) {
        let scope = &task.0.scope;
        let open = !self.left.contains_key(scope) || self.begun.contains(scope);
        let item = (Reverse(self.rest[&task]), task);
        if open {
            self.free.insert(item);
        } else {
            self.of_cluster.entry(item.1.0.scope.clone()).or_default().insert(item.clone());
            self.closed.insert(item);
        }
    }

    /// Begins no further cluster.
    pub const fn close(&mut self) {
        self.clusters = 0;
    }

    /// Moves the tasks whose blockers are done from waiting to running: the longest way first, then
    /// in key order. No more clusters are begun than may be at once.
    pub fn start(&mut self) -> Vec<Task> {
        let mut ready = std::mem::take(&mut self.free);
        while let Some((_, (first, _))) = self.closed.first() {
            // What a begun cluster waits for elsewhere must not wait for it.
            let stuck = self.running.is_empty() && ready.is_empty() && self.clusters > 0;
            if self.begun.len() >= self.clusters && !stuck {
                break;
            }
            let scope = first.scope.clone();
            for item in self.of_cluster.remove(&scope).unwrap_or_default() {
                self.closed.remove(&item);
                ready.insert(item);
            }
            self.begun.insert(scope);
        }
        let ready: Vec<Task> = ready.into_iter().map(|it| it.1).collect();
        for task in &ready {
            self.waiting.remove(task);
            self.running.insert(task.clone());
        }
        ready
    }

    /// One task less is left of its cluster.
    fn ended(&mut self, task: &Task) {
        if let Some(left) = self.left.get_mut(&task.0.scope) {
            *left -= 1;
            if *left == 0 {
                self.begun.remove(&task.0.scope);
            }
        }
    }

    /// A task is done; what waited for it alone is free.
    pub fn done(&mut self, task: &Task) {
        self.running.remove(task);
        self.ended(task);
        for dependent in self.dependents.remove(task).unwrap_or_default() {
            if let Some(blockers) = self.waiting.get_mut(&dependent) {
                blockers.remove(task);
                if blockers.is_empty() {
                    self.unblock(dependent);
                }
            }
        }
    }

    /// A task failed: everything that waits for it, directly or not, will never start. Returns
    /// those tasks.
    pub fn failed(&mut self, task: &Task) -> Vec<Task> {
        self.running.remove(task);
        self.ended(task);
        let mut lost = BTreeSet::new();
        let mut open = vec![task.clone()];
        while let Some(cause) = open.pop() {
            for dependent in self.dependents.remove(&cause).unwrap_or_default() {
                if self.waiting.remove(&dependent).is_some() {
                    self.ended(&dependent);
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

/// What each task of a plan waits for.
fn blockers(plan: &Plan) -> BTreeMap<Task, BTreeSet<Task>> {
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
    waiting
}

/// The longest way from the start of a task to the end of all that waits for it.
fn longest(
    task: &Task,
    dependents: &BTreeMap<Task, Vec<Task>>,
    takes: &BTreeMap<&Key, Duration>,
    rest: &mut BTreeMap<Task, Duration>,
) -> Duration {
    if let Some(known) = rest.get(task) {
        return *known;
    }
    let after = dependents.get(task).into_iter().flatten();
    let after = after.map(|it| longest(it, dependents, takes, rest)).max().unwrap_or_default();
    let whole = after + takes.get(&task.0).copied().unwrap_or_default();
    rest.insert(task.clone(), whole);
    whole
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

    fn frontier(plan: &Plan) -> Frontier {
        limited(plan, usize::MAX)
    }

    fn limited(plan: &Plan, at_once: usize) -> Frontier {
        let takes = |address: &Key| Duration::from_secs(if address.name == "n3" { 9 } else { 1 });
        Frontier::new(plan, Clusters { is_cluster: &|_| true, at_once, takes: &takes })
    }

    fn run(mut frontier: Frontier) -> Vec<String> {
        let mut order = Vec::new();
        loop {
            let started = frontier.start();
            if started.is_empty() {
                return order;
            }
            for task in started {
                order.push(format!("{:?} {}", task.1, task.0.name));
                frontier.done(&task);
            }
        }
    }

    #[test]
    fn the_longest_way_goes_first_and_clusters_only_so_many_at_once() {
        let mut plan = plan(Mode::Apply, &[Action::Create; 4], &[(0, 1)]);
        assert_eq!(run(frontier(&plan)), ["Make n3", "Make n0", "Make n2", "Make n1"]);
        for (step, scope) in plan.steps.iter_mut().zip(["a", "a", "b", "c"]) {
            step.key.scope = scope.to_owned();
            step.depends_on =
                step.depends_on.iter().map(|it| Key::new("a", it.kind, it.name.clone())).collect();
        }
        let mut frontier = limited(&plan, 1);
        let started = frontier.start();
        assert_eq!((started.len(), started[0].0.scope.as_str()), (1, "c"));
        assert!(frontier.start().is_empty());
        frontier.done(&started[0]);
        let started = frontier.start();
        assert_eq!((started.len(), started[0].0.scope.as_str()), (1, "a"));
        // A begun cluster is finished, others are not begun.
        frontier.close();
        frontier.done(&started[0]);
        assert_eq!(frontier.start()[0].0.name, "n1");
        frontier.done(&(plan.steps[1].key.clone(), Phase::Make));
        assert!(frontier.start().is_empty());
        assert_eq!(frontier.waiting().count(), 1);
    }

    #[test]
    fn a_cluster_that_is_done_makes_room_and_one_that_waits_for_another_begins_it() {
        let scoped = |scopes: &[&str], edges: &[(usize, usize)]| {
            let mut plan = plan(Mode::Apply, &[Action::Create; 4], edges);
            for step in &mut plan.steps {
                let of = |key: &Key| scopes[usize::from(key.name.as_bytes()[1] - b'0')].to_owned();
                step.key.scope = of(&step.key);
                let needs = std::mem::take(&mut step.depends_on);
                step.depends_on =
                    needs.into_iter().map(|key| Key { scope: of(&key), ..key }).collect();
            }
            plan
        };
        let names = |tasks: &[Task]| -> Vec<String> {
            tasks.iter().map(|task| format!("{} {}", task.0.scope, task.0.name)).collect()
        };
        let mut frontier = limited(&scoped(&["b", "c", "c", "a"], &[]), 2);
        let started = frontier.start();
        assert_eq!(names(&started), ["a n3", "b n0"]);
        frontier.done(&started[1]);
        assert_eq!(names(&frontier.start()), ["c n1", "c n2"], "while `a` goes on");

        let waits = scoped(&["c", "a", "b", "a"], &[(2, 1)]);
        let mut frontier = limited(&waits, 1);
        let started = frontier.start();
        assert_eq!(names(&started), ["a n3"]);
        assert!(frontier.start().is_empty(), "`a` is not stuck yet");
        frontier.done(&started[0]);
        assert_eq!(names(&frontier.start()), ["b n2"], "which `a` waits for");
        let mut closed = limited(&waits, 1);
        let started = closed.start();
        closed.close();
        closed.done(&started[0]);
        assert!(closed.start().is_empty());
    }

    #[test]
    fn what_has_to_be_gone_goes_first() {
        let plan = plan(Mode::Apply, &[Action::Create, Action::Delete], &[(1, 0)]);
        assert_eq!(run(frontier(&plan)), ["Remove n1", "Make n0"]);
    }

    #[test]
    fn a_replacement_removes_what_stands_on_it_first_and_makes_it_again_after() {
        let plan = plan(Mode::Apply, &[Action::Replace, Action::Replace], &[(0, 1)]);
        let order = run(frontier(&plan));
        assert_eq!(order, ["Remove n1", "Remove n0", "Make n0", "Make n1"]);
    }

    #[test]
    fn destroying_goes_backwards_also_through_what_stays() {
        let actions = [Action::Delete, Action::NoOp, Action::Delete];
        let plan = plan(Mode::Destroy, &actions, &[(0, 1), (1, 2)]);
        assert_eq!(run(frontier(&plan)), ["Remove n2", "Remove n1", "Remove n0"]);
    }

    #[test]
    fn a_failure_stops_only_what_depends_on_it() {
        let plan = plan(Mode::Apply, &[Action::Create; 4], &[(0, 1), (1, 2)]);
        let mut frontier = frontier(&plan);
        assert_eq!(frontier.start().len(), 2);
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
            let actions: Vec<Action> = kinds.into_iter().map(|kind| choices[kind]).collect();
            let order = run(frontier(&plan(Mode::Apply, &actions, &edges)));
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
