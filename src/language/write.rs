//! A declared cluster → the YAML of its manifest: the smallest that says the same, with comments.

use std::collections::BTreeMap;

use super::DriftIgnore;
use super::parts::{
    ComputeSpec, FederatedIdentityCredentialSpec, IdentityType, InstanceTypeSpec, Quantity,
};
use super::spec::{
    Access, CloudName, CloudSpec, ClusterSpec, CredentialsFrom, ExtensionSpec, ProtectedSetting,
    Scc, SccMethod, Setting,
};

/// Whether texts of the cluster may hold `${VAR}` that is still to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dollars {
    /// Texts are in the manifest's notation already.
    AsWritten,
    /// Texts are plain: a dollar sign in them is written `$$`.
    Escape,
}

/// Writes several clusters as one fleet, with what they all say as its defaults.
#[must_use]
pub fn to_fleet(clusters: &[&ClusterSpec], head: &[String], dollars: Dollars) -> String {
    let mut out: String = head.iter().map(|it| format!("# {it}\n")).collect();
    let writer = YamlWriter { dollars };
    let mut maps: Vec<Entries> = Vec::new();
    for cluster in clusters {
        if let Yaml::Map(mut entries) = writer.cluster(cluster) {
            entries.retain(|(key, _)| key != "apiVersion" && key != "kind");
            maps.push(entries);
        }
    }
    let defaults = common(&mut maps, true);
    let mut top = Entries::new();
    writer.put(&mut top, "apiVersion", "amlplan/v1");
    writer.put(&mut top, "kind", "Fleet");
    if !defaults.is_empty() {
        top.push(("defaults".into(), Yaml::Map(defaults)));
    }
    top.push(("clusters".into(), Yaml::List(maps.into_iter().map(Yaml::Map).collect())));
    emit(&Yaml::Map(top), 0, "", &BTreeMap::new(), &mut out);
    out
}

/// Takes out of all maps what is the same in each: whole values, and the same parts of maps.
fn common(maps: &mut [Entries], top: bool) -> Entries {
    let Some(first) = maps.first() else { return Entries::new() };
    let keys: Vec<String> = first.iter().map(|it| it.0.clone()).collect();
    let mut out = Entries::new();
    for key in keys.into_iter().filter(|it| !(top && it == "name")) {
        let values: Vec<&Yaml> =
            maps.iter().filter_map(|it| Some(&it.iter().find(|it| it.0 == key)?.1)).collect();
        let Some(value) = values.first().filter(|_| values.len() == maps.len()) else { continue };
        if values.iter().all(|it| it == value) {
            out.push((key.clone(), (*value).clone()));
            maps.iter_mut().for_each(|it| it.retain(|it| it.0 != key));
            continue;
        }
        let inner: Option<Vec<Entries>> = values
            .iter()
            .map(|it| if let Yaml::Map(pair) = it { Some(pair.clone()) } else { None })
            .collect();
        let Some(mut inner) = inner else { continue };
        let shared = common(&mut inner, false);
        if shared.is_empty() {
            continue;
        }
        for (map, own) in maps.iter_mut().zip(inner) {
            for entry in map.iter_mut().filter(|it| it.0 == key) {
                entry.1 = Yaml::Map(own.clone());
            }
            map.retain(|it| it.0 != key || !matches!(&it.1, Yaml::Map(pair) if pair.is_empty()));
        }
        out.push((key, Yaml::Map(shared)));
    }
    out
}

#[derive(Debug, Clone, PartialEq)]
enum Yaml {
    Scalar(String),
    Map(Vec<(String, Yaml)>),
    List(Vec<Yaml>),
}

/// Writes a manifest. `head` are comment lines on top; `notes` are comments behind the line of a
/// part, by its dotted path (`extension.configurationSettings.sslCname`; list entries count from
/// zero).
#[must_use]
pub fn to_yaml(
    cluster: &ClusterSpec,
    head: &[String],
    notes: &BTreeMap<String, String>,
    dollars: Dollars,
) -> String {
    let mut out: String = head.iter().map(|it| format!("# {it}\n")).collect();
    let tree = YamlWriter { dollars }.cluster(cluster);
    emit(&tree, 0, "", notes, &mut out);
    out
}

struct YamlWriter {
    dollars: Dollars,
}

type Entries = Vec<(String, Yaml)>;

impl YamlWriter {
    fn text(&self, text: &str) -> Yaml {
        let text = match self.dollars {
            Dollars::AsWritten => text.to_owned(),
            Dollars::Escape => text.replace('$', "$$"),
        };
        Yaml::Scalar(scalar(&text))
    }

    fn put(&self, entries: &mut Entries, key: &str, value: &str) {
        entries.push((key.to_owned(), self.text(value)));
    }

    fn texts<'a>(&self, texts: impl IntoIterator<Item = &'a String>) -> Yaml {
        Yaml::List(texts.into_iter().map(|it| self.text(it)).collect())
    }

    fn cluster(&self, declared: &ClusterSpec) -> Yaml {
        let mut top = Entries::new();
        self.put(&mut top, "apiVersion", "amlplan/v1");
        self.put(&mut top, "kind", "Cluster");
        self.put(&mut top, "name", &declared.name);
        let mut azure = Entries::new();
        match &declared.azure.cloud {
            CloudSpec::Named(CloudName::AzureCloud) => {}
            CloudSpec::Named(CloudName::AzureUSGovernment) => {
                self.put(&mut azure, "cloud", "AzureUSGovernment");
            }
            CloudSpec::Named(CloudName::AzureChinaCloud) => {
                self.put(&mut azure, "cloud", "AzureChinaCloud");
            }
            CloudSpec::Custom(cloud) => {
                let mut own = Entries::new();
                self.put(&mut own, "name", &cloud.name);
                self.put(&mut own, "resourceManager", &cloud.resource_manager);
                for (key, value) in [("authority", &cloud.authority), ("audience", &cloud.audience)]
                {
                    value.iter().for_each(|it| self.put(&mut own, key, it));
                }
                azure.push(("cloud".into(), Yaml::Map(own)));
            }
        }
        declared.azure.tenant.iter().for_each(|it| self.put(&mut azure, "tenant", it));
        self.put(&mut azure, "subscription", &declared.azure.subscription);
        self.put(&mut azure, "resourceGroup", &declared.azure.resource_group);
        top.push(("azure".into(), Yaml::Map(azure)));
        let mut cluster = Entries::new();
        self.put(&mut cluster, "type", declared.cluster.kind.as_str());
        self.put(&mut cluster, "name", &declared.cluster.name);
        for (key, value) in [
            ("distribution", &declared.cluster.distribution),
            ("kubeconfig", &declared.cluster.kubeconfig),
            ("context", &declared.cluster.context),
        ] {
            value.iter().for_each(|it| self.put(&mut cluster, key, it));
        }
        if declared.cluster.credentials == CredentialsFrom::Azure {
            self.put(&mut cluster, "credentials", "azure");
        }
        if declared.cluster.access == Access::AzureOnly {
            self.put(&mut cluster, "access", "azureOnly");
        }
        if !declared.cluster.labels.is_empty() {
            let labels =
                declared.cluster.labels.iter().map(|(key, text)| (key.clone(), self.text(text)));
            cluster.push(("labels".into(), Yaml::Map(labels.collect())));
        }
        top.push(("cluster".into(), Yaml::Map(cluster)));
        self.parts(declared, &mut top);
        Yaml::Map(top)
    }

    fn parts(&self, cluster: &ClusterSpec, top: &mut Entries) {
        for (key, list) in [("features", &cluster.features), ("providers", &cluster.providers)] {
            if !list.is_empty() {
                top.push((key.into(), self.texts(list)));
            }
        }
        cluster.scc.iter().for_each(|it| top.push(("scc".into(), self.scc(it))));
        cluster.extension.iter().for_each(|it| top.push(("extension".into(), self.extension(it))));
        let mut list = |key: &str, items: Vec<Yaml>| {
            if !items.is_empty() {
                top.push((key.to_owned(), Yaml::List(items)));
            }
        };
        list("computes", cluster.computes.iter().map(|it| self.compute(it)).collect());
        list(
            "instanceTypes",
            cluster.instance_types.iter().map(|it| self.instance_type(it)).collect(),
        );
        let roles = cluster.role_assignments.iter().map(|assignment| {
            let mut role = Entries::new();
            self.put(&mut role, "principal", &assignment.principal);
            self.put(&mut role, "role", &assignment.role);
            self.put(&mut role, "scope", &assignment.scope);
            Yaml::Map(role)
        });
        list("roleAssignments", roles.collect());
        let credentials =
            cluster.federated_identity_credentials.iter().map(|it| self.credential(it));
        list("federatedIdentityCredentials", credentials.collect());
        let mut lifecycle = Entries::new();
        for (key, list) in [
            ("ignoreChanges", &cluster.lifecycle.ignore_changes),
            ("preventDestroy", &cluster.lifecycle.prevent_destroy),
        ] {
            if !list.is_empty() {
                lifecycle.push((key.into(), self.texts(list)));
            }
        }
        if !cluster.lifecycle.prune {
            lifecycle.push(("prune".into(), Yaml::Scalar("false".into())));
        }
        if !lifecycle.is_empty() {
            top.push(("lifecycle".into(), Yaml::Map(lifecycle)));
        }
        if !cluster.drift.ignore.is_empty() {
            let accepted = cluster.drift.ignore.iter().map(|it| self.accepted(it)).collect();
            top.push(("drift".into(), Yaml::Map(vec![("ignore".into(), Yaml::List(accepted))])));
        }
    }

    fn accepted(&self, ignored: &DriftIgnore) -> Yaml {
        let mut entry = Entries::new();
        self.put(&mut entry, "path", &ignored.path);
        ignored.class.iter().for_each(|it| self.put(&mut entry, "class", it.as_str()));
        self.put(&mut entry, "reason", &ignored.reason);
        for (key, value) in [("owner", &ignored.owner), ("until", &ignored.until)] {
            value.iter().for_each(|it| self.put(&mut entry, key, it));
        }
        Yaml::Map(entry)
    }

    fn scc(&self, declared: &Scc) -> Yaml {
        let mut scc = Entries::new();
        self.put(&mut scc, "name", &declared.name);
        match declared.method {
            Some(SccMethod::Rbac) => self.put(&mut scc, "method", "rbac"),
            Some(SccMethod::Users) => self.put(&mut scc, "method", "users"),
            None => {}
        }
        if !declared.service_accounts.is_empty() {
            scc.push(("serviceAccounts".into(), self.texts(&declared.service_accounts)));
        }
        Yaml::Map(scc)
    }

    fn extension(&self, declared: &ExtensionSpec) -> Yaml {
        let mut extension = Entries::new();
        self.put(&mut extension, "name", &declared.name);
        self.put(&mut extension, "profile", declared.profile.as_str());
        declared.version.iter().for_each(|it| self.put(&mut extension, "version", it));
        if declared.release_train != "stable" {
            self.put(&mut extension, "releaseTrain", &declared.release_train);
        }
        if !declared.auto_upgrade_minor_version {
            extension.push(("autoUpgradeMinorVersion".into(), Yaml::Scalar("false".into())));
        }
        if declared.allow_unknown_settings {
            extension.push(("allowUnknownSettings".into(), Yaml::Scalar("true".into())));
        }
        let settings = declared.configuration_settings.iter().map(|(key, value)| {
            let value = match value {
                Setting::Bool(flag) => Yaml::Scalar(flag.to_string()),
                Setting::Number(number) => Yaml::Scalar(number.to_string()),
                Setting::Text(text) => self.text(text),
            };
            (key.clone(), value)
        });
        let settings: Entries = settings.collect();
        let protected = declared.configuration_protected_settings.iter().map(|(key, value)| {
            let source =
                |word: &str, value: &str| Yaml::Map(vec![(word.to_owned(), self.text(value))]);
            let parts = |word: &str, parts: &[(&str, Option<&str>)]| {
                let all = parts.iter().filter_map(|(name, text)| {
                    Some(((*name).to_owned(), self.text(text.as_ref()?)))
                });
                Yaml::Map(vec![(word.to_owned(), Yaml::Map(all.collect()))])
            };
            let value = match value {
                ProtectedSetting::Text(text) => self.text(text),
                ProtectedSetting::FromEnv { from_env } => source("fromEnv", from_env),
                ProtectedSetting::FromFile { from_file } => source("fromFile", from_file),
                ProtectedSetting::FromKeyVault { from_key_vault: vault_secret } => parts(
                    "fromKeyVault",
                    &[
                        ("vault", Some(&vault_secret.vault)),
                        ("secret", Some(&vault_secret.secret)),
                        ("version", vault_secret.version.as_deref()),
                    ],
                ),
                ProtectedSetting::FromSecret { from_secret: secret_key } => parts(
                    "fromSecret",
                    &[
                        ("namespace", Some(&secret_key.namespace)),
                        ("name", Some(&secret_key.name)),
                        ("key", Some(&secret_key.key)),
                    ],
                ),
            };
            (key.clone(), value)
        });
        let protected: Entries = protected.collect();
        for (key, map) in
            [("configurationSettings", settings), ("configurationProtectedSettings", protected)]
        {
            if !map.is_empty() {
                extension.push((key.into(), Yaml::Map(map)));
            }
        }
        Yaml::Map(extension)
    }

    fn compute(&self, declared: &ComputeSpec) -> Yaml {
        let mut compute = Entries::new();
        self.put(&mut compute, "name", &declared.name);
        let mut workspace = Entries::new();
        self.put(&mut workspace, "name", &declared.workspace.name);
        for (key, value) in [
            ("resourceGroup", &declared.workspace.resource_group),
            ("subscription", &declared.workspace.subscription),
        ] {
            value.iter().for_each(|it| self.put(&mut workspace, key, it));
        }
        compute.push(("workspace".into(), Yaml::Map(workspace)));
        if declared.namespace != "default" {
            self.put(&mut compute, "namespace", &declared.namespace);
        }
        let kind = match declared.identity.kind {
            IdentityType::SystemAssigned => Some("SystemAssigned"),
            IdentityType::UserAssigned => Some("UserAssigned"),
            IdentityType::None => None,
        };
        if let Some(kind) = kind {
            let mut identity = Entries::new();
            self.put(&mut identity, "type", kind);
            if !declared.identity.user_assigned_identities.is_empty() {
                let ids = self.texts(&declared.identity.user_assigned_identities);
                identity.push(("userAssignedIdentities".into(), ids));
            }
            compute.push(("identity".into(), Yaml::Map(identity)));
        }
        declared.description.iter().for_each(|it| self.put(&mut compute, "description", it));
        if !declared.tags.is_empty() {
            let tags = declared.tags.iter().map(|(key, text)| (key.clone(), self.text(text)));
            compute.push(("tags".into(), Yaml::Map(tags.collect())));
        }
        let default = &declared.default_instance_type;
        default.iter().for_each(|it| self.put(&mut compute, "defaultInstanceType", it));
        Yaml::Map(compute)
    }

    fn credential(&self, spec: &FederatedIdentityCredentialSpec) -> Yaml {
        let mut entries = Entries::new();
        self.put(&mut entries, "name", &spec.name);
        self.put(&mut entries, "identity", &spec.identity);
        let mut account = Entries::new();
        self.put(&mut account, "namespace", &spec.service_account.namespace);
        self.put(&mut account, "name", &spec.service_account.name);
        entries.push(("serviceAccount".into(), Yaml::Map(account)));
        spec.issuer.iter().for_each(|it| self.put(&mut entries, "issuer", it));
        if !spec.audiences.is_empty() {
            entries.push(("audiences".into(), self.texts(&spec.audiences)));
        }
        Yaml::Map(entries)
    }

    fn instance_type(&self, instance_type: &InstanceTypeSpec) -> Yaml {
        let mut entries = Entries::new();
        self.put(&mut entries, "name", &instance_type.name);
        if !instance_type.node_selector.is_empty() {
            let labels = instance_type
                .node_selector
                .iter()
                .map(|(key, text)| (key.clone(), self.text(text)));
            entries.push(("nodeSelector".into(), Yaml::Map(labels.collect())));
        }
        let quantities = |map: &BTreeMap<String, Quantity>| {
            let entries = map.iter().map(|(key, quantity)| {
                let value = match quantity {
                    Quantity::Number(number) => Yaml::Scalar(number.to_string()),
                    Quantity::Text(text) => self.text(text),
                };
                (key.clone(), value)
            });
            Yaml::Map(entries.collect())
        };
        let resources = vec![
            ("requests".to_owned(), quantities(&instance_type.resources.requests)),
            ("limits".to_owned(), quantities(&instance_type.resources.limits)),
        ];
        entries.push(("resources".into(), Yaml::Map(resources)));
        Yaml::Map(entries)
    }
}

/// A text as a YAML scalar, quoted where a reader could take it for something else.
fn scalar(text: &str) -> String {
    let plain = |it: char| it.is_ascii_alphanumeric() || "_./-:@+".contains(it);
    let starts_well =
        text.starts_with(|it: char| it.is_ascii_alphanumeric() || it == '/' || it == '.');
    let lower = text.to_ascii_lowercase();
    let word = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&&*lower);
    let number = text.parse::<f64>().is_ok()
        || ["0x", "0o", "0b", ".inf", ".nan"].iter().any(|it| lower.starts_with(it));
    let sure = starts_well && text.chars().all(plain) && !text.ends_with(':');
    if sure && !word && !number {
        return text.to_owned();
    }
    // JSON strings are YAML strings, but for characters that YAML calls unprintable.
    let quoted = serde_json::Value::from(text).to_string();
    let unprintable = |letter: char| {
        matches!(
            letter,
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
        )
    };
    if !quoted.contains(unprintable) {
        return quoted;
    }
    let escaped = quoted.chars().map(|letter| match unprintable(letter) {
        true => format!("\\u{:04x}", u32::from(letter)),
        false => letter.to_string(),
    });
    escaped.collect()
}

fn emit(
    yaml: &Yaml,
    indent: usize,
    path: &str,
    notes: &BTreeMap<String, String>,
    out: &mut String,
) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    let note = |path: &str| notes.get(path).map(|it| format!("   # {it}")).unwrap_or_default();
    let pad = " ".repeat(indent);
    match yaml {
        Yaml::Scalar(text) => out.extend([&pad, text.as_str(), &note(path), "\n"]),
        Yaml::Map(entries) => {
            for (key, value) in entries {
                let path = below(key);
                let (key, note) = (scalar(key), note(&path));
                match value {
                    Yaml::Scalar(text) => out.extend([&pad, key.as_str(), ": ", text, &note, "\n"]),
                    Yaml::Map(inner) if inner.is_empty() => {
                        out.extend([&pad, key.as_str(), ": {}", &note, "\n"]);
                    }
                    Yaml::List(inner) if inner.is_empty() => {
                        out.extend([&pad, key.as_str(), ": []", &note, "\n"]);
                    }
                    Yaml::Map(_) | Yaml::List(_) => {
                        out.extend([&pad, key.as_str(), ":", &note, "\n"]);
                        emit(value, indent + 2, &path, notes, out);
                    }
                }
            }
        }
        Yaml::List(items) => {
            for (index, item) in items.iter().enumerate() {
                let start = out.len();
                emit(item, indent + 2, &below(&index.to_string()), notes, out);
                // The dash takes the place of the first line's indentation.
                out.replace_range(start..start + indent + 2, &format!("{pad}- "));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted_where_yaml_would_read_something_else() {
        for (text, yaml) in [
            ("ml-rg", "ml-rg"),
            ("2021-11-preview", "2021-11-preview"),
            ("1.1.106", "1.1.106"),
            ("1.1", "\"1.1\""),
            ("4", "\"4\""),
            ("yes", "\"yes\""),
            ("", "\"\""),
            ("a b", "\"a b\""),
            ("${X:-y}", "\"${X:-y}\""),
            ("a: b", "\"a: b\""),
            ("-x", "\"-x\""),
            ("a\u{7f}b", "\"a\\u007fb\""),
            ("system:serviceaccount:a:b", "system:serviceaccount:a:b"),
            ("nvidia.com/gpu", "nvidia.com/gpu"),
        ] {
            assert_eq!(scalar(text), yaml);
        }
    }
}
