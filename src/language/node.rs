//! One tree for both languages: every key and every value knows where it was written.
//!
//! Nodes are shared (`Arc`): a fleet of ten thousand clusters holds its defaults once, and a merged
//! value still points at the line that wrote it.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::model::Pointer;
use crate::source::{Diagnostic, Diagnostics, Place, Source};

use super::env;

/// A stretch of a file; half the size of a [`Place`].
#[derive(Clone)]
pub struct Span {
    source: Arc<Source>,
    start: u32,
    end: u32,
}

impl Span {
    /// A span of `source`; offsets are bytes and never beyond 64 MiB, see [`crate::source::read`].
    pub(super) fn new(source: &Arc<Source>, start: usize, end: usize) -> Self {
        let offset = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Self { source: Arc::clone(source), start: offset(start), end: offset(end.max(start)) }
    }

    /// The place, cut at the end of its first line: nobody wants forty underlined lines.
    #[must_use]
    pub fn place(&self) -> Place {
        let (start, end) = (self.start as usize, self.end as usize);
        let text = self.source.text.get(start..end).unwrap_or_default();
        let line = text.lines().next().unwrap_or_default().trim_end();
        Place { source: Arc::clone(&self.source), span: start..start + line.len() }
    }

    /// The text as written, quotes included.
    pub(super) fn raw(&self) -> &str {
        self.source.text.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// The offsets, in bytes.
    pub(super) const fn range(&self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }

    /// The same offsets in another source.
    pub(super) fn over(&self, source: &Arc<Source>) -> Self {
        Self { source: Arc::clone(source), start: self.start, end: self.end }
    }

    /// Tells two places apart without comparing texts.
    pub(super) fn identity(&self) -> (usize, u32, u32) {
        (Arc::as_ptr(&self.source).addr(), self.start, self.end)
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}..{}", self.source.path.display(), self.start, self.end)
    }
}

/// A value and where it was written.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where.
    pub span: Span,
    /// What.
    pub data: Data,
}

/// What a node holds.
#[derive(Debug, Clone)]
pub enum Data {
    /// `null`, `~` or nothing at all.
    Null,
    /// The same over a fleet's default, which it takes away.
    Taken,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Something no manifest has a use for; the text says what it is ("a decimal number").
    Odd(&'static str),
    /// Nothing usable, and reported already.
    Hole,
    /// A text.
    Text(Text),
    /// A list.
    List(Vec<Arc<Node>>),
    /// A map, in the order of the file.
    Map(Vec<Entry>),
}

/// A text, and what it was before the environment was read. It may be a secret: `Debug` hides it.
#[derive(Clone)]
pub struct Text {
    /// The text that counts.
    pub value: Arc<str>,
    /// As written, where it holds a `${VAR}` or `$$`.
    pub template: Option<Arc<str>>,
    /// A variable that it needs and the environment does not have.
    pub unset: Option<Arc<str>>,
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Text(…)")
    }
}

/// A key with its value.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The key.
    pub key: Arc<str>,
    /// Where the key was written.
    pub at: Span,
    /// Its value.
    pub value: Arc<Node>,
}

impl Node {
    /// Whether nothing stands there.
    pub(super) const fn is_null(&self) -> bool {
        matches!(self.data, Data::Null | Data::Taken)
    }

    /// What a person would call it.
    pub(super) fn describe(&self) -> &'static str {
        match &self.data {
            Data::Null | Data::Taken => "empty",
            Data::Bool(_) => "a boolean",
            Data::Int(_) => "a number",
            Data::Odd(what) => what,
            Data::Hole => "unusable",
            Data::Text(_) => "a text",
            Data::List(_) => "a list",
            Data::Map(_) => "a map",
        }
    }

    /// The entries of a map; nothing for anything else.
    pub(super) fn entries(&self) -> &[Entry] {
        if let Data::Map(entries) = &self.data { entries } else { &[] }
    }

    /// The items of a list; nothing for anything else.
    pub(super) fn items(&self) -> &[Arc<Self>] {
        if let Data::List(items) = &self.data { items } else { &[] }
    }

    /// The entry with this key.
    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| &*entry.key == key)
    }

    /// The text, where it is one.
    pub(super) fn text(&self) -> Option<&Text> {
        if let Data::Text(text) = &self.data { Some(text) } else { None }
    }

    /// The value at a path and, where it stands in a map, the span of its key.
    pub(super) fn find(&self, at: &Pointer) -> Option<(&Self, Option<&Span>)> {
        let mut found = (self, None);
        for token in at.tokens() {
            found = found.0.step(token)?;
        }
        Some(found)
    }

    fn step(&self, token: &str) -> Option<(&Self, Option<&Span>)> {
        if let Some(entry) = self.entry(token) {
            return Some((&entry.value, Some(&entry.at)));
        }
        let item = self.items().get(token.parse::<usize>().ok()?)?;
        Some((item, None))
    }

    /// The part at a path, or the nearest that exists around it: key and value.
    pub(super) fn nearest(&self, at: &Pointer) -> (Span, Span) {
        let mut node = self;
        let mut key = self.label();
        for token in at.tokens() {
            let Some((next, next_key)) = node.step(token) else { break };
            key = next_key.cloned().unwrap_or_else(|| next.label());
            node = next;
        }
        let container = node.is_null() || matches!(node.data, Data::Map(_) | Data::List(_));
        let value = if container { key.clone() } else { node.span.clone() };
        (key, value)
    }

    /// What to underline when the node as a whole is meant: its first key, or itself.
    pub(super) fn label(&self) -> Span {
        let key = self.entries().first().map(|entry| entry.at.clone());
        let first = key.or_else(|| self.items().first().map(|item| item.label()));
        first.unwrap_or_else(|| self.span.clone())
    }
}

/// What both front ends need while they build a tree.
pub(super) struct TreeBuilder<'a> {
    pub source: &'a Arc<Source>,
    pub env: &'a dyn Fn(&str) -> Option<String>,
    pub findings: &'a mut Diagnostics,
    /// How many mistakes this file has so far.
    pub reported: usize,
}

impl TreeBuilder<'_> {
    pub(super) fn span(&self, start: usize, end: usize) -> Span {
        Span::new(self.source, start, end)
    }

    /// A text, with the environment read.
    pub(super) fn text(&mut self, text: &str, span: &Span) -> Data {
        if !text.contains('$') {
            return Data::Text(Text { value: text.into(), template: None, unset: None });
        }
        let (value, problems) = env::expand(text, self.env);
        let mut unset = None;
        let mut usable = true;
        for problem in problems {
            match problem {
                env::Problem::Unset(name) => unset = unset.or(Some(name.into())),
                env::Problem::Bad(message, label) => {
                    usable = false;
                    self.report(
                        Diagnostic::error("bad-variable", short(&message))
                            .with_help("write ${NAME}, ${NAME:-default}, or $$ for a dollar sign")
                            .at(Some(span.place()), label),
                    );
                }
            }
        }
        if usable {
            Data::Text(Text { value: value.into(), template: Some(text.into()), unset })
        } else {
            Data::Hole
        }
    }

    /// Records a mistake; a file that has nothing else is not listed to its end.
    pub(super) fn report(&mut self, finding: Diagnostic) {
        match self.reported.cmp(&MAX_FINDINGS) {
            Ordering::Less => self.findings.push(finding),
            Ordering::Equal => {
                let path = self.source.path.display();
                let message = format!(
                    "`{path}` has more than {MAX_FINDINGS} mistakes; the rest is not shown"
                );
                self.findings.push(
                    Diagnostic::error("too-many-mistakes", message)
                        .with_help("mend the first ones; perhaps this is no manifest at all"),
                );
            }
            Ordering::Greater => {}
        }
        self.reported = self.reported.saturating_add(1);
    }

    /// Adds an entry to a map, reporting a key that is there already.
    pub(super) fn push(&mut self, entries: &mut Vec<Entry>, seen: &mut KeyIndex, entry: Entry) {
        if let Some(first) = seen.find(entries, &entry.key) {
            let message = format!("`{}` is given twice", short(&entry.key));
            self.report(
                Diagnostic::error("duplicate-key", message)
                    .with_help("keep one of the two")
                    .at(Some(entry.at.place()), "given again here")
                    .at(Some(first.place()), "first given here"),
            );
            return;
        }
        if entry.key.contains("${") {
            let message = format!("the key `{}` holds a variable", short(&entry.key));
            self.report(
                Diagnostic::warning("bad-variable", message)
                    .with_help("variables are read in values: write the key out")
                    .at(Some(entry.at.place()), "sent as written"),
            );
        }
        seen.add(&entry, entries.len());
        entries.push(entry);
    }
}

/// The beginning of a text that may be of any length.
pub(super) fn short(text: &str) -> String {
    const MOST: usize = 120;
    let mut chars = text.chars();
    let head: String = chars.by_ref().take(MOST).collect();
    if chars.next().is_some() { head + "…" } else { head }
}

/// More mistakes in one file are not listed.
const MAX_FINDINGS: usize = 1000;

/// Where the keys of a large map are. Small ones are searched from the front.
#[derive(Default)]
pub(super) struct KeyIndex(HashMap<Arc<str>, usize>);

impl KeyIndex {
    const SMALL: usize = 16;

    /// The place of a key that the map has already.
    pub(super) fn find(&self, entries: &[Entry], key: &Arc<str>) -> Option<Span> {
        let small = &entries[..entries.len().min(Self::SMALL)];
        let found = small.iter().find(|entry| entry.key == *key);
        found.or_else(|| entries.get(*self.0.get(key)?)).map(|entry| entry.at.clone())
    }

    pub(super) fn add(&mut self, entry: &Entry, at: usize) {
        if at >= Self::SMALL {
            self.0.insert(Arc::clone(&entry.key), at);
        }
    }
}
