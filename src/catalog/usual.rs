//! How long it usually takes until a resource is there.

use std::time::Duration;

use crate::model::KindName;

/// The shortest and the longest usual time of a kind.
///
/// Source: AML docs: deploy extension (registrations and installation: up to ten minutes), attach
/// Kubernetes to workspace (minutes); the rest as seen.
#[must_use]
pub const fn usual(kind: KindName) -> (Duration, Duration) {
    let (least, longest) = match kind {
        KindName::Extension => (180, 600),
        KindName::Feature => (60, 900),
        KindName::Provider => (20, 600),
        KindName::Compute => (20, 300),
        KindName::InstanceType => (1, 300),
        KindName::RelayNamespace | KindName::ServiceBusNamespace => (20, 180),
        KindName::LogAnalyticsWorkspace | KindName::RoleAssignment => (5, 60),
        _ => (1, 30),
    };
    (Duration::from_secs(least), Duration::from_secs(longest))
}
