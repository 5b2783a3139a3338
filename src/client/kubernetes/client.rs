//! Requests to a Kubernetes API server that change nothing.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use http_body_util::BodyExt as _;
use kube::client::Body;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use super::ApiError;
use super::connect::explain;
use crate::client::net::clock;
use crate::client::net::{Budget, Decision, Repeat, Retry, SendError, Taken, Transport};
use crate::model::{Json, ObjectRef};

const AGENT: &str = concat!("amlplan/", env!("CARGO_PKG_VERSION"));
const REVIEW: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

/// Reads from one cluster. Copies share connections and credentials.
#[derive(Clone)]
pub struct Reader(Arc<Inner>);

struct Inner {
    client: kube::Client,
    budget: Budget,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("kube::Reader")
    }
}

/// An answer, whatever its status.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) const fn is_success(&self) -> bool {
        self.status >= 200 && self.status < 300
    }

    pub(super) fn error(&self, method: &Method, path: &str) -> ApiError {
        ApiError::from_answer(method, path, self.status, &self.body)
    }

    pub(super) fn into_json(self, method: &Method, path: &str) -> Result<Json, ApiError> {
        if !self.is_success() {
            return Err(self.error(method, path));
        }
        serde_json::from_slice(&self.body).map_err(|error| {
            let message = format!("the answer to {method} {path} is not JSON ({error})");
            ApiError::ours("UnreadableAnswer", message)
        })
    }
}

/// One request.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) content_type: &'static str,
    pub(super) body: Option<&'a Json>,
}

impl<'a> Call<'a> {
    pub(super) const fn get(path: &'a str) -> Self {
        Self { method: Method::GET, path, content_type: "application/json", body: None }
    }

    pub(super) const fn with(method: Method, path: &'a str, body: &'a Json) -> Self {
        Self { method, path, content_type: "application/json", body: Some(body) }
    }
}

impl Reader {
    pub(super) fn new(client: kube::Client) -> Self {
        Self(Arc::new(Inner { client, budget: Budget::default() }))
    }

    /// A reader over a transport of ours: `base_path` stands before every path of the Kubernetes
    /// API; with the network it is a whole address. Needs a running tokio runtime.
    #[must_use]
    pub fn over(transport: Transport, base_path: &str, token: &str) -> Self {
        let base = base_path.trim_end_matches('/').to_owned();
        let mut bearer = HeaderValue::from_str(&format!("Bearer {token}"))
            .unwrap_or(HeaderValue::from_static("Bearer"));
        bearer.set_sensitive(true);
        let service = tower::service_fn(move |request: Request<Body>| {
            let (transport, base, bearer) = (transport.clone(), base.clone(), bearer.clone());
            async move {
                let (mut head, body) = request.into_parts();
                head.uri = format!("{base}{}", head.uri)
                    .parse::<Uri>()
                    .map_err(|error| SendError::new(Taken::SurelyNot, error.to_string()))?;
                head.headers.insert(AUTHORIZATION, bearer);
                let body = body
                    .collect()
                    .await
                    .map_err(|error| SendError::new(Taken::SurelyNot, error.to_string()))?;
                let answer = transport.send(Request::from_parts(head, body.to_bytes())).await?;
                Ok::<_, SendError>(answer.map(Body::from))
            }
        });
        Self::new(kube::Client::new(service, "default"))
    }

    /// Reads an object; `None` when it, its namespace or its kind is not there.
    ///
    /// # Errors
    /// When the server refuses, or cannot be reached within the time for retries.
    pub async fn get(&self, object: &ObjectRef) -> Result<Option<Json>, ApiError> {
        let path = object.path();
        let answer = self.read(&Call::get(&path)).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        answer.into_json(&Method::GET, &path).map(Some)
    }

    /// Reads a collection, all pages; empty when its kind is not there. Each item gets the
    /// `apiVersion` and `kind` that lists leave out.
    ///
    /// # Errors
    /// As [`Reader::get`].
    pub async fn list(
        &self,
        collection: &ObjectRef,
        label_selector: Option<&str>,
    ) -> Result<Vec<Json>, ApiError> {
        let encode = |it: &str| utf8_percent_encode(it, NON_ALPHANUMERIC).to_string();
        let mut base = format!("{}?limit=500", collection.path());
        if let Some(selector) = label_selector {
            base = format!("{base}&labelSelector={}", encode(selector));
        }
        let (mut all, mut path) = (Vec::new(), base.clone());
        loop {
            let answer = self.read(&Call::get(&path)).await?;
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
            let mut page = answer.into_json(&Method::GET, &path)?;
            for mut item in page["items"].as_array_mut().map(std::mem::take).unwrap_or_default() {
                item["apiVersion"] = json!(collection.api_version);
                item["kind"] = json!(collection.kind);
                all.push(item);
            }
            match page["metadata"]["continue"].as_str().filter(|it| !it.is_empty()) {
                Some(next) => path = format!("{base}&continue={}", encode(next)),
                None => return Ok(all),
            }
        }
    }

    /// The server's version, for example `v1.33.2`.
    ///
    /// # Errors
    /// As [`Reader::get`].
    pub async fn version(&self) -> Result<String, ApiError> {
        let json = self.read(&Call::get("/version")).await?.into_json(&Method::GET, "/version")?;
        let version = json["gitVersion"].as_str().map(str::to_owned);
        version.ok_or_else(|| {
            ApiError::ours(
                "NotKubernetes",
                "the server's /version has no gitVersion; is it a Kubernetes API server",
            )
        })
    }

    /// Whether the caller may do something (`SelfSubjectAccessReview`). An empty name means all.
    ///
    /// # Errors
    /// As [`Reader::get`].
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
        let call = Call::with(Method::POST, REVIEW, &body);
        let answer = self.read(&call).await?.into_json(&Method::POST, REVIEW)?;
        Ok(answer["status"]["allowed"].as_bool().unwrap_or(false))
    }

    pub(super) fn retry(&self, repeat: Repeat) -> Retry {
        Retry::new(repeat, &self.0.budget)
    }

    /// Sends a request that may be repeated until an answer comes that waiting does not mend.
    pub(super) async fn read(&self, call: &Call<'_>) -> Result<Answer, ApiError> {
        let mut retry = self.retry(Repeat::Freely);
        loop {
            let result = self.attempt(call).await;
            let decision = match &result {
                Ok(answer) if answer.is_success() => Decision::GiveUp,
                Ok(answer) => retry.after_status(answer.status, &answer.headers),
                Err(error) => match &error.source {
                    Some(broken) => retry.after_break(broken),
                    None => Decision::GiveUp,
                },
            };
            match decision {
                Decision::Again(wait) | Decision::LookFirst(wait) => clock::sleep(wait).await,
                Decision::GiveUp => return result,
            }
        }
    }

    /// Sends a request once.
    pub(super) async fn attempt(&self, call: &Call<'_>) -> Result<Answer, ApiError> {
        let Call { method, path, .. } = call;
        let bytes = call.body.map(|it| it.to_string().into_bytes()).unwrap_or_default();
        let mut builder = Request::builder()
            .method(method.clone())
            .uri(*path)
            .header(USER_AGENT, AGENT)
            .header(ACCEPT, "application/json");
        if call.body.is_some() {
            builder = builder.header(CONTENT_TYPE, call.content_type);
        }
        let request = builder
            .body(Body::from(bytes))
            .map_err(|error| ApiError::ours("InvalidRequest", format!("{path}: {error}")))?;
        let start = clock::now();
        let broken = |error: SendError| {
            tracing::debug!(%method, path, %error, "kubernetes: no answer");
            ApiError::from_break(method, path, error)
        };
        let response = match self.0.client.send(request).await {
            Ok(response) => response,
            Err(error @ kube::Error::Auth(_)) => {
                let message = format!("no credentials for the cluster: {}", explain(&error));
                return Err(ApiError::ours("Credentials", message));
            }
            Err(error) => return Err(broken(send_error(error))),
        };
        let (head, body) = response.into_parts();
        let body = body
            .collect()
            .await
            .map_err(|error| broken(SendError::new(Taken::Maybe, chain(&error))))?
            .to_bytes();
        let (status, took) = (head.status.as_u16(), start.elapsed().as_millis());
        tracing::debug!(%method, path, status, took, "kubernetes");
        Ok(Answer { status, headers: head.headers, body })
    }
}

fn send_error(error: kube::Error) -> SendError {
    match error {
        kube::Error::Service(inner) => match inner.downcast::<SendError>() {
            Ok(ours) => *ours,
            Err(other) => SendError::new(Taken::Maybe, chain(other.as_ref())),
        },
        other => SendError::new(Taken::Maybe, chain(&other)),
    }
}

/// The error with its causes.
pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = inner.source();
    }
    text
}
