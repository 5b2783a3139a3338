//! Error codes and messages, and what to do about them.

use std::sync::LazyLock;

use crate::model::Api;
use serde::Deserialize;

use super::{load, yes};

/// A code of the extension's health check or of a job. Codes repeat between places.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthCode {
    /// `extension` (the health report) or `job` (the error text of a job).
    #[serde(default = "extension")]
    pub place: String,
    /// `E` and five digits.
    pub code: String,
    /// Its name in the public documents.
    pub name: String,
    /// What it means.
    pub summary: String,
    /// What to do.
    pub advice: String,
    /// Whether an installation stops at it; codes above E45000 only report.
    #[serde(default = "yes")]
    pub blocking: bool,
}

/// What to do about an answer of Azure or Kubernetes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remedy {
    /// Stable name, which `amlplan explain` knows.
    pub id: String,
    /// What happened.
    pub summary: String,
    /// What to do.
    pub advice: String,
    /// HTTP status it stands for when nothing narrower matches.
    pub status: Option<u16>,
    /// Error codes it stands for.
    #[serde(default)]
    pub codes: Vec<String>,
    /// Parts of messages it stands for, in lower case.
    #[serde(default, rename = "match")]
    pub matches: Vec<String>,
    /// Whether trying again later may help by itself.
    #[serde(default)]
    pub retry: bool,
    /// The API whose codes and statuses these are; messages count whoever wrote them.
    #[serde(default = "azure")]
    pub api: Api,
}

const fn azure() -> Api {
    Api::Azure
}

#[derive(Deserialize)]
struct File {
    health: Vec<HealthCode>,
    remedy: Vec<Remedy>,
}

static FILE: LazyLock<File> = LazyLock::new(|| load(include_str!("errors.toml")));

fn extension() -> String {
    "extension".to_owned()
}

/// All codes of health reports and jobs.
#[must_use]
pub fn health_codes() -> &'static [HealthCode] {
    &FILE.health
}

/// What a code means at a place (`extension` or `job`).
#[must_use]
pub fn health_code(place: &str, code: &str) -> Option<&'static HealthCode> {
    FILE.health.iter().find(|it| it.place == place && it.code == code)
}

/// All remedies.
#[must_use]
pub fn remedies() -> &'static [Remedy] {
    &FILE.remedy
}

/// What to do about an answer. Codes that say little (`ExtensionOperationFailed`, `Conflict`,
/// `BadRequest`) yield to a message that says more; else the code decides, then the message, then
/// the HTTP status (0 for none). Codes and statuses are those of the API that answered.
#[must_use]
pub fn remedy(api: Api, status: u16, code: &str, message: &str) -> Option<&'static Remedy> {
    const VAGUE: [&str; 4] = ["install-failed", "conflict", "bad-request", "resource-not-found"];
    let message = message.to_lowercase();
    let all = &FILE.remedy;
    let own = || all.iter().filter(|it| it.api == api);
    let by_code = own().find(|it| it.codes.iter().any(|known| known.eq_ignore_ascii_case(code)));
    let by_message =
        || all.iter().find(|it| it.matches.iter().any(|part| message.contains(part.as_str())));
    match by_code {
        Some(found) if !VAGUE.contains(&found.id.as_str()) => Some(found),
        vague => by_message()
            .or(vague)
            .or_else(|| own().find(|it| it.status == Some(status) && status != 0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_same_code_means_different_things_in_different_places() {
        let name = |place| health_code(place, "E45004").map(|it| it.name.as_str());
        assert_eq!(name("extension"), Some("AZUREML_FE_ROLE_CONFLICT"));
        assert_eq!(name("job"), Some("TRAINING_NOT_ENABLED"));
        let keys: BTreeSet<_> = health_codes().iter().map(|it| (&it.place, &it.code)).collect();
        assert_eq!(keys.len(), health_codes().len());
        for it in health_codes().iter().filter(|it| it.place == "extension") {
            assert_eq!(it.blocking, it.code.as_str() < "E45000", "{}", it.code);
        }
    }

    #[test]
    fn the_narrowest_remedy_wins() {
        for (status, code, message, id) in [
            (409, "MissingSubscriptionRegistration", "…", Some("provider-not-registered")),
            (
                400,
                "ExtensionOperationFailed",
                "failed pre-install: pod healthcheck failed",
                Some("healthcheck-failed"),
            ),
            (400, "ExtensionOperationFailed", "something else", Some("install-failed")),
            (
                200,
                "",
                "pods \"x\" is forbidden: Unable to validate against any security context constraint",
                Some("scc-missing"),
            ),
            (403, "", "", Some("not-authorized")),
            (403, "AuthorizationFailed", "The client 'x'", Some("not-authorized")),
            (
                404,
                "NotFound",
                "The feature 'x' does not support registration.",
                Some("feature-retired"),
            ),
            (429, "TooManyRequests", "", Some("throttled")),
            (500, "InternalServerError", "", None),
            (0, "", "", None),
        ] {
            assert_eq!(
                remedy(Api::Azure, status, code, message).map(|it| it.id.as_str()),
                id,
                "{code} {message}"
            );
        }
    }

    #[test]
    fn every_remedy_can_be_found() {
        for it in remedies() {
            assert!(
                it.status.is_some() || !it.codes.is_empty() || !it.matches.is_empty(),
                "{}",
                it.id
            );
            for code in &it.codes {
                assert_eq!(
                    remedy(it.api, 0, code, "").map(|found| &found.id),
                    Some(&it.id),
                    "{code}"
                );
            }
            for part in &it.matches {
                assert_eq!(*part, part.to_lowercase());
                assert_eq!(
                    remedy(it.api, 0, "", part).map(|found| &found.id),
                    Some(&it.id),
                    "{part}"
                );
            }
        }
    }

    #[test]
    fn words_belong_to_the_api_that_answered() {
        for status in [401, 403, 429] {
            let advice = |api| remedy(api, status, "", "").map(|it| it.advice.as_str());
            let (azure, cluster) = (advice(Api::Azure), advice(Api::Kubernetes));
            assert!(azure.is_some() && cluster.is_some() && azure != cluster, "{status}");
        }
        for it in remedies().iter().filter(|it| it.api == Api::Kubernetes) {
            let azures = ["az login", "role assigned", "subscription"];
            assert!(!azures.iter().any(|word| it.advice.contains(word)), "{}", it.advice);
        }
        assert!(remedy(Api::Kubernetes, 400, "BadRequest", "").is_none());
    }
}
