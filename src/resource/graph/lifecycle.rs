//! What `lifecycle` in a manifest means: which addresses and which paths of the wire.

use super::Accepted;
use super::build::GraphBuilder;
use crate::model::{Key, Pointer};
use crate::resource::about;

impl GraphBuilder<'_> {
    /// Which addresses and wire paths the lifecycle section means.
    pub(super) fn lifecycle(&mut self) {
        let place = |key: &Key| {
            let (_, base) = self.desired.nodes.get(key)?.declared.as_ref()?;
            Some((key.clone(), base.clone()))
        };
        let own: Vec<(Key, Pointer)> = self.brought.iter().filter_map(place).collect();
        for text in &self.spec.lifecycle.prevent_destroy {
            let parts: Vec<&str> = text.split('.').collect();
            let matches = |(key, base): &&(Key, Pointer)| {
                key.matches(text)
                    || key.kind.as_str() == text
                    || (base.to_dotted() == *text && key.kind.as_str() == parts[0])
                    || (key.kind.as_str() == parts[0].trim_end_matches('s')
                        && parts.get(1).is_none_or(|it| *it == key.name))
            };
            self.desired.protected.extend(own.iter().filter(matches).map(|it| it.0.clone()));
        }
        for (index, ignored) in self.spec.drift.ignore.iter().enumerate() {
            let meant = |(key, base): &(Key, Pointer)| {
                Some((key.clone(), ignored_path(&ignored.path, key, base)?))
            };
            self.desired.accepted.push(Accepted {
                scope: self.spec.name.clone(),
                index,
                fields: own.iter().filter_map(meant).collect(),
                entry: ignored.clone(),
            });
        }
        for text in &self.spec.lifecycle.ignore_changes {
            self.desired.ignored.extend(
                own.iter()
                    .filter_map(|(key, base)| Some((key.clone(), ignored_path(text, key, base)?))),
            );
        }
    }
}

/// The wire path that a dotted manifest path means for a resource that was declared at `base`;
/// `None` when it means another.
fn ignored_path(text: &str, key: &Key, base: &Pointer) -> Option<Pointer> {
    let about = about(key.kind);
    let tokens: Vec<&str> = text.split('.').collect();
    let (first, rest) = tokens.split_first()?;
    if about.part.is_empty() || *first != about.part {
        return (*first == key.kind.as_str()).then(Pointer::root);
    }
    // In a list stands next which one is meant: its name, its number, or any.
    match (base.tokens(), rest) {
        ([_, _, ..], []) | ([_] | [], _) => Some((about.wire)(rest)),
        ([_, number, ..], [which, below @ ..]) => {
            let meant = which == &key.name || *which == "*" || which == number;
            meant.then(|| (about.wire)(below))
        }
    }
}
