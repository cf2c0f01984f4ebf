//! Where a word occurs: a sorted set of entry numbers in one of three forms.
//!
//! Most words occur once or twice: those numbers lie in the word's record
//! itself. Up to [`LIST_MAX`] they are a plain list. Beyond, they are cut into
//! chunks of 65,536 numbers, and each chunk is a list of 16-bit numbers or a
//! bitmap, whichever is smaller (the layout of Roaring bitmaps, Lemire et al.
//! 2016). So an insertion in the middle moves at most a few kilobytes, and
//! words that nearly every path has cost an eighth of a byte an entry.

use super::bits::{Bits, ones};

/// Numbers that fit the record.
const FEW_MAX: usize = 3;
/// Longest plain list.
pub(super) const LIST_MAX: usize = 4_096;
/// Longest list of a chunk: 8 KiB, as much as its bitmap takes.
const CHUNK_LIST_MAX: usize = 4_096;
/// 64-bit words of a chunk's bitmap.
pub(super) const CHUNK_WORDS: usize = 1_024;

#[derive(Debug, Clone)]
pub(super) enum Postings {
    Few { len: u8, ids: [u32; FEW_MAX] },
    List(Vec<u32>),
    Chunks(Box<Chunks>),
}

#[derive(Debug, Clone, Default)]
pub(super) struct Chunks {
    len: usize,
    /// By number.
    list: Vec<Chunk>,
}

#[derive(Debug, Clone)]
struct Chunk {
    number: u16,
    slots: Slots,
}

#[derive(Debug, Clone)]
enum Slots {
    List(Vec<u16>),
    Bits(usize, Box<[u64; CHUNK_WORDS]>),
}

/// What a word has in one chunk; never empty.
#[derive(Debug, Clone, Copy)]
pub(super) enum View<'a> {
    /// Whole numbers, all of this chunk.
    Ids(&'a [u32]),
    /// Their lower halves.
    Lows(&'a [u16]),
    Bits(usize, &'a [u64; CHUNK_WORDS]),
}

/// The chunk that a number lies in, and its place there.
pub(super) fn split(id: u32) -> (u16, u16) {
    let [a, b, c, d] = id.to_le_bytes();
    (u16::from_le_bytes([c, d]), u16::from_le_bytes([a, b]))
}

/// The number at this place of this chunk.
pub(super) fn join(number: u16, low: u16) -> u32 {
    u32::from(number) << 16 | u32::from(low)
}

impl Postings {
    pub(super) const EMPTY: Self = Self::Few {
        len: 0,
        ids: [0; FEW_MAX],
    };

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Few { len, .. } => usize::from(*len),
            Self::List(ids) => ids.len(),
            Self::Chunks(chunks) => chunks.len,
        }
    }

    /// The set of these numbers, in any order, some perhaps twice.
    pub(super) fn from_ids(mut ids: Vec<u32>) -> Self {
        ids.sort_unstable();
        ids.dedup();
        if ids.len() <= LIST_MAX {
            Self::List(ids)
        } else {
            Self::Chunks(Box::new(Chunks::of(&ids)))
        }
    }

    /// The set of the numbers whose bits are set, in whole chunks.
    pub(super) fn from_bits(words: &[u64]) -> Self {
        let mut chunks = Chunks::default();
        for (number, part) in (0..=u16::MAX).zip(words.as_chunks::<CHUNK_WORDS>().0) {
            let len: usize = part.iter().map(|word| word.count_ones() as usize).sum();
            if len > 0 {
                chunks.list.push(Chunk {
                    number,
                    slots: Slots::Bits(len, Box::new(*part)),
                });
                chunks.len += len;
            }
        }
        Self::Chunks(Box::new(chunks))
    }

    /// Adds a number that is not in the set.
    pub(super) fn insert(&mut self, id: u32) {
        match self {
            Self::Few { len, ids } => {
                let filled = usize::from(*len);
                if filled == FEW_MAX {
                    let mut list = Vec::with_capacity(FEW_MAX * 2);
                    list.extend_from_slice(ids);
                    insert_sorted(&mut list, id);
                    *self = Self::List(list);
                } else {
                    let place = ids[..filled].partition_point(|&other| other < id);
                    ids.copy_within(place..filled, place + 1);
                    ids[place] = id;
                    *len += 1;
                }
            }
            Self::List(ids) => {
                insert_sorted(ids, id);
                if ids.len() > LIST_MAX {
                    *self = Self::Chunks(Box::new(Chunks::of(ids)));
                }
            }
            Self::Chunks(chunks) => chunks.insert(id),
        }
    }

    /// Takes out the numbers that are in the other set.
    pub(super) fn sweep(&mut self, gone: &Bits) {
        match self {
            Self::Few { len, ids } => {
                let mut kept = 0;
                for place in 0..usize::from(*len) {
                    if !gone.contains(ids[place]) {
                        ids[kept] = ids[place];
                        kept += 1;
                    }
                }
                *len = u8::try_from(kept).expect("few");
            }
            Self::List(ids) => {
                let before = ids.len();
                ids.retain(|&id| !gone.contains(id));
                if ids.len() <= FEW_MAX {
                    let mut few = [0; FEW_MAX];
                    few[..ids.len()].copy_from_slice(ids);
                    let len = u8::try_from(ids.len()).expect("few");
                    *self = Self::Few { len, ids: few };
                } else if ids.len() < before {
                    shrink(ids);
                }
            }
            Self::Chunks(chunks) => {
                chunks.sweep(gone);
                if chunks.len <= LIST_MAX / 2 {
                    let mut ids = Vec::with_capacity(chunks.len);
                    self.for_each(|id| ids.push(id));
                    *self = Self::List(ids);
                }
            }
        }
    }

    pub(super) fn for_each(&self, mut visit: impl FnMut(u32)) {
        match self {
            Self::Few { len, ids } => ids[..usize::from(*len)].iter().for_each(|&id| visit(id)),
            Self::List(ids) => ids.iter().for_each(|&id| visit(id)),
            Self::Chunks(chunks) => {
                for Chunk { number, slots } in &chunks.list {
                    match slots {
                        Slots::List(lows) => {
                            lows.iter().for_each(|&low| visit(join(*number, low)));
                        }
                        Slots::Bits(_, words) => for_each_bit(words, |low| {
                            visit(join(*number, low));
                        }),
                    }
                }
            }
        }
    }

    fn ids(&self) -> Option<&[u32]> {
        match self {
            Self::Few { len, ids } => Some(&ids[..usize::from(*len)]),
            Self::List(ids) => Some(ids),
            Self::Chunks(_) => None,
        }
    }

    /// The first chunk from `from` on in which there is something.
    pub(super) fn next_chunk(&self, from: u16) -> Option<u16> {
        if let Self::Chunks(chunks) = self {
            let place = chunks.list.partition_point(|chunk| chunk.number < from);
            return chunks.list.get(place).map(|chunk| chunk.number);
        }
        let ids = self.ids()?;
        let place = ids.partition_point(|&id| id < join(from, 0));
        ids.get(place).map(|&id| split(id).0)
    }

    /// What lies in this chunk.
    pub(super) fn view(&self, number: u16) -> Option<View<'_>> {
        if let Self::Chunks(chunks) = self {
            let place = chunks
                .list
                .binary_search_by_key(&number, |chunk| chunk.number)
                .ok()?;
            return Some(match &chunks.list[place].slots {
                Slots::List(lows) => View::Lows(lows),
                Slots::Bits(len, words) => View::Bits(*len, words),
            });
        }
        let ids = self.ids()?;
        let start = ids.partition_point(|&id| id < join(number, 0));
        let end = start + ids[start..].partition_point(|&id| id <= join(number, u16::MAX));
        (start < end).then(|| View::Ids(&ids[start..end]))
    }

    pub(super) fn memory_bytes(&self) -> usize {
        match self {
            Self::Few { .. } => 0,
            Self::List(ids) => ids.capacity() * 4,
            Self::Chunks(chunks) => {
                let slots = chunks.list.iter().map(|chunk| match &chunk.slots {
                    Slots::List(lows) => lows.capacity() * 2,
                    Slots::Bits(..) => CHUNK_WORDS * 8,
                });
                slots.sum::<usize>() + chunks.list.capacity() * size_of::<Chunk>()
            }
        }
    }
}

impl Chunks {
    /// From ascending numbers.
    fn of(ids: &[u32]) -> Self {
        let mut chunks = Self::default();
        for part in ids.chunk_by(|a, b| split(*a).0 == split(*b).0) {
            let lows = part.iter().map(|&id| split(id).1).collect();
            let mut slots = Slots::List(lows);
            slots.fit();
            chunks.list.push(Chunk {
                number: split(part[0]).0,
                slots,
            });
        }
        chunks.len = ids.len();
        chunks
    }

    fn insert(&mut self, id: u32) {
        let (number, low) = split(id);
        let place = self.list.partition_point(|chunk| chunk.number < number);
        if self
            .list
            .get(place)
            .is_none_or(|chunk| chunk.number != number)
        {
            self.list.insert(
                place,
                Chunk {
                    number,
                    slots: Slots::List(Vec::new()),
                },
            );
        }
        self.list[place].slots.insert(low);
        self.len += 1;
    }

    fn sweep(&mut self, gone: &Bits) {
        for chunk in &mut self.list {
            let words = gone.chunk(chunk.number);
            if words.iter().all(|word| *word == 0) {
                continue;
            }
            let is_gone = |low: u16| {
                let word = words.get(usize::from(low) / 64);
                word.is_some_and(|word| word >> (low % 64) & 1 == 1)
            };
            match &mut chunk.slots {
                Slots::List(lows) => lows.retain(|&low| !is_gone(low)),
                Slots::Bits(len, bits) => {
                    bits.iter_mut()
                        .zip(words)
                        .for_each(|(word, gone)| *word &= !gone);
                    *len = bits.iter().map(|word| word.count_ones() as usize).sum();
                }
            }
            chunk.slots.fit();
        }
        self.list.retain(|chunk| chunk.slots.len() > 0);
        self.len = self.list.iter().map(|chunk| chunk.slots.len()).sum();
    }
}

impl Slots {
    fn len(&self) -> usize {
        match self {
            Self::List(lows) => lows.len(),
            Self::Bits(len, _) => *len,
        }
    }

    fn insert(&mut self, low: u16) {
        match self {
            Self::List(lows) => {
                insert_sorted(lows, low);
                if lows.len() > CHUNK_LIST_MAX {
                    self.fit();
                }
            }
            Self::Bits(len, words) => {
                words[usize::from(low) / 64] |= 1 << (low % 64);
                *len += 1;
            }
        }
    }

    /// Takes the smaller form. A bitmap stays until it is half empty, so that
    /// nobody can make it flip with every insertion.
    fn fit(&mut self) {
        match self {
            Self::List(lows) if lows.len() > CHUNK_LIST_MAX => {
                let mut words = Box::new([0; CHUNK_WORDS]);
                for low in &*lows {
                    words[usize::from(*low) / 64] |= 1 << (low % 64);
                }
                *self = Self::Bits(lows.len(), words);
            }
            Self::List(lows) => shrink(lows),
            Self::Bits(len, words) if *len <= CHUNK_LIST_MAX / 2 => {
                let mut lows = Vec::with_capacity(*len);
                for_each_bit(words, |low| lows.push(low));
                *self = Self::List(lows);
            }
            Self::Bits(..) => {}
        }
    }
}

/// The places of the ones, ascending.
pub(super) fn for_each_bit(words: &[u64; CHUNK_WORDS], mut visit: impl FnMut(u16)) {
    for (place, &word) in words.iter().enumerate() {
        for bit in ones(word) {
            visit(
                u16::try_from(place * 64).expect("1,024 words") + u16::try_from(bit).expect("64"),
            );
        }
    }
}

fn insert_sorted<T: Ord + Copy>(list: &mut Vec<T>, value: T) {
    if list.len() == list.capacity() {
        // A quarter more, not double: most lists never grow again.
        list.reserve_exact(list.len() / 4 + 2);
    }
    match list.last() {
        Some(last) if *last > value => {
            let place = list.partition_point(|other| *other < value);
            list.insert(place, value);
        }
        _ => list.push(value),
    }
}

/// Gives memory back when more than half is unused.
fn shrink<T>(list: &mut Vec<T>) {
    if list.capacity() > list.len() * 2 + 8 {
        list.shrink_to_fit();
    }
}
