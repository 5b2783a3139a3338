//! What `amlplan drift` found, as the report that every format shows: a plan read as differences,
//! each with its class, and what `verify` says about health.

mod accept;
mod who;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

pub(super) use accept::since_last_time;
pub use accept::{accept, since};
pub(super) use who::LAST_CHANGED;

use super::style::count;
use super::values;
use crate::health::{Finding, Report, Status};
use crate::language::{DriftClass, DriftIgnore};
use crate::model::{Json, Key, KindName, Pointer, Value};
use crate::plan::{Action, Note, Plan, Reason, Step};
use crate::resource::graph::Accepted;
use crate::resource::{FINGERPRINT_PREFIX, FieldChange, Impact, Snapshot, about};
use crate::source::Place;

/// Finds the place in a manifest where a field of a resource was written.
pub type Places<'a> = &'a dyn Fn(&Key, &Pointer) -> Option<Place>;

/// How bad a class is when nothing makes it worse.
const fn weight(class: DriftClass) -> Status {
    match class {
        DriftClass::Setting | DriftClass::Version | DriftClass::Orphan | DriftClass::Foreign => {
            Status::Warning
        }
        DriftClass::Secret
        | DriftClass::Health
        | DriftClass::Grant
        | DriftClass::Role
        | DriftClass::Registration
        | DriftClass::Companion => Status::Fail,
    }
}

/// The class of one field.
fn class_of_field(step: &Step, change: &FieldChange) -> DriftClass {
    let below = change.path.tokens().get(1).map(String::as_str);
    let mark = |text: &String| text.starts_with(FINGERPRINT_PREFIX);
    match about(step.key.kind).class {
        _ if values::is_secret_change(change) || change.path.tokens().iter().any(mark) => {
            DriftClass::Secret
        }
        DriftClass::Setting
            if step.key.kind == KindName::Extension
                && matches!(
                    below,
                    Some("version" | "autoUpgradeMinorVersion" | "releaseTrain" | "currentVersion")
                ) =>
        {
            DriftClass::Version
        }
        class => class,
    }
}

fn finding(step: &Step, class: DriftClass, path: Pointer, message: String) -> Finding {
    let mild = step.impact == Impact::Safe || class == DriftClass::Orphan;
    let status = if mild { weight(class) } else { Status::Fail };
    Finding {
        class: Some(class.as_str()),
        path,
        help: Some(help(class).to_owned()),
        members: BTreeMap::from([("action", json!(step.action)), ("impact", json!(step.impact))]),
        ..Finding::new(class.code(), status, step.key.clone(), message)
    }
}

const fn help(class: DriftClass) -> &'static str {
    match class {
        DriftClass::Orphan => "amlplan plan shows what apply does about it",
        DriftClass::Health => "amlplan verify tells more; amlplan apply makes what is missing",
        _ => "amlplan apply undoes it; or change the manifest, or accept it under drift.ignore",
    }
}

/// A side of a difference in words.
fn side(value: &Json) -> String {
    match value {
        Json::Null => "not set".to_owned(),
        // Words for what cannot be shown stand without quotes.
        Json::String(text) if text.starts_with("(sensitive") || text.starts_with("(known") => {
            text.clone()
        }
        other => values::inline(&Value::from(other.clone())),
    }
}

/// The sides of a changed field; what is secret or known later is said in words.
fn sides(change: &FieldChange) -> (Json, Json) {
    let words = |value: &Value| match value {
        Value::Secret(_) | Value::Later(_) => Json::from(values::inline(value)),
        plain => values::shown(plain),
    };
    let live = match &change.before {
        Some(_) if values::is_secret_change(change) => Json::from(values::SENSITIVE),
        other => other.clone().unwrap_or_default(),
    };
    // A setting that is not declared is sent blank, which is not what somebody declared.
    let declared = change.after.as_ref().filter(|value| **value != Value::from(""));
    (declared.map_or(Json::Null, words), live)
}

/// For a list with other items than declared: what it lacks and what it has too many.
fn items(expected: &Json, live: &Json) -> Option<String> {
    let list = |value: &Json| Some(value.as_array()?.iter().cloned().map(Value::from).collect());
    let (live, expected): (Vec<Value>, Vec<Value>) = (list(live)?, list(expected)?);
    let (extra, missing) = values::list_difference(&live, &expected);
    let words = |values: &[Value]| values.iter().map(values::inline).collect::<Vec<_>>().join(", ");
    let mut parts = Vec::new();
    if !missing.is_empty() {
        parts.push(format!("lacks {}", words(&missing)));
    }
    if !extra.is_empty() {
        parts.push(format!("has {}, not declared", words(&extra)));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn field(step: &Step, change: &FieldChange) -> Finding {
    let (expected, live) = sides(change);
    let class = class_of_field(step, change);
    let mut found = finding(step, class, change.path.clone(), String::new());
    found.title = change.path.to_string();
    if values::forced_paths(step).contains(&&change.path) {
        found.status = Status::Fail;
    }
    match items(&expected, &live) {
        Some(difference) => {
            // An upgrade of OpenShift puts its own list of users in place.
            let all = expected.as_array().into_iter().flatten();
            let kept = |value: &Json| live.as_array().is_some_and(|live| live.contains(value));
            let reset = class == DriftClass::Grant && !all.clone().any(kept);
            let why = if reset { ": all of ours are gone, as after an upgrade" } else { "" };
            found.message = format!("{} {difference}{why}", change.path);
        }
        None => found.sides = Some((side(&expected), side(&live))),
    }
    found.members.extend([("expected", expected), ("live", live)]);
    found
}

/// A finding about the whole resource.
fn whole(step: &Step, class: DriftClass, message: String) -> Finding {
    let document = |value: Option<Value>| value.as_ref().map_or(Json::Null, values::shown);
    let mut found = finding(step, class, Pointer::root(), message);
    let expected = match step.action {
        Action::Delete | Action::NoOp | Action::Read => None,
        _ => values::after(step),
    };
    found
        .members
        .extend([("expected", document(expected)), ("live", document(values::before(step)))]);
    found
}

fn findings_of(step: &Step, made: &BTreeSet<&Key>) -> Vec<Finding> {
    let missing = match about(step.key.kind).class {
        DriftClass::Setting => DriftClass::Health,
        class => class,
    };
    if step.orphan_of().is_some() {
        let reasons: Vec<String> = step.reasons.iter().map(values::reason).collect();
        return vec![whole(step, DriftClass::Orphan, reasons.join("; "))];
    }
    match step.action {
        Action::NoOp | Action::Read => Vec::new(),
        Action::Create if missing == DriftClass::Grant => {
            let message =
                "does not exist: all of ours are gone, as after an upgrade, or never were";
            vec![whole(step, missing, message.to_owned())]
        }
        Action::Create => vec![whole(step, missing, "does not exist".to_owned())],
        Action::Delete => {
            vec![whole(step, about(step.key.kind).class, "exists and should not".to_owned())]
        }
        Action::Update | Action::Replace => {
            // What only follows from another resource's being made anew is no drift of its own.
            let follows = |change: &FieldChange| match &change.after {
                Some(Value::Later(later)) => made.contains(&later.from),
                _ => false,
            };
            let mut found: Vec<Finding> =
                step.changes.iter().filter(|it| !follows(it)).map(|it| field(step, it)).collect();
            let ill = step.reasons.iter().find(|it| matches!(it, Reason::Unhealthy { .. }));
            if let (Some(reason), true) = (ill, found.is_empty()) {
                found.push(whole(step, missing, values::reason(reason)));
            }
            found
        }
    }
}

/// A pinned extension that runs another version. `/properties/version` itself is compared by the
/// plan; Azure reports beside it what is installed.
fn outside_pin(step: &Step, live: &Snapshot) -> Option<Finding> {
    let pin = step.after.as_ref()?.get(&Pointer::parse("/properties/version"))?;
    let Value::String(pin) = pin else { return None };
    let current = live.text(&step.key, "/properties/currentVersion")?;
    if current.is_empty() || pin.as_str() == current || !step.changes.is_empty() {
        return None;
    }
    let path = Pointer::parse("/properties/currentVersion");
    let mut found = finding(step, DriftClass::Version, path, String::new());
    found.title = found.path.to_string();
    found.sides = Some((side(&json!(pin)), side(&json!(current))));
    found.members.extend([("expected", json!(pin)), ("live", json!(current))]);
    Some(found)
}

/// How large the cluster is at the moment is no drift: nodes come and go.
const SIZE: [&str; 2] = ["instance-type-too-large", "node-selector-matches-nothing"];

/// What nobody of the run declares, as findings.
#[must_use]
pub fn foreign(found: &BTreeMap<Key, String>) -> Vec<Finding> {
    let class = DriftClass::Foreign;
    let finding = |(key, message): (&Key, &String)| Finding {
        class: Some(class.as_str()),
        help: Some("declare it, remove it, or accept it under drift.ignore".to_owned()),
        ..Finding::new(class.code(), weight(class), key.clone(), message.clone())
    };
    found.iter().map(finding).collect()
}

/// The report: everything that differs, and the bad findings of `health` with their own codes.
#[must_use]
pub fn report(plan: &Plan, live: &Snapshot, places: Places<'_>, health: Vec<Finding>) -> Report {
    let made = plan.changing().filter(|step| step.action.makes()).map(|step| &step.key).collect();
    let mut findings: Vec<Finding> = Vec::new();
    for step in plan.steps.iter().filter(|it| !it.key.kind.read_only()) {
        let mut found = findings_of(step, &made);
        if step.key.kind == KindName::Extension {
            found.extend(outside_pin(step, live));
        }
        for finding in found.iter_mut().filter(|_| step.action != Action::Create) {
            who::changed(finding, live.document(&step.key));
        }
        if let Some(Note::TakesOver(others)) = &step.note {
            let others = format!("also written by {}", others.join(", "));
            found.iter_mut().for_each(|finding| finding.evidence.push(others.clone()));
        }
        findings.extend(found);
    }
    let drifted: BTreeSet<Key> = findings.iter().map(|finding| finding.address.clone()).collect();
    let gone: BTreeSet<Key> = findings
        .iter()
        .filter(|finding| finding.path == Pointer::root())
        .map(|finding| finding.address.clone())
        .collect();
    // What the plan says already is not said twice.
    let said = |finding: &Finding| {
        gone.contains(&finding.address)
            || finding.code == "extension-wrong-type"
            || SIZE.contains(&finding.code)
            || (finding.address.kind != KindName::Extension && drifted.contains(&finding.address))
    };
    let unread = unread_scopes(plan);
    for mut finding in health {
        let unasked = finding.unseen.is_some() && unread.contains(finding.address.scope.as_str());
        if finding.counts() && !said(&finding) && !unasked {
            let health = finding.unseen.is_none().then(|| DriftClass::Health.as_str());
            finding.class = finding.class.or(health);
            if finding.detail.is_empty() {
                finding.detail.clone_from(&finding.title);
            }
            // An upgrade by Azure or a pod that just moved is nobody's drift.
            if finding.soon {
                finding.status = Status::Info;
            }
            findings.push(finding);
        }
    }
    placed(&mut findings, plan, places);
    let ill: BTreeSet<Key> = findings.iter().map(|finding| finding.address.clone()).collect();
    let fine = plan.steps.iter().filter(|it| !it.key.kind.read_only() && !ill.contains(&it.key));
    findings.extend(fine.map(|step| Finding {
        title: "as declared".to_owned(),
        ..Finding::new(
            about(step.key.kind).class.code(),
            Status::Pass,
            step.key.clone(),
            String::new(),
        )
    }));
    let mut report = Report {
        command: "drift",
        findings,
        diagnostics: plan.told().cloned().collect(),
        skipped: plan.skipped.clone(),
        unread: plan.unread.iter().flat_map(|unread| unread.keys.iter().cloned()).collect(),
        ..Report::default()
    };
    report.members.insert("versions", versions(plan, live));
    report.members.insert("unread", super::json::unread(plan).into());
    summed(&mut report, plan);
    report
}

/// Gives every finding the place that declares what it is about.
fn placed(findings: &mut [Finding], plan: &Plan, places: Places<'_>) {
    for finding in findings.iter_mut() {
        finding.place =
            finding.place.take().or_else(|| place(plan, places, &finding.address, &finding.path));
    }
    // A finding without a place is shown nowhere in GitHub, so it borrows one.
    let fallback = findings.iter().find_map(|it| it.place.clone());
    for finding in findings.iter_mut() {
        finding.place = finding.place.take().or_else(|| fallback.clone());
    }
}

/// What an entry of `drift.ignore` says, for the document.
fn finding_members(entry: &Accepted) -> BTreeMap<&'static str, Json> {
    let DriftIgnore { reason, owner, until, .. } = &entry.entry;
    let said = json!({"reason": reason, "owner": owner, "until": until});
    BTreeMap::from([("accepted", said)])
}

fn unread_scopes(plan: &Plan) -> BTreeSet<&str> {
    plan.unread.iter().flat_map(|unread| &unread.keys).map(|it| it.scope.as_str()).collect()
}

/// What every extension runs, so that the next night sees an upgrade.
fn versions(plan: &Plan, live: &Snapshot) -> Json {
    let extensions = plan.steps.iter().filter(|step| step.key.kind == KindName::Extension);
    let version = |step: &Step| {
        let current = live.text(&step.key, "/properties/currentVersion")?;
        Some((step.key.to_string(), Json::from(current)))
    };
    extensions.filter_map(version).collect::<serde_json::Map<_, _>>().into()
}

/// What a report of drift counts beside its findings.
#[derive(Debug, Default)]
pub(super) struct Sums {
    /// How many resources were compared.
    pub(super) looked_at: usize,
    /// Whether the plan had errors.
    pub(super) errored: bool,
}

/// Counts the findings that are left, for the verdict and the document.
pub fn summed(report: &mut Report, plan: &Plan) {
    let compared = plan.steps.iter().filter(|step| !step.key.kind.read_only()).count();
    // What one service did not tell, the other may have something to say about.
    let half = report.findings.iter().map(|it| &it.address).filter(|it| report.unread.contains(it));
    let sums =
        Sums { looked_at: compared + half.collect::<BTreeSet<_>>().len(), errored: plan.errored() };
    counted(report, &sums);
}

/// The same for any sums.
pub(super) fn counted(report: &mut Report, sums: &Sums) {
    let Sums { looked_at, errored } = sums;
    let bad: Vec<&Finding> =
        report.bad().into_iter().filter(|finding| finding.status != Status::Unknown).collect();
    let drifted = bad.iter().map(|finding| &finding.address).collect::<BTreeSet<_>>().len();
    let found = bad.len();
    let missing = super::human::missing(&report.unread).map(|text| format!(" {text}."));
    let missing = missing.unwrap_or_default();
    let accepted = report
        .findings
        .iter()
        .filter(|finding| !finding.counts() && finding.members.contains_key("accepted"))
        .count();
    let accepted = match accepted {
        0 => String::new(),
        number => format!(" {number} accepted."),
    };
    let read = count(*looked_at, "resource");
    report.verdict = if found > 0 {
        format!("Drift: {drifted} of {read}, {}.{accepted}{missing}", count(found, "finding"))
    } else if !missing.is_empty() {
        format!("Drift is not known:{missing} {read} as declared.")
    } else if *errored || !report.complete() {
        "Drift is not known: the comparison had errors.".to_owned()
    } else if !accepted.is_empty() {
        format!("No drift. {read} compared.{accepted}")
    } else {
        format!("No drift. {read} as declared.")
    };
    report.members.extend([
        ("drift", json!(found > 0)),
        ("resources", json!(looked_at)),
        ("drifted", json!(drifted)),
        ("errored", json!(errored)),
    ]);
}

/// The place of a field, or of what is around it, or of its cluster.
fn place(plan: &Plan, places: Places<'_>, key: &Key, path: &Pointer) -> Option<Place> {
    let mut at = path.clone();
    loop {
        if let Some(place) = places(key, &at) {
            return Some(place);
        }
        if at == Pointer::root() {
            break;
        }
        at = at.parent();
    }
    let neighbours = plan.steps.iter().filter(|step| step.key.scope == key.scope);
    neighbours.filter_map(|step| places(&step.key, &Pointer::root())).next()
}

#[cfg(test)]
mod tests;
