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
/// How long a batch may take before its reads are done one by one.
const PATIENCE: Duration = Duration::from_secs(120);

impl Reader {
    /// Reads up to 500 resources (id, API version) at once. Only those with a clear answer are in
    /// the result, by their index: `None` is not there. More than 20 are answered later, under an
    /// address of their own.
    ///
    /// # Errors
    /// When batches are refused, or are not done in time.
    pub async fn get_many(
        &self,
        wanted: &[(&str, &str)],
    ) -> Result<BTreeMap<usize, Option<Json>>, ApiError> {
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
        let (mut status, mut headers, mut body) =
            self.exchange(&Method::POST, &url, Some(&json!({ "requests": requests }))).await?;
        let strange =
            |what: &str| ApiError::about(&Method::POST, BATCH, "UnreadableAnswer", what.to_owned());
        let ends = clock::after(PATIENCE);
        let mut at: Option<String> = None;
        let (mut found, mut pages) = (BTreeMap::new(), Pages::default());
        loop {
            if status == 202 {
                let text = |it: &http::HeaderValue| it.to_str().ok().map(str::to_owned);
                let location = headers.get("location").and_then(text).or(at);
                let location = location.ok_or_else(|| strange("a batch without an address"))?;
                if !self.cloud().resource_manager.covers(&location) {
                    return Err(strange("the address of a batch leads to another service"));
                }
                let wait = retry_after(&headers, SystemTime::now()).unwrap_or(LOOK);
                if clock::until(ends, clock::sleep(wait)).await.is_none() {
                    return Err(strange("a batch that was not done in time"));
                }
                (status, headers, body) = self.exchange(&Method::GET, &location, None).await?;
                at = Some(location);
                continue;
            }
            if status != 200 {
                return Err(strange("batches are not served here"));
            }
            let mut page: Json =
                serde_json::from_slice(&body).map_err(|it| strange(&it.to_string()))?;
            let key = if page["responses"].is_array() { "responses" } else { "value" };
            let Some(items) = page[key].as_array_mut().map(std::mem::take) else {
                return Err(strange("a batch without answers"));
            };
            for mut item in items {
                let own = item["name"].as_str().and_then(|it| it.parse::<uuid::Uuid>().ok());
                let index = own.and_then(|it| usize::try_from(it.as_u128()).ok());
                let Some(index) = index.filter(|it| *it < wanted.len()) else { continue };
                let (content, status) = (item["content"].take(), item["httpStatusCode"].as_u64());
                // What is not clear is read again by itself.
                match status {
                    Some(200) if content.is_object() => drop(found.insert(index, Some(content))),
                    Some(404) => {
                        let none = http::HeaderMap::new();
                        let text = content.to_string();
                        let path = wanted[index].0;
                        let error =
                            ApiError::from_answer(&Method::GET, path, 404, &none, text.as_bytes());
                        if error.is_absent() {
                            found.insert(index, None);
                        }
                    }
                    _ => {}
                }
            }
            let Some(next) = page["nextLink"].as_str().filter(|it| !it.is_empty()) else {
                return Ok(found);
            };
            if !self.cloud().resource_manager.covers(next) {
                return Err(strange("a page of a batch leads to another service"));
            }
            pages.turn(next, body.len()).map_err(|it| strange(&it))?;
            (status, headers, body) = self.exchange(&Method::GET, next, None).await?;
        }
    }
}
