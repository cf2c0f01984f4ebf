//! What is to come, ordered by time, then by when it was put in.
//!
//! **Problem.** A hundred thousand peers have a million things pending, and a
//! binary heap of a million entries misses the cache at every level of its way
//! down.
//!
//! **How.** Entries lie in buckets by the highest byte in which their time
//! differs from the calendar's own time (as in a radix heap and in the timing
//! wheels of operating systems). When the calendar's time reaches a bucket, its
//! entries move to buckets of a lower byte, in order, until a bucket holds one
//! microsecond. An entry moves at most once for each byte, and memory is walked
//! through, not jumped about in.
//!
//! **Invariant.** Entries of one time come out in the order in which they went
//! in: equal times always lie in the same bucket, which is only appended to and
//! only moved in order. So no number of arrival needs to be kept.

use gannet_base::Timestamp;

/// Entries in a block. Buckets are lists of blocks, so that memory follows what
/// is pending and never doubles to grow.
// Measured: 16 to 64 are within a tenth of each other.
const BLOCK: usize = 32;

/// Most entries shown at once.
// Measured: at a million events in a virtual second, 256 show no gain.
const SHOWN_MAX: usize = 4_096;

const LEVELS: usize = 8;
const SLOTS: usize = 256;

type Block<T> = Vec<(u64, T)>;

/// A queue of things that happen at their time, first in first out among
/// equals. Time does not run backwards: see [`Calendar::push`].
pub struct Calendar<T> {
    /// Nothing pending is earlier.
    base: u64,
    len: usize,
    /// What happens at `base` and was there when the calendar came to it, in
    /// blocks; the block at hand is reversed.
    current: Block<T>,
    rest: std::vec::IntoIter<Block<T>>,
    levels: [Level<T>; LEVELS],
    /// Empty blocks to be used again.
    pool: Vec<Block<T>>,
}

struct Level<T> {
    occupied: [u64; SLOTS / 64],
    slots: Vec<Slot<T>>,
}

struct Slot<T> {
    /// Full blocks, oldest first.
    full: Vec<Block<T>>,
    /// The youngest entries; without capacity while the slot is empty.
    tail: Block<T>,
}

impl<T> Level<T> {
    fn new() -> Self {
        let empty = || Slot {
            full: Vec::new(),
            tail: Vec::new(),
        };
        Self {
            occupied: [0; SLOTS / 64],
            slots: (0..SLOTS).map(|_| empty()).collect(),
        }
    }

    /// The lowest slot with entries.
    fn first(&self) -> Option<usize> {
        let word = self.occupied.iter().position(|word| *word != 0)?;
        let bit = usize::try_from(self.occupied[word].trailing_zeros()).ok()?;
        Some(word * 64 + bit)
    }

    fn take(&mut self, slot: usize) -> (Vec<Block<T>>, Block<T>) {
        self.occupied[slot / 64] &= !(1 << (slot % 64));
        let slot = &mut self.slots[slot];
        (
            std::mem::take(&mut slot.full),
            std::mem::take(&mut slot.tail),
        )
    }
}

impl<T> std::fmt::Debug for Calendar<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Calendar")
            .field("base", &self.base)
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

impl<T> Default for Calendar<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Calendar<T> {
    /// An empty calendar at time zero.
    pub fn new() -> Self {
        Self {
            base: 0,
            len: 0,
            current: Vec::new(),
            rest: Vec::new().into_iter(),
            levels: std::array::from_fn(|_| Level::new()),
            pool: Vec::new(),
        }
    }

    /// How many entries are pending.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is pending.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All that is pending, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        let slots = self.levels.iter().flat_map(|level| &level.slots);
        let later = slots.flat_map(|slot| slot.full.iter().flatten().chain(&slot.tail));
        let now = self.current.iter();
        let now = now.chain(self.rest.as_slice().iter().flatten());
        now.chain(later).map(|(_, value)| value)
    }

    /// Puts something in.
    ///
    /// # Panics
    ///
    /// If `at` is earlier than the limit of an earlier
    /// [`pop_until`](Self::pop_until) that came back empty, or than what came
    /// out last: time has passed it.
    pub fn push(&mut self, at: Timestamp, value: T) {
        let at = at.as_micros();
        assert!(at >= self.base, "the calendar's time has passed {at}");
        self.len += 1;
        self.put(at, value);
    }

    fn put(&mut self, at: u64, value: T) {
        let level = level_of(at ^ self.base);
        let slot = byte(at, level);
        let level = &mut self.levels[level];
        level.occupied[slot / 64] |= 1 << (slot % 64);
        let slot = &mut level.slots[slot];
        if slot.tail.len() == BLOCK {
            let fresh = fresh(&mut self.pool);
            slot.full.push(std::mem::replace(&mut slot.tail, fresh));
        } else if slot.tail.capacity() == 0 {
            slot.tail = fresh(&mut self.pool);
        }
        slot.tail.push((at, value));
    }

    /// The earliest entry, if its time is at most `limit`; of several at one
    /// time the one that was put in first. Nothing that comes later may be put
    /// in earlier than this.
    pub fn pop_until(&mut self, limit: Timestamp) -> Option<(Timestamp, T)> {
        self.pop_until_with(limit, |_| {})
    }

    /// As [`pop_until`](Self::pop_until); `soon` is shown entries some
    /// microseconds before they come out, in bunches, most of them once: to
    /// fetch from memory what they will need, all at the same time.
    pub fn pop_until_with(
        &mut self,
        limit: Timestamp,
        mut soon: impl FnMut(&T),
    ) -> Option<(Timestamp, T)> {
        let limit = limit.as_micros();
        loop {
            if self.base > limit {
                return None;
            }
            if let Some((at, value)) = self.current.pop() {
                self.len -= 1;
                return Some((Timestamp::from_micros(at), value));
            }
            if let Some(mut block) = self.rest.next() {
                block.reverse();
                recycle(&mut self.pool, std::mem::replace(&mut self.current, block));
                continue;
            }
            if self.len == 0 || !self.advance(limit, &mut soon) {
                return None;
            }
        }
    }

    /// Goes on to the next occupied slot; false if that lies behind the limit.
    fn advance(&mut self, limit: u64, soon: &mut impl FnMut(&T)) -> bool {
        for level in 0..LEVELS {
            let Some(slot) = self.levels[level].first() else {
                continue;
            };
            let start = start_of(self.base, level, slot);
            if start > limit {
                return false;
            }
            self.base = start;
            let (mut full, tail) = self.levels[level].take(slot);
            if level > 0 {
                if level == 1 {
                    let blocks = full.iter().chain([&tail]);
                    let entries = blocks.flatten().take(SHOWN_MAX);
                    entries.for_each(|(_, value)| soon(value));
                }
                self.spread(full, tail);
            } else if full.is_empty() {
                let mut block = tail;
                block.reverse();
                recycle(&mut self.pool, std::mem::replace(&mut self.current, block));
            } else {
                full.push(tail);
                self.rest = full.into_iter();
            }
            return true;
        }
        false
    }

    /// Moves entries to lower levels.
    fn spread(&mut self, full: Vec<Block<T>>, tail: Block<T>) {
        for mut block in full.into_iter().chain([tail]) {
            for (at, value) in block.drain(..) {
                self.put(at, value);
            }
            recycle(&mut self.pool, block);
        }
    }
}

fn fresh<T>(pool: &mut Vec<Block<T>>) -> Block<T> {
    pool.pop().unwrap_or_else(|| Vec::with_capacity(BLOCK))
}

fn recycle<T>(pool: &mut Vec<Block<T>>, block: Block<T>) {
    if block.capacity() > 0 {
        pool.push(block);
    }
}

/// The highest byte in which two times differ, given what differs.
fn level_of(difference: u64) -> usize {
    let bits = 63 - (difference | 1).leading_zeros();
    usize::try_from(bits / 8).expect("at most 7")
}

fn byte(at: u64, level: usize) -> usize {
    usize::from(at.to_le_bytes()[level])
}

/// When the slot begins: the base with this byte, and zeros behind it.
fn start_of(base: u64, level: usize, slot: usize) -> u64 {
    let mut bytes = base.to_le_bytes();
    bytes[..level].fill(0);
    bytes[level] = u8::try_from(slot).expect("there are 256 slots");
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Push(u64),
        Pop,
        Wait(u64),
    }

    fn delay() -> impl Strategy<Value = u64> {
        prop_oneof![
            Just(0),
            0..4_u64,
            0..300_u64,
            0..70_000_u64,
            0..20_000_000_u64,
            any::<u64>().prop_map(|delay| delay >> 8),
        ]
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            5 => delay().prop_map(Step::Push),
            4 => Just(Step::Pop),
            1 => delay().prop_map(Step::Wait),
        ];
        proptest::collection::vec(step, 0..600)
    }

    proptest! {
        /// Against an ordered map by time and number of arrival.
        #[test]
        fn is_the_ordered_map(steps in steps()) {
            let mut calendar = Calendar::new();
            let mut model = BTreeMap::new();
            let mut now = 0_u64;
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Push(delay) => {
                        let at = now.saturating_add(delay);
                        calendar.push(Timestamp::from_micros(at), number);
                        model.insert((at, number), ());
                    }
                    Step::Pop => {
                        let expected = model.pop_first().map(|((at, number), ())| {
                            (Timestamp::from_micros(at), number)
                        });
                        let found = calendar.pop_until(Timestamp::MAX);
                        prop_assert_eq!(found, expected);
                        now = found.map_or(now, |(at, _)| at.as_micros());
                        if found.is_none() {
                            now = now.max(calendar.base);
                        }
                    }
                    Step::Wait(delay) => {
                        let limit = now.saturating_add(delay);
                        while let Some(found) = calendar.pop_until(Timestamp::from_micros(limit)) {
                            let ((at, number), ()) = model.pop_first().expect("as many");
                            prop_assert_eq!(found, (Timestamp::from_micros(at), number));
                        }
                        prop_assert!(model.keys().next().is_none_or(|(at, _)| *at > limit));
                        now = limit;
                    }
                }
                prop_assert_eq!(calendar.len(), model.len());
                let mut pending: Vec<usize> = calendar.iter().copied().collect();
                pending.sort_unstable();
                let mut expected: Vec<usize> = model.keys().map(|(_, number)| *number).collect();
                expected.sort_unstable();
                prop_assert_eq!(pending, expected);
            }
            while let Some(found) = calendar.pop_until(Timestamp::MAX) {
                let ((at, number), ()) = model.pop_first().expect("as many");
                prop_assert_eq!(found, (Timestamp::from_micros(at), number));
            }
            prop_assert!(model.is_empty());
        }
    }

    #[test]
    fn many_at_one_time_come_out_in_order() {
        let mut calendar = Calendar::new();
        for number in 0..1_000 {
            calendar.push(Timestamp::from_secs(5), number);
        }
        for number in 0..500 {
            let at = Timestamp::from_secs(5);
            assert_eq!(calendar.pop_until(at), Some((at, number)));
        }
        calendar.push(Timestamp::from_secs(5), 1_000);
        for number in 500..=1_000 {
            let at = Timestamp::from_secs(5);
            assert_eq!(calendar.pop_until(at), Some((at, number)));
        }
        assert!(calendar.is_empty());
    }

    #[test]
    #[should_panic(expected = "has passed")]
    fn the_past_is_over() {
        let mut calendar = Calendar::new();
        calendar.push(Timestamp::from_secs(5), ());
        calendar.pop_until(Timestamp::MAX);
        calendar.push(Timestamp::from_secs(4), ());
    }
}
