//! (Desired, live) → plan; pure: no clock, no environment, no network.

mod step;

pub use step::{Action, Gate, Mode, Plan, Reason, Step};
