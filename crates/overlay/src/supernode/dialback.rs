//! Whether a peer can be reached: somebody who has no link to it dials it.
//!
//! Only addresses at which a supernode itself saw the peer are passed on, to
//! its own neighbours, at a bounded rate: nobody can be made to dial a victim.

use gannet_base::{Output, PeerAddress, PeerId, Timestamp};

use super::message::SupernodeMessage;
use super::wires::User;
use super::{Config, Supernode, SupernodeEvent};
use crate::flood::below;
use crate::hub::Bucket;

/// Peers being dialled back at once.
const OPEN_MAX: usize = 64;

#[derive(Debug)]
struct Open {
    peer: PeerId,
    asker: PeerId,
    until: Timestamp,
}

/// Dials for others.
#[derive(Debug)]
pub(super) struct DialBacks {
    open: Vec<Open>,
    budget: Bucket,
}

impl DialBacks {
    pub(super) fn new(now: Timestamp, config: &Config) -> Self {
        let rate = config.dial_backs_per_second;
        Self {
            open: Vec::new(),
            budget: Bucket::new(rate, rate.saturating_mul(2), now),
        }
    }

    pub(super) fn due(&self) -> Option<Timestamp> {
        self.open.iter().map(|open| open.until).min()
    }
}

impl Supernode {
    /// A leaf is new, or was tried long ago: some neighbour is asked to dial it.
    pub(super) fn dial_back_if_new(&mut self, now: Timestamp, leaf: PeerId) {
        let Some(office) = &mut self.office else {
            return;
        };
        let Some(card) = office.leaves.get_mut(&leaf) else {
            return;
        };
        let is_due = card
            .dialled_back_at
            .is_none_or(|at| now - at >= self.config.dial_back_interval);
        let others: Vec<PeerId> = office.neighbours.keys().copied().collect();
        if !card.score.willing || !is_due || others.is_empty() {
            return;
        }
        card.dialled_back_at = Some(now);
        let addresses = office.hub.addresses_of(leaf);
        let to = others[below(&mut self.rng.wake(), others.len())];
        let peer = PeerAddress {
            peer: leaf,
            addresses,
        };
        self.send(to, SupernodeMessage::DialBack { peer });
    }

    /// A neighbour wants to know whether its leaf can be reached.
    pub(super) fn on_dial_back(&mut self, now: Timestamp, from: PeerId, address: PeerAddress) {
        let peer = address.peer;
        let is_linked = self.wires.is_up(peer);
        let Some(office) = &mut self.office else {
            return;
        };
        let is_known = office.neighbours.contains_key(&from);
        let dial_backs = &mut office.dial_backs;
        let is_open = dial_backs.open.iter().any(|open| open.peer == peer);
        // A link that is there proves nothing.
        let is_possible = is_known && !is_linked && !is_open && peer != self.me;
        if !is_possible
            || dial_backs.open.len() >= OPEN_MAX
            || dial_backs.budget.take(now, 1).is_err()
        {
            return;
        }
        dial_backs.open.push(Open {
            peer,
            asker: from,
            until: now + self.config.dial_back_timeout,
        });
        if self.wires.take(peer, User::DialBack) {
            self.event(SupernodeEvent::Addresses(address));
            self.output(Output::Dial { peer });
        }
    }

    pub(super) fn on_link_dial_back(&mut self, now: Timestamp, peer: PeerId, reached: bool) {
        let Some(office) = &mut self.office else {
            return;
        };
        let open = &mut office.dial_backs.open;
        let Some(place) = open.iter().position(|open| open.peer == peer) else {
            return;
        };
        let asker = open.swap_remove(place).asker;
        if reached {
            self.send(peer, SupernodeMessage::Reached);
        }
        self.wires.release(now, peer, User::DialBack);
        self.send(asker, SupernodeMessage::DialledBack { peer, reached });
    }

    pub(super) fn on_timeout_dial_backs(&mut self, now: Timestamp) {
        let Some(office) = &self.office else {
            return;
        };
        let late = office.dial_backs.open.iter();
        let late: Vec<PeerId> = late
            .filter(|open| open.until <= now)
            .map(|open| open.peer)
            .collect();
        for peer in late {
            self.on_link_dial_back(now, peer, false);
        }
    }

    /// A neighbour says whether it could reach a leaf.
    pub(super) fn on_dialled_back(&mut self, from: PeerId, peer: PeerId, reached: bool) {
        let Some(office) = &mut self.office else {
            return;
        };
        if office.neighbours.contains_key(&from)
            && let Some(card) = office.leaves.get_mut(&peer)
            && card.dialled_back_at.is_some()
        {
            card.reachable = Some(reached);
        }
    }

    /// Somebody dialled this peer.
    pub(super) fn on_reached(&mut self, now: Timestamp, from: PeerId) {
        // Who was dialled from here proves nothing.
        if !self.wires.is_own(from) && !self.facts.reachable {
            self.facts.reachable = true;
            self.send_cards(now);
        }
    }
}
