//! The life of a deployment against the simulator: applied, found unchanged, changed by a
//! colleague, mended, removed.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::program::{Place, Ran};

impl Ran {
    /// The same, when it ended with this code; else shows all it wrote.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "it exits so:\n{}\n{}", self.out, self.err);
        self
    }
}

/// One manifest and the simulated world it lives in.
pub(crate) struct Life<'a> {
    pub(crate) place: &'a Place,
    pub(crate) manifest: String,
}

/// A field of a live resource, and what a colleague writes into it.
#[derive(Debug, Clone)]
pub(crate) struct Slip {
    pub(crate) address: String,
    /// Where the simulator stores it.
    pub(crate) at: String,
    pub(crate) value: Json,
    /// The field that drift has to name; empty for a resource that is as good as gone.
    pub(crate) named: String,
}

impl Life<'_> {
    fn state(&self) -> String {
        format!("{}.state.json", self.manifest)
    }

    /// A command on the manifest.
    pub(crate) fn run(&self, command: &str, more: &[&str]) -> Ran {
        let sandbox = format!("--sandbox={}", self.state());
        let mut words = vec![command, self.manifest.as_str(), sandbox.as_str()];
        words.extend(more);
        self.place.run(&words)
    }

    /// A command on the world.
    pub(crate) fn sandbox(&self, command: &str, more: &[&str]) -> Ran {
        let mut words = vec!["sandbox", command];
        words.extend(more);
        let state = self.state();
        words.extend(["--state", state.as_str()]);
        if command != "show" {
            words.extend(["-f", self.manifest.as_str()]);
        }
        self.place.run(&words)
    }

    pub(crate) fn apply(&self) {
        self.run("apply", &["--auto-approve", "--allow", "disruptive"]).exits(0);
    }

    pub(crate) fn nothing_to_do(&self) {
        self.run("plan", &["--detailed-exitcode"]).exits(0);
    }

    /// What there is: ARM ids without registrations, which stay, and Kubernetes objects.
    pub(crate) fn inventory(&self) -> BTreeSet<String> {
        let shown = json(&self.sandbox("show", &["--json"]).exits(0).out);
        let arm = shown["arm"].as_object().expect("a map of resources");
        let mut found: BTreeSet<String> =
            arm.keys().map(|it| it.to_ascii_lowercase()).filter(|it| !registration(it)).collect();
        for (cluster, objects) in shown["kubernetes"].as_object().expect("a map of clusters") {
            for object in objects.as_array().expect("a list of objects") {
                let text = |at: &str| object.pointer(at).and_then(Json::as_str).unwrap_or("");
                let (kind, name) = (text("/kind"), text("/metadata/name"));
                let namespace = text("/metadata/namespace");
                found
                    .insert(format!("{cluster} {} {kind} {namespace}/{name}", text("/apiVersion")));
            }
        }
        found
    }

    /// The managed resources of the plan: address, type and wanted document.
    pub(crate) fn resources(&self) -> Vec<(String, String, Json)> {
        let plan = json(&self.run("plan", &["--json"]).exits(0).out);
        let all = plan["resource_changes"].as_array().expect("a list");
        let managed = all.iter().filter(|it| it["mode"] == "managed");
        let text = |it: &Json| it.as_str().expect("a text").to_owned();
        managed
            .map(|it| (text(&it["address"]), text(&it["type"]), it["change"]["after"].clone()))
            .collect()
    }

    /// Somebody changes a field; drift names it and nothing else.
    pub(crate) fn slips(&self, slip: &Slip) {
        let change = format!("{}={}", slip.at, slip.value);
        self.sandbox("set", &[&slip.address, &change]).exits(0);
        // What stops working because of it is a finding of its own.
        let mut found = self.drift();
        found.retain(|it| it.2.starts_with("drift-"));
        let [(address, path, rule)] = &found[..] else {
            panic!("{}: one field was changed ({slip:?}), drift names {found:#?}", self.manifest)
        };
        assert_eq!((address, path), (&slip.address, &slip.named), "{slip:?} is named as {rule}");
    }

    /// Somebody removes a resource; drift names it, apply makes it again.
    pub(crate) fn loses(&self, address: &str) {
        self.sandbox("delete", &[address]).exits(0);
        let found = self.drift();
        let missing = |it: &(String, String, String)| it.0 == address && it.1.is_empty();
        assert!(found.iter().any(missing), "{address} was removed, drift names {found:#?}");
        self.apply();
        self.nothing_to_do();
    }

    /// The whole life: apply, nothing to do, slips, a loss, destroy, nothing left. `number` says
    /// which fields and which resource it is that somebody changes.
    pub(crate) fn goes_by(&self, number: usize) {
        let life = self;
        life.run("plan", &["--detailed-exitcode"]).exits(2);
        let before = life.inventory();
        life.apply();
        life.nothing_to_do();
        life.run("verify", &[]).exits(0);
        life.run("drift", &[]).exits(0);

        // One field of one resource of each kind; which one goes round with the manifests.
        let resources = life.resources();
        let mut kinds: Vec<&str> = resources.iter().map(|it| it.1.as_str()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        for kind in kinds.iter().skip(number % 3).step_by(3).chain(["extension"].iter()) {
            let fields: Vec<_> = resources
                .iter()
                .filter(|it| it.1 == **kind)
                .flat_map(|(address, kind, wanted)| slips(address, kind, wanted))
                .collect();
            let Some(slip) = fields.get((number * 7) % fields.len().max(1)) else { continue };
            life.slips(slip);
            life.apply();
            life.nothing_to_do();
        }
        let lost = &resources[(number * 5) % resources.len()].0;
        life.loses(lost);

        life.run("destroy", &["--auto-approve"]).exits(0);
        let after = life.inventory();
        let text = std::fs::read_to_string(life.place.path(&life.manifest)).expect("the manifest");
        // Who may not look into the cluster cannot remove the namespace that Azure made there.
        let azures = |it: &&String| {
            text.contains("access: azureOnly")
                && (it.contains(" azureml/") || it.ends_with("Namespace /azureml"))
        };
        let left: Vec<_> = after.difference(&before).filter(|it| !azures(it)).collect();
        let gone: Vec<_> = before.difference(&after).collect();
        assert!(
            left.is_empty() && gone.is_empty(),
            "{}: left {left:#?}, gone {gone:#?}",
            life.manifest
        );
    }

    /// What drift names: address, field, rule.
    pub(crate) fn drift(&self) -> Vec<(String, String, String)> {
        let ran = self.run("drift", &["--format", "json"]);
        let report = json(&ran.out);
        let findings = report["findings"].as_array().expect("a list");
        assert_eq!(ran.code, if findings.is_empty() { 0 } else { 2 }, "{findings:#?}");
        let text = |it: &Json| it.as_str().expect("a text").to_owned();
        findings
            .iter()
            .map(|it| (text(&it["address"]), text(&it["path"]), text(&it["code"])))
            .collect()
    }
}

pub(crate) fn json(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("no JSON: {error}\n{text}"))
}

fn registration(id: &str) -> bool {
    let parts: Vec<&str> = id.split('/').collect();
    matches!(parts[..], ["", "subscriptions", _, "providers", _])
        || id.contains("/providers/microsoft.features/")
}

/// The fields of a resource that a colleague could change, each with another value.
pub(crate) fn slips(address: &str, kind: &str, wanted: &Json) -> Vec<Slip> {
    let slip = |at: &str, value: Json, named: &str| Slip {
        address: address.to_owned(),
        at: at.to_owned(),
        value,
        named: named.to_owned(),
    };
    match kind {
        // Not registered is as good as not there.
        "provider" => vec![slip("/registrationState", "NotRegistered".into(), "")],
        "feature" => vec![slip("/properties/state", "NotRegistered".into(), "")],
        // A namespace that is there is right.
        "namespace" => Vec::new(),
        "scc_grant" if wanted.get("users").is_some() => {
            vec![slip("/users", other("/users", &wanted["users"]), "/users")]
        }
        "scc_grant" => vec![slip("/subjects", Json::Array(Vec::new()), "/subjects")],
        _ => {
            let mut found = Vec::new();
            leaves(wanted, String::new(), &mut found);
            let unread = [
                "/apiVersion",
                "/kind",
                "/metadata/name",
                "/properties/principalType",
                // Whose companion it is: without it, it is somebody else's and used as it is.
                "/tags/created_by",
            ];
            // Who made it is no field of the manifest.
            let mark = |at: &str, value: &Json| {
                at.ends_with("/amlplan-mark")
                    || at.ends_with("/amlplan.mark")
                    || value.as_str().is_some_and(|it| it.starts_with("amlplan:"))
            };
            found.retain(|(at, value)| !unread.contains(&at.as_str()) && !mark(at, value));
            found.into_iter().map(|(at, value)| slip(&at, other(&at, &value), &at)).collect()
        }
    }
}

/// Leaves and lists of a document; null stands for a secret, which never comes back.
fn leaves(document: &Json, at: String, found: &mut Vec<(String, Json)>) {
    match document {
        Json::Object(map) => {
            for (key, value) in map {
                let key = key.replace('~', "~0").replace('/', "~1");
                leaves(value, format!("{at}/{key}"), found);
            }
        }
        Json::Null => {}
        Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) => {
            found.push((at, document.clone()));
        }
    }
}

/// Another value of the same type that the service could hold.
fn other(at: &str, value: &Json) -> Json {
    match value {
        Json::Bool(it) => (!it).into(),
        Json::Number(it) => (it.as_i64().unwrap_or(0) + 1).into(),
        Json::Array(items) => items[..items.len().saturating_sub(1)].into(),
        Json::String(text) if at == "/identity/type" => match text.as_str() {
            "None" => "SystemAssigned".into(),
            _ => "None".into(),
        },
        Json::String(text) => match text.to_ascii_lowercase().as_str() {
            "true" => "False".into(),
            "false" => "True".into(),
            it if it.starts_with('p')
                && it.ends_with(|c: char| "dhms".contains(c))
                && it.contains(char::is_numeric) =>
            {
                "P3D".into()
            }
            _ => format!("{text}x").into(),
        },
        Json::Null | Json::Object(_) => value.clone(),
    }
}
