//! Requests of a plan: whole, with leaves that are filled in before sending.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::model::{Json, ObjectRef, Pointer, Value};

/// The changing methods of ARM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Create or replace.
    Put,
    /// Change in part.
    Patch,
    /// An action.
    Post,
    /// Remove.
    Delete,
}

impl Method {
    /// The method as `az rest --method` takes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Patch => "patch",
            Self::Post => "post",
            Self::Delete => "delete",
        }
    }
}

/// One changing request. The executor branches on the API, never on the kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// To Azure.
    Arm {
        /// How.
        method: Method,
        /// Path of the resource, without query.
        path: String,
        /// API version.
        api_version: &'static str,
        /// Further query, such as `underlyingResourceAction=Detach`.
        query: Option<&'static str>,
        /// The body, where there is one.
        body: Option<Value>,
    },
    /// Server-side apply of an object.
    Apply {
        /// Which object.
        object: ObjectRef,
        /// The fields we own.
        body: Value,
        /// Whether fields of other managers are taken over: the plan shows which.
        take_over: bool,
    },
    /// Takes fields out of an object, whoever owns them; the rest stays.
    RemoveFields {
        /// Which object.
        object: ObjectRef,
        /// The fields.
        paths: Vec<Pointer>,
    },
    /// Adds users to an SCC that are not in it yet, leaving the others in place and order.
    AddUsers {
        /// The SCC.
        object: ObjectRef,
        /// The users.
        users: Vec<String>,
    },
    /// Takes out of an SCC the users that amlplan added and no others.
    RemoveUsers {
        /// The SCC.
        object: ObjectRef,
        /// The users.
        users: Vec<String>,
    },
    /// Removes an object.
    DeleteObject {
        /// Which object.
        object: ObjectRef,
    },
}

impl Request {
    /// The form that a saved plan holds and a reader sees; secrets are named by their source only.
    #[must_use]
    pub fn to_stored(&self) -> Json {
        match self {
            Self::Arm { method, path, api_version, query, body } => json!({
                "method": method, "path": path, "api-version": api_version, "query": query,
                "body": body.as_ref().map(Value::to_stored),
            }),
            Self::Apply { object, body, take_over } => json!({
                "method": "APPLY", "object": object, "body": body.to_stored(),
                "force": take_over,
            }),
            Self::RemoveFields { object, paths } => {
                json!({ "method": "REMOVE_FIELDS", "object": object, "paths": paths })
            }
            Self::AddUsers { object, users } => {
                json!({ "method": "ADD_USERS", "object": object, "users": users })
            }
            Self::RemoveUsers { object, users } => {
                json!({ "method": "REMOVE_USERS", "object": object, "users": users })
            }
            Self::DeleteObject { object } => json!({ "method": "DELETE", "object": object }),
        }
    }

    /// The object in the cluster, for requests to Kubernetes.
    #[must_use]
    pub const fn object(&self) -> Option<&ObjectRef> {
        match self {
            Self::Arm { .. } => None,
            Self::Apply { object, .. }
            | Self::RemoveFields { object, .. }
            | Self::AddUsers { object, .. }
            | Self::RemoveUsers { object, .. }
            | Self::DeleteObject { object } => Some(object),
        }
    }

    /// The body, where the request has one.
    #[must_use]
    pub const fn body(&self) -> Option<&Value> {
        match self {
            Self::Arm { body, .. } => body.as_ref(),
            Self::Apply { body, .. } => Some(body),
            Self::RemoveFields { .. }
            | Self::AddUsers { .. }
            | Self::RemoveUsers { .. }
            | Self::DeleteObject { .. } => None,
        }
    }
}
