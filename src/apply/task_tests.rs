//! What one task does with whatever the service answers: when it is done, when it leaves, when it
//! fails, and what it sends.

use std::collections::VecDeque;

use axum::Router;
use axum::body::Body;
use axum::extract::Request as Asked;
use axum::response::Response;
use serde_json::json;

use super::*;
use crate::client::arm::{ArmReader, Cloud, RunId, TokenSource};
use crate::client::net::Transport;
use crate::model::{Encoding, SecretSource};
use crate::plan::tests::{desired, make, settled};

fn compute() -> Key {
    Key::new("edge", KindName::Compute, "gpu")
}

/// What the service was asked and what it answers: the last answer of a method comes for ever.
#[derive(Default)]
struct Service {
    answers: BTreeMap<&'static str, VecDeque<(u16, Json)>>,
    asked: Vec<String>,
}

fn served(service: &Arc<Mutex<Service>>) -> ArmReader {
    let service = Arc::clone(service);
    let router = Router::new().fallback(move |request: Asked| {
        let mut service = service.lock().unwrap();
        let method = request.method().as_str().to_owned();
        let left = service.answers.get_mut(method.as_str()).unwrap();
        let (status, body) =
            if left.len() > 1 { left.pop_front().unwrap() } else { left[0].clone() };
        service.asked.push(method);
        let answer = Response::builder().status(status).body(Body::from(body.to_string()));
        std::future::ready(answer.unwrap())
    });
    let cloud = Cloud::named("AzureCloud").unwrap();
    let token = TokenSource::fixed("token");
    ArmReader::new(Transport::InProcess(router), cloud, token, RunId::new())
}

/// An answer in a word: a state, `old` for one that has not taken the change, or a refusal.
fn answer(word: &str, good: &Json) -> (u16, Json) {
    let mut document = good.clone();
    match word {
        "404" => return (404, json!({"error": {"code": "ResourceNotFound", "message": "none"}})),
        "403" => return (403, json!({"error": {"code": "Denied", "message": "no"}})),
        "old" => document["properties"]["description"] = json!("before"),
        "RoleAssignmentExists" | "Conflict" | "BadRequest" => {
            return (400, json!({"error": {"code": word, "message": "refused"}}));
        }
        "spreads" => {
            return (400, json!({"error": {"code": "PrincipalNotFound", "message": "none yet"}}));
        }
        state => document["properties"]["provisioningState"] = json!(state),
    }
    (200, document)
}

/// A task of the compute, the words of its writes and reads, and whether others need it.
struct Course {
    action: Action,
    phase: Phase,
    no_wait: bool,
    needed: bool,
    settling: bool,
}

async fn course(course: &Course, writes: &str, reads: &str) -> String {
    let desired = desired(json!({"computes": [
        {"name": "gpu", "workspace": {"name": "ws"}, "description": "now"},
    ]}));
    let mut live = settled(&desired);
    let good = live.live[&compute()].document().unwrap().clone();
    live.live.insert(compute(), Live(vec![None]));
    let mut plan = make(&desired, &live);
    let at = plan.steps.iter().position(|step| step.key == compute()).unwrap();
    let id = good["id"].as_str().unwrap_or("/subscriptions/s/things/one").to_owned();
    let delete = Request::Arm {
        method: Method::Delete,
        path: id,
        api_version: "2023-10-01",
        query: None,
        body: None,
    };
    plan.steps[at].action = course.action;
    plan.steps[at].removal = vec![delete];
    plan.steps[at].settling = course.settling.then(|| "Creating".to_owned());
    if course.needed {
        plan.steps[0].depends_on.insert(compute());
    }
    let all = |words: &str| words.split(' ').map(|word| answer(word, &good)).collect();
    let answers =
        BTreeMap::from([("PUT", all(writes)), ("DELETE", all(writes)), ("GET", all(reads))]);
    let service = Arc::new(Mutex::new(Service { answers, asked: Vec::new() }));
    let arm = BTreeMap::from([("edge".to_owned(), served(&service))]);
    let clients = Clients { arm, ..Clients::default() };
    let limits = Limits {
        parallelism: std::num::NonZeroUsize::MIN,
        clusters: 1,
        failures: 0,
        no_wait: course.no_wait,
        timeout: None,
        interrupted: tokio::sync::watch::channel(false).1,
    };
    let (events, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let explain: Explain = Arc::new(|failure: StepFailure| panic!("{failure:?}"));
    let context = TaskContext::new(&plan, &desired, live, &clients, &limits, explain, events);
    let context = Arc::new(context);
    let ended = match context.perform(&(compute(), course.phase)).await {
        Ok(done) => format!("done after {}", done.elapsed.as_secs()),
        Err(Stop::Left(state)) => format!("left {state}"),
        Err(Stop::Failed(failure)) => {
            let seen = if failure.evidence.document.is_some() { " with evidence" } else { "" };
            let status = failure.status.map(|status| format!(" {status}")).unwrap_or_default();
            format!("{}{status}{seen}", failure.code.unwrap_or_default())
        }
    };
    let (mut begun, mut told) = (0, BTreeSet::new());
    while let Ok(event) = heard.try_recv() {
        match event {
            Event::Started { .. } => begun += 1,
            Event::Progress { state, .. } => drop(told.insert(state)),
            _ => {}
        }
    }
    let asked = service.lock().unwrap().asked.clone();
    let count = |get: bool| asked.iter().filter(|method| (*method == "GET") == get).count();
    let told: Vec<String> = told.into_iter().collect();
    let begun = if begun == 1 { "" } else { "; not begun" };
    format!("{ended}; {} sent, {} read; {}{begun}", count(false), count(true), told.join(","))
}

const MAKE: Course = Course {
    action: Action::Update,
    phase: Phase::Make,
    no_wait: false,
    needed: false,
    settling: false,
};

/// A task, what its writes and its reads are answered, and what comes of it.
const COURSES: &[(Course, &str, &str, &str)] = &[
    (MAKE, "Succeeded", "Succeeded", "done after 0; 1 sent, 1 read; "),
    (MAKE, "Succeeded", "old Succeeded", "done after 1; 1 sent, 2 read; taking the change"),
    (MAKE, "Succeeded", "old", "ChangeNotTaken with evidence; 1 sent, 80 read; taking the change"),
    (
        MAKE,
        "Succeeded",
        "Updating 404 old Succeeded",
        "done after 3; 1 sent, 4 read; Updating,appearing,taking the change",
    ),
    (MAKE, "Succeeded", "404", "NotFoundAfterWrite; 1 sent, 80 read; appearing"),
    (MAKE, "Succeeded", "Failed", "ProvisioningStateFailed with evidence; 1 sent, 2 read; "),
    (MAKE, "Succeeded", "403", "Denied 403; 1 sent, 2 read; "),
    (MAKE, "Succeeded", "Updating", "left Updating; 1 sent, 198 read; Updating"),
    (MAKE, "BadRequest", "old", "BadRequest 400 with evidence; 1 sent, 1 read; "),
    (MAKE, "RoleAssignmentExists", "Succeeded", "done after 0; 1 sent, 1 read; "),
    (MAKE, "spreads spreads Succeeded", "Succeeded", "done after 20; 3 sent, 1 read; "),
    (
        MAKE,
        "spreads",
        "Succeeded",
        "PrincipalNotFound 400 with evidence; 38 sent, 1 read; waiting for earlier steps to spread",
    ),
    (Course { no_wait: true, ..MAKE }, "Succeeded", "Updating", "left Updating; 1 sent, 1 read; "),
    (Course { no_wait: true, ..MAKE }, "Updating", "Updating", "left Updating; 1 sent, 0 read; "),
    (
        Course { no_wait: true, needed: true, ..MAKE },
        "Succeeded",
        "Updating Succeeded",
        "done after 1; 1 sent, 2 read; Updating",
    ),
    (
        Course { settling: true, ..MAKE },
        "BadRequest",
        "Creating Succeeded",
        "done after 1; 0 sent, 2 read; Creating",
    ),
    (
        Course { settling: true, ..MAKE },
        "Succeeded",
        "Creating old Succeeded",
        "done after 1; 1 sent, 3 read; Creating",
    ),
    (
        Course { settling: true, ..MAKE },
        "Succeeded",
        "Failed Succeeded",
        "done after 0; 1 sent, 2 read; ",
    ),
    (
        Course { action: Action::Replace, ..MAKE },
        "Succeeded",
        "Succeeded",
        "done after 0; 1 sent, 1 read; ; not begun",
    ),
    (
        Course { action: Action::Replace, phase: Phase::Remove, ..MAKE },
        "Succeeded",
        "Deleting 404",
        "done after 1; 1 sent, 3 read; Deleting,Succeeded",
    ),
    (
        Course { action: Action::Delete, phase: Phase::Remove, no_wait: true, ..MAKE },
        "Deleting",
        "Deleting",
        "left Deleting; 1 sent, 0 read; ",
    ),
];

#[tokio::test(start_paused = true)]
async fn a_task_is_done_when_the_service_shows_what_was_wanted() {
    let (mut came, mut due) = (Vec::new(), Vec::new());
    for (row, (task, writes, reads, expected)) in COURSES.iter().enumerate() {
        came.push(format!("{row} {writes}; {reads}: {}", course(task, writes, reads).await));
        due.push(format!("{row} {writes}; {reads}: {expected}"));
    }
    assert_eq!(came, due, "\n{}", came.join("\n"));
}

#[tokio::test]
async fn a_body_is_sent_only_with_everything_in_it() {
    let desired = desired(json!({}));
    let mut live = settled(&desired);
    live.live.insert(compute(), Live(vec![Some(json!({"a": "b", "none": null}))]));
    let plan = make(&desired, &live);
    let limits = Limits {
        parallelism: std::num::NonZeroUsize::MIN,
        clusters: 1,
        failures: 0,
        no_wait: false,
        timeout: None,
        interrupted: tokio::sync::watch::channel(false).1,
    };
    let explain: Explain = Arc::new(|failure: StepFailure| panic!("{failure:?}"));
    let (events, _heard) = tokio::sync::mpsc::unbounded_channel();
    let clients = Clients::default();
    let context = TaskContext::new(&plan, &desired, live, &clients, &limits, explain, events);
    let step = context.step(&compute()).unwrap();
    let work = TaskWork {
        context: &context,
        step,
        kind: desired.nodes[&compute()].resource.kind(),
        deadline: clock::now(),
        waits_for: Mutex::default(),
    };
    let later =
        |at: &str| Value::Later(Later { from: compute(), at: Pointer::parse(at), call: None });
    let secret = |name: &str, content: &str| {
        let source = SecretSource::Env(name.to_owned());
        Value::Secret(Secret::new(source, Encoding::Plain, content.to_owned()))
    };
    for (value, sent) in [
        (later("/a"), Some(json!("b"))),
        (later("/none"), None),
        (later("/absent"), None),
        (secret("ONE", "1"), Some(json!("1"))),
        (Value::from("plain"), Some(json!("plain"))),
    ] {
        match (work.body(Some(&value)).await, sent) {
            (Ok(body), sent) => assert_eq!(body, sent, "{value:?}"),
            (Err(Stop::Failed(failure)), None) => {
                assert_eq!((failure.code.as_deref(), failure.passes), (Some(MISSING), true));
            }
            (Err(stop), _) => panic!("{value:?}: {stop:?}"),
        }
    }
    assert_eq!(work.body(None).await.unwrap(), None);
}

#[test]
fn fields_are_taken_out_and_nothing_else() {
    let live = json!({"spec": {"a": 1, "b": {"c": 2, "d": 3}}, "list": []});
    let rows: &[(&[&str], Option<Json>)] = &[
        (&["/spec/a"], Some(json!({"spec": {"b": {"c": 2, "d": 3}}, "list": []}))),
        (&["/spec/b/c", "/list"], Some(json!({"spec": {"a": 1, "b": {"d": 3}}}))),
        (&["/spec/none", "/none/at/all", "/list/0"], None),
        (&[], None),
    ];
    for (paths, left) in rows {
        let paths: Vec<Pointer> = paths.iter().map(|path| Pointer::parse(path)).collect();
        assert_eq!(without(&live, &paths), *left, "{paths:?}");
    }
}

#[test]
fn a_refusal_passes_where_the_api_says_so_and_a_fresh_kind_is_waited_for() {
    let object = ObjectRef::cluster("v1", "Thing", "things", "one");
    let body = Value::object();
    let apply = Request::Apply { object: object.clone(), body: body.clone(), take_over: false };
    let users = vec![];
    let azure = Request::Arm {
        method: Method::Put,
        path: String::new(),
        api_version: "1",
        query: None,
        body: None,
    };
    let rows = [
        (&azure, 404, false, false),
        (&azure, 400, true, true),
        (&apply, 404, false, true),
        (&apply, 409, true, false),
        (&Request::DeleteObject { object: object.clone() }, 404, true, false),
        (&Request::AddUsers { object, users }, 404, true, false),
    ];
    for (request, status, passes_there, expected) in rows {
        let own = StepFailure::own(&compute(), "", String::new());
        let failure = StepFailure { status: Some(status), passes: passes_there, ..own };
        assert_eq!(passes(&failure, request), expected, "{status} {request:?}");
    }
}
