//! Conformance stories: what a client sees over the whole request path.

use http::{HeaderMap, Method};
use serde_json::{Value as Json, json};

use super::*;

const NOW: &str = "2026-03-01T10:00:00Z";

/// A cluster and somebody who talks to it.
struct World {
    store: Store,
    facts: ClusterFacts,
    caller: Caller,
}

impl World {
    fn new(distribution: &str) -> Self {
        Self {
            store: Store::new(distribution),
            facts: ClusterFacts {
                scc_edit_denied: false,
                version: "1.33.2".to_owned(),
                openshift: distribution == "openshift",
            },
            caller: Caller::Admin,
        }
    }

    fn send(&mut self, method: &Method, url: &str, media: &str, body: &[u8]) -> Answer {
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        let query: Vec<(String, String)> =
            url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let mut headers = HeaderMap::new();
        let (content, accept) = media.split_once('>').unwrap_or((media, "application/json"));
        headers.insert("content-type", content.parse().expect("media type"));
        headers.insert("accept", accept.parse().expect("accept"));
        headers.insert("user-agent", "story/1.0".parse().expect("agent"));
        let request = Request { method, path, query: &query, headers: &headers, body, now: NOW };
        handle(&mut self.store, &self.facts, &self.caller, &request)
    }

    fn json(&mut self, method: &Method, url: &str, media: &str, body: &Json) -> (u16, Json) {
        let body =
            if body.is_null() { Vec::new() } else { serde_json::to_vec(body).expect("serializes") };
        match self.send(method, url, media, &body) {
            Answer::Json { status, body } => (status, body),
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
    let mut world = World::new("aks");
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
    let mut world = World::new("aks");
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
