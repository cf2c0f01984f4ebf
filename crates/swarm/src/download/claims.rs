//! What is in flight, and with whom.

use std::collections::BTreeMap;

use gannet_base::{GroupRange, PeerId};

/// A slice that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) range: GroupRange,
    /// Whom it was asked of, first to last; at least one, at most
    /// [`Claims::HOLDERS_MAX`].
    pub(super) holders: Vec<PeerId>,
}

/// All slices in flight of one download: disjoint.
#[derive(Debug, Default)]
pub(super) struct Claims {
    by_start: BTreeMap<u64, Claim>,
}

impl Claims {
    /// A slice is in flight at most twice.
    // Source: endgame of libtorrent ("strict"): one duplicate a block.
    pub(super) const HOLDERS_MAX: usize = 2;

    pub(super) fn is_empty(&self) -> bool {
        self.by_start.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Claim> {
        self.by_start.values()
    }

    /// `peer` was asked for `range`.
    ///
    /// # Panics
    ///
    /// If it overlaps another claim: a group would be in flight twice.
    pub(super) fn add(&mut self, range: GroupRange, peer: PeerId) {
        assert!(
            self.overlapping(range).is_empty(),
            "a group is in flight as part of one slice only"
        );
        let holders = vec![peer];
        self.by_start.insert(range.start, Claim { range, holders });
    }

    /// `peer` was asked for `range` too.
    pub(super) fn add_holder(&mut self, range: GroupRange, peer: PeerId) {
        if let Some(claim) = self.by_start.get_mut(&range.start) {
            claim.holders.push(peer);
        }
    }

    /// `peer` will not bring `range`. True if nobody else will.
    pub(super) fn release(&mut self, range: GroupRange, peer: PeerId) -> bool {
        let Some(claim) = self
            .by_start
            .get_mut(&range.start)
            .filter(|claim| claim.range == range)
        else {
            return false;
        };
        let before = claim.holders.len();
        claim.holders.retain(|holder| *holder != peer);
        let last = claim.holders.is_empty() && before > 0;
        if last {
            self.by_start.remove(&range.start);
        }
        last
    }

    /// Takes out the claims that share a group with `range`.
    pub(super) fn take_overlapping(&mut self, range: GroupRange) -> Vec<Claim> {
        let starts = self.overlapping(range);
        starts
            .iter()
            .filter_map(|start| self.by_start.remove(start))
            .collect()
    }

    fn overlapping(&self, range: GroupRange) -> Vec<u64> {
        let before = self.by_start.range(..range.start).next_back();
        let before = before.filter(|(_, claim)| claim.range.end > range.start);
        let inside = self.by_start.range(range.start..range.end);
        before
            .into_iter()
            .chain(inside)
            .map(|(start, _)| *start)
            .collect()
    }
}
