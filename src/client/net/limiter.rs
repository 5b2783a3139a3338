//! Slows down before a server has to refuse, and all requests together when it has: follows the
//! `x-ms-ratelimit-remaining-*` headers (Azure Resource Manager: request limits and throttling) and
//! what answers of 429 say. Who says nothing slows everything that goes to that host.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use tokio::time::Instant;

use super::clock;
use super::retry::retry_after;

const PREFIX: &str = "x-ms-ratelimit-remaining-";
/// What the whole tenant may do, measured in what one subscription may.
const GLOBAL: f64 = 15.0;
/// What buckets gain in a second that are in no reference.
const SLOW: f64 = 0.5;
/// Between two requests after the first refusal, doubled by each further one.
const FIRST_SPACE: Duration = Duration::from_millis(40);
const LONGEST_SPACE: Duration = Duration::from_secs(2);
/// Requests a second that each answer adds again, and from how many on nothing is spaced.
const RISE: f64 = 0.05;
const FREE: f64 = 200.0;
/// How long nothing is sent after a refusal that names no time, doubled by each further one.
const FIRST_HOLD: Duration = Duration::from_secs(1);
const LONGEST_HOLD: Duration = Duration::from_secs(60);
const LONGEST_HELD: Duration = Duration::from_secs(600);

/// Which limits a request counts against: those of the host, of the subscription for this kind of
/// request, of the provider in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lane {
    keys: [String; 3],
    reads: bool,
}

impl Lane {
    /// `kind` is reads, writes or deletes.
    #[must_use]
    pub fn new(subscription: &str, kind: &str, provider: &str) -> Self {
        let own = format!("{subscription}/{kind}");
        let provider = format!("{own}/{provider}");
        Self { keys: [String::new(), own, provider], reads: kind == "reads" }
    }

    /// The one lane of a host whose limits are about everything that is sent there.
    #[must_use]
    pub fn host() -> Self {
        Self::new("", "requests", "")
    }

    /// What its bucket gains in a second (ARM docs: request limits and throttling), and which of
    /// the keys it belongs to.
    fn bucket(&self, header: &str) -> (f64, usize) {
        let own = if self.reads { 25.0 } else { 10.0 };
        let kinds = ["reads", "writes", "deletes"];
        match header.strip_prefix("subscription-") {
            Some(text) if kinds.contains(&text) => (own, 1),
            Some(text) if text.strip_prefix("global-").is_some_and(|it| kinds.contains(&it)) => {
                (own * GLOBAL, 1)
            }
            _ => (SLOW, 2),
        }
    }
}

/// What a header said.
#[derive(Debug)]
struct Bucket {
    left: f64,
    seen: Instant,
    /// The most that was ever left.
    most: f64,
    refill: f64,
}

impl Bucket {
    fn at(&self, when: Instant) -> f64 {
        let gained = self.refill * when.saturating_duration_since(self.seen).as_secs_f64();
        (self.left + gained).min(self.most)
    }
}

/// Requests that share a limit.
#[derive(Debug, Default)]
struct Flow {
    buckets: BTreeMap<String, Bucket>,
    /// Requests on the way, or with a turn to come.
    open: usize,
    /// The next turn, where turns are spaced.
    next: Option<Instant>,
    space: Duration,
    /// Nothing is sent before.
    until: Option<Instant>,
    hold: Duration,
    slowed: Option<Instant>,
}

impl Flow {
    /// How many more may be sent then.
    fn room(&self, when: Instant) -> f64 {
        let left = self.buckets.values().map(|it| it.at(when)).fold(f64::INFINITY, f64::min);
        left - self.open as f64
    }

    /// When so many may be sent. Those that have a turn before use up what is gained until then,
    /// so it is counted from now, or from the end of a hold, and not from the next free turn.
    fn when(&self, now: Instant, count: usize) -> Instant {
        let start = self.until.map_or(now, |instant| instant.max(now));
        let lacking = |bucket: &Bucket| {
            let lacking = (count + self.open) as f64 - bucket.at(start);
            Duration::from_secs_f64((lacking / bucket.refill).clamp(0.0, 3600.0))
        };
        let told = start + self.buckets.values().map(lacking).max().unwrap_or_default();
        self.next.map_or(told, |instant| instant.max(told))
    }

    fn take(&mut self, at: Instant, count: usize) {
        self.open += count;
        self.next = (!self.space.is_zero()).then(|| at + self.space * count as u32);
    }

    fn refused(&mut self, sent: Instant, asked: Option<Duration>) {
        let now = clock::now();
        // Those that were on the way together are one refusal.
        if self.slowed.is_none_or(|instant| sent >= instant) {
            self.space = (self.space * 2).clamp(FIRST_SPACE, LONGEST_SPACE);
            self.hold = (self.hold * 2).clamp(FIRST_HOLD, LONGEST_HOLD);
            self.slowed = Some(now);
        }
        // Nobody waits so long: each hears it for itself, and gives up.
        let Some(wait) = Some(asked.unwrap_or(self.hold)).filter(|it| *it <= LONGEST_HELD) else {
            return;
        };
        let until = now + wait;
        self.until = Some(self.until.map_or(until, |instant| instant.max(until)));
    }

    fn answered(&mut self, sent: Instant) {
        if self.space.is_zero() || self.slowed.is_some_and(|instant| sent < instant) {
            return;
        }
        self.hold = Duration::ZERO;
        let rate = 1.0 / self.space.as_secs_f64() + RISE;
        self.space =
            if rate >= FREE { Duration::ZERO } else { Duration::from_secs_f64(1.0 / rate) };
    }
}

type Flows = BTreeMap<String, Flow>;

/// Paces the requests of a run.
#[derive(Clone, Debug, Default)]
pub struct Limiter(Arc<Mutex<Flows>>);

impl Limiter {
    fn flows(&self) -> MutexGuard<'_, Flows> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for one request's turn; at once while plenty remains.
    pub async fn turn(&self, lane: &Lane) -> Turn {
        self.turns(lane, 1, 1).await
    }

    /// Waits until at least so many requests have their turn, or as many as ever had, and takes as
    /// many as may be sent at once.
    pub async fn turns(&self, lane: &Lane, least: usize, most: usize) -> Turn {
        let (mut turn, mut at) = {
            let mut flows = self.flows();
            let now = clock::now();
            for key in &lane.keys {
                flows.entry(key.clone()).or_default();
            }
            let own = || lane.keys.iter().filter_map(|key| flows.get(key));
            let buckets = own().flat_map(|it| it.buckets.values());
            let least = buckets.fold(least, |least, bucket| least.min(bucket.most as usize)).max(1);
            let at = own().map(|it| it.when(now, least)).fold(now, Instant::max);
            let room = own().map(|it| it.room(at)).fold(f64::INFINITY, f64::min);
            // A second's worth, where turns are spaced.
            let spaced = own().map(|it| 1.0 / it.space.as_secs_f64()).fold(f64::INFINITY, f64::min);
            let count = (room.min(spaced).min(most as f64) as usize).max(least);
            for key in &lane.keys {
                if let Some(flow) = flows.get_mut(key) {
                    flow.take(at, count);
                }
            }
            (Turn { limiter: self.clone(), lane: lane.clone(), count, sent: now }, at)
        };
        loop {
            let wait = at.saturating_duration_since(clock::now());
            if !wait.is_zero() {
                let key = lane.keys[2].as_str();
                tracing::debug!(
                    key,
                    wait_ms = wait.as_millis(),
                    "slowing down: few requests remain"
                );
                clock::sleep(wait).await;
            }
            turn.sent = clock::now();
            // Somebody may have been refused meanwhile.
            let mut flows = self.flows();
            let held = lane.keys.iter().filter_map(|key| flows.get(key)?.until).max();
            let Some(held) = held.filter(|instant| *instant > turn.sent) else { break };
            at = held;
            for key in &lane.keys {
                if let Some(flow) = flows.get_mut(key) {
                    at = at.max(flow.next.unwrap_or(held));
                    flow.next = Some(at + flow.space * turn.count as u32);
                }
            }
        }
        turn
    }
}

/// Leave to send requests, given back when they are answered or given up.
#[derive(Debug)]
pub struct Turn {
    limiter: Limiter,
    lane: Lane,
    /// How many may be sent.
    pub count: usize,
    sent: Instant,
}

impl Turn {
    /// Gives back what is not needed.
    pub fn only(&mut self, count: usize) {
        let less = self.count.saturating_sub(count);
        self.count -= less;
        let mut flows = self.limiter.flows();
        for key in &self.lane.keys {
            if let Some(flow) = flows.get_mut(key) {
                flow.open = flow.open.saturating_sub(less);
            }
        }
    }

    /// Learns from the answer to one of the requests.
    pub fn answered(&mut self, status: u16, headers: &HeaderMap) {
        self.only(self.count.saturating_sub(1));
        let mut flows = self.limiter.flows();
        let now = clock::now();
        let mut told = false;
        for (name, value) in headers {
            let Some(name) = name.as_str().strip_prefix(PREFIX) else { continue };
            let Some(left) = value.to_str().ok().and_then(remaining) else { continue };
            told = true;
            let (refill, at) = self.lane.bucket(name);
            let Some(flow) = flows.get_mut(&self.lane.keys[at]) else { continue };
            let most = flow.buckets.get(name).map_or(left, |bucket| bucket.most.max(left));
            flow.buckets.insert(name.to_owned(), Bucket { left, seen: now, most, refill });
        }
        let asked = retry_after(headers, SystemTime::now());
        // Whoever is told nothing cannot know whose limit it was: everybody slows down.
        let whose = usize::from(told || asked.is_some());
        for (at, key) in self.lane.keys.iter().enumerate() {
            let Some(flow) = flows.get_mut(key) else { continue };
            if status != 429 {
                flow.answered(self.sent);
            } else if at == whose {
                flow.refused(self.sent, asked);
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.only(0);
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

#[cfg(test)]
#[path = "limiter_tests.rs"]
mod tests;
