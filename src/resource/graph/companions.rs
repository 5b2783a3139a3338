//! The companions of an extension: Relay, Service Bus and Log Analytics, with exactly the names
//! that `az` gives them.

use super::build::{GraphBuilder, catalog_profile, profile};
use crate::catalog::{self, ArmType, ProfileName, RegistrationQuery, Registrations};
use crate::language::{ClusterSpec, ClusterType, Setting};
use crate::model::{ArmId, Key, KindName};
use crate::resource;

/// Which companions `az` would make: Relay, Service Bus, Log Analytics.
pub(super) fn companions_wanted(spec: &ClusterSpec) -> (bool, bool, bool) {
    let Some(extension) = &spec.extension else { return (false, false, false) };
    let setting = |key: &str| extension.configuration_settings.get(key).map(Setting::wire);
    let is = |key: &str, word: &str| setting(key).is_some_and(|it| it.eq_ignore_ascii_case(word));
    let brings = |key: &str| {
        extension.configuration_protected_settings.contains_key(key)
            || extension.configuration_settings.contains_key(key)
    };
    let aks = spec.cluster.kind == ClusterType::ManagedClusters;
    let (relay, bus) = match catalog_profile(extension.profile) {
        ProfileName::Preview => (true, true),
        ProfileName::Ga => (
            !is("relayserver.enabled", "false")
                && (!aks || setting("relayserver.enabled").is_some()),
            setting("servicebus.enabled").is_some() && !is("servicebus.enabled", "false"),
        ),
    };
    (
        relay && !brings("relayServerConnectionString"),
        bus && !brings("serviceBusConnectionString"),
        is("logAnalyticsWS", "true") && !brings("azure_log_analytics.connection_string"),
    )
}

/// Features and providers that a cluster needs registered, each with why.
#[must_use]
pub fn registrations(spec: &ClusterSpec) -> Registrations {
    let (relay, service_bus, log_analytics) = companions_wanted(spec);
    let mut needed = catalog::registrations(&RegistrationQuery {
        profile: profile(spec),
        aks: spec.cluster.kind == ClusterType::ManagedClusters,
        extension: spec.extension.is_some(),
        relay,
        service_bus,
        log_analytics,
        computes: !spec.computes.is_empty(),
    });
    needed.features.retain(|registration| registration.required);
    needed.providers.retain(|registration| registration.required);
    needed
}

impl GraphBuilder<'_> {
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
