//! Arc-connected and AKS clusters ("Azure REST: Connected Clusters; Managed Clusters"), with the Kubernetes behind them.

use base64::Engine;
use http::Method;
use serde_json::{Value as Json, json};

use super::answer::{canonical_id, method_not_allowed, not_found};
use super::{generic, groups};
use crate::state::clock::Work;
use crate::state::cluster::{Beginning, Cluster, kubeconfig};
use crate::state::id::{self, Target};
use crate::state::world::World;
use crate::state::world_file::SccEdit;
use crate::wire::{Answer, Call, Reply, fail};

/// Answers under `Microsoft.Kubernetes` and `Microsoft.ContainerService`.
pub(crate) fn handle(world: &mut World, call: &Call, target: &Target) -> Answer {
    let Some(level) = target.last() else { return Err(method_not_allowed(call)) };
    let id = canonical_id(call);
    if level.types() == "managedclusters" {
        check_etag(world, call, &id)?;
    }
    match (&call.method, level.types().as_str()) {
        (&Method::PUT, "connectedclusters" | "managedclusters") => create(world, call, target, &id),
        (&Method::PATCH, "connectedclusters" | "managedclusters") => {
            generic::patch(world, call, target, &id)?;
            let body = turn_etag(world, &id);
            Ok(Reply::ok(body))
        }
        (&Method::DELETE, "connectedclusters" | "managedclusters") => remove(world, call, &id),
        (
            &Method::POST,
            "managedclusters/listclusterusercredential"
            | "managedclusters/listclusteradmincredential"
            | "connectedclusters/listclusterusercredential",
        ) => {
            let cluster = id::parent_or_self(&id);
            if world.cluster(&cluster).is_none() {
                return Err(not_found(target));
            }
            let text = kubeconfig(&call.origin, &cluster, None);
            let value = base64::engine::general_purpose::STANDARD.encode(text);
            Ok(Reply::ok(json!({"kubeconfigs": [{"name": "clusterUser", "value": value}]})))
        }
        _ => generic::handle(world, call, target),
    }
}

fn create(world: &mut World, call: &Call, target: &Target, id: &str) -> Answer {
    let is_new = world.get(id).is_none();
    let aks = id.to_ascii_lowercase().contains("/managedclusters/");
    if !aks
        && call.json()?.get("identity").is_none_or(|identity| identity["type"].as_str().is_none())
    {
        return Err(fail(
            400,
            "InvalidRequestContent",
            "The 'identity' property is required for connected clusters.",
        ));
    }
    let mut reply = generic::put(world, call, target, id, |_, body| {
        fill(body, aks);
    })?;
    if aks {
        reply.body = Some(turn_etag(world, id));
    }
    if is_new {
        let distribution = world
            .body(id)
            .and_then(|b| b["properties"]["distribution"].as_str())
            .unwrap_or("generic")
            .to_owned();
        materialise(world, id, &distribution);
    }
    Ok(reply)
}

/// AKS honours `If-Match` and `If-None-Match` ("Azure REST: Managed Clusters", since 2024-09).
fn check_etag(world: &World, call: &Call, id: &str) -> Result<(), Reply> {
    if matches!(call.method, Method::GET | Method::HEAD) {
        return Ok(());
    }
    let tag = world.body(id).map(|body| body["eTag"].as_str().unwrap_or_default().to_owned());
    let plain = |text: &str| text.trim().trim_start_matches("W/").trim_matches('"').to_owned();
    let matches = call.header("if-match").is_none_or(|wanted| match &tag {
        Some(tag) => wanted.trim() == "*" || plain(wanted) == *tag,
        None => false,
    });
    let none = call.header("if-none-match").is_none_or(|it| it.trim() != "*" || tag.is_none());
    if matches && none {
        return Ok(());
    }
    Err(fail(
        412,
        "PreconditionFailed",
        "The condition specified using HTTP conditional header(s) is not met.",
    ))
}

/// Gives a changed cluster a new `eTag`, and returns its body.
fn turn_etag(world: &mut World, id: &str) -> Json {
    let tag = world.guid(&format!("etag {id} {}", world.revision));
    let Some(stored) = world.get_mut(id) else { return Json::Null };
    stored.body["eTag"] = json!(tag);
    stored.body.clone()
}

/// Gives a cluster the read-only members of a healthy one.
fn fill(body: &mut Json, aks: bool) {
    let properties = &mut body["properties"];
    let defaults = if aks {
        json!({"powerState": {"code": "Running"}, "kubernetesVersion": "1.33", "currentKubernetesVersion": "1.33.4",
            "enableRBAC": true, "servicePrincipalProfile": {"clientId": "msi"},
            "agentPoolProfiles": [{"name": "nodepool1", "count": 3, "vmSize": "Standard_D8s_v5", "osType": "Linux", "mode": "System"}]})
    } else {
        json!({"connectivityStatus": "Connected", "kubernetesVersion": "1.33.4", "agentVersion": "1.29.3",
            "distribution": "generic", "infrastructure": "generic", "totalNodeCount": 3, "totalCoreCount": 24,
            "offering": null, "agentPublicKeyCertificate": ""})
    };
    if let Json::Object(defaults) = defaults {
        for (name, value) in defaults {
            if properties.get(&name).is_none_or(Json::is_null) {
                properties[&name] = value;
            }
        }
    }
}

fn remove(world: &mut World, call: &Call, id: &str) -> Answer {
    if world.get(id).is_none() {
        return Ok(Reply::empty(204));
    }
    if let Some(stored) = world.get_mut(id) {
        stored.body["properties"]["provisioningState"] = json!("Deleting");
    }
    Ok(groups::accept_removal(world, call, id, Work::Generic))
}

/// Creates the Kubernetes behind a cluster resource, as its body and the world file describe it.
pub(crate) fn materialise(world: &mut World, id: &str, distribution: &str) {
    let Some(body) = world.body(id).cloned() else { return };
    let name = body["name"].as_str().unwrap_or_default().to_owned();
    let file = world.file.cluster(&name).cloned();
    let properties = &body["properties"];
    let aks = id::type_of(id) == "microsoft.containerservice/managedclusters";
    let text = |member: &str| properties[member].as_str().map(ToOwned::to_owned);
    let version = text("currentKubernetesVersion")
        .or_else(|| text("kubernetesVersion"))
        .unwrap_or_else(|| DEFAULT_VERSION.to_owned());
    let nodes = properties["totalNodeCount"]
        .as_u64()
        .or_else(|| {
            properties["agentPoolProfiles"]
                .as_array()
                .map(|pools| pools.iter().filter_map(|pool| pool["count"].as_u64()).sum())
        })
        .unwrap_or(u64::from(DEFAULT_NODES));
    let beginning = Beginning {
        distribution: if aks { "aks" } else { distribution }.to_owned(),
        version,
        nodes,
        aks,
        installed: file.as_ref().map(|file| file.installed.clone()).unwrap_or_default(),
        born: world.kube_stamp(),
        rules: world.file.access.kubernetes.clone(),
    };
    let denied = file.is_some_and(|file| file.scc_edit == SccEdit::Deny);
    world.put_cluster(Cluster::new(id, name, denied, beginning));
}

/// As many nodes as a cluster has when nobody says how many.
pub(crate) const DEFAULT_NODES: u32 = 3;
/// The version of Kubernetes when nobody says which.
pub(crate) const DEFAULT_VERSION: &str = "1.33.4";
