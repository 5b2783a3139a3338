//! What Azure writes about a failure, read into an [`ApiError`] (Azure REST: common API details,
//! error responses).

use std::fmt;
use std::time::SystemTime;

use http::{HeaderMap, Method};
use secrecy::{ExposeSecret as _, SecretString};

use crate::client::error::{ApiError, Detail, RequestFault, SIGN_IN_FAILED};
use crate::client::net::{SendError, redact, retry_after};
use crate::model::{Api, Json};

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
                RequestFault { message: redact(&text).into(), ..RequestFault::of(Api::Azure) }
            }
        };
        let header = |name: &str| headers.get(name)?.to_str().ok().map(str::to_owned);
        if fault.message.is_empty() {
            fault.message = match http::StatusCode::from_u16(status) {
                Ok(status_code) => {
                    status_code.canonical_reason().unwrap_or("no reason given").to_ascii_lowercase()
                }
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
        Self::broken(Api::Azure, method, path, error)
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
            fault = first.map(read_error).unwrap_or_else(|| RequestFault::of(Api::Azure));
        }
        if fault.message.is_empty() {
            fault.message = format!(
                "the operation ended as {word}, and Azure gave no reason; read the resource's statuses"
            );
        }
        fault.code = fault.code.or_else(|| Some(format!("Operation{word}")));
        fault.at(method, path)
    }

    /// No token could be had, by this way to sign in: what the sign-in service says of it, unless it
    /// gave no answer.
    pub(super) fn no_token(unanswered: Option<SendError>, told: String, how: &str) -> Self {
        let Some(error) = unanswered else {
            let told = format!("{told}; {how}");
            return Self::about(&Method::POST, "token endpoint", SIGN_IN_FAILED, told);
        };
        let mut broken = Self::broken(Api::Azure, &Method::POST, "token endpoint", error);
        if broken.code.is_none() {
            broken.0.message = format!("{}; {how}", broken.0.message);
            broken.0.code = Some(SIGN_IN_FAILED.to_owned());
        }
        broken
    }

    /// An error of our own about a request.
    #[must_use]
    pub fn about(method: &Method, path: &str, code: &str, message: impl Into<String>) -> Self {
        RequestFault {
            code: Some(code.into()),
            message: message.into(),
            ..RequestFault::of(Api::Azure)
        }
        .at(method, path)
    }
}

/// What was sent under `configurationProtectedSettings`: services repeat values in their errors.
#[derive(Clone, Default)]
pub(super) struct SentSecrets(Vec<SecretString>);

impl fmt::Debug for SentSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(…)")
    }
}

/// What is hidden makes no two operations different.
impl PartialEq for SentSecrets {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl SentSecrets {
    pub(super) fn of(body: Option<&Json>) -> Self {
        let protected = body.map(|value| &value["properties"]["configurationProtectedSettings"]);
        let values = protected.and_then(Json::as_object).into_iter().flat_map(|it| it.values());
        // Shorter texts would blank out ordinary words.
        let texts = values.filter_map(Json::as_str).filter(|value| value.len() >= 6);
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
    pub(super) fn without(mut self, secrets: &SentSecrets) -> Self {
        let RequestFault { message, target, details, .. } = &mut *self.0;
        secrets.hide(message);
        let inner = details.iter_mut().flat_map(|it| [Some(&mut it.message), it.target.as_mut()]);
        target.as_mut().into_iter().chain(inner.flatten()).for_each(|text| secrets.hide(text));
        self
    }
}

/// A claims challenge or a token of the wrong tenant: say so in plain words.
fn explain_challenge(fault: &mut RequestFault, challenge: Option<&str>) {
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
        fault.tenant = Some(tenant);
    }
}

fn format_tenant(tenant: &str) -> String {
    format!(
        "; the subscription belongs to tenant {tenant}: set `azure.tenant: {tenant}` in the manifest, \
         or run `az login --tenant {tenant}`"
    )
}

/// Reads `{error: {…}}` or `{code, message}`.
fn read(body: &Json) -> RequestFault {
    if body["error"].is_object() { read_error(&body["error"]) } else { read_error(body) }
}

fn read_error(error: &Json) -> RequestFault {
    let mut fault = RequestFault {
        code: text(&error["code"]),
        message: message(error),
        target: text(&error["target"]),
        ..RequestFault::of(Api::Azure)
    };
    collect(error, &mut fault, 0);
    fault
}

fn text(value: &Json) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(|text| redact(text).into())
}

fn message(error: &Json) -> String {
    text(&error["message"]).or_else(|| text(&error["Message"])).unwrap_or_default()
}

/// Details, inner errors and policies, as deep as services nest them.
fn collect(error: &Json, fault: &mut RequestFault, depth: usize) {
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
    for inner in details.chain(["innerError", "innererror"].map(|text| &error[text])) {
        if !inner.is_object() {
            continue;
        }
        let detail = Detail {
            code: text(&inner["code"]),
            message: message(inner),
            target: text(&inner["target"]),
            manager: None,
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
