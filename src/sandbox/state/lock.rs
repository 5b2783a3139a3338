//! One writer at a time: a file beside the state that is locked while somebody may write, and says who that is.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::files;
use crate::error::SandboxError;

/// Who holds a state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Holder {
    pub(crate) pid: u32,
    /// Where a server listens for clients.
    pub(crate) url: Option<String>,
    /// Where a server takes changes by hand, on this machine, and the word that proves they are the owner's.
    pub(crate) control: Option<(std::net::SocketAddr, String)>,
}

/// The right to write a state; it ends with the value.
#[derive(Debug)]
pub(crate) struct Lock {
    path: PathBuf,
    file: File,
}

fn beside(state: &Path) -> PathBuf {
    let mut name = state.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

impl Lock {
    /// Takes the lock of a state, waiting at most so long.
    ///
    /// # Errors
    /// Another program holds it, or the file beside the state cannot be written.
    pub(crate) fn take(state: &Path, patience: Duration) -> Result<Lock, SandboxError> {
        let path = beside(state);
        let failed = |source| SandboxError::Write { path: path.clone(), source };
        files::private_folder_of(state).map_err(failed)?;
        let begun = Instant::now();
        loop {
            let file = match files::create(&path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => files::open(&path),
                other => other,
            };
            match file {
                Ok(file) if file.try_lock().is_ok() => {
                    // Whoever held it before may have removed the file that we locked.
                    if files::is_at(&file, &path) {
                        let lock = Lock { path, file };
                        lock.say(&Holder { pid: std::process::id(), ..Holder::default() });
                        return Ok(lock);
                    }
                }
                Ok(_) => {
                    let holder = holder(&path);
                    let is_served = holder.control.is_some();
                    if is_served || begun.elapsed() >= patience {
                        let state = state.to_owned();
                        return Err(SandboxError::InUse {
                            path: state,
                            pid: holder.pid,
                            url: holder.url,
                        });
                    }
                    pause();
                }
                Err(error) if begun.elapsed() >= patience || !passes(&error) => {
                    return Err(failed(error));
                }
                Err(_) => pause(),
            }
        }
    }

    /// Writes down who holds it.
    pub(crate) fn say(&self, holder: &Holder) {
        let mut file = &self.file;
        let text = serde_json::to_vec(holder).unwrap_or_default();
        // Only a hint for others: the lock itself holds without it.
        let _ = file
            .set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| file.write_all(&text));
    }

    /// The server that holds a state, if one does.
    pub(crate) fn server_of(state: &Path) -> Option<(std::net::SocketAddr, String)> {
        let path = beside(state);
        let file = files::open(&path).ok()?;
        if file.try_lock().is_ok() {
            return None;
        }
        holder(&path).control
    }
}

/// Whether it is a holder that just left: its file went while it was opened, or is still going (Windows).
fn passes(error: &io::Error) -> bool {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::ResourceBusy => true,
        ErrorKind::PermissionDenied => cfg!(windows),
        _ => false,
    }
}

/// Waits a little of the machine's time: another process lives in that, not in the simulated one.
fn pause() {
    std::thread::park_timeout(Duration::from_millis(20));
}

fn holder(path: &Path) -> Holder {
    let mut text = String::new();
    let read = File::open(path).and_then(|mut file| file.read_to_string(&mut text));
    read.ok().and_then(|_| serde_json::from_str(&text).ok()).unwrap_or_default()
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
