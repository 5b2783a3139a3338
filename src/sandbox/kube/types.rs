//! What the API server serves: resource types (from `types.toml` and from stored
//! CustomResourceDefinitions) and the grammar of API paths.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::Value as Json;

/// One resource type as discovery lists it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResourceType {
    #[serde(default)]
    pub(crate) group: String,
    /// `v1` for every built-in type.
    #[serde(default = "v1")]
    pub(crate) version: String,
    pub(crate) plural: String,
    #[serde(default)]
    pub(crate) singular: String,
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) cluster: bool,
    #[serde(default)]
    pub(crate) short: Vec<String>,
    #[serde(default)]
    pub(crate) categories: Vec<String>,
    #[serde(default)]
    pub(crate) sub: Vec<String>,
    #[serde(default)]
    pub(crate) columns: Vec<String>,
    /// Create-only types (access reviews) that are answered and never stored.
    #[serde(default)]
    pub(crate) review: bool,
    /// Defined by a CustomResourceDefinition in a real cluster: no strategic merge, all lists
    /// atomic unless the schema says otherwise, and PUT needs a resourceVersion.
    #[serde(default)]
    pub(crate) custom: bool,
    /// The only distribution that has the type.
    #[serde(default)]
    pub(crate) distribution: Option<String>,
    /// The version objects are stored under when it is not `version`.
    #[serde(skip)]
    pub(crate) storage: Option<String>,
    /// The CRD's `openAPIV3Schema`.
    #[serde(skip)]
    pub(crate) schema: Option<Json>,
}

fn v1() -> String {
    "v1".to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TypeCatalog {
    resource: Vec<ResourceType>,
    lists: BTreeMap<String, Vec<String>>,
    maps: BTreeMap<String, Vec<String>>,
}

static CATALOG: LazyLock<TypeCatalog> = LazyLock::new(|| {
    let mut catalog: TypeCatalog =
        toml::from_str(include_str!("types.toml")).expect("types.toml is well formed");
    for kind in &mut catalog.resource {
        if kind.singular.is_empty() {
            kind.singular = kind.kind.to_lowercase();
        }
    }
    catalog
});

/// How a list or an object merges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Replaced as a whole.
    Atomic,
    /// A list of objects told apart by these fields.
    Keyed(Vec<String>),
    /// A list of scalars without order.
    Set,
}

impl ResourceType {
    /// The types every cluster of this distribution has.
    pub(crate) fn builtin(distribution: &str) -> impl Iterator<Item = &'static ResourceType> {
        CATALOG.resource.iter().filter(move |kind| {
            kind.distribution.as_deref().is_none_or(|only| only == distribution)
        })
    }

    /// `v1` or `apps/v1`.
    pub(crate) fn api_version(&self) -> String {
        group_version(&self.group, &self.version)
    }

    /// `deployments.apps`, as messages name the resource.
    pub(crate) fn qualified(&self) -> String {
        if self.group.is_empty() {
            self.plural.clone()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    pub(crate) fn has(&self, subresource: &str) -> bool {
        self.sub.iter().any(|each| each == subresource)
    }

    /// The path objects of this type are stored under.
    pub(crate) fn path(&self, namespace: Option<&str>, name: Option<&str>) -> String {
        ApiPath {
            group: self.group.clone(),
            version: self.storage.clone().unwrap_or_else(|| self.version.clone()),
            namespace: namespace.filter(|_| !self.cluster).map(str::to_owned),
            resource: self.plural.clone(),
            name: name.map(str::to_owned),
            subresource: None,
        }
        .to_string()
    }

    /// The verbs discovery lists.
    pub(crate) fn verbs(&self) -> &'static [&'static str] {
        if self.review {
            &["create"]
        } else {
            &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
        }
    }

    /// How the list at `path` (field names from the root) merges.
    pub(crate) fn list_shape(&self, path: &[String]) -> Shape {
        if let Some(node) = self.schema_node(path) {
            let keys = node["x-kubernetes-list-map-keys"].as_array();
            return match (node["x-kubernetes-list-type"].as_str(), keys) {
                (Some("map"), Some(keys)) => Shape::Keyed(
                    keys.iter().filter_map(|key| key.as_str().map(str::to_owned)).collect(),
                ),
                (Some("set"), _) => Shape::Set,
                _ => Shape::Atomic,
            };
        }
        let in_metadata = path.first().is_some_and(|first| first == "metadata");
        if self.custom && !in_metadata {
            return Shape::Atomic;
        }
        let Some(field) = path.last() else {
            return Shape::Atomic;
        };
        let parent = path.len().checked_sub(2).map(|at| &path[at]);
        let keys = parent
            .and_then(|parent| CATALOG.lists.get(&format!("{parent}/{field}")))
            .or_else(|| CATALOG.lists.get(field));
        match keys {
            Some(keys) if keys.is_empty() => Shape::Set,
            Some(keys) => Shape::Keyed(keys.clone()),
            None => Shape::Atomic,
        }
    }

    /// Whether the object at `path` is replaced as a whole.
    pub(crate) fn atomic_map(&self, path: &[String]) -> bool {
        if self.custom {
            return self
                .schema_node(path)
                .is_some_and(|node| node["x-kubernetes-map-type"] == "atomic");
        }
        path.last().is_some_and(|field| CATALOG.maps["atomic"].contains(field))
    }

    fn schema_node(&self, path: &[String]) -> Option<&Json> {
        let mut node = self.schema.as_ref()?;
        for field in path {
            if node.get("items").is_some() {
                node = &node["items"];
            }
            node = node["properties"].get(field).or_else(|| node.get("additionalProperties"))?;
        }
        Some(node)
    }
}

/// `v1` or `group/version`.
pub(crate) fn group_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

/// A parsed API path of a collection, an object or a subresource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiPath {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) namespace: Option<String>,
    pub(crate) resource: String,
    pub(crate) name: Option<String>,
    pub(crate) subresource: Option<String>,
}

impl ApiPath {
    /// Reads `/api/v1/…` and `/apis/GROUP/VERSION/…`; `None` for anything else.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let parts: Vec<String> = path
            .split('/')
            .filter(|part| !part.is_empty())
            .map(|part| percent_encoding::percent_decode_str(part).decode_utf8_lossy().into_owned())
            .collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let (group, version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return None,
        };
        let (namespace, rest) = match rest {
            ["namespaces", _] | ["namespaces", _, "status" | "finalize"] if group.is_empty() => {
                (None, rest)
            }
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (Some(*namespace), rest),
            rest => (None, rest),
        };
        let (resource, name, subresource) = match rest {
            [resource] => (*resource, None, None),
            [resource, name] => (*resource, Some(*name), None),
            [resource, name, sub] => (*resource, Some(*name), Some(*sub)),
            _ => return None,
        };
        Some(Self {
            group: group.to_owned(),
            version: version.to_owned(),
            namespace: namespace.map(str::to_owned),
            resource: resource.to_owned(),
            name: name.map(str::to_owned),
            subresource: subresource.map(str::to_owned),
        })
    }
}

impl std::fmt::Display for ApiPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.group.is_empty() {
            write!(f, "/api/{}", self.version)?;
        } else {
            write!(f, "/apis/{}/{}", self.group, self.version)?;
        }
        if let Some(namespace) = &self.namespace {
            write!(f, "/namespaces/{namespace}")?;
        }
        write!(f, "/{}", self.resource)?;
        for part in [&self.name, &self.subresource].into_iter().flatten() {
            write!(f, "/{part}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_objects_collections_and_subresources_are_told_apart() {
        for path in [
            "/api/v1/namespaces",
            "/api/v1/namespaces/azureml",
            "/api/v1/namespaces/azureml/finalize",
            "/api/v1/namespaces/azureml/pods/p/log",
            "/apis/apps/v1/deployments",
            "/apis/apps/v1/namespaces/azureml/deployments/gateway/scale",
            "/apis/security.openshift.io/v1/securitycontextconstraints/privileged",
        ] {
            let parsed = ApiPath::parse(path).expect(path);
            assert_eq!(parsed.to_string(), path);
        }
        let namespace = ApiPath::parse("/api/v1/namespaces/azureml").expect("parses");
        assert_eq!(namespace.name.as_deref(), Some("azureml"));
        let role = ApiPath::parse("/apis/g/v1/clusterroles/system%3Ascc").expect("parses");
        assert_eq!(role.name.as_deref(), Some("system:scc"));
        assert_eq!(ApiPath::parse("/version"), None);
        assert_eq!(ApiPath::parse("/apis/apps/v1"), None);
    }

    #[test]
    fn lists_merge_as_the_openapi_document_says() {
        let find = |plural: &str| {
            ResourceType::builtin("openshift").find(|kind| kind.plural == plural).expect("known")
        };
        let path = |text: &str| text.split('/').map(str::to_owned).collect::<Vec<_>>();
        let deployment = find("deployments");
        assert_eq!(
            deployment.list_shape(&path("spec/template/spec/containers")),
            Shape::Keyed(vec!["name".to_owned()])
        );
        assert_eq!(find("rolebindings").list_shape(&path("subjects")), Shape::Atomic);
        assert_eq!(find("securitycontextconstraints").list_shape(&path("users")), Shape::Atomic);
        assert_eq!(
            find("securitycontextconstraints").list_shape(&path("metadata/finalizers")),
            Shape::Set
        );
    }
}
