//! Stories told with the built program: each file in `tests/scripts` has files and commands, and
//! what the commands write and how they end is a snapshot.
//!
//! `-- NAME --` begins a file. `$ amlplan …` runs a command and shows everything, `$> amlplan …` a
//! plan from its count on, `$~ amlplan …` only how it ends; `$ replace FILE OLD NEW` edits a file;
//! other lines are what the story says.

#[path = "common/program.rs"]
mod program;

use std::fmt::Write as _;
use std::path::Path;

use program::Place;

/// Splits a command into words; double and single quotes hold words together.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for sign in line.chars() {
        match (quote, sign) {
            (None, '"' | '\'') => {
                quote = Some(sign);
                word.get_or_insert_default();
            }
            (Some(open), _) if open == sign => quote = None,
            (None, ' ') => words.extend(word.take()),
            _ => word.get_or_insert_default().push(sign),
        }
    }
    words.extend(word);
    words
}

/// How much of a command's output a story shows.
#[derive(Clone, Copy)]
enum Show {
    All,
    End,
    Nothing,
}

fn tell(text: &str) -> String {
    let place = Place::new();
    let mut told = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(name) = line.strip_prefix("-- ").and_then(|it| it.strip_suffix(" --")) {
            let mut content = String::new();
            while let Some(line) = lines.next_if(|it| {
                !it.starts_with('$') && !it.starts_with("-- ") && !it.starts_with("## ")
            }) {
                content.push_str(line);
                content.push('\n');
            }
            std::fs::write(place.path(name), content).expect("a file of the story");
        } else if let Some((sign, command)) =
            line.split_once(' ').filter(|it| it.0.starts_with('$'))
        {
            let _ = writeln!(told, "$ {command}");
            let show = match sign {
                "$" => Show::All,
                "$>" => Show::End,
                "$~" => Show::Nothing,
                _ => panic!("`{line}` is no command of a story"),
            };
            step(&place, command, show, &mut told);
        } else {
            let _ = writeln!(told, "{line}");
        }
    }
    told
}

/// The output of a plan or an apply from the count of changes on.
fn end(out: &str) -> &str {
    let count = |it: &str| it.starts_with("Plan: ") || it.starts_with("No changes.");
    let at = out.split_inclusive('\n').scan(0, |at, line| {
        let here = *at;
        *at += line.len();
        Some((here, line))
    });
    let at = at.filter(|(_, line)| count(line)).map(|(at, _)| at).next();
    &out[at.unwrap_or(0)..]
}

fn step(place: &Place, command: &str, show: Show, told: &mut String) {
    let words = words(command);
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["amlplan", ref arguments @ ..] => {
            let ran = place.run(arguments);
            let folder = place.path("").display().to_string();
            assert!(!ran.out.contains(&folder), "a path of this machine: {}", ran.out);
            match show {
                Show::All => told.push_str(&ran.out),
                Show::End => told.push_str(end(&ran.out)),
                Show::Nothing => {}
            }
            if !matches!(show, Show::Nothing) {
                // How often progress is shown is a matter of taste.
                let often = |it: &&str| it.contains(" elapsed] ") || it.contains(" so far");
                for line in ran.err.lines().filter(|it| !often(it)) {
                    let _ = writeln!(told, "! {line}");
                }
            }
            let _ = writeln!(told, "[exits with {}]", ran.code);
        }
        ["replace", file, old, new] => {
            let path = place.path(file);
            let text = std::fs::read_to_string(&path).expect("a file of the story");
            assert!(text.contains(old), "`{old}` is not in {file}");
            std::fs::write(path, text.replace(old, &new.replace("\\n", "\n")))
                .expect("a file of the story");
        }
        ["cat", file] => {
            told.push_str(&std::fs::read_to_string(place.path(file)).expect("a file of the story"));
        }
        _ => panic!("`{command}` is no command of a story"),
    }
}

fn story(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/scripts/{name}.txt"));
    let told = tell(&std::fs::read_to_string(path).expect("a story"));
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("snapshots/scripts");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.add_filter(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)", "[time]");
    let seconds = r#"(amlplan_(?:last_run_timestamp|run_duration)_seconds\{[^}]*\}) [0-9.]+"#;
    settings.add_filter(seconds, "$1 [seconds]");
    settings.add_filter(r#""(correlation|run)_?[iI]d": ?"[0-9a-f-]{36}""#, "\"$1\": \"[id]\"");
    settings.bind(|| insta::assert_snapshot!(name, told));
}

macro_rules! stories {
    ($($name:ident,)*) => {
        const STORIES: &[&str] = &[$(stringify!($name)),*];
        $(#[test] fn $name() { story(&stringify!($name).replace('_', "-")); })*
    };
}

stories! {
    first_apply_and_second_run,
    a_failure_stops_only_what_depends_on_it,
    a_second_gpu_plugin_is_refused,
    a_feature_waits_for_approval,
    a_feature_is_retired,
    a_fleet_in_groups,
    a_name_means_one_thing,
    openshift_without_grants,
    grants_as_users_or_rbac,
    a_saved_plan,
    protected_and_disruptive,
    part_of_a_manifest,
    fields_left_to_others,
    broken_states_and_missing_things,
    not_waiting,
    drift_that_somebody_accepted,
    reports_of_drift,
    graph_show_and_explain,
    without_kubernetes,
    credentials_stay_home,
    what_a_manifest_no_longer_names,
    two_manifests_of_one_cluster,
    what_is_adopted_and_what_is_left_alone,
}

#[test]
fn every_story_is_told() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .expect("the stories")
        .map(|it| it.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    let mut told: Vec<String> =
        STORIES.iter().map(|it| format!("{}.txt", it.replace('_', "-"))).collect();
    files.sort();
    told.sort();
    assert_eq!(files, told);
}
