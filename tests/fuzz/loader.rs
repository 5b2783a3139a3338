//! The loader and the checks never panic and always end.

use std::path::{Path, PathBuf};

use amlplan::language::rules;
use amlplan::language::{LoadOptions, Secrets, load_lenient};
use amlplan::model::Trust;
use amlplan::render;
use jiff::Timestamp;

use super::mutate::{Seed, mutate};

/// Mutated inputs of a run.
const INPUTS: usize = 2_000;

fn seeds() -> Vec<Seed> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths: Vec<PathBuf> = ["tests/corpus", "manifests", "manifests/invalid"]
        .iter()
        .filter_map(|it| std::fs::read_dir(root.join(it)).ok())
        .flat_map(|it| it.filter_map(|it| it.ok().map(|it| it.path())))
        .filter(|it| it.extension().is_some_and(|it| it == "yaml" || it == "toml"))
        .collect();
    paths.sort();
    paths.into_iter().filter_map(|it| Some((it.clone(), std::fs::read(&it).ok()?))).collect()
}

fn run(file: &Path) {
    let options = LoadOptions { env: &|_| None, secrets: Secrets::Optional };
    let (manifest, mut findings) = load_lenient(&[file.to_owned()], &options);
    findings.extend(rules::check(&manifest, Timestamp::UNIX_EPOCH, &Trust::default()));
    let report = render::diagnostics::report(&findings, false, 100);
    assert_eq!(report.is_empty(), findings.is_empty());
}

#[test]
fn no_broken_manifest_breaks_the_loader() {
    let seeds = seeds();
    assert!(seeds.len() > 100);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut random = fastrand::Rng::with_seed(20_211_123);
    for (path, _) in &seeds {
        run(path);
    }
    for number in 0..INPUTS {
        let (path, seed) = &seeds[random.usize(0..seeds.len())];
        let input = mutate(&mut random, &seeds, seed.clone());
        let extension = path.extension().unwrap_or_default();
        let file = folder.path().join("input").with_extension(extension);
        std::fs::write(&file, &input).expect("a temporary file");
        let outcome = std::panic::catch_unwind(|| run(&file));
        let shown = String::from_utf8_lossy(&input);
        assert!(outcome.is_ok(), "input {number} made from {} panics:\n{shown}", path.display());
    }
}
