//! Drafts of clusters → clusters: what the commands leave open is decided here, and said.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::catalog;
use crate::model::Json;

use super::install::Said;
use super::profile::{evidence, registrations, renew};
use super::values::NO_SUBSCRIPTION;
use super::{Findings, Notes, derived_accounts};
use crate::language::{
    Access, Azure, CloudSpec, ClusterRef, ClusterSpec, ClusterType, ComputeSpec, CredentialsFrom,
    Dollars, ExtensionSpec, InstanceTypeSpec, Profile, Scc, SccMethod, to_yaml,
};
use crate::resource::PARTS;
use crate::resource::graph::catalog_profile;
use crate::resource::part::Options;

/// What `# amlplan: PATH = JSON` can say: parts of a manifest that no command says.
pub(in super::super) const DIRECTIVES: [&str; 17] = [
    "name",
    "azure.resourceGroup",
    "cluster.type",
    "cluster.name",
    "cluster.distribution",
    "cluster.kubeconfig",
    "cluster.context",
    "cluster.credentials",
    "cluster.access",
    "cluster.labels",
    "extension.profile",
    "extension.allowUnknownSettings",
    "features",
    "providers",
    "scc",
    "lifecycle",
    "drift",
];

pub(super) const NO_CLUSTER: &str = "${CLUSTER_NAME:-cluster-name}";
pub(super) const NO_GROUP: &str = "${RESOURCE_GROUP:-resource-group}";

/// What the commands say of one cluster.
#[derive(Debug, Default)]
pub(super) struct ClusterDraft {
    pub directives: BTreeMap<String, String>,
    pub subscription: Option<String>,
    pub group: Option<String>,
    pub kind: Option<ClusterType>,
    pub cluster: Option<String>,
    pub span: Range<usize>,
    pub cloud: Option<CloudSpec>,
    pub tenant: Option<String>,
    pub extension: Option<Said>,
    pub scc: Option<(String, Option<SccMethod>)>,
    pub accounts: Vec<String>,
    pub computes: Vec<(ComputeSpec, Range<usize>)>,
    pub instance_types: Vec<InstanceTypeSpec>,
    /// Commands of parts of the manifest: which of them, and their options.
    pub parts: Vec<(usize, Options, Range<usize>)>,
    /// Arm and source of the command that says the extension, and whether it only updates it.
    pub branch: Option<(usize, usize)>,
    pub source: Option<usize>,
    pub updated: bool,
}

/// The parts of a cluster's resource id.
pub(super) struct ClusterId {
    pub subscription: String,
    pub group: String,
    pub kind: ClusterType,
    pub name: String,
}

/// What the commands say in all; in the order in which they name clusters.
#[derive(Debug, Default)]
pub(super) struct Drafts {
    pub(super) list: Vec<ClusterDraft>,
    /// Which one the commands are speaking of.
    at: usize,
    pub subscription: Option<String>,
    pub cloud: Option<CloudSpec>,
    pub tenant: Option<String>,
    pub features: Vec<String>,
    pub providers: Vec<String>,
}

/// A cluster with what to say about it.
pub(super) struct Finished {
    pub cluster: ClusterSpec,
    /// Where the command stands that names it.
    pub span: Range<usize>,
    pub head: Vec<String>,
    pub notes: Notes,
}

impl Drafts {
    /// The draft the commands are speaking of.
    pub(super) fn current(&mut self) -> &mut ClusterDraft {
        if self.list.is_empty() {
            self.list.push(ClusterDraft::default());
        }
        self.at = self.at.min(self.list.len() - 1);
        &mut self.list[self.at]
    }

    /// The one cluster that is spoken of, if it is one.
    pub(super) fn only(&self) -> Option<ClusterId> {
        let mut found = self.list.iter().filter_map(ClusterDraft::id);
        found.next().filter(|_| found.next().is_none())
    }

    /// Sets what a comment says; a new name opens a new cluster, a known one goes on with it.
    pub(super) fn direct(&mut self, path: &str, value: &str) -> bool {
        if !DIRECTIVES.contains(&path) || serde_json::from_str::<Json>(value).is_err() {
            return false;
        }
        if path == "name" {
            let known = |cluster_draft: &ClusterDraft| {
                cluster_draft.directives.get("name").is_some_and(|own| own.as_str() == value)
            };
            if let Some(at) = self.list.iter().position(known) {
                let again = self.list.remove(at);
                self.list.push(again);
            } else if !self.current().is_empty() {
                self.list.push(ClusterDraft::default());
            }
            self.at = self.list.len().saturating_sub(1);
            // Registrations of the clusters before are theirs.
            self.features.clear();
            self.providers.clear();
        }
        self.current().directives.insert(path.to_owned(), value.to_owned());
        true
    }

    /// The draft of the cluster that a command installs the extension on.
    pub(super) fn of_extension(&mut self, id: &ClusterId, span: Range<usize>) -> &mut ClusterDraft {
        // The articles' placeholder means another cluster each time.
        let open = id.name.contains("${");
        let found = self.find(id).filter(|at| !open || self.list[*at].extension.is_none());
        self.open(found, id, span)
    }

    /// The draft of the cluster that a command attaches.
    pub(super) fn of_compute(&mut self, id: &ClusterId, span: Range<usize>) -> &mut ClusterDraft {
        let found = self.find(id);
        self.open(found, id, span)
    }

    fn find(&self, id: &ClusterId) -> Option<usize> {
        let same = |own: &Option<String>, other: &str| {
            own.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(other))
        };
        self.list.iter().rposition(|pair| {
            let both = [pair.subscription.as_deref(), Some(id.subscription.as_str())];
            let stand_in = both.into_iter().flatten().any(is_open);
            pair.kind == Some(id.kind)
                && same(&pair.cluster, &id.name)
                && same(&pair.group, &id.group)
                && (stand_in || same(&pair.subscription, &id.subscription))
        })
    }

    fn open(
        &mut self,
        found: Option<usize>,
        id: &ClusterId,
        span: Range<usize>,
    ) -> &mut ClusterDraft {
        let (cloud, tenant) = (self.cloud.clone(), self.tenant.clone());
        let at = found.unwrap_or_else(|| {
            if self.current().cluster.is_some() {
                self.list.push(ClusterDraft::default());
                self.at = self.list.len() - 1;
            }
            self.at
        });
        self.at = at;
        let draft = &mut self.list[at];
        if found.is_none() {
            draft.span = span;
            (draft.cloud, draft.tenant) = (cloud, tenant);
            draft.group = Some(id.group.clone());
            draft.kind = Some(id.kind);
            draft.cluster = Some(id.name.clone());
        }
        if draft.subscription.as_deref().is_none_or(is_open) {
            draft.subscription = Some(id.subscription.clone());
        }
        draft
    }
}

/// Whether this is no subscription's id: nobody said one, or by its name.
pub(super) fn is_open(subscription: &str) -> bool {
    subscription == NO_SUBSCRIPTION || subscription.contains(' ')
}

/// Decides what is open and makes clusters of the drafts.
pub(super) fn finish(
    mut drafts: Drafts,
    profile: Option<Profile>,
    findings: &mut Findings,
) -> Vec<Finished> {
    let registered = !drafts.features.is_empty() || !drafts.providers.is_empty();
    if registered {
        drafts.current();
    }
    let with_cluster = drafts.list.iter().any(|cluster_draft| cluster_draft.cluster.is_some());
    let named =
        |it: &ClusterDraft| it.cluster.is_some() || it.directives.contains_key("cluster.name");
    drafts.list.retain(|list| named(list) || (!with_cluster && (registered || !list.is_empty())));
    let aks_flag = drafts.features.iter().any(|feature| feature.ends_with("/AKS-ExtensionManager"));
    let preview = aks_flag || drafts.list.iter().any(|it| evidence(it) == Some(Profile::Preview));
    let fallback = profile.unwrap_or(if preview { Profile::Preview } else { Profile::Ga });
    let mut finished: Vec<Finished> = Vec::new();
    for draft in std::mem::take(&mut drafts.list) {
        let span = draft.span.clone();
        let made = cluster(draft, &drafts, fallback, findings);
        if made.cluster.azure.subscription == NO_SUBSCRIPTION {
            let message = "no command says which subscription".to_owned();
            let help = "set SUBSCRIPTION_ID, or write azure.subscription";
            findings.stand_in("SUBSCRIPTION_ID", span, message, help);
        }
        finished.push(made);
    }
    registrations(&drafts, &mut finished);
    tell_apart(&mut finished);
    for made in &finished {
        let text = to_yaml(&made.cluster, &[], &Notes::new(), Dollars::AsWritten);
        variables(&text).for_each(|name| findings.untold(name, &made.span));
    }
    finished
}

fn cluster(
    draft: ClusterDraft,
    drafts: &Drafts,
    fallback: Profile,
    findings: &mut Findings,
) -> Finished {
    let mut notes = Notes::new();
    let extension = extension(&draft, fallback, findings, &mut notes);
    let aks =
        drafts.features.iter().chain(&drafts.providers).any(|it| it.contains("ContainerService"));
    let guess = if aks { ClusterType::ManagedClusters } else { ClusterType::ConnectedClusters };
    let named = draft.directives.get("cluster.name").and_then(|it| serde_json::from_str(it).ok());
    let name = draft.cluster.clone().or(named).unwrap_or_else(|| NO_CLUSTER.to_owned());
    let scc_named = draft.scc.is_some() || !draft.accounts.is_empty();
    let subscription = draft.subscription.or_else(|| drafts.subscription.clone());
    let azure = Azure {
        cloud: draft.cloud.or_else(|| drafts.cloud.clone()).unwrap_or_default(),
        tenant: draft.tenant.or_else(|| drafts.tenant.clone()),
        subscription: subscription.unwrap_or_else(|| NO_SUBSCRIPTION.to_owned()),
        resource_group: draft.group.clone().unwrap_or_else(|| NO_GROUP.to_owned()),
    };
    let own_name = label(&name);
    let cluster = ClusterRef {
        kind: draft.kind.unwrap_or(guess),
        name,
        distribution: scc_named.then(|| "openshift".to_owned()),
        kubeconfig: None,
        context: None,
        credentials: CredentialsFrom::default(),
        access: Access::default(),
        labels: BTreeMap::new(),
    };
    let mut made = ClusterSpec {
        extension,
        computes: draft.computes.into_iter().map(|it| it.0).collect(),
        instance_types: draft.instance_types,
        ..ClusterSpec::bare(own_name, azure, cluster)
    };
    for (path, text) in &draft.directives {
        let said = match path.as_str() {
            "azure.resourceGroup" => draft.group.is_some(),
            "cluster.type" => draft.kind.is_some(),
            "cluster.name" => draft.cluster.is_some(),
            own => own.starts_with("extension.") && made.extension.is_none(),
        };
        if !said {
            directed(&mut made, path, text).unwrap_or_else(|why| {
                let message = format!("`# amlplan: {path}` is left out: {why}");
                findings.warn("az-value", draft.span.clone(), message, "see docs/manifest.md");
            });
        }
    }
    for (index, options, span) in &draft.parts {
        let Some(form) = PARTS.get(*index).and_then(|part| part.az()) else { continue };
        if let Err(why) = (form.read)(options, &mut made) {
            let message = format!("`{}` is left out: {why}", form.verb);
            findings.advice("az-ignored", span.clone(), message);
        }
    }
    if scc_named && made.scc.is_none() {
        made.scc = Some(scc(draft.scc, &draft.accounts, &made, &draft.span, findings));
    }
    Finished { cluster: made, span: draft.span, head: Vec::new(), notes }
}

fn extension(
    draft: &ClusterDraft,
    fallback: Profile,
    findings: &mut Findings,
    notes: &mut Notes,
) -> Option<ExtensionSpec> {
    let directed = draft.directives.get("extension.profile");
    let directed = directed.and_then(|text| serde_json::from_str(text).ok());
    let decided = directed.or_else(|| evidence(draft));
    match draft.extension()? {
        Ok(mut extension) => {
            extension.profile = decided.unwrap_or(fallback);
            renew(&mut extension, draft.extension.as_ref()?, findings);
            if decided.is_none() {
                notes.insert("extension.profile".into(), "the commands fit both profiles".into());
            }
            Some(extension)
        }
        Err(why) => {
            let message = format!("the extension is left out: {why}");
            findings.warn("az-value", draft.span.clone(), message, "write it into the manifest");
            None
        }
    }
}

/// Names of the variables that a manifest reads.
fn variables(text: &str) -> impl Iterator<Item = &str> {
    let inside = text.split("$$").flat_map(|part| part.split("${").skip(1));
    let given = text.lines().filter_map(|line| line.trim().strip_prefix("fromEnv: "));
    inside.map(|text| text.split(['}', ':']).next().unwrap_or_default()).chain(given)
}

/// Puts what a comment says into its place.
fn directed(made: &mut ClusterSpec, path: &str, text: &str) -> serde_json::Result<()> {
    let mut whole = serde_json::to_value(&*made)?;
    let mut at = &mut whole;
    for name in path.split('.') {
        at = &mut at[name];
    }
    *at = serde_json::from_str(text)?;
    *made = serde_json::from_value(whole)?;
    Ok(())
}

/// The grant: its accounts without those that are derived anyway.
fn scc(
    scc: Option<(String, Option<SccMethod>)>,
    listed: &[String],
    cluster: &ClusterSpec,
    span: &Range<usize>,
    findings: &mut Findings,
) -> Scc {
    let (name, method) = scc.unwrap_or_else(|| ("privileged".to_owned(), None));
    let extension = cluster.extension.as_ref();
    let profile = extension.map(|it| it.profile).unwrap_or_default();
    let default = match profile {
        Profile::Ga => SccMethod::Rbac,
        Profile::Preview => SccMethod::Users,
    };
    let derived = derived_accounts(cluster);
    let release = extension.map_or("", |it| it.name.as_str());
    let stale: Vec<String> = catalog::other_profile_accounts(catalog_profile(profile), release)
        .into_iter()
        .map(|(namespace, name)| format!("system:serviceaccount:{namespace}:{name}"))
        .collect();
    let mut own = BTreeSet::new();
    for account in listed {
        let account =
            account.replace("{EXTENSION NAME}", release).replace("{EXTENSION-NAME}", release);
        if derived.contains(&account) || account.contains('{') {
            continue;
        }
        if stale.contains(&account) {
            let message = format!("`{account}` belongs to the other profile and is left out");
            findings.advice("az-ignored", span.clone(), message);
            continue;
        }
        own.insert(account);
    }
    Scc {
        name,
        method: method.filter(|scc_method| *scc_method != default),
        service_accounts: own.into_iter().collect(),
    }
}

/// Gives clusters, and computes in placeholder workspaces, names of their own.
fn tell_apart(finished: &mut [Finished]) {
    let many = finished.len();
    let mut names = BTreeSet::new();
    let mut clusters: BTreeMap<(ClusterType, String), usize> = BTreeMap::new();
    let mut computes = BTreeSet::new();
    for (index, draft) in finished.iter_mut().enumerate() {
        let key = (draft.cluster.cluster.kind, draft.cluster.cluster.name.clone());
        let count = clusters.entry(key).or_default();
        *count += 1;
        if *count > 1 {
            draft.cluster.cluster.name = numbered(&draft.cluster.cluster.name, *count);
        }
        let base = draft.cluster.name.clone();
        let mut suffix = 1;
        while !names.insert(draft.cluster.name.clone()) {
            suffix += 1;
            draft.cluster.name = format!("{base}-{suffix}");
        }
        for compute in &mut draft.cluster.computes {
            if !computes.insert((compute.workspace.name.clone(), compute.name.clone())) {
                compute.workspace.name = numbered(&compute.workspace.name, index + 1);
            }
        }
        if many > 1 && is_placeholder(&draft.cluster.cluster.name) {
            draft.head.push(format!(
                "One of {many} clusters, since a placeholder may mean any; keep what you want."
            ));
        }
    }
}

pub(super) fn is_placeholder(name: &str) -> bool {
    name.starts_with("${") && name.contains(":-")
}

/// `${NAME:-name}` → `${NAME_2:-name-2}`; other texts stay.
fn numbered(text: &str, number: usize) -> String {
    let inside = text.strip_prefix("${").and_then(|it| it.strip_suffix('}'));
    match inside.and_then(|text| text.split_once(":-")) {
        Some((name, default)) => format!("${{{name}_{number}:-{default}-{number}}}"),
        None => text.to_owned(),
    }
}

/// A DNS label from a cluster's name: of a variable its default, or else its own name.
pub(in super::super) fn label(name: &str) -> String {
    let mut text = String::new();
    for (index, part) in name.split("${").enumerate() {
        let (inside, tail) =
            if index == 0 { ("", part) } else { part.split_once('}').unwrap_or((part, "")) };
        text.push_str(inside.split_once(":-").map_or(inside, |it| it.1));
        text.push_str(tail);
    }
    let letters = text.chars().map(|letter| {
        if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' }
    });
    let mut label: String = letters.take(63).collect();
    while label.contains("--") {
        label = label.replace("--", "-");
    }
    let label = label.trim_matches('-');
    if label.is_empty() { "cluster".to_owned() } else { label.to_owned() }
}
