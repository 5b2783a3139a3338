//! The options of one command, by their full names.

use std::ops::Range;

use super::super::script::Word;
use crate::language::suggest;

/// Something a command line says wrongly, and what it was taken for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Slip {
    pub span: Range<usize>,
    pub message: String,
}

/// An option of `az` and its other names, the full one first.
pub(super) type OptionNames = &'static [&'static str];

/// What any `az` command takes.
const COMMON: [OptionNames; 8] = [
    &["--subscription"],
    &["--no-wait"],
    &["--yes", "-y"],
    &["--output", "-o"],
    &["--query"],
    &["--only-show-errors", "--verbose", "--debug"],
    &["--help", "-h"],
    &["--set"],
];

/// Options with their values, and the words before them.
#[derive(Debug)]
pub(super) struct CommandOptions {
    /// The words before the first option: `az k8s-extension create`.
    pub verb: Vec<Word>,
    given: Vec<(&'static str, Range<usize>, Vec<Word>)>,
}

impl CommandOptions {
    /// The words before the options, as one text.
    pub(super) fn verb(words: &[Word]) -> String {
        let words = words.iter().map(|it| it.text.as_str());
        words.take_while(|text| !is_option(text)).collect::<Vec<_>>().join(" ")
    }

    /// Reads the words of a command that knows these options. Unknown options are taken for the
    /// nearest known one, or reported and left out.
    pub(super) fn read(words: &[Word], known: &[OptionNames], slips: &mut Vec<Slip>) -> Self {
        let mut options = Self { verb: Vec::new(), given: Vec::new() };
        let mut dropped = false;
        let mut words = split(words, known, slips).into_iter().peekable();
        while let Some(word) = words.next() {
            if !is_option(&word.text) {
                match options.given.last_mut() {
                    Some(_) | None if dropped => {}
                    Some((_, _, values)) => values.push(word),
                    None => options.verb.push(word),
                }
                continue;
            }
            let (text, span) = dashes(&word, &mut words, slips);
            let (name, value) = match text.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (text, None),
            };
            let Some(found) = full_name(&name, known, &span, slips) else {
                dropped = true;
                continue;
            };
            dropped = false;
            let value = value.map(|text| Word { text, span: span.clone() });
            options.given.push((found, span, value.into_iter().collect()));
        }
        options
    }

    /// The value of an option.
    pub(super) fn one(&self, name: &str) -> Option<&Word> {
        self.given.iter().rev().find(|(known, ..)| *known == name)?.2.first()
    }

    /// All values of an option, which may be given several times.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &Word> {
        self.given.iter().filter(move |(known, ..)| *known == name).flat_map(|it| &it.2)
    }

    /// Where the command stands.
    pub(super) fn span(&self) -> Range<usize> {
        let start = self.verb.first().map_or(0, |verb| verb.span.start);
        let end = self.verb.last().map_or(start, |verb| verb.span.end);
        start..end
    }
}

fn is_option(word: &str) -> bool {
    let dash = word.starts_with(['–', '—']);
    dash || (word.starts_with('-') && word.len() > 1 && !word.starts_with("-----"))
}

/// `–name`, `– name` and `-- name`, which word processors make of `--name`.
fn dashes(
    word: &Word,
    words: &mut std::iter::Peekable<std::vec::IntoIter<Word>>,
    slips: &mut Vec<Slip>,
) -> (String, Range<usize>) {
    let bare = word.text.trim_start_matches(['-', '–', '—']);
    if bare.is_empty() {
        let Some(next) = words.next() else { return (word.text.clone(), word.span.clone()) };
        let name = format!("--{}", next.text);
        let span = word.span.start..next.span.end;
        let message = format!("`{} {}`, taken for `{name}`", word.text, next.text);
        slips.push(Slip { span: span.clone(), message });
        return (name, span);
    }
    if word.text.starts_with('-') {
        return (word.text.clone(), word.span.clone());
    }
    let name = if bare.len() == 1 { format!("-{bare}") } else { format!("--{bare}") };
    let message = format!("`{}`, taken for `{name}`", word.text);
    slips.push(Slip { span: word.span.clone(), message });
    (name, word.span.clone())
}

fn full_name(
    name: &str,
    known: &[OptionNames],
    span: &Range<usize>,
    slips: &mut Vec<Slip>,
) -> Option<&'static str> {
    let all = || known.iter().chain(&COMMON);
    let exact = all().find(|text| text.contains(&name));
    let prefixed = || {
        let mut found = all().filter(|it| name.len() > 3 && it.iter().any(|n| n.starts_with(name)));
        found.next().filter(|_| found.next().is_none())
    };
    if let Some(found) = exact.or_else(prefixed) {
        return found.first().copied();
    }
    // One letter is near to any other.
    let long = |text: &&str| text.starts_with("--");
    let names = || all().flat_map(|text| text.iter().copied()).filter(long);
    let near = if name.starts_with("--") { suggest::nearest(name, names()) } else { None };
    let found = near.and_then(|near| all().find(|text| text.contains(&near)));
    let message = match near {
        Some(near) => format!("`{name}`, taken for `{near}`"),
        None => format!("`{name}` is not an option amlplan has a use for; left out"),
    };
    slips.push(Slip { span: span.clone(), message });
    found.and_then(|text| text.first().copied())
}

/// Splits `value--option` where a blank is missing.
fn split(words: &[Word], known: &[OptionNames], slips: &mut Vec<Slip>) -> Vec<Word> {
    let names: Vec<&str> =
        known.iter().flat_map(|it| it.iter().copied()).filter(|it| it.starts_with("--")).collect();
    let mut out = Vec::new();
    for word in words {
        let glued = names.iter().copied().find(|name| {
            word.text.len() > name.len() && word.text.ends_with(name) && !is_option(&word.text)
        });
        let Some(name) = glued else {
            out.push(word.clone());
            continue;
        };
        let head = word.text.len() - name.len();
        let at = word.span.end.saturating_sub(name.len());
        let message = format!("the blank before `{name}` is missing");
        slips.push(Slip { span: at..word.span.end, message });
        let text = word.text.get(..head).unwrap_or_default().to_owned();
        out.push(Word { text, span: word.span.start..at });
        out.push(Word { text: name.to_owned(), span: at..word.span.end });
    }
    out
}
