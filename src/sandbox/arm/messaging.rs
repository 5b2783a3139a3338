//! Azure Relay and Service Bus: namespaces that become active a minute after a `200`, and what lies in them
//! ("Azure REST: Relay; Service Bus"; recordings of `az relay` and `az servicebus`).

use base64::Engine;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::answer::{Ask, envelope, lower_group, not_found, refuse, region, retry_later, set};
use super::{generic, providers};
use crate::json::{copy, fill, items, says, text};
use crate::state::clock::Work;
use crate::state::event::Occurrence;
use crate::state::id;
use crate::state::world::World;
use crate::wire::{HttpAnswer, Reply};

/// The namespace of the provider as the service writes it.
fn provider(ask: &Ask<'_>) -> &'static str {
    if ask.kind.starts_with("microsoft.servicebus/") {
        "Microsoft.ServiceBus"
    } else {
        "Microsoft.Relay"
    }
}

/// Six to fifty characters, a letter first.
fn is_name(name: &str) -> bool {
    (6..=50).contains(&name.chars().count())
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.ends_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

/// Names are global over Relay, Service Bus and Event Hubs.
fn is_taken(world: &World, name: &str) -> bool {
    ["microsoft.relay/namespaces", "microsoft.servicebus/namespaces"]
        .iter()
        .flat_map(|kind| world.keyed("", kind))
        .any(|(key, _)| id::last_segment(key).eq_ignore_ascii_case(name))
}

pub(crate) fn check_name(world: &mut World, ask: &Ask<'_>) -> HttpAnswer {
    let request = ask.call.json()?;
    let name = text(&request["name"]);
    let (available, reason, message) = if !is_name(name) {
        (false, "InvalidName", "The specified namespace name is invalid.")
    } else if is_taken(world, name) {
        (false, "NameInUse", "The specified service namespace name is not available.")
    } else {
        (true, "None", "")
    };
    Ok(Reply::ok(json!({"nameAvailable": available, "reason": reason, "message": message})))
}

fn stamp(world: &World) -> Json {
    json!(world.now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
}

pub(crate) fn put_namespace(world: &mut World, ask: &Ask<'_>) -> HttpAnswer {
    let (request, existing) = generic::begin(world, ask)?;
    if !is_name(ask.name()) {
        return Err(refuse("namespace-name", &[ask.name()]));
    }
    if existing.is_none() && is_taken(world, ask.name()) {
        return Err(refuse("namespace-taken", &[ask.name()]));
    }
    if existing.is_none() && !request["location"].is_string() {
        return Err(refuse("location", &[]));
    }
    let body = namespace_body(world, ask, request, existing.as_ref());
    world.put(&ask.id, body.clone());
    if existing.is_none() {
        let root = format!("{}/AuthorizationRules/RootManageSharedAccessKey", ask.id);
        put_rule(world, ask, &root, &json!(["Listen", "Manage", "Send"]));
        for (pointer, value) in
            [("/properties/status", "Active"), ("/properties/provisioningState", "Succeeded")]
        {
            world.after(Work::NamespaceActivation, set(&ask.id, pointer, value));
        }
    }
    Ok(Reply::ok(body).with("x-ms-ratelimit-remaining-subscription-resource-requests", "49"))
}

/// A namespace as the service returns it.
fn namespace_body(
    world: &World,
    ask: &Ask<'_>,
    mut request: Json,
    existing: Option<&Json>,
) -> Json {
    // What a PUT of a namespace leaves out keeps its value; tags that it has replace the old ones.
    if let Some(old) = existing {
        fill(&mut request, &json!({"tags": old["tags"]}));
        let mut properties = old["properties"].clone();
        if request["properties"].is_object() {
            json_patch::merge(&mut properties, &request["properties"]);
        }
        request["properties"] = properties;
    }
    let kind = format!("{}/Namespaces", provider(ask));
    let mut body = envelope(world, &ask.id, &kind, &request, existing);
    // Locations come back as display names: `westus2` as `West US 2`.
    let place = region(&body["location"]);
    if let Some((_, display)) = providers::LOCATIONS.iter().find(|(name, _)| *name == place) {
        body["location"] = json!(display);
    }
    let named = |sku: &&&str| says(&body["sku"]["name"], sku);
    let sku = ["Basic", "Premium"].iter().find(named).copied().unwrap_or("Standard");
    body["sku"] = json!({"name": sku, "tier": sku});
    fill(&mut body, &json!({"tags": {}}));
    let (name, now) = (ask.name(), stamp(world));
    let properties = &mut body["properties"];
    properties["metricId"] = json!(format!("{}:{}", ask.subscription(), name.to_ascii_lowercase()));
    properties["serviceBusEndpoint"] = json!(format!("https://{name}.servicebus.windows.net:443/"));
    properties["updatedAt"] = now.clone();
    properties["createdAt"] = now;
    for member in ["provisioningState", "status"] {
        properties[member] = Json::Null;
    }
    let old = existing.map_or(&Json::Null, |old| &old["properties"]);
    copy(old, &["createdAt", "provisioningState", "status"], properties);
    fill(properties, providers::defaults(&ask.kind));
    body
}

pub(crate) fn delete_namespace(world: &mut World, ask: &Ask<'_>) -> HttpAnswer {
    if world.get(&ask.id).is_none() {
        return Ok(Reply::empty(204));
    }
    world.forget(&ask.id);
    if let Some(stored) = world.get_mut(&ask.id) {
        stored.body["properties"]["status"] = json!("Removing");
        stored.body["properties"]["provisioningState"] = json!("Succeeded");
    }
    world.after(Work::NamespaceRemoval, Occurrence::Remove { id: ask.id.clone() });
    let (origin, version) = (&ask.call.origin, ask.call.api_version());
    let url = format!("{origin}{}/operationresults/{}?api-version={version}", ask.id, ask.name());
    Ok(retry_later(world, Reply::empty(202).with("Location", url), 10))
}

/// While it is being removed: 202 with the whole namespace, whose `provisioningState` misleadingly says `Succeeded`.
pub(crate) fn operation_result(world: &mut World, ask: &Ask<'_>) -> HttpAnswer {
    let Some(body) = world.body(&ask.parent()).cloned() else { return Ok(Reply::empty(200)) };
    let url = format!("{}{}?{}", ask.call.origin, ask.call.path(), ask.call.raw_query);
    Ok(retry_later(world, Reply::json(202, body).with("Location", url), 10))
}

/// Every namespace has rules for its network, which nobody needs to have written.
pub(crate) fn network_rules(world: &World, ask: &Ask<'_>) -> HttpAnswer {
    if world.get(&ask.parent()).is_none() {
        return Err(not_found(ask.target));
    }
    let kind = format!("{}/Namespaces/NetworkRuleSets", provider(ask));
    Ok(Reply::ok(
        json!({"id": ask.id, "name": "default", "type": kind, "properties": providers::defaults(&ask.kind)}),
    ))
}

/// Hybrid connections, topics, subscriptions and rules: 200 always, at once.
pub(crate) fn put_child(world: &mut World, ask: &Ask<'_>) -> HttpAnswer {
    let (request, existing) = generic::begin(world, ask)?;
    if ask.kind.ends_with("authorizationrules") {
        let rights = &request["properties"]["rights"];
        check_rights(rights)?;
        return Ok(Reply::ok(put_rule(world, ask, &ask.id, rights)));
    }
    const FIXED: &str = "requiresClientAuthorization";
    let wanted = request["properties"].get(FIXED);
    let old = existing.as_ref().map(|old| &old["properties"][FIXED]);
    if old.zip(wanted).is_some_and(|(old, wanted)| old != wanted) {
        return Err(refuse("client-authorization", &[]));
    }
    let types = ask.target.last().map(id::Level::types).unwrap_or_default();
    let kind = format!("{}/{types}", provider(ask));
    let mut body = envelope(world, &ask.id, &kind, &request, existing.as_ref());
    let now = stamp(world);
    body["location"] = json!(place_of(world, &ask.id));
    fill(&mut body["properties"], providers::defaults(&ask.kind));
    body["properties"]["createdAt"] =
        existing.as_ref().map_or(now.clone(), |old| old["properties"]["createdAt"].clone());
    body["properties"]["updatedAt"] = now;
    if types.ends_with("hybridconnections") {
        let parent =
            world.body(&ask.parent()).map(|parent| text(&parent["id"])).unwrap_or_default();
        body["id"] = json!(format!("{parent}/hybridconnections/{}", ask.name()));
        body["type"] = json!("Microsoft.Relay/namespaces/hybridconnections");
    }
    world.put(&ask.id, body.clone());
    Ok(Reply::ok(body))
}

/// The rights of an authorization rule: at least one, and Manage only with the other two.
fn check_rights(rights: &Json) -> Result<(), Reply> {
    let has = |right: &str| items(rights).any(|value| says(value, right));
    let known = |value: &Json| ["Manage", "Send", "Listen"].iter().any(|right| says(value, right));
    let any = items(rights).next().is_some();
    if any && items(rights).all(known) && (!has("Manage") || (has("Send") && has("Listen"))) {
        return Ok(());
    }
    Err(refuse("rights", &[]))
}

/// The Relay or Service Bus namespace that an id lies in.
fn namespace_of(id: &str) -> &str {
    let after = id
        .to_ascii_lowercase()
        .find("/namespaces/")
        .map_or(id.len(), |at| at + "/namespaces/".len());
    let end = id[after..].find('/').map_or(id.len(), |length| after + length);
    &id[..end]
}

fn place_of(world: &World, id: &str) -> String {
    world.body(namespace_of(id)).map(|body| region(&body["location"])).unwrap_or_default()
}

fn put_rule(world: &mut World, ask: &Ask<'_>, id: &str, rights: &Json) -> Json {
    let below = |part: &str| id.to_ascii_lowercase().contains(part);
    let middle = match () {
        () if below("/hybridconnections/") => "/HybridConnections",
        () if below("/topics/") => "/Topics",
        () => "",
    };
    let kind = format!("{}/Namespaces{middle}/AuthorizationRules", provider(ask));
    let body = json!({"id": id, "name": id::last_segment(id), "type": kind, "location": place_of(world, id),
        "properties": {"rights": rights}});
    world.put(id, body.clone());
    body
}

/// A GET of a rule of Service Bus answers with an id in lower case where the PUT did not.
pub(crate) fn show_child(_: &World, ask: &Ask<'_>, body: &mut Json) {
    if ask.is_named()
        && ask.call.method == http::Method::GET
        && ask.kind.ends_with("authorizationrules")
    {
        let id =
            lower_group(text(&body["id"])).replace("/AuthorizationRules/", "/authorizationrules/");
        body["id"] = json!(id);
    }
}

fn key_text(world: &World, rule: &str, which: &str) -> String {
    let turn = world.get(rule).and_then(|stored| stored.hidden[which].as_u64()).unwrap_or(0);
    let seed = format!("{which} {turn} {}", id::key(rule));
    let bytes: Vec<u8> = [world.guid(&seed), world.guid(&format!("{seed} second"))]
        .iter()
        .flat_map(|guid| Uuid::parse_str(guid).map(Uuid::into_bytes).unwrap_or_default())
        .collect();
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

pub(crate) fn keys(world: &mut World, ask: &Ask<'_>) -> HttpAnswer {
    let rule = ask.subject();
    if world.get(rule).is_none() {
        return Err(not_found(ask.target));
    }
    let (name, entity) = (id::last_segment(rule), id::parent_id(rule));
    let namespace = id::last_segment(namespace_of(rule)).to_ascii_lowercase();
    let path = if id::key(&entity) == id::key(namespace_of(rule)) {
        String::new()
    } else {
        format!(";EntityPath={}", id::last_segment(&entity))
    };
    let connection = |key: &str| {
        format!(
            "Endpoint=sb://{namespace}.servicebus.windows.net/;SharedAccessKeyName={name};SharedAccessKey={key}{path}"
        )
    };
    let [primary, secondary] = ["primary", "secondary"].map(|which| key_text(world, rule, which));
    Ok(Reply::ok(
        json!({"primaryConnectionString": connection(&primary), "secondaryConnectionString": connection(&secondary),
        "primaryKey": primary, "secondaryKey": secondary, "keyName": name}),
    ))
}

pub(crate) fn regenerate(world: &mut World, ask: &Ask<'_>) -> HttpAnswer {
    let request = ask.call.json()?;
    let wanted = |(name, _): &&(&str, &str)| says(&request["keyType"], name);
    let known = [("primarykey", "primary"), ("secondarykey", "secondary")];
    let Some((_, which)) = known.iter().find(wanted) else { return Err(refuse("key-type", &[])) };
    if let Some(stored) = world.get_mut(ask.subject()) {
        stored.hidden[*which] = json!(stored.hidden[*which].as_u64().unwrap_or(0) + 1);
    }
    keys(world, ask)
}
