//! Who is where on a ring, and the ideal pointers of everybody.

use gannet_base::Rng;
use gannet_overlay::dht::Position;
use gannet_overlay::dht::ring::{Contact, Settled};

use super::super::index;
use crate::{draw, node_of, peer_id};

/// Nodes on a ring, in the order of their positions.
#[derive(Debug, Clone)]
pub(in crate::lab) struct Layout {
    at: Vec<Position>,
    nodes: Vec<Contact>,
}

impl Layout {
    /// These peers, each with so many positions.
    pub(in crate::lab) fn new(peers: impl IntoIterator<Item = u32>, virtuals: u8) -> Self {
        let mut nodes: Vec<Contact> = peers
            .into_iter()
            .flat_map(|peer| (0..virtuals).map(move |n| Contact::new(peer_id(peer), n)))
            .collect();
        nodes.sort_unstable_by_key(|node| node.position);
        let at = nodes.iter().map(|node| node.position).collect();
        Self { at, nodes }
    }

    /// How many nodes there are.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The node at a place.
    pub(super) fn node(&self, place: usize) -> &Contact {
        &self.nodes[place]
    }

    /// The number of the peer whose node this is.
    pub(super) fn peer(&self, place: usize) -> u32 {
        node_of(self.nodes[place].peer).expect("numbers were dressed as peers")
    }

    /// The first node at or after a key.
    pub(super) fn owner(&self, key: Position) -> usize {
        self.at.partition_point(|at| *at < key) % self.len()
    }

    /// Only the nodes of peers of which this holds.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(u32) -> bool) {
        self.nodes
            .retain(|node| node_of(node.peer).is_some_and(&mut keep));
        self.at = self.nodes.iter().map(|node| node.position).collect();
    }

    /// What the node at a place knows in an ideal ring with lists of `r`.
    pub(in crate::lab) fn settled(&self, place: usize, r: usize) -> Settled {
        let count = self.len();
        let listed = r.min(count - 1);
        let after = (1..=listed).map(|step| self.nodes[(place + step) % count].clone());
        Settled {
            predecessor: self.nodes[(place + count - 1) % count].clone(),
            before: Vec::new(),
            successors: after.collect(),
            fingers: self.fingers(place),
        }
    }

    /// The same as maintenance leaves it: as many nodes before it, and each finger one
    /// of the first so many that could be it.
    pub(in crate::lab) fn maintained(
        &self,
        place: usize,
        (r, among): (usize, usize),
        rng: &mut Rng,
    ) -> Settled {
        let count = self.len();
        let back = 1..=r.min(count - 1);
        let before = back.map(|step| self.at[(place + count - step) % count]);
        let mut settled = self.settled(place, r);
        settled.before = before.collect();
        let here = self.at[place];
        for (bit, finger) in &mut settled.fingers {
            let reach = (1_u128 << *bit).wrapping_mul(2).wrapping_sub(1);
            let first = self.owner(finger.position);
            let equals = (first..first + among.clamp(1, count)).map(|next| next % count);
            let fits = |next: &usize| {
                let ahead = here.distance_to(self.at[*next]);
                *next == first || (ahead <= reach && ahead >= here.distance_to(self.at[first]))
            };
            let equals: Vec<usize> = equals.take_while(fits).collect();
            *finger = self.nodes[equals[draw::place(rng, equals.len())]].clone();
        }
        settled
    }

    /// The first node at or after me + 2^i, for each i for which that is neither
    /// the first successor nor the same as for the i before.
    fn fingers(&self, place: usize) -> Vec<(u8, Contact)> {
        let here = self.at[place];
        let next = (place + 1) % self.len();
        let gap = here.distance_to(self.at[next]);
        let mut fingers = Vec::new();
        let mut last = next;
        // Up to 2^i = gap it is the successor.
        let first = u8::try_from(u128::BITS - gap.leading_zeros()).expect("at most 128");
        for bit in first..128 {
            let finger = self.owner(here.plus(1 << bit));
            if finger != last && finger != place {
                fingers.push((bit, self.nodes[finger].clone()));
                last = finger;
            }
        }
        fingers.shrink_to_fit();
        fingers
    }

    /// For each peer from `first` on the places of its nodes, in the order of their
    /// indices.
    pub(in crate::lab) fn places(&self, first: u32, virtuals: u8) -> Vec<u32> {
        let mut places = vec![0; self.len()];
        for (place, node) in (0_u32..).zip(&self.nodes) {
            let peer = node_of(node.peer).expect("numbers were dressed as peers") - first;
            places[index(peer) * usize::from(virtuals) + usize::from(node.index)] = place;
        }
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_what_chord_says() {
        let layout = Layout::new(100..150, 2);
        assert_eq!(layout.len(), 100);
        let all: Vec<Position> = (0..100).map(|place| layout.node(place).position).collect();
        assert!(all.is_sorted());
        let first_after = |at: Position| {
            let nearest = all.iter().min_by_key(|node| at.distance_to(**node));
            *nearest.unwrap()
        };
        for (place, here) in all.iter().enumerate() {
            let settled = layout.settled(place, 3);
            assert_eq!(settled.successors[2].position, all[(place + 3) % 100]);
            assert_eq!(settled.predecessor.position, all[(place + 99) % 100]);
            let mut known = vec![settled.successors[0].position];
            for (bit, finger) in &settled.fingers {
                assert_eq!(finger.position, first_after(here.plus(1 << bit)));
                known.push(finger.position);
            }
            for bit in 0..128 {
                let finger = first_after(here.plus(1 << bit));
                assert!(known.contains(&finger) || finger == *here);
            }
            known.dedup();
            assert_eq!(known.len(), settled.fingers.len() + 1);
        }
        let places = layout.places(100, 2);
        assert_eq!(layout.node(places_index(&places, 7, 1)).index, 1);
        assert_eq!(layout.peer(places_index(&places, 7, 1)), 107);
    }

    #[test]
    fn maintenance_leaves_one_of_those_that_could_be_fingers() {
        let layout = Layout::new(0..60, 1);
        let mut rng = gannet_base::seeded_rng(7);
        let mut others = 0;
        for place in 0..60 {
            let here = layout.node(place).position;
            let (exact, settled) = (
                layout.settled(place, 5),
                layout.maintained(place, (5, 4), &mut rng),
            );
            let back = (1..=5).map(|step| layout.node((place + 60 - step) % 60).position);
            assert!(settled.before.into_iter().eq(back));
            assert_eq!(settled.successors, exact.successors);
            assert_eq!(settled.fingers.len(), exact.fingers.len());
            for ((bit, finger), (_, first)) in settled.fingers.iter().zip(&exact.fingers) {
                let step = here.distance_to(finger.position);
                assert!(step >> bit > 0 && (finger == first || step >> bit == 1));
                let first = layout.owner(first.position);
                let steps = (layout.owner(finger.position) + 60 - first) % 60;
                assert!(steps < 4, "{steps}");
                others += u32::from(steps > 0);
            }
        }
        assert!(others > 60, "{others}");
    }

    fn places_index(places: &[u32], peer: usize, number: usize) -> usize {
        index(places[peer * 2 + number])
    }
}
