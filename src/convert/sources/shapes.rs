//! The shapes that one resource has: az's, Terraform's, Azure's.

use crate::model::Json;

pub(super) const EXTENSIONS: &str = "microsoft.kubernetesconfiguration/extensions";
pub(super) const COMPUTES: &str = "microsoft.machinelearningservices/workspaces/computes";

/// The options of a compute's YAML or JSON, or `None` where it is none of a cluster.
pub(in super::super) fn compute_words(text: &str) -> Option<Vec<String>> {
    let document: Json = serde_yaml::from_str(text).ok()?;
    let kind = document.get("type")?.as_str()?;
    let id = document.get("resource_id").or_else(|| document.get("resourceId"));
    (kind.eq_ignore_ascii_case("kubernetes")
        && (id.is_some() || document.get("namespace").is_some()))
    .then(|| compute_options(&document))
}

pub(super) fn compute_options(given: &Json) -> Vec<String> {
    let mut words = Vec::new();
    let text = |names: &[&str]| {
        names.iter().find_map(|name| given.get(*name)?.as_str().map(|it| it.replace('$', "$$")))
    };
    let id = text(&["id"]).unwrap_or_default();
    let segment = |name: &str| after(&id, name);
    let mut put = |option: &str, value: Option<String>| {
        if let Some(value) = value.filter(|it| !it.is_empty()) {
            words.extend([option.to_owned(), value]);
        }
    };
    put("--name", text(&["name"]));
    put(
        "--resource-group",
        segment("resourceGroups").or_else(|| text(&["resourceGroup", "resource_group"])),
    );
    put("--workspace-name", segment("workspaces"));
    put("--subscription", segment("subscriptions"));
    put("--resource-id", text(&["resource_id", "resourceId"]));
    put("--namespace", text(&["namespace"]));
    put("--type", Some("Kubernetes".to_owned()));
    let identity = given.get("identity");
    let kind = identity.and_then(|it| it.get("type")).and_then(Json::as_str);
    put("--identity-type", kind.map(str::to_owned));
    let ids = identity.map(identities).unwrap_or_default();
    if !ids.is_empty() {
        words.push("--user-assigned-identities".to_owned());
        words.push(ids.join(","));
    }
    words
}

/// Resource ids of identities, from a list of them or from the keys of a map.
pub(super) fn identities(identity: &Json) -> Vec<String> {
    let names = ["user_assigned_identities", "userAssignedIdentities", "identity_ids"];
    let found = names.iter().find_map(|it| identity.get(*it));
    match found {
        Some(Json::Object(map)) => map.keys().cloned().collect(),
        Some(Json::Array(list)) => {
            let id = |value: &Json| {
                let own =
                    value.get("resource_id").or_else(|| value.get("resourceId")).unwrap_or(value);
                own.as_str().map(str::to_owned)
            };
            list.iter().filter_map(id).collect()
        }
        _ => Vec::new(),
    }
}

/// The segment behind this one in a resource id.
pub(in super::super) fn after(id: &str, name: &str) -> Option<String> {
    let mut parts = id.split('/').skip_while(|it| !it.eq_ignore_ascii_case(name));
    parts.nth(1).filter(|it| !it.is_empty()).map(str::to_owned)
}

/// A resource of Terraform under the names that Azure has.
pub(super) fn renamed(kind: &str, values: &Json) -> Option<Json> {
    let get = |name: &str| values.get(name).filter(|it| !it.is_null()).cloned();
    match kind {
        "azurerm_kubernetes_cluster_extension" | "azurerm_arc_kubernetes_cluster_extension" => {
            let version = get("version");
            Some(serde_json::json!({
                "type": EXTENSIONS,
                "name": get("name"),
                "scope": get("cluster_id"),
                "properties": {
                    "extensionType": get("extension_type"),
                    "releaseTrain": get("release_train"),
                    "autoUpgradeMinorVersion": version.is_none(),
                    "version": version,
                    "configurationSettings": get("configuration_settings"),
                    "configurationProtectedSettings": get("configuration_protected_settings"),
                },
            }))
        }
        "azapi_resource" => {
            let mut body = match get("body")? {
                Json::String(text) => serde_json::from_str(&text).ok()?,
                other => other,
            };
            let own = body.as_object_mut()?;
            let kind = get("type")?.as_str()?.split('@').next()?.to_lowercase();
            let parent = if kind == COMPUTES { "parent_id" } else { "scope" };
            own.insert(parent.to_owned(), get("parent_id").unwrap_or(Json::Null));
            for name in ["name", "identity"] {
                if let Some(value) = get(name) {
                    own.insert(name.to_owned(), value);
                }
            }
            own.insert("type".to_owned(), Json::from(kind));
            Some(body)
        }
        "azurerm_role_assignment" => Some(serde_json::json!({
            "type": "microsoft.authorization/roleassignments",
            "name": get("name"),
            "scope": get("scope"),
            "properties": {
                "principalId": get("principal_id"),
                "roleDefinitionId": get("role_definition_name").or_else(|| get("role_definition_id")),
            },
        })),
        _ => None,
    }
}
