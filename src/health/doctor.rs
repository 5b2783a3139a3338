//! `amlplan doctor`: every prerequisite that can be read, before anything is changed. What apply
//! brings about by itself passes and says so.

use jiff::Timestamp;

use super::report::{Finding, Probe, Probed, Status};
use super::rules::{self, By};
use super::site::World;
use crate::resource::Snapshot;
use crate::resource::graph::Desired;

/// What `doctor` wants to read beside the resources themselves; some of it is named by what is live.
#[must_use]
pub fn probes(desired: &Desired, snapshot: &Snapshot) -> Vec<Probe> {
    rules::probes(By::Doctor, desired, snapshot)
}

/// Checks every prerequisite. `now` is the time of the run.
#[must_use]
pub fn checks(
    desired: &Desired,
    snapshot: &Snapshot,
    probed: &Probed,
    now: Timestamp,
) -> Vec<Finding> {
    rules::checks(By::Doctor, World { desired, snapshot, probed, now })
}

/// The findings that stop an apply.
#[must_use]
pub fn blocking(checks: &[Finding]) -> Vec<&Finding> {
    checks.iter().filter(|it| it.status == Status::Fail).collect()
}

#[cfg(test)]
pub(super) mod tests;
