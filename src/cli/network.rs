//! `amlplan doctor --network-list` and `--check-network`.

use futures_util::StreamExt as _;

use super::args::DoctorArgs;
use super::context::CommandContext;
use super::exit::{CommandFailure, Exit};
use crate::client::net::hops;
use crate::health::network::{Needed, needed};
use crate::model::{Json, ObjectRef};
use crate::render::network::{self, Form, HostTried};
use crate::resource::graph;
use crate::resource::{Read, Snapshot};

/// How many hosts are tried at once.
const AT_ONCE: usize = 16;

pub(super) async fn run(
    args: &DoctorArgs,
    context: &CommandContext,
) -> Result<Exit, CommandFailure> {
    let form = form(args)?;
    let (all, job) = look(args, context).await?;
    if args.network_list {
        context.out.result(&network::list(&all, form, &context.style(false)));
        return Ok(Exit::Done);
    }
    // The network is real, also beside the simulator.
    if context.simulated() {
        crate::client::net::clock::leave_virtual();
    }
    let transport = context.network()?;
    let wanted: Vec<_> =
        network::hosts(&all).into_iter().filter(|it| !it.0.contains('*')).collect();
    let tried: Vec<HostTried> = futures_util::stream::iter(wanted)
        .map(|(host, port)| {
            let transport = &transport;
            async move {
                let trial = hops::try_host(transport, &host, port).await;
                HostTried {
                    host,
                    port,
                    address: trial.address.map(|ip_addr| ip_addr.to_string()),
                    proxy: trial.proxy,
                    end: trial.end.map_err(|(hop, why)| (hop.as_str(), why)),
                }
            }
        })
        .buffered(AT_ONCE)
        .collect()
        .await;
    context.out.result(&network::tried(&all, &tried, &job, form, &context.style(false)));
    let refused = job.iter().any(|it| {
        it.1.as_ref().is_some_and(|text| text.lines().any(|line| line.starts_with("fail ")))
    });
    Ok(if refused || tried.iter().any(|it| it.end.is_err()) { Exit::Found } else { Exit::Done })
}

fn form(args: &DoctorArgs) -> Result<Form, CommandFailure> {
    match args.format.as_slice() {
        [] if args.json => Ok(Form::Json),
        [] => Ok(Form::Human),
        [one] => Form::named(one)
            .filter(|form| args.network_list || matches!(form, Form::Human | Form::Json))
            .ok_or_else(|| {
                let known = if args.network_list { Form::NAMES } else { "human, json" };
                CommandFailure::error(
                    "wrong-value",
                    format!("--format: `{one}` is none of: {known}"),
                )
            }),
        _ => Err(CommandFailure::error(
            "wrong-value",
            "--format: give one format with a network list",
        )),
    }
}

/// Each cluster's Job, as far as it ran: what its pod wrote when it ended.
type Jobs = Vec<(String, Option<String>)>;

/// The hosts, with region, workspace, registry and storage where Azure tells them.
async fn look(
    args: &DoctorArgs,
    context: &CommandContext,
) -> Result<(Vec<Needed>, Jobs), CommandFailure> {
    let observed = match context.observe(&args.files.files, &[], false).await {
        Ok(observed) => observed,
        Err(failure) => {
            // Without a sign-in the manifest still tells most of it.
            let (manifest, _) = context.load(&args.files.files)?;
            let desired = graph::build(&manifest)?;
            let why = failure.findings.first().and_then(|it| it.message.split(';').next());
            let why = why.unwrap_or_default();
            context
                .out
                .note(&format!("Azure was not asked, so what it knows stands as `*`: {why}"));
            return Ok((needed(&desired, &Snapshot::default()), Vec::new()));
        }
    };
    let all = needed(&observed.desired, &observed.live);
    let mut jobs = Vec::new();
    if args.check_network {
        let pods = ObjectRef::cluster("v1", "Pod", "pods", "").in_namespace(network::JOB_NAMESPACE);
        for cluster in all.iter().filter(|it| observed.clients.clusters.contains_key(&it.cluster)) {
            let pods = observed.clients.read(&cluster.cluster, &Read::Objects(pods.clone())).await;
            let pods = pods.ok().flatten();
            let own = |value: &&Json| {
                value.pointer("/metadata/labels/job-name").and_then(Json::as_str)
                    == Some(network::JOB)
            };
            let said = |value: &Json| {
                Some(
                    value
                        .pointer("/status/containerStatuses/0/state/terminated/message")?
                        .as_str()?
                        .to_owned(),
                )
            };
            let found = pods.iter().filter_map(Json::as_array).flatten().filter(own).find_map(said);
            jobs.push((cluster.cluster.clone(), found));
        }
    }
    Ok((all, jobs))
}
