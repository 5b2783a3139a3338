//! An apply in stages: a filter in front of plan and apply. Nothing is remembered: a stage that is
//! as declared and works has been rolled out, so the next apply goes on behind it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::apply::{limits, line, perform};
use super::args::ApplyFlags;
use super::context::{CommandContext, Observed, now};
use super::exit::CommandFailure;
use super::verify::judged;
use crate::apply::{Outcome, StageEnd, StepError};
use crate::client::net::clock;
use crate::health::{By, Finding, Status};
use crate::language::{Rollout, Stage};
use crate::model::Key;
use crate::plan::{Mode, Plan, file};
use crate::render;
use crate::resource::Snapshot;
use crate::resource::graph::Desired;
use crate::source::Diagnostic;

/// How long a stage may take to look well after its changes, and how often it is looked at.
const PATIENCE: Duration = Duration::from_secs(2 * 60);
const LOOK: Duration = Duration::from_secs(30);

/// The stages of this run.
pub(super) struct Stages {
    rollout: Rollout,
    /// How many of them this run goes through.
    wanted: usize,
}

impl Stages {
    /// The stages of a manifest up to the one that was asked for; `None` where it has none.
    pub(super) fn of(
        desired: &Desired,
        name: Option<&str>,
    ) -> Result<Option<Self>, CommandFailure> {
        let refuse = |code, message: String, help: String| -> CommandFailure {
            Diagnostic::error(code, message).with_help(help).into()
        };
        let staged = |text: &str| {
            let mut all = desired.rollouts.iter().flat_map(|rollout| &rollout.stages);
            all.any(|stage| stage.clusters.contains(text))
        };
        let clusters = || desired.scopes.keys().filter(|scope| desired.is_cluster(scope));
        let outside: Vec<&String> = clusters().filter(|cluster| !staged(cluster)).collect();
        if name.is_none() && outside.len() == clusters().count() {
            return Ok(None);
        }
        let rollout = match (&desired.rollouts[..], name) {
            ([], name) => {
                let name = name.unwrap_or_default();
                let message = format!("there is no stage `{name}`: the manifest has no rollout");
                let help = "stages stand in `rollout.stages` of a fleet".to_owned();
                return Err(refuse("unknown-stage", message, help));
            }
            ([one], _) if outside.is_empty() => one,
            ([_], _) => {
                let message = format!(
                    "a fleet with a rollout, and `{}`, which is in none of its stages",
                    outside[0]
                );
                let help = "apply one file at a time, so that their order is yours".to_owned();
                return Err(refuse("several-rollouts", message, help));
            }
            _ => {
                let message = "several fleets with a rollout in one apply".to_owned();
                let help = "apply one file at a time, so that their order is yours".to_owned();
                return Err(refuse("several-rollouts", message, help));
            }
        };
        let Some(wanted) = rollout.up_to(name).map(<[Stage]>::len) else {
            let name = name.unwrap_or_default();
            let names: Vec<&str> = rollout.stages.iter().map(|stage| stage.name.as_str()).collect();
            let help = match rollout.nearest(name) {
                Some(text) => format!("did you mean `{text}`?"),
                None => format!("its stages are {}", names.join(", ")),
            };
            return Err(refuse("unknown-stage", format!("there is no stage `{name}`"), help));
        };
        Ok(Some(Self { rollout: rollout.clone(), wanted }))
    }

    /// Only what this run is about. What no cluster has to itself comes first.
    pub(super) fn narrow(&self, plan: &Plan, desired: &Desired) -> (Plan, Desired) {
        let wanted = self.rollout.stages.iter().take(self.wanted);
        let wanted: BTreeSet<String> = wanted.flat_map(|stage| stage.clusters.clone()).collect();
        let holds = |it: &Key| wanted.contains(&it.scope) || !desired.is_cluster(&it.scope);
        (plan.part(holds), desired.part(&wanted))
    }

    /// Carries out a plan stage by stage.
    pub(super) async fn run(
        &self,
        plan: &Plan,
        observed: &Observed,
        how: &ApplyFlags,
        context: &CommandContext,
    ) -> (Outcome, Snapshot) {
        let mut run = RolloutRun {
            stages: self,
            plan,
            observed,
            how,
            context,
            started: clock::now(),
            total: Outcome::default(),
            live: observed.live.clone(),
            failures: 0,
            begun: false,
            stopped: false,
        };
        for (index, stage) in self.rollout.stages.iter().enumerate() {
            let end = run.stage(index, stage).await;
            run.total.stages.push(end);
        }
        run.total.elapsed = run.started.elapsed();
        (run.total, run.live)
    }
}

/// A rollout under way.
struct RolloutRun<'a> {
    stages: &'a Stages,
    plan: &'a Plan,
    observed: &'a Observed,
    how: &'a ApplyFlags,
    context: &'a CommandContext,
    started: Instant,
    total: Outcome,
    live: Snapshot,
    /// Clusters that failed.
    failures: usize,
    /// Whether anything was changed.
    begun: bool,
    stopped: bool,
}

impl RolloutRun<'_> {
    async fn stage(&mut self, index: usize, stage: &Stage) -> StageEnd {
        let Stages { rollout, wanted } = self.stages;
        let desired = &self.observed.desired;
        let mut part = self.plan.part(|key| {
            stage.clusters.contains(&key.scope) || (index == 0 && !desired.is_cluster(&key.scope))
        });
        if index >= *wanted || self.stopped {
            if index < *wanted {
                self.total.not_started.extend(part.changing().map(|step| step.key.clone()));
            }
            return untouched(stage);
        }
        self.say("stage_start", stage, index, "begins");
        if self.begun {
            match self.again(stage, &part).await {
                Ok(fresh) => part = fresh,
                Err(end) => return end,
            }
        }
        let world = Observed {
            desired: desired.part(&stage.clusters),
            clients: self.observed.clients.clone(),
            live: self.live.clone(),
            warnings: Vec::new(),
        };
        let mut limits = limits(self.how, self.context);
        limits.clusters = stage.max_concurrency;
        limits.failures = rollout.max_failures.saturating_sub(self.failures);
        limits.timeout = limits.timeout.map(|it| it.saturating_sub(self.started.elapsed()));
        let (outcome, live) = perform(&part, &world, self.how, limits, self.context).await;
        let changes = !part.is_empty();
        self.begun |= changes;
        self.live.live.extend(live.live);
        let mut end = ended(stage, &outcome);
        self.total.add(outcome);
        if end.running.is_empty() && !self.total.interrupted {
            let wait = if changes && index + 1 < *wanted { stage.wait } else { 0 };
            self.check(&mut end, &world, changes, Duration::from_secs(wait)).await;
        }
        self.failures += end.failed.len();
        let shared = self.total.failed.iter().any(|it| !desired.is_cluster(&it.0.scope));
        self.stopped = self.failures > rollout.max_failures
            || shared
            || !end.running.is_empty()
            || self.total.interrupted
            || (!end.waiting.is_empty() && end.failed.is_empty());
        let went = if self.stopped { "stopped" } else { "is done" };
        self.say("stage_complete", stage, index, went);
        end
    }

    /// The plan of a stage, made anew: the world went on while earlier stages did. What was not
    /// approved is not done.
    async fn again(&mut self, stage: &Stage, approved: &Plan) -> Result<Plan, StageEnd> {
        let desired = self.observed.desired.part(&stage.clusters);
        let live = self.context.snapshot(&desired, &self.observed.clients).await;
        let clients = self.observed.clients.clone();
        let mut fresh = Observed { desired, clients, live, warnings: Vec::new() };
        let again = self.context.plan(&mut fresh, Mode::Apply).await;
        let again = again.part(|key| stage.clusters.contains(&key.scope));
        self.live.renew(fresh.live);
        let stale = file::stale(approved, &again);
        if stale.is_empty() {
            return Ok(again);
        }
        self.stopped = true;
        self.total.failed.extend(stale.iter().map(|key| (key.clone(), moved(stage))));
        let mut end = untouched(stage);
        for name in std::mem::take(&mut end.waiting) {
            if stale.iter().any(|key| key.scope == name) {
                end.failed.push((name, moved(stage).message));
            } else {
                end.waiting.push(name);
            }
        }
        Err(end)
    }

    /// Waits, then looks whether the clusters of a stage work.
    async fn check(&mut self, end: &mut StageEnd, world: &Observed, changes: bool, wait: Duration) {
        let mut asked = self.context.interrupts.take();
        let whole = end.failed.is_empty() && end.waiting.is_empty();
        let look = async {
            if whole {
                clock::sleep(wait).await;
            }
            self.unwell(&end.done, world, changes).await
        };
        let unwell = tokio::select! {
            found = look => found,
            Ok(_) = asked.wait_for(|it| *it) => {
                self.total.interrupted = true;
                return;
            }
        };
        end.done.retain(|done| !unwell.contains_key(done));
        for (cluster, finding) in unwell {
            end.failed.push((cluster, format!("{}: {}", finding.address, finding.problem())));
            self.total.failed.push((finding.address.clone(), unhealthy(&finding)));
        }
    }

    fn say(&self, kind: &str, stage: &Stage, index: usize, what: &str) {
        let (number, all) = (index + 1, self.stages.rollout.stages.len());
        let size = stage.clusters.len();
        let message = format!("Stage {} ({number} of {all}, clusters: {size}) {what}", stage.name);
        if self.how.json {
            line(
                self.context,
                &render::json::stage(kind, &stage.name, &message, &now().to_string()),
            );
        } else {
            self.context.out.note(&message);
        }
    }

    /// The clusters of a stage that do not work, with what is wrong. Pods may need a moment.
    async fn unwell(
        &self,
        clusters: &[String],
        stage: &Observed,
        changed: bool,
    ) -> BTreeMap<String, Finding> {
        let mut open: BTreeSet<String> = clusters.iter().cloned().collect();
        let mut live = self.live.clone();
        let ends = clock::after(if changed { PATIENCE } else { Duration::ZERO });
        loop {
            let desired = stage.desired.part(&open);
            let clients = stage.clients.clone();
            let looked = Observed { desired, clients, live, warnings: Vec::new() };
            let findings = judged(By::Verify, &looked, self.context).await;
            let bad = findings.into_iter().filter(|finding| {
                matches!(finding.status, Status::Fail | Status::Unknown)
                    && open.contains(&finding.address.scope)
            });
            let mut unwell: BTreeMap<String, Finding> = BTreeMap::new();
            for finding in bad {
                unwell.entry(finding.address.scope.clone()).or_insert(finding);
            }
            let pause = clock::sleep(LOOK);
            if unwell.is_empty() || clock::until(ends, pause).await.is_none() {
                return unwell;
            }
            open = unwell.into_keys().collect();
            live = self.context.snapshot(&stage.desired.part(&open), &stage.clients).await;
        }
    }
}

fn untouched(stage: &Stage) -> StageEnd {
    let waiting = stage.clusters.iter().cloned().collect();
    StageEnd { name: stage.name.clone(), waiting, ..StageEnd::default() }
}

/// Where each cluster of a stage stands after its changes.
fn ended(stage: &Stage, outcome: &Outcome) -> StageEnd {
    let mut end = StageEnd { name: stage.name.clone(), ..StageEnd::default() };
    let mut failed: BTreeMap<&str, String> = BTreeMap::new();
    for (key, error) in &outcome.failed {
        failed.entry(&key.scope).or_insert_with(|| format!("{key}: {error}"));
    }
    for key in outcome.unread.iter().flat_map(|unread| &unread.keys) {
        failed.entry(&key.scope).or_insert_with(|| format!("{key} could not be read"));
    }
    let running: BTreeSet<&str> = outcome.running.iter().map(|it| it.0.scope.as_str()).collect();
    let left = outcome.skipped.iter().chain(&outcome.not_started);
    let left: BTreeSet<&str> = left.map(|address| address.scope.as_str()).collect();
    for name in &stage.clusters {
        match () {
            () if failed.contains_key(name.as_str()) => {
                end.failed.extend(failed.remove(name.as_str()).map(|why| (name.clone(), why)));
            }
            () if running.contains(name.as_str()) => end.running.push(name.clone()),
            () if left.contains(name.as_str()) => end.waiting.push(name.clone()),
            () => end.done.push(name.clone()),
        }
    }
    end
}

fn moved(stage: &Stage) -> StepError {
    StepError {
        message: format!("stage {} is no longer as it was when the plan was made", stage.name),
        code: Some("stale-plan".to_owned()),
        help: Some("apply again: it plans anew and goes on with this stage".to_owned()),
        details: Vec::new(),
        field: None,
    }
}

fn unhealthy(finding: &Finding) -> StepError {
    StepError {
        message: format!("applied, but it does not work: {}", finding.problem()),
        code: Some(finding.code.to_owned()),
        help: finding.help.clone(),
        details: finding.evidence.clone(),
        field: None,
    }
}
