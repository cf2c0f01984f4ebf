//! What can be looked at from outside.

use gannet_base::PeerAddress;

use super::Dht;
use super::keep::{Keep, KeepCounts};
use super::ring::{Ring, RingStatus};
use super::store::StoreStatus;

/// How it stands with the overlay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DhtStatus {
    /// Whether this peer has a place among others.
    pub is_joined: bool,
    /// Its nodes, by index.
    pub nodes: Vec<RingStatus>,
    /// How many nodes the network has, as far as this peer can judge.
    pub size_estimate: u64,
    /// Links, with those being dialled.
    pub links: usize,
    /// Records: own ones, and those held for others.
    pub store: StoreStatus,
    /// Blocks held for others, and own files that others keep.
    pub keep: KeepCounts,
}

impl Dht {
    /// How it stands. Costs a copy of the lists of successors.
    pub fn status(&self) -> DhtStatus {
        DhtStatus {
            is_joined: self.is_joined,
            nodes: self.rings.iter().map(Ring::status).collect(),
            size_estimate: self.size_estimate(),
            links: self.links.len(),
            store: self.store.status(),
            keep: self.keep().map(Keep::counts).unwrap_or_default(),
        }
    }

    /// How many nodes the network has, judged by how dense they are around this
    /// peer's.
    pub fn size_estimate(&self) -> u64 {
        let count = u64::try_from(self.rings.len()).unwrap_or(1).max(1);
        let sum = self.rings.iter().map(|ring| ring.size_estimate() / count);
        sum.fold(0, u64::saturating_add).max(1)
    }

    /// Peers to remember beyond the end of the process, the likeliest to live first.
    pub fn remembered(&self) -> Vec<PeerAddress> {
        let first = self.rings.first();
        first.map_or_else(Vec::new, Ring::remembered)
    }
}
