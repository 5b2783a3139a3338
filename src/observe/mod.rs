//! DAG → snapshot: all reads, batched and shared; nothing here can write.

mod asked;
mod azure;
mod cluster;
mod orphans;
mod secrets;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt as _;

pub use asked::{Asked, ReadProgress};
pub use orphans::{Searched, search};
pub use secrets::secrets;

use crate::client::ApiError;
use crate::client::arm;
use crate::client::kubernetes;
use crate::model::{Api, Json, Key, KindName};
pub use crate::resource::ReadError;
use crate::resource::graph::Desired;
use crate::resource::rights::ResourceAttributes;
use crate::resource::{Live, Read, Snapshot};

/// The reading clients of every scope.
#[derive(Clone, Default)]
pub struct Clients {
    /// Azure, by scope.
    pub arm: BTreeMap<String, arm::ArmReader>,
    /// Kubernetes, by cluster.
    pub clusters: BTreeMap<String, kubernetes::KubeReader>,
    /// Clusters that no client could be made for, with the reason.
    pub closed: BTreeMap<String, ReadError>,
    /// How far reading is.
    pub asked: Asked,
}

impl Clients {
    /// Performs one read. `Ok(None)` means that the thing is not there.
    ///
    /// # Errors
    /// Why it could not be read.
    pub async fn read(&self, scope: &str, read: &Read) -> Result<Option<Json>, ReadError> {
        match read {
            Read::Arm { .. } | Read::ArmList { .. } => {
                azure::read_arm(self.arm(scope)?, read).await
            }
            Read::Object(object) => {
                let client = self.cluster(scope)?;
                let what = || format!("{object} in cluster `{scope}`");
                client.get(object).await.map_err(|api_error| read_error(what(), &api_error))
            }
            Read::Objects(collection) => match self.cluster(scope)?.list(collection, None).await {
                Ok(items) => Ok(Some(Json::Array(items))),
                Err(error) if error.is_absent() => Ok(None),
                Err(error) => {
                    let what = format!("{} in cluster `{scope}`", collection.plural);
                    Err(read_error(what, &error))
                }
            },
            Read::Review(ResourceAttributes { namespace, group, resource, verb, name }) => {
                let client = self.cluster(scope)?;
                let what = || format!("your rights in cluster `{scope}`");
                let may = client.allowed(verb, group, resource, name, namespace.as_deref()).await;
                may.map(|it| Some(Json::Bool(it))).map_err(|it| read_error(what(), &it))
            }
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
    pub fn arm(&self, scope: &str) -> Result<&arm::ArmReader, ReadError> {
        self.arm.get(scope).ok_or_else(|| nowhere(scope, Api::Azure))
    }

    /// The Kubernetes client of a cluster.
    ///
    /// # Errors
    /// When there is none, because access is azureOnly or no kubeconfig was found.
    pub fn cluster(&self, scope: &str) -> Result<&kubernetes::KubeReader, ReadError> {
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
        tenant: None,
        help: None,
    }
}

/// Why there is no client for a cluster.
#[must_use]
pub fn no_client(scope: &str, error: &ApiError) -> ReadError {
    read_error(format!("anything in cluster `{scope}`"), error)
}

fn read_error(what: String, error: &ApiError) -> ReadError {
    let error = ReadError {
        what,
        api: error.api,
        status: error.status,
        code: error.code.clone(),
        message: error.to_string(),
        tenant: error.tenant.as_deref().map(Into::into),
        help: error.help(),
    };
    // The same for every read, so that it is told once.
    if error.is_of_here() { ReadError { what: "all of it".to_owned(), ..error } } else { error }
}

/// Services that gave no answer in a run: what else was to be asked there fails at once, so that a
/// dead cluster costs its own time-out and nobody else's.
#[derive(Default)]
struct Breaker {
    dead: Mutex<BTreeMap<Service, ReadError>>,
    asked: Asked,
}

/// What answers a read: Azure as one client of it sees it (another directory is another sign-in,
/// though the host be the same), or the API server of one cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Service {
    Azure { host: String, client: usize },
    Cluster(String),
}

impl Service {
    /// Whom somebody waits for.
    fn who(&self) -> String {
        match self {
            Self::Azure { host, .. } => host.clone(),
            Self::Cluster(name) => format!("cluster {name}"),
        }
    }

    /// What cannot be read when it gives nothing at all.
    fn all(&self) -> String {
        match self {
            Self::Azure { host, .. } => format!("anything from {host}"),
            Self::Cluster(name) => format!("anything in cluster `{name}`"),
        }
    }
}

impl Breaker {
    fn new(clients: &Clients) -> Self {
        Self { asked: clients.asked.clone(), ..Self::default() }
    }

    /// Asks a service, unless it is known to be silent.
    async fn guard(&self, service: Service, ask: impl Future<Output = Answer>) -> Answer {
        let known = self.dead.lock().unwrap_or_else(PoisonError::into_inner).get(&service).cloned();
        if let Some(error) = known {
            return Err(error);
        }
        let answer = self.asked.of(service.who(), ask).await;
        match answer {
            Err(error) => Err(self.tell(service, error)),
            answer => answer,
        }
    }

    /// Notes what gives nothing at all. The first reason is the one that all show.
    fn tell(&self, service: Service, error: ReadError) -> ReadError {
        if !error.is_of_all() {
            return error;
        }
        let error = ReadError { what: service.all(), ..error };
        let mut dead = self.dead.lock().unwrap_or_else(PoisonError::into_inner);
        dead.entry(service).or_insert(error).clone()
    }

    fn is_dead(&self, service: &Service) -> bool {
        self.dead.lock().unwrap_or_else(PoisonError::into_inner).contains_key(service)
    }
}

/// Performs reads, each distinct one once, whoever asks: `parallelism` at a time, and the clusters
/// beside Azure.
pub async fn reads(
    wanted: BTreeSet<(String, Read)>,
    clients: &Clients,
    parallelism: usize,
) -> Answers {
    guarded(wanted, clients, parallelism, &Breaker::new(clients)).await
}

async fn guarded(
    wanted: BTreeSet<(String, Read)>,
    clients: &Clients,
    parallelism: usize,
    breaker: &Breaker,
) -> Answers {
    let parallelism = parallelism.max(1);
    let mut answers = Answers::default();
    let mut clouds: Vec<(&arm::ArmReader, BTreeSet<Read>)> = Vec::new();
    let mut clusters: BTreeMap<String, Vec<Read>> = BTreeMap::new();
    for (scope, read) in wanted {
        if read.api() == Api::Kubernetes {
            clusters.entry(scope).or_default().push(read);
            continue;
        }
        match clients.arm(&scope) {
            Err(error) => drop(answers.refused.insert((scope, read), error)),
            Ok(reader) => {
                let at = clouds.iter().position(|it| it.0.is_same(reader)).unwrap_or_else(|| {
                    clouds.push((reader, BTreeSet::new()));
                    clouds.len() - 1
                });
                clouds[at].1.insert(read);
                answers.cloud.insert(scope, at);
            }
        }
    }
    breaker.asked.owe(answers.cloud.keys().chain(clusters.keys()));
    let scopes = &answers.cloud;
    let azure = clouds.into_iter().enumerate().map(|(cloud, (reader, wanted))| async move {
        let answers = azure::reads(reader, wanted, breaker, parallelism).await;
        breaker.asked.got(scopes.iter().filter(|it| *it.1 == cloud).map(|it| it.0));
        answers
    });
    let azure = futures_util::future::join_all(azure);
    let kubernetes = futures_util::stream::iter(clusters)
        .map(|(scope, wanted)| async move {
            let (scope, answers) = cluster::reads(clients, scope, wanted, breaker).await;
            if answers.values().any(Result::is_err) {
                breaker.asked.fail(&scope);
            }
            breaker.asked.got(std::iter::once(&scope));
            (scope, answers)
        })
        .buffer_unordered(parallelism)
        .collect::<Vec<_>>();
    let (azure, kubernetes) = tokio::join!(azure, kubernetes);
    let share = |it: Answer| it.map(|value| value.map(Arc::new));
    let shared = |all: BTreeMap<Read, Answer>| {
        all.into_iter().map(|(read, answer)| (read, share(answer))).collect()
    };
    answers.azure = azure.into_iter().map(shared).collect();
    answers.clusters = kubernetes.into_iter().map(|(scope, all)| (scope, shared(all))).collect();
    answers
}

/// The answer to a read.
type Answer = Result<Option<Json>, ReadError>;
/// The same for several that asked.
type Shared = Result<Option<Arc<Json>>, ReadError>;

/// Answers by what was asked, and where.
#[derive(Debug, Default)]
pub struct Answers {
    /// Which cloud answers a scope.
    cloud: BTreeMap<String, usize>,
    azure: Vec<BTreeMap<Read, Shared>>,
    clusters: BTreeMap<String, BTreeMap<Read, Shared>>,
    refused: BTreeMap<(String, Read), ReadError>,
}

impl Answers {
    /// The answer to a read in a scope; `Ok(None)` when the thing is not there.
    ///
    /// # Errors
    /// Why it could not be read.
    pub fn get(&self, scope: &str, read: &Read) -> Shared {
        let api = read.api();
        let found = match api {
            Api::Kubernetes => self.clusters.get(scope).and_then(|cluster| cluster.get(read)),
            Api::Azure => self.cloud.get(scope).and_then(|at| self.azure.get(*at)?.get(read)),
        };
        let refused = || self.refused.get(&(scope.to_owned(), read.clone())).cloned();
        found.cloned().unwrap_or_else(|| Err(refused().unwrap_or_else(|| nowhere(scope, api))))
    }
}

/// Reads the live state of everything desired: first what is only read, since the rest can be
/// spared when a cluster is not there. What cannot be read stands in the snapshot with its reason.
/// With the rest go the lists that a search will look into, where there is to be one: they answer
/// for what stands in them.
pub async fn snapshot(
    desired: &Desired,
    clients: &Clients,
    parallelism: usize,
    mut searched: Option<&mut Searched>,
) -> Snapshot {
    let mut snapshot = Snapshot::default();
    let breaker = Breaker::new(clients);
    let scopes: BTreeSet<&str> = desired.nodes.keys().map(|node| node.scope.as_str()).collect();
    clients.asked.begin(scopes.into_iter().filter(|scope| desired.is_cluster(scope)));
    for read_only in [true, false] {
        clients.asked.more(read_only);
        let keys = desired.nodes.keys().filter(|address| address.kind.read_only() == read_only);
        let keys: Vec<&Key> =
            keys.filter(|address| read_only || reachable(desired, &snapshot, address)).collect();
        let reads_of = |key: &Key| desired.nodes[key].resource.kind().reads();
        let own = keys
            .iter()
            .flat_map(|key| reads_of(key).into_iter().map(|read| (key.scope.clone(), read)));
        let mut wanted: BTreeSet<(String, Read)> = own.collect();
        let lists = match &searched {
            Some(searched) if !read_only => searched.lists(desired, &snapshot, clients),
            _ => BTreeSet::new(),
        };
        wanted.extend(lists.iter().cloned());
        let answers = guarded(wanted, clients, parallelism, &breaker).await;
        if let Some(searched) = &mut searched {
            searched.take(lists, &answers);
        }
        for key in keys {
            let answer = |read: Read| {
                let shared = answers.get(&key.scope, &read)?;
                Ok(shared.map(|value| Json::clone(&value)))
            };
            match reads_of(key).into_iter().map(answer).collect::<Result<Vec<_>, _>>() {
                Ok(documents) => drop(snapshot.live.insert(key.clone(), Live(documents))),
                Err(error) => {
                    clients.asked.fail(&key.scope);
                    snapshot.unread.insert(key.clone(), error);
                }
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
