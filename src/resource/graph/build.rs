//! What a manifest asks for, resource by resource, with what each needs before it.

use std::collections::BTreeSet;

use super::{CloudRef, ClusterAccess, Desired, ResourceNode, Scope};
use crate::catalog::{self, ArmType, ProfileName};
use crate::language::{
    Access, CloudSpec, ClusterSpec, ClusterType, CredentialsFrom, Declared, Manifest, Profile,
    SccMethod,
};
use crate::model::{ArmId, Key, KindName, Pointer};
use crate::resource::{self, GrantMethod, PARTS, Resource};
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
    let stages = desired.rollouts.iter_mut().flat_map(|rollout| &mut rollout.stages);
    stages.for_each(|stage| stage.clusters.retain(|cluster| here.contains(cluster)));
    let mut wrong = Diagnostics::new();
    for declared in &manifest.clusters {
        GraphBuilder::new(declared, &mut desired, &mut wrong).build();
    }
    if wrong.is_empty() { Ok(desired) } else { Err(wrong) }
}

/// The graph of one cluster in the making.
pub struct GraphBuilder<'a> {
    pub(in crate::resource) spec: &'a ClusterSpec,
    declared: &'a Declared,
    pub(in crate::resource) desired: &'a mut Desired,
    wrong: &'a mut Diagnostics,
    pub(in crate::resource) cluster_id: ArmId,
    pub(in crate::resource) extension: Option<Key>,
    /// What has to be there before the cluster is attached.
    pub(in crate::resource) before: Vec<Key>,
    pub(in crate::resource) namespaces: Vec<Key>,
    /// What this cluster was the first to bring.
    pub(super) brought: BTreeSet<Key>,
}

pub(super) fn profile(spec: &ClusterSpec) -> ProfileName {
    catalog_profile(spec.extension.as_ref().map(|extension| extension.profile).unwrap_or_default())
}

/// The catalog's word for a profile.
#[must_use]
pub const fn catalog_profile(profile: Profile) -> ProfileName {
    match profile {
        Profile::Ga => ProfileName::Ga,
        Profile::Preview => ProfileName::Preview,
    }
}

impl<'a> GraphBuilder<'a> {
    fn new(declared: &'a Declared, desired: &'a mut Desired, wrong: &'a mut Diagnostics) -> Self {
        let spec = &declared.spec;
        let cluster_id = spec.resource_id();
        let (before, namespaces, brought) = (Vec::new(), Vec::new(), BTreeSet::new());
        let extension = None;
        Self { spec, declared, desired, wrong, cluster_id, extension, before, namespaces, brought }
    }

    pub(in crate::resource) fn key(&self, kind: KindName, name: impl Into<String>) -> Key {
        Key::new(&self.spec.name, kind, name)
    }

    /// Adds a node, or adds to the needs of the equal one that another cluster brought. Two that
    /// differ never share an address: nothing that was declared may be lost.
    pub(in crate::resource) fn add(
        &mut self,
        resource: impl Into<Resource>,
        needs: &[Key],
        at: &str,
    ) -> Key {
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
        self.desired.nodes.insert(
            key.clone(),
            ResourceNode { resource, needs, reason: None, declared, orphan: None },
        );
        self.brought.insert(key.clone());
        key
    }

    /// Reads an id of the manifest; `None`, and an error, when it is none.
    pub(in crate::resource) fn arm_id(&mut self, text: &str, at: &str) -> Option<ArmId> {
        match ArmId::parse(text) {
            Ok(id) => Some(id),
            Err(why) => {
                let message = format!("`{text}` is not a resource id: {why}");
                self.wrong("bad-resource-id", message, "write it as `az` prints it under `id`", at);
                None
            }
        }
    }

    /// Says what is wrong at a place of the manifest, and how to mend it.
    pub(in crate::resource) fn wrong(
        &mut self,
        code: &'static str,
        message: String,
        help: impl Into<String>,
        at: &str,
    ) {
        let place = self.declared.origin.value(&Pointer::parse(at));
        self.wrong.push(Diagnostic::error(code, message).with_help(help).at(place, "here"));
    }

    fn because(&mut self, key: &Key, reason: &str) {
        if let Some(node) = self.desired.nodes.get_mut(key) {
            node.reason.get_or_insert_with(|| reason.to_owned());
        }
    }

    pub(in crate::resource) fn kubernetes(&self) -> bool {
        self.spec.cluster.access == Access::Kubernetes
    }

    fn build(mut self) {
        self.scopes();
        let cluster = self.read_only(KindName::Cluster, self.cluster_id.clone(), "/cluster");
        let companions_wanted = super::companions::companions_wanted(self.spec);
        let registrations = self.registrations();
        let namespaces = self.namespaces();
        let grant = self.scc_grant(&namespaces);
        let mut before: Vec<Key> = vec![cluster];
        before.extend(registrations.iter().cloned());
        let extension = self.spec.extension.is_some().then(|| {
            let (companions, mut needs) = self.companions(companions_wanted, &before);
            needs.extend(before.iter().cloned());
            needs.extend(grant.clone());
            needs.extend(namespaces.iter().find(|address| address.name == "azureml").cloned());
            self.extension(companions, &needs)
        });
        before.extend(extension.iter().cloned());
        before.extend(grant);
        (self.extension, self.before, self.namespaces) = (extension, before, namespaces);
        for part in PARTS {
            part.declare(&mut self);
        }
        self.lifecycle();
        self.skipped();
    }

    fn scopes(&mut self) {
        let azure = &self.spec.azure;
        let cloud = match &azure.cloud {
            CloudSpec::Named(name) => CloudRef {
                name: name.as_str().to_owned(),
                resource_manager: None,
                authority: None,
                audience: None,
            },
            CloudSpec::Custom(custom_cloud) => CloudRef {
                name: custom_cloud.name.clone(),
                resource_manager: Some(custom_cloud.resource_manager.clone()),
                authority: custom_cloud.authority.clone(),
                audience: custom_cloud.audience.clone(),
            },
        };
        let folder = &self.declared.origin.folder;
        let cluster = ClusterAccess {
            id: self.cluster_id.clone(),
            kubeconfig: self.spec.cluster.kubeconfig.as_ref().map(|text| folder.join(text)),
            context: self.spec.cluster.context.clone(),
            handed_out: self.spec.cluster.credentials == CredentialsFrom::Azure,
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
        found.extend(self.spec.computes.iter().filter_map(|it| it.workspace.subscription.clone()));
        let ids = self.spec.identities().into_iter().filter_map(|text| ArmId::parse(text).ok());
        found.extend(ids.map(|id| id.subscription().to_owned()));
        found
    }

    pub(in crate::resource) fn read_only(&mut self, kind: KindName, id: ArmId, at: &str) -> Key {
        let key = match kind {
            KindName::Cluster => self.key(kind, id.name()),
            _ => shared_key(kind, &id),
        };
        self.add_read_only(resource::ReadOnly { key, id }, at)
    }

    fn add_read_only(&mut self, resource: resource::ReadOnly, at: &str) -> Key {
        self.add(Resource::ReadOnly(resource), &[], at)
    }

    fn registrations(&mut self) -> Vec<Key> {
        let needed = super::registrations(self.spec);
        let required = |list: &[catalog::Registration]| -> Vec<(String, Option<&'static str>)> {
            list.iter().map(|it| (it.name.to_owned(), Some(it.reason))).collect()
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
            if let Some(ResourceNode { resource: Resource::Provider(known), .. }) =
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
        let own = |text: &str| text != "default" && !text.starts_with("kube-");
        let computes = self.spec.computes.iter().enumerate();
        let mut wanted: Vec<(String, String)> = computes
            .filter(|(_, compute)| own(&compute.namespace))
            .map(|(index, compute)| {
                (compute.namespace.clone(), format!("/computes/{index}/namespace"))
            })
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
        let possible = declared.is_none_or(|text| text.eq_ignore_ascii_case("openshift"));
        if !self.kubernetes() || !arc || !possible {
            return None;
        }
        let name = spec.extension.as_ref().map(|extension| extension.name.as_str());
        let compute_namespaces: Vec<String> =
            spec.computes.iter().map(|compute| compute.namespace.clone()).collect();
        let mut accounts: BTreeSet<(String, String)> = match name {
            Some(name) => catalog::service_accounts(profile(spec), name, &compute_namespaces)
                .into_iter()
                .collect(),
            None => BTreeSet::new(),
        };
        for extra in spec.scc.iter().flat_map(|scc| &scc.service_accounts) {
            let parts: Vec<&str> = extra.split(':').collect();
            if let ["system", "serviceaccount", namespace, account] = parts[..] {
                accounts.insert((namespace.to_owned(), account.to_owned()));
            }
        }
        let method = match (spec.scc.as_ref().and_then(|scc| scc.method), profile(spec)) {
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
                .map(|(key, setting)| (catalog::wire_key(key), setting.wire()))
                .collect(),
            protected: self.declared.secrets.clone(),
            companions,
        };
        self.add(extension, needs, "/extension")
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
