//! Contents of protected settings, read once and kept as [`Secret`].

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::model::{Encoding, Pointer, Secret, SecretSource};
use crate::source::{self, Diagnostic, Diagnostics};

use super::env;
use super::node::Node;
use super::spec::{ClusterOrigin, ClusterSpec, ProtectedSetting, SecretKey, VaultSecret};

/// Whether a secret that the environment does not have stops the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrets {
    /// It does: the secret is about to be sent.
    Require,
    /// It does not: nothing is sent, and a warning will do.
    Optional,
}

/// Settings whose text is the path of a PEM file, as `az` takes them (AML docs: deploy extension).
pub const PEM_SETTINGS: [&str; 2] = ["sslCertPemFile", "sslKeyPemFile"];

/// A Kubernetes secret holds no more; neither does a setting.
const LIMIT_BYTES: u64 = 1 << 20;

/// Reads the secrets of a run; a file that many clusters name is read once.
pub(super) struct SecretReader<'a> {
    pub env: &'a dyn Fn(&str) -> Option<String>,
    pub mode: Secrets,
    pub files: HashMap<PathBuf, Result<Arc<str>, String>>,
}

impl SecretReader<'_> {
    /// The protected settings of a cluster; `written` are the trees its parts were merged from,
    /// each with its path in the document.
    pub(super) fn read(
        &mut self,
        spec: &ClusterSpec,
        origin: &ClusterOrigin,
        written: &[(Pointer, Arc<Node>)],
        findings: &mut Diagnostics,
    ) -> BTreeMap<String, Secret> {
        let mut secrets = BTreeMap::new();
        let Some(extension) = &spec.extension else { return secrets };
        for (key, setting) in &extension.configuration_protected_settings {
            let at: Pointer =
                ["extension", "configurationProtectedSettings", key].into_iter().collect();
            let found = match setting {
                ProtectedSetting::FromEnv { from_env } => self
                    .variable(from_env)
                    .map_err(|it| it.at(origin.value(&at.join("fromEnv")), "needed here")),
                ProtectedSetting::FromFile { from_file } => self
                    .file(origin, from_file)
                    .map_err(|it| it.at(origin.value(&at.join("fromFile")), "named here")),
                // Their services are asked once somebody has signed in.
                ProtectedSetting::FromKeyVault { from_key_vault: vault_secret } => {
                    let VaultSecret { vault, secret, version } = vault_secret.clone();
                    let source = SecretSource::KeyVault { vault, secret, version };
                    Ok(Secret::unread(source, Encoding::Plain))
                }
                ProtectedSetting::FromSecret { from_secret: secret_key } => {
                    let SecretKey { namespace, name, key } = secret_key.clone();
                    let source = SecretSource::Object { namespace, name, key };
                    Ok(Secret::unread(source, Encoding::Plain))
                }
                ProtectedSetting::Text(text) if PEM_SETTINGS.contains(&key.as_str()) => self
                    .pem(origin, key, text)
                    .map_err(|finding| finding.at(origin.value(&at), "named here")),
                ProtectedSetting::Text(text) => self.text(text, &at, origin, written),
            };
            match found {
                Ok(secret) => {
                    secrets.insert(key.clone(), secret);
                }
                Err(finding) => findings.push(finding),
            }
        }
        secrets
    }

    fn variable(&self, name: &str) -> Result<Secret, Diagnostic> {
        let source = SecretSource::Env(name.to_owned());
        match (self.env)(name) {
            Some(content) => Ok(Secret::new(source, Encoding::Plain, content)),
            None => {
                let message =
                    format!("the environment variable `{name}`, which holds a secret, is not set");
                let finding = match self.mode {
                    Secrets::Require => Diagnostic::error("secret-unset", message),
                    Secrets::Optional => Diagnostic::warning("secret-unset", message),
                };
                Err(finding.with_help(format!("set {name} before apply")))
            }
        }
    }

    fn file(&mut self, origin: &ClusterOrigin, written: &str) -> Result<Secret, Diagnostic> {
        let path = origin.path(written);
        let content = self.files.entry(path.clone()).or_insert_with(|| read_file(&path));
        match content {
            Ok(content) => {
                Ok(Secret::new(SecretSource::File(path), Encoding::Plain, content.to_string()))
            }
            Err(why) => Err(unreadable(&path, why)),
        }
    }

    fn pem(&mut self, origin: &ClusterOrigin, key: &str, text: &str) -> Result<Secret, Diagnostic> {
        if text.contains("-----BEGIN") {
            let message = format!("`{key}` takes the path of a PEM file, not its text");
            return Err(Diagnostic::error("pem-in-manifest", message).with_help(format!(
                "write the text to a file beside the manifest and name it: {key}: ./tls.pem"
            )));
        }
        self.file(origin, text)
    }

    fn text(
        &self,
        text: &str,
        at: &Pointer,
        origin: &ClusterOrigin,
        written: &[(Pointer, Arc<Node>)],
    ) -> Result<Secret, Diagnostic> {
        let node = origin.tree.as_deref().and_then(|tree| tree.find(at)).map(|(node, _)| node);
        let written_text = node.and_then(Node::text);
        let template = written_text.and_then(|text| text.template.as_deref());
        let unset = written_text.and_then(|text| text.unset.as_deref());
        if let Some(name) = template.and_then(env::sole_variable).or(unset) {
            return self.variable(name).map_err(|it| it.at(origin.value(at), "needed here"));
        }
        let prefix =
            written.iter().find(|(_, tree)| tree.find(at).is_some()).map(|(prefix, _)| prefix);
        let mut whole = prefix.cloned().unwrap_or_default();
        for token in at.tokens() {
            whole = whole.join(token.clone());
        }
        let source = SecretSource::Manifest {
            file: origin.file.clone(),
            document: origin.document,
            at: whole,
        };
        Ok(Secret::new(source, Encoding::Plain, text.to_owned()))
    }
}

fn unreadable(path: &Path, why: &str) -> Diagnostic {
    Diagnostic::error("secret-unreadable", format!("cannot read `{}`: {why}", path.display()))
        .with_help(
            "relative paths start at the manifest's folder; check the path and its permissions",
        )
}

fn read_file(path: &Path) -> Result<Arc<str>, String> {
    let bytes = source::read_bytes(path, LIMIT_BYTES).map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map(Into::into).map_err(|_| "it is not UTF-8 text".to_owned())
}

/// Fetches a secret again from where it came, as a saved plan needs it; one that a service holds
/// stays unread.
///
/// # Errors
/// A finding with code `secret-unset`, `secret-unreadable` or `secret-gone`, or those of reading
/// the manifest file.
pub fn reread(
    source: &SecretSource,
    encoding: Encoding,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Secret, Diagnostic> {
    let reader = SecretReader { env, mode: Secrets::Require, files: HashMap::new() };
    let secret = match source {
        SecretSource::Env(name) => reader.variable(name)?,
        SecretSource::File(path) => {
            let content = read_file(path).map_err(|why| unreadable(path, &why))?;
            Secret::new(source.clone(), Encoding::Plain, content.to_string())
        }
        SecretSource::Manifest { file, document, at } => {
            let gone = || {
                Diagnostic::error(
                    "secret-gone",
                    format!("`{}` has nothing at {at} any more", file.display()),
                )
                .with_help("plan again with the manifest as it is now")
            };
            let mut findings = Diagnostics::new();
            let documents = super::documents(file, env, &mut findings)?;
            let tree = documents.get(*document).ok_or_else(gone)?;
            let content = tree.find(at).and_then(|(node, _)| node.text()).ok_or_else(gone)?;
            Secret::new(source.clone(), Encoding::Plain, content.value.to_string())
        }
        SecretSource::KeyVault { .. } | SecretSource::Object { .. } => {
            Secret::unread(source.clone(), Encoding::Plain)
        }
    };
    Ok(secret.encoded(encoding))
}
