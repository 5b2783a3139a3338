//! Programs, notebooks, makefiles and Dockerfiles in the words of a shell.

use crate::model::Json;

use super::super::script::{Piece, ScriptNote, identifier, is_name, placed, variable_name};
use super::embed::holds_command;

/// The cells of a notebook that call programs.
pub(super) fn notebook(text: &str, base: usize, notes: &mut Vec<ScriptNote>) -> Vec<Piece> {
    let Ok(document) = serde_json::from_str::<Json>(text) else { return Vec::new() };
    let mut piece = Piece::empty();
    let mut from = 0;
    let cells = document.get("cells").and_then(Json::as_array).into_iter().flatten();
    for cell in cells.filter(|it| it.get("cell_type").and_then(Json::as_str) == Some("code")) {
        let source = match cell.get("source") {
            Some(Json::String(text)) => text.clone(),
            Some(Json::Array(values)) => values.iter().filter_map(Json::as_str).collect(),
            _ => continue,
        };
        // Where each line stands in the file, as JSON writes it.
        let mut anchors = Vec::new();
        let mut at = 0;
        for line in source.split_inclusive('\n') {
            let written = Json::from(line.trim_end_matches('\n')).to_string();
            let written = written.trim_matches('"');
            from = text.get(from..).and_then(|it| it.find(written)).map_or(from, |it| from + it);
            anchors.push((at, base + from));
            at += line.len();
        }
        let mut program = Program { text: &source, anchors: &anchors, piece: &mut piece, notes };
        if source.starts_with("%%bash") || source.starts_with("%%sh") {
            program.lines(0, &braced(&source));
        } else {
            program.read();
        }
    }
    if piece.anchors.is_empty() { Vec::new() } else { vec![piece] }
}

/// What a Python program starts: lists of words that begin with one of the tools, commands in one
/// text, and computes of the SDK. Names become variables.
pub(super) fn python(text: &str, base: usize, notes: &mut Vec<ScriptNote>) -> Piece {
    let mut piece = Piece::empty();
    Program { text, anchors: &[(0, base)], piece: &mut piece, notes }.read();
    piece
}

/// A program as the shell would say it.
struct Program<'a> {
    text: &'a str,
    /// Where its parts stand in the sources.
    anchors: &'a [(usize, usize)],
    piece: &'a mut Piece,
    notes: &'a mut Vec<ScriptNote>,
}

impl Program<'_> {
    fn place(&self, at: usize) -> usize {
        placed(self.anchors, at)
    }

    /// Adds lines of a shell that stand at this place.
    fn lines(&mut self, mut at: usize, lines: &str) {
        for line in lines.split_inclusive('\n') {
            self.piece.anchors.push((self.piece.text.len(), self.place(at)));
            self.piece.text.push_str(line);
            at += line.len();
        }
        if !self.piece.text.ends_with('\n') {
            self.piece.text.push('\n');
        }
    }

    fn read(&mut self) {
        let text = self.text;
        let mut loops: Vec<usize> = Vec::new();
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|it| !it.is_empty()) {
            if at == 0 || text[..at].ends_with('\n') {
                let line = rest.split('\n').next().unwrap_or_default();
                let indent = line.len() - line.trim_start().len();
                let begins = !line.trim().is_empty() && !line.trim_start().starts_with('#');
                while begins && loops.last().is_some_and(|number| *number >= indent) {
                    loops.pop();
                    self.piece.text.push_str("done\n");
                }
                if let Some(head) = python_for(line.trim()) {
                    loops.push(indent);
                    self.lines(at, &head);
                    at += line.len();
                    continue;
                }
                if let Some((said, length)) = whole_line(&rest[indent..]) {
                    self.lines(at + indent, &said);
                    at += indent + length;
                    continue;
                }
            }
            at += self.call(at, rest);
        }
        loops.iter().for_each(|_| self.piece.text.push_str("done\n"));
    }

    /// A command that begins here; how much was read.
    fn call(&mut self, at: usize, rest: &str) -> usize {
        if let Some((words, length)) = rest.strip_prefix('[').and_then(python_list) {
            self.lines(at, &words.join(" "));
            return length + 1;
        }
        if let Some(inside) = rest.strip_prefix("KubernetesCompute(") {
            return self.compute(at, inside) + rest.len() - inside.len();
        }
        let said = rest.starts_with(['"', '\'']).then(|| python_text(rest)).flatten();
        if let Some((said, length)) = said {
            if holds_command(&said) {
                let named = self.text[..at].ends_with('f');
                self.lines(at, &if named { braced(&said) } else { said });
            }
            return length;
        }
        rest.chars().next().map_or(1, char::len_utf8)
    }

    /// `KubernetesCompute(name="…", resource_id="…", namespace="…")` of the SDK.
    fn compute(&mut self, at: usize, inside: &str) -> usize {
        let mut line = "az ml compute attach --type Kubernetes".to_owned();
        let mut from = 0;
        while let Some(rest) = inside.get(from..) {
            let blank = rest.len() - rest.trim_start_matches([' ', '\n', '\t', '\r', ',']).len();
            let rest = &rest[blank..];
            let Some((name, value)) = rest.split_once('=').filter(|it| !it.0.contains([')', '(']))
            else {
                break;
            };
            let bare = value.trim_start();
            let Some((said, length)) = python_word(bare) else { break };
            match name.trim() {
                own @ ("name" | "resource_id" | "namespace" | "description") => {
                    let option = own.replace('_', "-");
                    line.extend([" --", &option, " ", &said]);
                }
                other => {
                    let why = format!("`{other}` of KubernetesCompute is not read");
                    let place = self.place(at);
                    self.notes.push(ScriptNote::Left(place..place + 17, why));
                }
            }
            from += blank + name.len() + 1 + value.len() - bare.len() + length;
        }
        self.lines(at, &line);
        from
    }
}

/// A line that is a command (`!az …`), or sets a name; how much of the text it is.
fn whole_line(rest: &str) -> Option<(String, usize)> {
    if let Some(command) = rest.strip_prefix('!').or_else(|| rest.strip_prefix("%sx ")) {
        let mut length = 0;
        for line in command.split_inclusive('\n') {
            length += line.len();
            if !line.trim_end().ends_with('\\') {
                break;
            }
        }
        let said = braced(&command[..length]);
        return Some((said, length + rest.len() - command.len()));
    }
    let line = rest.split('\n').next().unwrap_or_default();
    if let Some(set) = python_set(line) {
        return Some((set, line.len()));
    }
    let (name, value) = rest.split_once('=').filter(|it| is_name(it.0.trim()))?;
    let open = value.trim_start_matches(' ').strip_prefix(['[', '('])?;
    let (items, length) = python_items(open)?;
    let set = format!("{}=({})", name.trim(), quoted(&items));
    Some((set, rest.len() - open.len() + length))
}

fn quoted(items: &[String]) -> String {
    items.iter().map(|text| format!("\"{}\"", braced(text))).collect::<Vec<_>>().join(" ")
}

/// `for a in LIST:` and `for a, b in LIST:`, as the shell would say it.
fn python_for(line: &str) -> Option<String> {
    let (names, list) = line.strip_prefix("for ")?.strip_suffix(':')?.split_once(" in ")?;
    let names: Vec<&str> = names.split(',').map(|it| it.trim_matches([' ', '(', ')'])).collect();
    let list = list.trim();
    let literal = list.strip_prefix(['[', '(']).and_then(python_items);
    let range = list.strip_prefix("range(").and_then(|text| text.strip_suffix(')'));
    let numbers = range.map(|text| text.split(',').map(|part| part.trim().parse::<u32>().ok()));
    let numbers: Option<Vec<u32>> = numbers.and_then(Iterator::collect);
    let items = match (literal, numbers.as_deref()) {
        (Some((items, _)), _) => quoted(&items),
        (None, Some([to])) => format!("$(seq 0 {})", to.saturating_sub(1)),
        (None, Some([from, to])) => format!("$(seq {from} {})", to.saturating_sub(1)),
        _ if is_name(list) => format!("\"${{{list}[@]}}\""),
        _ => "$(items)".to_owned(),
    };
    if !names.iter().all(|name| is_name(name)) {
        return None;
    }
    Some(match names[..] {
        [name] => format!("for {name} in {items}; do"),
        _ => format!("for ENTRY in {items}; do read {} <<< \"$ENTRY\"", names.join(" ")),
    })
}

/// The texts of a list up to its end, tuples as words in one text; nothing where a name stands in it.
fn python_items(rest: &str) -> Option<(Vec<String>, usize)> {
    let mut items = Vec::new();
    let mut tuple: Option<Vec<String>> = None;
    let mut at = 0;
    loop {
        let here = rest.get(at..)?;
        let next = here.chars().next()?;
        match next {
            '(' | '[' if tuple.is_none() => tuple = Some(Vec::new()),
            ')' | ']' => match tuple.take() {
                Some(words) => items.push(words.join(" ")),
                None => return Some((items, at + 1)),
            },
            '"' | '\'' => {
                let (said, length) = python_text(here)?;
                tuple.as_mut().unwrap_or(&mut items).push(said);
                at += length;
                continue;
            }
            letter if letter.is_whitespace() || letter == ',' => {}
            _ => return None,
        }
        at += next.len_utf8();
    }
}

/// The commands of a Dockerfile.
pub(super) fn dockerfile(text: &str, base: usize) -> Piece {
    rewritten(text, base, |line, _| {
        let trimmed = line.trim_start();
        let (word, rest) = trimmed.split_once(' ').unwrap_or((trimmed, ""));
        match word.to_ascii_uppercase().as_str() {
            "RUN" | "CMD" | "ENTRYPOINT" if rest.trim_start().starts_with('[') => {
                let (words, _) = python_list(rest.trim_start().strip_prefix('[')?)?;
                Some(words.join(" "))
            }
            "RUN" if rest.trim_start().starts_with("<<") => None,
            "RUN" | "CMD" | "ENTRYPOINT" => Some(rest.to_owned()),
            "ENV" | "ARG" => {
                let (name, value) = rest.split_once(['=', ' '])?;
                Some(format!("export {name}={}", value.trim()))
            }
            "FROM" | "COPY" | "ADD" | "WORKDIR" | "LABEL" | "USER" | "SHELL" => None,
            _ => Some(line.to_owned()),
        }
    })
}

/// The recipes and the variables of a makefile.
pub(super) fn makefile(text: &str, base: usize) -> Piece {
    rewritten(text, base, |line, goes_on| {
        if goes_on || line.starts_with('\t') || holds_command(line) {
            let bare = line.trim_start_matches('\t').trim_start_matches(['@', '-']);
            return Some(made(bare));
        }
        let sign = [":=", "?=", "+=", "="].into_iter().find(|text| line.contains(text))?;
        let (name, value) = line.split_once(sign)?;
        let name = name.trim().trim_start_matches("export ").trim_end_matches(':');
        let value = made(value.trim());
        is_name(name).then(|| match sign {
            "?=" => format!("{name}=\"${{{name}:-{value}}}\""),
            "+=" => format!("{name}+=\" {value}\""),
            _ => format!("{name}=\"{value}\""),
        })
    })
}

/// Variables of make as those of the shell: `$(X)`, `$$x`, `$*`.
fn made(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((head, tail)) = rest.split_once('$') {
        out.push_str(head);
        let inside = tail.strip_prefix(['(', '{']);
        let end = inside.and_then(|text| text.find([')', '}']));
        rest = match (inside, end) {
            (Some(inside), Some(end)) => {
                let name = &inside[..end];
                match name.strip_prefix("shell ") {
                    Some(command) => out.extend(["$(", command, ")"]),
                    None if is_name(name) => out.extend(["${", name, "}"]),
                    None => out.extend(["${", &variable_name(name), "}"]),
                }
                &inside[end + 1..]
            }
            _ => match tail.chars().next() {
                Some('$') => {
                    out.push('$');
                    &tail[1..]
                }
                Some('*' | '@' | '<') => {
                    out.push_str("${TARGET}");
                    &tail[1..]
                }
                _ => {
                    out.push('$');
                    tail
                }
            },
        };
    }
    out + rest
}

/// A text line by line in the words of a shell; lines without any are left out. The function is told
/// whether the line before goes on.
fn rewritten(text: &str, base: usize, mut line: impl FnMut(&str, bool) -> Option<String>) -> Piece {
    let mut piece = Piece::empty();
    let (mut at, mut goes_on) = (0, false);
    for written in text.split_inclusive('\n') {
        let bare = written.trim_end_matches(['\n', '\r']);
        if let Some(said) = line(bare, goes_on) {
            let kept = said.len().min(bare.len());
            piece.anchors.push((piece.text.len(), base + at + bare.len() - kept));
            piece.text.push_str(&said);
            goes_on = bare.trim_end().ends_with('\\');
        } else {
            goes_on = false;
        }
        piece.text.push('\n');
        at += written.len();
    }
    piece
}

/// `name = "text"` of Python, as the shell would say it.
fn python_set(line: &str) -> Option<String> {
    let (name, value) = line.split_once('=')?;
    let (name, value) = (name.trim(), value.trim().trim_start_matches('f'));
    let quote = value.chars().next().filter(|letter| ['"', '\''].contains(letter))?;
    let inside = value.get(1..)?.split(quote).next()?;
    (is_name(name) && !inside.contains(['$', '\\', '"']))
        .then(|| format!("{name}=\"{}\"\n", braced(inside)))
}

/// `{name}` → `${name}`.
fn braced(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        let (head, tail) = rest.split_at(at);
        out.push_str(head);
        let name = identifier(&tail[1..]);
        if !name.is_empty() && tail[1 + name.len()..].starts_with('}') && !head.ends_with('$') {
            out.push('$');
        }
        out.push('{');
        rest = &tail[1..];
    }
    out + rest
}

/// The words of `"az", "ml", name]`, and its length.
fn python_list(rest: &str) -> Option<(Vec<String>, usize)> {
    /// A command line has fewer bytes.
    const LONGEST: usize = 16 << 10;
    let rest = &rest[..rest.floor_char_boundary(LONGEST)];
    let mut words = Vec::new();
    let mut at = 0;
    loop {
        let rest = rest.get(at..)?;
        let next = rest.chars().next()?;
        match next {
            ']' => break,
            // No command: the list inside may be one, and is looked at by itself.
            '[' => return None,
            _ => {}
        }
        if next.is_whitespace() || ",)".contains(next) {
            at += next.len_utf8();
            continue;
        }
        let (word, length) = python_word(rest)?;
        words.push(word);
        at += length;
    }
    Some((words, at + 1))
}

/// A text or a name as a word of the shell, and how long it is written.
fn python_word(rest: &str) -> Option<(String, usize)> {
    /// An expression among words of a command has far fewer bytes, and most `[` begin no command.
    const LONGEST: usize = 512;
    let prefix = usize::from(rest.starts_with(['f', 'r']) && rest[1..].starts_with(['"', '\'']));
    if let Some((said, length)) = python_text(&rest[prefix..]) {
        return Some((format!("\"{}\"", braced(&said.replace('"', "\\\""))), prefix + length));
    }
    let end = rest[..rest.floor_char_boundary(LONGEST)].find([',', ']', ')', '\n'])?;
    let name = identifier(&rest[..end]);
    Some((format!("\"${{{}}}\"", if name.is_empty() { "VALUE" } else { name }), end))
}

/// A text in quotes, and how long it is written.
fn python_text(rest: &str) -> Option<(String, usize)> {
    let quote = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|text| rest.starts_with(text))?;
    let inside = rest.get(quote.len()..)?;
    let end = inside.find(quote)?;
    Some((inside[..end].to_owned(), end + 2 * quote.len()))
}
