//! A request to an API server, who sends it, and what is sent back.

use serde_json::Value as Json;

use super::selectors::Selectors;
use super::status::Failure;
use super::store::Store;
use super::types::{ApiPath, ResourceType};

/// What the world says about this cluster besides its objects.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClusterFacts {
    /// A webhook refuses changes to the platform's own security context constraints.
    pub(crate) scc_edit_denied: bool,
    /// The server's version without the leading `v`, such as `1.33.2`.
    pub(crate) version: String,
}

/// Who sends a request, as the bearer token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// May do everything (`system:masters`).
    Admin,
    /// May get, list and watch everything and change nothing.
    ReadOnly,
    /// A service account with the rights RBAC gives it.
    ServiceAccount {
        /// The account's namespace.
        namespace: String,
        /// The account's name.
        name: String,
    },
    /// Any other user with the rights RBAC gives it.
    User {
        /// The user name.
        name: String,
        /// The user's groups besides `system:authenticated`.
        groups: Vec<String>,
    },
    /// No valid token: answered 401.
    Anonymous,
}

/// One HTTP request to the API server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ApiRequest<'a> {
    /// The HTTP method.
    pub(crate) method: &'a http::Method,
    /// The API path without the query; starts with `/api`, `/apis`, `/version`, `/openapi`, ….
    pub(crate) path: &'a str,
    /// Decoded query parameters in order.
    pub(crate) query: &'a [(String, String)],
    /// The request's headers (Accept, Content-Type and User-Agent are read).
    pub(crate) headers: &'a http::HeaderMap,
    /// The body, empty when there is none.
    pub(crate) body: &'a [u8],
    /// The time, RFC 3339.
    pub(crate) now: &'a str,
}

/// What to send back.
#[derive(Clone, Debug)]
pub(crate) enum KubeReply {
    /// A JSON body.
    Json {
        /// HTTP status code.
        status: u16,
        /// The body.
        body: Json,
    },
    /// A text body.
    Text {
        /// HTTP status code.
        status: u16,
        /// The body.
        body: String,
        /// Its content type.
        content_type: &'static str,
    },
    /// A stream of events, one JSON object a line: first `initial`, then what
    /// `events_since` gives from `resource_version` on.
    Watch(Box<WatchSpec>),
}

impl KubeReply {
    pub(crate) fn ok(body: Json) -> Self {
        KubeReply::Json { status: 200, body }
    }

    pub(crate) fn text(status: u16, body: impl Into<String>) -> Self {
        KubeReply::Text { status, body: body.into(), content_type: "text/plain" }
    }
}

impl ApiRequest<'_> {
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.value(name).is_some_and(|value| matches!(value, "" | "1" | "t" | "true" | "True"))
    }

    pub(crate) fn header(&self, name: http::HeaderName) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub(crate) fn dry_run(&self) -> bool {
        self.query.iter().any(|(key, value)| key == "dryRun" && value == "All")
    }
}

/// One request for a known resource.
pub(crate) struct ApiCall<'a> {
    pub(crate) facts: &'a ClusterFacts,
    pub(crate) caller: &'a Caller,
    pub(crate) request: &'a ApiRequest<'a>,
    pub(crate) kind: ResourceType,
    pub(crate) at: ApiPath,
}

impl ApiCall<'_> {
    pub(crate) fn namespace(&self) -> Option<&str> {
        self.at.namespace.as_deref()
    }

    pub(crate) fn name(&self) -> &str {
        self.at.name.as_deref().unwrap_or_default()
    }

    pub(crate) fn sub(&self) -> Option<&str> {
        self.at.subresource.as_deref()
    }

    /// Where the object is stored.
    pub(crate) fn path(&self) -> String {
        self.kind.path(self.namespace(), Some(self.name()))
    }

    pub(crate) fn live(&self, store: &Store) -> Result<Json, Failure> {
        store.get(&self.path()).cloned().ok_or_else(|| Failure::not_found(&self.kind, self.name()))
    }

    /// The object as this version of the API shows it.
    pub(crate) fn present(&self, mut object: Json) -> Json {
        if self.kind.storage.is_some() {
            object["apiVersion"] = self.kind.api_version().into();
        }
        object
    }
}

/// What a watcher asked for.
#[derive(Clone, Debug)]
pub(crate) struct WatchSpec {
    /// Events to send at once, before anything from `events_since`.
    pub(crate) initial: Vec<Json>,
    /// The resourceVersion to go on from.
    pub(crate) resource_version: u64,
    /// How many seconds the watch may last, when the watcher said so.
    pub(crate) timeout_seconds: Option<u64>,
    pub(crate) kind: ResourceType,
    pub(crate) at: ApiPath,
    pub(crate) selectors: Selectors,
    pub(crate) view: Representation,
}

/// The representation a client asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Representation {
    Whole,
    Table {
        /// `includeObject=Object`: rows carry whole objects instead of their metadata.
        objects: bool,
        /// The time ages are counted from.
        now: String,
    },
    Metadata,
}
