//! What a leaf's supernodes told of those to turn to when they are gone.
//!
//! A roster is kept as it came. All leaves of a supernode get the same one, so that in
//! a process of very many of them it takes a word for each.

use std::sync::Arc;

use gannet_base::{PeerAddress, PeerId, Rng};

use super::message::Roster;
use crate::flood::below;

/// Rosters kept: the primary's, the backup's.
const ROSTERS_MAX: usize = 2;
/// Supernodes of one that are used: a bit for each.
const LISTED_MAX: usize = 32;

#[derive(Debug)]
struct Held {
    from: PeerId,
    roster: Arc<Roster>,
    /// Which of its supernodes were chosen, a bit for each.
    chosen: u32,
}

/// At most two, the one of the primary first.
#[derive(Debug, Default)]
pub(super) struct Rosters(Vec<Held>);

impl Rosters {
    /// A supernode told. Takes the place of what it told before.
    pub(super) fn put(&mut self, from: PeerId, roster: Arc<Roster>, is_primary: bool) {
        self.0.retain(|held| held.from != from);
        let held = Held {
            from,
            roster,
            chosen: 0,
        };
        // Behind a new primary's stays what the old one told, before a new backup's.
        self.0.truncate(ROSTERS_MAX - 1);
        self.0.reserve_exact(1);
        let place = if is_primary { 0 } else { self.0.len() };
        self.0.insert(place, held);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many supernodes they name, those in both counted twice.
    pub(super) fn listed(&self) -> usize {
        let listed = |held: &Held| held.roster.supernodes.len().min(LISTED_MAX);
        self.0.iter().map(listed).sum()
    }

    /// All that they name, those of the primary's first.
    pub(super) fn supernodes(&self) -> impl Iterator<Item = &PeerAddress> {
        self.0.iter().flat_map(|held| &held.roster.supernodes)
    }

    /// Whose heirs count, and who they are, the best first.
    pub(super) fn heirs(&self) -> Option<(PeerId, &[PeerAddress])> {
        let held = self.0.first()?;
        Some((held.from, &held.roster.heirs))
    }

    /// Supernodes that were not chosen yet, at random.
    pub(super) fn choose(
        &mut self,
        rng: &mut Rng,
        count: usize,
        is_taken: impl Fn(PeerId) -> bool,
    ) -> Vec<PeerAddress> {
        let mut pool: Vec<(usize, usize)> = Vec::new();
        for (place, held) in self.0.iter().enumerate() {
            let all = (0..LISTED_MAX).zip(&held.roster.supernodes);
            let fresh = all
                .filter(|(bit, address)| held.chosen & (1 << bit) == 0 && !is_taken(address.peer));
            pool.extend(fresh.map(|(bit, _)| (place, bit)));
        }
        let mut chosen: Vec<PeerAddress> = Vec::new();
        while chosen.len() < count && !pool.is_empty() {
            let (place, bit) = pool.swap_remove(below(rng, pool.len()));
            let Some(held) = self.0.get_mut(place) else {
                continue;
            };
            held.chosen |= 1 << bit;
            let address = held.roster.supernodes.get(bit);
            let is_new = |address: &&PeerAddress| chosen.iter().all(|one| one.peer != address.peer);
            chosen.extend(address.filter(is_new).cloned());
        }
        chosen
    }

    /// All may be chosen again.
    pub(super) fn begin_again(&mut self) {
        self.0.iter_mut().for_each(|held| held.chosen = 0);
    }
}

#[cfg(test)]
mod tests {
    use gannet_base::seeded_rng;

    use super::*;
    use crate::supernode::message::PEERS_LISTED_MAX;

    fn peer(n: u8) -> PeerId {
        PeerId::from_bytes([n; 32])
    }

    fn roster(peers: std::ops::Range<u8>) -> Arc<Roster> {
        let peers = peers.map(|n| PeerAddress {
            peer: peer(n),
            addresses: Vec::new(),
        });
        Arc::new(Roster {
            heirs: Vec::new(),
            supernodes: peers.collect(),
        })
    }

    #[test]
    fn each_is_chosen_once_until_all_were() {
        const { assert!(PEERS_LISTED_MAX <= LISTED_MAX) };
        let (mut rosters, mut rng) = (Rosters::default(), seeded_rng(1));
        rosters.put(peer(1), roster(10..30), true);
        rosters.put(peer(2), roster(20..40), false);
        for _ in 0..2 {
            let mut seen = Vec::new();
            loop {
                let chosen = rosters.choose(&mut rng, 3, |peer_id| peer_id == peer(25));
                assert!(chosen.len() <= 3);
                if chosen.is_empty() {
                    break;
                }
                seen.extend(chosen.into_iter().map(|address| address.peer));
            }
            // Who is in both may be chosen twice.
            seen.sort();
            seen.dedup();
            let all: Vec<PeerId> = (10..40).filter(|n| *n != 25).map(peer).collect();
            assert_eq!(seen, all);
            rosters.begin_again();
        }
    }

    #[test]
    fn the_primarys_stays_in_front() {
        let mut rosters = Rosters::default();
        for n in 1..9 {
            rosters.put(peer(n), roster(n..n + 1), false);
        }
        rosters.put(peer(20), roster(20..21), true);
        rosters.put(peer(21), roster(21..22), false);
        assert_eq!(rosters.heirs().map(|(of, _)| of), Some(peer(20)));
        rosters.put(peer(21), roster(21..22), true);
        assert_eq!(rosters.heirs().map(|(of, _)| of), Some(peer(21)));
        let held: Vec<PeerId> = rosters.0.iter().map(|held| held.from).collect();
        assert_eq!(held, [peer(21), peer(20)]);
        assert!(rosters.0.capacity() <= ROSTERS_MAX);
    }
}
