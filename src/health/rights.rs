//! What the caller and the identity of a workspace may do (Azure REST: Authorization permissions
//! and roleAssignments; AML docs: attach Kubernetes to workspace).

use std::collections::{BTreeMap, BTreeSet};

use super::access::workspace_id;
use super::facts::FACTS;
use super::report::{Finding, Probe, Probed};
use super::site::{Found, Site, check, items, text};
use crate::catalog::{self, ArmType};
use crate::model::{Json, Key};
use crate::resource::graph::{Desired, Node};
use crate::resource::{Compute, Principal, Read, Readiness, Resource, Snapshot, Target};

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

/// One probe for each scope at which something is made.
pub(super) fn probes(desired: &Desired) -> Vec<Probe> {
    let mut found = BTreeMap::new();
    for (key, node) in &desired.nodes {
        if let Some((scope, _)) = needed(key, node) {
            let ArmType { name, api_version } = ArmType::PERMISSIONS;
            let path = format!("{scope}/providers/{name}");
            let probe = Probe {
                scope: key.scope.clone(),
                name: probe_name(&scope),
                read: Read::ArmList { path, api_version },
            };
            found.insert((key.scope.clone(), probe.name.clone()), probe);
        }
    }
    found.into_values().collect()
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

fn allows(permission: &Json, action: &str) -> bool {
    let has = |field: &str| {
        items(permission, field).filter_map(Json::as_str).any(|it| matches(it, action))
    };
    has("/actions") && !has("/notActions")
}

/// The caller's right to make what is not there yet.
pub(super) fn checks(desired: &Desired, snapshot: &Snapshot, probed: &Probed) -> Vec<Finding> {
    const CODE: &str = "rights-missing";
    let mut checks = Vec::new();
    for (key, node) in &desired.nodes {
        let Some((scope, action)) = needed(key, node) else { continue };
        let kind = node.resource.kind();
        let Some(live) = snapshot.live.get(key) else { continue };
        if kind.readiness(&kind.want(snapshot), live) != Readiness::Absent {
            continue;
        }
        let found = match probed.get(&key.scope, &probe_name(&scope)) {
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
        };
        checks.push(check(desired, CODE, key, "", found));
    }
    checks
}

/// Roles of a workspace whose only identity is user-assigned; with a system-assigned one Azure ML
/// takes care of itself.
pub(super) fn workspace_roles(site: &mut Site<'_>) {
    const CODE: &str = "workspace-identity-roles";
    for compute in site.computes() {
        let Some(workspace) = site.snapshot.document(&compute.workspace) else { continue };
        let kind = text(workspace, "/identity/type").to_ascii_lowercase();
        if !kind.contains("userassigned") || kind.contains("systemassigned") {
            site.add_at(CODE, &compute.key, "/location", Found::pass());
            continue;
        }
        let held = match site.list("cluster-roles") {
            Ok(all) => held(site, compute, workspace, &all),
            Err(why) => {
                site.add_at(CODE, &compute.key, "/location", Found::Unknown(why));
                continue;
            }
        };
        let has = |role: &str| catalog::role(role).is_some_and(|guid| held.contains(guid));
        let missing: Vec<&str> = FACTS
            .workspace_role
            .iter()
            .filter(|it| !has(&it.role) && !it.instead.iter().any(|it| has(it)))
            .map(|it| it.role.as_str())
            .collect();
        let found = if missing.is_empty() {
            Found::pass()
        } else {
            Found::wrong(
                format!(
                    "the identity of {} is user-assigned and lacks on the cluster: {}",
                    workspace_id(compute),
                    missing.join(", ")
                ),
                format!(
                    "write roleAssignments: [{{principal: <object id of the identity>, role: {}, scope: {}}}]",
                    missing[0], site.access.id
                ),
            )
        };
        site.add_at(CODE, &compute.key, "/location", found);
    }
}

/// Guids of the roles that the workspace's identities hold on the cluster or will be given.
fn held(site: &Site<'_>, compute: &Compute, workspace: &Json, live: &[&Json]) -> BTreeSet<String> {
    let identities = workspace.pointer("/identity/userAssignedIdentities");
    let principals: Vec<String> = identities
        .and_then(Json::as_object)
        .into_iter()
        .flatten()
        .map(|(_, it)| text(it, "/principalId").to_ascii_lowercase())
        .collect();
    let guid = |role: &str| role.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let mut held: BTreeSet<String> = live
        .iter()
        .filter(|it| principals.contains(&text(it, "/properties/principalId").to_ascii_lowercase()))
        .map(|it| guid(text(it, "/properties/roleDefinitionId")))
        .collect();
    for node in site.desired.nodes.values() {
        let Resource::RoleAssignment(it) = &node.resource else { continue };
        let ours = match &it.principal {
            Principal::ObjectId(id) => principals.contains(&id.to_ascii_lowercase()),
            Principal::Of(later) => later.from == compute.workspace,
        };
        if ours && site.access.id.is_below(&it.at) {
            held.insert(guid(&it.role_definition));
        }
    }
    held
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
