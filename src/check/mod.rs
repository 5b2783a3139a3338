//! Rules over manifest and snapshot for validate, doctor, verify and plan warnings.

mod report;

pub use report::{Check, Probe, Probed, Status};
