//! One peer: its cores, its lines, its streams.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use gannet_base::{GroupSet, Rng, Timestamp};
use gannet_swarm::{Downloads, Have, Uploads};

use super::config::SwarmConfig;
use super::line::Line;
use super::stream::{Packet, Stream};
use crate::draw::below;

/// The receiving end of a stream.
#[derive(Debug)]
pub(super) struct Fetching {
    pub(super) stream: u64,
    pub(super) unreported: u64,
    pub(super) reported: Timestamp,
}

#[derive(Debug)]
pub(super) struct Peer {
    pub(super) is_seed: bool,
    pub(super) alive: bool,
    pub(super) downloads: Downloads,
    pub(super) uploads: Uploads,
    pub(super) have: GroupSet,
    /// It knows the size, so it can serve what it has.
    pub(super) proven: bool,
    pub(super) finished: Option<Timestamp>,
    /// Half of its share of the latency to anybody.
    pub(super) access: Duration,
    pub(super) links: BTreeSet<u32>,
    /// Streams that it fetches on, by source.
    pub(super) fetching: BTreeMap<u32, Fetching>,
    /// The present stream to each fetcher, and all that have something to send.
    pub(super) serving: BTreeMap<u32, u64>,
    pub(super) streams: BTreeMap<u64, Stream>,
    /// Streams that take turns on the uplink.
    pub(super) line: VecDeque<u64>,
    pub(super) sending: Option<Packet>,
    pub(super) up: Line,
    pub(super) down: Line,
    pub(super) wake_at: Option<Timestamp>,
}

impl Peer {
    pub(super) fn new(config: &SwarmConfig, node: u32, mut rng: Rng) -> Self {
        let is_seed = node < config.seeds;
        let (low, high) = config.latency;
        let spread = super::micros(high.saturating_sub(low) / 2).max(1);
        let extra = below(&mut rng, spread);
        let have = if is_seed {
            GroupSet::whole(config.size)
        } else {
            GroupSet::new()
        };
        let up = config.seed_up.filter(|_| is_seed).unwrap_or(config.up);
        Self {
            is_seed,
            alive: true,
            downloads: Downloads::new(config.downloads.clone(), rng),
            uploads: Uploads::new(config.uploads.clone()),
            have,
            proven: is_seed,
            finished: None,
            access: low / 2 + Duration::from_micros(extra),
            links: BTreeSet::new(),
            fetching: BTreeMap::new(),
            serving: BTreeMap::new(),
            streams: BTreeMap::new(),
            line: VecDeque::new(),
            sending: None,
            up: Line::new(up),
            down: Line::new(config.down),
            wake_at: None,
        }
    }

    /// A fetcher has opened a stream.
    pub(super) fn open(&mut self, fetcher: u32, stream: u64) {
        self.serving.insert(fetcher, stream);
        self.streams.insert(stream, Stream::new(fetcher));
    }

    /// What it can tell of what it has.
    pub(super) fn offer(&self, size: u64) -> Have {
        Have::of(&self.have, size)
    }
}
