//! The built-in roles of Azure that matter here, with what they allow.

use std::sync::LazyLock;

use serde::Deserialize;

#[derive(Debug, Deserialize)]
struct RoleCatalog {
    role: Vec<Role>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Role {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) actions: Vec<String>,
    #[serde(default)]
    pub(crate) not_actions: Vec<String>,
}

/// What a role allows.
#[derive(Clone, Debug)]
pub(crate) struct RoleRights {
    pub(crate) actions: Vec<String>,
    pub(crate) not_actions: Vec<String>,
}

fn rights(role: &Role) -> RoleRights {
    RoleRights { actions: role.actions.clone(), not_actions: role.not_actions.clone() }
}

/// The rights of a built-in role.
pub(crate) fn role_named(name: &str) -> Option<RoleRights> {
    ROLES.iter().find(|role| role.name.eq_ignore_ascii_case(name)).map(rights)
}

/// The rights of a built-in role by the GUID of its definition.
pub(crate) fn role_of_id(id: &str) -> Option<RoleRights> {
    ROLES.iter().find(|role| role.id.eq_ignore_ascii_case(id)).map(rights)
}

pub(crate) static ROLES: LazyLock<Vec<Role>> = LazyLock::new(|| {
    toml::from_str::<RoleCatalog>(include_str!("roles.toml"))
        .expect("the embedded list of roles parses")
        .role
});
