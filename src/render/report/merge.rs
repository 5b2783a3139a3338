//! One report of several that were made of parts of the same clusters.

use std::collections::BTreeMap;

use crate::health::{Finding, Report};
use crate::model::{Json, Key};
use crate::render::drift::{self, Sums};
use crate::render::json::diagnostic;
use crate::render::style::and_more;
use crate::source::Diagnostic;

/// Puts the reports of all parts together; each stands beside the name it is told by. What several
/// parts looked at is in the result once, as the worst that one of them found. A part that is
/// missing is an error in the result.
///
/// # Errors
/// When they are not parts of one run: another command or manifest, a whole report, a part twice.
pub fn merge(parts: Vec<(String, Report)>) -> Result<Report, Diagnostic> {
    let wrong =
        |message: String, help: &str| Err(Diagnostic::error("bad-report", message).with_help(help));
    let mut known: BTreeMap<(u64, u64), String> = BTreeMap::new();
    let mut whole = Report::default();
    let mut sums = Sums::default();
    let mut found: BTreeMap<SameFinding, usize> = BTreeMap::new();
    for (name, part) in parts {
        let Some(shard) = shard(&part) else {
            let message = format!("`{name}` is the report of a whole run");
            return wrong(message, "merge what runs with `--shard I/N --format json=FILE` wrote");
        };
        let first = known.iter().next().map(|it| (it.0.1, it.1.clone()));
        if let Some((of, first)) = first {
            let differs = match () {
                () if whole.command != part.command => "of another command than",
                () if whole.members.get("manifest") != part.members.get("manifest") => {
                    "about other manifests or clusters than"
                }
                () if of != shard.1 => "one of another number of parts than",
                () => "",
            };
            if !differs.is_empty() {
                let message = format!("`{name}` is {differs} `{first}`");
                return wrong(message, "merge the parts of one run");
            }
        }
        if let Some(other) = known.insert(shard, name.clone()) {
            let message = format!("`{name}` is part {}/{}, as `{other}` is", shard.0, shard.1);
            return wrong(message, "merge each part once");
        }
        add(&mut whole, &mut sums, &mut found, part);
    }
    let Some(of) = known.keys().next().map(|it| it.1) else {
        return wrong("there is no report to merge".to_owned(), "name the reports of all parts");
    };
    let absent: Vec<String> = (1..=of)
        .filter(|number| !known.contains_key(&(*number, of)))
        .take(10)
        .map(|number| format!("{number}/{of}"))
        .collect();
    if !absent.is_empty() {
        let more = and_more((of as usize - known.len()).saturating_sub(absent.len()));
        let message =
            format!("no report of part {}{more}: not all clusters are here", absent.join(", "));
        let missing = Diagnostic::error("missing-shard", message)
            .with_help("run the missing part again, and merge all of them");
        if let Some(Json::Array(told)) = whole.members.get_mut("diagnostics") {
            told.push(diagnostic(&missing));
        }
        whole.diagnostics.push(missing);
    }
    whole.members.remove("shard");
    whole.order();
    if whole.command == "drift" {
        drift::counted(&mut whole, &sums);
        since(&mut whole);
    }
    Ok(whole)
}

/// Number and sum of parts.
fn shard(part: &Report) -> Option<(u64, u64)> {
    let (number, of) = part.members.get("shard")?.as_str()?.split_once('/')?;
    let (number, of) = (number.parse().ok()?, of.parse().ok()?);
    (1 <= number && number <= of && of <= u64::from(u32::MAX)).then_some((number, of))
}

/// What makes a finding of one part the same as that of another.
type SameFinding = (Key, &'static str, String, String);

fn add(
    whole: &mut Report,
    sums: &mut Sums,
    found: &mut BTreeMap<SameFinding, usize>,
    part: Report,
) {
    whole.command = part.command;
    let mut own = Vec::new();
    for finding in part.findings {
        let same =
            (finding.address.clone(), finding.code, finding.fingerprint(), finding.title.clone());
        match found.get(&same).map(|at| &mut whole.findings[*at]) {
            Some(known) => {
                if finding.status > known.status {
                    *known = finding;
                }
            }
            None => own.push((same, finding)),
        }
    }
    for (same, finding) in own {
        found.entry(same).or_insert(whole.findings.len());
        whole.findings.push(finding);
    }
    let told = part.diagnostics.into_iter().filter(|finding| !whole.diagnostics.contains(finding));
    let told: Vec<Diagnostic> = told.collect();
    whole.diagnostics.extend(told);
    let skipped = part.skipped.into_iter().filter(|text| !whole.skipped.contains(text));
    let skipped: Vec<String> = skipped.collect();
    whole.skipped.extend(skipped);
    whole.unread.extend(part.unread);
    for (name, value) in part.members {
        match name {
            "errored" => sums.errored |= value == Json::Bool(true),
            "resources" => {
                let number = value.as_u64().and_then(|it| usize::try_from(it).ok());
                sums.looked_at = sums.looked_at.saturating_add(number.unwrap_or(0));
            }
            _ => join(whole.members.entry(name).or_default(), value),
        }
    }
}

/// Lists have what one of them has, maps too; numbers add up.
fn join(known: &mut Json, other: Json) {
    match (known, other) {
        (Json::Array(known), Json::Array(other)) => {
            for value in other {
                if !known.contains(&value) {
                    known.push(value);
                }
            }
        }
        (Json::Object(known), Json::Object(other)) => {
            for (name, value) in other {
                join(known.entry(name).or_insert(Json::Null), value);
            }
        }
        (Json::Number(known), Json::Number(other)) => {
            let sum = known.as_u64().unwrap_or(0).saturating_add(other.as_u64().unwrap_or(0));
            *known = sum.into();
        }
        (known, other) => *known = other,
    }
}

/// What a baseline said, for all parts.
fn since(whole: &mut Report) {
    let Some(sums) = whole.members.get("since").filter(|value| value.is_object()) else { return };
    let number = |name: &str| sums[name].as_u64().unwrap_or(0);
    let told = drift::since_last_time(number("new"), number("still"), number("gone"));
    whole.verdict = format!("{} {told}", whole.verdict);
}

impl Report {
    /// Puts everything in an order that does not depend on the order of manifests or parts.
    pub fn order(&mut self) {
        self.findings.sort_by(|a, b| {
            let place = |finding: &Finding| (finding.address.clone(), finding.path.clone());
            let rest = |it: &Finding| (it.code, it.title.clone(), it.detail.clone());
            place(a).cmp(&place(b)).then_with(|| rest(a).cmp(&rest(b)))
        });
        self.skipped.sort();
        self.diagnostics.sort_by(|a, b| {
            let place =
                |it: &Diagnostic| (std::cmp::Reverse(it.severity), it.code, it.message.clone());
            place(a).cmp(&place(b))
        });
        // Documents that were read stand beside what they were read as.
        let unsorted = ["diagnostics", "gone", "unread"];
        for (_, value) in self.members.iter_mut().filter(|it| unsorted.contains(it.0)) {
            if let Json::Array(items) = value {
                let severity = |value: &Json| match value["amlplan"]["severity"].as_str() {
                    Some("error") => 0,
                    Some("warning") => 1,
                    _ => 2,
                };
                let key = |value: &Json| {
                    let text = |it: &Json| it.as_str().unwrap_or_default().to_owned();
                    let code = text(&value["amlplan"]["code"]);
                    let print = text(&value["fingerprint"]);
                    (severity(value), code, text(&value["summary"]), text(&value["address"]), print)
                };
                items.sort_by_cached_key(key);
            }
        }
    }
}
