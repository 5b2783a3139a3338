//! What the API server does to an object between decoding and storing it: defaults,
//! validation, and the admission rules this sandbox knows.

use base64::Engine as _;
use serde_json::{Value as Json, json};

use super::request::ClusterFacts;
use super::seed;
use super::status::Failure;
use super::types::ResourceType;
use crate::json::{default_at, remove_key};

const RBAC: &str = "rbac.authorization.k8s.io";

/// Fills in the defaults clients can see in a read-back.
pub(crate) fn default_fields(kind: &ResourceType, object: &mut Json) {
    match (kind.group.as_str(), kind.plural.as_str()) {
        ("", "namespaces") => {
            let name = object["metadata"]["name"].clone();
            object["metadata"]["labels"]["kubernetes.io/metadata.name"] = name;
            default_at(object, "/spec/finalizers", json!(["kubernetes"]));
            default_at(object, "/status/phase", json!("Active"));
        }
        ("", "secrets") => {
            let plain = object.get("stringData").cloned();
            for (key, value) in plain.iter().filter_map(Json::as_object).flatten() {
                let text = value.as_str().unwrap_or_default();
                let encoded = base64::engine::general_purpose::STANDARD.encode(text);
                object["data"][key] = json!(encoded);
            }
            remove_key(object, "stringData");
            default_at(object, "/type", json!("Opaque"));
        }
        ("", "services") => {
            default_at(object, "/spec/type", json!("ClusterIP"));
            default_at(object, "/spec/sessionAffinity", json!("None"));
            let ports = object.pointer_mut("/spec/ports");
            for port in ports.and_then(Json::as_array_mut).into_iter().flatten() {
                default_at(port, "/protocol", json!("TCP"));
                let number = port["port"].clone();
                default_at(port, "/targetPort", number);
            }
        }
        ("", "pods") => default_at(object, "/status/phase", json!("Pending")),
        ("apps", "deployments" | "statefulsets" | "replicasets") => {
            default_at(object, "/spec/replicas", json!(1));
        }
        (RBAC, "rolebindings" | "clusterrolebindings") => {
            default_at(object, "/roleRef/apiGroup", json!(RBAC));
            let subjects = object.get_mut("subjects").and_then(Json::as_array_mut);
            for subject in subjects.into_iter().flatten() {
                if subject["kind"] != "ServiceAccount" {
                    default_at(subject, "/apiGroup", json!(RBAC));
                }
            }
        }
        ("security.openshift.io", _) => {
            // groups, users and the capability lists are shown even when null
            for field in ["users", "groups", "volumes", "allowedCapabilities", "priority"] {
                default_at(object, &format!("/{field}"), Json::Null);
            }
        }
        _ => {}
    }
}

/// The parts every object shares have the types everything here relies on.
pub(crate) fn well_formed(object: &Json) -> Result<(), Failure> {
    let maps = [
        "/metadata",
        "/metadata/labels",
        "/metadata/annotations",
        "/spec",
        "/status",
        "/roleRef",
        "/data",
        "/stringData",
    ];
    let lists =
        ["/metadata/finalizers", "/metadata/ownerReferences", "/subjects", "/rules", "/spec/ports"];
    let wrong = |pointer: &&str, fits: fn(&Json) -> bool| {
        let value = object.pointer(pointer);
        value.is_some_and(|value| !value.is_null() && !fits(value))
    };
    let bad = maps
        .iter()
        .find(|pointer| wrong(pointer, Json::is_object))
        .or_else(|| lists.iter().find(|pointer| wrong(pointer, objects_or_texts)));
    match bad {
        _ if !object.is_object() => Err(Failure::bad_request("the body is not an object")),
        Some(pointer) => {
            let field = pointer.trim_start_matches('/').replace('/', ".");
            Err(Failure::bad_request(format!(
                "the object cannot be handled: json: cannot unmarshal field {field}: wrong type"
            )))
        }
        None => Ok(()),
    }
}

fn objects_or_texts(value: &Json) -> bool {
    value
        .as_array()
        .is_some_and(|items| items.iter().all(Json::is_object) || items.iter().all(Json::is_string))
}

/// Refuses objects the real server refuses.
pub(crate) fn validate(
    kind: &ResourceType,
    live: Option<&Json>,
    object: &Json,
) -> Result<(), Failure> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    if live.is_none() {
        check_name(kind, name)?;
    }
    for (map, field) in [("labels", "metadata.labels"), ("annotations", "metadata.annotations")] {
        let values = object["metadata"][map].as_object();
        if values.is_some_and(|values| values.values().any(|value| !value.is_string())) {
            return Err(Failure::bad_request(format!(
                "{} in version \"{}\" cannot be handled as a {}: json: cannot unmarshal into Go struct field ObjectMeta.{field} of type string",
                kind.kind, kind.version, kind.kind
            )));
        }
    }
    if kind.group == RBAC && kind.plural.ends_with("bindings") {
        check_binding(kind, live, object, name)?;
    }
    if kind.group == "apps"
        && let Some(live) = live
        && live["spec"]["selector"] != object["spec"]["selector"]
    {
        let why = "field is immutable";
        return Err(Failure::invalid(kind, name, "FieldValueInvalid", "spec.selector", why));
    }
    if kind.plural == "customresourcedefinitions" {
        let spec = &object["spec"];
        let part = |value: &Json| value.as_str().unwrap_or_default().to_owned();
        let wanted = format!("{}.{}", part(&spec["names"]["plural"]), part(&spec["group"]));
        if name != wanted {
            let why = "Invalid value: must be spec.names.plural+\".\"+spec.group";
            return Err(Failure::invalid(kind, name, "FieldValueInvalid", "metadata.name", why));
        }
    }
    Ok(())
}

fn check_binding(
    kind: &ResourceType,
    live: Option<&Json>,
    object: &Json,
    name: &str,
) -> Result<(), Failure> {
    let role = &object["roleRef"];
    if live.is_some_and(|live| &live["roleRef"] != role) {
        let why = format!("Invalid value: {role}: cannot change roleRef");
        return Err(Failure::invalid(kind, name, "FieldValueInvalid", "roleRef", &why));
    }
    let kinds: &[&str] = if kind.cluster { &["ClusterRole"] } else { &["ClusterRole", "Role"] };
    let role_kind = role["kind"].as_str().unwrap_or_default();
    if !kinds.contains(&role_kind) {
        let why = format!("Unsupported value: \"{role_kind}\"");
        return Err(Failure::invalid(kind, name, "FieldValueNotSupported", "roleRef.kind", &why));
    }
    if role["name"].as_str().unwrap_or_default().is_empty() {
        return Err(Failure::invalid(
            kind,
            name,
            "FieldValueRequired",
            "roleRef.name",
            "Required value",
        ));
    }
    let subjects = object["subjects"].as_array().into_iter().flatten();
    for (at, subject) in subjects.enumerate() {
        let known = ["User", "Group", "ServiceAccount"];
        if !known.iter().any(|known| subject["kind"] == *known) {
            let field = format!("subjects[{at}].kind");
            let why = format!("Unsupported value: {}", subject["kind"]);
            return Err(Failure::invalid(kind, name, "FieldValueNotSupported", &field, &why));
        }
        if subject["kind"] == "ServiceAccount" && !subject["namespace"].is_string() {
            let field = format!("subjects[{at}].namespace");
            return Err(Failure::invalid(
                kind,
                name,
                "FieldValueRequired",
                &field,
                "Required value",
            ));
        }
    }
    Ok(())
}

/// Names: DNS-1123 labels for namespaces, path segments for RBAC, subdomains for the rest.
fn check_name(kind: &ResourceType, name: &str) -> Result<(), Failure> {
    let label = |text: &str| {
        !text.is_empty()
            && text.chars().all(|letter| matches!(letter, 'a'..='z' | '0'..='9' | '-'))
            && !text.starts_with('-')
            && !text.ends_with('-')
    };
    if name.is_empty() {
        let why = "Required value: name or generateName is required";
        return Err(Failure::invalid(kind, name, "FieldValueRequired", "metadata.name", why));
    }
    let (good, rule) = if kind.group == RBAC {
        let good = !matches!(name, "." | "..") && !name.contains(['/', '%']);
        (good, "may not contain '/' or '%'")
    } else if matches!(kind.plural.as_str(), "namespaces" | "services") {
        (
            label(name) && name.len() <= 63,
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
        )
    } else {
        (
            name.split('.').all(label) && name.len() <= 253,
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
        )
    };
    if good {
        return Ok(());
    }
    let why = format!("Invalid value: \"{name}\": {rule}");
    Err(Failure::invalid(kind, name, "FieldValueInvalid", "metadata.name", &why))
}

/// The webhook of managed OpenShift that protects the platform's own constraints
/// (openshift/managed-cluster-validating-webhooks, scc-validation), and the namespaces no
/// cluster lets go.
pub(crate) fn protect(
    facts: &ClusterFacts,
    kind: &ResourceType,
    name: &str,
    verb: &str,
) -> Result<(), Failure> {
    let is_default = kind.plural == "securitycontextconstraints" && seed::ships_scc(name);
    if facts.scc_edit_denied && is_default && verb != "create" {
        let doing = if verb == "delete" { "Deleting" } else { "Modifying" };
        let why = format!("{doing} default SCCs is not allowed");
        return Err(Failure::denied("scc-validation.managed.openshift.io", &why));
    }
    let kept = ["default", "kube-system", "kube-public"];
    if kind.plural == "namespaces" && verb == "delete" && kept.contains(&name) {
        return Err(Failure::forbidden(kind, name, "this namespace may not be deleted"));
    }
    Ok(())
}
