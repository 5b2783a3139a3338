//! What a cluster contains before anybody touches it.

use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::{Value as Json, json};

#[derive(Deserialize)]
struct KubeSeed {
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

static SEED: LazyLock<KubeSeed> = LazyLock::new(|| {
    serde_yaml::from_str(include_str!("seed.yaml")).expect("seed.yaml is well formed")
});

/// Whether the platform ships a security context constraint of this name.
pub(crate) fn ships_scc(name: &str) -> bool {
    SEED.sccs.iter().any(|scc| scc["name"] == name)
}

/// The paths and objects that every cluster of a distribution begins with.
pub(crate) fn objects(distribution: &str) -> Vec<(String, Json)> {
    let placed = |all: &[Placed]| -> Vec<(String, Json)> {
        all.iter().map(|placed| (placed.at.clone(), placed.object.clone())).collect()
    };
    let mut objects = placed(&SEED.every);
    if distribution != "openshift" {
        return objects;
    }
    objects.extend(placed(&SEED.openshift));
    for given in &SEED.sccs {
        let name = given["name"].as_str().unwrap_or_default();
        let mut scc = SEED.scc_defaults.clone();
        let fields = given.as_object().into_iter().flatten();
        for (field, value) in
            fields.filter(|(field, _)| !["name", "description"].contains(&field.as_str()))
        {
            scc[field] = value.clone();
        }
        scc["metadata"]["annotations"]["kubernetes.io/description"] = given["description"].clone();
        let path = format!("/apis/security.openshift.io/v1/securitycontextconstraints/{name}");
        objects.push((path, scc));
        let role = json!({
            "metadata": {"annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"}},
            "rules": [{
                "apiGroups": ["security.openshift.io"],
                "resources": ["securitycontextconstraints"],
                "resourceNames": [name],
                "verbs": ["use"],
            }],
        });
        let path =
            format!("/apis/rbac.authorization.k8s.io/v1/clusterroles/system:openshift:scc:{name}");
        objects.push((path, role));
    }
    objects
}
