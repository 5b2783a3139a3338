//! More stories: what is common to all of ARM, sign-in, inventories, authorization, and the state file.

use axum::body::Body;
use http::{Request, StatusCode};
use serde_json::{Value as Json, json};
use tower::ServiceExt;

use crate::tests::{Got, RG, S, aks, arc, get, install, of, registered, seeded, send, set, wait};
use crate::{Deed, FAULT_HEADER, Sandbox, SandboxError, Seed, StateAccess, Subject};

fn code(got: &Got) -> (u16, &str) {
    (got.status.as_u16(), got.body["error"]["code"].as_str().unwrap_or_default())
}

#[tokio::test(start_paused = true)]
async fn arm_checks_in_its_order_and_names_what_is_wrong() {
    let sandbox = seeded("");
    let other = "/subscriptions/99999999-2222-3333-4444-555555555555";
    for (method, url, expected) in [
        (
            "GET",
            format!("{other}/resourceGroups/x?api-version=2021-04-01"),
            (404, "SubscriptionNotFound"),
        ),
        (
            "GET",
            "/subscriptions/nonsense?api-version=2021-04-01".to_owned(),
            (400, "InvalidSubscriptionId"),
        ),
        ("GET", format!("{RG}?x=1"), (400, "MissingApiVersionParameter")),
        ("GET", format!("{RG}?api-version=today"), (400, "InvalidApiVersionParameter")),
        ("GET", format!("{RG}?api-Version=2099-01-01-preview"), (200, "")),
        (
            "GET",
            format!("{S}/resourcegroups/none/providers/Microsoft.Relay/namespaces/n"),
            (404, "ResourceGroupNotFound"),
        ),
        (
            "GET",
            format!("{RG}/providers/Microsoft.Nothing/things/t"),
            (404, "InvalidResourceNamespace"),
        ),
        ("PUT", format!("{RG}/providers/Microsoft.Storage/things/t"), (404, "InvalidResourceType")),
        (
            "PUT",
            format!("{RG}/providers/Microsoft.Storage/storageAccounts/t"),
            (409, "MissingSubscriptionRegistration"),
        ),
        (
            "GET",
            format!("{RG}/providers/Microsoft.Storage/storageAccounts/t"),
            (404, "ResourceNotFound"),
        ),
        ("GET", format!("//{}", &arc()[1..].to_ascii_uppercase()), (200, "")),
        ("GET", format!("{S}/providers/Microsoft.Nothing"), (404, "InvalidResourceNamespace")),
        ("GET", format!("{S}/resourcegroups"), (200, "")),
    ] {
        let got = send(&sandbox, method, &url, None).await;
        assert_eq!(code(&got), expected, "{method} {url}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_identity_takes_twenty_credentials_of_different_subjects() {
    let sandbox = seeded("");
    let identity = format!("{RG}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/i");
    registered(&sandbox, "Microsoft.ManagedIdentity").await;
    send(&sandbox, "PUT", &identity, Some(json!({"location": "westeurope"}))).await;
    let put = async |name: &str, subject: &str| {
        let properties = json!({"issuer": "https://oidc.example.com/", "subject": subject,
            "audiences": ["api://AzureADTokenExchange"]});
        let url = format!("{identity}/federatedIdentityCredentials/{name}");
        send(&sandbox, "PUT", &url, Some(json!({"properties": properties}))).await
    };
    assert_eq!(code(&put("first", "a").await), (201, ""));
    assert_eq!(code(&put("first", "b").await), (200, ""));
    assert_eq!(code(&put("second", "b").await), (409, "Conflict"));
    assert_eq!(code(&put("no", "c").await), (400, "BadRequest"));
    assert_eq!(code(&put("empty", "").await), (400, "BadRequest"));
    for number in 1..20 {
        assert_eq!(code(&put(&format!("more-{number}"), &number.to_string()).await), (201, ""));
    }
    let got = put("too-many", "z").await;
    assert!(
        got.status == 400 && got.body["error"]["message"].to_string().contains("20"),
        "{}",
        got.body
    );
}

#[tokio::test(start_paused = true)]
async fn buckets_count_down_and_an_empty_one_answers_429() {
    let sandbox = seeded("");
    let first = get(&sandbox, RG).await;
    assert_eq!(first.header("x-ms-ratelimit-remaining-subscription-reads"), "1099");
    for _ in 0..1099 {
        get(&sandbox, RG).await;
    }
    let empty = get(&sandbox, RG).await;
    assert_eq!(code(&empty), (429, "TooManyRequests"));
    wait(empty.header("retry-after").parse().expect("seconds")).await;
    assert_eq!(get(&sandbox, RG).await.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_lock_on_the_group_stops_deletes_below_it() {
    let sandbox = seeded("");
    let lock = format!("{RG}/providers/Microsoft.Authorization/locks/keep");
    let got =
        send(&sandbox, "PUT", &lock, Some(json!({"properties": {"level": "CanNotDelete"}}))).await;
    assert_eq!(got.status, StatusCode::CREATED);
    assert_eq!(code(&send(&sandbox, "DELETE", &arc(), None).await), (409, "ScopeLocked"));
    let listed = get(&sandbox, &format!("{}/providers/Microsoft.Authorization/locks", arc())).await;
    assert_eq!(listed.body["value"][0]["name"], "keep");
    assert_eq!(send(&sandbox, "DELETE", &lock, None).await.status, StatusCode::OK);
    assert_eq!(send(&sandbox, "DELETE", &arc(), None).await.status, StatusCode::ACCEPTED);
}

#[tokio::test(start_paused = true)]
async fn resource_graph_pages_and_spells_extensions_its_own_way() {
    let sandbox = seeded("");
    install(&sandbox, json!({"enableTraining": "true"})).await;
    let ask = async |query: &str, options: Json| {
        let body = json!({"subscriptions": [S.trim_start_matches("/subscriptions/")], "query": query, "options": options});
        send(
            &sandbox,
            "POST",
            "/providers/Microsoft.ResourceGraph/resources?api-version=2021-03-01",
            Some(body),
        )
        .await
    };
    let got = ask("kubernetesconfigurationresources | where properties.ExtensionType =~ 'microsoft.azureml.kubernetes'", json!({})).await;
    assert_eq!(
        (&got.body["count"], &got.body["data"][0]["type"]),
        (&json!(1), &json!("microsoft.kubernetesconfiguration/extensions"))
    );
    assert!(got.body["data"][0]["id"].as_str().is_some_and(|id| id.contains("/Extensions/")));
    let page = ask("resources | project id", json!({"$top": 2})).await;
    assert_eq!((&page.body["count"], &page.body["totalRecords"]), (&json!(2), &json!(3)));
    let rest =
        ask("resources | project id", json!({"$top": 2, "$skipToken": page.body["$skipToken"]}))
            .await;
    assert_eq!((&rest.body["count"], rest.body.get("$skipToken")), (&json!(1), None));
    assert_eq!(ask("nothing | project id", json!({})).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test(start_paused = true)]
async fn software_that_is_already_there_makes_the_installation_fail() {
    for (installed, settings, text) in [
        ("prometheus-operator", json!({"enableTraining": "true"}), "pod healthcheck failed"),
        ("volcano", json!({"enableTraining": "true"}), "invalid ownership metadata"),
        (
            "nvidia-device-plugin",
            json!({"enableTraining": "true", "installNvidiaDevicePlugin": "true"}),
            "nvidia-device-plugin",
        ),
        (
            "azureml-fe-v1",
            json!({"enableInference": "true", "allowInsecureConnections": "true"}),
            "pod healthcheck failed",
        ),
    ] {
        let sandbox = seeded(&format!("clusters: [{{name: edge, installed: [{installed}]}}]"));
        let got = install(&sandbox, settings).await;
        let message = got.body["properties"]["statuses"][0]["message"].as_str().unwrap_or_default();
        assert!(message.contains(text), "{installed}: {}", got.body);
    }
    let sandbox = seeded("clusters: [{name: edge, installed: [prometheus-operator, volcano]}]");
    let settings =
        json!({"enableTraining": "true", "installPromOp": "false", "installVolcano": "false"});
    assert_eq!(
        install(&sandbox, settings).await.body["properties"]["provisioningState"],
        "Succeeded"
    );
}

#[tokio::test(start_paused = true)]
async fn the_router_service_has_the_type_and_the_certificate_that_were_asked_for() {
    let sandbox = seeded("");
    let settings = json!({"enableInference": "true", "inferenceRouterServiceType": "LoadBalancer", "sslCname": "ml.example.com"});
    let got = install(&sandbox, settings).await;
    assert_eq!(got.body["properties"]["provisioningState"], "Failed", "no certificate was given");
    let sandbox = seeded("");
    install(&sandbox, json!({"enableInference": "true", "inferenceRouterServiceType": "nodePort", "allowInsecureConnections": "True"})).await;
    let world = sandbox.show();
    let objects = world["kubernetes"]["edge"].as_array().cloned().unwrap_or_default();
    let fe = objects
        .iter()
        .find(|o| o["kind"] == "Service" && o["metadata"]["name"] == "azureml-fe")
        .cloned()
        .unwrap_or_default();
    assert_eq!(fe["spec"]["type"], "NodePort");
    let router = objects
        .iter()
        .find(|o| o["kind"] == "Deployment" && o["metadata"]["name"] == "azureml-fe-v2")
        .cloned()
        .unwrap_or_default();
    assert_eq!(router["status"]["readyReplicas"], 3);
}

#[tokio::test(start_paused = true)]
async fn faults_come_as_ordered_and_a_dropped_connection_is_marked() {
    let sandbox = seeded("faults: {seed: 3, dropConnection: 1.0}");
    let got = get(&sandbox, RG).await;
    assert_eq!((got.status.as_u16(), got.header(FAULT_HEADER)), (599, "connection-dropped"));
    let sandbox = seeded("faults: {seed: 3, throttle: 1.0}");
    assert_eq!(code(&get(&sandbox, RG).await), (429, "TooManyRequests"));
    let sandbox = seeded("faults: {seed: 3, failOperation: 1.0}");
    assert_eq!(
        install(&sandbox, json!({"enableTraining": "true"})).await.body["properties"]["provisioningState"],
        "Failed"
    );
}

fn delete(sandbox: &Sandbox, place: Subject) -> Result<Json, SandboxError> {
    sandbox.perform(&Deed::Delete { place })
}

#[tokio::test(start_paused = true)]
async fn a_world_goes_on_where_it_was_saved_and_keeps_what_was_deleted_deleted() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("deep/state.json");
    let subscription = S.trim_start_matches("/subscriptions/").to_owned();
    let seed = Seed {
        resource_groups: vec![(subscription, "ml-rg".to_owned(), "westeurope".to_owned())],
        ..Seed::default()
    };
    let sandbox = Sandbox::open(Some(&path), None, StateAccess::Write).expect("opens");
    sandbox.seed(&seed);
    let feature =
        format!("{S}/providers/Microsoft.Features/providers/Microsoft.ContainerService/features/F");
    send(&sandbox, "POST", &format!("{feature}/register"), None).await;
    wait(200).await;
    delete(&sandbox, Subject::Arm(RG.to_owned())).expect("deleted");
    sandbox.save().expect("saved");
    drop(sandbox);
    let sandbox = Sandbox::open(Some(&path), None, StateAccess::Write).expect("opens again");
    sandbox.seed(&seed);
    assert_eq!(get(&sandbox, RG).await.status, StatusCode::NOT_FOUND);
    assert_eq!(get(&sandbox, &feature).await.body["properties"]["state"], "Registering");
    wait(60).await;
    assert_eq!(get(&sandbox, &feature).await.body["properties"]["state"], "Registered");
    drop(sandbox);
    std::fs::write(&path, "{").expect("written");
    assert!(matches!(
        Sandbox::open(Some(&path), None, StateAccess::Write),
        Err(SandboxError::Corrupt { .. })
    ));
    assert_eq!(std::fs::read_to_string(&path).ok().as_deref(), Some("{"));
}

#[tokio::test(start_paused = true)]
async fn what_a_colleague_changes_by_hand_is_what_clients_see() {
    let sandbox = seeded("");
    let provider = format!("{S}/providers/Microsoft.Relay");
    set(&sandbox, Subject::Arm(provider.clone()), "/registrationState", json!("Registered"))
        .expect("set");
    assert_eq!(get(&sandbox, &provider).await.body["registrationState"], "Registered");
    set(&sandbox, Subject::Arm(arc()), "/tags/owner/team", json!("x")).expect("set");
    assert_eq!(get(&sandbox, &arc()).await.body["tags"]["owner"]["team"], "x");
    assert!(matches!(
        set(&sandbox, Subject::Arm("/subscriptions/none".to_owned()), "/x", json!(1)),
        Err(SandboxError::UnknownResource { .. })
    ));
    delete(&sandbox, of(&aks(), "/api/v1/nodes/node-3")).expect("deleted");
    assert!(matches!(
        delete(&sandbox, of(&aks(), "no/node-3")),
        Err(SandboxError::UnknownObject { .. })
    ));
    assert_eq!(get(&sandbox, &aks()).await.body["properties"]["powerState"]["code"], "Running");
}

#[tokio::test(start_paused = true)]
async fn what_is_deleted_in_the_middle_of_an_operation_can_be_made_again() {
    let sandbox = seeded("");
    let url = format!("{}/providers/Microsoft.KubernetesConfiguration/extensions/ext", arc());
    send(
        &sandbox,
        "POST",
        &format!("{S}/providers/Microsoft.KubernetesConfiguration/register"),
        None,
    )
    .await;
    wait(200).await;
    let body = json!({"properties": {"extensionType": "microsoft.azureml.kubernetes", "configurationSettings": {"enableTraining": "true"}}});
    let first = send(&sandbox, "PUT", &url, Some(body.clone())).await;
    delete(&sandbox, Subject::Arm(url.clone())).expect("deleted");
    let operation = get(&sandbox, first.header("azure-asyncoperation")).await;
    assert_eq!(operation.body["status"], "Failed");
    assert_eq!(send(&sandbox, "PUT", &url, Some(body)).await.status, StatusCode::CREATED);
    wait(600).await;
    assert_eq!(get(&sandbox, &url).await.body["properties"]["provisioningState"], "Succeeded");
}

#[tokio::test(start_paused = true)]
async fn a_failed_update_returns_to_the_last_revision() {
    let sandbox = seeded("");
    install(&sandbox, json!({"enableTraining": "true"})).await;
    let url = format!("{}/providers/Microsoft.KubernetesConfiguration/extensions/ext", arc());
    let change = json!({"properties": {"configurationSettings": {"enableInference": "true"}}});
    send(&sandbox, "PATCH", &url, Some(change)).await;
    wait(400).await;
    let got = get(&sandbox, &url).await;
    assert_eq!(got.body["properties"]["statuses"][0]["code"], "UpdateFailed");
    assert_eq!(got.body["properties"]["currentVersion"], "1.1.106");
    let cluster = sandbox.show()["kubernetes"]["edge"].to_string();
    assert!(
        cluster.contains("aml-operator")
            && cluster.contains("reports-pre-rollback")
            && !cluster.contains("azureml-fe-v2")
    );
}

#[test]
fn a_world_file_with_a_mistake_is_refused_with_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("w.yaml");
    for (text, part) in [
        ("clusters: [{name: a, colour: red}]", "colour"),
        ("faults: {throttle: 2}", "between 0 and 1"),
        ("clusters: [{name: a, installed: [istio]}]", "istio"),
    ] {
        std::fs::write(&path, text).expect("written");
        let problem =
            Sandbox::open(None, Some(&path), StateAccess::Write).expect_err("refused").to_string();
        assert!(problem.contains(part), "{text}: {problem}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_post_without_a_length_is_refused_by_the_front_end() {
    let sandbox = seeded("");
    let url = format!(
        "https://management.azure.com{S}/providers/Microsoft.Relay/register?api-version=2021-04-01"
    );
    for (length, status) in [(None, 411), (Some("0"), 200)] {
        let mut request = Request::post(&url).header("authorization", "Bearer x");
        if let Some(length) = length {
            request = request.header("content-length", length);
        }
        let request = request.body(Body::empty()).expect("a request");
        let answer = sandbox.router().oneshot(request).await.expect("the router answers");
        assert_eq!(answer.status().as_u16(), status, "{length:?}");
    }
}
