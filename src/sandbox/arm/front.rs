//! Azure Resource Manager: who may come in, in which order things are checked, and which service answers.
//!
//! Order of evaluation as clients see it: token → subscription → throttling → rights → resource group → lock → registration of
//! the provider → the provider itself ("ARM RPC", "ARM docs: troubleshoot common errors").

use http::Method;
use uuid::Uuid;

use super::answer::{Ask, refuse, too_many};
use super::{access, authorization, batch, features, graph, groups, providers, services};
use crate::login;
use crate::state::clock::Pace;
use crate::state::id::ResourcePath;
use crate::state::throttle::Taken;
use crate::state::world::World;
use crate::wire::{HttpAnswer, HttpCall, Reply};

/// Answers a request to ARM.
pub(crate) fn handle(world: &mut World, call: &HttpCall) -> Reply {
    let target = ResourcePath::parse(&call.segments);
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
    call: &HttpCall,
    target: &ResourcePath,
    limits: &mut Vec<(&'static str, String)>,
) -> Result<(), Reply> {
    login::check_bearer(world, call, target.subscription.as_deref())?;
    check_api_version(call)?;
    if let Some(subscription) = &target.subscription {
        let path = format!("/subscriptions/{subscription}");
        if Uuid::parse_str(subscription).is_err() {
            return Err(refuse("subscription-id", &[subscription]));
        }
        if world.get(&path).is_none() {
            return Err(refuse("subscription", &[subscription]));
        }
        throttle(world, call, subscription, limits)?;
        access::check(world, call, target)?;
    }
    if let (Some(subscription), Some(group)) = (&target.subscription, &target.group)
        && !(target.levels.is_empty() && target.rest.is_empty())
        && world.get(&format!("/subscriptions/{subscription}/resourceGroups/{group}")).is_none()
    {
        return Err(refuse("group", &[group]));
    }
    authorization::check_locks(world, call, target)
}

fn check_api_version(call: &HttpCall) -> Result<(), Reply> {
    let version = call.api_version();
    if version.is_empty() {
        return Err(refuse("missing-api-version", &[]));
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
    Err(refuse("api-version", &[version]))
}

/// Where answers say how much is left.
const LEFT: [&str; 6] = [
    "x-ms-ratelimit-remaining-subscription-reads",
    "x-ms-ratelimit-remaining-subscription-global-reads",
    "x-ms-ratelimit-remaining-subscription-deletes",
    "x-ms-ratelimit-remaining-subscription-global-deletes",
    "x-ms-ratelimit-remaining-subscription-writes",
    "x-ms-ratelimit-remaining-subscription-global-writes",
];

/// Takes a token of the caller's bucket; the numbers are those seen on the wire in 2026.
fn throttle(
    world: &mut World,
    call: &HttpCall,
    subscription: &str,
    limits: &mut Vec<(&'static str, String)>,
) -> Result<(), Reply> {
    let (name, header, global, size, refill) = match call.method {
        Method::GET | Method::HEAD => ("reads", LEFT[0], LEFT[1], 1100.0, 25.0),
        Method::DELETE => ("deletes", LEFT[2], LEFT[3], 800.0, 10.0),
        _ => ("writes", LEFT[4], LEFT[5], 800.0, 10.0),
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

fn dispatch(world: &mut World, call: &HttpCall, target: &ResourcePath) -> HttpAnswer {
    let ask = Ask::new(call, target);
    let has_types = target.last().is_some_and(|level| !level.pairs.is_empty());
    match (&target.subscription, target.namespace().as_str()) {
        (None, "microsoft.resourcegraph") => graph::handle(world, call),
        (_, "microsoft.authorization") => authorization::handle(world, &ask),
        (None, "") if call.is(0, "batch") => batch::handle(world, call),
        (None, "") => groups::tenant_level(world, call),
        (None, _) => providers::tenant_level(world, call, target),
        (Some(_), "") => groups::handle(world, call, target),
        (Some(_), _) if !has_types || providers::is_action(target) => {
            providers::handle(world, call, target)
        }
        (Some(_), "microsoft.features") => features::handle(world, &ask),
        (Some(_), _) => services::handle(world, &ask),
    }
}

/// The headers every answer of ARM carries ("ARM RPC: common response headers").
fn decorate(world: &World, call: &HttpCall, reply: Reply) -> Reply {
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
