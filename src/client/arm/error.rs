//! One type for every failure of a request to Azure, and the one place that classifies it
//! (Azure REST: common API details, error responses).

use std::fmt;
use std::ops::Deref;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, Method};

use secrecy::{ExposeSecret as _, SecretString};

use crate::client::net::{SendError, Verdict, redact, retry_after};
use crate::model::Json;

/// A failed request or operation. The fields stand in [`Fault`].
#[derive(Clone, Debug, PartialEq)]
pub struct ApiError(Box<Fault>);

/// What is known of a failed request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fault {
    /// The HTTP status; `None` when no answer came, or when an operation failed after it began.
    pub status: Option<u16>,
    /// ARM's error code.
    pub code: Option<String>,
    /// The service's own sentence, with tokens and keys hidden.
    pub message: String,
    /// The part of the request that the service complains about.
    pub target: Option<String>,
    /// Inner errors, outermost first.
    pub details: Vec<Detail>,
    /// Names of the policies that refused the request.
    pub policies: Vec<String>,
    /// `x-ms-request-id`: what Microsoft's support asks for.
    pub request_id: Option<String>,
    /// `x-ms-correlation-request-id`: the same for all requests of a run.
    pub correlation_id: Option<String>,
    /// The request's method.
    pub method: String,
    /// The request's path, without its query.
    pub url_path: String,
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
    /// What it is about.
    pub target: Option<String>,
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

impl PartialEq for SendError {
    fn eq(&self, other: &Self) -> bool {
        self.taken == other.taken && self.to_string() == other.to_string()
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(code) = &self.code {
            write!(f, "{code}: ")?;
        }
        f.write_str(self.message.trim_end_matches(['.', ' ', '\n']))?;
        for detail in self.details.iter().filter(|it| !self.message.contains(&it.message)) {
            let code = detail.code.as_deref().unwrap_or("detail");
            write!(f, "; {code}: {}", detail.message.trim_end_matches(['.', ' ', '\n']))?;
        }
        if !self.policies.is_empty() {
            write!(f, "; refused by policy {}", self.policies.join(", "))?;
        }
        let status = self.status.map(|it| format!("HTTP {it}, ")).unwrap_or_default();
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

impl ApiError {
    /// From an answer that is not a success. Reads ARM's envelope, the bare `{code, message}` of
    /// some providers, and texts.
    #[must_use]
    pub fn from_answer(
        method: &Method,
        path: &str,
        status: u16,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Self {
        let mut fault = match serde_json::from_slice::<Json>(body) {
            Ok(json) => read(&json),
            Err(_) => {
                let text = String::from_utf8_lossy(body);
                let text: String = text.trim().chars().take(500).collect();
                Fault { message: redact(&text).into(), ..Fault::default() }
            }
        };
        let header = |name: &str| headers.get(name)?.to_str().ok().map(str::to_owned);
        if fault.message.is_empty() {
            fault.message = match http::StatusCode::from_u16(status) {
                Ok(it) => it.canonical_reason().unwrap_or("no reason given").to_ascii_lowercase(),
                Err(_) => "no reason given".to_owned(),
            };
        }
        if status == 401 {
            explain_challenge(&mut fault, header("www-authenticate").as_deref());
        }
        fault.code = fault.code.or_else(|| header("x-ms-error-code"));
        fault.status = Some(status);
        fault.request_id = header("x-ms-request-id");
        fault.correlation_id = header("x-ms-correlation-request-id");
        fault.retry_after = retry_after(headers, SystemTime::now());
        fault.at(method, path)
    }

    /// From a request that got no answer.
    #[must_use]
    pub fn from_break(method: &Method, path: &str, error: SendError) -> Self {
        let message = redact(&error.to_string()).into();
        Fault { message, source: Some(error), ..Fault::default() }.at(method, path)
    }

    /// From an operation that ended as Failed or Canceled: `error` of its status, or the
    /// `statuses` of the resource (Azure REST: asynchronous operations).
    #[must_use]
    pub fn from_operation(method: &Method, path: &str, word: &str, body: &Json) -> Self {
        let mut fault = read(body);
        let properties = &body["properties"];
        if fault.code.is_none() && fault.message.is_empty() {
            fault = read(&properties["error"]);
        }
        if fault.message.is_empty() {
            let statuses = properties["statuses"].as_array();
            let first = statuses.and_then(|all| all.iter().find(|it| it["message"].is_string()));
            fault = first.map(read_error).unwrap_or_default();
        }
        if fault.message.is_empty() {
            fault.message = format!(
                "the operation ended as {word}, and Azure gave no reason; read the resource's statuses"
            );
        }
        fault.code = fault.code.or_else(|| Some(format!("Operation{word}")));
        fault.at(method, path)
    }

    /// An error of our own about a request.
    #[must_use]
    pub fn about(method: &Method, path: &str, code: &str, message: impl Into<String>) -> Self {
        Fault { code: Some(code.into()), message: message.into(), ..Fault::default() }
            .at(method, path)
    }

    /// Whether the answer means that the resource asked for is not there, rather than the
    /// subscription, the provider or the request being wrong.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        self.verdict() == Verdict::Absent
    }

    /// Every code of the error, outermost first.
    pub fn codes(&self) -> impl Iterator<Item = &str> {
        let inner = self.details.iter().filter_map(|it| it.code.as_deref());
        self.code.as_deref().into_iter().chain(inner)
    }

    /// Whether the outer code or that of a detail is one of these.
    #[must_use]
    pub fn has_code(&self, names: &[&str]) -> bool {
        self.codes().any(|it| names.iter().any(|name| it.eq_ignore_ascii_case(name)))
    }

    /// What the failure means: the one place that decides it.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if self.source.is_some() {
            return Verdict::Broken;
        }
        if self.has_code(&["MissingSubscriptionRegistration", "SubscriptionNotRegistered"]) {
            return Verdict::NotRegistered(self.namespace().unwrap_or_default());
        }
        if self.is_busy() {
            return Verdict::InProgress;
        }
        if self.is_unknown_principal() {
            return Verdict::Retry;
        }
        match self.status {
            None if self.has_code(&[SIGN_IN_FAILED]) => Verdict::Denied,
            None => Verdict::Fatal,
            Some(401 | 403) => Verdict::Denied,
            Some(404) if self.has_code(&MISTAKEN) => Verdict::Fatal,
            Some(404 | 410) => Verdict::Absent,
            Some(429) => Verdict::Throttled,
            Some(409 | 412) => Verdict::Conflict,
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
        let quota = |it: String| it.contains("quota");
        let says = |it: String| {
            it.contains("another operation is in progress") || it.contains("etagmismatch")
        };
        self.has_code(&BUSY)
            || (self.has_code(&["OperationNotAllowed"]) && !texts.clone().any(quota))
            || texts.any(says)
    }

    /// The provider namespace that ARM quotes in "… to use namespace 'Microsoft.Relay'".
    fn namespace(&self) -> Option<String> {
        let texts = self.details.iter().map(|it| it.message.as_str());
        std::iter::once(self.message.as_str())
            .chain(texts)
            .find_map(|text| text.split('\'').skip(1).step_by(2).find(|it| it.contains('.')))
            .map(str::to_owned)
    }
}

/// The code of an error of our own: no token could be had.
pub(super) const SIGN_IN_FAILED: &str = "SignInFailed";

/// Codes that mean: something else runs, wait. The text next to them varies by provider.
const BUSY: [&str; 5] = [
    "AnotherOperationInProgress",
    "RetryableErrorDueToAnotherOperation",
    "OperationInProgress",
    "ConcurrentOperationInProgress",
    "EtagMismatch",
];

/// 404s that do not speak of the resource asked for.
const MISTAKEN: [&str; 4] = [
    "SubscriptionNotFound",
    "InvalidResourceNamespace",
    "InvalidResourceType",
    "NoRegisteredProviderFound",
];

/// What was sent under `configurationProtectedSettings`: services repeat values in their errors.
#[derive(Clone, Default)]
pub(super) struct Secrets(Vec<SecretString>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(…)")
    }
}

/// What is hidden makes no two operations different.
impl PartialEq for Secrets {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Secrets {
    pub(super) fn of(body: Option<&Json>) -> Self {
        let protected = body.map(|it| &it["properties"]["configurationProtectedSettings"]);
        let values = protected.and_then(Json::as_object).into_iter().flat_map(|it| it.values());
        // Shorter texts would blank out ordinary words.
        let texts = values.filter_map(Json::as_str).filter(|it| it.len() >= 6);
        Self(texts.map(SecretString::from).collect())
    }

    fn hide(&self, text: &mut String) {
        for secret in &self.0 {
            if text.contains(secret.expose_secret()) {
                *text = text.replace(secret.expose_secret(), "(hidden)");
            }
        }
    }
}

impl ApiError {
    /// The error without these secrets.
    #[must_use]
    pub(super) fn without(mut self, secrets: &Secrets) -> Self {
        let Fault { message, target, details, .. } = &mut *self.0;
        secrets.hide(message);
        let inner = details.iter_mut().flat_map(|it| [Some(&mut it.message), it.target.as_mut()]);
        target.as_mut().into_iter().chain(inner.flatten()).for_each(|it| secrets.hide(it));
        self
    }
}

impl Fault {
    fn at(mut self, method: &Method, path: &str) -> ApiError {
        self.method = method.to_string();
        self.url_path = path.split('?').next().unwrap_or(path).to_owned();
        self.into()
    }
}

/// A claims challenge or a token of the wrong tenant: say so in plain words.
fn explain_challenge(fault: &mut Fault, challenge: Option<&str>) {
    let challenge = challenge.unwrap_or_default();
    let part = |name: &str| {
        let (_, rest) = challenge.split_once(&format!("{name}=\""))?;
        rest.split('"').next().map(str::to_owned)
    };
    let tenant = part("authorization_uri").and_then(|uri| {
        let last = uri.trim_end_matches('/').rsplit('/').next()?.to_owned();
        (last.len() == 36).then_some(last)
    });
    let wrong_tenant = fault.code.as_deref() == Some("InvalidAuthenticationTokenTenant");
    if challenge.contains("claims=") || challenge.contains("insufficient_claims") {
        fault.message.push_str(
            "; a conditional access policy asks for a new sign-in (claims challenge): run `az logout` \
             and `az login`, or use a service principal or managed identity that the policy exempts",
        );
    } else if let (true, Some(tenant)) = (wrong_tenant, tenant) {
        fault.message.push_str(&format_tenant(&tenant));
    }
}

fn format_tenant(tenant: &str) -> String {
    format!(
        "; the subscription belongs to tenant {tenant}: set `azure.tenant: {tenant}` in the manifest, \
         or run `az login --tenant {tenant}`"
    )
}

/// Reads `{error: {…}}` or `{code, message}`.
fn read(body: &Json) -> Fault {
    if body["error"].is_object() { read_error(&body["error"]) } else { read_error(body) }
}

fn read_error(error: &Json) -> Fault {
    let mut fault = Fault {
        code: text(&error["code"]),
        message: message(error),
        target: text(&error["target"]),
        ..Fault::default()
    };
    collect(error, &mut fault, 0);
    fault
}

fn text(value: &Json) -> Option<String> {
    value.as_str().filter(|it| !it.is_empty()).map(|it| redact(it).into())
}

fn message(error: &Json) -> String {
    text(&error["message"]).or_else(|| text(&error["Message"])).unwrap_or_default()
}

/// Details, inner errors and policies, as deep as services nest them.
fn collect(error: &Json, fault: &mut Fault, depth: usize) {
    if depth > 8 {
        return;
    }
    for info in error["additionalInfo"].as_array().into_iter().flatten() {
        let inner = &info["info"];
        let name = ["policyDefinitionDisplayName", "policyAssignmentDisplayName"]
            .into_iter()
            .chain(["policyDefinitionName", "policyAssignmentName", "policyDefinitionId"])
            .find_map(|key| text(&inner[key]));
        if let (Some("PolicyViolation"), Some(name)) = (info["type"].as_str(), name)
            && !fault.policies.contains(&name)
        {
            fault.policies.push(name);
        }
    }
    let details = error["details"].as_array().into_iter().flatten();
    for inner in details.chain(["innerError", "innererror"].map(|it| &error[it])) {
        if !inner.is_object() {
            continue;
        }
        let detail = Detail {
            code: text(&inner["code"]),
            message: message(inner),
            target: text(&inner["target"]),
        };
        if detail.code.is_some() || !detail.message.is_empty() {
            fault.details.push(detail);
        }
        collect(inner, fault, depth + 1);
    }
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
