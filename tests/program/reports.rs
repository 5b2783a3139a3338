//! Reports of `drift` where CI hosts expect them, and findings that only whole runs show.

use std::path::Path;
use std::process::Command;

const MANIFEST: &str = "manifests/full.yaml";

fn run(state: &str, arguments: &[&str], variables: &[(&str, &Path)]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amlplan"));
    command.args(arguments).arg(format!("--sandbox={state}")).env("NO_COLOR", "1");
    command.envs(variables.iter().copied()).current_dir(env!("CARGO_MANIFEST_DIR"));
    let out = command.output().expect("the program starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (out.status.code(), text(&out.stdout) + &text(&out.stderr))
}

/// A world in which the manifest was applied.
fn applied(folder: &Path) -> String {
    let state = folder.join("state").to_str().expect("a text").to_owned();
    let (code, told) = run(&state, &["apply", "--auto-approve", MANIFEST], &[]);
    assert_eq!(code, Some(0), "{told}");
    let (code, told) = run(&state, &["drift", MANIFEST], &[]);
    assert_eq!(code, Some(0), "{told}");
    state
}

#[test]
fn hosts_get_their_summaries_and_metrics() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = applied(folder.path());
    let summary = folder.path().join("summary.md");
    let variables = [("GITHUB_STEP_SUMMARY", summary.as_path())];
    let (code, told) = run(&state, &["drift", "--format", "github", MANIFEST], &variables);
    assert_eq!(code, Some(0), "{told}");
    assert!(std::fs::read_to_string(&summary).expect("a summary").contains("No drift"));
    let variables = [("AGENT_TEMPDIRECTORY", folder.path())];
    let (code, told) = run(&state, &["drift", "--format", "azure-pipelines", MANIFEST], &variables);
    assert_eq!(code, Some(0), "{told}");
    let page = folder.path().join("amlplan-drift.md");
    assert!(told.contains(&format!("##vso[task.uploadsummary]{}", page.display())), "{told}");
    assert!(page.is_file());
    let (_, told) = run(&state, &["drift", "--format", "prometheus", MANIFEST], &[]);
    for metric in ["last_run_timestamp_seconds", "run_duration_seconds", "complete"] {
        assert!(told.contains(&format!("amlplan_{metric}{{command=\"drift\"}} ")), "{told}");
    }
}

#[test]
fn a_router_of_another_type_and_silent_agents_are_drift() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = applied(folder.path());
    let set = |arguments: &[&str]| {
        let (code, told) = run(
            &state,
            &[&["sandbox", "set"], arguments, &["-f", MANIFEST, "--state", &state]].concat(),
            &[],
        );
        assert_eq!(code, Some(0), "{told}");
    };
    set(&["edge-full", "service/azureml/azureml-fe", "/spec/type=ClusterIP"]);
    set(&["edge-full/cluster/edge-full", "/properties/lastConnectivityTime=2020-01-01T00:00:00Z"]);
    let (code, told) = run(&state, &["drift", MANIFEST], &[]);
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("azureml-fe is of type ClusterIP"), "{told}");
    assert!(told.contains("agents were last heard"), "{told}");
}

#[test]
fn what_no_manifest_put_on_the_cluster_is_foreign() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state").to_str().expect("a text").to_owned();
    let manifest = "manifests/aks-training.yaml";
    let (code, told) = run(&state, &["apply", "--auto-approve", manifest], &[]);
    assert_eq!(code, Some(0), "{told}");
    // As if the portal had made it: without a mark.
    let arguments =
        ["sandbox", "set", "aks-training/compute/amlarc-compute", "/tags={}", "-f", manifest];
    let (code, told) = run(&state, &[&arguments[..], &["--state", &state]].concat(), &[]);
    assert_eq!(code, Some(0), "{told}");
    // Another manifest of the same cluster: what the first one made is somebody's.
    let whole = std::fs::read_to_string(manifest).expect("the manifest");
    let other = whole.replacen("name: aks-training", "name: aks-second", 1);
    let other = other.replace("name: amlarc-compute", "name: second-compute");
    let path = folder.path().join("other.yaml");
    std::fs::write(&path, &other).expect("a file");
    let (code, told) = run(&state, &["drift", path.to_str().expect("a text")], &[]);
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("compute/amlarc-compute"), "{told}");
    assert!(told.contains("drift-foreign") && told.contains("no manifest made it"), "{told}");

    // Accepted, in TOML with a date without quotes; a day that is past is a finding of its own.
    for (until, expected) in [("2999-12-31", false), ("2020-01-31", true)] {
        let text = format!(
            "apiVersion = 'amlplan/v1'\nkind = 'Cluster'\nname = 'aks-second'\n\
             azure = {{subscription = '00000000-0000-0000-0000-000000000000', resourceGroup = 'ml-rg'}}\n\
             cluster = {{type = 'managedClusters', name = 'aks-training'}}\n\
             [[drift.ignore]]\npath = 'compute'\nclass = 'foreign'\nreason = 'theirs'\nuntil = {until}\n\
"
        );
        let path = folder.path().join("accepted.toml");
        std::fs::write(&path, text).expect("a file");
        let (code, told) = run(&state, &["drift", path.to_str().expect("a text")], &[]);
        assert_eq!(code, Some(if expected { 2 } else { 0 }), "{until}: {told}");
        assert_eq!(told.contains("drift-ignore-expired"), expected, "{until}: {told}");
    }
}

/// Runs drift with an empty environment beside the variables.
fn drift(state: &str, more: &[&str], variables: &[(&str, &Path)]) -> (Option<i32>, String) {
    run(state, &[&["drift", MANIFEST], more].concat(), variables)
}

#[test]
fn odd_ways_to_ask_for_reports_lose_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = applied(folder.path());
    let at = |name: &str| folder.path().join(name).to_str().expect("a text").to_owned();
    let set = ["sandbox", "set", "edge-full/extension/arcml-extension"];
    let change = ["/properties/configurationSettings/inferenceRouterHA=False", "-f", MANIFEST];
    run(&state, &[&set[..], &change, &["--state", &state]].concat(), &[]);

    // Two reports into one file are refused; a file that cannot be written leaves the others.
    let (json, html) = (format!("json={}", at("x")), format!("html={}", at("x")));
    let (code, told) = drift(&state, &["--format", &json, "--format", &html], &[]);
    assert!(code == Some(1) && told.contains("two results into"), "{told}");
    let (bad, good) =
        (format!("json={}", folder.path().display()), format!("json={}", at("r.json")));
    let (code, _) = drift(&state, &["--format", &bad, "--format", &good], &[]);
    assert_eq!(code, Some(1));
    assert!(Path::new(&at("r.json")).is_file());
    let (code, told) = drift(&state, &["--format", "json=-"], &[]);
    assert!(code == Some(2) && told.contains("\"findings\""), "{told}");

    // What a host's own summary does changes nothing about what was found.
    for (format, variable) in
        [("github", "GITHUB_STEP_SUMMARY"), ("azure-pipelines", "AGENT_TEMPDIRECTORY")]
    {
        let wrong = if format == "github" { folder.path().to_owned() } else { at("r.json").into() };
        let (code, told) = drift(&state, &["--format", format], &[(variable, &wrong)]);
        assert!(code == Some(2) && told.contains("no summary of the"), "{format}: {told}");
    }

    // Baselines: not one, damaged, of this cluster, of another.
    std::fs::write(at("empty"), "").expect("a file");
    std::fs::write(at("damaged"), "{\"command\": \"drift\", \"findings\": [7]}").expect("a file");
    for name in ["empty", "damaged"] {
        let (code, told) = drift(&state, &["--baseline", &at(name)], &[]);
        assert!(code == Some(1) && told.contains("bad-baseline"), "{name}: {told}");
    }
    let (code, told) = drift(&state, &["--baseline", &at("r.json"), "--fail-on", "new"], &[]);
    assert!(code == Some(0) && told.contains("0 new, 1 still there, 0 gone."), "{told}");
    let other = ["drift", "manifests/aks-training.yaml", "--baseline", &at("r.json")];
    let (_, told) = run(&at("other"), &other, &[]);
    assert!(
        told.contains("0 gone. 1 of the baseline in clusters that are not looked at"),
        "{told}"
    );
}
