//! Certificates of endpoints, read at validate time. No finding ever quotes key material.
//! Source: AML docs: secure Kubernetes online endpoints; RFC 6125 for host names.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::SigningKey;
use x509_parser::asn1_rs::{Integer, Sequence};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::model::{Secret, SecretSource};
use crate::source::{Diagnostic, Diagnostics, Place};

use super::told;
use super::view::View;

/// Warn this long before a certificate ends.
const SOON_DAYS: i64 = 30;
const DAY_SECONDS: i64 = 86_400;

/// Pairs of certificate and key that were looked at already, with the host name.
#[derive(Default)]
pub(super) struct KnownPairs(BTreeSet<(Option<SecretSource>, Option<SecretSource>, String)>);

const CERT: &str = "sslCertPemFile";
const KEY: &str = "sslKeyPemFile";

pub(super) fn check(
    view: View<'_>,
    now: Timestamp,
    known: &mut KnownPairs,
    found: &mut Diagnostics,
) {
    let Some(settings) = view.settings() else { return };
    let secrets = &view.cluster.secrets;
    let (cert, key) = (secrets.get(CERT), secrets.get(KEY));
    let host = settings.wire("sslCname");
    let source = |secret: Option<&Secret>| secret.map(|secret| secret.source.clone());
    if !known.0.insert((source(cert), source(key), host.clone())) {
        return;
    }
    let place = |key: &str| settings.place(key);
    let held = Held { noun: "file", place: &place };
    let (cert, key) = (cert.and_then(Secret::expose), key.and_then(Secret::expose));
    found.extend(pair(held, cert.as_deref(), key.as_deref(), &host, now));
}

/// What holds certificate and key.
#[derive(Clone, Copy)]
pub struct Held<'a> {
    /// What it is called.
    pub noun: &'static str,
    /// The place of a setting in the manifest.
    pub place: &'a dyn Fn(&str) -> Option<Place>,
}

/// What is wrong with a certificate and its key, both in PEM form, for a host; of what is not at
/// hand nothing is said.
#[must_use]
pub fn pair(
    held: Held<'_>,
    cert: Option<&str>,
    key: Option<&str>,
    host: &str,
    now: Timestamp,
) -> Diagnostics {
    let mut found = Diagnostics::new();
    let public = key.and_then(|text| private_key(held, text, &mut found));
    let has_key = public.is_some();
    let Some(ders) = cert.and_then(|text| certificates(held, text, &mut found)) else {
        return found;
    };
    let parsed: Vec<X509Certificate<'_>> = ders
        .iter()
        .filter_map(|der| X509Certificate::from_der(der).ok().map(|(_, certificate)| certificate))
        .collect();
    if parsed.len() != ders.len() || parsed.is_empty() {
        found.push(held.unparsable(CERT, "certificate"));
        return found;
    }
    let matching = public.and_then(|key| parsed.iter().position(|it| it.public_key().raw == key));
    let server = matching.unwrap_or_default();
    let chain = Chain { held, certificates: &parsed, server, place: (held.place)(CERT) };
    if has_key && matching.is_none() {
        chain.mismatch(&mut found);
        return found;
    }
    chain.order(&mut found);
    chain.host(host, &mut found);
    chain.dates(now, &mut found);
    found
}

impl Held<'_> {
    fn unparsable(self, key: &str, what: &str) -> Diagnostic {
        let noun = self.noun;
        let message = format!("the {noun} of `{key}` holds no {what} in PEM form");
        Diagnostic::error("pem-unreadable", message)
            .with_help(format!(
                "a PEM file has a block that begins with -----BEGIN {}-----",
                what.to_uppercase()
            ))
            .at((self.place)(key), self.this())
    }

    fn this(self) -> String {
        format!("this {}", self.noun)
    }
}

/// The first host name of a certificate in PEM form that is no wildcard; for translations.
#[must_use]
pub fn host_name(certificate: &Secret) -> Option<String> {
    let text = certificate.expose()?;
    let der = CertificateDer::pem_slice_iter(text.as_bytes()).next()?.ok()?;
    let (_, certificate) = X509Certificate::from_der(&der).ok()?;
    names(&certificate).into_iter().find(|name| !name.contains('*'))
}

/// Both files travel as base64 of ASCII text; `az` stops at anything else.
fn ascii(held: Held<'_>, key: &str, text: &str, found: &mut Diagnostics) {
    let line = text.lines().position(|it| !it.is_ascii());
    if let Some(line) = line {
        found.push(
            Diagnostic::error(
                "pem-not-ascii",
                format!(
                    "line {} of the {} of `{key}` has letters beyond ASCII",
                    line + 1,
                    held.noun
                ),
            )
            .with_help("remove the comment that has them; PEM itself is ASCII")
            .at((held.place)(key), held.this()),
        );
    }
}

/// The public half of the key, as a SubjectPublicKeyInfo.
fn private_key(held: Held<'_>, text: &str, found: &mut Diagnostics) -> Option<Vec<u8>> {
    ascii(held, KEY, text, found);
    let place = (held.place)(KEY);
    if text.contains("ENCRYPTED") {
        found.push(told("key-has-pass-phrase", "").at(place, held.this()));
        return None;
    }
    let der = PrivateKeyDer::from_pem_slice(text.as_bytes()).ok().filter(is_key);
    let Some(der) = der else {
        found.push(held.unparsable(KEY, "private key"));
        return None;
    };
    // Keys of rare kinds and sizes are nothing that can be compared with the certificate.
    let key = rustls::crypto::ring::sign::any_supported_type(&der).ok();
    let rsa = |it: &&Arc<dyn SigningKey>| it.algorithm() == rustls::SignatureAlgorithm::RSA;
    if key.as_ref().filter(rsa).is_none() {
        found.push(told("key-not-rsa", "").at(place, held.this()));
    }
    key?.public_key().map(|der| der.as_ref().to_vec())
}

/// Whether this is a key at all: PKCS #1, PKCS #8 and SEC 1 are a sequence that begins with a number.
fn is_key(der: &PrivateKeyDer<'_>) -> bool {
    let whole = Sequence::from_der(der.secret_der());
    whole.is_ok_and(|(rest, pair)| rest.is_empty() && Integer::from_der(&pair.content).is_ok())
}

fn certificates(
    held: Held<'_>,
    text: &str,
    found: &mut Diagnostics,
) -> Option<Vec<CertificateDer<'static>>> {
    ascii(held, CERT, text, found);
    let place = (held.place)(CERT);
    if text.contains("PRIVATE KEY-----") {
        found.push(
            Diagnostic::warning("key-beside-certificate", format!("the {} of `{CERT}` also holds a private key", held.noun))
                .with_help("keep the key in a file of its own, so that nobody hands it out with the certificate")
                .at(place.clone(), held.this()),
        );
    }
    let ders: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    match ders {
        Ok(ders) if !ders.is_empty() => Some(ders),
        Ok(_) | Err(_) => {
            found.push(held.unparsable(CERT, "certificate"));
            None
        }
    }
}

struct Chain<'a> {
    held: Held<'a>,
    certificates: &'a [X509Certificate<'a>],
    /// Which of them is the server's.
    server: usize,
    place: Option<Place>,
}

impl Chain<'_> {
    fn mismatch(&self, found: &mut Diagnostics) {
        found.push(
            told("key-mismatch", "")
                .at(self.place.clone(), "the certificate")
                .at((self.held.place)(KEY), "the key"),
        );
    }

    fn order(&self, found: &mut Diagnostics) {
        let issued =
            |pair: &[X509Certificate<'_>]| pair[0].issuer().as_raw() == pair[1].subject().as_raw();
        let finding = if self.server > 0 {
            let message = format!(
                "the server's certificate is number {} in the {}, not the first",
                self.server + 1,
                self.held.noun
            );
            Diagnostic::error("chain-order", message)
        } else if let Some(at) = self.certificates.windows(2).position(|window| !issued(window)) {
            let message = format!(
                "certificate {} of the {} was not issued by the one after it",
                at + 1,
                self.held.noun
            );
            Diagnostic::warning("chain-order", message)
        } else {
            return;
        };
        found.push(
            finding
                .with_help("order the file: the server's certificate, then the intermediate ones, then the root")
                .at(self.place.clone(), self.held.this()),
        );
    }

    fn names(&self) -> Vec<String> {
        self.certificates.get(self.server).map(names).unwrap_or_default()
    }

    fn host(&self, host: &str, found: &mut Diagnostics) {
        let names = self.names();
        if host.is_empty() || names.iter().any(|name| covers(name, host)) {
            return;
        }
        let listed = if names.is_empty() { "no name at all".to_owned() } else { names.join(", ") };
        found.push(
            Diagnostic::error(
                "cname-not-covered",
                format!("the certificate does not cover `{host}`"),
            )
            .with_help(format!("it covers {listed}; a wildcard stands for one label"))
            .at((self.held.place)("sslCname"), "clients will ask for this")
            .at(self.place.clone(), "the certificate"),
        );
    }

    fn dates(&self, now: Timestamp, found: &mut Diagnostics) {
        for (index, certificate) in self.certificates.iter().enumerate() {
            let (start, end) = (
                certificate.validity().not_before.timestamp(),
                certificate.validity().not_after.timestamp(),
            );
            let which = if index == self.server {
                "the certificate".to_owned()
            } else {
                format!("certificate {} of the {}", index + 1, self.held.noun)
            };
            let left = end - now.as_second();
            let finding = if left < 0 {
                Diagnostic::error("certificate-expired", format!("{which} ended on {}", day(end)))
                    .with_help("renew it and name the new file")
            } else if start > now.as_second() {
                Diagnostic::error(
                    "certificate-not-yet-valid",
                    format!("{which} begins on {} only", day(start)),
                )
                .with_help("use one that is valid now, or check this machine's clock")
            } else if left < SOON_DAYS * DAY_SECONDS {
                Diagnostic::warning(
                    "certificate-ends-soon",
                    format!("{which} ends on {}, in {} days", day(end), left / DAY_SECONDS),
                )
                .with_help("renew it; apply sends the new one")
            } else {
                continue;
            };
            found.push(finding.at(self.place.clone(), self.held.this()));
        }
    }
}

/// Names a server's certificate is for: DNS names, or the common name where there are none.
fn names(leaf: &X509Certificate<'_>) -> Vec<String> {
    let alternative = leaf.subject_alternative_name().ok().flatten();
    let names: Vec<String> = alternative
        .iter()
        .flat_map(|basic_extension| &basic_extension.value.general_names)
        .filter_map(|general_name| {
            if let GeneralName::DNSName(name) = general_name {
                Some((*name).to_owned())
            } else {
                None
            }
        })
        .collect();
    if !names.is_empty() {
        return names;
    }
    leaf.subject().iter_common_name().filter_map(|it| it.as_str().ok().map(str::to_owned)).collect()
}

fn day(seconds: i64) -> String {
    let text = Timestamp::from_second(seconds)
        .map_or_else(|_| "an unknown day".to_owned(), |time| time.to_string());
    text.split('T').next().unwrap_or_default().to_owned()
}

/// Whether a name of a certificate covers a host: equal, or a wildcard for its first label.
fn covers(name: &str, host: &str) -> bool {
    if name.eq_ignore_ascii_case(host) {
        return true;
    }
    let (Some(base), Some((label, rest))) = (name.strip_prefix("*."), host.split_once('.')) else {
        return false;
    };
    !label.is_empty() && rest.contains('.') && base.eq_ignore_ascii_case(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_stands_for_exactly_one_label() {
        let cases = [
            ("ml.example.com", "ml.example.com", true),
            ("ml.example.com", "ML.Example.Com", true),
            ("*.example.com", "ml.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", "a.b.example.com", false),
            ("*.com", "example.com", false),
            ("*", "localhost", false),
            ("ml.example.org", "ml.example.com", false),
        ];
        for (name, host, expected) in cases {
            assert_eq!(covers(name, host), expected, "{name} {host}");
        }
    }
}
