//! Preview features of a subscription ("Azure REST: Features"; "Subscription Feature Registrations").
//!
//! Registering takes minutes and is seen by reading again; it has no effect on the provider until the provider is
//! registered once more. A feature that went GA disappears: reading and registering answer "could not be found".

use http::Method;
use serde_json::{Value as Json, json};

use super::answer::{Ask, method_not_allowed, page, refuse, set};
use super::providers;
use crate::json::{says, text};
use crate::state::clock::Work;
use crate::state::id;
use crate::state::world::World;
use crate::wire::{HttpAnswer, Reply};

/// What a world file calls a feature that Azure no longer lists.
const RETIRED: &str = "Retired";

/// A feature of a subscription.
#[derive(Clone, Copy)]
struct FeatureRow<'a> {
    subscription: &'a str,
    namespace: &'a str,
    name: &'a str,
}

/// Answers under `Microsoft.Features`.
pub(crate) fn handle(world: &mut World, ask: &Ask<'_>) -> HttpAnswer {
    let Some(level) = ask.target.last() else { return Err(method_not_allowed(ask.call)) };
    let (subscription, namespace, name) = (ask.subscription(), level.name(0), level.name(1));
    let feature = FeatureRow { subscription, namespace, name };
    let types = level.types();
    let newer = types.contains("subscriptionfeatureregistrations");
    if ask.call.method == Method::GET && name.is_empty() {
        let of = Some(namespace).filter(|_| types.contains('/'));
        return Ok(page(world, ask.call, list(world, subscription, of, newer), |body| body));
    }
    let turn = match (&ask.call.method, types.as_str()) {
        (
            &Method::GET,
            "providers/features" | "featureproviders/subscriptionfeatureregistrations",
        ) => None,
        (&Method::POST, "providers/features/register")
        | (&Method::PUT, "featureproviders/subscriptionfeatureregistrations") => Some(true),
        (&Method::POST, "providers/features/unregister")
        | (&Method::DELETE, "featureproviders/subscriptionfeatureregistrations") => Some(false),
        _ => return Err(method_not_allowed(ask.call)),
    };
    providers::require_namespace(namespace)?;
    if name.is_empty() || feature.state(world).eq_ignore_ascii_case(RETIRED) {
        return Err(refuse("feature", &[name]));
    }
    if let Some(registers) = turn {
        feature.turn(world, registers);
    }
    if ask.call.method == Method::DELETE {
        return Ok(Reply::empty(200));
    }
    let state = feature.state(world);
    let stored = world.body(&feature.id()).cloned();
    Ok(Reply::ok(match stored {
        _ if newer => feature.registration(world),
        Some(body) => body,
        None => feature.body(&state),
    }))
}

impl FeatureRow<'_> {
    fn id(self) -> String {
        let FeatureRow { subscription, namespace, name } = self;
        format!(
            "/subscriptions/{subscription}/providers/Microsoft.Features/providers/{namespace}/features/{name}"
        )
    }

    /// One that nobody touched is `NotRegistered`.
    fn state(self, world: &World) -> String {
        let stored = world.body(&self.id()).and_then(|body| body["properties"]["state"].as_str());
        stored.unwrap_or("NotRegistered").to_owned()
    }

    fn body(self, state: &str) -> Json {
        json!({"properties": {"state": state}, "id": self.id(), "type": "Microsoft.Features/providers/features",
            "name": format!("{}/{}", self.namespace, self.name)})
    }

    /// The same feature in the newer form.
    fn registration(self, world: &World) -> Json {
        let FeatureRow { subscription, namespace, name } = self;
        json!({
            "id": format!("/subscriptions/{subscription}/providers/Microsoft.Features/featureProviders/{namespace}/subscriptionFeatureRegistrations/{name}"),
            "name": name, "type": "Microsoft.Features/featureProviders/subscriptionFeatureRegistrations",
            "properties": {"tenantId": world.tenant(), "subscriptionId": subscription, "featureName": name,
                "providerNamespace": namespace, "state": self.state(world),
                "approvalType": "AutoApproval", "shouldFeatureDisplayInPortal": false, "metadata": {}},
        })
    }

    /// Registers or unregisters it, which takes its time. `Pending` waits for Microsoft; nothing a caller does moves it.
    fn turn(self, world: &mut World, registers: bool) {
        let (there, during, after) = if registers {
            (["registered", "registering", "pending"], "Registering", "Registered")
        } else {
            (["unregistered", "unregistering", "notregistered"], "Unregistering", "Unregistered")
        };
        if there.contains(&self.state(world).to_ascii_lowercase().as_str()) {
            return;
        }
        let id = self.id();
        world.put(&id, self.body(during));
        world.forget(&id);
        world.after(Work::FeatureRegistration, set(&id, "/properties/state", after));
    }
}

/// Puts a feature into a state without waiting.
pub(crate) fn set_state(
    world: &mut World,
    subscription: &str,
    namespace: &str,
    name: &str,
    state: &str,
) {
    let feature = FeatureRow { subscription, namespace, name };
    world.put(&feature.id(), feature.body(state));
}

/// Makes sure that `sandbox set` finds a feature that was never touched.
pub(crate) fn materialise(world: &mut World, id: &str) {
    let target = id::parse(id);
    if let (Some(subscription), Some(level)) = (&target.subscription, target.last())
        && level.types() == "providers/features"
        && level.is_named()
        && world.get(id).is_none()
    {
        set_state(world, subscription, level.name(0), level.name(1), "NotRegistered");
    }
}

/// The features that somebody touched and that are not retired.
fn list(world: &World, subscription: &str, of: Option<&str>, newer: bool) -> Vec<Json> {
    let all = world.of_type(Some(subscription), "microsoft.features/providers/features");
    let shown = |body: &Json| {
        let (namespace, name) = text(&body["name"]).split_once('/')?;
        let wanted = of.is_none_or(|of| of.eq_ignore_ascii_case(namespace));
        let retired = says(&body["properties"]["state"], RETIRED);
        let feature = FeatureRow { subscription, namespace, name };
        let form = || if newer { feature.registration(world) } else { body.clone() };
        (wanted && !retired).then(form)
    };
    all.into_iter().filter_map(|stored| shown(&stored.body)).collect()
}
