//! One task: settle, send, wait, and look whether it is really done.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use super::error::{Evidence, StepFailure, Stop};
use super::frontier::{Phase, Task};
use super::{Event, Explain, Limits, Permit};
use crate::client::arm::{self, OperationOutcome as Ended};
use crate::client::kubernetes;
use crate::client::net::{clock, poll};
use crate::model::{Json, Key, KindName, Later, ObjectRef, Pointer, Secret, Value};
use crate::observe::{Clients, ReadError};
use crate::plan::{Action, Plan, Step};
use crate::resource::graph::Desired;
use crate::resource::pods;
use crate::resource::{Document, Kind, Live, Method, Readiness, Request, Snapshot};

/// How often the pods of an extension are looked at while it is installed.
const WATCH: Duration = Duration::from_secs(30);
/// Namespace of the extension.
const NAMESPACE: &str = "azureml";
/// How long a read may lag behind a write, or the directory behind a new principal.
const LAG: Duration = Duration::from_secs(5 * 60);

/// A value of another resource that cannot be had.
const MISSING: &str = "ValueMissing";

/// What a finished task reports.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) elapsed: Duration,
}

/// What a resource answered when it was asked for its keys.
type Listed = Arc<OnceCell<Json>>;

/// What all tasks share.
pub(super) struct TaskContext {
    plan: Plan,
    /// Where each step stands in the plan.
    index: BTreeMap<Key, usize>,
    /// What other steps wait for.
    needed: BTreeSet<Key>,
    desired: Desired,
    clients: Clients,
    arm: BTreeMap<String, arm::ArmWriter>,
    clusters: BTreeMap<String, kubernetes::KubeWriter>,
    pub(super) live: Mutex<Snapshot>,
    started: Mutex<BTreeMap<Key, Instant>>,
    events: UnboundedSender<Event>,
    pub(super) explain: Explain,
    no_wait: bool,
    /// Keys that a resource was asked for, by id and action: each once in a run.
    keys: Mutex<BTreeMap<(String, String), Listed>>,
}

impl TaskContext {
    pub(super) fn new(
        plan: &Plan,
        desired: &Desired,
        live: Snapshot,
        clients: &Clients,
        limits: &Limits,
        explain: Explain,
        events: UnboundedSender<Event>,
    ) -> Self {
        let permit = Permit::for_a_plan();
        // Scopes of one cloud share a reader, and have to share a writer: it holds the locks.
        let mut writers: Vec<arm::ArmWriter> = Vec::new();
        let mut arm = BTreeMap::new();
        for (scope, reader) in &clients.arm {
            let shared = writers.iter().find(|it| it.reader().is_same(reader)).cloned();
            let writer = shared.unwrap_or_else(|| {
                let writer = arm::ArmWriter::new(reader.clone(), permit, limits.parallelism.get());
                writers.push(writer.clone());
                writer
            });
            arm.insert(scope.clone(), writer);
        }
        let writer = |(scope, reader): (&String, &kubernetes::KubeReader)| {
            (scope.clone(), kubernetes::KubeWriter::new(reader.clone(), permit))
        };
        Self {
            index: plan.steps.iter().enumerate().map(|(at, step)| (step.key.clone(), at)).collect(),
            needed: plan.steps.iter().flat_map(|step| step.depends_on.iter().cloned()).collect(),
            plan: plan.clone(),
            desired: desired.with_orphans(),
            clients: clients.clone(),
            arm,
            clusters: clients.clusters.iter().map(writer).collect(),
            live: Mutex::new(live),
            started: Mutex::default(),
            events,
            explain,
            no_wait: limits.no_wait,
            keys: Mutex::default(),
        }
    }

    pub(super) fn step(&self, key: &Key) -> Option<&Step> {
        self.plan.steps.get(*self.index.get(key)?)
    }

    /// How long a step may take: about how long it does, compared with others.
    pub(super) fn deadline(&self, key: &Key) -> Duration {
        let node = self.desired.nodes.get(key);
        node.map(|it| it.resource.kind().deadline()).unwrap_or_default()
    }

    pub(super) fn elapsed(&self, key: &Key) -> Duration {
        let started = self.started.lock().ok().and_then(|times| times.get(key).copied());
        started.map(|instant| instant.elapsed()).unwrap_or_default()
    }

    /// Carries out a task to its real end.
    pub(super) async fn perform(self: &Arc<Self>, (key, phase): &Task) -> Result<Done, Stop> {
        let (Some(step), Some(node)) = (self.step(key), self.desired.nodes.get(key)) else {
            let message = format!("{key} is not in the plan");
            let failure = StepFailure::own(key, "InternalError", message);
            return Err(Stop::Failed(Box::new(failure)));
        };
        if let Ok(mut started) = self.started.lock() {
            started.entry(key.clone()).or_insert_with(clock::now);
        }
        let half = *phase == Phase::Make && step.action == Action::Replace;
        if step.action.changes() && !half {
            self.emit(Event::Started { key: key.clone(), action: step.action });
        }
        let work = TaskWork {
            context: self,
            step,
            kind: node.resource.kind(),
            deadline: clock::after(node.resource.kind().deadline()),
            waits_for: Mutex::default(),
        };
        let carried_out = async {
            match phase {
                Phase::Remove => work.remove().await,
                Phase::Make => work.make().await,
            }
        };
        let result = tokio::select! {
            biased;
            result = carried_out => result,
            never = work.watch() => match never {},
        };
        match result {
            Ok(()) => Ok(Done { elapsed: self.elapsed(key) }),
            Err(Stop::Failed(mut failure)) => {
                if matches!(key.kind, KindName::Extension | KindName::Compute) {
                    failure.evidence = self.evidence(key).await;
                }
                Err(Stop::Failed(failure))
            }
            Err(left) => Err(left),
        }
    }

    fn emit(&self, event: Event) {
        // Nobody listening any more means that the run has ended.
        let _ = self.events.send(event);
    }

    /// The pods and the events of the extension, as far as they can be read.
    async fn inside(&self, scope: &str) -> (Vec<Json>, Vec<Json>) {
        let Some(cluster) = self.clients.clusters.get(scope) else { return Default::default() };
        let list = async |kind, plural| {
            let all = ObjectRef::cluster("v1", kind, plural, "").in_namespace(NAMESPACE);
            cluster.list(&all, None).await.unwrap_or_default()
        };
        (list("Pod", "pods").await, list("Event", "events").await)
    }

    /// What cluster and Azure tell about a failure.
    async fn evidence(&self, key: &Key) -> Evidence {
        let report = ObjectRef::cluster("v1", "ConfigMap", "configmaps", "arcml-healthcheck");
        let health = match self.clients.clusters.get(&key.scope) {
            Some(cluster) => cluster.get(&report.in_namespace(NAMESPACE)).await.ok().flatten(),
            None => None,
        };
        let (pods, events) = self.inside(&key.scope).await;
        let kind = self.desired.nodes.get(key).map(|node| node.resource.kind());
        let live = match kind {
            Some(kind) => self.clients.live(&key.scope, &kind.reads()).await.ok(),
            None => None,
        };
        let document = kind.zip(live).and_then(|(kind, live)| kind.shown(&live));
        Evidence { health, document, pods, events }
    }

    fn document(&self, key: &Key) -> Option<Json> {
        self.live.lock().ok()?.document(key).cloned()
    }
}

struct TaskWork<'a> {
    context: &'a TaskContext,
    step: &'a Step,
    kind: &'a dyn Kind,
    deadline: Instant,
    /// What the installation waits for, as last seen in the cluster.
    waits_for: Mutex<Option<String>>,
}

impl TaskWork<'_> {
    fn key(&self) -> &Key {
        &self.step.key
    }

    fn fail(&self, code: &str, message: String) -> Stop {
        Stop::Failed(Box::new(self.failure(code, message)))
    }

    /// A failure that was noticed here.
    fn failure(&self, code: &str, message: String) -> StepFailure {
        StepFailure::own(self.key(), code, message)
    }

    /// What cannot be read.
    fn unread(&self, error: ReadError) -> Stop {
        let own = self.failure("", error.to_string());
        let ReadError { api, status, code, help, .. } = error;
        Stop::Failed(Box::new(StepFailure { api, status, code, help, ..own }))
    }

    fn progress(&self, state: &str) {
        let (key, state) = (self.key().clone(), state.to_owned());
        let elapsed = self.context.elapsed(&key);
        let waits_for = self.waits_for.lock().ok().and_then(|what| what.clone());
        self.context.emit(Event::Progress { key, state, waits_for, elapsed });
    }

    /// Looks at the pods of an extension while it is worked on, and never ends by itself.
    async fn watch(&self) -> std::convert::Infallible {
        let key = self.key();
        let seen = key.kind == KindName::Extension
            && self.context.clients.clusters.contains_key(&key.scope);
        if !seen {
            std::future::pending::<()>().await;
        }
        loop {
            clock::sleep(WATCH).await;
            let (pods, events) = self.context.inside(&key.scope).await;
            if let Ok(mut waits) = self.waits_for.lock() {
                *waits = pods::waits_for(&pods, &events);
            }
        }
    }

    async fn look(&self) -> Result<Live, Stop> {
        let answer = self.context.clients.live(&self.key().scope, &self.kind.reads()).await;
        let live = answer.map_err(|read_error| self.unread(read_error))?;
        if let Ok(mut snapshot) = self.context.live.lock() {
            snapshot.live.insert(self.key().clone(), live.clone());
        }
        Ok(live)
    }

    /// Waits between two looks; past the deadline the resource is left to Azure.
    async fn pause(&self, state: &str) -> Result<(), Stop> {
        self.rest(state, poll::next_look(self.context.elapsed(self.key()), None)).await
    }

    /// Waits so long, unless the server advises less.
    async fn rest(&self, state: &str, look: Duration) -> Result<(), Stop> {
        self.progress(state);
        let advised =
            self.context.clients.arm.get(&self.key().scope).and_then(arm::ArmReader::pace);
        let look = advised.map_or(look, |duration| duration.min(look));
        if clock::until(self.deadline, clock::sleep(look)).await.is_none() {
            return Err(Stop::Left(state.to_owned()));
        }
        Ok(())
    }

    async fn remove(&self) -> Result<(), Stop> {
        for request in &self.step.removal {
            self.send(request).await?;
        }
        loop {
            let live = self.look().await?;
            if self.kind.gone(&live) {
                return Ok(());
            }
            if self.leaves() {
                return Err(Stop::Left("deleting".to_owned()));
            }
            self.pause("deleting").await?;
        }
    }

    async fn make(&self) -> Result<(), Stop> {
        let want = self.want();
        if self.step.settling.is_some() {
            let live = self.settled(&want).await?;
            let ready = self.kind.readiness(&want, &live) == Readiness::Ready;
            // It ended as it should be: joining it was enough.
            if ready && self.kind.differences(&want, &live).is_empty() {
                return Ok(());
            }
        }
        for request in &self.step.requests {
            self.send(request).await?;
        }
        // What was known later is known now, so what is wanted is looked at again.
        self.ready(&self.want()).await
    }

    /// Whether nothing waits for this step, so that `--no-wait` may leave it.
    fn leaves(&self) -> bool {
        self.context.no_wait && !self.context.needed.contains(self.key())
    }

    /// The wanted document with everything filled in that is known by now; secrets stay closed.
    fn want(&self) -> Document {
        let body = self.step.after.clone().unwrap_or(Value::Null);
        let known = |later: &Later| {
            let document = self.context.document(&later.from).filter(|_| later.call.is_none())?;
            later.at.get(&document).cloned()
        };
        Document { body: body.filled(&known), derived: Vec::new() }
    }

    /// Waits until nothing works on the resource any more.
    async fn settled(&self, want: &Document) -> Result<Live, Stop> {
        loop {
            let live = self.look().await?;
            match self.kind.readiness(want, &live) {
                Readiness::Waiting(state) => self.pause(&state).await?,
                Readiness::Absent
                | Readiness::Ready
                | Readiness::Failed { .. }
                | Readiness::NeedsHuman(_) => return Ok(live),
            }
        }
    }

    /// Waits until the resource is ready, steadily so, and has taken what was sent.
    async fn ready(&self, want: &Document) -> Result<(), Stop> {
        let mut steady = 0;
        let lag = clock::after(LAG);
        loop {
            let live = self.look().await?;
            match self.kind.readiness(want, &live) {
                Readiness::Ready => {
                    let missing = self.kind.differences(want, &live);
                    if missing.is_empty() {
                        steady += 1;
                        if steady >= self.kind.steady_looks() {
                            return Ok(());
                        }
                        self.rest("settling", poll::LONGEST).await?;
                        continue;
                    }
                    if clock::now() > lag {
                        let paths: Vec<String> =
                            missing.iter().map(|change| change.path.to_string()).collect();
                        let paths = paths.join(", ");
                        let message = format!("the change was accepted but not taken at {paths}");
                        return Err(self.fail("ChangeNotTaken", message));
                    }
                    self.pause("taking the change").await?;
                }
                Readiness::Waiting(state) => {
                    if self.leaves() {
                        return Err(Stop::Left(state));
                    }
                    self.pause(&state).await?;
                }
                Readiness::Failed { state, message } => {
                    let code = format!("ProvisioningState{state}");
                    return Err(self.fail(&code, message));
                }
                Readiness::NeedsHuman(why) => return Err(self.fail("NeedsPerson", why)),
                Readiness::Absent if clock::now() > lag => {
                    let message = "it was accepted but cannot be found".to_owned();
                    return Err(self.fail("NotFoundAfterWrite", message));
                }
                // Reads may lag behind writes.
                Readiness::Absent => self.pause("appearing").await?,
            }
            steady = 0;
        }
    }

    /// Sends one request; what is refused only because something has not spread yet is sent again.
    async fn send(&self, request: &Request) -> Result<(), Stop> {
        let lag = clock::after(LAG);
        loop {
            let failure = match self.attempt(request).await {
                Err(Stop::Failed(failure)) => failure,
                other => return other,
            };
            match failure.code.as_deref() {
                // The same triple under another name is as good.
                Some("RoleAssignmentExists") => return Ok(()),
                _ if clock::now() > lag || !passes(&failure, request) => {
                    return Err(Stop::Failed(failure));
                }
                _ => self.rest("waiting for earlier steps to spread", poll::LONGEST).await?,
            }
        }
    }

    async fn attempt(&self, request: &Request) -> Result<(), Stop> {
        let scope = &self.key().scope;
        match request {
            Request::Arm { method, path, api_version, query, body } => {
                let Some(writer) = self.context.arm.get(scope) else {
                    return Err(self.fail("NoClient", format!("no Azure client for {scope}")));
                };
                let body = self.body(body.as_ref()).await?;
                let (method, id, action) = match method {
                    Method::Put => (http::Method::PUT, path.clone(), None),
                    Method::Patch => (http::Method::PATCH, path.clone(), None),
                    Method::Delete => (http::Method::DELETE, path.clone(), None),
                    Method::Post => {
                        let (id, action) = path.rsplit_once('/').unwrap_or((path, ""));
                        (http::Method::POST, id.to_owned(), Some(action.to_owned()))
                    }
                };
                let write = arm::Write {
                    method,
                    lock: self.kind.changes_alone_in().map(ToString::to_string),
                    id,
                    api_version: (*api_version).to_owned(),
                    query: query.map(str::to_owned),
                    body,
                    action,
                };
                self.write(writer, &write).await
            }
            Request::Apply { .. }
            | Request::RemoveFields { .. }
            | Request::AddUsers { .. }
            | Request::RemoveUsers { .. }
            | Request::DeleteObject { .. } => self.in_cluster(request).await,
        }
    }

    async fn write(&self, writer: &arm::ArmWriter, write: &arm::Write) -> Result<(), Stop> {
        let failed = |it: arm::ApiError| Stop::Failed(Box::new(StepFailure::of(self.key(), &it)));
        let started = writer.send(write).await.map_err(failed)?;
        let Some(operation) = started.operation else { return Ok(()) };
        if self.leaves() {
            return Err(Stop::Left(operation.state().to_owned()));
        }
        let rest = self.deadline.saturating_duration_since(clock::now());
        let mut progress = |state: &str, _: Duration| self.progress(state);
        match arm::wait(writer.reader(), operation, rest, &mut progress).await.map_err(failed)? {
            Ended::Succeeded(_) => Ok(()),
            Ended::Failed(error) => Err(failed(error)),
            Ended::Deadline { last_state, .. } => Err(Stop::Left(last_state)),
        }
    }

    async fn in_cluster(&self, request: &Request) -> Result<(), Stop> {
        let scope = &self.key().scope;
        let Some(writer) = self.context.clusters.get(scope) else {
            return Err(self.fail("NoClient", format!("no Kubernetes client for {scope}")));
        };
        let done = match request {
            Request::Apply { object, body, take_over } => {
                let body = self.body(Some(body)).await?.unwrap_or(Json::Null);
                writer.apply(object, &body, *take_over).await.map(|_| ())
            }
            Request::RemoveFields { object, paths } => {
                let edit = |live: &Json| without(live, paths);
                writer.edit(object, &edit).await.map(|_| ())
            }
            Request::AddUsers { object, users } => {
                let edit = |scc: &Json| kubernetes::scc::add_users(scc, users);
                writer.edit(object, &edit).await.map(|_| ())
            }
            Request::RemoveUsers { object, users } => {
                let edit = |scc: &Json| kubernetes::scc::remove_users(scc, users);
                writer.edit(object, &edit).await.map(|_| ())
            }
            Request::DeleteObject { object } => writer.delete(object, None).await.map(|_| ()),
            Request::Arm { .. } => Ok(()),
        };
        done.map_err(|api_error| Stop::Failed(Box::new(StepFailure::of(self.key(), &api_error))))
    }

    /// The body to send: the one place where values known later are filled in and secrets opened.
    async fn body(&self, body: Option<&Value>) -> Result<Option<Json>, Stop> {
        let Some(body) = body else { return Ok(None) };
        let mut answers: BTreeMap<Later, Json> = BTreeMap::new();
        for (_, later) in body.later_leaves() {
            if let Some(call) = &later.call {
                let answer = self.call(later, call).await?;
                answers.insert(later.clone(), answer);
            }
        }
        let missing = |what: String| {
            let failure = self.failure(MISSING, what);
            // The next read shows it.
            Stop::Failed(Box::new(StepFailure { passes: true, ..failure }))
        };
        let mut opened: Vec<Secret> = Vec::new();
        for secret in body.closed_secrets() {
            let scope = &self.key().scope;
            let open = self.context.clients.open(scope, secret).await;
            opened.push(open.map_err(|read_error| self.unread(read_error))?);
        }
        let open = |secret: &Secret| {
            let same = |it: &&Secret| it.source == secret.source && it.encoding == secret.encoding;
            secret.expose().or_else(|| opened.iter().find(same)?.expose())
        };
        let filled = body.resolve(&mut |leaf| match leaf {
            Value::Secret(secret) => open(secret)
                .map(Json::String)
                .ok_or_else(|| missing(format!("the secret from {} was not read", secret.source))),
            Value::Later(later) => {
                let document = match answers.get(later) {
                    Some(answer) => Some(answer.clone()),
                    None => self.context.document(&later.from),
                };
                let found = document.as_ref().and_then(|value| later.at.get(value));
                found.filter(|value| !value.is_null()).cloned().ok_or_else(|| {
                    missing(format!("{} has no value at {} yet", later.from, later.at))
                })
            }
            other => Ok(other.to_stored()),
        })?;
        Ok(Some(filled))
    }

    /// Asks a resource for its keys, unless that has been done.
    async fn call(&self, later: &Later, call: &str) -> Result<Json, Stop> {
        let node = self.context.desired.nodes.get(&later.from);
        let target = node.map(|it| it.resource.kind().target());
        let Some(crate::resource::Target::Arm(id)) = target else {
            return Err(self.fail(MISSING, format!("{} is not in Azure", later.from)));
        };
        let Some(writer) = self.context.arm.get(&later.from.scope) else {
            return Err(self.fail("NoClient", format!("no Azure client for {}", later.from)));
        };
        let reads = node.map(|it| it.resource.kind().reads()).unwrap_or_default();
        let version = reads.first().and_then(|it| match it {
            crate::resource::Read::Arm { api_version, .. } => Some(*api_version),
            _ => None,
        });
        let known = {
            let mut keys = self.context.keys.lock().unwrap_or_else(PoisonError::into_inner);
            let of = (id.as_str().to_ascii_lowercase(), call.to_owned());
            Arc::clone(keys.entry(of).or_default())
        };
        let ask = || writer.reader().call(id.as_str(), call, version.unwrap_or_default());
        let answer = known.get_or_try_init(ask).await.cloned();
        answer.map_err(|api_error| Stop::Failed(Box::new(StepFailure::of(self.key(), &api_error))))
    }
}

/// An object without some of its fields; `None` where it has none of them.
fn without(live: &Json, paths: &[Pointer]) -> Option<Json> {
    let mut object = live.clone();
    for path in paths {
        let parent = object.pointer_mut(&path.parent().to_string());
        if let (Some(Json::Object(map)), Some(last)) = (parent, path.tokens().last()) {
            map.remove(last);
        }
    }
    (object != *live).then_some(object)
}

/// Whether a refusal passes by itself. In a cluster only the kind of a fresh extension does: its
/// CRD is served a moment after it is there.
fn passes(failure: &StepFailure, request: &Request) -> bool {
    match request {
        Request::Arm { .. } => failure.passes,
        Request::Apply { .. } => failure.status == Some(404),
        Request::RemoveFields { .. }
        | Request::AddUsers { .. }
        | Request::RemoveUsers { .. }
        | Request::DeleteObject { .. } => false,
    }
}

#[cfg(test)]
#[path = "task_tests.rs"]
mod tests;
