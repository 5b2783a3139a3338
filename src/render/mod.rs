//! The only place that formats for people or machines. Everything here turns values into text or
//! JSON; only the command line prints it.

pub mod az;
pub mod diagnostics;
pub mod explain;
pub mod human;
pub mod json;
mod outcome;
pub mod progress;
#[cfg(test)]
mod samples;
mod style;
mod values;
pub mod world;

pub use style::Style;
