//! Findings about what the user wrote, as a report with the text underlined.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents,
    SourceCode, SourceSpan, SpanContents,
};

use super::safe;
use super::style::{Style, count, text};
use crate::source::{Diagnostic, Label, Place, Severity, Source};

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
    let findings: Vec<Diagnostic> = findings.iter().map(uncolored).collect();
    let mut lines = LineStarts::default();
    let mut out = String::new();
    for finding in in_order(&findings) {
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
    safe::sealed(&out).lines().map(str::trim_end).fold(
        String::with_capacity(out.len()),
        |mut text, line| {
            text.push_str(line);
            text.push('\n');
            text
        },
    )
}

/// Findings beside a result: advice about the manifest, which every run would repeat, is one counted
/// line unless `all` is asked for; `validate` shows it in full.
#[must_use]
pub fn beside(findings: &[Diagnostic], all: bool, style: &Style) -> String {
    let repeats = |finding: &&Diagnostic| {
        finding.severity != Severity::Error
            && crate::catalog::explain(finding.code).is_some_and(|page| page.manifest)
    };
    let (advice, shown): (Vec<&Diagnostic>, Vec<&Diagnostic>) =
        findings.iter().partition(|finding| !all && repeats(finding));
    let shown: Vec<Diagnostic> = shown.into_iter().cloned().collect();
    let mut out = String::new();
    if !shown.is_empty() {
        out.push_str(&report(&shown, style.color, style.width));
        out.push('\n');
    }
    if !advice.is_empty() {
        let codes: BTreeSet<&str> = advice.iter().map(|finding| finding.code).collect();
        let codes: Vec<&str> = codes.into_iter().collect();
        let said = format!(
            "{} about the manifest ({}): amlplan validate shows them.",
            count(advice.len(), "remark"),
            codes.join(", ")
        );
        out.push_str(&text(&style.hang("☞ ", &said)));
        out.push('\n');
    }
    out
}

/// The finding without what could pass for a colour of the report.
fn uncolored(finding: &Diagnostic) -> Diagnostic {
    let mut finding = finding.clone();
    let plain = |text: &mut String| *text = safe::plain(text).into_owned();
    plain(&mut finding.message);
    finding.help.iter_mut().for_each(plain);
    for label in &mut finding.labels {
        plain(&mut label.text);
        let source = &label.place.source;
        let path = source.path.display().to_string();
        if source.text.contains('\u{1b}') || path.contains('\u{1b}') {
            let text = safe::plain(&source.text).into_owned();
            label.place.source =
                Arc::new(Source { path: safe::plain(&path).into_owned().into(), text });
        }
    }
    finding
}

/// By file in the order of discovery, then by place; findings without a place come first.
fn in_order(findings: &[Diagnostic]) -> Vec<&Diagnostic> {
    let mut files: HashMap<&std::path::Path, usize> = HashMap::new();
    let mut keyed: Vec<_> = findings
        .iter()
        .map(|finding| {
            let key = finding.labels.first().map(|label| {
                let next = files.len();
                let file = *files.entry(&label.place.source.path).or_insert(next);
                (file, label.place.span.start)
            });
            (key, finding)
        })
        .collect();
    keyed.sort_by_key(|(key, _)| *key);
    keyed.into_iter().map(|(_, finding)| finding).collect()
}

/// Where the lines of each source begin; found once, however many findings point into it.
#[derive(Default)]
struct LineStarts(HashMap<usize, Arc<Vec<usize>>>);

impl LineStarts {
    fn of(&mut self, source: &Arc<Source>) -> Arc<Vec<usize>> {
        let starts = || {
            let breaks = source.text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
            Arc::new(std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect())
        };
        Arc::clone(self.0.entry(Arc::as_ptr(source).addr()).or_insert_with(starts))
    }
}

/// A source that finds the lines around a span without reading from its beginning.
#[derive(Debug)]
struct SpanText {
    source: Arc<Source>,
    lines: Arc<Vec<usize>>,
    /// Where the text begins in its file: lines before it, and bytes before it in its first line.
    skipped: (usize, usize),
}

/// Lines around a place that have more bytes than this are no lines for people.
const LONG_BYTES: usize = 4_000;

impl SpanText {
    /// The text with what a label points at; of long lines only what is around it.
    fn around(label: &Label, lines: &mut LineStarts) -> (Self, Label) {
        let source = Arc::clone(&label.place.source);
        let text = Self { lines: lines.of(&source), source, skipped: (0, 0) };
        if !text.is_long(label) {
            return (text, label.clone());
        }
        let (whole, span) = (&text.source.text, &label.place.span);
        let line = text.line_of(span.start);
        let begin = text.lines.get(line).copied().unwrap_or_default();
        let end = text.lines.get(line + 1).map_or(whole.len(), |number| number - 1);
        let start = span.start.clamp(begin, end);
        let from = whole.floor_char_boundary(start.saturating_sub(60)).max(begin);
        let to = whole.floor_char_boundary(start + 60).clamp(start, end);
        let (path, text) = (text.source.path.clone(), whole[from..to].to_owned());
        let source = Arc::new(Source { path, text });
        let span = start - from..span.end.clamp(start, to) - from;
        let place = Place { source: Arc::clone(&source), span };
        let skipped = (line, from - begin);
        (
            Self { source, lines: Arc::new(vec![0]), skipped },
            Label { place, text: label.text.clone() },
        )
    }

    fn is_long(&self, label: &Label) -> bool {
        let first = self.line_of(label.place.span.start).saturating_sub(1);
        let last = self.line_of(label.place.span.end) + 2;
        let end = self.lines.get(last).copied().unwrap_or(self.source.text.len());
        end - self.lines.get(first).copied().unwrap_or_default() > LONG_BYTES
    }

    fn line_of(&self, at: usize) -> usize {
        self.lines.partition_point(|line| *line <= at).saturating_sub(1)
    }
}

impl SourceCode for SpanText {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let text = &self.source.text;
        let end = (span.offset() + span.len()).min(text.len());
        let first = self.line_of(span.offset().min(text.len())).saturating_sub(before);
        let last = self.line_of(end).saturating_add(after);
        let from = self.lines.get(first).copied().unwrap_or_default();
        let to = self.lines.get(last + 1).copied().unwrap_or(text.len());
        let column = if before == 0 { span.offset().saturating_sub(from) } else { 0 };
        let from = if before == 0 { span.offset().min(text.len()) } else { from };
        let bytes = text.as_bytes().get(from..to).ok_or(MietteError::OutOfBounds)?;
        let name = self.source.path.display().to_string();
        let column = if first == 0 { column + self.skipped.1 } else { column };
        let window = SourceSpan::new(from.into(), to - from);
        Ok(Box::new(MietteSpanContents::new_named(
            name,
            bytes,
            window,
            first + self.skipped.0,
            column,
            last - first + 1,
        )))
    }
}

/// A finding as miette wants it, or what of it points into another file.
#[derive(Debug)]
struct Shown {
    code: Option<&'static str>,
    severity: miette::Severity,
    message: String,
    help: Option<String>,
    text: Option<SpanText>,
    labels: Vec<LabeledSpan>,
    elsewhere: Vec<Self>,
}

impl Shown {
    fn new(finding: &Diagnostic, lines: &mut LineStarts) -> Self {
        let severity = match finding.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
            Severity::Advice => miette::Severity::Advice,
        };
        let mut shown = Self {
            code: Some(finding.code),
            severity,
            message: cut(&finding.message),
            help: finding.help.clone(),
            text: None,
            labels: Vec::new(),
            elsewhere: Vec::new(),
        };
        let Some(main) = finding.labels.first() else { return shown };
        let (text, first) = SpanText::around(main, lines);
        shown.labels.push(labeled(&first, true));
        for label in &finding.labels[1..] {
            if label.place.source.path != main.place.source.path {
                let (text, own) = SpanText::around(label, lines);
                shown.elsewhere.push(Self {
                    code: None,
                    severity: miette::Severity::Advice,
                    labels: vec![labeled(&own, true)],
                    message: own.text,
                    help: None,
                    text: Some(text),
                    elsewhere: Vec::new(),
                });
            } else if !text.is_long(label) && text.skipped == (0, 0) {
                shown.labels.push(labeled(label, false));
            }
        }
        shown.text = Some(text);
        shown
    }
}

/// A message, or as much of it as anybody reads.
fn cut(message: &str) -> String {
    let end = message.floor_char_boundary(LONG_BYTES);
    if end < message.len() { format!("{} …", &message[..end]) } else { message.to_owned() }
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

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Shown {}

impl miette::Diagnostic for Shown {
    fn code<'b>(&'b self) -> Option<Box<dyn fmt::Display + 'b>> {
        self.code.map(|code| Box::new(code) as Box<dyn fmt::Display>)
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(self.severity)
    }

    fn help<'b>(&'b self) -> Option<Box<dyn fmt::Display + 'b>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.text.as_ref().map(|span_text| span_text as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.labels.iter().cloned()))
    }

    fn related<'b>(&'b self) -> Option<Box<dyn Iterator<Item = &'b dyn miette::Diagnostic> + 'b>> {
        let others = self.elsewhere.iter().map(|shown| shown as &dyn miette::Diagnostic);
        (!self.elsewhere.is_empty()).then(|| Box::new(others) as Box<dyn Iterator<Item = _>>)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str, text: &str, word: &str) -> Option<Place> {
        let start = text.find(word).unwrap();
        let source = Arc::new(Source { path: name.into(), text: text.into() });
        Some(Place { source, span: start..start + word.len() })
    }

    #[test]
    fn of_a_long_line_only_the_part_around_the_place_is_shown() {
        let text = format!("a: 1\nb: [{}bad, {}]\n", "x, ".repeat(5_000), "y, ".repeat(5_000));
        let finding =
            Diagnostic::error("wrong", "m".repeat(9_000)).at(place("a.yaml", &text, "bad"), "this");
        let report = report(&[finding], false, 80);
        assert!(report.contains("a.yaml:2:15005") && report.contains("x, bad, y"), "{report}");
        assert!(report.len() < 8_000 && report.contains(" 2 │"), "{report}");
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
        let colored = safe::written(&report(&findings, true, 80), safe::Commands::None);
        assert!(colored.contains("\u{1b}[31m"), "{colored}");
    }
}
