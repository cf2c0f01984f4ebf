//! The parameters of a swarm.

use std::time::Duration;

use gannet_base::{GROUP_BYTES, groups_in};
use gannet_swarm::{DownloadsConfig, UploadsConfig};

use crate::stats::share;

/// A swarm to be run.
#[derive(Debug, Clone, PartialEq)]
pub struct SwarmConfig {
    /// Peers that start with nothing.
    pub peers: u32,
    /// Peers that start with everything.
    pub seeds: u32,
    /// Size of the content, bytes; not 0.
    pub size: u64,
    /// What each peer can send, bytes a second; not 0.
    pub up: u64,
    /// What each peer can receive, bytes a second; not 0.
    pub down: u64,
    /// The same for seeds' sending, if it differs.
    pub seed_up: Option<u64>,
    /// Share of the fetchers that crash, 0 to 1; rounded to whole peers.
    pub die: f64,
    /// Share of the seeds that crash, 0 to 1.
    pub die_seeds: f64,
    /// One-way latency between two peers lies between these two.
    pub latency: (Duration, Duration),
    /// Fetchers start within this time.
    pub start_spread: Duration,
    /// Most peers that the tracker names at once. Too low: a thin swarm. Too
    /// high: no fetcher keeps as many.
    pub named_max: usize,
    /// After this long without a word, a link counts as down.
    pub silence: Duration,
    /// How long a dial of a dead peer takes.
    pub dial_timeout: Duration,
    /// Bytes of one stream that may be on their way, beside what the latency
    /// takes.
    pub window: u64,
    /// Of every peer's downloads.
    pub downloads: DownloadsConfig,
    /// Of every peer's uploads.
    pub uploads: UploadsConfig,
    /// Everything random hangs on it.
    pub seed: u64,
}

impl Default for SwarmConfig {
    fn default() -> Self {
        Self {
            peers: 64,
            seeds: 1,
            size: 256 << 20,
            up: 2_000_000,
            down: 8_000_000,
            seed_up: None,
            die: 0.0,
            die_seeds: 0.0,
            // Guess: the same continent.
            latency: (Duration::from_millis(10), Duration::from_millis(30)),
            // A flash crowd: everybody at once.
            start_spread: Duration::ZERO,
            // Source: BitTorrent trackers name 50 by default.
            named_max: 50,
            // Source: the idle timeout of `net`.
            silence: Duration::from_secs(30),
            // Source: the dial timeout of `net`.
            dial_timeout: Duration::from_secs(10),
            // Guess: some packets.
            window: 128 * 1024,
            downloads: DownloadsConfig::default(),
            uploads: UploadsConfig::default(),
            seed: 1,
        }
    }
}

impl SwarmConfig {
    /// What all seeds together send, bytes a second.
    pub fn seeds_up(&self) -> u64 {
        u64::from(self.seeds).saturating_mul(self.seed_up.unwrap_or(self.up))
    }

    /// The least time in which all can have it: the seeds must send it once,
    /// each must receive it, all together must send it to everybody.
    ///
    /// Source: Kumar & Ross, peer-to-peer file distribution: the minimum
    /// distribution time.
    pub fn ideal(&self) -> Duration {
        let peers = u64::from(self.peers);
        let all = self
            .seeds_up()
            .saturating_add(self.up.saturating_mul(peers));
        let once = seconds(self.size, self.seeds_up());
        let each = seconds(self.size, self.down);
        let together = seconds(self.size.saturating_mul(peers), all);
        Duration::from_secs_f64(once.max(each).max(together))
    }

    /// With one seed, equal lines and `M` pieces sent in rounds: the least time
    /// is `M + floor(log2 N)` rounds. Pieces are groups, the smallest that can
    /// be passed on.
    ///
    /// Source: Mundinger, Weber & Weiss, optimal scheduling of peer-to-peer
    /// file dissemination.
    pub fn rounds(&self) -> Duration {
        let pieces = groups_in(self.size);
        let rounds = pieces + u64::from(self.peers.max(1).ilog2());
        Duration::from_secs_f64(seconds(rounds.saturating_mul(GROUP_BYTES), self.up))
    }

    /// How many of `all` a share is, to the nearest.
    pub(crate) fn doomed(all: u32, share: f64) -> u32 {
        let rounded = (f64::from(all) * share).round();
        (0..=all)
            .rev()
            .find(|n| f64::from(*n) <= rounded)
            .unwrap_or(0)
    }

    /// When a run is given up.
    pub(super) fn patience(&self) -> Duration {
        self.ideal() * 50 + Duration::from_secs(3_600)
    }
}

fn seconds(bytes: u64, rate: u64) -> f64 {
    share(bytes, rate.max(1))
}
