//! What a manifest asks for, resource by resource, with what each needs before it.

use std::collections::BTreeSet;

use super::{CloudRef, ClusterAccess, Desired, Node, Scope};
use crate::catalog::{self, ArmType, ProfileName, RegistrationQuery};
use crate::language::{
    Access, Cloud, Cluster, ClusterType, Declared, IdentityType, Manifest, PrincipalRef, Profile,
    RoleAssignment, SccMethod,
};
use crate::model::{ArmId, Key, KindName, Later, Pointer};
use crate::resource::{self, GrantMethod, Principal, Resource, Target};
use crate::source::{Diagnostic, Diagnostics};

/// Builds the desired state of every cluster of a manifest. What several clusters share is one node.
///
/// # Errors
/// Names and ids that mean nothing, and different resources that would share an address. A manifest
/// that its rules found right has none.
pub fn build(manifest: &Manifest) -> Result<Desired, Diagnostics> {
    let mut desired = Desired::default();
    desired.rollouts.clone_from(&manifest.rollouts);
    let here: BTreeSet<&String> = manifest.clusters.iter().map(|it| &it.spec.name).collect();
    let stages = desired.rollouts.iter_mut().flat_map(|it| &mut it.stages);
    stages.for_each(|it| it.clusters.retain(|it| here.contains(it)));
    let mut wrong = Diagnostics::new();
    for declared in &manifest.clusters {
        Builder::new(declared, &mut desired, &mut wrong).build();
    }
    if wrong.is_empty() { Ok(desired) } else { Err(wrong) }
}

pub(super) struct Builder<'a> {
    pub(super) spec: &'a Cluster,
    declared: &'a Declared,
    pub(super) desired: &'a mut Desired,
    wrong: &'a mut Diagnostics,
    cluster_id: ArmId,
}

pub(super) fn profile(spec: &Cluster) -> ProfileName {
    match spec.extension.as_ref().map(|it| it.profile) {
        Some(Profile::Preview) => ProfileName::Preview,
        Some(Profile::Ga) | None => ProfileName::Ga,
    }
}

impl<'a> Builder<'a> {
    fn new(declared: &'a Declared, desired: &'a mut Desired, wrong: &'a mut Diagnostics) -> Self {
        let spec = &declared.spec;
        let azure = &spec.azure;
        let resource_type = spec.cluster.kind.resource_type();
        let (group, name) = (&azure.resource_group, &spec.cluster.name);
        let cluster_id = ArmId::resource(&azure.subscription, group, resource_type, name);
        Self { spec, declared, desired, wrong, cluster_id }
    }

    pub(super) fn key(&self, kind: KindName, name: impl Into<String>) -> Key {
        Key::new(&self.spec.name, kind, name)
    }

    /// Adds a node, or adds to the needs of the equal one that another cluster brought. Two that
    /// differ never share an address: nothing that was declared may be lost.
    pub(super) fn add(&mut self, resource: impl Into<Resource>, needs: &[Key], at: &str) -> Key {
        let resource = resource.into();
        let key = resource.kind().key().clone();
        let at = Pointer::parse(at);
        if let Some(node) = self.desired.nodes.get_mut(&key) {
            node.needs.extend(needs.iter().cloned());
            if node.resource != resource {
                let first = self.desired.place(&key, &Pointer::root());
                let message = format!("two different resources have the address {key}");
                self.wrong.push(
                    Diagnostic::error("address-collision", message)
                        .with_help("give one of them another name")
                        .at(self.declared.origin.value(&at), "again here")
                        .at(first, "first here"),
                );
            }
            return key;
        }
        let declared = Some((self.spec.name.clone(), at));
        let needs = needs.iter().cloned().collect();
        self.desired
            .nodes
            .insert(key.clone(), Node { resource, needs, reason: None, declared, orphan: None });
        key
    }

    /// Reads an id of the manifest; `None`, and an error, when it is none.
    fn arm_id(&mut self, text: &str, at: &str) -> Option<ArmId> {
        match ArmId::parse(text) {
            Ok(id) => Some(id),
            Err(why) => {
                let message = format!("`{text}` is not a resource id: {why}");
                let place = self.declared.origin.value(&Pointer::parse(at));
                self.wrong.push(Diagnostic::error("bad-resource-id", message).at(place, "here"));
                None
            }
        }
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
            id: self.cluster_id.clone(),
            kubeconfig: self.spec.cluster.kubeconfig.as_ref().map(|it| folder.join(it)),
            context: self.spec.cluster.context.clone(),
            kubernetes: self.kubernetes(),
            prune: self.spec.lifecycle.prune,
        };
        let subscription = azure.subscription.clone();
        let scope = Scope { cloud, tenant: azure.tenant.clone(), subscription, cluster: None };
        for other in self.subscriptions() {
            let shared = Scope { subscription: other.clone(), ..scope.clone() };
            self.add_scope(other, shared, "/azure");
        }
        let own = Scope { cluster: Some(cluster), ..scope };
        self.add_scope(self.spec.name.clone(), own, "/name");
        self.desired.origins.insert(self.spec.name.clone(), self.declared.origin.clone());
    }

    /// Says how to reach what stands under `name`; two clusters that share a subscription have to
    /// agree on its cloud and directory.
    fn add_scope(&mut self, name: String, scope: Scope, at: &str) {
        let Some(known) = self.desired.scopes.get_mut(&name) else {
            self.desired.scopes.insert(name, scope);
            return;
        };
        let tenants = [&known.tenant, &scope.tenant].map(Option::as_deref);
        let agree = matches!(tenants, [None, _] | [_, None])
            || matches!(tenants, [Some(a), Some(b)] if a.eq_ignore_ascii_case(b));
        if known.cloud == scope.cloud && known.cluster == scope.cluster && agree {
            known.tenant = known.tenant.take().or(scope.tenant);
            return;
        }
        let message = format!("`{name}` stands for two different clouds, directories or clusters");
        self.wrong.push(
            Diagnostic::error("address-collision", message)
                .with_help("plan clusters of different clouds or directories in separate runs, and name no cluster like a subscription")
                .at(self.declared.origin.value(&Pointer::parse(at)), "here"),
        );
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
            _ => shared_key(kind, &id),
        };
        self.add_read_only(resource::ReadOnly { key, id }, at)
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
            let mut all: BTreeSet<Key> = features.iter().cloned().collect();
            if let Some(Node { resource: Resource::Provider(known), .. }) =
                self.desired.nodes.get_mut(&key)
            {
                // Another cluster may need further features of the same provider.
                all.append(&mut known.features);
                known.features = all.clone();
            }
            let resource = resource::Provider { key: key.clone(), features: all };
            keys.push(self.add(resource, &features, "/providers"));
            self.because(&key, reason.unwrap_or("declared"));
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
        let id = self.cluster_id.extension(ArmType::EXTENSIONS.name, &spec.name);
        let key = self.key(KindName::Extension, &spec.name);
        let settings = &spec.configuration_settings;
        let extension = resource::Extension {
            key,
            id,
            cluster_id: self.cluster_id.clone(),
            aks: self.spec.cluster.kind == ClusterType::ManagedClusters,
            ga: spec.profile == Profile::Ga,
            distribution: self.spec.cluster.distribution.clone(),
            version: spec.version.clone(),
            release_train: spec.release_train.clone(),
            auto_upgrade_minor_version: spec.auto_upgrade_minor_version,
            settings: settings
                .iter()
                .map(|(key, it)| (catalog::wire_key(key), it.wire()))
                .collect(),
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
            let workspace_id = self.spec.workspace_id(compute);
            let id = workspace_id.child("computes", &compute.name);
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
                    let at = format!("{at}/identity/userAssignedIdentities/0");
                    let Some(id) = self.arm_id(first, &at) else { continue };
                    needs.push(self.read_only(KindName::ManagedIdentity, id.clone(), &at));
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
                cluster_id: self.cluster_id.clone(),
                namespace: compute.namespace.clone(),
                identity,
                description: compute.description.clone(),
                tags: compute.tags.clone(),
                default_instance_type: compute.default_instance_type.clone(),
            };
            self.add(resource, &needs, &at);
        }
    }

    /// Where the principal id of a declared principal stands: the node, and the place in it.
    fn principal(&self, who: PrincipalRef<'_>, extension: Option<&Key>) -> Option<Principal> {
        let later = |from: Key, at: &str| {
            Some(Principal::Of(Later { from, at: Pointer::parse(at), call: None }))
        };
        match who {
            PrincipalRef::ObjectId(id) => Some(Principal::ObjectId(id.to_owned())),
            PrincipalRef::Extension => {
                let at = match self.spec.cluster.kind {
                    ClusterType::ConnectedClusters => "/identity/principalId",
                    ClusterType::ManagedClusters => "/properties/aksAssignedIdentity/principalId",
                };
                later(extension?.clone(), at)
            }
            PrincipalRef::Workspace(index) => {
                let id = self.spec.workspace_id(&self.spec.computes[index]);
                later(shared_key(KindName::Workspace, &id), "/identity/principalId")
            }
            PrincipalRef::Compute(index) => {
                let key = self.key(KindName::Compute, &self.spec.computes[index].name);
                let Resource::Compute(compute) = &self.desired.nodes.get(&key)?.resource else {
                    return None;
                };
                match &compute.identity {
                    resource::ComputeIdentity::UserAssigned(id) => {
                        let identity = shared_key(KindName::ManagedIdentity, id);
                        later(identity, "/properties/principalId")
                    }
                    _ => later(key, "/identity/principalId"),
                }
            }
        }
    }

    fn role_assignments(&mut self, extension: Option<&Key>) {
        let spec = self.spec;
        let labels = labels(spec);
        for (index, (it, label)) in spec.role_assignments.iter().zip(labels).enumerate() {
            let at = format!("/roleAssignments/{index}");
            let Some(scope) = self.arm_id(&it.scope, &format!("{at}/scope")) else { continue };
            let who = spec.principal(&it.principal).ok();
            let Some(principal) = who.and_then(|who| self.principal(who, extension)) else {
                let place = self.declared.origin.value(&Pointer::parse(&format!("{at}/principal")));
                let message = format!("`{}` does not name one principal", it.principal);
                self.wrong.push(Diagnostic::error("unknown-principal", message).at(place, "here"));
                continue;
            };
            let role = it.role.rsplit('/').next().unwrap_or(&it.role);
            let role = catalog::role(role).unwrap_or(role);
            let subscription = match scope.subscription() {
                "" => spec.azure.subscription.as_str(),
                own => own,
            };
            let role_definition = format!(
                "/subscriptions/{subscription}/providers/Microsoft.Authorization/roleDefinitions/{role}"
            );
            let (who, needs) = match &principal {
                Principal::ObjectId(id) => (id.clone(), Vec::new()),
                Principal::Of(later) => {
                    let node = self.desired.nodes.get(&later.from);
                    let who = match node.map(|it| it.resource.kind().target()) {
                        Some(Target::Arm(id)) => id.to_string(),
                        Some(Target::Objects(_)) | None => later.from.to_string(),
                    };
                    (who, vec![later.from.clone()])
                }
            };
            let triple = format!("{scope}|{who}|{role}");
            let space = uuid::Uuid::NAMESPACE_URL;
            let name = uuid::Uuid::new_v5(&space, triple.to_ascii_lowercase().as_bytes());
            let workspace = needs.first().filter(|it| it.kind == KindName::Workspace).cloned();
            let resource = resource::RoleAssignment {
                key: self.key(KindName::RoleAssignment, label),
                at: scope,
                role_definition,
                principal,
                name: name.to_string(),
            };
            let key = self.add(resource, &needs, &at);
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

/// Workspaces and identities may be shared, so they stand under their subscription.
pub(in crate::resource) fn shared_key(kind: KindName, id: &ArmId) -> Key {
    let group = id.resource_group().unwrap_or_default();
    Key::new(id.subscription(), kind, format!("{group}/{}", id.name()))
}

/// The names of the role assignments of a cluster: principal, role and the last two segments of
/// the scope, or as many more as it takes to tell one from the others.
fn labels(spec: &Cluster) -> Vec<String> {
    let spelled = |it: &RoleAssignment, segments: usize| {
        let scope: Vec<&str> = it.scope.split('/').filter(|it| !it.is_empty()).collect();
        let tail = &scope[scope.len().saturating_sub(segments)..];
        format!("{}/{}/{}", it.principal, it.role, tail.join("/"))
    };
    let all = &spec.role_assignments;
    let longest = all.iter().map(|it| it.scope.split('/').count()).max().unwrap_or(0);
    let alone = |own: &RoleAssignment, segments: usize| {
        let label = spelled(own, segments);
        let same = all.iter().filter(|it| spelled(it, segments).eq_ignore_ascii_case(&label));
        // The same scope, declared again, is the same assignment.
        same.into_iter().all(|it| it.scope.eq_ignore_ascii_case(&own.scope))
    };
    let label = |own: &RoleAssignment| {
        let lengths = (2..longest).step_by(2);
        let enough = lengths.into_iter().find(|it| alone(own, *it)).unwrap_or(longest);
        spelled(own, enough)
    };
    all.iter().map(label).collect()
}
