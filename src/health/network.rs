//! What each declared cluster has to reach, as far as manifest and live state tell.

use super::report::Probed;
use super::site::{Inspection, sites, text};
use super::workspace::{WorkspaceStore, workspaces};
use crate::catalog::{self, Endpoint, EndpointQuery};
use crate::model::Json;
use crate::resource::Snapshot;
use crate::resource::fields::location;
use crate::resource::graph::Desired;

/// The outbound endpoints of one cluster.
#[derive(Debug, Clone)]
pub struct Needed {
    /// Name of the cluster in the manifest.
    pub cluster: String,
    /// What the list follows from, in words: cloud, region, kind of cluster, scenario.
    pub basis: String,
    /// The endpoints; a part that is not known stands as `*`.
    pub endpoints: Vec<Endpoint>,
}

/// The outbound endpoints of every cluster. Region, workspace, registry and storage come from what
/// is live; an empty snapshot leaves them open.
#[must_use]
pub fn needed(desired: &Desired, snapshot: &Snapshot) -> Vec<Needed> {
    let probed = Probed::default();
    let now = jiff::Timestamp::UNIX_EPOCH;
    let mut all = Vec::new();
    for site in sites(Inspection::new(desired, snapshot, &probed, now)) {
        let region = location(site.text(&site.cluster, "/location").unwrap_or_default());
        let aks = super::access::is_aks(&site);
        let is_on = |name| site.is_on(name).unwrap_or_default();
        let (training, inference) = (is_on("enableTraining"), is_on("enableInference"));
        let workspaces = workspaces(&site);
        let none = Json::Null;
        let documents: Vec<&Json> = if workspaces.is_empty() { vec![&none] } else { workspaces };
        let mut endpoints: Vec<Endpoint> = Vec::new();
        for document in documents {
            let name = |store: WorkspaceStore| {
                store.id(document).map(|id| id.name().to_owned()).unwrap_or_default()
            };
            for endpoint in catalog::endpoints(&EndpointQuery {
                cloud: &site.scope.cloud.name,
                profile: site.profile(),
                aks,
                training,
                inference,
                region: &region,
                workspace: text(document, "/properties/workspaceId"),
                registry: &name(WorkspaceStore::Registry),
                storage: &name(WorkspaceStore::Storage),
            }) {
                if !endpoints.contains(&endpoint) {
                    endpoints.push(endpoint);
                }
            }
        }
        let scenario = match (training, inference) {
            (true, true) => "training and inference",
            (true, false) => "training",
            (false, true) => "inference",
            (false, false) => "no scenario",
        };
        let basis = [
            site.scope.cloud.name.as_str(),
            if region.is_empty() { "region not known" } else { &region },
            if aks { "AKS" } else { "Arc" },
            scenario,
        ];
        all.push(Needed { cluster: site.name.to_owned(), basis: basis.join(", "), endpoints });
    }
    all
}
