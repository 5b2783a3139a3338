//! Federated credentials of managed identities ("Azure REST: Managed Identity, Federated Identity Credentials"; "Entra
//! docs: workload identity federation, considerations"). The words of the limits are not documented.

use super::answer::{Ask, envelope, refuse};
use super::generic;
use crate::json::{items, text};
use crate::state::id;
use crate::state::world::World;
use crate::wire::{HttpAnswer, Reply};

/// So many credentials an identity may have.
const MOST: usize = 20;
/// The longest issuer, subject or audience, in characters.
const LONGEST: usize = 600;

/// Three to 120 characters, a letter or digit first.
fn is_name(name: &str) -> bool {
    (3..=120).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

pub(crate) fn put_credential(world: &mut World, ask: &Ask<'_>) -> HttpAnswer {
    let (request, existing) = generic::begin(world, ask)?;
    if !is_name(ask.name()) {
        return Err(refuse("credential-name", &[ask.name()]));
    }
    let properties = &request["properties"];
    let (issuer, subject) = (text(&properties["issuer"]), text(&properties["subject"]));
    let audiences = items(&properties["audiences"]).count();
    if issuer.is_empty() || subject.is_empty() || audiences == 0 {
        return Err(refuse("credential", &[]));
    }
    let lengths = [issuer, subject].into_iter().map(|text| text.chars().count());
    if !issuer.starts_with("https://") || audiences > 1 || lengths.max() > Some(LONGEST) {
        return Err(refuse("credential-value", &[]));
    }
    let own = id::key(&ask.id);
    let others: Vec<_> = world.keyed(&id::key(&ask.parent()), &ask.kind).collect();
    let others: Vec<_> = others.into_iter().filter(|(key, _)| *key != own).collect();
    let same = |name: &str, value: &str, body: &serde_json::Value| {
        text(&body["properties"][name]) == value
    };
    if others.iter().any(|(_, stored)| {
        same("issuer", issuer, &stored.body) && same("subject", subject, &stored.body)
    }) {
        return Err(refuse("credential-taken", &[]));
    }
    if others.len() >= MOST {
        return Err(refuse("credentials", &[]));
    }
    let kind = "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials";
    let body = envelope(world, &ask.id, kind, &request, existing.as_ref());
    world.put(&ask.id, body.clone());
    Ok(Reply::stored(existing.is_some(), body))
}
