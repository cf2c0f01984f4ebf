//! Lists of addresses that take one word where there is none.

use std::net::SocketAddr;
use std::ops::Deref;

use gannet_base::{PeerAddress, PeerId};

/// A list of addresses behind one word: most are not known, and a leaf keeps
/// many such lists.
#[derive(Debug, Clone, Default)]
pub(super) struct Addresses(Option<Box<Box<[SocketAddr]>>>);

impl Deref for Addresses {
    type Target = [SocketAddr];

    fn deref(&self) -> &[SocketAddr] {
        self.0.as_deref().map_or(&[], |all| all)
    }
}

impl FromIterator<SocketAddr> for Addresses {
    fn from_iter<T: IntoIterator<Item = SocketAddr>>(all: T) -> Self {
        let all: Box<[SocketAddr]> = all.into_iter().collect();
        Self((!all.is_empty()).then(|| Box::new(all)))
    }
}

/// A peer and where it may be, as long as it is only kept.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) peer: PeerId,
    addresses: Addresses,
}

impl From<PeerAddress> for Kept {
    fn from(address: PeerAddress) -> Self {
        Self {
            peer: address.peer,
            addresses: address.addresses.into_iter().collect(),
        }
    }
}

impl From<Kept> for PeerAddress {
    fn from(kept: Kept) -> Self {
        Self {
            peer: kept.peer,
            addresses: kept.addresses.to_vec(),
        }
    }
}
