//! `$NAME`, `${NAME…}`, `$(…)`, `%NAME%` and what pipelines write.

use super::read::{DEEPEST, ScriptReader, closing_brace, push};
use super::{Op, Raw, Shell, TextPart};

impl ScriptReader<'_> {
    pub(super) fn dollar(&mut self, quoted: bool, parts: &mut Vec<TextPart>) {
        let rest = self.rest();
        if rest.starts_with("${{") || rest.starts_with("$[[") {
            let close = if rest.starts_with("${{") { "}}" } else { "]]" };
            let length = self.near().find(close).map_or(3, |it| it + 2);
            let inside = rest.get(3..length.saturating_sub(2).max(3)).unwrap_or_default();
            let name = format!("{{{}", inside.trim());
            parts.push(TextPart::Var { name, op: Op::Plain, quoted: true });
            self.bump(length);
        } else if self.shell == Shell::Cmd && !rest.starts_with("$(") {
            push(parts, '$');
            self.bump(1);
        } else if rest.starts_with("$((") {
            let end = self.near().find("))");
            let name = rest.get(3..end.unwrap_or(3)).unwrap_or_default().to_owned();
            parts.push(TextPart::Var { name, op: Op::Count, quoted });
            self.bump(end.map_or(3, |it| it + 2));
        } else if rest.starts_with("$(") {
            if self.depth >= DEEPEST {
                self.bump(2);
                return;
            }
            self.bump(1);
            let (body, text) = self.parentheses(true);
            let field = self.field();
            parts.push(TextPart::Run { body, text: format!("${text}"), field, quoted });
        } else if rest.starts_with("${") {
            self.braced_variable(quoted, parts);
        } else {
            self.named(quoted, parts);
        }
    }

    /// `{{ name }}` of Ansible and other templates; whether it was one.
    pub(super) fn template(&mut self, parts: &mut Vec<TextPart>) -> bool {
        let line = self.near().split('\n').next().unwrap_or_default();
        let inside = line.strip_prefix("{{").and_then(|it| it.split_once("}}")).map(|it| it.0);
        let letter = |it: char| it.is_ascii_alphabetic() || it == '_';
        let named = |it: &&str| it.trim_start().trim_start_matches('.').starts_with(letter);
        let Some(inside) = inside.filter(named) else {
            return false;
        };
        let plain = inside.trim().chars().all(|it| it.is_ascii_alphanumeric() || "_.".contains(it));
        // What a filter makes of it is not known.
        let name = inside.trim().trim_start_matches('.');
        let name: String = name.chars().take_while(|it| letter(*it)).collect();
        let (name, op) =
            if plain { (format!("{{{}", inside.trim()), Op::Plain) } else { (name, Op::Other) };
        parts.push(TextPart::Var { name, op, quoted: true });
        self.bump(inside.len() + 4);
        true
    }

    /// `@name` of PowerShell: the entries of a list as words of their own; whether it was one.
    pub(super) fn splat(&mut self, parts: &mut Vec<TextPart>) -> bool {
        let name: String = self.rest()[1..]
            .chars()
            .take_while(|it| it.is_ascii_alphanumeric() || *it == '_')
            .collect();
        if self.shell != Shell::Power || !parts.is_empty() || name.is_empty() {
            return false;
        }
        self.bump(1 + name.len());
        parts.push(TextPart::Var { name, op: Op::All, quoted: false });
        true
    }

    /// `.name` behind an expression of PowerShell.
    pub(super) fn field(&mut self) -> Option<String> {
        let after = self.rest().strip_prefix('.').filter(|_| self.shell == Shell::Power)?;
        let name: String = after.chars().take_while(char::is_ascii_alphanumeric).collect();
        if name.is_empty() || after[name.len()..].starts_with('(') {
            return None;
        }
        self.bump(1 + name.len());
        Some(name)
    }

    pub(super) fn named(&mut self, quoted: bool, parts: &mut Vec<TextPart>) {
        let after = self.rest().get(1..).unwrap_or_default();
        let scope = after.bytes().take(9).position(|it| it == b':').filter(|number| {
            let scopes = ["env", "script", "global", "local", "using"];
            scopes.iter().any(|scope| after[..*number].eq_ignore_ascii_case(scope))
        });
        let scope = scope.map_or(0, |it| it + 1);
        let name = &after[scope..];
        let letter = |it: char| it.is_ascii_alphanumeric() || it == '_';
        let mut end = name.find(|it: char| !letter(it)).unwrap_or(name.len());
        let sign = name.starts_with(['@', '*', '#', '?']) && self.shell == Shell::Bash;
        if name.starts_with(|it: char| it.is_ascii_digit()) || (end == 0 && sign) {
            end = 1;
        }
        if end == 0 {
            push(parts, '$');
            self.bump(1);
            return;
        }
        let mut name = name[..end].to_owned();
        self.bump(1 + scope + end);
        let op = match name.as_str() {
            "@" | "*" => Op::All,
            "#" | "?" => {
                name = "COUNT".to_owned();
                Op::Other
            }
            _ => Op::Plain,
        };
        if let Some(field) = (!quoted).then(|| self.field()).flatten() {
            name.push('.');
            name.push_str(&field);
        }
        parts.push(TextPart::Var { name, op, quoted });
    }

    /// `${…}`.
    pub(super) fn braced_variable(&mut self, quoted: bool, parts: &mut Vec<TextPart>) {
        let start = self.at;
        let rest = self.rest();
        let Some(end) = closing_brace(rest) else {
            push(parts, '$');
            self.bump(1);
            return;
        };
        let inside = &rest[2..end];
        let indirect = inside.starts_with('!');
        let body = inside.trim_start_matches(['!', '#']);
        let body = body.strip_prefix("env:").unwrap_or(body);
        let letter = |it: char| it.is_ascii_alphanumeric() || "_@*".contains(it);
        let length = body.find(|it: char| !letter(it)).unwrap_or(body.len());
        let (name, tail) = body.split_at(length);
        let at = start + 2 + (inside.len() - tail.len());
        let op = match () {
            () if inside.starts_with('#') => Op::Other,
            () if indirect && tail.starts_with("[") => Op::Keys,
            () if indirect => Op::Other,
            () if ["@", "*"].contains(&name) && tail.is_empty() => Op::All,
            () => self.operation(tail, at),
        };
        let name = if name.is_empty() { "VALUE" } else { name };
        parts.push(TextPart::Var { name: name.to_owned(), op, quoted });
        self.bump(end + 1);
    }

    pub(super) fn operation(&mut self, tail: &str, at: usize) -> Op {
        let mut raw = |text: &str, skipped: usize| {
            let mut inner = ScriptReader::new(text, self.shell);
            (inner.depth, inner.base) = (self.depth + 1, self.base + at + skipped);
            let mut parts = Vec::new();
            if inner.depth < DEEPEST {
                // The text has no closing quote of its own, so the end of it ends it.
                let bare = text.len() > 1 && text.starts_with(['"', '\'']);
                if bare {
                    parts.extend(inner.word().map(|it| it.parts).unwrap_or_default())
                } else {
                    inner.quoted(&[], &mut parts)
                }
            }
            self.notes.append(&mut inner.notes);
            Raw { parts, span: self.base + at..self.base + at + tail.len() }
        };
        if tail.is_empty() {
            return Op::Plain;
        }
        for sign in [":-", ":=", "-", "="] {
            if let Some(text) = tail.strip_prefix(sign) {
                return Op::Default(raw(text, sign.len()));
            }
        }
        for sign in [":+", "+"] {
            if let Some(text) = tail.strip_prefix(sign) {
                return Op::Instead(raw(text, sign.len()));
            }
        }
        match tail {
            ",," => return Op::Lower,
            "^^" => return Op::Upper,
            "[@]" | "[*]" => return Op::All,
            text if text.starts_with(":?") || text.starts_with('?') => return Op::Plain,
            _ => {}
        }
        if let Some(key) = tail.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
            return Op::Item(raw(key, 1));
        }
        for sign in ["%%", "%", "##", "#"] {
            if let Some(text) = tail.strip_prefix(sign) {
                return Op::Trim(sign, raw(text, sign.len()));
            }
        }
        match tail.strip_prefix('/') {
            Some(rest) => {
                let every = rest.starts_with('/');
                let text = rest.strip_prefix('/').unwrap_or(rest);
                let (from, to) = text.split_once('/').unwrap_or((text, ""));
                Op::Replace { from: raw(from, 1), to: raw(to, 2 + from.len()), every }
            }
            None => Op::Other,
        }
    }

    /// `%NAME%`, `%%i`, `%1`, `!NAME!`.
    pub(super) fn percent(&mut self, sign: char, parts: &mut Vec<TextPart>) {
        let after = self.rest().get(1..).unwrap_or_default();
        let letter = |it: &char| it.is_ascii_alphanumeric() || *it == '_';
        let name: String = after.chars().take_while(letter).collect();
        let doubled = after.strip_prefix('%').map(|it| it.chars().take_while(letter).take(1));
        let doubled: String = doubled.into_iter().flatten().collect();
        let (name, length) = if sign == '%' && !doubled.is_empty() {
            (doubled, 3)
        } else if !name.is_empty() && after[name.len()..].starts_with(sign) {
            let length = name.len() + 2;
            (name, length)
        } else if sign == '%' && name.starts_with(|it: char| it.is_ascii_digit()) {
            (name[..1].to_owned(), 2)
        } else {
            push(parts, sign);
            self.bump(1);
            return;
        };
        parts.push(TextPart::Var { name, op: Op::Plain, quoted: true });
        self.bump(length);
    }
}
