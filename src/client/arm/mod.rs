//! Azure Resource Manager: sign-in, clouds, requests, long-running operations and errors.
//!
//! [`Reader`] cannot change anything; [`Writer`] is made from a reader and a permit, which only the
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

pub use client::{Reader, RunId};
pub use cloud::Cloud;
pub use operation::{Next, Operation, Outcome};
pub use sign_in::Auth;
pub use token::TokenSource;
pub use wait::wait;
pub use writer::{Write, Writer};

pub use crate::client::error::ApiError;
pub use crate::client::net::Verdict;
