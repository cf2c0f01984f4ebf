//! Slots that are set, in growing order, and what differs between two tables.

use std::iter::Peekable;

use super::{Slots, place};

/// Slots of a table that are set, growing.
pub(super) enum Positions<'a> {
    Sparse(std::slice::Iter<'a, u32>),
    Dense {
        words: &'a [u64],
        /// The word that is looked at.
        index: usize,
        /// What of it was not handed out yet.
        rest: u64,
    },
}

impl<'a> Positions<'a> {
    pub(super) fn new(slots: &'a Slots, from: u32) -> Self {
        match slots {
            Slots::Sparse(set) => {
                let start = set.partition_point(|slot| *slot < from);
                Self::Sparse(set[start..].iter())
            }
            Slots::Dense(words) => {
                let (index, bit) = place(from);
                let rest = words.get(index).map_or(0, |word| word & !(bit - 1));
                Self::Dense { words, index, rest }
            }
        }
    }
}

impl Iterator for Positions<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        match self {
            Self::Sparse(slots) => slots.next().copied(),
            Self::Dense { words, index, rest } => {
                while *rest == 0 {
                    *index += 1;
                    *rest = *words.get(*index)?;
                }
                let bit = rest.trailing_zeros();
                *rest &= *rest - 1;
                let word = u32::try_from(*index).expect("a table has fewer than 2^32 slots");
                Some(word * u64::BITS + bit)
            }
        }
    }
}

/// What is in exactly one of two growing series.
pub(super) fn merge<A, B>(one: A, other: B) -> Merge<A, B>
where
    A: Iterator<Item = u32>,
    B: Iterator<Item = u32>,
{
    Merge {
        one: one.peekable(),
        other: other.peekable(),
    }
}

/// See [`merge`].
pub(super) struct Merge<A: Iterator, B: Iterator> {
    one: Peekable<A>,
    other: Peekable<B>,
}

impl<A, B> Iterator for Merge<A, B>
where
    A: Iterator<Item = u32>,
    B: Iterator<Item = u32>,
{
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        loop {
            match (self.one.peek(), self.other.peek()) {
                (Some(one), Some(other)) if one == other => {
                    self.one.next();
                    self.other.next();
                }
                (Some(one), Some(other)) if one > other => return self.other.next(),
                (None, _) => return self.other.next(),
                (Some(_), _) => return self.one.next(),
            }
        }
    }
}
