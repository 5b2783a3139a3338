//! `az` command lines and manifests: reading the article, and there and back for every shipped one.

#[path = "common/manifests.rs"]
mod manifests;
#[path = "common/meaning.rs"]
mod meaning;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use amlplan::text::{
    Declared, IdentityType, LoadOptions, Manifest, Profile, ProtectedSetting, Secrets, Setting,
    Source, as_az, az, translate,
};
use manifests::manifests;
use meaning::meaning;

const ARTICLE: &str = include_str!("fixtures/article.az");

fn import(text: &str) -> az::Imported {
    let source = Arc::new(Source { path: "commands.az".into(), text: text.to_owned() });
    az::import(&[Arc::clone(&source)], &az::ImportOptions { profile: None, files: &|_, _| None })
        .unwrap_or_else(|findings| panic!("{text}\n{findings:#?}"))
}

/// Loads a manifest's text, with the PEM files that imports name in its folder.
fn load(text: &str) -> Vec<Declared> {
    let folder = tempfile::tempdir().expect("a test fixture");
    let tls = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("manifests/tls");
    std::fs::create_dir(folder.path().join("tls")).expect("a test fixture");
    for (from, to) in [
        ("ml.example.com.crt", "ssl-cert.pem"),
        ("ml.example.com.key", "ssl-key.pem"),
        ("ml.example.com.crt", "tls/ml.example.com.crt"),
        ("ml.example.com.key", "tls/ml.example.com.key"),
    ] {
        std::fs::copy(tls.join(from), folder.path().join(to)).expect("a test fixture");
    }
    let path = folder.path().join("cluster.yaml");
    std::fs::write(&path, text).expect("a test fixture");
    let options = LoadOptions { env: &|_| None, secrets: Secrets::Require };
    let loaded = amlplan::text::load(&[path], &options);
    loaded.unwrap_or_else(|findings| panic!("{text}\n{findings:#?}")).manifest.clusters
}

fn shipped(path: &Path) -> Manifest {
    let options = LoadOptions { env: &|_| None, secrets: Secrets::Require };
    amlplan::text::load(&[path.to_owned()], &options)
        .unwrap_or_else(|findings| panic!("{}: {findings:#?}", path.display()))
        .manifest
}

#[test]
fn commands_of_every_shipped_manifest_read_back_as_the_same_manifest() {
    for path in manifests("manifests") {
        let declared = shipped(&path);
        let commands = as_az::anew(&declared).expect("a manifest");
        let back = load(&import(&commands).text);
        assert_eq!(back.len(), declared.clusters.len(), "{}\n{commands}", path.display());
        for (ours, theirs) in declared.clusters.iter().zip(&back) {
            assert_eq!(
                meaning(&theirs.spec),
                meaning(&ours.spec),
                "{}\n{commands}",
                path.display()
            );
        }
    }
}

#[test]
fn commands_show_no_secret() {
    let text = "az k8s-extension create --name e --cluster-type connectedClusters --cluster-name c \
        --resource-group g --config enableTraining=true \
        --config-protected relayServerConnectionString=hunter2";
    let mut cluster = import(text).clusters.remove(0);
    cluster.name = "c".into();
    let declared =
        Declared { spec: cluster, origin: Default::default(), secrets: Default::default() };
    let commands = as_az::anew(&Manifest::from(vec![declared])).expect("a manifest");
    assert!(!commands.contains("hunter2"), "{commands}");
    assert!(commands.contains("${RELAYSERVERCONNECTIONSTRING}"), "{commands}");
}

#[test]
fn every_command_of_the_article_can_be_read() {
    for line in ARTICLE.lines().filter(|it| it.starts_with("az ")) {
        let source = Arc::new(Source { path: "line".into(), text: line.to_owned() });
        let result = az::import(
            &[Arc::clone(&source)],
            &az::ImportOptions { profile: None, files: &|_, _| None },
        );
        let sets_up =
            ["k8s-extension create", "compute attach", "feature register", "provider register"];
        if sets_up.iter().any(|it| line.contains(it)) {
            let imported = result.unwrap_or_else(|findings| panic!("{line}\n{findings:#?}"));
            assert_eq!(load(&imported.text).len(), 1, "{}", imported.text);
        } else {
            let findings = result.expect_err("a command that sets up nothing");
            assert_eq!(findings.last().map(|it| it.code), Some("az-nothing"), "{line}");
        }
    }
}

#[test]
fn the_whole_article_becomes_one_document_a_cluster() {
    let imported = import(ARTICLE);
    insta::assert_snapshot!("article_manifest", imported.text);
    let findings: Vec<String> = imported
        .findings
        .iter()
        .map(|it| {
            let (line, column) = it.labels[0].place.line_column();
            format!("{line}:{column} {} {:?}: {}", it.code, it.severity, it.message)
        })
        .collect();
    insta::assert_snapshot!("article_findings", findings.join("\n"));
    let clusters = load(&imported.text);
    assert_eq!(clusters.len(), 9);
    for it in clusters.iter().filter_map(|it| it.extension.as_ref()) {
        assert_eq!(it.profile, Profile::Preview);
    }
    // The grant of the article is what is derived anyway.
    assert!(clusters[0].scc.as_ref().is_some_and(|it| it.service_accounts.is_empty()));
    // `Ture` is meant to be true, and the glued option is one.
    let http = clusters[6].extension.as_ref().expect("a test fixture");
    assert_eq!(http.configuration_settings["allowInsecureConnections"], Setting::Bool(true));
    let both = clusters[7].extension.as_ref().expect("a test fixture");
    assert_eq!(both.configuration_protected_settings.len(), 2);
    assert_eq!(clusters[7].azure.resource_group, "resource-group");
}

#[test]
fn what_today_s_scripts_say_is_read_too() {
    let text = r#"
RG=ml-rg
export CLUSTER="edge 1"
az account set -s 11111111-1111-1111-1111-111111111111
az k8s-extension create -n arcml -c "$CLUSTER" -t ConnectedClusters -g $RG \
  --extension-type microsoft.azureml.kubernetes --auto-upgrade false --version 1.1.106 \
  --configuration-settings enableInference=true inferenceRouterServiceType=loadbalancer \
      installPrometheusOperator=false nodeSelector.sku=gpu sslCname='ml.example.com' \
  --configuration-protected-settings sslCertPemFile=./ssl-cert.pem sslKeyPemFIle=./ssl-key.pem \
      serviceBusConnectionString="$BUS"
"#;
    let imported = import(text);
    let extension = imported.clusters[0].extension.clone().expect("a test fixture");
    assert_eq!(extension.profile, Profile::Ga);
    assert_eq!(extension.version.as_deref(), Some("1.1.106"));
    assert!(!extension.auto_upgrade_minor_version);
    let settings = &extension.configuration_settings;
    assert_eq!(settings["installPromOp"], Setting::Bool(false));
    assert_eq!(settings["nodeSelector.sku"], Setting::Text("gpu".into()));
    let secrets = &extension.configuration_protected_settings;
    assert_eq!(
        secrets["serviceBusConnectionString"],
        ProtectedSetting::FromEnv { from_env: "BUS".into() }
    );
    assert!(secrets.contains_key("sslKeyPemFile"));
    let cluster = &imported.clusters[0];
    assert_eq!(cluster.azure.subscription, "11111111-1111-1111-1111-111111111111");
    assert_eq!((cluster.name.as_str(), cluster.cluster.name.as_str()), ("edge-1", "edge 1"));
}

#[test]
fn what_cannot_be_read_is_said_with_its_place() {
    for (text, code) in [
        ("echo hello", "az-nothing"),
        (
            "az k8s-extension create --name e --cluster-type connectedClusters --resource-group g",
            "az-missing",
        ),
        (
            "az k8s-extension create --name e --cluster-type magic --cluster-name c --resource-group g",
            "az-value",
        ),
        (
            "az k8s-extension create --name e --cluster-type connectedClusters --cluster-name c --resource-group g --scope namespace",
            "az-value",
        ),
        ("az ml compute attach -n c -g g -w w --resource-id nonsense", "az-value"),
        (
            "az k8s-extension create --name e --cluster-type connectedClusters --cluster-name c --resource-group g --config x",
            "az-value",
        ),
    ] {
        let source = Arc::new(Source { path: "line".into(), text: text.to_owned() });
        let options = az::ImportOptions { profile: None, files: &|_, _| None };
        // Only a text that says nothing at all is refused.
        let findings = match az::import(&[source], &options) {
            Ok(imported) => imported.findings,
            Err(findings) if code == "az-nothing" => findings,
            Err(findings) => panic!("{text}: {findings:?}"),
        };
        assert!(findings.iter().any(|it| it.code == code), "{text}: {findings:?}");
    }
}

#[test]
fn the_preview_manifests_translate_into_todays() {
    let mut pairs = 0;
    for path in manifests("manifests") {
        let today = PathBuf::from(path.to_string_lossy().replace(".preview.yaml", ".ga.yaml"));
        if today == path || !today.exists() {
            continue;
        }
        pairs += 1;
        let preview = shipped(&path).clusters.remove(0);
        let host = Some("ml.example.com");
        let translated = translate(&preview.spec, Profile::Ga, host)
            .unwrap_or_else(|findings| panic!("{}: {findings:#?}", path.display()));
        let settings = |cluster: &Declared| {
            let extension = cluster.extension.as_ref().expect("an extension");
            let mut settings = extension.configuration_settings.clone();
            settings.remove("installNvidiaDevicePlugin");
            settings.into_iter().map(|(key, it)| (key, it.wire())).collect::<Vec<_>>()
        };
        let ours = settings(&load(&translated.text)[0]);
        assert_eq!(ours, settings(&shipped(&today).clusters[0]), "{}", path.display());
    }
    assert_eq!(pairs, 9);
}

#[test]
fn roles_and_instance_types_of_scripts_are_read() {
    let text = r#"
SUB=$(az account show --query id -o tsv)
az ml compute attach -g g -w ws -n training -t Kubernetes --namespace jobs --identity-type system_assigned \
  --resource-id /subscriptions/$SUB/resourceGroups/g/providers/Microsoft.Kubernetes/connectedClusters/edge
PRINCIPAL=$(az ml compute show --name training -g g -w ws --query identity.principal_id -o tsv)
az role assignment create --assignee "$PRINCIPAL" --role AcrPull --scope /subscriptions/s
cat <<EOF | kubectl apply -f -
apiVersion: amlarc.azureml.com/v1alpha1
kind: InstanceType
metadata:
  name: gpu
spec:
  resources:
    requests: {cpu: "1", memory: 2Gi}
    limits: {cpu: "1", memory: 2Gi, nvidia.com/gpu: 1}
EOF
"#;
    let cluster = import(text).clusters.remove(0);
    // What the command would print is whatever subscription is signed in to.
    assert!(cluster.azure.subscription.starts_with("${SUBSCRIPTION_ID:-"));
    assert_eq!(cluster.computes[0].identity.kind, IdentityType::SystemAssigned);
    assert_eq!(cluster.role_assignments[0].principal, "compute/training");
    assert_eq!(cluster.instance_types[0].name, "gpu");
}

/// Pieces that commands are made of, and the ways they are spoilt.
const PIECES: [&str; 24] = [
    "az k8s-extension create ",
    "az ml compute attach ",
    "oc patch scc ",
    "cat <<E",
    "# amlplan:",
    "name = ",
    "--config ",
    "--name",
    "--resource-id",
    " – ",
    "<",
    ">",
    "$(",
    "${",
    "'",
    "\"",
    "`",
    "\\",
    "\n",
    ";",
    "|",
    "=",
    "ü/",
    "system:serviceaccount:",
];

#[test]
fn a_place_never_splits_a_character() {
    for text in ["az k8s-extension create =\\ – ", "az k8s-extension create --config \\;\\|ü="] {
        let source = Arc::new(Source { path: "line".into(), text: text.to_owned() });
        let findings = match az::import(
            &[Arc::clone(&source)],
            &az::ImportOptions { profile: None, files: &|_, _| None },
        ) {
            Ok(imported) => imported.findings,
            Err(findings) => findings,
        };
        assert!(!findings.is_empty());
        for label in findings.iter().flat_map(|it| &it.labels) {
            assert!(source.text.get(label.place.span.clone()).is_some(), "{text}");
        }
    }
}

proptest::proptest! {
    #[test]
    fn no_text_brings_the_reader_down(picks in proptest::collection::vec(0..PIECES.len(), 0..40)) {
        let text: String = picks.into_iter().map(|it| PIECES[it]).collect();
        let source = Arc::new(Source { path: "line".into(), text });
        let findings = match az::import(&[Arc::clone(&source)], &az::ImportOptions { profile: None, files: &|_, _| None }) {
            Ok(imported) => imported.findings,
            Err(findings) => findings,
        };
        for label in findings.iter().flat_map(|it| &it.labels) {
            proptest::prop_assert!(source.text.get(label.place.span.clone()).is_some());
        }
    }
}
