//! The companions of an extension: Relay, Service Bus and Log Analytics, with exactly the names
//! that `az` gives them.

use super::build::{GraphBuilder, profile};
use crate::catalog::{self, ArmType, ProfileName};
use crate::language::ClusterType;
use crate::model::{ArmId, Key, KindName};
use crate::resource;

impl GraphBuilder<'_> {
    /// Which companions `az` would make: Relay, Service Bus, Log Analytics.
    pub(super) fn companions_wanted(&self) -> (bool, bool, bool) {
        if self.spec.extension.is_none() {
            return (false, false, false);
        }
        let aks = self.spec.cluster.kind == ClusterType::ManagedClusters;
        let off = |key: &str| self.setting(key).is_some_and(|it| it.eq_ignore_ascii_case("false"));
        let (relay, bus) = match profile(self.spec) {
            ProfileName::Preview => (true, true),
            ProfileName::Ga => {
                let relay = match self.setting("relayserver.enabled") {
                    Some(_) => !off("relayserver.enabled"),
                    None => !aks,
                };
                let bus = self.setting("servicebus.enabled").is_some();
                (relay, bus && !off("servicebus.enabled"))
            }
        };
        (
            relay && !self.brings("relayServerConnectionString"),
            bus && !self.brings("serviceBusConnectionString"),
            self.is_on("logAnalyticsWS") && !self.brings("azure_log_analytics.connection_string"),
        )
    }

    pub(super) fn companions(
        &mut self,
        (relay, service_bus, log_analytics): (bool, bool, bool),
        before: &[Key],
    ) -> (resource::Companions, Vec<Key>) {
        let mut companions = resource::Companions::default();
        let mut needs = Vec::new();
        // A companion waits for its own provider and for the cluster's location, for nothing else.
        let of = |namespace: &str| -> Vec<Key> {
            let own = |address: &&Key| {
                address.kind == KindName::Cluster
                    || (address.kind == KindName::Provider && address.name == namespace)
            };
            before.iter().filter(own).cloned().collect()
        };
        if relay {
            let before = of("Microsoft.Relay");
            let rule = self.relay(&before, &mut companions);
            needs.push(rule);
        }
        if service_bus {
            let before = of("Microsoft.ServiceBus");
            needs.extend(self.service_bus(&before, &mut companions));
        }
        if log_analytics {
            let before = of("Microsoft.OperationalInsights");
            let (cluster, azure) = (&self.spec.cluster.name, &self.spec.azure);
            let (subscription, group) = (&azure.subscription, &azure.resource_group);
            let name = catalog::log_analytics_workspace_name(cluster, subscription, group);
            let id = ArmId::resource(subscription, group, ArmType::LOG_ANALYTICS.name, &name);
            let key = self.key(KindName::LogAnalyticsWorkspace, name);
            let at = "/extension/configurationSettings/logAnalyticsWS";
            let key = self.add(resource::Companion { key, id }, &before, at);
            companions.log_analytics = Some(key.clone());
            needs.push(key);
        }
        (companions, needs)
    }

    fn relay(&mut self, before: &[Key], companions: &mut resource::Companions) -> Key {
        let (cluster, azure) = (self.spec.cluster.name.clone(), &self.spec.azure);
        let (subscription, group) = (&azure.subscription, &azure.resource_group);
        let name = catalog::relay_namespace_name(&cluster, subscription, group);
        let id = ArmId::resource(subscription, group, ArmType::RELAY.name, &name);
        let connection = id.child("hybridConnections", &cluster);
        let rule = connection.child("authorizationRules", catalog::HYBRID_CONNECTION_RULE);
        let key = self.key(KindName::RelayNamespace, &name);
        let parent = self.add(resource::Companion { key, id: id.clone() }, before, "/extension");
        let key = self.key(KindName::RelayHybridConnection, format!("{name}/{cluster}"));
        let resource = resource::Companion { key, id: connection.clone() };
        let hybrid = self.add(resource, std::slice::from_ref(&parent), "/extension");
        let rule_name = format!("{name}/{cluster}/{}", catalog::HYBRID_CONNECTION_RULE);
        let key = self.key(KindName::RelayAuthorizationRule, rule_name);
        let resource = resource::Companion { key, id: rule };
        let rule = self.add(resource, &[hybrid], "/extension");
        companions.relay_rule = Some(rule.clone());
        companions.hybrid_connection_id = Some(connection);
        rule
    }

    fn service_bus(&mut self, before: &[Key], companions: &mut resource::Companions) -> Vec<Key> {
        let (cluster, azure) = (&self.spec.cluster.name, &self.spec.azure);
        let (subscription, group) = (&azure.subscription, &azure.resource_group);
        let name = catalog::service_bus_namespace_name(cluster, subscription, group);
        let id = ArmId::resource(subscription, group, ArmType::SERVICE_BUS.name, &name);
        let key = self.key(KindName::ServiceBusNamespace, &name);
        let resource = resource::Companion { key, id: id.clone() };
        let parent = self.add(resource, before, "/extension");
        let mut keys = vec![parent.clone()];
        for (topic, own) in catalog::TOPIC_SUBSCRIPTIONS {
            let topic_id = id.child("topics", topic);
            let key = self.key(KindName::ServiceBusTopic, format!("{name}/{topic}"));
            let resource = resource::Companion { key, id: topic_id.clone() };
            let topic_key = self.add(resource, std::slice::from_ref(&parent), "/extension");
            let key = self.key(KindName::ServiceBusSubscription, format!("{name}/{topic}/{own}"));
            let resource = resource::Companion { key, id: topic_id.child("subscriptions", own) };
            keys.push(self.add(resource, &[topic_key], "/extension"));
        }
        companions.service_bus = Some(parent);
        companions.service_bus_id = Some(id);
        keys
    }
}
