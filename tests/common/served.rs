//! The simulator as a server of its own, and the program as its client.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The directory of the simulated world.
pub(crate) const TENANT: &str = "11111111-1111-1111-1111-111111111111";

/// Signs a run in to a served world, which takes any secret.
pub(crate) fn sign_in(command: &mut Command) -> &mut Command {
    let ids = [("AZURE_TENANT_ID", TENANT), ("AZURE_CLIENT_ID", TENANT)];
    command.envs(ids).env("AZURE_CLIENT_SECRET", "any")
}

/// The program, without anything of the caller's surroundings that could change what it does, and
/// with a sign-in for a served world, which takes any secret.
pub(crate) fn amlplan(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amlplan"));
    let ours = |name: &str| {
        ["AZURE_", "ARM_", "AMLPLAN_", "KUBE", "SSL_CERT_"].iter().any(|it| name.starts_with(it))
    };
    for (name, _) in std::env::vars().filter(|(name, _)| ours(name)) {
        command.env_remove(name);
    }
    sign_in(&mut command);
    command.current_dir(folder).env("NO_COLOR", "1").env("NO_PROXY", "localhost,127.0.0.1");
    command
}

/// A served world, stopped with SIGTERM when asked and killed when forgotten.
pub(crate) struct Server {
    child: Child,
    /// Where it listens.
    pub(crate) url: String,
}

impl Server {
    /// Serves the state file `state.json` of a folder on a free port.
    pub(crate) fn start(folder: &Path, more: &[&str]) -> Server {
        Self::start_at(folder, "127.0.0.1:0", more)
    }

    /// Serves it at this address.
    pub(crate) fn start_at(folder: &Path, address: &str, more: &[&str]) -> Server {
        let mut child = amlplan(folder)
            .args(["sandbox", "--state", "state.json", "serve", "--listen", address])
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("says where it listens");
        let url = line.split_whitespace().find(|word| word.contains("://"));
        let url = url.unwrap_or_else(|| panic!("an address in {line:?}")).to_owned();
        Server { child, url }
    }

    /// Ends it with SIGTERM.
    pub(crate) fn stop(mut self) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs");
        assert!(sent.success());
        let ended = self.child.wait().expect("ends");
        assert!(ended.success(), "SIGTERM is a clean end: {ended}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
