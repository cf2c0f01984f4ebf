//! What must hold of a ring, looked at after every event.
//!
//! [`violations`](super::oracle::violations) reads all lists. This reads what
//! changed, one list or who is there, and comes to the same.

use gannet_base::Timestamp;
use gannet_overlay::dht::Position;
use gannet_overlay::dht::ring::Ring;
use gannet_overlay::dht::ring::rules::Node as _;

use super::super::index;
use super::oracle::{PROPERTIES, Property, Rings, broken, is_in_order, is_repeated};

/// A member of the ring.
#[derive(Debug)]
struct Seen {
    at: Position,
    /// Its successors.
    list: Vec<Position>,
    /// How far the list reaches; where it is out of order, all the way round.
    reach: u128,
    is_repeated: bool,
    is_disordered: bool,
    /// Members that its list skips.
    skips: Vec<u32>,
    /// Its first live successor.
    first: Option<u32>,
    /// How many lists skip it.
    skipped: u32,
}

/// All members of a ring, as they were after the last event.
#[derive(Debug)]
pub(super) struct Watch {
    principals_min: usize,
    /// By number; nothing for those that are no members.
    seen: Vec<Option<Seen>>,
    /// The members in order.
    order: Vec<(Position, u32)>,
    /// Along first live successors; nothing: to be found again.
    rings: Option<(Rings, bool)>,
    pub(super) broken: Broken,
}

impl Watch {
    /// Nobody yet. `principals_min` is r + 1.
    pub(super) fn new(principals_min: usize) -> Self {
        Self {
            principals_min,
            seen: Vec::new(),
            order: Vec::new(),
            rings: None,
            broken: Broken::default(),
        }
    }

    /// Something happened to this peer: if that changed its pointers, everything is
    /// looked at.
    pub(super) fn see(&mut self, now: Timestamp, peer: u32, ring: &Ring) {
        if self.read(peer, ring) {
            self.look(now);
        }
    }

    /// This peer is no member any more.
    pub(super) fn lose(&mut self, now: Timestamp, peer: u32) {
        if self.remove(peer) {
            self.look(now);
        }
    }

    fn look(&mut self, now: Timestamp) {
        let found = self.violations();
        self.broken.note(now, &found);
    }

    /// Takes over what a peer is now; whether it differs from what it was.
    pub(super) fn read(&mut self, peer: u32, ring: &Ring) -> bool {
        if !ring.is_on_ring() {
            return self.remove(peer);
        }
        let list = ring.pointers().successors.iter().map(|n| n.position());
        let known = self.seen.get(index(peer)).and_then(Option::as_ref);
        if known.is_some_and(|known| known.list.iter().copied().eq(list.clone())) {
            return false;
        }
        self.put(peer, ring.me().position, list.collect());
        true
    }

    /// A member has this list now.
    fn put(&mut self, peer: u32, at: Position, list: Vec<Position>) {
        if self.seen.len() <= index(peer) {
            self.seen.resize_with(index(peer) + 1, || None);
        }
        let is_disordered = !is_in_order(at, &list);
        let last = list.last().map_or(0, |last| at.distance_to(*last));
        let reach = if is_disordered { u128::MAX } else { last };
        let is_repeated = is_repeated(at, &list);
        match &mut self.seen[index(peer)] {
            Some(known) => {
                known.list = list;
                known.reach = reach;
                known.is_repeated = is_repeated;
                known.is_disordered = is_disordered;
            }
            None => {
                self.seen[index(peer)] = Some(Seen {
                    at,
                    list,
                    reach,
                    is_repeated,
                    is_disordered,
                    skips: Vec::new(),
                    first: None,
                    skipped: 0,
                });
                let place = self.order.partition_point(|(known, _)| *known < at);
                self.order.insert(place, (at, peer));
                self.on_members_changed(at);
            }
        }
        self.read_list(peer);
    }

    /// Whether it was one.
    fn remove(&mut self, peer: u32) -> bool {
        let slot = self.seen.get_mut(index(peer));
        let Some(gone) = slot.and_then(Option::take) else {
            return false;
        };
        self.order.retain(|(_, known)| *known != peer);
        self.unskip(&gone.skips);
        self.on_members_changed(gone.at);
        true
    }

    /// Somebody came or went there: the lists that reach so far are read anew.
    fn on_members_changed(&mut self, at: Position) {
        self.rings = None;
        let reaching = self.order.iter().filter(|(from, peer)| {
            let known = self.seen[index(*peer)].as_ref();
            known.is_some_and(|known| from.distance_to(at) <= known.reach)
        });
        let reaching: Vec<u32> = reaching.map(|(_, peer)| *peer).collect();
        for peer in reaching {
            self.read_list(peer);
        }
    }

    fn unskip(&mut self, skipped: &[u32]) {
        for peer in skipped {
            if let Some(known) = &mut self.seen[index(*peer)] {
                known.skipped -= 1;
            }
        }
    }

    /// Whom a list skips, and who is its first live one.
    fn read_list(&mut self, peer: u32) {
        let Some(known) = &mut self.seen[index(peer)] else {
            return;
        };
        let old = std::mem::take(&mut known.skips);
        self.unskip(&old);
        let Some(known) = &self.seen[index(peer)] else {
            return;
        };
        let count = self.order.len();
        let mut skips = old;
        skips.clear();
        let mut first = None;
        let mut before = known.at;
        let mut next = self.after(known.at);
        for entry in &known.list {
            for _ in 0..count {
                let (at, passed) = self.order[next];
                if !at.is_between(before, *entry) {
                    break;
                }
                skips.push(passed);
                next = (next + 1) % count;
            }
            let (at, here) = self.order[next];
            if at == *entry {
                first.get_or_insert(here);
                next = (next + 1) % count;
            }
            before = *entry;
        }
        skips.sort_unstable();
        skips.dedup();
        for passed in &skips {
            if let Some(known) = &mut self.seen[index(*passed)] {
                known.skipped += 1;
            }
        }
        if let Some(known) = &mut self.seen[index(peer)] {
            if known.first != first {
                self.rings = None;
            }
            known.first = first;
            known.skips = skips;
        }
    }

    /// The place in the order of the first member after this one.
    fn after(&self, at: Position) -> usize {
        let place = self.order.partition_point(|(known, _)| *known <= at);
        place % self.order.len().max(1)
    }

    fn members(&self) -> impl Iterator<Item = &Seen> {
        let all = self.order.iter();
        all.filter_map(|(_, peer)| self.seen[index(*peer)].as_ref())
    }

    /// What does not hold.
    pub(super) fn violations(&mut self) -> Vec<Property> {
        if self.order.is_empty() {
            return Vec::new();
        }
        if self.rings.is_none() {
            let mut places = vec![0; self.seen.len()];
            for (place, (_, peer)) in self.order.iter().enumerate() {
                places[index(*peer)] = place;
            }
            let first = self.members().map(|known| known.first);
            let first: Vec<Option<usize>> = first
                .map(|peer| peer.map(|peer| places[index(peer)]))
                .collect();
            let rings = Rings::find(&first);
            let are_ordered = rings.are_ordered(&first);
            self.rings = Some((rings, are_ordered));
        }
        let Some((rings, are_ordered)) = &self.rings else {
            return Vec::new();
        };
        let principals = self.members().filter(|known| known.skipped == 0).count();
        broken([
            self.members().all(|known| known.first.is_some()),
            principals >= self.principals_min,
            !self.members().any(|known| known.is_repeated),
            !self.members().any(|known| known.is_disordered),
            rings.count > 0,
            rings.count < 2,
            *are_ordered,
            rings.leads.iter().all(|leads| *leads),
            self.members()
                .zip(&rings.on)
                .all(|(known, is_on)| known.skipped > 0 || *is_on),
        ])
    }
}

/// How often what must hold did not.
#[derive(Debug, Clone, Default)]
pub(super) struct Broken {
    /// How often it was looked at.
    pub(super) looks: u64,
    /// Looks at which something did not hold.
    pub(super) times: u64,
    counts: [u64; PROPERTIES.len()],
    first: Option<(Timestamp, Property)>,
}

impl Broken {
    fn note(&mut self, now: Timestamp, found: &[Property]) {
        self.looks += 1;
        self.times += u64::from(!found.is_empty());
        for property in found {
            let place = PROPERTIES.iter().position(|known| known == property);
            self.counts[place.expect("it is one of them")] += 1;
            self.first.get_or_insert((now, *property));
        }
    }

    /// What did not hold, how often; and the first of all.
    pub(super) fn told(&self) -> Vec<String> {
        let all = PROPERTIES.iter().zip(self.counts);
        let broken = all.filter(|(_, count)| *count > 0);
        let mut told: Vec<String> = broken
            .map(|(property, count)| format!("{property}: {count} times"))
            .collect();
        if let Some((at, property)) = self.first {
            told.push(format!("first at {at}: {property}"));
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use gannet_base::{Rng, seeded_rng};

    use super::super::oracle::{Member, violations};
    use super::*;
    use crate::draw;

    const PLACES: u64 = 14;

    fn random_list(rng: &mut Rng, at: u128) -> Vec<Position> {
        let mut entries: Vec<u128> = (0..3)
            .map(|_| u128::from(draw::below(rng, PLACES)))
            .collect();
        if draw::below(rng, 5) > 0 {
            let places = u128::from(PLACES);
            entries.sort_unstable_by_key(|entry| (entry + places - at - 1) % places);
        }
        entries.into_iter().map(Position).collect()
    }

    /// Peers come, go and change their lists at random: what is known of each
    /// state from the last one is what reading all of it says.
    #[test]
    fn what_changed_says_the_same_as_everything() {
        let mut rng = seeded_rng(1);
        let mut clean = 0;
        for _ in 0..200 {
            let mut watch = Watch::new(3);
            let mut members: Vec<Member> = Vec::new();
            for _ in 0..40 {
                let peer = u32::try_from(draw::below(&mut rng, PLACES)).unwrap();
                let at = u128::from(peer);
                members.retain(|member| member.at != Position(at));
                if draw::below(&mut rng, 4) == 0 {
                    watch.remove(peer);
                } else {
                    // Half of all lists are what they should be.
                    let successors = if draw::below(&mut rng, 2) == 0 || members.len() < 4 {
                        random_list(&mut rng, at)
                    } else {
                        let after = members.iter().map(|member| member.at);
                        let mut after: Vec<Position> = after.collect();
                        after.sort_unstable_by_key(|other| Position(at).distance_to(*other));
                        after.truncate(3);
                        after
                    };
                    watch.put(peer, Position(at), successors.clone());
                    let place = members.partition_point(|member| member.at < Position(at));
                    let member = Member {
                        at: Position(at),
                        successors,
                        predecessor: None,
                    };
                    members.insert(place, member);
                }
                let found = watch.violations();
                clean += u32::from(found.is_empty());
                assert_eq!(found, violations(&members, 3), "{members:?}");
            }
        }
        assert!(clean > 50, "{clean}");
    }
}
