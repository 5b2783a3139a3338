//! The services behind ARM as a table: what a type does beside being stored, listed and returned.

use http::Method;
use serde_json::Value as Json;

use super::answer::{Ask, matches, method_not_allowed, not_found};
use super::heartbeat::heard;
use super::{clusters, extensions, generic, identities, log_analytics, messaging, ml, providers};
use crate::state::world::World;
use crate::vault;
use crate::wire::{HttpAnswer, Reply};

type Act = fn(&mut World, &Ask<'_>) -> HttpAnswer;

/// What a type does in its own way. Everything has a default in [`PLAIN`].
struct TypeHooks {
    /// `namespace/type`, where `*` stands for anything.
    kind: &'static str,
    /// What is refused whatever the verb is.
    admit: fn(&World, &Ask<'_>) -> Result<(), Reply>,
    /// What a GET of one that is not there answers.
    missing: fn(&World, &Ask<'_>) -> HttpAnswer,
    /// How a stored body is shown.
    show: fn(&World, &Ask<'_>, &mut Json),
    list: Act,
    put: Act,
    patch: Act,
    delete: Act,
}

const PLAIN: TypeHooks = TypeHooks {
    kind: "*",
    admit: |_, _| Ok(()),
    missing: |_, ask| Err(not_found(ask.target)),
    show: |world, _, body| heard(world, body),
    list: generic::list,
    put: |world, ask| {
        generic::put(world, ask, |world, body| generic::complete(world, &ask.id, body))
    },
    patch: generic::patch,
    delete: generic::delete,
};

/// The first that fits counts.
const SERVICES: &[TypeHooks] = &[
    TypeHooks {
        kind: "microsoft.kubernetes/connectedclusters",
        put: clusters::put,
        patch: clusters::patch,
        delete: clusters::delete,
        ..PLAIN
    },
    TypeHooks {
        kind: "microsoft.containerservice/managedclusters",
        admit: clusters::check_etag,
        put: clusters::put,
        patch: clusters::patch,
        delete: clusters::delete,
        ..PLAIN
    },
    TypeHooks {
        kind: "microsoft.kubernetesconfiguration/extensions",
        admit: extensions::require_cluster,
        missing: extensions::missing,
        show: extensions::show,
        list: extensions::list,
        put: extensions::put,
        patch: extensions::patch,
        delete: extensions::delete,
    },
    TypeHooks {
        kind: "microsoft.machinelearningservices/workspaces",
        show: ml::show_discovery,
        put: ml::put_workspace,
        ..PLAIN
    },
    TypeHooks {
        kind: "microsoft.machinelearningservices/workspaces/computes",
        admit: ml::require_workspace,
        missing: ml::no_compute,
        list: ml::list,
        put: ml::attach,
        patch: ml::refuse_patch,
        delete: ml::detach,
        ..PLAIN
    },
    TypeHooks {
        kind: vault::SECRETS,
        put: |world, ask| {
            generic::put(world, ask, |_, _| {})?;
            vault::settle(world, &ask.id);
            Ok(Reply::ok(world.body(&ask.id).cloned().unwrap_or_default()))
        },
        ..PLAIN
    },
    TypeHooks {
        kind: "microsoft.managedidentity/userassignedidentities/federatedidentitycredentials",
        put: identities::put_credential,
        ..PLAIN
    },
    TypeHooks {
        kind: "microsoft.operationalinsights/workspaces",
        put: log_analytics::put,
        ..PLAIN
    },
    TypeHooks {
        kind: "microsoft.*/namespaces/networkrulesets",
        missing: messaging::network_rules,
        ..PLAIN
    },
    TypeHooks {
        kind: "microsoft.relay/namespaces",
        put: messaging::put_namespace,
        delete: messaging::delete_namespace,
        ..PLAIN
    },
    TypeHooks {
        kind: "microsoft.servicebus/namespaces",
        put: messaging::put_namespace,
        delete: messaging::delete_namespace,
        ..PLAIN
    },
    TypeHooks {
        kind: "microsoft.servicebus/namespaces/*",
        show: messaging::show_child,
        put: messaging::put_child,
        ..PLAIN
    },
    TypeHooks { kind: "microsoft.relay/namespaces/*", put: messaging::put_child, ..PLAIN },
    PLAIN,
];

/// What is called on a resource, or computed and not stored: verb, path of types, and the answer.
const ACTIONS: &[(Method, &str, Act)] = &[
    (
        Method::POST,
        "microsoft.kubernetes/connectedclusters/listclusterusercredential",
        clusters::credentials,
    ),
    (
        Method::POST,
        "microsoft.containerservice/managedclusters/listcluster*credential",
        clusters::credentials,
    ),
    (Method::GET, "microsoft.kubernetesconfiguration/extensions/operations", extensions::operation),
    (Method::GET, "microsoft.kubernetesconfiguration/operations", extensions::operations),
    (
        Method::GET,
        "microsoft.kubernetesconfiguration/extensiontypes/versions",
        extensions::versions,
    ),
    (Method::GET, "microsoft.containerservice/locations/kubernetesversions", clusters::versions),
    (Method::POST, "microsoft.machinelearningservices/workspaces/computes/listkeys", ml::keys),
    (
        Method::GET,
        "microsoft.machinelearningservices/locations/computeoperationsstatus",
        ml::operation,
    ),
    (Method::POST, "microsoft.relay/checknameavailability", messaging::check_name),
    (Method::POST, "microsoft.servicebus/checknameavailability", messaging::check_name),
    (Method::GET, "microsoft.*/namespaces/operationresults", messaging::operation_result),
    (Method::POST, "microsoft.*/authorizationrules/listkeys", messaging::keys),
    (Method::POST, "microsoft.*/authorizationrules/regeneratekeys", messaging::regenerate),
    (Method::POST, "microsoft.operationalinsights/workspaces/sharedkeys", log_analytics::keys),
    (
        Method::POST,
        "microsoft.operationalinsights/workspaces/regeneratesharedkey",
        log_analytics::keys,
    ),
    (Method::GET, "microsoft.operationalinsights/deletedworkspaces", log_analytics::deleted),
    (Method::GET, "microsoft.managedidentity/identities", generic::system_identity),
];

/// Answers for a resource, a collection or an action of any known type.
pub(crate) fn handle(world: &mut World, ask: &Ask<'_>) -> HttpAnswer {
    if let Some((method, _, act)) = ACTIONS.iter().find(|(_, kind, _)| matches(kind, &ask.kind)) {
        let fits = ask.call.method == *method;
        return if fits { act(world, ask) } else { Err(method_not_allowed(ask.call)) };
    }
    providers::require_type(ask.target)?;
    // What belongs to a cluster and stands under none is only stored.
    let misplaced =
        ask.target.levels.len() < 2 && ask.kind.starts_with("microsoft.kubernetesconfiguration/");
    let service = SERVICES.iter().find(|it| !misplaced && matches(it.kind, &ask.kind));
    let service = service.unwrap_or(&PLAIN);
    (service.admit)(world, ask)?;
    let mut reply = match (&ask.call.method, ask.is_named()) {
        (&Method::GET, false) => (service.list)(world, ask)?,
        (&Method::HEAD, true) => return Ok(Reply::head(world.get(&ask.id).is_some())),
        (&Method::GET, true) => match world.seen(&ask.id) {
            Some(body) => Reply::ok(body),
            None => return (service.missing)(world, ask),
        },
        (&Method::PUT, true) => (service.put)(world, ask)?,
        (&Method::PATCH, true) => (service.patch)(world, ask)?,
        (&Method::DELETE, true) => return (service.delete)(world, ask),
        _ => return Err(method_not_allowed(ask.call)),
    };
    match reply.body.as_mut() {
        Some(Json::Object(list)) if !ask.is_named() => {
            let all = list.get_mut("value").and_then(Json::as_array_mut).into_iter().flatten();
            all.for_each(|body| (service.show)(world, ask, body));
        }
        Some(body) => (service.show)(world, ask, body),
        None => {}
    }
    Ok(reply)
}
