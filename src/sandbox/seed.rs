//! What a world starts with: the things a manifest presupposes, and what the world file says about them.
//!
//! A thing is seeded once. Its id stays in the state, so what a user deletes stays deleted.

use serde_json::{Value as Json, json};

use crate::agents::chart::ensure_namespace;
use crate::arm::answer::fill_identity;
use crate::arm::clusters::{self, DEFAULT_VERSION};
use crate::arm::{features, generic, groups, ml, providers};
use crate::state::clock::Work;
use crate::state::event::Occurrence;
use crate::state::id::{self, parent_id};
use crate::state::world::World;
use crate::state::world_file::{FileCluster, WorldFile};
use crate::vault;

/// What a manifest presupposes. All ids are the caller's; locations are region names such as `westeurope`.
#[derive(Clone, Debug, Default)]
pub struct Seed {
    /// The tenant, when the manifest names one.
    pub tenant: Option<String>,
    /// Subscription ids.
    pub subscriptions: Vec<String>,
    /// Subscription, name and location of resource groups.
    pub resource_groups: Vec<(String, String, String)>,
    /// Clusters.
    pub clusters: Vec<SeedCluster>,
    /// Subscription, resource group, name and location of Azure ML workspaces.
    pub workspaces: Vec<(String, String, String, String)>,
    /// ARM ids of user-assigned identities.
    pub identities: Vec<String>,
    /// Secrets of key vaults.
    pub vault_secrets: Vec<SeedSecret>,
    /// ARM ids of other resources, such as the registries and storage accounts that role assignments are for.
    pub resources: Vec<String>,
}

/// A cluster that a manifest presupposes.
#[derive(Clone, Debug, Default)]
pub struct SeedCluster {
    /// Subscription id.
    pub subscription: String,
    /// Resource group.
    pub resource_group: String,
    /// Name of the cluster resource.
    pub name: String,
    /// `connectedClusters` or `managedClusters`.
    pub kind: String,
    /// Kubernetes distribution, when known.
    pub distribution: Option<String>,
    /// Region name.
    pub location: String,
    /// Whether it issues tokens that others can check.
    pub issuer: bool,
    /// The Secrets the manifest refers to.
    pub secrets: Vec<SeedSecret>,
}

/// A Secret of a cluster, or a secret of a key vault, that a manifest presupposes.
#[derive(Clone, Debug)]
pub struct SeedSecret {
    /// Its namespace, or the ARM id of its vault.
    pub at: String,
    /// Its name.
    pub name: String,
    /// What it holds, by key; a secret of a vault has no keys.
    pub data: Vec<(String, HeldSecret)>,
}

/// What a secret holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldSecret {
    /// A certificate in PEM.
    Certificate,
    /// Its private key.
    PrivateKey,
    /// Both in one text.
    Both,
    /// Any text.
    Text,
}

const DEFAULT_LOCATION: &str = "westeurope";

/// Adds what was never added before.
pub(crate) fn seed(world: &mut World, seed: &Seed) {
    world.seeding = true;
    world.salt(seed.tenant.as_deref());
    for subscription in &seed.subscriptions {
        ensure_subscription(world, subscription);
        if let Some(tenant) = &seed.tenant {
            world.name_tenant(subscription, tenant);
        }
    }
    for (subscription, name, location) in &seed.resource_groups {
        ensure_group(world, subscription, name, location);
    }
    for cluster in &seed.clusters {
        seed_cluster(world, cluster);
    }
    for (subscription, group, name, location) in &seed.workspaces {
        seed_workspace(world, subscription, group, name, location);
    }
    for identity in &seed.identities {
        seed_identity(world, identity);
    }
    for resource in &seed.resources {
        seed_resource(world, resource);
    }
    for secret in &seed.vault_secrets {
        seed_resource(world, &secret.at);
        let id = format!("{}/secrets/{}", secret.at, secret.name);
        if first_time(world, &id) && world.get(&id).is_none() {
            for (_, value) in made(world, &id, &secret.data) {
                vault::put(world, &id, &value, None);
            }
        }
    }
    world.seeding = false;
}

/// Remembers an id; false when it was seeded before.
fn first_time(world: &mut World, id: &str) -> bool {
    let key = id::key(id);
    !world.seeded.contains_key(&key) && world.seeded.insert(key, true).is_none()
}

fn ensure_subscription(world: &mut World, subscription: &str) {
    let id = format!("/subscriptions/{subscription}");
    if first_time(world, &id) && world.get(&id).is_none() {
        let body = groups::subscription_body(subscription, world.tenant());
        world.put(&id, body);
    }
}

fn ensure_group(world: &mut World, subscription: &str, name: &str, location: &str) {
    ensure_subscription(world, subscription);
    let id = format!("/subscriptions/{subscription}/resourceGroups/{name}");
    if first_time(world, &id) && world.get(&id).is_none() {
        let location = if location.is_empty() { DEFAULT_LOCATION } else { location };
        world.put(&id, groups::group_body(&id, &json!(location)));
    }
}

/// The subscription and group an id lies in.
fn ensure_scope(world: &mut World, id: &str, location: &str) {
    let target = id::parse(id);
    if let Some(subscription) = &target.subscription {
        ensure_subscription(world, subscription);
        if let Some(group) = &target.group {
            ensure_group(world, subscription, group, location);
        }
        // What exists was made by a provider that is registered.
        for level in &target.levels {
            register(world, subscription, &level.namespace, "Registered");
        }
    }
}

fn register(world: &mut World, subscription: &str, namespace: &str, state: &str) {
    if first_time(world, &format!("/subscriptions/{subscription}/providers/{namespace}")) {
        providers::set_state(world, subscription, namespace, state);
    }
}

/// A new world as a world file describes it.
pub(crate) fn begin(file: WorldFile) -> World {
    let mut world = World::empty();
    take_file(&mut world, file);
    world
}

/// Takes over what a world file says, over what the world already holds.
pub(crate) fn take_file(world: &mut World, file: WorldFile) {
    world.apply_file(file);
    subscriptions_of_file(world);
}

/// Subscriptions of the world file with the states of their features and providers. What is `Registering` there will
/// be registered after the usual time.
fn subscriptions_of_file(world: &mut World) {
    for subscription in world.file.subscriptions.clone() {
        ensure_subscription(world, &subscription.id);
        for (namespace, state) in &subscription.providers {
            register(world, &subscription.id, namespace, state);
            let id = format!("/subscriptions/{}/providers/{namespace}", subscription.id);
            go_on(world, state, id, "/registrationState", Work::ProviderRegistration);
        }
        for (feature, state) in &subscription.features {
            let (namespace, name) =
                feature.split_once('/').unwrap_or(("Microsoft.ContainerService", feature));
            let id = format!(
                "/subscriptions/{}/providers/Microsoft.Features/providers/{namespace}/features/{name}",
                subscription.id
            );
            if first_time(world, &id) {
                features::set_state(world, &subscription.id, namespace, name, state);
                go_on(world, state, id, "/properties/state", Work::FeatureRegistration);
            }
        }
    }
}

fn go_on(world: &mut World, state: &str, id: String, pointer: &str, work: Work) {
    if state.eq_ignore_ascii_case("registering") {
        world.after(
            work,
            Occurrence::Set { id, pointer: pointer.to_owned(), value: json!("Registered") },
        );
    }
}

/// Puts the clusters of a world file that no manifest mentions, or without any cluster an example, into the world.
pub(crate) fn fill_empty(world: &mut World) {
    world.seeding = true;
    let subscription = world
        .of_type(None, "microsoft.resources/subscriptions")
        .first()
        .and_then(|stored| stored.body["subscriptionId"].as_str().map(ToOwned::to_owned))
        .unwrap_or_else(|| "00000000-0000-0000-0000-000000000000".to_owned());
    let file = world.file.clusters.clone();
    for cluster in file {
        if !world.clusters().any(|(_, known)| known.name.eq_ignore_ascii_case(&cluster.name)) {
            let seeded = SeedCluster {
                subscription: subscription.clone(),
                resource_group: "ml-rg".to_owned(),
                name: cluster.name.clone(),
                kind: cluster.kind.clone().unwrap_or_else(|| "connectedClusters".to_owned()),
                location: DEFAULT_LOCATION.to_owned(),
                ..SeedCluster::default()
            };
            seed_cluster(world, &seeded);
        }
    }
    if world.clusters().next().is_none() && world.seeded.keys().all(|id| !id.contains("clusters/"))
    {
        let cluster = |kind: &str, name: &str| SeedCluster {
            subscription: subscription.clone(),
            resource_group: "ml-rg".to_owned(),
            name: name.to_owned(),
            kind: kind.to_owned(),
            location: DEFAULT_LOCATION.to_owned(),
            ..SeedCluster::default()
        };
        seed_cluster(world, &cluster("connectedClusters", "edge-01"));
        seed_cluster(world, &cluster("managedClusters", "aks-01"));
        seed_workspace(world, &subscription, "ml-rg", "ws1", DEFAULT_LOCATION);
    }
    world.seeding = false;
}

fn cluster_id(cluster: &SeedCluster) -> String {
    let provider = if is_aks(&cluster.kind) {
        "Microsoft.ContainerService/managedClusters"
    } else {
        "Microsoft.Kubernetes/connectedClusters"
    };
    format!(
        "/subscriptions/{}/resourceGroups/{}/providers/{provider}/{}",
        cluster.subscription, cluster.resource_group, cluster.name
    )
}

fn is_aks(kind: &str) -> bool {
    kind.eq_ignore_ascii_case("managedClusters")
}

fn seed_cluster(world: &mut World, cluster: &SeedCluster) {
    let id = cluster_id(cluster);
    ensure_scope(world, &id, &cluster.location);
    if first_time(world, &id) && world.get(&id).is_none() {
        let file = world.file.cluster(&cluster.name).cloned();
        let body = cluster_body(world, &id, cluster, file.as_ref());
        world.put(&id, body);
        clusters::materialise(world, &id);
    }
    for secret in &cluster.secrets {
        if first_time(world, &format!("{id}/secrets/{}/{}", secret.at, secret.name)) {
            put_secret(world, &id, secret);
        }
    }
}

/// The body of a seeded cluster; what is not said here its service adds.
fn cluster_body(
    world: &World,
    id: &str,
    cluster: &SeedCluster,
    file: Option<&FileCluster>,
) -> Json {
    let location = if cluster.location.is_empty() { DEFAULT_LOCATION } else { &cluster.location };
    let identity = fill_identity(world, id, &json!({"type": "SystemAssigned"}));
    let mut body = json!({"id": id, "name": cluster.name, "type": "microsoft.kubernetes/connectedclusters",
        "location": location, "tags": {}, "identity": identity, "properties": {}});
    let nodes = file.and_then(|file| file.nodes).unwrap_or(3);
    let version =
        file.and_then(|file| file.kubernetes_version.as_deref()).unwrap_or(DEFAULT_VERSION);
    let connectivity = file.and_then(|file| file.connectivity.as_deref()).unwrap_or("Connected");
    let distribution = file.and_then(|file| file.distribution.as_deref());
    let distribution = distribution.or(cluster.distribution.as_deref()).unwrap_or("generic");
    let properties = &mut body["properties"];
    properties["kubernetesVersion"] = json!(version);
    if cluster.issuer {
        properties["oidcIssuerProfile"] = json!({"enabled": true});
    }
    if !clusters::is_aks(id) {
        properties["connectivityStatus"] = json!(connectivity);
        properties["distribution"] = json!(distribution);
        properties["totalNodeCount"] = json!(nodes);
        properties["totalCoreCount"] = json!(nodes * 8);
        clusters::complete(world, id, &mut body);
        return body;
    }
    properties["currentKubernetesVersion"] = json!(version);
    let runs = ["connected", "running"].contains(&connectivity.to_ascii_lowercase().as_str());
    properties["powerState"]["code"] = json!(if runs { "Running" } else { "Stopped" });
    clusters::complete(world, id, &mut body);
    let pool = &mut body["properties"]["agentPoolProfiles"][0];
    pool["count"] = json!(nodes);
    pool["orchestratorVersion"] = json!(version);
    pool["currentOrchestratorVersion"] = json!(version);
    body
}

/// Contents of a secret by key: parts of one certificate, and texts.
fn made(world: &World, id: &str, data: &[(String, HeldSecret)]) -> Vec<(String, String)> {
    let names = vec!["ml.example.com".to_owned(), "*.example.com".to_owned()];
    let Ok(made) = rcgen::generate_simple_self_signed(names) else { return Vec::new() };
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let content = |name: &str, held: HeldSecret| match held {
        HeldSecret::Certificate => certificate.clone(),
        HeldSecret::PrivateKey => key.clone(),
        HeldSecret::Both => format!("{key}{certificate}"),
        HeldSecret::Text => world.guid(&format!("secret {id} {name}")),
    };
    data.iter().map(|(name, held)| (name.clone(), content(name, *held))).collect()
}

fn put_secret(world: &mut World, cluster: &str, secret: &SeedSecret) {
    use base64::Engine;
    let now = world.kube_stamp();
    let SeedSecret { at: namespace, name, data } = secret;
    let mut object = json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {"name": name, "namespace": namespace}, "data": {}});
    for (key, content) in made(world, &format!("{cluster}/{namespace}/{name}"), data) {
        object["data"][key] = json!(base64::engine::general_purpose::STANDARD.encode(content));
    }
    if let Some(cluster) = world.cluster_mut(cluster) {
        ensure_namespace(cluster, namespace, &now);
        cluster.store_mut().put(
            &format!("/api/v1/namespaces/{namespace}/secrets/{name}"),
            object,
            &now,
        );
    }
}

fn seed_workspace(world: &mut World, subscription: &str, group: &str, name: &str, location: &str) {
    let id = format!(
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.MachineLearningServices/workspaces/{name}"
    );
    ensure_scope(world, &id, location);
    if !first_time(world, &id) || world.get(&id).is_some() {
        return;
    }
    let location = if location.is_empty() { DEFAULT_LOCATION } else { location };
    let mut body = json!({"id": id, "name": name, "type": "Microsoft.MachineLearningServices/workspaces", "location": location, "tags": {}, "properties": {}});
    ml::complete_workspace(world, &id, &mut body);
    world.put(&id, body);
}

fn seed_identity(world: &mut World, given: &str) {
    let id = format!("/{}", given.trim_matches('/'));
    ensure_scope(world, &id, DEFAULT_LOCATION);
    if !first_time(world, &id) || world.get(&id).is_some() {
        return;
    }
    put_plain(world, &id, "Microsoft.ManagedIdentity/userAssignedIdentities");
}

fn put_plain(world: &mut World, id: &str, kind: &str) {
    let mut body = json!({"id": id, "name": id::last_segment(id), "type": kind, "location": DEFAULT_LOCATION, "tags": {},
        "properties": {"provisioningState": "Succeeded"}});
    generic::complete(world, id, &mut body);
    world.put(id, body);
}

fn seed_resource(world: &mut World, given: &str) {
    let id = format!("/{}", given.trim_matches('/'));
    ensure_scope(world, &id, DEFAULT_LOCATION);
    let target = id::parse(&id);
    let Some(level) = target.last().filter(|level| level.is_named()) else { return };
    if !first_time(world, &id) || world.get(&id).is_some() {
        return;
    }
    if level.pairs.len() > 1 {
        seed_resource(world, &parent_id(&id));
    }
    let kind = level.full_type();
    put_plain(world, &id, &kind);
}
