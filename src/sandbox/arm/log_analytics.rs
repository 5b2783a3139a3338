//! Log Analytics workspaces and their keys ("Azure REST: Log Analytics Workspaces; Shared Keys").

use base64::Engine;
use serde_json::json;

use super::answer::{Ask, not_found, refuse, set};
use super::{generic, providers};
use crate::json::fill;
use crate::state::clock::Work;
use crate::state::id;
use crate::state::world::World;
use crate::wire::{HttpAnswer, Reply};

pub(crate) fn put(world: &mut World, ask: &Ask<'_>) -> HttpAnswer {
    let fresh = world.get(&ask.id).is_none();
    if fresh && !ask.call.json()?["location"].is_string() {
        return Err(refuse("location", &[]));
    }
    let stamp = world.stamp();
    let old = world.body(&ask.id).map(|body| body["properties"]["createdDate"].clone());
    let reply = generic::put(world, ask, |world, body| {
        body["type"] = json!("Microsoft.OperationalInsights/workspaces");
        let properties = &mut body["properties"];
        let sku = properties["sku"]["name"].as_str().unwrap_or("PerGB2018").to_ascii_lowercase();
        properties["sku"] = json!({"name": sku, "lastSkuUpdate": stamp});
        properties["customerId"] = json!(world.guid(&format!("customer {}", ask.id)));
        properties["createdDate"] = old.unwrap_or_else(|| json!(stamp));
        properties["modifiedDate"] = json!(stamp);
        properties["provisioningState"] = json!(if fresh { "Creating" } else { "Succeeded" });
        fill(properties, providers::defaults(&ask.kind));
    })?;
    if fresh {
        let ready = set(&ask.id, "/properties/provisioningState", "Succeeded");
        world.after(Work::LogAnalytics, ready);
    }
    Ok(reply)
}

pub(crate) fn keys(world: &mut World, ask: &Ask<'_>) -> HttpAnswer {
    let workspace = ask.subject();
    if world.get(workspace).is_none() {
        return Err(not_found(&id::parse(workspace)));
    }
    let key = |which: &str| {
        let text = world.guid(&format!("{which} {workspace}")).repeat(2);
        base64::engine::general_purpose::STANDARD.encode(text.get(..64).unwrap_or(&text))
    };
    let keys = json!({"primarySharedKey": key("primary"), "secondarySharedKey": key("secondary")});
    Ok(Reply::ok(keys))
}

/// Workspaces that could be recovered; nothing here is.
pub(crate) fn deleted(_: &mut World, _: &Ask<'_>) -> HttpAnswer {
    Ok(Reply::ok(json!({"value": []})))
}
