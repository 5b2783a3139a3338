//! Rules over manifest and snapshot: what `doctor` and `verify` find. Pure; what they read beyond the snapshot is asked
//! for as probes and handed in.

mod access;
mod capacity;
#[cfg(test)]
mod cases;
mod conflicts;
mod facts;
mod grants;
pub mod healthcheck;
pub mod network;
pub mod outputs;
mod registrations;
mod report;
pub mod rights;
mod rules;
mod site;
#[cfg(test)]
pub mod table;
pub mod verify;
mod workspace;

pub use report::{Finding, Probe, Probed, Report, Status, Unseen, fingerprint};
pub use rules::{By, checks, probes};
