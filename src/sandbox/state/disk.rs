//! The state file: a first line that counts the lines which hold the world, those lines, and then one line for every
//! change. A line is `[[SHELF, KEY, VALUE], …]`; the last value of a key counts, `null` takes it away.
//!
//! A change is appended before it is answered, so a killed program loses nothing that it answered; a line that was cut
//! short is dropped by the next writer. Where a line does not fit on the disk, the file is cut back to its last whole
//! line and the change is tried again. When changes outgrow the world, the file is written anew beside its place.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Value as Json, json};

use super::cluster::Cluster;
use super::faults::Faults;
use super::files;
use super::lock::{Holder, Lock};
use super::world::World;
use crate::error::SandboxError;

/// The version of the state file this program writes.
const FORMAT: u32 = 2;
/// Changes shorter than this, in bytes, are never a reason to write the file anew.
const SLACK: u64 = 1 << 20;

/// A line under construction.
struct LineBuffer(String);

impl LineBuffer {
    fn new() -> LineBuffer {
        LineBuffer("[".to_owned())
    }

    /// Adds an entry whose value is JSON already.
    fn raw(&mut self, shelf: &str, key: &str, value: &str) {
        let comma = if self.0.len() > 1 { "," } else { "" };
        let key = Json::from(key);
        self.0.extend([comma, "[\"", shelf, "\",", &key.to_string(), ",", value, "]"]);
    }

    fn entry<T: Serialize>(&mut self, shelf: &str, key: &str, value: Option<&T>) {
        let value = value.and_then(|value| serde_json::to_string(value).ok());
        self.raw(shelf, key, value.as_deref().unwrap_or("null"));
    }

    fn end(mut self) -> String {
        self.0.push_str("]\n");
        self.0
    }
}

fn words(world: &World, line: &mut LineBuffer) {
    line.entry("clock", "", Some(&world.clock.rebased()));
    line.entry("words", "", Some(&world.words));
}

/// The line of what changed; `None` when nothing did. What was drawn counts as a change.
fn changes(world: &World) -> Option<String> {
    let mut line = LineBuffer::new();
    if world.file_changed {
        line.entry("file", "", Some(&world.file));
    }
    for (name, shelf) in world.shelves() {
        shelf.changed_entries(&mut |key, value| line.raw(name, key, &value));
    }
    for key in &world.moved {
        line.entry("cluster", key, world.cluster(key));
        if let Some(cluster) = world.cluster(key) {
            objects(key, cluster, false, &mut line);
        }
    }
    for key in world.touched.difference(&world.moved) {
        if let Some(cluster) = world.cluster(key) {
            objects(key, cluster, true, &mut line);
        }
    }
    if line.0.len() == 1 && !world.clock_counts {
        return None;
    }
    words(world, &mut line);
    Some(line.end())
}

fn objects(key: &str, cluster: &Cluster, unsaved: bool, line: &mut LineBuffer) {
    let revision = cluster.changes(unsaved, |path, object| {
        line.raw("object", &format!("{key} {path}"), object);
    });
    if let Some(revision) = revision {
        line.entry("revision", key, Some(&revision));
    }
}

/// The whole world, one entry a line behind the line that counts them.
fn whole(world: &World) -> String {
    let mut first = LineBuffer::new();
    first.entry("file", "", Some(&world.file));
    words(world, &mut first);
    let mut lines = vec![first.end()];
    for (name, shelf) in world.shelves() {
        shelf.all_entries(&mut |key, value| {
            let mut line = LineBuffer::new();
            line.raw(name, key, &value);
            lines.push(line.end());
        });
    }
    for (key, cluster) in world.clusters() {
        let mut line = LineBuffer::new();
        line.entry("cluster", key, Some(cluster));
        objects(key, cluster, false, &mut line);
        lines.push(line.end());
    }
    format!("{}\n{}", json!({"format": FORMAT, "lines": lines.len()}), lines.concat())
}

fn settle(world: &mut World) {
    for (_, shelf) in world.shelves_mut() {
        shelf.settle();
    }
    world.file_changed = false;
    world.clock_counts = false;
    world.moved.clear();
    for key in std::mem::take(&mut world.touched) {
        if let Some(cluster) = world.cluster_mut(&key) {
            cluster.settle();
        }
    }
    world.touched.clear();
}

/// Reads a world. Where its changes begin and where the last whole line ends are returned beside it, in bytes.
fn parse(text: &str) -> Result<(World, u64, u64), String> {
    let whole = text.rfind('\n').map_or(0, |at| at + 1);
    let mut lines = text[..whole].lines();
    let first = lines.next().unwrap_or(text);
    let head: Json = serde_json::from_str(first).map_err(|error| error.to_string())?;
    if head["format"] != FORMAT {
        return Err(format!("it has format {}, this program writes {FORMAT}", head["format"]));
    }
    let wanted = head["lines"].as_u64().unwrap_or(0);
    let (mut world, mut found, mut begun) = (World::empty(), 0, first.len() as u64 + 1);
    for line in lines {
        if found < wanted {
            begun += line.len() as u64 + 1;
        }
        let entries: Vec<(&str, String, &RawValue)> =
            serde_json::from_str(line).map_err(|error| format!("line {}: {error}", found + 2))?;
        for (shelf, key, value) in entries {
            restore(&mut world, shelf, key, value)
                .map_err(|error| format!("line {}: {error}", found + 2))?;
        }
        found += 1;
    }
    if found < wanted {
        return Err(format!("it ends after {found} of {wanted} lines"));
    }
    world.index();
    world.prune();
    Ok((world, begun, whole as u64))
}

fn restore(
    world: &mut World,
    shelf: &str,
    key: String,
    value: &RawValue,
) -> Result<(), serde_json::Error> {
    fn read<T: DeserializeOwned>(value: &RawValue) -> Result<T, serde_json::Error> {
        serde_json::from_str(value.get())
    }
    match shelf {
        "clock" => world.clock = read(value)?,
        "words" => world.words = read(value)?,
        "file" => {
            world.file = read(value)?;
            let drawn = std::mem::take(&mut world.faults.drawn);
            world.faults = Faults { rates: world.file.faults.clone(), drawn };
        }
        "cluster" => world.restore_cluster(key, read(value)?),
        "object" => {
            if let Some((cluster, path)) = key.split_once(' ')
                && let Some(cluster) = world.restored_cluster(cluster)
            {
                cluster.restore(path, value);
            }
        }
        "revision" => {
            let revision = read(value)?;
            if let Some(cluster) = world.restored_cluster(&key) {
                cluster.restore_revision(revision);
            }
        }
        _ => {
            let found = world.shelves_mut().into_iter().find(|(name, _)| *name == shelf);
            found.map_or(Ok(()), |(_, shelf)| shelf.restore(key, value.get()))?;
        }
    }
    Ok(())
}

/// A state file in use.
#[derive(Debug)]
pub(crate) struct StateFile {
    path: PathBuf,
    /// Who may write holds this; a reader takes it only to write.
    lock: Option<Lock>,
    writer: bool,
    file: Option<Appended>,
    /// How long the file was when it was read, for a reader that wants to write.
    seen: Option<u64>,
}

/// A file that does not outlive the machine yet.
pub(crate) struct Unsynced {
    path: PathBuf,
    file: File,
}

impl Unsynced {
    /// Makes sure that it does.
    pub(crate) fn sync(self) -> Result<(), SandboxError> {
        self.file.sync_data().map_err(|source| SandboxError::Write { path: self.path, source })
    }
}

/// A file that lines are appended to.
#[derive(Debug)]
struct Appended {
    file: File,
    /// Where the last whole line ends, and where the changes begin.
    length: u64,
    world: u64,
    synced: bool,
}

impl StateFile {
    /// Reads the world of a state file, if there is one. With a lock, what a killed writer left behind is removed.
    pub(crate) fn open(
        path: &Path,
        lock: Option<Lock>,
    ) -> Result<(StateFile, Option<World>), SandboxError> {
        let writer = lock.is_some();
        let mut state = StateFile { path: path.to_owned(), lock, writer, file: None, seen: None };
        if writer {
            files::tidy(path);
        }
        let unread = |source| SandboxError::Read { path: path.to_owned(), source };
        files::check_regular(path).map_err(unread)?;
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((state, None)),
            Err(error) => return Err(unread(error)),
        };
        let corrupt = |problem: String| SandboxError::Corrupt { path: path.to_owned(), problem };
        let text = String::from_utf8(text).map_err(|_| corrupt("it is not UTF-8".to_owned()))?;
        let (world, begun, length) = parse(&text).map_err(corrupt)?;
        state.seen = Some(text.len() as u64);
        if writer {
            let failed = |source| SandboxError::Write { path: path.to_owned(), source };
            let file = files::open(path).map_err(failed)?;
            state.file = Some(Appended { file, length, world: begun, synced: true });
        }
        Ok((state, Some(world)))
    }

    /// Whether this was opened to write.
    pub(crate) fn is_writer(&self) -> bool {
        self.writer
    }

    /// Writes down who holds the state.
    pub(crate) fn say(&self, holder: &Holder) {
        if let Some(lock) = &self.lock {
            lock.say(holder);
        }
    }

    /// Appends what changed, if anything did. On an error the changes stay changes.
    pub(crate) fn append(&mut self, world: &mut World) -> Result<(), SandboxError> {
        let Some(line) = changes(world) else {
            // Or every read of a cluster would be looked through again at each request.
            world.touched.clear();
            return Ok(());
        };
        if self.lock.is_none() && !self.may_write() {
            return Ok(());
        }
        let path = self.path.clone();
        let failed = |source| SandboxError::Write { path, source };
        let fits = self.file.as_ref().is_some_and(|at| {
            at.length + line.len() as u64 <= at.world * 2 + SLACK
                && files::is_at(&at.file, &self.path)
        });
        if fits && let Some(at) = &mut self.file {
            at.add(&line).map_err(failed)?;
        } else {
            self.anew(world).map_err(failed)?;
        }
        settle(world);
        Ok(())
    }

    /// A reader writes what it made (a world that was seeded) only when it can and nobody else wrote meanwhile.
    fn may_write(&mut self) -> bool {
        let Ok(lock) = Lock::take(&self.path, std::time::Duration::ZERO) else { return false };
        let length = fs::symlink_metadata(&self.path).ok().map(|found| found.len());
        if length == self.seen {
            self.lock = Some(lock);
        }
        self.lock.is_some()
    }

    /// Writes the whole world.
    fn anew(&mut self, world: &World) -> io::Result<()> {
        let text = whole(world);
        files::replace(&self.path, text.as_bytes())?;
        let mut file = files::open(&self.path)?;
        file.seek(SeekFrom::End(0))?;
        let length = text.len() as u64;
        self.file = Some(Appended { file, length, world: length, synced: true });
        Ok(())
    }

    /// What was appended since the last time this was asked for; the caller syncs it.
    pub(crate) fn unsynced(&mut self) -> Option<Unsynced> {
        let at = self.file.as_mut().filter(|at| !at.synced)?;
        at.synced = true;
        Some(Unsynced { path: self.path.clone(), file: at.file.try_clone().ok()? })
    }

    /// Removes the file; the next change writes it again.
    pub(crate) fn remove(&mut self) -> Result<(), SandboxError> {
        self.file = None;
        self.seen = None;
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(SandboxError::Write { path: self.path.clone(), source: error })
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

impl Appended {
    fn add(&mut self, line: &str) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.length))?;
        // What a killed writer began goes.
        self.file.set_len(self.length)?;
        if let Err(error) = self.file.write_all(line.as_bytes()) {
            let _ = self.file.set_len(self.length);
            return Err(error);
        }
        self.length += line.len() as u64;
        self.synced = false;
        Ok(())
    }
}
