//! Which Azure: the three public clouds, and others through their metadata document
//! (`/metadata/endpoints`, Azure Resource Manager).

use bytes::Bytes;
use http::{Method, Request};

use super::ApiError;
use crate::client::net::Transport;
use crate::model::Json;

/// The addresses of one Azure cloud, without slashes at their ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cloud {
    /// Its name, as `az cloud list` shows it.
    pub name: String,
    /// Where Azure Resource Manager answers.
    pub resource_manager: String,
    /// Where tokens come from.
    pub authority: String,
    /// Whom the tokens are for; `/.default` makes it a scope.
    pub audience: String,
}

const METADATA: &str = "/metadata/endpoints?api-version=2022-09-01";

impl Cloud {
    /// A public cloud by its name: `AzureCloud`, `AzureUSGovernment` or `AzureChinaCloud`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let (resource_manager, authority) = match name {
            "AzureCloud" => ("https://management.azure.com", "https://login.microsoftonline.com"),
            "AzureUSGovernment" => {
                ("https://management.usgovcloudapi.net", "https://login.microsoftonline.us")
            }
            "AzureChinaCloud" => {
                ("https://management.chinacloudapi.cn", "https://login.chinacloudapi.cn")
            }
            _ => return None,
        };
        Some(Self::custom(name, resource_manager, authority, resource_manager))
    }

    /// A cloud by its addresses.
    #[must_use]
    pub fn custom(name: &str, resource_manager: &str, authority: &str, audience: &str) -> Self {
        let trim = |it: &str| it.trim_end_matches('/').to_owned();
        Self {
            name: name.into(),
            resource_manager: trim(resource_manager),
            authority: trim(authority),
            audience: trim(audience),
        }
    }

    /// The scope to ask tokens for.
    #[must_use]
    pub fn scope(&self) -> String {
        format!("{}/.default", self.audience)
    }

    /// Reads the metadata document of a Resource Manager. Needs no token.
    ///
    /// # Errors
    /// When there is no answer, or it lacks `resourceManager` or `authentication`.
    pub async fn discover(transport: &Transport, resource_manager: &str) -> Result<Self, ApiError> {
        let root = resource_manager.trim_end_matches('/');
        let url = format!("{root}{METADATA}");
        let refuse =
            |message: String| ApiError::about(&Method::GET, &url, "CloudMetadata", message);
        let request = Request::get(&url)
            .body(Bytes::new())
            .map_err(|error| refuse(format!("{root} is not an address: {error}")))?;
        let answer = transport
            .send(request)
            .await
            .map_err(|error| ApiError::from_break(&Method::GET, &url, error))?;
        let (head, body) = answer.into_parts();
        if !head.status.is_success() {
            let status = head.status.as_u16();
            return Err(ApiError::from_answer(&Method::GET, &url, status, &head.headers, &body));
        }
        let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&body);
        let document: Json = serde_json::from_slice(text)
            .map_err(|error| refuse(format!("the metadata document is not JSON: {error}")))?;
        let need = |pointer: &str| {
            let found = document.pointer(pointer).and_then(Json::as_str);
            found.ok_or_else(|| refuse(format!("the metadata document lacks {pointer}")))
        };
        let name = document["name"].as_str().unwrap_or("Custom");
        Ok(Self::custom(
            name,
            need("/resourceManager").unwrap_or(root),
            need("/authentication/loginEndpoint")?,
            need("/authentication/audiences/0")?,
        ))
    }

    /// Whether a token may be sent to this address.
    #[must_use]
    pub(super) fn trusts(&self, url: &str) -> bool {
        same_service(&self.resource_manager, url)
    }
}

/// Whether the address is of the same service: the same host, or a regional host below it
/// (`westeurope.management.azure.com`), with the same scheme and port.
pub(super) fn same_service(own: &str, other: &str) -> bool {
    let (Ok(own), Ok(other)) = (url::Url::parse(own), url::Url::parse(other)) else { return false };
    let (Some(own_host), Some(host)) = (own.host_str(), other.host_str()) else { return false };
    let regional = host.strip_suffix(own_host).is_some_and(|it| it.ends_with('.'));
    other.scheme() == own.scheme()
        && (host == own_host || regional)
        && other.port_or_known_default() == own.port_or_known_default()
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
        let cloud = Cloud::discover(&transport, "https://arm.edge.test/").await.unwrap();
        let arm = "https://arm.edge.test";
        assert_eq!(cloud, Cloud::custom("Edge", arm, "https://login.edge.test", arm));
        assert_eq!(cloud.scope(), "https://arm.edge.test/.default");
    }

    #[tokio::test]
    async fn a_metadata_document_that_lacks_something_says_what() {
        let router = Router::new().route("/metadata/endpoints", get(|| async { "{}" }));
        let error = Cloud::discover(&Transport::InProcess(router), "https://x").await.unwrap_err();
        assert!(error.to_string().contains("/authentication/loginEndpoint"));
    }

    #[test]
    fn tokens_go_to_resource_manager_and_its_regions_only() {
        let cloud = Cloud::named("AzureCloud").unwrap();
        let trusts = |it: &str| cloud.trusts(it);
        assert!(trusts("https://management.azure.com/x"));
        assert!(trusts("https://westeurope.management.azure.com/x"));
        assert!(!trusts("http://management.azure.com/x"));
        assert!(!trusts("https://evilmanagement.azure.com/x"));
        assert!(!trusts("https://eastus.rp.kubernetesconfiguration.azure.com/x"));
        assert!(Cloud::named("AzureGermanCloud").is_none());
    }
}
