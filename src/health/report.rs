//! What `doctor`, `verify` and `drift` find: one type for all three, so that every format knows all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::model::{Json, Key, Pointer};
use crate::resource::{Read, ReadError};
use crate::source::{Diagnostics, Place};

/// What came of looking at something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Pass,
    /// It does not apply, or was skipped on request.
    Skipped,
    /// Good to know.
    Info,
    /// Works, but look at it.
    Warning,
    /// It could not be looked at; the message says why.
    Unknown,
    /// Not as it should be.
    Fail,
}

impl Status {
    /// The word of machine-readable reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Skipped => "skipped",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Unknown => "unknown",
            Self::Fail => "fail",
        }
    }
}

/// Why something is not judged: what was not read is neither well nor ill.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unseen {
    /// It could not be read.
    #[error("{0}")]
    Failed(ReadError),
    /// Nobody asked for it, or whoever was asked does not tell.
    #[error("{0}")]
    Untold(String),
}

/// What judging gives, where everything that it rests on was read.
pub type Judged<T = ()> = Result<T, Unseen>;

/// One thing that was looked at, with what was found; what is fine stands here too.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// Stable code, which `amlplan explain` knows.
    pub code: &'static str,
    /// How bad it is; [`Status::Pass`] and [`Status::Skipped`] are nothing to act on.
    pub status: Status,
    /// The resource it is about.
    pub address: Key,
    /// The field of it; the root for the whole resource.
    pub path: Pointer,
    /// Which sort of drift it is, for `drift`.
    pub class: Option<&'static str>,
    /// What was looked at, in a few words.
    pub title: String,
    /// What is wrong, without the address; for a pass what is worth knowing, or nothing.
    pub message: String,
    /// Why it is unknown, for what is.
    pub unseen: Option<Unseen>,
    /// How to mend it.
    pub help: Option<String>,
    /// The line of the manifest.
    pub place: Option<Place>,
    /// What it rests on: events, states, lines of a report. Never a secret.
    pub evidence: Vec<String>,
    /// What is declared and what is live, in words, where two sides differ.
    pub sides: Option<(String, String)>,
    /// Whether it mends itself, because Azure or the cluster works on it.
    pub soon: bool,
    /// What tells two findings of one code, address and field apart, such as a list's item.
    pub detail: String,
    /// Further members of the finding in JSON.
    pub members: BTreeMap<&'static str, Json>,
}

impl Finding {
    /// A finding with everything optional left out.
    #[must_use]
    pub fn new(code: &'static str, status: Status, address: Key, message: String) -> Self {
        Self {
            code,
            status,
            address,
            path: Pointer::root(),
            class: None,
            title: String::new(),
            message,
            unseen: None,
            help: None,
            place: None,
            evidence: Vec::new(),
            sides: None,
            soon: false,
            detail: String::new(),
            members: BTreeMap::new(),
        }
    }

    /// One that nothing is known of, with the reason.
    #[must_use]
    pub fn unseen(code: &'static str, address: Key, unseen: Unseen) -> Self {
        let help = match &unseen {
            Unseen::Failed(error) => error.remedy(),
            Unseen::Untold(_) => None,
        };
        let message = unseen.to_string();
        let unseen = Some(unseen);
        Self { help, unseen, ..Self::new(code, Status::Unknown, address, message) }
    }

    /// The same on every run, machine and in every order, whatever the values are.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let (address, path) = (self.address.to_string(), self.path.to_string());
        let class = self.class.unwrap_or_default();
        fingerprint(&[self.code, class, &address, &path, &self.detail])
    }

    /// Whether somebody has to read it.
    #[must_use]
    pub const fn counts(&self) -> bool {
        !matches!(self.status, Status::Pass | Status::Skipped)
    }

    /// What stands under it where there is room: how to mend it, and the id of drift.
    #[must_use]
    pub fn closing(&self) -> String {
        let help = self.help.as_ref().map(|text| format!("\nhelp: {text}")).unwrap_or_default();
        let id = self.class.map(|class| format!("\nid: {} ({class})", self.fingerprint()));
        format!("{help}{}", id.unwrap_or_default())
    }

    /// What is wrong in one line, without the address.
    #[must_use]
    pub fn problem(&self) -> String {
        let root = self.path == Pointer::root();
        let at = if root { String::new() } else { format!("{} ", self.path) };
        match &self.sides {
            Some((declared, live)) if self.message.is_empty() => {
                format!("{at}is {live}, declared is {declared}")
            }
            _ if self.message.is_empty() => self.title.clone(),
            _ => self.message.clone(),
        }
    }
}

/// An id made of words: sixteen hexadecimal digits.
#[must_use]
pub fn fingerprint(words: &[&str]) -> String {
    Sha256::digest(words.join("\n")).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// What a command found. Counts, verdicts and exit codes are counted from it.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// `drift`, `verify` or `doctor`.
    pub command: &'static str,
    /// Everything that was looked at.
    pub findings: Vec<Finding>,
    /// What kept parts from being looked at.
    pub diagnostics: Diagnostics,
    /// What was left out on request, in words.
    pub skipped: Vec<String>,
    /// What could not be read.
    pub unread: BTreeSet<Key>,
    /// The result in one line; empty: counted from the findings.
    pub verdict: String,
    /// Further members of the document in JSON.
    pub members: BTreeMap<&'static str, Json>,
    /// The resources as a picture (SVG of our own making) for the page; may be empty.
    pub picture: String,
}

impl Report {
    /// The worst that was found of each resource.
    #[must_use]
    pub fn states(&self) -> BTreeMap<&Key, Status> {
        let mut states = BTreeMap::new();
        for finding in &self.findings {
            let state = states.entry(&finding.address).or_insert(finding.status);
            *state = finding.status.max(*state);
        }
        states
    }

    /// The clusters and subscriptions of which something could not be read: nobody may call them fine.
    #[must_use]
    pub fn half_seen(&self) -> BTreeSet<&str> {
        self.unread.iter().map(|key| key.scope.as_str()).collect()
    }

    /// What somebody has to read, the worst first, then by address and field.
    #[must_use]
    pub fn bad(&self) -> Vec<&Finding> {
        let mut bad: Vec<&Finding> = self.findings.iter().filter(|it| it.counts()).collect();
        bad.sort_by(|a, b| {
            let place = |finding: &Finding| (finding.address.clone(), finding.path.clone());
            b.status.cmp(&a.status).then_with(|| place(a).cmp(&place(b)))
        });
        bad
    }

    /// How many findings have a status.
    #[must_use]
    pub fn number(&self, status: Status) -> usize {
        self.findings.iter().filter(|finding| finding.status == status).count()
    }

    /// Whether the comparison itself failed somewhere.
    #[must_use]
    pub fn errored(&self) -> bool {
        crate::source::has_errors(&self.diagnostics)
    }

    /// Whether everything could be looked at.
    #[must_use]
    pub fn complete(&self) -> bool {
        !self.errored() && self.unread.is_empty() && self.number(Status::Unknown) == 0
    }
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
pub struct Probed(pub BTreeMap<(String, String), Answered>);

/// One answer, shared by all clusters that asked the same.
pub type Answered = Result<Option<Arc<Json>>, ReadError>;

impl Probed {
    /// The answer of a probe; one that was never asked reads as an error.
    ///
    /// # Errors
    /// Why it could not be read.
    pub fn get(&self, scope: &str, name: &str) -> Judged<Option<&Json>> {
        match self.0.get(&(scope.to_owned(), name.to_owned())) {
            Some(Ok(answer)) => Ok(answer.as_deref()),
            Some(Err(error)) => Err(Unseen::Failed(error.clone())),
            None => Err(Unseen::Untold("it was not read".to_owned())),
        }
    }
}
