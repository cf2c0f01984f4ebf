//! What can be set, and the reasons for what is.

use std::time::Duration;

use super::api::Strategy;
use super::message::PEERS_LISTED_MAX;

/// How a peer of the flood overlay behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Neighbours wanted. A quarter more are accepted, and twice as many are
    /// never exceeded. Too low: the network falls apart when some leave. Too
    /// high: every question costs more copies.
    // Guess: 8 random links keep a network whole when half of it leaves.
    pub neighbours_target: u16,
    /// Hops that any question may go, hops behind it included. Too low: rare
    /// files are not found. Too high: a loop of liars keeps a question alive.
    // Source: gtk-gnutella: hops + TTL <= 15.
    pub ttl_max: u8,
    /// How searches go that do not say it.
    // Source: Lv et al.: expanding rings cost a fraction of a flood.
    pub strategy: Strategy,
    /// Whether a copy that may go further than those before it is passed on.
    /// Off: classic Gnutella, any copy but the first of a round is dropped, and
    /// a question that came on a slow short path gets less far.
    pub revisit: bool,
    /// Whether routing tables are sent, and asked before the last hop.
    pub tables: bool,
    /// Whether own questions ask for reports. Off: a search cannot tell how far
    /// it came, and every round waits out its time.
    pub reports: bool,
    /// Time for a question to go one hop and its report to come back. Too low:
    /// slow peers count as silent. Too high: a lost report holds up a search.
    // Guess: several round trips across the world.
    pub hop_wait: Duration,
    /// How long a question is remembered at most; half of it at least, unless
    /// there are more than `seen_max`. Too low: late copies count as new and
    /// late hits are lost. Too high: memory.
    // Source: hardened nodes remember for ten minutes and more.
    pub seen_life: Duration,
    /// Questions remembered, about 40 bytes each. Too low: as `seen_life`.
    // Guess: ten minutes at `questions_per_second`.
    pub seen_max: usize,
    /// Questions whose reports are awaited at once, about 72 bytes each; for more
    /// than that no report is awaited, and those asked count as silent.
    // Guess: 15 seconds at `questions_per_second`, with room to spare.
    pub open_max: usize,
    /// Own searches at once; the next one ends at once with `TooMany`.
    // Guess: a download list being refreshed.
    pub searches_max: usize,
    /// Rows of one answer; the rest is cut.
    // Source: gtk-gnutella answers with at most 50.
    pub rows_per_answer: usize,
    /// Rows of one search that are passed on or taken in; more are dropped. Too
    /// low: common files are found at few holders. Too high: one liar's rows
    /// fill the links.
    // Source: gtk-gnutella shows at most 1,000.
    pub rows_per_search: u16,
    /// Questions answered and passed on per second, for all neighbours
    /// together: each has its even share, and what others leave. Copies of what
    /// has been seen are free. 0: no limit.
    // Source: hardened nodes take 10 a second from each of 20 neighbours.
    pub questions_per_second: u32,
    /// Questions answered and passed on in one go after a rest.
    // Guess: two seconds' worth.
    pub questions_burst: u32,
    /// Peers remembered besides those that the user named. Too low: a network
    /// that was split does not find itself again. Too high: memory, about 150
    /// bytes each.
    // Guess: enough that some of them live.
    pub known_max: usize,
    /// Peers that the user named; more are ignored.
    // Guess: nobody types more.
    pub bootstrap_max: usize,
    /// Peers told of to others in one message; at most [`PEERS_LISTED_MAX`].
    // Source: Gnutella: ten pongs an answer.
    pub listed: usize,
    /// How recently a peer must have been heard of, by oneself, to be told of.
    /// Too low: newcomers are told of nobody. Too high: they are told of the
    /// dead.
    // Guess: most sessions last longer.
    pub fresh: Duration,
    /// Time between two pings. Too low: traffic. Too high: silence is noticed
    /// late.
    // Source: gtk-gnutella pings every 20 s.
    pub ping_interval: Duration,
    /// The same while there are too few neighbours: pongs tell of others.
    // Source: pong caching was proposed with one ping in three seconds.
    pub ping_interval_short: Duration,
    /// How long a neighbour may leave pings unanswered. Too low: slow links
    /// look dead. Too high: questions are lost on the dead.
    // Guess: three pings.
    pub silence_max: Duration,
    /// Time between two links to random peers in exchange for old ones. Too
    /// low: links come and go. Too high: networks that were split take long to
    /// become one again, and neighbourhoods stay as they grew.
    // Guess: costs a message a second in a network of a hundred.
    pub shuffle_interval: Duration,
    /// Peers dialled or greeted at once.
    // Guess: the dead do not hold up the living.
    pub attempts_max: usize,
    /// Least time between two attempts of a peer that has some neighbours. Too low: when many are lost at once, the others
    /// are overrun. Too high: the others are long in coming.
    // Guess: none; few neighbours are soon found.
    pub seek_pause: Duration,
    /// How long a dial may take.
    // Guess: longer than transports try.
    pub dial_timeout: Duration,
    /// How long an answer to a greeting may take.
    // Guess: round trips of very slow links.
    pub hello_timeout: Duration,
    /// Pause after a first failed attempt; doubles with each.
    // Source: 1 s to 5 min. A dead peer is not tried at once: jitter is half.
    pub backoff_min: Duration,
    /// Longest such pause. Too high: who comes back is found late.
    // Source: as above.
    pub backoff_max: Duration,
    /// Pause before a peer without room is asked again.
    // Guess: neighbours change in minutes.
    pub busy_pause: Duration,
    /// Greetings answered per second; more are dropped, those of peers that have
    /// neighbours first. Too low: a crowd that knows this peer only waits to
    /// join. Too high: strangers keep it busy.
    // Guess: a crowd of ten thousand is through in minutes.
    pub hellos_per_second: u32,
    /// Pings, greetings and table changes taken from one neighbour between two
    /// pings of one's own; more are dropped.
    // Guess: many times what neighbours need, a whole table included.
    pub control_max: u16,
    /// How long changes of the own files are collected before neighbours hear of
    /// them. Too low: many small messages. Too high: new files are not found
    /// one hop away.
    // Guess: what a folder being copied may take.
    pub table_debounce: Duration,
    /// Time between two pieces of the routing table to one neighbour.
    // Guess: 32 KiB each; questions get through in between.
    pub table_pace: Duration,
    /// Broken rules after which a neighbour is left: unasked hits, forged hits,
    /// malformed tables. A quarter of them is forgiven with every ping.
    // Guess: accidents of timing are rare.
    pub strikes_max: u16,
    /// How long such a peer is refused.
    // Guess: long enough not to pay.
    pub ban: Duration,
    /// Neighbours asked first in a dynamic search.
    // Source: gtk-gnutella and LimeWire probe three.
    pub probe_neighbours: usize,
    /// How far those are asked.
    // Source: Fisk: TTL 2.
    pub probe_ttl: u8,
    /// A wake-up that comes so late means that this machine slept: neighbours
    /// are asked anew before they count as silent.
    // Guess: no scheduler is that late.
    pub pause_min: Duration,
}

impl Config {
    /// Most neighbours that are accepted.
    pub(crate) fn neighbours_accepted(&self) -> usize {
        let target = usize::from(self.neighbours_target);
        target + (target / 4).max(1)
    }

    /// Most neighbours ever.
    pub(crate) fn neighbours_max(&self) -> usize {
        usize::from(self.neighbours_target) * 2
    }

    /// Peers in one list.
    pub(crate) fn listed(&self) -> usize {
        self.listed.min(PEERS_LISTED_MAX)
    }

    /// For a hundred thousand peers in one process: everything remembered is
    /// small, there is no budget, and questions are forgotten within a minute, or
    /// when 56 others came: no more than one a second should be asked.
    pub fn laboratory() -> Self {
        Self {
            seen_life: Duration::from_secs(50),
            // Two tables of 32 places, which hold 28 each.
            seen_max: 56,
            open_max: 256,
            questions_per_second: 0,
            known_max: 24,
            bootstrap_max: 4,
            ..Self::default()
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            neighbours_target: 8,
            ttl_max: 15,
            strategy: Strategy::Rings {
                ttls: Vec::new(),
                widen: true,
            },
            revisit: true,
            tables: true,
            reports: true,
            hop_wait: Duration::from_secs(1),
            seen_life: Duration::from_secs(600),
            // Guess: a minute of 2,000 a second. Two tables of 65,536 places each, filled to
            // seven eighths: the next one would double them.
            seen_max: 2 * 57_344,
            open_max: 4_096,
            searches_max: 64,
            rows_per_answer: 50,
            rows_per_search: 1_000,
            questions_per_second: 200,
            questions_burst: 400,
            known_max: 512,
            bootstrap_max: 64,
            listed: 10,
            fresh: Duration::from_secs(600),
            ping_interval: Duration::from_secs(20),
            ping_interval_short: Duration::from_secs(3),
            silence_max: Duration::from_secs(60),
            shuffle_interval: Duration::from_secs(120),
            attempts_max: 4,
            seek_pause: Duration::ZERO,
            dial_timeout: Duration::from_secs(30),
            hello_timeout: Duration::from_secs(5),
            backoff_min: Duration::from_secs(1),
            backoff_max: Duration::from_secs(300),
            busy_pause: Duration::from_secs(30),
            hellos_per_second: 100,
            control_max: 200,
            table_debounce: Duration::from_secs(2),
            table_pace: Duration::from_millis(100),
            strikes_max: 16,
            ban: Duration::from_secs(600),
            probe_neighbours: 3,
            probe_ttl: 2,
            pause_min: Duration::from_secs(10),
        }
    }
}
