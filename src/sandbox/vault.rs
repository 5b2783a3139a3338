//! The data plane of Key Vault: versions of secrets, and their values ("Azure REST: Key Vault, Get Secret, Get Secret
//! Versions, Set Secret"). A vault answers at a host of its own, and where the world is served, below `/vaults/NAME`.
//!
//! A secret is a resource of ARM; its values are hidden there. A value that is written into it, by a PUT or by hand,
//! becomes a new version.

use http::Method;
use serde_json::{Value as Json, json};

use crate::arm::access;
use crate::login;
use crate::state::id;
use crate::state::world::World;
use crate::wire::{HttpAnswer, HttpCall, Reply, fail};

/// The type of a secret in ARM.
pub(crate) const SECRETS: &str = "microsoft.keyvault/vaults/secrets";

/// How many versions a page holds, unless the world says otherwise ("Get Secret Versions: maxresults").
const PAGE: usize = 25;

/// A request as its vault sees it.
struct VaultRequest<'a> {
    call: &'a HttpCall,
    vault: String,
    /// What the vault's addresses begin with.
    base: String,
    /// Whom tokens are for.
    audience: String,
    path: &'a [String],
}

/// Answers a request to a vault; `None` when it is for somebody else.
pub(crate) fn handle(world: &mut World, call: &HttpCall) -> Option<Reply> {
    let (scheme, host) = call.origin.split_once("://")?;
    let asked = match host.split_once('.') {
        Some((vault, suffix)) if suffix.starts_with("vault.") => VaultRequest {
            call,
            vault: vault.to_owned(),
            base: call.origin.clone(),
            audience: format!("{scheme}://{suffix}"),
            path: &call.segments,
        },
        _ if call.is(0, "vaults") && call.segments.len() > 1 => VaultRequest {
            call,
            vault: call.segments[1].clone(),
            base: format!("{}/vaults/{}", call.origin, call.segments[1]),
            audience: format!("{}/vaults", call.origin),
            path: &call.segments[2..],
        },
        _ => return None,
    };
    Some(match answer(world, &asked) {
        Ok(reply) | Err(reply) => reply,
    })
}

fn answer(world: &mut World, asked: &VaultRequest<'_>) -> HttpAnswer {
    signed_in(world, asked)?;
    if asked.call.api_version().is_empty() {
        return Err(fail(400, "BadParameter", "api-version must be specified"));
    }
    let named = |stored: &&crate::state::world::Stored| {
        stored.body["name"].as_str().is_some_and(|text| text.eq_ignore_ascii_case(&asked.vault))
    };
    let vaults = world.of_type(None, "microsoft.keyvault/vaults");
    let Some(vault) = vaults.into_iter().find(named) else {
        let text =
            format!("The vault '{}' does not exist: its name does not resolve.", asked.vault);
        return Err(fail(404, "VaultNotFound", text));
    };
    let vault = vault.body["id"].as_str().unwrap_or_default().to_owned();
    let path: Vec<&str> = asked.path.iter().map(String::as_str).collect();
    let ["secrets", name, rest @ ..] = path.as_slice() else {
        return Err(fail(404, "NotFound", "The path was not found."));
    };
    let secret = format!("{vault}/secrets/{name}");
    match (&asked.call.method, rest) {
        (&Method::GET, ["versions"]) => {
            permitted(world, asked, &secret, "readMetadata")?;
            Ok(versions(world, asked, &secret, name))
        }
        (&Method::GET, []) => get(world, asked, &secret, name, None),
        (&Method::GET, [version]) => get(world, asked, &secret, name, Some(version)),
        (&Method::PUT, []) => {
            permitted(world, asked, &secret, "setSecret")?;
            set(world, asked, &secret, name)
        }
        _ => Err(fail(405, "MethodNotAllowed", "The method is not allowed here.")),
    }
}

/// A vault takes tokens for vaults only.
fn signed_in(world: &World, asked: &VaultRequest<'_>) -> Result<(), Reply> {
    let challenge = |code: &str, text: String| {
        let authority = format!("https://login.microsoftonline.com/{}", world.tenant());
        let audience = &asked.audience;
        fail(401, code, text).with(
            "WWW-Authenticate",
            format!("Bearer authorization=\"{authority}\", resource=\"{audience}\""),
        )
    };
    let token = asked.call.header("authorization").and_then(|text| text.strip_prefix("Bearer "));
    let Some(token) = token else {
        let text = "AKV10000: Request is missing a Bearer or PoP token.";
        return Err(challenge("Unauthorized", text.to_owned()));
    };
    let claims = login::claims(token).unwrap_or_default();
    let found = claims["aud"].as_str().unwrap_or_default();
    if found.trim_end_matches('/') != asked.audience {
        let text =
            format!("AKV10022: Invalid audience. Expected {}, found: {found}.", asked.audience);
        return Err(challenge("Unauthorized", text));
    }
    Ok(())
}

/// Rights to data, as a vault with role assignments refuses them.
fn permitted(
    world: &World,
    asked: &VaultRequest<'_>,
    secret: &str,
    what: &str,
) -> Result<(), Reply> {
    let action = format!("Microsoft.KeyVault/vaults/secrets/{what}/action");
    let caller = login::caller(world, asked.call);
    if access::allows_data(world, &caller.object, secret, &action) {
        return Ok(());
    }
    let text = format!(
        "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role \
         definitions were changed recently, please observe propagation time.\r\nCaller: appid={};oid={}\r\nAction: \
         '{action}'\r\nResource: '{}'\r\nAssignment: (not found)\r\nVault: {}\r\n",
        caller.client,
        caller.object,
        secret.to_ascii_lowercase(),
        asked.vault
    );
    let body = json!({"error": {"code": "Forbidden", "message": text, "innererror": {"code": "ForbiddenByRbac"}}});
    Err(Reply::json(403, body))
}

fn get(
    world: &World,
    asked: &VaultRequest<'_>,
    secret: &str,
    name: &str,
    version: Option<&str>,
) -> HttpAnswer {
    permitted(world, asked, secret, "getSecret")?;
    let all = all(world, secret);
    let found = match version {
        Some(version) => all.iter().find(|value| value["id"] == version),
        None => all.last(),
    };
    let Some(found) = found else {
        let which = version.map_or_else(|| name.to_owned(), |it| format!("{name}/{it}"));
        let text = format!(
            "A secret with (name/id) {which} was not found in this key vault. If you recently deleted this secret you may be able to recover it using the correct recovery command. For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125182"
        );
        return Err(fail(404, "SecretNotFound", text));
    };
    if found["enabled"] == false {
        let text = "Operation get is not allowed on a disabled secret.";
        let body = json!({"error": {"code": "Forbidden", "message": text, "innererror": {"code": "SecretDisabled"}}});
        return Err(Reply::json(403, body));
    }
    let mut body = item(asked, name, found);
    body["value"] = found["value"].clone();
    Ok(Reply::ok(body))
}

/// A name that nobody ever used has no versions; it is no error.
fn versions(world: &World, asked: &VaultRequest<'_>, secret: &str, name: &str) -> Reply {
    let size = world.file.page_size.map_or(PAGE, std::num::NonZeroUsize::get);
    let from: usize = asked.call.param("$skiptoken").and_then(|it| it.parse().ok()).unwrap_or(0);
    let all = all(world, secret);
    let value: Vec<Json> =
        all.iter().skip(from).take(size).map(|value| item(asked, name, value)).collect();
    let next = (from + size < all.len()).then(|| {
        let (base, version) = (&asked.base, asked.call.api_version());
        format!("{base}/secrets/{name}/versions?api-version={version}&$skiptoken={}", from + size)
    });
    Reply::ok(json!({"value": value, "nextLink": next}))
}

fn set(world: &mut World, asked: &VaultRequest<'_>, secret: &str, name: &str) -> HttpAnswer {
    let request = asked.call.json()?;
    let Some(value) = request["value"].as_str() else {
        return Err(fail(400, "BadParameter", "Property value is required."));
    };
    put(world, secret, value, request["contentType"].as_str());
    get(world, asked, secret, name, None)
}

/// What a list and an answer say of a version.
fn item(asked: &VaultRequest<'_>, name: &str, version: &Json) -> Json {
    let id = version["id"].as_str().unwrap_or_default();
    let (created, enabled) = (&version["created"], &version["enabled"]);
    json!({"id": format!("{}/secrets/{name}/{id}", asked.base), "contentType": version["contentType"],
        "attributes": {"enabled": enabled, "created": created, "updated": created,
            "recoveryLevel": "Recoverable+Purgeable"}})
}

/// The versions of a secret, oldest first; whether the newest may be read says the resource.
fn all(world: &World, secret: &str) -> Vec<Json> {
    let Some(stored) = world.get(secret) else { return Vec::new() };
    let mut all = stored.hidden["versions"].as_array().cloned().unwrap_or_default();
    if let (Some(last), Some(false)) = (
        all.last_mut(),
        stored.body.pointer("/properties/attributes/enabled").and_then(Json::as_bool),
    ) {
        last["enabled"] = json!(false);
    }
    all
}

/// Writes a value: a new version.
pub(crate) fn put(world: &mut World, secret: &str, value: &str, content_type: Option<&str>) {
    if world.get(secret).is_none() {
        let body = json!({"id": secret, "name": id::last_segment(secret),
            "type": "Microsoft.KeyVault/vaults/secrets", "properties": {}});
        world.put(secret, body);
    }
    if let Some(stored) = world.get_mut(secret) {
        stored.body["properties"]["value"] = json!(value);
        stored.body["properties"]["contentType"] = json!(content_type);
    }
    settle(world, secret);
}

/// Turns a value that was written into a version, so that it stands nowhere in the open.
pub(crate) fn settle(world: &mut World, secret: &str) {
    let (now, vault) = (world.now().as_second(), id::parent_id(secret));
    let count = world.get(secret).and_then(|it| it.hidden["versions"].as_array().map(Vec::len));
    let version = world.guid(&format!("{secret} {}", count.unwrap_or(0))).replace('-', "");
    let Some(stored) = world.get_mut(secret) else { return };
    let properties = &mut stored.body["properties"];
    let Some(value) = properties.as_object_mut().and_then(|it| it.remove("value")) else { return };
    let content_type = properties["contentType"].clone();
    let name = id::last_segment(secret);
    let uri = format!("https://{}.vault.azure.net/secrets/{name}", id::last_segment(&vault));
    properties["secretUri"] = json!(uri);
    properties["secretUriWithVersion"] = json!(format!("{uri}/{version}"));
    properties["attributes"] = json!({"enabled": true, "created": now, "updated": now});
    if !stored.hidden["versions"].is_array() {
        stored.hidden["versions"] = json!([]);
    }
    if let Some(all) = stored.hidden["versions"].as_array_mut() {
        // Two of one second would have no order.
        let last = all.last().and_then(|value| value["created"].as_i64());
        let created = now.max(last.map_or(now, |number| number + 1));
        all.push(json!({"id": version, "value": value, "created": created, "enabled": true,
            "contentType": content_type}));
    }
}
