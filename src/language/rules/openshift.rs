//! Security context constraints and the `openshift` setting. Source: AML docs: reference for
//! Kubernetes clusters, "Azure ARO and OCP"; OpenShift docs: managing SCCs.

use crate::language::{Access, ClusterType};
use crate::source::{Diagnostic, Diagnostics};

use super::told;
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
            told("openshift-setting-missing", "")
                .at(settings.place("openshift"), "not true in here")
                .at(view.value("/cluster/distribution"), "OpenShift"),
        ),
        DistributionFamily::OpenShift if settings.get("openshift").is_some() && !on => found.push(
            Diagnostic::warning(
                "setting-overwritten",
                "`openshift` is set to true on OpenShift, whatever is written here",
            )
            .with_help("leave it out")
            .at(settings.place("openshift"), "has no effect"),
        ),
        DistributionFamily::Aks | DistributionFamily::Other if on => {
            let place = settings.place("openshift");
            found.push(told("openshift-setting-elsewhere", "").at(place, "given here"));
        }
        _ => {}
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
            let finding = told("reserved-namespace", &compute.namespace);
            found.push(if written {
                finding.at(view.value(&at), "reserved")
            } else {
                let name = view.value(&format!("/computes/{index}/name"));
                finding.at(name, "runs in `default` where nothing is said")
            });
        } else if view.cluster.scc.is_some() {
            let finding = told("privileged-namespace", &compute.namespace);
            found.push(finding.at(view.value(&at), "the workloads' namespace"));
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
            told("skipped-without-kubernetes", what)
                .at(view.key(at), "skipped")
                .at(view.value("/cluster/access"), "because of this"),
        );
    }
}
