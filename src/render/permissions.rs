//! The least roles of a manifest: custom roles of Azure, as `az role definition create` takes them,
//! and roles of Kubernetes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::model::{ArmId, Json};
use crate::resource::rights::{ResourceAttributes, Rights};

/// Roles for machines: `azure` is a list of role definitions, `kubernetes` has the roles of each
/// cluster, `keyVaults` the data actions at each vault. `title` names what they are for.
#[must_use]
pub fn json(rights: &Rights, title: &str) -> Json {
    let clusters =
        rights.kubernetes.iter().map(|(cluster, all)| (cluster.clone(), roles(all, title)));
    json!({
        "azure": definitions(rights, title),
        "kubernetes": clusters.collect::<BTreeMap<String, Vec<Json>>>(),
        "keyVaults": rights.vaults,
    })
}

/// The same for people: one YAML stream, the role definitions of Azure in it as JSON.
#[must_use]
pub fn text(rights: &Rights, title: &str) -> String {
    let mut text = String::new();
    for role in definitions(rights, title) {
        text.push_str("# Azure: az role definition create --role-definition @FILE\n");
        text.push_str(&serde_json::to_string_pretty(&role).unwrap_or_default());
        text.push_str("\n---\n");
    }
    for (vault, actions) in rights.vaults.iter().filter(|it| !it.1.is_empty()) {
        let (role, policy) = match actions.iter().any(|action| action.contains("/getSecret/")) {
            true => ("Key Vault Secrets User", "get list"),
            false => ("Key Vault Reader", "list"),
        };
        let lines = [
            format!(
                "# Key vault {vault}: az role assignment create --assignee PRINCIPAL --role \"{role}\" --scope ID_OF_VAULT"
            ),
            format!(
                "# or, where it has access policies: az keyvault set-policy --name {vault} --object-id PRINCIPAL --secret-permissions {policy}"
            ),
        ];
        text.push_str(&lines.join("\n"));
        text.push_str("\n---\n");
    }
    // Clusters of a fleet mostly need the same.
    let mut same: Vec<(Vec<&str>, Vec<Json>)> = Vec::new();
    for (cluster, all) in &rights.kubernetes {
        let roles = roles(all, title);
        match same.iter_mut().find(|it| it.1 == roles) {
            Some((clusters, _)) => clusters.push(cluster),
            None => same.push((vec![cluster], roles)),
        }
    }
    for (clusters, roles) in same {
        let head =
            ["# Kubernetes, in ", &clusters.join(", "), ": kubectl apply -f FILE\n"].concat();
        for role in roles {
            text.push_str(&head);
            text.push_str(&serde_yaml::to_string(&role).unwrap_or_default());
            text.push_str("---\n");
        }
    }
    text.trim_end_matches("---\n").to_owned()
}

/// One custom role for all scopes that need the same actions.
fn definitions(rights: &Rights, title: &str) -> Vec<Json> {
    let mut groups: BTreeMap<&BTreeSet<String>, Vec<&ArmId>> = BTreeMap::new();
    for (at, own) in &rights.azure {
        groups.entry(&own.actions).or_default().push(at);
    }
    let several = groups.len() > 1;
    let definition = |(index, (actions, scopes)): (usize, (&BTreeSet<String>, Vec<&ArmId>))| {
        let name = if several { format!("{title} {}", index + 1) } else { title.to_owned() };
        json!({
            "Name": name,
            "IsCustom": true,
            "Description": format!("What {title} takes in these scopes, and no more."),
            "Actions": actions,
            "NotActions": [],
            "DataActions": [],
            "NotDataActions": [],
            "AssignableScopes": scopes,
        })
    };
    groups.into_iter().enumerate().map(definition).collect()
}

/// A ClusterRole, and for each namespace a Role, with the namespace where apply would make it.
fn roles(all: &BTreeSet<ResourceAttributes>, title: &str) -> Vec<Json> {
    let name = title.replace([' ', '_'], "-").to_lowercase();
    let mut places: BTreeMap<Option<&str>, Vec<&ResourceAttributes>> = BTreeMap::new();
    for access in all {
        places.entry(access.namespace.as_deref()).or_default().push(access);
    }
    let role = |(namespace, own): (Option<&str>, Vec<&ResourceAttributes>)| {
        let mut metadata = json!({"name": name});
        if let Some(namespace) = namespace {
            metadata["namespace"] = namespace.into();
        }
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": if namespace.is_some() { "Role" } else { "ClusterRole" },
            "metadata": metadata,
            "rules": rules(&own),
        })
    };
    // A Role needs its namespace, and the manifest makes some of them only when it is applied.
    let made: BTreeSet<&str> = all
        .iter()
        .filter(|attributes| attributes.resource == "namespaces" && attributes.verb == "patch")
        .map(|attributes| attributes.name.as_str())
        .collect();
    let mut documents = Vec::new();
    for (namespace, own) in places {
        if let Some(namespace) = namespace.filter(|text| made.contains(text)) {
            documents.push(
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}),
            );
        }
        documents.push(role((namespace, own)));
    }
    documents
}

/// Rules with as few entries as there can be: objects with the same verbs share one, and so do
/// resources.
fn rules(all: &[&ResourceAttributes]) -> Vec<Json> {
    type Words<'a> = BTreeSet<&'a str>;
    let mut verbs: BTreeMap<(&str, &str, &str), Words<'_>> = BTreeMap::new();
    for attributes in all {
        verbs
            .entry((&attributes.group, &attributes.resource, &attributes.name))
            .or_default()
            .insert(attributes.verb);
    }
    let mut names: BTreeMap<(&str, &str, Words<'_>), Words<'_>> = BTreeMap::new();
    for ((group, resource, name), verbs) in verbs {
        names.entry((group, resource, verbs)).or_default().insert(name);
    }
    let mut resources: BTreeMap<(&str, Words<'_>, Words<'_>), Words<'_>> = BTreeMap::new();
    for ((group, resource, verbs), names) in names {
        resources.entry((group, names, verbs)).or_default().insert(resource);
    }
    let rule =
        |((group, mut names, verbs), resources): ((&str, Words<'_>, Words<'_>), Words<'_>)| {
            let mut rule = json!({"apiGroups": [group], "resources": resources, "verbs": verbs});
            // Whoever may do it to all needs no names.
            if !names.remove("") {
                rule["resourceNames"] = json!(names);
            }
            rule
        };
    resources.into_iter().map(rule).collect()
}
