//! What every check needs: one declared cluster with its extension, and the list of results.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::report::{Finding, Probed, Status};
use crate::catalog;
use crate::catalog::{ComponentQuery, ProfileName, service_accounts};
use crate::model::{Json, Key, KindName, Pointer};
pub(super) use crate::model::{items, text};
use crate::resource::graph::{ClusterAccess, Desired, ResourceNode, Scope};
use crate::resource::{Compute, Extension, Resource, SccGrant, Snapshot};
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
    Unknown(String),
    /// Wrong, with the weight of the page.
    Wrong(String, Option<String>),
    /// Wrong, but it stops nothing here.
    Mild(String, Option<String>),
    /// Not so yet, and somebody works on it: for `verify` it is wrong, for `drift` only to know.
    Soon(String, String),
    /// Wrong, and it stops an apply here.
    Grave(String, String),
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

/// What rules judge: what is declared, what is live, and the time of the run.
#[derive(Clone, Copy)]
pub(super) struct Inspection<'a> {
    pub(super) desired: &'a Desired,
    pub(super) snapshot: &'a Snapshot,
    pub(super) probed: &'a Probed,
    pub(super) now: Timestamp,
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
    pub(super) settings: BTreeMap<String, String>,
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
    let soon = matches!(found, Found::Soon(..));
    let weighty = page.is_none_or(|it| it.severity.iter().any(|severity| severity == "error"));
    let told = page.is_some_and(|it| it.severity.iter().all(|severity| severity == "info"));
    let (status, message, help) = match found {
        Found::Pass(text) => (Status::Pass, text, None),
        Found::Skipped(text) => (Status::Skipped, text, None),
        Found::Unknown(text) => (Status::Unknown, text, None),
        Found::Wrong(text, help) if weighty => (Status::Fail, text, help),
        Found::Wrong(text, help) if told => (Status::Info, text, help),
        Found::Wrong(text, help) | Found::Mild(text, help) => (Status::Warning, text, help),
        Found::Soon(text, help) | Found::Grave(text, help) => (Status::Fail, text, Some(help)),
    };
    let path = Pointer::parse(at);
    Finding {
        title: page.map_or_else(|| code.to_owned(), |it| it.title.clone()),
        soon,
        help,
        place: place(desired, key, &path),
        path,
        ..Finding::new(code, status, key.clone(), message)
    }
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
    pub(super) fn add(&mut self, key: &Key, found: Found) {
        self.add_at(key, "", found);
    }

    /// Adds a result about one field of a resource, by its path on the wire.
    pub(super) fn add_at(&mut self, key: &Key, at: &str, found: Found) {
        self.checks.push(check(self.world.desired, self.code, key, at, found));
    }

    /// Adds a result about a setting of the extension.
    pub(super) fn add_setting(&mut self, setting: &str, found: Found) {
        let key = self.extension_key();
        let at = Pointer::parse("/properties/configurationSettings").join(setting).to_string();
        self.add_at(&key, &at, found);
    }

    /// Adds a result with a title of its own.
    pub(super) fn add_titled(&mut self, title: String, found: Found) {
        let key = self.extension_key();
        let mut check = check(self.world.desired, self.code, &key, "", found);
        check.title = title;
        self.checks.push(check);
    }

    /// The answer to a read of the rule. What the rule does not name is never looked up, so the
    /// table cannot leave a read out.
    fn answer(&self, name: &str) -> Result<Option<&'a Json>, String> {
        let first = name.split(' ').next().unwrap_or_default();
        if !self.reads.contains(&first) {
            return Err(format!("rule {} does not read {first}", self.code));
        }
        let probed: &'a Probed = self.world.probed;
        Ok(probed.get(self.name, name)?)
    }

    /// Address of the extension, or of the cluster where none is declared.
    pub(super) fn extension_key(&self) -> Key {
        self.extension.map_or_else(|| self.cluster.clone(), |extension| extension.key.clone())
    }

    /// The items of a probed list; what is not there is empty.
    pub(super) fn list(&self, name: &str) -> Result<Vec<&'a Json>, String> {
        let Some(answer) = self.answer(name)? else { return Ok(Vec::new()) };
        let inner = || answer.get("items").or_else(|| answer.get("value"));
        let items = answer.as_array().or_else(|| inner()?.as_array());
        Ok(items.into_iter().flatten().collect())
    }

    /// A probed document.
    pub(super) fn document(&self, name: &str) -> Result<Option<&'a Json>, String> {
        self.answer(name)
    }

    pub(super) fn profile(&self) -> ProfileName {
        match self.extension {
            Some(extension) if !extension.ga => ProfileName::Preview,
            _ => ProfileName::Ga,
        }
    }

    pub(super) fn is_on(&self, setting: &str) -> bool {
        self.settings.get(setting).is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }

    /// Whether a setting counts as true, with what an unset one means.
    pub(super) fn is_on_or(&self, setting: &str, default: bool) -> bool {
        self.settings.get(setting).map_or(default, |text| text.eq_ignore_ascii_case("true"))
    }

    /// Hands the question about components to the catalog.
    pub(super) fn with_query<T>(
        &self,
        extension: &Extension,
        ask: impl Fn(&ComponentQuery<'_>) -> T,
    ) -> T {
        ask(&ComponentQuery {
            extension: extension.name(),
            profile: self.profile(),
            training: self.is_on("enableTraining"),
            inference: self.is_on("enableInference"),
            aks: extension.aks,
            setting: &|key| self.settings.get(key).cloned(),
        })
    }

    /// The grant of the cluster, where it is OpenShift.
    pub(super) fn grant(&self) -> Option<&'a SccGrant> {
        use crate::resource::Kind;
        self.own.iter().find_map(|(_, node)| match &node.resource {
            Resource::SccGrant(scc_grant) if scc_grant.applies(self.world.snapshot) => {
                Some(scc_grant)
            }
            _ => None,
        })
    }

    pub(super) fn computes(&self) -> Vec<&'a Compute> {
        let compute = |(_, node): &(&'a Key, &'a ResourceNode)| match &node.resource {
            Resource::Compute(compute) => Some(compute),
            _ => None,
        };
        self.own.iter().filter_map(compute).collect()
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
