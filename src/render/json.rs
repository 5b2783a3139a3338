//! Plans and findings for machines, in the representation of Terraform's JSON output (Terraform
//! docs: JSON Output Format); what is ours stands under `amlplan`.

use serde_json::json;

use super::values;
use crate::model::{Api, Json, Key, KindName, Pointer, Value};
use crate::plan::{Action, Plan, Reason, Step};
use crate::resource::about;
use crate::source::{Diagnostic, Label, Severity};

pub use super::stream::{diagnostic_line, stage, summary};

/// A release of Terraform that writes the representation which is followed here. No Terraform takes part, but readers
/// such as checkov take a document for a plan by this field.
const TERRAFORM_VERSION: &str = "1.9.0";

/// The plan as a document; `timestamp` is RFC 3339.
#[must_use]
pub fn plan(plan: &Plan, timestamp: &str) -> Json {
    let gate = |it: crate::plan::Gate| json!({"address": it.key, "message": it.message});
    let mut whole = json!({
        "format_version": "1.2",
        "terraform_version": TERRAFORM_VERSION,
        "timestamp": timestamp,
        "applyable": !plan.is_empty() && !plan.errored(),
        "complete": plan.complete(),
        "errored": plan.errored(),
        "planned_values": {"root_module": {"resources":
            plan.steps.iter().filter_map(planned).collect::<Vec<_>>()}},
        "resource_changes": plan.steps.iter().map(resource_change).collect::<Vec<_>>(),
        "resource_drift": plan.steps.iter().filter_map(resource_drift).collect::<Vec<_>>(),
        "checks": checks(&plan.told().collect::<Vec<_>>()),
        "amlplan": {
            "mode": plan.mode,
            "diagnostics": plan.told().map(diagnostic).collect::<Vec<_>>(),
            "gates": plan.gates(false).into_iter().map(gate).collect::<Vec<_>>(),
            "skipped": plan.skipped,
            "unread": unread(plan),
        },
    });
    if !plan.rollouts.is_empty() {
        whole["amlplan"]["rollouts"] = json!(plan.rollouts);
    }
    whole
}

/// Every resource that is not planned because it could not be read, with the reason.
pub(super) fn unread(plan: &Plan) -> Vec<Json> {
    let each = |unread: &crate::plan::Unread| -> Vec<Json> {
        unread.keys.iter().map(|key| json!({"address": key, "reason": unread.reason})).collect()
    };
    plan.unread.iter().flat_map(each).collect()
}

const fn provider(kind: KindName) -> &'static str {
    match about(kind).api {
        Api::Kubernetes => "amlplan/kubernetes",
        Api::Azure => "amlplan/azure",
    }
}

fn head(key: &Key) -> Json {
    let name = if key.name.is_empty() { key.kind.as_str() } else { &key.name };
    json!({
        "address": key,
        "mode": if key.kind.read_only() { "data" } else { "managed" },
        "type": key.kind,
        "name": name,
        "provider_name": provider(key.kind),
    })
}

fn resource_change(step: &Step) -> Json {
    let (before, after) = (values::before(step), values::after(step));
    let mut whole = head(&step.key);
    whole["change"] = change(step.action.words(), before.as_ref(), after.as_ref());
    let forced: Vec<&[String]> =
        values::forced_paths(step).into_iter().map(Pointer::tokens).collect();
    if !forced.is_empty() {
        whole["change"]["replace_paths"] = json!(forced);
    }
    if let Some(reason) = action_reason(step) {
        whole["action_reason"] = json!(reason);
    }
    let derived = |(path, reason): &(Pointer, String)| json!({"path": path, "reason": reason});
    let changed: Vec<&Pointer> = step.changes.iter().map(|change| &change.path).collect();
    whole["amlplan"] = json!({
        "changed_paths": changed,
        "depends_on": step.depends_on,
        "derived": step.derived.iter().map(derived).collect::<Vec<_>>(),
        "impact": step.impact,
        "note": step.note.as_ref().map(ToString::to_string),
        "precondition": step.precondition,
        "reasons": step.reasons.iter().map(reason).collect::<Vec<_>>(),
        "settling": step.settling,
    });
    whole
}

/// A resource as it will be, where Terraform's readers look for it; none for what is removed.
fn planned(step: &Step) -> Option<Json> {
    let after = values::after(step)?;
    let mut whole = head(&step.key);
    whole["values"] = values::shown(&after);
    whole["sensitive_values"] = values::marks(&after, &values::is_secret);
    Some(whole)
}

fn change(actions: &[&str], before: Option<&Value>, after: Option<&Value>) -> Json {
    let document = |value: Option<&Value>| value.map_or(Json::Null, values::shown);
    let marks = |value: Option<&Value>, has: &dyn Fn(&Value) -> bool| {
        value.map_or(Json::Bool(false), |it| values::marks(it, has))
    };
    json!({
        "actions": actions,
        "before": document(before),
        "after": document(after),
        "after_unknown": marks(after, &|value| matches!(value, Value::Later(_))),
        "before_sensitive": marks(before, &values::is_secret),
        "after_sensitive": marks(after, &values::is_secret),
    })
}

/// What somebody else changed: what is expected before, what is live after, as in Terraform.
fn resource_drift(step: &Step) -> Option<Json> {
    let differs = match step.action {
        Action::Update | Action::Replace => !step.changes.is_empty(),
        Action::NoOp | Action::Read | Action::Create | Action::Delete => false,
    };
    if !differs {
        return None;
    }
    let mut whole = head(&step.key);
    whole["change"] = change(&["update"], step.after.as_ref(), values::before(step).as_ref());
    let changed: Vec<&Pointer> = step.changes.iter().map(|change| &change.path).collect();
    whole["amlplan"] = json!({ "changed_paths": changed });
    Some(whole)
}

/// Terraform's word for why, where it has one.
fn action_reason(step: &Step) -> Option<&'static str> {
    if step.action == Action::Delete && step.orphan_of().is_some() {
        return Some("delete_because_no_resource_config");
    }
    if step.action != Action::Replace {
        return None;
    }
    step.reasons.iter().find_map(|reason| match reason {
        Reason::CannotUpdate(_) => Some("replace_because_cannot_update"),
        Reason::Unhealthy { .. } => Some("replace_because_tainted"),
        Reason::DependencyReplaced(_) => Some("replace_by_triggers"),
        Reason::Absent
        | Reason::FieldsDiffer
        | Reason::FeatureRegistered(_)
        | Reason::CompanionChanged(_)
        | Reason::Destroy
        | Reason::NotDeclared(_)
        | Reason::Moved(_)
        | Reason::Adopted => None,
    })
}

fn reason(reason: &Reason) -> Json {
    let code = match reason {
        Reason::Absent => "absent",
        Reason::FieldsDiffer => "fields-differ",
        Reason::CannotUpdate(_) => "cannot-update",
        Reason::DependencyReplaced(_) => "dependency-replaced",
        Reason::Unhealthy { .. } => "unhealthy",
        Reason::FeatureRegistered(_) => "feature-registered",
        Reason::CompanionChanged(_) => "companion-changed",
        Reason::Destroy => "destroy",
        Reason::NotDeclared(_) => "no-longer-declared",
        Reason::Moved(_) => "moved",
        Reason::Adopted => "adopted",
    };
    json!({"code": code, "message": values::reason(reason)})
}

/// Findings as Terraform's checks, one a code.
fn checks(findings: &[&Diagnostic]) -> Vec<Json> {
    let mut codes: Vec<&str> = findings.iter().map(|finding| finding.code).collect();
    codes.sort_unstable();
    codes.dedup();
    let check = |code: &str| {
        let own = || findings.iter().filter(|finding| finding.code == code);
        let problems: Vec<Json> = own().map(|it| json!({ "message": it.message })).collect();
        let status = if own().all(|it| it.severity == Severity::Advice) { "pass" } else { "fail" };
        let address = json!({"kind": "check", "name": code, "to_display": format!("check.{code}")});
        json!({"address": address, "status": status, "instances": [
            {"address": {"to_display": format!("check.{code}")}, "status": status, "problems": problems},
        ]})
    };
    codes.into_iter().map(check).collect()
}

/// A finding in Terraform's shape: `severity`, `summary`, `detail`, `range`, `snippet`. Terraform
/// has no advice, so that is a warning there; our own word and the code stand under `amlplan`.
#[must_use]
pub fn diagnostic(finding: &Diagnostic) -> Json {
    let Diagnostic { code, severity, message, help, labels } = finding;
    let mut whole = json!({
        "severity": match severity {
            Severity::Error => "error",
            Severity::Warning | Severity::Advice => "warning",
        },
        "summary": message,
        "detail": help.as_deref().unwrap_or_default(),
        "amlplan": {"code": code, "severity": severity},
    });
    if let Some(label) = labels.first() {
        whole["range"] = range(label);
        whole["snippet"] = snippet(label);
    }
    whole
}

/// Line and column count from one, columns in characters, as in Terraform; bytes from zero.
fn range(label: &Label) -> Json {
    let place = &label.place;
    let position = |byte: usize| {
        let at = crate::source::Place { source: place.source.clone(), span: byte..byte };
        let (line, column) = at.line_column();
        json!({"line": line, "column": column, "byte": byte})
    };
    json!({
        "filename": place.source.path,
        "start": position(place.span.start),
        "end": position(place.span.end),
    })
}

fn snippet(label: &Label) -> Json {
    let place = &label.place;
    let text = &place.source.text;
    let start = place.span.start.min(text.len());
    let from = text.get(..start).and_then(|it| it.rfind('\n')).map_or(0, |number| number + 1);
    let to = text.get(start..).and_then(|it| it.find('\n')).map_or(text.len(), |it| start + it);
    let code = text.get(from..to).unwrap_or_default().trim_end_matches('\r');
    json!({
        "context": Json::Null,
        "code": code,
        "start_line": place.line_column().0,
        "highlight_start_offset": start - from,
        "highlight_end_offset": place.span.end.clamp(start, to) - from,
        "values": [],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;

    const NOW: &str = "2026-01-02T03:04:05Z";

    fn drop_equal(before: &Json, after: &Json, at: &Pointer, found: &mut Vec<Pointer>) {
        match (before, after) {
            (Json::Object(a), Json::Object(b)) => {
                let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
                for key in keys {
                    let side = |map: &serde_json::Map<String, Json>| {
                        map.get(key).cloned().unwrap_or_default()
                    };
                    drop_equal(&side(a), &side(b), &at.join(key), found);
                }
            }
            (a, b) if a != b => found.push(at.clone()),
            _ => {}
        }
    }

    #[test]
    fn a_plan_is_in_the_representation_of_terraform() {
        insta::assert_json_snapshot!(plan(&samples::plan(), NOW));
    }

    #[test]
    fn before_and_after_differ_in_the_listed_paths_and_no_others() {
        let plan = samples::plan();
        for step in plan.steps.iter().filter(|it| !it.changes.is_empty()) {
            let whole = resource_change(step);
            let mut found = Vec::new();
            drop_equal(
                &whole["change"]["before"],
                &whole["change"]["after"],
                &Pointer::root(),
                &mut found,
            );
            let listed = step.changes.iter().filter(|change| !values::is_secret_change(change));
            let listed: std::collections::BTreeSet<Pointer> =
                listed.map(|change| change.path.clone()).collect();
            assert_eq!(
                found.into_iter().collect::<std::collections::BTreeSet<_>>(),
                listed,
                "{}",
                step.key
            );
        }
    }
}
