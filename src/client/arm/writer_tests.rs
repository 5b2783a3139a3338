//! Whatever the network and the service do, a write takes effect once, ends in the right
//! verdict, and is not waited for past its deadline.

use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::response::Response;
use axum::{Router, extract::Request};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::apply::Permit;
use crate::client::arm::{Cloud, RunId, TokenSource, wait};
use crate::client::net::Transport;

const ROOT: &str = "https://arm.test";
const ID: &str = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Relay/namespaces/n";

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Fine,
    LostBefore,
    LostAfter,
    ErrorBefore(u16),
    ErrorAfter(u16),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum AnswerStyle {
    Status,
    Location,
    State,
    Sync,
}

/// A service with one resource.
#[derive(Debug)]
struct OneResource {
    style: AnswerStyle,
    fates: Vec<Fate>,
    /// Reads until the running operation ends; `None` never ends.
    steps: Option<u32>,
    ends: &'static str,
    word: &'static str,
    live: Option<Json>,
    deleting: bool,
    left: Option<u32>,
    taken: u32,
}

impl OneResource {
    fn answer(&mut self, method: &Method, path: &str, body: &[u8]) -> Response {
        let fate = if self.fates.is_empty() { Fate::Fine } else { self.fates.remove(0) };
        match fate {
            Fate::LostBefore => return lost(),
            Fate::ErrorBefore(status) => return plain(status, &json!({"error": {"code": "X"}})),
            Fate::Fine | Fate::LostAfter | Fate::ErrorAfter(_) => {}
        }
        let response = match *method {
            Method::GET => self.read(path),
            Method::DELETE => self.delete(),
            _ => self.put(serde_json::from_slice(body).unwrap()),
        };
        match fate {
            Fate::LostAfter => lost(),
            Fate::ErrorAfter(status) => plain(status, &json!({})),
            Fate::Fine | Fate::LostBefore | Fate::ErrorBefore(_) => response,
        }
    }

    fn busy(&self) -> bool {
        let state = self.live.as_ref().and_then(provisioning);
        state.is_some_and(|text| End::of(text) == End::Running)
    }

    fn step(&mut self) {
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.left = None;
                if self.deleting && self.ends == "Succeeded" {
                    self.live = None;
                } else if let Some(live) = &mut self.live {
                    live["properties"]["provisioningState"] = json!(self.ends);
                }
            }
        }
    }

    fn put(&mut self, mut body: Json) -> Response {
        if self.busy() {
            return plain(409, &json!({"error": {"code": "AnotherOperationInProgress"}}));
        }
        self.taken += 1;
        let sync = self.style == AnswerStyle::Sync;
        let word = if sync { "Succeeded" } else { self.word };
        body["properties"]["provisioningState"] = json!(word);
        self.live = Some(body.clone());
        self.left = if sync { None } else { self.steps };
        self.begun(201, &body)
    }

    fn delete(&mut self) -> Response {
        if self.live.is_none() {
            return plain(204, &json!(null));
        }
        if self.deleting && self.busy() {
            return plain(409, &json!({"error": {"code": "AnotherOperationInProgress"}}));
        }
        self.taken += 1;
        self.deleting = true;
        if self.style == AnswerStyle::Sync {
            self.live = None;
            return plain(200, &json!(null));
        }
        if let Some(live) = &mut self.live {
            live["properties"]["provisioningState"] = json!("Deleting");
        }
        self.left = self.steps;
        self.begun(202, &json!(null))
    }

    fn begun(&self, status: u16, body: &Json) -> Response {
        let (name, path) = match self.style {
            AnswerStyle::Status => ("azure-asyncoperation", "/status?t=1&s=2"),
            AnswerStyle::Location => ("location", "/location?api-version=1"),
            AnswerStyle::State | AnswerStyle::Sync => {
                return plain(if status == 201 { 200 } else { 202 }, body);
            }
        };
        let mut response = plain(status, body);
        response.headers_mut().insert(name, format!("{ROOT}{path}").parse().unwrap());
        response
    }

    fn read(&mut self, path: &str) -> Response {
        self.step();
        let word = match &self.live {
            None => "Succeeded",
            Some(live) => live["properties"]["provisioningState"].as_str().unwrap(),
        };
        match path {
            "/status" => plain(200, &json!({"status": word, "error": {"code": "OhNo"}})),
            "/location" if self.busy() => {
                plain(202, &json!({"properties": {"provisioningState": "Succeeded"}}))
            }
            "/location" => plain(200, &json!(null)),
            _ => match &self.live {
                Some(live) => plain(200, live),
                None => plain(404, &json!({"error": {"code": "ResourceNotFound"}})),
            },
        }
    }
}

fn plain(status: u16, body: &Json) -> Response {
    let text = if body.is_null() { String::new() } else { body.to_string() };
    Response::builder().status(status).body(Body::from(text)).unwrap()
}

fn lost() -> Response {
    let builder = Response::builder().status(599).header("x-sandbox-fault", "connection-dropped");
    builder.body(Body::empty()).unwrap()
}

fn writer(service: &Arc<Mutex<OneResource>>) -> ArmWriter {
    let service = Arc::clone(service);
    let router = Router::new().fallback(move |request: Request| {
        let service = Arc::clone(&service);
        async move {
            let (head, body) = request.into_parts();
            let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
            service.lock().unwrap().answer(&head.method, head.uri.path(), &body)
        }
    });
    over(router)
}

fn over(router: Router) -> ArmWriter {
    let trust: crate::model::Trust = std::iter::once("arm.test".parse().unwrap()).collect();
    let root = trust.origin(ROOT).unwrap();
    let cloud = Cloud::custom("Test", root.clone(), root, ROOT);
    let transport = Transport::InProcess(router);
    ArmWriter::new(
        ArmReader::new(transport, cloud, TokenSource::fixed("t"), RunId::new()),
        Permit::in_tests(),
        10,
    )
}

fn write(method: Method) -> Write {
    let body = (method == Method::PUT)
        .then(|| json!({"location": "westeurope", "properties": {"a": {"b": "c"}}}));
    Write {
        method,
        id: ID.into(),
        api_version: "2021-11-01".into(),
        query: None,
        body,
        action: None,
        lock: Some("cluster".into()),
    }
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let status = prop_oneof![Just(408), Just(429), Just(500), Just(502), Just(503), Just(504)];
    let after = prop_oneof![Just(408), Just(500), Just(502), Just(503), Just(504)];
    let fate = prop_oneof![
        3 => Just(Fate::Fine),
        2 => Just(Fate::LostBefore),
        2 => Just(Fate::LostAfter),
        2 => status.prop_map(Fate::ErrorBefore),
        2 => after.prop_map(Fate::ErrorAfter),
    ];
    proptest::collection::vec(fate, 0..7)
}

fn run(
    service: OneResource,
    method: Method,
    deadline: Duration,
) -> (Result<OperationOutcome, ApiError>, OneResource, Duration) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let service = Arc::new(Mutex::new(service));
        let writer = writer(&service);
        let mut waited = Duration::ZERO;
        let outcome = match writer.send(&write(method)).await {
            Ok(Started { operation: Some(operation), .. }) => {
                let start = clock::now();
                let result = wait(writer.reader(), operation, deadline, &mut |_, _| {}).await;
                waited = start.elapsed();
                result
            }
            Ok(Started { body, .. }) => Ok(OperationOutcome::Succeeded(body)),
            Err(error) => Err(error),
        };
        drop(writer);
        (outcome, Arc::try_unwrap(service).unwrap().into_inner().unwrap(), waited)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_write_takes_effect_once_ends_rightly_and_in_time(
        fates in fates(),
        style in prop_oneof![Just(AnswerStyle::Status), Just(AnswerStyle::Location), Just(AnswerStyle::State), Just(AnswerStyle::Sync)],
        steps in prop_oneof![4 => (1..6_u32).prop_map(Some), 1 => Just(None)],
        fails in any::<bool>(),
        deletes in any::<bool>(),
        word in prop_oneof![Just("Creating"), Just("Created"), Just("Updating"), Just("Whatever")],
    ) {
        let deadline = Duration::from_secs(20 * 60);
        // A DELETE that fails leaves the resource; waiting for it to go ends by the deadline.
        let fails = fails && !deletes;
        let method = if deletes { Method::DELETE } else { Method::PUT };
        let live = deletes.then(|| json!({"properties": {"provisioningState": "Succeeded"}}));
        let service = OneResource {
            style, fates, steps, word, live, deleting: false, left: None, taken: 0,
            ends: if fails { "Failed" } else { "Succeeded" },
        };
        let (outcome, service, waited) = run(service, method, deadline);
        prop_assert!(waited <= deadline);
        prop_assert_eq!(service.taken, 1);
        let runs = style != AnswerStyle::Sync;
        match outcome {
            Ok(OperationOutcome::Deadline { .. }) => prop_assert!(runs && steps.is_none()),
            Ok(OperationOutcome::Failed(error)) => {
                prop_assert!(runs && fails && steps.is_some());
                prop_assert_eq!(error.verdict(), Verdict::Fatal);
            }
            Ok(OperationOutcome::Succeeded(_)) => {
                prop_assert!(!runs || (!fails && steps.is_some()));
                prop_assert_eq!(service.live.is_none(), deletes);
            }
            Err(error) => prop_assert!(false, "{}", error),
        }
    }
}

#[test]
fn two_operations_on_one_cluster_wait_for_each_other() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let service = OneResource {
            style: AnswerStyle::Status,
            fates: vec![],
            steps: Some(3),
            ends: "Succeeded",
            word: "Creating",
            live: None,
            deleting: false,
            left: None,
            taken: 0,
        };
        let writer = writer(&Arc::new(Mutex::new(service)));
        let first = writer.send(&write(Method::PUT)).await.unwrap();
        let put = write(Method::PUT);
        let second = writer.send(&put);
        tokio::pin!(second);
        let soon = clock::now() + Duration::from_secs(60);
        assert!(clock::until(soon, &mut second).await.is_none());
        let operation = first.operation.unwrap();
        wait(writer.reader(), operation, Duration::from_secs(600), &mut |_, _| {}).await.unwrap();
        assert!(second.await.is_ok());
    });
}

/// What a service answers, and how often it was asked: the last answer of a kind comes for ever.
#[derive(Default)]
struct ScriptedService {
    writes: Vec<(u16, Json)>,
    reads: Vec<(u16, Json)>,
    asked: (usize, usize),
}

/// The end of a PUT, how often was written and read, and after how many minutes.
async fn scripted(method: Method, writes: &[(u16, Json)], reads: &[(u16, Json)]) -> String {
    let (writes, reads) = (writes.to_vec(), reads.to_vec());
    let script =
        Arc::new(Mutex::new(ScriptedService { writes, reads, ..ScriptedService::default() }));
    let own = Arc::clone(&script);
    let router = Router::new().fallback(move |request: Request| {
        let ScriptedService { writes, reads, asked } = &mut *own.lock().unwrap();
        let (answers, count) = match *request.method() {
            Method::GET => (reads, &mut asked.1),
            _ => (writes, &mut asked.0),
        };
        *count += 1;
        let (status, body) = if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() };
        let mut response = if status == 599 { lost() } else { plain(status, &body) };
        if status == 202 {
            let address = format!("{ROOT}/status").parse().unwrap();
            response.headers_mut().insert("azure-asyncoperation", address);
        }
        std::future::ready(response)
    });
    let writer = over(router);
    let mut write = write(method);
    let protected = json!({"key": "Kanarienvogel"});
    if let Some(body) = &mut write.body {
        body["properties"]["configurationProtectedSettings"] = protected;
    }
    let start = clock::now();
    let outcome = match writer.send(&write).await {
        Ok(Started { operation: Some(operation), .. }) => {
            wait(writer.reader(), operation, BUSY_PATIENCE, &mut |_, _| {}).await
        }
        Ok(Started { body, .. }) => Ok(OperationOutcome::Succeeded(body)),
        Err(error) => Err(error),
    };
    let end = match outcome {
        Ok(OperationOutcome::Succeeded(_)) => "done".to_owned(),
        Ok(OperationOutcome::Failed(error)) => format!("failed: {}", error.message),
        Ok(OperationOutcome::Deadline { .. }) => "late".to_owned(),
        Err(error) => error.code.clone().unwrap_or_default(),
    };
    let (writes, reads) = script.lock().unwrap().asked;
    format!("{end}; {writes} {reads}; {}", start.elapsed().as_secs() / 60)
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_no_success_and_a_busy_cluster_is_waited_for_within_bounds() {
    let error = |code: &str| json!({"error": {"code": code, "message": "no"}});
    let (busy, none) = (error("AnotherOperationInProgress"), error("ResourceNotFound"));
    let ours = write(Method::PUT).body.unwrap();
    let in_state = |state: &str| {
        let mut live = ours.clone();
        live["properties"]["provisioningState"] = json!(state);
        (200, live)
    };
    let theirs = |state: &str| (200, json!({"properties": {"provisioningState": state}}));
    let good = || in_state("Succeeded");
    // A resource that is not there cannot be changed; deleting it is done.
    let absent = [(404, none.clone())];
    assert_eq!(scripted(Method::PUT, &absent, &absent).await, "ResourceNotFound; 1 0; 0");
    assert_eq!(scripted(Method::DELETE, &absent, &absent).await, "done; 1 0; 0");
    // Refused as busy: the same content at rest is not what we sent.
    for state in ["Succeeded", "Failed"] {
        let puts = [(409, busy.clone()), good()];
        assert_eq!(scripted(Method::PUT, &puts, &[in_state(state)]).await, "done; 2 1; 0");
    }
    let joined = [in_state("Updating"), in_state("Updating"), good()];
    assert_eq!(scripted(Method::PUT, &[(409, busy.clone())], &joined).await, "done; 1 3; 0");
    // Lost, while somebody else's operation goes on: ours is sent when that is over.
    let reads = [theirs("Updating"), theirs("Updating"), theirs("Succeeded")];
    let puts = [(599, json!(null)), good()];
    assert_eq!(scripted(Method::PUT, &puts, &reads).await, "done; 2 4; 0");
    let endless = scripted(Method::PUT, &puts, &[theirs("Updating")]).await;
    assert!(endless.starts_with("done; 2 ") && endless.ends_with("; 20"), "{endless}");
    // Busy for ever: every fifteen seconds or so, for twenty minutes.
    let told = scripted(Method::PUT, &[(409, busy)], &[theirs("Succeeded")]).await;
    let (end, rest) = told.split_once("; ").unwrap();
    let times: usize = rest.split(' ').next().unwrap().parse().unwrap();
    assert!(end == "AnotherOperationInProgress" && told.ends_with("; 20"), "{told}");
    assert!((70..=95).contains(&times), "{told}");
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_in_secret_does_not_come_back_in_an_error() {
    let refused = |text: &str| json!({"error": {"code": "Bad", "message": text}});
    let failed = json!({"status": "Failed", "error": {"code": "Bad", "message": "Kanarienvogel?"}});
    let (accepted, shown) = ([(202, json!({}))], [(200, failed)]);
    let told = scripted(Method::PUT, &accepted, &shown).await;
    assert_eq!(told, "failed: (hidden)?; 1 1; 0");
    let told = scripted(Method::PUT, &[(400, refused("Kanarienvogel"))], &shown).await;
    assert_eq!(told, "Bad; 1 0; 0");
}

#[test]
fn what_was_sent_is_recognised_in_what_is_read_back() {
    let live = json!({"id": "/x", "location": "West Europe", "tags": null,
        "identity": {"userAssignedIdentities": {"/Subscriptions/A": {"principalId": "p"}}},
        "properties": {"a": "1", "list": [1, 2], "target": "/SUBSCRIPTIONS/a", "extra": true,
            "name": "Case"}});
    let yes = [
        json!({"location": "westeurope", "tags": {}}),
        json!({"properties": {"a": "1", "configurationProtectedSettings": {"k": "v"}}}),
        json!({"properties": {"list": [1, 2], "target": "/subscriptions/a", "gone": null}}),
    ];
    let no = [
        json!({"properties": {"a": "2"}}),
        json!({"properties": {"list": [1]}}),
        json!({"tags": {"a": "b"}}),
        // Only locations and ids compare without case.
        json!({"properties": {"name": "case"}}),
    ];
    assert!(yes.iter().all(|value| covers(&live, value)));
    assert!(!no.iter().any(|value| covers(&live, value)));
}
