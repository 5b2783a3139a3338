//! `amlplan import`: a manifest from `az` lines, from live state, or from another profile.

mod live;

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use super::args::ImportArgs;
use super::context::{Context, env};
use super::exit::{Exit, Failure};
use crate::language::{self, LoadOptions, Profile, Secrets};
use crate::source::{self, Diagnostic, Severity, Source};

pub(super) async fn run(args: &ImportArgs, context: &Context) -> Result<Exit, Failure> {
    let profile = args.profile.as_deref().map(|it| match it {
        "ga" => Profile::Ga,
        _ => Profile::Preview,
    });
    let text = match (&args.from_az, &args.cluster, &args.from) {
        (Some(path), ..) => {
            let imported = crate::convert::az::import(&az_lines(path)?, profile)?;
            context.out.findings(&imported.findings);
            imported.text
        }
        (None, Some(cluster), _) => live::import(cluster, args, profile, context).await?,
        // The arguments ask for one of the three.
        (None, None, from) => {
            let from = from.as_deref().unwrap_or(Path::new("cluster.yaml"));
            translate(from, profile.unwrap_or(Profile::Ga), context)?
        }
    };
    write(&text, args, context)
}

/// Every cluster of a manifest in another profile, as documents of one file.
fn translate(from: &Path, to: Profile, context: &Context) -> Result<String, Failure> {
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

fn az_lines(path: &Path) -> Result<Arc<Source>, Failure> {
    if path != Path::new("-") {
        return Ok(source::read(path)?);
    }
    // As much as a file may hold.
    const MOST: u64 = 64 << 20;
    let mut bytes = Vec::new();
    std::io::stdin()
        .take(MOST)
        .read_to_end(&mut bytes)
        .map_err(|it| Failure::error("file-unreadable", format!("cannot read stdin: {it}")))?;
    let text = String::from_utf8(bytes).map_err(|it| {
        let line = it.as_bytes()[..it.utf8_error().valid_up_to()].iter().filter(|it| **it == b'\n');
        let message = format!("line {} of standard input is not UTF-8 text", line.count() + 1);
        Diagnostic::error("not-utf8", message).with_help("save it as UTF-8 and try again")
    })?;
    Ok(Arc::new(Source { path: "<stdin>".into(), text }))
}

fn write(text: &str, args: &ImportArgs, context: &Context) -> Result<Exit, Failure> {
    match &args.out {
        None => context.out.result(text),
        Some(path) => std::fs::write(path, text).map_err(|it| {
            Failure::error("file-unwritable", format!("cannot write `{}`: {it}", path.display()))
        })?,
    }
    Ok(Exit::Done)
}
