//! Being asked to stop.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

/// What being asked to stop leads to.
#[derive(Debug, Default)]
enum Course {
    /// The program just ends: nothing was changed.
    #[default]
    Ends,
    /// The command ends in order.
    InOrder,
    /// The program is about to end; nothing may be begun any more.
    Ended,
}

/// Who sees to it: an apply ends in order, everything else just ends. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Interrupts(Arc<(Mutex<Course>, watch::Sender<bool>)>);

impl Interrupts {
    /// From here on the command ends by itself when this turns true; it is true already when the
    /// program is about to end.
    pub(super) fn take(&self) -> watch::Receiver<bool> {
        let mut course = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Course::Ends = *course {
            *course = Course::InOrder;
        }
        self.0.1.subscribe()
    }

    /// Completes when a command that does not see to it is asked to stop.
    pub(super) async fn unseen(&self) {
        loop {
            asked_to_stop().await;
            let mut course = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
            self.0.1.send_replace(true);
            if let Course::Ends = *course {
                *course = Course::Ended;
                return;
            }
        }
    }
}

/// Completes at Ctrl-C, SIGTERM or SIGHUP: a terminal that is closed asks as politely as a person.
pub(super) async fn asked_to_stop() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let hangup = (!ignores_hangup()).then(|| signal(SignalKind::hangup()).ok()).flatten();
        let hung_up = async {
            match hangup {
                Some(mut signal) => drop(signal.recv().await),
                None => std::future::pending().await,
            }
        };
        if let Ok(mut term) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = term.recv() => {}
                () = hung_up => {}
            }
            return;
        }
    }
    // Without a handler there is nothing to wait for but the other signal.
    let _ = tokio::signal::ctrl_c().await;
}

/// Whether the program was started so that it outlives its terminal (`nohup`): SIGHUP, the lowest
/// bit of the mask of ignored signals (proc(5)).
#[cfg(unix)]
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|text| u64::from_str_radix(text.trim(), 16).ok()).is_some_and(|it| it & 1 == 1)
}
