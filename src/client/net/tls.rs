//! TLS of every connection: ring, and who must have signed a server's certificate. The machine's
//! authorities are read when a connection needs them, not before.

use std::sync::{Arc, LazyLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{self, CryptoProvider};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

/// The one implementation of cryptography (docs/decisions/0004).
pub(in crate::client) static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| Arc::new(crypto::ring::default_provider()));

/// The authorities of the operating system.
static MACHINE: LazyLock<Result<rustls_platform_verifier::Verifier, Error>> =
    LazyLock::new(|| rustls_platform_verifier::Verifier::new(Arc::clone(&PROVIDER)));

/// Who must have signed a server's certificate. All in PEM.
#[derive(Clone, Debug)]
pub(in crate::client) enum Authorities {
    /// Those of the operating system, and these.
    Machine(Vec<CertificateDer<'static>>),
    /// These and no others.
    Only(Vec<CertificateDer<'static>>),
    /// Anybody: `insecure-skip-tls-verify` of a kubeconfig.
    Anybody,
}

/// All certificates of a PEM file.
pub(in crate::client) fn certificates(
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, pem::Error> {
    CertificateDer::pem_slice_iter(pem).collect()
}

/// What a client of the network sends and takes. HTTP/2 where the server has it, so that one socket
/// carries all requests.
///
/// # Errors
/// When a certificate or the client's own key cannot be used.
pub(in crate::client) fn configuration(
    authorities: &Authorities,
    identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
) -> Result<ClientConfig, Error> {
    let builder = ClientConfig::builder_with_provider(Arc::clone(&PROVIDER))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier::new(authorities)?));
    let mut config = match identity {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key)?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Asks the given authorities first: they are few and parsed, those of the machine are hundreds.
#[derive(Debug)]
struct Verifier {
    given: Option<Arc<WebPkiServerVerifier>>,
    machine: bool,
}

impl Verifier {
    fn new(authorities: &Authorities) -> Result<Self, Error> {
        let (given, machine) = match authorities {
            Authorities::Machine(given) => (given.as_slice(), true),
            Authorities::Only(given) => (given.as_slice(), false),
            Authorities::Anybody => return Ok(Self { given: None, machine: false }),
        };
        if given.is_empty() && machine {
            return Ok(Self { given: None, machine });
        }
        let mut roots = RootCertStore::empty();
        for certificate in given {
            roots.add(certificate.clone())?;
        }
        let builder =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&PROVIDER));
        let given = builder.build().map_err(|error| Error::General(error.to_string()))?;
        Ok(Self { given: Some(given), machine })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        server: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(given) = &self.given {
            let verdict = given.verify_server_cert(server, between, name, ocsp, now);
            let stranger = Error::InvalidCertificate(CertificateError::UnknownIssuer);
            if !self.machine || verdict.as_ref().err() != Some(&stranger) {
                return verdict;
            }
        } else if !self.machine {
            return Ok(ServerCertVerified::assertion());
        }
        let machine = MACHINE.as_ref().map_err(Clone::clone)?;
        machine.verify_server_cert(server, between, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        server: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &PROVIDER.signature_verification_algorithms;
        crypto::verify_tls12_signature(message, server, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        server: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &PROVIDER.signature_verification_algorithms;
        crypto::verify_tls13_signature(message, server, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        PROVIDER.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAF: &[u8] = include_bytes!("../../../manifests/tls/ml.example.com.crt");

    fn verdict(authorities: &Authorities) -> Result<ServerCertVerified, Error> {
        let certificate = certificates(LEAF).unwrap().remove(0);
        let name = ServerName::try_from("ml.example.com").unwrap();
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(1_800_000_000));
        Verifier::new(authorities)?.verify_server_cert(&certificate, &[], &name, &[], now)
    }

    /// A stranger's certificate passes only where nobody is asked; without any authority there is
    /// nobody who could have signed.
    #[test]
    fn who_is_not_known_is_not_trusted() {
        assert!(verdict(&Authorities::Anybody).is_ok());
        assert!(verdict(&Authorities::Machine(Vec::new())).is_err());
        assert!(verdict(&Authorities::Only(Vec::new())).is_err());
        let broken = CertificateDer::from(vec![1, 2, 3]);
        assert!(verdict(&Authorities::Machine(vec![broken])).is_err());
    }

    #[test]
    fn http_2_is_offered() {
        let config = configuration(&Authorities::Machine(Vec::new()), None).unwrap();
        assert_eq!(config.alpn_protocols[0], b"h2");
    }
}
