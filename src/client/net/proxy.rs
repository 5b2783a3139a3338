//! The proxy on the way to a host. The rules are those of the client that sends the requests, so
//! that an error names the proxy that was really asked (curl docs: environment).

use std::sync::Arc;

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;

/// A proxy, and who named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Its `host:port`.
    pub address: String,
    /// The variable that names it, or the place in a kubeconfig.
    pub named_by: String,
    /// Whether a user and a password stand beside it.
    pub(super) signs_in: bool,
}

/// Which proxy leads to which host.
#[derive(Debug, Clone)]
pub struct Proxies {
    matcher: Arc<Matcher>,
    /// Who named it, where that is not the environment.
    named_by: Option<&'static str>,
}

impl Proxies {
    /// Those of the environment.
    #[must_use]
    pub fn of_environment() -> Self {
        Self { matcher: Arc::new(Matcher::from_system()), named_by: None }
    }

    /// One for every host.
    pub(in crate::client) fn one(url: &str, named_by: &'static str) -> Self {
        let matcher = Matcher::builder().all(url).build();
        Self { matcher: Arc::new(matcher), named_by: Some(named_by) }
    }

    /// The proxy that leads to an address; `None` where none does.
    #[must_use]
    pub fn towards(&self, uri: &Uri) -> Option<Proxy> {
        let found = self.matcher.intercept(uri)?;
        let proxy = found.uri();
        let default = if proxy.scheme_str() == Some("https") { 443 } else { 80 };
        let address = format!("{}:{}", proxy.host()?, proxy.port_u16().unwrap_or(default));
        let named_by = self.named_by.map_or_else(|| variable(uri, &address), str::to_owned);
        let signs_in = found.basic_auth().is_some() || found.raw_auth().is_some();
        Some(Proxy { address, named_by, signs_in })
    }
}

/// The variable that holds this address of a proxy.
fn variable(uri: &Uri, address: &str) -> String {
    let own = if uri.scheme_str() == Some("https") {
        ["HTTPS_PROXY", "https_proxy"]
    } else {
        ["HTTP_PROXY", "http_proxy"]
    };
    let host = address.rsplit_once(':').map_or(address, |it| it.0);
    let names = own.into_iter().chain(["ALL_PROXY", "all_proxy"]);
    let holds = |name: &&str| std::env::var(name).is_ok_and(|value| value.contains(host));
    names.into_iter().find(holds).unwrap_or("the settings of this machine").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_chosen_by_scheme_and_named_without_its_password() {
        let matcher = Matcher::builder()
            .https("http://user:word@proxy.corp:3128")
            .http("plain.corp")
            .no("localhost,.internal,10.0.0.0/8")
            .build();
        let proxies = Proxies { matcher: Arc::new(matcher), named_by: Some("HTTPS_PROXY") };
        for (uri, address) in [
            ("https://mcr.microsoft.com", Some("proxy.corp:3128")),
            ("https://mcr.microsoft.com:80", Some("proxy.corp:3128")),
            ("http://mcr.microsoft.com:8080", Some("plain.corp:80")),
            ("https://acr.internal", None),
            ("https://10.1.2.3:6443", None),
        ] {
            let found = proxies.towards(&uri.parse().unwrap());
            assert_eq!(found.as_ref().map(|proxy| proxy.address.as_str()), address, "{uri}");
            assert!(!format!("{found:?}").contains("word"));
            assert!(found.is_none_or(|proxy| proxy.signs_in == uri.starts_with("https")));
        }
    }
}
