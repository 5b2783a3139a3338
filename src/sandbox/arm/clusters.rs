//! Arc-connected and AKS clusters ("Azure REST: Connected Clusters; Managed Clusters"), with the Kubernetes behind them.

use base64::Engine;
use http::{Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Json, json};

use super::id::Target;
use super::{canonical_id, generic, method_not_allowed, not_found};
use crate::clock::{Work, arm_time, machine_now};
use crate::wire::{Answer, Call, Reply};
use crate::world::World;

/// Answers under `Microsoft.Kubernetes` and `Microsoft.ContainerService`.
pub(super) fn handle(world: &mut World, call: &Call, target: &Target) -> Answer {
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
            let cluster = super::parent_or_self(&id);
            if world.cluster(&cluster).is_none() {
                return Err(not_found(target));
            }
            let text = kubeconfig(call, &cluster);
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
        return Err(super::fail(
            StatusCode::BAD_REQUEST,
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
        crate::seed::materialise_cluster(world, id, &distribution);
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
    Err(super::fail(
        StatusCode::PRECONDITION_FAILED,
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

/// How often agents are heard, in seconds.
const BEAT: i64 = 1800;

/// What the agents of a connected cluster report by themselves: when they were last heard, and until when the
/// certificate of their identity holds, which they renew ("Azure Arc docs: cluster connectivity", 90 days). What was set
/// by hand is shown as it was set.
pub(crate) fn heard(world: &World, body: &mut Json) {
    let is_arc = body["type"]
        .as_str()
        .is_some_and(|kind| kind.eq_ignore_ascii_case("microsoft.kubernetes/connectedclusters"));
    if !is_arc {
        return;
    }
    let made = body["systemData"]["createdAt"].as_str().and_then(|at| at.parse().ok());
    let properties = &mut body["properties"];
    let connected = properties["connectivityStatus"]
        .as_str()
        .is_none_or(|it| it.eq_ignore_ascii_case("connected"));
    // Clients compare with their own clock, and a saved world may be behind it. Two reads shortly after each other agree.
    let now = world.now().max(machine_now());
    let made = made.unwrap_or(now);
    let beat = now.as_second() - now.as_second().rem_euclid(BEAT);
    let last = match Timestamp::from_second(beat) {
        Ok(beat) if connected && now.as_second() - made.as_second() > BEAT => beat,
        _ => made,
    };
    let ends = last.checked_add(SignedDuration::from_hours(90 * 24)).unwrap_or(Timestamp::MAX);
    for (member, at) in
        [("lastConnectivityTime", last), ("managedIdentityCertificateExpirationTime", ends)]
    {
        if properties[member].is_null() {
            properties[member] = json!(arm_time(at));
        }
    }
}

fn remove(world: &mut World, call: &Call, id: &str) -> Answer {
    if world.get(id).is_none() {
        return Ok(Reply::empty(StatusCode::NO_CONTENT));
    }
    if let Some(stored) = world.get_mut(id) {
        stored.body["properties"]["provisioningState"] = json!("Deleting");
    }
    Ok(super::groups::accept_removal(world, call, id, Work::Generic))
}

fn kubeconfig(call: &Call, cluster: &str) -> String {
    crate::serve::kubeconfig(&call.origin, cluster, None)
}
