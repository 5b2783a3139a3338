//! Field ownership: the set of fields an object has, and `metadata.managedFields` in the
//! `FieldsV1` format (Kubernetes docs, "Server-Side Apply").

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json, json};

use super::types::{ResourceType, Shape};
use crate::json::remove_key;
use crate::state::clock::seconds;

/// A field's path in `FieldsV1` segments: `f:name`, `k:{"name":"x"}`, `v:"x"`.
pub(crate) type Path = Vec<String>;
/// The leaf fields of an object (scalars, atomic values, empty containers, keyed list items).
pub(crate) type Fields = BTreeSet<Path>;

/// One entry of `metadata.managedFields`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manager {
    pub(crate) name: String,
    pub(crate) operation: String,
    pub(crate) subresource: Option<String>,
    pub(crate) api_version: String,
    pub(crate) time: String,
    pub(crate) fields: Fields,
}

impl Manager {
    pub(crate) fn is(&self, name: &str, operation: &str, subresource: Option<&str>) -> bool {
        self.name == name
            && self.operation == operation
            && self.subresource.as_deref() == subresource
    }

    /// How conflicts name the manager: its name, and the version when it used Update.
    pub(crate) fn described(&self) -> String {
        if self.operation == "Apply" {
            format!("\"{}\"", self.name)
        } else {
            let through = self
                .subresource
                .as_ref()
                .map(|sub| format!(" with subresource \"{sub}\""))
                .unwrap_or_default();
            format!("\"{}\"{through} using {}", self.name, self.api_version)
        }
    }
}

/// The fields of a value, without those only the server sets.
pub(crate) fn of(kind: &ResourceType, object: &Json) -> Fields {
    let mut out = Fields::new();
    walk(kind, object, &mut Vec::new(), &mut Vec::new(), &mut out);
    out.retain(|path| {
        let head: Vec<&str> = path.iter().map(String::as_str).collect();
        match head.as_slice() {
            ["f:apiVersion" | "f:kind", ..] | ["f:metadata"] => false,
            ["f:metadata", field, ..] => !matches!(
                *field,
                "f:name"
                    | "f:namespace"
                    | "f:uid"
                    | "f:resourceVersion"
                    | "f:creationTimestamp"
                    | "f:deletionTimestamp"
                    | "f:deletionGracePeriodSeconds"
                    | "f:generation"
                    | "f:managedFields"
                    | "f:selfLink"
            ),
            _ => true,
        }
    });
    out
}

fn walk(
    kind: &ResourceType,
    value: &Json,
    names: &mut Vec<String>,
    at: &mut Path,
    out: &mut Fields,
) {
    match value {
        Json::Object(map) if !map.is_empty() && (names.is_empty() || !kind.atomic_map(names)) => {
            for (field, inner) in map {
                names.push(field.clone());
                at.push(format!("f:{field}"));
                walk(kind, inner, names, at, out);
                at.pop();
                names.pop();
            }
        }
        Json::Array(items) if !items.is_empty() => match kind.list_shape(names) {
            Shape::Atomic => {
                out.insert(at.clone());
            }
            Shape::Set => {
                for item in items {
                    at.push(format!("v:{item}"));
                    out.insert(at.clone());
                    at.pop();
                }
            }
            Shape::Keyed(keys) => {
                for item in items {
                    at.push(item_key(item, &keys));
                    out.insert(at.clone());
                    walk(kind, item, names, at, out);
                    at.pop();
                }
            }
        },
        _ => {
            out.insert(at.clone());
        }
    }
}

/// The `k:` segment of a keyed list's item.
pub(crate) fn item_key(item: &Json, keys: &[String]) -> String {
    let mut chosen = Map::new();
    for key in keys {
        let value = match item.get(key) {
            Some(value) => value.clone(),
            None if key == "protocol" => json!("TCP"),
            None => Json::Null,
        };
        chosen.insert(key.clone(), value);
    }
    format!("k:{}", Json::Object(chosen))
}

/// The value a path leads to.
pub(crate) fn lookup<'a>(
    kind: &ResourceType,
    object: &'a Json,
    path: &[String],
) -> Option<&'a Json> {
    let mut node = object;
    let mut names = Vec::new();
    for segment in path {
        node = if let Some(field) = segment.strip_prefix("f:") {
            names.push(field.to_owned());
            node.get(field)?
        } else {
            let at = position(kind, node, &names, segment)?;
            node.get(at)?
        };
    }
    Some(node)
}

/// Where in a list the item of a `k:` or `v:` segment is.
pub(crate) fn position(
    kind: &ResourceType,
    list: &Json,
    names: &[String],
    segment: &str,
) -> Option<usize> {
    let items = list.as_array()?;
    if let Some(value) = segment.strip_prefix("v:") {
        let value: Json = serde_json::from_str(value).ok()?;
        return items.iter().position(|item| *item == value);
    }
    let Shape::Keyed(keys) = kind.list_shape(names) else {
        return None;
    };
    items.iter().position(|item| item_key(item, &keys) == segment)
}

/// The fields that were added or got another value, and those that went away.
pub(crate) fn compare(kind: &ResourceType, before: &Json, after: &Json) -> (Fields, Fields) {
    let (old, new) = (of(kind, before), of(kind, after));
    let changed = new
        .iter()
        .filter(|path| !old.contains(*path) || leaf_differs(kind, before, after, path))
        .cloned()
        .collect();
    let gone = old.difference(&new).cloned().collect();
    (changed, gone)
}

fn leaf_differs(kind: &ResourceType, before: &Json, after: &Json, path: &[String]) -> bool {
    let is_item = path.last().is_some_and(|last| last.starts_with("k:") || last.starts_with("v:"));
    !is_item && lookup(kind, before, path) != lookup(kind, after, path)
}

/// Reads `metadata.managedFields`.
pub(crate) fn managers(object: &Json) -> Vec<Manager> {
    let text = |entry: &Json, field: &str| entry[field].as_str().unwrap_or_default().to_owned();
    object["metadata"]["managedFields"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|entry| Manager {
            name: text(entry, "manager"),
            operation: text(entry, "operation"),
            subresource: entry["subresource"].as_str().map(str::to_owned),
            api_version: text(entry, "apiVersion"),
            time: text(entry, "time"),
            fields: decode(&entry["fieldsV1"]),
        })
        .collect()
}

/// Writes `metadata.managedFields`; managers that own nothing are dropped.
pub(crate) fn set_managers(object: &mut Json, managers: &[Manager]) {
    let entries: Vec<Json> = managers
        .iter()
        .filter(|manager| !manager.fields.is_empty())
        .map(|manager| {
            let mut entry = json!({
                "manager": manager.name,
                "operation": manager.operation,
                "apiVersion": manager.api_version,
                "time": manager.time,
                "fieldsType": "FieldsV1",
                "fieldsV1": encode(&manager.fields),
            });
            if let Some(sub) = &manager.subresource {
                entry["subresource"] = json!(sub);
            }
            entry
        })
        .collect();
    if entries.is_empty() {
        remove_key(&mut object["metadata"], "managedFields");
    } else {
        object["metadata"]["managedFields"] = json!(entries);
    }
}

fn encode(fields: &Fields) -> Json {
    let mut root = json!({});
    for path in fields {
        let mut node = &mut root;
        for segment in path {
            node = &mut node[segment.as_str()];
            if node.is_null() {
                *node = json!({});
            }
        }
        let inner = fields.range(path.clone()..).nth(1).is_some_and(|next| next.starts_with(path));
        if inner {
            node["."] = json!({});
        }
    }
    root
}

fn decode(tree: &Json) -> Fields {
    fn walk(node: &Json, at: &mut Path, out: &mut Fields) {
        let Some(map) = node.as_object() else {
            return;
        };
        if (map.is_empty() || map.contains_key(".")) && !at.is_empty() {
            out.insert(at.clone());
        }
        for (segment, inner) in map.iter().filter(|(segment, _)| *segment != ".") {
            at.push(segment.clone());
            walk(inner, at, out);
            at.pop();
        }
    }
    let mut out = Fields::new();
    walk(tree, &mut Vec::new(), &mut out);
    out
}

/// Records a write that was not an apply: the manager owns what it changed, and nobody else
/// owns that any longer.
pub(crate) fn record_update(
    kind: &ResourceType,
    before: Option<&Json>,
    after: &mut Json,
    manager: &str,
    subresource: Option<&str>,
    now: &str,
) {
    let nothing = json!({});
    let (changed, gone) = compare(kind, before.unwrap_or(&nothing), after);
    let mut all = before.map(managers).unwrap_or_default();
    if !changed.is_empty() || !gone.is_empty() {
        for other in &mut all {
            other.fields.retain(|path| !changed.contains(path) && !gone.contains(path));
        }
    }
    if !changed.is_empty() {
        let mine = all.iter_mut().find(|entry| entry.is(manager, "Update", subresource));
        match mine {
            Some(mine) => {
                mine.fields.extend(changed);
                mine.time = seconds(now);
            }
            None => all.push(Manager {
                name: manager.to_owned(),
                operation: "Update".to_owned(),
                subresource: subresource.map(str::to_owned),
                api_version: kind.api_version(),
                time: seconds(now),
                fields: changed,
            }),
        }
    }
    set_managers(after, &all);
}

/// `.spec.containers[name="x"].image`, as conflicts print a path.
pub(crate) fn dotted(path: &[String]) -> String {
    let mut out = String::new();
    for segment in path {
        if let Some(field) = segment.strip_prefix("f:") {
            out.push('.');
            out.push_str(field);
        } else if let Some(value) = segment.strip_prefix("v:") {
            out.extend(["[=", value, "]"]);
        } else if let Some(keys) = segment.strip_prefix("k:") {
            let keys: Map<String, Json> = serde_json::from_str(keys).unwrap_or_default();
            let parts: Vec<String> =
                keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
            out.extend(["[", &parts.join(","), "]"]);
        }
    }
    out
}
