//! Arguments, commands and exit codes: the `--help` page is this folder.

mod apply;
mod args;
mod context;
mod drift;
mod exit;
mod explain;
mod graph;
mod import;
mod init;
mod plan;
#[cfg(test)]
mod reference;
mod sandbox;
mod validate;
mod verify;

use std::process::ExitCode;

use clap::Parser as _;

use amlplan_sandbox::Access;
pub use args::Cli;
use args::{Command, Global};
use context::Context;
use exit::{Exit, Failure};

/// Runs the program with the arguments of the process and returns its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    log(&cli.global);
    let out = exit::Output::new(&cli.global);
    let run = match &cli.command {
        // These need neither a world nor a runtime.
        Command::Validate(args) => validate::run(args, &cli.global, &out),
        Command::Explain(args) => explain::run(args, &out),
        Command::Schema => explain::schema(&out),
        Command::Completions(args) => explain::completions(args, &out),
        Command::Man { folder } => explain::man(folder),
        Command::Init(args) => init::run(args, &out),
        Command::Sandbox(args) => sandbox::run(args, &out),
        Command::Plan(_)
        | Command::Apply(_)
        | Command::Destroy(_)
        | Command::Drift(_)
        | Command::Verify(_)
        | Command::Doctor(_)
        | Command::Graph(_)
        | Command::Show(_)
        | Command::Import(_) => with_runtime(&cli, &out),
    };
    match run {
        Ok(exit) => exit.code(),
        Err(failure) => {
            out.failure(&failure);
            failure.exit.code()
        }
    }
}

/// Against the simulator time is virtual, so that waiting takes none.
fn with_runtime(cli: &Cli, out: &exit::Output) -> Result<Exit, Failure> {
    let runtime = if cli.global.sandbox.is_some() {
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()
    } else {
        tokio::runtime::Builder::new_multi_thread().enable_all().build()
    };
    let runtime = runtime.map_err(|it| Failure::error("runtime", format!("cannot start: {it}")))?;
    runtime.block_on(async {
        let access = match &cli.command {
            Command::Apply(_) | Command::Destroy(_) => Access::Write,
            _ => Access::Read,
        };
        let context = Context::new(&cli.global, out.clone(), access)?;
        let result = match &cli.command {
            Command::Plan(args) => plan::run(args, &context).await,
            Command::Apply(args) => apply::run(args, &context).await,
            Command::Destroy(args) => apply::destroy(args, &context).await,
            Command::Drift(args) => drift::run(args, &context).await,
            Command::Verify(args) => verify::verify(args, &context).await,
            Command::Doctor(args) => verify::doctor(args, &context).await,
            Command::Graph(args) => graph::run(args, &context),
            Command::Show(args) => plan::show(args, &context),
            Command::Import(args) => import::run(args, &context).await,
            Command::Validate(_)
            | Command::Explain(_)
            | Command::Schema
            | Command::Completions(_)
            | Command::Man { .. }
            | Command::Init(_)
            | Command::Sandbox(_) => Ok(Exit::Done),
        };
        // What happened in the simulator happened, also when the command failed.
        context.close()?;
        result
    })
}

fn log(global: &Global) {
    use tracing_subscriber::EnvFilter;
    let level = match global.verbose {
        0 => "warn",
        1 => "amlplan=debug",
        2 => "debug",
        _ => "trace",
    };
    let chosen = std::env::var("AMLPLAN_LOG").unwrap_or_else(|_| level.to_owned());
    let filter = EnvFilter::try_new(chosen).unwrap_or_else(|_| EnvFilter::new(level));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second subscriber can only be set in tests, where the first one is as good.
    let _ = match global.log_format {
        args::LogFormat::Text => logs.with_ansi(false).try_init(),
        args::LogFormat::Json => logs.json().try_init(),
    };
}
