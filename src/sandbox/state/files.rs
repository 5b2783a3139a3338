//! Files that only their owner may read: the state, the key of the server, the kubeconfigs.
//!
//! A file is written beside its place, synced, and takes its name in one step; whatever the umask says it is 0600, and
//! no link is followed. A failure leaves the old file and nothing beside it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The folder that is ours by its name: one that is there already is closed to others too.
const OURS: &str = ".amlplan";

/// Refuses what is not a regular file: a link would lead the writer elsewhere, a pipe would never answer.
///
/// # Errors
/// What is there is no regular file, or cannot be looked at. That nothing is there is no error.
pub(crate) fn check_regular(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_file() => Ok(()),
        Ok(found) => {
            let what = if found.is_symlink() { "a link" } else { "no regular file" };
            Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("it is {what}; name another file"),
            ))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Makes the folder of a file, 0700.
///
/// # Errors
/// It cannot be made, or is a link.
pub(crate) fn private_folder_of(path: &Path) -> io::Result<()> {
    let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) else {
        return Ok(());
    };
    match fs::symlink_metadata(folder) {
        Ok(found) if found.is_symlink() && is_ours(folder) => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{} is a link; make it a folder", folder.display()),
        )),
        Ok(_) if is_ours(folder) => close(folder, 0o700),
        Ok(_) => Ok(()),
        Err(_) => {
            if let Some(above) = folder.parent().filter(|above| !above.as_os_str().is_empty()) {
                fs::create_dir_all(above)?;
            }
            match fs::create_dir(folder) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
                Ok(()) | Err(_) => close(folder, 0o700),
            }
        }
    }
}

fn is_ours(folder: &Path) -> bool {
    folder.file_name().is_some_and(|name| name == OURS)
}

#[cfg(unix)]
fn close(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    if fs::metadata(path)?.permissions().mode() & 0o777 == mode {
        return Ok(());
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn close(_path: &Path, _mode: u32) -> io::Result<()> {
    Ok(())
}

/// A new file that only its owner may read and write.
///
/// # Errors
/// It is there already, or cannot be made.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    close(path, 0o600)?;
    Ok(file)
}

/// Opens a file that is there to write on; a link is refused.
///
/// # Errors
/// It is not there, no regular file, or may not be written.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    check_regular(path)?;
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    if is_at(&file, path) {
        return Ok(file);
    }
    Err(io::Error::new(io::ErrorKind::ResourceBusy, "it was replaced while it was opened"))
}

/// Whether an open file is still what its name leads to.
pub(crate) fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(open), Ok(named)) = (file.metadata(), fs::symlink_metadata(path)) else { return false };
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        (open.dev(), open.ino()) == (named.dev(), named.ino())
    }
    #[cfg(not(unix))]
    {
        open.is_file() && named.is_file()
    }
}

/// Writes a whole file in one step, in a folder that is made when it is missing.
///
/// # Errors
/// The place is no regular file, or cannot be written; what was there stays.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    private_folder_of(path)?;
    check_regular(path)?;
    let beside = beside(path);
    // Left by a run that was killed.
    let _ = fs::remove_file(&beside);
    let written = create(&beside).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    });
    if written.is_err() {
        let _ = fs::remove_file(&beside);
        return written;
    }
    sync_folder(path);
    Ok(())
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    PathBuf::from(name)
}

/// Removes what a killed writer may have left beside a file.
pub(crate) fn tidy(path: &Path) {
    let _ = fs::remove_file(beside(path));
}

/// Makes a rename last; where a folder cannot be synced, the file system does it itself.
fn sync_folder(path: &Path) {
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}
