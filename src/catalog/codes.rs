//! The one registry of codes: what amlplan, Azure, Kubernetes and helm say, what it means and what
//! to do about it. `amlplan explain`, reports and failures look up here.

use std::sync::LazyLock;

use serde::Deserialize;

use super::yes;
use crate::model::Api;

/// Which files pages come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Speaker {
    /// amlplan about manifests and commands.
    #[default]
    Own,
    /// `doctor`, `verify` and `drift` about a cluster.
    Check,
    /// Azure, Kubernetes, helm and the extension.
    Service,
    /// A kind of resource; the code is its word in addresses.
    Kind,
}

/// The page of a code.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodePage {
    /// The code: lower-case words with hyphens, or `E` and five digits; stable for ever.
    pub code: String,
    /// What is looked at, in a few words; for checks.
    #[serde(default)]
    pub title: String,
    /// Name in the public documents; for codes of the health report.
    #[serde(default)]
    pub name: String,
    /// `extension` (the health report) or `job` (the error of a job): codes repeat between them.
    #[serde(default)]
    pub place: String,
    /// `error`, `warning`, `advice` or `info`; several where it depends.
    #[serde(default = "error")]
    pub severity: Vec<String>,
    /// Whether an installation stops at it; codes above E45000 only report.
    #[serde(default = "yes")]
    pub blocking: bool,
    /// HTTP status it stands for when nothing narrower matches.
    #[serde(default)]
    pub status: Option<u16>,
    /// The API whose codes and statuses these are; messages count whoever wrote them.
    #[serde(default = "azure")]
    pub api: Api,
    /// Codes of services that it stands for.
    #[serde(default)]
    pub codes: Vec<String>,
    /// Parts of messages that it stands for: lower case, `*` for any text.
    #[serde(default, rename = "match")]
    pub matches: Vec<String>,
    /// Settings, or paths of the manifest that begin with `/`, to look at.
    #[serde(default)]
    pub about: Vec<String>,
    /// Rules of docs/reference/checks.md that a check covers.
    #[serde(default)]
    pub covers: Vec<String>,
    /// Forms of texts in a cluster, where a text without it is a finding.
    #[serde(default)]
    pub form: Vec<TextForm>,
    /// What is wrong, where a finding says that and no more; `{}` stands for what it is about.
    #[serde(default)]
    pub says: String,
    /// What it means, in one sentence.
    pub summary: String,
    /// Why, in a few sentences.
    #[serde(default)]
    pub cause: String,
    /// What to do.
    #[serde(default)]
    pub help: String,
    /// What it looks like; may be empty.
    #[serde(default)]
    pub wrong: String,
    /// What to write instead; may be empty.
    #[serde(default)]
    pub right: String,
    /// The public document behind the rule; empty for rules of the manifest language itself.
    #[serde(default)]
    pub source: String,
    /// Whose voice it is.
    #[serde(skip)]
    pub speaker: Speaker,
    /// Whether it is about what a manifest says by itself, so that every run repeats it.
    #[serde(skip)]
    pub manifest: bool,
}

/// A form that texts must have.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextForm {
    /// Where such texts stand in a cluster; `*` is every item of a list and every key of a map.
    pub at: Vec<String>,
    /// The form, a word of `language/rules/forms.rs`.
    pub is: String,
    /// What is wrong with a text that does not fit; `{}` stands for it.
    pub says: String,
    /// How to mend it.
    pub help: String,
}

#[derive(Deserialize)]
struct CodesFile {
    code: Vec<CodePage>,
}

const fn azure() -> Api {
    Api::Azure
}

fn error() -> Vec<String> {
    vec!["error".to_owned()]
}

static PAGES: LazyLock<Vec<CodePage>> = LazyLock::new(|| {
    use Speaker::{Check, Kind, Own, Service};
    let files = [
        (Own, true, include_str!("codes/language.toml")),
        (Own, true, include_str!("codes/names.toml")),
        (Own, true, include_str!("codes/settings.toml")),
        (Own, true, include_str!("codes/secrets.toml")),
        (Own, false, include_str!("codes/commands.toml")),
        (Own, false, include_str!("codes/import.toml")),
        (Check, false, include_str!("codes/checks.toml")),
        (Service, false, include_str!("codes/errors.toml")),
        (Kind, false, include_str!("codes/kinds.toml")),
    ];
    let read = |(speaker, manifest, text): (Speaker, bool, &str)| {
        let file: CodesFile = toml::from_str(text).expect("tests read every page");
        file.code.into_iter().map(move |page| CodePage { speaker, manifest, ..page })
    };
    let mut pages: Vec<CodePage> = files.into_iter().flat_map(read).collect();
    pages.sort_by(|a, b| a.code.cmp(&b.code));
    pages
});

/// All pages, by code.
#[must_use]
pub fn codes() -> &'static [CodePage] {
    &PAGES
}

/// The page of a code; case does not matter. Where services use a code twice, the first place's.
#[must_use]
pub fn explain(code: &str) -> Option<&'static CodePage> {
    let first =
        PAGES.partition_point(|page| page.code.to_ascii_lowercase() < code.to_ascii_lowercase());
    PAGES[first..]
        .first()
        .filter(|page| page.code.eq_ignore_ascii_case(code))
        .or_else(|| PAGES.iter().find(|page| page.code.eq_ignore_ascii_case(code)))
}

/// What a code means at a place (`extension` or `job`).
#[must_use]
pub fn health_code(place: &str, code: &str) -> Option<&'static CodePage> {
    PAGES.iter().find(|page| page.place == place && page.code == code)
}

/// How much of a text a pattern stands for, in bytes; `None` where it does not match. The text and
/// the pattern are lower case; `*` stands for any text.
#[must_use]
pub fn matched(pattern: &str, text: &str) -> Option<usize> {
    let mut rest = text;
    for part in pattern.split('*') {
        let at = rest.find(part)?;
        rest = &rest[at + part.len()..];
    }
    Some(pattern.len())
}

/// Whether a service says the codes of a page around a narrower reason.
#[must_use]
pub fn is_vague(page: &CodePage) -> bool {
    const VAGUE: [&str; 6] = [
        "install-failed",
        "conflict",
        "bad-request",
        "resource-not-found",
        "attach-internal-error",
        "sign-in",
    ];
    VAGUE.contains(&page.code.as_str())
}

/// The page whose pattern stands for most of a message; `message` is lower case.
fn by_message(message: &str) -> Option<&'static CodePage> {
    let longest =
        |page: &CodePage| page.matches.iter().filter_map(|pattern| matched(pattern, message)).max();
    // The first of equals: `max_by_key` would take the last.
    let found = PAGES.iter().rev().filter_map(|page| Some((longest(page)?, page)));
    found.max_by_key(|it| it.0).map(|it| it.1)
}

/// What to do about an answer. Codes that say little (`ExtensionOperationFailed`, `Conflict`,
/// `BadRequest`) yield to a message that says more; else the code decides, then the message, then
/// the HTTP status (0 for none). Codes and statuses are those of the API that answered.
#[must_use]
pub fn remedy(api: Api, status: u16, code: &str, message: &str) -> Option<&'static CodePage> {
    let message = message.to_lowercase();
    let own = || PAGES.iter().filter(|page| page.api == api);
    let is = |page: &&CodePage| page.codes.iter().any(|known| known.eq_ignore_ascii_case(code));
    let by_code = own().find(is);
    match by_code {
        Some(found) if !is_vague(found) => Some(found),
        vague => by_message(&message)
            .or(vague)
            .or_else(|| own().find(|page| page.status == Some(status) && status != 0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_code_means_different_things_in_different_places() {
        let name = |place| health_code(place, "E45004").map(|page| page.name.as_str());
        assert_eq!(name("extension"), Some("AZUREML_FE_ROLE_CONFLICT"));
        assert_eq!(name("job"), Some("TRAINING_NOT_ENABLED"));
        for page in codes().iter().filter(|code| code.place == "extension") {
            assert_eq!(page.blocking, page.code.as_str() < "E45000", "{}", page.code);
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
            (500, "SomethingElse", "", None),
            (0, "", "", None),
        ] {
            let found = remedy(Api::Azure, status, code, message).map(|page| page.code.as_str());
            assert_eq!(found, id, "{code} {message}");
        }
    }

    #[test]
    fn every_page_of_a_service_can_be_found_and_no_text_leads_to_two() {
        for page in
            codes().iter().filter(|page| page.speaker == Speaker::Service && page.place.is_empty())
        {
            let reached =
                page.status.is_some() || !page.codes.is_empty() || !page.matches.is_empty();
            assert!(reached, "{}", page.code);
            assert!(!page.help.is_empty() && !page.source.is_empty(), "{}", page.code);
        }
        for page in codes() {
            for code in &page.codes {
                assert_eq!(
                    remedy(page.api, 0, code, "").map(|found| &found.code),
                    Some(&page.code),
                    "{code}"
                );
            }
            for part in &page.matches {
                assert_eq!(*part, part.to_lowercase());
                let found = remedy(page.api, 0, "", &part.replace('*', " … "));
                assert_eq!(found.map(|found| &found.code), Some(&page.code), "{part}");
            }
        }
    }

    #[test]
    fn words_belong_to_the_api_that_answered() {
        for status in [401, 403, 429] {
            let help = |api| remedy(api, status, "", "").map(|page| page.help.as_str());
            let (azure, cluster) = (help(Api::Azure), help(Api::Kubernetes));
            assert!(azure.is_some() && cluster.is_some() && azure != cluster, "{status}");
        }
        for page in codes().iter().filter(|code| code.api == Api::Kubernetes) {
            let azures = ["az login", "role assigned", "subscription"];
            assert!(!azures.iter().any(|word| page.help.contains(word)), "{}", page.help);
        }
        assert!(remedy(Api::Kubernetes, 400, "BadRequest", "").is_none());
    }

    #[test]
    fn a_star_stands_for_any_text() {
        assert!(matched("nginx*oomkilled", "pod nginx-1 was oomkilled").is_some());
        assert!(matched("nginx*oomkilled", "oomkilled nginx").is_none());
    }
}
