//! What all downloads share: configuration, outbox, timers, links, trust.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use gannet_base::{ContentId, Output, PeerId, Rng, Timestamp};
use rand_core::Rng as _;

use super::config::DownloadsConfig;
use super::event::DownloadEvent;
use crate::message::TransferMessage;
use crate::timers::Timers;

/// Peers whose wrong bytes are remembered at most.
// Source: gtk-gnutella remembers 10,000 hostile hosts.
const DISTRUSTED_MAX: usize = 10_000;

/// Who is woken at a deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// Something of the download as a whole is due.
    Download(ContentId),
    /// Something of one source is due.
    Source(ContentId, PeerId),
}

/// A peer that sent wrong bytes.
#[derive(Debug)]
struct Distrust {
    contents: BTreeSet<ContentId>,
    until: Timestamp,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: DownloadsConfig,
    pub(super) rng: Rng,
    pub(super) outbox: VecDeque<Output<TransferMessage, DownloadEvent>>,
    pub(super) timers: Timers<Timer>,
    /// Peers with a link; as many as the driver has links.
    pub(super) links: BTreeSet<PeerId>,
    /// Peers whose dial was asked for and has not been answered.
    pub(super) dialing: BTreeSet<PeerId>,
    /// Asked for, still wanted, not here yet; all downloads.
    pub(super) in_flight_bytes: u64,
    /// Downloads that wait for room under the global limit, in turn.
    pub(super) starved: VecDeque<ContentId>,
    /// Some download may wait for its turn.
    pub(super) yielding: bool,
    /// Downloads that connect or fetch.
    pub(super) busy: usize,
    distrusted: BTreeMap<PeerId, Distrust>,
}

impl Shared {
    pub(super) fn new(config: DownloadsConfig, rng: Rng) -> Self {
        Self {
            config,
            rng,
            outbox: VecDeque::new(),
            timers: Timers::default(),
            links: BTreeSet::new(),
            dialing: BTreeSet::new(),
            in_flight_bytes: 0,
            starved: VecDeque::new(),
            yielding: false,
            busy: 0,
            distrusted: BTreeMap::new(),
        }
    }

    pub(super) fn send(&mut self, to: PeerId, message: TransferMessage) {
        self.outbox.push_back(Output::Send { to, message });
    }

    pub(super) fn event(&mut self, event: DownloadEvent) {
        self.outbox.push_back(Output::Event(event));
    }

    /// Between half of `wait` and `wait`.
    pub(super) fn jitter(&mut self, wait: Duration) -> Duration {
        let half = wait / 2;
        let micros = u64::try_from(half.as_micros()).unwrap_or(u64::MAX);
        half + Duration::from_micros(self.rng.next_u64() % micros.max(1))
    }

    /// `peer` sent wrong bytes for `content`.
    pub(super) fn distrust(&mut self, now: Timestamp, peer: PeerId, content: ContentId) {
        if self.distrusted.len() >= DISTRUSTED_MAX && !self.distrusted.contains_key(&peer) {
            self.distrusted.retain(|_, entry| entry.until > now);
            if self.distrusted.len() >= DISTRUSTED_MAX {
                let first = self.distrusted.iter().min_by_key(|(_, entry)| entry.until);
                let first = first.map(|(peer, _)| *peer);
                first.and_then(|peer| self.distrusted.remove(&peer));
            }
        }
        let contents_max = usize::try_from(self.config.corrupt_contents_max).unwrap_or(usize::MAX);
        let until = now + self.config.distrust_duration;
        let entry = self.distrusted.entry(peer).or_insert_with(|| Distrust {
            contents: BTreeSet::new(),
            until,
        });
        entry.until = until;
        if entry.contents.len() < contents_max {
            entry.contents.insert(content);
        }
    }

    /// For how many contents `peer` sent wrong bytes lately; counts no further
    /// than the limit.
    pub(super) fn corrupt_contents(&self, now: Timestamp, peer: PeerId) -> u32 {
        let entry = self.distrusted.get(&peer).filter(|entry| entry.until > now);
        entry.map_or(0, |entry| {
            u32::try_from(entry.contents.len()).unwrap_or(u32::MAX)
        })
    }
}
