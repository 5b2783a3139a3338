//! What carries the mark of a manifest and is not declared any more. Pure: which lists to read, and
//! what is found in them.

use std::collections::{BTreeMap, BTreeSet};

use super::graph::{ClusterAccess, Desired, Orphan, ResourceNode};
use super::mark::{Mark, MarkAt};
use super::{Companion, Compute, Extension, PARTS, Read, Resource, Snapshot, Target, about};
use crate::catalog::ArmType;
use crate::model::{Api, ArmId, Json, Key, KindName, ObjectRef, text};

/// Answers of lists, by read and scope; one that failed is not here.
pub type ListAnswers = BTreeMap<(Read, String), Vec<Json>>;

fn list(path: String, arm_type: ArmType) -> Read {
    Read::ArmList { path, api_version: arm_type.api_version }
}

fn extensions(cluster: &ArmId) -> Read {
    list(format!("{cluster}/providers/{}", ArmType::EXTENSIONS), ArmType::EXTENSIONS)
}

fn group(cluster: &ArmId) -> Read {
    let group = cluster.resource_group().unwrap_or_default();
    let group = ArmId::resource_group_of(cluster.subscription(), group);
    list(format!("{group}/resources"), ArmType::RESOURCES)
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

/// The lists to read first: a few for each cluster, group, subscription and declared workspace.
#[must_use]
pub fn first_reads(desired: &Desired, live: &Snapshot) -> BTreeSet<(String, Read)> {
    let mut wanted = BTreeSet::new();
    let mut shared = BTreeSet::new();
    for (scope, cluster) in clusters(desired, live) {
        let parts = PARTS.iter().flat_map(|part| part.lists(desired, scope, cluster));
        let declared = workspaces(desired, scope).map(|id| computes(&id));
        for read in parts.chain([extensions(&cluster.id), group(&cluster.id)]).chain(declared) {
            let asks = match read.api() {
                Api::Kubernetes => cluster.kubernetes,
                // One answer serves every cluster of the group or subscription.
                Api::Azure => shared.insert(read.clone()),
            };
            if asks {
                wanted.insert((scope.to_owned(), read));
            }
        }
    }
    wanted
}

/// The lists that the first ones lead to: the computes of every further workspace that lies in the
/// group of a cluster.
#[must_use]
pub fn more_reads(
    desired: &Desired,
    live: &Snapshot,
    first: &ListAnswers,
) -> BTreeSet<(String, Read)> {
    let mut wanted = BTreeMap::new();
    let index = Index::of(first);
    let known: BTreeSet<&Read> = first.keys().map(|it| &it.0).collect();
    for (scope, cluster) in clusters(desired, live) {
        for workspace in index.workspaces(desired, scope, &cluster.id) {
            let read = computes(&workspace);
            if !known.contains(&read) {
                wanted.entry(read).or_insert_with(|| scope.to_owned());
            }
        }
    }
    wanted.into_iter().map(|(read, scope)| (scope, read)).collect()
}

fn clusters<'a>(
    desired: &'a Desired,
    live: &'a Snapshot,
) -> impl Iterator<Item = (&'a str, &'a ClusterAccess)> {
    let there = |(name, _): &(&str, _)| live.cluster(name).is_some();
    let scopes = desired.scopes.iter();
    scopes.filter_map(|(name, scope)| Some((name.as_str(), scope.cluster.as_ref()?))).filter(there)
}

/// The workspaces that a cluster's computes are declared in.
fn workspaces<'a>(desired: &'a Desired, scope: &'a str) -> impl Iterator<Item = ArmId> + 'a {
    desired.in_scope(scope).filter_map(|(_, node)| match &node.resource {
        Resource::Compute(compute) => Some(compute.id.up_to("workspaces")),
        _ => None,
    })
}

/// What many clusters look for in the same lists, found once.
#[derive(Default)]
struct Index<'a> {
    /// The workspaces of a group.
    workspaces: BTreeMap<&'a Read, Vec<ArmId>>,
    /// Companions of a group by their mark.
    companions: BTreeMap<&'a Read, BTreeMap<Mark, Vec<&'a Json>>>,
    /// Companions of a group without a mark by kind and name, in small letters.
    unmarked: BTreeMap<&'a Read, BTreeMap<(KindName, String), &'a Json>>,
    /// The computes of a workspace by their cluster's id.
    computes: BTreeMap<&'a Read, BTreeMap<String, Vec<&'a Json>>>,
}

impl<'a> Index<'a> {
    fn of(answers: &'a ListAnswers) -> Self {
        let mut index = Self::default();
        for ((read, _), items) in answers {
            let Read::ArmList { path, .. } = read else { continue };
            for document in items.iter().filter(|_| path.ends_with("/computes")) {
                let cluster = text(document, "/properties/resourceId").to_ascii_lowercase();
                index.computes.entry(read).or_default().entry(cluster).or_default().push(document);
            }
            for document in items.iter().filter(|_| path.ends_with("/resources")) {
                let kind = text(document, "/type");
                if kind.eq_ignore_ascii_case(ArmType::WORKSPACES.name) {
                    let id = ArmId::parse(text(document, "/id")).ok();
                    index.workspaces.entry(read).or_default().extend(id);
                } else if let Some(kind) = Companion::kind_of(kind) {
                    if let Some(mark) = super::mark::TAG.read(Some(document)) {
                        let marked = index.companions.entry(read).or_default();
                        marked.entry(mark).or_default().push(document);
                    } else {
                        let name = text(document, "/name").to_ascii_lowercase();
                        index.unmarked.entry(read).or_default().insert((kind, name), document);
                    }
                }
            }
        }
        index
    }

    /// Those that the cluster's computes are in, and those of its group.
    fn workspaces(&self, desired: &Desired, scope: &str, cluster: &ArmId) -> Vec<ArmId> {
        let in_group = self.workspaces.get(&group(cluster)).into_iter().flatten().cloned();
        let all: BTreeSet<ArmId> = workspaces(desired, scope).chain(in_group).collect();
        all.into_iter().collect()
    }
}

/// What the lists hold of each manifest of the run and nobody of the run declares.
#[must_use]
pub fn find(
    desired: &Desired,
    live: &Snapshot,
    answers: &ListAnswers,
) -> BTreeMap<Key, ResourceNode> {
    let mut found = BTreeMap::new();
    searches(desired, live, answers, |search| search.cluster(&mut found));
    found
}

/// Extensions of Azure ML, computes and what parts name that are on a cluster of the run, and
/// companions that `az` makes for it, without being declared in it or marked by any manifest.
#[must_use]
pub fn foreign(desired: &Desired, live: &Snapshot, answers: &ListAnswers) -> BTreeMap<Key, String> {
    let mut found = BTreeMap::new();
    searches(desired, live, answers, |search| {
        let mut take = |kind: KindName, at: MarkAt, document: &Json, what: &str| {
            if let Some(id) =
                search.undeclared(document).filter(|_| at.read(Some(document)).is_none())
            {
                let message = format!("{what} is not declared, and no manifest made it: {id}");
                found.insert(Key::new(search.scope, kind, id.name()), message);
            }
        };
        let cluster = &search.access.id;
        for document in search.list(&extensions(cluster)) {
            let kind = text(document, "/properties/extensionType");
            if kind.eq_ignore_ascii_case("Microsoft.AzureML.Kubernetes") {
                let at = super::extension::MARK_AT;
                take(KindName::Extension, at, document, "this extension of Azure ML");
            }
        }
        let unmarked = search.index.unmarked.get(&group(cluster));
        for kind in Companion::KINDS.map(|it| it.1) {
            let named = (kind, Companion::name_for(kind, cluster).to_ascii_lowercase());
            if let Some(document) = unmarked.and_then(|it| it.get(&named)) {
                take(kind, super::mark::TAG, document, "what az made for this cluster");
            }
        }
        for workspace in search.index.workspaces(desired, search.scope, cluster) {
            for document in search.computes(&workspace) {
                let at = super::mark::TAG;
                take(KindName::Compute, at, document, "a compute on this cluster");
            }
        }
        found.extend(PARTS.iter().flat_map(|part| part.foreign(search)));
    });
    found
}

/// Looks into the lists of every cluster that is there.
fn searches(
    desired: &Desired,
    live: &Snapshot,
    answers: &ListAnswers,
    mut look: impl FnMut(&Search<'_>),
) {
    let declared = &declared(desired);
    let index = &Index::of(answers);
    for (scope, access) in clusters(desired, live) {
        let Some((mark, prune)) = desired.mark(scope) else { continue };
        look(&Search { desired, live, answers, index, declared, scope, access, mark, prune });
    }
}

fn declared(desired: &Desired) -> BTreeSet<ArmId> {
    let target = |node: &ResourceNode| match node.resource.kind().target() {
        Target::Arm(id) => Some(id),
        Target::Objects(_) => None,
    };
    desired.nodes.values().filter_map(target).collect()
}

/// What to read to say what goes with orphans: their address, and the lists.
#[must_use]
pub fn contents_of(
    orphans: &BTreeMap<Key, ResourceNode>,
    desired: &Desired,
) -> Vec<(Key, [Read; 2])> {
    let mut wanted = Vec::new();
    for (key, node) in orphans {
        let namespace = match &node.resource {
            Resource::Extension(_) => "azureml",
            Resource::Compute(compute) => compute.namespace.as_str(),
            _ => continue,
        };
        let scope = desired.scopes.get(&key.scope).and_then(|it| it.cluster.as_ref());
        let still_used = desired.in_scope(&key.scope).any(
            |(_, node)| matches!(&node.resource, Resource::Compute(compute) if compute.namespace == namespace),
        );
        if namespace != "default" && !still_used && scope.is_some_and(|it| it.kubernetes) {
            wanted.push((key.clone(), contents(namespace)));
        }
    }
    wanted
}

/// What is looked for in the lists of one cluster.
pub struct Search<'a> {
    pub(super) desired: &'a Desired,
    pub(super) live: &'a Snapshot,
    answers: &'a ListAnswers,
    index: &'a Index<'a>,
    declared: &'a BTreeSet<ArmId>,
    /// The cluster's name in the manifest.
    pub(super) scope: &'a str,
    /// The cluster.
    pub(super) access: &'a ClusterAccess,
    mark: Mark,
    prune: bool,
}

impl Search<'_> {
    pub(super) fn is_ours(&self, at: MarkAt, document: &Json) -> bool {
        at.read(Some(document)).as_ref() == Some(&self.mark)
    }

    /// The items of a list: of this cluster, or of Azure, whichever cluster read it.
    pub(super) fn list(&self, read: &Read) -> impl Iterator<Item = &Json> {
        let own = self.answers.get(&(read.clone(), self.scope.to_owned()));
        let elsewhere = || {
            let first = self.answers.range((read.clone(), String::new())..).next();
            first.filter(|it| it.0.0 == *read && read.api() == Api::Azure).map(|it| it.1)
        };
        own.or_else(elsewhere).into_iter().flatten()
    }

    /// The computes of a workspace that are on this cluster.
    fn computes(&self, workspace: &ArmId) -> impl Iterator<Item = &Json> {
        let all = self.index.computes.get(&computes(workspace));
        let own = all.and_then(|it| it.get(&self.access.id.as_str().to_ascii_lowercase()));
        own.into_iter().flatten().copied()
    }

    /// The id of a thing in Azure that nobody declares.
    pub(super) fn undeclared(&self, document: &Json) -> Option<ArmId> {
        ArmId::parse(text(document, "/id")).ok().filter(|id| !self.declared.contains(id))
    }

    /// An id that is marked and not declared.
    pub(super) fn id(&self, at: MarkAt, document: &Json) -> Option<ArmId> {
        self.undeclared(document).filter(|_| self.is_ours(at, document))
    }

    /// An address that no declared resource has.
    pub(super) fn key(&self, kind: KindName, short: &str, long: &str) -> Key {
        let key = Key::new(self.scope, kind, short);
        if self.desired.nodes.contains_key(&key) { Key::new(self.scope, kind, long) } else { key }
    }

    fn cluster(&self, found: &mut BTreeMap<Key, ResourceNode>) {
        let cluster = &self.access.id;
        let mut resources: Vec<Resource> = Vec::new();
        for workspace in self.index.workspaces(self.desired, self.scope, cluster) {
            for document in self.computes(&workspace) {
                let namespace = text(document, "/properties/properties/namespace").to_owned();
                if let Some(id) = self.id(super::mark::TAG, document) {
                    let long = format!("{}/{}", workspace.name(), id.name());
                    let key = self.key(KindName::Compute, id.name(), &long);
                    resources.push(Compute::attached(key, id, cluster, namespace).into());
                }
            }
        }
        for document in self.list(&extensions(cluster)) {
            if let Some(id) = self.id(super::extension::MARK_AT, document) {
                let key = self.key(KindName::Extension, id.name(), id.name());
                resources.push(Extension::installed(key, id, cluster).into());
            }
        }
        let marked = self.index.companions.get(&group(cluster)).and_then(|it| it.get(&self.mark));
        for document in marked.into_iter().flatten() {
            let kind = Companion::kind_of(text(document, "/type"));
            if let (Some(kind), Some(id)) = (kind, self.undeclared(document)) {
                resources.push(Companion { key: self.key(kind, id.name(), id.name()), id }.into());
            }
        }
        resources.extend(PARTS.iter().flat_map(|part| part.orphans(self)));
        self.nodes(resources, found);
    }

    /// Orphans as nodes: what stands on something goes before it.
    fn nodes(&self, resources: Vec<Resource>, found: &mut BTreeMap<Key, ResourceNode>) {
        let keys: Vec<Key> = resources.iter().map(|it| it.kind().key().clone()).collect();
        for resource in resources {
            let key = resource.kind().key().clone();
            let stands_on = |other: &&Key| {
                about(key.kind).stands_on.contains(&other.kind)
                    || (key.kind == KindName::Extension && Companion::is_companion(other.kind))
            };
            let needs = keys.iter().filter(stands_on).cloned().collect();
            let orphan =
                Some(Orphan { mark: self.mark.name.clone(), goes: Vec::new(), kept: !self.prune });
            found.insert(
                key,
                ResourceNode { resource, needs, reason: None, declared: None, orphan },
            );
        }
    }
}
