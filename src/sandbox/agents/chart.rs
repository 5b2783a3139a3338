//! The chart of the Azure ML extension: what a release brings, from the catalog `components.toml`, and what of it is there.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::release::{Generation, NAMESPACE, Release};
use crate::state::cluster::Cluster;

#[derive(Debug, Deserialize)]
pub(crate) struct ChartCatalog {
    pub(crate) workload: Vec<Workload>,
    pub(crate) service: Vec<ChartService>,
    pub(crate) account: Vec<ChartItem>,
    pub(crate) crd: Vec<Crd>,
    pub(crate) configmap: Vec<ChartItem>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Workload {
    pub(crate) name: String,
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) account: Option<String>,
    #[serde(default)]
    pub(crate) containers: Option<u32>,
    #[serde(default)]
    pub(crate) ha: bool,
    #[serde(default)]
    pub(crate) labels: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) generation: Option<String>,
    #[serde(default)]
    pub(crate) when: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ChartService {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) headless: bool,
    #[serde(default)]
    pub(crate) router: bool,
    pub(crate) ports: Vec<u16>,
    #[serde(default)]
    pub(crate) generation: Option<String>,
    #[serde(default)]
    pub(crate) when: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ChartItem {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) generation: Option<String>,
    #[serde(default)]
    pub(crate) when: Vec<String>,
}

/// A CustomResourceDefinition the chart brings.
#[derive(Debug, Deserialize)]
pub(crate) struct Crd {
    pub(crate) plural: String,
    pub(crate) group: String,
    pub(crate) kind: String,
    pub(crate) versions: Vec<String>,
    #[serde(default)]
    pub(crate) cluster: bool,
    #[serde(default)]
    pub(crate) generation: Option<String>,
    #[serde(default)]
    pub(crate) when: Vec<String>,
}

pub(crate) static CATALOG: LazyLock<ChartCatalog> = LazyLock::new(|| {
    toml::from_str(include_str!("components.toml"))
        .expect("the embedded catalog of components parses")
});

pub(crate) fn applies(release: &Release, generation: Option<&str>, when: &[String]) -> bool {
    let own = match release.generation {
        Generation::Preview => "preview",
        Generation::Ga => "ga",
    };
    generation.is_none_or(|generation| generation == own)
        && when.iter().all(|gate| release.gate(gate))
}

/// A catalog name with the extension's name filled in.
pub(crate) fn named(name: &str, release: &Release) -> String {
    name.replace("{EXT}", &release.name)
}

impl Workload {
    pub(crate) fn account(&self, release: &Release) -> String {
        named(self.account.as_deref().unwrap_or("default"), release)
    }

    pub(crate) fn full_name(&self, release: &Release) -> String {
        named(&self.name, release)
    }

    pub(crate) fn path(&self, release: &Release) -> String {
        let plural = self.kind.to_ascii_lowercase() + "s";
        format!("/apis/apps/v1/namespaces/{NAMESPACE}/{plural}/{}", self.full_name(release))
    }
}

/// The workloads this release has.
pub(crate) fn workloads(release: &Release) -> impl Iterator<Item = &'static Workload> {
    CATALOG.workload.iter().filter(|w| applies(release, w.generation.as_deref(), &w.when))
}

/// The CustomResourceDefinitions this release brings.
pub(crate) fn crds(release: &Release) -> impl Iterator<Item = &'static Crd> {
    CATALOG.crd.iter().filter(|crd| applies(release, crd.generation.as_deref(), &crd.when))
}

pub(crate) fn crd_name(crd: &Crd) -> String {
    format!("{}.{}", crd.plural, crd.group)
}

/// The ServiceAccounts in `azureml` that the pods and hooks of this release run under, each once.
pub(crate) fn accounts(release: &Release) -> Vec<String> {
    let mut names: Vec<String> = workloads(release).map(|w| w.account(release)).collect();
    let hooks =
        CATALOG.account.iter().filter(|a| applies(release, a.generation.as_deref(), &a.when));
    names.extend(hooks.map(|account| named(&account.name, release)));
    names.sort();
    names.dedup();
    names
}

/// The newest revision of a Helm release in the cluster, if there is one.
pub(crate) fn helm_release(cluster: &Cluster, name: &str) -> Option<u32> {
    let prefix = format!("sh.helm.release.v1.{name}.v");
    cluster
        .store()
        .list(&format!("/api/v1/namespaces/{NAMESPACE}/secrets"))
        .into_iter()
        .filter_map(|secret| {
            secret["metadata"]["name"].as_str()?.strip_prefix(&prefix)?.parse().ok()
        })
        .max()
}

/// Another release of the chart in the same namespace: two cannot live together.
pub(crate) fn other_release(cluster: &Cluster, name: &str) -> Option<String> {
    cluster
        .store()
        .list(&format!("/api/v1/namespaces/{NAMESPACE}/secrets"))
        .into_iter()
        .filter_map(|secret| secret["metadata"]["labels"]["name"].as_str())
        .find(|other| *other != name)
        .map(ToOwned::to_owned)
}

/// Metadata of an object that belongs to the release.
pub(crate) fn metadata(release: &Release, name: &str, namespace: Option<&str>) -> Json {
    let mut metadata = json!({"name": name,
        "labels": {"app.kubernetes.io/managed-by": "Helm", "release": release.name},
        "annotations": {"meta.helm.sh/release-name": release.name, "meta.helm.sh/release-namespace": NAMESPACE}});
    if let Some(namespace) = namespace {
        metadata["namespace"] = json!(namespace);
    }
    metadata
}

/// Creates a namespace unless it is there.
pub(crate) fn ensure_namespace(cluster: &mut Cluster, name: &str, now: &str) {
    let path = format!("/api/v1/namespaces/{name}");
    if cluster.store().get(&path).is_none() {
        cluster.store_mut().put(&path, json!({}), now);
    }
}

/// The Service type of the inference router ("AML docs: inferenceRouterServiceType").
pub(crate) fn router_kind(release: &Release) -> &'static str {
    if release.is_true("privateEndpointNodeport")
        || release.is_true("scoringFe.serviceType.nodePort")
    {
        return "NodePort";
    }
    match release.text("inferenceRouterServiceType").map(str::to_ascii_lowercase).as_deref() {
        Some("nodeport") => "NodePort",
        Some("clusterip") => "ClusterIP",
        _ => "LoadBalancer",
    }
}

/// The annotation by which Helm knows whose an object is.
pub(crate) const RELEASE_NAME: &str = "meta.helm.sh/release-name";

/// Whether an object belongs to this Helm release.
pub(crate) fn owned(object: &Json, release: &Release) -> bool {
    object["metadata"]["annotations"][RELEASE_NAME] == release.name.as_str()
}

/// Ready nodes that match every `nodeSelector.<key>` of the settings.
pub(crate) fn ready_nodes(cluster: &Cluster, release: &Release) -> usize {
    cluster
        .store()
        .list("/api/v1/nodes")
        .into_iter()
        .filter(|node| {
            let ready = node["status"]["conditions"].as_array().is_some_and(|all| {
                all.iter().any(|c| c["type"] == "Ready" && c["status"] == "True")
            });
            let selected = release.settings.iter().all(|(key, value)| {
                node_label(key)
                    .is_none_or(|label| node["metadata"]["labels"][label] == value.as_str())
            });
            ready && selected && node["spec"]["unschedulable"] != true
        })
        .count()
}

/// The label that `nodeSelector.LABEL` gives the chart. Keys are paths of chart values, in which a
/// backslash keeps a dot in its name (Helm docs: using Helm, `--set`).
fn node_label(key: &str) -> Option<String> {
    key.strip_prefix("nodeSelector.").map(|label| label.replace("\\.", "."))
}
