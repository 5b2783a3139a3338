//! The way to a host, hop by hop: the name, the connection, TLS, an answer. Which hop fails first
//! tells whom to ask: whoever runs DNS, the firewall, the proxy.

use std::net::IpAddr;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};

use super::broken::chain;
use super::{Transport, clock};

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

/// The proxy that the environment names for a host, as `host:port` (curl docs: environment).
#[must_use]
pub fn proxy(env: &dyn Fn(&str) -> Option<String>, host: &str, port: u16) -> Option<String> {
    let get = |name: &str| {
        env(&name.to_lowercase()).or_else(|| env(name)).filter(|it| !it.trim().is_empty())
    };
    let skipped = get("NO_PROXY").unwrap_or_default();
    let skips = |part: &str| {
        let part = part.trim().trim_start_matches("*.").trim_start_matches('.');
        part == "*" || (!part.is_empty() && (host == part || host.ends_with(&format!(".{part}"))))
    };
    if skipped.split(',').any(skips) {
        return None;
    }
    let own = if port == 80 { "HTTP_PROXY" } else { "HTTPS_PROXY" };
    let found = get(own).or_else(|| get("ALL_PROXY"))?;
    let url = if found.contains("://") { found } else { format!("http://{found}") };
    let url = url::Url::parse(&url).ok()?;
    Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?))
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
/// trust and proxies, `proxy` is the one that it will use.
pub async fn try_host(
    transport: &Transport,
    host: &str,
    port: u16,
    proxy: Option<String>,
) -> Trial {
    let mut trial = Trial { address: None, proxy, end: Ok(0) };
    let Transport::Network(client) = transport else { return trial };
    trial.end = way(client, host, port, trial.proxy.as_deref(), &mut trial.address).await;
    trial
}

async fn way(
    client: &reqwest::Client,
    host: &str,
    port: u16,
    proxy: Option<&str>,
    address: &mut Option<IpAddr>,
) -> Result<u16, (Hop, String)> {
    // A proxy looks the name up itself.
    let first = proxy.map_or_else(|| format!("{host}:{port}"), str::to_owned);
    let mut found = within(Hop::Dns, lookup_host(first.as_str())).await?;
    let socket = found.next().ok_or((Hop::Dns, "the name stands for no address".to_owned()))?;
    if proxy.is_none() {
        *address = Some(socket.ip());
    }
    let hop = if proxy.is_some() { Hop::Proxy } else { Hop::Tcp };
    drop(within(hop, TcpStream::connect(first.as_str())).await?);
    let scheme = if port == 80 { "http" } else { "https" };
    let request = client.get(format!("{scheme}://{host}:{port}/")).timeout(LIMIT);
    let answer = request.send().await.map_err(|error| {
        let timed_out = error.is_timeout();
        let connecting = error.is_connect();
        let said = chain(&error.without_url());
        let low = said.to_lowercase();
        let about = |words: &[&str]| words.iter().any(|it| low.contains(it));
        let hop = if about(&["certificate", "handshake", "tls", "unknownissuer"]) {
            Hop::Tls
        } else if about(&["tunnel", "proxy"]) {
            Hop::Proxy
        } else if connecting && !timed_out && scheme == "https" {
            Hop::Tls
        } else {
            Hop::Http
        };
        (hop, said)
    })?;
    let status = answer.status().as_u16();
    // A proxy that wants to know who asks answers instead of the host.
    if status == 407 {
        return Err((Hop::Proxy, "the proxy asks for a password (407)".to_owned()));
    }
    Ok(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_names_a_proxy_and_what_goes_past_it() {
        let env = |name: &str| match name {
            "HTTPS_PROXY" => Some("http://user:word@proxy.corp:3128".to_owned()),
            "no_proxy" => Some("localhost,.internal".to_owned()),
            _ => None,
        };
        assert_eq!(proxy(&env, "mcr.microsoft.com", 443).as_deref(), Some("proxy.corp:3128"));
        assert_eq!(proxy(&env, "acr.internal", 443), None);
        assert_eq!(proxy(&env, "archive.ubuntu.com", 80), None);
    }
}
