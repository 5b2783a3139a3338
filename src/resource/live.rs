//! What was read: live documents of resources, and what to read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::rights::ResourceAttributes;
use crate::catalog;
use crate::model::{Api, ArmId, Json, Key, KindName, Later, ObjectRef};

/// One read; which cluster or cloud it goes to follows from the resource's scope.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Read {
    /// A resource or other document in Azure.
    Arm {
        /// Its path.
        id: ArmId,
        /// The API version.
        api_version: &'static str,
    },
    /// A list in Azure; the path may carry a query.
    ArmList {
        /// The path of the collection.
        path: String,
        /// The API version.
        api_version: &'static str,
    },
    /// An object in the cluster.
    Object(ObjectRef),
    /// A collection in the cluster; its name is empty.
    Objects(ObjectRef),
    /// Whether the caller may do something in the cluster: `true` or `false`.
    Review(ResourceAttributes),
}

impl Read {
    /// Which API answers.
    #[must_use]
    pub const fn api(&self) -> Api {
        match self {
            Self::Arm { .. } | Self::ArmList { .. } => Api::Azure,
            Self::Object(_) | Self::Objects(_) | Self::Review(_) => Api::Kubernetes,
        }
    }
}

/// What the reads of one resource gave, in their order. A list is a JSON array.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Live(pub Vec<Option<Json>>);

impl Live {
    /// The resource itself.
    #[must_use]
    pub fn document(&self) -> Option<&Json> {
        self.0.first().and_then(Option::as_ref)
    }

    /// The items of the list that read number `index` gave.
    pub fn items(&self, index: usize) -> impl Iterator<Item = &Json> {
        let list = self.0.get(index).and_then(Option::as_ref).and_then(Json::as_array);
        list.into_iter().flatten()
    }

    /// A text in the resource itself.
    #[must_use]
    pub fn text(&self, pointer: &str) -> Option<&str> {
        self.document()?.pointer(pointer)?.as_str()
    }
}

/// Why something could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(deny_unknown_fields)]
#[error("cannot read {what}: {message}")]
pub struct ReadError {
    /// What was read.
    pub what: String,
    /// The API that was asked.
    pub api: Api,
    /// HTTP status, where there was an answer.
    pub status: Option<u16>,
    /// The service's own code.
    pub code: Option<String>,
    /// What went wrong, without secrets.
    pub message: String,
    /// The directory to sign in to instead, where Azure names it.
    #[serde(default)]
    pub tenant: Option<Box<str>>,
    /// How to mend it, where the reason alone says so.
    #[serde(default)]
    pub help: Option<String>,
}

impl ReadError {
    /// How to mend it: what the reason alone says, else what is known of its code.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        let (status, code) = (self.status.unwrap_or(0), self.code.as_deref().unwrap_or_default());
        let known = || catalog::remedy(self.api, status, code, &self.message);
        self.help.clone().or_else(|| known().map(|page| page.help.clone()))
    }

    /// Whether nothing was asked for want of something on this machine, which says nothing about the
    /// service.
    #[must_use]
    pub fn is_of_here(&self) -> bool {
        self.code.as_deref() == Some("TooManyOpenFiles")
    }

    /// Whether the service gave nothing at all, so that every other read of it fails alike: silence
    /// has no code, and what cannot be used for a reason of ours has one of ours.
    #[must_use]
    pub fn is_of_all(&self) -> bool {
        let of_all = |code: &str| ["Credentials", "Kubeconfig", "SignInFailed"].contains(&code);
        self.status.is_none() && self.code.as_deref().is_none_or(of_all)
    }
}

/// Everything that was read in one run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Live state by address. What is not here was not read.
    pub live: BTreeMap<Key, Live>,
    /// What was asked for and could not be read. No address is both here and in `live`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unread: BTreeMap<Key, ReadError>,
}

impl Snapshot {
    /// Puts what was read again in the place of what was read before.
    pub fn renew(&mut self, again: Self) {
        self.unread.retain(|address, _| !again.live.contains_key(address));
        self.live.retain(|address, _| !again.unread.contains_key(address));
        self.live.extend(again.live);
        self.unread.extend(again.unread);
    }

    /// The live state of a resource; empty when it was not read.
    #[must_use]
    pub fn of(&self, key: &Key) -> Live {
        self.live.get(key).cloned().unwrap_or_default()
    }

    /// The live document of a resource.
    #[must_use]
    pub fn document(&self, key: &Key) -> Option<&Json> {
        self.live.get(key)?.document()
    }

    /// A text in the live document of a resource.
    #[must_use]
    pub fn text(&self, key: &Key, pointer: &str) -> Option<&str> {
        self.document(key)?.pointer(pointer)?.as_str()
    }

    /// A value of another resource that was read; answers to calls are not.
    #[must_use]
    pub fn known(&self, later: &Later) -> Option<Json> {
        if later.call.is_some() {
            return None;
        }
        later.at.get(self.document(&later.from)?).filter(|value| !value.is_null()).cloned()
    }

    /// Whether a resource is done, as far as what it refers to is there.
    #[must_use]
    pub fn readiness(&self, kind: &dyn super::Kind) -> super::Readiness {
        let mut want = kind.want(self);
        want.body = want.body.filled(&|later| self.known(later));
        kind.readiness(&want, &self.of(kind.key()))
    }

    /// The Azure resource of the cluster of a scope.
    #[must_use]
    pub fn cluster(&self, scope: &str) -> Option<&Json> {
        self.of_kind(scope, KindName::Cluster).next()?.document()
    }

    /// Whether a resource of this kind in a scope could not be read.
    #[must_use]
    pub fn could_not_read(&self, scope: &str, kind: KindName) -> bool {
        let first = Key::new(scope, kind, "");
        let next = self.unread.range(first..).next();
        next.is_some_and(|(key, _)| key.kind == kind && key.scope == scope)
    }

    /// The live state of every resource of one kind in a scope.
    pub fn of_kind(&self, scope: &str, kind: KindName) -> impl Iterator<Item = &Live> {
        // Addresses are ordered by scope and kind, so a fleet is not searched as a whole.
        let first = Key::new(scope, kind, "");
        let scope = first.scope.clone();
        let here = self.live.range(first..);
        here.take_while(move |(key, _)| key.kind == kind && key.scope == scope).map(|it| it.1)
    }
}
