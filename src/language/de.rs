//! [`Node`] → typed specs, through serde, reporting every mistake and not only the first.
//!
//! A mistake is recorded where it is found and a harmless value takes its place, so that reading
//! goes on. Where serde leaves no such choice (a missing part, a refusal by a type's own visitor)
//! the place is remembered as a hole and the cluster is read again around it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::sync::Arc;

use serde::de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer, Visitor};

use crate::source::{Diagnostic, Diagnostics, Place};

use super::gap::{Gap, Gaps};
use super::hole::{Hole, holes};
use super::node::{Data, Entry, Node, Span, short};
use super::suggest;

/// More rounds than a manifest has required parts.
const MAX_ROUNDS: usize = 256;

/// More mistakes in one cluster are not listed.
const MAX_FINDINGS: usize = 200;

/// Reads a `T`, with harmless values for parts that are missing or wrong; unknown keys alone leave
/// no hole. `None` when nothing could be made of it.
pub(super) fn decode<T: DeserializeOwned>(
    node: &Arc<Node>,
    reported: &Reported,
    findings: &mut Diagnostics,
) -> Option<(T, Gaps)> {
    let cx = ReadContext {
        reported,
        findings: RefCell::default(),
        missing: RefCell::default(),
        refused: RefCell::default(),
        progress: Cell::default(),
        gaps: RefCell::default(),
    };
    let mut decoded = None;
    for _ in 0..MAX_ROUNDS {
        let label = node.label();
        if let Ok(item) =
            T::deserialize(De { node, name: "", key: &label, cx: &cx, protected: false })
        {
            decoded = Some(item);
            break;
        }
        if !cx.progress.take() {
            break;
        }
    }
    findings.append(&mut cx.findings.into_inner());
    Some((decoded?, cx.gaps.into_inner()))
}

/// The places that have a finding already. Clusters of a fleet share it: a default that is wrong
/// is wrong once.
pub(super) type Reported = RefCell<HashSet<(usize, u32, u32)>>;

/// What one reading has found.
struct ReadContext<'r> {
    findings: RefCell<Diagnostics>,
    reported: &'r Reported,
    /// Required parts that are missing, by the map they are missing from.
    missing: RefCell<BTreeMap<usize, Vec<&'static str>>>,
    /// Values that their own type refused.
    refused: RefCell<BTreeSet<usize>>,
    progress: Cell<bool>,
    gaps: RefCell<Gaps>,
}

impl ReadContext<'_> {
    /// Records a finding at a place, once for every place.
    fn report(&self, at: &Span, finding: Diagnostic, label: &str) {
        let few = self.findings.borrow().len() < MAX_FINDINGS;
        if few && self.reported.borrow_mut().insert(at.identity()) {
            self.findings.borrow_mut().push(finding.at(Some(at.place()), label));
        }
    }
}

/// Why serde cannot go on.
#[derive(Debug)]
pub(super) enum Fail {
    /// Recorded; reading again will pass this place.
    Recorded,
    Missing(&'static str),
    Unknown(String, &'static [&'static str]),
    /// Of another shape than this.
    Expected(String),
    /// What is wrong; after a semicolon, how to mend it.
    Other(String),
}

impl fmt::Display for Fail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Fail {}

impl de::Error for Fail {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Other(message.to_string())
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Missing(field)
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::Unknown(field.to_owned(), expected)
    }

    fn invalid_type(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::Expected(expected.to_string())
    }

    fn invalid_value(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::Expected(expected.to_string())
    }
}

/// A value under its key.
#[derive(Clone, Copy)]
struct De<'a> {
    node: &'a Arc<Node>,
    name: &'a str,
    key: &'a Span,
    cx: &'a ReadContext<'a>,
    /// Whether it stands among the protected settings, where an unset variable may be harmless.
    protected: bool,
}

impl<'a> De<'a> {
    /// The text, where it is one that can be used. A variable that is not set is reported.
    fn text(&self) -> Option<&'a str> {
        let text = self.node.text()?;
        let Some(name) = text.unset.as_ref().filter(|_| !self.protected) else {
            return Some(&text.value);
        };
        self.gap(None, false);
        let message = format!("the environment variable `{name}` is not set");
        let finding = Diagnostic::error("unset-variable", message).with_help(format!(
            "set {name}, give a default with ${{{name}:-default}}, or write $$ for a dollar sign"
        ));
        self.cx.report(&self.node.span, finding, "needed here");
        None
    }

    fn gap(&self, lacks: Option<&'static str>, guessed: bool) {
        // Lists and maps are shown by their key.
        let at = match lacks {
            Some(_) => vec![self.key.place()],
            None => vec![self.label().place(), whole(&self.node.span)],
        };
        self.cx.gaps.borrow_mut().add(Gap { node: self.identity(), at, lacks, guessed });
    }

    fn is_unset(&self) -> bool {
        !self.protected && self.node.text().is_some_and(|text| text.unset.is_some())
    }

    fn identity(&self) -> usize {
        Arc::as_ptr(self.node).addr()
    }

    /// What to underline: the value, or the key where the value spans lines or is nothing.
    fn label(&self) -> &'a Span {
        match self.node.data {
            Data::Map(_) | Data::List(_) | Data::Null | Data::Taken => self.key,
            _ => &self.node.span,
        }
    }

    fn subject(&self) -> String {
        if self.name.is_empty() { "this".to_owned() } else { format!("`{}`", short(self.name)) }
    }

    fn wrong_type(&self, expected: &str) {
        self.gap(None, false);
        if matches!(self.node.data, Data::Hole) || self.is_unset() {
            return;
        }
        let found = self.node.describe();
        let message = format!("{} must be {expected}, but is {found}", self.subject());
        let finding = Diagnostic::error("wrong-type", message).with_help(self.mend(expected));
        self.cx.report(self.label(), finding, &format!("{found}, not {expected}"));
    }

    fn mend(&self, expected: &str) -> String {
        let raw = short(self.node.span.raw());
        let key = if self.name.is_empty() { String::new() } else { format!("{}: ", self.name) };
        match (&self.node.data, expected) {
            (
                Data::Bool(_) | Data::Int(_) | Data::Odd(_) | Data::Hole,
                "a text" | "a text in quotes",
            ) => {
                format!("quote it: \"{raw}\"")
            }
            (Data::Text(text), "a boolean") => match suggest::boolean(&text.value) {
                Some(flag) => format!("write {flag}, without quotes"),
                None => "write true or false".to_owned(),
            },
            (Data::Text(_) | Data::Map(_), "a list") => {
                format!("start each item with a dash on a line of its own, or write {key}[…]")
            }
            (Data::Null | Data::Taken, "a map") => {
                "write its parts below it, indented, one `key: value` a line, or take it out"
                    .to_owned()
            }
            (_, "a map") => format!("write {key}and below it, indented, one `key: value` a line"),
            _ => format!("write {expected}"),
        }
    }

    /// Makes a hole of what a visitor refused.
    fn refuse<T>(&self, outcome: Result<T, Fail>) -> Result<T, Fail> {
        let finding = match outcome {
            Ok(item) => return Ok(item),
            Err(Fail::Recorded) => return Err(Fail::Recorded),
            Err(Fail::Missing(part)) => missing(part, self.name),
            Err(Fail::Unknown(key, expected)) => {
                let span = self.node.entry(&key).map(|entry| &entry.at);
                self.cx.report(
                    span.unwrap_or(self.key),
                    unknown(&key, self.name, expected),
                    "unknown",
                );
                return self.hole();
            }
            Err(Fail::Expected(what)) => self.unfit(&what),
            Err(Fail::Other(why)) => {
                let (what, help) = why.split_once("; ").unwrap_or((&why, "write something else"));
                let message = format!("{} is wrong: {what}", self.subject());
                Diagnostic::error("wrong-value", message).with_help(help)
            }
        };
        self.cx.report(self.label(), finding, "here");
        self.hole()
    }

    /// A value of a shape that its type does not take.
    fn unfit(&self, expected: &str) -> Diagnostic {
        let message =
            format!("{} must be {expected}, but is {}", self.subject(), self.node.describe());
        let nested = self.node.entries().first();
        let help = nested.map_or_else(
            || self.mend(expected),
            |entry| format!("if one dotted key is meant, write \"{}.{}\"", self.name, entry.key),
        );
        Diagnostic::error("wrong-type", message).with_help(help)
    }

    /// Reports a missing part, unless it is there under a misspelled key: that is reported already.
    fn lacks(&self, part: &str, fields: &[&str]) {
        let unknown = self.node.entries().iter().filter(|entry| !fields.contains(&&*entry.key));
        let mut meant = unknown.filter_map(|it| suggest::nearest(&it.key, fields.iter().copied()));
        if meant.any(|text| text == part) {
            return;
        }
        let (finding, place, label) = match self.node.entry(part) {
            Some(entry) => {
                let or = match entry.value.data {
                    Data::Taken => ", or remove the line: it takes the fleet's default away",
                    _ => "",
                };
                let finding = Diagnostic::error("missing-part", format!("`{part}` has no value"))
                    .with_help(format!("give it one{}{or}", suggest::example(part)));
                (finding, entry.at.place(), "nothing after it")
            }
            None => (missing(part, self.name), self.key.place(), "something is missing in here"),
        };
        // Several parts may be missing from one place.
        self.cx.findings.borrow_mut().push(finding.at(Some(place), label));
    }

    fn hole<T>(&self) -> Result<T, Fail> {
        self.gap(None, false);
        let new = self.cx.refused.borrow_mut().insert(self.identity());
        self.cx.progress.set(self.cx.progress.get() || new);
        Err(Fail::Recorded)
    }
}

/// All lines of a span.
fn whole(span: &Span) -> Place {
    Place { span: span.range(), ..span.place() }
}

fn missing(part: &str, of: &str) -> Diagnostic {
    let place = if of.is_empty() { String::new() } else { format!(" in `{of}`") };
    Diagnostic::error("missing-part", format!("`{part}` is missing{place}"))
        .with_help(format!("add a line `{part}: …`{}", suggest::example(part)))
}

fn unknown(key: &str, of: &str, fields: &[&str]) -> Diagnostic {
    let place = if of.is_empty() { String::new() } else { format!(" in `{of}`") };
    let help = suggest::nearest(key, fields.iter().copied())
        .map(|nearest| format!("did you mean `{nearest}`?"))
        .or_else(|| suggest::elsewhere(key))
        .unwrap_or_else(|| format!("known here: {}", fields.join(", ")));
    Diagnostic::error("unknown-key", format!("unknown key `{}`{place}", short(key))).with_help(help)
}

impl<'de> de::Deserializer<'de> for De<'_> {
    type Error = Fail;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fail> {
        if self.cx.refused.borrow().contains(&self.identity()) {
            return visitor.visit_unit();
        }
        let outcome = match &self.node.data {
            Data::Null | Data::Taken => visitor.visit_none(),
            Data::Bool(flag) => visitor.visit_bool(*flag),
            Data::Int(number) => visitor.visit_i64(*number),
            Data::Odd(_) | Data::Hole => {
                self.wrong_type("a text");
                return visitor.visit_unit();
            }
            Data::Text(_) => match self.text() {
                Some(text) => visitor.visit_str(text),
                None => visitor.visit_unit(),
            },
            Data::List(items) => visitor.visit_seq(Items { de: self, items, at: 0 }),
            Data::Map(entries) => visitor.visit_map(MapEntries::new(self, entries, None)),
        };
        self.refuse(outcome)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fail> {
        if let Some(text) = self.text() {
            return visitor.visit_str(text);
        }
        self.wrong_type("a text");
        visitor.visit_str("")
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fail> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fail> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fail> {
        if let Data::Bool(flag) = self.node.data {
            return visitor.visit_bool(flag);
        }
        self.wrong_type("a boolean");
        visitor.visit_bool(false)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fail> {
        if self.node.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fail> {
        let items = self.node.items();
        if !matches!(self.node.data, Data::List(_)) {
            self.wrong_type("a list");
        }
        visitor.visit_seq(Items { de: self, items, at: 0 })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fail> {
        if !matches!(self.node.data, Data::Map(_)) {
            self.wrong_type("a map");
        }
        visitor.visit_map(MapEntries::new(self, self.node.entries(), None))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fail> {
        if !matches!(self.node.data, Data::Map(_)) {
            self.wrong_type("a map");
            return visitor.visit_map(holes(fields));
        }
        match visitor.visit_map(MapEntries::new(self, self.node.entries(), Some(fields))) {
            Err(Fail::Missing(part)) => {
                self.gap(Some(part), false);
                self.cx.missing.borrow_mut().entry(self.identity()).or_default().push(part);
                self.cx.progress.set(true);
                self.lacks(part, fields);
                Err(Fail::Recorded)
            }
            Err(fail @ (Fail::Other(_) | Fail::Expected(_))) => self.refuse(Err(fail)),
            outcome => outcome,
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fail> {
        let text = self.text();
        if let Some(found) = text.and_then(|text| variants.iter().find(|it| **it == text)) {
            return visitor.visit_enum((*found).into_deserializer());
        }
        let all = variants.iter().map(|text| format!("`{text}`")).collect::<Vec<_>>().join(", ");
        let mut meant = None;
        match text {
            Some(text) => {
                meant = suggest::nearest(text, variants.iter().copied());
                self.gap(None, meant.is_some());
                let message = format!("{} cannot be `{}`", self.subject(), short(text));
                let help = match meant {
                    Some(text) => format!("did you mean `{text}`? It is one of {all}"),
                    None => format!("it is one of {all}"),
                };
                let finding = Diagnostic::error("wrong-value", message).with_help(help);
                self.cx.report(&self.node.span, finding, "not one of the known words");
            }
            None => self.wrong_type(&format!("one of {all}")),
        }
        let value = meant.or_else(|| variants.first().copied()).unwrap_or_default();
        visitor.visit_enum(value.into_deserializer())
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fail> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fail> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct tuple
        tuple_struct
    }
}

struct Items<'a> {
    de: De<'a>,
    items: &'a [Arc<Node>],
    at: usize,
}

impl<'de> de::SeqAccess<'de> for Items<'_> {
    type Error = Fail;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fail> {
        let Some(node) = self.items.get(self.at) else { return Ok(None) };
        self.at += 1;
        let key = node.label();
        seed.deserialize(De { node, key: &key, ..self.de }).map(Some)
    }
}

/// The entries of a map, then the parts that it lacks.
struct MapEntries<'a> {
    de: De<'a>,
    entries: std::slice::Iter<'a, Entry>,
    fields: Option<&'static [&'static str]>,
    current: Option<&'a Entry>,
    lacking: Vec<&'static str>,
}

impl<'a> MapEntries<'a> {
    fn new(de: De<'a>, entries: &'a [Entry], fields: Option<&'static [&'static str]>) -> Self {
        let lacking = de.cx.missing.borrow().get(&de.identity()).cloned().unwrap_or_default();
        Self { de, entries: entries.iter(), fields, current: None, lacking }
    }
}

impl<'de> de::MapAccess<'de> for MapEntries<'_> {
    type Error = Fail;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fail> {
        for entry in self.entries.by_ref() {
            if let Some(fields) = self.fields {
                if !fields.contains(&&*entry.key) {
                    self.de.cx.report(
                        &entry.at,
                        unknown(&entry.key, self.de.name, fields),
                        "unknown",
                    );
                    continue;
                }
                // A key with nothing after it is as good as no key.
                if entry.value.is_null() {
                    continue;
                }
            } else if matches!(entry.value.data, Data::Taken) {
                continue;
            }
            self.current = Some(entry);
            return seed.deserialize((&*entry.key).into_deserializer()).map(Some);
        }
        self.current = None;
        match self.lacking.last() {
            Some(name) => seed.deserialize((*name).into_deserializer()).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fail> {
        match self.current {
            Some(entry) => seed.deserialize(De {
                node: &entry.value,
                name: &entry.key,
                key: &entry.at,
                cx: self.de.cx,
                protected: self.de.name == "configurationProtectedSettings",
            }),
            None => {
                self.lacking.pop();
                seed.deserialize(Hole)
            }
        }
    }
}
