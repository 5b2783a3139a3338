//! The agents of the Azure ML extension inside a simulated cluster, and what they leave there.

pub(crate) mod chart;
pub(crate) mod checks;
pub(crate) mod components;
pub(crate) mod install;
pub(crate) mod nights;
pub(crate) mod pods;
pub(crate) mod release;
mod report;
