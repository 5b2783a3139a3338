//! What Azure ML on Kubernetes is, as data: the TOML files beside this one, with typed access.
//!
//! Facts live in the TOML files, each with its public source; code here only looks them up. Every
//! file is part of the program and a test parses all of them, so access cannot fail.

mod accounts;
mod azure;
mod codes;
mod companions;
mod components;
mod endpoints;
mod registrations;
mod settings;
#[cfg(test)]
mod tests;

use serde::Deserialize;
use serde::de::DeserializeOwned;

pub use accounts::{other_profile_accounts, service_accounts};
pub use azure::{ArmType, cloud, distributions, mistaken_types, regions, regions_of, role, roles};
pub use codes::{
    CodePage, Speaker, TextForm, codes, explain, health_code, is_vague, matched, remedy,
};
pub use companions::{
    COMPANION_TAG, HYBRID_CONNECTION_RULE, HYBRID_CONNECTION_RULE_RIGHTS, SUBSCRIPTION_LOCK,
    SUBSCRIPTION_MAX_DELIVERY, SUBSCRIPTION_TTL, TOPIC_SIZE_MB, TOPIC_SUBSCRIPTIONS, TOPIC_TTL,
    log_analytics_workspace_name, relay_namespace_name, service_bus_namespace_name,
};
pub use components::{Component, ComponentQuery, Sizing, components, router_replicas};
pub use endpoints::{Endpoint, EndpointQuery, endpoints};
pub use registrations::{
    Registration, RegistrationQuery, Registrations, registrations, retired_features,
};
pub use settings::{
    Impact, Need, SettingFact, SettingKind, derived_map, derived_reason, impact_of, node_label,
    same_setting, setting, settings, suggest_setting, wire_key,
};

/// A generation of the extension and its settings; the words of the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum ProfileName {
    /// `2021-11-preview`: the article of November 2021.
    #[serde(rename = "2021-11-preview")]
    Preview,
    /// `ga`: today's.
    #[serde(rename = "ga")]
    Ga,
}

impl ProfileName {
    /// Both, older first.
    pub const ALL: [Self; 2] = [Self::Preview, Self::Ga];

    /// The word of the manifest.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Preview => "2021-11-preview",
            Self::Ga => "ga",
        }
    }
}

/// The families of clusters that facts distinguish. OpenShift is always reached through Arc.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClusterFamily {
    /// AKS without Arc.
    Aks,
    /// Any other cluster through Azure Arc.
    Arc,
    /// ARO or OCP through Azure Arc.
    Openshift,
}

fn both_profiles() -> Vec<ProfileName> {
    ProfileName::ALL.to_vec()
}

const fn yes() -> bool {
    true
}

fn load<T: DeserializeOwned>(text: &str) -> T {
    toml::from_str(text).expect("embedded catalogs parse: tests read each of them")
}
