//! `amlplan init`: every starter is valid as written, alone in a folder, and the simulator takes it.

use std::path::Path;
use std::process::{Command, Output};

fn amlplan(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amlplan"));
    command.args(arguments).current_dir(folder).env("NO_COLOR", "1");
    command.output().expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn scenarios() -> Vec<String> {
    let folder = tempfile::tempdir().expect("a test fixture");
    let listed = amlplan(folder.path(), &["init", "--list"]);
    let listed = text(&listed.stdout);
    let names = listed.lines().filter_map(|it| it.split_whitespace().next());
    let names: Vec<String> = names.map(str::to_owned).collect();
    assert!(names.len() >= 8, "{listed}");
    names
}

#[test]
fn every_starter_validates_as_written_and_applies_on_the_simulator() {
    for scenario in scenarios() {
        let folder = tempfile::tempdir().expect("a test fixture");
        let run = |arguments: &[&str]| {
            let done = amlplan(folder.path(), arguments);
            let shown = [text(&done.stdout), text(&done.stderr)].concat();
            assert_eq!(done.status.code(), Some(0), "{scenario} {arguments:?}\n{shown}");
            shown
        };
        run(&["init", "--scenario", &scenario]);
        let said = run(&["validate"]);
        assert!(said.contains("no warnings"), "{scenario}\n{said}");
        run(&["apply", "--sandbox", "--auto-approve"]);
        run(&["plan", "--sandbox", "--detailed-exitcode"]);
        let written = std::fs::read_to_string(folder.path().join("cluster.yaml"));
        let comments = written.expect("init writes it").matches('#').count();
        assert!(comments > 10, "{scenario} has {comments} comments");
    }
}

#[test]
fn what_is_there_is_never_overwritten() {
    let folder = tempfile::tempdir().expect("a test fixture");
    std::fs::write(folder.path().join("mine.yaml"), "mine").expect("a test fixture");
    let done = amlplan(folder.path(), &["init", "mine.yaml", "--scenario", "training"]);
    assert_eq!(done.status.code(), Some(1));
    assert!(text(&done.stderr).contains("mine.yaml"), "{}", text(&done.stderr));
    let kept = std::fs::read_to_string(folder.path().join("mine.yaml")).expect("it is there");
    assert_eq!(kept, "mine");
}

#[test]
fn an_unknown_scenario_is_answered_with_the_nearest_and_with_all() {
    let folder = tempfile::tempdir().expect("a test fixture");
    let done = amlplan(folder.path(), &["init", "--scenario", "trainning"]);
    assert_eq!(done.status.code(), Some(1));
    let said = text(&done.stderr);
    assert!(said.contains("did you mean `training`") && said.contains("openshift"), "{said}");
    let asked = amlplan(folder.path(), &["init"]);
    assert!(text(&asked.stderr).contains("--scenario"), "{}", text(&asked.stderr));
}
