//! What a failed request means for the caller. Each client decides it once, where the failure
//! enters; everybody else branches on this enum.

/// What a failed request means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A passing trouble of the service (408, 5xx): the same request may work later.
    Retry,
    /// The thing asked for, or what holds it, is not there.
    Absent,
    /// The caller may not do this, or is not who the service expects.
    Denied,
    /// The service's state is in the way: a lock, a changed version, a name that is taken.
    Conflict,
    /// Too many requests; this one was not carried out.
    Throttled,
    /// The resource provider of this namespace is not registered in the subscription.
    NotRegistered(String),
    /// Another operation runs on the resource or its cluster; wait for it.
    InProgress,
    /// No connection came about: nobody listens, the name is unknown, the certificate is not
    /// trusted, or there was silence. Said after seconds, not minutes.
    Unreachable,
    /// The connection failed, or the answer could not be read.
    Broken,
    /// Repeating the same request cannot help.
    Fatal,
}

impl Verdict {
    /// Whether the trouble may pass by itself, so that asking again later makes sense.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::Broken | Self::Retry | Self::Unreachable)
    }
}
