//! Finds the cluster and the credentials by the rules of kubectl: the file that is given, the
//! list in `KUBECONFIG`, `~/.kube/config`, and inside a pod its service account.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use kube::config::{Config, KubeConfigOptions, Kubeconfig};

use super::client::chain;
use super::{ApiError, Reader};
use crate::client::net::redact;

/// Which cluster, and how long to wait for it.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// A kubeconfig; `None` follows `KUBECONFIG`, which may list several, and then the home folder.
    pub kubeconfig: Option<PathBuf>,
    /// A context of it; `None` is its current one.
    pub context: Option<String>,
    /// How long a connection may take to come about.
    pub connect_timeout: Duration,
    /// How long the server may stay silent.
    pub read_timeout: Duration,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            kubeconfig: None,
            context: None,
            connect_timeout: Duration::from_secs(20),
            read_timeout: Duration::from_secs(60),
        }
    }
}

impl Reader {
    /// Reads the kubeconfig and makes a client; exec plugins run with the first request. Proxies
    /// follow the kubeconfig's `proxy-url`, then `HTTPS_PROXY` and `NO_PROXY`.
    ///
    /// # Errors
    /// When no kubeconfig, no such context, or no usable credentials are found.
    pub async fn connect(options: &ConnectOptions) -> Result<Self, ApiError> {
        let mut config = configuration(options).await?;
        // Our own retries see every attempt; two layers would multiply.
        config.default_retry = false;
        config.connect_timeout = Some(options.connect_timeout);
        config.read_timeout = Some(options.read_timeout);
        config.write_timeout = Some(options.read_timeout);
        config.reset_reader_on_write = true;
        let server = config.cluster_url.to_string();
        let client = kube::Client::try_from(config).map_err(|error| {
            ApiError::ours("Credentials", format!("no client for {server}: {}", explain(&error)))
        })?;
        Ok(Self::new(client))
    }
}

async fn configuration(options: &ConnectOptions) -> Result<Config, ApiError> {
    let refuse = |message: String| ApiError::ours("Kubeconfig", message);
    let chosen = KubeConfigOptions { context: options.context.clone(), ..Default::default() };
    let file = match &options.kubeconfig {
        Some(path) => Some(Kubeconfig::read_from(path).map_err(|error| refuse(error.to_string()))?),
        None => usual(std::env::var_os("KUBECONFIG"), std::env::home_dir()).map_err(refuse)?,
    };
    let Some(file) = file else {
        return Config::incluster().map_err(|error| {
            refuse(format!(
                "no kubeconfig: set `cluster.kubeconfig`, KUBECONFIG or ~/.kube/config \
                 (and not inside a pod: {error})"
            ))
        });
    };
    let names: Vec<String> = file.contexts.iter().map(|it| it.name.clone()).collect();
    Config::from_custom_kubeconfig(file, &chosen).await.map_err(|error| {
        let hint = match (&options.context, names.is_empty()) {
            (_, true) => "; the kubeconfig has no contexts".to_owned(),
            (Some(context), false) if !names.contains(context) => {
                format!("; `{context}` is not one of its contexts: {}", names.join(", "))
            }
            (None, false) => format!("; choose with `cluster.context` among {}", names.join(", ")),
            (Some(_), false) => String::new(),
        };
        refuse(format!("{}{hint}", chain(&error)))
    })
}

/// The files of `KUBECONFIG` merged, those that are missing left out as kubectl does; without the
/// variable the one in the home folder.
fn usual(list: Option<OsString>, home: Option<PathBuf>) -> Result<Option<Kubeconfig>, String> {
    let list = list.filter(|it| !it.is_empty());
    let paths: Vec<PathBuf> = match &list {
        Some(list) => std::env::split_paths(list).collect(),
        None => home.map(|it| it.join(".kube").join("config")).into_iter().collect(),
    };
    let mut merged: Option<Kubeconfig> = None;
    for path in paths.iter().filter(|it| it.is_file()) {
        let next = Kubeconfig::read_from(path).map_err(|error| error.to_string())?;
        merged = Some(match merged {
            Some(first) => first.merge(next).map_err(|error| error.to_string())?,
            None => next,
        });
    }
    match (&merged, list) {
        (None, Some(list)) => {
            Err(format!("KUBECONFIG={} names no file that exists", list.to_string_lossy()))
        }
        (_, _) => Ok(merged),
    }
}

/// What failed, without the command line, environment and stdout of an exec plugin: they may hold
/// tokens.
pub(super) fn explain(error: &kube::Error) -> String {
    use kube::client::AuthError;
    match error {
        kube::Error::Auth(AuthError::AuthExecRun { out, .. }) => {
            let said = String::from_utf8_lossy(&out.stderr);
            let said = redact(said.trim());
            format!("the kubeconfig's exec plugin ended with {}: {said}", out.status)
        }
        kube::Error::Auth(AuthError::AuthExecParse(_)) => {
            "what the kubeconfig's exec plugin wrote is no ExecCredential".into()
        }
        other => redact(&chain(other)).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = r"
apiVersion: v1
kind: Config
current-context: a
clusters:
- name: c
  cluster: {server: 'https://127.0.0.1:1'}
users:
- name: u
  user: {token: canary}
contexts:
- name: a
  context: {cluster: c, user: u}
- name: b
  context: {cluster: c, user: nobody}
";

    async fn connect(text: &str, context: Option<&str>) -> Result<Reader, ApiError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kubeconfig");
        std::fs::write(&path, text).unwrap();
        let context = context.map(str::to_owned);
        let options = ConnectOptions { kubeconfig: Some(path), context, ..Default::default() };
        Reader::connect(&options).await
    }

    #[tokio::test]
    async fn both_http_stacks_start_beside_each_other() {
        assert!(connect(TWO, None).await.is_ok());
        assert!(crate::client::net::Transport::network(&Default::default()).is_ok());
    }

    #[test]
    fn kubeconfig_lists_merge_and_missing_files_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("one");
        std::fs::write(&path, TWO).unwrap();
        let list = std::env::join_paths([folder.path().join("none"), path]).unwrap();
        let found = usual(Some(list), None).unwrap().unwrap();
        assert_eq!(found.contexts.len(), 2);
        assert!(usual(Some("no/such".into()), None).unwrap_err().contains("no/such"));
        assert!(usual(None, Some(folder.path().into())).unwrap().is_none());
    }

    #[tokio::test]
    async fn an_exec_plugin_that_fails_is_named_without_its_output() {
        let exec = "user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: sh, \
                    interactiveMode: Never, args: ['-c', 'echo canary; echo sorry >&2; exit 3']}}";
        let error = match connect(&TWO.replace("user: {token: canary}", exec), None).await {
            Ok(reader) => reader.version().await.unwrap_err(),
            Err(error) => error,
        };
        assert_eq!(error.verdict(), crate::client::net::Verdict::Denied);
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("sorry") && !shown.contains("canary"), "{shown}");
    }

    #[tokio::test]
    async fn what_is_wrong_with_a_kubeconfig_is_said() {
        let error = connect(TWO, Some("prod")).await.unwrap_err().to_string();
        assert!(error.contains("`prod` is not one of its contexts: a, b"), "{error}");
        let error = connect("apiVersion: v1\nkind: Config\n", None).await.unwrap_err().to_string();
        assert!(error.contains("has no contexts"), "{error}");
        let missing = ConnectOptions { kubeconfig: Some("no/such".into()), ..Default::default() };
        let error = Reader::connect(&missing).await.unwrap_err().to_string();
        assert!(error.contains("no/such"), "{error}");
    }
}
