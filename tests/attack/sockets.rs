//! Clients and servers that are killed in the middle, clients that work against one another, and an
//! administrator who edits the same object: over sockets, at points that the dice choose. Whatever
//! happens, applying again ends where an undisturbed apply ends, and nothing that was answered is
//! lost.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use serde_json::Value as Json;

use crate::Attack;
use crate::served::{Server, amlplan};

const MANIFEST: &str = "apiVersion: amlplan/v1
kind: Cluster
name: edge
azure:
  cloud: {name: sandbox, resourceManager: '${BASE:-http://127.0.0.1:1}'}
  subscription: 00000000-0000-0000-0000-000000000000
  resourceGroup: ml-rg
cluster: {type: connectedClusters, name: edge, distribution: openshift, kubeconfig: ./kubeconfigs/edge.yaml}
scc: {method: users}
extension:
  name: arcml-extension
  configurationSettings: {enableTraining: true}
computes:
- {name: k8s, workspace: {name: ws1}, namespace: team-a, identity: {type: SystemAssigned}}
instanceTypes:
- {name: gpu, nodeSelector: {sku: gpu}, resources: {requests: {cpu: '1', memory: 2Gi}, limits: {cpu: '2', memory: 2Gi}}}
";

/// How a run may end whose server was killed, or that met another one at work.
const ENDS: [i32; 4] = [0, 1, 3, 7];

/// Applies that may be needed until all is done.
const RUNS: usize = 6;

/// A served world that outlives its server.
pub(crate) struct World {
    folder: tempfile::TempDir,
    server: Option<Server>,
    url: String,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with("{}")
    }

    /// What the manifest presupposes, and what a world file says.
    pub(crate) fn with(file: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("cluster.yaml"), MANIFEST).expect("a manifest");
        std::fs::write(folder.path().join("world.yaml"), file).expect("a world");
        let mut world = Self { folder, server: None, url: "http://127.0.0.1:1".to_owned() };
        let files = ["--file", "cluster.yaml", "--world", "world.yaml"];
        let server = Server::start(world.path(), &files);
        world.url.clone_from(&server.url);
        world.server = Some(server);
        world
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = amlplan(self.path());
        command.env("BASE", &self.url).args(words).stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().expect("runs")
    }

    /// An apply of another folder whose requests pass through `url`.
    pub(crate) fn through(&self, url: &str) -> Command {
        let folder = self.path().join("elsewhere/kubeconfigs");
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.with_file_name("cluster.yaml"), MANIFEST).expect("a manifest");
        let config = std::fs::read_to_string(self.path().join("kubeconfigs/edge.yaml"));
        let config = config.expect("a kubeconfig").replace(&self.url, url);
        std::fs::write(folder.join("edge.yaml"), config).expect("a kubeconfig");
        let mut command = self.command(&["apply", "--auto-approve", "--json"]);
        command.current_dir(folder.with_file_name("")).env("BASE", url);
        command
    }

    /// Passes requests on at the address that is returned. Before the request of this number
    /// something else happens, and comes to its end.
    pub(crate) fn between(&self, number: usize, act: impl FnOnce() + Send + 'static) -> String {
        between(&self.url, number, act)
    }

    /// Kills the server, or stops it, and starts it again where it was.
    fn restart(&mut self, kill: bool) {
        match self.server.take() {
            Some(server) if !kill => server.stop(),
            // Dropped is killed.
            _ => {}
        }
        let address = self.url.rsplit('/').next().expect("an address").to_owned();
        self.server = Some(Server::start_at(self.path(), &address, &[]));
    }

    /// What the server holds, by kind and name.
    pub(crate) fn inventory(&self) -> BTreeSet<String> {
        let shown = self.run(&["sandbox", "show", "--json", "--state", "state.json"]);
        let shown: Json = serde_json::from_slice(&shown.stdout).unwrap_or_else(|error| {
            panic!("{error}: {}", String::from_utf8_lossy(&shown.stderr));
        });
        let arm = shown["arm"].as_object().expect("a map").keys().map(|it| it.to_lowercase());
        let mut found: BTreeSet<String> = arm.collect();
        for object in shown["kubernetes"]["edge"].as_array().expect("a list") {
            let text = |at: &str| object.pointer(at).and_then(Json::as_str).unwrap_or("");
            let (kind, name) = (text("/kind"), text("/metadata/name"));
            // Helm keeps a Secret for each revision, and a hook leaves its report behind.
            let kept = name.starts_with("sh.helm.release") || name.contains("healthcheck");
            if !["Event", "Pod", "ReplicaSet"].contains(&kind) && !kept {
                found.insert(format!("{kind} {}/{name}", text("/metadata/namespace")));
            }
        }
        found
    }

    /// Repeats a command until it is done.
    #[track_caller]
    pub(crate) fn until_done(&self, words: &[&str]) -> usize {
        let mut said = String::new();
        for run in 1..=RUNS {
            let ran = self.run(words);
            said = String::from_utf8_lossy(&ran.stderr).into_owned();
            let code = ran.status.code().unwrap_or(-1);
            assert!(ENDS.contains(&code), "{words:?}: {code}\n{said}");
            if code == 0 {
                return run;
            }
        }
        panic!("{words:?}: not done after {RUNS} runs\n{said}");
    }

    #[track_caller]
    pub(crate) fn holds(&self, expected: &BTreeSet<String>) {
        let found = self.inventory();
        let (more, less): (Vec<_>, Vec<_>) =
            (found.difference(expected).collect(), expected.difference(&found).collect());
        assert!(more.is_empty() && less.is_empty(), "too many {more:#?}, missing {less:#?}");
    }

    #[track_caller]
    pub(crate) fn nothing_to_do(&self) {
        let ran = self.run(&["plan", "--detailed-exitcode"]);
        let shown = [ran.stdout, ran.stderr].concat();
        assert_eq!(ran.status.code(), Some(0), "{}", String::from_utf8_lossy(&shown));
    }
}

/// A client at work whose events are counted, so that it can be killed between any two of them.
pub(crate) struct Client {
    pub(crate) child: Child,
    events: mpsc::Receiver<String>,
    said: File,
}

impl Client {
    fn start(world: &World, command: &str) -> Self {
        Self::of(world.command(&[command, "--auto-approve", "--json"]))
    }

    pub(crate) fn of(mut command: Command) -> Self {
        let said = tempfile::tempfile().expect("a file");
        command.stdout(Stdio::piped()).stderr(said.try_clone().expect("the same file"));
        let mut child = command.spawn().expect("starts");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let (sender, events) = mpsc::channel();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|it| sender.send(it)));
        Self { child, events, said }
    }

    /// Lets it go on for so many events and a moment more; the addresses that it said are done.
    fn goes_on(&self, events: usize, moment: Duration) -> Vec<String> {
        let mut done = Vec::new();
        let mut note = |line: String| {
            let event: Json = serde_json::from_str(&line).expect("one JSON a line");
            if event["type"] == "apply_complete" {
                done.push(event["address"].as_str().unwrap_or_default().to_owned());
            }
        };
        self.events.iter().take(events).for_each(&mut note);
        if let Ok(line) = self.events.recv_timeout(moment) {
            note(line);
        }
        done
    }

    fn kill(mut self) {
        let _ = self.child.kill();
        self.child.wait().expect("ends");
    }

    /// Waits for its end, which is one of these.
    #[track_caller]
    pub(crate) fn ends(mut self, ends: &[i32]) -> i32 {
        self.events.iter().for_each(drop);
        let code = self.child.wait().expect("ends").code().unwrap_or(-1);
        let mut said = String::new();
        self.said.rewind().and_then(|()| self.said.read_to_string(&mut said)).expect("a text");
        assert!(ends.contains(&code), "it ends with {code}:\n{said}");
        code
    }
}

/// The addresses whose step is still to be done.
fn planned(world: &World) -> BTreeSet<String> {
    let ran = world.run(&["plan", "--json"]);
    let plan: Json = serde_json::from_slice(&ran.stdout)
        .unwrap_or_else(|_| panic!("no plan: {}", String::from_utf8_lossy(&ran.stderr)));
    let all = plan["resource_changes"].as_array().expect("a list").iter();
    let makes = all.filter(|it| it["change"]["actions"][0] == "create");
    makes.map(|it| it["address"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn killed_at_any_point_it_ends_where_an_undisturbed_apply_ends() {
    let mut attack = Attack::new("kill -9 over sockets");
    let mut world = World::new();
    world.until_done(&["apply", "--auto-approve"]);
    let applied = world.inventory();
    world.until_done(&["destroy", "--auto-approve"]);
    let destroyed = world.inventory();
    while attack.goes_on() {
        for (command, expected) in [("apply", &applied), ("destroy", &destroyed)] {
            let client = Client::start(&world, command);
            let moment = Duration::from_micros(attack.dice.u64(0..60_000));
            let done = client.goes_on(attack.dice.usize(0..24), moment);
            if attack.dice.bool() {
                client.kill();
                attack.count(format!("clients killed in {command}"));
            } else {
                let kill = attack.dice.u8(0..4) > 0;
                world.restart(kill);
                client.ends(&ENDS);
                let how = if kill { "killed" } else { "stopped" };
                attack.count(format!("servers {how} in {command}"));
            }
            if command == "apply" {
                let open = planned(&world);
                let lost: Vec<_> = done.iter().filter(|it| open.contains(*it)).collect();
                assert!(lost.is_empty(), "said to be done, and lost: {lost:?}");
            }
            let runs = world.until_done(&[command, "--auto-approve"]);
            attack.count(format!("done by run {runs} after the kill"));
            world.holds(expected);
            if command == "apply" {
                world.nothing_to_do();
            }
        }
    }
}

/// Two applies of one manifest, then two destroys, begun at the same time; doctor looks on.
#[test]
fn two_clients_at_once_end_where_one_ends() {
    let mut attack = Attack::new("two clients at once");
    let world = World::new();
    world.until_done(&["apply", "--auto-approve"]);
    let applied = world.inventory();
    world.until_done(&["destroy", "--auto-approve"]);
    let destroyed = world.inventory();
    while attack.goes_on() {
        for (command, expected) in [("apply", &applied), ("destroy", &destroyed)] {
            let one = Client::start(&world, command);
            one.goes_on(attack.dice.usize(0..8), Duration::ZERO);
            let two = Client::start(&world, command);
            let looked = world.run(&["doctor"]);
            let said = String::from_utf8_lossy(&looked.stdout).into_owned();
            assert!(!said.contains("remove it the way it was installed"), "{said}");
            for client in [one, two] {
                client.ends(&[0]);
                attack.count(format!("{command} ended"));
            }
            world.holds(expected);
        }
        attack.count("rounds");
    }
}

fn between(server: &str, number: usize, act: impl FnOnce() + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let server = server.rsplit('/').next().expect("an address").to_owned();
    let act = Arc::new((AtomicUsize::new(0), Mutex::new(Some(act))));
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(server) = TcpStream::connect(&server) else { return };
            let copies = (server.try_clone(), client.try_clone());
            let (Ok(mut from), Ok(mut to)) = copies else { return };
            let act = Arc::clone(&act);
            std::thread::spawn(move || std::io::copy(&mut from, &mut to));
            std::thread::spawn(move || pass(client, server, number, &act));
        }
    });
    url
}

/// Without pipelining each request begins a text of its own.
fn pass(
    mut client: TcpStream,
    mut server: TcpStream,
    number: usize,
    (counted, act): &(AtomicUsize, Mutex<Option<impl FnOnce()>>),
) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length @ 1..) = client.read(&mut buffer) {
        let text = &buffer[..length];
        let methods = ["GET ", "PUT ", "POST ", "PATCH ", "DELETE "];
        let begins = methods.iter().any(|it| text.starts_with(it.as_bytes()));
        if begins && counted.fetch_add(1, Ordering::SeqCst) == number {
            let act = act.lock().expect("nobody panicked").take();
            act.into_iter().for_each(|it| it());
        }
        if server.write_all(text).is_err() {
            break;
        }
    }
    let _ = server.shutdown(Shutdown::Both);
}

/// Another apply begins, and comes as far as it will, between any two requests of this one: what was
/// read before and what is read after do not fit together, and it ends well all the same.
#[test]
fn what_another_apply_does_between_two_reads_is_no_reason_to_refuse() {
    let mut attack = Attack::new("between two reads");
    let world = World::new();
    world.until_done(&["apply", "--auto-approve"]);
    let applied = world.inventory();
    while attack.goes_on() {
        world.until_done(&["destroy", "--auto-approve"]);
        // Half of an undisturbed apply's requests are reads before its plan.
        let number = attack.dice.usize(0..40);
        // None, some or all of the events of the other one.
        let events = attack.dice.choice([0, 4, 10, 20, usize::MAX]).expect("one of them");
        let (begins, begun) = mpsc::channel();
        let other = world.command(&["apply", "--auto-approve", "--json"]);
        let url = world.between(number, move || {
            let client = Client::of(other);
            client.goes_on(events, Duration::ZERO);
            begins.send(client).expect("awaited");
        });
        Client::of(world.through(&url)).ends(&[0]);
        begun.recv().expect("it begins").ends(&[0]);
        world.holds(&applied);
        attack.count("pairs");
    }
}

/// An administrator adds users to the SCC that amlplan adds users to: neither loses any.
#[test]
fn editors_of_one_scc_lose_nothing() {
    let mut attack = Attack::new("editors of one SCC");
    let world = World::new();
    let users = || -> Vec<String> {
        let shown = world.run(&["sandbox", "show", "--json", "--state", "state.json"]);
        let shown: Json = serde_json::from_slice(&shown.stdout).expect("JSON");
        let all = shown["kubernetes"]["edge"].as_array().expect("a list");
        let scc = |it: &&Json| {
            it["kind"] == "SecurityContextConstraints" && it["metadata"]["name"] == "privileged"
        };
        let users = &all.iter().find(scc).expect("the SCC")["users"];
        let users = users.as_array().cloned().unwrap_or_default();
        users.iter().map(|it| it.as_str().unwrap_or_default().to_owned()).collect()
    };
    let before = users();
    let mut added = Vec::new();
    while attack.goes_on() {
        for command in ["apply", "destroy"] {
            let client = Client::start(&world, command);
            for _ in 0..attack.dice.usize(1..6) {
                let name = format!("editor-{}", added.len());
                let change = format!("/users/-=\"{name}\"");
                let words =
                    ["sandbox", "--state", "state.json", "set", "edge/scc_grant/privileged"];
                let ran = world.run(&[&words[..], &[change.as_str()]].concat());
                assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
                added.push(name);
                attack.count("edits");
            }
            client.ends(&ENDS);
            world.until_done(&[command, "--auto-approve"]);
            attack.count(command);
            let found = users();
            let lost: Vec<_> = added.iter().filter(|it| !found.contains(it)).collect();
            assert!(lost.is_empty(), "edits lost: {lost:?} of {found:?}");
            if command == "apply" {
                world.nothing_to_do();
                assert!(
                    found.len() > before.len() + added.len(),
                    "our users are missing: {found:?}"
                );
            } else {
                assert_eq!(found.len(), before.len() + added.len(), "{found:?}");
            }
        }
    }
}
