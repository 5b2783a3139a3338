//! Many clusters told of at once: what is the same in several of them but for their own names is
//! said once, with the clusters it is about.

use std::collections::{BTreeMap, BTreeSet};

use super::drift::LAST_CHANGED;
use super::style::{Style, and_more, count};
use crate::health::{Finding, Report};
use crate::model::{Key, KindName, Pointer};
use crate::plan::Plan;
use crate::resource::{Named, about};
use crate::source::Diagnostic;

/// Stands for the name of a cluster.
const CLUSTER: &str = "{cluster}";
/// Stands for the mark of a cluster's manifest, which ends in a digest of its id.
const MARK: &str = "{mark}";
/// The clusters of a plan or a report, with the names that each has to itself.
pub(super) struct Fleet<'a> {
    clusters: Vec<&'a str>,
    /// Where each stands among them.
    places: BTreeMap<&'a str, usize>,
    own: BTreeMap<&'a str, Own>,
}

/// Names that one cluster has to itself, each with the word that stands for it; the longest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Own(Vec<(String, String)>);

/// What is the same in several clusters.
pub(super) struct Group<'a, T> {
    /// The clusters, in their order.
    pub(super) clusters: Vec<&'a str>,
    /// The first of what is the same.
    pub(super) first: T,
    /// How many are the same; one cluster may have several.
    pub(super) number: usize,
    /// Names in it that differ between the clusters.
    pub(super) own: Own,
}

impl<T> Group<'_, T> {
    /// Whether it stands for more than one.
    pub(super) const fn several(&self) -> bool {
        self.clusters.len() > 1
    }
}

impl<'a> Fleet<'a> {
    /// The clusters of a plan; `None` where there is at most one, or each is asked for by itself.
    pub(super) fn of_plan(plan: &'a Plan, style: &Style) -> Option<Self> {
        let unread = plan.unread.iter().flat_map(|it| &it.keys);
        Self::of(plan.steps.iter().map(|step| &step.key).chain(unread), style)
    }

    /// The same for a report.
    pub(super) fn of_report(report: &'a Report, style: &Style) -> Option<Self> {
        Self::of(report.findings.iter().map(|it| &it.address).chain(&report.unread), style)
    }

    fn of(keys: impl Iterator<Item = &'a Key>, style: &Style) -> Option<Self> {
        if style.detail {
            return None;
        }
        let mut names: BTreeMap<&str, BTreeSet<(KindName, &str)>> = BTreeMap::new();
        for key in keys.filter(|address| about(address.kind).named != Named::Shared) {
            let own = names.entry(&key.scope).or_default();
            if about(key.kind).named == Named::ByCluster {
                own.insert((key.kind, key.name.rsplit('/').next().unwrap_or_default()));
            }
        }
        let mut clusters: Vec<&str> = names.keys().copied().collect();
        clusters.sort_by_cached_key(|cluster| (natural(cluster), *cluster));
        let own = names.into_iter().map(|(scope, names)| (scope, Own::of(scope, names))).collect();
        let places = clusters.iter().enumerate().map(|(at, text)| (*text, at)).collect();
        (clusters.len() > 1).then_some(Self { clusters, places, own })
    }

    /// Puts together what reads the same, in the order of the first of each.
    pub(super) fn fold<T>(
        &self,
        items: impl IntoIterator<Item = (&'a str, T)>,
        say: impl Fn(&T, &Own) -> String,
    ) -> Vec<Group<'a, T>> {
        let none = Own::default();
        let mut groups: Vec<Group<'a, T>> = Vec::new();
        let mut known: BTreeMap<String, usize> = BTreeMap::new();
        for (scope, item) in items {
            let own = self.own.get(scope).unwrap_or(&none);
            match known.entry(say(&item, own)) {
                std::collections::btree_map::Entry::Occupied(at) => {
                    let group = &mut groups[*at.get()];
                    group.number += 1;
                    if group.clusters.last() != Some(&scope) {
                        group.clusters.push(scope);
                    }
                }
                std::collections::btree_map::Entry::Vacant(at) => {
                    at.insert(groups.len());
                    groups.push(Group {
                        clusters: vec![scope],
                        first: item,
                        number: 1,
                        own: own.clone(),
                    });
                }
            }
        }
        for group in &mut groups {
            let members: BTreeSet<&str> = group.clusters.drain(..).collect();
            let text = |scope: &str, word: &str| {
                let own = self.own.get(scope)?;
                own.0.iter().find(|it| it.1 == word).map(|it| it.0.as_str())
            };
            group.own.0.retain(|(own, word)| {
                members.iter().any(|member| text(member, word) != Some(own.as_str()))
            });
            group.clusters.extend(members);
            group.clusters.sort_by_cached_key(|cluster| (natural(cluster), *cluster));
        }
        groups
    }

    /// `edge-1 … edge-412 and 588 more`: what lies side by side among all clusters by its ends.
    pub(super) fn names(&self, some: &[&str]) -> String {
        const MOST: usize = 4;
        let mut runs: Vec<Vec<&str>> = Vec::new();
        let mut next = None;
        for name in some {
            let at = self.places.get(name).copied();
            match runs.last_mut().filter(|_| at.is_some() && at == next) {
                Some(run) => run.push(name),
                None => runs.push(vec![name]),
            }
            next = at.map(|number| number + 1);
        }
        let (mut said, mut shown) = (Vec::new(), 0);
        for run in runs {
            let left = MOST.saturating_sub(said.len());
            match &run[..] {
                _ if left == 0 => break,
                [first, _, .., last] => said.push(format!("{first} … {last}")),
                few => said.extend(few.iter().take(left).map(|text| (*text).to_owned())),
            }
            shown += if run.len() > 2 { run.len() } else { run.len().min(left) };
        }
        let more = and_more(some.len().saturating_sub(shown));
        format!("{}{more}", said.join(", "))
    }

    /// Findings that say the same.
    pub(super) fn findings(&self, findings: &[&'a Finding]) -> Vec<Group<'a, &'a Finding>> {
        let items = findings.iter().map(|it| (it.address.scope.as_str(), *it));
        self.fold(items, |finding, own| {
            let Finding { code, status, address, path, title, message, help, evidence, sides, .. } =
                own.finding(finding);
            let since = finding.members.get("since");
            format!(
                "{code}\n{status:?}\n{address}\n{path}\n{title}\n{message}\n{help:?}\n{evidence:?}\n{sides:?}\n{since:?}"
            )
        })
    }

    /// How many clusters, and which.
    pub(super) fn which(&self, some: &[&str]) -> String {
        format!("{}: {}", count(some.len(), "cluster"), self.names(some))
    }

    /// What is said of each cluster: as many clusters, what is said, which; most clusters first.
    pub(super) fn table(&self, say: impl Fn(&str) -> String) -> Vec<[String; 3]> {
        let mut rows: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for scope in &self.clusters {
            rows.entry(say(scope)).or_default().push(scope);
        }
        let mut rows: Vec<(String, Vec<&str>)> = rows.into_iter().collect();
        rows.sort_by_key(|(_, text)| (std::cmp::Reverse(text.len()), natural(text[0])));
        let row = |(said, text): (String, Vec<&str>)| {
            [count(text.len(), "cluster"), said, self.names(&text)]
        };
        rows.into_iter().map(row).collect()
    }

    /// Notes that begin with the name of a cluster: the same ones once.
    pub(super) fn notes(&self, notes: &'a [String]) -> Vec<String> {
        let items = notes.iter().map(|note| (self.scope_of(note), note));
        let groups = self.fold(items, |text, own| own.worded(text));
        let said = |group: Group<'_, &String>| match group.several() {
            true => format!("{} ({})", group.own.worded(group.first), self.which(&group.clusters)),
            false => group.first.clone(),
        };
        groups.into_iter().map(said).collect()
    }

    /// Findings about no place in a manifest that begin with the name of a cluster: the same ones
    /// once.
    pub(super) fn diagnostics(&self, findings: &'a [Diagnostic]) -> Vec<Diagnostic> {
        let items = findings.iter().map(|finding| (self.scope_of(&finding.message), finding));
        let same = |finding: &&Diagnostic, own: &Own| {
            let help = finding.help.as_deref().map(|text| own.worded(text));
            let at = finding.labels.first().map(|it| (&it.place.source.path, &it.place.span));
            format!(
                "{} {:?} {} {help:?} {at:?}",
                finding.code,
                finding.severity,
                own.worded(&finding.message)
            )
        };
        let said = |group: Group<'_, &Diagnostic>| {
            let mut finding = group.first.clone();
            if group.several() {
                let which = self.which(&group.clusters);
                finding.message = format!("{} ({which})", group.own.worded(&finding.message));
                finding.help = finding.help.map(|help| group.own.worded(&help));
            }
            finding
        };
        self.fold(items, same).into_iter().map(said).collect()
    }

    /// The cluster that a text begins with, or nothing.
    fn scope_of(&self, text: &str) -> &'a str {
        let first = text.split([':', '/', ' ']).next().unwrap_or_default();
        self.own.get_key_value(first).map_or("", |it| *it.0)
    }
}

impl Own {
    fn of(scope: &str, names: BTreeSet<(KindName, &str)>) -> Self {
        let mut own = vec![(scope.to_owned(), CLUSTER.to_owned())];
        let mut numbers: BTreeMap<KindName, usize> = BTreeMap::new();
        for (kind, name) in names {
            let number = numbers.entry(kind).or_default();
            *number += 1;
            if !name.is_empty() && own.iter().all(|it| it.0 != name) {
                let word = match number {
                    1 => format!("{{{kind}}}"),
                    more => format!("{{{kind} {more}}}"),
                };
                own.push((name.to_owned(), word));
            }
        }
        own.sort_by_key(|it| std::cmp::Reverse(it.0.len()));
        Self(own)
    }

    /// The text with words in place of the names.
    pub(super) fn worded(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        let mut before = None;
        while let Some((at, (name, word))) = self.next(rest, before) {
            out.push_str(&rest[..at]);
            let after = &rest[at + name.len()..];
            let mark = (word == CLUSTER).then(|| mark_end(after)).flatten();
            out.push_str(if mark.is_some() { MARK } else { word });
            rest = &after[mark.unwrap_or(0)..];
            before = name.chars().last();
        }
        out.push_str(rest);
        out
    }

    /// The first name in a text, the longest of those that begin there; `before` is what stands
    /// before the text.
    fn next(&self, text: &str, before: Option<char>) -> Option<(usize, &(String, String))> {
        let found = self.0.iter().filter_map(|own| {
            let mut matches = text.match_indices(own.0.as_str());
            let whole = |at: usize| {
                let left = text[..at].chars().next_back().or(before);
                let right = text[at + own.0.len()..].chars().next();
                [left, right].iter().flatten().all(|letter| !letter.is_alphanumeric())
            };
            matches.find(|it| whole(it.0)).map(|it| (it.0, own))
        });
        found.min_by_key(|it| it.0)
    }

    /// The finding with words in place of the names, and without who changed it when.
    pub(super) fn finding(&self, finding: &Finding) -> Finding {
        let worded = |text: &String| self.worded(text);
        let Key { scope, kind, name } = &finding.address;
        Finding {
            address: Key::new(self.worded(scope), *kind, self.worded(name)),
            path: finding.path.tokens().iter().map(worded).collect::<Pointer>(),
            title: self.worded(&finding.title),
            message: self.worded(&finding.message),
            help: finding.help.as_ref().map(worded),
            evidence: finding
                .evidence
                .iter()
                .filter(|evidence| !evidence.starts_with(LAST_CHANGED))
                .map(worded)
                .collect(),
            sides: finding.sides.as_ref().map(|it| (worded(&it.0), worded(&it.1))),
            ..finding.clone()
        }
    }
}

/// Where the rest of a mark ends that a cluster's name begins: a dot and eight hexadecimal digits.
fn mark_end(after: &str) -> Option<usize> {
    let digest = after.strip_prefix('.')?;
    let end = digest.find(|letter: char| !letter.is_ascii_hexdigit()).unwrap_or(digest.len());
    let goes_on = digest[end..].starts_with(|it: char| it.is_alphanumeric() || it == '.');
    (end == 8 && !goes_on).then_some(1 + end)
}

/// Rows as lines, in columns.
pub(super) fn columns(rows: &[[String; 3]], style: &Style) -> Vec<String> {
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let (first, second) = (width(0), width(1));
    let line = |[number, said, names]: &[String; 3]| {
        style.hang(&format!("{number:>first$}  {said:second$}  "), names)
    };
    rows.iter().flat_map(line).collect()
}

/// A name as it is sorted: numbers by their value.
fn natural(name: &str) -> Vec<(&str, u64)> {
    let digit = |letter: char| letter.is_ascii_digit();
    let mut parts = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let (text, after) = rest.split_at(rest.find(digit).unwrap_or(rest.len()));
        let end = after.find(|letter| !digit(letter)).unwrap_or(after.len());
        parts.push((text, after[..end].parse().unwrap_or(u64::MAX)));
        rest = &after[end..];
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::plan::Action;
    use crate::render::samples::step;

    proptest! {
        /// Words stand for names and for nothing else: with the names back in their places the text
        /// is what it was, so that two clusters that are told of together differ in names only.
        #[test]
        fn words_are_names_and_nothing_else(
            names in proptest::collection::btree_set("[ab][ab0-]{0,3}", 1..6),
            parts in proptest::collection::vec("[ab0-]{0,5}", 0..8),
        ) {
            let own = names.iter().map(|name| (KindName::Compute, name.as_str())).collect();
            let own = Own::of("edge-a", own);
            let text = parts.join("/") + ": edge-a";
            let worded = own.worded(&text);
            prop_assert!(worded.ends_with(": {cluster}"), "{}", worded);
            let back = own.0.iter().fold(worded, |text, (name, word)| text.replace(word, name));
            prop_assert_eq!(back, text);
        }
    }

    #[test]
    fn names_are_whole_and_marks_are_known() {
        let own = Own::of("edge-1", BTreeSet::from([(KindName::Compute, "gpu")]));
        let text =
            "edge-1, edge-10, my-edge-1.example.com, edge-1.0123abcd, edge-1.0123abcde gpu gpus";
        let worded = "{cluster}, edge-10, my-{cluster}.example.com, {mark}, {cluster}.0123abcde {compute} gpus";
        assert_eq!(own.worded(text), worded);
    }

    #[test]
    fn neighbours_are_named_by_their_ends() {
        let steps = (1..=1000).map(|it| step(&format!("edge-{it}/extension/x"), Action::NoOp));
        let plan = Plan { steps: steps.collect(), ..Plan::default() };
        let fleet = Fleet::of_plan(&plan, &Style::default()).expect("many clusters");
        let name = |number: usize| fleet.clusters[number - 1];
        let some: Vec<&str> =
            (1..=412).chain((413..=1000).filter(|number| number % 2 == 0)).map(name).collect();
        assert_eq!(
            fleet.names(&some),
            "edge-1 … edge-412, edge-414, edge-416, edge-418 and 291 more"
        );
        assert_eq!(fleet.names(&some[..2]), "edge-1, edge-2");
        assert_eq!(fleet.names(&[name(7), name(999), name(1000)]), "edge-7, edge-999, edge-1000");
    }
}
