//! Secrets: values that can be sent, compared by fingerprint and never shown.

use std::fmt;
use std::path::PathBuf;

use base64::Engine as _;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::{Pointer, fingerprint};

/// Where a secret comes from; this, and never the content, is what a saved plan holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SecretSource {
    /// An environment variable of the caller.
    Env(String),
    /// A file.
    File(PathBuf),
    /// Clear text in a manifest, at this path of this document.
    Manifest {
        /// The manifest file.
        file: PathBuf,
        /// Which YAML document of the file, from zero.
        document: usize,
        /// Where in the document.
        at: Pointer,
    },
    /// A secret of an Azure Key Vault, read when it is sent.
    KeyVault {
        /// The vault's name.
        vault: String,
        /// The secret's name.
        secret: String,
        /// Its version; without one, the newest.
        version: Option<String>,
    },
    /// A key of a Secret in the cluster itself.
    Object {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// The key in its data.
        key: String,
    },
}

impl SecretSource {
    /// Whether a service has to be asked for it, so that it is not at hand before anybody signed in.
    #[must_use]
    pub const fn is_remote(&self) -> bool {
        matches!(self, Self::KeyVault { .. } | Self::Object { .. })
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Manifest { file, at, .. } => write!(f, "{} at {at}", file.display()),
            Self::KeyVault { vault, secret, version: None } => {
                write!(f, "secret {secret} of key vault {vault}")
            }
            Self::KeyVault { vault, secret, version: Some(version) } => {
                write!(f, "secret {secret} of key vault {vault}, version {version}")
            }
            Self::Object { namespace, name, key } => {
                write!(f, "key {key} of Secret {namespace}/{name}")
            }
        }
    }
}

/// How the content travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Encoding {
    /// As it is.
    #[default]
    Plain,
    /// Base64 of the text, as `az` sends PEM files.
    Base64,
    /// Base64 of the certificates of a PEM text: a vault keeps them in one text with their key.
    Certificates,
    /// Base64 of the private key of a PEM text.
    PrivateKey,
}

impl Encoding {
    fn of(self, content: &str) -> String {
        let base64 = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
        match self {
            Self::Plain => content.to_owned(),
            Self::Base64 => base64(content),
            Self::Certificates => base64(&pem_blocks(content, "CERTIFICATE-----")),
            Self::PrivateKey => base64(&pem_blocks(content, "PRIVATE KEY-----")),
        }
    }
}

/// The blocks of a PEM text whose label ends so; the whole text where it has none.
fn pem_blocks(text: &str, label: &str) -> String {
    let (mut found, mut inside) = (String::new(), false);
    for line in text.lines() {
        let line = line.trim_end();
        inside |= line.starts_with("-----BEGIN ") && line.ends_with(label);
        if inside {
            found.push_str(line);
            found.push('\n');
        }
        inside &= !line.starts_with("-----END ");
    }
    if found.is_empty() { text.to_owned() } else { found }
}

/// A secret with its source. It has no `Display`, its `Debug` shows the source only, and it
/// serializes without its content.
#[derive(Clone)]
pub struct Secret {
    /// Where the content came from.
    pub source: SecretSource,
    /// How the content is sent.
    pub encoding: Encoding,
    content: Option<SecretString>,
    /// What the fingerprint was when the content was at hand.
    remembered: Option<String>,
}

impl Secret {
    /// A secret whose content is at hand.
    #[must_use]
    pub fn new(source: SecretSource, encoding: Encoding, content: String) -> Self {
        Self { source, encoding, content: Some(content.into()), remembered: None }
    }

    /// A secret whose content has yet to be read, as a saved plan holds it.
    #[must_use]
    pub const fn unread(source: SecretSource, encoding: Encoding) -> Self {
        Self { source, encoding, content: None, remembered: None }
    }

    /// The same secret, sent another way.
    #[must_use]
    pub fn encoded(&self, encoding: Encoding) -> Self {
        Self { encoding, ..self.clone() }
    }

    /// The text as it travels. Only for building a request body and for checking a certificate.
    #[must_use]
    pub fn expose(&self) -> Option<String> {
        Some(self.encoding.of(self.content.as_ref()?.expose_secret()))
    }

    /// A fingerprint of the content, 16 hex digits; of an unread secret the one that it was saved
    /// with. It belongs to the resource that the secret is sent to, so that equal secrets of two
    /// resources do not look equal.
    #[must_use]
    pub fn fingerprint(&self, resource: &str) -> Option<String> {
        match &self.content {
            Some(content) => Some(fingerprint::of(content.expose_secret(), resource)),
            None => self.remembered.clone(),
        }
    }

    /// The secret with its content, to be sent.
    #[must_use]
    pub fn opened(&self, content: String) -> Self {
        Self { content: Some(content.into()), ..self.clone() }
    }

    /// Takes a version of the vault for its fingerprint: a vault gives every value a version, so
    /// that the content stays closed until it is sent.
    pub fn set_version(&mut self, version: &str) {
        self.remembered = Some(version.to_owned());
    }

    /// The version that was found, or that the fingerprint stands for.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        self.remembered.as_deref()
    }

    /// Keeps the fingerprint, so that a saved plan can be compared and shown without the content.
    pub fn remember(&mut self, resource: &str) {
        self.remembered = self.fingerprint(resource);
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", self.source)
    }
}

/// Two secrets are equal when they come from one place and hold the same content.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        let content = |it: &Self| it.content.as_ref().map(|it| it.expose_secret().to_owned());
        self.source == other.source
            && self.encoding == other.encoding
            && content(self) == content(other)
    }
}

impl Eq for Secret {}

/// Serializes a map of secrets by their sources; contents stay out and come back unread.
pub mod secrets_by_source {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{Encoding, Secret, SecretSource};

    /// Writes the sources.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(
        secrets: &BTreeMap<String, Secret>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let sources = secrets
            .iter()
            .map(|(key, secret)| (key, (&secret.source, secret.encoding, &secret.remembered)));
        sources.collect::<BTreeMap<_, _>>().serialize(serializer)
    }

    /// Reads the sources.
    ///
    /// # Errors
    /// Those of the deserializer.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<String, Secret>, D::Error> {
        type Stored = (SecretSource, Encoding, Option<String>);
        let sources: BTreeMap<String, Stored> = BTreeMap::deserialize(deserializer)?;
        let secret = |(key, (source, encoding, remembered))| {
            (key, Secret { source, encoding, content: None, remembered })
        };
        Ok(sources.into_iter().map(secret).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_never_shows_and_its_fingerprint_depends_on_the_resource() {
        let source = SecretSource::Env("TOKEN".into());
        let secret = Secret::new(source, Encoding::Base64, "canary".into());
        assert_eq!(format!("{secret:?}"), "Secret(environment variable TOKEN)");
        assert_eq!(secret.expose().unwrap(), "Y2FuYXJ5");
        assert_ne!(secret.fingerprint("/a"), secret.fingerprint("/b"));
        assert_eq!(secret.fingerprint("/A"), secret.fingerprint("/a"));
    }

    #[test]
    fn a_pem_text_of_a_vault_is_taken_apart() {
        let block = |label: &str| format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
        let (key, leaf, root) = (block("PRIVATE KEY"), block("CERTIFICATE"), block("CERTIFICATE"));
        let whole = format!("Bag Attributes\n{key}subject=x\r\n{leaf}{root}");
        assert_eq!(pem_blocks(&whole, "CERTIFICATE-----"), format!("{leaf}{root}"));
        assert_eq!(pem_blocks(&whole, "PRIVATE KEY-----"), key);
        assert_eq!(pem_blocks("no pem", "CERTIFICATE-----"), "no pem");
    }
}
