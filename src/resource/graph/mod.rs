//! Manifest → DAG of resources. petgraph stays in here.

mod build;
mod companions;
#[cfg(test)]
mod declared_tests;
mod lifecycle;
#[cfg(test)]
mod names_tests;
mod order;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub(super) use build::shared_key;
pub use build::{GraphBuilder, build, catalog_profile};
pub use companions::registrations;
pub use order::{essential, order};

pub use crate::language::Rollout;
use crate::language::{ClusterOrigin, DriftClass, DriftIgnore};
use crate::model::{ArmId, Key, KindName, Pointer};
use crate::resource::Resource;
use crate::resource::mark::Mark;

/// One resource, what has to be there before it, and where it was declared.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ResourceNode {
    /// The resource.
    pub resource: Resource,
    /// What must be ready before it starts.
    pub needs: BTreeSet<Key>,
    /// Why it is there, when the user did not ask for it by name.
    #[serde(default)]
    pub reason: Option<String>,
    /// Which declared cluster it comes from, and the path in it.
    #[serde(default)]
    pub declared: Option<(String, Pointer)>,
    /// For what is marked and no longer declared.
    #[serde(default)]
    pub orphan: Option<Orphan>,
}

/// Why a resource is in the plan although nothing declares it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orphan {
    /// The manifest whose mark it carries.
    pub mark: String,
    /// What is lost with it: pods and claims, by name.
    pub goes: Vec<String>,
    /// Whether it is left: `lifecycle.prune` is false.
    pub kept: bool,
}

/// How to reach what a scope holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// Name of the cloud, or the endpoints of a custom one.
    pub cloud: CloudRef,
    /// Directory to sign in to.
    pub tenant: Option<String>,
    /// Subscription id.
    pub subscription: String,
    /// The cluster, for scopes that are clusters.
    pub cluster: Option<ClusterAccess>,
}

/// A cloud, by name or by its endpoints.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CloudRef {
    /// Its name.
    pub name: String,
    /// Address of its Resource Manager, for a cloud that amlplan does not know by name.
    pub resource_manager: Option<String>,
    /// Address of its sign-in service; `None`: what the metadata says.
    pub authority: Option<String>,
    /// Audience of its tokens; `None`: what the metadata says.
    pub audience: Option<String>,
}

/// How to reach the Kubernetes API of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterAccess {
    /// Azure id of the cluster.
    pub id: ArmId,
    /// Path of the kubeconfig; `None`: the usual rules.
    pub kubeconfig: Option<std::path::PathBuf>,
    /// Context in the kubeconfig.
    pub context: Option<String>,
    /// Whether Azure is asked for the kubeconfig.
    pub handed_out: bool,
    /// Whether the Kubernetes API may be used at all.
    pub kubernetes: bool,
    /// Whether what the manifest made and no longer names is removed.
    pub prune: bool,
}

/// An entry of `drift.ignore`, and what it means on the wire.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// The declared cluster that it stands in.
    pub scope: String,
    /// Which entry it is there.
    pub index: usize,
    /// Fields of declared resources that it covers.
    pub fields: Vec<(Key, Pointer)>,
    /// The entry.
    pub entry: DriftIgnore,
}

impl Accepted {
    /// Whether drift of a class in a field is meant.
    #[must_use]
    pub fn covers(&self, class: DriftClass, key: &Key, path: &Pointer) -> bool {
        let text = &self.entry.path;
        let field = || self.fields.iter().any(|(own, at)| own == key && at.covers(path));
        // What nothing declares has no path in the manifest: its kind or its address names it.
        let kind = key.scope == self.scope && key.kind.as_str() == text;
        self.entry.class.is_none_or(|it| it == class) && (kind || key.matches(text) || field())
    }
}

/// The desired state: a DAG of resources by address.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Desired {
    /// The resources.
    pub nodes: BTreeMap<Key, ResourceNode>,
    /// What carries the mark of a manifest of the run and is not declared any more.
    #[serde(default)]
    pub orphans: BTreeMap<Key, ResourceNode>,
    /// What is on the clusters of the run and nobody of the run declares or made: address, and what
    /// to say of it. Only reported.
    #[serde(skip)]
    pub foreign: BTreeMap<Key, String>,
    /// What clusters share and another part of the run looks after.
    #[serde(default)]
    pub elsewhere: BTreeSet<Key>,
    /// Whether things that carry no mark get one although nothing else changes.
    #[serde(default)]
    pub adopt: bool,
    /// The rollouts of its fleets.
    #[serde(default)]
    pub rollouts: Vec<Rollout>,
    /// How to reach each scope.
    pub scopes: BTreeMap<String, Scope>,
    /// What is skipped on request, for people.
    pub skipped: Vec<String>,
    /// Paths that are neither reported nor changed: address, path of the wire.
    pub ignored: BTreeSet<(Key, Pointer)>,
    /// Addresses that must not be destroyed or replaced.
    pub protected: BTreeSet<Key>,
    /// Kinds of clusters of which also orphans must not be destroyed.
    #[serde(default)]
    pub protected_kinds: BTreeSet<(String, KindName)>,
    /// Drift that somebody accepted; not part of a saved plan.
    #[serde(skip)]
    pub accepted: Vec<Accepted>,
    /// Where each cluster was declared, by name; not part of a saved plan.
    #[serde(skip)]
    pub origins: BTreeMap<String, ClusterOrigin>,
}

impl Desired {
    /// The mark of the manifest of a cluster, and whether it prunes.
    #[must_use]
    pub fn mark(&self, scope: &str) -> Option<(Mark, bool)> {
        let cluster = self.scopes.get(scope)?.cluster.as_ref()?;
        Some((Mark::of(scope, &cluster.id), cluster.prune))
    }

    /// Whether a resource is declared, here or for another part of the run.
    #[must_use]
    pub fn declares(&self, key: &Key) -> bool {
        self.nodes.contains_key(key) || self.elsewhere.contains(key)
    }

    /// Whether a scope is a cluster, and no subscription.
    #[must_use]
    pub fn is_cluster(&self, scope: &str) -> bool {
        self.scopes.get(scope).is_some_and(|it| it.cluster.is_some())
    }

    /// What stands in a scope. Addresses are ordered by scope, so a fleet is not searched as a whole.
    pub fn in_scope<'a>(
        &'a self,
        scope: &'a str,
    ) -> impl Iterator<Item = (&'a Key, &'a ResourceNode)> {
        let first = Key::new(scope, KindName::ALL[0], "");
        self.nodes.range(first..).take_while(move |(key, _)| key.scope == scope)
    }

    /// Only what is in these clusters, and what no cluster has to itself.
    #[must_use]
    pub fn part(&self, clusters: &BTreeSet<String>) -> Self {
        let holds = |key: &Key| clusters.contains(&key.scope) || !self.is_cluster(&key.scope);
        let mut part = self.clone();
        part.nodes.retain(|key, _| holds(key));
        part.orphans.retain(|key, _| holds(key));
        part.nodes.values_mut().for_each(|node| node.needs.retain(|key| holds(key)));
        part.scopes.retain(|name, scope| scope.cluster.is_none() || clusters.contains(name));
        part
    }

    /// With orphans as nodes: everything that a plan has a step for.
    #[must_use]
    pub fn with_orphans(&self) -> Self {
        let mut whole = self.clone();
        let mut before: BTreeMap<(&str, KindName), Vec<&Key>> = BTreeMap::new();
        for key in self.orphans.keys() {
            // What stood on it has to let go of it first: there is one extension at a time, and a
            // compute that is replaced may have been in the namespace.
            let above = match key.kind {
                KindName::Extension => Some(KindName::Extension),
                KindName::Namespace => Some(KindName::Compute),
                _ => None,
            };
            if let Some(above) = above {
                before.entry((&key.scope, above)).or_default().push(key);
            }
        }
        for (key, node) in whole.nodes.iter_mut().filter(|it| it.1.orphan.is_none()) {
            let gone_first = before.get(&(key.scope.as_str(), key.kind)).into_iter().flatten();
            node.needs.extend(gone_first.map(|address| Key::clone(address)));
        }
        let protected = |key: &&Key| self.protected_kinds.contains(&(key.scope.clone(), key.kind));
        whole.protected.extend(self.orphans.keys().filter(protected).cloned());
        whole.nodes.extend(self.orphans.iter().map(|(key, node)| (key.clone(), node.clone())));
        whole
    }

    /// The place in a manifest where a field of a resource was written.
    #[must_use]
    pub fn place(&self, key: &Key, wire: &Pointer) -> Option<crate::source::Place> {
        let node = self.nodes.get(key)?;
        let (cluster, base) = node.declared.as_ref()?;
        let below = node.resource.kind().declared_at(wire).unwrap_or_default();
        let path: Pointer = base.tokens().iter().chain(below.tokens()).cloned().collect();
        self.origins.get(cluster)?.value(&path)
    }

    /// Only the resources that a target matches, with everything they need.
    #[must_use]
    pub fn targeted(&self, targets: &[String], reverse: bool) -> Self {
        if targets.is_empty() {
            return self.clone();
        }
        let mut keep: BTreeSet<Key> = BTreeSet::new();
        let mut open: Vec<Key> =
            self.nodes.keys().filter(|it| targets.iter().any(|t| it.matches(t))).cloned().collect();
        while let Some(key) = open.pop() {
            if reverse {
                // To remove something, what stands on it has to go first.
                let above = self.nodes.iter().filter(|(_, node)| node.needs.contains(&key));
                open.extend(
                    above.map(|(address, _)| address.clone()).filter(|it| !keep.contains(it)),
                );
            } else if let Some(node) = self.nodes.get(&key) {
                open.extend(node.needs.iter().filter(|address| !keep.contains(*address)).cloned());
            }
            keep.insert(key);
        }
        // Reads are cheap and tell where things are, so they stay.
        let keeps = |key: &Key| keep.contains(key) || key.kind.read_only();
        let mut narrowed = self.clone();
        narrowed.nodes.retain(|key, _| keeps(key));
        for node in narrowed.nodes.values_mut() {
            node.needs.retain(|address| keeps(address));
        }
        narrowed
    }
}
