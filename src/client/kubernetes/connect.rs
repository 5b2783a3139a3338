//! Finds the cluster and the credentials by the rules of kubectl: the file that is given, the
//! list in `KUBECONFIG`, `~/.kube/config`, and inside a pod its service account.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use rustls::pki_types::CertificateDer;
use tokio::sync::OnceCell;

use super::KubeReader;
use super::client::{Connection, KubeEndpoint};
use super::credentials::Credentials;
use super::error::{failed, ours};
use super::handed::Handed;
use crate::client::arm;
use crate::client::error::ApiError;
use crate::client::net::tls::{self, Authorities};
use crate::client::net::{
    LARGEST_FILE, Line, Network, NetworkOptions, Proxies, Transport, chain, redact,
};
use crate::model::ArmId;
use crate::source;

/// Where a kubeconfig comes from.
#[derive(Clone, Debug, Default)]
pub enum KubeconfigFrom {
    /// `KUBECONFIG`, which may list several, then the home folder, then the service account of a pod.
    #[default]
    Usual,
    /// This file.
    File(PathBuf),
}

/// Which cluster.
#[derive(Clone, Debug, Default)]
pub struct ConnectOptions {
    /// Which kubeconfig.
    pub kubeconfig: KubeconfigFrom,
    /// How to get a kubeconfig for this cluster, for the error when there is none.
    pub obtain: Option<String>,
    /// A context of it; `None` is its current one.
    pub context: Option<String>,
}

/// How long the server may stay silent.
const SILENCE: Duration = Duration::from_secs(60);

/// How long a socket is kept that nobody uses: a fleet of thousands has as many clusters.
const IDLE: Duration = Duration::from_secs(5);

/// A cluster as a kubeconfig describes it.
pub(super) struct Configured {
    pub(super) config: Config,
    pub(super) proxy: Option<String>,
}

impl KubeReader {
    /// Reads the kubeconfig. Nothing is sent and no exec plugin runs before the first request.
    /// Proxies follow the kubeconfig's `proxy-url`, then `HTTPS_PROXY` and `NO_PROXY`.
    ///
    /// # Errors
    /// When no kubeconfig or no such context is found.
    pub async fn connect(options: &ConnectOptions) -> Result<Self, ApiError> {
        let (config, proxy) = configuration(options).await?;
        let configured = Configured { config, proxy };
        Ok(Self::new(KubeEndpoint::Configured(Box::new(configured)), None))
    }

    /// A reader of an AKS cluster with the kubeconfig that Azure hands out for its user. Nothing is
    /// sent before the first request. `api_version` is that of managed clusters.
    #[must_use]
    pub fn handed_out(arm: &arm::ArmReader, cluster: &ArmId, api_version: &'static str) -> Self {
        let (arm, cluster) = (arm.clone(), cluster.clone());
        let handed = Handed { arm, cluster, api_version, answer: OnceCell::new() };
        Self::new(KubeEndpoint::Handed(Box::new(handed)), None)
    }
}

impl Configured {
    /// Signs in as far as a connection needs it. HTTP/2 where the server has it, so that one
    /// socket carries all reads.
    pub(super) async fn connect(&self, sockets: usize) -> Result<Connection, ApiError> {
        let config = &self.config;
        let server = config.cluster_url.to_string();
        let refuse =
            |message: String| ours("Credentials", format!("no client for {server}: {message}"));
        let credentials = Credentials::of(&config.auth_info)?;
        let authorities = match &config.root_cert {
            _ if config.accept_invalid_certs => Authorities::Anybody,
            Some(given) => {
                Authorities::Only(given.iter().cloned().map(CertificateDer::from).collect())
            }
            None => Authorities::Machine(Vec::new()),
        };
        let identity = credentials.identity(&config.auth_info).await?;
        let tls = tls::configuration(&authorities, identity)
            .map_err(|error| refuse(redact(&error.to_string()).into()))?;
        let timeouts = NetworkOptions { read_timeout: SILENCE, ..NetworkOptions::default() };
        let mut builder = Transport::client(&timeouts, tls)
            .pool_max_idle_per_host(sockets)
            .pool_idle_timeout(IDLE);
        let mut proxies = Proxies::of_environment();
        if let Some(proxy) = &self.proxy {
            proxies = Proxies::one(proxy, "proxy-url of the kubeconfig");
            let proxy = reqwest::Proxy::all(proxy).map_err(|error| {
                refuse(format!("proxy-url of the kubeconfig: {}", chain(&error.without_url())))
            })?;
            builder = builder.proxy(proxy);
        }
        let mut base = server.trim_end_matches('/').to_owned();
        if let (Some(name), Some(host)) = (&config.tls_server_name, config.cluster_url.host()) {
            // The name that is asked for and checked is the kubeconfig's; the way there is the server's.
            base = base.replacen(host, name, 1);
            builder = builder.dns_resolver(FixedResolver(host.trim_matches(['[', ']']).to_owned()));
        }
        let client = builder.build().map_err(|error| refuse(chain(&error.without_url())))?;
        let transport = Transport::Network(Network::new(client, proxies));
        Ok(Connection { line: Line::new(transport, sockets), base, credentials })
    }
}

/// Every name stands for this host.
struct FixedResolver(String);

impl reqwest::dns::Resolve for FixedResolver {
    fn resolve(&self, _: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let host = self.0.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as reqwest::dns::Addrs)
        })
    }
}

/// The cluster of the chosen context, and its own proxy.
async fn configuration(options: &ConnectOptions) -> Result<(Config, Option<String>), ApiError> {
    let obtain = options.obtain.as_ref().map(|text| format!("; {text}")).unwrap_or_default();
    let missing = |error: ApiError| error.with(&obtain);
    let chosen = KubeConfigOptions { context: options.context.clone(), ..Default::default() };
    let file = match &options.kubeconfig {
        KubeconfigFrom::File(path) => Some(read(path).map_err(missing)?),
        KubeconfigFrom::Usual => {
            usual(std::env::var_os("KUBECONFIG"), std::env::home_dir()).map_err(missing)?
        }
    };
    let Some(file) = file else {
        return Config::incluster().map(|config| (config, None)).map_err(|error| {
            let what = "no kubeconfig: set `cluster.kubeconfig`, KUBECONFIG or ~/.kube/config (and \
                        not inside a pod)";
            missing(failed("Kubeconfig", what, &error))
        });
    };
    let names: Vec<String> = file.contexts.iter().map(|context| context.name.clone()).collect();
    let proxy = proxy(&file, options.context.as_ref());
    let read = Config::from_custom_kubeconfig(file, &chosen).await;
    read.map(|config| (config, proxy)).map_err(|error| {
        let hint = match (&options.context, names.is_empty()) {
            (_, true) => "; the kubeconfig has no contexts".to_owned(),
            (Some(context), false) if !names.contains(context) => {
                format!("; `{context}` is not one of its contexts: {}", names.join(", "))
            }
            (None, false) => format!("; choose with `cluster.context` among {}", names.join(", ")),
            (Some(_), false) => String::new(),
        };
        failed("Kubeconfig", "it cannot be used", &error).with(&hint)
    })
}

/// A kubeconfig, with what stands beside it found from here, as kubectl does: files, and programs
/// whose name has a folder.
fn read(path: &Path) -> Result<Kubeconfig, ApiError> {
    let shown = path.display().to_string();
    let unread = |why: &(dyn std::error::Error + 'static)| failed("Kubeconfig", &shown, why);
    let text = source::read_bytes(path, LARGEST_FILE).map_err(|error| unread(&error))?;
    let text = String::from_utf8(text)
        .map_err(|_| ours("Kubeconfig", format!("{shown}: it is not UTF-8 text")))?;
    let mut file = Kubeconfig::from_yaml(&text).map_err(|error| unread(&error))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let beside = |name: &mut Option<String>| {
        if let Some(name) = name {
            *name = folder.join(&*name).to_string_lossy().into_owned();
        }
    };
    for cluster in file.clusters.iter_mut().filter_map(|it| it.cluster.as_mut()) {
        beside(&mut cluster.certificate_authority);
        let data = &mut cluster.certificate_authority_data;
        let Some(name) = cluster.certificate_authority.clone().filter(|_| data.is_none()) else {
            continue;
        };
        match source::read_bytes(Path::new(&name), LARGEST_FILE) {
            Ok(pem) => *data = Some(STANDARD.encode(pem)),
            // Told when this cluster is the chosen one.
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => {}
            Err(why) => {
                let what = format!("cannot read certificate-authority {name}");
                return Err(failed("Kubeconfig", &what, &why));
            }
        }
    }
    for user in file.auth_infos.iter_mut().filter_map(|auth_info| auth_info.auth_info.as_mut()) {
        for name in [&mut user.client_certificate, &mut user.client_key, &mut user.token_file] {
            beside(name);
        }
        let command = user.exec.as_mut().map(|exec_config| &mut exec_config.command);
        if let Some(command) = command.filter(|text| text.iter().any(|text| text.contains('/'))) {
            beside(command);
        }
    }
    Ok(file)
}

/// `proxy-url` of the chosen cluster; kube's own answer would mix in `HTTPS_PROXY`.
fn proxy(file: &Kubeconfig, context: Option<&String>) -> Option<String> {
    let name = context.or(file.current_context.as_ref())?;
    let context = file.contexts.iter().find(|it| it.name == *name)?.context.as_ref()?;
    let cluster = file.clusters.iter().find(|it| it.name == context.cluster)?.cluster.as_ref()?;
    cluster.proxy_url.clone().filter(|proxy_url| !proxy_url.is_empty())
}

/// The files of `KUBECONFIG` merged, those that are missing left out as kubectl does; without the
/// variable the one in the home folder.
fn usual(list: Option<OsString>, home: Option<PathBuf>) -> Result<Option<Kubeconfig>, ApiError> {
    let list = list.filter(|it| !it.is_empty());
    let paths: Vec<PathBuf> = match &list {
        Some(list) => std::env::split_paths(list).collect(),
        None => home.map(|path| path.join(".kube").join("config")).into_iter().collect(),
    };
    let mut merged: Option<Kubeconfig> = None;
    for path in paths.iter().filter(|it| it.is_file()) {
        let next = read(path)?;
        merged = Some(match merged {
            Some(first) => {
                let what = path.display().to_string();
                first.merge(next).map_err(|error| failed("Kubeconfig", &what, &error))?
            }
            None => next,
        });
    }
    match (&merged, list) {
        (None, Some(list)) => {
            let list = list.to_string_lossy();
            Err(ours("Kubeconfig", format!("KUBECONFIG={list} names no file that exists")))
        }
        (_, _) => Ok(merged),
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

    async fn connect(text: &str, context: Option<&str>) -> Result<KubeReader, ApiError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kubeconfig");
        std::fs::write(&path, text).unwrap();
        let context = context.map(str::to_owned);
        let options = ConnectOptions {
            kubeconfig: KubeconfigFrom::File(path),
            context,
            ..Default::default()
        };
        KubeReader::connect(&options).await
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
        let missing = usual(Some("no/such".into()), None).unwrap_err();
        assert!(missing.message.contains("no/such"), "{missing}");
        assert!(usual(None, Some(folder.path().into())).unwrap().is_none());
    }

    #[tokio::test]
    async fn what_a_kubeconfig_names_is_read_within_bounds() {
        let zero = ConnectOptions {
            kubeconfig: KubeconfigFrom::File("/dev/zero".into()),
            ..Default::default()
        };
        let error = KubeReader::connect(&zero).await.unwrap_err().to_string();
        assert!(error.contains("/dev/zero") && error.contains("more than"), "{error}");
        let authority = TWO.replace("server:", "certificate-authority: /dev/zero, server:");
        let error = connect(&authority, None).await.unwrap_err().to_string();
        assert!(error.contains("/dev/zero") && error.contains("more than"), "{error}");
        for file in ["tokenFile: /dev/zero", "client-certificate: /dev/zero"] {
            let reader = connect(&TWO.replace("token: canary", file), None).await.unwrap();
            let object = crate::model::ObjectRef::cluster("v1", "Namespace", "namespaces", "a");
            let error = reader.get(&object).await.unwrap_err().to_string();
            assert!(error.contains("/dev/zero") && error.contains("more than"), "{error}");
        }
    }

    #[test]
    fn what_stands_beside_a_kubeconfig_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        std::fs::write(at("ca.crt"), "ca").unwrap();
        let text = TWO
            .replace("server:", "certificate-authority: ca.crt, server:")
            .replace("token: canary", "tokenFile: t, exec: {command: ./plugin}");
        std::fs::write(at("config"), text).unwrap();
        let file = read(Path::new(&at("config"))).unwrap();
        let user = file.auth_infos[0].auth_info.as_ref().unwrap();
        assert_eq!(user.token_file, Some(at("t")));
        assert_eq!(user.exec.as_ref().unwrap().command, Some(at("./plugin")));
        let cluster = file.clusters[0].cluster.as_ref().unwrap();
        assert_eq!(cluster.certificate_authority_data.as_deref(), Some("Y2E="));
    }

    #[tokio::test]
    async fn an_exec_plugin_that_fails_is_named_without_its_output() {
        let exec = "user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: sh, \
                    interactiveMode: Never, args: ['-c', 'echo canary; echo sorry >&2; exit 3']}}";
        let error = match connect(&TWO.replace("user: {token: canary}", exec), None).await {
            Ok(reader) => reader
                .get(&crate::model::ObjectRef::cluster("v1", "Namespace", "namespaces", "a"))
                .await
                .unwrap_err(),
            Err(error) => error,
        };
        assert_eq!(error.verdict(), crate::client::net::Verdict::Denied);
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("sorry") && !shown.contains("canary"), "{shown}");
    }

    #[test]
    fn that_this_process_may_open_no_more_files_is_found_wherever_it_stands() {
        let os = || std::io::Error::from_raw_os_error(24);
        let [outer, inner] = [std::io::Error::other(os()), std::io::Error::other("open files")];
        for (error, is_of_here) in [(os(), true), (outer, true), (inner, false)] {
            let error = failed("Kubeconfig", "config", &error).with("; ask for one");
            assert_eq!(error.code.as_deref() == Some("TooManyOpenFiles"), is_of_here, "{error}");
            assert_eq!(error.to_string().contains("ask for one"), !is_of_here, "{error}");
        }
    }

    #[tokio::test]
    async fn what_is_wrong_with_a_kubeconfig_is_said() {
        let error = connect(TWO, Some("prod")).await.unwrap_err().to_string();
        assert!(error.contains("`prod` is not one of its contexts: a, b"), "{error}");
        let error = connect("apiVersion: v1\nkind: Config\n", None).await.unwrap_err().to_string();
        assert!(error.contains("has no contexts"), "{error}");
        let missing = ConnectOptions {
            kubeconfig: KubeconfigFrom::File("no/such".into()),
            obtain: Some("ask for one".into()),
            ..Default::default()
        };
        let error = KubeReader::connect(&missing).await.unwrap_err().to_string();
        assert!(error.contains("no/such") && error.contains("; ask for one"), "{error}");
    }
}
