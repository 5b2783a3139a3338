//! Parts of a cluster that could not be read, and how much can still be said about the rest.

use std::sync::Arc;

use super::node::Node;
use crate::source::Place;

/// Where harmless values stand for what was written.
#[derive(Default)]
pub(super) struct Gaps(Vec<Gap>);

/// One of them.
pub(super) struct Gap {
    /// The value, or the map that lacks something.
    pub(super) node: usize,
    /// Where findings about it are shown.
    pub(super) at: Vec<Place>,
    /// The part that is missing.
    pub(super) lacks: Option<&'static str>,
    /// Whether the value that stands there is the one that was meant, as far as one can tell.
    pub(super) guessed: bool,
}

impl Gaps {
    /// Whether everything could be read.
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn add(&mut self, gap: Gap) {
        self.0.push(gap);
    }

    /// The places, where there is a gap. `None` when one is in, or around, a part on which
    /// everything else depends; `/` leads from a part to its own parts.
    pub(super) fn places(self, tree: &Arc<Node>, basic: &[&str]) -> Option<Vec<Place>> {
        let open = |path: &&str| {
            let mut node = Some(tree);
            for part in path.split('/') {
                let lacks = node.is_some_and(|holder| {
                    let own = Arc::as_ptr(holder).addr();
                    let gap = |gap: &Gap| gap.node == own && gap.lacks.is_none_or(|it| it == part);
                    self.0.iter().any(gap)
                });
                if lacks {
                    return true;
                }
                node = node.and_then(|it| it.entry(part)).map(|entry| &entry.value);
            }
            let unknown = self.0.iter().filter(|it| !it.guessed);
            node.is_some_and(|it| unknown.clone().any(|gap| within(it, gap.node)))
        };
        if basic.iter().any(open) {
            return None;
        }
        Some(self.0.into_iter().flat_map(|gap| gap.at).collect())
    }
}

fn within(node: &Arc<Node>, identity: usize) -> bool {
    Arc::as_ptr(node).addr() == identity
        || node.items().iter().any(|it| within(it, identity))
        || node.entries().iter().any(|entry| within(&entry.value, identity))
}
