//! Trouble on every way: throttling, server errors, broken connections, failing and slow
//! operations, stale reads, interruptions. Applied again and again it converges, and nothing is
//! made twice.

use std::collections::BTreeMap;

use crate::program::Place;
use serde_json::Value as Json;

/// Runs that an apply may need until everything is there.
const RUNS: usize = 8;

/// How an apply may end when the world is hostile: done, partly applied, or no longer waiting.
const ENDS: [i32; 3] = [0, 3, 7];

fn json(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("no JSON: {error}\n{text}"))
}

/// What is there, by its identity; a thing made twice counts twice.
fn inventory(place: &Place) -> BTreeMap<String, usize> {
    let shown = json(&place.run(&["sandbox", "show", "--json", "--state", "world.json"]).out);
    let mut found = BTreeMap::new();
    for id in shown["arm"].as_object().expect("a map").keys() {
        // The guid in the name of a role assignment is made from what it grants, so twice the
        // same would be two names.
        *found.entry(id.to_ascii_lowercase()).or_insert(0) += 1;
    }
    for (cluster, objects) in shown["kubernetes"].as_object().expect("a map") {
        for object in objects.as_array().expect("a list") {
            let text = |at: &str| object.pointer(at).and_then(Json::as_str).unwrap_or("");
            let (kind, name) = (text("/kind"), text("/metadata/name"));
            // Helm keeps a Secret for each revision, and a hook leaves its report behind.
            let kept = name.starts_with("sh.helm.release") || name.contains("healthcheck");
            if !["Event", "Pod", "ReplicaSet"].contains(&kind) && !kept {
                let key = format!("{cluster} {kind} {}/{name}", text("/metadata/namespace"));
                *found.entry(key).or_insert(0) += 1;
            }
        }
    }
    found
}

/// The world in which nothing goes wrong.
fn calm(manifest: &str) -> BTreeMap<String, usize> {
    let place = Place::new();
    let ran = place.run(&["apply", manifest, "--sandbox=world.json", "--auto-approve"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    inventory(&place)
}

/// Applies until it is done, and returns after how many runs that is.
fn until_done(place: &Place, manifest: &str, more: &[&str], what: &str) -> usize {
    for run in 0..RUNS {
        let mut words = vec!["apply", manifest, "--sandbox=world.json", "--auto-approve"];
        words.extend(["--allow", "disruptive"]);
        // Only the first run is troubled from outside.
        words.extend(if run == 0 { more } else { &[] });
        let ran = place.run(&words);
        assert!(
            ENDS.contains(&ran.code),
            "{what}: run {run}: {}\n{}\n{}",
            ran.code,
            ran.out,
            ran.err
        );
        if ran.code == 0 {
            return run + 1;
        }
    }
    panic!("{what}: not done after {RUNS} runs");
}

fn settles(place: &Place, manifest: &str, expected: &BTreeMap<String, usize>, what: &str) {
    // Later commands meet the same trouble; reading is repeated, so it gets through.
    let plan = place.run(&["plan", manifest, "--sandbox=world.json", "--detailed-exitcode"]);
    assert_eq!(plan.code, 0, "{what}:\n{}\n{}", plan.out, plan.err);
    let found = inventory(place);
    assert_eq!(&found, expected, "{what}");
}

#[test]
fn every_kind_of_trouble_ends_in_the_same_world() {
    let manifest = "full.yaml";
    let expected = calm(manifest);
    let kinds = [
        "throttle: 0.2",
        "serverError: 0.2",
        "dropConnection: 0.2",
        "failOperation: 0.3",
        "slow: 0.4",
        "staleReads: 0.3",
        "throttle: 0.05, serverError: 0.05, dropConnection: 0.05, failOperation: 0.1, slow: 0.1, staleReads: 0.1",
    ];
    let mut most = 0;
    for kind in kinds {
        for seed in 1..=3 {
            let place = Place::new();
            let world = format!("faults: {{seed: {seed}, {kind}}}\n");
            std::fs::write(place.path("world.yaml"), &world).expect("a world");
            let runs = until_done(&place, manifest, &["--sandbox-world", "world.yaml"], &world);
            most = most.max(runs);
            settles(&place, manifest, &expected, &world);
        }
    }
    assert!(most > 1, "no world was hostile enough to fail an apply");
}

#[test]
fn an_interrupted_apply_is_gone_on_with() {
    let manifest = "full.yaml";
    let expected = calm(manifest);
    for after in ["1s", "20s", "100s", "151s", "200s", "230s", "300s", "10m", "12m", "700s"] {
        let place = Place::new();
        until_done(&place, manifest, &["--timeout", after], after);
        settles(&place, manifest, &expected, after);
    }
    let place = Place::new();
    until_done(&place, manifest, &["--no-wait"], "--no-wait");
    settles(&place, manifest, &expected, "--no-wait");
}

#[test]
fn many_interruptions_in_a_row_converge() {
    let manifest = "openshift.preview.yaml";
    let expected = calm(manifest);
    let place = Place::new();
    let mut ends = Vec::new();
    for _ in 0..60 {
        let words =
            ["apply", manifest, "--sandbox=world.json", "--auto-approve", "--timeout", "45s"];
        let ran = place.run(&words);
        ends.push(ran.code);
        assert!([0, 7].contains(&ran.code), "{}\n{}", ran.out, ran.err);
        if ran.code == 0 {
            break;
        }
    }
    assert!(ends.len() > 3 && ends.last() == Some(&0), "{ends:?}");
    settles(&place, manifest, &expected, "interrupted every 45 seconds");
}

#[test]
fn trouble_while_destroying_leaves_nothing_behind() {
    let manifest = "full.yaml";
    let place = Place::new();
    let plan = place.run(&["plan", manifest, "--sandbox=world.json"]);
    assert_eq!(plan.code, 0);
    let registration = |it: &String| it.split('/').count() == 5 && it.contains("/providers/");
    let mut before = inventory(&place);
    before.retain(|it, _| !registration(it));
    let world = "faults: {seed: 5, throttle: 0.1, serverError: 0.1, dropConnection: 0.1}\n";
    std::fs::write(place.path("world.yaml"), world).expect("a world");
    until_done(&place, manifest, &["--sandbox-world", "world.yaml"], world);
    let destroy = ["destroy", manifest, "--sandbox=world.json", "--auto-approve"];
    let done = (0..RUNS).any(|_| place.run(&destroy).code == 0);
    assert!(done, "not destroyed after {RUNS} runs");
    let mut after = inventory(&place);
    after.retain(|it, _| !registration(it));
    assert_eq!(after, before);
}
