//! `InstanceType` objects: named sizes for jobs and deployments
//! (AML docs: manage Kubernetes instance types).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::about::below;
use super::graph::{ClusterAccess, Desired, GraphBuilder};
use super::orphans::Search;
use super::part::{Around, Lists};
use super::{
    About, Change, Document, FieldChange, Impact, Kind, Live, Read, Readiness, Request, Resource,
    Rules, Snapshot, Target, Verb,
};
use crate::language::{self, Quantity, Resources};
use crate::model::{Json, Key, KindName, ObjectRef, Pointer, text};

pub(super) const ABOUT: About = About {
    part: "instanceTypes",
    wire: |rest| below(&["spec"], rest),
    stands_on: &[KindName::Extension],
    set_aside: |key, _| {
        Some((format!("instanceTypes.{}", key.name), "it has fields that no manifest has"))
    },
    ..About::OBJECT
}
.within(1, 300);

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

    fn object(&self) -> ObjectRef {
        ObjectRef::cluster(Self::API_VERSION, "InstanceType", "instancetypes", &self.key.name)
    }

    fn all() -> Read {
        Read::Objects(ObjectRef::cluster(Self::API_VERSION, "InstanceType", "instancetypes", ""))
    }
}

/// The part of the manifest.
pub(super) struct InstanceTypes;

impl super::part::Part for InstanceTypes {
    fn declare(&self, builder: &mut GraphBuilder<'_>) {
        if !builder.kubernetes() {
            return;
        }
        let needs: Vec<Key> = builder.extension.clone().into_iter().collect();
        for (index, instance_type) in builder.spec.instance_types.iter().enumerate() {
            let wire = |map: &BTreeMap<String, Quantity>| {
                map.iter().map(|(key, quantity)| (key.clone(), quantity.wire())).collect()
            };
            let resource = InstanceType {
                key: builder.key(KindName::InstanceType, &instance_type.name),
                node_selector: instance_type.node_selector.clone(),
                requests: wire(&instance_type.resources.requests),
                limits: wire(&instance_type.resources.limits),
            };
            let key = builder.add(resource, &needs, &format!("/instanceTypes/{index}"));
            builder.before.push(key);
        }
    }

    fn live(&self, _: &Around<'_>) -> Vec<Read> {
        vec![InstanceType::all()]
    }

    fn take(&self, _: &Around<'_>, lists: &Lists, cluster: &mut language::ClusterSpec) {
        let found = lists.get(&InstanceType::all()).into_iter().flatten();
        cluster.instance_types = found.filter_map(declared).collect();
    }

    fn lists(&self, _: &Desired, _: &str, _: &ClusterAccess) -> Vec<Read> {
        vec![InstanceType::all()]
    }

    // A namespace outlives the compute that it was made for: it may hold claims and what others put
    // there. `destroy` removes it.
    fn orphans(&self, search: &Search<'_>) -> Vec<Resource> {
        let none = BTreeMap::new;
        let named = |document: &Json| {
            let key =
                Key::new(search.scope, KindName::InstanceType, text(document, "/metadata/name"));
            let gone = search.is_ours(super::mark::ANNOTATION, document)
                && !search.desired.nodes.contains_key(&key);
            let (node_selector, requests, limits) = (none(), none(), none());
            gone.then(|| InstanceType { key, node_selector, requests, limits }.into())
        };
        search.list(&InstanceType::all()).filter_map(named).collect()
    }
}

/// `None` for the one that the extension brings, unless amlplan has written it too.
fn declared(live: &Json) -> Option<language::InstanceTypeSpec> {
    let name = Some(text(live, "/metadata/name")).filter(|it| !it.is_empty())?.to_owned();
    let managers = live.pointer("/metadata/managedFields").and_then(Json::as_array);
    let ours = managers
        .into_iter()
        .flatten()
        .any(|value| value.get("manager").and_then(Json::as_str) == Some("amlplan"));
    if name == "defaultinstancetype" && !ours {
        return None;
    }
    let map = |pointer: &str| live.pointer(pointer).and_then(Json::as_object).into_iter().flatten();
    let quantities = |pointer: &str| -> BTreeMap<String, Quantity> {
        let found = map(pointer).filter_map(|(key, value)| {
            let text = value.as_str().map(|it| Quantity::Text(it.to_owned()));
            Some((key.clone(), text.or_else(|| value.as_i64().map(Quantity::Number))?))
        });
        found.collect()
    };
    Some(language::InstanceTypeSpec {
        name,
        node_selector: map("/spec/nodeSelector")
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
            .collect(),
        resources: Resources {
            requests: quantities("/spec/resources/requests"),
            limits: quantities("/spec/resources/limits"),
        },
    })
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
                let paths: Vec<Pointer> = gone.map(|change| change.path.clone()).collect();
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
