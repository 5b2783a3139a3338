//! There and back: any manifest, as the commands that `plan --as-az` prints for an empty world,
//! wrapped into a script as people write them, imports as the same manifest.

#[path = "../common/meaning.rs"]
mod meaning;
#[path = "../common/wrap.rs"]
mod wrap;

use std::path::Path;
use std::sync::Arc;

use self::meaning::meaning;
use amlplan::text::{Declared, LoadOptions, Secrets, Source, as_az, az, has_errors, load_lenient};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value as Json, json};

const SUBSCRIPTIONS: [&str; 2] =
    ["11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"];

/// Texts that shells, YAML and the manifest's own variables could mistake for something else; not
/// `<a>` and `{{ a }}`, which documentation and templates mean as holes.
fn odd() -> impl Strategy<Value = &'static str> {
    select(vec![
        "plain",
        "two words",
        "a$b",
        "it's",
        "say \"hi\"",
        "a=b",
        "x;y",
        "a|b&c",
        "~/x",
        "#no",
        "*.example.com",
        "{a,b}",
        "ünï",
        "50%",
        "true",
        "007",
        "a, b",
        "[x]",
        "!important",
        "${NOT_ONE}",
        "back\\slash",
        "`tick`",
    ])
}

fn settings() -> impl Strategy<Value = Json> {
    let all = vec![
        ("enableTraining", json!(true)),
        ("enableInference", json!(true)),
        ("allowInsecureConnections", json!(true)),
        ("inferenceRouterServiceType", json!("LoadBalancer")),
        ("inferenceRouterHA", json!(false)),
        ("internalLoadBalancerProvider", json!("azure")),
        ("installPromOp", json!("false")),
        ("installVolcano", json!(true)),
        ("sslCname", json!("ml.example.com")),
        ("nodeSelector.sku", json!("gpu")),
        ("logAnalyticsWS", json!("True")),
    ];
    let some = subsequence(all.clone(), 0..=all.len());
    (some, proptest::option::of(odd())).prop_map(|(some, odd)| {
        let mut map: serde_json::Map<String, Json> =
            some.into_iter().map(|(key, it)| (key.to_owned(), it)).collect();
        if let Some(odd) = odd {
            map.insert("amlarc.note".to_owned(), json!(odd.replace('$', "$$")));
        }
        Json::Object(map)
    })
}

fn protected() -> impl Strategy<Value = Json> {
    let all = vec![
        ("sslCertPemFile", json!("./tls/ml example.crt")),
        ("sslKeyPemFile", json!({"fromEnv": "KEY_PEM"})),
        ("relayServerConnectionString", json!({"fromEnv": "RELAY"})),
        ("serviceBusConnectionString", json!({"fromFile": "bus.txt"})),
    ];
    subsequence(all.clone(), 0..=all.len()).prop_map(|some| {
        Json::Object(some.into_iter().map(|(key, it)| (key.to_owned(), it)).collect())
    })
}

fn extension() -> impl Strategy<Value = Json> {
    let version = proptest::option::of(select(vec!["1.1.40", "1.1.106-preview"]));
    let train = select(vec!["stable", "preview"]);
    (select(vec!["azureml", "arcml-extension"]), version, train, settings(), protected()).prop_map(
        |(name, version, train, settings, protected)| {
            let mut it = json!({
                "name": name, "profile": "ga", "releaseTrain": train, "allowUnknownSettings": true,
                "configurationSettings": settings, "configurationProtectedSettings": protected,
            });
            if let Some(version) = version {
                it["version"] = json!(version);
                it["autoUpgradeMinorVersion"] = json!(false);
            }
            it
        },
    )
}

fn compute(number: usize) -> impl Strategy<Value = Json> {
    let elsewhere = select(vec!["", "ml-workspaces", "ml-rg"]);
    let identity = 0..3_usize;
    let extras = proptest::option::of((odd(), odd()));
    let namespace = select(vec!["default", "ml-jobs", "team-a"]);
    (elsewhere, identity, extras, namespace, any::<bool>()).prop_map(
        move |(group, identity, extras, namespace, other)| {
            let mut workspace = json!({"name": format!("ws-{}", number % 2)});
            if !group.is_empty() {
                workspace["resourceGroup"] = json!(group);
            }
            if other {
                workspace["subscription"] = json!(SUBSCRIPTIONS[1]);
            }
            let id = format!(
                "/subscriptions/{}/resourceGroups/ids/providers/Microsoft.ManagedIdentity/\
                 userAssignedIdentities/id-{number}",
                SUBSCRIPTIONS[0]
            );
            let identity = match identity {
                0 => json!({"type": "None"}),
                1 => json!({"type": "SystemAssigned"}),
                _ => json!({"type": "UserAssigned", "userAssignedIdentities": [id]}),
            };
            let mut it = json!({
                "name": format!("compute-{number}"), "workspace": workspace,
                "namespace": namespace, "identity": identity,
            });
            if let Some((tag, description)) = extras {
                it["tags"] = json!({"cost center": tag.replace('$', "$$"), "team": "ml"});
                it["description"] = json!(description.replace('$', "$$"));
                it["defaultInstanceType"] = json!("gpu");
            }
            it
        },
    )
}

fn instance_type(number: usize) -> impl Strategy<Value = Json> {
    (odd(), any::<bool>()).prop_map(move |(label, selects)| {
        let mut it = json!({"name": format!("size-{number}"), "resources": {
            "requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"cpu": 2, "nvidia.com/gpu": 1},
        }});
        if selects {
            it["nodeSelector"] = json!({"sku": label.replace('$', "$$")});
        }
        it
    })
}

fn cloud() -> impl Strategy<Value = Json> {
    select(vec![
        json!("AzureCloud"),
        json!("AzureCloud"),
        json!("AzureUSGovernment"),
        json!("AzureChinaCloud"),
        json!({"name": "Stack", "resourceManager": "https://arm.example.net",
            "authority": "https://login.example.net", "audience": "https://audience.example.net"}),
    ])
}

/// What one cluster declares. The rules of `validate` do not matter here: everything that loads
/// has to come back.
fn cluster(number: usize) -> impl Strategy<Value = Json> {
    let place = (any::<bool>(), select(vec!["openshift", "k3s", ""]), any::<bool>());
    let base = number * 3;
    let computes = (compute(base), compute(base + 1), compute(base + 2), 0..4_usize);
    let types = (instance_type(0), instance_type(1), 0..3_usize);
    let rest = (any::<bool>(), any::<bool>(), any::<bool>(), odd(), proptest::bool::weighted(0.2));
    (place, cloud(), proptest::option::weighted(0.9, extension()), computes, types, rest).prop_map(
        move |(place, cloud, extension, computes, types, (tenant, roles, lifecycle, odd, scc))| {
            let (aks, distribution, azure_only) = place;
            let kind = if aks { "managedClusters" } else { "connectedClusters" };
            let mut it = json!({
                "apiVersion": "amlplan/v1", "kind": "Cluster", "name": format!("edge-{number}"),
                "azure": {"cloud": cloud, "subscription": SUBSCRIPTIONS[0],
                    "resourceGroup": "ml-rg"},
                "cluster": {"type": kind, "name": format!("Edge{number}")},
            });
            if tenant {
                it["azure"]["tenant"] = json!("33333333-3333-3333-3333-333333333333");
                it["cluster"]["labels"] = json!({"stage": odd.replace('$', "$$")});
                it["cluster"]["context"] = json!(odd.replace('$', "$$"));
            }
            if !distribution.is_empty() && !aks {
                it["cluster"]["distribution"] = json!(distribution);
            }
            if azure_only {
                it["cluster"]["access"] = json!("azureOnly");
            }
            let (a, b, c, many) = computes;
            let computes: Vec<Json> = [a, b, c].into_iter().take(many).collect();
            if let (true, Some(first)) = (roles, computes.first()) {
                let identity = first["identity"]["type"].as_str() != Some("None");
                let principal = match (identity, extension.is_some()) {
                    (true, _) => json!(format!("compute/compute-{base}")),
                    (false, true) => json!("extension"),
                    (false, false) => json!("44444444-4444-4444-4444-444444444444"),
                };
                let scope = format!("/subscriptions/{}/resourceGroups/ml-data", SUBSCRIPTIONS[0]);
                it["roleAssignments"] = json!([
                    {"principal": principal, "role": "Storage Blob Data Reader", "scope": scope},
                ]);
            }
            it["computes"] = json!(computes);
            if let Some(extension) = extension {
                it["extension"] = extension;
                let (a, b, many) = types;
                if !azure_only {
                    let types: Vec<Json> = [a, b].into_iter().take(many).collect();
                    it["instanceTypes"] = json!(types);
                }
            }
            if lifecycle {
                it["lifecycle"] = json!({"preventDestroy": ["extension"], "prune": false,
                    "ignoreChanges": ["extension.version"]});
                it["drift"] = json!({"ignore": [{"path": "extension.version",
                    "class": "version", "reason": odd.replace('$', "$$"), "until": "2031-01-01"}]});
                it["providers"] = json!(["Microsoft.Kubernetes", "Microsoft.Own"]);
                it["features"] = json!(["Microsoft.ContainerService/AKS-ExtensionManager"]);
            }
            if scc {
                let own = "system:serviceaccount:ml-jobs:notebook";
                it["scc"] = json!({"name": "privileged", "method": "users",
                    "serviceAccounts": [own]});
            }
            it
        },
    )
}

fn load(text: &str) -> Result<Vec<Declared>, String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("cluster.yaml");
    std::fs::write(&file, text).expect("a manifest");
    let options = LoadOptions { env: &|_| None, secrets: Secrets::Optional };
    let (manifest, mut findings) = load_lenient(&[file], &options);
    findings.retain(|it| !it.code.starts_with("secret-"));
    if has_errors(&findings) { Err(format!("{findings:#?}")) } else { Ok(manifest.clusters) }
}

fn there_and_back(documents: &[Json], shell: wrap::Shell, choices: &[u8]) -> Result<(), String> {
    let texts: Vec<String> = documents.iter().map(Json::to_string).collect();
    let ours = load(&texts.join("\n---\n"))?;
    let commands = as_az::anew(&ours.clone().into()).map_err(|it| format!("{it:#?}"))?;
    let Some(script) = wrap::script(&commands, shell, choices) else { return Ok(()) };
    let name = match shell {
        wrap::Shell::Bash => "setup.sh",
        wrap::Shell::Power => "setup.ps1",
        wrap::Shell::Cmd => "setup.cmd",
    };
    let source = Arc::new(Source { path: Path::new(name).into(), text: script.clone() });
    let options = az::ImportOptions { profile: None, files: &|_, _| None };
    let back = az::import(&[source], &options).map_err(|it| format!("{script}\n{it:#?}"))?;
    let theirs = load(&back.text).map_err(|it| format!("{script}\n{}\n{it}", back.text))?;
    let meanings = |all: &[Declared]| all.iter().map(|it| meaning(&it.spec)).collect::<Vec<_>>();
    let (ours, theirs) = (meanings(&ours), meanings(&theirs));
    if ours == theirs {
        return Ok(());
    }
    let lines = |it: &[String]| it.join("\n").lines().map(str::to_owned).collect::<Vec<_>>();
    let (left, right) = (lines(&ours), lines(&theirs));
    let differs = left.iter().zip(&right).position(|(a, b)| a != b).unwrap_or(0);
    let around = |it: &[String]| it[differs.saturating_sub(3)..].iter().take(9).cloned().collect();
    let shown: [Vec<String>; 2] = [around(&left), around(&right)];
    Err(format!("{script}\n{}\n{:#?}\n{:#?}", back.text, shown, back.findings.len()))
}

/// How the script is written; too long to be shown.
#[derive(Clone)]
struct Choices(Vec<u8>);

impl std::fmt::Debug for Choices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

fn check(shell: wrap::Shell, cases: u32) {
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 100,
        ..ProptestConfig::default()
    };
    let rng = proptest::test_runner::TestRng::from_seed(
        proptest::test_runner::RngAlgorithm::ChaCha,
        &[shell as u8 + 1; 32],
    );
    let mut runner = proptest::test_runner::TestRunner::new_with_rng(config, rng);
    let choices = proptest::collection::vec(any::<u8>(), 200).prop_map(Choices);
    let all = (cluster(0), proptest::option::weighted(0.2, cluster(1)), choices);
    let outcome = runner.run(&all, |(one, other, choices)| {
        let mut documents: Vec<Json> = vec![one];
        if let Some(mut other) = other {
            // Clusters of one subscription are in one cloud; one with nothing to do has no command.
            let azure = documents[0]["azure"].clone();
            other["azure"] = azure;
            if other.get("extension").is_none() {
                other["extension"] = json!({"name": "azureml"});
            }
            documents.push(other);
        }
        there_and_back(&documents, shell, &choices.0).map_err(TestCaseError::fail)
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

#[test]
fn a_manifest_comes_back_from_any_bash_script() {
    check(wrap::Shell::Bash, 300);
}

#[test]
fn a_manifest_comes_back_from_any_powershell_script() {
    check(wrap::Shell::Power, 200);
}

#[test]
fn a_manifest_comes_back_from_any_batch_file() {
    check(wrap::Shell::Cmd, 200);
}
