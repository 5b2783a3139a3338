//! Who may do what in Azure: grants of the world file and role assignments to the caller. A world that grants nothing
//! lets everybody do everything ("Azure docs: Azure RBAC, how a decision is made"; deny assignments are not modelled).

use http::Method;
use serde_json::{Value as Json, json};

use super::answer::{canonical_id, matches, refuse};
use super::roles::{self, RoleRights};
use crate::login;
use crate::state::id::{self, ResourcePath};
use crate::state::world::World;
use crate::wire::{HttpCall, Reply};

/// The grants that hold for a caller: where, and what. `None` when the world restricts nobody.
fn grants(world: &World, caller: &str) -> Option<Vec<(String, RoleRights)>> {
    let given = world.file.access.azure.as_ref()?;
    let of_file = given.iter().map(|grant| {
        let role = grant.role.as_deref().and_then(roles::role_named);
        let own =
            RoleRights { actions: grant.actions.clone(), not_actions: grant.not_actions.clone() };
        (id::key(&grant.scope), role.unwrap_or(own))
    });
    let assigned =
        world.keyed("", "microsoft.authorization/roleassignments").filter_map(|(_, stored)| {
            let properties = &stored.body["properties"];
            let own = properties["principalId"]
                .as_str()
                .is_some_and(|text| text.eq_ignore_ascii_case(caller));
            let role =
                id::last_segment(properties["roleDefinitionId"].as_str().unwrap_or_default());
            let rights = roles::role_of_id(role).filter(|_| own)?;
            Some((id::key(properties["scope"].as_str().unwrap_or_default()), rights))
        });
    Some(of_file.chain(assigned).collect())
}

fn covers(scope: &str, key: &str) -> bool {
    scope == "/" || scope == key || key.starts_with(&format!("{scope}/"))
}

fn allows(rights: &RoleRights, action: &str) -> bool {
    let has = |patterns: &[String]| patterns.iter().any(|pattern| matches(pattern, action));
    has(&rights.actions) && !has(&rights.not_actions)
}

/// What a request does, as a role names it.
fn action_of(call: &HttpCall, target: &ResourcePath) -> String {
    let verb = match call.method {
        Method::GET | Method::HEAD => "read",
        Method::PUT | Method::PATCH => "write",
        Method::DELETE => "delete",
        _ => "action",
    };
    let below = |what: &str| format!("Microsoft.Resources/subscriptions/{what}{verb}");
    match (target.last(), &target.group, target.rest.first()) {
        (Some(level), ..) if level.pairs.is_empty() => below("providers/"),
        (Some(level), ..) => format!("{}/{verb}", level.full_type()),
        (None, Some(_), Some(list)) => below(&format!("resourceGroups/{list}/")),
        (None, None, Some(list)) => below(&format!("{list}/")),
        (None, Some(_), None) => below("resourceGroups/"),
        (None, None, None) => below(""),
    }
}

/// Refuses what the caller may not do, as ARM words it.
pub(crate) fn check(world: &World, call: &HttpCall, target: &ResourcePath) -> Result<(), Reply> {
    let caller = login::caller(world, call);
    let Some(grants) = grants(world, &caller.object) else { return Ok(()) };
    let asks_for_rights = target.namespace() == "microsoft.authorization"
        && target.last().is_some_and(|level| level.types() == "permissions");
    let scope = canonical_id(call);
    let key = id::key(&scope);
    let sees = |of: &str| grants.iter().any(|(scope, _)| covers(scope, of) || covers(of, scope));
    // Own rights are told to everybody; a subscription shows itself and its resources to whoever has a right in it.
    let shows = call.method == Method::GET
        && target.levels.is_empty()
        && target.group.is_none()
        && (target.rest.is_empty() || target.rest[0].eq_ignore_ascii_case("resources"))
        && sees(&key);
    let action = action_of(call, target);
    if asks_for_rights
        || shows
        || grants.iter().any(|(at, rights)| covers(at, &key) && allows(rights, &action))
    {
        return Ok(());
    }
    Err(refuse("forbidden", &[&caller.client, &caller.object, &action, &scope]))
}

/// Whether the caller may do something with data. What is granted to manage resources gives no right to their data, so
/// that only patterns which name the provider count ("Azure docs: data actions").
pub(crate) fn allows_data(world: &World, caller: &str, id: &str, action: &str) -> bool {
    let key = id::key(id);
    let names =
        |text: &String| text.to_ascii_lowercase().starts_with("microsoft.keyvault/vaults/secrets/");
    grants(world, caller).is_none_or(|grants| {
        grants.iter().filter(|(at, _)| covers(at, &key)).any(|(_, rights)| {
            let actions = rights.actions.iter().filter(|text| names(text)).cloned().collect();
            allows(&RoleRights { actions, not_actions: rights.not_actions.clone() }, action)
        })
    })
}

/// A test for what lists and the index may show the caller.
pub(crate) fn reader<'a>(world: &'a World, call: &HttpCall) -> impl Fn(&str) -> bool + use<'a> {
    let grants = grants(world, &login::caller(world, call).object);
    move |id: &str| {
        let key = &id::key(id);
        grants.as_ref().is_none_or(|grants| {
            let kind = id::type_of(key);
            if kind == "microsoft.resources/subscriptions" {
                // Whoever has a right in a subscription sees it.
                return grants.iter().any(|(at, _)| covers(at, key) || covers(key, at));
            }
            let action = format!("{kind}/read");
            grants.iter().any(|(at, rights)| covers(at, key) && allows(rights, &action))
        })
    }
}

/// The rights of the caller at a scope, one entry for each grant.
pub(crate) fn permissions(world: &World, call: &HttpCall, scope: &str) -> Json {
    let all = vec![(
        "/".to_owned(),
        RoleRights { actions: vec!["*".to_owned()], not_actions: Vec::new() },
    )];
    let grants = grants(world, &login::caller(world, call).object).unwrap_or(all);
    let key = id::key(scope);
    let entries: Vec<Json> = grants
        .iter()
        .filter(|(at, _)| covers(at, &key))
        .map(|(_, rights)| json!({"actions": rights.actions, "notActions": rights.not_actions, "dataActions": [], "notDataActions": []}))
        .collect();
    json!({"value": entries})
}
