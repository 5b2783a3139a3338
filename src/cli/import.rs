//! `amlplan import`: a manifest from `az` lines, from live state, or from another profile.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use super::args::ImportArgs;
use super::context::Context;
use super::exit::{Exit, Failure};
use crate::manifest;
use crate::source::{self, Source};

pub(super) async fn run(args: &ImportArgs, context: &Context) -> Result<Exit, Failure> {
    let profile = args.profile.as_deref().map(|it| match it {
        "ga" => manifest::Profile::Ga,
        _ => manifest::Profile::Preview,
    });
    let text = if let Some(path) = &args.from_az {
        let imported = manifest::az::import(&az_lines(path)?, profile)?;
        context.out.findings(&imported.findings);
        imported.text
    } else {
        return Err(Failure::error("not-yet", "only --from-az is there"));
    };
    write(&text, args, context)
}

fn az_lines(path: &Path) -> Result<Arc<Source>, Failure> {
    if path != Path::new("-") {
        return Ok(source::read(path)?);
    }
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|it| Failure::error("file-unreadable", format!("cannot read stdin: {it}")))?;
    Ok(Arc::new(Source { path: "<stdin>".into(), text }))
}

fn write(text: &str, args: &ImportArgs, context: &Context) -> Result<Exit, Failure> {
    match &args.out {
        None => context.out.result(text),
        Some(path) => std::fs::write(path, text).map_err(|it| {
            Failure::error("file-unwritable", format!("cannot write `{}`: {it}", path.display()))
        })?,
    }
    Ok(Exit::Done)
}
