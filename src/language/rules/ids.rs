//! Resource ids, roles and principals.

use crate::catalog;
use crate::language::{ComputeSpec, NoPrincipal, RoleAssignmentSpec, suggest};
use crate::model::ArmId;
use crate::source::{Diagnostic, Diagnostics};

use super::view::View;

pub(super) fn check(view: View<'_>, found: &mut Diagnostics) {
    for (index, compute) in view.cluster.computes.iter().enumerate() {
        for (which, id) in compute.identity.user_assigned_identities.iter().enumerate() {
            let at = format!("/computes/{index}/identity/userAssignedIdentities/{which}");
            typed(view, &at, id, "Microsoft.ManagedIdentity/userAssignedIdentities", found);
        }
    }
    for (index, spec) in view.cluster.federated_identity_credentials.iter().enumerate() {
        let at = format!("/federatedIdentityCredentials/{index}/identity");
        typed(view, &at, &spec.identity, catalog::ArmType::IDENTITIES.name, found);
    }
    for (index, assignment) in view.cluster.role_assignments.iter().enumerate() {
        let at = format!("/roleAssignments/{index}");
        scope(view, &format!("{at}/scope"), &assignment.scope, found);
        role(view, &format!("{at}/role"), &assignment.role, found);
        principal(view, &format!("{at}/principal"), assignment, found);
    }
    let Some(settings) = view.settings() else { return };
    let ids = [
        ("relayserver.hybridConnectionResourceID", "Microsoft.Relay/namespaces/hybridConnections"),
        ("servicebus.resourceID", "Microsoft.ServiceBus/namespaces"),
    ];
    for (key, kind) in ids {
        let text = settings.wire(key);
        if !text.is_empty() {
            typed(view, &format!("/extension/configurationSettings/{key}"), &text, kind, found);
        }
    }
}

/// Reads an id, reporting what is wrong with it.
fn parse(
    view: View<'_>,
    at: &str,
    text: &str,
    example: &str,
    found: &mut Diagnostics,
) -> Option<ArmId> {
    let place = || view.value(at);
    let id = match read(text) {
        Ok(id) => id,
        Err(why) => {
            let finding = Diagnostic::error("bad-resource-id", why);
            found.push(finding.with_help(format!("write {example}")).at(place(), "here"));
            return None;
        }
    };
    if !text.trim().starts_with('/') {
        found.push(
            Diagnostic::warning(
                "id-without-slash",
                "a resource id begins with a slash; it is supplied here, other tools refuse the id",
            )
            .with_help(format!("write /{}", text.trim()))
            .at(place(), "no slash at the beginning"),
        );
    }
    if let Some((wrong, right)) = wrong_pair(&id) {
        found.push(
            Diagnostic::error("wrong-provider", format!("there is no resource type {wrong}"))
                .with_help(format!("write {right}"))
                .at(place(), "provider and type do not belong together"),
        );
        return None;
    }
    Some(id)
}

/// The id, or why it is none.
fn read(text: &str) -> Result<ArmId, String> {
    let id = ArmId::parse(text).map_err(|why| format!("this is not a resource id: {why}"))?;
    if id.resource_group().is_some_and(|group| group.eq_ignore_ascii_case("providers")) {
        return Err("the resource group has no name in this id".to_owned());
    }
    let lower = text.to_ascii_lowercase();
    let groupless = !id.resource_type().is_empty() && id.resource_group().is_none();
    let mut parts = lower.split('/');
    if groupless
        && !lower.contains("/roledefinitions/")
        && parts.any(|part| strsim::damerau_levenshtein(part, "resourcegroups") <= 2)
    {
        return Err("the segment `resourceGroups` is misspelled in this id".to_owned());
    }
    if text.contains(['<', '>', ' ']) {
        return Err("this id still has a placeholder or a space in it".to_owned());
    }
    Ok(id)
}

/// Pairs that articles and samples get wrong (AML docs: attach a Kubernetes cluster).
fn wrong_pair(id: &ArmId) -> Option<(String, &'static str)> {
    let kind = id.resource_type();
    let right = catalog::mistaken_types().get(&kind.to_ascii_lowercase())?;
    Some((kind, right))
}

fn typed(view: View<'_>, at: &str, text: &str, kind: &str, found: &mut Diagnostics) {
    let (top, child) = kind.split_once('/').map_or((kind, ""), |it| it);
    let path: String = child.split('/').map(|part| format!("/{part}/NAME")).collect();
    let example = format!("/subscriptions/ID/resourceGroups/GROUP/providers/{top}{path}");
    let Some(id) = parse(view, at, text, &example, found) else { return };
    let actual = id.resource_type();
    if !actual.eq_ignore_ascii_case(kind) {
        let what = if actual.is_empty() {
            "no resource inside a group".to_owned()
        } else {
            format!("a {actual}")
        };
        found.push(
            Diagnostic::error("wrong-resource-type", format!("this id names {what}, not a {kind}"))
                .with_help(format!("write {example}"))
                .at(view.value(at), "here"),
        );
    }
}

fn scope(view: View<'_>, at: &str, text: &str, found: &mut Diagnostics) {
    parse(
        view,
        at,
        text,
        "the id of a resource, of a group or of a subscription: /subscriptions/ID/…",
        found,
    );
}

fn role(view: View<'_>, at: &str, text: &str, found: &mut Diagnostics) {
    let is_guid = uuid::Uuid::try_parse(text).is_ok();
    if is_guid || catalog::role(text).is_some() {
        return;
    }
    if text.contains('/') {
        if !text
            .to_ascii_lowercase()
            .contains("/providers/microsoft.authorization/roledefinitions/")
        {
            found.push(
                Diagnostic::error("bad-role", "this is not the id of a role definition")
                    .with_help("write …/providers/Microsoft.Authorization/roleDefinitions/GUID, or the name of a built-in role")
                    .at(view.value(at), "here"),
            );
        }
        return;
    }
    let names = catalog::roles().keys().map(String::as_str);
    let help = suggest::nearest(text, names).map_or_else(
        || "write the id of its definition: …/providers/Microsoft.Authorization/roleDefinitions/GUID".to_owned(),
        |text| format!("did you mean `{text}`?"),
    );
    found.push(
        Diagnostic::error(
            "bad-role",
            format!("`{text}` is not a built-in role that amlplan knows"),
        )
        .with_help(help)
        .at(view.value(at), "unknown"),
    );
}

fn principal(view: View<'_>, at: &str, assignment: &RoleAssignmentSpec, found: &mut Diagnostics) {
    let text = assignment.principal.as_str();
    let cluster = &view.cluster.spec;
    let Err(why) = cluster.principal(text) else { return };
    let name = text.split_once('/').map_or("", |(_, name)| name);
    let choose = |kind: &str, name: &str, names: Vec<&str>| {
        suggest::nearest(name, names.iter().copied())
            .map(|nearest| format!("did you mean `{kind}/{nearest}`?"))
            .unwrap_or_else(|| {
                format!(
                    "declared are: {}",
                    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
                )
            })
    };
    let nobody = |message: String, help: String| {
        Diagnostic::error("unknown-principal", message).with_help(help).at(view.value(at), "nobody")
    };
    let declared = |of: fn(&ComputeSpec) -> &str| cluster.computes.iter().map(of).collect();
    found.push(match why {
        NoPrincipal::Unknown("compute") => nobody(
            format!("no compute `{name}` is declared"),
            choose("compute", name, declared(|compute| &compute.name)),
        ),
        NoPrincipal::Unknown("workspace") => nobody(
            format!("no compute names a workspace `{name}`"),
            choose("workspace", name, declared(|compute| &compute.workspace.name)),
        ),
        NoPrincipal::Unknown(what) => nobody(
            format!("no {what} is declared"),
            "declare one, or name somebody else".to_owned(),
        ),
        NoPrincipal::WithoutIdentity => nobody(
            format!("compute `{name}` has no identity that could have a role"),
            "give it one: identity: {type: SystemAssigned}".to_owned(),
        ),
        NoPrincipal::Ambiguous(computes) => ambiguous(view, at, name, &computes),
        NoPrincipal::NoForm => nobody(
            format!("`{text}` does not name a principal"),
            "write compute/NAME, workspace/NAME, extension, or an object id".to_owned(),
        ),
    });
}

/// Shows the principal and every workspace that it could mean.
fn ambiguous(view: View<'_>, at: &str, name: &str, computes: &[usize]) -> Diagnostic {
    let cluster = &view.cluster.spec;
    let ids: Vec<ArmId> =
        computes.iter().map(|compute| cluster.workspace_id(&cluster.computes[*compute])).collect();
    let one_group = ids.windows(2).all(|it| it[0].resource_group() == it[1].resource_group());
    let choices: Vec<String> = ids
        .iter()
        .map(|id| {
            let group = format!("{}/{}", id.resource_group().unwrap_or_default(), id.name());
            let whole = format!("{}/{group}", id.subscription());
            format!("workspace/{}", if one_group { whole } else { group })
        })
        .collect();
    let message = format!("`workspace/{name}` means {} workspaces", ids.len());
    let mut finding = Diagnostic::error("ambiguous-principal", message)
        .with_help(format!("say which: {}", choices.join(" or ")))
        .at(view.value(at), "which one?");
    for (index, id) in computes.iter().zip(&ids) {
        let place = view.value(&format!("/computes/{index}/workspace/name"));
        finding = finding.at(place, format!("in {}", id.resource_group().unwrap_or_default()));
    }
    finding
}
