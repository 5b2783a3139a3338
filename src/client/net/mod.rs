//! One seam for HTTP: a transport (the network, or a router called in process), retry, throttle,
//! the clock and redaction. Nothing here knows Azure's or Kubernetes' resources.

pub mod clock;
mod limiter;
mod redact;
mod retry;
mod transport;
mod verdict;

pub use limiter::Limiter;
pub use redact::{Redacted, redact};
pub use retry::{Budget, Decision, Repeat, Retry, retry_after};
pub use transport::{NetworkOptions, SendError, Taken, Transport};
pub use verdict::Verdict;
