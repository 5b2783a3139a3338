//! The report of `drift`, `verify` and `doctor`: one list of findings, and every format a view of it.
//! A command makes a [`Report`] and nothing else; counts, verdicts and exit codes are counted from it.

mod ci;
mod document;
pub(in crate::render) mod junit;
mod merge;
mod page;
mod people;
mod read;

pub use document::json;
pub use merge::merge;
pub use read::read;

use super::safe::Commands;
use super::style::{Style, count};
use crate::health::{Finding, Report, Status};
use crate::model::Json;
use crate::source::Place;

/// A way to write a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// For people at a terminal.
    Human,
    /// One JSON document.
    Json,
    /// For a pull request or a step summary.
    Markdown,
    /// JUnit XML.
    Junit,
    /// SARIF 2.1.0.
    Sarif,
    /// GitHub annotations.
    Github,
    /// Azure Pipelines logging commands.
    AzurePipelines,
    /// GitLab's code quality report.
    Gitlab,
    /// Prometheus text, for node-exporter's textfile collector.
    Prometheus,
    /// One self-contained page.
    Html,
}

impl Format {
    /// All of them with their words.
    pub const ALL: [(Self, &'static str); 10] = [
        (Self::Human, "human"),
        (Self::Json, "json"),
        (Self::Markdown, "markdown"),
        (Self::Junit, "junit"),
        (Self::Sarif, "sarif"),
        (Self::Github, "github"),
        (Self::AzurePipelines, "azure-pipelines"),
        (Self::Gitlab, "gitlab"),
        (Self::Prometheus, "prometheus"),
        (Self::Html, "html"),
    ];

    /// Whether its lines are commands for a CI runner.
    #[must_use]
    pub const fn commands(self) -> Commands {
        match self {
            Self::Github | Self::AzurePipelines => Commands::Lines,
            _ => Commands::None,
        }
    }

    /// The format with this word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.1 == word).map(|it| it.0)
    }
}

pub use ci::run_metrics;

/// The report in a format; `all` shows people what is fine too.
#[must_use]
pub fn render(report: &Report, format: Format, style: &Style, all: bool) -> String {
    match format {
        Format::Human => people::human(report, style, all),
        Format::Json => line(&json(report)),
        Format::Markdown => page::markdown(report, style),
        Format::Junit => junit::junit(report),
        Format::Sarif => line(&ci::sarif(report)),
        Format::Github => ci::github(report),
        Format::AzurePipelines => ci::azure_pipelines(report),
        Format::Gitlab => line(&ci::gitlab(report)),
        Format::Prometheus => ci::prometheus(report),
        Format::Html => page::html(report),
    }
}

/// The result in one line.
#[must_use]
pub fn verdict(report: &Report) -> String {
    if !report.verdict.is_empty() {
        return report.verdict.clone();
    }
    let parts: Vec<String> = people::ORDER
        .iter()
        .filter_map(|status| match report.number(*status) {
            0 => None,
            number => Some(format!("{number} {}", people::said(*status).1)),
        })
        .collect();
    if parts.is_empty() {
        return "No checks apply.".to_owned();
    }
    format!("{}: {}.", count(report.findings.len(), "check"), parts.join(", "))
}

fn line(document: &Json) -> String {
    format!("{document:#}\n")
}

/// Where a finding is shown: file as the user named it, lines and columns from one.
pub(in crate::render) struct FindingSite {
    pub(in crate::render) file: String,
    pub(in crate::render) start: (usize, usize),
    pub(in crate::render) end: (usize, usize),
}

impl FindingSite {
    pub(in crate::render) fn of(place: &Place) -> Self {
        let file = place.source.path.display().to_string().replace('\\', "/");
        let file = file.trim_start_matches("./").to_owned();
        let end = place.span.end;
        let end = Place { source: place.source.clone(), span: end..end };
        Self { file, start: place.line_column(), end: end.line_column() }
    }

    fn of_finding(finding: &Finding) -> Option<Self> {
        finding.place.as_ref().map(Self::of)
    }

    /// File and line.
    pub(in crate::render) fn line(&self) -> String {
        format!("{}:{}", self.file, self.start.0)
    }
}

/// The word of a finding's severity in the contract: `error`, `warning`, `info`; `none` for what is
/// fine.
pub(in crate::render) const fn severity(status: Status) -> &'static str {
    match status {
        Status::Fail => "error",
        Status::Warning | Status::Unknown => "warning",
        Status::Info => "info",
        Status::Pass | Status::Skipped => "none",
    }
}

#[cfg(test)]
mod tests;
