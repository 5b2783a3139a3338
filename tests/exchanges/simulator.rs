//! The two clients against the simulator, with every kind of trouble switched on: in process under
//! virtual time, and over sockets.

use std::time::Duration;

use crate::apply::Permit;
use crate::client::arm::{
    ApiError, ArmReader, ArmWriter, Auth, Cloud, OperationOutcome, RunId, TokenSource, Verdict,
    Write, wait,
};
use crate::client::kubernetes::{self, scc};
use crate::client::net::{NetworkOptions, Transport, clock};
use crate::health::rights::allows;
use crate::model::{Json, ObjectRef};
use amlplan_sandbox::{Listening, Pace, Sandbox, Seed, SeedCluster, ServeOptions, StateAccess};
use http::Method;
use serde_json::json;

const SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000001";
const TENANT: &str = "00000000-0000-0000-0000-000000000002";
const EXTENSIONS: &str = "2023-05-01";
const HOUR: Duration = Duration::from_secs(3600);

fn group() -> String {
    format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/ml-rg")
}

fn extension() -> String {
    let cluster = "providers/Microsoft.Kubernetes/connectedClusters/edge";
    format!("{}/{cluster}/providers/Microsoft.KubernetesConfiguration/extensions/arcml", group())
}

fn relay() -> String {
    format!("{}/providers/Microsoft.Relay/namespaces/edge-relay", group())
}

fn cluster(name: &str, distribution: &str) -> SeedCluster {
    SeedCluster {
        subscription: SUBSCRIPTION.into(),
        resource_group: "ml-rg".into(),
        name: name.into(),
        kind: "connectedClusters".into(),
        distribution: Some(distribution.into()),
        issuer: false,
        location: "westeurope".into(),
        secrets: vec![],
    }
}

fn world(faults: &str) -> Sandbox {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("world.yaml");
    std::fs::write(&path, format!("faults: {faults}\n")).unwrap();
    let sandbox = Sandbox::open(None, Some(&path), StateAccess::Write).unwrap();
    sandbox.seed(&Seed {
        tenant: Some(TENANT.into()),
        subscriptions: vec![SUBSCRIPTION.into()],
        resource_groups: vec![(SUBSCRIPTION.into(), "ml-rg".into(), "westeurope".into())],
        clusters: vec![cluster("edge", "k3s"), cluster("ocp", "openshift")],
        ..Seed::default()
    });
    sandbox
}

fn sign_in(transport: &Transport, root: &str) -> ArmReader {
    let origin = crate::model::Trust::default().origin(root).unwrap();
    let cloud = Cloud::custom("Sandbox", origin.clone(), origin, "https://management.azure.com");
    let env = |name: &str| match name {
        "AZURE_CLIENT_ID" => Some("00000000-0000-0000-0000-000000000003".to_owned()),
        "AZURE_CLIENT_SECRET" => Some("anything".to_owned()),
        _ => None,
    };
    let (token, _) =
        TokenSource::choose(Auth::Auto, &env, Some(TENANT), &cloud, transport).unwrap();
    ArmReader::new(transport.clone(), cloud, token, RunId::new())
}

fn write(method: Method, id: String, api_version: &str, body: Option<Json>) -> Write {
    let (api_version, lock) = (api_version.to_owned(), None);
    Write { method, id, api_version, query: None, body, action: None, lock }
}

async fn done(writer: &ArmWriter, write: &Write) -> Result<Option<Json>, ApiError> {
    let started = writer.send(write).await?;
    let Some(operation) = started.operation else { return Ok(started.body) };
    match wait(writer.reader(), operation, HOUR, &mut |_, _| {}).await? {
        OperationOutcome::Succeeded(json) => Ok(json),
        OperationOutcome::Failed(error) => Err(error),
        OperationOutcome::Deadline { last_state, .. } => panic!("still {last_state} after an hour"),
    }
}

async fn register(writer: &ArmWriter, namespace: &str) {
    let id = format!("/subscriptions/{SUBSCRIPTION}/providers/{namespace}");
    let mut post = write(Method::POST, id.clone(), "2021-04-01", None);
    post.action = Some("register".into());
    done(writer, &post).await.unwrap();
    let end = clock::now() + HOUR;
    while clock::now() < end {
        let live = writer.reader().get(&id, "2021-04-01").await.unwrap().unwrap();
        if live["registrationState"] == "Registered" {
            return;
        }
        clock::sleep(Duration::from_secs(2)).await;
    }
    panic!("{namespace} does not register");
}

/// What apply does with Azure, in short.
async fn azure(reader: ArmReader) {
    let writer = ArmWriter::new(reader.clone(), Permit::in_tests(), 10);
    for namespace in ["Microsoft.KubernetesConfiguration", "Microsoft.Relay"] {
        register(&writer, namespace).await;
    }
    let body = json!({"location": "westeurope", "properties": {}});
    let put = write(Method::PUT, relay(), "2021-11-01", Some(body));
    assert!(done(&writer, &put).await.unwrap().is_some());
    let body = json!({
        "identity": {"type": "SystemAssigned"},
        "properties": {
            "extensionType": "Microsoft.AzureML.Kubernetes", "autoUpgradeMinorVersion": true, "releaseTrain": "stable",
            "scope": {"cluster": {"releaseNamespace": "azureml"}},
            "configurationSettings": {"enableTraining": "True"},
            "configurationProtectedSettings": {},
        },
    });
    let put = write(Method::PUT, extension(), EXTENSIONS, Some(body));
    let made = done(&writer, &put).await.unwrap().unwrap();
    assert_eq!(made["properties"]["provisioningState"], "Succeeded");
    let path = format!("{}/providers/Microsoft.Authorization/permissions", group());
    let permissions = reader.list(&path, "2022-04-01").await.unwrap();
    assert!(permissions.iter().any(|it| allows(it, "Microsoft.Relay/namespaces/write")));
    for id in [extension(), relay()] {
        let version = if id == relay() { "2021-11-01" } else { EXTENSIONS };
        let delete = write(Method::DELETE, id.clone(), version, None);
        assert_eq!(done(&writer, &delete).await.unwrap(), None);
    }
}

async fn kubernetes(reader: kubernetes::KubeReader) {
    let writer = kubernetes::KubeWriter::new(reader.clone(), Permit::in_tests());
    let namespace = ObjectRef::cluster("v1", "Namespace", "namespaces", "team");
    let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}});
    writer.apply(&namespace, &body, false).await.unwrap();
    let api = "security.openshift.io/v1";
    let plural = "securitycontextconstraints";
    let privileged = ObjectRef::cluster(api, "SecurityContextConstraints", plural, "privileged");
    let ours = vec!["system:serviceaccount:team:default".to_owned()];
    let added = writer.edit(&privileged, &|live| scc::add_users(live, &ours)).await.unwrap();
    let removed = writer.edit(&privileged, &|live| scc::remove_users(live, &ours)).await.unwrap();
    assert!(added.changed && removed.changed);
    assert_eq!(added.before["users"], removed.after["users"]);
    assert!(writer.delete(&namespace, None).await.unwrap());
    let allowed = reader.allowed("use", "security.openshift.io", plural, "privileged", None);
    assert!(allowed.await.unwrap());
}

#[test]
fn everything_works_in_process_with_faults_on() {
    for seed in 0..16 {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let sandbox = world(&format!(
                "{{seed: {seed}, throttle: 0.1, serverError: 0.1, dropConnection: 0.1, slow: 0.2, staleReads: 0.1}}"
            ));
            let transport = Transport::InProcess(sandbox.router());
            let root = "https://management.azure.com";
            azure(sign_in(&transport, root)).await;
            let base = format!("{root}/kubernetes/{SUBSCRIPTION}/ml-rg/ocp");
            kubernetes(kubernetes::KubeReader::over(transport, &base, "sandbox")).await;
        });
    }
}

#[tokio::test]
async fn everything_works_over_tls_with_faults_on() {
    let sandbox = world("{seed: 7, throttle: 0.03, serverError: 0.01, dropConnection: 0.01}");
    let folder = tempfile::tempdir().unwrap();
    let options = ServeOptions {
        listen: "127.0.0.1:0".parse().unwrap(),
        tls: true,
        folder: folder.path().into(),
        pace: Pace::Fast,
    };
    let (send, listening) = tokio::sync::oneshot::channel();
    let server = tokio::spawn(async move {
        let said = |it: &Listening| drop(send.send(it.clone()));
        sandbox.serve(options, said, std::future::pending()).await
    });
    let listening = listening.await.unwrap();
    let options = NetworkOptions { ca_file: listening.ca.clone(), ..NetworkOptions::default() };
    let transport = Transport::network(&options).unwrap();
    azure(sign_in(&transport, &listening.url)).await;
    let mut files = listening.kubeconfigs.into_iter();
    let kubeconfig = files.find_map(|(name, path)| (name == "ocp").then_some(path)).unwrap();
    let kubeconfig = kubernetes::KubeconfigFrom::File(kubeconfig);
    let options =
        kubernetes::ConnectOptions { kubeconfig, ..kubernetes::ConnectOptions::default() };
    kubernetes(kubernetes::KubeReader::connect(&options).await.unwrap()).await;
    server.abort();
}

#[tokio::test(start_paused = true)]
async fn a_failed_operation_is_told_from_a_lost_one() {
    let sandbox = world("{seed: 1, failOperation: 1.0}");
    let transport = Transport::InProcess(sandbox.router());
    let reader = sign_in(&transport, "https://management.azure.com");
    let writer = ArmWriter::new(reader, Permit::in_tests(), 10);
    let absent = write(Method::DELETE, relay(), "2021-11-01", None);
    assert_eq!(done(&writer, &absent).await.unwrap(), None);
    let body = json!({"properties": {"extensionType": "Microsoft.AzureML.Kubernetes"}});
    let put = write(Method::PUT, extension(), EXTENSIONS, Some(body));
    let error = done(&writer, &put).await.unwrap_err();
    assert_eq!(
        error.verdict(),
        Verdict::NotRegistered("Microsoft.KubernetesConfiguration".into()),
        "{error}"
    );
    register(&writer, "Microsoft.KubernetesConfiguration").await;
    let error = done(&writer, &put).await.unwrap_err();
    assert_eq!(error.verdict(), Verdict::Fatal, "{error}");
}
