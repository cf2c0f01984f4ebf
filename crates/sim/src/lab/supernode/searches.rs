//! Searches, and what came of a series of them.

use std::time::Duration;

use gannet_overlay::flood::Wanted;
use gannet_overlay::supernode::SupernodeCommand;

use super::super::search::Report;
use super::super::search::report::{self, Run};
use super::super::{EventHash, below};
use super::network::{Network, TICK};
use super::public::Peer;

/// Longest wait for the last search of a series.
// Guess: longer than any search may take.
const LATE_MAX: Duration = Duration::from_secs(300);
/// Time for what is still on its way.
const ON_ITS_WAY: Duration = Duration::from_secs(10);

/// A series of searches.
#[derive(Debug, Clone, Copy)]
pub(super) struct Series {
    pub(super) queries: u32,
    /// How many holders are enough.
    pub(super) enough: u32,
    /// From one search to the next.
    pub(super) interval: Duration,
}

impl<P: Peer> Network<P> {
    /// Somebody who does not have it asks for something; the search's number.
    pub(super) fn ask(&mut self, enough: u32) -> Option<u64> {
        let file = self.world.app().people.library.target(&mut self.rng);
        let nodes = self.world.nodes();
        // Guess: with a thousand draws somebody is found unless hardly anybody is up.
        let searcher = (0..1_000)
            .map(|_| below(&mut self.rng, nodes))
            .find(|node| {
                self.world.is_running(*node) && !self.world.app().people.library.holds(*node, file)
            })?;
        Some(self.search(searcher, file, enough))
    }

    /// This peer asks for this file; the search's number.
    pub(super) fn search(&mut self, searcher: u32, file: u32, enough: u32) -> u64 {
        let now = self.world.now();
        let people = &mut self.world.app_mut().people;
        let query = people.library.query(file);
        let id = people.begin(now, searcher, file);
        let command = SupernodeCommand::Search {
            id,
            wanted: Wanted::Words(query),
            enough,
        };
        self.world.command(searcher, command);
        id
    }

    /// A series of searches, to the end of the last.
    pub(super) fn searches(&mut self, series: Series) -> Report {
        let began = self.world.now();
        self.world.app_mut().people.begin_counting();
        let mut census_at = began;
        for _ in 0..series.queries {
            let until = self.world.now() + series.interval;
            self.run_until(until);
            if until - census_at >= TICK {
                self.census.take(&self.world);
                census_at = until;
            }
            self.ask(series.enough);
        }
        let last = self.world.now();
        while self.world.app().people.running > 0 && self.world.now() - last < LATE_MAX {
            self.pass(TICK);
        }
        self.pass(ON_ITS_WAY);
        self.world.app_mut().people.counting = false;
        self.sum_up(self.world.now() - began)
    }

    fn sum_up(&self, took: Duration) -> Report {
        let people = &self.world.app().people;
        let run = Run {
            overlay: "supernode",
            nodes: self.world.nodes(),
            files: people.library.files(),
            degree_mean: super::report::links_of(self).mean,
            listed: None,
            took,
            events: self.world.stats().events,
            event_hash: EventHash(self.world.fingerprint()),
        };
        report::of(people, &run)
    }
}
