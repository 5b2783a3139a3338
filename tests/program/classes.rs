//! Each class of drift has a world in which it is found, and what is found stands in every format
//! with one severity, one code and one id.

#[path = "../common/formats.rs"]
mod formats;

use self::formats::FORMATS;
use crate::program::{Place, Ran};
use serde_json::Value as Json;

const MANIFEST: &str = "full.yaml";
const EXTENSION: &str = "edge-full/extension/arcml-extension";

/// What somebody did, and what drift has to say about it.
#[derive(Clone)]
struct Case {
    name: &'static str,
    /// Commands on the simulated world.
    deeds: Vec<Vec<&'static str>>,
    /// A change of the manifest after the apply.
    edit: (&'static str, &'static str),
    /// Class, code, severity, and a part of the address.
    found: (&'static str, &'static str, &'static str, &'static str),
    exit: i32,
}

fn case(
    name: &'static str,
    deed: &[&'static str],
    found: (&'static str, &'static str, &'static str, &'static str),
) -> Case {
    let deeds = if deed.is_empty() { Vec::new() } else { vec![deed.to_vec()] };
    Case { name, deeds, edit: ("", ""), found, exit: 2 }
}

const fn edited(mut case: Case, old: &'static str, new: &'static str) -> Case {
    case.edit = (old, new);
    case
}

const SETTING: &str = "/properties/configurationSettings/inferenceRouterHA=False";
const FINGERPRINT: &str =
    "/properties/configurationSettings/amlplan.fingerprint.scoringFe.sslKey=0000";
const RELAY: &str = "00000000-0000-0000-0000-000000000000/provider/Microsoft.Relay";

/// The extension, what it runs, and its cluster.
fn extension() -> Vec<Case> {
    let health = |code, address| ("health", code, "error", address);
    vec![
        case(
            "a setting is another",
            &["set", EXTENSION, SETTING],
            ("setting", "drift-setting", "error", EXTENSION),
        ),
        case(
            "a label of an instance type is another",
            &["set", "edge-full/instance_type/gpu", "/spec/nodeSelector/sku=cpu"],
            ("setting", "drift-setting", "warning", "instance_type/gpu"),
        ),
        case(
            "a secret is another",
            &["set", EXTENSION, FINGERPRINT],
            ("secret", "drift-secret", "error", EXTENSION),
        ),
        case(
            "nobody is told of a version any more",
            &["set", EXTENSION, "/properties/autoUpgradeMinorVersion=false"],
            ("version", "drift-version", "warning", EXTENSION),
        ),
        case(
            "the extension failed",
            &["set", EXTENSION, "/properties/provisioningState=Failed"],
            health("drift-health", EXTENSION),
        ),
        case(
            "a Deployment is deleted",
            &["delete", "edge-full", "deployment/azureml/gateway"],
            health("component-not-ready", EXTENSION),
        ),
        case(
            "the router's Service is of another type",
            &["set", "edge-full", "service/azureml/azureml-fe", "/spec/type=ClusterIP"],
            health("router-address", EXTENSION),
        ),
        case(
            "the cluster is offline",
            &["set", "edge-full/cluster/edge-full", "/properties/connectivityStatus=Offline"],
            health("cluster-unreachable", "edge-full/cluster"),
        ),
        case(
            "the agents are silent",
            &[
                "set",
                "edge-full/cluster/edge-full",
                "/properties/lastConnectivityTime=2020-01-01T00:00:00Z",
            ],
            ("health", "agents-silent", "warning", "edge-full/cluster"),
        ),
        case(
            "a compute is detached",
            &["delete", "edge-full/compute/edge-serving"],
            health("drift-health", "compute/edge-serving"),
        ),
    ]
}

/// What is around the extension.
fn surroundings() -> Vec<Case> {
    vec![
        case(
            "a grant is lost",
            &[
                "set",
                "edge-full/scc_grant/privileged",
                "/users=[\"system:serviceaccount:azureml:default\"]",
            ],
            ("grant", "drift-grant", "error", "scc_grant/privileged"),
        ),
        case(
            "an upgrade reset the grants",
            &["set", "edge-full/scc_grant/privileged", "/users=[\"system:admin\"]"],
            ("grant", "drift-grant", "error", "scc_grant/privileged"),
        ),
        case(
            "a role is taken away",
            &["delete", "edge-full/role_assignment"],
            ("role", "drift-role", "error", "edge-full/role_assignment"),
        ),
        case(
            "a provider is unregistered",
            &["set", RELAY, "/registrationState=NotRegistered"],
            ("registration", "drift-registration", "error", RELAY),
        ),
        case(
            "a companion is modified",
            &["set", "edge-full/relay_authorization_rule", "/properties/rights=[\"Listen\"]"],
            ("companion", "drift-companion", "error", "relay_authorization_rule"),
        ),
        case(
            "a companion is deleted",
            &["delete", "edge-full/relay_hybrid_connection"],
            ("companion", "drift-companion", "error", "relay_hybrid_connection"),
        ),
        edited(
            case(
                "an instance type is not declared any more",
                &[],
                ("orphan", "drift-orphan", "warning", "instance_type/gpu"),
            ),
            "  - name: gpu\n    nodeSelector: {sku: gpu}\n",
            "  - name: tpu\n    nodeSelector: {sku: gpu}\n",
        ),
        edited(
            case(
                "what was accepted is accepted no longer",
                &["set", EXTENSION, SETTING],
                ("setting", "drift-ignore-expired", "warning", "edge-full/cluster"),
            ),
            "lifecycle:\n",
            "drift:\n  ignore:\n    - {path: extension, class: setting, reason: test, until: 2020-01-31}\nlifecycle:\n",
        ),
    ]
}

/// What nobody declares.
fn foreign() -> Vec<Case> {
    let foreign = |name, at: &'static str, mark: &'static str, address| {
        // Without its mark and in a manifest that does not name it, it is nobody's.
        let bare = case(name, &["set", at, mark], ("foreign", "drift-foreign", "warning", address));
        edited(bare, "", "bare")
    };
    vec![
        foreign(
            "an extension that nobody declares",
            EXTENSION,
            "/properties/configurationSettings={\"enableTraining\":\"True\"}",
            "extension/arcml-extension",
        ),
        foreign(
            "a compute that nobody declares",
            "edge-full/compute/edge-training",
            "/tags={}",
            "compute/edge-training",
        ),
        foreign(
            "a Relay that az made and nobody declares",
            "edge-full/relay_namespace",
            "/tags={\"created_by\":\"Azure Arc-enabled ML\"}",
            "relay_namespace",
        ),
    ]
}

/// A manifest of the same cluster under another name that declares nothing else.
const BARE: &str = "apiVersion: amlplan/v1\nkind: Cluster\nname: bare\nazure: {subscription: 00000000-0000-0000-0000-000000000000, resourceGroup: ml-rg, tenant: 00000000-0000-0000-0000-00000000000a}\n\
                    cluster: {type: connectedClusters, name: edge-full, distribution: openshift}\n\
                    computes: [{name: other, workspace: {name: ml-workspace, resourceGroup: ml-workspaces}, namespace: other}]\n";

/// All formats of one run.
fn drift(place: &Place, manifest: &str, more: &[&str]) -> Ran {
    let files: Vec<String> = FORMATS.iter().map(|it| format!("{it}=report.{it}")).collect();
    let formats = files.iter().flat_map(|it| ["--format", it.as_str()]);
    let words: Vec<&str> =
        ["drift", manifest, "--sandbox=state"].into_iter().chain(formats).collect();
    place.run(&[&words[..], more].concat())
}

fn text(place: &Place, format: &str) -> String {
    std::fs::read_to_string(place.path(&format!("report.{format}"))).expect("a report")
}

fn parsed(place: &Place, format: &str) -> Json {
    serde_json::from_str(&text(place, format)).expect("JSON")
}

fn word(it: &Json, key: &str) -> String {
    it[key].as_str().unwrap_or_default().to_owned()
}

/// Checks that every finding of the JSON report is the same in every other format.
fn the_same_everywhere(place: &Place, name: &str) -> Vec<Json> {
    let findings = parsed(place, "json")["findings"].as_array().expect("a list").clone();
    let texts = FORMATS.map(|it| text(place, it));
    let lines = |format: &str, wanted: &str| -> Vec<String> {
        let at = FORMATS.iter().position(|it| *it == format).expect("a format");
        texts[at].lines().filter(|it| it.contains(wanted)).map(str::to_owned).collect()
    };
    let sarif = parsed(place, "sarif")["runs"][0]["results"].as_array().expect("a list").clone();
    let gitlab = parsed(place, "gitlab").as_array().expect("a list").clone();
    assert_eq!(sarif.len(), findings.len(), "{name}: SARIF");
    for it in &findings {
        let (code, print) = (word(it, "code"), word(it, "fingerprint"));
        let (class, severity) = (word(it, "class"), word(it, "severity"));
        let at = |wanted: [&'static str; 3]| match severity.as_str() {
            "error" => wanted[0],
            "warning" => wanted[1],
            _ => wanted[2],
        };
        let one = |format: &str, parts: &[&str]| {
            let found = lines(format, &print);
            let whole = found.len() == 1 && parts.iter().all(|part| found[0].contains(part));
            assert!(whole, "{name}: {format} has not {parts:?} once for {print}: {found:#?}");
        };
        let symbol = if it["status"] == "unknown" { "?" } else { at(["✗", "!", "i"]) };
        one("human", &[symbol, &code]);
        one("markdown", &[&format!("| {symbol} |"), &code, &class]);
        one("junit", &[&code, &format!("{severity}: ")]);
        one("github", &[at(["error ", "warning ", "notice "]), &format!("title={code}::"), &class]);
        let issue = at(["type=error;", "type=warning;", ""]);
        one("azure-pipelines", &[issue, &code, &class]);
        one("html", &[&format!("class=\"{severity} "), &code]);
        let same = sarif.iter().filter(|it| {
            it["partialFingerprints"]["primaryLocationLineHash"] == format!("{print}:1")
        });
        let same: Vec<&Json> = same.collect();
        assert_eq!(same.len(), 1, "{name}: SARIF has {print} once");
        let known = (
            word(same[0], "ruleId"),
            word(same[0], "level"),
            word(&same[0]["properties"], "class"),
        );
        let level = at(["error", "warning", "note"]).to_owned();
        assert_eq!(known, (code.clone(), level, class.clone()), "{name}: SARIF");
        let same: Vec<&Json> =
            gitlab.iter().filter(|it| it["fingerprint"] == print.as_str()).collect();
        assert_eq!(same.len(), 1, "{name}: GitLab has {print} once");
        let known = (word(same[0], "check_name"), word(same[0], "severity"));
        assert_eq!(known, (code.clone(), at(["critical", "minor", "info"]).to_owned()), "{name}");
        // Metrics count.
        let scope = word(it, "address");
        let scope = scope.split('/').next().unwrap_or_default().to_owned();
        let alike = |other: &&Json| {
            let own = word(other, "address");
            ["code", "class", "severity"].iter().all(|key| other[key] == it[key])
                && own.split('/').next() == Some(&scope)
        };
        let metric = format!(
            "amlplan_findings{{command=\"drift\",scope=\"{scope}\",code=\"{code}\",class=\"{class}\",severity=\"{severity}\"}} {}",
            findings.iter().filter(alike).count()
        );
        assert_eq!(lines("prometheus", &metric).len(), 1, "{name}: {metric} in\n{}", texts[8]);
    }
    findings
}

/// The manifest of the case with what a report found accepted until a day.
fn accept(place: &Place, all: &[Json], until: &str) {
    let quoted = |it: &Json, key: &str| it[key].to_string();
    let entries: String = all
        .iter()
        .filter(|it| it["code"] != "drift-ignore-expired")
        .map(|it| {
            let (path, class) = (quoted(it, "address"), quoted(it, "class"));
            format!("    - {{path: {path}, class: {class}, reason: a test, owner: ml-platform, until: {until}}}\n")
        })
        .collect();
    let text = std::fs::read_to_string(place.path("case.yaml")).expect("a manifest");
    let text = match text.split_once("drift:\n  ignore:\n") {
        // What is there was accepted until a day that is past.
        Some((before, after)) => {
            let after = after.split_once("lifecycle:").expect("more parts").1;
            format!("{before}drift:\n  ignore:\n{entries}lifecycle:{after}")
        }
        None => format!("{text}drift:\n  ignore:\n{entries}"),
    };
    std::fs::write(place.path("accepted.yaml"), text).expect("a manifest");
}

/// What is accepted as the report names it counts for nothing, until its day is past.
fn accepted(place: &Place, name: &str, all: &[Json]) {
    accept(place, all, "2999-12-31");
    let ran = drift(place, "accepted.yaml", &[]);
    assert_eq!(ran.code, 0, "{name}: {}", text(place, "human"));
    assert!(parsed(place, "json")["findings"].as_array().is_some_and(Vec::is_empty), "{name}");
    let flat = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let shown = flat(text(place, "human"));
    assert!(
        shown.contains("(accepted by ml-platform until 2999-12-31: a test)"),
        "{name}: {shown}"
    );
    accept(place, all, "2020-01-31");
    let ran = drift(place, "accepted.yaml", &[]);
    let shown = flat(text(place, "human"));
    assert_eq!(ran.code, 2, "{name}: {shown}");
    assert!(
        shown.contains("was accepted until 2020-01-31 (ml-platform): a test"),
        "{name}: {shown}"
    );
}

#[test]
fn what_was_accepted_and_is_gone_is_a_warning_and_a_field_is_accepted_alone() {
    let place = Place::new();
    applied(&place);
    let manifest = std::fs::read_to_string(place.path(MANIFEST)).expect("the manifest");
    let field = "extension.configurationSettings.inferenceRouterHA";
    let entry =
        format!("drift:\n  ignore:\n    - {{path: {field}, class: setting, reason: a test}}\n");
    std::fs::write(place.path("case.yaml"), manifest + &entry).expect("a manifest");
    let ran = drift(&place, "case.yaml", &[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let unused = format!("drift.ignore of {field} matches no drift");
    let report = parsed(&place, "json");
    let told = report["diagnostics"].as_array().expect("a list").iter();
    let told: Vec<&Json> =
        told.filter(|it| it["amlplan"]["code"] == "drift-ignore-unused").collect();
    assert_eq!(told.len(), 1, "{report:#}");
    assert_eq!(word(told[0], "severity"), "warning");
    assert!(word(told[0], "summary").contains(&unused), "{}", told[0]);
    for (change, code) in [(SETTING, 0), ("/properties/configurationSettings/sslCname=other", 2)] {
        let set = ["sandbox", "set", EXTENSION, change, "-f", MANIFEST, "--state", "state"];
        assert_eq!(place.run(&set).code, 0);
        assert_eq!(drift(&place, "case.yaml", &[]).code, code, "{change}");
    }
}

fn applied(place: &Place) -> Vec<u8> {
    let text = std::fs::read_to_string(place.path(MANIFEST)).expect("the manifest");
    // What upgrades of OpenShift reset are the users of an SCC.
    let text = text.replace("method: rbac", "method: users");
    std::fs::write(place.path(MANIFEST), text).expect("the manifest");
    let ran = place.run(&["apply", MANIFEST, "--sandbox=state", "--auto-approve"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    std::fs::read(place.path("state")).expect("a state")
}

#[test]
fn every_class_is_found_in_its_world_and_in_every_format_alike() {
    let place = Place::new();
    let good = applied(&place);
    let manifest = std::fs::read_to_string(place.path(MANIFEST)).expect("the manifest");
    let mut wrong = Vec::new();
    for Case { name, deeds, edit, found, exit } in [extension(), surroundings(), foreign()].concat()
    {
        std::fs::write(place.path("state"), &good).expect("a state");
        for deed in &deeds {
            let words = [&["sandbox"], &deed[..], &["-f", MANIFEST, "--state", "state"]].concat();
            let ran = place.run(&words);
            assert_eq!(ran.code, 0, "{name}: {}", ran.err);
        }
        let text =
            if edit.1 == "bare" { BARE.to_owned() } else { manifest.replacen(edit.0, edit.1, 1) };
        assert!(edit.1.is_empty() || text != manifest, "{name}");
        std::fs::write(place.path("case.yaml"), text).expect("a manifest");
        let ran = drift(&place, "case.yaml", &[]);
        assert_eq!(ran.code, exit, "{name}: {}", ran.err);
        let all = the_same_everywhere(&place, name);
        let is = |it: &&Json| {
            let known = [word(it, "class"), word(it, "code"), word(it, "severity")];
            known == [found.0, found.1, found.2] && word(it, "address").contains(found.3)
        };
        let said: Vec<String> = all
            .iter()
            .map(|it| {
                ["class", "code", "severity", "address", "message"]
                    .map(|key| word(it, key))
                    .join(" ")
            })
            .collect();
        let reset = said.iter().any(|it| it.contains("as after an upgrade"));
        if all.iter().filter(is).count() != 1 || reset != name.contains("reset") {
            wrong.push(format!("{name} is {found:?} in {said:#?}"));
        }
        // The class alone decides, and so does any other alone.
        let fails = |class: &str| {
            place.run(&["drift", "case.yaml", "--sandbox=state", "--fail-on", class]).code
        };
        assert_eq!(fails(found.0), exit, "{name}: --fail-on {}", found.0);
        let other = if all.iter().any(|it| it["class"] == "orphan") { "secret" } else { "orphan" };
        assert_eq!(fails(other), 0, "{name}: --fail-on {other}");
        accepted(&place, name, &all);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_upgrade_by_azure_is_to_know_and_one_past_a_pin_is_drift() {
    let place = Place::new();
    applied(&place);
    assert_eq!(drift(&place, MANIFEST, &[]).code, 0);
    std::fs::rename(place.path("report.json"), place.path("before.json")).expect("a report");
    place.run(&["sandbox", "wait", "240h", "--state", "state"]);
    let ran = drift(&place, MANIFEST, &["--baseline", "before.json"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let all = the_same_everywhere(&place, "an upgrade");
    assert_eq!(all.len(), 1, "{all:#?}");
    assert_eq!(
        (word(&all[0], "class"), word(&all[0], "severity")),
        ("version".into(), "info".into())
    );
    let pinned = std::fs::read_to_string(place.path(MANIFEST)).expect("the manifest");
    let pinned = pinned.replace(
        "autoUpgradeMinorVersion: true",
        "version: 1.1.100\n  autoUpgradeMinorVersion: false",
    );
    std::fs::write(place.path("pinned.yaml"), pinned).expect("a manifest");
    let apply =
        ["apply", "pinned.yaml", "--sandbox=state", "--auto-approve", "--allow", "disruptive"];
    let ran = place.run(&apply);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    let set = [
        "sandbox",
        "set",
        EXTENSION,
        "/properties/currentVersion=1.1.101",
        "-f",
        MANIFEST,
        "--state",
        "state",
    ];
    assert_eq!(place.run(&set).code, 0);
    assert_eq!(drift(&place, "pinned.yaml", &[]).code, 2);
    let all = the_same_everywhere(&place, "past a pin");
    assert_eq!(
        (word(&all[0], "code"), word(&all[0], "severity")),
        ("drift-version".into(), "warning".into())
    );
}

#[test]
fn what_could_not_be_looked_at_is_said_in_every_format() {
    let place = Place::new();
    applied(&place);
    let world =
        "access: {kubernetes: [{apiGroups: [apps], resources: [deployments], verbs: [get, list]}]}";
    std::fs::write(place.path("world.yaml"), world).expect("a world");
    std::fs::remove_file(place.path("state")).expect("a state");
    let ran = drift(&place, MANIFEST, &["--sandbox-world", "world.yaml"]);
    assert!([1, 2].contains(&ran.code), "{}", ran.err);
    the_same_everywhere(&place, "unread");
    let report = parsed(&place, "json");
    assert_eq!(report["complete"], false);
    let told = report["diagnostics"].as_array().expect("a list").iter();
    let told = told.filter(|it| it["severity"] == "error").map(|it| word(&it["amlplan"], "code"));
    for code in told {
        for format in FORMATS {
            let text = text(&place, format);
            let said = if format == "prometheus" {
                "amlplan_complete{command=\"drift\"} 0"
            } else {
                &code
            };
            assert!(text.contains(said), "{format} lacks {said}:\n{text}");
        }
    }
}
