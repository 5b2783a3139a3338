//! Which clusters of the manifests a command is about: `--cluster`, `--selector` and `--shard`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use clap::Args;
use sha2::{Digest as _, Sha256};

use super::exit::CommandFailure;
use crate::language::{Declared, Manifest};
use crate::model::{Key, Pointer};
use crate::resource::graph::Desired;
use crate::source::Diagnostic;

/// What narrows a command to some clusters; all have to fit.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Selection {
    /// Only the cluster of this name in the manifest; may be given several times
    #[arg(long, value_name = "NAME")]
    pub(super) cluster: Vec<String>,
    /// Only clusters whose cluster.labels have this; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub(super) selector: Vec<(String, String)>,
    /// Only part I of N equal parts of the clusters, the same ones on every run; I counts from one, and
    /// `I+1` from zero, as the pods of an Indexed Job do
    #[arg(long, value_name = "I/N")]
    pub(super) shard: Option<Shard>,
    /// Whether a part also looks at what its clusters share with those of other parts
    #[arg(skip)]
    pub(super) shared_too: bool,
}

/// One part of a fleet; what several clusters share belongs to one part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shard {
    /// From one.
    number: u32,
    of: u32,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let part = text.split_once('/').and_then(|(number, of)| {
            let number: u32 = match number.strip_suffix("+1") {
                Some(index) => index.parse::<u32>().ok()?.checked_add(1)?,
                None => number.parse().ok()?,
            };
            Some((number, of.parse().ok()?))
        });
        match part {
            Some((number, of)) if 1 <= number && number <= of => Ok(Self { number, of }),
            _ => Err(format!(
                "`{text}` is not a part; write it like 2/5, from 1/5 to 5/5, or from 0+1/5 to 4+1/5"
            )),
        }
    }
}

impl Shard {
    /// Whether a name falls into this part: by the name alone, so that other clusters coming and
    /// going move nobody.
    fn holds(self, name: &str) -> bool {
        let digest = Sha256::digest(name.as_bytes());
        let number = digest.iter().take(8).fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
        number % u64::from(self.of) == u64::from(self.number - 1)
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let wrong = || format!("`{text}` is not a label; write it like ring=early");
    let (key, value) = text.split_once('=').ok_or_else(wrong)?;
    Ok((key.to_owned(), value.to_owned()))
}

impl Selection {
    /// Whether it leaves anything out.
    pub(super) const fn narrows(&self) -> bool {
        !self.cluster.is_empty() || !self.selector.is_empty() || self.shard.is_some()
    }

    /// Keeps the clusters that are meant.
    pub(super) fn narrow(&self, manifest: &mut Manifest) -> Result<(), CommandFailure> {
        let all = manifest.clusters.len();
        for name in &self.cluster {
            if !manifest.clusters.iter().any(|declared| declared.spec.name == *name) {
                let message = format!("the manifest has no cluster `{name}`");
                let names = manifest.clusters.iter().map(|declared| declared.spec.name.as_str());
                let mut finding = Diagnostic::error("unknown-cluster", message);
                finding.help = crate::language::suggest::nearest(name, names)
                    .map(|nearest| format!("did you mean `{nearest}`?"));
                return Err(finding.into());
            }
        }
        manifest.clusters.retain(|declared| self.chooses(declared));
        if manifest.clusters.is_empty()
            && all > 0
            && !self.selector.is_empty()
            && self.shard.is_none()
        {
            let message = format!("none of the {all} clusters has these labels");
            return Err(Diagnostic::error("nothing-selected", message)
                .with_help("labels stand in cluster.labels of a manifest")
                .into());
        }
        Ok(())
    }

    /// Keeps the clusters of this part.
    pub(super) fn part(&self, manifest: &mut Manifest) {
        manifest.clusters.retain(|it| self.shard.is_none_or(|shard| shard.holds(&it.spec.name)));
    }

    fn chooses(&self, declared: &Declared) -> bool {
        let spec = &declared.spec;
        let named = self.cluster.is_empty() || self.cluster.contains(&spec.name);
        named
            && self.selector.iter().all(|(key, value)| spec.cluster.labels.get(key) == Some(value))
    }

    /// What this part has of a whole: its clusters, and of what clusters share that which falls to
    /// it, whether or not its own clusters need it. It stands where the whole has it.
    pub(super) fn owned(&self, mut part: Desired, whole: Desired) -> Desired {
        let Some(shard) = self.shard else { return whole };
        let shared = |key: &Key| !whole.is_cluster(&key.scope) && !key.kind.read_only();
        let needed: BTreeSet<Key> = part.nodes.keys().filter(|it| shared(it)).cloned().collect();
        part.nodes.retain(|key, _| !shared(key));
        for (key, node) in &whole.nodes {
            let looked_at = self.shared_too && needed.contains(key);
            if shared(key) && !shard.holds(&key.to_string()) && !looked_at {
                part.elsewhere.insert(key.clone());
            } else if shared(key) {
                part.nodes.insert(key.clone(), node.clone());
                let scope = whole.scopes.get(&key.scope).cloned();
                part.scopes.extend(scope.map(|it| (key.scope.clone(), it)));
            } else if let Some(own) = part.nodes.get_mut(key) {
                own.declared.clone_from(&node.declared);
            }
        }
        part.origins = whole.origins;
        let kept: BTreeSet<Key> = part.nodes.keys().cloned().collect();
        part.nodes.values_mut().for_each(|node| node.needs.retain(|key| kept.contains(key)));
        part
    }
}

/// Tells what a report is about, so that only parts of one run are put together: a digest of the
/// manifests and of the clusters that were chosen.
pub(super) fn digest(manifest: &Manifest) -> String {
    let mut names = BTreeSet::new();
    // The clusters of a fleet have one text, which may be large.
    let mut sources = BTreeMap::new();
    for Declared { spec, origin, .. } in &manifest.clusters {
        names.insert(spec.name.as_str());
        let place = origin.value(&Pointer::root());
        sources.extend(place.map(|it| (Arc::as_ptr(&it.source), it.source)));
    }
    let texts: BTreeSet<_> = sources.values().map(|source| Sha256::digest(&source.text)).collect();
    let mut all = Sha256::new();
    names.iter().for_each(|name| all.update(format!("{name}\n")));
    texts.iter().for_each(|generic_array| all.update(generic_array));
    all.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every name is in exactly one part, and the parts are about equal.
    #[test]
    fn parts_cover_a_fleet_once() {
        for of in [1, 2, 3, 7] {
            let mut sizes = vec![0; of as usize];
            for name in (0..700).map(|it| format!("edge-{it}")) {
                let parts = (1..=of).filter(|number| Shard { number: *number, of }.holds(&name));
                let parts: Vec<u32> = parts.collect();
                assert_eq!(parts.len(), 1, "{name}");
                sizes[parts[0] as usize - 1] += 1;
            }
            let equal = 700 / of as usize;
            assert!(sizes.iter().all(|size| *size > equal / 2), "{sizes:?}");
        }
        assert_eq!("2/3".parse::<Shard>(), "1+1/3".parse());
        for wrong in ["0/3", "4/3", "1", "a/b", "1/0", "3+1/3", "4294967295+1/3", "+1/3"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }
}
