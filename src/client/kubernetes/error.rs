//! One type for every failure of a request to a Kubernetes API server, and the one place that
//! classifies it (Kubernetes API conventions: response status kind).

use std::fmt;
use std::ops::Deref;

use http::Method;

use crate::client::net::{SendError, Verdict, redact};
use crate::model::Json;

/// A failed request. The fields stand in [`Fault`].
#[derive(Clone, Debug)]
pub struct ApiError(Box<Fault>);

/// What is known of a failed request.
#[derive(Clone, Debug, Default)]
pub struct Fault {
    /// The HTTP status; `None` when no answer came.
    pub status: Option<u16>,
    /// The machine-readable reason: `NotFound`, `Conflict`, `Forbidden`.
    pub reason: Option<String>,
    /// The server's own sentence.
    pub message: String,
    /// Which fields the server complains about.
    pub causes: Vec<Cause>,
    /// The request's method; empty when none was sent.
    pub method: String,
    /// The request's path, without its query.
    pub path: String,
    /// Why no answer came, when none came.
    pub source: Option<SendError>,
}

/// One field that the server complains about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cause {
    /// The field's path, as the server writes it.
    pub field: String,
    /// For a conflict of server-side apply: who manages the field.
    pub manager: Option<String>,
    /// The server's sentence.
    pub message: String,
}

impl Deref for ApiError {
    type Target = Fault;
    fn deref(&self) -> &Fault {
        &self.0
    }
}

impl From<Fault> for ApiError {
    fn from(fault: Fault) -> Self {
        Self(Box::new(fault))
    }
}

impl std::error::Error for ApiError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|it| it as _)
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(reason) = &self.reason {
            write!(f, "{reason}: ")?;
        }
        if self.is_field_conflict() {
            f.write_str("other managers own fields that we declare:")?;
            for (index, cause) in self.causes.iter().enumerate() {
                let manager = cause.manager.as_deref().unwrap_or("somebody");
                let comma = if index == 0 { "" } else { "," };
                write!(f, "{comma} {} ({manager})", cause.field)?;
            }
            f.write_str(
                "; take the fields out of the manifest, or have their manager give them up",
            )?;
        } else {
            f.write_str(self.message.trim_end_matches(['.', ' ', '\n']))?;
        }
        match (self.status, self.method.is_empty()) {
            (Some(status), _) => write!(f, " (HTTP {status}, {} {})", self.method, self.path),
            (None, false) => write!(f, " ({} {})", self.method, self.path),
            (None, true) => Ok(()),
        }
    }
}

impl ApiError {
    /// From an answer that is not a success.
    #[must_use]
    pub(super) fn from_answer(method: &Method, path: &str, status: u16, body: &[u8]) -> Self {
        let json: Json = serde_json::from_slice(body).unwrap_or_default();
        let text = |value: &Json| value.as_str().filter(|it| !it.is_empty()).map(str::to_owned);
        let causes = json["details"]["causes"].as_array().into_iter().flatten();
        let causes = causes.map(|it| {
            let message = text(&it["message"]).unwrap_or_default();
            let is_conflict = it["reason"] == "FieldManagerConflict";
            let manager = message.split('"').nth(1).filter(|_| is_conflict).map(str::to_owned);
            Cause { field: text(&it["field"]).unwrap_or_default(), manager, message }
        });
        let message = text(&json["message"]).unwrap_or_else(|| {
            let raw = String::from_utf8_lossy(body);
            let raw: String = raw.trim().chars().take(300).collect();
            if raw.is_empty() { "the server gave no reason".into() } else { raw }
        });
        let message = match status {
            401 => format!(
                "{message}; the credentials in the kubeconfig are missing or have expired: sign in again (`oc login`, \
                 `az aks get-credentials`, or your exec plugin's own login)"
            ),
            _ => message,
        };
        Fault {
            status: Some(status),
            reason: text(&json["reason"]),
            message: redact(&message).into(),
            causes: causes.collect(),
            method: method.to_string(),
            path: path.split('?').next().unwrap_or(path).to_owned(),
            source: None,
        }
        .into()
    }

    /// From a request that got no answer.
    #[must_use]
    pub(super) fn from_break(method: &Method, path: &str, error: SendError) -> Self {
        Fault {
            message: redact(&error.to_string()).into(),
            method: method.to_string(),
            path: path.split('?').next().unwrap_or(path).to_owned(),
            source: Some(error),
            ..Fault::default()
        }
        .into()
    }

    /// An error of our own, before any request.
    #[must_use]
    pub(super) fn ours(reason: &str, message: impl Into<String>) -> Self {
        Fault { reason: Some(reason.into()), message: message.into(), ..Fault::default() }.into()
    }

    /// Whether server-side apply met fields of other managers; `causes` names them.
    #[must_use]
    pub fn is_field_conflict(&self) -> bool {
        self.causes.iter().any(|it| it.manager.is_some())
    }

    /// What the failure means: the one place that decides it.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if self.source.is_some() {
            return Verdict::Broken;
        }
        match (self.status, self.reason.as_deref()) {
            (None, Some("Credentials")) | (Some(401 | 403), _) => Verdict::Denied,
            (Some(404 | 410), _) => Verdict::Absent,
            (Some(409), _) => Verdict::Conflict,
            (Some(429), _) => Verdict::Throttled,
            (Some(408 | 500 | 502 | 503 | 504), _) => Verdict::Retry,
            (Some(_) | None, _) => Verdict::Fatal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answered(status: u16, body: &Json) -> ApiError {
        let body = body.to_string();
        ApiError::from_answer(&Method::PATCH, "/api/v1/x?a=b", status, body.as_bytes())
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

    #[test]
    fn expired_credentials_say_how_to_get_new_ones() {
        let error = answered(401, &json!({"reason": "Unauthorized", "message": "Unauthorized"}));
        assert!(error.to_string().contains("oc login"));
    }
}
