//! `amlplan drift`: compares and reports; it has no client that could write.

use super::args::{DriftArgs, DriftFormat};
use super::context::Context;
use super::exit::{Exit, Failure};
use crate::model::{Key, Pointer};
use crate::plan::Mode;
use crate::render;

pub(super) async fn run(args: &DriftArgs, context: &Context) -> Result<Exit, Failure> {
    let observed = context.observe_all(&args.files.files, &[], false).await?;
    let plan = context.plan(&observed, Mode::Apply);
    let places = |key: &Key, path: &Pointer| observed.desired.place(key, path);
    let out = &context.out;
    match args.format {
        DriftFormat::Human => out.result(&render::drift::human(&plan, &places, &context.style())),
        DriftFormat::Json => out.json(&render::drift::json(&plan, &places)),
        DriftFormat::Markdown => out.result(&render::drift::markdown(&plan, &places)),
        DriftFormat::Junit => out.result(&render::drift::junit(&plan, &places)),
        DriftFormat::Sarif => out.json(&render::drift::sarif(&plan, &places)),
        DriftFormat::Github => out.commands(&render::drift::github(&plan, &places)),
    }
    Ok(match () {
        () if plan.errored() => Exit::Error,
        () if !plan.is_empty() || plan.steps.iter().any(|it| it.orphan_of().is_some()) => {
            Exit::Found
        }
        () if !plan.unread.is_empty() => Exit::Error,
        () => Exit::Done,
    })
}
