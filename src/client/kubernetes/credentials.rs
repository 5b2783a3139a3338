//! Who we are to an API server: what a kubeconfig says, or what its exec plugin answers
//! (Kubernetes docs: client-go credential plugins). A plugin runs once per run, whoever asks.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use kube::config::{AuthInfo, ExecConfig, ExecInteractiveMode};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;

use super::error::{failed, ours};
use crate::client::error::ApiError;
use crate::client::net::{LARGEST_FILE, redact, tls};
use crate::source;

/// Credentials of one user of a kubeconfig.
pub(super) struct Credentials {
    /// Impersonation, and an `Authorization` that does not change.
    fixed: HeaderMap,
    file: Option<String>,
    exec: Option<Arc<Plugin>>,
}

/// What a plugin answered.
#[derive(Clone)]
pub(super) struct Issued {
    pub(super) token: Option<SecretString>,
    /// Certificate and key, as PEM.
    pub(super) certificate: Option<(String, SecretString)>,
    ends: Option<jiff::Timestamp>,
    serial: u64,
}

impl Credentials {
    pub(super) fn token(token: &str) -> Self {
        let mut fixed = HeaderMap::new();
        fixed.insert(
            AUTHORIZATION,
            secret("Bearer", token).unwrap_or(HeaderValue::from_static("Bearer")),
        );
        Self { fixed, file: None, exec: None }
    }

    /// From the user of a kubeconfig.
    pub(super) fn of(user: &AuthInfo) -> Result<Self, ApiError> {
        let refuse = |message: String| ours("Credentials", message);
        let mut fixed = HeaderMap::new();
        let mut add = |name: &'static str, text: &str| -> Result<(), ApiError> {
            let value = HeaderValue::from_str(text);
            let value = value.map_err(|_| {
                refuse(format!("`{name}` of the kubeconfig cannot stand in a header"))
            })?;
            fixed.append(HeaderName::from_static(name), value);
            Ok(())
        };
        if let Some(who) = &user.impersonate {
            add("impersonate-user", who)?;
        }
        for group in user.impersonate_groups.iter().flatten() {
            add("impersonate-group", group)?;
        }
        if let Some(uid) = &user.impersonate_uid {
            add("impersonate-uid", uid)?;
        }
        let unreadable = || refuse("the kubeconfig's token cannot stand in a header".to_owned());
        let exec = user.exec.as_ref().map(Plugin::of);
        let file = user.token_file.clone();
        if let Some(token) = &user.token {
            fixed.insert(
                AUTHORIZATION,
                secret("Bearer", token.expose_secret()).ok_or_else(unreadable)?,
            );
        } else if let (Some(name), Some(password)) = (&user.username, &user.password) {
            let both = STANDARD.encode(format!("{name}:{}", password.expose_secret()));
            fixed.insert(AUTHORIZATION, secret("Basic", &both).ok_or_else(unreadable)?);
        } else if let (Some(provider), None) = (&user.auth_provider, &exec) {
            return Err(refuse(format!(
                "the kubeconfig's auth provider `{}` was removed from Kubernetes in 1.26; get a kubeconfig with an \
                 exec plugin (az aks get-credentials, kubelogin convert-kubeconfig)",
                provider.name
            )));
        }
        Ok(Self { fixed, file, exec })
    }

    /// The certificate and key that a connection shows, of the plugin or of the user.
    pub(super) async fn identity(&self, user: &AuthInfo) -> Result<Option<Identity>, ApiError> {
        let issued = match &self.exec {
            Some(plugin) => plugin.answer(None).await?.certificate,
            None => None,
        };
        match &issued {
            Some((certificate, key)) => {
                pair(certificate.as_bytes(), key.expose_secret().as_bytes()).map(Some)
            }
            None => of_user(user),
        }
    }

    /// Headers for one request, and the number of the plugin's answer; `refused` is the number of
    /// one that the server did not take.
    pub(super) async fn headers(
        &self,
        refused: Option<u64>,
    ) -> Result<(HeaderMap, Option<u64>), ApiError> {
        let mut headers = self.fixed.clone();
        if headers.contains_key(AUTHORIZATION) {
            return Ok((headers, None));
        }
        if let Some(path) = &self.file {
            let token = source::read_bytes(Path::new(path), LARGEST_FILE).map_err(|error| {
                failed("Credentials", &format!("cannot read the token file {path}"), &error)
            })?;
            let token = String::from_utf8_lossy(&token);
            headers.extend(secret("Bearer", token.trim()).map(|header| (AUTHORIZATION, header)));
            return Ok((headers, None));
        }
        let Some(plugin) = &self.exec else { return Ok((headers, None)) };
        let issued = plugin.answer(refused).await?;
        let token = issued.token.as_ref().and_then(|it| secret("Bearer", it.expose_secret()));
        let renewable = token.is_some().then_some(issued.serial);
        headers.extend(token.map(|header| (AUTHORIZATION, header)));
        Ok((headers, renewable))
    }
}

/// Certificates and key that a client shows.
pub(super) type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// The client certificate of a kubeconfig's user, each half as base64 or as the name of a file.
fn of_user(user: &AuthInfo) -> Result<Option<Identity>, ApiError> {
    let refuse = |message: &str| ours("Credentials", message);
    let read = |data: Option<&str>, file: Option<&String>, what: &str| match (data, file) {
        (Some(data), _) => STANDARD
            .decode(data.trim())
            .map(Some)
            .map_err(|_| refuse(&format!("{what}-data of the kubeconfig is not base64"))),
        (None, Some(file)) => {
            let read = source::read_bytes(Path::new(file), LARGEST_FILE).map(Some);
            let what = format!("cannot read {what} {file} of the kubeconfig");
            read.map_err(|error| failed("Credentials", &what, &error))
        }
        (None, None) => Ok(None),
    };
    let certificate = user.client_certificate_data.as_deref();
    let certificate = read(certificate, user.client_certificate.as_ref(), "client-certificate")?;
    let key = user.client_key_data.as_ref().map(|secret_box| secret_box.expose_secret());
    let key = read(key, user.client_key.as_ref(), "client-key")?;
    match (certificate, key) {
        (Some(certificate), Some(key)) => pair(&certificate, &key).map(Some),
        (None, None) => Ok(None),
        (Some(_), None) => Err(refuse("the kubeconfig has a client-certificate but no client-key")),
        (None, Some(_)) => Err(refuse("the kubeconfig has a client-key but no client-certificate")),
    }
}

fn pair(certificate: &[u8], key: &[u8]) -> Result<Identity, ApiError> {
    let refuse = |message: &str| ours("Credentials", message);
    let chain =
        tls::certificates(certificate).map_err(|_| refuse("the client-certificate is not PEM"))?;
    if chain.is_empty() {
        return Err(refuse("the client-certificate holds no certificate"));
    }
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|_| refuse("the client-key holds no PEM key"))?;
    Ok((chain, key))
}

fn secret(scheme: &str, text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("{scheme} {text}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// An exec plugin and its last answer.
struct Plugin {
    config: ExecConfig,
    answer: tokio::sync::Mutex<Option<Issued>>,
}

/// Plugins by what they run: clusters of a fleet that name the same command share its answer.
static PLUGINS: LazyLock<Mutex<BTreeMap<String, Arc<Plugin>>>> = LazyLock::new(Mutex::default);

#[derive(Deserialize)]
struct ExecAnswer {
    status: Option<ExecStatus>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExecStatus {
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
    expiration_timestamp: Option<String>,
}

impl Plugin {
    fn of(config: &ExecConfig) -> Arc<Self> {
        let cluster = config.cluster.as_ref().and_then(|it| it.server.as_deref());
        let cluster = cluster.filter(|_| config.provide_cluster_info).unwrap_or_default();
        let key = format!("{:?} {:?} {:?} {cluster}", config.command, config.args, config.env);
        let mut all = PLUGINS.lock().unwrap_or_else(PoisonError::into_inner);
        let new =
            || Arc::new(Self { config: config.clone(), answer: tokio::sync::Mutex::default() });
        Arc::clone(all.entry(key).or_insert_with(new))
    }

    /// The answer that still counts, else a new one. Whoever comes meanwhile waits for it.
    async fn answer(self: &Arc<Self>, refused: Option<u64>) -> Result<Issued, ApiError> {
        const MARGIN: jiff::SignedDuration = jiff::SignedDuration::from_secs(60);
        let mut answer = self.answer.lock().await;
        let soon = jiff::Timestamp::now() + MARGIN;
        let counts =
            |it: &&Issued| refused != Some(it.serial) && it.ends.is_none_or(|ends| ends > soon);
        if let Some(issued) = answer.as_ref().filter(counts) {
            return Ok(issued.clone());
        }
        let serial = answer.as_ref().map_or(0, |issued| issued.serial + 1);
        let plugin = Arc::clone(self);
        let run = tokio::task::spawn_blocking(move || plugin.run());
        let status = run.await.map_err(|error| ours("Credentials", error.to_string()))??;
        let ends = status.expiration_timestamp.as_deref().and_then(|text| text.parse().ok());
        let certificate =
            status.client_certificate_data.zip(status.client_key_data.map(Into::into));
        let issued = Issued { token: status.token.map(Into::into), certificate, ends, serial };
        Ok(answer.insert(issued).clone())
    }

    fn run(&self) -> Result<ExecStatus, ApiError> {
        let config = &self.config;
        let refuse = |message: String| ours("Credentials", message);
        let name = config.command.as_deref().unwrap_or_default();
        let mut command = Command::new(name);
        command.args(config.args.iter().flatten());
        for pair in config.env.iter().flatten() {
            if let (Some(name), Some(value)) = (pair.get("name"), pair.get("value")) {
                command.env(name, value);
            }
        }
        // Somebody must be there to answer what a plugin asks.
        let interactive = config.interactive_mode != Some(ExecInteractiveMode::Never)
            && std::io::stdin().is_terminal();
        if interactive {
            command.stdin(Stdio::inherit()).stderr(Stdio::inherit());
        } else {
            command.stdin(Stdio::null());
        }
        let mut spec = json!({"interactive": interactive});
        if let Some(cluster) = config.cluster.as_ref().filter(|_| config.provide_cluster_info) {
            spec["cluster"] = serde_json::to_value(cluster).unwrap_or_default();
        }
        let version = config.api_version.as_deref().unwrap_or("client.authentication.k8s.io/v1");
        let info = json!({"apiVersion": version, "kind": "ExecCredential", "spec": spec});
        command.env("KUBERNETES_EXEC_INFO", info.to_string());
        tracing::debug!(plugin = name, "running the kubeconfig's exec plugin");
        let out = command.output().map_err(|error| {
            if error.kind() != std::io::ErrorKind::NotFound {
                let what = format!("the kubeconfig's exec plugin `{name}` cannot run");
                return failed("Credentials", &what, &error);
            }
            let hint = config.install_hint.as_deref().map(str::trim).filter(|it| !it.is_empty());
            let known = (name == "kubelogin").then_some("`az aks install-cli` installs it");
            let hint = hint.or(known).map(|text| format!(": {text}")).unwrap_or_default();
            refuse(format!(
                "the kubeconfig's exec plugin `{name}` is not installed, or not in PATH{hint}"
            ))
        })?;
        if !out.status.success() {
            // Not its output, arguments or environment: they may hold tokens.
            let said = redact(String::from_utf8_lossy(&out.stderr).trim());
            let status = out.status;
            return Err(refuse(format!(
                "the kubeconfig's exec plugin `{name}` ended with {status}: {said}"
            )));
        }
        let text = String::from_utf8_lossy(&out.stdout);
        let answered: Result<ExecAnswer, _> = serde_yaml::from_str(&text);
        let status = answered.ok().and_then(|it| it.status).filter(|exec_status| {
            exec_status.token.is_some()
                || (exec_status.client_certificate_data.is_some()
                    && exec_status.client_key_data.is_some())
        });
        status.ok_or_else(|| {
            refuse(format!("what the kubeconfig's exec plugin `{name}` wrote is no ExecCredential with a token or a certificate"))
        })
    }
}
