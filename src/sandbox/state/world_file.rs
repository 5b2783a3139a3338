//! The world file (`--sandbox-world`): how a world differs from the default one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::faults::FaultRates;

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(crate) struct WorldFile {
    pub(crate) clusters: Vec<FileCluster>,
    pub(crate) subscriptions: Vec<FileSubscription>,
    pub(crate) faults: FaultRates,
    pub(crate) throttling: Option<Throttling>,
    /// By how many seconds Resource Graph lags behind writes.
    pub(crate) graph_lag: u32,
    /// How many entries a page of a list has; else 100.
    pub(crate) page_size: Option<std::num::NonZeroUsize>,
    pub(crate) access: FileAccess,
}

/// How many reads a subscription answers, instead of what ARM does by default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Throttling {
    /// Reads a second.
    pub(crate) reads: f64,
    /// Reads at once.
    #[serde(default)]
    pub(crate) burst: Option<f64>,
    /// Seconds that a refusal asks to wait.
    #[serde(default)]
    pub(crate) retry_after: Option<u32>,
}

/// What the caller may do; what is not given is not restricted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FileAccess {
    pub(crate) azure: Option<Vec<Grant>>,
    /// Rules of RBAC (`apiGroups`, `resources`, `verbs`, …) that hold in every cluster.
    pub(crate) kubernetes: Option<Vec<serde_json::Value>>,
}

/// Rights in Azure at a scope and below it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Grant {
    pub(crate) scope: String,
    /// A built-in role by its name.
    #[serde(default)]
    pub(crate) role: Option<String>,
    #[serde(default)]
    pub(crate) actions: Vec<String>,
    #[serde(default)]
    pub(crate) not_actions: Vec<String>,
}

/// A cluster; it is matched by name with those of the manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct FileCluster {
    pub(crate) name: String,
    /// `connectedClusters` or `managedClusters`.
    #[serde(rename = "type", default)]
    pub(crate) kind: Option<String>,
    #[serde(default)]
    pub(crate) distribution: Option<String>,
    /// Number of nodes.
    #[serde(default)]
    pub(crate) nodes: Option<u32>,
    /// `Connected`, `Connecting`, `Offline`, `Expired`; for AKS also `Stopped`.
    #[serde(default)]
    pub(crate) connectivity: Option<String>,
    #[serde(default)]
    pub(crate) kubernetes_version: Option<String>,
    #[serde(default)]
    pub(crate) installed: Vec<Software>,
    #[serde(default)]
    pub(crate) scc_edit: SccEdit,
    /// Codes (`E40001`) that the health check of the extension finds here, beside what it finds by itself.
    #[serde(default)]
    pub(crate) health: Vec<String>,
    /// Whether Services of type LoadBalancer get an address here.
    #[serde(default)]
    pub(crate) load_balancer: Option<bool>,
    /// Whether its API server answers; the agents of Arc may do so all the same.
    #[serde(default)]
    pub(crate) api_server: Option<bool>,
}

/// Software that is in the cluster before the extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Software {
    /// NVIDIA's device plugin.
    NvidiaDevicePlugin,
    /// Prometheus Operator with its CRDs.
    PrometheusOperator,
    /// Volcano with its CRDs.
    Volcano,
    /// An ingress-nginx controller with its IngressClass.
    IngressNginx,
    /// What an AKS attached the first way left in `default`.
    #[serde(rename = "azureml-fe-v1")]
    AzuremlFeV1,
}

impl Software {
    /// Its name in the list of software.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Software::NvidiaDevicePlugin => "nvidia-device-plugin",
            Software::PrometheusOperator => "prometheus-operator",
            Software::Volcano => "volcano",
            Software::IngressNginx => "ingress-nginx",
            Software::AzuremlFeV1 => "azureml-fe-v1",
        }
    }
}

/// Whether the platform lets its default SCCs be edited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SccEdit {
    #[default]
    Allow,
    Deny,
}

/// A subscription with the states of its features and providers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileSubscription {
    pub(crate) id: String,
    /// `Namespace/Feature` (or a feature of Microsoft.ContainerService alone) to a state; `Retired` takes it away.
    #[serde(default)]
    pub(crate) features: BTreeMap<String, String>,
    /// Namespace to registration state.
    #[serde(default)]
    pub(crate) providers: BTreeMap<String, String>,
}

impl WorldFile {
    /// Reads the YAML text of a world file. The error names the place and what was expected.
    pub(crate) fn parse(text: &str) -> Result<WorldFile, String> {
        if text.trim().is_empty() {
            return Ok(WorldFile::default());
        }
        let file: WorldFile = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
        if file.throttling.as_ref().is_some_and(|it| it.reads.is_nan() || it.reads <= 0.0) {
            return Err("throttling.reads must be more than 0".to_owned());
        }
        for (name, rate) in [
            ("throttle", file.faults.throttle),
            ("serverError", file.faults.server_error),
            ("dropConnection", file.faults.drop_connection),
            ("failOperation", file.faults.fail_operation),
            ("slow", file.faults.slow),
            ("staleReads", file.faults.stale_reads),
        ] {
            if !(0.0..=1.0).contains(&rate) {
                return Err(format!(
                    "faults.{name} is {rate}, but a probability lies between 0 and 1"
                ));
            }
        }
        Ok(file)
    }

    pub(crate) fn cluster(&self, name: &str) -> Option<&FileCluster> {
        self.clusters.iter().find(|cluster| cluster.name.eq_ignore_ascii_case(name))
    }
}
