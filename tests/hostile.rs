//! Files that were made to hurt, read by the program itself under a limit of memory.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Far below what a runaway would take; the program itself maps a part of it.
const MEMORY_KIB: usize = 1_500_000;
/// Seconds of the processor, not of the clock: past them the system ends the program.
const PROCESSOR_SECONDS: usize = 120;

fn bounded(arguments: &[&str], input: &[u8]) -> Output {
    within(PROCESSOR_SECONDS, arguments, input)
}

fn within(seconds: usize, arguments: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(format!("ulimit -v {MEMORY_KIB} && ulimit -t {seconds} && exec \"$0\" \"$@\""))
        .arg(env!("CARGO_BIN_EXE_amlplan"))
        .args(arguments)
        .env("NO_COLOR", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    // A program that has seen enough closes its end.
    let _ = child.stdin.take().expect("it is piped").write_all(input);
    child.wait_with_output().expect("the program ends")
}

#[track_caller]
fn refuses(name: &str, arguments: &[&str], input: &[u8]) -> String {
    ends(name, &[1], arguments, input)
}

/// Ends in bounds with one of these codes, and says something.
#[track_caller]
fn ends(name: &str, codes: &[i32], arguments: &[&str], input: &[u8]) -> String {
    let done = bounded(arguments, input);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    let short: String = said.chars().take(2_000).collect();
    assert!(done.status.code().is_some_and(|it| codes.contains(&it)), "{name}: {short}");
    assert!(!said.contains("panicked") && !said.is_empty(), "{name}: {short}");
    assert!(said.len() < 1_000_000, "{name}: {} bytes of findings", said.len());
    said
}

/// Files by name, with the code that each is refused with.
fn hostile() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let head = "apiVersion: amlplan/v1\nkind: Cluster\nname: a\n";
    let deep = |open: &str, times: usize| [head, "x: ", &open.repeat(times), "\n"].concat();
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for at in 1..12 {
        let below = vec![format!("*a{}", at - 1); 10].join(", ");
        let line = format!("a{at}: &a{at} [{below}]\n");
        bomb.push_str(&line);
    }
    let huge = "9".repeat(5_000_000);
    let version = |number: &str| format!("{head}extension: {{name: e, version: {number}}}\n");
    let many: String = (0..10_000).map(|it| format!("k{it}: 1\n")).collect();
    let flags = ["a = ", &"[".repeat(100_000)].concat();
    let tables: String = (0..50_000).map(|it| format!("[a.b{it}]\n")).collect();
    let dotted = [&"a.".repeat(100_000), "a = 1"].concat();
    let wide = format!("a: [{}]", "1,".repeat(3_000_000));
    let fleet = "apiVersion: amlplan/v1\nkind: Fleet\nclusters: [";
    vec![
        ("flow.yaml", "yaml-syntax", deep("[", 1_000_000).into_bytes()),
        ("maps.yaml", "", deep("{a: ", 300_000).into_bytes()),
        ("lists.yaml", "", deep("- ", 300_000).into_bytes()),
        ("bomb.yaml", "too-many-values", bomb.into_bytes()),
        ("number.yaml", "", version(&huge).into_bytes()),
        ("float.yaml", "", version("1e999999999").into_bytes()),
        ("keys.yaml", "", [head, &many].concat().into_bytes()),
        ("fleet.yaml", "", [fleet, &"{},".repeat(10_000), "]"].concat().into_bytes()),
        ("latin.yaml", "not-utf8", b"name: caf\xe9\n".to_vec()),
        ("bytes.yaml", "", vec![0; 1_000_000]),
        ("large.yaml", "file-too-large", "a: b\n".repeat(21_000_000).into_bytes()),
        ("wide.yaml", "too-many-values", wide.into_bytes()),
        ("flow.toml", "toml-syntax", flags.into_bytes()),
        ("tables.toml", "", tables.into_bytes()),
        ("dotted.toml", "", dotted.into_bytes()),
        ("empty.toml", "empty-manifest", Vec::new()),
        ("latin.toml", "not-utf8", b"name = \"caf\xe9\"\n".to_vec()),
        ("large.toml", "file-too-large", "#xxx\n".repeat(21_000_000).into_bytes()),
    ]
}

#[test]
fn no_hostile_manifest_takes_the_machine() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, code, content) in hostile() {
        let file = folder.path().join(name);
        std::fs::write(&file, content).expect("a temporary file");
        let said = refuses(name, &["validate", &file.display().to_string()], b"");
        assert!(said.contains(code), "{name}: {said}");
        std::fs::remove_file(&file).expect("a temporary file");
    }
}

#[test]
fn an_endless_file_ends() {
    if Path::new("/dev/zero").exists() {
        let said = refuses("/dev/zero", &["validate", "/dev/zero"], b"");
        assert!(said.contains("file-too-large"), "{said}");
    }
}

#[test]
fn no_hostile_command_line_takes_the_machine() {
    let line = "az k8s-extension create --name e --cluster-type connectedClusters ";
    let many = [line, &"--config a=b ".repeat(60_000)].concat();
    let quotes = [line, &"'\"".repeat(500_000)].concat();
    let nested = [line, &"$(".repeat(500_000)].concat();
    let holes = [line, "--cluster-name ", &"<".repeat(500_000)].concat();
    let going_on = "\\\n".repeat(400_000);
    let lines = "az provider register --namespace\n".repeat(30_000);
    let long = "# \n".repeat(1_000_000);
    for (name, input) in [
        ("settings", many.into_bytes()),
        ("quotes", quotes.into_bytes()),
        ("nested", nested.into_bytes()),
        ("placeholders", holes.into_bytes()),
        ("continuations", going_on.into_bytes()),
        ("lines", lines.into_bytes()),
        ("long", long.into_bytes()),
        ("bytes", vec![0xff; 1_000_000]),
    ] {
        // What can be read of it is imported, and the rest is said.
        ends(name, &[0, 1], &["import", "--from-az", "-"], &input);
    }
}

/// What is repeated opens something each time and closes nothing, grows with each line, or reads
/// itself: a reader that looks for the end of each anew never comes to an end.
#[test]
fn no_script_of_openings_takes_the_machine() {
    const SECONDS: usize = 20;
    const BYTES: usize = 150_000;
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, unit) in [
        ("a.sh", "{{"),
        ("a.sh", "(("),
        ("a.sh", "$(("),
        ("a.sh", "${{"),
        ("a.sh", "x=$x$x\n"),
        ("a.sh", "source a.sh\n"),
        ("a.sh", "for x in $("),
        ("a.sh", "for x in {1..1999}{1..1999} {1..1999}\n"),
        ("a.ps1", "$("),
        ("a.ps1", "$(1|"),
        ("a.bat", "set a&&"),
        ("a.py", "["),
        ("a.py", "[\"az\","),
        ("a.py", "[\"az\",\"]\","),
    ] {
        let file = folder.path().join(name);
        let text = ["az k8s-extension create --name e ", &unit.repeat(BYTES / unit.len())];
        std::fs::write(&file, text.concat()).expect("a temporary file");
        let done = within(SECONDS, &["import", &file.display().to_string()], b"");
        let said = String::from_utf8_lossy(&done.stderr);
        let ended = done.status.code().is_some_and(|it| it <= 1);
        assert!(ended && !said.contains("panicked"), "{name} of {unit:?}: {said:.2000}");
    }
}
