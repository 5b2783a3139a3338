//! Comparing declared fields with live ones.
//!
//! Only what we declare or derive is compared; values are normalised first, because Azure echoes
//! other cases, spellings of locations and forms of durations than it was sent.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Json, Pointer, Value};

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldChange {
    /// Where, in the document of the wire.
    pub path: Pointer,
    /// The live value; `None` when it is not there.
    pub before: Option<Json>,
    /// The wanted value; `None` when it is to go.
    pub after: Option<Value>,
}

/// When two values are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Same {
    /// Texts, without case; booleans and the texts `true` and `false` alike.
    IgnoringCase,
    /// Azure locations: `West Europe` is `westeurope`.
    Location,
    /// ISO 8601 durations.
    Duration,
    /// Lists whose order does not count.
    Set,
}

/// How a kind compares its documents. Paths are JSON pointers; a `*` token stands for any key.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules {
    /// Values that are compared otherwise than exactly.
    pub same: &'static [(&'static str, Same)],
    /// Maps that are ours as a whole: a key that is live and not declared is a difference.
    pub whole: &'static [&'static str],
    /// Fields that cannot be changed in place.
    pub immutable: &'static [&'static str],
    /// Fields that are sent and never compared.
    pub unread: &'static [&'static str],
}

impl Rules {
    /// Whether a field, or something around it, cannot be changed in place.
    #[must_use]
    pub fn is_immutable(&self, path: &Pointer) -> bool {
        self.immutable.iter().any(|immutable| covers(immutable, path))
    }

    /// Whether a map is ours as a whole.
    pub(super) fn is_whole(&self, path: &Pointer) -> bool {
        self.whole.iter().any(|whole| matches(whole, path))
    }

    fn same(&self, path: &Pointer) -> Option<Same> {
        self.same.iter().find(|(pattern, _)| matches(pattern, path)).map(|(_, same)| *same)
    }
}

/// Whether a pattern names just this path.
pub(super) fn matches(pattern: &str, path: &Pointer) -> bool {
    let pattern = Pointer::parse(pattern);
    pattern.tokens().len() == path.tokens().len() && covers_tokens(&pattern, path)
}

fn covers(pattern: &str, path: &Pointer) -> bool {
    let pattern = Pointer::parse(pattern);
    pattern.tokens().len() <= path.tokens().len() && covers_tokens(&pattern, path)
}

fn covers_tokens(pattern: &Pointer, path: &Pointer) -> bool {
    pattern.tokens().iter().zip(path.tokens()).all(|(want, have)| want == "*" || want == have)
}

/// The fields in which a live document differs from the wanted one.
#[must_use]
pub fn diff(want: &Value, live: &Json, rules: &Rules) -> Vec<FieldChange> {
    let mut changes = Vec::new();
    compare(want, Some(live), &Pointer::root(), rules, &mut changes);
    changes
}

fn compare(
    want: &Value,
    live: Option<&Json>,
    at: &Pointer,
    rules: &Rules,
    changes: &mut Vec<FieldChange>,
) {
    if rules.unread.iter().any(|unread| covers(unread, at)) {
        return;
    }
    let differs = match want {
        Value::Object(map) => {
            return compare_maps(map, live, at, rules, changes);
        }
        // Azure never returns secrets; their changes are found through fingerprints.
        Value::Secret(_) => false,
        // The value is not known before the step that makes it; what is live now may be stale.
        Value::Later(_) => true,
        Value::Null => live.is_some_and(|value| !value.is_null()),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            let want = want.to_stored();
            !live.is_some_and(|live| equal(&want, live, rules.same(at)))
        }
    };
    if differs {
        changes.push(FieldChange {
            path: at.clone(),
            before: live.filter(|value| !value.is_null()).cloned(),
            after: (*want != Value::Null).then(|| want.clone()),
        });
    }
}

fn compare_maps(
    want: &BTreeMap<String, Value>,
    live: Option<&Json>,
    at: &Pointer,
    rules: &Rules,
    changes: &mut Vec<FieldChange>,
) {
    // ARM ids are keys of identity maps and come back in another case.
    let live_map = live.and_then(Json::as_object);
    let find = |key: &str| {
        let map = live_map?;
        map.get(key).or_else(|| {
            let ids = key.starts_with("/subscriptions/");
            ids.then(|| {
                map.iter().find(|(text, _)| text.eq_ignore_ascii_case(key)).map(|(_, v)| v)
            })?
        })
    };
    for (key, value) in want {
        compare(value, find(key), &at.join(key), rules, changes);
    }
    if !rules.is_whole(at) {
        return;
    }
    let wanted: BTreeSet<String> = want.keys().map(|text| fold_id(text)).collect();
    for (key, value) in live_map.into_iter().flatten() {
        let gone = value.is_null() || value.as_str() == Some("");
        let gone = gone || value.as_object().is_some_and(serde_json::Map::is_empty);
        let gone = gone || super::update::is_servers(&at.join(key));
        if !wanted.contains(&fold_id(key)) && !gone {
            changes.push(FieldChange {
                path: at.join(key),
                before: Some(value.clone()),
                after: None,
            });
        }
    }
}

fn fold_id(key: &str) -> String {
    if key.to_ascii_lowercase().starts_with("/subscriptions/") {
        key.to_ascii_lowercase()
    } else {
        key.to_owned()
    }
}

fn equal(want: &Json, live: &Json, same: Option<Same>) -> bool {
    let text = |value: &Json| match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    match same {
        None => want == live,
        Some(Same::IgnoringCase) => text(want).eq_ignore_ascii_case(&text(live)),
        Some(Same::Location) => location(&text(want)) == location(&text(live)),
        Some(Same::Duration) => {
            let span = |value: &Json| text(value).parse::<jiff::Span>().ok().and_then(seconds);
            match (span(want), span(live)) {
                (Some(want), Some(live)) => want == live,
                _ => want == live,
            }
        }
        Some(Same::Set) => {
            let set = |value: &Json| -> BTreeSet<String> {
                value.as_array().into_iter().flatten().map(|it| it.to_string()).collect()
            };
            set(want) == set(live)
        }
    }
}

fn seconds(span: jiff::Span) -> Option<i64> {
    // Days are always 24 hours here: Service Bus counts them so.
    span.total((jiff::Unit::Second, jiff::SpanRelativeTo::days_are_24_hours()))
        .ok()
        .map(|total| total as i64)
}

/// The field managers of a Kubernetes object other than amlplan, in order
/// (Kubernetes: server-side apply, managed fields).
#[must_use]
pub fn other_managers(object: Option<&Json>) -> Vec<String> {
    let fields = object.and_then(|value| value.pointer("/metadata/managedFields")?.as_array());
    let names = fields.into_iter().flatten().filter_map(|value| value.get("manager")?.as_str());
    let others: BTreeSet<&str> = names.filter(|name| *name != "amlplan").collect();
    others.into_iter().map(str::to_owned).collect()
}

/// An Azure location in its canonical form: lower case, without spaces.
#[must_use]
pub fn location(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_whitespace()).collect::<String>().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const RULES: Rules = Rules {
        same: &[
            ("/location", Same::Location),
            ("/ttl", Same::Duration),
            ("/settings/*", Same::IgnoringCase),
            ("/rights", Same::Set),
        ],
        whole: &["/settings"],
        immutable: &["/scope"],
        unread: &["/secret"],
    };

    fn paths(want: Json, live: Json) -> Vec<String> {
        diff(&want.into(), &live, &RULES).iter().map(|change| change.path.to_string()).collect()
    }

    #[test]
    fn what_azure_spells_otherwise_is_no_difference() {
        let want = json!({"location": "westeurope", "ttl": "P14D", "settings": {"a": "True"},
            "rights": ["Send", "Listen"], "secret": "x"});
        let live = json!({"location": "West Europe", "ttl": "PT336H", "rights": ["Listen", "Send"],
            "settings": {"a": "true", "blank": ""}, "etag": "server's"});
        assert_eq!(paths(want, live), Vec::<String>::new());
    }

    #[test]
    fn a_foreign_key_counts_only_in_maps_that_are_ours_as_a_whole() {
        let live = json!({"settings": {"extra": "1"}, "other": {"extra": "1"}});
        assert_eq!(paths(json!({"settings": {}, "other": {}}), live), ["/settings/extra"]);
    }

    #[test]
    fn a_path_below_an_immutable_one_is_immutable() {
        assert!(RULES.is_immutable(&Pointer::parse("/scope/cluster")));
        assert!(!RULES.is_immutable(&Pointer::parse("/settings/scope")));
    }

    fn document() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Json::from),
            any::<i32>().prop_map(Json::from),
            "[a-z]{0,6}".prop_map(Json::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            proptest::collection::btree_map("[a-z]{1,4}", inner, 0..4)
                .prop_map(|map| Json::Object(map.into_iter().collect()))
        })
    }

    fn leaves(at: &Pointer, document: &Json, found: &mut Vec<Pointer>) {
        match document.as_object() {
            Some(map) => map.iter().for_each(|(key, value)| leaves(&at.join(key), value, found)),
            None => found.push(at.clone()),
        }
    }

    proptest! {
        #[test]
        fn a_document_does_not_differ_from_itself_whatever_the_server_adds(
            want in document(), extra in document(),
        ) {
            let mut live = want.clone();
            if let Some(map) = live.as_object_mut() {
                map.insert("server-owned".to_owned(), extra);
            }
            prop_assert_eq!(diff(&want.into(), &live, &Rules::default()), Vec::new());
        }

        #[test]
        fn one_changed_leaf_is_one_change_at_its_path(want in document(), which in any::<usize>()) {
            let mut found = Vec::new();
            leaves(&Pointer::root(), &want, &mut found);
            prop_assume!(!found.is_empty());
            let path = found[which % found.len()].clone();
            let mut live = want.clone();
            *live.pointer_mut(&path.to_string()).unwrap() = json!(["something else"]);
            let changes = diff(&want.into(), &live, &Rules::default());
            prop_assert_eq!(changes.len(), 1);
            prop_assert_eq!(&changes[0].path, &path);
        }
    }
}
