//! `amlplan import --cluster`: reads what is live, and adds to a draft until its plan is empty.

use std::collections::BTreeMap;

use super::super::args::ImportArgs;
use super::super::context::CommandContext;
use super::super::exit::CommandFailure;
use crate::catalog::ArmType;
use crate::convert::live::{Difference, LiveDraft, LiveFound, bare, draft};
use crate::language::{
    Access, CloudName, CloudSpec, ClusterSpec, ClusterType, CustomCloud, Declared, Dollars,
    Manifest, Profile, to_yaml,
};
use crate::model::{Api, ArmId, Json};
use crate::observe::{Clients, ReadError};
use crate::plan::{self, Mode, Plan, PlanInput, Reason};
use crate::resource::{PARTS, Read, graph};
use crate::source::Diagnostic;

/// Every round declares or sets aside something, so more of them mean a mistake of ours.
const ROUNDS: usize = 12;

/// The manifest of a cluster as it is.
pub(super) async fn import(
    wanted: &str,
    args: &ImportArgs,
    profile: Option<Profile>,
    context: &CommandContext,
) -> Result<String, CommandFailure> {
    let (id, kind) = cluster_id(wanted)?;
    let workspaces =
        args.workspace.iter().map(|text| workspace_id(text)).collect::<Result<Vec<_>, _>>()?;
    let wanted = Wanted { id, kind, workspaces, cloud: cloud(args)?, profile };
    let one = wanted.read(context).await?;
    if one.found.extension.is_none() {
        context.out.note("The cluster has no Azure ML extension; the manifest declares none.");
    }
    let mut one = one.settled(context).await?;
    // Computes in workspaces that were not looked at stay.
    one.cluster.lifecycle.prune = false;
    let head = head(&one.cluster, &one.left, &wanted.workspaces);
    Ok(to_yaml(&one.cluster, &head, &one.notes, Dollars::Escape))
}

/// `--cloud`: a name, the address of a Resource Manager, or what a manifest says.
pub(super) fn cloud(args: &ImportArgs) -> Result<CloudSpec, CommandFailure> {
    let Some(text) = args.cloud.as_deref() else { return Ok(CloudSpec::default()) };
    let names = [CloudName::AzureCloud, CloudName::AzureUSGovernment, CloudName::AzureChinaCloud];
    if let Some(name) = names.into_iter().find(|it| it.as_str().eq_ignore_ascii_case(text)) {
        return Ok(CloudSpec::Named(name));
    }
    if text.starts_with("https://") || text.starts_with("http://") {
        return Ok(CloudSpec::Custom(CustomCloud {
            name: "custom".to_owned(),
            resource_manager: text.to_owned(),
            authority: None,
            audience: None,
        }));
    }
    serde_yaml::from_str(text).map(CloudSpec::Custom).map_err(|_| {
        Diagnostic::error("unknown-cloud", format!("there is no cloud `{text}`"))
            .with_help("write AzureCloud, AzureUSGovernment, AzureChinaCloud, the https address of a Resource Manager, or {name: …, resourceManager: …}")
            .into()
    })
}

/// A cluster to import.
pub(super) struct Wanted {
    pub(super) id: ArmId,
    pub(super) kind: ClusterType,
    pub(super) workspaces: Vec<ArmId>,
    pub(super) cloud: CloudSpec,
    pub(super) profile: Option<Profile>,
}

/// What was read of a cluster.
pub(super) struct OneCluster {
    pub(super) found: LiveFound,
    cluster: ClusterSpec,
    clients: Clients,
    profile: Option<Profile>,
}

/// A cluster whose manifest is as near to what is live as it can be.
pub(super) struct Settled {
    pub(super) cluster: ClusterSpec,
    pub(super) notes: BTreeMap<String, String>,
    pub(super) left: Plan,
}

impl Wanted {
    pub(super) async fn read(
        &self,
        context: &CommandContext,
    ) -> Result<OneCluster, CommandFailure> {
        let (mut cluster, mut clients) = self.reach(None, context).await?;
        let mut live = Reading::of(&cluster, &clients).cluster(&self.id).await;
        if let Err(ReadError { tenant: Some(tenant), .. }) = live {
            // The subscription is in another directory than the one we are signed in to.
            (cluster, clients) = self.reach(Some(tenant.into()), context).await?;
            live = Reading::of(&cluster, &clients).cluster(&self.id).await;
        }
        let Some(document) = live.map_err(failed)? else {
            let message = format!("there is no cluster `{}`, or you may not read it", self.id);
            return Err(Diagnostic::error("missing-cluster", message)
                .with_help("check the id: `az resource list` shows the ids of your clusters")
                .into());
        };
        let reading = Reading::of(&cluster, &clients);
        let found =
            reading.all(&self.id, document, &self.workspaces, &mut cluster, context).await?;
        Ok(OneCluster { found, cluster, clients, profile: self.profile })
    }

    /// Clients for the cluster; where its Kubernetes API cannot be reached, for Azure alone.
    async fn reach(
        &self,
        tenant: Option<String>,
        context: &CommandContext,
    ) -> Result<(ClusterSpec, Clients), CommandFailure> {
        let mut whole = bare(&self.id, self.kind, Access::Kubernetes);
        (whole.azure.tenant, whole.azure.cloud) = (tenant, self.cloud.clone());
        let clients = context.clients(&graph::build(&declare(whole.clone()))?).await?;
        if let Some(error) = clients.closed.values().next() {
            azure_only(context, &error.to_string());
            whole.cluster.access = Access::AzureOnly;
        }
        Ok((whole, clients))
    }
}

impl OneCluster {
    pub(super) async fn settled(self, context: &CommandContext) -> Result<Settled, CommandFailure> {
        let mut draft = draft(self.cluster, &self.found, self.profile);
        let mut left = settle(&mut draft, context, &self.clients).await?;
        left.findings.retain(|finding| finding.severity != crate::source::Severity::Advice);
        let (cluster, notes) = draft.finished();
        let unread: Vec<_> = left.unread.iter().map(|it| it.finding.clone()).collect();
        context.out.findings(&unread);
        for step in left.changing() {
            let message = format!("{}: the plan of the manifest is to {}", step.key, verb(step));
            let finding = Diagnostic::warning("import-differs", message)
                .with_help("no manifest says this as it is live; look at `amlplan plan`");
            context.out.findings(&[finding]);
        }
        Ok(Settled { cluster, notes, left })
    }
}

fn verb(step: &plan::Step) -> String {
    let reasons = step.reasons.iter().map(|reason| match reason {
        Reason::Unhealthy { state, message } => format!(", because it is {state}: {message}"),
        _ => String::new(),
    });
    format!("{}{}", step.action.words().join(" and "), reasons.collect::<String>())
}

fn head(cluster: &ClusterSpec, left: &Plan, workspaces: &[ArmId]) -> Vec<String> {
    let mut head = vec!["Written from live state by `amlplan import`.".to_owned()];
    head.push(match left.is_empty() {
        true => "Settings that amlplan derives by itself are left out; its plan is empty.".into(),
        false => "Its plan is not empty: `amlplan plan` shows what differs.".into(),
    });
    if workspaces.is_empty() {
        head.push("No workspace was named, so computes are not in it (--workspace).".into());
    }
    if cluster.cluster.access == Access::AzureOnly {
        head.push("The Kubernetes API was not reached: set cluster.kubeconfig and context,".into());
        head.push("delete the line `access`, and import again to see instance types.".into());
    }
    head
}

fn parse(text: &str, what: &str, example: &str) -> Result<ArmId, Diagnostic> {
    let help = format!("it looks like {example}");
    ArmId::parse(text).map_err(|why| {
        Diagnostic::error("import-id", format!("`{text}` is not the resource id of {what}: {why}"))
            .with_help(help)
    })
}

fn cluster_id(text: &str) -> Result<(ArmId, ClusterType), Diagnostic> {
    let example = "/subscriptions/ID/resourceGroups/GROUP/providers/Microsoft.Kubernetes/connectedClusters/NAME";
    let id = parse(text, "a cluster", example)?;
    let of = |kind: &ClusterType| kind.resource_type().eq_ignore_ascii_case(&id.resource_type());
    let found = [ClusterType::ConnectedClusters, ClusterType::ManagedClusters].into_iter().find(of);
    let found = found.filter(|_| id.resource_group().is_some());
    let Some(kind) = found else {
        let message = format!("`{text}` is the id of something else than a cluster");
        return Err(Diagnostic::error("import-id", message).with_help(format!(
            "it looks like {example}, or the same with Microsoft.ContainerService/managedClusters"
        )));
    };
    let group = id.resource_group().unwrap_or_default();
    Ok((ArmId::resource(id.subscription(), group, kind.resource_type(), id.name()), kind))
}

fn workspace_id(text: &str) -> Result<ArmId, Diagnostic> {
    let example =
        format!("/subscriptions/ID/resourceGroups/GROUP/providers/{}/NAME", ArmType::WORKSPACES);
    let id = parse(text, "a workspace", &example)?;
    if id.resource_type().eq_ignore_ascii_case(ArmType::WORKSPACES.name) {
        return Ok(id);
    }
    let message = format!("`{text}` is the id of something else than a workspace");
    Err(Diagnostic::error("import-id", message).with_help(format!("it looks like {example}")))
}

pub(super) fn declare(spec: ClusterSpec) -> Manifest {
    Manifest::from(vec![Declared::from(spec)])
}

fn azure_only(context: &CommandContext, why: &str) {
    let message = format!("only Azure is read, not the cluster itself: {why}");
    let finding = Diagnostic::warning("import-azure-only", message)
        .with_help("sign in to the cluster (kubeconfig) and import again to see what is in it");
    context.out.findings(&[finding]);
}

pub(super) struct Reading<'a> {
    pub(super) clients: &'a Clients,
    pub(super) scope: String,
}

impl<'a> Reading<'a> {
    fn of(cluster: &ClusterSpec, clients: &'a Clients) -> Self {
        Self { clients, scope: cluster.name.clone() }
    }

    async fn cluster(&self, id: &ArmId) -> Result<Option<Json>, ReadError> {
        let ArmType { api_version, .. } = ArmType::of_cluster(&id.resource_type());
        self.read(Read::Arm { id: id.clone(), api_version }).await
    }

    async fn read(&self, read: Read) -> Result<Option<Json>, ReadError> {
        self.clients.read(&self.scope, &read).await
    }

    pub(super) async fn list(
        &self,
        path: String,
        kind: ArmType,
    ) -> Result<Vec<Json>, CommandFailure> {
        let api_version = kind.api_version;
        let list = self.read(Read::ArmList { path, api_version }).await.map_err(failed)?;
        Ok(list.and_then(|value| value.as_array().cloned()).unwrap_or_default())
    }

    async fn all(
        &self,
        id: &ArmId,
        document: Json,
        workspaces: &[ArmId],
        cluster: &mut ClusterSpec,
        context: &CommandContext,
    ) -> Result<LiveFound, CommandFailure> {
        let mut found = LiveFound { cluster: document, ..LiveFound::default() };
        let extensions = self
            .list(format!("{id}/providers/{}", ArmType::EXTENSIONS), ArmType::EXTENSIONS)
            .await?;
        found.extension = extensions.into_iter().find(|value| {
            let kind = value.pointer("/properties/extensionType").and_then(Json::as_str);
            kind.is_some_and(|text| text.eq_ignore_ascii_case("Microsoft.AzureML.Kubernetes"))
        });
        for workspace in workspaces {
            let computes = self.list(format!("{workspace}/computes"), ArmType::COMPUTES).await?;
            let ours = computes.into_iter().filter(|value| {
                let text = |at: &str| value.pointer(at).and_then(Json::as_str).unwrap_or_default();
                text("/properties/computeType").eq_ignore_ascii_case("Kubernetes")
                    && text("/properties/resourceId").eq_ignore_ascii_case(id.as_str())
            });
            found.computes.extend(ours.map(|value| (workspace.clone(), value)));
        }
        let asked: Vec<Read> = PARTS.iter().flat_map(|part| part.live(&found.around())).collect();
        for read in asked {
            if read.api() == Api::Kubernetes && cluster.cluster.access == Access::AzureOnly {
                continue;
            }
            match self.read(read.clone()).await {
                Ok(list) => {
                    let list = list.and_then(|value| value.as_array().cloned()).unwrap_or_default();
                    found.lists.insert(read, list);
                }
                Err(error) if read.api() == Api::Kubernetes => {
                    azure_only(context, &error.to_string());
                    cluster.cluster.access = Access::AzureOnly;
                }
                Err(error) => context.out.findings(&failed(error).findings),
            }
        }
        Ok(found)
    }
}

fn failed(error: ReadError) -> CommandFailure {
    CommandFailure::error("read-failed", error.to_string())
}

/// Adds to the draft until its plan is empty or nothing more can be said; returns the last plan.
async fn settle(
    draft: &mut LiveDraft,
    context: &CommandContext,
    clients: &Clients,
) -> Result<Plan, CommandFailure> {
    let mut clients = clients.clone();
    for round in 0.. {
        let (cluster, _) = draft.finished();
        let desired = graph::build(&declare(cluster))?;
        // Workspaces and identities may lie in subscriptions that the first look did not know.
        if round == 0 {
            clients = context.clients(&desired).await?;
        }
        let live = context.snapshot(&desired, &clients).await;
        let plan = plan::plan(&PlanInput { desired: &desired, live: &live, mode: Mode::Apply });
        let found: Vec<Difference<'_>> = plan
            .steps
            .iter()
            .map(|step| Difference {
                key: &step.key,
                absent: step.reasons.iter().any(|reason| matches!(reason, Reason::Absent)),
                changes: &step.changes,
            })
            .collect();
        if plan.is_empty() || round >= ROUNDS || !draft.settle(&found) {
            return Ok(plan);
        }
    }
    Ok(Plan::default())
}
