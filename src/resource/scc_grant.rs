//! The right of service accounts to use an OpenShift security context constraint.
//!
//! It can be stored in three ways, and any of them counts as granted: the SCC's own `users` and
//! `groups`, or RBAC with the verb `use` (openshift/apiserver-library-go, SCC matcher). We write
//! role bindings (method rbac), or append to `users` as `oc edit scc` does (method users).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::namespace::MANAGED_BY;
use super::{
    About, Change, Document, Family, Impact, Kind, Live, Read, Readiness, Request, Rules, Snapshot,
    Target, Verb,
};
use crate::language::DriftClass;
use crate::model::{Json, Key, KindName, ObjectRef, Value, items, text};
use crate::resource::fields::Same;

pub(super) const ABOUT: About =
    About { class: DriftClass::Grant, family: Family::Access, part: "scc", ..About::OBJECT };

const RBAC: &str = "rbac.authorization.k8s.io/v1";
const SECURITY: &str = "security.openshift.io/v1";

/// The annotation in which the SCC remembers whom amlplan added.
const ADDED_USERS: &str = "amlplan.dev/added-users";

/// How a grant is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum GrantMethod {
    /// Role bindings, one a namespace.
    Rbac,
    /// The SCC's own list.
    Users,
}

/// A grant of one SCC to service accounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SccGrant {
    /// The address; its name is the SCC.
    pub key: Key,
    /// How it is written.
    pub method: GrantMethod,
    /// Namespace and name of every service account.
    pub accounts: BTreeSet<(String, String)>,
    /// The distribution that the manifest declares.
    pub distribution: Option<String>,
}

/// Whether a cluster is OpenShift: by declaration, by what Azure says, or by the cluster having SCCs.
pub(super) fn is_openshift(declared: Option<&str>, world: &Snapshot, scope: &str) -> bool {
    match distribution(declared, world, scope) {
        Some(distribution) => distribution.eq_ignore_ascii_case("openshift"),
        None => world.of_kind(scope, KindName::SccGrant).any(|it| it.document().is_some()),
    }
}

/// The distribution, where somebody knows it: `generic` is what Azure Arc says when it could not tell.
fn distribution<'a>(
    declared: Option<&'a str>,
    world: &'a Snapshot,
    scope: &str,
) -> Option<&'a str> {
    let cluster = world.cluster(scope);
    let azure = cluster.and_then(|value| value.pointer("/properties/distribution")?.as_str());
    declared.or(azure).filter(|text| !text.is_empty() && !text.eq_ignore_ascii_case("generic"))
}

fn user(namespace: &str, account: &str) -> String {
    format!("system:serviceaccount:{namespace}:{account}")
}

fn groups(namespace: &str) -> [String; 3] {
    [
        "system:serviceaccounts".to_owned(),
        format!("system:serviceaccounts:{namespace}"),
        "system:authenticated".to_owned(),
    ]
}

/// The role bindings of the cluster, or of a namespace.
fn role_bindings(namespace: Option<&str>) -> ObjectRef {
    match namespace {
        None => ObjectRef::cluster(RBAC, "ClusterRoleBinding", "clusterrolebindings", ""),
        Some(namespace) => {
            ObjectRef::cluster(RBAC, "RoleBinding", "rolebindings", "").in_namespace(namespace)
        }
    }
}

/// The roles of the cluster, or of a namespace.
fn roles(namespace: Option<&str>) -> ObjectRef {
    match namespace {
        None => ObjectRef::cluster(RBAC, "ClusterRole", "clusterroles", ""),
        Some(namespace) => ObjectRef::cluster(RBAC, "Role", "roles", "").in_namespace(namespace),
    }
}

impl SccGrant {
    fn scc(&self) -> &str {
        &self.key.name
    }

    fn scc_object(&self) -> ObjectRef {
        let (kind, plural) = ("SecurityContextConstraints", "securitycontextconstraints");
        ObjectRef::cluster(SECURITY, kind, plural, self.scc())
    }

    fn role_name(&self) -> String {
        format!("system:openshift:scc:{}", self.scc())
    }

    fn binding_name(&self) -> String {
        format!("amlplan-scc-{}", self.scc())
    }

    fn binding(&self, namespace: &str) -> ObjectRef {
        ObjectRef { name: self.binding_name(), ..role_bindings(Some(namespace)) }
    }

    /// The namespaces of the accounts, in order.
    fn namespaces(&self) -> Vec<&str> {
        let all: BTreeSet<&str> = self.accounts.iter().map(|(text, _)| text.as_str()).collect();
        all.into_iter().collect()
    }

    /// The objects of a collection, as they were read.
    fn read<'a>(&self, live: &'a Live, objects: ObjectRef) -> impl Iterator<Item = &'a Json> {
        let read = Read::Objects(objects);
        let at = self.reads().iter().position(|own| *own == read);
        at.into_iter().flat_map(|at| live.items(at))
    }

    /// Whether a role has a rule that lets its holder use the SCC, wildcards included.
    fn lets_use(&self, role: &Json) -> bool {
        let has = |rule: &Json, field: &str, want: &str| {
            items(rule, field).filter_map(Json::as_str).any(|text| text == "*" || text == want)
        };
        items(role, "/rules").any(|rule| {
            has(rule, "/verbs", "use")
                && has(rule, "/apiGroups", "security.openshift.io")
                && has(rule, "/resources", "securitycontextconstraints")
                && (items(rule, "/resourceNames").next().is_none()
                    || has(rule, "/resourceNames", self.scc()))
        })
    }

    fn binds(&self, binding: &Json, namespace: &str, account: &str) -> bool {
        items(binding, "/subjects").any(|subject| match text(subject, "/kind") {
            "ServiceAccount" => {
                text(subject, "/name") == account && text(subject, "/namespace") == namespace
            }
            "User" => text(subject, "/name") == user(namespace, account),
            "Group" => groups(namespace).iter().any(|group| group == text(subject, "/name")),
            _ => false,
        })
    }

    /// Whether an account may use the SCC; `ours` says whether our own bindings count.
    fn holds(&self, live: &Live, namespace: &str, account: &str, ours: bool) -> bool {
        let own = user(namespace, account);
        let by_list = live.document().is_some_and(|scc| {
            items(scc, "/users").any(|value| value.as_str() == Some(&own))
                || items(scc, "/groups")
                    .filter_map(Json::as_str)
                    .any(|text| groups(namespace).iter().any(|group| group == text))
        });
        let bound_in = |at: Option<&str>| {
            let lets_use = |binding: &Json| {
                let of = match text(binding, "/roleRef/kind") {
                    "ClusterRole" => Some(roles(None)),
                    // A binding of the cluster cannot name the role of a namespace.
                    _ => at.map(|_| roles(at)),
                };
                let name = text(binding, "/roleRef/name");
                let of = of.into_iter().flat_map(|objects| self.read(live, objects));
                let mut named = of.filter(|role| text(role, "/metadata/name") == name);
                named.any(|role| self.lets_use(role))
            };
            self.read(live, role_bindings(at)).any(|binding| {
                (ours || at.is_none() || text(binding, "/metadata/name") != self.binding_name())
                    && self.binds(binding, namespace, account)
                    && lets_use(binding)
            })
        };
        by_list || bound_in(None) || bound_in(Some(namespace))
    }

    fn own_binding<'a>(&self, live: &'a Live, namespace: &str) -> Option<&'a Json> {
        self.read(live, role_bindings(Some(namespace)))
            .find(|value| text(value, "/metadata/name") == self.binding_name())
    }

    /// The subjects of our binding in a namespace, as (namespace, name).
    fn bound(&self, live: &Live, namespace: &str) -> Option<BTreeSet<(String, String)>> {
        let binding = self.own_binding(live, namespace)?;
        let subject = |it: &Json| (text(it, "/namespace").to_owned(), text(it, "/name").to_owned());
        Some(items(binding, "/subjects").map(subject).collect())
    }

    fn document(&self, accounts: &BTreeSet<(String, String)>) -> Json {
        match self.method {
            GrantMethod::Users => {
                let users: Vec<String> = accounts.iter().map(|(n, text)| user(n, text)).collect();
                json!({"metadata": {"name": self.scc()}, "users": users})
            }
            GrantMethod::Rbac => {
                let subjects: Vec<Json> = accounts.iter().map(subject).collect();
                json!({"metadata": {"name": self.binding_name()}, "subjects": subjects})
            }
        }
    }

    fn bindings(&self, live: &Live) -> Vec<Request> {
        let mut requests = Vec::new();
        let role = self.role_name();
        if !self.read(live, roles(None)).any(|value| text(value, "/metadata/name") == role) {
            requests.push(Request::Apply {
                object: ObjectRef { name: role.clone(), ..roles(None) },
                body: json!({
                    "apiVersion": RBAC, "kind": "ClusterRole", "metadata": {"name": role},
                    "rules": [{"apiGroups": ["security.openshift.io"], "verbs": ["use"],
                        "resources": ["securitycontextconstraints"],
                        "resourceNames": [self.scc()]}],
                })
                .into(),
                take_over: false,
            });
        }
        for namespace in self.namespaces() {
            let missing: BTreeSet<(String, String)> = self
                .accounts
                .iter()
                .filter(|(text, account)| {
                    text == namespace && !self.holds(live, text, account, false)
                })
                .cloned()
                .collect();
            let object = self.binding(namespace);
            match self.bound(live, namespace) {
                bound if bound.as_ref() == Some(&missing) => {}
                None if missing.is_empty() => {}
                Some(_) if missing.is_empty() => requests.push(Request::DeleteObject { object }),
                bound => {
                    let body = self.binding_body(&object, &missing);
                    // A plan that changes our binding has shown what differs in it.
                    let take_over = bound.is_some();
                    requests.push(Request::Apply { object, body, take_over });
                }
            }
        }
        requests
    }

    fn binding_body(&self, object: &ObjectRef, accounts: &BTreeSet<(String, String)>) -> Value {
        let (label, value) = MANAGED_BY;
        json!({
            "apiVersion": RBAC, "kind": "RoleBinding",
            "metadata": {"name": object.name, "namespace": object.namespace, "labels": {label: value}},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": self.role_name(),
            },
            "subjects": accounts.iter().map(subject).collect::<Vec<_>>(),
        })
        .into()
    }

    fn added(&self, live: &Live) -> BTreeSet<String> {
        let annotations = live.document().and_then(|value| value.pointer("/metadata/annotations"));
        let added = annotations.and_then(|value| value.get(ADDED_USERS)).and_then(Json::as_str);
        serde_json::from_str(added.unwrap_or("[]")).unwrap_or_default()
    }
}

fn subject((namespace, name): &(String, String)) -> Json {
    json!({"kind": "ServiceAccount", "name": name, "namespace": namespace})
}

impl Kind for SccGrant {
    fn key(&self) -> &Key {
        &self.key
    }

    fn target(&self) -> Target {
        Target::Objects(match self.method {
            GrantMethod::Users => vec![self.scc_object()],
            GrantMethod::Rbac => self.namespaces().into_iter().map(|it| self.binding(it)).collect(),
        })
    }

    fn reads(&self) -> Vec<Read> {
        let of = |at| [Read::Objects(role_bindings(at)), Read::Objects(roles(at))];
        let mut reads = vec![Read::Object(self.scc_object())];
        reads.extend(of(None));
        reads.extend(self.namespaces().into_iter().flat_map(|namespace| of(Some(namespace))));
        reads
    }

    fn want(&self, _world: &Snapshot) -> Document {
        Document::plain(self.document(&self.accounts))
    }

    fn rules(&self) -> Rules {
        Rules { same: &[("/users", Same::Set), ("/subjects", Same::Set)], ..Rules::default() }
    }

    fn shown(&self, live: &Live) -> Option<Json> {
        live.document()?;
        let mut granted: BTreeSet<(String, String)> = self
            .accounts
            .iter()
            .filter(|(n, text)| self.holds(live, n, text, true))
            .cloned()
            .collect();
        let mut any = !granted.is_empty();
        if self.method == GrantMethod::Rbac {
            for namespace in self.namespaces() {
                let bound = self.bound(live, namespace);
                any |= bound.is_some();
                granted.extend(bound.into_iter().flatten());
            }
        }
        any.then(|| self.document(&granted))
    }

    fn readiness(&self, _want: &Document, live: &Live) -> Readiness {
        if live.document().is_none() {
            let scc = self.scc();
            return Readiness::NeedsHuman(format!(
                "the cluster has no SecurityContextConstraints `{scc}`; `oc get scc` lists them"
            ));
        }
        let granted =
            self.accounts.iter().filter(|(n, text)| self.holds(live, n, text, true)).count();
        if granted == 0 && !self.accounts.is_empty() { Readiness::Absent } else { Readiness::Ready }
    }

    fn requests(&self, change: &Change<'_>) -> Vec<Request> {
        let live = change.live;
        match (change.verb, self.method) {
            (Verb::Create | Verb::Update, GrantMethod::Rbac) => self.bindings(live),
            (Verb::Create | Verb::Update, GrantMethod::Users) => {
                let missing =
                    self.accounts.iter().filter(|(n, text)| !self.holds(live, n, text, true));
                let users = missing.map(|(n, text)| user(n, text)).collect();
                vec![Request::AddUsers { object: self.scc_object(), users }]
            }
            (Verb::Delete, GrantMethod::Rbac) => {
                let bound = |namespace: &&str| self.bound(live, namespace).is_some();
                let bound = self.namespaces().into_iter().filter(bound);
                bound.map(|name| Request::DeleteObject { object: self.binding(name) }).collect()
            }
            (Verb::Delete, GrantMethod::Users) => {
                let own: BTreeSet<String> =
                    self.accounts.iter().map(|(n, text)| user(n, text)).collect();
                let users = self.added(live).intersection(&own).cloned().collect();
                vec![Request::RemoveUsers { object: self.scc_object(), users }]
            }
        }
    }

    fn gone(&self, live: &Live) -> bool {
        self.removable(live).is_err()
    }

    fn other_writers(&self, live: &Live) -> Vec<String> {
        let namespaces = self.namespaces().into_iter();
        let bindings = namespaces.filter_map(|namespace| self.own_binding(live, namespace));
        bindings.flat_map(|value| super::fields::other_managers(Some(value))).collect()
    }

    fn removal_impact(&self) -> Impact {
        Impact::DisruptsJobsAndEndpoints
    }

    fn removable(&self, live: &Live) -> Result<(), String> {
        let ours = match self.method {
            GrantMethod::Users => {
                let own: BTreeSet<String> =
                    self.accounts.iter().map(|(n, text)| user(n, text)).collect();
                !self.added(live).is_disjoint(&own)
            }
            GrantMethod::Rbac => {
                self.namespaces().into_iter().any(|name| self.bound(live, name).is_some())
            }
        };
        if ours { Ok(()) } else { Err("amlplan added none of these grants".to_owned()) }
    }

    /// Other distributions have no SCCs, and reading them may not be allowed.
    fn may_apply(&self, world: &Snapshot) -> bool {
        let known = distribution(self.distribution.as_deref(), world, &self.key.scope);
        known.is_none_or(|text| text.eq_ignore_ascii_case("openshift"))
    }

    fn applies(&self, world: &Snapshot) -> bool {
        is_openshift(self.distribution.as_deref(), world, &self.key.scope)
    }
}

#[cfg(test)]
#[path = "scc_grant_tests.rs"]
mod tests;
