//! Tokens that a CI system gives to a job, to be exchanged for one of Azure (workload identity
//! federation): GitHub Actions, Azure Pipelines, or a ready one in `ARM_OIDC_TOKEN`.

use std::fmt;

use async_trait::async_trait;
use azure_core::error::ErrorKind;
use azure_core::http::ClientMethodOptions;
use azure_identity::ClientAssertion;
use bytes::Bytes;
use http::Request;
use http::header::{ACCEPT, AUTHORIZATION};
use secrecy::{ExposeSecret as _, SecretString};

use super::certificate::Certificate;
use crate::client::net::Transport;
use crate::model::Json;

const AUDIENCE: &str = "api%3A%2F%2FAzureADTokenExchange";

/// Where the assertion comes from.
#[derive(Clone)]
pub(super) struct Assertion {
    transport: Transport,
    kind: AssertionKind,
}

#[derive(Clone)]
enum AssertionKind {
    Ready(SecretString),
    GitHub { url: String, token: SecretString },
    Pipelines { url: String, token: SecretString },
    Certificate(Certificate),
}

impl fmt::Debug for Assertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Assertion(…)")
    }
}

impl Assertion {
    /// Signed with the key of a certificate; nothing is asked for.
    pub(super) fn certificate(certificate: Certificate, transport: &Transport) -> Self {
        Self { transport: transport.clone(), kind: AssertionKind::Certificate(certificate) }
    }

    /// Finds the CI system in the environment; the second value names it. The error says which
    /// variables are missing.
    pub(super) fn find(
        env: &dyn Fn(&str) -> Option<String>,
        transport: &Transport,
    ) -> Result<(Self, &'static str), String> {
        let first = |names: &[&str]| {
            names.iter().find_map(|name| env(name).filter(|value| !value.trim().is_empty()))
        };
        let transport = transport.clone();
        if let Some(token) = first(&["ARM_OIDC_TOKEN"]) {
            return Ok((
                Self { transport, kind: AssertionKind::Ready(token.into()) },
                "ARM_OIDC_TOKEN",
            ));
        }
        if let (Some(url), Some(token)) = (
            first(&["SYSTEM_OIDCREQUESTURI"]),
            first(&["SYSTEM_ACCESSTOKEN", "ARM_OIDC_REQUEST_TOKEN"]),
        ) {
            let connection = first(&[
                "AZURESUBSCRIPTION_SERVICE_CONNECTION_ID",
                "ARM_ADO_PIPELINE_SERVICE_CONNECTION_ID",
                "ARM_OIDC_AZURE_SERVICE_CONNECTION_ID",
            ])
            .ok_or("in Azure Pipelines, AZURESUBSCRIPTION_SERVICE_CONNECTION_ID not set")?;
            let url = format!("{url}?api-version=7.1&serviceConnectionId={connection}");
            let kind = AssertionKind::Pipelines { url, token: token.into() };
            return Ok((Self { transport, kind }, "Azure Pipelines"));
        }
        let url = first(&["ACTIONS_ID_TOKEN_REQUEST_URL", "ARM_OIDC_REQUEST_URL"]);
        let token = first(&["ACTIONS_ID_TOKEN_REQUEST_TOKEN", "ARM_OIDC_REQUEST_TOKEN"]);
        if let (Some(url), Some(token)) = (url, token) {
            let mark = if url.contains('?') { '&' } else { '?' };
            let url = format!("{url}{mark}audience={AUDIENCE}");
            return Ok((
                Self { transport, kind: AssertionKind::GitHub { url, token: token.into() } },
                "GitHub Actions",
            ));
        }
        if env("GITHUB_ACTIONS").is_some() {
            return Err(
                "the job may not ask for a token: give it `permissions: id-token: write`".into()
            );
        }
        Err("none of ARM_OIDC_TOKEN, ACTIONS_ID_TOKEN_REQUEST_URL with its TOKEN, \
             SYSTEM_OIDCREQUESTURI with SYSTEM_ACCESSTOKEN set"
            .into())
    }

    async fn fetch(&self) -> Result<String, String> {
        let (builder, token, field) = match &self.kind {
            AssertionKind::Ready(token) => return Ok(token.expose_secret().to_owned()),
            AssertionKind::Certificate(certificate) => return certificate.assertion(),
            AssertionKind::GitHub { url, token } => (Request::get(url), token, "value"),
            AssertionKind::Pipelines { url, token } => {
                let post = Request::post(url).header("X-TFS-FedAuthRedirect", "Suppress");
                (post, token, "oidcToken")
            }
        };
        let request = builder
            .header(AUTHORIZATION, format!("Bearer {}", token.expose_secret()))
            .header(ACCEPT, "application/json")
            .body(Bytes::new())
            .map_err(|_| "the address for tokens of the CI system is not valid".to_owned())?;
        let answer = self.transport.send(request).await;
        let answer = answer.map_err(|it| format!("the CI system gave no token: {it}"))?;
        if !answer.status().is_success() {
            return Err(format!("the CI system gave no token: HTTP {}", answer.status()));
        }
        let json: Json = serde_json::from_slice(answer.body())
            .map_err(|_| "the CI system's answer is not JSON".to_owned())?;
        let found = json[field].as_str().map(str::to_owned);
        found.ok_or_else(|| format!("the CI system's answer has no `{field}`"))
    }
}

#[async_trait]
impl ClientAssertion for Assertion {
    async fn secret(&self, _: Option<ClientMethodOptions<'_>>) -> azure_core::Result<String> {
        self.fetch()
            .await
            .map_err(|message| azure_core::Error::with_message(ErrorKind::Credential, message))
    }
}
