//! Federated identity credentials: what Azure takes, and what must be one of a kind.
//! Source: Azure REST: federatedIdentityCredentials; Entra docs: workload identity federation,
//! considerations.

use std::collections::HashMap;

use crate::language::{Declared, FederatedIdentityCredentialSpec};
use crate::source::{Diagnostic, Diagnostics};

use super::names::{LABEL_HELP, is_label, is_subdomain};
use super::view::View;

/// So many credentials an identity may have.
const MOST: usize = 20;
/// Longest issuer, in characters.
const LONGEST: usize = 600;

pub(super) fn check(view: View<'_>, found: &mut Diagnostics) {
    for (index, spec) in view.cluster.federated_identity_credentials.iter().enumerate() {
        let at = format!("/federatedIdentityCredentials/{index}");
        let mut report = |fits: bool, code, path: &str, message: String, help: &str| {
            if !fits {
                let place = view.value(&format!("{at}{path}"));
                found.push(Diagnostic::error(code, message).with_help(help).at(place, "here"));
            }
        };
        let inner = |byte: u8| byte.is_ascii_alphanumeric();
        let fits = (3..=120).contains(&spec.name.len())
            && spec.name.bytes().next().is_some_and(inner)
            && spec.name.bytes().all(|byte| inner(byte) || byte == b'-' || byte == b'_');
        let message = format!("`{}` cannot name a federated identity credential", spec.name);
        let help = "use 3 to 120 letters, digits, hyphens and underscores, a letter or digit first";
        report(fits, "bad-credential", "/name", message, help);
        let account = &spec.service_account;
        let message = format!("`{}` cannot be a Kubernetes namespace", account.namespace);
        let path = "/serviceAccount/namespace";
        report(is_label(&account.namespace), "bad-namespace", path, message, LABEL_HELP);
        let message = format!("`{}` cannot name a service account", account.name);
        let path = "/serviceAccount/name";
        report(is_subdomain(&account.name), "bad-credential", path, message, LABEL_HELP);
        if let Some(issuer) = &spec.issuer {
            let fits = issuer.starts_with("https://") && issuer.len() <= LONGEST;
            let message = format!("`{issuer}` is not the address of a token issuer");
            let help = "write its https address, 600 characters at most, or leave it out: then it is read from the cluster";
            report(fits, "bad-credential", "/issuer", message, help);
        }
        let message = format!("{} audiences, and Azure takes one", spec.audiences.len());
        let help = "keep one, or leave it out for the one of the cloud";
        report(spec.audiences.len() <= 1, "bad-credential", "/audiences", message, help);
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
                let finding = Diagnostic::error("duplicate-credential", message).with_help(help);
                found.push(
                    finding
                        .at(place(cluster, &at, "/name"), "again here")
                        .at(place(cluster, &first, "/name"), "first here"),
                );
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
        let finding = Diagnostic::error("duplicate-credential", message)
            .with_help("keep one, or give them different names and service accounts");
        found.push(
            finding
                .at(place(cluster, at, below), "again here")
                .at(place(other, first, below), "first here"),
        );
    }
}
