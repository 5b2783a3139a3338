//! Tenants, subscriptions, resource groups and the lists over all resources ("Azure REST: Resources, Subscriptions").

use http::Method;
use serde_json::{Value as Json, json};

use super::answer::{
    canonical_id, mark_deleting, method_not_allowed, page, refuse, region, retry_later,
};
use super::{access, providers};
use crate::json::copy;
use crate::state::clock::Work;
use crate::state::event::Occurrence;
use crate::state::id::{self, ResourcePath};
use crate::state::world::World;
use crate::wire::{HttpAnswer, HttpCall, Reply};

/// `/tenants` and `/subscriptions`.
pub(crate) fn tenant_level(world: &World, call: &HttpCall) -> HttpAnswer {
    let known = ["tenants", "providers", "subscriptions"].iter().any(|word| call.is(0, word));
    if known && call.segments.len() == 1 && call.method != Method::GET {
        return Err(method_not_allowed(call));
    }
    if call.segments.len() == 1 && call.is(0, "tenants") {
        let id = format!("/tenants/{}", world.tenant());
        return Ok(Reply::ok(json!({"value": [{
            "id": id, "tenantId": world.tenant(), "countryCode": "US", "displayName": "Sandbox",
            "domains": ["sandbox.onmicrosoft.com"], "tenantCategory": "Home", "defaultDomain": "sandbox.onmicrosoft.com",
        }]})));
    }
    if call.segments.len() == 1 && call.is(0, "providers") {
        return Ok(providers::list_all(world, call));
    }
    if call.segments.len() == 1 && call.is(0, "subscriptions") {
        let items = world.of_type(None, "microsoft.resources/subscriptions");
        let may_see = access::reader(world, call);
        let items =
            items.into_iter().filter(|it| may_see(it.body["id"].as_str().unwrap_or_default()));
        return Ok(page(world, call, items, |stored| stored.body.clone()));
    }
    Err(refuse("path", &[&call.path()]))
}

/// What lies directly in a subscription or a resource group.
pub(crate) fn handle(world: &mut World, call: &HttpCall, target: &ResourcePath) -> HttpAnswer {
    let subscription = target.subscription.as_deref().unwrap_or_default();
    let rest: Vec<String> = target.rest.iter().map(|s| s.to_ascii_lowercase()).collect();
    let lists = ["resourcegroups", "providers", "locations", "resources", "operationresults"];
    if rest.first().is_some_and(|it| lists.contains(&it.as_str())) && call.method != Method::GET {
        return Err(method_not_allowed(call));
    }
    match (&target.group, rest.iter().map(String::as_str).collect::<Vec<_>>().as_slice()) {
        (None, []) => subscription_itself(world, call, subscription),
        (None, ["resourcegroups"]) => {
            let items = world.of_type(Some(subscription), "microsoft.resources/resourcegroups");
            Ok(page(world, call, items, |stored| stored.body.clone()))
        }
        (None, ["providers"]) => Ok(providers::list(world, call, subscription)),
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
        _ => Err(refuse("path", &[&call.path()])),
    }
}

fn subscription_itself(world: &World, call: &HttpCall, subscription: &str) -> HttpAnswer {
    if call.method == Method::GET
        && let Some(body) = world.body(&format!("/subscriptions/{subscription}"))
    {
        return Ok(Reply::ok(body.clone()));
    }
    Err(method_not_allowed(call))
}

fn locations(subscription: &str) -> Vec<Json> {
    providers::LOCATIONS
        .iter()
        .map(|(name, display)| {
            json!({"id": format!("/subscriptions/{subscription}/locations/{name}"), "name": name, "type": "Region",
                "displayName": display, "regionalDisplayName": display, "metadata": {"regionType": "Physical"}})
        })
        .collect()
}

fn group_itself(world: &mut World, call: &HttpCall) -> HttpAnswer {
    let id = canonical_id(call);
    let existing = world.body(&id).cloned();
    match call.method {
        Method::GET => existing.map(Reply::ok).ok_or_else(|| missing_group(&id)),
        Method::HEAD => Ok(Reply::head(existing.is_some())),
        Method::PUT | Method::PATCH => {
            let request = call.json()?;
            if existing.is_none() && call.method == Method::PATCH {
                return Err(missing_group(&id));
            }
            let old_location = existing.as_ref().map(|e| e["location"].clone());
            let given = request.get("location").filter(|value| value.is_string()).map(region);
            // Only a PATCH may leave it out.
            let kept = old_location.as_ref().filter(|_| call.method == Method::PATCH);
            let location = given.map(Json::from).or_else(|| kept.cloned());
            let Some(location) = location else {
                return Err(refuse("location", &[]));
            };
            if old_location.is_some_and(|old| old != location) {
                let wanted = location.as_str().unwrap_or_default();
                return Err(refuse("group-moved", &[wanted]));
            }
            check_group(id::last_segment(&id), location.as_str().unwrap_or_default())?;
            let mut body = group_body(&id, &location);
            let kept = existing.as_ref().filter(|_| call.method == Method::PATCH);
            if let Some(tags) = request.get("tags").or_else(|| kept.and_then(|e| e.get("tags"))) {
                body["tags"] = tags.clone();
            }
            world.put(&id, body.clone());
            let status = if existing.is_some() { 200 } else { 201 };
            Ok(Reply::json(status, body))
        }
        Method::DELETE => {
            if existing.is_none() {
                return Err(missing_group(&id));
            }
            mark_deleting(world, &id);
            Ok(accept_removal(world, call, &id, Work::NamespaceRemoval))
        }
        _ => Err(method_not_allowed(call)),
    }
}

/// 202 for a removal that takes its time, with the address where it is followed.
pub(crate) fn accept_removal(world: &mut World, call: &HttpCall, id: &str, work: Work) -> Reply {
    let operation = world.begin(id, "Deleting");
    world.after(work, Occurrence::Remove { id: id.to_owned() });
    world.after(work, Occurrence::End { operation: operation.clone(), error: None });
    let subscription = id::parse(id).subscription.unwrap_or_default();
    let location = format!(
        "{}/subscriptions/{subscription}/operationresults/{operation}?api-version={}",
        call.origin,
        call.api_version()
    );
    retry_later(world, Reply::empty(202).with("Location", location), 15)
}

/// Where a removal is followed: 202 with the same address while it runs, then 200 without a body.
fn operation_result(world: &World, call: &HttpCall, operation: &str) -> HttpAnswer {
    let Some(found) = world.operations.get(operation) else {
        return Err(refuse("operation", &[operation]));
    };
    if found.ended.is_some() {
        return Ok(Reply::empty(200));
    }
    let here = format!("{}{}?{}", call.origin, call.path(), call.raw_query);
    Ok(retry_later(world, Reply::empty(202).with("Location", here), 15))
}

/// Names of groups: letters, digits and `-._()`, no period at the end, at most 90 ("ARM docs: naming rules").
fn check_group(name: &str, location: &str) -> Result<(), Reply> {
    let fits = |c: char| c.is_alphanumeric() || "-._()".contains(c);
    if name.chars().count() > 90 || name.ends_with('.') || !name.chars().all(fits) {
        return Err(refuse("group-name", &[name]));
    }
    if providers::LOCATIONS.iter().any(|(known, _)| *known == location) {
        return Ok(());
    }
    Err(refuse("group-location", &[location]))
}

fn missing_group(id: &str) -> Reply {
    refuse("group", &[id::last_segment(id)])
}

/// A resource group as ARM returns it.
pub(crate) fn group_body(id: &str, location: &Json) -> Json {
    json!({"id": id, "name": id::last_segment(id), "type": "Microsoft.Resources/resourceGroups", "location": location,
        "properties": {"provisioningState": "Succeeded"}})
}

/// A subscription as ARM returns it.
pub(crate) fn subscription_body(subscription: &str, tenant: &str) -> Json {
    json!({"id": format!("/subscriptions/{subscription}"), "authorizationSource": "RoleBased", "managedByTenants": [],
        "subscriptionId": subscription, "tenantId": tenant, "displayName": "Sandbox subscription", "state": "Enabled",
        "subscriptionPolicies": {"locationPlacementId": "Public_2014-09-01", "quotaId": "PayAsYouGo_2014-09-01", "spendingLimit": "Off"}})
}

/// The tracked resources below a scope; `$filter=resourceType eq '…'` is understood.
fn resources(world: &World, call: &HttpCall, scope: &str) -> Reply {
    let prefix = format!("{}/", id::key(scope));
    let wanted = call.param("$filter").and_then(|filter| {
        let (name, value) = filter.split_once(" eq ")?;
        name.trim()
            .eq_ignore_ascii_case("resourcetype")
            .then(|| value.trim().trim_matches('\'').to_ascii_lowercase())
    });
    let may_see = access::reader(world, call);
    let items = world
        .resources
        .iter()
        .filter(|(key, stored)| {
            key.starts_with(&prefix)
                && is_tracked(key, &stored.body)
                && may_see(key)
                && wanted.as_ref().is_none_or(|wanted| id::type_of(key) == *wanted)
        })
        .map(|(_, stored)| &stored.body);
    page(world, call, items, |body| {
        let mut row = json!({});
        let shown =
            ["id", "name", "type", "location", "tags", "sku", "kind", "identity", "managedBy"];
        copy(body, &shown, &mut row);
        row
    })
}

/// Tracked resources are those ARM itself lists: in a group, top level, with a location.
pub(crate) fn is_tracked(key: &str, body: &Json) -> bool {
    let target = id::parse(key);
    target.group.is_some()
        && target.levels.len() == 1
        && target.last().is_some_and(|level| level.pairs.len() == 1)
        && body.get("location").is_some()
}
