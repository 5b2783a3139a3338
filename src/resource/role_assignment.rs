//! Role assignments (Azure REST: Microsoft.Authorization roleAssignments).

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::compute::workspace_options;
use super::graph::{ClusterAccess, Desired, GraphBuilder, shared_key};
use super::orphans::Search;
use super::part::{Around, AzForm, Lists, word};
use super::{
    About, Change, ComputeIdentity, Document, Family, FieldChange, Kind, Live, Read, Readiness,
    Request, Resource, Rules, Snapshot, Target,
};
use crate::catalog::{self, ArmType};
use crate::language::{self, ClusterType, DriftClass, PrincipalRef};
use crate::model::{ArmId, Json, Key, KindName, Later, Pointer, Value, text};
use crate::resource::fields::Same;
use crate::resource::update::{self, Takes};

pub(super) const ABOUT: About = About {
    class: DriftClass::Role,
    family: Family::Access,
    part: "roleAssignments",
    ..About::AZURE
}
.within(5, 60);

/// Where an assignment carries its mark: it has no tags.
pub(super) const MARK_AT: super::mark::MarkAt =
    super::mark::MarkAt::Word("/properties/description");

/// Whom the role is given to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Principal {
    /// An object id of the directory.
    ObjectId(String),
    /// The identity of a resource: where its principal id stands.
    Of(Later),
}

/// A role for a principal at a scope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleAssignment {
    /// The address.
    pub key: Key,
    /// Azure id of the scope.
    pub at: ArmId,
    /// Full id of the role definition.
    pub role_definition: String,
    /// Whom it is given to.
    pub principal: Principal,
    /// Name of the assignment: a UUID made from scope, principal and role, so that a second run
    /// finds what the first one made.
    pub name: String,
}

impl RoleAssignment {
    fn id(&self) -> ArmId {
        self.at.extension(ArmType::ROLE_ASSIGNMENTS.name, &self.name)
    }

    fn role(&self) -> &str {
        self.role_definition.rsplit('/').next().unwrap_or_default()
    }

    /// An assignment of the same triple under another name.
    fn elsewhere<'a>(&self, want: &Document, live: &'a Live) -> Option<&'a Json> {
        let pointer = Pointer::parse("/properties/principalId");
        let Some(Value::String(principal)) = want.body.get(&pointer) else { return None };
        live.items(1).find(|value| {
            let text = |pointer: &str| value.pointer(pointer).and_then(Json::as_str).unwrap_or("");
            text("/properties/principalId").eq_ignore_ascii_case(principal)
                && text("/properties/scope").eq_ignore_ascii_case(self.at.as_str())
                && text("/properties/roleDefinitionId")
                    .rsplit('/')
                    .next()
                    .is_some_and(|text| text.eq_ignore_ascii_case(self.role()))
        })
    }
}

/// The part of the manifest.
pub(super) struct RoleAssignments;

impl super::part::Part for RoleAssignments {
    fn declare(&self, builder: &mut GraphBuilder<'_>) {
        let spec = builder.spec;
        let labels = labels(spec);
        for (index, (assignment, label)) in spec.role_assignments.iter().zip(labels).enumerate() {
            let at = format!("/roleAssignments/{index}");
            let Some(scope) = builder.arm_id(&assignment.scope, &format!("{at}/scope")) else {
                continue;
            };
            let who = spec.principal(&assignment.principal).ok();
            let Some(principal) = who.and_then(|who| principal(builder, who)) else {
                let message = format!("`{}` does not name one principal", assignment.principal);
                let help =
                    "name a compute, workspace or extension of this cluster, or an object id";
                builder.wrong("unknown-principal", message, help, &format!("{at}/principal"));
                continue;
            };
            let role = assignment.role.rsplit('/').next().unwrap_or(&assignment.role);
            let role = catalog::role(role).unwrap_or(role);
            let subscription = match scope.subscription() {
                "" => spec.azure.subscription.as_str(),
                own => own,
            };
            let role_definition = format!(
                "/subscriptions/{subscription}/providers/Microsoft.Authorization/roleDefinitions/{role}"
            );
            let (who, needs) = match &principal {
                Principal::ObjectId(id) => (id.clone(), Vec::new()),
                Principal::Of(later) => {
                    let node = builder.desired.nodes.get(&later.from);
                    let who = match node.map(|it| it.resource.kind().target()) {
                        Some(Target::Arm(id)) => id.to_string(),
                        Some(Target::Objects(_)) | None => later.from.to_string(),
                    };
                    (who, vec![later.from.clone()])
                }
            };
            let triple = format!("{scope}|{who}|{role}");
            let space = uuid::Uuid::NAMESPACE_URL;
            let name = uuid::Uuid::new_v5(&space, triple.to_ascii_lowercase().as_bytes());
            let workspace = needs.first().filter(|need| need.kind == KindName::Workspace).cloned();
            let resource = RoleAssignment {
                key: builder.key(KindName::RoleAssignment, label),
                at: scope,
                role_definition,
                principal,
                name: name.to_string(),
            };
            let key = builder.add(resource, &needs, &at);
            if let Some(workspace) = workspace {
                attach_after(builder, &workspace, &key);
            }
        }
    }

    fn az(&self) -> Option<AzForm> {
        Some(AzForm {
            kind: KindName::RoleAssignment,
            verb: "az role assignment create",
            options: &[
                &["--assignee-object-id", "--assignee"],
                &["--assignee-principal-type"],
                &["--role"],
                &["--scope"],
                &["--name", "-n"],
            ],
            needed: &["--assignee-object-id", "--role", "--scope"],
            write: |cluster| {
                cluster.role_assignments.iter().map(|it| options(cluster, it)).collect()
            },
            read: |options, cluster| {
                let value = |name: &str| options.get(name).cloned().unwrap_or_default();
                let (role, scope) = (value("--role"), value("--scope"));
                put(cluster, value("--assignee-object-id"), role, scope);
                Ok(())
            },
        })
    }

    /// Role assignments of the computes' identities, in the subscriptions of their workspaces.
    fn live(&self, around: &Around<'_>) -> Vec<Read> {
        around.computes.iter().filter_map(|it| Some(given(it)?.0)).collect()
    }

    fn take(&self, around: &Around<'_>, lists: &Lists, cluster: &mut language::ClusterSpec) {
        for compute in around.computes {
            let Some((read, principal)) = given(compute) else { continue };
            let own =
                |it: &&Json| text(it, "/properties/principalId").eq_ignore_ascii_case(principal);
            let name = text(&compute.1, "/name");
            let alone =
                around.computes.iter().filter(|it| text(&it.1, "/name") == name).count() == 1;
            for value in lists.get(&read).into_iter().flatten().filter(own) {
                let guid = role_of(text(value, "/properties/roleDefinitionId"));
                let known = catalog::roles().iter().find(|it| it.1.eq_ignore_ascii_case(guid));
                let role = known.map_or_else(|| guid.to_owned(), |it| it.0.clone());
                let who = if alone { format!("compute/{name}") } else { principal.to_owned() };
                put(cluster, who, role, text(value, "/properties/scope").to_owned());
            }
        }
    }

    fn lists(&self, _: &Desired, _: &str, access: &ClusterAccess) -> Vec<Read> {
        vec![all(access.id.subscription())]
    }

    fn orphans(&self, search: &Search<'_>) -> Vec<Resource> {
        let list = all(search.access.id.subscription());
        search.list(&list).filter_map(|value| orphan(search, value)).collect()
    }
}

fn all(subscription: &str) -> Read {
    let ArmType { name, api_version } = ArmType::ROLE_ASSIGNMENTS;
    Read::ArmList { path: format!("/subscriptions/{subscription}/providers/{name}"), api_version }
}

fn role_of(definition: &str) -> &str {
    definition.rsplit('/').next().unwrap_or_default()
}

/// Where the roles of a compute's identity are listed, and its object id.
fn given((workspace, compute): &(ArmId, Json)) -> Option<(Read, &str)> {
    let ids = compute.pointer("/identity/userAssignedIdentities").and_then(Json::as_object);
    let first = ids.and_then(|it| it.values().next());
    let own = compute.pointer("/identity/principalId");
    let principal = own.or_else(|| first.and_then(|value| value.get("principalId")))?.as_str()?;
    let ArmType { name, api_version } = ArmType::ROLE_ASSIGNMENTS;
    let scope = format!("/subscriptions/{}", workspace.subscription());
    let path = format!("{scope}/providers/{name}?$filter=principalId%20eq%20'{principal}'");
    Some((Read::ArmList { path, api_version }, principal))
}

/// Declares an assignment, once.
fn put(cluster: &mut language::ClusterSpec, principal: String, role: String, scope: String) {
    let assignment = language::RoleAssignmentSpec { principal, role, scope };
    if !cluster.role_assignments.contains(&assignment) {
        cluster.role_assignments.push(assignment);
    }
}

/// Where the principal id of a declared principal stands: the node, and the place in it.
fn principal(builder: &GraphBuilder<'_>, who: PrincipalRef<'_>) -> Option<Principal> {
    let later = |from: Key, at: &str| {
        Some(Principal::Of(Later { from, at: Pointer::parse(at), call: None }))
    };
    match who {
        PrincipalRef::ObjectId(id) => Some(Principal::ObjectId(id.to_owned())),
        PrincipalRef::Extension => {
            let at = match builder.spec.cluster.kind {
                ClusterType::ConnectedClusters => "/identity/principalId",
                ClusterType::ManagedClusters => "/properties/aksAssignedIdentity/principalId",
            };
            later(builder.extension.clone()?, at)
        }
        PrincipalRef::Workspace(index) => {
            let id = builder.spec.workspace_id(&builder.spec.computes[index]);
            later(shared_key(KindName::Workspace, &id), "/identity/principalId")
        }
        PrincipalRef::Compute(index) => {
            let key = builder.key(KindName::Compute, &builder.spec.computes[index].name);
            let Resource::Compute(compute) = &builder.desired.nodes.get(&key)?.resource else {
                return None;
            };
            match &compute.identity {
                ComputeIdentity::UserAssigned(id) => {
                    let identity = shared_key(KindName::ManagedIdentity, id);
                    later(identity, "/properties/principalId")
                }
                _ => later(key, "/identity/principalId"),
            }
        }
    }
}

/// A workspace that attaches with rights it is given here has to have them first
/// (AML docs: attach Kubernetes to workspace, roles of the workspace identity).
fn attach_after(builder: &mut GraphBuilder<'_>, workspace: &Key, role: &Key) {
    let scope = &builder.spec.name;
    for node in builder.desired.nodes.values_mut() {
        if let Resource::Compute(compute) = &node.resource
            && compute.workspace == *workspace
            && compute.key.scope == *scope
        {
            node.needs.insert(role.clone());
        }
    }
}

/// The names of the role assignments of a cluster: principal, role and the last two segments of
/// the scope, or as many more as it takes to tell one from the others.
fn labels(spec: &language::ClusterSpec) -> Vec<String> {
    let spelled = |assignment: &language::RoleAssignmentSpec, segments: usize| {
        let scope: Vec<&str> = assignment.scope.split('/').filter(|it| !it.is_empty()).collect();
        let tail = &scope[scope.len().saturating_sub(segments)..];
        format!("{}/{}/{}", assignment.principal, assignment.role, tail.join("/"))
    };
    let all = &spec.role_assignments;
    let longest = all.iter().map(|it| it.scope.split('/').count()).max().unwrap_or(0);
    let alone = |own: &language::RoleAssignmentSpec, segments: usize| {
        let label = spelled(own, segments);
        let same = all.iter().filter(|it| spelled(it, segments).eq_ignore_ascii_case(&label));
        // The same scope, declared again, is the same assignment.
        same.into_iter().all(|assignment| assignment.scope.eq_ignore_ascii_case(&own.scope))
    };
    let label = |own: &language::RoleAssignmentSpec| {
        let lengths = (2..longest).step_by(2);
        let enough = lengths.into_iter().find(|length| alone(own, *length)).unwrap_or(longest);
        spelled(own, enough)
    };
    all.iter().map(label).collect()
}

fn options(
    cluster: &language::ClusterSpec,
    assignment: &language::RoleAssignmentSpec,
) -> Vec<String> {
    let principal = match cluster.principal(&assignment.principal) {
        Ok(PrincipalRef::Compute(index)) => {
            let compute = &cluster.computes[index];
            format!(
                "\"$(az ml compute show --name {} {} --query 'identity.principal_id || \
                 identity.user_assigned_identities[0].principal_id' --output tsv)\"",
                word(&compute.name),
                workspace_options(cluster, compute).join(" "),
            )
        }
        Ok(PrincipalRef::Workspace(index)) => {
            let id = cluster.workspace_id(&cluster.computes[index]);
            let elsewhere = !id.subscription().eq_ignore_ascii_case(&cluster.azure.subscription);
            let subscription = format!(" --subscription {}", word(id.subscription()));
            format!(
                "\"$(az ml workspace show --name {} --resource-group {}{} --query \
                 identity.principal_id --output tsv)\"",
                word(id.name()),
                word(id.resource_group().unwrap_or_default()),
                if elsewhere { subscription.as_str() } else { "" },
            )
        }
        Ok(PrincipalRef::Extension) => {
            let name = cluster.extension.as_ref().map_or("", |extension| extension.name.as_str());
            format!(
                "\"$(az k8s-extension show --name {} --cluster-type {} --cluster-name {} \
                 --resource-group {} --query 'identity.principalId || aksAssignedIdentity.principalId' \
                 --output tsv)\"",
                word(name),
                cluster.cluster.kind.as_str(),
                word(&cluster.cluster.name),
                word(&cluster.azure.resource_group),
            )
        }
        // The rules have refused whatever names nobody.
        Ok(PrincipalRef::ObjectId(_)) | Err(_) => word(&assignment.principal),
    };
    vec![
        format!("--assignee-object-id {principal}"),
        "--assignee-principal-type ServicePrincipal".to_owned(),
        format!("--role {}", word(&assignment.role)),
        format!("--scope {}", word(&assignment.scope)),
    ]
}

fn orphan(search: &Search<'_>, document: &Json) -> Option<Resource> {
    let id = search.id(MARK_AT, document)?;
    let at = ArmId::parse(text(document, "/properties/scope")).ok()?;
    let principal = text(document, "/properties/principalId");
    let own = |key: &Key| {
        let shown = search.live.document(key)?;
        (text(shown, "/identity/principalId").eq_ignore_ascii_case(principal))
            .then(|| format!("{}/{}", key.kind, key.name))
    };
    let who = search.desired.in_scope(search.scope).map(|it| it.0).find_map(own);
    let who = who.unwrap_or_else(|| principal.to_owned());
    let guid = text(document, "/properties/roleDefinitionId").rsplit('/').next()?;
    let role = catalog::roles().iter().find(|(_, text)| text.eq_ignore_ascii_case(guid));
    let role = role.map_or(guid, |(name, _)| name.as_str());
    let tail = |segments: usize| {
        let all: Vec<&str> = at.as_str().split('/').filter(|part| !part.is_empty()).collect();
        let end = all[all.len().saturating_sub(segments)..].join("/");
        format!("{who}/{role}/{end}")
    };
    let key = search.key(KindName::RoleAssignment, &tail(2), &tail(usize::MAX));
    Some(
        RoleAssignment {
            key,
            role_definition: text(document, "/properties/roleDefinitionId").to_owned(),
            principal: Principal::ObjectId(principal.to_owned()),
            name: id.name().to_owned(),
            at,
        }
        .into(),
    )
}

impl Kind for RoleAssignment {
    fn key(&self) -> &Key {
        &self.key
    }

    fn mark_at(&self) -> Option<super::mark::MarkAt> {
        Some(MARK_AT)
    }

    fn target(&self) -> Target {
        Target::Arm(self.id())
    }

    fn reads(&self) -> Vec<Read> {
        let ArmType { name, api_version } = ArmType::ROLE_ASSIGNMENTS;
        let path = format!("{}/providers/{name}?$filter=atScope()", self.at);
        vec![Read::Arm { id: self.id(), api_version }, Read::ArmList { path, api_version }]
    }

    fn want(&self, _world: &Snapshot) -> Document {
        let mut properties = Value::from(json!({
            "roleDefinitionId": self.role_definition,
            // Without it a principal that the directory has not spread yet is refused.
            "principalType": "ServicePrincipal",
        }));
        match &self.principal {
            Principal::ObjectId(id) => {
                properties = json!({"roleDefinitionId": self.role_definition}).into();
                properties.insert("principalId", id.as_str());
            }
            Principal::Of(later) => properties.insert("principalId", later.clone()),
        }
        let mut body = Value::object();
        body.insert("properties", properties);
        Document::plain(body)
    }

    fn rules(&self) -> Rules {
        Rules {
            same: &[("/properties/principalId", Same::IgnoringCase)],
            immutable: &["/properties/principalId", "/properties/roleDefinitionId"],
            unread: &["/properties/principalType"],
            ..Rules::default()
        }
    }

    fn differences(&self, want: &Document, live: &Live) -> Vec<FieldChange> {
        let Some(document) = live.document().or_else(|| self.elsewhere(want, live)) else {
            return Vec::new();
        };
        let mut changes = super::fields::diff(&want.body, document, &self.rules());
        // The same definition is spelled with and without its subscription.
        changes.retain(|change| {
            let role =
                change.before.as_ref().and_then(Json::as_str).and_then(|it| it.rsplit('/').next());
            change.path.to_string() != "/properties/roleDefinitionId"
                || !role.is_some_and(|text| text.eq_ignore_ascii_case(self.role()))
        });
        changes
    }

    fn readiness(&self, want: &Document, live: &Live) -> Readiness {
        let there = live.document().is_some() || self.elsewhere(want, live).is_some();
        if there { Readiness::Ready } else { Readiness::Absent }
    }

    fn requests(&self, change: &Change<'_>) -> Vec<Request> {
        let (path, version) = (self.id().to_string(), ArmType::ROLE_ASSIGNMENTS.api_version);
        vec![update::request(change, Takes::Put, &self.rules(), path, version)]
    }

    fn removable(&self, live: &Live) -> Result<(), String> {
        match live.document() {
            Some(_) => Ok(()),
            None => Err("the same assignment exists under another name; it is not ours".to_owned()),
        }
    }
}
