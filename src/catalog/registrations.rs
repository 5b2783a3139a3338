//! Feature flags and resource providers that a manifest needs registered, with the reason.

use std::sync::LazyLock;

use serde::Deserialize;

use super::{ProfileName, both_profiles, load, yes};

/// What a manifest uses.
#[derive(Debug, Clone, Copy)]
pub struct RegistrationQuery {
    /// Generation of the extension.
    pub profile: ProfileName,
    /// An AKS cluster without Arc; else one through Azure Arc.
    pub aks: bool,
    /// An extension is declared.
    pub extension: bool,
    /// Azure Relay is used.
    pub relay: bool,
    /// Service Bus is used.
    pub service_bus: bool,
    /// A Log Analytics workspace is made.
    pub log_analytics: bool,
    /// Computes are declared.
    pub computes: bool,
}

/// A feature flag or provider and why it is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// `NAMESPACE/FEATURE` or `NAMESPACE`.
    pub name: &'static str,
    /// For a feature: the provider to register again once the feature is registered.
    pub provider: Option<&'static str>,
    /// Whether the manifest cannot work without it.
    pub required: bool,
    /// Why.
    pub reason: &'static str,
}

/// What has to be registered in the subscription.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registrations {
    /// Feature flags.
    pub features: Vec<Registration>,
    /// Resource providers.
    pub providers: Vec<Registration>,
}

/// A feature flag that Azure may have dropped because what it opened is open to all.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetiredFeature {
    /// `NAMESPACE/FEATURE`.
    pub name: String,
    /// What happened.
    pub reason: String,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum When {
    Extension,
    Aks,
    Arc,
    Relay,
    ServiceBus,
    LogAnalytics,
    Computes,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RegistrationFact {
    name: String,
    provider: Option<String>,
    #[serde(default = "both_profiles")]
    profiles: Vec<ProfileName>,
    when: When,
    #[serde(default = "yes")]
    required: bool,
    reason: String,
}

#[derive(Deserialize)]
struct RegistrationsFile {
    feature: Vec<RegistrationFact>,
    provider: Vec<RegistrationFact>,
    retired: Vec<RetiredFeature>,
}

static FILE: LazyLock<RegistrationsFile> =
    LazyLock::new(|| load(include_str!("registrations.toml")));

impl RegistrationFact {
    fn applies(&self, query: &RegistrationQuery) -> bool {
        let when = match self.when {
            When::Extension => query.extension,
            When::Aks => query.aks,
            When::Arc => !query.aks,
            When::Relay => query.relay,
            When::ServiceBus => query.service_bus,
            When::LogAnalytics => query.log_analytics,
            When::Computes => query.computes,
        };
        when && self.profiles.contains(&query.profile)
    }
}

/// What a manifest needs registered. Sources: AKS docs: cluster extensions; Azure Arc docs:
/// cluster extensions; Azure CLI: k8s-extension.
#[must_use]
pub fn registrations(query: &RegistrationQuery) -> Registrations {
    let pick = |facts: &'static [RegistrationFact]| {
        let applying = facts.iter().filter(|fact| fact.applies(query));
        applying
            .map(|fact| Registration {
                name: &fact.name,
                provider: fact.provider.as_deref(),
                required: fact.required,
                reason: &fact.reason,
            })
            .collect()
    };
    Registrations { features: pick(&FILE.feature), providers: pick(&FILE.provider) }
}

/// Feature flags that may be gone; "could not be found" is then no error.
#[must_use]
pub fn retired_features() -> &'static [RetiredFeature] {
    &FILE.retired
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: RegistrationQuery = RegistrationQuery {
        profile: ProfileName::Ga,
        aks: true,
        extension: true,
        relay: false,
        service_bus: false,
        log_analytics: false,
        computes: false,
    };

    fn names(query: &RegistrationQuery) -> (Vec<&'static str>, Vec<&'static str>) {
        let found = registrations(query);
        let names = |list: Vec<Registration>| list.into_iter().map(|it| it.name).collect();
        (names(found.features), names(found.providers))
    }

    #[test]
    fn aks_in_the_preview_needs_the_article_s_three_registrations() {
        let query = RegistrationQuery { profile: ProfileName::Preview, ..NOTHING };
        let feature = "Microsoft.ContainerService/AKS-ExtensionManager";
        let providers = vec!["Microsoft.ContainerService", "Microsoft.KubernetesConfiguration"];
        assert_eq!(names(&query), (vec![feature], providers.clone()));
        assert_eq!(names(&NOTHING), (vec![], providers));
    }

    #[test]
    fn arc_with_everything_needs_every_provider_but_aks() {
        let query = RegistrationQuery {
            aks: false,
            relay: true,
            service_bus: true,
            log_analytics: true,
            computes: true,
            ..NOTHING
        };
        let (features, providers) = names(&query);
        assert!(features.is_empty());
        assert_eq!(providers.len(), FILE.provider.len() - 1);
    }
}
