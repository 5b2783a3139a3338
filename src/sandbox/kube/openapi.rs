//! OpenAPI documents small enough to keep and rich enough for `kubectl apply`, `edit` and
//! `explain`: every type with its group-version-kind, fields left open unless a
//! CustomResourceDefinition describes them.

use serde_json::{Map, Value as Json, json};

use super::request::KubeReply;
use super::store::Store;
use super::types::{ResourceType, group_version};

/// Answers `/openapi/…`.
pub(crate) fn serve(store: &Store, rest: &[&str]) -> Option<KubeReply> {
    match rest {
        ["v2"] => Some(KubeReply::ok(document_v2(store))),
        ["v3"] => Some(KubeReply::ok(root(store))),
        ["v3", "api", version] => document(store, "", version),
        ["v3", "apis", group, version] => document(store, group, version),
        _ => None,
    }
}

fn root(store: &Store) -> Json {
    let mut paths = Map::new();
    for kind in store.types() {
        let path = if kind.group.is_empty() {
            format!("api/{}", kind.version)
        } else {
            format!("apis/{}/{}", kind.group, kind.version)
        };
        let link = format!("/openapi/v3/{path}?hash={}", store.types().len());
        paths.insert(path, json!({"serverRelativeURL": link}));
    }
    json!({"paths": paths})
}

fn schema_name(kind: &ResourceType) -> String {
    let mut group: Vec<&str> = kind.group.split('.').filter(|part| !part.is_empty()).collect();
    group.reverse();
    if group.is_empty() {
        group.push("core");
    }
    format!("{}.{}.{}", group.join("."), kind.version, kind.kind)
}

fn schema(kind: &ResourceType) -> Json {
    let mut schema = kind
        .schema
        .clone()
        .unwrap_or_else(|| json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}));
    let text = |what: &str| json!({"type": "string", "description": what});
    schema["properties"]["apiVersion"] = text("The versioned schema of this representation.");
    schema["properties"]["kind"] = text("The REST resource this object represents.");
    schema["properties"]["metadata"] =
        json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    schema["x-kubernetes-group-version-kind"] =
        json!([{"group": kind.group, "version": kind.version, "kind": kind.kind}]);
    schema
}

fn document(store: &Store, group: &str, version: &str) -> Option<KubeReply> {
    let types = store.types();
    let types: Vec<&ResourceType> =
        types.iter().filter(|kind| kind.group == group && kind.version == version).collect();
    if types.is_empty() {
        return None;
    }
    let mut paths = Map::new();
    let mut schemas = Map::new();
    for kind in types {
        schemas.insert(schema_name(kind), schema(kind));
        let namespace = (!kind.cluster).then_some("{namespace}");
        let gvk = json!({"group": kind.group, "version": kind.version, "kind": kind.kind});
        let query = |name: &str| json!({"in": "query", "name": name, "schema": {"type": "string"}});
        let parameters = json!([
            query("dryRun"),
            query("fieldManager"),
            query("fieldValidation"),
            query("force")
        ]);
        let reference = json!({"$ref": format!("#/components/schemas/{}", schema_name(kind))});
        let operation = |action: &str, media: &str| {
            json!({
                "x-kubernetes-action": action,
                "x-kubernetes-group-version-kind": gvk,
                "parameters": parameters,
                "requestBody": {"content": {media: {"schema": reference}}},
                "responses": {"200": {"description": "OK", "content": {"application/json": {"schema": reference}}}},
            })
        };
        let path = ResourceType { storage: None, ..kind.clone() };
        paths.insert(
            path.path(namespace, None),
            json!({"post": operation("post", "application/json")}),
        );
        if !kind.review {
            paths.insert(
                path.path(namespace, Some("{name}")),
                json!({
                    "put": operation("put", "application/json"),
                    "patch": operation("patch", "application/apply-patch+yaml"),
                }),
            );
        }
    }
    Some(KubeReply::ok(json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": group_version(group, version)},
        "paths": paths,
        "components": {"schemas": schemas},
    })))
}

fn document_v2(store: &Store) -> Json {
    let definitions: Map<String, Json> =
        store.types().iter().map(|kind| (schema_name(kind), schema(kind))).collect();
    json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": "unversioned"},
        "paths": {},
        "definitions": definitions,
    })
}
