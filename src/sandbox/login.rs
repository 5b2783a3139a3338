//! Sign-in: Entra ID's token endpoints, discovery, managed identity, and cloud metadata ("Microsoft identity platform";
//! what MSAL, the Azure CLI and go-azure-sdk ask for).
//!
//! Any secret is accepted. Tokens are unsigned JWTs with the claims clients read: `aud iss tid oid appid exp`.

use base64::Engine;
use http::Method;
use serde_json::{Value as Json, json};

use crate::state::clock::machine_now;
use crate::state::world::World;
use crate::wire::{HttpCall, Reply, fail};

/// Answers a sign-in or metadata path, or `None` when the path is another service's.
pub(crate) fn handle(world: &World, call: &HttpCall) -> Option<Reply> {
    let last: Vec<String> = call.segments.iter().map(|s| s.to_ascii_lowercase()).collect();
    let parts: Vec<&str> = last.iter().map(String::as_str).collect();
    match parts.as_slice() {
        ["metadata", "endpoints"] => Some(metadata(call)),
        ["metadata", "identity", "oauth2", "token"] => Some(managed_identity(world, call)),
        [tenant, "v2.0", ".well-known", "openid-configuration"]
        | [tenant, ".well-known", "openid-configuration"] => Some(openid(call, tenant)),
        ["common", "discovery", "instance"] => Some(Reply::ok(json!({
            "tenant_discovery_endpoint": format!("{}/common/v2.0/.well-known/openid-configuration", call.origin),
            "api-version": "1.1", "metadata": []}))),
        [_, "oauth2", "v2.0", "token"] | [_, "oauth2", "token"] => {
            Some(token(world, call, &call.segments[0]))
        }
        _ => None,
    }
}

fn openid(call: &HttpCall, tenant: &str) -> Reply {
    let base = &call.origin;
    let (authorize, token, device, issuer) = if tenant == "adfs" {
        (
            format!("{base}/adfs/oauth2/authorize"),
            format!("{base}/adfs/oauth2/token"),
            format!("{base}/adfs/oauth2/devicecode"),
            format!("{base}/adfs"),
        )
    } else {
        (
            format!("{base}/{tenant}/oauth2/v2.0/authorize"),
            format!("{base}/{tenant}/oauth2/v2.0/token"),
            format!("{base}/{tenant}/oauth2/v2.0/devicecode"),
            format!("{base}/{tenant}/v2.0"),
        )
    };
    Reply::ok(
        json!({"issuer": issuer, "authorization_endpoint": authorize, "token_endpoint": token,
        "device_authorization_endpoint": device, "jwks_uri": format!("{base}/{tenant}/discovery/v2.0/keys"),
        "response_modes_supported": ["query", "fragment", "form_post"], "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"], "response_types_supported": ["code", "id_token"],
        "scopes_supported": ["openid"], "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"]}),
    )
}

fn token(world: &World, call: &HttpCall, tenant: &str) -> Reply {
    if call.method != Method::POST {
        return fail(405, "MethodNotAllowed", "The token endpoint takes POST.");
    }
    let form: std::collections::BTreeMap<String, String> =
        url::form_urlencoded::parse(&call.body).into_owned().collect();
    let text = |name: &str| form.get(name).map(String::as_str).filter(|value| !value.is_empty());
    if text("grant_type").is_none() {
        return login_error(
            world,
            "invalid_request",
            900_144,
            "AADSTS900144: The request body must contain the following parameter: 'grant_type'.",
            400,
        );
    }
    if text("grant_type") == Some("client_credentials")
        && text("client_secret").is_none()
        && text("client_assertion").is_none()
    {
        return login_error(
            world,
            "invalid_client",
            7_000_216,
            "AADSTS7000216: 'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type.",
            401,
        );
    }
    let audience = text("resource").map(ToOwned::to_owned).or_else(|| {
        text("scope")
            .and_then(|scope| scope.split(' ').find_map(|s| s.strip_suffix("/.default")))
            .map(ToOwned::to_owned)
    });
    let client = text("client_id").unwrap_or("00000000-0000-0000-0000-000000000000");
    let tenant = if tenant.eq_ignore_ascii_case("adfs")
        || tenant.eq_ignore_ascii_case("common")
        || tenant.eq_ignore_ascii_case("organizations")
    {
        world.tenant()
    } else {
        tenant
    };
    Reply::ok(token_body(
        world,
        tenant,
        client,
        audience.as_deref().unwrap_or("https://management.core.windows.net/"),
    ))
    .with("cache-control", "no-store")
}

fn token_body(world: &World, tenant: &str, client: &str, audience: &str) -> Json {
    const LIFETIME: i64 = 86_399;
    // Clients compare with their own clock, not with the world's.
    let now = machine_now().as_second();
    let claims = json!({"aud": audience, "iss": format!("https://sts.windows.net/{tenant}/"), "iat": now, "nbf": now,
        "exp": now + LIFETIME, "tid": tenant, "oid": world.guid("caller"), "sub": world.guid("caller"), "appid": client,
        "azp": client, "idtyp": "app", "scp": "user_impersonation", "ver": "1.0"});
    let part =
        |value: &Json| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value.to_string());
    let token =
        format!("{}.{}.c2FuZGJveA", part(&json!({"typ": "JWT", "alg": "none"})), part(&claims));
    json!({"token_type": "Bearer", "expires_in": LIFETIME, "ext_expires_in": LIFETIME, "access_token": token,
        "expires_on": (now + LIFETIME).to_string(), "not_before": now.to_string(), "resource": audience})
}

fn login_error(world: &World, error: &str, code: u32, text: &str, status: u16) -> Reply {
    let trace = world.guid(text);
    Reply::json(
        status,
        json!({"error": error, "error_description": format!("{text} Trace ID: {trace} Correlation ID: {trace}"),
        "error_codes": [code], "timestamp": world.now().strftime("%Y-%m-%d %H:%M:%SZ").to_string(), "trace_id": trace,
        "correlation_id": trace, "error_uri": format!("https://login.microsoftonline.com/error?code={code}")}),
    )
}

fn managed_identity(world: &World, call: &HttpCall) -> Reply {
    if !call.header("metadata").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Reply::json(
            400,
            json!({"error": "invalid_request", "error_description": "Required metadata header not specified"}),
        );
    }
    let client =
        call.param("client_id").map_or_else(|| world.guid("managed identity"), ToOwned::to_owned);
    let mut body = token_body(
        world,
        world.tenant(),
        &client,
        call.param("resource").unwrap_or("https://management.azure.com/"),
    );
    body["client_id"] = json!(client);
    body["expires_in"] = json!(body["expires_in"].to_string());
    Reply::ok(body)
}

/// `/metadata/endpoints` in its three shapes: an object, a list (2019) and what az of 2021 reads (2015).
fn metadata(call: &HttpCall) -> Reply {
    let base = &call.origin;
    let audiences = json!(["https://management.core.windows.net/", base]);
    let version = call.api_version();
    if version < "2018" && !version.is_empty() {
        // That client turns instance discovery off only for an authority that ends in /adfs.
        return Reply::ok(
            json!({"galleryEndpoint": base, "graphEndpoint": base, "portalEndpoint": base, "graphAudience": base,
            "authentication": {"loginEndpoint": format!("{base}/adfs"), "audiences": audiences}}),
        );
    }
    // An address of this machine has no names below it.
    let vaults = format!("{}/vaults", base.split("://").nth(1).unwrap_or(base));
    let cloud = json!({
        "name": "AmlplanSandbox", "resourceManager": base, "microsoftGraphResourceId": format!("{base}/"), "portal": base,
        "gallery": base, "graph": base, "graphAudience": base, "batch": base, "media": base, "sqlManagement": base,
        "vmImageAliasDoc": base, "activeDirectoryDataLake": base, "logAnalyticsResourceId": base,
        "appInsightsResourceId": base, "appInsightsTelemetryChannelResourceId": base, "attestationResourceId": base,
        "synapseAnalyticsResourceId": base, "ossrDbmsResourceId": base, "ossrdbmsResourceId": base,
        "authentication": {"loginEndpoint": base, "audiences": audiences, "tenant": "common", "identityProvider": "AAD"},
        "suffixes": {"storage": "core.windows.net", "keyVaultDns": vaults, "acrLoginServer": "azurecr.io",
            "sqlServerHostname": "database.windows.net", "mhsmDns": "managedhsm.azure.net", "azureDataLakeStoreFileSystem": "azuredatalakestore.net",
            "azureFrontDoorEndpointSuffix": "azurefd.net", "storageSyncEndpointSuffix": "afs.azure.net",
            "postgresqlServerEndpoint": "postgres.database.azure.com", "mysqlServerEndpoint": "mysql.database.azure.com",
            "mariadbServerEndpoint": "mariadb.database.azure.com", "synapseAnalytics": "dev.azuresynapse.net"},
    });
    Reply::ok(if version.starts_with("2019") || version.starts_with("2018") {
        json!([cloud])
    } else {
        cloud
    })
}

/// ARM wants a Bearer token, of the tenant of the subscription when somebody named that; without one it says where to
/// sign in. The tenant of zeros is that of whoever did not name any.
pub(crate) fn check_bearer(
    world: &World,
    call: &HttpCall,
    subscription: Option<&str>,
) -> Result<(), Reply> {
    let bearer = call.header("authorization").and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let Some(token) = bearer.filter(|token| !token.is_empty()) else {
        let text = "Authentication failed. The 'Authorization' header is missing.";
        return Err(unauthorized(world, call, "AuthenticationFailed", text));
    };
    let wanted = subscription
        .and_then(|subscription| world.get(&format!("/subscriptions/{subscription}")))
        .and_then(|stored| stored.hidden["tenant"].as_str());
    let given = claims(token)
        .and_then(|claims| uuid::Uuid::parse_str(claims["tid"].as_str()?).ok())
        .filter(|given| !given.is_nil());
    match (wanted, given) {
        (Some(wanted), Some(given)) if !wanted.eq_ignore_ascii_case(&given.to_string()) => {
            let text = format!(
                "The access token is from the wrong issuer. It must match the tenant '{wanted}' associated with this subscription."
            );
            Err(unauthorized(world, call, "InvalidAuthenticationTokenTenant", &text))
        }
        _ => Ok(()),
    }
}

/// Who a token was given to.
pub(crate) struct TokenHolder {
    /// The id of the application or user.
    pub(crate) client: String,
    /// Its object id.
    pub(crate) object: String,
}

/// The principal of a request; tokens that were not made here are the caller's.
pub(crate) fn caller(world: &World, call: &HttpCall) -> TokenHolder {
    let token = call.header("authorization").and_then(|value| value.split_once(' '));
    let claims = token.and_then(|(_, token)| claims(token.trim())).unwrap_or_default();
    let object = claims["oid"].as_str().map_or_else(|| world.guid("caller"), ToOwned::to_owned);
    let client = claims["appid"].as_str().map_or_else(|| object.clone(), ToOwned::to_owned);
    TokenHolder { client, object }
}

/// The claims of a token that was made here.
pub(crate) fn claims(token: &str) -> Option<Json> {
    let middle = token.split('.').nth(1)?;
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(middle).ok()?)
        .ok()
}

fn unauthorized(world: &World, call: &HttpCall, code: &str, message: &str) -> Reply {
    let uri = format!("{}/{}", call.origin, world.tenant());
    fail(401, code, message).with(
        "WWW-Authenticate",
        format!("Bearer authorization_uri=\"{uri}\", error=\"invalid_token\", error_description=\"{message}\""),
    )
}
