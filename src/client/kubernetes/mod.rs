//! Kubernetes: one client per cluster, edits by read-modify-write, server-side apply under our
//! own field manager.
//!
//! [`KubeReader`] cannot change anything; [`KubeWriter`] is made from a reader and a permit, which only the
//! room that applies plans has.

mod client;
mod connect;
mod credentials;
mod error;
mod handed;
pub mod scc;
mod writer;

pub use client::KubeReader;
pub use connect::{ConnectOptions, KubeconfigFrom};
pub use writer::KubeWriter;

pub use crate::client::error::ApiError;
pub use crate::client::net::Verdict;
