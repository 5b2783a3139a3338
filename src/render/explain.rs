//! `amlplan explain`: what is known about a word or about any text that a person has in front of
//! them. One index of words and patterns: the registry of codes, settings, components, kinds, roles.

use std::collections::BTreeSet;

use crate::catalog::{
    self, ClusterFamily, CodePage, ComponentQuery, ProfileName, SettingFact, SettingKind, Speaker,
};
use crate::language::Declared;
use crate::model::Pointer;

/// Something that a text is about.
#[derive(Debug, Clone)]
pub struct Topic {
    /// How sure it is: the more of the text it stands for, the more.
    pub rank: usize,
    /// The word it is known under.
    pub name: String,
    /// One line.
    pub summary: String,
    /// Everything known about it.
    pub body: String,
    /// Settings, or paths of the manifest that begin with `/`, to look at.
    pub about: Vec<String>,
}

/// What is said of a whole text is worth more than of a part of it.
const WHOLE: usize = 10_000;
const EXACT_CODE: usize = 1_000;
const SERVICE_CODE: usize = 100;
const MENTIONED: usize = 1;
/// Topics that a text is told in full, and in a line each.
const FULL: usize = 1;
const MORE: usize = 4;

/// Everything that a word or text is about, the surest first.
#[must_use]
pub fn topics(text: &str) -> Vec<Topic> {
    let text = &plain(text);
    let lower = text.to_lowercase();
    let tokens: BTreeSet<&str> = text
        .split(|letter: char| !(letter.is_alphanumeric() || "-_./".contains(letter)))
        .map(|part| part.trim_matches(['.', '-', '/']))
        .filter(|part| !part.is_empty())
        .collect();
    let said = |word: &str| tokens.iter().any(|token| token.eq_ignore_ascii_case(word));
    let mut found = Vec::new();
    for page in catalog::codes() {
        let rank = rank(page, text, &lower, &said);
        if rank > 0 {
            found.push(code(page, rank));
        }
    }
    let settings = tokens.iter().filter_map(|token| Some((*token, catalog::setting(token)?)));
    found.extend(settings.map(|(word, fact)| Topic {
        rank: if word == text { WHOLE } else { MENTIONED + word.len() / 8 },
        name: word.to_owned(),
        summary: fact.summary.clone(),
        body: setting(word, fact),
        about: vec![word.to_owned()],
    }));
    found.extend(component(text, &tokens));
    if let Some(guid) = catalog::role(text) {
        let summary = format!("{text} (built-in role {guid})");
        let help = "Declare it under roleAssignments: {principal, role, scope}; `amlplan permissions` lists what is needed.";
        let body = section(&summary, &[help, "Source: Azure docs: built-in roles"]);
        found.push(Topic { rank: WHOLE, name: text.to_owned(), summary, body, about: vec![] });
    }
    found.sort_by(|a, b| b.rank.cmp(&a.rank).then_with(|| a.name.cmp(&b.name)));
    found
}

/// A text as it was said: without the line breaks, frames and escapes of whatever showed it.
fn plain(text: &str) -> String {
    let mut text = text.replace(['│', '┃'], " ");
    for (escaped, said) in [
        ("\\r\\n", " "),
        ("\\n", " "),
        ("\\t", " "),
        ("\\\"", "\""),
        ("\\u0027", "'"),
        ("\\'", "'"),
    ] {
        text = text.replace(escaped, said);
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn rank(page: &CodePage, text: &str, lower: &str, said: &dyn Fn(&str) -> bool) -> usize {
    if page.code.eq_ignore_ascii_case(text)
        || page.codes.iter().any(|code| code.eq_ignore_ascii_case(text))
    {
        return WHOLE;
    }
    // A code of one plain word is no code inside of a sentence.
    let telling = page.code.contains(['-', '_']) || page.name.len() > 1;
    let job = lower.contains("job");
    let elsewhere = match page.place.as_str() {
        "job" => !job && lower.contains("errorcode"),
        "extension" => job && !lower.contains("errorcode"),
        _ => false,
    };
    if telling && said(&page.code) {
        return if elsewhere { SERVICE_CODE } else { EXACT_CODE };
    }
    let code = page.codes.iter().filter(|text| humped(text) && said(text)).map(|it| it.len()).max();
    let code = code.map(|number| if catalog::is_vague(page) { 2 } else { SERVICE_CODE + number });
    let part = page.matches.iter().filter_map(|text| catalog::matched(text, lower)).max();
    code.max(part).unwrap_or(0)
}

/// Whether a code of a service is no word that a sentence may hold anyway: `Conflict` is.
fn humped(code: &str) -> bool {
    code.chars().skip(1).any(|letter| letter.is_ascii_uppercase() || letter.is_ascii_digit())
}

fn code(page: &CodePage, rank: usize) -> Topic {
    let CodePage {
        code,
        title,
        name,
        place,
        severity,
        summary,
        cause,
        help,
        wrong,
        right,
        source,
        ..
    } = page;
    let what = match (page.speaker, place.as_str()) {
        (_, "job") => format!("{name} (in the error of a job)"),
        (_, "extension") => format!("{name} (in the health report of the extension)"),
        (Speaker::Check, _) => format!("({}): {title}", severity.join(" or ")),
        (Speaker::Own, _) => format!("({})", severity.join(" or ")),
        (Speaker::Kind, _) => "(kind of resource)".to_owned(),
        (Speaker::Service, _) => String::new(),
    };
    let source = if source.is_empty() { String::new() } else { format!("Source: {source}") };
    let help = if help.is_empty() { String::new() } else { format!("What to do: {help}") };
    let about: Vec<&str> = page.about.iter().map(|text| text.trim_start_matches('/')).collect();
    let look = match about.is_empty() {
        true => String::new(),
        false => format!("Look at, in the manifest: {}", about.join(", ").replace('/', ".")),
    };
    let paragraphs = [
        summary.as_str(),
        cause.as_str(),
        &indented("Instead of", wrong),
        &indented("write", right),
        &help,
        &look,
        &source,
    ];
    Topic {
        rank,
        name: code.clone(),
        summary: summary.clone(),
        body: section(format!("{code} {what}").trim_end(), &paragraphs),
        about: page.about.clone(),
    }
}

/// The workload of the extension that is meant, by its name or by that of one of its pods.
fn component(text: &str, tokens: &BTreeSet<&str>) -> Option<Topic> {
    const RELEASE: &str = "arcml-extension";
    let mut reasons: Vec<String> = Vec::new();
    let mut which: Option<(String, &str)> = None;
    for (profile, aks, scenario) in ProfileName::ALL
        .into_iter()
        .flat_map(|it| [(it, true, 1), (it, true, 2), (it, false, 1), (it, false, 2)])
    {
        let all = catalog::components(&ComponentQuery {
            extension: RELEASE,
            profile,
            training: scenario & 1 > 0,
            inference: scenario & 2 > 0,
            aks,
            setting: &|_| None,
        });
        let of = |component: &catalog::Component| {
            let rest =
                |token: &&str| token.strip_prefix(component.name.as_str()).map(str::to_owned);
            tokens.iter().filter_map(|token| rest(&token.rsplit('/').next().unwrap_or(token))).any(
                |rest| {
                    rest.is_empty()
                        || (rest.starts_with('-') && rest.contains(|c: char| c.is_ascii_digit()))
                },
            )
        };
        if let Some(component) = all.iter().filter(|it| of(it)).max_by_key(|it| it.name.len()) {
            let same = which.get_or_insert((component.name.clone(), component.kind));
            let cluster = if aks { "AKS" } else { "Azure Arc" };
            let line = format!("  {} on {cluster}: {}", profile.as_str(), component.reason);
            if same.0 == component.name && !reasons.contains(&line) {
                reasons.push(line);
            }
        }
    }
    let (name, kind) = which?;
    let summary = format!("{kind} {name} of the extension, in namespace azureml");
    let body = section(
        &format!("{name} (component)"),
        &[
            &summary,
            &format!("It is there when:\n{}", reasons.join("\n")),
            "What to do when it is not ready: amlplan verify names the pod, the reason and the line.",
            "Source: AML docs: deploy extension, components",
        ],
    );
    let rank = if text == name { WHOLE } else { MENTIONED };
    Some(Topic { rank, name, summary, body, about: vec!["/extension".to_owned()] })
}

/// What is known about a text: the surest topic in full, with others that are as sure, and the
/// rest in a line each. With clusters the lines of the manifest that it is about.
#[must_use]
pub fn page(text: &str, clusters: &[Declared]) -> Option<String> {
    let topics = topics(text);
    let best = topics.first()?.rank;
    let full = topics.iter().filter(|topic| topic.rank == best).count().max(FULL);
    let mut out: Vec<String> = topics.iter().take(full).map(|topic| topic.body.clone()).collect();
    let lines: BTreeSet<String> =
        topics.iter().take(full).flat_map(|topic| lines(topic, clusters)).collect();
    if !lines.is_empty() {
        let lines: Vec<String> = lines.into_iter().collect();
        out.push(format!("In your manifest:\n{}\n", lines.join("\n")));
    }
    let names: BTreeSet<&str> = topics.iter().take(full).map(|topic| topic.name.as_str()).collect();
    let more: Vec<String> = topics
        .iter()
        .skip(full)
        .filter(|topic| !names.contains(topic.name.as_str()))
        .take(MORE)
        .map(|topic| format!("  {}: {}", topic.name, topic.summary))
        .collect();
    if !more.is_empty() {
        out.push(format!("See also:\n{}\n", more.join("\n")));
    }
    Some(out.join("\n"))
}

/// The lines of manifests that a topic is about, or where one would stand that is not written.
fn lines(topic: &Topic, clusters: &[Declared]) -> Vec<String> {
    let mut found = Vec::new();
    for cluster in clusters {
        let pointers = topic.about.iter().map(|about| match about.strip_prefix('/') {
            Some(_) => Pointer::parse(about),
            None => Pointer::parse("/extension/configurationSettings").join(about),
        });
        let pointers: Vec<Pointer> = pointers.collect();
        let written: Vec<&Pointer> =
            pointers.iter().filter(|path| cluster.origin.is_written(path)).collect();
        let site = |path: &Pointer| {
            let place = cluster.origin.key(path)?;
            let line = place.line_column().0;
            let text = place.source.text.lines().nth(line - 1).unwrap_or_default();
            Some((format!("{}:{line}", place.source.path.display()), text.trim().to_owned()))
        };
        if written.is_empty() {
            let own = pointers.first().and_then(|pointer| Some((pointer, site(pointer)?.0)));
            found.extend(own.map(|(path, at)| {
                format!(
                    "  {} is not written; it would stand at {at}",
                    path.to_string().trim_start_matches('/').replace('/', ".")
                )
            }));
        }
        found.extend(
            written.into_iter().filter_map(site).map(|(at, text)| format!("  {at}: {text}")),
        );
    }
    found
}

fn section(title: &str, paragraphs: &[&str]) -> String {
    let body: Vec<&str> =
        paragraphs.iter().map(|paragraph| paragraph.trim()).filter(|it| !it.is_empty()).collect();
    format!("{title}\n\n{}\n", body.join("\n\n"))
}

fn indented(label: &str, text: &str) -> String {
    if text.trim().is_empty() {
        return String::new();
    }
    let lines: Vec<String> = text.trim_end().lines().map(|line| format!("    {line}")).collect();
    format!("{label}\n{}", lines.join("\n"))
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
        .map(|cluster_family| match cluster_family {
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
    use crate::model::KindName;

    #[test]
    fn a_code_that_means_two_things_gets_both_pages() {
        let text = page("e45004", &[]).unwrap();
        assert!(text.contains("health report") && text.contains("error of a job"), "{text}");
    }

    #[test]
    fn a_setting_says_what_a_change_of_it_disrupts() {
        let text = page("inferenceRouterServiceType", &[]).unwrap();
        assert!(text.contains("disrupts endpoints"), "{text}");
        assert_eq!(page("no-such-word", &[]), None);
    }

    #[test]
    fn every_kind_and_every_code_has_a_page() {
        for kind in KindName::ALL {
            assert_eq!(topics(kind.as_str()).first().map(|it| it.rank), Some(WHOLE), "{kind}");
        }
        for page in catalog::codes() {
            assert!(
                topics(&page.code).iter().any(|topic| topic.name == page.code),
                "{}",
                page.code
            );
        }
    }
}
