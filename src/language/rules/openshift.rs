//! Security context constraints and the `openshift` setting. Source: AML docs: reference for
//! Kubernetes clusters, "Azure ARO and OCP"; OpenShift docs: managing SCCs.

use crate::language::{Access, ClusterType};
use crate::source::{Diagnostic, Diagnostics, Severity};

use super::view::{DistributionFamily, View};

/// Namespaces in which OpenShift applies no constraint (OpenShift docs: SCC and RBAC).
const UNGUARDED: [&str; 6] =
    ["default", "kube-system", "kube-public", "openshift", "openshift-infra", "openshift-node"];

pub(super) fn check(view: View<'_>, found: &mut Diagnostics) {
    constraint(view, found);
    setting(view, found);
    namespaces(view, found);
    without_kubernetes(view, found);
}

fn constraint(view: View<'_>, found: &mut Diagnostics) {
    let cluster = &view.cluster.spec;
    if cluster.scc.is_none() {
        if view.family() == DistributionFamily::OpenShift && cluster.extension.is_some() {
            found.push(
                Diagnostic::warning("scc-missing", "on OpenShift the extension's pods need a security context constraint; none is named, so `privileged` is granted")
                    .with_help("add `scc: {}` to say that you want it, or name another")
                    .at(view.value("/cluster/distribution"), "OpenShift"),
            );
        }
        return;
    }
    let finding = if cluster.cluster.kind == ClusterType::ManagedClusters {
        Some(("AKS has no security context constraints", "/cluster/type"))
    } else {
        let other = matches!(view.family(), DistributionFamily::Aks | DistributionFamily::Other);
        other
            .then_some(("only OpenShift has security context constraints", "/cluster/distribution"))
    };
    if let Some((message, at)) = finding {
        found.push(
            Diagnostic::error("scc-off-openshift", message)
                .with_help("remove `scc`; an OpenShift cluster is declared as connectedClusters with distribution: openshift")
                .at(view.key("/scc"), "given here")
                .at(view.value(at), "the cluster"),
        );
    }
}

fn setting(view: View<'_>, found: &mut Diagnostics) {
    let Some(settings) = view.settings() else { return };
    let on = settings.is_true("openshift");
    match view.family() {
        DistributionFamily::OpenShift if !on && !settings.is_ga() => found.push(
            Diagnostic::error("openshift-setting-missing", "this profile does not notice OpenShift by itself")
                .with_help("add openshift: true to configurationSettings; it loads the SELinux policy on the nodes")
                .at(settings.place("openshift"), "not true in here")
                .at(view.value("/cluster/distribution"), "OpenShift"),
        ),
        DistributionFamily::OpenShift if settings.get("openshift").is_some() && !on => found.push(
            Diagnostic::warning("setting-overwritten", "`openshift` is set to true on OpenShift, whatever is written here")
                .with_help("leave it out")
                .at(settings.place("openshift"), "has no effect"),
        ),
        DistributionFamily::Aks | DistributionFamily::Other if on => found.push(
            Diagnostic::error("openshift-setting-elsewhere", "`openshift: true` loads an SELinux policy that only OpenShift nodes take")
                .with_help("remove it")
                .at(settings.place("openshift"), "given here"),
        ),
        DistributionFamily::OpenShift | DistributionFamily::Aks | DistributionFamily::Other | DistributionFamily::Unknown => {}
    }
}

fn namespaces(view: View<'_>, found: &mut Diagnostics) {
    if view.family() != DistributionFamily::OpenShift {
        return;
    }
    for (index, compute) in view.cluster.computes.iter().enumerate() {
        let at = format!("/computes/{index}/namespace");
        let written = view.written(&at);
        if UNGUARDED.contains(&compute.namespace.as_str()) {
            let place = if written {
                view.value(&at)
            } else {
                view.value(&format!("/computes/{index}/name"))
            };
            let message = format!(
                "OpenShift advises against workloads in namespace `{}`: no constraint applies there",
                compute.namespace
            );
            found.push(
                Diagnostic::warning("reserved-namespace", message)
                    .with_help("write namespace: with a namespace of its own for the workloads")
                    .at(
                        place,
                        if written {
                            "reserved"
                        } else {
                            "runs in `default` where nothing is said"
                        },
                    ),
            );
        } else if view.cluster.scc.is_some() {
            let message = format!(
                "every pod that runs as `default` in namespace `{}` becomes privileged",
                compute.namespace
            );
            found.push(
                Diagnostic::new("privileged-namespace", Severity::Advice, message)
                    .with_help("run nothing else in it")
                    .at(view.value(&at), "the workloads' namespace"),
            );
        }
    }
}

/// What is left undone without the cluster's own API.
fn without_kubernetes(view: View<'_>, found: &mut Diagnostics) {
    let cluster = &view.cluster.spec;
    if cluster.cluster.access != Access::AzureOnly {
        return;
    }
    let parts = [
        ("/scc", cluster.scc.is_some(), "the grants of security context constraints are"),
        ("/instanceTypes", !cluster.instance_types.is_empty(), "the instance types are"),
    ];
    for (at, _, what) in parts.into_iter().filter(|(_, there, _)| *there) {
        found.push(
            Diagnostic::warning(
                "skipped-without-kubernetes",
                format!("{what} skipped: amlplan may not talk to this cluster"),
            )
            .with_help("remove access: azureOnly, or let somebody else do this part")
            .at(view.key(at), "skipped")
            .at(view.value("/cluster/access"), "because of this"),
        );
    }
}
