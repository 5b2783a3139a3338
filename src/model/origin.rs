//! Where a credential may go: decided here, before anybody signs in, and nowhere else.
//!
//! A manifest, a plan file and a metadata document name addresses; none of them may decide where a
//! secret travels. Only [`Trust::origin`] makes an [`Origin`], and clients take nothing else.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use url::{Host, Url};

/// Name, Resource Manager, sign-in service and key vaults of the public clouds (`az cloud list`).
const CLOUDS: [(&str, &str, &str, &str); 3] = [
    (
        "AzureCloud",
        "https://management.azure.com",
        "https://login.microsoftonline.com",
        "https://vault.azure.net",
    ),
    (
        "AzureUSGovernment",
        "https://management.usgovcloudapi.net",
        "https://login.microsoftonline.us",
        "https://vault.usgovcloudapi.net",
    ),
    (
        "AzureChinaCloud",
        "https://management.chinacloudapi.cn",
        "https://login.chinacloudapi.cn",
        "https://vault.azure.cn",
    ),
];

/// An address that credentials may be sent to: https, or this machine; without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin(String);

/// Why an address may not have credentials.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untrusted {
    /// Not an address, or one over plain http that is not of this machine.
    #[error("`{0}` is not an https address")]
    NotHttps(String),
    /// A host that neither belongs to a known cloud nor was confirmed.
    #[error("credentials would go to `{host}`, which is no host of a known cloud")]
    Unknown {
        /// The host, with its port where that is not 443.
        host: String,
    },
}

impl Untrusted {
    /// The code that `amlplan explain` knows.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotHttps(_) => "bad-url",
            Self::Unknown { .. } => "untrusted-cloud",
        }
    }

    /// How to mend it.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::NotHttps(_) => "write for example https://management.example.com; plain http is \
                                  for this machine only"
                .to_owned(),
            Self::Unknown { host } => format!(
                "if this host is yours, say so outside of the file: --trust-cloud {host}, or \
                 AMLPLAN_TRUST_CLOUD={host}; else write `cloud: AzureCloud`"
            ),
        }
    }
}

/// A host that the caller confirmed: `HOST` with any port, or `HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfirmedHost {
    host: String,
    port: Option<u16>,
}

impl FromStr for ConfirmedHost {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a host; write it like arm.example.com");
        let bare = text.trim().trim_start_matches("https://").trim_end_matches('/');
        let url = Url::parse(&format!("https://{bare}")).map_err(|_| wrong())?;
        let plain = url.path() == "/" && url.username().is_empty() && url.query().is_none();
        let host = url.host_str().filter(|_| plain && !bare.contains('*')).ok_or_else(wrong)?;
        // The url drops a port that https has anyway; one that was written still counts.
        let port = url.port().or_else(|| bare.ends_with(":443").then_some(443));
        Ok(Self { host: host.to_owned(), port })
    }
}

/// Which hosts may have credentials: the known clouds, this machine, and what the caller confirmed
/// outside of any file (`--trust-cloud`).
#[derive(Clone, Debug, Default)]
pub struct Trust(BTreeSet<ConfirmedHost>);

impl FromIterator<ConfirmedHost> for Trust {
    fn from_iter<T: IntoIterator<Item = ConfirmedHost>>(hosts: T) -> Self {
        Self(hosts.into_iter().collect())
    }
}

impl Trust {
    /// The address as one that credentials may go to.
    ///
    /// # Errors
    /// When it is not https (nor of this machine), or its host is neither known nor confirmed.
    pub fn origin(&self, address: &str) -> Result<Origin, Untrusted> {
        let not_https = || Untrusted::NotHttps(address.to_owned());
        let url = Url::parse(address).map_err(|_| not_https())?;
        let (Some(host), true) = (url.host(), is_plain(&url)) else { return Err(not_https()) };
        let local = is_loopback(&host);
        if !(url.scheme() == "https" || (url.scheme() == "http" && local)) {
            return Err(not_https());
        }
        if !(local || is_known(&url) || self.confirms(&url)) {
            let port = url.port().map(|number| format!(":{number}")).unwrap_or_default();
            return Err(Untrusted::Unknown { host: format!("{host}{port}") });
        }
        Ok(Origin(url.as_str().trim_end_matches('/').to_owned()))
    }

    fn confirms(&self, url: &Url) -> bool {
        self.0.iter().any(|confirmed_host| {
            url.host_str() == Some(&confirmed_host.host)
                && confirmed_host.port.is_none_or(|port| url.port_or_known_default() == Some(port))
        })
    }
}

impl Origin {
    /// Resource Manager and sign-in service of a public cloud: `AzureCloud`, `AzureUSGovernment`
    /// or `AzureChinaCloud`.
    #[must_use]
    pub fn of_cloud(name: &str) -> Option<(Self, Self)> {
        let (_, manager, login, _) = CLOUDS.iter().find(|it| it.0 == name)?;
        Some((Self((*manager).to_owned()), Self((*login).to_owned())))
    }

    /// What all key vaults of a public cloud lie below; also whom their tokens are for.
    #[must_use]
    pub fn vaults_of_cloud(name: &str) -> Option<Self> {
        CLOUDS.iter().find(|it| it.0 == name).map(|it| Self(it.3.to_owned()))
    }

    /// A vault below this origin: a host of its own, or on this machine, whose addresses have no
    /// names below them, a path. `None` for a name that is none, which could lead elsewhere.
    #[must_use]
    pub fn vault(&self, name: &str) -> Option<Self> {
        let url = Url::parse(&self.0).ok()?;
        let (scheme, host) = (url.scheme(), url.host()?);
        let port = url.port().map(|number| format!(":{number}")).unwrap_or_default();
        let at = if is_loopback(&host) {
            format!("{}/{name}", self.0)
        } else {
            format!("{scheme}://{name}.{host}{port}")
        };
        is_vault_name(name).then_some(Self(at))
    }

    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a request to this address stays with the origin: same scheme and port, and the same
    /// host or a regional one below it (`westeurope.management.azure.com`).
    #[must_use]
    pub fn covers(&self, address: &str) -> bool {
        same_service(&self.0, address)
    }
}

/// Whether the second address is of the service of the first. Says nothing about trust.
#[must_use]
pub fn same_service(own: &str, other: &str) -> bool {
    let (Ok(own), Ok(other)) = (Url::parse(own), Url::parse(other)) else { return false };
    let (Some(own_host), Some(host)) = (own.host_str(), other.host_str()) else { return false };
    let named = matches!(own.host(), Some(Host::Domain(_)));
    let below = host.strip_suffix(own_host).is_some_and(|text| text.ends_with('.'));
    other.scheme() == own.scheme()
        && other.username().is_empty()
        && other.password().is_none()
        && (host == own_host || (named && below))
        && other.port_or_known_default() == own.port_or_known_default()
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a vault may be called so: 3 to 24 letters, digits and hyphens, with a letter first, a
/// letter or digit last and no two hyphens in a row (Azure docs: resource name rules, Key Vault).
#[must_use]
pub fn is_vault_name(name: &str) -> bool {
    (3..=24).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && name.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && !name.ends_with('-')
        && !name.contains("--")
}

/// Nothing beside scheme, host, port and path.
fn is_plain(url: &Url) -> bool {
    url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(ipv4_addr) => IpAddr::from(*ipv4_addr).is_loopback(),
        Host::Ipv6(ipv6_addr) => IpAddr::from(*ipv6_addr).is_loopback(),
    }
}

fn is_known(url: &Url) -> bool {
    let known = CLOUDS.iter().flat_map(|it| [it.1, it.2]);
    let known = known.filter_map(|text| text.strip_prefix("https://"));
    url.port().is_none() && known.into_iter().any(|text| url.host_str() == Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trust(hosts: &[&str]) -> Trust {
        hosts.iter().map(|host| host.parse::<ConfirmedHost>().unwrap()).collect()
    }

    #[test]
    fn known_clouds_and_this_machine_may_have_credentials_and_nobody_else() {
        let trust = trust(&[]);
        for address in [
            "https://management.azure.com/",
            "https://MANAGEMENT.azure.com",
            "https://login.microsoftonline.us",
            "http://127.0.0.1:8443",
            "http://localhost:1",
            "https://[::1]:8443",
        ] {
            assert!(trust.origin(address).is_ok(), "{address}");
        }
        for (address, code) in [
            ("https://arm.example.net", "untrusted-cloud"),
            ("https://management.azure.com.example.net", "untrusted-cloud"),
            ("https://management.azure.com:8443", "untrusted-cloud"),
            ("https://management.azure.com.", "untrusted-cloud"),
            ("https://localhost.example.net", "untrusted-cloud"),
            ("https://evil@management.azure.com", "bad-url"),
            ("https://management.azure.com@example.net", "bad-url"),
            ("https://management.azure.com\\@example.net?x", "bad-url"),
            ("http://management.azure.com", "bad-url"),
            ("http://128.0.0.1", "bad-url"),
            ("file:///etc/passwd", "bad-url"),
            ("management.azure.com", "bad-url"),
            ("", "bad-url"),
        ] {
            assert_eq!(trust.origin(address).unwrap_err().code(), code, "{address}");
        }
    }

    #[test]
    fn a_confirmed_host_is_trusted_over_https_only() {
        let given = trust(&["arm.example.net", "https://login.example.net:8443/"]);
        assert!(given.origin("https://arm.example.net:444/x").is_ok());
        assert!(given.origin("http://arm.example.net").is_err());
        assert!(given.origin("https://a.arm.example.net").is_err());
        assert!(given.origin("https://login.example.net:8443").is_ok());
        assert!(given.origin("https://login.example.net").is_err());
        for wrong in ["", "*", "*.example.net", "a/b", "a@b", "a?b", "http://a", "a b"] {
            assert!(wrong.parse::<ConfirmedHost>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_vault_is_below_the_suffix_of_its_cloud_or_nowhere() {
        let public = Origin::vaults_of_cloud("AzureChinaCloud").unwrap();
        assert_eq!(public.vault("kv-1").unwrap().as_str(), "https://kv-1.vault.azure.cn");
        let local = Trust::default().origin("http://127.0.0.1:8443/vaults").unwrap();
        assert_eq!(local.vault("kv1").unwrap().as_str(), "http://127.0.0.1:8443/vaults/kv1");
        let long = "a".repeat(25);
        for name in ["", "a", "evil.example.net", "a/b", "a@b", "1ab", "ab-", "a--b", "a b", &long]
        {
            assert_eq!(public.vault(name), None, "{name}");
        }
        assert!(!public.vault("kv1").unwrap().covers("https://kv2.vault.azure.cn/secrets/a"));
    }

    #[test]
    fn an_origin_covers_its_regions_only() {
        let (manager, _) = Origin::of_cloud("AzureCloud").unwrap();
        assert!(manager.covers("https://management.azure.com/x"));
        assert!(manager.covers("https://westeurope.management.azure.com/x"));
        for other in [
            "http://management.azure.com/x",
            "https://management.azure.com:444/x",
            "https://evilmanagement.azure.com/x",
            "https://x@management.azure.com/x",
            "https://eastus.rp.kubernetesconfiguration.azure.com/x",
            "/x",
        ] {
            assert!(!manager.covers(other), "{other}");
        }
        assert!(Origin::of_cloud("AzureGermanCloud").is_none());
    }
}
