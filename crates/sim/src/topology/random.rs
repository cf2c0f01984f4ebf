//! Random graphs: with a number of edges, with equal degrees, with a few very
//! high degrees.

use std::collections::BTreeSet;

use gannet_base::Rng;

use super::Graph;
use super::graph::index;
use crate::draw;

/// G(N, M): `edges` different edges, every such set equally likely. `edges` is
/// at most the number of pairs.
pub(super) fn with_edges(nodes: u32, edges: u64, rng: &mut Rng) -> Graph {
    let pairs = pairs(nodes);
    // Drawing until all are different is quick while most pairs are free.
    let codes = if edges.saturating_mul(4) > pairs {
        select(pairs, edges, rng)
    } else {
        distinct(pairs, edges, rng)
    };
    let edges: Vec<(u32, u32)> = codes.into_iter().map(pair).collect();
    Graph::from_edges(nodes, &edges)
}

/// How many pairs of different nodes there are.
pub(super) fn pairs(nodes: u32) -> u64 {
    u64::from(nodes) * u64::from(nodes.saturating_sub(1)) / 2
}

/// The pair with this number, in the order (0,1), (0,2), (1,2), (0,3), ….
fn pair(code: u64) -> (u32, u32) {
    // The larger node b is the largest with b(b-1)/2 <= code.
    let doubled = code.saturating_mul(8).saturating_add(1);
    let mut larger = u64::midpoint(doubled.isqrt(), 1);
    while larger * larger.saturating_sub(1) / 2 > code {
        larger -= 1;
    }
    while (larger + 1) * larger / 2 <= code {
        larger += 1;
    }
    let smaller = code - larger * (larger - 1) / 2;
    let node = |number| u32::try_from(number).expect("NODES_MAX keeps it small");
    (node(smaller), node(larger))
}

/// `count` different numbers below `bound`, ascending: as many as are missing
/// are drawn until none is.
fn distinct(bound: u64, count: u64, rng: &mut Rng) -> Vec<u64> {
    let count = usize::try_from(count).expect("EDGES_MAX keeps it small");
    let mut numbers = Vec::with_capacity(count);
    while numbers.len() < count {
        let missing = count - numbers.len();
        numbers.extend((0..missing).map(|_| draw::below(rng, bound)));
        numbers.sort_unstable();
        numbers.dedup();
    }
    numbers
}

/// `count` different numbers below `bound`, ascending, looking at each number
/// once: Knuth's algorithm S.
fn select(bound: u64, count: u64, rng: &mut Rng) -> Vec<u64> {
    let mut numbers = Vec::new();
    let mut wanted = count;
    for number in 0..bound {
        if wanted == 0 {
            break;
        }
        if draw::below(rng, bound - number) < wanted {
            numbers.push(number);
            wanted -= 1;
        }
    }
    numbers
}

/// A graph in which every node has `degree` neighbours; `nodes * degree` is
/// even and `degree < nodes`. The configuration model: ends of edges are
/// matched at random, then loops and repeated edges are resolved by exchanging
/// ends with random other edges, which leaves every degree as it is.
pub(super) fn regular(nodes: u32, degree: u32, rng: &mut Rng) -> Graph {
    if degree > (nodes - 1) / 2 {
        // A dense one is what a sparse one leaves free.
        let sparse = regular(nodes, nodes - 1 - degree, rng);
        return Graph::from_neighbours(nodes, |node, out| {
            let taken = sparse.neighbours(node);
            out.extend((0..nodes).filter(|other| taken.binary_search(other).is_err()));
        });
    }
    let degrees = vec![degree; index(nodes)];
    // Drawing anew until there is nothing to resolve makes all graphs equally
    // likely; it is affordable while the graph is small.
    let mut anew = if nodes.saturating_mul(degree) <= 1_000 {
        100
    } else {
        0
    };
    loop {
        let mut edges = matched(&degrees, rng);
        if anew > 0 {
            anew -= 1;
            let graph = Graph::from_edges(nodes, &edges);
            if graph.edges() == edges.len() as u64 {
                return graph;
            }
        } else if resolve(&mut edges, rng) {
            return Graph::from_edges(nodes, &edges);
        }
    }
}

/// The power-law random graph: these degrees as far as a random matching
/// without loops and repeated edges gives them.
pub(super) fn with_degrees(degrees: &[u32], rng: &mut Rng) -> Graph {
    let edges = matched(degrees, rng);
    let nodes = u32::try_from(degrees.len()).expect("NODES_MAX keeps it small");
    Graph::from_edges(nodes, &edges)
}

/// A random matching of as many ends of edges a node as its degree says; an
/// odd one is left over.
fn matched(degrees: &[u32], rng: &mut Rng) -> Vec<(u32, u32)> {
    let mut ends = Vec::new();
    for (degree, node) in degrees.iter().zip(0_u32..) {
        ends.extend((0..*degree).map(|_| node));
    }
    draw::shuffle(rng, &mut ends);
    ends.chunks_exact(2).map(|two| (two[0], two[1])).collect()
}

/// Resolves loops and repetitions by exchanging ends with random edges. False
/// if it gets stuck, which only very small and dense lists do.
fn resolve(edges: &mut [(u32, u32)], rng: &mut Rng) -> bool {
    let key = |a: u32, b: u32| (a.min(b), a.max(b));
    let numbered = edges.iter().zip(0_u32..);
    let mut sorted: Vec<((u32, u32), u32)> =
        numbered.map(|((a, b), at)| (key(*a, *b), at)).collect();
    sorted.sort_unstable();
    let same = |two: &[((u32, u32), u32)]| two[0].0 == two[1].0;
    let repeated = sorted
        .windows(2)
        .filter(|two| same(two))
        .map(|two| two[1].1);
    let loops = sorted.iter().filter(|(edge, _)| edge.0 == edge.1);
    let mut bad: BTreeSet<u32> = repeated.chain(loops.map(|(_, at)| *at)).collect();
    let known: Vec<(u32, u32)> = sorted.into_iter().map(|(edge, _)| edge).collect();
    // How the set of edges differs from `known` by now.
    let mut added: BTreeSet<(u32, u32)> = BTreeSet::new();
    let mut removed: BTreeSet<(u32, u32)> = BTreeSet::new();
    let mut tries = 1_000 + 100 * edges.len();
    while let Some(&at) = bad.first() {
        tries -= 1;
        if tries == 0 {
            return false;
        }
        let partner = draw::place(rng, edges.len());
        let number = u32::try_from(partner).expect("EDGES_MAX keeps it small");
        if bad.contains(&number) {
            continue;
        }
        let ((a, b), (c, d)) = (edges[index(at)], edges[partner]);
        let (one, two) = (key(a, c), key(b, d));
        let there = |edge: &(u32, u32)| {
            let known = known.binary_search(edge).is_ok() && !removed.contains(edge);
            known || added.contains(edge)
        };
        if one.0 == one.1 || two.0 == two.1 || one == two || there(&one) || there(&two) {
            continue;
        }
        // The partner's edge is gone; the bad one either remains once more, as
        // a repetition, or was a loop, which nothing is compared with.
        let old = key(c, d);
        if !added.remove(&old) {
            removed.insert(old);
        }
        for new in [one, two] {
            if !removed.remove(&new) {
                added.insert(new);
            }
        }
        (edges[index(at)], edges[partner]) = ((a, c), (b, d));
        bad.remove(&at);
    }
    true
}

/// The degrees of the power-law random graph: that of the i-th node (from 1)
/// is `floor(LEAD * (nodes / i)^exponent)`, at least 1 and less than `nodes`.
pub(super) fn power_law_degrees(nodes: u32, exponent: f64) -> Vec<u32> {
    let most = nodes.saturating_sub(1).max(1);
    (1..=nodes)
        .map(|rank| {
            let relative = f64::from(nodes) / f64::from(rank);
            let degree = (LEAD * relative.powf(exponent)).floor();
            u32::try_from(draw::whole(degree)).map_or(most, |degree| degree.clamp(1, most))
        })
        .collect()
}

/// Makes the first of 10,000 nodes with exponent 0.8 have 1746 ends.
// Source: Lv, Cao, Cohen, Li, Shenker, ICS'02, table 1: PLRG, maximum degree.
const LEAD: f64 = 1746.5 / 1_584.893_192_461_113;
