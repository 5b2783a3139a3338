//! `amlplan explain`, `schema`, `completions` and the manual page.

use std::path::Path;

use clap::CommandFactory as _;

use super::Cli;
use super::args::{CompletionArgs, ExplainArgs};
use super::exit::{Exit, Failure, Output};
use crate::source::Diagnostic;
use crate::{catalog, language, render};

pub(super) fn run(args: &ExplainArgs, out: &Output) -> Result<Exit, Failure> {
    if let Some(text) = render::explain::page(&args.what) {
        out.result(&text);
        return Ok(Exit::Done);
    }
    let nearest = catalog::suggest_setting(&args.what);
    let message = format!("`{}` is neither a code nor a setting that amlplan knows", args.what);
    let mut finding = Diagnostic::error("unknown-code", message);
    finding.help = nearest.map(|it| format!("did you mean `{it}`?"));
    Err(finding.into())
}

pub(super) fn schema(out: &Output) -> Result<Exit, Failure> {
    out.json(&language::schema());
    Ok(Exit::Done)
}

pub(super) fn completions(args: &CompletionArgs, out: &Output) -> Result<Exit, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "amlplan", &mut text);
    out.result(&String::from_utf8_lossy(&text));
    Ok(Exit::Done)
}

pub(super) fn man(folder: &Path) -> Result<Exit, Failure> {
    std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), folder))
        .map_err(|error| {
            let what = format!("cannot write manual pages to {}: {error}", folder.display());
            Failure::error("file-unwritable", what)
        })?;
    Ok(Exit::Done)
}
