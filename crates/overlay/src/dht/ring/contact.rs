//! A node as others know it.

use std::net::SocketAddr;

use gannet_base::{PeerAddress, PeerId};
use serde::{Deserialize, Serialize};

use super::rules::Node;
use crate::dht::position::Position;

/// The index that a peer gives which uses the ring and has no place on it.
pub const CLIENT: u8 = u8::MAX;

/// A node as others know it: a peer, or one of its virtual nodes. Two contacts are
/// equal if they are of the same node, wherever it may be reached.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "WireContact", into = "WireContact")]
pub struct Contact {
    /// Where on the ring: computed, never believed.
    pub position: Position,
    /// Whose node.
    pub peer: PeerId,
    /// Which of its nodes.
    pub index: u8,
    /// Where the peer can be reached, as far as known.
    pub addresses: Box<[SocketAddr]>,
}

#[derive(Serialize, Deserialize)]
struct WireContact(PeerId, u8, Vec<SocketAddr>);

impl Contact {
    /// The node of this peer with this index.
    pub fn new(peer: PeerId, index: u8) -> Self {
        Self {
            position: Position::of_peer(peer, index),
            peer,
            index,
            addresses: Box::default(),
        }
    }

    /// The same, with the addresses that count.
    #[must_use]
    pub fn with_addresses(mut self, addresses: &[SocketAddr]) -> Self {
        self.set_addresses(addresses);
        self
    }

    /// The first node of a peer.
    pub fn of(address: &PeerAddress) -> Self {
        Self::new(address.peer, 0).with_addresses(&address.addresses)
    }

    /// The peer, and where it is.
    pub fn address(&self) -> PeerAddress {
        PeerAddress {
            peer: self.peer,
            addresses: self.addresses.to_vec(),
        }
    }

    /// Whether it is this node.
    pub fn is(&self, peer: PeerId, index: u8) -> bool {
        self.peer == peer && self.index == index
    }

    pub(crate) fn set_addresses(&mut self, addresses: &[SocketAddr]) {
        let kept = addresses.len().min(PeerAddress::ADDRESSES_MAX);
        if !addresses.is_empty() && *self.addresses != addresses[..kept] {
            self.addresses = addresses[..kept].into();
        }
    }

    pub(crate) fn is_bounded(&self) -> bool {
        self.addresses.len() <= PeerAddress::ADDRESSES_MAX
    }
}

impl PartialEq for Contact {
    fn eq(&self, other: &Self) -> bool {
        self.position == other.position && self.is(other.peer, other.index)
    }
}

impl Eq for Contact {}

impl From<WireContact> for Contact {
    fn from(WireContact(peer, index, addresses): WireContact) -> Self {
        Self {
            addresses: addresses.into(),
            ..Self::new(peer, index)
        }
    }
}

impl From<Contact> for WireContact {
    fn from(contact: Contact) -> Self {
        Self(contact.peer, contact.index, contact.addresses.into())
    }
}

/// An entry of a list of successors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// A node.
    Node(Contact),
    /// Nobody.
    Padding(Position),
}

impl Entry {
    /// The node, if it is one.
    pub fn node(&self) -> Option<&Contact> {
        match self {
            Self::Node(contact) => Some(contact),
            Self::Padding(_) => None,
        }
    }
}

impl Node for Entry {
    fn position(&self) -> Position {
        match self {
            Self::Node(contact) => contact.position,
            Self::Padding(position) => *position,
        }
    }

    fn padding_after(&self) -> Self {
        Self::Padding(self.position().plus(1))
    }
}
