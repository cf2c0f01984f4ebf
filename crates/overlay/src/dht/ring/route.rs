//! The way to a key, as this node tells it.

use gannet_base::{PeerId, Timestamp};

use super::contact::{Contact, Entry};
use super::message::{CLOSER_MAX, RingBody, Step};
use super::{Mode, Ring};
use crate::dht::position::Position;

/// Nodes of one neighbourhood of public addresses in one answer.
// Source: at most 2 per /24 in an answer (hardened nodes).
const NEIGHBOURHOOD_MAX: usize = 2;
/// How many times the usual distance a gap may have before who claims it is
/// doubted.
// Guess: one honest gap of nine million is wider.
const GAP_MAX: u128 = 16;
/// Owners from which on their mean distance says something.
const LIST_MIN: usize = 8;

/// What a ring around here looks like: to tell who leaves nodes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suspicion {
    /// Usual distance between two nodes; nothing: not known.
    spacing: Option<u128>,
}

impl Suspicion {
    /// Nothing is doubted.
    pub const NONE: Self = Self { spacing: None };

    /// Whether these nodes at or after a key cannot be all: honest lists are as
    /// dense as the one here.
    pub(super) fn is_wanting(&self, key: Position, owners: &[Contact]) -> bool {
        let Some(spacing) = self.spacing else {
            return false;
        };
        let (Some(first), Some(last)) = (owners.first(), owners.last()) else {
            return true;
        };
        let count = u128::try_from(owners.len()).unwrap_or(u128::MAX);
        let gap = key.distance_to(first.position);
        let span = key.distance_to(last.position);
        // Two and a half times as far as usual: of 16 honest ones, once in 10^5.
        let far = spacing.saturating_mul(count).saturating_mul(5) / 2;
        gap / GAP_MAX > spacing || (owners.len() >= LIST_MIN && span > far)
    }
}

impl Ring {
    /// Usual distance between two nodes, judged by those around here.
    pub(super) fn spacing(&self) -> Option<u128> {
        let here = self.me.position;
        let last = self.successors().last()?;
        let after = self.successors().count();
        let before = self.predecessors.last().copied();
        let span = here.distance_to(last.position);
        let back = before.map_or(0, |before| before.distance_to(here));
        let count = u128::try_from(after + self.predecessors.len()).unwrap_or(1);
        Some(span.saturating_add(back) / count.max(1))
    }

    pub(super) fn suspicion(&self) -> Suspicion {
        // A handful says too little.
        let enough = self.is_on_ring() && self.successors().count() >= LIST_MIN;
        if self.config.ring.is_wary && enough {
            Suspicion {
                spacing: self.spacing(),
            }
        } else {
            Suspicion::NONE
        }
    }

    /// The way to `key`: nodes before `before`, nearest to the key first.
    pub(super) fn step(&self, key: Position, before: Position) -> Step {
        let here = self.me.position;
        if !self.is_member() {
            let gateways = self.gateways();
            let mut closer: Vec<Contact> = gateways.take(CLOSER_MAX).cloned().collect();
            closer.sort_by_key(|contact| contact.position.distance_to(key));
            let owners = Vec::new();
            return Step { closer, owners };
        }
        let mut closer: Vec<&Contact> = Vec::new();
        let short = self.config.ring.shortcuts || self.is_small();
        let near = self
            .successors()
            .chain(self.predecessor().filter(|_| short));
        let count = self.config.ring.closer.clamp(1, CLOSER_MAX);
        let bound = |contact: &Contact| {
            let position = contact.position;
            position.is_between(here, before) && position.is_between(here, key)
        };
        for contact in near.chain(self.fingers.contacts()).chain(&self.book) {
            if !bound(contact) {
                continue;
            }
            let left = contact.position.distance_to(key);
            let place = closer.partition_point(|known| known.position.distance_to(key) < left);
            let is_known = closer.get(place).is_some_and(|known| *known == contact);
            if place < count && !is_known && !self.is_suspect(contact) {
                closer.insert(place, contact);
                closer.truncate(count);
            }
        }
        let mut closer: Vec<Contact> = closer.into_iter().cloned().collect();
        super::book::diverse(&mut closer, NEIGHBOURHOOD_MAX);
        Step {
            closer,
            owners: self.owners_after(key),
        }
    }

    /// Of the successors, those at or after `key`.
    fn owners_after(&self, key: Position) -> Vec<Contact> {
        let here = self.me.position;
        let is_before = |entry: &&Entry| super::rules::Node::position(*entry).is_between(here, key);
        let after = self.pointers.successors.iter().skip_while(is_before);
        let mut owners: Vec<Contact> = after.filter_map(Entry::node).cloned().collect();
        if let Mode::Small(_) = &self.mode {
            // Everybody is known: the circle closes.
            let first = self
                .successors()
                .take_while(|node| node.position.is_between(here, key));
            owners.push(self.me.clone());
            owners.extend(first.cloned());
            owners.truncate(self.replicas());
        }
        owners
    }

    /// Which way to a key?
    pub(super) fn on_find(
        &mut self,
        now: Timestamp,
        (peer, index): (PeerId, u8),
        nonce: u32,
        (key, before): (Position, Position),
    ) {
        self.counters.asked += 1;
        self.meet_sender(now, (peer, index));
        let body = if self.is_member() {
            let step = Box::new(self.step(key, before));
            RingBody::Step { nonce, step }
        } else {
            RingBody::Refused { nonce }
        };
        self.reply(peer, index, body);
    }
}
