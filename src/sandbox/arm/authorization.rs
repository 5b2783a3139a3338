//! Role assignments, role definitions, the caller's permissions and locks ("Azure REST: Authorization; Locks").

use http::Method;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::answer::{self, canonical_id, method_not_allowed};
use super::roles::{ROLES, Role};
use super::{access, generic};
use crate::state::id::{self, Target};
use crate::state::world::World;
use crate::wire::{Answer, Call, Reply, fail};

const LOCKS: &str = "microsoft.authorization/locks";
const MARK: &str = "/providers/microsoft.authorization/";

/// Answers under `{scope}/providers/Microsoft.Authorization`.
pub(crate) fn handle(world: &mut World, call: &Call, target: &Target) -> Answer {
    let Some(level) = target.last() else { return Err(method_not_allowed(call)) };
    let path = canonical_id(call);
    let scope = scope_of(&path);
    require_scope(world, &scope, call)?;
    match (&call.method, level.types().as_str(), level.is_named()) {
        (&Method::GET, "roleassignments", false) => Ok(list_assignments(world, call, &scope)),
        (_, "roleassignments", true) => assignment(world, call, &path, &scope),
        (&Method::GET, "roledefinitions", false) => Ok(definitions(world, call, &scope)),
        (&Method::GET, "roledefinitions", true) => definition(&scope, level.last_name()),
        (&Method::GET, "permissions", false) => {
            Ok(Reply::ok(access::permissions(world, call, &scope)))
        }
        (&Method::GET, "locks", false) => Ok(list_locks(world, call, &scope)),
        (_, "locks", true) => lock(world, call, &path),
        _ => generic::handle(world, call, target),
    }
}

/// The scope before the last `providers/Microsoft.Authorization`.
fn scope_of(path: &str) -> String {
    path.to_ascii_lowercase().rfind(MARK).map_or_else(String::new, |at| path[..at].to_owned())
}

fn require_scope(world: &World, scope: &str, call: &Call) -> Result<(), Reply> {
    let target = id::parse(scope);
    if call.method == Method::GET
        || scope.is_empty()
        || world.get(scope).is_some()
        || target.levels.is_empty()
    {
        return Ok(());
    }
    Err(answer::not_found(&target))
}

fn list_assignments(world: &World, call: &Call, scope: &str) -> Reply {
    let filter = call.param("$filter").unwrap_or_default().to_ascii_lowercase();
    let quoted = filter.split('\'').nth(1).map(ToOwned::to_owned);
    let principal = (filter.contains("principalid eq") || filter.contains("assignedto("))
        .then_some(quoted)
        .flatten();
    let at_scope = filter.contains("atscope()");
    let scope_key = id::key(scope);
    let items: Vec<&Json> = world
        .keyed("", "microsoft.authorization/roleassignments")
        .filter(|(_, stored)| {
            let own = id::key(stored.body["properties"]["scope"].as_str().unwrap_or_default());
            let above = own == scope_key || scope_key.starts_with(&format!("{own}/")) || own == "/";
            let below = own.starts_with(&format!("{}/", scope_key.trim_end_matches('/')));
            let who = principal.as_ref().is_none_or(|p| {
                stored.body["properties"]["principalId"]
                    .as_str()
                    .is_some_and(|id| id.eq_ignore_ascii_case(p))
            });
            who && (above || (below && !at_scope))
        })
        .map(|(_, stored)| &stored.body)
        .collect();
    answer::page(world, call, items, Json::clone)
}

fn assignment(world: &mut World, call: &Call, path: &str, scope: &str) -> Answer {
    let name = id::last_segment(path);
    let existing = world.body(path).cloned();
    match call.method {
        Method::GET => existing.map(Reply::ok).ok_or_else(|| {
            fail(
                404,
                "RoleAssignmentNotFound",
                format!("The role assignment '{name}' is not found."),
            )
        }),
        Method::HEAD => Ok(Reply::head(existing.is_some())),
        Method::DELETE => {
            world.remove_tree(path);
            Ok(existing.map_or_else(|| Reply::empty(204), Reply::ok))
        }
        Method::PUT => put_assignment(world, call, path, scope, existing),
        _ => Err(method_not_allowed(call)),
    }
}

/// The principal and role of a request, in lower case, if both can exist.
fn checked_pair(world: &World, wanted: &Json, name: &str) -> Result<(String, String), Reply> {
    if Uuid::parse_str(name).is_err() {
        return Err(fail(
            400,
            "InvalidRoleAssignmentId",
            format!(
                "The role assignment ID '{name}' is not valid. The role assignment ID must be a GUID."
            ),
        ));
    }
    let principal = wanted["principalId"].as_str().unwrap_or_default().to_ascii_lowercase();
    if principal.is_empty() {
        let text = "A valid principal ID must be provided for role assignment.";
        return Err(fail(400, "InvalidPrincipalId", text));
    }
    if Uuid::parse_str(&principal).is_err() {
        return Err(fail(
            400,
            "PrincipalNotFound",
            format!(
                "Principal {principal} does not exist in the directory {}. Check that you have the correct principal ID.",
                world.tenant()
            ),
        ));
    }
    let role = id::last_segment(wanted["roleDefinitionId"].as_str().unwrap_or_default())
        .to_ascii_lowercase();
    if !ROLES.iter().any(|known| known.id == role)
        && world
            .of_type(None, "microsoft.authorization/roledefinitions")
            .iter()
            .all(|r| r.body["name"] != role.as_str())
    {
        return Err(fail(
            400,
            "RoleDefinitionDoesNotExist",
            format!(
                "The specified role definition with ID '{}' does not exist.",
                role.replace('-', "")
            ),
        ));
    }
    Ok((principal, role))
}

fn put_assignment(
    world: &mut World,
    call: &Call,
    path: &str,
    scope: &str,
    existing: Option<Json>,
) -> Answer {
    let request = call.json()?;
    let wanted = &request["properties"];
    let name = id::last_segment(path);
    let (principal, role) = checked_pair(world, wanted, name)?;
    let same = |body: &Json| {
        let of = &body["properties"];
        id::key(of["scope"].as_str().unwrap_or_default()) == id::key(scope)
            && of["principalId"].as_str().is_some_and(|p| p.eq_ignore_ascii_case(&principal))
            && id::last_segment(of["roleDefinitionId"].as_str().unwrap_or_default()) == role
    };
    if existing.as_ref().is_some_and(|existing| !same(existing)) {
        return Err(fail(
            409,
            "RoleAssignmentUpdateNotPermitted",
            "Tenant ID, application ID, principal ID, and scope are not allowed to be updated.",
        ));
    }
    let twin = world
        .of_type(None, "microsoft.authorization/roleassignments")
        .into_iter()
        .find(|stored| same(&stored.body));
    if existing.is_none()
        && let Some(twin) = twin
    {
        let id = twin.body["name"].as_str().unwrap_or_default().replace('-', "");
        return Err(fail(
            409,
            "RoleAssignmentExists",
            format!(
                "The role assignment already exists. The ID of the existing role assignment is {id}."
            ),
        ));
    }
    let subscription = id::parse(scope).subscription;
    let definition = subscription.map_or_else(String::new, |s| format!("/subscriptions/{s}"))
        + &format!("/providers/Microsoft.Authorization/roleDefinitions/{role}");
    let stamp = world.stamp();
    let caller = world.guid("caller");
    let mut body = json!({"properties": {"roleDefinitionId": definition, "principalId": principal,
            "principalType": wanted["principalType"].as_str().unwrap_or("ServicePrincipal"), "scope": scope,
            "condition": wanted["condition"], "conditionVersion": wanted["conditionVersion"], "description": wanted["description"],
            "createdOn": stamp, "updatedOn": stamp, "createdBy": caller, "updatedBy": caller,
            "delegatedManagedIdentityResourceId": wanted["delegatedManagedIdentityResourceId"]},
        "id": path, "type": "Microsoft.Authorization/roleAssignments", "name": name});
    if let Some(existing) = &existing {
        body["properties"]["createdOn"] = existing["properties"]["createdOn"].clone();
    }
    world.put(path, body.clone());
    Ok(Reply::stored(existing.is_some(), body))
}

fn role_body(scope: &str, role: &Role) -> Json {
    let subscription =
        id::parse(scope).subscription.map_or_else(String::new, |s| format!("/subscriptions/{s}"));
    json!({"properties": {"roleName": role.name, "type": "BuiltInRole", "description": role.name, "assignableScopes": ["/"],
            "permissions": [{"actions": role.actions, "notActions": role.not_actions, "dataActions": [], "notDataActions": []}]},
        "id": format!("{subscription}/providers/Microsoft.Authorization/roleDefinitions/{}", role.id),
        "type": "Microsoft.Authorization/roleDefinitions", "name": role.id})
}

fn definitions(world: &World, call: &Call, scope: &str) -> Reply {
    let filter = call.param("$filter").unwrap_or_default().to_owned();
    let wanted = filter
        .to_ascii_lowercase()
        .contains("rolename eq")
        .then(|| filter.split('\'').nth(1).unwrap_or_default().to_owned());
    let items = ROLES
        .iter()
        .filter(|role| wanted.as_ref().is_none_or(|wanted| role.name.eq_ignore_ascii_case(wanted)))
        .map(|role| role_body(scope, role));
    answer::page(world, call, items, |it| it)
}

fn definition(scope: &str, name: &str) -> Answer {
    ROLES
        .iter()
        .find(|role| role.id.eq_ignore_ascii_case(name))
        .map(|role| Reply::ok(role_body(scope, role)))
        .ok_or_else(|| {
            fail(
                404,
                "RoleDefinitionDoesNotExist",
                format!("The specified role definition with ID '{name}' does not exist."),
            )
        })
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
fn list_locks(world: &World, call: &Call, scope: &str) -> Reply {
    let below = id::parse(scope).levels.is_empty();
    let prefix = format!("{}/", id::key(scope));
    let mut items: Vec<Json> = locks_over(world, scope).map(|(_, body)| body.clone()).collect();
    if below {
        items.extend(
            world
                .keyed("", LOCKS)
                .filter(|(key, _)| key.starts_with(&prefix))
                .map(|(_, stored)| stored.body.clone())
                .filter(|body| !items.contains(body))
                .collect::<Vec<_>>(),
        );
    }
    answer::page(world, call, items, |it| it)
}

fn lock(world: &mut World, call: &Call, path: &str) -> Answer {
    let existing = world.body(path).cloned();
    match call.method {
        Method::GET => existing.map(Reply::ok).ok_or_else(|| {
            fail(
                404,
                "LockNotFound",
                format!("The lock '{}' could not be found.", id::last_segment(path)),
            )
        }),
        Method::DELETE => {
            world.remove_tree(path);
            Ok(Reply::gone(existing.is_some()))
        }
        Method::PUT => {
            let request = call.json()?;
            let level = request["properties"]["level"].as_str().unwrap_or_default();
            if !["CanNotDelete", "ReadOnly"].contains(&level) {
                return Err(fail(
                    400,
                    "InvalidLockProperties",
                    "The lock level must be CanNotDelete or ReadOnly.",
                ));
            }
            let shown = path.replace("/resourceGroups/", "/resourcegroups/");
            let body = json!({"id": shown, "name": id::last_segment(path), "type": "Microsoft.Authorization/locks",
                "properties": {"level": level, "notes": request["properties"]["notes"]}});
            world.put(path, body.clone());
            Ok(Reply::stored(existing.is_some(), body))
        }
        _ => Err(method_not_allowed(call)),
    }
}

/// Refuses what a lock on the resource, its group or its subscription forbids.
pub(crate) fn check_locks(world: &World, call: &Call, target: &Target) -> Result<(), Reply> {
    let verb = match call.method {
        Method::DELETE => "delete",
        Method::PUT | Method::PATCH | Method::POST => "write",
        _ => return Ok(()),
    };
    if target.namespace() == "microsoft.authorization"
        && target.last().is_some_and(|level| level.types() == "locks")
    {
        return Ok(());
    }
    let path = canonical_id(call);
    let blocking: Vec<String> = locks_over(world, &path)
        .filter(|(_, body)| verb == "delete" || body["properties"]["level"] == "ReadOnly")
        .map(|(key, _)| scope_of(key))
        .collect();
    if blocking.is_empty() {
        return Ok(());
    }
    Err(fail(
        409,
        "ScopeLocked",
        format!(
            "The scope '{path}' cannot perform {verb} operation because following scope(s) are locked: '{}'. Please remove the lock and try again.",
            blocking.join("', '")
        ),
    ))
}
