//! Resource providers of a subscription ("Azure REST: Providers"): registered by a POST, seen by reading again.
//!
//! Registration is regional: the first `Registered` may fall back to `Registering` once, which is why terraform waits
//! for ten of them in a row. A provider that was never registered refuses writes with `MissingSubscriptionRegistration`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use http::Method;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::answer::{method_not_allowed, not_found, page, refuse, set};
use crate::state::clock::Work;
use crate::state::id::{self, ResourcePath};
use crate::state::world::World;
use crate::wire::{HttpAnswer, HttpCall, Reply};

/// Regions the simulated providers are in: name and display name.
pub(crate) const LOCATIONS: &[(&str, &str)] = &[
    ("eastus", "East US"),
    ("eastus2", "East US 2"),
    ("westus", "West US"),
    ("westus2", "West US 2"),
    ("westus3", "West US 3"),
    ("centralus", "Central US"),
    ("southcentralus", "South Central US"),
    ("northcentralus", "North Central US"),
    ("westcentralus", "West Central US"),
    ("canadacentral", "Canada Central"),
    ("westeurope", "West Europe"),
    ("northeurope", "North Europe"),
    ("uksouth", "UK South"),
    ("francecentral", "France Central"),
    ("germanywestcentral", "Germany West Central"),
    ("swedencentral", "Sweden Central"),
    ("switzerlandnorth", "Switzerland North"),
    ("norwayeast", "Norway East"),
    ("australiaeast", "Australia East"),
    ("southeastasia", "Southeast Asia"),
    ("eastasia", "East Asia"),
    ("japaneast", "Japan East"),
    ("koreacentral", "Korea Central"),
    ("centralindia", "Central India"),
    ("brazilsouth", "Brazil South"),
    ("southafricanorth", "South Africa North"),
    ("uaenorth", "UAE North"),
    ("usgovvirginia", "USGov Virginia"),
    ("usgovarizona", "USGov Arizona"),
    ("chinaeast2", "China East 2"),
    ("chinanorth3", "China North 3"),
];

#[derive(Debug, Deserialize)]
struct ProviderRow {
    namespace: String,
    #[serde(default)]
    free: bool,
    versions: Vec<String>,
    /// Types with the properties that the service adds.
    types: BTreeMap<String, Json>,
}

static CATALOG: LazyLock<Vec<ProviderRow>> = LazyLock::new(|| {
    serde_yaml::from_str(include_str!("types.yaml")).expect("the embedded list of types parses")
});

/// What the service of a type (`namespace/type`, in any case) adds to properties that a request leaves out.
pub(crate) fn defaults(kind: &str) -> &'static Json {
    let (namespace, name) = kind.split_once('/').unwrap_or((kind, ""));
    let types = known(namespace).map(|provider| provider.types.iter());
    let found = types.and_then(|mut types| types.find(|(own, _)| own.eq_ignore_ascii_case(name)));
    found.map_or(&Json::Null, |(_, defaults)| defaults)
}

fn known(namespace: &str) -> Option<&'static ProviderRow> {
    CATALOG.iter().find(|provider| provider.namespace.eq_ignore_ascii_case(namespace))
}

/// Whether the path is `…/providers/{ns}/register` or `/unregister`.
pub(crate) fn is_action(target: &ResourcePath) -> bool {
    let action = target.last().filter(|level| level.pairs.len() == 1 && !level.is_named());
    target.group.is_none()
        && target.levels.len() == 1
        && action.is_some_and(|level| ["register", "unregister"].contains(&level.types().as_str()))
}

/// `/providers`, `/providers/{ns}` and `/providers/{ns}/operations`, without a subscription.
pub(crate) fn tenant_level(world: &World, call: &HttpCall, target: &ResourcePath) -> HttpAnswer {
    let Some(level) = target.last() else {
        return Ok(list_all(world, call));
    };
    let provider = known_or_refuse(&level.namespace)?;
    match level.types().as_str() {
        "" => Ok(Reply::ok(body(world, None, provider))),
        "operations" => Ok(Reply::ok(json!({"value": [], "nextLink": null}))),
        _ => Err(not_found(target)),
    }
}

/// All providers, without the state they have in a subscription.
pub(crate) fn list_all(world: &World, call: &HttpCall) -> Reply {
    page(world, call, CATALOG.iter(), |provider| body(world, None, provider))
}

/// Providers of a subscription.
pub(crate) fn handle(world: &mut World, call: &HttpCall, target: &ResourcePath) -> HttpAnswer {
    let subscription = target.subscription.as_deref().unwrap_or_default();
    let Some(level) = target.last() else {
        return Err(method_not_allowed(call));
    };
    if target.group.is_some() {
        return Err(refuse("type", &["", &level.namespace]));
    }
    let provider = known_or_refuse(&level.namespace)?;
    match (&call.method, level.types().as_str()) {
        (&Method::GET, "") => Ok(Reply::ok(body(world, Some(subscription), provider))),
        (&Method::POST, "register") => {
            register(world, subscription, provider);
            Ok(Reply::ok(body(world, Some(subscription), provider)))
        }
        (&Method::POST, "unregister") => {
            unregister(world, subscription, provider)?;
            Ok(Reply::ok(body(world, Some(subscription), provider)))
        }
        _ => Err(method_not_allowed(call)),
    }
}

/// The list of all providers of a subscription.
pub(crate) fn list(world: &World, call: &HttpCall, subscription: &str) -> Reply {
    page(world, call, CATALOG.iter(), |provider| body(world, Some(subscription), provider))
}

fn id_of(subscription: &str, namespace: &str) -> String {
    format!("/subscriptions/{subscription}/providers/{namespace}")
}

/// The registration state of a namespace as stored.
pub(crate) fn state(world: &World, subscription: &str, namespace: &str) -> String {
    if known(namespace).is_some_and(|provider| provider.free) {
        return "Registered".to_owned();
    }
    world
        .body(&id_of(subscription, namespace))
        .and_then(|body| body["registrationState"].as_str())
        .unwrap_or("NotRegistered")
        .to_owned()
}

/// Puts a provider into a state without waiting.
pub(crate) fn set_state(world: &mut World, subscription: &str, namespace: &str, state: &str) {
    let Some(provider) = known(namespace) else { return };
    let id = id_of(subscription, &provider.namespace);
    world.put(&id, json!({"id": id, "namespace": provider.namespace, "registrationPolicy": policy(provider), "registrationState": state}));
}

/// Makes sure that `sandbox set` finds a provider that was never touched.
pub(crate) fn materialise(world: &mut World, id: &str) {
    let target = id::parse(id);
    if let (Some(subscription), Some(level)) = (&target.subscription, target.last())
        && level.pairs.is_empty()
        && world.get(id).is_none()
    {
        let (subscription, namespace) = (subscription.clone(), level.namespace.clone());
        set_state(world, &subscription, &namespace, "NotRegistered");
    }
}

fn policy(provider: &ProviderRow) -> &'static str {
    if provider.free { "RegistrationFree" } else { "RegistrationRequired" }
}

fn register(world: &mut World, subscription: &str, provider: &ProviderRow) {
    if provider.free
        || state(world, subscription, &provider.namespace)
            .to_ascii_lowercase()
            .starts_with("regist")
    {
        return;
    }
    set_state(world, subscription, &provider.namespace, "Registering");
    let id = id_of(subscription, &provider.namespace);
    world.forget(&id);
    let first = Work::ProviderRegistration.takes(world.pace);
    let flap = Work::ProviderFlap.takes(world.pace);
    let served_from = world.now().checked_add(first).unwrap_or_else(|_| world.now());
    if let Some(stored) = world.get_mut(&id) {
        stored.hidden["servedFrom"] = json!(served_from);
    }
    world.at(first, set(&id, "/registrationState", "Registered"));
    world.at(first + flap, set(&id, "/registrationState", "Registering"));
    world.at(first + flap * 2, set(&id, "/registrationState", "Registered"));
}

fn unregister(world: &mut World, subscription: &str, provider: &ProviderRow) -> Result<(), Reply> {
    let prefix = id::key(&format!("/subscriptions/{subscription}")) + "/resourcegroups/";
    let part = format!("/providers/{}/", provider.namespace.to_ascii_lowercase());
    let mut below = world.resources.range(prefix.clone()..).map(|(key, _)| key);
    if below.by_ref().take_while(|key| key.starts_with(&prefix)).any(|key| key.contains(&part)) {
        return Err(refuse("in-use", &[&provider.namespace]));
    }
    set_state(world, subscription, &provider.namespace, "Unregistering");
    let id = id_of(subscription, &provider.namespace);
    world.forget(&id);
    if let Some(stored) = world.get_mut(&id) {
        stored.hidden["servedFrom"] = Json::Null;
    }
    world.after(Work::ProviderRegistration, set(&id, "/registrationState", "Unregistered"));
    Ok(())
}

fn body(world: &World, subscription: Option<&str>, provider: &ProviderRow) -> Json {
    let locations: Vec<&str> = LOCATIONS.iter().map(|(_, display)| *display).collect();
    let types: Vec<Json> = provider
        .types
        .keys()
        .map(|kind| {
            json!({"resourceType": kind, "locations": locations, "apiVersions": provider.versions,
                "defaultApiVersion": provider.versions.iter().find(|v| !v.ends_with("preview")),
                "capabilities": "CrossResourceGroupResourceMove, CrossSubscriptionResourceMove, SupportsTags, SupportsLocation"})
        })
        .collect();
    let mut body = json!({"namespace": provider.namespace, "resourceTypes": types, "registrationPolicy": policy(provider)});
    if let Some(subscription) = subscription {
        body["id"] = json!(id_of(subscription, &provider.namespace));
        body["registrationState"] = json!(state(world, subscription, &provider.namespace));
    }
    body
}

fn known_or_refuse(namespace: &str) -> Result<&'static ProviderRow, Reply> {
    known(namespace).ok_or_else(|| refuse("namespace", &[namespace]))
}

/// Fails for a namespace that no provider has.
pub(crate) fn require_namespace(namespace: &str) -> Result<(), Reply> {
    known_or_refuse(namespace).map(|_| ())
}

/// Refuses writes to a provider that is not registered. A provider that was `Registered` once goes on serving while
/// its registration is still spreading.
pub(crate) fn require(world: &World, target: &ResourcePath) -> Result<(), Reply> {
    let Some(level) = target.last() else { return Ok(()) };
    let provider = known_or_refuse(&level.namespace)?;
    let subscription = target.subscription.as_deref().unwrap_or_default();
    let now = state(world, subscription, &provider.namespace).to_ascii_lowercase();
    let id = id_of(subscription, &provider.namespace);
    let served_from: Option<Timestamp> = world
        .get(&id)
        .and_then(|stored| stored.hidden["servedFrom"].as_str())
        .and_then(|text| text.parse().ok());
    let serves = served_from.is_some_and(|from| from <= world.now());
    if now == "registered" || (now == "registering" && serves) {
        return Ok(());
    }
    let mut reply = refuse("unregistered", &[&provider.namespace]);
    if let Some(body) = reply.body.as_mut() {
        let message = &body["error"]["message"];
        let detail = json!({"code": "MissingSubscriptionRegistration", "target": provider.namespace, "message": message});
        body["error"]["details"] = json!([detail]);
    }
    Err(reply)
}

/// Refuses types that the provider does not have.
pub(crate) fn require_type(target: &ResourcePath) -> Result<(), Reply> {
    let Some(level) = target.last() else { return Ok(()) };
    let (provider, types) = (known_or_refuse(&level.namespace)?, level.types());
    if provider.types.keys().any(|known| known.eq_ignore_ascii_case(&types)) {
        return Ok(());
    }
    Err(refuse("type", &[&types, &level.namespace]))
}
