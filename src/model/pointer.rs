//! Paths into documents.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Json;

/// A path into a document: the reference tokens of a JSON pointer (RFC 6901), unescaped.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pointer(Vec<String>);

impl Pointer {
    /// The path of the whole document.
    #[must_use]
    pub const fn root() -> Self {
        Self(Vec::new())
    }

    /// Reads a JSON pointer; a missing first slash is supplied.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let text = text.strip_prefix('/').unwrap_or(text);
        if text.is_empty() {
            return Self::root();
        }
        Self(text.split('/').map(|part| part.replace("~1", "/").replace("~0", "~")).collect())
    }

    /// Reads a dotted path (`extension.configurationSettings.nodeSelector`).
    #[must_use]
    pub fn dotted(text: &str) -> Self {
        Self(text.split('.').filter(|part| !part.is_empty()).map(str::to_owned).collect())
    }

    /// The path one step further down.
    #[must_use]
    pub fn join(&self, token: impl Into<String>) -> Self {
        let mut tokens = self.0.clone();
        tokens.push(token.into());
        Self(tokens)
    }

    /// The path one step up; the root is its own parent.
    #[must_use]
    pub fn parent(&self) -> Self {
        Self(self.0[..self.0.len().saturating_sub(1)].to_vec())
    }

    /// The reference tokens.
    #[must_use]
    pub fn tokens(&self) -> &[String] {
        &self.0
    }

    /// Whether this path is `other` or lies below it.
    #[must_use]
    pub fn starts_with(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }

    /// Whether `path` is this one or below it, where `nodeSelector` covers `nodeSelector.disk` too:
    /// keys of settings contain dots.
    #[must_use]
    pub fn covers(&self, path: &Self) -> bool {
        if path.starts_with(self) {
            return true;
        }
        let (Some(last), Some(other)) = (self.0.last(), path.0.get(self.0.len().saturating_sub(1)))
        else {
            return false;
        };
        path.starts_with(&self.parent()) && other.starts_with(&format!("{last}."))
    }

    /// The value at this path, with object keys compared exactly.
    #[must_use]
    pub fn get<'a>(&self, document: &'a Json) -> Option<&'a Json> {
        document.pointer(&self.to_string())
    }

    /// The path as people write it in a manifest: `a.b.c`.
    #[must_use]
    pub fn to_dotted(&self) -> String {
        self.0.join(".")
    }
}

impl<T: Into<String>> FromIterator<T> for Pointer {
    fn from_iter<I: IntoIterator<Item = T>>(tokens: I) -> Self {
        Self(tokens.into_iter().map(Into::into).collect())
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for token in &self.0 {
            write!(f, "/{}", token.replace('~', "~0").replace('/', "~1"))?;
        }
        Ok(())
    }
}

impl Serialize for Pointer {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Pointer {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::parse(&String::deserialize(deserializer)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_escape_slashes_and_keep_dots_inside_keys() {
        let pointer = Pointer::root().join("limits").join("nvidia.com/gpu");
        assert_eq!(pointer.to_string(), "/limits/nvidia.com~1gpu");
        assert_eq!(Pointer::parse(&pointer.to_string()), pointer);
        let document = serde_json::json!({"limits": {"nvidia.com/gpu": 1}});
        assert_eq!(pointer.get(&document), Some(&serde_json::json!(1)));
    }
}
