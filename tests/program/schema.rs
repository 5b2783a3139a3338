//! The JSON Schema in the repository is the one the program prints, and it accepts every shipped
//! manifest.

use std::path::Path;

use serde_json::Value;

use crate::manifests::manifests;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn documents(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("shipped manifests are texts");
    if path.extension().is_some_and(|it| it == "toml") {
        vec![toml::from_str(&text).expect("shipped manifests are TOML")]
    } else {
        serde_yaml::from_multiple(&text).expect("shipped manifests are YAML")
    }
}

/// To renew the file: `amlplan schema > docs/reference/manifest.schema.json`.
#[test]
fn the_schema_in_the_repository_is_the_one_of_the_code() {
    let file = root().join("docs/reference/manifest.schema.json");
    let stored = std::fs::read_to_string(file).unwrap_or_default();
    let printed = serde_json::to_string_pretty(&amlplan::text::schema()).expect("a schema is JSON");
    assert!(
        stored.trim() == printed,
        "docs/reference/manifest.schema.json is stale; run: amlplan schema > docs/reference/manifest.schema.json"
    );
}

#[test]
fn every_shipped_manifest_satisfies_the_schema_and_names_it() {
    let validator = jsonschema::validator_for(&amlplan::text::schema()).expect("a schema");
    for path in manifests("manifests") {
        for document in documents(&path) {
            let errors: Vec<String> = validator
                .iter_errors(&document)
                .map(|it| format!("{} at {}", it, it.instance_path()))
                .collect();
            assert!(errors.is_empty(), "{}: {errors:#?}", path.display());
        }
        let text = std::fs::read_to_string(&path).expect("shipped manifests are texts");
        let line = "# yaml-language-server: $schema=../docs/reference/manifest.schema.json";
        let named = text.starts_with(line) || path.extension().is_some_and(|it| it == "toml");
        assert!(named, "{} does not begin with: {line}", path.display());
    }
}

#[test]
fn the_schema_refuses_what_an_editor_should_underline() {
    let validator = jsonschema::validator_for(&amlplan::text::schema()).expect("a schema");
    let wrong = [
        "api-version-missing.yaml",
        "boolean-misspelled.yaml",
        "cluster-type-misspelled.yaml",
        "fleet-default-wrong.yaml",
        "fleet-key-unknown.yaml",
        "key-misspelled.yaml",
        "key-unknown.yaml",
        "kind-unknown.yaml",
        "list-expected.yaml",
        "name-missing.yaml",
        "profile-unknown.yaml",
        "router-type-unknown.yaml",
        "secret-source-misspelled.yaml",
        "setting-mis-cased.yaml",
        "setting-nested.yaml",
        "setting-unknown.yaml",
        "version-unquoted.yaml",
        "toml-key-misspelled.toml",
    ];
    for name in wrong {
        let path = root().join("manifests/invalid").join(name);
        assert!(documents(&path).iter().any(|it| !validator.is_valid(it)), "{name} is accepted");
    }
}

#[test]
fn every_part_of_the_schema_is_described() {
    fn walk(at: &str, schema: &Value, bare: &mut Vec<String>) {
        for (key, property) in schema["properties"].as_object().into_iter().flatten() {
            let at = format!("{at}.{key}");
            if property["description"].as_str().is_none_or(str::is_empty) {
                bare.push(at.clone());
            }
            walk(&at, property, bare);
        }
    }
    let schema = amlplan::text::schema();
    let mut bare = Vec::new();
    for (name, part) in schema["$defs"].as_object().into_iter().flatten() {
        walk(name, part, &mut bare);
    }
    assert!(bare.is_empty(), "without a description: {bare:?}");
}
