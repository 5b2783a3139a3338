//! Exchanges in the shapes that Azure was recorded with, replayed against the client: every style
//! of long-running operation, every quirk and every error. One file of `tests/exchanges` is one
//! story; nothing in them is secret or real.

mod canary;
mod hostile;
mod simulator;

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::apply::Permit;
use crate::client::arm::{
    ApiError, ArmReader, ArmWriter, Cloud, OperationOutcome, RunId, TokenSource, Write, wait,
};
use crate::client::net::{Transport, clock};
use crate::model::Json;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use serde::Deserialize;

const ARM: &str = "https://management.azure.com";

/// One file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Story {
    /// What it shows, in a sentence.
    about: String,
    /// What the client is asked to do.
    ask: Ask,
    /// What goes over the wire, in order.
    exchange: Vec<Exchange>,
    /// How it must end.
    expect: Expect,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Ask {
    /// `GET`, `LIST`, `CALL`, or the method of a write.
    verb: String,
    id: String,
    api_version: String,
    action: Option<String>,
    query: Option<String>,
    body: Option<String>,
    #[serde(default = "twenty_minutes")]
    deadline_seconds: u64,
}

const fn twenty_minutes() -> u64 {
    20 * 60
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Exchange {
    /// `METHOD /path?query`, exactly.
    request: String,
    /// A part that the body must hold.
    sends: Option<String>,
    /// The answer's status; 0 breaks the connection.
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
    /// How often the same answer comes.
    #[serde(default = "once")]
    times: usize,
}

const fn once() -> usize {
    1
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
struct Expect {
    /// `succeeded`, `failed`, `deadline`, `absent` or `error`.
    outcome: String,
    /// For failures: the verdict, as Rust shows it.
    verdict: Option<String>,
    /// A part of the error, of the last state, or of the document.
    holds: Vec<String>,
    /// Bounds of the virtual time that passed.
    at_least_seconds: Option<u64>,
    at_most_seconds: Option<u64>,
}

#[derive(Default)]
struct Tape {
    left: VecDeque<Exchange>,
    wrong: Vec<String>,
}

impl Tape {
    fn play(&mut self, request: &str, body: &str) -> Response {
        let Some(next) = self.left.front_mut() else {
            self.wrong.push(format!("unexpected {request}"));
            return answer(418, &BTreeMap::new(), "");
        };
        if next.request != request {
            self.wrong.push(format!("wanted {}\n     got {request}", next.request));
        }
        if let Some(part) = next.sends.as_ref().filter(|it| !body.contains(it.as_str())) {
            self.wrong.push(format!("{request} does not send {part}: {body}"));
        }
        let now = next.clone();
        next.times -= 1;
        if next.times == 0 {
            self.left.pop_front();
        }
        answer(now.status, &now.headers, &now.body)
    }
}

fn answer(status: u16, headers: &BTreeMap<String, String>, body: &str) -> Response {
    let broken = status == 0;
    let mut builder = Response::builder().status(if broken { 599 } else { status });
    if broken {
        builder = builder.header("x-sandbox-fault", "connection-dropped");
    }
    for (name, value) in headers {
        builder = builder.header(name, value.replace("{arm}", ARM));
    }
    builder.body(Body::from(body.replace("{arm}", ARM))).unwrap()
}

fn reader(tape: &Arc<Mutex<Tape>>) -> ArmReader {
    let tape = Arc::clone(tape);
    let router = Router::new().fallback(move |request: Request| {
        let tape = Arc::clone(&tape);
        async move {
            let (head, body) = request.into_parts();
            for needed in ["x-ms-client-request-id", "x-ms-correlation-request-id", "user-agent"] {
                assert!(head.headers.contains_key(needed), "no {needed}");
            }
            assert_eq!(head.headers["authorization"], "Bearer token");
            let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
            let path = head.uri.path_and_query().map(ToString::to_string);
            let request = format!("{} {}", head.method, path.unwrap_or_default());
            tape.lock().unwrap().play(&request, &String::from_utf8_lossy(&body))
        }
    });
    let cloud = Cloud::named("AzureCloud").unwrap();
    let token = TokenSource::fixed("token");
    ArmReader::new(Transport::InProcess(router), cloud, token, RunId::new())
}

/// What came of it: the outcome's word, its text, and the error's verdict.
type Came = (&'static str, String, Option<String>);

fn failed(word: &'static str, error: &ApiError) -> Came {
    (word, error.to_string(), Some(format!("{:?}", error.verdict())))
}

async fn ask(ask: &Ask, reader: ArmReader) -> Result<Came, ApiError> {
    let (id, version) = (ask.id.as_str(), ask.api_version.as_str());
    let done = |json: Json| ("succeeded", json.to_string(), None);
    Ok(match ask.verb.as_str() {
        "GET" => match reader.get(id, version).await? {
            Some(json) => done(json),
            None => ("absent", String::new(), None),
        },
        "LIST" => done(Json::Array(reader.list(id, version).await?)),
        "CALL" => done(reader.call(id, ask.action.as_deref().unwrap_or_default(), version).await?),
        verb => {
            let write = Write {
                method: verb.parse().unwrap(),
                id: id.into(),
                api_version: version.into(),
                query: ask.query.clone(),
                body: ask.body.as_ref().map(|it| serde_json::from_str(it).unwrap()),
                action: ask.action.clone(),
                lock: None,
            };
            let started =
                ArmWriter::new(reader.clone(), Permit::in_tests(), 10).send(&write).await?;
            let Some(operation) = started.operation else {
                return Ok(done(started.body.unwrap_or_default()));
            };
            let deadline = Duration::from_secs(ask.deadline_seconds);
            match wait(&reader, operation, deadline, &mut |_, _| {}).await? {
                OperationOutcome::Succeeded(json) => done(json.unwrap_or_default()),
                OperationOutcome::Failed(error) => failed("failed", &error),
                OperationOutcome::Deadline { last_state, resume_url } => {
                    ("deadline", format!("{last_state} {resume_url}"), None)
                }
            }
        }
    })
}

async fn replay(name: &str, story: Story) {
    let tape = Arc::new(Mutex::new(Tape { left: story.exchange.into(), wrong: vec![] }));
    let start = clock::now();
    let came = ask(&story.ask, reader(&tape)).await;
    let came = came.unwrap_or_else(|error| failed("error", &error));
    let (outcome, text, verdict) = came;
    let passed = start.elapsed();
    let tape = tape.lock().unwrap();
    let about = format!("{name}: {}\n{text}", story.about);
    assert!(tape.wrong.is_empty(), "{about}\n{}", tape.wrong.join("\n"));
    assert!(tape.left.is_empty(), "{about}\nnever asked: {:#?}", tape.left);
    assert_eq!(outcome, story.expect.outcome, "{about}");
    assert_eq!(verdict, story.expect.verdict, "{about}");
    for part in &story.expect.holds {
        assert!(text.contains(part), "{about}\nlacks {part}");
    }
    if let Some(least) = story.expect.at_least_seconds {
        assert!(passed >= Duration::from_secs(least), "{about}\n{passed:?}");
    }
    if let Some(most) = story.expect.at_most_seconds {
        assert!(passed <= Duration::from_secs(most), "{about}\n{passed:?}");
    }
}

#[test]
fn every_recorded_exchange_replays() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exchanges");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()).collect();
    files.sort();
    let mut count = 0;
    for file in files.into_iter().filter(|it| it.extension().is_some_and(|it| it == "toml")) {
        let stories: BTreeMap<String, Story> =
            toml::from_str(&std::fs::read_to_string(&file).unwrap())
                .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        for (name, story) in stories {
            let name = format!("{}/{name}", file.file_stem().unwrap().display());
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .start_paused(true)
                .build()
                .unwrap();
            runtime.block_on(replay(&name, story));
            count += 1;
        }
    }
    assert!(count >= 30, "only {count} stories were found");
}
