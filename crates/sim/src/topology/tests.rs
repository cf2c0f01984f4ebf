//! Graphs against their definitions, and against published figures.

use gannet_base::seeded_rng;
use proptest::prelude::*;

use super::*;
use crate::{draw, stats};

#[track_caller]
fn graph(spec: &str) -> Graph {
    let graph = Graph::parse(spec, 1, None).unwrap_or_else(|error| panic!("{error}"));
    assert_simple(&graph);
    graph
}

/// The invariant of the module, spelt out.
#[track_caller]
fn assert_simple(graph: &Graph) {
    let mut ends = 0;
    for node in 0..graph.nodes() {
        let neighbours = graph.neighbours(node);
        assert!(neighbours.is_sorted_by(|a, b| a < b), "{node}");
        assert!(!neighbours.contains(&node), "{node}");
        for &other in neighbours {
            assert!(graph.neighbours(other).contains(&node), "{node} {other}");
        }
        ends += u64::from(graph.degree(node));
    }
    assert_eq!(ends, 2 * graph.edges());
    assert_eq!(graph.each_edge().count() as u64, graph.edges());
}

/// Nodes and edges.
#[track_caller]
fn check(spec: &str, nodes: u32, edges: u64) {
    let graph = graph(spec);
    assert_eq!((graph.nodes(), graph.edges()), (nodes, edges), "{spec}");
    assert!(graph.is_connected(), "{spec}");
    let topology: Topology = spec.parse().unwrap();
    assert_eq!(topology.to_string(), spec);
    assert_eq!(topology.nodes(), Some(nodes));
}

#[test]
fn the_graphs_of_theory_have_their_sizes() {
    check("torus:64x64", 4_096, 8_192);
    check("torus:3x5", 15, 30);
    // Short rings: two ways to the same neighbour are one edge, a ring of one
    // is none.
    check("torus:2x5", 10, 15);
    check("torus:2x2", 4, 4);
    check("torus:1x5", 5, 5);
    check("torus:1x2", 2, 1);
    check("grid:100x100", 10_000, 19_800);
    check("grid:1x4", 4, 3);
    check("hypercube:12", 4_096, 24_576);
    check("hypercube:1", 2, 1);
    check("regular:10,9", 10, 45);
}

#[test]
fn ids_are_row_times_columns_plus_column() {
    assert_eq!(graph("grid:3x4").neighbours(5), [1, 4, 6, 9]);
    assert_eq!(graph("grid:3x4").neighbours(0), [1, 4]);
    assert_eq!(graph("torus:3x4").neighbours(0), [1, 3, 4, 8]);
    assert_eq!(graph("hypercube:4").neighbours(5), [1, 4, 7, 13]);
}

#[test]
fn what_is_impossible_is_told_with_what_is_possible() {
    for (spec, words) in [
        ("", "torus:ROWSxCOLUMNS"),
        ("torus", "torus:ROWSxCOLUMNS"),
        ("ring:7", "hypercube:DIMENSIONS"),
        ("file:", "file:PATH"),
        ("torus:8", "64x64"),
        ("torus:8x", "64x64"),
        ("torus:0x8", "from 1"),
        ("grid:1x1", "1x2"),
        ("grid:65536x65536", "at most 16777216 nodes"),
        ("torus:99999999999x2", "64x64"),
        ("hypercube:0", "1 to 24"),
        ("hypercube:25", "1 to 24"),
        ("random:10", "random:10000,4"),
        ("random:1,1", "at least 2 nodes"),
        ("random:10,9.5", "at most 9"),
        ("random:10,0", "above 0"),
        ("random:10,NaN", "above 0"),
        ("random:99999999,4", "at most 16777216 nodes"),
        ("random:10000000,400", "edges"),
        ("regular:10,10", "from 1 to 9"),
        ("regular:10,0", "from 1 to 9"),
        ("regular:5,3", "must be even"),
        ("powerlaw:100,1.5", "2.25 is the same as 0.8"),
        ("powerlaw:100,0", "2.25 is the same as 0.8"),
        ("powerlaw:100,inf", "2.25 is the same as 0.8"),
    ] {
        let error = Graph::parse(spec, 1, None).expect_err(spec).to_string();
        let start = format!("--graph {spec} is impossible: ");
        assert!(error.starts_with(&start), "{error}");
        assert!(error.contains(words), "{words}: {error}");
    }
}

#[test]
fn an_edge_list_keeps_its_ids() {
    let text = "# a comment\n10 20\n20 30 # another\n\n30 10\n20\t10\n7 7\n";
    let graph = Graph::parse("file:some.txt", 1, Some(text)).unwrap();
    assert_simple(&graph);
    assert_eq!((graph.nodes(), graph.edges()), (4, 3));
    assert_eq!(graph.node_of_id(20), Some(2));
    assert_eq!(graph.node_of_id(2), None);
    assert_eq!(graph.id_range(), Some((7, 30)));
    assert_eq!(graph.neighbours(2), [1, 3]);
    let plain = Graph::parse("file:some.txt", 1, Some("0 1\n1 2")).unwrap();
    assert_eq!(plain.node_of_id(2), Some(2));
    assert_eq!(plain.node_of_id(3), None);
    assert_eq!(plain.id_range(), Some((0, 2)));
}

#[test]
fn a_bad_edge_list_names_the_line() {
    for (text, words) in [
        ("0 1\n\n1 x\n", "line 3: a node id is a whole number"),
        ("0 1\n1\n", "line 2 is not \"u v\""),
        ("0 1 2\n", "line 1 is not \"u v\""),
        ("0 -1\n", "line 1: a node id"),
        ("# nothing\n", "no edge"),
    ] {
        let error = Graph::parse("file:e", 1, Some(text)).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert!(error.to_string().starts_with("--graph file:e "), "{error}");
    }
}

#[test]
fn random_graphs_have_their_edges_and_degrees() {
    for (spec, nodes, edges) in [
        ("random:1000,5", 1_000, 2_500),
        ("random:9,8", 9, 36),
        ("random:50,40", 50, 1_000),
        ("random:2,1", 2, 1),
    ] {
        let graph = graph(spec);
        assert_eq!((graph.nodes(), graph.edges()), (nodes, edges), "{spec}");
    }
    for (nodes, degree) in [
        (2, 1),
        (4, 3),
        (6, 2),
        (9, 4),
        (12, 6),
        (12, 11),
        (2_000, 8),
    ] {
        for seed in 0..20 {
            let spec = format!("regular:{nodes},{degree}");
            let graph = Graph::parse(&spec, seed, None).unwrap();
            assert_simple(&graph);
            let all = graph.degrees();
            assert_eq!((all.min, all.max), (degree, degree), "{spec} {seed}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_graph() {
    for spec in ["random:500,4", "regular:500,4", "powerlaw:500,0.8"] {
        let build = |seed| Graph::parse(spec, seed, None).unwrap();
        assert_eq!(build(3), build(3), "{spec}");
        assert_ne!(build(3), build(4), "{spec}");
    }
}

/// Every cubic graph on 6 nodes is one of two up to names: the prism, of which
/// there are 60, and K(3,3), of which there are 10.
#[test]
fn regular_graphs_are_not_of_one_kind() {
    let triangles = |graph: &Graph| {
        graph
            .each_edge()
            .filter(|(a, b)| {
                (0..6).any(|c| [a, b].iter().all(|n| graph.neighbours(**n).contains(&c)))
            })
            .count()
    };
    let runs: u64 = 3_000;
    let bipartite = (0..runs)
        .filter(|seed| triangles(&Graph::parse("regular:6,3", *seed, None).unwrap()) == 0)
        .count() as u64;
    // One in seven, and six times the standard deviation of 0.0064.
    let share = stats::share(bipartite, runs);
    assert!((share - 1.0 / 7.0).abs() < 0.039, "{share}");
}

#[test]
fn an_exponent_of_frequency_is_one_of_rank() {
    let (rank, frequency) = (graph("powerlaw:3000,0.8"), graph("powerlaw:3000,2.25"));
    assert_eq!(rank, frequency);
}

/// Lv et al., table 1, as regenerated: nodes and links of the giant component.
#[test]
fn lv_et_al_topologies() {
    let random = graph("random:10000,4").giant();
    assert_simple(&random);
    assert!(random.is_connected());
    let degrees = random.degrees();
    assert!(random.nodes().abs_diff(9_801) < 60, "{}", random.nodes());
    assert!(random.edges().abs_diff(19_991) < 15, "{}", random.edges());
    assert!((degrees.mean - 4.08).abs() < 0.04, "{degrees:?}");
    assert!((degrees.deviation - 1.97).abs() < 0.05, "{degrees:?}");
    assert_eq!(degrees.median, 4, "{degrees:?}");

    assert_eq!(random::power_law_degrees(10_000, 0.8)[0], 1_746);
    let power_law = graph("powerlaw:10000,0.8").giant();
    assert!(
        power_law.nodes().abs_diff(9_287) < 100,
        "{}",
        power_law.nodes()
    );
    assert!(
        power_law.edges().abs_diff(19_539) < 400,
        "{}",
        power_law.edges()
    );
    let degrees = power_law.degrees();
    // Half of the nodes have one neighbour, give or take.
    assert!(degrees.median <= 2, "{degrees:?}");
    assert!((degrees.mean / 4.208 - 1.0).abs() < 0.04, "{degrees:?}");
    // Simple graphs top out near 1140.
    assert!(degrees.max.abs_diff(1_140) < 100, "{degrees:?}");
    assert_eq!(graph("grid:100x100").degrees().mean, 3.96);
}

/// Reach, messages a node and the share of duplicates by TTL, mean over
/// sources, on the same topologies: within 8 per cent of the reference.
#[test]
fn lv_et_al_floods() {
    const RANDOM: [(u32, f64, f64, f64); 4] = [
        (5, 0.128, 0.139, 0.077),
        (6, 0.382, 0.502, 0.24),
        (7, 0.745, 1.43, 0.48),
        (8, 0.944, 2.55, 0.63),
    ];
    const POWER_LAW: [(u32, f64, f64, f64); 4] = [
        (3, 0.359, 0.783, 0.54),
        (4, 0.783, 2.35, 0.67),
        (5, 0.953, 3.05, 0.69),
        (7, 0.999, 3.21, 0.69),
    ];
    for (spec, table) in [
        ("random:10000,4", RANDOM),
        ("powerlaw:10000,0.8", POWER_LAW),
    ] {
        let graph = graph(spec).giant();
        for (ttl, reach, messages, duplicates) in table {
            let found = mean_flood(&graph, ttl, 400);
            for (found, wanted) in found.into_iter().zip([reach, messages, duplicates]) {
                let off = (found / wanted - 1.0).abs();
                assert!(off < 0.08, "{spec} TTL {ttl}: {found}, not {wanted}");
            }
        }
    }
}

/// Reach and messages as shares of the nodes, duplicates as a share of the
/// messages; mean over so many random sources.
fn mean_flood(graph: &Graph, ttl: u32, sources: u32) -> [f64; 3] {
    let mut rng = seeded_rng(7);
    let mut sum = FloodCount::default();
    for _ in 0..sources {
        let source = draw::below(&mut rng, u64::from(graph.nodes()));
        let count = flood_reference(graph, u32::try_from(source).unwrap(), ttl);
        sum.reach += count.reach;
        sum.messages += count.messages;
        sum.duplicates += count.duplicates;
    }
    let nodes = u64::from(sources) * u64::from(graph.nodes());
    [
        stats::share(sum.reach, nodes),
        stats::share(sum.messages, nodes),
        stats::share(sum.duplicates, sum.messages),
    ]
}

/// Closed forms: torus, hypercube, whole flood.
#[test]
fn the_reference_flood_agrees_with_theory() {
    let torus = graph("torus:16x16");
    for t in 1..8 {
        let count = flood_reference(&torus, 17, t);
        let t = u64::from(t);
        let expected = FloodCount {
            reach: 2 * t * (t + 1),
            messages: 4 + 6 * t * (t - 1),
            duplicates: 4 * (t - 1) * (t - 1),
        };
        assert_eq!(count, expected, "{t}");
    }
    let cube = graph("hypercube:12");
    let count = flood_reference(&cube, 4_095, 2);
    assert_eq!(
        (count.reach, count.messages, count.duplicates),
        (78, 144, 66)
    );
    let random = graph("random:2000,6").giant();
    let (nodes, edges) = (u64::from(random.nodes()), random.edges());
    let whole = flood_reference(&random, 0, 255);
    let expected = FloodCount {
        reach: nodes - 1,
        messages: 2 * edges - (nodes - 1),
        duplicates: 2 * edges - 2 * (nodes - 1),
    };
    assert_eq!(whole, expected);
    assert_eq!(flood_reference(&torus, 0, 0), FloodCount::default());
}

proptest! {
    /// Against a matrix of who is linked to whom.
    #[test]
    fn a_graph_has_exactly_its_edges(
        edges in prop::collection::vec((0_u32..12, 0_u32..12), 0..60),
    ) {
        let graph = Graph::from_edges(12, &edges);
        assert_simple(&graph);
        for a in 0..12 {
            for b in 0..12 {
                let linked = a != b && (edges.contains(&(a, b)) || edges.contains(&(b, a)));
                prop_assert_eq!(graph.neighbours(a).contains(&b), linked);
            }
        }
    }

    /// Against spreading labels until nothing changes.
    #[test]
    fn components_are_what_is_connected(
        edges in prop::collection::vec((0_u32..20, 0_u32..20), 0..20),
    ) {
        let graph = Graph::from_edges(20, &edges);
        let mut label: Vec<usize> = (0..20).collect();
        for _ in 0..20 {
            for (a, b) in &edges {
                let (a, b) = (*a as usize, *b as usize);
                let least = label[a].min(label[b]);
                (label[a], label[b]) = (least, least);
            }
        }
        let components = graph.components();
        for a in 0..20 {
            let size = label.iter().filter(|other| **other == label[a]).count();
            prop_assert_eq!(components.sizes[components.of[a] as usize] as usize, size);
            for b in 0..20 {
                prop_assert_eq!(components.of[a] == components.of[b], label[a] == label[b]);
            }
        }
        let giant = graph.giant();
        assert_simple(&giant);
        prop_assert!(giant.is_connected());
        prop_assert_eq!(Some(&giant.nodes()), components.sizes.iter().max());
    }

    #[test]
    fn no_spec_panics(spec in "(torus|grid|hypercube|random|regular|powerlaw|file):[0-9x,.eE+-]{0,8}|\\PC{0,20}") {
        // Not built: some of them are large.
        let _ = spec.parse::<Topology>();
    }

    #[test]
    fn no_edge_list_panics(text in "[0-9 #\n\tx]{0,60}|\\PC{0,40}") {
        if let Ok(graph) = Graph::parse("file:x", 1, Some(&text)) {
            assert_simple(&graph);
        }
    }
}
