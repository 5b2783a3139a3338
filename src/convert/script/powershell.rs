//! Statements of PowerShell.

use super::read::{ScriptReader, closing};
use super::{Entry, Link, Op, Raw, ScriptKind, Set, Simple, Stmt, TextPart};

/// Words before a block that is read as if they were not there.
const BLOCKS: [&str; 8] = ["try", "do", "finally", "catch", "process", "begin", "end", "else"];

impl ScriptReader<'_> {
    pub(super) fn powershell(&mut self) -> Option<ScriptKind> {
        Some(match () {
            () if self.take("if") => self.branches(),
            () if self.each_object() => self.each(Vec::new()),
            () if self.take("foreach") || self.take("for") => self.foreach(),
            () if self.take("switch") => self.switch(),
            () if self.take("while") => {
                let (condition, body) = (self.condition(), self.braced());
                ScriptKind::While { condition, body, input: Simple::default() }
            }
            () if BLOCKS.iter().any(|text| self.take(text)) => {
                self.skip_to(&['{', '\n']);
                ScriptKind::Group(self.braced())
            }
            () if self.take("function") => self.function(),
            () if self.take("param") => {
                self.lines();
                let (name, params) = ("param".to_owned(), self.params());
                ScriptKind::Function { name, params, body: Vec::new() }
            }
            () if self.take("return") => return None,
            () if self.starts("{") => ScriptKind::Group(self.braced()),
            // `[CmdletBinding()]`, `[string]$x`.
            () if self.starts("[") => {
                self.bump(self.near().find(']').map_or(1, |number| number + 1));
                return None;
            }
            () => {
                let set = self.starts("$").then(|| self.powershell_set()).flatten();
                match set.map(ScriptKind::set).or_else(|| self.piped_each()) {
                    Some(kind) => kind,
                    None if self.starts("(") => ScriptKind::Group(self.parentheses(true).0),
                    None => ScriptKind::Simple(self.simple()),
                }
            }
        })
    }

    /// `name($a) { param($b) … }`.
    fn function(&mut self) -> ScriptKind {
        self.blanks();
        let from = self.at;
        self.word();
        let name = self.text.get(from..self.at).unwrap_or_default().to_owned();
        self.lines();
        let mut params = if self.starts("(") { self.params() } else { Vec::new() };
        let mut body = self.braced();
        body.retain(|statement| match &statement.kind {
            ScriptKind::Function { name, params: own, .. } if name == "param" => {
                params.extend(own.iter().cloned());
                false
            }
            _ => true,
        });
        ScriptKind::Function { name, params, body }
    }

    fn each(&mut self, items: Vec<Raw>) -> ScriptKind {
        ScriptKind::For { name: "_".to_owned(), items, body: self.braced() }
    }

    /// Over `ForEach-Object` and its options, where a block follows.
    fn each_object(&mut self) -> bool {
        let at = self.at;
        if self.take("foreach-object") || self.take("foreach") || self.take("%") {
            self.blanks();
            let end = self.near().find(['{', '(', '\n', ';', '|', '$', '\'']);
            self.bump(end.unwrap_or(0));
            if self.starts("{") {
                return true;
            }
        }
        self.at = at;
        false
    }

    /// `"a", "b" | ForEach-Object { … }`, `$list | % { … }`, `1..3 | % { … }`.
    fn piped_each(&mut self) -> Option<ScriptKind> {
        let rest = self.rest();
        // What turns out to be another statement is read again, so that deep ones are not tried.
        let tried = self.depth <= 8 && self.near().contains('|');
        let expression = tried && (rest.starts_with(['"', '\'', '$']) || rest.starts_with("@("));
        let range = self.near_line().split_once("..").and_then(|(from, tail)| {
            let digits = tail.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(tail.len());
            from.parse::<u32>().ok()?;
            Some((from, &tail[..digits], from.len() + 2 + digits))
        });
        let at = self.at;
        let mut items = Vec::new();
        if let Some((from, to, length)) = range {
            items = self.counted(&format!("i={from};i<={to};i++"), at).1;
            self.bump(length);
        } else if expression {
            items = self.values().1.into_iter().map(|it| it.1).collect();
        }
        if !items.is_empty() && self.link() == Link::Pipe && self.each_object() {
            return Some(self.each(items));
        }
        self.at = at;
        None
    }

    /// `switch (word) { pattern { … } default { … } }`.
    fn switch(&mut self) -> ScriptKind {
        self.lines();
        self.eat("(");
        self.open.push(&["),"]);
        self.lines();
        let word = self.word().unwrap_or_default();
        self.lines();
        self.eat(")");
        self.open.pop();
        self.lines();
        self.eat("{");
        let mut arms = Vec::new();
        loop {
            self.space(&mut Vec::new());
            self.lines();
            if self.at >= self.text.len() || self.eat("}") || arms.len() > 200 {
                return ScriptKind::If(arms);
            }
            let at = self.at;
            let default = self.take("default");
            let pattern = if default { None } else { self.word() };
            self.lines();
            if !self.starts("{") {
                self.bump(1);
                continue;
            }
            let body = self.braced();
            let condition = pattern.map(|it| Stmt::fits(&word, it, self.span(at)));
            arms.push((condition.into_iter().collect(), body));
        }
    }

    pub(super) fn foreach(&mut self) -> ScriptKind {
        self.lines();
        let head = self.rest().split('{').next().unwrap_or_default();
        if head.matches(';').count() == 2 {
            let at = self.at;
            self.bump(head.len());
            let (name, items) = self.counted(head.trim_end().trim_end_matches(')'), at);
            return ScriptKind::For { name, items, body: self.braced() };
        }
        self.eat("(");
        self.lines();
        self.eat("$");
        let name = self.name();
        self.lines();
        let mut items = Vec::new();
        if self.take("in") {
            self.blanks();
            items = self.values().1.into_iter().map(|it| it.1).collect();
        }
        self.skip_to(&['{']);
        ScriptKind::For { name, items, body: self.braced() }
    }

    /// `( [string]$Name = "x", … )`.
    pub(super) fn params(&mut self) -> Vec<Set> {
        let mut params = Vec::new();
        self.eat("(");
        self.open.push(&["),"]);
        while self.at < self.text.len() && !self.eat(")") {
            if self.starts("[") {
                self.bump(closing(self.near(), '[', ']').unwrap_or(1));
                continue;
            }
            if !self.starts("$") {
                self.bump(1);
                continue;
            }
            let mut found = Vec::new();
            let at = self.at;
            self.dollar(false, &mut found);
            let Some(TextPart::Var { name, .. }) = found.into_iter().next() else { continue };
            self.lines();
            let mut param = Set::new(name, Raw::var("1", Op::Plain, self.span(at)));
            if self.eat("=") {
                self.lines();
                let (list, value) = self.values();
                if !value.is_empty() {
                    (param.value, param.list) = (value, list);
                }
            }
            params.push(param);
        }
        self.open.pop();
        params
    }

    /// `$name = …`.
    pub(super) fn powershell_set(&mut self) -> Option<Set> {
        let at = self.at;
        // What is no name is read once, and not again after it turned out to be none.
        let name = |letter: char| letter.is_ascii_alphanumeric() || "_:.{}".contains(letter);
        let after = self.near()[1..].trim_start_matches(name).trim_start();
        if !after.starts_with(['[', '=', '+', '`']) {
            return None;
        }
        let mut found = Vec::new();
        self.dollar(false, &mut found);
        let name = match found.into_iter().next() {
            Some(TextPart::Var { name, op: Op::Plain, .. }) => name,
            _ => String::new(),
        };
        let key = self.near().strip_prefix('[').and_then(|text| text.split_once(']'));
        let key = key.map(|it| it.0.trim_matches(['"', '\'']).to_owned());
        let key = key.filter(|text| text.len() < 200 && !text.contains('\n'));
        if let Some(key) = &key {
            let skip = self.near().find(']').unwrap_or(key.len());
            self.bump(skip + 1);
        }
        self.blanks();
        if !name.is_empty() && self.starts("++") {
            self.bump(2);
            let more = Raw::var(&format!("{name}+1"), Op::Count, self.span(at));
            return Some(Set::new(name, more));
        }
        let append = self.eat("+=");
        if name.is_empty() || !(append || (self.starts("=") && self.eat("="))) {
            self.at = at;
            return None;
        }
        self.lines();
        let (list, value) = self.values();
        let exported = self.text[at..].get(..5).is_some_and(|it| it.eq_ignore_ascii_case("$env:"));
        let key = key.map(|it| Raw::text(&it, self.span(at)));
        Some(Set { name, key, append, list, exported, value })
    }

    /// The right side of an assignment in PowerShell; whether it is a list.
    fn values(&mut self) -> (bool, Vec<Entry>) {
        let start = self.at;
        if self.eat("@(") {
            return (true, self.entries());
        }
        if self.eat("@{") {
            return (true, self.table());
        }
        if let Some(raw) = self.here_string() {
            return (false, vec![(None, raw)]);
        }
        let expression = self.rest().starts_with(['"', '\'', '$', '[', '“'])
            || self.rest().starts_with(|letter: char| letter.is_ascii_digit());
        if !expression {
            let from = self.at;
            let mut body = Vec::new();
            if self.starts("(") {
                body = self.parentheses(true).0;
            } else {
                self.statement(Link::Next, &mut body);
                while self.link() == Link::Pipe {
                    self.statement(Link::Pipe, &mut body);
                }
            }
            let field = self.field();
            let written = self.text.get(from..self.at).unwrap_or_default();
            let text = format!("$({})", written.trim_matches(['(', ')']));
            let parts = vec![TextPart::Run { body, text, field, quoted: true }];
            return (false, vec![(None, Raw { parts, span: self.span(start) })]);
        }
        let (mut list, mut value) = (false, Vec::new());
        self.open.push(&["),"]);
        loop {
            self.blanks();
            if self.starts("[") {
                self.bump(self.near().find(']').map_or(1, |number| number + 1));
            }
            let Some(mut word) = self.word() else { break };
            self.blanks();
            while self.eat("+ ") {
                self.lines();
                let Some(next) = self.word() else { break };
                word.parts.extend(next.parts);
                self.blanks();
            }
            if self.take("-f") {
                self.blanks();
                word.parts = formatted(word.parts, &self.values().1);
            }
            value.push((None, word));
            if !self.eat(",") {
                break;
            }
            list = true;
            self.lines();
        }
        self.open.pop();
        (list, value)
    }

    /// `@"…"@`, whose ends stand on lines of their own.
    pub(super) fn here_string(&mut self) -> Option<Raw> {
        let start = self.at;
        for quote in ['"', '\''] {
            let (open, close) = (format!("@{quote}"), format!("\n{quote}@"));
            if let Some(inside) = self.rest().strip_prefix(&open) {
                let end = inside.find(&close).unwrap_or(inside.len());
                let text = inside[..end].trim_start_matches(['\r', '\n']);
                let at = self.at + open.len() + end - text.len();
                self.bump(end + open.len() + close.len());
                let parts = if quote == '"' {
                    self.nested(text, at)
                } else {
                    vec![TextPart::Text(text.to_owned())]
                };
                return Some(Raw { parts, span: self.span(start) });
            }
        }
        None
    }

    /// `@{ key = "value"; … }`.
    pub(super) fn table(&mut self) -> Vec<Entry> {
        let mut all = Vec::new();
        loop {
            self.lines();
            while self.eat(";") || self.eat("\n") {
                self.lines();
            }
            if self.at >= self.text.len() || self.eat("}") {
                return all;
            }
            let Some((key, _)) = self.near().split_once('=').filter(|it| it.0.len() < 200) else {
                self.bump(1);
                continue;
            };
            self.bump(key.len() + 1);
            self.blanks();
            let key = key.trim().trim_matches(['"', '\'']).to_owned();
            match self.word() {
                Some(word) => all.push((Some(key), word)),
                None => self.bump(1),
            }
        }
    }
}

/// `"{0}-{1}" -f a, b`.
fn formatted(parts: Vec<TextPart>, given: &[Entry]) -> Vec<TextPart> {
    let mut out = Vec::new();
    for part in parts {
        let TextPart::Text(text) = part else {
            out.push(part);
            continue;
        };
        let mut rest = text.as_str();
        while let Some((head, tail)) = rest.split_once('{') {
            let Some((number, after)) = tail.split_once('}') else { break };
            out.push(TextPart::Text(head.to_owned()));
            let index = number.split([':', ',']).next().and_then(|part| part.parse::<usize>().ok());
            match index.and_then(|number| given.get(number)) {
                Some((_, raw)) => out.extend(raw.parts.iter().cloned()),
                None => out.push(TextPart::Text(format!("{{{number}}}"))),
            }
            rest = after;
        }
        out.push(TextPart::Text(rest.to_owned()));
    }
    out
}
