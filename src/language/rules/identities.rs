//! Whose identity is used: managed identities and workspaces of computes (AML docs: attach a
//! Kubernetes cluster), and who signs in to the cluster.

use crate::language::{Access, ClusterType, ComputeSpec, CredentialsFrom, IdentityType};
use crate::source::{Diagnostic, Diagnostics};

use super::told;
use super::view::View;

pub(super) fn check(view: View<'_>, found: &mut Diagnostics) {
    for (index, compute) in view.cluster.computes.iter().enumerate() {
        let at = format!("/computes/{index}");
        identity(view, compute, &at, found);
        subscription(view, compute, &at, found);
    }
    credentials(view, found);
}

/// Azure hands out kubeconfigs of AKS only, and who asks for one needs no other.
fn credentials(view: View<'_>, found: &mut Diagnostics) {
    let cluster = &view.cluster.cluster;
    if cluster.credentials != CredentialsFrom::Azure {
        return;
    }
    let here = view.value("/cluster/credentials");
    if cluster.kind == ClusterType::ConnectedClusters {
        found.push(
            told("credentials-of-arc", "")
                .at(here, "not possible")
                .at(view.value("/cluster/type"), "Azure Arc"),
        );
        return;
    }
    for (at, written) in [
        ("/cluster/kubeconfig", cluster.kubeconfig.is_some()),
        ("/cluster/context", cluster.context.is_some()),
        ("/cluster/access", cluster.access == Access::AzureOnly),
    ] {
        if written {
            found.push(
                told("credentials-unused", "")
                    .at(here.clone(), "asks Azure for the kubeconfig")
                    .at(view.key(at), "does without it"),
            );
        }
    }
}

fn identity(view: View<'_>, compute: &ComputeSpec, at: &str, found: &mut Diagnostics) {
    let ids = &compute.identity.user_assigned_identities;
    let list = format!("{at}/identity/userAssignedIdentities");
    let kind = format!("{at}/identity/type");
    match (compute.identity.kind, ids.len()) {
        (IdentityType::UserAssigned, 0) => {
            let finding = told("identity-missing", &compute.name);
            found.push(finding.at(view.value(&kind), "which one?"));
        }
        (IdentityType::UserAssigned, 1)
        | (IdentityType::SystemAssigned | IdentityType::None, 0) => {}
        (IdentityType::UserAssigned, _) => {
            let finding = told("several-identities", &compute.name);
            found.push(finding.at(view.value(&format!("{list}/1")), "not used"));
        }
        (IdentityType::SystemAssigned, _) => found.push(
            told("mixed-identities", &compute.name)
                .at(view.value(&kind), "system-assigned here")
                .at(view.key(&list), "user-assigned here"),
        ),
        (IdentityType::None, _) => {
            let finding = told("identity-type-missing", &compute.name);
            let written = view.written(&kind).then(|| view.value(&kind)).flatten();
            found.push(
                finding.at(view.key(&list), "these would not be used").at(written, "says none"),
            );
        }
    }
}

/// A cluster is attached to workspaces of its own subscription.
fn subscription(view: View<'_>, compute: &ComputeSpec, at: &str, found: &mut Diagnostics) {
    let own = &view.cluster.azure.subscription;
    let Some(other) =
        compute.workspace.subscription.as_ref().filter(|text| !text.eq_ignore_ascii_case(own))
    else {
        return;
    };
    let message = format!(
        "the workspace of compute `{}` is in another subscription than the cluster",
        compute.name
    );
    let finding = match view.cluster.cluster.kind {
        ClusterType::ManagedClusters => Diagnostic::error("other-subscription", message)
            .with_help("AKS attaches within its subscription only: connect it to Azure Arc inside the workspace's subscription and declare that"),
        ClusterType::ConnectedClusters => Diagnostic::warning("other-subscription", message)
            .with_help("the documentation promises this within one subscription only; connect the cluster inside the workspace's"),
    };
    found.push(
        finding
            .at(view.value(&format!("{at}/workspace/subscription")), format!("{other} here"))
            .at(view.value("/azure/subscription"), "the cluster's"),
    );
}
