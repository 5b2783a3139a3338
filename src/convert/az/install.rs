//! `az k8s-extension create` and `update`.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::json;

use crate::catalog;
use crate::model::Json;

use super::super::script::{ToolCall, Word};
use super::draft::{ClusterDraft, ClusterId, NO_CLUSTER, NO_GROUP};
use super::options::{CommandOptions, OptionNames};
use super::read::CommandReader;
use super::values::{self, NO_SUBSCRIPTION, fill};
use crate::language::{ClusterType, ExtensionSpec, suggest};

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

/// What commands say of an extension: path in the manifest → value, and where it was written.
pub(super) type Said = BTreeMap<String, (Json, Range<usize>)>;

pub(super) const PLAIN: &str = "extension.configurationSettings.";
const PROTECTED: &str = "extension.configurationProtectedSettings.";
const NAME: &str = "extension.name";
const VERSION: &str = "extension.version";
const TRAIN: &str = "extension.releaseTrain";
const FOLLOWS: &str = "extension.autoUpgradeMinorVersion";

impl CommandReader<'_> {
    pub(super) fn extension(&mut self, call: &ToolCall) {
        const TYPE: &str = "Microsoft.AzureML.Kubernetes";
        let options = self.options(&call.words, &EXTENSION);
        let other = |it: &&Word| !it.text.eq_ignore_ascii_case(TYPE);
        if let Some(kind) = options.one("--extension-type").filter(other) {
            if !kind.text.contains('$') {
                let message =
                    format!("an extension of type {} is left out: not Azure ML's", kind.text);
                return self.findings.advice("az-ignored", kind.span.clone(), message);
            }
            self.slip(kind.span.clone(), format!("`{}` is taken for {TYPE}", kind.text));
        }
        let other = |it: &&Word| !it.text.eq_ignore_ascii_case("cluster");
        if let Some(scope) = options.one("--scope").filter(other) {
            let message = format!("the scope is `{}`, taken for cluster", scope.text);
            self.wrong(scope.span.clone(), message, "Azure ML's extension has the scope cluster");
        }
        let name = self.needed(&options, "--name", "azureml");
        let span = options.span();
        let id = if let Some(id) = self.text(&options, "--cluster-id") {
            self.cluster_id(&id, span.clone())
        } else {
            let name = self.needed(&options, "--cluster-name", NO_CLUSTER);
            let group = self.needed(&options, "--resource-group", NO_GROUP);
            let kind = self.cluster_type(&options);
            let own = self.text(&options, "--subscription");
            let subscription = own.or_else(|| self.drafts.subscription.clone());
            let subscription = subscription.unwrap_or_else(|| NO_SUBSCRIPTION.to_owned());
            ClusterId { subscription, group, kind, name }
        };
        let mut said = self.said(&options, call);
        said.insert(NAME.to_owned(), (Json::from(name), span.clone()));
        self.take(said, is_update(call), &id, span);
    }

    /// Puts what a command says to what others said of the same cluster.
    fn take(&mut self, mut said: Said, update: bool, id: &ClusterId, span: Range<usize>) {
        let (branch, source) = (self.branch, self.findings.source_of(span.start));
        let draft = self.drafts.of_extension(id, span.clone());
        let other_source = draft.source.is_some_and(|number| number != source);
        let other_arm = matches!((draft.branch, branch), (Some(old), Some(new)) if old.0 == new.0 && old.1 != new.1);
        let Some(old) = draft.extension.as_mut() else {
            draft.extension = Some(said);
            (draft.branch, draft.source, draft.updated) = (branch, Some(source), update);
            return self.either(branch, &id.name, span);
        };
        if !other_arm && !other_source {
            if update {
                return merge(old, said);
            }
            let again = !differences(old, &said).is_empty() || branch.is_none();
            (draft.extension, draft.updated) = (Some(said), false);
            if again {
                let name = &id.name;
                let message = format!("`{name}` gets its extension a second time; this one counts");
                self.slip(span, message);
            }
            return;
        }
        let differences = differences(old, &said);
        // An update in one arm and the installation in the other: that one says all.
        if draft.updated && !update {
            std::mem::swap(old, &mut said);
            draft.updated = false;
        }
        let at = |own: &Said, path: &str| own.get(path).map_or(span.clone(), |it| it.1.clone());
        let only = said.keys().filter(|text| other_arm && !old.contains_key(*text));
        for (path, key) in only.filter_map(|text| Some((text, text.strip_prefix(PLAIN)?))) {
            let message = format!("`{key}` stands in one of two branches only; it is taken");
            self.findings.warn("az-branch", at(&said, path), message, "");
        }
        for (path, mine, theirs) in &differences {
            let (first, second) = (at(old, path), at(&said, path));
            if other_source {
                self.findings.conflict(path, (&first, mine), (&second, theirs));
            } else {
                let why = format!("`{path}` is {mine} in one and {theirs} in the other");
                self.findings.branch(second, &why, &format!("{path}: {theirs}"));
            }
        }
        for (path, value) in said.into_iter().filter(|it| it.0.starts_with("extension.config")) {
            old.entry(path).or_insert(value);
        }
    }

    /// Says where the arms of one condition set up different clusters.
    fn either(&mut self, branch: Option<(usize, usize)>, cluster: &str, span: Range<usize>) {
        let Some((id, arm)) = branch else { return };
        let other = self.drafts.list.iter().find(|cluster_draft| {
            cluster_draft.branch.is_some_and(|it| it.0 == id && it.1 != arm)
                && cluster_draft.cluster.as_deref() != Some(cluster)
        });
        if let Some(other) = other.and_then(|cluster_draft| cluster_draft.cluster.clone()) {
            let message = format!(
                "two branches: one sets up `{other}`, the other `{cluster}`; both are in the manifest"
            );
            self.findings.warn("az-branch", span, message, "delete the one that does not run");
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

    fn said(&mut self, options: &CommandOptions, call: &ToolCall) -> Said {
        let mut said = Said::new();
        for (path, option) in [
            (VERSION, "--version"),
            (TRAIN, "--release-train"),
            (FOLLOWS, "--auto-upgrade-minor-version"),
        ] {
            let Some(word) = options.one(option) else { continue };
            let text = fill(word, self.findings);
            let value = match path {
                VERSION if text.is_empty() || text.eq_ignore_ascii_case("null") => Json::Null,
                TRAIN if !text.contains('$') => Json::from(text.to_lowercase()),
                FOLLOWS => {
                    let known = suggest::boolean(default_of(&text));
                    let taken = known.unwrap_or(true);
                    if known.is_none() || text.contains('$') {
                        let message = format!("`{text}` is not known here, taken for {taken}");
                        self.slip(options.span(), message);
                    }
                    Json::from(taken)
                }
                _ => Json::from(text),
            };
            said.insert(path.to_owned(), (value, word.span.clone()));
        }
        let pinned = said.get(VERSION).is_some_and(|it| !it.0.is_null());
        let follows = said.get(FOLLOWS).map(|it| it.0 == true);
        if pinned && follows != Some(false) {
            if follows.is_some() || !is_update(call) {
                let message = "a version is pinned, so it is not upgraded by itself";
                self.slip(options.span(), message);
            }
            said.insert(FOLLOWS.to_owned(), (Json::from(false), options.span()));
        }
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

    /// `"a=b c=d"` in one word: quotes around all settings make them one to `az`.
    fn apart(&mut self, word: &Word) -> Vec<Word> {
        let known = |text: &str| {
            let key = text.split_once('=').map_or("", |it| it.0);
            catalog::setting(key).is_some() || catalog::suggest_setting(key).is_some()
        };
        let texts: Vec<&str> =
            word.text.split([' ', '\n', '\t', ',']).filter(|part| !part.is_empty()).collect();
        if texts.len() < 2 || !texts.iter().all(|text| known(text)) {
            return vec![word.clone()];
        }
        let message = "several settings in one pair of quotes or behind commas; taken apart";
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
            self.findings.warn("az-left", name.span.clone(), message, help);
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
        let belongs = catalog::setting(&key).map_or(secret, |setting_fact| setting_fact.protected);
        if belongs != secret {
            let map = if belongs { "protected" } else { "plain" };
            self.slip(word.span.clone(), format!("`{key}` belongs to the {map} settings"));
        }
        let (map, value) = if belongs {
            (PROTECTED, json!(values::protected(&key, &value, &word.span, self.findings)))
        } else {
            (PLAIN, json!(values::plain(&key, &value, &word.span, self.findings)))
        };
        said.insert(format!("{map}{key}"), (value, word.span.clone()));
    }
}

fn is_update(call: &ToolCall) -> bool {
    call.words.get(2).is_some_and(|it| it.text == "update")
}

/// The text, or the default of `${NAME:-default}`.
pub(super) fn default_of(text: &str) -> &str {
    let inside = text.strip_prefix("${").and_then(|it| it.strip_suffix('}'));
    inside.and_then(|it| it.split_once(":-")).map_or(text, |it| it.1)
}

/// What two commands say differently of one extension: path, before, now.
fn differences(old: &Said, new: &Said) -> Vec<(String, String, String)> {
    let shown = |value: &Json| match value {
        Json::Null => "none".to_owned(),
        Json::Bool(flag) => if *flag { "True" } else { "False" }.to_owned(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    let found = new.iter().filter(|it| it.0 != FOLLOWS).filter_map(|(path, (value, _))| {
        let mine = match (old.get(path), path.as_str()) {
            (Some((mine, _)), _) => shown(mine),
            (None, VERSION) => "none".to_owned(),
            (None, TRAIN) => "stable".to_owned(),
            (None, _) => return None,
        };
        let theirs = shown(value);
        (mine != theirs).then(|| (path.clone(), mine, theirs))
    });
    found.collect()
}

/// Later commands change what they say, and nothing else.
fn merge(old: &mut Said, new: Said) {
    for (path, value) in new {
        match path.as_str() {
            NAME => {}
            // An update with nothing behind the sign takes the setting back.
            own if own.starts_with(PLAIN) && value.0 == "" => drop(old.remove(own)),
            own => {
                // What follows the train again is pinned no longer.
                if own == FOLLOWS && value.0 == true {
                    old.remove(VERSION);
                }
                old.insert(path, value);
            }
        }
    }
}

impl ClusterDraft {
    /// The extension in the words of the manifest.
    pub(super) fn extension(&self) -> Option<serde_json::Result<ExtensionSpec>> {
        let mut whole = json!({});
        for (path, (value, _)) in self.extension.as_ref()? {
            let path = path.strip_prefix("extension.").unwrap_or(path);
            match path.split_once('.') {
                Some((map, key)) => whole[map][key] = value.clone(),
                None => whole[path] = value.clone(),
            }
        }
        let spec = serde_json::from_value(whole).map(|mut spec: ExtensionSpec| {
            // Values of the chart that no page lists are passed on, as `az` does.
            let unlisted = |it: &String| catalog::setting(it).is_none() && it.contains(['.', '[']);
            spec.allow_unknown_settings = spec.configuration_settings.keys().any(unlisted);
            spec
        });
        Some(spec)
    }

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
