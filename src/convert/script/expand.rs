//! Words as written → words as a program gets them.
//!
//! What nobody knows travels as a mark with a hint of what it is, until it is assigned to a
//! variable or given to an option: that is where it gets its name.

use super::answer;
use super::marks::{AND, END, IS, MARK, OR, TABLE, cut, mark, name_for, named, split, trim};
use super::run::{MOST_ROUNDS, ScriptRun, unknown};
use super::{Op, Raw, ScriptNote, ScriptValue, Shell, TextPart, Word, variable_name};

/// A word longer than this is not what anybody wrote.
const LONGEST: usize = 200_000;

impl ScriptRun<'_> {
    pub(super) fn text(&mut self, raw: &Raw) -> String {
        self.pieces(raw).into_iter().map(|it| it.0).collect::<Vec<_>>().join(" ")
    }

    /// The words that one written word becomes.
    pub(super) fn fields(&mut self, raw: &Raw) -> Vec<String> {
        let quoted = raw.parts.iter().any(|part| match part {
            TextPart::Run { quoted, .. } => *quoted,
            other => !other.several(),
        });
        let mut out: Vec<String> = Vec::new();
        for (text, splits) in self.pieces(raw) {
            if splits && self.piece.shell == Shell::Bash {
                out.extend(split(&text).into_iter().filter(|part| !part.is_empty()));
            } else if !text.is_empty() || quoted {
                out.push(text);
            }
        }
        out
    }

    /// The parts of a word put together; several where a list stands in it. Whether blanks part
    /// each further.
    fn pieces(&mut self, raw: &Raw) -> Vec<(String, bool)> {
        let mut out = vec![(String::new(), false)];
        let add = |out: &mut Vec<(String, bool)>, text: &str, splits: bool| {
            if let Some(last) = out.last_mut()
                && last.0.len() + text.len() < LONGEST
            {
                last.0.push_str(text);
                last.1 |= splits && text.contains(char::is_whitespace);
            }
        };
        for part in &raw.parts {
            self.steps += 1;
            match part {
                TextPart::Text(text) => {
                    // `~` and `$` are the caller's; our notation doubles the dollar.
                    add(&mut out, &text.replace('$', "$$"), false);
                }
                TextPart::Table(entries) => {
                    let mut texts = Vec::new();
                    for (name, raw) in entries {
                        let text = named(&self.text(raw), &variable_name(name));
                        texts.push(format!("{name}{IS}{text}"));
                    }
                    let texts = texts.join(&AND.to_string());
                    add(&mut out, &format!("{MARK}{TABLE}{texts}{END}"), false);
                }
                TextPart::Run { text, .. } if text.starts_with("<(") => add(&mut out, text, false),
                TextPart::Run { body, text, field, quoted } => {
                    self.depth += 1;
                    let answer = self.answer(body, text);
                    self.depth -= 1;
                    let answer = match field {
                        Some(field) => answer::field(&answer, field),
                        None => answer,
                    };
                    add(&mut out, &answer, !quoted);
                }
                TextPart::Var { name, op, quoted } => {
                    self.seen.insert(name.clone());
                    match self.variable(name, op) {
                        ScriptValue::Text(text) => add(&mut out, &text, !quoted),
                        ScriptValue::List(list) => {
                            let all = part.several() || self.piece.shell != Shell::Bash;
                            let count = if all { list.len() } else { 1 };
                            for (at, (_, text)) in list.iter().enumerate().take(count) {
                                if at > 0 {
                                    out.push((String::new(), false));
                                }
                                add(&mut out, text, !quoted);
                            }
                        }
                    }
                }
            }
        }
        // Values that double with every line are steps, too.
        self.steps += out.iter().map(|it| it.0.len()).sum::<usize>() / 2_000;
        out
    }

    /// What a variable holds; `None` if nobody sets it.
    fn lookup(&self, name: &str) -> Option<ScriptValue> {
        if let Some(found) = self.vars.get(&self.slot(name)) {
            return Some(found.clone());
        }
        if let (Some(args), Ok(at)) = (&self.args, name.parse::<usize>()) {
            let found = at.checked_sub(1).and_then(|at| args.get(at));
            return Some(ScriptValue::Text(found.cloned().unwrap_or_default()));
        }
        if matches!(name, "@" | "*" | "args") {
            return self.args.clone().map(ScriptValue::numbered);
        }
        self.world.variables.get(name).map(|variable| ScriptValue::Text(variable.clone()))
    }

    fn variable(&mut self, name: &str, op: &Op) -> ScriptValue {
        let text = |it: String| ScriptValue::Text(it);
        match op {
            Op::Count => {
                let number = self.math(name, 0);
                return text(number.map_or_else(|| mark("count"), |it| it.to_string()));
            }
            Op::Rounds => {
                let rounds = self.rounds(name);
                return rounds.unwrap_or_else(|| text(mark("")));
            }
            _ => {}
        }
        if let Some(expression) = name.strip_prefix('{') {
            return text(self.expression(expression));
        }
        if let Some((name, field)) = name.split_once('.')
            && self.piece.shell == Shell::Power
        {
            return text(match self.variable(name, &Op::Plain) {
                ScriptValue::Text(text) => answer::field(&text, field),
                ScriptValue::List(list) => {
                    let found = list.into_iter().find(|it| it.0.eq_ignore_ascii_case(field));
                    found.map_or_else(|| mark(field), |it| it.1)
                }
            });
        }
        self.operate(name, op)
    }

    /// A variable by its plain name, with what `${…}` does to it.
    fn operate(&mut self, name: &str, op: &Op) -> ScriptValue {
        let found = self.lookup(name);
        // Values may be long, and most are only read.
        if matches!(op, Op::Plain | Op::All) {
            return found.unwrap_or_else(|| ScriptValue::Text(unset(name, None)));
        }
        let held = found.as_ref().and_then(ScriptValue::first).cloned();
        let known = held.clone().filter(|text| !unknown(text));
        ScriptValue::Text(match op {
            Op::Keys => match found {
                Some(ScriptValue::List(pair)) => {
                    return ScriptValue::numbered(pair.into_iter().map(|it| it.0));
                }
                Some(ScriptValue::Text(_)) | None => mark(name),
            },
            Op::Default(raw) => match held {
                Some(word) if !word.is_empty() => word,
                Some(_) => self.text(raw),
                None => {
                    let default = self.text(raw);
                    if !anonymous(name) && !default.is_empty() {
                        self.default_taken(name, raw);
                    }
                    unset(name, Some(default))
                }
            },
            Op::Instead(raw) => match held {
                Some(word) if !word.is_empty() => self.text(raw),
                Some(_) | None => String::new(),
            },
            Op::Lower => known.map_or_else(|| held_or(name, held), |text| text.to_lowercase()),
            Op::Upper => known.map_or_else(|| held_or(name, held), |text| text.to_uppercase()),
            Op::Item(raw) => self.item(name, raw, found),
            Op::Trim(sign, raw) => {
                let pattern = self.text(raw);
                let known = known.filter(|_| !pattern.contains('['));
                known.map_or_else(|| mark(name), |text| trim(sign, &pattern, &text))
            }
            Op::Replace { from, to, every } => {
                let (from, to) = (self.text(from), self.text(to));
                let times = if *every { usize::MAX } else { 1 };
                // Patterns and anchors say more than letters do.
                let more = from.is_empty() || from.contains(['*', '?', '[', '\\']);
                let known = known.filter(|_| !more && !from.starts_with(['#', '%']));
                known.map_or_else(|| mark(name), |text| text.replacen(&from, &to, times))
            }
            _ => mark(&name.to_lowercase()),
        })
    }

    /// Says that a variable with a default may be set to something else.
    pub(super) fn default_taken(&mut self, name: &str, raw: &Raw) {
        let why = format!("`{name}` may be set by who runs the script; its default is taken");
        self.notes.push(ScriptNote::Unknown(self.place(&raw.span), name.to_owned(), why));
    }

    /// What a sum of numbers and variables comes to, where all of them are known.
    pub(super) fn math(&self, text: &str, depth: usize) -> Option<i64> {
        let text = text.trim();
        if depth > 20 {
            return None;
        }
        // The last sign of the lowest rank parts the expression.
        for signs in [&['+', '-'][..], &['*', '/', '%'][..]] {
            let Some(at) = text.rfind(signs).filter(|number| *number > 0) else { continue };
            let (left, right) =
                (self.math(&text[..at], depth + 1)?, self.math(&text[at + 1..], depth + 1)?);
            return match text.as_bytes()[at] {
                b'+' => left.checked_add(right),
                b'-' => left.checked_sub(right),
                b'*' => left.checked_mul(right),
                b'/' => left.checked_div(right),
                _ => left.checked_rem(right),
            };
        }
        if let Ok(number) = text.parse() {
            return Some(number);
        }
        let counted = text.strip_prefix("${#").and_then(|it| it.split(['[', '}']).next());
        let counted = counted.or_else(|| {
            let list = text.strip_suffix(".Count").or_else(|| text.strip_suffix(".Length"))?;
            list.strip_prefix('$')
        });
        let name = counted.unwrap_or(text.trim_matches(['$', '{', '}', '(', ')', '!', ' ']));
        match self.lookup(name)? {
            ScriptValue::List(list) => i64::try_from(list.len()).ok().filter(|_| counted.is_some()),
            ScriptValue::Text(text) => text.parse().ok(),
        }
    }

    /// `i=0; i<3; i++`: the numbers that a loop counts.
    fn rounds(&self, head: &str) -> Option<ScriptValue> {
        let mut parts = head.split(';');
        let from = self.math(parts.next()?.split_once('=')?.1, 0)?;
        let until = parts.next()?.trim();
        let sign = ["<=", "-le", "<", "-lt"].into_iter().find(|text| until.contains(text))?;
        let to = self.math(until.split_once(sign)?.1, 0)?;
        let to = if sign.ends_with(['=', 'e']) { to } else { to.checked_sub(1)? };
        let step = parts.next()?;
        let by = if step.contains("++") { 1 } else { self.math(step.split_once("+=")?.1, 0)? };
        let by = usize::try_from(by).ok().filter(|number| *number > 0)?;
        let numbers = (from..=to).step_by(by).take(MOST_ROUNDS);
        Some(ScriptValue::numbered(numbers.map(|number| number.to_string())))
    }

    /// `${list[key]}`.
    fn item(&mut self, name: &str, raw: &Raw, found: Option<ScriptValue>) -> String {
        let key = self.text(raw);
        let key = key.trim_start_matches("$$").to_owned();
        match found {
            Some(ScriptValue::List(list)) => {
                let index = match self.vars.get(&key) {
                    Some(ScriptValue::Text(text)) => text.clone(),
                    _ => key,
                };
                let found = list.iter().find(|it| it.0 == index);
                found.map_or_else(|| mark(name), |it| it.1.clone())
            }
            Some(ScriptValue::Text(text)) => text,
            None => mark(name),
        }
    }

    /// `${{ env.X }}` of a workflow, `${{ parameters.x }}` of a pipeline.
    fn expression(&self, text: &str) -> String {
        let last =
            text.rsplit(['.', ' ']).next().unwrap_or(text).trim_matches(['\'', '"', ')', ']']);
        match self.world.variables.get(last) {
            Some(text) => text.clone(),
            None => format!("${{{}}}", variable_name(last)),
        }
    }

    /// Gives what is still not known a name: that of the option, or of the place in an id.
    pub(super) fn resolve(&mut self, words: &mut [Word]) {
        let mut option = String::new();
        for word in words {
            if word.text.starts_with("--") {
                option = word.text.split('=').next().unwrap_or_default().to_owned();
            } else if let Some((_, long)) = SHORT.iter().find(|it| it.0 == word.text) {
                option = (*long).to_owned();
            }
            let secret = option.starts_with("--config") && option.contains("protected");
            let whole = std::mem::take(&mut word.text);
            let mut rest = whole.as_str();
            while let Some((head, inside, tail)) = cut(rest) {
                word.text.push_str(head);
                rest = tail;
                let (hint, default) = match inside.split_once(OR) {
                    Some((hint, default)) => (hint, Some(default)),
                    None => (inside, None),
                };
                let file = hint.strip_prefix("cat:").filter(|_| secret);
                let text = match (file, hint.strip_prefix("show:")) {
                    (Some(path), _) => format!("$(cat {path})"),
                    (None, Some(id)) => id.to_owned(),
                    (None, None) => {
                        let name = name_for(&word.text, tail, hint, &option);
                        match default {
                            Some(default) => format!("${{{name}:-{default}}}"),
                            None => format!("${{{name}}}"),
                        }
                    }
                };
                word.text.push_str(&text);
            }
            word.text.push_str(rest);
            if !secret {
                self.variables(word);
            }
        }
    }

    /// Says which variables a word reads.
    fn variables(&mut self, word: &Word) {
        for part in word.text.replace("$$", "").split("${").skip(1) {
            let Some((name, _)) = part.split_once('}') else { continue };
            if name.contains(":-0000") || name.chars().any(|letter| letter.is_whitespace()) {
                continue;
            }
            let name = name.split(":-").next().unwrap_or_default().to_owned();
            let why = format!("`{name}` is known only when the script runs");
            self.notes.push(ScriptNote::Unknown(word.span.clone(), name, why));
        }
    }
}

/// Whether a name says nothing of what it holds.
fn anonymous(name: &str) -> bool {
    name.chars().all(|letter| letter.is_ascii_digit())
        || ["OPTARG", "REPLY", "RANDOM", "COUNT", "_", "@", "*", "args", "PSItem"].contains(&name)
}

/// What stands for a variable that nobody sets.
fn unset(name: &str, default: Option<String>) -> String {
    match (anonymous(name), default) {
        (true, Some(default)) => format!("{MARK}arg {name}{OR}{default}{END}"),
        (true, None) => mark(&format!("arg {name}")),
        (false, Some(default)) => default,
        (false, None) => format!("${{{name}}}"),
    }
}

/// What a variable holds, though nobody knows it in full.
fn held_or(name: &str, held: Option<String>) -> String {
    held.unwrap_or_else(|| unset(name, None))
}

const SHORT: [(&str, &str); 5] = [
    ("-g", "--resource-group"),
    ("-c", "--cluster-name"),
    ("-w", "--workspace-name"),
    ("-n", "--name"),
    ("-s", "--subscription"),
];
