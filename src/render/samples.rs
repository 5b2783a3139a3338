//! Hand-made plans, findings and outcomes that the tests of this room show in every format.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::apply::{Event, Outcome, Output, StepError};
use crate::model::{Encoding, Json, Key, Later, Pointer, Secret, SecretSource, Value};
use crate::plan::{Action, Gate, Mode, Note, Plan, Reason, Step, Unread};
use crate::resource::{FieldChange, Impact};
use crate::source::{Diagnostic, Place, Source};

pub(super) fn key(text: &str) -> Key {
    text.parse().unwrap()
}

pub(super) fn step(address: &str, action: Action) -> Step {
    Step {
        key: key(address),
        action,
        reasons: Vec::new(),
        changes: Vec::new(),
        before: None,
        after: None,
        derived: Vec::new(),
        impact: Impact::Safe,
        removal: Vec::new(),
        requests: Vec::new(),
        depends_on: BTreeSet::new(),
        precondition: "0123abcd".to_owned(),
        settling: None,
        note: None,
    }
}

pub(super) fn change(path: &str, before: Json, after: impl Into<Value>) -> FieldChange {
    let after = after.into();
    FieldChange {
        path: Pointer::parse(path),
        before: (!before.is_null()).then_some(before),
        after: (after != Value::Null).then_some(after),
    }
}

fn secret() -> Value {
    Secret::new(SecretSource::Env("TOKEN".into()), Encoding::Plain, "canary".into()).into()
}

fn later(from: &str, at: &str, call: Option<&str>) -> Value {
    Later { from: key(from), at: Pointer::parse(at), call: call.map(str::to_owned) }.into()
}

const RULE: &str = "edge-01/relay_authorization_rule/edge01/edge-01/azureml_rw";

fn created_extension() -> Step {
    let mut protected = Value::object();
    protected.insert("token", secret());
    protected.insert(
        "relayServerConnectionString",
        later(RULE, "/primaryConnectionString", Some("listKeys")),
    );
    let mut properties = Value::from(json!({
        "extensionType": "Microsoft.AzureML.Kubernetes",
        "autoUpgradeMinorVersion": true,
        "configurationSettings": {"enableTraining": "True", "cluster_name_friendly": "edge-01"},
    }));
    properties.insert("configurationProtectedSettings", protected);
    let mut body = Value::object();
    body.insert("properties", properties);
    let derived = Pointer::parse("/properties/configurationSettings/cluster_name_friendly");
    Step {
        reasons: vec![Reason::Absent],
        after: Some(body),
        derived: vec![(derived, "the components name the cluster by it".to_owned())],
        depends_on: BTreeSet::from([key(RULE)]),
        ..step("edge-01/extension/arcml-extension", Action::Create)
    }
}

fn updated_extension() -> Step {
    let mut after = Value::from(json!({
        "properties": {
            "autoUpgradeMinorVersion": true,
            "releaseTrain": "stable",
            "configurationSettings": {"sslCname": "new.example.com", "enableTraining": "True", "location": "westeurope"},
        },
    }));
    let mut protected = Value::object();
    protected.insert("token", secret());
    protected.insert("relay", later(RULE, "/primaryConnectionString", Some("listKeys")));
    if let Value::Object(map) = &mut after {
        map.get_mut("properties").unwrap().insert("configurationProtectedSettings", protected);
    }
    Step {
        reasons: vec![Reason::FieldsDiffer],
        changes: vec![
            change(
                "/properties/configurationSettings/sslCname",
                json!("old.example.com"),
                "new.example.com",
            ),
            change("/properties/configurationSettings/stray", json!("1"), Value::Null),
            change(
                "/properties/configurationProtectedSettings/token",
                json!("(sensitive)"),
                secret(),
            ),
        ],
        before: Some(json!({
            "id": "/x", "etag": "1",
            "properties": {
                "provisioningState": "Succeeded", "autoUpgradeMinorVersion": true, "releaseTrain": "Stable",
                "configurationSettings": {"sslCname": "old.example.com", "enableTraining": "true", "location": "West Europe", "stray": "1"},
            },
        })),
        after: Some(after),
        impact: Impact::DisruptsEndpoints,
        ..step("edge-02/extension/arcml-extension", Action::Update)
    }
}

fn replaced_compute() -> Step {
    let namespace = "/properties/properties/namespace";
    Step {
        reasons: vec![Reason::CannotUpdate(vec![Pointer::parse(namespace)])],
        changes: vec![change(namespace, json!("default"), "team-a")],
        before: Some(json!({"location": "westeurope", "properties": {"properties": {"namespace": "default"}}})),
        after: Some(json!({"location": "westeurope", "properties": {"properties": {"namespace": "team-a"}}}).into()),
        impact: Impact::NotInPlace,
        ..step("edge-02/compute/amlarc-compute", Action::Replace)
    }
}

fn grant() -> Step {
    let users =
        json!(["system:serviceaccount:azureml:default", "system:serviceaccount:azureml:new"]);
    let live =
        json!(["system:serviceaccount:azureml:default", "system:serviceaccount:azureml:gone"]);
    Step {
        reasons: vec![Reason::FieldsDiffer],
        changes: vec![change("/users", live.clone(), users.clone())],
        before: Some(json!({"users": live})),
        after: Some(json!({ "users": users }).into()),
        ..step("edge-02/scc_grant/privileged", Action::Update)
    }
}

pub(super) fn place() -> Place {
    let text = "kind: Cluster\nname: edge-02\nsslCname: new.example.com\n".to_owned();
    Place {
        span: 37..52,
        source: Arc::new(Source { path: "./clusters/edge 02.yaml".into(), text }),
    }
}

/// A plan with one of everything.
pub(super) fn plan() -> Plan {
    let workspace = "00000000-0000-0000-0000-000000000000/workspace/ml-rg/ws1";
    let mut principal = Value::object();
    principal.insert(
        "principalId",
        later("edge-02/compute/amlarc-compute", "/identity/principalId", None),
    );
    let mut properties = Value::object();
    properties.insert("properties", principal);
    Plan {
        rollouts: Vec::new(),
        mode: Mode::Apply,
        steps: vec![
            Step {
                before: Some(json!({"location": "westeurope"})),
                after: Some(Value::object()),
                ..step(workspace, Action::NoOp)
            },
            Step {
                after: Some(json!({"properties": {"rights": ["Manage", "Send", "Listen"]}}).into()),
                reasons: vec![Reason::Absent],
                note: Some(Note::Why("the extension talks to Azure ML through it".to_owned())),
                ..step(RULE, Action::Create)
            },
            created_extension(),
            updated_extension(),
            grant(),
            Step {
                settling: Some("Creating".to_owned()),
                after: Some(Value::object()),
                before: Some(json!({})),
                ..step("edge-02/namespace/azureml", Action::NoOp)
            },
            replaced_compute(),
            Step {
                after: Some(properties),
                reasons: vec![Reason::DependencyReplaced(key("edge-02/compute/amlarc-compute"))],
                before: Some(
                    json!({"properties": {"principalId": "11111111-1111-1111-1111-111111111111"}}),
                ),
                ..step("edge-02/role_assignment/acr", Action::Replace)
            },
        ],
        findings: vec![
            Diagnostic::warning("insecure-http", "scoring requests travel in clear text")
                .with_help("set `sslCname` and a certificate")
                .at(Some(place()), "no certificate for this name"),
        ],
        unread: vec![Unread {
            keys: vec![key("edge-04/instance_type/gpu"), key("edge-04/namespace/team-a")],
            reason: "cannot read its API: connection refused".to_owned(),
            finding: Diagnostic::error(
                "read-failed",
                "edge-04/instance_type/gpu: cannot read its API: connection refused",
            ),
        }],
        skipped: vec!["edge-03: access is azureOnly, so SCC grants are not looked at".to_owned()],
        protected: vec![Gate {
            key: key("edge-02/compute/amlarc-compute"),
            message: "lifecycle.preventDestroy protects it".to_owned(),
        }],
    }
}

/// A failure with everything that can be said about one.
pub(super) fn error() -> StepError {
    StepError {
        message: "the extension could not be installed".to_owned(),
        code: Some("ExtensionOperationFailed".to_owned()),
        help: Some("free some memory on the nodes".to_owned()),
        details: vec!["inner: pods are pending".to_owned()],
        field: Some(Pointer::parse("/properties/configurationSettings/x")),
    }
}

/// One event of every sort, in a likely order.
pub(super) fn events() -> Vec<Event> {
    let (a, b, c) =
        (key("edge-01/extension/x"), key("edge-01/compute/c"), key("edge-02/extension/x"));
    let progress = |seconds, state: &str| Event::Progress {
        waits_for: None,
        key: a.clone(),
        state: state.to_owned(),
        elapsed: Duration::from_secs(seconds),
    };
    vec![
        Event::Started { key: a.clone(), action: Action::Create },
        progress(5, "Creating"),
        progress(10, "Creating"),
        progress(40, "Creating"),
        progress(45, "Updating"),
        Event::Completed {
            key: c.clone(),
            action: Action::Update,
            elapsed: Duration::from_secs(61),
        },
        Event::Errored {
            key: a.clone(),
            action: Action::Create,
            error: error(),
            elapsed: Duration::from_secs(130),
        },
        Event::Skipped { key: b, because: a },
        Event::Left { key: c, state: "Updating".to_owned() },
    ]
}

/// An apply that partly failed.
pub(super) fn outcome() -> Outcome {
    Outcome {
        done: vec![
            (key("edge-02/extension/x"), Action::Update, Duration::from_secs(61)),
            (key("edge-02/compute/c"), Action::Create, Duration::from_secs(9)),
        ],
        failed: vec![(key("edge-01/extension/x"), error())],
        skipped: vec![key("edge-01/compute/c")],
        running: vec![(key("edge-03/extension/x"), "Creating".to_owned())],
        elapsed: Duration::from_secs(132),
        outputs: vec![Output {
            key: key("edge-02/extension/x"),
            label: "router address",
            value: "10.0.0.7".to_owned(),
        }],
        ..Outcome::default()
    }
}
