//! Small networks of two tiers in which everything goes wrong, and heals.
//!
//! While it does, nothing wrong may be reported and every search must end. After
//! it, every peer must have service within a bound, each leaf must be registered
//! where the rules say, the supernodes must be one network, and everything that
//! is there must be found.

use std::sync::Arc;
use std::time::Duration;

use gannet_base::{Timestamp, fork_rng, seeded_rng};
use gannet_overlay::supernode::{Config, Supernode};

use super::super::join::{claims, links};
use super::super::library::{Library, Shares};
use super::super::people::Trial;
use super::super::seeds::{FINAL_SEARCHES, HEALING, LATE, Outcome, TROUBLE, Trouble};
use super::super::seeds::{model, trouble};
use super::super::{address, below, index};
use super::invariants::broken;
use super::network::{Network, TICK};
use crate::Faults;

/// From one newcomer to the next.
const ARRIVAL: Duration = Duration::from_millis(300);
/// Time that the last newcomers have.
const SETTLING: Duration = Duration::from_secs(30);
/// Longest time after healing until everybody has service.
// Guess: a supernode that does not answer is left, others are asked with pauses
// that have grown, and at last one becomes a supernode by itself.
const SERVICE_MAX: Duration = Duration::from_secs(120);
/// Longest that a search may take, whatever happens: its own limit, and time
/// that its searcher slept.
const SEARCH_MAX: Duration = Duration::from_secs(100);

/// A network of a seed.
struct Troubled {
    network: Network<Supernode>,
    nodes: u32,
    files: u32,
    /// Whom the user of each peer names; together they lead to everybody.
    named: Vec<u32>,
    /// When each search began, who searches, and its number.
    under_way: Vec<(Timestamp, u32, u64)>,
    crashes: u64,
}

/// Runs the network of a seed.
///
/// # Errors
///
/// What went wrong, in words.
pub(in crate::lab) fn one(seed: u64, outcome: &mut Outcome) -> Result<(), String> {
    let mut troubled = Troubled::new(seed);
    let result = troubled.play(outcome);
    let stats = troubled.network.world.stats();
    outcome.crashes = troubled.crashes;
    outcome.lost = stats.lost + stats.cut;
    outcome.events = stats.events;
    outcome.hash = troubled.network.world.fingerprint();
    result
}

impl Troubled {
    /// Size, links, faults and places are drawn from the seed.
    fn new(seed: u64) -> Self {
        let mut rng = seeded_rng(seed);
        let nodes = 15 + below(&mut rng, 31);
        let files = 20 + below(&mut rng, 40);
        let shares = Shares {
            nodes,
            files,
            copies: 1.0 + f64::from(below(&mut rng, 30)) / 10.0,
            zipf: 0.8,
        };
        let library = Library::new(shares, &mut fork_rng(&mut rng));
        let model = model(&mut rng);
        let mut some = |least: u32, more: u32| {
            u16::try_from(least + below(&mut rng, more)).expect("both are small")
        };
        let mut config = Config {
            leaves_max: some(6, 10),
            supernodes_min: some(2, 6),
            ..Config::default()
        };
        // Fewer links than supernodes: not everybody knows everybody.
        Arc::make_mut(&mut config.flood).neighbours_target = some(4, 5);
        let named = (0..nodes).map(|node| match node {
            0 => 1,
            _ => below(&mut rng, node),
        });
        let named = named.collect();
        Self {
            network: Network::new((library, nodes), config, (seed, model), |_, core| core, rng),
            nodes,
            files,
            named,
            under_way: Vec::new(),
            crashes: 0,
        }
    }

    fn play(&mut self, outcome: &mut Outcome) -> Result<(), String> {
        for node in 0..self.nodes {
            let named = self.named[index(node)];
            // The first one begins before the one that it names.
            let told = if node > 0 {
                vec![address(named)]
            } else {
                Vec::new()
            };
            self.network.add(told);
            self.wait(ARRIVAL)?;
        }
        self.wait(SETTLING)?;
        let end = self.network.world.now() + TROUBLE;
        while self.network.world.now() < end {
            self.trouble();
            let pause = u64::from(below(&mut self.network.rng, 4_000));
            self.wait(Duration::from_millis(pause))?;
        }
        let trials = &self.network.world.app().people.trials;
        outcome.troubled = trials.len() as u64;
        outcome.troubled_found = trials.iter().filter(|t| !t.found.is_empty()).count() as u64;
        self.heal();
        outcome.healed_s = self.until_one()?.as_secs_f64();
        outcome.healed = self.find_everything()?;
        Ok(())
    }

    fn trouble(&mut self) {
        match trouble(&mut self.network.world, &mut self.network.rng) {
            Trouble::Crash(node) => {
                self.crashes += u64::from(self.network.world.core(node).is_some());
                self.network.crash(node);
                // Half of them come back soon, with what they remember or without.
                if self.network.chance() {
                    self.network.forget(node);
                }
                if self.network.chance() {
                    self.restart(node);
                }
            }
            Trouble::Restart(node) => self.restart(node),
            Trouble::Search(node) => {
                let file = below(&mut self.network.rng, self.files);
                self.search(node, file, 1);
            }
            Trouble::None => {}
        }
    }

    fn restart(&mut self, node: u32) {
        let named = self.named[index(node)];
        self.network.restart(node, vec![address(named)]);
    }

    fn search(&mut self, node: u32, file: u32, enough: u32) -> u64 {
        let id = self.network.search(node, file, enough);
        let began = self.network.world.now();
        self.under_way.push((began, node, id));
        id
    }

    fn trial(&self, id: u64) -> &Trial {
        let place = usize::try_from(id).expect("it is in a list");
        &self.network.world.app().people.trials[place]
    }

    /// Time passes, and what must always hold is checked.
    fn wait(&mut self, time: Duration) -> Result<(), String> {
        self.network.pass(time);
        let people = &self.network.world.app().people;
        if people.wrong > 0 {
            return Err(format!("{} answers were wrong", people.wrong));
        }
        let now = self.network.world.now();
        let mut under_way = std::mem::take(&mut self.under_way);
        under_way.retain(|(_, _, id)| {
            let trial = self.trial(*id);
            trial.outcome.is_none() && !trial.abandoned
        });
        self.under_way = under_way;
        let late = self.under_way.iter().find(|(began, node, _)| {
            // Who sleeps cannot end a search.
            self.network.world.is_running(*node) && now - *began > SEARCH_MAX + TROUBLE
        });
        match late {
            Some((began, node, id)) => Err(format!(
                "search {id} of peer {node}, begun at {began}, has not ended at {now}"
            )),
            None => Ok(()),
        }
    }

    /// Everybody is up, awake and linked as they like, and no message is lost.
    fn heal(&mut self) {
        self.network.world.set_faults(Faults::NONE);
        self.network.world.heal();
        for node in 0..self.nodes {
            self.network.world.pause(node, false);
            if self.network.world.core(node).is_none() {
                self.restart(node);
            }
        }
    }

    /// Waits until everybody has service, the rules hold, and the supernodes
    /// make one network.
    fn until_one(&mut self) -> Result<Duration, String> {
        let began = self.network.world.now();
        loop {
            self.wait(TICK * 5)?;
            let took = self.network.world.now() - began;
            let unserved = self.network.census.unserved;
            if unserved > 0 && took > SERVICE_MAX {
                return Err(format!(
                    "{} s after healing {unserved} of {} peers have no service",
                    took.as_secs(),
                    self.nodes
                ));
            }
            let broken = broken(&mut self.network);
            let parts = self.parts();
            if unserved == 0 && broken.count == 0 && parts.len() <= 1 {
                return Ok(took);
            }
            if took > HEALING {
                return Err(format!(
                    "{} s after healing the supernodes are in parts of {parts:?}, and {:?}",
                    took.as_secs(),
                    broken.told
                ));
            }
        }
    }

    /// The sizes of the parts that the supernodes' links make.
    fn parts(&self) -> Vec<u32> {
        let supernodes = self.network.supernodes();
        let now = self.network.world.now();
        let statuses = supernodes
            .iter()
            .filter_map(|node| Some((*node, self.network.world.core(*node)?.status(now).flood?)));
        let (graph, _) = links(self.nodes, &claims(statuses));
        let alone = self.nodes - u32::try_from(supernodes.len()).expect("at most all");
        let mut sizes: Vec<u32> = graph.components().sizes;
        // Leaves have no such links: each is a part of its own.
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        sizes.truncate(sizes.len().saturating_sub(index(alone)));
        sizes
    }

    /// Every copy of some files, from some peers.
    fn find_everything(&mut self) -> Result<u64, String> {
        for _ in 0..FINAL_SEARCHES {
            let node = below(&mut self.network.rng, self.nodes);
            let file = below(&mut self.network.rng, self.files);
            let id = self.search(node, file, u32::MAX);
            let began = self.network.world.now();
            while self.trial(id).outcome.is_none() {
                if self.network.world.now() - began > SEARCH_MAX {
                    return Err(format!("search {id} of the healed network has not ended"));
                }
                self.wait(TICK)?;
            }
            let trial = self.trial(id);
            if trial.found.len() < index(trial.alive) {
                return Err(self.what_is_missing(node, id));
            }
        }
        Ok(u64::from(FINAL_SEARCHES))
    }

    /// A search has missed copies: which, and whether they come later.
    fn what_is_missing(&mut self, node: u32, id: u64) -> String {
        let trial = self.trial(id);
        let (file, found, outcome) = (trial.file, trial.found.clone(), trial.outcome);
        self.network.pass(LATE);
        let late = self.trial(id).found.len() - found.len();
        let holders = self.network.world.app().people.library.holders(file).iter();
        let missing: Vec<u32> = holders
            .filter(|holder| **holder != node && !found.contains(holder))
            .copied()
            .collect();
        format!(
            "search {id} of peer {node} in the healed network of {} found {found:?} and not \
             {missing:?}, {late} of them came later; it ended with {outcome:?}",
            self.nodes
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::search::Overlay;
    use super::super::super::seeds::{Params, run};

    fn seeds(from: u64, count: u32) -> Params {
        Params {
            overlay: Overlay::Supernode,
            from,
            count,
        }
    }

    /// The gate: 60 seeds. More by
    /// `gannet lab seeds --overlay supernode --from 1 --count 10000`.
    #[test]
    fn nothing_wrong_in_trouble_and_everything_found_after_it() {
        let report = run(&seeds(1, 60)).unwrap();
        assert_eq!(report.failures, []);
        assert_eq!(report.passed, 60);
        assert!(
            report.crashes > 150 && report.messages_lost > 10_000,
            "{report:?}"
        );
        assert!(report.troubled_searches > 600, "{report:?}");
        assert!(report.troubled_recall > 0.3, "{report:?}");
    }

    #[test]
    fn a_seed_repeats() {
        let one = seeds(7, 2);
        assert_eq!(run(&one), run(&one));
        assert_ne!(
            run(&one).unwrap().event_hash,
            run(&seeds(8, 2)).unwrap().event_hash
        );
    }
}
