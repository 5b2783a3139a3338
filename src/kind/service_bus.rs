//! The Service Bus companions of extensions of the 2021-11-preview: namespace, two topics and a
//! subscription of each (azure-cli-extensions, AzureMLKubernetes.py).

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::api_version;
use super::relay::{arm_id, companion, put_or_delete, removable_companion};
use super::{
    Change, Document, Impact, Kind, Live, Read, Readiness, Request, Rules, Snapshot, Target,
    provisioning_readiness,
};
use crate::kind::fields::Same;
use crate::model::Key;

/// Provider and type of a Service Bus namespace.
pub const SERVICE_BUS: &str = "Microsoft.ServiceBus/namespaces";

/// A Service Bus namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceBusNamespace {
    /// The address.
    pub key: Key,
    /// Its Azure id.
    pub id: String,
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceBusTopic {
    /// The address.
    pub key: Key,
    /// Its Azure id.
    pub id: String,
    /// The namespace around it.
    pub parent: Key,
}

/// A subscription of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceBusSubscription {
    /// The address.
    pub key: Key,
    /// Its Azure id.
    pub id: String,
    /// The namespace around it.
    pub parent: Key,
}

impl Kind for ServiceBusNamespace {
    fn key(&self) -> &Key {
        &self.key
    }

    fn target(&self) -> Target {
        Target::Arm(arm_id(&self.id))
    }

    fn reads(&self) -> Vec<Read> {
        vec![Read::Arm { id: arm_id(&self.id), api_version: api_version(SERVICE_BUS) }]
    }

    fn want(&self, world: &Snapshot) -> Document {
        let mut body = companion(world, &self.key.scope);
        body["sku"] = json!({"name": "Standard", "tier": "Standard"});
        Document::plain(body)
    }

    fn rules(&self) -> Rules {
        Rules {
            same: &[("/location", Same::Location), ("/sku/*", Same::IgnoringCase)],
            immutable: &["/location"],
            ..Rules::default()
        }
    }

    fn readiness(&self, _want: &Document, live: &Live) -> Readiness {
        provisioning_readiness(live)
    }

    fn requests(&self, change: &Change<'_>) -> Vec<Request> {
        vec![put_or_delete(&self.id, api_version(SERVICE_BUS), change)]
    }

    fn removal_impact(&self) -> Impact {
        Impact::DisruptsJobsAndEndpoints
    }

    fn removable(&self, live: &Live) -> Result<(), String> {
        removable_companion(live)
    }
}

impl Kind for ServiceBusTopic {
    fn key(&self) -> &Key {
        &self.key
    }

    fn target(&self) -> Target {
        Target::Arm(arm_id(&self.id))
    }

    fn reads(&self) -> Vec<Read> {
        vec![Read::Arm { id: arm_id(&self.id), api_version: api_version(SERVICE_BUS) }]
    }

    fn want(&self, _world: &Snapshot) -> Document {
        Document::plain(json!({
            "properties": {"maxSizeInMegabytes": 5120, "defaultMessageTimeToLive": "P60D"},
        }))
    }

    fn rules(&self) -> Rules {
        Rules {
            same: &[("/properties/defaultMessageTimeToLive", Same::Duration)],
            ..Rules::default()
        }
    }

    fn readiness(&self, _want: &Document, live: &Live) -> Readiness {
        provisioning_readiness(live)
    }

    fn requests(&self, change: &Change<'_>) -> Vec<Request> {
        vec![put_or_delete(&self.id, api_version(SERVICE_BUS), change)]
    }

    fn removal_impact(&self) -> Impact {
        Impact::DisruptsJobsAndEndpoints
    }
}

impl Kind for ServiceBusSubscription {
    fn key(&self) -> &Key {
        &self.key
    }

    fn target(&self) -> Target {
        Target::Arm(arm_id(&self.id))
    }

    fn reads(&self) -> Vec<Read> {
        vec![Read::Arm { id: arm_id(&self.id), api_version: api_version(SERVICE_BUS) }]
    }

    fn want(&self, _world: &Snapshot) -> Document {
        Document::plain(json!({"properties": {
            "maxDeliveryCount": 1, "defaultMessageTimeToLive": "P14D", "lockDuration": "PT30S",
        }}))
    }

    fn rules(&self) -> Rules {
        Rules {
            same: &[
                ("/properties/defaultMessageTimeToLive", Same::Duration),
                ("/properties/lockDuration", Same::Duration),
            ],
            ..Rules::default()
        }
    }

    fn readiness(&self, _want: &Document, live: &Live) -> Readiness {
        provisioning_readiness(live)
    }

    fn requests(&self, change: &Change<'_>) -> Vec<Request> {
        vec![put_or_delete(&self.id, api_version(SERVICE_BUS), change)]
    }

    fn removal_impact(&self) -> Impact {
        Impact::DisruptsJobsAndEndpoints
    }
}
