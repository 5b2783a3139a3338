//! Server-side apply: merge the applied configuration, find conflicts, drop what the manager no
//! longer applies (Kubernetes docs, "Server-Side Apply").

use serde_json::{Value as Json, json};

use super::fields::{self, Fields, Manager};
use super::status::Failure;
use super::types::{ResourceType, Shape};
use crate::json::remove_key;
use crate::state::clock::seconds;

/// Who applies and how.
pub(crate) struct Applier<'a> {
    pub(crate) manager: &'a str,
    pub(crate) force: bool,
    pub(crate) subresource: Option<&'a str>,
    pub(crate) now: &'a str,
}

/// The live object with the configuration applied, managedFields included.
pub(crate) fn apply(
    kind: &ResourceType,
    live: &Json,
    config: &Json,
    by: &Applier<'_>,
) -> Result<Json, Failure> {
    let mut config = config.clone();
    for field in ["managedFields", "resourceVersion", "uid", "creationTimestamp", "generation"] {
        remove_key(&mut config["metadata"], field);
    }
    let wanted = fields::of(kind, &config);
    let mut merged = merge(kind, live, &config, &mut Vec::new());
    let mut managers = fields::managers(live);
    let (changed, _) = fields::compare(kind, live, &merged);
    let is_me = |entry: &Manager| entry.is(by.manager, "Apply", by.subresource);
    let mut conflicts = Vec::new();
    for entry in managers.iter_mut().filter(|entry| !is_me(entry)) {
        let lost: Vec<_> = entry.fields.intersection(&changed).cloned().collect();
        for path in lost {
            if by.force {
                entry.fields.remove(&path);
            } else {
                conflicts.push((entry.described(), fields::dotted(&path)));
            }
        }
    }
    if !conflicts.is_empty() {
        return Err(Failure::apply_conflict(&conflicts));
    }
    let before = managers
        .iter()
        .find(|entry| is_me(entry))
        .map(|entry| entry.fields.clone())
        .unwrap_or_default();
    prune(kind, &mut merged, &before, &wanted, &managers, &is_me);
    let time = match managers.iter().find(|entry| is_me(entry)) {
        Some(entry) if entry.fields == wanted => entry.time.clone(),
        _ => seconds(by.now),
    };
    let mine = Manager {
        name: by.manager.to_owned(),
        operation: "Apply".to_owned(),
        subresource: by.subresource.map(str::to_owned),
        api_version: kind.api_version(),
        time,
        fields: wanted,
    };
    match managers.iter().position(is_me) {
        Some(at) => managers[at] = mine,
        None => managers.insert(0, mine),
    }
    let present = fields::of(kind, &merged);
    for entry in &mut managers {
        entry.fields.retain(|path| present.contains(path));
    }
    fields::set_managers(&mut merged, &managers);
    Ok(merged)
}

/// Merges a configuration into the live value, field by field.
fn merge(kind: &ResourceType, live: &Json, config: &Json, names: &mut Vec<String>) -> Json {
    match (live, config) {
        (Json::Object(old), Json::Object(new)) if names.is_empty() || !kind.atomic_map(names) => {
            let mut out = old.clone();
            for (field, value) in new {
                names.push(field.clone());
                let merged = merge(kind, old.get(field).unwrap_or(&Json::Null), value, names);
                names.pop();
                out.insert(field.clone(), merged);
            }
            Json::Object(out)
        }
        (Json::Array(old), Json::Array(new)) => match kind.list_shape(names) {
            Shape::Atomic => config.clone(),
            Shape::Set => {
                let mut out = old.clone();
                out.extend(new.iter().filter(|item| !old.contains(item)).cloned());
                Json::Array(out)
            }
            Shape::Keyed(keys) => {
                let mut out = old.clone();
                for item in new {
                    let key = fields::item_key(item, &keys);
                    let at = out.iter().position(|other| fields::item_key(other, &keys) == key);
                    match at {
                        Some(at) => out[at] = merge(kind, &out[at].clone(), item, names),
                        None => out.push(item.clone()),
                    }
                }
                Json::Array(out)
            }
        },
        _ => config.clone(),
    }
}

/// Removes what this manager applied last time, applies no longer, and nobody else owns.
fn prune(
    kind: &ResourceType,
    merged: &mut Json,
    before: &Fields,
    wanted: &Fields,
    managers: &[Manager],
    is_me: &dyn Fn(&Manager) -> bool,
) {
    let kept = |path: &[String]| {
        let under = |set: &Fields| set.iter().any(|owned| owned.starts_with(path));
        under(wanted) || managers.iter().any(|entry| !is_me(entry) && under(&entry.fields))
    };
    for path in before.difference(wanted) {
        let mut end = path.len();
        // the leaf, then every parent that was there only for it
        while end > 0 && !kept(&path[..end]) {
            let parent_empty = remove(kind, merged, &path[..end]);
            if !parent_empty || end == 1 {
                break;
            }
            end -= 1;
        }
    }
}

/// Removes the value at a path; true when its container is empty afterwards.
fn remove(kind: &ResourceType, object: &mut Json, path: &[String]) -> bool {
    let Some((last, parents)) = path.split_last() else {
        return false;
    };
    let mut node = object;
    let mut names: Vec<String> = Vec::new();
    for segment in parents {
        let next = match segment.strip_prefix("f:") {
            Some(field) => {
                names.push(field.to_owned());
                node.get_mut(field)
            }
            None => match fields::position(kind, node, &names, segment) {
                Some(at) => node.get_mut(at),
                None => None,
            },
        };
        let Some(next) = next else {
            return false;
        };
        node = next;
    }
    match last.strip_prefix("f:") {
        Some(field) => remove_key(node, field),
        None => {
            if let Some(at) = fields::position(kind, node, &names, last)
                && let Some(items) = node.as_array_mut()
            {
                items.remove(at);
            }
        }
    }
    *node == json!({}) || *node == json!([])
}
