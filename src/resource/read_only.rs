//! What amlplan reads and never changes: the cluster, workspaces and managed identities.

use serde::{Deserialize, Serialize};

use super::api_version;
use super::{
    Change, Document, FieldChange, Kind, Live, Read, Readiness, Request, Rules, Snapshot, Target,
};
use crate::model::{ArmId, Key, Value};

/// Provider and type of an Azure ML workspace.
pub const WORKSPACES: &str = "Microsoft.MachineLearningServices/workspaces";

/// A resource that has to exist already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadOnly {
    /// The address.
    pub key: Key,
    /// Its Azure id.
    pub id: String,
}

impl ReadOnly {
    /// Its Azure id.
    #[must_use]
    pub fn arm_id(&self) -> ArmId {
        ArmId::parse(&self.id).unwrap_or_else(|_| ArmId::resource_group_of("", &self.id))
    }
}

impl Kind for ReadOnly {
    fn key(&self) -> &Key {
        &self.key
    }

    fn target(&self) -> Target {
        Target::Arm(self.arm_id())
    }

    fn reads(&self) -> Vec<Read> {
        let id = self.arm_id();
        let api_version = api_version(&id.resource_type());
        vec![Read::Arm { id, api_version }]
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
