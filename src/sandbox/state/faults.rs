//! Trouble on purpose, from the `faults` of a world file.
//!
//! Every decision is drawn from the seed, the request and how often that request was made, so the same run meets the
//! same trouble however its requests interleave.

use serde::{Deserialize, Serialize};

use super::shelf::Shelf;

/// Probabilities from 0 to 1, and the seed they are drawn with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(crate) struct FaultRates {
    pub(crate) seed: u64,
    /// 429 with `Retry-After`.
    pub(crate) throttle: f64,
    /// 500, 502, 503 or 504 before anything happened.
    pub(crate) server_error: f64,
    /// The connection breaks, before or after the effect.
    pub(crate) drop_connection: f64,
    /// A long-running operation ends as `Failed`.
    pub(crate) fail_operation: f64,
    /// Something takes four times as long.
    pub(crate) slow: f64,
    /// A resource that was just written is not seen yet.
    pub(crate) stale_reads: f64,
}

/// The faults of a world with the counters they are drawn by.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) rates: FaultRates,
    pub(crate) drawn: Shelf<u64>,
}

/// What goes wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    Throttle,
    ServerError(u16),
    DropBefore,
    DropAfter,
}

impl Faults {
    pub(crate) fn new(rates: FaultRates) -> Faults {
        Faults { rates, drawn: Shelf::default() }
    }

    /// What happens to a request.
    pub(crate) fn on_request(&mut self, request: &str) -> Fault {
        let FaultRates { throttle, server_error, drop_connection, .. } = self.rates;
        if throttle + server_error + drop_connection <= 0.0 {
            return Fault::None;
        }
        let mut rng = self.rng("request", request);
        if rng.f64() < throttle {
            Fault::Throttle
        } else if rng.f64() < server_error {
            Fault::ServerError([500, 502, 503, 504][rng.usize(0..4)])
        } else if rng.f64() < drop_connection {
            if rng.bool() { Fault::DropBefore } else { Fault::DropAfter }
        } else {
            Fault::None
        }
    }

    /// Whether an operation fails for no reason of its own.
    pub(crate) fn fails_operation(&mut self, about: &str) -> bool {
        self.draws(self.rates.fail_operation, "operation", about)
    }

    /// Whether reads can be stale at all.
    pub(crate) fn may_be_stale(&self) -> bool {
        self.rates.stale_reads > 0.0
    }

    /// Whether a fresh write is not seen by this read.
    pub(crate) fn is_stale(&mut self, about: &str) -> bool {
        self.draws(self.rates.stale_reads, "stale", about)
    }

    /// How many times longer something takes.
    pub(crate) fn slowness(&mut self, about: &str) -> i32 {
        if self.draws(self.rates.slow, "slow", about) { 4 } else { 1 }
    }

    fn draws(&mut self, rate: f64, kind: &str, about: &str) -> bool {
        rate > 0.0 && self.rng(kind, about).f64() < rate
    }

    fn rng(&mut self, kind: &str, about: &str) -> fastrand::Rng {
        let name = format!("{kind} {}", about.to_ascii_lowercase());
        let count = self.drawn.get(&name).copied().unwrap_or(0) + 1;
        self.drawn.insert(name.clone(), count);
        fastrand::Rng::with_seed(
            fnv(&format!("{name} {count}")) ^ self.rates.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        )
    }
}

/// FNV-1a: small, and the same on every machine and in every version.
fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_brings_the_same_trouble_in_any_order() {
        let rates = FaultRates { seed: 7, server_error: 0.5, ..FaultRates::default() };
        let (mut one, mut two) = (Faults::new(rates.clone()), Faults::new(rates));
        let first: Vec<Fault> = ["GET a", "GET b", "GET a"].map(|r| one.on_request(r)).into();
        let b = two.on_request("GET b");
        let second = vec![two.on_request("GET a"), b, two.on_request("GET a")];
        assert_eq!(first, second);
        let mixed: Vec<Fault> = (0..40).map(|_| one.on_request("GET a")).collect();
        assert!(mixed.contains(&Fault::None) && mixed.iter().any(|f| *f != Fault::None));
    }
}
