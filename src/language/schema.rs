//! The JSON Schema of manifests: the types of the specification, with the settings of the catalog
//! as properties, so that editors complete and explain them.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
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
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let cluster = ClusterSpec::json_schema(&mut generator).to_value();
    let document = document(&cluster);
    let mut defs = generator.take_definitions(true);
    defs.insert("Cluster".into(), cluster);
    let partial: Map<String, Json> =
        defs.iter().map(|(name, value)| (format!("Partial{name}"), partial(value))).collect();
    defs.extend(partial);
    let rollout = super::rollout::Spec::json_schema(&mut generator).to_value();
    defs.append(&mut generator.take_definitions(true));
    defs.insert("Rollout".into(), rollout);
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

/// A schema, and all that it stands for.
pub(super) fn all_forms<'a>(root: &'a Json, schema: &'a Json) -> Vec<&'a Json> {
    let (mut open, mut all) = (vec![schema], Vec::new());
    while let Some(schema) = open.pop() {
        let named = schema["$ref"].as_str().and_then(|at| root.pointer(at.trim_start_matches('#')));
        open.extend(named);
        let forms = ["anyOf", "oneOf", "allOf"].map(|word| schema[word].as_array());
        open.extend(forms.into_iter().flatten().flatten());
        all.push(schema);
    }
    all
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

/// The settings of the catalog, as the type of a member says it takes them.
pub(super) fn plain_settings(generator: &mut SchemaGenerator) -> Schema {
    settings(&generator.subschema_for::<Setting>().to_value(), false)
}

/// The protected settings of the catalog.
pub(super) fn protected_settings(generator: &mut SchemaGenerator) -> Schema {
    settings(&generator.subschema_for::<ProtectedSetting>().to_value(), true)
}

fn settings(any: &Json, protected: bool) -> Schema {
    let mut properties = Map::new();
    // Keys with a dot may reach parts of the chart that no page lists.
    let mut patterns = Map::new();
    patterns.insert("\\.".into(), any.clone());
    for fact in catalog::settings().iter().filter(|setting| setting.protected == protected) {
        let mut schema = if protected { any.clone() } else { value(fact) };
        describe(&mut schema, fact);
        if fact.prefix {
            patterns.insert(pattern(&fact.key), schema);
        } else {
            properties.insert(fact.key.clone(), schema);
        }
    }
    schemars::json_schema!({
        "type": "object",
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
            {"type": "string", "pattern": format!("^({})?$", words.iter().map(|text| any_case(text)).collect::<Vec<_>>().join("|"))},
        ]}),
        SettingKind::Integer => json!({"type": ["integer", "string"], "minimum": 0}),
        SettingKind::Quantity | SettingKind::Text => json!({"type": ["string", "integer"]}),
        SettingKind::Path => json!({"type": "string"}),
    }
}

/// A regular expression for a word in any case; JSON Schema has no flag for it.
fn any_case(word: &str) -> String {
    word.chars()
        .map(|letter| match (letter.to_ascii_lowercase(), letter.to_ascii_uppercase()) {
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
    chars.next().map_or_else(String::new, |letter| letter.to_uppercase().chain(chars).collect())
}
