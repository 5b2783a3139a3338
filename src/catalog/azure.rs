//! Azure itself: built-in roles, API versions, clouds and regions.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::load;

/// The addresses of a cloud that amlplan knows by name.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloudFacts {
    /// `AzureCloud`, `AzureUSGovernment` or `AzureChinaCloud`.
    pub name: String,
    /// Address of the Resource Manager, without a slash at the end.
    pub resource_manager: String,
    /// Address of the sign-in service, without a slash at the end.
    pub authority: String,
    /// Audience of Resource Manager tokens, with its slash.
    pub audience: String,
    /// Host suffix of Relay and Service Bus.
    pub service_bus: String,
    /// Host of the Log Analytics API.
    pub log_analytics: String,
    /// Host suffix of container registries.
    pub registry: String,
    /// Host suffix of storage accounts.
    pub storage: String,
    /// Host suffix of the Azure ML API.
    pub machine_learning: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    regions: Vec<String>,
    roles: BTreeMap<String, String>,
    api_versions: BTreeMap<String, String>,
    cloud: Vec<CloudFacts>,
}

static FILE: LazyLock<File> = LazyLock::new(|| load(include_str!("azure.toml")));

/// Built-in roles: name → role definition guid, the same in every cloud (Azure docs: built-in
/// roles).
#[must_use]
pub fn roles() -> &'static BTreeMap<String, String> {
    &FILE.roles
}

/// The guid of a built-in role; names compare without case.
#[must_use]
pub fn role(name: &str) -> Option<&'static str> {
    let found = FILE.roles.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, guid)| guid.as_str())
}

/// The API version to ask for a resource type, such as `Microsoft.Relay/namespaces`; a type below
/// a listed one (`Microsoft.Relay/namespaces/hybridConnections`) has its parent's. Types compare
/// without case. `None`: amlplan has no business with such resources.
#[must_use]
pub fn api_version(resource_type: &str) -> Option<&'static str> {
    let mut asked = resource_type;
    loop {
        let found = FILE.api_versions.iter().find(|(known, _)| known.eq_ignore_ascii_case(asked));
        if let Some((_, version)) = found {
            return Some(version);
        }
        asked = asked.rsplit_once('/')?.0;
    }
}

/// The clouds that need no addresses in the manifest.
#[must_use]
pub fn clouds() -> &'static [CloudFacts] {
    &FILE.cloud
}

/// The cloud of this name.
#[must_use]
pub fn cloud(name: &str) -> Option<&'static CloudFacts> {
    FILE.cloud.iter().find(|it| it.name.eq_ignore_ascii_case(name))
}

/// Regions that the extension service named in March 2025. A region that is missing here deserves
/// a warning at most: the list grows.
#[must_use]
pub fn regions() -> &'static [String] {
    &FILE.regions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_guids_and_found_without_case() {
        for guid in roles().values() {
            let groups: Vec<usize> = guid.split('-').map(str::len).collect();
            assert_eq!(groups, [8, 4, 4, 4, 12], "{guid}");
        }
        assert_eq!(role("acrpull"), Some("7f951dda-4ed3-4680-a7ca-43fe172d538d"));
        assert_eq!(role("nobody"), None);
    }

    #[test]
    fn a_type_has_its_own_version_or_its_parents() {
        for (asked, version) in [
            ("microsoft.kubernetesconfiguration/extensions", Some("2023-05-01")),
            ("Microsoft.Relay/namespaces/hybridConnections/authorizationRules", Some("2021-11-01")),
            ("Microsoft.MachineLearningServices/workspaces/computes", Some("2024-04-01")),
            ("Microsoft.Web/sites", None),
        ] {
            assert_eq!(api_version(asked), version, "{asked}");
        }
    }

    #[test]
    fn clouds_have_https_addresses_without_a_trailing_slash() {
        assert_eq!(clouds().len(), 3);
        for cloud in clouds() {
            for address in [&cloud.resource_manager, &cloud.authority] {
                assert!(address.starts_with("https://") && !address.ends_with('/'), "{address}");
            }
            assert!(cloud.audience.ends_with('/'));
        }
        assert!(regions().iter().any(|it| it == "westeurope"));
    }
}
