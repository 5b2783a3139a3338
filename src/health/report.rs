//! Results of checks against what is live: what `doctor` and `verify` report.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::model::{Json, Key};
use crate::resource::Read;
use crate::source::Place;

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Pass,
    /// It does not apply, or was skipped on request.
    Skipped,
    /// Works, but look at it.
    Warning,
    /// It could not be checked; the message says why.
    Unknown,
    /// Not as it should be.
    Fail,
}

/// One check and what it found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Stable code, which `amlplan explain` knows.
    pub code: &'static str,
    /// The resource it is about.
    pub key: Key,
    /// What was checked, in a few words.
    pub title: String,
    /// What was found.
    pub status: Status,
    /// What is wrong; empty for a pass.
    pub message: String,
    /// How to mend it.
    pub help: Option<String>,
    /// The line of the manifest it is about.
    pub place: Option<Place>,
}

/// A read that a family of checks wants beside the resources themselves.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Probe {
    /// The cluster or subscription it goes to.
    pub scope: String,
    /// Name under which the answer is found.
    pub name: String,
    /// What to read.
    pub read: Read,
}

/// Answers of probes: `Ok(None)` is not there, `Err` could not be read.
#[derive(Debug, Clone, Default)]
pub struct Probed(pub BTreeMap<(String, String), Result<Option<Json>, String>>);

impl Probed {
    /// The answer of a probe; one that was never asked reads as an error.
    ///
    /// # Errors
    /// Why it could not be read.
    pub fn get(&self, scope: &str, name: &str) -> Result<Option<&Json>, &str> {
        match self.0.get(&(scope.to_owned(), name.to_owned())) {
            Some(Ok(answer)) => Ok(answer.as_ref()),
            Some(Err(why)) => Err(why),
            None => Err("it was not read"),
        }
    }
}
