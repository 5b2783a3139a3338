//! What `lifecycle` in a manifest means: which addresses and which paths of the wire.

use super::Accepted;
use super::build::Builder;
use crate::language::Cluster;
use crate::model::{Key, KindName, Pointer};

impl Builder<'_> {
    /// Which addresses and wire paths the lifecycle section means.
    pub(super) fn lifecycle(&mut self) {
        let own: Vec<Key> = self
            .desired
            .nodes
            .iter()
            .filter(|(_, node)| node.declared.as_ref().is_some_and(|it| it.0 == self.spec.name))
            .map(|(key, _)| key.clone())
            .collect();
        for text in &self.spec.lifecycle.prevent_destroy {
            let parts: Vec<&str> = text.split('.').collect();
            let matches = |key: &&Key| {
                let declared = self.desired.nodes[*key].declared.as_ref();
                let base = declared.map(|it| it.1.to_dotted()).unwrap_or_default();
                key.matches(text)
                    || key.kind.as_str() == text
                    || (base == *text && key.kind.as_str() == parts[0])
                    || (key.kind.as_str() == parts[0].trim_end_matches('s')
                        && parts.get(1).is_none_or(|it| *it == key.name))
            };
            self.desired.protected.extend(own.iter().filter(matches).cloned());
        }
        for (index, it) in self.spec.drift.ignore.iter().enumerate() {
            let meant = |key: &Key| Some((key.clone(), ignored_path(&it.path, key, self.spec)?));
            self.desired.accepted.push(Accepted {
                scope: self.spec.name.clone(),
                index,
                fields: own.iter().filter_map(meant).collect(),
                entry: it.clone(),
            });
        }
        for text in &self.spec.lifecycle.ignore_changes {
            self.desired.ignored.extend(own.iter().filter_map(|key| {
                let wire = ignored_path(text, key, self.spec)?;
                Some((key.clone(), wire))
            }));
        }
    }
}

/// The wire path that a dotted manifest path means for a resource; `None` when it means another.
fn ignored_path(text: &str, key: &Key, spec: &Cluster) -> Option<Pointer> {
    let mut tokens = text.split('.');
    let root = |tokens: std::str::Split<'_, char>, lead: &[&str]| -> Pointer {
        lead.iter().map(|it| (*it).to_owned()).chain(tokens.map(str::to_owned)).collect()
    };
    match (tokens.next()?, key.kind) {
        ("extension", KindName::Extension) => match tokens.next() {
            Some(map @ ("configurationSettings" | "configurationProtectedSettings")) => {
                // The keys of settings contain dots themselves.
                let rest = tokens.collect::<Vec<_>>().join(".");
                let base = Pointer::root().join("properties").join(map);
                Some(if rest.is_empty() {
                    base
                } else {
                    base.join(crate::catalog::wire_key(&rest))
                })
            }
            Some(field) => Some(Pointer::root().join("properties").join(field)),
            None => Some(Pointer::root()),
        },
        ("computes", KindName::Compute) => {
            let which = tokens.next()?;
            let index = spec.computes.iter().position(|it| it.name == key.name);
            if which != key.name && which != "*" && which.parse().ok() != index {
                return None;
            }
            Some(match tokens.next() {
                Some("identity") => root(tokens, &["identity"]),
                Some(it @ ("namespace" | "defaultInstanceType")) => {
                    root(tokens, &["properties", "properties", it])
                }
                Some("description") => root(tokens, &["properties", "description"]),
                Some("tags") => root(tokens, &["tags"]),
                _ => Pointer::root(),
            })
        }
        ("instanceTypes", KindName::InstanceType) => {
            let which = tokens.next()?;
            (which == key.name || which == "*").then(|| root(tokens, &["spec"]))
        }
        ("scc", KindName::SccGrant) | ("roleAssignments", KindName::RoleAssignment) => {
            Some(Pointer::root())
        }
        ("features", KindName::Feature) | ("providers", KindName::Provider) => {
            Some(Pointer::root())
        }
        ("cluster", KindName::Cluster) => Some(Pointer::root()),
        (first, kind) if first == kind.as_str() => Some(Pointer::root()),
        _ => None,
    }
}
