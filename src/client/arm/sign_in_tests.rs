//! How a way to sign in is chosen, and that tokens are fetched, kept and renewed.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;

use super::*;
use crate::client::arm::{ArmReader, RunId, Verdict};
use crate::client::net::clock;
use crate::model::Trust;

const TENANT: &str = "22222222-2222-2222-2222-222222222222";

fn choose(auth: Auth, set: &[(&str, &str)]) -> Result<String, AuthError> {
    let set: BTreeMap<_, _> = set.iter().copied().collect();
    let env = |name: &str| set.get(name).map(ToString::to_string);
    let cloud = Cloud::named("AzureCloud").unwrap();
    let transport = Transport::InProcess(Router::new());
    TokenSource::choose(auth, &env, None, &cloud, &transport).map(|(_, line)| line)
}

#[test]
fn the_environment_chooses_and_one_line_says_why() {
    let ids = [("AZURE_CLIENT_ID", "c"), ("AZURE_TENANT_ID", TENANT)];
    let arm = [("ARM_CLIENT_ID", "c"), ("ARM_TENANT_ID", TENANT)];
    let with = |more: &[(&'static str, &'static str)], ids: &[(&'static str, &'static str)]| {
        choose(Auth::Auto, &[ids, more].concat()).unwrap()
    };
    let github = [
        ("ACTIONS_ID_TOKEN_REQUEST_URL", "https://g/?a=b"),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "t"),
    ];
    let pipelines = [
        ("SYSTEM_OIDCREQUESTURI", "https://p/"),
        ("SYSTEM_ACCESSTOKEN", "t"),
        ("AZURESUBSCRIPTION_SERVICE_CONNECTION_ID", "s"),
    ];
    let cases = [
        (
            with(&[("AZURE_CLIENT_SECRET", "canary")], &ids),
            "a client secret (AZURE_CLIENT_ID, AZURE_CLIENT_SECRET",
        ),
        (
            with(&[("ARM_CLIENT_SECRET", "canary")], &arm),
            "a client secret (ARM_CLIENT_ID, ARM_CLIENT_SECRET",
        ),
        (
            with(&[("AZURE_CLIENT_CERTIFICATE_PATH", "/c.pem")], &ids),
            "a certificate (AZURE_CLIENT_ID, AZURE_CLIENT_CERTIFICATE_PATH, tenant",
        ),
        (with(&[("AZURE_FEDERATED_TOKEN_FILE", "/t")], &ids), "workload identity"),
        (with(&github, &ids), "a client assertion of GitHub Actions"),
        (with(&pipelines, &ids), "a client assertion of Azure Pipelines"),
        (with(&[("ARM_OIDC_TOKEN", "canary")], &arm), "a client assertion of ARM_OIDC_TOKEN"),
        (with(&[("ARM_USE_MSI", "true")], &[]), "managed identity of the machine (ARM_USE_MSI)"),
    ];
    for (line, part) in cases {
        assert!(line.starts_with(&format!("signing in with {part}")), "{line}");
        assert!(!line.contains("canary"));
    }
}

#[test]
fn when_nothing_fits_everything_that_was_tried_is_listed() {
    let error =
        choose(Auth::Auto, &[("AZURE_CLIENT_SECRET", "canary"), ("PATH", "/no/such")]).unwrap_err();
    let names: Vec<_> = error.tried.iter().map(|tried| tried.auth).collect();
    assert_eq!(names, ["secret", "workload", "assertion", "managed", "cli"]);
    let shown = error.to_string();
    assert!(
        shown.contains("secret: AZURE_CLIENT_ID or ARM_CLIENT_ID")
            && shown.contains("no `az` in PATH"),
        "{shown}"
    );
    assert!(!shown.contains("canary"));
    let one = choose(Auth::Workload, &[]).unwrap_err();
    assert_eq!(one.tried.len(), 1);
    let github = choose(Auth::Assertion, &[("GITHUB_ACTIONS", "true")]).unwrap_err();
    assert!(github.to_string().contains("id-token: write"));
}

/// A login service and a resource manager in one, which refuse the tokens named.
#[derive(Default)]
struct LoginService {
    issued: u32,
    life: u64,
    refused: Vec<String>,
    asked: Vec<String>,
}

fn service(state: &Arc<Mutex<LoginService>>) -> Transport {
    let state = Arc::clone(state);
    Transport::InProcess(Router::new().fallback(move |request: Request| {
        let state = Arc::clone(&state);
        async move {
            let (head, body) = request.into_parts();
            let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
            // Time passes, so that others come while a token is fetched.
            clock::sleep(Duration::from_millis(100)).await;
            let mut state = state.lock().unwrap();
            let path = head.uri.path().to_owned();
            let (status, json) = if path.ends_with("/oauth2/v2.0/token") {
                state.issued += 1;
                state.asked.push(format!("{path} {}", String::from_utf8_lossy(&body)));
                let token = format!("token-{}", state.issued);
                (200, serde_json::json!({"token_type": "Bearer", "expires_in": state.life, "access_token": token}))
            } else if path == "/github" {
                assert_eq!(head.headers["authorization"], "Bearer ask");
                assert!(head.uri.query().unwrap().ends_with("&audience=api%3A%2F%2FAzureADTokenExchange"));
                (200, serde_json::json!({"value": "github-token"}))
            } else {
                let sent = head.headers["authorization"].to_str().unwrap().to_owned();
                let status = if state.refused.contains(&sent) { 401 } else { 200 };
                (status, serde_json::json!({"sent": sent}))
            };
            Response::builder().status(status).body(Body::from(json.to_string())).unwrap()
        }
    }))
}

fn reader(state: &Arc<Mutex<LoginService>>, set: &[(&str, &str)]) -> ArmReader {
    let set: BTreeMap<_, _> = set.iter().copied().collect();
    let env = |name: &str| set.get(name).map(ToString::to_string);
    let root = "http://127.0.0.1:4443";
    let root = Trust::default().origin(root).unwrap();
    let cloud = Cloud::custom("Sandbox", root.clone(), root, "https://management.azure.com");
    let transport = service(state);
    let chosen = TokenSource::choose(Auth::Auto, &env, Some(TENANT), &cloud, &transport).unwrap();
    ArmReader::new(transport, cloud, chosen.0, RunId::new())
}

const SECRET: [(&str, &str); 2] = [("AZURE_CLIENT_ID", "c"), ("AZURE_CLIENT_SECRET", "canary")];

async fn sent(reader: &ArmReader) -> String {
    let answer = reader.get("/subscriptions/s", "2022-12-01").await.unwrap().unwrap();
    answer["sent"].as_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn one_token_serves_many_requests_and_is_renewed_before_it_ends() {
    let state = Arc::new(Mutex::new(LoginService { life: 3600, ..LoginService::default() }));
    let reader = reader(&state, &SECRET);
    let many = futures_util::future::join_all((0..20).map(|_| sent(&reader))).await;
    assert!(many.iter().all(|text| text == "Bearer token-1"));
    assert_eq!(state.lock().unwrap().issued, 1);
    assert!(
        state.lock().unwrap().asked[0]
            .starts_with(&format!("/{TENANT}/oauth2/v2.0/token client_id=c"))
    );
    assert!(
        state.lock().unwrap().asked[0]
            .contains("scope=https%3A%2F%2Fmanagement.azure.com%2F.default")
    );
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_renewed_once() {
    let refused = vec!["Bearer token-1".to_owned()];
    let state =
        Arc::new(Mutex::new(LoginService { life: 3600, refused, ..LoginService::default() }));
    let reader = reader(&state, &SECRET);
    let many = futures_util::future::join_all((0..10).map(|_| sent(&reader))).await;
    assert!(many.iter().all(|text| text == "Bearer token-2"), "{many:?}");
    assert_eq!(state.lock().unwrap().issued, 2);
    state.lock().unwrap().refused.extend(["Bearer token-2".into(), "Bearer token-3".into()]);
    let error = reader.get("/x", "1").await.unwrap_err();
    assert_eq!(error.verdict(), Verdict::Denied);
    assert_eq!(state.lock().unwrap().issued, 3);
}

#[tokio::test(start_paused = true)]
async fn a_token_of_github_is_exchanged_for_one_of_azure() {
    let state = Arc::new(Mutex::new(LoginService { life: 3600, ..LoginService::default() }));
    let url = "http://127.0.0.1:4443/github?run=1";
    let set = [
        ("AZURE_CLIENT_ID", "c"),
        ("ACTIONS_ID_TOKEN_REQUEST_URL", url),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "ask"),
    ];
    assert_eq!(sent(&reader(&state, &set)).await, "Bearer token-1");
    assert!(state.lock().unwrap().asked[0].contains("client_assertion=github-token"));
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_that_fails_says_why_and_what_to_do() {
    let router = Router::new().fallback(|| async {
        let body = r#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided."}"#;
        Response::builder().status(401).body(Body::from(body)).unwrap()
    });
    let transport = Transport::InProcess(router);
    let cloud = Cloud::named("AzureCloud").unwrap();
    let set: BTreeMap<_, _> = SECRET.into_iter().collect();
    let env = |name: &str| set.get(name).map(ToString::to_string);
    let chosen = TokenSource::choose(Auth::Auto, &env, Some(TENANT), &cloud, &transport).unwrap();
    let reader = ArmReader::new(transport, cloud, chosen.0, RunId::new());
    let error = reader.get("/x", "1").await.unwrap_err();
    assert_eq!(error.verdict(), Verdict::Denied);
    assert!(error.to_string().contains("use its value, not its id"), "{error}");
    assert!(!format!("{error:?} {reader:?}").contains("canary"));
}

#[test]
fn an_identity_of_the_machine_has_the_cli_behind_it_when_nobody_asked_for_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("az"), "").unwrap();
    let set =
        [("IDENTITY_ENDPOINT", "http://127.0.0.1:1/"), ("PATH", folder.path().to_str().unwrap())];
    let line = choose(Auth::Auto, &set).unwrap();
    assert!(
        line.ends_with("(IDENTITY_ENDPOINT); if it gives no token, with the Azure CLI"),
        "{line}"
    );
    assert!(!choose(Auth::Managed, &set).unwrap().contains("CLI"));
}

#[tokio::test(start_paused = true)]
async fn a_certificate_signs_its_assertion() {
    let folder = tempfile::tempdir().unwrap();
    let tls = concat!(env!("CARGO_MANIFEST_DIR"), "/manifests/tls/ml.example.com");
    let read = |end: &str| std::fs::read_to_string(format!("{tls}.{end}")).unwrap();
    let file = folder.path().join("app.pem");
    std::fs::write(&file, read("crt") + &read("key")).unwrap();
    let state = Arc::new(Mutex::new(LoginService { life: 3600, ..LoginService::default() }));
    let set = [("AZURE_CLIENT_ID", "c"), ("AZURE_CLIENT_CERTIFICATE_PATH", file.to_str().unwrap())];
    assert_eq!(sent(&reader(&state, &set)).await, "Bearer token-1");
    let asked = state.lock().unwrap().asked[0].clone();
    let (_, assertion) = asked.split_once("client_assertion=").unwrap();
    let parts: Vec<&str> = assertion.split('&').next().unwrap().split('.').collect();
    assert_eq!(parts.len(), 3);
    let open = |text: &str| {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).unwrap()
    };
    let head: serde_json::Value = serde_json::from_slice(&open(parts[0])).unwrap();
    let body: serde_json::Value = serde_json::from_slice(&open(parts[1])).unwrap();
    assert_eq!(head["alg"], "PS256");
    assert_eq!((&body["iss"], &body["sub"]), (&"c".into(), &"c".into()));
    let endpoint = format!("http://127.0.0.1:4443/{TENANT}/oauth2/v2.0/token");
    assert_eq!(body["aud"], endpoint);
}
