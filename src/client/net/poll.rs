//! How often something that takes its time is looked at: one schedule for operations of Azure and
//! for what comes about in a cluster.

use std::time::Duration;

const SHORTEST: Duration = Duration::from_secs(1);
/// Nobody hears later than this of an end.
pub const LONGEST: Duration = Duration::from_secs(10);
/// The wait, as a part of the time that has passed.
const SHARE: f64 = 0.05;

/// The wait before the next look at what began so long ago: what the server asks for
/// (`Retry-After`), else a twentieth of the time so far, 1 to 10 seconds. An end is noticed within
/// 5 % of the whole time, and the longer something takes, the more rarely it is asked about.
#[must_use]
pub fn next_look(so_far: Duration, asked: Option<Duration>) -> Duration {
    asked.unwrap_or_else(|| so_far.mul_f64(SHARE).clamp(SHORTEST, LONGEST))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Ends of 1 second to 3 hours, and answers that take up to 200 ms.
        #[test]
        fn an_end_is_noticed_in_time_and_with_few_looks(takes in 1.0..10_800.0f64, trip in 0.0..0.2f64) {
            let (mut now, mut looks) = (0.0, 0.0);
            while now < takes {
                now += next_look(Duration::from_secs_f64(now), None).as_secs_f64() + trip;
                looks += 1.0;
            }
            let late = now - takes - trip;
            prop_assert!(late <= (0.05 * takes).clamp(1.0, 10.0) + 1e-6, "{late} of {takes}");
            prop_assert!(looks <= 70.0 + takes / 10.0, "{looks} looks in {takes}");
        }

        #[test]
        fn what_the_server_asks_for_goes_first(so_far in 0u64..100_000, asked in 1u64..3_600) {
            let asked = Duration::from_secs(asked);
            prop_assert_eq!(next_look(Duration::from_secs(so_far), Some(asked)), asked);
        }
    }
}
