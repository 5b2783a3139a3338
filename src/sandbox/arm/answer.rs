//! What the services share to answer as ARM does: errors, pages, headers, and the envelope of a resource.

use serde_json::{Value as Json, json};

use super::heartbeat::heard;
use crate::state::clock::Pace;
use crate::state::id::{self, Target};
use crate::state::world::{Stored, World};
use crate::wire::{Call, Reply, fail};

/// How many entries a page has unless the world says otherwise.
const PAGE: usize = 100;

/// A list in pages; only what is on the page is shown. `nextLink` is absolute ("Azure REST: pagination") and goes on by
/// `$skipToken`.
pub(crate) fn page<T>(
    world: &World,
    call: &Call,
    items: impl IntoIterator<Item = T>,
    show: impl FnMut(T) -> Json,
) -> Reply {
    pages(world, call, "$skipToken", items, show)
}

/// [`page`] by the parameter that the service counts with.
pub(crate) fn pages<T>(
    world: &World,
    call: &Call,
    skip: &str,
    items: impl IntoIterator<Item = T>,
    show: impl FnMut(T) -> Json,
) -> Reply {
    let size = world.file.page_size.map_or(PAGE, std::num::NonZeroUsize::get);
    let from = call.param(&skip.to_ascii_lowercase()).and_then(|token| token.parse().ok());
    let from: usize = from.unwrap_or(0);
    let mut rest = items.into_iter().skip(from);
    let value: Vec<Json> = rest.by_ref().take(size).map(show).collect();
    let mut body = json!({"value": value});
    if rest.next().is_some() {
        let kept = url::form_urlencoded::parse(call.raw_query.as_bytes())
            .filter(|(key, _)| !key.eq_ignore_ascii_case(skip));
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(kept).append_pair(skip, &(from + size).to_string());
        let link = format!("{}{}?{}", call.origin, call.raw_path, query.finish());
        body["nextLink"] = json!(link);
    }
    Reply::ok(body)
}

/// A stored resource as it is shown now.
pub(crate) fn shown(world: &World, stored: &Stored) -> Json {
    let mut body = stored.body.clone();
    heard(world, &mut body);
    body
}

/// `Retry-After` for a client that waits; in fast mode other headers say not to wait.
pub(crate) fn retry_later(world: &World, reply: Reply, seconds: u32) -> Reply {
    if world.pace == Pace::Fast { reply } else { reply.with("Retry-After", seconds.to_string()) }
}

/// 429 as ARM words it.
pub(crate) fn too_many(seconds: u32) -> Reply {
    fail(
        429,
        "TooManyRequests",
        format!("The request is being throttled as the limit has been reached for operation type. Please try again after {seconds} seconds."),
    )
    .with("Retry-After", seconds.to_string())
}

/// ARM's 404 for a resource.
pub(crate) fn not_found(target: &Target) -> Reply {
    let what = target
        .last()
        .map(|level| format!("{}/{}", level.full_type(), level.last_name()))
        .unwrap_or_default();
    let group = target.group.as_deref().unwrap_or("<null>");
    fail(
        404,
        "ResourceNotFound",
        format!(
            "The Resource '{what}' under resource group '{group}' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix"
        ),
    )
}

/// ARM's 404 for a child whose parent is missing.
pub(crate) fn parent_not_found(parent: &str) -> Reply {
    fail(
        404,
        "ParentResourceNotFound",
        format!(
            "Can not perform requested operation on nested resource. Parent resource '{}' not found.",
            id::last_segment(parent)
        ),
    )
}

pub(crate) fn method_not_allowed(call: &Call) -> Reply {
    fail(
        405,
        "MethodNotAllowed",
        format!("The request method '{}' is not supported for this resource.", call.method),
    )
}

/// The path of the request as an id: canonical `resourceGroups`, names as the caller wrote them.
pub(crate) fn canonical_id(call: &Call) -> String {
    let mut segments = call.segments.clone();
    for (at, word) in [(0, "subscriptions"), (2, "resourceGroups")] {
        if let Some(segment) = segments.get_mut(at)
            && segment.eq_ignore_ascii_case(word)
        {
            word.clone_into(segment);
        }
    }
    format!("/{}", segments.join("/"))
}

/// A tracked resource as ARM returns it, from the request over what was there.
pub(crate) fn envelope(
    world: &World,
    id: &str,
    kind: &str,
    request: &Json,
    existing: Option<&Json>,
) -> Json {
    let mut body = json!({"id": existing.map_or(json!(id), |e| e["id"].clone()), "name": id::last_segment(id), "type": kind});
    for member in
        ["location", "tags", "sku", "kind", "identity", "zones", "plan", "extendedLocation"]
    {
        // A PUT replaces; where a resource is and of which kind it is cannot change.
        let stays = ["location", "kind", "sku"].contains(&member);
        let old = existing.filter(|_| stays).and_then(|e| e.get(member));
        let value = request.get(member).or(old);
        if let Some(value) = value.filter(|value| !value.is_null()) {
            body[member] = value.clone();
        }
    }
    if body.get("identity").is_some() {
        body["identity"] = fill_identity(world, id, &body["identity"]);
    }
    body["properties"] = request.get("properties").cloned().unwrap_or_else(|| json!({}));
    body
}

/// What Azure adds to an `identity`: principals of the system and the user-assigned ones.
pub(crate) fn fill_identity(world: &World, id: &str, identity: &Json) -> Json {
    let kind = identity["type"].as_str().unwrap_or("None").to_owned();
    let mut filled = json!({"type": kind});
    if kind.to_ascii_lowercase().contains("systemassigned") {
        filled["principalId"] = json!(world.guid(&format!("principal {id}")));
        filled["tenantId"] = json!(world.tenant());
    }
    if let Some(users) = identity["userAssignedIdentities"].as_object() {
        let map: serde_json::Map<String, Json> = users
            .keys()
            .map(|user| {
                (user.clone(), identity_of(world, &format!("/{}", user.trim_start_matches('/'))))
            })
            .collect();
        filled["userAssignedIdentities"] = Json::Object(map);
    }
    filled
}

/// `principalId` and `clientId` of a user-assigned identity.
pub(crate) fn identity_of(world: &World, id: &str) -> Json {
    let key = id::key(id);
    json!({"principalId": world.guid(&format!("principal {key}")), "clientId": world.guid(&format!("client {key}"))})
}
