//! `amlplan permissions`: the least roles, and what a sign-in lacks of them.

use super::args::{PermissionsArgs, Purpose};
use super::context::CommandContext;
use super::exit::{CommandFailure, Exit};
use crate::health::By;
use crate::health::rights::Lacking;
use crate::model::Json;
use crate::resource::Snapshot;
use crate::resource::graph::{self, Desired};
use crate::resource::rights::Rights;
use crate::{health, render};

pub(super) async fn run(
    args: &PermissionsArgs,
    context: &CommandContext,
) -> Result<Exit, CommandFailure> {
    let (manifest, _) = context.load(&args.files.files)?;
    let desired = graph::build(&manifest)?;
    let rights = needed(&desired, args.purpose);
    if args.check {
        let clients = context.clients(&desired).await?;
        let probed = super::verify::probe(health::rights::probes(&rights), &clients, context).await;
        return Ok(tell(&health::rights::lacking(&rights, &probed), args, context));
    }
    let mut clusters = manifest.clusters.iter().map(|declared| declared.name.as_str());
    let first = clusters.next().unwrap_or_default();
    let more = clusters.count();
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    let title = format!("amlplan {} {first}{more}", args.purpose.as_str());
    if args.json {
        context.out.json(&render::permissions::json(&rights, &title));
    } else {
        context.out.result(&render::permissions::text(&rights, &title));
    }
    Ok(Exit::Done)
}

impl Purpose {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Drift => "drift",
            Self::Doctor => "doctor",
            Self::Apply => "apply",
        }
    }
}

fn needed(desired: &Desired, purpose: Purpose) -> Rights {
    let mut rights = Rights::of(desired, purpose == Purpose::Apply);
    let mut probes = Vec::new();
    if matches!(purpose, Purpose::Doctor | Purpose::Apply) {
        probes.extend(health::probes(By::Doctor, desired, &Snapshot::default()));
    }
    if matches!(purpose, Purpose::Drift | Purpose::Apply) {
        probes.extend(health::probes(By::Verify, desired, &Snapshot::default()));
    }
    for probe in probes {
        rights.add_read(&probe.scope, &probe.read);
    }
    rights
}

fn tell(found: &[Lacking], args: &PermissionsArgs, context: &CommandContext) -> Exit {
    if args.json {
        let row = |lacking: &Lacking| serde_json::json!({"at": lacking.at, "action": lacking.what, "unknown": lacking.unknown.as_ref().map(ToString::to_string)});
        context.out.json(&Json::Array(found.iter().map(row).collect()));
    } else {
        let line = |Lacking { at, what, unknown }: &Lacking| match unknown {
            None => format!("lacks {what} at {at}"),
            Some(why) => format!("cannot tell about {at}: {why}"),
        };
        let purpose = args.purpose.as_str();
        let verdict = match found.len() {
            0 => format!("This sign-in has every right that {purpose} takes."),
            1 => format!("1 right is lacking or unknown for {purpose}."),
            many => format!("{many} rights are lacking or unknown for {purpose}."),
        };
        let mut lines: Vec<String> = found.iter().map(line).collect();
        lines.dedup();
        lines.push(verdict);
        context.out.result(&lines.join("\n"));
    }
    match () {
        () if found.is_empty() => Exit::Done,
        () if found.iter().any(|lacking| lacking.unknown.is_none()) => Exit::Found,
        () => Exit::Error,
    }
}
