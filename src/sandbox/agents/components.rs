//! The Kubernetes objects of the Azure ML extension, put into a cluster and taken out of it.

use serde_json::{Value as Json, json};

use super::chart::{
    CATALOG, ChartService, Crd, accounts, applies, crd_name, crds, ensure_namespace, helm_release,
    metadata, named, owned, ready_nodes, router_kind, workloads,
};
use super::pods;
use super::release::{NAMESPACE, Release};
use crate::state::cluster::Cluster;
use crate::state::world::World;

/// Puts every object of the release into the cluster; pods start but are not ready yet. The pods of `blocked`
/// ServiceAccounts are refused and leave an event instead.
pub(crate) fn put_all(world: &mut World, release: &Release, blocked: &[String]) {
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

fn put_service(cluster: &mut Cluster, release: &Release, service: &ChartService, now: &str) {
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
pub(crate) fn make_ready(world: &mut World, release: &Release) {
    let now = world.kube_stamp();
    let Some(cluster) = world.cluster_mut(&release.cluster) else { return };
    let nodes = ready_nodes(cluster, release);
    for workload in workloads(release) {
        pods::make_ready(cluster, release, workload, nodes, &now);
    }
}

/// The pod of the health check: a Helm hook that runs to completion.
pub(crate) fn put_healthcheck_pod(world: &mut World, release: &Release, hook: &str) {
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
pub(crate) fn remove(world: &mut World, release: &Release) {
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
