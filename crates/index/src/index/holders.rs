//! Holders: each with its entries.

use gannet_base::PeerId;
use hashbrown::HashTable;

use super::hash::Hasher;
use super::slots::{NONE, Slots};

#[derive(Debug)]
pub(super) struct Holders {
    hasher: Hasher,
    table: HashTable<u32>,
    records: Vec<Holder>,
    free: Vec<u32>,
    /// How many have entries.
    sharing: usize,
    /// By number, the class of its speed.
    classes: Vec<SpeedClass>,
    /// How many are of each class above zero.
    of_class: [u32; 65],
}

/// The power of two that a speed reaches, plus one; 0 if it is not known. What
/// strangers announce about themselves deserves no finer distinction.
pub(super) type SpeedClass = u8;

fn class_of(speed: u64) -> SpeedClass {
    u8::try_from(u64::BITS - speed.leading_zeros()).expect("at most 64")
}

#[derive(Debug)]
pub(super) struct Holder {
    pub(super) id: PeerId,
    pub(super) speed: Option<u64>,
    pub(super) entries: usize,
    /// What its entries are charged for.
    pub(super) bytes: usize,
    /// By content, the first of its entries that have it; the others follow in
    /// the content's list.
    heads: HashTable<u32>,
}

impl Holders {
    pub(super) fn new(hasher: Hasher) -> Self {
        Self {
            hasher,
            table: HashTable::new(),
            records: Vec::new(),
            free: Vec::new(),
            sharing: 0,
            classes: Vec::new(),
            of_class: [0; 65],
        }
    }

    /// How many have entries.
    pub(super) fn sharing(&self) -> usize {
        self.sharing
    }

    /// How many are known.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn find(&self, id: PeerId) -> Option<u32> {
        let hash = self.hasher.bytes(id.as_bytes());
        self.table
            .find(hash, |number| self.records[*number as usize].id == id)
            .copied()
    }

    pub(super) fn holder(&self, number: u32) -> &Holder {
        &self.records[number as usize]
    }

    pub(super) fn speed(&self, number: u32) -> u64 {
        self.records[number as usize].speed.unwrap_or(0)
    }

    pub(super) fn class(&self, number: u32) -> SpeedClass {
        self.classes[number as usize]
    }

    /// No holder is of a faster one.
    pub(super) fn fastest_class(&self) -> SpeedClass {
        let last = self.of_class.iter().rposition(|count| *count > 0);
        last.map_or(0, |class| u8::try_from(class).expect("at most 64"))
    }

    pub(super) fn set_speed(&mut self, number: u32, speed: u64) {
        self.records[number as usize].speed = Some(speed);
        self.set_class(number, class_of(speed));
    }

    fn set_class(&mut self, number: u32, class: SpeedClass) {
        let old = std::mem::replace(&mut self.classes[number as usize], class);
        if old > 0 {
            self.of_class[usize::from(old)] -= 1;
        }
        if class > 0 {
            self.of_class[usize::from(class)] += 1;
        }
    }

    /// Its number; a new one if it is new.
    pub(super) fn intern(&mut self, id: PeerId) -> u32 {
        if let Some(number) = self.find(id) {
            return number;
        }
        let record = Holder {
            id,
            speed: None,
            entries: 0,
            bytes: 0,
            heads: HashTable::new(),
        };
        let number = if let Some(number) = self.free.pop() {
            self.records[number as usize] = record;
            number
        } else {
            self.records.push(record);
            self.classes.push(0);
            u32::try_from(self.records.len() - 1).expect("holders_max is a 32-bit number")
        };
        let Self {
            hasher,
            table,
            records,
            ..
        } = self;
        let hash = |number: &u32| hasher.bytes(records[*number as usize].id.as_bytes());
        table.insert_unique(hash(&number), number, hash);
        number
    }

    /// Forgets a holder; its entries are the caller's to forget.
    pub(super) fn forget(&mut self, number: u32) {
        self.set_class(number, 0);
        let record = &mut self.records[number as usize];
        self.sharing -= usize::from(record.entries > 0);
        record.entries = 0;
        record.heads = HashTable::new();
        let hash = self.hasher.bytes(record.id.as_bytes());
        if let Ok(found) = self.table.find_entry(hash, |other| *other == number) {
            found.remove();
        }
        self.free.push(number);
    }

    /// The first of its entries with this content.
    pub(super) fn head(&self, slots: &Slots, holder: u32, content: u32) -> Option<u32> {
        let same = |entry: &u32| slots.slot(*entry).content == content;
        self.records[holder as usize]
            .heads
            .find(self.hasher.number(content), same)
            .copied()
    }

    /// Makes room for so many more entries of one.
    pub(super) fn reserve(&mut self, slots: &Slots, number: u32, more: usize) {
        let hasher = self.hasher;
        let heads = &mut self.records[number as usize].heads;
        heads.reserve(more, |entry| hasher.number(slots.slot(*entry).content));
    }

    /// Notes a new entry; `head` if it is its first with that content.
    pub(super) fn add(&mut self, slots: &Slots, entry: u32, charge: usize, head: bool) {
        let Self {
            hasher,
            records,
            sharing,
            ..
        } = self;
        let holder = &mut records[slots.holder(entry) as usize];
        *sharing += usize::from(holder.entries == 0);
        holder.entries += 1;
        holder.bytes += charge;
        if head {
            let hash = |entry: &u32| hasher.number(slots.slot(*entry).content);
            holder.heads.insert_unique(hash(&entry), entry, hash);
        }
    }

    /// Takes out an entry that is still in its content's list.
    pub(super) fn remove(&mut self, slots: &Slots, entry: u32, charge: usize) {
        let slot = slots.slot(entry);
        let holder = &mut self.records[slots.holder(entry) as usize];
        holder.entries -= 1;
        holder.bytes -= charge;
        self.sharing -= usize::from(holder.entries == 0);
        let hash = self.hasher.number(slot.content);
        if let Ok(mut found) = holder.heads.find_entry(hash, |other| *other == entry) {
            let next = slot.next;
            if next != NONE && slots.holder(next) == slots.holder(entry) {
                *found.get_mut() = next;
            } else {
                found.remove();
            }
        }
    }

    /// All its entries, ascending.
    pub(super) fn entries(&self, slots: &Slots, number: u32) -> Vec<u32> {
        let holder = &self.records[number as usize];
        let mut entries = Vec::with_capacity(holder.entries);
        for &head in &holder.heads {
            let mut entry = head;
            while entry != NONE && slots.holder(entry) == number {
                entries.push(entry);
                entry = slots.slot(entry).next;
            }
        }
        // Whatever the order of the table was: from here on it is settled.
        entries.sort_unstable();
        entries
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let heads = self
            .records
            .iter()
            .map(|holder| holder.heads.allocation_size());
        self.table.allocation_size()
            + self.records.capacity() * size_of::<Holder>()
            + self.free.capacity() * 4
            + self.classes.capacity()
            + heads.sum::<usize>()
    }
}
