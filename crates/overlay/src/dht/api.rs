//! What the layer above asks of the overlay, and what it is told.

use std::net::SocketAddr;
use std::time::Duration;

use gannet_base::{ContentId, PeerAddress, PeerId, Publication, Row, WallTime};
use serde::{Deserialize, Serialize};

use super::keep::{KeepCommand, KeepEvent};
use super::position::Position;
use crate::flood::Wanted;

/// The caller's number for a search or a lookup; echoed.
pub type RequestId = u64;

/// What the layer above asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DhtCommand {
    /// Peers to begin with: named by the user, found on the local network, or
    /// remembered from before. A peer that is told of nobody is a ring of its own.
    Bootstrap(Vec<PeerAddress>),
    /// Where this peer believes it can be reached; the first eight count.
    Announce(Vec<SocketAddr>),
    /// Where a linked peer was seen: verified, unlike what it says of itself.
    Seen {
        /// Who.
        peer: PeerId,
        /// Where.
        addresses: Vec<SocketAddr>,
    },
    /// The calendar's time now, by this machine's own clock.
    WallTime(WallTime),
    /// Publish these, all of the same holder: this peer. Replaces what was
    /// published before for the same content and path.
    Publish(Vec<Publication>),
    /// Publish these no more; what is stored elsewhere expires.
    Withdraw(Vec<(ContentId, String)>),
    /// Looks for files.
    Search {
        /// The caller's number.
        id: RequestId,
        /// What.
        wanted: Wanted,
        /// How many different contents are enough (for a content id: how many
        /// holders). 0 counts as 1.
        enough: u32,
    },
    /// Looks for the nodes that a key is assigned to.
    Lookup {
        /// The caller's number.
        id: RequestId,
        /// The key.
        key: Position,
        /// Disjoint ways to go; 0 counts as 1.
        paths: u8,
    },
    /// Forgets a search or a lookup; no event follows.
    Cancel {
        /// Which.
        id: RequestId,
    },
    /// Rows that came this way were not signed by their holders.
    Forged {
        /// Through whom they came, as told with the rows.
        via: PeerId,
    },
    /// About files that are kept.
    Keep(KeepCommand),
    /// Hands over what is stored here and says goodbye to everybody.
    Leave,
}

/// What the layer above is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DhtEvent {
    /// This peer has a place on a ring with others, or has none any more.
    Joined(bool),
    /// Answers to an own search; may come many times.
    Rows {
        /// The caller's number.
        id: RequestId,
        /// Who answered: a node that stores them, or this peer itself.
        via: PeerId,
        /// Hops of the lookup that led there.
        hops: u8,
        /// The rows, each publication signed as it should be; each may repeat what
        /// came before.
        rows: Vec<Row>,
        /// Where holders can be reached, as they say.
        addresses: Vec<PeerAddress>,
    },
    /// A search is over.
    Ended {
        /// The caller's number.
        id: RequestId,
        /// How.
        outcome: DhtOutcome,
    },
    /// A lookup is over.
    Located {
        /// The caller's number.
        id: RequestId,
        /// Where it led; nothing if it failed.
        found: Option<Located>,
        /// What it cost.
        cost: LookupCost,
    },
    /// About files that are kept.
    Keep(KeepEvent),
    /// Where a peer can be reached that this one is about to dial.
    Addresses(PeerAddress),
}

/// Where a lookup led.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// The last node before the key.
    pub predecessor: PeerAddress,
    /// The nodes after it, in order: the first one is responsible for the key, the
    /// others hold replicas. At least one.
    pub owners: Vec<PeerAddress>,
    /// Of several ways, how many led to the same first owner.
    pub agreeing: u8,
}

/// What a lookup cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LookupCost {
    /// Hops from here to the key's predecessor along the way that led there,
    /// without failed contacts. 0 if this peer is the predecessor itself.
    pub hops: u8,
    /// Contacts that did not answer.
    pub timeouts: u16,
    /// Messages sent by this peer, and answers to them.
    pub messages: u32,
    /// From the command to the end.
    pub elapsed: Duration,
}

/// Why a search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Ending {
    /// Enough was found.
    Enough,
    /// Everything that is stored under the words or the content was seen.
    Everything,
    /// Some nodes did not answer, or gave up: there may be more.
    Partial,
    /// This peer is on no ring with others.
    Alone,
    /// The query has no whole word that every match has, nor alternatives of which
    /// each has one: beginnings of words cannot be looked up by a word's key.
    NoWord,
    /// Too many searches run already.
    TooMany,
}

/// How a search ended: enough to explain it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DhtOutcome {
    /// Why it ended.
    pub ending: Ending,
    /// Other peers that were asked for entries.
    pub asked: u32,
    /// Of these, how many answered.
    pub answered: u32,
    /// Hops of the longest lookup.
    pub hops: u8,
    /// Messages, with the answers.
    pub messages: u32,
    /// From the command to the end.
    pub elapsed: Duration,
}
