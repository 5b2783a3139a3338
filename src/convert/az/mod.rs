//! Commands of `az`, `oc` and `kubectl` → a manifest, read with the errors that people's texts have.
//!
//! Each slip is pointed out with what it was taken for; what only the reader can know
//! (`<your-subscription-id>`, `$1`) becomes a variable. Nothing is left out without a finding.

mod attach;
mod draft;
mod install;
mod options;
mod profile;
mod read;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crate::catalog;
use crate::resource::graph::catalog_profile;
use crate::source::{Diagnostic, Diagnostics, Label, Place, Severity, Source, has_errors};

pub(super) use draft::{DIRECTIVES, label};
pub(super) use profile::told;

use super::script::ScriptNote;
use super::sources;
use crate::language::{ClusterSpec, Profile};
use crate::language::{Dollars, to_fleet, to_yaml};

/// What an import found.
#[derive(Debug, Clone)]
pub struct Imported {
    /// The manifest: a cluster, a fleet, or one YAML document for each cluster.
    pub text: String,
    /// The same, as types; texts in them may still hold `${VAR}`.
    pub clusters: Vec<ClusterSpec>,
    /// What was guessed, corrected or left out; no errors.
    pub findings: Diagnostics,
}

/// What an import needs from its caller.
#[derive(Clone, Copy)]
pub struct ImportOptions<'a> {
    /// The profile where the sources fit both; else ga.
    pub profile: Option<Profile>,
    /// Reads a file that a source names, from the source's folder.
    pub files: &'a dyn Fn(&Path, &str) -> Option<String>,
}

/// Reads scripts, pipelines, Terraform, ARM templates and what `az` prints, and writes the one
/// manifest that says the same.
///
/// # Errors
/// All findings when nothing in the sources sets up a cluster (`az-nothing`), for more than a
/// mebibyte of text (`file-too-large`) or more than 500 findings (`too-many-mistakes`).
pub fn import(
    sources: &[Arc<Source>],
    options: &ImportOptions<'_>,
) -> Result<Imported, Diagnostics> {
    let mut findings = Findings::new(sources);
    if let Some(large) = sources.iter().find(|source| source.text.len() > LONGEST_BYTES) {
        let message = format!("`{}` has more than {LONGEST_BYTES} bytes", large.path.display());
        let help = "import the lines that set up clusters; what else a script does is not read";
        return Err(vec![Diagnostic::error("file-too-large", message).with_help(help)]);
    }
    let all = findings.sources.clone();
    let (items, notes) = sources::read(&all, &|source, name| (options.files)(&source.path, name));
    findings.notes(notes);
    let mut reader = read::CommandReader::new(&mut findings);
    for item in items {
        reader.item(item);
    }
    let drafts = reader.finish();
    let mut clusters = draft::finish(drafts, options.profile, &mut findings);
    if clusters.is_empty() && !has_errors(&findings.list) {
        let names: Vec<String> =
            sources.iter().map(|source| format!("`{}`", source.path.display())).collect();
        let message = format!("nothing that sets up a cluster in {}", names.join(", "));
        let help = "give lines with `az k8s-extension create` or `az ml compute attach`, Terraform, \
                    an ARM template, or what `az … show` prints";
        findings.list.push(Diagnostic::error("az-nothing", message).with_help(help));
    }
    findings.sort();
    if has_errors(&findings.list) {
        return Err(findings.list);
    }
    if let Some(first) = clusters.first_mut() {
        first.head.append(&mut findings.comments);
    }
    let origin = |names: &[Arc<Source>]| {
        let names: Vec<String> = names.iter().map(|name| name.path.display().to_string()).collect();
        format!("From `az` commands in {}.", names.join(", "))
    };
    let head = |finished: &draft::Finished| {
        let mut head = vec![origin(sources)];
        head.extend(finished.head.iter().cloned());
        head
    };
    let placeholders = clusters.iter().any(|it| draft::is_placeholder(&it.cluster.cluster.name));
    let text = if clusters.len() > 1 && !placeholders {
        let mut comments = vec![origin(sources)];
        comments.extend(clusters.iter().flat_map(|finished| finished.head.iter().cloned()));
        let specs: Vec<&ClusterSpec> = clusters.iter().map(|finished| &finished.cluster).collect();
        to_fleet(&specs, &comments, Dollars::AsWritten)
    } else {
        let documents = clusters.iter().map(|finished| {
            to_yaml(&finished.cluster, &head(finished), &finished.notes, Dollars::AsWritten)
        });
        documents.collect::<Vec<_>>().join("---\n")
    };
    let clusters = clusters.into_iter().map(|finished| finished.cluster).collect();
    Ok(Imported { text, clusters, findings: findings.list })
}

/// A fleet of a thousand clusters has half of it.
const LONGEST_BYTES: usize = 1 << 20;
/// Who has made more mistakes wants to know of the first ones.
const MAX_FINDINGS: usize = 500;

/// What was found, with its place. Places count through all sources, one behind the other.
struct Findings {
    sources: Vec<(usize, Arc<Source>)>,
    list: Diagnostics,
    stand_ins: BTreeSet<String>,
    /// For the head of the manifest: what other branches of a script say.
    comments: Vec<String>,
    /// Secrets that stand in the sources: no finding shows them.
    secrets: Vec<String>,
}

impl Findings {
    fn new(sources: &[Arc<Source>]) -> Self {
        let mut base = 0;
        let sources = sources.iter().map(|source| {
            let at = base;
            base += source.text.len() + 1;
            (at, Arc::clone(source))
        });
        let (list, comments, secrets) = (Vec::new(), Vec::new(), Vec::new());
        let stand_ins = BTreeSet::new();
        Self { sources: sources.collect(), list, stand_ins, comments, secrets }
    }

    /// Which source a place stands in.
    fn source_of(&self, at: usize) -> usize {
        self.sources.partition_point(|it| it.0 <= at).saturating_sub(1)
    }

    fn place(&self, span: &Range<usize>) -> Option<Place> {
        let (base, source) = self.sources.get(self.source_of(span.start))?;
        // What was read may be shorter or longer than what was written, so a computed end can fall
        // inside a character or behind the text.
        let text = &source.text;
        let whole = |at: usize| text.ceil_char_boundary(at.saturating_sub(*base).min(text.len()));
        let (start, end) = (whole(span.start), whole(span.end));
        Some(Place { source: Arc::clone(source), span: start.min(end)..end })
    }

    fn push(
        &mut self,
        severity: Severity,
        code: &'static str,
        span: &Range<usize>,
        said: (String, &str),
    ) {
        let (message, help) = said;
        if self.list.len() == MAX_FINDINGS {
            let message = format!("more than {MAX_FINDINGS} findings; the rest is not shown");
            let help = "mend the first ones; perhaps these are no command lines at all";
            self.list.push(Diagnostic::error("too-many-mistakes", message).with_help(help));
        }
        if self.list.len() > MAX_FINDINGS {
            return;
        }
        let finding = Diagnostic::new(code, severity, message).at(self.place(span), "");
        let finding = if help.is_empty() { finding } else { finding.with_help(help) };
        if !self.list.contains(&finding) {
            self.list.push(finding);
        }
    }

    fn warn(
        &mut self,
        code: &'static str,
        span: Range<usize>,
        message: impl Into<String>,
        help: &str,
    ) {
        self.push(Severity::Warning, code, &span, (message.into(), help));
    }

    fn advice(&mut self, code: &'static str, span: Range<usize>, message: impl Into<String>) {
        self.push(Severity::Advice, code, &span, (message.into(), ""));
    }

    fn slip(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.warn("az-slip", span, message, "");
    }

    fn slips(&mut self, slips: Vec<options::Slip>) {
        for slip in slips {
            self.slip(slip.span, slip.message);
        }
    }

    fn notes(&mut self, notes: Vec<ScriptNote>) {
        for note in notes {
            match note {
                ScriptNote::Slip(span, text) => self.slip(span, text),
                ScriptNote::Unknown(span, name, why) => {
                    let help = format!("set {name}, or write the value into the manifest");
                    self.stand_in(&name, span, why, &help);
                }
                ScriptNote::Branch(span, why, text) => self.branch(span, &why, &text),
                ScriptNote::Aside(span, text) => self.advice("az-ignored", span, text),
                ScriptNote::Left(span, text) => self.warn("az-left", span, text, ""),
            }
        }
    }

    /// What another branch of a script says: a finding, and a comment in the manifest.
    fn branch(&mut self, span: Range<usize>, why: &str, text: &str) {
        let text: String = text.chars().map(|it| if it.is_control() { ' ' } else { it }).collect();
        let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        // What is protected is not for a comment.
        let guarded = ["--config-protected", "--configuration-protected"];
        if let Some(at) = guarded.iter().find_map(|it| text.find(it)) {
            text.truncate(at);
            text.push('…');
        }
        let text: String = text.chars().take(300).collect();
        let message = format!("two branches: {why}; the other one is a comment in the manifest");
        let help = format!("it says: {text}");
        self.warn("az-branch", span, message, &help);
        let comment = format!("Another branch of the script: {text}");
        if !self.comments.contains(&comment) && self.comments.len() < 50 {
            self.comments.push(comment);
        }
    }

    /// Two sources that say different things, side by side.
    fn conflict(
        &mut self,
        what: &str,
        first: (&Range<usize>, &str),
        second: (&Range<usize>, &str),
    ) {
        let message =
            format!("`{what}` is said twice: {} and {}; the first counts", first.1, second.1);
        let mut finding = Diagnostic::warning("az-conflict", message)
            .with_help("keep the one that is right, or delete the other source from the import");
        for (span, text) in [first, second] {
            let place = self.place(span);
            finding.labels.extend(place.map(|place| Label { place, text: text.to_owned() }));
        }
        if self.list.len() < MAX_FINDINGS {
            self.list.push(finding);
        }
    }

    fn sort(&mut self) {
        let mut list = std::mem::take(&mut self.list);
        let key = |finding: &Diagnostic| {
            let place = &finding.labels.first()?.place;
            let at =
                self.sources.iter().position(|(_, source)| Arc::ptr_eq(source, &place.source))?;
            Some((at, place.span.start))
        };
        list.sort_by_key(|finding| key(finding).unwrap_or((usize::MAX, 0)));
        self.list = list;
        self.hide();
    }

    /// Takes secrets out of everything that is shown.
    fn hide(&mut self) {
        // What is shorter is a word, and would blot out others.
        self.secrets.retain(|secret| secret.len() > 3 && secret.len() < 20_000);
        let secrets = std::mem::take(&mut self.secrets);
        if secrets.is_empty() {
            return;
        }
        let hidden = |text: &str| {
            let stars = |it: &String| "*".repeat(it.len());
            secrets.iter().fold(text.to_owned(), |text, word| text.replace(word, &stars(word)))
        };
        let masked: Vec<Arc<Source>> = self
            .sources
            .iter()
            .map(|(_, source)| {
                Arc::new(Source { path: source.path.clone(), text: hidden(&source.text) })
            })
            .collect();
        for finding in &mut self.list {
            finding.message = hidden(&finding.message);
            finding.help = finding.help.as_deref().map(hidden);
            for label in &mut finding.labels {
                let own = &mut label.place.source;
                let at = self.sources.iter().position(|(_, source)| Arc::ptr_eq(source, own));
                if let Some(source) = at.and_then(|number| masked.get(number)) {
                    *own = Arc::clone(source);
                }
            }
        }
        for text in &mut self.comments {
            *text = hidden(text);
        }
    }

    /// A variable that stands for what only the reader knows; said once.
    fn stand_in(&mut self, variable: &str, span: Range<usize>, message: String, help: &str) {
        if self.stand_ins.insert(variable.to_owned()) {
            self.push(Severity::Advice, "az-placeholder", &span, (message, help));
        }
    }

    /// A variable that the manifest reads and that no finding has named yet.
    fn untold(&mut self, name: &str, span: &Range<usize>) {
        let told = |finding: &Diagnostic| {
            finding.message.contains(name)
                || finding.code == "az-placeholder"
                    && finding.help.as_deref().is_some_and(|help| help.contains(name))
        };
        if name.is_empty() || self.list.iter().any(told) {
            return;
        }
        let written = self.sources.iter().find_map(|(base, source)| {
            let at = source.text.to_ascii_lowercase().find(&name.to_ascii_lowercase())?;
            Some(base + at..base + at + name.len())
        });
        let message = format!("`{name}` is read from the environment where amlplan runs");
        let help = format!("set {name}, or write the value into the manifest");
        self.stand_in(name, written.unwrap_or_else(|| span.clone()), message, &help);
    }
}

/// Users of the security context constraint that a cluster's manifest derives.
#[must_use]
pub fn derived_accounts(cluster: &ClusterSpec) -> Vec<String> {
    let Some(extension) = &cluster.extension else { return Vec::new() };
    let namespaces: Vec<String> = cluster.computes.iter().map(|it| it.namespace.clone()).collect();
    let profile = catalog_profile(extension.profile);
    let accounts = catalog::service_accounts(profile, &extension.name, &namespaces);
    accounts
        .into_iter()
        .map(|(space, name)| format!("system:serviceaccount:{space}:{name}"))
        .collect()
}

type Notes = BTreeMap<String, String>;
