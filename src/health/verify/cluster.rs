//! The part of `verify` inside the cluster: workloads, pods, security constraints, health report,
//! router and instance types.

use std::collections::{BTreeMap, BTreeSet};

use super::{served, starting, upgrading};
use crate::catalog::{self, Component};
use crate::health::healthcheck::{self, CheckerFinding};
use crate::health::outputs::router_address;
use crate::health::report::Judged;
use crate::health::site::{AZUREML, Found, Site, condition, number, some, text};
use crate::model::{Json, KindName};
use crate::resource::pods::trouble;
use crate::resource::{Extension, InstanceType};

/// Whether the inside of the cluster is looked at, and else why not.
pub(in crate::health) fn unseen(site: &Site<'_>) -> Judged<Option<&'static str>> {
    let Some(extension) = site.extension else { return Ok(None) };
    Ok(match () {
        () if !site.access.kubernetes => {
            Some("cluster.access is azureOnly, so pods and workloads are not looked at")
        }
        () if site.live(&extension.key)?.is_none() => {
            Some("the extension is not installed, so its workloads are not looked at")
        }
        () => None,
    })
}

/// Before an apply the same goes for nodes, conflicts and grants.
pub(in crate::health) fn azure_only(site: &mut Site<'_>) -> Judged {
    let why = "cluster.access is azureOnly, so nodes, conflicts and grants are not looked at";
    site.add(&site.cluster.clone(), Found::Skipped(why.into()));
    Ok(())
}

pub(in crate::health) fn not_looked_at(site: &mut Site<'_>) -> Judged {
    // That it was not read, the rules about its parts say.
    if let Ok(Some(why)) = unseen(site) {
        let key = if site.access.kubernetes { site.extension_key() } else { site.cluster.clone() };
        site.add(&key, Found::Skipped(why.into()));
    }
    Ok(())
}

fn failed(site: &Site<'_>, extension: &Extension) -> Judged<bool> {
    let state = site.text(&extension.key, "/properties/provisioningState")?;
    Ok(state.eq_ignore_ascii_case("Failed"))
}

/// A failed installation is undone as a whole; one finding says more than one a workload.
pub(in crate::health) fn rolled_back(site: &Site<'_>) -> Judged<bool> {
    let Some(extension) = site.extension else { return Ok(false) };
    if !failed(site, extension)? {
        return Ok(false);
    }
    let expected = site.with_query(extension, catalog::components)?;
    for (kind, list) in [
        ("Deployment", "own-deployments"),
        ("StatefulSet", "own-statefulsets"),
        ("DaemonSet", "own-daemonsets"),
    ] {
        let ours = |name: &str| expected.iter().any(|it| it.kind == kind && it.name == name);
        if site.list(list)?.iter().any(|it| ours(text(it, "/metadata/name"))) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Ready and wanted copies of a workload.
fn copies(workload: &Json) -> (i64, i64) {
    match workload.pointer("/status/desiredNumberScheduled") {
        Some(wanted) => (number(workload, "/status/numberReady"), wanted.as_i64().unwrap_or(0)),
        None => {
            let wanted = workload.pointer("/spec/replicas").and_then(Json::as_i64);
            (number(workload, "/status/readyReplicas"), wanted.unwrap_or(1))
        }
    }
}

pub(in crate::health) fn components(site: &mut Site<'_>) -> Judged {
    let Some(extension) = site.extension else { return Ok(()) };
    if rolled_back(site)? {
        let found = Found::wrong(
            "nothing of the extension is in the cluster: its installation failed and was undone",
            "mend what the health report and the state of the extension name, then apply again",
        );
        site.add(&extension.key, found);
        return Ok(());
    }
    // They say why, and whether it will pass: without them it is as bad as it looks.
    let refused = refused(site).unwrap_or_default();
    let soon = soon(site).unwrap_or_default();
    for component in site.with_query(extension, catalog::components)? {
        let list = match component.kind {
            "StatefulSet" => "own-statefulsets",
            "DaemonSet" => "own-daemonsets",
            _ => "own-deployments",
        };
        let found = site.list(list).map(|all| {
            let live = all.into_iter().find(|it| text(it, "/metadata/name") == component.name);
            match workload(&component, live, &refused) {
                Found::Wrong(text, Some(help)) if soon && live.is_some() => Found::Soon(text, help),
                found => found,
            }
        });
        let title = format!("{} {}", component.kind, component.name);
        site.add_titled(title, found);
    }
    Ok(())
}

/// Whether what is not ready will be, as far as one can tell.
fn soon(site: &Site<'_>) -> Judged<bool> {
    Ok(upgrading(site)? || starting(site)?)
}

fn workload(component: &Component, live: Option<&Json>, refused: &[Refusal]) -> Found {
    let Some(live) = live else {
        return if component.required {
            Found::wrong(
                format!("it is missing from namespace {AZUREML}, although {}", component.reason),
                "amlplan plan shows whether a setting differs; else install the extension again",
            )
        } else {
            Found::Skipped("not there; some versions of the extension do without it".to_owned())
        };
    };
    let (ready, wanted) = copies(live);
    let kept_at_zero = wanted == 0 && component.kind != "DaemonSet";
    if ready >= wanted && !kept_at_zero {
        return Found::Pass(format!("{ready}/{wanted} ready"));
    }
    let reason = refused.iter().find(|refusal| refusal.workload == component.name).map_or_else(
        || {
            let available = condition(live, "Available").or_else(|| condition(live, "Progressing"));
            available.map(|value| text(value, "/message").to_owned()).unwrap_or_default()
        },
        |refusal| format!("service account {} may not start its pods", refusal.account),
    );
    let colon = if reason.is_empty() { "" } else { ": " };
    let help = if kept_at_zero {
        format!("scale it up again: kubectl scale -n {AZUREML} {} --replicas=1", component.name)
    } else {
        format!("kubectl get events -n {AZUREML} tells why; see also the checks of pods below")
    };
    Found::wrong(format!("{ready}/{wanted} ready{colon}{reason}"), help)
}

pub(in crate::health) fn pods(site: &mut Site<'_>) -> Judged {
    let pods = site.list("own-pods")?;
    let bad: Vec<String> = pods.iter().filter_map(|value| trouble(value)).collect();
    let found = if pods.is_empty() {
        let message = format!("namespace {AZUREML} has no pods");
        Found::wrong(message, "see the events of the namespace")
    } else if bad.is_empty() {
        Found::Pass(format!("{} pods", pods.len()))
    } else {
        let message = format!("{} of {} are not ready: {}", bad.len(), pods.len(), some(&bad));
        let help = catalog::remedy(crate::model::Api::Azure, 0, "", &message).map_or_else(
            || format!("kubectl describe pod -n {AZUREML} tells why"),
            |page| format!("{}: {}", page.summary, page.help),
        );
        if soon(site)? { Found::Soon(message, help) } else { Found::wrong(message, help) }
    };
    site.add(&site.extension_key(), found);
    Ok(())
}

/// A workload whose pods OpenShift refuses.
struct Refusal {
    workload: String,
    /// `NAMESPACE:NAME`.
    account: String,
}

/// Workloads that are not ready and whose pods a security context constraint keeps away.
fn refused(site: &Site<'_>) -> Judged<Vec<Refusal>> {
    let mut workloads: Vec<&Json> = Vec::new();
    for list in ["own-deployments", "own-statefulsets", "own-daemonsets"] {
        workloads.extend(site.list(list)?);
    }
    let events = site.list("own-events")?;
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for event in events {
        let message = text(event, "/message");
        if text(event, "/reason") != "FailedCreate"
            || !message.contains("security context constraint")
        {
            continue;
        }
        // The event stands at the ReplicaSet, whose name is its Deployment's and a hash.
        let about = text(event, "/involvedObject/name");
        let of = |value: &&Json| {
            let name = text(value, "/metadata/name");
            about == name || about.rsplit_once('-').is_some_and(|(head, _)| head == name)
        };
        let Some(workload) = workloads.iter().copied().find(of) else { continue };
        let (ready, wanted) = copies(workload);
        if ready >= wanted {
            continue;
        }
        let named = message.split("system:serviceaccount:").nth(1).map(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !":-._".contains(c));
            rest[..end.unwrap_or(rest.len())].trim_end_matches(['.', ':']).to_owned()
        });
        let own = match text(workload, "/spec/template/spec/serviceAccountName") {
            "" => "default",
            text => text,
        };
        let account = named.unwrap_or_else(|| format!("{AZUREML}:{own}"));
        found.insert(text(workload, "/metadata/name").to_owned(), account);
    }
    Ok(found.into_iter().map(|(workload, account)| Refusal { workload, account }).collect())
}

pub(in crate::health) fn constraints(site: &mut Site<'_>) -> Judged {
    let (key, refused) = (site.extension_key(), refused(site)?);
    if refused.is_empty() {
        site.add(&key, Found::pass());
        return Ok(());
    }
    // Only where it is told rests on the grant.
    let grant = site.grant().ok().flatten().map_or(key, |grant| grant.key.clone());
    let known = site.known_accounts();
    let mut accounts: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for refusal in &refused {
        accounts.entry(&refusal.account).or_default().push(refusal.workload.clone());
    }
    for (account, workloads) in accounts {
        let listed = known.iter().any(|(namespace, name)| account == format!("{namespace}:{name}"));
        let help = if listed {
            "amlplan apply grants it; plan shows the grant".to_owned()
        } else {
            format!(
                "the account is on no public list: write it under scc.serviceAccounts: \
                 [system:serviceaccount:{account}]"
            )
        };
        let message = format!(
            "no security context constraint lets service account {account} start the pods of {}",
            some(&workloads)
        );
        site.add(&grant, Found::wrong(message, help));
    }
    Ok(())
}

pub(in crate::health) fn report(site: &mut Site<'_>) -> Judged {
    let Some(extension) = site.extension else { return Ok(()) };
    let key = extension.key.clone();
    let map = match site.document("health")? {
        Some(map) => Some(map),
        None => site.document("health-2021")?,
    };
    let Some(map) = map else {
        let why = "the cluster holds no health report".to_owned();
        site.add(&key, Found::Skipped(why));
        return Ok(());
    };
    let failed = failed(site, extension)?;
    let mut findings: Vec<CheckerFinding> =
        healthcheck::current(map, failed).into_iter().flat_map(|it| it.findings).collect();
    if findings.is_empty() {
        site.add(&key, Found::pass());
        return Ok(());
    }
    // The hooks of one operation repeat each other.
    let mut seen = BTreeSet::new();
    findings.retain(|finding| seen.insert((finding.code.clone(), finding.message.clone())));
    let culprit = findings.iter().any(|checker_finding| checker_finding.blocking);
    for finding in findings {
        let cause = healthcheck::setting(&finding.code, site.profile());
        let message = format!(
            "{} {} ({}, {}): {}",
            finding.code, finding.name, finding.hook, finding.checker, finding.message
        );
        let mut help = format!("{}: {}", finding.cause, finding.remedy);
        if let Some(name) = cause
            && let Some(value) = site.setting(name)?
        {
            help = format!("{help} ({name} is {value} now)");
        }
        // An installation that succeeded went on in spite of what the report says; in a failed
        // one a code that only tells is to blame when there is no other.
        let found = if failed && (finding.blocking || !culprit) {
            Found::Wrong(message, Some(help))
        } else {
            Found::mild(message, help)
        };
        match cause {
            Some(setting) => site.add_setting(setting, found),
            None => site.add(&key, found),
        }
    }
    Ok(())
}

pub(in crate::health) fn router(site: &mut Site<'_>) -> Judged {
    if !site.is_on("enableInference")? {
        return Ok(());
    }
    let types = ["ClusterIP", "NodePort", "LoadBalancer"];
    let declared = site.setting("inferenceRouterServiceType")?;
    // The extension takes the words in any case.
    let wanted =
        types.into_iter().find(|text| declared.is_some_and(|own| own.eq_ignore_ascii_case(text)));
    let found = match site.document("router")? {
        None => Found::wrong(
            format!("Service {AZUREML}/azureml-fe is missing"),
            "the extension makes it when enableInference is true; amlplan plan shows differences",
        ),
        Some(service) if wanted.is_some_and(|it| it != text(service, "/spec/type")) => {
            Found::wrong(
                format!(
                    "Service {AZUREML}/azureml-fe is of type {}, not {}",
                    text(service, "/spec/type"),
                    wanted.unwrap_or_default()
                ),
                "kubectl edit put it so: set it back, or declare it",
            )
        }
        Some(service) => match router_address(service) {
            Some(address) => Found::Pass(address),
            None => Found::wrong(
                format!("Service {AZUREML}/azureml-fe has no address yet"),
                "the cluster makes no load balancer: install one, or write \
                 inferenceRouterServiceType: NodePort or ClusterIP",
            ),
        },
    };
    site.add_setting("inferenceRouterServiceType", found);
    Ok(())
}

pub(in crate::health) fn instance_types(site: &mut Site<'_>) -> Judged {
    let Some(extension) = site.extension else { return Ok(()) };
    let declared = site.own.iter().any(|(key, _)| key.kind == KindName::InstanceType);
    if !extension.ga && !declared {
        return Ok(());
    }
    let found = match site.document("instance-type-crd")? {
        Some(crd) if served(crd) => Found::pass(),
        _ => Found::wrong(
            format!("the cluster does not serve {} InstanceType", InstanceType::API_VERSION),
            "the extension brings it within some minutes; if it stays away, install the extension again",
        ),
    };
    site.add(&extension.key, found);
    Ok(())
}
