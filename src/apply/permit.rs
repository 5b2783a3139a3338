//! Who may change something.

/// Leave to change something, in Azure or in a cluster. No writer is made without one, and no other
/// room can make one: the field and the constructor are private to `apply`.
#[derive(Debug, Clone, Copy)]
pub struct Permit(());

impl Permit {
    /// For the writers of one run, which a plan stands behind.
    pub(super) const fn for_a_plan() -> Self {
        Self(())
    }

    /// For tests of the wire.
    #[cfg(test)]
    pub const fn in_tests() -> Self {
        Self(())
    }
}
