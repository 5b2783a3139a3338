//! One HTTP core and the two dialects that are spoken over it.

pub mod arm;
mod error;
pub mod kubernetes;
pub mod net;

pub use error::ApiError;

#[cfg(test)]
#[path = "../../tests/exchanges/mod.rs"]
mod exchanges;
