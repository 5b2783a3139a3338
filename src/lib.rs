//! amlplan sets up Kubernetes clusters for Azure Machine Learning from one manifest.
//!
//! Every command is a prefix of one line:
//!
//! ```text
//! text ─ language ─► Manifest ─ resource ─► Desired (DAG) ─ observe ─► Snapshot ─ plan ─► Plan ─ render ─► reader
//!                                                                                    └─ apply ─► events ─► render
//! ```
//!
//! docs/architecture.md says what each room holds and which others it may use.

pub mod apply;
pub mod catalog;
pub mod cli;
pub mod client;
pub mod convert;
pub mod health;
pub mod language;
pub mod model;
pub mod observe;
pub mod plan;
pub mod render;
pub mod resource;
pub mod source;

#[cfg(fuzzing)]
pub use cli::fuzz;
