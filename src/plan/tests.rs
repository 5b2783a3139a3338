//! What the planner promises, shown on small worlds.

use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::language::{ClusterSpec, Declared, Manifest};
use crate::model::{Json, Pointer};
use crate::resource::{Impact, Live, Method, Request, Target};

const SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000000";

pub fn desired(changes: Json) -> Desired {
    let mut spec = json!({
        "name": "edge",
        "azure": {"subscription": SUBSCRIPTION, "resourceGroup": "ml"},
        "cluster": {"type": "managedClusters", "name": "edge", "access": "azureOnly"},
        "extension": {"name": "ext", "configurationSettings": {"enableTraining": true}},
        "computes": [{"name": "gpu", "workspace": {"name": "ws"}}],
    });
    json_patch::merge(&mut spec, &changes);
    let spec: ClusterSpec = serde_json::from_value(spec).unwrap();
    graph::build(&Manifest::from(vec![Declared::from(spec)])).unwrap()
}

/// A world in which everything that a plan would make is as it wants it.
pub fn settled(desired: &Desired) -> Snapshot {
    settle(desired, given(desired))
}

/// The same, from a world in which something is there already.
fn settle(desired: &Desired, mut live: Snapshot) -> Snapshot {
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
    for key in desired.nodes.keys().filter(|address| address.kind.read_only()) {
        let pools = json!([{"count": 3}]);
        let document =
            json!({"location": "westeurope", "properties": {"agentPoolProfiles": pools}});
        live.live.insert(key.clone(), Live(vec![Some(document)]));
    }
    for key in desired.nodes.keys().filter(|address| address.kind == KindName::Feature) {
        let document = json!({"properties": {"state": "NotRegistered"}});
        live.live.insert(key.clone(), Live(vec![Some(document)]));
    }
    live
}

impl Plan {
    /// The step of a resource.
    pub(super) fn step(&self, key: &Key) -> Option<&Step> {
        self.steps.iter().find(|step| step.key == *key)
    }
}

pub fn make(desired: &Desired, live: &Snapshot) -> Plan {
    plan(&PlanInput { desired, live, mode: Mode::Apply })
}

fn extension() -> Key {
    Key::new("edge", KindName::Extension, "ext")
}

fn set(live: &mut Snapshot, key: &Key, pointer: &str, value: Json) {
    let document = live.live.get_mut(key).and_then(|live| live.0[0].as_mut()).unwrap();
    let pointer = Pointer::parse(pointer);
    let parent = document.pointer_mut(&pointer.parent().to_string()).unwrap();
    parent[pointer.tokens().last().unwrap()] = value;
}

#[test]
fn a_settled_world_has_nothing_to_do_and_an_empty_one_everything() {
    let desired = desired(json!({}));
    assert_eq!(make(&desired, &settled(&desired)).counts(), (0, 0, 0));
    let plan = make(&desired, &given(&desired));
    let made = plan.steps.iter().filter(|step| step.action == Action::Create).count();
    let read = plan.steps.iter().filter(|step| step.action == Action::Read).count();
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
    let feature = desired.nodes.keys().find(|address| address.kind == KindName::Feature).unwrap();
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
    let feature = desired.nodes.keys().find(|address| address.kind == KindName::Feature).unwrap();
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
    let deleted: Vec<KindName> = plan.changing().map(|step| step.key.kind).collect();
    assert_eq!(deleted, [KindName::Compute, KindName::Extension]);
    assert_eq!(plan.gates(true).len(), 1);
}

#[test]
fn a_missing_cluster_is_named_before_anything_is_written() {
    let desired = desired(json!({}));
    let mut live = settled(&desired);
    live.live.insert(Key::new("edge", KindName::Cluster, "edge"), Live(vec![None]));
    let plan = make(&desired, &live);
    assert!(plan.findings.iter().any(|finding| finding.code == "missing-cluster"));
}

/// A manifest with every kind that lives in Azure.
fn everything() -> Desired {
    desired(json!({
        "cluster": {"type": "connectedClusters"},
        "extension": {"profile": "2021-11-preview",
            "configurationSettings": {"logAnalyticsWS": true, "allowInsecureConnections": true}},
        "computes": [{"name": "gpu", "workspace": {"name": "ws"}, "tags": {"team": "ml"},
            "description": "trains", "identity": {"type": "SystemAssigned"}}],
        "roleAssignments": [{"principal": SUBSCRIPTION, "role": "AcrPull",
            "scope": format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/ml")}],
    }))
}

/// A world in which [`everything`] is as it is wanted.
fn everything_settled(desired: &Desired) -> Snapshot {
    let mut good = settled(desired);
    let (tag, value) = crate::catalog::COMPANION_TAG;
    for (key, live) in &mut good.live {
        let document = live.0[0].as_mut().unwrap();
        match key.kind {
            KindName::LogAnalyticsWorkspace => document["properties"] = json!({"customerId": "c"}),
            KindName::RelayHybridConnection
            | KindName::RelayAuthorizationRule
            | KindName::ServiceBusTopic
            | KindName::ServiceBusSubscription => {
                live.0.push(Some(json!({"tags": {tag: value}})));
            }
            _ => {}
        }
    }
    let plan = make(desired, &good);
    for step in plan.changing() {
        let after =
            step.after.as_ref().unwrap().resolve(&mut |_| Ok::<_, std::fmt::Error>(Json::Null));
        good.live.get_mut(&step.key).unwrap().0[0] = Some(after.unwrap());
    }
    let plan = make(desired, &good);
    assert!(plan.is_empty(), "{:#?}", plan.changing().collect::<Vec<_>>());
    good
}

/// A world in which the cluster has so many nodes.
fn with_nodes(live: &Snapshot, count: i64) -> Snapshot {
    let mut live = live.clone();
    let cluster = Key::new("edge", KindName::Cluster, "edge");
    set(&mut live, &cluster, "/properties/agentPoolProfiles", json!([{"count": count}]));
    live
}

#[test]
fn what_was_derived_from_the_cluster_is_decided_once() {
    let desired = desired(json!({}));
    for first in [2, 5] {
        let live = settle(&desired, with_nodes(&given(&desired), first));
        for count in [5, 2, 3, 1, 100] {
            let mut live = with_nodes(&live, count);
            assert!(make(&desired, &live).is_empty(), "installed with {first}, now {count}");
            let cluster = Key::new("edge", KindName::Cluster, "edge");
            set(&mut live, &cluster, "/location", json!("northeurope"));
            set(&mut live, &cluster, "/properties/distribution", json!("openshift"));
            let plan = make(&desired, &live);
            assert!(plan.step(&extension()).unwrap().action == Action::NoOp);
        }
    }
    // A value that no such fact gives is a difference, and the others say what was decided.
    let small = settle(&desired, with_nodes(&given(&desired), 2));
    let mut live = with_nodes(&small, 5);
    set(&mut live, &extension(), "/properties/configurationSettings/clusterPurpose", json!("Huge"));
    let plan = make(&desired, &live);
    let [change] = &plan.step(&extension()).unwrap().changes[..] else { panic!("{plan:#?}") };
    assert_eq!(change.after, Some("DevTest".into()));
    // A new installation decides anew.
    let mut live = with_nodes(&small, 5);
    set(&mut live, &extension(), "/properties/extensionType", json!("other"));
    let plan = make(&desired, &live);
    let after = plan.step(&extension()).unwrap().after.as_ref().unwrap().to_stored();
    assert!(after["properties"]["configurationSettings"].get("clusterPurpose").is_none());
    // The manifest changes it at any time.
    let settings = json!({"extension": {"configurationSettings": {"inferenceRouterHA": true}}});
    let declared = super::tests::desired(settings);
    assert_eq!(make(&declared, &small).step(&extension()).unwrap().changes.len(), 1);
}

#[test]
fn settings_are_compared_by_what_they_mean() {
    let desired = desired(json!({"extension": {"configurationSettings": {
        "nodeSelector.nvidia.com/gpu.present": "true", "sslSecret": "Mine"}}}));
    let live = settled(&desired);
    let at = |key: &str| {
        let settings = Pointer::parse("/properties/configurationSettings");
        settings.join(key).to_string()
    };
    // What `az k8s-extension update` writes, other spellings, and the chart's defaults.
    for (key, value) in [
        ("enableTraining", "TRUE"),
        ("scoringFe.serviceType.nodePort", "False"),
        ("scoringFe.serviceType.internalLoadBalancer", "false"),
        ("installPromOp", "True"),
        ("installDcgmExporter", "False"),
        ("sslCname", ""),
    ] {
        let mut live = live.clone();
        set(&mut live, &extension(), &at(key), json!(value));
        assert!(make(&desired, &live).is_empty(), "{key}={value}");
    }
    // Names are no words: their case counts.
    for (key, value) in [("sslSecret", "mine"), ("installPromOp", "False"), ("openshift", "True")] {
        let mut live = live.clone();
        set(&mut live, &extension(), &at(key), json!(value));
        assert_eq!(make(&desired, &live).counts(), (0, 1, 0), "{key}={value}");
    }
    let settings = Pointer::parse("/properties/configurationSettings");
    let sent = settings.get(live.document(&extension()).unwrap()).unwrap().clone();
    let (escaped, plain) =
        ("nodeSelector.nvidia\\.com/gpu\\.present", "nodeSelector.nvidia.com/gpu.present");
    assert_eq!((&sent[escaped], sent.get(plain)), (&json!("true"), None));
    let mut live = live;
    let mut other = sent;
    other.as_object_mut().unwrap().remove(escaped);
    other[plain] = json!("true");
    set(&mut live, &extension(), &settings.to_string(), other);
    assert!(make(&desired, &live).is_empty(), "both spellings name one label");
}

#[test]
fn a_removed_setting_is_blanked_and_the_plan_shows_what_is_sent() {
    let desired = desired(json!({}));
    let mut live = settled(&desired);
    let path = "/properties/configurationSettings/installDcgmExporter";
    set(&mut live, &extension(), path, json!("True"));
    let plan = make(&desired, &live);
    let step = plan.step(&extension()).unwrap();
    let [Request::Arm { body: Some(body), .. }] = &step.requests[..] else { panic!() };
    let blank = json!({"properties": {"configurationSettings": {"installDcgmExporter": ""}}});
    assert_eq!(body.to_stored(), blank);
    assert_eq!(step.changes[0].after, Some("".into()));
    assert_eq!(step.after.as_ref().unwrap().get(&Pointer::parse(path)), Some(&"".into()));
    set(&mut live, &extension(), path, json!(""));
    assert!(make(&desired, &live).is_empty());
}

#[test]
fn certificates_that_are_ignored_are_not_sent() {
    for profile in ["ga", "2021-11-preview"] {
        let mut spec = json!({"extension": {"profile": profile, "configurationSettings": {
            "enableInference": true, "allowInsecureConnections": true,
            "inferenceRouterServiceType": "NodePort", "sslSecret": "mine"}}});
        for (insecure, sent) in [(true, false), (false, true)] {
            spec["extension"]["configurationSettings"]["allowInsecureConnections"] =
                json!(insecure);
            let desired = desired(spec.clone());
            let plan = make(&desired, &given(&desired));
            let after = plan.step(&extension()).unwrap().after.as_ref().unwrap().to_stored();
            let settings = &after["properties"]["configurationSettings"];
            assert_eq!(settings.get("sslSecret").is_some(), sent, "{profile} {insecure}");
        }
    }
}

#[test]
fn what_never_worked_is_mended_without_leave_and_what_worked_is_not() {
    let desired = desired(json!({}));
    let compute = Key::new("edge", KindName::Compute, "gpu");
    let mut live = settled(&desired);
    set(&mut live, &compute, "/properties/provisioningState", json!("Failed"));
    let plan = make(&desired, &live);
    assert_eq!(plan.step(&compute).unwrap().action, Action::Replace);
    assert_eq!(plan.gates(false), []);
    let attached = "/properties/properties/extensionPrincipalId";
    set(&mut live, &compute, attached, json!("00000000-0000-0000-0000-000000000001"));
    assert_eq!(make(&desired, &live).gates(false).len(), 1);

    let mut live = settled(&desired);
    let training = "/properties/configurationSettings/enableTraining";
    let installed = "/properties/currentVersion";
    let selector = "/properties/configurationSettings/nodeSelector.disk";
    for (state, version, gates) in
        [("Failed", Json::Null, 0), ("Failed", json!("1.1.50"), 2), ("Succeeded", Json::Null, 2)]
    {
        set(&mut live, &extension(), "/properties/provisioningState", json!(state));
        set(&mut live, &extension(), installed, version);
        set(&mut live, &extension(), training, json!("True"));
        set(&mut live, &extension(), selector, json!("ssd"));
        let found = make(&desired, &live).gates(false);
        let own = found.iter().filter(|gate| gate.key == extension()).count();
        assert_eq!(own, usize::from(gates > 0), "{state}: {found:#?}");
    }
}

#[test]
fn a_companion_that_somebody_else_made_is_used_and_left_alone() {
    let desired = everything();
    let mut live = settled(&desired);
    let own = |address: &&Key| {
        matches!(
            address.kind,
            KindName::RelayNamespace
                | KindName::ServiceBusNamespace
                | KindName::LogAnalyticsWorkspace
        )
    };
    let companions: Vec<Key> = desired.nodes.keys().filter(own).cloned().collect();
    assert_eq!(companions.len(), 3);
    for key in &companions {
        set(&mut live, key, "/tags", json!({"team": "network"}));
        set(&mut live, key, "/location", json!("elsewhere"));
    }
    let applied = make(&desired, &live);
    let destroyed = plan(&PlanInput { desired: &desired, live: &live, mode: Mode::Destroy });
    for key in &companions {
        let step = applied.step(key).unwrap();
        assert_eq!(step.action, Action::NoOp, "{key}");
        assert!(matches!(step.note, Some(Note::Used(_))), "{key}");
        assert_eq!(destroyed.step(key).unwrap().action, Action::NoOp, "{key}");
    }
}

/// Everything a full plan has a step for is decided or told as unread, never both, and nothing is
/// changed whose ground is not known.
#[test]
fn what_could_not_be_read_is_told_and_nothing_is_built_on_it() {
    let desired = desired(json!({}));
    let settled = settled(&desired);
    for mode in [Mode::Apply, Mode::Destroy] {
        for live in [given(&desired), settled.clone()] {
            let full = plan(&PlanInput { desired: &desired, live: &live, mode });
            for dead in desired.nodes.keys() {
                let mut live = live.clone();
                live.live.remove(dead);
                let error = crate::resource::ReadError {
                    what: dead.to_string(),
                    api: crate::model::Api::Kubernetes,
                    help: None,
                    status: None,
                    code: None,
                    tenant: None,
                    message: "refused".into(),
                };
                live.unread.insert(dead.clone(), error);
                let plan = plan(&PlanInput { desired: &desired, live: &live, mode });
                let unread: Vec<&Key> = plan.unread.iter().flat_map(|it| &it.keys).collect();
                assert!(unread.contains(&dead) && !plan.errored() && !plan.complete());
                for step in &full.steps {
                    let decided = plan.step(&step.key).is_some();
                    assert_ne!(decided, unread.contains(&&step.key), "{} without {dead}", step.key);
                }
                for step in plan.changing() {
                    let above = |it: &&&Key| desired.nodes[**it].needs.contains(&step.key);
                    let below = |it: &&&Key| desired.nodes[&step.key].needs.contains(**it);
                    let ground = match mode {
                        Mode::Apply => unread.iter().find(below),
                        Mode::Destroy => unread.iter().find(above),
                    };
                    assert_eq!(ground, None, "{} without {dead}", step.key);
                }
            }
        }
    }
}

#[test]
fn what_is_protected_is_neither_destroyed_nor_replaced() {
    let desired = desired(json!({"lifecycle": {"preventDestroy": ["extension"]}}));
    let good = settled(&desired);
    for (pointer, value) in [
        ("/properties/extensionType", json!("other")),
        ("/properties/scope", json!({"cluster": {"releaseNamespace": "elsewhere"}})),
        ("/properties/scope", json!({"namespace": {"targetNamespace": "azureml"}})),
        ("/properties/configurationSettings/nodeSelector.disk", json!("ssd")),
    ] {
        let mut live = good.clone();
        set(&mut live, &extension(), pointer, value);
        let plan = make(&desired, &live);
        assert_eq!(plan.step(&extension()).unwrap().action, Action::Replace, "{pointer}");
        let gates: Vec<Key> = plan.gates(true).into_iter().map(|gate| gate.key).collect();
        assert_eq!(gates, [extension()], "{pointer}");
    }
    let mut live = good;
    let path = "/properties/configurationSettings/installDcgmExporter";
    set(&mut live, &extension(), path, json!("True"));
    assert_eq!(make(&desired, &live).gates(true), [], "it is only updated");
}

#[test]
fn the_keys_of_a_new_companion_are_sent_again() {
    let desired = everything();
    let good = everything_settled(&desired);
    for (kind, keys) in [
        (KindName::RelayAuthorizationRule, 2),
        (KindName::ServiceBusNamespace, 2),
        (KindName::LogAnalyticsWorkspace, 1),
    ] {
        let mut live = good.clone();
        let companion = desired.nodes.keys().find(|address| address.kind == kind).unwrap();
        live.live.insert(companion.clone(), Live(vec![None]));
        let plan = make(&desired, &live);
        let step = plan.step(&extension()).unwrap();
        assert_eq!(step.action, Action::Update, "{companion}");
        assert!(step.reasons.contains(&Reason::CompanionChanged(companion.clone())));
        assert!(step.depends_on.contains(companion));
        let body = step.requests[0].body().unwrap();
        let fresh = body.later_leaves().into_iter().filter(|it| it.1.from == *companion);
        assert_eq!(fresh.filter(|it| it.1.call.is_some()).count(), keys, "{companion}");
    }
}

#[path = "tests_foreign.rs"]
mod foreign;
#[path = "tests_parts.rs"]
mod parts;

#[test]
fn what_others_made_is_marked_on_request_or_with_a_change_and_never_else() {
    let mut desired = desired(json!({}));
    let compute = Key::new("edge", KindName::Compute, "gpu");
    let mut live = settled(&desired);
    set(&mut live, &compute, "/tags", json!({"team": "vision"}));
    assert_eq!(make(&desired, &live).counts(), (0, 0, 0));
    let after = |plan: &Plan| {
        let step = plan.steps.iter().find(|it| it.key == compute).unwrap();
        (step.action, step.after.as_ref().unwrap().to_stored().to_string())
    };
    desired.adopt = true;
    let (action, document) = after(&make(&desired, &live));
    assert_eq!(action, Action::Update);
    assert!(document.contains("amlplan-mark"), "{document}");
    desired.adopt = false;
    set(&mut live, &compute, "/properties/properties", json!({"namespace": "other"}));
    let (action, document) = after(&make(&desired, &live));
    assert!(action.changes());
    assert!(document.contains("amlplan-mark"), "{document}");
}

#[test]
fn a_key_that_is_asked_for_is_never_read_from_a_document() {
    let desired = desired(json!({
        "cluster": {"type": "connectedClusters"},
        "extension": {"configurationSettings": {"enableInference": true, "inferenceRouterServiceType": "NodePort", "allowInsecureConnections": true}},
    }));
    let mut live = settled(&desired);
    let rule = desired.nodes.keys().find(|it| it.kind == KindName::RelayAuthorizationRule).unwrap();
    set(&mut live, rule, "/primaryConnectionString", json!("leaked"));
    live.live.insert(extension(), Live(vec![None]));
    let plan = make(&desired, &live);
    let step = plan.steps.iter().find(|it| it.key == extension()).unwrap();
    assert!(!step.after.as_ref().unwrap().to_stored().to_string().contains("leaked"));
}
