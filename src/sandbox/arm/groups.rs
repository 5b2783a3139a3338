//! Tenants, subscriptions, resource groups and the lists over all resources ("Azure REST: Resources, Subscriptions").

use http::{Method, StatusCode};
use serde_json::{Value as Json, json};

use super::id::{self, Target};
use super::{canonical_id, fail, method_not_allowed, retry_later};
use crate::sandbox::clock::Work;
use crate::sandbox::wire::{Answer, Call, Reply};
use crate::sandbox::world::{Event, World};

/// `/tenants` and `/subscriptions`.
pub(super) fn tenant_level(world: &World, call: &Call) -> Answer {
    if call.segments.len() == 1 && call.is(0, "tenants") {
        let id = format!("/tenants/{}", world.tenant);
        return Ok(Reply::ok(json!({"value": [{
            "id": id, "tenantId": world.tenant, "countryCode": "US", "displayName": "Sandbox",
            "domains": ["sandbox.onmicrosoft.com"], "tenantCategory": "Home", "defaultDomain": "sandbox.onmicrosoft.com",
        }]})));
    }
    if call.segments.len() == 1 && call.is(0, "providers") {
        return Ok(super::providers::list_all(world, call));
    }
    if call.segments.len() == 1 && call.is(0, "subscriptions") {
        let items = world.of_type(None, "microsoft.resources/subscriptions");
        return Ok(call.page(items.into_iter().map(|stored| stored.body.clone()).collect(), false));
    }
    Err(fail(
        StatusCode::NOT_FOUND,
        "NotFound",
        format!("The path '{}' was not found.", call.path()),
    ))
}

/// What lies directly in a subscription or a resource group.
pub(super) fn handle(world: &mut World, call: &Call, target: &Target) -> Answer {
    let subscription = target.subscription.as_deref().unwrap_or_default();
    let rest: Vec<String> = target.rest.iter().map(|s| s.to_ascii_lowercase()).collect();
    match (&target.group, rest.iter().map(String::as_str).collect::<Vec<_>>().as_slice()) {
        (None, []) => subscription_itself(world, call, subscription),
        (None, ["resourcegroups"]) => {
            let items = world.of_type(Some(subscription), "microsoft.resources/resourcegroups");
            Ok(call.page(items.into_iter().map(|stored| stored.body.clone()).collect(), false))
        }
        (None, ["providers"]) => Ok(super::providers::list(world, call, subscription)),
        (None, ["operationresults", operation]) => operation_result(world, call, operation),
        (None, ["locations"]) => Ok(Reply::ok(json!({"value": locations(subscription)}))),
        (None, ["resources"]) => {
            Ok(resources(world, call, &format!("/subscriptions/{subscription}/")))
        }
        (Some(group), ["resources"]) => Ok(resources(
            world,
            call,
            &format!("/subscriptions/{subscription}/resourceGroups/{group}/"),
        )),
        (Some(_), []) => group_itself(world, call),
        _ => Err(fail(
            StatusCode::NOT_FOUND,
            "NotFound",
            format!("The path '{}' was not found.", call.path()),
        )),
    }
}

fn subscription_itself(world: &World, call: &Call, subscription: &str) -> Answer {
    if call.method == Method::GET
        && let Some(body) = world.body(&format!("/subscriptions/{subscription}"))
    {
        return Ok(Reply::ok(body.clone()));
    }
    Err(method_not_allowed(call))
}

fn locations(subscription: &str) -> Vec<Json> {
    super::providers::LOCATIONS
        .iter()
        .map(|(name, display)| {
            json!({"id": format!("/subscriptions/{subscription}/locations/{name}"), "name": name, "type": "Region",
                "displayName": display, "regionalDisplayName": display, "metadata": {"regionType": "Physical"}})
        })
        .collect()
}

fn group_itself(world: &mut World, call: &Call) -> Answer {
    let id = canonical_id(call);
    let existing = world.body(&id).cloned();
    match call.method {
        Method::GET => existing.map(Reply::ok).ok_or_else(|| missing_group(&id)),
        Method::HEAD => Ok(Reply::empty(if existing.is_some() {
            StatusCode::NO_CONTENT
        } else {
            StatusCode::NOT_FOUND
        })),
        Method::PUT | Method::PATCH => {
            let request = call.json()?;
            if existing.is_none() && call.method == Method::PATCH {
                return Err(missing_group(&id));
            }
            let old_location = existing.as_ref().map(|e| e["location"].clone());
            let location = request.get("location").cloned().or_else(|| old_location.clone());
            let Some(location) = location.filter(Json::is_string) else {
                return Err(fail(
                    StatusCode::BAD_REQUEST,
                    "LocationRequired",
                    "The location property is required for this definition.",
                ));
            };
            if old_location.is_some_and(|old| old != location) {
                let text = format!(
                    "Invalid resource group location '{}'. The Resource group already exists in another location.",
                    location.as_str().unwrap_or_default()
                );
                return Err(fail(StatusCode::CONFLICT, "InvalidResourceGroupLocation", text));
            }
            let mut body = group_body(&id, &location);
            if let Some(tags) =
                request.get("tags").or_else(|| existing.as_ref().and_then(|e| e.get("tags")))
            {
                body["tags"] = tags.clone();
            }
            world.put(&id, body.clone());
            let status = if existing.is_some() { StatusCode::OK } else { StatusCode::CREATED };
            Ok(Reply::json(status, body))
        }
        Method::DELETE => {
            if existing.is_none() {
                return Err(missing_group(&id));
            }
            let operation = world.begin(&id, "Deleting");
            if let Some(stored) = world.get_mut(&id) {
                stored.body["properties"]["provisioningState"] = json!("Deleting");
            }
            world.after(Work::NamespaceRemoval, Event::Remove { id: id.clone() });
            world.after(
                Work::NamespaceRemoval,
                Event::End { operation: operation.clone(), error: None },
            );
            let subscription = id::parse(&id).subscription.unwrap_or_default();
            let location = format!(
                "{}/subscriptions/{subscription}/operationresults/{operation}?api-version={}",
                call.origin,
                call.api_version()
            );
            Ok(retry_later(
                world,
                Reply::empty(StatusCode::ACCEPTED).with("Location", location),
                15,
            ))
        }
        _ => Err(method_not_allowed(call)),
    }
}

/// Where the deletion of a group is followed: 202 with the same address while it runs, then 200 without a body.
fn operation_result(world: &World, call: &Call, operation: &str) -> Answer {
    let Some(found) = world.operations.get(operation) else {
        let text = format!("The operation '{operation}' could not be found.");
        return Err(fail(StatusCode::NOT_FOUND, "NotFound", text));
    };
    if found.ended.is_some() {
        return Ok(Reply::empty(StatusCode::OK));
    }
    let here = format!("{}{}?{}", call.origin, call.path(), call.raw_query);
    Ok(retry_later(world, Reply::empty(StatusCode::ACCEPTED).with("Location", here), 15))
}

fn missing_group(id: &str) -> Reply {
    fail(
        StatusCode::NOT_FOUND,
        "ResourceGroupNotFound",
        format!("Resource group '{}' could not be found.", id::last_segment(id)),
    )
}

/// A resource group as ARM returns it.
pub(in crate::sandbox) fn group_body(id: &str, location: &Json) -> Json {
    json!({"id": id, "name": id::last_segment(id), "type": "Microsoft.Resources/resourceGroups", "location": location,
        "properties": {"provisioningState": "Succeeded"}})
}

/// A subscription as ARM returns it.
pub(in crate::sandbox) fn subscription_body(subscription: &str, tenant: &str) -> Json {
    json!({"id": format!("/subscriptions/{subscription}"), "authorizationSource": "RoleBased", "managedByTenants": [],
        "subscriptionId": subscription, "tenantId": tenant, "displayName": "Sandbox subscription", "state": "Enabled",
        "subscriptionPolicies": {"locationPlacementId": "Public_2014-09-01", "quotaId": "PayAsYouGo_2014-09-01", "spendingLimit": "Off"}})
}

/// The tracked resources below a scope; `$filter=resourceType eq '…'` is understood.
fn resources(world: &World, call: &Call, scope: &str) -> Reply {
    let prefix = format!("{}/", id::key(scope));
    let wanted = call.param("$filter").and_then(|filter| {
        let (name, value) = filter.split_once(" eq ")?;
        name.trim()
            .eq_ignore_ascii_case("resourcetype")
            .then(|| value.trim().trim_matches('\'').to_ascii_lowercase())
    });
    let items = world
        .resources
        .iter()
        .filter(|(key, stored)| {
            key.starts_with(&prefix)
                && is_tracked(key, &stored.body)
                && wanted.as_ref().is_none_or(|wanted| id::type_of(key) == *wanted)
        })
        .map(|(_, stored)| {
            let mut row = json!({});
            for member in
                ["id", "name", "type", "location", "tags", "sku", "kind", "identity", "managedBy"]
            {
                if let Some(value) = stored.body.get(member) {
                    row[member] = value.clone();
                }
            }
            row
        })
        .collect();
    call.page(items, false)
}

/// Tracked resources are those ARM itself lists: in a group, top level, with a location.
pub(super) fn is_tracked(key: &str, body: &Json) -> bool {
    let target = id::parse(key);
    target.group.is_some()
        && target.levels.len() == 1
        && target.last().is_some_and(|level| level.pairs.len() == 1)
        && body.get("location").is_some()
}
