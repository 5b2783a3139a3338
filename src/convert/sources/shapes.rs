//! Which member of a resource is which option of the command that makes it.

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
            ("--name", &["/name"]),
            ("--cluster-id", &["/scope", "/cluster_id", "/parent_id", "/id"]),
            (
                "--extension-type",
                &["/properties/extensionType", "/extensionType", "/extension_type"],
            ),
            ("--release-train", &["/properties/releaseTrain", "/releaseTrain", "/release_train"]),
            ("--version", &["/properties/version", "/version"]),
            (
                "--auto-upgrade-minor-version",
                &["/properties/autoUpgradeMinorVersion", "/autoUpgradeMinorVersion"],
            ),
        ],
    },
    Shape {
        types: &["microsoft.machinelearningservices/workspaces/computes", "kubernetes"],
        verb: &["az", "ml", "compute", "attach"],
        options: &[
            ("--name", &["/name"]),
            (
                "--resource-id",
                &[
                    "/properties/resourceId",
                    "/properties/resource_id",
                    "/resourceId",
                    "/resource_id",
                ],
            ),
            (
                "--namespace",
                &["/properties/properties/namespace", "/properties/namespace", "/namespace"],
            ),
            ("--identity-type", &["/identity/type", "/identity/0/type"]),
            ("--description", &["/properties/description", "/description"]),
            (
                "--default-instance-type",
                &[
                    "/properties/properties/defaultInstanceType",
                    "/properties/defaultInstanceType",
                    "/properties/default_instance_type",
                ],
            ),
        ],
    },
    Shape {
        types: &[
            "microsoft.managedidentity/userassignedidentities/federatedidentitycredentials",
            "azurerm_federated_identity_credential",
        ],
        verb: &["az", "identity", "federated-credential", "create"],
        options: &[
            ("--name", &["/name"]),
            ("--issuer", &["/properties/issuer", "/issuer"]),
            ("--subject", &["/properties/subject", "/subject"]),
            ("--audiences", &["/properties/audiences/0", "/audiences/0", "/audience/0"]),
        ],
    },
    Shape {
        types: &["microsoft.authorization/roleassignments", "azurerm_role_assignment"],
        verb: &["az", "role", "assignment", "create"],
        options: &[
            ("--assignee-object-id", &["/properties/principalId", "/principal_id"]),
            (
                "--role",
                &[
                    "/properties/roleDefinitionId",
                    "/role_definition_name",
                    "/role_definition_id",
                    "/roleDefinitionId",
                ],
            ),
            ("--scope", &["/scope", "/properties/scope"]),
        ],
    },
];

/// Members that say nothing a manifest would have to: where a thing is, and how it is deployed.
pub(super) const ASIDE: [&str; 40] = [
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
    "configuration_protected_settings",
    "configuration_settings",
    "copy",
    "count",
    "dependsOn",
    "depends_on",
    "for_each",
    "id",
    "identity",
    "instanceTypes",
    "lifecycle",
    "location",
    "mode",
    "name",
    "parent",
    "parent_id",
    "principalType",
    "principal_type",
    "properties",
    "provider",
    "release_namespace",
    "resource_group_name",
    "scope",
    "skip_service_principal_aad_check",
    "tags",
    "timeouts",
    "type",
    "update",
    "zone",
];
