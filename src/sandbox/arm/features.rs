//! Preview features of a subscription ("Azure REST: Features"; "Subscription Feature Registrations").
//!
//! Registering takes minutes and is seen by reading again; it has no effect on the provider until the provider is
//! registered once more. A feature that went GA disappears: reading and registering answer "could not be found".

use http::Method;
use serde_json::{Value as Json, json};

use super::answer::{self, method_not_allowed};
use super::providers;
use crate::state::clock::Work;
use crate::state::id::{self, Target};
use crate::state::world::{Event, World};
use crate::wire::{Answer, Call, Reply, fail};

/// What a world file calls a feature that Azure no longer lists.
const RETIRED: &str = "Retired";

/// Answers under `Microsoft.Features`.
pub(crate) fn handle(world: &mut World, call: &Call, target: &Target) -> Answer {
    let Some(level) = target.last() else { return Err(method_not_allowed(call)) };
    let subscription = target.subscription.as_deref().unwrap_or_default();
    let (namespace, name) = (level.name(0), level.name(1));
    match (&call.method, level.types().as_str()) {
        (&Method::GET, "features" | "subscriptionfeatureregistrations") => Ok(answer::page(
            world,
            call,
            list(world, subscription, None, level.types() == "features"),
            |it| it,
        )),
        (&Method::GET, "providers/features") if name.is_empty() => {
            Ok(answer::page(world, call, list(world, subscription, Some(namespace), true), |it| it))
        }
        (&Method::GET, "featureproviders/subscriptionfeatureregistrations") if name.is_empty() => {
            Ok(answer::page(world, call, list(world, subscription, Some(namespace), false), |it| {
                it
            }))
        }
        (&Method::GET, "providers/features") => {
            feature(world, subscription, namespace, name).map(Reply::ok)
        }
        (&Method::POST, "providers/features/register") => {
            feature(world, subscription, namespace, name)?;
            register(world, subscription, namespace, name);
            feature(world, subscription, namespace, name).map(Reply::ok)
        }
        (&Method::POST, "providers/features/unregister") => {
            feature(world, subscription, namespace, name)?;
            unregister(world, subscription, namespace, name);
            feature(world, subscription, namespace, name).map(Reply::ok)
        }
        (&Method::GET, "featureproviders/subscriptionfeatureregistrations") => {
            feature(world, subscription, namespace, name)?;
            Ok(Reply::ok(registration(world, subscription, namespace, name)))
        }
        (&Method::PUT, "featureproviders/subscriptionfeatureregistrations") => {
            feature(world, subscription, namespace, name)?;
            register(world, subscription, namespace, name);
            Ok(Reply::ok(registration(world, subscription, namespace, name)))
        }
        (&Method::DELETE, "featureproviders/subscriptionfeatureregistrations") => {
            feature(world, subscription, namespace, name)?;
            unregister(world, subscription, namespace, name);
            Ok(Reply::empty(200))
        }
        _ => Err(method_not_allowed(call)),
    }
}

fn id_of(subscription: &str, namespace: &str, name: &str) -> String {
    format!(
        "/subscriptions/{subscription}/providers/Microsoft.Features/providers/{namespace}/features/{name}"
    )
}

/// The stored state of a feature; one that nobody touched is `NotRegistered`.
pub(crate) fn state(world: &World, subscription: &str, namespace: &str, name: &str) -> String {
    world
        .body(&id_of(subscription, namespace, name))
        .and_then(|body| body["properties"]["state"].as_str())
        .unwrap_or("NotRegistered")
        .to_owned()
}

/// Puts a feature into a state without waiting.
pub(crate) fn set_state(
    world: &mut World,
    subscription: &str,
    namespace: &str,
    name: &str,
    state: &str,
) {
    let id = id_of(subscription, namespace, name);
    let body = json!({"properties": {"state": state}, "id": id, "type": "Microsoft.Features/providers/features",
        "name": format!("{namespace}/{name}")});
    world.put(&id, body);
}

/// Makes sure that `sandbox set` finds a feature that was never touched.
pub(crate) fn materialise(world: &mut World, id: &str) {
    let target = id::parse(id);
    if let (Some(subscription), Some(level)) = (&target.subscription, target.last())
        && level.types() == "providers/features"
        && level.is_named()
        && world.get(id).is_none()
    {
        let (subscription, namespace, name) =
            (subscription.clone(), level.name(0).to_owned(), level.name(1).to_owned());
        set_state(world, &subscription, &namespace, &name, "NotRegistered");
    }
}

fn feature(world: &World, subscription: &str, namespace: &str, name: &str) -> Result<Json, Reply> {
    providers::state_known(namespace)?;
    let state = state(world, subscription, namespace, name);
    if state.eq_ignore_ascii_case(RETIRED) || name.is_empty() {
        return Err(fail(
            404,
            "FeatureNotFound",
            format!("The feature '{name}' could not be found."),
        ));
    }
    Ok(world.body(&id_of(subscription, namespace, name)).cloned().unwrap_or_else(|| {
        json!({"properties": {"state": state}, "id": id_of(subscription, namespace, name),
            "type": "Microsoft.Features/providers/features", "name": format!("{namespace}/{name}")})
    }))
}

fn registration(world: &World, subscription: &str, namespace: &str, name: &str) -> Json {
    json!({
        "id": format!("/subscriptions/{subscription}/providers/Microsoft.Features/featureProviders/{namespace}/subscriptionFeatureRegistrations/{name}"),
        "name": name, "type": "Microsoft.Features/featureProviders/subscriptionFeatureRegistrations",
        "properties": {"tenantId": world.tenant(), "subscriptionId": subscription, "featureName": name,
            "providerNamespace": namespace, "state": state(world, subscription, namespace, name),
            "approvalType": "AutoApproval", "shouldFeatureDisplayInPortal": false, "metadata": {}},
    })
}

fn list(world: &World, subscription: &str, namespace: Option<&str>, old_form: bool) -> Vec<Json> {
    world
        .of_type(Some(subscription), "microsoft.features/providers/features")
        .into_iter()
        .filter_map(|stored| {
            let (ns, name) = stored.body["name"].as_str()?.split_once('/')?;
            let wanted = namespace.is_none_or(|wanted| wanted.eq_ignore_ascii_case(ns));
            let retired = stored.body["properties"]["state"]
                .as_str()
                .is_some_and(|s| s.eq_ignore_ascii_case(RETIRED));
            (wanted && !retired).then(|| {
                if old_form {
                    stored.body.clone()
                } else {
                    registration(world, subscription, ns, name)
                }
            })
        })
        .collect()
}

fn register(world: &mut World, subscription: &str, namespace: &str, name: &str) {
    let now = state(world, subscription, namespace, name).to_ascii_lowercase();
    // `Pending` waits for Microsoft; nothing a caller does moves it.
    if ["registered", "registering", "pending"].contains(&now.as_str()) {
        return;
    }
    set_state(world, subscription, namespace, name, "Registering");
    turn(world, subscription, namespace, name, "Registered");
}

fn unregister(world: &mut World, subscription: &str, namespace: &str, name: &str) {
    let now = state(world, subscription, namespace, name).to_ascii_lowercase();
    if ["unregistered", "unregistering", "notregistered"].contains(&now.as_str()) {
        return;
    }
    set_state(world, subscription, namespace, name, "Unregistering");
    turn(world, subscription, namespace, name, "Unregistered");
}

fn turn(world: &mut World, subscription: &str, namespace: &str, name: &str, state: &str) {
    let id = id_of(subscription, namespace, name);
    world.forget(&id);
    let event = Event::Set { id, pointer: "/properties/state".to_owned(), value: json!(state) };
    world.after(Work::FeatureRegistration, event);
}
