//! DAG → snapshot: all reads, batched and shared; nothing here can write.

mod orphans;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use futures_util::StreamExt as _;

pub use orphans::search;

use crate::client::ApiError;
use crate::client::arm;
use crate::client::kubernetes;
use crate::model::{Api, Json, Key, KindName};
pub use crate::resource::ReadError;
use crate::resource::graph::Desired;
use crate::resource::{Live, Read, Snapshot};

/// The reading clients of every scope.
#[derive(Clone, Default)]
pub struct Clients {
    /// Azure, by scope.
    pub arm: BTreeMap<String, arm::Reader>,
    /// Kubernetes, by cluster.
    pub clusters: BTreeMap<String, kubernetes::Reader>,
    /// Clusters that no client could be made for, with the reason.
    pub closed: BTreeMap<String, ReadError>,
}

impl Clients {
    /// Performs one read. `Ok(None)` means that the thing is not there.
    ///
    /// # Errors
    /// Why it could not be read.
    pub async fn read(&self, scope: &str, read: &Read) -> Result<Option<Json>, ReadError> {
        match read {
            Read::Arm { id, api_version } => {
                let client = self.arm(scope)?;
                client
                    .get(id.as_str(), api_version)
                    .await
                    .map_err(|it| read_error(id.as_str().to_owned(), &it))
            }
            Read::ArmList { path, api_version } => {
                match self.arm(scope)?.list(path, api_version).await {
                    Ok(items) => Ok(Some(Json::Array(items))),
                    // The scope of a list may be something that is yet to be made.
                    Err(error) if error.is_absent() => Ok(None),
                    Err(error) => Err(read_error(path.clone(), &error)),
                }
            }
            Read::Object(object) => {
                let client = self.cluster(scope)?;
                let what = || format!("{object} in cluster `{scope}`");
                client.get(object).await.map_err(|it| read_error(what(), &it))
            }
            Read::Objects(collection) => match self.cluster(scope)?.list(collection, None).await {
                Ok(items) => Ok(Some(Json::Array(items))),
                Err(error) if error.is_absent() => Ok(None),
                Err(error) => {
                    let what = format!("{} in cluster `{scope}`", collection.plural);
                    Err(read_error(what, &error))
                }
            },
        }
    }

    /// Performs all reads of a resource, in order.
    ///
    /// # Errors
    /// The first read that failed.
    pub async fn live(&self, scope: &str, reads: &[Read]) -> Result<Live, ReadError> {
        let mut live = Live::default();
        for read in reads {
            live.0.push(self.read(scope, read).await?);
        }
        Ok(live)
    }

    /// The Azure client of a scope.
    ///
    /// # Errors
    /// When the scope is not one of the manifest's.
    pub fn arm(&self, scope: &str) -> Result<&arm::Reader, ReadError> {
        self.arm.get(scope).ok_or_else(|| nowhere(scope, Api::Azure))
    }

    /// The Kubernetes client of a cluster.
    ///
    /// # Errors
    /// When there is none, because access is azureOnly or no kubeconfig was found.
    pub fn cluster(&self, scope: &str) -> Result<&kubernetes::Reader, ReadError> {
        self.clusters.get(scope).ok_or_else(|| {
            let why = self.closed.get(scope).cloned();
            why.unwrap_or_else(|| nowhere(scope, Api::Kubernetes))
        })
    }
}

fn nowhere(scope: &str, api: Api) -> ReadError {
    let name = match api {
        Api::Azure => "Azure",
        Api::Kubernetes => "the Kubernetes API",
    };
    ReadError {
        what: format!("{name} of `{scope}`"),
        api,
        status: None,
        code: None,
        message: "there is no client for it".to_owned(),
        help: None,
    }
}

/// Why there is no client for a cluster.
#[must_use]
pub fn no_client(scope: &str, error: &ApiError) -> ReadError {
    read_error(format!("anything in cluster `{scope}`"), error)
}

fn read_error(what: String, error: &ApiError) -> ReadError {
    ReadError {
        what,
        api: error.api,
        status: error.status,
        code: error.code.clone(),
        message: error.to_string(),
        help: error.help().map(str::to_owned),
    }
}

/// Services that gave no answer in a run: what else was to be asked there fails at once, so that a
/// dead cluster costs its own time-out and nobody else's.
#[derive(Default)]
struct Breaker(Mutex<BTreeMap<Service, ReadError>>);

/// What answers a read: one cloud, or the API server of one cluster.
type Service = (bool, String);

impl Breaker {
    async fn read(
        &self,
        clients: &Clients,
        scope: &str,
        read: &Read,
    ) -> Result<Option<Json>, ReadError> {
        let service = match read {
            Read::Arm { .. } | Read::ArmList { .. } => {
                (true, clients.arm(scope)?.cloud().resource_manager.to_string())
            }
            Read::Object(_) | Read::Objects(_) => (false, scope.to_owned()),
        };
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&service).cloned();
        if let Some(error) = known {
            return Err(error);
        }
        let answer = clients.read(scope, read).await;
        if let Err(error) = &answer
            && error.status.is_none()
        {
            let mut dead = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // The first reason is the one that all show.
            return Err(dead.entry(service).or_insert_with(|| error.clone()).clone());
        }
        answer
    }
}

/// Performs reads, each distinct one once, `parallelism` at a time.
pub async fn reads(
    wanted: BTreeSet<(String, Read)>,
    clients: &Clients,
    parallelism: usize,
) -> BTreeMap<(String, Read), Result<Option<Json>, ReadError>> {
    let breaker = Breaker::default();
    let breaker = &breaker;
    futures_util::stream::iter(wanted)
        .map(|(scope, read)| async move {
            let answer = breaker.read(clients, &scope, &read).await;
            ((scope, read), answer)
        })
        .buffer_unordered(parallelism.max(1))
        .collect()
        .await
}

/// Reads the live state of everything desired: first what is only read, since the rest can be
/// spared when a cluster is not there. What cannot be read stands in the snapshot with its reason.
pub async fn snapshot(desired: &Desired, clients: &Clients, parallelism: usize) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for read_only in [true, false] {
        let keys = desired.nodes.keys().filter(|it| it.kind.read_only() == read_only);
        let keys: Vec<&Key> =
            keys.filter(|it| read_only || reachable(desired, &snapshot, it)).collect();
        let reads_of = |key: &Key| desired.nodes[key].resource.kind().reads();
        let wanted = keys
            .iter()
            .flat_map(|key| reads_of(key).into_iter().map(|read| (key.scope.clone(), read)))
            .collect();
        let answers = reads(wanted, clients, parallelism).await;
        for key in keys {
            let answer = |read| match answers.get(&(key.scope.clone(), read)) {
                Some(answer) => answer.clone(),
                None => Ok(None),
            };
            match reads_of(key).into_iter().map(answer).collect::<Result<Vec<_>, _>>() {
                Ok(documents) => drop(snapshot.live.insert(key.clone(), Live(documents))),
                Err(error) => drop(snapshot.unread.insert(key.clone(), error)),
            }
        }
    }
    snapshot
}

/// Whether a resource can be read: what is in a cluster that Azure does not have cannot, and what
/// does not apply to a cluster need not.
fn reachable(desired: &Desired, snapshot: &Snapshot, key: &Key) -> bool {
    let Some(node) = desired.nodes.get(key) else { return false };
    let kind = node.resource.kind();
    let in_cluster = matches!(kind.target(), crate::resource::Target::Objects(_));
    // A cluster that could not be read may well be there.
    let there = snapshot.cluster(&key.scope).is_some()
        || snapshot.could_not_read(&key.scope, KindName::Cluster);
    (!in_cluster || there) && kind.may_apply(snapshot)
}
