//! Edits of a SecurityContextConstraints object's `users`, as `oc adm policy
//! add-scc-to-user` and `oc edit scc` make them (OpenShift API: `users` is one atomic list). Pure.

use serde_json::json;

use crate::model::Json;

/// Where we remember which users we added, so that destroy removes only those.
pub const ADDED_USERS: &str = "amlplan.dev/added-users";

/// The object with the missing users added, or `None` when none is missing. What others wrote
/// keeps its place; a list that is null counts as empty.
#[must_use]
pub fn add_users(scc: &Json, users: &[String]) -> Option<Json> {
    let mut list = users_of(scc);
    let mut added = Vec::new();
    for user in users {
        if !list.iter().any(|text| text == user) {
            list.push(user.clone());
            added.push(user.clone());
        }
    }
    if added.is_empty() {
        return None;
    }
    let mut record = added_users(scc);
    record.retain(|text| list.contains(text));
    record.extend(added);
    Some(with(scc, &list, record))
}

/// The object without those of the users that we added, or `None` when that changes nothing.
/// Users that we did not add stay, even if asked for.
#[must_use]
pub fn remove_users(scc: &Json, users: &[String]) -> Option<Json> {
    let mut list = users_of(scc);
    let recorded = added_users(scc);
    let (ours, mut record): (Vec<_>, Vec<_>) =
        recorded.into_iter().partition(|text| users.contains(text));
    if ours.is_empty() {
        return None;
    }
    for user in &ours {
        // We append: if the name stands there twice, the last one is ours.
        if let Some(at) = list.iter().rposition(|it| it == user) {
            list.remove(at);
        }
    }
    record.retain(|text| list.contains(text));
    Some(with(scc, &list, record))
}

/// The users that we added, by our own record.
#[must_use]
pub fn added_users(scc: &Json) -> Vec<String> {
    let text = scc["metadata"]["annotations"][ADDED_USERS].as_str();
    text.and_then(|it| serde_json::from_str(it).ok()).unwrap_or_default()
}

fn users_of(scc: &Json) -> Vec<String> {
    let items = scc["users"].as_array().into_iter().flatten();
    items.filter_map(Json::as_str).map(str::to_owned).collect()
}

fn with(scc: &Json, users: &[String], mut record: Vec<String>) -> Json {
    let mut edited = scc.clone();
    edited["users"] = json!(users);
    record.sort();
    record.dedup();
    for at in ["/metadata", "/metadata/annotations"] {
        if let Some(value) = edited.pointer_mut(at).filter(|it| !it.is_object() && !it.is_null()) {
            *value = json!({});
        }
    }
    let annotations = &mut edited["metadata"]["annotations"];
    if !record.is_empty() {
        annotations[ADDED_USERS] = json!(json!(record).to_string());
    } else if let Some(map) = annotations.as_object_mut() {
        map.remove(ADDED_USERS);
    }
    edited
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(users: &[&str]) -> Vec<String> {
        users.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn only_missing_users_are_added_and_everything_else_stays() {
        let scc = json!({
            "metadata": {"name": "privileged", "resourceVersion": "5", "annotations": {"x": "y"}},
            "users": ["system:admin", "b", "system:admin"], "priority": null, "new": {"field": 1},
        });
        let edited = add_users(&scc, &names(&["b", "a", "a"])).unwrap();
        assert_eq!(edited["users"], json!(["system:admin", "b", "system:admin", "a"]));
        assert_eq!(edited["metadata"]["annotations"], json!({"x": "y", ADDED_USERS: "[\"a\"]"}));
        assert_eq!(edited["new"], scc["new"]);
        assert!(edited["priority"].is_null());
        assert_eq!(add_users(&edited, &names(&["b", "a"])), None);
    }

    #[test]
    fn a_null_list_and_absent_annotations_survive() {
        for scc in [
            json!({"users": null}),
            json!({}),
            json!({"metadata": {"annotations": null}}),
            json!({"metadata": {"annotations": "none"}}),
            json!({"metadata": 5}),
        ] {
            let edited = add_users(&scc, &names(&["a"])).unwrap();
            assert_eq!(edited["users"], json!(["a"]));
            let back = remove_users(&edited, &names(&["a"])).unwrap();
            assert_eq!(back["users"], json!([]));
            assert!(back["metadata"]["annotations"].get(ADDED_USERS).is_none());
        }
    }

    #[test]
    fn removal_touches_only_what_we_added() {
        let scc = json!({"users": ["foreign", "ours", "kept"],
            "metadata": {"annotations": {ADDED_USERS: "[\"kept\",\"ours\"]"}}});
        let edited = remove_users(&scc, &names(&["foreign", "ours"])).unwrap();
        assert_eq!(edited["users"], json!(["foreign", "kept"]));
        assert_eq!(added_users(&edited), ["kept"]);
        assert_eq!(remove_users(&edited, &names(&["foreign", "ours"])), None);
        let twice = json!({"users": ["a", "x", "a"], "metadata": {"annotations": {ADDED_USERS: "[\"a\"]"}}});
        assert_eq!(remove_users(&twice, &names(&["a"])).unwrap()["users"], json!(["a", "x"]));
    }
}
