//! One seam for HTTP: a transport (the network, or a router called in process), retry, throttle,
//! the clock and redaction. Nothing here knows Azure's or Kubernetes' resources.

mod broken;
pub mod clock;
pub mod hops;
mod limiter;
mod line;
mod pages;
pub mod poll;
mod proxy;
mod redact;
mod retry;
pub(in crate::client) mod tls;
mod transport;
mod verdict;

pub(in crate::client) use broken::chain;
pub use broken::{CarriedOut, SendError, Why};
pub use limiter::{Lane, Limiter, Turn};
pub(in crate::client) use line::Line;
pub(in crate::client) use pages::Pages;
pub use proxy::Proxies;
pub use redact::redact;
pub use retry::{Budget, Repeat, Retry, RetryDecision, retry_after};
pub(in crate::client) use transport::LARGEST_FILE;
pub use transport::{Network, NetworkOptions, Transport};
pub use verdict::Verdict;
