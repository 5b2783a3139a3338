//! Settings one by one: does the key exist, in this profile, in this map, and is the value of its
//! kind. What settings mean together is in [`super::router`].

use crate::catalog::{self, ProfileName, SettingFact, SettingKind};
use crate::language::{PEM_SETTINGS, Setting, suggest};
use crate::model::SecretSource;
use crate::source::{Diagnostic, Diagnostics};

use super::told;
use super::view::{Settings, View};

/// There are not a hundred settings; whoever writes a thousand has another problem.
const MOST: usize = 1000;

/// Whether the settings are few enough to look at each.
pub(super) fn reasonable(view: View<'_>, found: &mut Diagnostics) -> bool {
    let Some(settings) = view.settings() else { return true };
    let extension = settings.extension;
    let count =
        extension.configuration_settings.len() + extension.configuration_protected_settings.len();
    if count > MOST {
        found.push(
            Diagnostic::error("too-many-settings", format!("this extension has {count} settings"))
                .with_help(format!("write {MOST} at most"))
                .at(view.key("/extension/configurationSettings"), "in here"),
        );
    }
    count <= MOST
}

pub(super) fn check(view: View<'_>, found: &mut Diagnostics) {
    let Some(settings) = view.settings() else { return };
    for (key, value) in &settings.extension.configuration_settings {
        match catalog::setting(key) {
            None => found.push(unknown(settings, key, false)),
            Some(fact) if fact.protected => found.push(unprotected(settings, key)),
            Some(fact) => {
                found.extend(wrong_profile(settings, key, fact));
                found.extend(wrong_value(settings, key, fact, value));
                found.extend(overwritten(settings, key));
            }
        }
    }
    for key in settings.extension.configuration_settings.keys() {
        let other = catalog::wire_key(key);
        if other != *key && settings.get(&other).is_some() {
            let message = format!("`{key}` and `{other}` name the same label");
            found.push(
                Diagnostic::error("setting-in-both-maps", message)
                    .with_help("keep one of the two spellings")
                    .at(settings.key_place(key), "here")
                    .at(settings.key_place(&other), "and here"),
            );
        }
    }
    for key in settings.extension.configuration_protected_settings.keys() {
        if settings.get(key).is_some() {
            found.push(twice(settings, key));
            continue;
        }
        let fact = catalog::setting(key);
        if fact.is_none_or(|setting_fact| setting_fact.protected) {
            found.extend(clear_text(settings, key));
        }
        match fact {
            None => found.push(unknown(settings, key, true)),
            Some(fact) if !fact.protected => found.push(needlessly_protected(settings, key)),
            Some(fact) => found.extend(wrong_profile(settings, key, fact)),
        }
    }
    costs(settings, found);
}

/// A key that nobody knows: the extension takes it without a word, whether its chart reads it or not. A secret is
/// passed on, since charts take more of them than any page lists, unless it looks like a known one misspelled.
fn unknown(settings: Settings<'_>, key: &str, secret: bool) -> Diagnostic {
    const WAY_OUT: &str =
        "to send it as written all the same, write `allowUnknownSettings: true` under `extension`";
    let place = settings.key_place(key);
    let meant = settings.meant(key);
    if settings.extension.allow_unknown_settings || (secret && meant.is_none()) {
        let message = format!("nothing is known of the setting `{key}`");
        return Diagnostic::warning("unknown-setting", message)
            .with_help("it is sent as written")
            .at(place, "unknown here, sent as written");
    }
    if let Some(right) = meant {
        let message =
            format!("there is no setting `{key}`: the extension would silently ignore it");
        return Diagnostic::error("unknown-setting", message)
            .with_help(format!(
                "write `{right}`: keys are compared letter by letter, case included; {WAY_OUT}"
            ))
            .at(place, format!("did you mean `{right}`?"));
    }
    Diagnostic::error("unknown-setting", format!("there is no setting `{key}`"))
        .with_help(format!(
            "`amlplan explain SETTING` tells about each that there is; keys are case-sensitive; \
             {WAY_OUT}"
        ))
        .at(place, "unknown")
}

fn unprotected(settings: Settings<'_>, key: &str) -> Diagnostic {
    let what = if PEM_SETTINGS.contains(&key) { "read as a file" } else { "kept secret" };
    let message = format!("`{key}` is only {what} under configurationProtectedSettings");
    Diagnostic::error("setting-must-be-protected", message)
        .with_help("move the line to configurationProtectedSettings")
        .at(settings.key_place(key), "in the wrong map")
}

fn needlessly_protected(settings: Settings<'_>, key: &str) -> Diagnostic {
    told("setting-not-secret", key).at(settings.key_place(key), "in the wrong map")
}

/// A secret that stands in the manifest itself.
fn clear_text(settings: Settings<'_>, key: &str) -> Option<Diagnostic> {
    let cluster = settings.view.cluster;
    let at = ["extension", "configurationProtectedSettings", key].into_iter().collect();
    let in_manifest = matches!(cluster.secrets.get(key)?.source, SecretSource::Manifest { .. });
    let misspelled_path = settings.meant(key).is_some_and(|it| PEM_SETTINGS.contains(&it.as_str()));
    if !in_manifest || misspelled_path || cluster.origin.reads_environment(&at) {
        return None;
    }
    let place = cluster.origin.key(&at);
    let label = "everyone who can read this file can read its value";
    Some(told("secret-in-clear-text", key).at(place, label))
}

fn twice(settings: Settings<'_>, key: &str) -> Diagnostic {
    let message = format!("`{key}` stands in both maps of settings");
    Diagnostic::error("setting-in-both-maps", message)
        .with_help("keep one: secrets under configurationProtectedSettings, everything else under configurationSettings")
        .at(settings.protected_place(key), "protected here")
        .at(settings.key_place(key), "and in the clear here")
}

fn wrong_profile(settings: Settings<'_>, key: &str, fact: &SettingFact) -> Option<Diagnostic> {
    let profile = settings.profile();
    let place = settings.key_place(key);
    if fact.in_profile(profile) {
        let old_name = !fact.documented
            && fact.replaced_by.as_ref().is_some_and(|replaced_by| replaced_by.key.is_some());
        let replacement = fact.replaced_by.as_ref().filter(|_| old_name && settings.is_ga())?;
        return Some(
            Diagnostic::warning("retired-setting", format!("`{key}` is an old name"))
                .with_help(replacement.advice.clone())
                .at(place, "old name"),
        );
    }
    let other = match profile {
        ProfileName::Ga => ProfileName::Preview,
        ProfileName::Preview => ProfileName::Ga,
    };
    let message =
        format!("`{key}` belongs to profile {}, but this is {}", other.as_str(), profile.as_str());
    let matters = fact.documented || fact.replaced_by.is_some();
    let finding = if matters {
        Diagnostic::error("setting-of-other-profile", message)
    } else {
        Diagnostic::warning("setting-of-other-profile", message)
    };
    let advice =
        fact.replaced_by.as_ref().map_or("leave it out: nothing reads it here", |it| &it.advice);
    let at_profile = settings
        .view
        .key("/extension/profile")
        .filter(|_| settings.view.written("/extension/profile"));
    Some(
        finding
            .with_help(advice)
            .at(place, "not of this profile")
            .at(at_profile, "the profile is chosen here"),
    )
}

fn wrong_value(
    settings: Settings<'_>,
    key: &str,
    fact: &SettingFact,
    value: &Setting,
) -> Option<Diagnostic> {
    let text = value.wire();
    // An empty text resets a setting to the chart's default.
    if text.is_empty() {
        return None;
    }
    let (code, message, help) = match &fact.kind {
        SettingKind::Bool => not_boolean(key, &text)?,
        SettingKind::Enum(words) => not_a_word(key, &text, words)?,
        SettingKind::Integer if text.parse::<u64>().is_err() => (
            "setting-not-a-number",
            format!("`{key}` is a whole number, not `{text}`"),
            format!("write for example {key}: 4"),
        ),
        SettingKind::Quantity if !super::instances::is_quantity(&text) => (
            "bad-quantity",
            format!("`{key}` is a Kubernetes quantity, not `{text}`"),
            "write for example 500m for CPU or 300Mi for memory".to_owned(),
        ),
        SettingKind::Text | SettingKind::Path if matches!(value, Setting::Bool(_)) => (
            "setting-not-text",
            format!("`{key}` is a text, not a boolean"),
            format!("if the text {} is meant, quote it", text.to_ascii_lowercase()),
        ),
        SettingKind::Integer | SettingKind::Quantity | SettingKind::Text | SettingKind::Path => {
            return None;
        }
    };
    Some(Diagnostic::error(code, message).with_help(help).at(settings.place(key), "here"))
}

/// Code, message and help.
type Wrong = (&'static str, String, String);

fn not_boolean(key: &str, text: &str) -> Option<Wrong> {
    if matches!(text.to_ascii_lowercase().as_str(), "true" | "false") {
        return None;
    }
    let meant =
        suggest::boolean(text).map_or_else(|| "true or false".to_owned(), |it| it.to_string());
    let message = format!("`{key}` is a boolean, and `{text}` counts as false without a word");
    Some(("setting-not-boolean", message, format!("write {key}: {meant}")))
}

fn not_a_word(key: &str, text: &str, words: &[String]) -> Option<Wrong> {
    if words.iter().any(|it| it.eq_ignore_ascii_case(text)) {
        return None;
    }
    let all = words.join(", ");
    let help = suggest::nearest(text, words.iter().map(String::as_str)).map_or_else(
        || format!("it is one of {all}"),
        |text| format!("did you mean `{text}`? It is one of {all}"),
    );
    Some(("setting-not-a-known-word", format!("`{key}` cannot be `{text}`"), help))
}

/// Settings that the tool computes whatever is written.
fn overwritten(settings: Settings<'_>, key: &str) -> Option<Diagnostic> {
    let always =
        key == "domain" || (key == "clusterPurpose" && !settings.is_ga() && settings.inference());
    always.then(|| {
        Diagnostic::warning(
            "setting-overwritten",
            format!("`{key}` is computed from the cluster, whatever is written here"),
        )
        .with_help("leave it out; the plan shows the computed value")
        .at(settings.key_place(key), "has no effect")
    })
}

/// What costs money or may clash, as the documentation warns.
fn costs(settings: Settings<'_>, found: &mut Diagnostics) {
    if settings.is_true("logAnalyticsWS") {
        let place = settings.place("logAnalyticsWS");
        found.push(told("log-analytics-cost", "").at(place, "asked for here"));
    }
    let plugin = settings.get("installNvidiaDevicePlugin");
    let by_default = plugin.is_none() && !settings.is_ga();
    if by_default || settings.is_true("installNvidiaDevicePlugin") {
        let why = if by_default {
            "this profile installs NVIDIA's device plugin unless told otherwise"
        } else {
            "NVIDIA's device plugin is installed"
        };
        let message = format!("{why}; where one runs already, the installation fails");
        let place = settings.place("installNvidiaDevicePlugin");
        found.push(
            Diagnostic::new("nvidia-device-plugin", crate::source::Severity::Warning, message)
                .with_help("write installNvidiaDevicePlugin: false for clusters without GPUs or with a plugin of their own")
                .at(place, if by_default { "not mentioned in here" } else { "asked for here" }),
        );
    }
}
