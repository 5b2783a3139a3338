//! Resources without a service of their own: stored, listed and returned as ARM does for any provider.
//!
//! Only types of providers the simulator knows exist; anything else gets ARM's own error and never a made-up success.

use http::Method;
use serde_json::{Value as Json, json};

use super::answer::{
    self, canonical_id, envelope, method_not_allowed, not_found, parent_not_found, shown,
};
use super::heartbeat::heard;
use super::providers;
use crate::state::id::{self, Target, parent_id};
use crate::state::world::World;
use crate::wire::{Answer, Call, Reply, fail};

/// Answers for a resource or a collection of any known type.
pub(crate) fn handle(world: &mut World, call: &Call, target: &Target) -> Answer {
    let Some(level) = target.last() else { return Err(method_not_allowed(call)) };
    if level.namespace.eq_ignore_ascii_case("microsoft.managedidentity")
        && level.types() == "identities"
    {
        return system_identity(world, call, target);
    }
    providers::require_type(target, &level.types())?;
    if !level.is_named() {
        return list(world, call, target);
    }
    let id = canonical_id(call);
    match call.method {
        Method::GET => read(world, target, &id),
        Method::HEAD => Ok(Reply::head(world.get(&id).is_some())),
        Method::PUT => put(world, call, target, &id, |world, body| complete(world, &id, body)),
        Method::PATCH => patch(world, call, target, &id),
        Method::DELETE => {
            let existed = world.get(&id).is_some();
            world.remove_tree(&id);
            Ok(Reply::gone(existed))
        }
        _ => Err(method_not_allowed(call)),
    }
}

/// What the services of common types add to a resource.
pub(crate) fn complete(world: &World, id: &str, body: &mut Json) {
    let name = id::last_segment(id).to_ascii_lowercase();
    let properties = &mut body["properties"];
    match id::type_of(id).as_str() {
        "microsoft.managedidentity/userassignedidentities" => {
            *properties = answer::identity_of(world, id);
            properties["tenantId"] = json!(world.tenant());
            body["id"] = json!(id.replace("/resourceGroups/", "/resourcegroups/"));
        }
        "microsoft.containerregistry/registries" => {
            properties["loginServer"] = json!(format!("{name}.azurecr.io"))
        }
        "microsoft.storage/storageaccounts" => {
            properties["primaryEndpoints"] =
                json!({"blob": format!("https://{name}.blob.core.windows.net/")});
        }
        _ => {}
    }
}

/// A GET: the stored body, or ARM's 404. With `staleReads` a fresh write may not be seen yet.
pub(crate) fn read(world: &mut World, target: &Target, id: &str) -> Answer {
    let mut body = world.seen(id).ok_or_else(|| not_found(target))?;
    heard(world, &mut body);
    Ok(Reply::ok(body))
}

/// A PUT that completes at once. `finish` adds what the service computes.
pub(crate) fn put(
    world: &mut World,
    call: &Call,
    target: &Target,
    id: &str,
    finish: impl FnOnce(&World, &mut Json),
) -> Answer {
    providers::require(world, target)?;
    let Some(level) = target.last() else { return Err(method_not_allowed(call)) };
    if level.pairs.len() > 1 && world.get(&parent_id(id)).is_none() {
        return Err(parent_not_found(&parent_id(id)));
    }
    let request = call.json()?;
    let existing = world.body(id).cloned();
    check_name_and_place(target, id, &request, existing.as_ref())?;
    let kind = existing
        .as_ref()
        .and_then(|e| e["type"].as_str())
        .map_or_else(|| level.full_type(), ToOwned::to_owned);
    let mut body = envelope(world, id, &kind, &request, existing.as_ref());
    if body["properties"].get("provisioningState").is_none() {
        body["properties"]["provisioningState"] = json!("Succeeded");
    }
    finish(world, &mut body);
    world.put(id, body.clone());
    Ok(Reply::stored(existing.is_some(), body))
}

/// What ARM checks before it asks the service: the characters of a name, and that a tracked resource stays where it is.
pub(crate) fn check_name_and_place(
    target: &Target,
    id: &str,
    request: &Json,
    existing: Option<&Json>,
) -> Result<(), Reply> {
    let name = target.last().map(id::Level::last_name).unwrap_or_default();
    let odd = |c: char| c.is_control() || "<>%&\\?/".contains(c);
    if name.chars().any(odd) || name.ends_with('.') || name.chars().count() > 260 {
        let text = format!(
            "Resource name '{name}' is invalid: it has characters that may not stand in a name, ends with a period or is too long."
        );
        return Err(fail(400, "InvalidResourceName", text));
    }
    let plain = |it: &str| it.to_ascii_lowercase().replace(' ', "");
    let wanted = request["location"].as_str().filter(|it| !it.is_empty());
    let (Some(wanted), Some(old)) = (wanted, existing.and_then(|it| it["location"].as_str()))
    else {
        return Ok(());
    };
    if plain(wanted) == plain(old) {
        return Ok(());
    }
    let group = target.group.as_deref().unwrap_or_default();
    let name = id::last_segment(id);
    Err(fail(
        409,
        "InvalidResourceLocation",
        format!(
            "The resource '{name}' already exists in location '{old}' in resource group '{group}'. A resource with the same name cannot be created in location '{wanted}'. Please select a new resource name."
        ),
    ))
}

/// A PATCH: JSON merge patch over tags, identity and properties ("ARM RPC: PATCH").
pub(crate) fn patch(world: &mut World, call: &Call, target: &Target, id: &str) -> Answer {
    providers::require(world, target)?;
    let request = call.json()?;
    let Some(stored) = world.get(id) else { return Err(not_found(target)) };
    let mut body = stored.body.clone();
    for member in ["tags", "sku", "properties", "identity"] {
        if let Some(change) = request.get(member) {
            if body.get(member).is_none() {
                body[member] = json!({});
            }
            json_patch::merge(&mut body[member], change);
        }
    }
    if body.get("identity").is_some() {
        body["identity"] = answer::fill_identity(world, id, &body["identity"]);
    }
    world.put(id, body.clone());
    Ok(Reply::ok(body))
}

/// A collection: below a parent, in a resource group, or in a whole subscription.
pub(crate) fn list(world: &World, call: &Call, target: &Target) -> Answer {
    if call.method != Method::GET {
        return Err(method_not_allowed(call));
    }
    let Some(level) = target.last() else { return Err(method_not_allowed(call)) };
    let items = if target.group.is_none() && target.levels.len() == 1 && level.pairs.len() == 1 {
        world.of_type(target.subscription.as_deref(), &level.full_type().to_ascii_lowercase())
    } else {
        let id = canonical_id(call);
        let parent = id::parent_or_self(&id);
        if level.pairs.len() > 1 && world.get(&parent).is_none() {
            return Err(parent_not_found(&parent));
        }
        world.collection(&id)
    };
    Ok(answer::page(world, call, items, |stored| shown(world, stored)))
}

/// `{scope}/providers/Microsoft.ManagedIdentity/identities/default`: the scope's system-assigned identity.
fn system_identity(world: &World, call: &Call, target: &Target) -> Answer {
    let path = canonical_id(call);
    let lower = path.to_ascii_lowercase();
    let scope = lower.find("/providers/microsoft.managedidentity/").map_or("", |at| &path[..at]);
    let identity = world.body(scope).map(|body| body["identity"].clone()).unwrap_or_default();
    let Some(principal) = identity["principalId"].as_str() else { return Err(not_found(target)) };
    Ok(Reply::ok(
        json!({"id": path, "name": "default", "type": "Microsoft.ManagedIdentity/identities",
        "properties": {"principalId": principal, "tenantId": world.tenant(),
            "clientId": world.guid(&format!("client {}", id::key(scope)))}}),
    ))
}
