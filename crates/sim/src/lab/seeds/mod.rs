//! Many small networks under faults, each from a seed of its own.
//!
//! Two phases. First everything goes wrong: messages are lost, doubled and
//! overtaken, peers crash, come back with and without their memory, are paused,
//! and the network is cut in two, both ways or one way. Then nothing wrong may
//! be reported, and every search must end. After that all is healed, and then
//! the network must become one, and everything that is there must be found. A ring
//! has a third phase.
//!
//! What is checked is known outside the cores: who has what, and who is up.

mod flood;
mod trouble;
mod under_way;

use std::time::Duration;

use gannet_base::Core;
use serde::Serialize;

use super::people::Trial;
use super::search::Overlay;
use super::{EventHash, chord, supernode};
use crate::{App, Fingerprint, Impossible, World};

pub(super) use trouble::{Trouble, heal, library, model, trouble};
pub(super) use under_way::{UnderWay, missed};

/// Virtual time during which everything goes wrong.
pub(super) const TROUBLE: Duration = Duration::from_secs(120);
/// Longest time after that until the network is one.
// Measured: shuffling finds the other part within two of its intervals.
pub(super) const HEALING: Duration = Duration::from_secs(1_800);
/// Time in which what was missing may come late.
pub(super) const LATE: Duration = Duration::from_secs(10);
/// Searches after healing.
pub(super) const FINAL_SEARCHES: u32 = 6;

/// Which seeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Params {
    /// Which overlay has to bear it.
    pub overlay: Overlay,
    /// The first.
    pub from: u64,
    /// How many, one after the other.
    pub count: u32,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            overlay: Overlay::Flood,
            from: 1,
            count: 200,
        }
    }
}

/// What came of all seeds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The first seed.
    pub from: u64,
    /// How many there were.
    pub count: u32,
    /// How many went as they should.
    pub passed: u32,
    /// Those that did not.
    pub failures: Vec<Failure>,
    /// Searches while everything went wrong.
    pub troubled_searches: u64,
    /// The share of those that found something.
    pub troubled_recall: f64,
    /// Searches after healing, each of which found every copy.
    pub healed_searches: u64,
    /// Crashes in all of them.
    pub crashes: u64,
    /// Messages lost, to faults and at cuts.
    pub messages_lost: u64,
    /// Longest time until a network was one again, seconds.
    pub healed_s_max: f64,
    /// Things that happened.
    pub events: u64,
    /// The hash over all of them.
    pub event_hash: EventHash,
}

/// A seed that did not go as it should.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// What went wrong.
    pub what: String,
    /// What to type to see it again.
    pub replay: String,
}

/// Runs all seeds.
///
/// # Errors
///
/// If there is none.
pub fn run(params: &Params) -> Result<Report, Impossible> {
    if params.count == 0 {
        return Err(Impossible::new("--count", 0, "at least one seed"));
    }
    let mut hash = Fingerprint::default();
    let mut sum = Outcome::default();
    let mut failures = Vec::new();
    for seed in (params.from..).take(usize::try_from(params.count).unwrap_or(usize::MAX)) {
        let mut outcome = Outcome::default();
        let (result, option) = match params.overlay {
            Overlay::Flood => (flood::one(seed, &mut outcome), ""),
            Overlay::Supernode => {
                let result = supernode::seeds::one(seed, &mut outcome);
                (result, " --overlay supernode")
            }
            Overlay::Dht => (chord::seeds::one(seed, &mut outcome), " --overlay dht"),
        };
        if let Err(what) = result {
            failures.push(Failure {
                seed,
                what,
                replay: format!("gannet lab seeds{option} --from {seed} --count 1"),
            });
        }
        hash.add(outcome.hash, outcome.events);
        sum.add(&outcome);
    }
    let failed = u32::try_from(failures.len()).expect("at most one each");
    Ok(Report {
        from: params.from,
        count: params.count,
        passed: params.count - failed,
        failures,
        troubled_searches: sum.troubled,
        troubled_recall: crate::stats::share(sum.troubled_found, sum.troubled),
        healed_searches: sum.healed,
        crashes: sum.crashes,
        messages_lost: sum.lost,
        healed_s_max: sum.healed_s,
        events: sum.events,
        event_hash: EventHash(hash.value()),
    })
}

/// What came of a seed.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) troubled: u64,
    pub(super) troubled_found: u64,
    pub(super) healed: u64,
    pub(super) crashes: u64,
    pub(super) lost: u64,
    pub(super) healed_s: f64,
    pub(super) events: u64,
    pub(super) hash: u64,
}

impl Outcome {
    fn add(&mut self, other: &Self) {
        self.troubled += other.troubled;
        self.troubled_found += other.troubled_found;
        self.healed += other.healed;
        self.crashes += other.crashes;
        self.lost += other.lost;
        self.healed_s = self.healed_s.max(other.healed_s);
        self.events += other.events;
    }

    /// Notes what happened in a world, however it went.
    pub(super) fn note_world<C, A>(&mut self, world: &World<C, A>, crashes: u64)
    where
        C: Core,
        C::Message: Clone,
        A: App<C>,
    {
        let stats = world.stats();
        self.crashes = crashes;
        self.lost = stats.lost + stats.cut;
        self.events = stats.events;
        self.hash = world.fingerprint();
    }

    /// Notes all searches so far, which were in trouble.
    pub(super) fn note_troubled(&mut self, trials: &[Trial]) {
        self.troubled = trials.len() as u64;
        self.troubled_found = trials.iter().filter(|t| !t.found.is_empty()).count() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The gate: 200 seeds. More by `gannet lab seeds --from 1 --count 100000`.
    #[test]
    fn nothing_wrong_in_trouble_and_everything_found_after_it() {
        let report = run(&Params::default()).unwrap();
        assert_eq!(report.failures, []);
        assert_eq!(report.passed, 200);
        assert!(
            report.crashes > 500 && report.messages_lost > 10_000,
            "{report:?}"
        );
        assert!(report.troubled_searches > 2_000, "{report:?}");
        assert!(report.troubled_recall > 0.5, "{report:?}");
    }

    /// Networks that once stayed in parts, or missed copies, after all was healed.
    #[test]
    fn what_once_failed_does_not_again() {
        for from in [20, 100, 140, 264, 268, 427, 497, 614, 710, 978] {
            let report = run(&Params {
                from,
                count: 1,
                ..Params::default()
            })
            .unwrap();
            assert_eq!(report.failures, []);
        }
    }

    #[test]
    fn a_seed_repeats() {
        let one = Params {
            from: 7,
            count: 2,
            ..Params::default()
        };
        assert_eq!(run(&one), run(&one));
        let other = run(&Params { from: 8, ..one }).unwrap();
        assert_ne!(run(&one).unwrap().event_hash, other.event_hash);
        assert!(run(&Params { count: 0, ..one }).is_err());
    }
}
