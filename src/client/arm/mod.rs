//! Azure Resource Manager: sign-in, clouds, requests, long-running operations and errors.
//!
//! [`Reader`] cannot change anything; [`Writer`] is made from a reader, and only the room that
//! applies plans makes one.

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

pub use client::{Reader, RunId};
pub use cloud::Cloud;
pub use operation::{Next, Operation, Outcome};
pub use sign_in::{Auth, AuthError, Tried};
pub use token::TokenSource;
pub use wait::wait;
pub use writer::{Started, Write, Writer};

pub use crate::client::error::{ApiError, Detail, Fault};
pub use crate::client::net::Verdict;
