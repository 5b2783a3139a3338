//! One line to one server: who was never reached is not tried for minutes, and not by everybody.
//!
//! The first request goes alone. When no connection comes about, it is tried again for some seconds
//! (a certificate that is not trusted: not at all; silence: once more), and then the line is down:
//! everybody else hears the same at once. A server that has answered before is given more time.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Version};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::broken::{SendError, Why};
use super::{Transport, clock};

/// How long a server that has never answered is tried.
const FIRST_PATIENCE: Duration = Duration::from_secs(6);
const PAUSE: Duration = Duration::from_secs(2);
/// How often a connection that meets silence is tried.
const SILENT_TRIES: u32 = 2;
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

    /// Sends one request.
    pub(in crate::client) async fn send(
        &self,
        request: Request<Bytes>,
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
        let end = clock::now() + FIRST_PATIENCE;
        let mut tries = 0;
        loop {
            tries += 1;
            let result = self.transport.send(request.clone()).await;
            let Err(mut error) = result else { return self.learn(result) };
            let again = match error.why {
                Why::Refused | Why::UnknownHost => clock::now() + PAUSE < end,
                Why::Silent => tries < SILENT_TRIES,
                Why::Certificate => false,
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
