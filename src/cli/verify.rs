//! `amlplan verify` and `amlplan doctor`.

use std::collections::BTreeSet;

use super::args::CheckArgs;
use super::context::{Context, Observed, now};
use super::exit::{Exit, Failure};
use crate::health::{self, Check, Probe, Probed, Status};
use crate::{observe, render};

/// Performs probes and hands the answers to a family of checks.
async fn probe(probes: Vec<Probe>, observed: &Observed, context: &Context) -> Probed {
    let wanted: BTreeSet<_> = probes.iter().map(|it| (it.scope.clone(), it.read.clone())).collect();
    let answers = observe::reads(wanted, &observed.clients, context.global.parallelism.get()).await;
    let mut probed = Probed::default();
    for Probe { scope, name, read } in probes {
        let answer = match answers.get(&(scope.clone(), read)) {
            Some(Ok(document)) => Ok(document.clone()),
            Some(Err(error)) => Err(error.to_string()),
            None => Err("it was not read".to_owned()),
        };
        probed.0.insert((scope, name), answer);
    }
    probed
}

pub(super) async fn verify(args: &CheckArgs, context: &Context) -> Result<Exit, Failure> {
    let observed = context.observe(&args.files.files, &[], false).await?;
    let probed = probe(health::verify::probes(&observed.desired), &observed, context).await;
    let checks = health::verify::checks(&observed.desired, &observed.live, &probed);
    let exit = report(&checks, args, context);
    // What could not be looked at is not known to work.
    let unknown = checks.iter().any(|it| it.status == Status::Unknown);
    Ok(if exit == Exit::Done && unknown { Exit::Error } else { exit })
}

pub(super) async fn doctor(args: &CheckArgs, context: &Context) -> Result<Exit, Failure> {
    let observed = context.observe(&args.files.files, &[], false).await?;
    let checks = prerequisites(&observed, context).await;
    Ok(report(&checks, args, context))
}

/// Every prerequisite of an apply.
pub(super) async fn prerequisites(observed: &Observed, context: &Context) -> Vec<Check> {
    let probed = probe(health::doctor::probes(&observed.desired), observed, context).await;
    health::doctor::checks(&observed.desired, &observed.live, &probed, now())
}

fn report(checks: &[Check], args: &CheckArgs, context: &Context) -> Exit {
    if args.json {
        context.out.json(&render::checks::json(checks));
    } else {
        context.out.result(&render::checks::human(checks, &context.style()));
    }
    let failed = checks.iter().any(|it| it.status == Status::Fail);
    if failed { Exit::Found } else { Exit::Done }
}
