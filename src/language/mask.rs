//! Secrets in clear text do not appear in reports: the text that places point into has stars
//! where they stand.

use std::ops::Range;
use std::sync::Arc;

use crate::source::{Diagnostic, Source};

use super::env;
use super::node::{Data, Entry, Node};
use super::secrets::PEM_SETTINGS;
use super::suggest;

/// The same documents over a source without secrets; findings are moved over too.
///
/// `broken` says that the documents are not the whole text. Then every line of a part with
/// protected settings is hidden, whatever it is.
pub(super) fn hide(
    source: &Arc<Source>,
    documents: Vec<Arc<Node>>,
    findings: &mut [Diagnostic],
    broken: bool,
) -> Vec<Arc<Node>> {
    let mut secret = Vec::new();
    for document in &documents {
        collect(document, 0, &mut secret);
    }
    if broken {
        lines(&source.text, &mut secret);
    }
    if secret.is_empty() {
        return documents;
    }
    let masked = Arc::new(Source { path: source.path.clone(), text: stars(&source.text, &secret) });
    for place in findings.iter_mut().flat_map(|it| &mut it.labels).map(|label| &mut label.place) {
        if Arc::ptr_eq(&place.source, source) {
            place.source = Arc::clone(&masked);
        }
    }
    documents.iter().map(|node| moved(node, &masked)).collect()
}

fn protected(key: &str) -> bool {
    key.to_ascii_lowercase().contains("protected")
}

/// Settings that hold credentials wherever they are written.
fn credential(key: &str) -> bool {
    // Most keys are none, and there may be a million.
    if !key.ends_with(['g', 'G', 'y', 'Y', 'd', 'D']) {
        return false;
    }
    let key = key.to_ascii_lowercase().replace(['_', '.'], "");
    ["connectionstring", "sslkey", "password", "sharedkey"].iter().any(|text| key.ends_with(text))
}

/// `depth` counts from the part with the secrets: its entries are at 1, and what says where a secret
/// comes from, such as `fromEnv`, is at 2.
fn collect(node: &Node, depth: usize, secret: &mut Vec<Range<usize>>) {
    for item in node.items() {
        let leaf = item.entries().is_empty() && item.items().is_empty();
        // A list is no secret's form, but what somebody wrote into it may be one.
        if leaf && depth > 0 && !item.is_null() {
            secret.push(item.span.range());
        }
        collect(item, depth, secret);
    }
    for Entry { key, value, .. } in node.entries() {
        if depth > 1 && names_a_place(key, value) {
            continue;
        }
        let leaf = value.entries().is_empty() && value.items().is_empty();
        if leaf && (depth > 0 || credential(key)) {
            let path = suggest::nearest(key, PEM_SETTINGS).is_some()
                && !value.span.raw().contains("-----");
            let named = depth > 1 && key.starts_with("from");
            let reference = named || value.text().is_some_and(is_reference);
            if !path && !reference && !value.is_null() {
                secret.push(value.span.range());
            }
        }
        let opens = depth > 0 || protected(key) || credential(key);
        collect(value, depth + usize::from(opens), secret);
    }
}

/// Whether a value says where a service keeps a secret, and nothing else.
fn names_a_place(key: &str, value: &Node) -> bool {
    const PARTS: [&str; 6] = ["vault", "secret", "version", "namespace", "name", "key"];
    ["fromKeyVault", "fromSecret"].contains(&key)
        && !value.entries().is_empty()
        && value.entries().iter().all(|entry| PARTS.contains(&&*entry.key))
}

fn is_reference(text: &super::node::Text) -> bool {
    text.template.as_deref().and_then(env::sole_variable).is_some()
}

/// What follows the colon or equals sign on every line below one that speaks of protected settings.
fn lines(text: &str, secret: &mut Vec<Range<usize>>) {
    let mut at = 0;
    let mut inside: Option<usize> = None;
    let mut table = false;
    for line in text.split_inclusive('\n') {
        let indent = line.len() - line.trim_start().len();
        let blank = line.trim().is_empty();
        let opens = protected(line);
        let header = line.trim_start().starts_with('[');
        if inside.is_some_and(|outer| !blank && if table { header } else { indent <= outer }) {
            inside = None;
        }
        if opens || inside.is_some() {
            let start = line.find([':', '=']).map_or(0, |number| number + 1);
            secret.push(at + start..at + line.trim_end().len().max(start));
        }
        if opens {
            // The entries of a TOML table are not indented; only the next table ends it.
            table = line.trim_start().starts_with('[');
            inside = Some(indent);
        }
        at += line.len();
    }
}

fn stars(text: &str, secret: &[Range<usize>]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for range in secret.iter().filter(|it| text.get((*it).clone()).is_some()) {
        let mut indent = false;
        for byte in &mut bytes[range.clone()] {
            indent = *byte == b'\n' || (indent && *byte == b' ');
            if !indent && *byte != b'\r' {
                *byte = b'*';
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_default()
}

fn moved(node: &Arc<Node>, source: &Arc<Source>) -> Arc<Node> {
    let data = match &node.data {
        Data::List(items) => Data::List(items.iter().map(|node| moved(node, source)).collect()),
        Data::Map(entries) => Data::Map(
            entries
                .iter()
                .map(|entry| Entry {
                    key: Arc::clone(&entry.key),
                    at: entry.at.over(source),
                    value: moved(&entry.value, source),
                })
                .collect(),
        ),
        alone => alone.clone(),
    };
    Arc::new(Node { span: node.span.over(source), data })
}
