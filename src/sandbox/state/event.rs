//! What will happen in the world, and when.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// The next thing the agents do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum AgentStep {
    InstallCheck,
    UpgradeCheck,
    /// Helm puts the objects in place; pods start.
    Install,
    Upgrade,
    /// Everything is ready and gets reported.
    Done,
    /// Helm gives up waiting.
    TimedOut,
    Uninstall,
    Gone,
}

/// What will happen at a point in time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Occurrence {
    /// A value of a resource changes.
    Set { id: String, pointer: String, value: Json },
    /// A resource goes away.
    Remove { id: String },
    /// An operation ends.
    End { operation: String, error: Option<Json> },
    /// The extension agents of a cluster take their next step.
    Extension { id: String, operation: String, step: AgentStep },
    /// An attach ends.
    Attach { id: String, operation: String },
}

impl Occurrence {
    /// The resource an event is about; the end of an operation is about none, so that it comes even after a delete.
    pub(crate) fn resource(&self) -> Option<&str> {
        match self {
            Occurrence::Set { id, .. }
            | Occurrence::Remove { id }
            | Occurrence::Extension { id, .. }
            | Occurrence::Attach { id, .. } => Some(id),
            Occurrence::End { .. } => None,
        }
    }
}

/// An event with its time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Scheduled {
    pub(crate) due: Timestamp,
    pub(crate) event: Occurrence,
    /// Key of the resource it is about.
    pub(crate) about: Option<String>,
}
