//! Small things that are done to JSON documents.

use serde_json::{Value as Json, json};

/// Sets a value inside a document, making missing objects on the way. A list takes an index or `-`.
pub(crate) fn set_pointer(document: &mut Json, pointer: &str, value: Json) {
    let mut at = document;
    for token in pointer.split('/').skip(1) {
        let token = token.replace("~1", "/").replace("~0", "~");
        if let Json::Array(items) = at {
            let index =
                if token == "-" { items.len() } else { token.parse().unwrap_or(items.len()) };
            let index = index.min(items.len());
            if index == items.len() {
                items.push(Json::Null);
            }
            at = &mut items[index];
        } else {
            if !at.is_object() {
                *at = json!({});
            }
            at = &mut at[token.as_str()];
        }
    }
    *at = value;
}

pub(crate) fn remove_key(object: &mut Json, field: &str) {
    if let Some(map) = object.as_object_mut() {
        map.remove(field);
    }
}

pub(crate) fn default_at(object: &mut Json, pointer: &str, value: Json) {
    let mut node = object;
    let parts: Vec<&str> = pointer.split('/').skip(1).collect();
    let Some((last, parents)) = parts.split_last() else {
        return;
    };
    for part in parents {
        if !node.is_object() && !node.is_null() {
            return;
        }
        node = &mut node[*part];
    }
    if let Some(map) = node.as_object_mut() {
        map.entry(*last).or_insert(value);
    } else if node.is_null() {
        *node = json!({ *last: value });
    }
}
