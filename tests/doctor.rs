//! What `doctor` says about the network, and how `verify` waits.

#[path = "common/program.rs"]
mod program;

use program::Place;

#[test]
fn the_network_list_suits_people_firewalls_and_programs() {
    let place = Place::new();
    std::fs::rename(place.path("full.yaml"), place.path("cluster.yaml")).expect("a manifest");
    let list = |format: &[&str]| {
        let words = [&["doctor", "--sandbox", "--network-list"], format].concat();
        let told = place.run(&words);
        assert_eq!(told.code, 0, "{}", told.err);
        told.out
    };
    assert!(list(&[]).contains("images of the extension (without: the installation hangs)"));
    let hosts = list(&["--format", "hosts"]);
    assert!(hosts.lines().any(|it| it == "westeurope.api.azureml.ms"), "{hosts}");
    assert!(hosts.lines().all(|it| !it.contains([' ', ',', ':'])), "{hosts}");
    let csv = list(&["--format", "csv"]);
    assert!(csv.contains("edge-full,archive.ubuntu.com,80,"), "{csv}");
    let json: serde_json::Value = serde_json::from_str(&list(&["--format", "json"])).expect("JSON");
    assert_eq!(json["clusters"][0]["cluster"], "edge-full");
    let job: serde_json::Value = serde_json::from_str(&list(&["--format", "job"])).expect("JSON");
    assert_eq!(job["kind"], "Job");
    // Without a sign-in the manifest tells what it can.
    let told = place.run(&["doctor", "--network-list", "--format", "hosts"]);
    assert_eq!(told.code, 0, "{}", told.err);
    assert!(told.err.contains("Azure was not asked"), "{}", told.err);
    assert!(told.out.contains("mcr.microsoft.com"));
    let told = place.run(&["doctor", "--sandbox", "--network-list", "--format", "html"]);
    assert_eq!(told.code, 1);
}

#[test]
fn the_first_failing_hop_is_named() {
    let mut place = Place::new();
    // Nobody listens there, so no request leaves this machine.
    for name in ["HTTPS_PROXY", "HTTP_PROXY"] {
        place.env.push((name.to_owned(), "http://127.0.0.1:1".to_owned()));
    }
    let told = place.run(&["doctor", "--sandbox", "--check-network", "full.yaml"]);
    assert_eq!(told.code, 2, "{}", told.err);
    let first = "mcr.microsoft.com:443: fails at proxy 127.0.0.1:1";
    assert!(told.out.contains(first), "{}", told.out);
    assert!(told.out.contains("kubectl apply -f -"), "{}", told.out);
    assert!(told.out.trim_end().lines().last().is_some_and(|it| it.starts_with("From here 0 of")));
    let told = place.run(&["doctor", "--sandbox", "--check-network", "--json", "full.yaml"]);
    let json: serde_json::Value = serde_json::from_str(&told.out).expect("JSON");
    assert_eq!(json["from_here"][0]["failed_at"], "proxy");
}

#[test]
fn verify_waits_until_everything_works() {
    let place = Place::new();
    let left =
        place.run(&["apply", "--sandbox", "--auto-approve", "--no-wait", "training.ga.yaml"]);
    assert_eq!(left.code, 7, "{}{}", left.out, left.err);
    let told = place.run(&["verify", "--sandbox", "training.ga.yaml"]);
    assert_eq!(told.code, 2, "{}", told.out);
    let told = place.run(&["verify", "--sandbox", "--wait", "1s", "training.ga.yaml"]);
    assert_eq!(told.code, 2, "{}", told.out);
    let told = place.run(&["verify", "--sandbox", "--wait", "1h", "training.ga.yaml"]);
    assert_eq!(told.code, 0, "{}{}", told.out, told.err);
    assert!(told.err.contains("Waiting: "), "{}", told.err);
}
