//! A network grown from one peer by the overlay's own joining.
//!
//! Newcomers know nobody but the first peer. What is looked at is the graph
//! that comes of it: whether it is whole, and how many neighbours everybody has.

use std::sync::Arc;
use std::time::Duration;

use gannet_base::{Timestamp, fork_rng, seeded_rng};
use gannet_overlay::flood::{Config, Flood, FloodCommand, FloodEvent, FloodMessage, FloodStatus};
use serde::Serialize;

use super::{EventHash, address, flood_wire};
use crate::topology::Graph;
use crate::{App, Impossible, Latency, LinkModel, Mode, World, node_of, peer_id, stats};

/// Most peers.
// Guess: more take hours.
const NODES_MAX: u32 = 1_000_000;

/// A crowd that joins.
#[derive(Debug, Clone, PartialEq)]
pub struct Params {
    /// How many peers, the first one included.
    pub nodes: u32,
    /// Neighbours that each wants.
    pub degree: u32,
    /// From one newcomer to the next.
    pub interval: Duration,
    /// How long links take.
    pub latency: Latency,
    /// Messages lost, per mille.
    pub loss: u16,
    /// Longest time after the last arrival, until the network is as it should
    /// be.
    pub patience: Duration,
    /// Of everything.
    pub seed: u64,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            nodes: 10_000,
            degree: 8,
            interval: Duration::from_millis(10),
            latency: Latency::Uniform(Duration::from_millis(20), Duration::from_millis(180)),
            loss: 0,
            patience: Duration::from_secs(600),
            seed: 1,
        }
    }
}

/// The network that came of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Peers.
    pub nodes: u32,
    /// Links between neighbours.
    pub edges: u64,
    /// Whether everybody can reach everybody.
    pub connected: bool,
    /// Into how many parts the network falls.
    pub parts: usize,
    /// Neighbours wanted.
    pub degree_target: u32,
    /// Fewest neighbours of a peer.
    pub degree_min: u32,
    /// On average.
    pub degree_mean: f64,
    /// Most.
    pub degree_max: u32,
    /// Most that a peer ever had, on the way.
    pub degree_max_ever: u32,
    /// The share of the peers whose neighbours are as many as wanted, give or
    /// take a quarter.
    pub within_quarter: f64,
    /// Peers that one takes for a neighbour and that do not take it for one.
    pub one_sided: u64,
    /// Seconds from the first arrival to the last.
    pub arrivals_s: f64,
    /// Seconds from the last arrival until the network was whole and the mean
    /// within a quarter of the target; nothing if it never was.
    pub settled_s: Option<f64>,
    /// Milliseconds from arrival to the first neighbour, of half of the peers.
    pub first_neighbour_ms_p50: Option<f64>,
    /// The same of 99 of 100.
    pub first_neighbour_ms_p99: Option<f64>,
    /// Messages for each peer.
    pub messages_per_peer: f64,
    /// Virtual seconds.
    pub seconds: f64,
    /// Things that happened.
    pub events: u64,
    /// The hash over them.
    pub event_hash: EventHash,
}

/// Lets a crowd join.
///
/// # Errors
///
/// If the numbers are impossible.
pub fn run(params: &Params) -> Result<Report, Impossible> {
    check(params)?;
    let mut world = world(params);
    let mut rng = seeded_rng(params.seed);
    let config = Arc::new(Config {
        neighbours_target: u16::try_from(params.degree).unwrap_or(u16::MAX),
        ..Config::laboratory()
    });
    for node in 0..params.nodes {
        world.run_until(Timestamp::ZERO + params.interval * node);
        let now = world.now();
        world.app_mut().arrived.push(now);
        world.app_mut().degree.push(0);
        world.add(Flood::new(
            peer_id(node),
            Arc::clone(&config),
            fork_rng(&mut rng),
        ));
        let told = (node > 0).then(|| address(0)).into_iter().collect();
        world.command(node, FloodCommand::Bootstrap(told));
    }
    let last = world.now();
    let mut settled = None;
    while settled.is_none() && world.now() - last < params.patience {
        world.run_until(world.now() + Duration::from_secs(1));
        if is_settled(params, &world) {
            settled = Some(world.now() - last);
        }
    }
    // Whether it stays so.
    world.run_until(world.now() + Duration::from_secs(60));
    Ok(report(params, &world, last, settled))
}

fn check(params: &Params) -> Result<(), Impossible> {
    if !(2..=NODES_MAX).contains(&params.nodes) {
        let possible = format!("from 2 to {NODES_MAX} peers");
        return Err(Impossible::new("--nodes", params.nodes, possible));
    }
    if !(2..=30).contains(&params.degree) {
        let possible = "from 2 to 30 neighbours: with one the network falls apart";
        return Err(Impossible::new("--degree", params.degree, possible));
    }
    if params.loss > 900 {
        return Err(Impossible::new(
            "--loss",
            params.loss,
            "from 0 to 900 per mille",
        ));
    }
    Ok(())
}

fn world(params: &Params) -> World<Flood, Joiners> {
    let mut model = LinkModel::new(Mode::Connected, params.latency.clone());
    model.faults.loss = params.loss;
    World::new(params.seed, model, Joiners::default())
}

/// Counts neighbours.
#[derive(Debug, Default)]
struct Joiners {
    arrived: Vec<Timestamp>,
    degree: Vec<u32>,
    degree_max: u32,
    /// From arrival to the first neighbour, milliseconds.
    firsts: Vec<f64>,
}

impl App<Flood> for Joiners {
    fn on_event(
        &mut self,
        now: Timestamp,
        node: u32,
        event: FloodEvent,
        _: &mut Vec<FloodCommand>,
    ) {
        let place = usize::try_from(node).expect("a node");
        match event {
            FloodEvent::NeighbourUp { .. } => {
                self.degree[place] += 1;
                self.degree_max = self.degree_max.max(self.degree[place]);
                let arrived = &mut self.arrived[place];
                if *arrived != Timestamp::MAX {
                    self.firsts.push((now - *arrived).as_secs_f64() * 1_000.0);
                    *arrived = Timestamp::MAX;
                }
            }
            FloodEvent::NeighbourDown { .. } => {
                self.degree[place] = self.degree[place].saturating_sub(1);
            }
            _ => {}
        }
    }

    fn size(&self, message: &FloodMessage) -> u32 {
        flood_wire::size(message)
    }

    fn kind(&self, message: &FloodMessage) -> u8 {
        flood_wire::kind(message)
    }
}

/// Who takes whom for a neighbour.
pub(super) fn claims(peers: impl Iterator<Item = (u32, FloodStatus)>) -> Vec<(u32, u32)> {
    let mut claims = Vec::new();
    for (node, status) in peers {
        let neighbours = status.neighbours.into_iter();
        let known = neighbours.filter_map(|neighbour| node_of(neighbour.peer));
        claims.extend(known.map(|neighbour| (node, neighbour)));
    }
    claims.sort_unstable();
    claims
}

/// The links that both ends believe in, and how many only one does.
pub(super) fn links(nodes: u32, claims: &[(u32, u32)]) -> (Graph, u64) {
    let mutual = |(a, b): &&(u32, u32)| claims.binary_search(&(*b, *a)).is_ok();
    let both: Vec<(u32, u32)> = claims.iter().filter(mutual).copied().collect();
    let one_sided = claims.len() - both.len();
    let edges: Vec<(u32, u32)> = both.into_iter().filter(|(a, b)| a < b).collect();
    (Graph::from_edges(nodes, &edges), one_sided as u64)
}

fn graph(world: &World<Flood, Joiners>) -> (Graph, u64) {
    let nodes = 0..world.nodes();
    let cores = nodes.filter_map(|node| Some((node, world.core(node)?.status())));
    links(world.nodes(), &claims(cores))
}

fn is_settled(params: &Params, world: &World<Flood, Joiners>) -> bool {
    let target = f64::from(params.degree).min(f64::from(params.nodes - 1));
    let total: u64 = world
        .app()
        .degree
        .iter()
        .map(|degree| u64::from(*degree))
        .sum();
    let mean = stats::share(total, u64::from(params.nodes));
    (mean / target - 1.0).abs() <= 0.25 && graph(world).0.is_connected()
}

fn report(
    params: &Params,
    world: &World<Flood, Joiners>,
    last: Timestamp,
    settled: Option<Duration>,
) -> Report {
    let (graph, one_sided) = graph(world);
    let degrees = graph.degrees();
    let target = f64::from(params.degree);
    let within = (0..graph.nodes())
        .filter(|node| (f64::from(graph.degree(*node)) / target - 1.0).abs() <= 0.25)
        .count();
    let mut firsts = world.app().firsts.clone();
    firsts.sort_by(f64::total_cmp);
    let stats_of = world.stats();
    Report {
        nodes: params.nodes,
        edges: graph.edges(),
        connected: graph.is_connected(),
        parts: graph.components().sizes.len(),
        degree_target: params.degree,
        degree_min: degrees.min,
        degree_mean: degrees.mean,
        degree_max: degrees.max,
        degree_max_ever: world.app().degree_max,
        within_quarter: stats::share(within as u64, u64::from(params.nodes)),
        one_sided,
        arrivals_s: (last - Timestamp::ZERO).as_secs_f64(),
        settled_s: settled.map(|settled| settled.as_secs_f64()),
        first_neighbour_ms_p50: stats::percentile(&firsts, 50.0),
        first_neighbour_ms_p99: stats::percentile(&firsts, 99.0),
        messages_per_peer: stats::share(stats_of.messages, u64::from(params.nodes)),
        seconds: (world.now() - Timestamp::ZERO).as_secs_f64(),
        events: stats_of.events,
        event_hash: EventHash(world.fingerprint()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::soundness::{check_refused, check_repeats};
    use super::*;

    #[test]
    fn a_crowd_becomes_one_network() {
        for (nodes, degree, loss) in [(2, 8, 0), (9, 8, 0), (300, 8, 0), (300, 4, 50)] {
            let params = Params {
                nodes,
                degree,
                loss,
                ..Params::default()
            };
            let report = run(&params).unwrap();
            assert!(report.connected && report.parts == 1, "{report:?}");
            assert!(report.degree_max_ever <= 2 * degree, "{report:?}");
            assert!(
                report.degree_min >= 1 && report.settled_s.is_some(),
                "{report:?}"
            );
            let target = f64::from(degree.min(nodes - 1));
            assert!(
                (report.degree_mean / target - 1.0).abs() <= 0.25,
                "{report:?}"
            );
        }
    }

    #[test]
    fn same_seed_same_report() {
        check_repeats(|seed| {
            run(&Params {
                nodes: 60,
                seed,
                ..Params::default()
            })
        });
    }

    #[test]
    fn what_is_impossible_is_told_with_what_is_possible() {
        for (nodes, degree, loss, words) in [
            (1, 8, 0, "from 2 to"),
            (9, 1, 0, "falls apart"),
            (9, 8, 999, "per mille"),
        ] {
            let params = Params {
                nodes,
                degree,
                loss,
                ..Params::default()
            };
            check_refused(run(&params), words);
        }
    }
}
