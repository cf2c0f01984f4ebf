//! Sets of neighbours: a bit for each.

/// Where in the list of neighbours one is, until it leaves.
pub(crate) type Slot = u16;

const BITS: Slot = 64;

/// A set of slots. Up to 64 neighbours it takes no memory of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SlotSet {
    low: u64,
    /// Slots from 64 on: laboratories have peers with a thousand neighbours.
    high: Option<Box<High>>,
}

/// Behind a thin pointer: sets are kept by the thousand, and nearly all have
/// none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct High(Vec<u64>);

impl SlotSet {
    pub(crate) fn insert(&mut self, slot: Slot) {
        if slot < BITS {
            self.low |= 1 << slot;
            return;
        }
        let (word, bit) = place(slot);
        let High(high) = self.high.get_or_insert_default().as_mut();
        if high.len() <= word {
            high.resize(word + 1, 0);
        }
        high[word] |= bit;
    }

    /// Whether it was there.
    pub(crate) fn remove(&mut self, slot: Slot) -> bool {
        let was = self.contains(slot);
        if slot < BITS {
            self.low &= !(1 << slot);
        } else if was && let Some(high) = &mut self.high {
            let (word, bit) = place(slot);
            high.0[word] &= !bit;
        }
        was
    }

    pub(crate) fn contains(&self, slot: Slot) -> bool {
        if slot < BITS {
            return self.low & (1 << slot) != 0;
        }
        let (word, bit) = place(slot);
        let high = self.high.as_ref().and_then(|high| high.0.get(word));
        high.is_some_and(|high| high & bit != 0)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.low == 0 && self.words().all(|word| word == 0)
    }

    pub(crate) fn len(&self) -> u32 {
        self.low.count_ones() + self.words().map(u64::count_ones).sum::<u32>()
    }

    /// Adds all of `other`.
    pub(crate) fn add(&mut self, other: &Self) {
        self.low |= other.low;
        if let Some(others) = &other.high {
            let High(high) = self.high.get_or_insert_default().as_mut();
            if high.len() < others.0.len() {
                high.resize(others.0.len(), 0);
            }
            for (word, other) in high.iter_mut().zip(&others.0) {
                *word |= other;
            }
        }
    }

    /// Removes the smallest and says which it was.
    pub(crate) fn pop(&mut self) -> Option<Slot> {
        if self.low != 0 {
            let slot = self.low.trailing_zeros();
            self.low &= self.low - 1;
            return Slot::try_from(slot).ok();
        }
        let high = self.high.as_mut()?;
        let (word, bits) = high
            .0
            .iter_mut()
            .enumerate()
            .find(|(_, bits)| **bits != 0)?;
        let slot = (word + 1) * 64 + usize::try_from(bits.trailing_zeros()).ok()?;
        *bits &= *bits - 1;
        Slot::try_from(slot).ok()
    }

    /// All of them, growing.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Slot> + use<> {
        let mut rest = self.clone();
        std::iter::from_fn(move || rest.pop())
    }

    fn words(&self) -> impl Iterator<Item = u64> {
        self.high.iter().flat_map(|high| high.0.iter().copied())
    }
}

/// A set that grows only, in eight bytes: the slots from 63 on share a bit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct SlotMask(u64);

impl SlotMask {
    /// Adds all of a set.
    pub(crate) fn add(&mut self, slots: &SlotSet) {
        let above = slots.words().any(|word| word != 0);
        self.0 |= slots.low | (u64::from(above) << 63);
    }

    pub(crate) fn contains(self, slot: Slot) -> bool {
        self.0 & (1 << slot.min(63)) != 0
    }
}

/// Where in the words of the upper slots a slot is.
fn place(slot: Slot) -> (usize, u64) {
    (usize::from(slot / BITS) - 1, 1 << (slot % BITS))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_mask_tells_all_but_the_highest_apart() {
        let (mut set, mut mask) = (SlotSet::default(), SlotMask::default());
        set.insert(5);
        mask.add(&set);
        assert!(mask.contains(5) && !mask.contains(6) && !mask.contains(300));
        set.insert(200);
        mask.add(&set);
        assert!(mask.contains(63) && mask.contains(300) && !mask.contains(62));
    }

    proptest! {
        #[test]
        fn it_is_a_set(steps in proptest::collection::vec((0_u8..3, 0_u16..300), 0..80)) {
            let (mut set, mut model) = (SlotSet::default(), BTreeSet::new());
            for (what, slot) in steps {
                match what {
                    0 => {
                        set.insert(slot);
                        model.insert(slot);
                    }
                    1 => prop_assert_eq!(set.remove(slot), model.remove(&slot)),
                    _ => {
                        let mut other = SlotSet::default();
                        other.insert(slot);
                        set.add(&other);
                        model.insert(slot);
                    }
                }
                prop_assert_eq!(set.contains(slot), model.contains(&slot));
                prop_assert_eq!(set.is_empty(), model.is_empty());
                prop_assert_eq!(usize::try_from(set.len()).unwrap(), model.len());
            }
            prop_assert_eq!(set.iter().collect::<Vec<_>>(), model.into_iter().collect::<Vec<_>>());
        }
    }
}
