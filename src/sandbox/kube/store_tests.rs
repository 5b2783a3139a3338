//! The store of Kubernetes objects behaves as an API server's.

use super::*;

const NOW: &str = "2026-01-01T00:00:00.123Z";

#[test]
fn put_fills_in_what_the_server_sets_and_an_equal_put_leaves_no_trace() {
    let mut store = Store::new("aks", NOW);
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
    let mut store = Store::new("aks", NOW);
    let path = "/api/v1/namespaces/default";
    assert!(store.set_pointer(path, "/metadata/annotations/a~1b", json!("x"), NOW));
    let stored = store.get(path).expect("stored");
    assert_eq!(stored["metadata"]["annotations"]["a/b"], "x");
    assert!(!store.set_pointer(path, "/metadata/name/deeper/x", json!(1), NOW));
    assert!(!store.set_pointer("/api/v1/namespaces/none", "/x", json!(1), NOW));
}

#[test]
fn what_differs_from_the_beginning_makes_the_store_again() {
    let beginning = Store::new("openshift", NOW).begun();
    assert_eq!(beginning.changes(false).count(), 0);
    let mut store = beginning.clone();
    store.put("/api/v1/namespaces/azureml", json!({}), NOW);
    store.remove("/apis/security.openshift.io/v1/securitycontextconstraints/anyuid");
    let mut again = beginning;
    for (path, object) in store.changes(false) {
        again.restore(path.to_owned(), object.cloned());
    }
    again.restore_revision(store.revision());
    assert_eq!(again.all(), store.all());
    assert_eq!(again.revision(), store.revision());
    assert_eq!((store.changes(true).count(), again.changes(true).count()), (3, 0));
    assert!(again.changes_since(again.revision()).is_some());
    assert!(again.changes_since(again.revision() - 1).is_none());
}
