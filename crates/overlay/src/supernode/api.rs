//! What the layer above asks of the overlay, and what it is told.

use std::net::SocketAddr;
use std::time::Duration;

use gannet_base::{ContentId, PeerAddress, PeerId, Publication, Row, WallTime};

use serde::{Deserialize, Serialize};

use super::message::{Answered, Machine};
use crate::flood::Wanted;
use crate::hub::Refusal;

/// The caller's number for a search; echoed.
pub type RequestId = u64;

/// Which of the two tiers a peer is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// It is registered at supernodes.
    Leaf,
    /// Leaves are registered at it.
    Supernode,
}

/// What the layer above asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SupernodeCommand {
    /// Peers to begin with: named by the user, found on the local network, or
    /// remembered from before. A peer that is told of nobody begins a network
    /// of its own, as a supernode; so does one that finds nobody of them.
    Bootstrap(Vec<PeerAddress>),
    /// What to say of this peer.
    Announce {
        /// Where it believes it can be reached; the first eight count.
        addresses: Vec<SocketAddr>,
        /// How fast it can upload, if that is known.
        upload_bytes_per_second: Option<u64>,
    },
    /// What this machine is, for its score.
    Machine(Machine),
    /// Where a linked peer was seen: verified, unlike what it says of itself.
    Seen {
        /// Who.
        peer: PeerId,
        /// Where.
        addresses: Vec<SocketAddr>,
    },
    /// The calendar's time now, by this machine's own clock.
    WallTime(WallTime),
    /// This machine has more to do than it can, or no more so. A supernode then
    /// takes no more leaves and keeps those it has.
    Busy(bool),
    /// Share these, all of the same holder: this peer.
    Publish(Vec<Publication>),
    /// Share these no more.
    Withdraw(Vec<(ContentId, String)>),
    /// Looks for something.
    Search {
        /// The caller's number.
        id: RequestId,
        /// What.
        wanted: Wanted,
        /// How many different contents are enough (for a content id: how many
        /// holders). 0 counts as 1.
        enough: u32,
    },
    /// Forgets a search; no event follows.
    Cancel {
        /// Which.
        id: RequestId,
    },
    /// Rows that came this way were not signed by their holders.
    Forged {
        /// Through whom they came, as told with the rows.
        via: PeerId,
        /// Its hops, as told with the rows.
        hops: u8,
    },
    /// A holder that was named has nothing of the kind, or does not exist. A
    /// leaf's supernode that names some of these is left and remembered.
    DeadSource {
        /// Through whom it came, as told with the rows.
        via: PeerId,
        /// Its hops, as told with the rows.
        hops: u8,
    },
    /// Says goodbye to everybody.
    Leave,
}

/// Why a supernode is no longer this leaf's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LossReason {
    /// It is gone: the link broke, or it answers nothing, and a second attempt
    /// had no answer either.
    Gone,
    /// It answers, but wrongly: it is not asked again for a while.
    Useless,
    /// It has no room, or stands down.
    Refused,
    /// Another one is used instead.
    Replaced,
}

/// What the layer above is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SupernodeEvent {
    /// The role has changed. Told at the start too.
    Role(Role),
    /// A supernode has this peer as a leaf now.
    Assigned {
        /// Which.
        supernode: PeerId,
        /// Whether it is the one that is asked; the other one is the backup.
        is_primary: bool,
    },
    /// A supernode is no longer this leaf's.
    Lost {
        /// Which.
        supernode: PeerId,
        /// Why.
        reason: LossReason,
    },
    /// A supernode did not take in some entries.
    RegistrationRefused {
        /// Which.
        supernode: PeerId,
        /// How many entries are missing there.
        entries: usize,
        /// Why.
        reason: Refusal,
    },
    /// Some publications were not taken by this peer itself: malformed, or too
    /// many.
    PublishRefused {
        /// How many.
        entries: usize,
    },
    /// A link between supernodes was made.
    NeighbourUp {
        /// Who.
        peer: PeerId,
    },
    /// A link between supernodes ended.
    NeighbourDown {
        /// Who.
        peer: PeerId,
    },
    /// A leaf has come.
    LeafUp {
        /// Who.
        peer: PeerId,
    },
    /// A leaf is gone, and its entries with it.
    LeafDown {
        /// Who.
        peer: PeerId,
    },
    /// Answers to an own search; may come many times.
    Rows {
        /// The caller's number.
        id: RequestId,
        /// Through whom they came: the leaf's supernode, the supernode's
        /// neighbour, or this peer itself if it has them in its own index.
        via: PeerId,
        /// Hops from here to the supernode that answered, as they say: 0 for
        /// the own index, 1 for the primary's.
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
        outcome: SupernodeOutcome,
    },
    /// Where a peer can be reached that this one is about to dial.
    Addresses(PeerAddress),
}

/// Why a search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Ending {
    /// Enough was found.
    Enough,
    /// Every supernode that can be reached was asked.
    Everybody,
    /// Some did not answer in time, or refused: asked as far as possible.
    Partial,
    /// No supernode took the question.
    NoSupernode,
    /// Too many searches run already.
    TooMany,
}

/// How a search ended: enough to explain it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SupernodeOutcome {
    /// Why it ended.
    pub ending: Ending,
    /// Supernodes of its own that this leaf asked, one after the other; 0 if it
    /// is a supernode itself.
    pub asked: u32,
    /// What the one that answered to the end says of how far it came.
    pub answered: Answered,
    /// From the command to the end.
    pub elapsed: Duration,
}
