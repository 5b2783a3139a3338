//! Which member of a resource is which option of the command that makes it.

use crate::model::Json;

/// A type of resource that a manifest can say.
pub(super) struct Shape {
    /// Its types in Azure (lower case), in `az` and in Terraform.
    pub types: &'static [&'static str],
    /// What `az` calls it: the words of its command.
    pub verb: &'static [&'static str],
    /// Options, and the members that say them: the first that is there counts.
    pub options: &'static [(&'static str, &'static [&'static str])],
}

pub(super) const SHAPES: [Shape; 4] = [
    Shape {
        types: &[
            "microsoft.kubernetesconfiguration/extensions",
            "azurerm_kubernetes_cluster_extension",
            "azurerm_arc_kubernetes_cluster_extension",
        ],
        verb: &["az", "k8s-extension", "create"],
        options: &[
            ("--name", &["name"]),
            ("--cluster-id", &["scope", "clusterId", "parentId", "id"]),
            ("--extension-type", &["extensionType"]),
            ("--release-train", &["releaseTrain"]),
            ("--version", &["version"]),
            ("--auto-upgrade-minor-version", &["autoUpgradeMinorVersion"]),
        ],
    },
    Shape {
        types: &["microsoft.machinelearningservices/workspaces/computes", "kubernetes"],
        verb: &["az", "ml", "compute", "attach"],
        options: &[
            ("--name", &["name"]),
            ("--resource-id", &["resourceId"]),
            ("--namespace", &["namespace"]),
            ("--identity-type", &["identity/type", "identity/0/type"]),
            ("--description", &["description"]),
            ("--default-instance-type", &["defaultInstanceType"]),
        ],
    },
    Shape {
        types: &[
            "microsoft.managedidentity/userassignedidentities/federatedidentitycredentials",
            "azurerm_federated_identity_credential",
        ],
        verb: &["az", "identity", "federated-credential", "create"],
        options: &[
            ("--name", &["name"]),
            ("--issuer", &["issuer"]),
            ("--subject", &["subject"]),
            ("--audiences", &["audiences/0", "audience/0"]),
        ],
    },
    Shape {
        types: &["microsoft.authorization/roleassignments", "azurerm_role_assignment"],
        verb: &["az", "role", "assignment", "create"],
        options: &[
            ("--assignee-object-id", &["principalId"]),
            ("--role", &["roleDefinitionId", "roleDefinitionName"]),
            ("--scope", &["scope"]),
        ],
    },
];

/// Members that say nothing a manifest would have to: where a thing is, and how it is deployed.
const ASIDE: [&str; 36] = [
    "apiVersion",
    "asserts",
    "audience",
    "audiences",
    "body",
    "comments",
    "computeLocation",
    "computeType",
    "condition",
    "configurationProtectedSettings",
    "configurationSettings",
    "copy",
    "count",
    "dependsOn",
    "forEach",
    "id",
    "identity",
    "instanceTypes",
    "lifecycle",
    "location",
    "mode",
    "name",
    "parent",
    "parentId",
    "principalType",
    "properties",
    "provider",
    "releaseNamespace",
    "resourceGroupName",
    "scope",
    "skipServicePrincipalAadCheck",
    "tags",
    "timeouts",
    "type",
    "update",
    "zone",
];

/// Where members of a resource stand.
pub(super) const LEVELS: [&str; 3] = ["", "/properties", "/properties/properties"];

/// What a resource holds under a name, in the spelling of Azure or of Terraform, at each level.
pub(super) fn members<'a>(resource: &'a Json, name: &str) -> impl Iterator<Item = &'a Json> {
    let names = [name.to_owned(), snake(name)];
    let at = move |level| names.clone().map(|name| resource.pointer(&format!("{level}/{name}")));
    LEVELS.into_iter().flat_map(at).flatten()
}

impl Shape {
    /// Whether a member of a resource is read, or says nothing.
    pub(super) fn knows(&self, name: &str) -> bool {
        let own = self.options.iter().flat_map(|it| it.1);
        own.chain(&ASIDE).any(|text| *text == name || snake(text) == name)
    }
}

/// `releaseTrain` → `release_train`.
fn snake(name: &str) -> String {
    let mut out = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}
