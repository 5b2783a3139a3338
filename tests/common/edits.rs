//! Every edit of one leaf of a JSON document.

use serde_json::Value as Json;

/// What can be done to a leaf.
pub(crate) const EDITS: [&str; 4] = ["change", "retype", "delete", "add"];

/// Every leaf, and every empty map or list, as a JSON pointer.
pub(crate) fn leaves(value: &Json, at: &str, found: &mut Vec<String>) {
    match value {
        Json::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                let key = key.replace('~', "~0").replace('/', "~1");
                leaves(value, &format!("{at}/{key}"), found);
            }
        }
        Json::Array(items) if !items.is_empty() => {
            for (index, value) in items.iter().enumerate() {
                leaves(value, &format!("{at}/{index}"), found);
            }
        }
        _ => found.push(at.to_owned()),
    }
}

/// Another value of the same type.
fn change(value: &Json) -> Json {
    match value {
        Json::Bool(it) => Json::Bool(!it),
        Json::Number(it) => (it.as_i64().unwrap_or(0) + 1).into(),
        Json::String(it) => format!("{it}x").into(),
        Json::Null | Json::Array(_) | Json::Object(_) => "x".into(),
    }
}

/// A value of another type.
fn retype(value: &Json) -> Json {
    match value {
        Json::Array(_) => serde_json::json!({"a": 1}),
        Json::Number(_) => "1".into(),
        _ => serde_json::json!([1e300]),
    }
}

/// The document with one leaf changed, taken out, or with something beside it.
pub(crate) fn edit(document: &Json, at: &str, how: &str) -> Json {
    let mut edited = document.clone();
    let (parent, last) = at.rsplit_once('/').expect("a pointer");
    let last = last.replace("~1", "/").replace("~0", "~");
    match (edited.pointer_mut(parent).expect("its parent"), how) {
        (Json::Object(map), "change") => drop(map.insert(last.clone(), change(&map[&last]))),
        (Json::Object(map), "retype") => drop(map.insert(last.clone(), retype(&map[&last]))),
        (Json::Object(map), "delete") => drop(map.remove(&last)),
        (Json::Object(map), _) => drop(map.insert(format!("{last}_"), map[&last].clone())),
        (Json::Array(items), _) => {
            let index: usize = last.parse().expect("an index");
            match how {
                "change" => items[index] = change(&items[index]),
                "retype" => items[index] = retype(&items[index]),
                "delete" => drop(items.remove(index)),
                _ => items.insert(index, items[index].clone()),
            }
        }
        _ => panic!("{at} has no parent"),
    }
    edited
}
