//! Loops and conditions: what is known to run, what may, and what is passed over.

use std::ops::Range;

use super::marks::{TABLE, glob, marked, named};
use super::run::{MOST_ROUNDS, ScriptRun, unknown};
use super::{
    Raw, ScriptItem, ScriptKind, ScriptNote, ScriptValue, Shell, Simple, Stmt, TOOLS, TextPart,
    is_name,
};

impl ScriptRun<'_> {
    pub(super) fn repeat(
        &mut self,
        name: &str,
        (items, input): (&[Raw], Option<String>),
        body: &[Stmt],
        span: &Range<usize>,
    ) {
        self.seen.clear();
        let input = input.filter(|text| !unknown(text));
        let mut found: Vec<String> =
            input.iter().flat_map(|text| text.lines().map(str::to_owned)).collect();
        let mut open = false;
        for raw in items {
            let mut fields = self.fields(raw);
            let table = |text: &str| marked(text).is_some_and(|it| it.0.starts_with(TABLE));
            let some = fields.iter().any(|field| unknown(field) && !table(field));
            open |= some && raw.parts.iter().any(TextPart::several);
            if self.piece.shell == Shell::Cmd {
                let apart = fields.iter().flat_map(|field| super::marks::split(field));
                fields = apart.filter(|text| !text.is_empty()).collect();
            }
            found.extend(fields.iter().flat_map(|it| super::marks::braces(it)).take(MOST_ROUNDS));
            if found.len() > MOST_ROUNDS {
                break;
            }
        }
        let slot = self.slot(name);
        let seen = std::mem::take(&mut self.seen);
        self.made_of.entry(name.to_owned()).or_default().extend(seen);
        let own = if name == "_" { "ITEM".to_owned() } else { super::variable_name(name) };
        if found.is_empty() {
            open = true;
            found.push(format!("${{{own}}}"));
        }
        let before = self.out.len();
        self.depth += 1;
        for text in found.into_iter().take(MOST_ROUNDS) {
            let text = named(&text, &own);
            self.vars.insert(slot.clone(), ScriptValue::Text(text));
            self.list(body);
        }
        self.depth -= 1;
        self.one_round(open, before, span);
    }

    /// Says that one round stands for all, where commands came of a loop that nobody can follow.
    fn one_round(&mut self, open: bool, before: usize, span: &Range<usize>) {
        if open && self.out[before..].iter().any(|it| matches!(it, ScriptItem::Call(_))) {
            let why = "how often this runs is known only when it does: one round stands for all";
            let start = self.place(span).start;
            let line = self.piece.text.get(span.start..).unwrap_or_default().lines().next();
            let end = start + line.unwrap_or_default().len().min(80);
            self.notes.push(ScriptNote::Left(start..end, why.to_owned()));
        }
    }

    pub(super) fn repeat_while(
        &mut self,
        condition: &[Stmt],
        body: &[Stmt],
        (from, input): (&Simple, Option<String>),
        span: &Range<usize>,
    ) {
        let lines = input.or_else(|| from.body.as_ref().map(|body| self.text(body)));
        let lines = lines.or_else(|| {
            let name = from.from.as_ref().map(|it| self.text(it))?;
            self.file(&name)
        });
        self.depth += 1;
        let reads = condition.iter().find_map(|statement| match &statement.kind {
            ScriptKind::Simple(simple) if simple.words.len() > 1 => Some(simple),
            _ => None,
        });
        match (lines, reads) {
            (Some(lines), Some(reads)) => {
                for line in lines.lines().filter(|text| !text.trim().is_empty()).take(MOST_ROUNDS) {
                    self.simple(reads, Some(line.to_owned()));
                    self.list(body);
                }
            }
            _ => {
                let out = self.out.len();
                let mut runs = self.list(condition);
                let open = runs.is_none() || reads.is_some_and(|simple| self.reads(simple));
                for _ in 0..MOST_ROUNDS {
                    let before = self.vars.clone();
                    self.list(body);
                    // Who only waits does not get on.
                    if runs != Some(true) || self.vars == before {
                        break;
                    }
                    runs = self.list(condition);
                    if runs != Some(true) {
                        break;
                    }
                }
                self.one_round(open, out, span);
            }
        }
        self.depth -= 1;
    }

    /// Whether a condition reads lines.
    fn reads(&mut self, simple: &Simple) -> bool {
        self.words(&simple.words[..1]).first().is_some_and(|it| it.text == "read")
    }

    /// Runs the arm that is known to run, or all that may.
    pub(super) fn condition(&mut self, arms: &[(Vec<Stmt>, Vec<Stmt>)], span: &Range<usize>) {
        self.depth += 1;
        let mut open = Vec::new();
        let mut complete = false;
        for (condition, body) in arms {
            self.assumed = None;
            let known = if condition.is_empty() { Some(true) } else { self.list(condition) };
            let assumed = self.assumed.take();
            match known {
                Some(false) => {
                    self.assumed = assumed;
                    self.skipped(body);
                    self.assumed = None;
                }
                Some(true) => {
                    open.push(body);
                    complete = true;
                    break;
                }
                None => open.push(body),
            }
        }
        match open.as_slice() {
            [body] if complete => {
                self.list(body);
            }
            bodies => self.arms(bodies, complete, span),
        }
        self.depth -= 1;
    }

    pub(super) fn arms(&mut self, bodies: &[&Vec<Stmt>], complete: bool, span: &Range<usize>) {
        self.branches += 1;
        let (id, outer) = (self.branches, self.branch);
        self.steps += self.vars.len() / 16;
        let before = self.vars.clone();
        let mut ends = Vec::new();
        for (arm, body) in bodies.iter().enumerate() {
            self.vars = before.clone();
            self.branch = Some((id, arm));
            self.list(body);
            ends.push(std::mem::take(&mut self.vars));
        }
        self.branch = outer;
        let place = self.place(span);
        let mut merged = before.clone();
        for end in &ends {
            for (name, value) in end {
                let old = before.get(name);
                if old == Some(value) {
                    continue;
                }
                // Without an `else` the script may go by, and what was set stays.
                let taken = merged.get(name).cloned();
                if (taken.as_ref() == old && complete) || taken.is_none() {
                    merged.insert(name.clone(), value.clone());
                } else if taken.as_ref() != Some(value) {
                    let text = match value {
                        ScriptValue::Text(text) => text.clone(),
                        ScriptValue::List(list) => {
                            list.iter().map(|it| it.1.as_str()).collect::<Vec<_>>().join(" ")
                        }
                    };
                    self.others.push((name.clone(), place.clone(), format!("{name}={text}")));
                }
            }
        }
        self.vars = merged;
    }

    /// What was passed over because a variable is not set: said, where it counts.
    pub(super) fn skipped(&mut self, list: &[Stmt]) {
        let Some(name) = self.assumed.clone() else { return };
        for statement in list {
            let text = self.piece.text.get(statement.span.clone()).unwrap_or_default();
            let calls = || TOOLS.iter().any(|tool| text.contains(&format!("{tool} ")));
            let counts = match &statement.kind {
                ScriptKind::Simple(simple) => !simple.sets.is_empty() || calls(),
                ScriptKind::Group(_) | ScriptKind::If(_) | ScriptKind::For { .. } => {
                    text.contains("az ")
                }
                _ => false,
            };
            if counts && self.fixed.is_none() {
                let why = format!("`{name}` is not set in this script, so another branch is taken");
                let place = self.place(&statement.span);
                self.notes.push(ScriptNote::Branch(place, why, text.to_owned()));
            }
        }
    }

    /// `[ … ]` and `case`: whether it holds, where that is known.
    pub(super) fn test(&mut self, first: &str, rest: &[String]) -> Option<bool> {
        if first == "case" {
            let [word, pattern] = rest else { return None };
            let fits = |text: &str| glob(text.trim().trim_matches(['"', '\'']), word);
            return (!unknown(word)).then(|| pattern.split('|').any(fits));
        }
        let words: Vec<String> =
            rest.iter().filter(|text| !matches!(text.as_str(), "]" | "]]")).cloned().collect();
        if words.iter().any(|text| matches!(text.as_str(), "&&" | "||" | "-a" | "-o")) {
            return None;
        }
        if let [not, rest @ ..] = words.as_slice()
            && not == "!"
        {
            return self.compare(rest).map(|holds| !holds);
        }
        self.compare(&words)
    }

    pub(super) fn compare(&mut self, words: &[String]) -> Option<bool> {
        let empty = |this: &mut Self, word: &str| {
            if let Some(name) = word.strip_prefix("${").and_then(|text| text.strip_suffix('}'))
                && is_name(name)
                && !this.answers.contains(name)
            {
                this.assumed = Some(name.to_owned());
                return Some(true);
            }
            if unknown(word) { None } else { Some(word.is_empty()) }
        };
        match words {
            [op, word] if op == "-z" => empty(self, word),
            [op, word] if op == "-n" => empty(self, word).map(|it| !it),
            [op, word] if op.eq_ignore_ascii_case("-not") => empty(self, word),
            [op] if op == "-z" => Some(true),
            [op] if op == "-n" => Some(false),
            [word] if self.piece.shell == Shell::Bash => empty(self, word).map(|it| !it),
            [left, op, right] => {
                let equal = match op.to_lowercase().as_str() {
                    "=" | "==" | "-eq" => true,
                    "!=" | "-ne" => false,
                    sign @ ("-lt" | "-le" | "-gt" | "-ge") => {
                        let (left, right) = (left.parse::<i64>().ok()?, right.parse().ok()?);
                        return Some(match sign {
                            "-lt" => left < right,
                            "-le" => left <= right,
                            "-gt" => left > right,
                            _ => left >= right,
                        });
                    }
                    _ => return None,
                };
                let text = |this: &mut Self, word: &str| {
                    empty(this, word).map(|it| if it { String::new() } else { word.to_owned() })
                };
                let (left, right) = (text(self, left)?, text(self, right)?);
                let same = match self.piece.shell {
                    Shell::Bash => glob(&right, &left),
                    Shell::Power | Shell::Cmd => left.eq_ignore_ascii_case(&right),
                };
                Some(same == equal)
            }
            _ => None,
        }
    }

    /// `readarray -t NAME`: the lines of a text that is known.
    pub(super) fn readarray(&mut self, rest: &[String], text: Option<&str>) {
        let Some(name) = rest.iter().rfind(|it| !it.starts_with('-')) else { return };
        let value = match text.filter(|it| !unknown(it)) {
            Some(text) => ScriptValue::numbered(text.trim_end().lines().map(str::to_owned)),
            None => ScriptValue::Text(format!("${{{}}}", super::variable_name(name))),
        };
        self.vars.insert(name.clone(), value);
    }

    /// `read a b`: from a line that is known, or from whoever runs the script.
    pub(super) fn read(&mut self, rest: &[String], line: Option<&str>) {
        let good = |text: &&String| !text.starts_with('-') && is_name(text);
        let names: Vec<&String> = rest.iter().filter(good).collect();
        let separators = match self.vars.get("IFS") {
            Some(ScriptValue::Text(text)) if !text.is_empty() => text.clone(),
            _ => " \t".to_owned(),
        };
        let mut left = line.map(str::trim);
        for (at, name) in names.iter().enumerate() {
            let text = match left {
                None => format!("${{{}}}", super::variable_name(name)),
                Some(text) if at + 1 == names.len() => text.to_owned(),
                Some(text) => {
                    let (head, tail) =
                        text.split_once(|letter| separators.contains(letter)).unwrap_or((text, ""));
                    left = Some(tail.trim_start());
                    head.to_owned()
                }
            };
            self.vars.insert((*name).clone(), ScriptValue::Text(text));
        }
    }
}
