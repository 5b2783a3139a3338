//! Many clusters at once: what one of them cannot give is missing and nothing else, and how many
//! requests a plan takes.

#[path = "common/program.rs"]
mod program;

use std::fmt::Write as _;

use program::Place;
use serde_json::Value as Json;

/// A fleet of so many clusters, each with an extension, a compute and, with Kubernetes access, an
/// instance type.
fn fleet(clusters: usize, kubernetes: bool) -> String {
    let access = if kubernetes { "kubernetes" } else { "azureOnly" };
    let mut text = format!(
        "apiVersion: amlplan/v1\nkind: Fleet\ndefaults:\n  azure: {{subscription: \
         00000000-0000-0000-0000-000000000000, resourceGroup: ml-rg}}\n  cluster: {{type: \
         connectedClusters, access: {access}}}\n  extension:\n    name: arcml-extension\n    \
         configurationSettings: {{enableTraining: true}}\nclusters:\n"
    );
    for number in 0..clusters {
        let _ = write!(
            text,
            "  - name: edge-{number}\n    cluster: {{name: edge-{number}}}\n    computes:\n      \
             - name: c-{number}\n        workspace: {{name: ml-workspace}}\n"
        );
        if kubernetes {
            text.push_str(
                "    instanceTypes:\n      - {name: gpu, resources: {requests: {cpu: '1', memory: \
                 1Gi}, limits: {cpu: '2', memory: 2Gi}}}\n",
            );
        }
    }
    text
}

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
    let text = fleet(3, true)
        .replace("  azure: {", "  azure: {cloud: {name: sandbox, resourceManager: '${BASE}'}, ");
    let each = |text: String, number: usize, path: &str| {
        let cluster = format!("cluster: {{name: edge-{number}}}");
        let with = format!("cluster: {{name: edge-{number}, kubeconfig: {path}}}");
        text.replace(&cluster, &with)
    };
    let text = each(text, 0, ".amlplan/kubeconfigs/edge-0.yaml");
    let text = each(text, 1, "gone.yaml");
    let text = each(text, 2, ".amlplan/kubeconfigs/edge-2.yaml");
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
