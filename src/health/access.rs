//! The Azure side of a cluster: its state, how Azure ML reaches it, and its workspaces
//! (AML docs: deploy extension, attach Kubernetes to workspace; AKS docs: trusted access).

use jiff::{SignedDuration, Timestamp};

use super::facts::FACTS;
use super::site::{Found, Site, items, some, text};
use crate::catalog::{self, ArmType};
use crate::model::{ArmId, Json};
use crate::resource::fields::location;
use crate::resource::{Compute, ComputeIdentity};

/// Role that Azure ML's workspaces have in an AKS cluster.
const TRUSTED_ROLE: &str = "Microsoft.MachineLearningServices/workspaces/mlworkload";

/// Whether the cluster is there and its agents answer; shared by `doctor` and `verify`.
pub(super) fn connection(site: &mut Site<'_>) {
    let key = site.cluster.clone();
    let found = match site.snapshot.live.get(&key).map(|it| it.document()) {
        None => Found::Unknown(format!("{key} was not read")),
        Some(None) => Found::wrong(
            format!("there is no cluster {}", site.access.id),
            "check cluster.type, cluster.name and azure.resourceGroup",
        ),
        Some(Some(document)) => match text(document, "/properties/connectivityStatus") {
            "" | "Connected" => Found::pass(),
            other => {
                let since = match text(document, "/properties/lastConnectivityTime") {
                    "" => String::new(),
                    since => format!(" since {since}"),
                };
                Found::wrong(
                    format!("connectivityStatus is {other}{since}"),
                    "start the cluster and the pods of namespace azure-arc: an extension would \
                     stay pending, and protected settings are lost after 48 hours",
                )
            }
        },
    };
    site.add("cluster-unreachable", &key, found);
}

/// Checks about the Azure resource of the cluster and its workspaces.
pub(super) fn checks(site: &mut Site<'_>, now: Timestamp) {
    connection(site);
    let snapshot = site.snapshot;
    let cluster = site.cluster.clone();
    if let Some(document) = snapshot.document(&cluster) {
        agents(site, document, now);
        version(site, document);
        region(site, document);
        if is_aks(site) {
            aks(site, document);
        }
    }
    other_extension(site);
    for compute in site.computes() {
        workspace(site, compute);
    }
}

/// Whether an Azure cluster is AKS without Arc.
pub(super) fn is_aks_id(id: &ArmId) -> bool {
    ArmType::of_cluster(&id.resource_type()) == ArmType::MANAGED_CLUSTERS
}

pub(super) fn is_aks(site: &Site<'_>) -> bool {
    is_aks_id(&site.access.id)
}

fn agents(site: &mut Site<'_>, document: &Json, now: Timestamp) {
    let time =
        |field: &str| text(document, &format!("/properties/{field}")).parse::<Timestamp>().ok();
    let key = site.cluster.clone();
    if let Some(last) = time("lastConnectivityTime") {
        let silent = now.duration_since(last);
        let found = if silent <= SignedDuration::from_hours(1) {
            Found::pass()
        } else {
            Found::wrong(
                format!("the agents were last heard {} minutes ago", silent.as_mins()),
                "look at the pods of namespace azure-arc and their way out to Azure",
            )
        };
        site.add("agents-silent", &key, found);
    }
    if let Some(ends) = time("managedIdentityCertificateExpirationTime") {
        let left = ends.duration_since(now);
        let found = if left > SignedDuration::from_hours(24 * 7) {
            Found::pass()
        } else if left.is_negative() {
            Found::Grave(
                format!("it ended at {ends}"),
                Some("connect the cluster to Arc again".to_owned()),
            )
        } else {
            Found::wrong(
                format!("it ends at {ends}"),
                "the agents renew it by themselves while they are connected: keep them so",
            )
        };
        site.add("agent-certificate", &key, found);
    }
}

fn version(site: &mut Site<'_>, document: &Json) {
    let property = |it: &str| text(document, &format!("/properties/{it}"));
    let version = match property("currentKubernetesVersion") {
        "" => property("kubernetesVersion"),
        it => it,
    };
    let minor = version.trim_start_matches('v').split('.').nth(1);
    let Some(minor) = minor.and_then(|it| it.trim_end_matches('+').parse::<i64>().ok()) else {
        return;
    };
    let oldest = FACTS.oldest_minor;
    let found = if minor >= oldest {
        Found::Pass(version.to_owned())
    } else {
        Found::wrong(
            format!(
                "the cluster runs Kubernetes {version}; Azure ML supports 1.{oldest} and later"
            ),
            "upgrade the cluster",
        )
    };
    site.add("kubernetes-too-old", &site.cluster.clone(), found);
}

fn region(site: &mut Site<'_>, document: &Json) {
    let region = location(text(document, "/location"));
    if region.is_empty() {
        return;
    }
    let found = if catalog::regions().contains(&region) {
        Found::Pass(region)
    } else {
        Found::wrong(
            format!("{region} is not among the regions that Azure ML named for the extension"),
            "the list grows: apply tells for certain; else connect the cluster in another region",
        )
    };
    site.add("region-not-listed", &site.cluster.clone(), found);
}

fn aks(site: &mut Site<'_>, document: &Json) {
    let key = site.cluster.clone();
    let flag = |pointer: &str| document.pointer(pointer).and_then(Json::as_bool) == Some(true);
    let identity = text(document, "/identity/type");
    let principal = text(document, "/properties/servicePrincipalProfile/clientId");
    let found = match (identity, principal) {
        (_, "msi") => Found::pass(),
        ("" | "None", "") => Found::Unknown("the cluster does not tell its identity".to_owned()),
        ("" | "None", _) => Found::wrong(
            "the cluster runs on a service principal",
            "az aks update --enable-managed-identity, then recreate every node pool",
        ),
        _ => Found::pass(),
    };
    site.add("no-managed-identity", &key, found);
    let found = match text(document, "/properties/powerState/code") {
        "" | "Running" => Found::pass(),
        other => Found::wrong(format!("powerState is {other}"), "az aks start"),
    };
    site.add("cluster-stopped", &key, found);
    let found = if flag("/properties/podIdentityProfile/enabled") {
        Found::wrong(
            "pod identity is on, which the extension does not support",
            "az aks update --disable-pod-identity",
        )
    } else {
        Found::pass()
    };
    site.add("pod-identity", &key, found);
    let scaled: Vec<String> = items(document, "/properties/agentPoolProfiles")
        .filter(|it| it.get("enableAutoScaling").and_then(Json::as_bool) == Some(true))
        .map(|it| text(it, "/name").to_owned())
        .collect();
    let volcano = site.is_on_or("installVolcano", true)
        && !site.settings.contains_key("volcanoScheduler.schedulerConfigMap");
    let found = if scaled.is_empty() || !site.is_on("enableTraining") || !volcano {
        Found::pass()
    } else {
        Found::wrong(
            format!(
                "node pools {} scale by themselves, and Volcano keeps jobs from asking for nodes",
                some(&scaled)
            ),
            "write volcanoScheduler.schedulerConfigMap and amloperator.skipResourceValidation: true, \
             or turn autoscaling off for training",
        )
    };
    site.add("autoscaler-with-volcano", &key, found);
    control_plane(site, document);
    extension_identity(site);
}

/// What keeps Azure ML from the API server, and the trusted access that opens it again.
fn control_plane(site: &mut Site<'_>, document: &Json) {
    let flag = |pointer: &str| document.pointer(pointer).and_then(Json::as_bool) == Some(true);
    let profile = "/properties/apiServerAccessProfile";
    let mut closed = Vec::new();
    if flag("/properties/disableLocalAccounts") {
        closed.push("disableLocalAccounts is true");
    }
    if items(document, &format!("{profile}/authorizedIPRanges")).next().is_some() {
        closed.push("authorizedIPRanges are set");
    }
    if flag(&format!("{profile}/enablePrivateCluster")) {
        closed.push("the cluster is private");
    }
    let key = site.cluster.clone();
    if closed.is_empty() {
        return site.add("control-plane-closed", &key, Found::pass());
    }
    let message = format!(
        "{}: Azure ML reaches the API server only through trusted access",
        closed.join(", ")
    );
    let public = site.scope.cloud.name == "AzureCloud";
    let found = if public {
        Found::mild(
            message,
            "attach makes the trusted access role binding; amlplan verify shows whether it worked",
        )
    } else {
        Found::Grave(
            message,
            Some("this cloud has no trusted access: allow local accounts and the ranges of service tag AzureMachineLearning".to_owned()),
        )
    };
    site.add("control-plane-closed", &key, found);
    for compute in site.computes() {
        if site.snapshot.document(&compute.key).is_none() {
            continue;
        }
        let workspace = workspace_id(compute);
        let found = match site.list("trusted-access") {
            Err(why) => Found::Unknown(why),
            Ok(all) => {
                let of = |it: &&Json| {
                    text(it, "/properties/sourceResourceId").eq_ignore_ascii_case(&workspace)
                        && items(it, "/properties/roles")
                            .any(|it| it.as_str() == Some(TRUSTED_ROLE))
                };
                if all.iter().any(of) {
                    Found::pass()
                } else {
                    Found::wrong(
                        format!("no trusted access role binding lets {workspace} in"),
                        format!(
                            "az aks trustedaccess rolebinding create --roles {TRUSTED_ROLE}; it takes up to 5 minutes"
                        ),
                    )
                }
            }
        };
        site.add("trusted-access-missing", &compute.key, found);
    }
}

fn extension_identity(site: &mut Site<'_>) {
    let Some(extension) = site.extension else { return };
    let Some(live) = site.snapshot.document(&extension.key) else { return };
    let found = if text(live, "/properties/aksAssignedIdentity/principalId").is_empty()
        && text(live, "/identity/principalId").is_empty()
    {
        Found::wrong(
            "the installed extension has no managed identity",
            "remove the extension and apply again; else tokens stop refreshing",
        )
    } else {
        Found::pass()
    };
    site.add("extension-without-identity", &extension.key, found);
}

/// A cluster takes one extension of the type.
fn other_extension(site: &mut Site<'_>) {
    let Some(extension) = site.extension else { return };
    let found = match site.list("extensions") {
        Err(why) => Found::Unknown(why),
        Ok(all) => {
            let other: Vec<String> = all
                .into_iter()
                .filter(|it| {
                    text(it, "/properties/extensionType")
                        .eq_ignore_ascii_case("Microsoft.AzureML.Kubernetes")
                        && !text(it, "/name").eq_ignore_ascii_case(extension.name())
                })
                .map(|it| text(it, "/name").to_owned())
                .collect();
            match other.first() {
                None => Found::pass(),
                Some(name) => Found::wrong(
                    format!(
                        "the cluster has the extension already, under the name {}",
                        some(&other)
                    ),
                    format!("write extension.name: {name}, or remove that one first"),
                ),
            }
        }
    };
    site.add("other-extension", &extension.key, found);
}

pub(super) fn workspace_id(compute: &Compute) -> String {
    let id = compute.id.as_str();
    let end = id.to_ascii_lowercase().rfind("/computes/").unwrap_or(id.len());
    id[..end].to_owned()
}

fn workspace(site: &mut Site<'_>, compute: &Compute) {
    let key = compute.key.clone();
    let id = workspace_id(compute);
    let document = match site.snapshot.live.get(&compute.workspace).map(|it| it.document()) {
        None => {
            let found = Found::Unknown(format!("{} was not read", compute.workspace));
            return site.add_at("workspace-missing", &key, "/location", found);
        }
        Some(None) => {
            let found = Found::wrong(
                format!("there is no workspace {id}"),
                "check the compute's workspace: name, resourceGroup and subscription",
            );
            return site.add_at("workspace-missing", &key, "/location", found);
        }
        Some(Some(document)) => document,
    };
    site.add_at("workspace-missing", &key, "/location", Found::pass());
    let same = ArmId::parse(&id)
        .is_ok_and(|it| it.subscription().eq_ignore_ascii_case(&site.scope.subscription));
    let found = if same {
        Found::pass()
    } else {
        let message = "cluster and workspace are in different subscriptions";
        let help = "connect the cluster through Arc in the workspace's subscription";
        if is_aks(site) { Found::wrong(message, help) } else { Found::mild(message, help) }
    };
    site.add_at("other-subscription", &key, "/location", found);
    private(site, compute, document);
    identity(site, compute, document);
    legacy_computes(site, compute, &id);
}

fn private(site: &mut Site<'_>, compute: &Compute, workspace: &Json) {
    let endpoints = items(workspace, "/properties/privateEndpointConnections").count();
    let closed =
        text(workspace, "/properties/publicNetworkAccess").eq_ignore_ascii_case("Disabled");
    let here = location(site.snapshot.text(&site.cluster, "/location").unwrap_or_default());
    let there = location(text(workspace, "/location"));
    let found = if (endpoints == 0 && !closed) || !is_aks(site) || here.is_empty() || here == there
    {
        Found::pass()
    } else {
        Found::wrong(
            format!(
                "the workspace has a private endpoint in {there}, and the cluster is in {here}"
            ),
            "both have to be in one region: use a workspace or a cluster there",
        )
    };
    site.add_at("private-workspace-region", &compute.key, "/location", found);
}

fn identity(site: &mut Site<'_>, compute: &Compute, workspace: &Json) {
    let hbi = workspace.pointer("/properties/hbiWorkspace").and_then(Json::as_bool) == Some(true);
    let found = match &compute.identity {
        ComputeIdentity::None => Found::wrong(
            "the compute has no identity, so jobs reach storage and registry only with keys",
            "write identity: {type: SystemAssigned} and roleAssignments for AcrPull and Storage Blob Data Contributor",
        ),
        ComputeIdentity::UserAssigned(_) if hbi => Found::wrong(
            "the workspace is a high business impact one, and the compute's identity is user-assigned",
            "write identity: {type: SystemAssigned}, with Storage Blob Data Contributor and Storage Account Contributor",
        ),
        ComputeIdentity::SystemAssigned | ComputeIdentity::UserAssigned(_) => Found::pass(),
    };
    site.add_at("compute-without-identity", &compute.key, "/identity", found);
}

/// Computes of AML v1 on the same cluster.
fn legacy_computes(site: &mut Site<'_>, compute: &Compute, workspace: &str) {
    let found = match site.list(&format!("computes {workspace}")) {
        Err(why) => Found::Unknown(why),
        Ok(all) => {
            let own = |it: &&Json| {
                text(it, "/properties/computeType").eq_ignore_ascii_case("AKS")
                    && text(it, "/properties/resourceId")
                        .eq_ignore_ascii_case(compute.cluster_id.as_str())
            };
            let old: Vec<String> =
                all.into_iter().filter(own).map(|it| text(it, "/name").to_owned()).collect();
            let clash = workspace.rsplit('/').next().map(|it| format!("azureml-{it}"));
            if old.is_empty() {
                Found::pass()
            } else if clash.as_deref() == Some(&compute.namespace) {
                Found::Grave(
                    format!(
                        "the old compute {} uses namespace {} too",
                        some(&old),
                        compute.namespace
                    ),
                    Some("write another computes.namespace".to_owned()),
                )
            } else {
                Found::wrong(
                    format!("the cluster is attached as the old compute {} too", some(&old)),
                    "detach it when its endpoints have moved; never delete it, or the cluster goes too",
                )
            }
        }
    };
    site.add_at("legacy-compute", &compute.key, "/properties/properties/namespace", found);
}
