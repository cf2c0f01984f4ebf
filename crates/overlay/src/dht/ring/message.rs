//! What the nodes of a ring say to each other.

use std::net::SocketAddr;

use gannet_base::PeerAddress;
use gannet_base::wire::Malformed;
use serde::{Deserialize, Serialize};

use super::contact::{Contact, Entry};
use crate::dht::position::Position;

/// Longest list of successors that is taken.
// Guess: 2 log2 N for a network of 2^32.
pub const SUCCESSORS_MAX: usize = 64;
/// Most nodes in one answer to a question for the way.
// Source: contacts an answer at most 20 (hardened nodes).
pub const CLOSER_MAX: usize = 20;
/// Most members that a small network tells of.
pub const MEMBERS_MAX: usize = 2 * SUCCESSORS_MAX;

/// What the nodes of a ring say to each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RingMessage {
    /// Which node of the sender; [`CLIENT`](super::CLIENT) if it has none.
    pub from: u8,
    /// Which node of the receiver.
    pub to: u8,
    /// What.
    pub body: RingBody,
}

/// What a node tells of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct State {
    /// Its predecessor, if it knows of one.
    pub predecessor: Option<Contact>,
    /// Its successors, in order.
    pub successors: Vec<Entry>,
    /// Where it can be reached, as it believes.
    pub addresses: Vec<SocketAddr>,
}

/// The way on to a key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Step {
    /// Nodes between the one that answers and the key, nearest to the key first.
    pub closer: Vec<Contact>,
    /// If its successors reach beyond the key: those at or after it, in order.
    pub owners: Vec<Contact>,
}

/// What a node says that may be the receiver's predecessor.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Card {
    /// Where it can be reached, as it believes.
    pub addresses: Vec<SocketAddr>,
    /// The nodes before it, nearest first: so replicas know what is theirs.
    pub predecessors: Vec<Position>,
}

/// What a node of a network too small for a ring knows, and one of a ring says to
/// such a one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Members {
    /// Echoed in an answer.
    pub nonce: u32,
    /// Whether this is a question.
    pub wants_answer: bool,
    /// Whether the sender's network is too small for a ring.
    pub is_small: bool,
    /// Where it can be reached, as it believes.
    pub addresses: Vec<SocketAddr>,
    /// The others, as far as the sender has heard from them; nobody if it is on a
    /// ring.
    pub members: Vec<Contact>,
}

/// The kinds of messages. A nonce is the asker's, and echoed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RingBody {
    /// Are you there? Always answered at once.
    Ping {
        /// The asker's.
        nonce: u32,
        /// In a small network: of the set of members that the sender knows; else 0.
        digest: u64,
    },
    /// Yes.
    Pong {
        /// The asker's.
        nonce: u32,
        /// As above.
        digest: u64,
    },
    /// Tell of yourself, for maintenance: answered between two operations.
    Ask {
        /// The asker's.
        nonce: u32,
    },
    /// Tell of yourself, for a lookup: answered at once.
    Look {
        /// The asker's.
        nonce: u32,
    },
    /// The answer. Boxed: large.
    State {
        /// The asker's.
        nonce: u32,
        /// What it is.
        state: Box<State>,
    },
    /// The answer will follow.
    Busy {
        /// The asker's.
        nonce: u32,
    },
    /// There is no such node here, or it cannot do that.
    Refused {
        /// The asker's.
        nonce: u32,
    },
    /// I may be your predecessor. Boxed: large.
    Notify(Box<Card>),
    /// Your successor is another one now, or its list is.
    Hint,
    /// Which way to a key?
    Find {
        /// The asker's.
        nonce: u32,
        /// The key.
        key: Position,
        /// Only nodes before this one: those after it were tried in vain.
        before: Position,
    },
    /// The answer. Boxed: large.
    Step {
        /// The asker's.
        nonce: u32,
        /// The way.
        step: Box<Step>,
    },
    /// May I be your successor? Answered with the state, or refused.
    Join {
        /// The asker's.
        nonce: u32,
        /// Where it can be reached, as it believes.
        addresses: Vec<SocketAddr>,
    },
    /// In a small network: who is there. Boxed: large.
    Members(Box<Members>),
    /// Does this node answer you? It does not answer me. Boxed: rare.
    Probe {
        /// The asker's.
        nonce: u32,
        /// Which.
        node: Box<Contact>,
    },
    /// The answer.
    Probed {
        /// The asker's.
        nonce: u32,
        /// Whether it does; nothing if the asked does not know that node.
        answers: Option<bool>,
    },
    /// This node, of a ring that was apart, belongs right after you. Boxed: rare.
    Meet {
        /// Which.
        node: Box<Contact>,
    },
    /// I go. Boxed: rare.
    Leave {
        /// What I was.
        state: Box<State>,
    },
}

fn check_addresses(addresses: &[SocketAddr]) -> Result<(), Malformed> {
    Malformed::unless(addresses.len() <= PeerAddress::ADDRESSES_MAX, "addresses")
}

fn check_contacts<'a>(
    mut contacts: impl Iterator<Item = &'a Contact>,
    count: usize,
    max: usize,
) -> Result<(), Malformed> {
    Malformed::unless(count <= max, "nodes")?;
    Malformed::unless(contacts.all(Contact::is_bounded), "addresses")
}

fn check_state(state: &State) -> Result<(), Malformed> {
    check_addresses(&state.addresses)?;
    let nodes = state.successors.iter().filter_map(Entry::node);
    check_contacts(
        nodes.chain(&state.predecessor),
        state.successors.len(),
        SUCCESSORS_MAX,
    )
}

impl RingMessage {
    pub(crate) fn validate(&self) -> Result<(), Malformed> {
        match &self.body {
            RingBody::State { state, .. } | RingBody::Leave { state } => check_state(state),
            RingBody::Step { step, .. } => {
                check_contacts(step.closer.iter(), step.closer.len(), CLOSER_MAX)?;
                check_contacts(step.owners.iter(), step.owners.len(), SUCCESSORS_MAX)
            }
            RingBody::Notify(card) => {
                let listed = card.predecessors.len();
                Malformed::unless(listed <= SUCCESSORS_MAX, "predecessors")?;
                check_addresses(&card.addresses)
            }
            RingBody::Join { addresses, .. } => check_addresses(addresses),
            RingBody::Members(members) => {
                check_addresses(&members.addresses)?;
                let listed = members.members.len();
                check_contacts(members.members.iter(), listed, MEMBERS_MAX)
            }
            RingBody::Probe { node, .. } | RingBody::Meet { node } => {
                check_contacts(std::iter::once(&**node), 1, 1)
            }
            RingBody::Ping { .. }
            | RingBody::Pong { .. }
            | RingBody::Ask { .. }
            | RingBody::Look { .. }
            | RingBody::Busy { .. }
            | RingBody::Refused { .. }
            | RingBody::Hint
            | RingBody::Find { .. }
            | RingBody::Probed { .. } => Ok(()),
        }
    }
}
