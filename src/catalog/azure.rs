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
    /// Host suffix of Relay and Service Bus.
    pub service_bus: String,
    /// Host suffix of container registries.
    pub registry: String,
    /// Host suffix of storage accounts.
    pub storage: String,
    /// Host suffix of the Azure ML API.
    pub machine_learning: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AzureFile {
    regions: Vec<String>,
    regions_of: String,
    distributions: Vec<String>,
    mistaken_types: BTreeMap<String, String>,
    roles: BTreeMap<String, String>,
    cloud: Vec<CloudFacts>,
}

/// A resource type of ARM and the API version that amlplan speaks to it. Only the constants below
/// exist, so there is no type without a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArmType {
    /// `NAMESPACE/TYPE[/TYPE…]`, as it stands in ids.
    pub name: &'static str,
    /// The API version.
    pub api_version: &'static str,
}

impl std::fmt::Display for ArmType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

macro_rules! arm_types {
    ($($constant:ident = $name:literal, $api_version:literal;)*) => {
        impl ArmType {
            $(#[doc = concat!("`", $name, "`.")]
            pub const $constant: Self = Self { name: $name, api_version: $api_version };)*

            /// Every type that amlplan has business with.
            #[cfg(test)]
            pub const ALL: &[Self] = &[$(Self::$constant),*];
        }
    };
}

// Azure REST: the versions that the fact sheets were read from. What is inside a Relay or Service
// Bus namespace has the version of the namespace.
arm_types! {
    FEATURES = "Microsoft.Features/providers/features", "2021-07-01";
    PROVIDERS = "Microsoft.Resources/providers", "2021-04-01";
    CONNECTED_CLUSTERS = "Microsoft.Kubernetes/connectedClusters", "2024-01-01";
    MANAGED_CLUSTERS = "Microsoft.ContainerService/managedClusters", "2024-05-01";
    EXTENSIONS = "Microsoft.KubernetesConfiguration/extensions", "2023-05-01";
    WORKSPACES = "Microsoft.MachineLearningServices/workspaces", "2024-04-01";
    COMPUTES = "Microsoft.MachineLearningServices/workspaces/computes", "2024-04-01";
    RELAY = "Microsoft.Relay/namespaces", "2021-11-01";
    SERVICE_BUS = "Microsoft.ServiceBus/namespaces", "2021-11-01";
    LOG_ANALYTICS = "Microsoft.OperationalInsights/workspaces", "2020-08-01";
    IDENTITIES = "Microsoft.ManagedIdentity/userAssignedIdentities", "2023-01-31";
    ROLE_ASSIGNMENTS = "Microsoft.Authorization/roleAssignments", "2022-04-01";
    STORAGE = "Microsoft.Storage/storageAccounts", "2023-01-01";
    VAULTS = "Microsoft.KeyVault/vaults", "2023-07-01";
    REGISTRIES = "Microsoft.ContainerRegistry/registries", "2023-07-01";
    EXTENSION_VERSIONS = "Microsoft.KubernetesConfiguration/extensionTypes/versions", "2023-05-01-preview";
    RESOURCES = "Microsoft.Resources/resources", "2021-04-01";
    POLICIES = "Microsoft.Authorization/policyAssignments", "2022-06-01";
    PERMISSIONS = "Microsoft.Authorization/permissions", "2022-04-01";
}

impl ArmType {
    /// The type of an Azure cluster: `connectedClusters` or `managedClusters`.
    #[must_use]
    pub fn of_cluster(resource_type: &str) -> Self {
        let managed = Self::MANAGED_CLUSTERS;
        if resource_type.eq_ignore_ascii_case(managed.name) {
            managed
        } else {
            Self::CONNECTED_CLUSTERS
        }
    }
}

static FILE: LazyLock<AzureFile> = LazyLock::new(|| load(include_str!("azure.toml")));

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

/// The cloud of this name.
#[must_use]
pub fn cloud(name: &str) -> Option<&'static CloudFacts> {
    FILE.cloud.iter().find(|cloud_facts| cloud_facts.name.eq_ignore_ascii_case(name))
}

/// Regions that the extension service named, for when Azure itself does not say. A region that is
/// missing here deserves a warning at most: the list grows.
#[must_use]
pub fn regions() -> &'static [String] {
    &FILE.regions
}

/// When [`regions`] was read.
#[must_use]
pub fn regions_of() -> &'static str {
    &FILE.regions_of
}

/// The words that Azure Arc knows for kinds of Kubernetes.
#[must_use]
pub fn distributions() -> &'static [String] {
    &FILE.distributions
}

/// Resource types that articles and samples get wrong, in lower case, with the right ones.
#[must_use]
pub fn mistaken_types() -> &'static BTreeMap<String, String> {
    &FILE.mistaken_types
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
    fn every_type_is_a_namespace_with_types_and_has_a_dated_version() {
        for arm_type in ArmType::ALL {
            assert!(
                arm_type.name.starts_with("Microsoft.") && arm_type.name.contains('/'),
                "{arm_type}"
            );
            let date = arm_type.api_version.trim_end_matches("-preview");
            assert!(date.parse::<jiff::civil::Date>().is_ok(), "{arm_type}");
        }
    }

    #[test]
    fn clouds_have_https_addresses_without_a_trailing_slash() {
        assert_eq!(FILE.cloud.len(), 3);
        for cloud in &FILE.cloud {
            for address in [&cloud.resource_manager, &cloud.authority] {
                assert!(address.starts_with("https://") && !address.ends_with('/'), "{address}");
            }
        }
        assert!(regions().iter().any(|region| region == "westeurope"));
    }
}
