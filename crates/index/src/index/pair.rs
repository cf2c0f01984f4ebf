//! Where two common words of one chunk stand in order.

use super::chunk::{Bitmap, CHUNK_WORDS, Low, Places, has_bit, set_bit};
use super::common::{MUCH_LONGER, Marks, gallop};
use super::dense::Dense;
use super::intersect::BITMAP_WORK;
use super::order::{Order, order_of};

/// The numbers that have both words in order, and those of which it is not
/// known; among them are numbers that nobody asked for.
#[derive(Debug)]
pub(super) struct Ordered {
    pub(super) yes: Bitmap,
    pub(super) unknown: Bitmap,
}

impl Ordered {
    pub(super) fn new() -> Self {
        Self {
            yes: [0; CHUNK_WORDS],
            unknown: [0; CHUNK_WORDS],
        }
    }

    /// Fills itself anew. Returns the work that it was.
    pub(super) fn fill(&mut self, a: &Dense, b: &Dense, marks: &mut Marks) -> usize {
        self.yes.fill(0);
        self.unknown.fill(0);
        let mut work = 2 * BITMAP_WORK;
        for first in &a.common {
            for second in &b.common {
                let found = match order_of(first.places, second.places) {
                    Order::Yes => &mut self.yes,
                    Order::Unknown => &mut self.unknown,
                    Order::No => continue,
                };
                let pairs = first.bits.words.iter().zip(&second.bits.words);
                let found = found.iter_mut().zip(pairs);
                found.for_each(|(found, (a, b))| *found |= a & b);
                work += BITMAP_WORK;
            }
        }
        let may_follow = |first: Places| {
            let mut pairs = b.counts.iter().map(|(second, _)| order_of(first, *second));
            pairs.any(|order| order != Order::No)
        };
        for first in a.common.iter().filter(|first| may_follow(first.places)) {
            for second in &b.rest {
                let both = has_bit(&first.bits.words, second.low());
                self.add(second.low(), both, first.places, second.places);
            }
            work += b.rest.len() / 2;
        }
        for second in &b.common {
            let mut pairs = a.counts.iter().map(|(a, _)| order_of(*a, second.places));
            if pairs.all(|order| order == Order::No) {
                continue;
            }
            for first in &a.rest {
                let both = has_bit(&second.bits.words, first.low());
                self.add(first.low(), both, first.places, second.places);
            }
            work += a.rest.len() / 2;
        }
        work + self.fill_rest(a, b, marks)
    }

    /// What stands at rare places of both words.
    fn fill_rest(&mut self, a: &Dense, b: &Dense, marks: &mut Marks) -> usize {
        let firsts = || a.counts.iter().map(|(places, _)| *places);
        let seconds = || b.counts.iter().map(|(places, _)| *places);
        let (Some(earliest), Some(latest)) = (
            firsts().min_by_key(|places| places.first()),
            seconds().max_by_key(|places| places.last()),
        ) else {
            return 0;
        };
        // Mostly one of the words is nearly always before the other.
        let may_be_first = |first: Places| order_of(first, latest) != Order::No;
        let may_be_second = |second: Places| order_of(earliest, second) != Order::No;
        let sum = |counts: &[(Places, u16)], fits: &dyn Fn(Places) -> bool| -> usize {
            let fitting = counts.iter().filter(|(places, _)| fits(*places));
            fitting.map(|(_, count)| usize::from(*count)).sum()
        };
        let few = (a.rest.len() + b.rest.len()) / MUCH_LONGER;
        let second_len = sum(&b.counts, &may_be_second);
        if second_len == 0 {
            return 0;
        }
        let mut at = 0;
        if second_len <= few {
            for second in b.rest.iter().filter(|one| may_be_second(one.places)) {
                at = gallop(&a.rest, at, second.low(), &Low::low);
                let first = a.rest.get(at).filter(|one| one.low() == second.low());
                if let Some(first) = first {
                    self.add(second.low(), true, first.places, second.places);
                }
            }
            return b.rest.len() / 2 + second_len * 8;
        }
        let first_len = sum(&a.counts, &may_be_first);
        if first_len <= few {
            for first in a.rest.iter().filter(|one| may_be_first(one.places)) {
                at = gallop(&b.rest, at, first.low(), &Low::low);
                let second = b.rest.get(at).filter(|one| one.low() == first.low());
                if let Some(second) = second {
                    self.add(first.low(), true, first.places, second.places);
                }
            }
            return a.rest.len() / 2 + first_len * 8;
        }
        let table = marks.table();
        for second in &b.rest {
            table[usize::from(second.low())] = second.places.mark();
        }
        for first in &a.rest {
            let mark = table[usize::from(first.low())];
            self.add(first.low(), mark != 0, first.places, Places::of_mark(mark));
        }
        for second in &b.rest {
            table[usize::from(second.low())] = 0;
        }
        (a.rest.len() + b.rest.len()) / 2
    }

    /// Notes how two words stand in an entry, if both are there and not
    /// surely the wrong way round, which they mostly are.
    fn add(&mut self, low: u16, both: bool, first: Places, second: Places) {
        let order = order_of(first, second);
        if both & (order != Order::No) {
            let found = match order {
                Order::Yes => &mut self.yes,
                _ => &mut self.unknown,
            };
            set_bit(found, low);
        }
    }
}
