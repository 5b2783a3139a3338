//! Documents: which kind they are, and a fleet taken apart into its clusters.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::model::Pointer;
use crate::source::{Diagnostic, Diagnostics};

use super::de;
use super::node::{Data, Entry, Node, short};
use super::secrets::SecretReader;
use super::spec::{ClusterOrigin, ClusterSpec, Declared, Doubtful, Manifest};
use super::{rollout, suggest};

const API_VERSION: &str = "amlplan/v1";

/// What loading has come to.
pub(super) struct Loading<'a> {
    pub secrets: SecretReader<'a>,
    pub reported: de::Reported,
    pub manifest: Manifest,
    pub findings: Diagnostics,
}

/// A document with the file it stands in.
pub(super) struct ManifestDocument<'a> {
    pub file: &'a Path,
    pub index: usize,
    pub tree: &'a Arc<Node>,
}

impl ManifestDocument<'_> {
    /// Reads the clusters of this document.
    pub(super) fn clusters(&self, run: &mut Loading<'_>) {
        let Data::Map(entries) = &self.tree.data else {
            run.findings.push(not_a_map(self.tree));
            return;
        };
        let Some(kind) = header(self.tree, &mut run.findings) else { return };
        match kind {
            DocumentKind::Cluster => {
                let tree = self.without_header(entries, &["apiVersion", "kind"]);
                let written = [(Pointer::root(), Arc::clone(&tree))];
                self.declare(tree, &written, run);
            }
            DocumentKind::Fleet => self.fleet(run),
        }
    }

    fn without_header(&self, entries: &[Entry], header: &[&str]) -> Arc<Node> {
        let rest = entries.iter().filter(|entry| !header.contains(&&*entry.key)).cloned().collect();
        Arc::new(Node { span: self.tree.span.clone(), data: Data::Map(rest) })
    }

    fn fleet(&self, run: &mut Loading<'_>) {
        let findings = &mut run.findings;
        const KEYS: [&str; 6] = ["apiVersion", "kind", "name", "defaults", "rollout", "clusters"];
        for entry in self.tree.entries().iter().filter(|it| !KEYS.contains(&&*it.key)) {
            let help = suggest::nearest(&entry.key, KEYS).map_or_else(
                || {
                    "a fleet has `defaults`, `clusters` and `rollout`; parts of a cluster go into one of them"
                        .to_owned()
                },
                |text| format!("did you mean `{text}`?"),
            );
            let finding =
                Diagnostic::error("unknown-key", format!("unknown key `{}` in a fleet", entry.key));
            findings.push(finding.with_help(help).at(Some(entry.at.place()), "unknown"));
        }
        let defaults = self.tree.entry("defaults").filter(|it| !it.value.is_null());
        if let Some(entry) = defaults.filter(|it| !matches!(it.value.data, Data::Map(_))) {
            findings.push(wrong_part(entry, "a map with parts of a cluster"));
            return;
        }
        let Some(list) = self.tree.entry("clusters") else {
            let finding = Diagnostic::error("missing-part", "`clusters` is missing in this fleet")
                .with_help("add `clusters:` and below it one `- name: …` for each cluster");
            findings.push(finding.at(Some(self.tree.label().place()), "this fleet"));
            return;
        };
        if !matches!(list.value.data, Data::List(_)) {
            findings.push(wrong_part(list, "a list of clusters"));
            return;
        }
        if list.value.items().is_empty() {
            let finding = Diagnostic::warning("empty-fleet", "this fleet has no clusters");
            findings.push(finding.at(Some(list.at.place()), "nothing in here"));
        }
        let defaults = defaults.map(|entry| &entry.value);
        let first = run.manifest.clusters.len();
        for (index, own) in list.value.items().iter().enumerate() {
            if !matches!(own.data, Data::Map(_)) {
                run.findings.push(not_a_map(own));
                continue;
            }
            let tree = defaults.map_or_else(|| Arc::clone(own), |node| merge(node, own));
            let at = Pointer::root().join("clusters").join(index.to_string());
            let mut written = vec![(at, Arc::clone(own))];
            written.extend(defaults.map(|it| (Pointer::root().join("defaults"), Arc::clone(it))));
            self.declare(tree, &written, run);
        }
        let written = self.tree.entry("rollout").filter(|it| !it.value.is_null());
        if let Some(entry) = written {
            let clusters = &run.manifest.clusters[first..];
            let read = rollout::read(entry, clusters, &run.reported, &mut run.findings);
            run.manifest.rollouts.extend(read);
        }
    }

    fn declare(&self, tree: Arc<Node>, written: &[(Pointer, Arc<Node>)], run: &mut Loading<'_>) {
        let Some((spec, holes)) =
            de::decode::<ClusterSpec>(&tree, &run.reported, &mut run.findings)
        else {
            return;
        };
        let holes = holes.places(&tree, &["cluster", "azure", "extension/profile"]);
        let folder = self.file.parent().map_or_else(PathBuf::new, Path::to_owned);
        let origin = ClusterOrigin {
            folder,
            file: self.file.to_owned(),
            document: self.index,
            tree: Some(tree),
        };
        let mut findings = Diagnostics::new();
        let secrets = run.secrets.read(&spec, &origin, written, &mut findings);
        let declared = Declared { spec, origin, secrets };
        match holes {
            Some(holes) if holes.is_empty() => run.manifest.clusters.push(declared),
            Some(holes) => {
                let doubtful = Doubtful { declared, holes };
                findings.retain(|finding| doubtful.is_sound(finding));
                run.manifest.doubtful.push(doubtful);
            }
            // Too much would depend on what nobody can guess.
            None => findings.clear(),
        }
        run.findings.append(&mut findings);
    }
}

enum DocumentKind {
    Cluster,
    Fleet,
}

/// Reads `apiVersion` and `kind`.
fn header(tree: &Node, findings: &mut Diagnostics) -> Option<DocumentKind> {
    let lacks = |name: &str, value: &str| {
        Diagnostic::error("missing-part", format!("`{name}` is missing"))
            .with_help(format!("begin the document with `{name}: {value}`"))
            .at(Some(tree.label().place()), "this document")
    };
    match tree.entry("apiVersion") {
        None => findings.push(lacks("apiVersion", API_VERSION)),
        Some(entry) if entry.value.text().is_some_and(|text| &*text.value == API_VERSION) => {}
        Some(entry) => {
            let message = format!(
                "this program reads `apiVersion: {API_VERSION}`, not `{}`",
                short(entry.value.span.raw())
            );
            findings.push(
                Diagnostic::error("unknown-api-version", message)
                    .with_help(format!("write `apiVersion: {API_VERSION}`; a file of another program does not belong here"))
                    .at(Some(entry.value.span.place()), "not known"),
            );
            return None;
        }
    }
    let Some(entry) = tree.entry("kind") else {
        findings.push(lacks("kind", "Cluster` or `kind: Fleet"));
        return None;
    };
    match entry.value.text().map(|text| &*text.value) {
        Some("Cluster") => Some(DocumentKind::Cluster),
        Some("Fleet") => Some(DocumentKind::Fleet),
        other => {
            let hint = other.and_then(|text| suggest::nearest(text, ["Cluster", "Fleet"]));
            let help = hint.map_or_else(
                || "it is Cluster or Fleet".to_owned(),
                |text| format!("did you mean `{text}`? It is Cluster or Fleet"),
            );
            let message = format!("there is no kind `{}`", short(entry.value.span.raw()));
            let finding = Diagnostic::error("unknown-kind", message).with_help(help);
            findings.push(finding.at(Some(entry.value.span.place()), "not known"));
            None
        }
    }
}

fn not_a_map(node: &Node) -> Diagnostic {
    let message =
        format!("a cluster is a map of `key: value` lines, but this is {}", node.describe());
    Diagnostic::error("wrong-type", message)
        .with_help("begin with `apiVersion`, `kind` and `name`, one a line")
        .at(Some(node.label().place()), "here")
}

fn wrong_part(entry: &Entry, expected: &str) -> Diagnostic {
    let message = format!("`{}` must be {expected}, but is {}", entry.key, entry.value.describe());
    Diagnostic::error("wrong-type", message)
        .with_help(format!("write `{}:` and below it {expected}", entry.key))
        .at(Some(entry.at.place()), "here")
}

/// `own` over `base`: maps merge, everything else replaces, and nothing takes away. Own entries come
/// first, so that a message about the whole points at what is special about it.
fn merge(base: &Arc<Node>, own: &Arc<Node>) -> Arc<Node> {
    if own.is_null() {
        return Arc::new(Node { span: own.span.clone(), data: Data::Taken });
    }
    let (Data::Map(base), Data::Map(entries)) = (&base.data, &own.data) else {
        return Arc::clone(own);
    };
    let mut merged: Vec<Entry> = Vec::with_capacity(base.len() + entries.len());
    for entry in entries {
        let below = base.iter().find(|it| it.key == entry.key);
        let value =
            below.map_or_else(|| Arc::clone(&entry.value), |it| merge(&it.value, &entry.value));
        merged.push(Entry { value, ..entry.clone() });
    }
    merged.extend(base.iter().filter(|it| !entries.iter().any(|own| own.key == it.key)).cloned());
    Arc::new(Node { span: own.span.clone(), data: Data::Map(merged) })
}
