//! Values of settings, and where secret ones come from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::write::is_default;

/// The value of a setting. Azure takes texts; booleans are sent as `True` and `False`, as `az` does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Setting {
    /// A boolean.
    Bool(bool),
    /// A whole number.
    Number(i64),
    /// A text.
    Text(String),
}

impl Setting {
    /// The text that travels.
    #[must_use]
    pub fn wire(&self) -> String {
        match self {
            Self::Bool(true) => "True".to_owned(),
            Self::Bool(false) => "False".to_owned(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }

    /// Whether the chart and `az` take it for true: text `true`, without case.
    #[must_use]
    pub fn is_true(&self) -> bool {
        self.wire().eq_ignore_ascii_case("true")
    }
}

/// A protected setting: a text (for the PEM settings a path, as `az` takes it), or where to find it.
#[derive(Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum ProtectedSetting {
    /// The text itself, or the path of a PEM file.
    Text(String),
    /// From the environment of the caller.
    FromEnv {
        /// Name of the variable.
        #[serde(rename = "fromEnv")]
        from_env: String,
    },
    /// From a file.
    FromFile {
        /// Path of the file, from the manifest's folder.
        #[serde(rename = "fromFile")]
        from_file: String,
    },
    /// From an Azure Key Vault, read when it is sent.
    FromKeyVault {
        /// The secret; a certificate of the vault is a secret of its name too.
        #[serde(rename = "fromKeyVault")]
        from_key_vault: VaultSecret,
    },
    /// From a Secret in the cluster itself.
    FromSecret {
        /// The key of the Secret.
        #[serde(rename = "fromSecret")]
        from_secret: SecretKey,
    },
}

/// A secret of an Azure Key Vault.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(inline)]
pub struct VaultSecret {
    /// Name of the vault, without its domain.
    pub vault: String,
    /// Name of the secret or certificate.
    pub secret: String,
    /// Version to keep to; without one the newest is sent, and a newer one is a change.
    #[serde(default, skip_serializing_if = "is_default")]
    pub version: Option<String>,
}

/// A key of a Secret in the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(inline)]
pub struct SecretKey {
    /// Namespace of the Secret.
    pub namespace: String,
    /// Name of the Secret.
    pub name: String,
    /// Key in its data, such as `tls.crt`.
    pub key: String,
}

/// Without the text, which may be a secret.
impl std::fmt::Debug for ProtectedSetting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Text(…)"),
            Self::FromEnv { from_env } => write!(f, "FromEnv({from_env:?})"),
            Self::FromFile { from_file } => write!(f, "FromFile({from_file:?})"),
            Self::FromKeyVault { from_key_vault: vault_secret } => write!(f, "{vault_secret:?}"),
            Self::FromSecret { from_secret: secret_key } => write!(f, "{secret_key:?}"),
        }
    }
}
