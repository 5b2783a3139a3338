//! The Azure Relay companions: namespace, hybrid connection and its authorization rule.
//!
//! `az k8s-extension create` makes them behind the user's back, in the cluster's resource group
//! and under names derived from it (azure-cli-extensions, AzureMLKubernetes.py).

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::api_version;
use super::{
    Change, Document, Impact, Kind, Live, Method, Read, Readiness, Request, Rules, Snapshot,
    Target, Verb, provisioning_readiness,
};
use crate::catalog::COMPANION_TAG;
use crate::kind::fields::Same;
use crate::model::{ArmId, Json, Key};

/// Provider and type of a Relay namespace.
pub const RELAY: &str = "Microsoft.Relay/namespaces";

/// A Relay namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayNamespace {
    /// The address.
    pub key: Key,
    /// Its Azure id.
    pub id: String,
}

/// A hybrid connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayHybridConnection {
    /// The address.
    pub key: Key,
    /// Its Azure id.
    pub id: String,
    /// The namespace it is in.
    pub parent: Key,
}

/// An authorization rule of a hybrid connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayAuthorizationRule {
    /// The address.
    pub key: Key,
    /// Its Azure id.
    pub id: String,
    /// The namespace around it.
    pub parent: Key,
}

/// The id of a resource whose id was built from checked parts.
pub(super) fn arm_id(id: &str) -> ArmId {
    ArmId::parse(id).unwrap_or_else(|_| ArmId::resource_group_of("", id))
}

/// The wanted document of a companion: where the cluster is, with the tag that proves it is ours.
pub(super) fn companion(world: &Snapshot, scope: &str) -> Json {
    let location = world.cluster(scope).and_then(|it| it.pointer("/location")?.as_str());
    let (tag, value) = COMPANION_TAG;
    json!({"location": location, "tags": {tag: value}})
}

/// A companion may be removed only when its tag proves that it was made for an extension.
pub(super) fn removable_companion(live: &Live) -> Result<(), String> {
    let (tag, value) = COMPANION_TAG;
    let tags = live.document().and_then(|it| it.pointer("/tags"));
    match tags.and_then(|it| it.get(tag)).and_then(Json::as_str) {
        Some(it) if it == value => Ok(()),
        _ => {
            Err(format!("it does not carry the tag `{tag}: {value}` that proves it is a companion"))
        }
    }
}

/// PUT of the wanted document, or DELETE.
pub(super) fn put_or_delete(id: &str, api_version: &'static str, change: &Change<'_>) -> Request {
    let (method, body) = match change.verb {
        Verb::Create | Verb::Update => (Method::Put, Some(change.want.body.clone())),
        Verb::Delete => (Method::Delete, None),
    };
    Request::Arm { method, path: id.to_owned(), api_version, query: None, body }
}

impl Kind for RelayNamespace {
    fn key(&self) -> &Key {
        &self.key
    }

    fn target(&self) -> Target {
        Target::Arm(arm_id(&self.id))
    }

    fn reads(&self) -> Vec<Read> {
        vec![Read::Arm { id: arm_id(&self.id), api_version: api_version(RELAY) }]
    }

    fn want(&self, world: &Snapshot) -> Document {
        Document::plain(companion(world, &self.key.scope))
    }

    fn rules(&self) -> Rules {
        Rules {
            same: &[("/location", Same::Location)],
            immutable: &["/location"],
            ..Rules::default()
        }
    }

    fn readiness(&self, _want: &Document, live: &Live) -> Readiness {
        provisioning_readiness(live)
    }

    fn requests(&self, change: &Change<'_>) -> Vec<Request> {
        vec![put_or_delete(&self.id, api_version(RELAY), change)]
    }

    fn removal_impact(&self) -> Impact {
        Impact::DisruptsJobsAndEndpoints
    }

    fn removable(&self, live: &Live) -> Result<(), String> {
        removable_companion(live)
    }
}

impl Kind for RelayHybridConnection {
    fn key(&self) -> &Key {
        &self.key
    }

    fn target(&self) -> Target {
        Target::Arm(arm_id(&self.id))
    }

    fn reads(&self) -> Vec<Read> {
        vec![Read::Arm { id: arm_id(&self.id), api_version: api_version(RELAY) }]
    }

    fn want(&self, _world: &Snapshot) -> Document {
        Document::plain(json!({"properties": {"requiresClientAuthorization": true}}))
    }

    fn rules(&self) -> Rules {
        Rules { immutable: &["/properties/requiresClientAuthorization"], ..Rules::default() }
    }

    fn readiness(&self, _want: &Document, live: &Live) -> Readiness {
        provisioning_readiness(live)
    }

    fn requests(&self, change: &Change<'_>) -> Vec<Request> {
        vec![put_or_delete(&self.id, api_version(RELAY), change)]
    }

    fn removal_impact(&self) -> Impact {
        Impact::DisruptsJobsAndEndpoints
    }
}

impl Kind for RelayAuthorizationRule {
    fn key(&self) -> &Key {
        &self.key
    }

    fn target(&self) -> Target {
        Target::Arm(arm_id(&self.id))
    }

    fn reads(&self) -> Vec<Read> {
        vec![Read::Arm { id: arm_id(&self.id), api_version: api_version(RELAY) }]
    }

    fn want(&self, _world: &Snapshot) -> Document {
        Document::plain(json!({"properties": {"rights": ["Manage", "Send", "Listen"]}}))
    }

    fn rules(&self) -> Rules {
        Rules { same: &[("/properties/rights", Same::Set)], ..Rules::default() }
    }

    fn readiness(&self, _want: &Document, live: &Live) -> Readiness {
        provisioning_readiness(live)
    }

    fn requests(&self, change: &Change<'_>) -> Vec<Request> {
        vec![put_or_delete(&self.id, api_version(RELAY), change)]
    }

    fn removal_impact(&self) -> Impact {
        Impact::DisruptsJobsAndEndpoints
    }
}
