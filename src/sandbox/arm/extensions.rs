//! Cluster extensions ("Azure REST: KubernetesConfiguration extensions", 2020-07-01-preview to 2025-03-01).
//!
//! Azure only stores what is wanted; the agents in the cluster do the work (`agents`). Plain settings of a PATCH merge,
//! protected ones replace the whole map, and protected values never come back.

use serde_json::{Value as Json, json};

use super::answer::{Ask, mark_deleting, not_found, page, refuse, retry_later};
use super::clusters::is_aks;
use super::{generic, providers};
use crate::agents::install;
use crate::agents::release::kinds_of;
use crate::json::{fill, remove_key, text};
use crate::state::clock::Work;
use crate::state::event::{AgentStep, Occurrence};
use crate::state::id::{self, cluster_of};
use crate::state::world::World;
use crate::wire::{HttpAnswer, Reply};

pub(crate) fn missing(_: &World, ask: &Ask<'_>) -> HttpAnswer {
    Err(refuse("extension", &[ask.name()]))
}

pub(crate) fn require_cluster(world: &World, ask: &Ask<'_>) -> Result<(), Reply> {
    let cluster = cluster_of(&ask.id);
    if world.get(&cluster).is_some() {
        return Ok(());
    }
    let target = id::parse(&cluster);
    providers::require_type(&target)?;
    Err(not_found(&target))
}

/// This service says that there is no next page.
pub(crate) fn list(world: &mut World, ask: &Ask<'_>) -> HttpAnswer {
    let mut reply = generic::list(world, ask)?;
    if let Some(body) = reply.body.as_mut() {
        fill(body, &json!({"nextLink": null}));
    }
    Ok(reply)
}

/// The body as the api-version of the request shows it.
pub(crate) fn show(_: &World, ask: &Ask<'_>, body: &mut Json) {
    let version = ask.call.api_version();
    let Some(properties) = body["properties"].as_object_mut() else { return };
    for (since, members) in [
        (
            "2025-03-01",
            &["autoUpgradeMode", "extensionState", "additionalDetails", "managementDetails"][..],
        ),
        ("2022-11-01", &["currentVersion", "isSystemExtension"]),
    ] {
        properties.retain(|name, _| version >= since || !members.contains(&name.as_str()));
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
}

/// A map of texts; `null` where the request has none.
fn strings(properties: &Json, name: &str) -> Result<Json, Reply> {
    let map = &properties[name];
    let texts = map.as_object().is_some_and(|map| map.values().all(Json::is_string));
    if map.is_null() || texts {
        Ok(map.clone())
    } else {
        Err(refuse("extension-settings", &[name]))
    }
}

/// Refuses a change while another runs.
fn require_idle(world: &World, ask: &Ask<'_>) -> Result<(), Reply> {
    if world.is_busy(&ask.id) { Err(refuse("extension-busy", &[ask.name()])) } else { Ok(()) }
}

pub(crate) fn put(world: &mut World, ask: &Ask<'_>) -> HttpAnswer {
    providers::require(world, ask.target)?;
    let request = ask.call.json()?;
    let aks = is_aks(&cluster_of(&ask.id));
    let identity = request["identity"]["type"].as_str();
    if aks && identity.is_some_and(|kind| !kind.eq_ignore_ascii_case("none")) {
        return Err(refuse("extension-identity", &[&ask.id]));
    }
    let wanted = &request["properties"];
    if text(&wanted["extensionType"]).is_empty() {
        return Err(refuse("extension-type", &[]));
    }
    check_version(wanted)?;
    let settings = strings(wanted, "configurationSettings")?;
    let protected = strings(wanted, "configurationProtectedSettings")?;
    require_idle(world, ask)?;
    let existing = world.body(&ask.id).cloned();
    let (status, step) = match existing {
        Some(_) => ("Updating", AgentStep::UpgradeCheck),
        None => ("Creating", AgentStep::InstallCheck),
    };
    let mut body = fresh(world, &ask.id, wanted, settings, status);
    if let Some(existing) = &existing {
        body["properties"]["currentVersion"] = existing["properties"]["currentVersion"].clone();
        body["systemData"]["createdAt"] = existing["systemData"]["createdAt"].clone();
    }
    let principal = world.guid(&format!("principal {}", ask.id));
    let principal =
        |kind: Json| json!({"principalId": principal, "tenantId": world.tenant(), "type": kind});
    if aks {
        body["properties"]["aksAssignedIdentity"] = principal(Json::Null);
    } else if let Some(kind) = identity {
        body["identity"] = principal(json!(kind));
    }
    world.forget(&ask.id);
    world.put(&ask.id, body.clone());
    keep_kinds(world, &ask.id, &protected);
    if existing.is_none() {
        // Recorded answers leave the identity out until the agents have made it.
        remove_key(&mut body, "identity");
    }
    let reply = Reply::stored(existing.is_some(), body);
    Ok(start(world, ask, status, step, reply))
}

fn keep_kinds(world: &mut World, id: &str, protected: &Json) {
    if let Some(stored) = world.get_mut(id) {
        stored.hidden["protected"] = kinds_of(protected);
    }
}

fn check_version(wanted: &Json) -> Result<(), Reply> {
    if !text(&wanted["version"]).is_empty() && wanted["autoUpgradeMinorVersion"] == json!(true) {
        return Err(refuse("extension-version", &[]));
    }
    Ok(())
}

fn fresh(world: &World, path: &str, wanted: &Json, settings: Json, state: &str) -> Json {
    let said = |name: &str| wanted[name].as_str().filter(|text| !text.is_empty());
    let mut scope = wanted["scope"].clone();
    if !scope.is_object() {
        scope = json!({"cluster": {}});
    }
    if scope.get("cluster").is_some() && text(&scope["cluster"]["releaseNamespace"]).is_empty() {
        scope["cluster"]["releaseNamespace"] = json!("azureml");
    }
    let stamp = world.stamp();
    json!({
        "id": path, "name": id::last_segment(path), "type": "Microsoft.KubernetesConfiguration/extensions",
        "properties": {
            "extensionType": wanted["extensionType"],
            "autoUpgradeMinorVersion": wanted["autoUpgradeMinorVersion"].as_bool().unwrap_or(true),
            "autoUpgradeMode": said("autoUpgradeMode").unwrap_or("compatible"),
            "releaseTrain": said("releaseTrain").unwrap_or("Stable"),
            "version": said("version"), "currentVersion": null, "scope": scope,
            "configurationSettings": if settings.is_null() { json!({}) } else { settings }, "configurationProtectedSettings": {},
            "provisioningState": state, "statuses": [], "aksAssignedIdentity": null, "isSystemExtension": false,
            "extensionState": null, "packageUri": null,
            "additionalDetails": {"docs": null, "releaseNotes": null, "troubleshootingGuide": null},
        },
        "systemData": {"createdBy": null, "createdByType": null, "createdAt": stamp, "lastModifiedBy": null,
            "lastModifiedByType": null, "lastModifiedAt": stamp},
    })
}

/// Hands a change to the agents. The operation's address is as the service writes it: `ConnectedClusters`, signed, and a
/// Location nobody may call.
fn start(world: &mut World, ask: &Ask<'_>, status: &str, step: AgentStep, reply: Reply) -> Reply {
    let operation = world.begin(&ask.id, status);
    let event = Occurrence::Extension { id: ask.id.clone(), operation: operation.clone(), step };
    world.after(Work::AgentPickup, event);
    let drifted = ask
        .id
        .replace("/connectedClusters/", "/ConnectedClusters/")
        .replace("/managedClusters/", "/ManagedClusters/");
    let version = ask.call.api_version();
    let name = if version < "2023" { "api-Version" } else { "api-version" };
    let signed = format!(
        "{name}={version}&t=638900000000000000&c=MIIHsandbox&s=c2FuZGJveA&h={}",
        &operation[..8]
    );
    let path = format!("{drifted}/operations/{operation}");
    let reply = reply
        .with("Azure-AsyncOperation", format!("{}{path}?{signed}", ask.call.origin))
        .with("Location", format!("https://westeurope.rp.kubernetesconfiguration.azure.com{path}"))
        .with("api-supported-versions", "2020-07-01-preview, 2022-03-01, 2022-07-01, 2022-11-01, 2023-05-01, 2024-11-01, 2025-03-01");
    retry_later(world, reply, 10)
}

pub(crate) fn patch(world: &mut World, ask: &Ask<'_>) -> HttpAnswer {
    providers::require(world, ask.target)?;
    let request = ask.call.json()?;
    let Some(mut body) = world.body(&ask.id).cloned() else { return missing(world, ask) };
    require_idle(world, ask)?;
    let change = &request["properties"];
    for name in ["autoUpgradeMinorVersion", "autoUpgradeMode", "releaseTrain", "version"] {
        // Old clients send "" for what they do not want to change.
        if let Some(value) = change.get(name).filter(|value| **value != json!("")) {
            body["properties"][name] = value.clone();
        }
    }
    check_version(&body["properties"])?;
    let plain = strings(change, "configurationSettings")?;
    let protected = strings(change, "configurationProtectedSettings")?;
    fill(&mut body["properties"], &json!({"configurationSettings": {}}));
    if plain.is_object() {
        json_patch::merge(&mut body["properties"]["configurationSettings"], &plain);
    }
    body["properties"]["provisioningState"] = json!("Updating");
    body["systemData"]["lastModifiedAt"] = json!(world.stamp());
    world.put(&ask.id, body.clone());
    if protected.is_object() {
        keep_kinds(world, &ask.id, &protected);
    }
    Ok(start(world, ask, "Updating", AgentStep::UpgradeCheck, Reply::json(202, body)))
}

pub(crate) fn delete(world: &mut World, ask: &Ask<'_>) -> HttpAnswer {
    let Some(body) = world.body(&ask.id) else { return Ok(Reply::empty(204)) };
    let forced = ask.call.param("forcedelete").is_some_and(|it| it.eq_ignore_ascii_case("true"));
    if !forced && body["properties"]["provisioningState"] == "Deleting" {
        return Ok(Reply::empty(202));
    }
    // A delete ends whatever runs.
    install::abandon(world, &ask.id);
    world.forget(&ask.id);
    if forced {
        world.remove_tree(&ask.id);
        // What the service answers is a serialised HttpResponseMessage that no client reads.
        return Ok(Reply::ok(
            json!({"version": "1.1", "content": {"headers": []}, "statusCode": 200, "reasonPhrase": "OK",
            "headers": [], "trailingHeaders": [], "requestMessage": null, "isSuccessStatusCode": true}),
        ));
    }
    mark_deleting(world, &ask.id);
    Ok(start(world, ask, "Deleting", AgentStep::Uninstall, Reply::empty(202)))
}

pub(crate) fn operation(world: &mut World, ask: &Ask<'_>) -> HttpAnswer {
    let name = ask.name();
    let Some(found) = world.operations.get(&name.to_ascii_lowercase()) else {
        return Err(refuse("operation", &[name]));
    };
    let reply = Reply::ok(
        json!({"id": ask.id, "name": name, "status": found.status, "properties": null, "error": found.error}),
    );
    Ok(if found.ended.is_some() { reply } else { retry_later(world, reply, 10) })
}

/// The operations that run on a cluster.
pub(crate) fn operations(world: &mut World, ask: &Ask<'_>) -> HttpAnswer {
    let cluster = cluster_of(&ask.id);
    let running = world.running_below(&cluster);
    let found = running.filter_map(|(_, name)| Some((name, world.operations.get(name)?)));
    let value: Vec<Json> = found
        .map(|(name, async_operation)| json!({"id": format!("{}/operations/{name}", async_operation.resource), "name": name, "status": async_operation.status}))
        .collect();
    Ok(Reply::ok(json!({"value": value, "nextLink": null})))
}

/// Versions of an extension that a cluster may have ("Azure REST: extension types, Cluster List Versions").
pub(crate) fn versions(world: &mut World, ask: &Ask<'_>) -> HttpAnswer {
    require_cluster(world, ask)?;
    let preview = ask
        .call
        .param("releasetrain")
        .is_some_and(|param| param.to_ascii_lowercase().contains("preview"));
    let known: &[&str] = if preview { PREVIEW_VERSIONS } else { STABLE_VERSIONS };
    let item = |version: &str| {
        json!({"id": format!("{}/{version}", ask.id), "name": version,
            "type": "Microsoft.KubernetesConfiguration/extensionTypes/versions",
            "properties": {"version": version, "unsupportedKubernetesVersions": {}}})
    };
    Ok(page(world, ask.call, known.iter().copied(), item))
}

/// What today's Azure has of the extension ("AML docs: reference for configuring Kubernetes, release notes").
const STABLE_VERSIONS: &[&str] =
    &["1.1.106", "1.1.88", "1.1.86", "1.1.83", "1.1.76", "1.1.71", "1.1.70", "1.1.61", "1.1.60"];
const PREVIEW_VERSIONS: &[&str] = &["1.0.75", "1.0.51", "1.0.37"];
