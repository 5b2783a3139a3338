//! A page for every code: what `amlplan explain CODE` prints.

use std::sync::LazyLock;

use serde::Deserialize;

/// The page of a code.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodePage {
    /// The code: lower-case words with hyphens, stable for ever.
    pub code: String,
    /// `error`, `warning` or `advice`; several where it depends.
    pub severity: Vec<String>,
    /// One line.
    pub summary: String,
    /// Why it is a mistake, in a few sentences.
    pub cause: String,
    /// What it looks like; may be empty.
    #[serde(default)]
    pub wrong: String,
    /// What to write instead; may be empty.
    #[serde(default)]
    pub right: String,
    /// The public document behind the rule; empty for rules of the manifest language itself.
    #[serde(default)]
    pub source: String,
}

#[derive(Deserialize)]
struct File {
    code: Vec<CodePage>,
}

static PAGES: LazyLock<Vec<CodePage>> = LazyLock::new(|| {
    let files = [
        include_str!("codes/language.toml"),
        include_str!("codes/names.toml"),
        include_str!("codes/settings.toml"),
        include_str!("codes/secrets.toml"),
        include_str!("codes/commands.toml"),
        include_str!("codes/import.toml"),
    ];
    let read = |text: &str| toml::from_str::<File>(text).expect("tests read every page").code;
    let mut pages: Vec<CodePage> = files.into_iter().flat_map(read).collect();
    pages.sort_by(|a, b| a.code.cmp(&b.code));
    pages
});

/// All pages, by code.
#[must_use]
pub fn codes() -> &'static [CodePage] {
    &PAGES
}

/// The page of a code; case does not matter.
#[must_use]
pub fn explain(code: &str) -> Option<&'static CodePage> {
    let code = code.to_ascii_lowercase();
    PAGES.binary_search_by(|it| it.code.as_str().cmp(&code)).ok().map(|at| &PAGES[at])
}
