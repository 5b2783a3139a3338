//! Companions: the Relay, Service Bus and Log Analytics resources that `az` makes for an
//! extension, with exactly its names and shapes, so that an installation by `az` is recognised.
//!
//! Source: Azure CLI: k8s-extension, AzureMLKubernetes.py.

use md5::{Digest, Md5};

/// Tag that marks a companion, as `az` writes it: key and value.
pub const COMPANION_TAG: (&str, &str) = ("created_by", "Azure Arc-enabled ML");
/// Name of the rule of the hybrid connection.
pub const HYBRID_CONNECTION_RULE: &str = "azureml_rw";
/// Rights of that rule.
pub const HYBRID_CONNECTION_RULE_RIGHTS: [&str; 3] = ["Manage", "Send", "Listen"];
/// Topics of the Service Bus namespace, each with its subscription.
pub const TOPIC_SUBSCRIPTIONS: [(&str, &str); 2] = [
    ("computestate-updatedby-computeprovider", "compute-scheduler-computestate"),
    ("jobstate-updatedby-computeprovider", "compute-scheduler-jobstate"),
];
/// Size of a topic in megabytes.
pub const TOPIC_SIZE_MB: i64 = 5120;
/// How long a message stays in a topic, ISO 8601.
pub const TOPIC_TTL: &str = "P60D";
/// How long a message stays in a subscription, ISO 8601.
pub const SUBSCRIPTION_TTL: &str = "P14D";
/// How long a receiver holds a message, ISO 8601.
pub const SUBSCRIPTION_LOCK: &str = "PT30S";
/// How often a message is delivered at most.
pub const SUBSCRIPTION_MAX_DELIVERY: i64 = 1;

/// The letters and digits of `input`; where more than `max` remain, the first `max - 6` of them
/// and six hex digits of the MD5 of the whole input.
#[must_use]
pub fn companion_name(input: &str, max: usize) -> String {
    let kept: String = input.chars().filter(|letter| letter.is_alphanumeric()).collect();
    if kept.chars().count() <= max {
        return kept;
    }
    let digest = Md5::digest(input.as_bytes());
    let head: String = kept.chars().take(max.saturating_sub(6)).collect();
    let tail: String = digest.iter().take(3).map(|byte| format!("{byte:02x}")).collect();
    head + &tail
}

/// Name of the Relay namespace of a cluster.
#[must_use]
pub fn relay_namespace_name(cluster: &str, subscription: &str, group: &str) -> String {
    companion_name(&format!("{cluster}-{subscription}-{group}-relay"), 50)
}

/// Name of the Service Bus namespace of a cluster.
#[must_use]
pub fn service_bus_namespace_name(cluster: &str, subscription: &str, group: &str) -> String {
    companion_name(&format!("{cluster}-{subscription}-{group}-service-bus"), 50)
}

/// Name of the Log Analytics workspace of a cluster.
#[must_use]
pub fn log_analytics_workspace_name(cluster: &str, subscription: &str, group: &str) -> String {
    companion_name(&format!("{cluster}-{subscription}-{group}"), 63)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_az() {
        for (cluster, subscription, group, relay, bus, workspace) in [
            (
                "my-aks",
                "00000000-0000-0000-0000-000000000000",
                "rg-ml",
                "myaks00000000000000000000000000000000rgmlrelay",
                "myaks00000000000000000000000000000000rgmlser3db8f4",
                "myaks00000000000000000000000000000000rgml",
            ),
            (
                "arc-edge-cluster-01",
                "11111111-2222-3333-4444-555555555555",
                "rg-machine-learning-prod",
                "arcedgecluster011111111122223333444455555555176645",
                "arcedgecluster011111111122223333444455555555cf61e6",
                "arcedgecluster0111111111222233334444555555555555rgmachine4c0fd8",
            ),
            (
                "k8s",
                "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
                "r",
                "k8saaaaaaaabbbbccccddddeeeeeeeeeeeerrelay",
                "k8saaaaaaaabbbbccccddddeeeeeeeeeeeerservicebus",
                "k8saaaaaaaabbbbccccddddeeeeeeeeeeeer",
            ),
        ] {
            assert_eq!(relay_namespace_name(cluster, subscription, group), relay);
            assert_eq!(service_bus_namespace_name(cluster, subscription, group), bus);
            assert_eq!(log_analytics_workspace_name(cluster, subscription, group), workspace);
        }
    }

    #[test]
    fn letters_of_every_alphabet_count_once() {
        assert_eq!(companion_name("ü-б_1", 3), "üб1");
        assert_eq!(companion_name("üüüüüüüü", 7).chars().count(), 7);
    }
}
