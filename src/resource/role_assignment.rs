//! Role assignments (Azure REST: Microsoft.Authorization roleAssignments).

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    Change, Document, FieldChange, Kind, Live, Read, Readiness, Request, Rules, Snapshot, Target,
};
use crate::catalog::ArmType;
use crate::model::{ArmId, Json, Key, Later, Pointer, Value};
use crate::resource::fields::Same;
use crate::resource::update::{self, Takes};

/// Where an assignment carries its mark: it has no tags.
pub(super) const MARK_AT: super::mark::MarkAt =
    super::mark::MarkAt::Word("/properties/description");

/// Whom the role is given to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Principal {
    /// An object id of the directory.
    ObjectId(String),
    /// The identity of a resource: where its principal id stands.
    Of(Later),
}

/// A role for a principal at a scope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleAssignment {
    /// The address.
    pub key: Key,
    /// Azure id of the scope.
    pub at: ArmId,
    /// Full id of the role definition.
    pub role_definition: String,
    /// Whom it is given to.
    pub principal: Principal,
    /// Name of the assignment: a UUID made from scope, principal and role, so that a second run
    /// finds what the first one made.
    pub name: String,
}

impl RoleAssignment {
    fn id(&self) -> ArmId {
        self.at.extension(ArmType::ROLE_ASSIGNMENTS.name, &self.name)
    }

    fn role(&self) -> &str {
        self.role_definition.rsplit('/').next().unwrap_or_default()
    }

    /// An assignment of the same triple under another name.
    fn elsewhere<'a>(&self, want: &Document, live: &'a Live) -> Option<&'a Json> {
        let pointer = Pointer::parse("/properties/principalId");
        let Some(Value::String(principal)) = want.body.get(&pointer) else { return None };
        live.items(1).find(|it| {
            let text = |pointer: &str| it.pointer(pointer).and_then(Json::as_str).unwrap_or("");
            text("/properties/principalId").eq_ignore_ascii_case(principal)
                && text("/properties/scope").eq_ignore_ascii_case(self.at.as_str())
                && text("/properties/roleDefinitionId")
                    .rsplit('/')
                    .next()
                    .is_some_and(|it| it.eq_ignore_ascii_case(self.role()))
        })
    }
}

impl Kind for RoleAssignment {
    fn key(&self) -> &Key {
        &self.key
    }

    fn mark_at(&self) -> Option<super::mark::MarkAt> {
        Some(MARK_AT)
    }

    fn target(&self) -> Target {
        Target::Arm(self.id())
    }

    fn reads(&self) -> Vec<Read> {
        let ArmType { name, api_version } = ArmType::ROLE_ASSIGNMENTS;
        let path = format!("{}/providers/{name}?$filter=atScope()", self.at);
        vec![Read::Arm { id: self.id(), api_version }, Read::ArmList { path, api_version }]
    }

    fn want(&self, _world: &Snapshot) -> Document {
        let mut properties = Value::from(json!({
            "roleDefinitionId": self.role_definition,
            // Without it a principal that the directory has not spread yet is refused.
            "principalType": "ServicePrincipal",
        }));
        match &self.principal {
            Principal::ObjectId(id) => {
                properties = json!({"roleDefinitionId": self.role_definition}).into();
                properties.insert("principalId", id.as_str());
            }
            Principal::Of(later) => properties.insert("principalId", later.clone()),
        }
        let mut body = Value::object();
        body.insert("properties", properties);
        Document::plain(body)
    }

    fn rules(&self) -> Rules {
        Rules {
            same: &[("/properties/principalId", Same::IgnoringCase)],
            immutable: &["/properties/principalId", "/properties/roleDefinitionId"],
            unread: &["/properties/principalType"],
            ..Rules::default()
        }
    }

    fn differences(&self, want: &Document, live: &Live) -> Vec<FieldChange> {
        let Some(document) = live.document().or_else(|| self.elsewhere(want, live)) else {
            return Vec::new();
        };
        let mut changes = super::fields::diff(&want.body, document, &self.rules());
        // The same definition is spelled with and without its subscription.
        changes.retain(|it| {
            let role =
                it.before.as_ref().and_then(Json::as_str).and_then(|it| it.rsplit('/').next());
            it.path.to_string() != "/properties/roleDefinitionId"
                || !role.is_some_and(|it| it.eq_ignore_ascii_case(self.role()))
        });
        changes
    }

    fn readiness(&self, want: &Document, live: &Live) -> Readiness {
        let there = live.document().is_some() || self.elsewhere(want, live).is_some();
        if there { Readiness::Ready } else { Readiness::Absent }
    }

    fn requests(&self, change: &Change<'_>) -> Vec<Request> {
        let (path, version) = (self.id().to_string(), ArmType::ROLE_ASSIGNMENTS.api_version);
        vec![update::request(change, Takes::Put, &self.rules(), path, version)]
    }

    fn removable(&self, live: &Live) -> Result<(), String> {
        match live.document() {
            Some(_) => Ok(()),
            None => Err("the same assignment exists under another name; it is not ours".to_owned()),
        }
    }
}
