//! Software in the cluster that an installation collides with, and leftovers of earlier ones
//! (AML docs: troubleshoot extension).

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::facts::{Conflict, FACTS, Unset};
use super::report::Judged;
use super::site::{AZUREML, Found, Site, items, some, text};
use crate::catalog;
use crate::model::Json;
use crate::resource::Extension;

/// An installation that took longer has failed.
const LONGEST_INSTALLATION: SignedDuration = SignedDuration::from_hours(1);

const RELEASE: &str = "/metadata/annotations/meta.helm.sh~1release-name";

/// The rule of a table's collision: every entry of its code that fits the profile.
pub(super) fn collisions(site: &mut Site<'_>) -> Judged {
    let Some(extension) = site.extension else { return Ok(()) };
    let of = |it: &&Conflict| it.code == site.code && it.profiles.contains(&site.profile());
    let conflicts: Vec<&'static Conflict> = FACTS.conflict.iter().filter(of).collect();
    for conflict in conflicts {
        collision(site, extension, conflict)?;
    }
    Ok(())
}

/// Whether an object belongs to the release of the extension.
fn owned(object: &Json, extension: &Extension) -> bool {
    match text(object, RELEASE) {
        "" => text(object, "/metadata/namespace") == AZUREML,
        release => release == extension.name(),
    }
}

fn is_one(object: &Json, parts: &[String]) -> bool {
    let named = |it: &str| parts.iter().any(|part| it.contains(part.as_str()));
    named(text(object, "/metadata/name"))
        || named(text(object, "/spec/controller"))
        || items(object, "/spec/template/spec/containers").any(|value| named(text(value, "/image")))
}

fn full_name(object: &Json) -> String {
    let name = text(object, "/metadata/name");
    match text(object, "/metadata/namespace") {
        "" => name.to_owned(),
        namespace => format!("{namespace}/{name}"),
    }
}

fn collision(site: &mut Site<'_>, extension: &Extension, conflict: &'static Conflict) -> Judged {
    let unset = match conflict.default {
        Unset::True => true,
        Unset::False => false,
        Unset::Aks => extension.aks,
    };
    let on = site.is_on_or(&conflict.setting, unset)? != conflict.invert;
    let resolved = match &conflict.unless {
        Some(unless) => site.setting(unless)?,
        None => None,
    };
    let resolved = resolved.is_some_and(|it| conflict.parts.iter().all(|part| part != it));
    if !on || resolved || (conflict.training && !site.is_on("enableTraining")?) {
        site.add_setting(&conflict.setting, Found::pass());
        return Ok(());
    }
    let foreign = |it: &&Json| is_one(it, &conflict.parts) && !owned(it, extension);
    let found = site.list(&conflict.list)?.into_iter().filter(foreign);
    let found: Vec<String> = found.map(full_name).collect();
    let declared =
        if extension.settings.contains_key(&conflict.setting) { "" } else { " by default" };
    let value = if conflict.invert { "false" } else { "true" };
    let found = if found.is_empty() {
        Found::pass()
    } else {
        Found::wrong(
            format!(
                "the cluster has {} already, and {} is {value}{declared}",
                some(&found),
                conflict.setting
            ),
            format!("write {}", conflict.write.replace("{extension}", extension.name())),
        )
    };
    site.add_setting(&conflict.setting, found);
    Ok(())
}

pub(super) fn legacy(site: &mut Site<'_>) -> Judged {
    if !site.is_on("enableInference")? {
        return Ok(());
    }
    let mut there = Vec::new();
    let mut upgradable = false;
    for (index, legacy) in FACTS.legacy.iter().enumerate() {
        let Some(object) = site.document(&format!("legacy {index}"))? else { continue };
        let mark = text(object, "/metadata/annotations/azureml-fe-enable-upgrade");
        upgradable |= legacy.kind == "Deployment" && mark == "true";
        there.push(format!("{}/{}", legacy.kind.to_lowercase(), legacy.name));
    }
    let found = if there.is_empty() {
        Found::pass()
    } else {
        let message = format!("namespace default holds a router of AML v1: {}", there.join(", "));
        if upgradable && site.is_on("scoringFe.enableUpgrade")? {
            Found::Mild(message, Some("scoringFe.enableUpgrade takes it over".to_owned()))
        } else {
            let help = format!(
                "kubectl delete -n default {}, or write scoringFe.enableUpgrade: true and annotate \
                 deployment/azureml-fe with azureml-fe-enable-upgrade=true",
                there.join(" ")
            );
            Found::Wrong(message, Some(help))
        }
    };
    site.add_setting("scoringFe.enableUpgrade", found);
    Ok(())
}

/// Workloads of the extension that belong to a helm release which Azure does not know here.
pub(super) fn releases(site: &mut Site<'_>) -> Judged {
    let Some(extension) = site.extension else { return Ok(()) };
    let components = site.with_query(extension, catalog::components)?;
    let ours = |value: &&Json| {
        text(value, "/metadata/namespace") == AZUREML
            && components.iter().any(|known| known.name == text(value, "/metadata/name"))
    };
    let known = site.live(&extension.key)?.map(|_| extension.name());
    let foreign = |value: &&Json| ![known.unwrap_or_default(), ""].contains(&text(value, RELEASE));
    let found = site.list("deployments")?.into_iter().filter(ours).filter(foreign);
    let found: Vec<&Json> = found.collect();
    let releases: BTreeSet<&str> = found.iter().map(|value| text(value, RELEASE)).collect();
    let releases: Vec<String> = releases.into_iter().map(str::to_owned).collect();
    // What another apply makes is seen in the cluster after Azure was asked about it.
    let now = site.now;
    let young = |value: &&Json| {
        let made = text(value, "/metadata/creationTimestamp").parse::<Timestamp>();
        made.is_ok_and(|time| now.duration_since(time) < LONGEST_INSTALLATION)
    };
    let found = if releases.is_empty() {
        Found::pass()
    } else if found.iter().any(young) {
        Found::mild(
            format!("{} is being installed or removed just now", some(&releases)),
            "wait until whoever does that is done, and look again",
        )
    } else {
        Found::wrong(
            format!(
                "namespace {AZUREML} holds an installation named {}, which is not the \
                 extension that Azure knows as {}",
                some(&releases),
                extension.id
            ),
            "remove it the way it was installed (AKS directly, or through Arc): a cluster \
             takes one; right after a removal wait up to an hour",
        )
    };
    site.add(&extension.key, found);
    Ok(())
}

/// Revisions of the release that never ended: many of them make the extension's agent run out of
/// memory.
pub(super) fn pending(site: &mut Site<'_>) -> Judged {
    let Some(extension) = site.extension else { return Ok(()) };
    const MANY: usize = 10;
    let prefix = format!("sh.helm.release.v1.{}.v", extension.name());
    let stuck = |value: &&Json| {
        text(value, "/metadata/name").starts_with(&prefix)
            && text(value, "/metadata/labels/status").starts_with("pending")
    };
    let stuck = site.list("secrets")?.into_iter().filter(stuck).count();
    let state = match stuck <= MANY {
        true => "",
        false => site.text(&extension.key, "/properties/provisioningState")?,
    };
    let found = if stuck <= MANY {
        Found::pass()
    } else if !["", "Succeeded", "Failed", "Canceled"].contains(&state) {
        Found::mild(
            format!("{stuck} revisions of the helm release are pending, and it is {state}"),
            "wait until that operation has ended, and look again",
        )
    } else {
        Found::wrong(
            format!("{stuck} revisions of the helm release are pending"),
            format!("kubectl delete secret -n {AZUREML} -l owner=helm,status=pending-upgrade"),
        )
    };
    site.add(&extension.key, found);
    Ok(())
}

/// Arc's agents carry the proxy settings that pods of the extension get too.
pub(super) fn arc_proxy(site: &mut Site<'_>) -> Judged {
    let all = site.list("deployments")?;
    let agents = all.into_iter().filter(|value| text(value, "/metadata/namespace") == "azure-arc");
    let env = |value: &Json, name: &str| -> Option<String> {
        let mut all = items(value, "/spec/template/spec/containers")
            .flat_map(|value| items(value, "/env"))
            .filter(|value| text(value, "/name").eq_ignore_ascii_case(name));
        all.find_map(|it| Some(it.get("value")?.as_str()?.to_owned())).filter(|it| !it.is_empty())
    };
    let proxied = |it: &&Json| env(it, "HTTPS_PROXY").or_else(|| env(it, "HTTP_PROXY")).is_some();
    let Some(agent) = agents.into_iter().find(proxied) else { return Ok(()) };
    let skip = env(agent, "NO_PROXY").unwrap_or_default();
    let lacks = |text: &&&str| !skip.split(',').any(|part| part.trim() == **text);
    let missing: Vec<&str> = ["127.0.0.1", "localhost"].iter().filter(lacks).copied().collect();
    let found = if missing.is_empty() {
        Found::pass()
    } else {
        Found::wrong(
            format!("Arc uses a proxy, and its skip range lacks {}", missing.join(" and ")),
            "az connectedk8s update --proxy-skip-range with 127.0.0.1 and localhost added",
        )
    };
    site.add(&site.cluster.clone(), found);
    Ok(())
}

pub(super) fn managed_prometheus(site: &mut Site<'_>) -> Judged {
    let metrics = site.live(&site.cluster)?;
    let metrics =
        metrics.and_then(|value| value.pointer("/properties/azureMonitorProfile/metrics/enabled"));
    let both =
        metrics.and_then(Json::as_bool) == Some(true) && site.is_on_or("installPromOp", true)?;
    let found = if both {
        Found::wrong(
            "the cluster has Azure Monitor managed Prometheus, and installPromOp is true",
            "where both should not run, write installPromOp: false",
        )
    } else {
        Found::pass()
    };
    site.add_setting("installPromOp", found);
    Ok(())
}

/// ingress-nginx gets no fixes since March 2026, and the extension brings it to AKS by default.
pub(super) fn ingress_retired(site: &mut Site<'_>) -> Judged {
    let aks = site.extension.is_some_and(|extension| extension.aks);
    let found = if site.is_on_or("nginxIngress.enabled", aks)? {
        Found::wrong(
            "the extension brings ingress-nginx, a project retired in March 2026: nobody mends it any more",
            "where no endpoint is served through an Ingress, write nginxIngress.enabled: false",
        )
    } else {
        Found::pass()
    };
    site.add_setting("nginxIngress.enabled", found);
    Ok(())
}
