//! The health report the extension leaves in the ConfigMap `arcml-healthcheck`, in the form users have published it
//! (Azure/azure-sdk-for-python issues 33480 and 28697).

use serde_json::json;

use super::chart::ensure_namespace;
use super::checks::ReportLine;
use super::release::{NAMESPACE, Release};
use crate::state::world::World;

const CHECKERS: [&str; 6] =
    ["service", "helmchart", "instancetype", "clusterresource", "info", "inferencev1"];

/// Writes the report of a hook (`pre-install`, `pre-upgrade`, `pre-rollback`, `pre-delete`, `test`).
pub(crate) fn write(world: &mut World, release: &Release, hook: &str, findings: &[ReportLine]) {
    let stamp = world.kube_stamp();
    let correlation = world.guid(&format!("report {} {hook} {stamp}", release.id));
    let date = world.now().strftime("%Y-%m-%d %H:%M:%S%.9f +0000 UTC m=+0.148712345");
    let Some(cluster) = world.cluster_mut(&release.cluster) else { return };
    let mut text = format!(
        "\nReport:\nDuration: 148.712345ms\nDate: {date}\nK8sDistribution: {}\nK8sInfrastructure: \nCorrelationId: {correlation}\nTroubleShootingGuide: https://aka.ms/arcmltsg\n\n",
        cluster.distribution()
    );
    for checker in CHECKERS {
        let mut lines: Vec<String> = findings
            .iter()
            .filter(|finding| finding.checker == checker)
            .map(|finding| {
                format!(
                    "Status: Failed Name: {checker} ErrorCode: E{} ErrorMessage: {}\n",
                    finding.code, finding.message
                )
            })
            .collect();
        if lines.is_empty() {
            lines.push(format!("Status: Passed Name: {checker}\n"));
        }
        text.push_str(&lines.concat());
    }
    ensure_namespace(cluster, NAMESPACE, &stamp);
    let path = format!("/api/v1/namespaces/{NAMESPACE}/configmaps/arcml-healthcheck");
    let mut map = cluster.store().get(&path).cloned().unwrap_or_else(|| {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "arcml-healthcheck", "namespace": NAMESPACE}, "data": {}})
    });
    map["data"][format!("reports-{hook}")] = json!(text);
    cluster.store_mut().put(&path, map, &stamp);
}
