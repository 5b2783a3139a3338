//! Shell text → commands: words with their places, continuation lines, quotes, here-documents.
//!
//! Reads what people paste: scripts of bash, PowerShell and cmd, and whole pages of documentation,
//! of which only command lines count. Words come out in the manifest's own notation: a shell
//! variable is `${NAME}`, a dollar sign `$$`; `$(…)` and `<(…)` stay as they are.

use std::collections::BTreeMap;
use std::ops::Range;

/// A word of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub text: String,
    pub span: Range<usize>,
}

/// What a text holds, in its order.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// A command of `az`, `oc` or `kubectl`, with the body of its here-document.
    Command { words: Vec<Word>, body: Option<String> },
    /// `# amlplan: PATH = VALUE`: what no command can say.
    Directive(Word),
    /// `system:serviceaccount:NAMESPACE:NAME` in a list.
    Account(Word),
    /// `oc edit scc NAME` in the middle of a sentence.
    EditScc(Word),
}

/// Something the text says wrongly, and what it was taken for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Slip {
    pub span: Range<usize>,
    pub message: String,
}

const TOOLS: [&str; 3] = ["az", "oc", "kubectl"];
/// Commands whose answers amlplan finds out itself.
const ANSWERS: [&str; 3] = ["az ml compute show", "az ml workspace show", "az k8s-extension show"];
const ACCOUNT: &str = "system:serviceaccount:";

/// Takes a text apart.
pub(super) fn lex(text: &str) -> (Vec<Item>, Vec<Slip>) {
    let mut lexer = Lexer { text, at: 0, variables: BTreeMap::new(), slips: Vec::new() };
    let mut items = Vec::new();
    while lexer.at < text.len() {
        lexer.line(&mut items);
    }
    (items, lexer.slips)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    variables: BTreeMap<String, String>,
    slips: Vec<Slip>,
}

/// How a command ends.
enum End {
    Line,
    Separator,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self, length: usize) {
        self.at = (self.at + length).min(self.text.len());
    }

    fn line(&mut self, items: &mut Vec<Item>) {
        let end = self.rest().find('\n').map_or(self.text.len(), |it| self.at + it);
        let line = self.text.get(self.at..end).unwrap_or_default();
        let trimmed = line.trim_start_matches([' ', '\t', '>']).trim_start();
        let trimmed = trimmed.strip_prefix("$ ").unwrap_or(trimmed);
        let start = end - trimmed.len();
        let first = trimmed.split_whitespace().next().unwrap_or_default();
        if TOOLS.contains(&first) || assigns(first) || (first == "cat" && line.contains("<<")) {
            self.at = start;
            self.commands(items);
            return;
        }
        if let Some(rest) = trimmed.strip_prefix("# amlplan:") {
            let at = end - rest.trim_start().len();
            items.push(Item::Directive(self.word(at..end)));
        }
        self.mentions(start..end, items);
        self.at = end + 1;
    }

    /// A stretch of the text as it stands, without blanks at its ends.
    fn word(&self, span: Range<usize>) -> Word {
        let text = self.text.get(span.clone()).unwrap_or_default().trim();
        Word { text: text.to_owned(), span: span.start..span.start + text.len() }
    }

    /// Service accounts and `oc edit scc` in a line that is no command.
    fn mentions(&self, line: Range<usize>, items: &mut Vec<Item>) {
        const EDIT: &str = "oc edit scc ";
        let text = self.text.get(line.clone()).unwrap_or_default();
        if let Some((found, _)) = text.match_indices(EDIT).next() {
            let from = found + EDIT.len();
            let name = text.get(from..).unwrap_or_default();
            let length =
                name.find(|it: char| !(it.is_alphanumeric() || it == '-')).unwrap_or(name.len());
            let start = line.start + from;
            items.push(Item::EditScc(self.word(start..start + length)));
        }
        for (found, _) in text.match_indices(ACCOUNT) {
            let from = text.get(found..).unwrap_or_default();
            // `{EXTENSION NAME}` holds a blank.
            let mut inside = false;
            let length = from
                .find(|it: char| {
                    inside = (inside || it == '{') && it != '}';
                    !inside && (it.is_whitespace() || "`'\",;*)".contains(it))
                })
                .unwrap_or(from.len());
            let start = line.start + found;
            items.push(Item::Account(self.word(start..start + length)));
        }
    }

    /// The commands of one logical line; a here-document goes to the last of them.
    fn commands(&mut self, items: &mut Vec<Item>) {
        let mut delimiter = None;
        let mut found = Vec::new();
        loop {
            let mut words = Vec::new();
            let end = self.command(&mut words, &mut delimiter);
            if words.first().is_some_and(|it| TOOLS.contains(&it.text.as_str())) {
                found.push(words);
            } else {
                self.assign(&words);
            }
            match end {
                End::Line => break,
                End::Separator => {}
            }
        }
        let mut body = delimiter.map(|it| self.here_document(&it));
        let last = found.len();
        for (index, words) in found.into_iter().enumerate() {
            let body = if index + 1 == last { body.take() } else { None };
            items.push(Item::Command { words, body });
        }
    }

    /// `NAME=value`, so that later commands may say `$NAME`.
    fn assign(&mut self, words: &[Word]) {
        for word in words.iter().filter(|it| it.text != "export") {
            if let Some((name, value)) = word.text.split_once('=')
                && assigns(&word.text)
                && (!value.starts_with("$(") || ANSWERS.iter().any(|it| value.contains(it)))
            {
                self.variables.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    fn command(&mut self, words: &mut Vec<Word>, delimiter: &mut Option<String>) -> End {
        loop {
            while self.peek().is_some_and(|it| it == ' ' || it == '\t' || it == '\r') {
                self.bump(1);
            }
            let rest = self.rest();
            if rest.is_empty() {
                return End::Line;
            }
            if let Some(length) = continuation(rest) {
                self.bump(length);
                continue;
            }
            if rest.starts_with('\n') {
                self.bump(1);
                return End::Line;
            }
            if rest.starts_with('#') {
                self.bump(rest.find('\n').unwrap_or(rest.len()));
                continue;
            }
            if let Some(length) = ["&&", "||", "|", ";"].iter().find(|it| rest.starts_with(**it)) {
                self.bump(length.len());
                return End::Separator;
            }
            if rest.starts_with("<<") {
                self.bump(2);
                let word = self.shell_word();
                *delimiter = Some(word.text.trim_start_matches('-').to_owned());
                continue;
            }
            if rest.starts_with('>') || rest.starts_with("2>") {
                self.bump(rest.find(|it: char| it != '>' && it != '2' && it != '&').unwrap_or(1));
                self.shell_word();
                continue;
            }
            let word = self.shell_word();
            if word.span.is_empty() {
                // A stray backquote of Markdown.
                self.bump(self.peek().map_or(1, char::len_utf8));
            } else {
                words.push(word);
            }
        }
    }

    fn here_document(&mut self, delimiter: &str) -> String {
        let mut body = String::new();
        while !self.rest().is_empty() {
            let line = self.rest().split_inclusive('\n').next().unwrap_or_default();
            self.bump(line.len());
            if line.trim() == delimiter {
                break;
            }
            body.push_str(line);
        }
        body
    }

    /// One word, from here to the next blank outside quotes.
    fn shell_word(&mut self) -> Word {
        let start = self.at;
        let mut text = String::new();
        while let Some(next) = self.peek() {
            match next {
                ' ' | '\t' | '\r' | '\n' | ';' | '|' => break,
                '&' if self.rest().starts_with("&&") => break,
                '`' | '^' | '\\' if continuation(self.rest()).is_some() => break,
                '`' => break,
                '\'' => self.single_quoted(&mut text),
                '"' => self.double_quoted('"', &mut text),
                '“' | '”' => {
                    let message = "typographic quotes, taken for plain ones".to_owned();
                    self.slips.push(Slip { span: self.at..self.at + next.len_utf8(), message });
                    self.double_quoted('”', &mut text);
                }
                '<' => {
                    if self.placeholder(&mut text) {
                        break;
                    }
                }
                '$' => self.dollar(&mut text),
                '\\' => {
                    self.bump(1);
                    let escaped = self.peek();
                    // `C:\certs` and the like: only signs are escaped in practice.
                    if escaped.is_none_or(char::is_alphanumeric) {
                        text.push('\\');
                    } else if let Some(escaped) = escaped {
                        if escaped == '$' {
                            text.push('$');
                        }
                        text.push(escaped);
                        self.bump(escaped.len_utf8());
                    }
                }
                other => {
                    text.push(other);
                    self.bump(other.len_utf8());
                }
            }
        }
        Word { text, span: start..self.at }
    }

    fn single_quoted(&mut self, text: &mut String) {
        self.bump(1);
        let inside = self.rest();
        let length = inside.find('\'').unwrap_or(inside.len());
        text.push_str(&inside.get(..length).unwrap_or_default().replace('$', "$$"));
        self.bump(length + 1);
    }

    fn double_quoted(&mut self, close: char, text: &mut String) {
        self.bump(self.peek().map_or(1, char::len_utf8));
        while let Some(next) = self.peek() {
            match next {
                it if it == close || (close != '"' && it == '“') => {
                    self.bump(it.len_utf8());
                    return;
                }
                '$' => self.dollar(text),
                '\\' if self.rest().starts_with("\\\n") => self.bump(2),
                '\\' if self.rest().starts_with("\\$") => {
                    text.push_str("$$");
                    self.bump(2);
                }
                '\\' => {
                    self.bump(1);
                    let escaped = self.peek();
                    match escaped {
                        Some(it) if "\"\\`".contains(it) => {
                            text.push(it);
                            self.bump(1);
                        }
                        Some(_) | None => text.push('\\'),
                    }
                }
                other => {
                    text.push(other);
                    self.bump(other.len_utf8());
                }
            }
        }
    }

    /// `<name>` of documentation, or `<(command)`. Whether the word must end here, since an option
    /// follows without a blank.
    fn placeholder(&mut self, text: &mut String) -> bool {
        let rest = self.rest();
        if rest.starts_with("<(") {
            self.parentheses(text);
            return false;
        }
        // A placeholder is a few words, not a page of them.
        let near = &rest[..rest.floor_char_boundary(200)];
        let line = near.split('\n').next().unwrap_or_default();
        let Some(length) = line.find('>') else {
            text.push('<');
            self.bump(1);
            return false;
        };
        text.push_str(line.get(..=length).unwrap_or_default());
        self.bump(length + 1);
        let glued = self.rest().starts_with("--");
        if glued {
            let option = self.rest().split_whitespace().next().unwrap_or_default();
            let span = self.at..self.at + option.len();
            let message = format!("the blank before `{option}` is missing");
            self.slips.push(Slip { span, message });
        }
        glued
    }

    fn dollar(&mut self, text: &mut String) {
        let rest = self.rest();
        if rest.starts_with("$(") {
            self.parentheses(text);
            return;
        }
        let after = rest.get(1..).unwrap_or_default();
        let braced = after.strip_prefix('{').and_then(|it| it.split_once('}'));
        let (name, length) = match braced {
            Some((name, _)) => (name, name.len() + 3),
            None => {
                let scope = if after.starts_with("env:") { 4 } else { 0 };
                let name = after.get(scope..).unwrap_or_default();
                let end = name.find(|it: char| !(it.is_ascii_alphanumeric() || it == '_'));
                let name = name.get(..end.unwrap_or(name.len())).unwrap_or_default();
                (name, 1 + scope + name.len())
            }
        };
        if name.is_empty() || name.starts_with(|it: char| it.is_ascii_digit()) {
            text.push_str("$$");
            self.bump(1);
            return;
        }
        match self.variables.get(name) {
            Some(value) => text.push_str(value),
            None => text.extend(["${", name, "}"]),
        }
        self.bump(length);
    }

    /// `$(…)` or `<(…)`, as it stands.
    fn parentheses(&mut self, text: &mut String) {
        let mut depth = 0_usize;
        for (at, it) in self.rest().char_indices() {
            match it {
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            if it == ')' && depth == 0 {
                text.push_str(self.rest().get(..=at).unwrap_or_default());
                self.bump(at + 1);
                return;
            }
        }
        text.push_str(self.rest());
        self.at = self.text.len();
    }
}

/// The length of a continuation mark and the end of line behind it.
fn continuation(rest: &str) -> Option<usize> {
    let after = rest.strip_prefix(['\\', '`', '^'])?;
    let blank = after.trim_start_matches([' ', '\t', '\r']);
    blank.starts_with('\n').then(|| rest.len() - blank.len() + 1)
}

/// Whether a word is `export`, or starts like `NAME=`.
fn assigns(word: &str) -> bool {
    let name = word.split_once('=').map(|it| it.0);
    word == "export"
        || name.is_some_and(|it| {
            let head = it.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
            head && it.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<Vec<String>> {
        let (items, _) = lex(text);
        items
            .into_iter()
            .map(|it| match it {
                Item::Command { words, .. } => words.into_iter().map(|it| it.text).collect(),
                Item::Directive(it) | Item::Account(it) | Item::EditScc(it) => vec![it.text],
            })
            .collect()
    }

    #[test]
    fn continuation_lines_of_three_shells_are_one_command() {
        for mark in ["\\", "`", "^", "\\ ", "`\r"] {
            assert_eq!(words(&format!("az a {mark}\n   b")), [["az", "a", "b"]], "{mark:?}");
        }
    }

    #[test]
    fn quotes_and_variables_come_out_in_the_manifest_s_notation() {
        for (text, word) in [
            ("az 'a b'", "a b"),
            ("az \"a \\\"b\\\"\"", "a \"b\""),
            ("az $X", "${X}"),
            ("az \"${X}/y\"", "${X}/y"),
            ("az '$X'", "$$X"),
            ("az k=$(cat ./a b)", "k=$(cat ./a b)"),
            ("az $env:X", "${X}"),
            ("az “a b”", "a b"),
            ("az C:\\certs\\x.pem", "C:\\certs\\x.pem"),
        ] {
            assert_eq!(words(text), [["az", word]], "{text}");
        }
        assert_eq!(words("RG=ml-rg\naz -g $RG"), [["az", "-g", "ml-rg"]]);
    }

    #[test]
    fn only_command_lines_of_a_page_count() {
        let page = "# Title\nUse `az` wisely.\n```azurecli\n  az login; az version # note\n```\n\
            Run `oc edit scc privileged` and add\n* ```system:serviceaccount:azureml:{EXTENSION NAME}-x``` **(Note**\n";
        let expected: [&[&str]; 4] = [
            &["az", "login"],
            &["az", "version"],
            &["privileged"],
            &["system:serviceaccount:azureml:{EXTENSION NAME}-x"],
        ];
        assert_eq!(words(page), expected);
    }

    #[test]
    fn a_placeholder_ends_where_an_option_begins() {
        let (items, slips) = lex("az k=<path-to-key>--resource-group <rg>");
        assert_eq!(slips.len(), 1);
        let Some(Item::Command { words, .. }) = items.first() else { panic!("{items:?}") };
        let words: Vec<_> = words.iter().map(|it| it.text.as_str()).collect();
        assert_eq!(words, ["az", "k=<path-to-key>", "--resource-group", "<rg>"]);
    }

    #[test]
    fn a_here_document_belongs_to_its_command() {
        let (items, _) = lex("kubectl apply -f - <<'EOF'\na: 1\nEOF\naz login\n");
        let Some(Item::Command { body, .. }) = items.first() else { panic!("{items:?}") };
        assert_eq!((body.as_deref(), items.len()), (Some("a: 1\n"), 2));
        let (items, _) = lex("cat <<EOF | kubectl apply -f -\na: 1\nEOF\n");
        let Some(Item::Command { words, body }) = items.first() else { panic!("{items:?}") };
        assert_eq!((words[0].text.as_str(), body.as_deref()), ("kubectl", Some("a: 1\n")));
    }
}
