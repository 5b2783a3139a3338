//! Documents we mean to send: JSON with two more kinds of leaf.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Encoding, Json, Key, Pointer, Secret, SecretSource};

/// A value that another resource will have once it exists.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Later {
    /// The resource that will have it.
    pub from: Key,
    /// Where it stands in that resource's document, or in the answer of `call`.
    pub at: Pointer,
    /// The `POST` below the resource that answers it (`listKeys`, `sharedKeys`); its answer is secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
}

/// A JSON document with leaves that are known later and leaves that are secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(serde_json::Number),
    /// A text.
    String(String),
    /// A list.
    Array(Vec<Value>),
    /// A map, in key order.
    Object(BTreeMap<String, Value>),
    /// Known after another step.
    Later(Later),
    /// Sent, never shown.
    Secret(Secret),
}

const LATER: &str = "$later";
const SECRET: &str = "$secret";

#[derive(Serialize, Deserialize)]
struct SecretLeaf {
    source: SecretSource,
    #[serde(default)]
    encoding: Encoding,
}

impl Value {
    /// An empty map.
    #[must_use]
    pub const fn object() -> Self {
        Self::Object(BTreeMap::new())
    }

    /// The document with its special leaves written as `{"$later": …}` and `{"$secret": …}`;
    /// contents of secrets are left out. This is the form that a saved plan holds.
    #[must_use]
    pub fn to_stored(&self) -> Json {
        match self {
            Self::Null => Json::Null,
            Self::Bool(flag) => Json::Bool(*flag),
            Self::Number(number) => Json::Number(number.clone()),
            Self::String(text) => Json::String(text.clone()),
            Self::Array(items) => Json::Array(items.iter().map(Self::to_stored).collect()),
            Self::Object(map) => {
                Json::Object(map.iter().map(|(k, v)| (k.clone(), v.to_stored())).collect())
            }
            Self::Later(later) => json!({ LATER: later }),
            Self::Secret(secret) => json!({ SECRET: SecretLeaf {
                source: secret.source.clone(),
                encoding: secret.encoding,
            }}),
        }
    }

    /// The value at a path.
    #[must_use]
    pub fn get(&self, pointer: &Pointer) -> Option<&Self> {
        pointer.tokens().iter().try_fold(self, |value, token| match value {
            Self::Object(map) => map.get(token),
            Self::Array(items) => items.get(token.parse::<usize>().ok()?),
            Self::Null
            | Self::Bool(_)
            | Self::Number(_)
            | Self::String(_)
            | Self::Later(_)
            | Self::Secret(_) => None,
        })
    }

    /// The value at a path of objects, to change it.
    pub fn get_mut(&mut self, pointer: &Pointer) -> Option<&mut Self> {
        pointer.tokens().iter().try_fold(self, |value, token| match value {
            Self::Object(map) => map.get_mut(token),
            _ => None,
        })
    }

    /// Puts a value into an object; on anything else it does nothing.
    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<Self>) {
        if let Self::Object(map) = self {
            map.insert(key.into(), value.into());
        }
    }

    /// Every leaf that is known later, with its path, in path order.
    #[must_use]
    pub fn later_leaves(&self) -> Vec<(Pointer, &Later)> {
        let mut found = Vec::new();
        self.walk(&Pointer::root(), &mut |pointer, value| {
            if let Self::Later(later) = value {
                found.push((pointer.clone(), later));
            }
        });
        found
    }

    /// Every secret whose content is not at hand.
    #[must_use]
    pub fn closed_secrets(&self) -> Vec<&Secret> {
        let mut found = Vec::new();
        self.walk(&Pointer::root(), &mut |_, value| {
            if let Self::Secret(secret) = value
                && secret.expose().is_none()
            {
                found.push(secret);
            }
        });
        found
    }

    /// Visits every value in path order, parents before children.
    pub fn walk<'a>(&'a self, at: &Pointer, visit: &mut dyn FnMut(&Pointer, &'a Self)) {
        visit(at, self);
        match self {
            Self::Object(map) => {
                for (key, value) in map {
                    value.walk(&at.join(key), visit);
                }
            }
            Self::Array(items) => {
                for (index, value) in items.iter().enumerate() {
                    value.walk(&at.join(index.to_string()), visit);
                }
            }
            Self::Null
            | Self::Bool(_)
            | Self::Number(_)
            | Self::String(_)
            | Self::Later(_)
            | Self::Secret(_) => {}
        }
    }

    /// The document with what is known of other resources in its place; the rest stays for later.
    #[must_use]
    pub fn filled(&self, known: &dyn Fn(&Later) -> Option<Json>) -> Self {
        match self {
            Self::Later(later) => known(later).map_or_else(|| self.clone(), Self::from),
            Self::Object(map) => Self::Object(
                map.iter().map(|(key, value)| (key.clone(), value.filled(known))).collect(),
            ),
            Self::Array(items) => Self::Array(items.iter().map(|it| it.filled(known)).collect()),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::String(_) | Self::Secret(_) => {
                self.clone()
            }
        }
    }

    /// The document with `leaf` deciding what stands for special leaves.
    pub fn resolve<E>(&self, leaf: &mut dyn FnMut(&Self) -> Result<Json, E>) -> Result<Json, E> {
        Ok(match self {
            Self::Later(_) | Self::Secret(_) => leaf(self)?,
            Self::Array(items) => Json::Array(
                items.iter().map(|value| value.resolve(leaf)).collect::<Result<_, E>>()?,
            ),
            Self::Object(map) => {
                let mut object = serde_json::Map::new();
                for (key, value) in map {
                    object.insert(key.clone(), value.resolve(leaf)?);
                }
                Json::Object(object)
            }
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::String(_) => self.to_stored(),
        })
    }
}

impl From<Json> for Value {
    fn from(json: Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(flag) => Self::Bool(flag),
            Json::Number(number) => Self::Number(number),
            Json::String(text) => Self::String(text),
            Json::Array(items) => Self::Array(items.into_iter().map(Self::from).collect()),
            Json::Object(map) => {
                Self::Object(map.into_iter().map(|(k, v)| (k, Self::from(v))).collect())
            }
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Bool(flag)
    }
}

impl From<Later> for Value {
    fn from(later: Later) -> Self {
        Self::Later(later)
    }
}

impl From<Secret> for Value {
    fn from(secret: Secret) -> Self {
        Self::Secret(secret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::KindName;

    #[test]
    fn special_leaves_survive_storage_without_the_content_of_secrets() {
        let mut value = Value::object();
        value.insert(
            "a",
            Later {
                from: Key::new("edge", KindName::Compute, "c"),
                at: Pointer::parse("/identity/principalId"),
                call: None,
            },
        );
        let source = SecretSource::Env("X".into());
        value.insert("b", Secret::new(source.clone(), Encoding::Plain, "canary".into()));
        let stored = value.to_stored();
        assert!(!stored.to_string().contains("canary"));
        assert_eq!(stored["a"][LATER]["from"], "edge/compute/c");
        assert_eq!(stored["b"][SECRET]["source"], serde_json::to_value(source).unwrap());
    }
}
