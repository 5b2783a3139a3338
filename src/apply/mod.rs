//! Plan → changes.

mod event;

pub use event::{Event, Outcome, Output, StepError};
