//! Looks for what carries the mark of a manifest and is not declared any more.

use std::collections::BTreeSet;

use super::{Answers, Clients, ReadError, reads};
use crate::model::{Api, Json};
use crate::resource::graph::Desired;
use crate::resource::orphans::{self, ListAnswers};
use crate::resource::{Read, Snapshot};

/// The lists that a search looks into, read with everything else.
#[derive(Default)]
pub struct Searched {
    answers: ListAnswers,
    failed: Vec<ReadError>,
}

impl Searched {
    /// The lists to read first.
    pub(super) fn lists(
        &self,
        desired: &Desired,
        live: &Snapshot,
        clients: &Clients,
    ) -> BTreeSet<(String, Read)> {
        reachable(orphans::first_reads(desired, live), clients)
    }

    pub(super) fn take(&mut self, wanted: BTreeSet<(String, Read)>, found: &Answers) {
        for (scope, read) in wanted {
            match found.get(&scope, &read) {
                Ok(items) => {
                    let items = items.as_deref().and_then(Json::as_array).cloned();
                    self.answers.insert((read, scope), items.unwrap_or_default());
                }
                Err(error) => self.failed.push(error),
            }
        }
    }
}

/// A cluster that cannot be reached has been told of already.
fn reachable(wanted: BTreeSet<(String, Read)>, clients: &Clients) -> BTreeSet<(String, Read)> {
    let there =
        |(scope, read): &(String, Read)| read.api() == Api::Azure || clients.cluster(scope).is_ok();
    wanted.into_iter().filter(there).collect()
}

/// Adds orphans to what is desired and their live state to the snapshot. Returns why some places
/// could not be searched: nothing in them is removed.
pub async fn search(
    desired: &mut Desired,
    live: &mut Snapshot,
    clients: &Clients,
    parallelism: usize,
    mut searched: Searched,
) -> Vec<ReadError> {
    // What gave nothing at all has been told of already.
    let unread = || live.unread.iter();
    let dead = unread().filter(|(_, error)| error.is_of_all());
    let dead: BTreeSet<(Api, String)> =
        dead.map(|(key, error)| (error.api, key.scope.clone())).collect();
    let mut told: BTreeSet<String> = unread().map(|(_, error)| error.to_string()).collect();
    let mut wanted = reachable(orphans::more_reads(desired, live, &searched.answers), clients);
    wanted.retain(|(scope, read)| !dead.contains(&(read.api(), scope.clone())));
    let found = reads(wanted.clone(), clients, parallelism).await;
    searched.take(wanted, &found);
    let Searched { answers, mut failed } = searched;
    failed.retain(|error| told.insert(error.to_string()));
    desired.foreign = orphans::foreign(desired, live, &answers);
    let mut found = orphans::find(desired, live, &answers);
    for (key, lists) in orphans::contents_of(&found, desired) {
        for list in lists {
            let answer = clients.read(&key.scope, &list).await;
            let Some(node) = found.get_mut(&key) else { continue };
            let Some(orphan) = &mut node.orphan else { continue };
            match answer {
                Ok(items) => {
                    let items = items.as_ref().and_then(Json::as_array).into_iter().flatten();
                    let text = |it: &Json, at: &str| it.pointer(at)?.as_str().map(str::to_owned);
                    orphan.goes.extend(items.filter_map(|value| {
                        let kind = text(value, "/kind")?.to_ascii_lowercase();
                        Some(format!("{kind} {}", text(value, "/metadata/name")?))
                    }));
                }
                // What cannot be looked into may hold anything.
                Err(error) => orphan.goes.push(error.to_string()),
            }
        }
    }
    for (key, node) in &found {
        match clients.live(&key.scope, &node.resource.kind().reads()).await {
            Ok(document) => {
                live.live.insert(key.clone(), document);
            }
            Err(error) => {
                live.unread.insert(key.clone(), error);
            }
        }
    }
    desired.orphans = found;
    failed
}
