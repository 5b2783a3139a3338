//! ARM's token buckets: per subscription and kind of operation, refilled by time
//! ("ARM docs: request limits and throttling"; sizes as seen on the wire in 2026).

use std::collections::BTreeMap;

use jiff::Timestamp;

/// The buckets in use.
#[derive(Debug, Default)]
pub(crate) struct Buckets(BTreeMap<String, (f64, Timestamp)>);

/// The outcome of taking one token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Granted; so many are left.
    Left(u32),
    /// Refused; try again after so many seconds.
    Wait(u32),
}

impl Buckets {
    /// Takes a token of a bucket that holds `size` and refills by `per_second`.
    pub(crate) fn take(&mut self, name: &str, size: f64, per_second: f64, now: Timestamp) -> Taken {
        let (tokens, at) = self.0.entry(name.to_owned()).or_insert((size, now));
        let passed = now.duration_since(*at).as_secs_f64().max(0.0);
        *tokens = (*tokens + passed * per_second).min(size);
        *at = now;
        if *tokens >= 1.0 {
            *tokens -= 1.0;
            return Taken::Left(to_u32(*tokens));
        }
        Taken::Wait(to_u32(((1.0 - *tokens) / per_second).ceil()).max(1))
    }
}

fn to_u32(value: f64) -> u32 {
    format!("{value:.0}").parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_counts_down_and_refills_by_time() {
        let mut buckets = Buckets::default();
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
        assert_eq!(buckets.take("reads", 2.0, 0.5, start), Taken::Left(1));
        assert_eq!(buckets.take("reads", 2.0, 0.5, start), Taken::Left(0));
        assert_eq!(buckets.take("reads", 2.0, 0.5, start), Taken::Wait(2));
        let later: Timestamp = "2026-01-01T00:00:02Z".parse().expect("a time");
        assert_eq!(buckets.take("reads", 2.0, 0.5, later), Taken::Left(0));
    }
}
