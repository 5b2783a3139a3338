//! What `verify` finds in a deployment with one thing wrong.

use serde_json::json;

use super::super::fixture::{desired, probed, snapshot, status, worst};
use super::super::report::{Finding, Probe, Probed, Status};
use super::super::rules::{self, By};
use super::*;
use crate::model::Json;
use crate::model::KindName;
use crate::resource::Snapshot;
use crate::resource::graph::Desired;

fn probes(desired: &Desired, snapshot: &Snapshot) -> Vec<Probe> {
    rules::probes(By::Verify, desired, snapshot)
}

fn checks(desired: &Desired, snapshot: &Snapshot, probed: &Probed, now: Timestamp) -> Vec<Finding> {
    rules::checks(By::Verify, desired, snapshot, probed, now)
}

const EXT: &str = "edge/extension/ext";

fn installed() -> Json {
    json!({"properties": {"extensionType": "microsoft.azureml.kubernetes", "provisioningState": "Succeeded"}})
}

fn arc() -> Json {
    json!({"location": "westeurope", "properties": {
        "connectivityStatus": "Connected", "totalNodeCount": 3, "distribution": "k3s"}})
}

fn workload(name: &str, account: &str, ready: i64) -> Json {
    json!({"metadata": {"name": name}, "spec": {"replicas": 1,
        "template": {"spec": {"serviceAccountName": account}}}, "status": {"readyReplicas": ready}})
}

/// Every workload of the fixture's scenario, ready.
fn workloads() -> Vec<Json> {
    let names = "gateway metrics-controller-manager ext-kube-state-metrics ext-prometheus-operator \
        relayserver aml-operator volcano-admission volcano-controllers volcano-scheduler \
        amlarc-identity-controller amlarc-identity-proxy inference-operator-controller-manager \
        azureml-fe-v2";
    names.split_whitespace().map(|part| workload(part, part, 1)).collect()
}

fn pod(name: &str, phase: &str, ready: bool) -> Json {
    json!({"metadata": {"name": name}, "status": {"phase": phase, "containerStatuses": [
        {"ready": ready, "state": if ready { json!({}) } else { json!({"waiting": {"reason": "ImagePullBackOff"}}) }}]}})
}

fn healthy() -> Vec<(&'static str, Json)> {
    vec![
        ("own-deployments", json!(workloads())),
        ("own-statefulsets", json!([workload("prometheus-prom-prometheus", "prom-prometheus", 1)])),
        ("own-daemonsets", json!([])),
        (
            "own-pods",
            json!([pod("gateway-1", "Running", true), pod("healthcheck", "Succeeded", false)]),
        ),
        ("own-events", json!([])),
        ("health", json!({"data": {"reports-test": "Status: Passed Name: info"}})),
        ("health-2021", Json::Null),
        (
            "router",
            json!({"spec": {"type": "LoadBalancer"}, "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}}}),
        ),
        (
            "instance-type-crd",
            json!({"spec": {"versions": [{"name": "v1alpha1", "served": true}]}}),
        ),
    ]
}

fn with(change: (&'static str, Json)) -> Probed {
    let mut answers = healthy();
    answers.retain(|(name, _)| *name != change.0);
    answers.push(change);
    probed(&answers)
}

fn run(answers: &Probed) -> Vec<Finding> {
    let desired = desired(
        json!({"cluster": {"type": "connectedClusters", "name": "edge", "distribution": "k3s"}}),
    );
    let active = json!({"properties": {"provisioningState": "Succeeded"}});
    let mut live = vec![(EXT.to_owned(), installed()), ("edge/cluster/edge".to_owned(), arc())];
    for key in desired.nodes.keys().filter(|address| address.kind.as_str().starts_with("relay")) {
        live.push((key.to_string(), active.clone()));
    }
    live.push(("edge/namespace/azureml".to_owned(), json!({"status": {"phase": "Active"}})));
    let live: Vec<(&str, Json)> =
        live.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
    checks(&desired, &snapshot(&desired, &live), answers, Timestamp::UNIX_EPOCH)
}

#[test]
pub(in crate::health) fn a_healthy_deployment_passes_every_check_and_tells_its_address() {
    let found = run(&probed(&healthy()));
    let bad: Vec<_> = found.iter().filter(|finding| finding.status > Status::Skipped).collect();
    assert!(bad.is_empty(), "{bad:#?}");
    assert_eq!(worst(&found, "router-address").unwrap().message, "192.0.2.7");
    let components = found.iter().filter(|finding| finding.code == "component-not-ready").count();
    assert_eq!(components, 15, "thirteen Deployments, a StatefulSet and the optional DaemonSet");
}

#[test]
pub(in crate::health) fn what_could_not_be_read_never_passes() {
    let found = run(&Probed::default());
    for code in [
        "component-not-ready",
        "pods-not-ready",
        "health-report",
        "router-address",
        "scc-refuses-pods",
        "instance-type-crd",
    ] {
        assert_eq!(status(&found, code), Status::Unknown, "{code}");
    }
    let desired = desired(json!({}));
    let found = checks(&desired, &Snapshot::default(), &Probed::default(), Timestamp::UNIX_EPOCH);
    assert_eq!(status(&found, "extension-not-ready"), Status::Unknown);
    assert_eq!(status(&found, "cluster-unreachable"), Status::Unknown);
    assert!(found.iter().all(|finding| finding.status != Status::Pass), "{found:#?}");
}

#[test]
pub(in crate::health) fn each_thing_that_is_wrong_is_found() {
    let mut missing = workloads();
    missing.retain(|value| value["metadata"]["name"] != "aml-operator");
    let mut sick = workloads();
    sick[0] = workload("gateway", "gateway", 0);
    let pending = json!({"spec": {"type": "LoadBalancer"}});
    let pods = json!([pod("gateway-1", "Running", true), pod("aml-operator-1", "Pending", false)]);
    for (change, code, part) in [
        (("own-deployments", json!(missing)), "component-not-ready", "enableTraining is true"),
        (("own-deployments", json!(sick)), "component-not-ready", "0/1 ready"),
        (("own-pods", pods), "pods-not-ready", "aml-operator-1 0/1 (ImagePullBackOff)"),
        (("own-pods", json!([])), "pods-not-ready", "no pods"),
        (("router", pending), "router-address", "no address"),
        (("router", Json::Null), "router-address", "is missing"),
        (("instance-type-crd", Json::Null), "instance-type-crd", "does not serve"),
    ] {
        let found = run(&with(change));
        let worst = worst(&found, code).unwrap();
        assert_eq!(worst.status, Status::Fail, "{code}");
        assert!(worst.message.contains(part), "{}", worst.message);
        assert!(worst.help.is_some());
    }
}

#[test]
pub(in crate::health) fn a_refused_service_account_is_named_and_said_where_to_write() {
    let event = |account: &str| {
        let tail = if account.is_empty() {
            String::new()
        } else {
            format!(" serviceaccount system:serviceaccount:azureml:{account}]")
        };
        json!([{"reason": "FailedCreate", "involvedObject": {"kind": "ReplicaSet", "name": "gateway-5d8f"},
            "message": format!("Error creating: pods is forbidden: unable to validate against any security context constraint: [{tail}")}])
    };
    let run_with = |events: Json, ready: i64| {
        let mut sick = workloads();
        sick[0] = workload("gateway", "gateway-sa", ready);
        let mut answers = healthy();
        answers.retain(|(name, _)| !["own-deployments", "own-events"].contains(name));
        answers.extend([("own-deployments", json!(sick)), ("own-events", events)]);
        run(&probed(&answers))
    };
    let found = run_with(event("azureml-fe-v2"), 0);
    let refusal = worst(&found, "scc-refuses-pods").unwrap();
    assert!(
        refusal.message.contains("azureml:azureml-fe-v2 start the pods of gateway"),
        "{refusal:?}"
    );
    assert!(refusal.help.as_ref().unwrap().contains("apply grants"));
    let found = run_with(event(""), 0);
    let refusal = worst(&found, "scc-refuses-pods").unwrap();
    assert!(refusal.help.as_ref().unwrap().contains("[system:serviceaccount:azureml:gateway-sa]"));
    assert_eq!(
        status(&run_with(event(""), 1), "scc-refuses-pods"),
        Status::Pass,
        "old events do not count"
    );
}

#[test]
pub(in crate::health) fn azure_only_skips_the_inside_of_the_cluster_and_says_so() {
    let desired = desired(
        json!({"cluster": {"type": "connectedClusters", "name": "edge", "access": "azureOnly"}}),
    );
    assert!(probes(&desired, &Snapshot::default()).is_empty());
    let world = snapshot(&desired, &[(EXT, installed()), ("edge/cluster/edge", arc())]);
    let found = checks(&desired, &world, &Probed::default(), Timestamp::UNIX_EPOCH);
    let skipped = worst(&found, "cluster-not-looked-at").unwrap();
    assert_eq!(skipped.status, Status::Skipped);
    assert!(skipped.message.contains("azureOnly"));
    assert_eq!(status(&found, "extension-not-ready"), Status::Pass);
}

#[test]
pub(in crate::health) fn states_of_the_extension_old_and_new_are_understood() {
    let desired = desired(json!({}));
    for (properties, expected) in [
        (json!({"provisioningState": "succeeded"}), Status::Pass),
        (json!({"installState": "Installed"}), Status::Pass),
        (json!({"installState": "Pending"}), Status::Fail),
        (json!({"provisioningState": "Updating"}), Status::Fail),
        (
            json!({"provisioningState": "Failed", "statuses": [{"message": "pod healthcheck failed"}]}),
            Status::Fail,
        ),
        (json!({}), Status::Fail),
    ] {
        let world = snapshot(&desired, &[(EXT, json!({"properties": properties}))]);
        let found = checks(&desired, &world, &probed(&healthy()), Timestamp::UNIX_EPOCH);
        assert_eq!(status(&found, "extension-not-ready"), expected, "{properties}");
        assert_eq!(status(&found, "extension-wrong-type"), Status::Fail);
    }
    let found =
        checks(&desired, &snapshot(&desired, &[]), &probed(&healthy()), Timestamp::UNIX_EPOCH);
    assert_eq!(status(&found, "extension-not-ready"), Status::Fail);
    assert_eq!(status(&found, "cluster-not-looked-at"), Status::Skipped);
}

#[test]
pub(in crate::health) fn a_health_report_fails_only_a_failed_installation() {
    let text = "Status: Failed Name: x ErrorCode: E40002 ErrorMessage: two nodes";
    let found = run(&with(("health", json!({"data": {"reports-pre-install": text}}))));
    assert_eq!(status(&found, "health-report"), Status::Warning);
    let desired = desired(json!({}));
    let failed = json!({"properties": {"provisioningState": "Failed"}});
    let world = snapshot(&desired, &[(EXT, failed)]);
    let answers = with(("health", json!({"data": {"reports-pre-install": text}})));
    let found = checks(&desired, &world, &answers, Timestamp::UNIX_EPOCH);
    let report = worst(&found, "health-report").unwrap();
    assert_eq!(report.status, Status::Fail);
    assert!(report.help.as_ref().unwrap().contains("inferenceRouterHA"));
}

#[test]
pub(in crate::health) fn an_installation_that_was_undone_is_one_finding_with_its_cause() {
    let text = "Status: Failed Name: x ErrorCode: E45002 ErrorMessage: another operator";
    let desired = desired(json!({}));
    let failed = json!({"properties": {"provisioningState": "Failed"}});
    let world = snapshot(&desired, &[(EXT, failed)]);
    let mut answers = healthy();
    answers.retain(|it| !["own-deployments", "own-statefulsets", "health"].contains(&it.0));
    let map = json!({"data": {"reports-pre-install": text, "reports-pre-delete": text}});
    answers.extend([
        ("own-deployments", json!([])),
        ("own-statefulsets", json!([])),
        ("health", map),
    ]);
    let found = checks(&desired, &world, &probed(&answers), Timestamp::UNIX_EPOCH);
    let of = |code: &str| found.iter().filter(|finding| finding.code == code).collect::<Vec<_>>();
    let workloads = of("component-not-ready");
    assert_eq!(workloads.len(), 1);
    assert!(workloads[0].message.contains("was undone"));
    let report = of("health-report");
    assert_eq!((report.len(), report[0].status), (1, Status::Fail), "no other code is to blame");
    assert!(of("pods-not-ready").is_empty());
}

#[test]
pub(in crate::health) fn a_compute_needs_its_state_and_its_principal() {
    let desired = desired(
        json!({"computes": [{"name": "c", "workspace": {"name": "ws"}, "identity": {"type": "SystemAssigned"}}]}),
    );
    for (document, ready, identity) in [
        (
            json!({"identity": {"principalId": "p"}, "properties": {"provisioningState": "Succeeded"}}),
            Status::Pass,
            Some(Status::Pass),
        ),
        (
            json!({"properties": {"provisioningState": "Succeeded"}}),
            Status::Pass,
            Some(Status::Fail),
        ),
        (
            json!({"properties": {"provisioningState": "Failed", "provisioningErrors": [{"error": {"message": "extension not installed"}}]}}),
            Status::Fail,
            None,
        ),
    ] {
        let world = snapshot(&desired, &[("edge/compute/c", document)]);
        let found = checks(&desired, &world, &probed(&healthy()), Timestamp::UNIX_EPOCH);
        assert_eq!(status(&found, "compute-not-ready"), ready);
        assert_eq!(worst(&found, "compute-identity-missing").map(|it| it.status), identity);
    }
}

#[test]
pub(in crate::health) fn accounts_without_their_grant_are_counted_on_openshift_only() {
    let openshift = json!({"cluster": {"type": "connectedClusters", "name": "edge", "distribution": "openshift"}});
    let users = desired(json!({
        "cluster": openshift["cluster"], "scc": {"method": "users"}, "extension": null,
    }));
    assert!(users.nodes.keys().any(|address| address.kind == KindName::SccGrant));
    let desired = desired(json!({"cluster": openshift["cluster"], "scc": {"method": "users"}}));
    let all = service_accounts(&desired);
    let run = |held: &[String]| {
        let scc = json!({"metadata": {"name": "privileged"}, "users": held});
        let world = snapshot(&desired, &[("edge/scc_grant/privileged", scc)]);
        let found = checks(&desired, &world, &probed(&healthy()), Timestamp::UNIX_EPOCH);
        worst(&found, "scc-grant-incomplete").unwrap().clone()
    };
    let unread = checks(&desired, &Snapshot::default(), &Probed::default(), Timestamp::UNIX_EPOCH);
    assert_eq!(status(&unread, "scc-grant-incomplete"), Status::Unknown);
    assert_eq!(run(&all).status, Status::Pass);
    let lost = run(&all[1..]);
    assert_eq!(lost.status, Status::Fail);
    assert!(lost.message.contains(&all[0]), "{}", lost.message);
}

fn service_accounts(desired: &Desired) -> Vec<String> {
    let user =
        |(namespace, name): &(String, String)| format!("system:serviceaccount:{namespace}:{name}");
    let grant = desired.nodes.values().find_map(|node| match &node.resource {
        Resource::SccGrant(grant) => Some(grant.accounts.iter().map(user).collect()),
        _ => None,
    });
    grant.unwrap()
}

/// Every kind that has only its own readiness to tell, absent and there.
#[test]
pub(in crate::health) fn what_is_declared_has_to_be_there() {
    let id = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg";
    let desired = desired(json!({
        "instanceTypes": [{"name": "big", "resources": {"requests": {"cpu": "1", "memory": "1Gi"},
            "limits": {"cpu": "1", "memory": "1Gi"}}}],
        "roleAssignments": [{"principal": "00000000-0000-0000-0000-0000000000aa", "role": "AcrPull", "scope": id}],
        "federatedIdentityCredentials": [{"name": "train", "issuer": "https://oidc.example.com/",
            "identity": format!("{id}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/i"),
            "serviceAccount": {"namespace": "ml-jobs", "name": "default"}}],
    }));
    let codes = [
        "credential-missing",
        "namespace-not-ready",
        "companion-not-ready",
        "instance-type-missing",
        "role-assignment-missing",
    ];
    let live = snapshot(&desired, &[(EXT, installed())]);
    let found = checks(&desired, &live, &probed(&healthy()), Timestamp::UNIX_EPOCH);
    for code in codes {
        assert_eq!(status(&found, code), Status::Fail, "{code}");
    }
    let ready = |kind: KindName| match kind {
        KindName::Namespace => json!({"status": {"phase": "Active"}}),
        KindName::RoleAssignment => {
            json!([{"properties": {"principalId": "00000000-0000-0000-0000-0000000000aa",
            "roleDefinitionId": "/x/7f951dda-4ed3-4680-a7ca-43fe172d538d", "scope": id}}])
        }
        KindName::InstanceType => json!({"spec": {}}),
        _ => json!({"properties": {"provisioningState": "Succeeded"}}),
    };
    let live = crate::resource::Live;
    let mut world = snapshot(&desired, &[(EXT, installed())]);
    for key in desired.nodes.keys().filter(|address| address.kind != KindName::Extension) {
        let document = ready(key.kind);
        // A role is looked for in a list.
        world.live.insert(key.clone(), live(vec![Some(document)]));
    }
    let found = checks(&desired, &world, &probed(&healthy()), Timestamp::UNIX_EPOCH);
    for code in codes {
        assert_eq!(status(&found, code), Status::Pass, "{code}: {found:#?}");
    }
}
