//! Writing files: one way for everything that amlplan leaves on a disk. Plans, reports and
//! evidence hold ids and settings, kubeconfigs hold tokens; all are for their owner alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::Diagnostic;

/// Replaces a file, or makes it: whole or not at all, on the disk when this returns, mode 0600
/// whatever the umask is. Folders that are missing are made with mode 0700. No link is followed: a
/// link in the file's place is an error. A device or a pipe (`/dev/stdout`) is written to.
///
/// # Errors
/// A finding with code `file-unwritable` that names the path.
pub fn write(path: &Path, text: &str) -> Result<(), Diagnostic> {
    place(path, text, true).map_err(|why| unwritable(path, &why))
}

/// Makes a file as [`write()`] does, and never replaces what is there.
///
/// # Errors
/// A finding with code `file-unwritable` that names the path.
pub fn create(path: &Path, text: &str) -> Result<(), Diagnostic> {
    place(path, text, false).map_err(|why| unwritable(path, &why))
}

/// Adds to a file that several programs write to: the job summary of a CI runner. A new one is its
/// owner's alone, and no link is followed here either.
///
/// # Errors
/// A finding with code `file-unwritable` that names the path.
pub fn append(path: &Path, text: &str) -> Result<(), Diagnostic> {
    let added = || {
        no_link(path)?;
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(path)?.write_all(text.as_bytes())
    };
    added().map_err(|why| unwritable(path, &why))
}

fn unwritable(path: &Path, why: &io::Error) -> Diagnostic {
    Diagnostic::error("file-unwritable", format!("cannot write `{}`: {why}", path.display()))
        .with_help("check the path, its permissions and the room on the disk")
}

fn no_link(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path).is_ok_and(|it| it.is_symlink()) {
        true => Err(io::Error::other("it is a link, which is not followed")),
        false => Ok(()),
    }
}

fn place(path: &Path, text: &str, replace: bool) -> io::Result<()> {
    let bytes = text.as_bytes();
    if is_stream(path) {
        let mut file = OpenOptions::new().append(true).open(path)?;
        file.write_all(bytes)?;
        return file.flush();
    }
    no_link(path)?;
    let folder = match path.parent() {
        Some(path) if !path.as_os_str().is_empty() => path.to_owned(),
        _ => PathBuf::from("."),
    };
    make_folder(&folder)?;
    // Mode 0600; gone again when anything below fails.
    let mut file = tempfile::Builder::new().prefix(".amlplan-").tempfile_in(&folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    match replace {
        true => file.persist(path),
        false => file.persist_noclobber(path),
    }
    .map_err(|it| it.error)?;
    // The name, too, is on the disk only when the folder is; not every system can sync one.
    let _ = File::open(&folder).and_then(|it| it.sync_all());
    Ok(())
}

/// Whether something is there that cannot be replaced, only written to.
fn is_stream(path: &Path) -> bool {
    path.starts_with("/dev")
        || fs::metadata(path).is_ok_and(|it| !it.is_file() && !it.is_dir() && !it.is_symlink())
}

#[cfg(unix)]
fn make_folder(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(not(unix))]
fn make_folder(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("a file").permissions().mode() & 0o777
    }

    #[test]
    fn what_is_written_is_its_owners_alone_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().expect("a file");
        let path = folder.path().join("deep/down/plan");
        write(&path, "one").expect("a file");
        // What was open to all before is not afterwards.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("a file");
        write(&path, "two").expect("a file");
        assert_eq!(fs::read_to_string(&path).expect("a file"), "two");
        assert_eq!((mode(&path), mode(path.parent().expect("a file"))), (0o600, 0o700));
        assert_eq!(fs::read_dir(path.parent().expect("a file")).expect("a file").count(), 1);
    }

    #[test]
    fn no_link_is_followed() {
        let folder = tempfile::tempdir().expect("a file");
        let at = |name: &str| folder.path().join(name);
        fs::write(at("victim"), "mine").expect("a file");
        for (link, target) in [("link", "victim"), ("dangling", "nothing")] {
            symlink(at(target), at(link)).expect("a file");
            for way in [write, create, append] {
                let finding = way(&at(link), "theirs").unwrap_err();
                assert!(finding.message.contains("it is a link"), "{}", finding.message);
            }
        }
        assert_eq!(fs::read_to_string(at("victim")).expect("a file"), "mine");
        assert!(!at("nothing").exists());
    }

    #[test]
    fn what_is_there_is_not_made_anew_and_is_added_to() {
        let folder = tempfile::tempdir().expect("a file");
        let path = folder.path().join("summary");
        append(&path, "one").expect("a file");
        append(&path, " two").expect("a file");
        assert_eq!(create(&path, "three").unwrap_err().code, "file-unwritable");
        assert_eq!(fs::read_to_string(&path).expect("a file"), "one two");
        assert_eq!((mode(&path), fs::read_dir(folder.path()).expect("a file").count()), (0o600, 1));
    }

    #[test]
    fn what_cannot_be_written_is_said_and_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a file");
        fs::create_dir(folder.path().join("taken")).expect("a file");
        for path in
            [Path::new("/dev/full"), Path::new("/proc/none/x"), &folder.path().join("taken")]
        {
            assert_eq!(write(path, "x").unwrap_err().code, "file-unwritable", "{}", path.display());
        }
        assert_eq!(fs::read_dir(folder.path()).expect("a file").count(), 1);
    }
}
