//! The Azure side of a cluster: its state, how Azure ML reaches it, and its workspaces
//! (AML docs: deploy extension, attach Kubernetes to workspace; AKS docs: trusted access).

use jiff::{SignedDuration, Timestamp};

use super::facts::FACTS;
use super::report::{Judged, Unseen};
use super::site::{Found, Site, items, some, text};
use super::workspace::workspace_id;
use crate::catalog::{self, ArmType};
use crate::model::{ArmId, Json, Key, KindName};
use crate::resource::fields::location;

/// The provider of cluster extensions.
const EXTENSION_PROVIDER: &str = "Microsoft.KubernetesConfiguration";
/// Role that Azure ML's workspaces have in an AKS cluster.
const TRUSTED_ROLE: &str = "Microsoft.MachineLearningServices/workspaces/mlworkload";

/// Whether the cluster is there and its agents answer; shared by `doctor` and `verify`.
pub(super) fn connection(site: &mut Site<'_>) -> Judged {
    let key = site.cluster.clone();
    let found = match site.live(&key)? {
        None => Found::wrong(
            format!("there is no cluster {}", site.access.id),
            "check cluster.type, cluster.name and azure.resourceGroup",
        ),
        Some(document) => match text(document, "/properties/connectivityStatus") {
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
    site.add(&key, found);
    Ok(())
}

/// Whether an Azure cluster is AKS without Arc.
pub(super) fn is_aks_id(id: &ArmId) -> bool {
    ArmType::of_cluster(&id.resource_type()) == ArmType::MANAGED_CLUSTERS
}

pub(super) fn is_aks(site: &Site<'_>) -> bool {
    is_aks_id(&site.access.id)
}

/// A time that the Azure resource of the cluster tells.
fn time(site: &Site<'_>, field: &str) -> Judged<Option<Timestamp>> {
    Ok(site.text(&site.cluster, &format!("/properties/{field}"))?.parse().ok())
}

pub(super) fn agents_silent(site: &mut Site<'_>) -> Judged {
    let Some(last) = time(site, "lastConnectivityTime")? else { return Ok(()) };
    let silent = site.now.duration_since(last);
    let found = if silent <= SignedDuration::from_hours(1) {
        Found::pass()
    } else {
        Found::wrong(
            format!("the agents were last heard {} minutes ago", silent.as_mins()),
            "look at the pods of namespace azure-arc and their way out to Azure",
        )
    };
    site.add(&site.cluster.clone(), found);
    Ok(())
}

pub(super) fn agent_certificate(site: &mut Site<'_>) -> Judged {
    let Some(ends) = time(site, "managedIdentityCertificateExpirationTime")? else {
        return Ok(());
    };
    let left = ends.duration_since(site.now);
    let found = if left > SignedDuration::from_hours(24 * 7) {
        Found::pass()
    } else if left.is_negative() {
        Found::grave(format!("it ended at {ends}"), "connect the cluster to Arc again")
    } else {
        Found::wrong(
            format!("it ends at {ends}"),
            "the agents renew it by themselves while they are connected: keep them so",
        )
    };
    site.add(&site.cluster.clone(), found);
    Ok(())
}

pub(super) fn version(site: &mut Site<'_>) -> Judged {
    let property = |text: &str| site.text(&site.cluster, &format!("/properties/{text}"));
    let version = match property("currentKubernetesVersion")? {
        "" => property("kubernetesVersion")?,
        text => text,
    };
    let minor_of = |text: &str| {
        let minor = text.trim_start_matches('v').split('.').nth(1)?;
        minor.trim_end_matches('+').parse::<i64>().ok()
    };
    let Some(minor) = minor_of(version) else { return Ok(()) };
    // AKS says by region what it supports; without that the list here counts.
    let listed = site.list("kubernetes-versions").unwrap_or_default();
    let oldest = listed.iter().filter_map(|value| minor_of(text(value, "/version"))).min();
    let by_azure = oldest.is_some();
    let oldest = oldest.unwrap_or(FACTS.oldest_minor);
    let whence = match by_azure {
        true => "as AKS says for its region".to_owned(),
        false => format!("by the list of {}", FACTS.oldest_minor_of),
    };
    let found = if minor >= oldest {
        Found::Pass(format!("{version}, {whence}"))
    } else {
        Found::wrong(
            format!(
                "the cluster runs Kubernetes {version}; 1.{oldest} and later are supported, {whence}"
            ),
            "upgrade the cluster",
        )
    };
    site.add(&site.cluster.clone(), found);
    Ok(())
}

/// Whether Azure still offers the version that the manifest pins.
pub(super) fn extension_version(site: &mut Site<'_>) -> Judged {
    let Some(extension) = site.extension else { return Ok(()) };
    let Some(version) = &extension.version else { return Ok(()) };
    let all = site.list("extension-versions")?;
    let mut all: Vec<String> =
        all.iter().map(|value| text(value, "/properties/version").to_owned()).collect();
    all.sort_by_key(|text| {
        text.split('.').map(|part| part.parse().unwrap_or(0)).collect::<Vec<u64>>()
    });
    all.reverse();
    let found = if all.is_empty() {
        Found::Skipped("Azure lists no versions of the extension for this cluster".to_owned())
    } else if all.contains(version) {
        Found::Pass(format!("{version}, as Azure says"))
    } else {
        Found::wrong(
            format!(
                "Azure offers no version {version} on release train {}; it offers {}",
                extension.release_train,
                some(&all)
            ),
            "write one of these, or leave extension.version out",
        )
    };
    site.add_at(&extension.key, "/properties/version", found);
    Ok(())
}

pub(super) fn region(site: &mut Site<'_>) -> Judged {
    let region = location(site.text(&site.cluster, "/location")?);
    if region.is_empty() {
        return Ok(());
    }
    // Azure itself says where extensions are made; without that the list here counts.
    let provider = Key::new(&site.scope.subscription, KindName::Provider, EXTENSION_PROVIDER);
    let types = site.live(&provider).ok().flatten().map(|value| items(value, "/resourceTypes"));
    let own = |value: &&Json| text(value, "/resourceType").eq_ignore_ascii_case("extensions");
    let told: Vec<String> = types
        .into_iter()
        .flatten()
        .filter(own)
        .flat_map(|value| items(value, "/locations"))
        .filter_map(|value| Some(location(value.as_str()?)))
        .collect();
    let by_azure = !told.is_empty() && !told.iter().any(|text| text == "global");
    let listed =
        if by_azure { told.contains(&region) } else { catalog::regions().contains(&region) };
    let found = match (listed, by_azure) {
        (true, true) => Found::Pass(format!("{region}, as Azure says")),
        (true, false) => Found::Pass(format!("{region}, by the list of {}", catalog::regions_of())),
        (false, true) => Found::wrong(
            format!("Azure makes no cluster extensions in {region}"),
            "connect the cluster in another region",
        ),
        (false, false) => Found::wrong(
            format!(
                "{region} is not among the regions that Azure ML named for the extension by {}",
                catalog::regions_of()
            ),
            "the list grows: apply tells for certain; else connect the cluster in another region",
        ),
    };
    site.add(&site.cluster.clone(), found);
    Ok(())
}

/// A flag of the Azure resource of the cluster.
fn flag(site: &Site<'_>, pointer: &str) -> Judged<bool> {
    let found = site.live(&site.cluster)?.and_then(|value| value.pointer(pointer));
    Ok(found.and_then(Json::as_bool) == Some(true))
}

pub(super) fn managed_identity(site: &mut Site<'_>) -> Judged {
    let of = |pointer| site.text(&site.cluster, pointer);
    let principal = of("/properties/servicePrincipalProfile/clientId")?;
    let found = match (of("/identity/type")?, principal) {
        (_, "msi") => Found::pass(),
        ("" | "None", "") => {
            return Err(Unseen::Untold("the cluster does not tell its identity".to_owned()));
        }
        ("" | "None", _) => Found::wrong(
            "the cluster runs on a service principal",
            "az aks update --enable-managed-identity, then recreate every node pool",
        ),
        _ => Found::pass(),
    };
    site.add(&site.cluster.clone(), found);
    Ok(())
}

pub(super) fn running(site: &mut Site<'_>) -> Judged {
    let found = match site.text(&site.cluster, "/properties/powerState/code")? {
        "" | "Running" => Found::pass(),
        other => Found::wrong(format!("powerState is {other}"), "az aks start"),
    };
    site.add(&site.cluster.clone(), found);
    Ok(())
}

pub(super) fn pod_identity(site: &mut Site<'_>) -> Judged {
    let found = if flag(site, "/properties/podIdentityProfile/enabled")? {
        Found::wrong(
            "pod identity is on, which the extension does not support",
            "az aks update --disable-pod-identity",
        )
    } else {
        Found::pass()
    };
    site.add(&site.cluster.clone(), found);
    Ok(())
}

pub(super) fn autoscaler(site: &mut Site<'_>) -> Judged {
    let Some(document) = site.live(&site.cluster)? else { return Ok(()) };
    let scaled: Vec<String> = items(document, "/properties/agentPoolProfiles")
        .filter(|value| value.get("enableAutoScaling").and_then(Json::as_bool) == Some(true))
        .map(|value| text(value, "/name").to_owned())
        .collect();
    let volcano = site.is_on_or("installVolcano", true)?
        && site.setting("volcanoScheduler.schedulerConfigMap")?.is_none();
    let found = if scaled.is_empty() || !site.is_on("enableTraining")? || !volcano {
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
    site.add(&site.cluster.clone(), found);
    Ok(())
}

/// What keeps Azure ML from the API server of an AKS cluster.
pub(super) fn closed(site: &Site<'_>) -> Judged<Vec<&'static str>> {
    let Some(document) = site.live(&site.cluster)? else { return Ok(Vec::new()) };
    let profile = "/properties/apiServerAccessProfile";
    let ranges = items(document, &format!("{profile}/authorizedIPRanges")).next().is_some();
    let all = [
        (flag(site, "/properties/disableLocalAccounts")?, "disableLocalAccounts is true"),
        (ranges, "authorizedIPRanges are set"),
        (flag(site, &format!("{profile}/enablePrivateCluster"))?, "the cluster is private"),
    ];
    Ok(all.into_iter().filter_map(|(is, what)| is.then_some(what)).collect())
}

pub(super) fn control_plane(site: &mut Site<'_>) -> Judged {
    let closed = closed(site)?;
    let message = format!(
        "{}: Azure ML reaches the API server only through trusted access",
        closed.join(", ")
    );
    let found = if closed.is_empty() {
        Found::pass()
    } else if site.scope.cloud.name == "AzureCloud" {
        Found::mild(
            message,
            "attach makes the trusted access role binding; amlplan verify shows whether it worked",
        )
    } else {
        Found::grave(
            message,
            "this cloud has no trusted access: allow local accounts and the ranges of service tag AzureMachineLearning",
        )
    };
    site.add(&site.cluster.clone(), found);
    Ok(())
}

/// The role binding that opens the API server again, which attach makes.
pub(super) fn trusted_access(site: &mut Site<'_>) -> Judged {
    site.each_compute("", |site, compute| {
        if site.live(&compute.key)?.is_none() {
            return Ok(None);
        }
        let workspace = workspace_id(compute);
        let of = |value: &&Json| {
            text(value, "/properties/sourceResourceId").eq_ignore_ascii_case(&workspace)
                && items(value, "/properties/roles")
                    .any(|value| value.as_str() == Some(TRUSTED_ROLE))
        };
        Ok(Some(match site.list("trusted-access")?.iter().any(of) {
            true => Found::pass(),
            false => Found::wrong(
                format!("no trusted access role binding lets {workspace} in"),
                format!(
                    "az aks trustedaccess rolebinding create --roles {TRUSTED_ROLE}; it takes up to 5 minutes"
                ),
            ),
        }))
    });
    Ok(())
}

pub(super) fn extension_identity(site: &mut Site<'_>) -> Judged {
    let Some(extension) = site.extension else { return Ok(()) };
    let Some(live) = site.live(&extension.key)? else { return Ok(()) };
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
    site.add(&extension.key, found);
    Ok(())
}

/// A cluster takes one extension of the type.
pub(super) fn other_extension(site: &mut Site<'_>) -> Judged {
    let Some(extension) = site.extension else { return Ok(()) };
    let other = |value: &&Json| {
        text(value, "/properties/extensionType")
            .eq_ignore_ascii_case("Microsoft.AzureML.Kubernetes")
            && !text(value, "/name").eq_ignore_ascii_case(extension.name())
    };
    let other = site.list("extensions")?.into_iter().filter(other);
    let other: Vec<String> = other.map(|value| text(value, "/name").to_owned()).collect();
    let found = match other.first() {
        None => Found::pass(),
        Some(name) => Found::wrong(
            format!("the cluster has the extension already, under the name {}", some(&other)),
            format!("write extension.name: {name}, or remove that one first"),
        ),
    };
    site.add(&extension.key, found);
    Ok(())
}
