//! The body of a request: JSON, YAML or Kubernetes' Protocol Buffers.

use serde_json::Value as Json;

use super::protobuf;
use super::request::ApiCall;
use super::status::Failure;

/// The body of a POST or PUT as an object.
pub(crate) fn body_object(call: &ApiCall<'_>) -> Result<Json, Failure> {
    let media = media_type(call);
    match media.as_str() {
        "" | "application/json" | "application/yaml" => parse(call.request.body),
        protobuf::MEDIA => protobuf::decode(call.request.body).ok_or_else(|| {
            Failure::bad_request(
                "unable to decode the protobuf body: send application/json instead",
            )
        }),
        _ => Err(Failure::unsupported_media(
            &media,
            "application/json, application/yaml, application/vnd.kubernetes.protobuf",
        )),
    }
}

pub(crate) fn media_type(call: &ApiCall<'_>) -> String {
    let header = call.request.header(http::header::CONTENT_TYPE);
    let media = header.split(';').next().unwrap_or_default();
    media.trim().to_ascii_lowercase()
}

/// JSON, or YAML when it is not JSON.
pub(crate) fn parse(body: &[u8]) -> Result<Json, Failure> {
    let bad = |why: &str| Failure::bad_request(format!("error parsing the body: {why}"));
    let parsed: Json = match serde_json::from_slice(body) {
        Ok(parsed) => parsed,
        Err(error) => std::str::from_utf8(body)
            .ok()
            .filter(|text| !text.trim_start().starts_with('{'))
            .and_then(|text| serde_yaml::from_str(text).ok())
            .ok_or_else(|| bad(&error.to_string()))?,
    };
    if parsed.is_object() { Ok(parsed) } else { Err(bad("it is not an object")) }
}
