//! `amlplan verify` and `amlplan doctor`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::args::{DoctorArgs, Formats, VerifyArgs};
use super::context::{CommandContext, Observed, env};
use super::exit::{CommandFailure, Exit};
use crate::client::net::clock;
use crate::health::{self, By, Finding, Probe, Probed, Report, Status, Unseen};
use crate::language::PEM_SETTINGS;
use crate::language::rules::{Held, pair};
use crate::model::{Encoding, Pointer, SecretSource};
use crate::observe::Clients;
use crate::render::report::Format;
use crate::render::safe::Commands;
use crate::resource::Resource;
use crate::source::Severity;
use crate::{observe, render};

/// Performs probes and hands the answers to a family of checks.
pub(super) async fn probe(
    probes: Vec<Probe>,
    clients: &Clients,
    context: &CommandContext,
) -> Probed {
    let wanted: BTreeSet<_> = probes.iter().map(|it| (it.scope.clone(), it.read.clone())).collect();
    let reading = observe::reads(wanted, clients, context.global.read_parallelism.get());
    let answers = context.patiently(reading).await;
    let mut probed = Probed::default();
    for Probe { scope, name, read } in probes {
        let answer = answers.get(&scope, &read);
        probed.0.insert((scope, name), answer);
    }
    probed
}

/// How often `verify --wait` looks again.
const LOOK: Duration = Duration::from_secs(10);

pub(super) async fn verify(
    args: &VerifyArgs,
    context: &CommandContext,
) -> Result<Exit, CommandFailure> {
    args.formats.all(args.json)?;
    let mut observed = context.observe(&args.files.files, &[], false).await?;
    let deadline = args.wait.map(clock::after);
    let mut told = String::new();
    let mut report = loop {
        let findings = judged(By::Verify, &observed, context).await;
        let report = Report { command: "verify", findings, ..Report::default() };
        let works = report.number(Status::Fail) == 0 && report.complete();
        let Some(deadline) = deadline.filter(|instant| !works && *instant > clock::now()) else {
            break report;
        };
        let first = report
            .bad()
            .first()
            .map(|finding| format!("{}: {}", finding.address, finding.problem()));
        let now =
            format!("Waiting: {} not well, first {}", bad(&report), first.unwrap_or_default());
        if now != told {
            context.out.note(&now);
            told = now;
        }
        let rest = deadline.saturating_duration_since(clock::now());
        clock::sleep(LOOK.min(rest)).await;
        observed.live = context.snapshot(&observed.desired, &observed.clients).await;
    };
    context.sign(&mut report);
    write(&report, &args.formats, args.json, context)?;
    Ok(exit(&report))
}

impl CommandContext {
    /// Puts a report in order, and says in it what it is about and which part of that it is.
    pub(super) fn sign(&self, report: &mut Report) {
        report.order();
        let about = self.about.get().map(|text| ("manifest", text.as_str().into()));
        report.members.extend(about);
        let shard = self.select.shard.map(|it| it.to_string());
        report.members.extend(shard.map(|text| ("shard", text.into())));
    }
}

/// What could not be looked at is not known to work.
pub(super) fn exit(report: &Report) -> Exit {
    match () {
        () if report.number(Status::Fail) > 0 => Exit::Found,
        () if !report.complete() => Exit::Error,
        () => Exit::Done,
    }
}

fn bad(report: &Report) -> usize {
    report.number(Status::Fail) + report.number(Status::Unknown)
}

pub(super) async fn doctor(
    args: &DoctorArgs,
    context: &CommandContext,
) -> Result<Exit, CommandFailure> {
    if args.network_list || args.check_network {
        return super::network::run(args, context).await;
    }
    let wrong = |why: String| CommandFailure::error("wrong-value", format!("--format: {why}"));
    let formats = args.format.iter().map(|it| super::args::format(it)).collect::<Result<_, _>>();
    let DoctorArgs { all, detail, .. } = *args;
    let formats = Formats { format: formats.map_err(wrong)?, all, detail };
    formats.all(args.json)?;
    let observed = context.observe(&args.files.files, &[], false).await?;
    let findings = judged(By::Doctor, &observed, context).await;
    let mut report = Report { command: "doctor", findings, ..Report::default() };
    context.sign(&mut report);
    write(&report, &formats, args.json, context)?;
    Ok(exit(&report))
}

/// Asks every rule of a command.
pub(super) async fn judged(by: By, observed: &Observed, context: &CommandContext) -> Vec<Finding> {
    let probes = health::probes(by, &observed.desired, &observed.live);
    let probed = probe(probes, &observed.clients, context).await;
    let mut checks = health::checks(by, &observed.desired, &observed.live, &probed, context.now());
    if by == By::Doctor {
        checks.extend(context.patiently(certificates(observed, context)).await);
    }
    checks
}

/// Certificates and keys that a service holds, judged as those in files are when a manifest is read;
/// what many clusters share is looked at once.
async fn certificates(observed: &Observed, context: &CommandContext) -> Vec<Finding> {
    let (mut checks, mut known) = (Vec::new(), BTreeSet::new());
    for (key, node) in &observed.desired.nodes {
        let Resource::Extension(extension) = &node.resource else { continue };
        let [cert, private] = PEM_SETTINGS.map(|text| extension.protected.get(text));
        let both = [(cert, Encoding::Certificates), (private, Encoding::PrivateKey)];
        let sources = [cert, private].map(|secret| secret.map(|secret| secret.source.clone()));
        if !sources.iter().flatten().any(SecretSource::is_remote) {
            continue;
        }
        // A Secret is of its cluster, a vault of nobody's.
        let of_cluster = |it: &SecretSource| matches!(it, SecretSource::Object { .. });
        let own = sources.iter().flatten().any(of_cluster).then(|| key.scope.clone());
        let host = extension.settings.get("sslCname").cloned().unwrap_or_default();
        if !known.insert((own, sources, host.clone())) {
            continue;
        }
        let place = |setting: &str| {
            let part = match PEM_SETTINGS.contains(&setting) {
                true => "configurationProtectedSettings",
                false => "configurationSettings",
            };
            let at = Pointer::parse(&format!("/extension/{part}/{setting}"));
            observed.desired.origins.get(&key.scope)?.value(&at)
        };
        let mut texts = [None, None];
        for (text, (secret, encoding)) in texts.iter_mut().zip(both) {
            let Some(secret) = secret else { continue };
            match observed.clients.open(&key.scope, secret).await {
                Ok(open) => *text = open.encoded(encoding).expose().and_then(|it| decoded(&it)),
                Err(error) => {
                    // Who may only review reads no values; apply says what is wrong.
                    let denied = matches!(error.status, Some(401 | 403));
                    let unseen = Finding::unseen("read-failed", key.clone(), Unseen::Failed(error));
                    checks.push(Finding {
                        title: "certificate and key".to_owned(),
                        status: if denied { Status::Skipped } else { unseen.status },
                        ..unseen
                    });
                }
            }
        }
        let [cert, private] = &texts;
        let held = Held { noun: "secret", place: &place };
        let found = pair(held, cert.as_deref(), private.as_deref(), &host, context.now());
        checks.extend(found.into_iter().map(|finding| Finding {
            title: "certificate and key".to_owned(),
            help: finding.help,
            place: finding.labels.into_iter().next().map(|label| label.place),
            ..Finding::new(finding.code, status(finding.severity), key.clone(), finding.message)
        }));
    }
    checks
}

fn decoded(text: &str) -> Option<String> {
    String::from_utf8(BASE64_STANDARD.decode(text).ok()?).ok()
}

const fn status(severity: Severity) -> Status {
    match severity {
        Severity::Error => Status::Fail,
        Severity::Warning => Status::Warning,
        Severity::Advice => Status::Info,
    }
}

/// Writes a report in every format asked for, to standard output or to a file; one file that cannot
/// be written does not keep the others from being.
pub(super) fn write(
    report: &Report,
    formats: &Formats,
    json: bool,
    context: &CommandContext,
) -> Result<(), CommandFailure> {
    let all = formats.all(json)?;
    let written: Vec<Result<(), CommandFailure>> =
        all.into_iter().map(|it| write_one(report, it, formats, context)).collect();
    written.into_iter().collect()
}

/// A CI host's own summary gets the report as markdown, whole; that one cannot be written is told, and
/// changes nothing about what was found.
fn write_one(
    report: &Report,
    (format, file): (Format, Option<PathBuf>),
    formats: &Formats,
    context: &CommandContext,
) -> Result<(), CommandFailure> {
    let style = context.style(formats.detail);
    let text = |format| render::report::render(report, format, &style, formats.all);
    let mut whole = text(format);
    if format == Format::Prometheus {
        let took = context.began.elapsed();
        whole += &render::report::run_metrics(report.command, context.now().as_second(), took);
    }
    context.out.deliver(&whole, format.commands(), file.as_deref())?;
    let set = |name: &str| env(name).filter(|text| !text.is_empty());
    match format {
        Format::Github => {
            // GitHub docs: Workflow commands, adding a job summary.
            if let Some(path) = set("GITHUB_STEP_SUMMARY") {
                let safe = render::safe::written(&text(Format::Markdown), Commands::None);
                if let Err(error) = crate::source::append(Path::new(&path), &safe) {
                    context.out.note(&format!("no summary of the step: {}", error.message));
                }
            }
        }
        Format::AzurePipelines => {
            // Azure Pipelines docs: Logging commands, UploadSummary.
            if let Some(folder) = set("AGENT_TEMPDIRECTORY") {
                let path = Path::new(&folder).join(format!("amlplan-{}.md", report.command));
                let whole = text(Format::Markdown);
                match context.out.deliver(&whole, Commands::None, Some(&path)) {
                    Ok(()) => {
                        let path = path.display();
                        context.out.commands(&format!("##vso[task.uploadsummary]{path}"));
                    }
                    Err(_) => context.out.note(&format!(
                        "no summary of the run: {} cannot be written",
                        path.display()
                    )),
                }
            }
        }
        _ => {}
    }
    Ok(())
}
