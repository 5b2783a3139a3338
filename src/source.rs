//! Files, places in them, and what we have to say about them.

mod written;

use std::collections::BTreeSet;
use std::io::Read as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use written::{append, create, may_write, write};

/// A text that a user wrote, with the name it is shown under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The path as the user gave it, or a name like `<stdin>`.
    pub path: PathBuf,
    /// The whole text.
    pub text: String,
}

/// A stretch of a source. Cheap to copy around: the text is shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub source: Arc<Source>,
    /// Byte range in its text.
    pub span: Range<usize>,
}

impl Place {
    /// Line and column of the start, both from one; columns count characters.
    #[must_use]
    pub fn line_column(&self) -> (usize, usize) {
        let start = self.span.start.min(self.source.text.len());
        let before = self.source.text.get(..start).unwrap_or(&self.source.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }

    /// The text at this place.
    #[must_use]
    pub fn text(&self) -> &str {
        self.source.text.get(self.span.clone()).unwrap_or_default()
    }
}

/// How bad a finding is. Only [`Severity::Error`] stops a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Advice,
    /// Probably not what was meant, or costly, or insecure.
    Warning,
    /// Cannot work.
    Error,
}

/// A remark at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Where.
    pub place: Place,
    /// What to write under the underlined text; may be empty.
    pub text: String,
}

/// One finding about what the user wrote: what is wrong, where, and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable code, which `amlplan explain` knows.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong: one lower-case sentence without a full stop.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
    /// Where; the first label is the main one.
    pub labels: Vec<Label>,
}

impl Diagnostic {
    /// An error.
    #[must_use]
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Error, message)
    }

    /// A warning.
    #[must_use]
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Warning, message)
    }

    /// A finding of any severity.
    #[must_use]
    pub fn new(code: &'static str, severity: Severity, message: impl Into<String>) -> Self {
        Self { code, severity, message: message.into(), help: None, labels: Vec::new() }
    }

    /// Says how to mend it.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Points at a place, where one is known.
    #[must_use]
    pub fn at(mut self, place: Option<Place>, text: impl Into<String>) -> Self {
        if let Some(place) = place {
            self.labels.push(Label { place, text: text.into() });
        }
        self
    }
}

/// Findings of one run, in the order of discovery.
pub type Diagnostics = Vec<Diagnostic>;

/// Whether any finding is an error.
#[must_use]
pub fn has_errors(findings: &[Diagnostic]) -> bool {
    findings.iter().any(|finding| finding.severity == Severity::Error)
}

/// Reads a file as UTF-8, naming the path in the error. Files over 64 MiB are refused: a manifest
/// of ten thousand clusters has about four.
///
/// # Errors
/// A finding with code `file-unreadable`, `file-too-large` or `not-utf8`.
pub fn read(path: &Path) -> Result<Arc<Source>, Diagnostic> {
    read_up_to(path, LARGEST)
}

/// Reads a file as [`read`] does, with another limit in bytes.
///
/// # Errors
/// As [`read`].
pub fn read_up_to(path: &Path, limit: u64) -> Result<Arc<Source>, Diagnostic> {
    let source =
        text(path, &path.display().to_string(), bounded(path, limit + 1, PATIENCE), limit)?;
    is_read(path);
    Ok(source)
}

/// Reads a file as [`read`] does which this run may replace: the report of an earlier one.
///
/// # Errors
/// As [`read`].
pub fn read_earlier(path: &Path) -> Result<Arc<Source>, Diagnostic> {
    text(path, &path.display().to_string(), bounded(path, LARGEST + 1, PATIENCE), LARGEST)
}

/// Reads standard input to its end, as [`read`] reads a file.
///
/// # Errors
/// As [`read`].
pub fn read_stdin() -> Result<Arc<Source>, Diagnostic> {
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().take(LARGEST + 1).read_to_end(&mut bytes);
    text(Path::new("<stdin>"), "standard input", read.map(|_| bytes), LARGEST)
}

/// Reads a small file as it is: a certificate, a key, a token. `limit` is in bytes.
///
/// # Errors
/// When it cannot be read, is longer, or is a pipe or device that stays silent.
pub fn read_bytes(path: &Path, limit: u64) -> std::io::Result<Vec<u8>> {
    let bytes = bounded(path, limit + 1, PATIENCE)?;
    if bytes.len() as u64 > limit {
        return Err(std::io::Error::other(format!("it has more than {limit} bytes")));
    }
    is_read(path);
    Ok(bytes)
}

/// The most that is read of a manifest or a script, in bytes.
const LARGEST: u64 = 64 << 20;

/// How long a pipe or device may stay silent.
const PATIENCE: Duration = Duration::from_secs(10);

/// What this run has read. A report that took the place of the manifest that it is about would
/// destroy the work of a person.
static INPUTS: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn is_read(path: &Path) {
    let whole = path.is_file().then(|| path.canonicalize().ok()).flatten();
    INPUTS.lock().unwrap_or_else(PoisonError::into_inner).extend(whole);
}

/// Refuses to write what this run has read.
fn not_read(path: &Path) -> std::io::Result<()> {
    let inputs = INPUTS.lock().unwrap_or_else(PoisonError::into_inner);
    match path.canonicalize().is_ok_and(|path| inputs.contains(&path)) {
        true => Err(std::io::Error::other("it is an input of this run; name another file")),
        false => Ok(()),
    }
}

/// Whether this process, or the machine, may open no more files.
pub(crate) fn no_files(why: &std::io::Error) -> bool {
    /// `ENFILE` and `EMFILE`.
    const NO_FILES: [i32; 2] = [23, 24];
    why.raw_os_error().is_some_and(|raw_os_error| NO_FILES.contains(&raw_os_error))
}

/// How to mend what the operating system refused: this process may have too few files, else
/// `otherwise`.
pub(crate) fn mend(why: &std::io::Error, otherwise: &str) -> String {
    if no_files(why) { "raise the limit of open files (ulimit -n)" } else { otherwise }.to_owned()
}

fn text(
    path: &Path,
    name: &str,
    read: std::io::Result<Vec<u8>>,
    limit: u64,
) -> Result<Arc<Source>, Diagnostic> {
    let bytes = read.map_err(|why| {
        Diagnostic::error("file-unreadable", format!("cannot read `{name}`: {why}"))
            .with_help(mend(&why, "check the path and its permissions"))
    })?;
    if bytes.len() as u64 > limit {
        let message = format!("`{name}` has more than the {limit} bytes that are allowed");
        return Err(Diagnostic::error("file-too-large", message)
            .with_help("split it into several files in one folder and name the folder"));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
        Diagnostic::error("not-utf8", format!("line {line} of `{name}` is not UTF-8 text"))
            .with_help("save the file as UTF-8")
    })?;
    Ok(Arc::new(Source { path: path.to_owned(), text }))
}

/// Reads up to `limit` bytes. A pipe or device may never end, nor even begin, so it gets that long.
fn bounded(path: &Path, limit: u64, patience: Duration) -> std::io::Result<Vec<u8>> {
    let is_file = std::fs::metadata(path)?.is_file();
    let path = path.to_owned();
    let read = move || {
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    match is_file {
        true => read(),
        false => within(patience, "nothing more came out of this pipe or device", read),
    }
}

/// Does what may block for ever, for so long.
fn within<T: Send + 'static>(
    patience: Duration,
    silence: &'static str,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(work()));
    receiver
        .recv_timeout(patience)
        .unwrap_or_else(|_| Err(std::io::Error::new(std::io::ErrorKind::TimedOut, silence)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn pipes_and_devices_are_read_within_bounds() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        assert_eq!(read(Path::new("/dev/zero")).unwrap_err().code, "file-too-large");
        assert!(read(Path::new("/dev/null")).unwrap().text.is_empty());
        let silent = bounded(&pipe, 1, Duration::from_millis(50)).unwrap_err();
        assert!(silent.to_string().contains("nothing more came out"), "{silent}");
    }

    #[test]
    fn places_count_lines_and_characters_from_one() {
        let source = Arc::new(Source { path: "x".into(), text: "a\nпäx".into() });
        let place = Place { span: 6..7, source };
        assert_eq!((place.line_column(), place.text()), ((2, 3), "x"));
    }
}
