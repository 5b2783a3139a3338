//! Manifests of many alike clusters.

use std::fmt::Write as _;

/// A fleet of so many clusters, each with an extension, a compute and, with Kubernetes access, an
/// instance type.
pub(crate) fn fleet(clusters: usize, kubernetes: bool) -> String {
    let access = if kubernetes { "kubernetes" } else { "azureOnly" };
    let mut text = format!(
        "apiVersion: amlplan/v1\nkind: Fleet\ndefaults:\n  azure: {{subscription: \
         00000000-0000-0000-0000-000000000000, resourceGroup: ml-rg}}\n  cluster: {{type: \
         connectedClusters, access: {access}}}\n  extension:\n    name: arcml-extension\n    \
         configurationSettings: {{enableTraining: true}}\nclusters:\n"
    );
    for number in 0..clusters {
        let _ = write!(
            text,
            "  - name: edge-{number}\n    cluster: {{name: edge-{number}}}\n    computes:\n      \
             - name: c-{number}\n        workspace: {{name: ml-workspace}}\n"
        );
        if kubernetes {
            text.push_str(
                "    instanceTypes:\n      - {name: gpu, resources: {requests: {cpu: '1', memory: \
                 1Gi}, limits: {cpu: '2', memory: 2Gi}}}\n",
            );
        }
    }
    text
}

/// The same of a served world, with a kubeconfig for each cluster from this folder.
pub(crate) fn served_fleet(clusters: usize, url: &str, kubeconfigs: Option<&str>) -> String {
    let cloud = format!("  azure: {{cloud: {{name: sandbox, resourceManager: '{url}'}}, ");
    let text = fleet(clusters, kubeconfigs.is_some()).replace("  azure: {", &cloud);
    let Some(folder) = kubeconfigs else { return text };
    let each = |line: &str| match line.strip_prefix("    cluster: {name: ") {
        Some(rest) => {
            let name = rest.trim_end_matches('}');
            format!("    cluster: {{name: {name}, kubeconfig: {folder}/{name}.yaml}}\n")
        }
        None => format!("{line}\n"),
    };
    text.lines().map(each).collect()
}

/// A fleet of so many clusters in stages; every tenth one wants to be early.
pub(crate) fn staged(clusters: usize, failures: usize) -> String {
    let rollout = format!(
        "rollout:\n  stages:\n    - {{name: canary, share: 1}}\n    - {{name: early, selector: \
         {{ring: early}}, wait: 10m}}\n    - {{name: rest, share: 100%}}\n  maxConcurrency: 50\n  \
         maxFailures: {failures}\ndefaults:"
    );
    let text = fleet(clusters, false).replacen("defaults:", &rollout, 1);
    let each = |line: &str| match line.strip_prefix("    cluster: {name: ") {
        Some(rest) if rest.ends_with("1}") => {
            let name = rest.trim_end_matches('}');
            format!("    cluster: {{name: {name}, labels: {{ring: early}}}}\n")
        }
        _ => format!("{line}\n"),
    };
    text.lines().map(each).collect()
}
