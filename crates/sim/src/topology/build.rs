//! The graphs that theory speaks of, and edge lists.

use super::graph::offset;
use super::{EDGES_MAX, Graph, NODES_MAX};

/// The torus (`wrap`) or grid of these many rows and columns, both at least 1;
/// node ids are row * columns + column.
pub(super) fn lattice(rows: u32, columns: u32, wrap: bool) -> Graph {
    Graph::from_neighbours(rows * columns, |node, out| {
        let (row, column) = (node / columns, node % columns);
        let mut link = |row: u32, column: u32| out.push(row * columns + column);
        if wrap {
            link((row + 1) % rows, column);
            link((row + rows - 1) % rows, column);
            link(row, (column + 1) % columns);
            link(row, (column + columns - 1) % columns);
            return;
        }
        if row > 0 {
            link(row - 1, column);
        }
        if row + 1 < rows {
            link(row + 1, column);
        }
        if column > 0 {
            link(row, column - 1);
        }
        if column + 1 < columns {
            link(row, column + 1);
        }
    })
}

/// The hypercube: two nodes are linked if their numbers differ in one bit.
pub(super) fn hypercube(dimensions: u32) -> Graph {
    Graph::from_neighbours(1 << dimensions, |node, out| {
        out.extend((0..dimensions).map(|bit| node ^ (1 << bit)));
    })
}

/// The graph of an edge list: lines of `u v`, `#` begins a comment. Edges go
/// both ways; loops and repetitions are left out. Nodes are the ids that occur,
/// ascending.
///
/// # Errors
///
/// What is wrong and in which line.
pub(super) fn edge_list(text: &str) -> Result<Graph, String> {
    let mut edges = Vec::new();
    let mut ids = Vec::new();
    for (line, number) in text.lines().zip(1_u64..) {
        let content = line.split('#').next().unwrap_or_default();
        let mut words = content.split_whitespace();
        let (a, b) = match (words.next(), words.next(), words.next()) {
            (None, ..) => continue,
            (Some(a), Some(b), None) => (a, b),
            _ => return Err(format!("line {number} is not \"u v\": two node ids")),
        };
        let id = |word: &str| {
            word.parse::<u32>().map_err(|_| {
                format!(
                    "line {number}: a node id is a whole number below 2^32, not \"{}\"",
                    word.escape_debug()
                )
            })
        };
        let (a, b) = (id(a)?, id(b)?);
        edges.push((a, b));
        ids.extend([a, b]);
        if edges.len() as u64 > EDGES_MAX {
            return Err(format!("line {number}: at most {EDGES_MAX} edges fit"));
        }
    }
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return Err("there is no edge in it".to_owned());
    }
    if ids.len() as u64 > u64::from(NODES_MAX) {
        return Err(format!("at most {NODES_MAX} nodes fit"));
    }
    let node = |id: u32| {
        let place = ids.binary_search(&id).expect("the ids of all edges");
        offset(place)
    };
    for (a, b) in &mut edges {
        (*a, *b) = (node(*a), node(*b));
    }
    Ok(Graph::from_edges(offset(ids.len()), &edges).with_ids(ids))
}
