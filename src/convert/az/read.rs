//! Commands → drafts of clusters.

use std::ops::Range;

use crate::source::Severity;

use super::Findings;
use super::draft::{Draft, Drafts};
use super::lex::{Item, Word};
use super::options::{Known, Options};
use super::values::fill;
use crate::language::{
    Cloud, CloudName, CustomCloud, InstanceType, Resources, RoleAssignment, SccMethod,
};

const ROLE: [Known; 5] = [
    &["--assignee-object-id", "--assignee"],
    &["--assignee-principal-type"],
    &["--role"],
    &["--scope"],
    &["--name", "-n"],
];
const REGISTER: [Known; 3] = [&["--namespace"], &["--name", "-n"], &["--wait"]];
const ACCOUNT: [Known; 3] = [&["--name", "-n"], &["--tenant", "-t"], &["--subscription", "-s"]];
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
    pub(super) findings: &'a mut Findings,
    pub(super) drafts: Drafts,
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

    pub(super) fn options(&mut self, words: &[Word], known: &[Known]) -> Options {
        let mut slips = Vec::new();
        let options = Options::read(words, known, &mut slips);
        self.findings.slips(slips);
        options
    }

    pub(super) fn text(&mut self, options: &Options, name: &str) -> Option<String> {
        options.one(name).map(|it| fill(it, self.findings))
    }

    /// The value of an option that must be there.
    pub(super) fn needed(&mut self, options: &Options, name: &str) -> Option<String> {
        let found = self.text(options, name);
        if found.is_none() {
            let message = format!("`{name}` is missing");
            let help = format!("add {name} and its value");
            self.findings.push(("az-missing", Severity::Error), options.span(), message, &help);
        }
        found
    }

    pub(super) fn wrong(&mut self, span: Range<usize>, message: String, help: &str) {
        self.findings.push(("az-value", Severity::Error), span, message, help);
    }

    pub(super) fn slip(&mut self, span: Range<usize>, message: String) {
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

    fn role(&mut self, words: &[Word]) {
        let options = self.options(words, &ROLE);
        // The answers of these commands are what amlplan finds out itself.
        let principal = match options.one("--assignee-object-id") {
            Some(word) if word.text.starts_with("$(") => Some(word.text.clone()),
            Some(_) | None => self.needed(&options, "--assignee-object-id"),
        };
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
