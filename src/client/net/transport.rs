//! The one HTTP seam: the network, or a router called in process. Clients above are concrete and
//! take a [`Transport`]; there are no mock traits.

use std::path::PathBuf;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, HOST, HeaderValue};
use http::{Method, Request, Response, Uri};
use tower::ServiceExt as _;

use super::broken::{CarriedOut, SendError, Way, Why, chain};
use super::clock;
use super::proxy::Proxies;
use super::tls::{self, Authorities};
use crate::source;

/// A status that a router in process answers, with [`FAULT`], instead of breaking a connection.
const FAULT_STATUS: u16 = 599;
const FAULT: &str = "x-sandbox-fault";

/// How to reach the network.
#[derive(Clone, Debug)]
pub struct NetworkOptions {
    /// A PEM file with more certificate authorities to trust.
    pub ca_file: Option<PathBuf>,
    /// How long a connection may take to come about.
    pub connect_timeout: Duration,
    /// How long the server may stay silent.
    pub read_timeout: Duration,
    /// How long one request may take altogether, its body included: who drips is cut off.
    pub total_timeout: Duration,
}

impl Default for NetworkOptions {
    /// 10 seconds to connect; 90 to answer, since ARM itself gives up on a provider after 60.
    fn default() -> Self {
        Self {
            ca_file: None,
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(90),
            total_timeout: Duration::from_secs(180),
        }
    }
}

/// The most that is read of a file of certificates, in bytes: those of an operating system have
/// less than one MiB.
pub(in crate::client) const LARGEST_FILE: u64 = 16 << 20;

/// The most that is read of one answer, in bytes.
pub const LARGEST_BODY: usize = 32 << 20;

/// Sends requests.
#[derive(Clone, Debug)]
pub enum Transport {
    /// Over sockets, with connections kept for reuse (HTTP/2 where the server has it).
    Network(Network),
    /// To a router in this process.
    InProcess(axum::Router),
}

/// A client of the network, and the proxies that it takes.
#[derive(Clone, Debug)]
pub struct Network {
    pub(super) client: reqwest::Client,
    pub(super) proxies: Proxies,
}

impl Network {
    pub(in crate::client) const fn new(client: reqwest::Client, proxies: Proxies) -> Self {
        Self { client, proxies }
    }

    /// The way to an address.
    pub(super) fn way(&self, uri: &Uri) -> Way {
        let default = if uri.scheme_str() == Some("http") { 80 } else { 443 };
        let port = uri.port_u16().unwrap_or(default);
        let host = format!("{}:{port}", uri.host().unwrap_or_default());
        Way { host, proxy: self.proxies.towards(uri) }
    }
}

impl Transport {
    /// A transport over sockets. Proxies follow `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`;
    /// redirects are not followed, since they would carry the token to a place nobody chose.
    ///
    /// # Errors
    /// When the file of certificate authorities cannot be read.
    pub fn network(options: &NetworkOptions) -> Result<Self, SendError> {
        let refuse = |message: String| SendError::new(CarriedOut::SurelyNot, message);
        let mut more = Vec::new();
        if let Some(path) = &options.ca_file {
            let shown = path.display();
            let pem = source::read_bytes(path, LARGEST_FILE)
                .map_err(|error| refuse(format!("cannot read CA file {shown}: {error}")))?;
            more = tls::certificates(&pem)
                .map_err(|error| refuse(format!("CA file {shown} is not PEM: {error}")))?;
            if more.is_empty() {
                return Err(refuse(format!("CA file {shown} holds no certificate")));
            }
        }
        let tls = tls::configuration(&Authorities::Machine(more), None)
            .map_err(|error| refuse(format!("TLS: {error}")))?;
        let builder = Self::client(options, tls);
        let client = builder.build().map_err(|error| refuse(chain(&error)))?;
        Ok(Self::Network(Network::new(client, Proxies::of_environment())))
    }

    /// What every client of the network has in common.
    pub(in crate::client) fn client(
        options: &NetworkOptions,
        tls: rustls::ClientConfig,
    ) -> reqwest::ClientBuilder {
        reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(concat!("amlplan/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(options.connect_timeout)
            .read_timeout(options.read_timeout)
            .timeout(options.total_timeout)
    }

    /// Whether requests leave this process.
    #[must_use]
    pub const fn is_network(&self) -> bool {
        matches!(self, Self::Network(_))
    }

    /// Sends one request, once.
    ///
    /// # Errors
    /// When no whole answer came back; the error says whether the request may have been taken.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, SendError> {
        self.send_within(None, request).await
    }

    /// The same, where the answer has to begin within this time.
    pub(super) async fn send_within(
        &self,
        limit: Option<Duration>,
        mut request: Request<Bytes>,
    ) -> Result<Response<Bytes>, SendError> {
        // Over HTTP/1.1 a front end answers 411 to a request with a meaning for bodies that does
        // not say how long its body is (RFC 9110, 8.6).
        if matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH) {
            let length = HeaderValue::from(request.body().len());
            request.headers_mut().insert(CONTENT_LENGTH, length);
        }
        match self {
            Self::Network(network) => over_network(network, limit, request).await,
            Self::InProcess(router) => in_process(router.clone(), request).await,
        }
    }
}

async fn over_network(
    network: &Network,
    limit: Option<Duration>,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, SendError> {
    let way = network.way(request.uri());
    let plain = request.uri().scheme_str() == Some("http");
    let request = reqwest::Request::try_from(request)
        .map_err(|error| SendError::new(CarriedOut::SurelyNot, chain(&error.without_url())))?;
    let sending = network.client.execute(request);
    let answer = match limit {
        None => sending.await,
        Some(limit) => clock::until(clock::after(limit), sending).await.ok_or_else(|| {
            let told = format!("connected, and nothing said for {} s", limit.as_secs());
            SendError::on(way.clone(), Why::Silent, CarriedOut::Maybe, &told)
        })?,
    };
    let response = answer.map_err(|error| SendError::from_reqwest(error, &way))?;
    let (head, body) = http::Response::from(response).into_parts();
    // Towards https it says so when the tunnel is asked for.
    if plain && head.status.as_u16() == 407 && way.proxy.is_some() {
        return Err(SendError::on(way, Why::ProxySignIn, CarriedOut::SurelyNot, ""));
    }
    let body = bounded(body, |error| SendError::from_reqwest(error, &way)).await?;
    Ok(Response::from_parts(head, body))
}

/// Reads a body up to [`LARGEST_BODY`], piece by piece.
async fn bounded<B>(mut body: B, broken: impl Fn(B::Error) -> SendError) -> Result<Bytes, SendError>
where
    B: http_body_util::BodyExt<Data = Bytes> + Unpin,
{
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(&broken)?.into_data() else { continue };
        if read.len() + data.len() > LARGEST_BODY {
            let limit = LARGEST_BODY >> 20;
            let message = format!("the answer is longer than {limit} MiB; it was not read further");
            return Err(SendError::because(Why::TooLarge, CarriedOut::Maybe, message));
        }
        read.extend_from_slice(&data);
    }
    Ok(read.freeze())
}

async fn in_process(
    router: axum::Router,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, SendError> {
    let (mut head, body) = request.into_parts();
    // The whole address stays in the request line, as towards a proxy: over sockets the scheme is
    // known from the listener, here from nothing else.
    let authority = head.uri.authority().map(ToString::to_string);
    if let Some(host) = authority.and_then(|text| HeaderValue::from_str(&text).ok()) {
        head.headers.entry(HOST).or_insert(host);
    }
    let request = Request::from_parts(head, Body::from(body));
    let response = match router.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let (head, body) = response.into_parts();
    if head.status.as_u16() == FAULT_STATUS && head.headers.contains_key(FAULT) {
        return Err(SendError::new(
            CarriedOut::Maybe,
            "the connection broke before an answer came",
        ));
    }
    let bytes = bounded(body, |error| SendError::new(CarriedOut::Maybe, chain(&error))).await?;
    Ok(Response::from_parts(head, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;

    fn request(uri: &str) -> Request<Bytes> {
        Request::get(uri).body(Bytes::new()).unwrap()
    }

    #[tokio::test]
    async fn a_router_in_process_sees_what_a_server_would_see() {
        let echo = |request: axum::extract::Request| async move {
            let host = request.headers()[HOST].to_str().unwrap().to_owned();
            format!("{host} {}", request.uri())
        };
        let transport = Transport::InProcess(axum::Router::new().route("/a", get(echo)));
        let answer = transport.send(request("https://arm.test:8443/a?b=c")).await.unwrap();
        assert_eq!(&answer.body()[..], b"arm.test:8443 https://arm.test:8443/a?b=c");
    }

    #[tokio::test]
    async fn a_fault_of_the_router_is_a_broken_connection() {
        let fault = || async {
            let status = http::StatusCode::from_u16(FAULT_STATUS).unwrap();
            (status, [(FAULT, "connection-dropped")])
        };
        let transport = Transport::InProcess(axum::Router::new().route("/", get(fault)));
        let error = transport.send(request("http://x/")).await.unwrap_err();
        assert_eq!(error.taken, CarriedOut::Maybe);
    }

    #[tokio::test]
    async fn a_refused_connection_was_surely_not_taken_and_a_reset_one_may_have_been() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accept = tokio::spawn(async move {
            let (socket, _) = listener.accept().await.unwrap();
            socket.readable().await.unwrap();
            drop(socket);
        });
        let transport = Transport::network(&NetworkOptions::default()).unwrap();
        let uri = format!("http://{address}/?sig=canary");
        let reset = transport.send(request(&uri)).await.unwrap_err();
        accept.await.unwrap();
        assert_eq!(reset.taken, CarriedOut::Maybe);
        let refused = transport.send(request(&uri)).await.unwrap_err();
        assert_eq!(refused.taken, CarriedOut::SurelyNot);
        assert!(!format!("{reset} {refused} {reset:?} {refused:?}").contains("canary"));
    }

    #[test]
    fn a_missing_ca_file_is_named() {
        let options = NetworkOptions { ca_file: Some("no/ca.pem".into()), ..Default::default() };
        let error = Transport::network(&options).unwrap_err();
        assert!(error.to_string().contains("no/ca.pem"));
    }
}
