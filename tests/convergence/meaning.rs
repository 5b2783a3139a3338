//! What a run must never do silently: lose what others wrote, decide twice, send what it said it
//! ignores, or call a difference what means the same. Through the program, against the simulator.

use super::life::{Life, json};
use super::program::Place;
use serde_json::{Value as Json, json as value};

/// A manifest of one cluster `e`, in a folder of its own.
fn life<'a>(place: &'a Place, kind: &str, rest: &str) -> Life<'a> {
    let manifest = format!(
        "apiVersion: amlplan/v1\nkind: Cluster\nname: e\nazure: {{subscription: 00000000-0000-0000-0000-000000000000, \
         resourceGroup: ml-rg}}\ncluster: {{type: {kind}, name: e}}\n{rest}"
    );
    std::fs::write(place.path("e.yaml"), manifest).expect("the manifest");
    Life { place, manifest: "e.yaml".to_owned() }
}

impl Life<'_> {
    fn set(&self, address: &str, pointer: &str, value: &Json) {
        self.sandbox("set", &[address, &format!("{pointer}={value}")]).exits(0);
    }

    /// The stored resource whose id or object whose name ends so.
    fn stored(&self, end: &str) -> Json {
        let world = json(&self.sandbox("show", &["--json"]).exits(0).out);
        let arm = world["arm"].as_object().expect("a map").iter();
        let mut found = arm.filter(|(id, _)| id.ends_with(end)).map(|it| it.1.clone());
        let objects = world["kubernetes"].as_object().expect("a map").values();
        let mut objects = objects.flat_map(|it| it.as_array().expect("a list")).filter(|it| {
            let text = |at: &str| it.pointer(at).and_then(Json::as_str).unwrap_or_default();
            format!("{}/{}", text("/kind"), text("/metadata/name")) == end
        });
        found.next().or_else(|| objects.next().cloned()).unwrap_or_else(|| panic!("no {end}"))
    }

    fn edits(&self, old: &str, new: &str) {
        let path = self.place.path(&self.manifest);
        let text = std::fs::read_to_string(&path).expect("the manifest");
        assert!(text.contains(old), "`{old}` in {text}");
        std::fs::write(path, text.replace(old, new)).expect("the manifest");
    }

    fn silent(&self) {
        self.nothing_to_do();
        // What others put there is said, and is no drift of ours.
        let mut found = self.drift();
        found.retain(|it| it.2 != "drift-foreign");
        assert_eq!(found, []);
    }
}

const INFERENCE: &str = "enableInference: true, allowInsecureConnections: true, \
                         inferenceRouterServiceType: NodePort";

#[test]
fn whatever_others_wrote_is_there_after_the_next_change() {
    let place = Place::new();
    let life = life(
        &place,
        "connectedClusters",
        "extension: {name: x, configurationSettings: {enableTraining: true, logAnalyticsWS: true}}\n\
         computes: [{name: c1, workspace: {name: ws1}, namespace: ml, identity: {type: SystemAssigned}}]\n\
         instanceTypes: [{name: gpu, nodeSelector: {sku: gpu}, resources: {requests: {cpu: \"1\", memory: 1Gi}, \
         limits: {cpu: \"2\", memory: 2Gi}}}]\n",
    );
    life.apply();
    let foreign: Vec<(String, &str, Json)> = life
        .resources()
        .into_iter()
        .flat_map(|(address, kind, _)| {
            let tags = ("/tags/theirs", value!("kept"));
            let fields = match kind.as_str() {
                "relay_namespace" => {
                    vec![tags, ("/properties/publicNetworkAccess", value!("Disabled"))]
                }
                "relay_hybrid_connection" => vec![("/properties/userMetadata", value!("kept"))],
                "log_analytics_workspace" => {
                    vec![tags, ("/properties/retentionInDays", value!(90))]
                }
                "compute" => vec![
                    ("/tags", value!({"theirs": "kept"})),
                    ("/properties/description", value!("kept")),
                    ("/properties/properties/defaultInstanceType", value!("gpu")),
                ],
                "extension" => vec![("/properties/autoUpgradeMode", value!("patch"))],
                "instance_type" | "namespace" => vec![
                    ("/metadata/labels/theirs", value!("kept")),
                    ("/metadata/annotations", value!({"theirs": "kept"})),
                ],
                _ => Vec::new(),
            };
            fields.into_iter().map(move |(at, value)| (address.clone(), at, value))
        })
        .collect();
    assert!(foreign.len() > 12, "{foreign:?}");
    for (address, at, value) in &foreign {
        life.set(address, at, value);
    }
    life.silent();
    // Something of ours changes in each of them.
    life.set("e/instance_type/gpu", "/spec/nodeSelector/zone", &value!("a"));
    life.set("e/extension/x", "/properties/configurationSettings/enableTraining", &value!("False"));
    life.edits("type: SystemAssigned", "type: None");
    let plan = life.run("plan", &[]);
    assert!(plan.out.contains("- zone = \"a\" -> null"), "{}", plan.out);
    life.apply();
    life.silent();
    let world = || life.sandbox("show", &["--json"]).exits(0).out;
    for (address, at, value) in &foreign {
        // A `set` to what is there already changes nothing in the world.
        let count = |text: &str| text.matches(&value.to_string()).count();
        let kept = count(&world());
        life.set(address, at, value);
        assert_eq!(count(&world()), kept, "{address} lost {at}");
    }
    assert_eq!(life.stored("InstanceType/gpu")["spec"]["nodeSelector"], value!({"sku": "gpu"}));
    assert_eq!(life.stored("/computes/c1")["properties"]["description"], "kept");
}

#[test]
fn nodes_come_and_go_and_nothing_is_decided_again() {
    let place = Place::new();
    let life = life(
        &place,
        "managedClusters",
        "extension: {name: x, configurationSettings: {enableTraining: true, enableInference: true, \
         allowInsecureConnections: true, inferenceRouterServiceType: LoadBalancer}}\n",
    );
    std::fs::write(place.path("world.yaml"), "clusters: [{name: e, nodes: 2}]\n").expect("a file");
    life.run("apply", &["--auto-approve", "--sandbox-world", "world.yaml"]).exits(0);
    for count in [5, 2, 3] {
        life.set("e/cluster/e", "/properties/agentPoolProfiles/0/count", &value!(count));
        life.silent();
    }
    let settings = &life.stored("/extensions/x")["properties"]["configurationSettings"];
    assert_eq!(settings["clusterPurpose"], "DevTest");
    life.edits("enableTraining: true,", "enableTraining: true, inferenceRouterHA: true,");
    assert_eq!(life.run("plan", &["--detailed-exitcode"]).code, 2);
}

#[test]
fn certificates_that_are_said_to_be_ignored_are_not_sent() {
    let place = Place::new();
    let life = life(
        &place,
        "connectedClusters",
        &format!(
            "extension:\n  name: x\n  configurationSettings: {{{INFERENCE}, sslCname: ml.example.com}}\n  \
             configurationProtectedSettings: {{sslCertPemFile: ./tls/ml.example.com.crt, \
             sslKeyPemFile: ./tls/ml.example.com.key}}\n"
        ),
    );
    life.apply();
    life.silent();
    let plan = life.run("plan", &["--json"]).out;
    assert!(!plan.contains("scoringFe.sslCert") && !plan.contains("scoringFe.sslKey"), "{plan}");
    let extension = life.stored("/extensions/x").to_string();
    assert!(!extension.contains("fingerprint"), "{extension}");
    // Once they count they are sent, and once they do not any more nothing of them stays.
    for insecure in ["false", "true"] {
        let other = if insecure == "true" { "false" } else { "true" };
        life.edits(
            &format!("allowInsecureConnections: {other}"),
            &format!("allowInsecureConnections: {insecure}"),
        );
        life.apply();
        life.silent();
    }
}

#[test]
fn a_label_with_dots_is_one_label_however_it_is_written() {
    for key in ["nodeSelector.nvidia\\.com/gpu\\.present", "nodeSelector.nvidia.com/gpu.present"] {
        let place = Place::new();
        let life = life(
            &place,
            "connectedClusters",
            &format!(
                "extension: {{name: x, configurationSettings: {{{INFERENCE}, '{key}': \"true\"}}}}\n"
            ),
        );
        life.run("plan", &[]).exits(0);
        let missing = life.run("doctor", &[]);
        assert!(missing.out.contains("nvidia.com/gpu.present=true"), "{}", missing.out);
        label_nodes(&life);
        let doctor = life.run("doctor", &[]);
        assert!(!doctor.out.contains("no usable node has the labels"), "{}", doctor.out);
        life.apply();
        life.silent();
        life.run("verify", &[]).exits(0);
        let sent = life.stored("/extensions/x")["properties"]["configurationSettings"].clone();
        assert_eq!(sent["nodeSelector.nvidia\\.com/gpu\\.present"], "true", "{sent}");
    }
}

/// Gives every node the label: appended to the state, which is lines of changes.
fn label_nodes(life: &Life<'_>) {
    const CLUSTER: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourcegroups/ml-rg\
                           /providers/microsoft.kubernetes/connectedclusters/e";
    let path = life.place.path("e.yaml.state.json");
    let mut state = std::fs::read_to_string(&path).expect("the state");
    let world = json(&life.sandbox("show", &["--json"]).exits(0).out);
    let objects = world["kubernetes"]["e"].as_array().expect("a list");
    let nodes: Vec<&Json> = objects.iter().filter(|it| it["kind"] == "Node").collect();
    assert_eq!(nodes.len(), 3);
    for node in nodes {
        let mut node = node.clone();
        node["metadata"]["labels"]["nvidia.com/gpu.present"] = value!("true");
        let name = node["metadata"]["name"].as_str().expect("a name");
        let at = format!("{CLUSTER} /api/v1/nodes/{name}");
        state.push_str(&value!([["object", at, node]]).to_string());
        state.push('\n');
    }
    std::fs::write(path, state).expect("the state");
}

#[test]
fn what_never_worked_is_repaired_without_leave() {
    // Seeds of which one lets the attach fail, one the installation.
    let (mut attach, mut install) = (false, false);
    for seed in 0..24 {
        let place = Place::new();
        let life = life(
            &place,
            "connectedClusters",
            "extension: {name: x, configurationSettings: {enableTraining: true}}\n\
             computes: [{name: c1, workspace: {name: ws1}, identity: {type: SystemAssigned}}]\n",
        );
        let world = format!("faults: {{seed: {seed}, failOperation: 0.5}}\n");
        std::fs::write(place.path("world.yaml"), world).expect("a file");
        let first = life.run("apply", &["--auto-approve", "--sandbox-world", "world.yaml"]);
        if first.code == 0 {
            continue;
        }
        let failed = |it: &str| first.out.contains(it) || first.err.contains(it);
        attach |= failed("e/compute/c1 failed");
        install |= failed("e/extension/x failed");
        // The faults go on, but never is leave asked for.
        for _ in 0..12 {
            let again = life.run("apply", &["--auto-approve"]);
            assert_ne!(again.code, 5, "{}\n{}", again.out, again.err);
            if again.code == 0 {
                break;
            }
        }
        if attach && install {
            return;
        }
    }
    panic!("no seed let the attach ({attach}) or the installation ({install}) fail");
}

#[test]
fn an_extension_of_another_type_or_scope_is_replaced_by_one_that_works() {
    for (pointer, other) in [
        ("/properties/extensionType", value!("microsoft.other")),
        ("/properties/scope", value!({"namespace": {"targetNamespace": "elsewhere"}})),
    ] {
        let place = Place::new();
        let life = life(
            &place,
            "connectedClusters",
            "extension: {name: x, configurationSettings: {enableTraining: true}}\n",
        );
        life.apply();
        life.set("e/extension/x", pointer, &other);
        assert_eq!(life.run("apply", &["--auto-approve"]).code, 5, "it is disruptive");
        life.apply();
        life.silent();
        life.run("verify", &[]).exits(0);
        let scope = &life.stored("/extensions/x")["properties"]["scope"];
        assert_eq!(*scope, value!({"cluster": {"releaseNamespace": "azureml"}}));
    }
}

#[test]
fn a_change_is_done_when_it_can_be_seen() {
    let place = Place::new();
    let life = life(
        &place,
        "connectedClusters",
        "extension: {name: x, configurationSettings: {enableTraining: true}}\n",
    );
    let world = "faults: {seed: 1, staleReads: 1.0}\n";
    std::fs::write(place.path("world.yaml"), world).expect("a file");
    life.run("apply", &["--auto-approve", "--sandbox-world", "world.yaml"]).exits(0);
    let rules = life.resources().into_iter().filter(|it| it.1 == "relay_authorization_rule");
    let rule = rules.map(|it| it.0).next().expect("a rule");
    life.set(&rule, "/properties/rights", &value!(["Listen"]));
    let applied = life.run("apply", &["--auto-approve"]).exits(0);
    assert!(applied.err.contains("taking the change"), "{}", applied.err);
    let stored = life.stored("/authorizationRules/azureml_rw");
    assert_eq!(stored["properties"]["rights"].as_array().map(Vec::len), Some(3), "{stored}");
}

#[test]
fn a_saved_plan_is_stale_once_a_secret_is_another() {
    let mut place = Place::new();
    place.env.push(("SECRET".to_owned(), "first-canary".to_owned()));
    let written = life(
        &place,
        "managedClusters",
        &format!(
            "extension:\n  name: x\n  allowUnknownSettings: true\n  configurationSettings: \
             {{{INFERENCE}}}\n  configurationProtectedSettings: {{some.secret: {{fromEnv: SECRET}}}}\n"
        ),
    );
    written.run("plan", &["-o", "plan.json"]).exits(0);
    let apply = |place: &Place| place.run(&["apply", "plan.json", "--sandbox=e.yaml.state.json"]);
    place.env[0].1 = "second-canary".to_owned();
    let refused = apply(&place).exits(4);
    assert!(refused.err.contains("has changed"), "{}", refused.err);
    place.env[0].1 = "first-canary".to_owned();
    apply(&place).exits(0);
}

#[test]
fn unknown_settings_are_errors_with_a_way_out_and_then_sent_as_written() {
    let place = Place::new();
    let life = life(
        &place,
        "managedClusters",
        &format!(
            "extension:\n  name: x\n  configurationSettings: {{{INFERENCE}, clusterName: aks1, \
             'toleration[0].key': kubernetes.azure.com/scalesetpriority, inferencerouterha: false}}\n  \
             configurationProtectedSettings: {{some.secret: {{fromEnv: SECRET}}}}\n"
        ),
    );
    let mut place_with_secret = Place::new();
    place_with_secret.env.push(("SECRET".to_owned(), "canary-7141".to_owned()));
    std::fs::copy(place.path("e.yaml"), place_with_secret.path("e.yaml")).expect("a copy");
    let life = Life { place: &place_with_secret, manifest: life.manifest };
    let refused = place_with_secret.run(&["validate", "e.yaml"]);
    assert_eq!(refused.code, 1);
    for key in ["clusterName", "toleration[0].key", "inferencerouterha"] {
        assert!(refused.err.contains(&format!("no setting `{key}`")), "{key}: {}", refused.err);
    }
    assert!(refused.err.contains("allowUnknownSettings: true"), "{}", refused.err);
    life.edits("  name: x\n", "  name: x\n  allowUnknownSettings: true\n");
    let allowed = place_with_secret.run(&["validate", "e.yaml"]);
    assert_eq!(allowed.code, 0, "{}", allowed.err);
    assert!(allowed.err.contains("sent as written"), "{}", allowed.err);
    life.apply();
    life.silent();
    let sent = life.stored("/extensions/x")["properties"]["configurationSettings"].clone();
    assert_eq!(sent["toleration[0].key"], "kubernetes.azure.com/scalesetpriority");
    assert_eq!(
        (&sent["clusterName"], &sent["inferencerouterha"]),
        (&value!("aks1"), &value!("False"))
    );
}

/// Six things that may be taken out of a manifest: address in it, and the line that declares it.
const MAY_GO: [&str; 6] = [
    "computes:\n- {name: c1, workspace: {name: ws1}, namespace: n1}\n",
    "- {name: c2, workspace: {name: ws1}, namespace: n2, identity: {type: SystemAssigned}}\n",
    "instanceTypes:\n- {name: g1, resources: {requests: {cpu: 1, memory: 1Gi}, limits: {cpu: 2, memory: 2Gi}}}\n",
    "- {name: g2, resources: {requests: {cpu: 1, memory: 1Gi}, limits: {cpu: 2, memory: 2Gi}}}\n",
    "roleAssignments:\n- {principal: 33333333-3333-3333-3333-333333333333, role: Reader, scope: SUB/resourceGroups/a}\n",
    "- {principal: 33333333-3333-3333-3333-333333333333, role: Reader, scope: SUB/resourceGroups/b}\n",
];

/// The manifest without the things whose bit is set.
fn without(gone: usize) -> String {
    let mut rest =
        "extension: {name: x, configurationSettings: {enableTraining: true}}\n".to_owned();
    for (index, line) in MAY_GO.iter().enumerate() {
        let (head, item) =
            line.split_once('\n').filter(|it| !it.1.is_empty()).unwrap_or(("", line));
        // The list itself stays while one of its two items does.
        if !head.is_empty() && (gone >> index) & 3 != 3 {
            rest.push_str(head);
            rest.push('\n');
        }
        if (gone >> index) & 1 == 0 {
            rest.push_str(item);
        }
    }
    rest.replace("SUB", "/subscriptions/00000000-0000-0000-0000-000000000000")
}

#[test]
fn what_is_no_longer_named_goes_and_nothing_else_does() {
    // Every set of removals with an odd stride, so that all bits meet all others.
    for gone in (1..64).step_by(5) {
        let place = Place::new();
        let ours = life(&place, "connectedClusters", &without(0));
        ours.apply();
        // Another manifest of the cluster, and a thing that lost its mark.
        let sandbox = format!("--sandbox={}", "e.yaml.state.json");
        let text = std::fs::read_to_string(place.path("e.yaml")).expect("the manifest");
        let head = text.split("extension:").next().expect("a head");
        let theirs = head.replace("\nname: e\n", "\nname: theirs\n")
            + "computes: [{name: other, workspace: {name: ws1}, namespace: n3}]\n\
               instanceTypes: [{name: other, resources: {requests: {cpu: 1, memory: 1Gi}, limits: {cpu: 2, memory: 2Gi}}}]\n";
        std::fs::write(place.path("theirs.yaml"), theirs).expect("a manifest");
        place.run(&["apply", "theirs.yaml", &sandbox, "--auto-approve"]).exits(0);
        ours.set("e/instance_type/g2", "/metadata/annotations", &value!({}));
        let before = ours.inventory();
        life(&place, "connectedClusters", &without(gone));
        ours.apply();
        let after = ours.inventory();
        let named = |it: &&String| it.contains("InstanceType") || it.starts_with('/');
        let lost: Vec<&String> = before.difference(&after).filter(named).collect();
        let ends = |end: &str| lost.iter().filter(|it| it.contains(end)).count();
        let bit = |index: usize| (gone >> index) & 1;
        assert_eq!(ends("/computes/c1"), bit(0), "{gone}: {lost:?}");
        assert_eq!(ends("/computes/c2"), bit(1), "{gone}: {lost:?}");
        assert_eq!(ends("InstanceType /g1"), bit(2), "{gone}: {lost:?}");
        assert_eq!(ends("/roleassignments/"), bit(4) + bit(5), "{gone}: {lost:?}");
        // g2 carries no mark, and the rest was not ours or is still named.
        let all = (0..6).filter(|it| *it != 3).map(bit).sum::<usize>();
        assert_eq!(lost.len(), all, "{gone}: {lost:?}");
        ours.silent();
        place.run(&["plan", "theirs.yaml", &sandbox, "--detailed-exitcode"]).exits(0);
    }
}

#[test]
fn what_is_protected_outlives_its_line_in_the_manifest() {
    let place = Place::new();
    let life = life(
        &place,
        "connectedClusters",
        "extension: {name: x, configurationSettings: {enableTraining: true}}\n\
         computes:\n- {name: one, workspace: {name: ws1}}\n- {name: two, workspace: {name: ws1}}\n\
         lifecycle: {preventDestroy: [compute]}\n",
    );
    life.apply();
    life.edits("- {name: two, workspace: {name: ws1}}\n", "");
    let refused = life.run("apply", &["--auto-approve", "--allow", "disruptive"]).exits(5);
    assert!(refused.err.contains("preventDestroy"), "{}", refused.err);
    // By its address it is as safe: a name that is not declared would protect nothing.
    life.edits("[compute]", "[e/compute/two]");
    let refused = life.run("apply", &["--auto-approve", "--allow", "disruptive"]).exits(1);
    assert!(refused.err.contains("bad-prevent-destroy"), "{}", refused.err);
    life.place.run(&["validate", "e.yaml"]).exits(1);
    life.edits("[e/compute/two]", "[]");
    life.apply();
    assert!(!life.inventory().iter().any(|id| id.ends_with("/computes/two")));
}
