//! Why a request got no answer, told apart once, where the failure enters.

use std::error::Error as StdError;
use std::io::ErrorKind;

/// Whether a request that failed may have been carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CarriedOut {
    /// The server never saw it.
    SurelyNot,
    /// The connection broke after the request left: nobody knows.
    Maybe,
}

/// What kept an answer away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Nobody listens there, or no route leads there.
    Refused,
    /// The name stands for no address.
    UnknownHost,
    /// The server's certificate is not trusted, or no encryption could be agreed on.
    Certificate,
    /// No connection came about in time.
    Silent,
    /// This process may open no more files.
    Descriptors,
    /// The answer is longer than we read.
    TooLarge,
    /// The answer took longer than we wait.
    TooSlow,
    /// The connection broke.
    Broken,
}

impl Why {
    /// Whether no connection came about at all.
    #[must_use]
    pub const fn is_unreachable(self) -> bool {
        matches!(self, Self::Refused | Self::UnknownHost | Self::Certificate | Self::Silent)
    }

    /// How to mend it; `None` where the reason says nothing of its own.
    #[must_use]
    pub const fn help(self) -> Option<&'static str> {
        Some(match self {
            Self::Refused => "check that the server runs, and that host and port are right",
            Self::UnknownHost => "check the name of the host, DNS, and whether a VPN is needed",
            Self::Certificate => {
                "the certificate authority is not trusted here: a proxy that opens TLS, or a stale \
                 kubeconfig; AMLPLAN_CA_FILE names more authorities for Azure, \
                 certificate-authority-data those of a cluster"
            }
            Self::Silent => "a firewall or a stopped server: check the network, VPN and proxy",
            Self::Descriptors => {
                "raise the limit of open files (ulimit -n), or lower --parallelism"
            }
            Self::TooLarge | Self::TooSlow | Self::Broken => return None,
        })
    }
}

/// A request that got no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SendError {
    /// Whether the request may have been carried out.
    pub taken: CarriedOut,
    /// What kept the answer away.
    pub why: Why,
    /// Whether it was tried for as long as makes sense: nobody tries again.
    pub(super) settled: bool,
    message: String,
}

impl SendError {
    /// An error with a reason of its own; the reason must not hold a secret.
    #[must_use]
    pub fn new(taken: CarriedOut, message: impl Into<String>) -> Self {
        Self::because(Why::Broken, taken, message)
    }

    pub(in crate::client) fn because(
        why: Why,
        taken: CarriedOut,
        message: impl Into<String>,
    ) -> Self {
        Self { taken, why, settled: false, message: message.into() }
    }

    pub(super) fn from_reqwest(error: reqwest::Error) -> Self {
        let connecting = error.is_connect() || error.is_builder();
        let timed_out = error.is_timeout();
        // Query parts of an address may carry signatures.
        let error = error.without_url();
        let why = match cause(&error) {
            Some(why) if connecting || why == Why::Descriptors => why,
            _ if connecting && timed_out => Why::Silent,
            _ if timed_out => Why::TooSlow,
            _ => Why::Broken,
        };
        let taken = if connecting { CarriedOut::SurelyNot } else { CarriedOut::Maybe };
        Self::because(why, taken, words(why, &chain(&error)))
    }
}

fn words(why: Why, told: &str) -> String {
    match why {
        Why::Refused => format!("the connection was refused, or no route leads there ({told})"),
        Why::UnknownHost => format!("the host is not known ({told})"),
        Why::Certificate => format!("the server's certificate is not trusted ({told})"),
        Why::Silent => format!("no connection came about in time ({told})"),
        Why::Descriptors => format!("this process may open no more files ({told})"),
        Why::TooSlow => format!("the answer did not come, or not whole, in time ({told})"),
        Why::TooLarge | Why::Broken => told.to_owned(),
    }
}

/// The reason that the innermost errors give.
fn cause(error: &(dyn StdError + 'static)) -> Option<Why> {
    /// `EMFILE` and `ENFILE`.
    const NO_FILES: [i32; 2] = [24, 23];
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<rustls::Error>() {
            return Some(Why::Certificate);
        }
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            if io.raw_os_error().is_some_and(|it| NO_FILES.contains(&it)) {
                return Some(Why::Descriptors);
            }
            // An error inside of an io::Error is no source of it.
            if let Some(found) = io.get_ref().and_then(|inner| cause(inner)) {
                return Some(found);
            }
            match io.kind() {
                ErrorKind::ConnectionRefused
                | ErrorKind::HostUnreachable
                | ErrorKind::NetworkUnreachable => return Some(Why::Refused),
                ErrorKind::TimedOut => return Some(Why::Silent),
                _ => {}
            }
        }
        // The resolver of the system gives no kind, only words of its own around it.
        if error.to_string() == "dns error" {
            return Some(cause_of_lookup(error));
        }
        next = error.source();
    }
    None
}

/// A lookup that failed for want of file descriptors says so further in.
fn cause_of_lookup(error: &(dyn StdError + 'static)) -> Why {
    match error.source().and_then(cause) {
        Some(Why::Descriptors) => Why::Descriptors,
        _ if chain(error).contains("Too many open files") => Why::Descriptors,
        _ => Why::UnknownHost,
    }
}

/// The error with its causes: an outer text alone stops at "error sending request".
pub(in crate::client) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = inner.source();
    }
    text
}
