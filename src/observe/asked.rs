//! How far reading is: who owes an answer, which clusters are read. Noted where answers come in,
//! for whoever waits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Who was asked and has not answered yet, and which clusters wait for what.
#[derive(Debug, Clone, Default)]
pub struct Asked(Arc<Mutex<OpenReads>>);

#[derive(Debug, Default)]
struct OpenReads {
    waiting: BTreeMap<String, usize>,
    answers: usize,
    /// The clusters of this round, each with how many groups of reads it waits for.
    clusters: BTreeMap<String, usize>,
    failed: BTreeSet<String>,
    /// Whether these reads are not the last of the round.
    more: bool,
}

/// How far reading is at a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadProgress {
    /// How many clusters are looked at.
    pub clusters: usize,
    /// How many of them are read whole.
    pub read: usize,
    /// Of how many something could not be read.
    pub failed: usize,
    /// Answers so far, in the whole run.
    pub answers: usize,
    /// Who owes an answer: hosts and clusters.
    pub waiting: Vec<String>,
}

impl Asked {
    fn open(&self) -> MutexGuard<'_, OpenReads> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far it is.
    #[must_use]
    pub fn state(&self) -> ReadProgress {
        let open = self.open();
        let done = |it: &(&String, &usize)| !open.more && *it.1 == 0 && !open.failed.contains(it.0);
        ReadProgress {
            clusters: open.clusters.len(),
            read: open.clusters.iter().filter(done).count(),
            failed: open.failed.len(),
            answers: open.answers,
            waiting: open.waiting.keys().cloned().collect(),
        }
    }

    /// Waits for an answer, and is seen to.
    pub(super) async fn of<T>(&self, who: String, ask: impl Future<Output = T>) -> T {
        *self.open().waiting.entry(who.clone()).or_default() += 1;
        let answer = ask.await;
        let mut open = self.open();
        if let Some(number) = open.waiting.get_mut(&who) {
            *number -= 1;
            if *number == 0 {
                open.waiting.remove(&who);
            }
        }
        open.answers += 1;
        answer
    }

    /// A new round, over these clusters.
    pub(super) fn begin<'a>(&self, clusters: impl Iterator<Item = &'a str>) {
        let mut open = self.open();
        open.clusters = clusters.map(|cluster| (cluster.to_owned(), 0)).collect();
        open.failed.clear();
    }

    /// Whether the reads that follow are not the last of the round.
    pub(super) fn more(&self, more: bool) {
        self.open().more = more;
    }

    /// These clusters wait for a further group of reads.
    pub(super) fn owe<'a>(&self, scopes: impl Iterator<Item = &'a String>) {
        let mut open = self.open();
        for scope in scopes {
            open.clusters.entry(scope.clone()).and_modify(|owed| *owed += 1);
        }
    }

    /// A group of reads of these clusters is done.
    pub(super) fn got<'a>(&self, scopes: impl Iterator<Item = &'a String>) {
        let mut open = self.open();
        for scope in scopes {
            open.clusters.entry(scope.clone()).and_modify(|owed| *owed = owed.saturating_sub(1));
        }
    }

    /// Something of this cluster could not be read.
    pub(super) fn fail(&self, scope: &str) {
        let mut open = self.open();
        if open.clusters.contains_key(scope) && !open.failed.contains(scope) {
            open.failed.insert(scope.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_is_asked_owes_an_answer_until_it_comes() {
        let asked = Asked::default();
        let seen = asked.of("cluster edge".to_owned(), async { asked.state() }).await;
        assert_eq!((seen.answers, seen.waiting), (0, vec!["cluster edge".to_owned()]));
        assert_eq!((asked.state().answers, asked.state().waiting), (1, Vec::new()));
    }

    #[test]
    fn a_cluster_is_read_when_nothing_of_it_is_owed() {
        let asked = Asked::default();
        let counts = || (asked.state().clusters, asked.state().read, asked.state().failed);
        asked.begin(["a", "b"].into_iter());
        asked.more(true);
        assert_eq!(counts(), (2, 0, 0), "what is yet to be asked for counts");
        asked.more(false);
        let [a, b, other] = ["a", "b", "subscription"].map(str::to_owned);
        asked.owe([&a, &b, &other].into_iter());
        asked.owe([&a].into_iter());
        asked.got([&a, &b, &other].into_iter());
        assert_eq!(counts(), (2, 1, 0));
        asked.got([&a].into_iter());
        asked.fail("a");
        asked.fail("subscription");
        assert_eq!(counts(), (2, 1, 1));
    }
}
