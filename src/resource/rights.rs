//! The rights that a run takes, read off the very reads and requests that it sends: no second table
//! can fall behind (Azure docs: resource provider operations; Kubernetes docs: RBAC verbs).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::graph::{Desired, ResourceNode};
use super::{Change, Live, Method, Read, Readiness, Request, Snapshot, Target, Verb, orphans};
use crate::model::{ArmId, Json, KindName, Later, ObjectRef, SecretSource, Value};

/// One thing that somebody may do in a cluster, as an access review asks for it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ResourceAttributes {
    /// The namespace; `None` for cluster-scoped objects and for all namespaces.
    pub namespace: Option<String>,
    /// The API group; empty for the core.
    pub group: String,
    /// The plural.
    pub resource: String,
    /// The verb of RBAC.
    pub verb: &'static str,
    /// The object; empty for all, and for `create` and `list`, which know no names.
    pub name: String,
}

impl ResourceAttributes {
    fn new(verb: &'static str, object: &ObjectRef) -> Self {
        let named = !matches!(verb, "create" | "list");
        Self {
            namespace: object.namespace.clone(),
            group: object.api_version.split_once('/').map_or("", |it| it.0).to_owned(),
            resource: object.plural.clone(),
            verb,
            name: if named { object.name.clone() } else { String::new() },
        }
    }
}

impl fmt::Display for ResourceAttributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        if !self.name.is_empty() {
            write!(f, "/{}", self.name)?;
        }
        match &self.namespace {
            Some(namespace) => write!(f, " in namespace {namespace}"),
            None => Ok(()),
        }
    }
}

/// What may be done at a scope of Azure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Actions {
    /// Whose client sends it: a cluster, or a subscription.
    pub asker: String,
    /// Actions of role definitions.
    pub actions: BTreeSet<String>,
}

/// Rights by where they are needed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights {
    /// By subscription or resource group.
    pub azure: BTreeMap<ArmId, Actions>,
    /// By name of the cluster.
    pub kubernetes: BTreeMap<String, BTreeSet<ResourceAttributes>>,
    /// Data actions by name of the key vault.
    pub vaults: BTreeMap<String, BTreeSet<&'static str>>,
}

/// What reading versions of secrets takes, and reading their values (Azure docs: Key Vault, RBAC).
const READ_VERSIONS: &str = "Microsoft.KeyVault/vaults/secrets/readMetadata/action";
const READ_VALUE: &str = "Microsoft.KeyVault/vaults/secrets/getSecret/action";

impl Rights {
    /// What reading the live state of a graph takes, its orphans included, and with `changes` what
    /// making, changing and removing everything in it takes.
    #[must_use]
    pub fn of(desired: &Desired, changes: bool) -> Self {
        let mut rights = Self::default();
        // Lists are read in clusters that are there.
        let mut world = Snapshot::default();
        for (key, node) in &desired.nodes {
            let kind = node.resource.kind();
            for read in kind.reads() {
                rights.add_read(&key.scope, &read);
            }
            if key.kind == KindName::Cluster {
                world.live.insert(key.clone(), Live(vec![Some(Json::Null)]));
            }
            if changes && !key.kind.read_only() {
                rights.add_changes(desired, node);
            }
            for secret in kind.secrets() {
                rights.add_secret(&key.scope, &secret.source, changes);
            }
        }
        for (scope, access) in
            desired.scopes.iter().filter_map(|(name, scope)| Some((name, scope.cluster.as_ref()?)))
        {
            if access.kubernetes && access.handed_out {
                let path = format!("{}/listClusterUserCredential", access.id);
                rights.action(scope, &path, "", "action");
            }
        }
        let lists = orphans::first_reads(desired, &world);
        let more = orphans::more_reads(desired, &world, &orphans::ListAnswers::new());
        for (scope, read) in lists.iter().chain(&more) {
            rights.add_read(scope, read);
        }
        rights
    }

    /// What would be sent now for a resource that is not as it should be.
    #[must_use]
    pub fn of_next(desired: &Desired, node: &ResourceNode, world: &Snapshot) -> Self {
        let mut rights = Self::default();
        let kind = node.resource.kind();
        let Some(live) = world.live.get(kind.key()) else { return rights };
        let want = kind.want(world);
        let changes = kind.differences(&want, live);
        let verb = match kind.readiness(&want, live) {
            Readiness::Absent => Verb::Create,
            Readiness::Ready if !changes.is_empty() => Verb::Update,
            _ => return rights,
        };
        if !kind.key().kind.read_only() && kind.applies(world) {
            for request in kind.requests(&Change { verb, want: &want, live, changes: &changes }) {
                rights.add_request(desired, &kind.key().scope, &request);
            }
        }
        rights
    }

    /// Whatever may ever be sent for a resource.
    fn add_changes(&mut self, desired: &Desired, node: &ResourceNode) {
        let kind = node.resource.kind();
        let (want, live) = (kind.want_anew(&Snapshot::default()), Live::default());
        let scope = &kind.key().scope;
        for verb in [Verb::Create, Verb::Update, Verb::Delete] {
            let change = Change { verb, want: &want, live: &live, changes: &[] };
            for request in kind.requests(&change) {
                self.add_request(desired, scope, &request);
                // What was made may have to go; which objects those are shows only the live state.
                if let (Request::Apply { object, .. }, Target::Objects(own)) =
                    (&request, kind.target())
                    && own.contains(object)
                {
                    let object = object.clone();
                    self.add_request(desired, scope, &Request::DeleteObject { object });
                }
            }
        }
    }

    /// What it takes to know a secret, and with `value` to send it.
    fn add_secret(&mut self, scope: &str, source: &SecretSource, value: bool) {
        match source {
            SecretSource::KeyVault { vault, version, .. } => {
                let own = self.vaults.entry(vault.clone()).or_default();
                own.extend(version.is_none().then_some(READ_VERSIONS));
                own.extend(value.then_some(READ_VALUE));
            }
            SecretSource::Object { namespace, name, .. } => {
                let object = ObjectRef::cluster("v1", "Secret", "secrets", name);
                self.access(scope, "get", &object.in_namespace(namespace));
            }
            SecretSource::Env(_) | SecretSource::File(_) | SecretSource::Manifest { .. } => {}
        }
    }

    /// What reading takes.
    pub fn add_read(&mut self, scope: &str, read: &Read) {
        match read {
            Read::Arm { id, .. } => self.action(scope, id.as_str(), "", "read"),
            Read::ArmList { path, .. } => {
                let path = path.split_once('?').map_or(path.as_str(), |it| it.0);
                self.action(scope, path, "", "read");
            }
            Read::Object(object) => self.access(scope, "get", object),
            Read::Objects(object) => self.access(scope, "list", object),
            // Everybody may ask for their own rights.
            Read::Review(_) => {}
        }
    }

    /// What sending takes, and following what was begun.
    pub fn add_request(&mut self, desired: &Desired, scope: &str, request: &Request) {
        let verbs: &[&'static str] = match request {
            Request::Arm { method, path, body, .. } => {
                let verb = match method {
                    Method::Put | Method::Patch => "write",
                    Method::Post => "action",
                    Method::Delete => "delete",
                };
                self.action(scope, path, "", verb);
                if path.to_ascii_lowercase().contains("/extensions/") {
                    self.action(scope, path, "/operations", "read");
                }
                if let Some(body) = body {
                    self.behind(desired, scope, body);
                }
                return;
            }
            Request::Apply { .. } => &["get", "create", "patch"],
            Request::RemoveFields { .. }
            | Request::AddUsers { .. }
            | Request::RemoveUsers { .. } => &["get", "update"],
            Request::DeleteObject { .. } => &["get", "delete"],
        };
        let Some(object) = request.object() else { return };
        for verb in verbs {
            self.access(scope, verb, object);
        }
        if let Some(body) = request.body() {
            self.granted(scope, object, &body.to_stored());
        }
    }

    /// What a body makes the service look up in the caller's name: keys of other resources, and
    /// identities that it is to use.
    fn behind(&mut self, desired: &Desired, scope: &str, body: &Value) {
        match body {
            Value::Later(Later { from, call: Some(call), .. }) => {
                let node = desired.nodes.get(from);
                if let Some(Target::Arm(id)) = node.map(|it| it.resource.kind().target()) {
                    self.action(scope, &format!("{id}/{call}"), "", "action");
                }
            }
            Value::Object(map) => {
                if let Some(Value::Object(identities)) = map.get("userAssignedIdentities") {
                    for id in identities.keys() {
                        self.action(scope, id, "/assign", "action");
                    }
                }
                map.values().for_each(|value| self.behind(desired, scope, value));
            }
            Value::Array(items) => items.iter().for_each(|it| self.behind(desired, scope, it)),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Later(_)
            | Value::Secret(_) => {}
        }
    }

    /// Nobody hands out in a cluster what they do not hold; a role can be given by whoever may bind
    /// it (Kubernetes docs: RBAC, privilege escalation prevention).
    fn granted(&mut self, scope: &str, object: &ObjectRef, body: &Json) {
        let api = object.api_version.as_str();
        if let Some(role) = body.pointer("/roleRef/name").and_then(Json::as_str) {
            self.access(
                scope,
                "bind",
                &ObjectRef::cluster(api, "ClusterRole", "clusterroles", role),
            );
        }
        if object.kind == "ClusterRole" {
            self.access(scope, "escalate", object);
        }
    }

    fn action(&mut self, asker: &str, path: &str, below: &str, verb: &str) {
        let Some((at, kind)) = place(path) else { return };
        let own = || Actions { asker: asker.to_owned(), actions: BTreeSet::new() };
        let own = self.azure.entry(at).or_insert_with(own);
        own.actions.insert(format!("{kind}{below}/{verb}"));
    }

    fn access(&mut self, scope: &str, verb: &'static str, object: &ObjectRef) {
        let access = ResourceAttributes::new(verb, object);
        self.kubernetes.entry(scope.to_owned()).or_default().insert(access);
    }
}

/// The management group, subscription or resource group that a path lies in, and the type as
/// actions name it; `None` outside of all of them.
fn place(path: &str) -> Option<(ArmId, String)> {
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    let is =
        |at: usize, name: &str| segments.get(at).is_some_and(|it| it.eq_ignore_ascii_case(name));
    let group = segments.get(3).filter(|_| is(0, "subscriptions") && is(2, "resourceGroups"));
    let length = match () {
        () if group.is_some() || (is(0, "providers") && is(2, "managementGroups")) => 4,
        () if is(0, "subscriptions") => 2,
        () => return None,
    };
    let at = ArmId::parse(&segments.get(..length)?.join("/")).ok()?;
    let own = if group.is_some() {
        "Microsoft.Resources/subscriptions/resourceGroups"
    } else {
        "Microsoft.Resources/subscriptions"
    };
    let mut providers = (0..segments.len()).filter(|number| is(*number, "providers"));
    // A feature's id goes on with a second `providers`, which is part of its type.
    let feature = providers.clone().find(|number| is(number + 1, "Microsoft.Features"));
    let Some(provider) = feature.or_else(|| providers.next_back()) else {
        let rest = segments.get(if group.is_some() { 4 } else { 2 });
        return Some((at, rest.map_or(own.to_owned(), |text| format!("{own}/{text}"))));
    };
    let namespace = segments.get(provider + 1)?;
    let types: Vec<&str> = segments.iter().skip(provider + 2).step_by(2).copied().collect();
    let kind = if types.is_empty() {
        "Microsoft.Resources/subscriptions/providers".to_owned()
    } else {
        format!("{namespace}/{}", types.join("/"))
    };
    Some((at, kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_tells_its_scope_and_its_type_as_roles_write_them() {
        let group = "/subscriptions/s/resourceGroups/g";
        for (path, at, kind) in [
            (
                "/subscriptions/s/providers/Microsoft.Relay",
                "/subscriptions/s",
                "Microsoft.Resources/subscriptions/providers",
            ),
            (
                "/subscriptions/s/providers/Microsoft.Relay/register",
                "/subscriptions/s",
                "Microsoft.Relay/register",
            ),
            (
                "/subscriptions/s/providers/Microsoft.Features/providers/Microsoft.X/features/f/register",
                "/subscriptions/s",
                "Microsoft.Features/providers/features/register",
            ),
            (
                "/subscriptions/s/resourceGroups/g/providers/Microsoft.Kubernetes/connectedClusters/c/providers/Microsoft.KubernetesConfiguration/extensions/e",
                group,
                "Microsoft.KubernetesConfiguration/extensions",
            ),
            (
                "/subscriptions/s/resourceGroups/g/providers/Microsoft.Relay/namespaces/n/hybridConnections/h/authorizationRules/r/listKeys",
                group,
                "Microsoft.Relay/namespaces/hybridConnections/authorizationRules/listKeys",
            ),
            (
                "/subscriptions/s/resourceGroups/g/resources",
                group,
                "Microsoft.Resources/subscriptions/resourceGroups/resources",
            ),
            (
                "/subscriptions/s/providers/Microsoft.Authorization/roleAssignments",
                "/subscriptions/s",
                "Microsoft.Authorization/roleAssignments",
            ),
        ] {
            let (found, of) = place(path).unwrap();
            assert_eq!((found.as_str(), of.as_str()), (at, kind), "{path}");
        }
        let group = "/providers/Microsoft.Management/managementGroups/m";
        let role = format!("{group}/providers/Microsoft.Authorization/roleAssignments/r");
        let (found, of) = place(&role).unwrap();
        assert_eq!(
            (found.as_str(), of.as_str()),
            (group, "Microsoft.Authorization/roleAssignments")
        );
        assert_eq!(place("/providers/Microsoft.Authorization/roleDefinitions/r"), None);
    }
}
