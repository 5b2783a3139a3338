//! Whose identity is used: managed identities and workspaces of computes (AML docs: attach a
//! Kubernetes cluster), and who signs in to the cluster.

use crate::language::{Access, ClusterType, ComputeSpec, CredentialsFrom, IdentityType};
use crate::source::{Diagnostic, Diagnostics};

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
        let message =
            "Azure hands out no kubeconfig of a cluster that is connected through Azure Arc";
        found.push(
            Diagnostic::error("credentials-of-arc", message)
                .with_help("remove it and run `az connectedk8s proxy` beside amlplan, or use the cluster's own kubeconfig")
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
                Diagnostic::error("credentials-unused", "two lines contradict each other about how to reach the cluster")
                    .with_help("keep one of them: credentials: azure asks Azure for the kubeconfig and reads no other")
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
        (IdentityType::UserAssigned, 0) => found.push(
            Diagnostic::error(
                "identity-missing",
                format!(
                    "compute `{}` has a user-assigned identity, but none is named",
                    compute.name
                ),
            )
            .with_help("add userAssignedIdentities with its resource id")
            .at(view.value(&kind), "which one?"),
        ),
        (IdentityType::UserAssigned, 1)
        | (IdentityType::SystemAssigned | IdentityType::None, 0) => {}
        (IdentityType::UserAssigned, _) => found.push(
            Diagnostic::warning(
                "several-identities",
                format!("Azure ML uses only the first identity of compute `{}`", compute.name),
            )
            .with_help("keep the first; another compute can have the other")
            .at(view.value(&format!("{list}/1")), "not used"),
        ),
        (IdentityType::SystemAssigned, _) => found.push(
            Diagnostic::error(
                "mixed-identities",
                format!(
                    "compute `{}` cannot have a system-assigned and a user-assigned identity",
                    compute.name
                ),
            )
            .with_help("a compute has one kind: write type: UserAssigned, or remove the list")
            .at(view.value(&kind), "system-assigned here")
            .at(view.key(&list), "user-assigned here"),
        ),
        (IdentityType::None, _) => {
            let finding = Diagnostic::error(
                "identity-type-missing",
                format!("compute `{}` names identities but its type says none", compute.name),
            )
            .with_help("write type: UserAssigned beside the list");
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
