//! The flags that commands share, and which of them mean something to which command.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Cli;
use crate::client::arm::Auth;
use crate::model::{ConfirmedHost, Trust};

/// Heading of the flags that commands share.
const SHARED: &str = "Sign-in, simulator and logging";

/// Where the simulator's state lives unless it is named.
pub(super) const DEFAULT_STATE: &str = ".amlplan/sandbox.json";

/// Shared flags that mean nothing to a command.
const MEANINGLESS: &[(&[&str], &[&str])] = &[
    (
        &[
            "init",
            "validate",
            "report",
            "explain",
            "schema",
            "completions",
            "graph",
            "show",
            "sandbox",
        ],
        &["sandbox", "sandbox_world", "parallelism", "read_parallelism", "auth"],
    ),
    (&["init", "report", "explain", "schema", "completions", "sandbox"], &["trust_cloud"]),
    (&["plan", "drift", "verify", "doctor", "import", "permissions"], &["parallelism"]),
];

/// The command line with the help of each command cut to what it can use.
pub(super) fn command() -> clap::Command {
    use clap::CommandFactory as _;
    let mut whole = Cli::command();
    for (commands, flags) in MEANINGLESS {
        let own = whole.get_arguments().filter(|it| flags.contains(&it.get_id().as_str()));
        let hidden: Vec<clap::Arg> = own.map(|it| it.clone().hide(true)).collect();
        for command in *commands {
            // A command's own argument goes before the shared one.
            whole = whole.mut_subcommand(command, |it| it.args(hidden.clone()));
        }
    }
    whole
}

#[derive(Debug, Clone, Args)]
pub(super) struct Global {
    /// Run against the embedded simulator; its state lives in STATE, else .amlplan/sandbox.json
    #[arg(long, global = true, help_heading = SHARED, value_name = "STATE", num_args = 0..=1, require_equals = true,
          default_missing_value = DEFAULT_STATE)]
    pub(super) sandbox: Option<PathBuf>,
    /// Describes a simulated world that differs from the default one (docs/sandbox.md)
    #[arg(long, global = true, help_heading = SHARED, value_name = "FILE")]
    pub(super) sandbox_world: Option<PathBuf>,
    /// How many changing requests of an apply are under way at once; waiting takes no place
    #[arg(long, global = true, help_heading = SHARED, value_name = "N", default_value = "10")]
    pub(super) parallelism: NonZeroUsize,
    /// How many reads run at once
    #[arg(long, global = true, help_heading = SHARED, value_name = "N", default_value = "64")]
    pub(super) read_parallelism: NonZeroUsize,
    /// How to sign in to Azure
    #[arg(long, global = true, help_heading = SHARED, value_enum, default_value = "auto")]
    pub(super) auth: AuthArg,
    /// Let credentials go to this host too: Resource Manager or sign-in service of a cloud of your own
    #[arg(
        long,
        global = true,
        help_heading = SHARED,
        value_name = "HOST",
        env = "AMLPLAN_TRUST_CLOUD",
        hide_env_values = true,
        value_delimiter = ','
    )]
    pub(super) trust_cloud: Vec<ConfirmedHost>,
    /// Write no colours
    #[arg(long, global = true, help_heading = SHARED)]
    pub(super) no_color: bool,
    /// Log every request; twice to log what libraries say too
    #[arg(short, long, global = true, help_heading = SHARED, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
    /// How logs are written
    #[arg(long, global = true, help_heading = SHARED, value_enum, default_value = "text")]
    pub(super) log_format: LogFormat,
}

impl Global {
    /// Which hosts may have credentials.
    pub(super) fn trust(&self) -> Trust {
        self.trust_cloud.iter().cloned().collect()
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum LogFormat {
    /// Lines
    Text,
    /// JSON lines
    Json,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum AuthArg {
    /// The first way that fits
    Auto,
    /// The signed-in Azure CLI
    Cli,
    /// Workload identity
    Workload,
    /// Managed identity
    Managed,
    /// Client secret
    Secret,
    /// Client assertion (GitHub Actions, Azure Pipelines)
    Assertion,
}

impl From<AuthArg> for Auth {
    fn from(auth_arg: AuthArg) -> Self {
        match auth_arg {
            AuthArg::Auto => Self::Auto,
            AuthArg::Cli => Self::Cli,
            AuthArg::Workload => Self::Workload,
            AuthArg::Managed => Self::Managed,
            AuthArg::Secret => Self::Secret,
            AuthArg::Assertion => Self::Assertion,
        }
    }
}
