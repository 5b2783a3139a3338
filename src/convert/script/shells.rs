//! Words → statements of bash, PowerShell and cmd. Lenient: a keyword without its end takes what
//! follows, a stray one is passed over, and prose between the lines does no harm.

use super::read::ScriptReader;
use super::{Entry, Link, Raw, ScriptKind, Set, Shell, Simple, Stmt, TextPart, identifier};

type Ends = &'static [&'static str];

const ARM: Ends = &["elif", "else", "fi"];
const WORDS: [&str; 9] = ["then", "elif", "else", "fi", "do", "done", "esac", ";;", "}"];
/// More than this in one text is no script.
const MOST: usize = 60_000;

impl ScriptReader<'_> {
    /// The whole text.
    pub(super) fn script(&mut self) -> Vec<Stmt> {
        let mut all = Vec::new();
        while self.at < self.text.len() && all.len() < MOST {
            all.append(&mut self.list(&[]));
            // What ends nothing is passed over.
            self.bump(1);
        }
        all
    }

    /// Statements up to one of these ends, or to the end of anything around.
    pub(super) fn list(&mut self, ends: Ends) -> Vec<Stmt> {
        self.open.push(ends);
        self.depth += 1;
        let mut all: Vec<Stmt> = Vec::new();
        let mut link = Link::Next;
        loop {
            self.space(&mut all);
            if self.at >= self.text.len() || self.at_end() {
                break;
            }
            let start = self.at;
            if all.len() < MOST {
                self.statement(link, &mut all);
            }
            link = self.link();
            if self.at == start {
                self.bump(1);
            }
        }
        self.depth -= 1;
        self.open.pop();
        all
    }

    /// What follows a statement.
    pub(super) fn link(&mut self) -> Link {
        self.blanks();
        if self.starts(";;") {
            return Link::Next;
        }
        for (sign, link) in [("&&", Link::And), ("||", Link::Or), ("|", Link::Pipe)] {
            if self.eat(sign) {
                self.eat("&");
                while self.peek().is_some_and(char::is_whitespace) {
                    self.bump(1);
                }
                self.blanks();
                return link;
            }
        }
        Link::Next
    }

    /// Over blank lines, comments and the signs between statements; what stands between the lines
    /// for us is kept.
    pub(super) fn space(&mut self, all: &mut Vec<Stmt>) {
        loop {
            let begins = self.at == 0 || self.text[..self.at].ends_with('\n');
            if begins && self.depth == 1 {
                self.prompt(all);
            }
            self.blanks();
            let rest = self.rest();
            let comment = rest.starts_with('#')
                || (self.shell == Shell::Cmd && (rest.starts_with("::") || self.keyword("rem")));
            if rest.starts_with("<#") && self.shell == Shell::Power {
                self.bump(rest.find("#>").map_or(rest.len(), |number| number + 2));
            } else if comment {
                self.directive(all);
                self.bump(self.line_end() - self.at);
            } else if rest.starts_with(";;") && self.expected(";;") {
                return;
            } else if rest.starts_with(['\n', ';', '&'])
                || (rest.starts_with('@') && self.shell != Shell::Power)
            {
                self.bump(1);
            } else {
                return;
            }
        }
    }

    /// Whether this word stands here by itself.
    pub(super) fn keyword(&self, word: &str) -> bool {
        let Some(head) = self.rest().get(..word.len()) else { return false };
        let same = match self.shell {
            Shell::Bash => head == word,
            Shell::Power | Shell::Cmd => head.eq_ignore_ascii_case(word),
        };
        let after = self.rest().get(word.len()..).and_then(|text| text.chars().next());
        let sign = !word.starts_with(char::is_alphabetic);
        same && (sign || after.is_none_or(|it| !(it.is_alphanumeric() || "_-.=/:".contains(it))))
    }

    pub(super) fn take(&mut self, word: &str) -> bool {
        let found = self.keyword(word);
        if found {
            self.bump(word.len());
        }
        found
    }

    pub(super) fn expected(&self, word: &str) -> bool {
        self.open.iter().any(|text| text.contains(&word))
    }

    /// At the end of something that is open; an end of nothing is passed over.
    pub(super) fn at_end(&mut self) -> bool {
        if self.starts(")") {
            return self.expected(")") || self.expected("),");
        }
        match WORDS.iter().copied().find(|text| self.keyword(text)) {
            None => false,
            Some(word) if self.expected(word) => true,
            Some(_) if self.shell != Shell::Bash => false,
            Some(word) => {
                self.bump(word.len());
                self.at_end()
            }
        }
    }

    /// Over blanks and ends of lines.
    pub(super) fn lines(&mut self) {
        self.blanks();
        while self.starts("\n") || self.starts("\r") {
            self.bump(1);
            self.blanks();
        }
    }

    pub(super) fn statement(&mut self, link: Link, all: &mut Vec<Stmt>) {
        let start = self.at;
        let kind = match self.shell {
            _ if self.depth > 60 => Some(ScriptKind::Simple(self.simple())),
            Shell::Bash => self.bash(),
            Shell::Power => self.powershell(),
            Shell::Cmd => self.cmd(),
        };
        if let Some(kind) = kind {
            all.push(Stmt { link, span: self.span(start), kind });
        }
    }

    /// Behind `if`: arms of condition and body.
    pub(super) fn branches(&mut self) -> ScriptKind {
        let again = if self.shell == Shell::Bash { "elif" } else { "elseif" };
        let mut arms = vec![(self.condition(), self.arm(ARM))];
        loop {
            let at = self.at;
            self.lines();
            if self.take(again) {
                arms.push((self.condition(), self.arm(ARM)));
            } else if self.take("else") {
                arms.push((Vec::new(), self.arm(&["fi"])));
            } else {
                self.at = at;
                if self.shell == Shell::Bash {
                    self.take("fi");
                }
                return ScriptKind::If(arms);
            }
        }
    }

    pub(super) fn condition(&mut self) -> Vec<Stmt> {
        match self.shell {
            Shell::Bash => {
                let condition = self.list(&["then", "fi"]);
                self.take("then");
                condition
            }
            Shell::Power => {
                self.lines();
                if self.starts("(") { self.parentheses(true).0 } else { Vec::new() }
            }
            Shell::Cmd => self.cmd_condition(),
        }
    }

    /// The body behind a condition or `else`; the ends are those of bash.
    fn arm(&mut self, ends: Ends) -> Vec<Stmt> {
        match self.shell {
            Shell::Bash => self.list(ends),
            Shell::Power => self.braced(),
            Shell::Cmd => self.cmd_block(),
        }
    }

    /// `{ … }`, also on the next line.
    pub(super) fn braced(&mut self) -> Vec<Stmt> {
        self.lines();
        let body = if self.eat("{") { self.list(&["}"]) } else { return Vec::new() };
        self.eat("}");
        body
    }

    /// Words, assignments and redirections up to the end of the command.
    pub(super) fn simple(&mut self) -> Simple {
        let mut simple = Simple::default();
        let mut declares = false;
        loop {
            self.blanks();
            let rest = self.rest();
            if rest.is_empty() || rest.starts_with(['\n', ';', '|']) || rest.starts_with("&&") {
                return simple;
            }
            let ends_block = self.shell == Shell::Power && rest.starts_with(['}', '{']);
            if ends_block || (rest.starts_with(')') && self.at_end()) {
                return simple;
            }
            // A comment behind a command.
            if rest.starts_with('#') {
                self.bump(self.line_end() - self.at);
                return simple;
            }
            if self.redirection(&mut simple) {
                continue;
            }
            if simple.words.is_empty()
                && self.shell != Shell::Power
                && let Some(set) = self.assignment(declares)
            {
                simple.sets.push(set);
                continue;
            }
            let from = self.at;
            let Some(word) = self.word() else {
                // `(`, `&` and stray signs.
                if self.starts("&") {
                    return simple;
                }
                self.bump(1);
                continue;
            };
            let text = self.text.get(from..self.at).unwrap_or_default();
            let first = simple.words.is_empty() && self.shell == Shell::Bash;
            let declaring = ["export", "local", "declare", "readonly", "typeset", "set"];
            if first && declaring.contains(&text) {
                declares = text == "export" || declares;
                continue;
            }
            if first && text.starts_with('-') && self.shell == Shell::Bash {
                // `declare -A`.
                continue;
            }
            simple.words.push(word);
        }
    }

    pub(super) fn redirection(&mut self, simple: &mut Simple) -> bool {
        let rest = self.rest();
        let digits = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(0);
        let sign = &rest[digits..];
        if digits > 1 || (digits == 1 && !sign.starts_with('>')) {
            return false;
        }
        if sign.starts_with("&>") || sign.starts_with('>') {
            let length = sign.find(|letter: char| !">&|".contains(letter)).unwrap_or(sign.len());
            self.bump(digits + length);
            self.blanks();
            let to = self.word();
            // Errors go elsewhere.
            if digits == 0 && sign.starts_with('>') {
                simple.to = to;
            }
            return true;
        }
        if sign.starts_with("<<<") {
            self.bump(3);
            self.blanks();
            simple.body = self.word();
            return true;
        }
        if sign.starts_with("<<") {
            self.bump(2);
            simple.body = self.here_document();
            return true;
        }
        let file = sign.starts_with('<') && !sign.starts_with("<(");
        if file && super::read::placeholder(sign).is_none() {
            self.bump(1);
            self.blanks();
            simple.from = self.word();
            return true;
        }
        false
    }

    /// `NAME=`, `NAME+=`, `NAME[key]=` and the value.
    pub(super) fn assignment(&mut self, exported: bool) -> Option<Set> {
        if self.shell == Shell::Cmd {
            return None;
        }
        let (rest, near) = (self.rest(), self.near());
        let name = identifier(near).to_owned();
        let length = name.len();
        let mut after = &rest[length..];
        if name.is_empty() || name.starts_with(|letter: char| letter.is_ascii_digit()) {
            return None;
        }
        let mut key = None;
        if let Some(inside) = after.strip_prefix('[') {
            let inside = &inside[..inside.floor_char_boundary(near.len() - length)];
            let end = inside.find("]=").or_else(|| inside.find("]+="))?;
            if inside[..end].contains(char::is_whitespace) {
                return None;
            }
            let parts = self.nested(&inside[..end], self.at + length + 1);
            key = Some(Raw { parts, span: self.span(self.at) });
            after = &inside[end + 1..];
        }
        let append = after.starts_with("+=");
        after = after.strip_prefix('+').unwrap_or(after).strip_prefix('=')?;
        self.bump(rest.len() - after.len());
        let list = self.eat("(");
        let at = self.at;
        let value = if list {
            self.entries()
        } else {
            vec![(None, self.word().unwrap_or_else(|| Raw::new(Vec::new(), self.span(at))))]
        };
        Some(Set { name, key, append, list, exported, value })
    }

    /// The entries of a list, over its closing parenthesis.
    pub(super) fn entries(&mut self) -> Vec<Entry> {
        let mut all = Vec::new();
        self.open.push(&["),"]);
        loop {
            self.lines();
            while self.eat(",") || self.eat(";") || self.eat("\n") {
                self.lines();
            }
            if self.starts("#") {
                self.bump(self.line_end() - self.at);
                continue;
            }
            if self.at >= self.text.len() || self.eat(")") {
                break;
            }
            let key = self.near().strip_prefix('[').and_then(|text| text.split_once("]="));
            let key = key.map(|it| it.0).filter(|text| !text.contains('\n')).map(str::to_owned);
            if let Some(key) = &key {
                self.bump(key.len() + 3);
            }
            let typed = self.near().strip_prefix('[').and_then(|text| text.split_once(']'));
            let length = typed.filter(|it| it.1.starts_with("@{")).map(|it| it.0.len() + 2);
            self.bump(length.unwrap_or(0));
            if self.shell == Shell::Power && self.starts("@{") {
                let from = self.at;
                self.bump(2);
                let named = self.table().into_iter().map(|it| (it.0.unwrap_or_default(), it.1));
                let parts = vec![TextPart::Table(named.collect())];
                all.push((None, Raw::new(parts, self.span(from))));
                continue;
            }
            let key = key.map(|text| text.trim_matches(['"', '\'']).to_owned());
            match self.word() {
                Some(word) => all.push((key, word)),
                None => self.bump(1),
            }
        }
        self.open.pop();
        all
    }
}
