//! A ring is cut in two, each half becomes a ring of its own, and the two find
//! each other again.

use std::time::Duration;

use gannet_base::Timestamp;
use gannet_overlay::dht::{Config, ring};
use serde::Serialize;

use super::super::EventHash;
use super::network::Network;
use super::still::checked;
use crate::{Cut, Impossible, Latency, LinkModel, Mode, draw, stats};

/// Most nodes.
// Guess: more take hours.
const NODES_MAX: u32 = 100_000;
/// From one look at everybody to the next.
const TICK: Duration = Duration::from_millis(250);
/// Time before anything happens: nodes get to know their neighbours.
const BEFORE: Duration = Duration::from_secs(20);
/// Longest time until the rings are one again.
const PATIENCE: Duration = Duration::from_secs(600);
/// Longest that a lookup takes.
const LOOKUP_MAX: Duration = Duration::from_secs(60);

/// A ring and a cut.
#[derive(Debug, Clone, PartialEq)]
pub struct Params {
    /// How many nodes.
    pub nodes: u32,
    /// The length r of successor lists.
    pub successors: u32,
    /// The share that is cut off from the others.
    pub split: f64,
    /// For how long.
    pub duration: Duration,
    /// How long links take.
    pub latency: Latency,
    /// Lookups on each side before healing, and after it.
    pub lookups: u32,
    /// Of everything.
    pub seed: u64,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            nodes: 1_000,
            successors: 16,
            split: 0.5,
            duration: Duration::from_secs(120),
            latency: Latency::Uniform(Duration::from_millis(20), Duration::from_millis(180)),
            lookups: 500,
            seed: 1,
        }
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Nodes.
    pub nodes: u32,
    /// The length of successor lists.
    pub successors: u32,
    /// Nodes on either side.
    pub sides: [u32; 2],
    /// Seconds of the cut.
    pub seconds: f64,
    /// Whether, before it ended, each side was a ring of its own as it should be.
    pub settled_each_side: [bool; 2],
    /// Seconds from the cut until then; nothing if a side never was.
    pub settled_seconds: Option<f64>,
    /// The share of the lookups, towards the end of the cut, that led to the node
    /// that was responsible on their side.
    pub recall_each_side: [f64; 2],
    /// Whether everybody was on one ring as it should be, within ten minutes.
    pub merged: bool,
    /// Seconds from the end of the cut until then.
    pub merge_seconds: Option<f64>,
    /// The share of lookups after that which led to the node that is responsible.
    pub recall_after: f64,
    /// Messages of a node in a second while the rings merged.
    pub messages_per_node_second: f64,
    /// Things that happened.
    pub events: u64,
    /// The hash over them.
    pub event_hash: EventHash,
}

/// Cuts and heals.
///
/// # Errors
///
/// If the numbers are impossible.
pub fn run(params: &Params) -> Result<Report, Impossible> {
    let inside = check(params)?;
    let model = LinkModel::new(Mode::Connected, params.latency.clone());
    let mut network = Network::settled(params.seed, model, config(params), params.nodes);
    network.until(Timestamp::ZERO + BEFORE);
    let mut nodes: Vec<u32> = (0..params.nodes).collect();
    draw::shuffle(&mut network.rng, &mut nodes);
    nodes.truncate(usize::try_from(inside).expect("fewer than nodes"));
    network.world.partition(nodes.iter().copied(), Cut::Both);
    network.world.app_mut().split(&nodes);
    let cut = network.world.now();
    let settled = until_ideal(&mut network, cut + params.duration, &[true, false]);
    network.until(cut + params.duration);
    let sides = [true, false];
    let settled_each_side = sides.map(|side| is_ideal(&network, &[side]));
    let recall_each_side = sides.map(|side| recall(&mut network, params.lookups, Some(side)));
    network.world.heal();
    network.world.app_mut().unite();
    let healed = network.world.now();
    let messages = network.world.stats().messages;
    let merged = until_ideal(&mut network, healed + PATIENCE, &[]);
    let messages = network.world.stats().messages - messages;
    let took = (network.world.now() - healed).as_secs_f64();
    let recall_after = recall(&mut network, params.lookups, None);
    Ok(Report {
        nodes: params.nodes,
        successors: params.successors,
        sides: [inside, params.nodes - inside],
        seconds: params.duration.as_secs_f64(),
        settled_each_side,
        settled_seconds: settled.map(|settled| settled.as_secs_f64()),
        recall_each_side,
        merged: merged.is_some(),
        merge_seconds: merged.map(|merged| merged.as_secs_f64()),
        recall_after,
        messages_per_node_second: stats::share(messages, params.nodes.into()) / took,
        events: network.world.stats().events,
        event_hash: EventHash(network.world.fingerprint()),
    })
}

/// How many are cut off.
fn check(params: &Params) -> Result<u32, Impossible> {
    checked(params.nodes, params.successors, 1)?;
    if params.nodes > NODES_MAX {
        let possible = format!("at most {NODES_MAX} nodes");
        return Err(Impossible::new("--nodes", params.nodes, possible));
    }
    if params.lookups == 0 {
        return Err(Impossible::new("--lookups", 0, "at least one lookup"));
    }
    let share = params.split;
    let inside = if (0.0..=1.0).contains(&share) {
        draw::whole(f64::from(params.nodes) * share)
    } else {
        0
    };
    let inside = u32::try_from(inside).expect("at most all");
    if inside == 0 || inside >= params.nodes {
        let possible = "a share above 0 and below 1 that leaves somebody on either side";
        return Err(Impossible::new("--split", params.split, possible));
    }
    Ok(inside)
}

fn config(params: &Params) -> Config {
    Config {
        ring: ring::Config {
            successors: usize::try_from(params.successors).expect("checked"),
            ..ring::Config::default()
        },
        ..Config::default()
    }
}

/// Whether each of these sides is a ring as it should be; without any, everybody.
fn is_ideal(network: &Network, sides: &[bool]) -> bool {
    let crowd = network.world.app();
    if sides.is_empty() {
        return network.is_ideal(|_| true);
    }
    let mut sides = sides.iter();
    sides.all(|side| network.is_ideal(|node| crowd.side(node) == *side))
}

/// Lets time pass until that is so; how long it took. Nothing if the end came
/// first.
fn until_ideal(network: &mut Network, end: Timestamp, sides: &[bool]) -> Option<Duration> {
    let began = network.world.now();
    while network.world.now() < end {
        let next = network.world.now() + TICK;
        network.until(next.min(end));
        if is_ideal(network, sides) {
            return Some(network.world.now() - began);
        }
    }
    None
}

/// The share of lookups that lead where they should: of those that begin on a
/// side, or anywhere.
fn recall(network: &mut Network, lookups: u32, side: Option<bool>) -> f64 {
    let first = network.world.app().trials.len();
    for _ in 0..lookups {
        let crowd = network.world.app();
        let is_here = |node: &u32| side.is_none_or(|side| crowd.side(*node) == side);
        let members: Vec<u32> = crowd.members().filter(is_here).collect();
        if let Some(bound) = u32::try_from(members.len()).ok().filter(|count| *count > 0) {
            let place = usize::try_from(network.below(bound)).expect("a place");
            network.lookup(members[place]);
        }
    }
    let end = network.world.now() + LOOKUP_MAX;
    network.world.run_while(end, |crowd| crowd.running > 0);
    let trials = &network.world.app().trials[first..];
    let right = trials.iter().filter(|trial| {
        let ended = trial.ended.as_ref();
        ended.is_some_and(|ended| ended.is_right)
    });
    stats::share(right.count() as u64, trials.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_halves_become_one() {
        let params = Params {
            nodes: 60,
            successors: 6,
            duration: Duration::from_secs(90),
            lookups: 50,
            ..Params::default()
        };
        let report = run(&params).unwrap();
        assert_eq!(report.settled_each_side, [true, true], "{report:?}");
        assert_eq!(report.recall_each_side, [1.0, 1.0], "{report:?}");
        assert!(report.merge_seconds.unwrap() < 60.0, "{report:?}");
        assert_eq!(report.recall_after, 1.0, "{report:?}");
        assert_eq!(run(&params), Ok(report.clone()));
        let other = run(&Params {
            seed: 2,
            ..params.clone()
        })
        .unwrap();
        assert_ne!(other.event_hash, report.event_hash);
        assert!(other.merge_seconds.unwrap() < 60.0, "{other:?}");
        for split in [0.0, 1.0, -1.0, f64::NAN, 0.001] {
            let wrong = Params {
                split,
                ..params.clone()
            };
            assert!(run(&wrong).is_err(), "{split}");
        }
        let none = Params {
            lookups: 0,
            ..params.clone()
        };
        assert!(run(&none).is_err());
        let many = Params {
            nodes: u32::MAX,
            ..params
        };
        assert!(run(&many).is_err());
    }
}
