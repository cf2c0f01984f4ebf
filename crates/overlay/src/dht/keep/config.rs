//! What can be set, and the reasons for what is.

use std::time::Duration;

/// How files are kept for others, and how a node looks after blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Whether signatures are checked. Off: for laboratories, where 40 µs each are
    /// most of the time.
    pub checks_signatures: bool,
    /// Whether the responsible node has holders prove that they hold what they say.
    /// Off: for laboratories, to show what it is worth.
    pub audits: bool,
    /// Space for others' blocks until the node says otherwise, bytes.
    // Source: the user's documentation: 1 GB.
    pub grant_bytes: u64,
    /// Share of the granted space that one keeper may fill, per mille. Too low: in
    /// small networks large files find no room. Too high: one keeper fills
    /// everybody.
    // Guess: half; somebody else always finds room.
    pub keeper_permille_max: u16,
    /// Time between two claims of a holder to the responsible nodes, give or take
    /// a quarter. Too low: messages. Too high: a crash is noticed late, and a node
    /// that becomes responsible waits long before it knows what is missing.
    // Guess: two hundredths of the bytes that one repaired block costs in a day.
    pub claim_interval: Duration,
    /// After this much silence a holder counts as away, at least twice
    /// [`claim_interval`](Self::claim_interval).
    // Derived: two claims and their jitter.
    pub silent_after: Duration,
    /// How long a holder that has never come back before is waited for. Too low:
    /// a restart costs a copy. Too high: copies that are gone for good are missed
    /// late.
    // Guess: restarts and updates take less.
    pub away_new: Duration,
    /// How long a holder that has come back before is waited for. Too low: who is
    /// away at night costs a copy each time, until there are enough. Too high: copies
    /// that are gone for good are missed late.
    // Guess: daily rhythms, and a bit; weekends cost a copy once.
    pub away_max: Duration,
    /// How long less than half of the copies may be online before more are made,
    /// though those away are expected back; shorter the fewer there are.
    // Guess: restarts take less.
    pub repair_delay: Duration,
    /// How long a node that has just become responsible for a block listens before
    /// it believes that a copy is missing. Too low: copies that exist are made again.
    /// Too high: where nodes come and go quickly nobody ever repairs.
    // Guess: holders near by are called and claim within a minute; they tell of
    // others, who count for as long as it takes until these have claimed too.
    pub warm_up: Duration,
    /// How often a responsible node looks whether copies are missing.
    // Guess: short beside every delay above.
    pub check_interval: Duration,
    /// How long a new holder may take to fetch a block.
    // Guess: 16 MiB at 5 kB/s; holders report while they wait for their turn.
    pub fetch_max: Duration,
    /// How long an offer may stay unanswered.
    // Guess: a dial and a round trip.
    pub answer_max: Duration,
    /// Time between two proofs of one copy.
    // Guess: a lie is found within a day; costs both sides a read of 64 KiB.
    pub audit_interval: Duration,
    /// Time between two looks of a keeper at a file that is placed.
    // Guess: it only wants to know.
    pub keeper_interval: Duration,
    /// How long a peer that refused is not asked again.
    // Guess: grants change seldom.
    pub refusal_memory: Duration,
    /// Blocks fetched at once.
    // Guess: few, so that the first ones are there soon.
    pub fetches_max: usize,
    /// Blocks held and waited for. Too low: less than the grant is used. Too high:
    /// memory, about 200 bytes each.
    // Guess: a terabyte.
    pub blocks_max: usize,
    /// Blocks that this node looks after as the responsible one; about 1 KiB each.
    // Guess: 1/N of what everybody keeps, with room for uneven shares.
    pub wards_max: usize,
    /// Of these, how many for one keeper.
    // Guess: a quarter.
    pub wards_per_keeper_max: usize,
    /// Contents with orders.
    // Guess: as many as wards, one block each at worst.
    pub contents_max: usize,
    /// Own files being kept.
    // Guess: nobody has more by hand.
    pub kept_max: usize,
    /// Releases remembered.
    // Guess: 250 bytes each.
    pub releases_max: usize,
    /// Nodes after a block's position that are asked to hold it.
    // Guess: some times as many as are needed, for when most are full.
    pub reach_max: usize,
    /// Orders verified a second. Too high: a stranger makes this node compute.
    // Guess: 40 µs each, so under 1 % of a core.
    pub orders_per_second: u32,
}

impl Default for Config {
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        Self {
            checks_signatures: true,
            audits: true,
            grant_bytes: 1_000_000_000,
            keeper_permille_max: 500,
            claim_interval: minutes(10),
            silent_after: minutes(25),
            away_new: minutes(15),
            away_max: minutes(24 * 60),
            repair_delay: minutes(15),
            warm_up: minutes(4),
            check_interval: minutes(1),
            fetch_max: minutes(60),
            answer_max: minutes(1),
            audit_interval: minutes(12 * 60),
            keeper_interval: minutes(60),
            refusal_memory: minutes(10),
            fetches_max: 4,
            blocks_max: 65_536,
            wards_max: 16_384,
            wards_per_keeper_max: 4_096,
            contents_max: 16_384,
            kept_max: 4_096,
            releases_max: 1_024,
            reach_max: 64,
            orders_per_second: 200,
        }
    }
}
