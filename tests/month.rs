//! Zero noise: what was applied and then left alone is silent, night after night, whatever the
//! world does by itself: autoscalers, evictions, upgrades, books that services keep.

#[path = "common/az.rs"]
mod az;
#[path = "common/made.rs"]
mod made;
#[path = "common/program.rs"]
mod program;
#[path = "common/served.rs"]
mod served;

use amlplan::text::{LoadOptions, Secrets};
use az::{Az, Cluster};
use program::{Place, Ran};
use proptest::strategy::{Strategy as _, ValueTree as _};
use serde_json::Value as Json;
use served::Server;

/// After which nights somebody looks: a cycle of the autoscaler, the nights in which the extension and
/// Kubernetes get a new version with a night after them, and the end of the month.
const LOOKS: [u32; 10] = [1, 2, 3, 4, 6, 10, 15, 20, 21, 30];

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
fn look(place: &Place) -> (Vec<Json>, Vec<Json>) {
    let words = ["drift", "all", "--sandbox=state.json", "--format", "json=last.json"];
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
    let apply = ["apply", "all", "--sandbox=state.json", "--auto-approve", "--allow", "disruptive"];
    run(place, &apply, 0);
    let (mut upgrades, mut passed) = (0, 0);
    for night in LOOKS {
        let time = format!("{}h", (night - passed) * 24);
        run(place, &["sandbox", "wait", &time, "--state", "state.json"], 0);
        passed = night;
        let (noise, told) = look(place);
        assert!(noise.is_empty(), "night {night}: {noise:#?}");
        // What is only to know is that Azure upgraded.
        for it in &told {
            let known = (it["class"].as_str(), it["since"].as_str());
            assert_eq!(known, (Some("version"), Some("new")), "night {night}: {it:#}");
        }
        upgrades += told.len();
    }
    assert!(upgrades > 10, "{upgrades} upgrades were seen");
    run(place, &["plan", "all", "--sandbox=state.json", "--detailed-exitcode"], 0);
    run(place, &["verify", "all", "--sandbox=state.json"], 0);
}

/// The manifests of the folder, in order.
fn shipped(place: &Place) -> Vec<(String, String)> {
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
    all
}

#[test]
fn shipped_manifests_are_silent_for_a_month() {
    let place = Place::new();
    together(&place, &shipped(&place));
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
        run(&place, &["sandbox", "reset", "--state", "state.json"], 0);
        run(&place, &["apply", manifest, "--sandbox=state.json", "--auto-approve"], 0);
        let world = run(&place, &["sandbox", "show", "--json", "--state", "state.json"], 0).out;
        let pod = format!("pod/azureml/{}", pod(&serde_json::from_str(&world).expect("JSON")));
        let set = ["sandbox", "set", "--state", "state.json", "-f", manifest];
        let change: &[&str] = if upgrade {
            &[&extension, "/properties/provisioningState=Updating"]
        } else {
            &[cluster, &pod, "/status/containerStatuses/0/ready=false"]
        };
        run(&place, &[&set[..], change].concat(), 0);
        let drift = ["drift", manifest, "--sandbox=state.json"];
        let told = run(&place, &drift, 0).out;
        assert!(told.contains("i edge-training/extension/arcml-extension"), "{told}");
        // To who wants to know whether it works, it does not yet.
        run(&place, &["verify", manifest, "--sandbox=state.json"], 2);
        run(&place, &["sandbox", "wait", "2h", "--state", "state.json"], 0);
        run(&place, &drift, 2);
    }
}

/// The addresses of a plan that say what it would do, without those that are only read.
fn changes(place: &Place) -> Vec<Json> {
    let plan = run(place, &["plan", "all", "--sandbox=state.json", "--json"], 0).out;
    let plan: Json = serde_json::from_str(&plan).expect("JSON");
    let all = plan["resource_changes"].as_array().expect("a list").iter();
    all.filter(|it| it["mode"] == "managed" && it["change"]["actions"][0] != "no-op")
        .cloned()
        .collect()
}

fn word<'a>(it: &'a Json, key: &str) -> &'a str {
    it[key].as_str().expect("a text")
}

/// Somebody sets up with `az` what the manifests declare, and updates it once; what is in the
/// clusters is left to `kubectl`, for which the program stands in.
async fn set_up_with_az(place: &Place) {
    let planned = changes(place);
    let granted: Vec<&str> = planned
        .iter()
        .filter(|it| it["type"] == "scc_grant")
        .map(|it| word(it, "address"))
        .collect();
    let apply = ["apply", "all", "--sandbox=state.json", "--auto-approve"];
    let targets: Vec<&str> = granted.iter().flat_map(|it| ["--target", it]).collect();
    run(place, &[&apply[..], &targets].concat(), 0);

    let world = run(place, &["sandbox", "show", "--json", "--state", "state.json"], 0).out;
    let world: Json = serde_json::from_str(&world).expect("JSON");
    let ids: Vec<&String> = world["arm"].as_object().expect("a map").keys().collect();
    let options = LoadOptions { env: &|_| None, secrets: Secrets::Require };
    let loaded = amlplan::text::load(&[place.path("all")], &options).expect("manifests");
    let declared = &loaded.manifest.clusters;
    let clusters: Vec<Cluster<'_>> = declared
        .iter()
        .map(|it| {
            let end = format!("{}/{}", it.spec.azure.resource_group, it.spec.cluster.name);
            let kinds = [
                "Microsoft.ContainerService/managedClusters",
                "Microsoft.Kubernetes/connectedClusters",
            ];
            let own = |id: &&&String| {
                kinds.iter().any(|kind| {
                    let (group, name) = end.split_once('/').expect("two parts");
                    id.to_lowercase()
                        .ends_with(&format!("/{group}/providers/{kind}/{name}").to_lowercase())
                })
            };
            Cluster::of(it, ids.iter().find(own).unwrap_or_else(|| panic!("{end} in {ids:?}")))
        })
        .collect();

    let tenant = declared.iter().find_map(|it| it.spec.azure.tenant.as_deref());
    let tenant = tenant.expect("a directory");
    let server = Server::start(&place.path("."), &[]);
    let az = Az::login(&server, tenant).await;
    for it in planned.iter().filter(|it| ["feature", "provider"].contains(&word(it, "type"))) {
        az.register(word(it, "address")).await;
    }
    for (number, cluster) in clusters.iter().enumerate() {
        az.reconnect(cluster).await;
        az.create(cluster).await;
        az.attach(cluster).await;
        az.update(cluster, number % 2 == 0).await;
    }
    server.stop();
    let left = changes(place);
    let server = Server::start(&place.path("."), &[]);
    let az = Az::login(&server, tenant).await;
    for (number, change) in left.iter().enumerate() {
        let scope = word(change, "address").split('/').next().expect("a cluster");
        let own = declared.iter().position(|it| it.spec.name == scope).expect("declared");
        az.grant(&clusters[own], change, number).await;
    }
    server.stop();
    // What az made is right as it is.
    for it in changes(place) {
        assert!(["namespace", "instance_type"].contains(&word(&it, "type")), "{it:#}");
    }
}

#[tokio::test]
async fn what_az_made_and_updated_is_silent_for_a_month() {
    let place = Place::new();
    together(&place, &shipped(&place));
    set_up_with_az(&place).await;
    a_month(&place);
}
