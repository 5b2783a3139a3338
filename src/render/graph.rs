//! The desired-state graph for `amlplan graph`. Edges lead from what is needed to what needs it.

use std::collections::BTreeMap;

use serde_json::json;

use super::style::text;
use crate::model::{Json, Key};
use crate::resource::graph::{Desired, Node};

fn edges(desired: &Desired) -> impl Iterator<Item = (&Key, &Key)> {
    let edges =
        desired.nodes.iter().flat_map(|(key, node)| node.needs.iter().map(move |need| (need, key)));
    edges.filter(|(need, _)| desired.nodes.contains_key(need))
}

/// `{"nodes": [{address, kind, reason}], "edges": [{from, to}]}`, both in address order.
#[must_use]
pub fn json(desired: &Desired) -> Json {
    let node = |(key, node): (&Key, &Node)| json!({"address": key, "kind": key.kind, "reason": node.reason});
    let edge = |(from, to): (&Key, &Key)| json!({"from": from, "to": to});
    json!({
        "nodes": desired.nodes.iter().map(node).collect::<Vec<_>>(),
        "edges": edges(desired).map(edge).collect::<Vec<_>>(),
    })
}

/// The graph in the language of Graphviz.
#[must_use]
pub fn dot(desired: &Desired) -> String {
    // Quotes and backslashes are all that a quoted id of Graphviz escapes.
    let quoted = |it: &str| format!("\"{}\"", it.replace('\\', "\\\\").replace('"', "\\\""));
    let mut lines = vec!["digraph amlplan {".to_owned(), "  rankdir = LR;".to_owned()];
    lines.push("  node [shape = box];".to_owned());
    for (key, node) in &desired.nodes {
        let style = if key.kind.read_only() { ", style = dashed" } else { "" };
        let tip = node.reason.as_deref().map(|it| format!(", tooltip = {}", quoted(it)));
        let (id, tip) = (quoted(&key.to_string()), tip.unwrap_or_default());
        lines.push(format!("  {id} [kind = {}{style}{tip}];", quoted(key.kind.as_str())));
    }
    let edge = |(from, to): (&Key, &Key)| {
        format!("  {} -> {};", quoted(&from.to_string()), quoted(&to.to_string()))
    };
    lines.extend(edges(desired).map(edge));
    lines.push("}".to_owned());
    text(&lines)
}

/// The graph in the language of Mermaid, which GitHub draws in markdown.
#[must_use]
pub fn mermaid(desired: &Desired) -> String {
    let ids: BTreeMap<&Key, usize> = desired.nodes.keys().zip(0..).collect();
    let label = |it: &str| {
        it.replace('#', "#35;").replace('"', "#quot;").replace('<', "#lt;").replace('>', "#gt;")
    };
    let mut lines = vec!["flowchart LR".to_owned()];
    for (index, (key, node)) in desired.nodes.iter().enumerate() {
        let reason = node.reason.as_deref().map(|it| format!("<br/><i>{}</i>", label(it)));
        let label = format!("{}{}", label(&key.to_string()), reason.unwrap_or_default());
        lines.push(if key.kind.read_only() {
            format!("  n{index}([\"{label}\"])")
        } else {
            format!("  n{index}[\"{label}\"]")
        });
    }
    let edge = |(from, to): (&Key, &Key)| format!("  n{} --> n{}", ids[from], ids[to]);
    lines.extend(edges(desired).map(edge));
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
        let node = |resource, needs, reason: Option<&str>| Node {
            resource,
            needs,
            reason: reason.map(str::to_owned),
            declared: None,
        };
        let read = ReadOnly { key: cluster.clone(), id: "/x".to_owned() };
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
    }
}
