//! `amlplan apply` and `amlplan destroy`.

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::Path;

use super::args::{Allow, ApplyArgs, ApplyFlags, DestroyArgs};
use super::context::{CommandContext, Observed, env, now};
use super::exit::{CommandFailure, Exit};
use super::rollout::Stages;
use crate::apply::{self, Ending, Limits, Outcome, Output};
use crate::health::{self, By, Status};
use crate::model::{Json, Key, KindName, ObjectRef, Pointer};
use crate::plan::{Mode, Plan, file};
use crate::render::{self, overall::Overall, progress::Reporter};
use crate::resource::{Read, Snapshot};
use crate::source::{Diagnostic, Diagnostics};
use crate::{language, observe};

pub(super) async fn run(
    args: &ApplyArgs,
    context: &CommandContext,
) -> Result<Exit, CommandFailure> {
    if let [path] = &args.files[..]
        && is_plan(path)
    {
        return saved(path, args, context).await;
    }
    let mut observed = context.observe_all(&args.files, &args.how.target, false).await?;
    observed.desired.adopt = args.adopt;
    let stages = Stages::of(&observed.desired, args.stage.as_deref())?;
    let plan = context.plan(&mut observed, Mode::Apply).await;
    carry_out(plan, observed, &args.how, stages, true, context).await
}

pub(super) async fn destroy(
    args: &DestroyArgs,
    context: &CommandContext,
) -> Result<Exit, CommandFailure> {
    let mut observed = context.observe_all(&args.files.files, &args.how.target, true).await?;
    let plan = context.plan(&mut observed, Mode::Destroy).await;
    carry_out(plan, observed, &args.how, None, true, context).await
}

/// A saved plan is a JSON document; a manifest never is.
fn is_plan(path: &Path) -> bool {
    let manifest =
        path.extension().is_some_and(|it| ["yaml", "yml", "toml"].iter().any(|e| it == *e));
    // The first sign tells; a plan of a fleet is large.
    let first = || {
        let file = std::io::BufReader::new(std::fs::File::open(path).ok()?);
        file.bytes().map_while(Result::ok).take(1024).find(|byte| !byte.is_ascii_whitespace())
    };
    !manifest && path.is_file() && first() == Some(b'{')
}

/// Applies a plan as it was reviewed, or refuses it as stale.
async fn saved(
    path: &Path,
    args: &ApplyArgs,
    context: &CommandContext,
) -> Result<Exit, CommandFailure> {
    if !args.how.target.is_empty() || args.select.narrows() {
        let message = "a saved plan is applied as a whole, so --target, --cluster, --selector and \
                       --shard cannot narrow it";
        return Err(Diagnostic::error("plan-with-target", message)
            .with_help("plan again with them and save that; --stage goes up to a stage of it")
            .into());
    }
    let refused = |findings: Diagnostics| CommandFailure::findings(Exit::Stale, findings);
    let read = file::read(path, &render::json::plan).map_err(|finding| refused(vec![finding]))?;
    let file::Checked { mut saved, plan: reviewed, .. } = read;
    elsewhere(&saved.surroundings, context).map_err(|finding| refused(vec![finding]))?;
    let mut stale = Diagnostics::new();
    for (key, node) in &mut saved.desired.nodes {
        let owner = file::owner(&node.resource.kind().target(), key);
        // What a service holds is compared with the rest of the live state.
        let own = node.resource.secrets_mut().into_iter().filter(|it| !it.source.is_remote());
        for secret in own {
            let fresh = language::reread(&secret.source, secret.encoding, &env)?;
            if fresh.fingerprint(&owner) != secret.fingerprint(&owner) {
                let message = format!("{key}: the secret from {} has changed", secret.source);
                stale.push(Diagnostic::error("stale-plan", message));
            }
            *secret = fresh;
        }
    }
    let (mut desired, warnings) = (saved.desired.clone(), saved.warnings());
    let stages = match saved.mode {
        Mode::Apply => Stages::of(&desired, args.stage.as_deref())?,
        Mode::Destroy => None,
    };
    if stale.is_empty() {
        let clients = context.patiently(context.clients(&desired)).await?;
        let mut live = context.snapshot(&desired, &clients).await;
        if saved.mode == Mode::Apply {
            context.secrets(&mut desired, &clients, &mut live).await;
        }
        let mut observed = Observed { desired, clients, live, warnings };
        let plan = context.plan(&mut observed, saved.mode).await;
        stale.extend(file::stale(&reviewed, &plan).iter().map(|key| {
            let message = format!("{key} is no longer as it was when the plan was made");
            Diagnostic::error("stale-plan", message)
        }));
        if stale.is_empty() {
            return carry_out(plan, observed, &args.how, stages, false, context).await;
        }
    }
    stale.push(
        Diagnostic::error("stale-plan", format!("`{}` is stale", path.display()))
            .with_help("plan again, and review what changed"),
    );
    Err(refused(stale))
}

/// A review does not last for ever, though every decision is compared anyway.
const GOOD_FOR: jiff::SignedDuration = jiff::SignedDuration::from_hours(7 * 24);

/// Refuses a plan that was made in other surroundings, before anything is signed in to.
fn elsewhere(then: &file::Surroundings, context: &CommandContext) -> Result<(), Diagnostic> {
    let here = context.surroundings();
    let refuse = |message: String, help: &str| {
        Err(Diagnostic::error("plan-elsewhere", message).with_help(help))
    };
    if then.sandbox != here.sandbox {
        let (made, applied) = match then.sandbox {
            true => ("on the simulator", "is not to be applied there"),
            false => ("for Azure", "is to be applied to the simulator"),
        };
        let message = format!("the plan was made {made} and {applied}");
        return refuse(message, "plan and apply with the same --sandbox, or both without");
    }
    if let (Some(then), Some(here)) = (&then.tenant, &here.tenant)
        && !then.eq_ignore_ascii_case(here)
    {
        let message = format!("the plan was made for tenant {then}, AZURE_TENANT_ID is {here}");
        return refuse(message, "plan and apply with the same AZURE_TENANT_ID");
    }
    let age = then.made.parse::<jiff::Timestamp>().map(|time| now().duration_since(time));
    if !age.is_ok_and(|signed_duration| signed_duration <= GOOD_FOR) {
        let message = format!("the plan was made at {}; it is good for seven days", then.made);
        return refuse(message, "plan again, and review it");
    }
    if then.principal != here.principal {
        let name = |it: &Option<String>| it.clone().unwrap_or_else(|| "nobody by name".to_owned());
        let (then, here) = (name(&then.principal), name(&here.principal));
        context.out.note(&format!("Planned as {then}, applied as {here} (AZURE_CLIENT_ID)."));
    }
    Ok(())
}

/// Shows, asks, applies, reports.
async fn carry_out(
    mut plan: Plan,
    mut observed: Observed,
    how: &ApplyFlags,
    stages: Option<Stages>,
    ask: bool,
    context: &CommandContext,
) -> Result<Exit, CommandFailure> {
    let out = &context.out;
    if let Some(path) = &how.evidence {
        crate::source::may_write(path)?;
    }
    if let Some(staged) = &stages {
        (plan, observed.desired) = staged.narrow(&plan, &observed.desired);
    }
    if how.json {
        for finding in plan.told() {
            line(context, &render::json::diagnostic_line(finding, &now().to_string()));
        }
    } else {
        out.result(&render::human::plan(&plan, how.all, &context.style(how.detail)));
    }
    if plan.errored() {
        return Ok(Exit::Error);
    }
    let settling = plan.steps.iter().any(|step| step.settling.is_some());
    if plan.is_empty() && !settling {
        if how.json {
            let nothing = Outcome { mode: plan.mode, ..Outcome::default() };
            for summary in render::json::summary(&nothing, &now().to_string()) {
                line(context, &summary);
            }
        }
        return Ok(if plan.unread.is_empty() { Exit::Done } else { Exit::Error });
    }
    gates(&plan, &observed, how, context).await?;
    if ask && !how.auto_approve && !approved(plan.mode).await? {
        return Err(CommandFailure::error("not-approved", "not approved; nothing was changed"));
    }
    let (outcome, live) = match &stages {
        Some(stages) => stages.run(&plan, &observed, how, context).await,
        None => perform(&plan, &observed, how, limits(how, context), context).await,
    };
    let outputs = match plan.mode {
        Mode::Apply => outputs(&observed, &live, context).await,
        Mode::Destroy => Vec::new(),
    };
    let outcome = Outcome { outputs, ..outcome };
    if let Some(path) = &how.evidence {
        super::evidence::write(path, &context.failures, &outcome, out)?;
    }
    if how.json {
        for summary in render::json::summary(&outcome, &now().to_string()) {
            line(context, &summary);
        }
    } else {
        out.result(&render::human::outcome(&outcome, &context.style(how.detail)));
    }
    Ok(exit(&outcome))
}

fn exit(outcome: &Outcome) -> Exit {
    match outcome.ending() {
        Ending::Complete => Exit::Done,
        Ending::Interrupted => Exit::Interrupted,
        Ending::Partial => Exit::Partial,
        Ending::StillWorking => Exit::StillWorking,
    }
}

pub(super) fn line(context: &CommandContext, object: &Json) {
    context.out.result(&object.to_string());
}

/// What stands between a plan and its application.
async fn gates(
    plan: &Plan,
    observed: &Observed,
    how: &ApplyFlags,
    context: &CommandContext,
) -> Result<(), CommandFailure> {
    let mut findings: Diagnostics = plan
        .gates(how.allow.contains(&Allow::Disruptive))
        .into_iter()
        .map(|gate| {
            let place = observed.desired.place(&gate.key, &Pointer::root());
            let message = format!("{}: {}", gate.key, gate.message);
            Diagnostic::error("gate", message).at(place, "")
        })
        .collect();
    if plan.mode == Mode::Apply {
        let checks = super::verify::judged(By::Doctor, observed, context).await;
        let blocking: Vec<_> = checks.iter().filter(|check| check.status == Status::Fail).collect();
        findings.extend(together(&blocking));
    }
    if findings.is_empty() {
        Ok(())
    } else {
        Err(CommandFailure::findings(Exit::Refused, findings))
    }
}

/// One finding for all checks that are mended in the same way.
fn together(checks: &[&health::Finding]) -> Diagnostics {
    const NAMED: usize = 4;
    // Registrations are of the subscription, for all its clusters.
    let shared = |address: &Key| matches!(address.kind, KindName::Provider | KindName::Feature);
    let mut groups: Vec<Vec<&health::Finding>> = Vec::new();
    for check in checks {
        let same = |findings: &&mut Vec<&health::Finding>| {
            let first = findings[0];
            first.code == check.code
                && first.help == check.help
                && [first, *check].iter().any(|finding| {
                    shared(&finding.address) || first.address.scope == check.address.scope
                })
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(check),
            None => groups.push(vec![check]),
        }
    }
    let finding = |group: Vec<&health::Finding>| {
        let (first, others) = (group[0], &group[1..]);
        let names: Vec<_> = others.iter().take(NAMED).map(|it| it.address.kind.as_str()).collect();
        let more = if others.len() > NAMED { " and more" } else { "" };
        let likewise = match others.len() {
            0 => String::new(),
            many => format!("; {many} more likewise: {}{more}", names.join(", ")),
        };
        let message = format!("{}: {}{likewise}", first.address, first.message);
        let mut finding = Diagnostic::error(first.code, message).at(first.place.clone(), "");
        finding.help.clone_from(&first.help);
        finding
    };
    groups.into_iter().map(finding).collect()
}

/// Asks the person at the terminal.
async fn approved(mode: Mode) -> Result<bool, CommandFailure> {
    if !std::io::stdin().is_terminal() {
        let message = "there is no terminal to ask at";
        return Err(Diagnostic::error("no-terminal", message)
            .with_help("give --auto-approve, or apply a saved plan")
            .into());
    }
    let what = match mode {
        Mode::Apply => "perform these actions",
        Mode::Destroy => "really destroy all of this",
    };
    {
        let mut err = std::io::stderr().lock();
        let _ = write!(err, "\nDo you want to {what}? Only `yes` is taken for yes: ");
        let _ = err.flush();
    }
    // On a thread of its own, so that an interrupt is noticed meanwhile.
    let answer = tokio::task::spawn_blocking(|| {
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer).map(|_| answer)
    });
    Ok(answer.await.is_ok_and(|it| it.is_ok_and(|text| text.trim() == "yes")))
}

/// The limits of an apply that is no rollout.
pub(super) fn limits(how: &ApplyFlags, context: &CommandContext) -> Limits {
    Limits {
        parallelism: context.global.parallelism,
        clusters: usize::MAX,
        failures: usize::MAX,
        no_wait: how.no_wait,
        timeout: how.timeout,
        interrupted: context.interrupts.take(),
    }
}

/// Carries out a plan, telling the terminal.
pub(super) async fn perform(
    plan: &Plan,
    observed: &Observed,
    how: &ApplyFlags,
    limits: Limits,
    context: &CommandContext,
) -> (Outcome, Snapshot) {
    let reporter = match (how.json, context.out.live()) {
        (true, _) => Reporter::lines(context.out.stream(), Box::new(|| now().to_string())),
        (false, true) => Reporter::live(context.style(how.detail), Overall::new(plan)),
        (false, false) => Reporter::plain(
            Box::new(std::io::stderr()),
            context.style(how.detail),
            Overall::new(plan),
        ),
    };
    let explain = super::evidence::explainer(&observed.desired, &context.failures);
    let (live, clients) = (observed.live.clone(), &observed.clients);
    let mut emit = |event: &apply::Event| reporter.on(event);
    let ended =
        apply::run(plan, &observed.desired, live, clients, limits, explain, &mut emit).await;
    if !how.json {
        reporter.finish(&ended.0);
    }
    ended
}

/// Addresses of routers and principal ids of computes. Routers are asked for at once.
async fn outputs(observed: &Observed, live: &Snapshot, context: &CommandContext) -> Vec<Output> {
    let router = |key: &Key| {
        let service = ObjectRef::cluster("v1", "Service", "services", "azureml-fe");
        (key.scope.clone(), Read::Object(service.in_namespace("azureml")))
    };
    let keys = || observed.desired.nodes.keys().filter(|node| live.document(node).is_some());
    let extensions = keys().filter(|address| {
        address.kind == KindName::Extension
            && observed.clients.clusters.contains_key(&address.scope)
    });
    let wanted = extensions.map(router).collect();
    let parallelism = context.global.read_parallelism.get();
    let reading = observe::reads(wanted, &observed.clients, parallelism);
    let answers = context.patiently(reading).await;
    let output = |key: &Key| {
        let (label, value) = match key.kind {
            KindName::Compute => ("principal id", principal(live, key)),
            KindName::Extension => {
                let (scope, read) = router(key);
                let service = answers.get(&scope, &read).ok().flatten();
                ("router address", service.and_then(|it| health::outputs::router_address(&it)))
            }
            _ => return None,
        };
        Some(Output { key: key.clone(), label, value: value? })
    };
    keys().filter_map(output).collect()
}

/// The principal id of a compute's identity, whichever kind it is.
fn principal(live: &Snapshot, key: &Key) -> Option<String> {
    let identity = live.document(key)?.get("identity")?;
    let own = identity.get("principalId").and_then(Json::as_str);
    let assigned = identity.get("userAssignedIdentities").and_then(Json::as_object);
    let first = assigned.and_then(|it| it.values().next()?.get("principalId")?.as_str());
    own.or(first).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn a_manifest_is_never_taken_for_a_plan() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| -> PathBuf { folder.path().join(name) };
        std::fs::write(path("a.yaml"), "{}").unwrap();
        std::fs::write(path("plan"), " {\"format_version\": \"1.2\"}").unwrap();
        assert!(!is_plan(&path("a.yaml")) && is_plan(&path("plan")) && !is_plan(&path("none")));
    }
}
