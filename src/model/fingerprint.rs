//! Fingerprints of secrets: slow to guess, quick to compare.
//!
//! A fingerprint stands where everybody who can read a resource can read it, and nothing is kept
//! elsewhere that it could be keyed with. So a guess has to be dear: the content goes through
//! Argon2id, once for each secret and subscription, and a keyed hash makes of that the fingerprint
//! for one resource, so that a fleet with one certificate pays once.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use argon2::{Algorithm, Argon2, Params, Version};
use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};

/// Memory in KiB and passes: what OWASP's password storage cheat sheet asks of Argon2id.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;

/// What was computed in this run, by a digest of salt and content.
static STRETCHED: Mutex<BTreeMap<[u8; 32], [u8; 32]>> = Mutex::new(BTreeMap::new());

/// The fingerprint of a content that is sent to a resource: 16 hex digits.
pub(super) fn of(content: &str, resource: &str) -> String {
    let resource = resource.to_ascii_lowercase();
    let mut mac = Hmac::<Sha256>::new_from_slice(&stretched(content, salt(&resource)))
        .expect("HMAC takes a key of any length");
    mac.update(resource.as_bytes());
    let digest = mac.finalize().into_bytes();
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// What tables of guesses cannot be shared over: the subscription.
fn salt(resource: &str) -> &str {
    let mut parts = resource.split('/').skip_while(|part| *part != "subscriptions");
    parts.nth(1).unwrap_or(resource)
}

fn stretched(content: &str, salt: &str) -> [u8; 32] {
    let known = Sha256::new().chain_update(salt).chain_update([0]).chain_update(content);
    let known: [u8; 32] = known.finalize().into();
    let cache = || STRETCHED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = cache().get(&known) {
        return *found;
    }
    let mut made = [0; 32];
    let params = Params::new(MEMORY_KIB, PASSES, 1, Some(made.len()));
    let params = params.expect("constants that Argon2 allows");
    let salt = Sha256::digest(["amlplan", salt].join("/").as_bytes());
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(content.as_bytes(), &salt, &mut made)
        .expect("a salt and an output of 32 bytes");
    cache().insert(known, made);
    made
}
