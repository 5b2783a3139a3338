//! The only place that formats for people or machines. Everything here turns values into text or
//! JSON; only the command line prints it.

pub mod diagnostics;
mod diff;
pub mod drift;
pub mod explain;
mod fleet;
pub mod graph;
pub mod human;
pub mod json;
pub mod network;
mod outcome;
pub mod overall;
pub mod permissions;
pub mod progress;
pub mod report;
pub mod safe;
#[cfg(test)]
mod samples;
mod stream;
mod style;
mod values;
pub mod world;

pub use style::Style;
