//! `amlplan report merge`: one report of the reports of several parts.

use std::path::Path;

use super::args::{MergeArgs, ReportArgs, ReportCommand};
use super::context::CommandContext;
use super::exit::{CommandFailure, Exit};
use super::{drift, verify};
use crate::health::Report;
use crate::render;
use crate::source::Diagnostic;

pub(super) fn run(args: &ReportArgs, context: &CommandContext) -> Result<Exit, CommandFailure> {
    let ReportCommand::Merge(MergeArgs { reports, formats, fail_on }) = &args.command;
    formats.all(false)?;
    let parts = reports.iter().map(|path| Ok((path.display().to_string(), read(path)?)));
    let report = render::report::merge(parts.collect::<Result<_, CommandFailure>>()?)?;
    verify::write(&report, formats, false, context)?;
    Ok(match report.command {
        "drift" => drift::exit(&report, fail_on),
        _ => verify::exit(&report),
    })
}

fn read(path: &Path) -> Result<Report, CommandFailure> {
    let source = crate::source::read(path)?;
    let document = serde_json::from_str(&source.text).map_err(|error| error.to_string());
    document.and_then(|value| render::report::read(&value)).map_err(|why| {
        let message = format!("`{}` cannot be merged: {why}", path.display());
        let finding = Diagnostic::error("bad-report", message);
        finding.with_help("runs with `--shard I/N --format json=FILE` write what can").into()
    })
}
