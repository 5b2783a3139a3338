//! A Kubernetes API server without a cluster behind it: storage, discovery, the verbs,
//! server-side apply, RBAC and watches over a [`Store`]. It is part of the sandbox, which shares
//! no code with the clients it is the oracle of. Facts: kubernetes.io, "Kubernetes API Concepts".

use super::rbac::{self, AuthorizerAttributes};
use super::request::{ApiCall, ApiRequest, Caller, ClusterFacts, KubeReply};
use super::status::Failure;
use super::store::Store;
use super::types::ApiPath;
use super::{body, delete, discovery, read, watch, write};

/// Answers one request, changing the store when the request does (and is not a dry run).
pub(crate) fn handle(
    store: &mut Store,
    facts: &ClusterFacts,
    caller: &Caller,
    request: &ApiRequest<'_>,
) -> KubeReply {
    let answer = if request.dry_run() {
        route(&mut store.clone(), facts, caller, request)
    } else {
        route(store, facts, caller, request)
    };
    answer.unwrap_or_else(|failure| KubeReply::Json { status: failure.code, body: failure.body() })
}

fn route(
    store: &mut Store,
    facts: &ClusterFacts,
    caller: &Caller,
    request: &ApiRequest<'_>,
) -> Result<KubeReply, Failure> {
    if matches!(request.path, "/healthz" | "/livez" | "/readyz") {
        return Ok(KubeReply::text(200, "ok"));
    }
    if *caller == Caller::Anonymous {
        return Err(Failure::unauthorized());
    }
    let caller = &rbac::impersonated(store, caller, request)?;
    if let Some(answer) = discovery::serve(store, facts, request) {
        return Ok(answer);
    }
    let at = ApiPath::parse(request.path).ok_or_else(Failure::unknown_path)?;
    let kind =
        store.find_type(&at.group, &at.version, &at.resource).ok_or_else(Failure::unknown_path)?;
    let misplaced = kind.cluster && at.namespace.is_some()
        || !kind.cluster && at.namespace.is_none() && at.name.is_some();
    if misplaced || at.subresource.as_ref().is_some_and(|sub| !kind.has(sub)) {
        return Err(Failure::unknown_path());
    }
    let call = ApiCall { facts, caller, request, kind, at };
    let verb = verb_of(&call).ok_or_else(Failure::method_not_allowed)?;
    authorize(store, &call, verb)?;
    match verb {
        "get" => read::get(store, &call),
        "list" => read::list(store, &call),
        "watch" => watch::start(store, &call),
        "create" if call.kind.review => {
            let object = body::body_object(&call)?;
            let reviewed = rbac::review(store, caller, &call.kind.plural, object)?;
            Ok(KubeReply::Json { status: 201, body: reviewed })
        }
        "create" if call.at.name.is_some() => write::create_sub(store, &call),
        "create" => write::create(store, &call),
        "update" => write::update(store, &call),
        "patch" => write::patch(store, &call),
        "delete" => delete::delete(store, &call),
        _ => delete::delete_collection(store, &call),
    }
}

/// The API verb of a request; `None` when the resource has no such verb.
fn verb_of(call: &ApiCall<'_>) -> Option<&'static str> {
    let named = call.at.name.is_some();
    let everywhere = !call.kind.cluster && call.at.namespace.is_none();
    let verb = match (call.request.method.as_str(), named) {
        ("GET", _) if call.request.flag("watch") && call.at.subresource.is_none() => "watch",
        ("GET", true) => "get",
        ("GET", false) => "list",
        ("POST", true) if call.sub().is_some_and(|sub| matches!(sub, "token" | "eviction")) => {
            "create"
        }
        ("POST", false) if !everywhere || call.kind.review => "create",
        ("PUT", true) => "update",
        ("PATCH", true) => "patch",
        ("DELETE", true) if call.at.subresource.is_none() => "delete",
        ("DELETE", false) if !everywhere => "deletecollection",
        _ => return None,
    };
    let known = call.kind.verbs().contains(&verb);
    known.then_some(verb)
}

fn authorize(store: &Store, call: &ApiCall<'_>, verb: &str) -> Result<(), Failure> {
    let resource = match call.sub() {
        Some(sub) => format!("{}/{sub}", call.kind.plural),
        None => call.kind.plural.clone(),
    };
    // rights inside a namespace include reading the namespace itself
    let own = call.kind.plural == "namespaces";
    let namespace = if own { call.at.name.as_deref() } else { call.namespace() };
    let deed = AuthorizerAttributes {
        verb: verb.to_owned(),
        group: call.kind.group.clone(),
        resource,
        name: call.name().to_owned(),
        namespace: namespace.map(ToOwned::to_owned),
    };
    if rbac::allowed(store, call.caller, &deed) {
        return Ok(());
    }
    let scope = match call.namespace() {
        Some(namespace) => format!("in the namespace \"{namespace}\""),
        None => "at the cluster scope".to_owned(),
    };
    let why = format!(
        "User \"{}\" cannot {verb} resource \"{}\" in API group \"{}\" {scope}",
        call.caller.user(),
        deed.resource,
        call.kind.group
    );
    Err(Failure::forbidden(&call.kind, call.name(), &why))
}
