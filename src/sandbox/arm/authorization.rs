//! Role assignments, role definitions, the caller's permissions and locks ("Azure REST: Authorization; Locks").

use http::Method;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::answer::{
    Ask, canonical_id, lower_group, method_not_allowed, not_found, page, reads, refuse,
};
use super::roles::{ROLES, Role};
use super::{access, services};
use crate::json::{says, text};
use crate::state::id::{self, ResourcePath};
use crate::state::world::World;
use crate::wire::{HttpAnswer, HttpCall, Reply};

const ASSIGNMENTS: &str = "microsoft.authorization/roleassignments";
const LOCKS: &str = "microsoft.authorization/locks";
const MARK: &str = "/providers/microsoft.authorization/";

/// Answers under `{scope}/providers/Microsoft.Authorization`.
pub(crate) fn handle(world: &mut World, ask: &Ask<'_>) -> HttpAnswer {
    let Some(level) = ask.target.last() else { return Err(method_not_allowed(ask.call)) };
    let scope = scope_of(&ask.id);
    require_scope(world, &scope, ask.call)?;
    let existing = world.body(&ask.id).cloned();
    match (&ask.call.method, level.types().as_str(), level.is_named()) {
        (&Method::GET, "roleassignments", false) => Ok(list_assignments(world, ask.call, &scope)),
        (&Method::GET, "roledefinitions", false) => Ok(definitions(world, ask.call, &scope)),
        (&Method::GET, "locks", false) => Ok(list_locks(world, ask.call, &scope)),
        (&Method::GET, "permissions", false) => {
            Ok(Reply::ok(access::permissions(world, ask.call, &scope)))
        }
        (&Method::GET, "roledefinitions", true) => {
            let role = ROLES.iter().find(|role| role.id.eq_ignore_ascii_case(ask.name()));
            let role = role.map(|role| Reply::ok(role_body(&scope, role)));
            role.ok_or_else(|| refuse("role", &[ask.name()]))
        }
        (&Method::GET, "roleassignments", true) => {
            existing.map(Reply::ok).ok_or_else(|| refuse("assignment", &[ask.name()]))
        }
        (&Method::GET, "locks", true) => {
            existing.map(Reply::ok).ok_or_else(|| refuse("lock", &[ask.name()]))
        }
        (&Method::PUT, "roleassignments", true) => put_assignment(world, ask, &scope, existing),
        (&Method::PUT, "locks", true) => put_lock(world, ask, existing),
        (&Method::DELETE, kind @ ("roleassignments" | "locks"), true) => {
            world.remove_tree(&ask.id);
            let shown = existing.clone().filter(|_| kind == "roleassignments");
            Ok(shown.map_or_else(
                || Reply::empty(if existing.is_some() { 200 } else { 204 }),
                Reply::ok,
            ))
        }
        (&Method::HEAD, "roleassignments", true) => Ok(Reply::head(existing.is_some())),
        (_, "roleassignments" | "locks", true) => Err(method_not_allowed(ask.call)),
        _ => services::handle(world, ask),
    }
}

/// The scope before the last `providers/Microsoft.Authorization`.
fn scope_of(path: &str) -> String {
    path.to_ascii_lowercase().rfind(MARK).map_or_else(String::new, |at| path[..at].to_owned())
}

fn require_scope(world: &World, scope: &str, call: &HttpCall) -> Result<(), Reply> {
    let target = id::parse(scope);
    let free = call.method == Method::GET || scope.is_empty() || target.levels.is_empty();
    if free || world.get(scope).is_some() { Ok(()) } else { Err(not_found(&target)) }
}

/// The text in quotes of a filter that begins with one of these words.
fn filtered(call: &HttpCall, words: &[&str]) -> Option<String> {
    let filter = call.param("$filter")?;
    let lower = filter.to_ascii_lowercase();
    let asks = words.iter().any(|word| lower.contains(word));
    filter.split('\'').nth(1).filter(|_| asks).map(ToOwned::to_owned)
}

fn list_assignments(world: &World, call: &HttpCall, scope: &str) -> Reply {
    let principal = filtered(call, &["principalid eq", "assignedto("]);
    let filter = call.param("$filter").unwrap_or_default().to_ascii_lowercase();
    let scope = id::key(scope);
    let wanted = |properties: &Json| {
        let own = id::key(text(&properties["scope"]));
        let above = own == scope || scope.starts_with(&format!("{own}/")) || own == "/";
        let below = own.starts_with(&format!("{}/", scope.trim_end_matches('/')));
        let who = principal.as_ref().is_none_or(|id| says(&properties["principalId"], id));
        who && (above || (below && !filter.contains("atscope()")))
    };
    let all = world.keyed("", ASSIGNMENTS).map(|(_, stored)| &stored.body);
    page(world, call, all.filter(|body| wanted(&body["properties"])), Json::clone)
}

/// The principal and role of a request, in lower case, if both can exist.
fn checked_pair(world: &World, wanted: &Json, name: &str) -> Result<(String, String), Reply> {
    if Uuid::parse_str(name).is_err() {
        return Err(refuse("assignment-id", &[name]));
    }
    let principal = text(&wanted["principalId"]).to_ascii_lowercase();
    if principal.is_empty() {
        return Err(refuse("principal-id", &[]));
    }
    if Uuid::parse_str(&principal).is_err() {
        return Err(refuse("principal", &[&principal, world.tenant()]));
    }
    let role = id::last_segment(text(&wanted["roleDefinitionId"])).to_ascii_lowercase();
    let custom = world.of_type(None, "microsoft.authorization/roledefinitions");
    let known = ROLES.iter().any(|known| known.id == role)
        || custom.iter().any(|stored| stored.body["name"] == role.as_str());
    if known { Ok((principal, role)) } else { Err(refuse("no-role", &[&role.replace('-', "")])) }
}

fn subscription_of(scope: &str) -> String {
    id::parse(scope).subscription.map_or_else(String::new, |id| format!("/subscriptions/{id}"))
}

fn put_assignment(
    world: &mut World,
    ask: &Ask<'_>,
    scope: &str,
    existing: Option<Json>,
) -> HttpAnswer {
    let request = ask.call.json()?;
    let wanted = &request["properties"];
    let (principal, role) = checked_pair(world, wanted, ask.name())?;
    let same = |body: &Json| {
        let of = &body["properties"];
        id::key(text(&of["scope"])) == id::key(scope)
            && says(&of["principalId"], &principal)
            && id::last_segment(text(&of["roleDefinitionId"])) == role
    };
    if existing.as_ref().is_some_and(|existing| !same(existing)) {
        return Err(refuse("assignment-changed", &[]));
    }
    let twin = world.of_type(None, ASSIGNMENTS).into_iter().find(|stored| same(&stored.body));
    if let (None, Some(twin)) = (&existing, twin) {
        let id = text(&twin.body["name"]).replace('-', "");
        return Err(refuse("assignment-exists", &[&id]));
    }
    let (stamp, caller) = (json!(world.stamp()), world.guid("caller"));
    let made = existing.as_ref().map_or(&stamp, |old| &old["properties"]["createdOn"]);
    let body = json!({"properties": {"principalId": principal, "scope": scope, "createdOn": made, "updatedOn": stamp, "createdBy": caller, "updatedBy": caller,
            "roleDefinitionId": format!("{}/providers/Microsoft.Authorization/roleDefinitions/{role}", subscription_of(scope)),
            "principalType": wanted["principalType"].as_str().unwrap_or("ServicePrincipal"),
            "condition": wanted["condition"], "conditionVersion": wanted["conditionVersion"], "description": wanted["description"],
            "delegatedManagedIdentityResourceId": wanted["delegatedManagedIdentityResourceId"]},
        "id": ask.id, "type": "Microsoft.Authorization/roleAssignments", "name": ask.name()});
    world.put(&ask.id, body.clone());
    Ok(Reply::stored(existing.is_some(), body))
}

fn role_body(scope: &str, role: &Role) -> Json {
    let id = format!(
        "{}/providers/Microsoft.Authorization/roleDefinitions/{}",
        subscription_of(scope),
        role.id
    );
    json!({"properties": {"roleName": role.name, "type": "BuiltInRole", "description": role.name, "assignableScopes": ["/"],
            "permissions": [{"actions": role.actions, "notActions": role.not_actions, "dataActions": [], "notDataActions": []}]},
        "id": id, "type": "Microsoft.Authorization/roleDefinitions", "name": role.id})
}

fn definitions(world: &World, call: &HttpCall, scope: &str) -> Reply {
    let wanted = filtered(call, &["rolename eq"]);
    let fits =
        |role: &&Role| wanted.as_ref().is_none_or(|name| role.name.eq_ignore_ascii_case(name));
    page(world, call, ROLES.iter().filter(fits), |role| role_body(scope, role))
}

fn locks_over<'a>(
    world: &'a World,
    scope: &str,
) -> impl Iterator<Item = (&'a str, &'a Json)> + use<'a> {
    let scope = format!("{}/", id::key(scope).trim_end_matches('/'));
    world
        .keyed("", LOCKS)
        .filter(move |(key, _)| scope.starts_with(&format!("{}/", scope_of(key))))
        .map(|(key, stored)| (key, &stored.body))
}

/// Locks at a scope, with those inherited from above; at a subscription also those below.
fn list_locks(world: &World, call: &HttpCall, scope: &str) -> Reply {
    let prefix = format!("{}/", id::key(scope));
    let mut items: Vec<&Json> = locks_over(world, scope).map(|(_, body)| body).collect();
    if id::parse(scope).levels.is_empty() {
        let below = world.keyed("", LOCKS).filter(|(key, _)| key.starts_with(&prefix));
        let new: Vec<&Json> =
            below.map(|(_, stored)| &stored.body).filter(|body| !items.contains(body)).collect();
        items.extend(new);
    }
    page(world, call, items, Json::clone)
}

fn put_lock(world: &mut World, ask: &Ask<'_>, existing: Option<Json>) -> HttpAnswer {
    let request = ask.call.json()?;
    let level = &request["properties"]["level"];
    if level != "CanNotDelete" && level != "ReadOnly" {
        return Err(refuse("lock-level", &[]));
    }
    let body = json!({"id": lower_group(&ask.id), "name": ask.name(), "type": "Microsoft.Authorization/locks",
        "properties": {"level": level, "notes": request["properties"]["notes"]}});
    world.put(&ask.id, body.clone());
    Ok(Reply::stored(existing.is_some(), body))
}

/// Refuses what a lock on the resource, its group or its subscription forbids.
pub(crate) fn check_locks(
    world: &World,
    call: &HttpCall,
    target: &ResourcePath,
) -> Result<(), Reply> {
    let is_lock = target.last().is_some_and(|level| level.full_type().eq_ignore_ascii_case(LOCKS));
    if reads(call) || is_lock {
        return Ok(());
    }
    let verb = if call.method == Method::DELETE { "delete" } else { "write" };
    let path = canonical_id(call);
    let blocking: Vec<String> = locks_over(world, &path)
        .filter(|(_, body)| verb == "delete" || body["properties"]["level"] == "ReadOnly")
        .map(|(key, _)| scope_of(key))
        .collect();
    if blocking.is_empty() {
        return Ok(());
    }
    Err(refuse("locked", &[&path, verb, &blocking.join("', '")]))
}
