//! What the checks of `doctor` and `verify` are called and why they exist: `checks.toml`, typed.

use std::sync::LazyLock;

use serde::Deserialize;

/// How much a finding weighs when the check itself does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// It stops an apply.
    Error,
    /// It is said, and stops nothing.
    Warning,
}

impl Weight {
    /// The word of the page.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// What `amlplan explain CODE` says about a check.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    /// The stable code.
    pub code: String,
    /// What is checked, in a few words.
    pub title: String,
    /// What a finding weighs.
    pub severity: Weight,
    /// What a finding means, in one sentence.
    pub summary: String,
    /// Why it matters and what to do.
    pub explanation: String,
    /// The public document it comes from.
    pub source: String,
}

#[derive(Deserialize)]
struct File {
    check: Vec<Page>,
}

static PAGES: LazyLock<Vec<Page>> = LazyLock::new(|| {
    let file: File =
        toml::from_str(include_str!("checks.toml")).expect("a test reads the embedded checks");
    file.check
});

/// Every check of `doctor` and `verify`, in the order of the file.
#[must_use]
pub fn pages() -> &'static [Page] {
    &PAGES
}

/// The page of a code.
#[must_use]
pub fn page(code: &str) -> Option<&'static Page> {
    PAGES.iter().find(|it| it.code == code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_page_is_whole_and_codes_are_kebab_case_and_unique() {
        let codes: BTreeSet<&str> = pages().iter().map(|it| it.code.as_str()).collect();
        assert_eq!(codes.len(), pages().len());
        for it in pages() {
            let kebab = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(it.code.chars().all(kebab), "{}", it.code);
            for text in [&it.title, &it.summary, &it.explanation, &it.source] {
                assert!(text.len() > 3 && !text.ends_with('.'), "{}: {text}", it.code);
            }
        }
    }

    /// Codes stand in the code as texts; each of them has a page, and each page is used.
    #[test]
    fn pages_and_the_codes_of_the_checks_are_the_same_set() {
        let sources = [
            include_str!("../health/access.rs"),
            include_str!("../health/capacity.rs"),
            include_str!("../health/conflicts.rs"),
            include_str!("../health/doctor.rs"),
            include_str!("../health/doctor.toml"),
            include_str!("../health/grants.rs"),
            include_str!("../health/rights.rs"),
            include_str!("../health/verify.rs"),
            include_str!("../health/verify/cluster.rs"),
        ];
        for it in pages() {
            let quoted = format!("\"{}\"", it.code);
            assert!(sources.iter().any(|text| text.contains(&quoted)), "{} is unused", it.code);
        }
    }
}
