//! `amlplan doctor`: every prerequisite that can be read, before anything is changed. What apply
//! brings about by itself passes and says so.

use jiff::Timestamp;

use super::report::{Finding, Probe, Probed, Status};
use super::site::{AZUREML, Found, Site, check, clusters, objects, probes_of, sites};
use super::{access, capacity, conflicts, grants, rights};
use crate::catalog::{self, ArmType, RegistrationQuery};
use crate::model::KindName;
use crate::resource::graph::{ClusterAccess, Desired};
use crate::resource::{Read, Readiness, Resource, Snapshot};

/// What `doctor` wants to read beside the resources themselves.
#[must_use]
pub fn probes(desired: &Desired) -> Vec<Probe> {
    let mut probes = rights::probes(desired);
    for (name, _, access) in clusters(desired) {
        probes.extend(probes_of(name, in_azure(desired, name, access)));
        if access.kubernetes {
            probes.extend(probes_of(name, in_cluster(desired, name)));
        }
    }
    probes
}

fn in_azure(desired: &Desired, name: &str, access: &ClusterAccess) -> Vec<(String, Read)> {
    let list = |probe: &str, path: String, ArmType { api_version, .. }: ArmType| {
        (probe.to_owned(), Read::ArmList { path, api_version })
    };
    let id = &access.id;
    let path = format!("{id}/providers/{}", ArmType::EXTENSIONS);
    let mut reads = vec![list("extensions", path, ArmType::EXTENSIONS)];
    let path = format!("{id}/providers/{}?$filter=atScope()", ArmType::ROLE_ASSIGNMENTS);
    reads.push(list("cluster-roles", path, ArmType::ROLE_ASSIGNMENTS));
    if access::is_aks_id(id) {
        reads.push(list(
            "trusted-access",
            format!("{id}/trustedAccessRoleBindings"),
            ArmType::MANAGED_CLUSTERS,
        ));
    }
    for node in desired.nodes.values() {
        if let Resource::Compute(compute) = &node.resource
            && compute.key.scope == name
        {
            let workspace = access::workspace_id(compute);
            let path = format!("{workspace}/computes");
            reads.push(list(&format!("computes {workspace}"), path, ArmType::COMPUTES));
        }
    }
    reads.sort();
    reads.dedup();
    reads
}

fn in_cluster(desired: &Desired, name: &str) -> Vec<(String, Read)> {
    let apps = |kind, plural| ("apps/v1", kind, plural);
    let crds = ("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions");
    let webhooks = (
        "admissionregistration.k8s.io/v1",
        "MutatingWebhookConfiguration",
        "mutatingwebhookconfigurations",
    );
    let mut reads = vec![
        objects("nodes", ("v1", "Node", "nodes"), None),
        objects("all-pods", ("v1", "Pod", "pods"), None),
        objects("services", ("v1", "Service", "services"), None),
        objects("deployments", apps("Deployment", "deployments"), None),
        objects("daemonsets", apps("DaemonSet", "daemonsets"), None),
        objects("secrets", ("v1", "Secret", "secrets"), Some(AZUREML)),
        objects("crds", crds, None),
        objects(
            "ingress-classes",
            ("networking.k8s.io/v1", "IngressClass", "ingressclasses"),
            None,
        ),
        objects("webhooks", webhooks, None),
    ];
    reads.extend(conflicts::legacy_probes());
    let extension = super::site::extension_of(desired, name);
    if let Some(secret) = extension.and_then(|it| it.settings.get("sslSecret")) {
        reads.push(("tls-secret".to_owned(), conflicts::tls_secret(secret)));
    }
    reads
}

/// Checks every prerequisite. `now` is the time of the run.
#[must_use]
pub fn checks(
    desired: &Desired,
    snapshot: &Snapshot,
    probed: &Probed,
    now: Timestamp,
) -> Vec<Finding> {
    let mut checks = shared(desired, snapshot);
    checks.extend(rights::checks(desired, snapshot, probed));
    for mut site in sites(desired, snapshot, probed) {
        access::checks(&mut site, now);
        undeclared(&mut site);
        rights::workspace_roles(&mut site);
        if site.access.kubernetes {
            capacity::checks(&mut site);
            grants::checks(&mut site, now);
            conflicts::checks(&mut site);
        } else {
            let why =
                "cluster.access is azureOnly, so nodes, conflicts and grants are not looked at";
            site.add("cluster-not-looked-at", &site.cluster.clone(), Found::Skipped(why.into()));
        }
        checks.extend(site.checks);
    }
    checks
}

/// The findings that stop an apply.
#[must_use]
pub fn blocking(checks: &[Finding]) -> Vec<&Finding> {
    checks.iter().filter(|it| it.status == Status::Fail).collect()
}

/// Registrations and identities.
fn shared(desired: &Desired, snapshot: &Snapshot) -> Vec<Finding> {
    let mut checks = Vec::new();
    let registration = |it: KindName| matches!(it, KindName::Feature | KindName::Provider);
    for (key, node) in &desired.nodes {
        let code = if registration(key.kind) {
            "not-registered"
        } else if key.kind == KindName::ManagedIdentity {
            "identity-missing"
        } else {
            continue;
        };
        let Some(live) = snapshot.live.get(key) else {
            let found = Found::Unknown(format!("{key} was not read"));
            checks.push(check(desired, code, key, "", found));
            continue;
        };
        let kind = node.resource.kind();
        let found = match kind.readiness(&kind.want(snapshot), live) {
            Readiness::Ready => Found::Pass(kind.remark(live).unwrap_or_default()),
            Readiness::Absent if key.kind == KindName::ManagedIdentity => Found::wrong(
                format!("there is no managed identity {}", key.name),
                "check identity.userAssignedIdentities, or make the identity",
            ),
            Readiness::Absent => Found::Pass("apply registers it".to_owned()),
            Readiness::Waiting(state) => Found::Pass(format!("it is {state}; apply waits for it")),
            Readiness::Failed { state, message } => {
                Found::Wrong(format!("its state is {state}: {message}"), None)
            }
            Readiness::NeedsHuman(what) => Found::Wrong(what, None),
        };
        checks.push(check(desired, code, key, "", found));
    }
    checks
}

/// Registrations that are needed and that a list in the manifest leaves out.
fn undeclared(site: &mut Site<'_>) {
    let (desired, name) = (site.desired, site.name);
    let own = |kind: KindName| desired.nodes.keys().any(|it| it.kind == kind && it.scope == name);
    let needed = catalog::registrations(&RegistrationQuery {
        profile: site.profile(),
        aks: access::is_aks(site),
        extension: site.extension.is_some(),
        relay: own(KindName::RelayNamespace),
        service_bus: own(KindName::ServiceBusNamespace),
        log_analytics: own(KindName::LogAnalyticsWorkspace),
        computes: own(KindName::Compute),
    });
    let declared = |kind: KindName, it: &str| {
        let subscription = &site.scope.subscription;
        let mut all = desired.nodes.keys();
        all.any(|key| key.kind == kind && key.scope == *subscription && key.name == it)
    };
    let missing: Vec<&str> = needed
        .providers
        .iter()
        .filter(|it| it.required && !declared(KindName::Provider, it.name))
        .map(|it| it.name)
        .collect();
    let found = if missing.is_empty() {
        Found::pass()
    } else {
        Found::wrong(
            format!("`providers` leaves out what the manifest uses: {}", missing.join(", ")),
            format!("write {} under providers, or leave providers out", missing.join(", ")),
        )
    };
    site.add("provider-not-declared", &site.cluster.clone(), found);
}

#[cfg(test)]
mod tests;
