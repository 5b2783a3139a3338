//! The loop around the frontier: spawn, join, stop.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};

use super::error::{StepFailure, Stop};
use super::frontier::{Clusters, Frontier, Phase, Task};
use super::task::{Done, TaskContext};
use super::{Event, Explain, Outcome};
use crate::client::net::clock;
use crate::model::Key;
use crate::observe::Clients;
use crate::plan::{Action, Plan};
use crate::resource::Snapshot;
use crate::resource::graph::Desired;

/// How an apply is limited.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How many changing requests are under way at once; waiting takes no place.
    pub parallelism: NonZeroUsize,
    /// How many clusters are begun at once.
    pub clusters: usize,
    /// How many clusters may fail before no further one is begun.
    pub failures: usize,
    /// Do not wait for steps that nothing else waits for.
    pub no_wait: bool,
    /// Stop waiting after this long.
    pub timeout: Option<Duration>,
    /// Turns true when the user interrupts.
    pub interrupted: watch::Receiver<bool>,
}

/// Why the loop stopped starting tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Halt {
    No,
    Interrupted,
    TimeOut,
}

/// Carries out a plan. Returns how it ended and everything that is live afterwards.
pub async fn run(
    plan: &Plan,
    desired: &Desired,
    live: Snapshot,
    clients: &Clients,
    limits: Limits,
    explain: Explain,
    emit: &mut dyn FnMut(&Event),
) -> (Outcome, Snapshot) {
    let (events, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let context =
        Arc::new(TaskContext::new(plan, desired, live, clients, &limits, explain, events));
    let clusters = Clusters {
        is_cluster: &|scope| desired.is_cluster(scope),
        at_once: limits.clusters,
        takes: &|key| context.deadline(key),
    };
    let frontier = Frontier::new(plan, clusters);
    let mut run = ApplyRun {
        frontier,
        failures: limits.failures,
        failed: BTreeSet::new(),
        skipped: BTreeSet::new(),
        tasks: JoinSet::new(),
        ids: BTreeMap::new(),
        outcome: Outcome { mode: plan.mode, unread: plan.unread.clone(), ..Outcome::default() },
        states: BTreeMap::new(),
        context: Arc::clone(&context),
    };
    let started = clock::now();
    let halt = run.until_done(limits, &mut heard, emit).await;
    run.tasks.shutdown().await;
    while let Ok(event) = heard.try_recv() {
        run.hear(&event, emit);
    }
    run.close(halt, emit);
    run.outcome.elapsed = started.elapsed();
    let snapshot = Mutex::lock(&context.live).map(|it| it.clone()).unwrap_or_default();
    (run.outcome, snapshot)
}

struct ApplyRun {
    frontier: Frontier,
    tasks: JoinSet<Result<Done, Stop>>,
    /// What the running tasks are about.
    ids: BTreeMap<Id, Task>,
    outcome: Outcome,
    /// The last state that each running resource reported.
    states: BTreeMap<Key, String>,
    context: Arc<TaskContext>,
    failures: usize,
    /// Scopes in which a step failed.
    failed: BTreeSet<String>,
    skipped: BTreeSet<Key>,
}

impl ApplyRun {
    /// Every event has to be heard even after a failure, so there is no early return here.
    async fn until_done(
        &mut self,
        limits: Limits,
        heard: &mut tokio::sync::mpsc::UnboundedReceiver<Event>,
        emit: &mut dyn FnMut(&Event),
    ) -> Halt {
        let mut interrupted = limits.interrupted;
        let time_out = async move {
            match limits.timeout {
                Some(timeout) => clock::sleep(timeout).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(time_out);
        loop {
            self.start();
            if self.tasks.is_empty() {
                return Halt::No;
            }
            tokio::select! {
                biased;
                Some(event) = heard.recv() => self.hear(&event, emit),
                Ok(_) = interrupted.wait_for(|it| *it) => {
                    return Halt::Interrupted;
                }
                () = &mut time_out => return Halt::TimeOut,
                Some(joined) = self.tasks.join_next_with_id() => {
                    while let Ok(event) = heard.try_recv() {
                        self.hear(&event, emit);
                    }
                    self.joined(joined, emit);
                }
            }
        }
    }

    fn hear(&mut self, event: &Event, emit: &mut dyn FnMut(&Event)) {
        if let Event::Progress { key, state, .. } = event {
            self.states.insert(key.clone(), state.clone());
        }
        emit(event);
    }

    fn start(&mut self) {
        // Tasks that do nothing take no place, so they are passed on in a loop of their own.
        loop {
            let started = self.frontier.start();
            if started.is_empty() {
                return;
            }
            for task in started {
                if self.idle(&task) {
                    self.frontier.done(&task);
                    continue;
                }
                let context = Arc::clone(&self.context);
                let own = task.clone();
                let handle = self.tasks.spawn(async move { context.perform(&own).await });
                self.ids.insert(handle.id(), task);
            }
        }
    }

    fn idle(&self, (key, phase): &Task) -> bool {
        self.context.step(key).is_none_or(|step| match phase {
            Phase::Remove => step.removal.is_empty() && !step.action.changes(),
            Phase::Make => !step.action.changes() && step.settling.is_none(),
        })
    }

    fn action(&self, key: &Key) -> Action {
        self.context.step(key).map_or(Action::NoOp, |step| step.action)
    }

    fn joined(
        &mut self,
        joined: Result<(Id, Result<Done, Stop>), JoinError>,
        emit: &mut dyn FnMut(&Event),
    ) {
        let Some((task, ended)) = ended(joined, &mut self.ids) else { return };
        let (key, phase) = &task;
        let action = self.action(key);
        match ended {
            Ok(done) => {
                self.frontier.done(&task);
                // A replacement is complete when it has been made again.
                let half = *phase == Phase::Remove && action == Action::Replace;
                if !half && action.changes() {
                    let elapsed = done.elapsed;
                    self.outcome.done.push((key.clone(), action, elapsed));
                    emit(&Event::Completed { key: key.clone(), action, elapsed });
                }
            }
            Err(Stop::Left(state)) => {
                self.outcome.running.push((key.clone(), state.clone()));
                emit(&Event::Left { key: key.clone(), state });
                self.skip(&task, emit);
            }
            Err(Stop::Failed(failure)) => {
                let elapsed = self.context.elapsed(key);
                let error = (self.context.explain)(*failure);
                self.outcome.failed.push((key.clone(), error.clone()));
                self.failed.insert(key.scope.clone());
                if self.failed.len() > self.failures {
                    self.frontier.close();
                }
                emit(&Event::Errored { key: key.clone(), action, error, elapsed });
                self.skip(&task, emit);
            }
        }
        self.states.remove(key);
    }

    fn skip(&mut self, task: &Task, emit: &mut dyn FnMut(&Event)) {
        for (key, _) in self.frontier.failed(task) {
            // A replacement waits twice.
            if key != task.0 && self.action(&key).changes() && self.skipped.insert(key.clone()) {
                self.outcome.skipped.push(key.clone());
                emit(&Event::Skipped { key, because: task.0.clone() });
            }
        }
    }

    fn close(&mut self, halt: Halt, emit: &mut dyn FnMut(&Event)) {
        self.outcome.interrupted = halt == Halt::Interrupted;
        for (key, _) in self.frontier.running().clone() {
            let state = self.states.get(&key).cloned().unwrap_or_else(|| "started".to_owned());
            emit(&Event::Left { key: key.clone(), state: state.clone() });
            self.outcome.running.push((key, state));
        }
        // Halves of one replacement stand beside each other.
        let mut not_started: Vec<Key> =
            self.frontier.waiting().map(|(key, _)| key.clone()).collect();
        not_started.dedup();
        not_started.retain(|address| self.action(address).changes());
        self.outcome.not_started.extend(not_started);
    }
}

/// Which task ended, and how. One that panicked has failed: nobody works on it any more.
fn ended(
    joined: Result<(Id, Result<Done, Stop>), JoinError>,
    ids: &mut BTreeMap<Id, Task>,
) -> Option<(Task, Result<Done, Stop>)> {
    match joined {
        Ok((id, ended)) => Some((ids.remove(&id)?, ended)),
        Err(error) => {
            let task = ids.remove(&error.id())?;
            let message = "this is a mistake in amlplan, not in your manifest: please report it \
                           with the lines above";
            let failure = StepFailure::own(&task.0, "StepPanicked", message.to_owned());
            Some((task, Err(Stop::Failed(Box::new(failure)))))
        }
    }
}

#[cfg(test)]
#[path = "driver_tests.rs"]
mod tests;
