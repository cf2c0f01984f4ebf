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

/// Keys of so many neighbours are kept where they need not be fetched.
// Measured: with a hundred thousand peers, finding the neighbour was a quarter
// of all time.
const NEAR_KEYS: usize = 10;

/// The neighbours, each in a slot that it keeps.
#[derive(Debug)]
pub(crate) struct Neighbours {
    /// What is looked through to find one; 0 where there is none.
    near: [u64; NEAR_KEYS],
    far: Vec<u64>,
    /// Makes keys unpredictable: nobody can make an id with another's key.
    secret: u64,
    slots: Vec<Option<Neighbour>>,
    live: SlotSet,
    joined: u32,
}

impl Neighbours {
    pub(crate) fn new(secret: u64) -> Self {
        Self {
            near: [0; NEAR_KEYS],
            far: Vec::new(),
            secret,
            slots: Vec::new(),
            live: SlotSet::default(),
            joined: 0,
        }
    }

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

    /// By a key of 64 bits alone: that a stranger has a neighbour's does not
    /// happen.
    pub(crate) fn find(&self, peer: PeerId) -> Option<Slot> {
        let key = key(self.secret, peer);
        let found = match self.near.iter().position(|other| *other == key) {
            Some(found) => found,
            None => NEAR_KEYS + self.far.iter().position(|other| *other == key)?,
        };
        Slot::try_from(found).ok()
    }

    fn set_key(&mut self, slot: usize, key: u64) {
        if let Some(near) = self.near.get_mut(slot) {
            *near = key;
            return;
        }
        let far = slot - NEAR_KEYS;
        if self.far.len() <= far {
            self.far.resize(far + 1, 0);
        }
        self.far[far] = key;
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
            self.slots.push(Some(neighbour));
        } else {
            self.slots[slot] = Some(neighbour);
        }
        self.set_key(slot, key(self.secret, peer));
        let slot = Slot::try_from(slot).expect("fewer neighbours than slots");
        self.live.insert(slot);
        slot
    }

    pub(crate) fn remove(&mut self, slot: Slot) -> Option<Neighbour> {
        let neighbour = self.slots.get_mut(usize::from(slot))?.take()?;
        self.live.remove(slot);
        self.set_key(usize::from(slot), 0);
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
        self.far.reserve_exact(count.saturating_sub(NEAR_KEYS));
        self.slots.reserve_exact(count);
    }
}

/// Mixes all of an id; never 0.
fn key(secret: u64, peer: PeerId) -> u64 {
    let words = peer.as_bytes().chunks_exact(8);
    let words = words.map(|word| u64::from_le_bytes(word.try_into().expect("eight bytes")));
    let mixed = words.fold(secret, |mixed, word| {
        let product = u128::from(mixed ^ word) * 0x9E37_79B9_7F4A_7C15;
        let folded = (product >> 64) ^ (product & u128::from(u64::MAX));
        u64::try_from(folded).expect("its upper half is empty")
    });
    mixed.max(1)
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
        let mut neighbours = Neighbours::new(3);
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
        // More than are kept near.
        let far: Vec<Slot> = (10..40)
            .map(|n| neighbours.add(Timestamp::ZERO, id(n), None))
            .collect();
        for (n, slot) in (10..40).zip(&far) {
            assert_eq!(neighbours.find(id(n)), Some(*slot));
            neighbours.remove(*slot);
            assert_eq!(neighbours.find(id(n)), None);
        }
    }
}
