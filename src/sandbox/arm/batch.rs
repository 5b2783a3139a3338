//! `POST /batch`: many requests in one, as the portal sends them. Seen in public tools rather than in the reference
//! (Azure/azqr: diagnostic settings scanner; Ansible: azure_rm inventory; the portal's own traffic): up to 20 are
//! answered at once under `responses`, up to 500 with 202, an address and, there, `value`.

use axum::body::Bytes;
use http::{HeaderMap, Method};
use serde_json::{Value as Json, json};

use super::answer::{refuse, retry_later};
use super::front;
use crate::state::world::World;
use crate::wire::{HttpAnswer, HttpCall, Reply, decode_path};

const AT_ONCE: usize = 20;
const MOST: usize = 500;
/// Batches whose answers are kept to be fetched.
const KEPT: usize = 100;

pub(crate) fn handle(world: &mut World, call: &HttpCall) -> HttpAnswer {
    if call.method == Method::GET {
        let found = call.segments.get(1).and_then(|id| world.batches.get(id)).cloned();
        return found
            .map(|value| Reply::ok(json!({ "value": value })))
            .ok_or_else(|| refuse("batch", &[]));
    }
    let body = call.json()?;
    let requests = body["requests"].as_array().cloned().unwrap_or_default();
    if call.method != Method::POST || requests.is_empty() || requests.len() > MOST {
        return Err(refuse("batch-size", &[&MOST.to_string(), &requests.len().to_string()]));
    }
    let answers: Vec<Json> = requests.iter().map(|value| answer(world, call, value)).collect();
    if answers.len() <= AT_ONCE {
        return Ok(Reply::ok(json!({ "responses": answers })));
    }
    let id = world.guid(&format!("batch {}", world.batches.len()));
    if world.batches.len() >= KEPT {
        world.batches.clear();
    }
    world.batches.insert(id.clone(), Json::Array(answers));
    let version = call.api_version();
    let location = format!("{}/batch/{id}?api-version={version}", call.origin);
    Ok(retry_later(world, Reply::empty(202).with("Location", location), 1))
}

fn answer(world: &mut World, around: &HttpCall, request: &Json) -> Json {
    let text = |name: &str| request[name].as_str().filter(|it| !it.is_empty());
    let url = text("url").or_else(|| text("relativeUrl")).unwrap_or_default();
    let relative = url.strip_prefix(around.origin.as_str()).unwrap_or(url);
    let (path, query) = relative.split_once('?').unwrap_or((relative, ""));
    let method = text("httpMethod").and_then(|it| it.parse().ok()).unwrap_or(Method::GET);
    let mut headers = HeaderMap::new();
    let token = around.headers.get(http::header::AUTHORIZATION).cloned();
    headers.extend(token.map(|header| (http::header::AUTHORIZATION, header)));
    let content = request.get("content").filter(|value| !value.is_null());
    let own = HttpCall {
        method,
        segments: decode_path(path),
        query: url::form_urlencoded::parse(query.as_bytes())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.into_owned()))
            .collect(),
        raw_path: path.to_owned(),
        raw_query: query.to_owned(),
        headers,
        body: content.map(|value| Bytes::from(value.to_string())).unwrap_or_default(),
        unmeasured: false,
        origin: around.origin.clone(),
    };
    let reply =
        if own.is(0, "batch") { refuse("batch-nested", &[]) } else { front::handle(world, &own) };
    let headers: serde_json::Map<String, Json> =
        reply.headers.into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
    let content = reply.body.unwrap_or(Json::Null);
    json!({"name": request["name"], "httpStatusCode": reply.status, "headers": headers,
        "contentLength": content.to_string().len(), "content": content})
}
