//! Requests to a Kubernetes API server that change nothing.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;
use tokio::sync::OnceCell;

use super::connect::Configured;
use super::credentials::Credentials;
use super::error::{from_answer, ours};
use super::handed::Handed;
use crate::client::error::ApiError;
use crate::client::net::{
    Budget, Lane, Limiter, Line, Pages, Repeat, Retry, RetryDecision, Transport, clock,
};
use crate::model::{Api, Json, ObjectRef};

const AGENT: &str = concat!("amlplan/", env!("CARGO_PKG_VERSION"));
const REVIEW: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

/// Requests at once to a cluster that has no HTTP/2, each on a socket of its own.
const SOCKETS: usize = 2;

/// Reads from one cluster. Copies share connections and credentials.
#[derive(Clone)]
pub struct KubeReader(Arc<KubeInner>);

struct KubeInner {
    cluster: KubeEndpoint,
    /// Made with the first request: an exec plugin may have to run for it. Closed by [`KubeReader::rest`].
    connection: Mutex<Arc<OnceCell<Arc<Connection>>>>,
    budget: Budget,
    /// API Priority and Fairness refuses by server, so that all its requests slow down together.
    limiter: Limiter,
}

/// How to come to a connection.
pub(super) enum KubeEndpoint {
    Configured(Box<Configured>),
    Handed(Box<Handed>),
    Given,
}

/// A way to the API server.
pub(super) struct Connection {
    pub(super) line: Line,
    /// Stands before every path.
    pub(super) base: String,
    pub(super) credentials: Credentials,
}

impl fmt::Debug for KubeReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("kube::Reader")
    }
}

/// An answer, whatever its status.
pub(super) struct KubeAnswer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl KubeAnswer {
    pub(super) const fn is_success(&self) -> bool {
        self.status >= 200 && self.status < 300
    }

    pub(super) fn error(&self, method: &Method, path: &str) -> ApiError {
        from_answer(method, path, self.status, &self.body)
    }

    pub(super) fn into_json(self, method: &Method, path: &str) -> Result<Json, ApiError> {
        if !self.is_success() {
            return Err(self.error(method, path));
        }
        // Whoever gets it writes into it, so that anything but an object ends here.
        serde_json::from_slice(&self.body).map(Json::Object).map_err(|error| {
            let message = format!("the answer to {method} {path} is not a JSON object ({error})");
            ours("UnreadableAnswer", message)
        })
    }
}

/// One request.
pub(super) struct KubeCall<'a> {
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) content_type: &'static str,
    pub(super) body: Option<&'a Json>,
}

impl<'a> KubeCall<'a> {
    pub(super) const fn get(path: &'a str) -> Self {
        Self { method: Method::GET, path, content_type: "application/json", body: None }
    }

    pub(super) const fn with(method: Method, path: &'a str, body: &'a Json) -> Self {
        Self { method, path, content_type: "application/json", body: Some(body) }
    }
}

impl KubeReader {
    pub(super) fn new(cluster: KubeEndpoint, connection: Option<Connection>) -> Self {
        let connection = OnceCell::new_with(connection.map(Arc::new));
        let connection = Mutex::new(Arc::new(connection));
        let (budget, limiter) = (Budget::default(), Limiter::default());
        Self(Arc::new(KubeInner { cluster, connection, budget, limiter }))
    }

    /// A reader over a transport of ours: `base_path` stands before every path of the Kubernetes
    /// API; with the network it is a whole address.
    #[must_use]
    pub fn over(transport: Transport, base_path: &str, token: &str) -> Self {
        let connection = Connection {
            line: Line::new(transport, SOCKETS),
            base: base_path.trim_end_matches('/').to_owned(),
            credentials: Credentials::token(token),
        };
        Self::new(KubeEndpoint::Given, Some(connection))
    }

    async fn connection(&self) -> Result<Arc<Connection>, ApiError> {
        let make = || async {
            match &self.0.cluster {
                KubeEndpoint::Configured(configured) => {
                    configured.connect(SOCKETS).await.map(Arc::new)
                }
                KubeEndpoint::Handed(handed) => handed.connect(SOCKETS).await.map(Arc::new),
                KubeEndpoint::Given => Err(ours("Kubeconfig", "there is no cluster")),
            }
        };
        let cell = Arc::clone(&self.cell());
        cell.get_or_try_init(make).await.cloned()
    }

    fn cell(&self) -> MutexGuard<'_, Arc<OnceCell<Arc<Connection>>>> {
        self.0.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes the sockets until the next request: a fleet has more clusters than a process has files.
    /// What is known of a server that does not answer stays known.
    pub fn rest(&self) {
        let mut cell = self.cell();
        let reached = cell.get().is_some_and(|connection| connection.line.is_reached());
        if reached && matches!(self.0.cluster, KubeEndpoint::Configured(_)) {
            *cell = Arc::default();
        }
    }

    /// Reads an object; `None` when it, its namespace or its kind is not there.
    ///
    /// # Errors
    /// When the server refuses, or cannot be reached within the time for retries.
    pub async fn get(&self, object: &ObjectRef) -> Result<Option<Json>, ApiError> {
        let path = object.path();
        let answer = self.read(&KubeCall::get(&path)).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        answer.into_json(&Method::GET, &path).map(Some)
    }

    /// Reads a collection, all pages; empty when its kind is not there. Each item gets the
    /// `apiVersion` and `kind` that lists leave out.
    ///
    /// # Errors
    /// As [`KubeReader::get`].
    pub async fn list(
        &self,
        collection: &ObjectRef,
        label_selector: Option<&str>,
    ) -> Result<Vec<Json>, ApiError> {
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let mut base = format!("{}?limit=500", collection.path());
        if let Some(selector) = label_selector {
            base = format!("{base}&labelSelector={}", encode(selector));
        }
        let (mut all, mut path) = (Vec::new(), base.clone());
        let mut pages = Pages::default();
        loop {
            let answer = self.read(&KubeCall::get(&path)).await?;
            match answer.status {
                404 => return Ok(Vec::new()),
                // The list's snapshot has ended; a whole one has no snapshot to lose.
                410 if path != base => {
                    all.clear();
                    path = base.replacen("?limit=500", "?limit=0", 1);
                    base.clone_from(&path);
                    continue;
                }
                _ => {}
            }
            let bytes = answer.body.len();
            let mut page = answer.into_json(&Method::GET, &path)?;
            let items = page["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
            for mut item in items.into_iter().filter(Json::is_object) {
                item["apiVersion"] = json!(collection.api_version);
                item["kind"] = json!(collection.kind);
                all.push(item);
            }
            match page["metadata"]["continue"].as_str().filter(|text| !text.is_empty()) {
                Some(next) => {
                    pages.turn(next, bytes).map_err(|message| ours("EndlessList", message))?;
                    path = format!("{base}&continue={}", encode(next));
                }
                None => return Ok(all),
            }
        }
    }

    /// Whether the caller may do something (`SelfSubjectAccessReview`). An empty name means all.
    ///
    /// # Errors
    /// As [`KubeReader::get`].
    pub async fn allowed(
        &self,
        verb: &str,
        group: &str,
        resource: &str,
        name: &str,
        namespace: Option<&str>,
    ) -> Result<bool, ApiError> {
        let mut attributes = json!({"verb": verb, "group": group, "resource": resource});
        if !name.is_empty() {
            attributes["name"] = json!(name);
        }
        if let Some(namespace) = namespace {
            attributes["namespace"] = json!(namespace);
        }
        let body = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        });
        let call = KubeCall::with(Method::POST, REVIEW, &body);
        let answer = self.read(&call).await?.into_json(&Method::POST, REVIEW)?;
        Ok(answer["status"]["allowed"].as_bool().unwrap_or(false))
    }

    pub(super) fn retry(&self, repeat: Repeat) -> Retry {
        Retry::new(repeat, &self.0.budget)
    }

    /// Sends a request that may be repeated until an answer comes that waiting does not mend.
    pub(super) async fn read(&self, call: &KubeCall<'_>) -> Result<KubeAnswer, ApiError> {
        let mut retry = self.retry(Repeat::Freely);
        loop {
            let result = self.attempt(call).await;
            let decision = match &result {
                Ok(answer) if answer.is_success() => RetryDecision::GiveUp,
                Ok(answer) => retry.after_status(answer.status, &answer.headers),
                Err(error) => match &error.source {
                    Some(broken) => retry.after_break(broken),
                    None => RetryDecision::GiveUp,
                },
            };
            match decision {
                RetryDecision::Again(wait) | RetryDecision::LookFirst(wait) => {
                    clock::sleep(wait).await
                }
                RetryDecision::GiveUp => return result,
            }
        }
    }

    /// Sends a request once; a second time only if the first was refused for its credentials and
    /// there are new ones.
    pub(super) async fn attempt(&self, call: &KubeCall<'_>) -> Result<KubeAnswer, ApiError> {
        let connection = self.connection().await?;
        let mut refused = None;
        loop {
            let (headers, serial) = connection.credentials.headers(refused).await?;
            let answer = self.transmit(&connection, call, headers).await?;
            if answer.status != 401 || refused.is_some() || serial.is_none() {
                return Ok(answer);
            }
            refused = serial;
        }
    }

    async fn transmit(
        &self,
        connection: &Connection,
        call: &KubeCall<'_>,
        headers: HeaderMap,
    ) -> Result<KubeAnswer, ApiError> {
        let KubeCall { method, path, .. } = call;
        let bytes = call.body.map(|value| value.to_string().into_bytes()).unwrap_or_default();
        let mut request = Request::builder()
            .method(method.clone())
            .uri(format!("{}{path}", connection.base))
            .body(Bytes::from(bytes))
            .map_err(|error| ours("InvalidRequest", format!("{path}: {error}")))?;
        *request.headers_mut() = headers;
        let mut set =
            |name, value| request.headers_mut().insert(name, HeaderValue::from_static(value));
        set(USER_AGENT, AGENT);
        set(ACCEPT, "application/json");
        if call.body.is_some() {
            set(CONTENT_TYPE, call.content_type);
        }
        let mut turn = self.0.limiter.turn(&Lane::host()).await;
        let repeat = repeat(method, path);
        let start = clock::now();
        let response = connection.line.send(request, repeat).await.map_err(|error| {
            tracing::debug!(%method, path, %error, "kubernetes: no answer");
            ApiError::broken(Api::Kubernetes, method, path, error)
        })?;
        let (head, body) = response.into_parts();
        let (status, took) = (head.status.as_u16(), start.elapsed().as_millis());
        tracing::debug!(%method, path, status, took, "kubernetes");
        turn.answered(status, &head.headers);
        Ok(KubeAnswer { status, headers: head.headers, body })
    }
}

/// A review is asked for with a POST.
fn repeat(method: &Method, path: &str) -> Repeat {
    if method.is_safe() || path == REVIEW { Repeat::Freely } else { Repeat::Never }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::Router;
    use axum::response::Response;

    use super::*;

    /// One request is refused for 5 seconds: those behind it wait as long, and are not refused too.
    #[tokio::test(start_paused = true)]
    async fn a_refusal_slows_all_requests_to_that_server() {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = asked.clone();
        let server = Router::new().fallback(move || {
            let mut seen = seen.lock().unwrap();
            seen.push(clock::now());
            let answer = if seen.len() == 1 {
                Response::builder()
                    .status(429)
                    .header("retry-after", "5")
                    .body(axum::body::Body::from("{}"))
            } else {
                Response::builder().body(axum::body::Body::from("{}"))
            };
            std::future::ready(answer.unwrap())
        });
        let reader = KubeReader::over(Transport::InProcess(server), "", "any");
        let start = clock::now();
        let node = |name: &str| ObjectRef::cluster("v1", "Node", "nodes", name);
        let (refused, other) = (node("a"), node("b"));
        let later = async {
            clock::sleep(Duration::from_secs(1)).await;
            reader.get(&other).await
        };
        let (first, second) = tokio::join!(reader.get(&refused), later);
        assert!(first.is_ok() && second.is_ok());
        let waited: Vec<_> = asked.lock().unwrap().iter().map(|instant| *instant - start).collect();
        assert_eq!((waited.len(), waited[0]), (3, Duration::ZERO));
        assert!(waited[1..].iter().all(|it| *it >= Duration::from_secs(5)), "{waited:?}");
    }
}
