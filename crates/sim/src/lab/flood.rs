//! One flood over a given graph, through the flood core itself.
//!
//! Neighbours are fixed, there is no maintenance, no reports are asked for and
//! no routing tables are kept: what is left is plain flooding, whose reach and
//! cost are known for many graphs.

use std::sync::Arc;
use std::time::Duration;

use gannet_base::{Query, Timestamp, fork_rng, seeded_rng};
use gannet_overlay::flood::{
    Config, Flood, FloodCommand, FloodEvent, FloodMessage, Strategy, Wanted,
};
use serde::Serialize;

use super::{EventHash, flood_wire};
use crate::topology::Graph;
use crate::{App, Impossible, Latency, LinkModel, Mode, World, peer_id, stats};

/// A flood.
#[derive(Debug, Clone)]
pub struct Params {
    /// Who is whose neighbour.
    pub graph: Graph,
    /// The id, as in the graph's file or formula, of the node that asks.
    pub source: u32,
    /// Hops that the question may go: 1 to 255.
    pub ttl: u32,
    /// How long links take.
    pub latency: Latency,
    /// Whether nodes pass on a later copy that may go further, which repairs
    /// what unequal latencies do; classic Gnutella does not.
    pub revisit: bool,
    /// Of the latencies.
    pub seed: u64,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Nodes of the graph.
    pub nodes: u32,
    /// Its edges.
    pub edges: u64,
    /// Nodes that heard the question, without the one that asked.
    pub reach: u64,
    /// The same as a share of all other nodes.
    pub reach_share: f64,
    /// Copies of the question sent.
    pub messages: u64,
    /// Copies that came to a node that had it already.
    pub duplicates: u64,
    /// The same as a share of the copies.
    pub duplicate_share: f64,
    /// Copies for each node of the graph.
    pub messages_per_node: f64,
    /// Hops to the farthest node that heard it, along the way by which it first
    /// came.
    pub max_hops: u32,
    /// How many nodes first heard it after 1 hop, 2, and so on.
    pub reach_by_hop: Vec<u64>,
    /// Virtual time until the last copy had arrived, seconds.
    pub seconds: f64,
    /// Things that happened.
    pub events: u64,
    /// The hash over them.
    pub event_hash: EventHash,
}

/// Floods.
///
/// # Errors
///
/// If the TTL is none, or there is no such node.
pub fn run(params: &Params) -> Result<Report, Impossible> {
    let ttl = u8::try_from(params.ttl)
        .ok()
        .filter(|ttl| *ttl > 0)
        .ok_or_else(|| Impossible::new("--ttl", params.ttl, "a TTL is from 1 to 255"))?;
    let graph = &params.graph;
    let source = graph.node_of_id(params.source).ok_or_else(|| {
        let possible = graph.id_range().map_or_else(
            || "this graph has no nodes".to_owned(),
            |(low, high)| format!("this graph has nodes from {low} to {high}"),
        );
        Impossible::new("--source", params.source, possible)
    })?;
    let mut world = world(params);
    world.app_mut().heard[usize::try_from(source).expect("a node")] = true;
    let command = FloodCommand::Search {
        id: 0,
        wanted: Wanted::Words(Query::new("anything").expect("a word")),
        enough: u32::MAX,
        strategy: Some(Strategy::Flood { ttl }),
    };
    world.command(source, command);
    // Longer than any link; nothing else happens in this world.
    let limit = Timestamp::from_secs(1_000_000);
    world.run_while(limit, |counter| !counter.ended);
    world.run_until(world.now() + Duration::from_secs(3_600));
    Ok(report(graph, &world))
}

fn world(params: &Params) -> World<Flood, Counter> {
    let graph = &params.graph;
    let config = Arc::new(Config {
        ttl_max: u8::MAX,
        tables: false,
        reports: false,
        revisit: params.revisit,
        ..Config::laboratory()
    });
    let model = LinkModel::new(Mode::Open, params.latency.clone());
    let counter = Counter {
        heard: vec![false; usize::try_from(graph.nodes()).expect("they are in a list")],
        ..Counter::default()
    };
    let mut world = World::new(params.seed, model, counter);
    let mut rng = seeded_rng(params.seed);
    for node in 0..graph.nodes() {
        world.add(Flood::new(
            peer_id(node),
            Arc::clone(&config),
            fork_rng(&mut rng),
        ));
    }
    for node in 0..graph.nodes() {
        let neighbours = graph.neighbours(node).iter().copied().map(peer_id);
        world.command(node, FloodCommand::Fixed(neighbours.collect()));
    }
    world
}

/// Watches the flood.
#[derive(Debug, Default)]
struct Counter {
    /// Which nodes a question has come to.
    heard: Vec<bool>,
    messages: u64,
    /// Questions that cores took as new.
    asked: u64,
    by_hop: Vec<u64>,
    last: Timestamp,
    ended: bool,
}

impl App<Flood> for Counter {
    fn on_event(&mut self, _: Timestamp, _: u32, event: FloodEvent, _: &mut Vec<FloodCommand>) {
        match event {
            FloodEvent::Asked { .. } => self.asked += 1,
            FloodEvent::Ended { .. } => self.ended = true,
            _ => {}
        }
    }

    fn size(&self, message: &FloodMessage) -> u32 {
        flood_wire::size(message)
    }

    fn kind(&self, message: &FloodMessage) -> u8 {
        flood_wire::kind(message)
    }

    fn on_message(&mut self, now: Timestamp, _: u32, to: u32, message: &FloodMessage) {
        let FloodMessage::Ask(ask) = message else {
            return;
        };
        self.messages += 1;
        self.last = now;
        let heard = &mut self.heard[usize::try_from(to).expect("a node")];
        if !std::mem::replace(heard, true) {
            let hop = usize::from(ask.hops);
            if self.by_hop.len() <= hop {
                self.by_hop.resize(hop + 1, 0);
            }
            self.by_hop[hop] += 1;
        }
    }
}

fn report(graph: &Graph, world: &World<Flood, Counter>) -> Report {
    let counter = world.app();
    let (reach, messages) = (counter.asked, counter.messages);
    let duplicates = messages - reach;
    let others = u64::from(graph.nodes().saturating_sub(1));
    Report {
        nodes: graph.nodes(),
        edges: graph.edges(),
        reach,
        reach_share: stats::share(reach, others),
        messages,
        duplicates,
        duplicate_share: stats::share(duplicates, messages),
        messages_per_node: stats::share(messages, u64::from(graph.nodes())),
        max_hops: u32::try_from(counter.by_hop.len()).expect("at most 255"),
        reach_by_hop: counter.by_hop.clone(),
        seconds: (counter.last - Timestamp::ZERO).as_secs_f64(),
        events: world.stats().events,
        event_hash: EventHash(world.fingerprint()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::soundness::check_repeats;
    use super::*;
    use crate::topology::{FloodCount, Topology, flood_reference};

    const EQUAL: Latency = Latency::Equal(Duration::from_millis(100));
    const EXPONENTIAL: Latency = Latency::Exponential(Duration::from_millis(100));

    fn graph(text: &str) -> Graph {
        let topology: Topology = text.parse().unwrap();
        topology.build(1, None).unwrap()
    }

    fn flood(graph: &Graph, source: u32, ttl: u32, latency: Latency, revisit: bool) -> Report {
        let params = Params {
            graph: graph.clone(),
            source,
            ttl,
            latency,
            revisit,
            seed: 1,
        };
        run(&params).unwrap()
    }

    /// With equal latencies both rules of forwarding are breadth first.
    #[track_caller]
    fn check(graph: &Graph, source: u32, ttl: u32, expected: FloodCount) {
        for revisit in [false, true] {
            let report = flood(graph, source, ttl, EQUAL, revisit);
            let found = FloodCount {
                reach: report.reach,
                messages: report.messages,
                duplicates: report.duplicates,
            };
            assert_eq!(found, expected, "source {source}, TTL {ttl}");
            assert_eq!(report.reach_by_hop.iter().sum::<u64>(), report.reach);
            assert!(report.max_hops <= ttl);
        }
    }

    /// D5: exact while the flood does not meet itself around the torus.
    #[test]
    fn a_torus_by_its_formula() {
        for side in [5_u32, 8, 16, 33, 64] {
            let torus = graph(&format!("torus:{side}x{side}"));
            for ttl in (1..side.div_ceil(2)).filter(|ttl| *ttl < 8 || ttl % 5 == 0) {
                let t = u64::from(ttl);
                let expected = FloodCount {
                    reach: 2 * t * (t + 1),
                    messages: 4 + 6 * t * (t - 1),
                    duplicates: 4 * (t - 1) * (t - 1),
                };
                check(&torus, side * (ttl % side) + 1, ttl, expected);
            }
        }
    }

    /// D6, and for as many hops as there are dimensions D4.
    #[test]
    fn a_hypercube_by_its_formula() {
        fn choose(n: u64, k: u64) -> u64 {
            (0..k).fold(1, |product, i| product * (n - i) / (i + 1))
        }
        for n in 1..=12_u64 {
            let cube = graph(&format!("hypercube:{n}"));
            for t in 1..=n {
                let reach: u64 = (1..=t).map(|i| choose(n, i)).sum();
                let inner: u64 = (1..t).map(|l| choose(n, l)).sum();
                let messages = n + (n - 1) * inner;
                let expected = FloodCount {
                    reach,
                    messages,
                    duplicates: messages - reach,
                };
                let source = u32::try_from(t * 37 % (1 << n)).unwrap();
                check(&cube, source, u32::try_from(t).unwrap(), expected);
            }
        }
        let twelve = flood(&graph("hypercube:12"), 0, 2, EQUAL, true);
        assert_eq!(
            (twelve.reach, twelve.messages, twelve.duplicates),
            (78, 144, 66)
        );
    }

    /// D4: a flood of everybody sends 2E - (N - 1) copies.
    #[test]
    fn a_full_flood_by_its_formula() {
        for text in ["torus:9x14", "grid:20x31", "hypercube:9", "regular:500,6"] {
            let graph = graph(text);
            let (others, edges) = (u64::from(graph.nodes()) - 1, graph.edges());
            let expected = FloodCount {
                reach: others,
                messages: 2 * edges - others,
                duplicates: 2 * edges - 2 * others,
            };
            for ttl in [60, 255] {
                check(&graph, 3, ttl, expected);
            }
        }
        let dense = graph("random:10000,10").giant();
        let report = flood(&dense, 0, 30, EQUAL, true);
        let mean = stats::share(2 * dense.edges(), u64::from(dense.nodes()));
        let expected = 1.0 - 1.0 / (mean - 1.0);
        assert!((report.duplicate_share - expected).abs() < 1e-3);
        assert!((report.duplicate_share - 0.889).abs() < 0.002);
    }

    /// D1: a tree in which everybody has d neighbours.
    #[test]
    fn a_tree_by_its_formula() {
        for (degree, depth) in [(3_u32, 7_u32), (4, 5), (6, 4)] {
            let mut edges = Vec::new();
            let (mut level, mut next) = (vec![0], 1);
            for hop in 0..depth {
                let mut below = Vec::new();
                for node in level {
                    let children = if hop == 0 { degree } else { degree - 1 };
                    for _ in 0..children {
                        edges.push((node, next));
                        below.push(next);
                        next += 1;
                    }
                }
                level = below;
            }
            let tree = Graph::from_edges(next, &edges);
            for ttl in 1..=depth {
                let d = u64::from(degree);
                let reach = d * ((d - 1).pow(ttl) - 1) / (d - 2);
                let expected = FloodCount {
                    reach,
                    messages: reach,
                    duplicates: 0,
                };
                check(&tree, 0, ttl, expected);
            }
        }
    }

    #[test]
    fn any_graph_as_the_reference() {
        for text in [
            "random:400,3",
            "powerlaw:500,0.8",
            "grid:7x40",
            "regular:300,3",
        ] {
            let graph = graph(text);
            for source in (0..graph.nodes()).step_by(97) {
                for ttl in [1, 2, 3, 5, 9, 40] {
                    check(&graph, source, ttl, flood_reference(&graph, source, ttl));
                }
            }
        }
    }

    /// D2 and D3: random graphs with a mean degree of 4. The averages are of the
    /// reference flood, over a thousand sources; the core equals it source by
    /// source.
    #[test]
    fn a_random_graph_as_published() {
        let graph = graph("random:10000,4");
        // By the recurrence, and measured over all sources of other graphs.
        let expected = [
            (0.0084, 0.0087),
            (0.0333, 0.0347),
            (0.125, 0.128),
            (0.382, 0.394),
            (0.745, 0.793),
            (0.944, 0.958),
        ];
        let sources: Vec<u32> = (0..graph.nodes()).step_by(10).collect();
        for (ttl, (least, most)) in (3..).zip(expected) {
            let reach: u64 = sources
                .iter()
                .map(|source| flood_reference(&graph, *source, ttl).reach)
                .sum();
            let share = stats::share(reach, 9_999 * sources.len() as u64);
            let room = if ttl <= 6 { 0.04 } else { 0.07 };
            let within = least * (1.0 - room)..most * (1.0 + room);
            assert!(within.contains(&share), "TTL {ttl}: {share}");
            for source in [0, 4_000, 9_000] {
                let core = flood(&graph, source, ttl, EQUAL, true);
                let reference = flood_reference(&graph, source, ttl);
                assert_eq!(
                    (core.reach, core.messages),
                    (reference.reach, reference.messages)
                );
            }
        }
        // At TTL 2 a flood costs, over all sources, the sum of squared degrees.
        let degrees = (0..graph.nodes()).map(|node| u64::from(graph.degree(node)));
        let cost: u64 = degrees.map(|degree| degree * degree).sum();
        let small = self::graph("random:300,4");
        let squares = (0..300).map(|node| u64::from(small.degree(node)).pow(2));
        let messages: u64 = (0..300)
            .map(|source| flood(&small, source, 2, EQUAL, true).messages)
            .sum();
        assert_eq!(messages, squares.sum::<u64>());
        let kappa = stats::share(cost, 2 * graph.edges()) - 1.0;
        assert!((kappa - 4.0).abs() < 0.15, "Poisson: {kappa}");
    }

    /// What unequal latencies do to a flood, and that passing on later copies
    /// that may go further undoes it.
    #[test]
    fn short_circuiting_and_its_repair() {
        let graph = graph("random:10000,4");
        let share = |latency: &Latency, revisit| {
            let reach = (0..10_000)
                .step_by(500)
                .map(|source| flood(&graph, source, 7, latency.clone(), revisit).reach);
            stats::share(reach.sum(), 9_999 * 20)
        };
        let equal = share(&EQUAL, false);
        let classic = share(&EXPONENTIAL, false);
        let repaired = share(&EXPONENTIAL, true);
        assert!((0.70..0.79).contains(&equal), "{equal}");
        assert!((0.48..0.61).contains(&classic), "{classic}");
        assert!((repaired - equal).abs() < 1e-9, "{repaired}, not {equal}");
        let nearly = Latency::Uniform(Duration::from_millis(80), Duration::from_millis(120));
        assert!((share(&nearly, false) / equal - 1.0).abs() < 0.02);
    }

    #[test]
    fn the_same_seed_gives_the_same_report() {
        let graph = graph("regular:500,4");
        check_repeats(|seed| {
            run(&Params {
                graph: graph.clone(),
                source: 1,
                ttl: 5,
                latency: EXPONENTIAL,
                revisit: true,
                seed,
            })
        });
    }

    #[test]
    fn what_is_impossible_is_told_with_what_is_possible() {
        let fail = |source, ttl| {
            let params = Params {
                graph: graph("torus:4x4"),
                source,
                ttl,
                latency: EQUAL,
                revisit: true,
                seed: 1,
            };
            run(&params).unwrap_err().to_string()
        };
        assert!(fail(16, 3).contains("from 0 to 15"));
        assert!(fail(0, 0).contains("from 1 to 255"));
        assert!(fail(0, 256).contains("from 1 to 255"));
    }
}
