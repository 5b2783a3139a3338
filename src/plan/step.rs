//! Steps: finished decisions, each with its reasons, its price and its requests.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::{Json, Key, Pointer, Value};
use crate::resource::graph::Rollout;
use crate::resource::{FieldChange, Impact, Request};
use crate::source::{Diagnostic, Diagnostics};

/// What a plan does to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Nothing.
    NoOp,
    /// Only read.
    Read,
    /// Bring it into being.
    Create,
    /// Change it in place.
    Update,
    /// Remove it, then make it again.
    Replace,
    /// Remove it.
    Delete,
}

impl Action {
    /// Terraform's symbol, which carries the meaning without colour.
    #[must_use]
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::NoOp => " ",
            Self::Read => "<=",
            Self::Create => "+",
            Self::Update => "~",
            Self::Replace => "-/+",
            Self::Delete => "-",
        }
    }

    /// Terraform's words for `change.actions`.
    #[must_use]
    pub const fn words(self) -> &'static [&'static str] {
        match self {
            Self::NoOp => &["no-op"],
            Self::Read => &["read"],
            Self::Create => &["create"],
            Self::Update => &["update"],
            Self::Replace => &["delete", "create"],
            Self::Delete => &["delete"],
        }
    }

    /// How many resources it adds, changes and destroys; a replacement counts as both.
    #[must_use]
    pub const fn counts(self) -> (usize, usize, usize) {
        match self {
            Self::NoOp | Self::Read => (0, 0, 0),
            Self::Create => (1, 0, 0),
            Self::Update => (0, 1, 0),
            Self::Replace => (1, 0, 1),
            Self::Delete => (0, 0, 1),
        }
    }

    /// Whether anything is written.
    #[must_use]
    pub const fn changes(self) -> bool {
        match self {
            Self::NoOp | Self::Read => false,
            Self::Create | Self::Update | Self::Replace | Self::Delete => true,
        }
    }
}

/// Why a step does what it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// There is none yet.
    Absent,
    /// Fields differ; the step lists them.
    FieldsDiffer,
    /// These differing fields cannot be changed in place.
    CannotUpdate(Vec<Pointer>),
    /// What it stands on is replaced.
    DependencyReplaced(Key),
    /// It is in a failed state: the word, and what it says.
    Unhealthy {
        /// The state.
        state: String,
        /// What it says about it.
        message: String,
    },
    /// A feature was registered, which takes effect when its provider is registered again.
    FeatureRegistered(Vec<Key>),
    /// A companion is new, so the keys it is given are.
    CompanionChanged(Key),
    /// The user asked to destroy it.
    Destroy,
    /// It carries the mark of this manifest, which no longer declares it.
    NotDeclared(String),
    /// It carries the mark of another manifest of the same cluster: taken over.
    Moved(String),
    /// It carries no mark, and the user asked to adopt such things.
    Adopted,
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The resource.
    pub key: Key,
    /// What is done.
    pub action: Action,
    /// Why.
    pub reasons: Vec<Reason>,
    /// The fields that differ, for updates and replacements.
    pub changes: Vec<FieldChange>,
    /// The live document as it is compared; secrets are never in it.
    pub before: Option<Json>,
    /// The wanted document; `None` when the resource is to go.
    pub after: Option<Value>,
    /// Parts of `after` that amlplan adds by itself, with the reason for each.
    pub derived: Vec<(Pointer, String)>,
    /// What the change costs.
    pub impact: Impact,
    /// Requests that remove it, for deletions and replacements.
    pub removal: Vec<Request>,
    /// Requests that make or change it.
    pub requests: Vec<Request>,
    /// What must be done before.
    pub depends_on: BTreeSet<Key>,
    /// Digest of everything that was decided, to see whether a saved plan is still right.
    pub precondition: String,
    /// The state it is in while Azure or the cluster is still working on it.
    pub settling: Option<String>,
    /// Why the resource is in the plan although nobody named it, or why it is kept.
    pub note: Option<Note>,
}

/// What a reader should know of a step beside its reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// Why it is in the plan although nobody named it.
    Why(String),
    /// It is not removed, for this reason.
    Kept(String),
    /// It is not declared any more and left, because `lifecycle.prune` is false.
    Left,
    /// It is used as it is and stays somebody else's, for this reason.
    Used(String),
    /// What is lost with it: pods and claims, by name.
    TakesAlong(Vec<String>),
    /// Managers of Kubernetes fields that the change takes over.
    TakesOver(Vec<String>),
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Why(why) => f.write_str(why),
            Self::Kept(why) => write!(f, "kept: {why}"),
            Self::Left => f.write_str("left: lifecycle.prune is false"),
            Self::Used(why) => write!(f, "used, not owned: {why}"),
            Self::TakesAlong(all) => {
                let (some, more) = all.split_at(all.len().min(10));
                write!(f, "with it go {}", some.join(", "))?;
                if more.is_empty() { Ok(()) } else { write!(f, " and {} more", more.len()) }
            }
            Self::TakesOver(others) => {
                let others = others.join(", ");
                write!(f, "also written by {others}: the fields shown are taken over")
            }
        }
    }
}

/// What the plan is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Make live what is declared.
    #[default]
    Apply,
    /// Remove what is declared.
    Destroy,
}

/// What keeps a plan from being applied although it could be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    /// The resource.
    pub key: Key,
    /// Why, and how to open it.
    pub message: String,
}

/// What was not planned because it, or what it stands on, could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// The resources; all of one scope.
    pub keys: Vec<Key>,
    /// Why.
    pub reason: String,
    /// The same for people.
    pub finding: Diagnostic,
}

/// Finished decisions, in an order in which they could be carried out one by one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// What it is for.
    pub mode: Mode,
    /// One step a resource.
    pub steps: Vec<Step>,
    /// Errors, warnings and advice; errors keep the plan from being applied.
    pub findings: Diagnostics,
    /// What is skipped on request.
    pub skipped: Vec<String>,
    /// What is not planned because it could not be read. Everything else is, and can be applied.
    pub unread: Vec<Unread>,
    /// Resources that `lifecycle.preventDestroy` protects from what the plan would do.
    pub protected: Vec<Gate>,
    /// In which stages it is applied.
    pub rollouts: Vec<Rollout>,
}

impl Step {
    /// The manifest that made the resource and no longer names it.
    #[must_use]
    pub fn orphan_of(&self) -> Option<&str> {
        self.reasons.iter().find_map(|reason| match reason {
            Reason::NotDeclared(name) => Some(name.as_str()),
            _ => None,
        })
    }
}

impl Plan {
    /// The steps that write.
    pub fn changing(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| step.action.changes())
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changing().next().is_none()
    }

    /// Only what is done to some of the resources.
    #[must_use]
    pub fn part(&self, holds: impl Fn(&Key) -> bool) -> Self {
        let mut part = self.clone();
        part.steps.retain(|step| holds(&step.key));
        part.unread.iter_mut().for_each(|unread| unread.keys.retain(&holds));
        part.unread.retain(|unread| !unread.keys.is_empty());
        part.protected.retain(|gate| holds(&gate.key));
        part
    }

    /// How many resources are added, changed and destroyed; a replacement counts as both.
    #[must_use]
    pub fn counts(&self) -> (usize, usize, usize) {
        let own = self.steps.iter().map(|step| step.action.counts());
        own.fold((0, 0, 0), |sum, pair| (sum.0 + pair.0, sum.1 + pair.1, sum.2 + pair.2))
    }

    /// Whether an error was found.
    #[must_use]
    pub fn errored(&self) -> bool {
        crate::source::has_errors(&self.findings)
    }

    /// Whether it covers everything that was asked for.
    #[must_use]
    pub fn complete(&self) -> bool {
        !self.errored() && self.unread.is_empty() && self.skipped.is_empty()
    }

    /// The findings with what could not be read: what every report shows.
    pub fn told(&self) -> impl Iterator<Item = &Diagnostic> {
        self.findings.iter().chain(self.unread.iter().map(|unread| &unread.finding))
    }

    /// What keeps the plan from being applied: protected resources, and disruptive changes unless
    /// they are allowed. Destroying is a decision of its own, so only protection counts there.
    #[must_use]
    pub fn gates(&self, allow_disruptive: bool) -> Vec<Gate> {
        let mut gates = self.protected.clone();
        if self.mode == Mode::Apply && !allow_disruptive {
            let disruptive = self
                .changing()
                .filter(|step| step.impact != Impact::Safe && step.action != Action::Create);
            gates.extend(disruptive.map(|step| Gate {
                key: step.key.clone(),
                message: format!("{}; allow it with `--allow disruptive`", step.impact.describe()),
            }));
        }
        gates
    }
}
