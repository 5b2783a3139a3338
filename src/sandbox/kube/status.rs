//! Failures as the API server words them: `Status` bodies with reason, details and code
//! (Kubernetes API conventions, "Response Status Kind").

use serde_json::{Value as Json, json};

use super::types::ResourceType;

/// A request that failed.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) code: u16,
    reason: &'static str,
    message: String,
    details: Json,
}

impl Failure {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: json!({}) }
    }

    fn about(mut self, kind: &ResourceType, name: &str) -> Self {
        self.details = json!({"kind": kind.plural});
        if !name.is_empty() {
            self.details["name"] = json!(name);
        }
        if !kind.group.is_empty() {
            self.details["group"] = json!(kind.group);
        }
        self
    }

    /// The `Status` object.
    pub(crate) fn body(&self) -> Json {
        json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "details": self.details,
            "code": self.code,
        })
    }

    pub(crate) fn unknown_path() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource")
    }

    pub(crate) fn not_found(kind: &ResourceType, name: &str) -> Self {
        let what = kind.qualified();
        Self::new(404, "NotFound", format!("{what} \"{name}\" not found")).about(kind, name)
    }

    pub(crate) fn already_exists(kind: &ResourceType, name: &str) -> Self {
        let what = kind.qualified();
        let message = format!("{what} \"{name}\" already exists");
        Self::new(409, "AlreadyExists", message).about(kind, name)
    }

    pub(crate) fn conflict(kind: &ResourceType, name: &str, why: &str) -> Self {
        let what = kind.qualified();
        let message = format!("Operation cannot be fulfilled on {what} \"{name}\": {why}");
        Self::new(409, "Conflict", message).about(kind, name)
    }

    pub(crate) fn modified(kind: &ResourceType, name: &str) -> Self {
        Self::conflict(
            kind,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// Server-side apply conflicts: (manager description, dotted field).
    pub(crate) fn apply_conflict(conflicts: &[(String, String)]) -> Self {
        let mut message = String::new();
        let mut last = "";
        for (manager, field) in conflicts {
            if manager != last {
                message.extend(["\nconflicts with ", manager, ":"]);
                last = manager;
            }
            message.extend(["\n- ", field]);
        }
        let plural = if conflicts.len() == 1 { "" } else { "s" };
        let head = match conflicts {
            [(manager, field)] => format!("conflict with {manager}: {field}"),
            _ => message.trim_start_matches('\n').to_owned(),
        };
        let message = format!("Apply failed with {} conflict{plural}: {head}", conflicts.len());
        let mut failure = Self::new(409, "Conflict", message);
        let causes: Vec<Json> = conflicts
            .iter()
            .map(|(manager, field)| {
                json!({
                    "reason": "FieldManagerConflict",
                    "message": format!("conflict with {manager}"),
                    "field": field,
                })
            })
            .collect();
        failure.details = json!({"causes": causes});
        failure
    }

    pub(crate) fn forbidden(kind: &ResourceType, name: &str, why: &str) -> Self {
        let what = kind.qualified();
        let named = if name.is_empty() {
            format!("{what} is forbidden: {why}")
        } else {
            format!("{what} \"{name}\" is forbidden: {why}")
        };
        Self::new(403, "Forbidden", named).about(kind, name)
    }

    /// A create refused because the namespace is going away.
    pub(crate) fn terminating(kind: &ResourceType, name: &str, namespace: &str) -> Self {
        let why = format!(
            "unable to create new content in namespace {namespace} because it is being terminated"
        );
        let mut failure = Self::forbidden(kind, name, &why);
        failure.details["causes"] = json!([{
            "reason": "NamespaceTerminating",
            "message": format!("namespace {namespace} is being terminated"),
            "field": "metadata.namespace",
        }]);
        failure
    }

    /// A denial by an admission webhook: the webhook's name and its words.
    pub(crate) fn denied(webhook: &str, why: &str) -> Self {
        Self::new(
            403,
            "Forbidden",
            format!("admission webhook \"{webhook}\" denied the request: {why}"),
        )
    }

    /// 422 with one cause: (cause reason, field, message).
    pub(crate) fn invalid(
        kind: &ResourceType,
        name: &str,
        cause: &'static str,
        field: &str,
        why: &str,
    ) -> Self {
        let what = if kind.group.is_empty() {
            kind.kind.clone()
        } else {
            format!("{}.{}", kind.kind, kind.group)
        };
        let message = format!("{what} \"{name}\" is invalid: {field}: {why}");
        let mut failure = Self::new(422, "Invalid", message).about(kind, name);
        failure.details["kind"] = json!(kind.kind);
        failure.details["causes"] = json!([{"reason": cause, "message": why, "field": field}]);
        failure
    }

    /// 422 for the request's options rather than its object.
    pub(crate) fn invalid_options(what: &str, field: &str, why: &str) -> Self {
        let message = format!("{what}.meta.k8s.io \"\" is invalid: {field}: {why}");
        let mut failure = Self::new(422, "Invalid", message);
        failure.details = json!({
            "group": "meta.k8s.io",
            "kind": what,
            "causes": [{"reason": "FieldValueRequired", "message": why, "field": field}],
        });
        failure
    }

    pub(crate) fn bad_request(why: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", why)
    }

    pub(crate) fn unprocessable(why: impl Into<String>) -> Self {
        Self::new(422, "Invalid", why)
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    pub(crate) fn method_not_allowed() -> Self {
        Self::new(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        )
    }

    pub(crate) fn unsupported_media(sent: &str, supported: &str) -> Self {
        Self::new(
            415,
            "UnsupportedMediaType",
            format!(
                "the body of the request was in an unknown format - {sent} is not one of the accepted media types: {supported}"
            ),
        )
    }

    pub(crate) fn expired(why: impl Into<String>) -> Self {
        Self::new(410, "Expired", why)
    }
}
