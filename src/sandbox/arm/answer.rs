//! What the services share: a request to a resource, the errors as ARM words them, pages, and the envelope of a resource.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use http::Method;
use serde_json::{Value as Json, json};

use crate::json::copy;
use crate::state::clock::Pace;
use crate::state::event::Occurrence;
use crate::state::id::{self, Level, ResourcePath};
use crate::state::world::World;
use crate::wire::{HttpCall, Reply, fail};

/// A request to a resource or a collection.
pub(crate) struct Ask<'a> {
    pub(crate) call: &'a HttpCall,
    pub(crate) target: &'a ResourcePath,
    /// The path as an id: canonical `resourceGroups`, names as the caller wrote them.
    pub(crate) id: String,
    /// `namespace/type/type` in lower case.
    pub(crate) kind: String,
}

impl<'a> Ask<'a> {
    pub(crate) fn new(call: &'a HttpCall, target: &'a ResourcePath) -> Ask<'a> {
        let kind = target.last().map(Level::full_type).unwrap_or_default().to_ascii_lowercase();
        Ask { call, target, id: canonical_id(call), kind }
    }

    pub(crate) fn name(&self) -> &str {
        id::last_segment(&self.id)
    }

    /// The id without its last `type/name`.
    pub(crate) fn parent(&self) -> String {
        id::parent_id(&self.id)
    }

    /// The resource an action (`…/{name}/listKeys`) is called on.
    pub(crate) fn subject(&self) -> &str {
        self.id.rsplit_once('/').map_or("", |(subject, _)| subject)
    }

    /// Whether it is about one resource, not a collection.
    pub(crate) fn is_named(&self) -> bool {
        self.target.last().is_some_and(Level::is_named)
    }

    pub(crate) fn subscription(&self) -> &str {
        self.target.subscription.as_deref().unwrap_or_default()
    }
}

static ERRORS: LazyLock<BTreeMap<String, (u16, String, String)>> = LazyLock::new(|| {
    toml::from_str(include_str!("errors.toml")).expect("the embedded list of errors parses")
});

/// An error of `errors.toml`, with the values that stand in its text.
pub(crate) fn refuse(error: &str, values: &[&str]) -> Reply {
    let Some((status, code, text)) = ERRORS.get(error) else {
        return fail(500, "InternalServerError", error);
    };
    let (first, rest) = text.split_once("{}").unwrap_or((text, ""));
    let mut message = first.to_owned();
    let rest = rest.split("{}").take(values.len());
    for (value, part) in values.iter().zip(rest) {
        message.extend([*value, part]);
    }
    fail(*status, code, message)
}

/// ARM's 404 for a resource.
pub(crate) fn not_found(target: &ResourcePath) -> Reply {
    let named = |level: &Level| format!("{}/{}", level.full_type(), level.last_name());
    let what = target.last().map(named).unwrap_or_default();
    refuse("resource", &[&what, target.group.as_deref().unwrap_or("<null>")])
}

/// ARM's 404 for a child whose parent is missing.
pub(crate) fn parent_not_found(parent: &str) -> Reply {
    refuse("parent", &[id::last_segment(parent)])
}

pub(crate) fn method_not_allowed(call: &HttpCall) -> Reply {
    refuse("method", &[call.method.as_str()])
}

/// 429 as ARM words it.
pub(crate) fn too_many(seconds: u32) -> Reply {
    let seconds = seconds.to_string();
    refuse("throttled", &[&seconds]).with("Retry-After", seconds)
}

/// Whether a text matches a pattern with `*`, in any case.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.to_ascii_lowercase(), text.to_ascii_lowercase());
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

/// How many entries a page has unless the world says otherwise.
const PAGE: usize = 100;

/// A list in pages; only what is on the page is shown. `nextLink` is absolute ("Azure REST: pagination") and goes on by
/// `$skipToken`.
pub(crate) fn page<T>(
    world: &World,
    call: &HttpCall,
    items: impl IntoIterator<Item = T>,
    show: impl FnMut(T) -> Json,
) -> Reply {
    pages(world, call, "$skipToken", items, show)
}

/// [`page`] by the parameter that the service counts with.
pub(crate) fn pages<T>(
    world: &World,
    call: &HttpCall,
    skip: &str,
    items: impl IntoIterator<Item = T>,
    show: impl FnMut(T) -> Json,
) -> Reply {
    let size = world.file.page_size.map_or(PAGE, std::num::NonZeroUsize::get);
    let from = call.param(&skip.to_ascii_lowercase()).and_then(|token| token.parse().ok());
    let from: usize = from.unwrap_or(0);
    let mut rest = items.into_iter().skip(from);
    let value: Vec<Json> = rest.by_ref().take(size).map(show).collect();
    let mut body = json!({"value": value});
    if rest.next().is_some() {
        let kept = url::form_urlencoded::parse(call.raw_query.as_bytes())
            .filter(|(key, _)| !key.eq_ignore_ascii_case(skip));
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(kept).append_pair(skip, &(from + size).to_string());
        let link = format!("{}{}?{}", call.origin, call.raw_path, query.finish());
        body["nextLink"] = json!(link);
    }
    Reply::ok(body)
}

/// `Retry-After` for a client that waits; in fast mode other headers say not to wait.
pub(crate) fn retry_later(world: &World, reply: Reply, seconds: u32) -> Reply {
    if world.pace == Pace::Fast { reply } else { reply.with("Retry-After", seconds.to_string()) }
}

/// The event that changes a value of a resource.
pub(crate) fn set(id: &str, pointer: &str, value: &str) -> Occurrence {
    Occurrence::Set { id: id.to_owned(), pointer: pointer.to_owned(), value: json!(value) }
}

/// Marks a resource as being removed.
pub(crate) fn mark_deleting(world: &mut World, id: &str) {
    if let Some(stored) = world.get_mut(id) {
        stored.body["properties"]["provisioningState"] = json!("Deleting");
    }
}

/// The path of the request as an id: canonical `resourceGroups`, names as the caller wrote them.
pub(crate) fn canonical_id(call: &HttpCall) -> String {
    let mut segments = call.segments.clone();
    for (at, word) in [(0, "subscriptions"), (2, "resourceGroups")] {
        if let Some(segment) = segments.get_mut(at).filter(|text| text.eq_ignore_ascii_case(word)) {
            word.clone_into(segment);
        }
    }
    format!("/{}", segments.join("/"))
}

/// The id as some services return it: `resourcegroups` in lower case.
pub(crate) fn lower_group(id: &str) -> String {
    id.replace("/resourceGroups/", "/resourcegroups/")
}

/// `West Europe` as ARM keeps it: `westeurope`.
pub(crate) fn region(location: &Json) -> String {
    location.as_str().unwrap_or_default().to_ascii_lowercase().replace(' ', "")
}

/// A tracked resource as ARM returns it, from the request over what was there.
pub(crate) fn envelope(
    world: &World,
    id: &str,
    kind: &str,
    request: &Json,
    existing: Option<&Json>,
) -> Json {
    let mut body = json!({"id": existing.map_or(json!(id), |old| old["id"].clone()), "name": id::last_segment(id), "type": kind});
    // A PUT replaces; where a resource is and of which kind it is cannot change.
    copy(existing.unwrap_or(&Json::Null), &["location", "kind", "sku"], &mut body);
    let own = ["location", "tags", "sku", "kind", "identity", "zones", "plan", "extendedLocation"];
    copy(request, &own, &mut body);
    if body.get("identity").is_some() {
        body["identity"] = fill_identity(world, id, &body["identity"]);
    }
    body["properties"] = request.get("properties").cloned().unwrap_or_else(|| json!({}));
    body
}

/// What Azure adds to an `identity`: principals of the system and the user-assigned ones.
pub(crate) fn fill_identity(world: &World, id: &str, identity: &Json) -> Json {
    let kind = identity["type"].as_str().unwrap_or("None");
    let mut filled = json!({"type": kind});
    if kind.to_ascii_lowercase().contains("systemassigned") {
        filled["principalId"] = json!(world.guid(&format!("principal {id}")));
        filled["tenantId"] = json!(world.tenant());
    }
    if let Some(users) = identity["userAssignedIdentities"].as_object() {
        let user = |id: &String| (id.clone(), identity_of(world, id));
        filled["userAssignedIdentities"] = Json::Object(users.keys().map(user).collect());
    }
    filled
}

/// `principalId` and `clientId` of a user-assigned identity.
pub(crate) fn identity_of(world: &World, id: &str) -> Json {
    let key = id::key(id);
    json!({"principalId": world.guid(&format!("principal {key}")), "clientId": world.guid(&format!("client {key}"))})
}

/// Whether a request may change something.
pub(crate) fn reads(call: &HttpCall) -> bool {
    matches!(call.method, Method::GET | Method::HEAD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_of_an_action_stand_for_any_text() {
        for (pattern, action, holds) in [
            ("*", "Microsoft.Relay/namespaces/read", true),
            ("*/read", "Microsoft.Relay/namespaces/read", true),
            ("*/read", "Microsoft.Relay/namespaces/write", false),
            ("microsoft.relay/*/Read", "Microsoft.Relay/namespaces/read", true),
            ("Microsoft.Relay/*", "Microsoft.RelayX/namespaces/read", false),
            ("Microsoft.Relay/namespaces/read", "Microsoft.Relay/namespaces/reads", false),
        ] {
            assert_eq!(matches(pattern, action), holds, "{pattern} {action}");
        }
    }

    #[test]
    fn every_error_that_a_service_answers_is_in_the_list() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("arm");
        let files = std::fs::read_dir(folder).expect("the services").flatten();
        let mut used = std::collections::BTreeSet::new();
        for file in files.filter(|entry| entry.path().extension().is_some_and(|it| it == "rs")) {
            let text = std::fs::read_to_string(file.path()).expect("read");
            let flat = text.split_whitespace().collect::<String>();
            for call in ["refuse(\"", "refuse_compute(world,\""] {
                let found = flat.split(call).skip(1).filter_map(|part| part.split('"').next());
                used.extend(found.map(ToOwned::to_owned));
            }
        }
        used.retain(|text| text.chars().all(|c| c.is_ascii_lowercase() || c == '-'));
        assert!(used.len() > 50, "{used:?}");
        for error in used {
            assert!(ERRORS.contains_key(&error), "{error}");
        }
    }
}
