//! The `rollout` part of a fleet: in which stages its clusters are applied, in the words of Azure
//! Kubernetes Fleet Manager (AKS docs: update orchestration across multiple clusters).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::node::{Entry, Node};
use super::shapes::{Alone, Shapes, shaped};
use super::spec::Declared;
use super::{de as tree, suggest};
use crate::source::{Diagnostic, Diagnostics, Severity};

/// In which order an apply goes through the clusters of a fleet.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Spec {
    /// The stages, in order. A cluster is in the first one that takes it.
    stages: Vec<StageSpec>,
    /// How many clusters of a stage are worked on at once; left out: all.
    #[serde(default)]
    max_concurrency: Option<Share>,
    /// How many clusters may fail, over all stages, before the rollout stops.
    #[serde(default)]
    max_failures: Option<Share>,
}

/// One stage: the clusters with these labels, or so many of those that no earlier stage took.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StageSpec {
    /// Its name, for `apply --stage NAME`.
    name: String,
    /// Only clusters whose `cluster.labels` have all of these.
    #[serde(default)]
    selector: BTreeMap<String, String>,
    /// So many, in the order of the manifest: a number, or a percentage of the whole fleet.
    #[serde(default)]
    share: Option<Share>,
    /// How many of its clusters are worked on at once; left out: what the rollout says.
    #[serde(default)]
    max_concurrency: Option<Share>,
    /// How long to wait after a change, before the stage is verified (`90s`, `10m`, `2h`).
    #[serde(default)]
    wait: Option<Wait>,
}

/// A number of clusters, or a percentage such as `25%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(untagged)]
enum Share {
    /// So many.
    Number(u32),
    /// So many of a hundred.
    Percent(#[schemars(with = "String")] u32),
}

impl Share {
    /// How many of so many; a part of a cluster is a whole one.
    fn of(self, all: usize) -> usize {
        match self {
            Self::Number(number) => number as usize,
            Self::Percent(number) => (all * number as usize).div_ceil(100),
        }
    }
}

/// A duration as people write it.
#[derive(Debug, Clone, Copy, JsonSchema)]
struct Wait(#[schemars(with = "String")] Duration);

/// Reads a duration such as `90s`, `30m` or `2h`.
///
/// # Errors
/// How it is to be written.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a duration; write it like `90s`, `30m` or `2h`");
    let span: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
    Duration::try_from(span).map_err(|_| wrong())
}

shaped!(Share, Wait);

impl Shapes for Share {
    const EXPECTED: &'static str = "a number of clusters, or a percentage such as 25%";

    fn alone(value: Alone<'_>) -> Result<Self, Option<String>> {
        let (read, wrong) = match value {
            Alone::Number(number) => (
                number.try_into().ok().map(Self::Number),
                "it is a number of clusters; write one such as 2, or a percentage such as 25%",
            ),
            Alone::Text(text) => {
                let percent = text.strip_suffix('%').and_then(|it| it.parse::<u32>().ok());
                let percent = percent.filter(|number| *number <= 100).map(Self::Percent);
                (percent, "it is no share; write a number, or a percentage from 0% to 100%")
            }
            Alone::Anything => return Ok(Self::Number(0)),
            Alone::Nothing | Alone::Flag(_) => return Err(None),
        };
        read.ok_or_else(|| Some(wrong.to_owned()))
    }
}

impl Shapes for Wait {
    const EXPECTED: &'static str = "a duration such as 90s, 10m or 2h";

    fn alone(value: Alone<'_>) -> Result<Self, Option<String>> {
        match value {
            Alone::Text(text) => duration(text).map(Wait).map_err(Some),
            Alone::Anything => Ok(Self(Duration::ZERO)),
            Alone::Nothing | Alone::Flag(_) | Alone::Number(_) => Err(None),
        }
    }
}

/// The rollout of a fleet, with its clusters by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rollout {
    /// The stages, in order; every cluster is in one of them at most.
    pub stages: Vec<Stage>,
    /// How many clusters may fail, over all stages, before it stops.
    pub max_failures: usize,
}

/// A stage of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Stage {
    /// Its name.
    pub name: String,
    /// Its clusters.
    pub clusters: BTreeSet<String>,
    /// How many of them are worked on at once; at least one.
    pub max_concurrency: usize,
    /// Seconds between its changes and its verification.
    pub wait: u64,
}

impl Rollout {
    /// The stages up to the one of this name, which is the last one where none is named.
    #[must_use]
    pub fn up_to(&self, name: Option<&str>) -> Option<&[Stage]> {
        let Some(name) = name else { return Some(&self.stages) };
        let last = self.stages.iter().position(|stage| stage.name == name)?;
        self.stages.get(..=last)
    }

    /// The nearest stage to a name that no stage has.
    #[must_use]
    pub fn nearest(&self, name: &str) -> Option<String> {
        suggest::nearest(name, self.stages.iter().map(|it| it.name.as_str())).map(str::to_owned)
    }
}

/// Reads the rollout of a fleet and puts its clusters into stages.
pub(super) fn read(
    entry: &Entry,
    clusters: &[Declared],
    reported: &tree::Reported,
    findings: &mut Diagnostics,
) -> Option<Rollout> {
    let (spec, gaps) = tree::decode::<Spec>(&entry.value, reported, findings)?;
    if !gaps.is_empty() {
        return None;
    }
    let nodes = entry.value.entry("stages").map(|it| it.value.items()).unwrap_or_default();
    let before = findings.len();
    let mut left: Vec<&Declared> = clusters.iter().collect();
    let mut stages: Vec<Stage> = Vec::new();
    for (index, stage_spec) in spec.stages.iter().enumerate() {
        let mut say = |finding: Diagnostic| {
            let place = nodes.get(index).map(|node: &Arc<Node>| node.label().place());
            findings.push(finding.at(place, "this stage"));
        };
        if stage_spec.selector.is_empty() && stage_spec.share.is_none() {
            let message =
                format!("stage `{}` does not say which clusters it takes", stage_spec.name);
            say(Diagnostic::error("rollout-stage", message)
                .with_help("give it a `selector` of labels or a `share`, such as 1, 25% or 100%"));
        }
        if stages.iter().any(|other| other.name == stage_spec.name) {
            let message = format!("two stages have the name `{}`", stage_spec.name);
            say(Diagnostic::error("rollout-stage", message).with_help("give one another name"));
        }
        let most = stage_spec.share.map_or(usize::MAX, |share| share.of(clusters.len()));
        let mut taken = BTreeSet::new();
        left.retain(|cluster| {
            let labels = &cluster.spec.cluster.labels;
            let fits =
                stage_spec.selector.iter().all(|(key, value)| labels.get(key) == Some(value));
            !(fits && taken.len() < most && taken.insert(cluster.spec.name.clone()))
        });
        if taken.is_empty() && !clusters.is_empty() {
            let message = format!("stage `{}` has no clusters", stage_spec.name);
            say(Diagnostic::warning("rollout-clusters", message)
                .with_help("earlier stages took them all, or none has the labels of its selector"));
        }
        let at_once = stage_spec.max_concurrency.or(spec.max_concurrency);
        stages.push(Stage {
            name: stage_spec.name.clone(),
            max_concurrency: at_once.map_or(usize::MAX, |share| share.of(taken.len()).max(1)),
            clusters: taken,
            wait: stage_spec.wait.map_or(0, |wait| wait.0.as_secs()),
        });
    }
    if stages.is_empty() {
        let finding = Diagnostic::error("rollout-stage", "this rollout has no stages")
            .with_help("write at least one, such as {name: all, share: 100%}");
        findings.push(finding.at(Some(entry.at.place()), "no stages"));
    }
    if let Some(first) = left.first().filter(|_| !stages.is_empty()) {
        let more = match left.len() - 1 {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let verb = if left.len() == 1 { "is" } else { "are" };
        let message = format!("{}{more} {verb} in no stage of the rollout", first.spec.name);
        let finding = Diagnostic::warning("rollout-clusters", message)
            .with_help("apply leaves them alone; end with a stage of share 100% to take them all");
        findings.push(finding.at(Some(entry.at.place()), "does not cover them"));
    }
    // What follows from a mistake is none.
    if findings[before..].iter().any(|finding| finding.severity == Severity::Error) {
        let mistakes = findings.split_off(before).into_iter();
        findings.extend(mistakes.filter(|finding| finding.severity == Severity::Error));
    }
    let max_failures = spec.max_failures.map_or(0, |share| share.of(clusters.len()));
    Some(Rollout { stages, max_failures })
}
