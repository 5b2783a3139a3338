//! What the caller may do (Azure REST: Authorization permissions).

use super::facts::FACTS;
use super::site::{Found, World, items};
use crate::catalog::ArmType;
use crate::model::{Json, Key};
use crate::resource::graph::Node;
use crate::resource::{Read, Readiness, Resource, Target};

/// The Azure scope at which a resource is made, and the right that it takes.
fn needed(key: &Key, node: &Node) -> Option<(String, String)> {
    let right = FACTS.right.iter().find(|it| it.kind == key.kind)?;
    let action = right.action.replace("{name}", &key.name);
    if let Resource::RoleAssignment(it) = &node.resource {
        return Some((it.at.to_string(), action));
    }
    let Target::Arm(id) = node.resource.kind().target() else { return None };
    let subscription = format!("/subscriptions/{}", id.subscription());
    let scope = match id.resource_group() {
        Some(group) => format!("{subscription}/resourceGroups/{group}"),
        None => subscription,
    };
    Some((scope, action))
}

fn probe_name(scope: &str) -> String {
    format!("permissions {}", scope.to_ascii_lowercase())
}

/// What to read to know whether a resource may be made.
pub(super) fn read(key: &Key, node: &Node) -> Option<(String, Read)> {
    let (scope, _) = needed(key, node)?;
    let ArmType { name, api_version } = ArmType::PERMISSIONS;
    let path = format!("{scope}/providers/{name}");
    Some((probe_name(&scope), Read::ArmList { path, api_version }))
}

/// Whether `pattern`, in which `*` stands for any text, matches an action, without case.
fn matches(pattern: &str, action: &str) -> bool {
    let (pattern, action) = (pattern.to_ascii_lowercase(), action.to_ascii_lowercase());
    let mut parts = pattern.split('*');
    let Some(mut rest) = action.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// Whether one effective role assignment, as `Microsoft.Authorization/permissions` lists it, allows
/// an action and does not itself exclude it. Deny assignments and locks do not show there.
#[must_use]
pub fn allows(permission: &Json, action: &str) -> bool {
    let has = |field: &str| {
        items(permission, field).filter_map(Json::as_str).any(|it| matches(it, action))
    };
    has("/actions") && !has("/notActions")
}

/// The caller's right to make what is not there yet.
pub(super) fn judge(world: &World<'_>, key: &Key, node: &Node) -> Option<Found> {
    let (scope, action) = needed(key, node)?;
    let kind = node.resource.kind();
    let live = world.snapshot.live.get(key)?;
    if kind.readiness(&kind.want(world.snapshot), live) != Readiness::Absent {
        return None;
    }
    Some(match world.probed.get(&key.scope, &probe_name(&scope)) {
        Err(why) => Found::Unknown(format!("your rights at {scope} are unknown: {why}")),
        Ok(None) => Found::Unknown(format!("Azure does not tell your rights at {scope}")),
        Ok(Some(answer)) => {
            let list = answer.as_array().or_else(|| answer.get("value")?.as_array());
            if list.into_iter().flatten().any(|it| allows(it, &action)) {
                Found::pass()
            } else {
                Found::wrong(
                    format!("this sign-in may not {action} at {scope}"),
                    "have a role with that right assigned there (Contributor holds most; role \
                     assignments take Owner or User Access Administrator)",
                )
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn actions_match_patterns_as_in_role_definitions() {
        let write = "Microsoft.Relay/namespaces/write";
        for (pattern, expected) in [
            ("*", true),
            ("microsoft.relay/namespaces/write", true),
            ("Microsoft.Relay/*", true),
            ("*/write", true),
            ("Microsoft.*/write", true),
            ("*/read", false),
            ("Microsoft.Relay/namespaces", false),
            ("Microsoft.Relay/namespaces/write/action", false),
            ("", false),
        ] {
            assert_eq!(matches(pattern, write), expected, "{pattern}");
        }
    }

    #[test]
    fn what_a_role_takes_away_again_is_not_allowed() {
        let contributor =
            json!({"actions": ["*"], "notActions": ["Microsoft.Authorization/*/Write"]});
        assert!(allows(&contributor, "Microsoft.Relay/namespaces/write"));
        assert!(!allows(&contributor, "Microsoft.Authorization/roleAssignments/write"));
    }
}
