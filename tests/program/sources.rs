//! What people have: every file of tests/fixtures/import becomes the manifest that lies beside it,
//! with the findings that stand below it, and loads.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use amlplan::text::{LoadOptions, Secrets, Source, az, has_errors, load_lenient};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/import")
}

/// Files and folders, but what is expected of them.
fn inputs() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder()).expect("a test fixture");
    let mut found: Vec<PathBuf> = entries.filter_map(|it| it.ok().map(|it| it.path())).collect();
    found.retain(|it| it.extension().is_none_or(|it| it != "expected"));
    found.sort();
    found
}

fn sources(path: &Path) -> Vec<Arc<Source>> {
    let mut files = vec![path.to_owned()];
    if path.is_dir() {
        let entries = std::fs::read_dir(path).expect("a test fixture");
        files = entries.filter_map(|it| it.ok().map(|it| it.path())).collect();
        files.sort();
    }
    let read = |it: &PathBuf| {
        let name = it.strip_prefix(folder()).expect("a test fixture").to_owned();
        Arc::new(Source { path: name, text: std::fs::read_to_string(it).expect("a test fixture") })
    };
    files.iter().map(read).collect()
}

/// The manifest and its findings, as they lie beside the input.
fn imported(path: &Path) -> (String, Option<String>) {
    let beside = |script: &Path, name: &str| {
        let name = name.trim_start_matches('@');
        std::fs::read_to_string(folder().join(script).with_file_name(name)).ok()
    };
    let options = az::ImportOptions { profile: None, files: &beside };
    let (text, findings) = match az::import(&sources(path), &options) {
        Ok(it) => (Some(it.text), it.findings),
        Err(findings) => (None, findings),
    };
    let mut out = text.clone().unwrap_or_default();
    for it in &findings {
        let at = it.labels.first().map_or_else(String::new, |it| {
            let (line, _) = it.place.line_column();
            format!("{}:{line}: ", it.place.source.path.display())
        });
        out.extend(["## ", &at, it.code, ": ", &it.message, "\n"]);
    }
    assert!(text.is_some() || has_errors(&findings), "{}: silence", path.display());
    (out, text)
}

#[test]
fn every_input_becomes_what_lies_beside_it_and_loads() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut wrong = Vec::new();
    let inputs = inputs();
    assert!(inputs.len() >= 100, "{}", inputs.len());
    for path in inputs {
        let (found, manifest) = imported(&path);
        let expected = path.with_file_name(format!(
            "{}.expected",
            path.file_name().expect("a test fixture").to_string_lossy()
        ));
        if update {
            std::fs::write(&expected, &found).expect("a test fixture");
        }
        let wanted = std::fs::read_to_string(&expected).unwrap_or_default();
        if wanted != found {
            wrong.push(format!("{}:\n{found}", path.display()));
        }
        let Some(manifest) = manifest else { continue };
        // A variable that the manifest reads shows in the findings too, not only in the manifest.
        let findings = found.replace(&manifest, "");
        let unset = loads(&manifest, &path);
        // SUBSCRIPTION_ID stands where nothing named one, which a finding says in its own words.
        let told = |it: &&String| findings.contains(*it) || *it == "SUBSCRIPTION_ID";
        let silent: Vec<&String> = unset.iter().filter(|it| !told(it)).collect();
        if !silent.is_empty() {
            wrong.push(format!("{}: {silent:?} without a finding", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Loads a manifest; the variables that it reads.
fn loads(manifest: &str, path: &Path) -> BTreeSet<String> {
    let folder = tempfile::tempdir().expect("a test fixture");
    let file = folder.path().join("cluster.yaml");
    std::fs::write(&file, manifest).expect("a test fixture");
    let read = std::cell::RefCell::new(BTreeSet::new());
    let env = |name: &str| {
        read.borrow_mut().insert(name.to_owned());
        Some(
            if name.contains("SUBSCRIPTION") {
                "00000000-0000-0000-0000-000000000001"
            } else {
                "x"
            }
            .to_owned(),
        )
    };
    let options = LoadOptions { env: &env, secrets: Secrets::Optional };
    let (_, findings) = load_lenient(&[file], &options);
    let wrong: Vec<_> = findings.iter().filter(|it| !it.code.starts_with("secret-")).collect();
    assert!(!has_errors(&findings), "{}\n{manifest}\n{wrong:#?}", path.display());
    read.into_inner()
}
