//! One secret is given through every door of the two clients, over real sockets, with every log
//! at TRACE. It must reach the service and show nowhere else.

use std::fmt::{Debug, Display, Write as _};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::apply::Permit;
use crate::client::arm::{
    ArmReader, ArmWriter, Auth, Cloud, OperationOutcome, RunId, TokenSource, Write, wait,
};
use crate::client::kubernetes;
use crate::client::net::{NetworkOptions, Transport};
use crate::model::ObjectRef;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use serde_json::{Value, json};

const CANARY: &str = "canary-5f2b7e";
const TENANT: &str = "22222222-2222-2222-2222-222222222222";
const ID: &str = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Kubernetes/connectedClusters/c/providers/Microsoft.KubernetesConfiguration/extensions/e";

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A service that repeats whatever it is told, and counts how often the secret came.
async fn serve(seen: Arc<Mutex<Vec<String>>>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let root = format!("http://{}", listener.local_addr().unwrap());
    let own = root.clone();
    let router = Router::new().fallback(move |request: Request| {
        let (seen, root) = (Arc::clone(&seen), own.clone());
        async move {
            let (head, body) = request.into_parts();
            let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
            let body = String::from_utf8_lossy(&body).into_owned();
            let token = head.headers.get("authorization").and_then(|it| it.to_str().ok());
            let heard =
                format!("{} {} {} {body}", head.method, head.uri, token.unwrap_or_default());
            seen.lock().unwrap().push(heard);
            reply(&root, head.uri.path(), &body)
        }
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    root
}

fn reply(root: &str, path: &str, body: &str) -> Response {
    let repeat =
        format!("Endpoint=sb://x/;SharedAccessKey={CANARY};EntityPath=y was refused: {body}");
    let error = json!({"error": {"code": "BadRequest", "message": repeat, "details": [{"message": repeat}]}});
    let (status, json): (u16, Value) = match path {
        _ if path.ends_with("/token") => {
            (200, json!({"token_type": "Bearer", "expires_in": 3600, "access_token": CANARY}))
        }
        _ if path.ends_with("/listKeys") => (200, json!({"primaryKey": CANARY})),
        _ if path.ends_with("/fails") => (400, error),
        "/operation" => (200, json!({"status": "Failed", "error": error["error"]})),
        _ if path.starts_with("/kube") => (
            422,
            json!({"kind": "Status", "reason": "Invalid", "message": format!("Bearer {CANARY} is odd")}),
        ),
        _ => (201, json!({"properties": {"provisioningState": "Creating"}})),
    };
    let mut builder = Response::builder().status(status);
    if status == 201 {
        let address = format!("{root}/operation?api-version=1&s={CANARY}");
        builder =
            builder.header("azure-asyncoperation", address).header("x-ms-retry-after-ms", "10");
    }
    builder.body(Body::from(json.to_string())).unwrap()
}

fn note(shown: &mut String, it: &(impl Debug + Display)) {
    write!(shown, "{it}\n{it:?}\n{it:#?}\n").unwrap();
}

fn write(id: String) -> Write {
    let secrets = json!({"relayServerConnectionString": CANARY});
    let body = json!({"properties": {"configurationProtectedSettings": secrets}});
    Write {
        method: http::Method::PUT,
        id,
        api_version: "2023-05-01".into(),
        query: None,
        body: Some(body),
        action: None,
        lock: None,
    }
}

async fn azure(root: &str, shown: &mut String) {
    let transport = Transport::network(&NetworkOptions::default()).unwrap();
    let origin = crate::model::Trust::default().origin(root).unwrap();
    let cloud = Cloud::custom("Sandbox", origin.clone(), origin, root);
    let env = |name: &str| match name {
        "AZURE_CLIENT_ID" => Some("client".to_owned()),
        "AZURE_CLIENT_SECRET" => Some(CANARY.to_owned()),
        _ => None,
    };
    let (token, line) =
        TokenSource::choose(Auth::Auto, &env, Some(TENANT), &cloud, &transport).unwrap();
    writeln!(shown, "{line} {token:?} {transport:?}").unwrap();
    let reader = ArmReader::new(transport, cloud, token, RunId::new());
    let keys = reader.call(ID, "listKeys", "1").await.unwrap();
    assert_eq!(keys["primaryKey"], CANARY);
    note(shown, &reader.call(ID, "fails", "1").await.unwrap_err());
    let writer = ArmWriter::new(reader.clone(), Permit::in_tests(), 10);
    note(shown, &writer.send(&write(format!("{ID}/fails"))).await.unwrap_err());
    let put = write(ID.into());
    let started = writer.send(&put).await.unwrap();
    writeln!(shown, "{put:?} {started:?} {writer:?} {reader:?}").unwrap();
    let operation = started.operation.unwrap();
    let mut progress = |word: &str, waited: Duration| writeln!(shown, "{word} {waited:?}").unwrap();
    match wait(&reader, operation, Duration::from_secs(60), &mut progress).await.unwrap() {
        OperationOutcome::Failed(error) => note(shown, &error),
        other => panic!("{other:?}"),
    }
}

async fn kubernetes(root: &str, shown: &mut String) {
    let transport = Transport::network(&NetworkOptions::default()).unwrap();
    let reader = kubernetes::KubeReader::over(transport, &format!("{root}/kube/c"), CANARY);
    let writer = kubernetes::KubeWriter::new(reader.clone(), Permit::in_tests());
    let namespace = ObjectRef::cluster("v1", "Namespace", "namespaces", "n");
    let error = writer.apply(&namespace, &json!({"data": CANARY}), false).await.unwrap_err();
    note(shown, &error);
    writeln!(shown, "{reader:?} {writer:?}").unwrap();
}

#[test]
fn a_secret_given_through_every_door_shows_nowhere() {
    let log = Log::default();
    let sink = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || sink.clone())
        .finish();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let mut shown = String::new();
    tracing::subscriber::with_default(subscriber, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let root = serve(Arc::clone(&seen)).await;
            azure(&root, &mut shown).await;
            kubernetes(&root, &mut shown).await;
        });
    });
    let sent = seen.lock().unwrap().iter().filter(|it| it.contains(CANARY)).count();
    assert!(sent >= 6, "the secret reached the service only {sent} times");
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("azure") && log.contains("kubernetes"), "nothing was logged");
    for (door, text) in [("log", &log), ("shown", &shown)] {
        let line = text.lines().find(|it| it.contains(CANARY));
        assert!(line.is_none(), "{door}: {}", line.unwrap_or_default());
    }
}
