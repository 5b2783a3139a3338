//! Writing files: one way for everything that amlplan leaves on a disk. Plans, reports and
//! evidence hold ids and settings, kubeconfigs hold tokens; all are for their owner alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

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
        super::not_read(path)?;
        open(path, Links::Refused, true)?.write_all(text.as_bytes())
    };
    added().map_err(|why| unwritable(path, &why))
}

/// Whether [`write()`] would refuse a name, before there is anything to write.
///
/// # Errors
/// As [`write()`].
pub fn may_write(path: &Path) -> Result<(), Diagnostic> {
    allowed(path).map_err(|why| unwritable(path, &why))
}

fn allowed(path: &Path) -> io::Result<()> {
    if path == Path::new("-") {
        return Err(io::Error::other("standard output has the result already; name a file"));
    }
    if is_our_stream(path) || is_stream(path) {
        return Ok(());
    }
    no_link(path)?;
    super::not_read(path)
}

fn unwritable(path: &Path, why: &io::Error) -> Diagnostic {
    Diagnostic::error("file-unwritable", format!("cannot write `{}`: {why}", path.display()))
        .with_help(super::mend(why, "check the path, its permissions and the room on the disk"))
}

fn no_link(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink()) {
        true => Err(io::Error::other("it is a link, which is not followed")),
        false => Ok(()),
    }
}

/// How long a pipe may have no reader.
const PATIENCE: Duration = if cfg!(test) { Duration::from_millis(50) } else { super::PATIENCE };

/// What becomes of a link in the place of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Links {
    /// It is an error, also one that somebody puts there at this moment.
    Refused,
    /// It is the system's own name for what this program has open.
    Followed,
}

/// Opens what is added to. A pipe that nobody reads is given up after a while.
fn open(path: &Path, links: Links, create: bool) -> io::Result<File> {
    if links == Links::Refused {
        no_link(path)?;
    }
    let mut options = OpenOptions::new();
    options.append(true).create(create);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
        if links == Links::Refused {
            options.custom_flags(libc::O_NOFOLLOW);
        }
    }
    let path = path.to_owned();
    super::within(PATIENCE, "nobody reads from this pipe or device", move || options.open(path))
}

fn place(path: &Path, text: &str, replace: bool) -> io::Result<()> {
    let bytes = text.as_bytes();
    allowed(path)?;
    let own = is_our_stream(path);
    if own || is_stream(path) {
        let links = if own { Links::Followed } else { Links::Refused };
        let mut file = open(path, links, false)?;
        file.write_all(bytes)?;
        return file.flush();
    }
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
    .map_err(|persist_error| persist_error.error)?;
    // The name, too, is on the disk only when the folder is; not every system can sync one.
    let _ = File::open(&folder).and_then(|file| file.sync_all());
    Ok(())
}

/// Whether a name stands for what this program has open, whatever that is.
fn is_our_stream(path: &Path) -> bool {
    ["/dev/stdout", "/dev/stderr", "/dev/fd", "/proc/self/fd"].iter().any(|it| path.starts_with(it))
}

/// Whether something is there that cannot be replaced, only written to.
fn is_stream(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|it| !it.is_file() && !it.is_dir() && !it.is_symlink())
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
    use std::io::Read as _;
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
    fn what_this_run_has_read_is_not_written_over() {
        let folder = tempfile::tempdir().expect("a file");
        let at = |name: &str| folder.path().join(name);
        fs::write(at("manifest"), "mine").expect("a file");
        symlink(folder.path(), at("here")).expect("a file");
        super::super::read(&at("manifest")).expect("a file");
        for other in ["manifest", "./manifest", "here/manifest"] {
            for way in [write, append] {
                let finding = way(&at(other), "theirs").unwrap_err();
                assert!(finding.message.contains("input of this run"), "{}", finding.message);
            }
        }
        assert_eq!(fs::read_to_string(at("manifest")).expect("a file"), "mine");
        // The report of the last run may become that of this one.
        super::super::read_earlier(&at("manifest")).expect("a file");
        fs::write(at("report"), "last").expect("a file");
        super::super::read_earlier(&at("report")).expect("a file");
        write(&at("report"), "next").expect("a file");
    }

    #[test]
    fn pipes_are_written_to_and_one_without_a_reader_is_given_up() {
        let folder = tempfile::tempdir().expect("a file");
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs");
        assert!(made.success());
        // Open on both sides, nobody waits for the other.
        let both = OpenOptions::new().read(true).write(true).open(&pipe);
        let mut reader = both.expect("a pipe");
        write(&pipe, "x").expect("a pipe");
        let mut read = [0];
        reader.read_exact(&mut read).expect("what was written");
        drop(reader);
        assert_eq!(read, *b"x");
        let finding = write(&pipe, "x").unwrap_err();
        assert!(finding.message.contains("nobody reads"), "{}", finding.message);
        let finding = write(Path::new("-"), "x").unwrap_err();
        assert!(finding.message.contains("standard output"), "{}", finding.message);
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
