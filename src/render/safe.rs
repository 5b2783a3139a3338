//! What stands between a value from elsewhere and whoever reads our output: a terminal, which obeys
//! control characters; a person, whom invisible characters deceive; a CI runner, which obeys lines.
//!
//! Everything that is written passes [`written`], so that nothing has to be remembered where a
//! value is put into a text. Our own colours are told from those of others by a seal that changes
//! with every run.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::LazyLock;

/// Who may be told what to do by a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commands {
    /// Nobody.
    None,
    /// A CI runner, by a line that begins with `::`, `##[` or `##vso[`: it is ours, since a value
    /// in such a line has lost its line breaks.
    Lines,
}

/// A value longer than this is for files, not for people; in characters.
const LONG: usize = 240;

/// Stands for the escape character in what we have made ourselves. Nobody else can know it.
static SEAL: LazyLock<String> = LazyLock::new(|| {
    let number = RandomState::new().hash_one("seal");
    format!("\u{10ffff}{number:016x}")
});

/// A text in one of our colours.
pub(super) fn colored(code: &str, text: &str) -> String {
    format!("{seal}[{code}m{text}{seal}[0m", seal = *SEAL)
}

/// Seals the colours of a text that was made of parts without any, see [`plain`].
pub(super) fn sealed(text: &str) -> String {
    text.replace('\u{1b}', &SEAL)
}

/// The text without what could pass for one of our colours; as many bytes as before.
pub(super) fn plain(text: &str) -> Cow<'_, str> {
    match text.contains('\u{1b}') {
        true => text.replace('\u{1b}', "?").into(),
        false => text.into(),
    }
}

/// The text on one line: line breaks are spelt out.
pub(super) fn one_line(text: &str) -> Cow<'_, str> {
    match text.contains(['\n', '\r']) {
        true => text.replace('\r', "\\r").replace('\n', "\\n").into(),
        false => text.into(),
    }
}

/// The text, or as much of it as a person reads, and how much there is more.
pub(super) fn shortened(text: &str) -> Cow<'_, str> {
    let Some((end, _)) = text.char_indices().nth(LONG) else { return text.into() };
    let more = text[end..].chars().count();
    if more < 40 {
        return text.into();
    }
    format!("{}… ({more} more characters)", &text[..end]).into()
}

/// Two texts that differ, short enough to be read and still different: from a little before the
/// first difference on.
pub(super) fn shortened_pair<'a>(a: &'a str, b: &'a str) -> (Cow<'a, str>, Cow<'a, str>) {
    let same = a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count();
    if same < LONG / 2 || a.len().max(b.len()) <= LONG {
        return (shortened(a), shortened(b));
    }
    let tail = |text: &'a str| {
        let (from, _) = text.char_indices().nth(same - 20).unwrap_or((text.len(), ' '));
        format!("…{}", shortened(&text[from..])).into()
    };
    (tail(a), tail(b))
}

/// Text for XML and HTML, in an element or a quoted attribute; what XML 1.0 cannot hold is left out.
pub(super) fn markup(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' => out.push_str("&#10;"),
            '\u{fffe}' | '\u{ffff}' => {}
            letter if letter.is_control() && letter != '\t' => {}
            letter => out.push(letter),
        }
    }
    out
}

/// Whether a character does something to a terminal or cannot be seen (Unicode: Cc but line feed
/// and tab, Cf, line and paragraph separators, fillers, variation selectors, non-characters).
fn acts(letter: char) -> bool {
    matches!(letter,
        '\0'..='\u{8}' | '\u{b}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{34f}'
        | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{8e2}'
        | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}' | '\u{110bd}' | '\u{110cd}'
        | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}' | '\u{f0000}'..='\u{10ffff}')
}

/// A character spelt out. The spelling is JSON's, so that a document stays what it was.
fn spell(out: &mut String, letter: char) {
    let mut units = [0; 2];
    for unit in letter.encode_utf16(&mut units) {
        // Writing to a text cannot fail.
        let _ = write!(out, "\\u{unit:04x}");
    }
}

/// The text as it may be written: nothing in it acts but our own colours and, where they are
/// allowed, our own commands.
#[must_use]
pub fn written(text: &str, commands: Commands) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        self::line(&mut out, line, commands);
    }
    out
}

fn line(out: &mut String, line: &str, commands: Commands) {
    let bare = line.trim_start();
    let ours = commands == Commands::Lines;
    let indent = &line[..line.len() - bare.len()];
    let mut rest = line;
    // A runner looks for `::` where the line begins (GitHub: ActionCommand.TryParseV2).
    if !ours && bare.starts_with("::") {
        visible(out, indent);
        out.push_str("\\u003a");
        rest = &bare[1..];
    } else if ours && (bare.starts_with("##[") || bare.starts_with("##vso[")) {
        out.push_str("##");
        rest = &bare[2..];
    }
    // And for these anywhere in it (ActionCommand.TryParse; Azure Pipelines' agent).
    while let Some(at) = rest.find("##") {
        let after = &rest[at + 2..];
        visible(out, &rest[..=at]);
        if after.starts_with('[') || after.starts_with("vso[") {
            out.push_str("\\u0023");
            rest = after;
        } else {
            rest = &rest[at + 1..];
        }
    }
    visible(out, rest);
}

fn visible(out: &mut String, text: &str) {
    let seal = SEAL.as_str();
    let mut at = 0;
    while let Some(letter) = text[at..].chars().next() {
        if letter == '\u{10ffff}' && text[at..].starts_with(seal) {
            out.push('\u{1b}');
            at += seal.len();
            continue;
        }
        if acts(letter) {
            spell(out, letter);
        } else {
            out.push(letter);
        }
        at += letter.len_utf8();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_acts_but_our_own_colours() {
        let made = format!("{} \u{1b}[31m\u{9b}2J\u{202e}\u{200b}\u{7}", colored("1", "ours"));
        let wanted = "\u{1b}[1mours\u{1b}[0m \\u001b[31m\\u009b2J\\u202e\\u200b\\u0007";
        assert_eq!(written(&made, Commands::None), wanted);
        // The tag characters, which nobody sees and models read.
        assert_eq!(
            written("a\u{e0041}\u{10ffff}b", Commands::None),
            "a\\udb40\\udc41\\udbff\\udfffb"
        );
        assert_eq!(written("ä ✓ … 漢\t\n", Commands::None), "ä ✓ … 漢\t\n");
    }

    #[test]
    fn markup_cannot_be_broken_out_of() {
        assert_eq!(markup("a<b>&\"'\u{1b}[31m\n\u{0}"), "a&lt;b&gt;&amp;&quot;&#39;[31m&#10;");
    }

    #[test]
    fn no_line_is_a_command_unless_it_is_ours() {
        let text = "  ::error::x\na::b ##[group] ###vso[task.x]y\n##x";
        let wanted = "  \\u003a:error::x\na::b #\\u0023[group] ##\\u0023vso[task.x]y\n##x";
        assert_eq!(written(text, Commands::None), wanted);
        let ours = "::error::a ##[x\n##vso[task.x]y ##vso[z]\n";
        let wanted = "::error::a #\\u0023[x\n##vso[task.x]y #\\u0023vso[z]\n";
        assert_eq!(written(ours, Commands::Lines), wanted);
    }

    #[test]
    fn json_stays_the_same_document() {
        let value = serde_json::json!({"a\u{9b}": "\u{202e}\\\u{1b}##[x]\u{e0041}", "::b": "::c"});
        for text in [value.to_string(), serde_json::to_string_pretty(&value).expect("JSON")] {
            let safe = written(&text, Commands::None);
            assert!(!safe.chars().any(acts) && !safe.contains("##["), "{safe}");
            let back: serde_json::Value = serde_json::from_str(&safe).expect("JSON");
            assert_eq!(back, value);
        }
    }

    #[test]
    fn long_texts_are_cut_and_pairs_still_differ() {
        let long = "x".repeat(1000);
        assert_eq!(shortened(&long), format!("{}… (760 more characters)", "x".repeat(240)));
        let (a, b) = (format!("{long}a{long}"), format!("{long}b{long}"));
        let (a, b) = shortened_pair(&a, &b);
        assert!(a != b && a.chars().count() < 300, "{a}\n{b}");
        assert_eq!(shortened_pair("ä", &long).0, "ä");
    }
}
