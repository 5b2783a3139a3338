//! Everything that a watcher of an apply can learn.

use std::time::Duration;

use crate::model::Key;
use crate::plan::{Action, Mode, Unread};

/// Why a step failed, ready to be shown: no secret is ever in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct StepError {
    /// What went wrong.
    pub message: String,
    /// The service's own code, such as `ExtensionOperationFailed`.
    pub code: Option<String>,
    /// How to mend it.
    pub help: Option<String>,
    /// Further lines: inner errors, health codes, request ids.
    pub details: Vec<String>,
    /// The field of the wire that caused it, where it is known.
    pub field: Option<crate::model::Pointer>,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A step began.
    Started {
        /// The resource.
        key: Key,
        /// What is being done.
        action: Action,
    },
    /// A step goes on.
    Progress {
        /// The resource.
        key: Key,
        /// The state that Azure or the cluster reports.
        state: String,
        /// What it waits for, such as a pod that is not ready and why, where that is known.
        waits_for: Option<String>,
        /// Since its start.
        elapsed: Duration,
    },
    /// A step is really done.
    Completed {
        /// The resource.
        key: Key,
        /// What was done.
        action: Action,
        /// How long it took.
        elapsed: Duration,
    },
    /// A step failed.
    Errored {
        /// The resource.
        key: Key,
        /// What was being done.
        action: Action,
        /// Why it failed.
        error: StepError,
        /// How long it took.
        elapsed: Duration,
    },
    /// A step was not started because something it needs failed.
    Skipped {
        /// The resource.
        key: Key,
        /// What failed.
        because: Key,
    },
    /// A step was left while Azure still works on it.
    Left {
        /// The resource.
        key: Key,
        /// The state it was last seen in.
        state: String,
    },
}

/// Something worth knowing after an apply, such as an address or a principal id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The resource it belongs to.
    pub key: Key,
    /// What it is: `router address`, `principal id`.
    pub label: &'static str,
    /// The value.
    pub value: String,
}

/// How a stage of a rollout ended: every cluster of it stands in one of the lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StageEnd {
    /// Its name.
    pub name: String,
    /// Clusters that are as declared, and work.
    pub done: Vec<String>,
    /// Clusters that failed, each with why.
    pub failed: Vec<(String, String)>,
    /// Clusters that are still worked on.
    pub running: Vec<String>,
    /// Clusters that were not begun, or not finished.
    pub waiting: Vec<String>,
}

/// How an apply ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What the plan was for.
    pub mode: Mode,
    /// Steps that were carried out, with their durations, in order of completion.
    pub done: Vec<(Key, Action, Duration)>,
    /// Steps that failed.
    pub failed: Vec<(Key, StepError)>,
    /// Steps that were not started because something they need failed.
    pub skipped: Vec<Key>,
    /// Steps that Azure still works on, with their states.
    pub running: Vec<(Key, String)>,
    /// Steps that were not started because the user interrupted or a limit passed.
    pub not_started: Vec<Key>,
    /// What was not even planned because it could not be read.
    pub unread: Vec<Unread>,
    /// Whether the user interrupted.
    pub interrupted: bool,
    /// How long everything took.
    pub elapsed: Duration,
    /// What is worth knowing.
    pub outputs: Vec<Output>,
    /// The stages, where it was a rollout.
    pub stages: Vec<StageEnd>,
}

impl Outcome {
    /// Adds how a further part of the plan ended.
    pub fn add(&mut self, part: Self) {
        self.done.extend(part.done);
        self.failed.extend(part.failed);
        self.skipped.extend(part.skipped);
        self.running.extend(part.running);
        self.not_started.extend(part.not_started);
        self.unread.extend(part.unread);
        self.interrupted |= part.interrupted;
    }
}

/// The one verdict over an outcome: text, JSON and exit code follow from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Everything was carried out.
    Complete,
    /// The user interrupted.
    Interrupted,
    /// Something failed, or was not even looked at.
    Partial,
    /// We stopped waiting while Azure goes on.
    StillWorking,
}

impl Outcome {
    /// How it ended.
    #[must_use]
    pub fn ending(&self) -> Ending {
        match () {
            () if self.interrupted => Ending::Interrupted,
            () if !self.failed.is_empty() => Ending::Partial,
            () if !self.running.is_empty() || !self.not_started.is_empty() => Ending::StillWorking,
            () if !self.unread.is_empty() || !self.skipped.is_empty() => Ending::Partial,
            () => Ending::Complete,
        }
    }
}
