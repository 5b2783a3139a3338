//! Values of command lines: placeholders, booleans, secrets.

use std::ops::Range;

use crate::catalog::{self, SettingKind};

use super::super::script::Word;
use super::Findings;
use crate::language::suggest;
use crate::language::{ProtectedSetting, Setting};

pub(super) use super::super::script::answer::NO_SUBSCRIPTION;

/// Bytes; Kubernetes allows a label 317 with its prefix.
const LONGEST_KEY: usize = 400;

/// What placeholders of articles are about, by a part of their name: variable and default.
const PLACEHOLDERS: [(&str, &str, &str); 7] = [
    ("sub", "SUBSCRIPTION_ID", "00000000-0000-0000-0000-000000000000"),
    ("resource-group", "RESOURCE_GROUP", "resource-group"),
    ("workspace", "WORKSPACE_NAME", "workspace-name"),
    ("cluster", "CLUSTER_NAME", "cluster-name"),
    ("identity", "IDENTITY_NAME", "identity-name"),
    ("cert", "SSL_CERT_PEM_FILE", "./ssl-cert.pem"),
    ("key", "SSL_KEY_PEM_FILE", "./ssl-key.pem"),
];

/// A word with its `<placeholders>` as variables; each new one is reported.
pub(super) fn fill(word: &Word, findings: &mut Findings) -> String {
    let mut out = String::new();
    let mut rest = word.text.as_str();
    while let Some(at) = rest.find('<') {
        let (head, tail) = rest.split_at(at);
        let Some((name, after)) = tail.get(1..).and_then(|text| text.split_once('>')) else {
            break;
        };
        out.push_str(head);
        if name.starts_with('(') {
            // `<(command)`, not a placeholder.
            out.push('<');
            rest = tail.get(1..).unwrap_or_default();
            continue;
        }
        let slug: Vec<&str> = name
            .split(|letter: char| !letter.is_ascii_alphanumeric())
            .filter(|part| !part.is_empty())
            .collect();
        let slug = slug.join("-").to_lowercase();
        let known = PLACEHOLDERS.iter().find(|(part, ..)| slug.contains(part));
        let (variable, default) = match known {
            Some((_, variable, default)) => ((*variable).to_owned(), (*default).to_owned()),
            None => (slug.to_uppercase().replace('-', "_"), slug.clone()),
        };
        let message = format!("`<{name}>` stands for something only you know");
        let help = format!("set {variable}, or write it into the manifest");
        findings.stand_in(&variable, word.span.clone(), message, &help);
        out.extend(["${", &variable, ":-", &default, "}"]);
        rest = after;
    }
    out + rest
}

/// `key=value` of a setting, with the key mended.
pub(super) fn setting(
    word: &Word,
    secret: bool,
    findings: &mut Findings,
) -> Option<(String, String)> {
    let text = fill(word, findings);
    let Some((key, value)) = text.split_once('=') else {
        let shown = if secret { "a protected setting" } else { text.as_str() };
        let message = format!("`{shown}` is not KEY=VALUE and is left out");
        if secret {
            findings.secrets.push(text.clone());
        }
        findings.warn("az-value", word.span.clone(), message, "write KEY=VALUE");
        return None;
    };
    if catalog::setting(key).is_some() {
        return Some((key.to_owned(), value.to_owned()));
    }
    if key.len() > LONGEST_KEY || key.contains(char::is_control) {
        let message = "no key of a setting is as long as this";
        let span = word.span.start..(word.span.start + 40).min(word.span.end);
        findings.warn("az-value", span, message, "look for a missing quote");
        return None;
    }
    let keys = catalog::settings().iter().filter(|it| !it.prefix).map(|it| it.key.as_str());
    let near = || suggest::nearest(key, keys).map(str::to_owned);
    let found = catalog::suggest_setting(key).or_else(near);
    let span = word.span.start..(word.span.start + key.len()).min(word.span.end);
    let message = match &found {
        Some(found) => format!("`{key}`, taken for `{found}`"),
        None => format!("`{key}` is no setting amlplan knows; kept as it is"),
    };
    findings.slip(span, message);
    Some((found.unwrap_or_else(|| key.to_owned()), value.to_owned()))
}

/// The value of a plain setting; a misspelt boolean is mended.
pub(super) fn plain(
    key: &str,
    value: &str,
    span: &Range<usize>,
    findings: &mut Findings,
) -> Setting {
    let same = |text: &str| text.eq_ignore_ascii_case(value);
    let (taken, setting) = match catalog::setting(key).map(|setting_fact| &setting_fact.kind) {
        Some(SettingKind::Bool) if !value.contains('$') => {
            let found = suggest::boolean(value);
            (found.map(|it| it.to_string()), found.map(Setting::Bool))
        }
        None if same("true") || same("false") => (None, Some(Setting::Bool(same("true")))),
        Some(SettingKind::Enum(words)) => {
            let near = || suggest::nearest(value, words.iter().map(String::as_str));
            let found = words.iter().map(String::as_str).find(|text| same(text)).or_else(near);
            (found.map(str::to_owned), found.map(|text| Setting::Text(text.to_owned())))
        }
        Some(SettingKind::Integer) => (None, value.parse().ok().map(Setting::Number)),
        _ => (None, None),
    };
    if let Some(taken) = taken.filter(|text| !same(text)) {
        findings.slip(span.clone(), format!("`{value}`, taken for `{taken}`"));
    }
    setting.unwrap_or_else(|| Setting::Text(value.to_owned()))
}

/// The value of a protected setting: `$NAME` and `$(cat PATH)` say where it comes from. For the
/// settings that take a path, `$NAME` is a part of the path. A secret itself is never written down.
pub(super) fn protected(
    key: &str,
    value: &str,
    span: &Range<usize>,
    findings: &mut Findings,
) -> ProtectedSetting {
    let variable = |text: &str| {
        let name = text.strip_prefix("${")?.strip_suffix('}')?;
        let name = name.split(":-").next().unwrap_or_default();
        super::super::script::is_name(name).then(|| name.to_owned())
    };
    let unquoted = |text: &str| text.trim().trim_matches(['\'', '"']).to_owned();
    let path = catalog::setting(key).is_some_and(|it| it.kind == SettingKind::Path);
    if let Some(from_env) = variable(value).filter(|_| !path) {
        return ProtectedSetting::FromEnv { from_env };
    }
    if let Some(path) = value.strip_prefix("$(cat ").and_then(|text| text.strip_suffix(')')) {
        return ProtectedSetting::FromFile { from_file: unquoted(path) };
    }
    if let Some(name) = value.strip_prefix("<(printf %s ").and_then(|text| text.strip_suffix(')')) {
        let name = unquoted(name);
        let from_env = name.trim_start_matches(['$', '{']).trim_end_matches('}').to_owned();
        return ProtectedSetting::FromEnv { from_env };
    }
    if path {
        return ProtectedSetting::Text(value.to_owned());
    }
    let from_env = super::super::script::variable_name(key);
    let message =
        format!("the secret `{key}` is not written into the manifest, which reads {from_env}");
    let help = format!("set {from_env} to it where amlplan runs, or name a file or a key vault");
    findings.secrets.push(value.replace("$$", "$"));
    findings.warn("az-secret", span.clone(), message, &help);
    ProtectedSetting::FromEnv { from_env }
}
