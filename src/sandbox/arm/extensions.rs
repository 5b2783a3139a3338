//! Cluster extensions ("Azure REST: KubernetesConfiguration extensions", 2020-07-01-preview to 2025-03-01).
//!
//! Azure only stores what is wanted; the agents in the cluster do the work (`sandbox::extension`). Plain settings of a
//! PATCH merge, protected ones replace the whole map, and protected values never come back.

use http::Method;
use serde_json::{Value as Json, json};

use super::answer::{self, canonical_id, method_not_allowed, retry_later};
use super::{generic, providers};
use crate::agents::install;
use crate::agents::release::kinds_of;
use crate::state::clock::Work;
use crate::state::id::{self, Target, cluster_of};
use crate::state::world::{Event, Step, World};
use crate::wire::{Answer, Call, Reply, fail};

/// Answers under `{cluster}/providers/Microsoft.KubernetesConfiguration`.
pub(crate) fn handle(world: &mut World, call: &Call, target: &Target) -> Answer {
    let Some(level) = target.last() else { return Err(method_not_allowed(call)) };
    let path = canonical_id(call);
    let cluster = cluster_of(&path);
    if target.levels.len() < 2 {
        providers::require_type(target, &level.types())?;
        return generic::handle(world, call, target);
    }
    match (&call.method, level.types().as_str(), level.is_named()) {
        (&Method::GET, "extensions", false) => list(world, call, &cluster),
        (&Method::GET | &Method::HEAD, "extensions", true) => read(world, call, &path),
        (&Method::PUT, "extensions", true) => put(world, call, target, &path, &cluster),
        (&Method::PATCH, "extensions", true) => patch(world, call, target, &path, &cluster),
        (&Method::DELETE, "extensions", true) => delete(world, call, &path),
        (&Method::GET, "extensions/operations", true) => operation(world, level.name(1), &path),
        (&Method::GET, "operations", false) => Ok(operations(world, &cluster)),
        (_, "extensions" | "extensions/operations" | "operations", _) => {
            Err(method_not_allowed(call))
        }
        _ => {
            providers::require_type(target, &level.types())?;
            generic::handle(world, call, target)
        }
    }
}

fn is_aks(cluster: &str) -> bool {
    cluster.to_ascii_lowercase().contains("/providers/microsoft.containerservice/managedclusters/")
}

fn missing(name: &str) -> Reply {
    fail(404, "ResourceNotFound", format!("Extension instance with name '{name}' not found."))
}

fn require_cluster(world: &World, cluster: &str) -> Result<(), Reply> {
    if world.get(cluster).is_some() {
        return Ok(());
    }
    let target = id::parse(cluster);
    providers::require_type(&target, &target.last().map(id::Level::types).unwrap_or_default())?;
    Err(answer::not_found(&target))
}

fn list(world: &World, call: &Call, cluster: &str) -> Answer {
    require_cluster(world, cluster)?;
    let items = world
        .collection(&format!("{cluster}/providers/Microsoft.KubernetesConfiguration/extensions"));
    let mut reply = answer::page(world, call, items, |stored| shape(call, &stored.body));
    if let Some(body) = reply.body.as_mut().filter(|body| body["nextLink"].is_null()) {
        body["nextLink"] = Json::Null;
    }
    Ok(reply)
}

fn read(world: &mut World, call: &Call, path: &str) -> Answer {
    require_cluster(world, &cluster_of(path))?;
    let seen = world.seen(path).ok_or_else(|| missing(id::last_segment(path)))?;
    Ok(Reply::ok(shape(call, &seen)))
}

/// The body as the api-version of the request shows it.
fn shape(call: &Call, body: &Json) -> Json {
    let mut body = body.clone();
    let version = call.api_version();
    let Some(properties) = body["properties"].as_object_mut() else { return body };
    if version < "2025-03-01" {
        for name in ["autoUpgradeMode", "extensionState", "additionalDetails", "managementDetails"]
        {
            properties.remove(name);
        }
    }
    if version < "2022-11-01" {
        properties.remove("currentVersion");
        properties.remove("isSystemExtension");
    }
    // The first previews called it installState; 2021-09-01 and 2022-03-01 answered both.
    if version <= "2022-03-01" {
        let state = match properties.get("provisioningState").and_then(Json::as_str) {
            Some("Succeeded") => "Installed",
            Some("Failed") => "Failed",
            Some("Creating") if version < "2021" => "Pending",
            _ => "Unknown",
        };
        properties.insert("installState".to_owned(), json!(state));
        if version < "2021" {
            properties.remove("provisioningState");
        }
    }
    body
}

fn strings(value: Option<&Json>, name: &str) -> Result<Json, Reply> {
    let Some(map) = value.filter(|v| !v.is_null()) else { return Ok(json!({})) };
    let bad = || {
        fail(
            400,
            "InvalidRequestContent",
            format!("The property '{name}' must be a map of strings."),
        )
    };
    let map = map.as_object().ok_or_else(bad)?;
    if map.values().all(Json::is_string) { Ok(Json::Object(map.clone())) } else { Err(bad()) }
}

/// Refuses a change while another runs, or while the cluster is busy with another extension.
fn require_idle(world: &World, path: &str) -> Result<(), Reply> {
    if world.is_busy(path) {
        return Err(fail(
            409,
            "Conflict",
            format!(
                "Another operation is in progress on the extension '{}'. Please retry after it has completed.",
                id::last_segment(path)
            ),
        ));
    }
    Ok(())
}

fn put(world: &mut World, call: &Call, target: &Target, path: &str, cluster: &str) -> Answer {
    providers::require(world, target)?;
    require_cluster(world, cluster)?;
    let request = call.json()?;
    let aks = is_aks(cluster);
    if aks && request["identity"]["type"].as_str().is_some_and(|t| !t.eq_ignore_ascii_case("none"))
    {
        return Err(fail(
            400,
            "BadRequest",
            format!(
                "Identity operation for resource '{path}' failed with error 'Failed to perform resource identity operation. Status: 'BadRequest'. Response: '{{\"error\":{{\"code\":\"BadRequest\",\"message\":\"\"}}}}''."
            ),
        ));
    }
    let wanted = &request["properties"];
    if wanted["extensionType"].as_str().is_none_or(str::is_empty) {
        return Err(fail(
            400,
            "InvalidRequestContent",
            "The property 'extensionType' is required.",
        ));
    }
    check_version(wanted)?;
    let settings = strings(wanted.get("configurationSettings"), "configurationSettings")?;
    let protected =
        strings(wanted.get("configurationProtectedSettings"), "configurationProtectedSettings")?;
    require_idle(world, path)?;
    let existing = world.body(path).cloned();
    let status = if existing.is_some() { "Updating" } else { "Creating" };
    let mut body = fresh(world, path, wanted, settings, status);
    if let Some(existing) = &existing {
        body["properties"]["currentVersion"] = existing["properties"]["currentVersion"].clone();
        body["systemData"]["createdAt"] = existing["systemData"]["createdAt"].clone();
    }
    if aks {
        body["properties"]["aksAssignedIdentity"] = json!({"principalId": principal(world, path), "tenantId": world.tenant(), "type": null});
    } else if let Some(kind) = request["identity"]["type"].as_str() {
        body["identity"] = json!({"principalId": principal(world, path), "tenantId": world.tenant(), "type": kind});
    }
    world.forget(path);
    world.put(path, body.clone());
    if let Some(stored) = world.get_mut(path) {
        stored.hidden["protected"] = kinds_of(&protected);
    }
    let step = if existing.is_some() { Step::UpgradeCheck } else { Step::InstallCheck };
    let operation = start(world, path, status, step);
    let code = if existing.is_some() { 200 } else { 201 };
    let mut shown = shape(call, &body);
    if existing.is_none()
        && let Some(shown) = shown.as_object_mut()
    {
        // Recorded answers leave the identity out until the agents have made it.
        shown.remove("identity");
    }
    Ok(with_operation(world, call, path, &operation, Reply::json(code, shown)))
}

fn principal(world: &World, path: &str) -> String {
    world.guid(&format!("principal {path}"))
}

fn check_version(wanted: &Json) -> Result<(), Reply> {
    let pinned = wanted["version"].as_str().is_some_and(|version| !version.is_empty());
    if pinned && wanted["autoUpgradeMinorVersion"] == json!(true) {
        return Err(fail(
            400,
            "BadRequest",
            "Invalid version and autoUpgradeMinorVersion combination: 'version' can only be given when 'autoUpgradeMinorVersion' is false.",
        ));
    }
    Ok(())
}

fn fresh(world: &World, path: &str, wanted: &Json, settings: Json, state: &str) -> Json {
    let text = |name: &str| wanted[name].as_str().filter(|text| !text.is_empty());
    let mut scope = wanted
        .get("scope")
        .filter(|s| s.is_object())
        .cloned()
        .unwrap_or_else(|| json!({"cluster": {}}));
    if scope.get("cluster").is_some()
        && scope["cluster"]["releaseNamespace"].as_str().is_none_or(str::is_empty)
    {
        scope["cluster"]["releaseNamespace"] = json!("azureml");
    }
    let stamp = world.stamp();
    json!({
        "id": path, "name": id::last_segment(path), "type": "Microsoft.KubernetesConfiguration/extensions",
        "properties": {
            "extensionType": wanted["extensionType"],
            "autoUpgradeMinorVersion": wanted["autoUpgradeMinorVersion"].as_bool().unwrap_or(true),
            "autoUpgradeMode": text("autoUpgradeMode").unwrap_or("compatible"),
            "releaseTrain": text("releaseTrain").unwrap_or("Stable"),
            "version": text("version"), "currentVersion": null, "scope": scope,
            "configurationSettings": settings, "configurationProtectedSettings": {},
            "provisioningState": state, "statuses": [], "aksAssignedIdentity": null, "isSystemExtension": false,
            "extensionState": null, "packageUri": null,
            "additionalDetails": {"docs": null, "releaseNotes": null, "troubleshootingGuide": null},
        },
        "systemData": {"createdBy": null, "createdByType": null, "createdAt": stamp, "lastModifiedBy": null,
            "lastModifiedByType": null, "lastModifiedAt": stamp},
    })
}

fn start(world: &mut World, path: &str, status: &str, step: Step) -> String {
    let operation = world.begin(path, status);
    let event = Event::Extension { id: path.to_owned(), operation: operation.clone(), step };
    world.after(Work::AgentPickup, event);
    operation
}

/// The operation's address as the service writes it: `ConnectedClusters`, signed, and a Location nobody may call.
fn with_operation(world: &World, call: &Call, path: &str, operation: &str, reply: Reply) -> Reply {
    let drifted = path
        .replace("/connectedClusters/", "/ConnectedClusters/")
        .replace("/managedClusters/", "/ManagedClusters/");
    let version = call.api_version();
    let name = if version < "2023" { "api-Version" } else { "api-version" };
    let signed = format!(
        "{name}={version}&t=638900000000000000&c=MIIHsandbox&s=c2FuZGJveA&h={}",
        &operation[..8]
    );
    let reply = reply
        .with("Azure-AsyncOperation", format!("{}{drifted}/operations/{operation}?{signed}", call.origin))
        .with("Location", format!("https://westeurope.rp.kubernetesconfiguration.azure.com{drifted}/operations/{operation}"))
        .with("api-supported-versions", "2020-07-01-preview, 2022-03-01, 2022-07-01, 2022-11-01, 2023-05-01, 2024-11-01, 2025-03-01");
    retry_later(world, reply, 10)
}

fn patch(world: &mut World, call: &Call, target: &Target, path: &str, cluster: &str) -> Answer {
    providers::require(world, target)?;
    require_cluster(world, cluster)?;
    let request = call.json()?;
    let Some(stored) = world.get(path) else { return Err(missing(id::last_segment(path))) };
    let mut body = stored.body.clone();
    require_idle(world, path)?;
    let change = &request["properties"];
    for name in ["autoUpgradeMinorVersion", "autoUpgradeMode", "releaseTrain", "version"] {
        // Old clients send "" for what they do not want to change.
        if let Some(value) = change.get(name).filter(|value| **value != json!("")) {
            body["properties"][name] = value.clone();
        }
    }
    check_version(&body["properties"])?;
    let plain = strings(change.get("configurationSettings"), "configurationSettings")?;
    if body["properties"]["configurationSettings"].is_null() {
        body["properties"]["configurationSettings"] = json!({});
    }
    json_patch::merge(&mut body["properties"]["configurationSettings"], &plain);
    let protected = change.get("configurationProtectedSettings").filter(|value| !value.is_null());
    let protected = protected
        .map(|value| strings(Some(value), "configurationProtectedSettings"))
        .transpose()?;
    body["properties"]["provisioningState"] = json!("Updating");
    body["systemData"]["lastModifiedAt"] = json!(world.stamp());
    world.put(path, body.clone());
    if let (Some(stored), Some(protected)) = (world.get_mut(path), protected) {
        stored.hidden["protected"] = kinds_of(&protected);
    }
    let operation = start(world, path, "Updating", Step::UpgradeCheck);
    Ok(with_operation(world, call, path, &operation, Reply::json(202, shape(call, &body))))
}

fn delete(world: &mut World, call: &Call, path: &str) -> Answer {
    require_cluster(world, &cluster_of(path))?;
    if world.get(path).is_none() {
        return Ok(Reply::empty(204));
    }
    if call.param("forcedelete").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        world.forget(path);
        install::abandon(world, path);
        world.remove_tree(path);
        // What the service answers is a serialised HttpResponseMessage that no client reads.
        return Ok(Reply::ok(
            json!({"version": "1.1", "content": {"headers": []}, "statusCode": 200, "reasonPhrase": "OK",
            "headers": [], "trailingHeaders": [], "requestMessage": null, "isSuccessStatusCode": true}),
        ));
    }
    if world.body(path).is_some_and(|body| body["properties"]["provisioningState"] == "Deleting") {
        return Ok(Reply::empty(202));
    }
    // A delete ends whatever runs.
    install::abandon(world, path);
    world.forget(path);
    if let Some(stored) = world.get_mut(path) {
        stored.body["properties"]["provisioningState"] = json!("Deleting");
    }
    let operation = start(world, path, "Deleting", Step::Uninstall);
    Ok(with_operation(world, call, path, &operation, Reply::empty(202)))
}

fn operation(world: &World, operation: &str, path: &str) -> Answer {
    let Some(found) = world.operations.get(&operation.to_ascii_lowercase()) else {
        return Err(fail(404, "NotFound", format!("The operation '{operation}' was not found.")));
    };
    let reply = Reply::ok(
        json!({"id": path, "name": operation, "status": found.status, "properties": null, "error": found.error}),
    );
    Ok(if found.ended.is_some() { reply } else { retry_later(world, reply, 10) })
}

fn operations(world: &World, cluster: &str) -> Reply {
    let value: Vec<Json> = world
        .running_below(cluster)
        .filter_map(|(_, name)| Some((name, world.operations.get(name)?)))
        .map(|(name, operation)| {
            json!({"id": format!("{}/operations/{name}", operation.resource), "name": name, "status": operation.status})
        })
        .collect();
    Reply::ok(json!({"value": value, "nextLink": null}))
}
