//! What tests of the program share.

use std::path::PathBuf;
use std::process::{Command, Output};

/// Runs the program.
pub(crate) fn amlplan(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amlplan"));
    command.args(arguments).env("NO_COLOR", "1").output().expect("the program starts")
}

/// What a program wrote.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The shipped manifests.
pub(crate) fn manifests() -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("manifests");
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("a test fixture")
        .map(|it| it.expect("a test fixture").path())
        .filter(|it| it.extension().is_some_and(|it| it == "yaml" || it == "toml"))
        .collect();
    found.sort();
    assert!(found.len() > 30);
    found
}
