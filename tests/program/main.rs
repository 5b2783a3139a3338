//! Stories of one command each, through the built program, as one binary: each binary of tests links the
//! whole program once more.

mod back;
mod chaos;
mod classes;
mod docs;
mod doctor;
mod explain;
mod failing;
mod fleet;
mod init;
#[path = "../common/manifests.rs"]
mod manifests;
mod permissions;
#[path = "../common/program.rs"]
mod program;
mod reports;
mod schema;
mod secrets;
mod sources;
