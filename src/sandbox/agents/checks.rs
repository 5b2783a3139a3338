//! Why an installation fails: the health check's findings and what Helm and the cluster refuse
//! ("AML docs: troubleshoot the Kubernetes extension", "Azure/AML-Kubernetes: troubleshooting").

use serde_json::Value as Json;

use super::chart::{self, RELEASE_NAME, owned, ready_nodes};
use super::release::{Generation, NAMESPACE, Release, is_pem};
use crate::kube::rbac::scc_allows;
use crate::state::cluster::Cluster;
use crate::state::world::World;
use crate::state::world_file::WorldFile;

/// One line of a health report that is not `Passed`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReportLine {
    pub(crate) checker: &'static str,
    /// `E40002` without its letter.
    pub(crate) code: u32,
    pub(crate) message: String,
}

impl ReportLine {
    /// Codes below E45000 stop the installation.
    pub(crate) fn is_critical(&self) -> bool {
        self.code < 45_000 || [45_002, 45_004, 45_005].contains(&self.code)
    }
}

/// What a checker says for a code, where nothing in the world makes it say so ("AML docs: troubleshoot the Kubernetes
/// extension"; "Azure/AML-Kubernetes: troubleshooting").
pub(crate) fn told(code: &str) -> Option<ReportLine> {
    let (checker, message) = match code {
        "E40000" => ("info", "Unknown error."),
        "E40001" => ("service", NO_BALANCER),
        "E40002" => (
            "inferencev1",
            "The inference router needs at least 3 healthy nodes for high availability.",
        ),
        "E40003" => ("service", "Internal load balancer is only supported on AKS."),
        "E40004" => ("inferencev1", "Deployment azureml-fe-v2 is not found."),
        "E40005" => ("inferencev1", "Deployment azureml-fe-v2 did not scale up in time."),
        "E40006" => {
            ("inferencev1", "The replicas of deployment azureml-fe-v2 could not be updated.")
        }
        "E40007" => ("inferencev1", "The ssl certificate and key are missing or invalid."),
        "E45001" => ("clusterresource", "Pod aml-operator in namespace azureml is unhealthy."),
        "E45002" => (
            "helmchart",
            "There is another prometheus operator in the cluster. Set installPromOp to False.",
        ),
        "E45003" => (
            "info",
            "The network connectivity of the cluster is bad: mcr.microsoft.com cannot be reached.",
        ),
        "E45004" => (
            "inferencev1",
            "ClusterRole azureml-fe-role already exists and is not owned by this release.",
        ),
        "E45005" => (
            "inferencev1",
            "Deployment azureml-fe of an earlier attach exists in namespace default.",
        ),
        "E45006" => ("instancetype", "Failed to validate or update instancetype"),
        "E49999" => ("info", "The checker panicked."),
        _ => return None,
    };
    let code = code.get(1..)?.parse().ok()?;
    Some(ReportLine { checker, code, message: message.to_owned() })
}

/// Refuses codes of a world file that no checker has.
pub(crate) fn known(file: &WorldFile) -> Result<(), String> {
    let mut codes = file.clusters.iter().flat_map(|cluster| &cluster.health);
    codes.find(|code| told(code).is_none()).map_or(Ok(()), |code| {
        Err(format!(
            "the health check knows no code {code}: E40000 to E40007, E45001 to E45006, E49999"
        ))
    })
}

const NO_BALANCER: &str =
    "Load balancer is not supported in your cluster. Use nodePort or clusterIP, or install one.";

/// What Helm meets after the health check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HookVerdict {
    Fine,
    /// Helm stops at once, with this text.
    Refused(String),
    /// The pods of these ServiceAccounts are never admitted; Helm waits until its timeout.
    NeverReady(Vec<String>),
}

/// Runs the checkers of the `healthcheck` pod.
pub(crate) fn health(world: &World, release: &Release) -> Vec<ReportLine> {
    let Some(cluster) = world.cluster(&release.cluster) else { return Vec::new() };
    let nodes = ready_nodes(cluster, release);
    let file = world.file.cluster(&cluster.name);
    let inference = release.gate("inference");
    let no_balancer = file.is_some_and(|file| file.load_balancer == Some(false));
    let legacy = "/apis/rbac.authorization.k8s.io/v1/clusterroles/azureml-fe-role";
    let v1 = "/apis/apps/v1/namespaces/default/deployments/azureml-fe";
    let operators = "/apis/apps/v1/deployments";
    let tls = tls_problem(cluster, release).filter(|_| inference);
    let mut findings: Vec<ReportLine> = [
        ("E40002", release.is_ha() && nodes < 3),
        ("E40001", inference && chart::router_kind(release) == "LoadBalancer" && no_balancer),
        (
            "E40003",
            wants_internal_balancer(release) && !release.is_aks && !may_be_on_azure(cluster),
        ),
        ("E40007", tls.is_some()),
        (
            "E45002",
            release.gate("promop")
                && has_foreign(cluster, release, operators, "prometheus-operator"),
        ),
        (
            "E45004",
            inference && cluster.store().get(legacy).is_some_and(|role| !owned(role, release)),
        ),
        ("E45005", inference && cluster.store().get(v1).is_some()),
    ]
    .into_iter()
    .filter_map(|(code, found)| told(code).filter(|_| found))
    .collect();
    for finding in &mut findings {
        match (finding.code, tls) {
            (40_002, _) => {
                finding.message.pop();
                let only = format!(", but only {nodes} found. Set inferenceRouterHA to False.");
                finding.message.push_str(&only);
            }
            (40_007, Some(problem)) => problem.clone_into(&mut finding.message),
            _ => {}
        }
    }
    let told = file.into_iter().flat_map(|file| &file.health).filter_map(|code| told(code));
    let news: Vec<ReportLine> =
        told.filter(|it| findings.iter().all(|found| found.code != it.code)).collect();
    findings.extend(news);
    findings
}

/// What Helm and the admission of the cluster say to the chart.
pub(crate) fn helm(world: &World, release: &Release) -> HookVerdict {
    let Some(cluster) = world.cluster(&release.cluster) else {
        return HookVerdict::Refused("Kubernetes cluster unreachable".to_owned());
    };
    let namespace = format!("/api/v1/namespaces/{NAMESPACE}");
    if cluster
        .store()
        .get(&namespace)
        .is_some_and(|ns| ns["metadata"]["deletionTimestamp"].is_string())
    {
        return HookVerdict::Refused(format!(
            "unable to create new content in namespace {NAMESPACE} because it is being terminated"
        ));
    }
    if let Some(text) = nested_label(release) {
        return HookVerdict::Refused(text);
    }
    if let Some(other) = chart::other_release(cluster, &release.name) {
        return HookVerdict::Refused(format!(
            "cannot re-use a name that is still in use: release {other} is installed in namespace {NAMESPACE}"
        ));
    }
    if let Some(text) = conflict(cluster, release) {
        return HookVerdict::Refused(text);
    }
    if cluster.distribution().eq_ignore_ascii_case("openshift") {
        let mut blocked = blocked_accounts(cluster, release);
        if !release.gate("openshift") {
            blocked.push("load-amlarc-selinux-policy-sa".to_owned());
        }
        if !blocked.is_empty() {
            return HookVerdict::NeverReady(blocked);
        }
    }
    HookVerdict::Fine
}

/// A dot in a key makes a level of the chart's values unless it is escaped, and a selector with levels is none
/// ("Azure/AKS issue 2645").
fn nested_label(release: &Release) -> Option<String> {
    let label = release.settings.keys().find_map(|key| {
        key.strip_prefix("nodeSelector.").filter(|label| label.replace("\\.", "").contains('.'))
    })?;
    let level = label.split('.').next().unwrap_or(label);
    Some(format!(
        "unable to build kubernetes objects from release manifest: error validating \"\": error validating data: ValidationError(Deployment.spec.template.spec.nodeSelector.{level}): invalid type for io.k8s.api.core.v1.PodSpec.nodeSelector: got \"map\", expected \"string\""
    ))
}

fn conflict(cluster: &Cluster, release: &Release) -> Option<String> {
    let ownership = |kind: &str, name: &str, object: Option<&Json>| {
        let wanted = &release.name;
        let owner = object.and_then(|it| it["metadata"]["annotations"][RELEASE_NAME].as_str());
        let why = owner.map_or_else(
            || format!("label validation error: missing key \"app.kubernetes.io/managed-by\": must be set to \"Helm\"; annotation validation error: missing key \"{RELEASE_NAME}\": must be set to \"{wanted}\""),
            |owner| format!("annotation validation error: key \"{RELEASE_NAME}\" must equal \"{wanted}\": current value is \"{owner}\""),
        );
        format!(
            "rendered manifests contain a resource that already exists. Unable to continue with install: {kind} \"{name}\" in namespace \"\" exists and cannot be imported into the current release: invalid ownership metadata; {why}"
        )
    };
    for crd in chart::crds(release) {
        let name = chart::crd_name(crd);
        let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}");
        let foreign = cluster.store().get(&path).filter(|object| !owned(object, release));
        if foreign.is_some() && name.ends_with(".volcano.sh") {
            return Some(ownership("CustomResourceDefinition", &name, foreign));
        }
    }
    if release.gate("nvidia")
        && has_foreign(cluster, release, "/apis/apps/v1/daemonsets", "nvidia-device-plugin")
    {
        return Some(ownership("DaemonSet", "nvidia-device-plugin-daemonset", None));
    }
    let class = cluster.store().get("/apis/networking.k8s.io/v1/ingressclasses/nginx");
    if release.gate("nginx")
        && release.generation == Generation::Ga
        && class.is_some_and(|class| !owned(class, release))
    {
        return Some(ownership("IngressClass", "nginx", class));
    }
    None
}

fn has_foreign(cluster: &Cluster, release: &Release, collection: &str, part: &str) -> bool {
    cluster.store().list(collection).into_iter().any(|object| {
        object["metadata"]["name"].as_str().is_some_and(|name| name.contains(part))
            && !owned(object, release)
    })
}

fn wants_internal_balancer(release: &Release) -> bool {
    release.gate("inference")
        && (release.text("internalLoadBalancerProvider").is_some()
            || release.is_true("privateEndpointILB")
            || release.is_true("scoringFe.serviceType.internalLoadBalancer"))
}

/// An Arc cluster of the AKS family has Azure's load balancer; `generic` is what Arc says when it
/// could not tell, and the chart then finds out for itself.
fn may_be_on_azure(cluster: &Cluster) -> bool {
    let distribution = cluster.distribution().to_ascii_lowercase();
    distribution.is_empty() || distribution == "generic" || distribution.starts_with("aks")
}

fn tls_problem(cluster: &Cluster, release: &Release) -> Option<&'static str> {
    if release.is_true("allowInsecureConnections") {
        return None;
    }
    if let Some(secret) = release.text("scoringFe.sslSecret") {
        let path = format!("/api/v1/namespaces/{NAMESPACE}/secrets/{secret}");
        return match cluster.store().get(&path) {
            None => Some("The secret named by sslSecret does not exist in namespace azureml."),
            Some(secret)
                if secret["data"]["cert.pem"].is_null() || secret["data"]["key.pem"].is_null() =>
            {
                Some("The secret named by sslSecret must have the keys cert.pem and key.pem.")
            }
            Some(_) => None,
        };
    }
    match (release.text("scoringFe.sslCert"), release.text("scoringFe.sslKey")) {
        (Some(certificate), Some(key)) if is_pem(certificate) && is_pem(key) => None,
        _ => Some("The ssl certificate and key are missing or invalid."),
    }
}

/// ServiceAccounts of the chart's pods that may not use the SCC `privileged`.
fn blocked_accounts(cluster: &Cluster, release: &Release) -> Vec<String> {
    let mut accounts: Vec<String> = chart::accounts(release);
    accounts.retain(|account| !scc_allows(cluster.store(), "privileged", NAMESPACE, account));
    if !scc_allows(cluster.store(), "privileged", "azure-arc", "azure-arc-kube-aad-proxy-sa") {
        accounts.push("azure-arc-kube-aad-proxy-sa".to_owned());
    }
    accounts
}
