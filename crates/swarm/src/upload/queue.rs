//! Who is next: first come, first served, one from each peer in turn.
//!
//! A peer's first waiting upload belongs to the present round, its second to
//! the next, and so on; rounds are served in order, and within a round who came
//! first. So a peer with a hundred uploads waits a hundred rounds for the last,
//! and a peer with one does not notice. A round ends at the latest after
//! [`GRANTS_PER_ROUND`] grants, so that a stream of new peers cannot keep the
//! next one from beginning.

use std::collections::BTreeMap;

use gannet_base::{ContentId, PeerId};

/// One content for one peer.
pub(super) type Key = (PeerId, ContentId);

/// Place in the order: round, then order of coming.
pub(super) type Ticket = (u64, u64);

/// Most grants in one round.
// Guess: a few times the slots.
const GRANTS_PER_ROUND: u32 = 64;

#[derive(Debug, Default)]
pub(super) struct Queue {
    order: BTreeMap<Ticket, Key>,
    /// The last round in which each waiting peer has an upload, and how many
    /// wait.
    peers: BTreeMap<PeerId, (u64, usize)>,
    round: u64,
    grants: u32,
    seq: u64,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Appends. The caller keeps the ticket to leave with.
    pub(super) fn push(&mut self, key: Key) -> Ticket {
        let last = self.peers.entry(key.0).or_insert((0, 0));
        let round = if last.1 == 0 {
            self.round
        } else {
            (last.0 + 1).max(self.round)
        };
        *last = (round, last.1 + 1);
        self.seq += 1;
        let ticket = (round, self.seq);
        self.order.insert(ticket, key);
        ticket
    }

    /// Takes one out that left.
    pub(super) fn remove(&mut self, ticket: Ticket) {
        let Some((peer, _)) = self.order.remove(&ticket) else {
            return;
        };
        if let Some(waiting) = self.peers.get_mut(&peer) {
            waiting.1 -= 1;
            if waiting.1 == 0 {
                self.peers.remove(&peer);
            }
        }
    }

    /// The first that `may` have a slot now.
    pub(super) fn first(&self, may: impl Fn(PeerId) -> bool) -> Option<(Ticket, Key)> {
        let mut waiting = self.order.iter().filter(|(_, key)| may(key.0));
        waiting.next().map(|(ticket, key)| (*ticket, *key))
    }

    /// Takes one out that gets a slot.
    pub(super) fn grant(&mut self, ticket: Ticket) {
        self.remove(ticket);
        self.grants += 1;
        if ticket.0 > self.round {
            (self.round, self.grants) = (ticket.0, 0);
        } else if self.grants >= GRANTS_PER_ROUND {
            (self.round, self.grants) = (self.round + 1, 0);
        }
    }

    /// All waiting, in order, with their places from 1.
    pub(super) fn places(&self) -> impl Iterator<Item = (u32, Key)> + '_ {
        (1..).zip(self.order.values().copied())
    }

    /// The place of one.
    pub(super) fn place(&self, ticket: Ticket) -> u32 {
        let before = self.order.range(..=ticket).count();
        u32::try_from(before).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(peer: u8, content: u8) -> Key {
        (
            PeerId::from_bytes([peer; 32]),
            ContentId::from_bytes([content; 32]),
        )
    }

    fn drain(queue: &mut Queue) -> Vec<Key> {
        let mut order = Vec::new();
        while let Some((ticket, key)) = queue.first(|_| true) {
            assert_eq!(queue.place(ticket), 1);
            queue.grant(ticket);
            order.push(key);
        }
        order
    }

    #[test]
    fn one_from_each_peer_in_turn() {
        let mut queue = Queue::default();
        for content in 0..3 {
            queue.push(key(1, content));
        }
        queue.push(key(2, 0));
        queue.push(key(3, 0));
        queue.push(key(2, 1));
        let expected = [
            key(1, 0),
            key(2, 0),
            key(3, 0),
            key(1, 1),
            key(2, 1),
            key(1, 2),
        ];
        assert_eq!(drain(&mut queue), expected);
        assert!(queue.peers.is_empty());
    }

    #[test]
    fn a_late_peer_passes_the_second_of_an_early_one() {
        let mut queue = Queue::default();
        let tickets: Vec<_> = (0..100)
            .map(|content| queue.push(key(1, content)))
            .collect();
        let late = queue.push(key(2, 0));
        assert_eq!(
            (
                queue.place(tickets[0]),
                queue.place(late),
                queue.place(tickets[1])
            ),
            (1, 2, 3)
        );
    }

    #[test]
    fn a_stream_of_new_peers_does_not_starve_a_second_upload() {
        let mut queue = Queue::default();
        queue.push(key(1, 0));
        queue.push(key(1, 1));
        let mut granted = Vec::new();
        for peer in 2..=200 {
            queue.push(key(peer, 0));
            let (ticket, key) = queue.first(|_| true).expect("somebody waits");
            queue.grant(ticket);
            granted.push(key);
        }
        let place = granted.iter().position(|granted| *granted == key(1, 1));
        assert!(place.is_some_and(|place| place <= 2 * 64), "{place:?}");
    }

    #[test]
    fn who_left_is_not_granted() {
        let mut queue = Queue::default();
        let first = queue.push(key(1, 0));
        queue.push(key(2, 0));
        queue.remove(first);
        queue.remove(first);
        assert_eq!(queue.places().collect::<Vec<_>>(), [(1, key(2, 0))]);
        assert_eq!(queue.first(|peer| peer != key(2, 0).0), None);
        assert_eq!(drain(&mut queue), [key(2, 0)]);
        assert!(queue.is_empty() && queue.peers.is_empty());
    }
}
