//! Arc-connected and AKS clusters ("Azure REST: Connected Clusters; Managed Clusters"), with the Kubernetes behind them.

use base64::Engine;
use serde_json::{Value as Json, json};

use super::answer::{Ask, lower_group, mark_deleting, not_found, reads, refuse, region};
use super::{generic, groups, providers};
use crate::json::{fill, items, text};
use crate::state::clock::Work;
use crate::state::cluster::{Beginning, Cluster, kubeconfig};
use crate::state::id;
use crate::state::world::World;
use crate::state::world_file::SccEdit;
use crate::wire::{HttpAnswer, Reply};

/// The version of Kubernetes when nobody says which.
pub(crate) const DEFAULT_VERSION: &str = "1.33.4";

/// Whether this is the id of an AKS cluster.
pub(crate) fn is_aks(id: &str) -> bool {
    id::type_of(id) == "microsoft.containerservice/managedclusters"
}

pub(crate) fn put(world: &mut World, ask: &Ask<'_>) -> HttpAnswer {
    let is_new = world.get(&ask.id).is_none();
    if !is_aks(&ask.id) && !ask.call.json()?["identity"]["type"].is_string() {
        return Err(refuse("cluster-identity", &[]));
    }
    let mut reply = generic::put(world, ask, |world, body| complete(world, &ask.id, body))?;
    reply.body = Some(turn_etag(world, &ask.id));
    if is_new {
        materialise(world, &ask.id);
    }
    Ok(reply)
}

pub(crate) fn patch(world: &mut World, ask: &Ask<'_>) -> HttpAnswer {
    generic::patch(world, ask)?;
    if let Some(mut body) = world.body(&ask.id).cloned() {
        issue(world, &ask.id, &mut body);
        world.put(&ask.id, body);
    }
    Ok(Reply::ok(turn_etag(world, &ask.id)))
}

pub(crate) fn delete(world: &mut World, ask: &Ask<'_>) -> HttpAnswer {
    if world.get(&ask.id).is_none() {
        return Ok(Reply::empty(204));
    }
    mark_deleting(world, &ask.id);
    Ok(groups::accept_removal(world, ask.call, &ask.id, Work::Generic))
}

/// The kubeconfig of the cluster's user or admin. A cluster with Entra gives its user one that signs in through
/// kubelogin; with local accounts disabled there is no other ("Azure REST: Managed Clusters"; "AKS docs: kubelogin").
pub(crate) fn credentials(world: &mut World, ask: &Ask<'_>) -> HttpAnswer {
    if world.cluster(ask.subject()).is_none() {
        return Err(not_found(ask.target));
    }
    let admin = ask.kind.ends_with("listclusteradmincredential");
    let properties =
        world.body(ask.subject()).map(|value| value["properties"].clone()).unwrap_or_default();
    if admin && properties["disableLocalAccounts"] == true {
        return Err(refuse("no-local-accounts", &[]));
    }
    let entra = properties["aadProfile"]["managed"] == true && !admin;
    let tenant = entra.then(|| world.tenant());
    let config = kubeconfig(&ask.call.origin, ask.subject(), world.authority.as_deref(), tenant);
    let value = base64::engine::general_purpose::STANDARD.encode(config);
    let name = if admin { "clusterAdmin" } else { "clusterUser" };
    Ok(Reply::ok(json!({"kubeconfigs": [{"name": name, "value": value}]})))
}

/// AKS honours `If-Match` and `If-None-Match` ("Azure REST: Managed Clusters", since 2024-09).
pub(crate) fn check_etag(world: &World, ask: &Ask<'_>) -> Result<(), Reply> {
    let tag = world.body(&ask.id).map(|body| text(&body["eTag"]));
    let plain = |text: &str| text.trim().trim_start_matches("W/").trim_matches('"').to_owned();
    let matches = ask
        .call
        .header("if-match")
        .is_none_or(|wanted| tag.is_some_and(|tag| wanted.trim() == "*" || plain(wanted) == tag));
    let none = ask.call.header("if-none-match").is_none_or(|it| it.trim() != "*" || tag.is_none());
    if reads(ask.call) || (matches && none) {
        return Ok(());
    }
    Err(refuse("precondition", &[]))
}

/// Gives a changed AKS cluster a new `eTag`; returns the body.
pub(crate) fn turn_etag(world: &mut World, id: &str) -> Json {
    let tag = world.guid(&format!("etag {id} {}", world.revision));
    let Some(stored) = world.get_mut(id) else { return Json::Null };
    if is_aks(id) {
        stored.body["eTag"] = json!(tag);
    }
    stored.body.clone()
}

/// Names the issuer of a cluster's tokens where it is turned on ("Azure REST: oidcIssuerProfile").
fn issue(world: &World, id: &str, body: &mut Json) {
    let location = region(&body["location"]);
    let profile = &mut body["properties"]["oidcIssuerProfile"];
    if profile["enabled"] != true {
        return;
    }
    let (member, host) = if is_aks(id) { ("issuerURL", "aks") } else { ("issuerUrl", "arc") };
    let (tenant, own) = (world.tenant(), world.guid(&format!("issuer {id}")));
    profile[member] =
        json!(format!("https://{location}.oic.prod-{host}.azure.com/{tenant}/{own}/"));
}

/// Gives a cluster the read-only members of a healthy one.
pub(crate) fn complete(world: &World, id: &str, body: &mut Json) {
    let (name, location) = (id::last_segment(id), region(&body["location"]));
    fill(&mut body["properties"], providers::defaults(&id::type_of(id)));
    issue(world, id, body);
    if !is_aks(id) {
        let stamp = world.stamp();
        fill(
            body,
            &json!({"systemData": {"createdAt": stamp, "lastModifiedAt": stamp, "createdBy": "sandbox", "createdByType": "Application"}}),
        );
        return;
    }
    // AKS returns ids with `resourcegroups` in lower case.
    body["id"] = json!(lower_group(id));
    body["type"] = json!("Microsoft.ContainerService/ManagedClusters");
    fill(
        body,
        &json!({"sku": {"name": "Base", "tier": "Standard"}, "eTag": world.guid(&format!("etag {id}"))}),
    );
    let group = id::parse(id).group.unwrap_or_default();
    let guid = |what: &str| world.guid(&format!("{what} {id}"));
    fill(
        &mut body["properties"],
        &json!({"dnsPrefix": name,
        "fqdn": format!("{}-0a1b2c3d.hcp.{location}.azmk8s.io", name.to_ascii_lowercase()), "nodeResourceGroup": format!("MC_{group}_{name}_{location}"),
        "identityProfile": {"kubeletidentity": {"resourceId": format!("{id}-agentpool"), "clientId": guid("kubelet client"), "objectId": guid("kubelet")}}}),
    );
}

/// Creates the Kubernetes behind a cluster resource, as its body and the world file describe it.
pub(crate) fn materialise(world: &mut World, id: &str) {
    let Some(body) = world.body(id).cloned() else { return };
    let name = text(&body["name"]).to_owned();
    let file = world.file.cluster(&name);
    let properties = &body["properties"];
    let aks = is_aks(id);
    let said = |member: &str| properties[member].as_str();
    let version =
        said("currentKubernetesVersion").or(said("kubernetesVersion")).unwrap_or(DEFAULT_VERSION);
    let pools = items(&properties["agentPoolProfiles"]).filter_map(|pool| pool["count"].as_u64());
    let distribution = if aks { "aks" } else { said("distribution").unwrap_or("generic") };
    let beginning = Beginning {
        distribution: distribution.to_owned(),
        version: version.to_owned(),
        nodes: properties["totalNodeCount"].as_u64().unwrap_or(pools.sum()),
        aks,
        installed: file.map(|file| file.installed.clone()).unwrap_or_default(),
        born: world.kube_stamp(),
        rules: world.file.access.kubernetes.clone(),
    };
    let denied = file.is_some_and(|file| file.scc_edit == SccEdit::Deny);
    world.put_cluster(Cluster::new(id, name, denied, beginning));
}

/// Versions of Kubernetes that AKS offers in a region ("Azure REST: AKS, List Kubernetes Versions"). The list is called
/// `values`.
pub(crate) fn versions(_: &mut World, _: &Ask<'_>) -> HttpAnswer {
    let version = |minor: u32| {
        let patch = format!("1.{minor}.4");
        json!({"version": format!("1.{minor}"), "isDefault": minor == 33, "isPreview": null,
            "capabilities": {"supportPlan": ["KubernetesOfficial"]},
            "patchVersions": {patch: {"upgrades": []}}})
    };
    Ok(Reply::ok(json!({"values": (32..=35).map(version).collect::<Vec<_>>()})))
}
