//! `amlplan explain`: the page of a code, of a health code, of a remedy or of a setting.

use crate::catalog::{self, ClusterFamily, ProfileName, SettingFact, SettingKind};

/// Everything known about a code or a setting; `None` when the word is neither.
#[must_use]
pub fn page(word: &str) -> Option<String> {
    let mut pages: Vec<String> = Vec::new();
    pages.extend(catalog::explain(word).map(rule));
    pages.extend(catalog::page(word).map(check_page));
    let health = catalog::health_codes().iter().filter(|it| it.code.eq_ignore_ascii_case(word));
    // One code means two things: what it means depends on where it stands.
    pages.extend(health.map(|it| {
        let place = match it.place.as_str() {
            "job" => "in the error of a job",
            _ => "in the health report of the extension",
        };
        section(&format!("{} {} ({place})", it.code, it.name), &[&it.summary, &it.advice])
    }));
    let remedies = catalog::remedies().iter().filter(|it| {
        it.id.eq_ignore_ascii_case(word) || it.codes.iter().any(|c| c.eq_ignore_ascii_case(word))
    });
    pages.extend(remedies.map(|it| section(word, &[&it.summary, &it.advice])));
    pages.extend(catalog::setting(word).map(|fact| setting(word, fact)));
    (!pages.is_empty()).then(|| pages.join("\n"))
}

fn section(title: &str, paragraphs: &[&str]) -> String {
    let body: Vec<&str> =
        paragraphs.iter().map(|it| it.trim()).filter(|it| !it.is_empty()).collect();
    format!("{title}\n\n{}\n", body.join("\n\n"))
}

fn indented(label: &str, text: &str) -> String {
    if text.trim().is_empty() {
        return String::new();
    }
    let lines: Vec<String> = text.trim_end().lines().map(|it| format!("    {it}")).collect();
    format!("{label}\n{}", lines.join("\n"))
}

fn rule(page: &catalog::CodePage) -> String {
    let source =
        if page.source.is_empty() { String::new() } else { format!("Source: {}", page.source) };
    section(
        &format!("{} ({})", page.code, page.severity.join(" or ")),
        &[
            &page.summary,
            &page.cause,
            &indented("Instead of", &page.wrong),
            &indented("write", &page.right),
            &source,
        ],
    )
}

fn check_page(page: &catalog::Page) -> String {
    let source = format!("Source: {}", page.source);
    section(&format!("{}: {}", page.code, page.title), &[&page.summary, &page.explanation, &source])
}

fn setting(word: &str, fact: &SettingFact) -> String {
    let mut lines = vec![format!("type: {}", kind(&fact.kind))];
    for profile in ProfileName::ALL {
        let name = profile.as_str();
        lines.push(match (fact.in_profile(profile), fact.default_in(profile)) {
            (false, _) => format!("profile {name}: not there"),
            (true, Some(default)) => format!("profile {name}: default {default}"),
            (true, None) => format!("profile {name}: no default"),
        });
    }
    let map =
        if fact.protected { "configurationProtectedSettings" } else { "configurationSettings" };
    lines.push(format!("goes under: extension.{map}"));
    let clusters: Vec<&str> = fact
        .clusters
        .iter()
        .map(|it| match it {
            ClusterFamily::Aks => "AKS",
            ClusterFamily::Arc => "Azure Arc",
            ClusterFamily::Openshift => "OpenShift",
        })
        .collect();
    lines.push(format!("clusters: {}", clusters.join(", ")));
    lines.push(format!("changing it {}", fact.impact.describe()));
    for (value, impact) in &fact.impact_to {
        lines.push(format!("  to `{value}` {}", impact.describe()));
    }
    if let Some(impact) = fact.impact_removed {
        lines.push(format!("taking it away {}", impact.describe()));
    }
    if !fact.conflicts.is_empty() {
        lines.push(format!("conflicts with: {}", fact.conflicts.join(", ")));
    }
    if let Some(other) = &fact.replaced_by {
        lines.push(format!("in the other profile: {}", other.advice));
    }
    if fact.derived {
        lines.push("amlplan adds it by itself where it is left out".to_owned());
    }
    let source = format!("Source: {}", fact.source);
    section(
        &format!("{word} (setting)"),
        &[&fact.summary, &fact.detail, &lines.join("\n"), &source],
    )
}

fn kind(kind: &SettingKind) -> String {
    match kind {
        SettingKind::Bool => "boolean".to_owned(),
        SettingKind::Text => "text".to_owned(),
        SettingKind::Path => "path of a file".to_owned(),
        SettingKind::Quantity => "Kubernetes quantity".to_owned(),
        SettingKind::Integer => "whole number".to_owned(),
        SettingKind::Enum(values) => format!("one of {}", values.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_that_means_two_things_gets_both_pages() {
        let text = page("e45004").unwrap();
        assert!(text.contains("health report") && text.contains("error of a job"), "{text}");
    }

    #[test]
    fn a_setting_says_what_a_change_of_it_disrupts() {
        let text = page("inferenceRouterServiceType").unwrap();
        assert!(text.contains("disrupts endpoints"), "{text}");
        assert_eq!(page("no-such-word"), None);
    }
}
