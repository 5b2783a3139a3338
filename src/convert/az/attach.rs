//! `az ml compute attach`.

use std::collections::BTreeMap;
use std::ops::Range;

use super::super::script::{ToolCall, Word, variable_name};
use super::super::sources;
use super::draft::{ClusterId, NO_GROUP, is_open};
use super::install::{TYPES, default_of};
use super::options::{CommandOptions, OptionNames};
use super::read::CommandReader;
use super::values::{NO_SUBSCRIPTION, fill};
use crate::language::{ComputeSpec, IdentitySpec, IdentityType, WorkspaceRef};

const NO_WORKSPACE: &str = "${WORKSPACE_NAME}";
const ATTACH: [OptionNames; 13] = [
    &["--name", "-n"],
    &["--resource-group", "-g"],
    &["--workspace-name", "-w"],
    &["--resource-id"],
    &["--type", "-t"],
    &["--namespace"],
    &["--identity-type"],
    &["--user-assigned-identities", "-i"],
    &["--file", "-f"],
    &["--description"],
    &["--tags"],
    &["--location", "-l"],
    // Not az's: from sources that have it.
    &["--default-instance-type"],
];

impl CommandReader<'_> {
    pub(super) fn attach(&mut self, call: &ToolCall) {
        let words = self.with_file(call);
        let options = self.options(&words, &ATTACH);
        let other =
            |it: &&Word| !it.text.eq_ignore_ascii_case("kubernetes") && !it.text.contains('$');
        if let Some(kind) = options.one("--type").filter(other) {
            let message = format!("a compute of type {} is left out: not a cluster", kind.text);
            return self.findings.advice("az-ignored", kind.span.clone(), message);
        }
        if ["--resource-id", "--file", "--type"].iter().all(|text| options.one(text).is_none()) {
            return self.ignored(&words, "it attaches no cluster");
        }
        let name = self.needed(&options, "--name", "${COMPUTE_NAME}");
        let group = self.needed(&options, "--resource-group", NO_GROUP);
        let workspace = self.needed(&options, "--workspace-name", NO_WORKSPACE);
        let id = self.needed(&options, "--resource-id", "");
        let span = options.one("--resource-id").map_or(options.span(), |it| it.span.clone());
        let cluster = self.cluster_id(&id, span);
        let identity = self.identity(&options);
        let subscription =
            self.text(&options, "--subscription").or_else(|| self.drafts.subscription.clone());
        let namespace = self.text(&options, "--namespace").unwrap_or_else(|| "default".into());
        let draft = self.drafts.of_compute(&cluster, options.span());
        let same = |ours: &str, theirs: &str| ours.eq_ignore_ascii_case(theirs);
        let subscription = subscription
            .filter(|text| !draft.subscription.as_deref().is_none_or(|own| same(own, text)))
            .filter(|subscription| !is_open(subscription));
        let resource_group =
            Some(group).filter(|text| !draft.group.as_deref().is_some_and(|own| same(own, text)));
        let workspace = WorkspaceRef { name: workspace, resource_group, subscription };
        let description = self.text(&options, "--description");
        let mut tags = BTreeMap::new();
        let given: Vec<Word> = options.all("--tags").cloned().collect();
        for word in &given {
            match fill(word, self.findings).split_once('=') {
                Some((key, value)) => {
                    tags.insert(key.to_owned(), value.to_owned());
                }
                None => self.slip(word.span.clone(), "a tag without a value; left out"),
            }
        }
        let default_instance_type = self.text(&options, "--default-instance-type");
        let compute = ComputeSpec {
            name,
            workspace,
            namespace,
            identity,
            description,
            tags,
            default_instance_type,
        };
        self.attached(&cluster, compute, options.span());
    }

    /// The command with what its file says.
    fn with_file(&mut self, call: &ToolCall) -> Vec<Word> {
        let mut words = call.words.clone();
        let named = CommandOptions::read(&words, &ATTACH, &mut Vec::new());
        if let Some(file) = named.one("--file") {
            match call.files.get(&file.text).and_then(|text| sources::compute_words(text)) {
                // What the command says itself comes later, and counts.
                Some(own) => {
                    let own = own.into_iter().map(|text| Word { text, span: file.span.clone() });
                    words.splice(4..4, own);
                }
                None => {
                    let message =
                        format!("`{}` is not there, so what it says is left out", file.text);
                    let help = "put the file beside the script and import again";
                    self.findings.warn("az-left", file.span.clone(), message, help);
                }
            }
        }
        words
    }

    /// Adds a compute, or says what is said twice.
    fn attached(&mut self, cluster: &ClusterId, compute: ComputeSpec, span: Range<usize>) {
        let (branch, source) = (self.branch, self.findings.source_of(span.start));
        let draft = self.drafts.of_compute(cluster, span.clone());
        let open = |text: &str| text == NO_WORKSPACE;
        let same = |pair: &&mut (ComputeSpec, Range<usize>)| {
            pair.0.name == compute.name
                && (pair.0.workspace.name == compute.workspace.name
                    || open(&pair.0.workspace.name)
                    || open(&compute.workspace.name))
        };
        let Some((old, place)) = draft.computes.iter_mut().find(same) else {
            draft.computes.push((compute, span));
            return;
        };
        if open(&old.workspace.name) {
            old.workspace = compute.workspace.clone();
        }
        let shown = |compute: &ComputeSpec| {
            format!("namespace {}, identity {}", compute.namespace, compute.identity.kind.as_str())
        };
        if (&old.namespace, &old.identity) == (&compute.namespace, &compute.identity) {
            return;
        }
        let path = format!("computes.{}", compute.name);
        let (mine, theirs) = (shown(old), shown(&compute));
        let first = place.clone();
        if self.findings.source_of(first.start) != source {
            self.findings.conflict(&path, (&first, &mine), (&span, &theirs));
        } else if branch.is_some() {
            let ids = compute.identity.user_assigned_identities.join(", ");
            let text = format!("{path}: {theirs} {ids}");
            self.findings.branch(span, &format!("`{path}` is {mine} in one"), text.trim());
        } else {
            *old = compute;
            self.slip(span, format!("`{path}` is attached a second time; this one counts"));
        }
    }

    /// `(subscription, group, type, name)` of a cluster's resource id; of one that is not known,
    /// as variables.
    pub(super) fn cluster_id(&mut self, text: &str, span: Range<usize>) -> ClusterId {
        let id = text.trim();
        if id.len() < text.len() {
            self.slip(span.clone(), "a blank at the end of the resource id; taken off");
        }
        let id = self.slashed(id, &span);
        let parts: Vec<&str> = id.trim_matches('/').split('/').collect();
        let [_, subscription, _, group, _, namespace, given, name] = parts[..] else {
            return self.unknown_id(&id, span);
        };
        let kind = TYPES[usize::from(given.eq_ignore_ascii_case("managedClusters"))];
        let given = format!("{namespace}/{given}");
        if !given.eq_ignore_ascii_case(kind.resource_type()) {
            self.slip(span, format!("`{given}`, taken for `{}`", kind.resource_type()));
        }
        let (subscription, group) = (subscription.to_owned(), group.to_owned());
        ClusterId { subscription, group, kind, name: name.to_owned() }
    }

    fn slashed(&mut self, id: &str, span: &Range<usize>) -> String {
        if !id.starts_with("subscriptions/") {
            return id.to_owned();
        }
        self.slip(span.clone(), "a resource id starts with a slash; added");
        format!("/{id}")
    }

    fn unknown_id(&mut self, id: &str, span: Range<usize>) -> ClusterId {
        let variable = id.strip_prefix("${").and_then(|text| text.split(['}', ':']).next());
        let what = if id.is_empty() { "no resource id" } else { id };
        if let Some(only) = self.drafts.only() {
            let message =
                format!("`{what}` is not known here; taken for the cluster `{}`", only.name);
            self.wrong(span, message, "see that it is, or write the cluster's resource id");
            return only;
        }
        let base = variable.map_or_else(|| "CLUSTER".to_owned(), str::to_owned);
        let lower = base.chars().any(char::is_lowercase);
        let part = |name: &str| {
            let name = if lower { name.to_lowercase() } else { name.to_owned() };
            format!("${{{base}_{name}}}")
        };
        let aks = !base.to_lowercase().contains("arc");
        let kind = TYPES[usize::from(aks && variable.is_some())];
        let (name, group) = (part("NAME"), part("RESOURCE_GROUP"));
        let message = format!(
            "`{what}` is not the resource id of a cluster that is known here; {name} and {group} \
             stand for it"
        );
        let help = format!(
            "set them, or write /subscriptions/…/resourceGroups/…/providers/{}/NAME",
            kind.resource_type()
        );
        self.wrong(span, message, &help);
        ClusterId { subscription: NO_SUBSCRIPTION.to_owned(), group, kind, name }
    }

    fn identity(&mut self, options: &CommandOptions) -> IdentitySpec {
        let mut ids = Vec::new();
        for word in options.all("--user-assigned-identities") {
            let text = fill(word, self.findings);
            for id in text.split([',', ' ']).map(str::trim).filter(|part| !part.is_empty()) {
                ids.push(self.slashed(id, &word.span));
            }
        }
        let given = options.one("--identity-type");
        let folded = given.map(|it| default_of(&it.text).replace(['_', '-'], "").to_lowercase());
        let kind = match folded.as_deref() {
            Some(text) if text.starts_with("systemassigned") => IdentityType::SystemAssigned,
            Some("userassigned") => IdentityType::UserAssigned,
            Some("none") => IdentityType::None,
            Some(other) => {
                let span = given.map_or(options.span(), |it| it.span.clone());
                let guess =
                    if ids.is_empty() { IdentityType::None } else { IdentityType::UserAssigned };
                let taken = guess.as_str();
                let message = format!("there is no identity type `{other}`, taken for {taken}");
                self.wrong(span, message, "write SystemAssigned, UserAssigned or None");
                guess
            }
            None if ids.is_empty() => IdentityType::None,
            None => {
                let message =
                    "`--identity-type UserAssigned` is missing beside the identities; added";
                self.slip(options.span(), message);
                IdentityType::UserAssigned
            }
        };
        if kind == IdentityType::UserAssigned && ids.is_empty() {
            let message = "`--identity-type UserAssigned` names no identity";
            let name = variable_name("identity id");
            self.wrong(options.span(), message, "add --user-assigned-identities and a resource id");
            ids.push(format!("${{{name}}}"));
        }
        if kind != IdentityType::UserAssigned && !ids.is_empty() {
            let message = format!("identities beside the type {} are left out", kind.as_str());
            self.slip(options.span(), message);
            ids.clear();
        }
        IdentitySpec { kind, user_assigned_identities: ids }
    }
}
