//! Words as written → words as a program gets them.
//!
//! What nobody knows travels as a mark with a hint of what it is, until it is assigned to a
//! variable or given to an option: that is where it gets its name.

use super::answer;
use super::run::{Run, unknown};
use super::{Note, Op, Part, Raw, Shell, Value, Word, variable_name};

/// Begins a mark, ends it, and parts its default off.
const MARK: char = '\u{1}';
const END: char = '\u{2}';
const OR: char = '\u{3}';
/// A word longer than this is not what anybody wrote.
const LONGEST: usize = 200_000;

/// A mark for what is not known.
pub(super) fn mark(hint: &str) -> String {
    let hint: String = hint.chars().filter(|it| !it.is_control()).take(300).collect();
    format!("{MARK}{hint}{END}")
}

/// The hint and the default of a text that is one mark.
pub(super) fn marked(text: &str) -> Option<(&str, Option<&str>)> {
    let inside = text.strip_prefix(MARK)?.strip_suffix(END)?;
    if inside.contains([MARK, END]) {
        return None;
    }
    Some(match inside.split_once(OR) {
        Some((hint, default)) => (hint, Some(default)),
        None => (inside, None),
    })
}

/// The text with its mark named after what it is assigned to.
pub(super) fn named(text: &str, name: &str) -> String {
    match marked(text.trim()) {
        Some((hint, _)) if hint.starts_with("show:") || hint.starts_with("cat:") => text.to_owned(),
        Some((_, Some(default))) => format!("${{{name}:-{default}}}"),
        Some((_, None)) => format!("${{{name}}}"),
        None => text.to_owned(),
    }
}

/// Whether a pattern of `*`, `?` and letters fits the whole text.
pub(super) fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(it) if *it == '?' || *it == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((at, from)) = star else { return false };
                star = Some((at, from + 1));
                p = at + 1;
                t = from + 1;
            }
        }
    }
    pattern[p..].iter().all(|it| *it == '*')
}

/// `{1..3}` and `{a,b}`.
pub(super) fn braces(text: &str) -> Vec<String> {
    let whole = || vec![text.to_owned()];
    let Some((head, rest)) = text.split_once('{').filter(|it| !it.0.ends_with('$')) else {
        return whole();
    };
    let Some((inside, tail)) = rest.split_once('}') else { return whole() };
    if let Some((from, to)) = inside.split_once("..")
        && let (Ok(first), Ok(last)) = (from.parse::<u32>(), to.parse::<u32>())
        && last.abs_diff(first) < 2_000
    {
        let width = if from.starts_with('0') { from.len() } else { 0 };
        return (first.min(last)..=first.max(last))
            .map(|it| format!("{head}{it:0width$}{tail}"))
            .collect();
    }
    if inside.contains(',') {
        return inside.split(',').map(|it| format!("{head}{it}{tail}")).collect();
    }
    whole()
}

/// Words parted by blanks, but not inside marks and placeholders.
fn split(text: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    let mut depth = 0_usize;
    for it in text.chars() {
        match it {
            MARK | '<' | '{' => depth += 1,
            END | '>' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if it.is_whitespace() && depth == 0 {
            out.push(String::new());
        } else if let Some(last) = out.last_mut() {
            last.push(it);
        }
    }
    out
}

impl Run<'_> {
    pub(super) fn text(&mut self, raw: &Raw) -> String {
        let mut out = Vec::new();
        for (text, _) in self.pieces(raw) {
            out.push(text);
        }
        out.join(" ")
    }

    /// The words that one written word becomes.
    pub(super) fn fields(&mut self, raw: &Raw) -> Vec<String> {
        let quoted = raw.parts.iter().any(|it| match it {
            Part::Text(_) => true,
            Part::Var { quoted, op, .. } => *quoted && !matches!(op, Op::All | Op::Keys),
            Part::Run { quoted, .. } => *quoted,
        });
        let pieces = self.pieces(raw);
        let mut out: Vec<String> = Vec::new();
        for (text, splits) in pieces {
            if splits && self.piece.shell == Shell::Bash {
                out.extend(split(&text).into_iter().filter(|it| !it.is_empty()));
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
                Part::Text(it) => {
                    // `~` and `$` are the caller's; our notation doubles the dollar.
                    add(&mut out, &it.replace('$', "$$"), false);
                }
                Part::Run { text, .. } if text.starts_with("<(") => add(&mut out, text, false),
                Part::Run { body, text, field, quoted } => {
                    self.depth += 1;
                    let answer = self.answer(body, text);
                    self.depth -= 1;
                    let answer = match field {
                        Some(field) => answer::field(&answer, field),
                        None => answer,
                    };
                    add(&mut out, &answer, !quoted);
                }
                Part::Var { name, op, quoted } => {
                    self.seen.insert(name.clone());
                    match self.variable(name, op) {
                        Value::Text(it) => add(&mut out, &it, !quoted),
                        Value::List(list) => {
                            let all =
                                matches!(op, Op::All | Op::Keys) || self.piece.shell != Shell::Bash;
                            for (at, (_, it)) in list.iter().enumerate() {
                                if at > 0 && !all {
                                    break;
                                }
                                if at > 0 {
                                    out.push((String::new(), false));
                                }
                                add(&mut out, it, !quoted);
                            }
                        }
                    }
                }
            }
        }
        out
    }

    /// What a variable holds; `None` if nobody sets it.
    fn lookup(&self, name: &str) -> Option<Value> {
        if let Some(found) = self.vars.get(&self.slot(name)) {
            return Some(found.clone());
        }
        let positional = name.parse::<usize>().ok();
        if let (Some(args), Some(at)) = (&self.args, positional) {
            return Some(Value::Text(
                at.checked_sub(1).and_then(|at| args.get(at)).cloned().unwrap_or_default(),
            ));
        }
        if matches!(name, "@" | "*" | "args") {
            let args = self.args.clone()?;
            return Some(Value::List(args.into_iter().map(|it| (String::new(), it)).collect()));
        }
        self.world.variables.get(name).map(|it| Value::Text(it.clone()))
    }

    fn variable(&mut self, name: &str, op: &Op) -> Value {
        let text = |it: String| Value::Text(it);
        if let Some(expression) = name.strip_prefix('{') {
            return text(self.expression(expression));
        }
        if let Some((name, field)) = name.split_once('.')
            && self.piece.shell == Shell::Power
        {
            return text(match self.variable(name, &Op::Plain) {
                Value::Text(it) => answer::field(&it, field),
                Value::List(list) => {
                    let found = list.into_iter().find(|it| it.0.eq_ignore_ascii_case(field));
                    found.map_or_else(|| mark(field), |it| it.1)
                }
            });
        }
        self.operate(name, op)
    }

    /// A variable by its plain name, with what `${…}` does to it.
    fn operate(&mut self, name: &str, op: &Op) -> Value {
        let text = |it: String| Value::Text(it);
        let found = self.lookup(name);
        let unset = |default| unset(name, default);
        let known = |it: &String| !unknown(it);
        match op {
            Op::Plain => found.unwrap_or_else(|| text(unset(None))),
            Op::Default(raw) => match plain(&found) {
                Some(it) if !it.is_empty() => text(it),
                Some(_) => text(self.text(raw)),
                None => {
                    let default = self.text(raw);
                    if !anonymous(name) && !default.is_empty() {
                        let why = format!(
                            "`{name}` may be set by who runs the script; its default is taken"
                        );
                        self.notes.push(Note::Unknown(self.place(&raw.span), name.to_owned(), why));
                    }
                    text(unset(Some(default)))
                }
            },
            Op::Instead(raw) => match plain(&found) {
                Some(it) if !it.is_empty() => text(self.text(raw)),
                Some(_) | None => text(String::new()),
            },
            Op::Lower | Op::Upper => text(match plain(&found) {
                None => unset(None),
                Some(it) if unknown(&it) => it,
                Some(it) if matches!(op, Op::Lower) => it.to_lowercase(),
                Some(it) => it.to_uppercase(),
            }),
            Op::All => match found {
                Some(it) => it,
                None => text(unset(None)),
            },
            Op::Keys => match found {
                Some(Value::List(it)) => {
                    Value::List(it.into_iter().map(|it| (String::new(), it.0)).collect())
                }
                Some(Value::Text(_)) | None => text(mark(name)),
            },
            Op::Item(raw) => text(self.item(name, raw, found)),
            Op::Trim(sign, raw) => {
                let pattern = self.text(raw);
                text(
                    plain(&found)
                        .filter(known)
                        .map_or_else(|| mark(name), |it| trim(sign, &pattern, &it)),
                )
            }
            Op::Replace(from, to) => {
                let (from, to) = (self.text(from), self.text(to));
                text(
                    plain(&found)
                        .filter(known)
                        .map_or_else(|| mark(name), |it| it.replace(&from, &to)),
                )
            }
            Op::Other => text(mark(&name.to_lowercase())),
        }
    }

    /// `${list[key]}`.
    fn item(&mut self, name: &str, raw: &Raw, found: Option<Value>) -> String {
        let key = self.text(raw);
        let key = key.trim_start_matches("$$").to_owned();
        match found {
            Some(Value::List(list)) => {
                let index = match self.vars.get(&key) {
                    Some(Value::Text(it)) => it.clone(),
                    _ => key,
                };
                let found = list.iter().find(|it| it.0 == index);
                found.map_or_else(|| mark(name), |it| it.1.clone())
            }
            Some(Value::Text(it)) => it,
            None => mark(name),
        }
    }

    /// `${{ env.X }}` of a workflow, `${{ parameters.x }}` of a pipeline.
    fn expression(&self, text: &str) -> String {
        let last =
            text.rsplit(['.', ' ']).next().unwrap_or(text).trim_matches(['\'', '"', ')', ']']);
        match self.world.variables.get(last) {
            Some(it) => it.clone(),
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
            while let Some((head, inside, tail)) = cut(&word.text) {
                let (hint, default) = match inside.split_once(OR) {
                    Some((hint, default)) => (hint, Some(default)),
                    None => (inside, None),
                };
                let file = hint.strip_prefix("cat:").filter(|_| secret);
                let text = match (file, hint.strip_prefix("show:")) {
                    (Some(path), _) => format!("$(cat {path})"),
                    (None, Some(id)) => id.to_owned(),
                    (None, None) => {
                        let name = name_for(head, tail, hint, &option);
                        match default {
                            Some(default) => format!("${{{name}:-{default}}}"),
                            None => format!("${{{name}}}"),
                        }
                    }
                };
                word.text = format!("{head}{text}{tail}");
            }
            if !secret {
                self.variables(word);
            }
        }
    }

    /// Says which variables a word reads.
    fn variables(&mut self, word: &Word) {
        for part in word.text.replace("$$", "").split("${").skip(1) {
            let Some((name, _)) = part.split_once('}') else { continue };
            if name.contains(":-0000") || name.chars().any(|it| it.is_whitespace()) {
                continue;
            }
            let name = name.split(":-").next().unwrap_or_default().to_owned();
            let why = format!("`{name}` is known only when the script runs");
            self.notes.push(Note::Unknown(word.span.clone(), name, why));
        }
    }
}

/// Whether a name says nothing of what it holds.
fn anonymous(name: &str) -> bool {
    name.chars().all(|it| it.is_ascii_digit())
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

/// A value as one text: of a list its first entry.
fn plain(found: &Option<Value>) -> Option<String> {
    match found {
        Some(Value::Text(it)) => Some(it.clone()),
        Some(Value::List(it)) => it.first().map(|it| it.1.clone()),
        None => None,
    }
}

const SHORT: [(&str, &str); 5] = [
    ("-g", "--resource-group"),
    ("-c", "--cluster-name"),
    ("-w", "--workspace-name"),
    ("-n", "--name"),
    ("-s", "--subscription"),
];

/// The text around the first mark, and what is in it.
fn cut(text: &str) -> Option<(&str, &str, &str)> {
    let (head, rest) = text.split_once(MARK)?;
    // Marks do not stand in marks; should one, the outer one is cut short.
    let (inside, tail) = rest.split_once(END).unwrap_or((rest, ""));
    Some((head, inside.split(MARK).next().unwrap_or_default(), tail))
}

fn name_for(head: &str, tail: &str, hint: &str, option: &str) -> String {
    let lower = head.to_ascii_lowercase();
    let segments = [
        ("subscriptions/", "SUBSCRIPTION_ID"),
        ("resourcegroups/", "RESOURCE_GROUP"),
        ("clusters/", "CLUSTER_NAME"),
        ("workspaces/", "WORKSPACE_NAME"),
        ("identities/", "IDENTITY_NAME"),
    ];
    if let Some((_, name)) = segments.iter().find(|it| lower.ends_with(it.0)) {
        return (*name).to_owned();
    }
    if let Some(key) = head.strip_suffix('=') {
        return variable_name(key);
    }
    let good = hint.len() > 1 && !hint.starts_with("arg ") && !hint.starts_with("cat:");
    match () {
        () if good => variable_name(hint),
        () if head.is_empty() && tail.is_empty() && option.len() > 2 => variable_name(option),
        () => variable_name(hint),
    }
}

/// `${X%pattern}` and its kin.
fn trim(sign: &str, pattern: &str, text: &str) -> String {
    let ends: Vec<usize> =
        text.char_indices().map(|it| it.0).chain([text.len()]).take(2_000).collect();
    let found = match sign {
        "%" => ends.iter().rev().find(|at| glob(pattern, &text[**at..])),
        "%%" => ends.iter().find(|at| glob(pattern, &text[**at..])),
        "#" => ends.iter().find(|at| glob(pattern, &text[..**at])),
        _ => ends.iter().rev().find(|at| glob(pattern, &text[..**at])),
    };
    match found {
        Some(at) if sign.starts_with('%') => text[..*at].to_owned(),
        Some(at) => text[*at..].to_owned(),
        None => text.to_owned(),
    }
}
