//! A Kubernetes API server without a cluster behind it: storage, discovery, the verbs,
//! server-side apply, RBAC and watches over a [`Store`]. It is part of the sandbox, which shares
//! no code with the clients it is the oracle of. Facts: kubernetes.io, "Kubernetes API Concepts".

mod admission;
mod apply;
mod crd;
mod delete;
mod discovery;
mod fields;
mod openapi;
mod patch;
mod protobuf;
mod rbac;
mod read;
mod seed;
mod selectors;
mod status;
mod store;
mod table;
mod types;
mod watch;
mod write;

use serde_json::Value as Json;

pub use rbac::{may, scc_allows};
pub use store::Store;
pub use watch::{WatchSpec, bookmark, events_since};

use rbac::Deed;
use status::Failure;
use types::{ApiPath, ResourceType};

/// What the world says about this cluster besides its objects.
#[derive(Clone, Debug, Default)]
pub struct ClusterFacts {
    /// A webhook refuses changes to the platform's own security context constraints.
    pub scc_edit_denied: bool,
    /// The server's version without the leading `v`, such as `1.33.2`.
    pub version: String,
    /// Whether the cluster is OpenShift.
    pub openshift: bool,
}

/// Who sends a request, as the bearer token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
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
pub struct Request<'a> {
    /// The HTTP method.
    pub method: &'a http::Method,
    /// The API path without the query; starts with `/api`, `/apis`, `/version`, `/openapi`, ….
    pub path: &'a str,
    /// Decoded query parameters in order.
    pub query: &'a [(String, String)],
    /// The request's headers (Accept, Content-Type and User-Agent are read).
    pub headers: &'a http::HeaderMap,
    /// The body, empty when there is none.
    pub body: &'a [u8],
    /// The time, RFC 3339.
    pub now: &'a str,
}

/// What to send back.
#[derive(Clone, Debug)]
pub enum Answer {
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
    /// [`events_since`] gives from `resource_version` on.
    Watch(Box<WatchSpec>),
}

impl Answer {
    fn ok(body: Json) -> Self {
        Answer::Json { status: 200, body }
    }

    fn text(status: u16, body: impl Into<String>) -> Self {
        Answer::Text { status, body: body.into(), content_type: "text/plain" }
    }
}

impl Request<'_> {
    fn value(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn flag(&self, name: &str) -> bool {
        self.value(name).is_some_and(|value| matches!(value, "" | "1" | "t" | "true" | "True"))
    }

    fn header(&self, name: http::HeaderName) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    fn dry_run(&self) -> bool {
        self.query.iter().any(|(key, value)| key == "dryRun" && value == "All")
    }
}

/// Answers one request, changing the store when the request does (and is not a dry run).
pub fn handle(
    store: &mut Store,
    facts: &ClusterFacts,
    caller: &Caller,
    request: &Request<'_>,
) -> Answer {
    let answer = if request.dry_run() {
        route(&mut store.clone(), facts, caller, request)
    } else {
        route(store, facts, caller, request)
    };
    answer.unwrap_or_else(|failure| Answer::Json { status: failure.code, body: failure.body() })
}

/// One request for a known resource.
struct Call<'a> {
    facts: &'a ClusterFacts,
    caller: &'a Caller,
    request: &'a Request<'a>,
    kind: ResourceType,
    at: ApiPath,
}

impl Call<'_> {
    fn namespace(&self) -> Option<&str> {
        self.at.namespace.as_deref()
    }

    fn name(&self) -> &str {
        self.at.name.as_deref().unwrap_or_default()
    }

    fn sub(&self) -> Option<&str> {
        self.at.subresource.as_deref()
    }

    /// Where the object is stored.
    fn path(&self) -> String {
        self.kind.path(self.namespace(), Some(self.name()))
    }

    fn live(&self, store: &Store) -> Result<Json, Failure> {
        store.get(&self.path()).cloned().ok_or_else(|| Failure::not_found(&self.kind, self.name()))
    }

    /// The object as this version of the API shows it.
    fn present(&self, mut object: Json) -> Json {
        if self.kind.storage.is_some() {
            object["apiVersion"] = self.kind.api_version().into();
        }
        object
    }
}

fn route(
    store: &mut Store,
    facts: &ClusterFacts,
    caller: &Caller,
    request: &Request<'_>,
) -> Result<Answer, Failure> {
    if matches!(request.path, "/healthz" | "/livez" | "/readyz") {
        return Ok(Answer::text(200, "ok"));
    }
    if *caller == Caller::Anonymous {
        return Err(Failure::unauthorized());
    }
    let caller = &rbac::impersonated(store, caller, request)?;
    if let Some(answer) = discovery::serve(store, facts, request) {
        return Ok(answer);
    }
    let at = ApiPath::parse(request.path).ok_or_else(Failure::unknown_path)?;
    let kind =
        store.find_type(&at.group, &at.version, &at.resource).ok_or_else(Failure::unknown_path)?;
    let misplaced = kind.cluster && at.namespace.is_some()
        || !kind.cluster && at.namespace.is_none() && at.name.is_some();
    if misplaced || at.subresource.as_ref().is_some_and(|sub| !kind.has(sub)) {
        return Err(Failure::unknown_path());
    }
    let call = Call { facts, caller, request, kind, at };
    let verb = verb_of(&call).ok_or_else(Failure::method_not_allowed)?;
    authorize(store, &call, verb)?;
    match verb {
        "get" => read::get(store, &call),
        "list" => read::list(store, &call),
        "watch" => watch::start(store, &call),
        "create" if call.kind.review => {
            let object = write::body_object(&call)?;
            let reviewed = rbac::review(store, caller, &call.kind.plural, object)?;
            Ok(Answer::Json { status: 201, body: reviewed })
        }
        "create" if call.at.name.is_some() => write::create_sub(store, &call),
        "create" => write::create(store, &call),
        "update" => write::update(store, &call),
        "patch" => write::patch(store, &call),
        "delete" => delete::delete(store, &call),
        _ => delete::delete_collection(store, &call),
    }
}

/// The API verb of a request; `None` when the resource has no such verb.
fn verb_of(call: &Call<'_>) -> Option<&'static str> {
    let named = call.at.name.is_some();
    let everywhere = !call.kind.cluster && call.at.namespace.is_none();
    let verb = match (call.request.method.as_str(), named) {
        ("GET", _) if call.request.flag("watch") && call.at.subresource.is_none() => "watch",
        ("GET", true) => "get",
        ("GET", false) => "list",
        ("POST", true) if call.sub().is_some_and(|sub| matches!(sub, "token" | "eviction")) => {
            "create"
        }
        ("POST", false) if !everywhere || call.kind.review => "create",
        ("PUT", true) => "update",
        ("PATCH", true) => "patch",
        ("DELETE", true) if call.at.subresource.is_none() => "delete",
        ("DELETE", false) if !everywhere => "deletecollection",
        _ => return None,
    };
    let known = call.kind.verbs().contains(&verb);
    known.then_some(verb)
}

fn authorize(store: &Store, call: &Call<'_>, verb: &str) -> Result<(), Failure> {
    let resource = match call.sub() {
        Some(sub) => format!("{}/{sub}", call.kind.plural),
        None => call.kind.plural.clone(),
    };
    let own = matches!(call.kind.plural.as_str(), "namespaces");
    let deed = Deed {
        verb,
        group: &call.kind.group,
        resource: &resource,
        name: call.name(),
        // rights inside a namespace include reading the namespace itself
        namespace: if own { call.at.name.as_deref() } else { call.namespace() },
    };
    if rbac::allowed(store, call.caller, &deed) {
        return Ok(());
    }
    let scope = match call.namespace() {
        Some(namespace) => format!("in the namespace \"{namespace}\""),
        None => "at the cluster scope".to_owned(),
    };
    let why = format!(
        "User \"{}\" cannot {verb} resource \"{resource}\" in API group \"{}\" {scope}",
        call.caller.user(),
        call.kind.group
    );
    Err(Failure::forbidden(&call.kind, call.name(), &why))
}

#[cfg(test)]
mod tests;
