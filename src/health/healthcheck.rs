//! The health report that the extension leaves in the cluster (AML docs: troubleshoot extension;
//! Azure/azure-sdk-for-python issues 33480 and 28697 show whole reports).

use crate::catalog::{self, ProfileName};
use crate::model::Json;
use crate::resource::Verb;

/// What a checker of the extension found wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckerFinding {
    /// The helm hook it ran in: `pre-install`, `pre-upgrade`, `pre-rollback`, `pre-delete`, `test`.
    pub hook: String,
    /// Name of the checker.
    pub checker: String,
    /// `E` and five digits.
    pub code: String,
    /// What it says.
    pub message: String,
    /// Public name of the code; the code itself where it is not documented.
    pub name: String,
    /// What the code means.
    pub cause: String,
    /// What to do.
    pub remedy: String,
    /// The setting of profile ga behind it; [`setting`] knows the one of either profile.
    pub setting: Option<&'static str>,
    /// Whether an installation stops at it.
    pub blocking: bool,
}

/// The report of one hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookReport {
    /// The helm hook.
    pub hook: String,
    /// When it was written: Go's text of a time, comparable up to the seconds; empty if unknown.
    pub date: String,
    /// What was found wrong.
    pub findings: Vec<CheckerFinding>,
}

/// The keys of ConfigMap `azureml/arcml-healthcheck` that tell about a failed operation.
///
/// A failed install is followed by its removal, a failed update by a roll-back, each with its hook.
#[must_use]
pub const fn keys_for(operation: Verb) -> &'static [&'static str] {
    match operation {
        Verb::Create => &["reports-pre-install", "reports-pre-delete"],
        Verb::Update => &["reports-pre-upgrade", "reports-pre-rollback"],
        Verb::Delete => &["reports-pre-delete"],
    }
}

/// The setting that causes a code of the extension's health check, in the words of a profile.
#[must_use]
pub fn setting(code: &str, profile: ProfileName) -> Option<&'static str> {
    let about = &catalog::health_code("extension", code)?.about;
    let of = |text: &&String| catalog::setting(text).is_some_and(|fact| fact.in_profile(profile));
    about.iter().find(of).map(String::as_str)
}

/// Every finding of every hook, in the order of the keys.
#[must_use]
pub fn decode(configmap: &Json) -> Vec<CheckerFinding> {
    reports(configmap).into_iter().flat_map(|hook_report| hook_report.findings).collect()
}

/// The reports by hook. Reads today's shape and that of late 2021 (`reports-HOOK-success`).
#[must_use]
pub fn reports(configmap: &Json) -> Vec<HookReport> {
    let data = configmap.pointer("/data").and_then(Json::as_object);
    let report = |(key, text): (&String, &Json)| {
        let hook = key.strip_prefix("reports-")?;
        let hook = hook.trim_end_matches("-success").trim_end_matches("-failed");
        Some(parse(hook, text.as_str()?))
    };
    data.into_iter().flatten().filter_map(report).collect()
}

fn parse(hook: &str, text: &str) -> HookReport {
    let mut report =
        HookReport { hook: hook.to_owned(), date: String::new(), findings: Vec::new() };
    for line in text.lines().map(str::trim) {
        if let Some(date) = line.strip_prefix("Date:") {
            date.trim().clone_into(&mut report.date);
        }
        report.findings.extend(failed(hook, line));
    }
    report
}

/// A line `Status: Failed Name: CHECKER ErrorCode: CODE ErrorMessage: TEXT`.
fn failed(hook: &str, line: &str) -> Option<CheckerFinding> {
    let rest = line.strip_prefix("Status: Failed Name:")?.trim_start();
    let (checker, rest) = rest.split_once("ErrorCode:").unwrap_or((rest, ""));
    let (code, message) = rest.split_once("ErrorMessage:").unwrap_or((rest, ""));
    let (checker, code) = (checker.trim(), code.trim());
    let known = catalog::health_code("extension", code);
    let or = |found: Option<&String>, other: &str| found.map_or(other, |text| text).to_owned();
    Some(CheckerFinding {
        hook: hook.to_owned(),
        checker: checker.to_owned(),
        code: code.to_owned(),
        message: message.trim().to_owned(),
        name: or(known.map(|page| &page.name), code),
        cause: or(known.map(|page| &page.summary), "the code is not documented"),
        remedy: or(known.map(|page| &page.help), "read the log of pod azureml/healthcheck"),
        setting: setting(code, ProfileName::Ga),
        blocking: known.map_or_else(|| code < "E45000", |page| page.blocking),
    })
}

/// The reports that tell about the present state: the newest one, and after a failure also its
/// partner of the same operation.
#[must_use]
pub fn current(configmap: &Json, failed: bool) -> Vec<HookReport> {
    let all = reports(configmap);
    let Some(newest) = all.iter().max_by(|a, b| a.date.get(..19).cmp(&b.date.get(..19))) else {
        return Vec::new();
    };
    let of = |verb: Verb| keys_for(verb).iter().any(|text| text.ends_with(&newest.hook));
    let keys =
        [Verb::Create, Verb::Update].into_iter().find(|verb| of(*verb)).map_or(&[][..], keys_for);
    let partner = |it: &HookReport| failed && keys.iter().any(|key| key.ends_with(&it.hook));
    let hook = newest.hook.clone();
    all.into_iter().filter(|hook_report| hook_report.hook == hook || partner(hook_report)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const FAILED: &str = "\nReport:\nDuration: 1.2s\nDate: 2026-01-02 03:04:05.1 +0000 UTC m=+0.1\n\
        K8sDistribution: \n\nStatus: Passed Name: service\n\
        Status: Failed Name: clusterresource ErrorCode: E40002 ErrorMessage: 1 of 3 nodes: too few\n\
        Status: Failed Name: instancetype ErrorCode: E45006 ErrorMessage: Failed to validate\n\
        Status: Failed Name: odd ErrorCode: E41234 ErrorMessage: new\n";

    #[test]
    fn a_report_gives_each_failure_with_cause_remedy_and_setting() {
        let found = decode(&json!({"data": {"reports-pre-install": FAILED, "other": "x"}}));
        let codes: Vec<_> = found.iter().map(|it| (it.code.as_str(), it.blocking)).collect();
        assert_eq!(codes, [("E40002", true), ("E45006", false), ("E41234", true)]);
        let first = &found[0];
        assert_eq!(
            (first.hook.as_str(), first.checker.as_str()),
            ("pre-install", "clusterresource")
        );
        assert_eq!(first.message, "1 of 3 nodes: too few");
        assert_eq!(
            (first.name.as_str(), first.setting),
            ("INSUFFICIENT_NODE", Some("inferenceRouterHA"))
        );
        assert_eq!(setting("E40002", ProfileName::Preview), Some("inferenceLoadBalancerHA"));
        assert_eq!(found[2].cause, "the code is not documented");
    }

    #[test]
    fn the_newest_report_counts_and_after_a_failure_its_partner_too() {
        let newer = FAILED.replace("2026-01-02", "2026-02-02");
        let map = json!({"data": {"reports-pre-install": FAILED, "reports-pre-upgrade": "Date: 2025-01-01 00:00:00",
            "reports-pre-delete": newer}});
        let hooks = |failed| -> Vec<String> {
            current(&map, failed).into_iter().map(|hook_report| hook_report.hook).collect()
        };
        assert_eq!(hooks(false), ["pre-delete"]);
        assert_eq!(hooks(true), ["pre-delete", "pre-install"]);
        assert!(current(&json!({}), true).is_empty());
        assert_eq!(decode(&json!({"data": {"reports-test-success": FAILED}}))[0].hook, "test");
    }

    #[test]
    fn each_operation_has_its_hooks() {
        assert_eq!(keys_for(Verb::Create)[0], "reports-pre-install");
        assert_eq!(keys_for(Verb::Delete), ["reports-pre-delete"]);
    }
}
