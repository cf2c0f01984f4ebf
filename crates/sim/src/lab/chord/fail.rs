//! Many nodes die at one instant, and nobody has noticed yet.

use gannet_base::{PeerId, Rng, seeded_rng};
use serde::Serialize;

use super::super::{EventHash, index};
use super::still::{Still, as_it_is, as_published, checked, random_key};
use super::tally::Tally;
use crate::{Impossible, draw, node_of, stats};

/// Most disjoint ways of a lookup.
// Guess: some more than are of use.
const PATHS_MAX: u8 = 16;

/// A ring, a catastrophe, and lookups after it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Params {
    /// How many nodes.
    pub nodes: u32,
    /// The length r of successor lists.
    pub successors: u32,
    /// The share of them that dies.
    pub fail: f64,
    /// The share of those that are left that lie: they answer every question for a
    /// way with themselves. Above 0, lookups go as the overlay lets them go; else as
    /// Chord was published, to compare.
    pub liars: f64,
    /// Disjoint ways that each lookup goes, where there are liars.
    pub paths: u8,
    /// Whether claims are weighed against how dense the ring is, where there are
    /// liars.
    pub is_wary: bool,
    /// How many lookups, each from a random node that is left for a random key.
    pub lookups: u32,
    /// Of everything.
    pub seed: u64,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            nodes: 1_000,
            successors: 20,
            fail: 0.5,
            liars: 0.0,
            paths: 1,
            is_wary: true,
            lookups: 10_000,
            seed: 1,
        }
    }
}

/// How lookups went. Hops are counted without failed contacts, which are the
/// timeouts; those of lookups that failed do not count.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Nodes before.
    pub nodes: u32,
    /// The length of successor lists.
    pub successors: u32,
    /// Nodes that died.
    pub failed_nodes: u32,
    /// Nodes that lie.
    pub liars: u32,
    /// Ways that each lookup went.
    pub paths: u8,
    /// How many lookups.
    pub lookups: u64,
    /// Hops on average.
    pub path_mean: f64,
    /// What 1 of 100 do not exceed.
    pub path_p01: u64,
    /// What 99 of 100 do not exceed.
    pub path_p99: u64,
    /// Contacts that did not answer, on average.
    pub timeouts_mean: f64,
    /// What theory says of that, given the hops: l p / (1 - p).
    pub timeouts_expected: f64,
    /// What 1 of 100 do not exceed.
    pub timeouts_p01: u64,
    /// What 99 of 100 do not exceed.
    pub timeouts_p99: u64,
    /// Lookups that did not lead to the first live node at or after the key.
    pub failures: u64,
    /// The share of lookups that did.
    pub success_share: f64,
    /// Nodes all of whose successors died.
    pub stranded: u64,
    /// What theory says of those: the nodes that are left, times p^r.
    pub stranded_expected: f64,
    /// Things that happened.
    pub events: u64,
    /// The hash over them.
    pub event_hash: EventHash,
}

/// Lets nodes die, and looks. What a node notices on the way it has forgotten at
/// its next lookup: each is the first one after the catastrophe.
///
/// # Errors
///
/// If the numbers are impossible.
pub fn run(params: &Params) -> Result<Report, Impossible> {
    let (successors, virtuals) = checked(params.nodes, params.successors, 1)?;
    let dead = check(params)?;
    let mut rng = seeded_rng(params.seed);
    let config = if params.liars > 0.0 {
        as_it_is(successors, params.is_wary)
    } else {
        as_published(successors, virtuals)
    };
    let mut still = Still::new(params.nodes, config, &mut rng);
    let living = catastrophe(&mut still, dead, &mut rng);
    let (honest, liars) = corrupt(&mut still, params, &living, &mut rng);
    let mut alive = still.layout.clone();
    let numbers: Vec<u32> = living.iter().map(|peer| still.number(*peer)).collect();
    alive.retain(|number| numbers.binary_search(&number).is_ok());
    let (mut paths, mut timeouts, mut failures) = (Tally::default(), Tally::default(), 0);
    for _ in 0..params.lookups {
        let key = random_key(&mut rng);
        let peer = honest[draw::place(&mut rng, honest.len())];
        still.renew(peer, &mut rng);
        let looked = still.lookup_by(peer, key, params.paths);
        let owner = alive.node(alive.owner(key)).peer;
        // Who asks tries them in order.
        let lives = |peer: &PeerId| {
            node_of(*peer).is_some_and(|number| numbers.binary_search(&number).is_ok())
        };
        let owners = looked.found.map_or_else(Vec::new, |found| found.owners);
        if owners.iter().map(|owner| owner.peer).find(lives) == Some(owner) {
            paths.add(looked.cost.hops.into());
            timeouts.add(looked.cost.timeouts.into());
        } else {
            failures += 1;
        }
    }
    let share = stats::share(dead.into(), params.nodes.into());
    let power = i32::try_from(params.successors).expect("lists are short");
    Ok(Report {
        nodes: params.nodes,
        successors: params.successors,
        failed_nodes: dead,
        liars,
        paths: params.paths,
        lookups: params.lookups.into(),
        path_mean: paths.mean(),
        path_p01: paths.percentile(1.0),
        path_p99: paths.percentile(99.0),
        timeouts_mean: timeouts.mean(),
        timeouts_expected: paths.mean() * share / (1.0 - share),
        timeouts_p01: timeouts.percentile(1.0),
        timeouts_p99: timeouts.percentile(99.0),
        failures,
        success_share: 1.0 - stats::share(failures, params.lookups.into()),
        stranded: stranded(&still, &numbers, successors),
        stranded_expected: stats::share(living.len() as u64, 1) * share.powi(power),
        events: still.bare.events,
        event_hash: EventHash(still.bare.fingerprint()),
    })
}

/// How many die.
fn check(params: &Params) -> Result<u32, Impossible> {
    if !(0.0..1.0).contains(&params.fail) {
        let possible = "a share from 0 to less than 1";
        return Err(Impossible::new("--fail", params.fail, possible));
    }
    if !(0.0..1.0).contains(&params.liars) {
        let possible = "a share from 0 to less than 1";
        return Err(Impossible::new("--liars", params.liars, possible));
    }
    if !(1..=PATHS_MAX).contains(&params.paths) || (params.paths > 1 && params.liars == 0.0) {
        let possible = format!("1, with --liars up to {PATHS_MAX}");
        return Err(Impossible::new("--paths", params.paths, possible));
    }
    if params.lookups == 0 {
        return Err(Impossible::new("--lookups", 0, "at least one lookup"));
    }
    let dead = draw::whole(f64::from(params.nodes) * params.fail);
    let dead = u32::try_from(dead).expect("fewer than there are");
    if dead >= params.nodes {
        return Err(Impossible::new(
            "--fail",
            params.fail,
            "somebody has to be left",
        ));
    }
    Ok(dead)
}

/// So many nodes die; those that are left, in order.
fn catastrophe(still: &mut Still, dead: u32, rng: &mut Rng) -> Vec<u32> {
    let mut peers: Vec<u32> = (0..still.peers()).collect();
    draw::shuffle(rng, &mut peers);
    let mut living = peers.split_off(index(dead));
    for peer in peers {
        still.bare.kill(still.number(peer));
    }
    living.sort_unstable();
    living
}

/// Some of those that are left lie: who does not, and how many do.
fn corrupt(still: &mut Still, params: &Params, living: &[u32], rng: &mut Rng) -> (Vec<u32>, u32) {
    if params.liars == 0.0 {
        return (living.to_vec(), 0);
    }
    let mut honest = living.to_vec();
    draw::shuffle(rng, &mut honest);
    let all = stats::share(living.len() as u64, 1);
    let count = usize::try_from(draw::whole(all * params.liars)).expect("fewer than all");
    let liars = honest.split_off(honest.len() - count.min(honest.len() - 1));
    for liar in &liars {
        still.bare.corrupt(still.number(*liar));
    }
    honest.sort_unstable();
    let liars = u32::try_from(liars.len()).expect("fewer than all");
    (honest, liars)
}

/// Nodes that live, none of whose successors does. `numbers` of those that live
/// are in order.
fn stranded(still: &Still, numbers: &[u32], r: usize) -> u64 {
    let layout = &still.layout;
    let lives = |place: usize| {
        let place = place % layout.len();
        numbers.binary_search(&layout.peer(place)).is_ok()
    };
    let places = (0..layout.len()).filter(|place| lives(*place));
    let stranded = places.filter(|place| !(1..=r).any(|step| lives(place + step)));
    stranded.count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Oracle D15: l p / (1 - p) timeouts. Lists of 20 are long for 500 nodes, and
    /// one that was found dead is not tried again by the same lookup: fewer by up to
    /// a quarter.
    #[test]
    fn timeouts_are_as_many_as_theory_says() {
        for fail in [0.2, 0.5] {
            let report = run(&Params {
                nodes: 500,
                fail,
                lookups: 1_500,
                ..Params::default()
            })
            .unwrap();
            assert_eq!(report.failures, 0, "{report:?}");
            let ratio = report.timeouts_mean / report.timeouts_expected;
            assert!((0.7..1.2).contains(&ratio), "{ratio}: {report:?}");
            assert_eq!(u64::from(report.failed_nodes), draw::whole(500.0 * fail));
        }
    }

    /// Oracle D17: all r successors of a node are dead with probability p^r.
    #[test]
    fn short_lists_are_lost_as_often_as_theory_says() {
        let report = run(&Params {
            nodes: 8_000,
            successors: 3,
            lookups: 50,
            ..Params::default()
        })
        .unwrap();
        assert_eq!(report.stranded_expected, 500.0);
        // The standard deviation is at most 40.
        assert!(report.stranded.abs_diff(500) < 150, "{report:?}");
    }

    /// A fifth lies: disjoint ways and mistrust find the right one all the same.
    #[test]
    fn liars_are_gone_round() {
        let share = |paths, is_wary| {
            let params = Params {
                nodes: 1_000,
                successors: 16,
                fail: 0.0,
                liars: 0.2,
                paths,
                is_wary,
                lookups: 1_000,
                seed: 1,
            };
            let report = run(&params).unwrap();
            assert_eq!((report.liars, report.paths), (200, paths));
            report.success_share
        };
        assert!(share(4, true) >= 0.99);
        let (wary, trusting) = (share(1, true), share(1, false));
        assert!(trusting < 0.75, "{trusting}");
        assert!(wary > trusting + 0.2, "{wary} {trusting}");
        let alone = share(8, false);
        assert!(alone > trusting, "{alone} {trusting}");
    }

    #[test]
    fn nobody_dead_is_no_timeout_and_the_seed_repeats() {
        let params = Params {
            nodes: 100,
            fail: 0.0,
            lookups: 200,
            ..Params::default()
        };
        let report = run(&params).unwrap();
        assert_eq!((report.failures, report.timeouts_mean), (0, 0.0));
        assert_eq!(run(&params), Ok(report.clone()));
        let other = run(&Params { seed: 2, ..params }).unwrap();
        assert_ne!(other.event_hash, report.event_hash);
        for fail in [1.0, -0.1, f64::NAN, 0.999] {
            assert!(run(&Params { fail, ..params }).is_err(), "{fail}");
        }
        assert!(
            run(&Params {
                lookups: 0,
                ..params
            })
            .is_err()
        );
    }
}
