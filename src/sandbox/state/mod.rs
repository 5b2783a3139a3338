//! Everything the simulator remembers, and how it is kept on the disk.

pub(crate) mod clock;
pub(crate) mod cluster;
pub(crate) mod disk;
pub(crate) mod event;
pub(crate) mod faults;
pub(crate) mod files;
pub(crate) mod id;
pub(crate) mod lock;
mod shelf;
pub(crate) mod throttle;
pub(crate) mod world;
pub(crate) mod world_file;
