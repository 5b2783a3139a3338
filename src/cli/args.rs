//! The command line, as clap reads it; its doc comments are the help texts.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::exit::CommandFailure;
use super::select::Selection;
use super::shared::Global;
use crate::health::Status;
use crate::language::{DriftClass, duration};
use crate::render::report::Format;
use crate::source::Diagnostic;

/// What `--help` says at its end.
const EXIT_CODES: &str = "Exit codes: 0 done; 1 an error; 2 a finding (plan --detailed-exitcode, \
    drift, verify, doctor); 3 partly applied; 4 the saved plan is stale; 5 refused by a gate; \
    7 stopped waiting while Azure still works; 130 interrupted";

/// Sets up Kubernetes clusters for Azure Machine Learning from one manifest.
#[derive(Debug, Parser)]
#[command(name = "amlplan", version, propagate_version = true, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(super) command: Command,
    #[command(flatten)]
    pub(super) global: Global,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Write a commented starter manifest
    Init(InitArgs),
    /// Check manifests, offline
    Validate(Files),
    /// Show what apply would do
    Plan(PlanArgs),
    /// Make live what the manifest declares: plan, ask, apply
    Apply(ApplyArgs),
    /// Remove what the manifest declares, in reverse order
    Destroy(DestroyArgs),
    /// Compare declared and live, and report; changes nothing
    Drift(DriftArgs),
    /// Check that the deployment works
    Verify(VerifyArgs),
    /// Check every prerequisite before an apply
    Doctor(DoctorArgs),
    /// Put reports together
    Report(ReportArgs),
    /// Print the least roles that plan or apply need, for Azure and for Kubernetes
    Permissions(PermissionsArgs),
    /// Print the desired state as a graph
    Graph(GraphArgs),
    /// Print a saved plan
    Show(ShowArgs),
    /// Write a manifest from `az` lines, from live state, or from another profile
    Import(ImportArgs),
    /// Explain a code, a setting, or any text of an error
    Explain(ExplainArgs),
    /// Print the manifest's JSON Schema
    Schema,
    /// Show, change, reset or serve the simulated Azure and Kubernetes
    Sandbox(SandboxArgs),
    /// Print shell completions
    Completions(CompletionArgs),
    /// Write the manual pages, one a command, into a folder
    #[command(hide = true)]
    Man {
        /// The folder; it is made if it is not there
        folder: PathBuf,
    },
}

#[derive(Debug, Clone, Args)]
pub(super) struct Files {
    /// Manifests, or folders of manifests; default: cluster.yaml, cluster.yml or cluster.toml
    #[arg(value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) select: Selection,
}

#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    pub(super) files: Files,
    /// Only this address or what begins with it; may be given several times
    #[arg(long, value_name = "ADDRESS")]
    pub(super) target: Vec<String>,
    /// Write JSON in Terraform's plan representation
    #[arg(long)]
    pub(super) json: bool,
    /// Save the plan, to apply exactly what was reviewed
    #[arg(short, long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
    /// Write the plan as one page for a browser, too
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,
    /// Exit with 2 when there are changes
    #[arg(long)]
    pub(super) detailed_exitcode: bool,
    /// Show what destroy would do
    #[arg(long)]
    pub(super) destroy: bool,
    /// Show the az, oc and kubectl commands that would do the same, instead of the plan; not with
    /// --json
    #[arg(long, conflicts_with = "json")]
    pub(super) as_az: bool,
    /// Show the remarks about the manifest in full, as validate does
    #[arg(long)]
    pub(super) all: bool,
    /// Show every cluster's own changes, also where several clusters have the same
    #[arg(long)]
    pub(super) detail: bool,
}

#[derive(Debug, Args)]
pub(super) struct ApplyArgs {
    /// Manifests, folders of manifests, or one saved plan
    #[arg(value_name = "FILE|PLAN")]
    pub(super) files: Vec<PathBuf>,
    /// Mark what is there already as made by this manifest, so that it is removed when the
    /// manifest no longer names it
    #[arg(long)]
    pub(super) adopt: bool,
    /// Go up to this stage of the fleet's rollout, and no further
    #[arg(long, value_name = "NAME")]
    pub(super) stage: Option<String>,
    #[command(flatten)]
    pub(super) select: Selection,
    #[command(flatten)]
    pub(super) how: ApplyFlags,
}

#[derive(Debug, Args)]
pub(super) struct DestroyArgs {
    #[command(flatten)]
    pub(super) files: Files,
    #[command(flatten)]
    pub(super) how: ApplyFlags,
}

#[derive(Debug, Args)]
pub(super) struct ApplyFlags {
    /// Only this address or what begins with it, with what it needs (destroy: with what needs it);
    /// may be given several times
    #[arg(long, value_name = "ADDRESS")]
    pub(super) target: Vec<String>,
    /// Write one JSON object a line
    #[arg(long)]
    pub(super) json: bool,
    /// Do not ask before changing anything
    #[arg(long)]
    pub(super) auto_approve: bool,
    /// Do not wait for steps that nothing else waits for; exits with 7 while Azure still works
    #[arg(long)]
    pub(super) no_wait: bool,
    /// Stop waiting after this long (`90s`, `30m`, `2h`); the next apply goes on from there
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(super) timeout: Option<Duration>,
    /// Allow changes that disrupt running jobs or endpoints
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(super) allow: Vec<Allow>,
    /// Show the remarks about the manifest in full, as validate does
    #[arg(long)]
    pub(super) all: bool,
    /// Show every cluster's own changes, also where several clusters have the same
    #[arg(long)]
    pub(super) detail: bool,
    /// Write everything that is known about what failed, for a support ticket: health report,
    /// statuses, pods, events; secrets are left out
    #[arg(long, value_name = "FILE")]
    pub(super) evidence: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Allow {
    /// Changes that disrupt running jobs or endpoints
    Disruptive,
}

#[derive(Debug, Args)]
pub(super) struct DriftArgs {
    #[command(flatten)]
    pub(super) files: Files,
    #[command(flatten)]
    pub(super) formats: Formats,
    /// Exit with 2 only for drift of this class or from this severity on; `new`: only for what is
    /// not in the baseline; default: warning
    #[arg(long, value_name = "CLASS|SEVERITY", value_delimiter = ',', value_parser = fail_on)]
    pub(super) fail_on: Vec<FailOn>,
    /// JSON report of an earlier run: says what is new, still there and gone
    #[arg(long, value_name = "FILE")]
    pub(super) baseline: Option<PathBuf>,
}

/// What makes `drift` fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FailOn {
    /// Any finding of a class.
    Class(DriftClass),
    /// Any finding at least as bad.
    Severity(Status),
    /// Only findings that an earlier run did not have.
    New,
}

fn fail_on(text: &str) -> Result<FailOn, String> {
    match text {
        "error" => Ok(FailOn::Severity(Status::Fail)),
        "warning" => Ok(FailOn::Severity(Status::Warning)),
        "info" => Ok(FailOn::Severity(Status::Info)),
        "new" => Ok(FailOn::New),
        _ => DriftClass::named(text).map(FailOn::Class).ok_or_else(|| {
            let classes = DriftClass::ALL.map(DriftClass::as_str).join(", ");
            format!("`{text}` is none of: error, warning, info, new, {classes}")
        }),
    }
}

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    pub(super) files: Files,
    #[command(flatten)]
    pub(super) formats: Formats,
    /// Write JSON: the same as --format json
    #[arg(long, conflicts_with = "format")]
    pub(super) json: bool,
    /// Look again until everything works, for this long at most (`90s`, `30m`, `2h`)
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(super) wait: Option<Duration>,
}

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    pub(super) files: Files,
    /// How to report, or FORMAT=FILE to write it there too; may be given several times. With
    /// --network-list: human, json, csv, hosts (one a line), or job (a Job that tries them from
    /// the cluster)
    #[arg(long, value_name = "FORMAT[=FILE]")]
    pub(super) format: Vec<String>,
    /// Show people what is fine, too
    #[arg(long)]
    pub(super) all: bool,
    /// Show every cluster's own findings, also where several clusters have the same
    #[arg(long)]
    pub(super) detail: bool,
    /// Write JSON: the same as --format json
    #[arg(long, conflicts_with = "format")]
    pub(super) json: bool,
    /// List the hosts that the clusters have to reach, instead of checking
    #[arg(long, conflicts_with = "check_network")]
    pub(super) network_list: bool,
    /// Try these hosts from here, and show what the Job of --network-list found from the cluster
    #[arg(long)]
    pub(super) check_network: bool,
}

#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    #[command(subcommand)]
    pub(super) command: ReportCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum ReportCommand {
    /// One report of the JSON reports that drift, verify or doctor wrote with --shard; it ends as
    /// the run of the whole would have
    Merge(MergeArgs),
}

#[derive(Debug, Args)]
pub(super) struct MergeArgs {
    /// JSON reports, one of each part
    #[arg(value_name = "REPORT", required = true)]
    pub(super) reports: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) formats: Formats,
    /// Of drift: exit with 2 only for drift of this class or from this severity on; `new`: only for
    /// what is not in the baseline; default: warning
    #[arg(long, value_name = "CLASS|SEVERITY", value_delimiter = ',', value_parser = fail_on)]
    pub(super) fail_on: Vec<FailOn>,
}

/// How a report is written; the same for every command that reports.
#[derive(Debug, Clone, Args)]
pub(super) struct Formats {
    /// How to report, or FORMAT=FILE to write it there too; may be given several times
    #[arg(long, value_name = "FORMAT[=FILE]", value_parser = format)]
    pub(super) format: Vec<(Format, Option<PathBuf>)>,
    /// Show people what is fine, and the remarks about the manifest in full, too
    #[arg(long)]
    pub(super) all: bool,
    /// Show every cluster's own findings, also where several clusters have the same
    #[arg(long)]
    pub(super) detail: bool,
}

impl Formats {
    /// Every format with its file; people's on standard output where nothing else goes there.
    ///
    /// # Errors
    /// When two of them go to one place.
    pub(super) fn all(&self, json: bool) -> Result<Vec<(Format, Option<PathBuf>)>, CommandFailure> {
        let mut all = self.format.clone();
        if all.iter().all(|it| it.1.is_some()) {
            all.push((if json { Format::Json } else { Format::Human }, None));
        }
        distinct(all.iter().map(|it| it.1.as_deref()))?;
        Ok(all)
    }
}

/// Refuses two results that go to one place; `None` is standard output.
pub(super) fn distinct<'a>(
    places: impl Iterator<Item = Option<&'a Path>>,
) -> Result<(), CommandFailure> {
    let mut seen = BTreeSet::new();
    for place in places {
        if seen.insert(place.map(|it| std::path::absolute(it).unwrap_or_else(|_| it.to_owned()))) {
            continue;
        }
        let name = place.map_or("standard output".into(), |path| format!("`{}`", path.display()));
        let message = format!("two results into {name}");
        let finding = Diagnostic::error("wrong-value", message);
        return Err(finding.with_help("name a file of its own for each: FORMAT=FILE").into());
    }
    Ok(())
}

pub(super) fn format(text: &str) -> Result<(Format, Option<PathBuf>), String> {
    let (word, file) = text.split_once('=').map_or((text, None), |(a, b)| (a, Some(b)));
    let words = || Format::ALL.map(|it| it.1).join(", ");
    let format = Format::named(word).ok_or_else(|| format!("`{word}` is none of: {}", words()))?;
    match file {
        Some("") => Err(format!("the file of `{word}=` is missing")),
        // As everywhere: the terminal.
        Some("-" | "/dev/stdout") => Ok((format, None)),
        file => Ok((format, file.map(PathBuf::from))),
    }
}

#[derive(Debug, Args)]
pub(super) struct PermissionsArgs {
    #[command(flatten)]
    pub(super) files: Files,
    /// What the roles are to be good for
    #[arg(long = "for", value_enum, value_name = "COMMAND", default_value = "apply")]
    pub(super) purpose: Purpose,
    /// Say what this sign-in lacks of it; exits with 2 when it lacks something
    #[arg(long)]
    pub(super) check: bool,
    /// Write the roles, or what is lacking, as one JSON document
    #[arg(long)]
    pub(super) json: bool,
}

/// What roles are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Purpose {
    /// Reading what is compared; nothing is changed
    Plan,
    /// What drift and verify read
    Drift,
    /// What doctor reads
    Doctor,
    /// Everything: apply, which also asks doctor, and destroy
    Apply,
}

#[derive(Debug, Args)]
pub(super) struct GraphArgs {
    #[command(flatten)]
    pub(super) files: Files,
    /// How to write it
    #[arg(long, value_enum, default_value = "dot")]
    pub(super) format: GraphFormat,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum GraphFormat {
    /// Graphviz
    Dot,
    /// A picture that needs no other program
    Svg,
    /// Mermaid
    Mermaid,
    /// JSON
    Json,
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// A saved plan
    #[arg(value_name = "PLAN")]
    pub(super) plan: PathBuf,
    /// Write JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Show every cluster's own changes, also where several clusters have the same
    #[arg(long)]
    pub(super) detail: bool,
}

#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// Where to write; default: cluster.yaml
    #[arg(value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
    /// Which starter; --list names them
    #[arg(long, value_name = "NAME")]
    pub(super) scenario: Option<String>,
    /// Name the scenarios
    #[arg(long)]
    pub(super) list: bool,
}

#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("what").required(true).multiple(true)
    .args(["paths", "from_az", "cluster", "from", "subscription"])))]
pub(super) struct ImportArgs {
    /// Scripts, pipelines, notebooks, pages, Terraform, ARM templates, az's JSON, compute YAML, or
    /// folders of them; `-` reads standard input
    #[arg(value_name = "PATH", conflicts_with_all = ["cluster", "from", "subscription"])]
    pub(super) paths: Vec<PathBuf>,
    /// The same as PATH
    #[arg(long, value_name = "FILE", visible_aliases = ["from-terraform", "from-arm"],
        conflicts_with_all = ["cluster", "from", "subscription"])]
    pub(super) from_az: Vec<PathBuf>,
    /// From what is live on this cluster
    #[arg(long, value_name = "RESOURCE_ID", conflicts_with_all = ["from", "subscription"])]
    pub(super) cluster: Option<String>,
    /// From what is live in this subscription: a fleet of its clusters
    #[arg(long, value_name = "ID", conflicts_with = "from")]
    pub(super) subscription: Option<String>,
    /// With --subscription: clusters of this group only
    #[arg(long, value_name = "NAME", requires = "subscription")]
    pub(super) resource_group: Option<String>,
    /// Workspace to look for computes in: a resource id, or with --subscription a name; may be
    /// given several times
    #[arg(long, value_name = "RESOURCE_ID")]
    pub(super) workspace: Vec<String>,
    /// The cloud of --cluster or --subscription: AzureCloud, AzureUSGovernment, AzureChinaCloud,
    /// the address of its Resource Manager, or `{name: …, resourceManager: …}`
    #[arg(long, value_name = "CLOUD")]
    pub(super) cloud: Option<String>,
    /// From another manifest, translated to --profile
    #[arg(long, value_name = "MANIFEST", requires = "profile")]
    pub(super) from: Option<PathBuf>,
    /// Profile to translate to
    #[arg(long, value_name = "P", value_parser = ["ga", "2021-11-preview"])]
    pub(super) profile: Option<String>,
    /// Where to write; default: standard output
    #[arg(short, long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// A code, a setting, a component, a kind of resource, a role, or any text: a line of a health
    /// report, an error, an event; `-` reads it from standard input
    #[arg(value_name = "TEXT", required = true)]
    pub(super) what: Vec<String>,
    /// Point at the lines of this manifest
    #[arg(short, long, value_name = "FILE")]
    pub(super) file: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct CompletionArgs {
    /// The shell
    #[arg(value_enum)]
    pub(super) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(super) struct SandboxArgs {
    #[command(subcommand)]
    pub(super) command: SandboxCommand,
    /// The simulator's state, else .amlplan/sandbox.json; `--sandbox=FILE` says the same
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) state: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum SandboxCommand {
    /// Serve the simulated world to any client
    Serve(ServeArgs),
    /// Print the world
    Show {
        /// Write JSON
        #[arg(long)]
        json: bool,
    },
    /// Change a field by hand, as a colleague would
    Set {
        /// Address in the manifest, or an Azure resource id; before an OBJECT the cluster's
        address: String,
        /// An object of the cluster, such as deployment/azureml/gateway; then JSON pointers with new values: VALUE is
        /// JSON, or else a text
        #[arg(value_name = "[OBJECT] POINTER=VALUE", required = true)]
        change: Vec<String>,
        /// The manifest
        #[arg(short, long, value_name = "FILE")]
        file: Vec<PathBuf>,
    },
    /// Remove a resource by hand, as a colleague would
    Delete {
        /// Address in the manifest, or an Azure resource id; before an OBJECT the cluster's
        address: String,
        /// An object of the cluster, such as deployment/azureml/gateway
        object: Option<String>,
        /// The manifest
        #[arg(short, long, value_name = "FILE")]
        file: Vec<PathBuf>,
    },
    /// Let time pass: nodes and pods come and go, and Azure upgrades what is not pinned
    Wait {
        /// How long, such as 90m or 24h; at most a year
        #[arg(value_parser = a_year_at_most)]
        time: Duration,
    },
    /// Start the world anew
    Reset,
}

fn a_year_at_most(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    let year = Duration::from_secs(366 * 24 * 60 * 60);
    if time > year { Err("it is longer than a year".to_owned()) } else { Ok(time) }
}

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Address to listen on
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8443", value_parser = address)]
    pub(super) listen: std::net::SocketAddr,
    /// Serve HTTPS with a certificate authority of its own
    #[arg(long)]
    pub(super) tls: bool,
    /// A world that differs from the default one; `--sandbox-world FILE` says the same
    #[arg(long, value_name = "FILE")]
    pub(super) world: Option<PathBuf>,
    /// Take as long as Azure does
    #[arg(long)]
    pub(super) realistic: bool,
    /// A manifest whose cluster, workspaces and identities the world starts with
    #[arg(short, long, value_name = "FILE")]
    pub(super) file: Vec<PathBuf>,
}

/// `HOST:PORT`, where the host may be a name.
fn address(text: &str) -> Result<std::net::SocketAddr, String> {
    let mut found = std::net::ToSocketAddrs::to_socket_addrs(text)
        .map_err(|it| format!("`{text}` is not HOST:PORT ({it}); write it like 127.0.0.1:8443"))?;
    found.next().ok_or_else(|| format!("`{text}` stands for no address"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_sandbox_without_a_file_uses_the_default_state() {
        let cli = Cli::try_parse_from(["amlplan", "plan", "--sandbox", "x.yaml"]).unwrap();
        assert_eq!(cli.global.sandbox, Some(PathBuf::from(".amlplan/sandbox.json")));
        let Command::Plan(args) = cli.command else { panic!("a plan") };
        assert_eq!(args.files.files, [PathBuf::from("x.yaml")]);
    }
}
