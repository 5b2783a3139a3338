//! A simulated Azure (ARM, sign-in, metadata) with the Kubernetes clusters behind it, for trying things out and for tests.
//!
//! It is an island: it shares no type with the rest of the program, so that a mistake of the clients cannot hide in the
//! server they are tested against. What it does follows Microsoft's documentation and recordings of the real service.
//! See docs/sandbox.md.

mod arm;
mod checks;
mod clock;
mod components;
mod extension;
mod faults;
pub mod kube;
mod kubefront;
mod login;
mod pods;
mod report;
mod router;
mod seed;
mod serve;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_arm;
mod throttle;
mod tls;
mod wire;
mod world;
mod worldfile;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value as Json, json};

use self::arm::{features, id, providers};
use self::world::{FORMAT, World};
use self::worldfile::WorldFile;

pub use self::clock::Pace;
pub use self::router::{FAULT_HEADER, FAULT_STATUS};
pub use self::seed::{Seed, SeedCluster};
pub use self::serve::{Listening, ServeOptions};

/// The simulated world. Clones share it.
#[derive(Clone, Debug)]
pub struct Sandbox {
    world: Arc<Mutex<World>>,
    path: Option<PathBuf>,
}

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
    /// A file that cannot be read or understood. A corrupt state file is not touched.
    pub fn open(state: Option<&Path>, world: Option<&Path>) -> Result<Sandbox, SandboxError> {
        let file = match world {
            Some(path) => Some(
                WorldFile::parse(&read(path)?)
                    .map_err(|problem| SandboxError::World { path: path.to_owned(), problem })?,
            ),
            None => None,
        };
        let world = match state {
            Some(path) if path.exists() => {
                let mut world = load(path)?;
                if let Some(file) = file {
                    world.apply_file(file);
                }
                world
            }
            _ => World::new(file.unwrap_or_default()),
        };
        Ok(Sandbox { world: Arc::new(Mutex::new(world)), path: state.map(Path::to_owned) })
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the state file (nothing to do when the world was opened without one): into a new file beside it that
    /// then takes its name. The folder is made when it is missing.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self) -> Result<(), SandboxError> {
        let Some(path) = &self.path else { return Ok(()) };
        let text = {
            let mut world = self.lock();
            world.advance();
            world.prune();
            world.clock.rebase();
            serde_json::to_vec(&*world)
        };
        let failed = |source: io::Error| SandboxError::Write { path: path.clone(), source };
        let text = text.map_err(|error| failed(io::Error::other(error)))?;
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        let mut temporary = path.clone().into_os_string();
        temporary.push(format!(".{}.tmp", std::process::id()));
        fs::write(&temporary, text).map_err(failed)?;
        fs::rename(&temporary, path).map_err(failed)
    }

    /// Starts the world anew, with the world file it was opened with, and removes the state file.
    ///
    /// # Errors
    /// When the state file is there and cannot be removed.
    pub fn reset(&self) -> Result<(), SandboxError> {
        {
            let mut world = self.lock();
            let (file, pace) = (world.file.clone(), world.pace);
            *world = World::new(file);
            world.pace = pace;
        }
        match &self.path {
            Some(path) if path.exists() => fs::remove_file(path)
                .map_err(|source| SandboxError::Write { path: path.clone(), source }),
            _ => Ok(()),
        }
    }

    /// Adds what a manifest presupposes; only what was never added before.
    pub fn seed(&self, seed: &Seed) {
        let mut world = self.lock();
        world.advance();
        world.revision += 1;
        seed::seed(&mut world, seed);
    }

    /// The whole world: `{"arm": {ID: resource}, "kubernetes": {CLUSTER: [objects]}}`. Write-only values are left out.
    pub fn show(&self) -> Json {
        let mut world = self.lock();
        world.advance();
        let arm: serde_json::Map<String, Json> = world
            .resources
            .values()
            .map(|stored| {
                (stored.body["id"].as_str().unwrap_or_default().to_owned(), stored.body.clone())
            })
            .collect();
        let clusters: serde_json::Map<String, Json> = world
            .clusters
            .values()
            .map(|cluster| (cluster.name.clone(), json!(cluster.store.all())))
            .collect();
        json!({"arm": arm, "kubernetes": clusters})
    }

    /// Changes a value of a resource behind everybody's back; missing parents in the pointer are made.
    ///
    /// # Errors
    /// When there is no such resource.
    pub fn set_arm(&self, id: &str, pointer: &str, value: Json) -> Result<(), SandboxError> {
        let mut world = self.lock();
        world.advance();
        world.revision += 1;
        features::materialise(&mut world, id);
        providers::materialise(&mut world, id);
        let Some(stored) = world.get_mut(id) else {
            return Err(SandboxError::UnknownResource { id: id.to_owned() });
        };
        world::set_pointer(&mut stored.body, pointer, value);
        Ok(())
    }

    /// Removes a resource with what lies below it, at once. What an extension put into its cluster goes with it.
    ///
    /// # Errors
    /// When there is no such resource.
    pub fn delete_arm(&self, id: &str) -> Result<(), SandboxError> {
        let mut world = self.lock();
        world.advance();
        world.revision += 1;
        if world.get(id).is_none() {
            return Err(SandboxError::UnknownResource { id: id.to_owned() });
        }
        if let Some(release) = extension::release(&world, id)
            && release.is_azureml
        {
            extension::abandon(&mut world, id);
            components::remove(&mut world, &release);
        }
        world.forget(id);
        world.remove_tree(id);
        Ok(())
    }

    /// Changes a value of a Kubernetes object; `path` is its API path, such as `/api/v1/namespaces/default`.
    ///
    /// # Errors
    /// When there is no such cluster or object, or the pointer runs through a scalar.
    pub fn set_object(
        &self,
        subscription: &str,
        group: &str,
        cluster: &str,
        path: &str,
        pointer: &str,
        value: Json,
    ) -> Result<(), SandboxError> {
        let mut world = self.lock();
        world.advance();
        world.revision += 1;
        let now = world.kube_stamp();
        let found = find_cluster(&mut world, subscription, group, cluster)?;
        if found.store.get(path).is_none() {
            return Err(SandboxError::UnknownObject {
                cluster: cluster.to_owned(),
                path: path.to_owned(),
            });
        }
        if found.store.set_pointer(path, pointer, value, &now) {
            return Ok(());
        }
        Err(SandboxError::Pointer { pointer: pointer.to_owned(), at: path.to_owned() })
    }

    /// Removes a Kubernetes object at once; a namespace takes its content along, a workload its pods.
    ///
    /// # Errors
    /// When there is no such cluster or object.
    pub fn delete_object(
        &self,
        subscription: &str,
        group: &str,
        cluster: &str,
        path: &str,
    ) -> Result<(), SandboxError> {
        let mut world = self.lock();
        world.advance();
        world.revision += 1;
        let found = find_cluster(&mut world, subscription, group, cluster)?;
        if found.store.get(path).is_none() {
            return Err(SandboxError::UnknownObject {
                cluster: cluster.to_owned(),
                path: path.to_owned(),
            });
        }
        if path.starts_with("/apis/apps/") {
            pods::remove(found, path);
        } else {
            found.store.remove(path);
        }
        Ok(())
    }

    /// One router for everything: ARM, sign-in, metadata, and the clusters under
    /// `/kubernetes/{subscription}/{resourceGroup}/{cluster}/…`.
    pub fn router(&self) -> axum::Router {
        router::router(self.clone())
    }
}

fn find_cluster<'a>(
    world: &'a mut World,
    subscription: &str,
    group: &str,
    cluster: &str,
) -> Result<&'a mut world::Cluster, SandboxError> {
    let prefix =
        id::key(&format!("/subscriptions/{subscription}/resourceGroups/{group}/providers/"));
    world
        .clusters
        .iter_mut()
        .find(|(key, found)| key.starts_with(&prefix) && found.name.eq_ignore_ascii_case(cluster))
        .map(|(_, found)| found)
        .ok_or_else(|| SandboxError::UnknownResource { id: cluster.to_owned() })
}

fn read(path: &Path) -> Result<String, SandboxError> {
    fs::read_to_string(path).map_err(|source| SandboxError::Read { path: path.to_owned(), source })
}

fn load(path: &Path) -> Result<World, SandboxError> {
    let corrupt = |problem: String| SandboxError::Corrupt { path: path.to_owned(), problem };
    let bytes =
        fs::read(path).map_err(|source| SandboxError::Read { path: path.to_owned(), source })?;
    let world: World =
        serde_json::from_slice(&bytes).map_err(|error| corrupt(error.to_string()))?;
    if world.format != FORMAT {
        return Err(corrupt(format!(
            "it has format {}, this program writes {FORMAT}",
            world.format
        )));
    }
    Ok(world)
}
