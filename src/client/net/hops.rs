//! The way to a host, hop by hop: the name, the connection, TLS, an answer. Which hop fails first
//! tells whom to ask: whoever runs DNS, the firewall, the proxy.

use std::net::IpAddr;
use std::time::Duration;

use http::Uri;
use tokio::net::{TcpStream, lookup_host};

use super::{Network, SendError, Transport, Why, clock};

/// How long one hop may take.
const LIMIT: Duration = Duration::from_secs(8);

/// A part of the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hop {
    /// The name of the host, or of the proxy.
    Dns,
    /// The connection to the host.
    Tcp,
    /// The connection to the proxy, or what it refused.
    Proxy,
    /// The certificate and what is agreed on.
    Tls,
    /// The answer.
    Http,
}

impl Hop {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "DNS",
            Self::Tcp => "TCP",
            Self::Proxy => "proxy",
            Self::Tls => "TLS",
            Self::Http => "HTTP",
        }
    }
}

/// How far it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// The address that the name stands for, where it was looked up from here.
    pub address: Option<IpAddr>,
    /// The proxy that it went through, as `host:port`.
    pub proxy: Option<String>,
    /// The status of an answer, whichever; or the hop that failed first, and how.
    pub end: Result<u16, (Hop, String)>,
}

async fn within<T>(
    hop: Hop,
    work: impl Future<Output = std::io::Result<T>>,
) -> Result<T, (Hop, String)> {
    match clock::until(clock::after(LIMIT), work).await {
        None => Err((hop, format!("no answer within {} seconds", LIMIT.as_secs()))),
        Some(Err(why)) => Err((hop, why.to_string())),
        Some(Ok(done)) => Ok(done),
    }
}

/// Tries the way to a host; any answer counts, whatever its status. The transport decides about
/// trust and proxies.
pub async fn try_host(transport: &Transport, host: &str, port: u16) -> Trial {
    let mut trial = Trial { address: None, proxy: None, end: Ok(0) };
    let Transport::Network(network) = transport else { return trial };
    trial.end = way(network, host, port, &mut trial.proxy, &mut trial.address).await;
    trial
}

async fn way(
    network: &Network,
    host: &str,
    port: u16,
    proxy: &mut Option<String>,
    address: &mut Option<IpAddr>,
) -> Result<u16, (Hop, String)> {
    let scheme = if port == 80 { "http" } else { "https" };
    let uri: Uri = format!("{scheme}://{host}:{port}/")
        .parse()
        .map_err(|_| (Hop::Dns, "the name is none of a host".to_owned()))?;
    let way = network.way(&uri);
    *proxy = way.proxy.as_ref().map(|it| it.address.clone());
    // A proxy looks the name up itself.
    let first = proxy.clone().unwrap_or_else(|| way.host.clone());
    let mut found = within(Hop::Dns, lookup_host(first.as_str())).await?;
    let socket = found.next().ok_or((Hop::Dns, "the name stands for no address".to_owned()))?;
    if proxy.is_none() {
        *address = Some(socket.ip());
    }
    let hop = if proxy.is_some() { Hop::Proxy } else { Hop::Tcp };
    drop(within(hop, TcpStream::connect(first.as_str())).await?);
    let request = network.client.get(uri.to_string()).timeout(LIMIT);
    let answer = request.send().await.map_err(|error| {
        let shaking = error.is_connect() && !error.is_timeout() && scheme == "https";
        let error = SendError::from_reqwest(error, &way);
        let hop = match error.why {
            Why::Certificate => Hop::Tls,
            why if why.is_of_proxy() => Hop::Proxy,
            _ if shaking => Hop::Tls,
            _ => Hop::Http,
        };
        (hop, error.to_string())
    })?;
    let status = answer.status().as_u16();
    // A proxy that wants to know who asks answers instead of the host.
    if status == 407 {
        return Err((Hop::Proxy, "the proxy asks for a password (407)".to_owned()));
    }
    Ok(status)
}
