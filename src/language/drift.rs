//! The `drift` part of a manifest: which differences somebody accepted, why, and until when.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::write::is_default;

/// What sort of drift a finding is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum DriftClass {
    /// A declared field has another value.
    Setting,
    /// A secret is not the one that was sent last.
    Secret,
    /// The extension runs another version than its pin, or Azure upgraded it.
    Version,
    /// Something is missing, failed or not ready.
    Health,
    /// A grant of a security context constraint is incomplete.
    Grant,
    /// A role assignment differs or is gone.
    Role,
    /// A feature or resource provider is not registered.
    Registration,
    /// A Relay, Service Bus or Log Analytics resource of the extension was modified or deleted.
    Companion,
    /// Something carries the manifest's mark and is no longer declared.
    Orphan,
    /// Something is there that no manifest declares.
    Foreign,
}

impl DriftClass {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 10] = [
        Self::Setting,
        Self::Secret,
        Self::Version,
        Self::Health,
        Self::Grant,
        Self::Role,
        Self::Registration,
        Self::Companion,
        Self::Orphan,
        Self::Foreign,
    ];

    /// The code of its findings; `amlplan explain` knows it.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Setting => "drift-setting",
            Self::Secret => "drift-secret",
            Self::Version => "drift-version",
            Self::Health => "drift-health",
            Self::Grant => "drift-grant",
            Self::Role => "drift-role",
            Self::Registration => "drift-registration",
            Self::Companion => "drift-companion",
            Self::Orphan => "drift-orphan",
            Self::Foreign => "drift-foreign",
        }
    }

    /// The word of manifests and reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.code().split_at("drift-".len()).1
    }

    /// The class with this word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|drift_class| drift_class.as_str() == word)
    }
}

/// How drift is reported.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Drift {
    /// Drift that somebody accepted. It is still shown, and counts for nothing until it expires.
    #[serde(default, skip_serializing_if = "is_default")]
    pub ignore: Vec<DriftIgnore>,
}

/// One acceptance.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DriftIgnore {
    /// Path in this manifest, a kind of resources, or an address.
    pub path: String,
    /// Only drift of this class; left out: all.
    #[serde(default, skip_serializing_if = "is_default")]
    pub class: Option<DriftClass>,
    /// Why.
    pub reason: String,
    /// Who answers for it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub owner: Option<String>,
    /// Last day, as `YYYY-MM-DD` (UTC); left out: for good.
    #[serde(default, skip_serializing_if = "is_default")]
    pub until: Option<String>,
}

/// The words of a path of the manifest, as `ignoreChanges` and `drift.ignore` write it:
/// `computes.train.tags`, or `computes[0].tags`. Behind the list all is separated by dots, which
/// settings also have in their names.
#[must_use]
pub fn path_tokens(path: &str) -> Vec<&str> {
    let mut tokens: Vec<&str> = path.split('.').collect();
    let item = tokens[0].strip_suffix(']').and_then(|head| head.split_once('['));
    if let Some((list, which)) = item {
        tokens.splice(..1, [list, which]);
    }
    tokens
}
