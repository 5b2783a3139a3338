//! How commands end, and the only place that writes to the terminal.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use super::args::Global;
use crate::render;
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
pub(super) struct Failure {
    pub(super) exit: Exit,
    pub(super) findings: Diagnostics,
}

impl Failure {
    pub(super) fn error(code: &'static str, message: impl Into<String>) -> Self {
        Diagnostic::error(code, message).into()
    }

    pub(super) const fn findings(exit: Exit, findings: Diagnostics) -> Self {
        Self { exit, findings }
    }
}

impl From<Diagnostic> for Failure {
    fn from(finding: Diagnostic) -> Self {
        Self { exit: Exit::Error, findings: vec![finding] }
    }
}

impl From<Diagnostics> for Failure {
    fn from(findings: Diagnostics) -> Self {
        Self { exit: Exit::Error, findings }
    }
}

/// Where text goes: results to standard output, everything else to standard error.
#[derive(Debug, Clone)]
pub(super) struct Output {
    no_color: bool,
}

impl Output {
    pub(super) fn new(global: &Global) -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|it| !it.is_empty());
        let dumb = std::env::var("TERM").is_ok_and(|it| it == "dumb");
        Self { no_color: global.no_color || set("NO_COLOR") || dumb }
    }

    /// Whether standard output takes colours.
    pub(super) fn color(&self) -> bool {
        !self.no_color && std::io::stdout().is_terminal()
    }

    /// Whether progress can be drawn in place.
    pub(super) fn live(&self) -> bool {
        std::io::stderr().is_terminal()
    }

    /// Columns of the terminal, or a width that reads well.
    pub(super) fn width(&self) -> usize {
        let columns = std::env::var("COLUMNS").ok().and_then(|it| it.parse().ok());
        columns.unwrap_or(100)
    }

    /// Writes a result. A reader that went away is no error.
    pub(super) fn result(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(text.as_bytes());
        if !text.ends_with('\n') && !text.is_empty() {
            let _ = out.write_all(b"\n");
        }
        let _ = out.flush();
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
        let mut err = std::io::stderr().lock();
        let _ = err.write_all(text.trim_end().as_bytes());
        let _ = err.write_all(b"\n");
    }

    /// Writes findings, underlined where they were written.
    pub(super) fn findings(&self, findings: &[Diagnostic]) {
        if !findings.is_empty() {
            let color = !self.no_color && std::io::stderr().is_terminal();
            self.note(&render::diagnostics::report(findings, color, self.width()));
        }
    }

    pub(super) fn failure(&self, failure: &Failure) {
        self.findings(&failure.findings);
    }
}
