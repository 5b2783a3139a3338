//! Chooses how to sign in: what `--auth` says, or what the environment has.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use azure_core::credentials::{Secret, TokenCredential};
use azure_identity::{
    AzureCliCredential, AzureCliCredentialOptions, ClientAssertionCredential,
    ClientAssertionCredentialOptions, ClientSecretCredential, ClientSecretCredentialOptions,
    ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId,
    WorkloadIdentityCredential, WorkloadIdentityCredentialOptions,
};

use super::assertion::Assertion;
use super::certificate::Certificate;
use super::token::Factory;
use super::{Cloud, TokenSource, bridge};
use crate::client::net::{Line, Transport};

/// How to sign in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    /// The first of the others, in the order secret, workload, assertion, managed, cli, that has
    /// what it needs.
    #[default]
    Auto,
    /// The signed-in Azure CLI.
    Cli,
    /// A federated token in a file, as Kubernetes' workload identity leaves it.
    Workload,
    /// The managed identity of the machine.
    Managed,
    /// A client id with a secret, or with a certificate.
    Secret,
    /// A client id with a token of GitHub Actions, Azure Pipelines or `ARM_OIDC_TOKEN`.
    Assertion,
}

/// A way to sign in that did not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// The way, as `--auth` names it.
    pub auth: &'static str,
    /// What it lacks.
    pub missing: String,
}

/// No way to sign in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct AuthError {
    /// What was tried, in order.
    pub tried: Vec<Tried>,
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no way to sign in to Azure fits; tried")?;
        for (index, tried) in self.tried.iter().enumerate() {
            let mark = if index == 0 { ' ' } else { ';' };
            write!(
                f,
                "{mark}{} {}: {}",
                if index == 0 { "" } else { " " },
                tried.auth,
                tried.missing
            )?;
        }
        f.write_str("; run `az login`, or set the variables of one of these")
    }
}

type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What every way needs.
struct SignInContext<'a> {
    env: Env<'a>,
    tenant: Option<&'a str>,
    cloud: &'a Cloud,
    transport: &'a Transport,
    /// The way to the sign-in service, the same for every token.
    line: Arc<Line>,
}

impl TokenSource {
    /// Chooses how to sign in. The second value is one line for the user: which way, and why.
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// When nothing fits; the error lists what was tried and what each way lacks.
    pub fn choose(
        auth: Auth,
        env: &dyn Fn(&str) -> Option<String>,
        tenant: Option<&str>,
        cloud: &Cloud,
        transport: &Transport,
    ) -> Result<(Self, String), AuthError> {
        let line = bridge::line(transport);
        let here = SignInContext { env, tenant, cloud, transport, line };
        let ways: &[Auth] = match auth {
            Auth::Auto => {
                &[Auth::Secret, Auth::Workload, Auth::Assertion, Auth::Managed, Auth::Cli]
            }
            _ => &[auth],
        };
        let mut tried = Vec::new();
        for way in ways {
            let (name, result) = match way {
                Auth::Auto => continue,
                Auth::Secret => ("secret", here.secret()),
                Auth::Workload => ("workload", here.workload()),
                Auth::Assertion => ("assertion", here.assertion()),
                Auth::Managed => ("managed", here.managed(auth == Auth::Managed)),
                Auth::Cli => ("cli", here.cli()),
            };
            match result {
                Ok((make, why)) => {
                    let (mut ways, mut why) = (vec![make], format!("signing in with {why}"));
                    // Cloud Shell and Azure Arc servers set the variables of an identity that may
                    // not answer, where `az` is signed in.
                    let next = (auth == Auth::Auto && *way == Auth::Managed).then(|| here.cli());
                    if let Some(Ok((make, other))) = next {
                        ways.push(make);
                        why = format!("{why}; if it gives no token, with {other}");
                    }
                    return Ok((Self::made(&cloud.scope(), &why, ways), why));
                }
                Err(missing) => tried.push(Tried { auth: name, missing }),
            }
        }
        Err(AuthError { tried })
    }
}

type Way = Result<(Box<Factory>, String), String>;

impl SignInContext<'_> {
    /// The first of these variables that is set, with its name.
    fn find(&self, names: &[&'static str]) -> Result<(String, &'static str), String> {
        let found = names.iter().find_map(|name| {
            let value = (self.env)(name).filter(|text| !text.trim().is_empty())?;
            Some((value, *name))
        });
        found.ok_or_else(|| format!("{} not set", names.join(" or ")))
    }

    fn client(&self) -> Result<(String, &'static str), String> {
        self.find(&["AZURE_CLIENT_ID", "ARM_CLIENT_ID", "AZURESUBSCRIPTION_CLIENT_ID"])
    }

    fn tenant(&self) -> Result<String, String> {
        match self.tenant {
            Some(tenant) => Ok(tenant.to_owned()),
            None => self
                .find(&["AZURE_TENANT_ID", "ARM_TENANT_ID", "AZURESUBSCRIPTION_TENANT_ID"])
                .map(|(value, _)| value)
                .map_err(|missing| format!("{missing}, nor azure.tenant in the manifest")),
        }
    }

    fn source<C, F>(&self, make: F) -> Box<Factory>
    where
        C: TokenCredential + 'static,
        F: Fn() -> azure_core::Result<Arc<C>> + Send + Sync + 'static,
    {
        Box::new(move || make().map(|it| it as Arc<dyn TokenCredential>))
    }

    fn secret(&self) -> Way {
        let secret = self.find(&["AZURE_CLIENT_SECRET", "ARM_CLIENT_SECRET"]);
        let file = self.find(&["AZURE_CLIENT_CERTIFICATE_PATH", "ARM_CLIENT_CERTIFICATE_PATH"]);
        let (secret, name) = match (secret, file) {
            (Err(_), Ok((file, name))) => return self.certificate(&file, name),
            (secret, _) => secret?,
        };
        let ((client, client_name), tenant) = (self.client()?, self.tenant()?);
        let (cloud, line) = (self.cloud.clone(), Arc::clone(&self.line));
        let why = format!("a client secret ({client_name}, {name}, tenant {tenant})");
        let secret = Secret::new(secret);
        let source = self.source(move || {
            let client_options = bridge::options(&cloud, &line);
            let options = Some(ClientSecretCredentialOptions { client_options });
            ClientSecretCredential::new(&tenant, client.clone(), secret.clone(), options)
        });
        Ok((source, why))
    }

    fn workload(&self) -> Way {
        let (file, name) =
            self.find(&["AZURE_FEDERATED_TOKEN_FILE", "ARM_OIDC_TOKEN_FILE_PATH"])?;
        let ((client, client_name), tenant) = (self.client()?, self.tenant()?);
        let (cloud, line) = (self.cloud.clone(), Arc::clone(&self.line));
        let why = format!("workload identity ({client_name}, {name}, tenant {tenant})");
        let source = self.source(move || {
            let client_options = bridge::options(&cloud, &line);
            WorkloadIdentityCredential::new(Some(WorkloadIdentityCredentialOptions {
                credential_options: ClientAssertionCredentialOptions { client_options },
                client_id: Some(client.clone()),
                tenant_id: Some(tenant.clone()),
                token_file_path: Some(PathBuf::from(&file)),
            }))
        });
        Ok((source, why))
    }

    fn certificate(&self, file: &str, name: &str) -> Way {
        let ((client, client_name), tenant) = (self.client()?, self.tenant()?);
        let host = self.cloud.authority.as_str().trim_end_matches('/');
        let audience = format!("{host}/{tenant}/oauth2/v2.0/token");
        let why = format!("a certificate ({client_name}, {name}, tenant {tenant})");
        let password =
            self.find(&["AZURE_CLIENT_CERTIFICATE_PASSWORD", "ARM_CLIENT_CERTIFICATE_PASSWORD"]);
        let password = password.ok().map(|(value, _)| value.into());
        let client_id = client.clone();
        let certificate = Certificate { file: file.into(), password, client: client_id, audience };
        let assertion = Assertion::certificate(certificate, self.transport);
        Ok((self.asserted(assertion, client, tenant), why))
    }

    fn assertion(&self) -> Way {
        let (assertion, from) = Assertion::find(self.env, self.transport)?;
        let ((client, client_name), tenant) = (self.client()?, self.tenant()?);
        let why = format!("a client assertion of {from} ({client_name}, tenant {tenant})");
        Ok((self.asserted(assertion, client, tenant), why))
    }

    fn asserted(&self, assertion: Assertion, client: String, tenant: String) -> Box<Factory> {
        let (cloud, line) = (self.cloud.clone(), Arc::clone(&self.line));
        self.source(move || {
            let client_options = bridge::options(&cloud, &line);
            let options = Some(ClientAssertionCredentialOptions { client_options });
            let assertion = assertion.clone();
            ClientAssertionCredential::new(tenant.clone(), client.clone(), assertion, options)
        })
    }

    /// Asking a machine without an identity takes long, so only signs of one choose this way.
    fn managed(&self, asked: bool) -> Way {
        let signs = &["IDENTITY_ENDPOINT", "MSI_ENDPOINT"];
        let wanted = self.find(&["ARM_USE_MSI"]).is_ok_and(|(text, _)| text.trim() != "false");
        let sign = match self.find(signs) {
            Ok((_, name)) => name,
            Err(_) if wanted => "ARM_USE_MSI",
            Err(_) if asked => "--auth managed",
            Err(missing) => return Err(format!("{missing}, nor ARM_USE_MSI")),
        };
        let client = self.client().ok().map(|(value, _)| value);
        let who = client.as_ref().map_or("of the machine".to_owned(), Clone::clone);
        let line = Arc::clone(&self.line);
        let source = self.source(move || {
            ManagedIdentityCredential::new(Some(ManagedIdentityCredentialOptions {
                user_assigned_id: client.clone().map(UserAssignedId::ClientId),
                client_options: bridge::machine(&line),
            }))
        });
        Ok((source, format!("managed identity {who} ({sign})")))
    }

    fn cli(&self) -> Way {
        let path = (self.env)("PATH").unwrap_or_default();
        let names = ["az", "az.cmd", "az.exe"];
        let found = std::env::split_paths(&path)
            .any(|folder| names.iter().any(|name| folder.join(name).is_file()));
        if !found {
            return Err("no `az` in PATH".into());
        }
        let tenant_id = self.tenant().ok();
        let why = match &tenant_id {
            Some(tenant) => format!("the Azure CLI (tenant {tenant})"),
            None => "the Azure CLI".to_owned(),
        };
        let source = self.source(move || {
            let tenant_id = tenant_id.clone();
            let options = AzureCliCredentialOptions { tenant_id, ..Default::default() };
            AzureCliCredential::new(Some(options))
        });
        Ok((source, why))
    }
}

#[cfg(test)]
#[path = "sign_in_tests.rs"]
mod tests;
