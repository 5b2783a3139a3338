//! `amlplan sandbox`: the simulated Azure and Kubernetes, by hand and as servers.

use std::path::{Path, PathBuf};

use super::args::{SandboxArgs, SandboxCommand, ServeArgs};
use super::context::{env, seed};
use super::exit::{CommandFailure, Exit, Streams};
use super::shared::{DEFAULT_STATE, Global};
use crate::language::{self, LoadOptions, Manifest, Secrets};
use crate::model::{Json, Key};
use crate::resource::Target;
use crate::resource::graph;
use crate::source::Diagnostic;
use amlplan_sandbox::{Deed, Listening, Pace, Sandbox, ServeOptions, StateAccess, Subject};

fn state_error(error: impl std::fmt::Display) -> CommandFailure {
    CommandFailure::error("sandbox-state", error.to_string())
}

/// A file that two flags may name.
fn either<'a>(
    one: &str,
    first: Option<&'a Path>,
    two: &str,
    second: Option<&'a Path>,
) -> Result<Option<&'a Path>, CommandFailure> {
    match (first, second) {
        (Some(first), Some(second)) if first != second => {
            let message = format!(
                "{one} names {}, and {two} names {}; they mean the same: give one",
                first.display(),
                second.display()
            );
            Err(CommandFailure::error("wrong-value", message))
        }
        (first, second) => Ok(first.or(second)),
    }
}

pub(super) fn run(
    args: &SandboxArgs,
    global: &Global,
    out: &Streams,
) -> Result<Exit, CommandFailure> {
    let state = either("--state", args.state.as_deref(), "--sandbox", global.sandbox.as_deref())?;
    let state = state.unwrap_or(Path::new(DEFAULT_STATE));
    match &args.command {
        SandboxCommand::Serve(serve) => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
            let runtime = runtime
                .map_err(|it| CommandFailure::error("runtime", format!("cannot start: {it}")))?;
            let (own, shared) = (serve.world.as_deref(), global.sandbox_world.as_deref());
            let world = either("--world", own, "--sandbox-world", shared)?;
            return runtime.block_on(self::serve(serve, state, world, out));
        }
        SandboxCommand::Show { json } => {
            let world = by_hand(state, &[Deed::Show])?;
            if *json {
                out.json(&world);
            } else {
                out.result(&crate::render::world::human(&world));
            }
        }
        SandboxCommand::Set { address, change, file } => {
            let (object, changes) = match change.split_first() {
                Some((first, rest)) if !first.starts_with('/') => (Some(first.as_str()), rest),
                _ => (None, change.as_slice()),
            };
            let place = place(address, object, file)?;
            let deeds: Result<Vec<Deed>, CommandFailure> =
                changes.iter().map(|change| set(&place, change)).collect();
            by_hand(state, &deeds?)?;
        }
        SandboxCommand::Delete { address, object, file } => {
            let place = place(address, object.as_deref(), file)?;
            by_hand(state, &[Deed::Delete { place }])?;
        }
        SandboxCommand::Wait { time } => {
            let seconds = u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
            by_hand(state, &[Deed::Wait { seconds }])?;
        }
        SandboxCommand::Reset => {
            by_hand(state, &[Deed::Reset])?;
        }
    }
    Ok(Exit::Done)
}

/// Does it to the world of the state file, through its server when it is served.
fn by_hand(state: &Path, deeds: &[Deed]) -> Result<Json, CommandFailure> {
    Sandbox::by_hand(state, deeds).map_err(state_error)
}

fn set(place: &Subject, change: &str) -> Result<Deed, CommandFailure> {
    let Some((pointer, value)) = change.split_once('=') else {
        let message = format!("`{change}` is not of the form POINTER=VALUE");
        return Err(CommandFailure::error("bad-change", message));
    };
    // What is not JSON is meant as a text.
    let value: Json = serde_json::from_str(value).unwrap_or_else(|_| Json::from(value));
    Ok(Deed::Set { place: place.clone(), pointer: pointer.to_owned(), value })
}

fn load(files: &[PathBuf]) -> Result<Manifest, CommandFailure> {
    let options = LoadOptions { env: &env, secrets: Secrets::Optional };
    Ok(language::load(files, &options)?.manifest)
}

/// What an address, or an object of the cluster that an address is of, stands for.
fn place(
    address: &str,
    object: Option<&str>,
    files: &[PathBuf],
) -> Result<Subject, CommandFailure> {
    let objects = |cluster: &str, paths| Subject::Objects { cluster: cluster.to_owned(), paths };
    if address.to_ascii_lowercase().starts_with("/subscriptions/") {
        return Ok(match object {
            Some(object) => objects(address, vec![object.to_owned()]),
            None => Subject::Arm(address.to_owned()),
        });
    }
    let desired = graph::build(&load(files)?)?;
    let unknown = |message: String| {
        Diagnostic::error("unknown-address", message)
            .with_help("`amlplan graph --format json` lists the addresses; `-f` names a manifest")
    };
    let cluster_of = |scope: &str| {
        let cluster = desired.scopes.get(scope).and_then(|it| it.cluster.as_ref());
        cluster
            .map(|cluster_access| cluster_access.id.to_string())
            .ok_or_else(|| unknown(format!("`{address}` is in no cluster")))
    };
    if let Some(object) = object {
        let scope = address.split('/').next().unwrap_or(address);
        return Ok(objects(&cluster_of(scope)?, vec![object.to_owned()]));
    }
    let key: Key =
        address.parse().map_err(|it| CommandFailure::error("unknown-address", format!("{it}")))?;
    let node = desired.nodes.get(&key).or_else(|| {
        // A kind that is unique in its scope may be given without its name.
        let mut found = desired.nodes.iter().filter(|(one, _)| one.matches(address));
        found.next().map(|(_, node)| node)
    });
    let Some(node) = node else {
        return Err(
            unknown(format!("no resource of the manifest has the address `{address}`")).into()
        );
    };
    Ok(match node.resource.kind().target() {
        Target::Arm(id) => Subject::Arm(id.to_string()),
        Target::Objects(found) => {
            let cluster = cluster_of(&node.resource.kind().key().scope)?;
            objects(&cluster, found.iter().map(crate::model::ObjectRef::path).collect())
        }
    })
}

async fn serve(
    args: &ServeArgs,
    state: &Path,
    world: Option<&Path>,
    out: &Streams,
) -> Result<Exit, CommandFailure> {
    let sandbox = Sandbox::open(Some(state), world, StateAccess::Write).map_err(state_error)?;
    if !args.file.is_empty() {
        sandbox.seed(&seed(&load(&args.file)?));
    }
    if !args.listen.ip().is_loopback() {
        out.note("warning: this address can be reached from other machines, and the simulator lets anybody in");
    }
    let options = ServeOptions {
        listen: args.listen,
        tls: args.tls,
        folder: state.parent().unwrap_or(Path::new(".")).to_owned(),
        pace: if args.realistic { Pace::Realistic } else { Pace::Fast },
    };
    let listening = |one: &Listening| {
        let kubeconfigs: Vec<PathBuf> = one.kubeconfigs.iter().map(|it| it.1.clone()).collect();
        let served = &one.subscriptions;
        out.result(&crate::render::world::served(
            &one.url,
            one.ca.as_deref(),
            &kubeconfigs,
            served,
        ));
    };
    sandbox
        .serve(options, listening, super::signals::asked_to_stop())
        .await
        .map_err(state_error)?;
    Ok(Exit::Done)
}
