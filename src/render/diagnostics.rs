//! Findings about what the user wrote, as a report with the text underlined.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents,
    SourceCode, SourceSpan, SpanContents,
};

use crate::source::{Diagnostic, Label, Severity, Source};

/// The findings in order, each with file, line, column and the offending text underlined; file
/// after file, and inside a file from top to bottom.
///
/// `width` is the width of the terminal in columns.
#[must_use]
pub fn report(findings: &[Diagnostic], color: bool, width: usize) -> String {
    let theme = if color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_links(false)
        .with_urls(false)
        .with_context_lines(1)
        .with_width(width.max(40));
    let mut lines = Lines::default();
    let mut out = String::new();
    for finding in in_order(findings) {
        let shown = Shown::new(finding, &mut lines);
        if !out.is_empty() {
            out.push('\n');
        }
        // Writing to a text cannot fail; should the handler refuse, the message still gets out.
        if handler.render_report(&mut out, &shown).is_err() {
            out.push_str(&finding.message);
            out.push('\n');
        }
    }
    // The handler pads lines; nobody wants that in a log.
    out.lines().map(str::trim_end).fold(String::with_capacity(out.len()), |mut text, line| {
        text.push_str(line);
        text.push('\n');
        text
    })
}

/// By file in the order of discovery, then by place; findings without a place come first.
fn in_order(findings: &[Diagnostic]) -> Vec<&Diagnostic> {
    let mut files: HashMap<&std::path::Path, usize> = HashMap::new();
    let mut keyed: Vec<_> = findings
        .iter()
        .map(|it| {
            let key = it.labels.first().map(|label| {
                let next = files.len();
                let file = *files.entry(&label.place.source.path).or_insert(next);
                (file, label.place.span.start)
            });
            (key, it)
        })
        .collect();
    keyed.sort_by_key(|(key, _)| *key);
    keyed.into_iter().map(|(_, it)| it).collect()
}

/// Where the lines of each source begin; found once, however many findings point into it.
#[derive(Default)]
struct Lines(HashMap<usize, Arc<Vec<usize>>>);

impl Lines {
    fn of(&mut self, source: &Arc<Source>) -> Arc<Vec<usize>> {
        let starts = || {
            let breaks = source.text.bytes().enumerate().filter(|(_, it)| *it == b'\n');
            Arc::new(std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect())
        };
        Arc::clone(self.0.entry(Arc::as_ptr(source).addr()).or_insert_with(starts))
    }
}

/// A source that finds the lines around a span without reading from its beginning.
#[derive(Debug)]
struct Text {
    source: Arc<Source>,
    lines: Arc<Vec<usize>>,
}

impl SourceCode for Text {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let text = &self.source.text;
        let line_of = |at: usize| self.lines.partition_point(|it| *it <= at).saturating_sub(1);
        let end = (span.offset() + span.len()).min(text.len());
        let first = line_of(span.offset().min(text.len())).saturating_sub(before);
        let last = line_of(end).saturating_add(after);
        let from = self.lines.get(first).copied().unwrap_or_default();
        let to = self.lines.get(last + 1).copied().unwrap_or(text.len());
        let column = if before == 0 { span.offset().saturating_sub(from) } else { 0 };
        let from = if before == 0 { span.offset().min(text.len()) } else { from };
        let bytes = text.as_bytes().get(from..to).ok_or(MietteError::OutOfBounds)?;
        let name = self.source.path.display().to_string();
        let window = SourceSpan::new(from.into(), to - from);
        Ok(Box::new(MietteSpanContents::new_named(
            name,
            bytes,
            window,
            first,
            column,
            last - first + 1,
        )))
    }
}

/// A finding as miette wants it.
#[derive(Debug)]
struct Shown<'a> {
    finding: &'a Diagnostic,
    text: Option<Text>,
    labels: Vec<LabeledSpan>,
    /// What points into other files.
    elsewhere: Vec<Elsewhere>,
}

#[derive(Debug)]
struct Elsewhere {
    message: String,
    text: Text,
    label: LabeledSpan,
}

impl<'a> Shown<'a> {
    fn new(finding: &'a Diagnostic, lines: &mut Lines) -> Self {
        let mut text_of = |label: &Label| {
            let source = Arc::clone(&label.place.source);
            Text { lines: lines.of(&source), source }
        };
        let main = finding.labels.first();
        let here =
            |it: &&Label| main.is_some_and(|main| it.place.source.path == main.place.source.path);
        let labels =
            finding.labels.iter().filter(here).enumerate().map(|(at, it)| labeled(it, at == 0));
        let elsewhere = finding.labels.iter().filter(|it| !here(it)).map(|it| Elsewhere {
            message: it.text.clone(),
            text: text_of(it),
            label: labeled(it, true),
        });
        let elsewhere = elsewhere.collect();
        Self { finding, labels: labels.collect(), elsewhere, text: main.map(text_of) }
    }
}

fn labeled(label: &Label, primary: bool) -> LabeledSpan {
    let text = (!label.text.is_empty()).then(|| label.text.clone());
    let span = label.place.span.clone();
    if primary {
        LabeledSpan::new_primary_with_span(text, span)
    } else {
        LabeledSpan::new_with_span(text, span)
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.finding.message)
    }
}

impl std::error::Error for Shown<'_> {}

impl miette::Diagnostic for Shown<'_> {
    fn code<'b>(&'b self) -> Option<Box<dyn fmt::Display + 'b>> {
        Some(Box::new(self.finding.code))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.finding.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
            Severity::Advice => miette::Severity::Advice,
        })
    }

    fn help<'b>(&'b self) -> Option<Box<dyn fmt::Display + 'b>> {
        self.finding.help.as_ref().map(|it| Box::new(it) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.text.as_ref().map(|it| it as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.labels.iter().cloned()))
    }

    fn related<'b>(&'b self) -> Option<Box<dyn Iterator<Item = &'b dyn miette::Diagnostic> + 'b>> {
        let others = self.elsewhere.iter().map(|it| it as &dyn miette::Diagnostic);
        (!self.elsewhere.is_empty()).then(|| Box::new(others) as Box<dyn Iterator<Item = _>>)
    }
}

impl fmt::Display for Elsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Elsewhere {}

impl miette::Diagnostic for Elsewhere {
    fn severity(&self) -> Option<miette::Severity> {
        Some(miette::Severity::Advice)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.text)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(std::iter::once(self.label.clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Place;

    fn place(name: &str, text: &str, word: &str) -> Option<Place> {
        let start = text.find(word).unwrap();
        let source = Arc::new(Source { path: name.into(), text: text.into() });
        Some(Place { source, span: start..start + word.len() })
    }

    #[test]
    fn a_report_shows_every_place_with_its_lines() {
        let a = "one: 1\ntwo: ä2\nthree: 3\nfour: 4\n";
        let b = "zero: 0\none: 1\n";
        let findings = [
            Diagnostic::warning("late", "four is late").at(place("a.yaml", a, "four"), ""),
            Diagnostic::error("twice", "one is given twice")
                .at(place("a.yaml", a, "ä2"), "again")
                .at(place("b.yaml", b, "one"), "first")
                .with_help("keep one"),
            Diagnostic::error("none", "no manifest"),
        ];
        insta::assert_snapshot!(report(&findings, false, 80), @r"
none

  × no manifest

twice

  × one is given twice
   ╭─[a.yaml:2:6]
 1 │ one: 1
 2 │ two: ä2
   ·      ─┬
   ·       ╰── again
 3 │ three: 3
   ╰────
  help: keep one

Advice:
  ☞ first
   ╭─[b.yaml:2:1]
 1 │ zero: 0
 2 │ one: 1
   · ─┬─
   ·  ╰── first
   ╰────

late

  ⚠ four is late
   ╭─[a.yaml:4:1]
 3 │ three: 3
 4 │ four: 4
   · ────
   ╰────
");
        assert!(report(&findings, true, 80).contains('\u{1b}'));
    }
}
