//! Conformance stories: what a client sees over the whole request path.

use http::{HeaderMap, Method};
use serde_json::{Value as Json, json};

use super::api::handle;
use super::crd;
use super::rbac::scc_allows;
use super::request::{ApiRequest, Caller, ClusterFacts, KubeReply};
use super::store::Store;
use super::watch::events_since;

const NOW: &str = "2026-03-01T10:00:00Z";

/// A cluster and somebody who talks to it.
struct TestCluster {
    store: Store,
    facts: ClusterFacts,
    caller: Caller,
}

impl TestCluster {
    fn new(distribution: &str) -> Self {
        Self {
            store: Store::new(distribution, "2026-01-01T00:00:00Z"),
            facts: ClusterFacts { scc_edit_denied: false, version: "1.33.2".to_owned() },
            caller: Caller::Admin,
        }
    }

    fn send(&mut self, method: &Method, url: &str, media: &str, body: &[u8]) -> KubeReply {
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        let query: Vec<(String, String)> =
            url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let mut headers = HeaderMap::new();
        let (content, accept) = media.split_once('>').unwrap_or((media, "application/json"));
        headers.insert("content-type", content.parse().expect("media type"));
        headers.insert("accept", accept.parse().expect("accept"));
        headers.insert("user-agent", "story/1.0".parse().expect("agent"));
        let request = ApiRequest { method, path, query: &query, headers: &headers, body, now: NOW };
        handle(&mut self.store, &self.facts, &self.caller, &request)
    }

    fn json(&mut self, method: &Method, url: &str, media: &str, body: &Json) -> (u16, Json) {
        let body =
            if body.is_null() { Vec::new() } else { serde_json::to_vec(body).expect("serializes") };
        match self.send(method, url, media, &body) {
            KubeReply::Json { status, body } => (status, body),
            other => panic!("no JSON: {other:?}"),
        }
    }

    fn get(&mut self, url: &str) -> (u16, Json) {
        self.json(&Method::GET, url, "application/json", &Json::Null)
    }

    fn post(&mut self, url: &str, body: &Json) -> (u16, Json) {
        self.json(&Method::POST, url, "application/json", body)
    }

    fn apply(&mut self, url: &str, body: &Json) -> (u16, Json) {
        self.json(&Method::PATCH, url, "application/apply-patch+yaml", body)
    }

    fn delete(&mut self, url: &str) -> (u16, Json) {
        self.json(&Method::DELETE, url, "application/json", &Json::Null)
    }
}

fn namespace(name: &str) -> Json {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

#[test]
fn an_object_is_created_read_replaced_under_optimistic_locking_and_deleted() {
    let mut world = TestCluster::new("aks");
    let (status, made) = world.post("/api/v1/namespaces", &namespace("azureml"));
    assert_eq!(status, 201);
    assert_eq!(made["status"]["phase"], "Active");
    let (status, again) = world.post("/api/v1/namespaces", &namespace("azureml"));
    assert_eq!((status, &again["reason"]), (409, &json!("AlreadyExists")));
    let mut stale = made.clone();
    let mut fresh = made;
    fresh["metadata"]["labels"]["team"] = json!("ml");
    let url = "/api/v1/namespaces/azureml";
    let (status, updated) = world.json(&Method::PUT, url, "application/json", &fresh);
    assert_eq!((status, &updated["metadata"]["labels"]["team"]), (200, &json!("ml")));
    stale["metadata"]["labels"]["team"] = json!("other");
    let (status, conflict) = world.json(&Method::PUT, url, "application/json", &stale);
    assert_eq!((status, &conflict["reason"]), (409, &json!("Conflict")));
    let (status, left) = world.delete(url);
    assert_eq!((status, &left["status"]["phase"]), (200, &json!("Terminating")));
    let (status, gone) = world.get(url);
    assert_eq!(status, 404);
    assert_eq!(gone["message"], "namespaces \"azureml\" not found");
    assert_eq!(gone["details"], json!({"kind": "namespaces", "name": "azureml"}));
}

#[test]
fn server_side_apply_creates_conflicts_yields_to_force_and_removes_what_is_no_longer_applied() {
    let mut world = TestCluster::new("aks");
    let url = "/api/v1/namespaces/default/configmaps/c";
    let config = |data: Json| json!({"apiVersion": "v1", "kind": "ConfigMap", "data": data});
    let (status, _) = world.apply(url, &config(json!({"a": "1"})));
    assert_eq!(status, 422, "fieldManager is required");
    let one = format!("{url}?fieldManager=one");
    let two = format!("{url}?fieldManager=two");
    let (status, made) = world.apply(&one, &config(json!({"a": "1", "b": "1"})));
    assert_eq!(status, 201);
    let entry = &made["metadata"]["managedFields"][0];
    assert_eq!((&entry["manager"], &entry["operation"]), (&json!("one"), &json!("Apply")));
    assert_eq!(entry["fieldsV1"], json!({"f:data": {"f:a": {}, "f:b": {}}}));
    let (status, same) = world.apply(&one, &config(json!({"a": "1", "b": "1"})));
    assert_eq!(status, 200);
    assert_eq!(same["metadata"]["resourceVersion"], made["metadata"]["resourceVersion"]);
    let (status, conflict) = world.apply(&two, &config(json!({"a": "2"})));
    assert_eq!(status, 409);
    assert_eq!(conflict["details"]["causes"][0]["field"], ".data.a");
    assert_eq!(conflict["details"]["causes"][0]["reason"], "FieldManagerConflict");
    let (status, forced) = world.apply(&format!("{two}&force=true"), &config(json!({"a": "2"})));
    assert_eq!((status, &forced["data"]), (200, &json!({"a": "2", "b": "1"})));
    let (_, pruned) = world.apply(&one, &config(json!({})));
    assert_eq!(pruned["data"], json!({"a": "2"}));
}

#[test]
fn keyed_lists_have_owners_per_item_and_atomic_lists_one_owner() {
    let mut world = TestCluster::new("openshift");
    let url = "/apis/apps/v1/namespaces/default/deployments/d?force=true&fieldManager=";
    let deployment = |containers: Json| {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {
            "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": containers}}}})
    };
    let main = json!({"name": "main", "image": "m:1"});
    let side = json!({"name": "side", "image": "s:1"});
    world.apply(&format!("{url}one"), &deployment(json!([main, side])));
    world.apply(&format!("{url}two"), &deployment(json!([{"name": "main", "image": "m:2"}])));
    let (_, left) = world.apply(&format!("{url}one"), &deployment(json!([{"name": "main"}])));
    assert_eq!(
        left.pointer("/spec/template/spec/containers"),
        Some(&json!([{"name": "main", "image": "m:2"}]))
    );
    let scc = "/apis/security.openshift.io/v1/securitycontextconstraints/privileged";
    let users = json!({"apiVersion": "security.openshift.io/v1", "kind": "SecurityContextConstraints", "users": ["x"]});
    let (status, taken) = world.apply(&format!("{scc}?fieldManager=one&force=true"), &users);
    assert_eq!((status, &taken["users"]), (200, &json!(["x"])), "the whole list is replaced");
    let (status, _) = world.apply(&format!("{scc}?fieldManager=two"), &json!({
        "apiVersion": "security.openshift.io/v1", "kind": "SecurityContextConstraints", "users": ["x", "y"]}));
    assert_eq!(status, 409);
}

#[test]
fn an_update_takes_over_the_fields_it_changes_so_a_later_apply_conflicts() {
    let mut world = TestCluster::new("aks");
    let url = "/api/v1/namespaces/default/configmaps/c";
    let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "1"}});
    let applied = format!("{url}?fieldManager=tool");
    world.apply(&applied, &config);
    let patch = json!({"data": {"a": "by hand"}});
    let edited = format!("{url}?fieldManager=kubectl-edit");
    world.json(&Method::PATCH, &edited, "application/merge-patch+json", &patch);
    let (status, conflict) = world.apply(&applied, &config);
    assert_eq!(status, 409);
    let message = conflict["message"].as_str().unwrap_or_default();
    assert_eq!(
        message,
        "Apply failed with 1 conflict: conflict with \"kubectl-edit\" using v1: .data.a"
    );
    let (status, _) = world.apply(&format!("{url}?fieldManager=tool&dryRun=All&force=1"), &config);
    assert_eq!(status, 200);
    assert_eq!(world.get(url).1["data"]["a"], "by hand", "a dry run changes nothing");
}

#[test]
fn each_patch_format_works_on_the_types_that_have_it() {
    let mut world = TestCluster::new("openshift");
    let scc = "/apis/security.openshift.io/v1/securitycontextconstraints/privileged";
    let namespace = "/api/v1/namespaces/default";
    let add = json!([{"op": "add", "path": "/users/-", "value": "u"}]);
    let test = json!([{"op": "test", "path": "/users/0", "value": "nobody"}]);
    let label = json!({"metadata": {"labels": {"a": "b"}}});
    for (url, media, body, expected) in [
        (scc, "json-patch+json", &add, 200),
        (scc, "json-patch+json", &test, 422),
        (scc, "merge-patch+json", &label, 200),
        (scc, "strategic-merge-patch+json", &label, 415),
        (namespace, "strategic-merge-patch+json", &label, 200),
        (namespace, "json", &label, 415),
        (namespace, "merge-patch+json", &json!([]), 400),
        (namespace, "merge-patch+json", &json!({"metadata": "x"}), 400),
        (namespace, "json-patch+json", &json!([{"op": "replace", "path": "", "value": 5}]), 400),
        ("/api/v1/namespaces/none", "merge-patch+json", &label, 404),
    ] {
        let media = format!("application/{media}");
        let (status, answer) = world.json(&Method::PATCH, url, &media, body);
        assert_eq!(status, expected, "{url} {media} {answer}");
    }
    let users = &world.get(scc).1["users"];
    assert_eq!(users[2], "u");
}

#[test]
fn refusals_carry_the_status_clients_look_at() {
    let mut world = TestCluster::new("openshift");
    let rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings";
    let binding = |role: &str| {
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": "b"}, "roleRef": {"kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "Group", "name": "g"}]})
    };
    let (_, made) = world.post(rbac, &binding("view"));
    assert_eq!(made["subjects"][0]["apiGroup"], "rbac.authorization.k8s.io");
    let url = format!("{rbac}/b");
    let other = binding("edit");
    for (method, url, body, code, reason) in [
        (Method::PUT, url.as_str(), other, 422, "Invalid"),
        (Method::POST, "/api/v1/namespaces", namespace("Bad_Name"), 422, "Invalid"),
        (Method::POST, "/api/v1/namespaces", json!({"kind": "Pod"}), 400, "BadRequest"),
        (
            Method::POST,
            "/api/v1/namespaces/none/configmaps",
            json!({"metadata": {"name": "c"}}),
            404,
            "NotFound",
        ),
        (Method::POST, "/api/v1/configmaps", json!({}), 405, "MethodNotAllowed"),
        (Method::DELETE, "/api/v1/namespaces/kube-system", Json::Null, 403, "Forbidden"),
        (Method::GET, "/apis/nosuch.io/v1/things", Json::Null, 404, "NotFound"),
        (Method::GET, "/api/v1/namespaces?watch=1&resourceVersion=1", Json::Null, 410, "Expired"),
    ] {
        if code == 410 {
            world.store = world.store.clone().begun();
        }
        let (status, answer) = world.json(&method, url, "application/json", &body);
        assert_eq!((status, answer["reason"].as_str()), (code, Some(reason)), "{method} {url}");
        assert_eq!((&answer["kind"], &answer["code"]), (&json!("Status"), &json!(code)));
    }
}

#[test]
fn default_security_context_constraints_are_protected_where_the_platform_does_so() {
    let mut world = TestCluster::new("openshift");
    world.facts.scc_edit_denied = true;
    let url = "/apis/security.openshift.io/v1/securitycontextconstraints/privileged";
    let patch = json!({"users": ["x"]});
    let (status, denied) = world.json(&Method::PATCH, url, "application/merge-patch+json", &patch);
    assert_eq!(status, 403);
    let message = denied["message"].as_str().unwrap_or_default();
    assert!(message.ends_with("denied the request: Modifying default SCCs is not allowed"));
    assert_eq!(world.delete(url).0, 403);
    let own = json!({"metadata": {"name": "mine"}, "users": []});
    let collection = "/apis/security.openshift.io/v1/securitycontextconstraints";
    assert_eq!(world.post(collection, &own).0, 201);
    assert_eq!(world.delete(&format!("{collection}/mine")).0, 200);
}

#[test]
fn a_service_account_may_use_a_constraint_through_users_groups_or_a_role_binding() {
    let url = "/apis/security.openshift.io/v1/securitycontextconstraints/privileged";
    let rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/azureml/rolebindings/scc";
    let role = json!({"kind": "ClusterRole", "name": "system:openshift:scc:privileged"});
    let account = json!({"kind": "ServiceAccount", "name": "default", "namespace": "azureml"});
    let group = json!({"kind": "Group", "name": "system:serviceaccounts:azureml"});
    let users = json!(["system:serviceaccount:azureml:default"]);
    for (path, object) in [
        (url, json!({"users": users})),
        (url, json!({"groups": ["system:serviceaccounts:azureml"]})),
        (rbac, json!({"roleRef": role, "subjects": [account]})),
        (rbac, json!({"roleRef": role, "subjects": [group]})),
    ] {
        let mut world = TestCluster::new("openshift");
        assert!(!scc_allows(&world.store, "privileged", "azureml", "default"));
        assert!(scc_allows(&world.store, "restricted-v2", "azureml", "default"));
        world.store.put(path, object, NOW);
        assert!(scc_allows(&world.store, "privileged", "azureml", "default"), "{path}");
        assert!(!scc_allows(&world.store, "privileged", "other", "default"), "{path}");
    }
}

#[test]
fn callers_get_the_rights_they_have() {
    let mut world = TestCluster::new("aks");
    let review = |verb: &str| json!({"spec": {"resourceAttributes": {"verb": verb, "resource": "pods", "namespace": "default"}}});
    let url = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let account =
        Caller::ServiceAccount { namespace: "default".to_owned(), name: "default".to_owned() };
    world.store.put(
        "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings/v",
        json!({"roleRef": {"kind": "ClusterRole", "name": "view"},
               "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "default"}]}),
        NOW,
    );
    for (caller, reads, creates) in [
        (Caller::Admin, true, true),
        (Caller::ReadOnly, true, false),
        (account.clone(), true, false),
    ] {
        world.caller = caller;
        assert_eq!(world.post(url, &review("list")).1["status"]["allowed"], reads);
        assert_eq!(world.post(url, &review("create")).1["status"]["allowed"], creates);
        let pod = json!({"metadata": {"name": "p"}});
        let (status, _) = world.post("/api/v1/namespaces/default/pods", &pod);
        assert_eq!(status, if creates { 201 } else { 403 });
        assert_eq!(world.get("/api/v1/namespaces/default/pods/p").0, 200);
    }
    assert_eq!(world.get("/api/v1/namespaces/kube-system/pods").0, 403, "another namespace");
    world.caller = Caller::Anonymous;
    assert_eq!(world.get("/api/v1/namespaces").0, 401);
}

#[test]
fn a_definition_serves_its_resources_until_it_is_deleted_with_them() {
    let mut world = TestCluster::new("aks");
    let crd = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "jobs.batch.volcano.sh"},
        "spec": {"group": "batch.volcano.sh", "scope": "Namespaced",
            "names": {"kind": "Job", "plural": "jobs"},
            "versions": [{"name": "v1alpha1", "served": true, "storage": true,
                "subresources": {"status": {}}, "schema": {"openAPIV3Schema": {"type": "object"}}}]}});
    let url = "/apis/batch.volcano.sh/v1alpha1/namespaces/default/jobs";
    assert_eq!(world.get(url).0, 404);
    let (status, made) = world.post(crd::COLLECTION, &crd);
    assert_eq!(status, 201);
    assert_eq!(made["status"]["conditions"][1]["type"], "Established");
    let resources = world.get("/apis/batch.volcano.sh/v1alpha1").1;
    assert_eq!(resources["resources"][1]["name"], "jobs/status");
    let job = json!({"metadata": {"generateName": "j-"}, "spec": {"x": 1}, "status": {"no": 1}});
    let (status, job) = world.post(url, &job);
    assert_eq!((status, job.get("status")), (201, None), "status has its own endpoint");
    assert_eq!(job["metadata"]["name"].as_str().map(str::len), Some(7));
    assert_eq!(world.get(url).1["items"].as_array().map(Vec::len), Some(1));
    let path = format!("{}/jobs.batch.volcano.sh", crd::COLLECTION);
    world.delete(&path);
    assert_eq!(world.get(url).0, 404);
    assert!(world.store.all().iter().all(|object| object["spec"]["x"] != 1));
    world.store.put(&path, crd, NOW);
    assert_eq!(world.get(url).0, 200, "a controller's definition is served as well");
}

#[test]
fn a_namespace_waits_for_finalizers_and_takes_its_content_along() {
    let mut world = TestCluster::new("aks");
    world.post("/api/v1/namespaces", &namespace("n"));
    let maps = "/api/v1/namespaces/n/configmaps";
    world.post(maps, &json!({"metadata": {"name": "plain"}}));
    world.post(maps, &json!({"metadata": {"name": "held", "finalizers": ["a/b"]}}));
    world.delete("/api/v1/namespaces/n");
    assert_eq!(world.get("/api/v1/namespaces/n").1["status"]["phase"], "Terminating");
    assert_eq!(world.get(&format!("{maps}/plain")).0, 404);
    assert_eq!(world.post(maps, &json!({"metadata": {"name": "late"}})).0, 403);
    let free = json!({"metadata": {"finalizers": null}});
    let held = format!("{maps}/held");
    let (status, _) = world.json(&Method::PATCH, &held, "application/merge-patch+json", &free);
    assert_eq!(status, 200);
    assert_eq!(world.get("/api/v1/namespaces/n").0, 404);
}

#[test]
fn watches_see_what_their_selectors_match_from_the_version_they_ask_for() {
    let mut world = TestCluster::new("aks");
    let collection = "/api/v1/namespaces/default/configmaps";
    let path = format!("{collection}/c");
    let from = world.store.revision();
    let url = format!("{collection}?watch=true&resourceVersion={from}&labelSelector=app%3Dfe");
    let KubeReply::Watch(spec) = world.send(&Method::GET, &url, "application/json", b"") else {
        panic!("no watch");
    };
    world.post(collection, &json!({"metadata": {"name": "c"}}));
    for label in [json!("fe"), json!("be"), json!("fe")] {
        world.store.set_pointer(&path, "/metadata/labels/app", label, NOW);
    }
    world.store.set_pointer(&path, "/data/x", json!("1"), NOW);
    world.store.remove(&path);
    let events = events_since(&world.store, &spec, from);
    let words: Vec<&str> = events.iter().filter_map(|(_, event)| event["type"].as_str()).collect();
    assert_eq!(words, ["ADDED", "DELETED", "ADDED", "MODIFIED", "DELETED"]);
    let next = events.last().map_or(0, |(revision, _)| *revision);
    assert!(events_since(&world.store, &spec, next).is_empty());
    let url = "/api/v1/namespaces?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
    let KubeReply::Watch(spec) = world.send(&Method::GET, url, "application/json", b"") else {
        panic!("no watch");
    };
    assert_eq!(spec.initial.first().map(|event| &event["type"]), Some(&json!("ADDED")));
    let end = spec.initial.last().expect("ends with a bookmark");
    assert_eq!(end["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
}

#[test]
fn lists_page_and_print_as_tables() {
    let mut world = TestCluster::new("aks");
    let (_, first) = world.get("/api/v1/namespaces?limit=3");
    assert_eq!(first["metadata"]["remainingItemCount"], 1);
    let token = first["metadata"]["continue"].as_str().unwrap_or_default();
    let (_, second) = world.get(&format!("/api/v1/namespaces?limit=3&continue={token}"));
    assert_eq!(second["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(second["metadata"].get("continue"), None);
    let media = "application/json>application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
    let url = "/api/v1/namespaces/default";
    let (_, table) = world.json(&Method::GET, url, media, &Json::Null);
    assert_eq!(table["rows"][0]["cells"], json!(["default", "Active", "59d"]));
    world.store.put(
        "/apis/apps/v1/namespaces/default/deployments/d",
        json!({"spec": {"replicas": 3}, "status": {"readyReplicas": 2, "availableReplicas": 2, "updatedReplicas": 3}}),
        NOW,
    );
    let url = "/apis/apps/v1/deployments";
    let (_, table) = world.json(&Method::GET, url, media, &Json::Null);
    assert_eq!(table["rows"][0]["cells"], json!(["d", "2/3", "3", "2", "0s"]));
}

/// What kubectl prints: a pod that has done its work is `Completed`, whatever its phase is called.
#[test]
fn the_table_of_pods_says_what_their_containers_do() {
    let mut world = TestCluster::new("aks");
    let ended =
        |reason: &str, code: i64| json!({"terminated": {"reason": reason, "exitCode": code}});
    let running = json!({"running": {}});
    for (name, phase, states, said) in [
        ("done", "Succeeded", vec![ended("Completed", 0)], "Completed"),
        ("failed", "Failed", vec![ended("Error", 1)], "Error"),
        ("nameless", "Failed", vec![ended("", 3)], "ExitCode:3"),
        ("half", "Running", vec![ended("Completed", 0), running.clone()], "Running"),
        (
            "loops",
            "Running",
            vec![json!({"waiting": {"reason": "CrashLoopBackOff"}})],
            "CrashLoopBackOff",
        ),
        ("works", "Running", vec![running], "Running"),
        ("waits", "Pending", vec![], "Pending"),
    ] {
        let path = format!("/api/v1/namespaces/default/pods/{name}");
        let status = |value: Json| json!({"ready": value["running"].is_object(), "state": value});
        let statuses: Vec<Json> = states.into_iter().map(status).collect();
        world.store.put(
            &path,
            json!({"status": {"phase": phase, "containerStatuses": statuses}}),
            NOW,
        );
        let media = "application/json>application/json;as=Table;v=v1;g=meta.k8s.io";
        let (_, table) = world.json(&Method::GET, &path, media, &Json::Null);
        assert_eq!(table["rows"][0]["cells"][2], said, "{name}: {table}");
    }
}

#[test]
fn deleting_an_owner_deletes_what_only_it_owns_unless_told_to_orphan() {
    for (policy, left) in [("Background", 404), ("Foreground", 404), ("Orphan", 200)] {
        let mut world = TestCluster::new("aks");
        let owner = "/apis/apps/v1/namespaces/default/deployments/d";
        let owned = "/api/v1/namespaces/default/pods/p";
        world.store.put(owner, json!({"spec": {}}), NOW);
        let uid = world.get(owner).1["metadata"]["uid"].clone();
        let reference =
            json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": "d", "uid": uid}]);
        world.store.put(owned, json!({"metadata": {"ownerReferences": reference}}), NOW);
        world.delete(&format!("{owner}?propagationPolicy={policy}"));
        assert_eq!(world.get(owned).0, left, "{policy}");
    }
}

#[test]
fn no_body_makes_the_server_panic() {
    let bodies = [
        "",
        "null",
        "5",
        "[]",
        "{",
        "a: [b",
        "{\"metadata\": 5}",
        "{\"spec\": []}",
        "{\"metadata\": {\"name\": 5, \"labels\": [1], \"finalizers\": {}}}",
        "{\"metadata\": {\"name\": \"x\", \"ownerReferences\": [5], \"managedFields\": 7}}",
        "{\"metadata\": {\"name\": \"x\"}, \"spec\": {\"ports\": [1], \"names\": 3, \"versions\": [{}]}}",
        "{\"metadata\": {\"name\": \"x\"}, \"subjects\": [[]], \"roleRef\": \"y\", \"data\": 5, \"stringData\": {\"a\": 1}}",
        "[{\"op\": \"replace\", \"path\": \"\", \"value\": []}]",
        "[{\"op\": \"replace\", \"path\": \"/metadata\", \"value\": null}]",
        "[{\"op\": \"add\", \"path\": \"/status\", \"value\": \"s\"}]",
    ];
    let mut world = TestCluster::new("openshift");
    let kinds = world.store.types();
    for kind in &kinds {
        let namespace = (!kind.cluster).then_some("default");
        let collection = kind.path(namespace, None);
        let object = kind.path(namespace, Some("x"));
        if !kind.review {
            world.store.put(&object, json!({}), NOW);
        }
        for body in bodies {
            let body = body.as_bytes();
            let query = "?fieldManager=m&force=true";
            world.send(&Method::POST, &collection, "application/json", body);
            world.send(&Method::PUT, &object, "application/json", body);
            for sub in kind.sub.iter().map(|sub| format!("/{sub}")).chain([String::new()]) {
                let url = format!("{object}{sub}{query}");
                for media in [
                    "json-patch+json",
                    "merge-patch+json",
                    "strategic-merge-patch+json",
                    "apply-patch+yaml",
                ] {
                    world.send(&Method::PATCH, &url, &format!("application/{media}"), body);
                }
            }
            world.send(&Method::POST, &collection, "application/vnd.kubernetes.protobuf", body);
            world.send(&Method::DELETE, &collection, "application/json", body);
        }
        assert_eq!(world.get("/api/v1/namespaces/default").0, 200, "{}", kind.plural);
    }
}

#[test]
fn nobody_grants_more_than_he_has_unless_he_may_escalate_or_bind() {
    let mut world = TestCluster::new("generic");
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let rule = |group: &str, resource: &str, verbs: &[&str], names: &[&str]| json!({"apiGroups": [group], "resources": [resource], "verbs": verbs, "resourceNames": names});
    let own = |more: Vec<Json>| {
        let group = "rbac.authorization.k8s.io";
        let mut rules = vec![
            rule("", "pods", &["get", "list"], &[]),
            rule(group, "clusterroles", &["create", "get", "patch"], &[]),
            rule(group, "clusterrolebindings", &["create"], &[]),
        ];
        rules.extend(more);
        json!({"metadata": {"name": "own"}, "rules": rules})
    };
    let subject = json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "u"});
    let binding = |name: &str, role: &str| json!({"metadata": {"name": name}, "roleRef": {"kind": "ClusterRole", "name": role}, "subjects": [subject]});
    world.post(&format!("{rbac}/clusterroles"), &own(Vec::new()));
    world.post(&format!("{rbac}/clusterrolebindings"), &binding("own", "own"));
    let role = |name: &str, rules: Json| json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules});
    let (pods, secrets) =
        (json!([rule("", "pods", &["get"], &[])]), json!([rule("", "secrets", &["get"], &[])]));
    let user = Caller::User { name: "u".to_owned(), groups: Vec::new() };
    world.caller = user.clone();
    let roles = format!("{rbac}/clusterroles");
    assert_eq!(world.post(&roles, &role("a", pods.clone())).0, 201);
    let (status, answer) = world.post(&roles, &role("b", secrets.clone()));
    assert_eq!((status, answer["reason"].as_str()), (403, Some("Forbidden")), "{answer}");
    assert!(answer["message"].as_str().is_some_and(|text| text.contains("not currently held")));
    assert_eq!(world.post(&roles, &role("b", json!([rule("", "*", &["get"], &[])]))).0, 403);
    // Leave to escalate one role counts where its name stands in the address.
    world.caller = Caller::Admin;
    let leave = rule("rbac.authorization.k8s.io", "clusterroles", &["escalate", "bind"], &["b"]);
    let (status, _) = world.json(
        &Method::PATCH,
        &format!("{roles}/own"),
        "application/merge-patch+json",
        &own(vec![leave]),
    );
    assert_eq!(status, 200);
    world.caller = user;
    assert_eq!(world.post(&roles, &role("b", secrets.clone())).0, 403);
    let apply = |name: &str| format!("{roles}/{name}?fieldManager=t");
    let (status, answer) = world.json(
        &Method::PATCH,
        &apply("b"),
        "application/apply-patch+yaml",
        &role("b", secrets.clone()),
    );
    assert_eq!(status, 201, "{answer}");
    assert_eq!(
        world
            .json(&Method::PATCH, &apply("c"), "application/apply-patch+yaml", &role("c", secrets))
            .0,
        403
    );
    let bindings = format!("{rbac}/clusterrolebindings");
    assert_eq!(world.post(&bindings, &binding("b", "b")).0, 201);
    assert_eq!(world.post(&bindings, &binding("admin", "cluster-admin")).0, 403);
}
