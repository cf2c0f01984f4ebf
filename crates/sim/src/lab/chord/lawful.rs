//! Which deaths the proof of the ring allows.
//!
//! In the proof a node asks another and takes its list over in one moment, that of the
//! answer. Here an answer is on its way for a while, and its receiver has the older
//! list meanwhile: where that skips nobody and the new one does, more seem to be
//! skipped by nobody than the proof counts, and if just r + 1 are left, it forbids a
//! death that looks allowed. The same with a node that is found dead: it was when it
//! was asked, and may be a member again before that has come of it. So what is coming
//! counts as well as what is.

use std::time::Duration;

use gannet_overlay::dht::ring::rules::{Node as _, Pointers, View, between};
use gannet_overlay::dht::ring::{Contact, Entry, Ring, RingBody, State};
use gannet_overlay::dht::{DhtMessage, Position};

use super::network::Network;
use super::oracle::holds_with;
use crate::{node_of, peer_id};

/// Time from the first question to a dead node to the end of patience with it: three
/// of two seconds, or of four if it was slow once, each of which may have waited for a
/// link.
const DOUBT: Duration = Duration::from_secs(16);

/// A list that may be of the node there soon.
type Coming = (Position, Vec<Position>);

impl Network {
    /// Whether the proof allows that this peer dies now: the others keep what must
    /// hold, whichever of the lists that are on their way have been taken over.
    pub(super) fn may_go(&self, peer: u32) -> bool {
        let others = self.snapshot(|node| node != peer);
        !others.is_empty() && holds_with(&others, &self.coming(peer), self.r() + 1)
    }

    /// Lists that others than this peer may take over soon.
    fn coming(&self, peer: u32) -> Vec<Coming> {
        let mut coming = Vec::new();
        for (from, to, message) in self.world.in_flight() {
            let core = self.world.core(to).filter(|_| to != peer);
            if let (Some(core), DhtMessage::Ring(message)) = (core, message) {
                let ring = &core.rings()[0];
                let from = Entry::Node(Contact::new(peer_id(from), 0));
                coming.extend(match &message.body {
                    RingBody::State { state, .. } => taken_over(ring, &from, state),
                    RingBody::Refused { .. } => dropped(ring, &from),
                    _ => None,
                });
            }
        }
        let members = self.world.app().members().filter(|node| *node != peer);
        for ring in members.filter_map(|node| self.world.core(node)) {
            let ring = &ring.rings()[0];
            if ring.is_on_ring() {
                coming.extend(self.shortened(ring, peer));
            }
        }
        coming
    }

    /// The lists of this node while it finds its first successors dead, one after the
    /// other: this peer, and those that are back, which it may still ask by a link from
    /// before.
    fn shortened(&self, ring: &Ring, peer: u32) -> Vec<Coming> {
        let mut after = ring.pointers().clone();
        let mut lists = Vec::new();
        for _ in 0..after.successors.len() {
            let first = after.successors[0].node();
            let number = first.and_then(|node| node_of(node.peer));
            let is_doubted = |number| number == peer || self.is_back_since(number, DOUBT);
            if !number.is_some_and(is_doubted) {
                break;
            }
            let _ = after.on_successor_dead();
            lists.push(list(&after));
        }
        lists
    }
}

/// The list of this node once it has taken over this answer, if it will: answers to
/// lookups are taken over by nobody.
fn taken_over(ring: &Ring, from: &Entry, state: &State) -> Option<Coming> {
    let view = View {
        node: from,
        predecessor: from,
        successors: &state.successors,
    };
    let own = ring.pointers();
    if !ring.is_on_ring() {
        let first = state.successors.first()?;
        let is_admitted = between(from, &own.me, first) || *first == own.me;
        return is_admitted.then(|| list(&Pointers::joined(own.me.clone(), view)));
    }
    let is_asked = own.successors[0] == *from || own.may_precede(from);
    is_asked.then(|| {
        let mut after = own.clone();
        let _ = after.on_successor_answer(view);
        list(&after)
    })
}

/// The list of this node once it has found this one dead, if that is its first.
fn dropped(ring: &Ring, dead: &Entry) -> Option<Coming> {
    let own = ring.pointers();
    (ring.is_on_ring() && own.successors[0] == *dead).then(|| {
        let mut after = own.clone();
        let _ = after.on_successor_dead();
        list(&after)
    })
}

fn list(pointers: &Pointers<Entry>) -> Coming {
    let list = pointers.successors.iter();
    (pointers.me.position(), list.map(|n| n.position()).collect())
}
