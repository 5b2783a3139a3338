//! Kubernetes namespaces: attach neither creates nor checks the one it is given
//! (AML docs: attach Kubernetes to workspace), so it is a resource of its own.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    About, Change, Document, FieldChange, Impact, Kind, Live, Read, Readiness, Request, Rules,
    Snapshot, Target, Verb,
};
use crate::model::{Json, Key, ObjectRef};

pub(super) const ABOUT: About = About::OBJECT;

/// The label that says amlplan made an object.
pub(super) const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "amlplan");

/// A namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespace {
    /// The address; its name is the namespace.
    pub key: Key,
}

impl Namespace {
    fn object(&self) -> ObjectRef {
        ObjectRef::cluster("v1", "Namespace", "namespaces", &self.key.name)
    }
}

impl Kind for Namespace {
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
        let (label, value) = MANAGED_BY;
        Document::plain(json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": self.key.name, "labels": {label: value}},
        }))
    }

    fn rules(&self) -> Rules {
        Rules::default()
    }

    /// A namespace that is there is right, whoever made it.
    fn differences(&self, _want: &Document, _live: &Live) -> Vec<FieldChange> {
        Vec::new()
    }

    fn readiness(&self, _want: &Document, live: &Live) -> Readiness {
        match live.text("/status/phase") {
            _ if live.document().is_none() => Readiness::Absent,
            // It is on its way out; only when it is gone can it be made again.
            Some("Terminating") => Readiness::Waiting("Terminating".to_owned()),
            _ => Readiness::Ready,
        }
    }

    fn requests(&self, change: &Change<'_>) -> Vec<Request> {
        match change.verb {
            Verb::Create | Verb::Update => {
                let body = change.want.body.clone();
                vec![Request::Apply { object: self.object(), body, take_over: false }]
            }
            Verb::Delete => vec![Request::DeleteObject { object: self.object() }],
        }
    }

    fn removal_impact(&self) -> Impact {
        Impact::DisruptsJobsAndEndpoints
    }

    fn removable(&self, live: &Live) -> Result<(), String> {
        let (label, value) = MANAGED_BY;
        let labels = live.document().and_then(|value| value.pointer("/metadata/labels"));
        match labels.and_then(|it| it.get(label)).and_then(Json::as_str) {
            Some(text) if text == value => Ok(()),
            _ => Err(format!("amlplan did not make it (no label {label}={value})")),
        }
    }
}
