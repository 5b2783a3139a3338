//! What the extension creates in namespace `azureml`, and how much of the nodes it takes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde::Deserialize;

use super::{ProfileName, both_profiles, load, yes};

/// What decides which components there are.
pub struct ComponentQuery<'a> {
    /// Name of the extension, which is the helm release.
    pub extension: &'a str,
    /// Generation of the extension.
    pub profile: ProfileName,
    /// `enableTraining`.
    pub training: bool,
    /// `enableInference`.
    pub inference: bool,
    /// An AKS cluster without Arc.
    pub aks: bool,
    /// Declared and derived settings, as they travel.
    pub setting: &'a dyn Fn(&str) -> Option<String>,
}

impl ComponentQuery<'_> {
    fn is_true(&self, key: &str, default: bool) -> bool {
        (self.setting)(key).map_or(default, |text| text.eq_ignore_ascii_case("true"))
    }
}

/// A workload of the extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// `Deployment`, `StatefulSet` or `DaemonSet`.
    pub kind: &'static str,
    /// Its name in namespace `azureml`.
    pub name: String,
    /// Whether an installation without it is unhealthy.
    pub required: bool,
    /// Why it is expected.
    pub reason: String,
    /// How many pods it has; `None`: one on every node.
    pub pods: Option<i64>,
    /// What one pod takes, where that is published.
    pub size: Option<Sizing>,
}

/// What a pod, or the whole extension, asks of the nodes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizing {
    /// Requested CPU, millicores.
    pub cpu_request_m: i64,
    /// Most CPU, millicores.
    pub cpu_limit_m: i64,
    /// Requested memory, Mi.
    pub memory_request_mi: i64,
    /// Most memory, Mi.
    pub memory_limit_mi: i64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Scenario {
    #[default]
    Any,
    Training,
    Inference,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum GateDefault {
    True,
    #[default]
    False,
    Aks,
    Arc,
}

#[derive(Debug, Deserialize)]
enum WorkloadKind {
    Deployment,
    StatefulSet,
    DaemonSet,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ComponentFact {
    #[serde(default = "deployment")]
    kind: WorkloadKind,
    names: Vec<String>,
    #[serde(default = "both_profiles")]
    profiles: Vec<ProfileName>,
    #[serde(default)]
    scenario: Scenario,
    setting: Option<String>,
    #[serde(default)]
    default: GateDefault,
    #[serde(default)]
    invert: bool,
    #[serde(default = "yes")]
    required: bool,
}

#[derive(Deserialize)]
struct ComponentsFile {
    component: Vec<ComponentFact>,
    /// By name, as components write it.
    size: BTreeMap<String, [i64; 4]>,
}

/// The router, whose pods are counted by [`router_replicas`].
const ROUTER: &str = "azureml-fe-v2";

static FILE: LazyLock<ComponentsFile> = LazyLock::new(|| load(include_str!("components.toml")));

const fn deployment() -> WorkloadKind {
    WorkloadKind::Deployment
}

impl ComponentFact {
    /// Why the component is expected, or `None` where it is not.
    fn reason(&self, query: &ComponentQuery<'_>) -> Option<String> {
        let scenario = match self.scenario {
            Scenario::Any => None,
            Scenario::Training if query.training => Some("enableTraining is true".to_owned()),
            Scenario::Inference if query.inference => Some("enableInference is true".to_owned()),
            Scenario::Training | Scenario::Inference => return None,
        };
        let Some(key) = &self.setting else {
            return Some(scenario.unwrap_or_else(|| "every installation has it".to_owned()));
        };
        let default = match self.default {
            GateDefault::True => true,
            GateDefault::False => false,
            GateDefault::Aks => query.aks,
            GateDefault::Arc => !query.aks,
        };
        let value = query.is_true(key, default);
        if value == self.invert {
            return None;
        }
        let whence = if (query.setting)(key).is_some() { "" } else { " by default" };
        let gate = format!("{key} is {value}{whence}");
        Some(scenario.map_or(gate.clone(), |text| format!("{text} and {gate}")))
    }
}

/// The workloads that an installation has, each once, in the order of the public tables.
///
/// Source: AML docs: deploy extension; attach Arc-enabled Kubernetes (November 2021).
#[must_use]
pub fn components(query: &ComponentQuery<'_>) -> Vec<Component> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for fact in FILE.component.iter().filter(|it| it.profiles.contains(&query.profile)) {
        let Some(reason) = fact.reason(query) else { continue };
        let kind = match fact.kind {
            WorkloadKind::Deployment => "Deployment",
            WorkloadKind::StatefulSet => "StatefulSet",
            WorkloadKind::DaemonSet => "DaemonSet",
        };
        for known in &fact.names {
            let name = known.replace("{extension}", query.extension);
            if !seen.insert((kind, name.clone())) {
                continue;
            }
            let pods = match fact.kind {
                WorkloadKind::DaemonSet => None,
                _ if known == ROUTER => Some(router_replicas(query)),
                WorkloadKind::Deployment | WorkloadKind::StatefulSet => Some(1),
            };
            let ga = query.profile == ProfileName::Ga;
            let size = FILE.size.get(known).filter(|_| ga).map(|number| {
                let [cpu_request_m, cpu_limit_m, memory_request_mi, memory_limit_mi] = *number;
                Sizing { cpu_request_m, cpu_limit_m, memory_request_mi, memory_limit_mi }
            });
            let (required, reason) = (fact.required, reason.clone());
            found.push(Component { kind, name, required, reason, pods, size });
        }
    }
    found
}

/// Replicas of the router: three with high availability, else one; none without inference.
#[must_use]
pub fn router_replicas(query: &ComponentQuery<'_>) -> i64 {
    let key = match query.profile {
        ProfileName::Preview => "inferenceLoadBalancerHA",
        ProfileName::Ga => "inferenceRouterHA",
    };
    match (query.inference, query.is_true(key, true)) {
        (false, _) => 0,
        (true, true) => 3,
        (true, false) => 1,
    }
}

impl Sizing {
    /// What several pods of this size take.
    #[must_use]
    pub const fn times(self, pods: i64) -> Self {
        Self {
            cpu_request_m: self.cpu_request_m * pods,
            cpu_limit_m: self.cpu_limit_m * pods,
            memory_request_mi: self.memory_request_mi * pods,
            memory_limit_mi: self.memory_limit_mi * pods,
        }
    }
}

impl std::iter::Sum for Sizing {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, sizing| Self {
            cpu_request_m: sum.cpu_request_m + sizing.cpu_request_m,
            cpu_limit_m: sum.cpu_limit_m + sizing.cpu_limit_m,
            memory_request_mi: sum.memory_request_mi + sizing.memory_request_mi,
            memory_limit_mi: sum.memory_limit_mi + sizing.memory_limit_mi,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(profile: ProfileName, (training, inference): (bool, bool), aks: bool) -> Vec<String> {
        let none = |_: &str| None;
        let query =
            ComponentQuery { extension: "ext", profile, training, inference, aks, setting: &none };
        let mut names: Vec<_> =
            components(&query).into_iter().filter(|it| it.required).map(|it| it.name).collect();
        names.sort();
        names
    }

    #[test]
    fn the_article_of_2021_lists_these_components() {
        let training = names(ProfileName::Preview, (true, false), false);
        let expected = "aml-operator cluster-status-reporter csi-blob-controller csi-blob-node \
            ext-kube-state-metrics ext-prometheus-operator fluent-bit frameworkcontroller gateway \
            k8s-host-device-plugin-daemonset metrics-controller-manager nfd-master nfd-worker \
            prometheus-prom-prometheus relayserver";
        assert_eq!(training.join(" "), expected);
        let inference = names(ProfileName::Preview, (false, true), true);
        let expected = "amlarc-identity-controller amlarc-identity-proxy azureml-fe \
            cluster-status-reporter ext-kube-state-metrics ext-prometheus-operator fluent-bit \
            gateway inference-operator-controller-manager k8s-host-device-plugin-daemonset \
            metrics-controller-manager prometheus-prom-prometheus relayserver";
        assert_eq!(inference.join(" "), expected);
    }

    #[test]
    fn todays_components_depend_on_the_way_to_the_cluster() {
        let aks = names(ProfileName::Ga, (true, true), true);
        let expected = "aml-operator amlarc-identity-controller amlarc-identity-proxy \
            azureml-fe-v2 azureml-ingress-nginx-controller ext-kube-state-metrics \
            ext-prometheus-operator gateway inference-operator-controller-manager \
            metrics-controller-manager prometheus-prom-prometheus volcano-admission \
            volcano-controllers volcano-scheduler";
        assert_eq!(aks.join(" "), expected);
        let arc = names(ProfileName::Ga, (true, false), false);
        assert!(arc.iter().any(|text| text == "relayserver"));
        assert!(!arc.iter().any(|text| text.contains("nginx")));
    }

    #[test]
    fn settings_switch_components_on_and_off_and_say_so() {
        let setting = |key: &str| match key {
            "installVolcano" | "installPromOp" => Some("False".to_owned()),
            "installDcgmExporter" => Some("true".to_owned()),
            _ => None,
        };
        let query = ComponentQuery {
            extension: "e",
            profile: ProfileName::Ga,
            training: true,
            inference: false,
            aks: false,
            setting: &setting,
        };
        let found = components(&query);
        assert!(!found.iter().any(|component| component.name.contains("volcano")));
        assert!(!found.iter().any(|component| component.name == "e-prometheus-operator"));
        let dcgm = found.iter().find(|it| it.name == "e-dcgm-exporter").expect("dcgm");
        assert_eq!((dcgm.kind, dcgm.reason.as_str()), ("DaemonSet", "installDcgmExporter is true"));
    }

    /// The published total of training leaves out the ingress controller, which AKS gets whatever
    /// the scenario is.
    #[test]
    fn sizes_add_up_to_the_published_totals() {
        let table = [
            (false, true, false, 1, [1780, 8300, 2440, 12296]),
            (true, false, false, 1, [410 + 100, 4420 + 1000, 1492 + 64, 10960 + 512]),
            (true, true, false, 1, [1910, 10420, 2884, 15744]),
            (false, true, true, 3, [3600, 12700, 4240, 15296]),
            (true, true, true, 3, [3730, 14820, 4684, 18744]),
        ];
        for (training, inference, ha, nodes, expected) in table {
            let setting = |key: &str| (key == "inferenceRouterHA").then(|| ha.to_string());
            let query = ComponentQuery {
                extension: "e",
                profile: ProfileName::Ga,
                training,
                inference,
                aks: true,
                setting: &setting,
            };
            let all = components(&query);
            let size = |it: &Component| Some(it.size?.times(it.pods.unwrap_or(nodes)));
            let got: Sizing = all.iter().filter_map(size).sum();
            let got =
                [got.cpu_request_m, got.cpu_limit_m, got.memory_request_mi, got.memory_limit_mi];
            assert_eq!(got, expected, "{training} {inference} {ha}");
            let unknown = all.iter().filter(|component| component.size.is_none());
            assert_eq!(unknown.count(), 0, "{all:?}");
        }
    }
}
