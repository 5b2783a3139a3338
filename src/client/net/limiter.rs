//! Slows down before the server has to refuse: follows the `x-ms-ratelimit-remaining-*` headers
//! (Azure Resource Manager: request limits and throttling). The sizes of the buckets are not
//! public, differ and change, so only what the headers say is used.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use tokio::time::Instant;

use super::clock;

const PREFIX: &str = "x-ms-ratelimit-remaining-";
const QUOTA: &str = "x-ms-user-quota-remaining";
const QUOTA_RESET: &str = "x-ms-user-quota-resets-after";
/// Below this share of the most that was ever seen remaining, requests are spaced.
const FEW: f64 = 0.1;
const LONGEST_SPACE: Duration = Duration::from_secs(2);
/// What a header said is forgotten after this long: buckets refill.
const FRESH: Duration = Duration::from_secs(30);

#[derive(Debug)]
struct Bucket {
    most: f64,
    left: f64,
    seen: Instant,
}

#[derive(Debug, Default)]
struct State {
    buckets: BTreeMap<(String, String), Bucket>,
    next: BTreeMap<String, Instant>,
}

/// Paces requests per key (for example one subscription and one kind of request).
#[derive(Clone, Debug, Default)]
pub struct Limiter(Arc<Mutex<State>>);

impl Limiter {
    /// Waits for this request's turn; at once while plenty remains.
    pub async fn turn(&self, key: &str) {
        let at = {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let now = clock::now();
            let space = state.space(key, now);
            let at = state.next.get(key).copied().unwrap_or(now).max(now);
            if space.is_zero() && at <= now {
                state.next.remove(key);
            } else {
                state.next.insert(key.to_owned(), at + space);
            }
            at
        };
        let wait = at.saturating_duration_since(clock::now());
        if !wait.is_zero() {
            tracing::debug!(key, wait_ms = wait.as_millis(), "slowing down: few requests remain");
            clock::sleep(wait).await;
        }
    }

    /// Learns from an answer.
    pub fn learn(&self, key: &str, headers: &HeaderMap) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = clock::now();
        let mut used_up = false;
        for (name, value) in headers {
            let name = name.as_str();
            if !name.starts_with(PREFIX) && name != QUOTA {
                continue;
            }
            let Some(left) = value.to_str().ok().and_then(remaining) else { continue };
            used_up |= name == QUOTA && left < 1.0;
            let bucket = state.buckets.entry((key.to_owned(), name.to_owned())).or_insert(Bucket {
                most: left,
                left,
                seen: now,
            });
            bucket.most = bucket.most.max(left);
            bucket.left = left;
            bucket.seen = now;
        }
        // Resource Graph says when its window ends.
        let reset = headers.get(QUOTA_RESET).and_then(|it| it.to_str().ok()).and_then(hms);
        if let (true, Some(reset)) = (used_up, reset) {
            state.next.insert(key.to_owned(), now + reset);
        }
    }
}

impl State {
    fn space(&self, key: &str, now: Instant) -> Duration {
        let shares = self
            .buckets
            .iter()
            .filter(|((of, _), bucket)| of == key && now.duration_since(bucket.seen) < FRESH)
            .map(|(_, bucket)| bucket.left / bucket.most.max(1.0));
        let lowest = shares.fold(1.0, f64::min);
        if lowest >= FEW { Duration::ZERO } else { LONGEST_SPACE.mul_f64(1.0 - lowest / FEW) }
    }
}

/// A plain number, or the lowest of a list such as `Microsoft.Compute/A;239,Microsoft.Compute/B;1199`.
fn remaining(text: &str) -> Option<f64> {
    let numbers = text.split(',').filter_map(|part| {
        let number = part.rsplit(';').next()?.trim();
        number.parse::<f64>().ok().filter(|it| it.is_finite() && *it >= 0.0)
    });
    numbers.reduce(f64::min)
}

/// `hh:mm:ss`.
fn hms(text: &str) -> Option<Duration> {
    let mut seconds: u64 = 0;
    for part in text.trim().splitn(3, ':') {
        let part = part.parse::<u64>().ok()?;
        seconds = seconds.checked_mul(60)?.checked_add(part)?;
    }
    Some(Duration::from_secs(seconds.min(3600)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(left: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let name = "x-ms-ratelimit-remaining-subscription-reads";
        headers.insert(name, left.parse().unwrap());
        headers
    }

    #[tokio::test(start_paused = true)]
    async fn requests_are_spaced_only_when_few_remain_and_only_for_their_key() {
        let limiter = Limiter::default();
        limiter.learn("sub/read", &headers("249"));
        let start = clock::now();
        for _ in 0..100 {
            limiter.turn("sub/read").await;
        }
        assert!(start.elapsed().is_zero());
        limiter.learn("sub/read", &headers("2"));
        for _ in 0..5 {
            limiter.turn("sub/read").await;
        }
        assert!(start.elapsed() >= Duration::from_secs(4));
        let before = clock::now();
        limiter.turn("other/read").await;
        assert!(before.elapsed().is_zero());
        limiter.learn("sub/read", &headers("200"));
        limiter.turn("sub/read").await;
        limiter.turn("sub/read").await;
        assert!(before.elapsed() <= LONGEST_SPACE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_used_up_quota_waits_for_its_reset() {
        let limiter = Limiter::default();
        let mut answer = HeaderMap::new();
        answer.insert(QUOTA, "0".parse().unwrap());
        answer.insert(QUOTA_RESET, "00:00:05".parse().unwrap());
        limiter.learn("graph", &answer);
        let start = clock::now();
        limiter.turn("graph").await;
        assert_eq!(start.elapsed(), Duration::from_secs(5));
    }

    #[test]
    fn lists_of_provider_limits_count_by_their_lowest() {
        assert_eq!(remaining("Microsoft.Compute/A;239,Microsoft.Compute/B;19"), Some(19.0));
        assert_eq!(remaining("x"), None);
    }
}
