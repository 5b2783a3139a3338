//! GET: objects, lists with selectors and continue tokens, and the scale and log subresources.

use base64::Engine as _;
use serde_json::{Value as Json, json};

use super::request::{ApiCall, KubeReply};
use super::selectors::Selectors;
use super::status::Failure;
use super::store::Store;
use super::table;

/// GET of one object or subresource.
pub(crate) fn get(store: &Store, call: &ApiCall<'_>) -> Result<KubeReply, Failure> {
    let live = call.live(store)?;
    match call.sub() {
        Some("log") => {
            let first = live["spec"]["containers"][0]["name"].as_str();
            let container = call.request.value("container").or(first).unwrap_or("main");
            let line = format!("{} {container}: started\n", call.name());
            Ok(KubeReply::text(200, line))
        }
        Some("scale") => Ok(KubeReply::ok(scale(&live))),
        Some("status") | None => {
            let object = call.present(live);
            Ok(KubeReply::ok(table::negotiate(call, object)))
        }
        Some(_) => Err(Failure::method_not_allowed()),
    }
}

/// The `Scale` view of an object.
pub(crate) fn scale(object: &Json) -> Json {
    let labels = object.pointer("/spec/selector/matchLabels");
    let selector: Vec<String> = labels
        .and_then(Json::as_object)
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    let meta = &object["metadata"];
    json!({
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {
            "name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"],
            "resourceVersion": meta["resourceVersion"], "creationTimestamp": meta["creationTimestamp"],
        },
        "spec": {"replicas": object["spec"]["replicas"]},
        "status": {"replicas": object["status"]["replicas"].as_i64().unwrap_or(0), "selector": selector.join(",")},
    })
}

/// The selectors of a collection request.
pub(crate) fn selectors(call: &ApiCall<'_>) -> Result<Selectors, Failure> {
    let mut selectors =
        Selectors::parse(call.request.value("labelSelector"), call.request.value("fieldSelector"))?;
    selectors.name.clone_from(&call.at.name);
    Ok(selectors)
}

/// Paths and objects a collection request selects, in path order.
pub(crate) fn selected(
    store: &Store,
    call: &ApiCall<'_>,
    selectors: &Selectors,
) -> Vec<(String, Json)> {
    let mut wanted = call.at.clone();
    if let Some(storage) = &call.kind.storage {
        wanted.version.clone_from(storage);
    }
    store
        .list_at(&wanted)
        .into_iter()
        .filter(|(_, object)| selectors.match_object(object))
        .map(|(path, object)| (path.to_owned(), call.present(object.clone())))
        .collect()
}

/// GET of a collection.
pub(crate) fn list(store: &Store, call: &ApiCall<'_>) -> Result<KubeReply, Failure> {
    let selectors = selectors(call)?;
    let mut found = selected(store, call, &selectors);
    let token = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    if let Some(given) = call.request.value("continue").filter(|text| !text.is_empty()) {
        let start = token
            .decode(given)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or_else(|| Failure::bad_request("continue key is not valid"))?;
        found.retain(|(path, _)| *path > start);
    }
    let mut metadata = json!({"resourceVersion": store.revision().to_string()});
    let limit = match call.request.value("limit") {
        None => 0,
        Some(text) => text
            .parse::<usize>()
            .map_err(|_| Failure::bad_request(format!("unable to parse limit: \"{text}\"")))?,
    };
    if limit > 0 && found.len() > limit {
        let left = found.len() - limit;
        found.truncate(limit);
        if let Some((path, _)) = found.last() {
            metadata["continue"] = json!(token.encode(path));
            metadata["remainingItemCount"] = json!(left);
        }
    }
    let items: Vec<Json> = found.into_iter().map(|(_, object)| object).collect();
    let list = json!({
        "kind": format!("{}List", call.kind.kind),
        "apiVersion": call.kind.api_version(),
        "metadata": metadata,
        "items": items,
    });
    Ok(KubeReply::ok(table::negotiate(call, list)))
}
