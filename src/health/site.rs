//! What every check needs: one declared cluster with its extension, and the list of results.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::report::{Finding, Judged, Probed, Status, Unseen};
use crate::catalog;
use crate::catalog::{ComponentQuery, ProfileName, service_accounts};
use crate::model::{Json, Key, KindName, Pointer};
pub(super) use crate::model::{items, text};
use crate::resource::graph::{ClusterAccess, Desired, ResourceNode, Scope};
use crate::resource::rights::Rights;
use crate::resource::{Compute, Extension, Kind, Live, Readiness, Resource, SccGrant, Snapshot};
use crate::source::Place;

/// Namespace of the extension.
pub(super) const AZUREML: &str = "azureml";

/// What a check found, before it has a title and a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// As it should be; the text says what will still happen, or nothing.
    Pass(String),
    /// Not checked on purpose.
    Skipped(String),
    /// Not checked for lack of an answer.
    Unknown(Unseen),
    /// Wrong, with the weight of the page.
    Wrong(String, Option<String>),
    /// Wrong, but it stops nothing here.
    Mild(String, Option<String>),
    /// Not so yet, and somebody works on it: for `verify` it is wrong, for `drift` only to know.
    Soon(String, String),
    /// Wrong, and it stops an apply here.
    Grave(String, String),
}

impl From<Judged<Self>> for Found {
    fn from(judged: Judged<Self>) -> Self {
        judged.unwrap_or_else(Self::Unknown)
    }
}

impl Found {
    pub(super) fn wrong(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Wrong(message.into(), Some(help.into()))
    }

    pub(super) fn mild(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Mild(message.into(), Some(help.into()))
    }

    pub(super) fn grave(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Grave(message.into(), help.into())
    }

    pub(super) const fn pass() -> Self {
        Self::Pass(String::new())
    }
}

/// What rules judge: what is declared, what is live, and the time of the run. What is live is had
/// through functions that fail where it was not read, so that no rule takes that for absent.
#[derive(Clone, Copy)]
pub(super) struct Inspection<'a> {
    pub(super) desired: &'a Desired,
    snapshot: &'a Snapshot,
    pub(super) probed: &'a Probed,
    pub(super) now: Timestamp,
}

impl<'a> Inspection<'a> {
    pub(super) const fn new(
        desired: &'a Desired,
        snapshot: &'a Snapshot,
        probed: &'a Probed,
        now: Timestamp,
    ) -> Self {
        Self { desired, snapshot, probed, now }
    }

    /// All that was read of a resource.
    pub(super) fn reads_of(&self, key: &Key) -> Judged<&'a Live> {
        self.snapshot.live.get(key).ok_or_else(|| match self.snapshot.unread.get(key) {
            Some(error) => Unseen::Failed(error.clone()),
            None => Unseen::Untold(format!("{key} was not read")),
        })
    }

    /// What is live of a resource; `None` when it is not there.
    pub(super) fn live(&self, key: &Key) -> Judged<Option<&'a Json>> {
        self.reads_of(key).map(Live::document)
    }

    /// A text in what is live; empty when there is none.
    pub(super) fn text(&self, key: &Key, pointer: &str) -> Judged<&'a str> {
        Ok(self.live(key)?.map_or("", |document| text(document, pointer)))
    }

    /// Whether a resource is done.
    pub(super) fn readiness(&self, kind: &dyn Kind) -> Judged<Readiness> {
        self.reads_of(kind.key())?;
        Ok(self.snapshot.readiness(kind))
    }

    /// Whether it applies to this world at all, as far as is known.
    pub(super) fn applies(&self, kind: &dyn Kind) -> bool {
        kind.applies(self.snapshot)
    }

    /// The rights that the next apply needs for a resource.
    pub(super) fn rights(&self, node: &ResourceNode) -> Judged<Rights> {
        self.reads_of(node.resource.kind().key())?;
        Ok(Rights::of_next(self.desired, node, self.snapshot))
    }
}

/// One declared cluster.
pub(super) struct Site<'a> {
    pub(super) world: Inspection<'a>,
    /// First part of its addresses.
    pub(super) name: &'a str,
    pub(super) scope: &'a Scope,
    pub(super) access: &'a ClusterAccess,
    pub(super) cluster: Key,
    /// What is declared in it.
    pub(super) own: Vec<(&'a Key, &'a ResourceNode)>,
    pub(super) extension: Option<&'a Extension>,
    /// Declared and derived settings.
    settings: BTreeMap<String, String>,
    /// Code of the rule that judges.
    pub(super) code: &'static str,
    /// What that rule reads.
    pub(super) reads: &'static [&'static str],
    pub(super) checks: Vec<Finding>,
}

impl<'a> std::ops::Deref for Site<'a> {
    type Target = Inspection<'a>;

    fn deref(&self) -> &Inspection<'a> {
        &self.world
    }
}

/// The declared clusters with their access, in order.
pub(super) fn clusters(
    desired: &Desired,
) -> impl Iterator<Item = (&String, &Scope, &ClusterAccess)> {
    desired.scopes.iter().filter_map(|(name, scope)| Some((name, scope, scope.cluster.as_ref()?)))
}

/// Sites of all declared clusters.
pub(super) fn sites(world: Inspection<'_>) -> Vec<Site<'_>> {
    let mut owned: BTreeMap<&str, Vec<(&Key, &ResourceNode)>> = BTreeMap::new();
    for (key, node) in &world.desired.nodes {
        owned.entry(&key.scope).or_default().push((key, node));
    }
    let mut sites = Vec::new();
    for (name, scope, access) in clusters(world.desired) {
        let own = owned.remove(name.as_str()).unwrap_or_default();
        let extension = own.iter().find_map(|(_, node)| match &node.resource {
            Resource::Extension(extension) => Some(extension),
            _ => None,
        });
        let cluster = own.iter().find(|it| it.0.kind == KindName::Cluster).map(|it| it.0.clone());
        sites.push(Site {
            world,
            name,
            scope,
            access,
            cluster: cluster.unwrap_or_else(|| Key::new(name, KindName::Cluster, access.id.name())),
            own,
            extension,
            settings: extension.map(|it| it.effective(world.snapshot)).unwrap_or_default(),
            code: Default::default(),
            reads: &[],
            checks: Vec::new(),
        });
    }
    sites
}

/// Finishes a result: title, weight and the line of the manifest.
pub(super) fn check(
    desired: &Desired,
    code: &'static str,
    key: &Key,
    at: &str,
    found: Found,
) -> Finding {
    let page = catalog::explain(code);
    let weighty = page.is_none_or(|it| it.severity.iter().any(|severity| severity == "error"));
    let told = page.is_some_and(|it| it.severity.iter().all(|severity| severity == "info"));
    let of = |status, text, help, soon| {
        let finding = Finding::new(code, status, key.clone(), text);
        Finding { help, soon, ..finding }
    };
    let finding = match found {
        Found::Unknown(unseen) => Finding::unseen(code, key.clone(), unseen),
        Found::Pass(text) => of(Status::Pass, text, None, false),
        Found::Skipped(text) => of(Status::Skipped, text, None, false),
        Found::Wrong(text, help) if weighty => of(Status::Fail, text, help, false),
        Found::Wrong(text, help) if told => of(Status::Info, text, help, false),
        Found::Wrong(text, help) | Found::Mild(text, help) => {
            of(Status::Warning, text, help, false)
        }
        Found::Soon(text, help) => of(Status::Fail, text, Some(help), true),
        Found::Grave(text, help) => of(Status::Fail, text, Some(help), false),
    };
    let path = Pointer::parse(at);
    let title = page.map_or_else(|| code.to_owned(), |it| it.title.clone());
    Finding { title, place: place(desired, key, &path), path, ..finding }
}

/// The line of a field, or of what is around it, or of its resource, or of its cluster.
fn place(desired: &Desired, key: &Key, path: &Pointer) -> Option<Place> {
    let mut at = path.clone();
    loop {
        if let Some(place) = desired.place(key, &at) {
            return Some(place);
        }
        if at == Pointer::root() {
            break;
        }
        at = at.parent();
    }
    desired.in_scope(&key.scope).find_map(|it| desired.place(it.0, &Pointer::root()))
}

impl<'a> Site<'a> {
    /// Adds a result of the rule.
    pub(super) fn add(&mut self, key: &Key, found: impl Into<Found>) {
        self.add_at(key, "", found);
    }

    /// Adds a result about one field of a resource, by its path on the wire.
    pub(super) fn add_at(&mut self, key: &Key, at: &str, found: impl Into<Found>) {
        self.checks.push(check(self.world.desired, self.code, key, at, found.into()));
    }

    /// Adds a result about a setting of the extension.
    pub(super) fn add_setting(&mut self, setting: &str, found: impl Into<Found>) {
        let key = self.extension_key();
        let at = Pointer::parse("/properties/configurationSettings").join(setting).to_string();
        self.add_at(&key, &at, found);
    }

    /// Adds a result with a title of its own.
    pub(super) fn add_titled(&mut self, title: String, found: impl Into<Found>) {
        let key = self.extension_key();
        let mut check = check(self.world.desired, self.code, &key, "", found.into());
        check.title = title;
        self.checks.push(check);
    }

    /// The answer to a read of the rule. What the rule does not name is never looked up, so the
    /// table cannot leave a read out.
    pub(super) fn document(&self, name: &str) -> Judged<Option<&'a Json>> {
        let first = name.split(' ').next().unwrap_or_default();
        if !self.reads.contains(&first) {
            return Err(Unseen::Untold(format!("rule {} does not read {first}", self.code)));
        }
        let probed: &'a Probed = self.world.probed;
        probed.get(self.name, name)
    }

    /// Whom a rule is about: the extension, where one is declared, or the cluster.
    pub(super) fn about(&self, extension: bool) -> Option<&Key> {
        if extension { self.extension.map(|it| &it.key) } else { Some(&self.cluster) }
    }

    /// Address of the extension, or of the cluster where none is declared.
    pub(super) fn extension_key(&self) -> Key {
        self.extension.map_or_else(|| self.cluster.clone(), |extension| extension.key.clone())
    }

    /// The items of a probed list; what is not there is empty.
    pub(super) fn list(&self, name: &str) -> Judged<Vec<&'a Json>> {
        let Some(answer) = self.document(name)? else { return Ok(Vec::new()) };
        let inner = || answer.get("items").or_else(|| answer.get("value"));
        let items = answer.as_array().or_else(|| inner()?.as_array());
        Ok(items.into_iter().flatten().collect())
    }

    pub(super) fn profile(&self) -> ProfileName {
        match self.extension {
            Some(extension) if !extension.ga => ProfileName::Preview,
            _ => ProfileName::Ga,
        }
    }

    /// A declared or derived setting.
    pub(super) fn setting(&self, name: &str) -> Judged<Option<&str>> {
        if self.extension.is_some_and(|it| it.is_decided_live(name)) {
            self.decided()?;
        }
        Ok(self.settings.get(name).map(String::as_str))
    }

    /// What the live state decides about settings rests on the extension that is there, else on its
    /// cluster.
    fn decided(&self) -> Judged {
        let Some(extension) = self.extension else { return Ok(()) };
        if self.live(&extension.key)?.is_none() {
            self.live(&self.cluster)?;
        }
        Ok(())
    }

    /// Settings whose names begin so, without that beginning: none that the live state decides.
    pub(super) fn settings_under<'s>(
        &'s self,
        prefix: &'s str,
    ) -> impl Iterator<Item = (&'s str, &'s str)> {
        let under = move |(name, value): (&'s String, &'s String)| {
            Some((name.strip_prefix(prefix)?, value.as_str()))
        };
        self.settings.iter().filter_map(under)
    }

    pub(super) fn is_on(&self, setting: &str) -> Judged<bool> {
        self.is_on_or(setting, false)
    }

    /// Whether a setting counts as true, with what an unset one means.
    pub(super) fn is_on_or(&self, setting: &str, default: bool) -> Judged<bool> {
        Ok(self.setting(setting)?.map_or(default, |text| text.eq_ignore_ascii_case("true")))
    }

    /// Hands the question about components to the catalog.
    pub(super) fn with_query<T>(
        &self,
        extension: &Extension,
        ask: impl Fn(&ComponentQuery<'_>) -> T,
    ) -> Judged<T> {
        self.decided()?;
        Ok(ask(&ComponentQuery {
            extension: extension.name(),
            profile: self.profile(),
            training: self.is_on("enableTraining")?,
            inference: self.is_on("enableInference")?,
            aks: extension.aks,
            setting: &|key| self.settings.get(key).cloned(),
        }))
    }

    /// The grant of the cluster, where it is OpenShift.
    pub(super) fn grant(&self) -> Judged<Option<&'a SccGrant>> {
        let grant = self.own.iter().find_map(|(_, node)| match &node.resource {
            Resource::SccGrant(scc_grant) => Some(scc_grant),
            _ => None,
        });
        let Some(grant) = grant else { return Ok(None) };
        if grant.distribution.is_none() {
            self.live(&self.cluster)?;
        }
        Ok(Some(grant).filter(|it| self.applies(*it)))
    }

    pub(super) fn computes(&self) -> Vec<&'a Compute> {
        let compute = |(_, node): &(&'a Key, &'a ResourceNode)| match &node.resource {
            Resource::Compute(compute) => Some(compute),
            _ => None,
        };
        self.own.iter().filter_map(compute).collect()
    }

    /// Judges each compute by itself, so that one that was not read hides nothing of the others.
    pub(super) fn each_compute(
        &mut self,
        at: &str,
        judge: impl Fn(&Self, &Compute) -> Judged<Option<Found>>,
    ) {
        for compute in self.computes() {
            if let Some(found) = judge(self, compute).transpose() {
                self.add_at(&compute.key, at, found);
            }
        }
    }

    /// Accounts that the public lists name for this cluster.
    pub(super) fn known_accounts(&self) -> Vec<(String, String)> {
        let namespaces: Vec<String> =
            self.computes().into_iter().map(|compute| compute.namespace.clone()).collect();
        let name = self.extension.map_or("", Extension::name);
        service_accounts(self.profile(), name, &namespaces)
    }
}

/// A whole number in a document; zero when it is not there, as Kubernetes leaves zeros out.
pub(super) fn number(document: &Json, pointer: &str) -> i64 {
    document.pointer(pointer).and_then(Json::as_i64).unwrap_or_default()
}

/// The status of a condition of an object.
pub(super) fn condition<'a>(document: &'a Json, kind: &str) -> Option<&'a Json> {
    items(document, "/status/conditions").find(|value| text(value, "/type") == kind)
}

/// Up to four names, and how many more there are.
pub(super) fn some(names: &[String]) -> String {
    const SHOWN: usize = 4;
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
