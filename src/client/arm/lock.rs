//! Mutual exclusion by key: one extension operation at a time per cluster, one registration at a
//! time per provider.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;

/// A lock that is held until its last copy is dropped.
#[derive(Clone, Debug)]
pub(super) struct Held {
    _guard: Arc<OwnedMutexGuard<()>>,
}

/// Holding a lock makes no two operations different.
impl PartialEq for Held {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// Locks that come about when first asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Locks(Arc<Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>>);

impl Locks {
    /// Waits for the lock of this key. Keys compare without case, as ARM's ids do.
    pub(super) async fn hold(&self, key: &str) -> Held {
        let lock = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(key.to_ascii_lowercase()).or_default())
        };
        Held { _guard: Arc::new(lock.lock_owned().await) }
    }
}
