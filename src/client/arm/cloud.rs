//! Which Azure: the three public clouds, and others through their metadata document
//! (`/metadata/endpoints`, Azure Resource Manager).

use bytes::Bytes;
use http::{Method, Request};

use super::ApiError;
use crate::client::net::{Line, Repeat, Transport};
use crate::model::{Json, Origin, Trust, Untrusted};

/// The addresses of one Azure cloud, without slashes at their ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cloud {
    /// Its name, as `az cloud list` shows it.
    pub name: String,
    /// Where Azure Resource Manager answers.
    pub resource_manager: Origin,
    /// Where tokens come from.
    pub authority: Origin,
    /// Whom the tokens are for; `/.default` makes it a scope.
    pub audience: String,
    /// What its key vaults lie below, where that may have credentials.
    pub vaults: Option<Origin>,
}

const METADATA: &str = "/metadata/endpoints?api-version=2022-09-01";

impl Cloud {
    /// A public cloud by its name: `AzureCloud`, `AzureUSGovernment` or `AzureChinaCloud`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let (resource_manager, authority) = Origin::of_cloud(name)?;
        let audience = resource_manager.to_string();
        let vaults = Origin::vaults_of_cloud(name);
        Some(Self { vaults, ..Self::custom(name, resource_manager, authority, &audience) })
    }

    /// A cloud by its addresses; nothing is known of its vaults.
    #[must_use]
    pub fn custom(name: &str, resource_manager: Origin, authority: Origin, audience: &str) -> Self {
        let audience = audience.trim_end_matches('/').to_owned();
        Self { name: name.into(), resource_manager, authority, audience, vaults: None }
    }

    /// One vault as a cloud of its own: its address, and whom tokens for it are for.
    #[must_use]
    pub(super) fn of_vault(&self, name: &str) -> Option<Self> {
        let vaults = self.vaults.as_ref()?;
        let (address, authority) = (vaults.vault(name)?, self.authority.clone());
        Some(Self::custom(&self.name, address, authority, vaults.as_str()))
    }

    /// The scope to ask tokens for.
    #[must_use]
    pub fn scope(&self) -> String {
        format!("{}/.default", self.audience)
    }

    /// Reads the metadata document of a Resource Manager. Needs no token. What the document names
    /// must be trusted as well: it may be another's.
    ///
    /// # Errors
    /// When there is no answer, it lacks `authentication`, or it names a host that is not trusted.
    pub async fn discover(
        transport: &Transport,
        resource_manager: &Origin,
        trust: &Trust,
    ) -> Result<Self, ApiError> {
        let url = format!("{resource_manager}{METADATA}");
        let refuse =
            |code: &str, message: String| ApiError::about(&Method::GET, &url, code, message);
        let unreadable = |message: String| refuse("CloudMetadata", message);
        let request = Request::get(&url).body(Bytes::new()).map_err(|error| {
            unreadable(format!("{resource_manager} is not an address: {error}"))
        })?;
        let answer = Line::new(transport.clone(), 1)
            .send(request, Repeat::Freely)
            .await
            .map_err(|error| ApiError::from_break(&Method::GET, &url, error))?;
        let (head, body) = answer.into_parts();
        if !head.status.is_success() {
            let status = head.status.as_u16();
            return Err(ApiError::from_answer(&Method::GET, &url, status, &head.headers, &body));
        }
        let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&body);
        let document: Json = serde_json::from_slice(text)
            .map_err(|error| unreadable(format!("the metadata document is not JSON: {error}")))?;
        let need = |pointer: &str| {
            let found = document.pointer(pointer).and_then(Json::as_str);
            found.ok_or_else(|| unreadable(format!("the metadata document lacks {pointer}")))
        };
        let origin = |pointer: &str, address: &str| {
            let refused = |untrusted: Untrusted| {
                let message = format!(
                    "{pointer} of the metadata document: {untrusted}; {}",
                    untrusted.help()
                );
                refuse(untrusted.code(), message)
            };
            trust.origin(address).map_err(refused)
        };
        let name = document["name"].as_str().unwrap_or("Custom");
        let manager = document["resourceManager"].as_str().unwrap_or(resource_manager.as_str());
        let login = need("/authentication/loginEndpoint")?;
        let cloud = Self::custom(
            name,
            origin("/resourceManager", manager)?,
            origin("/authentication/loginEndpoint", login)?,
            need("/authentication/audiences/0")?,
        );
        // Few need it, so that one that is not trusted is refused where it is asked for.
        let suffix = document.pointer("/suffixes/keyVaultDns").and_then(Json::as_str);
        let scheme = resource_manager.as_str().split("://").next().unwrap_or("https");
        let vaults = suffix.map(|text| format!("{scheme}://{}", text.trim_start_matches('.')));
        Ok(Self { vaults: vaults.and_then(|vault| trust.origin(&vault).ok()), ..cloud })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Json as Body, Router, routing::get};
    use serde_json::json;

    #[tokio::test]
    async fn a_cloud_is_discovered_from_its_metadata() {
        let document = json!({
            "name": "Edge", "resourceManager": "https://arm.edge.test/",
            "authentication": {"loginEndpoint": "https://login.edge.test/", "audiences": ["https://arm.edge.test/"]},
        });
        let router = Router::new().route("/metadata/endpoints", get(|| async { Body(document) }));
        let transport = Transport::InProcess(router);
        let trust: Trust = ["arm.edge.test".parse().unwrap()].into_iter().collect();
        let arm = trust.origin("https://arm.edge.test/").unwrap();
        let error = Cloud::discover(&transport, &arm, &trust).await.unwrap_err();
        assert!(error.has_code(&["untrusted-cloud"]), "{error}");
        assert!(error.to_string().contains("--trust-cloud login.edge.test"), "{error}");
        let hosts = ["arm.edge.test", "login.edge.test"];
        let trust: Trust = hosts.iter().map(|host| host.parse().unwrap()).collect();
        let cloud = Cloud::discover(&transport, &arm, &trust).await.unwrap();
        let login = trust.origin("https://login.edge.test").unwrap();
        assert_eq!(cloud, Cloud::custom("Edge", arm.clone(), login, arm.as_str()));
        assert_eq!(cloud.scope(), "https://arm.edge.test/.default");
    }

    #[tokio::test]
    async fn a_metadata_document_that_lacks_something_says_what() {
        let router = Router::new().route("/metadata/endpoints", get(|| async { "{}" }));
        let (trust, transport) = (Trust::default(), Transport::InProcess(router));
        let local = trust.origin("http://localhost").unwrap();
        let error = Cloud::discover(&transport, &local, &trust).await.unwrap_err();
        assert!(error.to_string().contains("/authentication/loginEndpoint"));
    }
}
