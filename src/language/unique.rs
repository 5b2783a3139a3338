//! What may be declared only once in a run.

use std::collections::HashMap;
use std::hash::Hash;

use crate::model::{ArmId, Pointer};
use crate::source::{Diagnostic, Diagnostics, Place};

use super::spec::Declared;

/// Reports names and resources that two declarations claim.
pub(super) fn check<'a>(clusters: impl Iterator<Item = &'a Declared>, findings: &mut Diagnostics) {
    let mut names = Claims::default();
    let mut ids = Claims::default();
    let mut computes: HashMap<(ArmId, String), (&'a str, Option<Place>)> = HashMap::new();
    for cluster in clusters {
        let at = Pointer::parse("/name");
        if let Some(first) =
            claim(&mut names, cluster.name.to_ascii_lowercase(), cluster.origin.value(&at))
        {
            let message = format!("two clusters are named `{}`", cluster.name);
            findings.push(
                twice("duplicate-cluster", message, cluster.origin.value(&at), first).with_help(
                    "give each cluster a name of its own: it is the first part of its addresses",
                ),
            );
            continue;
        }
        let at = Pointer::parse("/cluster/name");
        if let Some(first) = claim(&mut ids, cluster.resource_id(), cluster.origin.value(&at)) {
            let message =
                format!("two clusters mean the same Azure resource, `{}`", cluster.cluster.name);
            findings.push(
                twice("same-cluster", message, cluster.origin.value(&at), first)
                    .with_help("one cluster has one declaration: put both parts together"),
            );
        }
        parts(cluster, findings);
        for (index, compute) in cluster.computes.iter().enumerate() {
            let key = (cluster.workspace_id(compute), compute.name.to_ascii_lowercase());
            let place = cluster.origin.value(&Pointer::parse(&format!("/computes/{index}/name")));
            // Two of one cluster are reported above.
            match computes.get(&key) {
                Some((owner, first)) if *owner != cluster.name => {
                    let message = format!(
                        "clusters `{owner}` and `{}` attach a compute of the same name, `{}`, to one workspace",
                        cluster.name, compute.name
                    );
                    let first = first.clone().filter(|it| Some(it) != place.as_ref());
                    findings.push(twice("duplicate-compute", message, place, first).with_help(
                        "names of computes are unique in a workspace: give each cluster's its own",
                    ));
                }
                Some(_) => {}
                None => {
                    computes.insert(key, (cluster.name.as_str(), place));
                }
            }
        }
    }
}

/// Names that must be unique inside one cluster.
fn parts(cluster: &Declared, findings: &mut Diagnostics) {
    let computes = cluster.computes.iter().map(|compute| compute.name.to_ascii_lowercase());
    let types = cluster.instance_types.iter().map(|instance_type| instance_type.name.clone());
    let lists = [
        (
            "computes",
            "duplicate-compute",
            "computes",
            "give each a name of its own, also when they are in different workspaces",
            computes.collect::<Vec<_>>(),
        ),
        (
            "instanceTypes",
            "duplicate-instance-type",
            "instance types",
            "give each a name of its own: it is unique in the cluster",
            types.collect(),
        ),
    ];
    for (part, code, what, help, names) in lists {
        let mut claims = Claims::default();
        for (index, name) in names.into_iter().enumerate() {
            let place = cluster.origin.value(&Pointer::parse(&format!("/{part}/{index}/name")));
            if let Some(first) = claim(&mut claims, name.clone(), place.clone()) {
                let message = format!("two {what} of this cluster are named `{name}`");
                findings.push(twice(code, message, place, first).with_help(help));
            }
        }
    }
}

pub(super) fn twice(
    code: &'static str,
    message: String,
    again: Option<Place>,
    first: Option<Place>,
) -> Diagnostic {
    Diagnostic::error(code, message).at(again, "again here").at(first, "first here")
}

type Claims<K> = HashMap<K, Option<Place>>;

/// The place of the first claim, if there was one.
fn claim<K: Eq + Hash>(all: &mut Claims<K>, key: K, place: Option<Place>) -> Option<Option<Place>> {
    if let Some(first) = all.get(&key) {
        return Some(first.clone());
    }
    all.insert(key, place);
    None
}
