//! A Kubernetes compute: the cluster attached to a workspace
//! (Azure REST: MachineLearningServices computes; AML docs: attach Kubernetes to workspace).

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::about::below;
use super::graph::GraphBuilder;
use super::part::word;
use super::{
    About, Change, Document, Family, FieldChange, Impact, Kind, Live, Named, Read, Readiness,
    Request, Rules, Snapshot, Target, Verb, provisioning_readiness,
};
use crate::catalog::ArmType;
use crate::language::{self, IdentityType};
use crate::model::{ArmId, Json, Key, KindName, Pointer, Value};
use crate::resource::fields::Same;
use crate::resource::update::{self, Takes};

pub(super) const ABOUT: About = About {
    family: Family::Compute,
    named: Named::ByCluster,
    part: "computes",
    wire: |rest| match rest {
        ["identity", rest @ ..] => below(&["identity"], rest),
        [text @ ("namespace" | "defaultInstanceType"), rest @ ..] => {
            below(&["properties", "properties", text], rest)
        }
        ["description", rest @ ..] => below(&["properties", "description"], rest),
        ["tags", rest @ ..] => below(&["tags"], rest),
        _ => Pointer::root(),
    },
    stands_on: &[KindName::Extension],
    set_aside: |key, changes| {
        let identity = changes.iter().all(|change| change.path.tokens()[0] == "identity");
        Some(match identity {
            true => {
                (format!("computes.{}.identity", key.name), "it has identities beyond the first")
            }
            false => (format!("computes.{}", key.name), "attached otherwise"),
        })
    },
    ..About::AZURE
}
.within(20, 300);

/// The identity of a compute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ComputeIdentity {
    /// None.
    None,
    /// One that Azure makes.
    SystemAssigned,
    /// An existing one: its Azure id. Azure ML uses one only.
    UserAssigned(ArmId),
}

/// A compute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compute {
    /// The address.
    pub key: Key,
    /// Its Azure id.
    pub id: ArmId,
    /// The workspace it is in.
    pub workspace: Key,
    /// Azure id of the cluster.
    pub cluster_id: ArmId,
    /// Namespace of the workloads.
    pub namespace: String,
    /// Its identity.
    pub identity: ComputeIdentity,
    /// Identities that the manifest names beyond the first: not sent, and right where `az` sent them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spare_identities: Vec<ArmId>,
    /// What it is for, where the manifest says so.
    pub description: Option<String>,
    /// Declared tags; others may carry more.
    pub tags: BTreeMap<String, String>,
    /// The instance type of jobs that name none, where the manifest says so.
    pub default_instance_type: Option<String>,
}

impl Compute {
    /// One that was found in a workspace and is to go.
    pub(super) fn attached(key: Key, id: ArmId, cluster: &ArmId, namespace: String) -> Self {
        let around = id.up_to("workspaces");
        Self {
            key,
            workspace: super::graph::shared_key(KindName::Workspace, &around),
            id,
            cluster_id: cluster.clone(),
            namespace,
            identity: ComputeIdentity::None,
            spare_identities: Vec::new(),
            description: None,
            tags: BTreeMap::new(),
            default_instance_type: None,
        }
    }
}

/// The part of the manifest.
pub(super) struct Computes;

impl super::part::Part for Computes {
    fn declare(&self, builder: &mut GraphBuilder<'_>) {
        let spec = builder.spec;
        for (index, compute) in spec.computes.iter().enumerate() {
            let at = format!("/computes/{index}");
            let workspace_id = spec.workspace_id(compute);
            let id = workspace_id.child("computes", &compute.name);
            let workspace =
                builder.read_only(KindName::Workspace, workspace_id, &format!("{at}/workspace"));
            let mut needs = builder.before.clone();
            needs.push(workspace.clone());
            needs.extend(
                builder.namespaces.iter().filter(|it| it.name == compute.namespace).cloned(),
            );
            // Azure ML uses the first of several identities only.
            let ids = &compute.identity.user_assigned_identities;
            let first = ids.first();
            let spare = ids.iter().skip(1).filter_map(|text| ArmId::parse(text).ok()).collect();
            let identity = match (compute.identity.kind, first) {
                (IdentityType::SystemAssigned, _) => ComputeIdentity::SystemAssigned,
                (IdentityType::UserAssigned, Some(first)) => {
                    let at = format!("{at}/identity/userAssignedIdentities/0");
                    let Some(id) = builder.arm_id(first, &at) else { continue };
                    needs.push(builder.read_only(KindName::ManagedIdentity, id.clone(), &at));
                    ComputeIdentity::UserAssigned(id)
                }
                (IdentityType::UserAssigned | IdentityType::None, _) => ComputeIdentity::None,
            };
            let resource = Compute {
                key: builder.key(KindName::Compute, &compute.name),
                id,
                workspace,
                cluster_id: builder.cluster_id.clone(),
                namespace: compute.namespace.clone(),
                identity,
                spare_identities: spare,
                description: compute.description.clone(),
                tags: compute.tags.clone(),
                default_instance_type: compute.default_instance_type.clone(),
            };
            builder.add(resource, &needs, &at);
        }
    }
}

/// How the commands of `az ml` are told the workspace of a compute.
pub fn workspace_options(
    cluster: &language::ClusterSpec,
    compute: &language::ComputeSpec,
) -> Vec<String> {
    let workspace = &compute.workspace;
    let group = workspace.resource_group.as_ref().unwrap_or(&cluster.azure.resource_group);
    let mut options = vec![
        format!("--resource-group {}", word(group)),
        format!("--workspace-name {}", word(&workspace.name)),
    ];
    if let Some(subscription) = &workspace.subscription {
        options.push(format!("--subscription {}", word(subscription)));
    }
    options
}

/// Where Azure ML records with which extension an attach succeeded (Azure REST: computes,
/// Kubernetes properties filled by the server).
const ATTACHED: [&str; 2] = [
    "/properties/properties/extensionPrincipalId",
    "/properties/properties/extensionInstanceReleaseTrain",
];

impl Kind for Compute {
    fn key(&self) -> &Key {
        &self.key
    }

    fn mark_at(&self) -> Option<super::mark::MarkAt> {
        Some(super::mark::TAG)
    }

    fn target(&self) -> Target {
        Target::Arm(self.id.clone())
    }

    fn reads(&self) -> Vec<Read> {
        let api_version = ArmType::COMPUTES.api_version;
        vec![Read::Arm { id: self.id.clone(), api_version }]
    }

    fn want(&self, world: &Snapshot) -> Document {
        let identity = match &self.identity {
            ComputeIdentity::None => json!({"type": "None"}),
            ComputeIdentity::SystemAssigned => json!({"type": "SystemAssigned"}),
            ComputeIdentity::UserAssigned(id) => {
                json!({"type": "UserAssigned", "userAssignedIdentities": {id.as_str(): {}}})
            }
        };
        let mut body = json!({
            "location": world.text(&self.workspace, "/location"),
            "identity": identity,
            "properties": {
                "computeType": "Kubernetes",
                "resourceId": self.cluster_id,
                "properties": {"namespace": self.namespace},
            },
        });
        if !self.tags.is_empty() {
            body["tags"] = json!(self.tags);
        }
        if let Some(description) = &self.description {
            body["properties"]["description"] = json!(description);
        }
        if let Some(name) = &self.default_instance_type {
            body["properties"]["properties"]["defaultInstanceType"] = json!(name);
        }
        Document::plain(body)
    }

    fn rules(&self) -> Rules {
        Rules {
            same: &[
                ("/location", Same::Location),
                ("/identity/type", Same::IgnoringCase),
                ("/properties/computeType", Same::IgnoringCase),
                ("/properties/resourceId", Same::IgnoringCase),
            ],
            whole: &["/identity", "/identity/userAssignedIdentities"],
            // Azure ML accepts such changes and does not carry them out
            // (AML docs: troubleshoot Kubernetes compute); only a new attach does.
            immutable: &[
                "/location",
                "/properties/computeType",
                "/properties/resourceId",
                "/properties/properties/namespace",
            ],
            ..Rules::default()
        }
    }

    fn readiness(&self, _want: &Document, live: &Live) -> Readiness {
        provisioning_readiness(live)
    }

    /// A compute without identity has none in its document, or one of type `None`.
    fn shown(&self, live: &Live) -> Option<Json> {
        let mut document = live.document()?.clone();
        if document.pointer("/identity/type").is_none_or(Json::is_null) {
            document.as_object_mut()?.insert("identity".to_owned(), json!({"type": "None"}));
        }
        let ids = document.pointer_mut("/identity/userAssignedIdentities");
        if let Some(ids) = ids.and_then(Json::as_object_mut) {
            let spare =
                |id: &String| ArmId::parse(id).is_ok_and(|id| self.spare_identities.contains(&id));
            ids.retain(|id, _| !spare(id));
        }
        Some(document)
    }

    fn requests(&self, change: &Change<'_>) -> Vec<Request> {
        // Its PATCH is for scale settings of other computes only (Azure REST: computes).
        let (path, version) = (self.id.to_string(), ArmType::COMPUTES.api_version);
        let mut request = update::request(change, Takes::Put, &self.rules(), path, version);
        if let Request::Arm { query, body, .. } = &mut request {
            match (change.verb, &self.identity, body) {
                // Detach, never Delete: the cluster is not ours to remove.
                (Verb::Delete, ..) => *query = Some("underlyingResourceAction=Detach"),
                (Verb::Create, ComputeIdentity::None, Some(Value::Object(map))) => {
                    map.remove("identity");
                }
                _ => {}
            }
        }
        vec![request]
    }

    fn impact(&self, change: &FieldChange) -> Impact {
        if self.rules().is_immutable(&change.path) {
            return Impact::NotInPlace;
        }
        match change.path.tokens().first().map(String::as_str) {
            Some("identity") => Impact::DisruptsJobsAndEndpoints,
            // Running jobs keep what they were started with.
            _ => Impact::Safe,
        }
    }

    fn removal_impact(&self) -> Impact {
        Impact::DisruptsJobsAndEndpoints
    }

    /// A failed attach stays as it is until it is detached.
    fn replaced_when_failed(&self) -> bool {
        true
    }

    fn never_worked(&self, live: &Live) -> bool {
        matches!(provisioning_readiness(live), Readiness::Failed { .. })
            && ATTACHED.iter().all(|text| live.text(text).is_none())
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(25 * 60)
    }

    fn declared_at(&self, wire: &Pointer) -> Option<Pointer> {
        match wire.tokens().first()?.as_str() {
            "identity" | "tags" => Some(wire.clone()),
            "properties" => {
                let last = wire.tokens().last()?;
                let own = ["namespace", "description", "defaultInstanceType"];
                own.contains(&last.as_str()).then(|| Pointer::root().join(last))
            }
            "location" => Some(Pointer::root().join("workspace")),
            _ => None,
        }
    }
}
