//! Watches: which events a watcher sees (Kubernetes API concepts, "Efficient detection of
//! changes", "Watch bookmarks", "Streaming lists").

use serde_json::{Value as Json, json};

use super::request::{ApiCall, KubeReply, WatchSpec};
use super::status::Failure;
use super::store::{HistoryEntry, Store, WatchChange};
use super::types::ApiPath;
use super::{read, table};

/// Begins a watch.
pub(crate) fn start(store: &Store, call: &ApiCall<'_>) -> Result<KubeReply, Failure> {
    let request = call.request;
    let selectors = read::selectors(call)?;
    let mut spec = WatchSpec {
        initial: Vec::new(),
        resource_version: store.revision(),
        timeout_seconds: request.value("timeoutSeconds").and_then(|text| text.parse().ok()),
        kind: call.kind.clone(),
        at: call.at.clone(),
        selectors,
        view: table::view(request),
    };
    if let Some(storage) = &call.kind.storage {
        spec.at.version.clone_from(storage);
    }
    let from = request.value("resourceVersion").unwrap_or_default();
    let streaming = request.flag("sendInitialEvents");
    if streaming || matches!(from, "" | "0") {
        spec.initial = read::selected(store, call, &spec.selectors)
            .into_iter()
            .map(|(_, object)| json!({"type": "ADDED", "object": table::show(&spec.kind, &spec.view, object)}))
            .collect();
        if streaming {
            let mut end = bookmark(store, &spec);
            end["object"]["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
            spec.initial.push(end);
        }
    } else {
        spec.resource_version = from
            .parse()
            .map_err(|_| Failure::bad_request(format!("invalid resource version: \"{from}\"")))?;
        if store.changes_since(spec.resource_version).is_none() {
            return Err(too_old(store, spec.resource_version));
        }
    }
    Ok(KubeReply::Watch(Box::new(spec)))
}

/// The events a watcher who has seen `resource_version` gets next, each with the
/// resourceVersion to ask from afterwards. A version the history no longer reaches gives one
/// ERROR event with a 410 `Status`; close the stream after it.
pub(crate) fn events_since(
    store: &Store,
    spec: &WatchSpec,
    resource_version: u64,
) -> Vec<(u64, Json)> {
    let Some(entries) = store.changes_since(resource_version) else {
        let gone = too_old(store, resource_version).body();
        return vec![(store.revision(), json!({"type": "ERROR", "object": gone}))];
    };
    entries.filter_map(|entry| event(spec, entry).map(|event| (entry.revision, event))).collect()
}

/// A BOOKMARK event at the store's newest resourceVersion.
pub(crate) fn bookmark(store: &Store, spec: &WatchSpec) -> Json {
    json!({"type": "BOOKMARK", "object": {
        "kind": spec.kind.kind,
        "apiVersion": spec.kind.api_version(),
        "metadata": {"resourceVersion": store.revision().to_string(), "creationTimestamp": null},
    }})
}

fn too_old(store: &Store, asked: u64) -> Failure {
    Failure::expired(format!("too old resource version: {asked} ({})", store.revision()))
}

fn event(spec: &WatchSpec, entry: &HistoryEntry) -> Option<Json> {
    let at = ApiPath::parse(&entry.path)?;
    let same = at.group == spec.at.group
        && at.version == spec.at.version
        && at.resource == spec.at.resource
        && (spec.at.namespace.is_none() || at.namespace == spec.at.namespace);
    if !same {
        return None;
    }
    let was = entry.before.as_ref().is_some_and(|before| spec.selectors.match_object(before));
    let is = entry.change != WatchChange::Deleted && spec.selectors.match_object(&entry.object);
    let word = match (was, is) {
        (false, false) => return None,
        (false, true) => "ADDED",
        (true, true) => "MODIFIED",
        (true, false) => "DELETED",
    };
    let mut object = entry.object.as_ref().clone();
    if spec.kind.storage.is_some() {
        object["apiVersion"] = json!(spec.kind.api_version());
    }
    Some(json!({"type": word, "object": table::show(&spec.kind, &spec.view, object)}))
}
