//! Service accounts that need a security context constraint on OpenShift.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde::Deserialize;

use super::{ProfileName, both_profiles, load};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountFact {
    namespace: String,
    names: Vec<String>,
    #[serde(default = "both_profiles")]
    profiles: Vec<ProfileName>,
}

#[derive(Deserialize)]
struct AccountsFile {
    account: Vec<AccountFact>,
}

static FILE: LazyLock<AccountsFile> = LazyLock::new(|| load(include_str!("accounts.toml")));

/// `(namespace, name)` of each service account of an extension, each once, in the order of the
/// public lists. `compute_namespaces` are those of the attached computes; `default` is left out of
/// them, since OpenShift applies no constraint there.
///
/// Source: AML docs: reference for Kubernetes clusters, OpenShift prerequisites.
#[must_use]
pub fn service_accounts(
    profile: ProfileName,
    extension_name: &str,
    compute_namespaces: &[String],
) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for fact in FILE.account.iter().filter(|account| account.profiles.contains(&profile)) {
        let namespaces: BTreeSet<&str> = if fact.namespace == "{compute}" {
            compute_namespaces.iter().map(String::as_str).filter(|it| *it != "default").collect()
        } else {
            BTreeSet::from([fact.namespace.as_str()])
        };
        for namespace in namespaces {
            for name in &fact.names {
                let account = (namespace.to_owned(), name.replace("{extension}", extension_name));
                if !found.contains(&account) {
                    found.push(account);
                }
            }
        }
    }
    found
}

/// Accounts on the list of the other profile only: a grant to one of them is stale.
#[must_use]
pub fn other_profile_accounts(profile: ProfileName, extension_name: &str) -> Vec<(String, String)> {
    let other = match profile {
        ProfileName::Preview => ProfileName::Ga,
        ProfileName::Ga => ProfileName::Preview,
    };
    let ours = service_accounts(profile, extension_name, &[]);
    let mut theirs = service_accounts(other, extension_name, &[]);
    theirs.retain(|it| !ours.contains(it));
    theirs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_article_lists_eleven_accounts_in_this_order() {
        let users: Vec<String> = service_accounts(ProfileName::Preview, "x", &["default".into()])
            .into_iter()
            .map(|(namespace, name)| format!("{namespace}:{name}"))
            .collect();
        let expected = "azure-arc:azure-arc-kube-aad-proxy-sa azureml:x-kube-state-metrics \
            azureml:cluster-status-reporter azureml:prom-admission azureml:default \
            azureml:prom-operator azureml:csi-blob-node-sa azureml:csi-blob-controller-sa \
            azureml:load-amlarc-selinux-policy-sa azureml:azureml-fe azureml:prom-prometheus";
        assert_eq!(users.join(" "), expected);
    }

    #[test]
    fn each_compute_namespace_but_default_adds_one_account() {
        let namespaces = ["team".to_owned(), "default".to_owned(), "azureml".to_owned()];
        let with = service_accounts(ProfileName::Ga, "x", &namespaces);
        let without = service_accounts(ProfileName::Ga, "x", &[]);
        assert_eq!(with.len(), without.len() + 1);
        assert!(with.contains(&("team".into(), "default".into())));
    }

    #[test]
    fn stale_accounts_are_those_of_the_other_profile_only() {
        let stale: Vec<_> =
            other_profile_accounts(ProfileName::Ga, "x").into_iter().map(|it| it.1).collect();
        let expected =
            ["cluster-status-reporter", "csi-blob-node-sa", "csi-blob-controller-sa", "azureml-fe"];
        assert_eq!(stale, expected);
    }
}
