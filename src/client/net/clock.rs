//! The only place that waits. Tests pause the clock of tokio, and every wait of the program
//! passes at once.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

/// Waits.
pub async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// The time that [`sleep`] moves.
#[must_use]
pub fn now() -> Instant {
    Instant::now()
}

/// Goes from virtual time to that of the world, for what waits for a real network beside the
/// simulator. Only where time is virtual.
pub fn leave_virtual() {
    tokio::time::resume();
}

/// The future's result, or `None` when the deadline comes first.
pub async fn until<F: Future>(deadline: Instant, future: F) -> Option<F::Output> {
    tokio::time::timeout_at(deadline, future).await.ok()
}

/// A point in time so far ahead that adding `duration` cannot overflow.
#[must_use]
pub fn after(duration: Duration) -> Instant {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    now() + duration.min(CENTURY)
}
