//! What stands between the commands: prompts, prose, and what pages and comments list.

use super::read::ScriptReader;
use super::{Link, ScriptItem, ScriptKind, Shell, Stmt, TOOLS, Word};

const DIRECTIVE: &str = "# amlplan:";
const ACCOUNT: &str = "system:serviceaccount:";

impl ScriptReader<'_> {
    /// Takes off what a console or a page puts before a command.
    pub(super) fn prompt(&mut self, all: &mut Vec<Stmt>) {
        self.mentions(all);
        while self.prose() {
            self.bump(self.line_end() + 1 - self.at);
            self.mentions(all);
        }
        let line = self.text.get(self.at..self.line_end()).unwrap_or_default();
        let mut text = line.trim_start_matches([' ', '\t']);
        if let Some((_, after)) = text.strip_prefix("PS ").and_then(|it| it.split_once("> ")) {
            text = after;
        }
        let bare = text.trim_start_matches(['$', '>', '+', '!', '%']);
        // `!az` of a notebook has no blank.
        if bare.starts_with(' ')
            || (text.starts_with('!') && TOOLS.iter().any(|it| bare.starts_with(it)))
        {
            text = bare;
        }
        self.bump(line.len() - text.len());
    }

    /// A line of a list, or one that begins as sentences do: no command of a shell.
    pub(super) fn prose(&self) -> bool {
        let line = self.text.get(self.at..self.line_end()).unwrap_or_default().trim_start();
        let word = line.split([' ', '\t']).next().unwrap_or_default();
        let sentence = word.len() < line.len()
            && word.starts_with(|letter: char| letter.is_ascii_uppercase())
            && word.chars().skip(1).all(|letter| letter.is_ascii_lowercase() || letter == ',');
        self.shell == Shell::Bash && (line.starts_with("* ") || sentence)
    }

    pub(super) fn directive(&self, all: &mut Vec<Stmt>) {
        let line = self.text.get(self.at..self.line_end()).unwrap_or_default();
        if let Some(rest) = line.strip_prefix(DIRECTIVE) {
            let at = self.at + line.len() - rest.trim_start().len();
            let word = self.stretch(at, self.line_end());
            all.push(self.aside(ScriptItem::Directive(word)));
        }
    }

    pub(super) fn aside(&self, item: ScriptItem) -> Stmt {
        Stmt { link: Link::Next, span: self.span(self.at), kind: ScriptKind::Aside(item) }
    }

    /// A stretch of the text as it stands, without blanks at its ends.
    pub(super) fn stretch(&self, start: usize, end: usize) -> Word {
        let text = self.text.get(start..end).unwrap_or_default().trim();
        let span = self.base + start..self.base + start + text.len();
        Word { text: text.to_owned(), span }
    }

    /// Service accounts and `oc edit scc` in a line that is no command.
    pub(super) fn mentions(&self, all: &mut Vec<Stmt>) {
        const EDIT: &str = "oc edit scc ";
        let (at, end) = (self.at, self.line_end());
        let text = self.text.get(at..end).unwrap_or_default();
        let first = text.split_whitespace().next().unwrap_or_default();
        let listed = first.starts_with(['*', '-', '`', '"', '#']) || first.starts_with("system:");
        let said = TOOLS.contains(&first) || text.starts_with(DIRECTIVE);
        if said || text.len() > 2_000 {
            return;
        }
        if let Some((found, _)) = text.match_indices(EDIT).next() {
            let from = found + EDIT.len();
            let name = text.get(from..).unwrap_or_default();
            let end = name.find(|letter: char| !(letter.is_alphanumeric() || letter == '-'));
            let end = at + from + end.unwrap_or(name.len());
            all.push(self.aside(ScriptItem::EditScc(self.stretch(at + from, end))));
        }
        for (found, _) in text.match_indices(ACCOUNT).filter(|_| listed) {
            let from = text.get(found..).unwrap_or_default();
            // `{EXTENSION NAME}` holds a blank.
            let mut inside = false;
            let length = from.find(|letter: char| {
                inside = (inside || letter == '{') && letter != '}';
                !inside && (letter.is_whitespace() || "`'\",;*)".contains(letter))
            });
            let end = at + found + length.unwrap_or(from.len());
            all.push(self.aside(ScriptItem::Account(self.stretch(at + found, end))));
        }
    }
}
