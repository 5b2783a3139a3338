//! Broken manifests of every kind: the loader and the checks never panic and always end.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use amlplan::manifest::{LoadOptions, Secrets, load_lenient};
use amlplan::{check, render};
use jiff::Timestamp;

/// Mutated inputs of a run.
const INPUTS: usize = 2_000;
/// Far above what any of them needs, far below what a runaway would take.
const LIMIT: Duration = Duration::from_secs(20);

/// Things that parsers have stumbled over.
const TOKENS: [&str; 40] = [
    "[", "]", "{", "}", ":", "- ", "? ", "&a ", "*a", "<<: ", "|", ">", "\"", "'", "#", "\n", "\t",
    "  ", "---\n", "...\n", "%", "!!", "@", "`", "~", "null", "true", "1e999", "-", "\0", "\r",
    "\u{feff}", "\u{2028}", "${", "${A}", "$$", "=", "[[", "\"\"\"", "\\",
];

fn seeds() -> Vec<(PathBuf, Vec<u8>)> {
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

/// One to eight small accidents.
fn mutate(random: &mut fastrand::Rng, seeds: &[(PathBuf, Vec<u8>)], mut bytes: Vec<u8>) -> Vec<u8> {
    for _ in 0..random.usize(1..=8) {
        let at = random.usize(0..=bytes.len());
        let end = (at + random.usize(0..40)).min(bytes.len());
        match random.u8(0..7) {
            0 => drop(bytes.drain(at..end)),
            1 => {
                let part = bytes[at..end].to_vec();
                let times = random.usize(1..200);
                bytes.splice(at..at, part.repeat(times));
            }
            2 => {
                let token = TOKENS[random.usize(0..TOKENS.len())];
                let times = if random.u8(0..10) == 0 { 500 } else { 1 };
                bytes.splice(at..at, token.repeat(times).into_bytes());
            }
            3 => bytes.iter_mut().skip(at).take(1).for_each(|it| *it = random.u8(..)),
            4 => {
                let other = &seeds[random.usize(0..seeds.len())].1;
                let start = random.usize(0..=other.len());
                let stop = (start + random.usize(0..400)).min(other.len());
                bytes.splice(at..at, other[start..stop].to_vec());
            }
            5 => bytes.truncate(at),
            _ => {
                let part = bytes[at..end].to_vec();
                let to = random.usize(0..=bytes.len());
                bytes.splice(to..to, part);
            }
        }
        bytes.truncate(200_000);
    }
    bytes
}

fn run(file: &Path) {
    let options = LoadOptions { env: &|_| None, secrets: Secrets::Optional };
    let (manifest, mut findings) = load_lenient(&[file.to_owned()], &options);
    findings.extend(check::manifest(&manifest, Timestamp::UNIX_EPOCH));
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
        let start = Instant::now();
        let outcome = std::panic::catch_unwind(|| run(&file));
        let shown = String::from_utf8_lossy(&input);
        assert!(outcome.is_ok(), "input {number} made from {} panics:\n{shown}", path.display());
        assert!(
            start.elapsed() < LIMIT,
            "input {number} made from {} does not end:\n{shown}",
            path.display()
        );
    }
}
