//! Edits of a shared object under competition, server-side apply, and what is left alone.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;

use super::*;
use crate::apply::Permit;
use crate::client::kubernetes::{ConnectOptions, scc};
use crate::client::net::Transport;

/// One object with a version, as an API server keeps it.
struct OneObject {
    object: Option<Json>,
    version: u64,
    /// A random part of the answers is lost after the write was taken.
    loses: bool,
    random: fastrand::Rng,
    writes: u32,
}

impl OneObject {
    fn answer(&mut self, method: &Method, path: &str, body: &[u8]) -> Response {
        let sent: Json = serde_json::from_slice(body).unwrap_or_default();
        let Some(live) = &mut self.object else { return plain(404, &status(404, "NotFound")) };
        match *method {
            Method::GET => plain(200, live),
            Method::PUT
                if sent["metadata"]["resourceVersion"] != live["metadata"]["resourceVersion"] =>
            {
                plain(409, &status(409, "Conflict"))
            }
            Method::PUT => {
                self.version += 1;
                self.writes += 1;
                *live = sent;
                live["metadata"]["resourceVersion"] = json!(self.version.to_string());
                if self.loses && self.random.u8(..) < 30 {
                    let lost = Response::builder().status(599);
                    let lost = lost.header("x-sandbox-fault", "connection-dropped");
                    return lost.body(Body::empty()).unwrap();
                }
                plain(200, live)
            }
            Method::PATCH if path.contains("force=false") => plain(200, &sent),
            Method::DELETE => {
                let uid = &sent["preconditions"]["uid"];
                if !uid.is_null() && *uid != live["metadata"]["uid"] {
                    return plain(409, &status(409, "Conflict"));
                }
                self.object = None;
                plain(200, &json!({"kind": "Status", "status": "Success"}))
            }
            _ => plain(405, &status(405, "MethodNotAllowed")),
        }
    }
}

fn plain(status: u16, body: &Json) -> Response {
    Response::builder().status(status).body(Body::from(body.to_string())).unwrap()
}

fn status(code: u16, reason: &str) -> Json {
    json!({"kind": "Status", "code": code, "reason": reason, "message": reason})
}

fn scc_ref(name: &str) -> ObjectRef {
    let kind = "SecurityContextConstraints";
    let plural = "securitycontextconstraints";
    ObjectRef::cluster("security.openshift.io/v1", kind, plural, name)
}

fn store(users: &Json, seed: u64, loses: bool) -> Arc<Mutex<OneObject>> {
    let object = json!({
        "apiVersion": "security.openshift.io/v1", "kind": "SecurityContextConstraints",
        "metadata": {"name": "privileged", "uid": "u1", "resourceVersion": "1"},
        "users": users, "priority": null, "allowHostPID": true,
    });
    let random = fastrand::Rng::with_seed(seed);
    Arc::new(Mutex::new(OneObject { object: Some(object), version: 1, loses, random, writes: 0 }))
}

fn writer(store: &Arc<Mutex<OneObject>>) -> KubeWriter {
    let store = Arc::clone(store);
    let router = Router::new().fallback(move |request: Request| {
        let store = Arc::clone(&store);
        async move {
            let (head, body) = request.into_parts();
            let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
            // Requests travel for a while, both ways: this is what makes the interleavings.
            let (there, back) = {
                let random = &mut store.lock().unwrap().random;
                (random.u64(0..30), random.u64(0..30))
            };
            clock::sleep(Duration::from_millis(there)).await;
            let path = head.uri.to_string();
            let response = store.lock().unwrap().answer(&head.method, &path, &body);
            clock::sleep(Duration::from_millis(back)).await;
            response
        }
    });
    KubeWriter::new(
        KubeReader::over(Transport::InProcess(router), "/kube/edge", "token"),
        Permit::in_tests(),
    )
}

fn users(of: &Json) -> Vec<String> {
    serde_json::from_value(of["users"].clone()).unwrap_or_default()
}

impl KubeWriter {
    fn reader(&self) -> &KubeReader {
        &self.reader
    }

    /// Writes over the version that was read, once.
    async fn replace(&self, object: &ObjectRef, body: &Json) -> Result<Json, ApiError> {
        let path = object.path();
        let call = KubeCall::with(Method::PUT, &path, body);
        self.reader.attempt(&call).await?.into_json(&Method::PUT, &path)
    }
}

/// A colleague who edits the list with a version, as `oc edit` does, and tries again.
async fn colleague(writer: KubeWriter, object: ObjectRef, own: String) {
    loop {
        let mut live = writer.reader().get(&object).await.unwrap().unwrap();
        let mut list = users(&live);
        if !list.contains(&own) {
            list.insert(0, own.clone());
            live["users"] = json!(list);
            match writer.replace(&object, &live).await {
                Err(error) if matches!(error.verdict(), Verdict::Conflict | Verdict::Broken) => {
                    continue;
                }
                other => drop(other.unwrap()),
            }
        }
        return;
    }
}

async fn adds(writer: KubeWriter, object: ObjectRef, ours: Vec<String>) -> Edited {
    writer.edit(&object, &|live| scc::add_users(live, &ours)).await.unwrap()
}

/// Two of us and some colleagues at once; then one of us removes again.
async fn compete(writer: &KubeWriter, object: &ObjectRef, colleagues: usize) {
    let names = |of: &str, count: usize| -> Vec<String> {
        (0..count).map(|number| format!("system:serviceaccount:{of}:sa{number}")).collect()
    };
    let foreign = names("foreign", colleagues);
    let (first, second) = (names("azureml", 3), names("azure-arc", 2));
    let mut tasks = tokio::task::JoinSet::new();
    for own in &foreign {
        tasks.spawn(colleague(writer.clone(), object.clone(), own.clone()));
    }
    let one = tokio::spawn(adds(writer.clone(), object.clone(), first.clone()));
    let other = tokio::spawn(adds(writer.clone(), object.clone(), second.clone()));
    assert!(one.await.unwrap().changed && other.await.unwrap().changed);
    let leaving = colleague(writer.clone(), object.clone(), "late".into());
    let remove = |live: &Json| scc::remove_users(live, &first);
    let (edited, ()) = tokio::join!(writer.edit(object, &remove), leaving);
    assert!(edited.unwrap().changed);
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    let live = writer.reader().get(object).await.unwrap().unwrap();
    let list = users(&live);
    assert!(foreign.iter().chain(&second).all(|text| list.contains(text)), "{list:?}");
    assert!(list.contains(&"late".to_owned()));
    assert!(!first.iter().any(|text| list.contains(text)), "{list:?}");
    let mut recorded = second;
    recorded.sort();
    assert_eq!(scc::added_users(&live), recorded);
}

#[test]
fn no_foreign_user_is_lost_in_thousands_of_interleavings() {
    for seed in 0..2000 {
        fastrand::seed(seed);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let before = if seed % 3 == 0 { Json::Null } else { json!(["system:admin", "b"]) };
            let store = store(&before, seed, seed % 2 == 0);
            compete(&writer(&store), &scc_ref("privileged"), 1 + (seed % 3) as usize).await;
            let live = store.lock().unwrap().object.clone().unwrap();
            let list = users(&live);
            let old: Vec<_> =
                list.iter().filter(|text| ["system:admin", "b"].contains(&text.as_str())).collect();
            assert!(before.is_null() || old == ["system:admin", "b"], "{list:?}");
            assert_eq!(live["allowHostPID"], true);
        });
    }
}

/// With a real OpenShift cluster the same holds, on a copy made for the test.
#[tokio::test]
async fn no_foreign_user_is_lost_on_the_cluster_that_the_environment_names() {
    let Some(kubeconfig) = std::env::var_os("AMLPLAN_TEST_KUBECONFIG") else { return };
    let kubeconfig = super::super::KubeconfigFrom::File(kubeconfig.into());
    let options = ConnectOptions { kubeconfig, ..ConnectOptions::default() };
    let writer = KubeWriter::new(KubeReader::connect(&options).await.unwrap(), Permit::in_tests());
    let name = format!("amlplan-test-{}", std::process::id());
    let object = scc_ref(&name);
    let mut copy = writer.reader().get(&scc_ref("restricted-v2")).await.unwrap().unwrap();
    copy["metadata"] = json!({"name": name});
    copy["users"] = Json::Null;
    copy["groups"] = Json::Null;
    writer.apply(&object, &copy, false).await.unwrap();
    let (ours, theirs) = (writer.clone(), object.clone());
    let result = tokio::spawn(async move { compete(&ours, &theirs, 4).await }).await;
    writer.delete(&object, None).await.unwrap();
    result.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_edit_that_changes_nothing_writes_nothing() {
    let store = store(&json!(["a"]), 1, false);
    let edited = adds(writer(&store), scc_ref("privileged"), vec!["a".into()]).await;
    assert!(!edited.changed);
    assert_eq!(store.lock().unwrap().writes, 0);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_still_counts_as_our_change() {
    let mut seen = 0;
    for seed in 0..40 {
        let store = store(&json!(["b"]), seed, true);
        let edited = adds(writer(&store), scc_ref("privileged"), vec!["a".into()]).await;
        assert!(edited.changed);
        assert_eq!(store.lock().unwrap().writes, 1);
        assert_eq!(users(&edited.before), ["b"]);
        assert_eq!(users(&edited.after), ["b", "a"]);
        seen += u32::from(edited.after["metadata"]["resourceVersion"] == "2");
    }
    assert_eq!(seen, 40);
}

#[tokio::test(start_paused = true)]
async fn only_the_object_of_that_uid_is_deleted() {
    let store = store(&json!([]), 1, false);
    let writer = writer(&store);
    let object = scc_ref("privileged");
    let error = writer.delete(&object, Some("other")).await.unwrap_err();
    assert_eq!(error.verdict(), Verdict::Conflict);
    assert!(writer.delete(&object, Some("u1")).await.unwrap());
    assert!(!writer.delete(&object, Some("u1")).await.unwrap());
    assert_eq!(writer.reader().get(&object).await.unwrap(), None);
    assert_eq!(writer.edit(&object, &|_| None).await.unwrap_err().verdict(), Verdict::Absent);
}

#[tokio::test(start_paused = true)]
async fn server_side_apply_is_ours_and_never_forced() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let router = Router::new().fallback(move |request: Request| {
        let kind = request.headers()["content-type"].to_str().unwrap().to_owned();
        log.lock().unwrap().push(format!("{} {} {kind}", request.method(), request.uri()));
        async { plain(200, &json!({"kind": "Namespace"})) }
    });
    let writer = KubeWriter::new(
        KubeReader::over(Transport::InProcess(router), "/kube/edge/", "token"),
        Permit::in_tests(),
    );
    let namespace = ObjectRef::cluster("v1", "Namespace", "namespaces", "azureml");
    writer
        .apply(&namespace, &json!({"apiVersion": "v1", "kind": "Namespace"}), false)
        .await
        .unwrap();
    assert_eq!(
        seen.lock().unwrap()[..],
        [
            "PATCH /kube/edge/api/v1/namespaces/azureml?fieldManager=amlplan&force=false application/apply-patch+yaml"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn lists_come_whole_even_when_their_snapshot_ends() {
    let router = Router::new().fallback(|request: Request| async move {
        let query = request.uri().query().unwrap_or_default().to_owned();
        match query.as_str() {
            "limit=500&labelSelector=a%3Db" => {
                plain(200, &json!({"items": [{"n": 1}], "metadata": {"continue": "x="}}))
            }
            "limit=500&labelSelector=a%3Db&continue=x%3D" => plain(410, &status(410, "Expired")),
            "limit=0&labelSelector=a%3Db" => plain(200, &json!({"items": [{"n": 1}, {"n": 2}]})),
            other => panic!("{other}"),
        }
    });
    let reader = KubeReader::over(Transport::InProcess(router), "", "token");
    let pods = ObjectRef::cluster("v1", "Pod", "pods", "");
    let items = reader.list(&pods, Some("a=b")).await.unwrap();
    assert_eq!(items.len(), 2);
    assert_eq!(items[1], json!({"n": 2, "apiVersion": "v1", "kind": "Pod"}));
}

#[tokio::test(start_paused = true)]
async fn an_edit_gives_way_to_others_for_minutes_and_not_for_ever() {
    let store = store(&json!([]), 1, false);
    let writer = writer(&store);
    let counted = Arc::new(Mutex::new(0_u32));
    let count = Arc::clone(&counted);
    // Somebody else is faster each time.
    let edit = move |live: &Json| {
        *count.lock().unwrap() += 1;
        let mut store = store.lock().unwrap();
        store.version += 1;
        let version = json!(store.version.to_string());
        if let Some(object) = &mut store.object {
            object["metadata"]["resourceVersion"] = version;
        }
        scc::add_users(live, &["ours".to_owned()])
    };
    let object = scc_ref("privileged");
    let start = clock::now();
    let error = writer.edit(&object, &edit).await.unwrap_err();
    let (waited, tries) = (start.elapsed(), *counted.lock().unwrap());
    assert_eq!(error.verdict(), Verdict::Conflict);
    assert!(waited >= EDIT_PATIENCE && waited < EDIT_PATIENCE * 2, "{waited:?}");
    // From hundredths of a second up to five seconds apart.
    assert!((80..400).contains(&tries), "{tries} tries");
}
