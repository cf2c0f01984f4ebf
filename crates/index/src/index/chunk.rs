//! One chunk of the postings: which of 65,536 numbers are in the set, and
//! where in each entry the word stands.
//!
//! Up to [`LIST_MAX`] numbers are a list, each with its [`Places`], a long one
//! with a bitmap for counting. More are a bitmap ([`dense`](super::dense)).

use super::bits::ones;
use super::dense::Dense;

/// Longest list of a chunk.
pub(super) const LIST_MAX: usize = 4_096;
/// From this length on, a list has a bitmap beside it.
// Measured: passing over so many numbers takes as long as over a bitmap; 6 bytes an entry of a
// million Debian paths (`bench/tantivy`).
const WITH_BITS: usize = 1_024;
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

    pub(super) fn byte(self) -> u8 {
        self.0
    }

    /// By their bytes.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        (0..=u8::MAX).map(Self)
    }

    /// As a byte that is not zero: the last place is never before the first.
    pub(super) fn mark(self) -> u8 {
        self.0 ^ 0xf0
    }

    /// From its mark.
    pub(super) fn of_mark(mark: u8) -> Self {
        Self(mark ^ 0xf0)
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
    List(List),
    Dense(Box<Dense>),
}

#[derive(Debug, Clone, Default)]
pub(super) struct List {
    /// Ascending.
    pub(super) lows: Vec<Low>,
    /// The same numbers, if they are many.
    pub(super) bits: Option<Box<Bitmap>>,
}

impl List {
    fn of(lows: Vec<Low>) -> Self {
        let mut made = Self { lows, bits: None };
        made.fit();
        made
    }

    fn insert(&mut self, low: u16, places: Places) {
        insert_sorted(&mut self.lows, Low::new(low, places), Low::low);
        if let Some(bits) = &mut self.bits {
            set_bit(bits, low);
        } else if self.lows.len() >= WITH_BITS {
            self.fit();
        }
    }

    fn sweep(&mut self, gone: &[u64]) {
        self.lows.retain(|low| !is_gone(gone, low.low()));
        if let Some(bits) = &mut self.bits {
            let pairs = bits.iter_mut().zip(gone);
            pairs.for_each(|(word, gone)| *word &= !gone);
        }
    }

    /// Takes the form that its length asks for. The bitmap stays until half of
    /// it is gone.
    fn fit(&mut self) {
        shrink(&mut self.lows);
        if self.lows.len() < WITH_BITS / 2 {
            self.bits = None;
        } else if self.bits.is_none() && self.lows.len() >= WITH_BITS {
            let mut bits = Box::new([0; CHUNK_WORDS]);
            self.lows
                .iter()
                .for_each(|low| set_bit(&mut bits, low.low()));
            self.bits = Some(bits);
        }
    }
}

impl Chunk {
    /// Of ascending numbers.
    pub(super) fn of(lows: Vec<Low>) -> Self {
        if lows.len() <= LIST_MAX {
            return Self::List(List::of(lows));
        }
        Self::Dense(Box::new(Dense::of(&lows)))
    }

    /// Without places.
    pub(super) fn of_bitmap(words: &Bitmap) -> Self {
        Self::Dense(Box::new(Dense::of_bitmap(words)))
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::List(list) => list.lows.len(),
            Self::Dense(dense) => dense.all.len,
        }
    }

    pub(super) fn insert(&mut self, low: u16, places: Places) {
        match self {
            Self::List(list) => {
                list.insert(low, places);
                if list.lows.len() > LIST_MAX {
                    *self = Self::of(std::mem::take(&mut list.lows));
                }
            }
            Self::Dense(dense) => dense.insert(low, places),
        }
    }

    /// Everything in it, ascending.
    pub(super) fn to_list(&self) -> Vec<Low> {
        match self {
            Self::List(list) => list.lows.clone(),
            Self::Dense(dense) => dense.to_list(),
        }
    }

    /// Takes numbers out. Returns the work that it was, in numbers of a list.
    pub(super) fn sweep(&mut self, gone: &[u64]) -> usize {
        match self {
            Self::List(list) => {
                let before = list.lows.len();
                list.sweep(gone);
                list.fit();
                before * 2
            }
            Self::Dense(dense) => {
                let mut work = dense.sweep(gone);
                // It stays until it is half empty, likewise.
                if dense.all.len <= LIST_MAX / 2 {
                    work += dense.all.len * 8;
                    *self = Self::of(self.to_list());
                }
                work
            }
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        match self {
            Self::List(list) => {
                let bits = list.bits.as_ref().map_or(0, |_| size_of::<Bitmap>());
                list.lows.capacity() * size_of::<Low>() + bits
            }
            Self::Dense(dense) => dense.memory_bytes(),
        }
    }
}

pub(super) fn is_gone(gone: &[u64], low: u16) -> bool {
    let word = gone.get(usize::from(low) / 64);
    word.is_some_and(|word| word >> (low % 64) & 1 == 1)
}

pub(super) fn set_bit(words: &mut Bitmap, low: u16) {
    words[usize::from(low) / 64] |= 1 << (low % 64);
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
