//! The loader as its callers see it.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::Union;

use super::*;
use crate::model::{Json, Pointer};
use crate::source::Severity;

const FULL: &str = r#"
apiVersion: amlplan/v1
kind: Cluster
name: edge-01
azure:
  cloud: AzureCloud
  subscription: 00000000-0000-0000-0000-000000000000
  resourceGroup: ${GROUP:-ml-rg}
cluster: {type: connectedClusters, name: edge-01, distribution: openshift}
features: []
scc: {method: rbac}
extension:
  name: arcml-extension
  version: null
  configurationSettings:
    enableTraining: true
    nodeSelector.zone: 3
    sslCname: ml.example.com
  configurationProtectedSettings:
    sslCertPemFile: ./tls.crt
    token: {fromEnv: TOKEN}
    other: ${TOKEN}
computes:
  - name: amlarc-compute
    workspace: {name: ws1, subscription: null}
instanceTypes:
  - name: gpu
    resources: {requests: {cpu: "4", memory: 16Gi}, limits: {cpu: "8", memory: 32Gi, nvidia.com/gpu: 1}}
lifecycle:
  preventDestroy: [extension]
"#;

fn env(name: &str) -> Option<String> {
    (name == "TOKEN").then(|| "canary".to_owned())
}

fn load_in(folder: &Path, files: &[(&str, &str)]) -> (Manifest, Diagnostics) {
    for (name, text) in files {
        std::fs::write(folder.join(name), text).unwrap();
    }
    load_lenient(&[folder.to_owned()], &LoadOptions { env: &env, secrets: Secrets::Require })
}

fn load_text(name: &str, text: &str) -> (Manifest, Diagnostics) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tls.crt"), "PEM").unwrap();
    load_in(folder.path(), &[(name, text)])
}

/// `code line:column` of every finding, in order.
fn summary(findings: &[Diagnostic]) -> Vec<String> {
    findings
        .iter()
        .map(|finding| {
            let (line, column) = finding.labels.first().map_or((0, 0), |it| it.place.line_column());
            format!("{} {line}:{column}", finding.code)
        })
        .collect()
}

#[test]
fn a_whole_manifest_loads_with_its_places_and_secrets() {
    let (manifest, findings) = load_text("a.yaml", FULL);
    assert_eq!(findings, []);
    let cluster = &manifest.clusters[0];
    assert_eq!(cluster.azure.resource_group, "ml-rg");
    let extension = cluster.extension.as_ref().unwrap();
    assert_eq!(extension.configuration_settings["nodeSelector.zone"], Setting::Number(3));
    assert_eq!(cluster.secrets["other"].source, crate::model::SecretSource::Env("TOKEN".into()));
    assert_eq!(cluster.secrets["sslCertPemFile"].expose().unwrap(), "PEM");
    let at = Pointer::parse("/extension/configurationSettings/sslCname");
    assert_eq!(cluster.origin.value(&at).unwrap().text(), "ml.example.com");
    assert_eq!(cluster.origin.key(&at).unwrap().line_column(), (18, 5));
    assert!(!format!("{manifest:?}").contains("canary"));
}

#[test]
fn every_mistake_of_a_file_is_reported_at_its_place() {
    let text = "apiVersion: amlplan/v1\nkind: Cluster\nnaem: x\nazure:\n  subscription: 12\n  \
                cloud: AzureClod\ncluster:\n  type: connectedCluster\n  name: 1.10\nextension:\n  \
                name: e\n  profile: preview\n  autoUpgradeMinorVersion: \"yes\"\n  \
                configurationSettings:\n    a: 1.5\n    b:\n    c: {d: 1}\n    a: 2\n\
                kubeconfig: x\n";
    let (manifest, findings) = load_text("a.yaml", text);
    assert!(manifest.clusters.is_empty());
    let mut found = summary(&findings);
    found.sort();
    let mut expected = [
        "duplicate-key 18:5",
        "missing-part 4:1",
        "unknown-key 19:1",
        "unknown-key 3:1",
        "wrong-type 13:28",
        "wrong-type 15:8",
        "wrong-type 5:17",
        "wrong-type 9:9",
        "wrong-value 12:12",
        "wrong-value 16:5",
        "wrong-type 17:5",
        "wrong-value 6:10",
        "wrong-value 8:9",
    ];
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn a_fleet_merges_maps_and_an_error_points_at_the_line_that_wrote_it() {
    let text = "apiVersion: amlplan/v1\nkind: Fleet\ndefaults:\n  azure: {subscription: s, resourceGroup: r}\n  \
                cluster: {type: connectedClusters}\n  extension: {name: e, profil: ga, configurationSettings: {enableTraining: true, x: [1]}}\n\
                clusters:\n- name: a\n  cluster: {name: a}\n- name: b\n  cluster: {name: b}\n  extension: {configurationSettings: {enableTraining: false, x: 1}}\n- 7\n";
    let (manifest, findings) = load_text("a.yaml", text);
    assert_eq!(summary(&findings), ["unknown-key 6:24", "wrong-type 6:82", "wrong-type 13:3"]);
    let b = &manifest.clusters[0];
    assert_eq!((b.name.as_str(), b.azure.subscription.as_str()), ("b", "s"));
    assert!(!b.extension.as_ref().unwrap().configuration_settings["enableTraining"].is_true());
    let place = |at| b.origin.value(&Pointer::parse(at)).unwrap().line_column().0;
    assert_eq!(
        (place("/azure/subscription"), place("/extension/configurationSettings/x")),
        (4, 12)
    );
}

#[test]
fn a_secret_in_clear_text_is_in_no_place_of_a_report() {
    let part = "extension:\n  name: 1\n  configurationProtectedSettings:\n    token: canary\n    token: |\n      canary\n      canary\n    n: 1.5\n";
    let head = "apiVersion: amlplan/v1\nkind: Cluster\n";
    let table = "[extension.configurationProtectedSettings]\ntoken = \"canary\"\n";
    let cases = [
        ("a.yaml", format!("{head}{part}")),
        ("a.yaml", format!("{head}{part}x: [\n")),
        (
            "a.yaml",
            format!(
                "{head}extension: {{name: e, configurationProtectedSettings: {{a: canary, b: \n"
            ),
        ),
        ("a.toml", format!("kind = 1\n{table}")),
        ("a.toml", format!("{table}x = [\n")),
    ];
    for (name, text) in cases {
        let (_, findings) = load_text(name, &text);
        assert!(!findings.is_empty());
        for finding in &findings {
            assert!(
                finding.labels.iter().all(|label| !label.place.source.text.contains("canary")),
                "{text}: {finding:?}"
            );
            assert!(
                !format!("{}{:?}", finding.message, finding.help).contains("canary"),
                "{finding:?}"
            );
        }
    }
}

#[test]
fn a_tag_fits_what_stands_after_it_or_is_refused() {
    let found = |value: &str| {
        let text = format!(
            "apiVersion: amlplan/v1\nkind: Cluster\nname: edge\nazure: {{subscription: 00000000-0000-0000-0000-000000000000, resourceGroup: ml}}\ncluster: {{type: connectedClusters, name: edge}}\nextension: {{name: ext, configurationSettings: {{enableTraining: true, cluster_name: {value}}}}}\n"
        );
        let (manifest, findings) = load_text("tagged.yaml", &text);
        let codes: Vec<_> = findings.iter().map(|finding| finding.code).collect();
        let extension = manifest.clusters.first().and_then(|it| it.spec.extension.as_ref());
        let setting =
            extension.and_then(|it| Some(it.configuration_settings.get("cluster_name")?.wire()));
        (codes, setting)
    };
    for (value, sent) in
        [("!!str 1", "1"), ("!!int 1", "1"), ("!!int \"1\"", "1"), ("!!bool true", "True")]
    {
        assert_eq!(found(value), (vec![], Some(sent.to_owned())), "{value}");
    }
    for value in [
        "!!int abc",
        "!!null foo",
        "!!bool yes",
        "!!float 1",
        "!vault x",
        "!!seq {a: b}",
        "!!map [a]",
    ] {
        assert!(found(value).0.contains(&"yaml-tag"), "{value}");
    }
}

#[test]
fn null_takes_a_default_away() {
    let fleet = "apiVersion: amlplan/v1
kind: Fleet
defaults:
  azure: {subscription: 00000000-0000-0000-0000-000000000000, resourceGroup: ml-rg}
  extension: {name: aml, version: 1.1.60, configurationSettings: {enableTraining: true, installVolcano: false}}
clusters:
- name: one
  cluster: {type: connectedClusters, name: one}
  extension: {version: null, configurationSettings: {installVolcano: null}}
";
    let (manifest, findings) = load_text("fleet.yaml", fleet);
    assert!(findings.is_empty(), "{findings:?}");
    let extension = manifest.clusters[0].spec.extension.as_ref().unwrap();
    let settings: Vec<&str> = extension.configuration_settings.keys().map(String::as_str).collect();
    assert_eq!((settings, &extension.version), (vec!["enableTraining"], &None));
    // What has to be there is missing at the place that took it away.
    for part in ["subscription: null", "resourceGroup: null"] {
        let own = format!("- name: one\n  azure: {{{part}}}\n");
        let (_, findings) = load_text("fleet.yaml", &fleet.replace("- name: one\n", &own));
        let [finding] = &findings[..] else { panic!("{findings:?}") };
        let (line, _) = finding.labels[0].place.line_column();
        assert_eq!((finding.code, line), ("missing-part", 8));
        let help = finding.help.as_deref().unwrap_or_default();
        assert!(help.ends_with("or remove the line: it takes the fleet's default away"), "{help}");
    }
    // Of what nothing is below, nothing can be taken.
    let (_, findings) = load_text("fleet.yaml", &fleet.replace(", installVolcano: false", ""));
    assert_eq!(summary(&findings).len(), 1, "{findings:?}");
}

#[test]
fn a_secret_is_found_again_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let text = "apiVersion: amlplan/v1\nkind: Fleet\ndefaults:\n  azure: {subscription: s, resourceGroup: r}\n  \
                cluster: {type: connectedClusters, name: c}\n  extension: {name: e, configurationProtectedSettings: {k: 'a${TOKEN}'}}\n\
                clusters: [{name: a}]\n";
    let (manifest, findings) = load_in(folder.path(), &[("a.yaml", text)]);
    assert_eq!(findings, []);
    let secret = &manifest.clusters[0].secrets["k"];
    assert_eq!(&reread(&secret.source, secret.encoding, &env).unwrap(), secret);
    assert_eq!(secret.expose().unwrap(), "acanary");
}

#[test]
fn missing_secrets_stop_only_those_who_need_them() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.yaml");
    std::fs::write(&file, FULL.replace("./tls.crt", "none.crt")).unwrap();
    for (secrets, expected) in
        [(Secrets::Require, Severity::Error), (Secrets::Optional, Severity::Warning)]
    {
        let (_, findings) =
            load_lenient(std::slice::from_ref(&file), &LoadOptions { env: &|_| None, secrets });
        let unset = findings.iter().find(|finding| finding.code == "secret-unset").unwrap();
        assert_eq!(unset.severity, expected);
        assert!(findings.iter().any(|finding| finding.code == "secret-unreadable"));
    }
}

/// Any value of a schema: a member that a type gains is in it without a line here.
fn any_of(root: &Json, schema: &Json) -> BoxedStrategy<Json> {
    let all = |schemas: &Json| -> Vec<BoxedStrategy<Json>> {
        schemas.as_array().into_iter().flatten().map(|value| any_of(root, value)).collect()
    };
    if let Some(target) = schema["$ref"].as_str() {
        return any_of(root, root.pointer(target.trim_start_matches('#')).unwrap());
    }
    for words in ["anyOf", "oneOf"] {
        if schema[words].is_array() {
            return Union::new(all(&schema[words])).boxed();
        }
    }
    if let Some(words) = schema["enum"].as_array() {
        return select(words.clone()).boxed();
    }
    if schema["const"].is_string() {
        return Just(schema["const"].clone()).boxed();
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Json::Array(kinds) => kinds.iter().filter_map(Json::as_str).collect(),
        kind => kind.as_str().into_iter().collect(),
    };
    let one = kinds.into_iter().map(|kind| match kind {
        "null" => Just(Json::Null).boxed(),
        "boolean" => any::<bool>().prop_map(Json::from).boxed(),
        "integer" => any::<i64>().prop_map(Json::from).boxed(),
        "array" => vec(any_of(root, &schema["items"]), 0..3).prop_map(Json::from).boxed(),
        "object" => any_map(root, schema),
        _ => "[a-z0-9 :#'\"$\\[{/\u{85}~-]{0,9}|[ -~]{1,4}|yes|1\\.0|null"
            .prop_map(Json::from)
            .boxed(),
    });
    Union::new(one).boxed()
}

fn any_map(root: &Json, schema: &Json) -> BoxedStrategy<Json> {
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let members = schema["properties"].as_object().into_iter().flatten().map(|(key, member)| {
        let least = if required.contains(&Json::from(key.as_str())) { 1 } else { 0 };
        btree_map(Just(key.clone()), any_of(root, member), least..2).boxed()
    });
    let mut members: Vec<_> = members.take(40).collect();
    if schema["additionalProperties"].is_object() {
        let value = any_of(root, &schema["additionalProperties"]);
        members.push(btree_map("[a-z./]{1,6}", value, 0..3).boxed());
    }
    let map = |parts: Vec<BTreeMap<String, Json>>| parts.into_iter().flatten().collect();
    members.prop_map(move |parts| Json::Object(map(parts))).boxed()
}

#[test]
fn what_is_written_reads_back_as_the_same() {
    let root = schemars::schema_for!(ClusterSpec).to_value();
    let folder = tempfile::tempdir().unwrap();
    proptest!(ProptestConfig::with_cases(64), |(cluster in any_of(&root, &root))| {
        let written: ClusterSpec = serde_json::from_value(cluster).unwrap();
        let text = to_yaml(&written, &[], &BTreeMap::new(), Dollars::Escape);
        std::fs::write(folder.path().join("a.yaml"), &text).unwrap();
        let options = LoadOptions { env: &|_| None, secrets: Secrets::Optional };
        let (manifest, _) = load_lenient(&[folder.path().to_owned()], &options);
        prop_assert_eq!(manifest.clusters.first().map(|declared| &declared.spec), Some(&written), "{}", text);
    });
}
