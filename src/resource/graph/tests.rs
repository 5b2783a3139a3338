//! What `az` would send, setting by setting, for each kind of cluster and profile.

use std::collections::BTreeMap;

use serde_json::json;

use super::build;
use crate::language::{ClusterSpec, Declared, Manifest};
use crate::model::{Encoding, Json, KindName, Pointer, Secret, SecretSource, Value};
use crate::resource::{
    Change, Document, Extension, FieldChange, Kind as _, Live, Request, Resource, Snapshot, Verb,
};

const PROTECTED: &str = "/properties/configurationProtectedSettings";
const SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000000";

/// The extension of a cluster with these settings, and the world around it.
fn extension(cluster: &Json, profile: &str, settings: &Json, live: Json) -> (Extension, Snapshot) {
    let spec: ClusterSpec = serde_json::from_value(json!({
        "name": "edge",
        "azure": {"subscription": SUBSCRIPTION, "resourceGroup": "rg-ml"},
        "cluster": cluster,
        "extension": {"name": "ext", "profile": profile, "configurationSettings": settings},
    }))
    .unwrap();
    let desired = build(&Manifest::from(vec![Declared::from(spec)])).unwrap();
    let mut world = Snapshot::default();
    for key in desired.nodes.keys().filter(|address| address.kind == KindName::Cluster) {
        world.live.insert(key.clone(), Live(vec![Some(live.clone())]));
    }
    for node in desired.nodes.into_values() {
        if let Resource::Extension(extension) = node.resource {
            return (extension, world);
        }
    }
    panic!("the manifest declares an extension");
}

fn derived(cluster: Json, profile: &str, settings: Json, live: Json) -> BTreeMap<String, String> {
    let (extension, world) = extension(&cluster, profile, &settings, live);
    let mut all = extension.effective(&world);
    all.retain(|key, _| settings.get(key).is_none());
    // The same in every case: the cluster's id, name and place.
    for key in [
        "cluster_name",
        "clusterId",
        "prometheus.prometheusSpec.externalLabels.cluster_name",
        "cluster_name_friendly",
        "domain",
        "location",
        "jobSchedulerLocation",
    ] {
        assert!(all.remove(key).is_some_and(|list| !list.is_empty()), "{key}");
    }
    all
}

#[track_caller]
fn check(found: &BTreeMap<String, String>, want: &[(&str, &str)]) {
    let want = want.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
    assert_eq!(*found, want);
}

#[test]
fn aks_has_an_ingress_controller_and_no_relay() {
    let cluster = json!({"type": "managedClusters", "name": "my-aks"});
    let live =
        json!({"location": "West Europe", "properties": {"agentPoolProfiles": [{"count": 3}]}});
    let found = derived(cluster, "ga", json!({"enableTraining": true}), live);
    check(
        &found,
        &[
            ("enableInference", "False"),
            ("nginxIngress.enabled", "true"),
            ("relayserver.enabled", "false"),
            ("servicebus.enabled", "false"),
        ],
    );
}

#[test]
fn a_small_openshift_cluster_gets_each_fact_by_itself() {
    let cluster = json!({"type": "connectedClusters", "name": "edge"});
    let live = |nodes: Json| {
        json!({"location": "eastus", "properties": {
            "totalNodeCount": nodes, "distribution": "OpenShift"}})
    };
    let settings = json!({"enableTraining": true, "enableInference": true,
        "inferenceRouterServiceType": "nodePort", "allowInsecureConnections": true});
    let relay = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-ml/providers/\
                 Microsoft.Relay/namespaces/edge00000000000000000000000000000000rgmlrelay/\
                 hybridConnections/edge";
    let always = [
        ("nginxIngress.enabled", "false"),
        ("openshift", "true"),
        ("relayserver.enabled", "true"),
        ("relayserver.hybridConnectionName", "edge"),
        ("relayserver.hybridConnectionResourceID", relay),
        ("scoringFe.serviceType.nodePort", "True"),
        ("servicebus.enabled", "false"),
    ];
    let mut small = always.to_vec();
    small.extend([("clusterPurpose", "DevTest"), ("inferenceRouterHA", "false")]);
    check(&derived(cluster.clone(), "ga", settings.clone(), live(json!(1))), &small);
    // Agents that have not reported hide no other fact.
    check(&derived(cluster, "ga", settings, live(Json::Null)), &always);
}

#[test]
fn the_preview_has_relay_and_service_bus_everywhere() {
    let cluster = json!({"type": "managedClusters", "name": "my-aks"});
    let settings = json!({"enableInference": true, "privateEndpointILB": true,
        "allowInsecureConnections": true, "inferenceLoadBalancerHA": false});
    let live = json!({"location": "eastus", "properties": {"agentPoolProfiles": []}});
    let found = derived(cluster, "2021-11-preview", settings, live);
    let text = |key: &str| found.get(key).map(String::as_str);
    assert_eq!(text("clusterPurpose"), Some("DevTest"));
    assert_eq!(text("scoringFe.serviceType.internalLoadBalancer"), Some("True"));
    assert_eq!(
        text("servicebus.topicSubMapping.jobstate-updatedby-computeprovider"),
        Some("compute-scheduler-jobstate"),
    );
    assert!(text("relayserver.hybridConnectionResourceID").is_some());
    assert_eq!((text("relayserver.enabled"), text("nginxIngress.enabled")), (None, None));
}

#[test]
fn an_identity_is_sent_under_connected_clusters_only() {
    for (kind, identity) in [("connectedClusters", true), ("managedClusters", false)] {
        let cluster = json!({"type": kind, "name": "c"});
        let settings = json!({"enableTraining": true});
        let (one, world) = extension(&cluster, "ga", &settings, json!({"location": "x"}));
        let found = one.want(&world).body.get(&Pointer::parse("/identity")).is_some();
        assert_eq!(found, identity, "{kind}");
    }
}

#[test]
fn a_rotated_secret_is_one_change_and_sends_every_secret_again() {
    let cluster = json!({"type": "managedClusters", "name": "c"});
    let (mut one, world) =
        extension(&cluster, "ga", &json!({"enableTraining": true}), json!({"location": "x"}));
    let secret =
        |text: &str| Secret::new(SecretSource::Env("X".into()), Encoding::Plain, text.into());
    one.protected = [("a", "one"), ("b", "two")].map(|(k, v)| (k.to_owned(), secret(v))).into();
    let change =
        |verb, want: &Document, live: &Live, changes: &[FieldChange], extension: &Extension| {
            let requests = extension.requests(&Change { verb, want, live, changes });
            let [Request::Arm { body: Some(body), .. }] = &requests[..] else { panic!() };
            body.clone()
        };
    let want = one.want(&world);
    let put = change(Verb::Create, &want, &Live::default(), &[], &one);
    let mut document = put.to_stored();
    document["properties"]["configurationProtectedSettings"] = json!({});
    let live = Live(vec![Some(document)]);
    assert_eq!(one.differences(&want, &live), Vec::new());

    one.protected.insert("b".to_owned(), secret("three"));
    let want = one.want(&world);
    let changes = one.differences(&want, &live);
    let paths: Vec<String> = changes.iter().map(|change| change.path.to_string()).collect();
    assert_eq!(paths, ["/properties/configurationProtectedSettings/b"]);
    let patch = change(Verb::Update, &want, &live, &changes, &one);
    let sent = patch.get(&Pointer::parse(PROTECTED)).unwrap();
    let Value::Object(sent) = sent else { panic!() };
    assert_eq!(sent.keys().collect::<Vec<_>>(), ["a", "b"]);
}
