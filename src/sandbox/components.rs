//! The Kubernetes objects of the Azure ML extension, from the catalog `components.toml`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::checks::{owned, ready_nodes};
use super::cluster::Cluster;
use super::extension::{Generation, NAMESPACE, Release};
use super::pods;
use super::world::World;

#[derive(Debug, Deserialize)]
struct Catalog {
    workload: Vec<Workload>,
    service: Vec<Service>,
    account: Vec<Item>,
    crd: Vec<Crd>,
    configmap: Vec<Item>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Workload {
    pub(super) name: String,
    pub(super) kind: String,
    #[serde(default)]
    account: Option<String>,
    #[serde(default)]
    pub(super) containers: Option<u32>,
    #[serde(default)]
    pub(super) ha: bool,
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(default)]
    generation: Option<String>,
    #[serde(default)]
    when: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Service {
    name: String,
    #[serde(default)]
    headless: bool,
    #[serde(default)]
    router: bool,
    ports: Vec<u16>,
    #[serde(default)]
    generation: Option<String>,
    #[serde(default)]
    when: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Item {
    name: String,
    #[serde(default)]
    generation: Option<String>,
    #[serde(default)]
    when: Vec<String>,
}

/// A CustomResourceDefinition the chart brings.
#[derive(Debug, Deserialize)]
pub(super) struct Crd {
    plural: String,
    group: String,
    kind: String,
    versions: Vec<String>,
    #[serde(default)]
    cluster: bool,
    #[serde(default)]
    generation: Option<String>,
    #[serde(default)]
    when: Vec<String>,
}

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| {
    toml::from_str(include_str!("components.toml"))
        .expect("the embedded catalog of components parses")
});

fn applies(release: &Release, generation: Option<&str>, when: &[String]) -> bool {
    let own = match release.generation {
        Generation::Preview => "preview",
        Generation::Ga => "ga",
    };
    generation.is_none_or(|generation| generation == own)
        && when.iter().all(|gate| release.gate(gate))
}

/// A catalog name with the extension's name filled in.
fn named(name: &str, release: &Release) -> String {
    name.replace("{EXT}", &release.name)
}

impl Workload {
    pub(super) fn account(&self, release: &Release) -> String {
        named(self.account.as_deref().unwrap_or("default"), release)
    }

    pub(super) fn full_name(&self, release: &Release) -> String {
        named(&self.name, release)
    }

    pub(super) fn path(&self, release: &Release) -> String {
        let plural = self.kind.to_ascii_lowercase() + "s";
        format!("/apis/apps/v1/namespaces/{NAMESPACE}/{plural}/{}", self.full_name(release))
    }
}

/// The workloads this release has.
pub(super) fn workloads(release: &Release) -> impl Iterator<Item = &'static Workload> {
    CATALOG.workload.iter().filter(|w| applies(release, w.generation.as_deref(), &w.when))
}

/// The CustomResourceDefinitions this release brings.
pub(super) fn crds(release: &Release) -> impl Iterator<Item = &'static Crd> {
    CATALOG.crd.iter().filter(|crd| applies(release, crd.generation.as_deref(), &crd.when))
}

pub(super) fn crd_name(crd: &Crd) -> String {
    format!("{}.{}", crd.plural, crd.group)
}

/// The ServiceAccounts in `azureml` that the pods and hooks of this release run under, each once.
pub(super) fn accounts(release: &Release) -> Vec<String> {
    let mut names: Vec<String> = workloads(release).map(|w| w.account(release)).collect();
    let hooks =
        CATALOG.account.iter().filter(|a| applies(release, a.generation.as_deref(), &a.when));
    names.extend(hooks.map(|account| named(&account.name, release)));
    names.sort();
    names.dedup();
    names
}

/// The newest revision of a Helm release in the cluster, if there is one.
pub(super) fn helm_release(cluster: &Cluster, name: &str) -> Option<u32> {
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
pub(super) fn other_release(cluster: &Cluster, name: &str) -> Option<String> {
    cluster
        .store()
        .list(&format!("/api/v1/namespaces/{NAMESPACE}/secrets"))
        .into_iter()
        .filter_map(|secret| secret["metadata"]["labels"]["name"].as_str())
        .find(|other| *other != name)
        .map(ToOwned::to_owned)
}

/// Metadata of an object that belongs to the release.
pub(super) fn metadata(release: &Release, name: &str, namespace: Option<&str>) -> Json {
    let mut metadata = json!({"name": name,
        "labels": {"app.kubernetes.io/managed-by": "Helm", "release": release.name},
        "annotations": {"meta.helm.sh/release-name": release.name, "meta.helm.sh/release-namespace": NAMESPACE}});
    if let Some(namespace) = namespace {
        metadata["namespace"] = json!(namespace);
    }
    metadata
}

/// Creates a namespace unless it is there.
pub(super) fn ensure_namespace(cluster: &mut Cluster, name: &str, now: &str) {
    let path = format!("/api/v1/namespaces/{name}");
    if cluster.store().get(&path).is_none() {
        let object = json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
            "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}});
        cluster.store_mut().put(&path, object, now);
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": name}});
        cluster.store_mut().put(
            &format!("/api/v1/namespaces/{name}/serviceaccounts/default"),
            account,
            now,
        );
    }
}

/// Puts every object of the release into the cluster; pods start but are not ready yet. The pods of `blocked`
/// ServiceAccounts are refused and leave an event instead.
pub(super) fn put_all(world: &mut World, release: &Release, blocked: &[String]) {
    let now = world.kube_stamp();
    let Some(cluster) = world.cluster_mut(&release.cluster) else { return };
    ensure_namespace(cluster, NAMESPACE, &now);
    let nodes = ready_nodes(cluster, release);
    prune(cluster, release);
    for crd in crds(release) {
        let path =
            format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{}", crd_name(crd));
        if cluster.store().get(&path).is_none() {
            cluster.store_mut().put(&path, crd_object(crd, release, &now), &now);
        }
    }
    for account in accounts(release).iter().filter(|name| *name != "default") {
        let path = format!("/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{account}");
        let object = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata(release, account, Some(NAMESPACE))});
        cluster.store_mut().put(&path, object, &now);
    }
    for item in
        CATALOG.configmap.iter().filter(|i| applies(release, i.generation.as_deref(), &i.when))
    {
        let path = format!("/api/v1/namespaces/{NAMESPACE}/configmaps/{}", item.name);
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(release, &item.name, Some(NAMESPACE)), "data": {}});
        cluster.store_mut().put(&path, object, &now);
    }
    for service in
        CATALOG.service.iter().filter(|s| applies(release, s.generation.as_deref(), &s.when))
    {
        put_service(cluster, release, service, &now);
    }
    for workload in workloads(release) {
        pods::put(cluster, release, workload, nodes, blocked, &now);
    }
    let revision = helm_release(cluster, &release.name).unwrap_or(0) + 1;
    put_helm_secret(cluster, release, revision, &now);
}

fn put_helm_secret(cluster: &mut Cluster, release: &Release, revision: u32, now: &str) {
    let name = format!("sh.helm.release.v1.{}.v{revision}", release.name);
    let object = json!({"apiVersion": "v1", "kind": "Secret", "type": "helm.sh/release.v1",
        "metadata": {"name": name, "namespace": NAMESPACE,
            "labels": {"name": release.name, "owner": "helm", "status": "deployed", "version": revision.to_string()}},
        "data": {"release": "c2FuZGJveA=="}});
    cluster.store_mut().put(&format!("/api/v1/namespaces/{NAMESPACE}/secrets/{name}"), object, now);
    // Helm keeps ten revisions.
    if revision > 10 {
        cluster.store_mut().remove(&format!(
            "/api/v1/namespaces/{NAMESPACE}/secrets/sh.helm.release.v1.{}.v{}",
            release.name,
            revision - 10
        ));
    }
}

fn put_service(cluster: &mut Cluster, release: &Release, service: &Service, now: &str) {
    let name = named(&service.name, release);
    let path = format!("/api/v1/namespaces/{NAMESPACE}/services/{name}");
    let number = 10 + name.bytes().fold(0u32, |sum, b| (sum * 31 + u32::from(b)) % 200);
    let mut ports: Vec<Json> = service
        .ports
        .iter()
        .map(|port| json!({"name": format!("port-{port}"), "port": port, "targetPort": port, "protocol": "TCP"}))
        .collect();
    let mut spec = json!({"type": "ClusterIP", "clusterIP": format!("10.0.31.{number}"), "selector": {"app": name}});
    let mut status = json!({"loadBalancer": {}});
    if service.headless {
        spec["clusterIP"] = json!("None");
    }
    let mut metadata = metadata(release, &name, Some(NAMESPACE));
    if service.router {
        let kind = router_kind(release);
        spec["type"] = json!(kind);
        if kind != "ClusterIP" {
            for (at, port) in ports.iter_mut().enumerate() {
                port["nodePort"] = json!(31_080 + at);
            }
        }
        if kind == "LoadBalancer" {
            let internal = release.is_true("scoringFe.serviceType.internalLoadBalancer")
                || release.is_true("privateEndpointILB")
                || release.text("internalLoadBalancerProvider").is_some();
            if internal {
                metadata["annotations"]["service.beta.kubernetes.io/azure-load-balancer-internal"] =
                    json!("true");
            }
            status = json!({"loadBalancer": {"ingress": [{"ip": if internal { "10.240.0.42" } else { "20.50.60.70" }}]}});
        }
    }
    spec["ports"] = json!(ports);
    let object = json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec, "status": status});
    cluster.store_mut().put(&path, object, now);
}

/// The Service type of the inference router ("AML docs: inferenceRouterServiceType").
pub(super) fn router_kind(release: &Release) -> &'static str {
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

fn crd_object(crd: &Crd, release: &Release, now: &str) -> Json {
    let versions: Vec<Json> = crd
        .versions
        .iter()
        .enumerate()
        .map(|(at, version)| {
            json!({"name": version, "served": true, "storage": at == 0,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}})
        })
        .collect();
    let names = json!({"plural": crd.plural, "singular": crd.kind.to_ascii_lowercase(), "kind": crd.kind, "listKind": format!("{}List", crd.kind)});
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": metadata(release, &crd_name(crd), None),
        "spec": {"group": crd.group, "names": names, "scope": if crd.cluster { "Cluster" } else { "Namespaced" }, "versions": versions},
        "status": {"acceptedNames": names, "storedVersions": [crd.versions[0]], "conditions": [
            {"type": "NamesAccepted", "status": "True", "reason": "NoConflicts", "lastTransitionTime": now},
            {"type": "Established", "status": "True", "reason": "InitialNamesAccepted", "lastTransitionTime": now}]}})
}

/// Marks everything the release runs as ready.
pub(super) fn make_ready(world: &mut World, release: &Release) {
    let now = world.kube_stamp();
    let Some(cluster) = world.cluster_mut(&release.cluster) else { return };
    let nodes = ready_nodes(cluster, release);
    for workload in workloads(release) {
        pods::make_ready(cluster, release, workload, nodes, &now);
    }
}

/// The pod of the health check: a Helm hook that runs to completion.
pub(super) fn put_healthcheck_pod(world: &mut World, release: &Release, hook: &str) {
    let now = world.kube_stamp();
    let Some(cluster) = world.cluster_mut(&release.cluster) else { return };
    ensure_namespace(cluster, NAMESPACE, &now);
    let mut metadata = metadata(release, "healthcheck", Some(NAMESPACE));
    metadata["labels"]["app"] = json!("healthcheck");
    metadata["labels"]["ml.azure.com/amlarc-system"] = json!("true");
    metadata["annotations"]["helm.sh/hook"] = json!(hook);
    let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata,
        "spec": {"serviceAccountName": "default", "restartPolicy": "Never", "containers": [{"name": "healthcheck", "image": "mcr.microsoft.com/azureml/amlarc/docker/healthcheck"}]},
        "status": {"phase": "Succeeded", "conditions": [{"type": "Ready", "status": "False", "reason": "PodCompleted"}],
            "containerStatuses": [{"name": "healthcheck", "ready": false, "restartCount": 0, "image": "healthcheck", "imageID": "",
                "state": {"terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": now}}}]}});
    cluster.store_mut().put(
        &format!("/api/v1/namespaces/{NAMESPACE}/pods/healthcheck"),
        object,
        &now,
    );
}

/// Removes workloads that the settings of an upgrade no longer ask for.
fn prune(cluster: &mut Cluster, release: &Release) {
    let keep: Vec<String> = workloads(release).map(|w| w.path(release)).collect();
    for path in owned_paths(cluster, release) {
        if path.starts_with("/apis/apps/")
            && !path.contains("/replicasets/")
            && !keep.contains(&path)
        {
            pods::remove(cluster, &path);
        }
    }
}

/// Uninstalls: every object Helm owns vanishes, with the CRDs it brought. The namespace and its Secrets stay.
pub(super) fn remove(world: &mut World, release: &Release) {
    let Some(cluster) = world.cluster_mut(&release.cluster) else { return };
    for path in owned_paths(cluster, release) {
        cluster.store_mut().remove(&path);
    }
    for kind in ["pods", "secrets", "events"] {
        let collection = format!("/api/v1/namespaces/{NAMESPACE}/{kind}");
        let gone: Vec<String> = cluster
            .store()
            .list(&collection)
            .into_iter()
            .filter(|object| {
                kind != "secrets" || object["metadata"]["labels"]["name"] == release.name.as_str()
            })
            .filter(|object| {
                kind != "pods"
                    || object["metadata"]["labels"]["ml.azure.com/amlarc-system"] == "true"
            })
            .filter_map(|object| {
                object["metadata"]["name"].as_str().map(|name| format!("{collection}/{name}"))
            })
            .collect();
        for path in gone {
            cluster.store_mut().remove(&path);
        }
    }
}

fn owned_paths(cluster: &Cluster, release: &Release) -> Vec<String> {
    let collections = [
        "/apis/apps/v1/deployments",
        "/apis/apps/v1/statefulsets",
        "/apis/apps/v1/daemonsets",
        "/apis/apps/v1/replicasets",
        "/api/v1/services",
        "/api/v1/configmaps",
        "/api/v1/serviceaccounts",
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    ];
    let mut paths = Vec::new();
    for collection in collections {
        for object in cluster.store().list(collection) {
            let Some(name) = object["metadata"]["name"].as_str() else { continue };
            if !owned(object, release) || name == "healthcheck" {
                continue;
            }
            let path = match (object["metadata"]["namespace"].as_str(), collection.rsplit_once('/'))
            {
                (Some(namespace), Some((head, plural))) => {
                    format!("{head}/namespaces/{namespace}/{plural}/{name}")
                }
                _ => format!("{collection}/{name}"),
            };
            paths.push(path);
        }
    }
    paths
}
