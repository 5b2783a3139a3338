//! What a step's resource looks like before and after, with nothing differing but the step's own
//! changes, and the words for values that are unknown or secret.

use serde_json::json;

use super::safe;
use crate::model::{Encoding, Json, Later, Pointer, Secret, SecretSource, Value};
use crate::plan::{Action, Reason, Step};
use crate::resource::FieldChange;

/// What stands for a secret.
pub(super) const SENSITIVE: &str = "(sensitive value)";

/// Fields that the server writes; a removed resource is shown without them.
const SERVER_OWNED: [&str; 14] = [
    "creationTimestamp",
    "currentVersion",
    "errorInfo",
    "etag",
    "generation",
    "managedFields",
    "managementDetails",
    "provisioningErrors",
    "provisioningState",
    "resourceVersion",
    "status",
    "statuses",
    "systemData",
    "uid",
];

/// Whether the value is never shown, now or when it is known.
pub(super) const fn is_secret(value: &Value) -> bool {
    match value {
        Value::Secret(_) => true,
        // Only secrets are fetched by a call of their own.
        Value::Later(later) => later.call.is_some(),
        _ => false,
    }
}

/// Whether a change is one of a secret. Its live side is then a mark at most, and not shown either.
pub(super) fn is_secret_change(change: &FieldChange) -> bool {
    change.after.as_ref().is_some_and(is_secret)
        || change.path.tokens().iter().any(|token| token == "configurationProtectedSettings")
}

fn secret_mark() -> Value {
    Value::Secret(Secret::unread(SecretSource::Env(String::new()), Encoding::Plain))
}

/// The resource after the step; `None` when it is gone then.
pub(super) fn after(step: &Step) -> Option<Value> {
    match step.action {
        Action::Delete => None,
        Action::Create | Action::Replace => step.after.clone(),
        Action::Update => settled(step, &step.changes),
        Action::NoOp | Action::Read => settled(step, &[]),
    }
}

/// The resource before the step; `None` when there is none yet. It differs from [`after`] in the
/// fields that the step lists and in no others: other spellings of the same value are no change.
pub(super) fn before(step: &Step) -> Option<Value> {
    let live = step.before.as_ref()?;
    match step.action {
        Action::Create => None,
        Action::Delete => Some(Value::from(without_server_fields(live))),
        Action::NoOp | Action::Read => settled(step, &[]),
        Action::Update | Action::Replace => {
            let mut document = settled(step, &[])?;
            for change in &step.changes {
                let value = match &change.before {
                    Some(_) if is_secret_change(change) => Some(secret_mark()),
                    other => other.clone().map(Value::from),
                };
                put(&mut document, change.path.tokens(), value);
            }
            Some(document)
        }
    }
}

/// The wanted document with what is live in place of leaves that are known later and not among the
/// changes.
fn settled(step: &Step, changes: &[FieldChange]) -> Option<Value> {
    let live = step.before.as_ref();
    if step.key.kind.read_only() || step.after.is_none() {
        return live.map(|value| Value::from(without_server_fields(value)));
    }
    let mut document = step.after.clone()?;
    let later: Vec<(Pointer, Later)> = document
        .later_leaves()
        .into_iter()
        .map(|(path, later)| (path, later.clone()))
        .filter(|(path, _)| !changes.iter().any(|change| path.starts_with(&change.path)))
        .collect();
    for (path, later) in later {
        let value = match later.call {
            Some(_) => secret_mark(),
            None => live.and_then(|value| path.get(value)).cloned().unwrap_or_default().into(),
        };
        put(&mut document, path.tokens(), Some(value));
    }
    Some(document)
}

/// Puts a value at a path, or takes it away; maps on the way are made.
fn put(document: &mut Value, path: &[String], value: Option<Value>) {
    let Some((first, rest)) = path.split_first() else {
        *document = value.unwrap_or(Value::Null);
        return;
    };
    match document {
        Value::Object(map) => match (rest.is_empty(), value) {
            (true, Some(value)) => drop(map.insert(first.clone(), value)),
            (true, None) => drop(map.remove(first)),
            (false, value) => {
                let inner = map.entry(first.clone()).or_insert_with(Value::object);
                put(inner, rest, value);
            }
        },
        Value::Array(items) => {
            if let Some(item) = first.parse().ok().and_then(|parse: usize| items.get_mut(parse)) {
                put(item, rest, value);
            }
        }
        _ => {}
    }
}

/// A live document without what the server writes into it, and without empty fields.
fn without_server_fields(live: &Json) -> Json {
    match live {
        Json::Object(map) => map
            .iter()
            .filter(|(key, value)| !value.is_null() && !SERVER_OWNED.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), without_server_fields(value)))
            .collect(),
        Json::Array(items) => items.iter().map(without_server_fields).collect(),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => live.clone(),
    }
}

/// The document as JSON; what is secret or known later is `null`.
pub(super) fn shown(value: &Value) -> Json {
    let never = &mut |_: &Value| Ok::<Json, std::convert::Infallible>(Json::Null);
    value.resolve(never).unwrap_or_default()
}

/// A document of the same shape with `true` where a leaf has the property, as in Terraform's
/// `after_unknown` and `after_sensitive`; maps leave out what has it not.
pub(super) fn marks(value: &Value, has: &dyn Fn(&Value) -> bool) -> Json {
    match value {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (key.clone(), marks(value, has)))
            .filter(|(_, mark)| *mark != json!(false) && *mark != json!({}))
            .collect(),
        Value::Array(items) => items.iter().map(|value| marks(value, has)).collect(),
        leaf => json!(has(leaf)),
    }
}

/// A key as it stands in text: quoted when it is not a plain word.
pub(super) fn name(key: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-.".contains(letter);
    if !key.is_empty() && key.chars().all(plain) {
        key.to_owned()
    } else {
        quoted(&safe::shortened(key))
    }
}

fn quoted(text: &str) -> String {
    Json::from(text).to_string()
}

/// The two sides of a change, each on one line, shortened where they differ.
pub(super) fn inline_pair(before: &Value, after: &Value) -> (String, String) {
    match (before, after) {
        (Value::String(before), Value::String(after)) => {
            let (before, after) = safe::shortened_pair(before, after);
            (quoted(&before), quoted(&after))
        }
        _ => (inline(before), inline(after)),
    }
}

/// A value on one line; the whole of a long one stands only in JSON.
pub(super) fn inline(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => quoted(&safe::shortened(text)),
        Value::Secret(_) => SENSITIVE.to_owned(),
        Value::Later(later) if later.call.is_some() => {
            format!("{SENSITIVE} (known after {})", later.from)
        }
        Value::Later(later) => format!("(known after {})", later.from),
        Value::Array(items) => {
            let items = items.iter().map(inline).collect::<Vec<_>>().join(", ");
            format!("[{}]", safe::shortened(&items))
        }
        Value::Object(map) if map.is_empty() => "{}".to_owned(),
        Value::Object(map) => {
            let pair =
                |(key, value): (&String, &Value)| format!("{} = {}", name(key), inline(value));
            let pairs = map.iter().map(pair).collect::<Vec<_>>().join(", ");
            format!("{{ {} }}", safe::shortened(&pairs))
        }
    }
}

/// The fields that force a replacement.
pub(super) fn forced_paths(step: &Step) -> Vec<&Pointer> {
    let paths = step.reasons.iter().filter_map(|reason| match reason {
        Reason::CannotUpdate(paths) => Some(paths),
        _ => None,
    });
    paths.flatten().collect()
}

/// The items that only the first list has, and those that only the second has, each as often as it
/// has them more.
pub(super) fn list_difference(before: &[Value], after: &[Value]) -> (Vec<Value>, Vec<Value>) {
    let mut gone = before.to_vec();
    let mut new = after.to_vec();
    gone.retain(|value| match new.iter().position(|other| other == value) {
        Some(at) => {
            new.remove(at);
            false
        }
        None => true,
    });
    (gone, new)
}

/// A reason in words.
pub(super) fn reason(reason: &Reason) -> String {
    let list = |keys: &[String]| keys.join(", ");
    match reason {
        Reason::Absent => "there is none yet".to_owned(),
        Reason::FieldsDiffer => "fields differ from what is declared".to_owned(),
        Reason::CannotUpdate(paths) => {
            let paths: Vec<String> = paths.iter().map(ToString::to_string).collect();
            format!("cannot be changed in place: {}", list(&paths))
        }
        Reason::DependencyReplaced(key) => format!("{key}, on which it stands, is replaced"),
        Reason::Unhealthy { state, message } => format!("it is in state {state}: {message}"),
        Reason::FeatureRegistered(features) => {
            let features: Vec<String> = features.iter().map(ToString::to_string).collect();
            format!("takes effect only when registered again after {}", list(&features))
        }
        Reason::CompanionChanged(key) => format!("{key} is new, and so are the keys it gives"),
        Reason::Destroy => "it is to be destroyed".to_owned(),
        Reason::NotDeclared(name) => format!("no longer declared (mark of {name})"),
        Reason::Moved(name) => format!("taken over from the manifest {name}"),
        Reason::Adopted => "adopted: it gets the mark of this manifest".to_owned(),
    }
}
