//! `InstanceType` objects: named sizes for jobs and deployments
//! (AML docs: manage Kubernetes instance types).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    Change, Document, FieldChange, Impact, Kind, Live, Read, Readiness, Request, Rules, Snapshot,
    Target, Verb,
};
use crate::model::{Key, ObjectRef, Pointer};

/// An instance type of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceType {
    /// The address.
    pub key: Key,
    /// Labels of the nodes it may run on.
    pub node_selector: BTreeMap<String, String>,
    /// What is reserved, as quantities.
    pub requests: BTreeMap<String, String>,
    /// What is the most, as quantities.
    pub limits: BTreeMap<String, String>,
}

impl InstanceType {
    /// Group and version of the CRD that the extension brings.
    pub const API_VERSION: &str = "amlarc.azureml.com/v1alpha1";

    /// One of which only the name is known: it is to go.
    pub(super) fn named(key: Key) -> Self {
        let none = BTreeMap::new;
        Self { key, node_selector: none(), requests: none(), limits: none() }
    }

    fn object(&self) -> ObjectRef {
        ObjectRef::cluster(Self::API_VERSION, "InstanceType", "instancetypes", &self.key.name)
    }
}

impl Kind for InstanceType {
    fn key(&self) -> &Key {
        &self.key
    }

    fn mark_at(&self) -> Option<super::mark::MarkAt> {
        Some(super::mark::ANNOTATION)
    }

    fn target(&self) -> Target {
        Target::Objects(vec![self.object()])
    }

    fn reads(&self) -> Vec<Read> {
        vec![Read::Object(self.object())]
    }

    fn want(&self, _world: &Snapshot) -> Document {
        let mut spec = json!({"resources": {"requests": self.requests, "limits": self.limits}});
        if !self.node_selector.is_empty() {
            spec["nodeSelector"] = json!(self.node_selector);
        }
        Document::plain(json!({
            "apiVersion": Self::API_VERSION,
            "kind": "InstanceType",
            "metadata": {"name": self.key.name},
            "spec": spec,
        }))
    }

    fn rules(&self) -> Rules {
        Rules {
            whole: &[
                "/spec",
                "/spec/nodeSelector",
                "/spec/resources/requests",
                "/spec/resources/limits",
            ],
            unread: &["/apiVersion", "/kind"],
            ..Rules::default()
        }
    }

    fn readiness(&self, _want: &Document, live: &Live) -> Readiness {
        if live.document().is_some() { Readiness::Ready } else { Readiness::Absent }
    }

    fn requests(&self, change: &Change<'_>) -> Vec<Request> {
        match change.verb {
            Verb::Create | Verb::Update => {
                let body = change.want.body.clone();
                // A plan that updates has shown every field that differs.
                let take_over = change.verb == Verb::Update;
                let mut requests = vec![Request::Apply { object: self.object(), body, take_over }];
                // An apply leaves keys that another manager owns (Kubernetes docs: server-side
                // apply), so they are taken out by name.
                let gone = change.changes.iter().filter(|it| it.after.is_none());
                let paths: Vec<Pointer> = gone.map(|it| it.path.clone()).collect();
                if !paths.is_empty() {
                    requests.push(Request::RemoveFields { object: self.object(), paths });
                }
                requests
            }
            Verb::Delete => vec![Request::DeleteObject { object: self.object() }],
        }
    }

    /// Running pods keep their size; new ones get the new one.
    fn impact(&self, _change: &FieldChange) -> Impact {
        Impact::Safe
    }

    fn removal_impact(&self) -> Impact {
        Impact::Safe
    }

    fn declared_at(&self, wire: &Pointer) -> Option<Pointer> {
        let tokens = wire.tokens();
        (tokens.first()? == "spec").then(|| tokens[1..].iter().cloned().collect())
    }
}
