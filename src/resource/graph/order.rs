//! Order and cycles.

use std::collections::BTreeMap;

use petgraph::graph::{DiGraph, NodeIndex};

use super::Desired;
use crate::model::Key;

/// Resources that need each other in a ring.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("these resources need each other in a ring: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(" → "))]
pub struct Cycle(pub Vec<Key>);

fn graph(desired: &Desired) -> DiGraph<&Key, ()> {
    let mut graph = DiGraph::new();
    let index: BTreeMap<&Key, NodeIndex> =
        desired.nodes.keys().map(|key| (key, graph.add_node(key))).collect();
    for (key, node) in &desired.nodes {
        for need in &node.needs {
            if let Some(from) = index.get(need) {
                graph.add_edge(*from, index[key], ());
            }
        }
    }
    graph
}

/// Every address, what is needed before what needs it; ties in address order.
///
/// # Errors
/// A ring, with its members.
pub fn order(desired: &Desired) -> Result<Vec<Key>, Cycle> {
    let graph = graph(desired);
    if let Some(ring) = petgraph::algo::tarjan_scc(&graph).into_iter().find(|it| it.len() > 1) {
        return Err(Cycle(ring.into_iter().map(|node_index| graph[node_index].clone()).collect()));
    }
    let mut level: BTreeMap<&Key, usize> = BTreeMap::new();
    for node in petgraph::algo::toposort(&graph, None).unwrap_or_default() {
        let before = graph.neighbors_directed(node, petgraph::Direction::Incoming);
        let depth = before.map(|it| level.get(graph[it]).copied().unwrap_or(0) + 1).max();
        level.insert(graph[node], depth.unwrap_or(0));
    }
    let mut keys: Vec<&Key> = desired.nodes.keys().collect();
    keys.sort_by_key(|key| (level.get(key).copied().unwrap_or(0), *key));
    Ok(keys.into_iter().cloned().collect())
}

/// The needs that no longer way implies, as (needed, needing), in address order: what a picture
/// of the graph shows. Empty where resources need each other in a ring.
#[must_use]
pub fn essential(desired: &Desired) -> Vec<(&Key, &Key)> {
    use petgraph::algo::tred;
    let graph = graph(desired);
    let Ok(sorted) = petgraph::algo::toposort(&graph, None) else { return Vec::new() };
    let (list, _) = tred::dag_to_toposorted_adjacency_list::<_, u32>(&graph, &sorted);
    let (reduced, _) = tred::dag_transitive_reduction_closure(&list);
    let key = |at: u32| graph[sorted[at as usize]];
    let mut edges: Vec<(&Key, &Key)> = reduced
        .edge_indices()
        .filter_map(|edge| reduced.edge_endpoints(edge))
        .map(|(from, to)| (key(from), key(to)))
        .collect();
    edges.sort_unstable();
    edges
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::KindName;
    use crate::resource::graph::ResourceNode;
    use crate::resource::{Namespace, Resource};

    fn desired(edges: &[(usize, usize)], size: usize) -> (Desired, Vec<Key>) {
        let keys: Vec<Key> =
            (0..size).map(|it| Key::new("c", KindName::Namespace, format!("n{it}"))).collect();
        let mut desired = Desired::default();
        for (index, key) in keys.iter().enumerate() {
            let needs = edges.iter().filter(|(_, to)| *to == index);
            desired.nodes.insert(
                key.clone(),
                ResourceNode {
                    resource: Resource::from(Namespace { key: key.clone() }),
                    needs: needs.map(|(from, _)| keys[*from].clone()).collect(),
                    reason: None,
                    declared: None,
                    orphan: None,
                },
            );
        }
        (desired, keys)
    }

    #[test]
    fn a_ring_is_named() {
        let (desired, _) = desired(&[(0, 1), (1, 2), (2, 0)], 4);
        assert_eq!(order(&desired).unwrap_err().0.len(), 3);
    }

    proptest! {
        #[test]
        fn what_is_needed_comes_first(pairs in proptest::collection::vec((0usize..12, 0usize..12), 0..40)) {
            // Edges from smaller to larger numbers cannot make a ring.
            let edges: Vec<_> = pairs.into_iter().filter(|(a, b)| a < b).collect();
            let (desired, _) = desired(&edges, 12);
            let order = order(&desired).unwrap();
            prop_assert_eq!(order.len(), 12);
            for (key, node) in &desired.nodes {
                let at = |address: &Key| order.iter().position(|o| o == address);
                for need in &node.needs {
                    prop_assert!(at(need) < at(key));
                }
            }
        }
    }
}
