//! Manifests of the project.

use std::path::{Path, PathBuf};

/// The manifests of a folder, relative to the project, sorted; tests run in its folder.
pub(crate) fn manifests(folder: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(Path::new(folder))
        .expect("the folder is part of the project")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|it| it == "yaml" || it == "toml"))
        .collect();
    assert!(found.len() > 30, "{folder}");
    found.sort();
    found
}
