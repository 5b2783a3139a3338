//! How the program ends when it is asked to, and what it does without where it may write nothing.

use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;

use crate::Attack;
use crate::program::Place;
use crate::served::amlplan;
use crate::sockets::{Client, World};

const SIGNALS: [&str; 3] = ["INT", "TERM", "HUP"];

/// Reads that every apply makes before it can have a plan.
const READS: usize = 20;

fn send(signal: &str, pid: u32) {
    let sent = Command::new("kill").args([&format!("-{signal}"), &pid.to_string()]).status();
    assert!(sent.expect("kill runs").success());
}

/// An apply that gets a signal before one of its requests is answered; its code.
fn stopped(
    world: &World,
    signal: &'static str,
    number: usize,
    command: fn(Command) -> Command,
) -> i32 {
    let (tells, pid) = mpsc::channel();
    let url = world.between(number, move || send(signal, pid.recv().expect("it runs")));
    let client = Client::of(command(world.through(&url)));
    // Its last request may come before this one.
    let _ = tells.send(client.child.id());
    client.ends(&[0, 3, 130])
}

#[test]
fn asked_to_stop_at_any_request_it_ends_in_order() {
    let mut attack = Attack::new("asked to stop");
    let world = World::new();
    world.until_done(&["apply", "--auto-approve"]);
    let applied = world.inventory();
    world.until_done(&["destroy", "--auto-approve"]);
    let destroyed = world.inventory();
    let mut early = true;
    while attack.goes_on() {
        for signal in SIGNALS {
            let number = attack.dice.usize(if early { 0..READS } else { READS..90 });
            let code = stopped(&world, signal, number, |it| it);
            if early {
                assert_eq!(code, 130, "{signal} at request {number}");
                world.holds(&destroyed);
            }
            if code == 0 {
                world.nothing_to_do();
            }
            attack
                .count(format!("{} ended with {code}", if early { "reading" } else { "writing" }));
            world.until_done(&["apply", "--auto-approve"]);
            world.holds(&applied);
            world.until_done(&["destroy", "--auto-approve"]);
        }
        early = !early;
    }
    // Started with nohup it outlives its terminal.
    let nohup = |it: Command| {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", "trap '' HUP; exec \"$0\" \"$@\""])
            .arg(it.get_program())
            .args(it.get_args());
        shell.current_dir(it.get_current_dir().expect("a folder")).stdin(Stdio::null());
        for (name, value) in it.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        shell
    };
    assert_eq!(stopped(&world, "HUP", 5, nohup), 0);
    world.holds(&applied);
}

/// A pipe that says nothing is waited for; who is asked to stop meanwhile stops.
#[test]
fn asked_to_stop_while_it_waits_for_its_manifest_it_stops() {
    let folder = tempfile::tempdir().expect("a folder");
    let pipe = folder.path().join("cluster.yaml");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs").success());
    for signal in SIGNALS {
        let mut command = amlplan(folder.path());
        command.args(["plan", "--sandbox", "cluster.yaml"]).stdout(Stdio::null());
        let child = command.stderr(Stdio::piped()).spawn().expect("it starts");
        // Opened when the program has opened its end.
        let silent = OpenOptions::new().write(true).open(&pipe).expect("a pipe");
        send(signal, child.id());
        let ended = child.wait_with_output().expect("it ends");
        drop(silent);
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(130), "{signal}: {said}");
        assert!(said.contains("interrupted; nothing was changed"), "{signal}: {said}");
    }
}

/// Commands that read, in a folder that nobody may write to: of an administrator too, who is given
/// another user's rights for it.
#[test]
fn commands_that_read_need_no_folder_to_write_to() {
    let place = Place::new();
    let folder = place.path(".");
    let program = place.path("amlplan");
    fs::copy(env!("CARGO_BIN_EXE_amlplan"), &program).expect("a copy");
    for (name, mode) in [("amlplan", 0o755), ("", 0o755)] {
        fs::set_permissions(place.path(name), Permissions::from_mode(mode)).expect("a mode");
    }
    assert_eq!(place.run(&["plan", "--sandbox", "full.yaml", "--out", "saved.plan"]).code, 0);
    fs::set_permissions(place.path("saved.plan"), Permissions::from_mode(0o444)).expect("a mode");
    let id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/ml-rg/providers/\
              Microsoft.Kubernetes/connectedClusters/edge-full";
    let all: [&[&str]; 11] = [
        &["validate", "full.yaml"],
        &["plan", "--sandbox", "full.yaml"],
        &["drift", "--sandbox", "full.yaml"],
        &["verify", "--sandbox", "full.yaml"],
        &["doctor", "--sandbox", "full.yaml"],
        &["permissions", "--sandbox", "full.yaml"],
        &["graph", "full.yaml"],
        &["show", "saved.plan"],
        &["explain", "stale-plan"],
        &["sandbox", "show"],
        &["import", "--sandbox", "--cluster", id],
    ];
    let administrator = fs::metadata(&program).expect("a program").uid() == 0;
    // A world that was never written, and one that another user wrote.
    for world in ["none", "there"] {
        match world {
            "none" => fs::remove_dir_all(place.path(".amlplan")).expect("a folder"),
            _ => {
                let ran = place.run(&["apply", "--sandbox", "--auto-approve", "full.yaml"]);
                assert_eq!(ran.code, 0, "{}", ran.err);
                for (name, mode) in [(".amlplan", 0o555), (".amlplan/sandbox.json", 0o444)] {
                    let mode = Permissions::from_mode(mode);
                    fs::set_permissions(place.path(name), mode).expect("a mode");
                }
            }
        }
        fs::set_permissions(&folder, Permissions::from_mode(0o555)).expect("a mode");
        // What there is to import is in the world.
        for words in all.into_iter().filter(|it| world == "there" || it[0] != "import") {
            let ran = as_nobody(&program, &folder, words, administrator);
            let shown = format!("{world}: {words:?}: {}", String::from_utf8_lossy(&ran.stderr));
            assert!(ran.status.code().is_some_and(|it| it == 0 || it == 2), "{shown}");
            assert!(!ran.stdout.is_empty() || words[0] == "validate", "{shown}");
        }
        // And what changes something says that it cannot.
        let changes = ["apply", "--sandbox", "--auto-approve", "full.yaml"];
        let ran = as_nobody(&program, &folder, &changes, administrator);
        assert_eq!(ran.status.code(), Some(1), "{}", String::from_utf8_lossy(&ran.stderr));
        fs::set_permissions(&folder, Permissions::from_mode(0o755)).expect("a mode");
    }
}

/// What somebody wrote is not lost to a slip of the hand, and no two results are mixed.
#[test]
fn no_result_takes_the_place_of_an_input_or_of_another() {
    let place = Place::new();
    let run = |words: &str| place.run(&words.split(' ').collect::<Vec<_>>());
    assert_eq!(run("plan --sandbox full.yaml --out saved.plan").code, 0);
    let inputs = ["full.yaml", "saved.plan", "tls/ml.example.com.crt"].map(|it| place.path(it));
    let before = inputs.clone().map(|it| fs::read(it).expect("an input"));
    std::os::unix::fs::symlink(place.path("."), place.path("here")).expect("a link");
    for words in [
        "plan --sandbox full.yaml --out full.yaml",
        "plan --sandbox full.yaml --out ./tls/../full.yaml",
        "plan --sandbox full.yaml --html here/full.yaml",
        "plan --sandbox full.yaml --out tls/ml.example.com.crt",
        "drift --sandbox full.yaml --format json=full.yaml",
        "verify --sandbox full.yaml --format html=full.yaml",
        "doctor --sandbox full.yaml --format junit=full.yaml",
        "import --from full.yaml --profile ga --out full.yaml",
        "apply --sandbox saved.plan --evidence saved.plan",
        "init full.yaml --scenario training",
        "plan --sandbox full.yaml --out -",
        "plan --sandbox full.yaml --out x --html ./x",
        "drift --sandbox full.yaml --format json --format junit",
        "drift --sandbox full.yaml --format json --format human=/dev/stdout",
        "doctor --sandbox full.yaml --format json=x --format html=./x",
    ] {
        let ran = run(words);
        assert_eq!(ran.code, 1, "{words}: {}", ran.err);
        let why = ["input of this run", "File exists", "two results", "standard output has"];
        assert!(why.iter().any(|it| ran.err.contains(it)), "{words}: {}", ran.err);
        assert_eq!(inputs.clone().map(|it| fs::read(it).expect("an input")), before, "{words}");
    }
    // The report of last night becomes that of this one.
    for _ in 0..2 {
        let ran = run("drift --sandbox full.yaml --baseline last.json --format json=last.json");
        assert!(fs::metadata(place.path("last.json")).is_ok(), "{}", ran.err);
    }
}

fn as_nobody(
    program: &Path,
    folder: &Path,
    words: &[&str],
    administrator: bool,
) -> std::process::Output {
    const NOBODY: u32 = 65_534;
    let mut command = Command::new(program);
    command.args(words).current_dir(folder).env_clear().env("NO_COLOR", "1").stdin(Stdio::null());
    if administrator {
        command.uid(NOBODY).gid(NOBODY);
    }
    command.output().expect("it starts")
}

/// What libraries log of a broken connection is for whoever asks for it.
#[test]
fn library_log_lines_appear_only_on_request() {
    let world = World::with("faults: {seed: 1, dropConnection: 0.1}");
    let logged = |words: &[&str]| {
        let said = world.run(words).stderr;
        let said = String::from_utf8_lossy(&said).into_owned();
        let level =
            |it: &&str| [" ERROR ", " WARN ", " INFO ", " DEBUG "].iter().any(|l| it.contains(l));
        let (ours, theirs): (Vec<&str>, Vec<&str>) =
            said.lines().filter(level).partition(|it| it.contains(" amlplan::"));
        (ours.len(), theirs.len())
    };
    assert_eq!(logged(&["plan"]), (0, 0));
    let (ours, theirs) = logged(&["plan", "-v"]);
    assert!(ours > 0 && theirs == 0, "{ours} and {theirs}");
    let (_, theirs) = logged(&["plan", "-vv"]);
    assert!(theirs > 0);
}
