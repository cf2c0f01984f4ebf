//! A graph in compact form, and what can be measured on it.

use serde::Serialize;

/// An undirected simple graph: all neighbours in one list, node after node,
/// each node's in ascending order. Takes 4 bytes a node and 8 an edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    /// Where each node's neighbours begin; one more at the end.
    offsets: Vec<u32>,
    neighbours: Vec<u32>,
    /// The ids that an edge list gave its nodes, ascending; empty if they are
    /// the nodes' numbers.
    ids: Vec<u32>,
}

/// The connected components of a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Components {
    /// Each node's component; components are numbered by their smallest node.
    pub of: Vec<u32>,
    /// Each component's number of nodes.
    pub sizes: Vec<u32>,
}

/// How many neighbours the nodes of a graph have.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct DegreeStats {
    /// The fewest; 0 in an empty graph, as all of these.
    pub min: u32,
    /// The median, nearest rank.
    pub median: u32,
    /// The mean.
    pub mean: f64,
    /// The standard deviation over all nodes.
    pub deviation: f64,
    /// The most.
    pub max: u32,
}

impl Graph {
    /// The graph of `nodes` nodes with these edges. Loops are left out, an edge
    /// that is there twice, in either direction, counts once. O(nodes + edges)
    /// but for sorting each node's neighbours.
    ///
    /// # Panics
    ///
    /// If an edge names a node that there is not, or if there are more edges
    /// than [`EDGES_MAX`](super::EDGES_MAX).
    pub fn from_edges(nodes: u32, edges: &[(u32, u32)]) -> Self {
        let mut counts = vec![0_u32; index(nodes) + 1];
        for &(a, b) in edges.iter().filter(|(a, b)| a != b) {
            assert!(a < nodes && b < nodes, "{a} {b}: there are {nodes} nodes");
            counts[index(a) + 1] += 1;
            counts[index(b) + 1] += 1;
        }
        let total = counts.iter().map(|count| u64::from(*count)).sum::<u64>();
        assert!(total <= 2 * super::EDGES_MAX, "{total} ends of edges");
        for node in 1..counts.len() {
            counts[node] += counts[node - 1];
        }
        let mut neighbours = vec![0; counts.last().map_or(0, |end| index(*end))];
        let mut next = counts.clone();
        for &(a, b) in edges.iter().filter(|(a, b)| a != b) {
            for (from, to) in [(a, b), (b, a)] {
                let at = &mut next[index(from)];
                neighbours[index(*at)] = to;
                *at += 1;
            }
        }
        Self::tidied(counts, neighbours)
    }

    /// The graph whose neighbours `of` lists for each node into its second
    /// argument: symmetric, in any order, perhaps with the node itself or with
    /// repetitions, which are left out.
    pub(super) fn from_neighbours(nodes: u32, mut of: impl FnMut(u32, &mut Vec<u32>)) -> Self {
        let mut offsets = Vec::with_capacity(index(nodes) + 1);
        let mut neighbours = Vec::new();
        let mut some = Vec::new();
        offsets.push(0);
        for node in 0..nodes {
            some.clear();
            of(node, &mut some);
            some.sort_unstable();
            some.dedup();
            neighbours.extend(some.iter().copied().filter(|other| *other != node));
            offsets.push(offset(neighbours.len()));
        }
        Self {
            offsets,
            neighbours,
            ids: Vec::new(),
        }
    }

    /// Sorts each node's neighbours and leaves out repetitions.
    fn tidied(mut offsets: Vec<u32>, mut neighbours: Vec<u32>) -> Self {
        let mut kept = 0;
        let mut start = 0;
        for stop in offsets.iter_mut().skip(1) {
            let end = index(*stop);
            neighbours[start..end].sort_unstable();
            let first = kept;
            for at in start..end {
                let other = neighbours[at];
                if kept == first || neighbours[kept - 1] != other {
                    neighbours[kept] = other;
                    kept += 1;
                }
            }
            start = end;
            *stop = offset(kept);
        }
        neighbours.truncate(kept);
        Self {
            offsets,
            neighbours,
            ids: Vec::new(),
        }
    }

    /// The same graph whose nodes are called by these ids, one a node,
    /// ascending.
    pub(super) fn with_ids(mut self, ids: Vec<u32>) -> Self {
        let plain = ids.iter().zip(0..).all(|(id, node)| *id == node);
        self.ids = if plain { Vec::new() } else { ids };
        self
    }

    /// How many nodes there are; they are numbered from 0.
    pub fn nodes(&self) -> u32 {
        offset(self.offsets.len() - 1)
    }

    /// How many edges there are.
    pub fn edges(&self) -> u64 {
        u64::from(offset(self.neighbours.len())) / 2
    }

    /// The neighbours of a node, ascending.
    ///
    /// # Panics
    ///
    /// If there is no such node.
    pub fn neighbours(&self, node: u32) -> &[u32] {
        let node = index(node);
        &self.neighbours[index(self.offsets[node])..index(self.offsets[node + 1])]
    }

    /// How many neighbours a node has.
    ///
    /// # Panics
    ///
    /// If there is no such node.
    pub fn degree(&self, node: u32) -> u32 {
        offset(self.neighbours(node).len())
    }

    /// Every edge once, the smaller node first, in ascending order.
    pub fn each_edge(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        (0..self.nodes()).flat_map(move |a| {
            let larger = self.neighbours(a).iter().filter(move |b| **b > a);
            larger.map(move |b| (a, *b))
        })
    }

    /// The node that an edge list calls by this id; elsewhere ids are the
    /// nodes' numbers. `None` if there is no such node.
    pub fn node_of_id(&self, id: u32) -> Option<u32> {
        if self.ids.is_empty() {
            return (id < self.nodes()).then_some(id);
        }
        self.ids.binary_search(&id).ok().map(offset)
    }

    /// The smallest and the largest id of a node; `None` if there is no node.
    pub fn id_range(&self) -> Option<(u32, u32)> {
        match (self.ids.first(), self.ids.last()) {
            (Some(first), Some(last)) => Some((*first, *last)),
            _ => self.nodes().checked_sub(1).map(|last| (0, last)),
        }
    }

    /// The connected components. O(nodes + edges).
    pub fn components(&self) -> Components {
        let mut of = vec![u32::MAX; index(self.nodes())];
        let mut sizes = Vec::new();
        let mut open = Vec::new();
        for first in 0..self.nodes() {
            if of[index(first)] != u32::MAX {
                continue;
            }
            let component = offset(sizes.len());
            let mut size = 0;
            of[index(first)] = component;
            open.push(first);
            while let Some(node) = open.pop() {
                size += 1;
                for &other in self.neighbours(node) {
                    if of[index(other)] == u32::MAX {
                        of[index(other)] = component;
                        open.push(other);
                    }
                }
            }
            sizes.push(size);
        }
        Components { of, sizes }
    }

    /// Whether every node can reach every other.
    pub fn is_connected(&self) -> bool {
        self.components().sizes.len() <= 1
    }

    /// The largest component alone (of equals the one with the smallest node),
    /// its nodes numbered anew in the same order.
    #[must_use]
    pub fn giant(&self) -> Self {
        let components = self.components();
        let Some(largest) = components.largest() else {
            return self.clone();
        };
        let inside: Vec<u32> = (0..self.nodes())
            .filter(|node| components.of[index(*node)] == largest)
            .collect();
        let mut number = vec![u32::MAX; index(self.nodes())];
        for (node, new) in inside.iter().zip(0..) {
            number[index(*node)] = new;
        }
        Self::from_neighbours(offset(inside.len()), |node, out| {
            let old = self.neighbours(inside[index(node)]);
            out.extend(old.iter().map(|other| number[index(*other)]));
        })
    }

    /// How many neighbours the nodes have. O(nodes log nodes).
    pub fn degrees(&self) -> DegreeStats {
        let mut degrees: Vec<u32> = (0..self.nodes()).map(|node| self.degree(node)).collect();
        degrees.sort_unstable();
        let count = f64::from(self.nodes()).max(1.0);
        let mean = degrees.iter().map(|d| f64::from(*d)).sum::<f64>() / count;
        let square = |d: &u32| (f64::from(*d) - mean).powi(2);
        let variance = degrees.iter().map(square).sum::<f64>() / count;
        DegreeStats {
            min: degrees.first().copied().unwrap_or(0),
            median: crate::stats::percentile(&degrees, 50.0).unwrap_or(0),
            mean,
            deviation: variance.sqrt(),
            max: degrees.last().copied().unwrap_or(0),
        }
    }
}

impl Components {
    /// The number of the largest component, of equals the first; `None` if
    /// there is no node.
    pub fn largest(&self) -> Option<u32> {
        let sizes = self.sizes.iter().zip(0..);
        sizes
            .max_by_key(|(size, number)| (**size, u32::MAX - number))
            .map(|(_, number)| number)
    }
}

/// A node's number as a place in a list.
pub(super) fn index(number: u32) -> usize {
    usize::try_from(number).expect("a usize has at least 32 bits here")
}

/// A place in a list as a number.
pub(super) fn offset(place: usize) -> u32 {
    u32::try_from(place).expect("EDGES_MAX keeps the list shorter")
}
