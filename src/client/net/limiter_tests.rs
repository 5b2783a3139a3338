//! The limiter against servers that tell much, little or nothing, on a paused clock.

use futures_util::StreamExt as _;
use proptest::prelude::*;

use super::*;

fn headers(pairs: &[(&'static str, String)]) -> HeaderMap {
    pairs.iter().map(|(k, v)| (k.parse().unwrap(), v.parse().unwrap())).collect()
}

const LEFT: &str = "x-ms-ratelimit-remaining-subscription-reads";

/// A server with a bucket of tokens.
struct Server {
    left: f64,
    seen: Instant,
    burst: f64,
    refill: f64,
    tells: bool,
    asks: Option<u64>,
    refused: usize,
}

impl Server {
    fn answer(&mut self) -> (u16, HeaderMap) {
        let now = clock::now();
        let gained = self.refill * now.duration_since(self.seen).as_secs_f64();
        self.left = (self.left + gained).min(self.burst);
        self.seen = now;
        if self.left < 1.0 {
            self.refused += 1;
            let asked = self.asks.map(|ask| ("retry-after", ask.to_string()));
            return (429, headers(asked.as_slice()));
        }
        self.left -= 1.0;
        let left = self.tells.then(|| (LEFT, (self.left as u64).to_string()));
        (200, headers(left.as_slice()))
    }
}

/// How many of so many requests, 64 at once, are refused, and how many seconds they all take.
async fn run(requests: usize, server: Server) -> (usize, f64) {
    let (limiter, server) = (Limiter::default(), Mutex::new(server));
    let start = clock::now();
    let lane = Lane::new("s", "reads", "microsoft.kubernetes");
    let sending = futures_util::stream::iter(0..requests).map(|_| async {
        loop {
            let mut turn = limiter.turn(&lane).await;
            let (status, headers) = server.lock().unwrap().answer();
            clock::sleep(Duration::from_millis(50)).await;
            turn.answered(status, &headers);
            if status == 200 {
                return;
            }
        }
    });
    sending.buffer_unordered(64).collect::<Vec<()>>().await;
    (server.into_inner().unwrap().refused, start.elapsed().as_secs_f64())
}

fn virtually<T>(work: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().unwrap().block_on(work)
}

fn server(burst: f64, refill: f64, tells: bool, asks: Option<u64>) -> Server {
    let seen = clock::now();
    Server { left: burst, seen, burst, refill, tells, asks, refused: 0 }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Whatever the server tells, all requests get through, few are refused, and no more time is
    /// lost than a server takes that is asked as fast as it lets itself be.
    #[test]
    fn few_are_refused_and_all_get_through(
        burst in 25.0..300.0f64,
        tells in any::<bool>(),
        asks in proptest::option::of(1u64..20),
    ) {
        let (refused, took) = virtually(async { run(3_000, server(burst, 25.0, tells, asks)).await });
        let least = (3_000.0 - burst) / 25.0;
        // Without a word about what is left, a limit is found by meeting it.
        let (few, long) = if tells { (64, 1.3) } else { (150, 4.0) };
        prop_assert!(refused <= few, "{refused} refused in {took} s");
        prop_assert!(took <= least * long + 60.0, "{took} s, at least {least}");
    }
}

/// More wait for their turn than the whole limit is large.
#[test]
fn a_small_limit_is_used_up() {
    let (refused, took) = virtually(async { run(3_000, server(25.0, 25.0, true, Some(1))).await });
    assert!(refused <= 64 && took <= 180.0, "{refused} refused in {took} s");
}

/// A refusal without a word stops and slows everything, one with a word its own kind.
#[tokio::test(start_paused = true)]
async fn a_refusal_slows_the_whole_run() {
    for (told, held) in [(headers(&[]), true), (headers(&[("retry-after", "5".into())]), false)] {
        let limiter = Limiter::default();
        let mut turn = limiter.turn(&Lane::new("a", "reads", "x")).await;
        let start = clock::now();
        turn.answered(429, &told);
        drop(limiter.turn(&Lane::new("b", "writes", "y")).await);
        assert_eq!(start.elapsed() >= FIRST_HOLD, held);
        drop(limiter.turn(&Lane::new("a", "reads", "z")).await);
        assert!(start.elapsed() >= if held { FIRST_HOLD } else { Duration::from_secs(5) });
    }
}

/// Who waits already when another is refused waits on.
#[tokio::test(start_paused = true)]
async fn a_refusal_holds_those_that_wait() {
    let (limiter, lane) = (Limiter::default(), Lane::new("a", "reads", "x"));
    let mut first = limiter.turn(&lane).await;
    first.answered(200, &headers(&[(LEFT, "0".into())]));
    let start = clock::now();
    let mut other = limiter.turn(&Lane::new("a", "reads", "y")).await;
    let (waiting, ()) = tokio::join!(limiter.turn(&lane), async {
        other.answered(429, &headers(&[("retry-after", "9".into())]));
    });
    drop(waiting);
    assert!(start.elapsed() >= Duration::from_secs(9));
}

/// Many at once take what is there, and no bucket is waited for to hold more than it ever did.
#[tokio::test(start_paused = true)]
async fn many_take_what_is_left() {
    let (limiter, lane) = (Limiter::default(), Lane::new("a", "reads", ""));
    assert_eq!(limiter.turns(&lane, 100, 500).await.count, 500);
    limiter.turn(&lane).await.answered(200, &headers(&[(LEFT, "60".into())]));
    assert_eq!(limiter.turns(&lane, 100, 500).await.count, 60);
    let start = clock::now();
    let mut turn = limiter.turns(&lane, 50, 50).await;
    turn.answered(200, &headers(&[(LEFT, "0".into())]));
    turn.only(0);
    assert_eq!(limiter.turns(&lane, 50, 500).await.count, 50);
    assert_eq!(start.elapsed(), Duration::from_secs(2));
}

#[test]
fn lists_of_provider_limits_count_by_their_lowest() {
    assert_eq!(remaining("Microsoft.Compute/A;239,Microsoft.Compute/B;19"), Some(19.0));
    assert_eq!(remaining("x"), None);
}
