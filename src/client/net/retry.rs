//! When a request is sent again, and after how long. Pure decisions over a clock: the loop that
//! sends stands in the client, so that every attempt can be seen.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::RETRY_AFTER;
use tokio::time::Instant;

use super::broken::{CarriedOut, SendError, Why};
use super::clock;

const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// How long one request is repeated; waiting on 429 does not count.
const PATIENCE: Duration = Duration::from_secs(5 * 60);
/// How long one request waits on 429 altogether.
const THROTTLE_PATIENCE: Duration = Duration::from_secs(60 * 60);
/// Waits of a whole run for troubled services, added up over all requests.
const RUN_BUDGET: Duration = Duration::from_secs(30 * 60);

/// Whether a request may be repeated when nobody knows if it was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Repeating changes nothing: reads.
    Freely,
    /// Repeating is harmless, but the caller should look whether the first one took: PUT, DELETE
    /// and our PATCHes.
    AfterLooking,
    /// Never: a POST that does something each time.
    Never,
}

/// What to do after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryDecision {
    /// Wait, then send again.
    Again(Duration),
    /// Wait, then look whether the request took; send again only if it did not.
    LookFirst(Duration),
    /// Hand the failure on.
    GiveUp,
}

/// The time that all requests of a run may spend waiting for troubled services.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Mutex<Duration>>);

impl Default for Budget {
    fn default() -> Self {
        Self::new(RUN_BUDGET)
    }
}

impl Budget {
    /// A budget of this much waiting.
    #[must_use]
    pub fn new(total: Duration) -> Self {
        Self(Arc::new(Mutex::new(total)))
    }

    fn spend(&self, wait: Duration) -> bool {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = left.checked_sub(wait);
        if let Some(rest) = rest {
            *left = rest;
        }
        rest.is_some()
    }
}

/// The retries of one request. 408, 429, 500, 502, 503, 504 and broken connections are repeated
/// within a time, not a number of attempts; 429 never counts.
#[derive(Debug)]
pub struct Retry {
    repeat: Repeat,
    budget: Budget,
    ends: Instant,
    throttle_ends: Instant,
    next_wait: Duration,
}

impl Retry {
    /// Starts counting the time of one request.
    #[must_use]
    pub fn new(repeat: Repeat, budget: &Budget) -> Self {
        Self {
            repeat,
            budget: budget.clone(),
            ends: clock::now() + PATIENCE,
            throttle_ends: clock::now() + THROTTLE_PATIENCE,
            next_wait: FIRST_WAIT,
        }
    }

    /// After an answer that is not a success.
    pub fn after_status(&mut self, status: u16, headers: &HeaderMap) -> RetryDecision {
        let hint = retry_after(headers, SystemTime::now());
        match status {
            429 => {
                let wait = self.pick(hint);
                if clock::now() + wait > self.throttle_ends {
                    return RetryDecision::GiveUp;
                }
                self.ends += wait;
                RetryDecision::Again(wait)
            }
            408 | 500 | 502 | 503 | 504 => self.ambiguous(hint),
            _ => RetryDecision::GiveUp,
        }
    }

    /// After a request that got no answer.
    pub fn after_break(&mut self, error: &SendError) -> RetryDecision {
        if error.settled {
            return RetryDecision::GiveUp;
        }
        match error.why {
            // Nothing that waiting mends, and nothing that the service could help.
            Why::Certificate
            | Why::ProxyRefused
            | Why::ProxySignIn
            | Why::Descriptors
            | Why::TooLarge => return RetryDecision::GiveUp,
            Why::Refused | Why::UnknownHost | Why::Silent | Why::TooSlow | Why::Broken => {}
        }
        match error.taken {
            CarriedOut::SurelyNot => {
                self.pay(None).map_or(RetryDecision::GiveUp, RetryDecision::Again)
            }
            CarriedOut::Maybe => self.ambiguous(None),
        }
    }

    fn ambiguous(&mut self, hint: Option<Duration>) -> RetryDecision {
        match self.repeat {
            Repeat::Freely => self.pay(hint).map_or(RetryDecision::GiveUp, RetryDecision::Again),
            Repeat::AfterLooking => {
                self.pay(hint).map_or(RetryDecision::GiveUp, RetryDecision::LookFirst)
            }
            Repeat::Never => RetryDecision::GiveUp,
        }
    }

    fn pay(&mut self, hint: Option<Duration>) -> Option<Duration> {
        let wait = self.pick(hint);
        let in_time = clock::now() + wait <= self.ends;
        (in_time && self.budget.spend(wait)).then_some(wait)
    }

    /// The server's wish with up to a tenth more, or our own wait, doubled each time, with jitter.
    fn pick(&mut self, hint: Option<Duration>) -> Duration {
        let own = self.next_wait;
        self.next_wait = (own * 2).min(LONGEST_WAIT);
        match hint {
            Some(hint) => hint.mul_f64(1.0 + 0.1 * fastrand::f64()),
            None => own.mul_f64(0.5 + 0.5 * fastrand::f64()),
        }
    }
}

/// How long the server asks to wait: `x-ms-retry-after-ms`, `retry-after-ms`, or `Retry-After` in
/// seconds or as a date (RFC 9110, 10.2.3). Zero is no wish; less than a tenth of a second is that,
/// and more than an hour is an hour.
#[must_use]
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let number = |it: &str| it.parse::<f64>().ok().filter(|it| it.is_finite() && *it > 0.0);
    let millis = ["x-ms-retry-after-ms", "retry-after-ms"].into_iter().find_map(text);
    let seconds = text(RETRY_AFTER.as_str());
    let from_millis = millis.and_then(number).map(|it| it / 1000.0);
    let from_seconds = seconds.and_then(number);
    let from_date = seconds
        .and_then(|second| httpdate::parse_http_date(second).ok())
        .and_then(|time| time.duration_since(now).ok())
        .map(|duration| duration.as_secs_f64());
    let seconds = from_millis.or(from_seconds).or(from_date).filter(|number| *number > 0.0)?;
    Some(Duration::from_secs_f64(seconds.clamp(0.1, 3600.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(k, v)| (k.parse().unwrap(), v.parse().unwrap())).collect()
    }

    #[test]
    fn the_servers_wish_is_read_in_every_form() {
        let now = httpdate::parse_http_date("Mon, 23 Nov 2026 10:00:00 GMT").unwrap();
        type Pairs = [(&'static str, &'static str)];
        let cases: [(&Pairs, Option<f64>); 13] = [
            (&[], None),
            (&[("retry-after", "7")], Some(7.0)),
            (&[("retry-after", "0")], None),
            (&[("retry-after", "soon")], None),
            (&[("retry-after", "Mon, 23 Nov 2026 10:01:30 GMT")], Some(90.0)),
            (&[("retry-after", "Mon, 23 Nov 2026 09:00:00 GMT")], None),
            (&[("x-ms-retry-after-ms", "50"), ("retry-after", "10")], Some(0.1)),
            (&[("retry-after", "1e300")], Some(3600.0)),
            (&[("retry-after", "NaN")], None),
            (&[("x-ms-retry-after-ms", "-5")], None),
            (&[("x-ms-retry-after-ms", "0"), ("retry-after", "10")], Some(10.0)),
            (&[("retry-after", "inf")], None),
            (&[("retry-after", "Mon, 23 Nov 2026 10:00:00 GMT")], None),
        ];
        for (given, wanted) in cases {
            let found = retry_after(&headers(given), now).map(|duration| duration.as_secs_f64());
            assert_eq!(found, wanted, "{given:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn throttling_is_waited_for_as_asked_and_never_counts() {
        let budget = Budget::new(Duration::ZERO);
        let mut retry = Retry::new(Repeat::Never, &budget);
        for _ in 0..50 {
            let asked = headers(&[("retry-after", "30")]);
            let RetryDecision::Again(wait) = retry.after_status(429, &asked) else {
                panic!("gave up on throttling");
            };
            assert!(wait >= Duration::from_secs(30) && wait <= Duration::from_secs(33));
            clock::sleep(wait).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_wish_waits_double_up_to_a_minute() {
        let budget = Budget::new(Duration::from_secs(3600));
        for _ in 0..50 {
            let mut retry = Retry::new(Repeat::Freely, &budget);
            for most in [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0] {
                let wait = retry.pick(None).as_secs_f64();
                assert!((most / 2.0..=most).contains(&wait), "{wait} of {most}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn repeating_depends_on_what_the_request_does() {
        let budget = Budget::default();
        let broken = SendError::new(CarriedOut::Maybe, "reset");
        let refused = SendError::new(CarriedOut::SurelyNot, "refused");
        let mut post = Retry::new(Repeat::Never, &budget);
        assert_eq!(post.after_break(&broken), RetryDecision::GiveUp);
        assert_eq!(post.after_status(503, &HeaderMap::new()), RetryDecision::GiveUp);
        assert!(matches!(post.after_break(&refused), RetryDecision::Again(_)));
        let mut put = Retry::new(Repeat::AfterLooking, &budget);
        assert!(matches!(put.after_break(&broken), RetryDecision::LookFirst(_)));
        assert!(matches!(put.after_status(500, &HeaderMap::new()), RetryDecision::LookFirst(_)));
        assert_eq!(put.after_status(501, &HeaderMap::new()), RetryDecision::GiveUp);
        assert_eq!(put.after_status(409, &HeaderMap::new()), RetryDecision::GiveUp);
    }

    #[tokio::test(start_paused = true)]
    async fn patience_and_the_budget_of_the_run_end_by_time() {
        let budget = Budget::new(Duration::from_secs(400));
        let start = clock::now();
        let mut retry = Retry::new(Repeat::Freely, &budget);
        while let RetryDecision::Again(wait) = retry.after_status(503, &HeaderMap::new()) {
            clock::sleep(wait).await;
        }
        assert!(start.elapsed() <= PATIENCE && start.elapsed() > PATIENCE / 2);
        let second = clock::now();
        let mut retry = Retry::new(Repeat::Freely, &budget);
        while let RetryDecision::Again(wait) = retry.after_status(503, &HeaderMap::new()) {
            clock::sleep(wait).await;
        }
        assert!(start.elapsed() <= Duration::from_secs(400));
        assert!(second.elapsed() < PATIENCE);
    }
}
