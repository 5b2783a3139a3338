//! Progress of reading and of an apply: lines that move on a terminal, plain lines in a log, JSON
//! lines for machines. Elapsed times come with the events; nothing here reads a clock.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::overall::{self, Overall};
use super::style::{Ink, Style, and_more, count, duration, text};
use super::{safe, stream};
use crate::apply::{Event, Outcome};
use crate::model::{Json, Key};
use crate::observe::ReadProgress;
use crate::plan::Action;

/// How often a log repeats that a step still runs in the same state.
const REPEAT: Duration = Duration::from_secs(60);
/// Columns that every terminal has.
const COLUMNS: usize = 80;

/// How many running steps have a line of their own: more would push the last line, which says how
/// far everything is, out of a small terminal.
const LINES: usize = 12;

/// Gives the time of a line, RFC 3339.
pub type Stamp = Box<dyn Fn() -> String + Send + Sync>;

/// Tells a watcher what happens. Every method takes `&self`, so that steps running at the same time
/// can share it.
pub enum Reporter {
    /// One moving line a running step, for a terminal.
    Live(LiveReporter),
    /// A line an event, for logs.
    Plain(Plain),
    /// A JSON object an event, for machines.
    Lines(LinesReporter),
}

/// See [`Reporter::Live`].
pub struct LiveReporter {
    multi: MultiProgress,
    /// The running steps, each with its line, as long as there is room.
    bars: Mutex<BTreeMap<Key, Option<ProgressBar>>>,
    /// How far everything is, and the line that says so, below all others.
    overall: Mutex<(Overall, ProgressBar)>,
    style: Style,
}

/// See [`Reporter::Plain`].
pub struct Plain {
    state: Mutex<PlainState>,
    style: Style,
}

struct PlainState {
    out: Box<dyn Write + Send>,
    /// What each running step does, the state that was last said of it, and when since its start.
    running: BTreeMap<Key, (Action, String, Duration)>,
    overall: Overall,
    /// When it was last said how far everything is.
    said: Duration,
}

/// See [`Reporter::Lines`].
pub struct LinesReporter {
    out: Mutex<Box<dyn Write + Send>>,
    stamp: Stamp,
}

/// A panic elsewhere must not silence the report of what was done.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Reporter {
    /// Moving lines on stderr; hidden when that is no terminal.
    #[must_use]
    pub fn live(style: Style, overall: Overall) -> Self {
        let multi = MultiProgress::new();
        let whole = multi.add(line());
        let overall = Mutex::new((overall, whole));
        Self::Live(LiveReporter { multi, bars: Mutex::default(), overall, style })
    }

    /// Plain lines to `out`.
    #[must_use]
    pub fn plain(out: Box<dyn Write + Send>, style: Style, overall: Overall) -> Self {
        let said = Duration::ZERO;
        let state = Mutex::new(PlainState { out, running: BTreeMap::new(), overall, said });
        Self::Plain(Plain { state, style })
    }

    /// JSON lines to `out`; `stamp` gives the time of each.
    #[must_use]
    pub fn lines(out: Box<dyn Write + Send>, stamp: Stamp) -> Self {
        Self::Lines(LinesReporter { out: Mutex::new(out), stamp })
    }

    /// Tells what happened. A watcher that went away does not stop the apply, so errors of writing
    /// are dropped.
    pub fn on(&self, event: &Event) {
        match self {
            Self::Live(live_reporter) => live_reporter.on(event),
            Self::Plain(plain) => plain.on(event),
            Self::Lines(lines_reporter) => {
                lines_reporter.write(&[stream::event(event, &(lines_reporter.stamp)())])
            }
        }
    }

    /// Ends the moving lines, or writes the summary of the stream. The summary for people is
    /// [`super::human::outcome`], which goes to stdout.
    pub fn finish(&self, outcome: &Outcome) {
        match self {
            Self::Plain(_) => {}
            Self::Live(live_reporter) => {
                let bars = std::mem::take(&mut *locked(&live_reporter.bars));
                for bar in bars.into_values().flatten() {
                    bar.finish_and_clear();
                }
                locked(&live_reporter.overall).1.finish_and_clear();
            }
            Self::Lines(lines_reporter) => {
                lines_reporter.write(&stream::summary(outcome, &(lines_reporter.stamp)()))
            }
        }
    }
}

/// The moving lines go to the terminal by themselves.
fn shown(text: &str) -> String {
    safe::written(text, safe::Commands::None)
}

/// A moving line.
fn line() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    match ProgressStyle::with_template("{spinner} {wide_msg}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// A line that moves while everything is read; it goes when that is done.
pub struct ReadingLine(ProgressBar);

impl ReadingLine {
    /// The line, on stderr; hidden when that is no terminal.
    #[must_use]
    pub fn new() -> Self {
        Self(line())
    }

    /// Says how far reading is. `quiet`: since when nobody has answered, where that is long.
    pub fn show(&self, now: &ReadProgress, quiet: Option<Duration>, elapsed: Duration) {
        self.0.set_message(shown(&reading(now, quiet, elapsed)));
        self.0.tick();
    }
}

impl Drop for ReadingLine {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// `12 read, 1 failed, 37 left` of so many clusters; of one, how many answers came.
fn reading(now: &ReadProgress, quiet: Option<Duration>, elapsed: Duration) -> String {
    let ReadProgress { clusters, read, failed, answers, waiting } = now;
    let what = match clusters {
        0 => "Signing in".to_owned(),
        1 => format!("Reading: {}", count(*answers, "answer")),
        many => {
            let left = many.saturating_sub(read + failed);
            format!("Reading {many} clusters: {read} read, {failed} failed, {left} left")
        }
    };
    let quiet = quiet.map(|it| format!("; {}", silence(waiting, it))).unwrap_or_default();
    format!("{what}; {} so far{quiet}", duration(elapsed))
}

/// Who has not answered for how long.
#[must_use]
pub fn silence(waiting: &[String], quiet: Duration) -> String {
    let names = waiting.iter().take(4).cloned().collect::<Vec<_>>().join(", ");
    let more = and_more(waiting.len().saturating_sub(4));
    format!("no answer for {} seconds from {names}{more}", quiet.as_secs())
}

/// A running step on one line: state, elapsed and left show on the narrowest terminal, for which the
/// long scope of the address is shortened; what is waited for takes the rest.
fn fitting(key: &Key, state: &str, waits_for: Option<&str>, elapsed: Duration) -> String {
    // The spinner and a space.
    const ROOM: usize = COLUMNS - 2;
    let address = key.to_string();
    let tail =
        format!(": [{} elapsed] state {state}{}", duration(elapsed), overall::pace(key, elapsed));
    let length = |text: &str| text.chars().count();
    let room = ROOM.saturating_sub(length(&tail));
    let address = if length(&address) <= room {
        address
    } else {
        let kept = room.saturating_sub(1).max(8);
        let skipped = length(&address).saturating_sub(kept);
        format!("…{}", address.chars().skip(skipped).collect::<String>())
    };
    let waits = waits_for.map(|text| format!("; waits for {text}")).unwrap_or_default();
    format!("{address}{tail}{waits}")
}

impl LiveReporter {
    fn on(&self, event: &Event) {
        match event {
            Event::Started { key, .. } => {
                locked(&self.bars).insert(key.clone(), None);
                self.show(key, &stream::message(event));
            }
            Event::Progress { key, state, waits_for, elapsed } => {
                self.show(key, &fitting(key, state, waits_for.as_deref(), *elapsed));
            }
            Event::Completed { key, .. }
            | Event::Errored { key, .. }
            | Event::Skipped { key, .. }
            | Event::Left { key, .. } => {
                if let Some(Some(bar)) = locked(&self.bars).remove(key) {
                    bar.finish_and_clear();
                }
                let line = said(event, &self.style);
                // A watcher that went away does not stop the apply.
                if !line.is_empty() {
                    drop(self.multi.println(shown(line.trim_end())));
                }
            }
        }
        let mut overall = locked(&self.overall);
        overall.0.on(event);
        let line = overall.0.line();
        overall.1.set_message(shown(&line));
        overall.1.tick();
    }

    /// Says something of a running step, in its line or in one that became free.
    fn show(&self, key: &Key, text: &str) {
        let mut bars = locked(&self.bars);
        let room = bars.values().flatten().count() < LINES;
        let Some(bar) = bars.get_mut(key) else { return };
        if bar.is_none() && room {
            *bar = Some(self.multi.insert_before(&locked(&self.overall).1, line()));
        }
        if let Some(bar) = bar {
            bar.set_message(shown(text));
            bar.tick();
        }
    }
}

impl Plain {
    fn on(&self, event: &Event) {
        let mut state = locked(&self.state);
        state.overall.on(event);
        let state = &mut *state;
        let line = match event {
            Event::Started { key, action } => {
                let running = (*action, String::new(), Duration::ZERO);
                state.running.insert(key.clone(), running);
                said(event, &self.style)
            }
            Event::Progress { key, state: now, waits_for, elapsed } => {
                let now = &match waits_for {
                    Some(text) => format!("{now}; waits for {text}"),
                    None => now.clone(),
                };
                let start = || (Action::NoOp, String::new(), Duration::ZERO);
                let (action, known, at) = state.running.entry(key.clone()).or_insert_with(start);
                if known == now && *elapsed < *at + REPEAT {
                    return;
                }
                (*known, *at) = (now.clone(), *elapsed);
                let pace = overall::pace(key, *elapsed);
                text(&[stream::still(key, *action, now, *elapsed) + &pace])
            }
            Event::Completed { .. }
            | Event::Errored { .. }
            | Event::Skipped { .. }
            | Event::Left { .. } => said(event, &self.style),
        };
        drop(state.out.write_all(shown(&line).as_bytes()));
        let now = state.overall.elapsed();
        if now >= state.said + REPEAT {
            state.said = now;
            let line = text(&[state.overall.line()]);
            drop(state.out.write_all(shown(&line).as_bytes()));
        }
        drop(state.out.flush());
    }
}

impl LinesReporter {
    fn write(&self, objects: &[Json]) {
        let lines: Vec<String> = objects.iter().map(ToString::to_string).collect();
        let mut out = locked(&self.out);
        drop(out.write_all(shown(&text(&lines)).as_bytes()));
        drop(out.flush());
    }
}

/// An event as a line of text.
fn said(event: &Event, style: &Style) -> String {
    match event {
        Event::Started { .. } | Event::Progress { .. } => text(&[stream::message(event)]),
        Event::Completed { .. } => text(&[style.ink(Ink::Good, &stream::message(event))]),
        // The outcome says it, once for all.
        Event::Skipped { .. } => String::new(),
        Event::Left { .. } => text(&[style.ink(Ink::Careful, &stream::message(event))]),
        Event::Errored { key, elapsed, error, .. } => {
            // The outcome tells the rest, once.
            let title = format!("{key}: failed after {}: {}", duration(*elapsed), error.message);
            text(&[style.ink(Ink::Bad, title.lines().next().unwrap_or_default())])
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::render::samples;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            locked(&self.0).write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn told(reporter: impl FnOnce(Box<dyn Write + Send>) -> Reporter) -> String {
        let kept = Kept::default();
        let reporter = reporter(Box::new(kept.clone()));
        samples::events().iter().for_each(|event| reporter.on(event));
        reporter.finish(&samples::outcome());
        let bytes = locked(&kept.0).clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_log_has_a_line_an_event_and_repeats_a_state_only_after_a_while() {
        insta::assert_snapshot!(told(|out| Reporter::plain(
            out,
            Style::default(),
            Overall::new(&samples::plan())
        )));
    }

    #[test]
    fn every_line_of_the_stream_is_an_object_with_type_and_time() {
        let text = told(|out| Reporter::lines(out, Box::new(|| "2026-01-02T03:04:05Z".into())));
        let lines: Vec<Json> = text.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
        assert_eq!(lines.len(), samples::events().len() + 2);
        let whole = |value: &Json| value["type"].is_string() && value["@timestamp"].is_string();
        assert!(lines.iter().all(whole), "{text}");
    }

    #[test]
    fn eighty_columns_hold_state_elapsed_and_left() {
        let key = samples::key("a-fleet-with-a-very-long-name-0001/extension/arcml-extension");
        let waits = "pod amlarc-identity-controller-5d8f 0/1 (ImagePullBackOff)";
        let told = |waits| fitting(&key, "Creating", waits, Duration::from_secs(130));
        for line in [told(Some(waits)), told(None)] {
            let line: String = line.chars().take(COLUMNS - 2).collect();
            for part in ["[2m10s elapsed]", "state Creating", "1-8m left", "arcml-extension"] {
                assert!(line.contains(part), "{part}: {line}");
            }
        }
        assert!(told(Some(waits)).ends_with(waits));
    }

    #[test]
    fn reading_says_how_many_clusters_are_read_and_who_is_silent() {
        let waiting = (1..=6).map(|number| format!("cluster c{number}")).collect();
        let now = ReadProgress { clusters: 50, read: 12, failed: 1, answers: 70, waiting };
        let after = Duration::from_secs;
        let said = "Reading 50 clusters: 12 read, 1 failed, 37 left; 3s so far";
        assert_eq!(reading(&now, None, after(3)), said);
        let names = "cluster c1, cluster c2, cluster c3, cluster c4 and 2 more";
        assert_eq!(
            reading(&now, Some(after(7)), after(9)),
            format!("{}; no answer for 7 seconds from {names}", said.replace("3s", "9s"))
        );
        let one = ReadProgress { clusters: 1, answers: 14, ..ReadProgress::default() };
        assert_eq!(reading(&one, None, after(1)), "Reading: 14 answers; 1s so far");
    }

    #[test]
    fn only_some_of_many_running_steps_have_a_line() {
        let Reporter::Live(live) = Reporter::live(Style::default(), Overall::default()) else {
            return;
        };
        let key = |number: usize| samples::key(&format!("edge-{number}/extension/x"));
        let lines = || locked(&live.bars).values().flatten().count();
        (0..50).for_each(|it| live.on(&Event::Started { key: key(it), action: Action::Create }));
        assert_eq!(lines(), LINES);
        assert_eq!(locked(&live.bars).len(), 50, "the others are known as well");
        let elapsed = Duration::from_secs(1);
        live.on(&Event::Completed { key: key(0), action: Action::Create, elapsed });
        assert_eq!(lines(), LINES - 1);
        let state = "Creating".to_owned();
        live.on(&Event::Progress { key: key(49), state, waits_for: None, elapsed });
        assert_eq!(lines(), LINES, "the place that became free is taken");
    }

    #[test]
    fn moving_lines_end_with_their_steps() {
        let reporter = Reporter::live(Style::default(), Overall::default());
        let events = samples::events();
        reporter.on(&events[0]);
        let running = |reporter: &Reporter| match reporter {
            Reporter::Live(live) => locked(&live.bars).len(),
            Reporter::Plain(_) | Reporter::Lines(_) => usize::MAX,
        };
        assert_eq!(running(&reporter), 1);
        events[1..].iter().for_each(|event| reporter.on(event));
        assert_eq!(running(&reporter), 0);
    }
}
