//! What the caller may do, as `Microsoft.Authorization/permissions` lists it (Azure REST:
//! Permissions - List For Resource Group). Deny assignments and locks do not show there.

use crate::model::Json;

/// What one effective role assignment allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permission {
    /// Allowed actions, with `*` for any text.
    pub actions: Vec<String>,
    /// Actions taken out of the allowed ones.
    pub not_actions: Vec<String>,
}

impl Permission {
    pub(super) fn read(json: &Json) -> Self {
        let list = |key: &str| -> Vec<String> {
            let items = json[key].as_array().into_iter().flatten();
            items.filter_map(Json::as_str).map(str::to_owned).collect()
        };
        Self { actions: list("actions"), not_actions: list("notActions") }
    }
}

/// Whether some assignment allows the action and does not itself exclude it.
#[must_use]
pub fn allows(permissions: &[Permission], action: &str) -> bool {
    let any = |patterns: &[String]| patterns.iter().any(|it| matches(it, action));
    permissions.iter().any(|it| any(&it.actions) && !any(&it.not_actions))
}

/// `*` stands for any text, slashes too; case does not matter.
fn matches(pattern: &str, action: &str) -> bool {
    let (pattern, action) = (pattern.to_ascii_lowercase(), action.to_ascii_lowercase());
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| action.strip_prefix(first)) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_and_exclusions_decide_what_is_allowed() {
        let of = |actions: &[&str], not: &[&str]| Permission {
            actions: actions.iter().map(ToString::to_string).collect(),
            not_actions: not.iter().map(ToString::to_string).collect(),
        };
        let contributor = of(&["*"], &["Microsoft.Authorization/*/Write"]);
        let reader = of(&["*/read"], &[]);
        let write = "Microsoft.Authorization/roleAssignments/write";
        assert!(!allows(std::slice::from_ref(&contributor), write));
        assert!(allows(std::slice::from_ref(&contributor), "Microsoft.Relay/namespaces/write"));
        assert!(allows(std::slice::from_ref(&reader), "microsoft.relay/namespaces/READ"));
        assert!(!allows(std::slice::from_ref(&reader), "Microsoft.Relay/namespaces/write"));
        let admin = of(&["Microsoft.Authorization/roleAssignments/*"], &[]);
        assert!(allows(&[contributor, admin], write));
        assert!(allows(&[of(&["A/b/read"], &[])], "a/B/read"));
        assert!(!allows(&[of(&["A/b"], &[])], "a/B/read"));
        assert!(!allows(&[], write));
    }
}
