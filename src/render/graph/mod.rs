//! The desired-state graph for `amlplan graph`. Edges lead from what is needed to what needs it; the pictures leave out
//! an edge that a longer way implies, put each scope into a box and colour by what a resource belongs to.

mod svg;

use std::collections::BTreeMap;

use serde_json::json;

use super::style::text;
use crate::model::{Json, Key, KindName};
use crate::resource::graph::{Desired, ResourceNode, essential};
use crate::resource::{Family, about};

pub use svg::svg;

/// `{"nodes": [{address, kind, reason}], "edges": [{from, to}]}`, both in address order. All edges.
#[must_use]
pub fn json(desired: &Desired) -> Json {
    let node = |(key, node): (&Key, &ResourceNode)| json!({"address": key, "kind": key.kind, "reason": node.reason});
    let edges = desired.nodes.iter().flat_map(|(key, node)| {
        let there = node.needs.iter().filter(|need| desired.nodes.contains_key(need));
        there.map(move |need| json!({"from": need, "to": key}))
    });
    let mut edges: Vec<Json> = edges.collect();
    edges.sort_by_key(|edge| (edge["from"].to_string(), edge["to"].to_string()));
    json!({
        "nodes": desired.nodes.iter().map(node).collect::<Vec<_>>(),
        "edges": edges,
    })
}

/// Fill and border of a resource's box.
const fn colours(kind: KindName) -> (&'static str, &'static str) {
    match about(kind).family {
        Family::Registration => ("#eceff4", "#7b8794"),
        Family::Access => ("#fde8e8", "#c53030"),
        Family::Extension => ("#dbeafe", "#1d4ed8"),
        Family::Compute => ("#ffedd5", "#c2410c"),
        Family::Object => ("#dcfce7", "#15803d"),
        Family::Given => ("#ffffff", "#9aa5b1"),
        Family::Companion => ("#ede9fe", "#6d28d9"),
    }
}

/// A name that fits into a box: the middle of a longer one is left out.
fn short(name: &str, most: usize) -> String {
    let letters: Vec<char> = name.chars().collect();
    if letters.len() <= most {
        return name.to_owned();
    }
    let keep = (most - 1) / 2;
    let (head, tail) = (&letters[..keep], &letters[letters.len() - keep..]);
    head.iter().chain(&['…']).chain(tail).collect()
}

/// What stands in a box under the kind.
fn label(key: &Key) -> String {
    let name = if key.name.is_empty() { &key.scope } else { &key.name };
    short(name, 27)
}

/// Resources by scope; scopes and resources in address order.
fn scopes(desired: &Desired) -> BTreeMap<&str, Vec<(&Key, &ResourceNode)>> {
    let mut scopes: BTreeMap<&str, Vec<(&Key, &ResourceNode)>> = BTreeMap::new();
    for (key, node) in &desired.nodes {
        scopes.entry(key.scope.as_str()).or_default().push((key, node));
    }
    scopes
}

/// The graph in the language of Graphviz.
#[must_use]
pub fn dot(desired: &Desired) -> String {
    // Quotes and backslashes are all that a quoted id of Graphviz escapes.
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let mut lines = vec!["digraph amlplan {".to_owned(), "  rankdir = LR;".to_owned()];
    lines.push("  node [shape = box, style = filled, fontname = \"sans-serif\"];".to_owned());
    for (index, (scope, members)) in scopes(desired).into_iter().enumerate() {
        lines.push(format!("  subgraph cluster_{index} {{"));
        lines.push(format!("    label = {};", quoted(scope)));
        for (key, node) in members {
            let (fill, border) = colours(key.kind);
            let style = if key.kind.read_only() { ", style = dashed" } else { "" };
            let label = quoted(&format!("{}\n{}", key.kind, label(key))).replace('\n', "\\n");
            let tip = node.reason.as_deref().unwrap_or_default();
            lines.push(format!(
                "    {} [label = {label}, kind = {}, fillcolor = \"{fill}\", color = \"{border}\"{style}, tooltip = {}];",
                quoted(&key.to_string()),
                quoted(key.kind.as_str()),
                quoted(tip),
            ));
        }
        lines.push("  }".to_owned());
    }
    let edge = |(from, to): (&Key, &Key)| {
        format!("  {} -> {};", quoted(&from.to_string()), quoted(&to.to_string()))
    };
    lines.extend(essential(desired).into_iter().map(edge));
    lines.push("}".to_owned());
    text(&lines)
}

/// The graph in the language of Mermaid, which GitHub draws in markdown.
#[must_use]
pub fn mermaid(desired: &Desired) -> String {
    let ids: BTreeMap<&Key, usize> = desired.nodes.keys().zip(0..).collect();
    let escaped = |text: &str| {
        text.replace('#', "#35;").replace('"', "#quot;").replace('<', "#lt;").replace('>', "#gt;")
    };
    let mut lines = vec!["flowchart LR".to_owned()];
    for (index, (scope, members)) in scopes(desired).into_iter().enumerate() {
        lines.push(format!("  subgraph s{index}[\"{}\"]", escaped(scope)));
        for (key, _) in members {
            let label = format!("{}<br/><b>{}</b>", key.kind, escaped(&label(key)));
            let (id, (fill, border)) = (ids[key], colours(key.kind));
            lines.push(if key.kind.read_only() {
                format!("    n{id}([\"{label}\"])")
            } else {
                format!("    n{id}[\"{label}\"]")
            });
            lines.push(format!("    style n{id} fill:{fill},stroke:{border},color:#111"));
        }
        lines.push("  end".to_owned());
    }
    let edge = |(from, to): (&Key, &Key)| format!("  n{} --> n{}", ids[from], ids[to]);
    lines.extend(essential(desired).into_iter().map(edge));
    text(&lines)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::render::samples::key;
    use crate::resource::{Namespace, ReadOnly};

    fn desired() -> Desired {
        let mut desired = Desired::default();
        let cluster = key("edge-01/cluster/edge-01");
        let namespace = key("edge-01/namespace/azureml");
        let node = |resource, needs, reason: Option<&str>| ResourceNode {
            resource,
            needs,
            reason: reason.map(str::to_owned),
            declared: None,
            orphan: None,
        };
        let read = ReadOnly { key: cluster.clone(), id: crate::model::ArmId::provider("s", "x") };
        desired.nodes.insert(cluster.clone(), node(read.into(), BTreeSet::new(), None));
        let made = Namespace { key: namespace.clone() };
        // What was left out by a target is no node, and no edge leads to it.
        let needs = BTreeSet::from([cluster, key("edge-01/provider/gone")]);
        desired.nodes.insert(namespace, node(made.into(), needs, Some("the \"extension\"")));
        desired
    }

    #[test]
    fn edges_lead_from_what_is_needed_to_what_needs_it() {
        insta::assert_json_snapshot!(json(&desired()));
        insta::assert_snapshot!(dot(&desired()));
        insta::assert_snapshot!(mermaid(&desired()));
        insta::assert_snapshot!(svg(&desired(), &std::collections::BTreeMap::new()));
    }
}
