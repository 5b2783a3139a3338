//! Commands → drafts of clusters.

use std::collections::BTreeMap;
use std::ops::Range;

use super::super::script::{ScriptItem, ToolCall, Word};
use super::Findings;
use super::draft::{ClusterDraft, Drafts};
use super::options::{CommandOptions, OptionNames};
use super::values::fill;
use crate::language::{CloudSpec, CustomCloud, InstanceTypeSpec, SccMethod};
use crate::model::Json;
use crate::resource::PARTS;

const REGISTER: [OptionNames; 3] = [&["--namespace"], &["--name", "-n"], &["--wait"]];
const ACCOUNT: [OptionNames; 3] =
    [&["--name", "-n"], &["--tenant", "-t"], &["--subscription", "-s"]];
const CLOUD: [OptionNames; 4] = [
    &["--name", "-n"],
    &["--endpoint-resource-manager"],
    &["--endpoint-active-directory"],
    &["--endpoint-active-directory-resource-id"],
];
const CONFIGURE: [OptionNames; 3] =
    [&["--defaults", "-d"], &["--scope"], &["--list-defaults", "-l"]];
const ADORN: [OptionNames; 7] = [
    &["--ids", "--resource-id"],
    &["--tags"],
    &["--operation"],
    &["--set"],
    &["--name", "-n"],
    &["--workspace-name", "-w"],
    &["--resource-group", "-g"],
];
const ADM: [OptionNames; 2] = [&["-z", "--serviceaccount"], &["-n", "--namespace"]];
const PATCH: [OptionNames; 2] = [&["--type"], &["-p", "--patch"]];
const APPLY: [OptionNames; 3] =
    [&["-f", "--filename"], &["-n", "--namespace"], &["--server-side", "--force-conflicts"]];

const LOOKS: &str = "amlplan verify looks at this";
const GONE: &str = "what is to be gone is not in a manifest";
const NAMESPACES: &str = "amlplan makes the namespaces that computes name";
const CONTEXT: &str = "`cluster.context` says which cluster is meant";
const CLI: &str = "amlplan needs no extensions of az";
const GIVEN: &str = "amlplan takes clusters, groups and workspaces as given";
const SENT: &str = "what it sends is nothing a manifest says, or is not there";
const COMPANIONS: &str = "amlplan makes what the extension needs of these";

/// How commands begin or end that a manifest has no use for, and why; the first that fits.
const LEFT: [(&str, &str); 31] = [
    ("az k8s-extension delete", GONE),
    ("az ml compute detach", GONE),
    ("az ml compute delete", GONE),
    (" show", LOOKS),
    (" list", LOOKS),
    (" wait", LOOKS),
    ("oc get", LOOKS),
    ("oc describe", LOOKS),
    ("kubectl get", LOOKS),
    ("kubectl describe", LOOKS),
    ("oc create namespace", NAMESPACES),
    ("oc create ns", NAMESPACES),
    ("oc new-project", NAMESPACES),
    ("kubectl create namespace", NAMESPACES),
    ("kubectl create ns", NAMESPACES),
    ("oc config", CONTEXT),
    ("kubectl config", CONTEXT),
    ("az extension", CLI),
    ("az version", CLI),
    ("az upgrade", CLI),
    ("az config", CLI),
    ("az connectedk8s", GIVEN),
    ("az aks", GIVEN),
    ("az group", GIVEN),
    ("az ml workspace", GIVEN),
    ("az rest", SENT),
    ("az resource create", SENT),
    ("az deployment", "import the template that it deploys as well"),
    ("az relay", COMPANIONS),
    ("az servicebus", COMPANIONS),
    ("az monitor log-analytics", COMPANIONS),
];

/// Reads commands one after the other.
pub(super) struct CommandReader<'a> {
    pub(super) findings: &'a mut Findings,
    pub(super) drafts: Drafts,
    /// `az configure --defaults`.
    pub(super) defaults: BTreeMap<String, String>,
    /// Which arm of which condition the current command stands in.
    pub(super) branch: Option<(usize, usize)>,
}

impl<'a> CommandReader<'a> {
    pub(super) fn new(findings: &'a mut Findings) -> Self {
        Self { findings, drafts: Drafts::default(), defaults: BTreeMap::new(), branch: None }
    }

    pub(super) fn finish(self) -> Drafts {
        self.drafts
    }

    pub(super) fn item(&mut self, item: ScriptItem) {
        match item {
            ScriptItem::Call(call) => {
                self.branch = call.branch;
                self.command(&call);
            }
            ScriptItem::Directive(word) => self.directive(&word),
            ScriptItem::Account(word) => self.drafts.current().accounts.push(word.text),
            ScriptItem::EditScc(word) => self.scc(&word, SccMethod::Users, Vec::new()),
        }
    }

    fn command(&mut self, call: &ToolCall) {
        let words = call.words.as_slice();
        let verb = CommandOptions::verb(words);
        let mut parts = verb.split(' ');
        let mut next = || parts.next().unwrap_or_default();
        match (next(), next(), next(), next()) {
            ("az", "k8s-extension", "create" | "update", "") => self.extension(call),
            ("az", "ml", "compute", "attach" | "create") => self.attach(call),
            ("az", "configure", "", "") | ("az", "config", "set", _) => self.configure(words),
            _ if self.part(&verb, words) => {}
            ("az", "feature" | "provider", "register", "") => self.register(words),
            ("az", "account", "set", "") | ("az", "login", "", "") => self.account(words),
            ("az", "cloud", "set" | "register", "") => self.cloud(words),
            ("az", "tag", "update" | "create", "") | ("az", "resource", "tag" | "update", "") => {
                self.adorn(words)
            }
            ("az", "ml", "compute", "update") => self.adorn(words),
            ("oc", "adm", "policy", "add-scc-to-user") => self.add_scc(words),
            ("oc" | "kubectl", "edit", "scc", _) if words.len() > 3 => {
                self.scc(&words[3], SccMethod::Users, Vec::new());
            }
            ("oc" | "kubectl", "patch", "scc", _) if words.len() > 3 => self.patch_scc(words),
            ("oc" | "kubectl", "apply" | "create" | "replace", kind, _)
                if !matches!(kind, "namespace" | "ns") =>
            {
                self.apply(call);
            }
            _ => {
                let fits = |it: &&(&str, &str)| verb.starts_with(it.0) || verb.ends_with(it.0);
                let why = LEFT.iter().find(fits).map_or("nothing a manifest can say", |it| it.1);
                self.ignored(words, why);
            }
        }
    }

    pub(super) fn ignored(&mut self, words: &[Word], why: &str) {
        let verb = CommandOptions::verb(words);
        let span = words.first().map_or(0..0, |it| it.span.start..it.span.start + verb.len());
        let shown: Vec<&str> = verb.split(' ').take(4).collect();
        let message = format!("`{}` is left out: {why}", shown.join(" "));
        self.findings.advice("az-ignored", span, message);
    }

    pub(super) fn options(&mut self, words: &[Word], known: &[OptionNames]) -> CommandOptions {
        let mut slips = Vec::new();
        let options = CommandOptions::read(words, known, &mut slips);
        self.findings.slips(slips);
        options
    }

    pub(super) fn text(&mut self, options: &CommandOptions, name: &str) -> Option<String> {
        options.one(name).map(|it| fill(it, self.findings))
    }

    /// The value of an option that must be there, or a variable in its place.
    pub(super) fn needed(
        &mut self,
        options: &CommandOptions,
        name: &str,
        stand_in: &str,
    ) -> String {
        let default = match name {
            "--resource-group" => self.defaults.get("group").cloned(),
            "--workspace-name" => self.defaults.get("workspace").cloned(),
            _ => None,
        };
        self.text(options, name).or(default).unwrap_or_else(|| {
            let message = format!("`{name}` is missing");
            let help = format!("add {name} and its value, or write it into the manifest");
            self.findings.warn("az-missing", options.span(), message, &help);
            stand_in.to_owned()
        })
    }

    pub(super) fn wrong(&mut self, span: Range<usize>, message: impl Into<String>, help: &str) {
        self.findings.warn("az-value", span, message, help);
    }

    pub(super) fn slip(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.findings.slip(span, message);
    }

    fn directive(&mut self, word: &Word) {
        let Some((path, value)) = word.text.split_once(" = ") else { return };
        if !self.drafts.direct(path, value) {
            let message = format!("`{path}` is nothing a comment can set, or not in JSON");
            self.wrong(word.span.clone(), message, "take the line out");
        }
    }

    /// `az configure --defaults group=…`, `az config set defaults.group=…`.
    fn configure(&mut self, words: &[Word]) {
        let options = self.options(words, &CONFIGURE);
        let given = options.all("--defaults").chain(options.verb.iter().skip(3));
        let given: Vec<Word> = given.cloned().collect();
        for word in given {
            let text = fill(&word, self.findings);
            let text = text.strip_prefix("defaults.").unwrap_or(&text);
            match text.split_once('=') {
                Some((name @ ("group" | "workspace"), "")) => {
                    self.defaults.remove(name);
                }
                Some((name @ ("group" | "workspace"), value)) => {
                    self.defaults.insert(name.to_owned(), value.to_owned());
                }
                Some(_) | None => self.ignored(words, "amlplan has no use for this default"),
            }
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
        let Some(name) = self.text(&options, "--name") else {
            return self.ignored(words, "it names no cloud");
        };
        let resource_manager = self.text(&options, "--endpoint-resource-manager");
        if let Ok(known) = serde_json::from_value(Json::from(name.as_str())) {
            self.drafts.cloud = Some(CloudSpec::Named(known));
        } else if let Some(resource_manager) = resource_manager {
            self.drafts.cloud = Some(CloudSpec::Custom(CustomCloud {
                name,
                resource_manager,
                authority: self.text(&options, "--endpoint-active-directory"),
                audience: self.text(&options, "--endpoint-active-directory-resource-id"),
            }));
        }
    }

    fn register(&mut self, words: &[Word]) {
        let options = self.options(words, &REGISTER);
        let Some(namespace) = self.text(&options, "--namespace") else {
            return self.ignored(words, "it names no provider");
        };
        let feature = words.get(1).is_some_and(|it| it.text == "feature");
        let (list, name) = if feature {
            let Some(name) = self.text(&options, "--name") else {
                return self.ignored(words, "it names no feature");
            };
            (&mut self.drafts.features, format!("{namespace}/{name}"))
        } else {
            (&mut self.drafts.providers, namespace)
        };
        if !list.contains(&name) {
            list.push(name);
        }
    }

    /// The command of a part of the manifest; `false` when it is none.
    fn part(&mut self, verb: &str, words: &[Word]) -> bool {
        let forms = PARTS.iter().enumerate();
        let mut forms = forms.filter_map(|(index, part)| Some((index, part.az()?)));
        let Some((index, form)) = forms.find(|it| it.1.verb == verb) else { return false };
        let options = self.options(words, form.options);
        let known = form.options.iter().filter_map(|names| names.first());
        let given: BTreeMap<&'static str, String> =
            known.filter_map(|text| Some((*text, self.text(&options, text)?))).collect();
        if form.needed.iter().all(|needed| given.contains_key(needed)) {
            self.drafts.current().parts.push((index, given, options.span()));
        } else {
            let (last, rest) = form.needed.split_last().unwrap_or((&"", &[]));
            self.ignored(words, &format!("it lacks {} or {last}", rest.join(", ")));
        }
        true
    }

    /// Tags, description and default instance type of a compute, which are set by its id.
    fn adorn(&mut self, words: &[Word]) {
        let options = self.options(words, &ADORN);
        let id = self.text(&options, "--ids").unwrap_or_default();
        let segment = |text| crate::convert::sources::after(&id, text);
        let (mut name, mut workspace) = (segment("computes"), segment("workspaces"));
        if id.is_empty() && words.get(1).is_some_and(|it| it.text == "ml") {
            name = self.text(&options, "--name");
            let default = self.defaults.get("workspace").cloned();
            workspace = self.text(&options, "--workspace-name").or(default);
        }
        let drafts = self.drafts.list.iter_mut().flat_map(|list| &mut list.computes);
        let compute = drafts.map(|it| &mut it.0).find(|draft| {
            Some(&draft.name) == name.as_ref() && Some(&draft.workspace.name) == workspace.as_ref()
        });
        let Some(compute) = compute else {
            return self.ignored(words, "it is about nothing that a manifest declares");
        };
        let mut left = None;
        for word in options.all("--tags").chain(options.all("--set")) {
            let (key, value) = word.text.split_once('=').unwrap_or((&word.text, ""));
            let field = match key.strip_prefix("properties.") {
                Some("description") => &mut compute.description,
                None if key == "description" => &mut compute.description,
                Some("properties.defaultInstanceType") => &mut compute.default_instance_type,
                _ if options.one("--tags").is_some() || key.starts_with("tags.") => {
                    let key = key.trim_start_matches("tags.").to_owned();
                    compute.tags.insert(key, value.to_owned());
                    continue;
                }
                _ => {
                    left = Some(word.clone());
                    continue;
                }
            };
            *field = Some(value.to_owned());
        }
        if let Some(word) = left {
            let message = format!("`{}` is left out: no manifest sets it", word.text);
            self.wrong(word.span, message, "set it another way, or leave it");
        }
    }

    fn add_scc(&mut self, words: &[Word]) {
        let options = self.options(words, &ADM);
        let mut names = options.verb.iter().skip(4);
        let Some(scc) = names.next() else { return };
        let namespace = self.text(&options, "-n").unwrap_or_else(|| "default".to_owned());
        let own =
            options.all("-z").map(|it| format!("system:serviceaccount:{namespace}:{}", it.text));
        let listed = names.map(|name| name.text.clone());
        let accounts: Vec<String> = listed.chain(own).collect();
        self.scc(scc, SccMethod::Rbac, accounts);
    }

    /// Accounts of one constraint: a manifest grants one.
    fn scc(&mut self, name: &Word, method: SccMethod, accounts: Vec<String>) {
        let draft = self.drafts.current();
        if let Some((known, _)) = draft.scc.as_ref().filter(|it| it.0 != name.text) {
            let message = format!(
                "`{}` is left out: the manifest grants `{known}` already, and one constraint only",
                name.text
            );
            return self.wrong(name.span.clone(), message, "grant it by hand, or keep this one");
        }
        draft.scc = Some((name.text.clone(), Some(method)));
        draft.accounts.extend(accounts);
    }

    fn patch_scc(&mut self, words: &[Word]) {
        let options = self.options(words, &PATCH);
        let patch = self.text(&options, "-p").unwrap_or_default();
        let users = patch.split('"').filter(|part| part.starts_with("system:serviceaccount:"));
        self.scc(&words[3], SccMethod::Users, users.map(str::to_owned).collect());
    }

    fn apply(&mut self, call: &ToolCall) {
        let words = call.words.as_slice();
        let options = self.options(words, &APPLY);
        let file = options.one("-f").and_then(|it| call.files.get(&it.text));
        let body = call.body.as_deref().or(file.map(String::as_str)).unwrap_or_default();
        let mut found = false;
        // In a block of YAML a here-document is indented as a whole.
        let blank = |text: &&str| !text.trim().is_empty();
        let indent = body.lines().filter(blank).map(|it| it.len() - it.trim_start().len()).min();
        let indent = indent.unwrap_or(0);
        let lines = body.lines().map(|line| line.get(indent..).unwrap_or_default());
        let body = lines.fold(String::new(), |text, word| text + word + "\n");
        for document in body.split("\n---") {
            let Some(one) = instance_type(document) else { continue };
            found = true;
            let types = &mut self.drafts.current().instance_types;
            types.retain(|old| old.name != one.name);
            types.push(one);
        }
        if !found {
            self.ignored(words, "only instance types written behind it are read");
        }
    }
}

fn instance_type(document: &str) -> Option<InstanceTypeSpec> {
    let mut object: Json = serde_yaml::from_str(document).ok()?;
    if object.get("kind")?.as_str()? != "InstanceType" {
        return None;
    }
    let name = object.pointer("/metadata/name").cloned()?;
    let mut spec = object.get_mut("spec")?.as_object_mut().map(std::mem::take)?;
    spec.retain(|key, _| matches!(key.as_str(), "nodeSelector" | "resources"));
    spec.insert("name".to_owned(), name);
    serde_json::from_value(Json::Object(spec)).ok()
}

impl ClusterDraft {
    /// Whether nothing says anything about this cluster yet.
    pub(super) fn is_empty(&self) -> bool {
        self.cluster.is_none()
            && self.scc.is_none()
            && self.accounts.is_empty()
            && self.instance_types.is_empty()
            && self.parts.is_empty()
            && self.directives.is_empty()
    }
}
