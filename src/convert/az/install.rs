//! `az k8s-extension create` and `update`, and `az ml compute attach`.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::catalog::{self, SettingKind};
use crate::source::Severity;

use super::super::script::{ToolCall, Word};
use super::draft::{ClusterDraft, ClusterId, NO_CLUSTER, NO_GROUP};
use super::options::{CommandOptions, OptionNames};
use super::read::CommandReader;
use super::values::{self, NO_SUBSCRIPTION};
use crate::language::{ClusterType, ExtensionSpec, Profile, ProtectedSetting, Setting};

pub(super) const TYPES: [ClusterType; 2] =
    [ClusterType::ConnectedClusters, ClusterType::ManagedClusters];
const EXTENSION: [OptionNames; 17] = [
    &["--name", "-n"],
    &["--extension-type"],
    &["--cluster-type", "-t"],
    &["--cluster-name", "-c"],
    &["--resource-group", "-g"],
    &["--scope"],
    &["--release-train"],
    &["--version"],
    &["--auto-upgrade-minor-version", "--auto-upgrade"],
    // The chart has one namespace.
    &["--release-namespace", "--target-namespace"],
    &["--configuration-settings", "--config", "--config-settings"],
    &["--configuration-protected-settings", "--config-protected", "--config-protected-settings"],
    &["--configuration-settings-file", "--config-file", "--config-settings-file"],
    &["--configuration-protected-settings-file", "--config-protected-file"],
    &["--cluster-resource-provider"],
    &["--plan-name", "--plan-product", "--plan-publisher"],
    // Not az's: the whole id, from sources that have it.
    &["--cluster-id"],
];

/// An extension as one command says it, and where each part was written.
struct Said {
    extension: ExtensionSpec,
    places: BTreeMap<String, Range<usize>>,
    /// Parts that the command says itself, and does not leave to a default.
    given: Vec<&'static str>,
}

impl CommandReader<'_> {
    pub(super) fn extension(&mut self, call: &ToolCall) {
        const TYPE: &str = "Microsoft.AzureML.Kubernetes";
        let options = self.options(&call.words, &EXTENSION);
        if let Some(kind) = options.one("--extension-type")
            && !kind.text.eq_ignore_ascii_case(TYPE)
        {
            if !kind.text.contains('$') {
                let message =
                    format!("an extension of type {} is left out: not Azure ML's", kind.text);
                return self.findings.advice("az-ignored", kind.span.clone(), message);
            }
            let message = format!("`{}` is taken for {TYPE}", kind.text);
            self.slip(kind.span.clone(), message);
        }
        if let Some(scope) = options.one("--scope")
            && !scope.text.eq_ignore_ascii_case("cluster")
        {
            let message = format!("the scope is `{}`, taken for cluster", scope.text);
            self.wrong(scope.span.clone(), message, "Azure ML's extension has the scope cluster");
        }
        let name = self.needed(&options, "--name", "azureml");
        let (subscription, group, kind, cluster) =
            if let Some(id) = self.text(&options, "--cluster-id") {
                let id = self.cluster_id(&id, options.span());
                (Some(id.subscription), id.group, id.kind, id.name)
            } else {
                let cluster = self.needed(&options, "--cluster-name", NO_CLUSTER);
                let group = self.needed(&options, "--resource-group", NO_GROUP);
                let kind = self.cluster_type(&options);
                (self.text(&options, "--subscription"), group, kind, cluster)
            };
        let said = self.said(name, &options, call);
        let update = call.words.get(2).is_some_and(|it| it.text == "update");
        let span = options.span();
        let id = (subscription, group, kind, cluster);
        self.take(said, update, id, span);
    }

    /// Puts what a command says to what others said of the same cluster.
    fn take(
        &mut self,
        said: Said,
        update: bool,
        (subscription, group, kind, cluster): (Option<String>, String, ClusterType, String),
        span: Range<usize>,
    ) {
        let branch = self.branch;
        let source = self.findings.source_of(span.start);
        let draft = self.drafts.of_extension(subscription, &group, kind, &cluster, span.clone());
        let other_source = draft.source.is_some_and(|it| it != source);
        let other_arm = matches!((draft.branch, branch), (Some(old), Some(new)) if old.0 == new.0 && old.1 != new.1);
        let Some(old) = draft.extension.as_mut() else {
            draft.extension = Some(said.extension);
            draft.places = said.places;
            (draft.branch, draft.source, draft.updated) = (branch, Some(source), update);
            return self.either(branch, &cluster, span);
        };
        let differences = differences(old, &said);
        if other_arm || other_source {
            // An update in one arm and the installation in the other: that one says all.
            let mut said = said;
            if draft.updated && !update {
                std::mem::swap(old, &mut said.extension);
                std::mem::swap(&mut draft.places, &mut said.places);
                draft.updated = false;
            }
            let known: Vec<&String> = old.configuration_settings.keys().collect();
            let only =
                said.extension.configuration_settings.keys().filter(|it| !known.contains(it));
            let only: Vec<String> = only.cloned().collect();
            for key in only.iter().filter(|_| other_arm) {
                let path = format!("extension.configurationSettings.{key}");
                let at = said.places.get(&path).unwrap_or(&span).clone();
                let message = format!("`{key}` stands in one of two branches only; it is taken");
                self.findings.push(("az-branch", Severity::Warning), at, message, "");
            }
            let draft = self.drafts.of_extension(None, &group, kind, &cluster, span.clone());
            let places = draft.places.clone();
            for (path, mine, theirs) in &differences {
                let at = |places: &BTreeMap<String, Range<usize>>| {
                    places.get(path).cloned().unwrap_or_else(|| span.clone())
                };
                if other_source {
                    let first = (&at(&places), mine.as_str());
                    self.findings.conflict(path, first, (&at(&said.places), theirs));
                } else {
                    let why = format!("`{path}` is {mine} in one and {theirs} in the other");
                    self.findings.branch(at(&said.places), &why, &format!("{path}: {theirs}"));
                }
            }
            let draft = self.drafts.of_extension(None, &group, kind, &cluster, span);
            if let Some(old) = draft.extension.as_mut() {
                fill_up(old, said);
            }
            return;
        }
        if update {
            merge(old, said);
            return;
        }
        let again = !differences.is_empty() || branch.is_none();
        draft.extension = Some(said.extension);
        draft.places = said.places;
        draft.updated = false;
        if again {
            let message = format!("`{cluster}` gets its extension a second time; this one counts");
            self.slip(span, message);
        }
    }

    /// Says where the arms of one condition set up different clusters.
    fn either(&mut self, branch: Option<(usize, usize)>, cluster: &str, span: Range<usize>) {
        let Some((id, arm)) = branch else { return };
        let other = self.drafts.list.iter().find(|cluster_draft| {
            cluster_draft.branch.is_some_and(|it| it.0 == id && it.1 != arm)
                && cluster_draft.cluster.as_deref() != Some(cluster)
        });
        if let Some(other) = other.and_then(|it| it.cluster.clone()) {
            let message = format!(
                "two branches: one sets up `{other}`, the other `{cluster}`; both are in the manifest"
            );
            let help = "delete the one that does not run";
            self.findings.push(("az-branch", Severity::Warning), span, message, help);
        }
    }

    fn cluster_type(&mut self, options: &CommandOptions) -> ClusterType {
        let word = options.one("--cluster-type");
        let span = word.map_or(options.span(), |it| it.span.clone());
        let text = self.text(options, "--cluster-type").unwrap_or_default();
        let known = default_of(&text);
        let found = TYPES.into_iter().find(|it| it.as_str().eq_ignore_ascii_case(known));
        found.unwrap_or_else(|| {
            let provider = options.one("--cluster-resource-provider");
            let aks = known.to_lowercase().contains("managed")
                || known.to_lowercase().contains("aks")
                || provider.is_some_and(|it| it.text.contains("ContainerService"));
            let guess = TYPES[usize::from(aks)];
            let what = if text.is_empty() {
                "`--cluster-type` is missing".to_owned()
            } else {
                format!("`{text}` is no cluster type that is known here")
            };
            let message = format!("{what}; taken for {}", guess.as_str());
            let help = "write connectedClusters (Azure Arc) or managedClusters (AKS)";
            self.wrong(span, message, help);
            guess
        })
    }

    fn said(&mut self, name: String, options: &CommandOptions, call: &ToolCall) -> Said {
        let extension = ExtensionSpec {
            name,
            profile: Profile::default(),
            version: None,
            release_train: "stable".to_owned(),
            auto_upgrade_minor_version: true,
            allow_unknown_settings: false,
            configuration_settings: BTreeMap::new(),
            configuration_protected_settings: BTreeMap::new(),
        };
        let mut said = Said { extension, places: BTreeMap::new(), given: Vec::new() };
        let place = |said: &mut Said, path: &'static str, option: &str| {
            if let Some(word) = options.one(option) {
                said.places.insert(path.to_owned(), word.span.clone());
                said.given.push(path);
            }
        };
        place(&mut said, "extension.version", "--version");
        place(&mut said, "extension.releaseTrain", "--release-train");
        place(&mut said, "extension.autoUpgradeMinorVersion", "--auto-upgrade-minor-version");
        let empty = |it: &String| !it.is_empty() && !it.eq_ignore_ascii_case("null");
        said.extension.version = self.text(options, "--version").filter(empty);
        if let Some(train) = self.text(options, "--release-train") {
            let known = !train.contains('$');
            said.extension.release_train = if known { train.to_lowercase() } else { train };
        }
        self.follows(options, call, &mut said);
        for (secret, option, file) in [
            (false, "--configuration-settings", "--configuration-settings-file"),
            (true, "--configuration-protected-settings", "--configuration-protected-settings-file"),
        ] {
            for name in options.all(file) {
                let words = self.settings_file(name, secret, call);
                words.iter().for_each(|it| self.setting(it, secret, &mut said));
            }
            for word in options.all(option) {
                for word in self.apart(word) {
                    self.setting(&word, secret, &mut said);
                }
            }
        }
        said
    }

    /// Whether the version follows the train.
    fn follows(&mut self, options: &CommandOptions, call: &ToolCall, said: &mut Said) {
        let auto = self.text(options, "--auto-upgrade-minor-version");
        if let Some(auto) = &auto {
            let known = crate::language::suggest::boolean(default_of(auto));
            if known.is_none() || auto.contains('$') {
                let message =
                    format!("`{auto}` is not known here, taken for {}", known.unwrap_or(true));
                self.slip(options.span(), message);
            }
            said.extension.auto_upgrade_minor_version = known.unwrap_or(true);
        }
        if said.extension.version.is_some() && said.extension.auto_upgrade_minor_version {
            if auto.is_some() || call.words.get(2).is_none_or(|it| it.text != "update") {
                let message = "a version is pinned, so it is not upgraded by itself";
                self.slip(options.span(), message.to_owned());
            }
            said.extension.auto_upgrade_minor_version = false;
            said.given.push("extension.autoUpgradeMinorVersion");
        }
    }

    /// `"a=b c=d"` in one word: quotes around all settings make them one to `az`.
    fn apart(&mut self, word: &Word) -> Vec<Word> {
        let known = |text: &str| {
            let key = text.split_once('=').map_or("", |it| it.0);
            catalog::setting(key).is_some() || catalog::suggest_setting(key).is_some()
        };
        let texts: Vec<&str> =
            word.text.split([' ', '\n', '\t', ',']).filter(|it| !it.is_empty()).collect();
        if texts.len() < 2 || !texts.iter().all(|it| known(it)) {
            return vec![word.clone()];
        }
        let message =
            "several settings in one pair of quotes or behind commas; taken apart".to_owned();
        self.slip(word.span.clone(), message);
        texts.iter().map(|it| Word { text: (*it).to_owned(), span: word.span.clone() }).collect()
    }

    /// The settings of a file, as KEY=VALUE.
    fn settings_file(&mut self, name: &Word, secret: bool, call: &ToolCall) -> Vec<Word> {
        let text = call.files.get(&name.text);
        let parsed: Option<BTreeMap<String, serde_json::Value>> =
            text.and_then(|it| serde_yaml::from_str(it).ok());
        let Some(parsed) = parsed else {
            let why = if text.is_some() { "holds no map of settings" } else { "is not there" };
            let message = format!("the settings in `{}` are left out: it {why}", name.text);
            let help = "put the file beside the script, or write the settings into the manifest";
            self.findings.push(("az-left", Severity::Warning), name.span.clone(), message, help);
            return Vec::new();
        };
        let words = parsed.into_iter().map(|(key, value)| {
            let value = match value {
                serde_json::Value::String(text) => text,
                other => other.to_string(),
            };
            if secret {
                self.findings.secrets.push(value.clone());
            }
            let text = format!("{key}={}", value.replace('$', "$$"));
            Word { text, span: name.span.clone() }
        });
        words.collect()
    }

    fn setting(&mut self, word: &Word, secret: bool, said: &mut Said) {
        let Some((key, value)) = values::setting(word, secret, self.findings) else { return };
        let belongs = catalog::setting(&key).map_or(secret, |it| it.protected);
        if belongs != secret {
            let map = if belongs { "protected" } else { "plain" };
            self.slip(word.span.clone(), format!("`{key}` belongs to the {map} settings"));
        }
        let part = if belongs { "configurationProtectedSettings" } else { "configurationSettings" };
        said.places.insert(format!("extension.{part}.{key}"), word.span.clone());
        if belongs {
            let value = values::protected(&key, &value, &word.span, self.findings);
            said.extension.configuration_protected_settings.insert(key, value);
        } else {
            // Values of the chart that no page lists are passed on, as `az` does.
            said.extension.allow_unknown_settings |=
                catalog::setting(&key).is_none() && key.contains(['.', '[']);
            let value = values::plain(&key, &value, &word.span, self.findings);
            said.extension.configuration_settings.insert(key, value);
        }
    }
}

/// The text, or the default of `${NAME:-default}`.
pub(super) fn default_of(text: &str) -> &str {
    let inside = text.strip_prefix("${").and_then(|it| it.strip_suffix('}'));
    inside.and_then(|it| it.split_once(":-")).map_or(text, |it| it.1)
}

/// What two commands say differently of one extension: path, before, now.
fn differences(old: &ExtensionSpec, new: &Said) -> Vec<(String, String, String)> {
    let mut out = Vec::new();
    let mut put = |path: &str, mine: String, theirs: String| {
        if mine != theirs {
            out.push((path.to_owned(), mine, theirs));
        }
    };
    let extension = &new.extension;
    put("extension.name", old.name.clone(), extension.name.clone());
    let version = |it: &ExtensionSpec| it.version.clone().unwrap_or_else(|| "none".to_owned());
    if new.given.contains(&"extension.version") {
        put("extension.version", version(old), version(extension));
    }
    if new.given.contains(&"extension.releaseTrain") {
        put("extension.releaseTrain", old.release_train.clone(), extension.release_train.clone());
    }
    for (key, value) in &extension.configuration_settings {
        if let Some(mine) = old.configuration_settings.get(key) {
            let path = format!("extension.configurationSettings.{key}");
            put(&path, mine.wire(), Setting::wire(value));
        }
    }
    for (key, value) in &extension.configuration_protected_settings {
        if let Some(mine) = old.configuration_protected_settings.get(key) {
            let path = format!("extension.configurationProtectedSettings.{key}");
            let is_path = catalog::setting(key).is_some_and(|it| it.kind == SettingKind::Path);
            let shown = |it: &ProtectedSetting| match it {
                ProtectedSetting::Text(text) if is_path => text.clone(),
                other => format!("{other:?}"),
            };
            put(&path, shown(mine), shown(value));
        }
    }
    out
}

/// Later commands change what they say, and nothing else.
fn merge(old: &mut ExtensionSpec, new: Said) {
    let extension = new.extension;
    old.allow_unknown_settings |= extension.allow_unknown_settings;
    for (key, value) in extension.configuration_settings {
        // An update with nothing behind the sign takes the setting back.
        if value.wire().is_empty() {
            old.configuration_settings.remove(&key);
        } else {
            old.configuration_settings.insert(key, value);
        }
    }
    old.configuration_protected_settings.extend(extension.configuration_protected_settings);
    for path in new.given {
        match path {
            "extension.version" => old.version.clone_from(&extension.version),
            "extension.releaseTrain" => old.release_train.clone_from(&extension.release_train),
            _ => {
                old.auto_upgrade_minor_version = extension.auto_upgrade_minor_version;
                // What follows the train again is pinned no longer.
                if extension.auto_upgrade_minor_version {
                    old.version = None;
                }
            }
        }
    }
}

/// What only the second one says.
fn fill_up(old: &mut ExtensionSpec, new: Said) {
    old.allow_unknown_settings |= new.extension.allow_unknown_settings;
    for (key, value) in new.extension.configuration_settings {
        old.configuration_settings.entry(key).or_insert(value);
    }
    for (key, value) in new.extension.configuration_protected_settings {
        old.configuration_protected_settings.entry(key).or_insert(value);
    }
}

impl ClusterDraft {
    /// The id of its cluster, where it has one.
    pub(super) fn id(&self) -> Option<ClusterId> {
        Some(ClusterId {
            subscription: self.subscription.clone().unwrap_or_else(|| NO_SUBSCRIPTION.to_owned()),
            group: self.group.clone()?,
            kind: self.kind?,
            name: self.cluster.clone()?,
        })
    }
}
