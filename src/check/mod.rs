//! Rules over manifest and snapshot for validate, doctor, verify and plan warnings.

#[cfg(test)]
mod fixture;
pub mod health;
pub mod outputs;
mod pages;
mod report;
mod site;
pub mod verify;

pub use pages::{Page, Weight, page, pages};
pub use report::{Check, Probe, Probed, Status};
