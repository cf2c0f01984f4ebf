//! Fingers: nodes at distances that double, so that each hop of a lookup halves
//! what is left.
//!
//! Source: Stoica et al., *Chord*, ToN 2003, section IV-D and IV-E.3
//! (`fix_fingers`, one at a time).

use std::collections::VecDeque;
use std::time::Duration;

use gannet_base::{PeerId, Timestamp};

use super::contact::Contact;
use super::lookup::Purpose;
use super::{FingerChoice, Found, Mode, Ring};
use crate::dht::position::Position;

/// Bits of a position.
const BITS: u8 = 128;
/// Most nodes whose speed is remembered.
const TRIPS_MAX: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Fingers {
    /// In ascending order of their distance from this node.
    fingers: Vec<Contact>,
    /// The next to be looked up; nothing: at the beginning.
    next: Option<u8>,
    /// The first round goes without pauses.
    is_hurried: bool,
    /// How fast nodes answered lately; only kept if fingers are chosen by that.
    trips: VecDeque<(PeerId, Duration)>,
}

impl Fingers {
    pub(super) fn settled(fingers: Vec<(u8, Contact)>) -> Self {
        let mut fingers: Vec<Contact> = fingers.into_iter().map(|(_, finger)| finger).collect();
        fingers.dedup();
        fingers.shrink_to_fit();
        Self {
            fingers,
            ..Self::default()
        }
    }

    pub(super) fn begin_round(&mut self) {
        self.next = None;
        self.is_hurried = true;
    }

    pub(super) fn contacts(&self) -> impl Iterator<Item = &Contact> {
        self.fingers.iter()
    }

    pub(super) fn contacts_mut(&mut self) -> impl Iterator<Item = &mut Contact> {
        self.fingers.iter_mut()
    }

    pub(super) fn forget(&mut self, contact: &Contact) {
        self.fingers.retain(|known| known != contact);
    }

    /// Forgets those that the list of successors covers by now: nobody would look them up
    /// again, and who has died of them would be told of for ever.
    fn forget_covered(&mut self, me: Position, covered: u8) {
        self.fingers
            .retain(|known| bit_of(me.distance_to(known.position)) >= covered);
    }

    /// Finger `bit` is this, as seen from `me`; it is also that of all further bits
    /// before `next`.
    fn put(&mut self, me: Position, bit: u8, contact: Option<Contact>, next: u8) {
        let bit_of = |known: &Contact| bit_of(me.distance_to(known.position));
        self.fingers
            .retain(|known| bit_of(known) < bit || bit_of(known) >= next);
        if let Some(contact) = contact {
            let place = self.fingers.partition_point(|known| bit_of(known) < bit);
            self.fingers.insert(place, contact);
        }
    }
}

/// The first i for which 2^i is more than `distance`.
fn first_beyond(distance: u128) -> u8 {
    BITS - u8::try_from(distance.leading_zeros()).unwrap_or(BITS)
}

/// The last i for which a node so far on can be the first one after me + 2^i.
fn bit_of(distance: u128) -> u8 {
    first_beyond(distance).max(1) - 1
}

impl Ring {
    pub(super) fn on_timeout_fingers(&mut self, now: Timestamp) {
        if self.timers.finger > now {
            return;
        }
        self.timers.finger = Timestamp::MAX;
        if self.joining.is_some() {
            self.retry_joining(now);
        } else if matches!(self.mode, Mode::Ring) {
            self.refresh_finger(now);
        }
    }

    fn refresh_finger(&mut self, now: Timestamp) {
        self.timers.finger = now + self.spread(self.config.ring.finger_interval);
        let Some(last) = self.successors().last() else {
            return;
        };
        let covered = first_beyond(self.me.position.distance_to(last.position));
        self.fingers.forget_covered(self.me.position, covered);
        let bit = self.fingers.next.unwrap_or(0).max(covered);
        if bit >= BITS {
            // Everything beyond is within the list, or all fingers are done.
            self.fingers.next = None;
            self.fingers.is_hurried = false;
            return;
        }
        let key = self.me.position.plus(1 << bit);
        self.start_lookup(now, Purpose::Finger(bit), key, (1, None));
    }

    pub(super) fn on_finger_found(&mut self, now: Timestamp, bit: u8, found: Option<Found>) {
        let me = self.me.position;
        let Some(found) = found else {
            self.fingers.next = bit.checked_add(1).filter(|next| *next < BITS);
            return;
        };
        let exact = found.owners[0].clone();
        let distance = me.distance_to(exact.position);
        // No node there before this one itself: nothing farther either.
        let is_round = distance < (1 << bit) || exact == self.me;
        let next = if is_round {
            BITS
        } else {
            first_beyond(distance).max(bit + 1)
        };
        let finger = (!is_round).then(|| self.choose_finger(bit, &found));
        self.fingers.put(me, bit, finger, next);
        self.fingers.next = (next < BITS).then_some(next);
        if self.fingers.is_hurried {
            if next < BITS {
                self.timers.finger = now;
            } else {
                self.fingers.is_hurried = false;
            }
        }
    }

    /// A node answered so fast.
    pub(super) fn note_round_trip(&mut self, contact: &Contact, took: Duration) {
        if !matches!(self.config.ring.fingers, FingerChoice::Nearest(_)) {
            return;
        }
        let trips = &mut self.fingers.trips;
        trips.retain(|(known, _)| *known != contact.peer);
        if trips.len() >= TRIPS_MAX {
            trips.pop_front();
        }
        trips.push_back((contact.peer, took));
    }

    fn round_trip(&self, contact: &Contact) -> Duration {
        let mut trips = self.fingers.trips.iter();
        let known = trips.find(|(peer, _)| *peer == contact.peer);
        known.map_or(Duration::MAX, |(_, took)| *took)
    }

    /// Which of those that could be.
    fn choose_finger(&mut self, bit: u8, found: &Found) -> Contact {
        let among = match self.config.ring.fingers {
            FingerChoice::Exact => 1,
            FingerChoice::Among(count) | FingerChoice::Nearest(count) => usize::from(count.max(1)),
        };
        let me = self.me.position;
        let end = me.plus((1_u128 << bit).wrapping_mul(2));
        let start = found.owners[0].position;
        let fits = |contact: &&Contact| {
            let position = contact.position;
            position == start || (position.is_between(start, end) && **contact != self.me)
        };
        let equals: Vec<&Contact> = found.owners.iter().take(among).filter(fits).collect();
        if equals.len() < 2 {
            return found.owners[0].clone();
        }
        if matches!(self.config.ring.fingers, FingerChoice::Nearest(_)) {
            // Those never heard from count as far away.
            let nearest = equals.iter().min_by_key(|contact| self.round_trip(contact));
            return nearest.map_or_else(|| found.owners[0].clone(), |contact| (**contact).clone());
        }
        let equals: Vec<Contact> = equals.into_iter().cloned().collect();
        let chosen = self.pick(equals.len());
        equals[chosen].clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who dies is met no more when the fingers have been looked up once: unless a finger
    /// is left out of that for ever.
    #[test]
    fn no_finger_is_kept_that_is_not_looked_up() {
        let me = Position(1_000);
        let finger = |bit: u8| Contact {
            position: me.plus((1 << bit) + 1),
            ..Contact::new(PeerId::from_bytes([bit; 32]), 0)
        };
        let all = (3..9).map(|bit| (bit, finger(bit))).collect();
        let mut fingers = Fingers::settled(all);
        let list_ends_at = me.distance_to(me.plus(60));
        fingers.forget_covered(me, first_beyond(list_ends_at));
        let left: Vec<Contact> = fingers.contacts().cloned().collect();
        assert_eq!(left, [finger(6), finger(7), finger(8)]);
    }
}
