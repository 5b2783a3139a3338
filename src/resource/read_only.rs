//! What amlplan reads and never changes: the cluster, workspaces and managed identities.

use serde::{Deserialize, Serialize};

use super::{
    About, Change, Document, FieldChange, Kind, Live, Named, Read, Readiness, Request, Rules,
    Snapshot, Target,
};
use crate::catalog::ArmType;
use crate::model::{ArmId, Key, KindName, Value};

pub(super) const CLUSTER: About = About {
    part: "cluster",
    named: Named::ByCluster,
    missing: (
        "missing-cluster",
        "the cluster",
        "connect it to Azure Arc or create it first, or mend its name, type or resource group",
    ),
    ..About::AZURE
};
pub(super) const WORKSPACE: About = About {
    named: Named::Shared,
    missing: (
        "missing-workspace",
        "the workspace",
        "create it first, or mend its name, resource group or subscription",
    ),
    ..About::AZURE
};
pub(super) const MANAGED_IDENTITY: About = About {
    named: Named::Shared,
    missing: (
        "missing-identity",
        "the managed identity",
        "create it first, or mend its resource id",
    ),
    ..About::AZURE
};

/// A resource that has to exist already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadOnly {
    /// The address.
    pub key: Key,
    /// Its Azure id.
    pub id: ArmId,
}

impl ReadOnly {
    fn arm_type(&self) -> ArmType {
        match self.key.kind {
            KindName::Workspace => ArmType::WORKSPACES,
            KindName::ManagedIdentity => ArmType::IDENTITIES,
            _ => ArmType::of_cluster(&self.id.resource_type()),
        }
    }
}

impl Kind for ReadOnly {
    fn key(&self) -> &Key {
        &self.key
    }

    fn target(&self) -> Target {
        Target::Arm(self.id.clone())
    }

    fn reads(&self) -> Vec<Read> {
        let api_version = self.arm_type().api_version;
        vec![Read::Arm { id: self.id.clone(), api_version }]
    }

    fn want(&self, _world: &Snapshot) -> Document {
        Document::plain(Value::object())
    }

    fn rules(&self) -> Rules {
        Rules::default()
    }

    fn differences(&self, _want: &Document, _live: &Live) -> Vec<FieldChange> {
        Vec::new()
    }

    fn readiness(&self, _want: &Document, live: &Live) -> Readiness {
        if live.document().is_some() { Readiness::Ready } else { Readiness::Absent }
    }

    fn requests(&self, _change: &Change<'_>) -> Vec<Request> {
        Vec::new()
    }

    fn removable(&self, _live: &Live) -> Result<(), String> {
        Err("amlplan only reads it".to_owned())
    }
}
