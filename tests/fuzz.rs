//! Broken input of every kind: manifests, command lines and hostile files never make the program
//! panic, hang or eat the machine. The inputs are made from seeds, so that each run has the same.

#[path = "fuzz/hostile.rs"]
mod hostile;
#[path = "fuzz/lines.rs"]
mod lines;
#[path = "fuzz/loader.rs"]
mod loader;
#[path = "fuzz/mutate.rs"]
mod mutate;
