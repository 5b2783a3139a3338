//! Saved plans: what was reviewed is what is applied, or it is refused.
//!
//! A saved plan holds what it was made from (declared and live state, without the contents of
//! secrets) and not what was made of it: planning is pure, so the same input gives the same plan.
//! What `show` prints and what `apply` compares are both computed from that input. The
//! representation that policies read stands in the file too, and a file that is not, byte for byte,
//! what its input gives is refused.

use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Mode, Plan, PlanInput};
use crate::catalog;
use crate::model::{Json, Key, Pointer};
use crate::resource::graph::Desired;
use crate::resource::{Snapshot, Target};
use crate::source::{Diagnostic, Severity};

/// The version of the file; another one is refused.
const VERSION: u32 = 2;

/// The most bytes of a file, written or read: a plan of ten thousand clusters.
const LIMIT: u64 = 1 << 30;

/// What a plan is written as beside its input: the representation for people's tools, made of the
/// plan and of when it was made.
pub type Represent<'a> = &'a dyn Fn(&Plan, &str) -> Json;

/// Where and by whom a plan was made; it has to be applied in the same surroundings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Surroundings {
    /// When, RFC 3339.
    pub made: String,
    /// Whether on the simulator inside the program.
    pub sandbox: bool,
    /// The directory that the environment named; what the manifest names stands in the scopes.
    pub tenant: Option<String>,
    /// The application that the environment named to sign in as. Reviewing as a reader and applying
    /// as a writer is good practice, so another one is no reason to refuse.
    pub principal: Option<String>,
}

/// What a saved plan holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Saved {
    /// The version of the file.
    version: u32,
    /// The version of amlplan that wrote it.
    tool: String,
    /// Where it was made.
    pub surroundings: Surroundings,
    /// What the plan is for.
    pub mode: Mode,
    /// The desired state that was planned. Secrets are fingerprints in it.
    pub desired: Desired,
    /// The live state that it was planned against.
    live: Snapshot,
    /// What the manifest's own checks had to say.
    remarks: Vec<Remark>,
}

/// A finding without its source, which may hold secrets.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Remark {
    code: String,
    severity: Severity,
    message: String,
    help: Option<String>,
}

impl Remark {
    fn of(finding: &Diagnostic) -> Self {
        let place = finding.labels.first().map(|label| {
            let (line, column) = label.place.line_column();
            format!(" ({}:{line}:{column})", label.place.source.path.display())
        });
        Self {
            code: finding.code.to_owned(),
            severity: finding.severity,
            message: finding.message.clone() + &place.unwrap_or_default(),
            help: finding.help.clone(),
        }
    }

    fn finding(&self) -> Diagnostic {
        let code = catalog::explain(&self.code).map_or("plan-file", |page| page.code.as_str());
        let mut finding = Diagnostic::new(code, self.severity, self.message.clone());
        finding.help.clone_from(&self.help);
        finding
    }
}

impl Saved {
    /// What to save of what a plan was made from.
    #[must_use]
    pub fn new(input: &PlanInput<'_>, warnings: &[Diagnostic], surroundings: Surroundings) -> Self {
        let mut desired = input.desired.clone();
        desired.origins.clear();
        for node in desired.nodes.values_mut() {
            let owner = owner(&node.resource.kind().target(), node.resource.kind().key());
            node.resource.secrets_mut().into_iter().for_each(|secret| secret.remember(&owner));
        }
        let mut live = input.live.clone();
        let documents = live.live.values_mut().flat_map(|it| it.0.iter_mut().flatten());
        documents.for_each(without_secrets);
        Self {
            version: VERSION,
            tool: env!("CARGO_PKG_VERSION").to_owned(),
            surroundings,
            mode: input.mode,
            desired,
            live,
            remarks: warnings.iter().map(Remark::of).collect(),
        }
    }

    /// The plan, as it was.
    #[must_use]
    pub fn plan(&self) -> Plan {
        let Self { desired, live, mode, .. } = self;
        let mut plan = super::plan(&PlanInput { desired, live, mode: *mode });
        plan.findings.splice(0..0, self.warnings());
        plan
    }

    /// What the manifest's own checks had to say.
    #[must_use]
    pub fn warnings(&self) -> Vec<Diagnostic> {
        self.remarks.iter().map(Remark::finding).collect()
    }

    /// The file's text.
    fn text(&self, plan: &Plan, represent: Represent<'_>) -> Result<String, serde_json::Error> {
        let mut document = represent(plan, &self.surroundings.made);
        let saved = serde_json::to_value(self)?;
        document["amlplan"]["digest"] = digest(&saved).into();
        document["amlplan"]["saved"] = saved;
        Ok(serde_json::to_string_pretty(&document)? + "\n")
    }
}

/// The addresses whose decision is no longer what was reviewed; empty when nothing is stale.
#[must_use]
pub fn stale(reviewed: &Plan, fresh: &Plan) -> Vec<Key> {
    let decisions = |plan: &Plan| -> std::collections::BTreeSet<(Key, String)> {
        plan.steps.iter().map(|step| (step.key.clone(), step.precondition.clone())).collect()
    };
    let (reviewed, fresh) = (decisions(reviewed), decisions(fresh));
    let mut stale: Vec<Key> =
        reviewed.symmetric_difference(&fresh).map(|(key, _)| key.clone()).collect();
    stale.dedup();
    stale
}

/// The resource that a secret's fingerprint belongs to.
#[must_use]
pub fn owner(target: &Target, key: &Key) -> String {
    match target {
        Target::Arm(id) => id.to_string(),
        Target::Objects(_) => key.to_string(),
    }
}

/// Azure answers protected settings without their values; a server that does not is not believed.
fn without_secrets(document: &mut Json) {
    let protected = document.pointer_mut("/properties/configurationProtectedSettings");
    if let Some(map) = protected.and_then(Json::as_object_mut) {
        map.values_mut().for_each(|value| *value = Json::from(""));
    }
}

fn digest(saved: &Json) -> String {
    Sha256::digest(saved.to_string().as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes a plan.
///
/// # Errors
/// A finding that names the path.
pub fn write(path: &Path, saved: &Saved, represent: Represent<'_>) -> Result<(), Diagnostic> {
    let text = saved.text(&saved.plan(), represent).map_err(|why| {
        Diagnostic::error("plan-file", format!("cannot write `{}`: {why}", path.display()))
    })?;
    if text.len() as u64 > LIMIT {
        let (size, most) = (text.len() >> 20, LIMIT >> 20);
        let message = format!("the plan has {size} MiB, and a saved plan may have {most}");
        return Err(Diagnostic::error("plan-file", message)
            .with_help("plan parts of the fleet: --cluster, --selector or --shard"));
    }
    crate::source::write(path, &text)
}

/// A saved plan that is what it says.
#[derive(Debug)]
pub struct Checked {
    /// What it holds.
    pub saved: Saved,
    /// The plan that it gives.
    pub plan: Plan,
    /// The representation of it.
    pub representation: Json,
}

/// Reads a saved plan and makes sure that all parts of it say the same.
///
/// # Errors
/// A finding that says why the file is not a plan that this version of amlplan wrote.
pub fn read(path: &Path, represent: Represent<'_>) -> Result<Checked, Diagnostic> {
    let source = crate::source::read_up_to(path, LIMIT)?;
    let name = path.display();
    let wrong = |why: String| {
        Diagnostic::error("plan-file", format!("`{name}` is not a saved plan: {why}"))
            .with_help("write one with `amlplan plan --out FILE`")
    };
    let edited = |what: &str| {
        Diagnostic::error("plan-edited", format!("`{name}` is not as amlplan wrote it: {what}"))
            .with_help("plan again; a plan cannot be edited")
    };
    let document: Json = serde_json::from_str(&source.text).map_err(|it| wrong(it.to_string()))?;
    let own = |part: &str| document.get("amlplan").and_then(|value| value.get(part));
    let stored = own("saved").ok_or_else(|| wrong("it has no part `amlplan.saved`".into()))?;
    let (version, tool) = (stored.get("version"), stored.get("tool").and_then(Json::as_str));
    if version != Some(&VERSION.into()) || tool != Some(env!("CARGO_PKG_VERSION")) {
        let (tool, this) = (tool.unwrap_or("another version"), env!("CARGO_PKG_VERSION"));
        let message = format!("`{name}` was written by amlplan {tool}, and this is {this}");
        return Err(Diagnostic::error("plan-version", message)
            .with_help("plan and apply with the same version"));
    }
    if own("digest") != Some(&digest(stored).into()) {
        return Err(edited("`amlplan.saved` does not match its digest"));
    }
    let saved: Saved = serde_json::from_value(stored.clone())
        .map_err(|error| edited(&format!("`amlplan.saved`: {error}")))?;
    let plan = saved.plan();
    let text = saved.text(&plan, represent).map_err(|error| wrong(error.to_string()))?;
    if text != source.text {
        let due: Json = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        return Err(edited(&match difference(&due, &document, &Pointer::root()) {
            Some(at) => format!("{at} does not say what the plan does"),
            None => "it was formatted anew, or has a key twice".to_owned(),
        }));
    }
    let mut representation = document;
    if let Some(own) = representation["amlplan"].as_object_mut() {
        own.remove("saved");
    }
    Ok(Checked { saved, plan, representation })
}

/// The first place where two documents differ.
fn difference(a: &Json, b: &Json, at: &Pointer) -> Option<Pointer> {
    match (a, b) {
        (Json::Object(one), Json::Object(two)) => {
            let keys = one.keys().chain(two.keys().filter(|text| !one.contains_key(*text)));
            keys.filter(|key| one.get(*key) != two.get(*key)).find_map(|key| {
                match (one.get(key), two.get(key)) {
                    (Some(one), Some(two)) => difference(one, two, &at.join(key)),
                    _ => Some(at.join(key)),
                }
            })
        }
        (Json::Array(one), Json::Array(two)) if one.len() == two.len() => {
            let mut pairs = one.iter().zip(two).enumerate();
            pairs.find_map(|(index, (one, two))| difference(one, two, &at.join(index.to_string())))
        }
        _ => (a != b).then(|| at.clone()),
    }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
