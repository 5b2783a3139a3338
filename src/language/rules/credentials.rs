//! Federated identity credentials: what Azure takes, and what must be one of a kind.
//! Source: Azure REST: federatedIdentityCredentials; Entra docs: workload identity federation,
//! considerations.

use std::collections::HashMap;

use crate::language::{Declared, FederatedIdentityCredentialSpec};
use crate::source::{Diagnostic, Diagnostics};

use super::view::View;
use crate::language::unique::twice;

/// So many credentials an identity may have.
const MOST: usize = 20;

pub(super) fn check(view: View<'_>, found: &mut Diagnostics) {
    for (index, spec) in view.cluster.federated_identity_credentials.iter().enumerate() {
        if spec.audiences.len() > 1 {
            let message = format!("{} audiences, and Azure takes one", spec.audiences.len());
            let finding = Diagnostic::error("bad-credential", message)
                .with_help("keep one, or leave it out for the one of the cloud");
            let at = format!("/federatedIdentityCredentials/{index}/audiences");
            found.push(finding.at(view.value(&at), "here"));
        }
    }
}

type One<'a> = (&'a Declared, String, &'a FederatedIdentityCredentialSpec);

/// What must be one of a kind on an identity, whichever cluster declares it.
pub(super) fn across<'a>(clusters: impl Iterator<Item = &'a Declared>, found: &mut Diagnostics) {
    let mut identities: HashMap<String, Vec<One<'a>>> = HashMap::new();
    for cluster in clusters {
        let mut names: HashMap<String, String> = HashMap::new();
        for (index, spec) in cluster.federated_identity_credentials.iter().enumerate() {
            let at = format!("/federatedIdentityCredentials/{index}");
            let known = names.insert(spec.name.to_ascii_lowercase(), at.clone());
            if let Some(first) = known {
                let message =
                    format!("two federated identity credentials are named `{}`", spec.name);
                let help = "give each a name of its own: it is part of its address";
                let (again, first) =
                    (place(cluster, &at, "/name"), place(cluster, &first, "/name"));
                found.push(twice("duplicate-credential", message, again, first).with_help(help));
                continue;
            }
            let owner = spec.identity.trim_matches('/').to_ascii_lowercase();
            let all = identities.entry(owner).or_default();
            same(all, (cluster, &at, spec), found);
            all.push((cluster, at, spec));
            if all.len() == MOST + 1 {
                let (cluster, at, _) = &all[MOST];
                let message = format!("more than {MOST} credentials on one identity");
                let help = "Azure takes 20 on an identity: give some service accounts another one";
                let finding = Diagnostic::error("too-many-credentials", message).with_help(help);
                found.push(finding.at(place(cluster, at, "/identity"), "one too many"));
            }
        }
    }
}

fn place(cluster: &Declared, at: &str, below: &str) -> Option<crate::source::Place> {
    cluster.origin.value(&crate::model::Pointer::parse(&format!("{at}{below}")))
}

/// Two of one name would overwrite each other; Azure refuses a second one for the same tokens.
fn same(
    all: &[One<'_>],
    (cluster, at, spec): (&Declared, &str, &FederatedIdentityCredentialSpec),
    found: &mut Diagnostics,
) {
    for (other, first, known) in all {
        // Without an issuer it is the cluster's own.
        let issuer = match (&known.issuer, &spec.issuer) {
            (None, None) => other.resource_id() == cluster.resource_id(),
            (known, text) => known == text,
        };
        let (below, message) = match () {
            () if known.name.eq_ignore_ascii_case(&spec.name) => (
                "/name",
                format!("two clusters declare the credential `{}` of one identity", spec.name),
            ),
            () if issuer && known.service_account == spec.service_account => {
                ("/serviceAccount", "the identity trusts this service account twice".to_owned())
            }
            () => continue,
        };
        let (again, first) = (place(cluster, at, below), place(other, first, below));
        let finding = twice("duplicate-credential", message, again, first);
        found
            .push(finding.with_help("keep one, or give them different names and service accounts"));
    }
}
