//! A word that many entries of one chunk have.
//!
//! A bitmap, and beside it one for each [`Places`] at which the word stands in
//! many of them: mostly the same word stands at the same few places, so that
//! whether two words stand in order is decided for 64 entries at once. The
//! rest, places of which each is rarer, is a list.

use super::chunk::{
    Bitmap, CHUNK_WORDS, LIST_MAX, Low, Places, count, for_each_bit, insert_sorted, is_gone,
    set_bit, shrink,
};

/// The work of taking numbers out of a bitmap, in numbers of a list.
// Guess: 1,024 words, each read, written and counted.
const BITMAP_SWEEP_WORK: usize = 1_024;

#[derive(Debug, Clone)]
pub(super) struct Dense {
    pub(super) all: Counted,
    /// The places that more than [`LIST_MAX`] have; none if places are not kept.
    pub(super) common: Vec<Part>,
    /// All others, ascending; none if places are not kept. An insertion in the
    /// middle moves at most 200 kB.
    pub(super) rest: Vec<Low>,
    /// How many of `rest` stand where.
    pub(super) counts: Vec<(Places, u16)>,
}

/// The numbers of one [`Places`].
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) places: Places,
    pub(super) bits: Box<Counted>,
}

/// A bitmap and how many ones it has.
#[derive(Debug, Clone)]
pub(super) struct Counted {
    pub(super) len: usize,
    pub(super) words: Bitmap,
}

impl Counted {
    fn of(lows: impl Iterator<Item = u16>) -> Self {
        let mut made = Self {
            len: 0,
            words: [0; CHUNK_WORDS],
        };
        lows.for_each(|low| made.insert(low));
        made
    }

    fn insert(&mut self, low: u16) {
        set_bit(&mut self.words, low);
        self.len += 1;
    }

    fn sweep(&mut self, gone: &[u64]) {
        let pairs = self.words.iter_mut().zip(gone);
        pairs.for_each(|(word, gone)| *word &= !gone);
        self.len = count(&self.words);
    }
}

impl Dense {
    /// Without places.
    pub(super) fn of_bitmap(words: &Bitmap) -> Self {
        let mut made = Self::of(&[]);
        made.all = Counted {
            len: count(words),
            words: *words,
        };
        made
    }

    /// Of ascending numbers.
    pub(super) fn of(lows: &[Low]) -> Self {
        let mut made = Self {
            all: Counted::of(lows.iter().map(Low::low)),
            common: Vec::new(),
            rest: lows.to_vec(),
            counts: Vec::new(),
        };
        made.recount();
        made
    }

    pub(super) fn insert(&mut self, low: u16, places: Places) {
        self.all.insert(low);
        let mut common = self.common.iter_mut();
        if let Some(part) = common.find(|part| part.places == places) {
            part.bits.insert(low);
            return;
        }
        insert_sorted(&mut self.rest, Low::new(low, places), Low::low);
        let mut counts = self.counts.iter_mut();
        match counts.find(|(other, _)| *other == places) {
            Some((_, count)) => {
                *count += 1;
                if usize::from(*count) > LIST_MAX {
                    self.recount();
                }
            }
            None => self.counts.push((places, 1)),
        }
    }

    /// Counts the places of the rest; those that are many get their bitmap.
    fn recount(&mut self) {
        let mut counts = [0_usize; 256];
        let all = |rest: &[Low], counts: &mut [usize; 256]| {
            rest.iter()
                .for_each(|one| counts[usize::from(one.places.byte())] += 1);
        };
        all(&self.rest, &mut counts);
        self.counts.clear();
        for (places, count) in Places::all().zip(counts) {
            if count > LIST_MAX {
                let same = self.rest.iter().filter(|one| one.places == places);
                let bits = Box::new(Counted::of(same.map(Low::low)));
                self.common.push(Part { places, bits });
                self.rest.retain(|one| one.places != places);
            } else if count > 0 {
                let count = u16::try_from(count).expect("at most as long as a list");
                self.counts.push((places, count));
            }
        }
        shrink(&mut self.rest);
    }

    /// Everything in it, ascending.
    pub(super) fn to_list(&self) -> Vec<Low> {
        let mut lows = Vec::with_capacity(self.all.len);
        lows.extend_from_slice(&self.rest);
        for part in &self.common {
            for_each_bit(&part.bits.words, |low| {
                lows.push(Low::new(low, part.places));
            });
        }
        lows.sort_by_key(Low::low);
        lows
    }

    /// Takes numbers out. Returns the work that it was, in numbers of a list.
    pub(super) fn sweep(&mut self, gone: &[u64]) -> usize {
        let mut work = self.rest.len() * 4 + BITMAP_SWEEP_WORK * (1 + self.common.len());
        self.all.sweep(gone);
        self.rest.retain(|one| !is_gone(gone, one.low()));
        let rest = &mut self.rest;
        let before = rest.len();
        self.common.retain_mut(|part| {
            part.bits.sweep(gone);
            // A bitmap stays until it is half empty, so that nobody can make
            // it flip with every insertion.
            let stays = part.bits.len > LIST_MAX / 2;
            if !stays {
                for_each_bit(&part.bits.words, |low| {
                    rest.push(Low::new(low, part.places));
                });
            }
            stays
        });
        if rest.len() > before {
            work += rest.len() * 8;
            // The stable sort sees that it has ascending pieces before it.
            rest.sort_by_key(Low::low);
        }
        self.recount();
        work
    }

    pub(super) fn memory_bytes(&self) -> usize {
        size_of::<Self>()
            + self.common.capacity() * size_of::<Part>()
            + self.common.len() * size_of::<Counted>()
            + self.rest.capacity() * size_of::<Low>()
            + self.counts.capacity() * size_of::<(Places, u16)>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::chunk::has_bit;
    use super::*;

    /// Everything that must hold between its parts, and what is in it.
    #[track_caller]
    fn check(dense: &Dense, model: &BTreeMap<u16, Places>) {
        let list = dense.to_list().into_iter();
        let list: Vec<_> = list.map(|one| (one.low(), one.places)).collect();
        let expected: Vec<_> = model.iter().map(|(low, places)| (*low, *places)).collect();
        assert_eq!(list, expected);
        assert_eq!(dense.all.len, model.len());
        assert_eq!(count(&dense.all.words), model.len());
        assert!(model.keys().all(|low| has_bit(&dense.all.words, *low)));
        for part in &dense.common {
            assert!(part.bits.len > LIST_MAX / 2);
            assert_eq!(part.bits.len, count(&part.bits.words));
        }
        for (places, count) in &dense.counts {
            let rest = dense.rest.iter().filter(|one| one.places == *places);
            assert_eq!(rest.count(), usize::from(*count));
        }
        let counted: usize = dense.counts.iter().map(|(_, n)| usize::from(*n)).sum();
        assert_eq!(counted, dense.rest.len());
        assert!(dense.rest.is_sorted_by_key(Low::low));
    }

    #[test]
    fn places_become_common_and_rare_again() {
        let mut dense = Dense::of(&[]);
        let mut model = BTreeMap::new();
        let mut commonest = 0;
        for step in 0..40_000_u32 {
            // Every number once, in no order; most at one place, some at another.
            let low = u16::try_from(step.wrapping_mul(40_503) % 65_536).unwrap();
            let first = match step % 10 {
                0..=5 => 1,
                6..=8 => 4,
                _ => usize::from(low) % 16,
            };
            let places = Places::new(first, first + usize::from(low) % 2);
            dense.insert(low, places);
            model.insert(low, places);
            if step % 10_000 == 9_999 {
                check(&dense, &model);
            }
            commonest = commonest.max(dense.common.len());
        }
        assert_eq!(commonest, 3);
        for part in 1..16_u16 {
            let mut gone = [0; CHUNK_WORDS];
            for low in (0..=u16::MAX).filter(|low| low % 16 == part) {
                set_bit(&mut gone, low);
            }
            dense.sweep(&gone);
            model.retain(|low, _| low % 16 != part);
            check(&dense, &model);
        }
        assert!(dense.common.is_empty());
        assert!(model.len() > 1_000);
    }
}
