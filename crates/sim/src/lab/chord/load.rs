//! How evenly consistent hashing spreads keys over nodes, and how few of them a
//! newcomer moves. Needs positions and nothing else.

use gannet_base::{ContentId, PeerId, Rng, seeded_rng};
use gannet_overlay::dht::Position;
use rand_core::Rng as _;
use serde::Serialize;

use super::super::{EventHash, index};
use crate::{Fingerprint, Impossible, stats};

/// Most positions on a ring, and most keys.
// Guess: as many as fit the memory of a small machine.
const POSITIONS_MAX: u64 = 1 << 25;
/// Most virtual nodes of a node: as many as their numbers tell apart.
const VIRTUAL_MAX: u32 = 256;

/// Rings with keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Params {
    /// How many nodes.
    pub nodes: u32,
    /// How many keys.
    pub keys: u32,
    /// Positions of each node.
    pub virtuals: u32,
    /// How many rings; the first has the seed below, the others those after it.
    pub seeds: u32,
    /// Of nodes and keys.
    pub seed: u64,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            nodes: 10_000,
            keys: 1_000_000,
            virtuals: 1,
            seeds: 1,
            seed: 1,
        }
    }
}

/// How keys are spread. Everything over the mean is so over all nodes of all
/// rings, and nodes without keys count.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Nodes of a ring.
    pub nodes: u32,
    /// Keys of a ring.
    pub keys: u32,
    /// Positions of each node.
    #[serde(rename = "virtual")]
    pub virtuals: u32,
    /// Rings.
    pub seeds: u32,
    /// Keys of a node on average.
    pub mean: f64,
    /// What 1 of 100 nodes do not exceed.
    pub p01_over_mean: f64,
    /// The median.
    pub p50_over_mean: f64,
    /// What 99 of 100 do not exceed.
    pub p99_over_mean: f64,
    /// The most of any node of any ring.
    pub max_over_mean: f64,
    /// The most of a ring, on average over the rings.
    pub ring_max_over_mean: f64,
    /// Keys that move when one more node joins, on average over the rings.
    pub moved_mean: f64,
    /// What theory expects of that: one newcomer's share, K/(N+1).
    pub moved_expected: f64,
    /// Keys that moved to anybody but the newcomer: none, if all is well.
    pub moved_elsewhere: u64,
    /// Over the counts of all nodes.
    pub event_hash: EventHash,
}

/// Spreads keys.
///
/// # Errors
///
/// If there are no nodes, keys or rings, or too many.
pub fn run(params: &Params) -> Result<Report, Impossible> {
    check(params)?;
    let mut sum = Sum::default();
    for ring in 0..u64::from(params.seeds) {
        sum.add(params, params.seed.wrapping_add(ring));
    }
    sum.counts.sort_unstable();
    let mean = stats::share(params.keys.into(), params.nodes.into());
    let over = |count: Option<u32>| f64::from(count.unwrap_or(0)) / mean;
    let at = |per_cent| over(stats::percentile(&sum.counts, per_cent));
    let maxima: Vec<f64> = sum.maxima.iter().map(|most| over(Some(*most))).collect();
    Ok(Report {
        nodes: params.nodes,
        keys: params.keys,
        virtuals: params.virtuals,
        seeds: params.seeds,
        mean,
        p01_over_mean: at(1.0),
        p50_over_mean: at(50.0),
        p99_over_mean: at(99.0),
        max_over_mean: over(sum.counts.last().copied()),
        ring_max_over_mean: stats::mean(&maxima),
        moved_mean: stats::share(sum.moved, params.seeds.into()),
        moved_expected: stats::share(params.keys.into(), u64::from(params.nodes) + 1),
        moved_elsewhere: sum.elsewhere,
        event_hash: EventHash(sum.hash.value()),
    })
}

fn check(params: &Params) -> Result<(), Impossible> {
    if params.nodes == 0 {
        return Err(Impossible::new("--nodes", 0, "at least one node"));
    }
    if params.keys == 0 {
        return Err(Impossible::new("--keys", 0, "at least one key"));
    }
    if params.seeds == 0 {
        return Err(Impossible::new("--seeds", 0, "at least one ring"));
    }
    if !(1..=VIRTUAL_MAX).contains(&params.virtuals) {
        let possible = format!("from 1 to {VIRTUAL_MAX} positions a node");
        return Err(Impossible::new("--virtual", params.virtuals, possible));
    }
    let positions = u64::from(params.nodes) * u64::from(params.virtuals);
    if positions > POSITIONS_MAX {
        let possible = format!("at most {POSITIONS_MAX} positions on a ring, --virtual included");
        return Err(Impossible::new("--nodes", params.nodes, possible));
    }
    if u64::from(params.keys) > POSITIONS_MAX {
        let possible = format!("at most {POSITIONS_MAX} keys");
        return Err(Impossible::new("--keys", params.keys, possible));
    }
    Ok(())
}

/// All rings so far.
#[derive(Default)]
struct Sum {
    /// Keys of each node of each ring.
    counts: Vec<u32>,
    maxima: Vec<u32>,
    moved: u64,
    elsewhere: u64,
    hash: Fingerprint,
}

impl Sum {
    /// Lays a ring, spreads keys, and lets one more node join.
    fn add(&mut self, params: &Params, seed: u64) {
        let mut rng = seeded_rng(seed);
        let mut ring = Vec::new();
        for node in 0..params.nodes {
            join(&mut ring, node, params.virtuals, &mut rng);
        }
        ring.sort_unstable();
        let mut keys: Vec<Position> = (0..params.keys)
            .map(|_| Position::of_content(ContentId::from_bytes(bytes(&mut rng))))
            .collect();
        keys.sort_unstable();
        let before = owners(&ring, &keys);
        let mut counts = vec![0_u32; index(params.nodes)];
        for owner in &before {
            counts[index(*owner)] += 1;
        }
        join(&mut ring, params.nodes, params.virtuals, &mut rng);
        ring.sort_unstable();
        let after = owners(&ring, &keys);
        for (before, after) in before.iter().zip(&after) {
            self.moved += u64::from(before != after);
            self.elsewhere += u64::from(before != after && *after != params.nodes);
        }
        for (node, count) in (0_u32..).zip(&counts) {
            self.hash.add(node.into(), u64::from(*count));
        }
        self.maxima.extend(counts.iter().max());
        self.counts.extend(counts);
    }
}

/// Puts the positions of a node with a random id on the ring.
fn join(ring: &mut Vec<(Position, u32)>, node: u32, virtuals: u32, rng: &mut Rng) {
    let peer = PeerId::from_bytes(bytes(rng));
    for number in 0..virtuals {
        let number = u8::try_from(number).expect("there are 256 at most");
        ring.push((Position::of_peer(peer, number), node));
    }
}

fn bytes(rng: &mut Rng) -> [u8; 32] {
    let mut bytes = [0; 32];
    rng.fill_bytes(&mut bytes);
    bytes
}

/// For each key the node that it belongs to: the first at or after it. Both
/// lists ascend.
fn owners(ring: &[(Position, u32)], keys: &[Position]) -> Vec<u32> {
    let mut place = 0;
    let mut owners = Vec::with_capacity(keys.len());
    for key in keys {
        while ring.get(place).is_some_and(|(at, _)| at < key) {
            place += 1;
        }
        let (_, owner) = ring.get(place).unwrap_or(&ring[0]);
        owners.push(*owner);
    }
    owners
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn near(found: f64, expected: f64, share: f64) {
        let off = (found / expected - 1.0).abs();
        assert!(off <= share, "{found} is not {expected}");
    }

    /// Oracle D20: keys of a node are negative binomial; 4 positions a node and
    /// 100 keys a node give .19, .92 and 2.54 times the mean.
    #[test]
    fn four_positions_spread_keys_as_theory_says() {
        let report = run(&Params {
            nodes: 1_000,
            keys: 100_000,
            virtuals: 4,
            seeds: 6,
            seed: 1,
        })
        .unwrap();
        near(report.p01_over_mean, 0.19, 0.06);
        near(report.p50_over_mean, 0.92, 0.03);
        near(report.p99_over_mean, 2.54, 0.03);
        assert_eq!(report.mean, 100.0);
    }

    /// Oracle D20: arcs are exponential, so that the longest of N is about
    /// ln N + 0.577 times the mean; D21: a newcomer takes K/(N+1), and nothing
    /// else moves.
    #[test]
    fn one_position_spreads_keys_as_theory_says() {
        let report = run(&Params {
            nodes: 500,
            keys: 50_000,
            seeds: 12,
            ..Params::default()
        })
        .unwrap();
        let harmonic: f64 = (1..=500).map(|n| 1.0 / f64::from(n)).sum();
        near(report.ring_max_over_mean, harmonic, 0.15);
        // The median of an exponential distribution is ln 2 of its mean.
        near(report.p50_over_mean, std::f64::consts::LN_2, 0.06);
        assert_eq!(report.moved_elsewhere, 0);
        // Twelve exponential arcs: a standard deviation of 29 per cent.
        near(report.moved_mean, report.moved_expected, 0.9);
    }

    #[test]
    fn keys_belong_to_the_first_node_at_or_after_them() {
        let ring = [(Position(10), 0), (Position(20), 1)];
        let keys = [0, 10, 11, 20, 21].map(Position);
        assert_eq!(owners(&ring, &keys), [0, 0, 1, 1, 0]);
    }

    #[test]
    fn the_same_seed_spreads_the_same() {
        let params = Params {
            nodes: 20,
            keys: 200,
            seeds: 2,
            ..Params::default()
        };
        assert_eq!(run(&params), run(&params));
        let other = run(&Params { seed: 9, ..params }).unwrap();
        assert_ne!(run(&params).unwrap().event_hash, other.event_hash);
        for wrong in [
            Params { nodes: 0, ..params },
            Params { keys: 0, ..params },
            Params { seeds: 0, ..params },
            Params {
                virtuals: 0,
                ..params
            },
            Params {
                virtuals: 257,
                ..params
            },
            Params {
                nodes: u32::MAX,
                ..params
            },
            Params {
                keys: u32::MAX,
                ..params
            },
        ] {
            assert!(run(&wrong).is_err(), "{wrong:?}");
        }
    }
}
