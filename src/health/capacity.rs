//! Nodes: enough of them, of the right kind, with enough room (AML docs: reference for Kubernetes
//! clusters, resource planning; troubleshoot extension).

use std::collections::BTreeMap;

use super::facts::FACTS;
use super::report::{Judged, Unseen};
use super::site::{Found, Site, condition, items, some, text};
use crate::catalog::{self, Component, ProfileName, Sizing};
use crate::language::rules::Amount;
use crate::model::Json;
use crate::resource::{InstanceType, Resource};

/// Settings that give tolerations to the extension's own pods, and to those of workloads.
const OWN: &str = "toleration";
const WORKLOADS: &str = "workLoadToleration";

/// The tolerations in settings `NAME[i].key`, `.operator`, `.value`, `.effect`, by their number.
fn tolerations<'a>(site: &'a Site<'_>, name: &'a str) -> Vec<BTreeMap<&'a str, &'a str>> {
    let mut found: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
    for (rest, value) in site.settings_under(name) {
        let rest = rest.strip_prefix('[');
        if let Some((number, field)) = rest.and_then(|text| text.split_once("].")) {
            found.entry(number).or_default().insert(field, value);
        }
    }
    found.into_values().collect()
}

/// Whether a toleration is for a taint (Kubernetes docs: taints and tolerations).
fn tolerates(toleration: &BTreeMap<&str, &str>, taint: &Json) -> bool {
    let said = |field: &str| toleration.get(field).copied().filter(|text| !text.is_empty());
    let exists = said("operator") == Some("Exists");
    said("key").map_or(exists, |it| it == text(taint, "/key"))
        && said("effect").is_none_or(|it| it == text(taint, "/effect"))
        && (exists || said("value").unwrap_or_default() == text(taint, "/value"))
}

/// A node as far as the extension cares.
struct CapacityNode<'a> {
    document: &'a Json,
    name: &'a str,
    linux_amd64: bool,
    /// Ready, schedulable, and with no taint that keeps the pods away.
    open: bool,
    room: Amount,
}

fn node<'a>(document: &'a Json, tolerations: &[BTreeMap<&str, &str>]) -> CapacityNode<'a> {
    let info = |field: &str| text(document, &format!("/status/nodeInfo/{field}"));
    let ready = condition(document, "Ready").is_some_and(|value| text(value, "/status") == "True");
    let cordoned = document.pointer("/spec/unschedulable").and_then(Json::as_bool) == Some(true);
    let keeps_away = |taint: &Json| {
        let always = FACTS.tolerated_taints.iter().any(|it| text(taint, "/key").starts_with(it));
        let tolerated = always || tolerations.iter().any(|toleration| tolerates(toleration, taint));
        !tolerated && text(taint, "/effect") != "PreferNoSchedule"
    };
    CapacityNode {
        document,
        name: text(document, "/metadata/name"),
        linux_amd64: info("operatingSystem") == "linux" && info("architecture") == "amd64",
        open: ready && !cordoned && !items(document, "/spec/taints").any(keeps_away),
        room: Amount::read(document.pointer("/status/allocatable")),
    }
}

impl CapacityNode<'_> {
    fn matches(&self, selector: &BTreeMap<String, String>) -> bool {
        let labels = self.document.pointer("/metadata/labels").and_then(Json::as_object);
        let label = |key: &str| labels?.get(key)?.as_str();
        selector.iter().all(|(key, value)| label(key) == Some(value))
    }
}

/// The nodes, as pods with the tolerations of these settings see them.
fn nodes<'a>(site: &Site<'a>, pods: &str) -> Judged<Vec<CapacityNode<'a>>> {
    let tolerations = tolerations(site, pods);
    Ok(site.list("nodes")?.into_iter().map(|value| node(value, &tolerations)).collect())
}

fn usable(nodes: Vec<CapacityNode<'_>>) -> Vec<CapacityNode<'_>> {
    nodes.into_iter().filter(|node| node.open && node.linux_amd64).collect()
}

pub(super) fn linux_node(site: &mut Site<'_>) -> Judged {
    let nodes = nodes(site, OWN)?;
    let all = nodes.len();
    let found = match usable(nodes).len() {
        0 => Found::wrong(
            format!("none of {all} nodes is ready, open to pods, and linux/amd64"),
            "add a linux/amd64 node, or uncordon one; taints other than ml.azure.com/* keep the \
             extension away",
        ),
        usable => Found::Pass(format!("{usable} of {all} nodes")),
    };
    site.add(&site.cluster.clone(), found);
    Ok(())
}

/// What the extension's `nodeSelector.*` settings ask of nodes.
fn selector(site: &Site<'_>) -> BTreeMap<String, String> {
    let label = |(key, value): (&str, &str)| Some((catalog::node_label(key)?, value.to_owned()));
    site.settings_under("").filter_map(label).collect()
}

/// The usable nodes that the extension's selector picks. `None` when there is nothing to say: no
/// usable node, or none picked, which have rules of their own.
fn chosen<'a>(site: &Site<'a>) -> Judged<Option<Vec<CapacityNode<'a>>>> {
    let (nodes, selector) = (nodes(site, OWN)?, selector(site));
    let chosen: Vec<_> = usable(nodes).into_iter().filter(|node| node.matches(&selector)).collect();
    Ok((!chosen.is_empty()).then_some(chosen))
}

fn pairs(selector: &BTreeMap<String, String>) -> String {
    selector.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

pub(super) fn selected(site: &mut Site<'_>) -> Judged {
    let selector = selector(site);
    let Some(first) = selector.keys().next() else { return Ok(()) };
    let usable = usable(nodes(site, OWN)?);
    if usable.is_empty() {
        return Ok(());
    }
    let found = match usable.iter().filter(|node| node.matches(&selector)).count() {
        0 => Found::wrong(
            format!("no usable node has the labels {}", pairs(&selector)),
            format!("kubectl label node NODE {}, or change nodeSelector.{first}", pairs(&selector)),
        ),
        chosen => Found::Pass(format!("{chosen} nodes")),
    };
    site.add_setting(&format!("nodeSelector.{first}"), found);
    Ok(())
}

pub(super) fn high_availability(site: &mut Site<'_>) -> Judged {
    let Some(extension) = site.extension else { return Ok(()) };
    let Some(chosen) = chosen(site)?.map(|nodes| nodes.len()) else { return Ok(()) };
    let replicas = site.with_query(extension, catalog::router_replicas)?;
    if replicas == 0 {
        return Ok(());
    }
    let selector = selector(site);
    let setting = match site.profile() {
        ProfileName::Ga => "inferenceRouterHA",
        ProfileName::Preview => "inferenceLoadBalancerHA",
    };
    let found = if replicas <= i64::try_from(chosen).unwrap_or(i64::MAX) {
        Found::Pass(format!("{replicas} replicas on {chosen} nodes"))
    } else {
        let which =
            if selector.is_empty() { String::new() } else { format!(" with {}", pairs(&selector)) };
        Found::wrong(
            format!(
                "the router wants {replicas} nodes for high availability, and {chosen}{which} are usable"
            ),
            format!("write {setting}: false under extension.configurationSettings, or add nodes"),
        )
    };
    site.add_setting(setting, found);
    Ok(())
}

/// What pods request on each node, the extension's own left out.
fn requested<'a>(pods: &[&'a Json]) -> BTreeMap<&'a str, Amount> {
    let mut total: BTreeMap<&str, Amount> = BTreeMap::new();
    for pod in pods {
        let phase = text(pod, "/status/phase");
        let done = phase == "Succeeded" || phase == "Failed";
        let own = pod.pointer("/metadata/labels/ml.azure.com~1amlarc-system").is_some();
        if done || own {
            continue;
        }
        let requests = |value: &Json| Amount::read(value.pointer("/resources/requests"));
        let mut amount = Amount::default();
        items(pod, "/spec/containers").for_each(|value| amount.add(&requests(value)));
        items(pod, "/spec/initContainers").for_each(|value| amount.at_least(&requests(value)));
        total.entry(text(pod, "/spec/nodeName")).or_default().add(&amount);
    }
    total
}

/// What other pods leave on each node.
fn left(site: &Site<'_>, nodes: &[CapacityNode<'_>]) -> Judged<Vec<Amount>> {
    if nodes.iter().all(|node| node.room.cpu_m == 0) {
        return Err(Unseen::Untold("the nodes do not say what is allocatable".to_owned()));
    }
    let requested = requested(&site.list("all-pods")?);
    let left = |node: &CapacityNode<'_>| {
        let mut room = node.room.clone();
        requested.get(node.name).into_iter().for_each(|amount| room.take(amount));
        room.at_least(&Amount::default());
        room
    };
    Ok(nodes.iter().map(left).collect())
}

/// A pod that is to be placed.
struct Pod<'a> {
    of: &'a Component,
    size: Amount,
}

/// Places pods as the scheduler may: what runs on every node first, then the largest pods, each on
/// the node with most CPU left. Returns those that fit nowhere.
fn place<'a>(all: &'a [Component], free: &mut [Amount]) -> Vec<Pod<'a>> {
    let size = |component: &Component| {
        let sizing = component.size.unwrap_or_default();
        amount(sizing.cpu_request_m, sizing.memory_request_mi)
    };
    for each in all.iter().filter(|component| component.pods.is_none()) {
        free.iter_mut().for_each(|amount| amount.take(&size(each)));
    }
    let mut pods: Vec<Pod<'_>> = Vec::new();
    for of in all {
        pods.extend((0..of.pods.unwrap_or_default()).map(|_| Pod { of, size: size(of) }));
    }
    pods.sort_by_key(|it| std::cmp::Reverse((it.size.cpu_m, it.size.memory_mi)));
    pods.retain(|pod| {
        let fitting = free.iter_mut().filter(|amount| pod.size.fits(amount));
        let best = fitting.max_by_key(|amount| amount.cpu_m);
        let none = best.is_none();
        best.into_iter().for_each(|amount| amount.take(&pod.size));
        none
    });
    pods
}

/// What an installation requests, by component, against what other pods leave on the nodes that it
/// may stand on.
pub(super) fn room(site: &mut Site<'_>) -> Judged {
    let Some(extension) = site.extension else { return Ok(()) };
    let Some(chosen) = chosen(site)? else { return Ok(()) };
    if !extension.ga {
        let why = "sizes are published for profile ga only".to_owned();
        site.add(&extension.key, Found::Skipped(why));
        return Ok(());
    }
    let mut rooms = left(site, &chosen)?;
    let nodes = i64::try_from(chosen.len()).unwrap_or(i64::MAX);
    let mut free = Amount::default();
    rooms.iter().for_each(|amount| free.add(amount));
    let components = site.with_query(extension, catalog::components)?;
    let size = |component: &Component| Some(component.size?.times(component.pods.unwrap_or(nodes)));
    let size: Sizing = components.iter().filter_map(size).sum();
    let need = amount(size.cpu_request_m, size.memory_request_mi);
    let most = amount(size.cpu_limit_m, size.memory_limit_mi);
    let outside = place(&components, &mut rooms);
    let three = site.with_query(extension, catalog::router_replicas)? == 3;
    let spare = if three {
        "add nodes of 4 CPU and 14 GiB or more, or write inferenceRouterHA: false, which saves 1.8 CPU and 1.5 GiB"
    } else {
        "add nodes of 4 CPU and 14 GiB or more, or move other workloads away"
    };
    let on = if nodes == 1 { "1 node".to_owned() } else { format!("{nodes} nodes") };
    let found = if let Some(first) = outside.first() {
        let mut names: Vec<String> = outside.iter().map(|pod| pod.of.name.clone()).collect();
        names.dedup();
        Found::wrong(
            format!(
                "the extension requests {need}, and {free} are free on {on}: no room for {}; \
                 {} asks for {} on one node",
                some(&names),
                first.of.name,
                first.size
            ),
            spare,
        )
    } else if !is_test(site)? && !most.fits(&free) {
        Found::mild(
            format!("the extension takes up to {most}, and {free} are free on {on}"),
            "enough for a test; for production add nodes of 8 CPU and 28 GiB",
        )
    } else {
        Found::Pass(format!("{need} requested, {free} free on {on}"))
    };
    for component in components.iter().filter(|it| !outside.iter().any(|pod| pod.of == *it)) {
        let pods = match component.pods {
            Some(1) => "1 pod".to_owned(),
            Some(pods) => format!("{pods} pods"),
            None => format!("a pod on each of {on}"),
        };
        let size = component.size.map_or_else(
            || "of no published size".to_owned(),
            |it| format!("of {}m CPU and {} MiB", it.cpu_request_m, it.memory_request_mi),
        );
        let text = format!("{pods} {size}; {}", component.reason);
        site.add_titled(format!("room for {}", component.name), Found::Pass(text));
    }
    site.add(&extension.key, found);
    Ok(())
}

fn amount(cpu_m: i64, memory_mi: i64) -> Amount {
    Amount { cpu_m, memory_mi, ..Amount::default() }
}

fn is_test(site: &Site<'_>) -> Judged<bool> {
    Ok(site.setting("clusterPurpose")? == Some("DevTest"))
}

pub(super) fn floor(site: &mut Site<'_>) -> Judged {
    let Some(chosen) = chosen(site)? else { return Ok(()) };
    let mut all = Amount::default();
    chosen.iter().for_each(|node| all.add(&node.room));
    let [cpu_m, memory_mi] = FACTS.floor;
    let floor = amount(cpu_m, memory_mi);
    let found = if is_test(site)? || all.cpu_m == 0 || floor.fits(&all) {
        Found::pass()
    } else {
        Found::wrong(
            format!("the nodes have {all} in all; production starts at {floor}"),
            "add nodes, or write clusterPurpose: DevTest",
        )
    };
    site.add(&site.cluster.clone(), found);
    Ok(())
}

pub(super) fn worker_processes(site: &mut Site<'_>) -> Judged {
    let aks = site.extension.is_some_and(|extension| extension.aks);
    let set = "nginxIngress.controllerConfig.worker-processes";
    if !site.is_on_or("nginxIngress.enabled", aks)? || site.setting(set)?.is_some() {
        return Ok(());
    }
    let Some(chosen) = chosen(site)? else { return Ok(()) };
    let most = chosen.iter().map(|node| node.room.cpu_m / 1000).max().unwrap_or_default();
    let found = if most <= FACTS.many_cpus {
        Found::pass()
    } else {
        Found::wrong(
            format!("a node has {most} CPUs, and the ingress controller starts as many processes"),
            format!("write {set}: \"8\" under extension.configurationSettings"),
        )
    };
    site.add_setting("nginxIngress.enabled", found);
    Ok(())
}

/// Each declared instance type should fit some node.
pub(super) fn instance_types(site: &mut Site<'_>) -> Judged {
    let types: Vec<&InstanceType> = site
        .own
        .iter()
        .filter_map(|(_, node)| match &node.resource {
            Resource::InstanceType(instance_type) => Some(instance_type),
            _ => None,
        })
        .collect();
    let unchecked = site.is_on("amloperator.skipResourceValidation")?;
    let asked = !types.is_empty() && !unchecked;
    let usable = if asked { usable(nodes(site, WORKLOADS)?) } else { Vec::new() };
    for instance_type in types {
        let found = if unchecked { Found::pass() } else { fit(instance_type, &usable) };
        site.add_at(&instance_type.key, "/spec/resources", found);
    }
    Ok(())
}

fn fit(instance_type: &InstanceType, usable: &[CapacityNode<'_>]) -> Found {
    let mut want =
        Amount::of(instance_type.requests.iter().map(|(key, text)| (key.as_str(), text.clone())));
    let limits =
        Amount::of(instance_type.limits.iter().map(|(key, text)| (key.as_str(), text.clone())));
    want.devices = limits.devices;
    let matching: Vec<&CapacityNode<'_>> =
        usable.iter().filter(|node| node.matches(&instance_type.node_selector)).collect();
    if matching.iter().any(|node| want.fits(&node.room)) {
        return Found::pass();
    }
    let skip = "write amloperator.skipResourceValidation: true where nodes scale from zero";
    if matching.is_empty() {
        let labels = pairs(&instance_type.node_selector);
        return Found::wrong(
            format!("no usable node has the labels {labels}"),
            format!("label nodes or change nodeSelector; {skip}"),
        );
    }
    let sizes: Vec<String> = matching.iter().map(|it| format!("{} {}", it.name, it.room)).collect();
    Found::wrong(
        format!("it asks for {want}, and no matching node has that: {}", some(&sizes)),
        format!("lower resources.requests, or add a larger node; {skip}"),
    )
}

pub(super) fn gke(site: &mut Site<'_>) -> Judged {
    if !site.text(&site.cluster, "/properties/distribution")?.eq_ignore_ascii_case("gke") {
        return Ok(());
    }
    let nodes = nodes(site, OWN)?;
    let image =
        |it: &&CapacityNode<'_>| !text(it.document, "/status/nodeInfo/osImage").contains("Ubuntu");
    let other: Vec<String> = nodes.iter().filter(image).map(|node| node.name.to_owned()).collect();
    let found = if other.is_empty() {
        Found::pass()
    } else {
        Found::wrong(
            format!("these nodes do not run Ubuntu: {}", some(&other)),
            "make the node pools with an Ubuntu image",
        )
    };
    site.add(&site.cluster.clone(), found);
    Ok(())
}
