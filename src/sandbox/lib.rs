//! A simulated Azure (ARM, sign-in, metadata) with the Kubernetes clusters behind it, for trying things out and for tests.
//!
//! It is an island: it shares no type with the rest of the program, so that a mistake of the clients cannot hide in the
//! server they are tested against. What it does follows Microsoft's documentation and recordings of the real service.
//! See docs/sandbox.md.

mod arm;
mod checks;
mod clock;
mod cluster;
mod components;
mod control;
mod extension;
mod faults;
mod files;
pub mod kube;
mod kubefront;
mod lock;
mod login;
mod pods;
mod report;
mod router;
mod seed;
mod serve;
mod shelf;
mod state;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_arm;
#[cfg(test)]
mod tests_fleet;
#[cfg(test)]
mod tests_state;
mod throttle;
mod tls;
mod wire;
mod world;
mod worldfile;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value as Json;

use self::lock::Lock;
use self::state::StateFile;
use self::world::World;
use self::worldfile::WorldFile;

pub use self::clock::Pace;
pub use self::control::{Deed, Place};
pub use self::router::{FAULT_HEADER, FAULT_STATUS};
pub use self::seed::{Seed, SeedCluster};
pub use self::serve::{Listening, ServeOptions};

/// The simulated world. Clones share it.
#[derive(Clone, Debug)]
pub struct Sandbox {
    world: Arc<Mutex<World>>,
    state: Option<Arc<Mutex<StateFile>>>,
}

/// What is meant to be done with a state file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Mostly reading. What a manifest presupposes is written down if nobody else writes; if that cannot be, it is made
    /// anew the next time.
    Read,
    /// Changing the world. Nobody else may meanwhile.
    Write,
}

/// How long a writer waits for another one.
const PATIENCE: Duration = Duration::from_secs(10);

/// What can go wrong around the simulator itself.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A file could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file could not be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The state file is not what this program writes. It is left as it is.
    #[error(
        "{path} is not a sandbox state ({problem}); it was left as it is: delete it or run `amlplan sandbox reset`"
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Somebody else writes the state.
    #[error("{path} is in use by process {pid}{}", .url.as_ref().map(|url| format!(", which serves it at {url}; stop it, or name another state")).unwrap_or_else(|| "; wait for it, or name another state".to_owned()))]
    InUse {
        /// The state file.
        path: PathBuf,
        /// The process that holds it.
        pid: u32,
        /// Where it is served.
        url: Option<String>,
    },
    /// The server of the state refused a change by hand.
    #[error("{0}")]
    Refused(String),
    /// The world file is wrong.
    #[error("the world file {path} is wrong: {problem}")]
    World {
        /// The file.
        path: PathBuf,
        /// Where and what.
        problem: String,
    },
    /// Nothing has this id.
    #[error("the sandbox has no resource '{id}'; `amlplan sandbox show` lists what there is")]
    UnknownResource {
        /// The id as asked for.
        id: String,
    },
    /// Nothing has this path in the cluster.
    #[error("the sandbox has no object '{path}' in cluster '{cluster}'")]
    UnknownObject {
        /// The cluster's name.
        cluster: String,
        /// The API path as asked for.
        path: String,
    },
    /// The pointer runs through something that has no members.
    #[error("'{pointer}' does not lead to a place in '{at}'")]
    Pointer {
        /// The pointer as given.
        pointer: String,
        /// The resource or object.
        at: String,
    },
    /// The server could not start or stopped.
    #[error("cannot serve the sandbox: {0}")]
    Serve(io::Error),
    /// A certificate could not be made or read.
    #[error("cannot prepare the sandbox's certificate: {0}")]
    Tls(String),
}

impl Sandbox {
    /// Opens the world of a state file, or a new one when the file does not exist or no file is given. A world file
    /// (YAML, see docs/sandbox.md) is applied on top; what it says about features and providers counts once.
    ///
    /// # Errors
    /// A file that cannot be read or understood, or for writing is in use. A corrupt state file is not touched.
    pub fn open(
        state: Option<&Path>,
        world: Option<&Path>,
        access: Access,
    ) -> Result<Sandbox, SandboxError> {
        let file = match world {
            Some(path) => Some(
                WorldFile::parse(&read(path)?)
                    .map_err(|problem| SandboxError::World { path: path.to_owned(), problem })?,
            ),
            None => None,
        };
        let (state, found) = match state {
            Some(path) => {
                let lock =
                    (access == Access::Write).then(|| Lock::take(path, PATIENCE)).transpose()?;
                let (state, world) = StateFile::open(path, lock)?;
                (Some(Arc::new(Mutex::new(state))), world)
            }
            None => (None, None),
        };
        let world = match found {
            Some(mut world) => {
                if let Some(file) = file {
                    world.apply_file(file);
                }
                world
            }
            None => World::new(file.unwrap_or_default()),
        };
        Ok(Sandbox { world: Arc::new(Mutex::new(world)), state })
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> Option<MutexGuard<'_, StateFile>> {
        self.state.as_ref().map(|state| state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Appends what changed to the state file.
    fn write(&self, world: &mut World) -> Result<(), SandboxError> {
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
    fn keep(&self, end: bool) -> Result<(), SandboxError> {
        let mut world = self.lock();
        world.advance();
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
        let (file, pace) = (world.file.clone(), world.pace);
        *world = World::new(file);
        world.pace = pace;
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
        world.advance();
        seed::seed(&mut world, seed);
    }

    /// The whole world: `{"arm": {ID: resource}, "kubernetes": {CLUSTER: [objects]}}`. Write-only values are left out.
    pub fn show(&self) -> Json {
        let mut world = self.lock();
        world.advance();
        control::show(&world)
    }

    /// One router for everything: ARM, sign-in, metadata, and the clusters under
    /// `/kubernetes/{subscription}/{resourceGroup}/{cluster}/…`.
    pub fn router(&self) -> axum::Router {
        router::router(self.clone())
    }
}

fn read(path: &Path) -> Result<String, SandboxError> {
    fs::read_to_string(path).map_err(|source| SandboxError::Read { path: path.to_owned(), source })
}
