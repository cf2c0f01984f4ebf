//! Questions that are not answered yet.

use std::collections::{BTreeMap, BTreeSet};

use gannet_base::{PeerId, Timestamp};

use super::shards::Look;
use crate::dht::Position;
use crate::dht::api::RequestId;

/// What an answer is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A load of an errand.
    Errand(u64),
    /// A list that a search reads.
    Leg(RequestId, Position),
    /// A look at a part of a list.
    Poll(Look),
    /// A comparison.
    Compare(u64),
    /// Records that were missing.
    Fetch(u64),
    /// Copies for one that holds them, and the receipt that waits for it, if any.
    Copies(u64),
}

#[derive(Debug)]
struct Request {
    peer: PeerId,
    deadline: Timestamp,
    purpose: Purpose,
}

/// Requests under way; bounded by what makes them.
#[derive(Debug, Default)]
pub(super) struct Requests {
    all: BTreeMap<u64, Request>,
    due: BTreeSet<(Timestamp, u64)>,
}

impl Requests {
    pub(super) fn insert(&mut self, id: u64, peer: PeerId, deadline: Timestamp, purpose: Purpose) {
        self.due.insert((deadline, id));
        let request = Request {
            peer,
            deadline,
            purpose,
        };
        self.all.insert(id, request);
    }

    /// What an answer from this peer is for.
    pub(super) fn take(&mut self, id: u64, from: PeerId) -> Option<Purpose> {
        if self.all.get(&id)?.peer != from {
            return None;
        }
        self.cancel(id)
    }

    /// The answer is not wanted any more.
    pub(super) fn cancel(&mut self, id: u64) -> Option<Purpose> {
        let request = self.all.remove(&id)?;
        self.due.remove(&(request.deadline, id));
        Some(request.purpose)
    }

    /// Everything that a peer was asked.
    pub(super) fn take_all_of(&mut self, peer: PeerId) -> Vec<Purpose> {
        let of_peer = self.all.iter().filter(|(_, request)| request.peer == peer);
        let ids: Vec<u64> = of_peer.map(|(id, _)| *id).collect();
        ids.into_iter().filter_map(|id| self.cancel(id)).collect()
    }

    /// One that is not answered in time.
    pub(super) fn pop_late(&mut self, now: Timestamp) -> Option<(PeerId, Purpose)> {
        let (_, id) = *self.due.first().filter(|(due, _)| *due <= now)?;
        let peer = self.all.get(&id)?.peer;
        Some((peer, self.cancel(id)?))
    }

    pub(super) fn due(&self) -> Option<Timestamp> {
        self.due.first().map(|(due, _)| *due)
    }
}
