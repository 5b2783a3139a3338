//! What can go wrong around the simulator itself.

use std::io;
use std::path::PathBuf;

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
