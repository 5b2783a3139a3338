//! Characters → words: quotes, variables, substitutions, placeholders and continuation lines of
//! three shells, with the errors that word processors and haste put into them.

use std::ops::Range;

use super::{Raw, ScriptNote, Shell, Stmt, TextPart, identifier};

/// Nesting beyond this is no script.
pub(super) const DEEPEST: usize = 40;

/// In bytes: no substitution or key is longer.
const NEAR: usize = 8 << 10;

/// Reads one text.
pub(super) struct ScriptReader<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
    pub(super) shell: Shell,
    pub(super) depth: usize,
    /// Added to places: where this text stands in the piece.
    pub(super) base: usize,
    pub(super) notes: Vec<ScriptNote>,
    /// A here-document behind the current line: where its line ends, and where it ends itself.
    pub(super) hole: Option<(usize, usize)>,
    /// What ends the lists that are open.
    pub(super) open: Vec<&'static [&'static str]>,
}

impl<'a> ScriptReader<'a> {
    pub(super) fn new(text: &'a str, shell: Shell) -> Self {
        let (notes, open) = (Vec::new(), Vec::new());
        Self { text, at: 0, shell, depth: 0, base: 0, notes, hole: None, open }
    }

    pub(super) fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// What stands near: far enough for what closes on this line or soon after. Whoever looks for
    /// a sign that may not come looks here, so that a text of nothing but openings takes no longer
    /// than any other.
    pub(super) fn near(&self) -> &'a str {
        let rest = self.rest();
        &rest[..rest.floor_char_boundary(NEAR)]
    }

    /// What is left of this line, as far as it is near.
    pub(super) fn near_line(&self) -> &'a str {
        self.near().split('\n').next().unwrap_or_default()
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn starts(&self, text: &str) -> bool {
        self.rest().starts_with(text)
    }

    /// Goes on by so many bytes; over a here-document if its line ends here.
    pub(super) fn bump(&mut self, length: usize) {
        let mut to = (self.at + length).min(self.text.len());
        if let Some((line, end)) = self.hole.filter(|it| self.at <= it.0 && to > it.0) {
            to = end.max(line + 1).min(self.text.len());
            self.hole = None;
        }
        self.at = self.text.ceil_char_boundary(to);
    }

    pub(super) fn eat(&mut self, text: &str) -> bool {
        let found = self.starts(text);
        if found {
            self.bump(text.len());
        }
        found
    }

    /// The name that stands here, and over it.
    pub(super) fn name(&mut self) -> String {
        let name = identifier(self.near()).to_owned();
        self.bump(name.len());
        name
    }

    /// On to the first of these signs, or to the end.
    pub(super) fn skip_to(&mut self, signs: &[char]) {
        self.bump(self.rest().find(signs).unwrap_or(self.text.len()));
    }

    pub(super) fn span(&self, start: usize) -> Range<usize> {
        self.base + start..self.base + self.at.max(start)
    }

    pub(super) fn line_end(&self) -> usize {
        self.rest().find('\n').map_or(self.text.len(), |number| self.at + number)
    }

    fn slip(&mut self, start: usize, end: usize, message: String) {
        self.notes.push(ScriptNote::Slip(self.base + start..self.base + end, message));
    }

    /// Over blanks and continuation lines.
    pub(super) fn blanks(&mut self) {
        loop {
            let rest = self.rest();
            if let Some(length) = continuation(rest) {
                self.bump(length);
                // A console shows `> ` before the lines that go on.
                let rest = self.rest().trim_start_matches([' ', '\t']);
                if rest.starts_with("> ") && self.shell != Shell::Cmd {
                    self.bump(self.rest().len() - rest.len() + 2);
                }
                continue;
            }
            match rest.chars().next() {
                Some(letter @ (' ' | '\t' | '\r' | '\u{a0}' | '\u{1}'..='\u{3}')) => {
                    self.bump(letter.len_utf8());
                }
                Some(_) | None => return,
            }
        }
    }

    /// One word; `None` where none begins.
    pub(super) fn word(&mut self) -> Option<Raw> {
        let start = self.at;
        let mut parts = Vec::new();
        while let Some(next) = self.peek() {
            if self.ends_word(next, start) {
                break;
            }
            self.piece(next, &mut parts);
        }
        (self.at > start).then(|| Raw { parts, span: self.span(start) })
    }

    fn ends_word(&self, next: char, start: usize) -> bool {
        let rest = self.rest();
        let glued = |sign: char| rest.starts_with(&[sign, sign][..]);
        match next {
            ' ' | '\t' | '\r' | '\n' | ';' | '|' | '\u{1}'..='\u{3}' => true,
            '&' => {
                let after = rest[1..].chars().next();
                after.is_none_or(|letter| letter.is_whitespace() || letter == '&' || letter == '>')
            }
            '(' => self.shell != Shell::Cmd && !glued('$'),
            ')' => {
                self.shell != Shell::Cmd
                    || self.in_list()
                    || self.open.iter().any(|text| text.contains(&")"))
            }
            '{' | '}' => self.shell == Shell::Power,
            ',' => self.shell == Shell::Power && self.in_list(),
            '>' => self.at > start,
            '`' | '^' | '\\' => continuation(rest).is_some(),
            // `<placeholder>--option`, where the blank is missing.
            '-' => rest.starts_with("--") && self.text[start..self.at].ends_with('>'),
            _ => false,
        }
    }

    /// Inside `@( … )`, where commas part entries.
    fn in_list(&self) -> bool {
        self.open.last().is_some_and(|text| *text == ["),"])
    }

    fn piece(&mut self, next: char, parts: &mut Vec<TextPart>) {
        let bash = self.shell == Shell::Bash;
        match next {
            '\'' if self.shell != Shell::Cmd && self.opens_quote(parts) => {
                self.bump(1);
                let inside = self.rest();
                let mut text = String::new();
                let mut rest = inside;
                loop {
                    let length = rest.find('\'').unwrap_or(rest.len());
                    text.push_str(&rest[..length]);
                    rest = rest.get(length + 1..).unwrap_or_default();
                    if self.shell == Shell::Power && rest.starts_with('\'') {
                        text.push('\'');
                        rest = &rest[1..];
                        continue;
                    }
                    break;
                }
                self.bump(inside.len() - rest.len());
                parts.push(TextPart::Text(text));
            }
            '"' => {
                self.bump(1);
                self.quoted(&['"'], parts);
            }
            '“' | '”' => {
                let message = "typographic quotes, taken for plain ones".to_owned();
                self.slip(self.at, self.at + next.len_utf8(), message);
                self.bump(next.len_utf8());
                self.quoted(&['“', '”'], parts);
            }
            '<' => self.angle(parts),
            '$' => self.dollar(false, parts),
            '{' if self.starts("{{") && self.template(parts) => {}
            '@' if self.splat(parts) => {}
            '@' if self.starts("@'") || self.starts("@\"") => self.here_string_word(parts),
            '%' | '!' if self.shell == Shell::Cmd => self.percent(next, parts),
            '`' if bash => self.backquoted(false, parts),
            '`' | '^' if !bash => {
                let own = (next == '^') == (self.shell == Shell::Cmd);
                if !own {
                    push(parts, next);
                }
                self.bump(1);
                if let Some(next) = self.peek().filter(|letter| own && !letter.is_whitespace()) {
                    push(parts, next);
                    self.bump(next.len_utf8());
                }
            }
            '\\' if bash => {
                self.bump(1);
                // `C:\certs` and the like: only signs are escaped in practice.
                match self.peek().filter(|letter| !letter.is_alphanumeric()) {
                    None => push(parts, '\\'),
                    Some(escaped) => {
                        push(parts, escaped);
                        self.bump(escaped.len_utf8());
                    }
                }
            }
            other => {
                push(parts, other);
                self.bump(other.len_utf8());
            }
        }
    }

    fn here_string_word(&mut self, parts: &mut Vec<TextPart>) {
        let text = (self.shell == Shell::Power).then(|| self.here_string()).flatten();
        match text {
            Some(text) => parts.extend(text.parts),
            None => {
                push(parts, '@');
                self.bump(1);
            }
        }
    }

    /// An apostrophe inside a word opens a quotation only where the same line closes it.
    fn opens_quote(&self, parts: &[TextPart]) -> bool {
        let inside = matches!(parts.last(), Some(TextPart::Text(text)) if text.ends_with(char::is_alphanumeric));
        let line = self.near_line();
        let letter = line[1..].starts_with(char::is_alphabetic);
        !(inside && letter) || line[1..].contains('\'')
    }

    /// The inside of double quotes, up to and over the closing one.
    pub(super) fn quoted(&mut self, close: &[char], parts: &mut Vec<TextPart>) {
        // Quotes make an empty word a word.
        parts.push(TextPart::Text(String::new()));
        while let Some(next) = self.peek() {
            let rest = self.rest();
            match next {
                letter if close.contains(&letter) => {
                    self.bump(letter.len_utf8());
                    let doubled = self.shell == Shell::Power && letter == '"' && self.starts("\"");
                    if !doubled {
                        return;
                    }
                    push(parts, '"');
                    self.bump(1);
                }
                '$' => self.dollar(true, parts),
                '{' if rest.starts_with("{{") && self.template(parts) => {}
                '%' | '!' if self.shell == Shell::Cmd => self.percent(next, parts),
                '\\' if self.shell == Shell::Bash && rest.starts_with("\\\n") => self.bump(2),
                '\\' if self.shell != Shell::Power => {
                    self.bump(1);
                    match self.peek() {
                        Some(letter) if "\"\\`$".contains(letter) => {
                            push(parts, letter);
                            self.bump(1);
                        }
                        Some(_) | None => push(parts, '\\'),
                    }
                }
                '`' if self.shell == Shell::Power => {
                    self.bump(1);
                    if let Some(letter) = self.peek() {
                        push(parts, if matches!(letter, 'n' | 'r' | 't') { ' ' } else { letter });
                        self.bump(letter.len_utf8());
                    }
                }
                '`' if self.shell == Shell::Bash => self.backquoted(true, parts),
                other => {
                    push(parts, if other.is_control() && other != '\n' { ' ' } else { other });
                    self.bump(other.len_utf8());
                }
            }
        }
    }

    /// `<name>` of documentation, `<(command)`, or a mere sign.
    fn angle(&mut self, parts: &mut Vec<TextPart>) {
        let rest = self.rest();
        if rest.starts_with("<(") {
            self.bump(1);
            let (_, text) = self.parentheses(false);
            let text = format!("<{text}");
            parts.push(TextPart::Run { body: Vec::new(), text, field: None, quoted: true });
            return;
        }
        let Some(length) = placeholder(rest) else {
            push(parts, '<');
            self.bump(1);
            return;
        };
        parts.push(TextPart::Text(rest[..length].to_owned()));
        self.bump(length);
        if self.starts("--") {
            let option = self.rest().split_whitespace().next().unwrap_or_default();
            let message = format!("the blank before `{option}` is missing");
            self.slip(self.at, self.at + option.len(), message);
        }
    }

    /// `` `…` ``, where it closes before the paragraph ends.
    fn backquoted(&mut self, quoted: bool, parts: &mut Vec<TextPart>) {
        let inside = self.near().get(1..).unwrap_or_default();
        let end = inside.find('`').filter(|end| *end > 0 && !inside[..*end].contains("\n\n"));
        let Some(end) = end.filter(|_| self.depth < DEEPEST) else {
            self.bump(1);
            return;
        };
        let text = &inside[..end];
        let body = self.inner(text, self.at + 1);
        let text = format!("$({text})");
        parts.push(TextPart::Run { body, text, field: None, quoted });
        self.bump(end + 2);
    }

    /// A reader of a text that stands at this place.
    pub(super) fn within<'b>(&self, text: &'b str, at: usize) -> ScriptReader<'b> {
        let mut inner = ScriptReader::new(text, self.shell);
        (inner.depth, inner.base) = (self.depth + 1, self.base + at);
        inner
    }

    /// The statements of a text that stands at this place.
    pub(super) fn inner(&mut self, text: &str, at: usize) -> Vec<Stmt> {
        let mut inner = self.within(text, at);
        let body = inner.script();
        self.notes.append(&mut inner.notes);
        body
    }

    /// The parts of a text that stands at this place, as between double quotes.
    pub(super) fn nested(&mut self, text: &str, at: usize) -> Vec<TextPart> {
        let mut parts = Vec::new();
        if self.depth + 1 < DEEPEST {
            let mut inner = self.within(text, at);
            inner.quoted(&[], &mut parts);
            self.notes.append(&mut inner.notes);
        }
        parts
    }

    /// `(…)` that begins here: its statements, and the text of it.
    pub(super) fn parentheses(&mut self, read: bool) -> (Vec<Stmt>, String) {
        let start = self.at;
        self.bump(1);
        self.depth += 1;
        let body = if read && self.depth < DEEPEST {
            let body = self.list(&[")"]);
            self.eat(")");
            body
        } else {
            self.at = start;
            self.bump(closing(self.rest(), '(', ')').unwrap_or(self.text.len()));
            Vec::new()
        };
        self.depth -= 1;
        (body, self.text.get(start..self.at).unwrap_or_default().to_owned())
    }

    /// The here-document of this line whose delimiter is next: its text.
    pub(super) fn here_document(&mut self) -> Option<Raw> {
        let tabs = self.eat("-");
        self.blanks();
        let plain = !self.starts("'") && !self.starts("\"") && !self.starts("\\");
        let from = self.at;
        self.word()?;
        let delimiter = self.text.get(from..self.at).unwrap_or_default();
        let delimiter = delimiter.trim_matches(['\'', '"', '\\']);
        let mut line = self.line_end();
        // A line that goes on ends where its last part does.
        while line < self.text.len()
            && self.text[..line].trim_end_matches('\r').ends_with(['\\', '`'])
        {
            let next = self.text[line + 1..].find('\n');
            line = next.map_or(self.text.len(), |number| line + 1 + number);
        }
        let start = self.hole.filter(|it| it.0 == line).map_or(line + 1, |it| it.1);
        let mut end = start.min(self.text.len());
        let mut body = String::new();
        for each in self.text.get(end..).unwrap_or_default().split_inclusive('\n') {
            end += each.len();
            // Indented as a whole, it may stand in a block of YAML.
            if each.trim() == delimiter {
                break;
            }
            body.push_str(if tabs { each.trim_start_matches('\t') } else { each });
        }
        self.hole = Some((line, end));
        let parts = if plain { self.nested(&body, start) } else { vec![TextPart::Text(body)] };
        Some(Raw { parts, span: self.base + start.min(end)..self.base + end })
    }
}

pub(super) fn push(parts: &mut Vec<TextPart>, letter: char) {
    match parts.last_mut() {
        Some(TextPart::Text(text)) => text.push(letter),
        _ => parts.push(TextPart::Text(letter.to_string())),
    }
}

/// The length of a continuation mark and the end of line behind it.
fn continuation(rest: &str) -> Option<usize> {
    let after = rest.strip_prefix(['\\', '`', '^'])?;
    let blank = after.trim_start_matches([' ', '\t', '\r']);
    blank.starts_with('\n').then(|| rest.len() - blank.len() + 1)
}

/// The length of `<a few words>`, and not of a redirection.
pub(super) fn placeholder(rest: &str) -> Option<usize> {
    let near = rest.get(..rest.floor_char_boundary(200)).unwrap_or_default();
    let end = near.find('>')?;
    let inside = near.get(1..end)?;
    let good = inside.starts_with(|letter: char| letter.is_alphanumeric() || letter == '_')
        && !inside.ends_with(char::is_whitespace)
        && !inside.contains(['\n', '<', '"', '$', '|', '&', ';']);
    good.then_some(end + 1)
}

/// Where the brace of `${…` closes, from the dollar on.
pub(super) fn closing_brace(rest: &str) -> Option<usize> {
    let near = rest.get(1..rest.floor_char_boundary(2_000))?;
    closing(near.split('\n').next()?, '{', '}')
}

/// How long a text is up to the end of the brackets that it begins with.
pub(super) fn closing(text: &str, open: char, close: char) -> Option<usize> {
    let mut depth = 0_usize;
    text.char_indices().find_map(|(at, letter)| {
        depth = match letter {
            _ if letter == open => depth + 1,
            _ if letter == close => depth.saturating_sub(1),
            _ => depth,
        };
        (depth == 0).then_some(at + letter.len_utf8())
    })
}
