//! What a part of the manifest means beside the resources that come of it: its `az` command, what
//! an import reads of it, and what lies around of it that nobody declares any more.

use std::collections::BTreeMap;

use super::graph::{ClusterAccess, Desired, GraphBuilder};
use super::orphans::Search;
use super::{Key, Read, Resource};
use crate::language::ClusterSpec;
use crate::model::{ArmId, Json, KindName};

/// Values of a command's options, by the first name of each.
pub type Options = BTreeMap<&'static str, String>;

/// Answers of lists that an import has read.
pub type Lists = BTreeMap<Read, Vec<Json>>;

/// The command of `az` that makes what one entry of a part says.
pub struct AzForm {
    /// What it makes.
    pub kind: KindName,
    /// The command without its options.
    pub verb: &'static str,
    /// Its options; the names of one stand together.
    pub options: &'static [&'static [&'static str]],
    /// Options without which it says nothing.
    pub needed: &'static [&'static str],
    /// The options of one command for each entry, as a shell takes them.
    pub write: fn(&ClusterSpec) -> Vec<Vec<String>>,
    /// Adds what one command says, or says why it stands for nothing in a manifest.
    pub read: fn(&Options, &mut ClusterSpec) -> Result<(), String>,
}

/// What an import has read already.
pub struct Around<'a> {
    /// The cluster.
    pub cluster: &'a Json,
    /// Its computes, each with the id of its workspace.
    pub computes: &'a [(ArmId, Json)],
}

/// A part of the manifest: a list of things of one kind.
pub trait Part: Sync {
    /// Adds what the manifest declares to the graph.
    fn declare(&self, builder: &mut GraphBuilder<'_>);

    /// The command of `az` behind it.
    fn az(&self) -> Option<AzForm> {
        None
    }

    /// What an import reads for it.
    fn live(&self, _around: &Around<'_>) -> Vec<Read> {
        Vec::new()
    }

    /// Declares what an import has read.
    fn take(&self, _around: &Around<'_>, _lists: &Lists, _cluster: &mut ClusterSpec) {}

    /// The lists in which things of it stand that nobody declares.
    fn lists(&self, _desired: &Desired, _scope: &str, _access: &ClusterAccess) -> Vec<Read> {
        Vec::new()
    }

    /// What the manifest made and no longer names.
    fn orphans(&self, _search: &Search<'_>) -> Vec<Resource> {
        Vec::new()
    }

    /// What nobody of the run declares or made and is worth a word: address, and the word.
    fn foreign(&self, _search: &Search<'_>) -> Vec<(Key, String)> {
        Vec::new()
    }
}

/// A text as one word of a shell.
#[must_use]
pub fn word(text: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_./:=@%+,-".contains(letter);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}
