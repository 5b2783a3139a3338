//! What `lifecycle` in a manifest means: which addresses and which paths of the wire.

use super::Accepted;
use super::build::GraphBuilder;
use crate::language::{self, suggest};
use crate::model::{Key, KindName, Pointer};
use crate::resource::about;

impl GraphBuilder<'_> {
    /// Which addresses and wire paths the lifecycle section means.
    pub(super) fn lifecycle(&mut self) {
        let place = |key: &Key| {
            let (_, base) = self.desired.nodes.get(key)?.declared.as_ref()?;
            Some((key.clone(), base.clone()))
        };
        let own: Vec<(Key, Pointer)> = self.brought.iter().filter_map(place).collect();
        for (index, text) in self.spec.lifecycle.prevent_destroy.iter().enumerate() {
            // A kind is also what this manifest made and names no more.
            let kind = KindName::ALL.iter().find(|kind| kind.as_str() == text);
            self.desired.protected_kinds.extend(kind.map(|kind| (self.spec.name.clone(), *kind)));
            let meant = |key: &&Key| Some(&key.kind) == kind || key.matches(text);
            let own: Vec<Key> = own.iter().map(|it| &it.0).filter(meant).cloned().collect();
            let shared = || self.desired.nodes.keys().any(|key| key.matches(text));
            if kind.is_none() && own.is_empty() && !shared() {
                self.protects_nothing(index, text);
            }
            self.desired.protected.extend(own);
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

    /// An address that is not declared may be a slip; or it is what a change to the manifest takes
    /// away, and then it is protected from just that.
    fn protects_nothing(&mut self, index: usize, text: &str) {
        let own: Vec<String> = self.brought.iter().map(ToString::to_string).collect();
        let mended = suggest::nearest(text, own.iter().map(String::as_str));
        let mended = mended.map_or_else(
            || "declare it.".to_owned(),
            |address| format!("did you mean `{address}`?"),
        );
        let message = format!("`{text}` is protected and not declared");
        let help = format!("{mended} To let it go, take it out of preventDestroy first");
        let at = format!("/lifecycle/preventDestroy/{index}");
        self.wrong("bad-prevent-destroy", message, help, &at);
    }
}

/// The wire path that a dotted manifest path means for a resource that was declared at `base`;
/// `None` when it means another.
fn ignored_path(text: &str, key: &Key, base: &Pointer) -> Option<Pointer> {
    let about = about(key.kind);
    let tokens = language::path_tokens(text);
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
