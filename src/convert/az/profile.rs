//! Which profile the commands are of, and what they say in the words of the other one.

use std::collections::BTreeSet;

use super::Findings;
use super::draft::{ClusterDraft, Drafts, Finished};
use super::install::{PLAIN, Said};
use crate::catalog::{self, ProfileName};
use crate::language::{ClusterType, ExtensionSpec, Profile};
use crate::resource::graph::{self, catalog_profile};

/// The profile that settings can only be of: keys that only one of the two knows decide, and what
/// only the older `az` sends.
pub(in super::super) fn told<'a>(
    settings: impl Iterator<Item = (&'a str, String)> + Clone,
) -> Option<Profile> {
    let knows = |profile, key: &str| {
        catalog::setting(key).is_some_and(|setting_fact| setting_fact.in_profile(profile))
            || catalog::derived_map(profile, key).is_some()
    };
    let only = |own, other| settings.clone().any(|it| knows(own, it.0) && !knows(other, it.0));
    if only(ProfileName::Ga, ProfileName::Preview) {
        return Some(Profile::Ga);
    }
    // Today's profile cannot be without inferenceRouterServiceType.
    let older = settings.clone().any(|(key, value)| match key {
        "enableInference" => value.eq_ignore_ascii_case("true"),
        "clusterPurpose" => value.eq_ignore_ascii_case("FastProd"),
        _ => key == "servicebus.resourceID",
    });
    (older || only(ProfileName::Preview, ProfileName::Ga)).then_some(Profile::Preview)
}

/// The profile that a draft can only be in. Scripts of the months between mix keys of both: what
/// only today's knows decides, and [`renew`] translates the rest.
pub(super) fn evidence(draft: &ClusterDraft) -> Option<Profile> {
    let extension = draft.extension()?.ok()?;
    let plain = extension.configuration_settings.iter().map(|it| (it.0.as_str(), it.1.wire()));
    let secret = extension.configuration_protected_settings.keys();
    let listed = |name: &str| draft.accounts.iter().any(|account| account.ends_with(name));
    let older = listed(":azureml-fe") || listed(":cluster-status-reporter");
    told(plain.chain(secret.map(|text| (text.as_str(), String::new()))))
        .or_else(|| older.then_some(Profile::Preview))
        .or_else(|| listed(":azureml-fe-v2").then_some(Profile::Ga))
}

/// Keys of the other profile, translated by what the catalog says of them.
pub(super) fn renew(extension: &mut ExtensionSpec, said: &Said, findings: &mut Findings) {
    use crate::language::Setting;
    let profile = catalog_profile(extension.profile);
    let old: Vec<String> = extension
        .configuration_settings
        .keys()
        .filter(|text| catalog::setting(text).is_some_and(|it| !it.in_profile(profile)))
        .cloned()
        .collect();
    for key in old {
        let Some(fact) = catalog::setting(&key) else { continue };
        let Some(value) = extension.configuration_settings.remove(&key) else { continue };
        let span = said.get(&format!("{PLAIN}{key}")).map_or(0..0, |it| it.1.clone());
        let replacement = fact.replaced_by.as_ref();
        let new = replacement.and_then(|it| it.key.clone());
        let message = match (new, key.as_str()) {
            (Some(new), _) => {
                let invert = replacement.is_some_and(|it| it.invert);
                let value = if invert { Setting::Bool(!value.is_true()) } else { value };
                let message =
                    format!("`{key}` is `{new}` in profile {}", extension.profile.as_str());
                extension.configuration_settings.entry(new).or_insert(value);
                message
            }
            (None, "privateEndpointNodeport" | "privateEndpointILB") if value.is_true() => {
                let (kind, name) =
                    if key.ends_with("ILB") { ("LoadBalancer", "azure") } else { ("NodePort", "") };
                let settings = &mut extension.configuration_settings;
                settings
                    .entry("inferenceRouterServiceType".into())
                    .or_insert(Setting::Text(kind.into()));
                if !name.is_empty() {
                    settings
                        .entry("internalLoadBalancerProvider".into())
                        .or_insert(Setting::Text(name.into()));
                }
                format!(
                    "`{key}` is `inferenceRouterServiceType: {kind}` in profile {}",
                    extension.profile.as_str()
                )
            }
            (None, _) => {
                let advice =
                    replacement.map_or("this profile does not have it", |it| it.advice.as_str());
                format!("`{key}` is left out: {advice}")
            }
        };
        findings.slip(span, message);
    }
}

/// Names registrations only where they are more than what the manifests derive: on the first
/// cluster, those of AKS on the first AKS cluster.
pub(super) fn registrations(drafts: &Drafts, finished: &mut [Finished]) {
    let derived: BTreeSet<&str> = finished
        .iter()
        .map(|finished| graph::registrations(&finished.cluster))
        .flat_map(|registrations| registrations.features.into_iter().chain(registrations.providers))
        .map(|registration| registration.name)
        .collect();
    let first_aks =
        finished.iter().position(|it| it.cluster.cluster.kind == ClusterType::ManagedClusters);
    for name in drafts.features.iter().chain(&drafts.providers) {
        let aks = name.starts_with("Microsoft.ContainerService");
        let at = first_aks.filter(|_| aks).unwrap_or(0);
        let Some(Finished { cluster, .. }) = finished.get_mut(at) else { continue };
        let needed = graph::registrations(cluster);
        let explicit = (!cluster.features.is_empty(), !cluster.providers.is_empty());
        let (list, own, explicit) = if name.contains('/') {
            (&mut cluster.features, needed.features, explicit.0)
        } else {
            (&mut cluster.providers, needed.providers, explicit.1)
        };
        if derived.contains(name.as_str()) || list.contains(name) {
            continue;
        }
        if !explicit {
            list.extend(own.into_iter().map(|registration| registration.name.to_owned()));
        }
        list.push(name.clone());
    }
}
