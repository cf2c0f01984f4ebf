//! What can be set, and the reasons for what is.

use std::time::Duration;

/// How a hub treats its peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// Peers served at once; the next one is refused. Too low: peers without a
    /// hub. Too high: memory (about 512 bytes each besides entries) and a
    /// herd that cannot be served.
    // Guess: an OpenNap server of its time carried 4,000 users.
    pub peers_max: usize,
    /// How long a silent peer stays registered. Too low: a lost keep-alive
    /// unregisters the living. Too high: the dead are found.
    // Guess: four keep-alives of a client with default settings.
    pub lease: Duration,
    /// How long a peer whose link went down stays registered. Too low: every
    /// change of address costs a whole registration. Too high: as `lease`.
    // Guess: longer than a reconnection, which takes seconds.
    pub grace: Duration,
    /// Entries of one peer. Too low: large collections are found in part. Too
    /// high: one peer can fill the hub.
    // Source: Direct Connect and Soulseek clients share at most a few hundred
    // thousand files; 100,000 covers nearly all.
    pub entries_per_peer_max: usize,
    /// Bytes of one peer's entries, as the index charges them: about twice
    /// their memory. Too low: large collections with long paths are found in
    /// part. Too high: one peer can fill the memory with few, long entries.
    // Source: 64 MiB of memory, ample for 100,000 entries with long paths.
    pub bytes_per_peer_max: usize,
    /// Entries of all peers. Too low: peers are refused while there is memory.
    /// Too high: memory, about 300 bytes each.
    // Guess: 3 GB.
    pub entries_max: usize,
    /// Questions that one peer gets answered per second for long. Too low:
    /// users wait. Too high: one peer can take a whole core.
    // Guess: faster than anybody types, with room for sources of downloads.
    pub queries_per_second: u32,
    /// Questions that one peer gets answered in one go after a rest.
    // Guess: a page of results opened at once.
    pub queries_burst: u32,
    /// Questions of one peer that may wait for their turn; the next one is
    /// refused.
    // Guess: what is answered within two seconds.
    pub pending_max: usize,
    /// Bytes of batches applied per second for one peer, for long. Too low:
    /// changes are found late. Too high: one peer keeps a core busy.
    // Guess: 5,000 entries a second.
    pub registration_bytes_per_second: u32,
    /// Bytes of batches applied for one peer in one go after a rest.
    // Guess: one whole registration of 100,000 entries.
    pub registration_burst_bytes: u32,
    /// Other messages (keep-alives, repeated batches) per second of one peer;
    /// more are dropped unread. Must stand well above what clients need.
    // Guess: ten times what a busy client sends.
    pub messages_per_second: u32,
    /// Batches of one peer that may be under way unacknowledged. Must stay far
    /// below the depth of the link's send queue.
    // Source: queues hold 64 messages.
    pub window_batches: u16,
    /// Hits in one row of a search's answer. Too low: downloads start with few
    /// sources. Too high: few rows per message.
    // Guess: enough to start a download; `Sources` brings the others.
    pub hits_per_row: usize,
    /// Bytes of one answer. At most 60,000, so that it fits a frame.
    // Source: frames hold 65,536.
    pub answer_bytes_max: usize,
    /// Work that one question may cause, in the index's units of about three
    /// nanoseconds. Too low: common words are answered in part. Too high: one
    /// question delays everybody.
    // Guess: a millisecond and a half.
    pub work_per_query_max: u64,
    /// How often publications past their time are looked for.
    // Guess: nothing hangs on it.
    pub expiry_interval: Duration,
    /// A wake-up that comes so late means that the machine slept: leases are
    /// then extended by `grace`, because keep-alives may lie unread.
    // Guess: no scheduler is that late.
    pub pause_min: Duration,
    /// What refused peers are told to wait, at least; as much again is added
    /// at random.
    // Guess: half a minute.
    pub retry_after: Duration,
    /// What peers are told to wait when the hub shuts down, at least; as much
    /// again is added at random. Too low: a crowd at the door of a hub that is
    /// starting; too high: a restart is felt for longer than it takes.
    // Guess: a restart takes a few seconds; who comes in vain backs off.
    pub retry_after_close: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            peers_max: 10_000,
            lease: Duration::from_secs(60),
            grace: Duration::from_secs(30),
            entries_per_peer_max: 100_000,
            bytes_per_peer_max: 128 << 20,
            entries_max: 10_000_000,
            queries_per_second: 20,
            queries_burst: 40,
            pending_max: 40,
            registration_bytes_per_second: 1 << 20,
            registration_burst_bytes: 64 << 20,
            messages_per_second: 200,
            window_batches: 8,
            hits_per_row: 8,
            answer_bytes_max: ANSWER_BYTES_LIMIT,
            work_per_query_max: 500_000,
            expiry_interval: Duration::from_secs(60),
            pause_min: Duration::from_secs(10),
            retry_after: Duration::from_secs(30),
            retry_after_close: Duration::from_secs(2),
        }
    }
}

/// Largest useful [`ServerConfig::answer_bytes_max`].
pub(crate) const ANSWER_BYTES_LIMIT: usize = 60_000;
/// Largest useful [`ClientConfig::batch_bytes_max`].
pub(crate) const BATCH_BYTES_LIMIT: usize = 60_000;
const _: () = assert!(ANSWER_BYTES_LIMIT + 1_024 <= gannet_base::wire::FRAME_BYTES_MAX);
const _: () = assert!(BATCH_BYTES_LIMIT + 1_024 <= gannet_base::wire::FRAME_BYTES_MAX);

/// How a client treats its hubs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientConfig {
    /// Hubs used at once; more that are named are ignored. Each costs a
    /// connection and a registration.
    // Guess: a few are as safe as many.
    pub hubs_max: usize,
    /// Entries that can be registered; more are refused. Bounds memory, about
    /// 500 bytes each.
    // Guess: ten times what a hub takes by default.
    pub entries_max: usize,
    /// Withdrawals remembered for hubs that have not heard of them; when more
    /// come, such a hub gets a new registration.
    // Guess: about 200 bytes each.
    pub removals_max: usize,
    /// Time between two keep-alives. Too low: traffic. Too high: a silent hub
    /// is noticed late. A hub's lease shortens it to a quarter of the lease.
    // Guess: NAT bindings last 30 s and more.
    pub keepalive_interval: Duration,
    /// Longest pause before a question is sent again; the first ones follow the
    /// round trip time and double. Too low: traffic when a hub is slow. Too
    /// high: one lost answer holds up a search.
    // Guess: ten times the round trip across the world.
    pub answer_timeout: Duration,
    /// How long a question may stay unanswered before the hub counts as
    /// silent. Too low: slow links look dead. Too high: silence is noticed
    /// late. Should be several times `answer_timeout`.
    // Guess: eight attempts; at 20 % loss both ways, one silence in 3,500 is false.
    pub silence_max: Duration,
    /// How long a dial may take.
    // Guess: longer than any transport tries.
    pub dial_timeout: Duration,
    /// How long a search waits for its last hub.
    // Guess: users give up sooner.
    pub search_timeout: Duration,
    /// Searches and questions for sources under way at once; the next one is
    /// refused.
    // Guess: a download list being refreshed.
    pub searches_max: usize,
    /// Rows of one search from one hub. Caps the limit that is asked.
    // Guess: nobody reads further.
    pub rows_max: u32,
    /// Rows asked for in one page.
    // Guess: about what fits a frame.
    pub page_rows: u16,
    /// Bytes of one batch, at most 60,000, so that it fits a frame.
    // Guess: large enough to be cheap, small enough to let others through.
    pub batch_bytes_max: usize,
    /// Batches under way unacknowledged to one hub; a hub may want fewer.
    // Source: send queues hold 64 messages.
    pub window_batches: u16,
    /// Least time before a batch that is not acknowledged is sent again.
    // Guess: above the jitter of a busy link.
    pub resend_min: Duration,
    /// How often batches are sent again without any progress before the hub is
    /// left.
    // Guess: with doubling pauses, about three minutes; at 20 % loss both ways,
    // one in 27,000 is false.
    pub resend_attempts: u32,
    /// Bound of the first random delay before a hub is tried again; doubles
    /// with each failure. Too low: herds. Too high: late.
    // Source: full jitter, 1 s to 5 min.
    pub backoff_min: Duration,
    /// Largest bound of that delay.
    // Source: as above.
    pub backoff_max: Duration,
    /// Nonsensical answers after which a hub is left.
    // Guess: one is an accident of versions.
    pub strikes_max: u32,
    /// Least time between two whole registrations that only try to get refused
    /// or lost entries in.
    // Guess: rare enough not to matter.
    pub repair_interval: Duration,
    /// A wake-up that comes so late means that this machine slept: hubs are
    /// asked anew instead of being blamed for silence.
    // Guess: no scheduler is that late.
    pub pause_min: Duration,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            hubs_max: 8,
            entries_max: 1_000_000,
            removals_max: 65_536,
            keepalive_interval: Duration::from_secs(15),
            answer_timeout: Duration::from_secs(2),
            silence_max: Duration::from_secs(10),
            dial_timeout: Duration::from_secs(30),
            search_timeout: Duration::from_secs(10),
            searches_max: 64,
            rows_max: 10_000,
            page_rows: 200,
            batch_bytes_max: 48_000,
            window_batches: 8,
            resend_min: Duration::from_millis(300),
            resend_attempts: 10,
            backoff_min: Duration::from_secs(1),
            backoff_max: Duration::from_secs(300),
            strikes_max: 3,
            repair_interval: Duration::from_secs(300),
            pause_min: Duration::from_secs(10),
        }
    }
}
