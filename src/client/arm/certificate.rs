//! Signing in with a certificate: a client assertion that its key signs (Microsoft Entra:
//! application authentication certificate credentials).

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::SignatureScheme;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::client::net::LARGEST_FILE;
use crate::client::net::tls::PROVIDER;
use crate::source;

/// Where the certificate is, and what the assertion says.
#[derive(Clone)]
pub(super) struct Certificate {
    pub(super) file: PathBuf,
    pub(super) client: String,
    /// The token endpoint.
    pub(super) audience: String,
}

impl Certificate {
    /// An assertion that counts for ten minutes. The file is read each time, so that a renewed
    /// certificate is taken during a long run.
    pub(super) fn assertion(&self) -> Result<String, String> {
        let shown = self.file.display();
        let pem = source::read_bytes(&self.file, LARGEST_FILE)
            .map_err(|error| format!("cannot read the certificate {shown}: {error}"))?;
        self.signed(&pem)
            .map_err(|error| format!("the certificate {shown} cannot sign in: {error}"))
    }

    fn signed(&self, pem: &[u8]) -> Result<String, String> {
        let holds = |mark: &str| pem.windows(mark.len()).any(|it| it == mark.as_bytes());
        if holds("BEGIN ENCRYPTED PRIVATE KEY") || holds("Proc-Type: 4,ENCRYPTED") {
            return Err("its key has a password, which is not supported: \
                        `openssl pkey -in FILE` writes the key without one"
                .into());
        }
        let certificate = CertificateDer::from_pem_slice(pem).map_err(|_| {
            "it holds no PEM certificate (of a PFX, `openssl pkcs12 -in FILE -nodes` makes PEM)"
        })?;
        let key = PrivateKeyDer::from_pem_slice(pem)
            .map_err(|_| "it holds no private key: put both into one PEM file")?;
        let key = PROVIDER.key_provider.load_private_key(key);
        let key = key.map_err(|_| "its private key cannot be used")?;
        let signer = key.choose_scheme(&[SignatureScheme::RSA_PSS_SHA256]);
        let signer = signer.ok_or("its key is not RSA, which Microsoft Entra asks for")?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let thumbprint = URL_SAFE_NO_PAD.encode(Sha256::digest(&certificate));
        let part = |it: serde_json::Value| URL_SAFE_NO_PAD.encode(it.to_string());
        let head = part(json!({"alg": "PS256", "typ": "JWT", "x5t#S256": thumbprint}));
        let body = part(json!({
            "aud": self.audience, "iss": self.client, "sub": self.client,
            "jti": uuid::Uuid::new_v4().to_string(), "nbf": now, "exp": now + 600,
        }));
        let text = format!("{head}.{body}");
        let signature = signer.sign(text.as_bytes()).map_err(|_| "its key does not sign")?;
        Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(pem: &str) -> Result<String, String> {
        let client = "app".to_owned();
        let audience = "https://login.example/t/oauth2/v2.0/token".to_owned();
        Certificate { file: PathBuf::new(), client, audience }.signed(pem.as_bytes())
    }

    const CERTIFICATE: &str = include_str!("../../../manifests/tls/ml.example.com.crt");

    #[test]
    fn what_a_file_lacks_is_said() {
        let error = signed("nonsense").unwrap_err();
        assert!(error.contains("openssl pkcs12"), "{error}");
        assert!(signed(CERTIFICATE).unwrap_err().contains("no private key"));
        let locked = format!("{CERTIFICATE}-----BEGIN ENCRYPTED PRIVATE KEY-----\n");
        assert!(signed(&locked).unwrap_err().contains("password"));
        let missing = Certificate {
            file: "no/such.pem".into(),
            client: String::new(),
            audience: String::new(),
        };
        assert!(missing.assertion().unwrap_err().contains("no/such.pem"));
    }
}
