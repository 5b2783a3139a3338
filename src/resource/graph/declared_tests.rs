//! What manifests come to: every resource with what it needs, where it was declared and why it is
//! there, in a line each; and what `lifecycle`, `drift` and `--target` mean.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::json;

use super::*;
use crate::language::{ClusterSpec, Declared, Manifest};
use crate::model::Json;
use crate::source::Diagnostics;

fn cluster(name: &str, changes: &Json) -> Declared {
    let mut spec = json!({
        "name": name,
        "azure": {"subscription": "00000000-0000-0000-0000-000000000000", "resourceGroup": "ml"},
        "cluster": {"type": "connectedClusters", "name": name},
        "extension": {"name": "ext"},
    });
    json_patch::merge(&mut spec, changes);
    serde_json::from_value::<ClusterSpec>(spec).unwrap().into()
}

fn built(clusters: &[(&str, Json)]) -> Result<Desired, Diagnostics> {
    let all = clusters.iter().map(|(name, changes)| cluster(name, changes));
    build(&Manifest::from(all.collect::<Vec<_>>()))
}

fn told(desired: &Desired) -> String {
    let mut told = String::new();
    for (key, node) in &desired.nodes {
        let (_, at) = node.declared.as_ref().unwrap();
        let reason = node.reason.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
        let _ = writeln!(told, "{key} at {at}{reason}");
        if let Resource::SccGrant(grant) = &node.resource {
            let _ = writeln!(told, "    {:?} {:?}", grant.method, grant.accounts);
        }
        for need in &node.needs {
            let _ = writeln!(told, "    {need}");
        }
    }
    for (name, scope) in &desired.scopes {
        let cluster = match &scope.cluster {
            None => "no cluster",
            Some(access) if access.handed_out => "a cluster whose kubeconfig Azure hands out",
            Some(_) => "a cluster",
        };
        let tenant = scope.tenant.as_deref().unwrap_or("any directory");
        let _ = writeln!(told, "scope {name}: {} {tenant}, {cluster}", scope.subscription);
    }
    desired.skipped.iter().for_each(|text| told.extend([text.as_str(), "\n"]));
    told
}

#[test]
fn a_manifest_asks_for_this() {
    let other = "11111111-1111-1111-1111-111111111111";
    let identity = "/subscriptions/22222222-2222-2222-2222-222222222222/resourceGroups/ids/\
                    providers/Microsoft.ManagedIdentity/userAssignedIdentities/one";
    let computes = json!([
        {"name": "a", "workspace": {"name": "ws"}, "namespace": "team"},
        {"name": "b", "workspace": {"name": "ws", "subscription": other, "resourceGroup": "r"},
            "namespace": "team", "identity": {"type": "UserAssigned", "userAssignedIdentities": [identity]}},
        {"name": "c", "workspace": {"name": "ws"}, "namespace": "default"},
        {"name": "d", "workspace": {"name": "ws"}, "namespace": "kube-public"},
    ]);
    let all = [
        (
            "aks with every companion",
            json!({"cluster": {"type": "managedClusters", "access": "azureOnly"},
                "instanceTypes": [{"name": "gpu", "resources": {}}], "scc": {"name": "mine"}, "extension": {
                "configurationSettings": {"logAnalyticsWS": true, "relayserver.enabled": true,
                    "servicebus.enabled": true}}}),
        ),
        (
            "computes",
            json!({"computes": computes, "scc": {"serviceAccounts": [
            "system:serviceaccount:own:one", "no:account"]}}),
        ),
        (
            "a preview on OpenShift without an extension's settings",
            json!({"cluster": {"distribution": "OpenShift"}, "extension": {"profile": "2021-11-preview"}}),
        ),
        (
            "aks with its kubeconfig from Azure",
            json!({"cluster": {"type": "managedClusters", "credentials": "azure"}}),
        ),
        ("a distribution without constraints", json!({"cluster": {"distribution": "k3s"}})),
        (
            "no extension",
            json!({"extension": null, "azure": {"tenant": other},
            "providers": ["A.B"], "features": ["A.B/one", "C.D/two"]}),
        ),
    ];
    let mut whole = String::new();
    for (what, changes) in all {
        let _ = writeln!(whole, "## {what}\n{}", told(&built(&[("edge", changes)]).unwrap()));
    }
    let two = [
        ("one", json!({"features": ["A.B/one"], "providers": ["A.B"], "azure": {"tenant": other}})),
        ("two", json!({"features": ["A.B/two"], "providers": ["A.B"]})),
    ];
    let _ = writeln!(whole, "## two clusters of one subscription\n{}", told(&built(&two).unwrap()));
    insta::assert_snapshot!(whole);
}

#[test]
fn clusters_of_one_subscription_agree_on_its_directory() {
    let tenant = |text: &str| json!({"azure": {"tenant": text}});
    let (a, upper, b) = (
        "aaaaaaaa-0000-0000-0000-000000000000",
        "AAAAAAAA-0000-0000-0000-000000000000",
        "bbbbbbbb-0000-0000-0000-000000000000",
    );
    for (one, two, agree) in [
        (tenant(a), tenant(upper), true),
        (tenant(a), json!({}), true),
        (json!({}), tenant(b), true),
        (tenant(a), tenant(b), false),
        (json!({"azure": {"cloud": "AzureChinaCloud"}}), json!({}), false),
    ] {
        let found = built(&[("one", one.clone()), ("two", two.clone())]);
        let codes: Vec<_> = found.err().into_iter().flatten().map(|it| it.code).collect();
        let wanted: &[&str] = if agree { &[] } else { &["address-collision"] };
        assert_eq!(codes, wanted, "{one} {two}");
    }
}

#[test]
fn companions_are_made_as_az_makes_them() {
    let protected = |key: &str| json!({"configurationProtectedSettings": {key: {"fromEnv": "X"}}});
    let plain = |key: &str, value: Json| json!({"configurationSettings": {key: value}});
    for (aks, preview, extension, wanted) in [
        (false, false, json!({}), (true, false, false)),
        (true, false, json!({}), (false, false, false)),
        (true, false, plain("relayserver.enabled", json!(true)), (true, false, false)),
        (true, false, plain("relayserver.enabled", json!("False")), (false, false, false)),
        (false, false, plain("relayserver.enabled", json!(false)), (false, false, false)),
        (false, false, plain("servicebus.enabled", json!(true)), (true, true, false)),
        (false, false, plain("servicebus.enabled", json!("FALSE")), (true, false, false)),
        (false, false, plain("logAnalyticsWS", json!("TRUE")), (true, false, true)),
        (false, false, plain("logAnalyticsWS", json!(false)), (true, false, false)),
        (true, true, json!({}), (true, true, false)),
        (false, true, protected("relayServerConnectionString"), (false, true, false)),
        (false, true, protected("serviceBusConnectionString"), (true, false, false)),
        (false, true, plain("relayServerConnectionString", json!("x")), (false, true, false)),
        (
            false,
            true,
            json!({"configurationSettings": {"logAnalyticsWS": true},
                "configurationProtectedSettings": {"azure_log_analytics.connection_string": {"fromEnv": "X"}}}),
            (true, true, false),
        ),
    ] {
        let kind = if aks { "managedClusters" } else { "connectedClusters" };
        let mut changes = json!({"cluster": {"type": kind}, "extension": extension});
        changes["extension"]["profile"] = json!(if preview { "2021-11-preview" } else { "ga" });
        let spec = cluster("edge", &changes).spec;
        assert_eq!(super::companions::companions_wanted(&spec), wanted, "{changes}");
    }
    let none = cluster("edge", &json!({"extension": null})).spec;
    assert_eq!(super::companions::companions_wanted(&none), (false, false, false));
}

/// What a manifest with these names under `lifecycle` and `drift` protects, leaves and accepts.
fn meant(lifecycle: &Json, drift: &Json) -> Result<Desired, Diagnostics> {
    let computes = json!([
        {"name": "gpu", "workspace": {"name": "ws"}},
        {"name": "cpu", "workspace": {"name": "ws"}},
    ]);
    let changes = json!({"computes": computes, "lifecycle": lifecycle, "drift": drift});
    built(&[("edge", changes)])
}

#[test]
fn lifecycle_means_addresses_kinds_and_paths() {
    let paths = [
        "extension.configurationSettings.installPromOp",
        "extension",
        "computes",
        "computes.gpu.description",
        "computes[0].description",
        "computes.*.tags",
        "computes.nobody.tags",
        "namespace",
        "scc",
        "name",
    ];
    let mut lines = String::new();
    for path in paths {
        let desired = meant(&json!({"ignoreChanges": [path]}), &json!({})).unwrap();
        let left: Vec<String> =
            desired.ignored.iter().map(|(key, at)| format!("{key} {at}")).collect();
        let _ = writeln!(lines, "ignoreChanges {path}: {}", left.join(", "));
        let entry = json!({"ignore": [{"path": path, "reason": "so"}]});
        let desired = meant(&json!({}), &entry).unwrap();
        let fields = &desired.accepted[0].fields;
        let accepted: Vec<String> = fields.iter().map(|(key, at)| format!("{key} {at}")).collect();
        assert_eq!(left, accepted, "{path}");
    }
    for name in ["extension", "compute", "edge/compute/gpu", "edge/compute", "role_assignment"] {
        let desired = meant(&json!({"preventDestroy": [name]}), &json!({})).unwrap();
        let kept: Vec<String> = desired.protected.iter().map(ToString::to_string).collect();
        let kinds: Vec<&str> = desired.protected_kinds.iter().map(|it| it.1.as_str()).collect();
        let _ = writeln!(lines, "preventDestroy {name}: {}; {}", kept.join(", "), kinds.join(", "));
    }
    insta::assert_snapshot!(lines);
    for (name, help) in [
        ("edge/compute/gpuu", "did you mean `edge/compute/gpu`?"),
        ("something/quite/different", "declare it."),
    ] {
        let wrong = meant(&json!({"preventDestroy": [name]}), &json!({})).unwrap_err();
        assert_eq!((wrong.len(), wrong[0].code), (1, "bad-prevent-destroy"));
        assert!(wrong[0].help.as_ref().unwrap().starts_with(help), "{wrong:?}");
    }
    // What another cluster of the run brought is declared as well.
    let shared = json!({"computes": [{"name": "gpu", "workspace": {"name": "ws"}}]});
    let mut second = shared.clone();
    second["lifecycle"] =
        json!({"preventDestroy": ["00000000-0000-0000-0000-000000000000/workspace/ml/ws"]});
    assert!(built(&[("edge", shared), ("other", second)]).is_ok());
}

#[test]
fn accepted_drift_covers_its_class_and_its_place() {
    let key = |text: &str| text.parse::<Key>().unwrap();
    for (path, class, of, drift, at, covers) in [
        ("computes.gpu.tags", None, "edge/compute/gpu", DriftClass::Setting, "/tags", true),
        ("computes.gpu.tags", None, "edge/compute/gpu", DriftClass::Setting, "/tags/team", true),
        ("computes.gpu.tags", None, "edge/compute/gpu", DriftClass::Setting, "/location", false),
        ("computes.gpu.tags", None, "edge/compute/cpu", DriftClass::Setting, "/tags", false),
        (
            "computes.gpu.tags",
            Some("setting"),
            "edge/compute/gpu",
            DriftClass::Setting,
            "/tags",
            true,
        ),
        (
            "computes.gpu.tags",
            Some("grant"),
            "edge/compute/gpu",
            DriftClass::Setting,
            "/tags",
            false,
        ),
        ("compute", None, "edge/compute/theirs", DriftClass::Setting, "", true),
        ("compute", None, "other/compute/theirs", DriftClass::Setting, "", false),
        ("edge/compute/theirs", None, "edge/compute/theirs", DriftClass::Setting, "", true),
        ("edge/compute/theirs", None, "edge/compute/gpu", DriftClass::Setting, "", false),
    ] {
        let mut entry = json!({"path": path, "reason": "so"});
        if let Some(class) = class {
            entry["class"] = json!(class);
        }
        let desired = meant(&json!({}), &json!({"ignore": [entry]})).unwrap();
        let found = desired.accepted[0].covers(drift, &key(of), &Pointer::parse(at));
        assert_eq!(found, covers, "{path} {class:?} {of}{at}");
    }
}

#[test]
fn a_part_of_the_desired_state_holds_together() {
    let workspace = |name: &str| json!({"computes": [{"name": name, "workspace": {"name": "ws"}}]});
    let desired = built(&[("one", workspace("a")), ("two", workspace("b"))]).unwrap();
    let scopes = |desired: &Desired| -> Vec<String> { desired.scopes.keys().cloned().collect() };
    let [shared, ..] = &scopes(&desired)[..] else { panic!() };
    let part = desired.part(&BTreeSet::from(["one".to_owned()]));
    assert_eq!(scopes(&part), [shared.as_str(), "one"]);
    assert!(part.nodes.keys().all(|key| key.scope != "two") && part.in_scope("one").count() > 3);
    assert_eq!(part.in_scope(shared).count(), desired.in_scope(shared).count());
    assert_eq!((desired.is_cluster("one"), desired.is_cluster(shared)), (true, false));
    for (target, reverse, kept, gone) in [
        ("one/extension", false, "one/extension/ext", "one/compute/a"),
        ("one/compute/a", false, "one/extension/ext", "two/compute/b"),
        ("one/extension", true, "one/compute/a", "one/namespace/azureml"),
        ("two/compute/b", true, "two/compute/b", "two/extension/ext"),
    ] {
        let part = desired.targeted(&[target.to_owned()], reverse);
        let holds = |text: &str| part.nodes.contains_key(&text.parse::<Key>().unwrap());
        assert!(holds(kept) && !holds(gone), "{target} {reverse}");
        for (key, node) in &part.nodes {
            assert!(node.needs.iter().all(|need| part.nodes.contains_key(need)), "{key}");
        }
        assert!(part.nodes.keys().any(|key| key.kind == KindName::Cluster), "reads stay");
    }
    assert_eq!(desired.targeted(&[], false).nodes.len(), desired.nodes.len());
}
