//! One chunk of the postings: which of 65,536 numbers are in the set, and
//! where in each entry the word stands.
//!
//! Up to [`LIST_MAX`] numbers are a list, each with its [`Places`]. More are a
//! bitmap, and beside it one smaller set for each [`Places`] that occurs: the
//! same word mostly stands at the same few places, so those are few, and
//! whether two words stand in order is decided for 64 entries at once.

use super::bits::{Bits, ones};

/// Longest list of a chunk.
const LIST_MAX: usize = 4_096;
/// 64-bit words of a chunk's bitmap.
pub(super) const CHUNK_WORDS: usize = 1_024;

pub(super) type Bitmap = [u64; CHUNK_WORDS];

/// The first and the last place of a word among those of an entry. Places from
/// [`Places::FAR`] on are not told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Places(u8);

impl Places {
    /// From here on a place is only known to be at least this.
    pub(super) const FAR: u8 = 15;
    /// Of sets in which places are not kept.
    pub(super) const NONE: Self = Self(0);

    pub(super) fn new(first: usize, last: usize) -> Self {
        let short = |place: usize| u8::try_from(place).map_or(Self::FAR, |p| p.min(Self::FAR));
        Self(short(first) << 4 | short(last))
    }

    pub(super) fn first(self) -> u8 {
        self.0 >> 4
    }

    pub(super) fn last(self) -> u8 {
        self.0 & 15
    }
}

/// A number of a chunk's list.
#[derive(Debug, Clone, Copy)]
pub(super) struct Low {
    low: [u8; 2],
    pub(super) places: Places,
}

impl Low {
    pub(super) fn new(low: u16, places: Places) -> Self {
        Self {
            low: low.to_le_bytes(),
            places,
        }
    }

    pub(super) fn low(&self) -> u16 {
        u16::from_le_bytes(self.low)
    }
}

#[derive(Debug, Clone)]
pub(super) enum Chunk {
    List(Vec<Low>),
    Dense(Box<Dense>),
}

#[derive(Debug, Clone)]
pub(super) struct Dense {
    pub(super) all: Counted,
    /// Disjoint, together all numbers; none if places are not kept.
    pub(super) parts: Vec<Part>,
}

/// The numbers of one [`Places`].
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) places: Places,
    pub(super) set: PartSet,
}

#[derive(Debug, Clone)]
pub(super) enum PartSet {
    List(Vec<u16>),
    Bits(Box<Counted>),
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
        self.words[usize::from(low) / 64] |= 1 << (low % 64);
        self.len += 1;
    }

    fn sweep(&mut self, gone: &[u64]) {
        let pairs = self.words.iter_mut().zip(gone);
        pairs.for_each(|(word, gone)| *word &= !gone);
        self.len = count(&self.words);
    }
}

impl PartSet {
    fn len(&self) -> usize {
        match self {
            Self::List(lows) => lows.len(),
            Self::Bits(bits) => bits.len,
        }
    }

    fn insert(&mut self, low: u16) {
        match self {
            Self::List(lows) => {
                insert_sorted(lows, low, |low| *low);
                if lows.len() > LIST_MAX {
                    *self = Self::Bits(Box::new(Counted::of(lows.iter().copied())));
                }
            }
            Self::Bits(bits) => bits.insert(low),
        }
    }

    fn for_each(&self, mut visit: impl FnMut(u16)) {
        match self {
            Self::List(lows) => lows.iter().for_each(|low| visit(*low)),
            Self::Bits(bits) => for_each_bit(&bits.words, visit),
        }
    }

    fn sweep(&mut self, gone: &[u64]) {
        match self {
            Self::List(lows) => {
                lows.retain(|&low| !is_gone(gone, low));
                shrink(lows);
            }
            Self::Bits(bits) => {
                bits.sweep(gone);
                if bits.len <= LIST_MAX / 2 {
                    let mut lows = Vec::with_capacity(bits.len);
                    for_each_bit(&bits.words, |low| lows.push(low));
                    *self = Self::List(lows);
                }
            }
        }
    }
}

impl Dense {
    fn insert(&mut self, low: u16, places: Places) {
        self.all.insert(low);
        let part = self.parts.iter_mut().find(|part| part.places == places);
        if let Some(part) = part {
            part.set.insert(low);
        } else {
            let set = PartSet::List(vec![low]);
            self.parts.push(Part { places, set });
        }
    }
}

impl Chunk {
    /// Of ascending numbers.
    pub(super) fn of(lows: Vec<Low>) -> Self {
        let mut made = Self::List(lows);
        made.fit();
        made
    }

    /// Without places.
    pub(super) fn of_bitmap(words: &Bitmap) -> Self {
        Self::Dense(Box::new(Dense {
            all: Counted {
                len: count(words),
                words: *words,
            },
            parts: Vec::new(),
        }))
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::List(lows) => lows.len(),
            Self::Dense(dense) => dense.all.len,
        }
    }

    pub(super) fn insert(&mut self, low: u16, places: Places) {
        match self {
            Self::List(lows) => {
                insert_sorted(lows, Low::new(low, places), Low::low);
                if lows.len() > LIST_MAX {
                    self.fit();
                }
            }
            Self::Dense(dense) => dense.insert(low, places),
        }
    }

    /// Everything in it, ascending.
    pub(super) fn to_list(&self) -> Vec<Low> {
        match self {
            Self::List(lows) => lows.clone(),
            Self::Dense(dense) => {
                let mut lows = Vec::with_capacity(dense.all.len);
                for part in &dense.parts {
                    part.set
                        .for_each(|low| lows.push(Low::new(low, part.places)));
                }
                lows.sort_unstable_by_key(Low::low);
                lows
            }
        }
    }

    pub(super) fn sweep(&mut self, gone: &[u64]) {
        match self {
            Self::List(lows) => lows.retain(|low| !is_gone(gone, low.low())),
            Self::Dense(dense) => {
                dense.all.sweep(gone);
                dense.parts.iter_mut().for_each(|part| part.set.sweep(gone));
                dense.parts.retain(|part| part.set.len() > 0);
            }
        }
        self.fit();
    }

    /// Takes the smaller form. A bitmap stays until it is half empty, so that
    /// nobody can make it flip with every insertion.
    fn fit(&mut self) {
        match self {
            Self::List(lows) if lows.len() > LIST_MAX => {
                let mut dense = Box::new(Dense {
                    all: Counted::of(std::iter::empty()),
                    parts: Vec::new(),
                });
                lows.iter()
                    .for_each(|low| dense.insert(low.low(), low.places));
                *self = Self::Dense(dense);
            }
            Self::List(lows) => shrink(lows),
            Self::Dense(dense) if dense.all.len <= LIST_MAX / 2 => {
                *self = Self::List(self.to_list());
            }
            Self::Dense(_) => {}
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        match self {
            Self::List(lows) => lows.capacity() * size_of::<Low>(),
            Self::Dense(dense) => {
                let parts = dense.parts.iter().map(|part| match &part.set {
                    PartSet::List(lows) => lows.capacity() * 2,
                    PartSet::Bits(_) => size_of::<Counted>(),
                });
                size_of::<Dense>()
                    + dense.parts.capacity() * size_of::<Part>()
                    + parts.sum::<usize>()
            }
        }
    }
}

fn is_gone(gone: &[u64], low: u16) -> bool {
    let word = gone.get(usize::from(low) / 64);
    word.is_some_and(|word| word >> (low % 64) & 1 == 1)
}

pub(super) fn has_bit(words: &Bitmap, low: u16) -> bool {
    words[usize::from(low) / 64] >> (low % 64) & 1 == 1
}

pub(super) fn count(words: &Bitmap) -> usize {
    words.iter().map(|word| word.count_ones() as usize).sum()
}

/// The places of the ones, ascending.
pub(super) fn for_each_bit(words: &Bitmap, mut visit: impl FnMut(u16)) {
    for (place, &word) in words.iter().enumerate() {
        for bit in ones(word) {
            visit(low_at(place, bit));
        }
    }
}

/// The number of this bit of this word of a chunk.
pub(super) fn low_at(place: usize, bit: u32) -> u16 {
    u16::try_from(place * 64 + bit as usize).expect("a chunk has 65,536 places")
}

/// Adds a value that is not in the list, which ascends by its key.
pub(super) fn insert_sorted<T, K: Ord>(list: &mut Vec<T>, value: T, key: impl Fn(&T) -> K) {
    if list.len() == list.capacity() {
        // A quarter more, not double: most lists never grow again.
        list.reserve_exact(list.len() / 4 + 2);
    }
    match list.last() {
        Some(last) if key(last) > key(&value) => {
            let place = list.partition_point(|other| key(other) < key(&value));
            list.insert(place, value);
        }
        _ => list.push(value),
    }
}

/// Gives memory back when more than half is unused.
pub(super) fn shrink<T>(list: &mut Vec<T>) {
    if list.capacity() > list.len() * 2 + 8 {
        list.shrink_to_fit();
    }
}

/// Whether nothing of the chunk is gone.
pub(super) fn is_untouched(gone: &Bits, number: u16) -> bool {
    gone.chunk(number).iter().all(|word| *word == 0)
}
