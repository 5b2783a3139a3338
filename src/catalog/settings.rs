//! Configuration settings of the extension: what each is, what changing it disrupts, and why
//! amlplan adds some of its own.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::{ClusterFamily, ProfileName, both_profiles, load, yes};

/// What values a setting takes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SettingKind {
    /// `True` or `False`, in any case.
    Bool,
    /// Any text.
    Text,
    /// A path on the machine that runs amlplan.
    Path,
    /// A Kubernetes quantity.
    Quantity,
    /// A whole number.
    Integer,
    /// One of these words, in any case.
    Enum(Vec<String>),
}

/// What a change of a setting does to what runs on the cluster, from harmless to impossible.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Impact {
    /// Nothing that runs is disturbed.
    #[default]
    Safe,
    /// Running jobs end.
    DisruptsJobs,
    /// Endpoints stop answering for a while or for good.
    DisruptsEndpoints,
    /// Both.
    DisruptsJobsAndEndpoints,
    /// Only a new installation can do it.
    NotInPlace,
}

impl Impact {
    /// What it means, for people.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Safe => "disturbs nothing that runs",
            Self::DisruptsJobs => "disrupts running jobs",
            Self::DisruptsEndpoints => "disrupts endpoints",
            Self::DisruptsJobsAndEndpoints => "disrupts running jobs and endpoints",
            Self::NotInPlace => "cannot be done in place: only a new installation can",
        }
    }
}

/// Whether a scenario needs a setting.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Need {
    /// Must be there.
    Required,
    /// May be there.
    #[default]
    Optional,
    /// Has no effect.
    None,
}

/// Whether each of the three scenarios needs a setting.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scenarios {
    /// Training only.
    pub training: Need,
    /// Inference only.
    pub inference: Need,
    /// Training and inference.
    pub both: Need,
}

/// What to write in the other profile instead of a setting that only one profile has.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replacement {
    /// The key there, when one takes the place.
    pub key: Option<String>,
    /// The value there is the opposite.
    #[serde(default)]
    pub invert: bool,
    /// The same in words, starting with `write` or `leave it out`.
    pub advice: String,
}

/// What is known of one setting, or of all settings that start alike (`prefix`).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettingFact {
    /// The key; a prefix fact ends in `*`, and `[i]` in it stands for any index.
    pub key: String,
    /// What values it takes.
    pub kind: SettingKind,
    /// The profiles that have it.
    #[serde(default = "both_profiles")]
    pub profiles: Vec<ProfileName>,
    /// Default value by profile, as it travels.
    #[serde(default)]
    pub default: BTreeMap<ProfileName, String>,
    /// Which scenarios need it.
    #[serde(default)]
    pub scenarios: Scenarios,
    /// Goes under `configurationProtectedSettings`.
    #[serde(default)]
    pub protected: bool,
    /// The clusters it makes sense on.
    #[serde(default = "all_clusters")]
    pub clusters: Vec<ClusterFamily>,
    /// What a change disrupts; [`impact_of`] knows the direction.
    #[serde(default)]
    pub impact: Impact,
    /// What a change to this (lower-case) value disrupts.
    #[serde(default)]
    pub impact_to: BTreeMap<String, Impact>,
    /// What taking the key away disrupts.
    pub impact_removed: Option<Impact>,
    /// Keys it cannot stand beside.
    #[serde(default)]
    pub conflicts: Vec<String>,
    /// Half a sentence.
    pub summary: String,
    /// More sentences.
    #[serde(default)]
    pub detail: String,
    /// What the other profile has instead.
    pub replaced_by: Option<Replacement>,
    /// Wrong spellings found in articles, portals and manifests.
    #[serde(default)]
    pub misspellings: Vec<String>,
    /// Stands on the page of the settings.
    #[serde(default = "yes")]
    pub documented: bool,
    /// amlplan adds it where it is left out.
    #[serde(default)]
    pub derived: bool,
    /// Stands for all keys that start like it.
    #[serde(default)]
    pub prefix: bool,
    /// The public document it comes from.
    pub source: String,
}

impl SettingFact {
    /// Whether a profile has this setting.
    #[must_use]
    pub fn in_profile(&self, profile: ProfileName) -> bool {
        self.profiles.contains(&profile)
    }

    /// The default in a profile, as it travels.
    #[must_use]
    pub fn default_in(&self, profile: ProfileName) -> Option<&str> {
        self.default.get(&profile).map(String::as_str)
    }

    fn covers(&self, key: &str) -> bool {
        if self.prefix { starts_like(&self.key, key) } else { self.key == key }
    }
}

/// Where a derived setting goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DerivedMap {
    /// `configurationSettings`.
    #[default]
    Plain,
    /// `configurationProtectedSettings`.
    Protected,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DerivedFact {
    key: String,
    #[serde(default)]
    map: DerivedMap,
    #[serde(default = "both_profiles")]
    profiles: Vec<ProfileName>,
    reason: String,
}

#[derive(Deserialize)]
struct SettingsFile {
    setting: Vec<SettingFact>,
}

#[derive(Deserialize)]
struct DerivedFile {
    derived: Vec<DerivedFact>,
}

static SETTINGS: LazyLock<Vec<SettingFact>> =
    LazyLock::new(|| load::<SettingsFile>(include_str!("settings.toml")).setting);
static DERIVED: LazyLock<Vec<DerivedFact>> =
    LazyLock::new(|| load::<DerivedFile>(include_str!("derived.toml")).derived);

fn all_clusters() -> Vec<ClusterFamily> {
    vec![ClusterFamily::Aks, ClusterFamily::Arc, ClusterFamily::Openshift]
}

/// `pattern` ends in `*` and may hold one `[i]`, which stands for any index.
fn starts_like(pattern: &str, key: &str) -> bool {
    let pattern = pattern.strip_suffix('*').unwrap_or(pattern);
    let Some((head, tail)) = pattern.split_once("[i]") else {
        return key.len() > pattern.len() && key.starts_with(pattern);
    };
    let Some((index, rest)) = key
        .strip_prefix(head)
        .and_then(|text| text.strip_prefix('['))
        .and_then(|text| text.split_once(']'))
    else {
        return false;
    };
    let numbered = !index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit());
    numbered && rest.len() > tail.len() && rest.starts_with(tail)
}

/// All settings, documented ones first.
#[must_use]
pub fn settings() -> &'static [SettingFact] {
    &SETTINGS
}

/// The fact about a key; keys like `nodeSelector.sku` find the fact of their prefix. Case matters,
/// as it does to the chart.
#[must_use]
pub fn setting(key: &str) -> Option<&'static SettingFact> {
    let exact = SETTINGS.iter().find(|it| !it.prefix && it.key == key);
    exact.or_else(|| SETTINGS.iter().find(|setting_fact| setting_fact.covers(key)))
}

/// The setting that was probably meant by an unknown key: a known misspelling, or the same letters
/// in another case. For prefix facts the rest of the key is kept.
#[must_use]
pub fn suggest_setting(key: &str) -> Option<String> {
    let exact = SETTINGS.iter().find(|setting_fact| {
        !setting_fact.prefix
            && (setting_fact.misspellings.iter().any(|m| m == key)
                || setting_fact.key.eq_ignore_ascii_case(key))
    });
    if let Some(fact) = exact {
        return Some(fact.key.clone());
    }
    for fact in SETTINGS.iter().filter(|setting_fact| setting_fact.prefix) {
        for wrong in fact.misspellings.iter().chain([&fact.key]) {
            let lower = (wrong.to_lowercase(), key.to_lowercase());
            let head = wrong.split(['[', '*']).next().unwrap_or_default().len();
            let right = fact.key.split(['[', '*']).next().unwrap_or_default();
            if starts_like(&lower.0, &lower.1) {
                return key.get(head..).map(|rest| format!("{right}{rest}"));
            }
        }
    }
    None
}

/// What changing a setting from one value to another disrupts; `None` is "not there". Values
/// compare without case. A key nobody knows may do anything, so it counts as disruptive.
///
/// Source: Azure CLI k8s-extension, the prompts of `az k8s-extension update`.
#[must_use]
pub fn impact_of(profile: ProfileName, key: &str, from: Option<&str>, to: Option<&str>) -> Impact {
    let Some(fact) = setting(key) else { return Impact::DisruptsJobsAndEndpoints };
    let blank = |text: &&str| !text.is_empty();
    let (from, to) = (from.filter(blank), to.filter(blank));
    if to.is_none()
        && from.is_some()
        && let Some(impact) = fact.impact_removed
    {
        return impact;
    }
    if same_setting(profile, key, from, to) {
        return Impact::Safe;
    }
    let to = to.or_else(|| fact.default_in(profile)).unwrap_or_default().to_ascii_lowercase();
    fact.impact_to.get(&to).copied().unwrap_or(fact.impact)
}

/// Whether two values of a setting mean the same. Left out, blank and the chart's default are one;
/// booleans, words of a list, Azure ids and what is derived compare without case.
#[must_use]
pub fn same_setting(
    profile: ProfileName,
    key: &str,
    one: Option<&str>,
    other: Option<&str>,
) -> bool {
    let fact = setting(key);
    let default = fact.and_then(|setting_fact| setting_fact.default_in(profile));
    let effective =
        |text: Option<&'_ str>| text.filter(|text| !text.is_empty()).or(default).map(str::to_owned);
    let (Some(one), Some(other)) = (effective(one), effective(other)) else {
        return effective(one).is_none() && effective(other).is_none();
    };
    let boolean = |text: &str| ["true", "false"].iter().any(|word| text.eq_ignore_ascii_case(word));
    let id = |text: &str| text.to_ascii_lowercase().starts_with("/subscriptions/");
    let words = fact.is_some_and(|it| it.derived || matches!(it.kind, SettingKind::Enum(_)));
    one == other
        || ((words || (boolean(&one) && boolean(&other)) || (id(&one) && id(&other)))
            && one.eq_ignore_ascii_case(&other))
}

const NODE_SELECTOR: &str = "nodeSelector.";

/// The node label that a setting `nodeSelector.LABEL` names. Dots of the label may be written
/// plainly or, as the chart takes them, after a backslash.
#[must_use]
pub fn node_label(key: &str) -> Option<String> {
    key.strip_prefix(NODE_SELECTOR).map(|text| text.replace("\\.", "."))
}

/// The key as it travels: a dot makes a nested value of the chart unless a backslash stands before
/// it (Helm docs: using Helm, `--set`; Azure/AKS issue 2645 shows an unescaped label failing).
#[must_use]
pub fn wire_key(key: &str) -> String {
    let label = node_label(key).map(|text| format!("{NODE_SELECTOR}{}", text.replace('.', "\\.")));
    label.unwrap_or_else(|| key.to_owned())
}

/// Why amlplan adds a setting that nobody declared.
#[must_use]
pub fn derived_reason(key: &str) -> &'static str {
    let found = DERIVED.iter().find(|derived_fact| derived_fact.key == key);
    found.map_or("az adds it too", |derived_fact| derived_fact.reason.as_str())
}

/// Where a derived setting goes; `None` where the profile derives no such key.
#[must_use]
pub fn derived_map(profile: ProfileName, key: &str) -> Option<DerivedMap> {
    let found = DERIVED.iter().find(|it| it.key == key && it.profiles.contains(&profile));
    found.map(|derived_fact| derived_fact.map)
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
