//! Companions: the Relay, Service Bus and Log Analytics resources that `az k8s-extension create`
//! makes behind the user's back, in the cluster's resource group and under names derived from it
//! (azure-cli-extensions, AzureMLKubernetes.py). They differ in their documents only.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    About, Change, Document, Family, FieldChange, Impact, Kind, Live, Named, Read, Readiness,
    Request, Rules, Snapshot, Target, provisioning_readiness,
};
use crate::catalog::{self, ArmType};
use crate::language::DriftClass;
use crate::model::{ArmId, Json, Key, KindName};
use crate::resource::fields::{Same, diff};
use crate::resource::update::{self, Takes};

const ABOUT: About = About {
    class: DriftClass::Companion,
    family: Family::Companion,
    set_aside: |key, _| Some((key.kind.as_str().to_owned(), "made by another tool in another way")),
    ..About::AZURE
};
pub(super) const RELAY_NAMESPACE: About =
    About { named: Named::ByCluster, ..ABOUT }.within(20, 180);
pub(super) const RELAY_HYBRID_CONNECTION: About =
    About { stands_on: &[KindName::RelayNamespace], ..ABOUT };
pub(super) const RELAY_AUTHORIZATION_RULE: About =
    About { stands_on: &[KindName::RelayHybridConnection], ..ABOUT };
pub(super) const SERVICE_BUS_NAMESPACE: About =
    About { named: Named::ByCluster, ..ABOUT }.within(20, 180);
pub(super) const SERVICE_BUS_TOPIC: About =
    About { stands_on: &[KindName::ServiceBusNamespace], ..ABOUT };
pub(super) const SERVICE_BUS_SUBSCRIPTION: About =
    About { stands_on: &[KindName::ServiceBusTopic], ..ABOUT };
pub(super) const LOG_ANALYTICS_WORKSPACE: About =
    About { named: Named::ByCluster, ..ABOUT }.within(5, 60);

/// A companion of an extension; its key says of which kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Companion {
    /// The address.
    pub key: Key,
    /// Its Azure id.
    pub id: ArmId,
}

impl Companion {
    fn api_version(&self) -> &'static str {
        let arm_type = match self.key.kind {
            KindName::LogAnalyticsWorkspace => ArmType::LOG_ANALYTICS,
            KindName::ServiceBusNamespace
            | KindName::ServiceBusTopic
            | KindName::ServiceBusSubscription => ArmType::SERVICE_BUS,
            _ => ArmType::RELAY,
        };
        arm_type.api_version
    }

    /// The id of the namespace around what is inside one.
    fn around(&self) -> ArmId {
        self.id.up_to("namespaces")
    }

    /// Namespaces and workspaces stand by themselves: they have a place and carry the tag.
    const fn stands_alone(&self) -> bool {
        Self::is_companion(self.key.kind)
    }
}

impl Companion {
    /// Whether a kind is one of a companion.
    pub(super) const fn is_companion(kind: KindName) -> bool {
        matches!(
            kind,
            KindName::RelayNamespace
                | KindName::ServiceBusNamespace
                | KindName::LogAnalyticsWorkspace
        )
    }

    /// The name that `az` gives a companion of a cluster.
    pub(super) fn name_for(kind: KindName, cluster: &ArmId) -> String {
        let group = cluster.resource_group().unwrap_or_default();
        let name = match kind {
            KindName::RelayNamespace => catalog::relay_namespace_name,
            KindName::ServiceBusNamespace => catalog::service_bus_namespace_name,
            _ => catalog::log_analytics_workspace_name,
        };
        name(cluster.name(), cluster.subscription(), group)
    }

    /// Companions that stand alone: type in Azure, and kind.
    pub(super) const KINDS: [(ArmType, KindName); 3] = [
        (ArmType::RELAY, KindName::RelayNamespace),
        (ArmType::SERVICE_BUS, KindName::ServiceBusNamespace),
        (ArmType::LOG_ANALYTICS, KindName::LogAnalyticsWorkspace),
    ];

    /// The kind of a companion that stands alone, by its type in Azure.
    pub(super) fn kind_of(resource_type: &str) -> Option<KindName> {
        let found =
            Self::KINDS.into_iter().find(|it| it.0.name.eq_ignore_ascii_case(resource_type));
        found.map(|(_, kind)| kind)
    }
}

impl Kind for Companion {
    fn key(&self) -> &Key {
        &self.key
    }

    fn mark_at(&self) -> Option<super::mark::MarkAt> {
        self.stands_alone().then_some(super::mark::TAG)
    }

    fn target(&self) -> Target {
        Target::Arm(self.id.clone())
    }

    /// Itself, and last the namespace or workspace that carries the proving tag.
    fn reads(&self) -> Vec<Read> {
        let read = |id: ArmId| Read::Arm { id, api_version: self.api_version() };
        let own = read(self.id.clone());
        if self.stands_alone() { vec![own] } else { vec![own, read(self.around())] }
    }

    fn want(&self, world: &Snapshot) -> Document {
        let properties = match self.key.kind {
            KindName::RelayHybridConnection => json!({"requiresClientAuthorization": true}),
            KindName::RelayAuthorizationRule => {
                json!({"rights": catalog::HYBRID_CONNECTION_RULE_RIGHTS})
            }
            KindName::ServiceBusTopic => json!({
                "maxSizeInMegabytes": catalog::TOPIC_SIZE_MB,
                "defaultMessageTimeToLive": catalog::TOPIC_TTL,
            }),
            KindName::ServiceBusSubscription => json!({
                "maxDeliveryCount": catalog::SUBSCRIPTION_MAX_DELIVERY,
                "defaultMessageTimeToLive": catalog::SUBSCRIPTION_TTL,
                "lockDuration": catalog::SUBSCRIPTION_LOCK,
            }),
            _ => {
                let cluster = world.cluster(&self.key.scope);
                let location = cluster.and_then(|it| it.pointer("/location")?.as_str());
                let (tag, value) = catalog::COMPANION_TAG;
                let mut body = json!({"location": location, "tags": {tag: value}});
                if self.key.kind == KindName::ServiceBusNamespace {
                    body["sku"] = json!({"name": "Standard", "tier": "Standard"});
                }
                return Document::plain(body);
            }
        };
        Document::plain(json!({ "properties": properties }))
    }

    fn rules(&self) -> Rules {
        Rules {
            same: &[
                ("/location", Same::Location),
                ("/sku/*", Same::IgnoringCase),
                ("/properties/rights", Same::Set),
                ("/properties/defaultMessageTimeToLive", Same::Duration),
                ("/properties/lockDuration", Same::Duration),
            ],
            immutable: &["/location", "/properties/requiresClientAuthorization"],
            ..Rules::default()
        }
    }

    fn readiness(&self, _want: &Document, live: &Live) -> Readiness {
        provisioning_readiness(live)
    }

    fn requests(&self, change: &Change<'_>) -> Vec<Request> {
        // What is inside a namespace has no PATCH (Azure REST: Relay, Service Bus).
        let takes = if self.stands_alone() { Takes::Patch } else { Takes::Put };
        let (path, version) = (self.id.to_string(), self.api_version());
        vec![update::request(change, takes, &self.rules(), path, version)]
    }

    fn differences(&self, want: &Document, live: &Live) -> Vec<FieldChange> {
        match (live.document(), self.used_as_it_is(live)) {
            (Some(document), None) => diff(&want.body, document, &self.rules()),
            _ => Vec::new(),
        }
    }

    /// `az` makes a companion only where there is none and never writes one that is there.
    fn used_as_it_is(&self, live: &Live) -> Option<String> {
        live.document()?;
        self.removable(live).err()
    }

    fn removal_impact(&self) -> Impact {
        match self.key.kind {
            KindName::LogAnalyticsWorkspace => Impact::Safe,
            _ => Impact::DisruptsJobsAndEndpoints,
        }
    }

    /// Only the tag, its own or that of the namespace around it, proves that it was made for an
    /// extension.
    fn removable(&self, live: &Live) -> Result<(), String> {
        let (tag, value) = catalog::COMPANION_TAG;
        let around = live.0.last().and_then(Option::as_ref);
        let tags = around.and_then(|it| it.pointer("/tags"));
        if tags.and_then(|it| it.get(tag)).and_then(Json::as_str) == Some(value) {
            return Ok(());
        }
        Err(format!("no tag `{tag}: {value}` proves that it is a companion"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_inside_a_foreign_namespace_is_not_removed() {
        let namespace = ArmId::resource("s", "r", ArmType::RELAY.name, "n");
        let key = Key::new("edge", KindName::RelayHybridConnection, "n/c");
        let companion = Companion { key, id: namespace.child("hybridConnections", "c") };
        assert_eq!(companion.around(), namespace);
        let live = |tags: Json| Live(vec![Some(json!({})), Some(json!({"tags": tags}))]);
        assert!(companion.removable(&live(json!({}))).is_err());
        let (tag, value) = catalog::COMPANION_TAG;
        assert_eq!(companion.removable(&live(json!({tag: value}))), Ok(()));
    }
}
