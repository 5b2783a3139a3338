//! The simulator as a server: other clients are let in, a stop keeps the world, and amlplan itself makes over sockets
//! exactly the plan that it makes in process.

use std::fs;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use serde_json::{Value as Json, json};

#[path = "common/served.rs"]
mod served;

use served::{Server, TENANT, amlplan};

const SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000000";

fn client_of(folder: &Path, server: &Server) -> reqwest::Client {
    // reqwest brings no cryptography of its own (docs/decisions/0004).
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30));
    if server.url.starts_with("https") {
        let ca = fs::read(folder.join("ca.pem")).expect("a CA");
        let ca = reqwest::Certificate::from_pem(&ca).expect("a certificate");
        builder = builder.tls_certs_only([ca]);
    }
    builder.build().expect("a client")
}

async fn get(client: &reqwest::Client, url: &str, token: Option<&str>) -> (u16, Json) {
    let mut request = client.get(url);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    (status, serde_json::from_str(&answer.text().await.expect("a body")).unwrap_or_default())
}

async fn token(client: &reqwest::Client, base: &str) -> String {
    let (_, openid) =
        get(client, &format!("{base}/{TENANT}/v2.0/.well-known/openid-configuration"), None).await;
    let endpoint = openid["token_endpoint"].as_str().expect("a token endpoint");
    assert!(endpoint.starts_with(base), "{endpoint} keeps host and port");
    let form = format!(
        "grant_type=client_credentials&client_id={TENANT}&client_secret=any&scope={base}/.default"
    );
    let answer = client
        .post(endpoint)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form)
        .send()
        .await
        .expect("an answer");
    let body: Json =
        serde_json::from_str(&answer.text().await.expect("a body")).expect("JSON of a token");
    assert_eq!(body["token_type"], "Bearer");
    body["access_token"].as_str().expect("a token").to_owned()
}

#[tokio::test]
async fn clients_find_their_way_from_the_metadata_to_the_subscriptions() {
    for tls in [false, true] {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(folder.path(), if tls { &["--tls"] } else { &[] });
        assert_eq!(server.url.starts_with("https://localhost:"), tls, "{}", server.url);
        let (client, base) = (client_of(folder.path(), &server), server.url.as_str());

        let metadata = |version: &str| format!("{base}/metadata/endpoints?api-version={version}");
        let (_, now) = get(&client, &metadata("2022-09-01"), None).await;
        assert_eq!(now["resourceManager"], base, "without a slash at the end");
        assert_eq!(now["authentication"]["tenant"], "common");
        let (_, list) = get(&client, &metadata("2019-05-01"), None).await;
        assert_eq!(list[0]["resourceManager"], base);
        let (_, old) = get(&client, &metadata("2015-01-01"), None).await;
        assert!(
            old["authentication"]["audiences"][0].is_string() && old["graphEndpoint"].is_string()
        );

        let (status, _) =
            get(&client, &format!("{base}/subscriptions?api-version=2022-12-01"), None).await;
        assert_eq!(status, 401);
        let token = token(&client, base).await;
        for (path, field) in [
            ("/subscriptions", "subscriptionId"),
            ("/tenants", "tenantId"),
            (&*format!("/subscriptions/{SUBSCRIPTION}/providers"), "namespace"),
        ] {
            let url = format!("{base}{path}?api-version=2022-12-01");
            let (status, listed) = get(&client, &url, Some(&token)).await;
            assert!(status == 200 && listed["value"][0][field].is_string(), "{path}: {listed}");
        }
        server.stop();
    }
}

#[test]
fn every_sandbox_command_takes_its_world_by_either_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |words: &[&str]| amlplan(folder.path()).args(words).output().expect("runs");
    fs::write(folder.path().join("cluster.yaml"), AKS).expect("a manifest");
    text(&run(&["plan", "--sandbox=x.json"]), &[0]);
    let group = format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/ml-rg");
    for (name, tag) in [("--sandbox", "one"), ("--state", "two")] {
        let state = format!("{name}=x.json");
        text(
            &run(&["sandbox", "set", &group, &format!("/tags={{\"{tag}\": \"1\"}}"), &state]),
            &[0],
        );
        assert!(text(&run(&["sandbox", "show", "--json", &state]), &[0]).contains(tag));
    }
    text(&run(&["sandbox", "show", "--sandbox=x.json", "--state=y.json"]), &[1]);
    text(&run(&["sandbox", "delete", &group, "--sandbox=x.json"]), &[0]);
    assert!(!text(&run(&["sandbox", "show", "--json", "--sandbox=x.json"]), &[0]).contains("two"));
    text(&run(&["sandbox", "reset", "--sandbox=x.json"]), &[0]);
    assert!(!folder.path().join("x.json").exists() && !folder.path().join(".amlplan").exists());
}

#[tokio::test]
async fn a_stop_keeps_the_world() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]);
    let path = format!("/subscriptions/{SUBSCRIPTION}/resourcegroups/kept?api-version=2021-04-01");
    let (client, url) = (client_of(folder.path(), &server), format!("{}{path}", server.url));
    let bearer = token(&client, &server.url).await;
    let made =
        client.put(&url).bearer_auth(&bearer).body(json!({"location": "westeurope"}).to_string());
    assert_eq!(made.send().await.expect("an answer").status().as_u16(), 201);
    server.stop();

    let server = Server::start(folder.path(), &[]);
    let (client, url) = (client_of(folder.path(), &server), format!("{}{path}", server.url));
    let bearer = token(&client, &server.url).await;
    let (status, group) = get(&client, &url, Some(&bearer)).await;
    assert_eq!((status, &group["name"]), (200, &json!("kept")));
    server.stop();
}

const ARC: &str = "
apiVersion: amlplan/v1
kind: Cluster
name: edge-01
azure:
  cloud: {name: sandbox, resourceManager: '${BASE:-https://localhost:1}'}
  subscription: 00000000-0000-0000-0000-000000000000
  resourceGroup: ml-rg
cluster: {type: connectedClusters, name: edge-01, distribution: openshift, kubeconfig: ./kubeconfigs/edge-01.yaml}
scc: {}
extension:
  name: arcml-extension
  configurationSettings: {enableTraining: true}
computes:
- name: k8s
  workspace: {name: ws1}
  namespace: team-a
  identity:
    type: UserAssigned
    userAssignedIdentities: [/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/ml-rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id1]
instanceTypes:
- name: gpu
  nodeSelector: {sku: gpu}
  resources: {requests: {cpu: '1', memory: 2Gi}, limits: {cpu: '2', memory: 2Gi, nvidia.com/gpu: 1}}
";

const AKS: &str = "
apiVersion: amlplan/v1
kind: Cluster
name: aks-01
azure:
  cloud: {name: sandbox, resourceManager: '${BASE:-https://localhost:1}'}
  subscription: 00000000-0000-0000-0000-000000000000
  resourceGroup: ml-rg
cluster: {type: managedClusters, name: aks-01, kubeconfig: ./kubeconfigs/aks-01.yaml}
extension:
  name: arcml-extension
  configurationSettings: {enableTraining: true, enableInference: true, inferenceRouterServiceType: LoadBalancer, allowInsecureConnections: true}
computes:
- name: k8s
  workspace: {name: ws1}
  namespace: team-a
  identity: {type: SystemAssigned}
";

const FAULTS: &str = "faults: {seed: 7, throttle: 0.05, serverError: 0.1, dropConnection: 0.1, slow: 0.1, staleReads: 0.2}";

/// Runs a command against the served world, or with `served` empty in process.
fn run(folder: &Path, served: Option<&Server>, base: &str, words: &[&str]) -> Output {
    let mut command = amlplan(folder);
    command.env("BASE", base);
    if served.is_some() {
        command.env("SSL_CERT_FILE", "ca.pem");
    } else {
        command.args(["--sandbox=in-process.json", "--sandbox-world=world.yaml"]);
    }
    command.args(words).output().expect("runs")
}

fn text(output: &Output, codes: &[i32]) -> String {
    let code = output.status.code().unwrap_or(-1);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(codes.contains(&code), "exit code {code}: {stdout}{stderr}");
    stdout
}

/// What a plan says apart from when it was made.
fn timeless(plan: &str) -> String {
    let mut plan: Json = serde_json::from_str(plan).expect("JSON of a plan");
    assert!(plan["timestamp"].take().is_string());
    serde_json::to_string_pretty(&plan).expect("prints")
}

/// Fails with the first line that differs.
fn same(here: &str, there: &str, what: &str) {
    let differs = here.lines().zip(there.lines()).find(|(here, there)| here != there);
    assert_eq!(differs, None, "{what}: in process and over sockets");
    assert_eq!(here, there, "{what}");
}

fn same_over_sockets(manifest: &str, world: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    fs::write(folder.join("cluster.yaml"), manifest).expect("written");
    fs::write(folder.join("world.yaml"), world).expect("written");
    // Both begin with the same world: the one that the first plan seeds.
    text(&run(folder, None, "https://localhost:1", &["plan"]), &[0]);
    fs::copy(folder.join("in-process.json"), folder.join("state.json")).expect("copied");
    let server = Server::start(folder, &["--tls", "--world", "world.yaml"]);
    let both = |words: &[&str], codes: &[i32]| {
        let here = text(&run(folder, None, &server.url, words), codes);
        (here, text(&run(folder, Some(&server), &server.url, words), codes))
    };
    for round in ["before", "after"] {
        // Whoever meets faults waits, and others read meanwhile.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let (here, there) = both(&["plan"], &[0]);
                same(&here, &there, &format!("plan {round} apply"));
            });
            scope.spawn(|| {
                let (here, there) = both(&["plan", "--json"], &[0]);
                same(&timeless(&here), &timeless(&there), &format!("plan --json {round} apply"));
            });
            if round == "after" {
                // Exit code 0, not 2: there is nothing left to change.
                both(&["plan", "--detailed-exitcode"], &[0]);
            }
        });
        if round == "before" {
            both(&["apply", "--auto-approve"], &[0]);
        }
    }
    both(&["destroy", "--auto-approve"], &[0]);
    server.stop();
}

#[test]
fn over_sockets_a_plan_for_arc_is_the_one_in_process() {
    same_over_sockets(ARC, "");
}

#[test]
fn over_sockets_a_plan_for_aks_is_the_one_in_process() {
    same_over_sockets(AKS, "");
}

#[test]
fn over_sockets_faults_change_nothing_about_a_plan() {
    same_over_sockets(ARC, FAULTS);
}

/// What an AKS cluster with Entra makes of a sign-in: a program that leaves a trace and hands out a token.
const KUBELOGIN: &str = r#"#!/bin/sh
echo "$*" >> asked
echo '{"apiVersion": "client.authentication.k8s.io/v1beta1", "kind": "ExecCredential", "status": {"token": "Kanarie5e9b71"}}'
"#;

#[test]
fn azure_hands_out_the_kubeconfig_and_nobody_keeps_it() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let manifest = AKS.replace("kubeconfig: ./kubeconfigs/aks-01.yaml", "credentials: azure");
    assert!(manifest.contains("credentials: azure"));
    fs::write(folder.join("cluster.yaml"), manifest).expect("written");
    fs::write(folder.join("world.yaml"), "").expect("written");
    fs::create_dir(folder.join("bin")).expect("a folder");
    let program = folder.join("bin/kubelogin");
    fs::write(&program, KUBELOGIN).expect("written");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("may run");
    text(&run(folder, None, "https://localhost:1", &["plan"]), &[0]);
    fs::copy(folder.join("in-process.json"), folder.join("state.json")).expect("copied");
    let server = Server::start(folder, &["--tls"]);
    fs::remove_dir_all(folder.join("kubeconfigs")).expect("removed");
    let mut told = String::new();
    let mut go = |words: &str, codes: &[i32]| {
        let mut command = amlplan(folder);
        command.env("SSL_CERT_FILE", "ca.pem").env("BASE", &server.url);
        let path = std::env::join_paths([folder.join("bin"), "/bin".into(), "/usr/bin".into()]);
        let output = command
            .env("PATH", path.expect("a path"))
            .args(words.split(' '))
            .output()
            .expect("runs");
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        let out = text(&output, codes);
        told.push_str(&out);
        told.push_str(&err);
        (out, err)
    };
    let (out, err) = go("plan -vvv --out first.plan", &[0]);
    assert!(out.contains("namespace/team-a"), "{out}");
    let asked = err.matches("listClusterUserCredential").count();
    assert_eq!(asked, 1, "once, however many reads: {err}");
    go("apply -vvv --auto-approve --evidence evidence.json", &[0]);
    go("plan -vvv --detailed-exitcode", &[0]);
    assert!(!folder.join("asked").exists(), "a cluster without Entra needs no kubelogin");

    let id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/ml-rg/providers/Microsoft.ContainerService/managedClusters/aks-01";
    go(
        &format!("sandbox --state state.json set {id} /properties/aadProfile={{\"managed\":true}}"),
        &[0],
    );
    go("plan -vvv --detailed-exitcode", &[0]);
    let traces = fs::read_to_string(folder.join("asked")).expect("kubelogin was asked");
    assert_eq!(traces.lines().count(), 1, "{traces}");
    assert!(
        traces.starts_with("get-token ") && traces.contains("--server-id 6dae42f8-"),
        "{traces}"
    );
    go("drift -vvv --format json=drift.json", &[0]);
    go("verify -vvv", &[0]);
    fs::remove_file(&program).expect("removed");
    let (out, _) = go("plan", &[1]);
    assert!(out.contains("`kubelogin` is not installed"), "{out}");
    server.stop();

    use base64::Engine as _;
    let encoded = base64::prelude::BASE64_STANDARD.encode("{\n  \"apiVersion\": \"v1\",\n");
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_file() && !path.ends_with("asked") {
            told.push_str(&String::from_utf8_lossy(&fs::read(path).expect("a file")));
        }
    }
    for hidden in ["Kanarie", "current-context", "certificate-authority-data", &encoded[..24]] {
        assert!(!told.contains(hidden), "{hidden} is written");
    }
}

#[test]
fn whoever_may_not_ask_azure_for_a_kubeconfig_is_told_which_action_lacks() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let manifest = AKS.replace("kubeconfig: ./kubeconfigs/aks-01.yaml", "credentials: azure");
    fs::write(folder.join("cluster.yaml"), manifest).expect("written");
    let reader = "access: {azure: [{role: Reader, scope: /subscriptions/00000000-0000-0000-0000-000000000000}]}";
    fs::write(folder.join("world.yaml"), reader).expect("written");
    let output = run(folder, None, "https://localhost:1", &["plan", "--json"]);
    let plan: Json = serde_json::from_str(&text(&output, &[1])).expect("JSON of a plan");
    assert_eq!(plan["complete"], false);
    let shown = plan.to_string();
    assert!(shown.contains("managedClusters/listClusterUserCredential/action"), "{shown}");
    let output = run(folder, None, "https://localhost:1", &["permissions", "--for", "plan"]);
    let out = text(&output, &[0]);
    assert!(
        out.contains("Microsoft.ContainerService/managedClusters/listClusterUserCredential/action"),
        "{out}"
    );
}
