//! Texts that must have a form. Where such texts stand and what is said of one that does not fit is in
//! the catalog, with the code.

use std::ops::RangeInclusive;
use std::sync::LazyLock;

use crate::catalog::{self, CodePage, TextForm};
use crate::model::{Json, is_vault_name};
use crate::source::{Diagnostic, Diagnostics};

use super::severity;
use super::view::View;

/// Every form, with the page that tells of it and the way to such texts.
static FORMS: LazyLock<Vec<(&CodePage, &TextForm, Vec<&str>)>> = LazyLock::new(|| {
    let forms = catalog::codes().iter().flat_map(|page| page.form.iter().map(move |it| (page, it)));
    let ways = |(page, form): (&'static CodePage, &'static TextForm)| {
        form.at.iter().map(move |at| (page, form, at.split('/').skip(1).collect()))
    };
    forms.flat_map(ways).collect()
});

pub(super) fn check(view: View<'_>, found: &mut Diagnostics) {
    // Its types say which words stand where, in one way for all.
    let cluster = serde_json::to_value(&view.cluster.spec).expect("a cluster is JSON");
    for (page, form, way) in FORMS.iter() {
        texts(&cluster, way, &mut Vec::new(), &mut |at, text| {
            if !fits(&form.is, text).unwrap_or(true) {
                let message = form.says.replace("{}", text);
                let finding = Diagnostic::new(&page.code, severity(page), message);
                let place = view.cluster.origin.value(&at.iter().cloned().collect());
                found.push(finding.with_help(&form.help).at(place, "here"));
            }
        });
    }
}

/// Whether a text has a form, by the form's word in the catalog.
fn fits(form: &str, text: &str) -> Option<bool> {
    Some(match form {
        "uuid" => is_uuid(text),
        "directory" => {
            is_uuid(text) || (text.contains('.') && is_subdomain(&text.to_ascii_lowercase()))
        }
        "group" => is_group(text),
        "open-end" => !text.ends_with('-'),
        "label" => is_label(text),
        "label-value" => is_label_value(text),
        "subdomain" => is_subdomain(text),
        "release" => is_label(text) && text.len() <= 53,
        "no-path" => !text.contains('/'),
        "azure-name" => text.contains('/') || made_of(text, 1..=63, "-_."),
        "compute" => is_compute(text),
        "safe-compute" => !is_compute(text) || is_safe_compute(text),
        "workspace" => is_workspace(text),
        "workspace-open-end" => !is_workspace(text) || !text.ends_with('-'),
        "provider" => is_provider(text),
        "feature" => is_feature(text),
        "account" => is_account(text),
        "credential" => made_of(text, 3..=120, "-_") && !text.starts_with(['-', '_']),
        "issuer" => text.starts_with("https://") && text.len() <= 600,
        "vault" => is_vault_name(text),
        "vault-secret" => made_of(text, 1..=127, "-"),
        "vault-version" => made_of(text, 1..=127, ""),
        "secret-key" => made_of(text, 1..=253, "-_."),
        "day" => text.parse::<jiff::civil::Date>().is_ok(),
        "said" => !text.trim().is_empty(),
        _ => return None,
    })
}

/// Shows every text at the end of a way, and where it stands.
fn texts(value: &Json, way: &[&str], at: &mut Vec<String>, see: &mut dyn FnMut(&[String], &str)) {
    let mut step = |key: String, value: &Json| {
        at.push(key);
        texts(value, &way[1..], at, see);
        at.pop();
    };
    match (value, way) {
        (Json::String(text), []) => see(at, text),
        (Json::Array(items), ["*", ..]) => {
            items.iter().enumerate().for_each(|(index, item)| step(index.to_string(), item));
        }
        (Json::Object(members), [name, ..]) => match name.strip_suffix('*') {
            Some(start) => {
                let own = members.iter().filter(|it| it.0.starts_with(start));
                own.for_each(|(key, member)| step(key.clone(), member));
            }
            None => {
                members.get(*name).into_iter().for_each(|it| step((*name).to_owned(), it));
            }
        },
        _ => {}
    }
}

/// So many letters and digits of ASCII, and `more`.
fn made_of(text: &str, length: RangeInclusive<usize>, more: &str) -> bool {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || more.contains(letter);
    length.contains(&text.len()) && text.chars().all(allowed)
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36 && uuid::Uuid::try_parse(text).is_ok()
}

/// A DNS label: 1 to 63 lower-case letters, digits and hyphens.
fn is_label(text: &str) -> bool {
    made_of(text, 1..=63, "-")
        && !text.contains(|letter: char| letter.is_ascii_uppercase())
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// What the label of a Kubernetes object may say (Kubernetes docs: labels and selectors).
fn is_label_value(text: &str) -> bool {
    let end = |letter: char| letter.is_ascii_alphanumeric();
    let ends = text.is_empty() || text.starts_with(end) && text.ends_with(end);
    made_of(text, 0..=63, "-_.") && ends
}

/// DNS labels joined by dots.
fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

fn is_group(text: &str) -> bool {
    let allowed = |letter: char| letter.is_alphanumeric() || "-_.()".contains(letter);
    (1..=90).contains(&text.chars().count()) && text.chars().all(allowed) && !text.ends_with('.')
}

fn is_compute(text: &str) -> bool {
    made_of(text, 1..=32, "-_")
}

fn is_safe_compute(text: &str) -> bool {
    let letter_first = text.starts_with(|letter: char| letter.is_ascii_alphabetic());
    made_of(text, 2..=16, "-") && letter_first && !text.ends_with('-')
}

fn is_workspace(text: &str) -> bool {
    made_of(text, 3..=33, "-_")
}

fn is_provider(text: &str) -> bool {
    text.contains('.') && text.split('.').all(|part| made_of(part, 1..=usize::MAX, ""))
}

fn is_feature(text: &str) -> bool {
    text.split_once('/').is_some_and(|(provider, name)| {
        is_provider(provider) && !name.is_empty() && !name.contains(['/', ' '])
    })
}

fn is_account(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    matches!(parts[..], ["system", "serviceaccount", namespace, name]
        if is_label(namespace) && is_subdomain(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::rules::names::walk;

    #[test]
    fn every_form_of_the_catalog_is_known_and_stands_in_clusters() {
        let schema = schemars::schema_for!(crate::language::ClusterSpec).to_value();
        for (page, form, way) in FORMS.iter() {
            assert!(fits(&form.is, "").is_some(), "{}: {}", page.code, form.is);
            assert_eq!(walk(&schema, &schema, way), Ok(()), "{}: {way:?}", page.code);
        }
    }
}
