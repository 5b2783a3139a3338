//! One line to one server: who was never reached is not tried for minutes, and not by everybody.
//!
//! The first request goes alone. When no connection comes about, it is tried again for some seconds
//! (a certificate that is not trusted, a proxy that refuses: not at all; silence: once more, if there
//! is time), and then the line is down: everybody else hears the same at once. A server that has
//! answered before is given more time.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Version};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::broken::{SendError, Why};
use super::{Repeat, Transport, clock};

/// How long a server that has never answered is tried.
const FIRST_PATIENCE: Duration = Duration::from_secs(6);
const PAUSE: Duration = Duration::from_secs(2);
/// How long silence is met before a server counts as not there, all tries together.
const SILENCE: Duration = Duration::from_secs(25);
/// How long the first answer of a server may take: over plain http nothing else shows that somebody
/// is there, over TLS the handshake does.
const FIRST_ANSWER: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(20)];
/// How long a line that is down stays so.
const DOWN: Duration = Duration::from_secs(60);

#[derive(Debug, Clone)]
enum LineState {
    Unknown,
    Reached { version: Version },
    Down { error: SendError, until: Instant },
}

/// Requests to one server.
#[derive(Debug)]
pub(in crate::client) struct Line {
    transport: Transport,
    state: Mutex<LineState>,
    first: tokio::sync::Mutex<()>,
    /// Requests at once over HTTP/1, where each needs a socket of its own.
    sockets: Semaphore,
}

impl Line {
    /// A line with at most this many sockets where the server has no HTTP/2.
    pub(in crate::client) fn new(transport: Transport, sockets: usize) -> Self {
        Self {
            transport,
            state: Mutex::new(LineState::Unknown),
            first: tokio::sync::Mutex::default(),
            sockets: Semaphore::new(sockets),
        }
    }

    /// What carries its requests, for a line to another server.
    pub(in crate::client) fn transport(&self) -> Transport {
        self.transport.clone()
    }

    /// Whether the server has answered.
    pub(in crate::client) fn is_reached(&self) -> bool {
        matches!(self.state(), Ok(LineState::Reached { .. }))
    }

    /// Sends one request. One that may not be repeated freely is given as long as it takes.
    pub(in crate::client) async fn send(
        &self,
        request: Request<Bytes>,
        repeat: Repeat,
    ) -> Result<Response<Bytes>, SendError> {
        if !self.transport.is_network() {
            return self.transport.send(request).await;
        }
        if let LineState::Reached { version } = self.state()? {
            return self.through(version, request).await;
        }
        let first = self.first.lock().await;
        // While we waited, somebody else may have learnt how it stands.
        if let LineState::Reached { version } = self.state()? {
            drop(first);
            return self.through(version, request).await;
        }
        let start = clock::now();
        let is_secure = request.uri().scheme_str() == Some("https");
        let limit = FIRST_ANSWER[usize::from(is_secure)];
        let bound = (repeat == Repeat::Freely).then_some(limit);
        loop {
            let began = clock::now();
            let result = self.transport.send_within(bound, request.clone()).await;
            let Err(mut error) = result else { return self.learn(result) };
            let now = clock::now();
            let again = match error.why {
                Why::Refused | Why::UnknownHost => now + PAUSE < start + FIRST_PATIENCE,
                // As long once more.
                Why::Silent => now + PAUSE + (now - began) <= start + SILENCE,
                Why::Certificate | Why::ProxyRefused | Why::ProxySignIn => false,
                Why::Descriptors | Why::TooLarge | Why::TooSlow | Why::Broken => {
                    return self.learn(Err(error));
                }
            };
            if !again {
                error.settled = true;
                let until = clock::now() + DOWN;
                self.set(LineState::Down { error: error.clone(), until });
                return Err(error);
            }
            clock::sleep(PAUSE).await;
        }
    }

    async fn through(
        &self,
        version: Version,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>, SendError> {
        // The semaphore is never closed.
        let permit =
            if version < Version::HTTP_2 { self.sockets.acquire().await.ok() } else { None };
        let result = self.transport.send(request).await;
        drop(permit);
        self.learn(result)
    }

    /// An answer of any kind, also one that broke off, comes from a server that is there.
    fn learn(
        &self,
        result: Result<Response<Bytes>, SendError>,
    ) -> Result<Response<Bytes>, SendError> {
        match &result {
            Ok(answer) => self.set(LineState::Reached { version: answer.version() }),
            Err(error) if error.why == Why::Broken => {
                self.set(LineState::Reached { version: Version::HTTP_11 });
            }
            Err(_) => {}
        }
        result
    }

    fn state(&self) -> Result<LineState, SendError> {
        match self.state.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            LineState::Down { error, until } if clock::now() < until => Err(error),
            LineState::Down { .. } => Ok(LineState::Unknown),
            state => Ok(state),
        }
    }

    fn set(&self, state: LineState) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::client::net::NetworkOptions;

    /// Connections wait in its queue for ever.
    #[tokio::test(start_paused = true)]
    async fn a_black_hole_costs_seconds_in_either_scheme_and_once() {
        let hole = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = hole.local_addr().unwrap();
        for scheme in ["http", "https"] {
            let transport = Transport::network(&NetworkOptions::default()).unwrap();
            let line = Line::new(transport, 2);
            let ask = || {
                let request = Request::get(format!("{scheme}://{address}/")).body(Bytes::new());
                line.send(request.unwrap(), Repeat::Freely)
            };
            let start = clock::now();
            let error = ask().await.unwrap_err();
            assert_eq!((error.why, error.settled), (Why::Silent, true), "{scheme}: {error}");
            assert!(error.to_string().contains(&address.to_string()), "{error}");
            assert!(start.elapsed() <= SILENCE, "{scheme}: {:?}", start.elapsed());
            let known = clock::now();
            assert_eq!(ask().await.unwrap_err(), error);
            assert_eq!(known.elapsed(), Duration::ZERO);
        }
    }

    /// What may have been taken is not sent again, and gets as long as it takes.
    #[tokio::test(start_paused = true)]
    async fn a_change_is_not_repeated_because_nothing_was_said() {
        let hole = TcpListener::bind("127.0.0.1:0").unwrap();
        let uri = format!("http://{}/", hole.local_addr().unwrap());
        let line = Line::new(Transport::network(&NetworkOptions::default()).unwrap(), 2);
        let start = clock::now();
        let request = Request::put(uri).body(Bytes::new()).unwrap();
        let error = line.send(request, Repeat::Never).await.unwrap_err();
        assert_eq!((error.why, error.settled), (Why::TooSlow, false), "{error}");
        assert!(start.elapsed() >= NetworkOptions::default().read_timeout);
    }
}
