//! Requests and answers between the router and the simulated services.
//!
//! A request is read once into an [`HttpCall`]; a service returns a [`Reply`]. Both are plain data, so every service is a
//! synchronous function over the world and no lock is held across an await.

use std::collections::BTreeMap;

use axum::body::{Body, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::{Value as Json, json};

/// One request, read whole.
#[derive(Debug, Clone)]
pub(crate) struct HttpCall {
    pub(crate) method: Method,
    /// Decoded segments of the path; empty ones (`//`) are left out.
    pub(crate) segments: Vec<String>,
    /// Query by lower-cased name.
    pub(crate) query: BTreeMap<String, String>,
    /// The path as sent, for addresses that lead back.
    pub(crate) raw_path: String,
    /// The query as sent, for what must be passed on verbatim.
    pub(crate) raw_query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// A POST or PUT over HTTP/1 that says neither its length nor that it is chunked.
    pub(crate) unmeasured: bool,
    /// `scheme://host[:port]` as the caller sees this server.
    pub(crate) origin: String,
}

/// What a service answers; `Err` holds an error answer.
pub(crate) type HttpAnswer = Result<Reply, Reply>;

/// An answer before it goes on the wire.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Option<Json>,
}

impl Reply {
    pub(crate) fn json(status: u16, body: Json) -> Reply {
        Reply { status, headers: Vec::new(), body: Some(body) }
    }

    pub(crate) fn ok(body: Json) -> Reply {
        Reply::json(200, body)
    }

    pub(crate) fn empty(status: u16) -> Reply {
        Reply { status, headers: Vec::new(), body: None }
    }

    /// What HEAD says.
    pub(crate) fn head(exists: bool) -> Reply {
        Reply::empty(if exists { 204 } else { 404 })
    }

    /// What was put, new or not.
    pub(crate) fn stored(existed: bool, body: Json) -> Reply {
        Reply::json(if existed { 200 } else { 201 }, body)
    }

    /// What a delete that is done says.
    pub(crate) fn gone(existed: bool) -> Reply {
        Reply::empty(if existed { 200 } else { 204 })
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Reply {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn into_response(self, head: bool) -> Response<Body> {
        let bytes = match &self.body {
            Some(json) => serde_json::to_vec(json).unwrap_or_default(),
            None => Vec::new(),
        };
        let mut response = Response::new(if head { Body::empty() } else { Body::from(bytes) });
        *response.status_mut() = status(self.status);
        if self.body.is_some() {
            response.headers_mut().insert(
                http::header::CONTENT_TYPE,
                HeaderValue::from_static("application/json; charset=utf-8"),
            );
        }
        for (name, value) in self.headers {
            if let (Ok(name), Ok(value)) =
                (name.parse::<HeaderName>(), HeaderValue::from_str(&value))
            {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

/// A number as a status; one that is none is a mistake of this server.
pub(crate) fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// ARM's error envelope ("ARM RPC: error response content").
pub(crate) fn fail(status: u16, code: &str, message: impl Into<String>) -> Reply {
    Reply::json(status, json!({"error": {"code": code, "message": message.into()}}))
}

impl HttpCall {
    /// Reads the whole request. `fallback_scheme` is used where the request has no absolute URI.
    pub(crate) async fn read(
        request: Request<Body>,
        fallback_scheme: &str,
    ) -> Result<HttpCall, Reply> {
        let (parts, body) = request.into_parts();
        let Ok(body) = axum::body::to_bytes(body, 16 * 1024 * 1024).await else {
            return Err(fail(
                400,
                "InvalidRequestContent",
                "The request content could not be read.",
            ));
        };
        let scheme = parts.uri.scheme_str().unwrap_or(fallback_scheme);
        let host = parts.uri.authority().map(ToString::to_string).or_else(|| {
            parts
                .headers
                .get(http::header::HOST)
                .and_then(|h| h.to_str().ok())
                .map(ToOwned::to_owned)
        });
        let raw_query = parts.uri.query().unwrap_or_default().to_owned();
        let measured = [http::header::CONTENT_LENGTH, http::header::TRANSFER_ENCODING];
        let unmeasured = matches!(parts.method, Method::POST | Method::PUT)
            && parts.version <= http::Version::HTTP_11
            && !measured.iter().any(|header_name| parts.headers.contains_key(header_name));
        Ok(HttpCall {
            unmeasured,
            method: parts.method,
            raw_path: parts.uri.path().to_owned(),
            segments: decode_path(parts.uri.path()),
            query: url::form_urlencoded::parse(raw_query.as_bytes())
                .map(|(name, value)| (name.to_ascii_lowercase(), value.into_owned()))
                .collect(),
            raw_query,
            headers: parts.headers,
            body,
            origin: format!(
                "{scheme}://{}",
                host.unwrap_or_else(|| "management.azure.com".to_owned())
            ),
        })
    }

    /// The path put together again, without empty segments.
    pub(crate) fn path(&self) -> String {
        format!("/{}", self.segments.join("/"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The value of a query parameter; the name in lower case.
    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    pub(crate) fn api_version(&self) -> &str {
        self.param("api-version").unwrap_or_default()
    }

    /// The body as a JSON object; an empty body is an empty object.
    pub(crate) fn json(&self) -> Result<Json, Reply> {
        if self.body.is_empty() {
            return Ok(json!({}));
        }
        match serde_json::from_slice::<Json>(&self.body) {
            Ok(value) if value.is_object() => Ok(value),
            Ok(_) | Err(_) => Err(fail(
                400,
                "InvalidRequestContent",
                "The request content was invalid and could not be deserialized: 'a JSON object is required'.",
            )),
        }
    }

    /// Whether segment `index` is `word`, in any case.
    pub(crate) fn is(&self, index: usize, word: &str) -> bool {
        self.segments.get(index).is_some_and(|segment| segment.eq_ignore_ascii_case(word))
    }
}

pub(crate) fn decode_path(path: &str) -> Vec<String> {
    path.split('/')
        .filter(|segment| !segment.is_empty())
        .map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned())
        .collect()
}

/// The header that marks a broken connection where there is no connection to break (in process).
pub const FAULT_HEADER: &str = "x-sandbox-fault";

/// The status that goes with [`FAULT_HEADER`]; no server sends it.
pub const FAULT_STATUS: u16 = 599;

/// A connection that broke: in process a marked answer, which the server turns into a closed socket.
pub(crate) fn broken() -> Reply {
    let status = FAULT_STATUS;
    Reply::empty(status).with(FAULT_HEADER, "connection-dropped")
}

/// What a path that leads nowhere answers.
pub(crate) fn nowhere(path: &str) -> Reply {
    Reply::json(
        404,
        json!({"error": {"code": "NotFound", "message": format!("The path '{path}' was not found.")}}),
    )
}
