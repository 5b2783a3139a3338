//! What each recorded error means.

use super::*;
use crate::client::net::Verdict;

fn answered(status: u16, body: &str) -> ApiError {
    ApiError::from_answer(&Method::PUT, "/x?sig=1", status, &HeaderMap::new(), body.as_bytes())
}

#[test]
fn every_code_has_its_verdict() {
    use Verdict::*;
    let cases = [
        (404, "ResourceNotFound", Absent),
        (404, "ResourceGroupNotFound", Absent),
        (404, "ParentResourceNotFound", Absent),
        (404, "NotFound", Absent),
        (404, "SubscriptionNotFound", Fatal),
        (404, "InvalidResourceType", Fatal),
        (400, "NoRegisteredProviderFound", Fatal),
        (400, "BadRequest", Fatal),
        (401, "ExpiredAuthenticationToken", Denied),
        (403, "AuthorizationFailed", Denied),
        (403, "RequestDisallowedByPolicy", Denied),
        (409, "ScopeLocked", Conflict),
        (409, "RoleAssignmentExists", Conflict),
        (409, "AnotherOperationInProgress", InProgress),
        (409, "ConcurrentFederatedIdentityCredentialsWritesForSingleManagedIdentity", InProgress),
        (409, "OperationNotAllowed", InProgress),
        (412, "PreconditionFailed", Conflict),
        (429, "TooManyRequests", Throttled),
        (500, "InternalServerError", Retry),
        (503, "ServerTimeout", Retry),
        (418, "Teapot", Fatal),
    ];
    for (status, code, verdict) in cases {
        let body = format!(r#"{{"error":{{"code":"{code}","message":"m."}}}}"#);
        assert_eq!(answered(status, &body).verdict(), verdict, "{status} {code}");
        let bare = format!(r#"{{"code":"{code}","message":"m."}}"#);
        assert_eq!(answered(status, &bare).verdict(), verdict, "bare {status} {code}");
    }
}

#[test]
fn details_inner_errors_and_policies_come_through() {
    let error = answered(
        403,
        r#"{"error":{"code":"RequestDisallowedByPolicy","target":"edge","message":"Resource 'edge' was disallowed by policy.",
            "details":[{"code":"A","message":"one","innerError":{"code":"B","message":"two"}}],
            "additionalInfo":[{"type":"PolicyViolation","info":{"policyDefinitionDisplayName":"Only West Europe","policyAssignmentName":"x"}}]}}"#,
    );
    assert_eq!(error.policies, ["Only West Europe"]);
    assert_eq!(error.codes().collect::<Vec<_>>(), ["RequestDisallowedByPolicy", "A", "B"]);
    let shown = error.to_string();
    assert_eq!(
        shown,
        "RequestDisallowedByPolicy: Resource 'edge' was disallowed by policy; A: one; B: two; \
         refused by policy Only West Europe (HTTP 403, PUT /x)"
    );
}

#[test]
fn answers_without_json_and_empty_answers_still_read_well() {
    assert!(answered(502, "<html>bad gateway</html>").message.contains("bad gateway"));
    assert_eq!(answered(500, "").to_string(), "internal server error (HTTP 500, PUT /x)");
}

#[test]
fn a_wrong_tenant_and_a_claims_challenge_are_explained() {
    let mut headers = HeaderMap::new();
    let tenant = "11111111-1111-1111-1111-111111111111";
    let challenge = format!(r#"Bearer authorization_uri="https://login.test/{tenant}", error="x""#);
    headers.insert("www-authenticate", challenge.parse().unwrap());
    let body = br#"{"error":{"code":"InvalidAuthenticationTokenTenant","message":"wrong issuer"}}"#;
    let error = ApiError::from_answer(&Method::GET, "/s", 401, &headers, body);
    assert!(error.message.contains(&format!("az login --tenant {tenant}")));
    let claims = r#"Bearer realm="", error="insufficient_claims", claims="e30=""#;
    headers.insert("www-authenticate", claims.parse().unwrap());
    let error = ApiError::from_answer(&Method::GET, "/s", 401, &headers, b"");
    assert!(error.message.contains("claims challenge"));
}

#[test]
fn a_failed_operation_tells_its_reason_or_that_there_is_none() {
    let with = serde_json::json!({"status": "Failed", "error": {"code": "ExtensionOperationFailed", "message": "Helm installation failed"}});
    let error = ApiError::from_operation(&Method::PUT, "/x", "Failed", &with);
    assert_eq!(error.code.as_deref(), Some("ExtensionOperationFailed"));
    let resource = serde_json::json!({"properties": {"statuses": [{"code": "InstallationFailed", "message": "no nodes"}]}});
    let error = ApiError::from_operation(&Method::PUT, "/x", "Failed", &resource);
    assert_eq!(
        (error.code.as_deref(), error.message.as_str()),
        (Some("InstallationFailed"), "no nodes")
    );
    let without = serde_json::json!({"status": "Failed", "error": null});
    let error = ApiError::from_operation(&Method::PUT, "/x", "Failed", &without);
    assert!(error.to_string().contains("gave no reason"));
}
