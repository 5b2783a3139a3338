//! Whole runs over a service that refuses some things: what is done, failed, skipped and not begun.

use axum::Router;
use axum::extract::Request as Asked;
use serde_json::json;

use super::super::error::StepFailure;
use super::super::event::StepError;
use super::*;
use crate::client::arm::{ArmReader, Cloud, RunId, TokenSource};
use crate::client::net::Transport;
use crate::language::{ClusterSpec, Declared, Manifest};
use crate::model::{Json, KindName};
use crate::plan::tests::{make, settled};
use crate::plan::{Mode, PlanInput, Unread};
use crate::resource::{Live, graph};
use crate::source::Diagnostic;

/// Clusters with an extension and these computes, with everything but that and them there.
fn fleet(names: &[&str], computes: &[&str]) -> Desired {
    let declared = |name: &&str| {
        let own: Vec<Json> = computes
            .iter()
            .map(
                |compute| json!({"name": format!("{compute}-{name}"), "workspace": {"name": "ws"}}),
            )
            .collect();
        let spec: ClusterSpec = serde_json::from_value(json!({
            "name": name,
            "azure": {"subscription": "00000000-0000-0000-0000-000000000000", "resourceGroup": "ml"},
            "cluster": {"type": "managedClusters", "name": name, "access": "azureOnly"},
            "extension": {"name": "ext", "configurationSettings": {"enableTraining": true}},
            "computes": own,
        }))
        .unwrap();
        Declared::from(spec)
    };
    graph::build(&Manifest::from(names.iter().map(declared).collect::<Vec<_>>())).unwrap()
}

/// What the service holds, and what it refuses: paths with one of these words, or everything that
/// is to be worked on for ever.
#[derive(Clone, Copy, Default)]
struct Trouble {
    refused: &'static str,
    endless: bool,
}

type Heard = Arc<Mutex<Vec<String>>>;

fn service(live: &Snapshot, trouble: Trouble, log: &Heard) -> ArmReader {
    let id = |document: &Json| document["id"].as_str().unwrap_or_default().to_ascii_lowercase();
    let documents = live.live.values().filter_map(|it| it.document().cloned());
    let held: BTreeMap<String, Json> =
        documents.map(|document| (id(&document), document)).collect();
    let (held, log) = (Arc::new(Mutex::new(held)), Arc::clone(log));
    let router = Router::new().fallback(move |request: Asked| {
        let (held, log) = (Arc::clone(&held), Arc::clone(&log));
        async move {
            let (head, body) = request.into_parts();
            let path = head.uri.path().to_ascii_lowercase();
            let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
            if head.method != http::Method::GET {
                let name = path.rsplit('/').next().unwrap_or_default();
                log.lock().unwrap().push(format!("{} {name}", head.method));
                if !trouble.refused.is_empty() && path.contains(trouble.refused) {
                    let error = json!({"error": {"code": "Refused", "message": "no"}});
                    return (http::StatusCode::BAD_REQUEST, error.to_string());
                }
            }
            let mut held = held.lock().unwrap();
            if head.method == http::Method::DELETE && !trouble.endless {
                held.remove(&path);
            } else if head.method == http::Method::PUT {
                let mut document: Json = serde_json::from_slice(&body).unwrap();
                let state = if trouble.endless { "Creating" } else { "Succeeded" };
                document["properties"]["provisioningState"] = json!(state);
                held.insert(path.clone(), document);
            }
            match held.get(&path) {
                Some(document) => (http::StatusCode::OK, document.to_string()),
                None => {
                    (http::StatusCode::NOT_FOUND, json!({"error": {"code": "Gone"}}).to_string())
                }
            }
        }
    });
    let cloud = Cloud::named("AzureCloud").unwrap();
    ArmReader::new(Transport::InProcess(router), cloud, TokenSource::fixed("t"), RunId::new())
}

/// A run, with what it came to in lines, and everything that happened in order.
struct WholeRun {
    outcome: Outcome,
    log: Vec<String>,
}

impl WholeRun {
    fn names(keys: impl Iterator<Item = Key>) -> String {
        keys.map(|key| key.name).collect::<Vec<_>>().join(" ")
    }

    fn told(&self) -> String {
        let outcome = &self.outcome;
        let names = |what: &str, names: String| {
            if names.is_empty() { String::new() } else { format!("{what} {names}; ") }
        };
        [
            names("done", Self::names(outcome.done.iter().map(|it| it.0.clone()))),
            names("failed", Self::names(outcome.failed.iter().map(|it| it.0.clone()))),
            names("skipped", Self::names(outcome.skipped.iter().cloned())),
            names("running", Self::names(outcome.running.iter().map(|it| it.0.clone()))),
            names("not begun", Self::names(outcome.not_started.iter().cloned())),
        ]
        .concat()
    }
}

async fn course(
    desired: &Desired,
    live: &Snapshot,
    mode: Mode,
    trouble: Trouble,
    change: impl FnOnce(&mut Plan, &mut Limits),
) -> WholeRun {
    let log = Heard::default();
    let reader = service(live, trouble, &log);
    let mut plan = crate::plan::plan(&PlanInput { desired, live, mode });
    let arm = desired.scopes.keys().map(|scope| (scope.clone(), reader.clone())).collect();
    let clients = Clients { arm, ..Clients::default() };
    let mut limits = Limits {
        parallelism: NonZeroUsize::MIN,
        clusters: usize::MAX,
        failures: usize::MAX,
        no_wait: false,
        timeout: None,
        interrupted: watch::channel(false).1,
    };
    change(&mut plan, &mut limits);
    let explain: Explain = Arc::new(|failure: StepFailure| StepError {
        message: failure.message,
        code: failure.code,
        help: None,
        details: Vec::new(),
        field: None,
    });
    let heard = Arc::clone(&log);
    let mut emit = |event: &Event| {
        let line = match event {
            Event::Started { key, .. } => format!("started {}", key.name),
            Event::Completed { key, .. } => format!("completed {}", key.name),
            Event::Errored { key, .. } => format!("errored {}", key.name),
            Event::Skipped { key, because } => format!("skipped {} for {}", key.name, because.name),
            Event::Left { key, state } => format!("left {} {state}", key.name),
            Event::Progress { .. } => return,
        };
        heard.lock().unwrap().push(line);
    };
    let (outcome, _) =
        run(&plan, desired, live.clone(), &clients, limits, explain, &mut emit).await;
    let log = std::mem::take(&mut *log.lock().unwrap());
    WholeRun { outcome, log }
}

/// The world of a fleet with nothing of one kind in it.
fn without(desired: &Desired, kind: KindName) -> Snapshot {
    let mut live = identified(desired);
    live.live.iter_mut().filter(|it| it.0.kind == kind).for_each(|it| *it.1 = Live(vec![None]));
    live
}

/// A settled world whose documents say where they stand.
fn identified(desired: &Desired) -> Snapshot {
    let mut live = settled(desired);
    for (key, own) in &mut live.live {
        let Some(node) = desired.nodes.get(key) else { continue };
        if let (crate::resource::Target::Arm(id), Some(document)) =
            (node.resource.kind().target(), own.0[0].as_mut())
        {
            document["id"] = json!(id.as_str());
        }
    }
    assert!(make(desired, &live).is_empty());
    live
}

const REFUSED: Trouble = Trouble { refused: "/gpu-", endless: false };

#[tokio::test(start_paused = true)]
async fn no_further_cluster_is_begun_after_too_many_have_failed() {
    let desired = fleet(&["a", "b", "c"], &["gpu"]);
    let live = without(&desired, KindName::Compute);
    for (failures, told) in [
        (0, "failed gpu-a; not begun gpu-b gpu-c; "),
        (1, "failed gpu-a gpu-b; not begun gpu-c; "),
        (2, "failed gpu-a gpu-b gpu-c; "),
    ] {
        let limit = |_: &mut Plan, limits: &mut Limits| {
            (limits.clusters, limits.failures) = (1, failures);
        };
        let course = course(&desired, &live, Mode::Apply, REFUSED, limit).await;
        assert_eq!(course.told(), told, "{failures}");
    }
    let fine = course(&desired, &live, Mode::Apply, Trouble::default(), |_, _| {}).await;
    assert_eq!(fine.told(), "done gpu-a gpu-b gpu-c; ");
}

#[tokio::test(start_paused = true)]
async fn what_stands_on_a_failure_is_skipped_and_named_once() {
    let desired = fleet(&["a"], &["cpu", "gpu"]);
    let mut live = identified(&desired);
    let extension = Key::new("a", KindName::Extension, "ext");
    let document = live.live.get_mut(&extension).unwrap().0[0].as_mut().unwrap();
    document["properties"]["extensionType"] = json!("other");
    // Everything is replaced: two halves each.
    let trouble = Trouble { refused: "/extensions/", endless: false };
    let course = course(&desired, &live, Mode::Apply, trouble, |_, _| {}).await;
    assert_eq!(course.told(), "failed ext; skipped cpu-a gpu-a; ");
    let skipped = course.log.iter().filter(|line| line.starts_with("skipped")).count();
    assert_eq!(skipped, 2, "{:?}", course.log);
    // What only is there, and would not be changed, is not missed.
    let live = without(&desired, KindName::Extension);
    let keep = |plan: &mut Plan, _: &mut Limits| {
        for step in plan.steps.iter_mut().filter(|step| step.key.name == "cpu-a") {
            (step.action, step.requests) = (Action::NoOp, Vec::new());
        }
    };
    let course = self::course(&desired, &live, Mode::Apply, trouble, keep).await;
    assert_eq!(course.told(), "failed ext; ");
}

#[tokio::test(start_paused = true)]
async fn a_replacement_is_complete_when_it_is_made_again() {
    let desired = fleet(&["a"], &["gpu"]);
    let mut live = identified(&desired);
    let compute = Key::new("a", KindName::Compute, "gpu-a");
    let document = live.live.get_mut(&compute).unwrap().0[0].as_mut().unwrap();
    document["properties"]["properties"]["namespace"] = json!("other");
    let done = course(&desired, &live, Mode::Apply, Trouble::default(), |_, _| {}).await;
    assert_eq!(done.told(), "done gpu-a; ");
    // What was told may be heard a moment after the request that followed it.
    let count = |line: &str| done.log.iter().filter(|it| *it == line).count();
    let lines = ["started gpu-a", "DELETE gpu-a", "PUT gpu-a", "completed gpu-a"];
    assert_eq!((lines.map(count), done.log.last().unwrap().as_str()), ([1; 4], lines[3]));
    // What is only waited for is nothing that was done.
    let mut live = identified(&desired);
    let document = live.live.get_mut(&compute).unwrap().0[0].as_mut().unwrap();
    document["properties"]["provisioningState"] = json!("Creating");
    let mut plan = make(&desired, &live);
    assert_eq!(plan.counts(), (0, 0, 0));
    plan.steps.retain(|step| step.settling.is_some());
    assert_eq!(plan.steps.len(), 1);
    let document = live.live.get_mut(&compute).unwrap().0[0].as_mut().unwrap();
    document["properties"]["provisioningState"] = json!("Succeeded");
    let put = move |own: &mut Plan, _: &mut Limits| *own = plan;
    let waited = course(&desired, &live, Mode::Apply, Trouble::default(), put).await;
    assert_eq!((waited.told(), waited.log), (String::new(), Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn what_is_left_when_time_is_up_is_told() {
    let desired = fleet(&["a"], &["gpu", "cpu"]);
    let gap = || Unread {
        keys: vec![Key::new("x", KindName::Compute, "x")],
        reason: "no".into(),
        finding: Diagnostic::error("read-failed", "no".to_owned()),
    };
    let endless = Trouble { refused: "", endless: true };
    let brief = |plan: &mut Plan, limits: &mut Limits| {
        plan.unread.push(gap());
        limits.timeout = Some(Duration::from_secs(30));
    };
    let live = without(&desired, KindName::Extension);
    let late = course(&desired, &live, Mode::Apply, endless, brief).await;
    assert_eq!(late.told(), "running ext; ");
    assert_eq!((late.outcome.unread, late.outcome.interrupted), (vec![gap()], false));
    assert!(late.outcome.elapsed >= Duration::from_secs(30));
    assert_eq!(late.log.last().unwrap(), "left ext Creating");
    let mut live = live;
    live.live
        .iter_mut()
        .filter(|it| it.0.kind == KindName::Compute)
        .for_each(|it| *it.1 = Live(vec![None]));
    let late = course(&desired, &live, Mode::Apply, endless, brief).await;
    assert_eq!(late.told(), "running ext; not begun cpu-a gpu-a; ");
    // Destroying goes the other way round, and what is not begun is told in the order of addresses.
    let live = identified(&desired);
    let only = |name: &'static str| {
        move |plan: &mut Plan, limits: &mut Limits| {
            brief(plan, limits);
            let first = plan.steps.iter().position(|step| step.key.name == name).unwrap();
            let key = plan.steps[first].key.clone();
            // Everything else waits for it.
            for step in plan.steps.iter_mut().filter(|step| step.key != key) {
                step.depends_on.remove(&key);
            }
            let others: Vec<Key> =
                plan.changing().map(|it| it.key.clone()).filter(|it| *it != key).collect();
            plan.steps[first].depends_on.extend(others);
        }
    };
    let late = course(&desired, &live, Mode::Destroy, endless, only("gpu-a")).await;
    assert_eq!(late.told(), "running gpu-a; not begun ext cpu-a; ");
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_leaves_what_runs() {
    let desired = fleet(&["a"], &["gpu"]);
    let live = without(&desired, KindName::Compute);
    let (_held, interrupted) = watch::channel(true);
    let stop = |_: &mut Plan, limits: &mut Limits| limits.interrupted = interrupted;
    let stopped = course(&desired, &live, Mode::Apply, Trouble::default(), stop).await;
    assert!(stopped.outcome.interrupted);
    assert_eq!(stopped.told(), "running gpu-a; ");
    assert_eq!(stopped.log, ["left gpu-a started"]);
}

#[tokio::test]
async fn a_step_that_panics_has_failed() {
    let mut tasks: JoinSet<Result<Done, Stop>> = JoinSet::new();
    let task = (Key::new("edge", KindName::Compute, "c"), Phase::Make);
    let handle = tasks.spawn(async { panic!("as a test wants it") });
    let mut ids = BTreeMap::from([(handle.id(), task.clone())]);
    let joined = tasks.join_next_with_id().await.unwrap();
    let Some((of, Err(Stop::Failed(failure)))) = ended(joined, &mut ids) else {
        panic!("the task has not failed")
    };
    assert_eq!((of, failure.code.as_deref()), (task, Some("StepPanicked")));
    assert!(ids.is_empty());
}
