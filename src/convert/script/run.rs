//! The interpreter: follows assignments, loops, functions and conditions as far as they are known,
//! and writes down every command of `az`, `oc` and `kubectl` with its words resolved.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::rc::Rc;

use super::answer::{filtered, spoken};
use super::marks::named;
use super::read::ScriptReader;
use super::{
    Link, Piece, Raw, ScriptItem, ScriptKind, ScriptNote, ScriptValue, ScriptWorld, Set, Shell,
    Simple, Stmt, TextPart, ToolCall, Word,
};

/// A script that goes on for longer is cut off, with a note.
pub(super) const MOST_STEPS: usize = 30_000;
pub(super) const DEEPEST: usize = 24;
pub(super) const MOST_ROUNDS: usize = 2_000;
/// Commands that only talk of commands.
pub(super) const TALK: [&str; 14] = [
    "echo",
    "printf",
    "which",
    "type",
    "hash",
    "pip",
    "pip3",
    "brew",
    "apt",
    "apt-get",
    "snap",
    "write-host",
    "write-output",
    "alias",
];

pub(super) type Function = (Rc<Vec<Set>>, Rc<Vec<Stmt>>);

/// What a script does, as far as anybody can know without running it.
pub(super) struct ScriptRun<'a> {
    pub(super) piece: &'a Piece,
    pub(super) world: &'a ScriptWorld<'a>,
    pub(super) vars: BTreeMap<String, ScriptValue>,
    pub(super) exported: BTreeSet<String>,
    pub(super) functions: BTreeMap<String, Function>,
    pub(super) called: BTreeSet<String>,
    /// Files that the script writes itself.
    pub(super) files: BTreeMap<String, String>,
    pub(super) args: Option<Vec<String>>,
    pub(super) out: Vec<ScriptItem>,
    pub(super) notes: Vec<ScriptNote>,
    pub(super) branch: Option<(usize, usize)>,
    pub(super) branches: usize,
    pub(super) steps: usize,
    pub(super) depth: usize,
    /// Where everything is said to be, inside of `eval` and files that are read in.
    pub(super) fixed: Option<Range<usize>>,
    /// A variable that nobody sets, on whose absence the last condition relied.
    pub(super) assumed: Option<String>,
    /// Inside `$( … )`: questions are no commands there.
    pub(super) asking: bool,
    /// What a value was made of: variable → variables.
    pub(super) made_of: BTreeMap<String, BTreeSet<String>>,
    pub(super) seen: BTreeSet<String>,
    pub(super) used: BTreeSet<String>,
    /// Variables that stand for what only a run of the script would know.
    pub(super) answers: BTreeSet<String>,
    /// Other values of variables, from branches not taken.
    pub(super) others: Vec<(String, Range<usize>, String)>,
    pub(super) subscription: Option<String>,
    pub(super) group: Option<String>,
}

/// The commands of a piece of a script, in their order, and what to say about it.
pub(in super::super) fn run(
    piece: &Piece,
    world: &ScriptWorld<'_>,
) -> (Vec<ScriptItem>, Vec<ScriptNote>) {
    let mut reader = ScriptReader::new(&piece.text, piece.shell);
    let script = reader.script();
    let notes = std::mem::take(&mut reader.notes);
    let mut run = ScriptRun {
        piece,
        world,
        vars: BTreeMap::new(),
        exported: BTreeSet::new(),
        functions: BTreeMap::new(),
        called: BTreeSet::new(),
        files: BTreeMap::new(),
        args: None,
        out: Vec::new(),
        notes: Vec::new(),
        branch: None,
        branches: 0,
        steps: 0,
        depth: 0,
        fixed: None,
        assumed: None,
        asking: false,
        made_of: BTreeMap::new(),
        seen: BTreeSet::new(),
        used: BTreeSet::new(),
        answers: BTreeSet::new(),
        others: Vec::new(),
        subscription: None,
        group: None,
    };
    run.functions(&script);
    run.list(&script);
    let names: Vec<String> = run.functions.keys().cloned().collect();
    for name in names {
        let function = run.functions.get(&name).cloned();
        if let Some(function) = function.filter(|_| !run.called.contains(&name)) {
            run.args = None;
            run.call(&name, &function, None);
        }
    }
    run.notes.extend(notes.into_iter().map(|note| match note {
        ScriptNote::Slip(span, text) => ScriptNote::Slip(piece.place(&span), text),
        other => other,
    }));
    run.finish()
}

impl ScriptRun<'_> {
    /// What was taken and what was not, for values that commands use.
    fn finish(mut self) -> (Vec<ScriptItem>, Vec<ScriptNote>) {
        let mut used = std::mem::take(&mut self.used);
        let mut open: Vec<String> = used.iter().cloned().collect();
        while let Some(name) = open.pop() {
            for text in self.made_of.get(&name).into_iter().flatten() {
                if used.insert(text.clone()) {
                    open.push(text.clone());
                }
            }
        }
        for (name, span, text) in std::mem::take(&mut self.others) {
            if used.contains(&name) {
                let why = format!("`{name}` has another value in another branch");
                self.notes.push(ScriptNote::Branch(span, why, text));
            }
        }
        if self.steps > MOST_STEPS {
            let why = "the script goes on for too long to be followed".to_owned();
            self.notes.push(ScriptNote::Left(self.piece.place(&(0..0)), why));
        }
        (self.out, self.notes)
    }

    pub(super) fn place(&self, span: &Range<usize>) -> Range<usize> {
        self.fixed.clone().unwrap_or_else(|| self.piece.place(span))
    }

    /// Functions may be called before they are defined further down.
    pub(super) fn functions(&mut self, list: &[Stmt]) {
        for statement in list {
            if let ScriptKind::Function { name, params, body } = &statement.kind {
                if name == "param" {
                    continue;
                }
                self.functions(body);
                let function = (Rc::new(params.clone()), Rc::new(body.clone()));
                self.functions.insert(name.to_lowercase(), function);
            }
        }
    }

    /// Runs statements; whether the last one succeeded, where that is known.
    pub(super) fn list(&mut self, list: &[Stmt]) -> Option<bool> {
        let mut last = None;
        let mut at = 0;
        while let Some(first) = list.get(at) {
            let pipe = list[at + 1..].iter().take_while(|it| it.link == Link::Pipe).count();
            let pipeline = &list[at..=at + pipe];
            at += pipe + 1;
            self.steps += 1;
            if self.steps > MOST_STEPS || self.depth > DEEPEST {
                return None;
            }
            let skipped = match first.link {
                Link::And => last == Some(false),
                Link::Or => last == Some(true),
                Link::Next | Link::Pipe => {
                    self.assumed = None;
                    false
                }
            };
            if skipped {
                self.skipped(pipeline);
                continue;
            }
            last = self.pipeline(pipeline);
        }
        last
    }

    pub(super) fn pipeline(&mut self, pipeline: &[Stmt]) -> Option<bool> {
        let mut input = None;
        let mut last = None;
        for (at, statement) in pipeline.iter().enumerate() {
            if let (ScriptKind::Simple(simple), true) = (&statement.kind, at + 1 < pipeline.len()) {
                let before = input.take();
                input = self.output(simple, before.as_deref());
                if input.is_some() {
                    continue;
                }
            }
            last = self.statement(statement, input.take());
        }
        if pipeline.len() > 1 { None } else { last }
    }

    /// What `cat` and `echo` hand on.
    pub(super) fn output(&mut self, simple: &Simple, input: Option<&str>) -> Option<String> {
        let words = self.words(&simple.words);
        // A text or a variable of PowerShell is a command that prints it.
        if let (Shell::Power, [raw], [word]) = (self.piece.shell, &simple.words[..], &words[..])
            && (matches!(raw.parts.first(), Some(TextPart::Var { .. })) || word.text.contains('\n'))
        {
            return Some(word.text.clone());
        }
        match words.first().map(|it| it.text.as_str()) {
            Some("cat") if simple.body.is_some() => simple.body.as_ref().map(|it| self.text(it)),
            Some("cat" | "Get-Content" | "gc" | "type") if words.len() == 2 => {
                self.file(&words[1].text)
            }
            Some("cat" | "tee") => input.map(str::to_owned),
            Some("tr" | "sort" | "head" | "tail" | "sed" | "seq") => {
                let texts: Vec<&str> = words.iter().map(|it| it.text.as_str()).collect();
                let made = filtered(&texts, input.map(str::to_owned));
                (!unknown(&made)).then_some(made)
            }
            Some("echo" | "printf" | "Write-Output") => {
                let texts: Vec<&str> = words.iter().map(|it| it.text.as_str()).collect();
                spoken(&texts).map(|text| text.replace("\\n", "\n"))
            }
            _ => None,
        }
    }

    /// A file that the script wrote, or one that is there.
    pub(super) fn file(&self, name: &str) -> Option<String> {
        let plain = |text: &str| text.trim_start_matches("./").to_owned();
        let own = self.files.get(&plain(name)).cloned();
        own.or_else(|| (self.world.files)(name))
    }

    pub(super) fn statement(&mut self, statement: &Stmt, input: Option<String>) -> Option<bool> {
        match &statement.kind {
            ScriptKind::Simple(simple) => self.simple(simple, input),
            ScriptKind::If(arms) => {
                self.condition(arms, &statement.span);
                None
            }
            ScriptKind::For { name, items, body } => {
                self.repeat(name, (items, input), body, &statement.span);
                None
            }
            ScriptKind::While { condition, body, input: from } => {
                self.repeat_while(condition, body, (from, input), &statement.span);
                None
            }
            ScriptKind::Function { name, params, .. } if name == "param" => {
                self.bind(params, &[]);
                self.defaults(params);
                None
            }
            ScriptKind::Function { .. } => None,
            ScriptKind::Group(body) => {
                self.depth += 1;
                let last = self.list(body);
                self.depth -= 1;
                last
            }
            ScriptKind::Aside(item) => {
                let mut item = item.clone();
                if let ScriptItem::Directive(it)
                | ScriptItem::Account(it)
                | ScriptItem::EditScc(it) = &mut item
                {
                    it.span = self.place(&it.span);
                }
                self.out.push(item);
                None
            }
        }
    }

    /// Parameters of the script itself: who runs it may give them.
    fn defaults(&mut self, params: &[Set]) {
        for param in params {
            let Some((_, raw)) = param.value.first() else { continue };
            let text = self.text(raw);
            if !text.is_empty() && !unknown(&text) && !text.starts_with(['$', '@']) {
                self.default_taken(&param.name, raw);
            }
        }
    }

    pub(super) fn simple(&mut self, simple: &Simple, input: Option<String>) -> Option<bool> {
        self.seen.clear();
        let words = self.words(&simple.words);
        let both = !words.is_empty() && !simple.sets.is_empty();
        let before = both.then(|| self.vars.clone());
        let seen = std::mem::take(&mut self.seen);
        for set in &simple.sets {
            self.set(set);
        }
        self.seen = seen;
        let body = simple.body.as_ref().map(|it| self.text(it)).or(input);
        let body = body.or_else(|| {
            let name = simple.from.as_ref().map(|from| self.text(from))?;
            self.file(&name)
        });
        if let Some(to) = simple.to.as_ref().map(|it| self.text(it))
            && let Some(text) = self.output(simple, body.as_deref())
        {
            self.files.insert(to.trim_start_matches("./").to_owned(), text);
        }
        let last = self.command(words, body);
        if let Some(before) = before {
            self.vars = before;
        }
        last
    }

    pub(super) fn set(&mut self, set: &Set) {
        self.seen.clear();
        if set.exported {
            self.exported.insert(set.name.clone());
        }
        let fresh = if set.list {
            let mut entries = Vec::new();
            for (key, raw) in &set.value {
                for text in self.fields(raw) {
                    let number = entries.len().to_string();
                    entries.push((key.clone().unwrap_or(number), text));
                }
            }
            ScriptValue::List(entries)
        } else {
            let text = set.value.first().map(|it| self.text(&it.1)).unwrap_or_default();
            let own = if self.exported.contains(&set.name) || self.piece.shell == Shell::Cmd {
                set.name.clone()
            } else {
                super::variable_name(&set.name)
            };
            let value = named(&text, &own);
            if value != text {
                self.answers.insert(own);
            }
            ScriptValue::Text(value)
        };
        let key = set.key.as_ref().map(|it| self.text(it));
        let seen = std::mem::take(&mut self.seen);
        self.made_of.entry(set.name.clone()).or_default().extend(seen);
        if let (Some(what), ScriptValue::Text(text)) =
            (set.name.strip_prefix("AZURE_DEFAULTS_"), &fresh)
        {
            let setting = format!("{}={text}", what.to_lowercase());
            let call =
                ToolCall::new(["az", "configure", "--defaults", &setting], &self.place(&(0..0)));
            self.remember(&call.words);
            self.out.push(ScriptItem::Call(call));
        }
        let slot = self.slot(&set.name);
        let old = self.vars.get(&slot).cloned();
        self.vars.insert(slot, joined(old, (key, set.append), fresh, self.piece.shell));
    }

    /// The name that a variable is kept under: only bash tells `A` from `a`.
    pub(super) fn slot(&self, name: &str) -> String {
        match self.piece.shell {
            Shell::Bash => name.to_owned(),
            Shell::Power | Shell::Cmd => name.to_lowercase(),
        }
    }

    pub(super) fn words(&mut self, raws: &[Raw]) -> Vec<Word> {
        let mut words = Vec::new();
        for raw in raws {
            let span = self.place(&raw.span);
            for text in self.fields(raw) {
                words.push(Word { text, span: span.clone() });
            }
        }
        words
    }
}

/// What a variable holds after `NAME=`, `NAME[key]=` or `NAME+=`.
fn joined(
    old: Option<ScriptValue>,
    (key, append): (Option<String>, bool),
    fresh: ScriptValue,
    shell: Shell,
) -> ScriptValue {
    match (old, key, append, fresh) {
        (Some(ScriptValue::List(mut list)), Some(key), _, ScriptValue::Text(text)) => {
            list.retain(|(own, _)| *own != key);
            list.push((key, text));
            ScriptValue::List(list)
        }
        (_, Some(key), _, ScriptValue::Text(text)) => ScriptValue::List(vec![(key, text)]),
        (Some(ScriptValue::List(list)), None, true, fresh) => {
            let more = match fresh {
                ScriptValue::List(more) => more,
                ScriptValue::Text(text) => vec![(String::new(), text)],
            };
            let count = list.len();
            let numbered = |(at, own): (usize, (String, String))| ((count + at).to_string(), own.1);
            let more: Vec<_> = more.into_iter().enumerate().map(numbered).collect();
            ScriptValue::List(list.into_iter().chain(more).collect())
        }
        (Some(ScriptValue::Text(old)), None, true, ScriptValue::Text(text))
            if old.len() < 100_000 =>
        {
            // PowerShell adds numbers.
            match (old.parse::<i64>(), text.parse::<i64>(), shell) {
                (Ok(old), Ok(more), Shell::Power) => {
                    ScriptValue::Text(old.saturating_add(more).to_string())
                }
                _ => ScriptValue::Text(old + &text),
            }
        }
        (_, _, _, fresh) => fresh,
    }
}

/// Whether a text holds something that only a run of the script would know.
pub(super) fn unknown(text: &str) -> bool {
    text.contains(['\u{1}', '<']) || text.contains("${")
}
