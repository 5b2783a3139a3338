//! What goes on in a world by itself while days pass, and is nobody's drift: an autoscaler adds nodes and takes them
//! away, pods start anew elsewhere, Azure upgrades what is not pinned and patches Kubernetes, and services keep books.

use jiff::SignedDuration;
use serde_json::{Value as Json, json};

use super::release::{NAMESPACE, Release, release};
use super::{chart, components, install, pods, report};
use crate::arm::clusters;
use crate::progress::advance;
use crate::state::world::World;

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// Nodes that the autoscaler adds to those that the cluster began with, night by night.
const ADDED: [u64; 6] = [1, 2, 0, 3, 1, 0];
/// Every so many nights a new minor version of the extension comes out.
pub(crate) const RELEASE: u64 = 10;
/// In this night of a month Kubernetes gets a patch.
const PATCH: u64 = 15;

/// Lets time pass: what is due happens, and in the middle of each day that passed what a night brings.
pub(crate) fn pass(world: &mut World, time: SignedDuration) {
    let mut left = time;
    while left.is_positive() {
        let today = SignedDuration::from_secs(world.words.passed.rem_euclid(DAY.as_secs()));
        let noon = DAY / 2;
        let until = if today < noon { noon } else { DAY + noon } - today;
        let step = left.min(until);
        world.clock.forward(step);
        world.words.passed += step.as_secs();
        advance(world);
        if step == until {
            night(world);
        }
        left -= step;
    }
    world.clock_counts = true;
}

fn night(world: &mut World) {
    world.words.nights += 1;
    let number = world.words.nights;
    let ids: Vec<String> = world.clusters().map(|(_, cluster)| cluster.id.clone()).collect();
    for id in ids {
        if number % 30 == PATCH {
            patch(world, &id);
        }
        scale(world, &id, ADDED[usize::try_from(number % 6).unwrap_or(0)]);
    }
    for release in releases(world) {
        settle(world, &release, number);
        if number.is_multiple_of(RELEASE) {
            upgrade(world, &release);
        }
    }
    keep_books(world, number);
}

fn releases(world: &World) -> Vec<Release> {
    let all = world.of_type(None, "microsoft.kubernetesconfiguration/extensions");
    let ids = all.into_iter().filter_map(|stored| stored.body["id"].as_str());
    ids.filter_map(|id| release(world, id)).filter(|it| it.is_azureml).collect()
}

/// Nodes of a pool are alike, so a new one is a copy of the first.
fn scale(world: &mut World, id: &str, added: u64) {
    let now = world.kube_stamp();
    let Some(cluster) = world.cluster_mut(id) else { return };
    let wanted = cluster.beginning.nodes + added;
    let Some(first) = cluster.store().get("/api/v1/nodes/node-1").cloned() else { return };
    let most = cluster.beginning.nodes + ADDED.iter().max().unwrap_or(&0);
    for at in cluster.beginning.nodes + 1..=most {
        let (name, path) = (format!("node-{at}"), format!("/api/v1/nodes/node-{at}"));
        let there = cluster.store().get(&path).is_some();
        if at <= wanted && !there {
            let mut node = first.clone();
            node["metadata"] = json!({"name": name, "labels": first["metadata"]["labels"]});
            node["metadata"]["labels"]["kubernetes.io/hostname"] = json!(name);
            cluster.store_mut().put(&path, node, &now);
        } else if at > wanted && there {
            cluster.store_mut().remove(&path);
        }
    }
    let Some(stored) = world.get_mut(id) else { return };
    let properties = &mut stored.body["properties"];
    if properties["totalNodeCount"].is_number() {
        properties["totalNodeCount"] = json!(wanted);
        properties["totalCoreCount"] = json!(wanted * 8);
    }
    if properties["agentPoolProfiles"][0]["count"].is_number() {
        properties["agentPoolProfiles"][0]["count"] = json!(wanted);
        clusters::turn_etag(world, id);
    }
}

/// Kubernetes' next patch, node by node.
fn patch(world: &mut World, id: &str) {
    let next = |version: &str| {
        let (minor, patch) = version.rsplit_once('.')?;
        Some(format!("{minor}.{}", patch.parse::<u64>().ok()? + 1))
    };
    let now = world.kube_stamp();
    if let Some(cluster) = world.cluster_mut(id) {
        let all: Vec<Json> = cluster.store().list("/api/v1/nodes").into_iter().cloned().collect();
        for mut node in all {
            let name = node["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            let info = &mut node["status"]["nodeInfo"];
            if let Some(version) = info["kubeletVersion"].as_str().and_then(next) {
                info["kubeletVersion"] = json!(version);
                info["kubeProxyVersion"] = json!(version);
                cluster.store_mut().put(&format!("/api/v1/nodes/{name}"), node, &now);
            }
        }
    }
    let Some(stored) = world.get_mut(id) else { return };
    for at in [
        "/properties/kubernetesVersion",
        "/properties/currentKubernetesVersion",
        "/properties/agentVersion",
    ] {
        if let Some(version) = stored.body.pointer_mut(at)
            && let Some(next) = version.as_str().and_then(next)
        {
            *version = json!(next);
        }
    }
}

/// DaemonSets follow the nodes; the pods of one workload start anew, another one's containers restart.
fn settle(world: &mut World, release: &Release, number: u64) {
    let now = world.kube_stamp();
    let Some(cluster) = world.cluster_mut(&release.cluster) else { return };
    let nodes = chart::ready_nodes(cluster, release);
    for (at, workload) in (number..).zip(chart::workloads(release)) {
        // What somebody removed stays away, and what is not well stays so.
        if !pods::is_well(cluster, release, workload) {
            continue;
        }
        if workload.kind == "DaemonSet" {
            pods::follow(cluster, release, workload, nodes, &now);
        }
        match at % 5 {
            0 => pods::move_away(cluster, &workload.full_name(release), number, &now),
            1 => pods::restart(cluster, &workload.full_name(release), &now),
            _ => {}
        }
    }
    let event = json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "night", "namespace": NAMESPACE},
        "involvedObject": {"apiVersion": "v1", "kind": "Pod", "namespace": NAMESPACE, "name": "evicted"},
        "reason": "Killing", "type": "Normal", "count": number, "firstTimestamp": now, "lastTimestamp": now,
        "source": {"component": "kubelet"}, "message": "Stopping container"});
    let path = format!("/api/v1/namespaces/{NAMESPACE}/events/night");
    cluster.store_mut().put(&path, event, &now);
}

/// Azure installs the newest version of what is not pinned (`lifecycle`: auto-upgrade keeps the settings and puts the
/// chart's own objects back).
fn upgrade(world: &mut World, release: &Release) {
    let Some(stored) = world.get(&release.id) else { return };
    let properties = &stored.body["properties"];
    let may = properties["autoUpgradeMinorVersion"] == true
        && properties["provisioningState"] == "Succeeded"
        && properties["currentVersion"] != release.version.as_str();
    if !may || world.is_busy(&release.id) || !install::agents_reachable(world, release) {
        return;
    }
    report::write(world, release, "pre-upgrade", &[]);
    components::put_all(world, release, &[]);
    components::make_ready(world, release);
    report::write(world, release, "test", &[]);
    install::note_success(world, release);
}

/// What services write into resources on their own: when they looked, who is connected, what the cluster offers.
fn keep_books(world: &mut World, number: u64) {
    let stamp = world.stamp();
    let keys: Vec<String> = world.resources.keys().cloned().collect();
    for key in keys {
        let Some(body) = world.body(&key) else { continue };
        let kind = body["type"].as_str().unwrap_or_default().to_ascii_lowercase();
        let mut books: Vec<(&str, Json)> = Vec::new();
        match kind.as_str() {
            "microsoft.relay/namespaces/hybridconnections" => {
                books.push(("/properties/listenerCount", json!(1 + number % 3)));
            }
            "microsoft.servicebus/namespaces/topics/subscriptions" => {
                books.push(("/properties/messageCount", json!(number % 4)));
                books.push(("/properties/accessedAt", json!(stamp)));
            }
            "microsoft.operationalinsights/workspaces" => {
                books.push(("/properties/modifiedDate", json!(stamp)));
            }
            // Azure ML shows what it found in the cluster (Azure REST: Compute, KubernetesProperties).
            "microsoft.machinelearningservices/workspaces/computes" => {
                let limits = json!({"cpu": "2", "memory": "2Gi", "nvidia.com/gpu": null});
                let offered = json!({"nodeSelector": null, "resources": {"requests": {"cpu": "100m", "memory": "2Gi"}, "limits": limits}});
                books.push(("/properties/properties/instanceTypes/defaultinstancetype", offered));
                books.push(("/properties/modifiedOn", json!(stamp)));
            }
            _ => continue,
        }
        if let Some(stored) = world.get_mut(&key) {
            for (at, value) in books {
                crate::json::set_pointer(&mut stored.body, at, value);
            }
            if stored.body["properties"]["updatedAt"].is_string() {
                stored.body["properties"]["updatedAt"] = json!(stamp);
            }
        }
    }
}
