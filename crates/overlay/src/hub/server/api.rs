//! What the layer above tells a hub and is told.

use std::net::SocketAddr;

use gannet_base::{PeerId, WallTime};

use crate::hub::{Budget, HubMessage, Refusal};

/// What the layer above tells a hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HubServerCommand {
    /// A linked peer's messages come from there: verified by the connection
    /// itself. Replaces what was seen before.
    Seen {
        /// The peer.
        peer: PeerId,
        /// Where it was seen; the first eight count.
        addresses: Vec<SocketAddr>,
    },
    /// The calendar's time now, by this machine's own clock. Until it is told
    /// once, publications are taken whatever their expiry.
    WallTime(WallTime),
    /// Refuse everybody from now on, and tell those who are here.
    Close,
}

/// Why a peer is no longer registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftReason {
    /// It said goodbye.
    Goodbye,
    /// It was silent for the whole lease.
    Silent,
    /// Its link went down and it did not come back in time.
    LinkLost,
}

/// What a hub tells the layer above, for logs and status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HubServerEvent {
    /// A peer was welcomed.
    Joined {
        /// Who.
        peer: PeerId,
    },
    /// A batch of a peer was applied.
    Registered {
        /// Who.
        peer: PeerId,
        /// How many entries of it there are now.
        entries: usize,
    },
    /// A peer is gone and its entries with it.
    Left {
        /// Who.
        peer: PeerId,
        /// How many entries it had.
        entries: usize,
        /// Why.
        reason: LeftReason,
    },
    /// Something was refused. For each peer that is here, told at most once a
    /// minute.
    Refused {
        /// Who.
        peer: PeerId,
        /// What and why.
        reason: Refusal,
    },
    /// A peer sent far more messages than it may and lost its link.
    Flooding {
        /// Who.
        peer: PeerId,
        /// How many messages were dropped unread.
        dropped: u64,
    },
}

/// A hub's figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HubStatus {
    /// Peers that are here, those without entries too.
    pub peers: usize,
    /// Peers with entries.
    pub holders: usize,
    /// Entries of all peers.
    pub entries: usize,
    /// Different contents among them.
    pub contents: usize,
    /// Memory of the index in bytes, as it estimates it.
    pub bytes: usize,
    /// Questions answered since the start.
    pub searches: u64,
    /// Questions that wait for their asker's budget.
    pub pending: usize,
    /// Refusals since the start: of peers, questions and entries.
    pub refused: u64,
    /// Messages dropped unread since the start.
    pub dropped: u64,
    /// Messages since the start that broke the protocol.
    pub malformed: u64,
}

impl HubMessage {
    /// Whether a hub is the one to read it (else it is a hub's client): for
    /// programs that are both.
    pub fn is_for_hub(&self) -> bool {
        match self {
            Self::Hello { .. }
            | Self::Ping { .. }
            | Self::Batch { .. }
            | Self::Search { .. }
            | Self::Sources { .. }
            | Self::Goodbye { .. } => true,
            Self::Welcome { .. }
            | Self::Pong { .. }
            | Self::Ack { .. }
            | Self::Rows { .. }
            | Self::Refused { .. }
            | Self::Lapsed => false,
        }
    }
}

impl Refusal {
    /// A refusal that waiting does not mend.
    pub(crate) fn of(budget: Budget, max: usize) -> Self {
        Self {
            budget,
            max: max as u64,
            retry_after_ms: 0,
        }
    }
}
