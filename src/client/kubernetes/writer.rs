//! Requests that change a cluster. Fields of other managers are never taken by force, and an edit
//! of a shared object never overwrites what somebody else wrote meanwhile.

use std::time::Duration;

use http::Method;
use serde_json::json;

use super::client::KubeCall;
use super::{ApiError, KubeReader, Verdict};
use crate::apply::Permit;
use crate::client::net::{Repeat, Retry, RetryDecision, clock};
use crate::model::{Json, ObjectRef};

/// The name under which we own fields.
pub const FIELD_MANAGER: &str = "amlplan";
/// How long an edit competes with other editors.
const EDIT_PATIENCE: Duration = Duration::from_secs(5 * 60);
const LONGEST_EDIT_WAIT: Duration = Duration::from_secs(5);

/// What an edit did.
#[derive(Clone, Debug, PartialEq)]
pub struct Edited {
    /// The object as it was first read.
    pub before: Json,
    /// The object as the server has it now.
    pub after: Json,
    /// Whether we changed it.
    pub changed: bool,
}

/// Sends changing requests to one cluster.
#[derive(Clone, Debug)]
pub struct KubeWriter {
    reader: KubeReader,
}

impl KubeWriter {
    /// A writer over a reader.
    #[must_use]
    pub const fn new(reader: KubeReader, _: Permit) -> Self {
        Self { reader }
    }

    /// Server-side apply (Kubernetes: server-side apply). `take_over` forces it: only for fields
    /// whose difference a person has seen and approved.
    ///
    /// # Errors
    /// A conflict names the managers and their fields; see [`ApiError::is_field_conflict`].
    pub async fn apply(
        &self,
        object: &ObjectRef,
        body: &Json,
        take_over: bool,
    ) -> Result<Json, ApiError> {
        let path = format!("{}?fieldManager={FIELD_MANAGER}&force={take_over}", object.path());
        let mut call = KubeCall::with(Method::PATCH, &path, body);
        call.content_type = "application/apply-patch+yaml";
        // Applying the same twice is applying it once.
        self.reader.read(&call).await?.into_json(&Method::PATCH, &path)
    }

    /// Deletes an object, if given only the one with this uid; says whether it was there.
    ///
    /// # Errors
    /// A conflict when an object of another uid has the name by now.
    pub async fn delete(&self, object: &ObjectRef, uid: Option<&str>) -> Result<bool, ApiError> {
        let path = object.path();
        let mut body = json!({"apiVersion": "v1", "kind": "DeleteOptions"});
        if let Some(uid) = uid {
            body["preconditions"] = json!({"uid": uid});
        }
        let call = KubeCall::with(Method::DELETE, &path, &body);
        let mut retry = self.reader.retry(Repeat::AfterLooking);
        // An attempt whose answer was lost may be the one that deleted it.
        let mut unsure = false;
        loop {
            let result = self.reader.attempt(&call).await;
            let decision = match &result {
                Ok(answer) if answer.status == 404 => return Ok(unsure),
                Ok(answer) if answer.is_success() => return Ok(true),
                Ok(answer) => retry.after_status(answer.status, &answer.headers),
                Err(error) => after(&mut retry, error),
            };
            match decision {
                RetryDecision::Again(wait) => clock::sleep(wait).await,
                RetryDecision::LookFirst(wait) => {
                    unsure = true;
                    clock::sleep(wait).await;
                }
                RetryDecision::GiveUp => {
                    return Err(result?.error(&Method::DELETE, &path));
                }
            }
        }
    }

    /// Read, change, write back over exactly that version; again when somebody was faster.
    /// `edit` answers the new object, or `None` when nothing is missing.
    ///
    /// # Errors
    /// Absent when the object is not there; a conflict when others keep writing for minutes.
    pub async fn edit(
        &self,
        object: &ObjectRef,
        edit: &(dyn Fn(&Json) -> Option<Json> + Sync),
    ) -> Result<Edited, ApiError> {
        let end = clock::now() + EDIT_PATIENCE;
        let mut retry = self.reader.retry(Repeat::Freely);
        let mut first: Option<Json> = None;
        let mut unsure = false;
        let mut wait = Duration::from_millis(20);
        loop {
            let Some(live) = self.reader.get(object).await? else {
                return Err(super::error::from_answer(
                    &Method::GET,
                    &object.path(),
                    404,
                    format!("{object} is not there").as_bytes(),
                ));
            };
            let before = first.get_or_insert_with(|| live.clone()).clone();
            let Some(mut wanted) = edit(&live) else {
                return Ok(Edited { before, after: live, changed: unsure });
            };
            // Whatever `edit` did, the write is bound to what was read.
            wanted["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
            let path = format!("{}?fieldManager={FIELD_MANAGER}", object.path());
            let call = KubeCall::with(Method::PUT, &path, &wanted);
            let (error, decision) = match self.reader.attempt(&call).await {
                Ok(answer) if answer.is_success() => {
                    let after = answer.into_json(&Method::PUT, &path)?;
                    return Ok(Edited { before, after, changed: true });
                }
                Ok(answer) => {
                    let decision = retry.after_status(answer.status, &answer.headers);
                    (answer.error(&Method::PUT, &path), decision)
                }
                Err(error) => {
                    let decision = after(&mut retry, &error);
                    (error, decision)
                }
            };
            match (decision, error.verdict()) {
                (_, Verdict::Conflict) if clock::now() < end => {
                    clock::sleep(wait.mul_f64(fastrand::f64())).await;
                    wait = (wait * 2).min(LONGEST_EDIT_WAIT);
                }
                (RetryDecision::Again(pause) | RetryDecision::LookFirst(pause), _) => {
                    unsure = true;
                    clock::sleep(pause).await;
                }
                (RetryDecision::GiveUp, _) => return Err(error),
            }
        }
    }
}

fn after(retry: &mut Retry, error: &ApiError) -> RetryDecision {
    error.source.as_ref().map_or(RetryDecision::GiveUp, |broken| retry.after_break(broken))
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
