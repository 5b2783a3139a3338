//! Many reads in one request: `POST /batch`, which the portal, Ansible's inventory and Azure Quick
//! Review use. It is in no reference, so whoever calls it must be able to do without: any answer
//! that is not understood is an error here, and a single read there.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use http::Method;
use serde_json::json;

use super::{ApiError, Reader};
use crate::client::net::{Pages, clock, retry_after};
use crate::model::Json;

const BATCH: &str = "/batch";
const VERSION: &str = "2020-06-01";
/// Between two looks at a batch that is not done, unless the server asks for more.
const LOOK: Duration = Duration::from_secs(1);
/// How many requests one batch may hold.
const MOST: usize = 500;
/// What a subscription's bucket of reads gains (ARM docs: request limits and throttling).
const READS_PER_SECOND: u64 = 25;
/// How long a batch may take before its reads are done one by one.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

impl Reader {
    /// Reads many resources or lists (id or path, API version), 500 to a batch. Only those with a
    /// clear answer are in the result, by their index: `None` is not there. What is throttled inside
    /// a batch is asked for again, once about as much as is left may be asked for.
    ///
    /// # Errors
    /// When batches are refused, or are not done in time.
    pub async fn get_many(
        &self,
        wanted: &[(&str, &str)],
    ) -> Result<BTreeMap<usize, Option<Json>>, ApiError> {
        let mut found = BTreeMap::new();
        let mut left: Vec<usize> = (0..wanted.len()).collect();
        let ends = clock::after(PATIENCE);
        while !left.is_empty() {
            let batches = left.chunks(MOST).map(|some| async move {
                let ids: Vec<(&str, &str)> = some.iter().map(|at| wanted[*at]).collect();
                self.batch(&ids).await.map(|parts| (some, parts))
            });
            let mut again = Vec::new();
            let mut wait = Duration::ZERO;
            for (some, parts) in futures_util::future::try_join_all(batches).await? {
                for (at, part) in parts {
                    match part {
                        Part::Clear(document) => drop(found.insert(some[at], document)),
                        Part::Throttled(asked) => {
                            again.push(some[at]);
                            wait = wait.max(asked);
                        }
                    }
                }
            }
            left = again;
            let refilled = Duration::from_secs(left.len() as u64 / READS_PER_SECOND);
            let pause = clock::sleep(wait.max(refilled));
            if !left.is_empty() && clock::until(ends, pause).await.is_none() {
                break;
            }
        }
        Ok(found)
    }

    /// One batch. More than 20 requests are answered later, under an address of their own.
    async fn batch(&self, wanted: &[(&str, &str)]) -> Result<BTreeMap<usize, Part>, ApiError> {
        let root = self.cloud().resource_manager.to_string();
        let name = |at: usize| uuid::Uuid::from_u128(at as u128).to_string();
        let requests: Vec<Json> = wanted
            .iter()
            .enumerate()
            .map(|(at, (id, api_version))| {
                let url = self.url(id, api_version);
                let url = url.strip_prefix(root.as_str()).unwrap_or(&url);
                json!({"httpMethod": "GET", "name": name(at), "url": url})
            })
            .collect();
        let url = self.url(BATCH, VERSION);
        let body = json!({ "requests": requests });
        let mut answer = self.exchange(&Method::POST, &url, Some(&body)).await?;
        let (mut found, mut pages) = (BTreeMap::new(), Pages::default());
        loop {
            let bytes = self.done(answer).await?;
            let mut page: Json =
                serde_json::from_slice(&bytes).map_err(|it| strange(&it.to_string()))?;
            let key = if page["responses"].is_array() { "responses" } else { "value" };
            let Some(items) = page[key].as_array_mut().map(std::mem::take) else {
                return Err(strange("a batch without answers"));
            };
            found.extend(items.into_iter().filter_map(|it| clear(it, wanted)));
            let Some(next) = page["nextLink"].as_str().filter(|it| !it.is_empty()) else {
                return Ok(found);
            };
            pages.turn(next, bytes.len()).map_err(|it| strange(&it))?;
            answer = self.follow(next).await?;
        }
    }

    /// Waits for the answers of a batch under the address it was given.
    async fn done(&self, answer: Exchanged) -> Result<bytes::Bytes, ApiError> {
        let (mut status, mut headers, mut body) = answer;
        let ends = clock::after(PATIENCE);
        let mut at: Option<String> = None;
        while status == 202 {
            let text = |it: &http::HeaderValue| it.to_str().ok().map(str::to_owned);
            let location = headers.get("location").and_then(text).or(at);
            let location = location.ok_or_else(|| strange("a batch without an address"))?;
            let wait = retry_after(&headers, SystemTime::now()).unwrap_or(LOOK);
            if clock::until(ends, clock::sleep(wait)).await.is_none() {
                return Err(strange("a batch that was not done in time"));
            }
            (status, headers, body) = self.follow(&location).await?;
            at = Some(location);
        }
        if status == 200 { Ok(body) } else { Err(strange("batches are not served here")) }
    }

    async fn follow(&self, url: &str) -> Result<Exchanged, ApiError> {
        if !self.cloud().resource_manager.covers(url) {
            return Err(strange("a batch leads to another service"));
        }
        self.exchange(&Method::GET, url, None).await
    }
}

/// Status, headers and body.
type Exchanged = (u16, http::HeaderMap, bytes::Bytes);

fn strange(what: &str) -> ApiError {
    ApiError::about(&Method::POST, BATCH, "UnreadableAnswer", what.to_owned())
}

/// One answer of a batch.
enum Part {
    /// What is there, or nothing.
    Clear(Option<Json>),
    /// Not now; the wait that was asked for.
    Throttled(Duration),
}

/// Index and answer, where it is clear; the others are read again by themselves.
fn clear(mut answer: Json, wanted: &[(&str, &str)]) -> Option<(usize, Part)> {
    let name = answer["name"].as_str()?.parse::<uuid::Uuid>().ok()?;
    let index = usize::try_from(name.as_u128()).ok()?;
    let (path, _) = wanted.get(index)?;
    let content = answer["content"].take();
    match answer["httpStatusCode"].as_u64()? {
        200 if content.is_object() => Some((index, Part::Clear(Some(content)))),
        404 => {
            let (none, text) = (http::HeaderMap::new(), content.to_string());
            let error = ApiError::from_answer(&Method::GET, path, 404, &none, text.as_bytes());
            error.is_absent().then_some((index, Part::Clear(None)))
        }
        429 => {
            let mut headers = http::HeaderMap::new();
            for (name, value) in answer["headers"].as_object().into_iter().flatten() {
                let name = name.parse::<http::HeaderName>().ok()?;
                headers.insert(name, value.as_str()?.parse().ok()?);
            }
            let wait = retry_after(&headers, SystemTime::now()).unwrap_or(LOOK);
            Some((index, Part::Throttled(wait)))
        }
        _ => None,
    }
}
