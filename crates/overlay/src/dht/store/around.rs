//! Where on the ring this peer is, and who is responsible for a key as far as is
//! known without asking.

use std::collections::VecDeque;

use gannet_base::{PeerId, Timestamp};

use super::Config;
use crate::dht::Position;
use crate::dht::ring::{Contact, Ring};

/// Successors that it takes to judge how dense the ring is.
const DENSITY_MIN: usize = 8;

/// What is asked of an owner of stretches of usual length.
const SHARE: u128 = 256;
/// The least and the most that is asked of any, so that nobody is spared altogether.
const SHARE_MIN: u64 = 64;
const SHARE_MAX: u64 = 1_024;

/// What a node of this peer knows of the ring around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Around {
    /// The node.
    pub(crate) me: Contact,
    /// The node before it; nothing if it is alone.
    pub(crate) predecessor: Option<Contact>,
    /// The nodes after it, in order; in a small ring all of them, once.
    pub(crate) successors: Vec<Contact>,
    /// Where the nodes before it are, nearest first; not all that hold copies of the
    /// same may be known.
    pub(crate) before: Vec<Position>,
    /// These are all there are.
    pub(crate) is_everybody: bool,
}

impl Around {
    /// Whether the key is this node's own.
    pub(crate) fn owns(&self, key: Position) -> bool {
        let before = self.predecessor.as_ref();
        before.is_none_or(|node| self.me.position.owns(node.position, key))
    }

    /// What a ring says; nothing if it has no place, or does not know it.
    pub(crate) fn of(ring: &Ring) -> Option<Self> {
        let predecessor = ring.predecessor().cloned();
        let is_alone = !ring.is_joined();
        (ring.is_member() && (is_alone || predecessor.is_some())).then(|| Self {
            me: ring.me().clone(),
            before: before(ring),
            is_everybody: !ring.is_on_ring(),
            predecessor,
            successors: ring.successors().cloned().collect(),
        })
    }

    /// Whether there is no other peer.
    pub(super) fn is_alone(&self) -> bool {
        let mut near = self.successors.iter().chain(&self.predecessor);
        near.all(|node| node.peer == self.me.peer)
    }

    /// Whether this node is one of the `copies` from the owner of a key on; nothing if
    /// it cannot tell.
    pub(super) fn is_holder(&self, key: Position, copies: usize) -> Option<bool> {
        if self.owns(key) {
            return Some(true);
        }
        let within = |bound: &Position| self.me.position.owns(*bound, key);
        match copies
            .checked_sub(1)
            .and_then(|place| self.before.get(place))
        {
            Some(bound) => Some(within(bound)),
            None if self.is_everybody => Some(true),
            None => self.before.last().is_some_and(within).then_some(true),
        }
    }

    /// Whether the key may be meant for this node, or for one of the few before it:
    /// whether it lies no farther back than the nodes known to be before this one, or
    /// twice as far as this node can see ahead.
    fn holds(&self, key: Position) -> bool {
        let within = |bound: &Position| self.me.position.owns(*bound, key);
        if self.before.last().is_some_and(within) {
            return true;
        }
        let Some(last) = self
            .successors
            .last()
            .filter(|_| self.successors.len() >= DENSITY_MIN)
        else {
            return true;
        };
        let ahead = self.me.position.distance_to(last.position);
        key.distance_to(self.me.position) <= ahead.saturating_mul(2)
    }

    /// The peers that hold replicas of this node's keys, nearest first.
    pub(super) fn replicas(&self, copies: usize) -> Vec<Contact> {
        let mut peers: Vec<Contact> = Vec::new();
        for node in &self.successors {
            let is_new = peers.iter().all(|peer| peer.peer != node.peer);
            if is_new && node.peer != self.me.peer && peers.len() + 1 < copies {
                peers.push(node.clone());
            }
        }
        peers
    }
}

/// Where the nodes before this one are, beginning with its predecessor.
fn before(ring: &Ring) -> Vec<Position> {
    let here = ring.me().position;
    let mut before: Vec<Position> = Vec::new();
    let first = ring.predecessor().map(|node| node.position);
    for position in first.iter().chain(ring.predecessors()) {
        let last = before.last().copied();
        if last.is_none_or(|last| position.is_between(here, last)) {
            before.push(*position);
        }
    }
    before
}

/// A stretch of the ring with one owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Way {
    /// Behind this position.
    pub(super) from: Position,
    /// Up to this.
    pub(super) to: Position,
    /// The owner, then those that hold replicas: different peers.
    pub(super) owners: Vec<Contact>,
}

impl Way {
    /// How much each owner should be asked, given the usual distance between two nodes: the
    /// less, the longer the stretches that it has copies of; so far as they can be seen from
    /// here, the others being as usual.
    // Measured: with 10,000 nodes at random places and each of eight owners asked alike, the
    // busiest has 3.0 times the mean to answer; so, 2.5 times. By the square of the length
    // it would be 2.6 times.
    pub(super) fn shares(&self, spacing: u128, copies: usize) -> Vec<u64> {
        let share = |(place, owner): (usize, &Contact)| {
            let unseen = u128::try_from(copies.saturating_sub(place + 1)).unwrap_or(0);
            let seen = self.from.distance_to(owner.position);
            let length = seen.saturating_add(spacing.saturating_mul(unseen));
            let usual = spacing.saturating_mul(u128::try_from(copies).unwrap_or(1));
            let share = usual / (length / SHARE).max(1);
            u64::try_from(share)
                .unwrap_or(u64::MAX)
                .clamp(SHARE_MIN, SHARE_MAX)
        };
        self.owners.iter().enumerate().map(share).collect()
    }
}

/// Part of the ring: a node, and those after it in order.
#[derive(Debug)]
struct Region {
    from: Position,
    /// How far it is from there to the last owner.
    length: u128,
    owners: Vec<Contact>,
    /// The marks of all owners: most peers are seen not to be among them by it.
    marks: u128,
    at: Timestamp,
}

/// One bit of 128.
fn mark(peer: PeerId) -> u128 {
    1 << (peer.as_bytes()[0] % 128)
}

impl Region {
    fn names(&self, peer: PeerId) -> bool {
        self.marks & mark(peer) != 0 && self.owners.iter().any(|owner| owner.peer == peer)
    }

    fn way(&self, key: Position, copies: usize) -> Option<Way> {
        let is_within = self.from.distance_to(key) <= self.length;
        let way = is_within.then(|| way(self.from, &self.owners, key, copies));
        way.flatten()
    }
}

/// Who is responsible for a key, given the nodes after `from` in order. The last
/// ones' replicas are not known, so nothing is said of their keys.
pub(super) fn way(from: Position, owners: &[Contact], key: Position, copies: usize) -> Option<Way> {
    let mut before = from;
    for (place, owner) in owners.iter().enumerate() {
        let left = &owners[place..];
        if place > 0 && left.len() < copies {
            return None;
        }
        if owner.position.owns(before, key) {
            let mut peers: Vec<Contact> = Vec::new();
            for node in left {
                if peers.len() < copies && peers.iter().all(|peer| peer.peer != node.peer) {
                    peers.push(node.clone());
                }
            }
            return Some(Way {
                from: before,
                to: owner.position,
                owners: peers,
            });
        }
        before = owner.position;
    }
    None
}

/// What is known of the ring.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Own nodes that are members.
    pub(super) nodes: Vec<Around>,
    /// Nobody comes or goes, so nothing is compared.
    pub(super) is_still: bool,
    /// The oldest first.
    regions: VecDeque<Region>,
}

impl Known {
    /// Whether this peer owns the key.
    pub(super) fn owns(&self, key: Position) -> bool {
        self.nodes.iter().any(|node| node.owns(key))
    }

    /// Whether the key may be meant for this peer.
    pub(super) fn holds(&self, key: Position) -> bool {
        self.nodes.iter().any(|node| node.holds(key))
    }

    /// Whether this peer is one of those that hold copies of a key; nothing if it
    /// cannot tell.
    pub(super) fn is_holder(&self, key: Position, copies: usize) -> Option<bool> {
        let mut is_known = true;
        for node in &self.nodes {
            match node.is_holder(key, copies) {
                Some(true) => return Some(true),
                Some(false) => {}
                None => is_known = false,
            }
        }
        is_known.then_some(false)
    }

    /// Whether there are others on the ring.
    pub(super) fn has_others(&self) -> bool {
        self.nodes.iter().any(|node| !node.successors.is_empty())
    }

    /// Whether more peers are on the ring than hold each record.
    pub(super) fn is_large(&self, copies: usize) -> bool {
        let more = |node: &Around| node.replicas(copies + 1).len() >= copies;
        self.nodes.iter().any(more)
    }

    /// Who is responsible for a key, if that is known.
    pub(super) fn way(&self, now: Timestamp, config: &Config, key: Position) -> Option<Way> {
        let near = self.nodes.iter().find_map(|node| {
            let Some(before) = &node.predecessor else {
                return Some(Way {
                    from: node.me.position,
                    to: node.me.position,
                    owners: vec![node.me.clone()],
                });
            };
            let mut chain = vec![node.me.clone()];
            chain.extend(node.successors.iter().cloned());
            way(before.position, &chain, key, config.copies)
        });
        near.or_else(|| {
            let fresh = |region: &&Region| now - region.at < config.region_life;
            let mut regions = self.regions.iter().rev().filter(fresh);
            regions.find_map(|region| region.way(key, config.copies))
        })
    }

    /// A lookup led there.
    pub(super) fn learn(
        &mut self,
        now: Timestamp,
        config: &Config,
        from: Position,
        owners: Vec<Contact>,
    ) {
        let old = self.regions.iter().position(|region| region.from == from);
        old.and_then(|place| self.regions.remove(place));
        let is_over = |region: &Region| now - region.at >= config.region_life;
        while self.regions.front().is_some_and(is_over) {
            self.regions.pop_front();
        }
        let last = owners.last().filter(|_| config.regions_max > 0);
        if let Some(last) = last {
            if self.regions.len() >= config.regions_max {
                self.regions.pop_front();
            }
            self.regions.push_back(Region {
                from,
                length: from.distance_to(last.position),
                marks: owners
                    .iter()
                    .fold(0, |marks, owner| marks | mark(owner.peer)),
                owners,
                at: now,
            });
        }
    }

    /// A peer does not answer, or is not responsible for what it was thought to be.
    pub(super) fn doubt(&mut self, peer: PeerId) {
        self.regions.retain(|region| !region.names(peer));
    }

    /// The usual distance between two nodes, as far as this peer can see.
    pub(super) fn spacing(&self) -> Option<u128> {
        let node = self.nodes.first()?;
        let last = node.successors.last()?;
        let count = u128::try_from(node.successors.len()).ok()?;
        Some(node.me.position.distance_to(last.position) / count.max(1))
    }

    /// Regions remembered.
    pub(super) fn regions_len(&self) -> usize {
        self.regions.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(position: u128, n: u8) -> Contact {
        Contact {
            position: Position(position),
            ..Contact::new(PeerId::from_bytes([n; 32]), 0)
        }
    }

    #[test]
    fn a_list_of_owners_speaks_for_all_regions_but_the_last() {
        let owners: Vec<Contact> = (1..=5).map(|n| at(u128::from(n) * 100, n)).collect();
        let led = |key: u128, copies: usize| {
            let way = way(Position(0), &owners, Position(key), copies)?;
            Some((way.owners[0].position.0, way.owners.len()))
        };
        assert_eq!(led(100, 3), Some((100, 3)));
        assert_eq!(led(101, 3), Some((200, 3)));
        assert_eq!(led(300, 3), Some((300, 3)));
        assert_eq!(led(301, 3), None, "its replicas are not known");
        assert_eq!(led(0, 3), None);
        // The first region is what was looked up, however few there are.
        assert_eq!(led(50, 9), Some((100, 5)));
    }

    #[test]
    fn who_has_copies_of_more_is_asked_less() {
        // The last one has copies of 300 from `from` on, and of nothing before.
        let far = |position: u128| position << 64;
        let owners = [50, 150, 300].map(|position| at(far(position), 1)).to_vec();
        let shares = |from: u128| {
            let (from, to) = (Position(from), Position(far(50)));
            let owners = owners.clone();
            Way { from, to, owners }.shares(far(100), 3)
        };
        // 250, 250 and 300 in place of 300.
        assert_eq!(shares(0), [307, 307, 256]);
        // 1,250, 1,250 and 1,300.
        assert_eq!(shares(far(1_000).wrapping_neg()), [64, 64, 64]);
        let near = [1, 2, 3].map(|position| at(far(position), 1)).to_vec();
        let (from, to) = (Position(0), Position(far(1)));
        let way = Way {
            from,
            to,
            owners: near,
        };
        assert_eq!(way.shares(far(100), 3), [382, 752, 1_024]);
    }

    #[test]
    fn what_is_remembered_is_forgotten() {
        let config = Config {
            copies: 3,
            ..Config::default()
        };
        let (mut known, now) = (Known::default(), Timestamp::from_secs(9));
        let owners: Vec<Contact> = (1..=5).map(|n| at(u128::from(n) * 100, n)).collect();
        known.learn(now, &config, Position(0), owners.clone());
        assert!(known.way(now, &config, Position(150)).is_some());
        assert!(known.way(now, &config, Position(950)).is_none());
        let later = now + config.region_life;
        assert!(known.way(later, &config, Position(150)).is_none());
        known.doubt(owners[4].peer);
        assert!(known.way(now, &config, Position(150)).is_none());
        for n in 0..400 {
            known.learn(now, &config, Position(n), owners.clone());
        }
        assert_eq!(known.regions_len(), config.regions_max);
    }
}
