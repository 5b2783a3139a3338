//! The JSON Schema of manifests: the types of the specification, with the settings of the catalog
//! as properties, so that editors complete and explain them.

use serde_json::{Map, json};

use crate::catalog::{self, ProfileName, SettingFact, SettingKind};
use crate::language::{ClusterSpec, ProtectedSetting, Setting};
use crate::model::Json;

/// The JSON Schema (draft 2020-12) of a manifest document, `kind: Cluster` or `kind: Fleet`.
///
/// It knows the shape, the keys of settings and their values. What parts mean together is for
/// the loader to check.
#[must_use]
pub fn schema() -> Json {
    let mut root = schemars::schema_for!(ClusterSpec).to_value();
    let mut defs = take(&mut root, "$defs");
    for shape in [schemars::schema_for!(Setting), schemars::schema_for!(ProtectedSetting)] {
        let mut shape = shape.to_value();
        let name = shape["title"].as_str().unwrap_or_default().to_owned();
        remove(&mut shape, &["$schema", "title"]);
        defs.entry(name).or_insert(shape);
    }
    remove(&mut root, &["$schema", "title"]);
    defs.insert("Cluster".into(), root);
    if let Some(properties) =
        defs.get_mut("Extension").and_then(|it| it["properties"].as_object_mut())
    {
        properties.insert("configurationSettings".into(), settings(false));
        properties.insert("configurationProtectedSettings".into(), settings(true));
    }
    examples(&mut defs);
    let partial: Map<String, Json> =
        defs.iter().map(|(name, value)| (format!("Partial{name}"), partial(value))).collect();
    defs.extend(partial);
    let mut rollout = schemars::schema_for!(super::rollout::Spec).to_value();
    defs.append(&mut take(&mut rollout, "$defs"));
    remove(&mut rollout, &["$schema", "title"]);
    defs.insert("Rollout".into(), rollout);
    let document = document(&defs["Cluster"]);
    defs.insert("ClusterDocument".into(), document);
    defs.insert("FleetDocument".into(), fleet());
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "amlplan manifest",
        "description": "Kubernetes clusters for Azure Machine Learning, as amlplan sets them up.",
        "type": "object",
        "required": ["apiVersion", "kind"],
        "properties": {
            "apiVersion": {"const": "amlplan/v1"},
            "kind": {"enum": ["Cluster", "Fleet"]},
        },
        "if": {"properties": {"kind": {"const": "Fleet"}}, "required": ["kind"]},
        "then": {"$ref": "#/$defs/FleetDocument"},
        "else": {"$ref": "#/$defs/ClusterDocument"},
        "$defs": defs,
    })
}

fn take(schema: &mut Json, key: &str) -> Map<String, Json> {
    match schema.as_object_mut().and_then(|it| it.remove(key)) {
        Some(Json::Object(map)) => map,
        Some(_) | None => Map::new(),
    }
}

fn remove(schema: &mut Json, keys: &[&str]) {
    if let Some(map) = schema.as_object_mut() {
        map.retain(|key, _| !keys.contains(&key.as_str()));
    }
}

/// A cluster on its own: with the two lines that every document begins with.
fn document(cluster: &Json) -> Json {
    let mut document = cluster.clone();
    document["properties"]["apiVersion"] =
        json!({"const": "amlplan/v1", "description": "Always `amlplan/v1`."});
    document["properties"]["kind"] = json!({"const": "Cluster", "description": "One cluster."});
    document
}

fn fleet() -> Json {
    json!({
        "description": "Several clusters over common defaults: maps merge, single values and lists replace.",
        "type": "object",
        "required": ["clusters"],
        "additionalProperties": false,
        "properties": {
            "apiVersion": {"const": "amlplan/v1", "description": "Always `amlplan/v1`."},
            "kind": {"const": "Fleet", "description": "Several clusters."},
            "name": {"type": "string", "description": "A name for people; it stands in no address."},
            "defaults": {
                "description": "Any part of a cluster; holds for each that does not say otherwise.",
                "$ref": "#/$defs/PartialCluster",
            },
            "rollout": {
                "description": "In which order apply goes through the clusters.",
                "$ref": "#/$defs/Rollout",
            },
            "clusters": {
                "description": "The clusters, each merged over the defaults.",
                "type": "array",
                "items": {"$ref": "#/$defs/PartialCluster"},
            },
        },
    })
}

/// The same shape with nothing required, as defaults and what is merged over them are.
fn partial(schema: &Json) -> Json {
    match schema {
        Json::Object(map) => Json::Object(
            map.iter()
                .filter(|(key, value)| !(*key == "required" && value.is_array()))
                .map(|(key, value)| (key.clone(), partial(value)))
                .collect(),
        ),
        Json::Array(items) => Json::Array(items.iter().map(partial).collect()),
        Json::String(text) => match text.strip_prefix("#/$defs/") {
            Some(name) => Json::String(format!("#/$defs/Partial{name}")),
            None => schema.clone(),
        },
        Json::Null | Json::Bool(_) | Json::Number(_) => schema.clone(),
    }
}

/// One of the two maps of settings.
fn settings(protected: bool) -> Json {
    let shape = if protected { "ProtectedSetting" } else { "Setting" };
    let any = json!({ "$ref": format!("#/$defs/{shape}") });
    let mut properties = Map::new();
    // Keys with a dot may reach parts of the chart that no page lists.
    let mut patterns = Map::new();
    patterns.insert("\\.".into(), any.clone());
    for fact in catalog::settings().iter().filter(|it| it.protected == protected) {
        let mut schema = if protected { any.clone() } else { value(fact) };
        describe(&mut schema, fact);
        if fact.prefix {
            patterns.insert(pattern(&fact.key), schema);
        } else {
            properties.insert(fact.key.clone(), schema);
        }
    }
    let description = if protected {
        "Settings that Azure keeps secret: a text, {fromEnv: NAME}, {fromFile: PATH}, {fromKeyVault: {vault, secret}} or {fromSecret: {namespace, name, key}}. The two PEM settings take paths."
    } else {
        "Settings of the extension, with the documented keys; case matters."
    };
    json!({
        "type": "object",
        "description": description,
        "properties": properties,
        "patternProperties": patterns,
        "additionalProperties": false,
    })
}

fn pattern(key: &str) -> String {
    let escaped = key.trim_end_matches('*').replace('.', "\\.").replace("[i]", "\\[[0-9]+\\]");
    format!("^{escaped}")
}

fn value(fact: &SettingFact) -> Json {
    match &fact.kind {
        SettingKind::Bool => json!({"enum": [true, false, "True", "False", "true", "false", ""]}),
        // The words to complete, and the same in any case.
        SettingKind::Enum(words) => json!({"anyOf": [
            {"enum": words},
            {"type": "string", "pattern": format!("^({})?$", words.iter().map(|it| any_case(it)).collect::<Vec<_>>().join("|"))},
        ]}),
        SettingKind::Integer => json!({"type": ["integer", "string"], "minimum": 0}),
        SettingKind::Quantity | SettingKind::Text => json!({"type": ["string", "integer"]}),
        SettingKind::Path => json!({"type": "string"}),
    }
}

/// A regular expression for a word in any case; JSON Schema has no flag for it.
fn any_case(word: &str) -> String {
    word.chars()
        .map(|it| match (it.to_ascii_lowercase(), it.to_ascii_uppercase()) {
            (low, up) if low != up => format!("[{low}{up}]"),
            (same, _) => same.to_string(),
        })
        .collect()
}

fn describe(schema: &mut Json, fact: &SettingFact) {
    let mut text = format!("{}.", capitalised(&fact.summary));
    if !fact.detail.is_empty() {
        text.push(' ');
        text.push_str(&fact.detail);
    }
    for profile in ProfileName::ALL {
        let name = profile.as_str();
        if !fact.in_profile(profile) {
            text.extend([" Not in profile ", name, "."]);
        } else if let Some(default) = fact.default_in(profile) {
            text.extend([" Default in profile ", name, ": ", default, "."]);
        }
    }
    schema["description"] = json!(text);
    if !fact.in_profile(ProfileName::Ga) {
        schema["deprecated"] = json!(true);
    }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |it| it.to_uppercase().chain(chars).collect())
}

/// Examples for texts whose form is not obvious.
fn examples(defs: &mut Map<String, Json>) {
    const GROUP: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/ml-rg";
    let identity =
        format!("{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id1");
    let table: [(&str, &str, Json); 18] = [
        ("Cluster", "name", json!(["edge-01"])),
        ("Cluster", "features", json!([["Microsoft.ContainerService/AKS-ExtensionManager"]])),
        ("Cluster", "providers", json!([["Microsoft.KubernetesConfiguration"]])),
        (
            "Azure",
            "tenant",
            json!(["00000000-0000-0000-0000-000000000000", "contoso.onmicrosoft.com"]),
        ),
        ("Azure", "subscription", json!(["00000000-0000-0000-0000-000000000000"])),
        ("Azure", "resourceGroup", json!(["ml-rg", "${GROUP:-ml-rg}"])),
        ("ClusterRef", "name", json!(["edge-01"])),
        ("ClusterRef", "distribution", json!(["openshift", "aks", "k3s"])),
        ("ClusterRef", "kubeconfig", json!(["./kubeconfig"])),
        ("Scc", "serviceAccounts", json!([["system:serviceaccount:ml-jobs:notebook"]])),
        ("Extension", "version", json!(["1.1.106"])),
        ("Extension", "releaseTrain", json!(["stable"])),
        ("Compute", "namespace", json!(["ml-jobs"])),
        ("Identity", "userAssignedIdentities", json!([[identity]])),
        ("InstanceType", "nodeSelector", json!([{"sku": "gpu"}])),
        (
            "RoleAssignment",
            "principal",
            json!(["compute/train", "workspace/ml-workspace", "extension"]),
        ),
        ("RoleAssignment", "role", json!(["AcrPull", "Storage Blob Data Reader"])),
        ("RoleAssignment", "scope", json!([GROUP])),
    ];
    for (part, key, examples) in table {
        if let Some(property) = defs.get_mut(part).and_then(|it| it["properties"].get_mut(key)) {
            property["examples"] = examples;
        }
    }
}
