//! A simulated Azure (ARM, sign-in, metadata) with the Kubernetes clusters behind it, for trying things out and for tests.
//!
//! It is an island: it shares no type with the rest of the program, so that a mistake of the clients cannot hide in the
//! server they are tested against. What it does follows Microsoft's documentation and recordings of the real service.
//! See docs/sandbox.md.

mod agents;
mod arm;
mod control;
mod error;
mod json;
mod kube;
mod kubefront;
mod login;
mod progress;
mod router;
mod sandbox;
mod seed;
mod serve;
mod state;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_arm;
#[cfg(test)]
mod tests_fleet;
#[cfg(test)]
mod tests_state;
mod tls;
mod vault;
mod wire;

pub use self::control::{Deed, Subject};
pub use self::error::SandboxError;
pub use self::sandbox::{Sandbox, StateAccess};
pub use self::seed::{HeldSecret, Seed, SeedCluster, SeedSecret};
pub use self::serve::{Listening, ServeOptions};
pub use self::state::clock::Pace;
pub use self::wire::{FAULT_HEADER, FAULT_STATUS};
