//! Rules about the Azure side.

use serde_json::json;

use super::*;

#[test]
fn the_state_of_an_arc_cluster() {
    let arc = |pointer, value| World::good(false).live(CLUSTER, pointer, value);
    for (world, code, expected, part) in [
        (
            arc("/properties/connectivityStatus", json!("Offline")),
            "cluster-unreachable",
            Status::Fail,
            "Offline since 2026",
        ),
        (
            arc("/properties/lastConnectivityTime", json!("2026-06-01T09:00:00Z")),
            "agents-silent",
            Status::Warning,
            "180 minutes",
        ),
        (
            arc(
                "/properties/managedIdentityCertificateExpirationTime",
                json!("2026-06-03T00:00:00Z"),
            ),
            "agent-certificate",
            Status::Warning,
            "2026-06-03",
        ),
        (
            arc(
                "/properties/managedIdentityCertificateExpirationTime",
                json!("2026-05-03T00:00:00Z"),
            ),
            "agent-certificate",
            Status::Fail,
            "ended",
        ),
        (
            arc("/properties/kubernetesVersion", json!("v1.27.3+k3s1")),
            "kubernetes-too-old",
            Status::Warning,
            "1.27.3",
        ),
        (
            arc("/location", json!("Sweden Central")),
            "region-not-listed",
            Status::Warning,
            "swedencentral",
        ),
    ] {
        expect(&world, code, expected, part);
    }
    let mut gone = World::good(false);
    gone.live.retain(|it| it.0 != CLUSTER);
    expect(&gone, "cluster-unreachable", Status::Fail, "there is no cluster");
}

#[test]
fn the_state_of_an_aks_cluster() {
    let aks = |pointer, value| World::good(true).live(CLUSTER, pointer, value);
    let mut principal = aks("/identity", Json::Null);
    principal =
        principal.live(CLUSTER, "/properties/servicePrincipalProfile/clientId", json!("1234"));
    let pools = json!([{"name": "gpu", "count": 3, "enableAutoScaling": true}]);
    let ranges = json!(["192.0.2.0/24"]);
    for (world, code, expected, part) in [
        (principal, "no-managed-identity", Status::Fail, "service principal"),
        (aks("/properties/powerState/code", json!("Stopped")), "cluster-stopped", Status::Fail, "Stopped"),
        (aks("/properties/podIdentityProfile/enabled", json!(true)), "pod-identity", Status::Fail, "pod identity"),
        (aks("/properties/agentPoolProfiles", pools.clone()), "autoscaler-with-volcano", Status::Warning, "gpu"),
        (aks("/properties/agentPoolProfiles", pools).setting("installVolcano", json!(false)), "autoscaler-with-volcano", Status::Pass, ""),
        (aks("/properties/disableLocalAccounts", json!(true)), "control-plane-closed", Status::Warning, "disableLocalAccounts"),
        (aks("/properties/apiServerAccessProfile/authorizedIPRanges", ranges.clone()), "control-plane-closed", Status::Warning, "authorizedIPRanges"),
        (
            aks("/properties/apiServerAccessProfile/authorizedIPRanges", ranges)
                .declare("/azure", json!({"cloud": "AzureUSGovernment", "subscription": SUBSCRIPTION, "resourceGroup": "rg"})),
            "control-plane-closed", Status::Fail, "trusted access",
        ),
        (aks("/properties/azureMonitorProfile/metrics/enabled", json!(true)), "managed-prometheus", Status::Warning, "managed Prometheus"),
    ] {
        expect(&world, code, expected, part);
    }
    let attached = aks("/properties/disableLocalAccounts", json!(true)).live(
        "edge/compute/c",
        "/properties/provisioningState",
        json!("Succeeded"),
    );
    expect(&attached, "trusted-access-missing", Status::Fail, "workspaces/ws");
    let workspace = format!(
        "/subscriptions/{SUBSCRIPTION}/resourcegroups/rg/providers/Microsoft.MachineLearningServices/workspaces/ws"
    );
    let binding = json!([{"properties": {"sourceResourceId": workspace,
        "roles": ["Microsoft.MachineLearningServices/workspaces/mlworkload"]}}]);
    expect(&attached.answer("trusted-access", binding), "trusted-access-missing", Status::Pass, "");
    let installed = World::good(true).live(
        "edge/extension/ext",
        "/properties/provisioningState",
        json!("Succeeded"),
    );
    expect(&installed, "extension-without-identity", Status::Warning, "no managed identity");
}

#[test]
fn workspaces_and_their_identities() {
    let good = || World::good(true);
    let key = format!("{SUBSCRIPTION}/workspace/rg/ws");
    let mut gone = good();
    gone.live.retain(|it| it.0 != key);
    expect(&gone, "workspace-missing", Status::Fail, "there is no workspace");
    let private = json!([{"id": "pe"}]);
    let far = good().live(&key, "/location", json!("eastus")).live(
        &key,
        "/properties/privateEndpointConnections",
        private,
    );
    expect(&far, "private-workspace-region", Status::Fail, "in eastus");
    let none = good().declare("/computes", json!([{"name": "c", "workspace": {"name": "ws"}}]));
    expect(&none, "compute-without-identity", Status::Warning, "no identity");
    let user =
        json!({"type": "UserAssigned", "userAssignedIdentities": {"/x": {"principalId": "P1"}}});
    let world = good().live(&key, "/identity", user);
    expect(&world, "workspace-identity-roles", Status::Fail, "Kubernetes Extension Contributor");
    let owner = catalog::role("Owner").unwrap();
    let roles =
        json!([{"properties": {"principalId": "p1", "roleDefinitionId": format!("/x/{owner}")}}]);
    expect(&world.answer("cluster-roles", roles), "workspace-identity-roles", Status::Pass, "");
    let cluster = format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.ContainerService/managedClusters/edge"
    );
    let old = json!([{"name": "v1", "properties": {"computeType": "AKS", "resourceId": cluster}}]);
    let probe = good().answers.iter().find(|it| it.0.starts_with("computes ")).unwrap().0.clone();
    expect(&good().answer(&probe, old), "legacy-compute", Status::Warning, "v1");
    let other = json!([{"name": "c", "workspace": {"name": "ws", "subscription": "00000000-0000-0000-0000-000000000002"}}]);
    let moved = |aks| {
        let world = World::good(aks).declare("/computes", other.clone());
        world.live(
            "00000000-0000-0000-0000-000000000002/workspace/rg/ws",
            "/location",
            json!("westeurope"),
        )
    };
    let drop = |mut world: World| {
        world.live.retain(|it| it.0 != key);
        world
    };
    expect(&drop(moved(true)), "other-subscription", Status::Fail, "different subscriptions");
    expect(&drop(moved(false)), "other-subscription", Status::Warning, "different subscriptions");
}

#[test]
fn rights_and_registrations() {
    let group = format!("permissions /subscriptions/{SUBSCRIPTION}/resourcegroups/rg");
    let reader = World::good(false).answer(&group, json!([{"actions": ["*/read"]}]));
    expect(&reader, "rights-missing", Status::Fail, "may not Microsoft.");
    let unknown = World::good(false).answer(&group, Json::Null);
    expect(&unknown, "rights-missing", Status::Unknown, "does not tell");
    let feature = format!("{SUBSCRIPTION}/feature/Microsoft.X/Flag");
    let pending = World::good(false).declare("/features", json!(["Microsoft.X/Flag"])).live(
        &feature,
        "/properties/state",
        json!("Pending"),
    );
    let found = pending.run();
    assert_eq!(status(&found, "not-registered"), Status::Fail);
    assert_eq!(blocking(&found).len(), 1);
    let narrow = World::good(false).declare("/providers", json!(["Microsoft.Kubernetes"]));
    expect(&narrow, "provider-not-declared", Status::Warning, "Microsoft.Relay");
    let identity = format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id1"
    );
    let world = World::good(false).declare("/computes", json!([{"name": "c",
        "workspace": {"name": "ws"}, "identity": {"type": "UserAssigned", "userAssignedIdentities": [identity]}}]));
    expect(&world, "identity-missing", Status::Fail, "id1");
}
