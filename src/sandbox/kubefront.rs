//! The clusters under `/kubernetes/{subscription}/{resourceGroup}/{cluster}/…`: finds the cluster and the caller and
//! hands the request to the API server of `kube`.

use std::collections::VecDeque;
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures_util::stream;
use http::{HeaderValue, Response};
use serde_json::json;
use tokio::time::Instant;

use crate::kube::api;
use crate::kube::request::{ApiRequest, Caller, ClusterFacts, KubeReply, WatchSpec};
use crate::kube::watch::events_since;
use crate::progress::advance;
use crate::sandbox::Sandbox;
use crate::state::cluster::CALLER;
use crate::state::world::World;
use crate::wire::{self, HttpCall, Reply, broken, nowhere};

/// What the router sends.
pub(crate) enum RouterReply {
    Reply(Reply),
    Text { status: u16, content_type: &'static str, body: String },
    Watch(Box<Watch>),
}

/// A running watch.
pub(crate) struct Watch {
    cluster: String,
    spec: Box<WatchSpec>,
}

/// Answers a request to a cluster.
pub(crate) fn handle(world: &mut World, call: &HttpCall) -> RouterReply {
    let Some([subscription, group, name]) = call.segments.get(1..4) else {
        return RouterReply::Reply(nowhere(&call.path()));
    };
    let Some(key) = world.cluster_named(subscription, group, name) else {
        return RouterReply::Reply(nowhere(&call.path()));
    };
    let stopped =
        world.body(&key).is_some_and(|body| body["properties"]["powerState"]["code"] == "Stopped");
    let dead = world.file.cluster(name).and_then(|cluster| cluster.api_server) == Some(false);
    if stopped || dead {
        return RouterReply::Reply(broken());
    }
    let now = world.kube_stamp();
    let path = format!("/{}", call.segments.get(4..).unwrap_or_default().join("/"));
    let query: Vec<(String, String)> =
        url::form_urlencoded::parse(call.raw_query.as_bytes()).into_owned().collect();
    let Some(cluster) = world.cluster_mut(&key) else {
        return RouterReply::Reply(nowhere(&call.path()));
    };
    let facts = ClusterFacts {
        scc_edit_denied: cluster.scc_edit_denied,
        version: cluster.beginning.version.clone(),
    };
    let request = ApiRequest {
        method: &call.method,
        path: &path,
        query: &query,
        headers: &call.headers,
        body: &call.body,
        now: &now,
    };
    let caller = match caller(call) {
        Caller::Admin if cluster.beginning.rules.is_some() => {
            Caller::User { name: CALLER.to_owned(), groups: Vec::new() }
        }
        other => other,
    };
    match api::handle(cluster.store_mut(), &facts, &caller, &request) {
        KubeReply::Json { status, body } => RouterReply::Reply(Reply::json(status, body)),
        KubeReply::Text { status, body, content_type } => {
            RouterReply::Text { status, content_type, body }
        }
        KubeReply::Watch(spec) => RouterReply::Watch(Box::new(Watch { cluster: key, spec })),
    }
}

/// The caller behind the token. A kubeconfig of the simulator carries `admin`; `read-only` reads, and
/// `system:serviceaccount:NS:NAME` is that account. Over plain HTTP clients send no token and are taken for the admin.
fn caller(call: &HttpCall) -> Caller {
    let token = call
        .header("authorization")
        .and_then(|value| value.split_once(' '))
        .map(|(_, token)| token.trim());
    match token {
        None if call.origin.starts_with("http://") => Caller::Admin,
        None | Some("") => Caller::Anonymous,
        Some("read-only") => Caller::ReadOnly,
        Some(token) => match token
            .strip_prefix("system:serviceaccount:")
            .and_then(|rest| rest.split_once(':'))
        {
            Some((namespace, name)) => {
                Caller::ServiceAccount { namespace: namespace.to_owned(), name: name.to_owned() }
            }
            None => Caller::Admin,
        },
    }
}

/// A Kubernetes `Status` of a failure.
pub(crate) fn failure(status: u16, reason: &str, message: &str) -> Reply {
    Reply::json(
        status,
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason, "code": status}),
    )
}

pub(crate) fn text(status: u16, content_type: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = wire::status(status);
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

struct Watching {
    sandbox: Sandbox,
    watch: Watch,
    waiting: VecDeque<Bytes>,
    seen: u64,
    until: Option<Instant>,
    over: bool,
}

/// Sends a watch's events, one JSON object a line, as they happen.
pub(crate) fn stream(sandbox: Sandbox, watch: Watch) -> Response<Body> {
    let waiting = watch.spec.initial.iter().map(line).collect();
    let until = watch
        .spec
        .timeout_seconds
        .map(|seconds| Instant::now() + std::time::Duration::from_secs(seconds));
    let seen = watch.spec.resource_version;
    let state = Watching { sandbox, watch, waiting, seen, until, over: false };
    let body = Body::from_stream(stream::unfold(state, |mut state| async move {
        loop {
            if let Some(line) = state.waiting.pop_front() {
                return Some((Ok::<Bytes, std::convert::Infallible>(line), state));
            }
            if state.over || state.until.is_some_and(|until| Instant::now() >= until) {
                return None;
            }
            state.look();
            if state.waiting.is_empty() && !state.over {
                tokio::time::sleep(WATCH_PAUSE).await;
            }
        }
    }));
    let mut response = Response::new(body);
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

impl Watching {
    fn look(&mut self) {
        let mut world = self.sandbox.lock();
        advance(&mut world);
        let Some(cluster) = world.cluster(&self.watch.cluster) else {
            self.over = true;
            return;
        };
        for (version, event) in events_since(cluster.store(), &self.watch.spec, self.seen) {
            self.seen = version;
            self.over |= event["type"] == "ERROR";
            self.waiting.push_back(line(&event));
        }
    }
}

fn line(event: &serde_json::Value) -> Bytes {
    Bytes::from(format!("{event}\n"))
}

/// How long a watch sleeps between two looks at the world.
const WATCH_PAUSE: Duration = Duration::from_millis(100);
