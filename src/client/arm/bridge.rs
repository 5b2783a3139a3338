//! Lets azure_identity send through our transport, so that sign-in has the same proxies,
//! certificate authorities and simulator as everything else.

use std::sync::Arc;

use async_trait::async_trait;
use azure_core::cloud::{CloudConfiguration, CustomConfiguration};
use azure_core::error::ErrorKind;
use azure_core::http::Transport as CoreTransport;
use azure_core::http::headers::Headers;
use azure_core::http::request::Body;
use azure_core::http::{AsyncRawResponse, ClientOptions, HttpClient, Request, StatusCode};
use bytes::Bytes;

use super::Cloud;
use crate::client::net::{Line, Repeat, Transport, Why, redact};
use crate::model::{Json, Origin};

/// Few are asked for at a time, each once.
const SOCKETS: usize = 4;

#[derive(Debug)]
struct Bridge {
    line: Arc<Line>,
    /// Where credentials may go; `None` for a managed identity, whose address the machine names.
    authority: Option<Origin>,
    /// azure_identity insists on https; an authority over plain http (a simulator) is given to it
    /// as https and changed back here.
    plain: Option<String>,
}

/// The way to a sign-in service, for [`options`] and [`machine`].
pub(super) fn line(transport: &Transport) -> Arc<Line> {
    Arc::new(Line::new(transport.clone(), SOCKETS))
}

/// Options for a credential of this cloud.
pub(super) fn options(cloud: &Cloud, line: &Arc<Line>) -> ClientOptions {
    let authority = cloud.authority.as_str();
    let plain = authority.strip_prefix("http://").map(|text| format!("https://{text}"));
    let mut custom = CustomConfiguration::default();
    custom.authority_host = plain.clone().unwrap_or_else(|| authority.to_owned());
    let authority = Some(cloud.authority.clone());
    let bridge = Bridge { line: Arc::clone(line), authority, plain };
    ClientOptions {
        transport: Some(CoreTransport::new(Arc::new(bridge))),
        cloud: Some(Arc::new(CloudConfiguration::from(custom))),
        ..ClientOptions::default()
    }
}

/// Options for the identity of the machine: no credential of ours travels.
pub(super) fn machine(line: &Arc<Line>) -> ClientOptions {
    let bridge = Bridge { line: Arc::clone(line), authority: None, plain: None };
    let transport = Some(CoreTransport::new(Arc::new(bridge)));
    ClientOptions { transport, ..ClientOptions::default() }
}

#[async_trait]
impl HttpClient for Bridge {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let url = request.url().to_string();
        let url = match self.plain.as_deref().and_then(|it| url.strip_prefix(it).zip(Some(it))) {
            Some((rest, plain)) => format!("{}{rest}", plain.replacen("https", "http", 1)),
            None => url,
        };
        let broken = |message: String| azure_core::Error::with_message(ErrorKind::Io, message);
        if self.authority.as_ref().is_some_and(|origin| !origin.covers(&url)) {
            return Err(broken(format!("credentials do not go to {}", redact(&url))));
        }
        let body = match request.body() {
            Body::Bytes(bytes) => bytes.clone(),
            Body::SeekableStream(_) => Bytes::new(),
        };
        let mut builder = http::Request::builder().method(request.method().as_ref()).uri(&url);
        for (name, value) in request.headers().iter() {
            builder = builder.header(name.as_str(), value.as_str());
        }
        let sent = builder.body(body).map_err(|error| broken(error.to_string()))?;
        let address = redact(&url);
        tracing::debug!(url = %address, "sign-in");
        // Asking for a token changes nothing. Only what azure_core takes for an error of the network
        // is repeated by it.
        let answer = self.line.send(sent, Repeat::Freely).await.map_err(|error| {
            let again = !error.settled && !matches!(error.why, Why::Descriptors | Why::TooLarge);
            let kind = if again { ErrorKind::Io } else { ErrorKind::Other };
            azure_core::Error::new(kind, error)
        })?;
        let (head, body) = answer.into_parts();
        let mut headers = Headers::new();
        for (name, value) in &head.headers {
            if let Ok(value) = value.to_str() {
                headers.insert(name.as_str().to_owned(), value.to_owned());
            }
        }
        let status = StatusCode::from(head.status.as_u16());
        Ok(AsyncRawResponse::from_bytes(status, headers, lasting(body)))
    }
}

/// The answer with a token's life as one that a clock can count: azure_identity adds the seconds to
/// the time of day, which panics beyond the year 9999.
fn lasting(body: Bytes) -> Bytes {
    const TEN_YEARS: i64 = 10 * 366 * 24 * 60 * 60;
    let Ok(Json::Object(mut answer)) = serde_json::from_slice(&body) else { return body };
    let mut changed = false;
    for name in ["expires_in", "ext_expires_in"] {
        let Some(given) = answer.get(name).and_then(Json::as_i64) else { continue };
        let counted = given.clamp(0, TEN_YEARS);
        changed |= counted != given;
        answer.insert(name.to_owned(), counted.into());
    }
    if changed { Json::Object(answer).to_string().into() } else { body }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use azure_core::credentials::{Secret, TokenCredential as _};
    use azure_identity::{ClientSecretCredential, ClientSecretCredentialOptions};

    use super::*;

    #[tokio::test]
    async fn no_life_of_a_token_breaks_the_sign_in() {
        let cloud = Cloud::named("AzureCloud").unwrap();
        for life in [i64::MIN, -5, 0, 3600, 1_000_000_000_000, i64::MAX] {
            let answer =
                format!(r#"{{"token_type":"Bearer","access_token":"t","expires_in":{life}}}"#);
            let router = Router::new().fallback(move || async move { answer });
            let client_options = options(&cloud, &line(&Transport::InProcess(router)));
            let credential = ClientSecretCredential::new(
                "22222222-2222-2222-2222-222222222222",
                "c".to_owned(),
                Secret::new("s"),
                Some(ClientSecretCredentialOptions { client_options }),
            );
            let token = credential.unwrap().get_token(&["x/.default"], None).await;
            assert_eq!(token.unwrap().token.secret(), "t", "{life}");
        }
    }
}
