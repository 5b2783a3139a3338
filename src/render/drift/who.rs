//! Who changed a resource last, and when, where Azure or Kubernetes says so.

use serde_json::json;

use crate::health::Finding;
use crate::model::Json;

/// What such a line of evidence begins with; no two clusters have the same.
pub(in crate::render) const LAST_CHANGED: &str = "last changed";

/// Adds it to a finding: `systemData` of ARM (Azure REST: common types), `managedFields` of
/// Kubernetes, where the manager that owns the field goes before the one that wrote last.
pub(super) fn changed(finding: &mut Finding, live: Option<&Json>) {
    let Some(live) = live else { return };
    let text = |at: &str| live.pointer(at).and_then(Json::as_str).unwrap_or_default();
    let (by, at) = match (text("/systemData/lastModifiedBy"), text("/systemData/lastModifiedAt")) {
        ("", "") => match manager(finding, live) {
            Some(pair) => pair,
            None => return,
        },
        (by, at) => (by.to_owned(), at.to_owned()),
    };
    let when = if at.is_empty() { String::new() } else { format!(" at {at}") };
    let who = if by.is_empty() { String::new() } else { format!(" by {by}") };
    finding.evidence.push(format!("{LAST_CHANGED}{who}{when}"));
    finding.members.extend([("last_modified_by", json!(by)), ("last_modified_at", json!(at))]);
}

fn manager(finding: &Finding, live: &Json) -> Option<(String, String)> {
    let entries = live.pointer("/metadata/managedFields")?.as_array()?;
    let text = |value: &Json, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let others = entries.iter().filter(|value| value["manager"].as_str() != Some("amlplan"));
    let owns = |value: &Json| {
        let mut fields = Some(&value["fieldsV1"]);
        for token in finding.path.tokens() {
            fields = fields.and_then(|value| value.get(format!("f:{token}")));
        }
        fields.is_some() && !finding.path.tokens().is_empty()
    };
    let last = others.max_by_key(|value| (owns(value), text(value, "time")))?;
    Some((text(last, "manager"), text(last, "time")))
}
