//! The time of the simulated world.
//!
//! It is `base + time passed since the world was opened`, measured with tokio's clock: under a paused clock a
//! fifteen-minute installation takes no real time, and a world that is saved goes on from where it stood.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// How long things take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// Minutes, as users of Azure see them; waiting clients get `Retry-After`.
    #[default]
    Realistic,
    /// Milliseconds, for clients that are run by a test; waiting clients are told not to wait.
    Fast,
}

/// What can take time in the world, with the time that is usual for it.
///
/// From public reports: "AML docs: deploy extension" (minutes), "AKS docs: cluster extensions" (registration up to
/// ten minutes), recordings of `az relay` and `az servicebus` (45 to 60 seconds).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    FeatureRegistration,
    ProviderRegistration,
    /// Between the first `Registered` of a provider and its falling back, and again until it stays.
    ProviderFlap,
    /// From the request until the agent in the cluster starts the health check.
    AgentPickup,
    HealthCheck,
    HelmInstall,
    HelmUpgrade,
    HelmUninstall,
    /// What Helm waits for pods that never become ready.
    HelmTimeout,
    Attach,
    Detach,
    NamespaceActivation,
    NamespaceRemoval,
    LogAnalytics,
    Generic,
}

impl Work {
    pub(crate) fn takes(self, pace: Pace) -> SignedDuration {
        if pace == Pace::Fast {
            return SignedDuration::from_millis(4);
        }
        SignedDuration::from_secs(match self {
            Work::FeatureRegistration => 240,
            Work::ProviderRegistration => 90,
            Work::ProviderFlap => 15,
            Work::AgentPickup => 45,
            Work::HealthCheck => 60,
            Work::HelmInstall => 345,
            Work::HelmUpgrade => 105,
            Work::HelmUninstall => 270,
            Work::HelmTimeout => 900,
            Work::Attach => 180,
            Work::Detach => 60,
            Work::NamespaceActivation => 60,
            Work::NamespaceRemoval => 45,
            Work::LogAnalytics => 30,
            Work::Generic => 20,
        })
    }
}

/// The clock: a saved point in time and what has passed since.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct WorldClock {
    base: Timestamp,
    #[serde(skip, default = "Instant::now")]
    started: Instant,
}

impl WorldClock {
    /// Starts at the machine's own time.
    pub(crate) fn start() -> WorldClock {
        WorldClock { base: machine_now(), started: Instant::now() }
    }

    pub(crate) fn now(&self) -> Timestamp {
        let passed = Instant::now().saturating_duration_since(self.started);
        SignedDuration::try_from(passed)
            .ok()
            .and_then(|passed| self.base.checked_add(passed).ok())
            .unwrap_or(self.base)
    }

    /// Goes forward by this much.
    pub(crate) fn forward(&mut self, by: SignedDuration) {
        self.base = self.base.checked_add(by).unwrap_or(Timestamp::MAX);
    }

    /// The clock whose base is now, to be saved: what is read goes on from here.
    pub(crate) fn rebased(&self) -> WorldClock {
        WorldClock { base: self.now(), started: Instant::now() }
    }
}

/// The time of the machine; beyond what a time can be, the last one there is.
pub(crate) fn machine_now() -> Timestamp {
    Timestamp::try_from(std::time::SystemTime::now()).unwrap_or(Timestamp::MAX)
}

/// ARM's usual text of a time: seven fractional digits and an offset.
pub(crate) fn arm_time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.7f+00:00").to_string()
}

/// Kubernetes' text of a time: whole seconds, `Z`.
pub(crate) fn kube_time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Kubernetes timestamps have whole seconds.
pub(crate) fn seconds(now: &str) -> String {
    match now.split_once('.') {
        Some((whole, _)) => format!("{whole}Z"),
        None => now.to_owned(),
    }
}
