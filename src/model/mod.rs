//! Words that everybody shares: addresses, ids, paths into documents, values with unknown and
//! secret leaves. No I/O here, and no other room of the crate.

mod arm_id;
mod fingerprint;
mod key;
mod object_ref;
mod origin;
mod pointer;
mod secret;
mod value;

pub use arm_id::ArmId;
pub use key::{Key, KindName};
pub use object_ref::ObjectRef;
pub use origin::{ConfirmedHost, Origin, Trust, Untrusted, is_vault_name, same_service};
pub use pointer::Pointer;
pub use secret::{Encoding, Secret, SecretSource, secrets_by_source};
pub use value::{Later, Value};

/// A document as Azure or Kubernetes sends it.
pub type Json = serde_json::Value;

/// A text in a document; empty when it is not there.
pub fn text<'a>(document: &'a Json, pointer: &str) -> &'a str {
    document.pointer(pointer).and_then(Json::as_str).unwrap_or_default()
}

/// The items of a list in a document.
pub fn items<'a>(document: &'a Json, pointer: &str) -> impl Iterator<Item = &'a Json> {
    document.pointer(pointer).and_then(Json::as_array).into_iter().flatten()
}

/// The two APIs that a run talks to.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Api {
    /// Azure Resource Manager.
    Azure,
    /// The Kubernetes API of a cluster.
    Kubernetes,
}
