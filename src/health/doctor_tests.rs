//! The rules of `doctor`, each shown on a world with one thing changed.

pub(in crate::health) mod azure;
pub(in crate::health) mod cluster;

use serde_json::json;

use jiff::Timestamp;

use super::fixture::{desired, probed, snapshot, status, worst};
use super::report::{Finding, Probe, Probed, Status};
use super::rules::{self, By};
use crate::model::Json;
use crate::resource::Read;
use crate::resource::Snapshot;
use crate::resource::graph::Desired;

const NOW: &str = "2026-06-01T12:00:00Z";
const SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000001";

fn probes(desired: &Desired, snapshot: &Snapshot) -> Vec<Probe> {
    rules::probes(By::Doctor, desired, snapshot)
}

fn checks(desired: &Desired, snapshot: &Snapshot, probed: &Probed, now: Timestamp) -> Vec<Finding> {
    rules::checks(By::Doctor, desired, snapshot, probed, now)
}

/// What stops an apply.
fn blocking(findings: &[Finding]) -> Vec<&Finding> {
    findings.iter().filter(|finding| finding.status == Status::Fail).collect()
}

/// A declared cluster, what is live, and what the probes answer; tests change one thing of it.
struct DoctorWorld {
    manifest: Json,
    live: Vec<(String, Json)>,
    answers: Vec<(String, Json)>,
}

fn node(name: &str) -> Json {
    json!({"metadata": {"name": name, "labels": {"disk": "ssd"}},
        "status": {"conditions": [{"type": "Ready", "status": "True"}],
            "nodeInfo": {"operatingSystem": "linux", "architecture": "amd64", "osImage": "Ubuntu 24.04"},
            "allocatable": {"cpu": "7820m", "memory": "28Gi"}}})
}

fn settings() -> Json {
    json!({"enableTraining": true, "enableInference": true, "allowInsecureConnections": true,
        "inferenceRouterServiceType": "LoadBalancer"})
}

impl DoctorWorld {
    /// Everything as it should be.
    fn good(aks: bool) -> Self {
        let kind = if aks { "managedClusters" } else { "connectedClusters" };
        let cluster = if aks {
            json!({"location": "westeurope", "identity": {"type": "SystemAssigned"}, "properties": {
                "powerState": {"code": "Running"}, "currentKubernetesVersion": "1.33.4",
                "servicePrincipalProfile": {"clientId": "msi"},
                "agentPoolProfiles": [{"name": "pool", "count": 3}]}})
        } else {
            json!({"location": "westeurope", "properties": {"connectivityStatus": "Connected",
                "lastConnectivityTime": "2026-06-01T11:58:00Z", "kubernetesVersion": "1.33.4",
                "managedIdentityCertificateExpirationTime": "2026-08-01T00:00:00Z",
                "distribution": "k3s", "infrastructure": "generic", "totalNodeCount": 3}})
        };
        let balanced = json!([{"spec": {"type": "LoadBalancer"},
            "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}]);
        let mut answers: Vec<(String, Json)> = [
            "all-pods",
            "deployments",
            "daemonsets",
            "secrets",
            "crds",
            "ingress-classes",
            "webhooks",
            "extensions",
            "cluster-roles",
            "trusted-access",
            "policies",
        ]
        .map(|text| (text.to_owned(), json!([])))
        .into();
        answers.push(("nodes".into(), json!([node("n1"), node("n2"), node("n3")])));
        answers.push(("services".into(), balanced));
        answers.extend((0..8).map(|number| (format!("legacy {number}"), Json::Null)));
        let workspace = format!(
            "/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.MachineLearningServices/workspaces/ws"
        );
        answers.push((format!("computes {workspace}"), json!([])));
        let group = format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/rg").to_lowercase();
        answers
            .push((format!("permissions {group}"), json!([{"actions": ["*"], "notActions": []}])));
        Self {
            manifest: json!({
                "cluster": {"type": kind, "name": "edge"},
                "extension": {"name": "ext", "configurationSettings": settings()},
                "computes": [{"name": "c", "workspace": {"name": "ws"}, "identity": {"type": "SystemAssigned"}}],
            }),
            live: vec![
                ("edge/cluster/edge".into(), cluster),
                (
                    format!("{SUBSCRIPTION}/workspace/rg/ws"),
                    json!({"location": "westeurope", "identity": {"type": "SystemAssigned"}, "properties": {}}),
                ),
            ],
            answers,
        }
    }

    fn answer(mut self, name: &str, value: Json) -> Self {
        self.answers.retain(|it| it.0 != name);
        self.answers.push((name.to_owned(), value));
        self
    }

    /// Sets a value in a live document, which is made when it is not there.
    fn live(mut self, address: &str, pointer: &str, value: Json) -> Self {
        if !self.live.iter().any(|it| it.0 == address) {
            self.live.push((address.to_owned(), json!({})));
        }
        let document = self.live.iter_mut().find(|it| it.0 == address).unwrap();
        set(&mut document.1, pointer, value);
        self
    }

    fn declare(mut self, pointer: &str, value: Json) -> Self {
        set(&mut self.manifest, pointer, value);
        self
    }

    fn setting(self, key: &str, value: Json) -> Self {
        self.declare(&format!("/extension/configurationSettings/{key}"), value)
    }

    fn run(&self) -> Vec<Finding> {
        let desired = desired(self.manifest.clone());
        let live: Vec<(&str, Json)> =
            self.live.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
        let answers: Vec<(&str, Json)> =
            self.answers.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
        let mut probed = probed(&answers);
        // Rights at a subscription are asked for in the subscription's own scope.
        let everything = Ok(Some(json!([{"actions": ["*"]}]).into()));
        let name = format!("permissions /subscriptions/{SUBSCRIPTION}");
        probed.0.insert((SUBSCRIPTION.to_owned(), name), everything);
        let live = snapshot(&desired, &live);
        for probe in probes(&desired, &live) {
            if let Read::Review(_) = probe.read {
                let may = || Ok(Some(json!(true).into()));
                probed.0.entry((probe.scope, probe.name)).or_insert_with(may);
            }
        }
        checks(&desired, &live, &probed, NOW.parse().unwrap())
    }
}

fn set(document: &mut Json, pointer: &str, value: Json) {
    let mut at = document;
    for token in pointer.trim_start_matches('/').split('/') {
        at = &mut at[token.replace("~1", "/")];
    }
    *at = value;
}

/// The world has this finding, with a message that holds `part` and a help.
fn expect(world: &DoctorWorld, code: &str, expected: Status, part: &str) {
    let found = world.run();
    let worst = worst(&found, code);
    let worst = worst.unwrap_or_else(|| panic!("{code} did not appear: {found:#?}"));
    assert_eq!(worst.status, expected, "{code}: {worst:#?}");
    assert!(worst.message.contains(part), "{code}: {} has no {part}", worst.message);
    assert!(
        expected < Status::Warning || expected == Status::Unknown || worst.help.is_some(),
        "{code}"
    );
}

const CLUSTER: &str = "edge/cluster/edge";

#[test]
pub(in crate::health) fn a_cluster_as_it_should_be_has_no_finding() {
    for aks in [false, true] {
        let found = DoctorWorld::good(aks).run();
        let bad: Vec<_> = found.iter().filter(|finding| finding.status > Status::Info).collect();
        assert!(bad.is_empty(), "{aks}: {bad:#?}");
        assert!(blocking(&found).is_empty());
        let registered = worst(&found, "not-registered").unwrap();
        assert_eq!(registered.message, "apply registers it");
        let made = worst(&found, "namespace-terminating").unwrap();
        assert_eq!(made.message, "apply makes it");
    }
}

#[test]
pub(in crate::health) fn without_answers_nothing_passes_that_needs_them() {
    let desired = desired(DoctorWorld::good(true).manifest);
    let found = checks(&desired, &Snapshot::default(), &Probed::default(), NOW.parse().unwrap());
    for code in [
        "cluster-unreachable",
        "not-registered",
        "no-linux-node",
        "too-few-nodes",
        "capacity",
        "prometheus-conflict",
        "other-extension",
        "workspace-missing",
        "installed-another-way",
        "legacy-router",
    ] {
        assert_eq!(status(&found, code), Status::Unknown, "{code}");
    }
    assert!(blocking(&found).is_empty());
}

#[test]
pub(in crate::health) fn every_probe_that_checks_look_up_is_asked_for() {
    for aks in [false, true] {
        let world = DoctorWorld::good(aks).setting("sslSecret", json!("tls"));
        let desired = desired(world.manifest.clone());
        let asked = probes(&desired, &snapshot(&desired, &[]));
        let names: Vec<&str> = asked.iter().map(|probe| probe.name.as_str()).collect();
        let elsewhere = ["trusted-access", "policies"];
        for (name, _) in world.answers.iter().filter(|it| !elsewhere.contains(&it.0.as_str())) {
            assert!(names.contains(&name.as_str()), "{name} is not among {names:?}");
        }
        assert!(names.contains(&"tls-secret"));
    }
}

#[test]
pub(in crate::health) fn azure_only_looks_at_azure_alone() {
    let world = DoctorWorld::good(false).declare("/cluster/access", json!("azureOnly"));
    let desired = desired(world.manifest.clone());
    let asked = probes(&desired, &snapshot(&desired, &[]));
    assert!(asked.iter().all(|it| matches!(it.read, Read::Arm { .. } | Read::ArmList { .. })));
    let found = world.run();
    assert_eq!(status(&found, "cluster-not-looked-at"), Status::Skipped);
    assert!(worst(&found, "capacity").is_none());
}
