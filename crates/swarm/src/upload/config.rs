//! The numbers of serving.

use std::time::Duration;

/// Limits and times of [`Uploads`](super::Uploads).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadsConfig {
    /// Uploads served at once. Too low: the line idles behind slow fetchers.
    /// Too high: everybody gets a trickle, and disks seek.
    pub slots_max: usize,
    /// Slots of one peer. Too low: a peer that fetches two files waits. Too
    /// high: few peers hold all slots.
    pub slots_per_peer_max: usize,
    /// Uploads in the queue. Too low: refusals. Too high: memory, and waits
    /// without end.
    pub queue_max: usize,
    /// Of those, of one peer.
    pub queue_per_peer_max: usize,
    /// Contents being looked up at once.
    pub lookups_max: usize,
    /// Requests of one upload that are not answered yet; more end it. Too low:
    /// fast fetchers idle. Too high: memory.
    pub requests_max: usize,
    /// Bytes in those requests. Too low: fast fetchers idle.
    pub requests_bytes_max: u64,
    /// Requests smaller than [`tiny_groups`](Self::tiny_groups) that one
    /// upload may make per second over time. Too low: honest slow fetchers are
    /// slowed. Too high: disks seek for nothing.
    pub tiny_requests_per_second: u64,
    /// What counts as a small request, groups.
    pub tiny_groups: u64,
    /// Slices handed to the driver at once for one stream. Too low: the stream
    /// idles while the next slice is read. Too high: nothing to cancel.
    pub serves_per_stream_max: usize,
    /// A slot without requests is taken back after this, if others wait. Too
    /// short: fetchers that wait for their disk lose it. Too long: slots held
    /// for nothing.
    pub idle_max: Duration,
    /// The same where we have only a part; its fetcher queues again. Too short:
    /// fetchers that wait for news of what we have lose it. Too long: in a
    /// swarm, those who have all that we have keep out those who need it.
    pub idle_partial_max: Duration,
    /// The same if nobody waits.
    pub idle_alone_max: Duration,
    /// A slot is taken back if the driver reports nothing written for this long
    /// although asked to: the fetcher does not read. Lookups get as long.
    pub stuck_max: Duration,
    /// A slot goes to the next in the queue after this long, if the upload has
    /// also had [`turn_bytes`](Self::turn_bytes); it queues again. Too short:
    /// many half-served. Too long: the queue stands still.
    pub turn_duration: Duration,
    /// See [`turn_duration`](Self::turn_duration), bytes.
    pub turn_bytes: u64,
    /// Places in the queue that changed are told this often. Too short: noise.
    /// Too long: stale places on screens.
    pub position_interval: Duration,
    /// Shortest time between two messages about what a partial content has;
    /// longer where those would take more than a sixtieth of the line. Too
    /// short: noise. Too long: in a swarm, groups are passed on late.
    pub have_interval: Duration,
    /// The same to a fetcher that asks for nothing just now: the news are what
    /// it waits for. Too short: noise. Too long: lines idle, and each step from
    /// peer to peer takes as long.
    pub have_interval_idle: Duration,
    /// Shortest time between two messages about what others asked for, of a
    /// content that is whole here. Too short: noise. Too long: fetchers of a
    /// scarce content ask for the same.
    pub given_interval: Duration,
}

impl Default for UploadsConfig {
    fn default() -> Self {
        Self {
            // Source: libtorrent unchokes 8.
            slots_max: 8,
            // Source: gtk-gnutella gives one per host; two, so that a small file passes a large one.
            slots_per_peer_max: 2,
            // Guess: a quarter of gtk-gnutella's PARQ, which holds 4,000.
            queue_max: 1_000,
            // Source: Nicotine+ queues 100 files per user.
            queue_per_peer_max: 100,
            // Guess.
            lookups_max: 1_000,
            // Guess: 64 MiB of the largest slices; libtorrent takes 2,000 of 16 KiB.
            requests_max: 64,
            // Guess: twice what our own fetcher has in flight at most.
            requests_bytes_max: 32 << 20,
            // Guess: 64 requests of a group are 1 MiB a second.
            tiny_requests_per_second: 64,
            // Guess: less than 64 KiB.
            tiny_groups: 4,
            // Guess: one being written, one being read.
            serves_per_stream_max: 2,
            // Guess.
            idle_max: Duration::from_secs(15),
            // Measured: a swarm of 48 that takes 24.5 s takes 25.7 s with 2.5 s.
            idle_partial_max: Duration::from_secs(1),
            // Guess.
            idle_alone_max: Duration::from_secs(120),
            // Source: twice libtorrent's request timeout of 60 s.
            stuck_max: Duration::from_secs(120),
            // Guess.
            turn_duration: Duration::from_secs(600),
            // Guess.
            turn_bytes: 1 << 30,
            // Guess.
            position_interval: Duration::from_secs(5),
            // Guess.
            have_interval: Duration::from_millis(250),
            // Measured: a swarm of 64 that takes 5.2 s with 250 ms takes 5.0 s with
            // this (`swarm_speed`).
            have_interval_idle: Duration::from_millis(50),
            // Guess: a round trip or two; few slices of a slow source.
            given_interval: Duration::from_millis(100),
        }
    }
}
