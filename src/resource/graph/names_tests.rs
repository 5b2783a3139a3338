//! Names and addresses: a name means something of the cluster that wrote it, and every declared
//! thing has an address of its own.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

use super::{Desired, build};
use crate::language::{ClusterSpec, Declared, Manifest};
use crate::model::{ArmId, Json};
use crate::resource::{Principal, Resource, RoleAssignment, Target};

fn declared(spec: Json) -> Declared {
    serde_json::from_value::<ClusterSpec>(spec).unwrap().into()
}

fn subscription(number: usize) -> String {
    format!("{number}{number}{number}{number}0000-0000-0000-0000-000000000000")
}

/// A cluster whose computes are in these workspaces (subscription, group, name), and who gets
/// which role where.
fn cluster(name: &str, home: usize, computes: &[(usize, &str, &str)], roles: &[Json]) -> Declared {
    let computes: Vec<Json> = computes
        .iter()
        .enumerate()
        .map(|(index, (place, group, workspace))| {
            json!({"name": format!("c{index}"), "identity": {"type": "SystemAssigned"},
                "workspace": {"name": workspace, "resourceGroup": group,
                    "subscription": subscription(*place)}})
        })
        .collect();
    declared(json!({
        "name": name,
        "azure": {"subscription": subscription(home), "resourceGroup": "rg"},
        "cluster": {"type": "connectedClusters", "name": name},
        "extension": {"name": "aml", "configurationSettings": {"enableTraining": true}},
        "computes": computes,
        "roleAssignments": roles,
    }))
}

fn roles(desired: &Desired) -> impl Iterator<Item = &RoleAssignment> {
    desired.nodes.values().filter_map(|node| match &node.resource {
        Resource::RoleAssignment(role_assignment) => Some(role_assignment),
        _ => None,
    })
}

fn whom(desired: &Desired, role: &RoleAssignment) -> Option<ArmId> {
    let Principal::Of(later) = &role.principal else { return None };
    match desired.nodes[&later.from].resource.kind().target() {
        Target::Arm(id) => Some(id),
        Target::Objects(_) => None,
    }
}

fn place() -> impl Strategy<Value = (usize, &'static str, &'static str)> {
    (1..4_usize, select(vec!["dev", "prod", "Dev"]), select(vec!["wsx", "WSX", "a-wsx", "wsx2"]))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever the others are called: who gets a role is of the own cluster, no declared role is
    /// lost, and an ambiguous name is no guess.
    #[test]
    fn names_mean_the_own_cluster_and_nothing_is_lost(
        fleet in proptest::collection::vec(
            (proptest::collection::vec(place(), 1..4), proptest::collection::vec(
                (place(), any::<bool>(), 0..4_usize), 0..5)),
            1..4,
        ),
    ) {
        let mut clusters = Vec::new();
        let mut wanted = BTreeSet::new();
        let mut ambiguous = false;
        for (number, (computes, given)) in fleet.iter().enumerate() {
            let name = format!("k{number}");
            let mut roles = Vec::new();
            for ((at, group, workspace), resource, compute) in given {
                let scope = ArmId::resource_group_of(&subscription(*at), group);
                let scope = if *resource { scope.extension("Microsoft.X/y", workspace) } else { scope };
                let index = compute % computes.len();
                let (own, spelled, called) = computes[index];
                let id = |(at, group, workspace): (usize, &str, &str)| {
                    format!("{at}/{group}/{workspace}").to_ascii_lowercase()
                };
                let alike: BTreeSet<String> = computes
                    .iter()
                    .filter(|it| it.2.eq_ignore_ascii_case(called))
                    .map(|it| id(*it))
                    .collect();
                let principal = if *compute < 2 {
                    ambiguous |= alike.len() > 1;
                    format!("workspace/{called}")
                } else {
                    format!("workspace/{}/{spelled}/{called}", subscription(own))
                };
                roles.push(json!({"principal": principal, "role": "Reader", "scope": scope}));
                wanted.insert((name.clone(), id((own, spelled, called)), scope));
            }
            clusters.push(cluster(&name, number + 1, computes, &roles));
        }
        match build(&Manifest::from(clusters)) {
            Err(_) => prop_assert!(ambiguous),
            Ok(desired) => {
                prop_assert!(!ambiguous);
                let made: BTreeSet<_> = roles(&desired)
                    .map(|role| {
                        let id = whom(&desired, role).unwrap();
                        let at = &id.subscription()[..1];
                        let id = format!("{at}/{}/{}", id.resource_group().unwrap(), id.name());
                        (role.key.scope.clone(), id.to_ascii_lowercase(), role.at.clone())
                    })
                    .collect();
                prop_assert_eq!(made, wanted);
            }
        }
    }
}

#[test]
fn the_scope_is_spelled_out_only_as_far_as_it_takes() {
    let group = |at| ArmId::resource_group_of(&subscription(at), "shared");
    let role = |scope: ArmId| json!({"principal": "compute/C0", "role": "AcrPull", "scope": scope});
    let twice = [role(group(2)), role(group(3)), role(group(2))];
    let desired = build(&Manifest::from(vec![cluster("b", 2, &[(2, "rg", "wsx")], &twice)]));
    let desired = desired.unwrap();
    let names: Vec<&str> = roles(&desired).map(|role| role.key.name.as_str()).collect();
    let long = |at| format!("compute/C0/AcrPull{}", group(at));
    assert_eq!(names, [long(2), long(3)]);
    let once = [role(group(2))];
    let desired = build(&Manifest::from(vec![cluster("b", 2, &[(2, "rg", "wsx")], &once)]));
    let desired = desired.unwrap();
    let names: Vec<&str> = roles(&desired).map(|role| role.key.name.as_str()).collect();
    assert_eq!(names, ["compute/C0/AcrPull/resourceGroups/shared"]);
}

#[test]
fn a_scope_above_subscriptions_has_an_id_of_its_own() {
    let group = "/providers/Microsoft.Management/managementGroups/all";
    let role = json!({"principal": "compute/c0", "role": "Reader", "scope": group});
    let clusters = vec![cluster("b", 2, &[(2, "rg", "wsx")], &[role])];
    let desired = build(&Manifest::from(clusters)).unwrap();
    let Target::Arm(id) =
        desired.nodes[&roles(&desired).next().unwrap().key].resource.kind().target()
    else {
        panic!("a role assignment is in Azure");
    };
    assert!(id.as_str().starts_with(&format!("{group}/providers/Microsoft.Authorization/")));
}

#[test]
fn two_clouds_for_one_subscription_are_no_guess() {
    let mut other = cluster("b", 2, &[(2, "rg", "wsx")], &[]);
    other.spec.azure.tenant = Some("one".to_owned());
    let mut third = cluster("c", 2, &[(2, "rg", "wsy")], &[]);
    assert!(build(&Manifest::from(vec![other.clone(), third.clone()])).is_ok());
    third.spec.azure.tenant = Some("two".to_owned());
    let wrong = build(&Manifest::from(vec![other, third])).unwrap_err();
    assert!(wrong.iter().all(|finding| finding.code == "address-collision"));
}

#[test]
fn two_resources_that_differ_never_share_an_address() {
    let mut first = cluster("b", 2, &[(2, "rg", "wsx")], &[]);
    first.spec.computes.push(first.spec.computes[0].clone());
    assert!(build(&Manifest::from(vec![first.clone()])).is_ok());
    first.spec.computes[1].namespace = "elsewhere".to_owned();
    let wrong = build(&Manifest::from(vec![first])).unwrap_err();
    assert_eq!(wrong[0].code, "address-collision");
    assert!(wrong[0].message.contains("b/compute/c0"));
}
