//! `az k8s-extension create` and `az ml compute attach`.

use std::collections::BTreeMap;

use std::ops::Range;

use crate::catalog;
use crate::source::Severity;

use super::draft::ClusterId;
use super::lex::Word;
use super::options::{Known, Options};
use super::read::Reader;
use super::values::{self, NO_SUBSCRIPTION, fill};
use crate::language::{
    ClusterType, Compute, Extension, Identity, IdentityType, Profile, WorkspaceRef,
};

const EXTENSION: [Known; 13] = [
    &["--name", "-n"],
    &["--extension-type"],
    &["--cluster-type", "-t"],
    &["--cluster-name", "-c"],
    &["--resource-group", "-g"],
    &["--scope"],
    &["--release-train"],
    &["--version"],
    &["--auto-upgrade-minor-version", "--auto-upgrade"],
    &["--release-namespace"],
    &["--configuration-settings", "--config", "--config-settings"],
    &["--configuration-protected-settings", "--config-protected", "--config-protected-settings"],
    &[
        "--configuration-settings-file",
        "--config-file",
        "--config-settings-file",
        "--configuration-protected-settings-file",
        "--config-protected-file",
    ],
];
const ATTACH: [Known; 8] = [
    &["--name", "-n"],
    &["--resource-group", "-g"],
    &["--workspace-name", "-w"],
    &["--resource-id"],
    &["--type", "-t"],
    &["--namespace"],
    &["--identity-type"],
    &["--user-assigned-identities", "-i"],
];

impl Reader<'_> {
    pub(super) fn extension(&mut self, words: &[Word]) {
        const TYPE: &str = "Microsoft.AzureML.Kubernetes";
        let options = self.options(words, &EXTENSION);
        if let Some(kind) = options.one("--extension-type")
            && !kind.text.eq_ignore_ascii_case(TYPE)
        {
            let message = format!("an extension of type {} is left out: not Azure ML's", kind.text);
            self.findings.advice("az-ignored", kind.span.clone(), message);
            return;
        }
        if let Some(scope) = options.one("--scope")
            && !scope.text.eq_ignore_ascii_case("cluster")
        {
            let message = format!("the scope is `{}`", scope.text);
            self.wrong(scope.span.clone(), message, "Azure ML's extension has the scope cluster");
        }
        if let Some(file) = options.one("--configuration-settings-file") {
            let message = format!("the settings in `{}` are not read", file.text);
            let help = "write them behind --configuration-settings";
            self.findings.push(("az-value", Severity::Warning), file.span.clone(), message, help);
        }
        let name = self.needed(&options, "--name");
        let kind = self.needed(&options, "--cluster-type");
        let cluster = self.needed(&options, "--cluster-name");
        let group = self.needed(&options, "--resource-group");
        let kind = kind.and_then(|it| self.cluster_type(&it, &options));
        let (Some(name), Some(kind), Some(cluster), Some(group)) = (name, kind, cluster, group)
        else {
            return;
        };
        let subscription = self.text(&options, "--subscription");
        let mut extension = self.settings(name, &options);
        extension.version = self.text(&options, "--version");
        if let Some(train) = self.text(&options, "--release-train") {
            extension.release_train = train.to_lowercase();
        }
        if let Some(auto) = self.text(&options, "--auto-upgrade-minor-version") {
            extension.auto_upgrade_minor_version = !auto.eq_ignore_ascii_case("false");
        }
        let update = words.get(2).is_some_and(|it| it.text == "update");
        let draft = self.drafts.of_extension(subscription, &group, kind, &cluster, options.span());
        match draft.extension.as_mut() {
            Some(old) if update => {
                old.allow_unknown_settings |= extension.allow_unknown_settings;
                old.configuration_settings.extend(extension.configuration_settings);
                old.configuration_protected_settings
                    .extend(extension.configuration_protected_settings);
            }
            Some(_) => {
                draft.extension = Some(extension);
                let message =
                    format!("`{cluster}` gets its extension a second time; this one counts");
                self.slip(options.span(), message);
            }
            None => draft.extension = Some(extension),
        }
    }

    fn cluster_type(&mut self, text: &str, options: &Options) -> Option<ClusterType> {
        let types = [ClusterType::ConnectedClusters, ClusterType::ManagedClusters];
        let found = types.into_iter().find(|it| it.as_str().eq_ignore_ascii_case(text));
        if found.is_none() {
            let span = options.one("--cluster-type").map_or(options.span(), |it| it.span.clone());
            let help = "write connectedClusters (Azure Arc) or managedClusters (AKS)";
            self.wrong(span, format!("there is no cluster type `{text}`"), help);
        }
        found
    }

    fn settings(&mut self, name: String, options: &Options) -> Extension {
        let mut extension = Extension {
            name,
            profile: Profile::default(),
            version: None,
            release_train: "stable".to_owned(),
            auto_upgrade_minor_version: true,
            allow_unknown_settings: false,
            configuration_settings: Default::default(),
            configuration_protected_settings: Default::default(),
        };
        let maps =
            [(false, "--configuration-settings"), (true, "--configuration-protected-settings")];
        for (secret, option) in maps {
            for word in options.all(option) {
                let Some((key, value)) = values::setting(word, self.findings) else { continue };
                let belongs = catalog::setting(&key).map_or(secret, |it| it.protected);
                if belongs != secret {
                    let map = if belongs { "protected" } else { "plain" };
                    self.slip(word.span.clone(), format!("`{key}` belongs to the {map} settings"));
                }
                // Values of the chart that no page lists are passed on, as `az` does.
                extension.allow_unknown_settings |=
                    catalog::setting(&key).is_none() && key.contains(['.', '[']);
                if belongs {
                    let value = values::protected(&key, &value);
                    extension.configuration_protected_settings.insert(key, value);
                } else {
                    let value = values::plain(&key, &value, &word.span, self.findings);
                    extension.configuration_settings.insert(key, value);
                }
            }
        }
        extension
    }

    pub(super) fn attach(&mut self, words: &[Word]) {
        let options = self.options(words, &ATTACH);
        let name = self.needed(&options, "--name");
        let group = self.needed(&options, "--resource-group");
        let workspace = self.needed(&options, "--workspace-name");
        let id = self.needed(&options, "--resource-id");
        let span = options.one("--resource-id").map_or(options.span(), |it| it.span.clone());
        let cluster = id.and_then(|it| self.cluster_id(&it, span));
        let identity = self.identity(&options);
        let (Some(name), Some(group), Some(workspace), Some(cluster)) =
            (name, group, workspace, cluster)
        else {
            return;
        };
        let subscription =
            self.text(&options, "--subscription").or_else(|| self.drafts.subscription.clone());
        let namespace = self.text(&options, "--namespace").unwrap_or_else(|| "default".into());
        let draft = self.drafts.of_compute(&cluster, options.span());
        let same = |ours: &str, theirs: &str| ours.eq_ignore_ascii_case(theirs);
        let subscription = subscription
            .filter(|it| !draft.subscription.as_deref().is_none_or(|own| same(own, it)))
            .filter(|it| it != NO_SUBSCRIPTION);
        let resource_group =
            Some(group).filter(|it| !draft.group.as_deref().is_some_and(|own| same(own, it)));
        let workspace = WorkspaceRef { name: workspace, resource_group, subscription };
        draft.computes.push(Compute {
            name,
            workspace,
            namespace,
            identity,
            description: None,
            tags: BTreeMap::new(),
            default_instance_type: None,
        });
    }

    /// `(subscription, group, type, name)` of a cluster's resource id.
    fn cluster_id(&mut self, id: &str, span: Range<usize>) -> Option<ClusterId> {
        let parts: Vec<&str> = id.trim_start_matches('/').split('/').collect();
        let [_, subscription, _, group, _, namespace, kind, name] = parts[..] else {
            let help = "write /subscriptions/…/resourceGroups/…/providers/Microsoft.Kubernetes/connectedClusters/NAME";
            self.wrong(span, format!("`{id}` is not the resource id of a cluster"), help);
            return None;
        };
        let aks = kind.eq_ignore_ascii_case("managedClusters");
        let kind = if aks { ClusterType::ManagedClusters } else { ClusterType::ConnectedClusters };
        let given = format!("{namespace}/{}", parts.get(6).copied().unwrap_or_default());
        if !given.eq_ignore_ascii_case(kind.resource_type()) {
            let message = format!("`{given}`, taken for `{}`", kind.resource_type());
            self.slip(span, message);
        }
        Some(ClusterId {
            subscription: subscription.to_owned(),
            group: group.to_owned(),
            kind,
            name: name.to_owned(),
        })
    }

    fn identity(&mut self, options: &Options) -> Identity {
        let mut ids = Vec::new();
        for word in options.all("--user-assigned-identities") {
            let text = fill(word, self.findings);
            for id in text.split(',').map(str::trim).filter(|it| !it.is_empty()) {
                if id.starts_with("subscriptions/") {
                    let message = "a resource id starts with a slash; added".to_owned();
                    self.slip(word.span.clone(), message);
                    ids.push(format!("/{id}"));
                } else {
                    ids.push(id.to_owned());
                }
            }
        }
        let given = options.one("--identity-type");
        let folded = given.map(|it| it.text.replace(['_', '-'], "").to_lowercase());
        let kind = match folded.as_deref() {
            Some("systemassigned") => IdentityType::SystemAssigned,
            Some("userassigned") => IdentityType::UserAssigned,
            Some("none") => IdentityType::None,
            Some(_) => {
                let span = given.map_or(options.span(), |it| it.span.clone());
                let help = "write SystemAssigned, UserAssigned or None";
                self.wrong(span, "there is no such identity type".to_owned(), help);
                IdentityType::None
            }
            None if ids.is_empty() => IdentityType::None,
            None => {
                let message =
                    "`--identity-type UserAssigned` is missing beside the identities; added";
                self.slip(options.span(), message.to_owned());
                IdentityType::UserAssigned
            }
        };
        Identity { kind, user_assigned_identities: ids }
    }
}
