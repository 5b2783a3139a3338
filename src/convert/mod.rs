//! Whatever becomes a manifest or comes out of one: `az` command lines, live state, the other profile.

pub mod as_az;
pub mod az;
pub mod live;
mod script;
mod sources;
pub mod translate;
