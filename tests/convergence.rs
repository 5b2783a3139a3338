//! Every shipped manifest: applied, there is nothing left to do; whatever one field a colleague
//! changes is named by drift and mended by apply; destroy leaves what was there before.

#[path = "convergence/credentials.rs"]
mod credentials;
#[path = "common/life.rs"]
mod life;
#[path = "convergence/meaning.rs"]
mod meaning;
#[path = "common/program.rs"]
mod program;

use std::path::Path;

use life::{Life, slips};
use program::Place;

/// The manifests of `manifests/` whose names begin so.
fn shipped(prefixes: &[&str]) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests");
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .expect("the shipped manifests")
        .map(|it| it.expect("an entry").file_name().into_string().expect("a plain name"))
        .filter(|it| it.ends_with(".yaml") || it.ends_with(".toml"))
        .filter(|it| prefixes.iter().any(|prefix| it.starts_with(prefix)))
        .collect();
    names.sort();
    names
}

/// Groups that run at the same time.
const GROUPS: [&[&str]; 6] = [
    &["aks-", "attach-aks-"],
    &["attach-arc-", "internal-"],
    &["inference-public-", "inference-internal-"],
    &["inference-nodeport-", "training"],
    &["full."],
    &["openshift.", "fleet"],
];

fn lives(group: usize) {
    let names = shipped(GROUPS[group]);
    assert!(!names.is_empty());
    let place = Place::new();
    for (number, name) in names.into_iter().enumerate() {
        Life { place: &place, manifest: name }.goes_by(number);
    }
}

#[test]
fn every_manifest_is_in_one_group() {
    let all = shipped(&[""]);
    assert!(all.len() >= 30);
    for name in all {
        let groups = GROUPS.iter().filter(|it| shipped(it).contains(&name)).count();
        assert_eq!(groups, 1, "{name}");
    }
}

#[test]
fn clusters_of_aks_converge() {
    lives(0);
}

#[test]
fn computes_on_arc_converge() {
    lives(1);
}

#[test]
fn inference_behind_load_balancers_converges() {
    lives(2);
}

#[test]
fn inference_on_node_ports_and_training_converge() {
    lives(3);
}

#[test]
fn the_full_manifest_converges_in_both_languages() {
    lives(4);
}

#[test]
fn openshift_and_fleets_converge() {
    lives(5);
}

#[test]
fn every_compared_field_of_the_full_manifest_is_named_alone() {
    let place = Place::new();
    let life = Life { place: &place, manifest: "full.yaml".to_owned() };
    life.apply();
    let good = std::fs::read(place.path("full.yaml.state.json")).expect("the state");
    let mut tried = 0;
    for (address, kind, wanted) in life.resources() {
        for slip in slips(&address, &kind, &wanted) {
            life.slips(&slip);
            std::fs::write(place.path("full.yaml.state.json"), &good).expect("the state");
            tried += 1;
        }
    }
    assert!(tried > 50, "{tried} fields are compared");
}
