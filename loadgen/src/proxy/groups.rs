//! Nodes that every fault treats alike share their listeners.

use crate::scenario::{Action, PlannedFault};

/// The nodes of each group, all nodes together; nothing when no fault touches a link.
pub(crate) fn groups(nodes: u32, faults: &[PlannedFault]) -> Vec<Vec<u32>> {
    let mut sets: Vec<&Vec<u32>> = Vec::new();
    for fault in faults {
        if let Action::Network { nodes, .. } = &fault.action
            && !sets.contains(&nodes)
        {
            sets.push(nodes);
        }
    }
    if sets.is_empty() {
        return Vec::new();
    }
    let mut groups: Vec<(Vec<bool>, Vec<u32>)> = Vec::new();
    for node in 0..nodes {
        let touched: Vec<bool> = sets.iter().map(|set| set.contains(&node)).collect();
        match groups.iter_mut().find(|(pattern, _)| *pattern == touched) {
            Some((_, members)) => members.push(node),
            None => groups.push((touched, vec![node])),
        }
    }
    groups.into_iter().map(|(_, members)| members).collect()
}
