//! Lookups while nodes come and go, and the ring is mended all the time.
//!
//! Source of the set-up: Stoica et al., Chord, ToN 2003, section VI-F: a thousand
//! nodes, lists of 20, looks at the neighbours every 15 to 45 s, each with the
//! refresh of one finger; joins, failures and lookups are Poisson; packets take
//! 50 ms on average, exponentially distributed, and time out after 500 ms.

use std::time::Duration;

use gannet_base::Timestamp;
use gannet_overlay::dht::{Config, ring};
use serde::Serialize;

use super::super::{EventHash, address};
use super::network::Network;
use super::still::{as_published, checked};
use super::tally::Tally;
use crate::churn::duration;
use crate::{Impossible, Latency, LinkModel, Mode, draw, stats};

/// Most nodes at first.
// Guess: more take hours.
const NODES_MAX: u32 = 100_000;
/// Time that the last lookups have to end.
const LATE: Duration = Duration::from_secs(60);

/// A network, and what happens to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Params {
    /// How many nodes at first.
    pub nodes: u32,
    /// The length r of successor lists.
    pub successors: u32,
    /// Joins in a second, and failures, on average each.
    pub rate: f64,
    /// How many lookups.
    pub lookups: u32,
    /// Lookups in a second, on average.
    pub lookup_rate: f64,
    /// Shortest and longest time from one look at the neighbours to the next.
    pub stabilise: (Duration, Duration),
    /// How long a packet takes, drawn for each.
    pub delay: Latency,
    /// How long a node waits for an answer.
    pub timeout: Duration,
    /// Time before the first lookup, in which the network comes to be as worn as it
    /// stays.
    pub warm_up: Duration,
    /// Whether the overlay does everything it can, or only what was published.
    pub published: bool,
    /// Of everything.
    pub seed: u64,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            nodes: 1_000,
            successors: 20,
            rate: 0.05,
            lookups: 10_000,
            lookup_rate: 1.0,
            stabilise: (Duration::from_secs(15), Duration::from_secs(45)),
            delay: Latency::Exponential(Duration::from_millis(50)),
            timeout: Duration::from_millis(500),
            warm_up: Duration::from_secs(1_800),
            published: true,
            seed: 1,
        }
    }
}

/// How lookups went.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Nodes at first.
    pub nodes: u32,
    /// Nodes at the end.
    pub nodes_end: u32,
    /// The length of successor lists.
    pub successors: u32,
    /// Joins in a second, and failures.
    pub rate: f64,
    /// Lookups that ended, or should have; those of nodes that died do not count.
    pub lookups: u64,
    /// Hops on average, of those that succeeded.
    pub path_mean: f64,
    /// What 1 of 100 do not exceed.
    pub path_p01: u64,
    /// What 99 of 100 do not exceed.
    pub path_p99: u64,
    /// Contacts that did not answer, on average.
    pub timeouts_mean: f64,
    /// What theory says of that.
    pub timeouts_expected: f64,
    /// What 1 of 100 do not exceed.
    pub timeouts_p01: u64,
    /// What 99 of 100 do not exceed.
    pub timeouts_p99: u64,
    /// Lookups that did not lead to the node that was responsible when they ended.
    pub failures: u64,
    /// The same of 10,000.
    pub failures_per_10000: f64,
    /// Milliseconds of a lookup, the median.
    pub elapsed_ms_p50: f64,
    /// 99 of 100.
    pub elapsed_ms_p99: f64,
    /// Nodes that came.
    pub joins: u64,
    /// Nodes that died.
    pub leaves: u64,
    /// Times that pointers changed, or who is there. After each of them all that
    /// must hold was looked at.
    pub looks: u64,
    /// Of these, those after which something did not hold.
    pub invariant_violations: u64,
    /// What that was.
    pub told: Vec<String>,
    /// Messages of a node in a second, everything included.
    pub messages_per_node_second: f64,
    /// Virtual seconds.
    pub seconds: f64,
    /// Things that happened.
    pub events: u64,
    /// The hash over them.
    pub event_hash: EventHash,
}

/// Lets nodes come and go, and looks.
///
/// # Errors
///
/// If the numbers are impossible.
pub fn run(params: &Params) -> Result<Report, Impossible> {
    check(params)?;
    let mut churned = Churned::new(params);
    let warm = Timestamp::ZERO + params.warm_up;
    churned.pass(params, Some(warm), u64::MAX);
    churned.looking = true;
    churned.next_lookup = warm + churned.pause(params.lookup_rate);
    churned.pass(params, None, params.lookups.into());
    churned.looking = false;
    let end = churned.network.world.now() + LATE;
    churned.pass(params, Some(end), u64::MAX);
    Ok(churned.report(params))
}

fn check(params: &Params) -> Result<(), Impossible> {
    checked(params.nodes, params.successors, 1)?;
    if params.nodes > NODES_MAX {
        let possible = format!("at most {NODES_MAX} nodes");
        return Err(Impossible::new("--nodes", params.nodes, possible));
    }
    if params.lookups == 0 {
        return Err(Impossible::new("--lookups", 0, "at least one lookup"));
    }
    let most = f64::from(params.nodes);
    if !(0.0..=most).contains(&params.rate) {
        let possible = "from 0 to as many in a second as there are nodes";
        return Err(Impossible::new("--rate", params.rate, possible));
    }
    if !(1e-3..=1e4).contains(&params.lookup_rate) {
        let possible = "from 0.001 to 10000 lookups a second";
        return Err(Impossible::new(
            "--lookup-rate",
            params.lookup_rate,
            possible,
        ));
    }
    let (least, most) = params.stabilise;
    if least > most || least < Duration::from_millis(1) {
        let given = format!("{},{}", least.as_secs_f64(), most.as_secs_f64());
        let possible = "the shortest and the longest time in seconds: 15,45";
        return Err(Impossible::new("--stabilise", given, possible));
    }
    if params.timeout.is_zero() {
        return Err(Impossible::new("--timeout", "0 ms", "a time above 0"));
    }
    Ok(())
}

/// The overlay with these parameters.
fn config(params: &Params) -> Config {
    let (least, most) = params.stabilise;
    let successors = usize::try_from(params.successors).expect("checked");
    let published = as_published(successors, 1);
    let base = if params.published {
        published.ring
    } else {
        ring::Config {
            successors,
            ..ring::Config::default()
        }
    };
    Config {
        ring: ring::Config {
            is_maintained: true,
            stabilise_min: least,
            stabilise_max: most,
            finger_interval: (least + most) / 2,
            request_timeout: params.timeout,
            // Who does not answer is waited for to the end: that is a timeout.
            hedge_after: params.timeout,
            // A lookup has succeeded when it has reached the node responsible.
            confirms_owner: true,
            ..base
        },
        ..published
    }
}

struct Churned {
    network: Network,
    next_join: Timestamp,
    next_leave: Timestamp,
    next_lookup: Timestamp,
    looking: bool,
    asked: u64,
    joins: u64,
    leaves: u64,
}

impl Churned {
    fn new(params: &Params) -> Self {
        let mut model = LinkModel::new(Mode::Open, params.delay.clone());
        model.redrawn = true;
        let network = Network::settled(params.seed, model, config(params), params.nodes);
        let mut churned = Self {
            network,
            next_join: Timestamp::ZERO,
            next_leave: Timestamp::ZERO,
            next_lookup: Timestamp::MAX,
            looking: false,
            asked: 0,
            joins: 0,
            leaves: 0,
        };
        churned.network.watch();
        churned.next_join = Timestamp::ZERO + churned.pause(params.rate);
        churned.next_leave = Timestamp::ZERO + churned.pause(params.rate);
        churned
    }

    /// Until the next of so many in a second.
    fn pause(&mut self, rate: f64) -> Duration {
        if rate <= 0.0 {
            return Duration::from_secs(u32::MAX.into());
        }
        let drawn = -draw::unit_above_zero(&mut self.network.rng).ln() / rate;
        duration(drawn)
    }

    /// Lets things happen until then, or until so many lookups have begun.
    fn pass(&mut self, params: &Params, end: Option<Timestamp>, lookups: u64) {
        let end = end.unwrap_or(Timestamp::MAX);
        while self.asked < lookups {
            let mut at = self.next_join.min(self.next_leave).min(end);
            if self.looking {
                at = at.min(self.next_lookup);
            }
            self.network.until(at);
            if at == end {
                return;
            }
            if at == self.next_join {
                self.next_join = at + self.pause(params.rate);
                let known = self.network.somebody().map(address);
                self.network.join(known.into_iter().collect());
                self.joins += 1;
            }
            if at == self.next_leave {
                self.next_leave = at + self.pause(params.rate);
                if let Some(node) = self.network.somebody() {
                    self.network.crash(node);
                    self.leaves += 1;
                }
            }
            if self.looking && at == self.next_lookup {
                self.next_lookup = at + self.pause(params.lookup_rate);
                if let Some(node) = self.network.somebody() {
                    self.network.lookup(node);
                    self.asked += 1;
                }
            }
        }
    }

    fn report(self, params: &Params) -> Report {
        let crowd = self.network.world.app();
        let broken = crowd.watch.as_ref().map(|watch| watch.broken.clone());
        let broken = broken.unwrap_or_default();
        let (mut paths, mut timeouts) = (Tally::default(), Tally::default());
        let (mut elapsed, mut failures) = (Vec::new(), 0);
        for trial in &crowd.trials {
            match &trial.ended {
                Some(ended) if ended.is_right => {
                    paths.add(ended.cost.hops.into());
                    timeouts.add(ended.cost.timeouts.into());
                    elapsed.push(ended.cost.elapsed.as_secs_f64() * 1_000.0);
                }
                // The asker has died.
                None if trial.asker == u32::MAX => {}
                _ => failures += 1,
            }
        }
        elapsed.sort_unstable_by(f64::total_cmp);
        let lookups = paths.count() + failures;
        let at = |per_cent| stats::percentile(&elapsed, per_cent).unwrap_or(0.0);
        let world = self.network.world.stats();
        let seconds = (self.network.world.now() - Timestamp::ZERO).as_secs_f64();
        let messages = stats::share(world.messages, 1);
        Report {
            nodes: params.nodes,
            nodes_end: u32::try_from(crowd.count()).expect("numbers have 32 bits"),
            successors: params.successors,
            rate: params.rate,
            lookups,
            path_mean: paths.mean(),
            path_p01: paths.percentile(1.0),
            path_p99: paths.percentile(99.0),
            timeouts_mean: timeouts.mean(),
            timeouts_expected: timeouts_expected(params, paths.mean()),
            timeouts_p01: timeouts.percentile(1.0),
            timeouts_p99: timeouts.percentile(99.0),
            failures,
            failures_per_10000: stats::share(failures * 10_000, lookups),
            elapsed_ms_p50: at(50.0),
            elapsed_ms_p99: at(99.0),
            joins: self.joins,
            leaves: self.leaves,
            looks: broken.looks,
            invariant_violations: broken.times,
            told: broken.told(),
            messages_per_node_second: messages / seconds / f64::from(params.nodes),
            seconds,
            events: world.events,
            event_hash: EventHash(self.network.world.fingerprint()),
        }
    }
}

/// What theory says of the contacts that do not answer.
// Source: Stoica et al., Chord, ToN 2003, section VI-F, as a rate balance: fingers
// die, and are found dead by their own refresh or by lookups.
fn timeouts_expected(params: &Params, hops: f64) -> f64 {
    let nodes = f64::from(params.nodes);
    let (least, most) = params.stabilise;
    let mean = (least + most).as_secs_f64() / 2.0;
    let lookups = params.lookup_rate;
    let refreshed = hops * nodes / (3.0 * mean * nodes.log2());
    let used = hops / nodes.log2() * lookups;
    hops * params.rate / (params.rate + refreshed + used)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Params {
        Params {
            nodes: 120,
            successors: 10,
            rate: 0.02,
            lookups: 300,
            warm_up: Duration::from_secs(60),
            ..Params::default()
        }
    }

    /// Oracle D16, at a small size.
    #[test]
    fn lookups_succeed_while_nodes_come_and_go() {
        let report = run(&small()).unwrap();
        assert!(report.joins > 0 && report.leaves > 0, "{report:?}");
        assert!(report.failures <= 1, "{report:?}");
        assert_eq!(report.told, Vec::<String>::new());
        assert!(report.looks > 100, "{report:?}");
        assert!(report.timeouts_mean < 0.3, "{report:?}");
        assert!(
            report.path_mean > 1.0 && report.path_mean < 4.0,
            "{report:?}"
        );
    }

    /// Who takes silence for death too soon breaks the rule on which the proof rests.
    #[test]
    fn a_broken_rule_is_seen() {
        let second = Duration::from_secs(1);
        let patient = Params {
            nodes: 40,
            successors: 4,
            rate: 0.0,
            lookups: 60,
            stabilise: (second, second * 3),
            warm_up: second,
            ..small()
        };
        let report = run(&patient).unwrap();
        assert_eq!(report.told, Vec::<String>::new());
        // Who answers late is given twice as long: still less than most answers take.
        let hasty = Params {
            timeout: Duration::from_millis(20),
            ..patient
        };
        let report = run(&hasty).unwrap();
        assert!(report.invariant_violations > 0, "{report:?}");
        assert!(!report.told.is_empty());
    }

    #[test]
    fn the_expected_timeouts_are_those_of_the_formula() {
        // Oracle D16: its check values.
        for (rate, expected) in [(0.05, 0.041), (0.4, 0.304)] {
            let params = Params {
                rate,
                ..Params::default()
            };
            let found = timeouts_expected(&params, 3.9);
            assert!((found - expected).abs() < 0.01, "{found}");
        }
    }

    #[test]
    fn without_comings_and_goings_nothing_fails() {
        let still = Params {
            rate: 0.0,
            lookups: 60,
            warm_up: Duration::from_secs(10),
            ..small()
        };
        let report = run(&still).unwrap();
        assert_eq!((report.failures, report.invariant_violations), (0, 0));
        assert_eq!((report.joins, report.leaves), (0, 0));
        assert_eq!(run(&still), Ok(report.clone()));
        let other = run(&Params {
            seed: 2,
            ..still.clone()
        })
        .unwrap();
        assert_ne!(other.event_hash, report.event_hash);
        for wrong in [
            Params {
                nodes: 5,
                ..still.clone()
            },
            Params {
                nodes: u32::MAX,
                ..still.clone()
            },
            Params {
                lookups: 0,
                ..still.clone()
            },
            Params {
                rate: -1.0,
                ..still.clone()
            },
            Params {
                lookup_rate: 0.0,
                ..still.clone()
            },
            Params {
                timeout: Duration::ZERO,
                ..still.clone()
            },
            Params {
                stabilise: (Duration::from_secs(2), Duration::from_secs(1)),
                ..still
            },
        ] {
            assert!(run(&wrong).is_err(), "{wrong:?}");
        }
    }
}
