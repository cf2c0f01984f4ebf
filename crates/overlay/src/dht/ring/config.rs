//! What can be set of the routing, and the reasons for what is.

use std::time::Duration;

/// Which node is a finger, of those that could be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FingerChoice {
    /// The first node at or after me + 2^i, as published.
    #[default]
    Exact,
    /// Of the first so many nodes there, before me + 2^(i+1): one at random, so
    /// that those before a wide gap are not everybody's finger.
    Among(u8),
    /// Of the first so many nodes there, before me + 2^(i+1): the one that answered
    /// fastest.
    Nearest(u8),
}

/// How a node of the ring behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Length r of the list of successors, the same for the whole network; at most
    /// [`SUCCESSORS_MAX`](super::SUCCESSORS_MAX). Too low: a ring breaks when so many
    /// neighbours die before one look. Too high: bytes of each look.
    // Source: Zave's r >= 6, and 2 log2 N for some hundred.
    pub successors: usize,
    /// Whether this peer wants a place on the ring. If not it uses the ring and
    /// carries nothing: for those that nobody can reach.
    pub is_member_wished: bool,
    /// Shortest time between two looks at the own successor. Too low: bytes. Too
    /// high: the dead stay in lists.
    // Guess: as a keep-alive.
    pub stabilise_min: Duration,
    /// Longest time.
    pub stabilise_max: Duration,
    /// Time between two refreshes of a finger; one is done at a time. Too low:
    /// lookups for nothing. Too high: lookups meet dead fingers.
    // Guess: twenty fingers, each within ten minutes.
    pub finger_interval: Duration,
    /// Time between two attempts to find a ring that was apart.
    // Source: rounds of a second merge within 6 to 30 s (own experiment).
    pub merge_interval: Duration,
    /// Whether there is any maintenance. Off: for laboratories.
    pub is_maintained: bool,
    /// How long an answer may take, a dial included. Too low: the slow are taken
    /// for dead. Too high: lookups wait.
    // Guess: a handshake and a lost packet across the world.
    pub request_timeout: Duration,
    /// Questions without an answer after which a node is dead; before the last one,
    /// another node is asked whether it gets an answer. Too low: false alarms break
    /// rings. Too high: the dead stay.
    // Source: three independent ones make 10 % loss 0.1 % (own experiment).
    pub misses: u8,
    /// How long a lookup waits for an answer, a dial included, before it asks another node as
    /// well. Too low: messages for nothing. Too high: lookups wait for the slow and the dead.
    // Measured: where links take 20 to 180 ms one way, half of those that are dialled and
    // asked take longer than 400 ms, one of five longer than 600.
    pub hedge_after: Duration,
    /// Questions of a lookup, on each of its ways, that are out at once. Too low:
    /// slow when nodes are. Too high: messages for nothing.
    // Guess: `hedge_after` does the rest.
    pub alpha: usize,
    /// Nodes told of in one answer. Too low: a dead one costs a further question.
    // Guess: some.
    pub closer: usize,
    /// How long a lookup may take.
    // Source: 30 s (hardened nodes).
    pub lookup_timeout: Duration,
    /// Lookups at once; others wait. Too low: searches that read many parts of a list wait for
    /// the ways to them. Too high: bursts of dials.
    // Guess: as many as parts of a list that are read at once.
    pub lookups_max: usize,
    /// Lookups that wait; others fail at once.
    // Guess: all words of a large share.
    pub lookups_waiting_max: usize,
    /// Which nodes are fingers.
    pub fingers: FingerChoice,
    /// Nodes met in passing that are remembered and used as further fingers; 0 for
    /// the ring as published. Too high: memory, 100 bytes each.
    // Guess: saves four hops of ten.
    pub contacts_max: usize,
    /// Nodes that were here once and do not answer now, kept to find their ring
    /// again.
    // Source: two of each node suffice (own experiment).
    pub passive_max: usize,
    /// How long they are tried.
    // Guess: longer than most outages.
    pub passive_life: Duration,
    /// Whether what a node knows of its own place shortens lookups. Off: for
    /// laboratories, to count as published.
    pub shortcuts: bool,
    /// Whether the first owner is asked before a lookup ends, also when it went only
    /// one way. Costs a question, and saves the caller one where it is dead.
    pub confirms_owner: bool,
    /// Whether claims are weighed against how dense the ring is here. Off: for
    /// laboratories, to show what it is worth.
    pub is_wary: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            successors: 16,
            is_member_wished: true,
            stabilise_min: Duration::from_secs(2),
            stabilise_max: Duration::from_secs(6),
            finger_interval: Duration::from_secs(30),
            merge_interval: Duration::from_secs(3),
            is_maintained: true,
            request_timeout: Duration::from_secs(2),
            misses: 3,
            hedge_after: Duration::from_millis(600),
            alpha: 1,
            closer: 5,
            lookup_timeout: Duration::from_secs(30),
            lookups_max: 64,
            lookups_waiting_max: 4_096,
            fingers: FingerChoice::Among(4),
            contacts_max: 256,
            passive_max: 32,
            passive_life: Duration::from_secs(3_600),
            shortcuts: true,
            confirms_owner: false,
            is_wary: true,
        }
    }
}
