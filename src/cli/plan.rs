//! `amlplan plan` and `amlplan show`.

use super::args::{PlanArgs, ShowArgs};
use super::context::{CommandContext, Observed, env, now};
use super::exit::{CommandFailure, Exit};
use crate::convert::as_az;
use crate::model::{Key, Pointer};
use crate::plan::{self, Mode, Plan, PlanInput, file};
use crate::render::report::Format;
use crate::render::{self, Style};

impl CommandContext {
    /// Where a plan is made, or applied.
    pub(super) fn surroundings(&self) -> file::Surroundings {
        let sandbox = self.simulated();
        let named = |name: &str| env(name).filter(|text| !sandbox && !text.is_empty());
        file::Surroundings {
            made: now().to_string(),
            sandbox,
            tenant: named("AZURE_TENANT_ID"),
            principal: named("AZURE_CLIENT_ID"),
        }
    }

    /// How text for people is written; `detail`: each cluster by itself.
    pub(super) fn style(&self, detail: bool) -> Style {
        Style { color: self.out.color(), width: self.out.width(), detail }
    }

    /// Plans, with what the manifest's own checks have to say in front. What somebody else does
    /// between two reads can look like a disruptive change, so what such a verdict rests on is
    /// read again until it says the same twice.
    pub(super) async fn plan(&self, observed: &mut Observed, mode: Mode) -> Plan {
        const LOOKS: usize = 5;
        let mut plan = planned(observed, mode);
        for _ in 0..LOOKS {
            let gates = if mode == Mode::Apply { plan.gates(false) } else { Vec::new() };
            if gates.is_empty() {
                break;
            }
            let doubtful: Vec<String> = gates.iter().map(|gate| gate.key.to_string()).collect();
            let doubtful = observed.desired.targeted(&doubtful, false);
            let again = self.snapshot(&doubtful, &observed.clients).await;
            observed.live.renew(again);
            let again = planned(observed, mode);
            let same = file::stale(&plan, &again).is_empty();
            plan = again;
            if same {
                break;
            }
        }
        plan
    }
}

fn planned(observed: &Observed, mode: Mode) -> Plan {
    let Observed { desired, live, warnings, .. } = observed;
    let mut plan = plan::plan(&PlanInput { desired, live, mode });
    plan.findings.splice(0..0, warnings.iter().cloned());
    plan
}

pub(super) async fn run(args: &PlanArgs, context: &CommandContext) -> Result<Exit, CommandFailure> {
    let mode = if args.destroy { Mode::Destroy } else { Mode::Apply };
    super::args::distinct([&args.out, &args.html].into_iter().flatten().map(|path| Some(&**path)))?;
    let mut observed = context.observe_all(&args.files.files, &args.target, args.destroy).await?;
    let plan = context.plan(&mut observed, mode).await;
    if let Some(path) = &args.out {
        let Observed { desired, live, warnings, .. } = &observed;
        let input = PlanInput { desired, live, mode };
        let saved = file::Saved::new(&input, warnings, context.surroundings());
        file::write(path, &saved, &render::json::plan)?;
    }
    if let Some(path) = &args.html {
        let places = |key: &Key, path: &Pointer| observed.desired.place(key, path);
        let mut report = render::drift::report(&plan, &observed.live, &places, Vec::new());
        report.command = "plan";
        report.verdict = render::human::verdict(&plan);
        report.picture = super::drift::picture(&observed, &report);
        let page = render::report::render(&report, Format::Html, &context.style(true), true);
        context.out.deliver(&page, Format::Html.commands(), Some(path))?;
    }
    if args.json {
        context.out.json(&render::json::plan(&plan, &now().to_string()));
    } else if args.as_az {
        let (manifest, _) = context.load(&args.files.files)?;
        context.out.findings(&plan.told().cloned().collect::<Vec<_>>());
        context.out.result(&as_az::commands(&manifest, &observed.desired, &plan));
    } else {
        context.out.result(&render::human::plan(&plan, args.all, &context.style(args.detail)));
    }
    Ok(match () {
        () if plan.errored() || !plan.unread.is_empty() => Exit::Error,
        () if args.detailed_exitcode && !plan.is_empty() => Exit::Found,
        () => Exit::Done,
    })
}

/// Prints a plan as it was saved, whether or not it is still right.
pub(super) fn show(args: &ShowArgs, context: &CommandContext) -> Result<Exit, CommandFailure> {
    let checked = file::read(&args.plan, &render::json::plan)?;
    if args.json {
        context.out.json(&checked.representation);
    } else {
        context.out.result(&render::human::plan(&checked.plan, false, &context.style(args.detail)));
        if checked.saved.surroundings.sandbox {
            context.out.note("It was made on the simulator, and can only be applied there.");
        }
    }
    Ok(Exit::Done)
}
