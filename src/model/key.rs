//! Addresses: how a manifest, a plan and a report name a resource.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! kind_names {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)*) => {
        /// The kinds of resource, in the order of the contract; the text is what addresses show.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum KindName {
            $($(#[$doc])* $variant,)*
        }

        impl KindName {
            /// Every kind, in declaration order.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The word that stands in an address.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

kind_names! {
    /// A preview feature flag of a subscription.
    Feature = "feature",
    /// A resource provider registration of a subscription.
    Provider = "provider",
    /// The right of service accounts to use an OpenShift SCC.
    SccGrant = "scc_grant",
    /// A Kubernetes namespace.
    Namespace = "namespace",
    /// An Azure Relay namespace.
    RelayNamespace = "relay_namespace",
    /// A hybrid connection of a Relay namespace.
    RelayHybridConnection = "relay_hybrid_connection",
    /// An authorization rule of a hybrid connection.
    RelayAuthorizationRule = "relay_authorization_rule",
    /// A Service Bus namespace.
    ServiceBusNamespace = "service_bus_namespace",
    /// A Service Bus topic.
    ServiceBusTopic = "service_bus_topic",
    /// A subscription of a Service Bus topic.
    ServiceBusSubscription = "service_bus_subscription",
    /// A Log Analytics workspace.
    LogAnalyticsWorkspace = "log_analytics_workspace",
    /// The Azure ML cluster extension.
    Extension = "extension",
    /// An `InstanceType` object in the cluster.
    InstanceType = "instance_type",
    /// A Kubernetes compute attached to a workspace.
    Compute = "compute",
    /// A role assignment.
    RoleAssignment = "role_assignment",
    /// The trust of a managed identity in a service account of the cluster.
    FederatedIdentityCredential = "federated_identity_credential",
    /// The Azure resource of the cluster; read only.
    Cluster = "cluster",
    /// An Azure ML workspace; read only.
    Workspace = "workspace",
    /// A user-assigned managed identity; read only.
    ManagedIdentity = "managed_identity",
}

impl KindName {
    /// Whether amlplan only ever reads resources of this kind.
    #[must_use]
    pub const fn read_only(self) -> bool {
        matches!(self, Self::Cluster | Self::Workspace | Self::ManagedIdentity)
    }
}

impl fmt::Display for KindName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The address of a resource: `SCOPE/KIND[/NAME]`.
///
/// The scope is the name of a cluster in the manifest, or a subscription id for what several
/// clusters share. The name may itself contain slashes
/// (`Microsoft.ContainerService/AKS-ExtensionManager`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Cluster name or subscription id.
    pub scope: String,
    /// What the resource is.
    pub kind: KindName,
    /// The resource's own name; empty where the kind is unique in its scope.
    pub name: String,
}

impl Key {
    /// Builds a key from its parts.
    #[must_use]
    pub fn new(scope: impl Into<String>, kind: KindName, name: impl Into<String>) -> Self {
        Self { scope: scope.into(), kind, name: name.into() }
    }

    /// Whether `target` is this address or a prefix of it that ends at a slash, without case.
    #[must_use]
    pub fn matches(&self, target: &str) -> bool {
        let own = self.to_string().to_ascii_lowercase();
        let target = target.trim_end_matches('/').to_ascii_lowercase();
        own == target || own.strip_prefix(&target).is_some_and(|rest| rest.starts_with('/'))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.scope, self.kind)?;
        if self.name.is_empty() { Ok(()) } else { write!(f, "/{}", self.name) }
    }
}

/// A text that is not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an address: it should read SCOPE/KIND or SCOPE/KIND/NAME")]
pub struct NotAKey(pub String);

impl FromStr for Key {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        let mut parts = text.splitn(3, '/');
        let wrong = || NotAKey(text.to_owned());
        let scope = parts.next().filter(|part| !part.is_empty()).ok_or_else(wrong)?;
        let kind = parts.next().ok_or_else(wrong)?;
        let kind =
            KindName::ALL.iter().copied().find(|it| it.as_str() == kind).ok_or_else(wrong)?;
        Ok(Self::new(scope, kind, parts.next().unwrap_or_default()))
    }
}

impl Serialize for Key {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_survives_text_and_matches_only_at_slashes() {
        let text = "edge-01/feature/Microsoft.ContainerService/AKS-ExtensionManager";
        let key: Key = text.parse().unwrap();
        assert_eq!(key.name, "Microsoft.ContainerService/AKS-ExtensionManager");
        assert_eq!(key.to_string(), text);
        assert!(key.matches("edge-01") && key.matches("edge-01/feature/") && key.matches(text));
        assert!(!key.matches("edge-0") && !key.matches("edge-01/feat"));
        assert!("edge-01/none".parse::<Key>().is_err());
    }
}
