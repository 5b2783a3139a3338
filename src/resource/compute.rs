//! A Kubernetes compute: the cluster attached to a workspace
//! (Azure REST: MachineLearningServices computes; AML docs: attach Kubernetes to workspace).

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    Change, Document, FieldChange, Impact, Kind, Live, Method, Read, Readiness, Request, Rules,
    Snapshot, Target, Verb, provisioning_readiness,
};
use crate::catalog::ArmType;
use crate::model::{ArmId, Json, Key, Pointer, Value};
use crate::resource::fields::Same;

/// The identity of a compute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ComputeIdentity {
    /// None.
    None,
    /// One that Azure makes.
    SystemAssigned,
    /// An existing one: its Azure id. Azure ML uses one only.
    UserAssigned(ArmId),
}

/// A compute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compute {
    /// The address.
    pub key: Key,
    /// Its Azure id.
    pub id: ArmId,
    /// The workspace it is in.
    pub workspace: Key,
    /// Azure id of the cluster.
    pub cluster_id: ArmId,
    /// Namespace of the workloads.
    pub namespace: String,
    /// Its identity.
    pub identity: ComputeIdentity,
}

impl Kind for Compute {
    fn key(&self) -> &Key {
        &self.key
    }

    fn target(&self) -> Target {
        Target::Arm(self.id.clone())
    }

    fn reads(&self) -> Vec<Read> {
        let api_version = ArmType::COMPUTES.api_version;
        vec![Read::Arm { id: self.id.clone(), api_version }]
    }

    fn want(&self, world: &Snapshot) -> Document {
        let identity = match &self.identity {
            ComputeIdentity::None => json!({"type": "None"}),
            ComputeIdentity::SystemAssigned => json!({"type": "SystemAssigned"}),
            ComputeIdentity::UserAssigned(id) => {
                json!({"type": "UserAssigned", "userAssignedIdentities": {id.as_str(): {}}})
            }
        };
        Document::plain(json!({
            "location": world.text(&self.workspace, "/location"),
            "identity": identity,
            "properties": {
                "computeType": "Kubernetes",
                "resourceId": self.cluster_id,
                "properties": {"namespace": self.namespace},
            },
        }))
    }

    fn rules(&self) -> Rules {
        Rules {
            same: &[
                ("/location", Same::Location),
                ("/identity/type", Same::IgnoringCase),
                ("/properties/computeType", Same::IgnoringCase),
                ("/properties/resourceId", Same::IgnoringCase),
            ],
            whole: &["/identity/userAssignedIdentities"],
            // Azure ML accepts such changes and does not carry them out
            // (AML docs: troubleshoot Kubernetes compute); only a new attach does.
            immutable: &["/location", "/properties"],
            ..Rules::default()
        }
    }

    fn readiness(&self, _want: &Document, live: &Live) -> Readiness {
        provisioning_readiness(live)
    }

    /// A compute without identity has none in its document, or one of type `None`.
    fn shown(&self, live: &Live) -> Option<Json> {
        let mut document = live.document()?.clone();
        if document.pointer("/identity/type").is_none_or(Json::is_null) {
            document["identity"] = json!({"type": "None"});
        }
        Some(document)
    }

    fn requests(&self, change: &Change<'_>) -> Vec<Request> {
        let api_version = ArmType::COMPUTES.api_version;
        let path = self.id.to_string();
        vec![match change.verb {
            Verb::Create | Verb::Update => {
                let mut body = change.want.body.clone();
                if change.verb == Verb::Create
                    && let (ComputeIdentity::None, Value::Object(map)) = (&self.identity, &mut body)
                {
                    map.remove("identity");
                }
                let method = Method::Put;
                Request::Arm { method, path, api_version, query: None, body: Some(body) }
            }
            // Detach, never Delete: the cluster is not ours to remove.
            Verb::Delete => Request::Arm {
                method: Method::Delete,
                path,
                api_version,
                query: Some("underlyingResourceAction=Detach"),
                body: None,
            },
        }]
    }

    fn impact(&self, change: &FieldChange) -> Impact {
        if self.rules().is_immutable(&change.path) {
            Impact::NotInPlace
        } else {
            Impact::DisruptsJobsAndEndpoints
        }
    }

    fn removal_impact(&self) -> Impact {
        Impact::DisruptsJobsAndEndpoints
    }

    /// A failed attach stays as it is until it is detached.
    fn replaced_when_failed(&self) -> bool {
        true
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(25 * 60)
    }

    fn declared_at(&self, wire: &Pointer) -> Option<Pointer> {
        match wire.tokens().first()?.as_str() {
            "identity" => Some(wire.clone()),
            "properties" if wire.tokens().last()? == "namespace" => {
                Some(Pointer::root().join("namespace"))
            }
            "location" => Some(Pointer::root().join("workspace")),
            _ => None,
        }
    }
}
