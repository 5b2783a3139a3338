//! `amlplan sandbox`: the simulated Azure and Kubernetes, by hand and as servers.

use std::path::{Path, PathBuf};

use super::args::{SandboxArgs, SandboxCommand, ServeArgs};
use super::context::{env, seed};
use super::exit::{Exit, Failure, Output};
use crate::language::{self, LoadOptions, Manifest, Secrets};
use crate::model::{ArmId, Json, Key};
use crate::resource::Target;
use crate::resource::graph;
use crate::source::Diagnostic;
use amlplan_sandbox::{Listening, Pace, Sandbox, SandboxError, ServeOptions};

fn state_error(error: impl std::fmt::Display) -> Failure {
    Failure::error("sandbox-state", error.to_string())
}

pub(super) fn run(args: &SandboxArgs, out: &Output) -> Result<Exit, Failure> {
    // Time in the simulator is virtual, except while it serves others.
    let mut builder = match args.command {
        SandboxCommand::Serve(_) => tokio::runtime::Builder::new_multi_thread(),
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime = builder.enable_all().build();
    let runtime = runtime.map_err(|it| Failure::error("runtime", format!("cannot start: {it}")))?;
    runtime.block_on(async {
        match &args.command {
            SandboxCommand::Serve(serve) => self::serve(serve, &args.state, out).await,
            SandboxCommand::Show { json } => show(&args.state, *json, out),
            SandboxCommand::Set { address, change, file } => {
                set(address, change, file, &args.state)
            }
            SandboxCommand::Delete { address, file } => delete(address, file, &args.state),
            SandboxCommand::Reset => {
                // Also a corrupt state can be started anew, so it is not opened first.
                if args.state.exists() {
                    std::fs::remove_file(&args.state).map_err(state_error)?;
                }
                Ok(Exit::Done)
            }
        }
    })
}

fn open(state: &Path) -> Result<Sandbox, Failure> {
    Sandbox::open(Some(state), None).map_err(state_error)
}

fn show(state: &Path, json: bool, out: &Output) -> Result<Exit, Failure> {
    let world = open(state)?.show();
    if json {
        out.json(&world);
    } else {
        out.result(&crate::render::world::human(&world));
    }
    Ok(Exit::Done)
}

fn load(files: &[PathBuf]) -> Result<Manifest, Failure> {
    let options = LoadOptions { env: &env, secrets: Secrets::Optional };
    Ok(language::load(files, &options)?.manifest)
}

/// What an address stands for: ids in Azure, or paths in the API of a cluster.
enum Place {
    Arm(String),
    Objects { cluster: ArmId, paths: Vec<String> },
}

fn place(address: &str, files: &[PathBuf]) -> Result<Place, Failure> {
    if address.to_ascii_lowercase().starts_with("/subscriptions/") {
        return Ok(Place::Arm(address.to_owned()));
    }
    let desired = graph::build(&load(files)?)?;
    let key: Key =
        address.parse().map_err(|it| Failure::error("unknown-address", format!("{it}")))?;
    let node = desired.nodes.get(&key).or_else(|| {
        // A kind that is unique in its scope may be given without its name.
        let mut found = desired.nodes.iter().filter(|(it, _)| it.matches(address));
        found.next().map(|(_, node)| node)
    });
    let Some(node) = node else {
        let message = format!("no resource of the manifest has the address `{address}`");
        return Err(Diagnostic::error("unknown-address", message)
            .with_help("`amlplan graph --format json` lists the addresses; `-f` names a manifest")
            .into());
    };
    Ok(match node.resource.kind().target() {
        Target::Arm(id) => Place::Arm(id.to_string()),
        Target::Objects(objects) => {
            let scope = desired.scopes.get(&node.resource.kind().key().scope);
            let cluster = scope.and_then(|it| it.cluster.as_ref());
            let cluster = cluster.map(|it| it.id.clone());
            let cluster = cluster.ok_or_else(|| {
                Failure::error("unknown-address", format!("`{address}` is in no cluster"))
            })?;
            Place::Objects {
                cluster,
                paths: objects.iter().map(crate::model::ObjectRef::path).collect(),
            }
        }
    })
}

fn set(
    address: &str,
    changes: &[String],
    files: &[PathBuf],
    state: &Path,
) -> Result<Exit, Failure> {
    let sandbox = open(state)?;
    let place = place(address, files)?;
    for change in changes {
        let Some((pointer, value)) = change.split_once('=') else {
            let message = format!("`{change}` is not of the form POINTER=VALUE");
            return Err(Failure::error("bad-change", message));
        };
        // What is not JSON is meant as a text.
        let value: Json = serde_json::from_str(value).unwrap_or_else(|_| Json::from(value));
        match &place {
            Place::Arm(id) => sandbox.set_arm(id, pointer, value).map_err(state_error)?,
            Place::Objects { cluster, paths } => {
                let (sub, group) = (cluster.subscription(), cluster.resource_group().unwrap_or(""));
                on_first(paths, address, |path| {
                    sandbox.set_object(sub, group, cluster.name(), path, pointer, value.clone())
                })?;
            }
        }
    }
    sandbox.save().map_err(state_error)?;
    Ok(Exit::Done)
}

fn delete(address: &str, files: &[PathBuf], state: &Path) -> Result<Exit, Failure> {
    let sandbox = open(state)?;
    match place(address, files)? {
        Place::Arm(id) => sandbox.delete_arm(&id).map_err(state_error)?,
        Place::Objects { cluster, paths } => {
            let (sub, group) = (cluster.subscription(), cluster.resource_group().unwrap_or(""));
            // A resource may be carried by several objects: it is gone when all of them are.
            on_first(&paths, address, |path| {
                sandbox.delete_object(sub, group, cluster.name(), path)
            })?;
            for path in &paths {
                match sandbox.delete_object(sub, group, cluster.name(), path) {
                    Ok(()) | Err(SandboxError::UnknownObject { .. }) => {}
                    Err(error) => return Err(state_error(error)),
                }
            }
        }
    }
    sandbox.save().map_err(state_error)?;
    Ok(Exit::Done)
}

/// Tries the objects of a resource in order until one is there.
fn on_first(
    paths: &[String],
    address: &str,
    mut change: impl FnMut(&str) -> Result<(), SandboxError>,
) -> Result<(), Failure> {
    for path in paths {
        match change(path) {
            Err(SandboxError::UnknownObject { .. }) => {}
            other => return other.map_err(state_error),
        }
    }
    Err(Failure::error("unknown-address", format!("`{address}` is not in the cluster")))
}

async fn serve(args: &ServeArgs, state: &Path, out: &Output) -> Result<Exit, Failure> {
    let sandbox = Sandbox::open(Some(state), args.world.as_deref()).map_err(state_error)?;
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
    let listening = |it: &Listening| {
        let kubeconfigs: Vec<PathBuf> = it.kubeconfigs.iter().map(|it| it.1.clone()).collect();
        out.result(&crate::render::world::served(&it.url, it.ca.as_deref(), &kubeconfigs));
    };
    sandbox.serve(options, listening, asked_to_stop()).await.map_err(state_error)?;
    Ok(Exit::Done)
}

/// Completes at Ctrl-C or SIGTERM.
pub(super) async fn asked_to_stop() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut term) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = term.recv() => {}
            }
            return;
        }
    }
    // Without a handler there is nothing to wait for but the other signal.
    let _ = tokio::signal::ctrl_c().await;
}
