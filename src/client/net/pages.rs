//! Bounds of a list that comes in pages: a server must not keep us turning them.

use std::collections::BTreeSet;

/// Pages of one list.
const MOST_PAGES: usize = 2_000;
/// Bytes of one list, all pages.
const MOST_BYTES: usize = 512 << 20;

/// What was read of a list so far.
#[derive(Debug, Default)]
pub(in crate::client) struct Pages {
    seen: BTreeSet<String>,
    bytes: usize,
}

impl Pages {
    /// Before the page behind this link or token; `bytes` is the size of the one just read.
    ///
    /// # Errors
    /// When the list leads in a circle or does not end.
    pub(in crate::client) fn turn(&mut self, next: &str, bytes: usize) -> Result<(), String> {
        self.bytes += bytes;
        if !self.seen.insert(next.to_owned()) {
            let pages = self.seen.len();
            return Err(format!("the list leads in a circle: page {pages} names one already read"));
        }
        if self.seen.len() >= MOST_PAGES || self.bytes > MOST_BYTES {
            let (pages, limit) = (self.seen.len(), MOST_BYTES >> 20);
            return Err(format!(
                "the list does not end: {pages} pages read (limits: {MOST_PAGES} pages, {limit} MiB)"
            ));
        }
        Ok(())
    }
}
