//! The objects of one cluster, keyed by API path, with the resourceVersion counter and the
//! watch history (etcd's part of a Kubernetes cluster).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::types::{ApiPath, ResourceType};
use super::{admission, crd, fields, seed};
use crate::json::remove_key;
use crate::state::clock::seconds;

/// How many changes a watch can look back at before it is told 410 Gone.
const HISTORY: usize = 2_000;

/// What happened to an object (Kubernetes API concepts, "Efficient detection of changes").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WatchChange {
    Added,
    Modified,
    Deleted,
}

/// One entry of the watch history.
#[derive(Clone, Debug)]
pub(crate) struct HistoryEntry {
    pub(crate) revision: u64,
    pub(crate) change: WatchChange,
    pub(crate) path: String,
    pub(crate) object: Arc<Json>,
    /// The object before the change: a selector may have matched it and no longer do.
    pub(crate) before: Option<Arc<Json>>,
}

/// Everything the simulated API server remembers. Clones share the objects. The watch history is not part of the saved
/// state: after a reload, older watches are told 410 and list again, as after an etcd compaction.
#[derive(Clone, Debug, Default)]
pub(crate) struct Store {
    distribution: String,
    revision: u64,
    objects: BTreeMap<String, Arc<Json>>,
    /// Paths whose objects are no longer what the cluster began with.
    changed: BTreeSet<String>,
    /// Those of them that are not written yet.
    unsaved: BTreeSet<String>,
    history: VecDeque<HistoryEntry>,
}

impl Store {
    /// A fresh cluster of this distribution (`aks`, `openshift`, …): the namespaces and
    /// ClusterRoles every cluster has, and on `openshift` the security context constraints as
    /// the platform ships them (openshift/cluster-kube-apiserver-operator, scc-manifests). `born`, RFC 3339, is when.
    pub(crate) fn new(distribution: &str, born: &str) -> Self {
        let mut store = Self { distribution: distribution.to_owned(), ..Self::default() };
        for (path, object) in seed::objects(distribution) {
            store.put(&path, object, born);
        }
        store
    }

    /// Says that this is what the cluster begins with: nothing of it needs to be saved or watched.
    #[must_use]
    pub(crate) fn begun(mut self) -> Self {
        self.changed.clear();
        self.unsaved.clear();
        self.history.clear();
        self
    }

    /// Puts an object back as it was saved; `None` was deleted.
    pub(crate) fn restore(&mut self, path: String, object: Option<Json>) {
        match object {
            Some(object) => self.objects.insert(path.clone(), Arc::new(object)),
            None => self.objects.remove(&path),
        };
        self.changed.insert(path);
    }

    /// Puts the counter of changes back.
    pub(crate) fn restore_revision(&mut self, revision: u64) {
        self.revision = self.revision.max(revision);
    }

    /// What differs from the beginning, or with `unsaved` from what is written: paths with objects, `None` where deleted.
    pub(crate) fn changes(&self, unsaved: bool) -> impl Iterator<Item = (&str, Option<&Json>)> {
        let paths = if unsaved { &self.unsaved } else { &self.changed };
        paths.iter().map(|path| (path.as_str(), self.get(path)))
    }

    /// Says that everything is written.
    pub(crate) fn settle(&mut self) {
        self.unsaved.clear();
    }

    fn note(&mut self, path: &str) {
        self.changed.insert(path.to_owned());
        self.unsaved.insert(path.to_owned());
    }

    /// The object stored at this API path.
    pub(crate) fn get(&self, path: &str) -> Option<&Json> {
        self.objects.get(path).map(Arc::as_ref)
    }

    /// Creates or replaces an object from the controller side: fills in apiVersion, kind, name,
    /// namespace, uid, resourceVersion and creationTimestamp. `now` is RFC 3339. An object equal to the stored one leaves no trace.
    pub(crate) fn put(&mut self, path: &str, object: Json, now: &str) {
        let mut object = object;
        let kind = ApiPath::parse(path).and_then(|at| {
            let kind = self.find_type(&at.group, &at.version, &at.resource)?;
            object["apiVersion"] = json!(kind.api_version());
            object["kind"] = json!(kind.kind);
            object["metadata"]["name"] = json!(at.name);
            if let Some(namespace) = &at.namespace {
                object["metadata"]["namespace"] = json!(namespace);
            }
            Some(kind)
        });
        let live = self.get(path).cloned();
        if let Some(kind) = &kind {
            admission::default_fields(kind, &mut object);
        }
        stamp(path, live.as_ref(), &mut object, self.revision, now);
        if let Some(kind) = &kind {
            let helm = object["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "Helm";
            let manager = if helm { "helm" } else { "kube-controller-manager" };
            fields::record_update(kind, live.as_ref(), &mut object, manager, None, now);
        }
        if path.starts_with(crd::COLLECTION) {
            crd::establish(&mut object, &seconds(now));
        }
        if live.as_ref() == Some(&object) {
            return;
        }
        self.commit(path, object);
        if live.is_none() && kind.is_some_and(|kind| kind.kind == "Namespace") {
            self.put(&format!("{path}/serviceaccounts/default"), json!({}), now);
        }
    }

    /// Removes an object at once, finalizers or not; a namespace takes its content along.
    pub(crate) fn remove(&mut self, path: &str) -> Option<Json> {
        if ApiPath::parse(path).is_some_and(|at| at.resource == "namespaces") {
            let name = path.rsplit('/').next().unwrap_or_default().to_owned();
            for inside in self.paths_in_namespace(&name) {
                self.erase(&inside);
            }
        }
        self.erase(path)
    }

    /// The API path of an object named by its path or as kubectl names it: `deployment/azureml/gateway`, `node/node-1`,
    /// with the kind in any of the forms that discovery lists. `None` when there is no such kind.
    pub(crate) fn path_of(&self, name: &str) -> Option<String> {
        if name.starts_with('/') {
            return Some(name.to_owned());
        }
        let (kind, rest) = name.split_once('/')?;
        let (kind, group) =
            kind.split_once('.').map_or((kind, None), |(kind, group)| (kind, Some(group)));
        let same = |name: &str| name.eq_ignore_ascii_case(kind);
        let found = self.types().into_iter().find(|resource_type| {
            let named = same(&resource_type.kind)
                || same(&resource_type.plural)
                || same(&resource_type.singular);
            (named || resource_type.short.iter().any(|name| same(name)))
                && group.is_none_or(|group| group == resource_type.group)
        })?;
        let (namespace, name) = match rest.split_once('/') {
            Some((namespace, name)) => (namespace, name),
            None => ("default", rest),
        };
        Some(found.path(Some(namespace), Some(name)))
    }

    /// The objects of a collection path, in path order: `/apis/apps/v1/deployments` for all
    /// namespaces or `/apis/apps/v1/namespaces/x/deployments` for one.
    pub(crate) fn list(&self, collection_path: &str) -> Vec<&Json> {
        let Some(wanted) = ApiPath::parse(collection_path) else {
            return Vec::new();
        };
        self.list_at(&wanted).into_iter().map(|(_, object)| object).collect()
    }

    /// Every object, in path order.
    pub(crate) fn all(&self) -> Vec<&Json> {
        self.objects.values().map(Arc::as_ref).collect()
    }

    /// Sets the value at a JSON pointer of a stored object, making missing object parents, as a
    /// colleague with `kubectl edit` would. False when there is no such object or the pointer
    /// runs through a scalar.
    pub(crate) fn set_pointer(
        &mut self,
        path: &str,
        pointer: &str,
        value: Json,
        now: &str,
    ) -> bool {
        let Some(live) = self.get(path).cloned() else {
            return false;
        };
        let mut object = live.clone();
        if !set_at(&mut object, pointer, value)
            || !object["metadata"].is_object()
            || admission::well_formed(&object).is_err()
        {
            return false;
        }
        stamp(path, Some(&live), &mut object, self.revision, now);
        let kind = ApiPath::parse(path)
            .and_then(|at| self.find_type(&at.group, &at.version, &at.resource));
        if let Some(kind) = kind {
            fields::record_update(&kind, Some(&live), &mut object, "kubectl-edit", None, now);
        }
        if live != object {
            self.commit(path, object);
        }
        true
    }

    /// The resourceVersion of the newest change.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    pub(crate) fn list_at(&self, wanted: &ApiPath) -> Vec<(&str, &Json)> {
        let root = ApiPath { namespace: None, name: None, subresource: None, ..wanted.clone() };
        let matches = |path: &str| {
            ApiPath::parse(path).is_some_and(|at| {
                at.resource == wanted.resource
                    && (wanted.namespace.is_none() || at.namespace == wanted.namespace)
            })
        };
        let prefix = root.to_string();
        let version = prefix.trim_end_matches(&wanted.resource);
        self.objects
            .range(version.to_owned()..)
            .take_while(|(path, _)| path.starts_with(version))
            .filter(|(path, _)| matches(path))
            .map(|(path, object)| (path.as_str(), object.as_ref()))
            .collect()
    }

    pub(crate) fn types(&self) -> Vec<ResourceType> {
        let mut types: Vec<ResourceType> =
            ResourceType::builtin(&self.distribution).cloned().collect();
        types.extend(self.custom_types());
        types
    }

    pub(crate) fn find_type(
        &self,
        group: &str,
        version: &str,
        plural: &str,
    ) -> Option<ResourceType> {
        let same = |kind: &ResourceType| {
            kind.group == group && kind.version == version && kind.plural == plural
        };
        ResourceType::builtin(&self.distribution).find(|kind| same(kind)).cloned().or_else(|| {
            let crd = self.get(&format!("{}/{plural}.{group}", crd::COLLECTION))?;
            crd::types_of(crd).into_iter().find(same)
        })
    }

    fn custom_types(&self) -> Vec<ResourceType> {
        self.list(crd::COLLECTION).into_iter().flat_map(crd::types_of).collect()
    }

    /// Paths of everything inside a namespace.
    pub(crate) fn paths_in_namespace(&self, namespace: &str) -> Vec<String> {
        self.objects
            .iter()
            .filter(|(path, object)| {
                object["metadata"]["namespace"] == namespace && path.contains("/namespaces/")
            })
            .map(|(path, _)| path.clone())
            .collect()
    }

    /// Paths of the objects owned by this uid and by nobody else who still exists.
    pub(crate) fn dependents(&self, uid: &Json) -> Vec<String> {
        let alive = |owner: &Json| {
            self.objects.values().any(|object| object["metadata"]["uid"] == owner["uid"])
        };
        self.objects
            .iter()
            .filter(|(_, object)| {
                let owners = object["metadata"]["ownerReferences"].as_array();
                owners.is_some_and(|owners| {
                    owners.iter().any(|owner| &owner["uid"] == uid)
                        && !owners.iter().any(|owner| &owner["uid"] != uid && alive(owner))
                })
            })
            .map(|(path, _)| path.clone())
            .collect()
    }

    /// Stores the object under the next resourceVersion and remembers the event.
    pub(crate) fn commit(&mut self, path: &str, mut object: Json) -> Json {
        self.revision += 1;
        object["metadata"]["resourceVersion"] = json!(self.revision.to_string());
        let shared = Arc::new(object.clone());
        let before = self.objects.insert(path.to_owned(), Arc::clone(&shared));
        let change = if before.is_some() { WatchChange::Modified } else { WatchChange::Added };
        self.remember(path, change, shared, before);
        object
    }

    /// Removes the object and remembers the event.
    pub(crate) fn erase(&mut self, path: &str) -> Option<Json> {
        let before = self.objects.remove(path)?;
        self.revision += 1;
        let mut object = before.as_ref().clone();
        object["metadata"]["resourceVersion"] = json!(self.revision.to_string());
        self.remember(path, WatchChange::Deleted, Arc::new(object.clone()), Some(before));
        Some(object)
    }

    fn remember(
        &mut self,
        path: &str,
        change: WatchChange,
        object: Arc<Json>,
        before: Option<Arc<Json>>,
    ) {
        self.note(path);
        self.history.push_back(HistoryEntry {
            revision: self.revision,
            change,
            path: path.to_owned(),
            object,
            before,
        });
        while self.history.len() > HISTORY {
            self.history.pop_front();
        }
    }

    /// The changes after a revision; `None` when the history no longer reaches back that far.
    pub(crate) fn changes_since(
        &self,
        revision: u64,
    ) -> Option<impl Iterator<Item = &HistoryEntry>> {
        let oldest = self.history.front().map_or(self.revision, |first| first.revision - 1);
        (revision >= oldest)
            .then(|| self.history.iter().filter(move |entry| entry.revision > revision))
    }
}

/// Fills in what only the server sets and carries it over from the live object.
pub(crate) fn stamp(path: &str, live: Option<&Json>, object: &mut Json, salt: u64, now: &str) {
    let fresh = json!({
        "uid": uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, format!("{path}#{salt}#{now}").as_bytes()).to_string(),
        "creationTimestamp": seconds(now),
    });
    let from = live.map_or(&fresh, |live| &live["metadata"]);
    for field in ["uid", "creationTimestamp", "resourceVersion"] {
        match from.get(field) {
            Some(value) => object["metadata"][field] = value.clone(),
            None => remove_key(&mut object["metadata"], field),
        }
    }
    let generation = match live {
        None => 1,
        Some(live) => {
            let last = live["metadata"]["generation"].as_i64().unwrap_or(1);
            if same_intent(live, object) { last } else { last + 1 }
        }
    };
    // the core group and types without a spec have no generation; custom resources always do
    let group = ApiPath::parse(path).map(|at| at.group).unwrap_or_default();
    let custom = group.contains('.') && !group.ends_with(".k8s.io");
    let intent = object.get("spec").is_some() || object.get("webhooks").is_some();
    if custom || intent && !group.is_empty() {
        object["metadata"]["generation"] = json!(generation);
    } else {
        remove_key(&mut object["metadata"], "generation");
    }
}

/// Whether two states of an object differ in nothing but metadata and status.
fn same_intent(left: &Json, right: &Json) -> bool {
    let strip = |object: &Json| {
        let mut object = object.clone();
        remove_key(&mut object, "metadata");
        remove_key(&mut object, "status");
        object
    };
    strip(left) == strip(right)
}

fn set_at(target: &mut Json, pointer: &str, value: Json) -> bool {
    let Some((parent, last)) = pointer.rsplit_once('/') else {
        return false;
    };
    let unescape = |part: &str| part.replace("~1", "/").replace("~0", "~");
    let mut node = target;
    for part in parent.split('/').skip(1).map(unescape) {
        if node.is_null() {
            *node = json!({});
        }
        let next = match node {
            Json::Object(map) => Some(map.entry(part).or_insert(Json::Null)),
            Json::Array(items) => part.parse::<usize>().ok().and_then(|at| items.get_mut(at)),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => None,
        };
        let Some(next) = next else {
            return false;
        };
        node = next;
    }
    let last = unescape(last);
    if node.is_null() {
        *node = json!({});
    }
    match node {
        Json::Object(map) => {
            map.insert(last, value);
            true
        }
        Json::Array(items) if last == "-" => {
            items.push(value);
            true
        }
        Json::Array(items) => match last.parse::<usize>().ok().and_then(|at| items.get_mut(at)) {
            Some(slot) => {
                *slot = value;
                true
            }
            None => false,
        },
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => false,
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
