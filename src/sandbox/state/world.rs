//! The simulated world: resources, clusters, running operations, and what happens next and when.
//!
//! Progress is made by time alone: every request first calls [`crate::progress::advance`], which completes what is due, in the
//! order in which it was due. Nothing waits for somebody to poll.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::clock::{Pace, Work, WorldClock, arm_time, kube_time};
use super::cluster::Cluster;
use super::event::{Occurrence, Scheduled};
use super::faults::Faults;
use super::id;
use super::shelf::{SavedShelf, Shelf};
use super::throttle::Buckets;
use super::world_file::WorldFile;
use crate::json::set_pointer;

/// A resource as Azure stores it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Stored {
    /// What a GET shows.
    pub(crate) body: Json,
    /// What is written and never shown: protected settings, keys, bookkeeping.
    #[serde(default)]
    pub(crate) hidden: Json,
    pub(crate) created: Timestamp,
    /// When it was last replaced, and what it was before, for reads that are stale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<(Timestamp, Json)>,
}

/// An asynchronous operation with a status address of its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct AsyncOperation {
    pub(crate) resource: String,
    /// `Creating`, `Updating`, `Deleting`, `InProgress` while it runs; then `Succeeded` or `Failed`.
    pub(crate) status: String,
    pub(crate) error: Option<Json>,
    pub(crate) started: Timestamp,
    pub(crate) ended: Option<Timestamp>,
}

/// What the index of Resource Graph still has of a resource that was changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Lagging {
    since: Timestamp,
    /// The resource before the change; it may not have been there.
    pub(crate) body: Option<Json>,
}

/// The few words of a world that change with everything else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Words {
    /// The tenant that was named last.
    pub(crate) tenant: String,
    /// What ids are made from: the tenant that was named first.
    salt: Option<String>,
    next_task: u64,
    /// Seconds that were let pass, and nights in them.
    #[serde(default)]
    pub(crate) passed: i64,
    #[serde(default)]
    pub(crate) nights: u64,
}

/// Everything there is. What is on a [`Shelf`] is saved entry by entry.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) clock: WorldClock,
    pub(crate) words: Words,
    pub(crate) resources: Shelf<Stored>,
    pub(crate) operations: Shelf<AsyncOperation>,
    /// By time, then by number.
    pub(crate) tasks: Shelf<Scheduled>,
    /// Ids that were seeded once, so that what a user deleted stays deleted.
    pub(crate) seeded: Shelf<bool>,
    pub(crate) faults: Faults,
    pub(crate) lagging: Shelf<Lagging>,
    clusters: BTreeMap<String, Cluster>,
    /// Clusters that came or went, and those that may hold changed objects.
    pub(crate) moved: BTreeSet<String>,
    pub(crate) touched: BTreeSet<String>,
    pub(crate) file: WorldFile,
    pub(crate) file_changed: bool,
    /// Whether the time that passed is to be written even when nothing else changed.
    pub(crate) clock_counts: bool,
    /// Keys of resources by their type, and names of running operations by their resource.
    kinds: BTreeMap<String, BTreeSet<String>>,
    running: BTreeMap<String, BTreeSet<String>>,
    pub(crate) buckets: Buckets,
    /// Answers of batches that are to be fetched; a new start forgets them.
    pub(crate) batches: BTreeMap<String, Json>,
    pub(crate) pace: Pace,
    /// The certificate authority (PEM) of the server that shows this world over HTTPS.
    pub(crate) authority: Option<String>,
    /// Counts requests that write, to make tags that differ.
    pub(crate) revision: u64,
    /// Whether what is put now has been there for an hour: no stale read or lagging index hides it.
    pub(crate) seeding: bool,
    /// The time of the event or request at hand.
    present: Option<Timestamp>,
}

/// The tenant of a world nobody gave a tenant.
pub(crate) const DEFAULT_TENANT: &str = "72f988bf-0000-4000-8000-2d7cd011db47";

impl World {
    /// A world without anything, to restore one into.
    pub(crate) fn empty() -> World {
        World {
            clock: WorldClock::start(),
            words: Words {
                tenant: DEFAULT_TENANT.to_owned(),
                salt: None,
                next_task: 0,
                passed: 0,
                nights: 0,
            },
            resources: Shelf::default(),
            operations: Shelf::default(),
            tasks: Shelf::default(),
            seeded: Shelf::default(),
            faults: Faults::default(),
            lagging: Shelf::default(),
            clusters: BTreeMap::new(),
            moved: BTreeSet::new(),
            touched: BTreeSet::new(),
            file: WorldFile::default(),
            file_changed: false,
            clock_counts: false,
            kinds: BTreeMap::new(),
            running: BTreeMap::new(),
            buckets: Buckets::default(),
            batches: BTreeMap::new(),
            pace: Pace::default(),
            authority: None,
            revision: 0,
            seeding: false,
            present: None,
        }
    }

    /// The shelves under their names in the state file.
    pub(crate) fn shelves(&self) -> [(&'static str, &dyn SavedShelf); 6] {
        [
            ("resource", &self.resources),
            ("operation", &self.operations),
            ("task", &self.tasks),
            ("seeded", &self.seeded),
            ("lagging", &self.lagging),
            ("drawn", &self.faults.drawn),
        ]
    }

    /// [`World::shelves`], to put entries back.
    pub(crate) fn shelves_mut(&mut self) -> [(&'static str, &mut dyn SavedShelf); 6] {
        [
            ("resource", &mut self.resources),
            ("operation", &mut self.operations),
            ("task", &mut self.tasks),
            ("seeded", &mut self.seeded),
            ("lagging", &mut self.lagging),
            ("drawn", &mut self.faults.drawn),
        ]
    }

    /// Makes the indices of what was restored.
    pub(crate) fn index(&mut self) {
        for key in self.resources.keys() {
            self.kinds.entry(id::type_of(key)).or_default().insert(key.clone());
        }
        for (name, operation) in
            self.operations.iter().filter(|(_, async_operation)| async_operation.ended.is_none())
        {
            self.running.entry(id::key(&operation.resource)).or_default().insert(name.clone());
        }
    }

    /// Names the tenant of a subscription; what was named last counts, as for the ids of a token.
    pub(crate) fn name_tenant(&mut self, subscription: &str, tenant: &str) {
        tenant.clone_into(&mut self.words.tenant);
        let id = format!("/subscriptions/{subscription}");
        if self.body(&id).is_some_and(|body| body["tenantId"] != tenant)
            && let Some(stored) = self.get_mut(&id)
        {
            stored.body["tenantId"] = json!(tenant);
        }
        if self.get(&id).is_some_and(|stored| stored.hidden["tenant"] != tenant)
            && let Some(stored) = self.get_mut(&id)
        {
            stored.hidden["tenant"] = json!(tenant);
        }
    }

    /// Chooses what ids are made from, once.
    pub(crate) fn salt(&mut self, tenant: Option<&str>) {
        self.words.salt.get_or_insert_with(|| tenant.unwrap_or(DEFAULT_TENANT).to_owned());
    }

    pub(crate) fn tenant(&self) -> &str {
        &self.words.tenant
    }

    /// Takes over what a world file says, over what the world already holds.
    pub(crate) fn apply_file(&mut self, file: WorldFile) {
        if file.faults != self.file.faults {
            self.faults = Faults::new(file.faults.clone());
        }
        self.file_changed |= self.file != file;
        self.file = file;
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.present.unwrap_or_else(|| self.clock.now())
    }

    /// [`World::now`] as ARM writes it.
    pub(crate) fn stamp(&self) -> String {
        arm_time(self.now())
    }

    /// [`World::now`] as Kubernetes writes it.
    pub(crate) fn kube_stamp(&self) -> String {
        kube_time(self.now())
    }

    /// The next event that is due, with the world at the time of it; `None` when nothing is, and it is now again.
    pub(crate) fn take_due(&mut self) -> Option<Occurrence> {
        let now = self.clock.now();
        let due = self.next_due(now).and_then(|key| self.tasks.remove(&key));
        self.present = due.as_ref().map(|task| task.due);
        due.map(|task| task.event)
    }

    fn next_due(&self, now: Timestamp) -> Option<String> {
        self.tasks.first_key_value().filter(|(_, task)| task.due <= now).map(|(key, _)| key.clone())
    }

    /// Plans an event for when `work` is done.
    pub(crate) fn after(&mut self, work: Work, event: Occurrence) {
        let about = match &event {
            Occurrence::End { operation, .. } => {
                self.operations.get(operation).map(|o| o.resource.clone())
            }
            Occurrence::Set { .. }
            | Occurrence::Remove { .. }
            | Occurrence::Extension { .. }
            | Occurrence::Attach { .. } => event.resource().map(ToOwned::to_owned),
        };
        let about = format!("{work:?} {}", about.unwrap_or_default());
        let takes = work.takes(self.pace) * self.faults.slowness(&about);
        self.at(takes, event);
    }

    /// Plans an event for a time from now.
    pub(crate) fn at(&mut self, after: SignedDuration, event: Occurrence) {
        let due = self.now().checked_add(after).unwrap_or_else(|_| self.now());
        self.words.next_task += 1;
        let since = due.duration_since(Timestamp::UNIX_EPOCH);
        let key = format!(
            "{:012}.{:09}.{:012}",
            since.as_secs().max(0),
            since.subsec_nanos().max(0),
            self.words.next_task
        );
        let about = event.resource().map(id::key);
        self.tasks.insert(key, Scheduled { due, event, about });
    }

    /// Drops what was planned for a resource (it was replaced or deleted).
    pub(crate) fn forget(&mut self, id: &str) {
        let key = id::key(id);
        self.tasks.retain(|_, task| task.about.as_ref() != Some(&key));
    }

    /// What an event does that concerns no service in particular.
    pub(crate) fn happen(&mut self, event: Occurrence) {
        match event {
            Occurrence::Set { id, pointer, value } => {
                let stamp = self.stamp();
                if let Some(stored) = self.get_mut(&id) {
                    set_pointer(&mut stored.body, &pointer, value);
                    if stored.body.pointer("/properties/updatedAt").is_some() {
                        stored.body["properties"]["updatedAt"] = json!(stamp);
                    }
                }
            }
            Occurrence::Remove { id } => self.remove_tree(&id),
            Occurrence::End { operation, error } => self.end(&operation, error),
            Occurrence::Extension { .. } | Occurrence::Attach { .. } => {}
        }
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Stored> {
        self.resources.get(&id::key(id))
    }

    pub(crate) fn body(&self, id: &str) -> Option<&Json> {
        self.get(id).map(|stored| &stored.body)
    }

    pub(crate) fn get_mut(&mut self, id: &str) -> Option<&mut Stored> {
        let key = id::key(id);
        self.fall_behind(&key);
        self.resources.get_mut(&key)
    }

    /// Lets the index keep what a resource is before it changes, where the world has it lag.
    fn fall_behind(&mut self, key: &str) {
        if self.file.graph_lag > 0 && !self.seeding && !self.lagging.contains_key(key) {
            let body = self.resources.get(key).map(|stored| stored.body.clone());
            self.lagging.insert(key.to_owned(), Lagging { since: self.now(), body });
        }
    }

    /// Lets the index learn what changed long enough ago.
    pub(crate) fn catch_up(&mut self) {
        let (now, lag) = (self.now(), i64::from(self.file.graph_lag));
        self.lagging.retain(|_, lagging| now.duration_since(lagging.since).as_secs() < lag);
    }

    /// Creates or replaces a resource; what is hidden and when it was created stays.
    pub(crate) fn put(&mut self, id: &str, body: Json) {
        let now = self.now();
        let key = id::key(id);
        self.fall_behind(&key);
        // Only reads that may be stale ask for what was before.
        let stale = self.faults.may_be_stale();
        if let Some(stored) = self.resources.get_mut(&key) {
            let before = std::mem::replace(&mut stored.body, body);
            stored.before = stale.then_some((now, before));
            return;
        }
        let age = SignedDuration::from_hours(i64::from(self.seeding));
        let created = now.checked_sub(age).unwrap_or(now);
        self.kinds.entry(id::type_of(&key)).or_default().insert(key.clone());
        self.resources.insert(key, Stored { body, hidden: json!({}), created, before: None });
    }

    /// What a read sees: with `staleReads` for a while nothing of a fresh resource, and a changed
    /// one as it was.
    pub(crate) fn seen(&mut self, id: &str) -> Option<Json> {
        let stored = self.get(id)?;
        let (body, fresh) = (stored.body.clone(), self.is_young(stored.created));
        let before = stored.before.clone().filter(|(changed, _)| self.is_young(*changed));
        if (fresh || before.is_some()) && self.faults.is_stale(id) {
            return before.filter(|_| !fresh).map(|it| it.1);
        }
        Some(body)
    }

    /// Whether reads and the index may not have heard of it yet: for 20 seconds, in fast mode a tenth of one.
    pub(crate) fn is_young(&self, created: Timestamp) -> bool {
        let lag = if self.pace == Pace::Fast { 100 } else { 20_000 };
        self.now().duration_since(created).as_millis() < lag
    }

    /// Removes a resource with everything below it. What still ran or was planned there is over.
    pub(crate) fn remove_tree(&mut self, id: &str) {
        let key = id::key(id);
        let below = format!("{key}/");
        let is_gone = |k: &str| k == key || k.starts_with(&below);
        let gone: Vec<String> = self.keys_under(&key).map(ToOwned::to_owned).collect();
        for key in gone {
            self.fall_behind(&key);
            self.resources.remove(&key);
            if let Some(kind) = self.kinds.get_mut(&id::type_of(&key)) {
                kind.remove(&key);
            }
            if self.clusters.remove(&key).is_some() {
                self.moved.insert(key);
            }
        }
        self.tasks.retain(|_, task| task.about.as_deref().is_none_or(|about| !is_gone(about)));
        let below = self.running.range(below.clone()..).map(|(of, _)| of.clone());
        let running: Vec<String> =
            std::iter::once(key.clone()).chain(below.take_while(|of| is_gone(of))).collect();
        for of in running {
            self.end_running(&of, "OperationCanceled", "The resource was deleted.");
        }
    }

    /// The key itself, if there is such a resource, and the keys below it.
    fn keys_under(&self, key: &str) -> impl Iterator<Item = &str> {
        let below = format!("{key}/");
        let own = self.resources.get_key_value(key).map(|(key, _)| key.as_str());
        own.into_iter().chain(
            self.resources
                .range(below.clone()..)
                .map(|(key, _)| key.as_str())
                .take_while(move |key| key.starts_with(&below)),
        )
    }

    /// The resources directly in a collection (`…/namespaces`), in order of their ids.
    pub(crate) fn collection(&self, path: &str) -> Vec<&Stored> {
        let prefix = format!("{}/", id::key(path));
        self.resources
            .range(prefix.clone()..)
            .take_while(|(key, _)| key.starts_with(&prefix))
            .filter(|(key, _)| !key[prefix.len()..].contains('/'))
            .map(|(_, stored)| stored)
            .collect()
    }

    /// All resources of a type (lower case) below a key or, with an empty one, everywhere, by their keys.
    pub(crate) fn keyed(&self, below: &str, kind: &str) -> impl Iterator<Item = (&str, &Stored)> {
        let prefix = if below.is_empty() { String::new() } else { format!("{below}/") };
        let keys = self.kinds.get(kind).into_iter().flat_map({
            let prefix = prefix.clone();
            move |keys| keys.range(prefix.clone()..)
        });
        keys.take_while(move |key| key.starts_with(&prefix))
            .filter_map(|key| Some((key.as_str(), self.resources.get(key)?)))
    }

    /// All resources of a type (lower case) in a subscription or, without one, everywhere.
    pub(crate) fn of_type(&self, subscription: Option<&str>, kind: &str) -> Vec<&Stored> {
        let below =
            subscription.map(|s| id::key(&format!("/subscriptions/{s}"))).unwrap_or_default();
        self.keyed(&below, kind).map(|(_, stored)| stored).collect()
    }

    /// Starts an operation on a resource and returns its id.
    pub(crate) fn begin(&mut self, resource: &str, status: &str) -> String {
        self.words.next_task += 1;
        if self.words.next_task.is_multiple_of(256) {
            self.prune();
        }
        let operation = self.guid(&format!("operation {} {resource}", self.words.next_task));
        let started = self.now();
        self.running.entry(id::key(resource)).or_default().insert(operation.clone());
        self.operations.insert(
            operation.clone(),
            AsyncOperation {
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
    pub(crate) fn prune(&mut self) {
        let now = self.now();
        self.operations.retain(|_, operation| {
            operation.ended.is_none_or(|ended| now.duration_since(ended).as_hours() < 2)
        });
    }

    /// Ends an operation; with an error it has failed.
    pub(crate) fn end(&mut self, name: &str, error: Option<Json>) {
        let now = self.now();
        if let Some(operation) = self.operations.get_mut(name) {
            operation.status = if error.is_some() { "Failed" } else { "Succeeded" }.to_owned();
            operation.error = error;
            operation.ended = Some(now);
            let key = id::key(&operation.resource);
            if let Some(running) = self.running.get_mut(&key) {
                running.remove(name);
                if running.is_empty() {
                    self.running.remove(&key);
                }
            }
        }
    }

    /// The operations that run on a resource.
    pub(crate) fn running_on(&self, id: &str) -> Vec<String> {
        self.running.get(&id::key(id)).into_iter().flatten().cloned().collect()
    }

    /// Ends what runs on a resource, as failed with this error.
    pub(crate) fn end_running(&mut self, id: &str, code: &str, message: &str) {
        for operation in self.running_on(id) {
            self.end(&operation, Some(json!({"code": code, "message": message})));
        }
    }

    /// The operations that run below a resource: keys of what they run on, and names.
    pub(crate) fn running_below(&self, id: &str) -> impl Iterator<Item = (&str, &str)> {
        let below = format!("{}/", id::key(id));
        self.running
            .range(below.clone()..)
            .take_while(move |(key, _)| key.starts_with(&below))
            .flat_map(|(key, names)| names.iter().map(move |name| (key.as_str(), name.as_str())))
    }

    /// Whether an operation runs on a resource.
    pub(crate) fn is_busy(&self, id: &str) -> bool {
        self.running.contains_key(&id::key(id))
    }

    /// The cluster behind an ARM id.
    pub(crate) fn cluster(&self, id: &str) -> Option<&Cluster> {
        self.clusters.get(&id::key(id))
    }

    pub(crate) fn cluster_mut(&mut self, id: &str) -> Option<&mut Cluster> {
        let key = id::key(id);
        let found = self.clusters.get_mut(&key);
        if found.is_some() {
            self.touched.insert(key);
        }
        found
    }

    pub(crate) fn clusters(&self) -> impl Iterator<Item = (&str, &Cluster)> {
        self.clusters.iter().map(|(key, cluster)| (key.as_str(), cluster))
    }

    /// Puts the Kubernetes behind an ARM resource.
    pub(crate) fn put_cluster(&mut self, cluster: Cluster) {
        let key = id::key(&cluster.id);
        self.moved.insert(key.clone());
        self.clusters.insert(key, cluster);
    }

    /// Puts a saved cluster back, or takes it away.
    pub(crate) fn restore_cluster(&mut self, key: String, cluster: Option<Cluster>) {
        match cluster {
            Some(cluster) => self.clusters.insert(key, cluster),
            None => self.clusters.remove(&key),
        };
    }

    /// A cluster, to put saved objects back: no change.
    pub(crate) fn restored_cluster(&mut self, key: &str) -> Option<&mut Cluster> {
        self.clusters.get_mut(key)
    }

    /// The ARM id of the cluster of this name in a resource group, connected or AKS.
    pub(crate) fn cluster_named(
        &self,
        subscription: &str,
        group: &str,
        name: &str,
    ) -> Option<String> {
        ["Microsoft.Kubernetes/connectedClusters", "Microsoft.ContainerService/managedClusters"]
            .iter()
            .map(|kind| {
                id::key(&format!(
                    "/subscriptions/{subscription}/resourceGroups/{group}/providers/{kind}/{name}"
                ))
            })
            .find(|key| self.clusters.contains_key(key))
    }

    /// A GUID that is always the same for the same words: principal ids must not change between two answers.
    pub(crate) fn guid(&self, words: &str) -> String {
        Uuid::new_v5(
            &Uuid::NAMESPACE_URL,
            format!(
                "{}|{}",
                self.words.salt.as_deref().unwrap_or(DEFAULT_TENANT),
                words.to_ascii_lowercase()
            )
            .as_bytes(),
        )
        .to_string()
    }
}
