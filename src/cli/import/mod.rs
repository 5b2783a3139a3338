//! `amlplan import`: a manifest from files, from live state, or from another profile.

mod fleet;
mod live;

use std::path::{Path, PathBuf};

use super::args::ImportArgs;
use super::context::{CommandContext, env, now};
use super::exit::{CommandFailure, Exit};
use crate::language::{self, LoadOptions, Profile, Secrets};
use crate::source::{self, Diagnostic, Diagnostics, Severity};

pub(super) async fn run(
    args: &ImportArgs,
    context: &CommandContext,
) -> Result<Exit, CommandFailure> {
    let profile = args.profile.as_deref().map(|text| match text {
        "ga" => Profile::Ga,
        _ => Profile::Preview,
    });
    let text = match (&args.cluster, &args.from) {
        (Some(cluster), _) => live::import(cluster, args, profile, context).await?,
        (None, Some(from)) => translate(from, profile.unwrap_or(Profile::Ga), context)?,
        (None, None) if args.subscription.is_some() => {
            fleet::import(args, profile, context).await?
        }
        (None, None) => files(args, profile, context)?,
    };
    write(&text, args, context)
}

/// Every cluster of a manifest in another profile, as documents of one file.
fn translate(from: &Path, to: Profile, context: &CommandContext) -> Result<String, CommandFailure> {
    let options = LoadOptions { env: &env, secrets: Secrets::Optional };
    let (manifest, mut findings) = language::load_lenient(&[from.to_owned()], &options);
    // What a secret holds does not matter here, only that there is one.
    findings.retain(|it| it.severity == Severity::Error && !it.code.starts_with("secret-"));
    if !findings.is_empty() {
        return Err(findings.into());
    }
    let mut documents = Vec::new();
    for declared in &manifest.clusters {
        let host =
            declared.secrets.get("sslCertPemFile").and_then(crate::language::rules::host_name);
        let done = crate::convert::translate::translate(&declared.spec, to, host.as_deref())?;
        let mut notes = vec![format!("{}, translated to {}:", declared.name, to.as_str())];
        for decision in &done.decisions {
            let mark = match decision.severity {
                Severity::Error | Severity::Warning => "look at this: ",
                Severity::Advice => "",
            };
            notes.push(format!("  {}: {mark}{}", decision.path, decision.message));
        }
        context.out.note(&notes.join("\n"));
        documents.push(done.text);
    }
    Ok(documents.join("---\n"))
}

/// What files and folders say, as one manifest.
fn files(
    args: &ImportArgs,
    profile: Option<Profile>,
    context: &CommandContext,
) -> Result<String, CommandFailure> {
    let mut sources = Vec::new();
    for path in args.paths.iter().chain(&args.from_az) {
        if path == Path::new("-") {
            sources.push(source::read_stdin()?);
        } else if path.is_dir() {
            let mut found = Vec::new();
            folder(path, 0, &mut found)?;
            if found.is_empty() {
                let message =
                    format!("the folder `{}` has no file that can be imported", path.display());
                return Err(Diagnostic::error("az-nothing", message)
                    .with_help(format!(
                        "name a file, or a folder with one of *.{}",
                        KNOWN.join(", *.")
                    ))
                    .into());
            }
            for file in found {
                sources.push(source::read(&file)?);
            }
        } else {
            sources.push(source::read(path)?);
        }
    }
    // Files that a script names lie beside it.
    let beside = |script: &Path, name: &str| {
        let name = Path::new(name.trim_start_matches('@'));
        let path = script.parent().unwrap_or_else(|| Path::new("")).join(name);
        let own = name.is_relative().then(|| source::read(&path).ok()).flatten();
        own.map(|source| source.text.clone())
    };
    let options = crate::convert::az::ImportOptions { profile, files: &beside };
    let imported = crate::convert::az::import(&sources, &options)?;
    context.out.findings(&imported.findings);
    context.out.findings(&invalid(&imported.text, context)?);
    Ok(imported.text)
}

/// Why `validate` would refuse what was imported. Variables that are not set were told already.
fn invalid(text: &str, context: &CommandContext) -> Result<Diagnostics, CommandFailure> {
    let failed = |why: std::io::Error| {
        CommandFailure::error("file-unwritable", format!("cannot write a temporary file: {why}"))
    };
    let folder = tempfile::tempdir().map_err(failed)?;
    let file = folder.path().join("cluster.yaml");
    source::write(&file, text)?;
    let stand_in = |name: &str| {
        let guid = name.to_uppercase().contains("SUBSCRIPTION") || name.contains("_ID");
        let text = if guid { "00000000-0000-0000-0000-000000000000" } else { "stand-in" };
        env(name).or_else(|| Some(text.to_owned()))
    };
    let options = LoadOptions { env: &stand_in, secrets: Secrets::Optional };
    let (manifest, mut findings) = language::load_lenient(&[file], &options);
    findings.extend(language::rules::check(&manifest, now(), &context.global.trust()));
    findings.retain(|finding| {
        let written = finding.labels.first().map_or("", |label| label.place.text());
        finding.severity == Severity::Error
            && !finding.code.starts_with("secret-")
            && !written.contains("${")
    });
    let told = findings.into_iter().map(|error| {
        let message = format!("`validate` will say: {} ({})", error.message, error.code);
        let finding = Diagnostic::warning("az-invalid", message);
        match error.help {
            Some(help) => finding.with_help(help),
            None => finding,
        }
    });
    Ok(told.collect())
}

/// Files of these kinds are looked at in a folder.
const KNOWN: [&str; 17] = [
    "sh", "bash", "azcli", "az", "ps1", "psm1", "cmd", "bat", "yml", "yaml", "md", "ipynb", "tf",
    "tfvars", "bicep", "json", "tfstate",
];

/// The files of a folder and of those in it, in the order of their names.
fn folder(path: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), CommandFailure> {
    let unreadable = |why: std::io::Error| {
        let message = format!("cannot read the folder `{}`: {why}", path.display());
        CommandFailure::error("file-unreadable", message)
    };
    let mut entries: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        entries.push(entry.map_err(unreadable)?.path());
    }
    entries.sort();
    for entry in entries {
        let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let shown = !name.starts_with('.') || name == ".github";
        if entry.is_symlink() || !shown || name == "node_modules" {
            continue;
        }
        if entry.is_dir() && depth < 8 {
            folder(&entry, depth + 1, found)?;
        } else if entry.extension().is_some_and(|it| KNOWN.contains(&&*it.to_string_lossy())) {
            found.push(entry);
        }
    }
    Ok(())
}

fn write(text: &str, args: &ImportArgs, context: &CommandContext) -> Result<Exit, CommandFailure> {
    match &args.out {
        Some(path) if path != Path::new("-") => source::write(path, text)?,
        _ => context.out.result(text),
    }
    Ok(Exit::Done)
}
