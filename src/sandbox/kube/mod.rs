//! A Kubernetes API server without a cluster behind it.

mod admission;
pub(crate) mod api;
mod apply;
mod body;
mod crd;
mod delete;
mod discovery;
mod escalation;
mod fields;
mod openapi;
mod patch;
mod protobuf;
pub(crate) mod rbac;
mod read;
pub(crate) mod request;
mod seed;
mod selectors;
mod status;
pub(crate) mod store;
mod table;
#[cfg(test)]
mod tests;
mod types;
pub(crate) mod watch;
mod write;
