//! Azure Resource Manager: sign-in, clouds, requests, long-running operations and errors.
//!
//! [`ArmReader`] cannot change anything; [`ArmWriter`] is made from a reader and a permit, which only the
//! room that applies plans has.

mod assertion;
mod batch;
mod bridge;
mod certificate;
mod client;
mod cloud;
mod error;
mod lock;
mod operation;
mod sign_in;
mod token;
mod wait;
mod writer;

pub use client::{ArmReader, RunId};
pub use cloud::Cloud;
pub use operation::{Next, Operation, OperationOutcome};
pub use sign_in::Auth;
pub use token::TokenSource;
pub use wait::wait;
pub use writer::{ArmWriter, Write};

pub use crate::client::error::ApiError;
pub use crate::client::net::Verdict;
