//! What came of a swarm.

use std::time::Duration;

use gannet_base::{GroupSet, Timestamp};

use super::Swarm;
use crate::Fingerprint;
use crate::stats::share;

/// Counted while it runs.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Living fetchers that are not done.
    pub(super) unfinished: u32,
    pub(super) messages: u64,
    pub(super) message_bytes: u64,
    pub(super) stored_bytes: u64,
    pub(super) fresh_bytes: u64,
    pub(super) slices: u64,
    /// What some fetcher has, and since when that is everything.
    pub(super) out: GroupSet,
    pub(super) all_out: Option<Timestamp>,
    pub(super) dropped_sources: u64,
    pub(super) wrong: u64,
    events: u64,
    print: Fingerprint,
}

impl Tally {
    pub(super) fn count(&mut self, at: Timestamp, (kind, a, b): (u64, u64, u64)) {
        self.events += 1;
        self.print.add(at.as_micros(), kind);
        self.print.add(a, b);
    }
}

/// How one fetcher ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// It has everything, after this long.
    Complete(Duration),
    /// It crashed, as it was told to.
    Crashed,
    /// It lived and did not finish; it has so many bytes.
    Incomplete(u64),
}

/// What came of a swarm. The same configuration gives the same outcome.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Every fetcher's end, in the order of nodes.
    pub finishes: Vec<Finish>,
    /// When the last living fetcher had everything; if some have not, when
    /// nothing more could come.
    pub took: Duration,
    /// Bytes that the seeds sent, proofs and messages included.
    pub seed_bytes: u64,
    /// Bytes that fetchers sent to each other, the same way.
    pub peer_bytes: u64,
    /// Bytes of the content that were received and written.
    pub stored_bytes: u64,
    /// Of those, bytes that were new to the receiver.
    pub fresh_bytes: u64,
    /// Slices that they came in.
    pub slices: u64,
    /// When every group was with some fetcher: no later than after this could
    /// the seeds rest. `None`: never.
    pub all_out: Option<Duration>,
    /// Messages between peers, headers of slices not counted.
    pub messages: u64,
    /// Bytes in them.
    pub message_bytes: u64,
    /// Times that a fetcher gave a source up.
    pub dropped_sources: u64,
    /// Slices served that were not there, and downloads called complete that
    /// were not: 0, or the cores are wrong.
    pub wrong: u64,
    /// Events of the simulation.
    pub events: u64,
    /// A hash over every event: equal runs have equal ones.
    pub event_hash: u64,
}

impl Outcome {
    /// Times of those who finished, ascending.
    pub fn times(&self) -> Vec<Duration> {
        let mut times: Vec<_> = self
            .finishes
            .iter()
            .filter_map(|finish| match finish {
                Finish::Complete(time) => Some(*time),
                _ => None,
            })
            .collect();
        times.sort_unstable();
        times
    }

    /// Whether every living fetcher has everything.
    pub fn is_complete(&self) -> bool {
        let incomplete = |finish: &Finish| matches!(finish, Finish::Incomplete(_));
        !self.finishes.iter().any(incomplete)
    }

    /// How often the seeds sent the content, counted in bytes of `size`.
    pub fn seed_copies(&self, size: u64) -> f64 {
        share(self.seed_bytes, size)
    }

    /// Received for nothing, as a share of what was needed.
    pub fn duplicate_share(&self) -> f64 {
        let duplicate = self.stored_bytes - self.fresh_bytes;
        share(duplicate, self.fresh_bytes)
    }
}

impl Swarm {
    pub(super) fn outcome(self) -> Outcome {
        let size = self.config.size;
        let took = self.last_finish().filter(|_| self.tally.unfinished == 0);
        let finish = |peer: &super::peer::Peer| match (peer.alive, peer.finished) {
            (false, _) => Finish::Crashed,
            (true, Some(at)) => Finish::Complete(at - Timestamp::ZERO),
            (true, None) => Finish::Incomplete(peer.have.bytes(size)),
        };
        let fetchers = self.nodes.iter().filter(|peer| !peer.is_seed);
        let sent = |seeds: bool| {
            let peers = self.nodes.iter().filter(|peer| peer.is_seed == seeds);
            peers.map(|peer| peer.up.bytes).sum()
        };
        Outcome {
            finishes: fetchers.map(finish).collect(),
            took: took.unwrap_or(self.now) - Timestamp::ZERO,
            seed_bytes: sent(true),
            peer_bytes: sent(false),
            stored_bytes: self.tally.stored_bytes,
            fresh_bytes: self.tally.fresh_bytes,
            slices: self.tally.slices,
            all_out: self.tally.all_out.map(|at| at - Timestamp::ZERO),
            messages: self.tally.messages,
            message_bytes: self.tally.message_bytes,
            dropped_sources: self.tally.dropped_sources,
            wrong: self.tally.wrong,
            events: self.tally.events,
            event_hash: self.tally.print.value(),
        }
    }
}
