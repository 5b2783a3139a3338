//! Live → manifest: a draft of what is there, and what to add to it until its plan is empty.
//!
//! Derived settings are left out; what differs from them is declared, and what another tool did
//! not set is listed under `lifecycle.ignoreChanges` with the reason.

use std::collections::{BTreeMap, BTreeSet};

use super::az::{label, told};
use crate::catalog::{self, ProfileName, SettingKind};
use crate::language::{
    Access, Azure, CloudSpec, ClusterRef, ClusterSpec, ClusterType, ComputeSpec, CredentialsFrom,
    ExtensionSpec, IdentitySpec, IdentityType, Profile, Scc, Setting, WorkspaceRef,
};
use crate::model::{ArmId, Json, Key, KindName};
use crate::resource::part::{Around, Lists};
use crate::resource::{FINGERPRINT_PREFIX, FieldChange, PARTS, about};

/// What is live, as it was read.
#[derive(Debug, Clone, Default)]
pub struct LiveFound {
    /// The Azure ML extension of the cluster.
    pub extension: Option<Json>,
    /// Computes, each with the id of its workspace.
    pub computes: Vec<(ArmId, Json)>,
    /// What the other parts of a manifest asked for.
    pub lists: Lists,
    /// The cluster.
    pub cluster: Json,
}

impl LiveFound {
    /// What the parts of a manifest are read by.
    #[must_use]
    pub fn around(&self) -> Around<'_> {
        Around { cluster: &self.cluster, computes: &self.computes }
    }
}

/// One resource whose live state differs from what the draft says, or does not.
#[derive(Debug, Clone, Copy)]
pub struct Difference<'a> {
    /// The address.
    pub key: &'a Key,
    /// Whether it is not there at all.
    pub absent: bool,
    /// The fields that differ.
    pub changes: &'a [FieldChange],
}

/// A manifest in the making.
#[derive(Debug, Clone)]
pub struct LiveDraft {
    /// What it declares.
    pub cluster: ClusterSpec,
    ignored: BTreeMap<String, String>,
}

const PLAIN: &str = "extension.configurationSettings";
const PROTECTED: &str = "extension.configurationProtectedSettings";
/// Keys of the router's certificate, which Azure never returns.
const CERTIFICATE: [&str; 2] = ["sslCertPemFile", "sslKeyPemFile"];

/// The cluster alone, without what is on it.
#[must_use]
pub fn bare(id: &ArmId, kind: ClusterType, access: Access) -> ClusterSpec {
    let name = id.name();
    let azure = Azure {
        cloud: CloudSpec::default(),
        tenant: None,
        subscription: id.subscription().to_owned(),
        resource_group: id.resource_group().unwrap_or_default().to_owned(),
    };
    let cluster = ClusterRef {
        kind,
        name: name.to_owned(),
        distribution: None,
        kubeconfig: None,
        context: None,
        credentials: CredentialsFrom::default(),
        access,
        labels: BTreeMap::new(),
    };
    ClusterSpec::bare(label(name), azure, cluster)
}

/// The first draft: what was found, without settings that amlplan derives.
#[must_use]
pub fn draft(mut cluster: ClusterSpec, found: &LiveFound, profile: Option<Profile>) -> LiveDraft {
    cluster.computes = found.computes.iter().map(|it| compute(&cluster.azure, it)).collect();
    let around = found.around();
    for part in PARTS {
        part.take(&around, &found.lists, &mut cluster);
    }
    let mut draft = LiveDraft { cluster, ignored: BTreeMap::new() };
    if let Some(live) = &found.extension {
        draft.cluster.extension = Some(extension(live, profile));
        draft.secrets(live);
    }
    draft
}

fn text(live: &Json, pointer: &str) -> Option<String> {
    let found = live.pointer(pointer)?.as_str().filter(|text| !text.is_empty());
    found.map(str::to_owned)
}

/// Settings that count: neither blank nor the fingerprints that amlplan keeps.
fn settings(live: &Json) -> impl Iterator<Item = (&String, &str)> + Clone {
    let map = live.pointer("/properties/configurationSettings").and_then(Json::as_object);
    map.into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key, value.as_str()?)))
        .filter(|(key, value)| !value.is_empty() && !key.starts_with("amlplan."))
}

fn extension(live: &Json, profile: Option<Profile>) -> ExtensionSpec {
    let follows = live.pointer("/properties/autoUpgradeMinorVersion").and_then(Json::as_bool);
    let follows = follows.unwrap_or(true);
    // A key that amlplan derives is declared later, when its value turns out to be another one.
    let scenario = |key: &str| matches!(key, "enableTraining" | "enableInference");
    let declared = settings(live)
        .filter(|(key, value)| {
            if scenario(key) {
                return value.eq_ignore_ascii_case("true");
            }
            let derived =
                ProfileName::ALL.iter().any(|it| catalog::derived_map(*it, key).is_some());
            !derived && catalog::setting(key).is_some()
        })
        .map(|(key, value)| (key.clone(), setting(key, value)));
    let told_by = settings(live).map(|(key, value)| (key.as_str(), value.to_owned()));
    ExtensionSpec {
        name: text(live, "/name").unwrap_or_else(|| "azureml".to_owned()),
        profile: profile.or_else(|| told(told_by)).unwrap_or(Profile::Ga),
        version: text(live, "/properties/version").filter(|_| !follows),
        release_train: text(live, "/properties/releaseTrain")
            .filter(|text| !text.eq_ignore_ascii_case("stable"))
            .unwrap_or_else(|| "stable".to_owned()),
        auto_upgrade_minor_version: follows,
        allow_unknown_settings: false,
        configuration_settings: declared.collect(),
        configuration_protected_settings: BTreeMap::new(),
    }
}

/// A value of the wire as one would write it.
fn setting(key: &str, value: &str) -> Setting {
    let kind = catalog::setting(key).map(|setting_fact| &setting_fact.kind);
    let flag = value.to_ascii_lowercase().parse().ok().map(Setting::Bool);
    let number = value.parse().ok().map(Setting::Number).filter(|setting| setting.wire() == value);
    let found = match kind {
        Some(SettingKind::Bool) => flag,
        Some(SettingKind::Integer) => number,
        _ => None,
    };
    found.unwrap_or_else(|| Setting::Text(value.to_owned()))
}

fn compute(azure: &Azure, (workspace, live): &(ArmId, Json)) -> ComputeSpec {
    let other =
        |own: &str, theirs: &str| (!own.eq_ignore_ascii_case(theirs)).then(|| theirs.to_owned());
    let group = workspace.resource_group().unwrap_or_default();
    let kind = text(live, "/identity/type").unwrap_or_default().to_ascii_lowercase();
    let ids = live.pointer("/identity/userAssignedIdentities").and_then(Json::as_object);
    let ids: Vec<String> = ids.into_iter().flatten().map(|(id, _)| id.clone()).collect();
    let kind = match () {
        () if kind.contains("userassigned") && !ids.is_empty() => IdentityType::UserAssigned,
        () if kind.contains("systemassigned") => IdentityType::SystemAssigned,
        () => IdentityType::None,
    };
    let own = |_: &String| kind == IdentityType::UserAssigned;
    let identity =
        IdentitySpec { kind, user_assigned_identities: ids.into_iter().filter(own).collect() };
    ComputeSpec {
        name: text(live, "/name").unwrap_or_default(),
        workspace: WorkspaceRef {
            name: workspace.name().to_owned(),
            resource_group: other(&azure.resource_group, group),
            subscription: other(&azure.subscription, workspace.subscription()),
        },
        namespace: text(live, "/properties/properties/namespace")
            .unwrap_or_else(|| "default".to_owned()),
        identity,
        // What is not in the manifest stays as it is.
        description: None,
        tags: BTreeMap::new(),
        default_instance_type: None,
    }
}

/// The setting that a fingerprint is of, as one would declare it; `None` for the chart's own keys.
fn secret_name(mark: &str) -> Option<String> {
    let plain = |key: &str| key.replace(['.', '_'], "-");
    let known = catalog::settings().iter().find(|setting_fact| plain(&setting_fact.key) == mark);
    let derived =
        |text: &str| text.starts_with("scoringFe-") || text == "relayserver-relayConnectionString";
    (!derived(mark)).then(|| known.map_or(mark, |it| it.key.as_str()).to_owned())
}

impl LiveDraft {
    /// Secrets that the extension must have been given: they stay as they are until somebody
    /// writes them into the manifest.
    fn secrets(&mut self, live: &Json) {
        let all = live.pointer("/properties/configurationSettings").and_then(Json::as_object);
        let marks = all.into_iter().flatten().filter(|(_, value)| value.as_str() != Some(""));
        let mut keys: BTreeSet<String> = marks
            .filter_map(|(key, _)| secret_name(key.strip_prefix(FINGERPRINT_PREFIX)?))
            .collect();
        if self.needs_certificate() {
            keys.extend(CERTIFICATE.map(str::to_owned));
        }
        if !keys.is_empty() {
            let keys = keys.into_iter().collect::<Vec<_>>().join(", ");
            let why = format!(
                "Azure never returns secrets; to manage them write {keys} under \
                 extension.configurationProtectedSettings and delete this line"
            );
            self.ignore(PROTECTED, &why);
        }
    }

    fn needs_certificate(&self) -> bool {
        let Some(extension) = &self.cluster.extension else { return false };
        let settings = &extension.configuration_settings;
        let on = |key: &str| settings.get(key).is_some_and(Setting::is_true);
        on("enableInference")
            && !on("allowInsecureConnections")
            && !(extension.profile == Profile::Ga && settings.contains_key("sslSecret"))
    }

    fn ignore(&mut self, path: &str, why: &str) -> bool {
        self.ignored.insert(path.to_owned(), why.to_owned()).is_none()
    }

    /// The cluster with its lifecycle, and the comments to write behind the lines of its parts.
    #[must_use]
    pub fn finished(&self) -> (ClusterSpec, BTreeMap<String, String>) {
        let mut cluster = self.cluster.clone();
        cluster.lifecycle.ignore_changes = self.ignored.keys().cloned().collect();
        let notes = self.ignored.values().enumerate();
        let notes = notes.map(|(at, why)| (format!("lifecycle.ignoreChanges.{at}"), why.clone()));
        (cluster, notes.collect())
    }

    /// Declares, or sets aside, what differs; `false` when there is nothing more it can do.
    pub fn settle(&mut self, found: &[Difference<'_>]) -> bool {
        let registrations = self.registrations(found);
        let grants = self.grants(found);
        let others = self.others(found);
        let extension = self.companions(found) || self.extension(found);
        registrations || grants || others || extension
    }

    /// What is not registered and yet not missed is left out of the registrations.
    fn registrations(&mut self, found: &[Difference<'_>]) -> bool {
        let mut changed = false;
        for kind in [KindName::Feature, KindName::Provider] {
            let mine = || found.iter().filter(|difference| difference.key.kind == kind);
            let registered = mine().filter(|it| !it.absent && it.changes.is_empty());
            let registered: Vec<String> = registered.map(|it| it.key.name.clone()).collect();
            let list = match kind {
                KindName::Feature => &mut self.cluster.features,
                _ => &mut self.cluster.providers,
            };
            if registered.len() < mine().count() && *list != registered {
                *list = registered;
                changed |= !list.is_empty();
            }
        }
        changed
    }

    /// Grants to further accounts are declared; fewer grants than amlplan would make are kept.
    fn grants(&mut self, found: &[Difference<'_>]) -> bool {
        let mut changed = false;
        for difference in found.iter().filter(|it| it.key.kind == KindName::SccGrant && !it.absent)
        {
            let accounts = |list: Option<&Json>| -> BTreeSet<String> {
                let list = list.and_then(Json::as_array).into_iter().flatten();
                list.filter_map(|value| {
                    let (namespace, name) = (text(value, "/namespace")?, text(value, "/name")?);
                    Some(format!("system:serviceaccount:{namespace}:{name}"))
                })
                .collect()
            };
            for change in difference.changes {
                let wanted = change.after.as_ref().map(crate::model::Value::to_stored);
                let wanted = accounts(wanted.as_ref());
                let extra: Vec<String> =
                    accounts(change.before.as_ref()).difference(&wanted).cloned().collect();
                if extra.is_empty() {
                    let why = "not every account that profile and computes ask for has the grant";
                    changed |= self.ignore("scc", why);
                } else {
                    let name = difference.key.name.clone();
                    let empty = || Scc { name, method: None, service_accounts: Vec::new() };
                    self.cluster.scc.get_or_insert_with(empty).service_accounts.extend(extra);
                    changed = true;
                }
            }
        }
        changed
    }

    /// What no manifest can say of them.
    fn others(&mut self, found: &[Difference<'_>]) -> bool {
        let mut changed = false;
        for difference in found.iter().filter(|it| !it.changes.is_empty()) {
            let Some((path, why)) =
                (about(difference.key.kind).set_aside)(difference.key, difference.changes)
            else {
                continue;
            };
            changed |= self.ignore(&path, why);
        }
        changed
    }

    /// A companion that is not there was not made by `az`: it stays so.
    fn companions(&mut self, found: &[Difference<'_>]) -> bool {
        let mut changed = false;
        for difference in found.iter().filter(|it| it.absent) {
            let key = match difference.key.kind {
                KindName::RelayNamespace => "relayserver.enabled",
                KindName::ServiceBusNamespace => "servicebus.enabled",
                KindName::LogAnalyticsWorkspace => "logAnalyticsWS",
                _ => continue,
            };
            let Some(extension) = &mut self.cluster.extension else { continue };
            if extension.profile == Profile::Preview && key != "logAnalyticsWS" {
                continue;
            }
            let settings = &mut extension.configuration_settings;
            let off = Setting::Bool(false);
            changed |= settings.insert(key.to_owned(), off.clone()) != Some(off);
            let why = "false here, whatever is live, so that amlplan makes no companion for it";
            changed |= self.ignore(&format!("{PLAIN}.{key}"), why);
        }
        changed
    }

    /// First values that differ from derived ones, then keys that are only live, and only when
    /// nothing else is left, derived keys that nobody set: each step changes what is derived.
    fn extension(&mut self, found: &[Difference<'_>]) -> bool {
        let Some(difference) =
            found.iter().find(|it| it.key.kind == KindName::Extension && !it.absent)
        else {
            return false;
        };
        let mut changed = false;
        for change in difference.changes {
            if let [_, field] | [_, field, _] = change.path.tokens()
                && field != "configurationSettings"
                && field != "configurationProtectedSettings"
            {
                let why = "another tool set it otherwise, and it cannot be declared";
                changed |= self.ignore(&format!("extension.{field}"), why);
            }
        }
        let class = |change: &&FieldChange| match (&change.before, &change.after) {
            (Some(_), Some(_)) => 0,
            (Some(_), None) => 1,
            (None, _) => 2,
        };
        let plain = |change: &&FieldChange| matches!(change.path.tokens(), [_, map, _] if map == "configurationSettings");
        let first = difference.changes.iter().filter(plain).map(|it| class(&it)).min();
        for change in difference.changes.iter().filter(plain).filter(|it| Some(class(it)) == first)
        {
            changed |= self.setting(change);
        }
        changed
    }

    fn setting(&mut self, change: &FieldChange) -> bool {
        let Some(key) = change.path.tokens().last() else { return false };
        let path = format!("{PLAIN}.{key}");
        let Some(live) = change.before.as_ref().and_then(Json::as_str) else {
            return self.ignore(&path, "amlplan and az set it, who installed this did not");
        };
        let known = catalog::setting(key).is_some() || key.contains('.');
        let derived = ProfileName::ALL.iter().any(|it| catalog::derived_map(*it, key).is_some());
        if !known && !derived {
            return self.ignore(&path, "amlplan does not know this setting");
        }
        let Some(extension) = &mut self.cluster.extension else { return false };
        // Values of the chart that no page lists are passed on, as whoever installed this did.
        extension.allow_unknown_settings |= catalog::setting(key).is_none() && !derived;
        let wanted = setting(key, live);
        let settings = &mut extension.configuration_settings;
        if settings.insert(key.clone(), wanted.clone()) == Some(wanted) {
            return self.ignore(&path, "it is computed, whatever is declared");
        }
        true
    }
}
