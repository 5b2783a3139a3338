//! `$NAME`, `${NAME…}`, `$(…)`, `%NAME%` and what pipelines write.

use super::read::{DEEPEST, ScriptReader, closing_brace, push};
use super::{Op, Raw, Shell, TextPart, identifier};

impl ScriptReader<'_> {
    pub(super) fn dollar(&mut self, quoted: bool, parts: &mut Vec<TextPart>) {
        let rest = self.rest();
        if rest.starts_with("${{") || rest.starts_with("$[[") {
            let close = if rest.starts_with("${{") { "}}" } else { "]]" };
            let length = self.near().find(close).map_or(3, |number| number + 2);
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
            self.bump(end.map_or(3, |number| number + 2));
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
        let inside =
            self.near_line().strip_prefix("{{").and_then(|it| it.split_once("}}")).map(|it| it.0);
        let letter = |it: char| it.is_ascii_alphabetic() || it == '_';
        let named = |text: &&str| text.trim_start().trim_start_matches('.').starts_with(letter);
        let Some(inside) = inside.filter(named) else {
            return false;
        };
        let inner = inside.trim();
        // What a filter makes of it is not known.
        let plain = inner.chars().all(|it| it.is_ascii_alphanumeric() || "_.".contains(it));
        let (name, op) = match plain {
            true => (format!("{{{inner}"), Op::Plain),
            false => (identifier(inner.trim_start_matches('.')).to_owned(), Op::Other),
        };
        parts.push(TextPart::Var { name, op, quoted: true });
        self.bump(inside.len() + 4);
        true
    }

    /// `@name` of PowerShell: the entries of a list as words of their own; whether it was one.
    pub(super) fn splat(&mut self, parts: &mut Vec<TextPart>) -> bool {
        let name = identifier(&self.rest()[1..]).to_owned();
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
        let word = identifier(after);
        let scopes = ["env", "script", "global", "local", "using"];
        let scoped = after[word.len()..].starts_with(':')
            && scopes.iter().any(|text| text.eq_ignore_ascii_case(word));
        let scope = if scoped { word.len() + 1 } else { 0 };
        let mut name = identifier(&after[scope..]);
        let sign = name.is_empty() && self.shell == Shell::Bash;
        if name.starts_with(|letter: char| letter.is_ascii_digit())
            || (sign && after[scope..].starts_with(['@', '*', '#', '?']))
        {
            name = &after[scope..scope + 1];
        }
        if name.is_empty() {
            push(parts, '$');
            self.bump(1);
            return;
        }
        self.bump(1 + scope + name.len());
        let (name, op) = match name {
            "@" | "*" => (name, Op::All),
            "#" | "?" => ("COUNT", Op::Other),
            _ => (name, Op::Plain),
        };
        let mut name = name.to_owned();
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
            // The text has no closing quote of its own, so the end of it ends it.
            let bare = text.len() > 1 && text.starts_with(['"', '\'']);
            let parts = if bare && self.depth + 1 < DEEPEST {
                let mut inner = self.within(text, at + skipped);
                let word = inner.word().map(|it| it.parts).unwrap_or_default();
                self.notes.append(&mut inner.notes);
                word
            } else {
                self.nested(text, at + skipped)
            };
            Raw { parts, span: self.base + at..self.base + at + tail.len() }
        };
        for sign in [":-", ":=", "-", "=", ":+", "+", "%%", "%", "##", "#"] {
            let Some(text) = tail.strip_prefix(sign) else { continue };
            let text = raw(text, sign.len());
            return match sign {
                ":+" | "+" => Op::Instead(text),
                "%%" | "%" | "##" | "#" => Op::Trim(sign, text),
                _ => Op::Default(text),
            };
        }
        match tail {
            "" => Op::Plain,
            ",," => Op::Lower,
            "^^" => Op::Upper,
            "[@]" | "[*]" => Op::All,
            text if text.starts_with(":?") || text.starts_with('?') => Op::Plain,
            text => {
                if let Some(key) = text.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
                    return Op::Item(raw(key, 1));
                }
                let Some(rest) = text.strip_prefix('/') else { return Op::Other };
                let every = rest.starts_with('/');
                let (from, to) = rest[usize::from(every)..]
                    .split_once('/')
                    .unwrap_or((&rest[usize::from(every)..], ""));
                Op::Replace { from: raw(from, 1), to: raw(to, 2 + from.len()), every }
            }
        }
    }

    /// `%NAME%`, `%%i`, `%1`, `!NAME!`.
    pub(super) fn percent(&mut self, sign: char, parts: &mut Vec<TextPart>) {
        let after = self.rest().get(1..).unwrap_or_default();
        let name = identifier(after);
        let doubled = after.strip_prefix('%').and_then(|text| identifier(text).get(..1));
        let (name, length) = match doubled {
            Some(name) if sign == '%' => (name, 3),
            _ if !name.is_empty() && after[name.len()..].starts_with(sign) => {
                (name, name.len() + 2)
            }
            _ if sign == '%' && name.starts_with(|it: char| it.is_ascii_digit()) => (&name[..1], 2),
            _ => {
                push(parts, sign);
                self.bump(1);
                return;
            }
        };
        let name = name.to_owned();
        parts.push(TextPart::Var { name, op: Op::Plain, quoted: true });
        self.bump(length);
    }
}
