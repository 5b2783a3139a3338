//! Text → [`Manifest`]: what the user declared, with the place of every part.
//!
//! ```text
//! file ─ yaml │ toml ─► Node (values with places) ─ fleet (defaults) ─ de ─► Cluster ─ secrets ─► Declared
//! ```

mod de;
mod drift;
mod env;
mod fleet;
mod gap;
mod hole;
mod mask;
mod node;
mod parts;
mod principal;
mod rollout;
pub mod rules;
mod schema;
mod secrets;
mod setting;
mod shapes;
mod spec;
pub mod suggest;
mod toml;
mod unique;
mod write;
mod yaml;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::source::{self, Diagnostic, Diagnostics, Place};

pub use drift::{Drift, DriftClass, DriftIgnore, path_tokens};
pub use node::{Data, Node};
pub use parts::*;
pub use principal::{NoPrincipal, PrincipalRef};
pub use rollout::{Rollout, Stage, duration};
pub use schema::schema;
pub use secrets::{PEM_SETTINGS, Secrets, reread};
pub use spec::*;
pub use write::{Dollars, to_fleet, to_yaml};

/// What the loader needs from its caller.
#[derive(Clone, Copy)]
pub struct LoadOptions<'a> {
    /// The environment, for `${VAR}` and `fromEnv`.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// Whether missing secrets stop the command.
    pub secrets: Secrets,
}

/// What was loaded without an error.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The clusters.
    pub manifest: Manifest,
    /// What the loader thinks of them; no errors.
    pub warnings: Diagnostics,
}

/// Loads manifests: files, and folders with all their `*.yaml`, `*.yml` and `*.toml`. Without
/// paths, `cluster.yaml`, `cluster.yml` or `cluster.toml` of the current folder.
///
/// # Errors
/// All findings of the run, warnings included, when one of them is an error.
pub fn load(paths: &[PathBuf], options: &LoadOptions<'_>) -> Result<Loaded, Diagnostics> {
    let (manifest, findings) = load_lenient(paths, options);
    if source::has_errors(&findings) {
        Err(findings)
    } else {
        Ok(Loaded { manifest, warnings: findings })
    }
}

/// Like [`load`], but also returns the clusters that could be read beside the ones that could not,
/// so that `validate` can check them in the same run.
#[must_use]
pub fn load_lenient(paths: &[PathBuf], options: &LoadOptions<'_>) -> (Manifest, Diagnostics) {
    let mut run = fleet::Loading {
        secrets: secrets::SecretReader {
            env: options.env,
            mode: options.secrets,
            files: HashMap::new(),
        },
        reported: RefCell::default(),
        manifest: Manifest::default(),
        findings: Diagnostics::new(),
    };
    let mut findings = Diagnostics::new();
    for file in files(paths, &mut findings) {
        match documents(&file, options.env, &mut run.findings) {
            Err(finding) => run.findings.push(finding),
            Ok(trees) => {
                let some = |(_, node): &(usize, &Arc<Node>)| !node.is_null();
                for (index, tree) in trees.iter().enumerate().filter(some) {
                    fleet::ManifestDocument { file: &file, index, tree }.clusters(&mut run);
                }
            }
        }
    }
    findings.append(&mut run.findings);
    let doubtful = &run.manifest.doubtful;
    let declared = run.manifest.clusters.iter().chain(doubtful.iter().map(|it| &it.declared));
    let mut claims = Diagnostics::new();
    unique::check(declared, &mut claims);
    claims.retain(|finding| doubtful.iter().all(|it| it.is_sound(finding)));
    findings.append(&mut claims);
    distinct(&mut findings);
    shorten(&mut findings);
    (run.manifest, findings)
}

/// The documents of a file. Mistakes inside it go to `findings`.
fn documents(
    file: &Path,
    env: &dyn Fn(&str) -> Option<String>,
    findings: &mut Diagnostics,
) -> Result<Vec<Arc<Node>>, Diagnostic> {
    let source = source::read(file)?;
    let before = findings.len();
    let mut builder = node::TreeBuilder { source: &source, env, findings, reported: 0 };
    let trees = if file.extension().is_some_and(|extension| extension == "toml") {
        toml::parse(&mut builder).into_iter().collect()
    } else {
        yaml::parse(&mut builder)
    };
    let empty = trees.iter().all(|node| {
        node.is_null() || matches!(&node.data, Data::Map(entries) if entries.is_empty())
    });
    if empty && findings.len() == before {
        let place = Place { source: Arc::clone(&source), span: 0..0 };
        return Err(Diagnostic::error(
            "empty-manifest",
            format!("`{}` holds no manifest", file.display()),
        )
        .with_help("write one, or let `amlplan init` write it")
        .at(Some(place), "nothing here"));
    }
    let broken = findings.len() > before;
    Ok(mask::hide(&source, trees, &mut findings[before..], broken))
}

/// A default that is wrong is wrong once, not once for every cluster.
fn distinct(findings: &mut Diagnostics) {
    let mut seen = HashSet::new();
    findings.retain(|finding| {
        let place = finding
            .labels
            .first()
            .map(|label| (Arc::as_ptr(&label.place.source).addr(), label.place.span.clone()));
        place.is_none() || seen.insert((finding.code, finding.message.clone(), place))
    });
}

/// Who has made thousands of mistakes has made one, many times.
fn shorten(findings: &mut Diagnostics) {
    const MOST: usize = 1_000;
    if findings.len() <= MOST {
        return;
    }
    let (all, errors) = (findings.len(), source::has_errors(&findings[MOST..]));
    findings.truncate(MOST);
    if errors {
        let message = format!("there are {all} findings; the rest is not shown");
        findings.push(
            Diagnostic::error("too-many-mistakes", message)
                .with_help("mend the first ones; perhaps a default of the fleet mends them all"),
        );
    }
}

const EXTENSIONS: [&str; 3] = ["yaml", "yml", "toml"];

/// The files that `paths` stand for, each once.
fn files(paths: &[PathBuf], findings: &mut Diagnostics) -> Vec<PathBuf> {
    if paths.is_empty() {
        return default_file(findings).into_iter().collect();
    }
    let mut files: Vec<PathBuf> = Vec::new();
    for path in paths {
        let found = if path.is_dir() { folder(path) } else { Ok(vec![path.clone()]) };
        match found {
            Ok(found) => {
                let new: Vec<_> = found.into_iter().filter(|path| !files.contains(path)).collect();
                files.extend(new);
            }
            Err(finding) => findings.push(finding),
        }
    }
    files
}

fn default_file(findings: &mut Diagnostics) -> Option<PathBuf> {
    let found: Vec<PathBuf> = EXTENSIONS
        .iter()
        .map(|text| PathBuf::from(format!("cluster.{text}")))
        .filter(|path| path.exists())
        .collect();
    let finding = match found.as_slice() {
        [one] => return Some(one.clone()),
        [] => Diagnostic::error(
            "no-manifest",
            "no manifest is named and this folder has no cluster.yaml, cluster.yml or cluster.toml",
        )
        .with_help("name a file or a folder, or write one with `amlplan init --scenario NAME`"),
        several => {
            let names =
                several.iter().map(|it| it.display().to_string()).collect::<Vec<_>>().join(" and ");
            Diagnostic::error(
                "no-manifest",
                format!("no manifest is named and this folder has {names}"),
            )
            .with_help("name the one you mean")
        }
    };
    findings.push(finding);
    None
}

fn folder(path: &Path) -> Result<Vec<PathBuf>, Diagnostic> {
    let unreadable = |why: std::io::Error| {
        Diagnostic::error(
            "file-unreadable",
            format!("cannot read the folder `{}`: {why}", path.display()),
        )
        .with_help("check the path and its permissions")
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        let hidden = file.file_name().is_some_and(|it| it.to_string_lossy().starts_with('.'));
        let known = file.extension().is_some_and(|it| EXTENSIONS.iter().any(|known| it == *known));
        if known && !hidden && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(Diagnostic::error(
            "no-manifest",
            format!("the folder `{}` has no *.yaml, *.yml or *.toml", path.display()),
        )
        .with_help("name a folder that has manifests; folders inside it are not searched"));
    }
    Ok(files)
}

#[cfg(test)]
mod tests;
