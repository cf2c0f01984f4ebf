//! Who is where on a ring, and the ideal pointers of everybody.

use gannet_overlay::dht::Position;
use gannet_overlay::dht::ring::{Contact, Settled};

use super::super::index;
use crate::{node_of, peer_id};

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

    /// The same, and as many nodes before it.
    pub(in crate::lab) fn settled_after(&self, place: usize, r: usize) -> Settled {
        let count = self.len();
        let back = 1..=r.min(count - 1);
        let before = back.map(|step| self.at[(place + count - step) % count]);
        Settled {
            before: before.collect(),
            ..self.settled(place, r)
        }
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

    fn places_index(places: &[u32], peer: usize, number: usize) -> usize {
        index(places[peer * 2 + number])
    }
}
