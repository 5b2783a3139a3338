//! What tests of the program share.

use std::process::{Command, Output};

/// Runs the program.
pub(crate) fn amlplan(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amlplan"));
    command.args(arguments).env("NO_COLOR", "1").output().expect("the program starts")
}

/// What a program wrote.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
