//! Stories of how the real services behave, told to the router.

use std::time::Duration;

use axum::body::Body;
use http::{HeaderMap, Request, StatusCode};
use serde_json::{Value as Json, json};
use tower::ServiceExt;

use crate::{Deed, Sandbox, SandboxError, Seed, SeedCluster, StateAccess, Subject};

pub(crate) const S: &str = "/subscriptions/11111111-2222-3333-4444-555555555555";
pub(crate) const RG: &str =
    "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/ml-rg";
const KC: &str = "providers/Microsoft.KubernetesConfiguration/extensions";

/// An answer, read whole.
pub(crate) struct Got {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Json,
}

impl Got {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
    }
}

pub(crate) async fn send(sandbox: &Sandbox, method: &str, url: &str, body: Option<Json>) -> Got {
    let url = if url.starts_with("http") {
        url.to_owned()
    } else {
        format!("https://management.azure.com{url}")
    };
    let url = if url.contains('?') { url } else { format!("{url}?api-version=2023-05-01") };
    let request = Request::builder()
        .method(method)
        .uri(url.replace(' ', "%20").replace('\'', "%27"))
        .header("authorization", "Bearer x");
    let body = body.map_or_else(String::new, |body| body.to_string());
    let request = request.header("content-length", body.len()).body(Body::from(body));
    let request = request.expect("a request");
    let response = sandbox.router().oneshot(request).await.expect("the router answers");
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.expect("a body");
    Got {
        status: parts.status,
        headers: parts.headers,
        body: serde_json::from_slice(&bytes).unwrap_or(Json::Null),
    }
}

pub(crate) async fn get(sandbox: &Sandbox, url: &str) -> Got {
    send(sandbox, "GET", url, None).await
}

fn cluster(kind: &str, name: &str) -> SeedCluster {
    SeedCluster {
        subscription: S.trim_start_matches("/subscriptions/").to_owned(),
        resource_group: "ml-rg".to_owned(),
        name: name.to_owned(),
        kind: kind.to_owned(),
        location: "westeurope".to_owned(),
        ..SeedCluster::default()
    }
}

pub(crate) fn seeded(world: &str) -> Sandbox {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("world.yaml");
    std::fs::write(&file, world).expect("written");
    let sandbox = Sandbox::open(None, Some(&file), StateAccess::Write).expect("opens");
    let subscription = S.trim_start_matches("/subscriptions/").to_owned();
    sandbox.seed(&Seed {
        subscriptions: vec![subscription.clone()],
        clusters: vec![cluster("connectedClusters", "edge"), cluster("managedClusters", "aks")],
        workspaces: vec![(
            subscription,
            "ml-rg".to_owned(),
            "ws".to_owned(),
            "westeurope".to_owned(),
        )],
        ..Seed::default()
    });
    sandbox
}

/// Changes something by hand.
pub(crate) fn set(
    sandbox: &Sandbox,
    place: Subject,
    pointer: &str,
    value: Json,
) -> Result<Json, SandboxError> {
    sandbox.perform(&Deed::Set { place, pointer: pointer.to_owned(), value })
}

/// An object of a cluster.
pub(crate) fn of(cluster: &str, object: &str) -> Subject {
    Subject::Objects { cluster: cluster.to_owned(), paths: vec![object.to_owned()] }
}

pub(crate) fn arc() -> String {
    format!("{RG}/providers/Microsoft.Kubernetes/connectedClusters/edge")
}

pub(crate) fn aks() -> String {
    format!("{RG}/providers/Microsoft.ContainerService/managedClusters/aks")
}

fn extension(settings: Json) -> Json {
    json!({"identity": {"type": "SystemAssigned"}, "properties": {"extensionType": "Microsoft.AzureML.Kubernetes",
        "autoUpgradeMinorVersion": true, "releaseTrain": "stable", "scope": {"cluster": {"releaseNamespace": "azureml"}},
        "configurationSettings": settings, "configurationProtectedSettings": {"relayServerConnectionString": "secret"}}})
}

pub(crate) async fn wait(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

pub(crate) async fn registered(sandbox: &Sandbox, namespace: &str) {
    send(sandbox, "POST", &format!("{S}/providers/{namespace}/register"), None).await;
    wait(200).await;
}

pub(crate) async fn install(sandbox: &Sandbox, settings: Json) -> Got {
    registered(sandbox, "Microsoft.KubernetesConfiguration").await;
    let got = send(sandbox, "PUT", &format!("{}/{KC}/ext", arc()), Some(extension(settings))).await;
    assert_eq!(got.status, StatusCode::CREATED, "{}", got.body);
    wait(1500).await;
    get(sandbox, &format!("{}/{KC}/ext", arc())).await
}

#[tokio::test(start_paused = true)]
async fn a_provider_flaps_once_and_stays_registered() {
    let sandbox = seeded("");
    let url = format!("{S}/providers/Microsoft.Relay");
    let got = send(&sandbox, "POST", &format!("{url}/register"), None).await;
    assert_eq!(
        (got.status, &got.body["registrationState"]),
        (StatusCode::OK, &json!("Registering"))
    );
    let mut seen = Vec::new();
    for _ in 0..30 {
        wait(5).await;
        let state = get(&sandbox, &url).await.body["registrationState"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        if seen.last() != Some(&state) {
            seen.push(state);
        }
    }
    assert_eq!(seen, ["Registering", "Registered", "Registering", "Registered"]);
}

#[tokio::test(start_paused = true)]
async fn an_installation_takes_minutes_and_fills_the_namespace() {
    let sandbox = seeded("");
    registered(&sandbox, "Microsoft.KubernetesConfiguration").await;
    let url = format!("{}/{KC}/ext", arc());
    let settings = json!({"enableTraining": "True", "relayserver.enabled": "true", "nginxIngress.enabled": "false"});
    let put = send(&sandbox, "PUT", &url, Some(extension(settings))).await;
    assert_eq!(
        (put.status, &put.body["properties"]["provisioningState"]),
        (StatusCode::CREATED, &json!("Creating"))
    );
    assert_eq!(put.body["properties"]["configurationProtectedSettings"], json!({}));
    let operation = put.header("azure-asyncoperation").to_owned();
    assert!(
        operation.contains("/ConnectedClusters/") && operation.contains("/operations/"),
        "{operation}"
    );
    assert_eq!(get(&sandbox, &operation).await.body["status"], "Creating");
    let again = send(&sandbox, "PUT", &url, Some(extension(json!({})))).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    wait(600).await;
    assert_eq!(get(&sandbox, &operation).await.body["status"], "Succeeded");
    let done = get(&sandbox, &url).await;
    assert_eq!(
        (&done.body["properties"]["provisioningState"], &done.body["properties"]["currentVersion"]),
        (&json!("Succeeded"), &json!("1.1.106"))
    );
    assert_eq!(done.body["properties"]["extensionType"], "Microsoft.AzureML.Kubernetes");
    let world = sandbox.show();
    let names: Vec<&str> = world["kubernetes"]["edge"]
        .as_array()
        .expect("objects")
        .iter()
        .filter(|o| o["kind"] == "Deployment" && o["metadata"]["namespace"] == "azureml")
        .filter_map(|o| o["metadata"]["name"].as_str())
        .collect();
    assert_eq!(
        names,
        [
            "aml-operator",
            "ext-kube-state-metrics",
            "ext-prometheus-operator",
            "gateway",
            "metrics-controller-manager",
            "relayserver",
            "volcano-admission",
            "volcano-controllers",
            "volcano-scheduler",
        ]
    );
    assert!(!world.to_string().contains("\"secret\""), "a protected setting shows");
}

#[tokio::test(start_paused = true)]
async fn too_few_nodes_for_a_router_fail_the_health_check_and_leave_a_report() {
    let sandbox = seeded("clusters: [{name: edge, nodes: 2}]");
    let settings = json!({"enableInference": "True", "allowInsecureConnections": "True", "inferenceRouterServiceType": "NodePort"});
    let got = install(&sandbox, settings).await;
    assert_eq!(got.body["properties"]["provisioningState"], "Failed");
    assert!(
        got.body["properties"]["statuses"][0]["message"]
            .as_str()
            .is_some_and(|m| m.contains("pod healthcheck failed"))
    );
    let report = sandbox.show()["kubernetes"]["edge"].as_array().and_then(|all| {
        all.iter()
            .find(|o| o["metadata"]["name"] == "arcml-healthcheck")
            .map(|o| o["data"]["reports-pre-install"].to_string())
    });
    assert!(report.is_some_and(|text| text.contains("Status: Failed Name: inferencev1 ErrorCode: E40002")));
}

#[tokio::test(start_paused = true)]
async fn a_patch_merges_plain_settings_and_a_delete_takes_everything_but_the_namespace() {
    let sandbox = seeded("");
    install(&sandbox, json!({"enableTraining": "True", "nodeSelector.a": "b"})).await;
    let url = format!("{}/{KC}/ext", arc());
    set(&sandbox, of(&arc(), "node/node-1"), "/metadata/labels/a", json!("b")).expect("set");
    let patch = json!({"properties": {"configurationSettings": {"installVolcano": "false"}, "releaseTrain": "", "version": ""}});
    let got = send(&sandbox, "PATCH", &url, Some(patch)).await;
    assert_eq!(
        (got.status, &got.body["properties"]["provisioningState"]),
        (StatusCode::ACCEPTED, &json!("Updating"))
    );
    wait(400).await;
    let got = get(&sandbox, &url).await;
    assert_eq!(
        got.body["properties"]["configurationSettings"],
        json!({"enableTraining": "True", "nodeSelector.a": "b", "installVolcano": "false"})
    );
    assert_eq!(got.body["properties"]["provisioningState"], "Succeeded", "{}", got.body);
    let text = sandbox.show()["kubernetes"]["edge"].to_string();
    assert!(!text.contains("volcano-scheduler\"") && text.contains("aml-operator"));
    assert_eq!(send(&sandbox, "DELETE", &url, None).await.status, StatusCode::ACCEPTED);
    assert_eq!(get(&sandbox, &url).await.body["properties"]["provisioningState"], "Deleting");
    wait(400).await;
    assert_eq!(get(&sandbox, &url).await.status, StatusCode::NOT_FOUND);
    let text = sandbox.show()["kubernetes"]["edge"].to_string();
    assert!(
        !text.contains("aml-operator")
            && text.contains("/namespaces/azureml") | text.contains("\"name\":\"azureml\"")
    );
    assert_eq!(send(&sandbox, "DELETE", &url, None).await.status, StatusCode::NO_CONTENT);
}

#[tokio::test(start_paused = true)]
async fn a_disconnected_cluster_waits_and_goes_on_when_it_is_back() {
    let sandbox = seeded("clusters: [{name: edge, connectivity: Offline}]");
    let got = install(&sandbox, json!({"enableTraining": "true"})).await;
    assert_eq!(got.body["properties"]["provisioningState"], "Creating");
    set(&sandbox, Subject::Arm(arc()), "/properties/connectivityStatus", json!("Connected"))
        .expect("set");
    wait(700).await;
    let got = get(&sandbox, &format!("{}/{KC}/ext", arc())).await;
    assert_eq!(got.body["properties"]["provisioningState"], "Succeeded");
}

#[tokio::test(start_paused = true)]
async fn openshift_without_the_grants_times_out_and_with_them_installs() {
    let world = "clusters: [{name: edge, distribution: openshift}]";
    let sandbox = seeded(world);
    let got = install(&sandbox, json!({"enableTraining": "true", "openshift": "true"})).await;
    assert_eq!(got.body["properties"]["provisioningState"], "Failed");
    assert!(
        got.body["properties"]["statuses"][0]["message"]
            .as_str()
            .is_some_and(|m| m.contains("timed out waiting for the condition"))
    );

    let sandbox = seeded(world);
    let scc = "/apis/security.openshift.io/v1/securitycontextconstraints/privileged";
    let groups = json!(["system:serviceaccounts:azureml", "system:serviceaccounts:azure-arc"]);
    set(&sandbox, of(&arc(), scc), "/groups", groups).expect("set");
    let got = install(&sandbox, json!({"enableTraining": "true", "openshift": "true"})).await;
    assert_eq!(got.body["properties"]["provisioningState"], "Succeeded", "{}", got.body);
}

#[tokio::test(start_paused = true)]
async fn an_attach_needs_the_extension_and_a_detach_its_parameter() {
    let sandbox = seeded("");
    let url =
        format!("{RG}/providers/Microsoft.MachineLearningServices/workspaces/ws/computes/k8s");
    let body = json!({"location": "westeurope", "identity": {"type": "SystemAssigned"}, "properties": {"computeType": "Kubernetes", "resourceId": arc(), "properties": {"namespace": "default"}}});
    let got = send(&sandbox, "PUT", &url, Some(body.clone())).await;
    assert_eq!(
        (got.status, &got.body["properties"]["provisioningState"]),
        (StatusCode::CREATED, &json!("Creating"))
    );
    let operation = got.header("azure-asyncoperation").to_owned();
    assert!(operation.ends_with("&service=new"), "{operation}");
    assert_eq!(get(&sandbox, &operation).await.body["status"], "InProgress");
    wait(200).await;
    let failed = get(&sandbox, &operation).await;
    assert_eq!((&failed.body["status"], failed.body.get("id")), (&json!("Failed"), None));
    install(&sandbox, json!({"enableTraining": "true"})).await;
    assert_eq!(send(&sandbox, "PUT", &url, Some(body)).await.status, StatusCode::CREATED);
    wait(200).await;
    let done = get(&sandbox, &url).await;
    assert_eq!(done.body["properties"]["provisioningState"], "Succeeded", "{}", done.body);
    assert!(
        done.body["identity"]["principalId"].is_string()
            && done.body["properties"]["properties"]["extensionPrincipalId"].is_string()
    );
    assert_eq!(send(&sandbox, "DELETE", &url, None).await.status, StatusCode::BAD_REQUEST);
    let got = send(
        &sandbox,
        "DELETE",
        &format!("{url}?api-version=2024-10-01&underlyingResourceAction=Detach"),
        None,
    )
    .await;
    assert_eq!(got.status, StatusCode::ACCEPTED);
    wait(120).await;
    assert_eq!(get(&sandbox, &url).await.status, StatusCode::NOT_FOUND);
}
