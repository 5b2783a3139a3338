//! What a stranger's file goes through, as functions of its bytes: none of them panics, and each
//! ends. Coverage-guided they are called from `tests/fuzz`; the tests below give them a fixed
//! number of inputs made from seeds, so that each run has the same.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use tempfile::TempDir;

use crate::convert::az;
use crate::language::{self, LoadOptions, Secrets, rules};
use crate::model::Trust;
use crate::plan::file;
use crate::render;
use crate::source::{Diagnostics, Source};

/// A file of this name with these bytes, in a folder that goes with it.
fn written(name: &str, input: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join(name);
    std::fs::write(&path, input).expect("a temporary file");
    (folder, path)
}

fn load(name: &str, input: &[u8]) -> Diagnostics {
    let (_folder, path) = written(name, input);
    let options = LoadOptions { env: &|_| None, secrets: Secrets::Optional };
    let (manifest, mut findings) = language::load_lenient(&[path], &options);
    findings.extend(rules::check(&manifest, Timestamp::UNIX_EPOCH, &Trust::default()));
    let report = render::diagnostics::report(&findings, false, 100);
    assert_eq!(report.is_empty(), findings.is_empty(), "every finding is shown");
    findings
}

/// Loads and checks a manifest in YAML, and shows what was found.
pub fn manifest(input: &[u8]) {
    load("input.yaml", input);
}

/// Loads and checks a manifest in TOML, and shows what was found.
pub fn manifest_toml(input: &[u8]) {
    load("input.toml", input);
}

/// Imports command lines of az; what is written of them is YAML.
pub fn az_lines(input: &[u8]) {
    let text = String::from_utf8_lossy(input).into_owned();
    let source = Arc::new(Source { path: "lines.az".into(), text });
    match az::import(&[source], &az::ImportOptions { profile: None, files: &|_, _| None }) {
        Err(findings) => {
            assert!(!findings.is_empty(), "a refusal says why");
            let _ = render::diagnostics::report(&findings, false, 100);
        }
        Ok(imported) => {
            let _ = render::diagnostics::report(&imported.findings, false, 100);
            let findings = load("input.yaml", imported.text.as_bytes());
            let syntax = findings.iter().find(|finding| finding.code.starts_with("yaml-"));
            assert!(syntax.is_none(), "{syntax:?}\n{}", imported.text);
        }
    }
}

/// Reads a saved plan.
pub fn saved_plan(input: &[u8]) {
    let (_folder, path) = written("input.plan", input);
    let _ = file::read(&path, &render::json::plan);
}

#[cfg(test)]
#[path = "../../tests/fuzz/mutate.rs"]
mod mutate;

#[cfg(test)]
#[path = "../../tests/common/edits.rs"]
mod edits;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::edits::{EDITS, edit, leaves};
    use super::mutate::{Seed, mutate};
    use super::*;
    use crate::convert::as_az;
    use crate::plan::{Mode, PlanInput};
    use crate::resource::{Snapshot, graph};

    fn files(folders: &[&str], extensions: &[&str]) -> Vec<Seed> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut paths: Vec<PathBuf> = folders
            .iter()
            .flat_map(|folder| std::fs::read_dir(root.join(folder)).expect("a folder of seeds"))
            .map(|flat_map| flat_map.expect("an entry").path())
            .filter(|path| path.extension().is_some_and(|it| extensions.iter().any(|e| it == *e)))
            .collect();
        paths.sort();
        paths.into_iter().map(|path| (path.clone(), std::fs::read(path).expect("a seed"))).collect()
    }

    /// Gives a target all seeds, and then that many inputs made of them.
    fn feed(target: fn(&[u8]), seeds: &[Seed], inputs: usize, dice: u64) {
        let mut random = fastrand::Rng::with_seed(dice);
        let made = (0..inputs).map(|_| {
            let (path, seed) = &seeds[random.usize(0..seeds.len())];
            (path, mutate(&mut random, seeds, seed.clone()))
        });
        let given = seeds.iter().map(|(path, seed)| (path, seed.clone()));
        for (number, (path, input)) in given.chain(made.collect::<Vec<_>>()).enumerate() {
            let outcome = std::panic::catch_unwind(|| target(&input));
            let shown = String::from_utf8_lossy(&input);
            assert!(outcome.is_ok(), "input {number} made from {} fails:\n{shown}", path.display());
        }
    }

    #[test]
    fn no_broken_manifest_breaks_the_loader() {
        let folders = ["tests/corpus", "manifests", "manifests/invalid"];
        let yaml = files(&folders, &["yaml"]);
        assert!(yaml.len() > 100);
        feed(manifest, &yaml, 1_500, 20_211_123);
        feed(manifest_toml, &files(&folders, &["toml"]), 500, 20_211_125);
    }

    /// The article's lines, and the commands of every shipped manifest.
    #[test]
    fn no_broken_command_line_breaks_its_reader() {
        let mut seeds = files(&["tests/fixtures"], &["az"]);
        for (path, _) in files(&["manifests"], &["yaml"]) {
            let options = LoadOptions { env: &|_| None, secrets: Secrets::Optional };
            let (manifest, _) = language::load_lenient(std::slice::from_ref(&path), &options);
            seeds.push((path, as_az::anew(&manifest).unwrap_or_default().into_bytes()));
        }
        assert!(seeds.len() > 30);
        feed(az_lines, &seeds, 3_000, 20_211_124);
    }

    /// What passes its digest is walked by tests/attack.
    #[test]
    fn no_broken_plan_breaks_its_reader() {
        let text = r#"{"format_version": "1.2", "amlplan": {"digest": "0", "saved": {"version": 2,
            "tool": "0.1.0", "surroundings": {"made": "", "sandbox": true}, "mode": "apply",
            "desired": {"nodes": {}, "scopes": {}}, "live": {}, "remarks": []}}}"#;
        feed(saved_plan, &[("a plan".into(), text.into())], 500, 20_211_126);
    }

    /// The whole file is walked; tests/attack makes a part of these edits through the program.
    #[test]
    fn every_edit_of_every_leaf_of_a_plan_is_refused() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let options = LoadOptions { env: &|_| None, secrets: Secrets::Optional };
        let manifest = root.join("manifests/training.ga.yaml");
        let (manifest, _) = language::load_lenient(&[manifest], &options);
        let desired = graph::build(&manifest).expect("resources");
        let input = PlanInput { desired: &desired, live: &Snapshot::default(), mode: Mode::Apply };
        let surroundings = file::Surroundings {
            made: Timestamp::UNIX_EPOCH.to_string(),
            sandbox: true,
            tenant: Some("t".to_owned()),
            principal: None,
        };
        let (_folder, path) = written("a.plan", b"");
        let saved = file::Saved::new(&input, &[], surroundings);
        file::write(&path, &saved, &render::json::plan).expect("a plan");
        assert!(file::read(&path, &render::json::plan).is_ok());
        let text = std::fs::read_to_string(&path).expect("a plan");
        let document = serde_json::from_str(&text).expect("JSON");
        let mut all = Vec::new();
        leaves(&document, "", &mut all);
        assert!(all.len() > 200, "{} leaves", all.len());
        println!("{} edits of {} leaves", all.len() * EDITS.len(), all.len());
        for at in &all {
            for how in EDITS {
                let edited = serde_json::to_string_pretty(&edit(&document, at, how));
                std::fs::write(&path, edited.expect("JSON") + "\n").expect("an edited plan");
                let refused = file::read(&path, &render::json::plan);
                let code = refused.err().map_or("accepted", |finding| finding.code);
                assert!(code.starts_with("plan-"), "{how} of {at}: {code}");
            }
        }
    }
}
