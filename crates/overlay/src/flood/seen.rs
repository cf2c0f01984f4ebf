//! Questions that have been seen.

use std::time::Duration;

use gannet_base::Timestamp;
use hashbrown::HashTable;

use super::message::SearchId;
use super::slots::{Slot, SlotMask};

/// In place of a slot: the question is our own.
pub(crate) const ORIGIN: Slot = Slot::MAX;
/// In place of an index: no report is awaited.
pub(crate) const NOT_OPEN: u32 = u32::MAX;

/// The way back to whom a copy came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Back {
    /// Its slot, or [`ORIGIN`].
    pub(crate) slot: Slot,
    /// Neighbours that had joined by then: a later one in this slot is another.
    pub(crate) serial: u32,
}

/// A question that has been seen.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) search: SearchId,
    /// To whom it was passed on: their hits are wanted.
    pub(crate) asked: SlotMask,
    /// Where the best copy came from.
    pub(crate) back: Back,
    /// Index of the report that is awaited, or [`NOT_OPEN`].
    pub(crate) open: u32,
    /// Rows that were passed back.
    pub(crate) rows: u16,
    /// Largest TTL of a copy of that round.
    pub(crate) ttl: u8,
    /// Round of the best copy.
    pub(crate) round: u8,
}

/// Questions that have been seen, in two generations: when the newer is full or
/// half a life old, the older is forgotten. So nothing needs a timer of its own.
#[derive(Debug)]
pub(crate) struct SeenTable {
    /// The latest, which most copies are of: found without a look elsewhere.
    latest: Option<Seen>,
    newer: HashTable<Seen>,
    older: HashTable<Seen>,
    turned: Timestamp,
    /// Makes hashes unpredictable: searchers choose the numbers.
    secret: u64,
}

/// A table at most this large is kept to be filled again.
const KEPT_CAPACITY: usize = 64;

impl SeenTable {
    pub(crate) fn new(secret: u64) -> Self {
        Self {
            latest: None,
            newer: HashTable::new(),
            older: HashTable::new(),
            turned: Timestamp::ZERO,
            secret,
        }
    }

    pub(crate) fn len(&self) -> usize {
        usize::from(self.latest.is_some()) + self.newer.len() + self.older.len()
    }

    pub(crate) fn find(&mut self, search: SearchId) -> Option<&mut Seen> {
        if let Some(latest) = &mut self.latest
            && latest.search == search
        {
            return self.latest.as_mut();
        }
        let hash = hash(self.secret, search);
        let newer = self.newer.find_mut(hash, |seen| seen.search == search);
        if newer.is_some() {
            return newer;
        }
        if self.older.is_empty() {
            return None;
        }
        self.older.find_mut(hash, |seen| seen.search == search)
    }

    /// Adds one that is not there.
    pub(crate) fn insert(&mut self, now: Timestamp, life: Duration, seen_max: usize, seen: Seen) {
        if let Some(before) = self.latest.replace(seen) {
            let secret = self.secret;
            let hash = hash(secret, before.search);
            self.newer
                .insert_unique(hash, before, |seen| self::hash(secret, seen.search));
        }
        let age = now - self.turned;
        if self.newer.len() >= (seen_max / 2).max(1) || age >= life / 2 {
            self.turn(now, age >= life);
        }
    }

    fn turn(&mut self, now: Timestamp, both: bool) {
        self.turned = now;
        std::mem::swap(&mut self.newer, &mut self.older);
        for table in [Some(&mut self.newer), both.then_some(&mut self.older)] {
            match table {
                Some(table) if table.capacity() > KEPT_CAPACITY => *table = HashTable::new(),
                Some(table) => table.clear(),
                None => {}
            }
        }
    }
}

/// Numbers of searches are random unless somebody is hostile.
fn hash(secret: u64, search: SearchId) -> u64 {
    let product = u128::from(search.0 ^ secret) * 0x9E37_79B9_7F4A_7C15;
    let folded = (product >> 64) ^ (product & u128::from(u64::MAX));
    u64::try_from(folded).expect("its upper half is empty")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(n: u64) -> Seen {
        Seen {
            search: SearchId(n),
            asked: SlotMask::default(),
            back: Back { slot: 0, serial: 0 },
            open: NOT_OPEN,
            rows: 0,
            ttl: 1,
            round: 0,
        }
    }

    #[test]
    fn it_forgets_the_older_half_when_full_or_old() {
        let mut table = SeenTable::new(7);
        let life = Duration::from_secs(100);
        for n in 0..1_000 {
            table.insert(Timestamp::ZERO, life, 64, seen(n));
            assert!(table.len() <= 64);
            assert!(table.find(SearchId(n)).is_some());
            assert!(n < 32 || table.find(SearchId(n - 31)).is_some());
        }
        assert!(table.find(SearchId(900)).is_none());
        table.insert(Timestamp::from_secs(60), life, 64, seen(2_000));
        assert!(table.find(SearchId(999)).is_some(), "younger than a life");
        table.insert(Timestamp::from_secs(115), life, 64, seen(2_001));
        assert!(table.find(SearchId(999)).is_none(), "older than a life");
        assert!(table.find(SearchId(2_000)).is_some());
        table.insert(Timestamp::from_secs(1_000), life, 64, seen(2_002));
        assert_eq!(table.len(), 1);
    }
}
