//! What a manifest asks for, resource by resource, with what each needs before it.

use std::collections::BTreeSet;

use super::{CloudRef, ClusterAccess, Desired, Node, Scope};
use crate::catalog::{self, ProfileName, RegistrationQuery};
use crate::language::{
    Access, Cloud, Cluster, ClusterType, Declared, IdentityType, Manifest, Profile, SccMethod,
};
use crate::model::{ArmId, Key, KindName, Later, Pointer};
use crate::resource::{self, GrantMethod, Principal, Resource};

/// Builds the desired state of every cluster of a manifest. What several clusters share is one node.
#[must_use]
pub fn build(manifest: &Manifest) -> Desired {
    let mut desired = Desired::default();
    for declared in &manifest.clusters {
        Builder::new(declared, &mut desired).build();
    }
    desired
}

pub(super) struct Builder<'a> {
    pub(super) spec: &'a Cluster,
    declared: &'a Declared,
    pub(super) desired: &'a mut Desired,
    cluster_id: ArmId,
}

pub(super) fn profile(spec: &Cluster) -> ProfileName {
    match spec.extension.as_ref().map(|it| it.profile) {
        Some(Profile::Preview) => ProfileName::Preview,
        Some(Profile::Ga) | None => ProfileName::Ga,
    }
}

impl<'a> Builder<'a> {
    fn new(declared: &'a Declared, desired: &'a mut Desired) -> Self {
        let spec = &declared.spec;
        let azure = &spec.azure;
        let resource_type = spec.cluster.kind.resource_type();
        let (group, name) = (&azure.resource_group, &spec.cluster.name);
        let cluster_id = ArmId::resource(&azure.subscription, group, resource_type, name);
        Self { spec, declared, desired, cluster_id }
    }

    pub(super) fn key(&self, kind: KindName, name: impl Into<String>) -> Key {
        Key::new(&self.spec.name, kind, name)
    }

    /// Adds a node, or adds to the needs of the one that another cluster brought.
    pub(super) fn add(&mut self, resource: impl Into<Resource>, needs: &[Key], at: &str) -> Key {
        let resource = resource.into();
        let key = resource.kind().key().clone();
        let declared = Some((self.spec.name.clone(), Pointer::parse(at)));
        let node = self.desired.nodes.entry(key.clone()).or_insert_with(|| Node {
            resource,
            needs: BTreeSet::new(),
            reason: None,
            declared,
        });
        node.needs.extend(needs.iter().cloned());
        key
    }

    fn because(&mut self, key: &Key, reason: &str) {
        if let Some(node) = self.desired.nodes.get_mut(key) {
            node.reason.get_or_insert_with(|| reason.to_owned());
        }
    }

    fn kubernetes(&self) -> bool {
        self.spec.cluster.access == Access::Kubernetes
    }

    fn build(mut self) {
        self.scopes();
        let cluster = self.read_only(KindName::Cluster, self.cluster_id.clone(), "/cluster");
        let companions_wanted = self.companions_wanted();
        let registrations = self.registrations(companions_wanted);
        let namespaces = self.namespaces();
        let grant = self.scc_grant(&namespaces);
        let mut before: Vec<Key> = vec![cluster];
        before.extend(registrations.iter().cloned());
        let extension = self.spec.extension.is_some().then(|| {
            let (companions, mut needs) = self.companions(companions_wanted, &before);
            needs.extend(before.iter().cloned());
            needs.extend(grant.clone());
            needs.extend(namespaces.iter().find(|it| it.name == "azureml").cloned());
            self.extension(companions, &needs)
        });
        let types = self.instance_types(extension.as_ref());
        before.extend(extension.iter().cloned());
        before.extend(types);
        before.extend(grant);
        self.computes(&before, &namespaces);
        self.role_assignments(extension.as_ref());
        self.lifecycle();
        self.skipped();
    }

    fn scopes(&mut self) {
        let azure = &self.spec.azure;
        let cloud = match &azure.cloud {
            Cloud::Named(name) => CloudRef {
                name: name.as_str().to_owned(),
                resource_manager: None,
                authority: None,
                audience: None,
            },
            Cloud::Custom(it) => CloudRef {
                name: it.name.clone(),
                resource_manager: Some(it.resource_manager.clone()),
                authority: it.authority.clone(),
                audience: it.audience.clone(),
            },
        };
        let folder = &self.declared.origin.folder;
        let cluster = ClusterAccess {
            id: self.cluster_id.to_string(),
            kubeconfig: self.spec.cluster.kubeconfig.as_ref().map(|it| folder.join(it)),
            context: self.spec.cluster.context.clone(),
            kubernetes: self.kubernetes(),
        };
        let subscription = azure.subscription.clone();
        let scope = Scope { cloud, tenant: azure.tenant.clone(), subscription, cluster: None };
        for other in self.subscriptions() {
            let shared = Scope { subscription: other.clone(), ..scope.clone() };
            self.desired.scopes.entry(other).or_insert(shared);
        }
        let own = Scope { cluster: Some(cluster), ..scope };
        self.desired.scopes.insert(self.spec.name.clone(), own);
        self.desired.origins.insert(self.spec.name.clone(), self.declared.origin.clone());
    }

    /// Every subscription that the cluster's parts are in.
    fn subscriptions(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::from([self.spec.azure.subscription.clone()]);
        for compute in &self.spec.computes {
            found.extend(compute.workspace.subscription.clone());
            let ids = &compute.identity.user_assigned_identities;
            let ids = ids.iter().filter_map(|it| ArmId::parse(it).ok());
            found.extend(ids.map(|it| it.subscription().to_owned()));
        }
        found
    }

    fn read_only(&mut self, kind: KindName, id: ArmId, at: &str) -> Key {
        let key = match kind {
            KindName::Cluster => self.key(kind, id.name()),
            // Workspaces and identities may be shared, so they stand under their subscription.
            _ => {
                let group = id.resource_group().unwrap_or_default();
                Key::new(id.subscription(), kind, format!("{group}/{}", id.name()))
            }
        };
        self.add_read_only(resource::ReadOnly { key, id: id.to_string() }, at)
    }

    fn add_read_only(&mut self, resource: resource::ReadOnly, at: &str) -> Key {
        self.add(Resource::ReadOnly(resource), &[], at)
    }

    pub(super) fn setting(&self, key: &str) -> Option<String> {
        Some(self.spec.extension.as_ref()?.configuration_settings.get(key)?.wire())
    }

    pub(super) fn is_on(&self, key: &str) -> bool {
        self.setting(key).is_some_and(|it| it.eq_ignore_ascii_case("true"))
    }

    pub(super) fn brings(&self, key: &str) -> bool {
        let extension = self.spec.extension.as_ref();
        extension.is_some_and(|it| {
            it.configuration_protected_settings.contains_key(key)
                || it.configuration_settings.contains_key(key)
        })
    }

    fn registrations(
        &mut self,
        (relay, service_bus, log_analytics): (bool, bool, bool),
    ) -> Vec<Key> {
        let needed = catalog::registrations(&RegistrationQuery {
            profile: profile(self.spec),
            aks: self.spec.cluster.kind == ClusterType::ManagedClusters,
            extension: self.spec.extension.is_some(),
            relay,
            service_bus,
            log_analytics,
            computes: !self.spec.computes.is_empty(),
        });
        let required = |list: &[catalog::Registration]| -> Vec<(String, Option<&'static str>)> {
            let list = list.iter().filter(|it| it.required);
            list.map(|it| (it.name.to_owned(), Some(it.reason))).collect()
        };
        let given = |list: &[String]| list.iter().map(|it| (it.clone(), None)).collect::<Vec<_>>();
        let features = match &self.spec.features[..] {
            [] => required(&needed.features),
            own => given(own),
        };
        let providers = match &self.spec.providers[..] {
            [] => required(&needed.providers),
            own => given(own),
        };
        let subscription = self.spec.azure.subscription.clone();
        let mut keys = Vec::new();
        for (feature, reason) in &features {
            let Some((namespace, name)) = feature.split_once('/') else { continue };
            let key = Key::new(&subscription, KindName::Feature, feature);
            let (namespace, name) = (namespace.to_owned(), name.to_owned());
            keys.push(self.add(
                resource::Feature { key: key.clone(), namespace, name },
                &[],
                "/features",
            ));
            self.because(&key, reason.unwrap_or("declared"));
        }
        for (provider, reason) in &providers {
            let of_provider = |key: &&Key| {
                key.kind == KindName::Feature && key.name.starts_with(&format!("{provider}/"))
            };
            // A feature takes effect only when its provider is registered again after it.
            let features: Vec<Key> = keys.iter().filter(of_provider).cloned().collect();
            let key = Key::new(&subscription, KindName::Provider, provider);
            let resource = resource::Provider { key: key.clone(), features: features.clone() };
            keys.push(self.add(resource, &features, "/providers"));
            self.because(&key, reason.unwrap_or("declared"));
            if let Some(Node { resource: Resource::Provider(it), .. }) =
                self.desired.nodes.get_mut(&key)
            {
                it.features.extend(features);
                it.features.sort();
                it.features.dedup();
            }
        }
        keys
    }

    fn namespaces(&mut self) -> Vec<Key> {
        if !self.kubernetes() {
            return Vec::new();
        }
        // `default` and the cluster's own namespaces are there already.
        let own = |it: &str| it != "default" && !it.starts_with("kube-");
        let computes = self.spec.computes.iter().enumerate();
        let mut wanted: Vec<(String, String)> = computes
            .filter(|(_, it)| own(&it.namespace))
            .map(|(index, it)| (it.namespace.clone(), format!("/computes/{index}/namespace")))
            .collect();
        if self.spec.extension.is_some() {
            wanted.push(("azureml".to_owned(), "/extension".to_owned()));
        }
        let mut keys = Vec::new();
        for (namespace, at) in wanted {
            let key = self.key(KindName::Namespace, namespace);
            keys.push(self.add(resource::Namespace { key }, &[], &at));
        }
        keys.sort();
        keys.dedup();
        keys
    }

    fn scc_grant(&mut self, namespaces: &[Key]) -> Option<Key> {
        let spec = self.spec;
        let declared = spec.cluster.distribution.as_deref();
        let arc = spec.cluster.kind == ClusterType::ConnectedClusters;
        let possible = declared.is_none_or(|it| it.eq_ignore_ascii_case("openshift"));
        if !self.kubernetes() || !arc || !possible {
            return None;
        }
        let name = spec.extension.as_ref().map(|it| it.name.as_str());
        let compute_namespaces: Vec<String> =
            spec.computes.iter().map(|it| it.namespace.clone()).collect();
        let mut accounts: BTreeSet<(String, String)> = match name {
            Some(name) => catalog::service_accounts(profile(spec), name, &compute_namespaces)
                .into_iter()
                .collect(),
            None => BTreeSet::new(),
        };
        for extra in spec.scc.iter().flat_map(|it| &it.service_accounts) {
            let parts: Vec<&str> = extra.split(':').collect();
            if let ["system", "serviceaccount", namespace, account] = parts[..] {
                accounts.insert((namespace.to_owned(), account.to_owned()));
            }
        }
        let method = match (spec.scc.as_ref().and_then(|it| it.method), profile(spec)) {
            (Some(SccMethod::Users), _) | (None, ProfileName::Preview) => GrantMethod::Users,
            (Some(SccMethod::Rbac), _) | (None, ProfileName::Ga) => GrantMethod::Rbac,
        };
        let scc = spec.scc.as_ref().map_or("privileged", |it| it.name.as_str());
        let key = self.key(KindName::SccGrant, scc);
        let needs: Vec<Key> = match method {
            // A role binding lives in its namespace.
            GrantMethod::Rbac => namespaces.to_vec(),
            GrantMethod::Users => Vec::new(),
        };
        let distribution = spec.cluster.distribution.clone();
        let grant = resource::SccGrant { key, method, accounts, distribution };
        Some(self.add(grant, &needs, "/scc"))
    }

    fn extension(&mut self, companions: resource::Companions, needs: &[Key]) -> Key {
        let Some(spec) = &self.spec.extension else { return self.key(KindName::Extension, "") };
        let id = self.cluster_id.extension(resource::EXTENSIONS, &spec.name);
        let key = self.key(KindName::Extension, &spec.name);
        let settings = &spec.configuration_settings;
        let extension = resource::Extension {
            key,
            id: id.to_string(),
            cluster_id: self.cluster_id.to_string(),
            aks: self.spec.cluster.kind == ClusterType::ManagedClusters,
            ga: spec.profile == Profile::Ga,
            distribution: self.spec.cluster.distribution.clone(),
            version: spec.version.clone(),
            release_train: spec.release_train.clone(),
            auto_upgrade_minor_version: spec.auto_upgrade_minor_version,
            settings: settings.iter().map(|(key, it)| (key.clone(), it.wire())).collect(),
            protected: self.declared.secrets.clone(),
            companions,
        };
        self.add(extension, needs, "/extension")
    }

    fn instance_types(&mut self, extension: Option<&Key>) -> Vec<Key> {
        if !self.kubernetes() {
            return Vec::new();
        }
        let needs: Vec<Key> = extension.cloned().into_iter().collect();
        let mut keys = Vec::new();
        for (index, it) in self.spec.instance_types.iter().enumerate() {
            let wire = |map: &std::collections::BTreeMap<String, crate::language::Quantity>| {
                map.iter().map(|(key, it)| (key.clone(), it.wire())).collect()
            };
            let resource = resource::InstanceType {
                key: self.key(KindName::InstanceType, &it.name),
                node_selector: it.node_selector.clone(),
                requests: wire(&it.resources.requests),
                limits: wire(&it.resources.limits),
            };
            keys.push(self.add(resource, &needs, &format!("/instanceTypes/{index}")));
        }
        keys
    }

    fn computes(&mut self, before: &[Key], namespaces: &[Key]) {
        for (index, compute) in self.spec.computes.iter().enumerate() {
            let at = format!("/computes/{index}");
            let azure = &self.spec.azure;
            let place = &compute.workspace;
            let subscription = place.subscription.as_ref().unwrap_or(&azure.subscription);
            let group = place.resource_group.as_ref().unwrap_or(&azure.resource_group);
            let workspace_id =
                ArmId::resource(subscription, group, resource::WORKSPACES, &place.name);
            let id = workspace_id.child("computes", &compute.name).to_string();
            let workspace =
                self.read_only(KindName::Workspace, workspace_id, &format!("{at}/workspace"));
            let mut needs = before.to_vec();
            needs.push(workspace.clone());
            needs.extend(namespaces.iter().filter(|it| it.name == compute.namespace).cloned());
            // Azure ML uses the first of several identities only.
            let first = compute.identity.user_assigned_identities.first();
            let identity = match (compute.identity.kind, first) {
                (IdentityType::SystemAssigned, _) => resource::ComputeIdentity::SystemAssigned,
                (IdentityType::UserAssigned, Some(first)) => {
                    let identity = ArmId::parse(first).ok();
                    needs.extend(identity.clone().map(|it| {
                        let at = format!("{at}/identity/userAssignedIdentities/0");
                        self.read_only(KindName::ManagedIdentity, it, &at)
                    }));
                    let id = identity.map_or_else(|| first.clone(), |it| it.to_string());
                    resource::ComputeIdentity::UserAssigned(id)
                }
                (IdentityType::UserAssigned | IdentityType::None, _) => {
                    resource::ComputeIdentity::None
                }
            };
            let resource = resource::Compute {
                key: self.key(KindName::Compute, &compute.name),
                id,
                workspace,
                cluster_id: self.cluster_id.to_string(),
                namespace: compute.namespace.clone(),
                identity,
            };
            self.add(resource, &needs, &at);
        }
    }

    /// Where the principal id of a declared principal stands, and what has to be there first.
    fn principal(&self, text: &str, extension: Option<&Key>) -> (Principal, Vec<Key>) {
        let later = |from: Key, at: &str| {
            let need = from.clone();
            (Principal::Of(Later { from, at: Pointer::parse(at), call: None }), vec![need])
        };
        if let Some(name) = text.strip_prefix("compute/") {
            let key = self.key(KindName::Compute, name);
            let node = self.desired.nodes.get(&key).map(|it| &it.resource);
            if let Some(Resource::Compute(compute)) = node
                && let resource::ComputeIdentity::UserAssigned(id) = &compute.identity
                && let Ok(id) = ArmId::parse(id)
            {
                let group = id.resource_group().unwrap_or_default();
                let name = format!("{group}/{}", id.name());
                let identity = Key::new(id.subscription(), KindName::ManagedIdentity, name);
                return later(identity, "/properties/principalId");
            }
            return later(key, "/identity/principalId");
        }
        if let Some(name) = text.strip_prefix("workspace/") {
            let nodes = self.desired.nodes.keys();
            let mut found = nodes.filter(|it| it.kind == KindName::Workspace);
            let suffix = format!("/{name}");
            if let Some(key) = found.find(|it| it.name.ends_with(&suffix)) {
                return later(key.clone(), "/identity/principalId");
            }
        }
        if let (true, Some(extension)) = (text == "extension", extension) {
            let at = match self.spec.cluster.kind {
                ClusterType::ConnectedClusters => "/identity/principalId",
                ClusterType::ManagedClusters => "/properties/aksAssignedIdentity/principalId",
            };
            return later(extension.clone(), at);
        }
        (Principal::ObjectId(text.to_owned()), Vec::new())
    }

    fn role_assignments(&mut self, extension: Option<&Key>) {
        for (index, it) in self.spec.role_assignments.iter().enumerate() {
            let (principal, needs) = self.principal(&it.principal, extension);
            let role = it.role.rsplit('/').next().unwrap_or(&it.role);
            let role = catalog::role(role).unwrap_or(role);
            let subscription = ArmId::parse(&it.scope).map_or_else(
                |_| self.spec.azure.subscription.clone(),
                |it| it.subscription().into(),
            );
            let role_definition = format!(
                "/subscriptions/{subscription}/providers/Microsoft.Authorization/roleDefinitions/{role}"
            );
            let who = match &principal {
                Principal::ObjectId(id) => id.clone(),
                Principal::Of(later) => match self.desired.nodes.get(&later.from) {
                    Some(Node { resource: Resource::Compute(it), .. }) => it.id.clone(),
                    Some(Node { resource: Resource::Extension(it), .. }) => it.id.clone(),
                    Some(Node { resource: Resource::ReadOnly(it), .. }) => it.id.clone(),
                    _ => later.from.to_string(),
                },
            };
            let triple = format!("{}|{who}|{role}", it.scope.trim_end_matches('/'));
            let space = uuid::Uuid::NAMESPACE_URL;
            let name = uuid::Uuid::new_v5(&space, triple.to_ascii_lowercase().as_bytes());
            let label = format!("{}/{}/{}", it.principal, it.role, short(&it.scope));
            let workspace = match &principal {
                Principal::Of(it) if it.from.kind == KindName::Workspace => Some(it.from.clone()),
                Principal::Of(_) | Principal::ObjectId(_) => None,
            };
            let resource = resource::RoleAssignment {
                key: self.key(KindName::RoleAssignment, label),
                at: it.scope.clone(),
                role_definition,
                principal,
                name: name.to_string(),
            };
            let key = self.add(resource, &needs, &format!("/roleAssignments/{index}"));
            if let Some(workspace) = workspace {
                self.attach_after(&workspace, &key);
            }
        }
    }

    /// A workspace that attaches with rights it is given here has to have them first
    /// (AML docs: attach Kubernetes to workspace, roles of the workspace identity).
    fn attach_after(&mut self, workspace: &Key, role: &Key) {
        let scope = &self.spec.name;
        for node in self.desired.nodes.values_mut() {
            if let Resource::Compute(compute) = &node.resource
                && compute.workspace == *workspace
                && compute.key.scope == *scope
            {
                node.needs.insert(role.clone());
            }
        }
    }

    fn skipped(&mut self) {
        if self.kubernetes() {
            return;
        }
        let name = &self.spec.name;
        let mut what = vec!["namespaces"];
        if !self.spec.instance_types.is_empty() {
            what.push("instance types");
        }
        if self.spec.scc.is_some() {
            what.push("SCC grants");
        }
        let what = what.join(", ");
        self.desired.skipped.push(format!(
            "{name}: access is azureOnly, so {what} and all checks inside the cluster are skipped"
        ));
    }
}

/// The last type and name of a scope, to keep addresses readable.
fn short(scope: &str) -> String {
    let mut tail: Vec<&str> = scope.trim_end_matches('/').rsplit('/').take(2).collect();
    tail.reverse();
    tail.join("/")
}
