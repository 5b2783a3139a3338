//! Plan → changes: a pure frontier says what may start, a dull loop starts it, and each task ends
//! when the thing is really done. Watchers learn everything through events; nothing is printed.

mod driver;
mod error;
mod event;
mod frontier;
mod permit;
mod task;

pub use driver::{Limits, run};
pub use error::{Evidence, Explain};
pub use event::{Ending, Event, Outcome, Output, StageEnd, StepError};
pub use permit::Permit;
