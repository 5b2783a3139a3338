//! One hostile server with every mode. Whatever it answers, the client ends soon, within its bounds,
//! and no credential reaches another host. The counts are printed.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::apply::Permit;
use crate::client::arm::{
    ApiError, ArmReader, ArmWriter, Cloud, OperationOutcome, RunId, TokenSource, Verdict, Write,
    wait,
};
use crate::client::kubernetes;
use crate::client::net::{NetworkOptions, Transport};
use crate::model::{ObjectRef, Trust};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use futures_util::stream;
use http::Method;

/// How the server behaves, by the first part of the path.
const MODES: [&str; 16] = [
    "endless",
    "drip",
    "circle",
    "fresh",
    "foreign-link",
    "redirect",
    "circle-redirect",
    "nan",
    "never",
    "ten-years",
    "zero",
    "not-json",
    "a-text",
    "foreign-status",
    "foreign-location",
    "closed",
];

#[derive(Clone)]
struct Hostile {
    /// Where it would like the token to go.
    other: SocketAddr,
    requests: Arc<AtomicUsize>,
}

async fn listen(router: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn answer(State(it): State<Hostile>, request: Request) -> Response {
    let number = it.requests.fetch_add(1, Ordering::SeqCst);
    let path = request.uri().path().to_owned();
    let host = request.headers()["host"].to_str().unwrap().to_owned();
    let mode = path.trim_start_matches('/').split('/').next().unwrap_or_default().to_owned();
    let other = format!("http://{}/steal", it.other);
    let new = || Response::builder().header("content-type", "application/json");
    let with = |status: u16, name: &str, value: &str| {
        new().status(status).header(name, value).body(Body::from("{}")).unwrap()
    };
    match mode.as_str() {
        "endless" => {
            let more =
                || async { Some((Ok::<_, Infallible>(Bytes::from(vec![b' '; 1 << 20])), ())) };
            new().body(Body::from_stream(stream::unfold((), move |()| more()))).unwrap()
        }
        "drip" => {
            let drop = || async {
                tokio::time::sleep(Duration::from_millis(100)).await;
                Some((Ok::<_, Infallible>(Bytes::from_static(b" ")), ()))
            };
            new().body(Body::from_stream(stream::unfold((), move |()| drop()))).unwrap()
        }
        "circle" => page(&format!("http://{host}/circle/a")),
        "fresh" => page(&format!("http://{host}/fresh/{number}")),
        "foreign-link" => page(&other),
        "redirect" => with(307, "location", &other),
        "circle-redirect" => with(302, "location", &format!("http://{host}/circle-redirect")),
        "nan" => with(429, "retry-after", "NaN"),
        "never" => with(429, "retry-after", "315360000"),
        "ten-years" => with(429, "retry-after", "Wed, 26 Nov 2036 00:00:00 GMT"),
        "zero" if number.is_multiple_of(5) => {
            with(200, "x-ms-retry-after-ms", "18446744073709551615")
        }
        "zero" => with(429, "x-ms-retry-after-ms", "0"),
        "not-json" => new().body(Body::from("<html>\u{1b}[31m")).unwrap(),
        "a-text" => new().body(Body::from("\"x\"")).unwrap(),
        "foreign-status" if *request.method() != Method::GET => {
            with(202, "azure-asyncoperation", &other)
        }
        "foreign-location" if *request.method() != Method::GET => with(202, "location", &other),
        "closed" => new().status(200).header("content-length", "10").body(Body::empty()).unwrap(),
        _ => new()
            .header("azure-asyncoperation", &other)
            .header("location", &other)
            .body(Body::from(r#"{"properties":{"provisioningState":"Succeeded"}}"#))
            .unwrap(),
    }
}

fn page(next: &str) -> Response {
    Response::new(Body::from(format!(r#"{{"value":[{{}}],"nextLink":"{next}"}}"#)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_server_gets_no_credential_and_no_time() {
    let stolen = Arc::new(AtomicUsize::new(0));
    let thief = {
        let stolen = Arc::clone(&stolen);
        Router::new().fallback(move || {
            stolen.fetch_add(1, Ordering::SeqCst);
            async { "{}" }
        })
    };
    let requests = Arc::new(AtomicUsize::new(1));
    let hostile = Hostile { other: listen(thief).await, requests: Arc::clone(&requests) };
    let address = listen(Router::new().fallback(answer).with_state(hostile)).await;

    let options = NetworkOptions {
        total_timeout: Duration::from_secs(2),
        read_timeout: Duration::from_secs(1),
        ..NetworkOptions::default()
    };
    let transport = Transport::network(&options).unwrap();
    let root = format!("http://{address}");
    let origin = Trust::default().origin(&root).unwrap();
    let cloud = Cloud::custom("Hostile", origin.clone(), origin, &root);
    let each = MODES.map(|mode| meet(mode, transport.clone(), cloud.clone()));
    futures_util::future::join_all(each).await;
    let (requests, stolen) = (requests.load(Ordering::SeqCst), stolen.load(Ordering::SeqCst));
    println!("hostile: {} modes, {requests} requests, {stolen} to the other host", MODES.len());
    assert_eq!(stolen, 0, "requests reached the other host");

    // A metadata document may not name a login host over plain http elsewhere.
    let document =
        r#"{"authentication":{"loginEndpoint":"http://login.example.net","audiences":["x"]}}"#;
    let metadata = Transport::InProcess(Router::new().fallback(move || async move { document }));
    let local = Trust::default().origin("http://localhost").unwrap();
    let refused = Cloud::discover(&metadata, &local, &Trust::default()).await.unwrap_err();
    assert!(refused.has_code(&["bad-url"]), "{refused}");
}

/// Reads, lists and writes against one mode. What comes in the end differs; that it comes, and soon, does not.
async fn meet(mode: &'static str, transport: Transport, cloud: Cloud) {
    let token = TokenSource::fixed("canary");
    let reader = ArmReader::new(transport, cloud, token, RunId::new());
    let asked = async {
        let read = reader.get(&format!("/{mode}"), "1").await.map(|_| ());
        let listed = reader.list(&format!("/{mode}"), "1").await.map(|_| ());
        let written = write(&ArmWriter::new(reader.clone(), Permit::in_tests(), 10), mode).await;
        (read, listed, written)
    };
    let patience = Duration::from_secs(10);
    let Ok((read, listed, written)) = tokio::time::timeout(patience, asked).await else {
        // A broken read is repeated for minutes: the limit of a request has been seen then.
        assert!(["drip", "closed", "zero", "nan"].contains(&mode), "{mode} never ends");
        return;
    };
    let code = |it: &Result<(), ApiError>| it.as_ref().err().and_then(|it| it.code.clone());
    let status = |it: &Result<(), ApiError>| it.as_ref().err().and_then(|it| it.status);
    let shown = format!("{read:?} {listed:?} {written:?}");
    assert!(!shown.contains("canary"), "{shown}");
    match mode {
        "endless" => assert!(shown.contains("longer than 32 MiB"), "{shown}"),
        "circle" | "fresh" => assert_eq!(code(&listed).as_deref(), Some("EndlessList")),
        "foreign-link" => assert_eq!(code(&listed).as_deref(), Some("ForeignNextLink")),
        "redirect" | "circle-redirect" => assert!(status(&read).is_some_and(|it| it >= 300)),
        // An hour is the most that a server can ask for, and 429 for longer is given up.
        "never" | "ten-years" => assert_eq!(status(&read), Some(429)),
        "not-json" | "a-text" => {
            assert_eq!(code(&read).as_deref(), Some("UnreadableAnswer"));
            assert_eq!(code(&listed).as_deref(), Some("UnreadableAnswer"));
        }
        "foreign-status" | "foreign-location" => assert!(written.is_ok(), "{written:?}"),
        _ => {}
    }
}

async fn write(writer: &ArmWriter, mode: &str) -> Result<(), ApiError> {
    let request = Write {
        method: Method::PUT,
        id: format!("/{mode}"),
        api_version: "1".into(),
        query: None,
        body: Some(serde_json::json!({})),
        action: None,
        lock: None,
    };
    let started = writer.send(&request).await?;
    let Some(operation) = started.operation else { return Ok(()) };
    match wait(writer.reader(), operation, Duration::from_secs(5), &mut |_, _| {}).await? {
        OperationOutcome::Failed(error) => Err(error),
        OperationOutcome::Succeeded(_) | OperationOutcome::Deadline { .. } => Ok(()),
    }
}

/// Refused, unknown, not trusted: said within ten seconds, by every read of a cluster together.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_out_of_reach_is_told_within_ten_seconds() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let refused = listener.local_addr().unwrap();
    drop(listener);
    let refused = format!("https://{refused}");
    futures_util::future::join(
        out_of_reach(&refused, "refused"),
        out_of_reach("https://no-such-host.invalid:6443", "not known"),
    )
    .await;
}

async fn out_of_reach(server: &str, said: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kubeconfig");
    let text = format!(
        "{{apiVersion: v1, kind: Config, current-context: a, clusters: [{{name: c, cluster: {{server: '{server}'}}}}], \
         users: [{{name: u, user: {{token: canary}}}}], contexts: [{{name: a, context: {{cluster: c, user: u}}}}]}}"
    );
    std::fs::write(&path, text).unwrap();
    let kubeconfig = kubernetes::KubeconfigFrom::File(path);
    let options = kubernetes::ConnectOptions { kubeconfig, ..Default::default() };
    let reader = kubernetes::KubeReader::connect(&options).await.unwrap();
    let start = Instant::now();
    let object = ObjectRef::cluster("v1", "Namespace", "namespaces", "x");
    let reads = (0..10).map(|_| reader.get(&object));
    for error in futures_util::future::join_all(reads).await {
        let error = error.unwrap_err();
        assert_eq!(error.verdict(), Verdict::Unreachable, "{error}");
        assert!(error.to_string().contains(said) && error.help().is_some(), "{error}");
    }
    assert!(start.elapsed() < Duration::from_secs(10), "{server}: {:?}", start.elapsed());
}
