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

/// A text, or an empty one where there is none.
pub(crate) fn text(value: &Json) -> &str {
    value.as_str().unwrap_or_default()
}

/// Whether a text is this word, in any case.
pub(crate) fn says(value: &Json, word: &str) -> bool {
    value.as_str().is_some_and(|text| text.eq_ignore_ascii_case(word))
}

/// The items of a list; none where there is no list.
pub(crate) fn items(value: &Json) -> impl Iterator<Item = &Json> {
    value.as_array().into_iter().flatten()
}

/// The members of an object; none where there is no object.
pub(crate) fn members(value: &Json) -> impl Iterator<Item = (&String, &Json)> {
    value.as_object().into_iter().flatten()
}

/// Gives an object the members of another that it does not have, or has as `null`.
pub(crate) fn fill(object: &mut Json, defaults: &Json) {
    for (name, value) in members(defaults) {
        if object.get(name).is_none_or(Json::is_null) {
            object[name] = value.clone();
        }
    }
}

/// Copies members from one object into another, where they are.
pub(crate) fn copy(from: &Json, names: &[&str], to: &mut Json) {
    for name in names {
        if let Some(value) = from.get(name).filter(|value| !value.is_null()) {
            to[*name] = value.clone();
        }
    }
}
