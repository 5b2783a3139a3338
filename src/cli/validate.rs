//! `amlplan validate`: checks manifests without asking anybody.

use super::args::Files;
use super::context::{env, now};
use super::exit::{CommandFailure, Exit, Streams};
use super::shared::Global;
use crate::language::{self, LoadOptions, Secrets};
use crate::resource::graph;
use crate::source::{Diagnostic, Severity, has_errors};

pub(super) fn run(args: &Files, global: &Global, out: &Streams) -> Result<Exit, CommandFailure> {
    let options = LoadOptions { env: &env, secrets: Secrets::Optional };
    let (mut manifest, mut findings) = language::load_lenient(&args.files, &options);
    if !has_errors(&findings) {
        args.select.narrow(&mut manifest)?;
    }
    findings.extend(crate::language::rules::check(&manifest, now(), &global.trust()));
    if !has_errors(&findings) {
        findings.extend(graph::build(&manifest).err().unwrap_or_default());
    }
    out.findings(&findings);
    if has_errors(&findings) {
        return Ok(Exit::Error);
    }
    let clusters = manifest.clusters.len();
    let noun = if clusters == 1 { "cluster" } else { "clusters" };
    let warning = |finding: &&Diagnostic| finding.severity == Severity::Warning;
    let warnings = match findings.iter().filter(warning).count() {
        0 => "no warnings".to_owned(),
        1 => "1 warning".to_owned(),
        many => format!("{many} warnings"),
    };
    out.result(&format!("Valid: {clusters} {noun}, {warnings}."));
    Ok(Exit::Done)
}
