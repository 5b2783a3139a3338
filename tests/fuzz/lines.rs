//! The reader of `az` lines never panics, always ends, and what it writes can be read again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use amlplan::convert::{as_az, az};
use amlplan::language::{self, LoadOptions, Secrets};
use amlplan::render;
use amlplan::source::Source;

use super::mutate::{Seed, mutate};

const INPUTS: usize = 3_000;

/// The article's lines, and the commands of every shipped manifest.
fn seeds() -> Vec<Seed> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let article = root.join("tests/fixtures/article.az");
    let mut seeds = vec![(article.clone(), std::fs::read(article).expect("a test fixture"))];
    let mut paths: Vec<PathBuf> = std::fs::read_dir(root.join("manifests"))
        .expect("a test fixture")
        .filter_map(|it| it.ok().map(|it| it.path()))
        .filter(|it| it.extension().is_some_and(|it| it == "yaml"))
        .collect();
    paths.sort();
    for path in paths {
        let options = LoadOptions { env: &|_| None, secrets: Secrets::Optional };
        let (manifest, _) = language::load_lenient(std::slice::from_ref(&path), &options);
        seeds.push((path, as_az::commands(&manifest).into_bytes()));
    }
    seeds
}

fn run(input: &[u8], folder: &Path) {
    let text = String::from_utf8_lossy(input).into_owned();
    let source = Arc::new(Source { path: "lines.az".into(), text });
    match az::import(&[source], &az::Options { profile: None, files: &|_, _| None }) {
        Err(findings) => {
            assert!(!findings.is_empty(), "a refusal says why");
            let _ = render::diagnostics::report(&findings, false, 100);
        }
        Ok(imported) => {
            let _ = render::diagnostics::report(&imported.findings, false, 100);
            let file = folder.join("imported.yaml");
            std::fs::write(&file, &imported.text).expect("a temporary file");
            let options = LoadOptions { env: &|_| None, secrets: Secrets::Optional };
            let (_, findings) = language::load_lenient(&[file], &options);
            let syntax = findings.iter().find(|it| it.code.starts_with("yaml-"));
            assert!(syntax.is_none(), "{syntax:?}\n{}", imported.text);
        }
    }
}

#[test]
fn no_broken_command_line_breaks_its_reader() {
    let seeds = seeds();
    assert!(seeds.len() > 30);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut random = fastrand::Rng::with_seed(20_211_124);
    for number in 0..INPUTS {
        let (path, seed) = &seeds[random.usize(0..seeds.len())];
        let input = mutate(&mut random, &seeds, seed.clone());
        let outcome = std::panic::catch_unwind(|| run(&input, folder.path()));
        let shown = String::from_utf8_lossy(&input);
        assert!(outcome.is_ok(), "input {number} made from {} fails:\n{shown}", path.display());
    }
}
