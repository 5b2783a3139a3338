//! Saved plans: what was reviewed is what is applied, or it is refused as stale.
//!
//! A saved plan holds the desired state, not a script: applying it reads everything again, plans
//! again and compares decision by decision. Contents of secrets are not in it; they are read again
//! from where they came.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Mode, Plan};
use crate::model::{Json, Key};
use crate::resource::graph::Desired;
use crate::source::Diagnostic;

/// The version of the file; another one is refused.
const VERSION: u32 = 1;

/// What a saved plan holds beside the representation that people and policies read.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Saved {
    /// The version of the file.
    pub version: u32,
    /// The version of amlplan that wrote it.
    pub tool: String,
    /// The plan as it was shown, so that it can be shown again whatever has changed since.
    pub text: String,
    /// What the plan is for.
    pub mode: Mode,
    /// The desired state that was planned.
    pub desired: Desired,
    /// Address and digest of every decision, in order.
    pub decisions: Vec<(Key, String)>,
    /// Fingerprints of the secrets that were sent or compared, keyed by source.
    pub secrets: Vec<String>,
}

impl Saved {
    /// What to save of a plan.
    #[must_use]
    pub fn new(plan: &Plan, desired: &Desired, text: String) -> Self {
        Self {
            version: VERSION,
            text,
            tool: env!("CARGO_PKG_VERSION").to_owned(),
            mode: plan.mode,
            desired: desired.clone(),
            decisions: decisions(plan),
            secrets: fingerprints(desired),
        }
    }

    /// The addresses whose decision is no longer what was reviewed; empty when nothing is stale.
    #[must_use]
    pub fn stale(&self, fresh: &Plan) -> Vec<Key> {
        let fresh = decisions(fresh);
        let differs = |a: &[(Key, String)], b: &[(Key, String)]| -> Vec<Key> {
            a.iter().filter(|it| !b.contains(it)).map(|(key, _)| key.clone()).collect()
        };
        let mut stale = differs(&self.decisions, &fresh);
        stale.extend(differs(&fresh, &self.decisions));
        stale.sort();
        stale.dedup();
        stale
    }

    /// Whether the secrets, read again, are still those that were planned with.
    #[must_use]
    pub fn secrets_match(&self) -> bool {
        self.secrets == fingerprints(&self.desired)
    }
}

fn decisions(plan: &Plan) -> Vec<(Key, String)> {
    plan.steps.iter().map(|it| (it.key.clone(), it.precondition.clone())).collect()
}

fn fingerprints(desired: &Desired) -> Vec<String> {
    let mut desired = desired.clone();
    let mut found = Vec::new();
    for (key, node) in &mut desired.nodes {
        let resource = key.to_string();
        let secrets = node.resource.secrets_mut().into_iter();
        found.extend(secrets.filter_map(|it| it.fingerprint(&resource)));
    }
    found
}

/// Writes a plan: the representation with the saved part below `amlplan`.
///
/// # Errors
/// A finding that names the path.
pub fn write(path: &Path, mut representation: Json, saved: &Saved) -> Result<(), Diagnostic> {
    let failed = |why: String| {
        Diagnostic::error("plan-file", format!("cannot write `{}`: {why}", path.display()))
    };
    let stored = serde_json::to_value(saved).map_err(|it| failed(it.to_string()))?;
    representation["amlplan"]["saved"] = stored;
    let text =
        serde_json::to_string_pretty(&representation).map_err(|it| failed(it.to_string()))?;
    std::fs::write(path, text + "\n").map_err(|it| failed(it.to_string()))
}

/// Reads a saved plan: its representation and its saved part.
///
/// # Errors
/// A finding that says why the file is not a plan of this version.
pub fn read(path: &Path) -> Result<(Json, Saved), Diagnostic> {
    let source = crate::source::read(path)?;
    let wrong = |why: String| {
        let message = format!("`{}` is not a saved plan: {why}", path.display());
        Diagnostic::error("plan-file", message)
            .with_help("write one with `amlplan plan --out FILE`")
    };
    let document: Json = serde_json::from_str(&source.text).map_err(|it| wrong(it.to_string()))?;
    let stored = document.pointer("/amlplan/saved");
    let stored = stored.ok_or_else(|| wrong("it has no part `amlplan.saved`".into()))?;
    let version = stored.get("version").and_then(Json::as_u64);
    if version != Some(u64::from(VERSION)) {
        return Err(wrong("it was written by another version of amlplan; plan again".into()));
    }
    let saved = serde_json::from_value(stored.clone()).map_err(|it| wrong(it.to_string()))?;
    Ok((document, saved))
}
