//! Many reads in one request: `POST /batch`, which the portal, Ansible's inventory and Azure Quick
//! Review use. It is in no reference, so whoever calls it must be able to do without: any answer
//! that is not understood is an error here, and a single read there.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use http::Method;
use serde_json::json;

use super::client::ArmAnswer;
use super::{ApiError, ArmReader};
use crate::client::net::{Pages, Turn, clock, poll, retry_after};
use crate::model::Json;

const BATCH: &str = "/batch";
const VERSION: &str = "2020-06-01";
/// How many requests one batch may hold.
const MOST: usize = 500;
/// How many are waited for before a batch is sent, where the limit is near.
const FEW: usize = 200;
/// Batches of one subscription at once.
const WORKERS: usize = 4;
/// How long batches may take before what they have not read is read one by one.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

impl ArmReader {
    /// Reads many resources or lists (id or path, API version), in batches as large as what is left
    /// of the subscription's limit, since that counts what is inside. Only those with a clear answer
    /// are in the result, by their index: `None` is not there.
    ///
    /// # Errors
    /// When batches are refused.
    pub async fn get_many(
        &self,
        wanted: &[(&str, &str)],
    ) -> Result<BTreeMap<usize, Option<Json>>, ApiError> {
        let mut subscriptions: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (at, (id, _)) in wanted.iter().enumerate() {
            let id = id.to_ascii_lowercase();
            let name = id.strip_prefix("/subscriptions/").and_then(|text| text.split('/').next());
            subscriptions.entry(name.unwrap_or_default().to_owned()).or_default().push(at);
        }
        let queues: Vec<_> =
            subscriptions.into_iter().map(|(name, left)| (name, Mutex::new(left))).collect();
        let found = Mutex::new(BTreeMap::new());
        let workers = queues
            .iter()
            .flat_map(|queue| (0..WORKERS).map(|_| self.work(wanted, &queue.0, &queue.1, &found)));
        let all = futures_util::future::try_join_all(workers);
        clock::until(clock::after(PATIENCE), all).await.transpose()?;
        Ok(std::mem::take(&mut *locked(&found)))
    }

    /// Reads what is in the queue; what is throttled inside of a batch goes back into it.
    async fn work(
        &self,
        wanted: &[(&str, &str)],
        subscription: &str,
        queue: &Mutex<Vec<usize>>,
        found: &Mutex<BTreeMap<usize, Option<Json>>>,
    ) -> Result<(), ApiError> {
        loop {
            let left = locked(queue).len();
            if left == 0 {
                return Ok(());
            }
            let mut turn = self.turns(subscription, left.min(FEW), left.min(MOST)).await;
            let some: Vec<usize> = {
                let mut queue = locked(queue);
                let keep = queue.len().saturating_sub(turn.count);
                queue.split_off(keep)
            };
            turn.only(some.len());
            if some.is_empty() {
                return Ok(());
            }
            let ids: Vec<(&str, &str)> = some.iter().map(|at| wanted[*at]).collect();
            let parts = self.batch(&ids, &mut turn).await?;
            let throttled =
                parts.values().filter(|part| matches!(part, BatchAnswer::Throttled)).count();
            tracing::debug!(reads = some.len(), throttled, "a batch");
            for (at, part) in parts {
                match part {
                    BatchAnswer::Clear(document) => drop(locked(found).insert(some[at], document)),
                    BatchAnswer::Throttled => locked(queue).push(some[at]),
                }
            }
        }
    }

    /// One batch. More than 20 requests are answered later, under an address of their own.
    async fn batch(
        &self,
        wanted: &[(&str, &str)],
        turn: &mut Turn,
    ) -> Result<BTreeMap<usize, BatchAnswer>, ApiError> {
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
        let mut answer = self.read(&Method::POST, &url, Some(&body)).await?;
        let (mut found, mut pages) = (BTreeMap::new(), Pages::default());
        loop {
            let bytes = self.done(answer).await?;
            let mut page: Json =
                serde_json::from_slice(&bytes).map_err(|error| strange(&error.to_string()))?;
            let key = if page["responses"].is_array() { "responses" } else { "value" };
            let Some(items) = page[key].as_array_mut().map(std::mem::take) else {
                return Err(strange("a batch without answers"));
            };
            found.extend(items.into_iter().filter_map(|value| {
                turn.answered(status(&value), &headers(&value));
                clear(value, wanted)
            }));
            let Some(next) = page["nextLink"].as_str().filter(|text| !text.is_empty()) else {
                return Ok(found);
            };
            pages.turn(next, bytes.len()).map_err(|why| strange(&why))?;
            answer = self.follow(next).await?;
        }
    }

    /// Waits for the answers of a batch under the address it was given.
    async fn done(&self, mut answer: ArmAnswer) -> Result<bytes::Bytes, ApiError> {
        let began = clock::now();
        let mut at: Option<String> = None;
        while answer.status == 202 {
            let text = |header: &http::HeaderValue| header.to_str().ok().map(str::to_owned);
            let location = answer.headers.get("location").and_then(text).or(at);
            let location = location.ok_or_else(|| strange("a batch without an address"))?;
            let asked = retry_after(&answer.headers, SystemTime::now());
            clock::sleep(poll::next_look(began.elapsed(), asked)).await;
            answer = self.follow(&location).await?;
            at = Some(location);
        }
        if answer.status == 200 {
            Ok(answer.body)
        } else {
            Err(strange("batches are not served here"))
        }
    }

    async fn follow(&self, url: &str) -> Result<ArmAnswer, ApiError> {
        if !self.cloud().resource_manager.covers(url) {
            return Err(strange("a batch leads to another service"));
        }
        self.read(&Method::GET, url, None).await
    }
}

fn strange(what: &str) -> ApiError {
    ApiError::about(&Method::POST, BATCH, "UnreadableAnswer", what.to_owned())
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One answer of a batch.
enum BatchAnswer {
    /// What is there, or nothing.
    Clear(Option<Json>),
    /// Not now.
    Throttled,
}

fn status(answer: &Json) -> u16 {
    answer["httpStatusCode"].as_u64().and_then(|it| u16::try_from(it).ok()).unwrap_or_default()
}

fn headers(answer: &Json) -> http::HeaderMap {
    let all = answer["headers"].as_object().into_iter().flatten();
    all.filter_map(|(name, value)| {
        Some((name.parse::<http::HeaderName>().ok()?, value.as_str()?.parse().ok()?))
    })
    .collect()
}

/// Index and answer, where it is clear; the others are read again by themselves.
fn clear(mut answer: Json, wanted: &[(&str, &str)]) -> Option<(usize, BatchAnswer)> {
    let name = answer["name"].as_str()?.parse::<uuid::Uuid>().ok()?;
    let index = usize::try_from(name.as_u128()).ok()?;
    let (path, _) = wanted.get(index)?;
    let content = answer["content"].take();
    match status(&answer) {
        200 if content.is_object() => Some((index, BatchAnswer::Clear(Some(content)))),
        404 => {
            let (none, text) = (http::HeaderMap::new(), content.to_string());
            let error = ApiError::from_answer(&Method::GET, path, 404, &none, text.as_bytes());
            error.is_absent().then_some((index, BatchAnswer::Clear(None)))
        }
        429 => Some((index, BatchAnswer::Throttled)),
        _ => None,
    }
}
