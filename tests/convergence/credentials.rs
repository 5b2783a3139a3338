//! Federated identity credentials against the simulator: what `aks-workload-identity.yaml` does beyond the
//! life of every shipped manifest.

use crate::life::Life;
use crate::program::Place;

const MANIFEST: &str = "aks-workload-identity.yaml";
const IDENTITY: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/ml-rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/ml-jobs";
const CLUSTER: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/ml-rg/providers/Microsoft.ContainerService/managedClusters/aks-identity";

fn edit(place: &Place, from: &str, to: &str) {
    let path = place.path(MANIFEST);
    let text = std::fs::read_to_string(&path).expect("the manifest");
    assert!(text.contains(from), "{from} is in the manifest");
    std::fs::write(path, text.replacen(from, to, 1)).expect("the manifest is written");
}

/// Takes an entry of the list out.
fn remove(place: &Place, name: &str) {
    let path = place.path(MANIFEST);
    let text = std::fs::read_to_string(&path).expect("the manifest");
    let (head, list) = text.split_once("federatedIdentityCredentials:\n").expect("the list");
    let kept: Vec<&str> = list.split_inclusive('\n').collect();
    let kept: Vec<&str> =
        kept.chunks(3).filter(|it| !it[0].contains(name)).flatten().copied().collect();
    let text = format!("{head}federatedIdentityCredentials:\n{}", kept.concat());
    std::fs::write(path, text).expect("the manifest is written");
}

#[test]
fn a_credential_of_its_own_name_is_removed_and_another_is_only_told_of() {
    let place = Place::new();
    let life = Life { place: &place, manifest: MANIFEST.to_owned() };
    life.apply();
    remove(&place, "amlplan-aks-identity-jobs");
    let plan = life.run("plan", &["--detailed-exitcode"]).exits(2);
    let address = "aks-identity/federated_identity_credential/amlplan-aks-identity-jobs";
    assert!(plan.out.contains(&format!("{address} will be destroyed")), "{}", plan.out);
    life.apply();
    life.nothing_to_do();
    life.run("drift", &[]).exits(0);
    edit(&place, "name: notebooks", "name: readers");
    edit(&place, "name: notebook}", "name: reader}");
    life.apply();
    let drift = life.run("drift", &[]).exits(2);
    assert!(drift.out.contains("system:serviceaccount:ml-jobs:notebook"), "{}", drift.out);
    assert!(drift.out.contains("foreign"), "{}", drift.out);
}

#[test]
fn without_an_issuer_nothing_is_made_and_the_command_that_turns_it_on_is_named() {
    let place = Place::new();
    let life = Life { place: &place, manifest: MANIFEST.to_owned() };
    life.run("plan", &[]).exits(0);
    life.sandbox("set", &[CLUSTER, "/properties/oidcIssuerProfile={\"enabled\": false}"]).exits(0);
    let plan = life.run("plan", &[]).exits(1);
    assert!(plan.out.contains("--enable-oidc-issuer"), "{}", plan.out);
    edit(&place, "name: default}", "name: default}\n    issuer: https://oidc.example.com/a");
    edit(&place, "name: notebook}", "name: notebook}\n    issuer: https://oidc.example.com/a");
    life.apply();
    life.nothing_to_do();
}

#[test]
fn what_az_and_an_import_say_is_what_is_declared() {
    let place = Place::new();
    let life = Life { place: &place, manifest: MANIFEST.to_owned() };
    let compute = format!(
        "    identity: {{type: UserAssigned, userAssignedIdentities: [{IDENTITY}]}}\nfederated"
    );
    edit(&place, "federated", &compute);
    let az = life.run("plan", &["--as-az"]).exits(0).out;
    for words in [
        "az identity federated-credential create",
        "--issuer \"$(az aks show --name aks-identity",
        "--subject system:serviceaccount:ml-jobs:notebook",
        "--audiences api://AzureADTokenExchange",
    ] {
        assert!(az.contains(words), "{words} is in\n{az}");
    }
    life.apply();
    let workspace = format!(
        "{}/providers/Microsoft.MachineLearningServices/workspaces/ml-workspace",
        CLUSTER.split("/providers").next().expect("a group")
    );
    let sandbox = format!("--sandbox={MANIFEST}.state.json");
    let words =
        ["import", "--cluster", CLUSTER, "--workspace", workspace.as_str(), sandbox.as_str()];
    let imported = place.run(&words).exits(0).out;
    for words in
        ["federatedIdentityCredentials:", "name: amlplan-aks-identity-jobs", "name: notebook"]
    {
        assert!(imported.contains(words), "{words} is in\n{imported}");
    }
    assert!(imported.contains("its plan is empty") && !imported.contains("issuer"), "{imported}");
}

#[test]
fn its_rights_are_those_of_the_type() {
    let place = Place::new();
    let life = Life { place: &place, manifest: MANIFEST.to_owned() };
    let rights = life.run("permissions", &["--for", "apply"]).exits(0).out;
    for verb in ["read", "write", "delete"] {
        let action = format!(
            "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/{verb}"
        );
        assert!(rights.contains(&action), "{action} is in\n{rights}");
    }
}
