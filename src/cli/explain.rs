//! `amlplan explain`, `schema`, `completions` and the manual page.

use std::path::Path;

use clap::CommandFactory as _;

use super::Cli;
use super::args::{CompletionArgs, ExplainArgs};
use super::exit::{CommandFailure, Exit, Streams};
use crate::language::{LoadOptions, Secrets};
use crate::source::Diagnostic;
use crate::{catalog, language, render};

/// Of a longer text the beginning is looked at.
const MOST_BYTES: usize = 1 << 20;

pub(super) fn run(args: &ExplainArgs, out: &Streams) -> Result<Exit, CommandFailure> {
    let mut text = args.what.join(" ");
    if text == "-" {
        text = crate::source::read_stdin()?.text.clone();
        text.truncate(text.floor_char_boundary(MOST_BYTES));
    }
    let clusters = match &args.file[..] {
        [] => Vec::new(),
        files => {
            let options = LoadOptions { env: &super::context::env, secrets: Secrets::Optional };
            language::load(files, &options)?.manifest.clusters
        }
    };
    if let Some(page) = render::explain::page(&text, &clusters) {
        out.result(&page);
        return Ok(Exit::Done);
    }
    let start: String = text.chars().filter(|letter| !letter.is_control()).take(80).collect();
    let message = format!("amlplan does not know `{start}`");
    let help = match catalog::suggest_setting(&text) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`amlplan verify` shows the health report, pods and events of a cluster, \
                 `amlplan doctor` its prerequisites, `amlplan apply -v` every answer of Azure"
            .to_owned(),
    };
    Err(Diagnostic::error("unknown-code", message).with_help(help).into())
}

pub(super) fn schema(out: &Streams) -> Result<Exit, CommandFailure> {
    out.json(&language::schema());
    Ok(Exit::Done)
}

pub(super) fn completions(args: &CompletionArgs, out: &Streams) -> Result<Exit, CommandFailure> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "amlplan", &mut text);
    out.result(&String::from_utf8_lossy(&text));
    Ok(Exit::Done)
}

pub(super) fn man(folder: &Path) -> Result<Exit, CommandFailure> {
    std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), folder))
        .map_err(|error| {
            let what = format!("cannot write manual pages to {}: {error}", folder.display());
            CommandFailure::error("file-unwritable", what)
        })?;
    Ok(Exit::Done)
}
