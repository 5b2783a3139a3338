//! The table of rules is whole: each fails in one world and passes in another, and
//! `docs/reference/checks.md` is made from it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::doctor_tests as doctor;
use super::fixture;
use super::rules::{By, Judge, RULES};
use super::verify::tests as verify;
use crate::catalog;

/// Rules of the public documents that no check looks at, and why.
const LEFT: &[(&str, &str, &str)] = &[
    (
        "REG-10",
        "Microsoft.RedHatOpenShift is registered",
        "amlplan neither makes nor reads the ARO resource",
    ),
    (
        "CLU-14",
        "webhook certificates on old control planes",
        "flags of the controller manager cannot be read",
    ),
    (
        "CLU-18",
        "SELinux and datasets of AML v1",
        "the mode of nodes cannot be read, and v1 is out of support",
    ),
    (
        "ACC-11",
        "a stopped AKS cluster in a network lost its private endpoint",
        "the past cannot be read; `cluster-unreachable` shows what came of it",
    ),
    ("IAM-10", "identities behind a private endpoint", "a limit of versions that are gone"),
    ("IAM-13", "display name of a system-assigned identity", "nothing to check"),
    (
        "CON-4",
        "objects that a reused Prometheus operator needs",
        "depends on the flags of somebody else's operator",
    ),
    ("CON-5", "versions of kube-prometheus-stack", "of a preview that is gone"),
    (
        "CON-8",
        "version and configuration of a Volcano of one's own",
        "its image tags do not tell it dependably",
    ),
    ("CON-13", "autoscalers on model deployments", "deployments of models are not in the manifest"),
    ("TLS-8", "clients that insist on TLS 1.3", "clients are not in the manifest"),
    (
        "TLS-9",
        "DNS of sslCname",
        "doctor resolves no names of others; `verify` prints the address to point it at",
    ),
    (
        "TLS-11",
        "a load balancer of one's own before NodePort or ClusterIP",
        "outside of the cluster",
    ),
    ("IT-6", "`defaultinstancetype` overrides the built-in default", "wanted by whoever writes it"),
    ("IT-7", "size of the built-in default", "nothing to check"),
    (
        "IT-8",
        "instance types before attach",
        "apply makes them as soon as the extension serves them; attaching again picks up later ones",
    ),
    ("IT-10", "least size for MLflow deployments", "deployments are not in the manifest"),
    ("IT-11", "limits of deployments", "deployments are not in the manifest"),
    ("IT-12", "`InstanceTypeList`", "`import` reads it as single types"),
    ("NS-3", "the namespace of a compute is `default` when left out", "nothing to check"),
    ("NS-4", "labels of volumes for jobs", "volumes are not in the manifest"),
    ("NS-7", "names of endpoints", "endpoints are not in the manifest"),
    ("NS-11", "models from the catalog", "deployments are not in the manifest"),
    ("NS-12", "the 20 minutes of a deployment", "deployments are not in the manifest"),
];

/// How many rules each section of the public documents has.
const SECTIONS: [(&str, usize); 8] = [
    ("REG", 10),
    ("CLU", 19),
    ("ACC", 12),
    ("IAM", 14),
    ("CON", 14),
    ("TLS", 11),
    ("IT", 12),
    ("NS", 13),
];

fn known() -> BTreeSet<String> {
    let section = |(name, number): &(&str, usize)| {
        let name = (*name).to_owned();
        (1..=*number).map(move |it| format!("{name}-{it}"))
    };
    SECTIONS.iter().flat_map(section).chain(["REGION-1".to_owned()]).collect()
}

#[test]
fn every_rule_of_the_documents_is_checked_or_left_out_with_a_reason() {
    let covered: BTreeSet<String> =
        catalog::codes().iter().flat_map(|page| page.covers.iter().cloned()).collect();
    let left: BTreeSet<String> = LEFT.iter().map(|it| it.0.to_owned()).collect();
    assert!(covered.is_disjoint(&left), "{:?}", covered.intersection(&left));
    let all: BTreeSet<String> = covered.union(&left).cloned().collect();
    assert_eq!(all, known());
    assert_eq!((covered.len(), left.len()), (82, 24));
}

#[test]
fn every_rule_fails_in_one_world_and_passes_in_another() {
    fixture::forget();
    doctor::a_cluster_as_it_should_be_has_no_finding();
    doctor::azure_only_looks_at_azure_alone();
    doctor::azure::the_state_of_an_arc_cluster();
    doctor::azure::the_state_of_an_aks_cluster();
    doctor::azure::workspaces_and_their_identities();
    doctor::azure::rights_and_registrations();
    doctor::azure::what_the_workspace_keeps_its_data_in();
    doctor::azure::credentials_need_an_issuer();
    doctor::azure::who_may_what_at_registry_storage_and_relay();
    doctor::azure::what_goes_out_of_support();
    doctor::cluster::nodes_have_to_be_enough_open_and_selected();
    doctor::cluster::room_is_what_other_pods_leave();
    doctor::cluster::instance_types_have_to_fit_a_node();
    doctor::cluster::software_that_is_there_already_collides_while_its_setting_is_on();
    doctor::cluster::a_conflict_can_be_resolved_belong_to_us_or_only_warn();
    doctor::cluster::leftovers_of_other_installations_are_found();
    doctor::cluster::namespaces_secrets_balancers_and_constraints();
    verify::a_healthy_deployment_passes_every_check_and_tells_its_address();
    verify::each_thing_that_is_wrong_is_found();
    verify::a_refused_service_account_is_named_and_said_where_to_write();
    verify::states_of_the_extension_old_and_new_are_understood();
    verify::a_health_report_fails_only_a_failed_installation();
    verify::a_compute_needs_its_state_and_its_principal();
    verify::accounts_without_their_grant_are_counted_on_openshift_only();
    verify::what_is_declared_has_to_be_there();
    let seen = fixture::seen();
    let codes: BTreeSet<&str> = RULES.iter().map(|rule| rule.code).collect();
    // It says what is not looked at, and judges nothing.
    let judged = codes.iter().filter(|code| **code != "cluster-not-looked-at");
    let lacking: Vec<String> = judged
        .clone()
        .flat_map(|code| [(code, true), (code, false)])
        .filter(|(code, passes)| !seen.contains_key(&(**code, *passes)))
        .map(|(code, passes)| format!("{code} never {}", if passes { "passes" } else { "fails" }))
        .collect();
    assert!(lacking.is_empty(), "{lacking:#?}");
    assert_eq!(judged.count(), 77, "rules, each failing and passing");
}

/// `docs/reference/checks.md`.
#[must_use]
pub fn page() -> String {
    let mut out = String::from(
        "# Checks\n\nWhat `amlplan doctor` and `amlplan verify` look at. Generated from the table of rules \
         (`src/health/rules.rs`) and the\npages of `amlplan explain`; a test compares it \
         (`UPDATE_REFERENCE=1 cargo test --lib reference` writes it anew).\n\nAn error fails the command and \
         stops an apply, a warning is said. What could not be read is unknown, and passes nowhere.\n",
    );
    let mut rules: BTreeMap<&str, (bool, bool, BTreeSet<&str>)> = BTreeMap::new();
    for rule in RULES {
        let entry = rules.entry(rule.code).or_default();
        entry.0 |= rule.by != By::Verify;
        entry.1 |= rule.by != By::Doctor;
        entry.2.extend(rule.reads);
        if let Judge::Each { kinds, .. } = rule.judge {
            entry.2.extend(kinds.iter().filter(|_| kinds.len() < 3).map(|kind| kind.as_str()));
        }
    }
    let _ = write!(
        out,
        "\n{} rules:\n\n| code | asked by | severity | reads beside the resource | what is wrong | from |\n|---|---|---|---|---|---|\n",
        rules.len()
    );
    for (code, (doctor, verify, reads)) in rules {
        let page = catalog::explain(code).expect("every rule has a page");
        let by = match (doctor, verify) {
            (true, true) => "both",
            (true, false) => "doctor",
            _ => "verify",
        };
        let reads: Vec<&str> = reads.into_iter().collect();
        let _ = writeln!(
            out,
            "| `{code}` | {by} | {} | {} | {} | {} |",
            page.severity.join(", "),
            reads.join(", "),
            page.summary,
            page.covers.join(" ")
        );
    }
    out.push_str("\nRules that need no cluster are checked by `validate`, and so by every command:\n\n| code | what is wrong | from |\n|---|---|---|\n");
    for page in catalog::codes() {
        if !page.covers.is_empty() && !RULES.iter().any(|rule| rule.code == page.code) {
            let _ =
                writeln!(out, "| `{}` | {} | {} |", page.code, page.summary, page.covers.join(" "));
        }
    }
    out.push_str("\n## Not checked\n\nRules of the public documents that amlplan leaves out:\n\n| | rule | why |\n|---|---|---|\n");
    for (id, rule, why) in LEFT {
        let _ = writeln!(out, "| {id} | {rule} | {why} |");
    }
    out
}
