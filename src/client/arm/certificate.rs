//! Signing in with a certificate: a client assertion that its key signs (Microsoft Entra:
//! application authentication certificate credentials).

use std::borrow::Cow;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::pkcs5::Error as Decryption;
use rustls::SignatureScheme;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::client::net::LARGEST_FILE;
use crate::client::net::tls::{self, PROVIDER};
use crate::source;

/// Where the certificate is, and what the assertion says.
#[derive(Clone)]
pub(super) struct Certificate {
    pub(super) file: PathBuf,
    /// Opens the key, where the key has one.
    pub(super) password: Option<SecretString>,
    pub(super) client: String,
    /// The token endpoint.
    pub(super) audience: String,
}

/// Why a file does not sign in, with the way to mend it.
type Unfit = Cow<'static, str>;

const NO_PEM: Unfit = Cow::Borrowed(
    "it is no PEM file. A PFX is not read: `openssl pkcs12 -in FILE.pfx -out FILE.pem` makes a PEM \
     file of it (one of an old program needs -legacy), whose password goes into \
     AZURE_CLIENT_CERTIFICATE_PASSWORD",
);
const NO_CERTIFICATE: Unfit =
    Cow::Borrowed("it holds no certificate: put it and its key into one PEM file");
const NO_KEY: Unfit = Cow::Borrowed("it holds no private key: put both into one PEM file");
const NO_PASSWORD: Unfit =
    Cow::Borrowed("its key has a password: set AZURE_CLIENT_CERTIFICATE_PASSWORD to it");
const WRONG_PASSWORD: Unfit =
    Cow::Borrowed("the password does not open its key: check AZURE_CLIENT_CERTIFICATE_PASSWORD");
const UNUSABLE: Unfit =
    Cow::Borrowed("its private key cannot be used: RSA of 2048 to 8192 bits can");
const NOT_RSA: Unfit = Cow::Borrowed("its key is not RSA, which Microsoft Entra asks for");
const STRANGER: Unfit = Cow::Borrowed("its private key belongs to none of its certificates");
const UNREADABLE: Unfit = Cow::Borrowed("its certificate cannot be read");

/// Encrypted in a way that is not read.
fn encrypted(how: &str) -> Unfit {
    format!(
        "its key is encrypted with {how}, which is not read: `openssl pkcs8 -topk8 -v2 aes256 -in \
         FILE` writes the key anew; put the certificate behind it again"
    )
    .into()
}

impl Certificate {
    /// An assertion that counts for ten minutes. The file is read each time, so that a renewed
    /// certificate is taken during a long run.
    pub(super) fn assertion(&self) -> Result<String, String> {
        let shown = self.file.display();
        let pem = source::read_bytes(&self.file, LARGEST_FILE)
            .map_err(|error| format!("cannot read the certificate {shown}: {error}"))?;
        self.signed(&pem, Timestamp::now())
            .map_err(|unfit| format!("the certificate {shown} cannot sign in: {unfit}"))
    }

    fn signed(&self, pem: &[u8], now: Timestamp) -> Result<String, Unfit> {
        if !holds(pem, "-----BEGIN ") {
            return Err(NO_PEM);
        }
        let key = PROVIDER.key_provider.load_private_key(self.key(pem)?);
        let certificates = tls::certificates(pem).map_err(|_| UNREADABLE)?;
        let first = certificates.first().ok_or(NO_CERTIFICATE)?;
        let key = key.map_err(|_| UNUSABLE)?;
        let signer = key.choose_scheme(&[SignatureScheme::RSA_PSS_SHA256]);
        let signer = signer.ok_or(NOT_RSA)?;
        // A file made of a PFX also holds the certificates of the authorities, in any order.
        let certificate = match key.public_key() {
            None => first,
            Some(public) => {
                let ours = |certificate_der: &&CertificateDer<'_>| {
                    let read = X509Certificate::from_der(certificate_der);
                    read.is_ok_and(|(_, it)| it.public_key().raw == public.as_ref())
                };
                certificates.iter().find(ours).ok_or(STRANGER)?
            }
        };
        in_time(certificate, now)?;
        let thumbprint = URL_SAFE_NO_PAD.encode(Sha256::digest(certificate));
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let head = part(json!({"alg": "PS256", "typ": "JWT", "x5t#S256": thumbprint}));
        let now = now.as_second();
        let body = part(json!({
            "aud": self.audience, "iss": self.client, "sub": self.client,
            "jti": uuid::Uuid::new_v4().to_string(), "nbf": now, "exp": now + 600,
        }));
        let text = format!("{head}.{body}");
        let signature = signer.sign(text.as_bytes()).map_err(|_| UNUSABLE)?;
        Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// The key of a PEM file, opened. A password that no key asks for is not used.
    fn key(&self, pem: &[u8]) -> Result<PrivateKeyDer<'static>, Unfit> {
        if holds(pem, "Proc-Type: 4,ENCRYPTED") {
            return Err(encrypted("OpenSSL's own format of PKCS #1"));
        }
        let Some(locked) = section(pem, "ENCRYPTED PRIVATE KEY") else {
            return PrivateKeyDer::from_pem_slice(pem).map_err(|_| NO_KEY);
        };
        let locked = STANDARD.decode(locked).map_err(|_| UNUSABLE)?;
        let password = self.password.as_ref().ok_or(NO_PASSWORD)?;
        let locked = EncryptedPrivateKeyInfoRef::try_from(locked.as_slice());
        // What it was encrypted with is a part of its form.
        let locked = locked.map_err(|_| encrypted("an unknown algorithm"))?;
        let open = locked.decrypt(password.expose_secret()).map_err(|error| match error {
            pkcs8::Error::EncryptedPrivateKey(
                Decryption::UnsupportedAlgorithm { .. }
                | Decryption::NoPbes1CryptSupport
                | Decryption::AlgorithmParametersInvalid { .. },
            ) => encrypted("an old or unknown algorithm"),
            // A wrong password seldom gives an error, and else a text that is no key.
            _ => WRONG_PASSWORD,
        })?;
        Ok(PrivatePkcs8KeyDer::from(open.as_bytes().to_vec()).into())
    }
}

fn holds(pem: &[u8], mark: &str) -> bool {
    pem.windows(mark.len()).any(|bytes| bytes == mark.as_bytes())
}

/// The base64 of a part of a PEM file, without its line ends.
fn section(pem: &[u8], label: &str) -> Option<String> {
    let text = std::str::from_utf8(pem).ok()?;
    let (_, rest) = text.split_once(&format!("-----BEGIN {label}-----"))?;
    let (inside, _) = rest.split_once(&format!("-----END {label}-----"))?;
    Some(inside.split_whitespace().collect())
}

/// Refuses what Microsoft Entra would refuse, before anything is sent.
fn in_time(certificate: &CertificateDer<'_>, now: Timestamp) -> Result<(), Unfit> {
    let (_, read) = X509Certificate::from_der(certificate).map_err(|_| UNREADABLE)?;
    let at = |asn1_time: x509_parser::time::ASN1Time| {
        Timestamp::from_second(asn1_time.timestamp()).map_err(|_| UNREADABLE)
    };
    let (start, end) = (at(read.validity().not_before)?, at(read.validity().not_after)?);
    if now > end {
        let day = end.strftime("%F");
        return Err(format!("it expired on {day}: give the application a new one").into());
    }
    if now < start {
        let from = start.strftime("%F %R UTC");
        return Err(format!("it is not valid before {from}: check this machine's clock").into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    const CERTIFICATE: &str = include_str!("../../../manifests/tls/ml.example.com.crt");
    const KEY: &str = include_str!("../../../manifests/tls/ml.example.com.key");
    const PASSWORD: &str = "Kanarie5e9b71";
    /// The same key as OpenSSL 3, OpenSSL 1.1, `-scrypt` and `-v2prf hmacWithSHA1` lock it.
    const LOCKED: [&str; 4] = [
        include_str!("../../../tests/fixtures/keys/aes256.pem"),
        include_str!("../../../tests/fixtures/keys/des3.pem"),
        include_str!("../../../tests/fixtures/keys/scrypt.pem"),
        include_str!("../../../tests/fixtures/keys/sha1.pem"),
    ];

    fn signed(parts: &[&str], password: Option<&str>) -> Result<String, Unfit> {
        let certificate = Certificate {
            file: PathBuf::new(),
            password: password.map(Into::into),
            client: "app".to_owned(),
            audience: "https://login.example/t/oauth2/v2.0/token".to_owned(),
        };
        certificate.signed(parts.concat().as_bytes(), Timestamp::now())
    }

    #[test]
    fn a_key_with_a_password_signs_when_the_password_is_right() {
        for key in &LOCKED[..3] {
            for parts in [[CERTIFICATE, key], [key, CERTIFICATE]] {
                assert!(signed(&parts, Some(PASSWORD)).is_ok(), "{key}");
                assert_eq!(signed(&parts, Some("wrong")), Err(WRONG_PASSWORD));
                assert_eq!(signed(&parts, None), Err(NO_PASSWORD));
            }
            let windows = key.replace('\n', "\r\n");
            assert!(signed(&[CERTIFICATE, &windows], Some(PASSWORD)).is_ok());
        }
        // A password that nobody asks for is left alone.
        assert!(signed(&[CERTIFICATE, KEY], Some(PASSWORD)).is_ok());
    }

    #[test]
    fn what_a_file_lacks_is_said_with_the_way_to_mend_it() {
        let block = |label: &str, inside: &str| {
            format!("-----BEGIN {label}-----\n{inside}\n-----END {label}-----\n")
        };
        let own = block("RSA PRIVATE KEY", "Proc-Type: 4,ENCRYPTED");
        let broken = block("ENCRYPTED PRIVATE KEY", "MIIFLTBXBgkqhki");
        for (parts, says) in [
            (["nonsense", ""], "openssl pkcs12"),
            (["0\u{82}\u{9}", ""], "A PFX is not read"),
            ([KEY, ""], "no certificate"),
            ([CERTIFICATE, ""], "no private key"),
            ([CERTIFICATE, &own], "openssl pkcs8 -topk8"),
            ([CERTIFICATE, LOCKED[3]], "openssl pkcs8 -topk8"),
            ([CERTIFICATE, &broken], "cannot be used"),
        ] {
            let error = signed(&parts, Some(PASSWORD)).unwrap_err().to_string();
            assert!(error.contains(says) && !error.contains(PASSWORD), "{parts:?}: {error}");
        }
        let missing = Certificate {
            file: "no/such.pem".into(),
            password: None,
            client: String::new(),
            audience: String::new(),
        };
        assert!(missing.assertion().unwrap_err().contains("no/such.pem"));
    }

    /// A certificate of the key that counts in these years.
    fn between(key: &KeyPair, start: i32, end: i32) -> String {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.not_before = rcgen::date_time_ymd(start, 1, 1);
        params.not_after = rcgen::date_time_ymd(end, 1, 1);
        params.self_signed(key).unwrap().pem()
    }

    #[test]
    fn the_certificate_of_the_key_is_the_one_that_counts_while_it_counts() {
        let key = KeyPair::from_pem(KEY).unwrap();
        let stranger = between(&KeyPair::generate().unwrap(), 2020, 2090);
        assert_eq!(signed(&[&stranger, KEY], None), Err(STRANGER));
        let good = between(&key, 2020, 2090);
        let shown = signed(&[&stranger, &good, KEY], None).unwrap();
        assert_eq!(shown.split('.').next(), signed(&[&good, KEY], None).unwrap().split('.').next());
        let past = signed(&[&between(&key, 2020, 2021), KEY], None).unwrap_err().to_string();
        assert!(past.contains("expired on 2021-01-01"), "{past}");
        let future = signed(&[&between(&key, 2089, 2090), KEY], None).unwrap_err().to_string();
        assert!(future.contains("not valid before 2089-01-01 00:00 UTC"), "{future}");
    }
}
