//! Colour and width of text for people. Symbols and words carry every meaning without colour.

use std::time::Duration;

use super::safe;

/// More lines than this of one message are not read.
const MANY_LINES: usize = 30;

/// How text for people is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Whether to use ANSI colours.
    pub color: bool,
    /// Width of the terminal in columns; comments are wrapped to it.
    pub width: usize,
    /// Whether each of several clusters is told of by itself, however alike they are.
    pub detail: bool,
}

impl Default for Style {
    fn default() -> Self {
        Self { color: false, width: 100, detail: false }
    }
}

/// What a piece of text means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    Plain,
    Strong,
    Faint,
    Good,
    Careful,
    Bad,
    Told,
}

impl Style {
    /// The text in its colour.
    pub(super) fn ink(&self, ink: Ink, text: &str) -> String {
        let code = match ink {
            Ink::Plain => return text.to_owned(),
            Ink::Strong => "1",
            Ink::Faint => "2",
            Ink::Good => "32",
            Ink::Careful => "33",
            Ink::Bad => "31",
            Ink::Told => "36",
        };
        if self.color && !text.is_empty() { safe::colored(code, text) } else { text.to_owned() }
    }

    /// The text after a bullet, broken at spaces; further lines are indented below the first.
    pub(super) fn hang(&self, bullet: &str, text: &str) -> Vec<String> {
        let below = " ".repeat(bullet.chars().count());
        let mut lines = self.wrap(&below, text);
        if let Some(first) = lines.first_mut() {
            first.replace_range(..below.len(), bullet);
        }
        lines
    }

    /// The text broken at spaces so that every line, with its prefix, fits the width.
    pub(super) fn wrap(&self, prefix: &str, text: &str) -> Vec<String> {
        let room = self.width.saturating_sub(prefix.chars().count()).max(30);
        let mut lines = Vec::new();
        // What a server says may be a book.
        for paragraph in text.lines().take(MANY_LINES) {
            let mut line = String::new();
            for word in paragraph.split_whitespace() {
                if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > room {
                    lines.push(format!("{prefix}{line}"));
                    line.clear();
                }
                if !line.is_empty() {
                    line.push(' ');
                }
                line.push_str(word);
            }
            lines.push(format!("{prefix}{line}"));
        }
        lines
    }
}

/// A duration as people say it: `45s`, `2m10s`, `1h2m3s`.
pub(super) fn duration(duration: Duration) -> String {
    let all = duration.as_secs();
    let (hours, minutes, seconds) = (all / 3600, all / 60 % 60, all % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// `1 field`, `2 fields`.
pub(super) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// ` and 2 more`; nothing where there are none.
pub(super) fn and_more(number: usize) -> String {
    if number == 0 { String::new() } else { format!(" and {number} more") }
}

/// The lines, each with its end.
pub(super) fn text(lines: &[String]) -> String {
    lines.iter().fold(String::new(), |mut text, line| {
        text.push_str(&safe::one_line(line));
        text.push('\n');
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_say_them() {
        let said = [0, 45, 130, 3723].map(|number| duration(Duration::from_secs(number)));
        assert_eq!(said, ["0s", "45s", "2m10s", "1h2m3s"]);
    }

    #[test]
    fn comments_wrap_inside_the_width_and_keep_long_words_whole() {
        let style = Style { width: 40, ..Style::default() };
        let lines = style.wrap("  # ", "one two three four five six seven eight nine");
        assert_eq!(lines, ["  # one two three four five six seven", "  # eight nine"]);
    }
}
