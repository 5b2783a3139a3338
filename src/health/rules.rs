//! The table of all rules: which command asks them, when they apply, what they read, who judges.
//! `docs/reference/checks.md` is made from it.

use super::report::{Finding, Judged, Probe, Probed};
use super::site::{AZUREML, Found, Inspection, Site, check, sites};
use super::verify::cluster as inside;
use super::workspace::{self, WorkspaceStore};
use super::{access, capacity, conflicts, grants, registrations, rights, verify};
use crate::catalog::ArmType;
use crate::model::{ArmId, Key, KindName, ObjectRef};
use crate::resource::fields::location;
use crate::resource::graph::{Desired, ResourceNode};
use crate::resource::rights::Rights;
use crate::resource::{Read, Snapshot};

/// The command that asks a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Every prerequisite that can be read, before anything is changed; what apply brings about by
    /// itself passes and says so.
    Doctor,
    /// Whether the deployment works, from the extension's state down to its pods.
    Verify,
    /// Either of them.
    Both,
}

impl By {
    fn is(self, command: Self) -> bool {
        self == Self::Both || self == command
    }
}

/// What a rule looks at, and who judges it.
#[derive(Clone, Copy)]
pub(super) enum Judge {
    /// A cluster, where the rule applies.
    Cluster {
        /// Whether it is about the extension, and so about clusters that have one.
        within: bool,
        applies: fn(&Site<'_>) -> Judged<bool>,
        judge: fn(&mut Site<'_>) -> Judged,
    },
    /// Each resource of some kinds; the text is the field that the result points at.
    Each {
        kinds: &'static [KindName],
        at: &'static str,
        judge: fn(&Inspection<'_>, &Key, &ResourceNode) -> Judged<Option<Found>>,
    },
}

/// One rule.
pub(super) struct Rule {
    /// Its page.
    pub(super) code: &'static str,
    pub(super) by: By,
    /// What it reads beside the resources themselves; see [`reads`].
    pub(super) reads: &'static [&'static str],
    pub(super) judge: Judge,
}

type Reads = &'static [&'static str];

const fn on(
    code: &'static str,
    by: By,
    applies: fn(&Site<'_>) -> Judged<bool>,
    reads: Reads,
    judge: fn(&mut Site<'_>) -> Judged,
) -> Rule {
    Rule { code, by, reads, judge: Judge::Cluster { within: false, applies, judge } }
}

/// The same about the extension, where one is declared.
const fn within(
    code: &'static str,
    by: By,
    applies: fn(&Site<'_>) -> Judged<bool>,
    reads: Reads,
    judge: fn(&mut Site<'_>) -> Judged,
) -> Rule {
    Rule { code, by, reads, judge: Judge::Cluster { within: true, applies, judge } }
}

const fn each(
    code: &'static str,
    by: By,
    (kinds, at): (&'static [KindName], &'static str),
    reads: Reads,
    judge: fn(&Inspection<'_>, &Key, &ResourceNode) -> Judged<Option<Found>>,
) -> Rule {
    Rule { code, by, reads, judge: Judge::Each { kinds, at, judge } }
}

const fn always(_: &Site<'_>) -> Judged<bool> {
    Ok(true)
}

fn aks(site: &Site<'_>) -> Judged<bool> {
    Ok(access::is_aks(site))
}

fn arc(site: &Site<'_>) -> Judged<bool> {
    Ok(!access::is_aks(site))
}

fn keyed(site: &Site<'_>) -> Judged<bool> {
    Ok(site.own.iter().any(|it| KEYED.contains(&it.0.kind)))
}

fn pins(site: &Site<'_>) -> Judged<bool> {
    Ok(site.extension.is_some_and(|extension| extension.version.is_some()))
}

fn closed_aks(site: &Site<'_>) -> Judged<bool> {
    Ok(aks(site)? && !access::closed(site)?.is_empty())
}

const fn kubernetes(site: &Site<'_>) -> Judged<bool> {
    Ok(site.access.kubernetes)
}

const fn azure_only(site: &Site<'_>) -> Judged<bool> {
    Ok(!site.access.kubernetes)
}

fn inference(site: &Site<'_>) -> Judged<bool> {
    Ok(kubernetes(site)? && site.is_on("enableInference")?)
}

fn installed(site: &Site<'_>) -> Judged<bool> {
    Ok(inside::unseen(site)?.is_none())
}

/// An installation that has not succeeded: perhaps for lack of room.
fn unfinished(site: &Site<'_>) -> Judged<bool> {
    let Some(extension) = site.extension.filter(|_| site.access.kubernetes) else {
        return Ok(false);
    };
    let state = site.text(&extension.key, "/properties/provisioningState")?;
    Ok(!["", "Succeeded"].contains(&state))
}

fn stands(site: &Site<'_>) -> Judged<bool> {
    Ok(installed(site)? && !inside::rolled_back(site)?)
}

const REGISTRATIONS: &[KindName] = &[KindName::Feature, KindName::Provider];
const COMPANIONS: &[KindName] = &[
    KindName::RelayNamespace,
    KindName::RelayHybridConnection,
    KindName::RelayAuthorizationRule,
    KindName::ServiceBusNamespace,
    KindName::ServiceBusTopic,
    KindName::ServiceBusSubscription,
    KindName::LogAnalyticsWorkspace,
];
const KEYED: &[KindName] = &[KindName::RelayNamespace, KindName::ServiceBusNamespace];
// Whether an installation was undone shows in its workloads.
const WORKLOADS: Reads = &["own-deployments", "own-statefulsets", "own-daemonsets", "own-events"];
const STARTING: Reads =
    &["own-deployments", "own-statefulsets", "own-daemonsets", "own-events", "own-pods"];
const PODS: Reads = &["own-pods", "own-deployments", "own-statefulsets", "own-daemonsets"];
const ROUTER: Reads = &["router", "own-deployments", "own-statefulsets", "own-daemonsets"];
const SERVED: Reads =
    &["instance-type-crd", "own-deployments", "own-statefulsets", "own-daemonsets"];

/// Every rule, in the order of reports.
#[rustfmt::skip]
pub(super) const RULES: &[Rule] = &[
    // Azure
    each("not-registered", By::Doctor, (REGISTRATIONS, ""), &[], registrations::state),
    each("identity-missing", By::Doctor, (&[KindName::ManagedIdentity], ""), &[], registrations::state),
    each("oidc-issuer-missing", By::Doctor, (&[KindName::FederatedIdentityCredential], "/properties/issuer"), &[], registrations::issuer),
    each("rights-missing", By::Doctor, (KindName::ALL, ""), &["permissions"], rights::judge),
    on("provider-not-declared", By::Doctor, always, &[], registrations::undeclared),
    on("cluster-unreachable", By::Both, always, &[], access::connection),
    on("agents-silent", By::Both, arc, &[], access::agents_silent),
    on("agent-certificate", By::Doctor, arc, &[], access::agent_certificate),
    on("kubernetes-too-old", By::Doctor, always, &["kubernetes-versions"], access::version),
    on("region-not-listed", By::Doctor, always, &[], access::region),
    on("no-managed-identity", By::Doctor, aks, &[], access::managed_identity),
    on("cluster-stopped", By::Doctor, aks, &[], access::running),
    on("pod-identity", By::Doctor, aks, &[], access::pod_identity),
    on("autoscaler-with-volcano", By::Doctor, aks, &[], access::autoscaler),
    on("control-plane-closed", By::Doctor, aks, &[], access::control_plane),
    on("trusted-access-missing", By::Both, closed_aks, &["trusted-access"], access::trusted_access),
    within("extension-without-identity", By::Doctor, aks, &[], access::extension_identity),
    within("version-not-offered", By::Doctor, pins, &["extension-versions"], access::extension_version),
    within("other-extension", By::Doctor, always, &["extensions"], access::other_extension),
    each("companion-local-auth", By::Both, (KEYED, ""), &[], registrations::local_auth),
    on("policy-against-keys", By::Doctor, keyed, &["policies"], registrations::local_auth_policy),
    // Workspaces
    on("workspace-missing", By::Doctor, always, &[], workspace::missing),
    on("other-subscription", By::Doctor, always, &[], workspace::other_subscription),
    on("private-workspace", By::Doctor, always, &[], workspace::private),
    on("private-workspace-region", By::Doctor, aks, &[], workspace::private_region),
    on("compute-without-identity", By::Doctor, always, &[], workspace::identity),
    on("legacy-compute", By::Doctor, always, &["computes"], workspace::legacy_computes),
    on("v1-computes", By::Doctor, always, &["computes"], workspace::v1_computes),
    on("workspace-identity-roles", By::Doctor, always, &["cluster-roles"], workspace::workspace_roles),
    on("relay-role-missing", By::Doctor, arc, &["relay-roles"], workspace::relay_role),
    on("compute-roles-missing", By::Doctor, always, &["roles"], workspace::compute_roles),
    on("storage-closed", By::Doctor, always, &["storageAccount"], workspace::storage_closed),
    on("storage-identity", By::Doctor, always, &["storageAccount"], workspace::storage_identity),
    on("vault-closed", By::Doctor, always, &["keyVault"], workspace::vault_closed),
    on("registry-closed", By::Doctor, always, &["containerRegistry"], workspace::registry_closed),
    on("registry-without-admin", By::Doctor, always, &["containerRegistry"], workspace::registry_admin),
    // Nodes
    on("no-linux-node", By::Doctor, kubernetes, &["nodes"], capacity::linux_node),
    on("gke-node-image", By::Doctor, kubernetes, &["nodes"], capacity::gke),
    on("instance-type-too-large", By::Both, kubernetes, &["nodes"], capacity::instance_types),
    within("node-selector-matches-nothing", By::Both, kubernetes, &["nodes"], capacity::selected),
    within("too-few-nodes", By::Doctor, inference, &["nodes"], capacity::high_availability),
    within("capacity", By::Doctor, kubernetes, &["nodes", "all-pods"], capacity::room),
    within("capacity", By::Verify, unfinished, &["nodes", "all-pods"], capacity::room),
    within("cluster-small", By::Doctor, kubernetes, &["nodes"], capacity::floor),
    within("ingress-many-processes", By::Doctor, kubernetes, &["nodes"], capacity::worker_processes),
    // Namespaces, secrets, balancers, grants
    each("namespace-terminating", By::Doctor, (&[KindName::Namespace], ""), &[], grants::terminating),
    each("pod-security-restricted", By::Doctor, (&[KindName::Namespace], ""), &[], grants::restricted),
    on("scc-unavailable", By::Doctor, kubernetes, &[], grants::grant),
    within("ssl-secret-missing", By::Doctor, kubernetes, &["tls-secret"], grants::tls_secret),
    within("no-load-balancer", By::Doctor, inference, &["services"], grants::balancer),
    // Other software
    within("nvidia-plugin-conflict", By::Doctor, kubernetes, &["daemonsets"], conflicts::collisions),
    within("prometheus-conflict", By::Doctor, kubernetes, &["deployments"], conflicts::collisions),
    within("volcano-conflict", By::Doctor, kubernetes, &["crds"], conflicts::collisions),
    within("ingress-class-conflict", By::Doctor, kubernetes, &["ingress-classes"], conflicts::collisions),
    within("dcgm-conflict", By::Doctor, kubernetes, &["daemonsets"], conflicts::collisions),
    within("dapr-conflict", By::Doctor, kubernetes, &["webhooks"], conflicts::collisions),
    within("legacy-router", By::Doctor, inference, &["legacy"], conflicts::legacy),
    within("installed-another-way", By::Doctor, kubernetes, &["deployments"], conflicts::releases),
    within("helm-revisions-pending", By::Doctor, kubernetes, &["secrets"], conflicts::pending),
    within("proxy-skip-range", By::Doctor, kubernetes, &["deployments"], conflicts::arc_proxy),
    within("managed-prometheus", By::Doctor, aks, &[], conflicts::managed_prometheus),
    within("ingress-retired", By::Doctor, aks, &[], conflicts::ingress_retired),
    // Whether it works
    within("extension-not-ready", By::Verify, always, &[], verify::extension),
    within("extension-wrong-type", By::Verify, always, &[], verify::extension_type),
    on("scc-grant-incomplete", By::Verify, always, &[], verify::grant),
    each("namespace-not-ready", By::Verify, (&[KindName::Namespace], "/properties"), &[], verify::ready),
    each("companion-not-ready", By::Verify, (COMPANIONS, "/properties"), &[], verify::ready),
    each("instance-type-missing", By::Verify, (&[KindName::InstanceType], "/properties"), &[], verify::ready),
    each("compute-not-ready", By::Verify, (&[KindName::Compute], "/properties"), &[], verify::ready),
    each("compute-identity-missing", By::Verify, (&[KindName::Compute], "/identity"), &[], verify::identity),
    each("role-assignment-missing", By::Verify, (&[KindName::RoleAssignment], "/properties"), &[], verify::ready),
    each("credential-missing", By::Verify, (&[KindName::FederatedIdentityCredential], "/properties"), &[], verify::ready),
    on("cluster-not-looked-at", By::Doctor, azure_only, &[], inside::azure_only),
    within("cluster-not-looked-at", By::Verify, always, &[], inside::not_looked_at),
    within("health-report", By::Verify, installed, &["health", "health-2021"], inside::report),
    within("component-not-ready", By::Verify, installed, STARTING, inside::components),
    within("pods-not-ready", By::Verify, stands, PODS, inside::pods),
    within("scc-refuses-pods", By::Verify, stands, WORKLOADS, inside::constraints),
    within("router-address", By::Verify, stands, ROUTER, inside::router),
    within("instance-type-crd", By::Verify, stands, SERVED, inside::instance_types),
];

/// Objects of the cluster that rules read: name, version, kind, plural, namespace, and the name of
/// one object. Empty: all namespaces; all objects.
#[rustfmt::skip]
const OBJECTS: &[(&str, &str, &str, &str, &str, &str)] = &[
    ("nodes", "v1", "Node", "nodes", "", ""),
    ("all-pods", "v1", "Pod", "pods", "", ""),
    ("services", "v1", "Service", "services", "", ""),
    ("deployments", "apps/v1", "Deployment", "deployments", "", ""),
    ("daemonsets", "apps/v1", "DaemonSet", "daemonsets", "", ""),
    ("secrets", "v1", "Secret", "secrets", AZUREML, ""),
    ("crds", "apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions", "", ""),
    ("ingress-classes", "networking.k8s.io/v1", "IngressClass", "ingressclasses", "", ""),
    ("webhooks", "admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations", "", ""),
    ("own-deployments", "apps/v1", "Deployment", "deployments", AZUREML, ""),
    ("own-statefulsets", "apps/v1", "StatefulSet", "statefulsets", AZUREML, ""),
    ("own-daemonsets", "apps/v1", "DaemonSet", "daemonsets", AZUREML, ""),
    ("own-pods", "v1", "Pod", "pods", AZUREML, ""),
    ("own-events", "v1", "Event", "events", AZUREML, ""),
    ("health", "v1", "ConfigMap", "configmaps", AZUREML, "arcml-healthcheck"),
    ("health-2021", "v1", "ConfigMap", "configmaps", AZUREML, "amlarc-healthcheck"),
    ("router", "v1", "Service", "services", AZUREML, "azureml-fe"),
    ("instance-type-crd", "apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions", "", "instancetypes.amlarc.azureml.com"),
];

fn kube((_, api, kind, plural, namespace, name): (&str, &str, &str, &str, &str, &str)) -> Read {
    let object = ObjectRef::cluster(api, kind, plural, name);
    let object = if namespace.is_empty() { object } else { object.in_namespace(namespace) };
    if name.is_empty() { Read::Objects(object) } else { Read::Object(object) }
}

/// The reads behind a name of the table, for one cluster. Some are known from what is live only.
fn reads(site: &Site<'_>, name: &str) -> Vec<(String, Read)> {
    let list = |probe: &str, path: String, kind: ArmType| {
        (probe.to_owned(), Read::ArmList { path, api_version: kind.api_version })
    };
    let roles = |probe: &str, id: &str| {
        let path = format!("{id}/providers/{}?$filter=atScope()", ArmType::ROLE_ASSIGNMENTS);
        list(probe, path, ArmType::ROLE_ASSIGNMENTS)
    };
    let id = &site.access.id;
    let stores = || {
        workspace::workspaces(site).into_iter().flat_map(|document| {
            WorkspaceStore::ALL.into_iter().filter_map(|it| Some((it, it.id(document)?)))
        })
    };
    match name {
        "extensions" => {
            vec![list(name, format!("{id}/providers/{}", ArmType::EXTENSIONS), ArmType::EXTENSIONS)]
        }
        "kubernetes-versions" | "extension-versions" => {
            offers(site, name).map(|(path, kind)| list(name, path, kind)).into_iter().collect()
        }
        "policies" => {
            let group = id.resource_group().unwrap_or_default();
            let group = ArmId::resource_group_of(id.subscription(), group);
            let path = format!("{group}/providers/{}?$filter=atScope()", ArmType::POLICIES);
            vec![list(name, path, ArmType::POLICIES)]
        }
        "cluster-roles" => vec![roles(name, id.as_str())],
        "trusted-access" => {
            vec![list(name, format!("{id}/trustedAccessRoleBindings"), ArmType::MANAGED_CLUSTERS)]
        }
        "computes" => {
            let of = |workspace: String| {
                list(
                    &format!("computes {workspace}"),
                    format!("{workspace}/computes"),
                    ArmType::COMPUTES,
                )
            };
            site.computes().into_iter().map(|it| of(workspace::workspace_id(it))).collect()
        }
        "relay-roles" => {
            let relay = site.own.iter().find(|it| it.0.kind == KindName::RelayNamespace);
            let id = relay.and_then(|(key, _)| site.text(key, "/id").ok());
            id.filter(|id| !id.is_empty()).map(|id| roles(name, id)).into_iter().collect()
        }
        "roles" => stores()
            .filter(|it| it.0 != WorkspaceStore::Vault)
            .map(|(_, id)| roles(&format!("roles {id}"), id.as_str()))
            .collect(),
        "storageAccount" | "keyVault" | "containerRegistry" => {
            let version = |workspace_store| match workspace_store {
                WorkspaceStore::Storage => ArmType::STORAGE,
                WorkspaceStore::Vault => ArmType::VAULTS,
                WorkspaceStore::Registry => ArmType::REGISTRIES,
            };
            let own = stores().filter(|it| it.0.member() == name);
            own.map(|(store, id)| {
                (format!("{name} {id}"), Read::Arm { id, api_version: version(store).api_version })
            })
            .collect()
        }
        _ => in_cluster(site, name),
    }
}

/// Where Azure lists what it offers, and the type whose version the list has.
fn offers(site: &Site<'_>, name: &str) -> Option<(String, ArmType)> {
    if name == "extension-versions" {
        let (id, train) = (&site.access.id, &site.extension?.release_train);
        let kinds = "providers/Microsoft.KubernetesConfiguration/extensionTypes";
        let own = "Microsoft.AzureML.Kubernetes/versions";
        let path = format!("{id}/{kinds}/{own}?releaseTrain={train}");
        return Some((path, ArmType::EXTENSION_VERSIONS));
    }
    let region = location(site.text(&site.cluster, "/location").unwrap_or_default());
    let subscription = &site.scope.subscription;
    let path = format!(
        "/subscriptions/{subscription}/providers/Microsoft.ContainerService/locations/{region}/kubernetesVersions"
    );
    (access::is_aks(site) && !region.is_empty()).then_some((path, ArmType::MANAGED_CLUSTERS))
}

/// The same for what is in the cluster.
fn in_cluster(site: &Site<'_>, name: &str) -> Vec<(String, Read)> {
    match name {
        "legacy" => {
            let probe = |(index, legacy): (usize, &super::facts::Legacy)| {
                let namespace = if legacy.kind.starts_with("Cluster") { "" } else { "default" };
                let object = (
                    name,
                    legacy.api.as_str(),
                    legacy.kind.as_str(),
                    legacy.plural.as_str(),
                    namespace,
                    legacy.name.as_str(),
                );
                (format!("legacy {index}"), kube(object))
            };
            super::facts::FACTS.legacy.iter().enumerate().map(probe).collect()
        }
        "tls-secret" => {
            let secret = |text: &String| {
                (name.to_owned(), kube((name, "v1", "Secret", "secrets", AZUREML, text)))
            };
            site.extension
                .and_then(|extension| extension.settings.get("sslSecret"))
                .map(secret)
                .into_iter()
                .collect()
        }
        _ => OBJECTS
            .iter()
            .filter(|it| it.0 == name)
            .map(|it| (name.to_owned(), kube(*it)))
            .collect(),
    }
}

/// What the rules of a command read beside the resources themselves, each once.
pub fn probes(by: By, desired: &Desired, snapshot: &Snapshot) -> Vec<Probe> {
    let probed = Probed::default();
    let world = Inspection::new(desired, snapshot, &probed, jiff::Timestamp::UNIX_EPOCH);
    let mut probes = Vec::new();
    let sites = sites(world);
    for rule in RULES.iter().filter(|it| it.by.is(by) && !it.reads.is_empty()) {
        match rule.judge {
            Judge::Cluster { within, applies, .. } => {
                // Whether it applies may follow from an answer: then it is asked for.
                let asks =
                    |it: &&Site<'_>| it.about(within).is_some() && applies(it).unwrap_or(true);
                for site in sites.iter().filter(asks) {
                    let all = rule.reads.iter().flat_map(|text| reads(site, text));
                    probes.extend(all.map(|(name, read)| Probe {
                        scope: site.name.to_owned(),
                        name,
                        read,
                    }));
                }
            }
            Judge::Each { kinds, .. } => {
                let own = desired.nodes.iter().filter(|it| kinds.contains(&it.0.kind));
                probes.extend(own.flat_map(|(_, node)| {
                    rights::probes(&Rights::of_next(desired, node, snapshot))
                }));
            }
        }
    }
    probes.sort();
    probes.dedup();
    probes
}

/// Every result of the rules of a command. A rule that comes upon something that was not read is
/// unknown: it fails there, and says nothing more.
pub fn checks(
    by: By,
    desired: &Desired,
    snapshot: &Snapshot,
    probed: &Probed,
    now: jiff::Timestamp,
) -> Vec<Finding> {
    let world = Inspection::new(desired, snapshot, probed, now);
    let mut found = Vec::new();
    let mut sites = sites(world);
    for rule in RULES.iter().filter(|it| it.by.is(by)) {
        match rule.judge {
            Judge::Cluster { within, applies, judge } => {
                for site in &mut sites {
                    let Some(about) = site.about(within).cloned() else { continue };
                    (site.code, site.reads) = (rule.code, rule.reads);
                    let judged = match applies(site) {
                        Ok(true) => judge(site),
                        Ok(false) => Ok(()),
                        Err(unseen) => Err(unseen),
                    };
                    if let Err(unseen) = judged {
                        site.add(&about, Found::Unknown(unseen));
                    }
                }
            }
            Judge::Each { kinds, at, judge } => {
                for (key, node) in
                    world.desired.nodes.iter().filter(|it| kinds.contains(&it.0.kind))
                {
                    let judged = judge(&world, key, node).transpose();
                    let found_of =
                        |it: Judged<Found>| check(desired, rule.code, key, at, it.into());
                    found.extend(judged.map(found_of));
                }
            }
        }
    }
    found.extend(sites.into_iter().flat_map(|site| site.checks));
    found
}
