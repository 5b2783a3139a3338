//! Workloads and their pods, as the controllers of a cluster leave them.

use serde_json::{Value as Json, json};

use super::chart::{Workload, metadata};
use super::release::{NAMESPACE, Release};
use crate::state::cluster::Cluster;

/// Replicas of a workload: one per node, three for a highly available router, else one.
fn replicas(release: &Release, workload: &Workload, nodes: usize) -> usize {
    match workload.kind.as_str() {
        "DaemonSet" => nodes,
        _ if workload.ha && release.is_ha() => 3,
        _ => 1,
    }
}

/// Creates or updates a workload with pods that are not ready yet. Pods of a blocked ServiceAccount are not created;
/// an event says why, as OpenShift's admission does.
pub(crate) fn put(
    cluster: &mut Cluster,
    release: &Release,
    workload: &Workload,
    nodes: usize,
    blocked: &[String],
    now: &str,
) {
    let name = workload.full_name(release);
    let account = workload.account(release);
    let replicas = replicas(release, workload, nodes);
    let path = workload.path(release);
    let was_ready = cluster.store().get(&path).is_some_and(|object| {
        object["status"]["readyReplicas"] == replicas || object["status"]["numberReady"] == replicas
    });
    let mut metadata = metadata(release, &name, Some(NAMESPACE));
    metadata["labels"]["app"] = json!(name);
    metadata["labels"]["ml.azure.com/amlarc-system"] = json!("true");
    let pod_labels = pod_labels(release, workload, &name);
    let containers: Vec<Json> = (0..workload.containers.unwrap_or(1))
        .map(|at| json!({"name": if at == 0 { name.clone() } else { format!("sidecar-{at}") }, "image": format!("mcr.microsoft.com/azureml/amlarc/docker/{name}:{}", release.version)}))
        .collect();
    let mut spec = json!({"selector": {"matchLabels": {"app": name}},
        "template": {"metadata": {"labels": pod_labels}, "spec": {"serviceAccountName": account, "containers": containers}}});
    if workload.kind != "DaemonSet" {
        spec["replicas"] = json!(replicas);
    }
    let object = json!({"apiVersion": "apps/v1", "kind": workload.kind, "metadata": metadata, "spec": spec,
        "status": status(workload, replicas, 0)});
    cluster.store_mut().put(&path, object, now);
    remove_pods(cluster, &name);
    if blocked.contains(&account) {
        refuse(cluster, workload, &name, &account, now);
        return;
    }
    for at in 0..replicas {
        put_pod(cluster, release, workload, &name, at, was_ready, now);
    }
    if was_ready {
        set_status(cluster, &path, workload, replicas, now);
    }
}

/// Marks a workload and its pods as ready.
pub(crate) fn make_ready(
    cluster: &mut Cluster,
    release: &Release,
    workload: &Workload,
    nodes: usize,
    now: &str,
) {
    let replicas = replicas(release, workload, nodes);
    let name = workload.full_name(release);
    for at in 0..replicas {
        put_pod(cluster, release, workload, &name, at, true, now);
    }
    set_status(cluster, &workload.path(release), workload, replicas, now);
}

/// Whether a workload is there with all its pods ready.
pub(crate) fn is_well(cluster: &Cluster, release: &Release, workload: &Workload) -> bool {
    let Some(object) = cluster.store().get(&workload.path(release)) else { return false };
    let status = &object["status"];
    match workload.kind.as_str() {
        "DaemonSet" => status["numberReady"] == status["desiredNumberScheduled"],
        _ => status["readyReplicas"] == object["spec"]["replicas"],
    }
}

/// Gives every node its pod of a DaemonSet, and no other.
pub(crate) fn follow(
    cluster: &mut Cluster,
    release: &Release,
    workload: &Workload,
    nodes: usize,
    now: &str,
) {
    remove_pods(cluster, &workload.full_name(release));
    make_ready(cluster, release, workload, nodes, now);
}

/// The pods of a workload.
fn own_pods(cluster: &Cluster, name: &str) -> Vec<Json> {
    let all = cluster.store().list(&format!("/api/v1/namespaces/{NAMESPACE}/pods"));
    all.into_iter().filter(|pod| pod["metadata"]["labels"]["app"] == name).cloned().collect()
}

/// Starts the pods of a workload anew, under other names unless it is a StatefulSet.
pub(crate) fn move_away(cluster: &mut Cluster, name: &str, turn: u64, now: &str) {
    let pods = own_pods(cluster, name);
    remove_pods(cluster, name);
    for (mut pod, at) in pods.into_iter().zip(turn..) {
        let old = pod["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let new = match old.rsplit_once('-') {
            Some((head, _)) if pod["metadata"]["ownerReferences"][0]["kind"] != "StatefulSet" => {
                format!("{head}-{:05x}", at.wrapping_mul(7919) & 0xf_ffff)
            }
            _ => old,
        };
        let labels = pod["metadata"]["labels"].clone();
        let owners = pod["metadata"]["ownerReferences"].clone();
        pod["metadata"] = json!({"name": new, "namespace": NAMESPACE, "labels": labels, "ownerReferences": owners});
        pod["status"]["startTime"] = json!(now);
        cluster.store_mut().put(&format!("/api/v1/namespaces/{NAMESPACE}/pods/{new}"), pod, now);
    }
}

/// Restarts the containers of a workload where they are.
pub(crate) fn restart(cluster: &mut Cluster, name: &str, now: &str) {
    for mut pod in own_pods(cluster, name) {
        for status in pod["status"]["containerStatuses"].as_array_mut().into_iter().flatten() {
            let restarts = status["restartCount"].as_u64().unwrap_or(0) + 1;
            status["restartCount"] = json!(restarts);
            status["state"] = json!({"running": {"startedAt": now}});
            status["lastState"] =
                json!({"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": now}});
        }
        let name = pod["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        cluster.store_mut().put(&format!("/api/v1/namespaces/{NAMESPACE}/pods/{name}"), pod, now);
    }
}

fn set_status(cluster: &mut Cluster, path: &str, workload: &Workload, replicas: usize, now: &str) {
    if let Some(mut object) = cluster.store().get(path).cloned() {
        object["status"] = status(workload, replicas, replicas);
        cluster.store_mut().put(path, object, now);
    }
}

fn status(workload: &Workload, wanted: usize, ready: usize) -> Json {
    let available = if ready == wanted { "True" } else { "False" };
    match workload.kind.as_str() {
        "DaemonSet" => {
            json!({"desiredNumberScheduled": wanted, "currentNumberScheduled": wanted, "numberReady": ready,
            "numberAvailable": ready, "updatedNumberScheduled": wanted, "numberMisscheduled": 0, "observedGeneration": 1})
        }
        "StatefulSet" => {
            json!({"replicas": wanted, "readyReplicas": ready, "availableReplicas": ready,
            "currentReplicas": wanted, "updatedReplicas": wanted, "observedGeneration": 1})
        }
        _ => {
            json!({"replicas": wanted, "readyReplicas": ready, "availableReplicas": ready, "updatedReplicas": wanted,
            "unavailableReplicas": wanted - ready, "observedGeneration": 1, "conditions": [
                {"type": "Available", "status": available, "reason": if ready == wanted { "MinimumReplicasAvailable" } else { "MinimumReplicasUnavailable" }},
                {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}]})
        }
    }
}

fn pod_labels(release: &Release, workload: &Workload, name: &str) -> Json {
    let mut labels = json!({"app": name, "release": release.name, "ml.azure.com/amlarc-system": "true",
        "ml.azure.com/billing-category": "azureml-system"});
    for (label, value) in &workload.labels {
        labels[label] = json!(value);
    }
    labels
}

fn pod_name(workload: &Workload, name: &str, at: usize) -> String {
    if workload.kind == "StatefulSet" {
        return format!("{name}-{at}");
    }
    let hash =
        name.bytes().fold(0x811c_9dc5u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
    match workload.kind.as_str() {
        "DaemonSet" => format!(
            "{name}-{:05x}",
            (hash >> 4).wrapping_add(u32::try_from(at).unwrap_or(0)) & 0xf_ffff
        ),
        _ => format!(
            "{name}-{hash:08x}-{:05x}",
            (hash >> 3).wrapping_add(u32::try_from(at).unwrap_or(0)) & 0xf_ffff
        ),
    }
}

fn put_pod(
    cluster: &mut Cluster,
    release: &Release,
    workload: &Workload,
    name: &str,
    at: usize,
    ready: bool,
    now: &str,
) {
    let pod = pod_name(workload, name, at);
    let statuses: Vec<Json> = (0..workload.containers.unwrap_or(1))
        .map(|at| {
            let state = if ready { json!({"running": {"startedAt": now}}) } else { json!({"waiting": {"reason": "ContainerCreating"}}) };
            json!({"name": if at == 0 { name.to_owned() } else { format!("sidecar-{at}") }, "ready": ready, "started": ready,
                "restartCount": 0, "image": name, "imageID": "", "state": state})
        })
        .collect();
    let containers: Vec<Json> =
        statuses.iter().map(|s| json!({"name": s["name"], "image": s["image"]})).collect();
    let flag = if ready { "True" } else { "False" };
    let object = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": pod, "namespace": NAMESPACE, "labels": pod_labels(release, workload, name),
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": workload.kind, "name": name, "controller": true, "uid": "00000000-0000-0000-0000-000000000000"}]},
        "spec": {"nodeName": format!("node-{}", at + 1), "serviceAccountName": workload.account(release), "containers": containers},
        "status": {"phase": if ready { "Running" } else { "Pending" }, "startTime": now, "podIP": format!("10.244.{}.{}", at + 1, 10 + name.len()),
            "conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Initialized", "status": "True"},
                {"type": "ContainersReady", "status": flag}, {"type": "Ready", "status": flag}],
            "containerStatuses": statuses}});
    cluster.store_mut().put(&format!("/api/v1/namespaces/{NAMESPACE}/pods/{pod}"), object, now);
}

fn refuse(cluster: &mut Cluster, workload: &Workload, name: &str, account: &str, now: &str) {
    let event = format!("{name}.scc");
    let object = json!({"apiVersion": "v1", "kind": "Event",
        "metadata": {"name": event, "namespace": NAMESPACE},
        "involvedObject": {"apiVersion": "apps/v1", "kind": workload.kind, "namespace": NAMESPACE, "name": name},
        "reason": "FailedCreate", "type": "Warning", "count": 12, "firstTimestamp": now, "lastTimestamp": now,
        "source": {"component": "replicaset-controller"},
        "message": format!("Error creating: pods \"{name}-\" is forbidden: unable to validate against any security context constraint: [provider \"anyuid\": Forbidden: not usable by user or serviceaccount, provider \"privileged\": Forbidden: not usable by user or serviceaccount system:serviceaccount:{NAMESPACE}:{account}]")});
    cluster.store_mut().put(&format!("/api/v1/namespaces/{NAMESPACE}/events/{event}"), object, now);
}

fn remove_pods(cluster: &mut Cluster, workload: &str) {
    for pod in own_pods(cluster, workload) {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        cluster.store_mut().remove(&format!("/api/v1/namespaces/{NAMESPACE}/pods/{name}"));
    }
}

/// Removes a workload by its path, with its pods.
pub(crate) fn remove(cluster: &mut Cluster, path: &str) {
    if let Some(object) = cluster.store_mut().remove(path)
        && let Some(name) = object["metadata"]["name"].as_str()
    {
        remove_pods(cluster, name);
    }
}
