//! The only place that formats for people or machines.

pub mod diagnostics;
