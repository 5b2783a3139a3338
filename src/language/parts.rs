//! The lists of a cluster: what is declared on it as often as one likes. Doc comments here become
//! the descriptions of the JSON Schema.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::write::is_default;

/// An example for the schema.
const IDENTITY: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/ml-rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id1";

/// The cluster as a compute target of a workspace.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[serde(rename = "Compute")]
pub struct ComputeSpec {
    /// Name of the compute in the workspace.
    pub name: String,
    /// The workspace.
    pub workspace: WorkspaceRef,
    /// Kubernetes namespace of the workloads.
    #[schemars(example = "ml-jobs")]
    #[schemars(extend("default" = "default"))]
    #[serde(default = "default_namespace", skip_serializing_if = "is_default_namespace")]
    pub namespace: String,
    /// Managed identity of the compute.
    #[serde(default, skip_serializing_if = "is_default")]
    pub identity: IdentitySpec,
    /// What it is for.
    #[serde(default, skip_serializing_if = "is_default")]
    pub description: Option<String>,
    /// Tags; what others tag besides stays.
    #[serde(default, skip_serializing_if = "is_default")]
    pub tags: BTreeMap<String, String>,
    /// Instance type of jobs that name none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub default_instance_type: Option<String>,
}

fn default_namespace() -> String {
    "default".to_owned()
}

fn is_default_namespace(name: &String) -> bool {
    *name == default_namespace()
}

/// An Azure ML workspace.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkspaceRef {
    /// Its name.
    pub name: String,
    /// Its resource group; default: the cluster's.
    #[serde(default, skip_serializing_if = "is_default")]
    pub resource_group: Option<String>,
    /// Its subscription; default: the cluster's.
    #[serde(default, skip_serializing_if = "is_default")]
    pub subscription: Option<String>,
}

/// Managed identity of a compute.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[serde(rename = "Identity")]
pub struct IdentitySpec {
    /// Which kind of identity.
    #[serde(rename = "type", default)]
    pub kind: IdentityType,
    /// Resource ids of user-assigned identities; Azure ML uses the first only.
    #[schemars(example = [IDENTITY])]
    #[serde(default, skip_serializing_if = "is_default")]
    pub user_assigned_identities: Vec<String>,
}

/// The kinds of managed identity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum IdentityType {
    /// One that Azure makes for the compute.
    SystemAssigned,
    /// One that exists already.
    UserAssigned,
    /// None.
    #[default]
    None,
}

impl IdentityType {
    /// The word that Azure and its command line use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SystemAssigned => "SystemAssigned",
            Self::UserAssigned => "UserAssigned",
            Self::None => "None",
        }
    }
}

/// A named size that jobs and deployments can ask for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[serde(rename = "InstanceType")]
pub struct InstanceTypeSpec {
    /// Its name, unique in the cluster.
    pub name: String,
    /// Labels of the nodes it may run on.
    #[schemars(example = BTreeMap::from([("sku", "gpu")]))]
    #[serde(default, skip_serializing_if = "is_default")]
    pub node_selector: BTreeMap<String, String>,
    /// Requests and limits.
    pub resources: Resources,
}

/// Requests and limits of an instance type.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Resources {
    /// What is reserved.
    #[serde(default, skip_serializing_if = "is_default")]
    pub requests: BTreeMap<String, Quantity>,
    /// What is the most.
    #[serde(default, skip_serializing_if = "is_default")]
    pub limits: BTreeMap<String, Quantity>,
}

/// A Kubernetes quantity: a text (`500m`, `16Gi`) or a number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Quantity {
    /// A whole number.
    Number(i64),
    /// A text.
    Text(String),
}

impl Quantity {
    /// The text that travels.
    #[must_use]
    pub fn wire(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

/// A role for a principal at a scope.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[serde(rename = "RoleAssignment")]
pub struct RoleAssignmentSpec {
    /// `compute/NAME`, `workspace/NAME`, `extension`, or an object id.
    #[schemars(example = "compute/train")]
    #[schemars(example = "workspace/ml-workspace")]
    #[schemars(example = &"extension")]
    pub principal: String,
    /// Name of a built-in role, or a role definition id.
    #[schemars(example = &"AcrPull")]
    #[schemars(example = "Storage Blob Data Reader")]
    pub role: String,
    /// Resource id.
    #[schemars(
        example = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/ml-rg"
    )]
    pub scope: String,
}

/// The trust of a managed identity in a service account of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[serde(rename = "FederatedIdentityCredential")]
pub struct FederatedIdentityCredentialSpec {
    /// Its name below the identity; one that begins with `amlplan-CLUSTER-` is removed when it is
    /// no longer declared.
    #[schemars(example = "amlplan-edge-01-train")]
    pub name: String,
    /// Resource id of the user-assigned identity.
    #[schemars(example = IDENTITY)]
    pub identity: String,
    /// The service account whose pods act as it.
    pub service_account: ServiceAccount,
    /// Issuer of the cluster's tokens; default: read from the cluster's OIDC profile.
    #[serde(default, skip_serializing_if = "is_default")]
    pub issuer: Option<String>,
    /// What the tokens are for, one; default: Entra's audience in the cloud.
    #[serde(default, skip_serializing_if = "is_default")]
    pub audiences: Vec<String>,
}

/// A service account of Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceAccount {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl super::ClusterSpec {
    /// Ids of the managed identities that it names, as they are written.
    #[must_use]
    pub fn identities(&self) -> Vec<&str> {
        let of_computes = self.computes.iter().flat_map(|it| &it.identity.user_assigned_identities);
        let own = self.federated_identity_credentials.iter().map(|spec| &spec.identity);
        of_computes.chain(own).map(String::as_str).collect()
    }
}
