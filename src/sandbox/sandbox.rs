//! The handle that the program holds: a world, and the file it is kept in.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::agents::checks;
use crate::error::SandboxError;
use crate::progress::advance;
use crate::seed::{self, Seed};
use crate::state::clock::machine_now;
use crate::state::disk::StateFile;
use crate::state::files;
use crate::state::lock::Lock;
use crate::state::world::World;
use crate::state::world_file::WorldFile;

/// The simulated world. Clones share it.
#[derive(Clone, Debug)]
pub struct Sandbox {
    world: Arc<Mutex<World>>,
    state: Option<Arc<Mutex<StateFile>>>,
}

/// What is meant to be done with a state file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateAccess {
    /// Mostly reading. What a manifest presupposes is written down if nobody else writes; if that cannot be, it is made
    /// anew the next time.
    Read,
    /// Changing the world. Nobody else may meanwhile.
    Write,
}

/// How long a writer waits for another one.
const PATIENCE: Duration = Duration::from_secs(10);

impl Sandbox {
    /// Opens the world of a state file, or a new one when the file does not exist or no file is given. A world file
    /// (YAML, see docs/sandbox.md) is applied on top; what it says about features and providers counts once.
    ///
    /// # Errors
    /// A file that cannot be read or understood, or for writing is in use. A corrupt state file is not touched.
    pub fn open(
        state: Option<&Path>,
        world: Option<&Path>,
        access: StateAccess,
    ) -> Result<Sandbox, SandboxError> {
        let file = match world {
            Some(path) => Some(
                WorldFile::parse(&read(path)?)
                    .and_then(|file| checks::known(&file).map(|()| file))
                    .map_err(|problem| SandboxError::World { path: path.to_owned(), problem })?,
            ),
            None => None,
        };
        let (state, found) = match state {
            Some(path) => {
                let lock = (access == StateAccess::Write)
                    .then(|| Lock::take(path, PATIENCE))
                    .transpose()?;
                let (state, world) = StateFile::open(path, lock)?;
                (Some(Arc::new(Mutex::new(state))), world)
            }
            None => (None, None),
        };
        let world = match found {
            Some(mut world) => {
                if let Some(file) = file {
                    seed::take_file(&mut world, file);
                }
                world
            }
            None => seed::begin(file.unwrap_or_default()),
        };
        Ok(Sandbox { world: Arc::new(Mutex::new(world)), state })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn state(&self) -> Option<MutexGuard<'_, StateFile>> {
        self.state.as_ref().map(|state| state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Appends what changed to the state file.
    pub(crate) fn write(&self, world: &mut World) -> Result<(), SandboxError> {
        self.state().map_or(Ok(()), |mut state| match state.append(world) {
            // What a reader made it makes again.
            Err(_) if !state.is_writer() => Ok(()),
            other => other,
        })
    }

    /// Writes what changed to the state file and makes sure that it stays; nothing to do when the world was opened
    /// without one. The folder is made when it is missing.
    ///
    /// # Errors
    /// When the file cannot be written. It then holds what it held before.
    pub fn save(&self) -> Result<(), SandboxError> {
        self.keep(true)
    }

    /// Writes what changed; at the end also how much time has passed, when something waits for time.
    pub(crate) fn keep(&self, end: bool) -> Result<(), SandboxError> {
        let mut world = self.lock();
        advance(&mut world);
        world.clock_counts = end && !world.tasks.is_empty();
        let written = self.write(&mut world);
        drop(world);
        // Others go on while the disk works.
        let Some(file) = self.state().and_then(|mut state| state.unsynced()) else {
            return written;
        };
        written.and_then(|()| file.sync())
    }

    /// Starts the world anew, with the world file it was opened with, and removes the state file.
    ///
    /// # Errors
    /// When the state file is there and cannot be removed.
    pub fn reset(&self) -> Result<(), SandboxError> {
        let mut world = self.lock();
        let (file, pace, authority) = (world.file.clone(), world.pace, world.authority.clone());
        *world = seed::begin(file);
        (world.pace, world.authority) = (pace, authority);
        self.state().map_or(Ok(()), |mut state| state.remove())
    }

    /// Removes a state file, corrupt or not.
    ///
    /// # Errors
    /// It is in use, or cannot be removed.
    pub fn remove_state(path: &Path) -> Result<(), SandboxError> {
        if fs::symlink_metadata(path).is_err() {
            return Ok(());
        }
        let _lock = Lock::take(path, PATIENCE)?;
        files::tidy(path);
        fs::remove_file(path)
            .map_err(|source| SandboxError::Write { path: path.to_owned(), source })
    }

    /// Adds what a manifest presupposes; only what was never added before.
    pub fn seed(&self, seed: &Seed) {
        let mut world = self.lock();
        advance(&mut world);
        seed::seed(&mut world, seed);
    }

    /// What time it is in the world; a saved one may be behind the machine's.
    pub fn now(&self) -> jiff::Timestamp {
        self.lock().now().max(machine_now())
    }

    /// The whole world: `{"arm": {ID: resource}, "kubernetes": {CLUSTER: [objects]}}`. Write-only values are left out.
    pub fn show(&self) -> Json {
        let mut world = self.lock();
        advance(&mut world);
        show(&world)
    }
}

/// A description of a world, of 64 MiB at most: a device has no end.
fn read(path: &Path) -> Result<String, SandboxError> {
    let mut text = String::new();
    let file = fs::File::open(path).map(|it| it.take(64 << 20));
    let read = file.and_then(|mut take| take.read_to_string(&mut text));
    read.map(|_| text).map_err(|source| SandboxError::Read { path: path.to_owned(), source })
}

/// The whole world: `{"arm": {ID: resource}, "kubernetes": {CLUSTER: [objects]}}`. Write-only values are left out.
pub(crate) fn show(world: &World) -> Json {
    let id = |body: &Json| body["id"].as_str().unwrap_or_default().to_owned();
    let arm: serde_json::Map<String, Json> =
        world.resources.values().map(|stored| (id(&stored.body), stored.body.clone())).collect();
    let clusters: serde_json::Map<String, Json> = world
        .clusters()
        .map(|(_, cluster)| (cluster.name.clone(), json!(cluster.store().all())))
        .collect();
    json!({"arm": arm, "kubernetes": clusters})
}
