//! Commands → drafts of clusters.

use std::ops::Range;

use crate::catalog;
use crate::source::Severity;

use super::super::spec::{
    Cloud, CloudName, ClusterType, Compute, CustomCloud, Extension, Identity, IdentityType,
    InstanceType, Profile, Resources, RoleAssignment, SccMethod, WorkspaceRef,
};
use super::Findings;
use super::draft::{Draft, Drafts};
use super::lex::{Item, Word};
use super::options::{Known, Options};
use super::values::{self, NO_SUBSCRIPTION, fill};

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
const ROLE: [Known; 5] = [
    &["--assignee-object-id", "--assignee"],
    &["--assignee-principal-type"],
    &["--role"],
    &["--scope"],
    &["--name", "-n"],
];
const REGISTER: [Known; 3] = [&["--namespace"], &["--name", "-n"], &["--wait"]];
const ACCOUNT: [Known; 2] = [&["--name", "-n"], &["--tenant", "-t"]];
const CLOUD: [Known; 4] = [
    &["--name", "-n"],
    &["--endpoint-resource-manager"],
    &["--endpoint-active-directory"],
    &["--endpoint-active-directory-resource-id"],
];
const ADM: [Known; 2] = [&["-z", "--serviceaccount"], &["-n", "--namespace"]];
const PATCH: [Known; 2] = [&["--type"], &["-p", "--patch"]];
const APPLY: [Known; 1] = [&["-f", "--filename"]];

/// Reads commands one after the other.
pub(super) struct Reader<'a> {
    findings: &'a mut Findings,
    drafts: Drafts,
}

impl<'a> Reader<'a> {
    pub(super) fn new(findings: &'a mut Findings) -> Self {
        Self { findings, drafts: Drafts::default() }
    }

    pub(super) fn finish(self) -> Drafts {
        self.drafts
    }

    pub(super) fn item(&mut self, item: Item) {
        match item {
            Item::Command { words, body } => self.command(&words, body.as_deref()),
            Item::Directive(word) => self.directive(&word),
            Item::Account(word) => self.drafts.current().accounts.push(word.text),
            Item::EditScc(word) => {
                self.drafts.current().scc = Some((word.text, Some(SccMethod::Users)));
            }
        }
    }

    fn command(&mut self, words: &[Word], body: Option<&str>) {
        let verb = Options::verb(words);
        let mut parts = verb.split(' ');
        let mut next = || parts.next().unwrap_or_default();
        match (next(), next(), next(), next()) {
            ("az", "k8s-extension", "create" | "update", "") => self.extension(words),
            ("az", "ml", "compute", "attach") => self.attach(words),
            ("az", "role", "assignment", "create") => self.role(words),
            ("az", "feature" | "provider", "register", "") => self.register(words),
            ("az", "account", "set", "") | ("az", "login", "", "") => self.account(words),
            ("az", "cloud", "set" | "register", "") => self.cloud(words),
            ("oc", "adm", "policy", "add-scc-to-user") => self.add_scc(words),
            ("oc" | "kubectl", "edit", "scc", name) => {
                self.drafts.current().scc = Some((name.to_owned(), Some(SccMethod::Users)));
            }
            ("oc" | "kubectl", "patch", "scc", name) => self.patch_scc(name, words),
            ("oc" | "kubectl", "apply", ..) => self.apply(words, body.unwrap_or_default()),
            ("az", _, "show" | "list" | "wait", _) | ("oc" | "kubectl", "get" | "describe", ..) => {
                self.ignored(words, "amlplan verify looks at this");
            }
            ("oc" | "kubectl", "create", "namespace" | "ns", _) | ("oc", "new-project", ..) => {
                self.ignored(words, "amlplan makes the namespaces that computes name");
            }
            ("az", "extension" | "version" | "upgrade" | "config", ..) => {
                self.ignored(words, "amlplan needs no extensions of az");
            }
            ("az", "connectedk8s" | "aks" | "group", ..) | ("az", "ml", "workspace", _) => {
                self.ignored(words, "amlplan takes clusters, groups and workspaces as given");
            }
            _ => self.ignored(words, "nothing a manifest can say"),
        }
    }

    fn ignored(&mut self, words: &[Word], why: &str) {
        let verb = Options::verb(words);
        let span = words.first().map_or(0..0, |it| it.span.start..it.span.start + verb.len());
        self.findings.advice("az-ignored", span, format!("`{verb}` is left out: {why}"));
    }

    fn options(&mut self, words: &[Word], known: &[Known]) -> Options {
        let mut slips = Vec::new();
        let options = Options::read(words, known, &mut slips);
        self.findings.slips(slips);
        options
    }

    fn text(&mut self, options: &Options, name: &str) -> Option<String> {
        options.one(name).map(|it| fill(it, self.findings))
    }

    /// The value of an option that must be there.
    fn needed(&mut self, options: &Options, name: &str) -> Option<String> {
        let found = self.text(options, name);
        if found.is_none() {
            let message = format!("`{name}` is missing");
            let help = format!("add {name} and its value");
            self.findings.push(("az-missing", Severity::Error), options.span(), message, &help);
        }
        found
    }

    fn wrong(&mut self, span: Range<usize>, message: String, help: &str) {
        self.findings.push(("az-value", Severity::Error), span, message, help);
    }

    fn slip(&mut self, span: Range<usize>, message: String) {
        self.findings.push(("az-slip", Severity::Warning), span, message, "");
    }

    fn directive(&mut self, word: &Word) {
        let Some((path, value)) = word.text.split_once(" = ") else { return };
        if !self.drafts.direct(path, value) {
            let message = format!("`{path}` is nothing a comment can set");
            self.wrong(word.span.clone(), message, "take the line out");
        }
    }

    fn account(&mut self, words: &[Word]) {
        let options = self.options(words, &ACCOUNT);
        let subscription =
            self.text(&options, "--subscription").or_else(|| self.text(&options, "--name"));
        if subscription.is_some() {
            self.drafts.subscription = subscription;
        }
        if let Some(tenant) = self.text(&options, "--tenant") {
            self.drafts.tenant = Some(tenant);
        }
    }

    fn cloud(&mut self, words: &[Word]) {
        let options = self.options(words, &CLOUD);
        let Some(name) = self.needed(&options, "--name") else { return };
        let resource_manager = self.text(&options, "--endpoint-resource-manager");
        let known = match name.as_str() {
            "AzureCloud" => Some(CloudName::AzureCloud),
            "AzureUSGovernment" => Some(CloudName::AzureUSGovernment),
            "AzureChinaCloud" => Some(CloudName::AzureChinaCloud),
            _ => None,
        };
        if let Some(known) = known {
            self.drafts.cloud = Some(Cloud::Named(known));
        } else if let Some(resource_manager) = resource_manager {
            self.drafts.cloud = Some(Cloud::Custom(CustomCloud {
                name,
                resource_manager,
                authority: self.text(&options, "--endpoint-active-directory"),
                audience: self.text(&options, "--endpoint-active-directory-resource-id"),
            }));
        }
    }

    fn register(&mut self, words: &[Word]) {
        let options = self.options(words, &REGISTER);
        let Some(namespace) = self.needed(&options, "--namespace") else { return };
        let feature = words.get(1).is_some_and(|it| it.text == "feature");
        let (list, name) = if feature {
            let Some(name) = self.needed(&options, "--name") else { return };
            (&mut self.drafts.features, format!("{namespace}/{name}"))
        } else {
            (&mut self.drafts.providers, namespace)
        };
        if !list.contains(&name) {
            list.push(name);
        }
    }

    fn extension(&mut self, words: &[Word]) {
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

    fn attach(&mut self, words: &[Word]) {
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
        draft.computes.push(Compute { name, workspace, namespace, identity });
    }

    /// `(subscription, group, type, name)` of a cluster's resource id.
    fn cluster_id(&mut self, id: &str, span: Range<usize>) -> Option<super::draft::ClusterId> {
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
        Some(super::draft::ClusterId {
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

    fn role(&mut self, words: &[Word]) {
        let options = self.options(words, &ROLE);
        let principal = self.needed(&options, "--assignee-object-id");
        let role = self.needed(&options, "--role");
        let scope = self.needed(&options, "--scope");
        let (Some(principal), Some(role), Some(scope)) = (principal, role, scope) else { return };
        let named = |text: &str| {
            let mut words = text.split_whitespace().skip_while(|it| *it != "--name" && *it != "-n");
            words.nth(1).unwrap_or_default().trim_matches(['\'', '"', ')']).to_owned()
        };
        let principal = if principal.contains("az ml compute show") {
            format!("compute/{}", named(&principal))
        } else if principal.contains("az ml workspace show") {
            format!("workspace/{}", named(&principal))
        } else if principal.contains("az k8s-extension show") {
            "extension".to_owned()
        } else {
            principal
        };
        self.drafts.current().roles.push(RoleAssignment { principal, role, scope });
    }

    fn add_scc(&mut self, words: &[Word]) {
        let options = self.options(words, &ADM);
        let mut names = options.verb.iter().skip(4);
        let Some(scc) = names.next() else { return };
        let namespace = self.text(&options, "-n").unwrap_or_else(|| "default".to_owned());
        let own =
            options.all("-z").map(|it| format!("system:serviceaccount:{namespace}:{}", it.text));
        let listed = names.map(|it| it.text.clone());
        let accounts: Vec<String> = listed.chain(own).collect();
        let draft = self.drafts.current();
        draft.scc = Some((scc.text.clone(), Some(SccMethod::Rbac)));
        draft.accounts.extend(accounts);
    }

    fn patch_scc(&mut self, name: &str, words: &[Word]) {
        let options = self.options(words, &PATCH);
        let patch = self.text(&options, "-p").unwrap_or_default();
        let draft = self.drafts.current();
        draft.scc = Some((name.to_owned(), Some(SccMethod::Users)));
        let users = patch.split('"').filter(|it| it.starts_with("system:serviceaccount:"));
        draft.accounts.extend(users.map(str::to_owned));
    }

    fn apply(&mut self, words: &[Word], body: &str) {
        #[derive(serde::Deserialize)]
        struct Object {
            kind: String,
            metadata: Metadata,
            spec: Spec,
        }
        #[derive(serde::Deserialize)]
        struct Metadata {
            name: String,
        }
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Spec {
            #[serde(default)]
            node_selector: std::collections::BTreeMap<String, String>,
            resources: Resources,
        }
        self.options(words, &APPLY);
        let mut found = false;
        for document in body.split("\n---") {
            match serde_yaml::from_str::<Object>(document) {
                Ok(it) if it.kind == "InstanceType" => {
                    found = true;
                    self.drafts.current().instance_types.push(InstanceType {
                        name: it.metadata.name,
                        node_selector: it.spec.node_selector,
                        resources: it.spec.resources,
                    });
                }
                Ok(_) | Err(_) => {}
            }
        }
        if !found {
            self.ignored(words, "only instance types written behind it are read");
        }
    }
}

impl Draft {
    /// Whether nothing says anything about this cluster yet.
    pub(super) fn is_empty(&self) -> bool {
        self.cluster.is_none()
            && self.scc.is_none()
            && self.accounts.is_empty()
            && self.instance_types.is_empty()
            && self.roles.is_empty()
            && self.directives.is_empty()
    }
}
