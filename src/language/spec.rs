//! The manifest as types. Doc comments here become the descriptions of the JSON Schema.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{Pointer, Secret};
use crate::source::{Diagnostic, Place, Severity};

use super::node::Node;
use super::parts::{
    ComputeSpec, FederatedIdentityCredentialSpec, InstanceTypeSpec, RoleAssignmentSpec,
};

use super::write::is_default;

pub use super::setting::{ProtectedSetting, SecretKey, Setting, VaultSecret};

/// Everything that was loaded: one entry a cluster, fleets already taken apart.
#[derive(Debug, Clone, Default)]
pub struct Manifest {
    /// The clusters, in the order of the files.
    pub clusters: Vec<Declared>,
    /// The rollouts of fleets that have one.
    pub rollouts: Vec<super::Rollout>,
    /// Clusters with mistakes in their shape: good for finding their other mistakes, and for
    /// nothing else.
    pub(super) doubtful: Vec<Doubtful>,
}

impl From<Vec<Declared>> for Manifest {
    fn from(clusters: Vec<Declared>) -> Self {
        Self { clusters, ..Self::default() }
    }
}

/// A cluster of which some parts could not be read.
#[derive(Debug, Clone)]
pub(super) struct Doubtful {
    /// What was read; harmless values stand for what was not.
    pub(super) declared: Declared,
    /// Where something else stands, or is missing.
    pub(super) holes: Vec<Place>,
}

impl Doubtful {
    /// Whether a finding is a mistake in what was written, and not about what stands in for it.
    pub(super) fn is_sound(&self, finding: &Diagnostic) -> bool {
        let within = |hole: &Place, place: &Place| {
            Arc::ptr_eq(&hole.source, &place.source)
                && hole.span.start <= place.span.start
                && place.span.end <= hole.span.end
        };
        let mut places = finding.labels.iter().map(|label| &label.place);
        finding.severity == Severity::Error
            && !places.any(|place| self.holes.iter().any(|hole| within(hole, place)))
    }
}

/// A declared cluster and where its parts were written.
#[derive(Debug, Clone)]
pub struct Declared {
    /// What was declared.
    pub spec: ClusterSpec,
    /// Where each part was written.
    pub origin: ClusterOrigin,
    /// Protected settings with their contents, by key; what could not be read is not here.
    pub secrets: BTreeMap<String, Secret>,
}

/// One that no file declares.
impl From<ClusterSpec> for Declared {
    fn from(spec: ClusterSpec) -> Self {
        Self { spec, origin: ClusterOrigin::default(), secrets: BTreeMap::new() }
    }
}

impl std::ops::Deref for Declared {
    type Target = ClusterSpec;

    fn deref(&self) -> &ClusterSpec {
        &self.spec
    }
}

/// Where a declared cluster was written. Cheap to copy: it shares the tree that was read.
#[derive(Debug, Clone, Default)]
pub struct ClusterOrigin {
    /// The folder that relative paths start from: the manifest file's own.
    pub folder: PathBuf,
    /// The manifest file.
    pub file: PathBuf,
    /// Which document of the file, from zero.
    pub document: usize,
    /// The merged cluster, as a tree whose parts know where they were written.
    pub tree: Option<Arc<Node>>,
}

impl ClusterOrigin {
    /// The place of the value at `pointer`, or of the nearest part around it. Lists and maps are
    /// shown by their key.
    #[must_use]
    pub fn value(&self, pointer: &Pointer) -> Option<Place> {
        self.tree.as_ref().map(|node| node.nearest(pointer).1.place())
    }

    /// The place of the key at `pointer`, or of the nearest part around it.
    #[must_use]
    pub fn key(&self, pointer: &Pointer) -> Option<Place> {
        self.tree.as_ref().map(|node| node.nearest(pointer).0.place())
    }

    /// Whether the manifest itself says something at `pointer`.
    #[must_use]
    pub fn is_written(&self, pointer: &Pointer) -> bool {
        self.tree.as_ref().is_some_and(|node| node.find(pointer).is_some())
    }

    /// Whether the text at `pointer` reads the environment (`${VAR}`).
    #[must_use]
    pub fn reads_environment(&self, pointer: &Pointer) -> bool {
        let found = self.tree.as_ref().and_then(|tree| tree.find(pointer));
        found.and_then(|(node, _)| node.text()).is_some_and(|text| text.template.is_some())
    }

    /// A path of the manifest as it is to be opened: relative ones start at the manifest's folder.
    #[must_use]
    pub fn path(&self, written: &str) -> PathBuf {
        self.folder.join(written.strip_prefix("./").unwrap_or(written))
    }
}

/// One cluster and what it should have.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[serde(rename = "Cluster")]
pub struct ClusterSpec {
    /// First part of every address: a DNS label.
    #[schemars(example = "edge-01")]
    pub name: String,
    /// Where in Azure.
    pub azure: Azure,
    /// Which cluster.
    pub cluster: ClusterRef,
    /// Preview features to register, as `NAMESPACE/NAME`. Left out: what cluster type and profile need.
    #[schemars(example = ["Microsoft.ContainerService/AKS-ExtensionManager"])]
    #[serde(default, skip_serializing_if = "is_default")]
    pub features: Vec<String>,
    /// Resource providers to register. Left out: what the manifest uses.
    #[schemars(example = ["Microsoft.KubernetesConfiguration"])]
    #[serde(default, skip_serializing_if = "is_default")]
    pub providers: Vec<String>,
    /// Grants of an OpenShift security context constraint.
    #[serde(default, skip_serializing_if = "is_default")]
    pub scc: Option<Scc>,
    /// The Azure ML extension.
    #[serde(default, skip_serializing_if = "is_default")]
    pub extension: Option<ExtensionSpec>,
    /// Computes: the cluster attached to workspaces.
    #[serde(default, skip_serializing_if = "is_default")]
    pub computes: Vec<ComputeSpec>,
    /// Instance types of the cluster.
    #[serde(default, skip_serializing_if = "is_default")]
    pub instance_types: Vec<InstanceTypeSpec>,
    /// Role assignments.
    #[serde(default, skip_serializing_if = "is_default")]
    pub role_assignments: Vec<RoleAssignmentSpec>,
    /// Federated identity credentials: service accounts whose pods act as a managed identity.
    #[serde(default, skip_serializing_if = "is_default")]
    pub federated_identity_credentials: Vec<FederatedIdentityCredentialSpec>,
    /// What not to watch and what not to destroy.
    #[serde(default, skip_serializing_if = "is_default")]
    pub lifecycle: Lifecycle,
    /// How drift is reported.
    #[serde(default, skip_serializing_if = "is_default")]
    pub drift: super::Drift,
}

impl ClusterSpec {
    /// A cluster with nothing on it.
    #[must_use]
    pub fn bare(name: String, azure: Azure, cluster: ClusterRef) -> Self {
        Self {
            name,
            azure,
            cluster,
            features: Vec::new(),
            providers: Vec::new(),
            scc: None,
            extension: None,
            computes: Vec::new(),
            instance_types: Vec::new(),
            role_assignments: Vec::new(),
            federated_identity_credentials: Vec::new(),
            lifecycle: Lifecycle::default(),
            drift: super::Drift::default(),
        }
    }
}

/// Where in Azure a cluster lives.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Azure {
    /// `AzureCloud` (default), `AzureUSGovernment`, `AzureChinaCloud`, or a cloud of your own.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cloud: CloudSpec,
    /// Directory (tenant) id.
    #[schemars(example = "00000000-0000-0000-0000-000000000000")]
    #[schemars(example = "contoso.onmicrosoft.com")]
    #[serde(default, skip_serializing_if = "is_default")]
    pub tenant: Option<String>,
    /// Subscription id.
    #[schemars(example = "00000000-0000-0000-0000-000000000000")]
    pub subscription: String,
    /// Resource group of the cluster.
    #[schemars(example = "ml-rg")]
    #[schemars(example = "${GROUP:-ml-rg}")]
    pub resource_group: String,
}

/// A cloud by name, or by its endpoints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
#[serde(rename = "Cloud")]
pub enum CloudSpec {
    /// One of the known clouds.
    Named(CloudName),
    /// Any other cloud.
    Custom(CustomCloud),
}

impl Default for CloudSpec {
    fn default() -> Self {
        Self::Named(CloudName::AzureCloud)
    }
}

/// The clouds that need no endpoints.
#[expect(clippy::enum_variant_names, reason = "they are the names of the clouds")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum CloudName {
    /// The public cloud.
    #[default]
    AzureCloud,
    /// US Government.
    AzureUSGovernment,
    /// China.
    AzureChinaCloud,
}

impl CloudName {
    /// The word of the manifest.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AzureCloud => "AzureCloud",
            Self::AzureUSGovernment => "AzureUSGovernment",
            Self::AzureChinaCloud => "AzureChinaCloud",
        }
    }
}

/// The endpoints of a cloud that amlplan does not know by name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CustomCloud {
    /// Its name.
    pub name: String,
    /// Address of its Resource Manager.
    pub resource_manager: String,
    /// Address of its sign-in service; default: what the Resource Manager's metadata says.
    #[serde(default, skip_serializing_if = "is_default")]
    pub authority: Option<String>,
    /// Audience of its tokens; default: what the Resource Manager's metadata says.
    #[serde(default, skip_serializing_if = "is_default")]
    pub audience: Option<String>,
}

/// Which cluster, and how to reach its Kubernetes API.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClusterRef {
    /// `connectedClusters` (Azure Arc) or `managedClusters` (AKS).
    #[serde(rename = "type")]
    pub kind: ClusterType,
    /// Name of the Azure resource.
    #[schemars(example = "edge-01")]
    pub name: String,
    /// Kubernetes distribution (`openshift`, `aks`, `k3s`, …). Left out: read from Azure.
    #[schemars(example = &"openshift")]
    #[schemars(example = &"aks")]
    #[schemars(example = &"k3s")]
    #[serde(default, skip_serializing_if = "is_default")]
    pub distribution: Option<String>,
    /// Path of a kubeconfig; left out: the usual rules.
    #[schemars(example = "./kubeconfig")]
    #[serde(default, skip_serializing_if = "is_default")]
    pub kubeconfig: Option<String>,
    /// Context in the kubeconfig.
    #[serde(default, skip_serializing_if = "is_default")]
    pub context: Option<String>,
    /// `kubeconfig` (default), or `azure`: ask Azure for the kubeconfig of the user of an AKS
    /// cluster, as `az aks get-credentials` does; it stays in memory.
    #[serde(default, skip_serializing_if = "is_default")]
    pub credentials: CredentialsFrom,
    /// `kubernetes` (default), or `azureOnly`: never talk to the Kubernetes API.
    #[serde(default, skip_serializing_if = "is_default")]
    pub access: Access,
    /// Free words for `--selector KEY=VALUE` and the stages of a rollout.
    #[serde(default, skip_serializing_if = "is_default")]
    pub labels: BTreeMap<String, String>,
}

/// How a cluster is known to Azure; the words of `az`'s `--cluster-type`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum ClusterType {
    /// Azure Arc.
    ConnectedClusters,
    /// AKS.
    ManagedClusters,
}

impl ClusterType {
    /// Provider and type, as they stand in resource ids.
    #[must_use]
    pub const fn resource_type(self) -> &'static str {
        match self {
            Self::ConnectedClusters => "Microsoft.Kubernetes/connectedClusters",
            Self::ManagedClusters => "Microsoft.ContainerService/managedClusters",
        }
    }

    /// The word of the manifest.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConnectedClusters => "connectedClusters",
            Self::ManagedClusters => "managedClusters",
        }
    }
}

/// Where the credentials for the Kubernetes API come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum CredentialsFrom {
    /// A kubeconfig of this machine.
    #[default]
    Kubeconfig,
    /// Azure hands them out (AKS only).
    Azure,
}

/// Which APIs amlplan may use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Access {
    /// Azure and the cluster's own API.
    #[default]
    Kubernetes,
    /// Azure only.
    AzureOnly,
}

/// Who may use a security context constraint.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scc {
    /// Name of the constraint.
    #[serde(default = "privileged")]
    pub name: String,
    /// `rbac` (default for profile ga) or `users` (default for 2021-11-preview).
    #[serde(default, skip_serializing_if = "is_default")]
    pub method: Option<SccMethod>,
    /// Further `system:serviceaccount:NAMESPACE:NAME` users.
    #[schemars(example = ["system:serviceaccount:ml-jobs:notebook"])]
    #[serde(default, skip_serializing_if = "is_default")]
    pub service_accounts: Vec<String>,
}

fn privileged() -> String {
    "privileged".to_owned()
}

/// How a grant is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SccMethod {
    /// Role bindings with the verb `use`.
    Rbac,
    /// The constraint's own `users` list.
    Users,
}

/// The Azure ML extension of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[serde(rename = "Extension")]
pub struct ExtensionSpec {
    /// Its name, which is also the helm release name.
    pub name: String,
    /// Which generation of settings this manifest is written in.
    #[serde(default)]
    pub profile: Profile,
    /// Version to pin; `null` follows the release train.
    #[schemars(example = "1.1.106")]
    #[serde(default, skip_serializing_if = "is_default")]
    pub version: Option<String>,
    /// Release train.
    #[schemars(example = &"stable")]
    #[schemars(extend("default" = "stable"))]
    #[serde(default = "stable", skip_serializing_if = "is_stable")]
    pub release_train: String,
    /// Follow minor versions; must be false when `version` is set.
    #[schemars(extend("default" = true))]
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub auto_upgrade_minor_version: bool,
    /// Send keys that amlplan does not know as they are written, with a warning instead of an error.
    #[serde(default, skip_serializing_if = "is_default")]
    pub allow_unknown_settings: bool,
    /// Settings of the extension, with the documented keys; case matters.
    #[schemars(schema_with = "super::schema::plain_settings")]
    #[serde(default, skip_serializing_if = "is_default")]
    pub configuration_settings: BTreeMap<String, Setting>,
    /// Settings that Azure keeps secret: a text, {fromEnv: NAME}, {fromFile: PATH},
    /// {fromKeyVault: {vault, secret}} or {fromSecret: {namespace, name, key}}. The two PEM settings
    /// take paths.
    #[schemars(schema_with = "super::schema::protected_settings")]
    #[serde(default, skip_serializing_if = "is_default")]
    pub configuration_protected_settings: BTreeMap<String, ProtectedSetting>,
}

fn stable() -> String {
    "stable".to_owned()
}

fn is_stable(train: &String) -> bool {
    *train == stable()
}

const fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_yes(flag: &bool) -> bool {
    *flag
}

/// A generation of the extension and its settings.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema,
)]
pub enum Profile {
    /// Today's.
    #[default]
    #[serde(rename = "ga")]
    Ga,
    /// The one of the November 2021 article.
    #[serde(rename = "2021-11-preview")]
    Preview,
}

impl Profile {
    /// The word of the manifest.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ga => "ga",
            Self::Preview => "2021-11-preview",
        }
    }
}

/// What not to watch and what not to destroy.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Lifecycle {
    /// Paths in this manifest whose drift is not reported and not undone.
    #[serde(default, skip_serializing_if = "is_default")]
    pub ignore_changes: Vec<String>,
    /// Parts of this manifest that must not be destroyed: kinds or addresses.
    #[serde(default, skip_serializing_if = "is_default")]
    pub prevent_destroy: Vec<String>,
    /// Whether what this manifest made and no longer names is removed; false leaves it, and drift
    /// reports it as orphan.
    #[schemars(extend("default" = true))]
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub prune: bool,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self { ignore_changes: Vec::new(), prevent_destroy: Vec::new(), prune: true }
    }
}
