//! Azure Resource Manager and the services behind it.

pub(crate) mod access;
pub(crate) mod answer;
mod authorization;
mod batch;
pub(crate) mod clusters;
mod extensions;
pub(crate) mod features;
pub(crate) mod front;
pub(crate) mod generic;
mod graph;
pub(crate) mod groups;
mod heartbeat;
mod identities;
mod kql;
mod log_analytics;
mod messaging;
pub(crate) mod ml;
pub(crate) mod providers;
mod roles;
mod services;
