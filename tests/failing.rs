//! Installs that fail: each ends in one screen that names cause, line of the manifest, and fix, and
//! leaves its evidence in a file.

#[path = "common/program.rs"]
mod program;

use program::Place;

/// More lines than this no screen shows at once.
const SCREEN: usize = 45;

/// A failing install: what differs in the world and in the manifest, how it ends, what the screen
/// has to hold.
struct Case {
    name: &'static str,
    manifest: &'static str,
    edit: (&'static str, &'static str),
    world: &'static str,
    exit: i32,
    holds: &'static [&'static str],
}

const fn full(
    name: &'static str,
    world: &'static str,
    exit: i32,
    holds: &'static [&'static str],
) -> Case {
    Case { name, manifest: "full.yaml", edit: ("", ""), world, exit, holds }
}

/// What the extension's own health check refuses.
fn health_checks() -> Vec<Case> {
    vec![
        full(
            "an unknown error of the health check",
            "health: [E40000]",
            3,
            &["E40000", "full.yaml:20", "healthcheck"],
        ),
        full("no load balancer", "health: [E40001]", 3, &["E40001", "full.yaml:28", "NodePort"]),
        full(
            "too few nodes",
            "nodes: 2",
            5,
            &["wants 3 nodes", "full.yaml:29", "inferenceRouterHA: false"],
        ),
        full(
            "a router that never came",
            "health: [E40004]",
            3,
            &["E40004", "full.yaml:20", "events of namespace azureml"],
        ),
        full(
            "a router that did not scale",
            "health: [E40005]",
            3,
            &["E40005", "full.yaml:29", "more CPU, memory or nodes"],
        ),
        full(
            "replicas that could not be changed",
            "health: [E40006]",
            3,
            &["E40006", "full.yaml:20", "log of pod"],
        ),
        full(
            "a certificate that the extension refuses",
            "health: [E40007]",
            3,
            &["E40007", "full.yaml:", "sslCname"],
        ),
    ]
}

/// What is refused, or goes wrong, because of what the world is like.
fn surroundings() -> Vec<Case> {
    vec![
        full(
            "a second Prometheus operator",
            "installed: [prometheus-operator]",
            5,
            &["prometheus-operator", "full.yaml:", "installPromOp: false"],
        ),
        full(
            "a router of the first generation",
            "installed: [azureml-fe-v1]",
            5,
            &["azureml-fe", "full.yaml:", "kubectl delete"],
        ),
        full(
            "agents that do not answer",
            "connectivity: Offline",
            5,
            &["Offline", "full.yaml:", "azure-arc"],
        ),
        full(
            "a second GPU plugin",
            "installed: [nvidia-device-plugin]",
            5,
            &["nvidia-device-plugin", "full.yaml:32", "installNvidiaDevicePlugin: false"],
        ),
        full(
            "a proxy in the way",
            "health: [E45003, E40000]",
            3,
            &["E45003", "full.yaml:", "healthcheck"],
        ),
        Case {
            name: "a certificate for another host",
            manifest: "full.yaml",
            edit: ("sslCname: ml.example.com", "sslCname: ml.other.org"),
            world: "nodes: 3",
            exit: 1,
            holds: &["ml.other.org", "full.yaml:30", "help:"],
        },
        Case {
            name: "a service account without its grant",
            manifest: "full.yaml",
            edit: ("method: rbac", "method: users"),
            world: "sccEdit: deny",
            exit: 3,
            holds: &["privileged", "full.yaml:", "help:"],
        },
    ]
}

/// What a person sees at the end: the result from the count of changes on, and what came beside it.
fn screen(out: &str, err: &str) -> String {
    let result =
        out.lines().skip_while(|it| !it.starts_with("Plan: ")).collect::<Vec<_>>().join("\n");
    let lines = |it: &&str| {
        !it.contains("creating...") && !it.contains(" after ") && !it.contains(" so far")
    };
    let told: Vec<&str> = err.lines().filter(lines).collect();
    format!("{result}\n{}", told.join("\n"))
}

#[test]
fn every_failing_install_ends_in_one_screen_with_cause_line_and_fix() {
    let mut wrong = Vec::new();
    for case in health_checks().into_iter().chain(surroundings()) {
        let place = Place::new();
        let text = std::fs::read_to_string(place.path(case.manifest)).expect("a manifest");
        assert!(text.contains(case.edit.0), "{}", case.name);
        let text = text.replacen(case.edit.0, case.edit.1, 1);
        std::fs::write(place.path(case.manifest), text).expect("a manifest");
        let world = format!("clusters:\n- {{name: edge-full, {}}}\n", case.world);
        std::fs::write(place.path("world.yaml"), world).expect("a world");
        let words = [
            "apply",
            "--sandbox",
            "--sandbox-world",
            "world.yaml",
            "--auto-approve",
            "--evidence",
            "evidence.json",
            case.manifest,
        ];
        let told = place.run(&words);
        let seen = screen(&told.out, &told.err);
        let flat = seen.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut lacks: Vec<String> =
            case.holds.iter().filter(|it| !flat.contains(**it)).map(ToString::to_string).collect();
        if told.code != case.exit {
            lacks.push(format!("exit {} instead of {}", told.code, case.exit));
        }
        if seen.lines().count() > SCREEN {
            lacks.push(format!("{} lines", seen.lines().count()));
        }
        // A gate changes nothing, so there is nothing to write down.
        if case.exit == 3 {
            let evidence = std::fs::read_to_string(place.path("evidence.json")).unwrap_or_default();
            let evidence: serde_json::Value = serde_json::from_str(&evidence).unwrap_or_default();
            if evidence["failed"][0]["message"].as_str().is_none_or(str::is_empty) {
                lacks.push(format!("evidence: {evidence}"));
            }
        }
        if !lacks.is_empty() {
            wrong.push(format!("{}: {lacks:?}\n{seen}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn a_role_that_lacks_is_said_before_anything_is_changed() {
    let place = Place::new();
    let scope = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/ml-rg";
    let world = format!("access:\n  azure: [{{role: Reader, scope: {scope}}}]\n");
    std::fs::write(place.path("world.yaml"), world).expect("a world");
    let words = [
        "apply",
        "--sandbox",
        "--sandbox-world",
        "world.yaml",
        "--auto-approve",
        "training.ga.yaml",
    ];
    let told = place.run(&words);
    assert!([1, 5].contains(&told.code), "{}\n{}{}", told.code, told.out, told.err);
    assert!(told.err.contains("help:"), "{}", told.err);
}

#[test]
fn the_evidence_holds_what_a_ticket_needs_and_no_secret() {
    let place = Place::new();
    std::fs::write(place.path("world.yaml"), "clusters:\n- {name: edge-full, health: [E40001]}\n")
        .expect("a world");
    let words = [
        "apply",
        "--sandbox",
        "--sandbox-world",
        "world.yaml",
        "--auto-approve",
        "--evidence",
        "evidence.json",
        "full.yaml",
    ];
    assert_eq!(place.run(&words).code, 3);
    let text = std::fs::read_to_string(place.path("evidence.json")).expect("the evidence");
    let evidence: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let failed = &evidence["failed"][0];
    assert_eq!(failed["address"], "edge-full/extension/arcml-extension");
    for part in ["health_report", "resource", "pods", "events"] {
        assert!(!failed[part].is_null(), "{part} is missing: {failed}");
    }
    assert!(failed["health_report"].to_string().contains("E40001"));
    let key = std::fs::read_to_string(place.path("tls/ml.example.com.key")).expect("a key");
    let line = key.lines().nth(1).expect("a line of the key");
    assert!(
        !text.contains(line)
            && !text.contains("SharedAccessKey=")
            && !text.contains("configurationProtectedSettings")
    );
}
