//! Runs the built program in a folder of its own, with nothing of the caller's environment.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// How a run of the program ended, and what it wrote.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Exit code.
    pub(crate) code: i32,
    /// Standard output.
    pub(crate) out: String,
    /// Standard error.
    pub(crate) err: String,
}

/// A folder with the shipped manifests, in which the program runs.
pub(crate) struct Place {
    folder: TempDir,
    /// Variables that the program sees beside the few it always does.
    pub(crate) env: Vec<(String, String)>,
}

impl Place {
    /// A new folder with a copy of `manifests/`.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests");
        for part in ["", "tls"] {
            std::fs::create_dir_all(folder.path().join(part)).expect("a folder");
            for entry in std::fs::read_dir(shipped.join(part)).expect("the shipped manifests") {
                let path = entry.expect("an entry").path();
                if path.is_file() {
                    let name = path.file_name().expect("a name");
                    std::fs::copy(&path, folder.path().join(part).join(name)).expect("a copy");
                }
            }
        }
        Self { folder, env: Vec::new() }
    }

    /// A path in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs the program with these words.
    pub(crate) fn run<S: AsRef<str>>(&self, words: &[S]) -> Ran {
        let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
        let output = Command::new(env!("CARGO_BIN_EXE_amlplan"))
            .args(&words)
            .current_dir(self.folder.path())
            .env_clear()
            .env("HOME", self.folder.path())
            .env("NO_COLOR", "1")
            .env("COLUMNS", "100")
            .envs(self.env.iter().cloned())
            .stdin(Stdio::null())
            .output()
            .expect("the program starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ran {
            // A program that a signal ended has no code.
            code: output.status.code().unwrap_or(-1),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }
}
