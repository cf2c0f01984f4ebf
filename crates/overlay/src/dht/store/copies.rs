//! What owners say of the copies of their stretches: that they are whole, and that
//! they may not be any more.

use std::sync::Arc;

use gannet_base::{PeerId, Timestamp};

use super::around::Around;
use super::sync::Spanned;
use super::{Contact, Position, Store, StoreMessage, Vouch};

/// Virtual nodes of a peer that are tried to find one of its own.
const VIRTUAL_NODES_MAX: u8 = 64;

impl Store {
    /// A stretch was compared with one that has copies of it, or could not be. `is_full`: it
    /// has no room for some of it.
    pub(super) fn on_copies_compared(
        &mut self,
        now: Timestamp,
        peer: &Contact,
        (from, to): Spanned,
        (vouch, is_full): (Option<Vouch>, bool),
    ) {
        let config = Arc::clone(&self.config);
        let id = (peer.peer, to);
        let is_new = self.custody.on_compared(now, &config, id, vouch);
        if is_full {
            self.on_copies_refused(peer.peer);
        }
        if is_new {
            self.tell_whole(now);
        } else if vouch.is_some() {
            let is_it = |whole: &(Position, Position, Vec<PeerId>)| {
                (whole.0, whole.1) == (from, to) && whole.2.contains(&peer.peer)
            };
            if self.custody.whole(now, &config).any(|whole| is_it(&whole)) {
                self.send(peer.clone(), StoreMessage::Agreed { from, to });
            }
        }
    }

    /// An own stretch is known to be whole: whoever was compared with has all of it.
    pub(super) fn tell_whole(&mut self, now: Timestamp) {
        let whole: Vec<_> = self.custody.whole(now, &self.config).collect();
        let mut told = Vec::new();
        for (from, to, peers) in whole {
            let mut nodes = self.known.nodes.iter();
            if let Some(node) = nodes.find(|node| node.me.position == to) {
                let replicas = node.replicas(self.config.copies).into_iter();
                let compared = replicas.filter(|replica| peers.contains(&replica.peer));
                told.extend(compared.map(|replica| (replica, from, to)));
            }
        }
        for (replica, from, to) in told {
            self.send(replica, StoreMessage::Agreed { from, to });
        }
    }

    /// The owner of a stretch says that this peer has what it has.
    pub(super) fn on_agreed(&mut self, now: Timestamp, from: PeerId, (start, to): Spanned) {
        if is_end_of(from, to) {
            self.custody.on_agreed(now, &self.config, (start, to));
        }
    }

    /// Takes back what was said to those with copies, where `old`, what was known of the
    /// ring until now, has become wrong: who is no replica any more is not told of what
    /// comes, and of a stretch that is another's now, others are.
    pub(super) fn tell_lapsed(&mut self, old: &[Around]) {
        let copies = self.config.copies;
        let mut told = Vec::new();
        for was in old {
            let (to, Some(before)) = (was.me.position, &was.predecessor) else {
                continue;
            };
            let is = self.known.nodes.iter().find(|node| node.me.position == to);
            let Some(is) = is else {
                continue;
            };
            let here = is.predecessor.as_ref().map(|node| node.position);
            let is_less = here.is_some_and(|here| here != before.position && was.owns(here));
            let replicas = is.replicas(copies);
            for replica in was.replicas(copies) {
                if is_less || replicas.iter().all(|other| other.peer != replica.peer) {
                    told.push((replica, before.position, to));
                }
            }
        }
        for (replica, from, to) in told {
            self.send(replica, StoreMessage::Lapsed { from, to });
        }
    }

    /// The owner of a stretch takes back what it said of it. Who lies in that makes this
    /// peer less sure than it might be, of keys around here.
    pub(super) fn on_lapsed(&mut self, from: PeerId, (start, to): Spanned) {
        if is_end_of(from, to) && self.known.holds(start) {
            self.custody.on_lapsed((start, to));
        }
    }

    /// Somebody had everything of a stretch, and has brought it here.
    pub(super) fn on_brought_here(&mut self, now: Timestamp, stretch: Spanned) {
        if self.custody.on_vouched(now, &self.config, stretch) {
            self.tell_whole(now);
        }
    }
}

/// Whether a stretch that ends there can be this peer's own: it ends where it is.
fn is_end_of(peer: PeerId, to: Position) -> bool {
    (0..VIRTUAL_NODES_MAX).any(|index| Position::of_peer(peer, index) == to)
}
