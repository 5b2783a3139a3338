//! Why a task failed, before and after it is explained.

use std::sync::Arc;

use super::StepError;
use crate::client::ApiError;
use crate::model::{Api, Json, Key};

/// What there is to see when an extension or a compute failed.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// The health report in the cluster.
    pub health: Option<Json>,
    /// The resource, as Azure tells it.
    pub document: Option<Json>,
    /// The pods of the extension.
    pub pods: Vec<Json>,
    /// The events of its namespace.
    pub events: Vec<Json>,
}

/// A failure as it entered, for the explainer: it knows catalogs, this room does not.
#[derive(Debug, Clone)]
pub struct StepFailure {
    /// The resource.
    pub key: Key,
    /// The API that was asked.
    pub api: Api,
    /// HTTP status, where there was an answer.
    pub status: Option<u16>,
    /// The service's own code.
    pub code: Option<String>,
    /// What went wrong, without secrets.
    pub message: String,
    /// Further lines: inner errors, policies, request ids.
    pub details: Vec<String>,
    /// What the error says it is about.
    pub target: Option<String>,
    /// What cluster and Azure tell about it, as far as it could be read.
    pub evidence: Evidence,
    /// How to mend it, where the reason alone says so.
    pub help: Option<String>,
    /// Whether it passes by itself once an earlier step has spread through Azure or the cluster.
    pub passes: bool,
}

/// Turns a failure into what a person should read.
pub type Explain = Arc<dyn Fn(StepFailure) -> StepError + Send + Sync>;

/// How a task ended when it did not succeed.
#[derive(Debug)]
pub(super) enum Stop {
    /// It failed.
    Failed(Box<StepFailure>),
    /// We stopped waiting while Azure goes on, in this state.
    Left(String),
}

impl StepFailure {
    /// A failure that was noticed here.
    #[must_use]
    pub fn own(key: &Key, code: &str, message: String) -> Self {
        Self {
            key: key.clone(),
            api: Api::Azure,
            help: None,
            passes: false,
            status: None,
            code: Some(code.to_owned()),
            message,
            details: Vec::new(),
            target: None,
            evidence: Evidence::default(),
        }
    }

    pub(super) fn of(key: &Key, error: &ApiError) -> Self {
        let mut details: Vec<String> = Vec::new();
        for detail in error.details.iter().filter(|it| it.manager.is_none()) {
            let code = detail.code.as_ref().map(|text| format!("{text}: ")).unwrap_or_default();
            details.push(format!("{code}{}", detail.message));
        }
        details.extend(error.policies.iter().map(|policy| format!("policy: {policy}")));
        details.extend(error.request_id.iter().map(|text| format!("request id: {text}")));
        details.extend(error.correlation_id.iter().map(|text| format!("correlation id: {text}")));
        // ARM's parts stand in the details; what else is known stands in the whole sentence.
        let message = match error.api {
            Api::Azure => error.message.clone(),
            Api::Kubernetes => error.to_string(),
        };
        Self {
            api: error.api,
            status: error.status,
            code: error.code.clone(),
            target: error.target.clone(),
            details,
            help: error.help(),
            passes: error.passes(),
            ..Self::own(key, "", message)
        }
    }
}
