//! What the planner promises, shown on small worlds.

use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::language::{Cluster, Declared, Manifest, Origin};
use crate::model::{Json, Pointer};
use crate::resource::{Impact, Live, Request};

const SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000000";

fn desired(changes: Json) -> Desired {
    let mut spec = json!({
        "name": "edge",
        "azure": {"subscription": SUBSCRIPTION, "resourceGroup": "ml"},
        "cluster": {"type": "managedClusters", "name": "edge", "access": "azureOnly"},
        "extension": {"name": "ext", "configurationSettings": {"enableTraining": true}},
        "computes": [{"name": "gpu", "workspace": {"name": "ws"}}],
    });
    json_patch::merge(&mut spec, &changes);
    let spec: Cluster = serde_json::from_value(spec).unwrap();
    let declared = Declared { spec, origin: Origin::default(), secrets: BTreeMap::default() };
    graph::build(&Manifest { clusters: vec![declared] }).unwrap()
}

/// A world in which everything that a plan would make is as it wants it.
fn settled(desired: &Desired) -> Snapshot {
    let mut live = given(desired);
    // Later values are known only once what they come from is there, so this takes rounds.
    for _ in 0..4 {
        let plan = make(desired, &live);
        for step in plan.steps.iter().filter(|it| it.action.changes()) {
            let after = step.after.as_ref().unwrap();
            let document = after.resolve(&mut |_| Ok::<_, std::fmt::Error>(Json::Null)).unwrap();
            live.live.insert(step.key.clone(), Live(vec![Some(document)]));
        }
    }
    live
}

/// A world with what the manifest presupposes only.
fn given(desired: &Desired) -> Snapshot {
    let mut live = Snapshot::default();
    for key in desired.nodes.keys().filter(|it| it.kind.read_only()) {
        let pools = json!([{"count": 3}]);
        let document =
            json!({"location": "westeurope", "properties": {"agentPoolProfiles": pools}});
        live.live.insert(key.clone(), Live(vec![Some(document)]));
    }
    for key in desired.nodes.keys().filter(|it| it.kind == KindName::Feature) {
        let document = json!({"properties": {"state": "NotRegistered"}});
        live.live.insert(key.clone(), Live(vec![Some(document)]));
    }
    live
}

fn make(desired: &Desired, live: &Snapshot) -> Plan {
    plan(&PlanInput { desired, live, mode: Mode::Apply })
}

fn extension() -> Key {
    Key::new("edge", KindName::Extension, "ext")
}

fn set(live: &mut Snapshot, key: &Key, pointer: &str, value: Json) {
    let document = live.live.get_mut(key).and_then(|it| it.0[0].as_mut()).unwrap();
    let pointer = Pointer::parse(pointer);
    let parent = document.pointer_mut(&pointer.parent().to_string()).unwrap();
    parent[pointer.tokens().last().unwrap()] = value;
}

#[test]
fn a_settled_world_has_nothing_to_do_and_an_empty_one_everything() {
    let desired = desired(json!({}));
    assert_eq!(make(&desired, &settled(&desired)).counts(), (0, 0, 0));
    let plan = make(&desired, &given(&desired));
    let made = plan.steps.iter().filter(|it| it.action == Action::Create).count();
    let read = plan.steps.iter().filter(|it| it.action == Action::Read).count();
    assert_eq!((made + read, read), (plan.steps.len(), 2));
}

#[test]
fn the_same_input_gives_the_same_plan() {
    let desired = desired(json!({}));
    let live = given(&desired);
    assert_eq!(make(&desired, &live), make(&desired, &live));
}

#[test]
fn one_changed_setting_is_one_change_and_one_patched_key() {
    let desired = desired(json!({}));
    let mut live = settled(&desired);
    set(&mut live, &extension(), "/properties/configurationSettings/location", json!("moon"));
    let plan = make(&desired, &live);
    let step = plan.step(&extension()).unwrap();
    assert_eq!((plan.counts(), step.action), ((0, 1, 0), Action::Update));
    let [Request::Arm { body: Some(body), .. }] = &step.requests[..] else { panic!() };
    let patched = json!({"properties": {"configurationSettings": {"location": "westeurope"}}});
    assert_eq!(body.to_stored(), patched);
}

#[test]
fn a_setting_that_nobody_declares_is_blanked_and_a_node_selector_needs_a_new_installation() {
    let desired = desired(json!({}));
    for (key, action) in [("stray", Action::Update), ("nodeSelector.disk", Action::Replace)] {
        let mut live = settled(&desired);
        let path = format!("/properties/configurationSettings/{key}");
        set(&mut live, &extension(), &path, json!("ssd"));
        assert_eq!(make(&desired, &live).step(&extension()).unwrap().action, action, "{key}");
    }
}

#[test]
fn replacing_the_extension_takes_its_computes_along() {
    let desired = desired(json!({}));
    let mut live = settled(&desired);
    set(&mut live, &extension(), "/properties/extensionType", json!("other"));
    let plan = make(&desired, &live);
    let compute = plan.step(&Key::new("edge", KindName::Compute, "gpu")).unwrap();
    assert_eq!(compute.action, Action::Replace);
    assert_eq!(compute.reasons, [Reason::DependencyReplaced(extension())]);
    assert!(plan.gates(false).len() == 2 && plan.gates(true).is_empty());
}

#[test]
fn ignored_paths_are_neither_reported_nor_changed() {
    let path = "extension.configurationSettings.nodeSelector";
    let desired = desired(json!({"lifecycle": {"ignoreChanges": [path]}}));
    let mut live = settled(&desired);
    let pointer = "/properties/configurationSettings/nodeSelector.disk";
    set(&mut live, &extension(), pointer, json!("ssd"));
    assert!(make(&desired, &live).is_empty());
}

#[test]
fn a_registered_feature_has_its_provider_registered_again() {
    let desired = desired(json!({"extension": {"profile": "2021-11-preview"}}));
    let mut live = settled(&desired);
    let feature = desired.nodes.keys().find(|it| it.kind == KindName::Feature).unwrap();
    set(&mut live, feature, "/properties/state", json!("NotRegistered"));
    let plan = make(&desired, &live);
    let provider = Key::new(SUBSCRIPTION, KindName::Provider, "Microsoft.ContainerService");
    let step = plan.step(&provider).unwrap();
    assert_eq!(step.reasons, [Reason::FeatureRegistered(vec![feature.clone()])]);
    assert!(step.depends_on.contains(feature));
}

#[test]
fn a_feature_that_waits_for_approval_is_an_error_and_one_that_is_gone_a_warning() {
    let desired = desired(json!({"extension": {"profile": "2021-11-preview"}}));
    let feature = desired.nodes.keys().find(|it| it.kind == KindName::Feature).unwrap();
    let mut live = settled(&desired);
    set(&mut live, feature, "/properties/state", json!("Pending"));
    assert!(make(&desired, &live).errored());
    live.live.insert(feature.clone(), Live(vec![None]));
    let plan = make(&desired, &live);
    assert!(!plan.errored() && plan.is_empty() && !plan.findings.is_empty());
}

#[test]
fn what_azure_still_works_on_is_joined_and_what_failed_is_done_again() {
    let desired = desired(json!({}));
    let mut live = settled(&desired);
    set(&mut live, &extension(), "/properties/provisioningState", json!("Creating"));
    let plan = make(&desired, &live);
    let step = plan.step(&extension()).unwrap();
    assert_eq!((step.action, step.settling.as_deref()), (Action::NoOp, Some("Creating")));
    set(&mut live, &extension(), "/properties/provisioningState", json!("Failed"));
    let plan = make(&desired, &live);
    let step = plan.step(&extension()).unwrap();
    assert_eq!(step.action, Action::Update);
    assert!(matches!(step.reasons[..], [Reason::Unhealthy { .. }]));
    assert_eq!(step.impact, Impact::Safe);
}

#[test]
fn destroying_keeps_registrations_and_asks_protected_resources_first() {
    let desired = desired(json!({"lifecycle": {"preventDestroy": ["extension"]}}));
    let live = settled(&desired);
    let plan = plan(&PlanInput { desired: &desired, live: &live, mode: Mode::Destroy });
    let deleted: Vec<KindName> = plan.changing().map(|it| it.key.kind).collect();
    assert_eq!(deleted, [KindName::Compute, KindName::Extension]);
    assert_eq!(plan.gates(true).len(), 1);
}

#[test]
fn a_missing_cluster_is_named_before_anything_is_written() {
    let desired = desired(json!({}));
    let mut live = settled(&desired);
    live.live.insert(Key::new("edge", KindName::Cluster, "edge"), Live(vec![None]));
    let plan = make(&desired, &live);
    assert!(plan.findings.iter().any(|it| it.code == "missing-cluster"));
}
