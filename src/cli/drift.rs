//! `amlplan drift`: compares and reports; it has no client that could write.

use std::path::Path;

use super::args::{DriftArgs, FailOn};
use super::context::{CommandContext, Observed};
use super::exit::{CommandFailure, Exit};
use super::verify;
use crate::health::{By, Finding, Report, Status};
use crate::language::DriftClass;
use crate::model::{Json, Key, Pointer};
use crate::plan::Mode;
use crate::render;
use crate::source::Diagnostic;

pub(super) async fn run(
    args: &DriftArgs,
    context: &CommandContext,
) -> Result<Exit, CommandFailure> {
    args.formats.all(false)?;
    // Read before anything is written: it may be the file of this run's report.
    let earlier = args.baseline.as_deref().map(baseline).transpose()?;
    let mut observed = context.observe_all(&args.files.files, &[], false).await?;
    let plan = context.plan(&mut observed, Mode::Apply).await;
    let mut health = verify::judged(By::Verify, &observed, context).await;
    health.extend(render::drift::foreign(&observed.desired.foreign));
    let places = |key: &Key, path: &Pointer| observed.desired.place(key, path);
    let mut report = render::drift::report(&plan, &observed.live, &places, health);
    let today = context.now().to_zoned(jiff::tz::TimeZone::UTC).date();
    render::drift::accept(&mut report, &observed.desired, today);
    render::drift::summed(&mut report, &plan);
    if let (Some(path), Some(earlier)) = (&args.baseline, &earlier) {
        match earlier {
            Some(earlier) => {
                let own = |key: &Key| {
                    let Observed { desired, .. } = &observed;
                    let part = context.select.narrows();
                    !part || desired.is_cluster(&key.scope) || desired.nodes.contains_key(key)
                };
                render::drift::since(&mut report, earlier, &own)
                    .map_err(|since| unusable(path, &since))?
            }
            None => {
                let message = format!("there is no baseline `{}` yet", path.display());
                report.diagnostics.push(
                    Diagnostic::warning("no-baseline", message)
                        .with_help("everything counts as new; see that the path is right"),
                );
            }
        }
    }
    report.picture = picture(&observed, &report);
    context.sign(&mut report);
    verify::write(&report, &args.formats, false, context)?;
    Ok(exit(&report, &args.fail_on))
}

/// How the command ends, by what the report says.
pub(super) fn exit(report: &Report, fail_on: &[FailOn]) -> Exit {
    match () {
        () if report.members.get("errored") == Some(&Json::Bool(true)) => Exit::Error,
        () if fails(report, fail_on) => Exit::Found,
        () if !report.complete() => Exit::Error,
        () => Exit::Done,
    }
}

/// The resources coloured by state; a fleet too large for a picture has none.
pub(super) fn picture(observed: &Observed, report: &Report) -> String {
    const MOST: usize = 400;
    if observed.desired.nodes.len() > MOST {
        return String::new();
    }
    render::graph::svg(&observed.desired, &report.states())
}

/// The report of an earlier run; `None` when there is none yet, as in the first night.
fn baseline(path: &Path) -> Result<Option<Json>, CommandFailure> {
    if !path.exists() {
        return Ok(None);
    }
    let source = crate::source::read_earlier(path)?;
    let document = serde_json::from_str(&source.text);
    document.map(Some).map_err(|error| unusable(path, &error.to_string()))
}

fn unusable(path: &Path, why: &str) -> CommandFailure {
    let message = format!("`{}` cannot be a baseline: {why}", path.display());
    let finding = Diagnostic::error("bad-baseline", message);
    finding.with_help("write one with `amlplan drift --format json=FILE`").into()
}

/// Whether a finding of the report makes the command fail.
fn fails(report: &Report, wanted: &[FailOn]) -> bool {
    let only_new = wanted.contains(&FailOn::New);
    let mut wanted: Vec<FailOn> = wanted.iter().copied().filter(|it| *it != FailOn::New).collect();
    if wanted.is_empty() {
        wanted.push(FailOn::Severity(Status::Warning));
    }
    let is = |finding: &Finding, wanted: &FailOn| match wanted {
        FailOn::Class(class) => finding.class.and_then(DriftClass::named) == Some(*class),
        FailOn::Severity(status) => finding.status >= *status,
        FailOn::New => false,
    };
    report
        .findings
        .iter()
        .filter(|finding| finding.counts() && finding.class.is_some())
        .filter(|finding| !only_new || finding.members.get("since").is_none_or(|it| *it != "still"))
        .any(|finding| wanted.iter().any(|wanted| is(finding, wanted)))
}
