//! The three client-side patch formats: JSON Patch, JSON merge patch and Kubernetes' strategic
//! merge patch (kubernetes/community, "strategic-merge-patch").

use serde_json::{Map, Value as Json};

use super::status::Failure;
use super::types::{ResourceType, Shape};

/// Applies a JSON Patch (RFC 6902).
pub(crate) fn json_patch(kind: &ResourceType, live: &Json, body: &[u8]) -> Result<Json, Failure> {
    let patch: json_patch::Patch = serde_json::from_slice(body)
        .map_err(|error| Failure::bad_request(format!("error decoding patch: {error}")))?;
    let mut out = live.clone();
    json_patch::patch(&mut out, &patch).map_err(|error| {
        Failure::unprocessable(format!(
            "the server rejected our request due to an error in our request: {}: {error}",
            kind.qualified()
        ))
    })?;
    Ok(out)
}

/// Applies a JSON merge patch (RFC 7386).
pub(crate) fn merge_patch(live: &Json, body: &[u8]) -> Result<Json, Failure> {
    let patch = object_of(body)?;
    let mut out = live.clone();
    json_patch::merge(&mut out, &patch);
    Ok(out)
}

/// Applies a strategic merge patch.
pub(crate) fn strategic(kind: &ResourceType, live: &Json, body: &[u8]) -> Result<Json, Failure> {
    let patch = object_of(body)?;
    Ok(merge(kind, live, &patch, &mut Vec::new()))
}

fn object_of(body: &[u8]) -> Result<Json, Failure> {
    let patch: Json = serde_json::from_slice(body)
        .map_err(|error| Failure::bad_request(format!("error decoding patch: {error}")))?;
    if patch.is_object() {
        Ok(patch)
    } else {
        Err(Failure::bad_request("error decoding patch: the patch is not an object"))
    }
}

fn merge(kind: &ResourceType, live: &Json, patch: &Json, names: &mut Vec<String>) -> Json {
    let Some(fields) = patch.as_object() else {
        return patch.clone();
    };
    if fields.get("$patch").is_some_and(|how| how == "replace") {
        return strip(patch);
    }
    if fields.get("$patch").is_some_and(|how| how == "delete") {
        return Json::Object(Map::new());
    }
    let mut out = live.as_object().cloned().unwrap_or_default();
    if let Some(kept) = fields.get("$retainKeys").and_then(Json::as_array) {
        out.retain(|field, _| kept.iter().any(|keep| keep == field));
    }
    for (field, value) in fields {
        if let Some(field) = field.strip_prefix("$deleteFromPrimitiveList/") {
            let gone = value.as_array().cloned().unwrap_or_default();
            if let Some(items) = out.get_mut(field).and_then(Json::as_array_mut) {
                items.retain(|item| !gone.contains(item));
            }
        }
    }
    for (field, value) in fields.iter().filter(|(field, _)| !field.starts_with('$')) {
        names.push(field.clone());
        let old = out.remove(field).unwrap_or(Json::Null);
        let merged = match value {
            Json::Null => None,
            Json::Array(items) => Some(merge_list(kind, &old, items, names)),
            Json::Object(inner) => {
                let deleted = inner.get("$patch").is_some_and(|how| how == "delete");
                (!deleted).then(|| merge(kind, &old, value, names))
            }
            Json::Bool(_) | Json::Number(_) | Json::String(_) => Some(value.clone()),
        };
        names.pop();
        if let Some(merged) = merged {
            out.insert(field.clone(), merged);
        }
    }
    order(kind, &mut out, fields, names);
    Json::Object(out)
}

fn merge_list(kind: &ResourceType, old: &Json, patch: &[Json], names: &mut Vec<String>) -> Json {
    let replace = patch.iter().any(|item| item["$patch"] == "replace");
    let plain = || {
        let items = patch.iter().filter(|item| item.get("$patch").is_none());
        Json::Array(items.map(strip).collect())
    };
    let mut out = old.as_array().cloned().unwrap_or_default();
    match kind.list_shape(names) {
        _ if replace => plain(),
        Shape::Atomic => plain(),
        Shape::Set => {
            out.extend(
                patch.iter().filter(|item| !out.contains(item)).cloned().collect::<Vec<_>>(),
            );
            Json::Array(out)
        }
        Shape::Keyed(keys) => {
            let Some(key) = keys.first() else {
                return plain();
            };
            for item in patch {
                let at = out.iter().position(|other| other[key] == item[key]);
                match (at, item["$patch"] == "delete") {
                    (Some(at), true) => {
                        out.remove(at);
                    }
                    (Some(at), false) => out[at] = merge(kind, &out[at].clone(), item, names),
                    (None, true) => {}
                    (None, false) => out.push(strip(item)),
                }
            }
            Json::Array(out)
        }
    }
}

/// Puts lists into the order `$setElementOrder/FIELD` asks for; items it does not name go last.
fn order(
    kind: &ResourceType,
    out: &mut Map<String, Json>,
    patch: &Map<String, Json>,
    names: &mut Vec<String>,
) {
    for (directive, wanted) in patch {
        let Some(field) = directive.strip_prefix("$setElementOrder/") else {
            continue;
        };
        let (Some(wanted), Some(items)) =
            (wanted.as_array(), out.get_mut(field).and_then(Json::as_array_mut))
        else {
            continue;
        };
        names.push(field.to_owned());
        let shape = kind.list_shape(names);
        names.pop();
        items.sort_by_key(|item| {
            wanted
                .iter()
                .position(|place| match &shape {
                    Shape::Keyed(keys) => keys.first().is_some_and(|key| place[key] == item[key]),
                    Shape::Set | Shape::Atomic => place == item,
                })
                .unwrap_or(usize::MAX)
        });
    }
}

/// A new value without directives and nulls.
fn strip(value: &Json) -> Json {
    match value {
        Json::Object(map) => Json::Object(
            map.iter()
                .filter(|(field, value)| !field.starts_with('$') && !value.is_null())
                .map(|(field, value)| (field.clone(), strip(value)))
                .collect(),
        ),
        Json::Array(items) => Json::Array(items.iter().map(strip).collect()),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_strategic_patch_merges_lists_by_key_and_obeys_its_directives() {
        let kind =
            ResourceType::builtin("aks").find(|kind| kind.plural == "deployments").expect("known");
        let live = json!({"metadata": {"finalizers": ["a/b"]}, "spec": {"template": {"spec": {
        "nodeSelector": {"old": "1"},
        "tolerations": [{"key": "x"}],
        "containers": [
            {"name": "a", "image": "a:1", "env": [{"name": "E", "value": "1"}]},
            {"name": "b", "image": "b:1"}
        ]}}}});
        let patch = json!({"metadata": {"finalizers": ["c/d"]}, "spec": {"template": {"spec": {
        "nodeSelector": {"$patch": "replace", "new": "2"},
        "tolerations": [{"key": "y"}],
        "$setElementOrder/containers": [{"name": "c"}, {"name": "a"}],
        "containers": [
            {"name": "a", "image": "a:2", "env": [{"name": "F", "value": "2"}]},
            {"name": "b", "$patch": "delete"},
            {"name": "c", "image": "c:1", "command": null}
        ]}}}});
        let body = serde_json::to_vec(&patch).expect("serializes");
        let out = strategic(kind, &live, &body).expect("merges");
        assert_eq!(
            out,
            json!({"metadata": {"finalizers": ["a/b", "c/d"]}, "spec": {"template": {"spec": {
            "nodeSelector": {"new": "2"},
            "tolerations": [{"key": "y"}],
            "containers": [
                {"name": "c", "image": "c:1"},
                {"name": "a", "image": "a:2",
                 "env": [{"name": "E", "value": "1"}, {"name": "F", "value": "2"}]}
            ]}}}})
        );
    }

    #[test]
    fn bodies_that_are_no_patch_are_refused() {
        let kind = ResourceType::default();
        assert_eq!(merge_patch(&json!({}), b"[1]").expect_err("list").code, 400);
        assert_eq!(json_patch(&kind, &json!({}), b"{}").expect_err("object").code, 400);
        let test = br#"[{"op":"test","path":"/a","value":1}]"#;
        assert_eq!(json_patch(&kind, &json!({"a": 2}), test).expect_err("test fails").code, 422);
    }
}
