//! A long-running operation as a state machine without I/O: it says what to read next, and is
//! told what came back (Azure REST: track asynchronous Azure operations).
//!
//! Only the words Succeeded, Failed, Canceled, Cancelled and Completed end an operation.

use std::fmt;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, Method};

use super::ApiError;
use super::error::SentSecrets;
use super::lock::Held;
use crate::client::net::{poll, retry_after};
use crate::model::{Json, same_service};

/// Reads may lag behind writes: how often a surprising one is repeated before it counts.
const SURPRISES: u32 = 4;
/// The wait after the first of them, which grows with each.
const SURPRISE: Duration = Duration::from_secs(2);

/// How an operation ended.
#[derive(Clone, Debug, PartialEq)]
pub enum OperationOutcome {
    /// It worked; the resource as read afterwards, or what a POST answered.
    Succeeded(Option<Json>),
    /// It ended as Failed or Canceled.
    Failed(ApiError),
    /// We stopped waiting; Azure goes on.
    Deadline {
        /// The last state that Azure named.
        last_state: String,
        /// Where the operation can be followed.
        resume_url: String,
    },
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Ask how the operation is doing.
    Poll {
        /// The address, verbatim as Azure gave it.
        url: String,
        /// How long to wait before.
        after: Duration,
    },
    /// Read the resource itself.
    Read {
        /// The resource's address.
        url: String,
        /// How long to wait before.
        after: Duration,
    },
    /// Nothing: it ended.
    Done(OperationOutcome),
}

#[derive(Clone, Debug, PartialEq)]
enum PollStage {
    /// `Azure-AsyncOperation`: a document with a `status`.
    Status(String),
    /// `Location`: 202 until it is something else.
    Location(String),
    /// The resource's `provisioningState` decides.
    State,
    /// The resource must be gone.
    Gone,
    Done(OperationOutcome),
}

/// An operation that Azure works on.
#[derive(Clone, PartialEq)]
pub struct Operation {
    method: Method,
    resource: String,
    stage: PollStage,
    after: Duration,
    /// All waits so far: about how long it has been going on.
    waited: Duration,
    state: String,
    surprises: u32,
    /// The cluster's lock, held for as long as somebody follows the operation.
    pub(super) held: Option<Held>,
    secrets: SentSecrets,
}

/// Addresses carry signatures and documents may be long: neither shows.
impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, state, .. } = self;
        write!(f, "Operation({method} {}: {state})", path(&self.resource))
    }
}

impl Operation {
    /// From the answer to the request that may have begun it. `url` is the request's address; the
    /// resource is what it names, without a POST's action.
    #[must_use]
    pub fn begin(
        method: &Method,
        url: &str,
        status: u16,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Self {
        let mut operation = Self::watch(method, url);
        if !(200..300).contains(&status) {
            let error = ApiError::from_answer(method, path(url), status, headers, body);
            return operation.done(OperationOutcome::Failed(error));
        }
        let json = parse(body);
        if let Some(word) = json.as_ref().and_then(provisioning) {
            operation.state = word.to_owned();
        }
        operation.stage = match operation.address(headers, status) {
            Some(stage) => stage,
            None if *method == Method::DELETE => PollStage::Gone,
            None if *method == Method::POST => {
                return operation.done(OperationOutcome::Succeeded(json));
            }
            None => match (json.as_ref().and_then(provisioning).map(End::of), status) {
                // Without headers a 202 says nothing of the end, whatever its body says.
                (_, 202) | (Some(End::Running), _) => PollStage::State,
                (Some(End::Failed), _) => {
                    let body = json.unwrap_or_default();
                    return operation.failed(&body);
                }
                (None | Some(End::Succeeded), _) => {
                    return operation.done(OperationOutcome::Succeeded(json));
                }
            },
        };
        operation.pace(headers);
        // A plain DELETE is usually over already: look at once.
        if operation.stage == PollStage::Gone && status != 202 {
            operation.after = Duration::ZERO;
        }
        operation
    }

    /// An operation that somebody else began: follows the resource's own state.
    #[must_use]
    pub fn watch(method: &Method, url: &str) -> Self {
        let stage = if *method == Method::DELETE { PollStage::Gone } else { PollStage::State };
        Self {
            method: method.clone(),
            resource: resource_of(method, url),
            stage,
            after: Duration::ZERO,
            waited: Duration::ZERO,
            state: "Accepted".into(),
            surprises: 0,
            held: None,
            secrets: SentSecrets::default(),
        }
    }

    /// What to do next.
    #[must_use]
    pub fn next(&self) -> Next {
        let after = self.after;
        match &self.stage {
            PollStage::Status(url) | PollStage::Location(url) => {
                Next::Poll { url: url.clone(), after }
            }
            PollStage::State | PollStage::Gone => Next::Read { url: self.resource.clone(), after },
            PollStage::Done(outcome) => Next::Done(outcome.clone()),
        }
    }

    /// The last state that Azure named.
    #[must_use]
    pub fn state(&self) -> &str {
        &self.state
    }

    /// Where the operation can be followed.
    #[must_use]
    pub fn url(&self) -> &str {
        match &self.stage {
            PollStage::Status(url) | PollStage::Location(url) => url,
            PollStage::State | PollStage::Gone | PollStage::Done(_) => &self.resource,
        }
    }

    /// Takes what came back for the last [`Next`].
    ///
    /// # Errors
    /// When the resource may not be read or the answer makes no sense: how the operation goes is
    /// then unknown, which is not the same as failed.
    pub fn on_response(
        &mut self,
        status: u16,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<(), ApiError> {
        self.pace(headers);
        if matches!(status, 408 | 429 | 500..=599) {
            return Ok(());
        }
        let is_location = match &self.stage {
            PollStage::Done(_) => return Ok(()),
            PollStage::State | PollStage::Gone => return self.on_resource(status, headers, body),
            PollStage::Status(_) => false,
            PollStage::Location(_) => true,
        };
        if let Some(moved) = self.moved(headers, status, is_location) {
            self.stage = moved;
        }
        if is_location {
            self.on_location(status, headers, body);
        } else {
            self.on_status(status, body);
        }
        Ok(())
    }

    fn on_status(&mut self, status: u16, body: &[u8]) {
        match status {
            200..=299 => {}
            300..=399 => return,
            // The record is gone or may not be read: the resource decides.
            _ => return self.read_resource(),
        }
        let Some(json) = parse(body) else { return self.read_resource() };
        let word = json["status"].as_str().or_else(|| provisioning(&json));
        let Some(word) = word.map(str::to_owned) else { return };
        self.state.clone_from(&word);
        match End::of(&word) {
            End::Running => {}
            End::Failed => self.fail(&json),
            End::Succeeded if self.method == Method::POST => {
                let answer = [&json["properties"]["output"], &json["properties"]];
                let answer = answer.into_iter().find(|value| !value.is_null()).cloned();
                self.stage = PollStage::Done(OperationOutcome::Succeeded(answer));
            }
            End::Succeeded => self.read_resource(),
        }
    }

    fn on_location(&mut self, status: u16, headers: &HeaderMap, body: &[u8]) {
        match status {
            // Some bodies say Succeeded while the code says 202: only the code counts.
            202 | 300..=399 => {}
            200..=299 if self.method == Method::POST => {
                self.stage = PollStage::Done(OperationOutcome::Succeeded(parse(body)));
            }
            200..=299 | 401 | 403 | 404 | 410 => self.read_resource(),
            // Location answers with what the request itself would have answered.
            _ => {
                let url = path(&self.resource);
                let error = ApiError::from_answer(&self.method, url, status, headers, body);
                let error = error.without(&self.secrets);
                self.stage = PollStage::Done(OperationOutcome::Failed(error));
            }
        }
    }

    fn on_resource(
        &mut self,
        status: u16,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<(), ApiError> {
        let gone = self.stage == PollStage::Gone;
        let error =
            || ApiError::from_answer(&Method::GET, path(&self.resource), status, headers, body);
        match status {
            200..=299 => {}
            404 | 410 if gone => {
                self.stage = PollStage::Done(OperationOutcome::Succeeded(None));
                return Ok(());
            }
            404 | 410 if self.surprises < SURPRISES => {
                self.surprises += 1;
                self.after = SURPRISE * self.surprises;
                return Ok(());
            }
            404 | 410 => {
                let error = error();
                self.stage = PollStage::Done(OperationOutcome::Failed(error));
                return Ok(());
            }
            _ => return Err(error()),
        }
        let Some(json) = parse(body) else {
            return if status == 204 && gone { Ok(()) } else { Err(error()) };
        };
        let word = provisioning(&json).unwrap_or("Succeeded").to_owned();
        let end = End::of(&word);
        self.state = if gone && end == End::Succeeded { "Deleting".into() } else { word };
        match end {
            // Deleting that ends in Failed has failed; a state from before says nothing.
            End::Running if gone => self.surprises = 1,
            End::Failed if gone && self.surprises > 1 => self.fail(&json),
            End::Failed if gone && self.surprises == 1 => self.surprises = 2,
            _ if gone => {}
            End::Running => self.surprises = 0,
            // A read that lags may still show how the last operation ended.
            End::Failed if self.surprises == 0 => {
                self.surprises = SURPRISES;
                self.after = SURPRISE * SURPRISES;
            }
            End::Failed => self.fail(&json),
            End::Succeeded => self.stage = PollStage::Done(OperationOutcome::Succeeded(Some(json))),
        }
        Ok(())
    }

    /// The operation itself has no more to say.
    fn read_resource(&mut self) {
        self.stage = if self.method == Method::DELETE { PollStage::Gone } else { PollStage::State };
        self.after = Duration::ZERO;
    }

    /// The address to poll, from the headers of the first answer.
    fn address(&self, headers: &HeaderMap, status: u16) -> Option<PollStage> {
        let status_url = self.header(headers, "azure-asyncoperation");
        if let Some(url) = status_url {
            return Some(PollStage::Status(url));
        }
        // 201 with Location may only name the resource that was made.
        let location = self.header(headers, "location")?;
        let names_resource = path(&location).eq_ignore_ascii_case(path(&self.resource));
        (matches!(status, 201 | 202) && !names_resource).then_some(PollStage::Location(location))
    }

    fn moved(&self, headers: &HeaderMap, status: u16, is_location: bool) -> Option<PollStage> {
        let redirect = (300..400).contains(&status);
        if is_location {
            let more = status == 202 || redirect;
            return more
                .then(|| self.header(headers, "location").map(PollStage::Location))
                .flatten();
        }
        let name = if redirect { "location" } else { "azure-asyncoperation" };
        self.header(headers, name).map(PollStage::Status)
    }

    /// An address from a header, verbatim; one of another service is no place for our token.
    fn header(&self, headers: &HeaderMap, name: &str) -> Option<String> {
        let text = headers.get(name)?.to_str().ok()?;
        same_service(&self.resource, text).then(|| text.to_owned())
    }

    fn pace(&mut self, headers: &HeaderMap) {
        self.waited += self.after;
        self.after = poll::next_look(self.waited, retry_after(headers, SystemTime::now()));
    }

    /// Keeps these out of the error that may come.
    pub(super) fn hide(&mut self, secrets: SentSecrets) {
        if let PollStage::Done(OperationOutcome::Failed(error)) = &mut self.stage {
            *error = error.clone().without(&secrets);
        }
        self.secrets = secrets;
    }

    fn fail(&mut self, body: &Json) {
        let url = path(&self.resource);
        let error = ApiError::from_operation(&self.method, url, &self.state, body);
        let error = error.without(&self.secrets);
        self.stage = PollStage::Done(OperationOutcome::Failed(error));
    }

    fn failed(mut self, body: &Json) -> Self {
        self.fail(body);
        self
    }

    fn done(mut self, outcome: OperationOutcome) -> Self {
        self.stage = PollStage::Done(outcome);
        self
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Running,
    Succeeded,
    Failed,
}

impl End {
    /// What a state word means; unknown words mean running.
    pub(super) fn of(word: &str) -> Self {
        let is = |words: &[&str]| words.iter().any(|text| text.eq_ignore_ascii_case(word));
        if is(&["Succeeded", "Completed"]) {
            Self::Succeeded
        } else if is(&["Failed", "Canceled", "Cancelled"]) {
            Self::Failed
        } else {
            Self::Running
        }
    }
}

/// The state of a resource; an absent or empty one is none.
pub(super) fn provisioning(body: &Json) -> Option<&str> {
    body["properties"]["provisioningState"].as_str().filter(|text| !text.is_empty())
}

fn parse(body: &[u8]) -> Option<Json> {
    serde_json::from_slice::<Json>(body).ok().filter(Json::is_object)
}

fn path(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.find('/').map_or("/", |at| &rest[at..]);
    rest.split('?').next().unwrap_or(rest)
}

/// The resource of a request: only `api-version` of its query, and no action of a POST.
fn resource_of(method: &Method, url: &str) -> String {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let base = match base.rsplit_once('/') {
        Some((parent, _)) if *method == Method::POST => parent,
        Some(_) | None => base,
    };
    let version = |text: &&str| text.to_ascii_lowercase().starts_with("api-version=");
    query.split('&').find(version).map_or_else(|| base.to_owned(), |text| format!("{base}?{text}"))
}

#[cfg(test)]
#[path = "operation_tests.rs"]
mod tests;
