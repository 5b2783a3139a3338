//! Registrations of features and providers, and what else has to exist in Azure (Azure REST:
//! Features, Providers, Managed identity).

use super::access::is_aks;
use super::report::Judged;
use super::site::{Found, Inspection, Site, text};
use crate::catalog::{self, RegistrationQuery};
use crate::model::{Json, Key, KindName};
use crate::resource::graph::ResourceNode;
use crate::resource::{Readiness, Resource};

pub(super) fn state(
    world: &Inspection<'_>,
    key: &Key,
    node: &ResourceNode,
) -> Judged<Option<Found>> {
    let live = world.reads_of(key)?;
    let kind = node.resource.kind();
    Ok(Some(match world.readiness(kind)? {
        Readiness::Ready => Found::Pass(kind.remark(live).unwrap_or_default()),
        Readiness::Absent if key.kind == KindName::ManagedIdentity => Found::wrong(
            format!("there is no managed identity {}", key.name),
            "check identity.userAssignedIdentities, or make the identity",
        ),
        Readiness::Absent => Found::Pass("apply registers it".to_owned()),
        Readiness::Waiting(state) => Found::Pass(format!("it is {state}; apply waits for it")),
        Readiness::Failed { state, message } => {
            Found::Wrong(format!("its state is {state}: {message}"), None)
        }
        Readiness::NeedsHuman(what) => Found::Wrong(what, None),
    }))
}

/// Whether the issuer of a federated identity credential is known.
pub(super) fn issuer(
    world: &Inspection<'_>,
    _: &Key,
    node: &ResourceNode,
) -> Judged<Option<Found>> {
    let Resource::FederatedIdentityCredential(credential) = &node.resource else {
        return Ok(None);
    };
    if credential.issuer.is_none() {
        world.live(&credential.cluster)?;
    }
    Ok(Some(match world.readiness(credential)? {
        Readiness::NeedsHuman(_) => Found::wrong(
            "the cluster names no OIDC issuer",
            "turn it on: az aks update --enable-oidc-issuer, or az connectedk8s update --enable-oidc-issuer; or write the issuer",
        ),
        _ => Found::pass(),
    }))
}

/// Companions that were made to refuse keys, which the extension uses.
pub(super) fn local_auth(
    world: &Inspection<'_>,
    key: &Key,
    _: &ResourceNode,
) -> Judged<Option<Found>> {
    let Some(document) = world.live(key)? else { return Ok(None) };
    let off = document.pointer("/properties/disableLocalAuth").and_then(Json::as_bool);
    Ok(Some(if off == Some(true) {
        Found::wrong(
            "disableLocalAuth is true, and the extension connects with keys",
            "exempt it from the policy that sets it, then az resource update --set properties.disableLocalAuth=false",
        )
    } else {
        Found::pass()
    }))
}

/// Policies that will make a companion refuse keys: what is made anew is refused or changed, and the
/// next evaluation changes what is there (Azure Policy docs: built-in definitions of Service Bus).
pub(super) fn local_auth_policy(site: &mut Site<'_>) -> Judged {
    let services =
        [(KindName::RelayNamespace, "relay"), (KindName::ServiceBusNamespace, "servicebus")];
    let policies = site.list("policies")?;
    let own: Vec<(Key, &str)> = site
        .own
        .iter()
        .filter_map(|(key, _)| {
            let service = services.iter().find(|it| it.0 == key.kind)?.1;
            Some(((*key).clone(), service))
        })
        .collect();
    for (key, service) in own {
        let refuses = policies.iter().find(|value| refuses_keys(value, service));
        let name = |value: &&Json| match text(value, "/properties/displayName") {
            "" => text(value, "/name").to_owned(),
            name => name.to_owned(),
        };
        let found = match refuses.map(name) {
            None => Found::pass(),
            Some(name) => Found::wrong(
                format!(
                    "policy assignment `{name}` turns keys off, and the extension connects with keys"
                ),
                "ask its owner for an exemption of this namespace: az policy exemption create",
            ),
        };
        site.add(&key, found);
    }
    Ok(())
}

/// Whether an assignment, by what it says of itself, turns the keys of a service off. What it only
/// audits stays as it is.
fn refuses_keys(assignment: &Json, service: &str) -> bool {
    let of = |pointer| text(assignment, pointer).to_lowercase().replace([' ', '-', '_'], "");
    let parameters = assignment.pointer("/properties/parameters").and_then(Json::as_object);
    let names = parameters.into_iter().flatten().map(|it| it.0.to_lowercase());
    let told =
        ["/properties/displayName", "/properties/description", "/properties/policyDefinitionId"]
            .map(of)
            .into_iter()
            .chain(names)
            .collect::<String>();
    let effect = of("/properties/parameters/effect/value");
    told.contains(service)
        && (told.contains("localauth") || told.contains("guardrailsservicebus"))
        && of("/properties/enforcementMode") != "donotenforce"
        && !["audit", "disabled"].contains(&effect.as_str())
}

/// Registrations that are needed and that a list in the manifest leaves out.
pub(super) fn undeclared(site: &mut Site<'_>) -> Judged {
    let desired = site.world.desired;
    let own = |kind: KindName| site.own.iter().any(|(key, _)| key.kind == kind);
    let needed = catalog::registrations(&RegistrationQuery {
        profile: site.profile(),
        aks: is_aks(site),
        extension: site.extension.is_some(),
        relay: own(KindName::RelayNamespace),
        service_bus: own(KindName::ServiceBusNamespace),
        log_analytics: own(KindName::LogAnalyticsWorkspace),
        computes: own(KindName::Compute),
    });
    let declared = |kind: KindName, text: &str| {
        desired.declares(&Key::new(&site.scope.subscription, kind, text))
    };
    let missing: Vec<&str> = needed
        .providers
        .iter()
        .filter(|provider| provider.required && !declared(KindName::Provider, provider.name))
        .map(|registration| registration.name)
        .collect();
    let found = if missing.is_empty() {
        Found::pass()
    } else {
        Found::wrong(
            format!("`providers` leaves out what the manifest uses: {}", missing.join(", ")),
            format!("write {} under providers, or leave providers out", missing.join(", ")),
        )
    };
    site.add(&site.cluster.clone(), found);
    Ok(())
}
