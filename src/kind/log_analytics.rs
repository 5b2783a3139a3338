//! The Log Analytics companion of an extension with `logAnalyticsWS` on. It is billed.

use serde::{Deserialize, Serialize};

use super::api_version;
use super::relay::{arm_id, companion, put_or_delete, removable_companion};
use super::{
    Change, Document, Kind, Live, Read, Readiness, Request, Rules, Snapshot, Target,
    provisioning_readiness,
};
use crate::kind::fields::Same;
use crate::model::Key;

/// Provider and type of a Log Analytics workspace.
pub const LOG_ANALYTICS: &str = "Microsoft.OperationalInsights/workspaces";

/// A Log Analytics workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogAnalyticsWorkspace {
    /// The address.
    pub key: Key,
    /// Its Azure id.
    pub id: String,
}

impl Kind for LogAnalyticsWorkspace {
    fn key(&self) -> &Key {
        &self.key
    }

    fn target(&self) -> Target {
        Target::Arm(arm_id(&self.id))
    }

    fn reads(&self) -> Vec<Read> {
        vec![Read::Arm { id: arm_id(&self.id), api_version: api_version(LOG_ANALYTICS) }]
    }

    fn want(&self, world: &Snapshot) -> Document {
        Document::plain(companion(world, &self.key.scope))
    }

    fn rules(&self) -> Rules {
        Rules {
            same: &[("/location", Same::Location)],
            immutable: &["/location"],
            ..Rules::default()
        }
    }

    fn readiness(&self, _want: &Document, live: &Live) -> Readiness {
        provisioning_readiness(live)
    }

    fn requests(&self, change: &Change<'_>) -> Vec<Request> {
        vec![put_or_delete(&self.id, api_version(LOG_ANALYTICS), change)]
    }

    fn removable(&self, live: &Live) -> Result<(), String> {
        removable_companion(live)
    }
}
