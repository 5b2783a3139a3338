//! Scripts → the commands that they would run: a reader for three shells, and an interpreter that
//! follows what is known without running anything.
//!
//! What cannot be known (a positional, the answer of a program) becomes a variable with a name.
//! Texts come out in the manifest's notation: `${NAME}` is a variable, `$$` a dollar sign.

pub(super) mod answer;
mod aside;
mod bash;
mod cmd;
mod command;
mod expand;
mod flow;
mod marks;
mod powershell;
mod read;
mod run;
mod shells;
mod variables;

use std::collections::BTreeMap;
use std::ops::Range;

pub(super) use run::run;

/// A word of a command, as its program would get it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub text: String,
    pub span: Range<usize>,
}

/// A command of `az`, `oc` or `kubectl`, with the text on its standard input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ToolCall {
    pub words: Vec<Word>,
    pub body: Option<String>,
    /// Which arm of which condition it stands in, where nobody knows which arm runs.
    pub branch: Option<(usize, usize)>,
    /// Files that it names, where they can be read.
    pub files: BTreeMap<String, String>,
}

impl ToolCall {
    /// A command that no shell wrote: each of its words stands at the same place.
    pub(super) fn new<T: Into<String>>(
        words: impl IntoIterator<Item = T>,
        span: &Range<usize>,
    ) -> Self {
        let word = |text: T| Word { text: text.into(), span: span.clone() };
        let words = words.into_iter().map(word).collect();
        Self { words, body: None, branch: None, files: BTreeMap::new() }
    }
}

/// What a text holds for an import, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ScriptItem {
    Call(ToolCall),
    /// `# amlplan: PATH = VALUE`: what no command can say.
    Directive(Word),
    /// `system:serviceaccount:NAMESPACE:NAME` in a list.
    Account(Word),
    /// `oc edit scc NAME` in the middle of a sentence.
    EditScc(Word),
}

/// What the reader of a script should be told, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ScriptNote {
    /// Something the text says wrongly, and what it was taken for.
    Slip(Range<usize>, String),
    /// A variable that stands for what is not known: its name, and why.
    Unknown(Range<usize>, String, String),
    /// Another branch of the script than the one taken: why, and its text.
    Branch(Range<usize>, String, String),
    /// What was not read.
    Left(Range<usize>, String),
    /// What was left out because amlplan does it by itself.
    Aside(Range<usize>, String),
}

/// Which shell a text is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shell {
    Bash,
    Power,
    Cmd,
}

/// A stretch of shell text out of some file.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub shell: Shell,
    pub text: String,
    /// Where its parts stand in the sources: offset here, offset there, ascending.
    pub anchors: Vec<(usize, usize)>,
}

impl Piece {
    /// A whole text that begins at this place of the sources.
    pub(super) fn whole(shell: Shell, text: &str, base: usize) -> Self {
        Self { shell, text: text.to_owned(), anchors: vec![(0, base)] }
    }

    /// Where lines of bash are put together.
    pub(super) const fn empty() -> Self {
        Self { shell: Shell::Bash, text: String::new(), anchors: Vec::new() }
    }

    /// The place in the sources of a stretch of this text.
    fn place(&self, span: &Range<usize>) -> Range<usize> {
        let start = placed(&self.anchors, span.start);
        start..placed(&self.anchors, span.end).max(start)
    }
}

/// A word as it is written.
#[derive(Debug, Clone, Default)]
struct Raw {
    parts: Vec<TextPart>,
    span: Range<usize>,
}

impl Raw {
    const fn new(parts: Vec<TextPart>, span: Range<usize>) -> Self {
        Self { parts, span }
    }

    /// Text as it stands.
    fn text(text: &str, span: Range<usize>) -> Self {
        Self::new(vec![TextPart::Text(text.to_owned())], span)
    }

    /// What is asked of a variable, in one word.
    fn var(name: &str, op: Op, span: Range<usize>) -> Self {
        Self::new(vec![TextPart::Var { name: name.to_owned(), op, quoted: true }], span)
    }
}

#[derive(Debug, Clone)]
enum TextPart {
    /// Text as it stands.
    Text(String),
    Var {
        name: String,
        op: Op,
        quoted: bool,
    },
    /// `@{ key = value }` as an entry of a list.
    Table(Vec<(String, Raw)>),
    /// `$(…)`: its statements, and how it is written.
    Run {
        body: Vec<Stmt>,
        text: String,
        /// What is taken of the answer: `.id` behind it.
        field: Option<String>,
        quoted: bool,
    },
}

/// What `${…}` does with a variable.
#[derive(Debug, Clone)]
enum Op {
    Plain,
    /// `:-`, `-`, `:=`.
    Default(Raw),
    /// `:+`.
    Instead(Raw),
    Lower,
    Upper,
    /// `[@]`.
    All,
    /// `![@]`.
    Keys,
    /// `[key]`.
    Item(Raw),
    /// `%`, `%%`, `#`, `##` and a pattern.
    Trim(&'static str, Raw),
    /// `/from/to`, `//from/to`.
    Replace {
        from: Raw,
        to: Raw,
        every: bool,
    },
    /// `$((…))`: the name is the expression.
    Count,
    /// The rounds of a counting loop: the name is its head.
    Rounds,
    /// Anything else.
    Other,
}

#[derive(Debug, Clone)]
struct Set {
    name: String,
    key: Option<Raw>,
    append: bool,
    /// Whether the value is a list: `(a b)`, `@("a", "b")`.
    list: bool,
    exported: bool,
    value: Vec<Entry>,
}

/// A value, and its key in a list: `[key]=`, `key =`.
type Entry = (Option<String>, Raw);

impl Set {
    /// `name=value`.
    fn new(name: impl Into<String>, value: Raw) -> Self {
        Self {
            name: name.into(),
            key: None,
            append: false,
            list: false,
            exported: false,
            value: vec![(None, value)],
        }
    }
}

/// How a statement hangs on the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Next,
    And,
    Or,
    Pipe,
}

#[derive(Debug, Clone)]
struct Stmt {
    link: Link,
    span: Range<usize>,
    kind: ScriptKind,
}

#[derive(Debug, Clone)]
enum ScriptKind {
    Simple(Simple),
    /// Arms of condition and body; without a condition it is `else`. `case` has conditions that
    /// nobody knows.
    If(Vec<(Vec<Stmt>, Vec<Stmt>)>),
    For {
        name: String,
        items: Vec<Raw>,
        body: Vec<Stmt>,
    },
    While {
        condition: Vec<Stmt>,
        body: Vec<Stmt>,
        /// `done < FILE`, `done <<EOF`.
        input: Simple,
    },
    Function {
        name: String,
        params: Vec<Set>,
        body: Vec<Stmt>,
    },
    Group(Vec<Stmt>),
    /// What stands between the lines for us.
    Aside(ScriptItem),
}

#[derive(Debug, Clone, Default)]
struct Simple {
    sets: Vec<Set>,
    words: Vec<Raw>,
    /// A here-document or here-string.
    body: Option<Raw>,
    /// `> FILE`.
    to: Option<Raw>,
    /// `< FILE`.
    from: Option<Raw>,
}

impl Stmt {
    /// A command of these words.
    fn command(words: Vec<Raw>, span: Range<usize>) -> Self {
        Self::simple(Simple { words, ..Simple::default() }, span)
    }

    /// Whether a word fits a pattern of `case` or `switch`.
    fn fits(word: &Raw, pattern: Raw, span: Range<usize>) -> Self {
        Self::command(vec![Raw::text("case", 0..0), word.clone(), pattern], span)
    }

    const fn simple(simple: Simple, span: Range<usize>) -> Self {
        Self { link: Link::Next, span, kind: ScriptKind::Simple(simple) }
    }
}

impl ScriptKind {
    fn set(set: Set) -> Self {
        Self::Simple(Simple { sets: vec![set], ..Simple::default() })
    }
}

/// What a variable holds, in the manifest's notation.
#[derive(Debug, Clone, PartialEq, Eq)]
enum ScriptValue {
    Text(String),
    /// Entries with their keys.
    List(Vec<(String, String)>),
}

impl ScriptValue {
    /// A list without keys of its own.
    fn numbered(items: impl IntoIterator<Item = String>) -> Self {
        let items = items.into_iter().enumerate();
        Self::List(items.map(|(at, text)| (at.to_string(), text)).collect())
    }

    /// As one text: of a list its first entry.
    fn first(&self) -> Option<&String> {
        match self {
            Self::Text(text) => Some(text),
            Self::List(list) => list.first().map(|it| &it.1),
        }
    }
}

impl TextPart {
    /// Whether it can stand for several words.
    const fn several(&self) -> bool {
        match self {
            Self::Var { quoted, op, .. } => {
                !*quoted || matches!(op, Op::All | Op::Keys | Op::Rounds)
            }
            Self::Run { .. } => true,
            Self::Text(_) | Self::Table(_) => false,
        }
    }
}

/// What is known before a script begins: variables of a pipeline, files beside it.
pub(super) struct ScriptWorld<'a> {
    pub variables: &'a BTreeMap<String, String>,
    pub files: &'a dyn Fn(&str) -> Option<String>,
}

/// The word behind one of these options, or behind its equals sign.
pub(super) fn option<'a>(words: &'a [Word], names: &[&str]) -> Option<&'a str> {
    words.iter().enumerate().find_map(|(at, word)| match word.text.split_once('=') {
        Some((name, value)) if names.contains(&name) => Some(value),
        _ if names.contains(&word.text.as_str()) => Some(words.get(at + 1)?.text.as_str()),
        _ => None,
    })
}

pub(super) const TOOLS: [&str; 3] = ["az", "oc", "kubectl"];

/// The letters, digits and underscores that a text begins with.
pub(super) fn identifier(text: &str) -> &str {
    let end = text.find(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
    &text[..end.unwrap_or(text.len())]
}

/// Whether a text is a name and nothing else.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty() && identifier(text) == text
}

/// Where an offset of a text stands in the sources, by these parts of it.
pub(super) fn placed(anchors: &[(usize, usize)], offset: usize) -> usize {
    let index = anchors.partition_point(|it| it.0 <= offset).saturating_sub(1);
    let (here, there) = anchors.get(index).copied().unwrap_or_default();
    there + (offset - here.min(offset))
}

/// Upper-case letters, digits and underscores: the name of a variable made of any text.
pub(super) fn variable_name(text: &str) -> String {
    let upper = |it: char| if it.is_ascii_alphanumeric() { it.to_ascii_uppercase() } else { '_' };
    let name: String = text.chars().take(60).map(upper).collect();
    let name = name.trim_matches('_');
    match name.chars().next() {
        None => "VALUE".to_owned(),
        Some(first) if first.is_ascii_digit() => format!("V{name}"),
        Some(_) => name.to_owned(),
    }
}
