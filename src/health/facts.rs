//! The facts of `doctor.toml`, typed.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::catalog::ProfileName;

/// What an unset setting means.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Unset {
    True,
    False,
    Aks,
}

/// Software that collides with a part of the extension.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Conflict {
    pub(super) code: String,
    pub(super) list: String,
    pub(super) parts: Vec<String>,
    pub(super) profiles: Vec<ProfileName>,
    #[serde(default)]
    pub(super) training: bool,
    pub(super) setting: String,
    pub(super) default: Unset,
    #[serde(default)]
    pub(super) invert: bool,
    pub(super) unless: Option<String>,
    pub(super) write: String,
}

/// An object that AML v1 leaves behind.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Legacy {
    pub(super) api: String,
    pub(super) kind: String,
    pub(super) plural: String,
    pub(super) name: String,
}

/// A role that an identity needs.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NeededRole {
    pub(super) role: String,
    pub(super) instead: Vec<String>,
    /// Only where trusted access is the way in.
    #[serde(default)]
    pub(super) trusted: bool,
    /// At the registry; else at the storage account. For computes.
    #[serde(default)]
    pub(super) registry: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Facts {
    pub(super) oldest_minor: i64,
    pub(super) oldest_minor_of: String,
    pub(super) tolerated_taints: Vec<String>,
    pub(super) balanced: Vec<String>,
    pub(super) floor: [i64; 2],
    pub(super) many_cpus: i64,
    pub(super) conflict: Vec<Conflict>,
    pub(super) legacy: Vec<Legacy>,
    pub(super) workspace_role: Vec<NeededRole>,
    pub(super) relay_role: NeededRole,
    pub(super) compute_role: Vec<NeededRole>,
}

pub(super) static FACTS: LazyLock<Facts> = LazyLock::new(|| {
    toml::from_str(include_str!("doctor.toml")).expect("a test reads the embedded facts")
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_facts_parse_and_name_known_settings_roles_and_pages() {
        for conflict in &FACTS.conflict {
            assert!(crate::catalog::explain(&conflict.code).is_some(), "{}", conflict.code);
            assert!(crate::catalog::setting(&conflict.setting).is_some(), "{}", conflict.setting);
        }
        for needed_role in
            FACTS.workspace_role.iter().chain([&FACTS.relay_role]).chain(&FACTS.compute_role)
        {
            let names = needed_role.instead.iter().chain([&needed_role.role]);
            assert!(names.clone().all(|it| crate::catalog::role(it).is_some()), "{needed_role:?}");
        }
        assert_eq!(FACTS.legacy.len(), 8);
    }
}
