//! Log Analytics workspaces and their keys ("Azure REST: Log Analytics Workspaces; Shared Keys").

use base64::Engine;
use http::Method;
use serde_json::{Value as Json, json};

use super::answer::{canonical_id, method_not_allowed, not_found};
use super::generic;
use crate::state::clock::Work;
use crate::state::id::{self, Target, parent_or_self};
use crate::state::world::{Event, World};
use crate::wire::{Answer, Call, Reply, fail};

/// Answers under `Microsoft.OperationalInsights`.
pub(crate) fn handle(world: &mut World, call: &Call, target: &Target) -> Answer {
    let Some(level) = target.last() else { return Err(method_not_allowed(call)) };
    let id = canonical_id(call);
    match (&call.method, level.types().as_str(), level.is_named()) {
        (&Method::PUT, "workspaces", true) => put(world, call, target, &id),
        (&Method::POST, "workspaces/sharedkeys" | "workspaces/regeneratesharedkey", false) => {
            let workspace = parent_or_self(&id);
            if world.get(&workspace).is_none() {
                return Err(not_found(&id::parse(&workspace)));
            }
            let key = |which: &str| {
                let text = world.guid(&format!("{which} {workspace}")).repeat(2);
                base64::engine::general_purpose::STANDARD.encode(text.get(..64).unwrap_or(&text))
            };
            Ok(Reply::ok(
                json!({"primarySharedKey": key("primary"), "secondarySharedKey": key("secondary")}),
            ))
        }
        (&Method::GET, "deletedworkspaces", false) => Ok(Reply::ok(json!({"value": []}))),
        _ => generic::handle(world, call, target),
    }
}

fn put(world: &mut World, call: &Call, target: &Target, id: &str) -> Answer {
    if !call.json()?["location"].is_string() && world.get(id).is_none() {
        return Err(fail(
            400,
            "LocationRequired",
            "The location property is required for this definition.",
        ));
    }
    let fresh = world.get(id).is_none();
    let stamp = world.stamp();
    let old = world.body(id).map(|body| body["properties"].clone()).unwrap_or_default();
    let customer = world.guid(&format!("customer {id}"));
    let reply = generic::put(world, call, target, id, |_, body| {
        body["type"] = json!("Microsoft.OperationalInsights/workspaces");
        let properties = &mut body["properties"];
        let sku = properties["sku"]["name"].as_str().unwrap_or("PerGB2018").to_ascii_lowercase();
        properties["sku"] = json!({"name": sku, "lastSkuUpdate": stamp});
        properties["customerId"] = json!(customer);
        properties["createdDate"] = old.get("createdDate").cloned().unwrap_or_else(|| json!(stamp));
        properties["modifiedDate"] = json!(stamp);
        properties["provisioningState"] = json!(if fresh { "Creating" } else { "Succeeded" });
        for (member, value) in [
            ("retentionInDays", json!(30)),
            ("publicNetworkAccessForIngestion", json!("Enabled")),
            ("publicNetworkAccessForQuery", json!("Enabled")),
            (
                "features",
                json!({"legacy": 0, "searchVersion": 1, "enableLogAccessUsingOnlyResourcePermissions": true}),
            ),
            (
                "workspaceCapping",
                json!({"dailyQuotaGb": -1.0, "dataIngestionStatus": "RespectQuota"}),
            ),
        ] {
            if properties.get(member).is_none_or(Json::is_null) {
                properties[member] = value;
            }
        }
    })?;
    if fresh {
        let event = Event::Set {
            id: id.to_owned(),
            pointer: "/properties/provisioningState".to_owned(),
            value: json!("Succeeded"),
        };
        world.after(Work::LogAnalytics, event);
    }
    Ok(reply)
}
