//! Azure Resource Graph: one POST over the tables of many subscriptions ("Azure REST: Resource Graph").
//!
//! The tables are those the documentation lists: extensions are in `kubernetesconfigurationresources` with PascalCase
//! property names, computes are in none. The query language is the subset in [`super::kql`].

use serde_json::{Value as Json, json};

use super::answer::{method_not_allowed, refuse};
use super::heartbeat::heard;
use super::{access, groups, kql};
use crate::state::clock::Pace;
use crate::state::id;
use crate::state::throttle::Taken;
use crate::state::world::{Stored, World};
use crate::wire::{HttpAnswer, HttpCall, Reply};

/// Answers `POST /providers/Microsoft.ResourceGraph/resources`.
pub(crate) fn handle(world: &mut World, call: &HttpCall) -> HttpAnswer {
    if call.method != http::Method::POST
        || !call.segments.last().is_some_and(|s| s.eq_ignore_ascii_case("resources"))
    {
        return Err(method_not_allowed(call));
    }
    let refill = if world.pace == Pace::Fast { 3000.0 } else { 3.0 };
    let now = world.now();
    let left = match world.buckets.take("resource graph", 15.0, refill, now) {
        Taken::Left(left) => left,
        Taken::Wait(seconds) => {
            return Err(refuse("graph-quota", &[])
                .with("Retry-After", seconds.to_string())
                .with("x-ms-user-quota-remaining", "0")
                .with("x-ms-user-quota-resets-after", "00:00:05"));
        }
    };
    let request = call.json()?;
    let query = request["query"].as_str().unwrap_or_default();
    let subscriptions: Vec<String> = request["subscriptions"]
        .as_array()
        .map(|all| all.iter().filter_map(|s| s.as_str()).map(str::to_ascii_lowercase).collect())
        .unwrap_or_default();
    let parsed = kql::Query::parse(query).map_err(|problem| invalid(&problem))?;
    let rows = table(world, call, &parsed.table, &subscriptions).ok_or_else(|| {
        invalid(&format!("Table {} is invalid, unsupported or disallowed.", parsed.table))
    })?;
    let rows = parsed.run(rows).map_err(|problem| invalid(&problem))?;
    let options = &request["options"];
    let number = |name: &str| options[name].as_u64().and_then(|n| usize::try_from(n).ok());
    let top = number("$top").unwrap_or(1000);
    if !(1..=1000).contains(&top) {
        return Err(invalid(&format!("$top is {top}, but must lie between 1 and 1000.")));
    }
    let skip = match options["$skipToken"].as_str() {
        Some(token) => token.parse().map_err(|_| invalid("The $skipToken is invalid."))?,
        None => number("$skip").unwrap_or(0),
    };
    let total = rows.len();
    let page: Vec<Json> = rows.into_iter().skip(skip).take(top).collect();
    let more = skip + page.len() < total;
    let pages = more && page.first().is_some_and(|row| row.get("id").is_some());
    let mut body = json!({"totalRecords": total, "count": page.len(), "facets": [],
        "resultTruncated": if more && !pages { "true" } else { "false" }});
    if pages {
        body["$skipToken"] = json!((skip + page.len()).to_string());
    }
    let as_table = options["resultFormat"]
        .as_str()
        .map_or(call.api_version() < "2020", |format| format.eq_ignore_ascii_case("table"));
    body["data"] = if as_table { tabular(&page) } else { json!(page) };
    Ok(Reply::ok(body)
        .with("x-ms-user-quota-remaining", left.to_string())
        .with("x-ms-user-quota-resets-after", "00:00:05")
        .with("x-ms-ratelimit-remaining-tenant-resource-requests", left.to_string()))
}

fn invalid(problem: &str) -> Reply {
    Reply::json(
        400,
        json!({"error": {"code": "BadRequest", "message": "Please provide below info when asking for support: the query is invalid.",
            "details": [{"code": "InvalidQuery", "message": "Query is invalid. Please refer to the documentation for the Azure Resource Graph service and fix the error before retrying."},
                {"code": "ParserFailure", "message": problem}]}}),
    )
}

fn tabular(rows: &[Json]) -> Json {
    let columns: Vec<String> = rows
        .first()
        .and_then(Json::as_object)
        .map(|row| row.keys().cloned().collect())
        .unwrap_or_default();
    let kinds: Vec<Json> = columns
        .iter()
        .map(|name| json!({"name": name, "type": if rows[0][name].is_string() { "string" } else { "object" }}))
        .collect();
    let cells: Vec<Json> = rows
        .iter()
        .map(|row| json!(columns.iter().map(|name| row[name].clone()).collect::<Vec<_>>()))
        .collect();
    json!({"columns": kinds, "rows": cells})
}

/// The rows of a table in these subscriptions, or in all of them, as the index has them: behind the writes by what the
/// world says, and only what the caller may read. `None` for a table that does not exist.
fn table(
    world: &mut World,
    call: &HttpCall,
    name: &str,
    subscriptions: &[String],
) -> Option<Vec<Json>> {
    let kinds: &[&str] = match name.to_ascii_lowercase().as_str() {
        "resources" => &[],
        "kubernetesconfigurationresources" => &["microsoft.kubernetesconfiguration/extensions"],
        "authorizationresources" => &["microsoft.authorization/roleassignments"],
        "resourcecontainers" => {
            &["microsoft.resources/subscriptions", "microsoft.resources/resourcegroups"]
        }
        _ => return None,
    };
    world.catch_up();
    let belongs = |key: &str, body: &Json| match kinds {
        [] => groups::is_tracked(key, body),
        kinds => kinds.contains(&id::type_of(key).as_str()),
    };
    let wanted = |key: &str| {
        subscriptions.is_empty()
            || key.split('/').nth(2).is_some_and(|own| subscriptions.iter().any(|text| text == own))
    };
    let may_see = access::reader(world, call);
    let live: Vec<(&str, &Stored)> = match kinds {
        [] => world.resources.iter().map(|(key, stored)| (key.as_str(), stored)).collect(),
        kinds => kinds.iter().flat_map(|kind| world.keyed("", kind)).collect(),
    };
    let current = live.into_iter().filter(|(key, _)| !world.lagging.contains_key(*key));
    let mut found: Vec<(String, Json, bool)> = current
        .filter(|(key, stored)| wanted(key) && belongs(key, &stored.body) && may_see(key))
        .map(|(key, stored)| {
            (key.to_owned(), row(world, key, &stored.body), world.is_young(stored.created))
        })
        .collect();
    let before =
        world.lagging.iter().filter_map(|(key, lagging)| Some((key, lagging.body.as_ref()?)));
    let before = before.filter(|(key, body)| wanted(key) && belongs(key, body) && may_see(key));
    found.extend(before.map(|(key, body)| (key.clone(), row(world, key, body), false)));
    drop(may_see);
    found.sort_by(|(a, ..), (b, ..)| a.cmp(b));
    let faults = &mut world.faults;
    found.retain(|(key, _, young)| !(*young && faults.is_stale(&format!("graph {key}"))));
    Some(found.into_iter().map(|(_, row, _)| row).collect())
}

fn row(world: &World, key: &str, body: &Json) -> Json {
    let mut body = body.clone();
    heard(world, &mut body);
    let target = id::parse(key);
    let kind = id::type_of(key);
    let properties = if kind == "microsoft.kubernetesconfiguration/extensions" {
        pascal(&body["properties"])
    } else {
        body["properties"].clone()
    };
    let or_null = |member: &str| body.get(member).cloned().unwrap_or(Json::Null);
    let id = body["id"].as_str().unwrap_or_default();
    let id = if kind == "microsoft.kubernetesconfiguration/extensions" {
        id.replace("/extensions/", "/Extensions/")
    } else {
        id.to_owned()
    };
    json!({"id": id, "name": body["name"].as_str().map_or_else(|| body["displayName"].clone(), |name| json!(name)), "type": kind,
        "tenantId": world.tenant(), "subscriptionId": target.subscription, "resourceGroup": target.group.unwrap_or_default().to_ascii_lowercase(),
        "location": or_null("location"), "kind": body["kind"].as_str().unwrap_or_default(), "managedBy": body["managedBy"].as_str().unwrap_or_default(),
        "sku": or_null("sku"), "plan": or_null("plan"), "tags": or_null("tags"), "identity": or_null("identity"),
        "zones": or_null("zones"), "extendedLocation": or_null("extendedLocation"), "properties": properties})
}

/// Property names as this table has them: `ExtensionType`, `ConfigurationSettings`. The keys of settings stay.
fn pascal(properties: &Json) -> Json {
    let mut map = serde_json::Map::new();
    if let Some(properties) = properties.as_object() {
        for (name, value) in properties {
            let mut letters = name.chars();
            let first =
                letters.next().map(|c| c.to_ascii_uppercase().to_string()).unwrap_or_default();
            map.insert(first + letters.as_str(), value.clone());
        }
    }
    Json::Object(map)
}
