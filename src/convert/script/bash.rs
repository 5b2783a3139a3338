//! Statements of bash.

use super::read::ScriptReader;
use super::shells::BLOCK;
use super::{Op, Raw, ScriptKind, Set, Simple, Stmt};

impl ScriptReader<'_> {
    pub(super) fn bash(&mut self) -> Option<ScriptKind> {
        if self.starts("((") {
            let at = self.at;
            let text = self.doubled().to_owned();
            return self.counts(&text, at).map(ScriptKind::set);
        }
        if self.starts("(") {
            return Some(ScriptKind::Group(self.parentheses(true).0));
        }
        if self.take("{") {
            return Some(self.block());
        }
        if let Some(name) = self.function_name() {
            self.lines();
            let body = if self.eat("{") { self.list(BLOCK) } else { Vec::new() };
            self.eat("}");
            return Some(ScriptKind::Function { name, params: Vec::new(), body });
        }
        if self.take("if") {
            return Some(self.bash_if());
        }
        if self.take("case") {
            return Some(self.case());
        }
        let until = self.keyword("until");
        if self.take("while") || self.take("until") {
            let mut condition = self.list(&["do"]);
            if until {
                // Once, and no more.
                condition.push(Stmt::command(vec![Raw::text("false", 0..0)], 0..0));
            }
            self.take("do");
            let body = self.list(&["done"]);
            self.take("done");
            let input = self.simple();
            return Some(ScriptKind::While { condition, body, input });
        }
        let from = self.at;
        if self.take("for") || self.take("select") {
            self.blanks();
            let mut listed = false;
            let (name, items) = if self.starts("((") {
                let at = self.at;
                let head = self.doubled().to_owned();
                self.counted(&head, at)
            } else {
                let letter = |it: char| it.is_ascii_alphanumeric() || it == '_';
                let name = self.near().split(|it| !letter(it)).next().unwrap_or_default();
                let name = name.to_owned();
                self.bump(name.len());
                self.lines();
                listed = self.take("in");
                (name, if listed { self.simple().words } else { Vec::new() })
            };
            self.space(&mut Vec::new());
            if self.take("do") || self.starts("{") {
                self.eat("{");
                let body = self.list(&["done"]);
                self.take("done");
                return Some(ScriptKind::For { name, items, body });
            }
            // `for` began a sentence.
            if listed {
                return Some(ScriptKind::Simple(Simple { words: items, ..Simple::default() }));
            }
            self.at = from;
        }
        if ["time", "do", "then"].iter().any(|it| self.take(it)) {
            return None;
        }
        Some(ScriptKind::Simple(self.simple()))
    }

    /// The inside of `((…))`.
    fn doubled(&mut self) -> &str {
        let near = self.near();
        let end = near.find("))");
        self.bump(end.map_or(2, |it| it + 2));
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
        let (name, value) = match text.trim_matches('+') {
            bare if bare.len() + 2 == text.len() => (bare, format!("{bare}+1")),
            _ => match text.split_once("+=") {
                Some((name, more)) => (name, format!("{name}+{more}")),
                None => {
                    let (name, value) = text.split_once('=')?;
                    (name, value.to_owned())
                }
            },
        };
        let name = name.trim().to_owned();
        if name.is_empty() || !name.chars().all(|it| it.is_ascii_alphanumeric() || it == '_') {
            return None;
        }
        Some(Set::new(name, Raw::var(&value, Op::Count, self.span(at))))
    }

    pub(super) fn block(&mut self) -> ScriptKind {
        let body = self.list(BLOCK);
        self.eat("}");
        ScriptKind::Group(body)
    }

    /// `name() {` or `function name {`.
    pub(super) fn function_name(&mut self) -> Option<String> {
        let word = self.take("function");
        self.blanks();
        let rest = self.rest();
        let letter = |it: char| it.is_ascii_alphanumeric() || "_-:.".contains(it);
        let length = rest.find(|it| !letter(it)).unwrap_or(rest.len());
        let name = rest[..length].to_owned();
        let after = rest[length..].trim_start_matches([' ', '\t']);
        let parentheses = after.strip_prefix('(').map(str::trim_start);
        let parentheses = parentheses.and_then(|it| it.strip_prefix(')'));
        let after = match parentheses {
            Some(after) => after,
            None if word => after,
            None => return None,
        };
        if name.is_empty() {
            return None;
        }
        self.bump(rest.len() - after.len());
        Some(name)
    }

    pub(super) fn bash_if(&mut self) -> ScriptKind {
        let mut arms = Vec::new();
        loop {
            let condition = self.list(&["then", "fi"]);
            self.take("then");
            arms.push((condition, self.list(&["elif", "else", "fi"])));
            if self.take("elif") {
                continue;
            }
            if self.take("else") {
                arms.push((Vec::new(), self.list(&["fi"])));
            }
            self.take("fi");
            return ScriptKind::If(arms);
        }
    }

    pub(super) fn case(&mut self) -> ScriptKind {
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
            let Some(length) = line.find(')') else {
                self.bump(line.len() + 1);
                continue;
            };
            let pattern = Raw::text(&line[..length], at..at);
            self.bump(length + 1);
            let body = self.list(&[";;", "esac"]);
            let words = vec![Raw::text("case", at..at), word.clone(), pattern];
            arms.push((vec![Stmt::command(words, self.span(at))], body));
        }
    }
}
