//! POST, PUT, PATCH and DELETE.

use serde_json::{Value as Json, json};

use super::apply::{self, Applier};
use super::request::{ApiCall, KubeReply};
use super::status::Failure;
use super::store::{Store, stamp};
use super::types::{ResourceType, group_version};
use super::{admission, body, crd, delete, escalation, fields, patch as patches, read};
use crate::json::remove_key;
use crate::state::clock::seconds;

const JSON_PATCH: &str = "application/json-patch+json";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

/// Kind, version, name and namespace of the body must be those of the path.
fn check_identity(call: &ApiCall<'_>, object: &mut Json) -> Result<(), Failure> {
    admission::well_formed(object)?;
    let (kind, version) = (&call.kind.kind, call.kind.api_version());
    if object["kind"].is_null() {
        object["kind"] = json!(kind);
    }
    if object["apiVersion"].is_null() {
        object["apiVersion"] = json!(version);
    }
    if object["kind"] != *kind || object["apiVersion"] != version {
        return Err(Failure::bad_request(format!(
            "{kind} in version \"{version}\" cannot be handled as a {} in version {}",
            object["kind"].as_str().unwrap_or_default(),
            object["apiVersion"]
        )));
    }
    if !object["metadata"].is_object() {
        object["metadata"] = json!({});
    }
    let namespace = object["metadata"]["namespace"].as_str();
    if namespace.is_some_and(|given| Some(given) != call.namespace() && !call.kind.cluster) {
        return Err(Failure::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    match call.namespace() {
        Some(namespace) => object["metadata"]["namespace"] = json!(namespace),
        None => remove_key(&mut object["metadata"], "namespace"),
    }
    let name = object["metadata"]["name"].as_str();
    if call.at.name.is_some() && name.is_some_and(|given| given != call.name()) {
        return Err(Failure::bad_request(format!(
            "the name of the object ({}) does not match the name on the URL ({})",
            name.unwrap_or_default(),
            call.name()
        )));
    }
    if call.at.name.is_some() {
        object["metadata"]["name"] = json!(call.name());
    }
    Ok(())
}

/// The field manager: given, or the part of the user agent before the slash.
fn manager(call: &ApiCall<'_>) -> String {
    let given = call.request.value("fieldManager").unwrap_or_default();
    if !given.is_empty() {
        return given.to_owned();
    }
    let agent = call.request.header(http::header::USER_AGENT);
    let program = agent.split('/').next().unwrap_or_default();
    if program.is_empty() { "unknown" } else { program }.to_owned()
}

/// POST to a collection.
pub(crate) fn create(store: &mut Store, call: &ApiCall<'_>) -> Result<KubeReply, Failure> {
    let mut object = body::body_object(call)?;
    check_identity(call, &mut object)?;
    let prefix = object["metadata"]["generateName"].as_str();
    if let (Some(prefix), true) = (prefix, object["metadata"]["name"].is_null()) {
        let seed = format!("{prefix}{}{}", store.revision(), call.request.now);
        let id = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, seed.as_bytes());
        let alphabet = b"bcdfghjklmnpqrstvwxz2456789";
        let letters = id.as_bytes()[..5].iter();
        let suffix: String =
            letters.map(|byte| char::from(alphabet[usize::from(*byte) % alphabet.len()])).collect();
        object["metadata"]["name"] = json!(format!("{prefix}{suffix}"));
    }
    if object["metadata"]["resourceVersion"].as_str().is_some_and(|given| !given.is_empty()) {
        return Err(Failure::bad_request(
            "resourceVersion should not be set on objects to be created",
        ));
    }
    if call.kind.has("status") {
        remove_key(&mut object, "status");
    }
    insert(store, call, object, true)
}

/// Stores an object that does not exist yet.
fn insert(
    store: &mut Store,
    call: &ApiCall<'_>,
    mut object: Json,
    record: bool,
) -> Result<KubeReply, Failure> {
    let kind = &call.kind;
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    admission::default_fields(kind, &mut object);
    admission::validate(kind, None, &object)?;
    escalation::check(store, call, None, &object)?;
    namespace_open(store, kind, call.namespace(), &name)?;
    admission::protect(call.facts, kind, &name, "create")?;
    let path = kind.path(call.namespace(), Some(&name));
    if store.get(&path).is_some() {
        return Err(Failure::already_exists(kind, &name));
    }
    for field in ["deletionTimestamp", "deletionGracePeriodSeconds"] {
        remove_key(&mut object["metadata"], field);
    }
    stamp(&path, None, &mut object, store.revision(), call.request.now);
    if record {
        fields::record_update(kind, None, &mut object, &manager(call), None, call.request.now);
    }
    let stored = commit(store, call, &path, object);
    if kind.plural == "namespaces" {
        let account = format!("/api/v1/namespaces/{name}/serviceaccounts/default");
        store.put(&account, json!({}), call.request.now);
    }
    Ok(KubeReply::Json { status: 201, body: call.present(stored) })
}

fn commit(store: &mut Store, call: &ApiCall<'_>, path: &str, mut object: Json) -> Json {
    if path.starts_with(crd::COLLECTION) {
        crd::establish(&mut object, &seconds(call.request.now));
    }
    if let Some(storage) = &call.kind.storage {
        object["apiVersion"] = json!(group_version(&call.kind.group, storage));
    }
    store.commit(path, object)
}

/// POST to a subresource: tokens of service accounts, evictions of pods.
pub(crate) fn create_sub(store: &mut Store, call: &ApiCall<'_>) -> Result<KubeReply, Failure> {
    let live = call.live(store)?;
    let mut object = body::body_object(call)?;
    if call.sub() == Some("eviction") {
        delete::remove(store, &call.path(), call.request.now, false);
        let body = delete::success(call, &live);
        return Ok(KubeReply::Json { status: 201, body });
    }
    // the token names its account; whoever maps bearer tokens to callers can read it back
    let seconds = object["spec"]["expirationSeconds"].as_i64().unwrap_or(3600);
    let now: jiff::Timestamp = call.request.now.parse().unwrap_or(jiff::Timestamp::MAX);
    let ends =
        now.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap_or(jiff::Timestamp::MAX);
    object["status"] = json!({
        "token": format!("system:serviceaccount:{}:{}", call.namespace().unwrap_or_default(), call.name()),
        "expirationTimestamp": ends.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    });
    Ok(KubeReply::Json { status: 201, body: object })
}

/// PUT.
pub(crate) fn update(store: &mut Store, call: &ApiCall<'_>) -> Result<KubeReply, Failure> {
    let live = call.live(store)?;
    let mut object = body::body_object(call)?;
    if call.sub() == Some("scale") {
        let next = with_replicas(&live, &object);
        let stored = replace(store, call, &live, next, true)?;
        return Ok(KubeReply::ok(read::scale(&stored)));
    }
    check_identity(call, &mut object)?;
    let version = object["metadata"]["resourceVersion"].as_str().unwrap_or_default();
    if version.is_empty() && call.kind.custom {
        return Err(Failure::invalid(
            &call.kind,
            call.name(),
            "FieldValueInvalid",
            "metadata.resourceVersion",
            "Invalid value: 0x0: must be specified for an update",
        ));
    }
    let stored = replace(store, call, &live, object, true)?;
    Ok(KubeReply::ok(call.present(stored)))
}

fn with_replicas(live: &Json, scale: &Json) -> Json {
    let mut next = live.clone();
    next["spec"]["replicas"] = scale["spec"]["replicas"].clone();
    if let Some(version) = scale["metadata"].get("resourceVersion") {
        next["metadata"]["resourceVersion"] = version.clone();
    }
    next
}

/// Checks and stores the next state of an existing object; gives back what is stored.
fn replace(
    store: &mut Store,
    call: &ApiCall<'_>,
    live: &Json,
    mut next: Json,
    record: bool,
) -> Result<Json, Failure> {
    let (kind, name, now) = (&call.kind, call.name(), call.request.now);
    for field in ["resourceVersion", "uid"] {
        let given = next["metadata"][field].as_str().unwrap_or_default();
        if !given.is_empty() && live["metadata"][field] != given {
            return Err(Failure::modified(kind, name));
        }
    }
    if call.sub() == Some("status") {
        let mut only = live.clone();
        only["status"] = next["status"].take();
        only["metadata"]["managedFields"] = next["metadata"]["managedFields"].take();
        next = only;
    } else if kind.has("status") {
        match live.get("status") {
            Some(status) => next["status"] = status.clone(),
            None => remove_key(&mut next, "status"),
        }
    }
    next["apiVersion"] = live["apiVersion"].clone();
    for field in ["deletionTimestamp", "deletionGracePeriodSeconds"] {
        match live["metadata"].get(field) {
            Some(value) => next["metadata"][field] = value.clone(),
            None => remove_key(&mut next["metadata"], field),
        }
    }
    if next["metadata"]["managedFields"].is_null() {
        remove_key(&mut next["metadata"], "managedFields");
    }
    admission::default_fields(kind, &mut next);
    admission::validate(kind, Some(live), &next)?;
    escalation::check(store, call, Some(live), &next)?;
    admission::protect(call.facts, kind, name, "update")?;
    let path = call.path();
    stamp(&path, Some(live), &mut next, 0, now);
    if record {
        fields::record_update(kind, Some(live), &mut next, &manager(call), call.sub(), now);
    }
    if unchanged(live, &next) {
        return Ok(live.clone());
    }
    let stored = commit(store, call, &path, next);
    if stored["metadata"]["deletionTimestamp"].is_string() {
        delete::finish_deletion(store, &path, now);
    }
    delete::sweep(store, now);
    Ok(stored)
}

/// Equal but for the times in managedFields.
fn unchanged(live: &Json, next: &Json) -> bool {
    let strip = |object: &Json| {
        let mut object = object.clone();
        let entries = object["metadata"].get_mut("managedFields");
        for entry in entries.and_then(Json::as_array_mut).into_iter().flatten() {
            remove_key(entry, "time");
        }
        object
    };
    live == next || strip(live) == strip(next)
}

/// PATCH.
pub(crate) fn patch(store: &mut Store, call: &ApiCall<'_>) -> Result<KubeReply, Failure> {
    let media = body::media_type(call);
    let supported = if call.kind.custom {
        vec![JSON_PATCH, MERGE, APPLY]
    } else {
        vec![JSON_PATCH, MERGE, STRATEGIC, APPLY]
    };
    if !supported.contains(&media.as_str()) {
        return Err(Failure::unsupported_media(&media, &supported.join(", ")));
    }
    if media == APPLY {
        return server_side_apply(store, call);
    }
    let live = call.live(store)?;
    let shown =
        if call.sub() == Some("scale") { read::scale(&live) } else { call.present(live.clone()) };
    let body = call.request.body;
    let mut next = match media.as_str() {
        JSON_PATCH => patches::json_patch(&call.kind, &shown, body)?,
        MERGE => patches::merge_patch(&shown, body)?,
        _ => patches::strategic(&call.kind, &shown, body)?,
    };
    if call.sub() == Some("scale") {
        let stored = replace(store, call, &live, with_replicas(&live, &next), true)?;
        return Ok(KubeReply::ok(read::scale(&stored)));
    }
    check_identity(call, &mut next)?;
    let stored = replace(store, call, &live, next, true)?;
    Ok(KubeReply::ok(call.present(stored)))
}

fn server_side_apply(store: &mut Store, call: &ApiCall<'_>) -> Result<KubeReply, Failure> {
    let manager = call.request.value("fieldManager").unwrap_or_default();
    if manager.is_empty() {
        return Err(Failure::invalid_options(
            "PatchOptions",
            "fieldManager",
            "Required value: is required for apply patch",
        ));
    }
    let mut config = body::parse(call.request.body)?;
    if config["kind"].is_null() || config["apiVersion"].is_null() {
        return Err(Failure::bad_request("apply configuration must name apiVersion and kind"));
    }
    check_identity(call, &mut config)?;
    let listed = config["metadata"]["managedFields"].as_array();
    if listed.is_some_and(|listed| !listed.is_empty()) {
        return Err(Failure::bad_request("metadata.managedFields must be nil"));
    }
    if call.sub().is_none() && call.kind.has("status") {
        remove_key(&mut config, "status");
    }
    let by = Applier {
        manager,
        force: call.request.flag("force"),
        subresource: call.sub(),
        now: call.request.now,
    };
    let live = store.get(&call.path()).cloned();
    let given = config["metadata"]["resourceVersion"].as_str().unwrap_or_default();
    let Some(live) = live else {
        if call.sub().is_some() {
            return Err(Failure::not_found(&call.kind, call.name()));
        }
        if !given.is_empty() {
            return Err(Failure::modified(&call.kind, call.name()));
        }
        let object = apply::apply(&call.kind, &json!({"metadata": {}}), &config, &by)?;
        return insert(store, call, object, false);
    };
    let wrong = |field: &str| {
        let given = config["metadata"][field].as_str().unwrap_or_default();
        !given.is_empty() && live["metadata"][field] != given
    };
    if wrong("resourceVersion") || wrong("uid") {
        return Err(Failure::modified(&call.kind, call.name()));
    }
    let next = apply::apply(&call.kind, &live, &config, &by)?;
    let stored = replace(store, call, &live, next, false)?;
    Ok(KubeReply::ok(call.present(stored)))
}

/// Refuses to create in a namespace that is missing or going away.
fn namespace_open(
    store: &Store,
    kind: &ResourceType,
    namespace: Option<&str>,
    name: &str,
) -> Result<(), Failure> {
    let Some(namespace) = namespace else {
        return Ok(());
    };
    let Some(live) = store.get(&format!("/api/v1/namespaces/{namespace}")) else {
        let namespaces =
            ResourceType { plural: "namespaces".to_owned(), ..ResourceType::default() };
        return Err(Failure::not_found(&namespaces, namespace));
    };
    if live["metadata"]["deletionTimestamp"].is_string() {
        return Err(Failure::terminating(kind, name, namespace));
    }
    Ok(())
}
