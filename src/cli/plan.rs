//! `amlplan plan` and `amlplan show`.

use super::args::{PlanArgs, ShowArgs};
use super::context::{Context, Observed, now};
use super::exit::{Exit, Failure};
use crate::plan::{self, Mode, Plan, PlanInput, file};
use crate::render::{self, Style};

impl Context {
    pub(super) fn style(&self) -> Style {
        Style { color: self.out.color(), width: self.out.width() }
    }

    /// Plans, with what the manifest's own checks have to say in front.
    pub(super) fn plan(&self, observed: &Observed, mode: Mode) -> Plan {
        let Observed { desired, live, warnings, .. } = observed;
        let mut plan = plan::plan(&PlanInput { desired, live, mode });
        plan.findings.splice(0..0, warnings.iter().cloned());
        plan
    }
}

pub(super) async fn run(args: &PlanArgs, context: &Context) -> Result<Exit, Failure> {
    if args.as_az {
        let (manifest, _) = context.load(&args.files.files)?;
        context.out.result(&crate::convert::as_az::commands(&manifest));
        return Ok(Exit::Done);
    }
    let mode = if args.destroy { Mode::Destroy } else { Mode::Apply };
    let observed = context.observe(&args.files.files, &args.target, args.destroy).await?;
    let plan = context.plan(&observed, mode);
    let representation = render::json::plan(&plan, &now().to_string());
    if let Some(path) = &args.out {
        let text = render::human::plan(&plan, &Style::default());
        let saved = file::Saved::new(&plan, &observed.desired, text);
        file::write(path, representation.clone(), &saved)?;
    }
    if args.json {
        context.out.json(&representation);
    } else {
        context.out.result(&render::human::plan(&plan, &context.style()));
    }
    Ok(match () {
        () if plan.errored() => Exit::Error,
        () if args.detailed_exitcode && !plan.is_empty() => Exit::Found,
        () => Exit::Done,
    })
}

/// Prints a plan as it was saved, whether or not it is still right.
pub(super) fn show(args: &ShowArgs, context: &Context) -> Result<Exit, Failure> {
    let (mut representation, saved) = file::read(&args.plan)?;
    if args.json {
        // The desired state is for apply; what was decided is above.
        if let Some(own) = representation["amlplan"].as_object_mut() {
            own.remove("saved");
        }
        context.out.json(&representation);
    } else {
        context.out.result(&saved.text);
    }
    Ok(Exit::Done)
}
