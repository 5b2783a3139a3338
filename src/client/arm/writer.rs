//! Requests that change something, each sent so that it takes effect at most once: when nobody
//! knows whether a request was taken, the resource is read before anything is sent again.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use tokio::sync::Semaphore;

use super::client::{ArmAnswer, Silence, pause};
use super::error::SentSecrets;
use super::lock::Locks;
use super::operation::{End, provisioning};
use super::{ApiError, ArmReader, Operation, OperationOutcome, Verdict};
use crate::apply::Permit;
use crate::client::net::{Repeat, RetryDecision, clock, poll};
use crate::model::Json;

/// How long a request waits for another operation on the same thing.
const BUSY_PATIENCE: Duration = Duration::from_secs(20 * 60);
/// How long a new identity may take to reach the directory that role assignments ask.
const DIRECTORY_PATIENCE: Duration = Duration::from_secs(3 * 60);
const DIRECTORY_WAIT: Duration = Duration::from_secs(10);
/// How far reads are taken to lag behind writes.
const LAG: Duration = Duration::from_secs(5);
const BUSY_WAIT: Duration = Duration::from_secs(15);

/// A request that changes something.
#[derive(Clone, PartialEq)]
pub struct Write {
    /// PUT, PATCH, DELETE or POST.
    pub method: Method,
    /// The resource's id.
    pub id: String,
    /// The API version.
    pub api_version: String,
    /// More of the query, for example `forceDelete=true`.
    pub query: Option<String>,
    /// The whole body, secrets included.
    pub body: Option<Json>,
    /// For POST: what stands after the id.
    pub action: Option<String>,
    /// The resource in which one change at a time is made; others wait until this one ends.
    pub lock: Option<String>,
}

/// The body may hold secrets: it does not show.
impl fmt::Debug for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Write({} {}", self.method, self.id)?;
        if let Some(action) = &self.action {
            write!(f, "/{action}")?;
        }
        f.write_str(")")
    }
}

impl Write {
    fn repeat(&self) -> Repeat {
        match self.method {
            Method::PUT | Method::PATCH | Method::DELETE => Repeat::AfterLooking,
            // Registering twice is registering once (Azure REST: Providers - Register).
            _ if self.registers() => Repeat::Freely,
            _ => Repeat::Never,
        }
    }

    fn registers(&self) -> bool {
        matches!(self.action.as_deref(), Some("register" | "unregister"))
    }
}

/// What a request began.
#[derive(Clone, PartialEq)]
pub struct Started {
    /// What Azure answered.
    pub body: Option<Json>,
    /// What to [`wait`](super::wait()) for; `None` when everything is done.
    pub operation: Option<Operation>,
}

impl fmt::Debug for Started {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Started").field("operation", &self.operation).finish_non_exhaustive()
    }
}

/// Sends changing requests.
#[derive(Clone, Debug)]
pub struct ArmWriter {
    reader: ArmReader,
    locks: Locks,
    /// Requests under way at once; what waits holds no place.
    places: Arc<Semaphore>,
}

/// What the resource says about a request that may have been taken.
enum Look {
    Taken(Box<Started>),
    Busy,
    NotTaken,
}

impl Look {
    fn taken(body: Option<Json>, operation: Option<Operation>) -> Self {
        Self::Taken(Box::new(Started { body, operation }))
    }
}

impl ArmWriter {
    /// A writer over a reader, with so many requests under way at once.
    #[must_use]
    pub fn new(reader: ArmReader, _: Permit, at_once: usize) -> Self {
        let places = Arc::new(Semaphore::new(at_once.min(Semaphore::MAX_PERMITS)));
        Self { reader, locks: Locks::default(), places }
    }

    /// The reader it was made from.
    #[must_use]
    pub const fn reader(&self) -> &ArmReader {
        &self.reader
    }

    /// Sends a changing request. Waits for its lock first, and for other operations
    /// that Azure reports. A DELETE of something absent is done.
    ///
    /// # Errors
    /// When Azure refuses, or when it stays unknown whether the request was taken.
    pub async fn send(&self, write: &Write) -> Result<Started, ApiError> {
        let key = write.lock.as_ref().or(write.registers().then_some(&write.id));
        let held = match key {
            Some(key) => Some(self.locks.hold(key).await),
            None => None,
        };
        let secrets = SentSecrets::of(write.body.as_ref());
        let mut started = self.send_locked(write).await.map_err(|it| it.without(&secrets))?;
        if let Some(operation) = &mut started.operation {
            operation.held = held;
            operation.hide(secrets);
        }
        Ok(started)
    }

    async fn send_locked(&self, write: &Write) -> Result<Started, ApiError> {
        let url = self.url(write);
        let mut retry = self.reader.retry(write.repeat());
        let busy_ends = clock::now() + BUSY_PATIENCE;
        let known_by = clock::now() + DIRECTORY_PATIENCE;
        loop {
            // The semaphore is never closed.
            let place = self.places.acquire().await;
            let result = self.reader.attempt(&write.method, &url, write.body.as_ref()).await;
            drop(place);
            let (error, decision) = match result {
                Ok(answer) if answer.is_success() => return Ok(begin(write, &url, &answer)),
                Ok(answer) => {
                    let error = answer.error(&write.method, &url);
                    match error.verdict() {
                        Verdict::Absent if write.method == Method::DELETE => return Ok(DONE),
                        Verdict::InProgress if clock::now() < busy_ends => {
                            if let Look::Taken(started) = self.look(write, true).await? {
                                return Ok(*started);
                            }
                            pause(&url, error.retry_after.unwrap_or_else(busy_wait)).await;
                            continue;
                        }
                        Verdict::Retry
                            if error.is_unknown_principal() && clock::now() < known_by =>
                        {
                            pause(&url, DIRECTORY_WAIT).await;
                            continue;
                        }
                        Verdict::Retry
                        | Verdict::Absent
                        | Verdict::Denied
                        | Verdict::Conflict
                        | Verdict::Throttled
                        | Verdict::NotRegistered(_)
                        | Verdict::InProgress
                        | Verdict::Unreachable
                        | Verdict::Broken
                        | Verdict::Fatal => {}
                    }
                    (error, retry.after_status(answer.status, &answer.headers))
                }
                Err(Silence::Broken(broken)) => {
                    let decision = retry.after_break(&broken);
                    (Silence::Broken(broken).into_error(&write.method, &url), decision)
                }
                Err(other) => return Err(other.into_error(&write.method, &url)),
            };
            match decision {
                RetryDecision::Again(wait) => pause(&url, wait).await,
                RetryDecision::LookFirst(wait) => {
                    pause(&url, wait).await;
                    if let Some(started) = self.settle(write).await? {
                        return Ok(started);
                    }
                }
                RetryDecision::GiveUp => return Err(error),
            }
        }
    }

    /// Looks until the resource is at rest or shows our change.
    async fn settle(&self, write: &Write) -> Result<Option<Started>, ApiError> {
        let start = clock::now();
        let mut sure = false;
        loop {
            match self.look(write, false).await? {
                Look::Taken(started) => return Ok(Some(*started)),
                Look::Busy if start.elapsed() < BUSY_PATIENCE => {
                    clock::sleep(poll::next_look(start.elapsed(), None)).await;
                }
                // Reads may lag behind writes: one that shows nothing is no proof.
                Look::NotTaken if !sure => {
                    sure = true;
                    clock::sleep(LAG).await;
                }
                Look::Busy | Look::NotTaken => return Ok(None),
            }
        }
    }

    /// Reads the resource to see whether the request was taken. `refused` says that Azure
    /// answered "busy": then only a running operation that already carries our body is ours.
    async fn look(&self, write: &Write, refused: bool) -> Result<Look, ApiError> {
        if write.method == Method::POST {
            return Ok(Look::NotTaken);
        }
        let live = self.reader.get(&write.id, &write.api_version).await?;
        let url = self.reader.url(&write.id, &write.api_version);
        let deletes = write.method == Method::DELETE;
        let Some(live) = live else {
            return Ok(if deletes { Look::taken(None, None) } else { Look::NotTaken });
        };
        let word = provisioning(&live);
        let end = word.map_or(End::Succeeded, End::of);
        let joined = || Operation::watch(&write.method, &url);
        if deletes {
            let going = word.is_some_and(|it| DELETING.iter().any(|w| w.eq_ignore_ascii_case(it)));
            return Ok(if going { Look::taken(None, Some(joined())) } else { Look::NotTaken });
        }
        let ours = write.body.as_ref().is_none_or(|body| covers(&live, body));
        Ok(match end {
            End::Running if ours => Look::taken(Some(live), Some(joined())),
            End::Running => Look::Busy,
            End::Succeeded if ours && !refused => Look::taken(Some(live), None),
            // It was taken and failed at once; sending it again is the next apply's business.
            End::Failed if ours && !refused => Look::taken(Some(live), Some(joined())),
            End::Succeeded | End::Failed => Look::NotTaken,
        })
    }

    fn url(&self, write: &Write) -> String {
        let action = write.action.as_ref().map(|text| format!("/{text}")).unwrap_or_default();
        let url = self.reader.url(&format!("{}{action}", write.id), &write.api_version);
        match write.query.as_deref().filter(|text| !text.is_empty()) {
            Some(query) => format!("{url}&{query}"),
            None => url,
        }
    }
}

const DONE: Started = Started { body: None, operation: None };
const DELETING: [&str; 3] = ["Deleting", "Removing", "Deprovisioning"];

fn busy_wait() -> Duration {
    BUSY_WAIT.mul_f64(0.8 + 0.4 * fastrand::f64())
}

fn begin(write: &Write, url: &str, answer: &ArmAnswer) -> Started {
    let ArmAnswer { status, headers, body } = answer;
    let operation = Operation::begin(&write.method, url, *status, headers, body);
    let body = serde_json::from_slice(body).ok();
    let over = matches!(operation.next(), super::Next::Done(OperationOutcome::Succeeded(_)));
    Started { body, operation: (!over).then_some(operation) }
}

/// Whether the live document carries everything that was sent and can be read back.
fn covers(live: &Json, sent: &Json) -> bool {
    match (live, sent) {
        (Json::Object(live), Json::Object(sent)) => sent.iter().all(|(key, value)| {
            // Azure never gives these back; a fingerprint among the settings stands for them.
            key == "configurationProtectedSettings"
                || match live.get(key) {
                    Some(Json::String(have)) if key == "location" => {
                        let plain = |text: &str| text.replace(' ', "").to_ascii_lowercase();
                        value.as_str().is_some_and(|want| plain(want) == plain(have))
                    }
                    Some(found) => covers(found, value),
                    None => is_nothing(value),
                }
        }),
        (Json::Array(live), Json::Array(sent)) => {
            live.len() == sent.len() && live.iter().zip(sent).all(|(l, s)| covers(l, s))
        }
        (Json::String(live), Json::String(sent)) if sent.starts_with('/') => {
            live.eq_ignore_ascii_case(sent)
        }
        (live, sent) => live == sent || (is_nothing(live) && is_nothing(sent)),
    }
}

/// Null, an empty map and an empty list stand for one another in Azure's answers.
fn is_nothing(value: &Json) -> bool {
    match value {
        Json::Null => true,
        Json::Object(map) => map.is_empty(),
        Json::Array(items) => items.is_empty(),
        Json::Bool(_) | Json::Number(_) | Json::String(_) => false,
    }
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
