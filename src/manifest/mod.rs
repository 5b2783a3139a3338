//! Text → [`Manifest`]: what the user declared, with the place of every part.

mod spec;

pub use spec::*;
