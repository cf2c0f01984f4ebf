//! Routing tables: which words and contents a neighbour may have.
//!
//! **Problem.** Most of the messages of a flood are those of its last hop, and
//! most of them reach peers that have no match.
//!
//! **Goals.** A peer sums up what it shares as a set of slots, one for each
//! key; whoever has that set sends it only questions whose keys all fall on
//! slots that are set. Small (a byte for each key, half of that on the wire),
//! asked in a few nanoseconds, changed bit by bit.
//!
//! **Non-goals.** Tables of what lies further away than one hop.
//!
//! **Invariant.** A table never rules out a question that a file behind it
//! matches; what strangers send costs memory in proportion to its length, and
//! at most [`Table::BYTES_MAX`].
// Source: Rohrs, "Query Routing for the Gnutella Network".

mod exchange;
mod gaps;
mod positions;

use std::ops::RangeInclusive;

pub(crate) use exchange::{Incoming, Outgoing, PatchError};
use positions::Positions;

/// A set of slots.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    slots: Slots,
    /// How many are set.
    set: u32,
    /// The logarithm of how many there are.
    bits: u8,
}

#[derive(Debug, Clone)]
enum Slots {
    /// Those that are set, growing: for much room that is hardly used.
    Sparse(Vec<u32>),
    /// A bit for each; the lowest bit of a word is the first slot.
    Dense(Box<[u64]>),
}

/// A table as sparse as this or sparser is a list: a list takes four bytes for
/// each slot that is set, a bitmap an eighth of one for each.
const DENSE_FROM: u32 = 32;

impl Table {
    /// Most bytes that a table takes besides itself.
    pub(crate) const BYTES_MAX: usize = 1 << (*super::message::TABLE_BITS.end() - 3);

    /// A table with no slot set: it rules everything out.
    ///
    /// # Panics
    ///
    /// If `bits` is above 31.
    pub(crate) fn empty(bits: u8) -> Self {
        assert!(bits < 32, "a table of 2^{bits} slots is none");
        Self {
            slots: Slots::Sparse(Vec::new()),
            set: 0,
            bits,
        }
    }

    /// A table of these keys, of as many slots as leave seven of eight empty, if
    /// the range allows it. Any order; repetitions do no harm.
    pub(crate) fn of_keys(keys: &[u32], bits: RangeInclusive<u8>) -> Self {
        Self::succeeding(None, keys, bits)
    }

    /// As [`of_keys`](Self::of_keys), but with as many slots as the table
    /// before it had, while that is neither far too many nor too few: then a
    /// few changes are all that neighbours need to hear.
    pub(crate) fn succeeding(
        before: Option<&Self>,
        keys: &[u32],
        bits: RangeInclusive<u8>,
    ) -> Self {
        let mut keys = keys.to_vec();
        keys.sort_unstable();
        keys.dedup();
        let fitting = fitting_bits(keys.len()).clamp(*bits.start(), *bits.end());
        let kept = before
            .map(|before| before.bits)
            .filter(|kept| (fitting..=fitting + SPARE_BITS).contains(kept) && bits.contains(kept));
        Self::of_sorted(&keys, kept.unwrap_or(fitting))
    }

    /// A table of these keys with 2^bits slots.
    #[cfg(test)]
    pub(crate) fn with_bits(keys: &[u32], bits: u8) -> Self {
        let mut keys = keys.to_vec();
        keys.sort_unstable();
        Self::of_sorted(&keys, bits)
    }

    fn of_sorted(keys: &[u32], bits: u8) -> Self {
        let mut slots: Vec<u32> = keys.iter().map(|key| slot(*key, bits)).collect();
        slots.dedup();
        Self::of_slots(slots, bits)
    }

    /// From slots that grow.
    fn of_slots(mut slots: Vec<u32>, bits: u8) -> Self {
        slots.shrink_to_fit();
        let mut table = Self::empty(bits);
        table.set = u32::try_from(slots.len()).expect("there are fewer slots than keys of 32 bits");
        table.slots = Slots::Sparse(slots);
        table.condense();
        table
    }

    /// Whether the peer behind the table may have something with all these
    /// keys. With no keys: whether it has anything.
    pub(crate) fn may_hold(&self, keys: &[u32]) -> bool {
        let holds = |key: &u32| self.has(slot(*key, self.bits));
        self.set > 0 && keys.iter().all(holds)
    }

    fn has(&self, slot: u32) -> bool {
        match &self.slots {
            Slots::Sparse(set) => set.binary_search(&slot).is_ok(),
            Slots::Dense(words) => {
                let (word, bit) = place(slot);
                words.get(word).is_some_and(|word| word & bit != 0)
            }
        }
    }

    /// Which part of the slots is set, 0 to 1.
    pub(crate) fn fill(&self) -> f64 {
        f64::from(self.set) / f64::from(self.slots_all())
    }

    /// Whether more than half of the slots are set: then it rules out so little
    /// that it is as good as none.
    pub(crate) fn is_crowded(&self) -> bool {
        self.set > self.slots_all() / 2
    }

    /// How many slots there are, as a power of two.
    pub(crate) fn bits(&self) -> u8 {
        self.bits
    }

    /// How many slots are set.
    pub(crate) fn len(&self) -> u32 {
        self.set
    }

    /// Bytes that the table takes besides itself.
    pub(crate) fn bytes(&self) -> usize {
        match &self.slots {
            Slots::Sparse(set) => set.capacity() * size_of::<u32>(),
            Slots::Dense(words) => size_of_val(words.as_ref()),
        }
    }

    /// Slots that are set, growing.
    pub(crate) fn slots(&self) -> impl Iterator<Item = u32> {
        self.positions(0)
    }

    fn slots_all(&self) -> u32 {
        1 << self.bits
    }

    /// Slots that are set, from this one on, growing.
    fn positions(&self, from: u32) -> Positions<'_> {
        Positions::new(&self.slots, from)
    }

    /// Turns each of these slots, which grow, over.
    fn flip(&mut self, flips: &[u32]) {
        if let Slots::Sparse(set) = &self.slots {
            let count = u32::try_from(flips.len()).unwrap_or(u32::MAX);
            if self.set.saturating_add(count) <= self.slots_all() / DENSE_FROM {
                let turned = positions::merge(set.iter().copied(), flips.iter().copied());
                let turned: Vec<u32> = turned.collect();
                *self = Self::of_slots(turned, self.bits);
                return;
            }
            self.spread();
        }
        if let Slots::Dense(words) = &mut self.slots {
            for (word, bit) in flips.iter().copied().map(place) {
                words[word] ^= bit;
                if words[word] & bit == 0 {
                    self.set -= 1;
                } else {
                    self.set += 1;
                }
            }
        }
    }

    /// Becomes a bitmap, if that is smaller.
    fn condense(&mut self) {
        if self.set > self.slots_all() / DENSE_FROM {
            self.spread();
        }
    }

    /// Becomes a bitmap.
    fn spread(&mut self) {
        if let Slots::Sparse(set) = &self.slots {
            let words = self.slots_all().div_ceil(u64::BITS);
            let mut spread = vec![0; words.try_into().expect("bits are below 32")];
            for (word, bit) in set.iter().copied().map(place) {
                spread[word] |= bit;
            }
            self.slots = Slots::Dense(spread.into_boxed_slice());
        }
    }
}

impl PartialEq for Table {
    /// Whether the same slots are set, however they are kept.
    fn eq(&self, other: &Self) -> bool {
        self.bits == other.bits
            && self.set == other.set
            && match (&self.slots, &other.slots) {
                (Slots::Dense(one), Slots::Dense(other)) => one == other,
                _ => self.positions(0).eq(other.positions(0)),
            }
    }
}

impl Eq for Table {}

/// How much larger than needed a table may be before it is made anew: a table
/// whose peer's collection shrinks and grows keeps its size.
// Guess: a quarter as full costs a few bits for each key and rules out more.
const SPARE_BITS: u8 = 2;

/// The size at which at most an eighth of the slots is set.
fn fitting_bits(keys: usize) -> u8 {
    let slots = keys.saturating_mul(8).checked_next_power_of_two();
    let bits = slots.map_or(usize::BITS, usize::ilog2);
    u8::try_from(bits).expect("a logarithm is small")
}

/// The slot of a key: its upper bits.
fn slot(key: u32, bits: u8) -> u32 {
    u32::try_from(u64::from(key) >> (32 - bits)).expect("a key has 32 bits")
}

/// Where in a bitmap a slot is.
fn place(slot: u32) -> (usize, u64) {
    let word = slot / u64::BITS;
    (
        usize::try_from(word).expect("a slot is a small number"),
        1 << (slot % u64::BITS),
    )
}

#[cfg(test)]
mod tests;
