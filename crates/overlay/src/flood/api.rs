//! What the layer above asks of the overlay, and what it is told.

use std::net::SocketAddr;
use std::time::Duration;

use gannet_base::{PeerAddress, PeerId, Row};

use super::message::{Coverage, SearchId};
use super::question::{Question, Wanted};

/// The caller's number for a search; echoed.
pub type RequestId = u64;

/// How far a search goes, and in which steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Strategy {
    /// One flood with this TTL, as Gnutella did it.
    Flood {
        /// Hops that the question may go.
        ttl: u8,
    },
    /// Expanding ring: these TTLs one after the other, until enough is found.
    Rings {
        /// Growing TTLs; empty means 1, 2, 3… up to the limit.
        ttls: Vec<u8>,
        /// Whether, after the last of them, the search goes on to as many hops
        /// as it takes, when enough was not found and there is somebody left to
        /// ask.
        widen: bool,
    },
    /// Dynamic querying: probe a few neighbours, estimate how common the answer
    /// is, then ask the others one after another, each just as far as needed;
    /// when all have been asked and enough was not found, as `Rings` with
    /// `widen`.
    // Source: Fisk, "Gnutella Dynamic Query Protocol"; gtk-gnutella dq.c.
    Dynamic,
    /// Expanding ring 1, 2, 3… until, by the number of peers that it reached, it
    /// is likely that hardly anybody was missed: for networks whose peers have
    /// many and random links, where another ring would cost a multiple. As
    /// `Rings` with `widen` where this peer has few links.
    Likely,
}

/// What the layer above asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FloodCommand {
    /// Peers to try when there are too few neighbours: named by the user, found
    /// on the local network, or remembered from before. Kept apart from those
    /// that strangers tell of, and never pushed out by them.
    Bootstrap(Vec<PeerAddress>),
    /// Where this peer can be reached.
    Announce(Vec<SocketAddr>),
    /// Where a linked peer was seen: verified, unlike what it says of itself.
    Seen {
        /// Who.
        peer: PeerId,
        /// Where.
        addresses: Vec<SocketAddr>,
    },
    /// All keys of what this peer shares, for its routing table: replaces what
    /// was told before. Any order; repetitions do no harm.
    Keys(Vec<u32>),
    /// Looks for something.
    Search {
        /// The caller's number.
        id: RequestId,
        /// What.
        wanted: Wanted,
        /// How many different contents are enough (for a content id: how many
        /// holders). 0 counts as 1.
        enough: u32,
        /// How; `None` for the configured one.
        strategy: Option<Strategy>,
    },
    /// Forgets a search; no event follows.
    Cancel {
        /// Which.
        id: RequestId,
    },
    /// What this peer itself has for an [`FloodEvent::Asked`], or those for
    /// whom it answers. Best given at once, before anything else, and also if it
    /// has no rows: the report on the question follows the answer, but waits for
    /// it no longer than until the driver's next wake-up.
    Answer {
        /// The question's search.
        search: SearchId,
        /// The rows, best first; more than the configured number are cut, and
        /// of each row more than [`HITS_MAX`](super::HITS_MAX) hits.
        rows: Vec<Row>,
        /// Where other holders in the rows can be reached; those of this peer
        /// itself are known if they were announced.
        addresses: Vec<PeerAddress>,
    },
    /// Answers that came were forged. What came through that neighbour counts
    /// no more towards enough, and if it answered itself it is held against it.
    Forged {
        /// The neighbour through which they came.
        via: PeerId,
        /// Their hops, as told with the rows.
        hops: u8,
    },
    /// These peers are the neighbours, now and for good: no joining, no pings,
    /// no replacement. For laboratories.
    Fixed(Vec<PeerId>),
    /// Says goodbye to all neighbours.
    Leave,
}

/// What the layer above is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FloodEvent {
    /// Somebody asks: look into your shares and say [`FloodCommand::Answer`].
    Asked {
        /// The search.
        search: SearchId,
        /// What is looked for.
        question: Question,
        /// Most rows that the answer may have.
        rows_max: usize,
    },
    /// Answers to an own search; may come many times.
    Rows {
        /// The caller's number.
        id: RequestId,
        /// The neighbour through which they came.
        via: PeerId,
        /// Hops from here to the answerer, at least 1, as they say.
        hops: u8,
        /// The rows: not verified, and each may repeat what came before.
        rows: Vec<Row>,
        /// Where holders can be reached, as they say.
        addresses: Vec<PeerAddress>,
    },
    /// A search is over.
    Ended {
        /// The caller's number.
        id: RequestId,
        /// How.
        outcome: FloodOutcome,
    },
    /// A neighbour was won.
    NeighbourUp {
        /// Who.
        peer: PeerId,
    },
    /// A neighbour was lost.
    NeighbourDown {
        /// Who.
        peer: PeerId,
        /// Why.
        reason: DownReason,
    },
    /// Addresses that were learnt for a peer that may be dialled soon.
    Addresses(PeerAddress),
}

/// Why a neighbour is none any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DownReason {
    /// The link broke.
    Lost,
    /// It answers nothing.
    Silent,
    /// It said goodbye.
    Left,
    /// It breaks the rules: forged answers or far more questions than allowed.
    Misbehaved,
    /// There were more than needed.
    Surplus,
}

/// Why a search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// Enough was found.
    Enough,
    /// Everybody who can be reached was asked.
    Everybody,
    /// The strategy ends here, though there are more peers.
    Horizon,
    /// Some did not answer in time, or refused: asked as far as possible.
    Partial,
    /// There is no neighbour to ask.
    NoNeighbours,
    /// Too many searches run already.
    TooMany,
}

/// How a search ended: enough to explain it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FloodOutcome {
    /// Why it ended.
    pub ending: Ending,
    /// How many times the question went out, each time further.
    pub rounds: u32,
    /// Largest TTL that it went out with.
    pub ttl: u8,
    /// Neighbours that it was sent to.
    pub neighbours: u32,
    /// How far it came, in the round that reached most.
    pub coverage: Coverage,
    /// From the command to the end.
    pub elapsed: Duration,
}
