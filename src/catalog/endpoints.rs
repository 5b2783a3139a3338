//! Outbound endpoints that a cluster must reach, per cloud, kind of cluster, profile and scenario.

use std::sync::LazyLock;

use serde::Deserialize;

use super::{ProfileName, both_profiles, cloud, load};

/// What decides which endpoints are needed. Parts that are not known yet may be empty; hosts that
/// need them then start with `*`.
#[derive(Debug, Clone, Copy)]
pub struct EndpointQuery<'a> {
    /// `AzureCloud`, `AzureUSGovernment` or `AzureChinaCloud`; another cloud has no known hosts.
    pub cloud: &'a str,
    /// Generation of the extension.
    pub profile: ProfileName,
    /// An AKS cluster without Arc.
    pub aks: bool,
    /// Training jobs run.
    pub training: bool,
    /// Endpoints are served.
    pub inference: bool,
    /// Region of cluster and workspace.
    pub region: &'a str,
    /// Guid of the workspace.
    pub workspace: &'a str,
    /// Name of the workspace's container registry.
    pub registry: &'a str,
    /// Name of the workspace's storage account.
    pub storage: &'a str,
}

/// A host and port that must be reachable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Host name; `*` in it stands for any label and cannot be tried.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// What for.
    pub purpose: &'static str,
    /// What happens without it; may be empty.
    pub denied: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum EndpointCluster {
    Aks,
    Arc,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum EndpointScenario {
    Training,
    Inference,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EndpointFact {
    host: String,
    #[serde(default = "https")]
    port: u16,
    #[serde(default = "both_profiles")]
    profiles: Vec<ProfileName>,
    #[serde(default)]
    clouds: Vec<String>,
    cluster: Option<EndpointCluster>,
    scenario: Option<EndpointScenario>,
    purpose: String,
    #[serde(default)]
    denied: String,
}

#[derive(Deserialize)]
struct EndpointsFile {
    endpoint: Vec<EndpointFact>,
}

static FILE: LazyLock<EndpointsFile> = LazyLock::new(|| load(include_str!("endpoints.toml")));

const fn https() -> u16 {
    443
}

impl EndpointFact {
    fn applies(&self, query: &EndpointQuery<'_>) -> bool {
        let cluster = match self.cluster {
            None => true,
            Some(EndpointCluster::Aks) => query.aks,
            Some(EndpointCluster::Arc) => !query.aks,
        };
        let scenario = match self.scenario {
            None => true,
            Some(EndpointScenario::Training) => query.training,
            Some(EndpointScenario::Inference) => query.inference,
        };
        let cloud = self.clouds.is_empty() || self.clouds.iter().any(|text| text == query.cloud);
        cluster && scenario && cloud && self.profiles.contains(&query.profile)
    }
}

/// The endpoints, in the order of the public tables; empty for clouds amlplan does not know.
/// The lists are published for the public cloud; for the others its suffixes are put in.
#[must_use]
pub fn endpoints(query: &EndpointQuery<'_>) -> Vec<Endpoint> {
    let Some(cloud) = cloud(query.cloud) else { return Vec::new() };
    let host = |address: &'static str| address.trim_start_matches("https://");
    let or_any = |text| if str::is_empty(text) { "*" } else { text };
    let parts = [
        ("{region}", or_any(query.region)),
        ("{workspace}", or_any(query.workspace)),
        ("{registry}", or_any(query.registry)),
        ("{storage}", or_any(query.storage)),
        ("{arm}", host(&cloud.resource_manager)),
        ("{login}", host(&cloud.authority)),
        ("{service_bus}", &cloud.service_bus),
        ("{registry_suffix}", &cloud.registry),
        ("{storage_suffix}", &cloud.storage),
        ("{ml}", &cloud.machine_learning),
    ];
    let applying = FILE.endpoint.iter().filter(|endpoint_fact| endpoint_fact.applies(query));
    applying
        .map(|endpoint_fact| {
            let filled = |host: String, (name, value): &(&str, &str)| host.replace(name, value);
            let host = parts.iter().fold(endpoint_fact.host.clone(), filled);
            Endpoint {
                host,
                port: endpoint_fact.port,
                purpose: &endpoint_fact.purpose,
                denied: &endpoint_fact.denied,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUERY: EndpointQuery<'static> = EndpointQuery {
        cloud: "AzureCloud",
        profile: ProfileName::Ga,
        aks: false,
        training: true,
        inference: true,
        region: "westeurope",
        workspace: "1234",
        registry: "reg",
        storage: "",
    };

    #[test]
    fn relay_is_needed_where_the_cluster_is_reached_through_it() {
        let relay = |query: EndpointQuery<'_>| {
            endpoints(&query).iter().any(|endpoint| endpoint.host == "*.servicebus.windows.net")
        };
        assert!(relay(QUERY));
        assert!(!relay(EndpointQuery { aks: true, ..QUERY }));
        assert!(relay(EndpointQuery { aks: true, profile: ProfileName::Preview, ..QUERY }));
    }

    #[test]
    fn every_placeholder_is_filled_in_every_cloud() {
        for cloud in ["AzureCloud", "AzureUSGovernment", "AzureChinaCloud"] {
            let found = endpoints(&EndpointQuery { cloud, ..QUERY });
            assert!(found.len() > 15, "{cloud}");
            for endpoint in found {
                assert!(!endpoint.host.contains(['{', '}']), "{}", endpoint.host);
            }
        }
        let hosts: Vec<_> = endpoints(&QUERY).into_iter().map(|endpoint| endpoint.host).collect();
        for host in [
            "1234.workspace.westeurope.api.azureml.ms",
            "reg.azurecr.io",
            "*.blob.core.windows.net",
        ] {
            assert!(hosts.iter().any(|text| text == host), "{host}");
        }
    }
}
