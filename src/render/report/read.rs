//! A report read back from its document, so that parts of a run can be put together.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalog;
use crate::health::{Finding, Report};
use crate::language::DriftClass;
use crate::model::{Json, Pointer};
use crate::source::{Diagnostic, Place, Severity, Source};

const COMMANDS: [&str; 3] = ["drift", "verify", "doctor"];
/// What every document has; counted anew, or read as what it is.
const COUNTED: [&str; 7] =
    ["command", "complete", "findings", "message", "checks", "skipped", "summary"];
/// Further members of a document, of all three commands.
const OF_REPORT: [&str; 11] = [
    "diagnostics",
    "drift",
    "drifted",
    "errored",
    "gone",
    "manifest",
    "resources",
    "shard",
    "since",
    "unread",
    "versions",
];
/// Members of every finding, and those that only some have.
const OF_ALL: [&str; 14] = [
    "address",
    "class",
    "code",
    "detail",
    "evidence",
    "fingerprint",
    "help",
    "message",
    "path",
    "place",
    "severity",
    "sides",
    "status",
    "title",
];
const OF_FINDING: [&str; 8] = [
    "accepted",
    "action",
    "expected",
    "impact",
    "last_modified_at",
    "last_modified_by",
    "live",
    "since",
];
/// More lines and signs than any manifest has.
const MOST_BYTES: usize = 64 << 20;

/// Reads what [`super::json`] wrote.
///
/// # Errors
/// What is no such document, or was written by another version.
pub fn read(document: &Json) -> Result<Report, String> {
    let command = document["command"].as_str().unwrap_or_default();
    let command = COMMANDS.into_iter().find(|text| *text == command);
    let (Some(command), Some(checks)) = (command, document["checks"].as_array()) else {
        return Err("it is no JSON report of drift, verify or doctor".to_owned());
    };
    let sheets = Sheets::of(document)?;
    let findings: Result<_, _> = checks.iter().map(|value| finding(value, &sheets)).collect();
    let told = list(&document["diagnostics"]).iter().map(|value| diagnostic(value, &sheets));
    let members = document.as_object().into_iter().flatten();
    let members = members.filter(|it| !COUNTED.contains(&it.0.as_str()));
    Ok(Report {
        command,
        findings: findings?,
        diagnostics: told.collect::<Result<_, _>>()?,
        skipped: texts(&document["skipped"]),
        unread: list(&document["unread"])
            .iter()
            .filter_map(|value| value["address"].as_str()?.parse().ok())
            .collect(),
        members: named(members, &OF_REPORT)?,
        ..Report::default()
    })
}

fn list(value: &Json) -> &[Json] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Json) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn texts(value: &Json) -> Vec<String> {
    list(value).iter().map(text).collect()
}

/// Members by name; one that this version does not know would be lost.
fn named<'a>(
    members: impl Iterator<Item = (&'a String, &'a Json)>,
    known: &[&'static str],
) -> Result<BTreeMap<&'static str, Json>, String> {
    members
        .map(|(name, value)| {
            let name = known.iter().find(|text| *text == name).ok_or_else(|| other(name))?;
            Ok((*name, value.clone()))
        })
        .collect()
}

fn other(word: &str) -> String {
    format!("`{word}` in it is of another version of amlplan")
}

fn code(value: &Json) -> Result<&'static str, String> {
    let word = text(value);
    catalog::explain(&word).map(|page| page.code.as_str()).ok_or_else(|| other(&word))
}

fn finding(whole: &Json, sheets: &Sheets) -> Result<Finding, String> {
    let word = text(&whole["status"]);
    let status = super::people::ORDER.into_iter().find(|it| it.as_str() == word);
    let status = status.ok_or_else(|| other(&word))?;
    let class = match whole["class"].as_str() {
        Some(text) => Some(DriftClass::named(text).ok_or_else(|| other(text))?.as_str()),
        None => None,
    };
    let address = text(&whole["address"]).parse().map_err(|not_akey| format!("{not_akey}"))?;
    let sides = &whole["sides"];
    let own = whole.as_object().into_iter().flatten();
    let own = own.filter(|it| !OF_ALL.contains(&it.0.as_str()));
    let place = &whole["place"];
    let at = |line: &str, column: &str| (number(&place[line]), number(&place[column]));
    let mut found = Finding {
        class,
        path: Pointer::parse(&text(&whole["path"])),
        title: text(&whole["title"]),
        help: whole["help"].as_str().map(str::to_owned),
        evidence: texts(&whole["evidence"]),
        sides: sides.is_object().then(|| (text(&sides["declared"]), text(&sides["live"]))),
        detail: text(&whole["detail"]),
        members: named(own, &OF_FINDING)?,
        place: place.is_object().then(|| {
            sheets.place(&text(&place["file"]), at("line", "column"), at("end_line", "end_column"))
        }),
        ..Finding::new(code(&whole["code"])?, status, address, String::new())
    };
    // The document spells a message out where title and sides say it already.
    let message = text(&whole["message"]);
    if !found.counts() || message != found.problem() {
        found.message = message;
    }
    Ok(found)
}

fn diagnostic(whole: &Json, sheets: &Sheets) -> Result<Diagnostic, String> {
    let own = &whole["amlplan"];
    let word = text(&own["severity"]);
    let severity = match word.as_str() {
        "error" => Severity::Error,
        "warning" => Severity::Warning,
        "advice" => Severity::Advice,
        _ => return Err(other(&word)),
    };
    let mut found = Diagnostic::new(code(&own["code"])?, severity, text(&whole["summary"]));
    found.help = whole["detail"].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let range = &whole["range"];
    let at = |end: &str| (number(&range[end]["line"]), number(&range[end]["column"]));
    let place =
        range.is_object().then(|| sheets.place(&text(&range["filename"]), at("start"), at("end")));
    Ok(found.at(place, ""))
}

fn number(value: &Json) -> usize {
    value.as_u64().and_then(|number| usize::try_from(number).ok()).unwrap_or(1).max(1)
}

/// The files that a document points into, as far as it tells: blank but for what it quotes.
#[derive(Default)]
struct Sheets(BTreeMap<String, Sheet>);

#[derive(Default)]
struct Sheet {
    lines: BTreeMap<usize, String>,
    /// The whole text, and where each line begins in it.
    source: Option<Arc<Source>>,
    starts: Vec<usize>,
}

impl Sheets {
    fn of(document: &Json) -> Result<Self, String> {
        let mut sheets = Self::default();
        let mut bytes = 0;
        for value in list(&document["checks"]) {
            let place = &value["place"];
            for (line, column) in [("line", "column"), ("end_line", "end_column")] {
                let at = (number(&place[line]), number(&place[column]));
                bytes += sheets.note(&place["file"], at, "")?;
            }
        }
        for value in list(&document["diagnostics"]) {
            let (range, quoted) = (&value["range"], text(&value["snippet"]["code"]));
            for (end, quoted) in [("start", quoted.as_str()), ("end", "")] {
                let at = (number(&range[end]["line"]), number(&range[end]["column"]));
                bytes += sheets.note(&range["filename"], at, quoted)?;
            }
        }
        for (file, sheet) in &mut sheets.0 {
            let last = sheet.lines.keys().next_back().copied().unwrap_or_default();
            bytes += last;
            if bytes > MOST_BYTES {
                return Err(format!("it points at line {last} of `{file}`, which no manifest has"));
            }
            let mut whole = String::new();
            for line in 1..=last {
                sheet.starts.push(whole.len());
                whole.push_str(sheet.lines.get(&line).map_or("", String::as_str));
                whole.push('\n');
            }
            sheet.source = Some(Arc::new(Source { path: file.into(), text: whole }));
        }
        Ok(sheets)
    }

    /// Makes a line long enough; returns by how much it grew.
    fn note(
        &mut self,
        file: &Json,
        (line, column): (usize, usize),
        quoted: &str,
    ) -> Result<usize, String> {
        let Some(file) = file.as_str() else { return Ok(0) };
        if line.max(column) > MOST_BYTES {
            return Err(format!("it points at line {line}, column {column} of `{file}`"));
        }
        let own = self.0.entry(file.to_owned()).or_default().lines.entry(line).or_default();
        let before = own.len();
        if own.trim().is_empty() && !quoted.is_empty() {
            quoted.clone_into(own);
        }
        let short = column.saturating_sub(own.chars().count());
        own.extend(std::iter::repeat_n(' ', short));
        Ok(own.len().saturating_sub(before))
    }

    fn place(&self, file: &str, start: (usize, usize), end: (usize, usize)) -> Place {
        let sheet = self.0.get(file);
        let at = |(line, column): (usize, usize)| {
            let sheet = sheet?;
            let own = sheet.lines.get(&line)?;
            let in_line = own.char_indices().nth(column - 1).map_or(own.len(), |it| it.0);
            Some(sheet.starts.get(line - 1)? + in_line)
        };
        let source = sheet.and_then(|it| it.source.clone());
        let none = || Arc::new(Source { path: file.into(), text: String::new() });
        let (start, end) = (at(start).unwrap_or_default(), at(end).unwrap_or_default());
        Place { source: source.unwrap_or_else(none), span: start..end.max(start) }
    }
}
