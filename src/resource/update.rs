//! Requests that make or change what is in Azure, so that what others wrote in it stays.
//!
//! A PUT replaces the whole resource (Azure REST: ARM RPC, resource PUT), so it carries the live
//! document with our fields in it. A PATCH carries the members that change, each whole: services
//! differ in whether they merge below a member.

use serde_json::Map;

use super::fields::matches;
use super::{Change, Method, Request, Rules, Verb};
use crate::model::{Json, Pointer, Value};

/// What the service writes itself: it is neither compared nor sent back.
const SERVER: &[&str] = &[
    "/id",
    "/name",
    "/type",
    "/etag",
    "/systemData",
    "/identity/principalId",
    "/identity/tenantId",
    "/identity/userAssignedIdentities/*/principalId",
    "/identity/userAssignedIdentities/*/clientId",
    "/properties/additionalDetails",
    "/properties/aksAssignedIdentity",
    "/properties/createdAt",
    "/properties/createdBy",
    "/properties/createdDate",
    "/properties/createdOn",
    "/properties/currentVersion",
    "/properties/customLocationSettings",
    "/properties/customerId",
    "/properties/errorInfo",
    "/properties/extensionState",
    "/properties/isAttachedCompute",
    "/properties/isSystemExtension",
    "/properties/listenerCount",
    "/properties/managementDetails",
    "/properties/metricId",
    "/properties/modifiedDate",
    "/properties/modifiedOn",
    "/properties/packageUri",
    "/properties/provisioningErrors",
    "/properties/provisioningState",
    "/properties/serviceBusEndpoint",
    "/properties/sizeInBytes",
    "/properties/status",
    "/properties/statuses",
    "/properties/subscriptionCount",
    "/properties/messageCount",
    "/properties/updatedAt",
    "/properties/updatedBy",
    "/properties/updatedOn",
];

/// Whether the service writes a field itself.
pub(super) fn is_servers(path: &Pointer) -> bool {
    SERVER.iter().any(|text| matches(text, path))
}

/// How a type takes a change of a resource that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// It has a PATCH.
    Patch,
    /// It is put again as a whole.
    Put,
}

/// The request for a change of a resource in Azure; `None` for the body of a removal.
pub(super) fn request(
    change: &Change<'_>,
    takes: Takes,
    rules: &Rules,
    path: String,
    api_version: &'static str,
) -> Request {
    let whole = || whole(&change.want.body, change.live.document(), rules);
    let (method, body) = match (change.verb, takes) {
        (Verb::Delete, _) => (Method::Delete, None),
        (Verb::Update, Takes::Patch) => (Method::Patch, Some(part(&whole(), change))),
        (Verb::Create | Verb::Update, _) => (Method::Put, Some(whole())),
    };
    Request::Arm { method, path, api_version, query: None, body }
}

/// The wanted document over the live one.
pub(super) fn whole(want: &Value, live: Option<&Json>, rules: &Rules) -> Value {
    over(want, live, &Pointer::root(), rules)
}

fn over(want: &Value, live: Option<&Json>, at: &Pointer, rules: &Rules) -> Value {
    let (Value::Object(wanted), Some(Json::Object(live))) = (want, live) else {
        return want.clone();
    };
    let ours = rules.is_whole(at);
    let mut body = Value::object();
    for (key, value) in wanted {
        body.insert(key, over(value, live.get(key), &at.join(key), rules));
    }
    for (key, value) in live.iter().filter(|(key, _)| !ours && !wanted.contains_key(*key)) {
        if let Some(kept) = kept(value, &at.join(key)) {
            body.insert(key, kept);
        }
    }
    body
}

/// What of a foreign value is sent back: all but what the service writes; null is as good as absent.
fn kept(live: &Json, at: &Pointer) -> Option<Json> {
    match live {
        Json::Null => None,
        _ if is_servers(at) => None,
        Json::Object(map) => {
            let inner = map
                .iter()
                .filter_map(|(key, value)| Some((key.clone(), kept(value, &at.join(key))?)));
            Some(Json::Object(inner.collect::<Map<_, _>>()))
        }
        Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) => Some(live.clone()),
    }
}

/// The members of a document in which something changes; one that goes is null.
fn part(whole: &Value, change: &Change<'_>) -> Value {
    let mut body = Value::object();
    let mut properties = Value::object();
    for field in change.changes {
        let (depth, into) = match field.path.tokens() {
            [first, _, ..] if first == "properties" => (2, &mut properties),
            _ => (1, &mut body),
        };
        let member: Pointer = field.path.tokens().iter().take(depth).cloned().collect();
        let value = whole.get(&member).cloned().unwrap_or(Value::Null);
        if let Some(name) = member.tokens().last() {
            into.insert(name, value);
        }
    }
    if properties != Value::object() {
        body.insert("properties", properties);
    }
    body
}
