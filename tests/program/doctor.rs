//! What `doctor` says about the network, and how `verify` waits.

use crate::program::Place;

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
    assert!(csv.contains(",443,\"code, data, models and logs\","), "{csv}");
    let json: serde_json::Value = serde_json::from_str(&list(&["--format", "json"])).expect("JSON");
    assert_eq!(json["clusters"][0]["cluster"], "edge-full");
    let job: serde_json::Value = serde_json::from_str(&list(&["--format", "job"])).expect("JSON");
    assert_eq!(job["kind"], "Job");
    let tried = &job["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"];
    let tried = tried.as_str().expect("hosts");
    assert!(tried.contains("archive.ubuntu.com:80 ") && !tried.contains('*'), "{tried}");
    assert!(list(&[]).contains("archive.ubuntu.com:80"));
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
    assert!(told.out.contains("help: proxy: it cannot be reached"), "{}", told.out);
    assert!(told.out.trim_end().lines().last().is_some_and(|it| it.starts_with("From here 0 of")));
    let told = place.run(&["doctor", "--sandbox", "--check-network", "--json", "full.yaml"]);
    let json: serde_json::Value = serde_json::from_str(&told.out).expect("JSON");
    assert_eq!(json["from_here"][0]["failed_at"], "proxy");
}

/// The Job's own script is run here, against a host that answers, one that refuses and one without a
/// name; what it wrote is put where its pod would have it, and read back.
#[tokio::test]
async fn what_the_job_finds_in_the_cluster_is_read_back() {
    use std::io::{Read as _, Write as _};
    let mut place = Place::new();
    let words = ["doctor", "--sandbox", "--network-list", "--format", "job", "full.yaml"];
    let job: serde_json::Value = serde_json::from_str(&place.run(&words).out).expect("a Job");
    let container = &job["spec"]["template"]["spec"]["containers"][0];
    let command: Vec<&str> = container["command"]
        .as_array()
        .expect("words")
        .iter()
        .filter_map(|it| it.as_str())
        .collect();
    let bind = || std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let (open, closed) = (bind(), bind());
    let port = |it: &std::net::TcpListener| it.local_addr().expect("an address").port();
    let hosts = format!("127.0.0.1:{} 127.0.0.1:{} a..b:443", port(&open), port(&closed));
    drop(closed);
    let answers = std::thread::spawn(move || {
        let (mut stream, _) = open.accept().expect("a request");
        let _ = stream.read(&mut [0; 1024]);
        stream
            .write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
            .expect("an answer");
    });
    let ran = std::process::Command::new(command[0])
        .args(&command[1..])
        .env("HOSTS", &hosts)
        .env("REPORT", place.path("report"))
        .output()
        .expect("python runs");
    answers.join().expect("the host");
    let report = std::fs::read_to_string(place.path("report"))
        .unwrap_or_else(|_| String::from_utf8_lossy(&ran.stderr).into_owned());
    assert!(report.starts_with("1 hosts answer\nfail 127.0.0.1:"), "{report}");
    assert!(report.contains(" TCP ") && report.contains("fail a..b:443 DNS"), "{report}");

    let pod = serde_json::json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe",
        "namespace": "default", "labels": {"job-name": job["metadata"]["name"]}},
        "spec": {"containers": [{"name": "network", "image": "python"}]}});
    let sandbox = amlplan_sandbox::Sandbox::open(
        Some(&place.path(".amlplan/sandbox.json")),
        None,
        amlplan_sandbox::StateAccess::Write,
    );
    let sandbox = sandbox.expect("the world");
    let path = "/kubernetes/00000000-0000-0000-0000-000000000000/ml-rg/edge-full/api/v1/namespaces/default/pods";
    let request = http::Request::post(path)
        .header("authorization", "Bearer sandbox-admin")
        .header("content-type", "application/json")
        .header("content-length", pod.to_string().len())
        .body(axum::body::Body::from(pod.to_string()))
        .expect("a request");
    let answer = tower::ServiceExt::oneshot(sandbox.router(), request).await.expect("an answer");
    assert_eq!(answer.status(), 201);
    sandbox.save().expect("the world is kept");
    drop(sandbox);
    let ended =
        serde_json::json!([{"name": "network", "state": {"terminated": {"message": report}}}]);
    let set = format!("/status/containerStatuses={ended}");
    let words = ["sandbox", "set", "-f", "full.yaml", "edge-full", "pod/default/probe", &set];
    let told = place.run(&words);
    assert_eq!(told.code, 0, "{}", told.err);
    for name in ["HTTPS_PROXY", "HTTP_PROXY"] {
        place.env.push((name.to_owned(), "http://127.0.0.1:1".to_owned()));
    }
    let told = place.run(&["doctor", "--sandbox", "--check-network", "full.yaml"]);
    assert!(told.out.contains("From edge-full: 1 hosts answer"), "{}", told.out);
    assert!(told.out.contains("From edge-full: fail a..b:443 DNS"), "{}", told.out);
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
