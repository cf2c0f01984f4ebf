//! How a newcomer finds its place on a ring, and how a node goes.

use std::time::Duration;

use gannet_base::{PeerAddress, PeerId, Timestamp};

use super::contact::{Contact, Entry};
use super::lookup::Purpose;
use super::message::{RingBody, State, Step};
use super::requests::Reason;
use super::rules::{Pointers, between};
use super::stabilise::{Heard, Question};
use super::{Found, Mode, Ring};

/// Peers named by the user, or remembered from before, that are kept.
const SEEDS_MAX: usize = 64;
/// Pause after a place was not to be had.
// Guess: the other newcomers at the same gap are in by then.
const RETRY_PAUSE: Duration = Duration::from_millis(300);

/// A place is being looked for.
#[derive(Debug)]
pub(super) struct Joining {
    /// Where the way begins.
    pub(super) via: Contact,
    tries: u8,
}

/// Tries before another peer of the ring is taken to begin at.
const TRIES_MAX: u8 = 6;

impl Ring {
    /// Peers to begin with.
    pub fn bootstrap(&mut self, now: Timestamp, peers: Vec<PeerAddress>) {
        for address in peers {
            let contact = Contact::of(&address);
            if contact == self.me {
                continue;
            }
            if let Some(known) = self.seeds.iter_mut().find(|known| **known == contact) {
                known.set_addresses(&address.addresses);
            } else if self.seeds.len() < SEEDS_MAX {
                self.seeds.push(contact);
            }
        }
        if self.is_small() && !self.seeds.is_empty() {
            self.timers.greet = now;
        }
        self.wake(now);
    }

    /// What a node does first.
    pub(super) fn wake(&mut self, now: Timestamp) {
        if self.timers.stabilise == Timestamp::MAX && self.is_member() {
            self.start_timers(now);
        }
    }

    /// There is a ring: finds the place on it.
    pub(super) fn begin_joining(&mut self, now: Timestamp, via: Contact) {
        if self.joining.is_some() {
            return;
        }
        if let Mode::Small(small) = &mut self.mode {
            small.joining_since.get_or_insert(now);
        }
        self.joining = Some(Box::new(Joining { via, tries: 0 }));
        self.look_for_place(now);
    }

    fn look_for_place(&mut self, now: Timestamp) {
        let Some(joining) = &self.joining else {
            return;
        };
        let step = Step {
            closer: vec![joining.via.clone()],
            owners: Vec::new(),
        };
        let key = self.me.position;
        self.start_lookup(now, Purpose::Join, key, (1, Some(step)));
    }

    pub(super) fn on_place_found(&mut self, now: Timestamp, found: Option<Found>) {
        if self.joining.is_none() {
            return;
        }
        let Some(found) = found.filter(|found| found.predecessor != self.me) else {
            self.on_join_failed(now);
            return;
        };
        let addresses = self.me.addresses.to_vec();
        self.ask(now, &found.predecessor, Reason::Join, |nonce| {
            RingBody::Join { nonce, addresses }
        });
    }

    pub(super) fn on_join_failed(&mut self, now: Timestamp) {
        let pause = RETRY_PAUSE + self.below(RETRY_PAUSE);
        let Some(joining) = &mut self.joining else {
            return;
        };
        joining.tries += 1;
        if joining.tries >= TRIES_MAX {
            self.joining = None;
            self.timers.greet = now + pause;
        } else {
            self.timers.finger = now + pause;
        }
    }

    /// The pause after a failure is over.
    pub(super) fn retry_joining(&mut self, now: Timestamp) {
        let is_looking = self
            .lookups
            .iter()
            .any(|lookup| lookup.purpose == Purpose::Join);
        let is_asking = self.requests.any(|open| open.reason == Reason::Join);
        if !is_looking && !is_asking {
            self.look_for_place(now);
        }
    }

    /// A newcomer asks for the place right after this node.
    pub(super) fn on_join(
        &mut self,
        now: Timestamp,
        (peer, index): (PeerId, u8),
        (nonce, addresses): (u32, &[std::net::SocketAddr]),
    ) {
        let newcomer = Contact::new(peer, index).with_addresses(addresses);
        self.revive(&newcomer);
        let newcomer = Some(newcomer);
        let question = Question {
            peer,
            index,
            nonce,
            newcomer,
        };
        self.answer_in_turn(now, question);
    }

    /// Whether a newcomer's place is right after this node, or was so before it
    /// came back.
    pub(super) fn can_admit(&self, newcomer: &Contact) -> bool {
        let first = &self.pointers.successors[0];
        let newcomer = Entry::Node(newcomer.clone());
        matches!(self.mode, Mode::Ring)
            && (between(&self.pointers.me, &newcomer, first) || newcomer == *first)
    }

    /// The place is granted.
    pub(super) fn on_joined(&mut self, now: Timestamp, from: Contact, state: State) {
        if self.joining.take().is_none() || !self.is_small() {
            return;
        }
        let r = self.replicas();
        self.meet(now, &from);
        let heard = Heard::new(from, state);
        let mut pointers = Pointers::joined(Entry::Node(self.me.clone()), heard.view());
        // The network's r is the same everywhere; whoever says otherwise is cut to it.
        pointers.successors.truncate(r);
        while pointers.successors.len() < r {
            let last = pointers.successors.last().unwrap_or(&pointers.me);
            let padding = super::rules::Node::padding_after(last);
            pointers.successors.push(padding);
        }
        self.pointers = pointers;
        self.predecessors.clear();
        self.mode = Mode::Ring;
        self.requests
            .forget(|reason| matches!(reason, Reason::Member | Reason::Greet));
        self.on_ring_entered(now);
        // Both neighbours learn of it by this, and by what follows from it.
        self.timers.stabilise = now;
        self.on_timeout_stabilise(now);
    }

    /// On a ring from now on.
    pub(super) fn on_ring_entered(&mut self, now: Timestamp) {
        self.joining = None;
        self.ring_since = now;
        self.was_rectified = false;
        self.touch();
        self.start_timers(now);
        self.stabilise_soon(now);
        self.fingers.begin_round();
        if self.config.ring.is_maintained {
            self.timers.finger = now;
        }
        self.timers.greet = Timestamp::MAX;
    }

    /// Says goodbye to both neighbours.
    pub fn leave(&mut self, now: Timestamp) {
        if !self.is_member() {
            return;
        }
        let state = self.state();
        let near = self.successors().chain(self.predecessor());
        let mut told: Vec<Contact> = Vec::new();
        for node in near {
            // In a small network everybody; on a ring those whose lists have this one.
            if !told.contains(node) && *node != self.me {
                told.push(node.clone());
            }
        }
        for node in told {
            let state = Box::new(state.clone());
            self.send(&node, RingBody::Leave { state });
        }
        self.mode = Mode::Left;
        self.operation = None;
        self.joining = None;
        self.requests.forget(|_| true);
        self.timers.stabilise = Timestamp::MAX;
        self.timers.finger = Timestamp::MAX;
        self.timers.merge = Timestamp::MAX;
        self.timers.greet = Timestamp::MAX;
        self.fail_lookups(now);
        self.settle(now);
    }

    /// A neighbour goes: it is dead, for certain. Its own neighbours are told as well,
    /// and find each other as if it had died.
    pub(super) fn on_leave(&mut self, now: Timestamp, (peer, index): (PeerId, u8), state: State) {
        let leaver = Contact::new(peer, index).with_addresses(&state.addresses);
        self.part(now, &leaver);
        if let Mode::Small(_) = &self.mode {
            self.lose_member(now, &leaver);
            return;
        }
        if !matches!(self.mode, Mode::Ring) {
            return;
        }
        let is_target = |operation: &super::Operation| operation.target == leaver;
        if self.operation.as_deref().is_some_and(is_target) {
            self.on_target_dead(now);
        }
        if self.successors().next() == Some(&leaver) {
            self.stabilise_now(now);
        }
    }
}
