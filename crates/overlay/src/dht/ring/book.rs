//! Nodes met in passing, those that do not answer any more, and those known to be
//! dead.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use gannet_base::{PeerAddress, PeerId, Timestamp};

use super::contact::{CLIENT, Contact};
use super::{Mode, Ring};

/// Most nodes that are kept for dead.
const GONE_MAX: usize = 64;
/// How long a node that was silent is not told to others, nor asked first.
// Guess: maintenance has found out by then.
const GONE_LIFE: Duration = Duration::from_secs(20);
/// How long a node that was found dead is not looked at again.
// Guess: longer than the neighbours need to find out as well, and soon over if it
// was cut off and comes back.
const DEAD_LIFE: Duration = Duration::from_secs(5);
/// Most nodes in the book from one neighbourhood of public addresses.
// Source: 8 per /24 in a table (hardened nodes).
const NEIGHBOURHOOD_MAX: usize = 8;

#[derive(Debug)]
pub(super) struct Passive {
    pub(super) contact: Contact,
    since: Timestamp,
}

#[derive(Debug)]
pub(super) struct Gone {
    peer: PeerId,
    index: u8,
    until: Timestamp,
    /// Until then it counts as dead, and not only as slow.
    dead_until: Timestamp,
    /// It said so itself.
    has_left: bool,
}

/// The neighbourhood of an address: /24, or /48 of the later version. Nothing for
/// addresses that are not public: many peers share those.
pub(super) fn neighbourhood(address: &SocketAddr) -> Option<u64> {
    match address.ip() {
        IpAddr::V4(ip) => {
            let is_local = ip.is_loopback() || ip.is_private() || ip.is_link_local();
            let [a, b, c, _] = ip.octets();
            (!is_local).then(|| u64::from(u32::from_be_bytes([0, a, b, c])))
        }
        IpAddr::V6(ip) => {
            let [a, b, c, ..] = ip.segments();
            let is_local = ip.is_loopback() || (a & 0xfe00) == 0xfc00 || (a & 0xffc0) == 0xfe80;
            let bits = [1, a, b, c].map(u64::from);
            (!is_local).then(|| bits.iter().fold(0, |sum, part| (sum << 16) | part))
        }
    }
}

fn neighbourhood_of(contact: &Contact) -> Option<u64> {
    contact.addresses.first().and_then(neighbourhood)
}

/// Leaves out what lies too close together: at most `max` of a neighbourhood.
pub(super) fn diverse(contacts: &mut Vec<Contact>, max: usize) {
    let mut seen: Vec<u64> = Vec::new();
    contacts.retain(|contact| {
        let Some(here) = neighbourhood_of(contact) else {
            return true;
        };
        seen.push(here);
        seen.iter().filter(|known| **known == here).count() <= max
    });
}

impl Ring {
    /// A node was heard from: it lives, and may be worth remembering.
    pub(super) fn meet(&mut self, now: Timestamp, contact: &Contact) {
        self.gone.retain(|gone| gone.until > now);
        let max = self.config.ring.contacts_max;
        if max == 0 || contact.index == CLIENT || *contact == self.me {
            return;
        }
        if let Some(known) = self.book.iter_mut().find(|known| *known == contact) {
            known.set_addresses(&contact.addresses);
            return;
        }
        if let Some(here) = neighbourhood_of(contact) {
            let same = |known: &&Contact| neighbourhood_of(known) == Some(here);
            if self.book.iter().filter(same).count() >= NEIGHBOURHOOD_MAX {
                return;
            }
        }
        // Those who are there stay until they are silent. Would others take their places,
        // who asks much would be in all books soon, and be asked by everybody.
        // Source: Maymounkov and Mazieres, Kademlia, IPTPS 2002, section 2.1: the oldest
        // contacts live longest.
        if self.book.len() < max {
            self.book.push(contact.clone());
        }
    }

    /// A peer that may be new was heard from.
    pub(super) fn meet_sender(&mut self, now: Timestamp, (peer, index): (PeerId, u8)) {
        let is_known = |known: &Contact| known.is(peer, index);
        if self.config.ring.contacts_max > 0 && index != CLIENT && !self.book.iter().any(is_known) {
            self.meet(now, &Contact::new(peer, index));
        }
    }

    /// Where a linked peer was seen.
    pub fn seen(&mut self, peer: PeerId, addresses: &[SocketAddr]) {
        let seeds = self.seeds.iter_mut();
        let known = seeds
            .chain(&mut self.book)
            .chain(self.fingers.contacts_mut());
        for contact in known.filter(|contact| contact.peer == peer) {
            contact.set_addresses(addresses);
        }
        let near = self.pointers.successors.iter_mut();
        for entry in near.chain([&mut self.pointers.predecessor]) {
            if let super::Entry::Node(contact) = entry
                && contact.peer == peer
            {
                contact.set_addresses(addresses);
            }
        }
    }

    /// It did not answer once.
    pub(super) fn suspect(&mut self, now: Timestamp, contact: &Contact) {
        self.mark(now, contact, Duration::ZERO);
        self.remember_passive(now, contact);
        self.forget(contact);
    }

    /// It is dead.
    pub(super) fn bury(&mut self, now: Timestamp, contact: &Contact) {
        self.mark(now, contact, DEAD_LIFE);
        self.remember_passive(now, contact);
        self.forget(contact);
    }

    /// It said goodbye.
    pub(super) fn part(&mut self, now: Timestamp, contact: &Contact) {
        self.mark(now, contact, GONE_LIFE);
        let mut all = self.gone.iter_mut();
        if let Some(gone) = all.find(|gone| contact.is(gone.peer, gone.index)) {
            gone.has_left = true;
        }
        self.forget(contact);
    }

    fn mark(&mut self, now: Timestamp, contact: &Contact, dead_for: Duration) {
        self.gone.retain(|gone| gone.until > now);
        let (until, dead_until) = (now + GONE_LIFE, now + dead_for);
        let mut all = self.gone.iter_mut();
        if let Some(gone) = all.find(|gone| contact.is(gone.peer, gone.index)) {
            gone.until = until;
            gone.dead_until = gone.dead_until.max(dead_until);
        } else {
            if self.gone.len() >= GONE_MAX {
                self.gone.remove(0);
            }
            self.gone.push(Gone {
                peer: contact.peer,
                index: contact.index,
                until,
                dead_until,
                has_left: false,
            });
        }
    }

    /// Whether it is known to be dead.
    pub(super) fn is_gone(&self, now: Timestamp, contact: &Contact) -> bool {
        let mut dead = self.gone.iter().filter(|gone| gone.dead_until > now);
        dead.any(|gone| contact.is(gone.peer, gone.index))
    }

    /// Whether it said goodbye, and nothing since.
    pub(super) fn has_left(&self, now: Timestamp, contact: &Contact) -> bool {
        let mut left = self.gone.iter().filter(|gone| gone.has_left);
        left.any(|gone| gone.until > now && contact.is(gone.peer, gone.index))
    }

    /// It was heard from.
    pub(super) fn is_alive(&mut self, peer: PeerId, index: u8) {
        self.gone
            .retain(|gone| !(gone.peer == peer && gone.index == index));
    }

    /// Whether it was silent lately.
    pub(super) fn is_suspect(&self, contact: &Contact) -> bool {
        let mut all = self.gone.iter();
        all.any(|gone| contact.is(gone.peer, gone.index))
    }

    /// It lives, in this ring.
    pub(super) fn revive(&mut self, contact: &Contact) {
        self.gone.retain(|gone| !contact.is(gone.peer, gone.index));
        self.passive.retain(|passive| passive.contact != *contact);
    }

    /// Uses it no more as a way to anywhere.
    pub(super) fn forget(&mut self, contact: &Contact) {
        self.book.retain(|known| known != contact);
        self.forget_led(contact);
        self.fingers.forget(contact);
    }

    fn remember_passive(&mut self, now: Timestamp, contact: &Contact) {
        let max = self.config.ring.passive_max;
        let is_known = |passive: &Passive| passive.contact == *contact;
        if max == 0 || self.passive.iter().any(is_known) || *contact == self.me {
            return;
        }
        let passive = Passive {
            contact: contact.clone(),
            since: now,
        };
        if self.passive.len() < max {
            self.passive.push(passive);
        } else {
            let place = self.pick(max);
            self.passive[place] = passive;
        }
    }

    pub(super) fn expire_passive(&mut self, now: Timestamp) {
        let life = self.config.ring.passive_life;
        self.passive.retain(|passive| now - passive.since < life);
    }

    /// Peers to remember beyond the end of the process, the likeliest to live first.
    pub fn remembered(&self) -> Vec<PeerAddress> {
        let near = self.successors().chain(self.predecessor());
        let far = self.fingers.contacts().chain(&self.book);
        let mut found: Vec<PeerAddress> = Vec::new();
        for contact in near.chain(far).chain(&self.seeds) {
            let is_known = found.iter().any(|known| known.peer == contact.peer);
            if !is_known && contact.peer != self.me.peer && !self.is_suspect(contact) {
                found.push(contact.address());
            }
        }
        found
    }

    /// Nodes that a peer without a place begins its lookups at.
    pub(super) fn gateways(&self) -> impl Iterator<Item = &Contact> {
        let far: &[Contact] = match self.mode {
            Mode::Client | Mode::Left => &self.seeds,
            Mode::Small(_) | Mode::Ring => &[],
        };
        self.book.iter().chain(far)
    }
}
