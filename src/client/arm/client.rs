//! Requests to Azure Resource Manager that change nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, Method, Request};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::{ApiError, Cloud, TokenSource, Verdict};
use crate::client::net::{
    Budget, CarriedOut, Lane, Limiter, Line, Pages, Repeat, Retry, RetryDecision, SendError,
    Transport, Turn, clock, redact,
};
use crate::model::Json;

const AGENT: &str = concat!("amlplan/", env!("CARGO_PKG_VERSION"));
/// Requests at once where Azure is reached over HTTP/1 (through a proxy that opens TLS).
const SOCKETS: usize = 16;
/// Characters that may stand in names but not in addresses.
const NAMES: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'`').add(b'#').add(b'{').add(b'}');

/// The id of one run of the program: the correlation id of all its requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunId(String);

impl RunId {
    /// A new one.
    #[must_use]
    pub fn new() -> Self {
        Self(uuid::Uuid::new_v4().to_string())
    }
}

impl Default for RunId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads from Azure Resource Manager. Copies share connections, tokens and limits.
#[derive(Clone)]
pub struct ArmReader(Arc<ArmInner>);

struct ArmInner {
    line: Line,
    cloud: Cloud,
    token: TokenSource,
    run: RunId,
    budget: Budget,
    limiter: Limiter,
    /// Milliseconds the server last advised to wait between two reads; 0 when it never did.
    pace: AtomicU64,
    /// Readers of key vaults, by name.
    vaults: Mutex<BTreeMap<String, ArmReader>>,
}

impl fmt::Debug for ArmReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("cloud", &self.0.cloud.name).finish_non_exhaustive()
    }
}

/// An answer, whatever its status.
pub(super) struct ArmAnswer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Why there is no answer.
pub(super) enum Silence {
    Broken(SendError),
    NoToken(ApiError),
    /// The address is not the cloud's: nothing was sent.
    Foreign,
}

impl Silence {
    pub(super) fn into_error(self, method: &Method, url: &str) -> ApiError {
        match self {
            Self::Broken(error) => ApiError::from_break(method, path(url), error),
            Self::NoToken(error) => error,
            Self::Foreign => {
                let message = "the address belongs to no host of the cloud; nothing was sent";
                ApiError::about(method, path(url), "ForeignAddress", message)
            }
        }
    }
}

impl ArmAnswer {
    pub(super) const fn is_success(&self) -> bool {
        self.status >= 200 && self.status < 300
    }

    pub(super) fn error(&self, method: &Method, url: &str) -> ApiError {
        ApiError::from_answer(method, path(url), self.status, &self.headers, &self.body)
    }

    fn into_json(self, method: &Method, url: &str) -> Result<Json, ApiError> {
        if !self.is_success() {
            return Err(self.error(method, url));
        }
        if self.body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Json::Null);
        }
        // Whoever gets it writes into it, so that anything but an object ends here.
        serde_json::from_slice(&self.body).map(Json::Object).map_err(|error| {
            let message = format!("the answer is not a JSON object ({error})");
            ApiError::about(method, path(url), "UnreadableAnswer", message)
        })
    }
}

impl ArmReader {
    /// A reader for one cloud.
    #[must_use]
    pub fn new(transport: Transport, cloud: Cloud, token: TokenSource, run: RunId) -> Self {
        let (budget, limiter) = (Budget::default(), Limiter::default());
        let pace = AtomicU64::new(0);
        let line = Line::new(transport, SOCKETS);
        let vaults = Mutex::default();
        Self(Arc::new(ArmInner { line, cloud, token, run, budget, limiter, pace, vaults }))
    }

    /// Reads from a key vault of the cloud, with tokens that are for vaults; `None` where the cloud
    /// has no vaults that may have credentials, or the name is none.
    #[must_use]
    pub fn vault(&self, name: &str) -> Option<Self> {
        let mut known = self.0.vaults.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reader) = known.get(name) {
            return Some(reader.clone());
        }
        let cloud = self.0.cloud.of_vault(name)?;
        let token = self.0.token.towards(&cloud.scope());
        let reader = Self::new(self.0.line.transport(), cloud, token, self.0.run.clone());
        known.insert(name.to_owned(), reader.clone());
        Some(reader)
    }

    /// Whether both share connections, tokens and limits.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The same number for the same client.
    #[must_use]
    pub fn identity(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    /// The cloud it reads from.
    #[must_use]
    pub fn cloud(&self) -> &Cloud {
        &self.0.cloud
    }

    /// The transport, where everything is answered in this process.
    pub(in crate::client) fn in_process(&self) -> Option<Transport> {
        Some(self.0.line.transport()).filter(|transport| !transport.is_network())
    }

    /// How long the server advises to wait between two looks at a resource: `x-ms-retry-after-ms` of its last
    /// good answer. `None` when it does not say.
    #[must_use]
    pub fn pace(&self) -> Option<Duration> {
        let millis = self.0.pace.load(Ordering::Relaxed);
        (millis > 0).then(|| Duration::from_millis(millis))
    }

    /// Reads a resource; `None` when it, its parent or its group is not there.
    ///
    /// # Errors
    /// When Azure refuses, or cannot be reached within the time for retries.
    pub async fn get(&self, id: &str, api_version: &str) -> Result<Option<Json>, ApiError> {
        let url = self.url(id, api_version);
        let answer = self.read(&Method::GET, &url, None).await?;
        if matches!(answer.status, 404 | 410) {
            let error = answer.error(&Method::GET, &url);
            return if error.verdict() == Verdict::Absent { Ok(None) } else { Err(error) };
        }
        let json = answer.into_json(&Method::GET, &url)?;
        Ok(Some(json).filter(|value| !value.is_null()))
    }

    /// Reads a collection, all pages. `nextLink` is followed as it is.
    ///
    /// # Errors
    /// As [`ArmReader::get`], with 404 an error too; also when a page leads to another service.
    pub async fn list(&self, path: &str, api_version: &str) -> Result<Vec<Json>, ApiError> {
        let mut url = self.url(path, api_version);
        let (mut all, mut pages) = (Vec::new(), Pages::default());
        loop {
            let answer = self.read(&Method::GET, &url, None).await?;
            let bytes = answer.body.len();
            let mut page = answer.into_json(&Method::GET, &url)?;
            // Versions of Kubernetes are listed in the plural (Azure REST: AKS).
            for name in ["value", "values"] {
                if let Some(items) = page[name].as_array_mut() {
                    all.append(items);
                }
            }
            let Some(next) = page["nextLink"].as_str().filter(|it| !it.is_empty()) else { break };
            let refuse = |code, message| ApiError::about(&Method::GET, &url, code, message);
            if !self.0.cloud.resource_manager.covers(next) {
                let message = "a page of the list leads to another service; not followed";
                return Err(refuse("ForeignNextLink", message.to_owned()));
            }
            pages.turn(next, bytes).map_err(|message| refuse("EndlessList", message))?;
            next.clone_into(&mut url);
        }
        Ok(all)
    }

    /// A POST that only reads, such as `listKeys` and `sharedKeys`. Its answer is secret.
    ///
    /// # Errors
    /// As [`ArmReader::get`], with 404 an error too.
    pub async fn call(&self, id: &str, action: &str, api_version: &str) -> Result<Json, ApiError> {
        let url = self.url(&format!("{id}/{action}"), api_version);
        self.read(&Method::POST, &url, None).await?.into_json(&Method::POST, &url)
    }

    /// Waits until reads of a subscription have their turn.
    pub(super) async fn turns(&self, subscription: &str, least: usize, most: usize) -> Turn {
        self.0.limiter.turns(&Lane::new(subscription, "reads", ""), least, most).await
    }

    /// The address of a resource. A path may bring its own query.
    pub(super) fn url(&self, id: &str, api_version: &str) -> String {
        let root = &self.0.cloud.resource_manager;
        let slash = if id.starts_with('/') { "" } else { "/" };
        let id = utf8_percent_encode(id, NAMES);
        let join = if id.to_string().contains('?') { '&' } else { '?' };
        format!("{root}{slash}{id}{join}api-version={api_version}")
    }

    pub(super) fn retry(&self, repeat: Repeat) -> Retry {
        Retry::new(repeat, &self.0.budget)
    }

    /// Sends a request that changes nothing until an answer comes that waiting does not mend.
    pub(super) async fn read(
        &self,
        method: &Method,
        url: &str,
        body: Option<&Json>,
    ) -> Result<ArmAnswer, ApiError> {
        let mut retry = self.retry(Repeat::Freely);
        loop {
            let result = self.attempt(method, url, body).await;
            let decision = match &result {
                Ok(answer) if answer.is_success() => RetryDecision::GiveUp,
                Ok(answer) => retry.after_status(answer.status, &answer.headers),
                Err(Silence::Broken(error)) => retry.after_break(error),
                Err(Silence::NoToken(_) | Silence::Foreign) => RetryDecision::GiveUp,
            };
            match decision {
                RetryDecision::Again(wait) | RetryDecision::LookFirst(wait) => {
                    pause(url, wait).await
                }
                RetryDecision::GiveUp => return result.map_err(|it| it.into_error(method, url)),
            }
        }
    }

    /// Sends a request once; a second time only if the first was refused for its token.
    pub(super) async fn attempt(
        &self,
        method: &Method,
        url: &str,
        body: Option<&Json>,
    ) -> Result<ArmAnswer, Silence> {
        let mut refused = None;
        loop {
            let token = self.0.token.bearer(refused).await.map_err(Silence::NoToken)?;
            let mut headers = self.headers(body.is_some());
            let header = token.towards(&self.0.cloud.resource_manager, url);
            headers.insert(AUTHORIZATION, header.ok_or(Silence::Foreign)?);
            let answer = self.transmit(method, url, headers, body).await;
            let answer = answer.map_err(Silence::Broken)?;
            if answer.status != 401 || refused.is_some() || !token.renewable {
                return Ok(answer);
            }
            refused = Some(token.serial);
        }
    }

    async fn transmit(
        &self,
        method: &Method,
        url: &str,
        headers: HeaderMap,
        body: Option<&Json>,
    ) -> Result<ArmAnswer, SendError> {
        let lane = lane(method, url);
        let mut turn = self.0.limiter.turn(&lane).await;
        let bytes = body.map(|value| Bytes::from(value.to_string())).unwrap_or_default();
        let mut request = Request::builder()
            .method(method.clone())
            .uri(url)
            .body(bytes)
            .map_err(|_| SendError::new(CarriedOut::SurelyNot, "the address is not valid"))?;
        *request.headers_mut() = headers;
        let start = clock::now();
        let repeat = if method.is_safe() { Repeat::Freely } else { Repeat::Never };
        let result = self.0.line.send(request, repeat).await;
        let (took, address) = (start.elapsed().as_millis(), redact(url));
        let response = result.inspect_err(|error| {
            tracing::debug!(%method, url = %address, took, %error, "azure: no answer");
        })?;
        let (head, body) = response.into_parts();
        let status = head.status.as_u16();
        let id = head.headers.get("x-ms-request-id").and_then(|header| header.to_str().ok());
        tracing::debug!(%method, url = %address, status, took, request_id = id, "azure");
        turn.answered(status, &head.headers);
        if head.status.is_success() {
            let pace = head.headers.get("x-ms-retry-after-ms").and_then(|it| it.to_str().ok());
            let millis = pace.and_then(|text| text.parse::<u64>().ok());
            let millis = millis.filter(|number| *number > 0).map_or(0, |it| it.clamp(50, 600_000));
            self.0.pace.store(millis, Ordering::Relaxed);
        }
        Ok(ArmAnswer { status, headers: head.headers, body })
    }

    fn headers(&self, has_body: bool) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let mut set = |name: &'static str, value: &str| {
            if let Ok(value) = value.parse() {
                headers.insert(name, value);
            }
        };
        set("x-ms-correlation-request-id", &self.0.run.0);
        set("x-ms-client-request-id", &uuid::Uuid::new_v4().to_string());
        set("x-ms-return-client-request-id", "true");
        set(USER_AGENT.as_str(), AGENT);
        set(ACCEPT.as_str(), "application/json");
        if has_body {
            set(CONTENT_TYPE.as_str(), "application/json");
        }
        headers
    }
}

/// A wait that the user should hear of.
const LONG: Duration = Duration::from_secs(60);

pub(super) async fn pause(url: &str, wait: Duration) {
    let address = redact(url);
    if wait > LONG {
        let seconds = wait.as_secs();
        tracing::warn!(url = %address, seconds, "Azure asks for a long pause before the next attempt");
    }
    tracing::debug!(url = %address, wait_ms = wait.as_millis(), "waiting before the next attempt");
    clock::sleep(wait).await;
}

fn path(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').map_or("/", |at| &rest[at..])
}

/// Which limits a request counts against: subscription, kind of request and provider.
fn lane(method: &Method, url: &str) -> Lane {
    let path = path(url).split('?').next().unwrap_or_default().to_ascii_lowercase();
    let after = |mark: &str| {
        let (_, rest) = path.rsplit_once(mark)?;
        rest.split('/').next().map(str::to_owned)
    };
    let subscription = after("/subscriptions/").unwrap_or_default();
    let provider = after("/providers/").unwrap_or_default();
    let kind = match *method {
        Method::GET | Method::HEAD => "reads",
        Method::DELETE => "deletes",
        _ => "writes",
    };
    Lane::new(&subscription, kind, &provider)
}
