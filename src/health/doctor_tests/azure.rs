//! Rules about the Azure side.

use serde_json::json;

use super::*;
use crate::catalog;
use crate::model::KindName;

#[test]
pub(in crate::health) fn the_state_of_an_arc_cluster() {
    let arc = |pointer, value| DoctorWorld::good(false).live(CLUSTER, pointer, value);
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
    let provider = format!("{SUBSCRIPTION}/provider/Microsoft.KubernetesConfiguration");
    let types = |name: &str| json!([{"resourceType": "extensions", "locations": [name]}]);
    let told = |name| {
        arc("/location", json!("swedencentral")).live(&provider, "/resourceTypes", types(name))
    };
    expect(&told("Sweden Central"), "region-not-listed", Status::Pass, "as Azure says");
    expect(&told("West Europe"), "region-not-listed", Status::Warning, "no cluster extensions in");
    let mut gone = DoctorWorld::good(false);
    gone.live.retain(|it| it.0 != CLUSTER);
    expect(&gone, "cluster-unreachable", Status::Fail, "there is no cluster");
}

#[test]
pub(in crate::health) fn the_state_of_an_aks_cluster() {
    let aks = |pointer, value| DoctorWorld::good(true).live(CLUSTER, pointer, value);
    let mut principal = aks("/identity", Json::Null);
    principal =
        principal.live(CLUSTER, "/properties/servicePrincipalProfile/clientId", json!("1234"));
    let pools = json!([{"name": "gpu", "count": 3, "enableAutoScaling": true}]);
    let ranges = json!(["192.0.2.0/24"]);
    let offered = |found: &[&str]| {
        let found = found.iter().map(|text| json!({"properties": {"version": text}}));
        DoctorWorld::good(true)
            .declare("/extension/version", json!("1.1.88"))
            .declare("/extension/autoUpgradeMinorVersion", json!(false))
            .answer("extension-versions", found.collect::<Vec<_>>().into())
    };
    let supported = |found: &[&str]| {
        let found = found.iter().map(|text| json!({"version": text})).collect::<Vec<_>>();
        DoctorWorld::good(true).answer("kubernetes-versions", found.into())
    };
    for (world, code, expected, part) in [
        (offered(&["1.1.9", "1.1.88"]), "version-not-offered", Status::Pass, "as Azure says"),
        (offered(&["1.1.9", "1.1.106"]), "version-not-offered", Status::Warning, "it offers 1.1.106, 1.1.9"),
        (offered(&[]), "version-not-offered", Status::Skipped, "lists no versions"),
        (supported(&["1.33", "1.34"]), "kubernetes-too-old", Status::Pass, "as AKS says"),
        (supported(&["1.34", "1.35"]), "kubernetes-too-old", Status::Warning, "1.34 and later"),
        (supported(&[]), "kubernetes-too-old", Status::Pass, "by the list of"),
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
    let installed = DoctorWorld::good(true).live(
        "edge/extension/ext",
        "/properties/provisioningState",
        json!("Succeeded"),
    );
    expect(&installed, "extension-without-identity", Status::Warning, "no managed identity");
    let whole = installed.live("edge/extension/ext", "/identity/principalId", json!("p"));
    expect(&whole, "extension-without-identity", Status::Pass, "");
}

#[test]
pub(in crate::health) fn workspaces_and_their_identities() {
    let good = || DoctorWorld::good(true);
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
        let world = DoctorWorld::good(aks).declare("/computes", other.clone());
        world.live(
            "00000000-0000-0000-0000-000000000002/workspace/rg/ws",
            "/location",
            json!("westeurope"),
        )
    };
    let drop = |mut world: DoctorWorld| {
        world.live.retain(|it| it.0 != key);
        world
    };
    expect(&drop(moved(true)), "other-subscription", Status::Fail, "different subscriptions");
    expect(&drop(moved(false)), "other-subscription", Status::Warning, "different subscriptions");
}

#[test]
pub(in crate::health) fn rights_and_registrations() {
    let group = format!("permissions /subscriptions/{SUBSCRIPTION}/resourcegroups/rg");
    let reader = DoctorWorld::good(false).answer(&group, json!([{"actions": ["*/read"]}]));
    expect(&reader, "rights-missing", Status::Fail, "may not Microsoft.");
    let unknown = DoctorWorld::good(false).answer(&group, Json::Null);
    expect(&unknown, "rights-missing", Status::Unknown, "does not tell");
    let feature = format!("{SUBSCRIPTION}/feature/Microsoft.X/Flag");
    let pending = DoctorWorld::good(false).declare("/features", json!(["Microsoft.X/Flag"])).live(
        &feature,
        "/properties/state",
        json!("Pending"),
    );
    let found = pending.run();
    assert_eq!(status(&found, "not-registered"), Status::Fail);
    assert_eq!(blocking(&found).len(), 1);
    let narrow = DoctorWorld::good(false).declare("/providers", json!(["Microsoft.Kubernetes"]));
    expect(&narrow, "provider-not-declared", Status::Warning, "Microsoft.Relay");
    let identity = format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id1"
    );
    let world = DoctorWorld::good(false).declare("/computes", json!([{"name": "c",
        "workspace": {"name": "ws"}, "identity": {"type": "UserAssigned", "userAssignedIdentities": [identity]}}]));
    expect(&world, "identity-missing", Status::Fail, "id1");
    let there = world.live(
        &format!("{SUBSCRIPTION}/managed_identity/rg/id1"),
        "/properties/principalId",
        json!("p"),
    );
    expect(&there, "identity-missing", Status::Pass, "");
}

/// Where the workspace of the fixture keeps things.
fn store(kind: &str) -> String {
    format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/{kind}/s")
}

const STORAGE: &str = "Microsoft.Storage/storageAccounts";
const VAULT: &str = "Microsoft.KeyVault/vaults";
const REGISTRY: &str = "Microsoft.ContainerRegistry/registries";

/// A world whose workspace has a store in this state.
fn stored(member: &str, kind: &str, document: Json) -> DoctorWorld {
    let id = store(kind);
    let key = format!("{SUBSCRIPTION}/workspace/rg/ws");
    DoctorWorld::good(true)
        .live(&key, &format!("/properties/{member}"), json!(id))
        .answer(&format!("{member} {id}"), document)
        .answer(&format!("roles {id}"), json!([]))
}

#[test]
pub(in crate::health) fn what_the_workspace_keeps_its_data_in() {
    let open = json!({"properties": {"publicNetworkAccess": "Enabled"}});
    let acls = |bypass: &str| json!({"properties": {"networkAcls": {"defaultAction": "Deny", "bypass": bypass}}});
    let acr = |sku: &str, bypass: &str| {
        json!({"sku": {"name": sku}, "properties": {"publicNetworkAccess": "Disabled",
        "networkRuleBypassOptions": bypass, "adminUserEnabled": false}})
    };
    let (storage, vault) =
        (|value| stored("storageAccount", STORAGE, value), |it| stored("keyVault", VAULT, it));
    let registry = |value| stored("containerRegistry", REGISTRY, value);
    let user =
        json!({"type": "UserAssigned", "userAssignedIdentities": {"/x": {"principalId": "P1"}}});
    let key = format!("{SUBSCRIPTION}/workspace/rg/ws");
    let bare = |world: DoctorWorld| {
        world.declare("/computes", json!([{"name": "c", "workspace": {"name": "ws"}}]))
    };
    for (world, code, expected, part) in [
        (storage(open.clone()), "storage-closed", Status::Pass, ""),
        (storage(acls("AzureServices")), "storage-closed", Status::Pass, ""),
        (storage(acls("None")), "storage-closed", Status::Warning, "storageAccount is closed"),
        (storage(Json::Null), "storage-closed", Status::Warning, "is gone"),
        (storage(acls("AzureServices")), "storage-identity", Status::Pass, ""),
        (
            storage(acls("AzureServices")).live(&key, "/identity", user),
            "storage-identity",
            Status::Warning,
            "user-assigned",
        ),
        (vault(open), "vault-closed", Status::Pass, ""),
        (vault(acls("None")), "vault-closed", Status::Warning, "keyVault is closed"),
        (registry(acr("Premium", "AzureServices")), "registry-closed", Status::Pass, ""),
        (registry(acr("Basic", "AzureServices")), "registry-closed", Status::Warning, "Premium"),
        (registry(acr("Premium", "None")), "registry-closed", Status::Warning, "trusted"),
        (registry(acr("Premium", "None")), "registry-without-admin", Status::Pass, ""),
        (
            bare(registry(acr("Premium", "None"))),
            "registry-without-admin",
            Status::Warning,
            "no identity to pull",
        ),
    ] {
        expect(&world, code, expected, part);
    }
}

#[test]
pub(in crate::health) fn credentials_need_an_issuer() {
    let identity = store("Microsoft.ManagedIdentity/userAssignedIdentities");
    let credential = json!([{"name": "train", "identity": identity,
        "serviceAccount": {"namespace": "ml-jobs", "name": "default"}}]);
    let trusts = DoctorWorld::good(true).declare("/federatedIdentityCredentials", credential);
    expect(&trusts, "oidc-issuer-missing", Status::Fail, "no OIDC issuer");
    let issues = trusts.live(
        "edge/cluster/edge",
        "/properties/oidcIssuerProfile",
        json!({"issuerURL": "https://oidc.example.com/"}),
    );
    expect(&issues, "oidc-issuer-missing", Status::Pass, "");
}

#[test]
pub(in crate::health) fn who_may_what_at_registry_storage_and_relay() {
    let world = || stored("containerRegistry", REGISTRY, json!({"properties": {}}));
    expect(&world(), "compute-roles-missing", Status::Warning, "lacks AcrPull");
    let declared = json!([{"principal": "compute/c", "role": "AcrPull", "scope": store(REGISTRY)}]);
    expect(
        &world().declare("/roleAssignments", declared),
        "compute-roles-missing",
        Status::Pass,
        "",
    );
    let held = |role: &str| json!([{"properties": {"principalId": "P9", "roleDefinitionId": format!("/x/{}", crate::catalog::role(role).unwrap())}}]);
    let roles = format!("roles {}", store(REGISTRY));
    let made = world().live("edge/compute/c", "/identity/principalId", json!("p9"));
    expect(&made.answer(&roles, held("AcrPush")), "compute-roles-missing", Status::Pass, "");
    let key = format!("{SUBSCRIPTION}/workspace/rg/ws");
    let user =
        json!({"type": "UserAssigned", "userAssignedIdentities": {"/x": {"principalId": "P9"}}});
    let relay = DoctorWorld::good(false);
    let relay_key = desired(relay.manifest.clone())
        .nodes
        .keys()
        .find(|address| address.kind == KindName::RelayNamespace)
        .unwrap()
        .to_string();
    let id = store("Microsoft.Relay/namespaces");
    let arc = relay
        .live(&key, "/identity", user)
        .live(&relay_key, "/id", json!(id))
        .answer("relay-roles", json!([]));
    expect(&arc, "relay-role-missing", Status::Fail, "Azure Relay Owner");
    expect(
        &arc.answer("relay-roles", held("Azure Relay Owner")),
        "relay-role-missing",
        Status::Pass,
        "",
    );
    let keys = |off: bool| {
        DoctorWorld::good(false).live(&relay_key, "/properties/disableLocalAuth", json!(off))
    };
    expect(&keys(true), "companion-local-auth", Status::Fail, "disableLocalAuth");
    expect(&keys(false), "companion-local-auth", Status::Pass, "");
    let policy = |name: &str, mode: &str, effect: &str| {
        let said = json!({"displayName": name, "enforcementMode": mode,
            "parameters": {"effect": {"value": effect}}});
        DoctorWorld::good(false).answer("policies", json!([{"name": "p", "properties": said}]))
    };
    let off = "Configure Azure Relay namespaces to disable local authentication";
    for (name, mode, effect, expected) in [
        (off, "Default", "Modify", Status::Warning),
        (off, "DoNotEnforce", "Modify", Status::Pass),
        (off, "Default", "Audit", Status::Pass),
        (
            "Event Hub namespaces should disable local authentication",
            "Default",
            "Deny",
            Status::Pass,
        ),
        ("Relay namespaces should have tags", "Default", "Deny", Status::Pass),
    ] {
        expect(&policy(name, mode, effect), "policy-against-keys", expected, "");
    }
}

#[test]
pub(in crate::health) fn what_goes_out_of_support() {
    let workspace = format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.MachineLearningServices/workspaces/ws"
    );
    let old =
        json!([{"name": "v1", "properties": {"computeType": "AKS", "resourceId": "/elsewhere"}}]);
    let world = DoctorWorld::good(true).answer(&format!("computes {workspace}"), old);
    expect(&world, "v1-computes", Status::Warning, "ends on 2026-06-30: v1");
    expect(&DoctorWorld::good(true), "ingress-retired", Status::Info, "March 2026");
    expect(
        &DoctorWorld::good(true).setting("nginxIngress.enabled", json!(false)),
        "ingress-retired",
        Status::Pass,
        "",
    );
    let key = format!("{SUBSCRIPTION}/workspace/rg/ws");
    let private =
        DoctorWorld::good(false).live(&key, "/properties/publicNetworkAccess", json!("Disabled"));
    expect(&private, "private-workspace", Status::Warning, "private endpoint");
}
