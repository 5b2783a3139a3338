//! YAML → [`Node`]. The only file that knows the YAML parser.
//!
//! It reads the parser's events instead of going through serde, because that keeps the span of
//! every key, the quotes of every scalar, and both places of a duplicate key.

use std::collections::HashMap;
use std::sync::Arc;

use serde_yaml::granit_parser::{
    Event, Options, Parser, ScalarStyle, ScanError, Span as Mark, Tag,
};

use crate::source::Diagnostic;

use super::node::{Data, Entry, KeyIndex, Node, Span, TreeBuilder};

/// Deeper than any manifest goes.
const MAX_DEPTH: usize = 64;
/// Values in a file, aliases counted as often as they are used. Ten thousand clusters written out
/// in full have about six hundred thousand.
const MAX_NODES: u64 = 2_000_000;

/// Anchors in a document; aliases of further ones are errors.
const MAX_ANCHORS: usize = 100_000;

/// The documents of a file; what cannot be read is reported and left out.
pub(super) fn parse(builder: &mut TreeBuilder<'_>) -> Vec<Arc<Node>> {
    let source = Arc::clone(builder.source);
    let mut options = Options::default();
    options.set_emit_comments(false);
    options.flow_nesting_limit = MAX_DEPTH;
    options.block_nesting_limit = MAX_DEPTH;
    let mut parser = Parser::new_from_str_with_options(&source.text, options);
    let mut reader = YamlReader {
        builder,
        open: Vec::new(),
        anchors: HashMap::new(),
        total: 0,
        documents: Vec::new(),
    };
    while let Some(event) = parser.next_event() {
        let outcome = event
            .map_err(|error| syntax(&reader.builder.source.clone(), &error))
            .and_then(|(event, mark)| reader.event(event, mark));
        if let Err(finding) = outcome {
            reader.builder.report(*finding);
            break;
        }
    }
    reader.documents
}

type YamlResult = Result<(), Box<Diagnostic>>;

fn syntax(source: &Arc<crate::source::Source>, error: &ScanError) -> Box<Diagnostic> {
    let start = byte_offset(&source.text, error.marker().byte_offset(), error.marker().index());
    let rest = source.text.get(start..).unwrap_or_default();
    // The parser points at the beginning of the value that the tab interrupts.
    let tab = error.info().contains("tab").then(|| rest.find('\t')).flatten();
    let start = start + tab.unwrap_or_default();
    let next = source.text.get(start..).and_then(|text| text.chars().next());
    let width = next.filter(|letter| *letter != '\n').map_or(0, char::len_utf8);
    let finding = if tab.is_some() {
        Diagnostic::error("yaml-syntax", "YAML is not indented with tabs")
            .with_help("use spaces; nothing after this place was read")
    } else {
        Diagnostic::error("yaml-syntax", format!("this is not YAML: {}", error.info())).with_help(
            "check indentation, colons and quotes around here; nothing after this place was read",
        )
    };
    let finding = match source.text.get(..start).is_some_and(|before| before.ends_with('$')) {
        true => finding.with_help("inside of { } and [ ] quote what holds a variable: \"${NAME}\""),
        false => finding,
    };
    let label = if tab.is_some() { "a tab" } else { "here" };
    let finding = finding.at(Some(Span::new(source, start, start + width).place()), label);
    Box::new(finding)
}

fn byte_offset(text: &str, bytes: Option<usize>, chars: usize) -> usize {
    bytes
        .unwrap_or_else(|| text.char_indices().nth(chars).map_or(text.len(), |(at, _)| at))
        .min(text.len())
}

/// A list or map whose end has not come yet.
struct OpenCollection {
    start: usize,
    anchor: usize,
    size: u64,
    what: Container,
}

enum Container {
    List(Vec<Arc<Node>>),
    Map {
        entries: Vec<Entry>,
        seen: KeyIndex,
        key: Option<PendingKey>,
        merges: Vec<(Span, Arc<Node>)>,
    },
}

/// A key that waits for its value; `None` is the merge key `<<`.
struct PendingKey {
    name: Option<Arc<str>>,
    at: Span,
}

struct YamlReader<'a, 'b> {
    builder: &'a mut TreeBuilder<'b>,
    open: Vec<OpenCollection>,
    anchors: HashMap<usize, (Arc<Node>, u64)>,
    total: u64,
    documents: Vec<Arc<Node>>,
}

impl YamlReader<'_, '_> {
    fn event(&mut self, event: Event<'_>, mark: Mark) -> YamlResult {
        let range = mark.byte_range().unwrap_or(0..0);
        match event {
            Event::DocumentStart(..) => self.anchors.clear(),
            Event::Scalar(text, style, anchor, tag) => {
                self.count(1, &range)?;
                let span = self.builder.span(range.start, range.end);
                let plain = style == ScalarStyle::Plain;
                let span = if plain || !span.raw().is_empty() {
                    span
                } else {
                    self.builder.span(range.start, range.start + 1)
                };
                self.scalar(&text, plain, tag.as_deref(), anchor, span)?;
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.tag(tag.as_deref(), "seq", &self.builder.span(range.start, range.end));
                self.open(range.start, anchor, Container::List(Vec::new()))?;
            }
            Event::MappingStart(_, anchor, tag) => {
                self.tag(tag.as_deref(), "map", &self.builder.span(range.start, range.end));
                let map = Container::Map {
                    entries: Vec::new(),
                    seen: KeyIndex::default(),
                    key: None,
                    merges: Vec::new(),
                };
                self.open(range.start, anchor, map)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(range.end)?,
            Event::Alias(id) => {
                let found = self.anchors.get(&id).cloned();
                let span = self.builder.span(range.start, range.end);
                let Some((node, size)) = found else {
                    let message = "an alias cannot stand inside the value it repeats";
                    let help = "write the part out, or move the alias out of it";
                    return refused("yaml-alias", message, help, &span);
                };
                self.count(size, &range)?;
                self.value(node, size)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Refuses tags of other programs (`!vault`, `!Ref`), whose values would be sent as written, and
    /// tags of YAML that say something else than what stands there.
    fn tag(&mut self, tag: Option<&Tag>, kind: &str, span: &Span) {
        let Some(tag) = tag.filter(|tag| tag.core_suffix() != Some(kind)) else { return };
        let (message, help) = match tag.core_suffix() {
            None => (
                format!("the tag `{tag}` means nothing here"),
                "write the value itself; secrets are {fromEnv: NAME}, {fromFile: PATH}, {fromKeyVault: …} or {fromSecret: …}",
            ),
            Some(_) => (
                format!("the tag `{tag}` does not fit what stands after it"),
                "take the tag out, or write a value of that kind",
            ),
        };
        let finding = Diagnostic::error("yaml-tag", message).with_help(help);
        self.builder.report(finding.at(Some(span.place()), "tagged"));
    }

    /// Counts values, so that neither a huge file nor a bomb of aliases can fill the memory.
    fn count(&mut self, nodes: u64, range: &std::ops::Range<usize>) -> YamlResult {
        self.total = self.total.saturating_add(nodes);
        if self.total <= MAX_NODES {
            return Ok(());
        }
        let message = format!("the file holds more than {MAX_NODES} values");
        let span = self.builder.span(range.start, range.end);
        Err(Box::new(
            Diagnostic::error("too-many-values", message)
                .with_help("split it into several files in one folder; aliases count as often as they are used")
                .at(Some(span.place()), "the limit is reached here"),
        ))
    }

    fn open(&mut self, start: usize, anchor: usize, what: Container) -> YamlResult {
        self.count(1, &(start..start + 1))?;
        let span = self.builder.span(start, start + 1);
        if self.open.len() >= MAX_DEPTH {
            let message = format!("lists and maps are nested more than {MAX_DEPTH} deep");
            let help = "no manifest needs that; check the brackets and the indentation";
            return refused("too-deep", message, help, &span);
        }
        if self.at_key() {
            let help = "if this was meant to be a template like {{ x }}, quote it";
            return refused("yaml-key", NO_KEY, help, &span);
        }
        self.open.push(OpenCollection { start, anchor, size: 1, what });
        Ok(())
    }

    fn at_key(&self) -> bool {
        matches!(
            self.open.last(),
            Some(OpenCollection { what: Container::Map { key: None, .. }, .. })
        )
    }

    fn close(&mut self, end: usize) -> YamlResult {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let data = match open.what {
            Container::List(items) => Data::List(items),
            Container::Map { entries, mut seen, merges, .. } => {
                let mut entries = entries;
                for (at, node) in merges {
                    merge(&mut entries, &mut seen, &at, &node)?;
                }
                Data::Map(entries)
            }
        };
        let node = Arc::new(Node { span: self.builder.span(open.start, end), data });
        self.remember(open.anchor, &node, open.size);
        self.value(node, open.size)
    }

    fn remember(&mut self, anchor: usize, node: &Arc<Node>, size: u64) {
        if anchor != 0 && self.anchors.len() < MAX_ANCHORS {
            self.anchors.insert(anchor, (Arc::clone(node), size));
        }
    }

    fn scalar(
        &mut self,
        text: &str,
        plain: bool,
        tag: Option<&Tag>,
        anchor: usize,
        span: Span,
    ) -> YamlResult {
        if self.at_key() {
            self.tag(tag, "str", &span);
            let merge = plain && text == "<<";
            self.key((!merge).then(|| text.into()), span);
            return Ok(());
        }
        let said = tag.and_then(Tag::core_suffix);
        let as_text = said.map_or(!plain, |suffix| suffix == "str");
        let found = if as_text { None } else { resolve(text) };
        let data = found.unwrap_or_else(|| self.builder.text(text, &span));
        let kind = match &data {
            Data::Null => "null",
            Data::Bool(_) => "bool",
            Data::Int(_) => "int",
            // No manifest has a use for it, which is said where it is read.
            Data::Odd(_) => said.unwrap_or_default(),
            _ => "str",
        };
        self.tag(tag, kind, &span);
        let node = Arc::new(Node { span, data });
        self.remember(anchor, &node, 1);
        self.value(node, 1)
    }

    fn key(&mut self, name: Option<Arc<str>>, at: Span) {
        if let Some(OpenCollection { what: Container::Map { key, .. }, .. }) = self.open.last_mut()
        {
            *key = Some(PendingKey { name, at });
        }
    }

    /// Puts a finished value where it belongs.
    fn value(&mut self, node: Arc<Node>, size: u64) -> YamlResult {
        let Some(open) = self.open.last_mut() else {
            self.documents.push(node);
            return Ok(());
        };
        open.size = open.size.saturating_add(size);
        match &mut open.what {
            Container::List(items) => items.push(node),
            Container::Map { entries, seen, key, merges } => match key.take() {
                Some(PendingKey { name: Some(name), at }) => {
                    self.builder.push(entries, seen, Entry { key: name, at, value: node });
                }
                Some(PendingKey { name: None, at }) => merges.push((at, node)),
                // An alias as a key: its text, where it has one.
                None => {
                    let name = node.text().map(|text| Arc::clone(&text.value));
                    let at = node.span.clone();
                    let Some(name) = name else {
                        return refused("yaml-key", NO_KEY, "write the key out", &at);
                    };
                    *key = Some(PendingKey { name: Some(name), at });
                }
            },
        }
        Ok(())
    }
}

const NO_KEY: &str = "a key must be a text, not a list or a map";

fn refused(code: &'static str, message: impl Into<String>, help: &str, at: &Span) -> YamlResult {
    let finding = Diagnostic::error(code, message).with_help(help);
    Err(Box::new(finding.at(Some(at.place()), "here")))
}

/// `<<: *other` or `<<: [*a, *b]`: keys that are not there yet.
fn merge(entries: &mut Vec<Entry>, seen: &mut KeyIndex, at: &Span, node: &Arc<Node>) -> YamlResult {
    let sources: Vec<&Arc<Node>> = match &node.data {
        Data::Map(_) => vec![node],
        Data::List(items) if items.iter().all(|node| matches!(node.data, Data::Map(_))) => {
            items.iter().collect()
        }
        _ => {
            let message = format!("`<<` takes a map or a list of maps, not {}", node.describe());
            let help = "write `<<: *anchor`, where `&anchor` marks a map";
            return refused("yaml-merge", message, help, at);
        }
    };
    for source in sources {
        for entry in source.entries() {
            if seen.find(entries, &entry.key).is_none() {
                seen.add(entry, entries.len());
                entries.push(entry.clone());
            }
        }
    }
    Ok(())
}

/// The YAML 1.2 core schema; `None` is a text.
fn resolve(text: &str) -> Option<Data> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Some(Data::Null),
        "true" | "True" | "TRUE" => return Some(Data::Bool(true)),
        "false" | "False" | "FALSE" => return Some(Data::Bool(false)),
        _ => {}
    }
    let first = text.as_bytes().first()?;
    if !(first.is_ascii_digit() || b"+-.".contains(first)) {
        return None;
    }
    let digits = text.trim_start_matches(['+', '-']);
    let leading_zero = digits.len() > 1 && digits.starts_with('0');
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        if leading_zero {
            // `007` is an id far more often than a number.
            return None;
        }
        return Some(text.parse().map_or(Data::Odd("a number beyond all bounds"), Data::Int));
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix)
            && !digits.is_empty()
            && digits.chars().all(|letter| letter.is_digit(radix))
        {
            return Some(
                i64::from_str_radix(digits, radix)
                    .map_or(Data::Odd("a number beyond all bounds"), Data::Int),
            );
        }
    }
    decimal(text).then_some(Data::Odd("a decimal number"))
}

fn decimal(text: &str) -> bool {
    let body = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(body, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let shape = |text: &str| text.bytes().all(|it| it.is_ascii_digit() || b".eE+-".contains(&it));
    shape(body) && body.bytes().any(|byte| byte.is_ascii_digit()) && body.parse::<f64>().is_ok()
}
