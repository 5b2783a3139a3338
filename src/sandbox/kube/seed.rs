//! What a cluster contains before anybody touches it.

use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::store::Store;

#[derive(Deserialize)]
struct Seed {
    every: Vec<Placed>,
    openshift: Vec<Placed>,
    #[serde(rename = "sccDefaults")]
    scc_defaults: Json,
    sccs: Vec<Json>,
}

#[derive(Deserialize)]
struct Placed {
    at: String,
    object: Json,
}

static SEED: LazyLock<Seed> = LazyLock::new(|| {
    serde_yaml::from_str(include_str!("seed.yaml")).expect("seed.yaml is well formed")
});

/// Whether the platform ships a security context constraint of this name.
pub(super) fn ships_scc(name: &str) -> bool {
    SEED.sccs.iter().any(|scc| scc["name"] == name)
}

/// Puts the initial objects of the store's distribution, made at a time (RFC 3339).
pub(super) fn fill(store: &mut Store, born: &str) {
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    for placed in &SEED.every {
        store.put(&placed.at, placed.object.clone(), born);
    }
    if store.distribution() != "openshift" {
        return;
    }
    for placed in &SEED.openshift {
        store.put(&placed.at, placed.object.clone(), born);
    }
    for mut given in SEED.sccs.iter().cloned() {
        let mut scc = SEED.scc_defaults.clone();
        let name = given["name"].as_str().unwrap_or_default().to_owned();
        let description = given["description"].take();
        if let Some(fields) = given.as_object() {
            for (field, value) in fields {
                if field != "name" && field != "description" {
                    scc[field] = value.clone();
                }
            }
        }
        scc["metadata"]["annotations"]["kubernetes.io/description"] = description;
        let path = format!("/apis/security.openshift.io/v1/securitycontextconstraints/{name}");
        store.put(&path, scc, born);
        let role = json!({
            "metadata": {"annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"}},
            "rules": [{
                "apiGroups": ["security.openshift.io"],
                "resources": ["securitycontextconstraints"],
                "resourceNames": [name],
                "verbs": ["use"],
            }],
        });
        store.put(&format!("{rbac}/clusterroles/system:openshift:scc:{name}"), role, born);
    }
}
