//! One type for every failed request, whichever API it was for, and the one place that classifies
//! it. Each dialect only reads what its servers write.

use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use http::Method;

use super::net::{SendError, Verdict, Why, redact};
use crate::model::Api;

/// A failed request or operation. The fields stand in [`RequestFault`].
#[derive(Clone, Debug, PartialEq)]
pub struct ApiError(pub(super) Box<RequestFault>);

/// What is known of a failed request.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestFault {
    /// The API that was asked: words and remedies are its own.
    pub api: Api,
    /// The HTTP status; `None` when no answer came, or when an operation failed after it began.
    pub status: Option<u16>,
    /// ARM's error code, or Kubernetes' reason: `NotFound`, `Conflict`, `Forbidden`.
    pub code: Option<String>,
    /// The service's own sentence, with tokens and keys hidden.
    pub message: String,
    /// The part of the request that the service complains about.
    pub target: Option<String>,
    /// Inner errors, outermost first; Kubernetes: the fields it complains about.
    pub details: Vec<Detail>,
    /// Names of the policies that refused the request.
    pub policies: Vec<String>,
    /// `x-ms-request-id`: what Microsoft's support asks for.
    pub request_id: Option<String>,
    /// `x-ms-correlation-request-id`: the same for all requests of a run.
    pub correlation_id: Option<String>,
    /// The request's method; empty when none was sent.
    pub method: String,
    /// The request's path, without its query.
    pub url_path: String,
    /// The directory that the subscription belongs to, when we signed in to another.
    pub tenant: Option<String>,
    /// How long the service asked to wait.
    pub retry_after: Option<Duration>,
    /// Why no answer came, when none came.
    pub source: Option<SendError>,
}

/// An inner error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detail {
    /// Its code.
    pub code: Option<String>,
    /// Its sentence.
    pub message: String,
    /// What it is about: a part of the request, or a field.
    pub target: Option<String>,
    /// For a conflict of server-side apply: who manages the field.
    pub manager: Option<String>,
}

impl Deref for ApiError {
    type Target = RequestFault;
    fn deref(&self) -> &RequestFault {
        &self.0
    }
}

impl From<RequestFault> for ApiError {
    fn from(fault: RequestFault) -> Self {
        Self(Box::new(fault))
    }
}

impl std::error::Error for ApiError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|send_error| send_error as _)
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |text: &str| text.trim_end_matches(['.', ' ', '\n']).to_owned();
        if let Some(code) = &self.code {
            write!(f, "{code}: ")?;
        }
        if self.is_field_conflict() {
            f.write_str("other managers own fields that we declare:")?;
            for (index, detail) in self.details.iter().enumerate() {
                let manager = detail.manager.as_deref().unwrap_or("somebody");
                let field = detail.target.as_deref().unwrap_or("a field");
                write!(f, "{} {field} ({manager})", if index == 0 { "" } else { "," })?;
            }
            f.write_str(
                "; take the fields out of the manifest, or have their manager give them up",
            )?;
        } else {
            f.write_str(&plain(&self.message))?;
            for detail in self.details.iter().filter(|it| !self.message.contains(&it.message)) {
                let code = detail.code.as_deref().unwrap_or("detail");
                write!(f, "; {code}: {}", plain(&detail.message))?;
            }
        }
        if !self.policies.is_empty() {
            write!(f, "; refused by policy {}", self.policies.join(", "))?;
        }
        if self.method.is_empty() {
            return Ok(());
        }
        let status = self.status.map(|number| format!("HTTP {number}, ")).unwrap_or_default();
        write!(f, " ({status}{} {}", self.method, self.url_path)?;
        if let Some(id) = &self.request_id {
            write!(f, ", request id {id}")?;
        }
        if let Some(id) = &self.correlation_id {
            write!(f, ", correlation id {id}")?;
        }
        f.write_str(")")
    }
}

impl RequestFault {
    /// A fault of which nothing is known yet.
    pub(super) const fn of(api: Api) -> Self {
        Self {
            api,
            status: None,
            code: None,
            message: String::new(),
            target: None,
            details: Vec::new(),
            policies: Vec::new(),
            request_id: None,
            correlation_id: None,
            method: String::new(),
            url_path: String::new(),
            tenant: None,
            retry_after: None,
            source: None,
        }
    }

    pub(super) fn at(mut self, method: &Method, path: &str) -> ApiError {
        self.method = method.to_string();
        self.url_path = path.split('?').next().unwrap_or(path).to_owned();
        self.into()
    }
}

impl ApiError {
    /// From a request that got no answer.
    pub(super) fn broken(api: Api, method: &Method, path: &str, error: SendError) -> Self {
        let message = redact(&error.to_string()).into();
        let fault = RequestFault { message, source: Some(error), ..RequestFault::of(api) };
        match fault.source.as_ref().map(|send_error| send_error.why) {
            // Whatever was asked for, it is this process that cannot ask.
            Some(Why::Descriptors) => {
                RequestFault { code: Some(NO_FILES.to_owned()), ..fault }.into()
            }
            _ => fault.at(method, path),
        }
    }

    /// As a failure on the way to what was asked for: that something on the way is not there does
    /// not mean that the thing is not there.
    pub(super) fn of_the_way(mut self) -> Self {
        if self.is_absent() {
            self.0.status = None;
        }
        self
    }

    /// With more to say, unless the fault is this process's own, which says nothing about the service.
    pub(super) fn with(mut self, more: &str) -> Self {
        if self.source.is_none() {
            self.0.message.push_str(more);
        }
        self
    }

    /// Whether the answer means that the resource asked for is not there, rather than the
    /// subscription, the provider or the request being wrong.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        self.verdict() == Verdict::Absent
    }

    /// Whether server-side apply met fields of other managers; `details` names them.
    #[must_use]
    pub fn is_field_conflict(&self) -> bool {
        self.details.iter().any(|detail| detail.manager.is_some())
    }

    /// How to mend it, where the reason alone says so.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        self.source.as_ref().and_then(SendError::help)
    }

    /// Every code of the error, outermost first.
    pub fn codes(&self) -> impl Iterator<Item = &str> {
        let inner = self.details.iter().filter_map(|detail| detail.code.as_deref());
        self.code.as_deref().into_iter().chain(inner)
    }

    /// Whether the outer code or that of a detail is one of these.
    #[must_use]
    pub fn has_code(&self, names: &[&str]) -> bool {
        self.codes().any(|code| names.iter().any(|name| code.eq_ignore_ascii_case(name)))
    }

    /// What the failure means: the one place that decides it, for both APIs.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if let Some(error) = &self.source {
            return match error.why {
                why if why.is_unreachable() => Verdict::Unreachable,
                Why::TooLarge | Why::Descriptors => Verdict::Fatal,
                _ => Verdict::Broken,
            };
        }
        if self.api == Api::Azure {
            if self.has_code(&["MissingSubscriptionRegistration", "SubscriptionNotRegistered"]) {
                return Verdict::NotRegistered(self.namespace().unwrap_or_default());
            }
            if self.is_busy() {
                return Verdict::InProgress;
            }
            if self.is_unknown_principal() {
                return Verdict::Retry;
            }
        }
        match self.status {
            None if self.has_code(&[SIGN_IN_FAILED, "Credentials"]) => Verdict::Denied,
            None => Verdict::Fatal,
            Some(401 | 403) => Verdict::Denied,
            Some(404) if self.api == Api::Azure && self.has_code(&MISTAKEN) => Verdict::Fatal,
            Some(404 | 410) => Verdict::Absent,
            Some(429) => Verdict::Throttled,
            Some(412) if self.api == Api::Azure => Verdict::Conflict,
            Some(409) => Verdict::Conflict,
            Some(408 | 500 | 502 | 503 | 504) => Verdict::Retry,
            Some(_) => Verdict::Fatal,
        }
    }

    /// The directory does not know the principal yet: usual for some minutes after an identity was
    /// made (Azure RBAC: troubleshoot).
    pub(super) fn is_unknown_principal(&self) -> bool {
        self.has_code(&["PrincipalNotFound"])
    }

    /// Something else runs on the resource or its cluster. `OperationNotAllowed` also stands for
    /// a used-up quota, which no waiting mends.
    fn is_busy(&self) -> bool {
        let texts = self.details.iter().map(|it| it.message.as_str()).chain([&*self.message]);
        let mut texts = texts.map(str::to_ascii_lowercase);
        let quota = |text: String| text.contains("quota");
        let says = |text: String| {
            text.contains("another operation is in progress") || text.contains("etagmismatch")
        };
        self.has_code(&BUSY)
            || (self.has_code(&["OperationNotAllowed"]) && !texts.clone().any(quota))
            || texts.any(says)
    }

    /// Whether Azure refuses only what an earlier step of the same run has not spread to yet, so
    /// that the same request succeeds minutes later.
    #[must_use]
    pub fn passes(&self) -> bool {
        let code = |name: &str| self.code.as_deref() == Some(name);
        code("PrincipalNotFound")
            || code("MissingSubscriptionRegistration")
            || self.message.contains("EtagMismatch")
            || self.message.contains("Another operation is in progress")
            // Azure forgets an extension before its agents have taken the chart away.
            || self.message.contains("cannot re-use a name that is still in use")
    }

    /// The provider namespace that ARM quotes in "… to use namespace 'Microsoft.Relay'".
    fn namespace(&self) -> Option<String> {
        let texts = self.details.iter().map(|detail| detail.message.as_str());
        std::iter::once(self.message.as_str())
            .chain(texts)
            .find_map(|text| text.split('\'').skip(1).step_by(2).find(|it| it.contains('.')))
            .map(str::to_owned)
    }
}

/// The code of an error of our own: this process may open no more files.
pub(super) const NO_FILES: &str = "TooManyOpenFiles";

/// The code of an error of our own: no token could be had.
pub(super) const SIGN_IN_FAILED: &str = "SignInFailed";

/// Codes that mean: something else runs, wait. The text next to them varies by provider.
const BUSY: [&str; 6] = [
    "AnotherOperationInProgress",
    "RetryableErrorDueToAnotherOperation",
    "OperationInProgress",
    "ConcurrentOperationInProgress",
    "EtagMismatch",
    "ConcurrentFederatedIdentityCredentialsWritesForSingleManagedIdentity",
];

/// 404s that do not speak of the resource asked for.
const MISTAKEN: [&str; 4] = [
    "SubscriptionNotFound",
    "InvalidResourceNamespace",
    "InvalidResourceType",
    "NoRegisteredProviderFound",
];
