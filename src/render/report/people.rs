//! A report for people: what is wrong first and in full, what is fine as one line a group, the sum
//! last.

use std::collections::{BTreeMap, BTreeSet};

use super::{FindingSite, verdict};
use crate::health::{Finding, Report, Status};
use crate::render::diagnostics;
use crate::render::fleet::{self, Fleet};
use crate::render::style::{Ink, Style, count, text};

/// The worst first.
pub(super) const ORDER: [Status; 6] =
    [Status::Fail, Status::Unknown, Status::Warning, Status::Info, Status::Skipped, Status::Pass];

/// Symbol, word and colour of a status.
pub(super) const fn said(status: Status) -> (&'static str, &'static str, Ink) {
    match status {
        Status::Pass => ("✓", "ok", Ink::Good),
        Status::Skipped => ("-", "skipped", Ink::Faint),
        Status::Info => ("i", "to know", Ink::Told),
        Status::Warning => ("!", "warning", Ink::Careful),
        Status::Unknown => ("?", "unknown", Ink::Careful),
        Status::Fail => ("✗", "failed", Ink::Bad),
    }
}

pub(super) fn human(report: &Report, style: &Style, all: bool) -> String {
    let mut lines = Vec::new();
    let fleet = &Fleet::of_report(report, style);
    let bad = report.bad();
    if let (Some(fleet), false) = (fleet, bad.is_empty()) {
        lines.extend(fleet::columns(&overview(report, &bad, fleet), style));
        lines.push(String::new());
    }
    let (blind, bad): (Vec<_>, Vec<_>) =
        bad.into_iter().partition(|finding| !all && finding.unseen.is_some());
    let seen = told(&bad, fleet.as_ref(), style);
    for text in seen.into_iter().chain(reasons(&blind, fleet.as_ref(), style)) {
        lines.extend(text);
        lines.push(String::new());
    }
    for status in [Status::Skipped, Status::Pass] {
        let own: Vec<&Finding> = report.findings.iter().filter(|it| it.status == status).collect();
        // A verdict of the command's own counts what is fine.
        if !all && status == Status::Pass && !report.verdict.is_empty() {
            continue;
        }
        if all || status == Status::Skipped {
            lines.extend(told(&own, fleet.as_ref(), style).into_iter().flatten());
        } else {
            lines.extend(groups(&own, style));
        }
    }
    let once = |notes| fleet.as_ref().map_or_else(|| report.skipped.clone(), |it| it.notes(notes));
    for note in once(&report.skipped) {
        lines.extend(style.hang("  ", &format!("skipped: {note}")));
    }
    if lines.last().is_some_and(|line| !line.is_empty()) {
        lines.push(String::new());
    }
    let mut out = text(&lines);
    let said = fleet.as_ref().map(|it| it.diagnostics(&report.diagnostics));
    let said = said.as_ref().unwrap_or(&report.diagnostics);
    out.push_str(&diagnostics::beside(said, all, style));
    out.push_str(&text(&[style.ink(Ink::Strong, &verdict(report))]));
    out
}

/// How many findings of which sort each cluster has.
pub(super) fn overview(report: &Report, bad: &[&Finding], fleet: &Fleet<'_>) -> Vec<[String; 3]> {
    let mut sums: BTreeMap<&str, BTreeMap<Status, usize>> = BTreeMap::new();
    for finding in bad {
        *sums.entry(&finding.address.scope).or_default().entry(finding.status).or_default() += 1;
    }
    let half_seen = report.half_seen();
    fleet.table(|scope| {
        let sum = |status: &Status| Some((*status, *sums.get(scope)?.get(status)?));
        let found = ORDER.iter().filter_map(sum);
        let mut said: Vec<String> =
            found.map(|(status, number)| format!("{number} {}", self::said(status).1)).collect();
        if half_seen.contains(scope) {
            said.push("not all could be read".to_owned());
        }
        if said.is_empty() { "nothing found".to_owned() } else { said.join(", ") }
    })
}

/// Findings, each as lines; what is the same in several clusters once.
fn told(findings: &[&Finding], fleet: Option<&Fleet<'_>>, style: &Style) -> Vec<Vec<String>> {
    let Some(fleet) = fleet else {
        return findings.iter().map(|finding| whole(finding, true, style)).collect();
    };
    let one = |group: fleet::Group<'_, &Finding>| {
        if !group.several() {
            return whole(group.first, true, style);
        }
        let mut lines = whole(&group.own.finding(group.first), false, style);
        let which = format!("in {}", fleet.which(&group.clusters));
        lines.splice(1..1, style.wrap("    ", &which));
        lines
    };
    fleet.findings(findings).into_iter().map(one).collect()
}

/// What could not be looked at, each reason once: it may stand for every rule there is.
fn reasons(blind: &[&Finding], fleet: Option<&Fleet<'_>>, style: &Style) -> Vec<Vec<String>> {
    let (mut by_reason, mut known): (Vec<Vec<&Finding>>, BTreeMap<&str, usize>) =
        Default::default();
    for finding in blind {
        let at = *known.entry(&finding.message).or_insert(by_reason.len());
        if at == by_reason.len() {
            by_reason.push(Vec::new());
        }
        by_reason[at].push(finding);
    }
    let lines = |findings: &Vec<&Finding>, message: &str, which: Option<String>| {
        let checks = count(findings.len(), "check");
        let head = format!("{} {checks}: ", style.ink(said(Status::Unknown).2, "?"));
        let mut lines = style.hang("  ", &format!("{head}{}", titles(findings)));
        if let Some(first) = lines.first_mut() {
            first.drain(..2);
        }
        lines.extend(which.iter().flat_map(|text| style.wrap("    ", &format!("in {text}"))));
        lines.extend(style.wrap("    ", &tame(message)));
        let help = findings[0].help.iter();
        lines.extend(help.flat_map(|text| style.hang("    help: ", &tame(text))));
        lines
    };
    let Some(fleet) = fleet else {
        let one = |findings: &Vec<&Finding>| match findings[..] {
            [only] => whole(only, true, style),
            _ => lines(findings, &findings[0].message, None),
        };
        return by_reason.iter().map(one).collect();
    };
    let items = by_reason.into_iter().map(|it| (it[0].address.scope.as_str(), it));
    let same = |findings: &Vec<&Finding>, own: &fleet::Own| {
        format!("{} {}", own.worded(&findings[0].message), titles(findings))
    };
    let one = |group: fleet::Group<'_, Vec<&Finding>>| {
        let scopes = group.first.iter().map(|finding| finding.address.scope.as_str());
        let scopes: BTreeSet<&str> = scopes.chain(group.clusters.iter().copied()).collect();
        let scopes: Vec<&str> = scopes.into_iter().collect();
        match (group.several(), &group.first[..]) {
            (false, [only]) => whole(only, true, style),
            _ => {
                let message = group.own.worded(&group.first[0].message);
                lines(&group.first, &message, Some(fleet.which(&scopes)))
            }
        }
    };
    fleet.fold(items, same).into_iter().map(one).collect()
}

/// What was looked at, each once with how often.
fn titles(findings: &[&Finding]) -> String {
    let mut titles: BTreeMap<&str, usize> = BTreeMap::new();
    for finding in findings {
        let title = if finding.title.is_empty() { finding.code } else { &finding.title };
        *titles.entry(title).or_default() += 1;
    }
    let name = |(title, number): (&str, usize)| match number {
        1 => title.to_owned(),
        more => format!("{title} ({more})"),
    };
    titles.into_iter().map(name).collect::<Vec<_>>().join(", ")
}

/// Code, and for drift since when and, where there is one, under which id.
fn tag(finding: &Finding, alone: bool) -> String {
    let since = finding.members.get("since").and_then(|value| value.as_str());
    let since = since.map(|text| format!(", {text}")).unwrap_or_default();
    let id = finding.class.filter(|_| alone).map(|_| format!(" {}", finding.fingerprint()));
    let id = id.unwrap_or_default();
    format!(" [{}{since}{id}]", finding.code)
}

/// One finding: what, how it should be, on what that rests, where, and what mends it; `alone`: not
/// one of several that are told of together.
fn whole(finding: &Finding, alone: bool, style: &Style) -> Vec<String> {
    let Finding { status, address, title, message, help, evidence, sides, .. } = finding;
    let (symbol, _, ink) = said(*status);
    let quiet = !finding.counts();
    let about = if title.is_empty() { String::new() } else { format!(": {title}") };
    let tag = if quiet { String::new() } else { style.ink(Ink::Faint, &tag(finding, alone)) };
    let mut lines = vec![format!("{} {address}{about}{tag}", style.ink(ink, symbol))];
    let below = "    ";
    if !message.is_empty() {
        lines.extend(style.wrap(below, &tame(message)));
    }
    if let Some((declared, live)) = sides {
        lines.extend(style.hang("    declared: ", &tame(declared)));
        lines.extend(style.hang("    live:     ", &tame(live)));
    }
    lines.extend(evidence.iter().flat_map(|text| style.hang("      · ", &tame(text))));
    if let (Some(site), false) = (FindingSite::of_finding(finding), quiet) {
        lines.push(format!("{below}at {}", site.line()));
    }
    if let (Some(help), false) = (help, quiet) {
        lines.extend(style.hang("    help: ", &tame(help)));
    }
    lines
}

/// Text of a server on one line, in which a build system finds no command.
fn tame(text: &str) -> String {
    let text = text.replace(['\n', '\r'], " ").replace("##", "# #");
    text.replace("::", ": :")
}

/// What is fine: a line for each kind of resource, with how many checks and which.
fn groups(fine: &[&Finding], style: &Style) -> Vec<String> {
    let mut groups: BTreeMap<String, Vec<&Finding>> = BTreeMap::new();
    for finding in fine {
        groups.entry(finding.address.kind.to_string()).or_default().push(finding);
    }
    let line = |(kind, fine): (&String, &Vec<&Finding>)| {
        let checks = count(fine.len(), "check");
        let head = format!("{} {kind}: {checks} ok: ", said(Status::Pass).0);
        let mut lines = style.hang("  ", &format!("{head}{}", titles(fine)));
        if let Some(first) = lines.first_mut() {
            first.drain(..2);
        }
        lines
    };
    groups.iter().flat_map(line).collect()
}
