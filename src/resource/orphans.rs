//! What carries the mark of a manifest and is not declared any more. Pure: which lists to read, and
//! what is found in them.

use std::collections::{BTreeMap, BTreeSet};

use super::graph::{Desired, Node, Orphan};
use super::mark::{Mark, MarkAt};
use super::{
    Companion, Compute, Extension, InstanceType, Read, Resource, RoleAssignment, Snapshot, Target,
};
use crate::catalog::{self, ArmType};
use crate::model::{ArmId, Json, Key, KindName, ObjectRef};

/// Answers of lists, by scope and read; one that failed is not here.
pub type Answers = BTreeMap<(String, Read), Vec<Json>>;

fn text<'a>(document: &'a Json, pointer: &str) -> &'a str {
    document.pointer(pointer).and_then(Json::as_str).unwrap_or_default()
}

fn list(path: String, arm_type: ArmType) -> Read {
    Read::ArmList { path, api_version: arm_type.api_version }
}

fn instance_types() -> Read {
    let all = ObjectRef::cluster(InstanceType::API_VERSION, "InstanceType", "instancetypes", "");
    Read::Objects(all)
}

fn extensions(cluster: &ArmId) -> Read {
    list(format!("{cluster}/providers/{}", ArmType::EXTENSIONS), ArmType::EXTENSIONS)
}

fn group(cluster: &ArmId) -> Read {
    let group = cluster.resource_group().unwrap_or_default();
    let group = ArmId::resource_group_of(cluster.subscription(), group);
    list(format!("{group}/resources"), ArmType::RESOURCES)
}

fn roles(subscription: &str) -> Read {
    let path = format!("/subscriptions/{subscription}/providers/{}", ArmType::ROLE_ASSIGNMENTS);
    list(path, ArmType::ROLE_ASSIGNMENTS)
}

fn computes(workspace: &ArmId) -> Read {
    list(format!("{workspace}/computes"), ArmType::COMPUTES)
}

/// What may go with a thing: pods and claims of a namespace.
fn contents(namespace: &str) -> [Read; 2] {
    let of = |kind, plural| {
        Read::Objects(ObjectRef::cluster("v1", kind, plural, "").in_namespace(namespace))
    };
    [of("Pod", "pods"), of("PersistentVolumeClaim", "persistentvolumeclaims")]
}

/// The lists to read first: a few for each cluster, group and subscription.
#[must_use]
pub fn first_reads(desired: &Desired, live: &Snapshot) -> BTreeSet<(String, Read)> {
    let mut wanted = BTreeSet::new();
    let mut shared = BTreeSet::new();
    for (scope, cluster) in clusters(desired, live) {
        wanted.insert((scope.to_owned(), extensions(&cluster.id)));
        if cluster.kubernetes {
            wanted.insert((scope.to_owned(), instance_types()));
        }
        for read in [group(&cluster.id), roles(cluster.id.subscription())] {
            // One answer serves every cluster of the group or subscription.
            if shared.insert(read.clone()) {
                wanted.insert((scope.to_owned(), read));
            }
        }
    }
    wanted
}

/// The lists that the first ones lead to: the computes of every workspace that is declared or
/// lies in the group of a cluster.
#[must_use]
pub fn more_reads(desired: &Desired, live: &Snapshot, first: &Answers) -> BTreeSet<(String, Read)> {
    let mut wanted = BTreeMap::new();
    for (scope, cluster) in clusters(desired, live) {
        for workspace in workspaces(desired, scope, &cluster.id, first) {
            wanted.entry(computes(&workspace)).or_insert_with(|| scope.to_owned());
        }
    }
    wanted.into_iter().map(|(read, scope)| (scope, read)).collect()
}

fn clusters<'a>(
    desired: &'a Desired,
    live: &'a Snapshot,
) -> impl Iterator<Item = (&'a str, &'a super::graph::ClusterAccess)> {
    let there = |(name, _): &(&str, _)| live.cluster(name).is_some();
    let scopes = desired.scopes.iter();
    scopes.filter_map(|(name, it)| Some((name.as_str(), it.cluster.as_ref()?))).filter(there)
}

fn workspaces(desired: &Desired, scope: &str, cluster: &ArmId, first: &Answers) -> Vec<ArmId> {
    let declared = desired.nodes.values().filter_map(|it| match &it.resource {
        Resource::Compute(it) if it.key.scope == scope => Some(it.id.up_to("workspaces")),
        _ => None,
    });
    let group = group(cluster);
    let in_group = answer(first, &group)
        .filter(|it| text(it, "/type").eq_ignore_ascii_case(ArmType::WORKSPACES.name))
        .filter_map(|it| ArmId::parse(text(it, "/id")).ok());
    let all: BTreeSet<ArmId> = declared.chain(in_group).collect();
    all.into_iter().collect()
}

/// The items of a list, whichever scope read it.
fn answer<'a>(answers: &'a Answers, read: &Read) -> impl Iterator<Item = &'a Json> + use<'a> {
    let read = read.clone();
    answers.iter().filter(move |((_, it), _)| *it == read).flat_map(|(_, items)| items)
}

/// What the lists hold of each manifest of the run and nobody of the run declares.
#[must_use]
pub fn find(desired: &Desired, live: &Snapshot, answers: &Answers) -> BTreeMap<Key, Node> {
    let declared = declared(desired);
    let mut found = BTreeMap::new();
    for (scope, cluster) in clusters(desired, live) {
        let Some((mark, prune)) = desired.mark(scope) else { continue };
        let search = Search { desired, live, answers, declared: &declared, scope, mark, prune };
        search.cluster(&cluster.id, cluster.kubernetes, &mut found);
    }
    found
}

/// Extensions of Azure ML and computes that are on a cluster of the run, without being declared in
/// it or marked by any manifest.
#[must_use]
pub fn foreign(desired: &Desired, live: &Snapshot, answers: &Answers) -> BTreeMap<Key, String> {
    let declared = declared(desired);
    let mut found = BTreeMap::new();
    for (scope, cluster) in clusters(desired, live) {
        let mut take = |kind: KindName, at: MarkAt, document: &Json, what: &str| {
            let Ok(id) = ArmId::parse(text(document, "/id")) else { return };
            if !declared.contains(&id) && at.read(Some(document)).is_none() {
                let message = format!("{what} is not declared, and no manifest made it: {id}");
                found.insert(Key::new(scope, kind, id.name()), message);
            }
        };
        let all = answers.get(&(scope.to_owned(), extensions(&cluster.id)));
        for document in all.into_iter().flatten() {
            let kind = text(document, "/properties/extensionType");
            if kind.eq_ignore_ascii_case("Microsoft.AzureML.Kubernetes") {
                let at = super::extension::MARK_AT;
                take(KindName::Extension, at, document, "this extension of Azure ML");
            }
        }
        for workspace in workspaces(desired, scope, &cluster.id, answers) {
            for document in answer(answers, &computes(&workspace)) {
                let here = text(document, "/properties/resourceId");
                if here.eq_ignore_ascii_case(cluster.id.as_str()) {
                    take(
                        KindName::Compute,
                        super::mark::TAG,
                        document,
                        "a compute on this cluster",
                    );
                }
            }
        }
    }
    found
}

fn declared(desired: &Desired) -> BTreeSet<ArmId> {
    let target = |it: &Node| match it.resource.kind().target() {
        Target::Arm(id) => Some(id),
        Target::Objects(_) => None,
    };
    desired.nodes.values().filter_map(target).collect()
}

/// What to read to say what goes with orphans: their address, and the lists.
#[must_use]
pub fn contents_of(orphans: &BTreeMap<Key, Node>, desired: &Desired) -> Vec<(Key, [Read; 2])> {
    let mut wanted = Vec::new();
    for (key, node) in orphans {
        let namespace = match &node.resource {
            Resource::Extension(_) => "azureml",
            Resource::Compute(it) => it.namespace.as_str(),
            _ => continue,
        };
        let scope = desired.scopes.get(&key.scope).and_then(|it| it.cluster.as_ref());
        let still_used = desired.nodes.values().any(|it| {
            matches!(&it.resource, Resource::Compute(it)
                if it.key.scope == key.scope && it.namespace == namespace)
        });
        if namespace != "default" && !still_used && scope.is_some_and(|it| it.kubernetes) {
            wanted.push((key.clone(), contents(namespace)));
        }
    }
    wanted
}

struct Search<'a> {
    desired: &'a Desired,
    live: &'a Snapshot,
    answers: &'a Answers,
    declared: &'a BTreeSet<ArmId>,
    scope: &'a str,
    mark: Mark,
    prune: bool,
}

impl Search<'_> {
    fn is_ours(&self, at: MarkAt, document: &Json) -> bool {
        at.read(Some(document)).as_ref() == Some(&self.mark)
    }

    fn own(&self, read: &Read) -> impl Iterator<Item = &Json> + use<'_> {
        self.answers.get(&(self.scope.to_owned(), read.clone())).into_iter().flatten()
    }

    /// An id that is marked and not declared.
    fn id(&self, at: MarkAt, document: &Json) -> Option<ArmId> {
        let id = ArmId::parse(text(document, "/id")).ok()?;
        (self.is_ours(at, document) && !self.declared.contains(&id)).then_some(id)
    }

    /// An address that no declared resource has.
    fn key(&self, kind: KindName, short: &str, long: &str) -> Key {
        let key = Key::new(self.scope, kind, short);
        if self.desired.nodes.contains_key(&key) { Key::new(self.scope, kind, long) } else { key }
    }

    fn cluster(&self, cluster: &ArmId, kubernetes: bool, found: &mut BTreeMap<Key, Node>) {
        let mut resources: Vec<Resource> = Vec::new();
        for workspace in workspaces(self.desired, self.scope, cluster, self.answers) {
            for document in answer(self.answers, &computes(&workspace)) {
                let namespace = text(document, "/properties/properties/namespace").to_owned();
                if !text(document, "/properties/resourceId").eq_ignore_ascii_case(cluster.as_str())
                {
                    continue;
                }
                if let Some(id) = self.id(super::mark::TAG, document) {
                    let long = format!("{}/{}", workspace.name(), id.name());
                    let key = self.key(KindName::Compute, id.name(), &long);
                    resources.push(Compute::attached(key, id, cluster, namespace).into());
                }
            }
        }
        for document in self.own(&extensions(cluster)) {
            if let Some(id) = self.id(super::extension::MARK_AT, document) {
                let key = self.key(KindName::Extension, id.name(), id.name());
                resources.push(Extension::installed(key, id, cluster).into());
            }
        }
        for document in answer(self.answers, &group(cluster)) {
            let Some(kind) = Companion::kind_of(text(document, "/type")) else { continue };
            if let Some(id) = self.id(super::mark::TAG, document) {
                resources.push(Companion { key: self.key(kind, id.name(), id.name()), id }.into());
            }
        }
        for document in answer(self.answers, &roles(cluster.subscription())) {
            resources.extend(self.role(document));
        }
        if kubernetes {
            // A namespace outlives the compute that it was made for: it may hold claims and what others put there.
            // `destroy` removes it.
            let objects = self.own(&instance_types());
            for document in objects.filter(|it| self.is_ours(super::mark::ANNOTATION, it)) {
                let name = text(document, "/metadata/name");
                let key = Key::new(self.scope, KindName::InstanceType, name);
                if !self.desired.nodes.contains_key(&key) {
                    resources.push(InstanceType::named(key).into());
                }
            }
        }
        self.nodes(resources, found);
    }

    fn role(&self, document: &Json) -> Option<Resource> {
        let id = self.id(super::role_assignment::MARK_AT, document)?;
        let at = ArmId::parse(text(document, "/properties/scope")).ok()?;
        let principal = text(document, "/properties/principalId");
        let own = |key: &Key| {
            let shown = self.live.document(key)?;
            (text(shown, "/identity/principalId").eq_ignore_ascii_case(principal))
                .then(|| format!("{}/{}", key.kind, key.name))
        };
        let who = self.desired.nodes.keys().filter(|it| it.scope == self.scope).find_map(own);
        let who = who.unwrap_or_else(|| principal.to_owned());
        let guid = text(document, "/properties/roleDefinitionId").rsplit('/').next()?;
        let role = catalog::roles().iter().find(|(_, it)| it.eq_ignore_ascii_case(guid));
        let role = role.map_or(guid, |(name, _)| name.as_str());
        let tail = |segments: usize| {
            let all: Vec<&str> = at.as_str().split('/').filter(|it| !it.is_empty()).collect();
            let end = all[all.len().saturating_sub(segments)..].join("/");
            format!("{who}/{role}/{end}")
        };
        let key = self.key(KindName::RoleAssignment, &tail(2), &tail(usize::MAX));
        Some(
            RoleAssignment {
                key,
                role_definition: text(document, "/properties/roleDefinitionId").to_owned(),
                principal: super::Principal::ObjectId(principal.to_owned()),
                name: id.name().to_owned(),
                at,
            }
            .into(),
        )
    }

    /// Orphans as nodes: what stands on something goes before it.
    fn nodes(&self, resources: Vec<Resource>, found: &mut BTreeMap<Key, Node>) {
        let keys: Vec<Key> = resources.iter().map(|it| it.kind().key().clone()).collect();
        for resource in resources {
            let key = resource.kind().key().clone();
            let stands_on = |other: &&Key| match (key.kind, other.kind) {
                (KindName::Compute | KindName::InstanceType, KindName::Extension) => true,
                (KindName::Extension, it) => Companion::is_companion(it),
                _ => false,
            };
            let needs = keys.iter().filter(stands_on).cloned().collect();
            let orphan =
                Some(Orphan { mark: self.mark.name.clone(), goes: Vec::new(), kept: !self.prune });
            found.insert(key, Node { resource, needs, reason: None, declared: None, orphan });
        }
    }
}
