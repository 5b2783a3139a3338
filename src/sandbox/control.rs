//! Changes by hand: what a colleague does behind everybody's back. A world that is served takes them through its server,
//! which listens for them on this machine only; one JSON line asks and one answers.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};

use crate::agents::{components, install, nights, pods, release};
use crate::arm::{features, providers};
use crate::error::SandboxError;
use crate::json::set_pointer;
use crate::progress::advance;
use crate::sandbox::{Sandbox, StateAccess, show};
use crate::state::id;
use crate::state::lock::Lock;
use crate::state::world::World;
use crate::vault;

/// What is changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Subject {
    /// A resource of Azure, by its id.
    Arm(String),
    /// Objects of a cluster: the cluster's ARM id, and API paths (`/api/v1/namespaces/default`) or names as kubectl
    /// takes them (`deployment/azureml/gateway`, `node/node-1`).
    Objects {
        /// The ARM id of the cluster.
        cluster: String,
        /// The objects; a change is made to the first that is there.
        paths: Vec<String>,
    },
}

/// A change by hand.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Deed {
    /// Sets the value at a JSON pointer; missing parents are made.
    Set {
        /// What is changed.
        place: Subject,
        /// Where in it.
        pointer: String,
        /// The new value.
        value: Json,
    },
    /// Removes a resource with what lies below it, or objects, at once.
    Delete {
        /// What goes.
        place: Subject,
    },
    /// Lets so many seconds pass, with what goes on meanwhile.
    Wait {
        /// How long.
        seconds: u32,
    },
    /// Returns the whole world.
    Show,
    /// Starts the world anew.
    Reset,
}

/// The longest request by hand, in bytes.
const LONGEST: u64 = 16 << 20;

#[derive(Serialize, Deserialize)]
struct ControlRequest {
    word: String,
    deed: Deed,
}

impl Sandbox {
    /// Does something by hand to the world of a state file: through its server when it is served.
    ///
    /// # Errors
    /// The state cannot be read or written or is in use, or what is named is not there.
    pub fn by_hand(state: &Path, deeds: &[Deed]) -> Result<Json, SandboxError> {
        if let Some((address, word)) = Lock::server_of(state) {
            let ask = |deed: &Deed| {
                ask(address, &ControlRequest { word: word.clone(), deed: deed.clone() })
            };
            return deeds.iter().try_fold(Json::Null, |_, deed| ask(deed));
        }
        if matches!(deeds, [Deed::Reset]) {
            return Self::remove_state(state).map(|()| Json::Null);
        }
        let reads = deeds.iter().all(|deed| matches!(deed, Deed::Show));
        let sandbox = Self::open(
            Some(state),
            None,
            if reads { StateAccess::Read } else { StateAccess::Write },
        )?;
        let answer = deeds.iter().try_fold(Json::Null, |_, deed| sandbox.perform(deed));
        sandbox.save()?;
        answer
    }

    /// Does something by hand to this world.
    ///
    /// # Errors
    /// What is named is not there, or the pointer leads through something that has no members.
    pub fn perform(&self, deed: &Deed) -> Result<Json, SandboxError> {
        let mut world = self.lock();
        advance(&mut world);
        world.revision += 1;
        match deed {
            Deed::Set { place: Subject::Arm(id), pointer, value } => {
                set_arm(&mut world, id, pointer, value.clone())?;
            }
            Deed::Set { place: Subject::Objects { cluster, paths }, pointer, value } => {
                set_object(&mut world, cluster, paths, pointer, value)?;
            }
            Deed::Delete { place: Subject::Arm(id) } => delete_arm(&mut world, id)?,
            Deed::Delete { place: Subject::Objects { cluster, paths } } => {
                delete_objects(&mut world, cluster, paths)?;
            }
            Deed::Wait { seconds } => {
                nights::pass(&mut world, jiff::SignedDuration::from_secs((*seconds).into()));
            }
            Deed::Show => return Ok(show(&world)),
            Deed::Reset => {
                drop(world);
                return self.reset().map(|()| Json::Null);
            }
        }
        self.write(&mut world)?;
        Ok(Json::Null)
    }

    /// Answers one request by hand.
    pub(crate) async fn attend(&self, mut stream: tokio::net::TcpStream, word: &str) {
        let (reader, mut writer) = stream.split();
        let mut line = String::new();
        let mut reader = tokio::io::BufReader::new(reader.take(LONGEST));
        if reader.read_line(&mut line).await.is_err() {
            return;
        }
        let answer = match serde_json::from_str::<ControlRequest>(&line) {
            Ok(request) if request.word == word => match self.perform(&request.deed) {
                Ok(answer) => json!({"answer": answer}),
                Err(error) => json!({"error": error.to_string()}),
            },
            _ => json!({"error": "the request is not from the owner of the state"}),
        };
        // Who asked may be gone.
        let _ = writer.write_all(format!("{answer}\n").as_bytes()).await;
    }
}

fn ask(address: SocketAddr, request: &ControlRequest) -> Result<Json, SandboxError> {
    let served = |error: std::io::Error| SandboxError::Serve(error);
    let patience = Duration::from_secs(10);
    let mut stream = TcpStream::connect_timeout(&address, patience).map_err(served)?;
    stream.set_read_timeout(Some(patience)).map_err(served)?;
    let text = serde_json::to_string(request).unwrap_or_default();
    stream.write_all(format!("{text}\n").as_bytes()).map_err(served)?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).map_err(served)?;
    let answer: Json = serde_json::from_str(&line).map_err(|error| served(error.into()))?;
    match answer["error"].as_str() {
        Some(error) => Err(SandboxError::Refused(error.to_owned())),
        None => Ok(answer["answer"].clone()),
    }
}

fn set_arm(world: &mut World, id: &str, pointer: &str, value: Json) -> Result<(), SandboxError> {
    features::materialise(world, id);
    providers::materialise(world, id);
    let Some(stored) = world.get_mut(id) else {
        return Err(SandboxError::UnknownResource { id: id.to_owned() });
    };
    set_pointer(&mut stored.body, pointer, value);
    if id::type_of(id) == vault::SECRETS {
        vault::settle(world, id);
    }
    Ok(())
}

/// What an extension put into its cluster goes with it.
fn delete_arm(world: &mut World, id: &str) -> Result<(), SandboxError> {
    if world.get(id).is_none() {
        return Err(SandboxError::UnknownResource { id: id.to_owned() });
    }
    if let Some(release) = release::release(world, id)
        && release.is_azureml
    {
        install::abandon(world, id);
        components::remove(world, &release);
    }
    world.forget(id);
    world.remove_tree(id);
    Ok(())
}

/// The API paths of the named objects that are there.
fn present(world: &World, cluster: &str, paths: &[String]) -> Result<Vec<String>, SandboxError> {
    let Some(found) = world.cluster(cluster) else {
        return Err(SandboxError::UnknownResource { id: cluster.to_owned() });
    };
    let there: Vec<String> = paths
        .iter()
        .filter_map(|path| found.store().path_of(path))
        .filter(|path| found.store().get(path).is_some())
        .collect();
    if there.is_empty() {
        let path = paths.first().cloned().unwrap_or_default();
        return Err(SandboxError::UnknownObject { cluster: found.name.clone(), path });
    }
    Ok(there)
}

fn set_object(
    world: &mut World,
    cluster: &str,
    paths: &[String],
    pointer: &str,
    value: &Json,
) -> Result<(), SandboxError> {
    let path = present(world, cluster, paths)?.swap_remove(0);
    let now = world.kube_stamp();
    let changed = world
        .cluster_mut(cluster)
        .is_some_and(|found| found.store_mut().set_pointer(&path, pointer, value.clone(), &now));
    if changed {
        return Ok(());
    }
    Err(SandboxError::Pointer { pointer: pointer.to_owned(), at: path })
}

/// A namespace takes its content along, a workload its pods.
fn delete_objects(world: &mut World, cluster: &str, paths: &[String]) -> Result<(), SandboxError> {
    let there = present(world, cluster, paths)?;
    if let Some(found) = world.cluster_mut(cluster) {
        for path in there {
            if path.starts_with("/apis/apps/") {
                pods::remove(found, &path);
            } else {
                found.store_mut().remove(&path);
            }
        }
    }
    Ok(())
}
