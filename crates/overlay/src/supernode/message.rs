//! What the two tiers say to each other.

use std::sync::Arc;

use gannet_base::wire::{FRAME_BYTES_MAX, Malformed, WireMessage};
use gannet_base::{PeerAddress, PeerId};
use serde::{Deserialize, Serialize};

use super::api::Ending;
use crate::flood::{Coverage, FloodMessage, Hits, Wanted, check_hits};
use crate::hub::HubMessage;

/// Most peers in one list.
// Source: contacts an answer at most 20 (hardened nodes).
pub(super) const PEERS_LISTED_MAX: usize = 20;
/// Most heirs in one roster.
// Guess: that all of them die within a minute is rare.
pub(super) const HEIRS_MAX: usize = 6;

/// What a machine is, by its own word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Machine {
    /// How fast it can upload, KiB a second.
    pub upload_kib: u32,
    /// How much memory it can spare, MiB.
    pub memory_mib: u32,
}

/// What a peer says of how well it would do as a supernode. Claims: who reads
/// it believes only what it can check, see `Score::believed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Score {
    /// Seconds since it started.
    pub uptime_s: u32,
    /// Its machine.
    pub machine: Machine,
    /// How steady it has been: the share of its time, per cent, without losing
    /// links that it did not give up.
    pub stability: u8,
    /// Whether others can reach it, proven by somebody who dialled it back.
    pub reachable: bool,
    /// Whether it is willing.
    pub willing: bool,
}

/// What a knock is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wish {
    /// A place as a leaf that has none, or is about to lose it.
    Primary,
    /// A place as a leaf that has a primary.
    Backup,
    /// A list of others, nothing more.
    List,
    /// A place at the heir of a supernode that is gone.
    Heir {
        /// Who is gone.
        of: PeerId,
    },
}

/// The answer to a knock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The knock's.
    pub nonce: u64,
    /// Whether the sender is a supernode.
    pub is_supernode: bool,
    /// Whether the wish is granted: the place is kept for some seconds.
    pub room: bool,
    /// Whether there are too few supernodes: who knocks, and can, should be one.
    pub needed: bool,
    /// Supernodes that the sender knows to live; those with room first.
    pub supernodes: Vec<PeerAddress>,
}

/// How far a search came, as the supernode says that was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Answered {
    /// Rows that it had in its own index.
    pub own_rows: u32,
    /// How far the question came beyond it.
    pub coverage: Coverage,
    /// How many times it went out, each time further.
    pub rounds: u32,
    /// Largest TTL that it went out with.
    pub ttl: u8,
}

/// The overlay's messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SupernodeMessage {
    /// Between a leaf and its supernodes: registration and keep-alive, as at a
    /// hub.
    Hub(HubMessage),
    /// Among supernodes: links and questions, as in a flood.
    Flood(FloodMessage),
    /// Anybody to a supernode: is there a place?
    Knock {
        /// Echoed in the answer.
        nonce: u64,
        /// What for.
        wish: Wish,
        /// It was sent on by others already: no more of that.
        insists: bool,
    },
    /// The answer. Boxed: large.
    Place(Box<Place>),
    /// A leaf to its supernodes: what it is.
    Card {
        /// Whether it asks this one, or keeps it as the backup.
        is_primary: bool,
        /// How well it would do as a supernode.
        score: Score,
    },
    /// A supernode to its leaves: whom to turn to when it is gone. Shared: all get the
    /// same, and keep it.
    Roster(Arc<Roster>),
    /// A supernode to its leaf: more supernodes are needed, be one.
    Promote,
    /// A leaf to its supernode: it cannot.
    Decline,
    /// A supernode to its leaf: find another place, this one will end.
    Move,
    /// Supernodes to their neighbours, now and then.
    Load {
        /// Leaves that are registered.
        leaves: u16,
        /// How many there may be.
        leaves_max: u16,
        /// What it is.
        score: Score,
    },
    /// A supernode to another: dial this peer, and tell it that you did.
    DialBack {
        /// Who, and where it was seen.
        peer: PeerAddress,
    },
    /// The other to the peer: I dialled you, and here I am.
    Reached,
    /// The other to the supernode: whether it could.
    DialledBack {
        /// Who was dialled.
        peer: PeerId,
        /// Whether it answered.
        reached: bool,
    },
    /// A leaf to its supernode: find this.
    Search {
        /// The leaf's number, echoed.
        request: u64,
        /// What.
        wanted: Wanted,
        /// How many different contents, or holders of one, are enough.
        enough: u32,
    },
    /// A leaf to its supernode: stop looking.
    Cancel {
        /// The leaf's number.
        request: u64,
    },
    /// A supernode to its leaf: some of the answer. The first one says what the
    /// own index has, and comes also if that is nothing.
    Rows {
        /// The leaf's number.
        request: u64,
        /// The rows; hops are those from the asked supernode. Boxed: large.
        hits: Box<Hits>,
    },
    /// A supernode to its leaf: that was all. Boxed: rare.
    Ended {
        /// The leaf's number.
        request: u64,
        /// Why.
        ending: Ending,
        /// How far it came.
        answered: Box<Answered>,
    },
}

/// Whom a leaf turns to when its supernode is gone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Roster {
    /// Leaves of the sender that are fit to take its place, the best first.
    pub heirs: Vec<PeerAddress>,
    /// Other supernodes that the sender knows to live; those with room first.
    pub supernodes: Vec<PeerAddress>,
}

fn check_peers(peers: &[PeerAddress], max: usize) -> Result<(), Malformed> {
    Malformed::unless(peers.len() <= max, "peers")?;
    let bounded = peers
        .iter()
        .all(|peer| peer.addresses.len() <= PeerAddress::ADDRESSES_MAX);
    Malformed::unless(bounded, "addresses")
}

impl WireMessage for SupernodeMessage {
    const VARIANTS: u32 = 17;
    const BYTES_MAX: usize = FRAME_BYTES_MAX;

    fn validate(&self) -> Result<(), Malformed> {
        match self {
            Self::Hub(message) => message.validate(),
            Self::Flood(message) => message.validate(),
            Self::Place(place) => check_peers(&place.supernodes, PEERS_LISTED_MAX),
            Self::Roster(roster) => {
                check_peers(&roster.heirs, HEIRS_MAX)?;
                check_peers(&roster.supernodes, PEERS_LISTED_MAX)
            }
            Self::DialBack { peer } => check_peers(std::slice::from_ref(peer), 1),
            Self::Rows { hits, .. } => check_hits(hits),
            Self::Knock { .. }
            | Self::Card { .. }
            | Self::Promote
            | Self::Decline
            | Self::Move
            | Self::Load { .. }
            | Self::Reached
            | Self::DialledBack { .. }
            | Self::Search { .. }
            | Self::Cancel { .. }
            | Self::Ended { .. } => Ok(()),
        }
    }
}
