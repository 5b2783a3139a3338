//! Azure Resource Manager: who may come in, in which order things are checked, and which service answers.
//!
//! Order of evaluation as clients see it: token → subscription → throttling → rights → resource group → lock → registration of
//! the provider → the provider itself ("ARM RPC", "ARM docs: troubleshoot common errors").

mod access;
pub(super) mod authorization;
mod batch;
pub(super) mod clusters;
pub(super) mod extensions;
pub(super) mod features;
pub(super) mod generic;
pub(super) mod graph;
pub(super) mod groups;
pub(super) mod id;
pub(super) mod insights;
mod kql;
pub(super) mod messaging;
pub(super) mod ml;
pub(super) mod providers;

use http::{Method, StatusCode};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use self::id::Target;
use super::clock::Pace;
use super::throttle::Taken;
use super::wire::{Answer, Call, Reply, fail};
use super::world::{Stored, World};

/// Answers a request to ARM.
pub(super) fn handle(world: &mut World, call: &Call) -> Reply {
    let target = Target::parse(&call.segments);
    let mut limits = Vec::new();
    let answer =
        admit(world, call, &target, &mut limits).and_then(|()| dispatch(world, call, &target));
    let mut reply = match answer {
        Ok(reply) | Err(reply) => reply,
    };
    reply.headers.extend(limits);
    decorate(world, call, reply)
}

fn admit(
    world: &mut World,
    call: &Call,
    target: &Target,
    limits: &mut Vec<(&'static str, String)>,
) -> Result<(), Reply> {
    super::login::check_bearer(world, call, target.subscription.as_deref())?;
    check_api_version(call)?;
    if let Some(subscription) = &target.subscription {
        let path = format!("/subscriptions/{subscription}");
        if Uuid::parse_str(subscription).is_err() {
            return Err(fail(
                StatusCode::BAD_REQUEST,
                "InvalidSubscriptionId",
                format!(
                    "The provided subscription identifier '{subscription}' is malformed or invalid."
                ),
            ));
        }
        if world.get(&path).is_none() {
            return Err(fail(
                StatusCode::NOT_FOUND,
                "SubscriptionNotFound",
                format!("The subscription '{subscription}' could not be found."),
            ));
        }
        throttle(world, call, subscription, limits)?;
        access::check(world, call, target)?;
    }
    if let (Some(subscription), Some(group)) = (&target.subscription, &target.group)
        && !(target.levels.is_empty() && target.rest.is_empty())
        && world.get(&format!("/subscriptions/{subscription}/resourceGroups/{group}")).is_none()
    {
        return Err(fail(
            StatusCode::NOT_FOUND,
            "ResourceGroupNotFound",
            format!("Resource group '{group}' could not be found."),
        ));
    }
    authorization::check_locks(world, call, target)
}

fn check_api_version(call: &Call) -> Result<(), Reply> {
    let version = call.api_version();
    if version.is_empty() {
        return Err(fail(
            StatusCode::BAD_REQUEST,
            "MissingApiVersionParameter",
            "The api-version query parameter (?api-version=) is required for all requests.",
        ));
    }
    let (date, suffix) = version.split_at_checked(10).unwrap_or((version, ""));
    let well_formed = date.len() == 10
        && date
            .bytes()
            .enumerate()
            .all(|(at, b)| if at == 4 || at == 7 { b == b'-' } else { b.is_ascii_digit() })
        && (suffix.is_empty() || (suffix.starts_with('-') && suffix.len() > 1));
    if well_formed {
        return Ok(());
    }
    Err(fail(
        StatusCode::BAD_REQUEST,
        "InvalidApiVersionParameter",
        format!(
            "The api-version '{version}' is invalid. The supported versions are dates of the form 'yyyy-MM-dd', optionally followed by '-preview'."
        ),
    ))
}

/// Takes a token of the caller's bucket; the numbers are those seen on the wire in 2026.
fn throttle(
    world: &mut World,
    call: &Call,
    subscription: &str,
    limits: &mut Vec<(&'static str, String)>,
) -> Result<(), Reply> {
    let (name, header, global, size, refill) = match call.method {
        Method::GET | Method::HEAD => (
            "reads",
            "x-ms-ratelimit-remaining-subscription-reads",
            "x-ms-ratelimit-remaining-subscription-global-reads",
            1100.0,
            25.0,
        ),
        Method::DELETE => (
            "deletes",
            "x-ms-ratelimit-remaining-subscription-deletes",
            "x-ms-ratelimit-remaining-subscription-global-deletes",
            800.0,
            10.0,
        ),
        _ => (
            "writes",
            "x-ms-ratelimit-remaining-subscription-writes",
            "x-ms-ratelimit-remaining-subscription-global-writes",
            800.0,
            10.0,
        ),
    };
    let told = world.file.throttling.clone().filter(|_| name == "reads");
    let (size, refill) = match &told {
        Some(told) => (told.burst.unwrap_or(told.reads), told.reads),
        None if world.pace == Pace::Fast => (size, refill * 1000.0),
        None => (size, refill),
    };
    let now = world.now();
    match world.buckets.take(&format!("{subscription} {name}"), size, refill, now) {
        Taken::Left(left) => {
            limits.push((header, left.to_string()));
            limits.push((global, (u64::from(left) * 15).to_string()));
            Ok(())
        }
        Taken::Wait(seconds) => {
            Err(too_many(told.and_then(|told| told.retry_after).unwrap_or(seconds)))
        }
    }
}

/// 429 as ARM words it.
pub(super) fn too_many(seconds: u32) -> Reply {
    fail(
        StatusCode::TOO_MANY_REQUESTS,
        "TooManyRequests",
        format!("The request is being throttled as the limit has been reached for operation type. Please try again after {seconds} seconds."),
    )
    .with("Retry-After", seconds.to_string())
}

fn dispatch(world: &mut World, call: &Call, target: &Target) -> Answer {
    let namespace = target.namespace();
    match (&target.subscription, namespace.as_str()) {
        (None, "microsoft.resourcegraph") => graph::handle(world, call),
        (None, "microsoft.authorization") | (Some(_), "microsoft.authorization") => {
            authorization::handle(world, call, target)
        }
        (None, "") if call.is(0, "batch") => batch::handle(world, call),
        (None, "") => groups::tenant_level(world, call),
        (None, _) => providers::tenant_level(world, call, target),
        (Some(_), "") => groups::handle(world, call, target),
        (Some(_), _) if !has_types(target) || providers::is_action(target) => {
            providers::handle(world, call, target)
        }
        (Some(_), "microsoft.features") => features::handle(world, call, target),
        (Some(_), "microsoft.kubernetesconfiguration") => extensions::handle(world, call, target),
        (Some(_), "microsoft.kubernetes" | "microsoft.containerservice") => {
            clusters::handle(world, call, target)
        }
        (Some(_), "microsoft.machinelearningservices") => ml::handle(world, call, target),
        (Some(_), "microsoft.relay" | "microsoft.servicebus") => {
            messaging::handle(world, call, target)
        }
        (Some(_), "microsoft.operationalinsights") => insights::handle(world, call, target),
        (Some(_), _) => generic::handle(world, call, target),
    }
}

fn has_types(target: &Target) -> bool {
    target.last().is_some_and(|level| !level.pairs.is_empty())
}

/// How many entries a page has unless the world says otherwise.
const PAGE: usize = 100;

/// A list in pages; only what is on the page is shown. `nextLink` is absolute ("Azure REST: pagination") and goes on by
/// `$skipToken`.
pub(super) fn page<T>(
    world: &World,
    call: &Call,
    items: impl IntoIterator<Item = T>,
    show: impl FnMut(T) -> Json,
) -> Reply {
    pages(world, call, "$skipToken", items, show)
}

/// [`page`] by the parameter that the service counts with.
pub(super) fn pages<T>(
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
pub(super) fn shown(world: &World, stored: &Stored) -> Json {
    let mut body = stored.body.clone();
    clusters::heard(world, &mut body);
    body
}

/// The headers every answer of ARM carries ("ARM RPC: common response headers").
fn decorate(world: &World, call: &Call, reply: Reply) -> Reply {
    let request_id = Uuid::new_v4().to_string();
    let correlation = call
        .header("x-ms-correlation-request-id")
        .map_or_else(|| request_id.clone(), ToOwned::to_owned);
    let stamp = world.now().strftime("%Y%m%dT%H%M%SZ");
    let mut reply = reply
        .with("x-ms-routing-request-id", format!("WESTEUROPE:{stamp}:{request_id}"))
        .with("x-ms-correlation-request-id", correlation)
        .with("x-ms-request-id", request_id)
        .with("cache-control", "no-cache")
        .with("pragma", "no-cache")
        .with("expires", "-1")
        .with("strict-transport-security", "max-age=31536000; includeSubDomains")
        .with("x-content-type-options", "nosniff");
    if call.header("x-ms-return-client-request-id").is_some_and(|v| v.eq_ignore_ascii_case("true"))
        && let Some(id) = call.header("x-ms-client-request-id")
    {
        reply = reply.with("x-ms-client-request-id", id);
    }
    if world.pace == Pace::Fast {
        reply = reply
            .with("x-ms-retry-after-ms", "50")
            .with("X-Go-Azure-Sdk-Skip-Polling-Delay", "true");
    }
    reply
}

/// `Retry-After` for a client that waits; in fast mode other headers say not to wait.
pub(super) fn retry_later(world: &World, reply: Reply, seconds: u32) -> Reply {
    if world.pace == Pace::Fast { reply } else { reply.with("Retry-After", seconds.to_string()) }
}

/// ARM's 404 for a resource.
pub(super) fn not_found(target: &Target) -> Reply {
    let what = target
        .last()
        .map(|level| format!("{}/{}", level.full_type(), level.last_name()))
        .unwrap_or_default();
    let group = target.group.as_deref().unwrap_or("<null>");
    fail(
        StatusCode::NOT_FOUND,
        "ResourceNotFound",
        format!(
            "The Resource '{what}' under resource group '{group}' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix"
        ),
    )
}

/// ARM's 404 for a child whose parent is missing.
pub(super) fn parent_not_found(parent: &str) -> Reply {
    fail(
        StatusCode::NOT_FOUND,
        "ParentResourceNotFound",
        format!(
            "Can not perform requested operation on nested resource. Parent resource '{}' not found.",
            id::last_segment(parent)
        ),
    )
}

pub(super) fn method_not_allowed(call: &Call) -> Reply {
    fail(
        StatusCode::METHOD_NOT_ALLOWED,
        "MethodNotAllowed",
        format!("The request method '{}' is not supported for this resource.", call.method),
    )
}

/// The path of the request as an id: canonical `resourceGroups`, names as the caller wrote them.
pub(super) fn canonical_id(call: &Call) -> String {
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

/// The id without its last `type/name`.
pub(super) fn parent_id(id: &str) -> String {
    let parts: Vec<&str> = id.trim_end_matches('/').rsplitn(3, '/').collect();
    parts.last().map(|s| (*s).to_owned()).unwrap_or_default()
}

/// The resource an action (`…/{name}/listKeys`) is called on.
pub(super) fn parent_or_self(id: &str) -> String {
    id.rsplit_once('/').map(|(parent, _)| parent.to_owned()).unwrap_or_default()
}

/// A tracked resource as ARM returns it, from the request over what was there.
pub(super) fn envelope(
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
pub(super) fn fill_identity(world: &World, id: &str, identity: &Json) -> Json {
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
pub(super) fn identity_of(world: &World, id: &str) -> Json {
    let key = id::key(id);
    json!({"principalId": world.guid(&format!("principal {key}")), "clientId": world.guid(&format!("client {key}"))})
}
