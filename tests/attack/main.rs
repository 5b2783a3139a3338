//! Attacks on the program, each for a short while, or longer on request: `AMLPLAN_ATTACK_SECONDS`
//! (default 4) is how long each of them goes on, `AMLPLAN_ATTACK_SEED` where its dice start. Counts
//! are printed at the end, and the seed when one fails (docs/reliability.md).

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::{Duration, Instant};

mod clock;
#[path = "../common/edits.rs"]
mod edits;
mod ends;
#[path = "../common/formats.rs"]
mod formats;
mod payloads;
mod plan_file;
#[path = "../common/program.rs"]
mod program;
#[path = "../common/served.rs"]
mod served;
mod sockets;

/// One attack: its dice, its time and what it counted.
pub(crate) struct Attack {
    name: &'static str,
    seed: u64,
    until: Instant,
    counts: BTreeMap<String, u64>,
    pub(crate) dice: fastrand::Rng,
}

impl Attack {
    pub(crate) fn new(name: &'static str) -> Self {
        let number = |name: &str| std::env::var(name).ok().and_then(|it| it.parse::<u64>().ok());
        let seed = number("AMLPLAN_ATTACK_SEED").unwrap_or_else(|| fastrand::u64(..1_000_000));
        let seconds = number("AMLPLAN_ATTACK_SECONDS").unwrap_or(4);
        let until = Instant::now() + Duration::from_secs(seconds);
        let dice = fastrand::Rng::with_seed(seed);
        Self { name, seed, until, counts: BTreeMap::new(), dice }
    }

    /// Whether there is time for another round. There always is for the first.
    pub(crate) fn goes_on(&self) -> bool {
        self.counts.is_empty() || Instant::now() < self.until
    }

    pub(crate) fn count(&mut self, what: impl Into<String>) {
        *self.counts.entry(what.into()).or_default() += 1;
    }
}

impl Drop for Attack {
    fn drop(&mut self) {
        let counts: Vec<String> =
            self.counts.iter().map(|(what, it)| format!("{it} {what}")).collect();
        let how = if std::thread::panicking() { "FAILED" } else { "held" };
        let Self { name, seed, .. } = self;
        let said =
            format!("attack {name} {how}: {} (AMLPLAN_ATTACK_SEED={seed})", counts.join(", "));
        let _ = writeln!(std::io::stderr(), "{said}");
    }
}
