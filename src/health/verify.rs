//! `amlplan verify`: whether the deployment works, from the extension's state down to its pods
//! (AML docs: deploy extension, "verify"; troubleshoot extension).

mod cluster;

use super::report::{Finding, Probe, Probed};
use super::site::{
    AZUREML, Found, Site, clusters, extension_of, object, objects, probes_of, sites, text,
};
use crate::catalog;
use crate::model::{Json, Key, KindName};
use crate::resource::graph::Desired;
use crate::resource::{
    Compute, ComputeIdentity, InstanceType, Kind, Readiness, Resource, Snapshot,
};

const CRD: (&str, &str, &str) =
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions");
const CONFIG_MAP: (&str, &str, &str) = ("v1", "ConfigMap", "configmaps");

/// What `verify` wants to read beside the resources themselves.
#[must_use]
pub fn probes(desired: &Desired) -> Vec<Probe> {
    let mut probes = Vec::new();
    for (name, _, access) in clusters(desired) {
        if !access.kubernetes || extension_of(desired, name).is_none() {
            continue;
        }
        let here = Some(AZUREML);
        probes.extend(probes_of(
            name,
            vec![
                objects("deployments", ("apps/v1", "Deployment", "deployments"), here),
                objects("statefulsets", ("apps/v1", "StatefulSet", "statefulsets"), here),
                objects("daemonsets", ("apps/v1", "DaemonSet", "daemonsets"), here),
                objects("pods", ("v1", "Pod", "pods"), here),
                objects("events", ("v1", "Event", "events"), here),
                object("health", CONFIG_MAP, here, "arcml-healthcheck"),
                object("health-2021", CONFIG_MAP, here, "amlarc-healthcheck"),
                object("router", ("v1", "Service", "services"), here, "azureml-fe"),
                object("instance-type-crd", CRD, None, "instancetypes.amlarc.azureml.com"),
            ],
        ));
    }
    probes
}

/// Checks whether everything that the manifest declares works. Nothing that could not be read
/// passes.
#[must_use]
pub fn checks(desired: &Desired, snapshot: &Snapshot, probed: &Probed) -> Vec<Finding> {
    let mut checks = Vec::new();
    for mut site in sites(desired, snapshot, probed) {
        super::access::connection(&mut site);
        extension(&mut site);
        resources(&mut site);
        cluster::checks(&mut site);
        checks.extend(site.checks);
    }
    checks
}

/// What is live of a resource: `Err` when it was not read.
fn live<'a>(site: &Site<'a>, key: &Key) -> Result<Option<&'a Json>, Found> {
    let snapshot: &'a Snapshot = site.snapshot;
    let unread = || Found::Unknown(format!("{key} was not read"));
    Ok(snapshot.live.get(key).ok_or_else(unread)?.document())
}

fn extension(site: &mut Site<'_>) {
    let Some(extension) = site.extension else { return };
    let key = extension.key.clone();
    let document = match live(site, &key) {
        Ok(Some(document)) => document,
        Ok(None) => {
            let found = Found::wrong("the extension is not installed", "amlplan apply installs it");
            return site.add("extension-not-ready", &key, found);
        }
        Err(unread) => return site.add("extension-not-ready", &key, unread),
    };
    let live = site.snapshot.of(&key);
    let ready = match text(document, "/properties/provisioningState") {
        // The API of early 2021 says installState instead.
        "" => match text(document, "/properties/installState") {
            "Installed" => Readiness::Ready,
            "" => Readiness::Waiting("nothing".to_owned()),
            "Failed" => Readiness::Failed { state: "Failed".into(), message: String::new() },
            other => Readiness::Waiting(other.to_owned()),
        },
        _ => extension.readiness(&extension.want(site.snapshot), &live),
    };
    site.add_at("extension-not-ready", &key, "/properties", verdict(ready));
    let kind = text(document, "/properties/extensionType");
    let found = if kind.eq_ignore_ascii_case("Microsoft.AzureML.Kubernetes") {
        Found::pass()
    } else {
        Found::wrong(
            format!("extension `{}` is of type {kind}", extension.name()),
            "write another extension.name: this one belongs to something else",
        )
    };
    site.add("extension-wrong-type", &key, found);
}

/// What a state means for the reader.
fn verdict(readiness: Readiness) -> Found {
    match readiness {
        Readiness::Ready => Found::pass(),
        Readiness::Absent => {
            Found::wrong("it does not exist", "amlplan plan shows what apply would do about it")
        }
        Readiness::Waiting(state) => Found::wrong(
            format!("its state is {state}"),
            "Azure still works on it: verify again in some minutes",
        ),
        Readiness::Failed { state, message } => {
            let remedy = catalog::remedy(crate::model::Api::Azure, 0, "", &message);
            let help = remedy.map_or_else(
                || "amlplan apply tries again; its events tell more".to_owned(),
                |it| format!("{}: {}", it.summary, it.help),
            );
            Found::wrong(format!("its state is {state}: {message}"), help)
        }
        Readiness::NeedsHuman(what) => Found::Wrong(what, None),
    }
}

/// Every other resource of the cluster, by its own readiness.
fn resources(site: &mut Site<'_>) {
    let (desired, name) = (site.desired, site.name);
    for (key, node) in desired.nodes.iter().filter(|(key, _)| key.scope == name) {
        let Some(code) = code_of(key.kind) else { continue };
        if !node.resource.kind().applies(site.snapshot) {
            continue;
        }
        if let Err(unread) = live(site, key) {
            site.add(code, key, unread);
            continue;
        }
        let live = site.snapshot.of(key);
        if let Resource::SccGrant(_) = &node.resource {
            grant(site, key);
            continue;
        }
        let kind = node.resource.kind();
        let readiness = kind.readiness(&kind.want(site.snapshot), &live);
        let ready = readiness == Readiness::Ready;
        site.add_at(code, key, "/properties", verdict(readiness));
        if let (Resource::Compute(compute), true) = (&node.resource, ready) {
            identity(site, compute);
        }
    }
}

/// The code under which a kind that is not ready is reported; others have checks of their own.
const fn code_of(kind: KindName) -> Option<&'static str> {
    match kind {
        KindName::Feature | KindName::Provider | KindName::Extension => None,
        KindName::Cluster | KindName::Workspace | KindName::ManagedIdentity => None,
        KindName::SccGrant => Some("scc-grant-incomplete"),
        KindName::Namespace => Some("namespace-not-ready"),
        KindName::RelayNamespace
        | KindName::RelayHybridConnection
        | KindName::RelayAuthorizationRule
        | KindName::ServiceBusNamespace
        | KindName::ServiceBusTopic
        | KindName::ServiceBusSubscription
        | KindName::LogAnalyticsWorkspace => Some("companion-not-ready"),
        KindName::InstanceType => Some("instance-type-missing"),
        KindName::Compute => Some("compute-not-ready"),
        KindName::RoleAssignment => Some("role-assignment-missing"),
    }
}

/// Whether every account still has its grant, in whichever way.
fn grant(site: &mut Site<'_>, key: &Key) {
    let missing = missing_accounts(site);
    let found = if missing.is_empty() {
        Found::pass()
    } else {
        Found::wrong(
            format!("{} may not use SCC {}", super::site::some(&missing), key.name),
            "amlplan apply grants it again",
        )
    };
    site.add("scc-grant-incomplete", key, found);
}

/// The accounts of the cluster's grant that do not hold it, as OpenShift writes users.
pub(super) fn missing_accounts(site: &Site<'_>) -> Vec<String> {
    let Some(grant) = site.grant() else { return Vec::new() };
    let shown = grant.shown(&site.snapshot.of(&grant.key)).unwrap_or_default();
    let user = |namespace: &str, name: &str| format!("system:serviceaccount:{namespace}:{name}");
    let users = super::site::items(&shown, "/users").filter_map(Json::as_str).map(str::to_owned);
    let subjects = super::site::items(&shown, "/subjects");
    let bound = subjects.map(|it| user(text(it, "/namespace"), text(it, "/name")));
    let held: Vec<String> = users.chain(bound).collect();
    let wanted = grant.accounts.iter().map(|(namespace, name)| user(namespace, name));
    wanted.filter(|it| !held.contains(it)).collect()
}

/// A compute that should have an identity shows its principal.
fn identity(site: &mut Site<'_>, compute: &Compute) {
    let Some(document) = site.snapshot.document(&compute.key) else { return };
    let filled = |it: &Json| it.as_str().is_some_and(|it| !it.is_empty());
    let found = match &compute.identity {
        ComputeIdentity::None => return,
        ComputeIdentity::SystemAssigned => {
            document.pointer("/identity/principalId").is_some_and(filled)
        }
        ComputeIdentity::UserAssigned(id) => {
            let all = document.pointer("/identity/userAssignedIdentities");
            let mut all = all.and_then(Json::as_object).into_iter().flatten();
            let own = all.find(|(key, _)| key.eq_ignore_ascii_case(id.as_str()));
            own.and_then(|(_, it)| it.get("principalId")).is_some_and(filled)
        }
    };
    let found = if found {
        Found::pass()
    } else {
        Found::wrong(
            "the compute has no principal of the declared identity",
            "detach and attach it again: Azure ML sets the identity when it attaches",
        )
    };
    site.add_at("compute-identity-missing", &compute.key, "/identity", found);
}

/// The kind of objects that the extension has to serve for instance types.
pub(super) fn served(crd: &Json) -> bool {
    let version = InstanceType::API_VERSION.rsplit('/').next().unwrap_or_default();
    super::site::items(crd, "/spec/versions").any(|it| {
        text(it, "/name") == version && it.get("served").and_then(Json::as_bool).unwrap_or(true)
    })
}

#[cfg(test)]
mod tests;
