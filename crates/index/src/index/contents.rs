//! Contents: each with the list of the entries that have it.

use gannet_base::ContentId;
use hashbrown::HashTable;

use super::bits::Bits;
use super::hash::Hasher;
use super::paged::Paged;
use super::slots::{NONE, Slots};

#[derive(Debug)]
pub(super) struct Contents {
    hasher: Hasher,
    table: HashTable<u32>,
    records: Paged<Content>,
    /// The first free record; [`NONE`] if there is none. A list that grew would
    /// now and then be copied while a holder leaves.
    free: u32,
    /// The entries whose content has others too.
    shared: Bits,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Content {
    pub(super) id: ContentId,
    /// The first entry of its list; [`NONE`] if the record is free.
    pub(super) first: u32,
    /// How many different holders its entries have; of a free record, the next
    /// free one.
    pub(super) holders: u32,
}

impl Contents {
    pub(super) fn new(hasher: Hasher) -> Self {
        Self {
            hasher,
            table: HashTable::new(),
            records: Paged::default(),
            free: NONE,
            shared: Bits::default(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// Every content that has an entry, in no meaningful order.
    pub(super) fn ids(&self) -> impl Iterator<Item = ContentId> {
        let used = self.records.iter().filter(|content| content.first != NONE);
        used.map(|content| content.id)
    }

    /// The entries whose content has others too.
    pub(super) fn shared(&self) -> &Bits {
        &self.shared
    }

    pub(super) fn content(&self, number: u32) -> &Content {
        &self.records[number]
    }

    pub(super) fn find(&self, id: ContentId) -> Option<u32> {
        let hash = self.hasher.bytes(id.as_bytes());
        self.table
            .find(hash, |number| self.records[*number].id == id)
            .copied()
    }

    /// Makes room for so many more.
    pub(super) fn reserve(&mut self, more: usize) {
        let Self {
            hasher,
            table,
            records,
            ..
        } = self;
        table.reserve(more, |number| hasher.bytes(records[*number].id.as_bytes()));
    }

    /// The number of one that is new; it has no entries yet.
    pub(super) fn add(&mut self, id: ContentId) -> u32 {
        let record = Content {
            id,
            first: NONE,
            holders: 0,
        };
        let number = if self.free != NONE {
            let free = std::mem::replace(&mut self.records[self.free], record);
            std::mem::replace(&mut self.free, free.holders)
        } else {
            self.records.push(record)
        };
        let Self {
            hasher,
            table,
            records,
            ..
        } = self;
        let hash = |number: &u32| hasher.bytes(records[*number].id.as_bytes());
        table.insert_unique(hash(&number), number, hash);
        number
    }

    /// Puts a new entry into its content's list: behind `beside`, an entry of
    /// the same holder, if there is one.
    pub(super) fn link(&mut self, slots: &mut Slots, entry: u32, beside: Option<u32>) {
        let content = &mut self.records[slots.slot(entry).content];
        let (previous, next) = match beside {
            Some(beside) => (beside, slots.slot(beside).next),
            None => (NONE, content.first),
        };
        slots.slot_mut(entry).previous = previous;
        slots.slot_mut(entry).next = next;
        for beside in [previous, next] {
            if beside != NONE {
                self.shared.insert(entry);
                self.shared.insert(beside);
            }
        }
        if next != NONE {
            slots.slot_mut(next).previous = entry;
        }
        if previous == NONE {
            content.first = entry;
            content.holders += 1;
        } else {
            slots.slot_mut(previous).next = entry;
        }
    }

    /// Takes an entry out of its content's list, and forgets the content if it
    /// was the last.
    pub(super) fn unlink(&mut self, slots: &mut Slots, entry: u32) {
        let slot = slots.slot(entry);
        let (number, holder) = (slot.content, slots.holder(entry));
        let (previous, next) = (slot.previous, slot.next);
        let content = &mut self.records[number];
        let mut alone = true;
        if previous == NONE {
            content.first = next;
        } else {
            slots.slot_mut(previous).next = next;
            alone &= slots.holder(previous) != holder;
        }
        if next != NONE {
            slots.slot_mut(next).previous = previous;
            alone &= slots.holder(next) != holder;
        }
        content.holders -= u32::from(alone);
        self.shared.remove(entry);
        if content.first != NONE && slots.slot(content.first).next == NONE {
            self.shared.remove(content.first);
        }
        if content.first == NONE {
            let hash = self.hasher.bytes(content.id.as_bytes());
            if let Ok(found) = self.table.find_entry(hash, |other| *other == number) {
                found.remove();
            }
            content.holders = std::mem::replace(&mut self.free, number);
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.table.allocation_size() + self.records.memory_bytes() + self.shared.memory_bytes()
    }
}
