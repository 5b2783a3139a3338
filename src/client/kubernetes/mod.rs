//! Kubernetes: one client per cluster, edits by read-modify-write, server-side apply under our
//! own field manager.
//!
//! [`Reader`] cannot change anything; [`Writer`] is made from a reader, and only the room that
//! applies plans makes one.

mod client;
mod connect;
mod error;
pub mod scc;
mod writer;

pub use client::Reader;
pub use connect::ConnectOptions;
pub use error::{ApiError, Cause, Fault};
pub use writer::{Edited, FIELD_MANAGER, Writer};

pub use crate::client::net::Verdict;
