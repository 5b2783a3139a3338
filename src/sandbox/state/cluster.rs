//! A Kubernetes cluster behind an ARM resource. What it begins with is made when somebody first looks into it, from a
//! few words; only what differs from that is kept, so that a thousand clusters cost little until they are used.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value as Json, json};

use super::id;
use super::world_file::Software;
use crate::kube::store::Store;

/// What a cluster begins with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Beginning {
    /// `aks`, `openshift`, `generic`, ….
    pub(crate) distribution: String,
    /// The Kubernetes version without `v`.
    pub(crate) version: String,
    pub(crate) nodes: u64,
    pub(crate) aks: bool,
    pub(crate) installed: Vec<Software>,
    /// When it was made, RFC 3339.
    pub(crate) born: String,
    /// Rules of RBAC for [`CALLER`]; without any, who signs in may do everything.
    #[serde(default)]
    pub(crate) rules: Option<Vec<Json>>,
}

/// The user that signs in to a cluster which restricts what it may do.
pub(crate) const CALLER: &str = "sandbox-caller";

/// An object of a cluster as it is saved: its API path, and `null` when it was deleted.
type SavedObject = (String, Box<RawValue>);

/// A Kubernetes cluster behind an ARM resource.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Cluster {
    pub(crate) id: String,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) scc_edit_denied: bool,
    pub(crate) beginning: Beginning,
    #[serde(skip)]
    store: OnceCell<Store>,
    #[serde(skip)]
    saved: RefCell<(u64, Vec<SavedObject>)>,
}

impl Cluster {
    pub(crate) fn new(id: &str, name: String, scc_edit_denied: bool, beginning: Beginning) -> Self {
        Self {
            id: id.to_owned(),
            name,
            scc_edit_denied,
            beginning,
            store: OnceCell::new(),
            saved: RefCell::default(),
        }
    }

    pub(crate) fn distribution(&self) -> &str {
        &self.beginning.distribution
    }

    /// Its objects.
    pub(crate) fn store(&self) -> &Store {
        self.store.get_or_init(|| {
            let mut store = self.beginning.store();
            let (revision, objects) = self.saved.take();
            for (path, object) in objects {
                // What is saved is JSON, or it would not have been read.
                store.restore(path, serde_json::from_str(object.get()).unwrap_or_default());
            }
            store.restore_revision(revision);
            store
        })
    }

    /// Its objects, to change.
    pub(crate) fn store_mut(&mut self) -> &mut Store {
        self.store();
        self.store.get_mut().expect("made in the line above")
    }

    /// Keeps an object as it was saved until somebody looks into the cluster.
    pub(crate) fn restore(&mut self, path: &str, object: &RawValue) {
        self.saved.get_mut().1.push((path.to_owned(), object.to_owned()));
    }

    /// Keeps the saved counter of changes.
    pub(crate) fn restore_revision(&mut self, revision: u64) {
        self.saved.get_mut().0 = revision;
    }

    /// Calls `write` for everything that is to be saved, or with `unsaved` for what is not saved yet: a path and its
    /// JSON. The counter of changes is returned, unless nothing changed.
    pub(crate) fn changes(&self, unsaved: bool, mut write: impl FnMut(&str, &str)) -> Option<u64> {
        let mut any = false;
        let Some(store) = self.store.get() else {
            let saved = self.saved.borrow();
            for (path, object) in saved.1.iter().filter(|_| !unsaved) {
                any = true;
                write(path, object.get());
            }
            return any.then_some(saved.0);
        };
        for (path, object) in store.changes(unsaved) {
            any = true;
            write(path, &object.map_or_else(|| "null".to_owned(), Json::to_string));
        }
        any.then(|| store.revision())
    }

    /// Says that everything is written.
    pub(crate) fn settle(&mut self) {
        if let Some(store) = self.store.get_mut() {
            store.settle();
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
struct Preset {
    at: String,
    object: Json,
}

static SOFTWARE: LazyLock<BTreeMap<String, Vec<Preset>>> = LazyLock::new(|| {
    serde_yaml::from_str(include_str!("software.yaml"))
        .expect("the embedded list of software parses")
});

/// The last beginnings that were made: the clusters of a fleet mostly begin alike and then share their objects.
static MADE: Mutex<Vec<(Beginning, Store)>> = Mutex::new(Vec::new());
const KEPT: usize = 8;

impl Beginning {
    fn store(&self) -> Store {
        let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, store)) = made.iter().find(|(beginning, _)| beginning == self) {
            return store.clone();
        }
        let store = self.make();
        if made.len() == KEPT {
            made.remove(0);
        }
        made.push((self.clone(), store.clone()));
        store
    }

    fn make(&self) -> Store {
        let mut store = Store::new(&self.distribution, &self.born);
        let gpu = self.installed.contains(&Software::NvidiaDevicePlugin);
        for at in 1..=self.nodes {
            let node = node(at, &self.version, gpu, &self.born);
            store.put(&format!("/api/v1/nodes/node-{at}"), node, &self.born);
        }
        let agents = if self.aks { "aks-agents" } else { "arc-agents" };
        for name in std::iter::once(agents).chain(self.installed.iter().map(|it| it.name())) {
            for preset in SOFTWARE.get(name).into_iter().flatten() {
                store.put(&preset.at, preset.object.clone(), &self.born);
            }
        }
        if let Some(rules) = &self.rules {
            const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
            let subject =
                json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": CALLER});
            let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": CALLER});
            store.put(
                &format!("{RBAC}/clusterroles/{CALLER}"),
                json!({"rules": rules}),
                &self.born,
            );
            let binding = json!({"roleRef": role, "subjects": [subject]});
            store.put(&format!("{RBAC}/clusterrolebindings/{CALLER}"), binding, &self.born);
        }
        store.begun()
    }
}

fn node(at: u64, version: &str, gpu: bool, now: &str) -> Json {
    let name = format!("node-{at}");
    let mut capacity = json!({"cpu": "8", "memory": "32863540Ki", "pods": "110", "ephemeral-storage": "129886128Ki"});
    let mut allocatable = json!({"cpu": "7820m", "memory": "30Gi", "pods": "110", "ephemeral-storage": "119703055367"});
    if gpu {
        capacity["nvidia.com/gpu"] = json!("1");
        allocatable["nvidia.com/gpu"] = json!("1");
    }
    let condition = |kind: &str, status: &str, reason: &str| json!({"type": kind, "status": status, "reason": reason, "lastHeartbeatTime": now, "lastTransitionTime": now});
    json!({"apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
            "beta.kubernetes.io/os": "linux", "beta.kubernetes.io/arch": "amd64", "node.kubernetes.io/instance-type": "Standard_D8s_v5",
            "topology.kubernetes.io/region": "westeurope"}},
        "spec": {"podCIDR": format!("10.244.{at}.0/24")},
        "status": {"capacity": capacity, "allocatable": allocatable,
            "conditions": [condition("MemoryPressure", "False", "KubeletHasSufficientMemory"), condition("DiskPressure", "False", "KubeletHasNoDiskPressure"),
                condition("PIDPressure", "False", "KubeletHasSufficientPID"), condition("Ready", "True", "KubeletReady")],
            "addresses": [{"type": "InternalIP", "address": format!("10.240.0.{}", at + 3)}, {"type": "Hostname", "address": name}],
            "nodeInfo": {"kubeletVersion": format!("v{version}"), "kubeProxyVersion": format!("v{version}"), "architecture": "amd64",
                "operatingSystem": "linux", "osImage": "Ubuntu 22.04.5 LTS", "kernelVersion": "5.15.0-1082-azure",
                "containerRuntimeVersion": "containerd://1.7.25", "machineID": "", "systemUUID": "", "bootID": ""}}})
}

/// A kubeconfig that leads to a cluster of a served simulator, trusts this authority (PEM), and with a tenant signs in
/// to Entra through kubelogin, as AKS writes it.
pub(crate) fn kubeconfig(
    url: &str,
    cluster: &str,
    authority: Option<&str>,
    tenant: Option<&str>,
) -> String {
    let target = id::parse(cluster);
    let name = id::last_segment(cluster);
    let (subscription, group) =
        (target.subscription.unwrap_or_default(), target.group.unwrap_or_default());
    let mut way = json!({"server": format!("{url}/kubernetes/{subscription}/{group}/{name}")});
    if let Some(pem) = authority {
        way["certificate-authority-data"] = json!(STANDARD.encode(pem));
    }
    let user = match tenant {
        None => json!({"token": "admin"}),
        Some(tenant) => json!({"exec": {
            "apiVersion": "client.authentication.k8s.io/v1beta1", "command": "kubelogin",
            "args": ["get-token", "--environment", "AzurePublicCloud", "--server-id", ENTRA_SERVER, "--client-id",
                ENTRA_CLIENT, "--tenant-id", tenant, "--login", "devicecode"],
            "env": null, "installHint": "kubelogin is not installed", "provideClusterInfo": false}}),
    };
    // JSON is YAML.
    let whole = json!({"apiVersion": "v1", "kind": "Config", "current-context": name,
        "clusters": [{"name": name, "cluster": way}], "users": [{"name": format!("clusterUser_{group}_{name}"), "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": format!("clusterUser_{group}_{name}")}}]});
    format!("{whole:#}\n")
}

/// The applications of AKS in Entra, the same in every tenant ("AKS docs: kubelogin").
const ENTRA_SERVER: &str = "6dae42f8-4368-4678-94ff-3960e28e3630";
const ENTRA_CLIENT: &str = "80faf920-1908-4b52-b5ef-a8e7bedfc67a";
