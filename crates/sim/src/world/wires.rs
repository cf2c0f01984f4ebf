//! Links that were made, each known at its two ends.
//!
//! Both ends of a link carry the number (epoch) of the dial that made it, so
//! that what was sent along an older link between the same two is not taken for
//! news of this one.

use gannet_base::Timestamp;

use super::index;

/// One end of a link.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    pub(super) peer: u32,
    pub(super) epoch: u32,
    /// Whether the core was told: until then it is a dial on its way.
    pub(super) told: bool,
    /// It is a dial that will not arrive, or did where nobody was.
    pub(super) lost: bool,
    /// Nothing that is sent now arrives earlier: links keep the order.
    pub(super) last: Timestamp,
}

/// All ends of all peers.
#[derive(Debug, Default)]
pub(super) struct Wires {
    ends: Vec<Vec<End>>,
    epoch: u32,
}

impl Wires {
    pub(super) fn add_node(&mut self) {
        self.ends.push(Vec::new());
    }

    /// A number for a new link.
    pub(super) fn next_epoch(&mut self) -> u32 {
        self.epoch = self.epoch.wrapping_add(1);
        self.epoch
    }

    pub(super) fn end(&mut self, node: u32, peer: u32) -> Option<&mut End> {
        let ends = self.ends.get_mut(index(node))?;
        ends.iter_mut().find(|end| end.peer == peer)
    }

    /// Makes an end, in place of an older one to the same peer.
    pub(super) fn put(&mut self, node: u32, end: End) {
        match self.end(node, end.peer) {
            Some(old) => *old = end,
            None => self.ends[index(node)].push(end),
        }
    }

    /// Takes an end away, if it is of this link.
    pub(super) fn remove(&mut self, node: u32, peer: u32, epoch: u32) -> Option<End> {
        let ends = self.ends.get_mut(index(node))?;
        let place = ends
            .iter()
            .position(|end| end.peer == peer && end.epoch == epoch)?;
        Some(ends.swap_remove(place))
    }

    /// Takes all ends of a peer away.
    pub(super) fn take(&mut self, node: u32) -> Vec<End> {
        std::mem::take(&mut self.ends[index(node)])
    }

    /// Every end with the peer that it belongs to.
    pub(super) fn all(&self) -> impl Iterator<Item = (u32, &End)> {
        (0_u32..)
            .zip(&self.ends)
            .flat_map(|(node, ends)| ends.iter().map(move |end| (node, end)))
    }

    /// The peers that a peer has links to, as far as its core knows.
    pub(super) fn peers(&self, node: u32) -> impl Iterator<Item = u32> {
        let ends = self.ends.get(index(node)).map_or(&[][..], Vec::as_slice);
        ends.iter().filter(|end| end.told).map(|end| end.peer)
    }
}
