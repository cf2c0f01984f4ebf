//! Rings that were apart find each other again.
//!
//! Who did not answer any more is remembered, and asked now and then. If it does,
//! the first node after this one in *its* ring is looked up there; if that lies
//! before the own successor, the rings are two: it becomes the successor (M1). And
//! the node of the own ring after which the other belongs is told of it (M2). The
//! rest is maintenance as always.
//!
//! Source: after Shafaat, Ghodsi, Haridi, *Dealing with network partitions in
//! structured overlay networks*, 2009.

use gannet_base::Timestamp;

use super::contact::{Contact, Entry};
use super::lookup::Purpose;
use super::message::{RingBody, Step};
use super::rules::between;
use super::stabilise::Kind;
use super::{Found, Mode, Ring};

/// One in so many attempts is made at a node that is believed to be of this ring.
const CHECK_EVERY: usize = 8;

impl Ring {
    pub(super) fn on_timeout_merging(&mut self, now: Timestamp) {
        if self.timers.merge > now {
            return;
        }
        let interval = self.config.ring.merge_interval;
        self.timers.merge = now + self.spread(interval);
        self.expire_passive(now);
        if !matches!(self.mode, Mode::Ring) {
            return;
        }
        if self.pick(2) == 0 {
            self.look_for_itself(now);
            return;
        }
        if let Some(other) = self.stranger() {
            let step = Step {
                closer: vec![other],
                owners: Vec::new(),
            };
            let key = self.me.position.plus(1);
            self.start_lookup(now, Purpose::After, key, (1, Some(step)));
        }
    }

    /// Whether others find this node where it is: if not, the one that should have it
    /// as its successor is told. Mends rings that go round twice, in which each node
    /// finds its own way to itself and misses those between.
    // Source: after Liben-Nowell, Balakrishnan, Karger, Analysis of the evolution of
    // peer-to-peer systems, 2002: strong stabilisation.
    fn look_for_itself(&mut self, now: Timestamp) {
        let me = Box::new(self.me.clone());
        let key = self.me.position;
        let step = self.stranger().map(|other| Step {
            closer: vec![other],
            owners: Vec::new(),
        });
        self.start_lookup(now, Purpose::Place(me), key, (1, step));
    }

    /// Somebody who may be of another ring.
    fn stranger(&mut self) -> Option<Contact> {
        let passive = self.passive.iter().map(|passive| &passive.contact);
        let mut pool: Vec<Contact> = passive.cloned().collect();
        if pool.is_empty() || self.pick(CHECK_EVERY) == 0 {
            let is_near = |seed: &&Contact| self.successors().take(2).any(|near| near == *seed);
            let seeds = self.seeds.iter().filter(|seed| !is_near(seed));
            pool.extend(seeds.cloned());
            if self.pick(CHECK_EVERY) == 0 && !self.book.is_empty() {
                let chosen = self.pick(self.book.len());
                pool.push(self.book[chosen].clone());
            }
        }
        if pool.is_empty() {
            return None;
        }
        let chosen = self.pick(pool.len());
        Some(pool.swap_remove(chosen))
    }

    /// The first node after this one in another's ring, as it seems.
    pub(super) fn on_after_found(&mut self, now: Timestamp, found: Option<Found>) {
        let Some(first) = found.and_then(|found| found.owners.into_iter().next()) else {
            return;
        };
        self.merge_with(now, first);
    }

    /// A node of another ring answered: where it belongs in this one.
    pub(super) fn on_stranger_answered(&mut self, now: Timestamp, other: &Contact) {
        let Some(place) = self
            .passive
            .iter()
            .position(|passive| passive.contact == *other)
        else {
            return;
        };
        self.passive[place].contact.set_addresses(&other.addresses);
        if matches!(self.mode, Mode::Ring) {
            let purpose = Purpose::Place(Box::new(other.clone()));
            let key = other.position;
            self.start_lookup(now, purpose, key, (1, None));
        }
    }

    pub(super) fn on_stranger_placed(
        &mut self,
        now: Timestamp,
        other: Contact,
        found: Option<Found>,
    ) {
        let Some(found) = found else {
            return;
        };
        if found.owners.first() == Some(&other) {
            // It is of this ring again.
            self.revive(&other);
            self.meet(now, &other);
        } else if found.predecessor == self.me {
            self.merge_with(now, other);
        } else {
            let node = Box::new(other);
            self.send(&found.predecessor, RingBody::Meet { node });
        }
    }

    pub(super) fn on_meet(&mut self, now: Timestamp, node: Contact) {
        if self.is_small() {
            self.meet_ring(now, &node);
            return;
        }
        self.merge_with(now, node);
    }

    /// If this node lies before the successor, it is asked, and becomes the successor.
    fn merge_with(&mut self, now: Timestamp, other: Contact) {
        let first = &self.pointers.successors[0];
        let is_nearer = between(&self.pointers.me, &Entry::Node(other.clone()), first);
        if matches!(self.mode, Mode::Ring) && is_nearer && self.operation.is_none() {
            self.counters.merges += 1;
            self.begin(now, Kind::Merge, other);
        }
    }
}
