//! Secrets that a service holds: which version of each there is, and what stands in it.
//!
//! A vault gives every value a version, so that plans compare versions and the value is read only
//! when it is sent (Azure REST: Key Vault secrets). A Secret of Kubernetes has no version of its
//! values, so it is read, and compared by fingerprint as a file is.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use futures_util::StreamExt as _;

use super::{Clients, read_error};
use crate::client::ApiError;
use crate::client::arm;
use crate::model::{Api, Json, Key, ObjectRef, Secret, SecretSource};
use crate::resource::ReadError;
use crate::resource::graph::Desired;

/// Version of the REST API of vaults.
const API_VERSION: &str = "7.4";

/// What is known of a secret before it is sent.
#[derive(Clone)]
enum Known {
    Version(String),
    Content(String),
}

/// Looks at every secret that a service holds, each once. Returns the resources whose secrets could
/// not be looked at.
pub async fn secrets(
    desired: &mut Desired,
    clients: &Clients,
    parallelism: usize,
) -> Vec<(Key, ReadError)> {
    let mut wanted: BTreeSet<(String, SecretSource)> = BTreeSet::new();
    for (key, node) in &desired.nodes {
        let remote = node.resource.kind().secrets().into_iter().map(|secret| &secret.source);
        let remote = remote.filter(|secret_source| secret_source.is_remote());
        wanted.extend(remote.map(|it| (clients.asker(&key.scope, it), it.clone())));
    }
    let looked = futures_util::stream::iter(wanted).map(|(scope, source)| async move {
        let known = clients.look_up(&scope, &source).await;
        ((scope, source), known)
    });
    let found: BTreeMap<_, _> = looked.buffer_unordered(parallelism.max(1)).collect().await;
    let mut unread = Vec::new();
    for (key, node) in &mut desired.nodes {
        for secret in node.resource.secrets_mut().into_iter().filter(|it| it.source.is_remote()) {
            match found.get(&(clients.asker(&key.scope, &secret.source), secret.source.clone())) {
                Some(Ok(Known::Version(version))) => secret.set_version(version),
                Some(Ok(Known::Content(content))) => *secret = secret.opened(content.clone()),
                Some(Err(error)) => unread.push((key.clone(), error.clone())),
                None => {}
            }
        }
    }
    unread
}

impl Clients {
    /// The scope that asks for a secret: for a vault the first with the same sign-in, so that a
    /// fleet asks once.
    fn asker(&self, scope: &str, source: &SecretSource) -> String {
        let own = self.arm.get(scope);
        let shared = |arm_reader: &&arm::ArmReader| own.is_some_and(|own| own.is_same(arm_reader));
        let first = self.arm.iter().find(|it| shared(&it.1)).map(|it| it.0.as_str());
        let vault = matches!(source, SecretSource::KeyVault { .. });
        first.filter(|_| vault).unwrap_or(scope).to_owned()
    }

    /// A secret with its content, to be sent.
    ///
    /// # Errors
    /// Why it cannot be had.
    pub async fn open(&self, scope: &str, secret: &Secret) -> Result<Secret, ReadError> {
        let content = match &secret.source {
            SecretSource::KeyVault { vault, secret: name, version } => {
                let version = version.as_deref().or(secret.version()).unwrap_or_default();
                let path = format!("/secrets/{name}/{version}");
                let what = || secret.source.to_string();
                let vaults = self.vault(scope, vault)?;
                let answer = vaults.get(path.trim_end_matches('/'), API_VERSION).await;
                let answer = answer.map_err(|api_error| vault_error(what(), vault, &api_error))?;
                let answer =
                    answer.ok_or_else(|| missing(what(), Api::Azure, "it is not there"))?;
                if answer["contentType"] == "application/x-pkcs12" {
                    let why = "it is a PKCS #12 file, and the extension takes PEM";
                    let help = "issue the certificate with content type application/x-pem-file: \
                                az keyvault certificate create with secretProperties.contentType";
                    let error = missing(what(), Api::Azure, why);
                    return Err(ReadError { help: Some(help.to_owned()), ..error });
                }
                let value = answer["value"].as_str().map(str::to_owned);
                value.ok_or_else(|| missing(what(), Api::Azure, "the answer has no value"))?
            }
            source => match self.look_up(scope, source).await? {
                Known::Content(content) => content,
                Known::Version(_) => String::new(),
            },
        };
        Ok(secret.opened(content))
    }

    async fn look_up(&self, scope: &str, source: &SecretSource) -> Result<Known, ReadError> {
        match source {
            // A version that is given is the one that is meant.
            SecretSource::KeyVault { version: Some(version), .. } => {
                Ok(Known::Version(version.clone()))
            }
            SecretSource::KeyVault { vault, secret, .. } => {
                let listed = self.vault(scope, vault)?;
                let listed = listed.list(&format!("/secrets/{secret}/versions"), API_VERSION).await;
                match listed {
                    Ok(versions) => newest(&versions, source).map(Known::Version),
                    Err(error) => Err(vault_error(source.to_string(), vault, &error)),
                }
            }
            SecretSource::Object { namespace, name, key } => {
                let what = || format!("{source} in cluster `{scope}`");
                let object = ObjectRef::cluster("v1", "Secret", "secrets", name);
                let found = self.cluster(scope)?.get(&object.in_namespace(namespace)).await;
                let found = found.map_err(|api_error| read_error(what(), &api_error))?;
                let absent = |why| missing(what(), Api::Kubernetes, why);
                let object = found.ok_or_else(|| absent("there is no such Secret"))?;
                let data = object["data"][key].as_str();
                let data = data.ok_or_else(|| absent("the Secret has no such key"))?;
                let bytes = base64::engine::general_purpose::STANDARD.decode(data);
                let text = bytes.ok().and_then(|byte| String::from_utf8(byte).ok());
                text.map(Known::Content).ok_or_else(|| absent("it is not UTF-8 text"))
            }
            SecretSource::Env(_) | SecretSource::File(_) | SecretSource::Manifest { .. } => {
                Err(missing(source.to_string(), Api::Azure, "no service holds it"))
            }
        }
    }

    fn vault(&self, scope: &str, name: &str) -> Result<arm::ArmReader, ReadError> {
        let reader = self.arm(scope)?;
        reader.vault(name).ok_or_else(|| {
            let why = format!(
                "of the cloud {} no key vaults are known that credentials may go to",
                reader.cloud().name
            );
            let help = "if its metadata names them (suffixes.keyVaultDns) and the host is yours, \
                        say so: --trust-cloud HOST";
            let error = missing(format!("key vault {name}"), Api::Azure, &why);
            ReadError { help: Some(help.to_owned()), ..error }
        })
    }
}

/// The newest version in a list. A vault hands out no other one to whoever names none.
fn newest(versions: &[Json], source: &SecretSource) -> Result<String, ReadError> {
    let id = |it: &Json| it["id"].as_str().and_then(|it| it.rsplit('/').next()).map(str::to_owned);
    let last = versions.iter().max_by_key(|it| (it["attributes"]["created"].as_i64(), id(it)));
    let error = |why: &str| missing(source.to_string(), Api::Azure, why);
    let last = last.ok_or_else(|| error("the vault has no such secret"))?;
    if last["attributes"]["enabled"] == false {
        return Err(error("its newest version is disabled"));
    }
    let known = id(last).filter(|text| text.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    known.ok_or_else(|| error("the vault's answer names no version"))
}

fn missing(what: String, api: Api, why: &str) -> ReadError {
    let message = why.to_owned();
    ReadError { what, api, status: None, code: None, message, tenant: None, help: None }
}

/// What a vault refuses, with its own inner code: rights, access policies and firewall look alike
/// from outside (Azure docs: Key Vault, troubleshooting access policies).
fn vault_error(what: String, vault: &str, error: &ApiError) -> ReadError {
    let help = match () {
        () if error.has_code(&["ForbiddenByFirewall", "ForbiddenByConnection"]) => format!(
            "the vault's firewall does not let this machine in: run amlplan where it may, or \
             `az keyvault network-rule add --name {vault} --ip-address ADDRESS`"
        ),
        () if error.status == Some(403) => format!(
            "give this sign-in the role Key Vault Secrets User on the vault, or where it has \
             access policies: `az keyvault set-policy --name {vault} --secret-permissions get list`"
        ),
        () if error.status.is_none() && error.source.is_some() => format!(
            "check the vault's name; a vault with a private endpoint answers in its network only \
             (`az keyvault show --name {vault}`)"
        ),
        () => return read_error(what, error),
    };
    // The rest of its text is about whoever asked.
    let told = error.message.lines().enumerate();
    let told =
        told.filter(|(at, text)| *at == 0 || text.starts_with("Action:")).map(|it| it.1.trim());
    let message = match error.status {
        Some(status) => {
            let code = error.codes().last().unwrap_or_default();
            format!("{code}: {} (HTTP {status})", told.collect::<Vec<_>>().join(" "))
        }
        None => error.to_string(),
    };
    ReadError { message, help: Some(help), ..read_error(what, error) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_newest_version_counts_whatever_the_order() {
        let source = SecretSource::KeyVault {
            vault: "kv1".to_owned(),
            secret: "tls".to_owned(),
            version: None,
        };
        let version = |id: &str, created: i64, enabled: bool| {
            json!({"id": format!("https://kv1.vault.azure.net/secrets/tls/{id}"),
                "attributes": {"created": created, "enabled": enabled}})
        };
        let mut all = vec![version("b", 3, true), version("c", 1, true), version("a", 2, false)];
        assert_eq!(newest(&all, &source).unwrap(), "b");
        all.push(version("d", 4, false));
        assert!(newest(&all, &source).unwrap_err().to_string().contains("disabled"));
        assert!(newest(&[], &source).unwrap_err().to_string().contains("no such secret"));
        let odd = json!({"id": "https://kv1.vault.azure.net/secrets/tls/a?b", "attributes": {}});
        assert!(newest(&[odd], &source).is_err());
    }
}
