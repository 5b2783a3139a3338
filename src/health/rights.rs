//! What the caller may do (Azure REST: Authorization permissions).

use super::report::{Judged, Probe, Probed, Unseen};
use super::site::{Found, Inspection, items};
use crate::catalog::ArmType;
use crate::model::{ArmId, Json, Key};
use crate::resource::Read;
use crate::resource::graph::ResourceNode;
use crate::resource::rights::{ResourceAttributes, Rights};

fn at_scope(at: &ArmId) -> String {
    format!("permissions {}", at.as_str().to_ascii_lowercase())
}

fn in_cluster(access: &ResourceAttributes) -> String {
    format!("may {access}")
}

/// What to read to know whether the caller has these rights.
#[must_use]
pub fn probes(rights: &Rights) -> Vec<Probe> {
    let ArmType { name, api_version } = ArmType::PERMISSIONS;
    let azure = rights.azure.iter().map(|(at, own)| Probe {
        scope: own.asker.clone(),
        name: at_scope(at),
        read: Read::ArmList { path: format!("{at}/providers/{name}"), api_version },
    });
    let clusters = rights.kubernetes.iter().flat_map(|(cluster, all)| {
        all.iter().map(|attributes| Probe {
            scope: cluster.clone(),
            name: in_cluster(attributes),
            read: Read::Review(attributes.clone()),
        })
    });
    azure.chain(clusters).collect()
}

/// A right that the caller does not have, or that nobody could tell.
#[derive(Debug)]
pub struct Lacking {
    /// The Azure scope, or the cluster.
    pub at: String,
    /// The action, or verb and object.
    pub what: String,
    /// Why nobody could tell, when that is so.
    pub unknown: Option<Unseen>,
}

/// What the caller may not do, by the answers to [`probes`].
#[must_use]
pub fn lacking(rights: &Rights, probed: &Probed) -> Vec<Lacking> {
    let mut found = Vec::new();
    for (at, own) in &rights.azure {
        let answer = match probed.get(&own.asker, &at_scope(at)) {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(Unseen::Untold("Azure does not tell".to_owned())),
            Err(why) => Err(why),
        };
        for action in &own.actions {
            let may = |answer: &Json| {
                let list = answer.as_array().or_else(|| answer.get("value")?.as_array());
                list.into_iter().flatten().any(|value| allows(value, action))
            };
            let unknown = match &answer {
                Ok(answer) if may(answer) => continue,
                Ok(_) => None,
                Err(unseen) => Some(unseen.clone()),
            };
            found.push(Lacking { at: at.to_string(), what: action.clone(), unknown });
        }
    }
    for (cluster, all) in &rights.kubernetes {
        for access in all {
            let unknown = match probed.get(cluster, &in_cluster(access)) {
                Ok(Some(Json::Bool(true))) => continue,
                Ok(_) => None,
                Err(unseen) => Some(unseen),
            };
            let at = format!("cluster {cluster}");
            found.push(Lacking { at, what: access.to_string(), unknown });
        }
    }
    found
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
        items(permission, field).filter_map(Json::as_str).any(|text| matches(text, action))
    };
    has("/actions") && !has("/notActions")
}

/// The caller's right to do what apply would do next.
pub(super) fn judge(
    world: &Inspection<'_>,
    key: &Key,
    node: &ResourceNode,
) -> Judged<Option<Found>> {
    if key.kind.read_only() || !world.applies(node.resource.kind()) {
        return Ok(None);
    }
    let rights = world.rights(node)?;
    if rights == Rights::default() {
        return Ok(None);
    }
    let (unknown, lacking): (Vec<Lacking>, Vec<Lacking>) =
        lacking(&rights, world.probed).into_iter().partition(|it| it.unknown.is_some());
    let all = |some: &[Lacking]| {
        let each = some.iter().map(|lacking| format!("{} at {}", lacking.what, lacking.at));
        each.collect::<Vec<_>>().join(", nor ")
    };
    Ok(Some(match (&lacking[..], &unknown[..]) {
        ([], []) => Found::pass(),
        ([], [first, ..]) => return first.unknown.clone().map_or(Ok(None), Err),
        _ => Found::wrong(
            format!("this sign-in may not {}", all(&lacking)),
            "`amlplan permissions` prints the roles that apply takes; Contributor holds most, and role \
             assignments take User Access Administrator",
        ),
    }))
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
