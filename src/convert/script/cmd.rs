//! Statements of cmd.

use super::read::ScriptReader;
use super::{Link, Op, Raw, ScriptKind, Set, Simple, Stmt, TextPart};

impl ScriptReader<'_> {
    pub(super) fn cmd(&mut self) -> Option<ScriptKind> {
        Some(match () {
            () if self.starts(":") || self.keyword("setlocal") || self.keyword("endlocal") => {
                self.bump(self.line_end() - self.at);
                return None;
            }
            () if self.take("set") => ScriptKind::Simple(self.cmd_set()),
            () if self.take("if") => self.branches(),
            () if self.take("for") => self.cmd_for(),
            () if self.take("call") || self.take("do") => return None,
            () if self.starts("(") => ScriptKind::Group(self.cmd_block()),
            () => ScriptKind::Simple(self.simple()),
        })
    }

    /// `( … )`, or the one command that follows.
    pub(super) fn cmd_block(&mut self) -> Vec<Stmt> {
        self.blanks();
        if self.eat("(") {
            let body = self.list(&[")"]);
            self.eat(")");
            return body;
        }
        let mut body = Vec::new();
        self.statement(Link::Next, &mut body);
        // `do call az …`.
        if body.is_empty() {
            self.blanks();
            self.statement(Link::Next, &mut body);
        }
        body
    }

    /// `set NAME=value`, `set "NAME=value"`.
    fn cmd_set(&mut self) -> Simple {
        self.blanks();
        let mut line = self.near_line().trim_end();
        let quoted = line.starts_with('"');
        if quoted {
            line = line.rfind('"').map_or(line, |number| &line[..number]);
            self.bump(1);
            line = line.get(1..).unwrap_or_default();
        } else if let Some(end) = [" & ", "&&", ")"].iter().filter_map(|it| line.find(it)).min() {
            line = &line[..end];
        }
        let asks = line.to_ascii_lowercase().starts_with("/p ");
        let skip =
            if line.starts_with('/') { line.find(' ').map_or(line.len(), |it| it + 1) } else { 0 };
        let assignment = line.get(skip..).unwrap_or_default();
        let Some((name, value)) = assignment.split_once('=') else {
            self.bump(self.line_end() - self.at);
            return Simple::default();
        };
        let at = self.at + skip + name.len() + 1;
        let span = self.base + at..self.base + at + value.len();
        let mut raw = Raw::new(self.nested(value, at), span.clone());
        for part in &mut raw.parts {
            if let TextPart::Text(text) = part {
                *text = text.replace('"', "");
            }
        }
        if asks {
            raw = Raw::var("1", Op::Plain, span);
        }
        self.bump(line.len() + usize::from(quoted));
        Simple { sets: vec![Set::new(name.trim(), raw)], ..Simple::default() }
    }

    /// `exist FILE`, `defined NAME`, `errorlevel N`, `"a"=="b"`.
    pub(super) fn cmd_condition(&mut self) -> Vec<Stmt> {
        let start = self.at;
        self.blanks();
        self.take("/i");
        self.blanks();
        let negated = self.take("not");
        let mut words = Vec::new();
        let mut one = |this: &mut Self| {
            this.blanks();
            words.extend(this.word());
            this.blanks();
        };
        self.blanks();
        let named = ["exist", "defined", "errorlevel"].iter().any(|text| self.keyword(text));
        one(self);
        if named {
            one(self);
        } else if self.starts("==")
            || ["equ", "neq", "gtr", "lss"].iter().any(|text| self.keyword(text))
        {
            one(self);
            one(self);
        }
        words.retain(|_| !negated);
        vec![Stmt::command(words, self.span(start))]
    }

    /// `for %%c in (a b) do …`, `for /f %%i in ('command') do …`.
    fn cmd_for(&mut self) -> ScriptKind {
        self.blanks();
        let (answer, counts) = (self.keyword("/f"), self.keyword("/l"));
        let line = self.near_line();
        let head = line.split_once(" in ").or_else(|| line.split_once(" IN "));
        let head = head.map_or(line, |it| it.0);
        let name: String = head.rsplit('%').next().unwrap_or_default().trim().to_owned();
        self.bump((head.len() + 4).min(line.len()));
        self.blanks();
        let mut items = Vec::new();
        let start = self.at;
        if answer && self.starts("(") {
            let inside = self.rest().get(1..).unwrap_or_default().trim_start_matches([' ', '`']);
            let quote = if inside.starts_with('\'') { "')" } else { "`)" };
            let inside = inside.trim_start_matches(&quote[..1]);
            let from = self.text.len() - inside.len();
            let end = inside.find(quote).unwrap_or(0);
            let body = self.inner(&inside[..end], from);
            let text = format!("$({})", &inside[..end]);
            self.bump(from + end + 2 - start);
            let parts = vec![TextPart::Run { body, text, field: None, quoted: true }];
            items.push(Raw { parts, span: self.span(start) });
        } else if counts {
            let inside = self.rest().split(')').next().unwrap_or_default();
            let numbers: Vec<&str> = inside.trim_start_matches('(').split(',').collect();
            if let [from, by, to] = numbers[..] {
                items = self.counted(&format!("i={from};i<={to};i+={by}"), start).1;
            }
            self.bump(inside.len() + 1);
        } else if self.eat("(") {
            items = self.entries().into_iter().map(|it| it.1).collect();
        }
        self.blanks();
        self.take("do");
        ScriptKind::For { name, items, body: self.cmd_block() }
    }
}
