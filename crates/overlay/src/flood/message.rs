//! What neighbours say to each other.

use std::net::SocketAddr;

use gannet_base::wire::{FRAME_BYTES_MAX, Malformed, WireMessage};
use gannet_base::{Hit, PeerAddress, PeerId, Row};
use serde::{Deserialize, Serialize};

use super::question::Question;

/// Most peers in one list of addresses.
// Source: Gnutella pongs bring ten; contacts an answer at most 20 (hardened
// nodes).
pub const PEERS_LISTED_MAX: usize = 20;
/// Most rows in one message of hits.
// Source: Gnutella servents put 10 to 20 into a packet.
pub const HITS_ROWS_MAX: usize = 20;
/// Most hits in all rows of one message.
pub const HITS_MAX: usize = 40;
/// Hits that count as one row.
// Guess: what answers for others usually name of one content.
const ROW_HITS: usize = 8;
/// Most bytes of one message of hits as an answerer makes it.
pub(crate) const HITS_BYTES_MAX: usize = 60_000;
/// Most bytes of one message of hits on its way: with the addresses that the
/// first relay adds.
pub(crate) const HITS_BYTES_RELAYED_MAX: usize = HITS_BYTES_MAX + 1_024;
const _: () = assert!(HITS_BYTES_RELAYED_MAX + 1_024 <= FRAME_BYTES_MAX);
/// Most bytes of changed slots in one message.
pub const PATCH_BYTES_MAX: usize = 32 * 1024;
/// Smallest and largest size of a routing table, as a power of two.
// Source: gtk-gnutella: 16 Ki to 2 Mi slots; small collections need fewer here.
pub const TABLE_BITS: std::ops::RangeInclusive<u8> = 8..=21;

/// Number of a search, drawn at random by its origin.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct SearchId(pub u64);

/// How much of the network a question reached; sums over subtrees. Claims of
/// strangers: only ever added with saturation and shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Coverage {
    /// Peers that looked at their files for it.
    pub asked: u32,
    /// Links not used because the routing table of the peer behind rules a
    /// match out.
    pub ruled_out: u32,
    /// Links not used because the TTL had run out.
    pub beyond: u32,
    /// Questions refused because a budget was used up.
    pub refused: u32,
    /// Peers that were sent the question and did not report in time, or were
    /// lost.
    pub silent: u32,
    /// Rows that were sent back. If fewer arrive, some were lost on the way.
    pub answers: u32,
}

impl Coverage {
    /// Adds what a subtree reports.
    pub fn add(&mut self, other: Self) {
        self.asked = self.asked.saturating_add(other.asked);
        self.ruled_out = self.ruled_out.saturating_add(other.ruled_out);
        self.beyond = self.beyond.saturating_add(other.beyond);
        self.refused = self.refused.saturating_add(other.refused);
        self.silent = self.silent.saturating_add(other.silent);
        self.answers = self.answers.saturating_add(other.answers);
    }

    /// Whether the question reached everybody whom links lead to. A peer that
    /// is ruled out has nothing, but nobody knows who is behind it.
    pub fn is_whole(&self) -> bool {
        self.beyond == 0 && self.ruled_out == 0 && self.refused == 0 && self.silent == 0
    }
}

/// One question on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// The search.
    pub search: SearchId,
    /// Which widening of the search this is, from 0. A peer answers a search
    /// once, whatever the round, unless `again` is set, and passes it on again
    /// when a copy is of a later round, or may go further than those before it in
    /// its round.
    pub round: u8,
    /// Hops that it may still go, counting the one to the receiver: 1 is not
    /// passed on. Larger than the receiver's limit counts as the limit; 0 is
    /// refused.
    pub ttl: u8,
    /// Hops behind it: 0 from the origin itself.
    pub hops: u8,
    /// Whether a [`FloodMessage::Report`] is wanted.
    pub report: bool,
    /// Answers of an earlier round may have been lost: who answered then answers
    /// again.
    pub again: bool,
    /// What is looked for.
    pub question: Question,
}

/// Answers on their way back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hits {
    /// Hops behind them: 0 from the answerer itself.
    pub hops: u8,
    /// The rows, best first; hits in them are signed by their holders.
    pub rows: Vec<Row>,
    /// Where holders can be reached, each at most once.
    pub addresses: Vec<PeerAddress>,
}

/// Changed slots of a routing table: sorted positions, as gaps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patch {
    /// Counts the patches of a table from 0; a gap means that one was lost, and
    /// the receiver then has no table until the next reset.
    pub sequence: u32,
    /// Begins anew with an empty table of 2^bits slots.
    pub reset: Option<u8>,
    /// Whether the table is whole with this patch. Before that it rules nothing
    /// out.
    pub last: bool,
    /// Slots that turn from empty to set and back, as the table's own code
    /// compresses them; at most [`PATCH_BYTES_MAX`].
    pub flips: Vec<u8>,
}

/// The answer to a `Hello` that is granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The sender's addresses, as in `Hello`.
    pub addresses: Vec<SocketAddr>,
    /// Others, to know.
    pub peers: Vec<PeerAddress>,
}

/// The overlay's messages, all between neighbours or peers about to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FloodMessage {
    /// May I be your neighbour? Answered by `Welcome` or `Busy`.
    Hello {
        /// Where the sender believes it can be reached; at most
        /// [`PeerAddress::ADDRESSES_MAX`].
        addresses: Vec<SocketAddr>,
        /// Neighbours that the sender has.
        neighbours: u16,
    },
    /// We are neighbours now. Boxed: rare and large.
    Welcome(Box<Welcome>),
    /// No room.
    Busy {
        /// Others, to ask instead; those with room first.
        peers: Vec<PeerAddress>,
    },
    /// We are no longer neighbours. The link may live on for other uses.
    Bye {
        /// Others, to ask instead.
        peers: Vec<PeerAddress>,
    },
    /// Still there? Whom do you know?
    Ping {
        /// Echoed in the answer.
        nonce: u32,
    },
    /// Still here, and some peers that were heard of lately.
    Pong {
        /// The question's.
        nonce: u32,
        /// From the pong cache; those with room first.
        peers: Vec<PeerAddress>,
    },
    /// A question.
    Ask(Ask),
    /// Answers to a question, to whom it came from. Boxed: rare and large.
    Hits(SearchId, Box<Hits>),
    /// What became of one `Ask`: sent once for each that wants it, when all
    /// that it was passed on to have reported or time is up; at once, and empty,
    /// if it was a copy of what had been seen.
    Report {
        /// The search.
        search: SearchId,
        /// The round of the `Ask`.
        round: u8,
        /// The TTL of the `Ask`, as it came: tells the reports to two copies in
        /// one round apart.
        ttl: u8,
        /// How far it went.
        coverage: Coverage,
    },
    /// The sender's routing table has changed.
    Table(Box<Patch>),
}

fn check_peers(peers: &[PeerAddress]) -> Result<(), Malformed> {
    Malformed::unless(peers.len() <= PEERS_LISTED_MAX, "peers")?;
    let bounded = peers
        .iter()
        .all(|peer| peer.addresses.len() <= PeerAddress::ADDRESSES_MAX);
    Malformed::unless(bounded, "addresses")
}

pub(crate) fn check_hits(hits: &Hits) -> Result<(), Malformed> {
    Malformed::unless(hits.rows.len() <= HITS_ROWS_MAX, "rows")?;
    let count: usize = hits.rows.iter().map(|row| row.hits.len()).sum();
    Malformed::unless(count <= HITS_MAX, "hits")?;
    for row in &hits.rows {
        let content = row.content;
        let holds = row
            .hits
            .iter()
            .all(|hit| hit.entry().content == content && hit.entry().validate().is_ok());
        Malformed::unless(holds && !row.hits.is_empty(), "row")?;
    }
    Malformed::unless(hits.addresses.len() <= HITS_MAX, "holders")?;
    let bounded = hits
        .addresses
        .iter()
        .all(|peer| peer.addresses.len() <= PeerAddress::ADDRESSES_MAX);
    Malformed::unless(bounded, "addresses")?;
    Malformed::unless(hits_bytes(hits) <= HITS_BYTES_RELAYED_MAX, "bytes")
}

/// Upper bound of the encoding of rows and holders, bytes.
pub(crate) fn hits_bytes(hits: &Hits) -> usize {
    let rows: usize = hits.rows.iter().map(row_bytes).sum();
    let holders: usize = hits.addresses.iter().map(holder_bytes).sum();
    rows + holders
}

/// Upper bound of the encoding of a row besides its hits, bytes: content, count
/// of holders, count of hits.
pub(crate) const ROW_BYTES: usize = 32 + 5 + 5;

/// Upper bound of a row's encoding, bytes.
fn row_bytes(row: &Row) -> usize {
    ROW_BYTES + row.hits.iter().map(hit_bytes).sum::<usize>()
}

/// What a message's rows count towards the most of one search: a row with many
/// hits counts as several.
pub(crate) fn rows_weight(rows: &[Row]) -> u16 {
    let weight = rows
        .iter()
        .map(|row| row.hits.len().div_ceil(ROW_HITS).max(1));
    u16::try_from(weight.sum::<usize>()).unwrap_or(u16::MAX)
}

/// Upper bound of a hit's encoding, bytes.
pub(crate) fn hit_bytes(hit: &Hit) -> usize {
    let entry = hit.entry();
    let texts: usize = entry.media.texts().map(str::len).sum();
    // Content, size, path; three options with lengths, a duration, two
    // dimensions; holder, expiry, signature.
    32 + 10 + 5 + entry.path.len() + texts + 3 * 6 + 6 + 11 + 32 + 10 + 64
}

/// Upper bound of the encoding of a holder's addresses, bytes.
pub(crate) fn holder_bytes(holder: &PeerAddress) -> usize {
    // As text: the id, a separator, and `[IPv6]:port` each.
    2 + 64 + holder.addresses.len() * 60
}

fn check_patch(patch: &Patch) -> Result<(), Malformed> {
    Malformed::unless(patch.flips.len() <= PATCH_BYTES_MAX, "flips")?;
    let bits = patch.reset.is_none_or(|bits| TABLE_BITS.contains(&bits));
    Malformed::unless(bits, "bits")
}

impl WireMessage for FloodMessage {
    const VARIANTS: u32 = 10;
    const BYTES_MAX: usize = FRAME_BYTES_MAX;

    fn validate(&self) -> Result<(), Malformed> {
        match self {
            Self::Hello { addresses, .. } => {
                Malformed::unless(addresses.len() <= PeerAddress::ADDRESSES_MAX, "addresses")
            }
            Self::Welcome(welcome) => {
                let addresses = welcome.addresses.len();
                Malformed::unless(addresses <= PeerAddress::ADDRESSES_MAX, "addresses")?;
                check_peers(&welcome.peers)
            }
            Self::Busy { peers } | Self::Bye { peers } | Self::Pong { peers, .. } => {
                check_peers(peers)
            }
            Self::Hits(_, hits) => check_hits(hits),
            Self::Table(patch) => check_patch(patch),
            Self::Ask(_) | Self::Ping { .. } | Self::Report { .. } => Ok(()),
        }
    }
}

/// A peer with its addresses, out of the two.
pub(crate) fn peer_address(peer: PeerId, addresses: &[SocketAddr]) -> PeerAddress {
    PeerAddress {
        peer,
        addresses: addresses.to_vec(),
    }
}
