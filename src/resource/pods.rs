//! What keeps the pods of a namespace from being ready, in words: pods and events as the cluster
//! tells them (Kubernetes docs: pod lifecycle).

use crate::model::{Json, items, text};

/// What keeps a pod from being ready: its name, how many containers are, and why; `None` for one
/// that is, or that has done its work.
#[must_use]
pub fn trouble(pod: &Json) -> Option<String> {
    let phase = text(pod, "/status/phase");
    let evicted = phase == "Failed" && text(pod, "/status/reason") == "Evicted";
    if phase == "Succeeded" || evicted || pod.pointer("/metadata/deletionTimestamp").is_some() {
        return None;
    }
    let containers: Vec<&Json> = items(pod, "/status/containerStatuses").collect();
    let is_ready = |value: &&Json| value.get("ready").and_then(Json::as_bool) == Some(true);
    let ready = containers.iter().filter(|value| is_ready(value)).count();
    if phase == "Running" && ready == containers.len() && ready > 0 {
        return None;
    }
    let start = items(pod, "/status/initContainerStatuses").chain(containers.iter().copied());
    let mut said: Vec<&str> = start
        .map(|value| text(value, "/state/waiting/reason"))
        .chain([text(pod, "/status/reason")])
        .filter(|it| !it.is_empty() && *it != "ContainerCreating" && *it != "PodInitializing")
        .collect();
    let scheduled = items(pod, "/status/conditions").find(|it| text(it, "/type") == "PodScheduled");
    said.extend(scheduled.map(|value| text(value, "/message")));
    let why = said.into_iter().find(|it| !it.is_empty()).unwrap_or(phase);
    Some(format!("{} {ready}/{} ({why})", text(pod, "/metadata/name"), containers.len()))
}

/// The latest warnings among events, the newest first, at most `most`, each text once.
#[must_use]
pub fn warnings(events: &[Json], most: usize) -> Vec<String> {
    let time = |value: &Json| {
        let at = ["/lastTimestamp", "/eventTime", "/metadata/creationTimestamp"];
        at.iter().map(|at| text(value, at)).find(|it| !it.is_empty()).unwrap_or_default().to_owned()
    };
    let mut bad: Vec<&Json> = events.iter().filter(|it| text(it, "/type") == "Warning").collect();
    bad.sort_by_key(|value| std::cmp::Reverse(time(value)));
    let mut said: Vec<String> = Vec::new();
    for value in bad {
        let line = format!(
            "{} {}: {}",
            text(value, "/reason"),
            text(value, "/involvedObject/name"),
            text(value, "/message")
        );
        if said.len() < most && !said.contains(&line) {
            said.push(line);
        }
    }
    said
}

/// What an installation waits for: the first pod that is not ready and how many more, or the last
/// warning where there are no pods yet.
#[must_use]
pub fn waits_for(pods: &[Json], events: &[Json]) -> Option<String> {
    let bad: Vec<String> = pods.iter().filter_map(trouble).collect();
    match bad.split_first() {
        Some((first, rest)) => {
            let more =
                if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
            Some(format!("pod {first}{more}"))
        }
        None => warnings(events, 1).pop(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_pod_that_is_not_ready_is_named_and_else_the_last_warning() {
        let pod = json!({"metadata": {"name": "gateway-1"}, "status": {"phase": "Pending", "containerStatuses": [
            {"ready": false, "state": {"waiting": {"reason": "ImagePullBackOff"}}}]}});
        let unscheduled = json!({"metadata": {"name": "fe-1"}, "status": {"phase": "Pending", "conditions": [
            {"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}]}});
        let event = |at: &str, kind: &str| {
            json!({"type": kind, "reason": "FailedCreate", "message": "forbidden", "lastTimestamp": at,
                "involvedObject": {"name": "gateway-5d8f"}})
        };
        let events =
            [event("2026-01-01T00:00:00Z", "Warning"), event("2026-01-02T00:00:00Z", "Normal")];
        let waits = waits_for(&[pod, unscheduled], &events);
        assert_eq!(waits.as_deref(), Some("pod gateway-1 0/1 (ImagePullBackOff) and 1 more"));
        assert_eq!(
            waits_for(&[], &events).as_deref(),
            Some("FailedCreate gateway-5d8f: forbidden")
        );
        assert_eq!(waits_for(&[], &[]), None);
    }
}
