//! What is known already: drift that the manifest accepts, and findings of an earlier run.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use serde_json::json;

use super::{DriftClass, finding_members};
use crate::health::{Finding, Report, Status};
use crate::model::{Json, Key, KindName, Pointer};
use crate::resource::graph::{Accepted, Desired};
use crate::source::Diagnostic;

/// Takes accepted findings out of what counts. They stay in the report with the reason; an entry
/// that expired is a finding of its own, one that matches nothing a warning.
pub fn accept(report: &mut Report, desired: &Desired, today: Date) {
    for entry in &desired.accepted {
        let until = entry.entry.until.as_deref().and_then(|text| text.parse::<Date>().ok());
        let expired = until.is_some_and(|date| date < today);
        let mut hit = 0;
        for finding in report.findings.iter_mut().filter(|it| matches(entry, it)) {
            hit += 1;
            if !expired && finding.counts() {
                quiet(finding, entry);
            }
        }
        let place = || {
            let at = Pointer::parse(&format!("/drift/ignore/{}", entry.index));
            desired.origins.get(&entry.scope)?.value(&at)
        };
        let path = &entry.entry.path;
        if expired {
            let owner = entry.entry.owner.as_deref().map(|text| format!(" ({text})"));
            let message = format!(
                "drift of {path} was accepted until {}{}: {}",
                entry.entry.until.as_deref().unwrap_or_default(),
                owner.unwrap_or_default(),
                entry.entry.reason
            );
            let own = |it: &&Key| it.kind == KindName::Cluster && it.scope == entry.scope;
            let key = desired.nodes.keys().find(own).cloned();
            let key = key.unwrap_or_else(|| Key::new(&entry.scope, KindName::Cluster, ""));
            report.findings.push(Finding {
                class: Some(entry.entry.class.unwrap_or(DriftClass::Setting).as_str()),
                // The entry's own words and not its number: entries before it come and go.
                detail: format!("{path} {:?}", entry.entry.class),
                help: Some("mend the drift, or agree on a new day in drift.ignore".to_owned()),
                place: place(),
                members: finding_members(entry),
                ..Finding::new("drift-ignore-expired", Status::Warning, key, message)
            });
        } else if hit == 0 {
            let message = format!("{}: drift.ignore of {path} matches no drift", entry.scope);
            report.diagnostics.push(
                Diagnostic::warning("drift-ignore-unused", message)
                    .with_help("remove the entry: the drift is gone, or the path is another")
                    .at(place(), "matches nothing"),
            );
        }
    }
}

fn matches(entry: &Accepted, finding: &Finding) -> bool {
    let class = finding.class.and_then(DriftClass::named);
    let own = finding.code != "drift-ignore-expired";
    own && class.is_some_and(|class| entry.covers(class, &finding.address, &finding.path))
}

fn quiet(finding: &mut Finding, entry: &Accepted) {
    let ignored = &entry.entry;
    let until = ignored.until.as_deref().map(|text| format!(" until {text}")).unwrap_or_default();
    let owner = ignored.owner.as_deref().map(|text| format!(" by {text}")).unwrap_or_default();
    finding.message = format!("{} (accepted{owner}{until}: {})", finding.problem(), ignored.reason);
    finding.sides = None;
    finding.status = Status::Skipped;
    finding.members.extend(finding_members(entry));
}

/// Compares with the JSON report of an earlier run: `since` is `new` or `still` in each finding,
/// `gone` lists what is no more. What lies in a cluster that was not read now is not gone, and what
/// this run is not about (`own`) neither.
///
/// # Errors
/// When the document is no report of `drift`.
pub fn since(
    report: &mut Report,
    earlier: &Json,
    own: &dyn Fn(&Key) -> bool,
) -> Result<(), String> {
    let list = earlier["findings"].as_array();
    let list = list.filter(|_| earlier["command"] == "drift");
    let list = list.ok_or("it is no JSON report of `amlplan drift`")?;
    let text = |value: &Json, key: &str| value[key].as_str().is_some_and(|it| !it.is_empty());
    if !list.iter().all(|value| text(value, "fingerprint") && text(value, "address")) {
        return Err("it has findings without an id or an address".to_owned());
    }
    upgrades(report, earlier);
    let looked_at: BTreeSet<String> =
        report.findings.iter().map(|finding| finding.address.scope.clone()).collect();
    let scope = |value: &Json| {
        let address = value["address"].as_str().unwrap_or_default();
        address.split('/').next().unwrap_or_default().to_owned()
    };
    let elsewhere = list.iter().filter(|value| !looked_at.contains(&scope(value))).count();
    let print = |value: &Json| value["fingerprint"].as_str().unwrap_or_default().to_owned();
    let before: BTreeMap<String, &Json> = list.iter().map(|value| (print(value), value)).collect();
    let mut now = BTreeSet::new();
    let (mut new, mut still) = (0u64, 0u64);
    for finding in report.findings.iter_mut().filter(|it| it.class.is_some()) {
        let print = finding.fingerprint();
        let known = before.contains_key(&print);
        now.insert(print);
        if finding.counts() {
            *(if known { &mut still } else { &mut new }) += 1;
            finding.members.insert("since", json!(if known { "still" } else { "new" }));
        }
    }
    let half_seen = report.half_seen();
    let gone: Vec<Json> = before
        .iter()
        .filter(|(print, value)| {
            let key = value["address"].as_str().and_then(|text| text.parse().ok());
            !now.contains(*print)
                && looked_at.contains(&scope(value))
                && !half_seen.contains(scope(value).as_str())
                && key.is_none_or(|address| own(&address))
        })
        .map(|(print, value)| {
            json!({"fingerprint": print, "address": value["address"], "class": value["class"],
                "path": value["path"], "message": value["message"]})
        })
        .collect();
    let told = since_last_time(new, still, gone.len() as u64);
    let elsewhere = match elsewhere {
        0 => String::new(),
        number => format!(" {number} of the baseline in clusters that are not looked at now."),
    };
    report.verdict = format!("{} {told}{elsewhere}", report.verdict);
    let sums = json!({"new": new, "still": still, "gone": gone.len()});
    report.members.extend([("gone", gone.into()), ("since", sums)]);
    Ok(())
}

/// How many findings an earlier run had or had not.
pub(in crate::render) fn since_last_time(new: u64, still: u64, gone: u64) -> String {
    format!("Since last time: {new} new, {still} still there, {gone} gone.")
}

/// Azure upgrades what is not pinned: good to know, once.
fn upgrades(report: &mut Report, earlier: &Json) {
    let Some(versions) = report.members.get("versions").and_then(Json::as_object) else { return };
    let path = Pointer::parse("/properties/currentVersion");
    let mut found = Vec::new();
    for (address, version) in versions {
        let (Some(before), Ok(key)) = (earlier["versions"][address].as_str(), address.parse())
        else {
            continue;
        };
        let said = |finding: &Finding| finding.address == key && finding.class == Some("version");
        if version.as_str() == Some(before) || report.findings.iter().any(said) {
            continue;
        }
        let message = format!("the extension was upgraded from {before} to {version}");
        found.push(Finding {
            class: Some(DriftClass::Version.as_str()),
            path: path.clone(),
            members: BTreeMap::from([("expected", json!(before)), ("live", version.clone())]),
            ..Finding::new(DriftClass::Version.code(), Status::Info, key, message)
        });
    }
    report.findings.extend(found);
}
