//! Statements of bash.

use super::read::ScriptReader;
use super::{Op, Raw, ScriptKind, Set, Simple, Stmt, is_name};

impl<'a> ScriptReader<'a> {
    pub(super) fn bash(&mut self) -> Option<ScriptKind> {
        let at = self.at;
        Some(match () {
            () if self.starts("((") => {
                let text = self.doubled();
                return self.counts(text, at).map(ScriptKind::set);
            }
            () if self.starts("(") => ScriptKind::Group(self.parentheses(true).0),
            () if self.starts("{") => ScriptKind::Group(self.braced()),
            () if self.take("if") => self.branches(),
            () if self.take("case") => self.case(),
            () if self.take("while") => self.bash_while(Vec::new()),
            // Once, and no more.
            () if self.take("until") => {
                self.bash_while(vec![Stmt::command(vec![Raw::text("false", 0..0)], 0..0)])
            }
            () if self.take("for") || self.take("select") => self.bash_for(at),
            () if ["time", "do", "then"].iter().any(|text| self.take(text)) => return None,
            () => match self.function_name() {
                Some(name) => {
                    ScriptKind::Function { name, params: Vec::new(), body: self.braced() }
                }
                None => ScriptKind::Simple(self.simple()),
            },
        })
    }

    fn bash_while(&mut self, mut more: Vec<Stmt>) -> ScriptKind {
        let mut condition = self.list(&["do"]);
        condition.append(&mut more);
        self.take("do");
        let body = self.list(&["done"]);
        self.take("done");
        ScriptKind::While { condition, body, input: self.simple() }
    }

    fn bash_for(&mut self, from: usize) -> ScriptKind {
        self.blanks();
        let mut listed = false;
        let (name, items) = if self.starts("((") {
            let at = self.at;
            let head = self.doubled();
            self.counted(head, at)
        } else {
            let name = self.name();
            self.lines();
            listed = self.take("in");
            (name, if listed { self.simple().words } else { Vec::new() })
        };
        self.space(&mut Vec::new());
        if self.take("do") || self.starts("{") {
            self.eat("{");
            let body = self.list(&["done"]);
            self.take("done");
            return ScriptKind::For { name, items, body };
        }
        // `for` began a sentence.
        if listed {
            return ScriptKind::Simple(Simple { words: items, ..Simple::default() });
        }
        self.at = from;
        ScriptKind::Simple(self.simple())
    }

    /// The inside of `((…))`.
    fn doubled(&mut self) -> &'a str {
        let near = self.near();
        let end = near.find("))");
        self.bump(end.map_or(2, |number| number + 2));
        near.get(2..end.unwrap_or(2)).unwrap_or_default()
    }

    /// The name and the rounds of `i=0; i<3; i++`.
    pub(super) fn counted(&self, head: &str, at: usize) -> (String, Vec<Raw>) {
        let name = head.split('=').next().unwrap_or_default();
        let name = name.trim_matches([' ', '$', '(']).to_owned();
        (name, vec![Raw::var(head, Op::Rounds, self.span(at))])
    }

    /// `i++`, `i+=2`, `i = i + 1`.
    fn counts(&self, text: &str, at: usize) -> Option<Set> {
        let text = text.trim();
        let bare = text.trim_matches('+');
        let (name, value) = if bare.len() + 2 == text.len() {
            (bare, format!("{bare}+1"))
        } else if let Some((name, more)) = text.split_once("+=") {
            (name, format!("{name}+{more}"))
        } else {
            let (name, value) = text.split_once('=')?;
            (name, value.to_owned())
        };
        let name = name.trim();
        is_name(name).then(|| Set::new(name, Raw::var(&value, Op::Count, self.span(at))))
    }

    /// `name() {` or `function name {`.
    fn function_name(&mut self) -> Option<String> {
        let word = self.take("function");
        self.blanks();
        let rest = self.rest();
        let letter = |it: char| it.is_ascii_alphanumeric() || "_-:.".contains(it);
        let (name, after) = rest.split_at(rest.find(|it| !letter(it)).unwrap_or(rest.len()));
        let after = after.trim_start_matches([' ', '\t']);
        let parentheses = after.strip_prefix('(').map(str::trim_start);
        let after = match parentheses.and_then(|parenthese| parenthese.strip_prefix(')')) {
            Some(after) => after,
            None if word => after,
            None => return None,
        };
        self.bump(rest.len() - after.len());
        (!name.is_empty()).then(|| name.to_owned())
    }

    fn case(&mut self) -> ScriptKind {
        self.blanks();
        let word = self.word().unwrap_or_default();
        self.lines();
        self.take("in");
        let mut arms = Vec::new();
        loop {
            self.space(&mut Vec::new());
            while self.eat(";;") || self.eat(";&") {
                self.space(&mut Vec::new());
            }
            if self.at >= self.text.len() || self.take("esac") || arms.len() > 200 {
                return ScriptKind::If(arms);
            }
            self.eat("(");
            let at = self.at;
            let line = self.text.get(at..self.line_end()).unwrap_or_default();
            let Some((pattern, _)) = line.split_once(')') else {
                self.bump(line.len() + 1);
                continue;
            };
            self.bump(pattern.len() + 1);
            let body = self.list(&[";;", "esac"]);
            let pattern = Raw::text(pattern, at..at);
            arms.push((vec![Stmt::fits(&word, pattern, self.span(at))], body));
        }
    }
}
