//! Why a request got no answer, told apart once, where the failure enters.

use std::error::Error as StdError;
use std::io::ErrorKind;

use super::proxy::Proxy;

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
    /// The proxy does not lead to the host.
    ProxyRefused,
    /// The proxy wants to know who asks.
    ProxySignIn,
    /// The server's certificate is not trusted, or no encryption could be agreed on.
    Certificate,
    /// No connection came about in time, or one that nothing is said on.
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
            || self.is_of_proxy()
    }

    /// Whether a proxy refused, which it will do again.
    pub(super) const fn is_of_proxy(self) -> bool {
        matches!(self, Self::ProxyRefused | Self::ProxySignIn)
    }
}

/// The way that a request went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Way {
    /// `host:port` of the server.
    pub(super) host: String,
    pub(super) proxy: Option<Proxy>,
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
    pub(in crate::client) settled: bool,
    message: String,
    way: Box<Way>,
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
        Self { taken, why, settled: false, message: message.into(), way: Box::default() }
    }

    /// An error on a way, told as `told` by whoever met it.
    pub(super) fn on(way: Way, why: Why, taken: CarriedOut, told: &str) -> Self {
        let message = words(why, told, &way);
        Self { way: Box::new(way), ..Self::because(why, taken, message) }
    }

    /// What says, on whatever level, that this process may open no more files: nothing of whom it
    /// meant to ask.
    pub(in crate::client) fn of_here(error: &(dyn StdError + 'static)) -> Option<Self> {
        let why = cause(error).filter(|why| *why == Why::Descriptors)?;
        Some(Self::on(Way::default(), why, CarriedOut::SurelyNot, ""))
    }

    pub(super) fn from_reqwest(error: reqwest::Error, way: &Way) -> Self {
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
        // Above the reason the client only says that it was sending.
        let told = chain(&error);
        let told = told.trim_start_matches("error sending request: ");
        Self::on(way.clone(), why, taken, told.trim_start_matches("client error (Connect): "))
    }

    /// How to mend it; `None` where the reason says nothing of its own.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        let Way { host, proxy } = &*self.way;
        let name = host.rsplit_once(':').map_or(host.as_str(), |it| it.0);
        if let Some(Proxy { address, named_by, signs_in }) = proxy {
            let past = format!("NO_PROXY={name} goes past it");
            match self.why {
                Why::Refused | Why::UnknownHost => {
                    return Some(format!(
                        "check that the proxy runs and {named_by} is right; {past}"
                    ));
                }
                Why::ProxyRefused => {
                    return Some(format!(
                        "ask whoever runs the proxy to let {host} through; {past}"
                    ));
                }
                Why::ProxySignIn if *signs_in => {
                    return Some(format!("check user and password in {named_by}; {past}"));
                }
                Why::ProxySignIn => {
                    return Some(format!(
                        "write them into {named_by}: http://USER:PASSWORD@{address}; {past}"
                    ));
                }
                _ => {}
            }
        }
        let text = match self.why {
            Why::Refused => "check that the server runs, and that host and port are right",
            Why::UnknownHost => "check the name of the host, DNS, and whether a VPN is needed",
            Why::Certificate => {
                "the certificate authority is not trusted here: a proxy that opens TLS, or a stale \
                 kubeconfig; AMLPLAN_CA_FILE names more authorities for Azure, \
                 certificate-authority-data those of a cluster"
            }
            Why::Silent => "a firewall or a stopped server: check the network, VPN and proxy",
            Why::Descriptors => {
                "raise the limit of open files (ulimit -n), or lower --read-parallelism and --parallelism"
            }
            Why::ProxyRefused | Why::ProxySignIn | Why::TooLarge | Why::TooSlow | Why::Broken => {
                return None;
            }
        };
        Some(text.to_owned())
    }
}

fn words(why: Why, told: &str, Way { host, proxy }: &Way) -> String {
    let through = match proxy {
        Some(Proxy { address, named_by, .. }) => format!("the proxy {address} ({named_by})"),
        None => String::new(),
    };
    let by = |what: &str| match proxy {
        Some(_) => format!("{what}, through {through}"),
        None => what.to_owned(),
    };
    match why {
        Why::Refused if proxy.is_some() => format!("{through} refused the connection ({told})"),
        Why::Refused => format!("{host} refused the connection, or no route leads there ({told})"),
        Why::UnknownHost if proxy.is_some() => {
            format!("the host of {through} is not known ({told})")
        }
        Why::UnknownHost => format!("the host {host} is not known ({told})"),
        Why::ProxyRefused => format!("{through} does not lead to {host} ({told})"),
        Why::ProxySignIn => format!("{through} asks for a user and a password (407)"),
        Why::Certificate => {
            format!("{} ({told})", by(&format!("the certificate of {host} is not trusted")))
        }
        Why::Silent => format!("{} ({told})", by(&format!("no answer in time from {host}"))),
        // The same for every request, so that it is told once.
        Why::Descriptors => "this process may open no more files".to_owned(),
        Why::TooSlow => format!("the answer did not come, or not whole, in time ({told})"),
        Why::TooLarge | Why::Broken => told.to_owned(),
    }
}

/// The reason that the innermost errors give.
fn cause(error: &(dyn StdError + 'static)) -> Option<Why> {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<rustls::Error>() {
            return Some(Why::Certificate);
        }
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            if crate::source::no_files(io) {
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
        // The resolver of the system and the tunnel through a proxy give no kind, only words.
        match error.to_string().as_str() {
            "dns error" => return Some(cause_of_lookup(error)),
            "tunnel error: proxy authorization required" => return Some(Why::ProxySignIn),
            "tunnel error: unsuccessful"
            | "tunnel error: unexpected end of file"
            | "tunnel error: proxy response headers too long" => return Some(Why::ProxyRefused),
            _ => {}
        }
        next = error.source();
    }
    None
}

/// A lookup that failed for want of file descriptors says so further in.
fn cause_of_lookup(error: &(dyn StdError + 'static)) -> Why {
    error
        .source()
        .and_then(cause)
        .filter(|why| *why == Why::Descriptors)
        .unwrap_or(Why::UnknownHost)
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
