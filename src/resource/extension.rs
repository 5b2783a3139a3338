//! The Azure ML cluster extension and everything `az` would add to its settings by itself
//! (Azure REST: KubernetesConfiguration extensions; azure-cli-extensions, AzureMLKubernetes.py).

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::about::below;
use super::{
    About, Change, Document, Family, FieldChange, Impact, Kind, Live, Method, Read, Readiness,
    Request, Rules, Snapshot, Target, Verb, provisioning_readiness,
};
use crate::catalog::{self, ArmType, ProfileName};
use crate::model::{ArmId, Json, Key, Pointer, Secret, Value};
use crate::resource::fields::Same;
use crate::resource::update;

mod derive;

/// Settings under this prefix hold fingerprints of the protected settings that amlplan sent, since
/// Azure never returns those.
pub const FINGERPRINT_PREFIX: &str = "amlplan.fingerprint.";

/// Where an extension carries its mark: it has no tags, and settings of any name are kept.
pub(super) const MARK_AT: super::mark::MarkAt =
    super::mark::MarkAt::Own("/properties/configurationSettings/amlplan.mark");

pub(super) const ABOUT: About = About {
    family: Family::Extension,
    part: "extension",
    wire: |rest| match rest {
        // The keys of settings contain dots themselves.
        [map @ ("configurationSettings" | "configurationProtectedSettings"), key @ ..] => {
            let base = below(&["properties"], &[map]);
            if key.is_empty() { base } else { base.join(catalog::wire_key(&key.join("."))) }
        }
        [field, ..] => below(&["properties"], &[field]),
        [] => Pointer::root(),
    },
    ..About::AZURE
}
.within(180, 600);

const SETTINGS: &str = "/properties/configurationSettings";
const PROTECTED: &str = "/properties/configurationProtectedSettings";

/// The extension of one cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extension {
    /// The address.
    pub key: Key,
    /// Its Azure id, below the cluster's.
    pub id: ArmId,
    /// Azure id of the cluster, as `az` builds it.
    pub cluster_id: ArmId,
    /// Whether the cluster is AKS without Arc.
    pub aks: bool,
    /// Whether the settings are those of profile ga.
    pub ga: bool,
    /// The distribution that the manifest declares.
    pub distribution: Option<String>,
    /// Pinned version.
    pub version: Option<String>,
    /// Release train.
    pub release_train: String,
    /// Follow minor versions.
    pub auto_upgrade_minor_version: bool,
    /// Declared settings, as they travel.
    pub settings: BTreeMap<String, String>,
    /// Declared protected settings.
    #[serde(with = "crate::model::secrets_by_source")]
    pub protected: BTreeMap<String, Secret>,
    /// The companions whose keys it is given.
    pub companions: Companions,
}

/// The companions of an extension, by address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Companions {
    /// Authorization rule of the hybrid connection.
    pub relay_rule: Option<Key>,
    /// Azure id of the hybrid connection.
    pub hybrid_connection_id: Option<ArmId>,
    /// Service Bus namespace.
    pub service_bus: Option<Key>,
    /// Azure id of the Service Bus namespace.
    pub service_bus_id: Option<ArmId>,
    /// Log Analytics workspace.
    pub log_analytics: Option<Key>,
}

impl Extension {
    /// One that was found in a cluster and is to go.
    pub(super) fn installed(key: Key, id: ArmId, cluster: &ArmId) -> Self {
        Self {
            key,
            id,
            cluster_id: cluster.clone(),
            aks: ArmType::of_cluster(&cluster.resource_type()) == ArmType::MANAGED_CLUSTERS,
            ga: true,
            distribution: None,
            version: None,
            release_train: String::new(),
            auto_upgrade_minor_version: true,
            settings: BTreeMap::new(),
            protected: BTreeMap::new(),
            companions: Companions::default(),
        }
    }

    /// A declared setting, from the plain map first as `az` looks them up; protected ones do not
    /// answer.
    fn setting(&self, key: &str) -> Option<&str> {
        self.settings.get(key).map(String::as_str)
    }

    fn is_on(&self, key: &str) -> bool {
        self.setting(key).is_some_and(|setting| setting.eq_ignore_ascii_case("true"))
    }

    fn is_off(&self, key: &str) -> bool {
        self.setting(key).is_some_and(|setting| setting.eq_ignore_ascii_case("false"))
    }

    /// Whether the chart would not read a declared setting: certificates, where connections may be
    /// insecure. `az` does not send them either.
    fn ignores(&self, key: &str) -> bool {
        const TLS: [&str; 6] = [
            "sslCertPemFile",
            "sslKeyPemFile",
            "sslSecret",
            "scoringFe.sslCert",
            "scoringFe.sslKey",
            "scoringFe.sslSecret",
        ];
        self.is_on("allowInsecureConnections") && TLS.contains(&key)
    }

    const fn profile(&self) -> ProfileName {
        if self.ga { ProfileName::Ga } else { ProfileName::Preview }
    }

    fn cluster_name(&self) -> &str {
        self.cluster_id.name()
    }

    /// The fingerprints of the secrets that the user declared, by setting.
    fn fingerprints(&self, protected: &BTreeMap<String, Value>) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        for (key, value) in protected {
            if let Value::Secret(secret) = value
                && let Some(fingerprint) = secret.fingerprint(self.id.as_str())
            {
                found.insert(fingerprint_key(key), format!("x{fingerprint}"));
            }
        }
        found
    }

    /// The extension's name in Azure.
    #[must_use]
    pub fn name(&self) -> &str {
        self.id.name()
    }

    /// Whether a setting follows from what is live, because the manifest leaves it out.
    #[must_use]
    pub fn is_decided_live(&self, key: &str) -> bool {
        derive::OF_CLUSTER.contains(&key) && !self.settings.contains_key(key)
    }

    /// Every setting that will be sent in plain, declared and derived: what components are expected.
    #[must_use]
    pub fn effective(&self, world: &Snapshot) -> BTreeMap<String, String> {
        let want = self.want(world);
        let Some(Value::Object(map)) = want.body.get(&Pointer::parse(SETTINGS)) else {
            return BTreeMap::new();
        };
        let text = |it: &Value| it.to_stored().as_str().map(str::to_owned);
        map.iter().filter_map(|(key, value)| Some((key.clone(), text(value)?))).collect()
    }

    fn patch(&self, change: &Change<'_>) -> Value {
        let mut settings = Value::object();
        let mut properties = Value::object();
        let mut secrets_changed = false;
        for FieldChange { path, after, .. } in change.changes {
            match path.tokens() {
                [_, map, key] if map == "configurationSettings" => {
                    settings.insert(key, after.clone().unwrap_or_else(|| "".into()));
                }
                [_, map, key] if map == "configurationProtectedSettings" => {
                    secrets_changed = true;
                    if after.is_none() {
                        // With the secret goes what said that it was sent.
                        settings.insert(fingerprint_key(key), "");
                    }
                }
                [_, field, ..] => {
                    let whole = Pointer::root().join("properties").join(field);
                    let wanted = change.want.body.get(&whole).cloned();
                    properties.insert(field, wanted.unwrap_or(Value::Null));
                }
                _ => {}
            }
        }
        if secrets_changed || self.secrets_unknown(change.live) {
            // Protected settings are replaced as a whole: what is left out is deleted.
            let protected = change.want.body.get(&Pointer::parse(PROTECTED)).cloned();
            properties.insert("configurationProtectedSettings", protected.unwrap_or(Value::Null));
            for (key, value) in self.wanted_fingerprints(change.want) {
                settings.insert(key, value);
            }
        }
        if settings != Value::object() {
            properties.insert("configurationSettings", settings);
        }
        let mut body = Value::object();
        body.insert("properties", properties);
        body
    }

    fn wanted_fingerprints(&self, want: &Document) -> BTreeMap<String, String> {
        match want.body.get(&Pointer::parse(PROTECTED)) {
            Some(Value::Object(protected)) => self.fingerprints(protected),
            _ => BTreeMap::new(),
        }
    }

    fn document(&self, derived: Vec<derive::Derived>) -> Document {
        let mut settings = Value::object();
        let mut protected = Value::object();
        for (key, value) in self.settings.iter().filter(|it| !self.ignores(it.0)) {
            settings.insert(key, value.as_str());
        }
        for (key, secret) in self.protected.iter().filter(|it| !self.ignores(it.0)) {
            protected.insert(derive::protected_key(key), derive::protected_value(key, secret));
        }
        let mut reasons = Vec::new();
        for setting in derived {
            let map = if setting.protected { &mut protected } else { &mut settings };
            let root = Pointer::parse(if setting.protected { PROTECTED } else { SETTINGS });
            map.insert(setting.key, setting.value);
            reasons.push((root.join(setting.key), setting.reason));
        }
        let mut properties = Value::from(json!({
            "extensionType": "Microsoft.AzureML.Kubernetes",
            "autoUpgradeMinorVersion": self.auto_upgrade_minor_version,
            "releaseTrain": self.release_train,
            "scope": {"cluster": {"releaseNamespace": "azureml"}},
        }));
        match &self.version {
            Some(version) => properties.insert("version", version.as_str()),
            // A pin would contradict it (Azure REST: extensions, version).
            None if self.auto_upgrade_minor_version => properties.insert("version", Value::Null),
            None => {}
        }
        properties.insert("configurationSettings", settings);
        properties.insert("configurationProtectedSettings", protected);
        let mut body = Value::object();
        if !self.aks {
            // Under managedClusters ARM refuses an identity; the service assigns one by itself.
            body.insert("identity", Value::from(json!({"type": "SystemAssigned"})));
        }
        body.insert("properties", properties);
        Document { body, derived: reasons }
    }

    /// Everything, fingerprints included, over what is live.
    fn put(&self, change: &Change<'_>) -> Value {
        let mut body = update::whole(&change.want.body, change.live.document(), &self.rules());
        let fingerprints = self.wanted_fingerprints(change.want);
        if let Value::Object(map) = &mut body
            && let Some(Value::Object(properties)) = map.get_mut("properties")
            && let Some(Value::Object(settings)) = properties.get_mut("configurationSettings")
        {
            settings.extend(fingerprints.into_iter().map(|(key, text)| (key, text.into())));
        }
        body
    }
}

/// One setting for each protected one: a single value with commas would be split by helm.
fn fingerprint_key(protected: &str) -> String {
    let plain: String =
        protected.chars().map(|it| if it.is_ascii_alphanumeric() { it } else { '-' }).collect();
    format!("{FINGERPRINT_PREFIX}{plain}")
}

impl Kind for Extension {
    fn key(&self) -> &Key {
        &self.key
    }

    /// A second operation on the extensions of a cluster ends in EtagMismatch.
    fn changes_alone_in(&self) -> Option<&ArmId> {
        Some(&self.cluster_id)
    }

    fn mark_at(&self) -> Option<super::mark::MarkAt> {
        Some(MARK_AT)
    }

    fn target(&self) -> Target {
        Target::Arm(self.id.clone())
    }

    fn reads(&self) -> Vec<Read> {
        let api_version = ArmType::EXTENSIONS.api_version;
        vec![Read::Arm { id: self.id.clone(), api_version }]
    }

    fn want(&self, world: &Snapshot) -> Document {
        let live = world.document(&self.key).filter(|_| !self.never_worked(&world.of(&self.key)));
        self.document(derive::derive(self, world, live))
    }

    fn want_anew(&self, world: &Snapshot) -> Document {
        self.document(derive::derive(self, world, None))
    }

    fn rules(&self) -> Rules {
        Rules {
            same: &[
                ("/identity/type", Same::IgnoringCase),
                ("/properties/extensionType", Same::IgnoringCase),
                ("/properties/releaseTrain", Same::IgnoringCase),
            ],
            whole: &[
                "/properties/configurationProtectedSettings",
                "/properties/configurationSettings",
                "/properties/scope",
                "/properties/scope/cluster",
            ],
            immutable: &["/identity", "/properties/extensionType", "/properties/scope"],
            unread: &["/properties/configurationProtectedSettings"],
        }
    }

    /// The live document without fingerprints, its keys as they travel.
    fn shown(&self, live: &Live) -> Option<Json> {
        let mut document = live.document()?.clone();
        let plain = document.pointer_mut(SETTINGS).and_then(Json::as_object_mut);
        if let Some(settings) = plain {
            let own = std::mem::take(settings).into_iter();
            let own = own.filter(|(key, _)| !key.starts_with(FINGERPRINT_PREFIX));
            settings.extend(own.map(|(key, value)| (catalog::wire_key(&key), value)));
        }
        Some(document)
    }

    fn differences(&self, want: &Document, live: &Live) -> Vec<FieldChange> {
        let Some(shown) = self.shown(live) else { return Vec::new() };
        let mut changes = super::fields::diff(&want.body, &shown, &self.rules());
        changes.retain(|it| !self.means_the_same(it));
        for change in &mut changes {
            // A PATCH cannot take a key away; blank, it means the chart's default
            // (Azure docs: extensions, update).
            if change.after.is_none()
                && change.path.starts_with(&Pointer::parse(SETTINGS))
                && self.impact(change) != Impact::NotInPlace
            {
                change.after = Some("".into());
            }
        }
        changes.extend(self.changed_secrets(want, live));
        changes
    }

    fn readiness(&self, _want: &Document, live: &Live) -> Readiness {
        provisioning_readiness(live)
    }

    fn requests(&self, change: &Change<'_>) -> Vec<Request> {
        let api_version = ArmType::EXTENSIONS.api_version;
        let path = self.id.to_string();
        let failed = matches!(provisioning_readiness(change.live), Readiness::Failed { .. });
        let (method, body) = match change.verb {
            Verb::Create => (Method::Put, Some(self.put(change))),
            // A failed install has no release to update: it is put again as a whole.
            Verb::Update if failed => (Method::Put, Some(self.put(change))),
            Verb::Update => (Method::Patch, Some(self.patch(change))),
            Verb::Delete => (Method::Delete, None),
        };
        vec![Request::Arm { method, path, api_version, query: None, body }]
    }

    fn impact(&self, change: &FieldChange) -> Impact {
        if self.rules().is_immutable(&change.path) {
            return Impact::NotInPlace;
        }
        let key = match change.path.tokens() {
            [_, map, key, ..] if map.starts_with("configuration") => key.as_str(),
            _ => return Impact::Safe,
        };
        let after = change.after.as_ref().map(Value::to_stored);
        let text = |value: &Option<Json>| value.as_ref().and_then(Json::as_str).map(str::to_owned);
        catalog::impact_of(
            self.profile(),
            key,
            text(&change.before).as_deref(),
            text(&after).as_deref(),
        )
    }

    fn removal_impact(&self) -> Impact {
        Impact::DisruptsJobsAndEndpoints
    }

    fn secrets(&self) -> Vec<&Secret> {
        self.protected.values().collect()
    }

    fn secrets_mut(&mut self) -> Vec<&mut Secret> {
        self.protected.values_mut().collect()
    }

    /// Azure reports the installed version once an installation was done.
    fn never_worked(&self, live: &Live) -> bool {
        matches!(provisioning_readiness(live), Readiness::Failed { .. })
            && live.text("/properties/currentVersion").is_none()
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(60 * 60)
    }

    fn remark(&self, live: &Live) -> Option<String> {
        if self.secrets_unknown(live) {
            return Some(
                "another tool sent its protected settings, so nobody can tell whether they are \
                 the declared ones; the next change of the extension sends them"
                    .to_owned(),
            );
        }
        let managed = live.text("/properties/managementDetails/category")?;
        Some(format!("the extension is managed by {managed}; Azure may refuse changes from others"))
    }

    fn declared_at(&self, wire: &Pointer) -> Option<Pointer> {
        let tokens = wire.tokens();
        (tokens.first()? == "properties")
            .then(|| tokens[1..].iter().map(|text| derive::declared_key(text).to_owned()).collect())
    }
}

impl Extension {
    /// Whether a differing setting means on both sides the same to the chart.
    fn means_the_same(&self, change: &FieldChange) -> bool {
        let [_, map, key] = change.path.tokens() else { return false };
        let after = change.after.as_ref().map(Value::to_stored);
        let texts = [change.before.as_ref(), after.as_ref()].map(|value| value.map(Json::as_str));
        let [before @ (None | Some(Some(_))), after @ (None | Some(Some(_)))] = texts else {
            return false;
        };
        map == "configurationSettings"
            && catalog::same_setting(self.profile(), key, before.flatten(), after.flatten())
    }

    /// Whether secrets are declared and the extension was made by a tool that left no fingerprints.
    fn secrets_unknown(&self, live: &Live) -> bool {
        live.document().is_some() && !self.protected.is_empty() && sent(live).is_empty()
    }

    /// Declared secrets whose fingerprint is not the one that was sent. Without fingerprints the
    /// extension was made by another tool, and nothing can be said.
    fn changed_secrets(&self, want: &Document, live: &Live) -> Vec<FieldChange> {
        let sent = sent(live);
        if sent.is_empty() {
            return Vec::new();
        }
        let Some(Value::Object(protected)) = want.body.get(&Pointer::parse(PROTECTED)) else {
            return Vec::new();
        };
        let wanted = self.fingerprints(protected);
        let mut changes = Vec::new();
        for (key, value) in protected {
            let mark = fingerprint_key(key);
            let Some(fingerprint) = wanted.get(&mark) else { continue };
            if sent.get(mark.as_str()) != Some(&fingerprint.as_str()) {
                let before = sent.contains_key(mark.as_str()).then(|| Json::from("(sensitive)"));
                let path = Pointer::parse(PROTECTED).join(key);
                changes.push(FieldChange { path, before, after: Some(value.clone()) });
            }
        }
        for mark in sent.keys().filter(|text| !wanted.contains_key(**text)) {
            let key = mark.trim_start_matches(FINGERPRINT_PREFIX);
            let (path, before) = (Pointer::parse(PROTECTED).join(key), Some("(sensitive)".into()));
            changes.push(FieldChange { path, before, after: None });
        }
        changes
    }
}

/// The fingerprints that were sent, by their setting.
fn sent(live: &Live) -> BTreeMap<&str, &str> {
    let settings = live.document().and_then(|value| value.pointer(SETTINGS)?.as_object());
    settings
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
        .filter(|(key, value)| key.starts_with(FINGERPRINT_PREFIX) && !value.is_empty())
        .collect()
}
