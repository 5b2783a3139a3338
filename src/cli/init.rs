//! `amlplan init`: a commented starter manifest for each scenario.

use std::path::PathBuf;

use super::args::InitArgs;
use super::exit::{CommandFailure, Exit, Streams};
use crate::language::suggest;
use crate::source::Diagnostic;

/// Name, what it is for, and the manifest.
const SCENARIOS: &[(&str, &str, &str)] = &[
    ("training", "training on an Arc-enabled cluster", include_str!("scenarios/training.yaml")),
    ("inference", "endpoints over a load balancer", include_str!("scenarios/inference.yaml")),
    (
        "training-and-inference",
        "training and endpoints on one cluster",
        include_str!("scenarios/training-and-inference.yaml"),
    ),
    ("nodeport", "endpoints over node ports", include_str!("scenarios/nodeport.yaml")),
    ("aks", "AKS without Arc, internal load balancer", include_str!("scenarios/aks.yaml")),
    ("openshift", "OpenShift through Arc", include_str!("scenarios/openshift.yaml")),
    (
        "attach",
        "attach a cluster to workspaces, with identities",
        include_str!("scenarios/attach.yaml"),
    ),
    ("fleet", "many clusters with common defaults", include_str!("scenarios/fleet.yaml")),
];

pub(super) fn run(args: &InitArgs, out: &Streams) -> Result<Exit, CommandFailure> {
    if args.list {
        let lines = SCENARIOS.iter().map(|(name, what, _)| format!("{name:<24} {what}\n"));
        out.result(&lines.collect::<String>());
        return Ok(Exit::Done);
    }
    let names = || SCENARIOS.iter().map(|it| it.0).collect::<Vec<_>>().join(", ");
    let Some(wanted) = &args.scenario else {
        return Err(Diagnostic::error("no-scenario", "say which scenario")
            .with_help(format!("--scenario takes one of: {}", names()))
            .into());
    };
    let Some((_, _, text)) = SCENARIOS.iter().find(|it| it.0 == wanted) else {
        let near = suggest::nearest(wanted, SCENARIOS.iter().map(|it| it.0));
        let near = near.map(|text| format!("did you mean `{text}`? ")).unwrap_or_default();
        return Err(Diagnostic::error("no-scenario", format!("there is no scenario `{wanted}`"))
            .with_help(format!("{near}the scenarios are: {}", names()))
            .into());
    };
    let path = args.file.clone().unwrap_or_else(|| PathBuf::from("cluster.yaml"));
    // Creating anew fails on what is there already: nothing of the user's is overwritten.
    crate::source::create(&path, text)?;
    out.note(&format!(
        "Wrote {}; fill in what is marked, then run `amlplan plan`.",
        path.display()
    ));
    Ok(Exit::Done)
}
