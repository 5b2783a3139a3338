//! The simulated world: resources, clusters, running operations, and what happens next and when.
//!
//! Progress is made by time alone: every request first calls [`World::advance`], which completes what is due, in the
//! order in which it was due. Nothing waits for somebody to poll.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::arm::id;
use super::clock::{Pace, Work, WorldClock, arm_time, kube_time};
use super::faults::Faults;
use super::throttle::Buckets;
use super::worldfile::WorldFile;
use super::{arm, kube};

/// A resource as Azure stores it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Stored {
    /// What a GET shows.
    pub(super) body: Json,
    /// What is written and never shown: protected settings, keys, bookkeeping.
    #[serde(default)]
    pub(super) hidden: Json,
    pub(super) created: Timestamp,
}

/// A Kubernetes cluster behind an ARM resource.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Cluster {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) distribution: String,
    pub(super) version: String,
    #[serde(default)]
    pub(super) scc_edit_denied: bool,
    pub(super) store: kube::Store,
}

/// An asynchronous operation with a status address of its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Operation {
    pub(super) resource: String,
    /// `Creating`, `Updating`, `Deleting`, `InProgress` while it runs; then `Succeeded` or `Failed`.
    pub(super) status: String,
    pub(super) error: Option<Json>,
    pub(super) started: Timestamp,
    pub(super) ended: Option<Timestamp>,
}

/// What will happen at a point in time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Event {
    /// A value of a resource changes.
    Set { id: String, pointer: String, value: Json },
    /// A resource goes away.
    Remove { id: String },
    /// An operation ends.
    End { operation: String, error: Option<Json> },
    /// The extension agents of a cluster take their next step.
    Extension { id: String, operation: String, step: super::extension::Step },
    /// An attach ends.
    Attach { id: String, operation: String },
}

impl Event {
    /// The resource an event is about; the end of an operation is about none, so that it comes even after a delete.
    fn resource(&self) -> Option<&str> {
        match self {
            Event::Set { id, .. }
            | Event::Remove { id }
            | Event::Extension { id, .. }
            | Event::Attach { id, .. } => Some(id),
            Event::End { .. } => None,
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Task {
    due: Timestamp,
    number: u64,
    event: Event,
}

/// Everything there is.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct World {
    /// Version of the state file.
    pub(super) format: u32,
    pub(super) clock: WorldClock,
    pub(super) tenant: String,
    /// Whether somebody named the tenant; tokens of another one are then refused.
    #[serde(default)]
    pub(super) tenant_declared: bool,
    pub(super) resources: BTreeMap<String, Stored>,
    pub(super) clusters: BTreeMap<String, Cluster>,
    pub(super) operations: BTreeMap<String, Operation>,
    tasks: Vec<Task>,
    next_task: u64,
    /// Ids that were seeded once, so that what a user deleted stays deleted.
    pub(super) seeded: BTreeSet<String>,
    pub(super) file: WorldFile,
    pub(super) faults: Faults,
    #[serde(skip)]
    pub(super) buckets: Buckets,
    #[serde(skip)]
    pub(super) pace: Pace,
    /// Counts what may have changed the world, so that a server knows when to write the state.
    #[serde(skip)]
    pub(super) revision: u64,
    /// The time of the event or request at hand.
    #[serde(skip)]
    present: Option<Timestamp>,
}

/// The version of the state file this program writes.
pub(super) const FORMAT: u32 = 1;
/// The tenant of a world nobody gave a tenant.
pub(super) const DEFAULT_TENANT: &str = "72f988bf-0000-4000-8000-2d7cd011db47";

impl World {
    pub(super) fn new(file: WorldFile) -> World {
        let faults = Faults::new(file.faults.clone());
        let mut world = World {
            format: FORMAT,
            clock: WorldClock::start(),
            tenant: DEFAULT_TENANT.to_owned(),
            tenant_declared: false,
            resources: BTreeMap::new(),
            clusters: BTreeMap::new(),
            operations: BTreeMap::new(),
            tasks: Vec::new(),
            next_task: 0,
            seeded: BTreeSet::new(),
            file: WorldFile::default(),
            faults,
            buckets: Buckets::default(),
            pace: Pace::default(),
            revision: 0,
            present: None,
        };
        world.apply_file(file);
        world
    }

    /// Takes over what a world file says, over what the world already holds.
    pub(super) fn apply_file(&mut self, file: WorldFile) {
        if file.faults != self.file.faults {
            self.faults = Faults::new(file.faults.clone());
        }
        self.file = file;
        super::seed::subscriptions_of_file(self);
    }

    pub(super) fn now(&self) -> Timestamp {
        self.present.unwrap_or_else(|| self.clock.now())
    }

    /// [`World::now`] as ARM writes it.
    pub(super) fn stamp(&self) -> String {
        arm_time(self.now())
    }

    /// [`World::now`] as Kubernetes writes it.
    pub(super) fn kube_stamp(&self) -> String {
        kube_time(self.now())
    }

    /// Completes everything that is due, in order.
    pub(super) fn advance(&mut self) {
        let now = self.clock.now();
        while let Some(at) = self.next_due(now) {
            let task = self.tasks.swap_remove(at);
            self.present = Some(task.due);
            self.revision += 1;
            self.happen(task.event);
        }
        self.present = None;
    }

    fn next_due(&self, now: Timestamp) -> Option<usize> {
        self.tasks
            .iter()
            .enumerate()
            .filter(|(_, task)| task.due <= now)
            .min_by_key(|(_, task)| (task.due, task.number))
            .map(|(at, _)| at)
    }

    /// Plans an event for when `work` is done.
    pub(super) fn after(&mut self, work: Work, event: Event) {
        let about = match &event {
            Event::End { operation, .. } => {
                self.operations.get(operation).map(|o| o.resource.clone())
            }
            Event::Set { .. }
            | Event::Remove { .. }
            | Event::Extension { .. }
            | Event::Attach { .. } => event.resource().map(ToOwned::to_owned),
        };
        let about = format!("{work:?} {}", about.unwrap_or_default());
        let takes = work.takes(self.pace) * self.faults.slowness(&about);
        self.at(takes, event);
    }

    /// Plans an event for a time from now.
    pub(super) fn at(&mut self, after: SignedDuration, event: Event) {
        let due = self.now().checked_add(after).unwrap_or_else(|_| self.now());
        self.next_task += 1;
        self.tasks.push(Task { due, number: self.next_task, event });
    }

    /// Drops what was planned for a resource (it was replaced or deleted).
    pub(super) fn forget(&mut self, id: &str) {
        let key = id::key(id);
        self.tasks.retain(|task| task.event.resource().is_none_or(|id| id::key(id) != key));
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Set { id, pointer, value } => {
                let stamp = self.stamp();
                if let Some(stored) = self.get_mut(&id) {
                    set_pointer(&mut stored.body, &pointer, value);
                    if stored.body.pointer("/properties/updatedAt").is_some() {
                        stored.body["properties"]["updatedAt"] = json!(stamp);
                    }
                }
            }
            Event::Remove { id } => self.remove_tree(&id),
            Event::End { operation, error } => self.end(&operation, error),
            Event::Extension { id, operation, step } => {
                super::extension::step(self, &id, &operation, step)
            }
            Event::Attach { id, operation } => arm::ml::finish_attach(self, &id, &operation),
        }
    }

    pub(super) fn get(&self, id: &str) -> Option<&Stored> {
        self.resources.get(&id::key(id))
    }

    pub(super) fn body(&self, id: &str) -> Option<&Json> {
        self.get(id).map(|stored| &stored.body)
    }

    pub(super) fn get_mut(&mut self, id: &str) -> Option<&mut Stored> {
        self.resources.get_mut(&id::key(id))
    }

    /// Creates or replaces a resource; what is hidden and when it was created stays.
    pub(super) fn put(&mut self, id: &str, body: Json) {
        let now = self.now();
        match self.resources.get_mut(&id::key(id)) {
            Some(stored) => stored.body = body,
            None => {
                self.resources
                    .insert(id::key(id), Stored { body, hidden: json!({}), created: now });
            }
        }
    }

    /// Whether reads and the index may not have heard of it yet: for 20 seconds, in fast mode a tenth of one.
    pub(super) fn is_young(&self, created: Timestamp) -> bool {
        let lag = if self.pace == Pace::Fast { 100 } else { 20_000 };
        self.now().duration_since(created).as_millis() < lag
    }

    /// Removes a resource with everything below it. What still ran or was planned there is over.
    pub(super) fn remove_tree(&mut self, id: &str) {
        let key = id::key(id);
        let below = format!("{key}/");
        let gone = |k: &str| k == key || k.starts_with(&below);
        self.resources.retain(|k, _| !gone(k));
        self.clusters.retain(|k, _| !gone(k));
        self.tasks.retain(|task| task.event.resource().is_none_or(|id| !gone(&id::key(id))));
        let running: Vec<String> = self
            .operations
            .iter()
            .filter(|(_, operation)| {
                operation.ended.is_none() && gone(&id::key(&operation.resource))
            })
            .map(|(name, _)| name.clone())
            .collect();
        for operation in running {
            let error =
                json!({"code": "OperationCanceled", "message": "The resource was deleted."});
            self.end(&operation, Some(error));
        }
    }

    /// The resources directly in a collection (`…/namespaces`), in order of their ids.
    pub(super) fn collection(&self, path: &str) -> Vec<&Stored> {
        let prefix = format!("{}/", id::key(path));
        self.resources
            .range(prefix.clone()..)
            .take_while(|(key, _)| key.starts_with(&prefix))
            .filter(|(key, _)| !key[prefix.len()..].contains('/'))
            .map(|(_, stored)| stored)
            .collect()
    }

    /// All resources of a type (lower case) in a subscription or, without one, everywhere.
    pub(super) fn of_type(&self, subscription: Option<&str>, kind: &str) -> Vec<&Stored> {
        let prefix =
            subscription.map(|s| id::key(&format!("/subscriptions/{s}")) + "/").unwrap_or_default();
        self.resources
            .iter()
            .filter(|(key, _)| key.starts_with(&prefix) && id::type_of(key) == kind)
            .map(|(_, stored)| stored)
            .collect()
    }

    /// Starts an operation on a resource and returns its id.
    pub(super) fn begin(&mut self, resource: &str, status: &str) -> String {
        self.next_task += 1;
        let operation = self.guid(&format!("operation {} {resource}", self.next_task));
        let started = self.now();
        self.operations.insert(
            operation.clone(),
            Operation {
                resource: resource.to_owned(),
                status: status.to_owned(),
                error: None,
                started,
                ended: None,
            },
        );
        operation
    }

    /// Drops operations that ended more than two hours ago; Azure then answers 404 for them.
    pub(super) fn prune(&mut self) {
        let now = self.now();
        self.operations.retain(|_, operation| {
            operation.ended.is_none_or(|ended| now.duration_since(ended).as_hours() < 2)
        });
    }

    /// Ends an operation; with an error it has failed.
    pub(super) fn end(&mut self, operation: &str, error: Option<Json>) {
        let now = self.now();
        if let Some(operation) = self.operations.get_mut(operation) {
            operation.status = if error.is_some() { "Failed" } else { "Succeeded" }.to_owned();
            operation.error = error;
            operation.ended = Some(now);
        }
    }

    /// Whether an operation runs on a resource.
    pub(super) fn is_busy(&self, id: &str) -> bool {
        let key = id::key(id);
        self.operations
            .values()
            .any(|operation| operation.ended.is_none() && id::key(&operation.resource) == key)
    }

    /// The cluster behind an ARM id.
    pub(super) fn cluster(&self, id: &str) -> Option<&Cluster> {
        self.clusters.get(&id::key(id))
    }

    pub(super) fn cluster_mut(&mut self, id: &str) -> Option<&mut Cluster> {
        self.clusters.get_mut(&id::key(id))
    }

    /// A GUID that is always the same for the same words: principal ids must not change between two answers.
    pub(super) fn guid(&self, words: &str) -> String {
        Uuid::new_v5(
            &Uuid::NAMESPACE_URL,
            format!("{}|{}", self.tenant, words.to_ascii_lowercase()).as_bytes(),
        )
        .to_string()
    }
}

/// Sets a value inside a document, making missing objects on the way. A list takes an index or `-`.
pub(super) fn set_pointer(document: &mut Json, pointer: &str, value: Json) {
    let mut at = document;
    for token in pointer.split('/').skip(1) {
        let token = token.replace("~1", "/").replace("~0", "~");
        if let Json::Array(items) = at {
            let index =
                if token == "-" { items.len() } else { token.parse().unwrap_or(items.len()) };
            let index = index.min(items.len());
            if index == items.len() {
                items.push(Json::Null);
            }
            at = &mut items[index];
        } else {
            if !at.is_object() {
                *at = json!({});
            }
            at = &mut at[token.as_str()];
        }
    }
    *at = value;
}
