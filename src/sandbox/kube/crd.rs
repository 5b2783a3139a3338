//! CustomResourceDefinitions: the types a stored definition serves, and the status the API
//! server gives it (Kubernetes docs, "Extend the Kubernetes API with CustomResourceDefinitions").

use serde_json::{Value as Json, json};

use super::types::ResourceType;

/// Where definitions are stored.
pub(crate) const COLLECTION: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// The types a definition serves, one per served version.
pub(crate) fn types_of(crd: &Json) -> Vec<ResourceType> {
    let spec = &crd["spec"];
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    let texts = |value: &Json| -> Vec<String> {
        value.as_array().into_iter().flatten().map(text).collect()
    };
    let versions = spec["versions"].as_array().map_or(&[][..], Vec::as_slice);
    let storage = versions
        .iter()
        .find(|version| version["storage"] == true)
        .map(|version| text(&version["name"]));
    let names = &spec["names"];
    versions
        .iter()
        .filter(|version| version["served"] == true)
        .map(|version| {
            let printed = version["additionalPrinterColumns"].as_array();
            let mut columns: Vec<String> = printed
                .into_iter()
                .flatten()
                .filter(|column| column["priority"].as_i64().unwrap_or(0) == 0)
                .map(|column| {
                    let part = |field: &str| text(&column[field]);
                    format!("{}|{}|{}", part("name"), part("type"), part("jsonPath"))
                })
                .collect();
            if columns.is_empty() {
                columns.push("@age".to_owned());
            }
            let sub = version["subresources"].as_object();
            ResourceType {
                group: text(&spec["group"]),
                version: text(&version["name"]),
                plural: text(&names["plural"]),
                singular: match names["singular"].as_str() {
                    Some(singular) => singular.to_owned(),
                    None => text(&names["kind"]).to_lowercase(),
                },
                kind: text(&names["kind"]),
                cluster: spec["scope"] == "Cluster",
                short: texts(&names["shortNames"]),
                categories: texts(&names["categories"]),
                sub: sub.map(|sub| sub.keys().cloned().collect()).unwrap_or_default(),
                columns,
                custom: true,
                storage: storage.clone(),
                schema: version["schema"].get("openAPIV3Schema").cloned(),
                ..ResourceType::default()
            }
        })
        .collect()
}

/// Accepts a definition: names and the Established condition.
pub(crate) fn establish(crd: &mut Json, now: &str) {
    let conditions = &crd["status"]["conditions"];
    if conditions.as_array().is_some_and(|all| !all.is_empty()) {
        return;
    }
    let condition = |kind: &str, reason: &str, message: &str| json!({"type": kind, "status": "True", "reason": reason, "message": message, "lastTransitionTime": now});
    let stored: Vec<Json> = crd["spec"]["versions"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|version| version["storage"] == true)
        .map(|version| version["name"].clone())
        .collect();
    crd["status"] = json!({
        "acceptedNames": crd["spec"]["names"],
        "conditions": [
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ],
        "storedVersions": stored,
    });
}
