//! Workspaces, the computes in them, and what a workspace keeps its data in (AML docs: attach
//! Kubernetes to workspace, secure Kubernetes inferencing environment).

use std::collections::BTreeSet;

use super::access::is_aks;
use super::facts::{FACTS, NeededRole};
use super::report::Judged;
use super::site::{Found, Site, items, some, text};
use crate::catalog;
use crate::model::{ArmId, Json, Key, KindName};
use crate::resource::fields::location;
use crate::resource::{Compute, ComputeIdentity, Principal, Resource, Target};

/// Where every compute names its workspace, on the wire.
const AT: &str = "/location";

pub(super) fn workspace_id(compute: &Compute) -> String {
    let id = compute.id.as_str();
    let end = id.to_ascii_lowercase().rfind("/computes/").unwrap_or(id.len());
    id[..end].to_owned()
}

/// The workspaces of the computes that are there, as far as they were read.
pub(super) fn workspaces<'a>(site: &Site<'a>) -> Vec<&'a Json> {
    site.computes().into_iter().filter_map(|it| site.live(&it.workspace).ok().flatten()).collect()
}

/// Judges each compute whose workspace is there, together with the workspace.
fn each(
    site: &mut Site<'_>,
    at: &str,
    judge: impl Fn(&Site<'_>, &Compute, &Json) -> Judged<Option<Found>>,
) {
    site.each_compute(at, |site, compute| match site.live(&compute.workspace)? {
        Some(workspace) => judge(site, compute, workspace),
        None => Ok(None),
    });
}

fn is_private(workspace: &Json) -> bool {
    let closed = text(workspace, "/properties/publicNetworkAccess");
    closed.eq_ignore_ascii_case("Disabled")
        || items(workspace, "/properties/privateEndpointConnections").next().is_some()
}

/// Whether the workspace acts under a user-assigned identity only.
fn user_assigned(workspace: &Json) -> bool {
    let kind = text(workspace, "/identity/type").to_ascii_lowercase();
    kind.contains("userassigned") && !kind.contains("systemassigned")
}

pub(super) fn missing(site: &mut Site<'_>) -> Judged {
    site.each_compute(AT, |site, compute| {
        Ok(Some(match site.live(&compute.workspace)? {
            None => Found::wrong(
                format!("there is no workspace {}", workspace_id(compute)),
                "check the compute's workspace: name, resourceGroup and subscription",
            ),
            Some(_) => Found::pass(),
        }))
    });
    Ok(())
}

pub(super) fn other_subscription(site: &mut Site<'_>) -> Judged {
    each(site, AT, |site, compute, _| {
        let own = &site.scope.subscription;
        let same = ArmId::parse(&workspace_id(compute))
            .is_ok_and(|id| id.subscription().eq_ignore_ascii_case(own));
        let message = "cluster and workspace are in different subscriptions";
        let help = "connect the cluster through Arc in the workspace's subscription";
        Ok(Some(match (same, is_aks(site)) {
            (true, _) => Found::pass(),
            (false, true) => Found::wrong(message, help),
            (false, false) => Found::mild(message, help),
        }))
    });
    Ok(())
}

/// Jobs and endpoints of a workspace without public access reach it through its private endpoint.
pub(super) fn private(site: &mut Site<'_>) -> Judged {
    each(site, AT, |_, _, workspace| {
        Ok(Some(if is_private(workspace) {
            Found::wrong(
                "the workspace has a private endpoint: the cluster's nodes have to resolve and reach it",
                "put the cluster into the network of the endpoint or a peered one, with its private \
                 DNS zones; `amlplan doctor --network-list` names the hosts",
            )
        } else {
            Found::pass()
        }))
    });
    Ok(())
}

/// What a workspace keeps its data in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WorkspaceStore {
    Storage,
    Vault,
    Registry,
}

impl WorkspaceStore {
    pub(super) const ALL: [Self; 3] = [Self::Storage, Self::Vault, Self::Registry];

    /// The member of the workspace that holds its id; also the name of its read.
    pub(super) const fn member(self) -> &'static str {
        match self {
            Self::Storage => "storageAccount",
            Self::Vault => "keyVault",
            Self::Registry => "containerRegistry",
        }
    }

    /// The id that a workspace names.
    pub(super) fn id(self, workspace: &Json) -> Option<ArmId> {
        ArmId::parse(text(workspace, &format!("/properties/{}", self.member()))).ok()
    }
}

/// Judges one store of every workspace that has it.
fn stores(
    site: &mut Site<'_>,
    store: WorkspaceStore,
    judge: impl Fn(&Json, &Compute, &Json) -> Found,
) {
    each(site, AT, |site, compute, workspace| {
        let Some(id) = store.id(workspace) else { return Ok(None) };
        Ok(Some(match site.document(&format!("{} {id}", store.member()))? {
            None => Found::wrong(
                format!("the workspace's {} {id} is gone", store.member()),
                "make it again, or use another workspace: no job starts without it",
            ),
            Some(document) => judge(document, compute, workspace),
        }))
    });
}

/// Whether a firewall stands before a store, and whether Azure's own services pass it.
fn firewall(document: &Json) -> (bool, bool) {
    let rule =
        ["/properties/networkAcls/defaultAction", "/properties/networkRuleSet/defaultAction"]
            .iter()
            .any(|it| text(document, it).eq_ignore_ascii_case("Deny"));
    let shut = text(document, "/properties/publicNetworkAccess").eq_ignore_ascii_case("Disabled");
    let bypass = text(document, "/properties/networkAcls/bypass").contains("AzureServices")
        || text(document, "/properties/networkRuleBypassOptions") == "AzureServices";
    (rule || shut, bypass)
}

fn closed(site: &mut Site<'_>, store: WorkspaceStore, help: &str) {
    stores(site, store, |document, _, _| match firewall(document) {
        (true, false) => Found::wrong(
            format!("its {} is closed, for Azure's trusted services too", store.member()),
            help,
        ),
        _ => Found::pass(),
    });
}

pub(super) fn storage_closed(site: &mut Site<'_>) -> Judged {
    closed(
        site,
        WorkspaceStore::Storage,
        "az storage account update --bypass AzureServices, or blob authorization fails",
    );
    Ok(())
}

pub(super) fn vault_closed(site: &mut Site<'_>) -> Judged {
    closed(site, WorkspaceStore::Vault, "az keyvault update --bypass AzureServices");
    Ok(())
}

pub(super) fn registry_closed(site: &mut Site<'_>) -> Judged {
    stores(site, WorkspaceStore::Registry, |registry, _, _| match firewall(registry) {
        (true, _) if text(registry, "/sku/name") != "Premium" => Found::wrong(
            "its containerRegistry is private and not of SKU Premium, which private endpoints take",
            "az acr update --sku Premium",
        ),
        (true, false) => Found::wrong(
            "its containerRegistry is closed, for Azure's trusted services too",
            "az acr update --allow-trusted-services true",
        ),
        _ => Found::pass(),
    });
    Ok(())
}

/// The bypass of a private storage account is for system-assigned identities.
pub(super) fn storage_identity(site: &mut Site<'_>) -> Judged {
    stores(site, WorkspaceStore::Storage, |storage, _, workspace| {
        if firewall(storage).0 && user_assigned(workspace) {
            Found::wrong(
                "its storageAccount is private, and its identity is user-assigned: trusted access is for system-assigned ones",
                "give the workspace a system-assigned identity, or a private endpoint on the cluster's network",
            )
        } else {
            Found::pass()
        }
    });
    Ok(())
}

/// Without an identity jobs pull with the registry's admin user.
pub(super) fn registry_admin(site: &mut Site<'_>) -> Judged {
    stores(site, WorkspaceStore::Registry, |registry, compute, _| {
        let admin = registry.pointer("/properties/adminUserEnabled").and_then(Json::as_bool);
        if admin == Some(false) && compute.identity == ComputeIdentity::None {
            Found::wrong(
                "its containerRegistry has no admin user, and the compute has no identity to pull with",
                "write identity: {type: SystemAssigned}, and AcrPull under roleAssignments",
            )
        } else {
            Found::pass()
        }
    });
    Ok(())
}

/// Computes of SDK and CLI v1, whose support has ended.
pub(super) fn v1_computes(site: &mut Site<'_>) -> Judged {
    let ended = "2026-06-30T00:00:00Z".parse().is_ok_and(|end: jiff::Timestamp| site.now >= end);
    each(site, AT, |site, compute, _| {
        let old = |it: &&Json| text(it, "/properties/computeType").eq_ignore_ascii_case("AKS");
        let old =
            site.list(&format!("computes {}", workspace_id(compute)))?.into_iter().filter(old);
        let old: Vec<String> = old.map(|it| text(it, "/name").to_owned()).collect();
        let when = if ended { "ended" } else { "ends" };
        Ok(Some(if old.is_empty() {
            Found::pass()
        } else {
            Found::wrong(
                format!(
                    "the workspace has computes of SDK v1, whose support {when} on 2026-06-30: {}",
                    some(&old)
                ),
                "move their endpoints to a compute declared here, then detach them",
            )
        }))
    });
    Ok(())
}

/// Guids of the roles that principals hold among `live`, or will be given below `at`.
fn held(
    site: &Site<'_>,
    principals: &[String],
    of: &[&Key],
    live: &[&Json],
    at: &ArmId,
) -> BTreeSet<String> {
    let guid = |role: &str| role.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let mut held: BTreeSet<String> = live
        .iter()
        .filter(|it| principals.contains(&text(it, "/properties/principalId").to_ascii_lowercase()))
        .map(|value| guid(text(value, "/properties/roleDefinitionId")))
        .collect();
    for node in site.desired.nodes.values() {
        let Resource::RoleAssignment(role_assignment) = &node.resource else { continue };
        let ours = match &role_assignment.principal {
            Principal::ObjectId(id) => principals.contains(&id.to_ascii_lowercase()),
            Principal::Of(later) => of.contains(&&later.from),
        };
        if ours && at.is_below(&role_assignment.at) {
            held.insert(guid(&role_assignment.role_definition));
        }
    }
    held
}

fn principals(identities: Option<&Json>) -> Vec<String> {
    let all = identities.and_then(Json::as_object).into_iter().flatten();
    all.map(|(_, value)| text(value, "/principalId").to_ascii_lowercase()).collect()
}

/// Which of some roles an identity lacks at a scope.
fn lacking<'r>(
    site: &Site<'_>,
    compute: &Compute,
    workspace: &Json,
    (list, at): (&str, &ArmId),
    wanted: &[&'r NeededRole],
) -> Judged<Vec<&'r str>> {
    let live = site.list(list)?;
    let own = principals(workspace.pointer("/identity/userAssignedIdentities"));
    let held = held(site, &own, &[&compute.workspace], &live, at);
    let has = |role: &str| catalog::role(role).is_some_and(|guid| held.contains(guid));
    let lacks = |it: &&&NeededRole| !has(&it.role) && !it.instead.iter().any(|text| has(text));
    Ok(wanted.iter().filter(lacks).map(|needed_role| needed_role.role.as_str()).collect())
}

/// Roles of a workspace whose only identity is user-assigned; with a system-assigned one Azure ML
/// takes care of itself.
pub(super) fn workspace_roles(site: &mut Site<'_>) -> Judged {
    let cluster = site.access.id.clone();
    let trusted = is_aks(site) && !super::access::closed(site)?.is_empty();
    let wanted: Vec<_> = FACTS.workspace_role.iter().filter(|it| trusted || !it.trusted).collect();
    role_rule(site, ("cluster-roles", &cluster), "cluster", &wanted);
    Ok(())
}

/// The same identity listens at the Relay.
pub(super) fn relay_role(site: &mut Site<'_>) -> Judged {
    let relay = site.own.iter().find(|(key, _)| key.kind == KindName::RelayNamespace);
    let Some((key, _)) = relay.copied() else { return Ok(()) };
    let Ok(id) = ArmId::parse(site.text(key, "/id")?) else { return Ok(()) };
    role_rule(site, ("relay-roles", &id), "Relay", &[&FACTS.relay_role]);
    Ok(())
}

fn role_rule(site: &mut Site<'_>, at: (&str, &ArmId), what: &str, wanted: &[&NeededRole]) {
    each(site, AT, |site, compute, workspace| {
        if !user_assigned(workspace) {
            return Ok(Some(Found::pass()));
        }
        let missing = lacking(site, compute, workspace, at, wanted)?;
        Ok(Some(match missing.first() {
            None => Found::pass(),
            Some(first) => Found::wrong(
                format!(
                    "the identity of {} is user-assigned and lacks on the {what}: {}",
                    workspace_id(compute),
                    missing.join(", ")
                ),
                format!(
                    "write roleAssignments: [{{principal: <object id of the identity>, role: {first}, scope: {}}}]",
                    at.1
                ),
            ),
        }))
    });
}

/// What the identity of a compute needs to pull images and to read data.
pub(super) fn compute_roles(site: &mut Site<'_>) -> Judged {
    for need in &FACTS.compute_role {
        each(site, "/identity", |site, compute, workspace| {
            compute_role(site, compute, workspace, need)
        });
    }
    Ok(())
}

fn compute_role(
    site: &Site<'_>,
    compute: &Compute,
    workspace: &Json,
    need: &NeededRole,
) -> Judged<Option<Found>> {
    let store = if need.registry { WorkspaceStore::Registry } else { WorkspaceStore::Storage };
    let id = store.id(workspace).filter(|_| compute.identity != ComputeIdentity::None);
    let Some(id) = id else { return Ok(None) };
    let live = site.live(&compute.key)?;
    let mut own =
        principals(live.and_then(|value| value.pointer("/identity/userAssignedIdentities")));
    own.extend(live.map(|value| text(value, "/identity/principalId").to_ascii_lowercase()));
    if let ComputeIdentity::UserAssigned(id) = &compute.identity {
        let identity = site.desired.nodes.iter().find(|(key, node)| {
            key.kind == KindName::ManagedIdentity
                && matches!(node.resource.kind().target(), Target::Arm(one) if one == *id)
        });
        if let Some((key, _)) = identity {
            own.push(site.text(key, "/properties/principalId")?.to_ascii_lowercase());
        }
    }
    own.retain(|text| !text.is_empty());
    let held = held(site, &own, &[&compute.key], &site.list(&format!("roles {id}"))?, &id);
    let has = |role: &str| catalog::role(role).is_some_and(|guid| held.contains(guid));
    Ok(Some(if has(&need.role) || need.instead.iter().any(|instead| has(instead)) {
        Found::pass()
    } else {
        Found::wrong(
            format!(
                "the compute's identity lacks {} on the workspace's {}",
                need.role,
                store.member()
            ),
            format!(
                "write roleAssignments: [{{principal: compute/{}, role: {}, scope: {id}}}]",
                compute.key.name, need.role
            ),
        )
    }))
}

/// A private workspace takes an AKS cluster of its own region only.
pub(super) fn private_region(site: &mut Site<'_>) -> Judged {
    each(site, AT, |site, _, workspace| {
        if !is_private(workspace) {
            return Ok(Some(Found::pass()));
        }
        let here = location(site.text(&site.cluster, "/location")?);
        let there = location(text(workspace, "/location"));
        Ok(Some(if here.is_empty() || here == there {
            Found::pass()
        } else {
            Found::wrong(
                format!(
                    "the workspace has a private endpoint in {there}, and the cluster is in {here}"
                ),
                "both have to be in one region: use a workspace or a cluster there",
            )
        }))
    });
    Ok(())
}

pub(super) fn identity(site: &mut Site<'_>) -> Judged {
    each(site, "/identity", |_, compute, workspace| Ok(Some(identity_of(compute, workspace))));
    Ok(())
}

fn identity_of(compute: &Compute, workspace: &Json) -> Found {
    let hbi = workspace.pointer("/properties/hbiWorkspace").and_then(Json::as_bool) == Some(true);
    match &compute.identity {
        ComputeIdentity::None => Found::wrong(
            "the compute has no identity, so jobs reach storage and registry only with keys",
            "write identity: {type: SystemAssigned} and roleAssignments for AcrPull and Storage Blob Data Contributor",
        ),
        ComputeIdentity::UserAssigned(_) if hbi => Found::wrong(
            "the workspace is a high business impact one, and the compute's identity is user-assigned",
            "write identity: {type: SystemAssigned}, with Storage Blob Data Contributor and Storage Account Contributor",
        ),
        ComputeIdentity::SystemAssigned | ComputeIdentity::UserAssigned(_) => Found::pass(),
    }
}

/// Computes of AML v1 on the same cluster.
pub(super) fn legacy_computes(site: &mut Site<'_>) -> Judged {
    each(site, "/properties/properties/namespace", |site, compute, _| {
        let workspace = workspace_id(compute);
        let own = |value: &&Json| {
            text(value, "/properties/computeType").eq_ignore_ascii_case("AKS")
                && text(value, "/properties/resourceId")
                    .eq_ignore_ascii_case(compute.cluster_id.as_str())
        };
        let old = site.list(&format!("computes {workspace}"))?.into_iter().filter(own);
        let old: Vec<String> = old.map(|value| text(value, "/name").to_owned()).collect();
        let clash = workspace.rsplit('/').next().map(|text| format!("azureml-{text}"));
        Ok(Some(if old.is_empty() {
            Found::pass()
        } else if clash.as_deref() == Some(&compute.namespace) {
            Found::grave(
                format!("the old compute {} uses namespace {} too", some(&old), compute.namespace),
                "write another computes.namespace",
            )
        } else {
            Found::wrong(
                format!("the cluster is attached as the old compute {} too", some(&old)),
                "detach it when its endpoints have moved; never delete it, or the cluster goes too",
            )
        }))
    });
    Ok(())
}
