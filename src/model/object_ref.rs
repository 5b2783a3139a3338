//! References to Kubernetes objects.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Where a Kubernetes object stands in the API of its cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectRef {
    /// `v1` or `GROUP/VERSION`.
    pub api_version: String,
    /// The kind, as in `kind:` of a YAML file.
    pub kind: String,
    /// The plural that stands in paths.
    pub plural: String,
    /// The namespace; `None` for cluster-scoped objects.
    pub namespace: Option<String>,
    /// The object's name; empty when the whole collection is meant.
    pub name: String,
}

impl ObjectRef {
    /// A cluster-scoped object.
    #[must_use]
    pub fn cluster(api_version: &str, kind: &str, plural: &str, name: &str) -> Self {
        Self {
            api_version: api_version.into(),
            kind: kind.into(),
            plural: plural.into(),
            namespace: None,
            name: name.into(),
        }
    }

    /// The same reference inside a namespace.
    #[must_use]
    pub fn in_namespace(mut self, namespace: &str) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// The path of the object, or of its collection when the name is empty.
    #[must_use]
    pub fn path(&self) -> String {
        let root = if self.api_version.contains('/') { "/apis" } else { "/api" };
        let mut path = format!("{root}/{}", self.api_version);
        if let Some(namespace) = &self.namespace {
            path.push_str("/namespaces/");
            path.push_str(namespace);
        }
        path.push('/');
        path.push_str(&self.plural);
        if !self.name.is_empty() {
            path.push('/');
            path.push_str(&self.name);
        }
        path
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind, self.name),
            None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}
