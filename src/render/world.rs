//! The simulated world, for people.

use std::path::{Path, PathBuf};

use crate::model::Json;

/// Every resource with its state, then every cluster with its objects counted by kind and namespace.
#[must_use]
pub fn human(world: &Json) -> String {
    let mut lines = vec!["Azure".to_owned()];
    for (id, resource) in world["arm"].as_object().into_iter().flatten() {
        let state = ["/properties/provisioningState", "/properties/state", "/registrationState"];
        let state = state.iter().find_map(|text| resource.pointer(text)?.as_str());
        lines.push(format!("  {id}{}", state.map(|text| format!("  {text}")).unwrap_or_default()));
    }
    for (cluster, objects) in world["kubernetes"].as_object().into_iter().flatten() {
        lines.push(format!("\nKubernetes of {cluster}"));
        let text = |value: &Json, pointer: &str| {
            value.pointer(pointer).and_then(Json::as_str).unwrap_or_default().to_owned()
        };
        let mut named: Vec<String> = objects
            .as_array()
            .into_iter()
            .flatten()
            .map(|value| {
                let namespace = text(value, "/metadata/namespace");
                let slash = if namespace.is_empty() { "" } else { "/" };
                let (kind, name) = (text(value, "/kind"), text(value, "/metadata/name"));
                format!("  {kind} {namespace}{slash}{name}")
            })
            .collect();
        named.sort();
        lines.extend(named);
    }
    lines.join("\n") + "\n"
}

/// What a server tells the person who started it: where it listens, what is in the world (subscriptions with their
/// tenants), and what to export.
#[must_use]
pub fn served(
    address: &str,
    ca_file: Option<&Path>,
    kubeconfigs: &[PathBuf],
    subscriptions: &[(String, String)],
) -> String {
    let mut lines = vec![format!("Serving the simulated Azure and Kubernetes at {address}")];
    for (subscription, tenant) in subscriptions {
        lines.push(format!("  subscription {subscription} of tenant {tenant}"));
    }
    lines.push("  -f MANIFEST serves what a manifest needs, --world FILE another world".to_owned());
    if let Some(ca) = ca_file {
        let ca = ca.display();
        lines.push("Its certificate authority is trusted only where you say so:".to_owned());
        lines.push(format!("  export REQUESTS_CA_BUNDLE={ca}   # az and Python"));
        lines.push(format!("  export SSL_CERT_FILE={ca}        # terraform, amlplan"));
        lines.push("  export AZURE_CORE_INSTANCE_DISCOVERY=false".to_owned());
        lines.push(format!("  az cloud register -n sandbox --endpoint-resource-manager {address}"));
    }
    for kubeconfig in kubeconfigs {
        lines.push(format!("  export KUBECONFIG={}", kubeconfig.display()));
    }
    lines.join("\n") + "\n"
}
