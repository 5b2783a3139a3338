//! `amlplan verify`: whether the deployment works, from the extension's state down to its pods
//! (AML docs: deploy extension, "verify"; troubleshoot extension).

pub(super) mod cluster;

use jiff::{SignedDuration, Timestamp};

use super::report::Judged;
use super::site::{Found, Inspection, Site, text};
use crate::catalog;
use crate::model::{Json, Key};
use crate::resource::graph::ResourceNode;
use crate::resource::{ComputeIdentity, InstanceType, Kind, Readiness, Resource};

pub(super) fn extension(site: &mut Site<'_>) -> Judged {
    let Some(extension) = site.extension else { return Ok(()) };
    let key = extension.key.clone();
    let Some(document) = site.live(&key)? else {
        let found = Found::wrong("the extension is not installed", "amlplan apply installs it");
        site.add(&key, found);
        return Ok(());
    };
    let ready = match text(document, "/properties/provisioningState") {
        // The API of early 2021 says installState instead.
        "" => match text(document, "/properties/installState") {
            "Installed" => Readiness::Ready,
            "" => Readiness::Waiting("nothing".to_owned()),
            "Failed" => Readiness::Failed { state: "Failed".into(), message: String::new() },
            other => Readiness::Waiting(other.to_owned()),
        },
        _ => site.readiness(extension)?,
    };
    let found = match verdict(ready) {
        Found::Wrong(text, Some(help)) if upgrading(site)? => Found::Soon(text, help),
        found => found,
    };
    site.add_at(&key, "/properties", found);
    Ok(())
}

/// How long Azure may work on an extension: Helm gives up after 15 minutes, agents look every few.
const UNDERWAY: SignedDuration = SignedDuration::from_hours(1);
/// How long a pod may take to be ready.
const STARTING: SignedDuration = SignedDuration::from_mins(15);

/// Whether Azure works on the extension and has not done so for too long.
pub(super) fn upgrading(site: &Site<'_>) -> Judged<bool> {
    let Some(extension) = site.extension else { return Ok(false) };
    let state = site.text(&extension.key, "/properties/provisioningState")?;
    let since = site.text(&extension.key, "/systemData/lastModifiedAt")?.parse::<Timestamp>();
    Ok(["Creating", "Updating"].iter().any(|text| state.eq_ignore_ascii_case(text))
        && since.is_ok_and(|time| site.now.duration_since(time) < UNDERWAY))
}

/// Whether what is not ready among the extension's pods has only just been started.
pub(super) fn starting(site: &Site<'_>) -> Judged<bool> {
    let young = |pod: &&Json| {
        let at = [text(pod, "/status/startTime"), text(pod, "/metadata/creationTimestamp")];
        let at = at.into_iter().find_map(|text| text.parse::<Timestamp>().ok());
        at.is_some_and(|time| site.now.duration_since(time) < STARTING)
    };
    let ill = |value: &&Json| crate::resource::pods::trouble(value).is_some();
    let mut ill = site.list("own-pods")?.into_iter().filter(ill).peekable();
    Ok(ill.peek().is_some() && ill.all(|value| young(&value)))
}

pub(super) fn extension_type(site: &mut Site<'_>) -> Judged {
    let Some(extension) = site.extension else { return Ok(()) };
    let key = extension.key.clone();
    let Some(document) = site.live(&key)? else { return Ok(()) };
    let kind = text(document, "/properties/extensionType");
    let found = if kind.eq_ignore_ascii_case("Microsoft.AzureML.Kubernetes") {
        Found::pass()
    } else {
        Found::wrong(
            format!("extension `{}` is of type {kind}", extension.name()),
            "write another extension.name: this one belongs to something else",
        )
    };
    site.add(&key, found);
    Ok(())
}

/// What a state means for the reader.
fn verdict(readiness: Readiness) -> Found {
    match readiness {
        Readiness::Ready => Found::pass(),
        Readiness::Absent => {
            Found::wrong("it does not exist", "amlplan plan shows what apply would do about it")
        }
        Readiness::Waiting(state) => Found::wrong(
            format!("its state is {state}"),
            "Azure still works on it: verify again in some minutes",
        ),
        Readiness::Failed { state, message } => {
            let remedy = catalog::remedy(crate::model::Api::Azure, 0, "", &message);
            let help = remedy.map_or_else(
                || "amlplan apply tries again; its events tell more".to_owned(),
                |page| format!("{}: {}", page.summary, page.help),
            );
            Found::wrong(format!("its state is {state}: {message}"), help)
        }
        Readiness::NeedsHuman(what) => Found::Wrong(what, None),
    }
}

/// Every other resource, by its own readiness.
pub(super) fn ready(world: &Inspection<'_>, _: &Key, node: &ResourceNode) -> Judged<Option<Found>> {
    let kind = node.resource.kind();
    if !world.applies(kind) {
        return Ok(None);
    }
    Ok(Some(verdict(world.readiness(kind)?)))
}

/// Whether every account still has its grant, in whichever way.
pub(super) fn grant(site: &mut Site<'_>) -> Judged {
    let Some(key) = site.grant()?.map(|scc_grant| &scc_grant.key) else { return Ok(()) };
    let missing = missing_accounts(site)?;
    let found = if missing.is_empty() {
        Found::pass()
    } else {
        Found::wrong(
            format!("{} may not use SCC {}", super::site::some(&missing), key.name),
            "amlplan apply grants it again",
        )
    };
    site.add(key, found);
    Ok(())
}

/// The accounts of the cluster's grant that do not hold it, as OpenShift writes users.
pub(super) fn missing_accounts(site: &Site<'_>) -> Judged<Vec<String>> {
    let Some(grant) = site.grant()? else { return Ok(Vec::new()) };
    let shown = grant.shown(site.reads_of(&grant.key)?).unwrap_or_default();
    let user = |namespace: &str, name: &str| format!("system:serviceaccount:{namespace}:{name}");
    let users = super::site::items(&shown, "/users").filter_map(Json::as_str).map(str::to_owned);
    let subjects = super::site::items(&shown, "/subjects");
    let bound = subjects.map(|value| user(text(value, "/namespace"), text(value, "/name")));
    let held: Vec<String> = users.chain(bound).collect();
    let wanted = grant.accounts.iter().map(|(namespace, name)| user(namespace, name));
    Ok(wanted.filter(|text| !held.contains(text)).collect())
}

/// A compute that should have an identity shows its principal.
pub(super) fn identity(
    world: &Inspection<'_>,
    key: &Key,
    node: &ResourceNode,
) -> Judged<Option<Found>> {
    let Resource::Compute(compute) = &node.resource else { return Ok(None) };
    let ready = world.readiness(compute)? == Readiness::Ready;
    let Some(document) = world.live(key)?.filter(|_| ready) else { return Ok(None) };
    let filled = |value: &Json| value.as_str().is_some_and(|text| !text.is_empty());
    let found = match &compute.identity {
        ComputeIdentity::None => return Ok(None),
        ComputeIdentity::SystemAssigned => {
            document.pointer("/identity/principalId").is_some_and(filled)
        }
        ComputeIdentity::UserAssigned(id) => {
            let all = document.pointer("/identity/userAssignedIdentities");
            let mut all = all.and_then(Json::as_object).into_iter().flatten();
            let own = all.find(|(key, _)| key.eq_ignore_ascii_case(id.as_str()));
            own.and_then(|(_, value)| value.get("principalId")).is_some_and(filled)
        }
    };
    Ok(Some(if found {
        Found::pass()
    } else {
        Found::wrong(
            "the compute has no principal of the declared identity",
            "detach and attach it again: Azure ML sets the identity when it attaches",
        )
    }))
}

/// The kind of objects that the extension has to serve for instance types.
pub(super) fn served(crd: &Json) -> bool {
    let version = InstanceType::API_VERSION.rsplit('/').next().unwrap_or_default();
    super::site::items(crd, "/spec/versions").any(|value| {
        text(value, "/name") == version
            && value.get("served").and_then(Json::as_bool).unwrap_or(true)
    })
}
