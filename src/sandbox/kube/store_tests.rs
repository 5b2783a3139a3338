//! The store of Kubernetes objects behaves as an API server's.

use super::*;

const NOW: &str = "2026-01-01T00:00:00.123Z";

#[test]
fn put_fills_in_what_the_server_sets_and_an_equal_put_leaves_no_trace() {
    let mut store = Store::new("aks");
    let path = "/apis/apps/v1/namespaces/azureml/deployments/gateway";
    store.put(path, json!({"spec": {"replicas": 1}}), NOW);
    let first = store.get(path).cloned().expect("stored");
    assert_eq!(first["kind"], "Deployment");
    assert_eq!(first["metadata"]["namespace"], "azureml");
    assert_eq!(first["metadata"]["creationTimestamp"], "2026-01-01T00:00:00Z");
    let revision = store.revision();
    store.put(path, json!({"spec": {"replicas": 1}}), "2026-01-02T00:00:00Z");
    assert_eq!(store.revision(), revision);
    store.put(path, json!({"spec": {"replicas": 2}}), NOW);
    let second = store.get(path).expect("stored");
    assert_eq!(second["metadata"]["uid"], first["metadata"]["uid"]);
    assert_eq!(second["metadata"]["generation"], 2);
    assert_eq!(store.list("/apis/apps/v1/deployments").len(), 1);
    assert_eq!(store.list("/apis/apps/v1/namespaces/x/deployments").len(), 0);
}

#[test]
fn set_pointer_makes_parents_and_refuses_to_walk_through_scalars() {
    let mut store = Store::new("aks");
    let path = "/api/v1/namespaces/default";
    assert!(store.set_pointer(path, "/metadata/annotations/a~1b", json!("x"), NOW));
    let stored = store.get(path).expect("stored");
    assert_eq!(stored["metadata"]["annotations"]["a/b"], "x");
    assert!(!store.set_pointer(path, "/metadata/name/deeper/x", json!(1), NOW));
    assert!(!store.set_pointer("/api/v1/namespaces/none", "/x", json!(1), NOW));
}

#[test]
fn the_state_survives_saving_without_its_history() {
    let store = Store::new("openshift");
    let saved = serde_json::to_string(&store).expect("serializes");
    let back: Store = serde_json::from_str(&saved).expect("parses");
    assert_eq!(back.all().len(), store.all().len());
    assert_eq!(back.revision(), store.revision());
    assert!(back.changes_since(back.revision()).is_some());
    assert!(back.changes_since(back.revision() - 1).is_none());
}
