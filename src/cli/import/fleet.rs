//! `amlplan import --subscription`: every cluster with the extension or an attached compute.

use std::collections::BTreeSet;

use super::super::args::ImportArgs;
use super::super::context::CommandContext;
use super::super::exit::CommandFailure;
use super::live::{Reading, Wanted, cloud, declare};
use crate::catalog::ArmType;
use crate::convert::live::bare;
use crate::language::{Access, ClusterSpec, ClusterType, Dollars, Profile, to_fleet};
use crate::model::{ArmId, Json};
use crate::resource::graph;
use crate::source::Diagnostic;

/// The fleet of a subscription, or of one of its groups, as it is.
pub(super) async fn import(
    args: &ImportArgs,
    profile: Option<Profile>,
    context: &CommandContext,
) -> Result<String, CommandFailure> {
    let subscription = args.subscription.as_deref().unwrap_or_default();
    let group = args.resource_group.as_deref();
    let cloud = cloud(args)?;
    let root = format!("/subscriptions/{subscription}");
    let first = ArmId::resource(
        subscription,
        group.unwrap_or("any"),
        ArmType::CONNECTED_CLUSTERS.name,
        "any",
    );
    let mut scope = bare(&first, ClusterType::ConnectedClusters, Access::AzureOnly);
    scope.azure.cloud = cloud.clone();
    let clients = context.clients(&graph::build(&declare(scope.clone()))?).await?;
    let reading = Reading { clients: &clients, scope: scope.name.clone() };
    let mut workspaces = ids(&reading, &root, ArmType::WORKSPACES).await?;
    if !args.workspace.is_empty() {
        let named = |id: &ArmId| {
            args.workspace.iter().any(|workspace| {
                workspace.eq_ignore_ascii_case(id.name())
                    || workspace.eq_ignore_ascii_case(id.as_str())
            })
        };
        workspaces.retain(named);
    }
    let within = group.map_or_else(|| root.clone(), |text| format!("{root}/resourceGroups/{text}"));
    let mut settled: Vec<ClusterSpec> = Vec::new();
    let mut names = BTreeSet::new();
    let mut full = true;
    for kind in [ClusterType::ConnectedClusters, ClusterType::ManagedClusters] {
        let of = ArmType::of_cluster(kind.resource_type());
        for id in ids(&reading, &within, of).await? {
            let workspaces = workspaces.clone();
            let wanted = Wanted { id, kind, workspaces, cloud: cloud.clone(), profile };
            let one = wanted.read(context).await?;
            if one.found.extension.is_none() && one.found.computes.is_empty() {
                continue;
            }
            let mut done = one.settled(context).await?;
            full &= done.left.is_empty();
            let base = done.cluster.name.clone();
            let mut number = 1;
            while !names.insert(done.cluster.name.clone()) {
                number += 1;
                done.cluster.name = format!("{base}-{number}");
            }
            // Computes in workspaces that were not looked at stay.
            done.cluster.lifecycle.prune = args.workspace.is_empty();
            settled.push(done.cluster);
        }
    }
    if settled.is_empty() {
        let message = format!("no cluster in `{within}` has the extension or an attached compute");
        return Err(Diagnostic::error("az-nothing", message)
            .with_help("name another subscription or group, or one cluster with --cluster")
            .into());
    }
    let mut head = vec![format!("Written from what is live in {within} by `amlplan import`.")];
    head.push(match full {
        true => "Settings that amlplan derives by itself are left out; its plan is empty.".into(),
        false => "Its plan is not empty: `amlplan plan` shows what differs.".into(),
    });
    let clusters: Vec<&ClusterSpec> = settled.iter().collect();
    Ok(to_fleet(&clusters, &head, Dollars::Escape))
}

/// The ids of all resources of a type below a scope, in order.
async fn ids(
    reading: &Reading<'_>,
    scope: &str,
    kind: ArmType,
) -> Result<Vec<ArmId>, CommandFailure> {
    let list = reading.list(format!("{scope}/providers/{kind}"), kind).await?;
    let id = |value: &Json| ArmId::parse(value.get("id")?.as_str()?).ok();
    let mut found: Vec<ArmId> = list.iter().filter_map(id).collect();
    found.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    Ok(found)
}
