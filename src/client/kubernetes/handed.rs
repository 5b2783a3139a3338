//! The kubeconfig that Azure hands out for the user of an AKS cluster (Azure REST: managed clusters,
//! list cluster user credentials), which `az aks get-credentials` writes into a file. Here it stays
//! in memory.
//!
//! A server wrote it, so it is held to what AKS writes: it names no file of this machine, no
//! program but kubelogin, and nothing that would send a sign-in elsewhere.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::config::{AuthInfo, Config, ExecConfig, KubeConfigOptions, Kubeconfig};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::OnceCell;

use super::client::Connection;
use super::connect::Configured;
use super::credentials::Credentials;
use super::error::ours;
use crate::client::arm;
use crate::client::error::ApiError;
use crate::client::net::Line;
use crate::model::{ArmId, Trust, Untrusted};

/// Clusters with Microsoft Entra sign in through kubelogin; the other format is of a provider that
/// Kubernetes 1.26 took out.
const ACTION: &str = "listClusterUserCredential?format=exec";

/// Flags of `kubelogin get-token` that AKS writes, each with a value.
const FLAGS: [&str; 5] = ["--environment", "--server-id", "--client-id", "--tenant-id", "--login"];

/// The application that all AKS clusters with Microsoft Entra have in common (AKS docs: kubelogin).
/// A token for anybody else would be led to whatever `server` the same answer names.
const ENTRA_SERVER: &str = "6dae42f8-4368-4678-94ff-3960e28e3630";

/// Whom to ask for the kubeconfig of a cluster. It is asked for once, with the first request.
pub(super) struct Handed {
    pub(super) arm: arm::ArmReader,
    pub(super) cluster: ArmId,
    pub(super) api_version: &'static str,
    pub(super) answer: OnceCell<Result<Config, ApiError>>,
}

impl Handed {
    pub(super) async fn connect(&self, sockets: usize) -> Result<Connection, ApiError> {
        let config = self.answer.get_or_init(|| self.ask()).await.clone()?;
        if let Some(router) = self.arm.in_process() {
            let credentials = Credentials::of(&config.auth_info)?;
            let base = config.cluster_url.to_string().trim_end_matches('/').to_owned();
            return Ok(Connection { line: Line::new(router, sockets), base, credentials });
        }
        Configured { config, proxy: None }.connect(sockets).await
    }

    async fn ask(&self) -> Result<Config, ApiError> {
        let answer = self.arm.call(self.cluster.as_str(), ACTION, self.api_version).await;
        // That Azure has no such cluster says nothing about what is in it.
        let mut answer = answer.map_err(ApiError::of_the_way)?;
        let refuse = |what: &str| {
            let name = self.cluster.name();
            ours("Kubeconfig", format!("the kubeconfig that Azure handed out for {name} {what}"))
        };
        let text = match answer["kubeconfigs"][0]["value"].take() {
            serde_json::Value::String(text) => SecretString::from(text),
            _ => return Err(refuse("is not there")),
        };
        let text = STANDARD.decode(text.expose_secret()).ok();
        let text = text.and_then(|bytes| String::from_utf8(bytes).ok()).map(SecretString::from);
        // What a parser says of it may quote it.
        let file = text.and_then(|it| Kubeconfig::from_yaml(it.expose_secret()).ok());
        let file = file.ok_or_else(|| refuse("cannot be read"))?;
        if let Some(what) = refused(&file) {
            return Err(refuse(&format!("has {what}, which AKS never writes; it was not used")));
        }
        let read = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await;
        read.map_err(|_| refuse("names no cluster and user"))
    }
}

/// What stands in a kubeconfig that no server may decide.
fn refused(file: &Kubeconfig) -> Option<String> {
    let key = |name: &'static str, there: bool| there.then(|| format!("`{name}`"));
    let clusters = file.clusters.iter().filter_map(|named_cluster| named_cluster.cluster.as_ref());
    let of_cluster = clusters.filter_map(|cluster| {
        let server = cluster.server.as_deref().unwrap_or_default();
        let plain = matches!(Trust::default().origin(server), Err(Untrusted::NotHttps(_)));
        key("certificate-authority", cluster.certificate_authority.is_some())
            .or_else(|| key("proxy-url", cluster.proxy_url.is_some()))
            .or_else(|| {
                key("insecure-skip-tls-verify", cluster.insecure_skip_tls_verify == Some(true))
            })
            .or_else(|| plain.then(|| "a `server` without https".to_owned()))
    });
    let users = file.auth_infos.iter().filter_map(|auth_info| auth_info.auth_info.as_ref());
    let of_user = users.filter_map(|auth_info: &AuthInfo| {
        key("tokenFile", auth_info.token_file.is_some())
            .or_else(|| key("client-certificate", auth_info.client_certificate.is_some()))
            .or_else(|| key("client-key", auth_info.client_key.is_some()))
            .or_else(|| auth_info.exec.as_ref().and_then(foreign))
    });
    of_cluster.chain(of_user).next()
}

/// What a plugin has that is not AKS's call of kubelogin.
fn foreign(exec: &ExecConfig) -> Option<String> {
    let command = exec.command.as_deref().unwrap_or_default();
    if command != "kubelogin" {
        return Some(format!("the exec plugin `{command}`"));
    }
    if exec.env.as_ref().is_some_and(|env| !env.is_empty()) {
        return Some("an environment for kubelogin".to_owned());
    }
    let mut args = exec.args.iter().flatten().map(String::as_str);
    if args.next() != Some("get-token") {
        return Some("another command of kubelogin than `get-token`".to_owned());
    }
    while let Some(flag) = args.next() {
        let value = args.next().filter(|arg| FLAGS.contains(&flag) && !arg.starts_with('-'));
        let Some(value) = value else { return Some(format!("`{flag}` for kubelogin")) };
        if flag == "--server-id" && value != ENTRA_SERVER {
            return Some(format!("a sign-in to `{value}`"));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const AKS: &str = "
clusters:
- name: aks
  cluster: {server: 'https://aks-0a1b2c3d.hcp.westeurope.azmk8s.io:443', certificate-authority-data: YQ==}
users:
- name: clusterUser_ml-rg_aks
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1beta1
      command: kubelogin
      args: [get-token, --environment, AzurePublicCloud, --server-id, 6dae42f8-4368-4678-94ff-3960e28e3630, --client-id, c, --tenant-id, t, --login, devicecode]
      env: null
      provideClusterInfo: false
";

    #[test]
    fn a_server_decides_nothing_that_is_of_this_machine() {
        let judged = |from: &str, to: &str| {
            assert!(AKS.contains(from), "{from}");
            refused(&Kubeconfig::from_yaml(&AKS.replacen(from, to, 1)).unwrap())
        };
        assert_eq!(judged("YQ==", "Yg=="), None);
        let user = "user:\n    exec:";
        for (from, to, said) in [
            (
                "certificate-authority-data: YQ==",
                "certificate-authority: /etc/x",
                "certificate-authority",
            ),
            ("certificate-authority-data: YQ==", "proxy-url: 'http://x'", "proxy-url"),
            ("certificate-authority-data: YQ==", "insecure-skip-tls-verify: true", "insecure"),
            ("https://", "http://", "without https"),
            (user, "user:\n    tokenFile: /etc/shadow\n    exec:", "tokenFile"),
            (user, "user:\n    client-certificate: /etc/x\n    exec:", "client-certificate"),
            (user, "user:\n    client-key: /etc/x\n    exec:", "client-key"),
            ("command: kubelogin", "command: sh", "`sh`"),
            ("command: kubelogin", "command: ./kubelogin", "./kubelogin"),
            ("env: null", "env: [{name: PATH, value: /tmp}]", "environment"),
            ("[get-token", "[convert-kubeconfig", "get-token"),
            (
                "--environment, AzurePublicCloud",
                "--authority-host, 'https://x'",
                "--authority-host",
            ),
            ("--login, devicecode", "--login", "--login"),
            (
                "6dae42f8-4368-4678-94ff-3960e28e3630",
                "'https://management.azure.com'",
                "a sign-in to `https://management",
            ),
        ] {
            let found = judged(from, to).unwrap_or_default();
            assert!(found.contains(said), "{to}: {found}");
        }
    }
}
