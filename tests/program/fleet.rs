//! Many clusters at once: what one of them cannot give is missing and nothing else, and how many
//! requests a plan takes.

#[path = "../common/fleets.rs"]
mod fleets;

use self::fleets::{fleet, served_fleet, staged};
use crate::program::{Place, Ran};
use serde_json::Value as Json;

/// A place with a fleet that has been applied.
fn applied(clusters: usize, kubernetes: bool) -> Place {
    let place = Place::new();
    std::fs::write(place.path("fleet.yaml"), fleet(clusters, kubernetes)).expect("written");
    let ran = place.run(&["apply", "fleet.yaml", "--sandbox", "--auto-approve"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    place
}

/// A world over sockets, so that kubeconfigs are read and used.
struct Served(std::process::Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serve(place: &mut Place) -> Served {
    use std::io::BufRead as _;
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_amlplan"))
        .args(["sandbox", "--state", ".amlplan/sandbox.json", "serve", "--listen", "127.0.0.1:0"])
        .current_dir(place.path(""))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("starts");
    let mut line = String::new();
    let out = child.stdout.take().expect("a pipe");
    std::io::BufReader::new(out).read_line(&mut line).expect("says where it listens");
    let url = line.split_whitespace().find(|it| it.contains("://")).expect("an address").to_owned();
    let any = "11111111-1111-1111-1111-111111111111";
    for (name, value) in [
        ("BASE", url.as_str()),
        ("AZURE_TENANT_ID", any),
        ("AZURE_CLIENT_ID", any),
        ("AZURE_CLIENT_SECRET", "any"),
    ] {
        place.env.push((name.to_owned(), value.to_owned()));
    }
    Served(child)
}

#[test]
fn a_dead_cluster_is_missing_from_every_report_and_nothing_else_is() {
    let mut place = applied(3, true);
    let folder = ".amlplan/kubeconfigs";
    let text = served_fleet(3, "${BASE}", Some(folder))
        .replace(&format!("{folder}/edge-1.yaml"), "gone.yaml");
    std::fs::write(place.path("fleet.yaml"), &text).expect("written");
    let _served = serve(&mut place);

    let plan = place.run(&["plan", "fleet.yaml", "--json"]);
    assert_eq!(plan.code, 1, "{}", plan.err);
    let json: Json = serde_json::from_str(&plan.out).expect("JSON");
    assert_eq!((&json["complete"], &json["errored"]), (&Json::from(false), &Json::from(false)));
    let unread = json["amlplan"]["unread"].as_array().expect("a list");
    assert!(!unread.is_empty());
    for it in unread {
        assert!(it["address"].as_str().is_some_and(|it| it.starts_with("edge-1/")), "{it}");
        assert!(it["reason"].as_str().is_some_and(|it| it.contains("gone.yaml")), "{it}");
    }
    for scope in ["edge-0", "edge-2"] {
        let address = format!("{scope}/instance_type/gpu");
        let changes = json["resource_changes"].as_array().expect("a list");
        let found = changes.iter().find(|it| it["address"] == address.as_str());
        assert_eq!(found.expect("it is planned")["change"]["actions"][0], "no-op");
    }

    // Nothing drifted elsewhere: the comparison failed.
    for format in ["human", "json", "markdown", "junit", "sarif", "github"] {
        let ran = place.run(&["drift", "fleet.yaml", "--format", format]);
        assert_eq!(ran.code, 1, "{format}: {}", ran.err);
        assert!(ran.out.contains("gone.yaml") && !ran.out.contains("No drift"), "{}", ran.out);
    }
    // Drift elsewhere is drift, and it can be mended without the dead cluster.
    let text = text.replace("enableTraining: true", "enableTraining: true, installVolcano: false");
    std::fs::write(place.path("fleet.yaml"), text).expect("written");
    assert_eq!(place.run(&["drift", "fleet.yaml"]).code, 2);
    let words = ["apply", "fleet.yaml", "--auto-approve", "--allow", "disruptive"];
    let ran = place.run(&words);
    assert_eq!(ran.code, 3, "{}{}", ran.out, ran.err);
    assert_eq!(place.run(&["drift", "fleet.yaml"]).code, 1);
}

/// A fleet over sockets: a cluster holds two and gives them back, and one whose API server is not
/// there is missing alone.
#[test]
fn a_fleet_needs_few_sockets_and_a_dead_cluster_stops_nobody() {
    const CLUSTERS: usize = 60;
    let mut place = Place::new();
    std::fs::write(place.path("fleet.yaml"), fleet(CLUSTERS, true)).expect("written");
    assert_eq!(place.run(&["plan", "fleet.yaml", "--sandbox"]).code, 0);
    let _served = serve(&mut place);
    let text = served_fleet(CLUSTERS, "${BASE}", Some(".amlplan/kubeconfigs"));
    std::fs::write(place.path("fleet.yaml"), text).expect("written");
    let gone = std::net::TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
    let path = place.path(".amlplan/kubeconfigs/edge-7.yaml");
    let dead = std::fs::read_to_string(&path).expect("a kubeconfig");
    let mut dead: Json = serde_yaml::from_str(&dead).expect("YAML");
    dead["clusters"][0]["cluster"]["server"] =
        Json::from(format!("https://{}", gone.expect("a port")));
    let ran = |place: &Place, files: usize| {
        let program = env!("CARGO_BIN_EXE_amlplan");
        let words = format!(
            "ulimit -n {files}; exec {program} plan fleet.yaml --json --read-parallelism 16"
        );
        let mut command = std::process::Command::new("sh");
        command.args(["-c", &words]).current_dir(place.path("")).envs(place.env.iter().cloned());
        let output = command.output().expect("runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let json: Json = serde_json::from_str(&text).expect("JSON");
        let unread = json["amlplan"]["unread"].as_array().cloned().unwrap_or_default();
        (output.status.code(), unread)
    };
    let (code, unread) = ran(&place, 96);
    assert_eq!((code, unread.len()), (Some(0), 0), "{unread:?}");
    std::fs::write(&path, dead.to_string()).expect("written");
    let (code, unread) = ran(&place, 96);
    assert_eq!(code, Some(1));
    let own = |it: &Json| it["address"].as_str().is_some_and(|it| it.starts_with("edge-7/"));
    assert!(!unread.is_empty() && unread.iter().all(own), "{unread:?}");
}

/// How the clusters of each stage ended: name of the stage, done, failed, not done.
fn stages(ran: &Ran) -> Vec<(String, usize, Vec<String>, usize)> {
    let lines: Vec<Json> = ran.out.lines().filter_map(|it| serde_json::from_str(it).ok()).collect();
    let sum = lines.iter().find(|it| it["type"] == "change_summary").expect("a summary");
    let stages = sum["amlplan"]["stages"].as_array().expect("stages");
    let names = |it: &Json| -> Vec<String> {
        let names = it.as_array().expect("a list").iter();
        names.map(|it| it["cluster"].as_str().expect("a name").to_owned()).collect()
    };
    let size = |it: &Json| it.as_array().map_or(0, Vec::len);
    stages
        .iter()
        .map(|it| {
            let name = it["name"].as_str().expect("a name").to_owned();
            (name, size(&it["done"]), names(&it["failed"]), size(&it["not_done"]))
        })
        .collect()
}

/// A stage that fails stops those behind it, and the next apply goes on from there: what is live
/// says which clusters are done, and nothing else remembers it.
#[test]
fn a_rollout_stops_where_it_fails_and_goes_on_from_there() {
    let place = Place::new();
    std::fs::write(place.path("fleet.yaml"), staged(40, 1)).expect("written");
    let apply = ["apply", "fleet.yaml", "--sandbox", "--auto-approve", "--json"];
    let world = ["--sandbox-world", "world.yaml"];
    let canary = place.run(&[&apply[..], &["--stage", "canary"]].concat());
    assert_eq!(canary.code, 0, "{}", canary.err);
    let left = |it: &str, size| (it.to_owned(), 0, Vec::new(), size);
    let done = |it: &str, size| (it.to_owned(), size, Vec::new(), 0);
    assert_eq!(stages(&canary), [done("canary", 1), left("early", 4), left("rest", 35)]);

    // Two of the four fail, which is one more than may.
    let text = "faults: {seed: 1, failOperation: 0.3}";
    std::fs::write(place.path("world.yaml"), text).expect("written");
    let stopped = place.run(&[&apply[..], &world].concat());
    assert_eq!(stopped.code, 3, "{}", stopped.err);
    let ends = stages(&stopped);
    assert_eq!(ends[0], done("canary", 1));
    assert_eq!((ends[1].1, ends[1].2.len(), ends[1].3), (2, 2, 0), "{ends:?}");
    assert_eq!(ends[2], left("rest", 35));

    let wrong =
        place.run(&["apply", "fleet.yaml", "--sandbox", "--auto-approve", "--stage", "eraly"]);
    assert!(wrong.code == 1 && wrong.err.contains("did you mean `early`"), "{}", wrong.err);

    std::fs::write(place.path("world.yaml"), "faults: {failOperation: 0}").expect("written");
    let resumed = place.run(&[&apply[..], &world].concat());
    assert_eq!(resumed.code, 0, "{}", resumed.err);
    assert_eq!(stages(&resumed), [done("canary", 1), done("early", 4), done("rest", 35)]);
    let again = resumed.out.lines().any(|it| it.contains("apply_start") && it.contains("edge-0/"));
    assert!(!again, "what was done is not done again");
    let clean = place.run(&["plan", "fleet.yaml", "--sandbox", "--detailed-exitcode"]);
    assert_eq!(clean.code, 0, "{}", clean.out);
}

/// A saved plan is rolled out in the same stages, up to one of them, and is not narrowed otherwise.
#[test]
fn a_saved_plan_goes_through_the_stages() {
    let place = Place::new();
    std::fs::write(place.path("fleet.yaml"), staged(12, 0)).expect("written");
    let plan = place.run(&["plan", "fleet.yaml", "--sandbox", "--out", "change.plan"]);
    assert!(plan.code == 0 && plan.out.contains("then early (2 clusters, wait"), "{}", plan.out);
    let apply = ["apply", "change.plan", "--sandbox", "--json"];
    let narrowed = place.run(&[&apply[..], &["--cluster", "edge-1"]].concat());
    assert!(narrowed.code == 1 && narrowed.err.contains("--cluster"), "{}", narrowed.err);
    let canary = place.run(&[&apply[..], &["--stage", "canary"]].concat());
    assert_eq!(canary.code, 0, "{}", canary.err);
    assert_eq!(stages(&canary)[0], ("canary".to_owned(), 1, Vec::new(), 0));
    // What was reviewed is no longer what there is to do.
    assert_eq!(place.run(&apply).code, 4);
}

/// Requests that one command sends, by service.
fn requests(place: &Place, words: &[&str]) -> (usize, usize) {
    let ran = place.run(&[words, &["--sandbox", "-v"]].concat());
    assert_eq!(ran.code, 0, "{}", ran.err);
    let lines = |mark: &str| ran.err.lines().filter(|it| it.contains(mark)).count();
    (lines(" azure "), lines(" kubernetes "))
}

/// What a plan of many clusters asks is counted, not timed: lists and batches, not a read each.
#[test]
fn a_plan_of_a_fleet_takes_few_requests() {
    let place = applied(50, false);
    let (azure, kubernetes) = requests(&place, &["plan", "fleet.yaml", "--detailed-exitcode"]);
    assert!(azure <= 20 && kubernetes == 0, "{azure} requests to Azure, {kubernetes} to clusters");
    let place = applied(50, true);
    let (azure, kubernetes) = requests(&place, &["plan", "fleet.yaml", "--detailed-exitcode"]);
    assert!(azure <= 20 && kubernetes <= 5 * 50, "{azure} and {kubernetes}");
}

/// A plan keeps to the limit of a subscription, inside of batches too, rather than be refused. An
/// apply asks nothing for its keys twice.
#[test]
fn a_limit_is_kept_and_no_secret_is_listed_twice() {
    let place = applied(100, false);
    let text = "throttling: {reads: 25, retryAfter: 17}";
    std::fs::write(place.path("world.yaml"), text).expect("written");
    let words = ["plan", "fleet.yaml", "--sandbox", "--sandbox-world", "world.yaml", "-v"];
    let ran = place.run(&words);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let sum = |name: &str| -> usize {
        let values = ran.err.split_whitespace().filter_map(|it| it.strip_prefix(name));
        values.filter_map(|it| it.parse::<usize>().ok()).sum()
    };
    let asked = ran.err.matches(" azure ").count() + sum("reads=");
    let refused = ran.err.matches("status=429").count() + sum("throttled=");
    assert!(asked > 300 && refused * 100 <= asked, "{refused} of {asked} were refused");

    let apply = ["apply", "full.yaml", "--sandbox=new.json", "--auto-approve", "-v"];
    let ran = place.run(&apply);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let mut seen = std::collections::BTreeSet::new();
    let keys = ["/listKeys", "/sharedKeys"];
    for url in ran.err.split_whitespace().filter(|it| keys.iter().any(|key| it.contains(key))) {
        assert!(seen.insert(url), "{url} twice");
    }
    assert_eq!(seen.len(), 2, "{seen:?}");
}

/// Clusters are chosen by name, by label and by part; parts cover the fleet once, and what all
/// share is in one of them.
#[test]
fn a_command_can_be_about_some_of_the_clusters() {
    let place = Place::new();
    let text = fleet(9, false)
        .replace("cluster: {name: edge-3}", "cluster: {name: edge-3, labels: {ring: early}}");
    std::fs::write(place.path("fleet.yaml"), text).expect("written");
    let addresses = |more: &[&str]| -> std::collections::BTreeSet<String> {
        let words = [&["plan", "fleet.yaml", "--sandbox", "--json"], more].concat();
        let ran = place.run(&words);
        assert_eq!(ran.code, 0, "{}", ran.err);
        let json: Json = serde_json::from_str(&ran.out).expect("JSON");
        let changes = json["resource_changes"].as_array().expect("a list").iter();
        let managed = changes.filter(|it| it["mode"] == "managed");
        managed.filter_map(|it| it["address"].as_str().map(str::to_owned)).collect()
    };
    let of = |all: &std::collections::BTreeSet<String>, scope: &str| {
        all.iter().filter(|it| it.starts_with(&format!("{scope}/"))).count()
    };
    let all = addresses(&[]);
    for more in [["--cluster", "edge-3"], ["--selector", "ring=early"]] {
        let some = addresses(&more);
        assert!(some.is_subset(&all) && of(&some, "edge-3") > 0 && of(&some, "edge-4") == 0);
    }
    let parts: Vec<_> =
        ["1/3", "2/3", "3/3"].iter().map(|it| addresses(&["--shard", it])).collect();
    assert_eq!(parts.iter().map(std::collections::BTreeSet::len).sum::<usize>(), all.len());
    assert_eq!(parts.into_iter().flatten().collect::<std::collections::BTreeSet<_>>(), all);
    let wrong = place.run(&["plan", "fleet.yaml", "--sandbox", "--cluster", "edge-33"]);
    assert!(wrong.code == 1 && wrong.err.contains("did you mean"), "{}", wrong.err);
}

/// Reports of all parts, put together, are the report of the whole: the same document, the same
/// text, the same exit code. What all clusters share is counted once.
#[test]
fn reports_of_parts_add_up_to_the_whole() {
    let place = Place::new();
    // One cluster in a subscription of its own, whose registrations may fall to another part.
    let other = "edge-5}\n    azure: {subscription: 11111111-1111-1111-1111-111111111111}";
    let text = fleet(7, false).replace("edge-5}", other);
    std::fs::write(place.path("fleet.yaml"), &text).expect("written");
    let run = |words: &[&str]| place.run(&[words, &["--sandbox"]].concat());
    let apply = run(&["apply", "fleet.yaml", "--auto-approve", "--cluster", "edge-1"]);
    assert_eq!(apply.code, 0, "{}", apply.err);
    for (state, command) in
        [("partly", "drift"), ("partly", "verify"), ("partly", "doctor"), ("applied", "drift")]
    {
        if state == "applied" {
            assert_eq!(run(&["apply", "fleet.yaml", "--auto-approve"]).code, 0);
        }
        let whole = run(&[command, "fleet.yaml", "--format", "json"]);
        let mut parts = Vec::new();
        for number in 1..=3 {
            let (shard, file) = (format!("{number}/3"), format!("{command}-{number}.json"));
            let out = format!("json={file}");
            let ran = run(&[command, "fleet.yaml", "--shard", &shard, "--format", &out]);
            assert!([0, 2].contains(&ran.code), "{}", ran.err);
            parts.push(file);
        }
        parts.rotate_left(1);
        let merge = |parts: &[&str], format: &str| {
            place.run(&[&["report", "merge", "--format", format], parts].concat())
        };
        let all: Vec<&str> = parts.iter().map(String::as_str).collect();
        let merged = merge(&all, "json");
        let json = |it: &Ran| -> Json { serde_json::from_str(&it.out).expect("JSON") };
        assert!(json(&merged) == json(&whole), "{command} {state}: {}\n{}", merged.out, whole.out);
        assert_eq!(merged.code, whole.code, "{command} {state}: {}", merged.err);
        for format in ["human", "markdown", "junit", "gitlab"] {
            let whole = run(&[command, "fleet.yaml", "--format", format]);
            let merged = merge(&all, format);
            assert_eq!((merged.out, merged.code), (whole.out, whole.code), "{format}");
        }
        let refused = [
            (vec![all[0], all[1], all[1]], "part"),
            (vec![all[0], "whole.json"], "of a whole run"),
            (vec![all[0], "drift-other.json"], "about other manifests"),
        ];
        std::fs::write(place.path("whole.json"), &whole.out).expect("written");
        let narrow = ["drift", "fleet.yaml", "--cluster", "edge-1", "--shard", "1/1"];
        run(&[&narrow[..], &["--format", "json=drift-other.json"]].concat());
        if command == "drift" {
            for (parts, why) in refused {
                let ran = merge(&parts, "human");
                assert!(ran.code == 1 && ran.err.contains(why), "{why}: {}", ran.err);
            }
        }
        let lacking = merge(&all[..2], "human");
        assert!(lacking.out.contains("no report of part 1/3"), "{}", lacking.out);
        assert_ne!(lacking.code, 0);
    }
}

/// Every document below `manifests/kubernetes`, in the order of the files.
fn kubernetes_objects() -> Vec<Json> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/kubernetes");
    let entries = std::fs::read_dir(folder).expect("the folder");
    let mut paths: Vec<_> = entries.map(|it| it.expect("an entry").path()).collect();
    paths.sort();
    let texts = paths.iter().map(|it| std::fs::read_to_string(it).expect("a text"));
    let texts: Vec<String> = texts.collect();
    let documents = texts.iter().flat_map(|it| it.split("\n---\n"));
    documents.map(|it| serde_yaml::from_str(it).expect("YAML")).collect()
}

/// What is shipped for Kubernetes is as restricted as a namespace can ask for, holds no secret, and
/// its commands do what they are there for.
#[test]
fn the_jobs_for_kubernetes_are_restricted_and_work() {
    let objects = kubernetes_objects();
    let kinds: Vec<&str> = objects.iter().filter_map(|it| it["kind"].as_str()).collect();
    let wanted = ["CronJob", "Job", "Job", "Namespace", "ServiceAccount", "PersistentVolumeClaim"];
    assert_eq!(kinds, wanted);
    let place = Place::new();
    std::fs::create_dir_all(place.path("m")).expect("a folder");
    std::fs::create_dir_all(place.path("r")).expect("a folder");
    std::fs::write(place.path("m/fleet.yaml"), fleet(40, false)).expect("written");
    let mut ends = Vec::new();
    // The parts go before what merges them.
    let jobs = objects.iter().filter(|it| it["kind"] == "CronJob" || it["kind"] == "Job");
    let mut jobs: Vec<&Json> = jobs.collect();
    jobs.sort_by_key(|it| std::cmp::Reverse(it["metadata"]["name"].as_str().map(str::to_owned)));
    for job in jobs {
        let spec = if job["kind"] == "CronJob" {
            &job["spec"]["jobTemplate"]["spec"]
        } else {
            &job["spec"]
        };
        assert!(spec["activeDeadlineSeconds"].is_u64(), "{spec}");
        let template = &spec["template"];
        assert_eq!(template["metadata"]["labels"]["azure.workload.identity/use"], "true");
        let pod = &template["spec"];
        assert_eq!(pod["restartPolicy"], "Never");
        assert_eq!(pod["serviceAccountName"], "amlplan");
        assert_eq!(pod["automountServiceAccountToken"], false);
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
        let container = &pod["containers"][0];
        let rights = &container["securityContext"];
        assert_eq!(rights["allowPrivilegeEscalation"], false);
        assert_eq!(rights["readOnlyRootFilesystem"], true);
        assert_eq!(rights["capabilities"]["drop"][0], "ALL");
        assert!(container["resources"]["limits"]["memory"].is_string());
        // Whoever signs in is named by the service account.
        assert!(container.get("env").is_none() && container.get("envFrom").is_none());
        let image = container["image"].as_str().and_then(|it| it.split_once(':'));
        let docs = include_str!("../../docs/install.md");
        assert!(image.is_some_and(|it| docs.contains(&format!(" {} ", it.0))), "{image:?}");

        let completions = spec["completions"].as_u64().unwrap_or(1);
        for index in 0..completions {
            let args = container["args"].as_array().expect("arguments").iter();
            let args = args.map(|it| {
                let text = it.as_str().expect("a text");
                text.replace("$(JOB_COMPLETION_INDEX)", &index.to_string())
                    .replace("/manifests", "m")
                    .replace("/reports", "r")
            });
            let mut words: Vec<String> = args.collect();
            if words[0] != "report" {
                words.push("--sandbox".to_owned());
            }
            let ran = place.run(&words);
            assert_eq!(ran.code, 2, "{words:?}: {}{}", ran.out, ran.err);
            ends.push(ran.out.lines().last().expect("a verdict").to_owned());
        }
    }
    // Four parts, the merge of them, and the whole, for which everything is new.
    assert_eq!(ends.len(), 6);
    let whole = ends[5].split(" Since").next().expect("a text");
    assert_eq!(ends[4], whole, "{ends:?}");
}
