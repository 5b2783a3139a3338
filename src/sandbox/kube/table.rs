//! Server-side printing: `Table` and `PartialObjectMetadata` representations (Kubernetes API
//! concepts, "Receiving resources as Tables").

use serde_json::{Value as Json, json};

use super::request::{ApiCall, ApiRequest, Representation};
use super::types::ResourceType;

/// Reads the Accept header; the first representation listed wins.
pub(crate) fn view(request: &ApiRequest<'_>) -> Representation {
    let accept = request.header(http::header::ACCEPT).replace(' ', "");
    for media in accept.split(',') {
        if media.contains("as=Table") {
            return Representation::Table {
                objects: request.value("includeObject") == Some("Object"),
                now: request.now.to_owned(),
            };
        }
        if media.contains("as=PartialObjectMetadata") {
            return Representation::Metadata;
        }
        if media == "application/json" {
            break;
        }
    }
    Representation::Whole
}

/// The object or list in the representation the request asked for.
pub(crate) fn negotiate(call: &ApiCall<'_>, object: Json) -> Json {
    show(&call.kind, &view(call.request), object)
}

/// The object or list in a representation.
pub(crate) fn show(kind: &ResourceType, view: &Representation, object: Json) -> Json {
    match view {
        Representation::Whole => object,
        Representation::Metadata => metadata(&object),
        Representation::Table { objects, now } => table(kind, &object, *objects, now),
    }
}

fn metadata(object: &Json) -> Json {
    let group = "meta.k8s.io/v1";
    match object["items"].as_array() {
        Some(items) => json!({
            "kind": "PartialObjectMetadataList",
            "apiVersion": group,
            "metadata": object["metadata"],
            "items": items.iter().map(metadata).collect::<Vec<_>>(),
        }),
        None => json!({
            "kind": "PartialObjectMetadata",
            "apiVersion": group,
            "metadata": object["metadata"],
        }),
    }
}

fn table(kind: &ResourceType, object: &Json, objects: bool, now: &str) -> Json {
    let columns: Vec<[&str; 3]> = kind.columns.iter().map(|column| column_parts(column)).collect();
    let has_age = columns
        .iter()
        .any(|column| column[2] == "@age" || column[2] == ".metadata.creationTimestamp");
    let mut definitions = vec![definition("Name", "string", "name")];
    definitions.extend(columns.iter().map(|[name, kind, _]| definition(name, kind, "")));
    if !has_age {
        definitions.push(definition("Age", "string", ""));
    }
    let row = |object: &Json| {
        let mut cells = vec![object["metadata"]["name"].clone()];
        cells.extend(columns.iter().map(|[_, kind, path]| cell(object, kind, path, now)));
        if !has_age {
            cells.push(cell(object, "string", "@age", now));
        }
        let carried = if objects { object.clone() } else { metadata(object) };
        json!({"cells": cells, "object": carried})
    };
    let (rows, meta) = match object["items"].as_array() {
        Some(items) => (items.iter().map(row).collect::<Vec<_>>(), object["metadata"].clone()),
        None => {
            (vec![row(object)], json!({"resourceVersion": object["metadata"]["resourceVersion"]}))
        }
    };
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": meta,
        "columnDefinitions": definitions,
        "rows": rows,
    })
}

fn definition(name: &str, kind: &str, format: &str) -> Json {
    // ages are printed here; a `date` column would make kubectl count again
    let kind = if kind == "date" { "string" } else { kind };
    json!({"name": name, "type": kind, "format": format, "description": "", "priority": 0})
}

fn column_parts(column: &str) -> [&str; 3] {
    let mut parts = column.splitn(3, '|');
    let name = parts.next().unwrap_or_default();
    match (parts.next(), parts.next()) {
        (Some(kind), Some(path)) => [name, kind, path],
        _ => ["Age", "string", "@age"],
    }
}

fn cell(object: &Json, kind: &str, path: &str, now: &str) -> Json {
    if let Some(word) = path.strip_prefix('@') {
        return computed(object, word, now);
    }
    let value = json_path(object, path);
    match (value, kind) {
        (Some(Json::String(text)), "date") => json!(age(text, now)),
        (Some(value @ (Json::Array(_) | Json::Object(_))), _) => json!(value.to_string()),
        (Some(Json::Null) | None, "integer" | "number") => json!(0),
        (Some(Json::Null) | None, _) => json!("<none>"),
        (Some(value @ (Json::Bool(_) | Json::Number(_) | Json::String(_))), _) => value.clone(),
    }
}

fn computed(object: &Json, word: &str, now: &str) -> Json {
    let (spec, status, meta) = (&object["spec"], &object["status"], &object["metadata"]);
    let number = |value: &Json| value.as_i64().unwrap_or(0);
    let text = |value: &Json| value.as_str().unwrap_or("<none>").to_owned();
    let size = |value: &Json| value.as_object().map_or(0, serde_json::Map::len);
    match word {
        "age" => json!(age(meta["creationTimestamp"].as_str().unwrap_or_default(), now)),
        "data-count" => json!((size(&object["data"]) + size(&object["binaryData"])).to_string()),
        "event-object" => {
            let about = &object["involvedObject"];
            json!(format!("{}/{}", text(&about["kind"]).to_lowercase(), text(&about["name"])))
        }
        "ready-of-replicas" => {
            json!(format!("{}/{}", number(&status["readyReplicas"]), number(&spec["replicas"])))
        }
        "updated" => json!(number(&status["updatedReplicas"]).to_string()),
        "available" => json!(number(&status["availableReplicas"]).to_string()),
        "job-completions" => json!(format!(
            "{}/{}",
            number(&status["succeeded"]),
            spec["completions"].as_i64().unwrap_or(1)
        )),
        "job-status" => {
            let conditions = status["conditions"].as_array().into_iter().flatten();
            let done = conditions
                .filter(|each| each["status"] == "True")
                .find_map(|each| each["type"].as_str());
            json!(done.unwrap_or("Running"))
        }
        "role-ref" => {
            let role = &object["roleRef"];
            json!(format!("{}/{}", text(&role["kind"]), text(&role["name"])))
        }
        "webhook-count" => json!(object["webhooks"].as_array().map_or(0, Vec::len)),
        _ => computed_core(object, word),
    }
}

/// The computed columns of nodes, pods and services.
fn computed_core(object: &Json, word: &str) -> Json {
    let (spec, status, meta) = (&object["spec"], &object["status"], &object["metadata"]);
    let containers = status["containerStatuses"].as_array();
    match word {
        "node-status" => {
            let ready = status["conditions"]
                .as_array()
                .into_iter()
                .flatten()
                .any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
            let mut shown = if ready { "Ready" } else { "NotReady" }.to_owned();
            if spec["unschedulable"] == true {
                shown.push_str(",SchedulingDisabled");
            }
            json!(shown)
        }
        "node-roles" => {
            let labels = meta["labels"].as_object().into_iter().flatten();
            let roles: Vec<&str> = labels
                .filter_map(|(key, _)| key.strip_prefix("node-role.kubernetes.io/"))
                .collect();
            json!(if roles.is_empty() { "<none>".to_owned() } else { roles.join(",") })
        }
        "pod-ready" => {
            let all = spec["containers"].as_array().map_or(0, Vec::len);
            let ready =
                containers.into_iter().flatten().filter(|each| each["ready"] == true).count();
            json!(format!("{ready}/{all}"))
        }
        "pod-status" => json!(pod_status(object)),
        "pod-restarts" => {
            let restarts: i64 = containers
                .into_iter()
                .flatten()
                .map(|each| each["restartCount"].as_i64().unwrap_or(0))
                .sum();
            json!(restarts.to_string())
        }
        "external-ip" => {
            let first = &status["loadBalancer"]["ingress"][0];
            let shown = first["ip"].as_str().or(first["hostname"].as_str());
            let waiting = if spec["type"] == "LoadBalancer" { "<pending>" } else { "<none>" };
            json!(shown.unwrap_or(waiting))
        }
        "service-ports" => {
            let ports = spec["ports"].as_array().into_iter().flatten();
            let ports: Vec<String> = ports
                .map(|port| match port["nodePort"].as_i64() {
                    Some(node) => format!(
                        "{}:{node}/{}",
                        port["port"],
                        port["protocol"].as_str().unwrap_or("TCP")
                    ),
                    None => {
                        format!("{}/{}", port["port"], port["protocol"].as_str().unwrap_or("TCP"))
                    }
                })
                .collect();
            json!(if ports.is_empty() { "<none>".to_owned() } else { ports.join(",") })
        }
        _ => Json::Null,
    }
}

/// What kubectl calls the status of a pod: the first container that has something to say speaks, before the phase.
fn pod_status(pod: &Json) -> String {
    let status = &pod["status"];
    if pod["metadata"]["deletionTimestamp"].is_string() {
        return "Terminating".to_owned();
    }
    let containers = || status["containerStatuses"].as_array().into_iter().flatten();
    let said = containers().find_map(|each| {
        let (waiting, ended) = (&each["state"]["waiting"], &each["state"]["terminated"]);
        let reason = [waiting, ended].into_iter().find_map(|value| value["reason"].as_str());
        let reason = reason.filter(|text| !text.is_empty());
        match (reason, ended["signal"].as_i64().unwrap_or(0), ended["exitCode"].as_i64()) {
            (Some(reason), ..) => Some(reason.to_owned()),
            (None, 0, Some(code)) => Some(format!("ExitCode:{code}")),
            (None, signal, Some(_)) => Some(format!("Signal:{signal}")),
            (None, _, None) => None,
        }
    });
    let runs =
        containers().any(|each| each["ready"] == true && each["state"]["running"].is_object());
    match said {
        Some(said) if said == "Completed" && runs => "Running".to_owned(),
        Some(said) => said,
        None => {
            status["reason"].as_str().or(status["phase"].as_str()).unwrap_or("Unknown").to_owned()
        }
    }
}

/// `.a.b[0].c` and `.a[?(@.type=="Ready")].status`, as printer columns write it.
fn json_path<'a>(object: &'a Json, path: &str) -> Option<&'a Json> {
    let mut node = object;
    let mut rest = path.trim_start_matches('$');
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("[?(@.") {
            let (test, after) = after.split_once(")]")?;
            let (field, wanted) = test.split_once("==")?;
            let wanted = wanted.trim().trim_matches(['"', '\'']);
            node = node.as_array()?.iter().find(|item| item[field.trim()] == wanted)?;
            rest = after;
        } else if let Some(after) = rest.strip_prefix('[') {
            let (index, after) = after.split_once(']')?;
            node = match index.parse::<usize>() {
                Ok(at) => node.get(at)?,
                Err(_) => node.get(index.trim_matches(['"', '\'']))?,
            };
            rest = after;
        } else {
            let after = rest.strip_prefix('.')?;
            let mut end = after.find(['.', '[']).unwrap_or(after.len());
            while end < after.len() && after[..end].ends_with('\\') {
                end += 1 + after[end + 1..].find(['.', '[']).unwrap_or(after.len() - end - 1);
            }
            node = node.get(after[..end].replace("\\.", "."))?;
            rest = &after[end..];
        }
    }
    Some(node)
}

/// `5d3h`, `42m`, `7s`, as kubectl shortens ages.
fn age(since: &str, now: &str) -> String {
    let read = |text: &str| text.parse::<jiff::Timestamp>().ok();
    let (Some(since), Some(now)) = (read(since), read(now)) else {
        return "<unknown>".to_owned();
    };
    let seconds = (now.as_second() - since.as_second()).max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..=119 => format!("{seconds}s"),
        120..=599 if seconds % 60 != 0 => format!("{minutes}m{}s", seconds % 60),
        120..=10_799 => format!("{minutes}m"),
        10_800..=28_799 if minutes % 60 != 0 => format!("{hours}h{}m", minutes % 60),
        10_800..=172_799 => format!("{hours}h"),
        172_800..=691_199 if hours % 24 != 0 => format!("{days}d{}h", hours % 24),
        172_800..=63_071_999 => format!("{days}d"),
        _ => format!("{}y{}d", days / 365, days % 365),
    }
}
