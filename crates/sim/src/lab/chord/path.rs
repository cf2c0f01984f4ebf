//! How long ways are in rings that are as they should be.

use gannet_base::seeded_rng;
use serde::Serialize;

use super::super::EventHash;
use super::still::{Still, as_published, checked, random_key};
use super::tally::Tally;
use crate::{Fingerprint, Impossible, stats};

/// Most nodes, virtual ones included.
// Measured: so many take 8 GB.
const NODES_MAX: u64 = 2_000_000;
/// Small rings differ: so many nodes are laid at least, on several if need be.
// Measured: the mean way of one ring of 64 is off by as much as 0.2.
const NODES_MIN: u32 = 16_384;

/// Rings and lookups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Params {
    /// How many peers.
    pub nodes: u32,
    /// The length r of successor lists.
    pub successors: u32,
    /// Nodes of each peer.
    pub virtuals: u32,
    /// How many lookups, each from a random peer for a random key.
    pub lookups: u32,
    /// Of everything.
    pub seed: u64,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            nodes: 1_000,
            successors: 1,
            virtuals: 1,
            lookups: 100_000,
            seed: 1,
        }
    }
}

/// How long the ways were. Hops are counted from the asker to the key's
/// predecessor, which is the last node that is asked.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Peers of a ring.
    pub nodes: u32,
    /// The length of successor lists.
    pub successors: u32,
    /// Nodes of each peer.
    #[serde(rename = "virtual")]
    pub virtuals: u32,
    /// How many lookups.
    pub lookups: u64,
    /// On how many rings, each with other nodes.
    pub rings: u32,
    /// Hops on average.
    pub path_mean: f64,
    /// What theory says: half of log2 N, less 0.15, for lists of one; half of
    /// log2 N/r, and 1, for longer ones, which is an upper estimate.
    pub path_expected: f64,
    /// What 1 of 100 do not exceed.
    pub path_p01: u64,
    /// The median.
    pub path_p50: u64,
    /// What 99 of 100 do not exceed.
    pub path_p99: u64,
    /// The standard deviation.
    pub path_deviation: f64,
    /// How many lookups took 0, 1, 2… hops.
    pub path_histogram: Vec<u64>,
    /// Messages of a lookup, questions and answers.
    pub messages_mean: f64,
    /// Lookups that did not lead to the node that is responsible.
    pub failures: u64,
    /// Things that happened.
    pub events: u64,
    /// The hash over them.
    pub event_hash: EventHash,
}

/// What has just been done, for who measures time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// So many peers are in place.
    Built(u32),
    /// So many lookups have ended.
    Looked(u32),
}

/// Lays rings and looks.
///
/// # Errors
///
/// If there are too many nodes, or too few for a ring.
pub fn run(params: &Params) -> Result<Report, Impossible> {
    run_watched(params, |_| ())
}

/// The same; `watch` is called after each part of it.
///
/// # Errors
///
/// As [`run`].
pub fn run_watched(params: &Params, mut watch: impl FnMut(Phase)) -> Result<Report, Impossible> {
    let (successors, virtuals) = check(params)?;
    let mut rng = seeded_rng(params.seed);
    let rings = NODES_MIN
        .div_ceil(params.nodes)
        .min(params.lookups.div_ceil(16))
        .max(1);
    let mut paths = Tally::default();
    let (mut messages, mut failures, mut events) = (0, 0, 0);
    let mut hash = Fingerprint::default();
    for ring in 0..rings {
        let config = as_published(successors, virtuals);
        let mut still = Still::new(params.nodes, config, &mut rng);
        watch(Phase::Built(params.nodes));
        let share = params.lookups / rings + u32::from(ring < params.lookups % rings);
        for _ in 0..share {
            let key = random_key(&mut rng);
            let peer = still.somebody(&mut rng);
            let looked = still.lookup(peer, key);
            let owner = still.layout.node(still.layout.owner(key)).peer;
            match looked.found {
                Some(found) if found.owners[0].peer == owner => {
                    paths.add(u64::from(looked.cost.hops));
                    messages += u64::from(looked.cost.messages);
                }
                _ => failures += 1,
            }
        }
        watch(Phase::Looked(share));
        events += still.bare.events;
        hash.add(still.bare.fingerprint(), u64::from(share));
    }
    Ok(Report {
        nodes: params.nodes,
        successors: params.successors,
        virtuals: params.virtuals,
        lookups: params.lookups.into(),
        rings,
        path_mean: paths.mean(),
        path_expected: expected(params),
        path_p01: paths.percentile(1.0),
        path_p50: paths.percentile(50.0),
        path_p99: paths.percentile(99.0),
        path_deviation: paths.deviation(),
        path_histogram: paths.histogram().to_vec(),
        messages_mean: stats::share(messages, paths.count()),
        failures,
        events,
        event_hash: EventHash(hash.value()),
    })
}

fn check(params: &Params) -> Result<(usize, u8), Impossible> {
    let all = u64::from(params.nodes) * u64::from(params.virtuals);
    if all > NODES_MAX {
        let possible = format!("at most {NODES_MAX} nodes, --virtual included");
        return Err(Impossible::new("--nodes", params.nodes, possible));
    }
    if params.lookups == 0 {
        return Err(Impossible::new("--lookups", 0, "at least one lookup"));
    }
    checked(params.nodes, params.successors, params.virtuals)
}

/// What theory says of the mean.
// Source: Stoica et al., Chord, section VI-B and E, and our own simulation of
// ideal tables: hops to the predecessor are 0.15 fewer than half of log2 N.
fn expected(params: &Params) -> f64 {
    let log = f64::from(params.nodes).log2() / 2.0;
    if params.successors == 1 {
        log - 0.15
    } else {
        log - f64::from(params.successors).log2() / 2.0 + 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Oracle D14, B1: hops to the predecessor.
    #[test]
    fn ways_are_as_long_as_theory_says() {
        for nodes in [64, 512, 4_096] {
            let report = run(&Params {
                nodes,
                lookups: 6_000,
                ..Params::default()
            })
            .unwrap();
            assert_eq!(report.failures, 0);
            let off = report.path_mean - report.path_expected;
            assert!(off.abs() < 0.1, "{nodes}: {report:?}");
            // Oracle D14: the deviation is half the root of log2 N.
            let deviation = f64::from(nodes).log2().sqrt() / 2.0;
            assert!(
                (report.path_deviation - deviation).abs() < 0.25,
                "{report:?}"
            );
            assert_eq!(report.path_histogram.iter().sum::<u64>(), 6_000);
        }
    }

    /// Oracle B1: with lists of 20 a thousand nodes are 3.82 hops away at most on
    /// average, and no lookup fails.
    #[test]
    fn longer_lists_make_shorter_ways() {
        let report = run(&Params {
            successors: 20,
            lookups: 3_000,
            ..Params::default()
        })
        .unwrap();
        assert_eq!(report.failures, 0);
        assert!((report.path_expected - 3.82).abs() < 0.01);
        assert!(report.path_mean < report.path_expected + 0.1, "{report:?}");
        assert!(report.path_mean > report.path_expected - 1.0, "{report:?}");
    }

    #[test]
    fn virtual_nodes_are_nodes_and_the_seed_repeats() {
        let params = Params {
            nodes: 100,
            virtuals: 4,
            lookups: 500,
            ..Params::default()
        };
        let report = run(&params).unwrap();
        assert_eq!(report.failures, 0);
        assert_eq!(run(&params), Ok(report.clone()));
        let other = run(&Params { seed: 2, ..params }).unwrap();
        assert_ne!(other.event_hash, report.event_hash);
        for wrong in [
            Params { nodes: 1, ..params },
            Params {
                successors: 0,
                ..params
            },
            Params {
                successors: 99,
                ..params
            },
            Params {
                virtuals: 65,
                ..params
            },
            Params {
                lookups: 0,
                ..params
            },
            Params {
                nodes: 3_000_000,
                ..params
            },
        ] {
            assert!(run(&wrong).is_err(), "{wrong:?}");
        }
    }
}
