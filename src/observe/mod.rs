//! DAG → snapshot: all reads, batched and shared; nothing here can write.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::StreamExt as _;

use crate::client::arm;
use crate::client::kubernetes;
use crate::model::{Json, Key};
use crate::resource::graph::Desired;
use crate::resource::{Live, Read, Snapshot};

/// The reading clients of every scope.
#[derive(Clone, Default)]
pub struct Clients {
    /// Azure, by scope.
    pub arm: BTreeMap<String, arm::Reader>,
    /// Kubernetes, by cluster.
    pub clusters: BTreeMap<String, kubernetes::Reader>,
}

/// A read that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read {what}: {message}")]
pub struct ReadError {
    /// What was read.
    pub what: String,
    /// HTTP status, where there was an answer.
    pub status: Option<u16>,
    /// The service's own code.
    pub code: Option<String>,
    /// What went wrong, without secrets.
    pub message: String,
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
                client.get(id.as_str(), api_version).await.map_err(|it| arm_error(id.as_str(), &it))
            }
            Read::ArmList { path, api_version } => {
                match self.arm(scope)?.list(path, api_version).await {
                    Ok(items) => Ok(Some(Json::Array(items))),
                    // The scope of a list may be something that is yet to be made.
                    Err(error) if error.is_absent() => Ok(None),
                    Err(error) => Err(arm_error(path, &error)),
                }
            }
            Read::Object(object) => {
                let client = self.cluster(scope)?;
                client
                    .get(object)
                    .await
                    .map_err(|it| cluster_error(scope, &object.to_string(), &it))
            }
            Read::Objects(collection) => match self.cluster(scope)?.list(collection, None).await {
                Ok(items) => Ok(Some(Json::Array(items))),
                Err(error) if error.verdict() == kubernetes::Verdict::Absent => Ok(None),
                Err(error) => Err(cluster_error(scope, &collection.plural, &error)),
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
        self.arm.get(scope).ok_or_else(|| ReadError::nowhere(scope, "Azure"))
    }

    /// The Kubernetes client of a cluster.
    ///
    /// # Errors
    /// When there is none, because access is azureOnly or no kubeconfig was found.
    pub fn cluster(&self, scope: &str) -> Result<&kubernetes::Reader, ReadError> {
        self.clusters.get(scope).ok_or_else(|| ReadError::nowhere(scope, "the Kubernetes API"))
    }
}

impl ReadError {
    fn nowhere(scope: &str, what: &str) -> Self {
        Self {
            what: format!("{what} of `{scope}`"),
            status: None,
            code: None,
            message: "there is no client for it".to_owned(),
        }
    }
}

fn arm_error(what: &str, error: &arm::ApiError) -> ReadError {
    ReadError {
        what: what.to_owned(),
        status: error.status,
        code: error.code.clone(),
        message: error.to_string(),
    }
}

fn cluster_error(scope: &str, what: &str, error: &kubernetes::ApiError) -> ReadError {
    ReadError {
        what: format!("{what} in cluster `{scope}`"),
        status: error.status,
        code: error.reason.clone(),
        message: error.to_string(),
    }
}

/// Performs reads, each distinct one once, `parallelism` at a time.
pub async fn reads(
    wanted: BTreeSet<(String, Read)>,
    clients: &Clients,
    parallelism: usize,
) -> BTreeMap<(String, Read), Result<Option<Json>, ReadError>> {
    futures_util::stream::iter(wanted)
        .map(|(scope, read)| async move {
            let answer = clients.read(&scope, &read).await;
            ((scope, read), answer)
        })
        .buffer_unordered(parallelism.max(1))
        .collect()
        .await
}

/// Reads the live state of everything desired: first what is only read, since the rest can be
/// spared when a cluster is not there.
///
/// # Errors
/// Every read that failed, with the address it was for.
pub async fn snapshot(
    desired: &Desired,
    clients: &Clients,
    parallelism: usize,
) -> Result<Snapshot, Vec<(Key, ReadError)>> {
    let mut snapshot = Snapshot::default();
    let mut failed = Vec::new();
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
            let mut live = Live::default();
            for read in reads_of(key) {
                match answers.get(&(key.scope.clone(), read)) {
                    Some(Ok(document)) => live.0.push(document.clone()),
                    Some(Err(error)) => {
                        failed.push((key.clone(), error.clone()));
                        break;
                    }
                    None => live.0.push(None),
                }
            }
            snapshot.live.insert(key.clone(), live);
        }
        if !failed.is_empty() {
            failed.sort_by(|a, b| a.0.cmp(&b.0));
            failed.dedup_by(|a, b| a.1 == b.1);
            return Err(failed);
        }
    }
    Ok(snapshot)
}

/// Whether a resource can be read: what is in a cluster that Azure does not have cannot, and what
/// does not apply to a cluster need not.
fn reachable(desired: &Desired, snapshot: &Snapshot, key: &Key) -> bool {
    let Some(node) = desired.nodes.get(key) else { return false };
    let kind = node.resource.kind();
    let in_cluster = matches!(kind.target(), crate::resource::Target::Objects(_));
    (!in_cluster || snapshot.cluster(&key.scope).is_some()) && kind.may_apply(snapshot)
}
