//! The roles that `permissions` prints are enough, and the simulator lets nobody do more.

#[path = "../common/command.rs"]
mod command;

use std::path::Path;

use self::command::{amlplan, text};
use crate::manifests::manifests;
use serde_json::{Value as Json, json};

/// A world in which the caller has the roles that were printed, and no others.
fn world(manifest: &Path, purpose: &str, folder: &Path) -> String {
    let manifest = manifest.to_str().expect("a text");
    let out = amlplan(&["permissions", "--json", "--for", purpose, manifest]);
    assert!(out.status.success(), "{manifest}: {}", text(&out.stderr));
    let roles: Json = serde_json::from_slice(&out.stdout).expect("JSON");
    let list = |it: &Json| it.as_array().cloned().unwrap_or_default();
    let mut azure = Vec::new();
    for role in list(&roles["azure"]) {
        for scope in list(&role["AssignableScopes"]) {
            azure.push(json!({"scope": scope, "actions": role["Actions"]}));
        }
    }
    let clusters = roles["kubernetes"].as_object().expect("an object");
    let rules: Vec<Json> =
        clusters.values().flat_map(list).flat_map(|it| list(&it["rules"])).collect();
    let path = folder.join(format!("{purpose}.yaml"));
    // JSON is YAML.
    let access = json!({"access": {"azure": azure, "kubernetes": rules}});
    std::fs::write(&path, access.to_string()).expect("a file");
    path.to_str().expect("a text").to_owned()
}

/// Gives the caller in every cluster of a state the rules of a world.
fn narrow(manifest: &Path, state: &str, world: &str) {
    let world: Json = serde_json::from_str(&std::fs::read_to_string(world).expect("a world"))
        .expect("the world is JSON");
    let rules = format!("/rules={}", world["access"]["kubernetes"]);
    let shown = amlplan(&["sandbox", "show", "--json", "--state", state]);
    let shown: Json = serde_json::from_slice(&shown.stdout).expect("JSON");
    let ids = shown["arm"].as_object().expect("a map").keys();
    let manifest = manifest.to_str().expect("a text");
    for id in ids.filter(|it| it.contains("Clusters/") && it.split('/').count() == 9) {
        let role = "clusterrole/sandbox-caller";
        let out = amlplan(&["sandbox", "set", id, role, &rules, "-f", manifest, "--state", state]);
        assert!(out.status.success(), "{id}: {}", text(&out.stderr));
    }
}

fn run(command: &[&str], manifest: &Path, state: &str, world: &str) -> (Option<i32>, String) {
    let sandbox = format!("--sandbox={state}");
    let own = [&sandbox, "--sandbox-world", world, manifest.to_str().expect("a text")];
    let out = amlplan(&[command, &own].concat());
    (out.status.code(), text(&out.stdout) + &text(&out.stderr))
}

#[test]
fn every_shipped_manifest_is_applied_with_the_roles_for_apply_and_planned_with_those_for_plan() {
    let all = manifests("manifests");
    let lane = |lane: usize| {
        for manifest in all.iter().skip(lane).step_by(2) {
            let folder = tempfile::tempdir().expect("a folder");
            let state = |name: &str| folder.path().join(name).to_str().expect("a text").to_owned();
            let (may_apply, may_plan) =
                (world(manifest, "apply", folder.path()), world(manifest, "plan", folder.path()));
            let name = manifest.display();

            let (code, told) = run(&["apply", "--auto-approve"], manifest, &state("a"), &may_apply);
            assert_eq!(code, Some(0), "{name}: {told}");
            let (code, told) =
                run(&["plan", "--detailed-exitcode"], manifest, &state("a"), &may_apply);
            assert_eq!(code, Some(0), "{name}: {told}");
            // What only a second answer leads to is read with the reading role, too.
            let may_drift = world(manifest, "drift", folder.path());
            narrow(manifest, &state("a"), &may_drift);
            let (code, told) = run(&["drift"], manifest, &state("a"), &may_drift);
            assert_eq!(code, Some(0), "{name}: {told}");
            narrow(manifest, &state("a"), &may_apply);
            let (code, told) =
                run(&["destroy", "--auto-approve"], manifest, &state("a"), &may_apply);
            assert_eq!(code, Some(0), "{name}: {told}");

            let (code, told) =
                run(&["plan", "--detailed-exitcode"], manifest, &state("p"), &may_plan);
            assert_eq!(code, Some(2), "{name}: {told}");
            assert!(!told.contains("cannot") && !told.contains("not searched"), "{name}: {told}");
            let (code, told) =
                run(&["permissions", "--check", "--for", "plan"], manifest, &state("p"), &may_plan);
            assert_eq!(code, Some(0), "{name}: {told}");
            let (code, told) = run(&["permissions", "--check"], manifest, &state("p"), &may_plan);
            assert_eq!(code, Some(2), "{name}: {told}");
            assert!(told.contains("lacks "), "{name}: {told}");
            let (code, told) = run(&["apply", "--auto-approve"], manifest, &state("p"), &may_plan);
            assert!(matches!(code, Some(3 | 5)), "{name}: {told}");
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| lane(0));
        scope.spawn(|| lane(1));
    });
}

#[test]
fn whoever_may_only_read_in_the_cluster_is_stopped_before_anything_is_made() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state").to_str().expect("a text").to_owned();
    let world = folder.path().join("world.yaml");
    let rules = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list"]}]);
    std::fs::write(&world, json!({"access": {"kubernetes": rules}}).to_string()).expect("a file");
    let world = world.to_str().expect("a text");
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/full.yaml");
    let (code, told) = run(&["doctor"], &manifest, &state, world);
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("may not create namespaces at cluster edge-full"), "{told}");
    let (code, told) = run(&["apply", "--auto-approve"], &manifest, &state, world);
    assert_eq!(code, Some(5), "{told}");
    let (_, told) = run(&["plan"], &manifest, &state, world);
    assert!(told.contains("18 to add"), "{told}");
}
