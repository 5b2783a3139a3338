//! How commands end, and the only place that writes to the terminal.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::shared::Global;
use crate::catalog;
use crate::client::ApiError;
use crate::render;
use crate::render::safe::{self, Commands};
use crate::source::{Diagnostic, Diagnostics};

/// How a command ended: the exit codes of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// Everything asked for was done, and there is nothing to report.
    Done,
    /// An error.
    Error,
    /// Changes, drift, an unhealthy deployment or a failing prerequisite.
    Found,
    /// Partly applied.
    Partial,
    /// The saved plan no longer fits.
    Stale,
    /// A gate refused.
    Refused,
    /// We stopped waiting while Azure still works.
    StillWorking,
    /// The user interrupted.
    Interrupted,
}

impl Exit {
    pub(super) fn code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Done => 0,
            Self::Error => 1,
            Self::Found => 2,
            Self::Partial => 3,
            Self::Stale => 4,
            Self::Refused => 5,
            Self::StillWorking => 7,
            Self::Interrupted => 130,
        })
    }
}

/// A command that could not do what was asked.
#[derive(Debug)]
pub(super) struct CommandFailure {
    pub(super) exit: Exit,
    pub(super) findings: Diagnostics,
}

impl CommandFailure {
    pub(super) fn error(code: &'static str, message: impl Into<String>) -> Self {
        Diagnostic::error(code, message).into()
    }

    /// A request that failed, with how to mend it.
    pub(super) fn of(code: &'static str, error: &ApiError) -> Self {
        let (status, own) = (error.status.unwrap_or(0), error.code.as_deref().unwrap_or(""));
        let known = || catalog::remedy(error.api, status, own, &error.message);
        let help = error.help().or_else(|| known().map(|page| page.help.clone()));
        Diagnostic { help, ..Diagnostic::error(code, error.to_string()) }.into()
    }

    pub(super) const fn findings(exit: Exit, findings: Diagnostics) -> Self {
        Self { exit, findings }
    }
}

impl From<Diagnostic> for CommandFailure {
    fn from(finding: Diagnostic) -> Self {
        Self { exit: Exit::Error, findings: vec![finding] }
    }
}

impl From<Diagnostics> for CommandFailure {
    fn from(findings: Diagnostics) -> Self {
        Self { exit: Exit::Error, findings }
    }
}

/// Where text goes: results to standard output, everything else to standard error. Nothing gets
/// there but through [`safe::written`].
#[derive(Debug, Clone)]
pub(super) struct Streams {
    no_color: bool,
    /// Whether progress can be drawn in place.
    live: bool,
    /// Whether a result could not be written.
    lost: Arc<AtomicBool>,
}

impl Streams {
    /// `json`: whether the result is for a program.
    pub(super) fn new(global: &Global, json: bool) -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|var_o| !var_o.is_empty());
        let dumb = std::env::var("TERM").is_ok_and(|text| text == "dumb");
        let no_color = global.no_color || set("NO_COLOR") || dumb;
        // The terminal of a CI job keeps whatever is drawn on it.
        let live = !json && !dumb && set("TERM") && !set("CI") && std::io::stderr().is_terminal();
        Self { no_color, live, lost: Arc::default() }
    }

    /// Whether standard output takes colours.
    pub(super) fn color(&self) -> bool {
        !self.no_color && std::io::stdout().is_terminal()
    }

    /// Whether progress can be drawn in place.
    pub(super) const fn live(&self) -> bool {
        self.live
    }

    /// Columns of the terminal, or a width that reads well.
    pub(super) fn width(&self) -> usize {
        let columns = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
        columns.unwrap_or(100)
    }

    /// Writes a result, in which nothing can act.
    pub(super) fn result(&self, text: &str) {
        self.write(text, Commands::None);
    }

    /// Writes a report to a file, or as the result.
    pub(super) fn deliver(
        &self,
        text: &str,
        commands: Commands,
        file: Option<&Path>,
    ) -> Result<(), CommandFailure> {
        match file {
            Some(path) => Ok(crate::source::write(path, &safe::written(text, commands))?),
            None => {
                self.write(text, commands);
                Ok(())
            }
        }
    }

    /// Writes a result that holds commands for a CI runner.
    pub(super) fn commands(&self, text: &str) {
        self.write(text, Commands::Lines);
    }

    fn write(&self, text: &str, commands: Commands) {
        let mut text = safe::written(text, commands);
        if !text.ends_with('\n') && !text.is_empty() {
            text.push('\n');
        }
        let mut out = std::io::stdout().lock();
        if let Err(why) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            drop(out);
            // A reader that went away knows; everybody else is told once.
            let told = self.lost.swap(true, Ordering::Relaxed);
            if !told && why.kind() != std::io::ErrorKind::BrokenPipe {
                self.note(&format!("cannot write the result to standard output: {why}"));
            }
        }
    }

    /// How the command ends: a result that nobody could read is as good as none, so that a job does
    /// not take a full disk for "nothing found". What was changed is still said by the code.
    pub(super) fn end(&self, exit: Exit) -> Exit {
        match exit {
            Exit::Done | Exit::Found if self.lost.load(Ordering::Relaxed) => Exit::Error,
            other => other,
        }
    }

    /// Results that are told one by one.
    pub(super) fn stream(&self) -> Box<dyn std::io::Write + Send> {
        Box::new(Results(self.clone()))
    }

    /// Writes a result as JSON.
    pub(super) fn json(&self, document: &serde_json::Value) {
        match serde_json::to_string_pretty(document) {
            Ok(text) => self.result(&text),
            Err(error) => self.note(&format!("cannot write JSON: {error}")),
        }
    }

    /// Writes what is not the result.
    pub(super) fn note(&self, text: &str) {
        let text = safe::written(text.trim_end(), Commands::None) + "\n";
        // Nobody is left who could be told.
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    }

    /// Writes findings, underlined where they were written.
    pub(super) fn findings(&self, findings: &[Diagnostic]) {
        if !findings.is_empty() {
            let color = !self.no_color && std::io::stderr().is_terminal();
            self.note(&render::diagnostics::report(findings, color, self.width()));
        }
    }

    pub(super) fn failure(&self, failure: &CommandFailure) {
        self.findings(&failure.findings);
    }
}

/// Writes whole texts as results.
struct Results(Streams);

impl std::io::Write for Results {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.result(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Log lines of this program and of its libraries: what they quote comes from servers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Log;

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let text = safe::written(&String::from_utf8_lossy(bytes), Commands::None);
        std::io::stderr().lock().write_all(text.as_bytes()).map(|()| bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
