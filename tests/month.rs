//! Zero noise: what was applied and then left alone is silent, night after night, whatever the
//! world does by itself: autoscalers, evictions, upgrades, books that services keep.

#[path = "common/made.rs"]
mod made;
#[path = "common/program.rs"]
mod program;

use program::{Place, Ran};
use proptest::strategy::{Strategy as _, ValueTree as _};
use serde_json::Value as Json;

const NIGHTS: usize = 30;

/// Many manifests as one run: each in workspaces and under names of its own.
fn together(place: &Place, manifests: &[(String, String)]) {
    std::fs::create_dir(place.path("all")).expect("a folder");
    for (number, (name, text)) in manifests.iter().enumerate() {
        let mut text = text.replace("./tls/", "../tls/");
        // Stages are of one fleet, and this is about many.
        if let (Some(from), Some(to)) = (text.find("rollout:"), text.find("defaults:")) {
            text.replace_range(from..to, "");
        }
        for word in ["ml-workspace", "shop-", "edge-full"] {
            text = text.replace(&format!("name: {word}"), &format!("name: {word}{number}"));
            text = text.replace(&format!("name = \"{word}"), &format!("name = \"{word}{number}"));
        }
        std::fs::write(place.path("all").join(name), text).expect("a manifest");
    }
}

#[track_caller]
fn run(place: &Place, words: &[&str], code: i32) -> Ran {
    let ran = place.run(words);
    assert_eq!(ran.code, code, "{words:?}\n{}\n{}", ran.out, ran.err);
    ran
}

/// What somebody has to read, and what is only to know.
fn night(place: &Place) -> (Vec<Json>, Vec<Json>) {
    run(place, &["sandbox", "wait", "24h", "--state", "state"], 0);
    let words = ["drift", "all", "--sandbox=state", "--format", "json=last.json"];
    let ran = place.run(&[&words[..], &["--baseline", "last.json"]].concat());
    let report = std::fs::read_to_string(place.path("last.json")).unwrap_or_default();
    let report: Json = serde_json::from_str(&report).expect("a report");
    let findings = report["findings"].as_array().expect("a list").clone();
    let (told, noise): (Vec<Json>, Vec<Json>) =
        findings.into_iter().partition(|it| it["severity"] == "info");
    assert_eq!(ran.code, if noise.is_empty() { 0 } else { 2 }, "{}\n{noise:#?}", ran.err);
    assert_eq!(report["complete"], true, "{}", report["diagnostics"]);
    (noise, told)
}

fn a_month(place: &Place) {
    let apply = ["apply", "all", "--sandbox=state", "--auto-approve", "--allow", "disruptive"];
    run(place, &apply, 0);
    let mut upgrades = 0;
    for number in 1..=NIGHTS {
        let (noise, told) = night(place);
        assert!(noise.is_empty(), "night {number}: {noise:#?}");
        // What is only to know is that Azure upgraded.
        for it in &told {
            assert_eq!(
                (it["class"].as_str(), it["since"].as_str()),
                (Some("version"), Some("new"))
            );
        }
        upgrades += told.len();
    }
    assert!(upgrades > 10, "{upgrades} upgrades were seen");
    run(place, &["plan", "all", "--sandbox=state", "--detailed-exitcode"], 0);
    run(place, &["verify", "all", "--sandbox=state"], 0);
}

#[test]
fn shipped_manifests_are_silent_for_a_month() {
    let place = Place::new();
    let folder = std::fs::read_dir(place.path(".")).expect("the manifests");
    let mut all: Vec<(String, String)> = folder
        .map(|it| it.expect("an entry").path())
        .filter(|it| it.extension().is_some_and(|it| it == "yaml" || it == "toml"))
        .map(|it| {
            let name = it.file_name().expect("a name").to_str().expect("a text").to_owned();
            (name, std::fs::read_to_string(it).expect("a manifest"))
        })
        .collect();
    all.sort();
    assert!(all.len() > 30);
    together(&place, &all);
    a_month(&place);
}

#[test]
fn generated_manifests_are_silent_for_a_month() {
    let place = Place::new();
    let mut chance = made::runner(3, 1);
    let all: Vec<(String, String)> = (0..16)
        .map(|number| {
            let wanted = made::wanted().new_tree(&mut chance).expect("a manifest").current();
            let text =
                made::manifest(&wanted).replace("name: made", &format!("name: made-{number}"));
            (format!("made-{number}.yaml"), text)
        })
        .collect();
    together(&place, &all);
    a_month(&place);
}

#[test]
fn what_somebody_works_on_is_to_know_until_it_takes_too_long() {
    let place = Place::new();
    let manifest = "training.ga.yaml";
    let cluster = "edge-training";
    let extension = format!("{cluster}/extension/arcml-extension");
    let pod = |world: &Json| -> String {
        let all = world["kubernetes"][cluster].as_array().expect("a list").iter();
        let mut pods =
            all.filter(|it| it["kind"] == "Pod" && it["metadata"]["namespace"] == "azureml");
        let mut running = pods.by_ref().filter(|it| it["status"]["phase"] == "Running");
        running.next().expect("a pod")["metadata"]["name"].as_str().expect("a name").to_owned()
    };
    for upgrade in [true, false] {
        run(&place, &["sandbox", "reset", "--state", "state"], 0);
        run(&place, &["apply", manifest, "--sandbox=state", "--auto-approve"], 0);
        let world = run(&place, &["sandbox", "show", "--json", "--state", "state"], 0).out;
        let pod = format!("pod/azureml/{}", pod(&serde_json::from_str(&world).expect("JSON")));
        let set = ["sandbox", "set", "--state", "state", "-f", manifest];
        let change: &[&str] = if upgrade {
            &[&extension, "/properties/provisioningState=Updating"]
        } else {
            &[cluster, &pod, "/status/containerStatuses/0/ready=false"]
        };
        run(&place, &[&set[..], change].concat(), 0);
        let drift = ["drift", manifest, "--sandbox=state"];
        let told = run(&place, &drift, 0).out;
        assert!(told.contains("i edge-training/extension/arcml-extension"), "{told}");
        // To who wants to know whether it works, it does not yet.
        run(&place, &["verify", manifest, "--sandbox=state"], 2);
        run(&place, &["sandbox", "wait", "2h", "--state", "state"], 0);
        run(&place, &drift, 2);
    }
}

/// The fields of a resource as `az` sends them: without marks and fingerprints, the type in lower
/// case, no tags on computes (azure-cli-extensions, custom.py; recordings of azure-ai-ml).
fn as_az_sends(body: &Json) -> Vec<String> {
    let kind = body["type"].as_str().unwrap_or_default().to_ascii_lowercase();
    let without_ours = |at: &str| -> Json {
        let all = body.pointer(at).and_then(Json::as_object).into_iter().flatten();
        let theirs = all.filter(|(key, _)| !key.starts_with("amlplan"));
        theirs
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    match kind.rsplit('/').next().unwrap_or_default() {
        "extensions" => vec![
            format!(
                "/properties/configurationSettings={}",
                without_ours("/properties/configurationSettings")
            ),
            "/properties/extensionType=microsoft.azureml.kubernetes".to_owned(),
        ],
        "computes" => vec!["/tags=null".to_owned(), "/properties/description=null".to_owned()],
        _ if body["tags"]["amlplan-mark"].is_string() => {
            vec![format!("/tags={}", without_ours("/tags"))]
        }
        _ => Vec::new(),
    }
}

#[test]
fn what_az_made_is_silent_too() {
    for manifest in ["training.ga", "training.preview", "aks-training", "attach-arc-user", "full"] {
        let place = Place::new();
        let manifest = format!("{manifest}.yaml");
        run(&place, &["apply", &manifest, "--sandbox=state", "--auto-approve"], 0);
        let world = run(&place, &["sandbox", "show", "--json", "--state", "state"], 0).out;
        let world: Json = serde_json::from_str(&world).expect("JSON");
        let mut changed = 0;
        for (id, body) in world["arm"].as_object().expect("a map") {
            let changes = as_az_sends(body);
            if !changes.is_empty() {
                let words = ["sandbox", "set", id, "--state", "state", "-f", &manifest];
                let changes: Vec<&str> = changes.iter().map(String::as_str).collect();
                run(&place, &[&words[..], &changes].concat(), 0);
                changed += 1;
            }
        }
        assert!(changed > 1, "{manifest}: {changed}");
        run(&place, &["sandbox", "wait", "240h", "--state", "state"], 0);
        run(&place, &["drift", &manifest, "--sandbox=state"], 0);
    }
}
