//! What a Kubernetes API server writes about a failure, read into an [`ApiError`] (Kubernetes API
//! conventions: response status kind).

use std::error::Error as StdError;

use http::Method;

use crate::client::error::{ApiError, Detail, RequestFault};
use crate::client::net::{SendError, chain, redact};
use crate::model::{Api, Json};

/// From an answer that is not a success.
pub(super) fn from_answer(method: &Method, path: &str, status: u16, body: &[u8]) -> ApiError {
    let json: Json = serde_json::from_slice(body).unwrap_or_default();
    let text = |value: &Json| value.as_str().filter(|it| !it.is_empty()).map(str::to_owned);
    let causes = json["details"]["causes"].as_array().into_iter().flatten();
    let details = causes.map(|value| {
        let message: String = redact(value["message"].as_str().unwrap_or_default()).into();
        let is_conflict = value["reason"] == "FieldManagerConflict";
        let manager = message.split('"').nth(1).filter(|_| is_conflict).map(str::to_owned);
        Detail { code: text(&value["reason"]), target: text(&value["field"]), manager, message }
    });
    let message = text(&json["message"]).unwrap_or_else(|| {
        let raw = String::from_utf8_lossy(body);
        let raw: String = raw.trim().chars().take(300).collect();
        if raw.is_empty() { "the server gave no reason".into() } else { raw }
    });
    RequestFault {
        status: Some(status),
        code: text(&json["reason"]),
        message: redact(&message).into(),
        details: details.collect(),
        ..RequestFault::of(Api::Kubernetes)
    }
    .at(method, path)
}

/// An error of our own, before any request.
pub(super) fn ours(code: &str, message: impl Into<String>) -> ApiError {
    RequestFault {
        code: Some(code.into()),
        message: message.into(),
        ..RequestFault::of(Api::Kubernetes)
    }
    .into()
}

/// The same for what something else said, which stands after `what`.
pub(super) fn failed(code: &str, what: &str, error: &(dyn StdError + 'static)) -> ApiError {
    match SendError::of_here(error) {
        Some(broken) => ApiError::broken(Api::Kubernetes, &Method::GET, "", broken),
        None => ours(code, format!("{what}: {}", chain(error))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::net::Verdict;
    use serde_json::json;

    fn answered(status: u16, body: &Json) -> ApiError {
        let body = body.to_string();
        from_answer(&Method::PATCH, "/api/v1/x?a=b", status, body.as_bytes())
    }

    #[test]
    fn a_conflict_names_managers_and_fields() {
        let error = answered(
            409,
            &json!({"kind": "Status", "reason": "Conflict", "message": "Apply failed with 1 conflict",
                "details": {"causes": [{"reason": "FieldManagerConflict",
                    "message": "conflict with \"kubectl-edit\" using v1", "field": ".spec.replicas"}]}}),
        );
        assert_eq!(error.verdict(), Verdict::Conflict);
        assert!(error.to_string().contains(".spec.replicas (kubectl-edit)"));
    }

    #[test]
    fn every_status_has_its_verdict() {
        use Verdict::*;
        let cases = [(401, Denied), (403, Denied), (404, Absent), (409, Conflict), (410, Absent)];
        let more = [(422, Fatal), (429, Throttled), (500, Retry), (503, Retry), (400, Fatal)];
        for (status, verdict) in cases.into_iter().chain(more) {
            assert_eq!(answered(status, &json!({"message": "m"})).verdict(), verdict, "{status}");
        }
    }
}
