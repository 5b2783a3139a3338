//! Azure Relay and Service Bus: namespaces that become active a minute after a `200`, and what lies in them
//! ("Azure REST: Relay; Service Bus"; recordings of `az relay` and `az servicebus`).

use base64::Engine;
use http::Method;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::answer::{
    canonical_id, envelope, method_not_allowed, not_found, parent_not_found, retry_later,
};
use super::{generic, providers};
use crate::state::clock::Work;
use crate::state::id::{self, Target, parent_id};
use crate::state::world::{Event, World};
use crate::wire::{Answer, Call, Reply, fail};

/// Answers under `Microsoft.Relay` and `Microsoft.ServiceBus`.
pub(crate) fn handle(world: &mut World, call: &Call, target: &Target) -> Answer {
    let Some(level) = target.last() else { return Err(method_not_allowed(call)) };
    let types = level.types();
    let id = canonical_id(call);
    match (&call.method, types.as_str(), level.is_named()) {
        (&Method::POST, "checknameavailability", _) => check_name(world, call),
        (&Method::GET, "namespaces/operationresults", true) => {
            Ok(operation_result(world, call, &parent_id(&id)))
        }
        (&Method::POST, kind, _) if kind.ends_with("authorizationrules/listkeys") => {
            keys(world, target, &rule_of(&id))
        }
        (&Method::POST, kind, _) if kind.ends_with("authorizationrules/regeneratekeys") => {
            regenerate(world, call, target, &rule_of(&id))
        }
        (&Method::PUT, "namespaces", true) => put_namespace(world, call, target, &id),
        (&Method::DELETE, "namespaces", true) => delete_namespace(world, call, &id),
        (&Method::PUT, "namespaces/networkrulesets", true) => {
            generic::put(world, call, target, &id, |_, _| {})
        }
        (&Method::GET, "namespaces/networkrulesets", true) if world.get(&id).is_none() => {
            network_rules(world, target, &id)
        }
        (&Method::PUT, kind, true) if kind != "namespaces" => {
            providers::require_type(target, kind)?;
            put_child(world, call, target, &id)
        }
        (&Method::GET, kind, true) if kind.ends_with("authorizationrules") => {
            read_rule(world, target, &id)
        }
        _ => generic::handle(world, call, target),
    }
}

fn rule_of(id: &str) -> String {
    id.rsplit_once('/').map(|(rule, _)| rule.to_owned()).unwrap_or_default()
}

fn bus(target: &Target) -> bool {
    target.namespace() == "microsoft.servicebus"
}

/// Names are global over Relay, Service Bus and Event Hubs; six to fifty characters, a letter first.
fn name_problem(name: &str) -> bool {
    let ok = (6..=50).contains(&name.chars().count())
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.ends_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    !ok
}

fn owner_of_name(world: &World, name: &str) -> Option<String> {
    ["microsoft.relay/namespaces", "microsoft.servicebus/namespaces"]
        .iter()
        .flat_map(|kind| world.keyed("", kind))
        .map(|(key, _)| key)
        .find(|key| id::last_segment(key).eq_ignore_ascii_case(name))
        .map(ToOwned::to_owned)
}

fn check_name(world: &World, call: &Call) -> Answer {
    let name = call.json()?["name"].as_str().unwrap_or_default().to_owned();
    let (available, reason, message) = if name_problem(&name) {
        (false, "InvalidName", "The specified namespace name is invalid.")
    } else if owner_of_name(world, &name).is_some() {
        (false, "NameInUse", "The specified service namespace name is not available.")
    } else {
        (true, "None", "")
    };
    Ok(Reply::ok(json!({"nameAvailable": available, "reason": reason, "message": message})))
}

/// Locations come back as display names: `westus2` as `West US 2`.
fn display_location(location: &Json) -> Json {
    let plain = location.as_str().unwrap_or_default().to_ascii_lowercase().replace(' ', "");
    providers::LOCATIONS
        .iter()
        .find(|(name, _)| *name == plain)
        .map_or_else(|| location.clone(), |(_, display)| json!(display))
}

fn put_namespace(world: &mut World, call: &Call, target: &Target, id: &str) -> Answer {
    providers::require(world, target)?;
    let request = call.json()?;
    let name = id::last_segment(id);
    let existing = world.body(id).cloned();
    generic::check_name_and_place(target, id, &request, existing.as_ref())?;
    if name_problem(name) {
        return Err(fail(
            400,
            "InvalidNamespaceName",
            format!(
                "The specified namespace name '{name}' is invalid. CorrelationId: {}",
                Uuid::nil()
            ),
        ));
    }
    if existing.is_none() && owner_of_name(world, name).is_some() {
        return Err(fail(
            409,
            "NamespaceUnavailable",
            format!(
                "Namespace '{name}' is not available: the name is in use. CorrelationId: {}",
                Uuid::nil()
            ),
        ));
    }
    if existing.is_none() && !request["location"].is_string() {
        return Err(fail(
            400,
            "LocationRequired",
            "The location property is required for this definition.",
        ));
    }
    let body = namespace_body(world, target, id, &request, existing.as_ref());
    world.put(id, body.clone());
    if existing.is_none() {
        put_rule(
            world,
            &format!("{id}/AuthorizationRules/RootManageSharedAccessKey"),
            &json!(["Listen", "Manage", "Send"]),
            target,
        );
        for (pointer, value) in
            [("/properties/status", "Active"), ("/properties/provisioningState", "Succeeded")]
        {
            world.after(
                Work::NamespaceActivation,
                Event::Set { id: id.to_owned(), pointer: pointer.to_owned(), value: json!(value) },
            );
        }
    }
    Ok(Reply::ok(body).with("x-ms-ratelimit-remaining-subscription-resource-requests", "49"))
}

/// A namespace as the service returns it.
fn namespace_body(
    world: &World,
    target: &Target,
    id: &str,
    request: &Json,
    existing: Option<&Json>,
) -> Json {
    let name = id::last_segment(id);
    let provider = if bus(target) { "Microsoft.ServiceBus" } else { "Microsoft.Relay" };
    // What a PUT of a namespace leaves out keeps its value; tags that it has replace the old ones.
    let mut request = request.clone();
    if let Some(old) = existing {
        if request.get("tags").is_none() {
            request["tags"] = old["tags"].clone();
        }
        let mut properties = old["properties"].clone();
        if request["properties"].is_object() {
            json_patch::merge(&mut properties, &request["properties"]);
        }
        request["properties"] = properties;
    }
    let mut body = envelope(world, id, &format!("{provider}/Namespaces"), &request, existing);
    body["location"] = display_location(&body["location"]);
    let sku = body["sku"]["name"].as_str().unwrap_or("Standard").to_ascii_lowercase();
    let sku = match sku.as_str() {
        "basic" => "Basic",
        "premium" => "Premium",
        _ => "Standard",
    };
    body["sku"] = json!({"name": sku, "tier": sku});
    if body.get("tags").is_none() {
        body["tags"] = json!({});
    }
    let stamp = world.now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
    let subscription = target.subscription.clone().unwrap_or_default();
    let properties = &mut body["properties"];
    properties["metricId"] = json!(format!("{subscription}:{}", name.to_ascii_lowercase()));
    properties["serviceBusEndpoint"] = json!(format!("https://{name}.servicebus.windows.net:443/"));
    properties["updatedAt"] = json!(stamp);
    for (member, value) in [("publicNetworkAccess", "Enabled"), ("minimumTlsVersion", "1.2")] {
        if properties.get(member).is_none() {
            properties[member] = json!(value);
        }
    }
    if let Some(existing) = existing {
        for member in ["createdAt", "provisioningState", "status"] {
            properties[member] = existing["properties"][member].clone();
        }
    } else {
        properties["createdAt"] = json!(stamp);
        properties["provisioningState"] = json!("Created");
        properties["status"] = json!("Activating");
    }
    body
}

fn delete_namespace(world: &mut World, call: &Call, id: &str) -> Answer {
    if world.get(id).is_none() {
        return Ok(Reply::empty(204));
    }
    world.forget(id);
    if let Some(stored) = world.get_mut(id) {
        stored.body["properties"]["status"] = json!("Removing");
        stored.body["properties"]["provisioningState"] = json!("Succeeded");
    }
    world.after(Work::NamespaceRemoval, Event::Remove { id: id.to_owned() });
    let url = format!(
        "{}{id}/operationresults/{}?api-version={}",
        call.origin,
        id::last_segment(id),
        call.api_version()
    );
    Ok(retry_later(world, Reply::empty(202).with("Location", url), 10))
}

/// While it is being removed: 202 with the whole namespace, whose `provisioningState` misleadingly says `Succeeded`.
fn operation_result(world: &World, call: &Call, namespace: &str) -> Reply {
    let Some(body) = world.body(namespace) else { return Reply::empty(200) };
    let url = format!("{}{}?{}", call.origin, call.path(), call.raw_query);
    retry_later(world, Reply::json(202, body.clone()).with("Location", url), 10)
}

fn network_rules(world: &World, target: &Target, id: &str) -> Answer {
    if world.get(&parent_id(id)).is_none() {
        return Err(not_found(target));
    }
    let kind = if bus(target) {
        "Microsoft.ServiceBus/Namespaces/NetworkRuleSets"
    } else {
        "Microsoft.Relay/Namespaces/NetworkRuleSets"
    };
    Ok(Reply::ok(json!({"id": id, "name": "default", "type": kind,
        "properties": {"publicNetworkAccess": "Enabled", "defaultAction": "Allow", "virtualNetworkRules": [], "ipRules": []}})))
}

/// Hybrid connections, topics, subscriptions and rules: 200 always, at once.
fn put_child(world: &mut World, call: &Call, target: &Target, id: &str) -> Answer {
    providers::require(world, target)?;
    let parent = parent_id(id);
    let Some(parent_body) = world.body(&parent).cloned() else {
        return Err(parent_not_found(&parent));
    };
    let namespace = namespace_of(id);
    let request = call.json()?;
    let types = target.last().map(id::Level::types).unwrap_or_default();
    if types.ends_with("authorizationrules") {
        let rights = &request["properties"]["rights"];
        check_rights(rights)?;
        return Ok(Reply::ok(put_rule(world, id, rights, target)));
    }
    let existing = world.body(id).cloned();
    if let Some(old) = &existing
        && let Some(wanted) = request["properties"].get("requiresClientAuthorization")
        && *wanted != old["properties"]["requiresClientAuthorization"]
    {
        return Err(fail(
            400,
            "BadRequest",
            format!(
                "The property requiresClientAuthorization cannot be changed after creation. CorrelationId: {}",
                Uuid::nil()
            ),
        ));
    }
    let provider = if bus(target) { "Microsoft.ServiceBus" } else { "Microsoft.Relay" };
    let mut body = envelope(world, id, &format!("{provider}/{types}"), &request, existing.as_ref());
    let stamp = world.now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
    body["location"] = json!(
        world
            .body(&namespace)
            .and_then(|n| n["location"].as_str())
            .unwrap_or_default()
            .to_ascii_lowercase()
            .replace(' ', "")
    );
    complete_child(&types, &mut body["properties"]);
    let created = existing.as_ref().map_or(json!(stamp), |e| e["properties"]["createdAt"].clone());
    body["properties"]["createdAt"] = created;
    body["properties"]["updatedAt"] = json!(stamp);
    if types.ends_with("hybridconnections") {
        body["id"] = json!(format!(
            "{}/hybridconnections/{}",
            parent_body["id"].as_str().unwrap_or(&parent),
            id::last_segment(id)
        ));
        body["type"] = json!("Microsoft.Relay/namespaces/hybridconnections");
    }
    world.put(id, body.clone());
    Ok(Reply::ok(body))
}

/// The rights of an authorization rule: at least one, and Manage only with the other two.
fn check_rights(rights: &Json) -> Result<(), Reply> {
    let all: Vec<&str> = rights.as_array().into_iter().flatten().filter_map(Json::as_str).collect();
    let has = |right: &str| all.iter().any(|it| it.eq_ignore_ascii_case(right));
    let known = all
        .iter()
        .filter(|it| {
            ["Manage", "Send", "Listen"].iter().any(|known| known.eq_ignore_ascii_case(it))
        })
        .count();
    let listed = rights.as_array().map_or(0, Vec::len);
    if known > 0 && known == listed && (!has("Manage") || (has("Send") && has("Listen"))) {
        return Ok(());
    }
    Err(fail(
        400,
        "BadRequest",
        format!(
            "The rights of an authorization rule are Manage, Send and Listen, at least one, and Manage needs Send and Listen. CorrelationId: {}",
            Uuid::nil()
        ),
    ))
}

fn namespace_of(id: &str) -> String {
    let lower = id.to_ascii_lowercase();
    let end = lower.find("/namespaces/").map(|at| at + "/namespaces/".len());
    end.map_or_else(String::new, |start| {
        let length = id[start..].find('/').unwrap_or(id.len() - start);
        id[..start + length].to_owned()
    })
}

fn complete_child(types: &str, properties: &mut Json) {
    let defaults = match types {
        "namespaces/hybridconnections" => {
            json!({"requiresClientAuthorization": true, "listenerCount": 0})
        }
        "namespaces/topics" => {
            json!({"maxSizeInMegabytes": 1024, "defaultMessageTimeToLive": "P10675199DT2H48M5.4775807S",
            "status": "Active", "requiresDuplicateDetection": false, "enablePartitioning": false, "subscriptionCount": 0})
        }
        "namespaces/topics/subscriptions" => {
            json!({"lockDuration": "PT1M", "maxDeliveryCount": 10, "requiresSession": false,
            "defaultMessageTimeToLive": "P10675199DT2H48M5.4775807S", "deadLetteringOnMessageExpiration": false,
            "enableBatchedOperations": true, "status": "Active", "messageCount": 0})
        }
        _ => json!({}),
    };
    if let Json::Object(defaults) = defaults {
        for (member, value) in defaults {
            if properties.get(&member).is_none_or(Json::is_null) {
                properties[&member] = value;
            }
        }
    }
}

fn put_rule(world: &mut World, id: &str, rights: &Json, target: &Target) -> Json {
    let provider =
        if bus(target) { "Microsoft.ServiceBus/Namespaces" } else { "Microsoft.Relay/Namespaces" };
    let middle = if id.to_ascii_lowercase().contains("/hybridconnections/") {
        "/HybridConnections"
    } else if id.to_ascii_lowercase().contains("/topics/") {
        "/Topics"
    } else {
        ""
    };
    let location = world
        .body(&namespace_of(id))
        .and_then(|n| n["location"].as_str())
        .unwrap_or_default()
        .to_ascii_lowercase()
        .replace(' ', "");
    let body = json!({"id": id, "name": id::last_segment(id), "type": format!("{provider}{middle}/AuthorizationRules"),
        "location": location, "properties": {"rights": rights}});
    world.put(id, body.clone());
    body
}

/// A GET of a rule answers with an id in lower case where the PUT did not.
fn read_rule(world: &mut World, target: &Target, id: &str) -> Answer {
    let mut reply = generic::read(world, target, id)?;
    if let Some(body) = reply.body.as_mut()
        && bus(target)
        && let Some(id) = body["id"].as_str()
    {
        body["id"] = json!(
            id.replace("/resourceGroups/", "/resourcegroups/")
                .replace("/AuthorizationRules/", "/authorizationrules/")
        );
    }
    Ok(reply)
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

fn keys(world: &World, target: &Target, rule: &str) -> Answer {
    if world.get(rule).is_none() {
        return Err(not_found(target));
    }
    let namespace = namespace_of(rule);
    let name = id::last_segment(rule);
    let entity = parent_id(rule);
    let path = if id::key(&entity) == id::key(&namespace) {
        String::new()
    } else {
        format!(";EntityPath={}", id::last_segment(&entity))
    };
    let text = |key: &str| {
        format!(
            "Endpoint=sb://{}.servicebus.windows.net/;SharedAccessKeyName={name};SharedAccessKey={key}{path}",
            id::last_segment(&namespace).to_ascii_lowercase()
        )
    };
    let (primary, secondary) =
        (key_text(world, rule, "primary"), key_text(world, rule, "secondary"));
    Ok(Reply::ok(
        json!({"primaryConnectionString": text(&primary), "secondaryConnectionString": text(&secondary),
        "primaryKey": primary, "secondaryKey": secondary, "keyName": name}),
    ))
}

fn regenerate(world: &mut World, call: &Call, target: &Target, rule: &str) -> Answer {
    let which = match call.json()?["keyType"].as_str() {
        Some(kind) if kind.eq_ignore_ascii_case("primarykey") => "primary",
        Some(kind) if kind.eq_ignore_ascii_case("secondarykey") => "secondary",
        _ => {
            return Err(fail(
                400,
                "BadRequest",
                "The property keyType must be PrimaryKey or SecondaryKey.",
            ));
        }
    };
    if let Some(stored) = world.get_mut(rule) {
        let turn = stored.hidden[which].as_u64().unwrap_or(0) + 1;
        stored.hidden[which] = json!(turn);
    }
    keys(world, target, rule)
}
