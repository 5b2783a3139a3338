//! Arguments, commands and exit codes: the `--help` page is this folder.

mod apply;
mod args;
mod context;
mod drift;
mod evidence;
mod exit;
mod explain;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod graph;
mod import;
mod init;
mod network;
mod permissions;
mod plan;
#[cfg(test)]
mod reference;
mod report;
mod rollout;
mod sandbox;
mod select;
mod shared;
mod signals;
mod validate;
mod verify;

use std::process::ExitCode;

use clap::FromArgMatches as _;

use amlplan_sandbox::StateAccess;
pub use args::Cli;
use args::{
    Command, DestroyArgs, DoctorArgs, DriftArgs, GraphArgs, PermissionsArgs, PlanArgs, VerifyArgs,
};
use context::CommandContext;
use exit::{CommandFailure, Exit};
use shared::Global;
use signals::Interrupts;

use crate::source::Diagnostic;

/// Runs the program with the arguments of the process and returns its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let read = |it| Cli::from_arg_matches(&it).map(|cli| (cli, asks_for_json(&it)));
    let (cli, json) = match shared::command().try_get_matches().and_then(read) {
        Ok(read) => read,
        Err(told) => return usage(&told),
    };
    log(&cli.global);
    let out = exit::Streams::new(&cli.global, json);
    let run = match &cli.command {
        // These need neither a world nor a runtime.
        Command::Validate(args) => validate::run(args, &cli.global, &out),
        Command::Explain(args) => explain::run(args, &out),
        Command::Schema => explain::schema(&out),
        Command::Completions(args) => explain::completions(args, &out),
        Command::Man { folder } => explain::man(folder),
        Command::Init(args) => init::run(args, &out),
        Command::Sandbox(args) => sandbox::run(args, &cli.global, &out),
        Command::Plan(_)
        | Command::Apply(_)
        | Command::Destroy(_)
        | Command::Drift(_)
        | Command::Verify(_)
        | Command::Doctor(_)
        | Command::Permissions(_)
        | Command::Report(_)
        | Command::Graph(_)
        | Command::Show(_)
        | Command::Import(_) => interruptible(cli, &out),
    };
    match run {
        Ok(exit) => out.end(exit).code(),
        Err(failure) => {
            out.failure(&failure);
            out.end(failure.exit).code()
        }
    }
}

/// Whether a command was asked for JSON, in either way.
fn asks_for_json(matches: &clap::ArgMatches) -> bool {
    let Some((_, own)) = matches.subcommand() else { return false };
    let flag = own.try_get_one::<bool>("json").ok().flatten().is_some_and(|it| *it);
    let formats = own.try_get_raw("format").ok().flatten();
    flag || formats.is_some_and(|mut raw_values| raw_values.any(|it| it == "json"))
}

/// Help and version are results; a wrong word is an error like any other. Not 2, which says that
/// something was found: a nightly job must not take a typo for drift.
fn usage(told: &clap::Error) -> ExitCode {
    let wrong = told.use_stderr();
    let written = told.print().is_ok();
    if wrong || !written { Exit::Error.code() } else { Exit::Done.code() }
}

/// Does the work on a thread of its own, so that being asked to stop is noticed whatever the work
/// waits for: a lock, a pipe, a name server.
fn interruptible(cli: Cli, out: &exit::Streams) -> Result<Exit, CommandFailure> {
    let signals = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let interrupts = Interrupts::default();
    let (done, ended) = tokio::sync::oneshot::channel();
    let (own, asked) = (out.clone(), interrupts.clone());
    let work = move || drop(done.send(with_runtime(&cli, own, asked)));
    signals.map_err(not_started)?.block_on(async {
        let worked = async {
            let thread = std::thread::Builder::new().stack_size(STACK).spawn(work);
            let thread = thread.map_err(not_started)?;
            match (ended.await, thread) {
                (Ok(ended), _) => ended,
                (Err(_), thread) => match thread.join() {
                    Err(panic) => std::panic::resume_unwind(panic),
                    Ok(()) => Err(CommandFailure::error("runtime", "the command gave no answer")),
                },
            }
        };
        tokio::select! {
            biased;
            () = interrupts.unseen() => {
                let message = "interrupted; nothing was changed";
                let finding = Diagnostic::error("interrupted", message);
                Err(CommandFailure::findings(Exit::Interrupted, vec![finding]))
            }
            ended = worked => ended,
        }
    })
}

/// As much as a main thread has, in bytes.
const STACK: usize = 8 << 20;

fn not_started(why: std::io::Error) -> CommandFailure {
    let finding = Diagnostic::error("runtime", format!("cannot start: {why}"));
    finding.with_help(crate::source::mend(&why, "close other programs")).into()
}

/// Against the simulator time is virtual, so that waiting takes none.
fn with_runtime(
    cli: &Cli,
    out: exit::Streams,
    interrupts: Interrupts,
) -> Result<Exit, CommandFailure> {
    let runtime = if cli.global.sandbox.is_some() {
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()
    } else {
        tokio::runtime::Builder::new_multi_thread().enable_all().build()
    };
    let runtime = runtime.map_err(not_started)?;
    let ended = runtime.block_on(async {
        let access = match &cli.command {
            Command::Apply(_) | Command::Destroy(_) => StateAccess::Write,
            _ => StateAccess::Read,
        };
        let mut context = CommandContext::new(&cli.global, out, interrupts, access)?;
        context.select = match &cli.command {
            Command::Plan(PlanArgs { files, .. })
            | Command::Destroy(DestroyArgs { files, .. })
            | Command::Drift(DriftArgs { files, .. })
            | Command::Verify(VerifyArgs { files, .. })
            | Command::Doctor(DoctorArgs { files, .. })
            | Command::Permissions(PermissionsArgs { files, .. })
            | Command::Graph(GraphArgs { files, .. }) => files.select.clone(),
            Command::Apply(args) => args.select.clone(),
            _ => select::Selection::default(),
        };
        // What a part shares with others says something about its own clusters too.
        context.select.shared_too = matches!(cli.command, Command::Doctor(_));
        let result = run(cli, &context).await;
        // What happened in the simulator happened, also when the command failed.
        context.close()?;
        result
    });
    // Whoever waits for an answer at the terminal will not get one any more.
    runtime.shutdown_background();
    ended
}

async fn run(cli: &Cli, context: &CommandContext) -> Result<Exit, CommandFailure> {
    match &cli.command {
        Command::Plan(args) => plan::run(args, context).await,
        Command::Apply(args) => apply::run(args, context).await,
        Command::Destroy(args) => apply::destroy(args, context).await,
        Command::Drift(args) => drift::run(args, context).await,
        Command::Verify(args) => verify::verify(args, context).await,
        Command::Doctor(args) => verify::doctor(args, context).await,
        Command::Permissions(args) => permissions::run(args, context).await,
        Command::Report(args) => report::run(args, context),
        Command::Graph(args) => graph::run(args, context),
        Command::Show(args) => plan::show(args, context),
        Command::Import(args) => import::run(args, context).await,
        Command::Validate(_)
        | Command::Explain(_)
        | Command::Schema
        | Command::Completions(_)
        | Command::Man { .. }
        | Command::Init(_)
        | Command::Sandbox(_) => Ok(Exit::Done),
    }
}

fn log(global: &Global) {
    use tracing_subscriber::filter::Targets;
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::util::SubscriberInitExt;
    let level = match global.verbose {
        0 => "amlplan=warn",
        1 => "amlplan=debug",
        2 => "debug",
        _ => "trace",
    };
    let chosen = std::env::var("AMLPLAN_LOG").ok();
    let filter: Targets =
        chosen.and_then(|it| it.parse().ok()).or_else(|| level.parse().ok()).unwrap_or_default();
    let lines = tracing_subscriber::fmt::layer().with_writer(|| exit::Log);
    let logs = tracing_subscriber::registry().with(filter);
    // A second subscriber can only be set in tests, where the first one is as good.
    let _ = match global.log_format {
        shared::LogFormat::Text => logs.with(lines.with_ansi(false)).try_init(),
        shared::LogFormat::Json => logs.with(lines.json()).try_init(),
    };
}
