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

mod apply;
mod catalog;
mod cli;
mod client;
mod convert;
mod health;
mod language;
mod model;
mod observe;
mod plan;
mod render;
mod resource;
mod source;

#[cfg(feature = "fuzz")]
pub use cli::fuzz;
pub use cli::main;

/// What the tests of reading and writing text look at; all others go through the program.
pub mod text {
    pub use crate::catalog::explain;
    pub use crate::convert::translate::translate;
    pub use crate::convert::{as_az, az};
    pub use crate::language::rules::check;
    pub use crate::language::{
        ClusterSpec, Declared, IdentityType, LoadOptions, Manifest, Profile, ProtectedSetting,
        Quantity, SccMethod, Secrets, Setting, load, load_lenient, schema,
    };
    pub use crate::model::Trust;
    pub use crate::render::diagnostics::report;
    pub use crate::source::{Diagnostics, Severity, Source, has_errors};
}
