//! Derived settings: what `az` adds by itself, computed fact by fact so that one missing fact does
//! not hide the others, and each with its reason.

use std::collections::BTreeMap;

use super::Extension;
use crate::catalog;
use crate::model::{Encoding, Json, Key, Later, Pointer, Secret, Value};
use crate::resource::Snapshot;
use crate::resource::scc_grant::is_openshift;

/// A setting that the user did not write.
pub(super) struct Derived {
    pub(super) key: &'static str,
    pub(super) value: Value,
    pub(super) protected: bool,
    pub(super) reason: String,
}

/// PEM files travel base64-encoded under the chart's keys.
const PEM: [(&str, &str); 2] =
    [("sslCertPemFile", "scoringFe.sslCert"), ("sslKeyPemFile", "scoringFe.sslKey")];

/// The key under which a declared protected setting travels.
pub(super) fn protected_key(declared: &str) -> String {
    let pem = PEM.iter().find(|(text, _)| *text == declared);
    pem.map_or(declared, |(_, chart)| chart).to_owned()
}

/// The declared key of a key that travels.
pub(super) fn declared_key(wire: &str) -> &str {
    PEM.iter().find(|(_, text)| *text == wire).map_or(wire, |(declared, _)| declared)
}

/// The value under which a declared protected setting travels.
pub(super) fn protected_value(declared: &str, secret: &Secret) -> Value {
    let encoding = match PEM.iter().position(|(text, _)| *text == declared) {
        // Vaults, and often Secrets, hold certificate and key in one text.
        Some(0) if secret.source.is_remote() => Encoding::Certificates,
        Some(_) if secret.source.is_remote() => Encoding::PrivateKey,
        Some(_) => Encoding::Base64,
        None => Encoding::Plain,
    };
    Value::Secret(secret.encoded(encoding))
}

/// Settings that a fact of the cluster decides; the others follow from the manifest alone.
pub(super) const OF_CLUSTER: [&str; 6] = [
    "location",
    "jobSchedulerLocation",
    "domain",
    "clusterPurpose",
    "inferenceRouterHA",
    "openshift",
];

/// What a fact of the cluster makes of a setting; `None` where it makes none.
type Derivation = (&'static str, Option<String>);

struct Deriver<'a> {
    extension: &'a Extension,
    /// The settings of the extension that is there: what was decided when it was made.
    live: Option<&'a Json>,
    found: BTreeMap<&'static str, Derived>,
}

impl Deriver<'_> {
    /// What was decided when the extension was made, told by its settings; without one, what is
    /// true now. A fact of the cluster that changes later decides nothing any more, as with `az`,
    /// which derives in `create` only.
    fn decided<T>(&self, now: T, others: Vec<T>, gives: &dyn Fn(&T) -> Vec<Derivation>) -> T {
        let Some(live) = self.live else { return now };
        let score = |item: &T| {
            let told = gives(item).into_iter().filter(|(key, value)| {
                let found = live.get(*key).and_then(Json::as_str);
                let profile = self.extension.profile();
                !self.is_declared(key)
                    && catalog::same_setting(profile, key, found, value.as_deref())
            });
            told.count()
        };
        let mut best = (score(&now), now);
        for other in others {
            let score = score(&other);
            if score > best.0 {
                best = (score, other);
            }
        }
        best.1
    }

    fn is_declared(&self, key: &str) -> bool {
        self.extension.settings.contains_key(key) || self.extension.protected.contains_key(key)
    }

    /// Adds a setting unless the user wrote it.
    fn add(&mut self, key: &'static str, value: impl Into<Value>) {
        if !self.is_declared(key) {
            self.force(key, value, false);
        }
    }

    fn add_secret(&mut self, key: &'static str, from: &Key, at: &str, call: &str) {
        if !self.is_declared(key) {
            let later =
                Later { from: from.clone(), at: Pointer::parse(at), call: Some(call.to_owned()) };
            self.force(key, later, true);
        }
    }

    fn force(&mut self, key: &'static str, value: impl Into<Value>, protected: bool) {
        let reason = catalog::derived_reason(key).to_owned();
        self.found.insert(key, Derived { key, value: value.into(), protected, reason });
    }
}

/// Every derived setting, in key order.
pub(super) fn derive(extension: &Extension, world: &Snapshot, live: Option<&Json>) -> Vec<Derived> {
    let live = live.and_then(|value| value.pointer(super::SETTINGS));
    let mut deriver = Deriver { extension, live, found: BTreeMap::new() };
    identity_of_cluster(&mut deriver, world);
    sizing(&mut deriver, world);
    switches(&mut deriver, world);
    router(&mut deriver);
    companions(&mut deriver);
    deriver.found.into_values().collect()
}

fn identity_of_cluster(deriver: &mut Deriver<'_>, world: &Snapshot) {
    let extension = deriver.extension;
    let id = extension.setting("cluster_name").unwrap_or(extension.cluster_id.as_str()).to_owned();
    deriver.add("cluster_name", extension.cluster_id.as_str());
    deriver.add("clusterId", id.as_str());
    deriver.add("prometheus.prometheusSpec.externalLabels.cluster_name", id.as_str());
    deriver.add("cluster_name_friendly", extension.cluster_name());
    if let Some(location) = region(deriver, world) {
        deriver.add("location", location.as_str());
        deriver.add("jobSchedulerLocation", location.as_str());
        // `az` reads its own misspelling `doamin` and overwrites `domain`; we honour both.
        let domain = extension
            .setting("doamin")
            .map_or_else(|| format!("{location}{DOMAIN}"), str::to_owned);
        deriver.add("domain", domain);
    }
}

const DOMAIN: &str = ".cloudapp.azure.com";

/// The region of the cluster when the extension was made.
fn region(deriver: &Deriver<'_>, world: &Snapshot) -> Option<String> {
    let cluster = world.cluster(&deriver.extension.key.scope)?;
    let now = crate::resource::fields::location(cluster.pointer("/location")?.as_str()?);
    let told = ["location", "jobSchedulerLocation", "domain"].iter().filter_map(|key| {
        let text = deriver.live?.get(*key)?.as_str()?;
        Some(text.strip_suffix(DOMAIN).unwrap_or(text).to_owned())
    });
    let told = told.filter(|it| !it.is_empty()).collect();
    Some(deriver.decided(now, told, &|text| {
        vec![
            ("location", Some(text.clone())),
            ("jobSchedulerLocation", Some(text.clone())),
            ("domain", Some(format!("{text}{DOMAIN}"))),
        ]
    }))
}

/// Nodes that Azure knows of; `None` just after connecting, when the agents have not reported.
fn node_count(extension: &Extension, world: &Snapshot) -> Option<i64> {
    let cluster = world.cluster(&extension.key.scope)?;
    if extension.aks {
        let pools = cluster.pointer("/properties/agentPoolProfiles")?.as_array()?;
        return Some(pools.iter().filter_map(|value| value.get("count")?.as_i64()).sum());
    }
    cluster.pointer("/properties/totalNodeCount")?.as_i64()
}

fn sizing(deriver: &mut Deriver<'_>, world: &Snapshot) {
    let extension = deriver.extension;
    if extension.ga {
        let nodes = node_count(extension, world);
        let now = nodes.is_some_and(|node| node < 3);
        let small = deriver.decided(now, vec![!now], &|small| {
            let when_small = |text: &str| small.then(|| text.to_owned());
            vec![
                ("clusterPurpose", when_small("DevTest")),
                ("inferenceRouterHA", when_small("false")),
            ]
        });
        if small {
            deriver.add("clusterPurpose", "DevTest");
            deriver.add("inferenceRouterHA", "false");
            let why = match nodes.filter(|_| now) {
                Some(nodes) => format!("{nodes} of 3 nodes"),
                None => "decided when it was installed".to_owned(),
            };
            for key in ["clusterPurpose", "inferenceRouterHA"] {
                if let Some(derived) = deriver.found.get_mut(key) {
                    derived.reason = format!("{} ({why})", derived.reason);
                }
            }
        }
    } else if extension.is_on("enableInference") {
        let small = extension.is_off("inferenceLoadBalancerHA");
        deriver.add("clusterPurpose", if small { "DevTest" } else { "FastProd" });
    }
}

fn switches(deriver: &mut Deriver<'_>, world: &Snapshot) {
    let extension = deriver.extension;
    deriver.add("enableTraining", "False");
    deriver.add("enableInference", "False");
    if !extension.ga {
        return;
    }
    let scope = &extension.key.scope;
    let now = !extension.aks && is_openshift(extension.distribution.as_deref(), world, scope);
    // What the manifest says of the distribution counts always, and AKS is none.
    let fixed = extension.aks || extension.distribution.is_some();
    let others = if fixed { Vec::new() } else { vec![!now] };
    let openshift =
        deriver.decided(now, others, &|it| vec![("openshift", it.then(|| "true".to_owned()))]);
    if openshift {
        deriver.add("openshift", "true");
    }
    deriver.add("servicebus.enabled", "false");
    deriver.add("relayserver.enabled", if extension.aks { "false" } else { "true" });
    deriver.add("nginxIngress.enabled", if extension.aks { "true" } else { "false" });
}

fn router(deriver: &mut Deriver<'_>) {
    let extension = deriver.extension;
    if !extension.is_on("enableInference") {
        return;
    }
    let is = |key: &str, value: &str| {
        extension.setting(key).is_some_and(|setting| setting.eq_ignore_ascii_case(value))
    };
    let (node_port, internal) = if extension.ga {
        let provider = is("internalLoadBalancerProvider", "azure");
        (is("inferenceRouterServiceType", "nodePort"), provider)
    } else {
        (extension.is_on("privateEndpointNodeport"), extension.is_on("privateEndpointILB"))
    };
    if node_port {
        deriver.add("scoringFe.serviceType.nodePort", "True");
    }
    if internal && !node_port {
        deriver.add("scoringFe.serviceType.internalLoadBalancer", "True");
    }
    let files = extension.protected.contains_key("sslCertPemFile")
        && extension.protected.contains_key("sslKeyPemFile");
    let insecure = extension.is_on("allowInsecureConnections");
    if extension.ga
        && !insecure
        && !files
        && let Some(secret) = extension.setting("sslSecret")
    {
        deriver.add("scoringFe.sslSecret", secret);
    }
    if extension.is_on("isAKSMigration") {
        deriver.add("scoringFe.namespace", "default");
    }
}

fn companions(deriver: &mut Deriver<'_>) {
    let extension = deriver.extension;
    let own = &extension.companions;
    if let Some(rule) = &own.relay_rule {
        for key in ["relayServerConnectionString", "relayserver.relayConnectionString"] {
            deriver.add_secret(key, rule, "/primaryConnectionString", "listKeys");
        }
        deriver.add("relayserver.hybridConnectionName", extension.cluster_name());
    } else if let Some(secret) = extension.protected.get("relayServerConnectionString") {
        // The user brought a Relay: the chart reads its own key.
        if !extension.protected.contains_key("relayserver.relayConnectionString") {
            deriver.force("relayserver.relayConnectionString", secret.clone(), true);
        }
    }
    if let Some(id) = &own.hybrid_connection_id {
        deriver.add("relayserver.hybridConnectionResourceID", id.as_str());
    }
    if let Some(bus) = &own.service_bus {
        // A named rule, so that the key does not depend on the order of a list.
        let call = "AuthorizationRules/RootManageSharedAccessKey/listKeys";
        for key in ["serviceBusConnectionString", "servicebus.connectionString"] {
            deriver.add_secret(key, bus, "/primaryConnectionString", call);
        }
        for (topic, subscription) in catalog::TOPIC_SUBSCRIPTIONS {
            let key = match topic {
                text if text.starts_with("computestate") => {
                    "servicebus.topicSubMapping.computestate-updatedby-computeprovider"
                }
                _ => "servicebus.topicSubMapping.jobstate-updatedby-computeprovider",
            };
            deriver.add(key, subscription);
        }
    }
    if let Some(id) = &own.service_bus_id {
        deriver.add("servicebus.resourceID", id.as_str());
    }
    if let Some(workspace) = &own.log_analytics {
        deriver.add("azure_log_analytics.enabled", "True");
        let customer = Later {
            from: workspace.clone(),
            at: Pointer::parse("/properties/customerId"),
            call: None,
        };
        deriver.add("azure_log_analytics.customer_id", customer);
        let key = "azure_log_analytics.connection_string";
        deriver.add_secret(key, workspace, "/primarySharedKey", "sharedKeys");
    }
}
