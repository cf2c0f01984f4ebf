//! Flooding in the slowest and most obvious way, for tests of everything else.

use std::collections::VecDeque;

use serde::Serialize;

use super::Graph;

/// What a flood reaches and costs. Conventions: the origin sends to all its
/// neighbours with the whole TTL; who hears of it first, with more than 1
/// left, passes it on with one less to all neighbours but the sender; every
/// later copy counts as a message and as a duplicate. The origin is not among
/// the reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct FloodCount {
    /// Nodes that heard of it, without the origin.
    pub reach: u64,
    /// Copies sent.
    pub messages: u64,
    /// Copies that came to a node that knew already.
    pub duplicates: u64,
}

/// Floods from `source` with this TTL, every link being equally slow: copies
/// are handled in the order in which they were sent.
///
/// # Panics
///
/// If there is no such node.
pub fn flood_reference(graph: &Graph, source: u32, ttl: u32) -> FloodCount {
    let mut count = FloodCount::default();
    let mut seen = vec![false; graph.nodes() as usize];
    seen[source as usize] = true;
    let mut copies = VecDeque::new();
    if ttl > 0 {
        for &neighbour in graph.neighbours(source) {
            copies.push_back((source, neighbour, ttl));
        }
    }
    while let Some((from, node, ttl)) = copies.pop_front() {
        count.messages += 1;
        if seen[node as usize] {
            count.duplicates += 1;
            continue;
        }
        seen[node as usize] = true;
        count.reach += 1;
        if ttl > 1 {
            for &neighbour in graph.neighbours(node) {
                if neighbour != from {
                    copies.push_back((node, neighbour, ttl - 1));
                }
            }
        }
    }
    count
}
