//! Many peers that fetch one content from each other: how near they come to
//! what their lines allow, and whether all who live finish.

use std::time::Duration;

use gannet_base::groups_in;
use serde::Serialize;

use super::EventHash;
use crate::impossible::Impossible;
use crate::stats::{percentile, share};
use crate::swarm::{Finish, Outcome, Swarm, SwarmConfig};

/// Most peers, seeds included.
// Guess: each has links to all that know it.
const NODES_MAX: u32 = 10_000;
/// Most groups that all fetchers together may have to receive.
// Guess: some hours.
const GROUPS_MAX: u64 = 100_000_000;
/// Slowest line, bytes a second.
// Derived: the cores leave a source as useless at four times this.
const RATE_MIN: u64 = 1_024;
/// Fastest line, bytes a second.
// Guess: above any line; below where a packet takes no time.
const RATE_MAX: u64 = 10_000_000_000;

/// A swarm to be run.
#[derive(Debug, Clone, PartialEq)]
pub struct Params {
    /// Peers that start with nothing.
    pub peers: u32,
    /// Peers that start with everything.
    pub seeds: u32,
    /// Size of the content, bytes.
    pub size: u64,
    /// What each peer can send, bytes a second.
    pub up: u64,
    /// What each peer can receive, bytes a second.
    pub down: u64,
    /// Share of the fetchers that crash during the first half, 0 to 1.
    pub die: f64,
    /// Share of the seeds that do.
    pub die_seeds: f64,
    /// One-way latency between two peers lies between these two.
    pub latency: (Duration, Duration),
    /// The seed of all that is random.
    pub seed: u64,
}

impl Default for Params {
    fn default() -> Self {
        let config = SwarmConfig::default();
        Self {
            peers: config.peers,
            seeds: config.seeds,
            size: config.size,
            up: config.up,
            down: config.down,
            die: config.die,
            die_seeds: config.die_seeds,
            latency: config.latency,
            seed: config.seed,
        }
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Peers that started with nothing.
    pub peers: u32,
    /// Peers that started with everything.
    pub seeds: u32,
    /// Size of the content, bytes.
    pub size: u64,
    /// Sending, bytes a second.
    pub up: u64,
    /// Receiving, bytes a second.
    pub down: u64,
    /// Fetchers that did not crash.
    pub survivors: u32,
    /// Of those, how many have everything.
    pub complete: u32,
    /// The same as a share.
    pub complete_share: f64,
    /// When the last of them had it; if one never had, when it was given up.
    pub seconds: f64,
    /// No swarm is faster: the seeds send everything once, each receives it,
    /// all together send it to all. Crashes are not counted.
    pub ideal_seconds: f64,
    /// The least with one seed, equal lines and pieces of a group.
    pub round_bound_seconds: f64,
    /// `seconds` over the larger of both.
    pub times_ideal: f64,
    /// What the seeds sent, proofs included, over the size.
    pub seed_copies_sent: f64,
    /// Half of those who finished had everything by then.
    pub finish_seconds_p50: f64,
    /// 99 of a hundred had.
    pub finish_seconds_p99: f64,
    /// Bytes received twice, over those needed.
    pub duplicate_share: f64,
    /// Proofs and messages, over the bytes needed.
    pub overhead_share: f64,
    /// What the fetchers' lines sent, over what they could have in `seconds`.
    pub uplink_utilisation: f64,
    /// The same of the seeds.
    pub seed_utilisation: f64,
    /// Messages between peers, headers of slices not counted.
    pub messages: u64,
    /// Bytes in them.
    pub message_bytes: u64,
    /// Times that a fetcher gave a source up.
    pub dropped_sources: u64,
    /// Slices served that were not there, downloads called complete that were
    /// not.
    pub wrong: u64,
    /// Events of the simulation.
    pub events: u64,
    /// One number for all of them.
    pub event_hash: EventHash,
}

/// Runs the swarm.
///
/// # Errors
///
/// [`Impossible`] if there is nobody to fetch or to fetch from, if nothing is
/// to be fetched, or if it is more than a machine can hold.
pub fn run(params: &Params) -> Result<Report, Impossible> {
    check(params)?;
    let config = SwarmConfig {
        peers: params.peers,
        seeds: params.seeds,
        size: params.size,
        up: params.up,
        down: params.down,
        die: params.die,
        die_seeds: params.die_seeds,
        latency: params.latency,
        seed: params.seed,
        ..SwarmConfig::default()
    };
    Ok(report(&config, &Swarm::new(config.clone()).run()))
}

fn check(params: &Params) -> Result<(), Impossible> {
    let nodes = params.peers.saturating_add(params.seeds);
    if params.peers == 0 || nodes > NODES_MAX {
        let possible = format!("1 to {NODES_MAX} peers, seeds included");
        return Err(Impossible::new("--peers", params.peers, possible));
    }
    if params.seeds == 0 {
        let possible = "without a seed nobody has anything; at least 1";
        return Err(Impossible::new("--seeds", 0, possible));
    }
    let groups = groups_in(params.size).saturating_mul(u64::from(params.peers));
    if params.size == 0 || groups > GROUPS_MAX {
        let most = GROUPS_MAX / u64::from(params.peers) * gannet_base::GROUP_BYTES;
        let possible = format!("1 to {most} bytes for that many peers");
        return Err(Impossible::new("--size", params.size, possible));
    }
    for (parameter, rate) in [("--up", params.up), ("--down", params.down)] {
        if !(RATE_MIN..=RATE_MAX).contains(&rate) {
            let possible = format!("{RATE_MIN} to {RATE_MAX} bytes a second");
            return Err(Impossible::new(parameter, rate, possible));
        }
    }
    for (parameter, part) in [("--die", params.die), ("--die-seeds", params.die_seeds)] {
        if !(0.0..=1.0).contains(&part) {
            return Err(Impossible::new(parameter, part, "a share is from 0 to 1"));
        }
    }
    let doomed = |all: u32, part: f64| SwarmConfig::doomed(all, part) == all;
    if doomed(params.peers, params.die) {
        let possible = "somebody must live to finish";
        return Err(Impossible::new("--die", params.die, possible));
    }
    if doomed(params.seeds, params.die_seeds) {
        let possible = "a seed must live, or nobody may ever have everything";
        return Err(Impossible::new("--die-seeds", params.die_seeds, possible));
    }
    if params.latency.0 > params.latency.1 || params.latency.1 > Duration::from_secs(2) {
        let given = format!("{:?} to {:?}", params.latency.0, params.latency.1);
        let possible = "from less to more, 2 s at most: a silent peer counts as gone";
        return Err(Impossible::new("--latency", given, possible));
    }
    Ok(())
}

fn report(config: &SwarmConfig, outcome: &Outcome) -> Report {
    let times: Vec<f64> = outcome.times().iter().map(Duration::as_secs_f64).collect();
    let count = |which: fn(&Finish) -> bool| {
        let found = outcome.finishes.iter().filter(|finish| which(finish));
        u32::try_from(found.count()).unwrap_or(u32::MAX)
    };
    let survivors = count(|finish| !matches!(finish, Finish::Crashed));
    let complete = count(|finish| matches!(finish, Finish::Complete(_)));
    let (ideal, rounds) = (config.ideal(), config.rounds());
    let least = if config.seeds == 1 {
        ideal.max(rounds)
    } else {
        ideal
    };
    let micros = u64::try_from(outcome.took.as_micros()).unwrap_or(u64::MAX);
    let could = |peers: u32, rate: u64| {
        let bytes = u128::from(peers) * u128::from(rate) * u128::from(micros) / 1_000_000;
        u64::try_from(bytes).unwrap_or(u64::MAX)
    };
    let sent = outcome.seed_bytes + outcome.peer_bytes;
    Report {
        peers: config.peers,
        seeds: config.seeds,
        size: config.size,
        up: config.up,
        down: config.down,
        survivors,
        complete,
        complete_share: share(complete.into(), survivors.into()),
        seconds: outcome.took.as_secs_f64(),
        ideal_seconds: ideal.as_secs_f64(),
        round_bound_seconds: rounds.as_secs_f64(),
        times_ideal: outcome.took.as_secs_f64() / least.as_secs_f64(),
        seed_copies_sent: outcome.seed_copies(config.size),
        finish_seconds_p50: percentile(&times, 50.0).unwrap_or(0.0),
        finish_seconds_p99: percentile(&times, 99.0).unwrap_or(0.0),
        duplicate_share: outcome.duplicate_share(),
        overhead_share: share(
            sent.saturating_sub(outcome.stored_bytes),
            outcome.fresh_bytes,
        ),
        uplink_utilisation: share(outcome.peer_bytes, could(config.peers, config.up)),
        seed_utilisation: share(
            outcome.seed_bytes,
            could(config.seeds, config.seed_up.unwrap_or(config.up)),
        ),
        messages: outcome.messages,
        message_bytes: outcome.message_bytes,
        dropped_sources: outcome.dropped_sources,
        wrong: outcome.wrong,
        events: outcome.events,
        event_hash: EventHash(outcome.event_hash),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(params: Params, parameter: &str) {
        let error = run(&params).expect_err("impossible");
        assert_eq!(error.parameter, parameter, "{error}");
    }

    #[test]
    fn impossible_parameters_say_what_is_possible() {
        let good = Params::default;
        refused(Params { peers: 0, ..good() }, "--peers");
        refused(
            Params {
                peers: u32::MAX,
                ..good()
            },
            "--peers",
        );
        refused(Params { seeds: 0, ..good() }, "--seeds");
        refused(Params { size: 0, ..good() }, "--size");
        refused(
            Params {
                size: u64::MAX,
                ..good()
            },
            "--size",
        );
        refused(Params { up: 0, ..good() }, "--up");
        refused(
            Params {
                down: u64::MAX,
                ..good()
            },
            "--down",
        );
        refused(Params { die: 1.5, ..good() }, "--die");
        refused(
            Params {
                die: f64::NAN,
                ..good()
            },
            "--die",
        );
        refused(Params { die: 1.0, ..good() }, "--die");
        refused(
            Params {
                die_seeds: 0.9,
                ..good()
            },
            "--die-seeds",
        );
        let latency = (Duration::from_secs(1), Duration::ZERO);
        refused(Params { latency, ..good() }, "--latency");
    }

    #[test]
    fn the_same_seed_prints_the_same_report() {
        let params = Params {
            peers: 6,
            seeds: 2,
            size: 3_000_000,
            die: 0.3,
            ..Params::default()
        };
        let print = |params: &Params| {
            let report = run(params).expect("possible");
            serde_json::to_string(&report).expect("a report is plain data")
        };
        let first = print(&params);
        assert_eq!(first, print(&params));
        assert!(first.contains("\"survivors\":4,\"complete\":4,"), "{first}");
        let other = Params { seed: 2, ..params };
        assert_ne!(first, print(&other));
    }
}
