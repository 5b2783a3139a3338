//! DELETE: finalizers, owners, and what namespaces and definitions take along (Kubernetes docs,
//! "Garbage Collection", "Finalizers").

use serde_json::{Value as Json, json};

use super::request::{ApiCall, KubeReply};
use super::status::Failure;
use super::store::Store;
use super::types::ApiPath;
use super::{admission, body, crd, read};
use crate::state::clock::seconds;

/// DELETE of one object.
pub(crate) fn delete(store: &mut Store, call: &ApiCall<'_>) -> Result<KubeReply, Failure> {
    let options: Json =
        if call.request.body.is_empty() { json!({}) } else { body::body_object(call)? };
    let live = call.live(store)?;
    admission::protect(call.facts, &call.kind, call.name(), "delete")?;
    for field in ["resourceVersion", "uid"] {
        let given = &options["preconditions"][field];
        if given.is_string() && *given != live["metadata"][field] {
            let why = format!(
                "Precondition failed: {field} in precondition: {given}, in object meta: {}",
                live["metadata"][field]
            );
            return Err(Failure::conflict(&call.kind, call.name(), &why));
        }
    }
    if options["dryRun"] == json!(["All"]) {
        return Ok(KubeReply::ok(success(call, &live)));
    }
    let policy =
        options["propagationPolicy"].as_str().or_else(|| call.request.value("propagationPolicy"));
    let left = remove(store, &call.path(), call.request.now, policy == Some("Orphan"));
    Ok(KubeReply::ok(match left {
        Some(waiting) => call.present(waiting),
        None => success(call, &live),
    }))
}

pub(crate) fn success(call: &ApiCall<'_>, live: &Json) -> Json {
    let mut details = json!({
        "name": live["metadata"]["name"],
        "kind": call.kind.plural,
        "uid": live["metadata"]["uid"],
    });
    if !call.kind.group.is_empty() {
        details["group"] = json!(call.kind.group);
    }
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
}

/// DELETE of a collection.
pub(crate) fn delete_collection(
    store: &mut Store,
    call: &ApiCall<'_>,
) -> Result<KubeReply, Failure> {
    let selectors = read::selectors(call)?;
    let found = read::selected(store, call, &selectors);
    let items: Vec<Json> = found.iter().map(|(_, object)| object.clone()).collect();
    for (path, object) in &found {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        admission::protect(call.facts, &call.kind, name, "delete")?;
        remove(store, path, call.request.now, false);
    }
    Ok(KubeReply::ok(json!({
        "kind": format!("{}List", call.kind.kind),
        "apiVersion": call.kind.api_version(),
        "metadata": {"resourceVersion": store.revision().to_string()},
        "items": items,
    })))
}

/// Deletes an object as far as finalizers and content let it: `Some` is what is left for now.
pub(crate) fn remove(store: &mut Store, path: &str, now: &str, orphan: bool) -> Option<Json> {
    let mut object = store.get(path)?.clone();
    let finalized = object["metadata"]["finalizers"]
        .as_array()
        .is_some_and(|finalizers| !finalizers.is_empty());
    let content = holds_content(path);
    if !finalized && !content {
        let erased = store.erase(path)?;
        let dependents =
            if orphan { Vec::new() } else { store.dependents(&erased["metadata"]["uid"]) };
        for dependent in dependents {
            remove(store, &dependent, now, false);
        }
        return None;
    }
    if object["metadata"]["deletionTimestamp"].is_null() {
        object["metadata"]["deletionTimestamp"] = json!(seconds(now));
        object["metadata"]["deletionGracePeriodSeconds"] = json!(0);
        if path.starts_with("/api/v1/namespaces/") && content {
            object["status"]["phase"] = json!("Terminating");
        }
        object = store.commit(path, object);
        sweep(store, now);
    }
    Some(object)
}

/// Namespaces and definitions go only when what they hold is gone.
fn holds_content(path: &str) -> bool {
    ApiPath::parse(path).is_some_and(|at| {
        matches!(at.resource.as_str(), "namespaces" | "customresourcedefinitions")
    })
}

/// Takes along what a namespace or definition that is being deleted holds; then the object
/// itself, once nothing is left that waits for a finalizer.
pub(crate) fn sweep(store: &mut Store, now: &str) {
    let mut waiting = store.list("/api/v1/namespaces");
    waiting.extend(store.list(crd::COLLECTION));
    let going: Vec<Json> = waiting
        .into_iter()
        .filter(|object| object["metadata"]["deletionTimestamp"].is_string())
        .cloned()
        .collect();
    for object in going {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let path = if object["kind"] == "Namespace" {
            format!("/api/v1/namespaces/{name}")
        } else {
            format!("{}/{name}", crd::COLLECTION)
        };
        for inside in content_of(store, &object, name) {
            remove(store, &inside, now, true);
        }
        finish_deletion(store, &path, now);
    }
}

fn content_of(store: &Store, object: &Json, name: &str) -> Vec<String> {
    if object["kind"] == "Namespace" {
        return store.paths_in_namespace(name);
    }
    let mut paths: Vec<String> = crd::types_of(object)
        .iter()
        .filter_map(|kind| ApiPath::parse(&kind.path(None, None)))
        .flat_map(|at| {
            let found = store.list_at(&at).into_iter();
            found.map(|(path, _)| path.to_owned()).collect::<Vec<_>>()
        })
        .collect();
    paths.sort();
    paths.dedup();
    paths
}

/// Erases an object marked for deletion when no finalizer and no content holds it.
pub(crate) fn finish_deletion(store: &mut Store, path: &str, now: &str) {
    let Some(object) = store.get(path).cloned() else {
        return;
    };
    let held = object["metadata"]["finalizers"]
        .as_array()
        .is_some_and(|finalizers| !finalizers.is_empty());
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let full = holds_content(path) && !content_of(store, &object, name).is_empty();
    if held || full {
        return;
    }
    if let Some(erased) = store.erase(path) {
        for dependent in store.dependents(&erased["metadata"]["uid"]) {
            remove(store, &dependent, now, false);
        }
    }
}
