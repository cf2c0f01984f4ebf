//! Who the neighbours are, and what is known of each.

use std::net::SocketAddr;
use std::sync::Arc;

use gannet_base::{PeerId, Timestamp};

use super::budget::Place;
use super::seen::Back;
use super::slots::{Slot, SlotSet};
use super::table::{Incoming, Outgoing, Table};

/// What a neighbour shares, as far as it said.
#[derive(Debug, Default)]
pub(crate) enum Knowledge {
    /// It said nothing.
    #[default]
    None,
    /// Made of its patches.
    Told(Box<Incoming>),
    /// Given by the laboratory, which keeps one for all neighbours.
    Shared(Arc<Table>),
}

impl Knowledge {
    pub(crate) fn table(&self) -> Option<&Table> {
        match self {
            Self::None => None,
            Self::Told(incoming) => incoming.whole(),
            Self::Shared(table) => (!table.is_crowded()).then_some(table),
        }
    }
}

/// What is needed of a neighbour now and then.
#[derive(Debug, Default)]
pub(crate) struct Care {
    /// Where it says that it can be reached.
    pub(crate) addresses: Vec<SocketAddr>,
    /// Where it was seen.
    pub(crate) seen: Vec<SocketAddr>,
    /// Whether this side dialled: then this side hangs up.
    pub(crate) dialled: bool,
    /// The ping that is not answered yet.
    pub(crate) ping: Option<u32>,
    /// When it answered last.
    pub(crate) answered: Timestamp,
    /// Messages other than questions and answers since the last ping.
    pub(crate) control: u16,
    /// Questions refused and not forgiven yet, in millionths, and when.
    pub(crate) refused: (u64, Timestamp),
    /// What it knows of the own routing table.
    pub(crate) outgoing: Outgoing,
}

#[derive(Debug)]
pub(crate) struct Neighbour {
    pub(crate) peer: PeerId,
    pub(crate) since: Timestamp,
    /// Number of its joining: tells it from others in the same slot.
    pub(crate) serial: u32,
    /// In the budget; none when there is no budget.
    pub(crate) place: Option<Place>,
    pub(crate) strikes: u16,
    pub(crate) questions_in: u32,
    pub(crate) refused_in: u32,
    pub(crate) knowledge: Knowledge,
    pub(crate) care: Option<Box<Care>>,
}

impl Neighbour {
    pub(crate) fn care(&mut self) -> &mut Care {
        self.care.get_or_insert_default()
    }
}

/// The neighbours, each in a slot that it keeps.
#[derive(Debug, Default)]
pub(crate) struct Neighbours {
    /// Beginnings of their ids: what is looked through to find one.
    keys: Vec<u64>,
    slots: Vec<Option<Neighbour>>,
    live: SlotSet,
    joined: u32,
}

impl Neighbours {
    pub(crate) fn len(&self) -> usize {
        usize::try_from(self.live.len()).expect("slots are counted in 16 bits")
    }

    /// The slots that are taken.
    pub(crate) fn live(&self) -> &SlotSet {
        &self.live
    }

    /// How many have ever joined.
    pub(crate) fn joined(&self) -> u32 {
        self.joined
    }

    pub(crate) fn find(&self, peer: PeerId) -> Option<Slot> {
        let key = key(peer);
        let found = self.keys.iter().position(|other| *other == key)?;
        let is_peer = |slot: &Option<Neighbour>| slot.as_ref().is_some_and(|n| n.peer == peer);
        let found = if is_peer(&self.slots[found]) {
            found
        } else {
            // A beginning that two peers share, or of one that left.
            self.slots.iter().position(is_peer)?
        };
        Slot::try_from(found).ok()
    }

    pub(crate) fn at(&self, slot: Slot) -> Option<&Neighbour> {
        self.slots.get(usize::from(slot))?.as_ref()
    }

    pub(crate) fn at_mut(&mut self, slot: Slot) -> Option<&mut Neighbour> {
        self.slots.get_mut(usize::from(slot))?.as_mut()
    }

    /// Whom the way back leads to, if it is still the same.
    pub(crate) fn behind(&self, back: Back) -> Option<PeerId> {
        let neighbour = self.at(back.slot)?;
        (neighbour.serial <= back.serial).then_some(neighbour.peer)
    }

    /// Adds one that is none yet.
    pub(crate) fn add(&mut self, now: Timestamp, peer: PeerId, place: Option<Place>) -> Slot {
        self.joined += 1;
        let neighbour = Neighbour {
            peer,
            since: now,
            serial: self.joined,
            place,
            strikes: 0,
            questions_in: 0,
            refused_in: 0,
            knowledge: Knowledge::None,
            care: None,
        };
        let free = self.slots.iter().position(Option::is_none);
        let slot = free.unwrap_or(self.slots.len());
        if slot == self.slots.len() {
            self.keys.push(key(peer));
            self.slots.push(Some(neighbour));
        } else {
            self.keys[slot] = key(peer);
            self.slots[slot] = Some(neighbour);
        }
        let slot = Slot::try_from(slot).expect("fewer neighbours than slots");
        self.live.insert(slot);
        slot
    }

    pub(crate) fn remove(&mut self, slot: Slot) -> Option<Neighbour> {
        let neighbour = self.slots.get_mut(usize::from(slot))?.take()?;
        self.live.remove(slot);
        Some(neighbour)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Neighbour> {
        self.slots.iter().flatten()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Neighbour> {
        self.slots.iter_mut().flatten()
    }

    /// Makes room for exactly so many.
    pub(crate) fn reserve(&mut self, count: usize) {
        self.keys.reserve_exact(count);
        self.slots.reserve_exact(count);
    }
}

fn key(peer: PeerId) -> u64 {
    let (key, _) = peer.as_bytes().split_at(8);
    u64::from_le_bytes(key.try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_used_again_but_not_confused() {
        let id = |n: u8| PeerId::from_bytes([n; 32]);
        let mut twin = [1; 32];
        twin[31] = 9;
        let twin = PeerId::from_bytes(twin);
        let mut neighbours = Neighbours::default();
        let one = neighbours.add(Timestamp::ZERO, id(1), None);
        let two = neighbours.add(Timestamp::ZERO, twin, None);
        assert_eq!(
            (neighbours.find(id(1)), neighbours.find(twin)),
            (Some(one), Some(two))
        );
        let back = Back {
            slot: one,
            serial: neighbours.joined(),
        };
        assert_eq!(neighbours.behind(back), Some(id(1)));
        neighbours.remove(one);
        assert_eq!(
            (neighbours.find(id(1)), neighbours.find(twin)),
            (None, Some(two))
        );
        let three = neighbours.add(Timestamp::ZERO, id(3), None);
        assert_eq!(three, one, "the slot is used again");
        assert_eq!(neighbours.behind(back), None, "by another peer");
        assert_eq!(neighbours.len(), 2);
    }
}
