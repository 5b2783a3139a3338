//! What every type has: stored, listed and returned as ARM does for any provider.

use serde_json::{Value as Json, json};

use super::answer::{
    Ask, envelope, fill_identity, identity_of, lower_group, not_found, page, parent_not_found,
    refuse, region,
};
use super::providers;
use crate::json::text;
use crate::state::id;
use crate::state::world::World;
use crate::wire::{HttpAnswer, Reply};

/// What the services of common types add to a resource.
pub(crate) fn complete(world: &World, id: &str, body: &mut Json) {
    let name = id::last_segment(id).to_ascii_lowercase();
    let properties = &mut body["properties"];
    match id::type_of(id).as_str() {
        "microsoft.managedidentity/userassignedidentities" => {
            *properties = identity_of(world, id);
            properties["tenantId"] = json!(world.tenant());
            body["id"] = json!(lower_group(id));
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

/// A PUT that completes at once. `finish` adds what the service computes.
pub(crate) fn put(
    world: &mut World,
    ask: &Ask<'_>,
    finish: impl FnOnce(&World, &mut Json),
) -> HttpAnswer {
    let (request, existing) = begin(world, ask)?;
    let kind = match &existing {
        Some(existing) => text(&existing["type"]).to_owned(),
        None => ask.target.last().map(id::Level::full_type).unwrap_or_default(),
    };
    let mut body = envelope(world, &ask.id, &kind, &request, existing.as_ref());
    if body["properties"].get("provisioningState").is_none() {
        body["properties"]["provisioningState"] = json!("Succeeded");
    }
    finish(world, &mut body);
    world.put(&ask.id, body.clone());
    Ok(Reply::stored(existing.is_some(), body))
}

/// What ARM checks before it hands a PUT to the service; the request, and what is there.
pub(crate) fn begin(world: &World, ask: &Ask<'_>) -> Result<(Json, Option<Json>), Reply> {
    providers::require(world, ask.target)?;
    let is_child = ask.target.last().is_some_and(|level| level.pairs.len() > 1);
    if is_child && world.get(&ask.parent()).is_none() {
        return Err(parent_not_found(&ask.parent()));
    }
    let request = ask.call.json()?;
    let existing = world.body(&ask.id).cloned();
    check_name_and_place(ask, &request, existing.as_ref())?;
    Ok((request, existing))
}

/// The characters of a name, and that a tracked resource stays where it is.
fn check_name_and_place(ask: &Ask<'_>, request: &Json, old: Option<&Json>) -> Result<(), Reply> {
    let name = ask.target.last().map(id::Level::last_name).unwrap_or_default();
    let odd = |c: char| c.is_control() || "<>%&\\?/".contains(c);
    if name.chars().any(odd) || name.ends_with('.') || name.chars().count() > 260 {
        return Err(refuse("name", &[name]));
    }
    let (wanted, old) = (&request["location"], old.map_or(&Json::Null, |old| &old["location"]));
    if text(wanted).is_empty() || !old.is_string() || region(wanted) == region(old) {
        return Ok(());
    }
    let group = ask.target.group.as_deref().unwrap_or_default();
    Err(refuse("moved", &[ask.name(), text(old), group, text(wanted)]))
}

/// A PATCH: JSON merge patch over tags, identity and properties ("ARM RPC: PATCH").
pub(crate) fn patch(world: &mut World, ask: &Ask<'_>) -> HttpAnswer {
    providers::require(world, ask.target)?;
    let request = ask.call.json()?;
    let mut body = world.body(&ask.id).cloned().ok_or_else(|| not_found(ask.target))?;
    for member in ["tags", "sku", "properties", "identity"] {
        if let Some(change) = request.get(member) {
            if body.get(member).is_none() {
                body[member] = json!({});
            }
            json_patch::merge(&mut body[member], change);
        }
    }
    if body.get("identity").is_some() {
        body["identity"] = fill_identity(world, &ask.id, &body["identity"]);
    }
    world.put(&ask.id, body.clone());
    Ok(Reply::ok(body))
}

/// A DELETE that completes at once.
pub(crate) fn delete(world: &mut World, ask: &Ask<'_>) -> HttpAnswer {
    let existed = world.get(&ask.id).is_some();
    world.remove_tree(&ask.id);
    Ok(Reply::gone(existed))
}

/// A collection: below a parent, in a resource group, or in a whole subscription.
pub(crate) fn list(world: &mut World, ask: &Ask<'_>) -> HttpAnswer {
    let depth = ask.target.last().map_or(0, |level| level.pairs.len());
    let items = if ask.target.group.is_none() && ask.target.levels.len() == 1 && depth == 1 {
        world.of_type(ask.target.subscription.as_deref(), &ask.kind)
    } else {
        if depth > 1 && world.get(ask.subject()).is_none() {
            return Err(parent_not_found(ask.subject()));
        }
        world.collection(&ask.id)
    };
    Ok(page(world, ask.call, items, |stored| stored.body.clone()))
}

/// `{scope}/providers/Microsoft.ManagedIdentity/identities/default`: the scope's system-assigned identity.
pub(crate) fn system_identity(world: &mut World, ask: &Ask<'_>) -> HttpAnswer {
    let at = ask.id.to_ascii_lowercase().find("/providers/microsoft.managedidentity/");
    let scope = &ask.id[..at.unwrap_or(0)];
    let identity = world.body(scope).map(|body| body["identity"].clone()).unwrap_or_default();
    let Some(principal) = identity["principalId"].as_str() else {
        return Err(not_found(ask.target));
    };
    let client = world.guid(&format!("client {}", id::key(scope)));
    Ok(Reply::ok(
        json!({"id": ask.id, "name": "default", "type": "Microsoft.ManagedIdentity/identities",
        "properties": {"principalId": principal, "tenantId": world.tenant(), "clientId": client}}),
    ))
}
