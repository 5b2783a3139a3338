//! What the server serves: versions, groups and resources (Kubernetes docs, "Kubernetes API
//! discovery"), in the plain and the aggregated form.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::openapi;
use super::request::{ApiRequest, ClusterFacts, KubeReply};
use super::store::Store;
use super::types::{ResourceType, group_version};

/// Answers the paths that are not resources; `None` when the path is none of them.
pub(crate) fn serve(
    store: &Store,
    facts: &ClusterFacts,
    request: &ApiRequest<'_>,
) -> Option<KubeReply> {
    if request.method != http::Method::GET {
        return None;
    }
    let parts: Vec<&str> = request.path.split('/').filter(|part| !part.is_empty()).collect();
    let accept = request.header(http::header::ACCEPT);
    let aggregated = accept.contains("as=APIGroupDiscoveryList") && accept.contains("v=v2");
    match parts.as_slice() {
        ["version"] => Some(KubeReply::ok(version(facts))),
        ["api" | "apis"] if aggregated => Some(aggregate(store, parts == ["api"], accept)),
        ["api"] => Some(KubeReply::ok(json!({
            "kind": "APIVersions", "versions": ["v1"],
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "sandbox"}],
        }))),
        ["apis"] => {
            let groups: Vec<Json> =
                groups(store).iter().map(|(name, found)| group(name, found)).collect();
            Some(KubeReply::ok(
                json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}),
            ))
        }
        ["apis", name] => groups(store).get(*name).map(|found| {
            let mut body = group(name, found);
            body["kind"] = json!("APIGroup");
            body["apiVersion"] = json!("v1");
            KubeReply::ok(body)
        }),
        ["api", version] => resources(store, "", version),
        ["apis", group, version] => resources(store, group, version),
        ["openapi", rest @ ..] => openapi::serve(store, rest),
        _ => None,
    }
}

fn version(facts: &ClusterFacts) -> Json {
    let mut numbers = facts.version.split('.');
    json!({
        "major": numbers.next().unwrap_or("1"),
        "minor": numbers.next().unwrap_or("33"),
        "gitVersion": format!("v{}", facts.version),
        "gitCommit": "0000000000000000000000000000000000000000",
        "gitTreeState": "clean",
        "buildDate": "2026-01-01T00:00:00Z",
        "goVersion": "go1.24.4",
        "compiler": "gc",
        "platform": "linux/amd64",
    })
}

/// Named groups with their types; the core group is not among them.
fn groups(store: &Store) -> BTreeMap<String, Vec<ResourceType>> {
    let mut groups: BTreeMap<String, Vec<ResourceType>> = BTreeMap::new();
    for kind in store.types() {
        if !kind.group.is_empty() {
            groups.entry(kind.group.clone()).or_default().push(kind);
        }
    }
    groups
}

/// The versions of a group, newest first.
pub(crate) fn versions(types: &[ResourceType]) -> Vec<String> {
    let mut versions: Vec<String> = types.iter().map(|kind| kind.version.clone()).collect();
    // v1 before v1beta1 before v1alpha1; v2 before v1
    versions.sort_by_key(|version| {
        let digits: String = version.chars().skip(1).take_while(char::is_ascii_digit).collect();
        let stability =
            if version.contains("alpha") { 2 } else { i32::from(version.contains("beta")) };
        (stability, std::cmp::Reverse(digits.parse::<u32>().unwrap_or(0)), version.clone())
    });
    versions.dedup();
    versions
}

fn group(name: &str, types: &[ResourceType]) -> Json {
    let versions: Vec<Json> = versions(types)
        .into_iter()
        .map(|version| json!({"groupVersion": group_version(name, &version), "version": version}))
        .collect();
    json!({"name": name, "versions": versions, "preferredVersion": versions[0]})
}

fn resources(store: &Store, group: &str, version: &str) -> Option<KubeReply> {
    let types: Vec<ResourceType> = store
        .types()
        .into_iter()
        .filter(|kind| kind.group == group && kind.version == version)
        .collect();
    if types.is_empty() {
        return None;
    }
    let mut listed = Vec::new();
    for kind in &types {
        listed.push(json!({
            "name": kind.plural,
            "singularName": kind.singular,
            "namespaced": !kind.cluster,
            "kind": kind.kind,
            "verbs": kind.verbs(),
            "shortNames": kind.short,
            "categories": kind.categories,
        }));
        for sub in &kind.sub {
            let (kind_of_sub, verbs) = subresource(kind, sub);
            listed.push(json!({
                "name": format!("{}/{sub}", kind.plural),
                "singularName": "",
                "namespaced": !kind.cluster,
                "kind": kind_of_sub,
                "verbs": verbs,
            }));
        }
    }
    Some(KubeReply::ok(json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version(group, version),
        "resources": listed,
    })))
}

fn subresource<'a>(kind: &'a ResourceType, sub: &str) -> (&'a str, &'static [&'static str]) {
    match sub {
        "scale" => ("Scale", &["get", "patch", "update"]),
        "log" => (&kind.kind, &["get"]),
        "eviction" => ("Eviction", &["create"]),
        "token" => ("TokenRequest", &["create"]),
        "finalize" => (&kind.kind, &["update"]),
        _ => (&kind.kind, &["get", "patch", "update"]),
    }
}

/// `APIGroupDiscoveryList` of the core group or of all named groups.
fn aggregate(store: &Store, core: bool, accept: &str) -> KubeReply {
    let word =
        if accept.contains("v=v2beta1") && !accept.contains("v=v2;") && !accept.contains("v=v2,") {
            "v2beta1"
        } else {
            "v2"
        };
    let groups = if core {
        let types = store.types().into_iter();
        let types = types.filter(|kind| kind.group.is_empty()).collect();
        BTreeMap::from([(String::new(), types)])
    } else {
        groups(store)
    };
    let items: Vec<Json> = groups
        .iter()
        .map(|(name, types)| {
            let versions: Vec<Json> = versions(types)
                .iter()
                .map(|version| {
                    let of_version = types.iter().filter(|kind| &kind.version == version);
                    json!({
                        "version": version,
                        "freshness": "Current",
                        "resources": of_version.map(described).collect::<Vec<_>>(),
                    })
                })
                .collect();
            let metadata = if name.is_empty() { json!({}) } else { json!({"name": name}) };
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    let body = json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": format!("apidiscovery.k8s.io/{word}"),
        "metadata": {},
        "items": items,
    });
    KubeReply::Text {
        status: 200,
        body: body.to_string(),
        content_type: if word == "v2" {
            "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
        } else {
            "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"
        },
    }
}

fn described(kind: &ResourceType) -> Json {
    let response = |name: &str| json!({"group": kind.group, "version": kind.version, "kind": name});
    let subs: Vec<Json> = kind
        .sub
        .iter()
        .map(|sub| {
            let (name, verbs) = subresource(kind, sub);
            json!({"subresource": sub, "responseKind": response(name), "verbs": verbs})
        })
        .collect();
    json!({
        "resource": kind.plural,
        "responseKind": response(&kind.kind),
        "scope": if kind.cluster { "Cluster" } else { "Namespaced" },
        "singularResource": kind.singular,
        "verbs": kind.verbs(),
        "shortNames": kind.short,
        "categories": kind.categories,
        "subresources": subs,
    })
}
