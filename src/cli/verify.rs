//! `amlplan verify` and `amlplan doctor`.

use std::collections::BTreeSet;

use super::args::CheckArgs;
use super::context::{Context, Observed, now};
use super::exit::{Exit, Failure};
use crate::health::{self, Finding, Probe, Probed, Report, Status};
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
    let findings = health::verify::checks(&observed.desired, &observed.live, &probed);
    let report = Report { command: "verify", findings, ..Report::default() };
    write(&report, args, context)?;
    // What could not be looked at is not known to work.
    Ok(match () {
        () if report.number(Status::Fail) > 0 => Exit::Found,
        () if !report.complete() => Exit::Error,
        () => Exit::Done,
    })
}

pub(super) async fn doctor(args: &CheckArgs, context: &Context) -> Result<Exit, Failure> {
    let observed = context.observe(&args.files.files, &[], false).await?;
    let findings = prerequisites(&observed, context).await;
    let report = Report { command: "doctor", findings, ..Report::default() };
    write(&report, args, context)?;
    Ok(if report.number(Status::Fail) > 0 { Exit::Found } else { Exit::Done })
}

/// Every prerequisite of an apply.
pub(super) async fn prerequisites(observed: &Observed, context: &Context) -> Vec<Finding> {
    let probed = probe(health::doctor::probes(&observed.desired), observed, context).await;
    health::doctor::checks(&observed.desired, &observed.live, &probed, now())
}

/// Writes a report in every format asked for, to standard output or to a file.
pub(super) fn write(report: &Report, args: &CheckArgs, context: &Context) -> Result<(), Failure> {
    for (format, file) in args.formats.all(args.json) {
        let text = render::report::render(report, format, &context.style(), args.formats.all);
        context.out.deliver(&text, format.commands(), file.as_deref())?;
    }
    Ok(())
}
