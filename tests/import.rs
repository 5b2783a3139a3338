//! `amlplan import` through the program: what a manifest made, and what was made by hand in other
//! ways, imports as a manifest whose plan is empty.

#[path = "common/command.rs"]
mod command;
#[path = "common/manifests.rs"]
mod manifests;

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use amlplan_sandbox::{HeldSecret, Sandbox, Seed, SeedCluster, SeedSecret, StateAccess};
use axum::body::Body;
use command::{amlplan, text};
use http::Request;
use manifests::manifests;
use serde_json::{Value as Json, json};
use tower::ServiceExt as _;

const SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000001";
const TENANT: &str = "00000000-0000-0000-0000-000000000000";

fn group() -> String {
    format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/ml-rg")
}

fn workspace() -> String {
    format!("{}/providers/Microsoft.MachineLearningServices/workspaces/ml-ws", group())
}

fn cluster(kind: &str) -> String {
    format!("{}/providers/{kind}/Edge01", group())
}

const ARC: &str = "Microsoft.Kubernetes/connectedClusters";
const AKS: &str = "Microsoft.ContainerService/managedClusters";

/// A world with a cluster, a workspace and an identity, and with the registrations of somebody who
/// has used them by hand.
fn world(folder: &Path, kind: &str, distribution: &str) -> Sandbox {
    let file = folder.join("world.yaml");
    let providers = [
        "Microsoft.Kubernetes",
        "Microsoft.KubernetesConfiguration",
        "Microsoft.ContainerService",
        "Microsoft.MachineLearningServices",
        "Microsoft.Relay",
        "Microsoft.ServiceBus",
    ];
    let list: String = providers.iter().map(|it| format!("{it}: Registered, ")).collect();
    let text = format!("subscriptions:\n  - {{id: {SUBSCRIPTION}, providers: {{{list}}}}}\n");
    std::fs::write(&file, text).expect("a test fixture");
    let state = folder.join("state.json");
    let sandbox =
        Sandbox::open(Some(&state), Some(&file), StateAccess::Write).expect("a test fixture");
    let here = || (SUBSCRIPTION.to_owned(), "ml-rg".to_owned());
    sandbox.seed(&Seed {
        tenant: Some(TENANT.into()),
        subscriptions: vec![SUBSCRIPTION.into()],
        resource_groups: vec![(here().0, here().1, "westeurope".into())],
        clusters: vec![SeedCluster {
            subscription: here().0,
            resource_group: here().1,
            name: "Edge01".into(),
            kind: kind.rsplit('/').next().unwrap_or_default().into(),
            distribution: Some(distribution.into()),
            issuer: false,
            location: "westeurope".into(),
            secrets: vec![SeedSecret {
                at: "azureml".into(),
                name: "ml-tls".into(),
                data: vec![
                    ("cert.pem".into(), HeldSecret::Certificate),
                    ("key.pem".into(), HeldSecret::PrivateKey),
                ],
            }],
        }],
        workspaces: vec![(here().0, here().1, "ml-ws".into(), "westeurope".into())],
        identities: vec![
            format!("{}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id1", group()),
            format!("{}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id2", group()),
        ],
        ..Seed::default()
    });
    sandbox
}

/// One request to the simulator, as any client sends it.
async fn send(sandbox: &Sandbox, head: http::request::Builder, body: String) -> Json {
    let head = head.header("content-length", body.len());
    let request = head.body(Body::from(body)).expect("a test fixture");
    let answer = sandbox.router().oneshot(request).await.expect("an answer");
    let status = answer.status();
    let bytes = axum::body::to_bytes(answer.into_body(), usize::MAX).await.expect("a body");
    assert!(status.is_success(), "{status} {}", String::from_utf8_lossy(&bytes));
    serde_json::from_slice(&bytes).expect("JSON")
}

/// Makes a resource by hand and waits until it is there.
async fn put(sandbox: &Sandbox, id: &str, api_version: &str, body: Json) {
    let sign_in = format!("https://login.microsoftonline.com/{TENANT}/oauth2/v2.0/token");
    let form = "grant_type=client_credentials&client_id=00000000-0000-0000-0000-000000000003\
                &client_secret=anything&scope=https%3A%2F%2Fmanagement.azure.com%2F.default";
    let token = send(sandbox, Request::post(sign_in), form.to_owned()).await;
    let bearer = format!("Bearer {}", token["access_token"].as_str().expect("a token"));
    let url = format!("https://management.azure.com{id}?api-version={api_version}");
    let put = Request::put(&url).header("authorization", &bearer);
    let put = put.header("content-type", "application/json");
    let mut made = send(sandbox, put, body.to_string()).await;
    while made["properties"]["provisioningState"] != "Succeeded" {
        assert_ne!(made["properties"]["provisioningState"], "Failed", "{made}");
        tokio::time::sleep(Duration::from_secs(10)).await;
        let get = Request::get(&url).header("authorization", &bearer);
        made = send(sandbox, get, String::new()).await;
    }
}

/// An extension as a tool that adds nothing by itself sends it: the portal, Terraform, Bicep.
async fn extension(sandbox: &Sandbox, kind: &str, settings: Json, protected: Json) {
    let id = format!(
        "{}/providers/Microsoft.KubernetesConfiguration/extensions/azureml-extension",
        cluster(kind)
    );
    let mut body = json!({"properties": {
        "extensionType": "microsoft.azureml.kubernetes",
        "autoUpgradeMinorVersion": true,
        "releaseTrain": "stable",
        "scope": {"cluster": {"releaseNamespace": "azureml"}},
        "configurationSettings": settings,
        "configurationProtectedSettings": protected,
    }});
    if kind == ARC {
        body["identity"] = json!({"type": "SystemAssigned"});
    }
    put(sandbox, &id, "2023-05-01", body).await;
}

async fn compute(sandbox: &Sandbox, kind: &str, name: &str, identity: Json) {
    let body = json!({
        "location": "westeurope",
        "identity": identity,
        "properties": {
            "computeType": "Kubernetes",
            "resourceId": cluster(kind),
            "computeLocation": "westeurope",
            "properties": {"namespace": "default"},
        },
    });
    put(sandbox, &format!("{}/computes/{name}", workspace()), "2023-08-01-preview", body).await;
}

fn import(state: &Path, kind: &str) -> String {
    let sandbox = format!("--sandbox={}", state.display());
    let (cluster, workspace) = (cluster(kind), workspace());
    let done = amlplan(&["import", "--cluster", &cluster, "--workspace", &workspace, &sandbox]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert_eq!(text(&done.stderr), "", "nothing is left to say");
    text(&done.stdout)
}

fn plan(folder: &Path, state: &Path, manifest: &str) -> Output {
    let file = folder.join("imported.yaml");
    std::fs::write(&file, manifest).expect("a test fixture");
    let sandbox = format!("--sandbox={}", state.display());
    amlplan(&["plan", "--detailed-exitcode", &sandbox, &file.display().to_string()])
}

#[track_caller]
fn plans_empty(folder: &Path, manifest: &str) {
    let planned = plan(folder, &folder.join("state.json"), manifest);
    let shown = [text(&planned.stdout), text(&planned.stderr)].concat();
    assert_eq!(planned.status.code(), Some(0), "{manifest}\n{shown}");
}

#[tokio::test(start_paused = true)]
async fn an_extension_of_the_portal_plans_empty_without_what_az_derives() {
    let folder = tempfile::tempdir().expect("a test fixture");
    let sandbox = world(folder.path(), ARC, "k3s");
    extension(&sandbox, ARC, json!({"enableTraining": "true"}), json!({})).await;
    compute(&sandbox, ARC, "k8s-compute", json!({"type": "SystemAssigned"})).await;
    sandbox.save().expect("a test fixture");
    let manifest = import(&folder.path().join("state.json"), ARC);
    plans_empty(folder.path(), &manifest);
    for part in ["name: edge01", "name: Edge01", "enableTraining: true", "type: SystemAssigned"] {
        assert!(manifest.contains(part), "{part}\n{manifest}");
    }
    assert!(!manifest.contains("clusterId:"), "derived settings are left out\n{manifest}");
}

#[tokio::test(start_paused = true)]
async fn an_extension_of_terraform_on_aks_keeps_its_version_its_secret_and_its_identities() {
    let folder = tempfile::tempdir().expect("a test fixture");
    let sandbox = world(folder.path(), AKS, "aks");
    let settings = json!({
        "enableTraining": "True", "enableInference": "True", "sslSecret": "ml-tls",
        "sslCname": "ml.example.com", "inferenceRouterServiceType": "LoadBalancer",
        "internalLoadBalancerProvider": "azure", "scoringFe.sslSecret": "ml-tls",
        "amlarc.costCenter": "a$b", "unheardOf": "1",
    });
    extension(&sandbox, AKS, settings, json!({})).await;
    let id = |name| {
        let kind = "Microsoft.ManagedIdentity/userAssignedIdentities";
        format!("{}/providers/{kind}/{name}", group())
    };
    let ids = json!({"type": "UserAssigned",
        "userAssignedIdentities": {id("id1"): {}, id("id2"): {}}});
    compute(&sandbox, AKS, "k8s-compute", ids).await;
    sandbox.save().expect("a test fixture");
    let manifest = import(&folder.path().join("state.json"), AKS);
    plans_empty(folder.path(), &manifest);
    assert!(manifest.contains("sslSecret: ml-tls"), "{manifest}");
    assert!(!manifest.contains("scoringFe.sslSecret"), "{manifest}");
    assert!(manifest.contains("amlarc.costCenter: \"a$$b\""), "{manifest}");
    assert!(manifest.contains("- extension.configurationSettings.unheardOf"), "{manifest}");
}

#[tokio::test(start_paused = true)]
async fn what_the_older_az_installed_is_of_the_older_profile() {
    let folder = tempfile::tempdir().expect("a test fixture");
    let sandbox = world(folder.path(), ARC, "k3s");
    let settings = json!({
        "enableTraining": "True", "enableInference": "True", "clusterPurpose": "FastProd",
        "privateEndpointNodeport": "True", "scoringFe.serviceType.nodePort": "True",
        "allowInsecureConnections": "True", "cluster_name": cluster(ARC),
        "relayserver.relayConnectionString": "elsewhere",
    });
    extension(&sandbox, ARC, settings, json!({"relayServerConnectionString": "x"})).await;
    sandbox.save().expect("a test fixture");
    let sandbox = format!("--sandbox={}", folder.path().join("state.json").display());
    let done = amlplan(&["import", "--cluster", &cluster(ARC), &sandbox]);
    let manifest = text(&done.stdout);
    assert!(manifest.contains("profile: 2021-11-preview"), "{manifest}");
    assert!(manifest.contains("privateEndpointNodeport: true"), "{manifest}");
    assert!(!manifest.contains("scoringFe.serviceType"), "{manifest}");
    // Its companions are not where az makes them, and that profile cannot do without.
    assert!(text(&done.stderr).contains("import-differs"), "{}", text(&done.stderr));
}

#[tokio::test(start_paused = true)]
async fn what_was_changed_by_hand_is_declared_rather_than_undone() {
    let folder = tempfile::tempdir().expect("a test fixture");
    let sandbox = world(folder.path(), ARC, "k3s");
    let settings = json!({
        "enableInference": "true", "inferenceRouterServiceType": "NodePort",
        "inferenceRouterHA": "false", "sslCname": "ml.example.com",
        "relayserver.enabled": "false", "nginxIngress.enabled": "true",
        "clusterPurpose": "DevTest", "amlarc.someChartKey": "7",
    });
    let pem = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t";
    let secrets = json!({"scoringFe.sslCert": pem, "scoringFe.sslKey": pem});
    extension(&sandbox, ARC, settings, secrets).await;
    sandbox.save().expect("a test fixture");
    let manifest = import(&folder.path().join("state.json"), ARC);
    plans_empty(folder.path(), &manifest);
    for part in ["relayserver.enabled: false", "sslCertPemFile, sslKeyPemFile", "someChartKey"] {
        assert!(manifest.contains(part), "{part}\n{manifest}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_subscription_becomes_a_fleet_with_an_empty_plan() {
    let folder = tempfile::tempdir().expect("a test fixture");
    let sandbox = world(folder.path(), ARC, "k3s");
    extension(&sandbox, ARC, json!({"enableTraining": "true"}), json!({})).await;
    compute(&sandbox, ARC, "k8s-compute", json!({"type": "SystemAssigned"})).await;
    sandbox.save().expect("a test fixture");
    let cluster = cluster(ARC);
    let subscription = cluster.split('/').nth(2).expect("a test fixture");
    let state = format!("--sandbox={}", folder.path().join("state.json").display());
    let done = amlplan(&["import", "--subscription", subscription, &state]);
    let manifest = text(&done.stdout);
    assert!(done.status.success(), "{}", text(&done.stderr));
    for part in ["kind: Fleet", "defaults:", "name: Edge01", "name: k8s-compute"] {
        assert!(manifest.contains(part), "{part}\n{manifest}");
    }
    plans_empty(folder.path(), &manifest);
    let wrong = amlplan(&["import", "--subscription", subscription, "--cloud", "Nowhere", &state]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(text(&wrong.stderr).contains("unknown-cloud"), "{}", text(&wrong.stderr));
}

#[test]
fn what_apply_made_of_every_shipped_manifest_imports_and_plans_empty() {
    for path in manifests("manifests") {
        let folder = tempfile::tempdir().expect("a test fixture");
        let state = folder.path().join("state.json");
        let sandbox = format!("--sandbox={}", state.display());
        let path_text = path.display().to_string();
        let applied = amlplan(&["apply", "--auto-approve", &sandbox, &path_text]);
        assert!(applied.status.success(), "{path_text}: {}", text(&applied.stderr));
        let shown =
            amlplan(&["sandbox", "show", "--json", "--state", &state.display().to_string()]);
        let shown: Json = serde_json::from_slice(&shown.stdout).expect("show writes JSON");
        let ids: Vec<&String> =
            shown["arm"].as_object().into_iter().flatten().map(|it| it.0).collect();
        let ends = |id: &str, kinds: &[&str]| {
            let parent = id.rsplit_once('/').map_or("", |it| it.0).to_ascii_lowercase();
            kinds.iter().any(|it| parent.ends_with(&it.to_ascii_lowercase()))
        };
        let workspaces: Vec<&str> = ids
            .iter()
            .filter(|it| ends(it, &["Microsoft.MachineLearningServices/workspaces"]))
            .flat_map(|it| ["--workspace", it.as_str()])
            .collect();
        // One cluster says as much as all of a fleet.
        let cluster = ids.iter().find(|it| ends(it, &[ARC, AKS])).expect("there is a cluster");
        let mut arguments = vec!["import", "--cluster", cluster, &sandbox];
        arguments.extend(workspaces);
        let imported = amlplan(&arguments);
        assert!(imported.status.success(), "{path_text}: {}", text(&imported.stderr));
        let manifest = text(&imported.stdout);
        let planned = plan(folder.path(), &state, &manifest);
        let shown = [text(&planned.stdout), text(&planned.stderr)].concat();
        assert_eq!(planned.status.code(), Some(0), "{path_text}\n{manifest}\n{shown}");
    }
}

#[test]
fn a_wrong_id_is_refused_with_what_an_id_looks_like() {
    let workspace = workspace();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let sandbox = format!("--sandbox={}", folder.path().join("state.json").display());
    for id in ["edge-01", "/subscriptions/s/resourceGroups", &workspace] {
        let done = amlplan(&["import", "--cluster", id, &sandbox]);
        assert_eq!(done.status.code(), Some(1));
        let said = text(&done.stderr);
        assert!(said.contains("import-id") && said.contains("connectedClusters/NAME"), "{said}");
    }
}

#[test]
fn a_manifest_is_translated_with_every_decision_told() {
    let from = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("manifests/inference-nodeport-https.preview.yaml");
    let from = from.display().to_string();
    let done = amlplan(&["import", "--from", &from, "--profile", "ga"]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let (manifest, told) = (text(&done.stdout), text(&done.stderr));
    assert!(manifest.contains("profile: ga") && manifest.contains("sslCname: ml.example.com"));
    for part in ["privateEndpointNodeport", "inferenceRouterServiceType", "translated to ga"] {
        assert!(told.contains(part), "{part}\n{told}");
    }
}

#[test]
fn the_commands_of_every_shipped_manifest_import_as_a_manifest_with_the_same_commands() {
    for path in manifests("manifests") {
        let folder = tempfile::tempdir().expect("a test fixture");
        let tls = folder.path().join("tls");
        std::fs::create_dir(&tls).expect("a test fixture");
        for name in ["ml.example.com.crt", "ml.example.com.key"] {
            let from = path.with_file_name("tls").join(name);
            std::fs::copy(from, tls.join(name)).expect("a test fixture");
        }
        let (lines, back) = (folder.path().join("lines.az"), folder.path().join("cluster.yaml"));
        let (lines, back) = (lines.display().to_string(), back.display().to_string());
        let commands = |manifest: &str| {
            let state = folder.path().join(format!("{}.json", manifest.len()));
            let sandbox = format!("--sandbox={}", state.display());
            let done = amlplan(&["plan", "--as-az", &sandbox, manifest]);
            assert!(done.status.success(), "{manifest}: {}", text(&done.stderr));
            text(&done.stdout)
        };
        let first = commands(&path.display().to_string());
        std::fs::write(&lines, &first).expect("a test fixture");
        let done = amlplan(&["import", "--from-az", &lines, "-o", &back]);
        assert!(done.status.success(), "{first}\n{}", text(&done.stderr));
        assert_eq!(commands(&back), first, "{}", path.display());
    }
}

#[test]
fn every_form_of_a_cloud_is_taken_and_roles_of_computes_come_along() {
    let folder = tempfile::tempdir().expect("a test fixture");
    let state = folder.path().join("state.json");
    let sandbox = format!("--sandbox={}", state.display());
    let manifest = folder.path().join("e.yaml").display().to_string();
    let text_of = format!(
        "apiVersion: amlplan/v1\nkind: Cluster\nname: edge01\n\
         azure: {{subscription: {SUBSCRIPTION}, resourceGroup: ml-rg}}\n\
         cluster: {{type: connectedClusters, name: Edge01}}\n\
         extension: {{name: x, configurationSettings: {{enableTraining: true}}}}\n\
         computes: [{{name: c1, workspace: {{name: ml-ws}}, identity: {{type: SystemAssigned}}}}]\n\
         roleAssignments: [{{principal: compute/c1, role: AcrPull, scope: {}}}]\n",
        group()
    );
    std::fs::write(&manifest, text_of).expect("a test fixture");
    assert!(amlplan(&["apply", "--auto-approve", &sandbox, &manifest]).status.success());
    let (cluster, workspace) = (cluster(ARC), workspace());
    let import = |cloud: &str, more: &[&str]| {
        let mut words = vec!["import", "--cluster", &cluster, "--workspace", &workspace, &sandbox];
        words.extend(["--cloud", cloud]);
        words.extend(more);
        amlplan(&words)
    };
    let own = "https://arm.example.net";
    let written = format!("{{name: Stack, resourceManager: \"{own}\"}}");
    for (cloud, more, says) in [
        ("AzureCloud", &[][..], ""),
        ("azureusgovernment", &[], "cloud: AzureUSGovernment"),
        (
            "https://management.chinacloudapi.cn",
            &[],
            "resourceManager: https://management.chinacloudapi.cn",
        ),
        (&written, &["--trust-cloud", "arm.example.net"], "name: Stack"),
    ] {
        let done = import(cloud, more);
        let manifest = text(&done.stdout);
        assert!(done.status.success(), "{cloud}: {}", text(&done.stderr));
        assert!(manifest.contains(says), "{cloud}\n{manifest}");
        assert!(manifest.contains("principal: compute/c1\n    role: AcrPull"), "{manifest}");
    }
    // A host that nobody confirmed is refused before anything is sent to it.
    for cloud in [own, &written] {
        let done = import(cloud, &[]);
        assert_eq!(done.status.code(), Some(1));
        assert!(text(&done.stderr).contains("untrusted-cloud"), "{}", text(&done.stderr));
    }
}

const BEFORE: &str = "
extension:
  name: azureml
  configurationSettings: {enableTraining: true, installPromOp: false, installDcgmExporter: true}
computes:
  - {name: c1, workspace: {name: ml-ws}, identity: {type: SystemAssigned}}
instanceTypes:
  - {name: gpu, resources: {requests: {cpu: 1, memory: 2Gi}, limits: {cpu: 1, memory: 2Gi}}}
  - {name: old, resources: {requests: {cpu: 1, memory: 2Gi}, limits: {cpu: 1, memory: 2Gi}}}
roleAssignments:
  - {principal: compute/c1, role: AcrPull, scope: GROUP}
";

const AFTER: &str = "
extension:
  name: azureml
  version: 1.1.40
  autoUpgradeMinorVersion: false
  configurationSettings: {enableTraining: true, installPromOp: true, installVolcano: false}
computes:
  - {name: c1, workspace: {name: ml-ws}, identity: {type: SystemAssigned}, tags: {team: a b}}
  - {name: c2, workspace: {name: ml-ws}, namespace: jobs, description: second}
instanceTypes:
  - {name: gpu, resources: {requests: {cpu: 1, memory: 2Gi}, limits: {cpu: 2, memory: 2Gi}}}
roleAssignments:
  - {principal: compute/c1, role: Storage Blob Data Reader, scope: GROUP}
";

#[test]
fn a_plan_of_several_changes_is_the_commands_for_them_and_an_empty_one_is_none() {
    let folder = tempfile::tempdir().expect("a test fixture");
    let sandbox = format!("--sandbox={}", folder.path().join("state.json").display());
    let file = folder.path().join("edge01.yaml");
    let head = format!(
        "apiVersion: amlplan/v1\nkind: Cluster\nname: edge01\n\
         azure: {{subscription: {SUBSCRIPTION}, resourceGroup: ml-rg}}\n\
         cluster: {{type: connectedClusters, name: Edge01, distribution: k3s, context: edge}}\n"
    );
    let run = |command: &[&str], manifest: &str| {
        let text_of = format!("{head}{}", manifest.replace("GROUP", &group()));
        std::fs::write(&file, text_of).expect("a test fixture");
        let done = amlplan(&[command, &[&sandbox, &file.display().to_string()]].concat());
        assert!(done.status.success(), "{}", text(&done.stderr));
        text(&done.stdout)
    };
    let commands = |manifest: &str| run(&["plan", "--as-az"], manifest);
    let apply = ["apply", "--auto-approve", "--allow", "disruptive"];
    let whole = commands(BEFORE);
    run(&apply, BEFORE);
    assert_eq!(commands(BEFORE), "");
    let changes = commands(AFTER);
    insta::assert_snapshot!("changes_as_az", changes);
    run(&apply, AFTER);
    assert_eq!(commands(AFTER), "");
    // One behind the other they say what the manifest says now, apart from what is removed.
    let script = folder.path().join("both.sh");
    std::fs::write(&script, whole + &changes).expect("a test fixture");
    let done = amlplan(&["import", &script.display().to_string()]);
    let manifest = text(&done.stdout);
    for part in ["version: 1.1.40", "installVolcano: false", "team: \"a b\"", "description: second"]
    {
        assert!(manifest.contains(part), "{part}\n{manifest}");
    }
    assert!(!manifest.contains("installDcgmExporter"), "{manifest}");
}

/// Three clusters in two groups, as one fleet; their computes' roles come along.
const FLEET: &str = "apiVersion: amlplan/v1
kind: Fleet
defaults:
  azure: {subscription: SUBSCRIPTION, resourceGroup: ml-rg}
  cluster: {type: connectedClusters, distribution: k3s}
  extension: {name: azureml, configurationSettings: {enableTraining: true, installVolcano: false}}
clusters:
  - name: one
    cluster: {name: one}
    computes:
      - {name: c1, workspace: {name: ml-ws}, namespace: jobs, identity: {type: SystemAssigned}}
    roleAssignments: [{principal: compute/c1, role: AcrPull, scope: SCOPE}]
  - name: two
    azure: {resourceGroup: other-rg}
    cluster: {name: two}
    extension: {version: 1.1.40, autoUpgradeMinorVersion: false}
  - name: three
    cluster: {name: three, type: managedClusters, distribution: aks}
    extension:
      configurationSettings:
        {enableInference: true, allowInsecureConnections: true, inferenceRouterServiceType: LoadBalancer}
    computes:
      - {name: c3, workspace: {name: ml-ws}}
      - {name: c4, workspace: {name: other-ws}}
";

#[test]
fn a_world_of_several_clusters_becomes_a_fleet_whose_plan_is_empty() {
    let folder = tempfile::tempdir().expect("a test fixture");
    let state = folder.path().join("state.json");
    let sandbox = format!("--sandbox={}", state.display());
    let file = folder.path().join("fleet.yaml");
    let declared = FLEET.replace("SUBSCRIPTION", SUBSCRIPTION).replace("SCOPE", &group());
    std::fs::write(&file, declared).expect("a test fixture");
    let applied = amlplan(&["apply", "--auto-approve", &sandbox, &file.display().to_string()]);
    assert!(applied.status.success(), "{}", text(&applied.stderr));
    let import = |more: &[&str]| {
        let words = [&["import", "--subscription", SUBSCRIPTION, &sandbox], more].concat();
        let done = amlplan(&words);
        assert!(done.status.success(), "{}", text(&done.stderr));
        let manifest = text(&done.stdout);
        plans_empty(folder.path(), &manifest);
        manifest
    };
    let whole = import(&[]);
    let (defaults, clusters) = whole.split_once("clusters:").expect("a fleet");
    for part in ["kind: Fleet", "name: azureml", "enableTraining: true"] {
        assert!(defaults.contains(part), "{part}\n{whole}");
    }
    for part in ["name: one", "name: two", "name: three", "compute/c1", "role: AcrPull", "other-rg"]
    {
        assert!(clusters.contains(part), "{part}\n{whole}");
    }
    assert_eq!(whole.matches("enableTraining").count(), 1, "{whole}");
    let group = import(&["--resource-group", "other-rg"]);
    assert!(group.contains("name: two") && !group.contains("name: one"), "{group}");
    let workspace = import(&["--workspace", "other-ws"]);
    assert!(workspace.contains("c4") && !workspace.contains("c3"), "{workspace}");
    let cloud = import(&["--cloud", "AzureUSGovernment"]);
    assert!(cloud.contains("cloud: AzureUSGovernment"), "{cloud}");
}
