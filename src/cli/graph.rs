//! `amlplan graph`: the desired state, offline.

use super::args::{GraphArgs, GraphFormat};
use super::context::CommandContext;
use super::exit::{CommandFailure, Exit};
use crate::{render, resource::graph};

pub(super) fn run(args: &GraphArgs, context: &CommandContext) -> Result<Exit, CommandFailure> {
    let (manifest, warnings) = context.load(&args.files.files)?;
    context.out.findings(&warnings);
    let desired = graph::build(&manifest)?;
    match args.format {
        GraphFormat::Dot => context.out.result(&render::graph::dot(&desired)),
        GraphFormat::Mermaid => context.out.result(&render::graph::mermaid(&desired)),
        GraphFormat::Svg => {
            context.out.result(&render::graph::svg(&desired, &std::collections::BTreeMap::new()))
        }
        GraphFormat::Json => context.out.json(&render::graph::json(&desired)),
    }
    Ok(Exit::Done)
}
